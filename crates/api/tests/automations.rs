//! Automation rules on `/v1`, and how the API inbox shows them.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::App;
use bridge::Bridge;
use serde_json::{Value, json};
use tieline_delivery::automations::AutomationLoop;

fn at(rule: &Value) -> String {
    format!("/v1/automations/{}", rule["id"].as_str().expect("an id"))
}

async fn react(app: &App) {
    app.number().await;
    let mut rules = AutomationLoop::new(app.db.clone(), tieline_wire::native::event::data);
    while rules.step().await.expect("reacts") {}
    app.number().await;
}

#[tokio::test]
async fn a_rule_is_written_read_changed_and_acts() {
    let app = App::new().await;
    let team = app.post("/v1/teams", json!({"name": "Money"})).await.expect(201)["id"].clone();
    let branches = json!([
        {"conditions": {"all": [{"field": "message.body", "operator": "contains", "value": ["refund"]}]},
         "actions": [{"type": "add_tag", "tag": "refund"}, {"type": "assign_team", "teamId": team}]},
        {"conditions": {"all": []}, "actions": [{"type": "add_note", "text": "Nothing special"}]},
    ]);
    let body = json!({"name": " Refunds ", "trigger": "message.received", "branches": branches});
    let made = app.post("/v1/automations", body.clone()).await;
    let rule = made.expect(201);
    assert_eq!(made.headers["location"], at(&rule));
    assert_eq!((&rule["name"], &rule["branches"], &rule["isActive"]), (&json!("Refunds"), &branches, &json!(true)));
    assert_eq!((&rule["runCount"], &rule["lastError"]), (&json!(0), &Value::Null));
    assert_eq!(app.get(&at(&rule)).await.expect(200), rule);
    assert_eq!(app.get("/v1/automations").await.expect(200)["data"], json!([rule]));

    let opened = json!({"externalReference": "o-1", "subject": "s", "contact": {"email": "a@example.com"},
                        "outboundContext": {"originalMessage": "A REFUND, please"}});
    let v = app.post("/v1/conversations/outbound", opened).await.expect(201);
    react(&app).await;
    let path = format!("/v1/conversations/{}", v["id"].as_str().expect("an id"));
    let after = app.get(&path).await.expect(200);
    assert_eq!((&after["tags"], &after["assignedTeamId"]), (&json!(["refund"]), &team));
    let events = app.get("/v1/events").await.expect(200);
    let by_rule =
        events["data"].as_array().expect("a list").iter().filter(|event| event["actor"]["type"] == "automation");
    let causes: Vec<&Value> = by_rule.map(|event| &event["cause"]).collect();
    assert_eq!(causes.len(), 3, "{events}");
    assert!(causes.iter().all(|cause| **cause == json!({"type": "automation", "id": rule["id"]})), "{causes:?}");
    let ran = app.get(&at(&rule)).await.expect(200);
    assert_eq!((&ran["runCount"], &ran["lastError"]), (&json!(1), &Value::Null));
    assert!(ran["lastRunAt"].is_string());

    // The API inbox shows its first branch, and keeps the rest when it changes something else.
    let bridge = Bridge::new(&app).await;
    let shown = &bridge.get("/automation_rules").await["payload"][0];
    assert_eq!((&shown["event_name"], &shown["name"]), (&json!("message_created"), &json!("Refunds")));
    assert_eq!(
        shown["conditions"],
        json!([{"attribute_key": "content", "filter_operator": "contains", "values": ["refund"], "query_operator": null,
                "custom_attribute_type": ""}])
    );
    let teams = bridge.get("/teams").await;
    let number = &teams[0]["id"];
    assert_eq!(
        shown["actions"],
        json!([{"action_name": "add_label", "action_params": ["refund"]},
               {"action_name": "assign_team", "action_params": [number]}])
    );
    let path = format!("/automation_rules/{}", shown["id"]);
    bridge.patch(&path, json!({"name": "Money back", "event_name": "message_created"})).await;
    let kept = app.get(&at(&rule)).await.expect(200);
    assert_eq!(
        (&kept["name"], &kept["trigger"], &kept["branches"]),
        (&json!("Money back"), &rule["trigger"], &branches)
    );

    let only = json!([{"conditions": {"any": [{"field": "contact.email", "operator": "ends_with", "value": ["@example.com"]}]},
                       "actions": [{"type": "set_status", "status": "done"}]}]);
    let changed = json!({"branches": only, "description": "d", "isActive": false, "trigger": "conversation.created"});
    let changed = app.patch(&at(&rule), changed).await.expect(200);
    assert_eq!(
        changed["branches"][0]["conditions"]["all"][0]["field"], "contact.email",
        "one condition is all of them"
    );
    assert_eq!((&changed["isActive"], &changed["trigger"]), (&json!(false), &json!("conversation.created")));
    assert_eq!(app.patch(&at(&rule), json!({"description": null})).await.expect(200)["description"], Value::Null);
    app.delete(&at(&rule)).await.expect_status(204);
    app.get(&at(&rule)).await.expect(404);
    app.delete(&at(&rule)).await.expect(404);
}

#[tokio::test]
async fn every_wrong_member_of_a_rule_is_named() {
    let app = App::new().await;
    let wrong = async |body: Value| {
        let problem = app.post("/v1/automations", body).await.expect(400);
        let errors = problem["errors"].as_array().expect("errors").clone();
        errors
            .iter()
            .map(|error| format!("{} {}", error["pointer"], error["code"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(wrong(json!({})).await, ["/branches required", "/name required", "/trigger required"]);
    let body = json!({"name": "", "trigger": "message.lost", "branches": [
        {"conditions": {"all": [{"field": "x", "operator": "equals", "value": 1}]}, "actions": [{"type": "add_tag"}]},
    ]});
    assert_eq!(
        wrong(body).await,
        [
            "/name too_short",
            "/trigger invalid_value",
            "/branches/0/conditions/all/0/field invalid_value",
            "/branches/0/actions/0/tag invalid_value"
        ]
    );
    let stranger = "usr_01920000000070008000000000000001";
    let body = |action: Value| json!({"name": "a", "trigger": "message.sent", "branches": [{"actions": [action]}]});
    assert_eq!(
        wrong(body(json!({"type": "assign_agent", "agentId": stranger}))).await,
        ["/branches/0/actions/0/agentId unknown_id"]
    );
    let private = wrong(body(json!({"type": "send_attachment", "url": "http://10.0.0.1/a"}))).await;
    assert!(private[0].starts_with("/branches/0/actions/0/url "), "{private:?}");
    let rule = app.post("/v1/automations", body(json!({"type": "mute"}))).await.expect(201);
    for change in
        [json!({"branches": null}), json!({"branches": []}), json!({"name": null}), json!({"isActive": "yes"})]
    {
        app.patch(&at(&rule), change).await.expect(400);
    }
    assert_eq!(app.get(&at(&rule)).await.expect(200), rule);
}
