//! What is changed of a tenant's settings and people is written down: by whom, what, when, and no secret.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::App;
use axum::extract::ConnectInfo;
use axum::http::Request;
use bridge::{Bridge, user};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tieline_core::keys::token::Mode;
use tieline_core::users::Role;
use tieline_core::webhooks::{self, DisabledReason};
use tieline_delivery::housekeeping::{Housekeeping, Kept};

/// The rows of a query, newest first.
async fn rows(app: &App, query: &str) -> Vec<Value> {
    app.get(&format!("/v1/audit{query}")).await.expect(200)["data"].as_array().expect("a list").clone()
}

fn actions(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["action"].as_str().expect("text")).collect()
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap_or_else(|| panic!("no id: {value}"))
}

#[tokio::test]
async fn changes_by_key_user_and_system_are_written_down() {
    let app = App::new().await;
    let before = rows(&app, "").await;
    assert_eq!(actions(&before), ["api_key.created", "tenant.created"], "what set this test up");
    assert_eq!((&before[0]["actor"]["type"], &before[0]["cause"]), (&json!("system"), &Value::Null));

    let team = app.post("/v1/teams", json!({"name": "Logistics"})).await.expect(201);
    let path = format!("/v1/teams/{}", id(&team));
    app.patch(&path, json!({"name": "Night", "assignment": {"mode": "round_robin"}})).await.expect(200);
    app.delete(&path).await.expect(204);
    let of_team = rows(&app, &format!("?subject={}", id(&team))).await;
    assert_eq!(actions(&of_team), ["team.deleted", "team.updated", "team.created"]);
    assert_eq!(of_team[1]["detail"], json!({"changed": ["name", "assignment"]}));
    let actor = &of_team[1]["actor"];
    assert_eq!((&actor["type"], &of_team[1]["cause"]["type"]), (&json!("api_key"), &json!("request")));
    let by_key = rows(&app, &format!("?actor={}", id(actor))).await;
    assert_eq!(actions(&by_key), ["team.deleted", "team.updated", "team.created"]);

    let key = json!({"name": "CI", "scopes": ["teams:read"]});
    let key = app.post("/v1/api-keys", key).await.expect(201);
    let rotated = app.post(&format!("/v1/api-keys/{}/rotate", id(&key)), json!({})).await.expect(201);
    app.patch(&format!("/v1/api-keys/{}", id(&rotated)), json!({"isActive": false})).await.expect(200);
    app.delete(&format!("/v1/api-keys/{}", id(&key))).await.expect(204);
    let person = json!({"name": "Ana", "email": "ana@example.com", "password": "correct horse battery"});
    let person = app.post("/v1/users", person).await.expect(201);
    app.patch(&format!("/v1/users/{}", id(&person)), json!({"role": "admin"})).await.expect(200);
    let hook = json!({"name": "Hook", "url": "https://example.com/h?token=hidden", "events": ["*"]});
    let hook = app.post("/v1/webhooks", hook).await.expect(201);
    let path = format!("/v1/webhooks/{}", id(&hook));
    app.post(&format!("{path}/rotate-secret"), json!({})).await.expect(200);
    let endpoint = id(&hook).parse().expect("an id");
    let off =
        move |tx: &mut tieline_db::Tx| webhooks::disable(tx, tieline_wire::freeze, endpoint, DisabledReason::Gone);
    app.db.write(off).await.expect("is off");
    app.patch(&path, json!({"isActive": true})).await.expect(200);
    app.delete(&path).await.expect(204);
    app.patch("/v1/tenant", json!({"logBodies": true})).await.expect(200);
    let field = json!({"key": "order", "name": "Order", "type": "text", "entity": "conversation"});
    let field = app.post("/v1/custom-fields", field).await.expect(201);
    app.delete(&format!("/v1/custom-fields/{}", id(&field))).await.expect(204);
    let rule = json!({"name": "Rule", "trigger": "message.received",
        "branches": [{"actions": [{"type": "add_tag", "tag": "x"}]}]});
    let rule = app.post("/v1/automations", rule).await.expect(201);
    app.delete(&format!("/v1/automations/{}", id(&rule))).await.expect(204);

    // Refused is not changed, and reading neither.
    app.post("/v1/teams", json!({"name": ""})).await.expect(400);
    app.get("/v1/teams").await.expect(200);
    let all = rows(&app, "?limit=100").await;
    let mut expected = vec![
        "team.created",
        "team.updated",
        "team.deleted",
        "api_key.created",
        "api_key.rotated",
        "api_key.created",
        "api_key.updated",
        "api_key.revoked",
        "user.created",
        "user.updated",
        "webhook.created",
        "webhook.secret_rotated",
        "webhook.disabled",
        "webhook.updated",
        "webhook.deleted",
        "tenant.updated",
        "custom_field.created",
        "custom_field.deleted",
        "automation.created",
        "automation.deleted",
    ];
    expected.reverse();
    assert_eq!(actions(&all[..expected.len()]), expected);
    let text = serde_json::to_string(&all).expect("JSON");
    for secret in [&key["key"], &rotated["key"], &hook["secret"], &json!("correct horse"), &json!("hidden")] {
        let secret = secret.as_str().expect("a secret");
        assert!(!text.contains(secret), "{secret} is in the log");
    }
    let disabled = all.iter().find(|row| row["action"] == "webhook.disabled").expect("there");
    assert_eq!((&disabled["actor"]["type"], &disabled["detail"]), (&json!("system"), &json!({"reason": "gone"})));

    // Page by page the same.
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/v1/audit?limit=7{cursor}")).await.expect(200);
        paged.extend(page["data"].as_array().expect("a list").clone());
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, all);
    assert_eq!(rows(&app, "?since=2999-01-01T00:00:00Z").await, [Value::Null; 0]);
    app.get("/v1/audit?since=yesterday").await.expect(400);
}

#[tokio::test]
async fn a_change_tells_from_where_it_came() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    for (path, header, key, request_id) in [
        ("/v1/teams", "authorization", &format!("Bearer {}", app.key), "req_one"),
        ("/api/v1/accounts/1/teams", "api_access_token", &bridge.token, "req_two"),
    ] {
        let request = Request::post(path).header(header, key).header("content-type", "application/json");
        let request = request.header("x-forwarded-for", "6.6.6.6, 203.0.113.9").header("x-request-id", request_id);
        let mut request = request.body(json!({"name": request_id}).to_string().into()).expect("a request");
        let proxy: SocketAddr = "10.0.0.1:4000".parse().expect("an address");
        request.extensions_mut().insert(ConnectInfo(proxy));
        assert!(app.send(request).await.status.is_success(), "{path}");
        let row = &rows(&app, "?limit=1").await[0];
        let told = (&row["action"], &row["address"], &row["cause"]);
        let cause = json!({"type": "request", "id": request_id});
        assert_eq!(told, (&json!("team.created"), &json!("203.0.113.9"), &cause));
    }
}

#[tokio::test]
async fn changes_stay_unless_the_operator_wants_less() {
    const DAY_US: i64 = 24 * 3600 * 1_000_000;
    let app = App::new().await;
    let kept = Kept { audit_us: Some(365 * DAY_US), ..Kept::default() };
    let [ever, year] = [Kept::default(), kept].map(|kept| Housekeeping::new(app.db.clone(), kept));
    app.clock.advance_us(364 * DAY_US);
    app.post("/v1/teams", json!({"name": "Night"})).await.expect(201);
    app.clock.advance_us(2 * DAY_US);
    assert_eq!(ever.step().await.expect("steps"), 0);
    assert_eq!(year.step().await.expect("steps"), 2, "what set this test up");
    assert_eq!(actions(&rows(&app, "").await), ["team.created"]);
    assert_eq!(year.step().await.expect("steps"), 0);
}

#[tokio::test]
async fn what_chatwoots_clients_change_is_there_too_and_no_other_tenants() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (_, agent) = user(&app, "acme", "Ana", Role::Agent).await;
    let mark = rows(&app, "?limit=100").await.len();
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    bridge.post("/inbox_members", json!({"inbox_id": inbox["id"], "user_ids": [agent]})).await;
    let bot = bridge.post("/agent_bots", json!({"name": "Robo"})).await;
    bridge.post(&format!("/inboxes/{}/set_agent_bot", inbox["id"]), json!({"agent_bot": bot["id"]})).await;
    bridge.post(&format!("/agent_bots/{}/reset_secret", bot["id"]), json!({})).await;
    bridge.patch(&format!("/agents/{agent}"), json!({"availability": "busy"})).await;
    bridge.patch(&format!("/agents/{agent}"), json!({"role": "administrator"})).await;
    bridge.call("DELETE", &format!("/agents/{agent}"), None).await.expect_status(200);
    let all = rows(&app, "?limit=100").await;
    let mut expected = vec![
        "inbox.created",
        "inbox.updated",
        "bot.created",
        "inbox.updated",
        "bot.secret_rotated",
        "user.updated",
        "user.updated",
    ];
    expected.reverse();
    assert_eq!(actions(&all[..all.len() - mark]), expected, "that somebody is busy is their own affair");
    assert!(all[..all.len() - mark].iter().all(|row| row["actor"]["name"] == "Bea"));
    app.tenant("other").await;
    let stranger = app.key("other", Mode::Live, &["full_access"]).await;
    let theirs = app.call(&stranger, "GET", "/v1/audit", &[], None).await.expect(200);
    let theirs = theirs["data"].as_array().expect("a list").clone();
    assert_eq!(actions(&theirs), ["api_key.created", "tenant.created"]);
}
