//! People through the API inbox: agents, the members of teams, participants, the profile, and the two probes.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::{App, Reply};
use axum::body::Body;
use axum::http::Request;
use bridge::{Bridge, user};
use serde_json::{Value, json};
use tieline_core::users::Role;

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

/// A call outside of an account.
async fn plain(app: &App, token: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
    let request = Request::builder().method(method).uri(path).header("api_access_token", token);
    let request = match body {
        Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    };
    app.send(request.expect("a request")).await
}

#[tokio::test]
async fn administrators_keep_the_agents() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let made = bridge.post("/agents", json!({"name": "Caio", "email": "Caio@Example.com", "role": "agent"})).await;
    assert_eq!(
        (&made["name"], &made["email"], &made["role"], &made["account_id"], &made["auto_offline"]),
        (&json!("Caio"), &json!("caio@example.com"), &json!("agent"), &json!(1), &json!(true))
    );
    let path = format!("/agents/{}", id(&made));
    let changed = bridge
        .patch(
            &path,
            json!({"agent": {"name": "Caio B", "role": "administrator", "availability": "busy", "auto_offline": false}}),
        )
        .await;
    assert_eq!(
        (&changed["name"], &changed["role"], &changed["availability_status"], &changed["auto_offline"]),
        (&json!("Caio B"), &json!("administrator"), &json!("busy"), &json!(false))
    );
    let again = bridge.call("POST", "/agents", Some(json!({"email": "caio@example.com"}))).await.expect(422);
    assert_eq!((&again["message"], &again["attributes"]), (&json!("Email has already been taken"), &json!(["email"])));
    bridge.call("POST", "/agents", Some(json!({"email": "nobody"}))).await.expect(422);
    bridge.call("POST", "/agents", Some(json!({"email": "d@example.com", "role": "king"}))).await.expect(422);

    // An agent who leaves is in no team, inbox or conversation, and may come back.
    let team = bridge.post("/teams", json!({"name": "Night"})).await;
    bridge.post(&format!("/teams/{}/team_members", id(&team)), json!({"user_ids": [id(&made)]})).await;
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    bridge.post("/inbox_members", json!({"inbox_id": inbox["id"], "user_ids": [id(&made)]})).await;
    let contact = bridge.post("/contacts", json!({"name": "Ana", "inbox_id": inbox["id"]})).await;
    let contact = id(&contact["payload"]["contact"]);
    let opening = json!({"inbox_id": inbox["id"], "contact_id": contact, "assignee_id": id(&made)});
    let conversation = bridge.post("/conversations", opening).await;
    assert_eq!(conversation["meta"]["assignee"]["id"], made["id"]);
    bridge.call("DELETE", &path, None).await.expect_status(200);
    bridge.call("DELETE", &path, None).await.expect(404);
    bridge.call("PATCH", &path, Some(json!({"name": "X"}))).await.expect(404);
    assert_eq!(bridge.get(&format!("/teams/{}/team_members", id(&team))).await, json!([]));
    assert_eq!(bridge.get(&format!("/inbox_members/{}", id(&inbox))).await["payload"], json!([]));
    let shown = bridge.get(&format!("/conversations/{}", id(&conversation))).await;
    assert_eq!(shown["meta"]["assignee"], Value::Null);
    let back = bridge.post("/agents", json!({"email": "caio@example.com", "name": "Caio"})).await;
    assert_eq!((&back["id"], &back["role"]), (&made["id"], &json!("agent")));

    let (token, number) = user(&app, "acme", "Agnes", Role::Agent).await;
    let agent = Bridge { app: &app, token };
    let body = json!({"email": "e@example.com"});
    let refused = agent.call("POST", "/agents", Some(body.clone())).await.expect(401);
    assert_eq!(refused["error"], "You are not authorized to do this action");
    agent.call("PATCH", &format!("/agents/{number}"), Some(body)).await.expect(401);
    agent.call("DELETE", &format!("/agents/{number}"), None).await.expect(401);

    app.tenant("other").await;
    let (_, stranger) = user(&app, "other", "Sten", Role::Owner).await;
    bridge.call("DELETE", &format!("/agents/{stranger}"), None).await.expect(404);
    let (_, owner) = user(&app, "acme", "Olga", Role::Owner).await;
    bridge.call("DELETE", &format!("/agents/{owner}"), None).await.expect(422);
    let kept = bridge.patch(&format!("/agents/{owner}"), json!({"role": "administrator"})).await;
    assert_eq!(kept["role"], "administrator");
}

#[tokio::test]
async fn teams_have_members() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (token, ana) = user(&app, "acme", "Ana", Role::Agent).await;
    let (_, bob) = user(&app, "acme", "Bob", Role::Agent).await;
    let team = bridge.post("/teams", json!({"name": "Night", "allow_auto_assign": false})).await;
    assert_eq!((&team["allow_auto_assign"], &team["is_member"]), (&json!(false), &json!(false)));
    let changed = bridge.patch(&format!("/teams/{}", id(&team)), json!({"allow_auto_assign": true})).await;
    assert_eq!(changed["allow_auto_assign"], true);

    let path = format!("/teams/{}/team_members", id(&team));
    let ids = |list: &Value| list.as_array().expect("a list").iter().map(id).collect::<Vec<i64>>();
    assert_eq!(ids(&bridge.post(&path, json!({"user_ids": [ana]})).await), [ana]);
    let fresh = bridge.post(&path, json!({"user_ids": [ana, bob.to_string()]})).await;
    assert_eq!(ids(&fresh), [bob], "only those who were not in it");
    assert_eq!(ids(&bridge.get(&path).await), [ana, bob]);
    let agent = Bridge { app: &app, token };
    assert_eq!(agent.get(&format!("/teams/{}", id(&team))).await["is_member"], true);
    assert_eq!(ids(&bridge.patch(&path, json!({"user_ids": [bob]})).await), [bob]);
    assert_eq!(agent.get("/teams").await[0]["is_member"], false);
    bridge.call("DELETE", &path, Some(json!({"user_ids": [bob]}))).await.expect_status(200);
    assert_eq!(ids(&bridge.get(&path).await), [0i64; 0]);

    app.tenant("other").await;
    let (_, stranger) = user(&app, "other", "Sten", Role::Owner).await;
    for method in ["POST", "PATCH", "DELETE"] {
        let refused = bridge.call(method, &path, Some(json!({"user_ids": [ana, stranger]}))).await.expect(401);
        assert_eq!(refused["error"], "Invalid User IDs");
        agent.call(method, &path, Some(json!({"user_ids": [ana]}))).await.expect(401);
    }
    assert_eq!(ids(&agent.get(&path).await), [0i64; 0]);
    bridge.call("GET", "/teams/999999/team_members", None).await.expect(404);
}

#[tokio::test]
async fn conversations_have_participants() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (token, ana) = user(&app, "acme", "Ana", Role::Agent).await;
    let (stranger, bob) = user(&app, "acme", "Bob", Role::Agent).await;
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    let contact = bridge.post("/contacts", json!({"name": "Eva", "inbox_id": inbox["id"]})).await;
    let contact = id(&contact["payload"]["contact"]);
    let team = bridge.post("/teams", json!({"name": "Night"})).await;
    bridge.post(&format!("/teams/{}/team_members", id(&team)), json!({"user_ids": [ana]})).await;
    let opening = json!({"inbox_id": inbox["id"], "contact_id": contact, "team_id": team["id"]});
    let conversation = bridge.post("/conversations", opening).await;
    assert_eq!(conversation["meta"]["team"]["is_member"], false);
    let path = format!("/conversations/{}/participants", id(&conversation));
    let ids = |list: &Value| list.as_array().expect("a list").iter().map(id).collect::<Vec<i64>>();
    assert_eq!(ids(&bridge.get(&path).await), [0i64; 0]);
    assert_eq!(ids(&bridge.post(&path, json!({"user_ids": [bob]})).await), [bob]);
    assert_eq!(ids(&bridge.post(&path, json!({"user_ids": [ana, bob]})).await), [ana, bob]);
    assert_eq!(ids(&bridge.patch(&path, json!({"user_ids": [ana]})).await), [ana]);
    bridge.call("DELETE", &path, Some(json!({"user_ids": [bob, ana]}))).await.expect_status(200);
    assert_eq!(ids(&bridge.get(&path).await), [0i64; 0]);
    bridge.call("POST", &path, Some(json!({"user_ids": [999_999]}))).await.expect(401);

    let agent = Bridge { app: &app, token };
    agent.get(&path).await; // her team's
    Bridge { app: &app, token: stranger }.call("GET", &path, None).await.expect(401);
    bridge.post("/inbox_members", json!({"inbox_id": inbox["id"], "user_ids": [ana]})).await;
    let shown = agent.get(&format!("/conversations/{}", id(&conversation))).await;
    assert_eq!(shown["meta"]["team"]["is_member"], true);
    agent.get(&path).await;
    app.tenant("other").await;
    let (token, _) = user(&app, "other", "Sten", Role::Owner).await;
    Bridge { app: &app, token }.call("GET", &path, None).await.expect(401);
}

#[tokio::test]
async fn everybody_keeps_their_own_profile() {
    let app = App::new().await;
    let (token, _) = user(&app, "acme", "Ana", Role::Agent).await;
    let put = async |body: Value| plain(&app, &token, "PUT", "/api/v1/profile", Some(body)).await;
    let body = json!({"profile": {"name": "Ana B", "display_name": "Support", "message_signature": "-- Ana",
        "ui_settings": {"rtl": false}, "email": "ANA.B@example.com"}});
    let changed = put(body).await.expect(200);
    assert_eq!(
        (&changed["name"], &changed["available_name"], &changed["display_name"], &changed["message_signature"]),
        (&json!("Ana B"), &json!("Support"), &json!("Support"), &json!("-- Ana"))
    );
    assert_eq!((&changed["email"], &changed["ui_settings"]), (&json!("ana.b@example.com"), &json!({"rtl": false})));
    let cleared = put(json!({"display_name": ""})).await.expect(200);
    assert_eq!((&cleared["available_name"], &cleared["message_signature"]), (&json!("Ana B"), &json!("-- Ana")));

    user(&app, "acme", "Bob", Role::Agent).await;
    assert_eq!(put(json!({"email": "bob@example.com"})).await.expect(422)["error"], "Email has already been taken");
    let refused = put(json!({"password": "correct horse", "current_password": "guess"})).await.expect(422);
    assert_eq!(refused["error"], "Invalid current password");
    put(json!({})).await.expect(422);

    let set = async |path: &str, body: Value| plain(&app, &token, "POST", path, Some(body)).await;
    let body = json!({"profile": {"account_id": 1, "availability": "busy"}});
    let busy = set("/api/v1/profile/availability", body).await.expect(200);
    assert_eq!(busy["accounts"][0]["availability"], "busy");
    let body = json!({"profile": {"account_id": 1, "auto_offline": false}});
    assert_eq!(set("/api/v1/profile/auto_offline", body).await.expect(200)["accounts"][0]["auto_offline"], false);
    let body = json!({"profile": {"account_id": 2, "availability": "busy"}});
    set("/api/v1/profile/availability", body).await.expect(404);
    let body = json!({"profile": {"availability": "asleep"}});
    set("/api/v1/profile/availability", body).await.expect(422);
}

/// A password is changed by whoever knows the one before.
#[tokio::test]
async fn a_password_changes_only_for_who_knows_it() {
    let app = App::new().await;
    let body = json!({"email": "dora@example.com", "name": "Dora", "role": "agent", "password": "first horse"});
    app.post("/v1/users", body).await.expect(201);
    let token = app
        .db
        .read(|read| {
            let user = tieline_core::users::by_email(read, tieline_core::ids::TenantId(1), "dora@example.com")?;
            let sealed = "select access_token_sealed from users where tenant_id = $1 and id = $2";
            let id = user.expect("Dora").id.0;
            Ok::<_, tieline_core::Error>(
                read.opt(sealed, &tieline_db::params![1_i64, id], |row| row.get::<Vec<u8>>(0))?.expect("a token"),
            )
        })
        .await
        .expect("reads");
    let token = app.hub.keyring.open(&token, tieline_core::users::ACCESS_TOKEN_CONTEXT).expect("opens");
    let token = String::from_utf8(token).expect("text");
    let put = async |body: Value| plain(&app, &token, "PUT", "/api/v1/profile", Some(body)).await;
    let change = |current: &str, new: &str, again: &str| json!({"profile": {"current_password": current, "password": new, "password_confirmation": again}});
    put(change("wrong", "second horse", "second horse")).await.expect(422);
    put(change("first horse", "second horse", "other")).await.expect(422);
    put(change("first horse", "short", "short")).await.expect(422);
    put(change("first horse", "second horse", "second horse")).await.expect(200);
    put(change("first horse", "third horse", "third horse")).await.expect(422);
    put(change("second horse", "third horse", "third horse")).await.expect(200);
}

#[tokio::test]
async fn probes_need_no_token() {
    let app = App::new().await;
    let ask = async |path: &str| app.send(Request::get(path).body(Body::empty()).expect("a request")).await.expect(200);
    let version = ask("/api").await;
    assert_eq!((&version["queue_services"], &version["data_services"]), (&json!("ok"), &json!("ok")));
    assert_eq!((version["timestamp"].as_str().map(str::len), version["version"].is_string()), (Some(19), true));
    assert_eq!(ask("/health").await, json!({"status": "woot"}));
}
