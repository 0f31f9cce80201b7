//! Bots: whole, as a conversation's assignee, and as a sender.

use super::object;
use serde_json::{Value, json};
use tieline_core::bots::Bot;

/// What administrators see beside the rest.
pub struct Secrets {
    /// The bot's access token.
    pub access_token: String,
    /// What signs what it is sent.
    pub secret: String,
}

/// A bot of the application API.
pub fn bot(b: &Bot, account: i64, secrets: Option<Secrets>) -> Value {
    let mut view = json!({
        "id": b.number,
        "name": b.name,
        "description": b.description,
        "thumbnail": "",
        "outgoing_url": b.outgoing_url,
        "bot_type": "webhook",
        "bot_config": object(&b.config),
        "account_id": account,
        "system_bot": false,
    });
    if let Some(secrets) = secrets {
        view["access_token"] = secrets.access_token.into();
        view["secret"] = secrets.secret.into();
    }
    view
}

/// A bot that has a conversation.
pub fn slim(b: &Bot) -> Value {
    json!({"id": b.number, "name": b.name, "description": b.description, "thumbnail": "", "type": "agent_bot"})
}

/// A bot as a sender.
pub fn sender(b: &Bot) -> Value {
    json!({"id": b.number, "name": b.name, "avatar_url": "", "type": "agent_bot"})
}
