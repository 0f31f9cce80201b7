//! Values of custom fields: what a definition accepts (contract B7, D3.6, D3.7).
//!
//! A key that no definition knows is not an error: it is reported back and dropped, so that an integrator's new field does
//! not break its old requests. A wrong type for a known key is one. `required` binds people in the dashboard, never the API.

use std::fmt;

use serde_json::{Map, Value};

use crate::time::is_date;
use crate::{Error, FieldError, Result};

/// Most fields of one entity, and most values in one request.
pub const FIELDS_LIMIT: usize = 100;
/// Longest value of a text field, in characters.
pub const TEXT_LIMIT: usize = 1000;
/// Longest value of a textarea, in bytes.
pub const TEXTAREA_LIMIT: usize = 64 * 1024;
/// Longest key, in characters.
pub const KEY_LIMIT: usize = 64;
/// Most options of a select field.
pub const OPTIONS_LIMIT: usize = 200;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// One line.
    Text,
    /// Many lines.
    Textarea,
    /// A JSON number.
    Number,
    /// A calendar date, `YYYY-MM-DD`.
    Date,
    /// One of the options.
    Select,
    /// True or false.
    Checkbox,
}

impl FieldType {
    /// All of them.
    pub const ALL: [FieldType; 6] = [
        FieldType::Text,
        FieldType::Textarea,
        FieldType::Number,
        FieldType::Date,
        FieldType::Select,
        FieldType::Checkbox,
    ];

    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            FieldType::Text => "text",
            FieldType::Textarea => "textarea",
            FieldType::Number => "number",
            FieldType::Date => "date",
            FieldType::Select => "select",
            FieldType::Checkbox => "checkbox",
        }
    }

    /// The type of a word; `None` for any other text.
    pub fn from_text(text: &str) -> Option<FieldType> {
        FieldType::ALL.into_iter().find(|field_type| field_type.as_str() == text)
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What carries a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Entity {
    /// A contact.
    Contact,
    /// A conversation.
    Conversation,
}

impl Entity {
    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Entity::Contact => "contact",
            Entity::Conversation => "conversation",
        }
    }

    /// The entity of a word; `None` for any other text.
    pub fn from_text(text: &str) -> Option<Entity> {
        [Entity::Contact, Entity::Conversation].into_iter().find(|entity| entity.as_str() == text)
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One choice of a select field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectOption {
    /// What people read.
    pub label: String,
    /// What is stored and sent.
    pub value: String,
}

/// A custom field, as far as its values care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name in requests and rules; see [`check_key`].
    pub key: String,
    /// What people read.
    pub name: String,
    /// What it holds; never changes.
    pub field_type: FieldType,
    /// The choices of a select field, else empty.
    pub options: Vec<SelectOption>,
}

/// What a request's values come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accepted {
    /// Values to store, by key; null clears.
    pub values: Map<String, Value>,
    /// Keys that no definition knows, in order; the answer names them.
    pub ignored: Vec<String>,
}

impl Accepted {
    /// Writes the values into what is stored.
    pub fn apply(self, stored: &mut Map<String, Value>) {
        for (key, value) in self.values {
            if value.is_null() {
                stored.remove(&key);
            } else {
                stored.insert(key, value);
            }
        }
    }
}

/// Whether a key may name a field: a lowercase letter, then up to 63 lowercase letters, digits or `_`.
///
/// Errors: `required` or `invalid_key` at `pointer`.
pub fn check_key(key: &str, pointer: &str) -> Result<(), FieldError> {
    let wrong = |code, message: &str| FieldError { pointer: pointer.to_owned(), code, message: message.to_owned() };
    let Some(first) = key.bytes().next() else { return Err(wrong("required", "Give a key.")) };
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if !first.is_ascii_lowercase() || key.len() > KEY_LIMIT || !key.bytes().all(rest) {
        return Err(wrong(
            "invalid_key",
            "A key starts with a letter a to z and has at most 64 of a to z, 0 to 9 and _, such as order_number.",
        ));
    }
    Ok(())
}

/// Whether these may be the options of a field of this type: 1 to [`OPTIONS_LIMIT`] different values for a select, none
/// for any other.
///
/// Errors: `required`, `not_allowed`, `too_many` at `pointer`; `required`, `too_long` or `duplicate` at
/// `pointer/<index>/value`, all at once.
pub fn check_options(field_type: FieldType, options: &[SelectOption], pointer: &str) -> Result<()> {
    if field_type != FieldType::Select {
        return if options.is_empty() {
            Ok(())
        } else {
            Err(Error::field(pointer, "not_allowed", "Only a select field has options."))
        };
    }
    if options.is_empty() {
        return Err(Error::field(pointer, "required", "A select field needs options."));
    }
    if options.len() > OPTIONS_LIMIT {
        return Err(Error::field(pointer, "too_many", "A select field has at most 200 options."));
    }
    let mut seen = std::collections::HashSet::with_capacity(options.len());
    let mut wrong = Vec::new();
    for (index, option) in options.iter().enumerate() {
        let (code, message) = if option.value.is_empty() {
            ("required", "An option needs a value.")
        } else if exceeds(&option.value, TEXT_LIMIT) {
            ("too_long", "The value of an option has at most 1000 characters.")
        } else if !seen.insert(option.value.as_str()) {
            ("duplicate", "Another option has this value.")
        } else {
            continue;
        };
        wrong.push(FieldError { pointer: format!("{pointer}/{index}/value"), code, message: message.to_owned() });
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::invalid(wrong)) }
}

/// Sorts a request's values into accepted and ignored; `pointer` is where they stand, e.g. `/customFields`.
///
/// Errors: every wrong value at once, at `pointer/<key>`: `invalid_type`, `invalid_format`, `too_long`, `unknown_option`;
/// `too_many` at `pointer`.
pub fn validate(
    definitions: &[Definition],
    incoming: Map<String, Value>,
    pointer: &str,
) -> Result<Accepted, Vec<FieldError>> {
    if incoming.len() > FIELDS_LIMIT {
        return Err(vec![FieldError {
            pointer: pointer.to_owned(),
            code: "too_many",
            message: "Give at most 100 custom fields.".to_owned(),
        }]);
    }
    let mut accepted = Accepted::default();
    let mut wrong = Vec::new();
    for (key, value) in incoming {
        // A hundred keys at most: a walk is cheaper than an index.
        match definitions.iter().find(|definition| definition.key == key) {
            None => accepted.ignored.push(key),
            Some(definition) => match definition.refuses(&value) {
                None => _ = accepted.values.insert(key, value),
                // Keys of definitions hold nothing that a pointer must escape.
                Some((code, message)) => wrong.push(FieldError {
                    pointer: format!("{pointer}/{key}"),
                    code,
                    message: format!("The field {key} {message}."),
                }),
            },
        }
    }
    if wrong.is_empty() { Ok(accepted) } else { Err(wrong) }
}

impl Definition {
    /// Why this value cannot be stored here, as a code and the end of a sentence.
    fn refuses(&self, value: &Value) -> Option<(&'static str, &'static str)> {
        match (self.field_type, value) {
            (_, Value::Null) | (FieldType::Number, Value::Number(_)) | (FieldType::Checkbox, Value::Bool(_)) => None,
            (FieldType::Text, Value::String(text)) => {
                exceeds(text, TEXT_LIMIT).then_some(("too_long", "takes at most 1000 characters"))
            }
            (FieldType::Textarea, Value::String(text)) => {
                (text.len() > TEXTAREA_LIMIT).then_some(("too_long", "takes at most 65536 bytes"))
            }
            (FieldType::Date, Value::String(text)) => {
                (!is_date(text)).then_some(("invalid_format", "takes a date such as 2026-05-10"))
            }
            (FieldType::Select, Value::String(text)) => (!self.options.iter().any(|option| option.value == *text))
                .then_some(("unknown_option", "takes one of its options")),
            (field_type, _) => Some((
                "invalid_type",
                match field_type {
                    FieldType::Text | FieldType::Textarea => "takes text",
                    FieldType::Number => "takes a number",
                    FieldType::Date => "takes a date such as 2026-05-10",
                    FieldType::Select => "takes the value of one of its options",
                    FieldType::Checkbox => "takes true or false",
                },
            )),
        }
    }
}

/// Whether the text has more characters than the limit; counts only when its bytes leave it open.
fn exceeds(text: &str, characters: usize) -> bool {
    text.len() > characters && text.chars().nth(characters).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn definition(field_type: FieldType) -> Definition {
        let options =
            ["gold", "silver"].map(|value| SelectOption { label: value.to_uppercase(), value: value.to_owned() });
        Definition {
            key: field_type.as_str().to_owned(),
            name: "A field".to_owned(),
            field_type,
            options: if field_type == FieldType::Select { options.to_vec() } else { Vec::new() },
        }
    }

    fn definitions() -> Vec<Definition> {
        FieldType::ALL.map(definition).to_vec()
    }

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn every_type_takes_its_own_values() {
        let all =
            [json!("gold"), json!("2026-02-28"), json!("2026-02-30"), json!(1.5), json!(true), json!([]), json!({})];
        let table = [
            // type, then the answer to each of the above
            (FieldType::Text, ["", "", "", "invalid_type", "invalid_type", "invalid_type", "invalid_type"]),
            (FieldType::Textarea, ["", "", "", "invalid_type", "invalid_type", "invalid_type", "invalid_type"]),
            (
                FieldType::Number,
                ["invalid_type", "invalid_type", "invalid_type", "", "invalid_type", "invalid_type", "invalid_type"],
            ),
            (
                FieldType::Date,
                [
                    "invalid_format",
                    "",
                    "invalid_format",
                    "invalid_type",
                    "invalid_type",
                    "invalid_type",
                    "invalid_type",
                ],
            ),
            (
                FieldType::Select,
                [
                    "",
                    "unknown_option",
                    "unknown_option",
                    "invalid_type",
                    "invalid_type",
                    "invalid_type",
                    "invalid_type",
                ],
            ),
            (
                FieldType::Checkbox,
                ["invalid_type", "invalid_type", "invalid_type", "invalid_type", "", "invalid_type", "invalid_type"],
            ),
        ];
        for (field_type, answers) in table {
            let definition = definition(field_type);
            assert_eq!(definition.refuses(&Value::Null), None, "null clears a {field_type}");
            for (value, answer) in all.iter().zip(answers) {
                assert_eq!(
                    definition.refuses(value).map_or("", |(code, _)| code),
                    answer,
                    "{field_type} takes {value}"
                );
            }
        }
    }

    #[test]
    fn long_values_are_refused_at_the_limit() {
        let text = |count: usize| Value::String("é".repeat(count));
        let code = |field_type, value| definition(field_type).refuses(&value).map(|(code, _)| code);
        assert_eq!(code(FieldType::Text, text(TEXT_LIMIT)), None);
        assert_eq!(code(FieldType::Text, text(TEXT_LIMIT + 1)), Some("too_long"));
        assert_eq!(code(FieldType::Textarea, text(TEXTAREA_LIMIT / 2)), None);
        assert_eq!(code(FieldType::Textarea, text(TEXTAREA_LIMIT / 2 + 1)), Some("too_long"));
    }

    #[test]
    fn unknown_keys_are_ignored_and_wrong_values_named_together() {
        let incoming = object(json!({"text": "a", "number": null, "plan/x": 1, "unknown": {}}));
        let accepted = validate(&definitions(), incoming, "/customFields").unwrap();
        assert_eq!(Value::Object(accepted.values.clone()), json!({"text": "a", "number": null}));
        assert_eq!(accepted.ignored, ["plan/x", "unknown"]);
        let mut stored = object(json!({"number": 1, "date": "2026-01-01"}));
        accepted.apply(&mut stored);
        assert_eq!(Value::Object(stored), json!({"text": "a", "date": "2026-01-01"}));

        let incoming = object(json!({"select": "bronze", "checkbox": "yes", "text": "a", "unknown": 1}));
        let wrong = validate(&definitions(), incoming, "/customFields").unwrap_err();
        let wrong: Vec<_> = wrong.iter().map(|field| (field.pointer.as_str(), field.code)).collect();
        assert_eq!(wrong, [("/customFields/checkbox", "invalid_type"), ("/customFields/select", "unknown_option")]);
    }

    #[test]
    fn a_request_has_at_most_a_hundred_values() {
        let many = |count| (0..count).map(|n| (format!("k{n}"), json!(1))).collect::<Map<_, _>>();
        assert_eq!(validate(&[], many(100), "/customFields").unwrap().ignored.len(), 100);
        assert_eq!(validate(&[], many(101), "/customFields").unwrap_err()[0].code, "too_many");
    }

    #[test]
    fn keys_have_a_shape() {
        for good in ["a", "order_number", "tier2", &*"a".repeat(64)] {
            assert_eq!(check_key(good, ""), Ok(()), "{good}");
        }
        for bad in ["2tier", "_a", "Tier", "a-b", "a.b", "a/b", "ção", "a b", &*"a".repeat(65)] {
            assert_eq!(check_key(bad, "/key").unwrap_err().code, "invalid_key", "{bad}");
        }
        assert_eq!(check_key("", "/key").unwrap_err().code, "required");
    }

    #[test]
    fn options_belong_to_a_select() {
        let options = |values: &[&str]| {
            values
                .iter()
                .map(|value| SelectOption { label: String::new(), value: (*value).to_owned() })
                .collect::<Vec<_>>()
        };
        let errors = |field_type, values: &[&str]| match check_options(field_type, &options(values), "/options") {
            Ok(()) => Vec::new(),
            Err(error) => error.fields.into_iter().map(|field| (field.pointer, field.code)).collect(),
        };
        let at = |pointer: &str, code| (pointer.to_owned(), code);
        assert_eq!(errors(FieldType::Select, &["a", "b"]), []);
        assert_eq!(errors(FieldType::Text, &[]), []);
        assert_eq!(errors(FieldType::Text, &["a"]), [at("/options", "not_allowed")]);
        assert_eq!(errors(FieldType::Select, &[]), [at("/options", "required")]);
        assert_eq!(errors(FieldType::Select, &["a"; 201]), [at("/options", "too_many")]);
        assert_eq!(
            errors(FieldType::Select, &["a", "", "a", &"x".repeat(1001)]),
            [
                at("/options/1/value", "required"),
                at("/options/2/value", "duplicate"),
                at("/options/3/value", "too_long")
            ]
        );
    }

    #[test]
    fn words_survive_storage() {
        assert_eq!(FieldType::ALL.map(FieldType::as_str).join(" "), "text textarea number date select checkbox");
        for field_type in FieldType::ALL {
            assert_eq!(FieldType::from_text(field_type.as_str()), Some(field_type));
        }
        for entity in [Entity::Contact, Entity::Conversation] {
            assert_eq!(Entity::from_text(entity.as_str()), Some(entity));
        }
        assert_eq!((FieldType::from_text("Text"), Entity::from_text("case")), (None, None));
    }

    proptest! {
        #[test]
        fn no_value_is_lost_between_accepted_and_ignored(keys in prop::collection::btree_set("text|number|[a-c]{1,2}", 0..8)) {
            let incoming: Map<_, _> = keys.iter().map(|key| (key.clone(), Value::Null)).collect();
            let accepted = validate(&definitions(), incoming, "").unwrap();
            let mut together: Vec<_> = accepted.values.keys().cloned().chain(accepted.ignored).collect();
            together.sort();
            prop_assert_eq!(together, keys.into_iter().collect::<Vec<_>>());
        }
    }
}
