//! Messages on `/v1` (contract D3.2).

use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::attachments::Attachment;
use tieline_core::ids::{AttachmentId, BotId, ContactId, ConversationId, MessageId, UserId};
use tieline_core::messages::Message;
use tieline_core::messages::direction::AuthorType;
use utoipa::ToSchema;

/// Who wrote a message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorView<'a> {
    #[serde(rename = "type")]
    #[schema(value_type = String, pattern = "^(contact|agent|ai|automation|system)$")]
    kind: &'static str,
    #[schema(required)]
    id: Option<String>,
    #[schema(required)]
    name: Option<&'a str>,
}

/// A file of a message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentView<'a> {
    #[schema(value_type = String)]
    id: Shown<AttachmentId>,
    name: &'a str,
    content_type: &'a str,
    /// Bytes; null until it is stored.
    #[schema(required)]
    size: Option<i64>,
    /// `pending`, `stored` or `failed`.
    state: &'static str,
    /// Why it could not be fetched.
    #[schema(required)]
    error: Option<&'a str>,
    /// Where its bytes are, for an hour and without a key; null until it is stored. Ask `GET /v1/attachments/{id}` for a
    /// fresh one.
    #[schema(required)]
    url: Option<&'a str>,
}

impl<'a> AttachmentView<'a> {
    /// The view of `attachment`.
    pub fn of(attachment: &'a Attachment) -> Self {
        AttachmentView {
            id: Shown(attachment.id),
            name: &attachment.name,
            content_type: &attachment.content_type,
            size: attachment.size,
            state: attachment.state.as_str(),
            error: attachment.error.as_deref(),
            url: attachment.url.as_deref(),
        }
    }
}

/// A message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView<'a> {
    #[schema(value_type = String, example = "msg_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<MessageId>,
    #[schema(value_type = String)]
    conversation_id: Shown<ConversationId>,
    #[schema(value_type = String, pattern = "^(inbound|outbound|note|activity)$")]
    direction: &'static str,
    author: AuthorView<'a>,
    text: &'a str,
    /// Sanitised.
    #[schema(required)]
    html: Option<&'a str>,
    attachments: Vec<AttachmentView<'a>>,
    /// The integrator's id, unique in the conversation.
    #[schema(required)]
    external_id: Option<&'a str>,
    /// Of outbound messages: `queued`, `sent`, `delivered`, `read` or `failed`.
    #[schema(required, value_type = Option<String>)]
    delivery_status: Option<&'static str>,
    /// Why it failed.
    #[schema(required)]
    failure_reason: Option<&'a str>,
    /// The sender's time.
    sent_at: Instant,
    created_at: Instant,
    updated_at: Instant,
}

impl<'a> MessageView<'a> {
    /// The view of `message`.
    pub fn of(message: &'a Message) -> Self {
        let id = message.author_id;
        MessageView {
            id: Shown(message.id),
            conversation_id: Shown(message.conversation),
            direction: message.direction.as_str(),
            author: AuthorView {
                kind: message.author_type.as_str(),
                id: match message.author_type {
                    AuthorType::Contact => id.map(|id| ContactId::from_uuid(id).to_string()),
                    AuthorType::Agent => id.map(|id| UserId::from_uuid(id).to_string()),
                    _ => id.map(|id| BotId::from_uuid(id).to_string()),
                },
                name: message.author_name.as_deref(),
            },
            text: &message.text,
            html: message.html.as_deref(),
            attachments: message.attachments.iter().map(AttachmentView::of).collect(),
            external_id: message.external_id.as_deref(),
            delivery_status: message.delivery_status.as_ref().map(|status| status.as_str()),
            failure_reason: message.delivery_status.as_ref().and_then(|status| status.reason()),
            sent_at: Instant(message.sent_at),
            created_at: Instant(message.created_at),
            updated_at: Instant(message.updated_at),
        }
    }
}
