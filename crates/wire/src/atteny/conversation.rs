//! Conversations as Atteny shows them.

use super::contact::ContactSummary;
use super::instant;
use super::message::MessageView;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tieline_core::conversations::Conversation;
use tieline_core::messages::Message;
use utoipa::ToSchema;

/// A conversation.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationView<'a> {
    #[serde(borrow)]
    #[schema(value_type = String, example = "conv_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Cow<'a, str>,
    /// The number that people quote; counts per organization, gaps are allowed.
    number: i64,
    #[serde(borrow)]
    #[schema(value_type = String, pattern = "^(active|snoozed|done|archived)$", example = "active")]
    status: Cow<'a, str>,
    #[serde(borrow)]
    #[schema(value_type = String, example = "whatsapp")]
    channel: Cow<'a, str>,
    #[schema(required, value_type = Option<String>)]
    subject: Option<Cow<'a, str>>,
    /// Your own key for it.
    #[schema(required, value_type = Option<String>)]
    external_reference: Option<Cow<'a, str>>,
    #[serde(borrow)]
    contact: ContactSummary<'a>,
    /// Slugs.
    #[schema(value_type = Vec<String>)]
    tags: Vec<Cow<'a, str>>,
    #[schema(required, value_type = Option<String>)]
    assigned_team_id: Option<Cow<'a, str>>,
    #[schema(required, value_type = Option<String>)]
    assigned_agent_id: Option<Cow<'a, str>>,
    #[schema(required, value_type = Option<String>, format = "date-time")]
    last_message_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    #[schema(value_type = String, format = "date-time")]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    #[schema(value_type = String, format = "date-time")]
    updated_at: Cow<'a, str>,
}

impl<'a> ConversationView<'a> {
    /// The view of `v`.
    pub fn of(v: &'a Conversation) -> Self {
        let text = |value: &'a Option<String>| value.as_deref().map(Cow::Borrowed);
        ConversationView {
            id: v.id.to_string().into(),
            number: v.number,
            status: v.status.as_str().into(),
            channel: v.channel.as_str().into(),
            subject: text(&v.subject),
            external_reference: text(&v.external_reference),
            contact: ContactSummary::of(&v.contact),
            tags: v.tags.iter().map(|slug| slug.as_str().into()).collect(),
            assigned_team_id: v.team.map(|id| id.to_string().into()),
            assigned_agent_id: v.agent.map(|id| id.to_string().into()),
            last_message_at: v.last_message_at.map(instant),
            created_at: instant(v.created_at),
            updated_at: instant(v.updated_at),
        }
    }
}

/// A conversation of a list, with what was said last.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedConversation<'a> {
    #[serde(flatten)]
    conversation: ConversationView<'a>,
    /// The newest message of the contact or of the organization.
    #[schema(required)]
    last_message: Option<MessageView<'a>>,
}

impl<'a> ListedConversation<'a> {
    /// The view of `conversation` whose newest message is `last`.
    pub fn of(conversation: &'a Conversation, last: Option<&'a Message>) -> Self {
        ListedConversation { conversation: ConversationView::of(conversation), last_message: last.map(MessageView::of) }
    }
}
