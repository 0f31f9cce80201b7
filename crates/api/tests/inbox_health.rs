//! The health of an inbox: what was accepted, what was refused and why, repeats, and how its webhook does.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::App;
use axum::body::Body;
use axum::http::Request;
use bridge::{Bridge, user};
use serde_json::{Value, json};
use tieline_core::tenants::Mode;
use tieline_core::users::Role;

/// An inbox: its identifier and its id on `/v1`.
async fn inbox(app: &App, bridge: &Bridge<'_>, channel: Value) -> (String, String) {
    let made = bridge.post("/inboxes", json!({"name": "Shop", "channel": channel})).await;
    let identifier = made["inbox_identifier"].as_str().unwrap().to_owned();
    let list = app.get("/v1/inboxes").await.expect(200);
    let found = list["data"].as_array().unwrap().iter().find(|inbox| inbox["identifier"] == identifier.as_str());
    (identifier, found.unwrap()["id"].as_str().unwrap().to_owned())
}

async fn health(app: &App, id: &str) -> Value {
    app.hub.requests().flush().await.unwrap();
    app.get(&format!("/v1/inboxes/{id}/health")).await.expect(200)
}

/// Reasons and how often.
fn refused(health: &Value) -> Vec<(String, i64)> {
    let list = health["refused"].as_array().unwrap().iter();
    let mut list: Vec<_> =
        list.map(|row| (row["outcome"].as_str().unwrap().to_owned(), row["count"].as_i64().unwrap())).collect();
    list.sort();
    list
}

fn said(text: &str) -> Option<Value> {
    Some(json!({"source_id": "c-1", "message": {"content": text, "source_id": "m-1"}}))
}

#[tokio::test]
async fn an_inbox_tells_what_came_and_why_it_did_not() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let channel = json!({"type": "api", "webhook_url": "https://shop.example/hook"});
    let (door, id) = inbox(&app, &bridge, channel).await;
    let fresh = health(&app, &id).await;
    assert_eq!((&fresh["accepted"], &fresh["repeated"], &fresh["refused"]), (&Value::Null, &Value::Null, &json!([])));
    assert_eq!(
        (&fresh["webhook"]["url"], &fresh["webhook"]["isActive"]),
        (&json!("https://shop.example/hook"), &json!(true))
    );
    assert_eq!(fresh["installation"]["unknownIdentifier"], json!({"count": 0, "lastAt": null}));

    let path = format!("{door}/messages");
    let landed = bridge.public("POST", &path, said("Hi")).await.expect(200);
    bridge.public("POST", &path, said("Hi")).await.expect(200);
    let v = landed["conversation"]["id"].as_i64().unwrap();
    let again = json!({"content": "Hi", "message_type": "incoming", "source_id": "m-1"});
    bridge.post(&format!("/conversations/{v}/messages"), again).await;
    let now = health(&app, &id).await;
    assert_eq!(now["accepted"]["count"], 3, "also through the application API");
    assert_eq!((&now["accepted"]["method"], &now["accepted"]["status"]), (&json!("POST"), &json!(200)));
    assert_eq!((&now["repeated"]["count"], &now["repeated"]["detail"]), (&json!(2), &json!("m-1")));
    assert_eq!(now["refused"], json!([]));

    bridge.public("POST", &path, Some(json!({"source_id": "c-1"}))).await.expect(422);
    bridge.public("GET", &format!("{door}/contacts/nobody"), None).await.expect(404);
    let broken = Request::post(format!("/public/api/v1/inboxes/{path}")).header("content-type", "application/json");
    app.send(broken.body(Body::from("{")).unwrap()).await.expect(400);
    let (agent, _) = user(&app, "acme", "Leo", Role::Agent).await;
    let stranger = Bridge { app: &app, token: agent };
    stranger.call("GET", &format!("/conversations/{v}"), None).await.expect(401);
    let now = health(&app, &id).await;
    let counts = [("invalid_body", 2), ("not_found", 1), ("wrong_credentials", 1)];
    assert_eq!(refused(&now), counts.map(|(reason, count)| (reason.to_owned(), count)));
    let body = now["refused"].as_array().unwrap().iter().find(|row| row["outcome"] == "invalid_body").unwrap();
    assert_eq!((&body["status"], &body["detail"]), (&json!(400), &json!("The request body is no valid JSON.")));
    assert_eq!(body["route"], "/public/api/v1/inboxes/{inbox}/messages");
    assert_eq!(now["accepted"]["count"], 3);

    let (safe, safe_id) = inbox(&app, &bridge, json!({"type": "api", "hmac_mandatory": true})).await;
    bridge.public("POST", &format!("{safe}/contacts"), Some(json!({"identifier": "ana"}))).await.expect(401);
    let now = health(&app, &safe_id).await;
    assert_eq!(refused(&now), [("wrong_credentials".to_owned(), 1)]);
    assert_eq!(now["refused"][0]["detail"], "HMAC failed: Invalid Identifier Hash Provided");
    assert_eq!((&now["webhook"], &now["deliveries"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn calls_of_the_other_surfaces_count_too() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (_, id) = inbox(&app, &bridge, json!({"type": "api"})).await;
    let open = json!({"externalReference": "order-1", "subject": "Order", "channel": "api", "contact": {"email": "ana@example.com"}});
    let v = app.post("/v1/conversations/outbound", open.clone()).await.expect(201);
    let v = v["id"].as_str().unwrap().to_owned();
    app.post("/v1/conversations/outbound", open).await.expect(409);
    let now = health(&app, &id).await;
    assert_eq!(
        (&now["accepted"]["count"], &now["accepted"]["route"]),
        (&json!(1), &json!("/v1/conversations/outbound"))
    );
    assert_eq!((&now["repeated"]["count"], &now["repeated"]["status"]), (&json!(1), &json!(409)));
    assert_eq!(now["refused"], json!([]), "it is told as what it is, once");

    let (messages, said) =
        (format!("/v1/conversations/{v}/messages"), json!({"direction": "inbound", "text": "Hi", "externalId": "m-1"}));
    app.post(&messages, said.clone()).await.expect(201);
    app.post(&messages, said).await.expect(200);
    app.post(&messages, json!({"direction": "sideways"})).await.expect(400);
    app.get(&format!("/v1/conversations/{v}")).await.expect(200);
    app.post(&format!("/api/v1/conversations/{v}/messages"), json!({"content": "Olá"})).await.expect(201);
    app.post(&format!("/api/v1/conversations/{v}/messages"), json!({})).await.expect(400);
    let narrow = app.key("acme", Mode::Live, &["contacts:read"]).await;
    app.call(&narrow, "POST", &messages, &[], Some(json!({}))).await.expect(403);
    let now = health(&app, &id).await;
    assert_eq!((&now["accepted"]["count"], &now["repeated"]["count"]), (&json!(5), &json!(2)));
    let counts = [("invalid_body", 2), ("wrong_credentials", 1)];
    assert_eq!(refused(&now), counts.map(|(reason, count)| (reason.to_owned(), count)));
    let denied = now["refused"].as_array().unwrap().iter().find(|row| row["outcome"] == "wrong_credentials").unwrap();
    assert!(denied["detail"].as_str().unwrap().contains("conversations:write"), "{denied}");

    // Another tenant's conversation is nobody's call.
    app.tenant("other").await;
    let other = app.key("other", Mode::Live, &["full_access"]).await;
    app.call(&other, "GET", &format!("/v1/conversations/{v}"), &[], None).await.expect(404);
    assert_eq!(health(&app, &id).await["refused"], now["refused"]);
}

#[tokio::test]
async fn calls_for_nobody_are_counted_for_the_installation() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (_, id) = inbox(&app, &bridge, json!({"type": "api"})).await;
    bridge.public("POST", "no-such-inbox/contacts", Some(json!({}))).await.expect(404);
    let wrong = Bridge { app: &app, token: "wrong".into() };
    wrong.call("GET", "/conversations", None).await.expect(401);
    let now = health(&app, &id).await;
    assert_eq!(now["installation"]["unknownIdentifier"]["count"], 1);
    assert_eq!(now["installation"]["unknownToken"]["count"], 1);
    assert!(now["installation"]["unknownToken"]["lastAt"].is_string());
    assert_eq!((&now["accepted"], &now["refused"]), (&Value::Null, &json!([])));

    // An identifier of an inbox of another channel is found, and the reason told.
    let email = app.post("/v1/inboxes", json!({"name": "Mail", "channel": "email"})).await.expect(201);
    let path = format!("{}/contacts", email["identifier"].as_str().unwrap());
    bridge.public("POST", &path, Some(json!({}))).await.expect(404);
    let now = health(&app, email["id"].as_str().unwrap()).await;
    assert_eq!(refused(&now), [("not_found".to_owned(), 1)]);
}

#[tokio::test]
async fn it_is_for_those_who_may_read_channels_of_this_tenant() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (_, id) = inbox(&app, &bridge, json!({"type": "api"})).await;
    let path = format!("/v1/inboxes/{id}/health");
    let narrow = app.key("acme", Mode::Live, &["conversations:read"]).await;
    app.call(&narrow, "GET", &path, &[], None).await.expect(403);
    app.tenant("other").await;
    let other = app.key("other", Mode::Live, &["full_access"]).await;
    app.call(&other, "GET", &path, &[], None).await.expect(404);
    bridge.app.delete(&format!("/v1/inboxes/{id}")).await.expect_status(204);
    app.get(&path).await.expect(404);
}
