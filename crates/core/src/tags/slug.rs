//! Slugs of tags: lowercase ASCII letters and digits in words with hyphens (contract D6.3).
//!
//! A slug made from a name folds the accents of Portuguese and of the other Latin scripts, so that *Reclamação* is
//! `reclamacao`. A slug that somebody gives may also use `_`, because Chatwoot's labels are named so.

use crate::FieldError;

/// Longest slug, in characters.
pub const SLUG_LIMIT: usize = 64;

/// The slug of a name, cut at [`SLUG_LIMIT`]; `None` when nothing of the name can be written in ASCII: the caller then
/// needs a given one.
pub fn from_name(name: &str) -> Option<String> {
    let mut slug = String::with_capacity(name.len().min(SLUG_LIMIT));
    let mut gap = false;
    for c in name.chars() {
        let mut own = [0; 4];
        let letters = match c {
            'a'..='z' | '0'..='9' => &*c.encode_utf8(&mut own),
            'A'..='Z' => &*c.to_ascii_lowercase().encode_utf8(&mut own),
            '\u{300}'..='\u{36f}' | '\'' | '\u{2019}' => continue, // an accent of its own, an apostrophe: no new word
            _ => folded(c),
        };
        if letters.is_empty() {
            gap = !slug.is_empty();
            continue;
        }
        if slug.len() + usize::from(gap) + letters.len() > SLUG_LIMIT {
            break;
        }
        if gap {
            slug.push('-');
            gap = false;
        }
        slug.push_str(letters);
    }
    (!slug.is_empty()).then_some(slug)
}

/// The slug of a label as somebody writes it: itself in lower case where it may be one, else one made from it.
pub fn of_label(label: &str) -> Option<String> {
    let label = label.trim().to_lowercase();
    if check(&label, "").is_ok() { Some(label) } else { from_name(&label) }
}

/// Whether a given slug may be one: 1 to 64 of `a-z 0-9 - _`, the first and last a letter or digit.
///
/// Errors: `required`, `too_long`, `invalid_slug` at `pointer`.
pub fn check(slug: &str, pointer: &str) -> Result<(), FieldError> {
    let wrong = |code, message: &str| FieldError { pointer: pointer.to_owned(), code, message: message.to_owned() };
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = slug.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return Err(wrong("required", "Give a slug."));
    };
    if bytes.len() > SLUG_LIMIT {
        return Err(wrong("too_long", "A slug has at most 64 characters."));
    }
    if !(plain(first) && plain(last) && bytes.iter().all(|b| plain(b) || matches!(b, b'-' | b'_'))) {
        return Err(wrong(
            "invalid_slug",
            "A slug has lowercase letters a to z, digits and hyphens, such as late-delivery.",
        ));
    }
    Ok(())
}

/// The ASCII letters of an accented Latin letter; nothing for any other character.
fn folded(c: char) -> &'static str {
    let mut lower = c.to_lowercase();
    match lower.next().unwrap_or(c) {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' | 'ª' | 'ả' | 'ạ' | 'ấ' | 'ầ' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' | 'ẽ' | 'ế' | 'ề' => "e",
        'ĝ' | 'ğ' | 'ġ' | 'ģ' => "g",
        'ĥ' | 'ħ' => "h",
        'ì' | 'í' | 'î' | 'ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => "i",
        'ĵ' => "j",
        'ķ' => "k",
        'ĺ' | 'ļ' | 'ľ' | 'ŀ' | 'ł' => "l",
        'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ŏ' | 'ő' | 'º' | 'ố' | 'ồ' | 'ơ' => "o",
        'œ' => "oe",
        'ŕ' | 'ŗ' | 'ř' => "r",
        'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => "s",
        'ß' => "ss",
        'ţ' | 'ť' | 'ŧ' | 'ț' => "t",
        'þ' => "th",
        'ù' | 'ú' | 'û' | 'ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' | 'ư' => "u",
        'ŵ' => "w",
        'ý' | 'ÿ' | 'ŷ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        // A capital whose small form is plain ASCII and an accent of its own.
        'i' => "i",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_become_slugs() {
        for (name, slug) in [
            ("Late delivery", Some("late-delivery")),
            ("Reclamação: atraso na entrega!", Some("reclamacao-atraso-na-entrega")),
            ("  ÀÉÎÕÜ ç Ñ  ", Some("aeiou-c-n")),
            ("Reclamac\u{327}a\u{303}o", Some("reclamacao")), // accents as characters of their own
            ("Straße Ærø Łódź", Some("strasse-aero-lodz")),
            ("İstanbul", Some("istanbul")),
            ("Customer's choice", Some("customers-choice")),
            ("vip_customer", Some("vip-customer")),
            ("C++ / C#", Some("c-c")),
            ("--a--", Some("a")),
            ("1ª via", Some("1a-via")),
            ("重要", None),
            ("重要 vip", Some("vip")),
            ("", None),
            ("!!!", None),
        ] {
            assert_eq!(from_name(name).as_deref(), slug, "{name}");
        }
        assert_eq!(from_name(&"a".repeat(80)).map(|s| s.len()), Some(64));
        assert_eq!(from_name(&format!("{} b", "a".repeat(63))), Some("a".repeat(63)), "no hyphen at the end");
    }

    #[test]
    fn given_slugs_are_checked() {
        for good in ["a", "late-delivery", "vip_customer", "2024", "a--b", &"a".repeat(64)] {
            assert_eq!(check(good, ""), Ok(()), "{good}");
        }
        for (bad, code) in [
            ("", "required"),
            ("-a", "invalid_slug"),
            ("a-", "invalid_slug"),
            ("_a", "invalid_slug"),
            ("Late", "invalid_slug"),
            ("a b", "invalid_slug"),
            ("ação", "invalid_slug"),
            ("a/b", "invalid_slug"),
            (&*"a".repeat(65), "too_long"),
        ] {
            let error = check(bad, "/slug").unwrap_err();
            assert_eq!((error.pointer.as_str(), error.code), ("/slug", code), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_a_name_gives_is_a_slug_and_its_own_slug(name in "[a-zA-ZÀ-ž0-9 ._-]{0,100}|.{0,40}") {
            if let Some(slug) = from_name(&name) {
                prop_assert_eq!(check(&slug, ""), Ok(()));
                prop_assert_eq!(from_name(&slug), Some(slug));
            }
        }
    }
}
