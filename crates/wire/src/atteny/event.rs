//! Webhook bodies of format `atteny`: the native envelope with Atteny's names, around what the log froze.

use super::conversation::ConversationView;
use super::message::{Frozen, MessageView};
use crate::native::event::API_VERSION;
use crate::native::{Instant, Shown, raw};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tieline_core::events::Stored;
use tieline_core::ids::{EventId, TenantId};
use tieline_core::webhooks::Format;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    id: Shown<EventId>,
    event: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    api_version: &'static str,
    organization_id: Shown<TenantId>,
    timestamp: Instant,
    sequence: Option<i64>,
    previous_sequence: Option<i64>,
    actor: &'a RawValue,
    cause: Option<&'a RawValue>,
    data: Data<'a>,
}

/// A message and its conversation; the data of any other event, which is only the test's, as it is.
#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Said { message: Box<MessageView<'a>>, conversation: Box<ConversationView<'a>> },
    Other(&'a RawValue),
}

#[derive(Deserialize)]
struct FrozenData<'a> {
    #[serde(borrow)]
    message: Frozen<'a>,
    #[serde(borrow)]
    conversation: ConversationView<'a>,
}

/// The body of a stored event; `previous_sequence` is the last one that this receiver was given of the conversation.
pub fn body(event: &Stored, previous_sequence: Option<i64>) -> String {
    let data = match serde_json::from_str::<FrozenData>(&event.data) {
        Ok(FrozenData { message, conversation }) => {
            Data::Said { message: Box::new(message.into()), conversation: Box::new(conversation) }
        }
        Err(_) => Data::Other(raw(&event.data)),
    };
    let word = Format::Atteny.word(&event.name);
    serde_json::to_string(&Envelope {
        id: Shown(event.id),
        event: word,
        kind: word,
        api_version: API_VERSION,
        organization_id: Shown(event.tenant),
        timestamp: Instant(event.at),
        sequence: event.sequence,
        previous_sequence,
        actor: raw(&event.actor),
        cause: event.cause.as_deref().map(raw),
        data,
    })
    .unwrap_or_else(|_| "{}".into())
}
