//! E-mail addresses: one spelling per mailbox.
//!
//! An address is the key a contact is found by, so two spellings of one mailbox must be one text: trimmed and lowercase
//! (contract D3.5). The check is the sensible one, not RFC 5322: it refuses what no mail server would take and what would
//! break a header, and lets through what is merely unusual. Only a delivered message proves an address.

use std::borrow::Cow;

use crate::FieldError;

/// Longest address, in bytes (RFC 5321: a path of 256 with its angle brackets).
pub const EMAIL_LIMIT: usize = 254;
/// Longest part before the `@`, in bytes (RFC 5321).
const LOCAL_LIMIT: usize = 64;
/// Longest label of a domain, in bytes (RFC 1035); an internationalised label in UTF-8 gets the same room.
const LABEL_LIMIT: usize = 63;

/// The one spelling of this address; borrows when it is already that.
///
/// Errors: `required` for nothing but space, `too_long`, `invalid_email`, all at `pointer`.
pub fn normalise<'a>(text: &'a str, pointer: &str) -> Result<Cow<'a, str>, FieldError> {
    let wrong = |code, message: &str| FieldError { pointer: pointer.to_owned(), code, message: message.to_owned() };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(wrong("required", "Give an e-mail address."));
    }
    if trimmed.len() > EMAIL_LIMIT {
        return Err(wrong("too_long", "An e-mail address has at most 254 bytes."));
    }
    let lower = if trimmed.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(trimmed)
    } else {
        Cow::Owned(trimmed.to_lowercase())
    };
    // Lowercase can be longer than what it came from (U+0130).
    if lower.len() > EMAIL_LIMIT || !is_plausible(&lower) {
        return Err(wrong("invalid_email", "This is not an e-mail address; one looks like name@example.com."));
    }
    Ok(lower)
}

/// The name of a contact who gave none: the part before the `@` (contract A5).
pub fn default_name(email: &str) -> &str {
    email.split_once('@').map_or(email, |(local, _)| local)
}

/// The part after the `@`; an organisation is found by it (contract B6).
pub fn domain(email: &str) -> Option<&str> {
    email.split_once('@').map(|(_, domain)| domain)
}

fn is_plausible(address: &str) -> bool {
    let Some((local, domain)) = address.split_once('@') else { return false };
    let local_fits = (1..=LOCAL_LIMIT).contains(&local.len()) && local.chars().all(is_local_char);
    let mut labels = 0;
    let mut last = "";
    for label in domain.split('.') {
        if !is_label(label) {
            return false;
        }
        labels += 1;
        last = label;
    }
    // A name of one label is a host of somebody's own network, digits at the end are an IP address.
    local_fits && labels >= 2 && !last.bytes().all(|b| b.is_ascii_digit())
}

fn is_local_char(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_graphic() && !r#"@<>()[]\,;:""#.contains(c) } else { is_visible(c) }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_LIMIT).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| if c.is_ascii() { c.is_ascii_alphanumeric() || c == '-' } else { is_visible(c) })
}

/// Not a space, a control, or one of the marks that print nothing and make two addresses look alike.
fn is_visible(c: char) -> bool {
    !c.is_whitespace()
        && !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{2000}'..='\u{206f}' | '\u{3002}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ff00}'..='\u{ff0f}' | '\u{ff20}' | '\u{ff61}' | '\u{fff0}'..='\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_mailbox_has_one_spelling() {
        for (given, kept) in [
            ("ana@example.com", "ana@example.com"),
            ("  Ana.Lima+Shop@Example.COM \n", "ana.lima+shop@example.com"),
            ("o'brien@mail.example.co.uk", "o'brien@mail.example.co.uk"),
            ("joão@exämple.com", "joão@exämple.com"),
            ("用户@例子.广告", "用户@例子.广告"),
            ("a@xn--80ak6aa92e.com", "a@xn--80ak6aa92e.com"),
            ("1@1.museum", "1@1.museum"),
        ] {
            assert_eq!(normalise(given, "").as_deref(), Ok(kept));
        }
        assert!(matches!(normalise("ana@example.com", ""), Ok(Cow::Borrowed(_))), "the usual case allocates nothing");
    }

    #[test]
    fn what_is_not_an_address_is_named() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("a@{}.com", "a".repeat(64));
        for bad in [
            "ana",
            "@example.com",
            "ana@",
            "ana@localhost",
            "a@b@example.com",
            "ana lima@example.com",
            "ana@exam ple.com",
            "ana@-example.com",
            "ana@example-.com",
            "ana@.com",
            "ana@example..com",
            "ana@example.com.",
            "ana@10.0.0.1",
            "ana@exa_mple.com",
            "<ana@example.com>",
            "ana@example.com,bia@example.com",
            "ana\r\nbcc:x@example.com",
            "ana\u{200b}@example.com",
            "ana@example\u{3002}com",
            &long_local,
            &long_label,
        ] {
            let error = normalise(bad, "/contact/email").unwrap_err();
            assert_eq!((error.pointer.as_str(), error.code), ("/contact/email", "invalid_email"), "{bad}");
        }
        assert_eq!(normalise(" ", "").unwrap_err().code, "required");
        let longest = format!("a@{}.com", vec!["b".repeat(61); 4].join("."));
        assert_eq!(normalise(&format!("a{longest}"), "").map(|e| e.len()), Ok(EMAIL_LIMIT));
        assert_eq!(normalise(&format!("aa{longest}"), "").unwrap_err().code, "too_long");
    }

    #[test]
    fn name_and_domain_are_its_halves() {
        assert_eq!(default_name("ana.lima@example.com"), "ana.lima");
        assert_eq!(domain("ana.lima@example.com"), Some("example.com"));
        assert_eq!(default_name("no address"), "no address");
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in "\\PC{1,10}@[a-zA-ZäÖİΣ0-9-]{1,8}\\.[a-zA-ZΣ]{2,5}") {
            if let Ok(once) = normalise(&text, "") {
                prop_assert_eq!(normalise(&once, ""), Ok(Cow::Borrowed(&*once)));
                prop_assert!(once.len() <= EMAIL_LIMIT && once.matches('@').count() == 1);
            }
        }

        #[test]
        fn any_text_is_answered(text in ".{0,300}") {
            let _ = normalise(&text, "");
        }
    }
}
