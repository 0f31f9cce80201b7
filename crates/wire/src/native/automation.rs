//! Automation rules on `/v1`.

use super::{Instant, Shown};
use serde::Serialize;
use serde_json::Value;
use tieline_core::automations::Automation;
use tieline_core::automations::rule;
use tieline_core::ids::AutomationId;
use utoipa::ToSchema;

/// A comparison of one field.
#[derive(ToSchema)]
#[allow(dead_code)] // the document's side of what the core reads and writes
pub struct Condition {
    /// `message.body`, `message.direction`, `conversation.status`, `.priority`, `.subject`, `.channel`, `.inboxId`,
    /// `.assignedTeamId`, `.assignedAgentId`, `.tags`, `contact.name`, `.email`, `.phone`, `.externalId`, or
    /// `customFields.<key>` and `metadata.<key>` of the conversation or contact.
    #[schema(example = "message.body")]
    field: String,
    /// `equals`, `not_equals`, `contains`, `not_contains`, `starts_with`, `ends_with`, `is_empty`, `is_not_empty`,
    /// `greater_than`, `less_than`, `days_before`, or `changed` with `{from, to}`.
    #[schema(example = "contains")]
    operator: String,
    /// A text or number, or several of which any will do. Texts are compared without case.
    #[schema(value_type = Value, required = false, example = "refund")]
    value: Value,
}

/// One list of conditions.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct Conditions {
    /// All must be met; none at all is always met.
    #[schema(required = false)]
    all: Vec<Condition>,
    /// One must be met: each is a condition, or `{all: [..]}` of several.
    #[schema(required = false, value_type = Vec<Value>)]
    any: Vec<Value>,
}

/// One thing that is done.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct Action {
    /// `send_message {text}`, `send_attachment {url}`, `add_note {text}`, `add_tag {tag}`, `remove_tag {tag}`,
    /// `assign_team {teamId}`, `assign_agent {agentId}`, `set_status {status, minutes}`, `set_priority {priority}`, `mute`.
    #[schema(rename = "type", example = "add_tag")]
    kind: String,
    text: Option<String>,
    url: Option<String>,
    #[schema(example = "refund")]
    tag: Option<String>,
    /// Null for no team.
    team_id: Option<String>,
    /// Null for nobody.
    agent_id: Option<String>,
    /// `open`, `pending`, `snoozed`, `done` or `archived`.
    status: Option<String>,
    /// How long a snooze lasts; without it until the customer writes.
    minutes: Option<i64>,
    /// `low`, `medium`, `high` or `urgent`; null for none.
    priority: Option<String>,
}

/// One of a rule's ways; the first whose conditions are met is taken.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct Branch {
    #[schema(required = false)]
    conditions: Conditions,
    #[schema(min_items = 1, max_items = 20)]
    actions: Vec<Action>,
}

/// A rule that acts on what happens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Automation)]
pub struct AutomationView {
    #[schema(value_type = String, example = "rule_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<AutomationId>,
    name: String,
    #[schema(required)]
    description: Option<String>,
    /// `conversation.created`, `.updated`, `.opened`, `.resolved` or `.reopened`, `message.received`, `.sent`, or `.created`
    /// for either.
    #[schema(value_type = String, example = "message.received")]
    trigger: &'static str,
    #[schema(value_type = Vec<Branch>)]
    branches: Value,
    is_active: bool,
    /// How often it has acted.
    run_count: i64,
    #[schema(required)]
    last_run_at: Option<Instant>,
    /// What last went wrong; its other actions were done all the same.
    #[schema(required)]
    last_error: Option<String>,
    #[schema(required)]
    last_error_at: Option<Instant>,
    created_at: Instant,
    updated_at: Instant,
}

impl From<&Automation> for AutomationView {
    fn from(rule: &Automation) -> Self {
        AutomationView {
            id: Shown(rule.id),
            name: rule.name.clone(),
            description: rule.description.clone(),
            trigger: rule.trigger.as_str(),
            branches: rule::write(&rule.branches),
            is_active: rule.is_active,
            run_count: rule.run_count,
            last_run_at: rule.last_run_at.map(Instant),
            last_error: rule.last_error.clone(),
            last_error_at: rule.last_error_at.map(Instant),
            created_at: Instant(rule.created_at),
            updated_at: Instant(rule.updated_at),
        }
    }
}
