//! Webhooks of an account: where its events are posted.

use serde_json::{Value, json};
use tieline_core::inboxes::Inbox;
use tieline_core::webhooks::{Endpoint, Format};

/// A webhook of an account, with its secret; `inbox` is the only one whose events it gets.
pub fn subscription(endpoint: &Endpoint, account: i64, secret: &str, inbox: Option<&Inbox>) -> Value {
    let all = endpoint.events.iter().any(|word| word == "*");
    let known = Format::Chatwoot.events();
    let words: Vec<&str> = if all { known } else { endpoint.events.iter().map(String::as_str).collect() };
    let mut view = json!({
        "id": endpoint.number,
        "name": Some(&endpoint.name).filter(|name| !name.is_empty()),
        "url": endpoint.url,
        "account_id": account,
        "subscriptions": words,
        "secret": secret,
    });
    if let Some(inbox) = inbox {
        view["inbox"] = json!({"id": inbox.number, "name": inbox.name});
    }
    view
}
