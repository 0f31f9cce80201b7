//! Whether conditions are met. Pure: what is asked of is given. A field that is not there meets no comparison but "is
//! empty" and the negative ones (contract D6.4). Texts are compared without case.

use super::rule::{Condition, Operator};
use crate::conversations::Conversation;
use crate::conversations::status::Status;
use crate::messages::Message;
use crate::time::Micros;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// What conditions are asked of.
pub struct Facts<'a> {
    /// The conversation, as it is now.
    pub conversation: &'a Conversation,
    /// The message that the event is about.
    pub message: Option<&'a Message>,
    /// What the event changed, by member: `{from, to}`.
    pub changes: &'a Map<String, Value>,
    /// Microseconds UTC.
    pub now: i64,
}

/// Whether any group is met as a whole; nothing asked is always met.
pub fn meets(conditions: &[Vec<Condition>], facts: &Facts) -> bool {
    conditions.is_empty() || conditions.iter().any(|group| group.iter().all(|condition| is_met(condition, facts)))
}

fn is_met(condition: &Condition, facts: &Facts) -> bool {
    let plain = |text: &str| {
        let text = text.to_lowercase();
        if condition.field == "contact.phone" { text.trim_start_matches('+').to_owned() } else { text }
    };
    let wanted: Vec<String> = condition.values.iter().map(|value| plain(value)).collect();
    if condition.operator == Operator::Changed {
        return changed(condition, &wanted, facts);
    }
    let values: Vec<String> = values(&condition.field, facts).iter().map(|value| plain(value)).collect();
    let any =
        |test: &dyn Fn(&str, &str) -> bool| values.iter().any(|value| wanted.iter().any(|wanted| test(value, wanted)));
    match condition.operator {
        Operator::Equals => any(&|value, wanted| value == wanted),
        Operator::NotEquals => !any(&|value, wanted| value == wanted),
        Operator::Contains => any(&|value, wanted| value.contains(wanted)),
        Operator::NotContains => !any(&|value, wanted| value.contains(wanted)),
        Operator::StartsWith => any(&|value, wanted| value.starts_with(wanted)),
        Operator::EndsWith => any(&|value, wanted| value.ends_with(wanted)),
        Operator::IsEmpty => values.is_empty(),
        Operator::IsNotEmpty => !values.is_empty(),
        Operator::GreaterThan => any(&|value, wanted| compare(value, wanted) == Some(Ordering::Greater)),
        Operator::LessThan => any(&|value, wanted| compare(value, wanted) == Some(Ordering::Less)),
        Operator::DaysBefore => {
            let before = |days: &str| {
                let days = days.parse::<i64>().unwrap_or(0).saturating_mul(86_400_000_000);
                Micros(facts.now.saturating_sub(days)).rfc3339().as_str().to_lowercase()
            };
            any(&|value, days| value < before(days).as_str())
        }
        Operator::Changed => false,
    }
}

/// Whether the event changed the field so.
fn changed(condition: &Condition, to: &[String], facts: &Facts) -> bool {
    let Some(name) = condition.field.strip_prefix("conversation.") else { return false };
    // Whether a bot holds it is part of where it stands.
    let names = if name == "status" { &["status", "isHeld"][..] } else { &[name][..] };
    let found: Vec<&Value> = names.iter().filter_map(|name| facts.changes.get(*name)).collect();
    let word = |value: &Value| match value {
        Value::String(text) => Some(text.to_lowercase()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let held = |value: &Value| value.as_bool().map(|held| if held { "pending" } else { "open" }.to_owned());
    let says = |side: &str, wanted: &[String]| {
        let mut words: Vec<String> = found.iter().filter_map(|change| word(&change[side])).collect();
        words.extend(found.iter().filter_map(|change| held(&change[side])));
        if name == "status" && side == "to" {
            words = values(&condition.field, facts);
        } else if words.iter().any(|word| word == "active") {
            words.push("open".to_owned());
        }
        wanted.is_empty() || wanted.iter().any(|wanted| words.contains(wanted))
    };
    let from: Vec<String> = condition.from.iter().map(|value| value.to_lowercase()).collect();
    !found.is_empty() && says("from", &from) && says("to", to)
}

/// What a field holds: nothing, one value, or several.
fn values(field: &str, facts: &Facts) -> Vec<String> {
    let v = facts.conversation;
    let one = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned).into_iter().collect();
    let member = |object: &str, key: &str| match serde_json::from_str::<Map<String, Value>>(object) {
        Ok(members) => match members.get(key) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => one(Some(text)),
            Some(Value::Array(list)) => {
                list.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
            }
            Some(other) => vec![other.to_string()],
        },
        Err(_) => Vec::new(),
    };
    match field {
        "message.body" => one(facts.message.map(|message| message.text.as_str())),
        "message.direction" => one(facts.message.map(|message| message.direction.as_str())),
        "conversation.status" => match (v.status, v.is_held) {
            (Status::Active, true) => vec!["active".into(), "pending".into()],
            (Status::Active, false) => vec!["active".into(), "open".into()],
            (status, _) => vec![status.as_str().into()],
        },
        "conversation.priority" => one(v.priority.map(|priority| priority.as_str())),
        "conversation.subject" => one(v.subject.as_deref()),
        "conversation.channel" => one(Some(v.channel.as_str())),
        "conversation.inboxId" => vec![v.inbox.to_string()],
        "conversation.assignedTeamId" => v.team.map(|id| id.to_string()).into_iter().collect(),
        "conversation.assignedAgentId" => v.agent.map(|id| id.to_string()).into_iter().collect(),
        "conversation.tags" => v.tags.clone(),
        "contact.name" => one(Some(&v.contact.name)),
        "contact.email" => one(v.contact.email.as_deref()),
        "contact.phone" => one(v.contact.phone.as_deref()),
        "contact.externalId" => one(v.contact.external_id.as_deref()),
        other => {
            for (begin, object) in [
                ("conversation.customFields.", &v.custom_fields),
                ("conversation.metadata.", &v.metadata),
                ("contact.customFields.", &v.contact.custom_fields),
                ("contact.metadata.", &v.contact.metadata),
            ] {
                if let Some(key) = other.strip_prefix(begin) {
                    return member(object, key);
                }
            }
            Vec::new()
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
