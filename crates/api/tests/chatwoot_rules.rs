//! Automation rules as Chatwoot's clients write them, and what they do in an API inbox.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::App;
use bridge::{Bridge, user};
use serde_json::{Value, json};
use tieline_core::users::Role;
use tieline_delivery::automations::AutomationLoop;

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

fn rules(app: &App) -> AutomationLoop {
    AutomationLoop::new(app.db.clone(), tieline_wire::native::event::data)
}

/// Lets the rules act on all that has happened.
async fn react(app: &App) {
    app.number().await;
    let mut rules = rules(app);
    while rules.step().await.expect("reacts") {}
    app.number().await;
}

fn condition(key: &str, operator: &str, values: Value, joined: Value) -> Value {
    json!({"attribute_key": key, "filter_operator": operator, "values": values, "query_operator": joined, "custom_attribute_type": ""})
}

fn action(name: &str, params: Value) -> Value {
    json!({"action_name": name, "action_params": params})
}

/// An API inbox with a contact in it; answers the numbers of both.
async fn inbox(bridge: &Bridge<'_>) -> (i64, i64) {
    let inbox = id(&bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await);
    let contact = json!({"inbox_id": inbox, "name": "Ana", "phone_number": "+5511987654321"});
    let made = bridge.post("/contacts", contact).await;
    (inbox, id(&made["payload"]["contact"]))
}

async fn conversation(bridge: &Bridge<'_>, (inbox, contact): (i64, i64), words: &str) -> i64 {
    let v = id(&bridge.post("/conversations", json!({"inbox_id": inbox, "contact_id": contact})).await);
    hear(bridge, v, words).await;
    v
}

async fn hear(bridge: &Bridge<'_>, v: i64, words: &str) {
    let message = json!({"content": words, "message_type": "incoming"});
    bridge.post(&format!("/conversations/{v}/messages"), message).await;
}

async fn shown(bridge: &Bridge<'_>, v: i64) -> Value {
    bridge.get(&format!("/conversations/{v}")).await
}

#[tokio::test]
async fn rules_are_made_shown_changed_copied_and_deleted() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    assert_eq!(bridge.get("/automation_rules").await, json!({"payload": []}));
    let conditions = json!([
        condition("content", "contains", json!(["refund", "money"]), json!("and")),
        condition("message_type", "equal_to", json!(["incoming"]), Value::Null),
    ]);
    let actions = json!([action("add_label", json!(["refund"])), action("change_priority", json!(["urgent"]))]);
    let body = json!({"name": "Refunds", "description": "Money", "event_name": "message_created",
                      "conditions": conditions, "actions": actions});
    let made = bridge.post("/automation_rules", body).await;
    let at = made["created_on"].as_i64().expect("seconds");
    let expected = json!({"id": id(&made), "account_id": 1, "name": "Refunds", "description": "Money",
        "event_name": "message_created", "conditions": conditions, "actions": actions, "created_on": at, "active": true});
    assert_eq!(made, expected);
    let path = format!("/automation_rules/{}", id(&made));
    assert_eq!(bridge.get(&path).await, json!({"payload": expected}));
    assert_eq!(bridge.get("/automation_rules/").await, json!({"payload": [expected]}));

    let changed = bridge.patch(&path, json!({"name": "Money back", "active": false})).await;
    assert_eq!((&changed["payload"]["name"], &changed["payload"]["active"]), (&json!("Money back"), &json!(false)));
    assert_eq!(changed["payload"]["conditions"], conditions, "what is not named stays");
    let only = json!([action("resolve_conversation", json!([]))]);
    let changed = bridge.call("PUT", &path, Some(json!({"actions": only}))).await.expect(200);
    assert_eq!((&changed["payload"]["actions"], &changed["payload"]["conditions"]), (&only, &conditions));
    let copy = bridge.post(&format!("{path}/clone"), json!({})).await;
    assert_ne!(copy["payload"]["id"], made["id"]);
    assert_eq!((&copy["payload"]["actions"], &copy["payload"]["name"]), (&only, &json!("Money back")));
    let deleted = bridge.call("DELETE", &path, None).await;
    deleted.expect_status(200);
    assert!(deleted.body.is_empty());
    bridge.call("GET", &path, None).await.expect(404);
    bridge.call("DELETE", &path, None).await.expect(404);
    assert_eq!(bridge.get("/automation_rules").await["payload"].as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn who_may_not_and_what_is_wrong() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let body = |conditions: Value, actions: Value| json!({"name": "R", "event_name": "conversation_created", "conditions": conditions, "actions": actions});
    let resolve = || json!([action("resolve_conversation", json!([]))]);
    let refused = async |body: Value| bridge.call("POST", "/automation_rules", Some(body)).await.expect(422);
    let wrong = async |conditions: Value, actions: Value| refused(body(conditions, actions)).await["error"].clone();
    let plain = |key: &str, operator: &str, values: Value| json!([condition(key, operator, values, Value::Null)]);

    let error = wrong(plain("colour", "equal_to", json!(["red"])), resolve()).await;
    assert_eq!(error, json!({"conditions": ["Automation conditions colour not supported."]}));
    let error = wrong(json!([]), json!([action("fly", json!([]))])).await;
    assert_eq!(error, json!({"actions": ["Automation actions fly not supported."]}));
    for name in ["send_email_to_team", "send_email_transcript"] {
        let error = wrong(json!([]), json!([action(name, json!(["a@example.com"]))])).await;
        let text = format!("Automation actions {name} not supported: mail is not set up.");
        assert_eq!(error, json!({"actions": [text]}));
    }
    let two = json!([
        condition("content", "contains", json!(["a"]), Value::Null),
        condition("content", "contains", json!(["b"]), Value::Null),
    ]);
    assert_eq!(wrong(two, resolve()).await["conditions"][0], "Automation conditions should have query operator.");
    let joined = json!([condition("content", "contains", json!(["a"]), json!("xor"))]);
    let error = wrong(joined, resolve()).await;
    assert_eq!(error["conditions"][0], "Query operator must be either \"AND\" or \"OR\"");
    for (key, operator, values) in [
        ("content", "like", json!(["a"])),
        ("status", "equal_to", json!(["lost"])),
        ("team_id", "equal_to", json!([4711])),
        ("message_type", "equal_to", json!(["activity"])),
        ("private_note", "equal_to", json!(["true"])),
        ("content", "contains", json!([])),
    ] {
        let error = wrong(plain(key, operator, values), resolve()).await;
        assert!(error["conditions"][0].is_string(), "{key} {operator}: {error}");
    }
    for (name, params) in [
        ("send_message", json!([])),
        ("assign_agent", json!([4711])),
        ("change_status", json!(["lost"])),
        ("change_priority", json!(["very"])),
        ("send_attachment", json!(["http://10.0.0.1/a.png"])),
    ] {
        let error = wrong(json!([]), json!([action(name, params)])).await;
        assert!(error["actions"][0].is_string(), "{name}: {error}");
    }
    assert!(wrong(json!([]), json!([])).await["actions"][0].is_string(), "a rule without actions");
    refused(json!({"name": "R", "conditions": [], "actions": resolve()})).await;
    refused(json!({"name": "R", "event_name": "webwidget_triggered", "actions": resolve()})).await;
    refused(json!({"event_name": "message_created", "actions": resolve()})).await;
    assert_eq!(bridge.get("/automation_rules").await, json!({"payload": []}));

    let rule = id(&bridge.post("/automation_rules", body(json!([]), resolve())).await);
    let agent = Bridge { app: &app, token: user(&app, "acme", "Caio", Role::Agent).await.0 };
    app.tenant("other").await;
    let stranger = Bridge { app: &app, token: user(&app, "other", "Davi", Role::Admin).await.0 };
    for (method, path) in [
        ("GET", "/automation_rules".to_owned()),
        ("POST", "/automation_rules".to_owned()),
        ("GET", format!("/automation_rules/{rule}")),
        ("PATCH", format!("/automation_rules/{rule}")),
        ("DELETE", format!("/automation_rules/{rule}")),
        ("POST", format!("/automation_rules/{rule}/clone")),
    ] {
        let sent = (method != "GET").then(|| body(json!([]), resolve()));
        let error = agent.call(method, &path, sent.clone()).await.expect(401);
        assert_eq!(error["error"], "You are not authorized to do this action", "{method} {path}");
        stranger.call(method, &path, sent.clone()).await.expect(401);
        // In their own account the number names nothing.
        if path.ends_with(&rule.to_string()) {
            let own =
                app.db.read(|read| tieline_core::tenants::by_slug(read, "other", tieline_core::tenants::Mode::Live));
            let own = own.await.expect("a tenant").id.0;
            let request = axum::http::Request::builder()
                .method(method)
                .uri(format!("/api/v1/accounts/{own}{path}"))
                .header("api_access_token", &stranger.token)
                .header("content-type", "application/json");
            let text = sent.map_or(String::new(), |body| body.to_string());
            app.send(request.body(text.into()).expect("a request")).await.expect(404);
        }
    }
}

#[tokio::test]
async fn rules_act_on_what_comes_in_through_an_api_inbox() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let place = inbox(&bridge).await;
    let team = id(&bridge.post("/teams", json!({"name": "Logistics"})).await);
    let (_, caio) = user(&app, "acme", "Caio", Role::Agent).await;
    bridge
        .post(
            "/custom_attribute_definitions",
            json!({"attribute_display_name": "Tier", "attribute_key": "tier", "attribute_display_type": 0, "attribute_model": 1}),
        )
        .await;
    let late = json!([
        condition("content", "contains", json!(["late"]), json!("and")),
        condition("inbox_id", "equal_to", json!([place.0]), json!("or")),
        condition("tier", "equal_to", json!(["gold"]), Value::Null),
    ]);
    let actions = json!([
        action("add_label", json!(["late", "check"])),
        action("assign_team", json!([team])),
        action("assign_agent", json!([caio.to_string()])),
        action("change_priority", json!(["high"])),
        action("add_private_note", json!(["Ask the carrier"])),
        action("send_message", json!(["We are looking into it."])),
    ]);
    let rule = bridge
        .post(
            "/automation_rules",
            json!({"name": "Late", "event_name": "message_created", "conditions": late, "actions": actions}),
        )
        .await;
    let v = conversation(&bridge, place, "My parcel is late").await;
    let other = conversation(&bridge, place, "Hello").await;
    react(&app).await;
    let after = shown(&bridge, v).await;
    assert_eq!((&after["labels"], &after["priority"]), (&json!(["check", "late"]), &json!("high")));
    assert_eq!((id(&after["meta"]["team"]), id(&after["meta"]["assignee"])), (team, caio));
    assert_eq!(shown(&bridge, other).await["labels"], json!([]), "its conditions are not met");
    let messages = bridge.get(&format!("/conversations/{v}/messages")).await;
    let said: Vec<_> = messages["payload"].as_array().expect("a list").iter().map(|m| &m["content"]).collect();
    assert_eq!(said, ["My parcel is late", "Ask the carrier", "We are looking into it."]);
    let reply = &messages["payload"][2];
    assert_eq!(reply["content_attributes"]["automation_rule_id"], rule["id"]);
    assert_eq!((&reply["message_type"], &reply["sender"]["name"]), (&json!(1), &json!("Late")));
    react(&app).await;
    let again = bridge.get(&format!("/conversations/{v}/messages")).await;
    assert_eq!(again["payload"].as_array().expect("a list").len(), 3, "its own message starts nothing");

    // The second group of conditions: a contact's attribute.
    bridge.patch(&format!("/contacts/{}", place.1), json!({"custom_attributes": {"tier": "gold"}})).await;
    hear(&bridge, other, "Hello again").await;
    react(&app).await;
    assert_eq!(shown(&bridge, other).await["labels"], json!(["check", "late"]));
}

#[tokio::test]
async fn every_action_and_event_works() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let place = inbox(&bridge).await;
    let rule = async |event: &str, conditions: Value, actions: Value| {
        let body = json!({"name": event, "event_name": event, "conditions": conditions, "actions": actions});
        id(&bridge.post("/automation_rules", body).await)
    };
    let open = || json!([condition("status", "equal_to", json!(["open"]), Value::Null)]);
    let created = rule("conversation_created", open(), json!([action("pending_conversation", json!([]))])).await;
    let v = conversation(&bridge, place, "Hi").await;
    react(&app).await;
    assert_eq!(shown(&bridge, v).await["status"], "pending");
    bridge.call("DELETE", &format!("/automation_rules/{created}"), None).await.expect_status(200);

    rule("conversation_opened", json!([]), json!([action("add_label", json!(["opened"]))])).await;
    rule("conversation_resolved", json!([]), json!([action("add_label", json!(["resolved"]))])).await;
    let status = format!("/conversations/{v}/toggle_status");
    bridge.post(&status, json!({"status": "open"})).await;
    react(&app).await;
    assert_eq!(shown(&bridge, v).await["labels"], json!(["opened"]));
    bridge.post(&status, json!({"status": "resolved"})).await;
    react(&app).await;
    assert_eq!(shown(&bridge, v).await["labels"], json!(["opened", "resolved"]));

    let moved = json!({"from": ["resolved"], "to": ["open"]});
    let changed = json!([condition("status", "attribute_changed", moved, Value::Null)]);
    rule(
        "conversation_updated",
        changed,
        json!([action("snooze_conversation", json!([])), action("remove_label", json!(["opened"]))]),
    )
    .await;
    hear(&bridge, v, "Once more").await;
    react(&app).await;
    let after = shown(&bridge, v).await;
    assert_eq!((&after["status"], &after["labels"]), (&json!("snoozed"), &json!(["resolved"])));
    let labelled = json!([condition("labels", "equal_to", json!(["spam"]), Value::Null)]);
    let mute = json!([action("mute_conversation", json!([])), action("change_priority", json!(["nil"]))]);
    rule("conversation_updated", labelled, mute).await;
    bridge.post(&format!("/conversations/{v}/labels"), json!({"labels": ["spam"]})).await;
    react(&app).await;
    let after = shown(&bridge, v).await;
    assert_eq!((&after["status"], &after["meta"]["sender"]["blocked"]), (&json!("resolved"), &json!(true)));

    let file = json!([
        action("send_attachment", json!(["https://example.com/terms.pdf?v=1"])),
        action("change_status", json!(["resolved"]))
    ]);
    let asked = json!([condition("content", "equal_to", json!(["terms"]), Value::Null)]);
    rule("message_created", asked, file).await;
    let contact = json!({"inbox_id": place.0, "name": "Bia", "phone_number": "+5511987654322"});
    let contact = id(&bridge.post("/contacts", contact).await["payload"]["contact"]);
    let w = conversation(&bridge, (place.0, contact), "terms").await;
    react(&app).await;
    let messages = bridge.get(&format!("/conversations/{w}/messages")).await;
    assert_eq!(messages["payload"][1]["attachments"].as_array().expect("a list").len(), 1, "{messages}");
    assert_eq!(shown(&bridge, w).await["status"], "resolved");
}

#[tokio::test]
async fn what_fails_is_noted_and_keeps_nothing_waiting() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let place = inbox(&bridge).await;
    let (token, caio) = user(&app, "acme", "Caio", Role::Agent).await;
    let actions = json!([
        action("add_label", json!(["one"])),
        action("assign_agent", json!([caio])),
        action("add_label", json!(["two"])),
    ]);
    let body = json!({"name": "Give", "event_name": "message_created", "conditions": [], "actions": actions});
    let rule = id(&bridge.post("/automation_rules", body).await);
    // He leaves.
    drop(token);
    let tenant = app.ctx().await.tenant;
    let gone = tieline_core::users::Update { is_active: Some(false), ..Default::default() };
    let left: Result<_, tieline_core::Error> = app
        .db
        .write(move |tx| {
            let caio = tieline_core::users::by_number(tx, tenant, caio)?.id;
            tieline_core::users::update(tx, tenant, caio, &gone)
        })
        .await;
    left.expect("leaves");
    let v = conversation(&bridge, place, "Hi").await;
    let w = conversation(&bridge, place, "Ho").await;
    // Two nodes at once: everything happens once.
    app.number().await;
    let (mut one, mut two) = (rules(&app), rules(&app));
    let run = async |rules: &mut AutomationLoop| while rules.step().await.expect("reacts") {};
    tokio::join!(run(&mut one), run(&mut two));
    app.number().await;
    for v in [v, w] {
        let after = shown(&bridge, v).await;
        assert_eq!((&after["labels"], &after["meta"]["assignee"]), (&json!(["one", "two"]), &Value::Null));
    }
    let stored =
        app.db.read(move |read| tieline_core::automations::by_number(read, tenant, rule)).await.expect("there");
    assert_eq!(stored.run_count, 2);
    assert!(stored.last_error.expect("an error").contains("There is no such user"));
}
