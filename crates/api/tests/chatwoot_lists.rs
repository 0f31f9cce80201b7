//! Lists of the API inbox: what is asked for comes, in the order asked for, with right counts; agents see theirs only.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::App;
use bridge::{Bridge, user};
use serde_json::{Value, json};
use tieline_core::users::Role;

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

/// The ids of a list.
fn ids(list: &Value) -> Vec<i64> {
    list.as_array().unwrap_or_else(|| panic!("no list: {list}")).iter().map(id).collect()
}

/// Seconds pass, so that every change has a time of its own.
fn later(app: &App) {
    app.clock.advance_us(60_000_000);
}

async fn inbox(bridge: &Bridge<'_>, name: &str) -> i64 {
    id(&bridge.post("/inboxes", json!({"name": name, "channel": {"type": "api"}})).await)
}

/// A conversation of a contact with this source id, with an incoming message.
async fn open(bridge: &Bridge<'_>, inbox: i64, source: &str, text: &str) -> i64 {
    later(bridge.app);
    let body = json!({"name": source, "inbox_id": inbox, "source_id": source, "identifier": source});
    bridge.call("POST", "/contacts", Some(body)).await;
    let conversation = id(&bridge.post("/conversations", json!({"inbox_id": inbox, "source_id": source})).await);
    say(bridge, conversation, "incoming", text).await;
    conversation
}

async fn say(bridge: &Bridge<'_>, conversation: i64, kind: &str, text: &str) -> Value {
    later(bridge.app);
    let path = format!("/conversations/{conversation}/messages");
    bridge.post(&path, json!({"content": text, "message_type": kind})).await
}

async fn listed(bridge: &Bridge<'_>, query: &str) -> Vec<i64> {
    ids(&bridge.get(&format!("/conversations?{query}")).await["data"]["payload"])
}

async fn counts(bridge: &Bridge<'_>, query: &str) -> [i64; 4] {
    let meta = bridge.get(&format!("/conversations/meta?{query}")).await;
    let list = bridge.get(&format!("/conversations?{query}")).await;
    assert_eq!(meta["meta"], list["data"]["meta"], "{query}");
    ["mine_count", "assigned_count", "unassigned_count", "all_count"]
        .map(|name| meta["meta"][name].as_i64().expect("a count"))
}

#[tokio::test]
async fn conversations_are_listed_by_every_parameter() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (shop, help) = (inbox(&bridge, "Shop").await, inbox(&bridge, "Help").await);
    let me = id(&app_profile(&bridge).await);
    let team = id(&bridge.post("/teams", json!({"name": "late"})).await);
    let a = open(&bridge, shop, "a", "Olá, where is MY parcel?").await;
    let b = open(&bridge, shop, "b", "hello").await;
    let c = open(&bridge, help, "c", "hello").await;
    let d = open(&bridge, help, "d", "bye").await;
    let of = |conversation: i64, what: &str| format!("/conversations/{conversation}/{what}");
    bridge.post(&of(a, "assignments"), json!({"assignee_id": me})).await;
    bridge.post(&of(b, "assignments"), json!({"team_id": team})).await;
    bridge.post(&of(a, "labels"), json!({"labels": ["vip"]})).await;
    bridge.post(&of(a, "toggle_priority"), json!({"priority": "low"})).await;
    later(&app);
    bridge.post(&of(c, "labels"), json!({"labels": ["late"]})).await;
    bridge.post(&of(c, "toggle_priority"), json!({"priority": "urgent"})).await;
    say(&bridge, b, "outgoing", "hi").await;
    later(&app);
    bridge.post(&of(d, "toggle_status"), json!({"status": "resolved"})).await;

    assert_eq!(listed(&bridge, "").await, [b, c, a], "open ones, last activity first");
    assert_eq!(counts(&bridge, "").await, [1, 1, 2, 3]);
    assert_eq!(listed(&bridge, "status=all").await, [d, b, c, a]);
    assert_eq!(counts(&bridge, "status=all").await, [1, 1, 3, 4]);
    assert_eq!(listed(&bridge, "status=resolved").await, [d]);
    assert_eq!(counts(&bridge, "status=resolved").await, [0, 0, 1, 1]);
    assert_eq!(counts(&bridge, "status=pending").await, [0, 0, 0, 0]);
    for (query, expected) in [
        ("assignee_type=me", vec![a]),
        ("assignee_type=assigned", vec![a]),
        ("assignee_type=unassigned", vec![b, c]),
        ("assignee_type=all", vec![b, c, a]),
        ("labels[]=vip&labels[]=late", vec![c, a]),
        ("labels=VIP", vec![a]),
        ("labels[]=v_p", vec![]),
        ("sort_by=last_activity_at_asc", vec![a, c, b]),
        ("sort_by=created_at_asc", vec![a, b, c]),
        ("sort_by=created_at_desc", vec![c, b, a]),
        ("sort_by=priority_desc", vec![c, a, b]),
        ("sort_by=priority_asc", vec![a, c, b]),
        ("sort_by=waiting_since_asc", vec![a, c, b]),
        ("sort_by=waiting_since_desc", vec![c, a, b]),
        ("status=all&sort_by=priority_desc", vec![c, a, d, b]),
        ("conversation_type=unattended", vec![c, a]),
        ("source_id=b", vec![b]),
        ("q=my+parcel", vec![a]),
        ("q=by", vec![d]),
        ("q=hello&sort_by=created_at_asc", vec![b, c]),
        ("page=2", vec![]),
    ] {
        let found = listed(&bridge, query).await;
        assert_eq!(found, expected, "{query}");
        counts(&bridge, query).await;
    }
    assert_eq!(listed(&bridge, &format!("inbox_id={shop}")).await, [b, a]);
    assert_eq!(counts(&bridge, &format!("inbox_id={shop}")).await, [1, 1, 1, 2]);
    assert_eq!(listed(&bridge, &format!("team_id={team}")).await, [b]);
    assert_eq!(counts(&bridge, "q=hello").await, [0, 0, 2, 2]);
    bridge.post(&of(b, "update_last_seen"), json!({})).await;
    assert_eq!(listed(&bridge, "sort_by=unread").await, [c, a, b]);
    app.clock.advance_us(3_600_000_000);
    say(&bridge, c, "incoming", "still there?").await;
    assert_eq!(listed(&bridge, "updated_within=1800").await, [c]);
    bridge.post(&of(b, "participants"), json!({"user_ids": [me]})).await;
    assert_eq!(listed(&bridge, "conversation_type=participating&sort_by=created_at_asc").await, [a, b]);
    assert_eq!(counts(&bridge, "conversation_type=participating").await, [1, 1, 1, 2]);
    let note = format!("[Bea](mention://user/{me}/Bea) look");
    let path = of(a, "messages");
    bridge.post(&path, json!({"content": note, "private": true})).await;
    assert_eq!(listed(&bridge, "conversation_type=mention").await, [a]);
    let deep = bridge.call("GET", "/conversations?page=5000", None).await.expect(422);
    assert!(deep["error"].as_str().expect("text").contains("100000"), "{deep}");
    bridge.call("GET", "/conversations?status=odd", None).await.expect(422);
    bridge.call("GET", "/conversations?team_id=99999", None).await.expect(404);
}

async fn app_profile(bridge: &Bridge<'_>) -> Value {
    let agents = bridge.get("/agents").await;
    agents.as_array().expect("a list").iter().find(|agent| agent["name"] == "Bea").expect("Bea").clone()
}

#[tokio::test]
async fn an_agent_is_shown_full_pages_of_what_is_theirs() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (token, number) = user(&app, "acme", "Caio", Role::Agent).await;
    let agent = Bridge { app: &app, token };
    let (mine, other) = (inbox(&bridge, "Mine").await, inbox(&bridge, "Other").await);
    bridge.post("/inbox_members", json!({"inbox_id": mine, "user_ids": [number]})).await;
    let first = open(&bridge, mine, "first", "hello").await;
    let mut others = Vec::new();
    for n in 0..26 {
        others.push(open(&bridge, other, &format!("o{n}"), "hello").await);
    }
    assert_eq!(listed(&agent, "").await, [first], "not an empty page cut from everybody's");
    assert_eq!(counts(&agent, "").await, [0, 0, 1, 1]);
    assert_eq!(listed(&agent, "q=hello").await, [first]);
    assert_eq!(listed(&bridge, "").await.len(), 25);
    assert_eq!(listed(&bridge, "page=2").await.len(), 2);
    let all = bridge.post("/conversations/filter", json!({"payload": []})).await;
    assert_eq!(all["meta"]["all_count"], 27);
    let all = agent.post("/conversations/filter", json!({"payload": []})).await;
    assert_eq!((ids(&all["payload"]), &all["meta"]["all_count"]), (vec![first], &json!(1)));

    // A team's conversations are seen by its members, whatever their inbox.
    agent.call("GET", &format!("/conversations/{}", others[0]), None).await.expect(401);
    let team = id(&bridge.post("/teams", json!({"name": "late"})).await);
    bridge.post(&format!("/conversations/{}/assignments", others[0]), json!({"team_id": team})).await;
    join(&app, team, number).await;
    agent.get(&format!("/conversations/{}", others[0])).await;
    assert_eq!(listed(&agent, "").await, [others[0], first]);

    // Also within a contact's conversations the cut comes after.
    let contact = bridge.get("/contacts/search?q=first").await["payload"][0]["id"].clone();
    for _ in 0..21 {
        let body = json!({"contact_id": contact, "inbox_id": other});
        later(&app);
        bridge.post("/conversations", body).await;
    }
    let shown = agent.get(&format!("/contacts/{contact}/conversations")).await;
    assert_eq!(ids(&shown["payload"]), [first]);
    let shown = bridge.get(&format!("/contacts/{contact}/conversations")).await;
    assert_eq!(ids(&shown["payload"]).len(), 20);
}

/// Puts a user into a team.
async fn join(app: &App, team: i64, user: i64) {
    let ctx = app.ctx().await;
    let done: Result<_, tieline_core::Error> = app
        .db
        .write(move |tx| {
            let user = tieline_core::users::by_number(tx, ctx.tenant, user)?.id;
            let team = tieline_core::teams::by_number(tx, ctx.tenant, team)?.id;
            let members = tieline_core::teams::Update { members: Some(vec![user]), ..Default::default() };
            tieline_core::teams::update(tx, &ctx, team, &members)
        })
        .await;
    done.expect("joined");
}

#[tokio::test]
async fn conversations_are_filtered_by_conditions() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let shop = inbox(&bridge, "Shop").await;
    let me = id(&app_profile(&bridge).await);
    let a = open(&bridge, shop, "a", "one").await;
    let b = open(&bridge, shop, "b", "two").await;
    let c = open(&bridge, shop, "c", "three").await;
    bridge
        .post(
            "/custom_attribute_definitions",
            json!({"attribute_display_name": "Order", "attribute_key": "order", "attribute_display_type": 0, "attribute_model": 0}),
        )
        .await;
    bridge.post(&format!("/conversations/{a}/custom_attributes"), json!({"custom_attributes": {"order": "A-7"}})).await;
    bridge.post(&format!("/conversations/{b}/assignments"), json!({"assignee_id": me})).await;
    bridge.post(&format!("/conversations/{b}/labels"), json!({"labels": ["vip"]})).await;
    bridge.post(&format!("/conversations/{c}/toggle_status"), json!({"status": "resolved"})).await;
    let filter = async |conditions: Vec<(&str, &str, Value, Value)>| {
        let payload: Vec<Value> = conditions
            .into_iter()
            .map(|(key, operator, values, joined)| {
                json!({"attribute_key": key, "filter_operator": operator, "values": values, "query_operator": joined})
            })
            .collect();
        let found = bridge.post("/conversations/filter?page=1", json!({"payload": payload})).await;
        let mut list = ids(&found["payload"]);
        assert_eq!(found["meta"]["all_count"], list.len());
        assert_eq!(found["meta"]["complete"], true);
        list.sort();
        list
    };
    let one = async |key: &str, operator: &str, values: Value| filter(vec![(key, operator, values, Value::Null)]).await;
    assert_eq!(one("status", "equal_to", json!(["open"])).await, [a, b]);
    assert_eq!(one("status", "equal_to", json!(["all"])).await, [a, b, c]);
    assert_eq!(one("status", "not_equal_to", json!(["open"])).await, [c]);
    assert_eq!(one("assignee_id", "equal_to", json!([me.to_string()])).await, [b]);
    assert_eq!(one("assignee_id", "is_not_present", json!([])).await, [a, c]);
    assert_eq!(one("inbox_id", "equal_to", json!([shop])).await, [a, b, c]);
    assert_eq!(one("labels", "equal_to", json!(["vip", "x"])).await, [b]);
    assert_eq!(one("display_id", "equal_to", json!([c])).await, [c]);
    assert_eq!(one("order", "contains", json!(["a-"])).await, [a]);
    assert_eq!(one("created_at", "is_greater_than", json!(["2000-01-01"])).await, [a, b, c]);
    assert_eq!(one("created_at", "days_before", json!([3])).await, Vec::<i64>::new());
    let both = vec![
        ("status", "equal_to", json!(["resolved"]), json!("or")),
        ("status", "equal_to", json!(["open"]), json!("AND")),
        ("assignee_id", "is_present", json!([]), Value::Null),
    ];
    assert_eq!(filter(both).await, [b, c], "and binds tighter");
    let wrong = json!({"payload": [{"attribute_key": "status", "filter_operator": "contains", "values": ["o"]}]});
    let refused = bridge.call("POST", "/conversations/filter", Some(wrong)).await.expect(422);
    assert!(refused["error"].as_str().expect("text").starts_with("Invalid operator. The allowed operators for status"));
}

#[tokio::test]
async fn contacts_are_listed_by_every_parameter() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let mut made = Vec::new();
    for (name, email, phone, city) in [
        ("carla", Some("a@example.com"), None, "Recife"),
        ("Bruno", Some("b@example.com"), Some("+5511987654322"), "Belém"),
        ("ana", None, Some("+5511987654321"), ""),
    ] {
        later(&app);
        let body = json!({"name": name, "email": email, "phone_number": phone,
                          "additional_attributes": if city.is_empty() { json!({}) } else { json!({"city": city}) }});
        made.push(id(&bridge.post("/contacts", body).await["payload"]["contact"]));
    }
    let [carla, bruno, ana] = made[..] else { panic!("three") };
    later(&app);
    bridge.post("/contacts", json!({"name": "Nobody knows"})).await;
    let listed = async |query: &str| {
        let found = bridge.get(&format!("/contacts?{query}")).await;
        (ids(&found["payload"]), found["meta"]["count"].as_i64().expect("a count"))
    };
    for (query, expected) in [
        ("", [ana, bruno, carla]),
        ("sort=name", [ana, bruno, carla]),
        ("sort=-name", [carla, bruno, ana]),
        ("sort=email", [carla, bruno, ana]),
        ("sort=-email", [bruno, carla, ana]),
        ("sort=phone_number", [ana, bruno, carla]),
        ("sort=-phone_number", [bruno, ana, carla]),
        ("sort=created_at", [carla, bruno, ana]),
        ("sort=-created_at", [ana, bruno, carla]),
        ("sort=last_activity_at", [carla, bruno, ana]),
        ("sort=city", [bruno, carla, ana]),
        ("sort=-city", [carla, bruno, ana]),
    ] {
        assert_eq!(listed(query).await, (expected.to_vec(), 3), "{query}: who has an address");
    }
    let labels = bridge.post(&format!("/contacts/{bruno}/labels"), json!({"labels": ["VIP", "late payer"]})).await;
    assert_eq!(labels["payload"], json!(["late-payer", "vip"]));
    assert_eq!(bridge.get(&format!("/contacts/{bruno}/labels")).await, labels);
    assert_eq!(listed("labels[]=vip").await, (vec![bruno], 1));
    assert_eq!(listed("labels[]=vip&sort=city").await, (vec![bruno], 1));
    assert_eq!(listed("labels[]=other").await, (vec![], 0));
    let by_label = json!({"payload": [{"attribute_key": "labels", "filter_operator": "equal_to", "values": ["vip"]}]});
    assert_eq!(ids(&bridge.post("/contacts/filter", by_label).await["payload"]), [bruno]);
    let labels = bridge.post(&format!("/contacts/{bruno}/labels"), json!({"labels": []})).await;
    assert_eq!(labels["payload"], json!([]), "the list is replaced");

    let found = bridge.get("/contacts/search?q=5511987654321").await;
    assert_eq!((ids(&found["payload"]), &found["meta"]["has_more"]), (vec![ana], &json!(false)));
    assert_eq!(ids(&bridge.get("/contacts/search?q=EXAMPLE&sort=email").await["payload"]), [carla, bruno]);
    assert_eq!(bridge.get("/contacts/search?q=").await["payload"], json!([]));
    let slim = bridge.get(&format!("/contacts/{ana}?include_contact_inboxes=false")).await;
    assert!(slim["payload"].get("contact_inboxes").is_none());
    bridge.call("GET", "/contacts?page=9000", None).await.expect(422);
}
