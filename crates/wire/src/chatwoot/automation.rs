//! Automation rules. Conditions and actions come as whoever wrote the rule spelled them.

use super::seconds;
use serde_json::{Value, json};
use tieline_core::automations::Automation;
use tieline_core::automations::rule::Trigger;

/// What Chatwoot calls what starts a rule.
pub fn event_name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::ConversationCreated => "conversation_created",
        Trigger::ConversationUpdated => "conversation_updated",
        Trigger::ConversationOpened | Trigger::ConversationReopened => "conversation_opened",
        Trigger::ConversationResolved => "conversation_resolved",
        Trigger::MessageReceived | Trigger::MessageSent | Trigger::MessageCreated => "message_created",
    }
}

/// What starts a rule, by Chatwoot's word.
pub fn trigger(event_name: &str) -> Option<Trigger> {
    Some(match event_name {
        "conversation_created" => Trigger::ConversationCreated,
        "conversation_updated" => Trigger::ConversationUpdated,
        "conversation_opened" => Trigger::ConversationOpened,
        "conversation_resolved" => Trigger::ConversationResolved,
        "message_created" => Trigger::MessageCreated,
        _ => return None,
    })
}

/// A rule.
pub fn rule(rule: &Automation, conditions: &Value, actions: &Value) -> Value {
    json!({
        "id": rule.number,
        "account_id": rule.tenant.0,
        "name": rule.name,
        "description": rule.description,
        "event_name": event_name(rule.trigger),
        "conditions": conditions,
        "actions": actions,
        "created_on": seconds(rule.created_at),
        "active": rule.is_active,
    })
}
