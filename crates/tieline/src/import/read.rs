//! What Chatwoot's answers say, in our words. Whatever is not as it should be counts as not there.

use serde_json::{Map, Value};
use std::collections::HashMap;
use tieline_core::attachments::Attach;
use tieline_core::contacts::{self, Upsert, email, phone};
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{self, Priority};
use tieline_core::fields;
use tieline_core::fields::validate::{Entity, FieldType, SelectOption};
use tieline_core::ids::{BotId, ContactId, InboxId, TeamId, UserId};
use tieline_core::inboxes::Settings;
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::status::DeliveryStatus;
use tieline_core::messages::{self, TEXT};
use tieline_core::teams::CAPACITY_LIMIT;
use tieline_core::time::Micros;
use tieline_core::users::Role;
use tieline_wire::chatwoot::inbox::KEPT;

/// Longest integrator's id, characters.
const EXTERNAL_ID_LIMIT: usize = 255;
/// Longest address of a picture, bytes.
const URL_LIMIT: usize = 2048;
/// Largest values and free-form of a record, bytes.
const OBJECT_LIMIT: usize = 64 * 1024;

/// What people, teams and inboxes of theirs are here, by their numbers there.
#[derive(Clone, Default)]
pub struct Known {
    pub users: HashMap<i64, UserId>,
    pub teams: HashMap<i64, TeamId>,
    pub inboxes: HashMap<i64, InboxId>,
    pub bots: HashMap<i64, BotId>,
    /// Titles of labels.
    pub labels: Vec<String>,
}

/// A whole number, also as text.
pub fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A text that says something, without NUL, which no database of ours holds.
pub fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?.replace('\0', "");
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// An instant: seconds, perhaps with a fraction, or ISO text. 0 is never.
pub fn time(value: &Value) -> Option<i64> {
    let at = match value {
        Value::Number(number) => match number.as_i64() {
            Some(seconds) => seconds.checked_mul(1_000_000)?,
            None => (number.as_f64()? * 1e6) as i64,
        },
        Value::String(text) => match text.trim().parse::<i64>() {
            Ok(seconds) => seconds.checked_mul(1_000_000)?,
            Err(_) => Micros::parse(text, "").ok()?.0,
        },
        _ => return None,
    };
    (at > 0 && at <= Micros::MAX.0).then_some(at)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter()
}

/// A JSON object as text, within its limit.
pub fn object(value: &Value) -> String {
    let members = value.as_object().filter(|members| !members.is_empty());
    let text = members.map(|members| serde_json::to_string(members).unwrap_or_default().replace("\\u0000", ""));
    text.filter(|text| text.len() <= OBJECT_LIMIT).unwrap_or_else(|| "{}".to_owned())
}

/// Name, email and role of an agent.
pub fn agent(value: &Value) -> Option<(i64, String, String, Role)> {
    let (id, email) = (number(&value["id"])?, text(&value["email"])?);
    let name = text(&value["name"]).or_else(|| text(&value["available_name"])).unwrap_or_else(|| email.clone());
    let role = if value["role"] == "administrator" { Role::Admin } else { Role::Agent };
    Some((id, name.chars().take(100).collect(), email, role))
}

/// A definition of an attribute.
pub fn definition(value: &Value) -> Option<(i64, fields::Create)> {
    let key = text(&value["attribute_key"])?;
    let field_type = match value["attribute_display_type"].as_str() {
        Some("number" | "currency" | "percent") => FieldType::Number,
        Some("date") => FieldType::Date,
        Some("list") => FieldType::Select,
        Some("checkbox") => FieldType::Checkbox,
        _ => FieldType::Text,
    };
    let options = list(&value["attribute_values"]).filter_map(text);
    let options = options.map(|text| SelectOption { value: text.clone(), label: text });
    let entity = match value["attribute_model"].as_str() {
        Some("contact_attribute") => Entity::Contact,
        Some("conversation_attribute") => Entity::Conversation,
        _ => return None,
    };
    let name = text(&value["attribute_display_name"]).unwrap_or_else(|| key.clone()).chars().take(100).collect();
    let options = if field_type == FieldType::Select { options.collect() } else { Vec::new() };
    Some((number(&value["id"])?, fields::Create { entity, key, name, field_type, options }))
}

/// The channel of an inbox: API ones as such, others the nearest.
pub fn channel(value: &Value) -> Channel {
    match value["channel_type"].as_str().unwrap_or_default() {
        "Channel::Email" => Channel::Email,
        "Channel::WebWidget" => Channel::Webchat,
        "Channel::FacebookPage" => Channel::Messenger,
        "Channel::Whatsapp" => Channel::Whatsapp,
        "Channel::Instagram" => Channel::Instagram,
        "Channel::Sms" => Channel::Sms,
        "Channel::Voice" => Channel::Voice,
        "Channel::TwilioSms" if value["medium"] == "whatsapp" => Channel::Whatsapp,
        "Channel::TwilioSms" => Channel::Sms,
        // Telegram, Line, TikTok, Twitter and what comes: nothing is nearer than a system of the integrator's.
        _ => Channel::Api,
    }
}

/// What an inbox asks of its clients, and what they keep with it.
pub fn settings(value: &Value) -> Settings {
    let mut kept = Map::new();
    for (name, default) in KEPT {
        if let Some(given) = value.get(name).filter(|given| **given != default() && !given.is_null()) {
            kept.insert(name.to_owned(), given.clone());
        }
    }
    kept.remove("avatar_url"); // it lies on their server
    let limit = value["auto_assignment_config"]["max_assignment_limit"].as_i64();
    Settings {
        is_auto_assigned: value["enable_auto_assignment"] == true,
        capacity: limit.filter(|limit| (1..=CAPACITY_LIMIT).contains(limit)),
        // Only where the key came too, with which the hashes are made.
        is_identity_required: value["hmac_mandatory"] == true && text(&value["hmac_token"]).is_some(),
        is_single_conversation: value["lock_to_single_conversation"] == true,
        kept: object(&Value::Object(kept)),
    }
}

/// A contact, with the addresses that it has in inboxes that are here.
pub fn contact(value: &Value, known: &Known) -> Option<contacts::Import> {
    let theirs = number(&value["id"])?;
    let mut metadata = value["additional_attributes"].as_object().cloned().unwrap_or_default();
    let mail = text(&value["email"]);
    let email = mail.as_ref().and_then(|mail| email::normalise(mail, "").ok()).map(|mail| mail.into_owned());
    let call = text(&value["phone_number"]);
    let phone = call.clone().filter(|call| phone::is_e164(call));
    for (name, given, taken) in [("email", mail, email.is_some()), ("phone_number", call, phone.is_some())] {
        if let (Some(given), false) = (given, taken) {
            metadata.insert(name.to_owned(), given.into());
        }
    }
    let external_id = text(&value["identifier"]).filter(|id| id.chars().count() <= EXTERNAL_ID_LIMIT);
    let addresses = list(&value["contact_inboxes"]).filter_map(|at| {
        let inbox = known.inboxes.get(&number(&at["inbox"]["id"])?)?;
        Some((*inbox, text(&at["source_id"])?))
    });
    let created_at = time(&value["created_at"]).unwrap_or(1);
    Some(contacts::Import {
        theirs,
        identity: Upsert {
            name: text(&value["name"]).map(|name| name.chars().take(255).collect()),
            email,
            phone,
            external_id,
        },
        custom_fields: object(&value["custom_attributes"]),
        metadata: object(&Value::Object(metadata)),
        is_blocked: value["blocked"] == true,
        avatar_url: text(&value["thumbnail"]).filter(|url| url.len() <= URL_LIMIT),
        created_at,
        updated_at: time(&value["last_activity_at"]).unwrap_or(created_at),
        addresses: addresses.collect(),
    })
}

/// The contact's address in the inbox of a conversation: it stands with its messages.
pub fn source_id(value: &Value) -> Option<String> {
    let messages = list(&value["messages"]).chain([&value["last_non_activity_message"]]);
    let mut sources = messages.map(|message| &message["conversation"]["contact_inbox"]["source_id"]);
    sources.find_map(text).filter(|id| id.chars().count() <= EXTERNAL_ID_LIMIT)
}

/// Number of a conversation's last message; none without any.
pub fn last_message(value: &Value) -> Option<i64> {
    list(&value["messages"]).filter_map(|message| number(&message["id"])).max()
}

/// A conversation of an inbox that is here; `contact` is not known yet.
pub fn conversation(value: &Value, known: &Known, origin: &str) -> Option<conversations::Import> {
    let theirs = number(&value["id"])?;
    let (status, is_held) = match value["status"].as_str().unwrap_or_default() {
        "resolved" => (Status::Done, false),
        "snoozed" => (Status::Snoozed, false),
        "pending" => (Status::Active, true),
        _ => (Status::Active, false),
    };
    let meta = &value["meta"];
    let assignee = number(&meta["assignee"]["id"]);
    let (agent, bot) = if meta["assignee_type"] == "AgentBot" { (None, assignee) } else { (assignee, None) };
    let created_at = time(&value["created_at"]).unwrap_or(1);
    let updated_at = time(&value["last_activity_at"]).or_else(|| time(&value["updated_at"]));
    let reference = format!("chatwoot:{origin}/conversations/{theirs}");
    Some(conversations::Import {
        theirs,
        external_reference: (reference.len() <= EXTERNAL_ID_LIMIT).then_some(reference),
        inbox: *known.inboxes.get(&number(&value["inbox_id"])?)?,
        contact: ContactId::from_uuid(uuid::Uuid::nil()),
        source_id: source_id(value),
        status,
        snoozed_until: time(&value["snoozed_until"]),
        is_held,
        team: number(&meta["team"]["id"]).and_then(|id| known.teams.get(&id)).copied(),
        agent: agent.and_then(|id| known.users.get(&id)).copied(),
        bot: bot.and_then(|id| known.bots.get(&id)).copied(),
        participants: Vec::new(), // they are asked for
        priority: value["priority"].as_str().and_then(Priority::from_text),
        labels: list(&value["labels"]).filter_map(text).collect(),
        custom_fields: object(&value["custom_attributes"]),
        metadata: object(&value["additional_attributes"]),
        contact_seen_at: time(&value["contact_last_seen_at"]),
        agent_seen_at: time(&value["agent_last_seen_at"]),
        created_at,
        updated_at: updated_at.unwrap_or(created_at),
    })
}

/// A canned response: its number, shortcut and text.
pub fn snippet(value: &Value) -> Option<(i64, String, String)> {
    Some((number(&value["id"])?, text(&value["short_code"])?, text(&value["content"])?))
}

/// A message without its files.
pub fn message(value: &Value, known: &Known) -> Option<messages::Import> {
    let theirs = number(&value["id"])?;
    let sender = &value["sender"];
    let is_bot = sender["type"] == "agent_bot" || value["sender_type"] == "AgentBot";
    let (direction, author_type) = match number(&value["message_type"])? {
        0 => (Direction::Inbound, AuthorType::Contact),
        2 => (Direction::Activity, AuthorType::System),
        _ if value["private"] == true => {
            (Direction::Note, if is_bot { AuthorType::Automation } else { AuthorType::Agent })
        }
        1 if !is_bot => (Direction::Outbound, AuthorType::Agent),
        _ => (Direction::Outbound, AuthorType::Automation),
    };
    let mut attributes = value["content_attributes"].as_object().cloned().unwrap_or_default();
    let failure = attributes.remove("external_error");
    attributes.retain(|_, value| !value.is_null());
    let delivery_status = match value["status"].as_str() {
        Some("delivered") => DeliveryStatus::Delivered,
        Some("read") => DeliveryStatus::Read,
        Some("failed") => DeliveryStatus::failed(failure.as_ref().and_then(Value::as_str).unwrap_or_default()),
        _ => DeliveryStatus::Sent,
    };
    let author = number(&sender["id"]).filter(|_| author_type == AuthorType::Agent);
    let name = match author_type {
        AuthorType::System => None,
        _ => text(&sender["name"]).or_else(|| text(&sender["available_name"])),
    };
    let text_of = value["content"].as_str().unwrap_or_default().replace('\0', "");
    Some(messages::Import {
        theirs,
        direction,
        author_type,
        author: author.and_then(|id| known.users.get(&id)).map(|id| id.0),
        author_name: name,
        text: text_of,
        kind: text(&value["content_type"]).unwrap_or_else(|| TEXT.to_owned()),
        attributes,
        external_id: text(&value["source_id"]).filter(|id| id.chars().count() <= EXTERNAL_ID_LIMIT),
        delivery_status: Some(delivery_status),
        at: time(&value["created_at"]).unwrap_or(1),
        attachments: Attach::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read_in_all_their_forms() {
        for (value, at) in [
            (json!(1_700_000_000), Some(1_700_000_000_000_000)),
            (json!(1_700_000_000.5), Some(1_700_000_000_500_000)),
            (json!("1700000000"), Some(1_700_000_000_000_000)),
            (json!("2023-11-14T22:13:20.000Z"), Some(1_700_000_000_000_000)),
            (json!(0), None),
            (json!(null), None),
            (json!("soon"), None),
            (json!(-5), None),
            (json!(1e300), None),
        ] {
            assert_eq!(time(&value), at, "{value}");
        }
    }

    #[test]
    fn channels_without_one_of_ours_become_the_nearest() {
        for (kind, expected) in [
            ("Channel::Api", Channel::Api),
            ("Channel::WebWidget", Channel::Webchat),
            ("Channel::Telegram", Channel::Api),
            ("Channel::Sms", Channel::Sms),
        ] {
            assert_eq!(channel(&json!({"channel_type": kind})), expected);
        }
        assert_eq!(channel(&json!({"channel_type": "Channel::TwilioSms", "medium": "whatsapp"})), Channel::Whatsapp);
    }

    #[test]
    fn addresses_that_are_none_are_kept_as_notes() {
        let contact = json!({"id": 1, "name": "Ana", "email": "ana@", "phone_number": "123", "created_at": 5});
        let contact = super::contact(&contact, &Known::default()).unwrap();
        assert_eq!((contact.identity.email, contact.identity.phone), (None, None));
        assert_eq!(contact.metadata, r#"{"email":"ana@","phone_number":"123"}"#);
    }

    #[test]
    fn authors_and_directions() {
        let known =
            Known { users: HashMap::from([(3, UserId::from_uuid(uuid::Uuid::from_u128(9)))]), ..Known::default() };
        for (value, expected) in [
            (json!({"message_type": 0}), (Direction::Inbound, AuthorType::Contact, false)),
            (
                json!({"message_type": 1, "sender": {"id": 3, "type": "user"}}),
                (Direction::Outbound, AuthorType::Agent, true),
            ),
            (
                json!({"message_type": 1, "sender": {"id": 3, "type": "agent_bot"}}),
                (Direction::Outbound, AuthorType::Automation, false),
            ),
            (
                json!({"message_type": 1, "private": true, "sender": {"id": 3}}),
                (Direction::Note, AuthorType::Agent, true),
            ),
            (json!({"message_type": 2}), (Direction::Activity, AuthorType::System, false)),
            (json!({"message_type": 3}), (Direction::Outbound, AuthorType::Automation, false)),
        ] {
            let mut value = value;
            value["id"] = json!(1);
            let read = message(&value, &known).unwrap();
            assert_eq!((read.direction, read.author_type, read.author.is_some()), expected, "{value}");
        }
    }
}
