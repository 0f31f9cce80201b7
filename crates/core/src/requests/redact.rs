//! Bodies as they may be kept: cut, and without what opens something.

/// Most bytes of a body that are kept.
pub const BODY_LIMIT: usize = 16 * 1024;
/// What stands where a secret was.
const MASK: &str = "***";
/// What names of members end with whose values are secrets, in lower case and without `_`.
const SECRET_ENDINGS: [&str; 5] = ["password", "secret", "token", "identifierhash", "authorization"];
/// What secrets of ours begin with, wherever they stand.
const SECRET_PREFIXES: [&str; 6] = ["sa_live_", "sa_test_", "sk_live_", "sk_test_", "whsec_", "whsk_"];

/// The first [`BODY_LIMIT`] bytes of a JSON text with every secret in it masked; the text need not be whole or valid.
/// None where it is not UTF-8.
pub fn redacted(body: &[u8]) -> Option<String> {
    let end = body.len().min(BODY_LIMIT);
    let text = match std::str::from_utf8(&body[..end]) {
        Ok(text) => text,
        // A character that was cut in two is not the sender's fault.
        Err(error) if body.len() > BODY_LIMIT && error.error_len().is_none() => {
            std::str::from_utf8(&body[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let mut kept = String::with_capacity(text.len());
    let (mut rest, mut name): (&str, Option<&str>) = (text, None);
    while let Some(start) = rest.find('"') {
        let inside = &rest[start + 1..];
        let string = &inside[..closing(inside)];
        let after = &inside[string.len()..];
        let follows = after.strip_prefix('"').unwrap_or("");
        let is_name = follows.trim_start().starts_with(':');
        // Between a name and its string stands a colon and nothing else; after anything else the name has passed.
        let between = rest[..start].trim();
        let of = name.filter(|_| between == ":");
        let secret = !is_name && (of.is_some_and(is_secret_member) || holds_secret(string));
        // No NUL: PostgreSQL holds none in a text.
        kept.push_str(&rest[..=start]);
        kept.push_str(if secret { MASK } else { string });
        if after.starts_with('"') {
            kept.push('"');
        }
        name = is_name.then_some(string);
        rest = follows;
    }
    kept.push_str(rest);
    Some(kept.replace('\0', ""))
}

/// Length of a string up to its closing quote, or to the end of the text.
fn closing(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index,
            _ => {}
        }
    }
    text.len()
}

fn is_secret_member(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| *c != '_').flat_map(char::to_lowercase).collect();
    SECRET_ENDINGS.iter().any(|ending| plain.ends_with(ending))
}

fn holds_secret(string: &str) -> bool {
    SECRET_PREFIXES.iter().any(|prefix| string.contains(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_masked_and_nothing_else() {
        for (body, expected) in [
            (r#"{"name":"a","scopes":["b"]}"#, r#"{"name":"a","scopes":["b"]}"#),
            (r#"{"id":1,"key":"sa_live_abc","prefix":"x"}"#, r#"{"id":1,"key":"***","prefix":"x"}"#),
            (r#"{"customFields":{"key":"order"}}"#, r#"{"customFields":{"key":"order"}}"#),
            (r#"{ "password" : "a\"b" , "b":"c"}"#, r#"{ "password" : "***" , "b":"c"}"#),
            (r#"{"access_token":"t","accessToken":"u"}"#, r#"{"access_token":"***","accessToken":"***"}"#),
            (r#"{"webhookSecret":"t","secretPrefix":"u"}"#, r#"{"webhookSecret":"***","secretPrefix":"u"}"#),
            (r#"{"secret":null,"a":"secret"}"#, r#"{"secret":null,"a":"secret"}"#),
            (r#"{"secret":{"a":"b"},"url":"https://x/?k=whsec_abc"}"#, r#"{"secret":{"a":"b"},"url":"***"}"#),
            (r#"{"text":"cut","password":"hunt"#, r#"{"text":"cut","password":"***"#),
            ("plain \u{0}text", "plain text"),
        ] {
            assert_eq!(redacted(body.as_bytes()).as_deref(), Some(expected));
        }
        assert_eq!(redacted(&[b'a', 0xff]), None);
    }

    #[test]
    fn a_long_body_is_cut_between_characters() {
        let body = format!("a{}", "é".repeat(BODY_LIMIT));
        let kept = redacted(body.as_bytes()).unwrap();
        assert!(kept.len() < BODY_LIMIT + 1 && kept.ends_with('é'));
    }

    proptest! {
        #[test]
        fn no_body_panics_and_no_password_stays(text in "[\"\\\\:{},a-z é]{0,60}", password in "[a-z]{12,20}") {
            redacted(text.as_bytes());
            let body = serde_json::json!({"a": text, "password": password, "z": [text]}).to_string();
            prop_assert!(!redacted(body.as_bytes()).unwrap().contains(&password));
        }
    }
}
