//! Webhook bodies of format `chatwoot`: pure functions from an event's state and what stands around it.
//!
//! Members, types, nulls and spellings of times are those that Chatwoot's receivers know; message types are words at the
//! top and numbers inside. What is ours stands beside them: `event_id`, `sequence`, `previous_sequence`, `performed_by`,
//! `status` and `changed_attributes` of messages, `uuid`, `inbox_identifier`.

use super::conversation::status as status_word;
use super::inbox::channel_type;
use super::message::{self, attachments, content_attributes, content_type};
use super::{bot, contact, inbox, iso, object, people, seconds, seconds_or_zero};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use tieline_core::bots::Bot;
use tieline_core::contact_inboxes::ContactInbox;
use tieline_core::contacts::Contact;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{Conversation, Priority};
use tieline_core::ids::EventId;
use tieline_core::inboxes::Inbox;
use tieline_core::messages::Message;
use tieline_core::messages::direction::Direction;
use tieline_core::teams::Team;
use tieline_core::users::User;

/// A conversation and what is shown around it.
pub struct Around<'a> {
    /// Number and name of the tenant.
    pub account: (i64, &'a str),
    /// It.
    pub conversation: &'a Conversation,
    /// Where it came through.
    pub inbox: &'a Inbox,
    /// The contact's address there, with what the contact subscribes by.
    pub address: Option<(&'a ContactInbox, &'a str)>,
    /// Who has it.
    pub assignee: Option<&'a User>,
    /// The bot that has it instead.
    pub bot: Option<&'a Bot>,
    /// Whose queue it is in.
    pub team: Option<&'a Team>,
    /// What of the customer's nobody had looked at, ten at most.
    pub unread: i64,
}

/// Who a body names as the author of a message, or as the one who writes.
pub enum Sender<'a> {
    /// A user.
    User(&'a User),
    /// A bot.
    Bot(&'a Bot),
    /// Another program, of which only the name is known.
    Program(&'a str),
    /// The customer.
    Contact(&'a Contact),
}

/// A changed member in Chatwoot's words, with raw values before and after.
pub type Changed = (&'static str, Value, Value);

/// A changed member as the log has it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its name on `/v1`.
    pub field: String,
    /// Value before.
    pub from: Value,
    /// Value after.
    pub to: Value,
}

/// Where a body stands among those of its conversation, and who caused it.
pub struct Telling {
    /// The event.
    pub event: EventId,
    /// Its place among the conversation's events.
    pub sequence: Option<i64>,
    /// The place of what this receiver was told before.
    pub previous_sequence: Option<i64>,
    /// Who did it.
    pub performed_by: Value,
}

/// The members of a body.
pub type Body = Map<String, Value>;

/// `{id, name}`.
fn named(id: i64, name: &str) -> Value {
    json!({"id": id, "name": name})
}

fn map(value: Value) -> Body {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The text of a body: `event`, its members, and where it stands.
pub fn text(word: &str, body: &Body, telling: &Telling) -> String {
    let mut whole = body.clone();
    whole.insert("event".into(), word.into());
    whole.insert("event_id".into(), telling.event.to_string().into());
    whole.insert("sequence".into(), telling.sequence.into());
    whole.insert("previous_sequence".into(), telling.previous_sequence.into());
    whole.insert("performed_by".into(), telling.performed_by.clone());
    Value::Object(whole).to_string()
}

/// `changed_attributes`: one object for each.
pub fn changed_attributes(changes: &[Changed]) -> Value {
    changes.iter().map(|(name, from, to)| json!({*name: {"previous_value": from, "current_value": to}})).collect()
}

/// A conversation, with the message that is shown in it.
pub fn conversation(at: &Around, shown: Option<Value>) -> Body {
    let v = at.conversation;
    let active_at = seconds(v.updated_at);
    map(json!({
        "account": named(at.account.0, at.account.1),
        "additional_attributes": object(&v.metadata),
        "can_reply": true,
        "channel": channel_type(at.inbox.channel),
        "contact_inbox": contact_inbox(at),
        "id": v.number,
        "inbox_id": at.inbox.number,
        "messages": shown.into_iter().collect::<Vec<Value>>(),
        "labels": v.tags,
        "meta": {
            "sender": contact::sender(&v.contact),
            "assignee": at.assignee.map(people::sender).or(at.bot.map(bot::sender)),
            "assignee_type": at.assignee.map(|_| "User").or(at.bot.map(|_| "AgentBot")),
            "team": at.team.map(|team| named(team.number, &team.name)),
            "hmac_verified": at.address.is_some_and(|(address, _)| address.is_verified),
        },
        "status": status_word(v),
        "custom_attributes": object(&v.custom_fields),
        "snoozed_until": v.snoozed_until.map(iso),
        "unread_count": at.unread,
        "first_reply_created_at": v.first_reply_at.map(iso),
        "priority": v.priority.map(Priority::as_str),
        "waiting_since": seconds_or_zero(v.waiting_since),
        "agent_last_seen_at": seconds_or_zero(v.agent_seen_at),
        "contact_last_seen_at": seconds_or_zero(v.contact_seen_at),
        "last_activity_at": active_at,
        "timestamp": active_at,
        "created_at": seconds(v.created_at),
        "updated_at": v.updated_at as f64 / 1e6,
        "uuid": v.id.0.to_string(),
        "inbox_identifier": at.inbox.identifier,
    }))
}

/// The address; a conversation of another channel has none, and shows when it began in its place.
fn contact_inbox(at: &Around) -> Value {
    let v = at.conversation;
    let (id, source_id, created_at, updated_at, is_verified, token) = match at.address {
        Some((a, token)) => (a.number, Some(&a.source_id), a.created_at, a.updated_at, a.is_verified, Some(token)),
        None => (0, None, v.created_at, v.created_at, false, None),
    };
    json!({
        "id": id,
        "contact_id": v.contact.number,
        "inbox_id": at.inbox.number,
        "source_id": source_id,
        "created_at": iso(created_at),
        "updated_at": iso(updated_at),
        "hmac_verified": is_verified,
        "pubsub_token": token,
    })
}

/// A message of a conversation as it is pushed inside it; its files have their links.
pub fn pushed(at: &Around, m: &Message, sender: Option<Value>) -> Value {
    let place = message::Place {
        account: at.account.0,
        inbox: at.inbox.number,
        conversation: at.conversation,
        unread: at.unread,
        assignee: at.assignee.map(|user| user.number),
    };
    message::pushed(m, place, sender)
}

/// A message event; `shown` is the same message pushed.
pub fn message(at: &Around, m: &Message, shown: Value, sender: Option<&Sender>, changes: &[Changed]) -> Body {
    let mut body = map(json!({
        "account": named(at.account.0, at.account.1),
        "additional_attributes": {},
        "content_attributes": content_attributes(m),
        "content_type": content_type(m),
        "content": m.text,
        "conversation": conversation(at, Some(shown)),
        "created_at": iso(m.sent_at),
        "id": m.number,
        "inbox": named(at.inbox.number, &at.inbox.name),
        "message_type": match m.direction {
            Direction::Inbound => "incoming",
            Direction::Outbound | Direction::Note => "outgoing",
            Direction::Activity => "activity",
        },
        "private": m.direction == Direction::Note,
        "sender": sender.map(|sender| self::sender(sender, at.account)),
        "source_id": m.external_id,
        "status": message::status(m),
        "inbox_identifier": at.inbox.identifier,
    }));
    if let Some(files) = attachments(m, at.account.0) {
        body.insert("attachments".into(), files);
    }
    if !changes.is_empty() {
        body.insert("changed_attributes".into(), changed_attributes(changes));
    }
    body
}

/// A sender at the top of a body; a contact has no `type` there.
pub fn sender(sender: &Sender, account: (i64, &str)) -> Value {
    match sender {
        Sender::User(user) => json!({"id": user.number, "name": user.name, "email": user.email, "type": "user"}),
        Sender::Bot(bot) => json!({"id": bot.number, "name": bot.name, "type": "agent_bot"}),
        Sender::Program(name) => json!({"id": 0, "name": name, "type": "agent_bot"}),
        Sender::Contact(found) => Value::Object(contact(found, account)),
    }
}

/// A contact event, and a contact as the sender of a message.
pub fn contact(c: &Contact, account: (i64, &str)) -> Body {
    let picture = c.avatar_url.as_deref().unwrap_or("");
    map(json!({
        "account": named(account.0, account.1),
        "additional_attributes": object(&c.metadata),
        "avatar": picture,
        "custom_attributes": object(&c.custom_fields),
        "email": c.email,
        "id": c.number,
        "identifier": c.external_id,
        "name": c.name,
        "phone_number": c.phone,
        "thumbnail": picture,
        "blocked": c.is_blocked,
    }))
}

/// Somebody writes, or stopped.
pub fn typing(at: &Around, shown: Option<Value>, who: Option<&Sender>, is_private: bool) -> Body {
    map(json!({
        "user": who.map(|who| sender(who, at.account)),
        "conversation": conversation(at, shown),
        "is_private": is_private,
    }))
}

/// An inbox event: its settings, and its channel's row without secrets.
pub fn inbox(i: &Inbox, account: (i64, &str)) -> Body {
    let mut body = map(inbox::inbox(i, None));
    let channel = json!({
        "id": i.number,
        "account_id": account.0,
        "identifier": i.identifier,
        "webhook_url": i.webhook.as_ref().map(|(_, url)| url),
        "hmac_mandatory": i.is_identity_required,
        "additional_attributes": body.get("additional_attributes"),
        "created_at": iso(i.created_at),
        "updated_at": iso(i.updated_at),
    });
    body.insert("channel".into(), channel);
    body.insert("account".into(), named(account.0, account.1));
    body
}

/// What changed of a conversation, of what Chatwoot tells; `numbers` has those of the users, bots
/// and teams that changes name.
pub fn conversation_changes(v: &Conversation, changes: &[Change], numbers: &HashMap<String, i64>) -> Vec<Changed> {
    let before = |field: &str| changes.iter().find(|change| change.field == field).map(|change| &change.from);
    let mut found = Vec::new();
    let was = Conversation {
        status: before("status").and_then(Value::as_str).and_then(Status::from_text).unwrap_or(v.status),
        is_held: before("isHeld").and_then(Value::as_bool).unwrap_or(v.is_held),
        ..v.clone()
    };
    if status_word(&was) != status_word(v) {
        found.push(("status", status_word(&was).into(), status_word(v).into()));
    }
    let number = |id: &Value| id.as_str().and_then(|id| numbers.get(id)).map_or(Value::Null, |number| (*number).into());
    for Change { field, from, to } in changes {
        found.extend(match field.as_str() {
            "assignedTeamId" => Some(("team_id", number(from), number(to))),
            "assignedAgentId" => Some(("assignee_id", number(from), number(to))),
            "assignedBotId" => Some(("assignee_agent_bot_id", number(from), number(to))),
            "snoozedUntil" => Some(("snoozed_until", from.clone(), to.clone())),
            "customFields" => Some(("custom_attributes", from.clone(), to.clone())),
            "priority" => Some(("priority", from.clone(), to.clone())),
            "metadata" => Some(("additional_attributes", from.clone(), to.clone())),
            _ => None,
        });
    }
    found
}

/// A sender inside a conversation.
pub fn pushed_sender(sender: &Sender) -> Value {
    match sender {
        Sender::User(user) => people::sender(user),
        Sender::Bot(found) => bot::sender(found),
        Sender::Program(name) => people::program(name),
        Sender::Contact(found) => contact::sender(found),
    }
}

/// What changed of a conversation whose labels are those of `v` after one was set or taken off.
pub fn label_change(v: &Conversation, slug: &str, is_set: bool) -> Vec<Changed> {
    let mut before: Vec<&str> = v.tags.iter().map(String::as_str).filter(|tag| *tag != slug).collect();
    if !is_set {
        before.push(slug);
        before.sort_unstable();
    }
    vec![("label_list", json!(before), json!(v.tags))]
}

/// What changed of a message, of what Chatwoot shows: that one waits to be sent counts as sent there.
pub fn message_changes(changes: &[Change]) -> Vec<Changed> {
    let shown = |status: &Value| if status == "queued" { "sent".into() } else { status.clone() };
    let change = |change: &Change| {
        let (from, to) = (change.from.clone(), change.to.clone());
        Some(match change.field.as_str() {
            "text" => ("content", from, to),
            "contentAttributes" => ("content_attributes", from, to),
            "deliveryStatus" => ("status", shown(&from), shown(&to)),
            "failureReason" => ("external_error", from, to),
            "attachments" => ("attachments", from, to),
            _ => return None,
        })
    };
    changes.iter().filter_map(change).filter(|(_, from, to)| from != to).collect()
}

/// What changed of a contact.
pub fn contact_changes(changes: &[Change]) -> Vec<Changed> {
    let word = |field: &str| {
        Some(match field {
            "name" => "name",
            "email" => "email",
            "phone" => "phone_number",
            "externalId" => "identifier",
            "customFields" => "custom_attributes",
            "metadata" => "additional_attributes",
            "isBlocked" => "blocked",
            "avatarUrl" => "avatar_url",
            _ => return None,
        })
    };
    let change = |change: &Change| Some((word(&change.field)?, change.from.clone(), change.to.clone()));
    changes.iter().filter_map(change).collect()
}

/// What changed of an inbox.
pub fn inbox_changes(changes: &[Change]) -> Vec<Changed> {
    let word = |field: &str| {
        Some(match field {
            "name" => "name",
            "webhookUrl" => "webhook_url",
            "isIdentityRequired" => "hmac_mandatory",
            "isSingleConversation" => "lock_to_single_conversation",
            "settings" => "settings",
            "isAutoAssigned" => "enable_auto_assignment",
            _ => return None,
        })
    };
    let change = |change: &Change| Some((word(&change.field)?, change.from.clone(), change.to.clone()));
    changes.iter().filter_map(change).collect()
}
