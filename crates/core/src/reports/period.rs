//! Hours, days, weeks, months and years by a clock that stands apart from UTC by a fixed offset. Times are unix seconds.

use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Date, DateTime, date};
use jiff::tz::TimeZone;

/// How long the stretches of a report are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words say it
pub enum Period {
    Hour,
    Day,
    /// From Sunday.
    Week,
    Month,
    Year,
}

impl Period {
    /// The period of a word.
    pub fn from_text(text: &str) -> Option<Period> {
        Some(match text {
            "hour" => Period::Hour,
            "day" => Period::Day,
            "week" => Period::Week,
            "month" => Period::Month,
            "year" => Period::Year,
            _ => return None,
        })
    }

    /// When the stretch around `at` begins, where the clock is `offset` seconds ahead of UTC.
    pub fn start(self, at: i64, offset: i64) -> i64 {
        let local = civil(at + offset);
        let day = local.date();
        let start = match self {
            Period::Hour => day.at(local.hour(), 0, 0, 0),
            Period::Day => midnight(day),
            Period::Week => {
                let days = i64::from(day.weekday().to_sunday_zero_offset());
                midnight(day.checked_sub(days.days()).unwrap_or(day))
            }
            Period::Month => midnight(date(day.year(), day.month(), 1)),
            Period::Year => midnight(date(day.year(), 1, 1)),
        };
        seconds(start) - offset
    }

    /// When the stretch after the one that begins at `start` begins.
    pub fn next(self, start: i64, offset: i64) -> i64 {
        let local = civil(start + offset);
        let span = match self {
            Period::Hour => return start + 3600,
            Period::Day => return start + 86_400,
            Period::Week => return start + 7 * 86_400,
            Period::Month => 1.month(),
            Period::Year => 1.year(),
        };
        local.checked_add(span).map_or(i64::MAX, |next| seconds(next) - offset)
    }
}

fn midnight(day: Date) -> DateTime {
    day.at(0, 0, 0, 0)
}

/// Beyond what a calendar holds, its first day.
fn civil(at: i64) -> DateTime {
    let at = Timestamp::from_second(at).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).datetime()
}

fn seconds(local: DateTime) -> i64 {
    local.to_zoned(TimeZone::UTC).map_or(0, |zoned| zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_begin_by_the_local_clock() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time").as_second();
        let (offset, now) = (-3 * 3600, at("2026-03-01T01:30:00Z")); // 22:30 on Saturday, 28 February
        for (period, start, next) in [
            (Period::Hour, "2026-03-01T01:00:00Z", "2026-03-01T02:00:00Z"),
            (Period::Day, "2026-02-28T03:00:00Z", "2026-03-01T03:00:00Z"),
            (Period::Week, "2026-02-22T03:00:00Z", "2026-03-01T03:00:00Z"),
            (Period::Month, "2026-02-01T03:00:00Z", "2026-03-01T03:00:00Z"),
            (Period::Year, "2026-01-01T03:00:00Z", "2027-01-01T03:00:00Z"),
        ] {
            assert_eq!(period.start(now, offset), at(start), "{period:?}");
            assert_eq!(period.next(at(start), offset), at(next), "{period:?}");
            assert_eq!(period.start(at(start), offset), at(start), "{period:?}");
        }
        assert_eq!(Period::Day.start(i64::MAX / 4, 0), 0, "beyond every calendar");
    }
}
