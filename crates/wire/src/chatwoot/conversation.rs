//! Conversations: of the application API and of the client API.

use super::inbox::channel_type;
use super::{bot, contact, iso, object, people, seconds, seconds_or_zero};
use serde_json::{Value, json};
use tieline_core::bots::Bot;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{Conversation, Priority};
use tieline_core::inboxes::Inbox;
use tieline_core::teams::Team;
use tieline_core::users::User;

/// A conversation and what is shown around it.
pub struct Around<'a> {
    /// It.
    pub conversation: &'a Conversation,
    /// Where it came through.
    pub inbox: &'a Inbox,
    /// The tenant's number.
    pub account: i64,
    /// Who has it.
    pub assignee: Option<&'a User>,
    /// The bot that has it instead.
    pub bot: Option<&'a Bot>,
    /// Whose queue it is in.
    pub team: Option<&'a Team>,
    /// Whether whoever looks is in that team.
    pub is_in_team: bool,
    /// Whether the contact proved who it is.
    pub is_verified: bool,
    /// What of the customer's nobody has looked at, ten at most.
    pub unread: i64,
}

/// Its status in Chatwoot's words.
pub fn status(v: &Conversation) -> &'static str {
    match v.status {
        Status::Active if v.is_held => "pending",
        Status::Active => "open",
        Status::Snoozed => "snoozed",
        Status::Done | Status::Archived => "resolved",
    }
}

/// A conversation of the application API; `last` and `last_said` are pushed messages.
pub fn conversation(at: &Around, last: Option<Value>, last_said: Option<Value>) -> Value {
    let v = at.conversation;
    // Every change is an activity, as in Chatwoot, where most write a line into the conversation; lists go by it.
    let active_at = seconds(v.updated_at);
    json!({
        "meta": {
            "sender": contact::contact(&v.contact),
            "channel": channel_type(at.inbox.channel),
            "assignee": at.assignee.map(|user| people::agent(user, at.account)).or(at.bot.map(bot::slim)),
            "assignee_type": at.assignee.map(|_| "User").or(at.bot.map(|_| "AgentBot")),
            "team": at.team.map(|team| people::team(team, at.account, at.is_in_team)),
            "hmac_verified": at.is_verified,
        },
        "id": v.number,
        "messages": last.into_iter().collect::<Vec<Value>>(),
        "account_id": at.account,
        "uuid": v.id.0.to_string(),
        "additional_attributes": object(&v.metadata),
        "agent_last_seen_at": seconds_or_zero(v.agent_seen_at),
        "assignee_last_seen_at": seconds_or_zero(v.agent_seen_at.filter(|_| v.agent.is_some())),
        "can_reply": true,
        "contact_last_seen_at": seconds_or_zero(v.contact_seen_at),
        "custom_attributes": object(&v.custom_fields),
        "inbox_id": at.inbox.number,
        "labels": v.tags,
        "muted": v.contact.is_blocked,
        "snoozed_until": v.snoozed_until.map(iso),
        "status": status(v),
        "created_at": seconds(v.created_at),
        "updated_at": v.updated_at as f64 / 1e6,
        "timestamp": active_at,
        "first_reply_created_at": seconds_or_zero(v.first_reply_at),
        "unread_count": at.unread,
        "last_non_activity_message": last_said,
        "last_activity_at": active_at,
        "priority": v.priority.map(Priority::as_str),
        "waiting_since": seconds_or_zero(v.waiting_since),
        "sla_policy_id": null,
    })
}

/// A conversation of the client API; `messages` are public ones.
pub fn public(v: &Conversation, inbox: i64, account: i64, messages: Vec<Value>) -> Value {
    json!({
        "id": v.number,
        "uuid": v.id.0.to_string(),
        "inbox_id": inbox,
        "contact_last_seen_at": seconds_or_zero(v.contact_seen_at),
        "status": status(v),
        "agent_last_seen_at": seconds_or_zero(v.agent_seen_at),
        "messages": messages,
        "contact": contact::raw(&v.contact, account),
    })
}
