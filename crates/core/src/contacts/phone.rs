//! Phone numbers: stored in E.164 when they parse, found by a key that knows Brazil's ninth digit.
//!
//! A number that does not parse is kept as it was given (contract D3.5): an integrator's odd value is data, not an error.
//! Brazil put a 9 before its mobile numbers between 2012 and 2016, and some networks still report the old eight digits. Both
//! forms are one person, so [`match_key`] maps them to the same text; the stored number stays as it came.

use std::borrow::Cow;

use crate::FieldError;

/// Longest number kept as given, in characters.
pub const PHONE_LIMIT: usize = 64;
/// Fewest and most digits of an international number (E.164; fewer than 8 is a short code).
const E164_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// Where a number without a country code is dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Country {
    /// Not known: numbers with `+` or `00` are read as international, and Brazil's with 55 and nothing before it, as WhatsApp
    /// and its bridges write them: no country has national numbers of that shape.
    #[default]
    Unknown,
    /// Brazil, +55: national numbers of area code and eight or nine digits are read as well.
    Brazil,
}

/// The number in E.164 (`+5511987654321`) when it parses, else trimmed as given; borrows when nothing changes.
///
/// Errors: `required` for nothing but space, `too_long`, `invalid_phone` for control characters, all at `pointer`.
pub fn normalise<'a>(text: &'a str, country: Country, pointer: &str) -> Result<Cow<'a, str>, FieldError> {
    let wrong = |code, message: &str| FieldError { pointer: pointer.to_owned(), code, message: message.to_owned() };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(wrong("required", "Give a phone number."));
    }
    // Bytes first: it spares the count of characters in the usual case.
    if trimmed.len() > PHONE_LIMIT && trimmed.chars().count() > PHONE_LIMIT {
        return Err(wrong("too_long", "A phone number has at most 64 characters."));
    }
    if trimmed.chars().any(char::is_control) {
        return Err(wrong("invalid_phone", "A phone number holds no control characters."));
    }
    if is_e164(trimmed) {
        return Ok(Cow::Borrowed(trimmed));
    }
    Ok(to_e164(trimmed, country).map_or(Cow::Borrowed(trimmed), Cow::Owned))
}

/// Whether the text is an E.164 number: `+`, then 8 to 15 digits of which the first is not 0.
pub fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        E164_DIGITS.contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// What two spellings of one subscriber share; takes and gives text as [`normalise`] returns it. Only Brazilian mobile
/// numbers in the old form change: they get their ninth digit.
pub fn match_key(normalised: &str) -> Cow<'_, str> {
    if let Some(national) = normalised.strip_prefix("+55")
        && national.len() == 10
        && is_e164(normalised)
        && is_brazilian_area(national)
        && matches!(national.as_bytes()[2], b'6'..=b'9')
    {
        let (area, subscriber) = national.split_at(2);
        return Cow::Owned(format!("+55{area}9{subscriber}"));
    }
    Cow::Borrowed(normalised)
}

fn to_e164(text: &str, country: Country) -> Option<String> {
    let (international, rest) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => text.strip_prefix("00").map_or((false, text), |rest| (true, rest)),
    };
    let mut number = String::with_capacity(1 + E164_DIGITS.end());
    number.push('+');
    let mut from = 0;
    while let Some(c) = rest[from..].chars().next() {
        if international && number.len() > 1 && rest[from..].starts_with("(0)") {
            from += 3; // +44 (0)20 …: the trunk zero is dialled at home only
            continue;
        }
        match c {
            '0'..='9' => number.push(c),
            ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' | '\u{2010}'..='\u{2013}' => {}
            _ => return None,
        }
        from += c.len_utf8();
    }
    if !international {
        let national = match country {
            Country::Unknown => number[1..].strip_prefix("55").filter(|national| is_brazilian(national))?,
            Country::Brazil => brazilian_national(&number[1..])?,
        };
        number = format!("+55{national}");
    }
    is_e164(&number).then_some(number)
}

/// Area code and subscriber out of what people in Brazil dial: with a trunk 0 and a carrier's two digits, with the
/// country code but no `+`, or plain.
fn brazilian_national(digits: &str) -> Option<&str> {
    let candidates = match digits.strip_prefix('0') {
        Some(rest) => [Some(rest), rest.get(2..)],
        None => [Some(digits), digits.strip_prefix("55")],
    };
    candidates.into_iter().flatten().find(|national| is_brazilian(national))
}

/// Whether these are the digits of an area and a subscriber.
fn is_brazilian(national: &str) -> bool {
    is_brazilian_area(national)
        && match national.len() {
            10 => matches!(national.as_bytes()[2], b'2'..=b'9'),
            11 => national.as_bytes()[2] == b'9',
            _ => false,
        }
}

/// Whether the digits start with one of Brazil's 67 area codes (Anatel's numbering plan).
fn is_brazilian_area(national: &str) -> bool {
    matches!(
        national.as_bytes(),
        [b'1' | b'4' | b'6' | b'8' | b'9', b'1'..=b'9', ..]
            | [b'2', b'1' | b'2' | b'4' | b'7' | b'8', ..]
            | [b'3', b'1'..=b'5' | b'7' | b'8', ..]
            | [b'5', b'1' | b'3'..=b'5', ..]
            | [b'7', b'1' | b'3'..=b'5' | b'7' | b'9', ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_that_parse_become_e164_and_others_stay() {
        use Country::{Brazil, Unknown};
        for (given, country, kept) in [
            ("+5511987654321", Unknown, "+5511987654321"),
            (" +55 (11) 98765-4321 ", Unknown, "+5511987654321"),
            ("0055 11 98765.4321", Unknown, "+5511987654321"),
            ("+44 (0)20 7946 0958", Unknown, "+442079460958"),
            ("+1\u{a0}212\u{2013}555\u{2013}0100", Unknown, "+12125550100"),
            ("(11) 98765-4321", Brazil, "+5511987654321"),
            ("11 3456-7890", Brazil, "+551134567890"),
            ("011 98765-4321", Brazil, "+5511987654321"),
            ("0 15 11 98765-4321", Brazil, "+5511987654321"),
            ("5511987654321", Brazil, "+5511987654321"),
            ("55 98765-4321", Brazil, "+5555987654321"), // area 55, eight digits and the ninth
            ("(11) 98765-4321", Unknown, "(11) 98765-4321"),
            ("5511987654321", Unknown, "+5511987654321"),
            ("551187654321", Unknown, "+551187654321"),
            ("55 98765-4321", Unknown, "55 98765-4321"), // a national number without its area's country
            ("4915112345678", Unknown, "4915112345678"),
            ("20 98765-4321", Brazil, "20 98765-4321"), // no such area
            ("+1234567", Unknown, "+1234567"),          // a digit short
            ("+1234567890123456", Unknown, "+1234567890123456"),
            ("+0551198765432", Unknown, "+0551198765432"),
            ("+5511-CALL-ME", Unknown, "+5511-CALL-ME"),
            ("ramal 12", Brazil, "ramal 12"),
        ] {
            assert_eq!(normalise(given, country, "").as_deref(), Ok(kept), "{given}");
        }
        assert!(matches!(normalise("+5511987654321", Unknown, ""), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        for (bad, code) in [(" ", "required"), ("+55\n11", "invalid_phone"), (&*"1".repeat(65), "too_long")] {
            let error = normalise(bad, Country::Unknown, "/contact/phone").unwrap_err();
            assert_eq!((error.pointer.as_str(), error.code), ("/contact/phone", code));
        }
        assert!(normalise(&"é".repeat(64), Country::Unknown, "").is_ok(), "the limit counts characters");
    }

    #[test]
    fn old_and_new_brazilian_mobiles_share_a_key() {
        for (number, key) in [
            ("+551187654321", "+5511987654321"),
            ("+5511987654321", "+5511987654321"),
            ("+559991234567", "+5599991234567"),  // old form that starts with 9
            ("+5511912345678", "+5511912345678"), // a new range without an old form
            ("+551134567890", "+551134567890"),   // landline
            ("+551154567890", "+551154567890"),   // landline
            ("+552087654321", "+552087654321"),   // no such area
            ("+541187654321", "+541187654321"),   // not Brazil
            ("+55118765432", "+55118765432"),     // a digit short
            ("4915112345678", "4915112345678"),   // kept as given, not E.164
            ("+55é187654321", "+55é187654321"),
        ] {
            assert_eq!(match_key(number), key);
        }
    }

    #[test]
    fn there_are_67_areas() {
        let areas = (0..100).filter(|n| is_brazilian_area(&format!("{n:02}"))).count();
        assert_eq!(areas, 67);
        for gap in ["10", "20", "23", "25", "26", "29", "36", "39", "40", "52", "56", "70", "72", "76", "78", "90"] {
            assert!(!is_brazilian_area(gap), "{gap}");
        }
    }

    proptest! {
        #[test]
        fn both_forms_of_a_mobile_meet_and_stay(area in 0..100u32, subscriber in 60_000_000..=99_999_999u32) {
            let area = format!("{area:02}");
            prop_assume!(is_brazilian_area(&area));
            let (old, new) = (format!("+55{area}{subscriber}"), format!("+55{area}9{subscriber}"));
            prop_assert_eq!(match_key(&old), new.as_str());
            prop_assert_eq!(match_key(&new), new.as_str());
        }

        #[test]
        fn landlines_keep_their_own_key(area in 11..100u32, subscriber in 20_000_000..=59_999_999u32) {
            let number = format!("+55{area}{subscriber}");
            prop_assert_eq!(match_key(&number), number.as_str());
        }

        #[test]
        fn normalising_and_keying_twice_change_nothing(text in r"[+0-9 ().-]{0,20}|\+55[0-9]{8,11}|.{0,70}") {
            for country in [Country::Unknown, Country::Brazil] {
                if let Ok(once) = normalise(&text, country, "") {
                    prop_assert_eq!(normalise(&once, country, ""), Ok(Cow::Borrowed(&*once)));
                    let key = match_key(&once);
                    prop_assert_eq!(match_key(&key), key.as_ref());
                }
            }
        }
    }
}
