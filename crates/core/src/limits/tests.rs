use super::*;
use crate::error::Extra;
use crate::ids::TenantId;
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

/// 2026-05-12T09:30:00Z.
const START_US: i64 = 1_778_578_200_000_000;
const MS: i64 = 1000;

fn limits(per_minute: i64) -> Limits {
    Limits { per_minute, burst: 0, per_day: None, per_month: None }
}

fn meter(meters: &Meters) -> Arc<Meter> {
    meters.put(Who { tenant: TenantId(1), principal: Uuid::from_u128(1) }, &Known::default(), START_US)
}

/// The rule as it is written, without any cleverness: every request that was let in, looked through each time.
#[derive(Default)]
struct Model {
    admitted: Vec<i64>,
    day: i64,
    month: i64,
}

impl Model {
    fn admit(&mut self, limits: &Limits, now: i64) -> Option<Refusal> {
        let trailing = self.admitted.iter().filter(|at| **at > now - 60_000_000).count() as i64;
        let refusal = if trailing >= limits.per_minute + limits.burst {
            Some(Refusal::Minute)
        } else if limits.per_day.is_some_and(|limit| self.day >= limit) {
            Some(Refusal::Day)
        } else {
            limits.per_month.is_some_and(|limit| self.month >= limit).then_some(Refusal::Month)
        };
        if matches!(refusal, None | Some(Refusal::Month)) {
            self.admitted.push(now);
            self.day += 1;
            self.month += i64::from(refusal.is_none());
        }
        refusal
    }
    /// When the next request would find room in the minute: only then does something leave.
    fn frees_at(&self, limits: &Limits, now: i64) -> i64 {
        let leaving = self.admitted.iter().map(|at| at + 60_000_000).filter(|then| *then > now);
        let room = |then: &i64| {
            let trailing = self.admitted.iter().filter(|at| **at > then - 60_000_000).count() as i64;
            trailing < limits.per_minute + limits.burst
        };
        leaving.into_iter().find(room).expect("everything leaves")
    }
}

proptest! {
    #[test]
    fn the_meter_is_the_rule(
        steps in prop::collection::vec(prop_oneof![6 => 0..30i64, 2 => 0..2_000i64, 1 => 0..70_000i64], 1..300),
        per_minute in 1..20i64, burst in 0..5i64,
        per_day in prop::option::of(1..60i64), per_month in prop::option::of(1..60i64),
    ) {
        let limits = Limits { per_minute, burst, per_day, per_month };
        let (meters, mut model, mut now) = (Meters::new(Uuid::nil()), Model::default(), START_US);
        let meter = meter(&meters);
        for step in steps {
            now += step * MS;
            let expected = model.admit(&limits, now);
            let (standing, refusal) = meter.admit(&limits, now);
            prop_assert_eq!(refusal, expected);
            let trailing = model.admitted.iter().filter(|at| **at > now - 60_000_000).count() as i64;
            prop_assert_eq!((standing.minute.used, standing.day.used, standing.month.used), (trailing, model.day, model.month));
            prop_assert_eq!(standing.minute.remaining(), Some((per_minute - trailing).max(0)));
            if refusal == Some(Refusal::Minute) {
                prop_assert_eq!(standing.minute.resets_at, model.frees_at(&limits, now));
            }
        }
    }

    #[test]
    fn requests_at_any_microsecond_never_pass_the_limit(
        steps in prop::collection::vec(0..400_000i64, 1..400), per_minute in 1..20i64,
    ) {
        let (meters, mut now, mut admitted) = (Meters::new(Uuid::nil()), START_US, Vec::new());
        let meter = meter(&meters);
        for step in steps {
            now += step;
            let trailing = admitted.iter().filter(|at| **at > now - 60_000_000).count() as i64;
            let late = admitted.iter().filter(|at| **at > now - 60_001_000).count() as i64;
            match meter.admit(&limits(per_minute), now).1 {
                None => { prop_assert!(trailing < per_minute); admitted.push(now) }
                Some(_) => prop_assert!(late >= per_minute, "refused although a millisecond's patience had found room"),
            }
        }
    }

    #[test]
    fn a_window_says_by_the_second_what_it_holds(times in prop::collection::vec(0..59_000_000i64, 0..200)) {
        let mut times = times;
        times.sort_unstable();
        let mut window = Window::default();
        times.iter().for_each(|time| window.add(START_US + time));
        let text = window.to_text();
        let read = Window::of_texts([text.as_str()], START_US);
        prop_assert_eq!(read.total(), times.len() as i64);
        // Each leaves with the end of its second, so never early.
        for end in 0..125 {
            let now = START_US + end * 1_000_000;
            let (mut own, mut foreign) = (window.clone(), read.clone());
            own.pass(now);
            foreign.pass(now);
            prop_assert!(own.total() <= foreign.total());
            foreign.pass(now + 1_000_000);
            prop_assert!(foreign.total() <= own.total());
        }
    }

    #[test]
    fn no_text_of_another_node_panics(text in "[0-9 -]{0,60}|.{0,20}") {
        Window::of_texts([text.as_str()], START_US);
    }
}

#[test]
fn a_lowered_limit_says_when_enough_have_left() {
    let meters = Meters::new(Uuid::nil());
    let meter = meter(&meters);
    for n in 0..10 {
        assert_eq!(meter.admit(&limits(10), START_US + n * 1_000_000).1, None);
    }
    let now = START_US + 9_000_000;
    let (standing, refusal) = meter.admit(&limits(4), now);
    assert_eq!((refusal, standing.minute.remaining()), (Some(Refusal::Minute), Some(0)));
    // The seventh request must leave before there is room for a fourth.
    assert_eq!(standing.minute.resets_at, START_US + 66_000_000);
    let error = Refusal::Minute.error(&standing, now);
    assert_eq!((error.code, &error.extra[..]), ("rate_limited", &[("Retry-After", Extra::Text("57".into()))][..]));
}

#[test]
fn retry_after_is_whole_seconds_rounded_up_and_at_least_one() {
    for (micros, seconds) in [(-5, 1), (0, 1), (1, 1), (1_000_000, 1), (1_000_001, 2), (60_000_000, 60)] {
        assert_eq!(retry_after_seconds(START_US + micros, START_US), seconds, "{micros}");
    }
}

#[test]
fn periods_are_those_of_the_calendar_in_utc() {
    for (at, day, month, ends) in [
        ("2026-12-31T23:59:59.999Z", "2026-12-31", "2026-12", "2027-01-01T00:00:00.000Z"),
        ("2028-02-29T00:00:00.000Z", "2028-02-29", "2028-02", "2028-03-01T00:00:00.000Z"),
        ("2026-05-01T00:00:00.000Z", "2026-05-01", "2026-05", "2026-06-01T00:00:00.000Z"),
    ] {
        let now = crate::time::Micros::parse(at, "").unwrap().0;
        assert_eq!(Period::of(Calendar::Day, now).name(), day);
        let period = Period::of(Calendar::Month, now);
        assert_eq!(period.name(), month);
        assert_eq!(crate::time::Micros(period.ends_at).to_string(), ends);
        assert_eq!(Period::of(Calendar::Month, period.ends_at).starts_at, period.ends_at);
        assert_eq!(Period::of(Calendar::Month, period.ends_at - 1), period);
    }
}

#[test]
fn a_new_day_begins_with_nothing_used() {
    let meters = Meters::new(Uuid::nil());
    let meter = meter(&meters);
    let limits = Limits { per_day: Some(2), ..limits(100) };
    assert_eq!((0..3).map(|_| meter.admit(&limits, START_US).1).collect::<Vec<_>>(), [None, None, Some(Refusal::Day)]);
    let (standing, _) = meter.admit(&limits, START_US);
    assert_eq!(standing.quota().and_then(Count::remaining), Some(0));
    let midnight = standing.day.resets_at;
    assert_eq!(Period::of(Calendar::Day, midnight).name(), "2026-05-13");
    assert_eq!(meter.admit(&limits, midnight - 1).1, Some(Refusal::Day));
    assert_eq!(meter.admit(&limits, midnight).1, None);
}

#[test]
fn tiers_are_known_by_name_and_by_their_numbers() {
    for tier in Tier::ALL {
        assert_eq!(Tier::from_text(tier.as_str()), Some(tier));
        let (per_minute, burst, per_day) = tier.numbers();
        assert_eq!(Tier::of(&Limits { burst, per_day: Some(per_day), ..limits(per_minute) }), Some(tier));
    }
    assert_eq!(Tier::of(&limits(120)), None);
}

#[test]
fn the_quiet_are_forgotten() {
    let meters = Meters::new(Uuid::nil());
    let meter = meter(&meters);
    meter.admit(&limits(1), START_US);
    drop(meter);
    assert_eq!(meters.forget(START_US), 1, "it has something to publish");
    let batch = meters.batch(START_US).expect("news");
    assert!(meters.batch(START_US).is_none(), "nothing since");
    drop(batch);
    assert_eq!(meters.forget(START_US + 59_000_000), 1, "its window is not empty, and its news not settled");
}
