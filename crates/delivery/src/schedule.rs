//! When to try again, and when to stop: the retry schedule, what a reply means, and the health of an endpoint.
//!
//! All pure: times and seeds come in, so the same history always gives the same answer and no test waits. Failures are
//! counted per endpoint over all its deliveries, because a receiver that is down fails them all alike. One success
//! anywhere clears everything. Times are Unix microseconds.

use crate::client::Outcome;
use std::time::{Duration, UNIX_EPOCH};

/// Waits after attempts 1 to 9, about 75.6 hours in all (Standard Webhooks' sample schedule).
pub const DEFAULT_WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// Most waits of a schedule.
pub const MAX_WAITS: usize = 20;
/// Longest wait of a schedule.
pub const MAX_WAIT: Duration = Duration::from_hours(7 * 24);
/// A `Retry-After` beyond this counts as this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);
/// Waits vary by this many percent to both sides, so that what failed together does not return together.
pub const JITTER_PERCENT: u64 = 10;

/// The waits between the attempts of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    waits: Vec<Duration>,
}

impl Default for RetrySchedule {
    fn default() -> RetrySchedule {
        RetrySchedule { waits: DEFAULT_WAITS.to_vec() }
    }
}

impl RetrySchedule {
    /// Reads `TIELINE_WEBHOOK_RETRY_SCHEDULE`: 1 to 20 comma-separated durations, such as `200ms,5s,5m,2h`. The error is
    /// a sentence that names the bad entry.
    pub fn parse(text: &str) -> Result<RetrySchedule, String> {
        let entries: Vec<&str> = text.split(',').map(str::trim).take(MAX_WAITS + 1).collect();
        if entries.len() > MAX_WAITS {
            return Err(format!("there are more than {MAX_WAITS} entries"));
        }
        let wait = |entry: &&str| match parse_duration(entry) {
            Ok(wait) if wait.is_zero() || wait > MAX_WAIT => Err(format!("{entry:?} is not between 1ms and 7d")),
            parsed => parsed,
        };
        Ok(RetrySchedule { waits: entries.iter().map(wait).collect::<Result<_, _>>()? })
    }

    /// How many attempts a delivery has at most: one more than there are waits.
    pub fn attempts(&self) -> u32 {
        self.waits.len() as u32 + 1
    }

    /// How long to wait after the failed attempt number `attempt` (from 1), or none when it was the last one.
    ///
    /// The endpoint's own `max_attempts` shortens the schedule and never lengthens it. `seed` (any number of the
    /// delivery, such as its id's low half) fixes the jitter. A longer `Retry-After` wins, up to 24 h.
    pub fn wait_after(
        &self,
        attempt: u32,
        max_attempts: u32,
        seed: u64,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        if attempt >= max_attempts {
            return None;
        }
        let wait = *self.waits.get(attempt.checked_sub(1)? as usize)?;
        let steps = splitmix64(seed ^ u64::from(attempt)) % (2 * JITTER_PERCENT * 1000 + 1);
        let per_mille_of_percent = (100 - JITTER_PERCENT) * 1000 + steps; // 90,000 to 110,000 of 100,000
        let jittered = Duration::from_micros(wait.as_micros() as u64 * per_mille_of_percent / 100_000);
        Some(jittered.max(retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)))
    }
}

/// Spreads neighbouring seeds over all numbers (Steele, Lea, Flood: SplitMix64).
fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Reads a whole number with a unit: `200ms`, `5s`, `5m`, `2h`, `3d`. The error is a sentence that names the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?} is not a duration such as 200ms, 5s, 5m, 2h or 3d");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| bad())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(bad)
}

/// Reads a `Retry-After` header: seconds, or a date that is compared with `now_micros`. A date in the past is zero, more
/// than 24 h is 24 h, and what cannot be read is none.
pub fn parse_retry_after(text: &str, now_micros: i64) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX)) // digits too many for a u64 are still "long"
    } else {
        let at = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        at.saturating_sub(Duration::from_micros(now_micros.try_into().ok()?))
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// What an attempt's outcome means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx. The status line decides: a reply that then breaks off was still accepted.
    Success,
    /// 410: the receiver wants nothing more, ever.
    Gone,
    /// Everything else, redirects included.
    Failure,
}

impl Verdict {
    /// Judges an outcome.
    pub fn of(outcome: &Outcome) -> Verdict {
        match outcome.status {
            Some(200..=299) => Verdict::Success,
            Some(410) => Verdict::Gone,
            _ => Verdict::Failure,
        }
    }
}

/// Limits that [`Health`] goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthRules {
    /// The breaker opens at this many consecutive failed attempts.
    pub breaker_after: u32,
    /// Time between probes while the breaker is open, in microseconds.
    pub probe_every: i64,
    /// The endpoint is disabled at this many consecutive failed attempts (`TIELINE_WEBHOOK_DISABLE_AFTER`) …
    pub disable_after: u32,
    /// … whose first is at least this old, in microseconds (`TIELINE_WEBHOOK_DISABLE_WINDOW`).
    pub disable_window: i64,
}

impl Default for HealthRules {
    fn default() -> HealthRules {
        HealthRules {
            breaker_after: 10,
            probe_every: 60_000_000,
            disable_after: 20,
            disable_window: 72 * 3600 * 1_000_000,
        }
    }
}

/// How an endpoint has been doing, over all its deliveries. The default is a fresh, healthy one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Counted failed attempts since the last success.
    pub consecutive_failures: u32,
    /// When the first of them ended.
    pub first_failure_at: Option<i64>,
    /// When the next probe is due; some exactly while the breaker is open.
    pub next_probe_at: Option<i64>,
}

/// What an attempt did to its endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing the caller must act on.
    None,
    /// The breaker opened: only the oldest waiting delivery and probes go out from now on.
    Opened,
    /// The breaker closed: everything waiting is due.
    Closed,
    /// Disable the endpoint, reason `failures`.
    DisableFailing,
    /// Disable the endpoint, reason `gone`.
    DisableGone,
}

impl Health {
    /// Whether the breaker is open.
    pub fn is_open(&self) -> bool {
        self.next_probe_at.is_some()
    }

    /// Whether an uncounted probe may go out.
    pub fn probe_due(&self, now: i64) -> bool {
        self.next_probe_at.is_some_and(|at| now >= at)
    }

    /// Takes in the end of a counted attempt.
    pub fn attempted(&mut self, verdict: Verdict, now: i64, rules: &HealthRules) -> Change {
        if verdict != Verdict::Success {
            self.consecutive_failures = self.consecutive_failures.saturating_add(1);
            self.first_failure_at.get_or_insert(now);
        }
        let opens = !self.is_open() && verdict != Verdict::Success && self.consecutive_failures >= rules.breaker_after;
        if opens {
            self.next_probe_at = Some(now.saturating_add(rules.probe_every));
        }
        match self.judge(verdict, now, rules) {
            Change::None if opens => Change::Opened,
            change => change,
        }
    }

    /// Takes in the end of a probe: a failed one counts nowhere, a success closes the breaker like any other.
    pub fn probed(&mut self, verdict: Verdict, now: i64, rules: &HealthRules) -> Change {
        if verdict != Verdict::Success && self.is_open() {
            self.next_probe_at = Some(now.saturating_add(rules.probe_every));
        }
        self.judge(verdict, now, rules)
    }

    fn judge(&mut self, verdict: Verdict, now: i64, rules: &HealthRules) -> Change {
        let old_enough = |first: i64| now.saturating_sub(first) >= rules.disable_window;
        match verdict {
            Verdict::Success if self.is_open() => {
                *self = Health::default();
                Change::Closed
            }
            Verdict::Success => {
                *self = Health::default();
                Change::None
            }
            Verdict::Gone => Change::DisableGone,
            Verdict::Failure
                if self.consecutive_failures >= rules.disable_after
                    && self.first_failure_at.is_some_and(old_enough) =>
            {
                Change::DisableFailing
            }
            Verdict::Failure => Change::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Failure, Gone, Success};
    use proptest::prelude::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3600 * SECOND;

    #[test]
    fn the_default_is_ten_attempts_over_three_days() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.attempts(), 10);
        assert_eq!(
            schedule,
            RetrySchedule::parse("5s,5m,30m,2h,5h,10h,14h,20h,24h").unwrap(),
            "the contract's words and the constant agree"
        );
        let total: Duration = DEFAULT_WAITS.iter().sum();
        assert_eq!(total.as_secs(), 5 + 35 * 60 + 75 * 3600);
    }

    #[test]
    fn schedules() {
        let ms = |text: &str| {
            RetrySchedule::parse(text).map(|s| s.waits.iter().map(Duration::as_millis).collect::<Vec<_>>())
        };
        assert_eq!(ms("200ms,5s,5m,2h"), Ok(vec![200, 5000, 300_000, 7_200_000]));
        assert_eq!(ms(" 1ms , 7d "), Ok(vec![1, 604_800_000]));
        assert!(ms(&vec!["1s"; MAX_WAITS].join(",")).is_ok());
        assert!(ms(&vec!["1s"; MAX_WAITS + 1].join(",")).unwrap_err().contains("20"));
        for bad in
            ["", "5", "s", "5 s", "-5s", "5s,", "1.5s", "5S", "5sec", "0s", "8d", "99999999999999999999s", "5s;6s"]
        {
            let error = RetrySchedule::parse(bad).expect_err(bad);
            let entry = if bad == "5s," { "" } else { bad };
            assert!(error.contains(&format!("{entry:?}")), "{error}");
        }
    }

    #[test]
    fn the_schedule_ends_where_it_or_the_endpoint_says() {
        let schedule = RetrySchedule::default();
        let some = |attempt, max| schedule.wait_after(attempt, max, 1, None).is_some();
        assert!(some(1, 10) && some(9, 10) && some(9, 20) && some(4, 5));
        assert!(!some(10, 10) && !some(10, 20) && !some(5, 5) && !some(1, 1) && !some(0, 10));
    }

    #[test]
    fn a_longer_retry_after_wins_up_to_a_day() {
        let schedule = RetrySchedule::parse("10m").unwrap();
        let wait = |s| schedule.wait_after(1, 2, 7, Some(Duration::from_secs(s))).unwrap();
        let plain = schedule.wait_after(1, 2, 7, None).unwrap();
        assert_eq!(wait(1), plain);
        assert_eq!(wait(3600), Duration::from_secs(3600));
        assert_eq!(wait(48 * 3600), Duration::from_secs(24 * 3600));
    }

    #[test]
    fn retry_after_headers() {
        let now = 784_111_777 * SECOND; // Sun, 06 Nov 1994 08:49:37 GMT
        for (text, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("90000", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Sun, 06 Nov 2044 08:49:37 GMT", Some(86_400)),
            ("", None),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
            ("+5", None),
        ] {
            assert_eq!(parse_retry_after(text, now), expected.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn verdicts() {
        for (status, expected) in [
            (Some(200), Success),
            (Some(204), Success),
            (Some(299), Success),
            (Some(199), Failure),
            (Some(300), Failure),
            (Some(301), Failure),
            (Some(304), Failure),
            (Some(400), Failure),
            (Some(410), Gone),
            (Some(429), Failure),
            (Some(503), Failure),
            (None, Failure),
        ] {
            assert_eq!(Verdict::of(&Outcome { status, ..Outcome::default() }), expected, "{status:?}");
        }
    }

    #[test]
    fn the_story_of_a_receiver_that_goes_down_and_comes_back() {
        let rules = HealthRules::default();
        let mut health = Health::default();
        for n in 1..10 {
            assert_eq!(health.attempted(Failure, n * SECOND, &rules), Change::None);
            assert!(!health.is_open() && !health.probe_due(i64::MAX));
        }
        assert_eq!(health.attempted(Failure, 10 * SECOND, &rules), Change::Opened);
        assert!(!health.probe_due(70 * SECOND - 1) && health.probe_due(70 * SECOND));
        assert_eq!(health.probed(Failure, 71 * SECOND, &rules), Change::None);
        assert_eq!(health.consecutive_failures, 10, "a probe is not counted");
        assert!(!health.probe_due(131 * SECOND - 1) && health.probe_due(131 * SECOND));
        assert_eq!(health.attempted(Failure, 72 * SECOND, &rules), Change::None, "opened once");
        assert_eq!(health.probed(Success, 132 * SECOND, &rules), Change::Closed);
        assert_eq!(health, Health::default());
        assert_eq!(health.attempted(Success, 133 * SECOND, &rules), Change::None);
    }

    #[test]
    fn disabling_needs_the_count_and_the_age() {
        let rules = HealthRules::default();
        let failing = |count, first| Health {
            consecutive_failures: count,
            first_failure_at: Some(first),
            next_probe_at: Some(0),
        };
        for (mut health, now, expected) in [
            (failing(19, 0), 72 * HOUR, Change::DisableFailing),
            (failing(18, 0), 72 * HOUR, Change::None),
            (failing(19, 0), 72 * HOUR - 1, Change::None),
            (failing(500, 1), 72 * HOUR, Change::None),
            (failing(u32::MAX, 0), 72 * HOUR, Change::DisableFailing),
        ] {
            assert_eq!(health.attempted(Failure, now, &rules), expected, "{health:?}");
        }
        assert_eq!(
            failing(20, 0).probed(Failure, 72 * HOUR, &rules),
            Change::DisableFailing,
            "a probe can be the proof"
        );
        assert_eq!(failing(19, 0).probed(Failure, 72 * HOUR, &rules), Change::None);
        assert_eq!(Health::default().attempted(Gone, 0, &rules), Change::DisableGone);
        assert_eq!(failing(10, 0).probed(Gone, 0, &rules), Change::DisableGone);
        let at_once = HealthRules { disable_after: 1, disable_window: 0, ..rules };
        assert_eq!(Health::default().attempted(Failure, 5, &at_once), Change::DisableFailing);
        let no_patience = HealthRules { breaker_after: 1, ..rules };
        assert_eq!(Health::default().attempted(Failure, 5, &no_patience), Change::Opened);
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_tenth_and_depends_only_on_its_arguments(
            ms in 1u64..=604_800_000, attempt in 1u32..=20, seed in any::<u64>(),
        ) {
            let schedule = RetrySchedule { waits: vec![Duration::from_millis(ms); MAX_WAITS] };
            let wait = schedule.wait_after(attempt, 21, seed, None).unwrap();
            let micros = u128::from(ms) * 1000;
            prop_assert!(wait.as_micros() >= micros * 9 / 10 && wait.as_micros() <= micros * 11 / 10);
            prop_assert_eq!(schedule.wait_after(attempt, 21, seed, None), Some(wait));
        }

        #[test]
        fn jitter_spreads(seed in any::<u64>()) {
            let schedule = RetrySchedule::parse("1000s").unwrap();
            let waits: Vec<_> = (0..200).map(|n| schedule.wait_after(1, 2, seed.wrapping_add(n), None).unwrap()).collect();
            prop_assert!(waits.iter().min().unwrap().as_secs() < 920);
            prop_assert!(waits.iter().max().unwrap().as_secs() >= 1080);
        }

        #[test]
        fn every_schedule_text_is_read_or_refused(text in "[0-9a-z, ]{0,24}") {
            if let Ok(schedule) = RetrySchedule::parse(&text) {
                prop_assert!((2..=21).contains(&schedule.attempts()));
            }
        }

        /// Against the plain reading of the rules over the whole history.
        #[test]
        fn health_follows_its_history(
            steps in prop::collection::vec((any::<bool>(), 0u8..10, 0i64..6 * HOUR), 1..120),
        ) {
            let rules = HealthRules { breaker_after: 3, disable_after: 6, disable_window: 24 * HOUR, ..Default::default() };
            let mut health = Health::default();
            let mut failed_at: Vec<i64> = Vec::new();
            let mut now = 0;
            for (probe, luck, pass) in steps {
                now += pass;
                let verdict = if luck < 2 { Success } else { Failure };
                let was_open = failed_at.len() >= 3;
                prop_assert_eq!(health.is_open(), was_open);
                let probe = probe && health.probe_due(now);
                if verdict == Success {
                    failed_at.clear();
                } else if !probe {
                    failed_at.push(now);
                }
                let change = if probe {
                    health.probed(verdict, now, &rules)
                } else {
                    health.attempted(verdict, now, &rules)
                };
                let disable = failed_at.len() >= 6 && now - failed_at[0] >= 24 * HOUR;
                let expected = match (verdict, was_open, failed_at.len() >= 3) {
                    (Success, true, _) => Change::Closed,
                    (Failure, _, _) if disable => Change::DisableFailing,
                    (Failure, false, true) => Change::Opened,
                    _ => Change::None,
                };
                prop_assert_eq!(change, expected);
                prop_assert_eq!(health.consecutive_failures as usize, failed_at.len());
                prop_assert_eq!(health.first_failure_at, failed_at.first().copied());
                if probe && verdict == Failure {
                    prop_assert!(!health.probe_due(now + rules.probe_every - 1) && health.probe_due(now + rules.probe_every));
                }
            }
        }
    }
}
