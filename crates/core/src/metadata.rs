//! Limits of the free-form metadata object: 16 KiB of JSON and 50 keys (contract D3.7).
//!
//! Metadata is kept as the text it came in and never read by us, so the check reads its bytes once and builds nothing. It
//! also bounds how deep the object nests: readers of JSON, ours included, refuse what nests too deep, and what is stored once
//! must be readable for ever.

use serde_json::value::RawValue;

use crate::FieldError;

/// Longest metadata, in bytes of its JSON text as sent.
pub const METADATA_LIMIT: usize = 16 * 1024;
/// Most keys of the object itself; keys of objects inside it do not count.
pub const METADATA_KEYS_LIMIT: usize = 50;
/// Deepest nesting, the object itself included.
pub const METADATA_DEPTH_LIMIT: usize = 32;

/// Whether this may be stored as metadata.
///
/// Errors: `invalid_type` for anything but an object, `too_long`, `too_many`, `too_deep`, at `pointer`.
pub fn check(metadata: &RawValue, pointer: &str) -> Result<(), FieldError> {
    let wrong = |code, message: &str| FieldError { pointer: pointer.to_owned(), code, message: message.to_owned() };
    let text = metadata.get().trim_ascii();
    if !text.starts_with('{') {
        return Err(wrong("invalid_type", "Metadata is an object."));
    }
    if text.len() > METADATA_LIMIT {
        return Err(wrong("too_long", "Metadata has at most 16384 bytes of JSON."));
    }
    let (mut keys, mut depth) = (0, 0);
    let mut bytes = text.bytes();
    // A `RawValue` is JSON already: outside strings these bytes mean what they say.
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' | b'[' => {
                depth += 1;
                if depth > METADATA_DEPTH_LIMIT {
                    return Err(wrong("too_deep", "Metadata nests at most 32 levels."));
                }
            }
            b'}' | b']' => depth -= 1,
            b':' if depth == 1 => keys += 1,
            _ => {}
        }
    }
    if keys > METADATA_KEYS_LIMIT {
        return Err(wrong("too_many", "Metadata has at most 50 keys."));
    }
    Ok(())
}

/// Moves past the end of a string whose opening quote is read.
fn skip_string(bytes: &mut std::str::Bytes<'_>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => _ = bytes.next(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    fn code(text: &str) -> Result<(), &'static str> {
        let raw: &RawValue = serde_json::from_str(text).unwrap();
        check(raw, "/metadata").map_err(|error| {
            assert_eq!(error.pointer, "/metadata");
            error.code
        })
    }

    fn keys(count: usize) -> String {
        Value::Object((0..count).map(|n| (format!("k{n}"), json!(n))).collect::<Map<_, _>>()).to_string()
    }

    #[test]
    fn limits_hold_to_the_last_byte_and_key() {
        assert_eq!(code("{}"), Ok(()));
        assert_eq!(code(" { \"a\" : [1, {\"b\": null}] } "), Ok(()));
        for other in ["[]", "null", "\"{}\"", "1"] {
            assert_eq!(code(other), Err("invalid_type"), "{other}");
        }
        assert_eq!(code(&keys(50)), Ok(()));
        assert_eq!(code(&keys(51)), Err("too_many"));
        assert_eq!(code(&format!("{{\"inner\":{}}}", keys(51))), Ok(()), "only its own keys count");
        let of_length = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        assert_eq!(code(&of_length(METADATA_LIMIT)), Ok(()));
        assert_eq!(code(&of_length(METADATA_LIMIT + 1)), Err("too_long"));
        let of_depth = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert_eq!(code(&of_depth(METADATA_DEPTH_LIMIT)), Ok(()));
        assert_eq!(code(&of_depth(METADATA_DEPTH_LIMIT + 1)), Err("too_deep"));
    }

    #[test]
    fn strings_are_not_structure() {
        let tricky: String = (0..60).map(|n| format!("\\\"k{n}\\\":1,{{[")).collect();
        assert_eq!(code(&format!("{{\"a\":\"{tricky}\"}}")), Ok(()));
        assert_eq!(code(r#"{"a\\":"\\","b\"":"}"}"#), Ok(()));
    }

    proptest! {
        #[test]
        fn keys_are_counted_as_a_parser_counts_them(
            object in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..60),
            pretty in any::<bool>(),
        ) {
            let value = serde_json::to_value(&object).unwrap();
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let expected = if object.len() > METADATA_KEYS_LIMIT { Err("too_many") } else { Ok(()) };
            prop_assert_eq!(code(&text), expected);
        }
    }
}
