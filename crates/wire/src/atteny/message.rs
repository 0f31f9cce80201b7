//! Messages as Atteny shows them: a text, and perhaps one medium; others of its files stand in `attachments`.

use super::instant;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tieline_core::messages::Message;
use utoipa::ToSchema;

/// Who wrote a message.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct AuthorView<'a> {
    #[serde(rename = "type", borrow)]
    #[schema(value_type = String, pattern = "^(contact|agent|ai|automation|system)$")]
    kind: Cow<'a, str>,
    #[schema(required, value_type = Option<String>)]
    name: Option<Cow<'a, str>>,
}

/// A file of a message.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentView<'a> {
    #[serde(borrow)]
    #[schema(value_type = String)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    #[schema(value_type = String)]
    name: Cow<'a, str>,
    /// Its media type.
    #[serde(borrow, alias = "contentType")]
    #[schema(value_type = String)]
    media_type: Cow<'a, str>,
    /// Bytes; null until it is stored.
    #[schema(required)]
    size: Option<i64>,
    /// `pending`, `stored` or `failed`.
    #[serde(borrow)]
    #[schema(value_type = String, pattern = "^(pending|stored|failed)$")]
    state: Cow<'a, str>,
    /// Where its bytes are, for an hour and without a key; null until it is stored.
    #[serde(alias = "url")]
    #[schema(required, value_type = Option<String>)]
    media_url: Option<Cow<'a, str>>,
}

/// A message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView<'a> {
    #[schema(value_type = String, example = "msg_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Cow<'a, str>,
    #[schema(value_type = String)]
    conversation_id: Cow<'a, str>,
    /// `inbound`: the contact wrote it. `outbound`: the organization did.
    #[schema(value_type = String, pattern = "^(inbound|outbound)$")]
    direction: Cow<'a, str>,
    #[serde(rename = "type")]
    #[schema(value_type = String, pattern = "^(TEXT|IMAGE|VIDEO|AUDIO|DOCUMENT)$")]
    kind: &'static str,
    #[schema(value_type = String)]
    content: Cow<'a, str>,
    /// Where the first file's bytes are, for an hour and without a key; null without one, and until it is stored.
    #[schema(required, value_type = Option<String>)]
    media_url: Option<Cow<'a, str>>,
    /// The first file's media type.
    #[schema(required, value_type = Option<String>)]
    media_type: Option<Cow<'a, str>>,
    /// Every file.
    attachments: Vec<AttachmentView<'a>>,
    /// Of outbound messages: `queued`, `sent`, `delivered`, `read` or `failed`.
    #[schema(required, value_type = Option<String>)]
    status: Option<Cow<'a, str>>,
    /// Why it failed.
    #[schema(required, value_type = Option<String>)]
    failure_reason: Option<Cow<'a, str>>,
    author: AuthorView<'a>,
    /// The sender's time.
    #[schema(value_type = String, format = "date-time")]
    sent_at: Cow<'a, str>,
    #[schema(value_type = String, format = "date-time")]
    created_at: Cow<'a, str>,
}

/// The message of an event's data, as the log holds it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frozen<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    conversation_id: Cow<'a, str>,
    #[serde(borrow)]
    direction: Cow<'a, str>,
    #[serde(borrow)]
    author: AuthorView<'a>,
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow)]
    attachments: Vec<AttachmentView<'a>>,
    delivery_status: Option<Cow<'a, str>>,
    failure_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sent_at: Cow<'a, str>,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
}

impl<'a> MessageView<'a> {
    /// The view of `message`.
    pub fn of(message: &'a Message) -> Self {
        let attachments = message.attachments.iter().map(|file| AttachmentView {
            id: file.id.to_string().into(),
            name: file.name.as_str().into(),
            media_type: file.content_type.as_str().into(),
            size: file.size,
            state: file.state.as_str().into(),
            media_url: file.url.as_deref().map(Cow::Borrowed),
        });
        MessageView::from(Frozen {
            id: message.id.to_string().into(),
            conversation_id: message.conversation.to_string().into(),
            direction: message.direction.as_str().into(),
            author: AuthorView {
                kind: message.author_type.as_str().into(),
                name: message.author_name.as_deref().map(Cow::Borrowed),
            },
            text: message.text.as_str().into(),
            attachments: attachments.collect(),
            delivery_status: message.delivery_status.as_ref().map(|status| status.as_str().into()),
            failure_reason: message.delivery_status.as_ref().and_then(|status| status.reason()).map(Cow::Borrowed),
            sent_at: instant(message.sent_at),
            created_at: instant(message.created_at),
        })
    }
}

impl<'a> From<Frozen<'a>> for MessageView<'a> {
    fn from(message: Frozen<'a>) -> Self {
        let first = message.attachments.first();
        MessageView {
            kind: first.map_or("TEXT", |file| kind(&file.media_type)),
            media_url: first.and_then(|file| file.media_url.clone()),
            media_type: first.map(|file| file.media_type.clone()),
            id: message.id,
            conversation_id: message.conversation_id,
            direction: message.direction,
            content: message.text,
            attachments: message.attachments,
            status: message.delivery_status,
            failure_reason: message.failure_reason,
            author: message.author,
            sent_at: message.sent_at,
            created_at: message.created_at,
        }
    }
}

/// Atteny's word for a medium of this type.
fn kind(media_type: &str) -> &'static str {
    match media_type.split('/').next() {
        Some("image") => "IMAGE",
        Some("video") => "VIDEO",
        Some("audio") => "AUDIO",
        _ => "DOCUMENT",
    }
}
