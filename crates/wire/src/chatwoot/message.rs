//! Messages: of the application API, pushed inside conversations, and as the client API shows them.

use super::{iso, object, seconds};
use serde_json::{Value, json};
use tieline_core::attachments::{Attachment, State};
use tieline_core::conversations::Conversation;
use tieline_core::inboxes::Inbox;
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::status::DeliveryStatus;
use tieline_core::messages::{Message, TEXT};
use tieline_core::surveys::Survey;

/// Where a message stands, in numbers.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The tenant's number.
    pub account: i64,
    /// The inbox's.
    pub inbox: i64,
    /// The conversation.
    pub conversation: &'a Conversation,
    /// What of the customer's nobody has looked at.
    pub unread: i64,
    /// Number of the agent who has the conversation.
    pub assignee: Option<i64>,
}

/// Chatwoot's code for the way a message goes; notes go out, privately.
pub fn message_type(direction: Direction) -> i64 {
    match direction {
        Direction::Inbound => 0,
        Direction::Outbound | Direction::Note => 1,
        Direction::Activity => 2,
    }
}

/// Its status in Chatwoot's words.
pub fn status(m: &Message) -> &'static str {
    match &m.delivery_status {
        None | Some(DeliveryStatus::Queued | DeliveryStatus::Sent) => "sent",
        Some(other) => other.as_str(),
    }
}

/// Its content attributes, with the reason of a failure.
pub fn content_attributes(m: &Message) -> Value {
    let mut attributes = m.content.as_ref().map_or_else(|| json!({}), |content| object(&content.attributes));
    if let Some(reason) = m.delivery_status.as_ref().and_then(DeliveryStatus::reason) {
        attributes["external_error"] = reason.into();
    }
    attributes
}

/// What kind of content it is.
pub fn content_type(m: &Message) -> &str {
    m.content.as_ref().map_or(TEXT, |content| content.kind.as_str())
}

/// A file of message `m`; `place` is its place there.
pub fn attachment(m: &Message, place: usize, file: &Attachment, account: i64) -> Value {
    // No file has a number of its own: it is made of its message's.
    let id = m.number * 32 + place as i64;
    let group = file.content_type.split('/').next().unwrap_or("");
    let file_type = match file.content_type.as_str() {
        "image/jpeg" | "image/png" | "image/gif" | "image/bmp" | "image/webp" => "image",
        "video/mp4" | "video/webm" | "video/quicktime" | "video/ogg" => "video",
        _ if group == "audio" => "audio",
        _ => "file",
    };
    let url = file.url.as_deref().filter(|_| file.state == State::Stored).unwrap_or("");
    let mut view = json!({
        "id": id,
        "message_id": m.number,
        "file_type": file_type,
        "account_id": account,
        "extension": file.name.rsplit_once('.').map(|(_, extension)| extension),
        "content_type": file.content_type,
        "data_url": url,
        "thumb_url": if file_type == "image" { url } else { "" },
        "file_size": file.size.unwrap_or(0),
        "width": null,
        "height": null,
    });
    if file_type == "audio" {
        view["transcribed_text"] = "".into();
    }
    view
}

/// Its files; none where there are none.
pub fn attachments(m: &Message, account: i64) -> Option<Value> {
    let files = m.attachments.iter().enumerate();
    (!m.attachments.is_empty()).then(|| files.map(|(place, file)| attachment(m, place, file, account)).collect())
}

/// A file in the list of a conversation's.
pub fn listed_file(m: &Message, place: usize, account: i64, sender: Option<Value>) -> Value {
    let Some(file) = m.attachments.get(place) else { return Value::Null };
    let mut view = attachment(m, place, file, account);
    view["created_at"] = seconds(m.sent_at).into();
    add(&mut view, "sender", sender);
    view
}

/// A survey of satisfaction as the customer's page shows it; `m` is the message that asks.
pub fn survey(survey: &Survey, m: &Message, v: &Conversation, inbox: &Inbox) -> Value {
    let answer = survey.rating.map(|rating| {
        json!({"rating": rating, "feedback_message": survey.feedback, "conversation_id": v.number, "message_id": m.number})
    });
    let attributes = content_attributes(m);
    json!({
        "id": m.number,
        "csat_survey_response": answer,
        "display_type": attributes.get("display_type").and_then(Value::as_str).unwrap_or("emoji"),
        "content": m.text,
        "inbox_avatar_url": "",
        "inbox_name": inbox.name,
        "locale": "en",
        "conversation_id": v.number,
        "created_at": iso(survey.asked_at),
    })
}

/// A message of the application API.
pub fn message(m: &Message, at: Place, sender: Option<Value>, echo_id: Option<&Value>) -> Value {
    let mut view = json!({
        "id": m.number,
        "content": m.text,
        "inbox_id": at.inbox,
        "conversation_id": at.conversation.number,
        "message_type": message_type(m.direction),
        "content_type": content_type(m),
        "status": status(m),
        "content_attributes": content_attributes(m),
        "created_at": seconds(m.sent_at),
        "private": m.direction == Direction::Note,
        "source_id": m.external_id,
    });
    add(&mut view, "echo_id", echo_id.cloned());
    add(&mut view, "sender", sender);
    add(&mut view, "attachments", attachments(m, at.account));
    view
}

/// A message inside a conversation.
pub fn pushed(m: &Message, at: Place, sender: Option<Value>) -> Value {
    let v = at.conversation;
    let mut view = json!({
        "id": m.number,
        "content": m.text,
        "account_id": at.account,
        "inbox_id": at.inbox,
        "conversation_id": v.number,
        "message_type": message_type(m.direction),
        "created_at": seconds(m.sent_at),
        "updated_at": iso(m.updated_at),
        "private": m.direction == Direction::Note,
        "status": status(m),
        "source_id": m.external_id,
        "content_type": content_type(m),
        "content_attributes": content_attributes(m),
        "sender_type": match m.author_type {
            AuthorType::Contact => Some("Contact"),
            AuthorType::Agent => Some("User"),
            AuthorType::Ai | AuthorType::Automation => Some("AgentBot"),
            AuthorType::System => None,
        },
        "sender_id": sender.as_ref().map(|sender| sender["id"].clone()),
        "external_source_ids": {},
        "additional_attributes": {},
        "processed_message_content": m.text,
        "sentiment": {},
        "conversation": {
            "assignee_id": at.assignee,
            "unread_count": at.unread,
            "last_activity_at": seconds(v.updated_at),
            "contact_inbox": {"source_id": v.source_id},
        },
    });
    add(&mut view, "sender", sender);
    add(&mut view, "attachments", attachments(m, at.account));
    view
}

/// A message of the client API.
pub fn public(m: &Message, at: Place, sender: Option<Value>) -> Value {
    let mut view = json!({
        "id": m.number,
        "content": m.text,
        "message_type": message_type(m.direction),
        "content_type": content_type(m),
        "content_attributes": content_attributes(m),
        "created_at": seconds(m.sent_at),
        "conversation_id": at.conversation.number,
    });
    add(&mut view, "attachments", attachments(m, at.account));
    add(&mut view, "sender", sender);
    view
}

fn add(view: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        view[name] = value;
    }
}
