//! Events in the native shape: the data that verbs freeze into the log, and the envelope around it.

use super::contact::ContactView;
use super::conversation::ConversationView;
use super::inbox::InboxView;
use super::message::MessageView;
use super::webhook::WebhookView;
use super::{Instant, Shown};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use tieline_core::events::{Assignment, Change, Event, Frozen, Stored};
use tieline_core::ids::{TeamId, UserId};
use tieline_core::webhooks::Endpoint;

struct Changes<'a>(&'a [Change]);

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct FromTo<'a> {
            from: &'a serde_json::Value,
            to: &'a serde_json::Value,
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for change in self.0 {
            map.serialize_entry(change.field, &FromTo { from: &change.from, to: &change.to })?;
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Holder {
    team_id: Option<Shown<TeamId>>,
    agent_id: Option<Shown<UserId>>,
}

fn holder(assignment: &Assignment) -> Holder {
    Holder { team_id: assignment.team.map(Shown), agent_id: assignment.agent.map(Shown) }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TagView<'a> {
    slug: &'a str,
    name: &'a str,
    r#type: &'static str,
}

/// The parts of every event's data; each event has the ones it needs.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<ConversationView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_into: Option<ConversationView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<ContactView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Changes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Holder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Holder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<TagView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<WebhookView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inbox: Option<InboxView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_private: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// Largest data of an event, bytes; beyond it a message's HTML is left out and `truncated` says so (contract D4.3).
pub const DATA_LIMIT: usize = 256 * 1024;

/// Freezes the data of an event, and nothing else: a [`tieline_core::ctx::Ctx::render`] for tenants without receivers that
/// are shown more.
pub fn data(event: &Event) -> Frozen {
    data_text(event).into()
}

/// Writes the data of an event (contract D4.3).
pub fn data_text(event: &Event) -> String {
    let whole = text(&parts(event));
    if whole.len() <= DATA_LIMIT {
        return whole;
    }
    match event {
        Event::MessageReceived { message, conversation }
        | Event::MessageSent { message, conversation }
        | Event::NoteAdded { message, conversation }
        | Event::MessageUpdated { message, conversation, .. } => {
            let short = tieline_core::messages::Message { html: None, ..(*message).clone() };
            let changes = match event {
                Event::MessageUpdated { changes, .. } => Some(Changes(changes)),
                _ => None,
            };
            text(&Data {
                message: Some(MessageView::of(&short)),
                conversation: Some(ConversationView::of(conversation)),
                changes,
                truncated: true,
                ..Data::default()
            })
        }
        _ => whole,
    }
}

fn text(data: &Data) -> String {
    serde_json::to_string(data).unwrap_or_else(|_| "{}".into())
}

fn parts<'a>(event: &'a Event) -> Data<'a> {
    let none = Data::default();
    match event {
        Event::ConversationCreated { conversation }
        | Event::ConversationResolved { conversation }
        | Event::ConversationDeleted { conversation }
        | Event::ConversationReopened { conversation } => {
            Data { conversation: Some(ConversationView::of(conversation)), ..none }
        }
        Event::ConversationUpdated { conversation, changes } => {
            Data { conversation: Some(ConversationView::of(conversation)), changes: Some(Changes(changes)), ..none }
        }
        Event::ConversationMerged { conversation, into } => Data {
            conversation: Some(ConversationView::of(conversation)),
            merged_into: Some(ConversationView::of(into)),
            ..none
        },
        Event::MessageReceived { message, conversation }
        | Event::MessageSent { message, conversation }
        | Event::NoteAdded { message, conversation } => Data {
            message: Some(MessageView::of(message)),
            conversation: Some(ConversationView::of(conversation)),
            ..none
        },
        Event::MessageUpdated { message, conversation, changes } => Data {
            message: Some(MessageView::of(message)),
            conversation: Some(ConversationView::of(conversation)),
            changes: Some(Changes(changes)),
            ..none
        },
        Event::ContactCreated { contact } => Data { contact: Some(ContactView::of(contact)), ..none },
        Event::ContactUpdated { contact, changes } => {
            Data { contact: Some(ContactView::of(contact)), changes: Some(Changes(changes)), ..none }
        }
        Event::AssignmentChanged { conversation, from, to } => Data {
            conversation: Some(ConversationView::of(conversation)),
            from: Some(holder(from)),
            to: Some(holder(to)),
            ..none
        },
        Event::TagAdded { conversation, tag } | Event::TagRemoved { conversation, tag } => Data {
            conversation: Some(ConversationView::of(conversation)),
            tag: Some(TagView { slug: &tag.slug, name: &tag.name, r#type: tag.tag_type.as_str() }),
            ..none
        },
        Event::Typing { conversation, is_private, .. } => {
            Data { conversation: Some(ConversationView::of(conversation)), is_private: Some(*is_private), ..none }
        }
        Event::InboxCreated { inbox } => Data { inbox: Some(InboxView::of(inbox, None)), ..none },
        Event::InboxUpdated { inbox, changes } => {
            Data { inbox: Some(InboxView::of(inbox, None)), changes: Some(Changes(changes)), ..none }
        }
        Event::WebhookDisabled { endpoint } => Data { webhook: Some(WebhookView::of(endpoint)), ..none },
    }
}

/// Writes the data of a `webhook.test`, which is sent to this endpoint only.
pub fn test_data(endpoint: &Endpoint) -> String {
    text(&Data { webhook: Some(WebhookView::of(endpoint)), ..Data::default() })
}

/// The envelope of an event, on a webhook, in the feed and in the stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    id: Shown<tieline_core::ids::EventId>,
    event: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    api_version: &'static str,
    tenant_id: Shown<tieline_core::ids::TenantId>,
    timestamp: Instant,
    sequence: Option<i64>,
    previous_sequence: Option<i64>,
    actor: &'a RawValue,
    cause: Option<&'a RawValue>,
    data: &'a RawValue,
}

/// Version of the native event shapes.
pub const API_VERSION: &str = "2026-11-21";

/// The body of a stored event; `previous_sequence` is the last one that this receiver was given of the conversation.
pub fn body(event: &Stored, previous_sequence: Option<i64>) -> String {
    serde_json::to_string(&Envelope {
        id: Shown(event.id),
        event: &event.name,
        kind: &event.name,
        api_version: API_VERSION,
        tenant_id: Shown(event.tenant),
        timestamp: Instant(event.at),
        sequence: event.sequence,
        previous_sequence,
        actor: super::raw(&event.actor),
        cause: event.cause.as_deref().map(super::raw),
        data: super::raw(&event.data),
    })
    .unwrap_or_else(|_| "{}".into())
}
