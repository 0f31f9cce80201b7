//! Conditions of `contacts/filter` and `conversations/filter`: joined left to right, "and" binding tighter than "or".

use super::refused::Refused;
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::HashMap;
use tieline_core::contacts::{Contact, handle};
use tieline_core::conversations::{Conversation, Priority};
use tieline_core::fields::validate::Definition;
use tieline_core::ids::{InboxId, TeamId, TenantId, UserId};
use tieline_core::page::Page;
use tieline_core::time::Micros;
use tieline_core::{inboxes, teams, users};
use tieline_db::Read;
use tieline_wire::chatwoot::conversation::status;

/// Conditions of one request.
const LIMIT: usize = 50;
/// Users and teams whose numbers are known to a filter.
const NUMBERS: i64 = 1000;

/// One condition.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    key: String,
    operator: Operator,
    values: Vec<String>,
    /// Whether the next condition is joined by "or".
    ends_group: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
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

use Operator::{Contains, DaysBefore, DoesNotContain, Equal, Greater, Less, NotEqual, NotPresent, Present, StartsWith};

const OPERATORS: [(&str, Operator); 10] = [
    ("equal_to", Equal),
    ("not_equal_to", NotEqual),
    ("contains", Contains),
    ("does_not_contain", DoesNotContain),
    ("is_present", Present),
    ("is_not_present", NotPresent),
    ("is_greater_than", Greater),
    ("is_less_than", Less),
    ("days_before", DaysBefore),
    ("starts_with", StartsWith),
];

/// What may be asked of a kind of value.
const TEXT: &[Operator] = &[Equal, NotEqual, Contains, DoesNotContain, Present, NotPresent];
const PHONE: &[Operator] = &[Equal, NotEqual, Contains, DoesNotContain, Present, NotPresent, StartsWith];
const CHOICE: &[Operator] = &[Equal, NotEqual, Present, NotPresent];
const TIME: &[Operator] = &[Greater, Less, DaysBefore, Present, NotPresent];
const CUSTOM: &[Operator] =
    &[Equal, NotEqual, Contains, DoesNotContain, Present, NotPresent, Greater, Less, DaysBefore];

/// Standard keys with what may be asked of them; custom attributes beside them.
pub(super) type Keys = [(&'static str, &'static [Operator])];

pub(super) const OF_CONTACTS: [(&str, &[Operator]); 11] = [
    ("name", TEXT),
    ("phone_number", PHONE),
    ("email", TEXT),
    ("identifier", TEXT),
    ("country_code", TEXT),
    ("city", TEXT),
    ("company_name", TEXT),
    ("labels", CHOICE),
    ("created_at", TIME),
    ("last_activity_at", TIME),
    ("blocked", CHOICE),
];

pub(super) const OF_CONVERSATIONS: [(&str, &[Operator]); 16] = [
    ("status", CHOICE),
    ("assignee_id", CHOICE),
    ("inbox_id", CHOICE),
    ("team_id", CHOICE),
    ("contact_id", CHOICE),
    ("priority", CHOICE),
    ("display_id", TEXT),
    ("campaign_id", CHOICE),
    ("labels", CHOICE),
    ("browser_language", CHOICE),
    ("conversation_language", CHOICE),
    ("country_code", CHOICE),
    ("referer", TEXT),
    ("mail_subject", TEXT),
    ("created_at", TIME),
    ("last_activity_at", TIME),
];

/// Reads the conditions.
///
/// Errors: 422 in Chatwoot's words.
pub(super) fn conditions(
    payload: Option<&Value>,
    keys: &Keys,
    custom: &[Definition],
) -> Result<Vec<Condition>, Refused> {
    let list = payload.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().take(LIMIT).map(|item| condition(item, keys, custom)).collect()
}

fn condition(item: &Value, keys: &Keys, custom: &[Definition]) -> Result<Condition, Refused> {
    let word = |name: &str| item[name].as_str().unwrap_or("");
    let key = word("attribute_key");
    let standard = keys.iter().find(|(name, _)| *name == key).map(|(_, allowed)| *allowed);
    let allowed = standard.or_else(|| custom.iter().any(|definition| definition.key == key).then_some(CUSTOM));
    let Some(allowed) = allowed else {
        let names: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
        let text = format!(
            "Invalid attribute key - [{key}]. The key should be one of [{}] or a custom attribute defined in the account.",
            names.join(",")
        );
        return Err(Refused::unprocessable(&text));
    };
    let operator =
        OPERATORS.iter().find(|(name, operator)| *name == word("filter_operator") && allowed.contains(operator));
    let Some((_, operator)) = operator else {
        let names = OPERATORS.iter().filter(|(_, operator)| allowed.contains(operator)).map(|(name, _)| *name);
        let names = names.collect::<Vec<_>>().join(",");
        let text = format!("Invalid operator. The allowed operators for {key} are [{names}].");
        return Err(Refused::unprocessable(&text));
    };
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        // A list of choices as the dashboard holds it.
        Value::Object(choice) => choice.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned)),
        _ => None,
    };
    let values: Vec<String> = match &item["values"] {
        Value::Array(list) => list.iter().filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    };
    let wrong = match operator {
        Present | NotPresent => false,
        Greater | Less if allowed == TIME => values.first().is_none_or(|value| !is_time(value)),
        DaysBefore => values.first().is_none_or(|value| value.trim().parse::<i64>().is_err()),
        _ => values.is_empty(),
    };
    if wrong {
        return Err(Refused::unprocessable(&format!("Invalid value. The values provided for {key} are invalid")));
    }
    let ends_group = match item["query_operator"].as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("or") => true,
        Some("and" | "" | "nil" | "null") | None => false,
        Some(_) => return Err(Refused::unprocessable("Query operator must be either \"AND\" or \"OR\".")),
    };
    Ok(Condition { key: key.to_owned(), operator: *operator, values, ends_group })
}

/// Whether a text begins as a date.
fn is_time(text: &str) -> bool {
    let text = text.trim().as_bytes();
    text.len() >= 10
        && text[..10].iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// Something that conditions are about.
pub(super) trait Subject {
    /// Its values under a key; several only of labels.
    fn values(&self, key: &str) -> Vec<String>;
}

/// Whether it meets them all, group by group; nothing asked is met by everything.
pub(super) fn meets(conditions: &[Condition], subject: &impl Subject, now: i64) -> bool {
    let mut groups = conditions.split_inclusive(|condition| condition.ends_group);
    conditions.is_empty() || groups.any(|group| group.iter().all(|condition| condition.is_met(subject, now)))
}

/// Whether any of the conditions is about this key.
pub(super) fn asks(conditions: &[Condition], key: &str) -> bool {
    conditions.iter().any(|condition| condition.key == key)
}

/// The one value that this key must have in everything that meets the conditions, if they say so.
pub(super) fn forced<'c>(conditions: &'c [Condition], key: &str) -> Option<&'c str> {
    let (last, before) = conditions.split_last()?;
    let joined = before.iter().all(|condition| !condition.ends_group);
    let equal = before.iter().chain([last]).find(|condition| condition.key == key && condition.operator == Equal);
    match equal.map(|condition| condition.values.as_slice()) {
        Some([one]) if joined => Some(one),
        _ => None,
    }
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
        if condition.operator != Equal || !(is_last || condition.ends_group) {
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
    fn is_met(&self, subject: &impl Subject, now: i64) -> bool {
        let own = subject.values(&self.key).into_iter().map(|value| value.to_lowercase());
        let own: Vec<String> = own.filter(|value| !value.is_empty()).collect();
        let wanted: Vec<String> = match self.key.as_str() {
            "phone_number" => self.values.iter().map(|value| plus(value)).collect(),
            _ => self.values.iter().map(|value| value.trim().to_lowercase()).collect(),
        };
        let any = |test: &dyn Fn(&str, &str) -> bool| {
            own.iter().any(|value| wanted.iter().any(|wanted| test(value.as_str(), wanted.as_str())))
        };
        let bare = |text: &str| text.trim_start_matches('+').to_owned();
        match self.operator {
            Equal if self.key == "status" && wanted.iter().any(|wanted| wanted == "all") => true,
            Equal => any(&|value, wanted| value == wanted),
            NotEqual => !any(&|value, wanted| value == wanted),
            Contains => any(&|value, wanted| value.contains(&bare(wanted))),
            DoesNotContain => !any(&|value, wanted| value.contains(&bare(wanted))),
            Present => !own.is_empty(),
            NotPresent => own.is_empty(),
            StartsWith => any(&|value, wanted| value.starts_with(wanted)),
            Greater => any(&|value, wanted| compare(value, wanted) == Some(Ordering::Greater)),
            Less => any(&|value, wanted| compare(value, wanted) == Some(Ordering::Less)),
            DaysBefore => {
                let days: i64 = self.values.first().and_then(|days| days.trim().parse().ok()).unwrap_or(0);
                let at = Micros(now.saturating_sub(days.saturating_mul(86_400_000_000))).rfc3339();
                let at = at.as_str().to_lowercase();
                own.iter().any(|value| compare(value, &at) == Some(Ordering::Less))
            }
        }
    }
}

/// A member of a JSON object, as text.
pub(super) fn member(object: &str, key: &str) -> Option<String> {
    match serde_json::from_str::<Value>(object).ok()?.get(key)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn time(at: i64) -> String {
    Micros(at).rfc3339().as_str().to_owned()
}

/// A contact with its labels.
impl Subject for (&Contact, &[String]) {
    fn values(&self, key: &str) -> Vec<String> {
        let (contact, labels) = self;
        let one = match key {
            "labels" => return labels.to_vec(),
            "name" => Some(contact.name.clone()),
            "phone_number" => contact.phone.clone(),
            "email" => contact.email.clone(),
            "identifier" => contact.external_id.clone(),
            "blocked" => Some(contact.is_blocked.to_string()),
            "created_at" => Some(time(contact.created_at)),
            "last_activity_at" => Some(time(contact.updated_at)),
            "country_code" | "city" | "company_name" => member(&contact.metadata, key),
            key => member(&contact.custom_fields, key),
        };
        one.into_iter().collect()
    }
}

/// Numbers of those whom conversations name by id.
pub(super) struct Numbers {
    users: HashMap<UserId, i64>,
    inboxes: HashMap<InboxId, i64>,
    teams: HashMap<TeamId, i64>,
}

impl Numbers {
    /// Those of a tenant.
    pub fn of(read: &mut Read, tenant: TenantId, live: TenantId) -> tieline_core::Result<Numbers> {
        let users = users::list(read, live, Page::first(NUMBERS))?;
        let teams = teams::list(read, tenant, Page::first(NUMBERS))?;
        Ok(Numbers {
            users: users.into_iter().map(|user| (user.id, user.number)).collect(),
            inboxes: inboxes::by_name(read, tenant)?.into_iter().map(|inbox| (inbox.id, inbox.number)).collect(),
            teams: teams.into_iter().map(|team| (team.id, team.number)).collect(),
        })
    }
}

impl Subject for (&Conversation, &Numbers) {
    fn values(&self, key: &str) -> Vec<String> {
        let (v, numbers) = self;
        let one = match key {
            "labels" => return v.tags.clone(),
            "status" => Some(status(v).to_owned()),
            "assignee_id" => v.agent.and_then(|id| numbers.users.get(&id)).map(i64::to_string),
            "inbox_id" => numbers.inboxes.get(&v.inbox).map(i64::to_string),
            "team_id" => v.team.and_then(|id| numbers.teams.get(&id)).map(i64::to_string),
            "contact_id" => Some(v.contact.number.to_string()),
            "priority" => v.priority.map(|priority| Priority::as_str(priority).to_owned()),
            "display_id" => Some(v.number.to_string()),
            "created_at" => Some(time(v.created_at)),
            "last_activity_at" => Some(time(v.updated_at)),
            "campaign_id"
            | "browser_language"
            | "conversation_language"
            | "country_code"
            | "referer"
            | "mail_subject" => member(&v.metadata, key),
            key => member(&v.custom_fields, key),
        };
        one.into_iter().collect()
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
        let read =
            conditions(Some(&list), &OF_CONTACTS, &[definition("tier"), definition("seats")]).expect("conditions");
        meets(&read, &(&contact(), &["vip".to_owned()][..]), 1_700_000_000_000_000 + 3 * 86_400_000_000)
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
        assert!(one("labels", "equal_to", json!(["late", "vip"])) && !one("labels", "not_equal_to", json!(["vip"])));
        assert!(one("created_at", "is_less_than", json!(["2023-11-15"])));
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
            (
                json!({"attribute_key": "blocked", "filter_operator": "contains", "values": ["t"]}),
                "Invalid operator. The allowed operators for blocked are [equal_to,not_equal_to,is_present,is_not_present].",
            ),
            (json!({"attribute_key": "name", "filter_operator": "equal_to", "values": []}), "Invalid value."),
            (
                json!({"attribute_key": "created_at", "filter_operator": "is_less_than", "values": ["soon"]}),
                "Invalid value.",
            ),
            (
                json!({"attribute_key": "name", "filter_operator": "equal_to", "values": ["1"], "query_operator": "xor"}),
                "Query operator must be",
            ),
        ] {
            let Err(Refused::Shaped(status, body)) = conditions(Some(&json!([item])), &OF_CONTACTS, &[]) else {
                panic!("{item}")
            };
            assert_eq!(status, 422);
            assert!(body["error"].as_str().expect("text").starts_with(start), "{body}");
        }
    }
}
