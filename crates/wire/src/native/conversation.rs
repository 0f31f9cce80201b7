//! Conversations on `/v1` (contract D3.1).

use super::contact::ContactSummary;
use super::{Instant, Shown, raw};
use serde::Serialize;
use serde_json::value::RawValue;
use tieline_core::conversations::Conversation;
use tieline_core::ids::{ConversationId, InboxId, TeamId, UserId};
use utoipa::ToSchema;

/// How a conversation stands by one measure of a service level policy.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ConversationSla)]
pub struct SlaView {
    #[schema(value_type = String, pattern = "^(first_reply|all_messages|resolution)$")]
    metric: &'static str,
    policy_id: String,
    state: &'static str,
    /// The worst it has been in since it began.
    worst_state: &'static str,
    #[schema(required)]
    due_at: Option<Instant>,
    #[schema(required, value_type = Option<String>)]
    outcome: Option<&'static str>,
}

/// A conversation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationView<'a> {
    #[schema(value_type = String, example = "conv_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<ConversationId>,
    /// Counts per tenant; gaps are allowed.
    number: i64,
    /// The number as people quote it, at least four digits.
    #[schema(example = "0042")]
    human_id: String,
    /// The integrator's key, unique per tenant.
    #[schema(required)]
    external_reference: Option<&'a str>,
    #[schema(value_type = String, pattern = "^(active|snoozed|done|archived)$", example = "active")]
    status: &'static str,
    /// `pending`: we owe a reply. `engaged`: the customer has our answer. Null without messages.
    #[schema(required, value_type = Option<String>)]
    engagement: Option<&'static str>,
    #[schema(value_type = String, example = "email")]
    channel: &'static str,
    #[schema(value_type = String)]
    inbox_id: Shown<InboxId>,
    #[schema(required)]
    subject: Option<&'a str>,
    contact: ContactSummary<'a>,
    #[schema(required, value_type = Option<String>)]
    assigned_team_id: Option<Shown<TeamId>>,
    #[schema(required, value_type = Option<String>)]
    assigned_agent_id: Option<Shown<UserId>>,
    /// Slugs.
    tags: &'a [String],
    /// Values by key.
    #[schema(value_type = Object)]
    custom_fields: &'a RawValue,
    /// What the integrator gave as `outboundContext.metadata`.
    #[schema(value_type = Object)]
    metadata: &'a RawValue,
    /// Empty without a service level policy; this version has none.
    #[schema(value_type = Vec<SlaView>)]
    sla: [SlaView; 0],
    #[schema(required)]
    snoozed_until: Option<Instant>,
    #[schema(required, value_type = Option<String>)]
    merged_into_id: Option<Shown<ConversationId>>,
    /// The archived conversation whose customer wrote again and got this one.
    #[schema(required, value_type = Option<String>)]
    previous_conversation_id: Option<Shown<ConversationId>>,
    reopen_count: i64,
    #[schema(required)]
    last_message_at: Option<Instant>,
    #[schema(required)]
    last_contact_message_at: Option<Instant>,
    created_at: Instant,
    updated_at: Instant,
    #[schema(required)]
    done_at: Option<Instant>,
    #[schema(required)]
    archived_at: Option<Instant>,
}

impl<'a> ConversationView<'a> {
    /// The view of `conversation`.
    pub fn of(v: &'a Conversation) -> Self {
        ConversationView {
            id: Shown(v.id),
            number: v.number,
            human_id: format!("{:04}", v.number),
            external_reference: v.external_reference.as_deref(),
            status: v.status.as_str(),
            engagement: v.engagement.map(|engagement| engagement.as_str()),
            channel: v.channel.as_str(),
            inbox_id: Shown(v.inbox),
            subject: v.subject.as_deref(),
            contact: ContactSummary::of(&v.contact),
            assigned_team_id: v.team.map(Shown),
            assigned_agent_id: v.agent.map(Shown),
            tags: &v.tags,
            custom_fields: raw(&v.custom_fields),
            metadata: raw(&v.metadata),
            sla: [],
            snoozed_until: v.snoozed_until.map(Instant),
            merged_into_id: v.merged_into.map(Shown),
            previous_conversation_id: v.previous.map(Shown),
            reopen_count: v.reopen_count,
            last_message_at: v.last_message_at.map(Instant),
            last_contact_message_at: v.last_contact_message_at.map(Instant),
            created_at: Instant(v.created_at),
            updated_at: Instant(v.updated_at),
            done_at: v.done_at.map(Instant),
            archived_at: v.archived_at.map(Instant),
        }
    }
}
