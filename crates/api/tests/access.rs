//! Users and API keys on `/v1`.

#[path = "support/app.rs"]
mod app;

use app::App;
use serde_json::{Value, json};
use tieline_api::last_used;
use tieline_core::keys::token::Mode;

const KEYS: &str = "/v1/api-keys";
const USERS: &str = "/v1/users";

fn at(path: &str, thing: &Value) -> String {
    format!("{path}/{}", thing["id"].as_str().unwrap())
}

async fn make_key(app: &App, scopes: &[&str]) -> Value {
    app.post(KEYS, json!({"name": "k", "scopes": scopes})).await.expect(201)
}

async fn me(app: &App, key: &Value) -> u16 {
    app.call(key["key"].as_str().unwrap(), "GET", "/v1/me", &[], None).await.status.as_u16()
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_at_once() {
    let app = App::new().await;
    let body = json!({"name": "Order system", "description": "d", "scopes": ["contacts:write", "tags:read"],
        "expiresAt": "2026-05-13T09:30:00Z"});
    let headers = [("idempotency-key", "k")];
    let create = || app.call(&app.key, "POST", KEYS, &headers, Some(body.clone()));
    let (a, b) = tokio::join!(create(), create());
    let made = a.expect(201);
    assert_eq!(b.expect(201), made, "a lost answer comes again, with the key");
    let text = made["key"].as_str().unwrap();
    assert!(text.starts_with("sa_live_") && text.starts_with(made["prefix"].as_str().unwrap()));
    assert_eq!(
        (&made["environment"], &made["scopes"]),
        (&json!("production"), &json!(["contacts:write", "tags:read"]))
    );
    assert!(app.stored(b"Order system").await && !app.stored(text.as_bytes()).await, "no key in the clear");
    assert_eq!(me(&app, &made).await, 200);

    let shown = app.get(&at(KEYS, &made)).await.expect(200);
    assert_eq!((shown.get("key"), &shown["description"]), (None, &json!("d")));
    let list = app.get(KEYS).await.expect(200);
    assert_eq!(list["data"][0], shown);
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "the key of the test and this one");
    app.clock.advance_us(24 * 3600 * 1_000_000);
    assert_eq!(me(&app, &made).await, 401, "it has ended");
}

#[tokio::test]
async fn the_sandbox_makes_keys_of_its_own() {
    let app = App::new().await;
    let test = app.key("acme", Mode::Test, &["full_access"]).await;
    let made = app.call(&test, "POST", KEYS, &[], Some(json!({"name": "k", "scopes": ["basic"]}))).await.expect(201);
    assert!(made["key"].as_str().unwrap().starts_with("sa_test_"));
    assert_eq!(made["environment"], "sandbox");
    app.get(&at(KEYS, &made)).await.expect(404);
}

#[tokio::test]
async fn a_key_gives_no_scope_that_it_lacks() {
    let app = App::new().await;
    let weak = app.key("acme", Mode::Live, &["settings:write", "conversations:read"]).await;
    let call = async |method: &str, path: &str, body: Value| app.call(&weak, method, path, &[], Some(body)).await;
    for (scopes, missing) in [
        (json!(["conversations:write"]), "conversations:write"),
        (json!(["settings:read", "users:read"]), "users:read"),
        (json!(["full_access"]), "agents:read"),
    ] {
        let problem = call("POST", KEYS, json!({"name": "k", "scopes": scopes})).await.expect(403);
        assert_eq!((&problem["code"], &problem["requiredScope"]), (&json!("insufficient_scope"), &json!(missing)));
    }
    // What it may do it may give, also what follows from it.
    let given = json!({"name": "k", "scopes": ["settings:read", "messages:read", "conversations:read"]});
    let own = call("POST", KEYS, given).await.expect(201);
    call("PATCH", &at(KEYS, &own), json!({"scopes": ["webhooks:read"]})).await.expect(403);
    call("PATCH", &at(KEYS, &own), json!({"scopes": ["settings:write"]})).await.expect(200);

    let strong = make_key(&app, &["full_access"]).await;
    let rotate = format!("{}/rotate", at(KEYS, &strong));
    call("POST", &rotate, json!({})).await.expect(403);
    assert_eq!(me(&app, &strong).await, 200);
    call("PATCH", &at(KEYS, &strong), json!({"isActive": false})).await.expect(200);
    call("PATCH", &at(KEYS, &strong), json!({"isActive": true})).await.expect(403);
    assert_eq!(me(&app, &strong).await, 401);
}

#[tokio::test]
async fn wrong_keys_are_refused_with_every_reason() {
    let app = App::new().await;
    let body = json!({"name": "", "scopes": ["tags:read", "tags:fly", 7], "expiresAt": "2020-01-01T00:00:00Z"});
    let problem = app.post(KEYS, body).await.expect(400);
    let mut found: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| format!("{} {}", e["pointer"], e["code"])).collect();
    found.sort();
    let expected = [
        r#""/expiresAt" "out_of_range""#,
        r#""/name" "too_short""#,
        r#""/scopes/1" "unknown_scope""#,
        r#""/scopes/2" "invalid_type""#,
    ];
    assert_eq!(found, expected);
    app.post(KEYS, json!({"name": "k", "scopes": []})).await.expect(400);
    app.post(KEYS, json!({"name": "k"})).await.expect(400);
    app.post(KEYS, json!({"name": "k", "scopes": vec!["tags:read"; 101]})).await.expect(400);
}

#[tokio::test]
async fn a_disabled_or_revoked_key_stops_with_the_next_request() {
    let app = App::new().await;
    let key = make_key(&app, &["tags:read"]).await;
    assert_eq!(me(&app, &key).await, 200);
    let changed =
        app.patch(&at(KEYS, &key), json!({"isActive": false, "name": "n", "description": "d"})).await.expect(200);
    assert_eq!((&changed["isActive"], &changed["name"]), (&json!(false), &json!("n")));
    assert_eq!(me(&app, &key).await, 401);
    let rotate = app.post(&format!("{}/rotate", at(KEYS, &key)), json!({})).await.expect(409);
    assert_eq!(rotate["code"], "key_inactive");
    app.patch(&at(KEYS, &key), json!({"isActive": true, "scopes": ["contacts:read"]})).await.expect(200);
    assert_eq!(me(&app, &key).await, 200);
    let text = key["key"].as_str().unwrap();
    app.call(text, "GET", "/v1/tags", &[], None).await.expect(403);
    app.call(text, "GET", "/v1/contacts", &[], None).await.expect(200);
    app.delete(&at(KEYS, &key)).await.expect(204);
    assert_eq!(me(&app, &key).await, 401);
    app.delete(&at(KEYS, &key)).await.expect(404);
}

#[tokio::test]
async fn a_rotated_key_works_on_for_a_while() {
    let app = App::new().await;
    let old = make_key(&app, &["tags:read"]).await;
    let path = format!("{}/rotate", at(KEYS, &old));
    let reply = app.post(&path, json!({"expirePreviousInSeconds": 60})).await;
    let new = reply.expect(201);
    assert_eq!(reply.headers["location"], at(KEYS, &new));
    assert_ne!(new["key"], old["key"]);
    assert_eq!((&new["name"], &new["scopes"], &new["expiresAt"]), (&old["name"], &old["scopes"], &Value::Null));
    assert_eq!(app.get(&at(KEYS, &old)).await.expect(200)["expiresAt"], "2026-05-12T09:31:00.000Z");
    assert_eq!((me(&app, &old).await, me(&app, &new).await), (200, 200));
    app.clock.advance_us(60_000_000);
    assert_eq!((me(&app, &old).await, me(&app, &new).await), (401, 200));
    app.post(&path, json!({})).await.expect(409);

    let again = format!("{}/rotate", at(KEYS, &new));
    for seconds in [json!(-1), json!(604_801), json!("a")] {
        app.post(&again, json!({"expirePreviousInSeconds": seconds})).await.expect(400);
    }
    app.call(&app.key, "POST", &again, &[], None).await.expect(201);
    assert_eq!(app.get(&at(KEYS, &new)).await.expect(200)["expiresAt"], "2026-05-13T09:31:00.000Z", "a day by default");
    app.post(&again, json!({"expirePreviousInSeconds": 0})).await.expect(201);
    assert_eq!(me(&app, &new).await, 401);
}

#[tokio::test]
async fn the_use_of_keys_is_written_down_in_one_go() {
    let app = App::new().await;
    let (used, idle) = (make_key(&app, &["tags:read"]).await, make_key(&app, &["tags:read"]).await);
    last_used::flush(&app.hub).await.unwrap();
    app.clock.advance_us(5_000_000);
    assert_eq!(me(&app, &used).await, 200);
    let before = app.db.stats().groups();
    assert_eq!(last_used::flush(&app.hub).await.unwrap(), 1);
    assert_eq!(app.db.stats().groups(), before + 1);
    assert_eq!(last_used::flush(&app.hub).await.unwrap(), 0);
    assert_eq!(app.db.stats().groups(), before + 1, "nothing to say, nothing written");
    assert_eq!(app.get(&at(KEYS, &used)).await.expect(200)["lastUsedAt"], "2026-05-12T09:30:05.000Z");
    assert_eq!(app.get(&at(KEYS, &idle)).await.expect(200)["lastUsedAt"], Value::Null);
}

#[tokio::test]
async fn users_are_made_and_changed_without_showing_secrets() {
    let app = App::new().await;
    let body = json!({"email": " Bia@Example.com", "name": "Bia Cçé", "password": "correct horse battery"});
    let reply = app.post(USERS, body.clone()).await;
    let user = reply.expect(201);
    assert_eq!(reply.headers["location"], at(USERS, &user));
    assert_eq!(
        (&user["email"], &user["role"], &user["isActive"]),
        (&json!("bia@example.com"), &json!("agent"), &json!(true))
    );
    let members: Vec<&String> = user.as_object().unwrap().keys().collect();
    assert_eq!(members, ["createdAt", "email", "id", "isActive", "name", "role", "updatedAt"]);
    assert!(!app.stored(b"correct horse").await, "no password in the clear");
    let taken = app.post(USERS, body).await.expect(409);
    assert_eq!((&taken["code"], &taken["userId"]), (&json!("user_exists"), &user["id"]));

    let patch = json!({"role": "admin", "name": "B", "password": "another secret", "isActive": false});
    let changed = app.patch(&at(USERS, &user), patch).await.expect(200);
    assert_eq!((&changed["role"], &changed["isActive"]), (&json!("admin"), &json!(false)));
    let problem =
        app.post(USERS, json!({"email": "x", "name": " ", "role": "king", "password": "short"})).await.expect(400);
    assert_eq!(problem["errors"].as_array().unwrap().len(), 4, "{problem}");
    for patch in [json!({"role": null}), json!({"isActive": "no"}), json!({"password": "x".repeat(1025)})] {
        app.patch(&at(USERS, &user), patch).await.expect(400);
    }
}

#[tokio::test]
async fn the_last_owner_stays() {
    let app = App::new().await;
    let owner = |email: &str| json!({"email": email, "name": "o", "role": "owner"});
    let first = app.post(USERS, owner("a@example.com")).await.expect(201);
    for patch in [json!({"role": "admin"}), json!({"isActive": false}), json!({"role": "agent", "isActive": true})] {
        let problem = app.patch(&at(USERS, &first), patch).await.expect(409);
        assert_eq!(problem["code"], "last_owner");
    }
    app.patch(&at(USERS, &first), json!({"name": "still", "role": "owner"})).await.expect(200);
    let second = app.post(USERS, owner("b@example.com")).await.expect(201);
    // Two owners who leave at the same time: one of them has to stay.
    let (first, second) = (at(USERS, &first), at(USERS, &second));
    let (a, b) =
        tokio::join!(app.patch(&first, json!({"role": "agent"})), app.patch(&second, json!({"isActive": false})));
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn the_sandbox_sees_the_live_users_and_leaves_them() {
    let app = App::new().await;
    let user = app.post(USERS, json!({"email": "u@example.com", "name": "u"})).await.expect(201);
    let test = app.key("acme", Mode::Test, &["full_access"]).await;
    let list = app.call(&test, "GET", USERS, &[], None).await.expect(200);
    assert_eq!(list["data"], json!([user]));
    app.call(&test, "GET", &at(USERS, &user), &[], None).await.expect(200);
    for (method, path) in [("POST", USERS.to_owned()), ("PATCH", at(USERS, &user))] {
        let problem = app.call(&test, method, &path, &[], Some(json!({"name": "x"}))).await.expect(403);
        assert_eq!(problem["code"], "live_key_needed");
    }
    // Its teams are its own, its members are the live users.
    let team = json!({"name": "t", "memberIds": [user["id"]]});
    app.call(&test, "POST", "/v1/teams", &[], Some(team)).await.expect(201);
    assert_eq!(app.get("/v1/teams").await.expect(200)["data"], json!([]));
}
