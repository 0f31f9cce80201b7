//! One scenario through each dialect leaves the same state and the same events.

#[path = "support/app.rs"]
#[allow(dead_code)]
mod app;
#[path = "support/compare.rs"]
mod compare;

use app::App;
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
