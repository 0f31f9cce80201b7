//! Conversations to talk about, and the log of what happened to them.
#![allow(dead_code)] // no suite needs all of it

use super::app::App;
use serde_json::{Value, json};
use tieline_core::events::feed;
use tieline_core::ids::TenantId;
use tieline_core::keys::token::Mode;

/// Opens a conversation of `ana@example.com` in this channel and answers it.
pub async fn open(app: &App, reference: &str, channel: &str) -> Value {
    let body = json!({
        "externalReference": reference, "subject": "Where is my parcel?", "channel": channel,
        "contact": {"email": "ana@example.com"}, "outboundContext": {"originalMessage": "Hello?"}
    });
    app.post("/v1/conversations/outbound", body).await.expect(201)
}

/// The path of something of a conversation.
pub fn path(conversation: &Value, rest: &str) -> String {
    format!("/v1/conversations/{}{rest}", conversation["id"].as_str().expect("an id"))
}

/// The conversation as it is now.
pub async fn now(app: &App, conversation: &Value) -> Value {
    app.get(&path(conversation, "")).await.expect(200)
}

/// Sends the customer's message.
pub async fn hear(app: &App, conversation: &Value, text: &str) -> Value {
    app.post(&path(conversation, "/messages"), json!({"direction": "inbound", "text": text})).await.expect(201)
}

/// Sends an agent's message.
pub async fn say(app: &App, conversation: &Value, text: &str) -> Value {
    app.post(&path(conversation, "/messages"), json!({"direction": "outbound", "text": text})).await.expect(201)
}

/// Makes rows that have no route here: team `support`, user Bia, tags `vip` and `late`, fields `tier` and `seats`.
pub async fn furnish(app: &App, tenant: i64) {
    let made: Result<(), tieline_core::Error> = app
        .db
        .write(move |tx| {
            for statement in [
                "insert into teams (tenant_id, id, number, name, created_at, updated_at) values ($1, $2, $3, 'support', 1, 1)",
                "insert into users (tenant_id, id, number, email, name, role, access_token_hash, access_token_sealed, is_active, \
                 created_at, updated_at) values ($1, $2, $3, 'bia@example.com', 'Bia', 'agent', $4, $4, true, 1, 1)",
                "insert into tags (tenant_id, id, number, slug, name, created_at, updated_at) values ($1, $2, $3, 'vip', 'VIP', 1, 1)",
                "insert into tags (tenant_id, id, number, slug, name, created_at, updated_at) values ($1, $2, $3, 'late', 'Late', 1, 1)",
                "insert into custom_fields (tenant_id, id, number, entity, key, name, type, options, created_at, updated_at) \
                 values ($1, $2, $3, 'conversation', 'tier', 'Tier', 'text', '[]', 1, 1)",
                "insert into custom_fields (tenant_id, id, number, entity, key, name, type, options, created_at, updated_at) \
                 values ($1, $2, $3, 'conversation', 'seats', 'Seats', 'number', '[]', 1, 1)",
            ] {
                let id = uuid::Uuid::from_u128(0x7000 + tenant as u128);
                let id = if statement.contains("tags") || statement.contains("fields") { tx.new_id() } else { id };
                let number = tx.take_number()?;
                let params = tieline_db::params![tenant, id, number, id.as_bytes().as_slice()];
                tx.execute(statement, &params[..if statement.contains("$4") { 4 } else { 3 }])?;
            }
            Ok(())
        })
        .await;
    made.expect("rows");
}

/// The id of the team or user that [`furnish`] makes.
pub fn furnished(prefix: &str, tenant: i64) -> String {
    format!("{prefix}_{}", uuid::Uuid::from_u128(0x7000 + tenant as u128).simple())
}

/// A key of another tenant, and one of the test partition.
pub async fn strangers(app: &App) -> [String; 2] {
    app.tenant("other").await;
    [app.key("other", Mode::Live, &["full_access"]).await, app.key("acme", Mode::Test, &["full_access"]).await]
}

/// Everything that happened in tenant `acme` so far: position, name, sequence and data.
pub async fn log(app: &App) -> Vec<(i64, String, Option<i64>, Value)> {
    app.number().await;
    let events = app.db.read(|read| feed::of_tenant(read, TenantId(1), 0, 10_000)).await.expect("the log");
    let data = |event: &tieline_core::events::Stored| serde_json::from_str(&event.data).expect("JSON");
    events.iter().map(|event| (event.position, event.name.clone(), event.sequence, data(event))).collect()
}

/// Names of the events since `mark`, which moves to the end of the log.
pub async fn since(app: &App, mark: &mut i64) -> Vec<String> {
    let log = log(app).await;
    let news = log.iter().filter(|event| event.0 > *mark).map(|event| event.1.clone()).collect();
    *mark = log.last().map_or(0, |event| event.0);
    news
}

/// Panics unless the events of every conversation are numbered 1, 2, 3, … in the order of the log.
pub async fn assert_sequences(app: &App) {
    let mut last = std::collections::HashMap::new();
    for (_, name, sequence, data) in log(app).await {
        let Some(sequence) = sequence else { continue };
        let id = data["conversation"]["id"].as_str().expect("a conversation").to_owned();
        let before = last.insert(id.clone(), sequence).unwrap_or(0);
        assert_eq!(sequence, before + 1, "{name} of {id}");
    }
}
