//! One scenario through each dialect leaves the same state and the same events.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;
#[path = "support/compare.rs"]
mod compare;

use app::App;
use bridge::Bridge;
use serde_json::{Value, json};

const PICTURE: &str = "https://example.com/pictures/label.png";

/// What both have beforehand: a conversation in which the customer has written.
async fn opened() -> (App, String) {
    let app = App::new().await;
    let body = json!({"externalReference": "order-1", "subject": "Parcel", "channel": "whatsapp",
        "contact": {"email": "ana@example.com", "name": "Ana", "phone": "+5511987654321"},
        "outboundContext": {"originalMessage": "Cadê?"}});
    let made = app.post("/v1/conversations/outbound", body).await.expect(201);
    let id = made["id"].as_str().expect("an id").to_owned();
    (app, id)
}

async fn through_v1() -> Vec<String> {
    let (app, id) = opened().await;
    let contact = app.post("/v1/contacts", json!({"phone": "+5521987654321", "name": "Bia"})).await.expect(201);
    let path = format!("/v1/contacts/{}", contact["id"].as_str().expect("an id"));
    app.patch(&path, json!({"name": "Bia Lima", "email": "bia@example.com"})).await.expect(200);
    let messages = format!("/v1/conversations/{id}/messages");
    let text = json!({"direction": "outbound", "text": "Saiu para entrega."});
    app.call(&app.key, "POST", &messages, &[("idempotency-key", "k1")], Some(text.clone())).await.expect(201);
    app.call(&app.key, "POST", &messages, &[("idempotency-key", "k1")], Some(text)).await.expect(201);
    let picture = json!({"direction": "outbound", "text": "A etiqueta",
        "attachments": [{"url": PICTURE, "contentType": "image/png"}]});
    app.post(&messages, picture).await.expect(201);
    compare::left_behind(&app).await
}

async fn through_atteny() -> Vec<String> {
    let (app, id) = opened().await;
    // Plain, as it is dialled in Brazil.
    let contact = app.post("/api/v1/contacts", json!({"phoneNumber": "(21) 98765-4321", "name": "Bia"})).await;
    let path = format!("/api/v1/contacts/{}", contact.expect(201)["data"]["id"].as_str().expect("an id"));
    app.patch(&path, json!({"name": "Bia Lima", "email": "bia@example.com"})).await.expect(200);
    let messages = format!("/api/v1/conversations/{id}/messages");
    let text = json!({"content": "Saiu para entrega."});
    app.call(&app.key, "POST", &messages, &[("idempotency-key", "k1")], Some(text.clone())).await.expect(201);
    app.call(&app.key, "POST", &messages, &[("idempotency-key", "k1")], Some(text)).await.expect(201);
    let picture = json!({"content": "A etiqueta", "type": "IMAGE", "mediaUrl": PICTURE, "mediaType": "image/png"});
    app.post(&messages, picture).await.expect(201);
    compare::left_behind(&app).await
}

#[tokio::test]
async fn one_scenario_leaves_the_same_state_and_events_through_every_dialect() {
    let native = through_v1().await;
    let count = |table: &str| native.iter().filter(|line| line.starts_with(table)).count();
    assert_eq!((count("contacts:"), count("messages:"), count("attachments:")), (2, 3, 1), "{native:#?}");
    let created: Value =
        serde_json::from_str(native.last().expect("events").split_once(": ").expect("a row").1).expect("JSON");
    assert_eq!(created["type"], "message.sent");
    let atteny = through_atteny().await;
    for (native, atteny) in native.iter().zip(&atteny) {
        assert_eq!(native, atteny);
    }
    assert_eq!(native.len(), atteny.len());
}

/// A conversation in an API inbox, as its client opened it; answers its number and its id on `/v1`.
async fn opened_in_an_inbox(bridge: &Bridge<'_>) -> (i64, String) {
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    bridge.post("/labels", json!({"title": "late"})).await;
    let door = inbox["inbox_identifier"].as_str().expect("an identifier");
    let ana = json!({"source_id": "a", "name": "Ana", "email": "ana@example.com"});
    bridge.public("POST", &format!("{door}/contacts"), Some(ana)).await.expect(200);
    let made = bridge.public("POST", &format!("{door}/contacts/a/conversations"), None).await.expect(200);
    let uuid = made["uuid"].as_str().expect("an id").replace('-', "");
    (made["id"].as_i64().expect("a number"), format!("conv_{uuid}"))
}

async fn talked_through_v1() -> Vec<String> {
    let app = App::new().await;
    let (_, id) = opened_in_an_inbox(&Bridge::new(&app).await).await;
    let bia = app.post("/v1/contacts", json!({"phone": "+5521987654321", "name": "Bia"})).await.expect(201);
    let path = format!("/v1/contacts/{}", bia["id"].as_str().expect("an id"));
    app.patch(&path, json!({"name": "Bia Lima", "email": "bia@example.com"})).await.expect(200);
    let messages = format!("/v1/conversations/{id}/messages");
    let asked = json!({"direction": "inbound", "text": "Cadê?", "externalId": "in-1"});
    app.post(&messages, asked.clone()).await.expect(201);
    app.post(&messages, asked).await.expect(200);
    let said = json!({"direction": "outbound", "text": "Saiu para entrega.", "externalId": "out-1"});
    let said = app.post(&messages, said).await.expect(201);
    app.post(&format!("/v1/conversations/{id}/notes"), json!({"text": "Ligar depois"})).await.expect(201);
    let report = format!("/v1/messages/{}/status", said["id"].as_str().expect("an id"));
    app.post(&report, json!({"status": "delivered"})).await.expect(200);
    app.put(&format!("/v1/conversations/{id}/tags/late")).await.expect_status(200);
    app.patch(&format!("/v1/conversations/{id}"), json!({"status": "done"})).await.expect(200);
    compare::left_behind(&app).await
}

async fn talked_through_the_api_inbox() -> Vec<String> {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (number, _) = opened_in_an_inbox(&bridge).await;
    let bia = bridge.post("/contacts", json!({"phone_number": "+5521987654321", "name": "Bia"})).await;
    let path = format!("/contacts/{}", bia["payload"]["contact"]["id"]);
    bridge.patch(&path, json!({"name": "Bia Lima", "email": "bia@example.com"})).await;
    let path = format!("/conversations/{number}");
    let messages = format!("{path}/messages");
    let asked = json!({"content": "Cadê?", "message_type": "incoming", "source_id": "in-1"});
    bridge.post(&messages, asked.clone()).await;
    bridge.post(&messages, asked).await;
    let said = json!({"content": "Saiu para entrega.", "message_type": "outgoing", "source_id": "out-1"});
    let said = bridge.post(&messages, said).await;
    bridge.post(&messages, json!({"content": "Ligar depois", "private": true})).await;
    bridge.patch(&format!("{messages}/{}", said["id"]), json!({"status": "delivered"})).await;
    bridge.post(&format!("{path}/labels"), json!({"labels": ["late"]})).await;
    bridge.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
    compare::left_behind(&app).await
}

/// Takes away who did it: a key on `/v1`, a user here.
fn nobodys(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            // What webhooks of Chatwoot's format were to say is kept where one may listen: by its own dialect always.
            let told = ["actor", "author", "author_id", "author_name", "author_type", "state"];
            members
                .into_iter()
                .filter(|(name, _)| !told.contains(&&**name))
                .map(|(name, v)| (name, nobodys(v)))
                .collect()
        }
        Value::Array(list) => list.into_iter().map(nobodys).collect(),
        Value::String(text) if text.starts_with('{') => {
            serde_json::from_str(&text).map_or(Value::String(text), nobodys)
        }
        other => other,
    }
}

/// The rows without who did it, their ids numbered anew by their first appearance.
fn rows(lines: &[String]) -> Vec<String> {
    let mut known = std::collections::HashMap::new();
    let mut number = |text: &str| -> String {
        let mut parts = text.split('#');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            let next = known.len();
            let new = *known.entry(digits.clone()).or_insert(next);
            out += &format!("#{new}{}", &part[digits.len()..]);
        }
        out
    };
    let row = |line: &String| {
        let (table, row) = line.split_once(": ").expect("a row");
        number(&format!("{table}: {}", nobodys(serde_json::from_str(row).expect("JSON"))))
    };
    lines.iter().map(row).collect()
}

#[tokio::test]
async fn a_talk_in_an_api_inbox_leaves_the_same_through_both_of_its_dialects() {
    let (native, chatwoot) = (talked_through_v1().await, talked_through_the_api_inbox().await);
    for (native, chatwoot) in rows(&native).iter().zip(rows(&chatwoot)) {
        assert_eq!(*native, chatwoot);
    }
    assert_eq!(native.len(), chatwoot.len());
    let events = native.iter().filter(|line| line.starts_with("events:")).count();
    assert!(events >= 9, "{events}");
}
