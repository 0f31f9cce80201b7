//! Requests of a calendar day or month, UTC: what all nodes have published, and what this one has not yet.

use crate::time::Micros;

const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// Which periods a tally counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calendar {
    /// From 00:00 to 00:00 UTC.
    Day,
    /// From the first to the first.
    Month,
}

/// One day or one month. Microseconds UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    calendar: Calendar,
    /// Its first instant.
    pub starts_at: i64,
    /// The first instant after it.
    pub ends_at: i64,
}

impl Period {
    /// The period that holds this instant.
    pub fn of(calendar: Calendar, now: i64) -> Period {
        let day = now.div_euclid(DAY_US) * DAY_US;
        let (starts_at, ends_at) = match calendar {
            Calendar::Day => (day, day + DAY_US),
            Calendar::Month => month(now).unwrap_or((day, day + DAY_US)),
        };
        Period { calendar, starts_at, ends_at }
    }

    /// Its name in the database: `2026-11-21` or `2026-11`.
    pub fn name(&self) -> String {
        let text = Micros(self.starts_at).rfc3339();
        let chars = if self.calendar == Calendar::Day { 10 } else { 7 };
        text.as_str()[..chars].to_owned()
    }
}

/// Start and end of the month; none outside of the years that the calendar knows.
fn month(now: i64) -> Option<(i64, i64)> {
    let date = jiff::Timestamp::from_microsecond(now).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date();
    let start = |date: jiff::civil::Date| {
        let midnight = date.first_of_month().to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(midnight.timestamp().as_microsecond())
    };
    Some((start(date)?, start(date.last_of_month().tomorrow().ok()?)?))
}

/// The requests of the present period, and those of the one before that are still to be published.
#[derive(Clone, Debug)]
pub struct Tally {
    period: Period,
    published: i64,
    unpublished: i64,
    late: Vec<(Period, i64)>,
}

impl Tally {
    /// A tally that so far knows what the database says.
    pub fn new(calendar: Calendar, now: i64, published: i64) -> Tally {
        Tally { period: Period::of(calendar, now), published, unpublished: 0, late: Vec::new() }
    }

    /// Begins the next period when its time has come. A clock that steps back changes nothing.
    pub fn turn(&mut self, now: i64) {
        if now < self.period.ends_at {
            return;
        }
        if self.unpublished > 0 {
            self.late.push((self.period, self.unpublished));
        }
        *self = Tally { late: std::mem::take(&mut self.late), ..Tally::new(self.period.calendar, now, 0) };
    }

    /// Counts a request of now; [`Tally::turn`] goes before.
    pub fn add(&mut self) {
        self.unpublished += 1;
    }

    /// Requests of the period as far as they are known here.
    pub fn used(&self) -> i64 {
        self.published + self.unpublished
    }

    /// When the next period begins, microseconds UTC.
    pub fn ends_at(&self) -> i64 {
        self.period.ends_at
    }

    /// What is to be published, with 0 for a present period without news. It counts as unpublished until
    /// [`Tally::settle`] hears of it.
    pub fn news(&self) -> impl Iterator<Item = (Period, i64)> {
        self.late.iter().copied().chain([(self.period, self.unpublished)])
    }

    /// Whether nothing is to be published.
    pub fn is_settled(&self) -> bool {
        self.late.is_empty() && self.unpublished == 0
    }

    /// So many of this period were published; the database now holds `total`.
    pub fn settle(&mut self, period: Period, count: i64, total: i64) {
        if period == self.period {
            self.unpublished -= count;
            self.published = total;
        } else {
            self.late.iter_mut().filter(|(late, _)| *late == period).for_each(|(_, left)| *left -= count);
            self.late.retain(|(_, left)| *left > 0);
        }
    }
}
