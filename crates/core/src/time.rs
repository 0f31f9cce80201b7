//! Instants: integer microseconds inside, RFC 3339 text outside.
//!
//! Every time of the product is a [`Micros`]; both databases store it as an integer, so a value reads back exactly as it
//! was written. On the wire it is UTC with exactly three fractional digits and `Z`, cut, not rounded: a text never lies
//! in the future of its instant. Writing that text happens several times in every request, so it takes no allocation and
//! no general formatter; reading goes through `jiff`.

use std::fmt;

use crate::FieldError;

/// Longest text [`Micros::parse`] looks at, in bytes; the longest sensible timestamp has 35.
const TIMESTAMP_TEXT_LIMIT: usize = 64;
const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// An instant: microseconds since 1970-01-01T00:00:00 UTC, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

impl Micros {
    /// 0000-01-01T00:00:00Z, the first instant RFC 3339 can write.
    pub const MIN: Micros = Micros(-62_167_219_200 * MICROS_PER_SECOND);
    /// 9999-12-31T23:59:59.999999Z, the last one.
    pub const MAX: Micros = Micros(253_402_300_800 * MICROS_PER_SECOND - 1);

    /// From whole seconds since the epoch; saturates.
    pub const fn from_seconds(seconds: i64) -> Micros {
        Micros(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// From milliseconds since the epoch; saturates.
    pub const fn from_millis(millis: i64) -> Micros {
        Micros(millis.saturating_mul(1000))
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// This instant moved by so many microseconds; saturates.
    pub const fn plus_micros(self, micros: i64) -> Micros {
        Micros(self.0.saturating_add(micros))
    }

    /// This instant moved by so many seconds; saturates.
    pub const fn plus_seconds(self, seconds: i64) -> Micros {
        self.plus_micros(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// The text for the wire, `2026-05-10T09:08:07.123Z`. Instants outside [`Micros::MIN`]..=[`Micros::MAX`] are shown as
    /// the nearer of the two.
    pub fn rfc3339(self) -> Rfc3339 {
        let micros = self.0.clamp(Micros::MIN.0, Micros::MAX.0);
        let seconds = micros.div_euclid(MICROS_PER_SECOND);
        let millis = micros.rem_euclid(MICROS_PER_SECOND) / 1000;
        let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
        let of_day = seconds.rem_euclid(SECONDS_PER_DAY);

        let mut text = *b"0000-00-00T00:00:00.000Z";
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], of_day / 3600);
        digits(&mut text[14..16], of_day / 60 % 60);
        digits(&mut text[17..19], of_day % 60);
        digits(&mut text[20..23], millis);
        Rfc3339(text)
    }

    /// Reads an RFC 3339 or ISO 8601 timestamp that says its offset (`Z` or `+hh:mm`). Digits beyond microseconds are cut.
    ///
    /// Errors: `invalid_format` at `pointer`, also for a local time without an offset and for years outside 0 to 9999.
    pub fn parse(text: &str, pointer: &str) -> Result<Micros, FieldError> {
        let parsed = (text.len() <= TIMESTAMP_TEXT_LIMIT).then(|| text.parse::<jiff::Timestamp>().ok()).flatten();
        parsed
            .map(|timestamp| Micros(timestamp.as_nanosecond().div_euclid(1000) as i64))
            .filter(|instant| (Micros::MIN..=Micros::MAX).contains(instant))
            .ok_or_else(|| FieldError {
                pointer: pointer.to_owned(),
                code: "invalid_format",
                message: "Give a timestamp with its offset, such as 2026-05-10T09:08:07.123Z.".to_owned(),
            })
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.rfc3339().as_str())
    }
}

/// The text of an instant, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339([u8; 24]);

impl Rfc3339 {
    /// As text.
    pub fn as_str(&self) -> &str {
        // Only digits and the ASCII of the pattern are ever written.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
impl AsRef<str> for Rfc3339 {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}
impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
impl fmt::Debug for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the text is a calendar date `YYYY-MM-DD` that exists.
pub fn is_date(text: &str) -> bool {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    shape && text.parse::<jiff::civil::Date>().is_ok()
}

fn digits(slot: &mut [u8], mut value: i64) {
    for digit in slot.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day number (0 = 1970-01-01) in the proleptic Gregorian calendar: eras of 400 years of 146,097
/// days, years that start on 1 March so that the leap day comes last.
fn civil(day_number: i64) -> (i64, i64, i64) {
    let shifted = day_number + 719_468; // days from 0000-03-01
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_are_written_in_utc_with_three_digits() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_999, "1970-01-01T00:00:00.001Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000Z"),
            (Micros::MIN.0, "0000-01-01T00:00:00.000Z"),
            (Micros::MAX.0, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Micros(micros).to_string(), text);
        }
    }

    #[test]
    fn timestamps_are_read_with_their_offset_or_not_at_all() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1969-12-31T21:00:00.5-03:00", 500_000),
            ("1970-01-01t00:00:00.123456789z", 123_456),
            ("1969-12-31T23:59:59.9999999Z", -1),
            ("1970-01-01 00:00:01Z", 1_000_000),
        ] {
            assert_eq!(Micros::parse(text, "/sentAt"), Ok(Micros(micros)), "{text}");
        }
        for text in ["", "now", "1970-01-01", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z", "-000001-01-01T00:00:00Z"]
        {
            let error = Micros::parse(text, "/sentAt").unwrap_err();
            assert_eq!((error.pointer.as_str(), error.code), ("/sentAt", "invalid_format"), "{text}");
        }
        assert!(Micros::parse(&format!("1970-01-01T00:00:00.{}Z", "0".repeat(100)), "").is_err());
    }

    #[test]
    fn dates_exist_in_the_calendar() {
        for (text, is) in [
            ("2024-02-29", true),
            ("2026-12-31", true),
            ("2023-02-29", false),
            ("2024-2-29", false),
            ("20240229", false),
            ("2024-02-29T00:00:00Z", false),
            ("", false),
        ] {
            assert_eq!(is_date(text), is, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_text_is_what_a_calendar_library_writes(micros in Micros::MIN.0..=jiff::Timestamp::MAX.as_microsecond()) {
            let stamp = jiff::Timestamp::from_microsecond(micros.div_euclid(1000) * 1000).unwrap();
            prop_assert_eq!(Micros(micros).to_string(), format!("{stamp:.3}"));
        }

        #[test]
        fn text_reads_back_as_its_millisecond(micros in Micros::MIN.0..=jiff::Timestamp::MAX.as_microsecond()) {
            let text = Micros(micros).to_string();
            prop_assert_eq!(Micros::parse(&text, ""), Ok(Micros(micros.div_euclid(1000) * 1000)));
        }

        #[test]
        fn reading_never_panics(text in ".{0,70}") {
            let _ = Micros::parse(&text, "");
            let _ = is_date(&text);
        }
    }
}
