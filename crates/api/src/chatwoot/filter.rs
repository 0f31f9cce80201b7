//! Conditions of `contacts/filter`: joined left to right, "and" binding tighter than "or".

use super::refused::Refused;
use serde_json::Value;
use std::cmp::Ordering;
use tieline_core::contacts::{Contact, handle};
use tieline_core::fields::validate::Definition;
use tieline_core::time::Micros;

/// Conditions of one request.
const LIMIT: usize = 50;

/// One condition about a contact.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    key: String,
    operator: Operator,
    values: Vec<String>,
    /// Whether the next condition is joined by "or".
    ends_group: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Contains,
    DoesNotContain,
    Present,
    NotPresent,
    Greater,
    Less,
    DaysBefore,
    StartsWith,
}

const OPERATORS: [(&str, Operator); 10] = [
    ("equal_to", Operator::Equal),
    ("not_equal_to", Operator::NotEqual),
    ("contains", Operator::Contains),
    ("does_not_contain", Operator::DoesNotContain),
    ("is_present", Operator::Present),
    ("is_not_present", Operator::NotPresent),
    ("is_greater_than", Operator::Greater),
    ("is_less_than", Operator::Less),
    ("days_before", Operator::DaysBefore),
    ("starts_with", Operator::StartsWith),
];

/// Standard keys; custom attributes beside them.
const KEYS: [&str; 11] = [
    "name",
    "phone_number",
    "email",
    "identifier",
    "country_code",
    "city",
    "company_name",
    "created_at",
    "last_activity_at",
    "blocked",
    "labels",
];

/// Reads the conditions.
///
/// Errors: 422 in Chatwoot's words.
pub(super) fn conditions(payload: Option<&Value>, custom: &[Definition]) -> Result<Vec<Condition>, Refused> {
    let list = payload.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().take(LIMIT).map(|item| condition(item, custom)).collect()
}

fn condition(item: &Value, custom: &[Definition]) -> Result<Condition, Refused> {
    let word = |name: &str| item[name].as_str().unwrap_or("");
    let key = word("attribute_key");
    if !KEYS.contains(&key) && !custom.iter().any(|definition| definition.key == key) {
        let text = format!(
            "Invalid attribute key - [{key}]. The key should be one of [{}] or a custom attribute defined in the account.",
            KEYS.join(",")
        );
        return Err(Refused::unprocessable(&text));
    }
    let operator = OPERATORS.iter().find(|(name, _)| *name == word("filter_operator"));
    let Some((_, operator)) = operator else {
        let names: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).collect();
        let text = format!("Invalid operator. The allowed operators for {key} are [{}].", names.join(","));
        return Err(Refused::unprocessable(&text));
    };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    let values: Vec<String> = match &item["values"] {
        Value::Array(list) => list.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    };
    if values.is_empty() && !matches!(operator, Operator::Present | Operator::NotPresent) {
        return Err(Refused::unprocessable(&format!("Invalid value. The values provided for {key} are invalid")));
    }
    let ends_group = match item["query_operator"].as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("or") => true,
        Some("and" | "") | None => false,
        Some(_) => return Err(Refused::unprocessable("Query operator must be either \"AND\" or \"OR\".")),
    };
    Ok(Condition { key: key.to_owned(), operator: *operator, values, ends_group })
}

/// Whether a contact meets them all, group by group; nothing asked is met by everybody.
pub(super) fn meets(conditions: &[Condition], contact: &Contact, now: i64) -> bool {
    let mut groups = conditions.split_inclusive(|condition| condition.ends_group);
    conditions.is_empty() || groups.any(|group| group.iter().all(|condition| condition.is_met(contact, now)))
}

/// The addresses that are asked for, when nothing but equal addresses joined by "or" is asked for: they are found by index.
pub(super) fn addresses(conditions: &[Condition]) -> Option<Vec<(&'static str, String)>> {
    let mut found = Vec::new();
    for (index, condition) in conditions.iter().enumerate() {
        let kind = match condition.key.as_str() {
            "phone_number" => handle::PHONE,
            "email" => handle::EMAIL,
            "identifier" => handle::EXTERNAL_ID,
            _ => return None,
        };
        let is_last = index + 1 == conditions.len();
        if condition.operator != Operator::Equal || !(is_last || condition.ends_group) {
            return None;
        }
        found.extend(condition.values.iter().map(|value| match kind {
            handle::PHONE => (kind, plus(value)),
            handle::EMAIL => (kind, value.to_lowercase()),
            _ => (kind, value.clone()),
        }));
    }
    (!found.is_empty()).then_some(found)
}

/// Numbers are compared with one `+` in front: bridges send digits only.
fn plus(value: &str) -> String {
    format!("+{}", value.trim().trim_start_matches('+'))
}

impl Condition {
    fn is_met(&self, contact: &Contact, now: i64) -> bool {
        let value = self.value(contact);
        let value = value.as_deref().map(str::to_lowercase).filter(|text| !text.is_empty());
        let wanted: Vec<String> = match self.key.as_str() {
            "phone_number" => self.values.iter().map(|value| plus(value)).collect(),
            _ => self.values.iter().map(|value| value.to_lowercase()).collect(),
        };
        let any = |test: &dyn Fn(&str, &str) -> bool| {
            value.as_deref().is_some_and(|value| wanted.iter().any(|wanted| test(value, wanted)))
        };
        let bare = |text: &str| text.trim_start_matches('+').to_owned();
        match self.operator {
            Operator::Equal => any(&|value, wanted| value == wanted),
            Operator::NotEqual => !any(&|value, wanted| value == wanted),
            Operator::Contains => any(&|value, wanted| value.contains(&bare(wanted))),
            Operator::DoesNotContain => !any(&|value, wanted| value.contains(&bare(wanted))),
            Operator::Present => value.is_some(),
            Operator::NotPresent => value.is_none(),
            Operator::StartsWith => any(&|value, wanted| value.starts_with(wanted)),
            Operator::Greater => any(&|value, wanted| compare(value, wanted) == Some(Ordering::Greater)),
            Operator::Less => any(&|value, wanted| compare(value, wanted) == Some(Ordering::Less)),
            Operator::DaysBefore => {
                let days: i64 = self.values.first().and_then(|days| days.parse().ok()).unwrap_or(0);
                let at = Micros(now.saturating_sub(days.saturating_mul(86_400_000_000))).rfc3339();
                value.is_some_and(|value| compare(&value, &at.as_str().to_lowercase()) == Some(Ordering::Less))
            }
        }
    }

    fn value(&self, contact: &Contact) -> Option<String> {
        let member = |object: &str, key: &str| match serde_json::from_str::<Value>(object).ok()?.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        match self.key.as_str() {
            "name" => Some(contact.name.clone()),
            "phone_number" => contact.phone.clone(),
            "email" => contact.email.clone(),
            "identifier" => contact.external_id.clone(),
            "blocked" => Some(contact.is_blocked.to_string()),
            "created_at" => Some(Micros(contact.created_at).rfc3339().as_str().to_owned()),
            "last_activity_at" => Some(Micros(contact.updated_at).rfc3339().as_str().to_owned()),
            "labels" => None,
            "country_code" | "city" | "company_name" => member(&contact.metadata, &self.key),
            key => member(&contact.custom_fields, key),
        }
    }
}

/// Numbers as numbers, everything else (dates too) as text.
fn compare(a: &str, b: &str) -> Option<Ordering> {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.partial_cmp(&b),
        _ => Some(a.cmp(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tieline_core::ids::ContactId;

    fn contact() -> Contact {
        Contact {
            id: ContactId::from_uuid(uuid::Uuid::nil()),
            number: 1,
            name: "Ana Lima".into(),
            email: Some("ana@example.com".into()),
            phone: Some("+5511987654321".into()),
            external_id: None,
            custom_fields: "{\"tier\":\"Gold\",\"seats\":12}".into(),
            metadata: "{\"city\":\"Recife\"}".into(),
            is_blocked: false,
            avatar_url: None,
            created_at: 1_700_000_000_000_000,
            updated_at: 1_700_000_000_000_000,
        }
    }

    fn asked(list: Value) -> bool {
        let definition = |key: &str| Definition {
            key: key.into(),
            name: key.into(),
            field_type: tieline_core::fields::validate::FieldType::Text,
            options: Vec::new(),
        };
        let read = conditions(Some(&list), &[definition("tier"), definition("seats")]).expect("conditions");
        meets(&read, &contact(), 1_700_000_000_000_000 + 3 * 86_400_000_000)
    }

    #[test]
    fn conditions_are_met_or_not() {
        let one = |key: &str, operator: &str, values: Value| {
            asked(
                json!([{"attribute_key": key, "filter_operator": operator, "values": values, "query_operator": null}]),
            )
        };
        assert!(one("phone_number", "equal_to", json!(["5511987654321"])), "digits only");
        assert!(one("phone_number", "equal_to", json!(["+5511987654321"])));
        assert!(one("phone_number", "contains", json!(["98765"])));
        assert!(one("email", "equal_to", json!(["x@example.com", "ANA@example.com"])), "several values mean any");
        assert!(one("tier", "equal_to", json!(["gold"])) && !one("tier", "not_equal_to", json!(["gold"])));
        assert!(one("seats", "is_greater_than", json!([9])) && !one("seats", "is_less_than", json!(["9"])));
        assert!(one("identifier", "is_not_present", json!([])) && one("city", "is_present", json!([])));
        assert!(one("created_at", "days_before", json!([2])) && !one("created_at", "days_before", json!([4])));
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let part = |value: &str, joined: &str| json!({"attribute_key": "name", "filter_operator": "equal_to", "values": [value], "query_operator": joined});
        assert!(asked(json!([part("no", "and"), part("ana lima", "OR"), part("ana lima", "")])));
        assert!(asked(json!([part("ana lima", "or"), part("no", "and"), part("no", "")])));
        assert!(!asked(json!([part("no", "or"), part("ana lima", "and"), part("no", "")])));
    }

    #[test]
    fn wrong_conditions_are_named() {
        for (item, start) in [
            (
                json!({"attribute_key": "x", "filter_operator": "equal_to", "values": ["1"]}),
                "Invalid attribute key - [x].",
            ),
            (json!({"attribute_key": "name", "filter_operator": "like", "values": ["1"]}), "Invalid operator."),
            (json!({"attribute_key": "name", "filter_operator": "equal_to", "values": []}), "Invalid value."),
            (
                json!({"attribute_key": "name", "filter_operator": "equal_to", "values": ["1"], "query_operator": "xor"}),
                "Query operator must be",
            ),
        ] {
            let Err(Refused::Shaped(status, body)) = conditions(Some(&json!([item])), &[]) else { panic!("{item}") };
            assert_eq!(status, 422);
            assert!(body["error"].as_str().expect("text").starts_with(start), "{body}");
        }
    }
}
