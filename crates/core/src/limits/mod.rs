//! How many requests somebody may make: in any 60 seconds, a day, a month.
//!
//! A [`Meter`] in memory decides, without asking the database. Every [`PUBLISH_EVERY_US`] a node publishes what it let in
//! and reads what the others did, for those who were active since; nobody else costs anything. So:
//! - on one node the rate is exact, and a month or day never has more requests than its quota;
//! - over several nodes the excess is at most (nodes − 1) × what one key sends to one node in a second, while the database
//!   answers and the nodes' clocks agree;
//! - a crash forgets at most a second of what was counted; a stop in order forgets nothing.
//!
//! Rules: contract A4 and D2.5 to D2.6, DESIGN section 1.

mod meter;
mod publish;
pub(crate) mod sql;
mod tally;
mod window;

pub use meter::{Meter, Meters, Who};
pub use publish::{Batch, Known, PUBLISH_EVERY_US, WRITE_EVERY_US, known, prune, publish};
pub use tally::{Calendar, Period, Tally};
pub use window::{SPAN_US, Window};

use crate::{Error, Kind};

/// What somebody may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests in any trailing 60 s.
    pub per_minute: i64,
    /// That many more in the same window.
    pub burst: i64,
    /// Requests a day (UTC); none is unlimited.
    pub per_day: Option<i64>,
    /// Requests a month (UTC) of the whole tenant; none is unlimited.
    pub per_month: Option<i64>,
}

/// Limits with a name (contract A4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// 60 a minute, bursts of 10, 10,000 a day.
    Starter,
    /// 300 a minute, bursts of 50, 100,000 a day.
    Professional,
    /// 1,000 a minute, bursts of 200, 1,000,000 a day.
    Enterprise,
}

impl Tier {
    /// All of them.
    pub const ALL: [Tier; 3] = [Tier::Starter, Tier::Professional, Tier::Enterprise];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Starter => "starter",
            Tier::Professional => "professional",
            Tier::Enterprise => "enterprise",
        }
    }

    /// The tier of this name.
    pub fn from_text(text: &str) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| tier.as_str() == text)
    }

    /// Requests a minute, the burst above them, and requests a day.
    pub fn numbers(self) -> (i64, i64, i64) {
        match self {
            Tier::Starter => (60, 10, 10_000),
            Tier::Professional => (300, 50, 100_000),
            Tier::Enterprise => (1_000, 200, 1_000_000),
        }
    }

    /// The tier with exactly these limits.
    pub fn of(limits: &Limits) -> Option<Tier> {
        let same = |tier: &Tier| {
            let (per_minute, burst, per_day) = tier.numbers();
            (limits.per_minute, limits.burst, limits.per_day) == (per_minute, burst, Some(per_day))
        };
        Tier::ALL.into_iter().find(same)
    }
}

/// One limit and how far it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// None is unlimited.
    pub limit: Option<i64>,
    /// Requests counted, this one included if it was let in.
    pub used: i64,
    /// When the count falls: a slot of the minute, or the whole period. Microseconds UTC.
    pub resets_at: i64,
}

impl Count {
    /// What is left of the limit, never negative; none is unlimited.
    pub fn remaining(&self) -> Option<i64> {
        self.limit.map(|limit| (limit - self.used).max(0))
    }
    /// Seconds since the epoch at which it has fallen, rounded up.
    pub fn resets_at_second(&self) -> i64 {
        -(-self.resets_at).div_euclid(1_000_000)
    }
}

/// Everything that limits somebody, as of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The trailing minute. Its limit does not hold the burst.
    pub minute: Count,
    /// The day, of this key.
    pub day: Count,
    /// The month, of the whole tenant.
    pub month: Count,
}

impl Standing {
    /// The quota that ends first, for the headers; none without a quota.
    pub fn quota(&self) -> Option<&Count> {
        let limited = [&self.month, &self.day].into_iter().filter(|count| count.limit.is_some());
        limited.min_by_key(|count| count.remaining())
    }
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The minute is full.
    Minute,
    /// The day is used up.
    Day,
    /// The month is used up.
    Month,
}

impl Refusal {
    /// What the caller is told: `rate_limited` and `daily_quota_exceeded` with `Retry-After` (whole seconds, at least 1,
    /// rounded up), `quota_exceeded`.
    pub fn error(self, standing: &Standing, now: i64) -> Error {
        let count = match self {
            Refusal::Minute => standing.minute,
            Refusal::Day => standing.day,
            Refusal::Month => standing.month,
        };
        let limit = count.limit.unwrap_or_default();
        let seconds = retry_after_seconds(count.resets_at, now);
        match self {
            Refusal::Minute => {
                let detail = format!("At most {limit} requests in 60 seconds; the next one passes in {seconds} s.");
                Error::new(Kind::Limited, "rate_limited", detail).with("Retry-After", seconds)
            }
            Refusal::Day => {
                let detail = format!("The {limit} requests of this day are used up; they begin anew at 00:00 UTC.");
                Error::new(Kind::Limited, "daily_quota_exceeded", detail).with("Retry-After", seconds)
            }
            Refusal::Month => {
                let detail =
                    format!("The {limit} requests of this month are used up; they begin anew on the 1st at 00:00 UTC.");
                Error::new(Kind::Limited, "quota_exceeded", detail)
            }
        }
    }
}

/// Whole seconds from now to then, rounded up, at least 1 (contract D2.6).
pub fn retry_after_seconds(then: i64, now: i64) -> i64 {
    (then - now).max(1).unsigned_abs().div_ceil(1_000_000) as i64
}

#[cfg(test)]
mod tests;
