//! Conversations find their agent by themselves: in inboxes and teams that say so, among those who are there.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;
#[path = "support/courier.rs"]
mod courier;
#[path = "support/talk.rs"]
mod talk;

use app::App;
use bridge::{Bridge, user};
use courier::{Courier, Receiver};
use serde_json::{Value, json};
use tieline_core::users::{self, Role};
use tieline_delivery::assignment::AssignmentLoop;

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

/// An inbox of the API channel with agents Ana and Rui, and who gives its conversations.
struct Desk<'a> {
    app: &'a App,
    bridge: Bridge<'a>,
    inbox: Value,
    ana: i64,
    rui: i64,
    giver: AssignmentLoop,
}

impl<'a> Desk<'a> {
    async fn new(app: &'a App, settings: Value) -> Desk<'a> {
        let bridge = Bridge::new(app).await;
        let (ana, rui) = (user(app, "acme", "Ana", Role::Agent).await.1, user(app, "acme", "Rui", Role::Agent).await.1);
        let mut inbox = json!({"name": "Shop", "channel": {"type": "api"}});
        inbox.as_object_mut().expect("an object").extend(settings.as_object().cloned().expect("an object"));
        let inbox = bridge.post("/inboxes", inbox).await;
        bridge.post("/inbox_members", json!({"inbox_id": id(&inbox), "user_ids": [ana, rui]})).await;
        let giver = AssignmentLoop::new(app.db.clone(), tieline_wire::freeze);
        Desk { app, bridge, inbox, ana, rui, giver }
    }
    /// These are there, for a minute.
    async fn come(&self, who: &[i64]) {
        for number in who.iter().copied() {
            let until = self.app.clock.now() + 60_000_000;
            let seen = self.app.db.write(move |tx| users::see(tx, tieline_core::ids::TenantId(1), number, until)).await;
            seen.expect("is there");
        }
    }
    async fn give(&mut self) {
        self.app.number().await;
        while self.giver.step().await.expect("gives") {
            self.app.number().await;
        }
    }
    async fn open(&self, source: &str) -> i64 {
        let door = self.inbox["inbox_identifier"].as_str().expect("an identifier");
        let contact = Some(json!({"source_id": source}));
        self.bridge.public("POST", &format!("{door}/contacts"), contact).await.expect(200);
        let path = format!("{door}/contacts/{source}/conversations");
        id(&self.bridge.public("POST", &path, Some(json!({}))).await.expect(200))
    }
    async fn say(&self, source: &str, conversation: i64) {
        let door = self.inbox["inbox_identifier"].as_str().expect("an identifier");
        let path = format!("{door}/contacts/{source}/conversations/{conversation}/messages");
        self.bridge.public("POST", &path, Some(json!({"content": "hello"}))).await.expect(200);
    }
    /// Whose it is.
    async fn agent(&self, conversation: i64) -> Option<i64> {
        let shown = self.bridge.get(&format!("/conversations/{conversation}")).await;
        shown["meta"]["assignee"]["id"].as_i64()
    }
    async fn set(&self, conversation: i64, status: &str) {
        self.bridge.post(&format!("/conversations/{conversation}/toggle_status"), json!({"status": status})).await;
    }
}

#[tokio::test]
async fn members_who_are_there_take_turns() {
    let app = App::new().await;
    let mut desk = Desk::new(&app, json!({})).await;
    assert_eq!(desk.inbox["enable_auto_assignment"], true, "as in Chatwoot, unless it is switched off");
    let first = desk.open("one").await;
    desk.give().await;
    assert_eq!(desk.agent(first).await, None, "nobody is there");
    desk.come(&[desk.ana]).await;
    desk.give().await;
    assert_eq!(desk.agent(first).await, Some(desk.ana), "somebody has come");
    desk.come(&[desk.rui]).await;
    let (second, third) = (desk.open("two").await, desk.open("three").await);
    desk.give().await;
    assert_eq!((desk.agent(second).await, desk.agent(third).await), (Some(desk.rui), Some(desk.ana)));

    // Who is busy gets none, nor who has gone, unless they never go by themselves.
    desk.bridge.patch(&format!("/agents/{}", desk.rui), json!({"availability": "busy"})).await;
    let fourth = desk.open("four").await;
    desk.give().await;
    assert_eq!(desk.agent(fourth).await, Some(desk.ana));
    app.clock.advance_us(61_000_000);
    let fifth = desk.open("five").await;
    desk.give().await;
    assert_eq!(desk.agent(fifth).await, None);
    let stays = json!({"availability": "online", "auto_offline": false});
    desk.bridge.patch(&format!("/agents/{}", desk.rui), stays).await;
    desk.give().await;
    assert_eq!(desk.agent(fifth).await, Some(desk.rui));

    // What somebody let go of is not given again, until it comes into the open again.
    desk.bridge.post(&format!("/conversations/{fifth}/assignments"), json!({"assignee_id": 0})).await;
    desk.give().await;
    assert_eq!(desk.agent(fifth).await, None);
    desk.set(fifth, "resolved").await;
    desk.give().await;
    assert_eq!(desk.agent(fifth).await, None);
    desk.say("five", fifth).await;
    desk.give().await;
    assert_eq!(desk.agent(fifth).await, Some(desk.rui), "the customer wrote again");
    talk::assert_sequences(&app).await;
}

#[tokio::test]
async fn an_inbox_says_whether_and_how_many() {
    let app = App::new().await;
    let mut desk = Desk::new(&app, json!({"enable_auto_assignment": false})).await;
    desk.come(&[desk.ana]).await;
    let first = desk.open("one").await;
    desk.give().await;
    assert_eq!(desk.agent(first).await, None);
    let path = format!("/inboxes/{}", id(&desk.inbox));
    let limited = json!({"enable_auto_assignment": true, "auto_assignment_config": {"max_assignment_limit": 2}});
    let changed = desk.bridge.patch(&path, limited).await;
    assert_eq!(changed["enable_auto_assignment"], true);
    assert_eq!(changed["auto_assignment_config"], json!({"max_assignment_limit": 2}));
    let others = [desk.open("two").await, desk.open("three").await, desk.open("four").await];
    desk.give().await;
    let given = async |desk: &Desk<'_>| {
        let mut given = Vec::new();
        for conversation in others {
            given.push(desk.agent(conversation).await.is_some());
        }
        given
    };
    assert_eq!(given(&desk).await, [true, true, false], "no more than two at once");
    desk.set(others[0], "resolved").await;
    desk.give().await;
    assert_eq!(given(&desk).await, [true, true, true], "the next as soon as one is done");
    // Switched off: what waits is left alone, and forgotten.
    let waiting = desk.open("five").await;
    desk.give().await;
    desk.bridge.patch(&path, json!({"enable_auto_assignment": false})).await;
    desk.set(others[1], "resolved").await;
    desk.give().await;
    assert_eq!(desk.agent(waiting).await, None);
}

#[tokio::test]
async fn a_team_chooses_among_its_own() {
    let app = App::new().await;
    let mut desk = Desk::new(&app, json!({})).await;
    let team = desk.bridge.post("/teams", json!({"name": "night"})).await;
    desk.bridge.post(&format!("/teams/{}/team_members", id(&team)), json!({"user_ids": [desk.rui]})).await;
    desk.bridge.patch(&format!("/teams/{}", id(&team)), json!({"allow_auto_assign": false})).await;
    desk.come(&[desk.ana]).await;
    let conversation = desk.open("one").await;
    desk.bridge.post(&format!("/conversations/{conversation}/assignments"), json!({"team_id": id(&team)})).await;
    desk.come(&[desk.rui]).await;
    desk.give().await;
    assert_eq!(desk.agent(conversation).await, None, "the team does not want it");
    desk.bridge.patch(&format!("/teams/{}", id(&team)), json!({"allow_auto_assign": true})).await;
    desk.bridge.post(&format!("/conversations/{conversation}/assignments"), json!({"team_id": 0})).await;
    desk.bridge.post(&format!("/conversations/{conversation}/assignments"), json!({"team_id": id(&team)})).await;
    desk.give().await;
    assert_eq!(desk.agent(conversation).await, Some(desk.rui), "of both, the team and the inbox");

    // A bot's conversations are given once it hands them over.
    let bot = desk.bridge.post("/agent_bots", json!({"name": "Robo"})).await;
    desk.bridge.post(&format!("/inboxes/{}/set_agent_bot", id(&desk.inbox)), json!({"agent_bot": bot["id"]})).await;
    let held = desk.open("two").await;
    desk.give().await;
    assert_eq!(desk.agent(held).await, None);
    let hand = Bridge { app: &app, token: bot["access_token"].as_str().expect("a token").to_owned() };
    hand.post(&format!("/conversations/{held}/toggle_status"), json!({"status": "open"})).await;
    desk.give().await;
    assert!(desk.agent(held).await.is_some());
}

#[tokio::test]
async fn teams_say_their_mode_on_v1() {
    let app = App::new().await;
    let mut desk = Desk::new(&app, json!({})).await;
    let users = app.get("/v1/users").await.expect(200);
    let of = |name: &str| {
        let users = users["data"].as_array().expect("a list");
        users.iter().find(|user| user["name"] == name).expect("there")["id"].clone()
    };
    let team = json!({"name": "Logistics", "memberIds": [of("Ana"), of("Rui")], "isDefault": true});
    let team = app.post("/v1/teams", team.clone()).await.expect(201);
    assert_eq!(team["assignment"], json!({"mode": "manual", "capacity": null}));
    let path = format!("/v1/teams/{}", team["id"].as_str().expect("an id"));
    desk.come(&[desk.ana, desk.rui]).await;
    let open = async |reference: &str| {
        let body = json!({"externalReference": reference, "contact": {"name": "Bia", "email": "bia@example.com"},
                          "subject": "Late", "originalMessage": "hello"});
        app.post("/v1/conversations/outbound", body).await.expect(201)["id"].clone()
    };
    let agent = async |conversation: &Value| {
        let path = format!("/v1/conversations/{}", conversation.as_str().expect("an id"));
        app.get(&path).await.expect(200)["assignedAgentId"].clone()
    };
    let manual = open("1").await;
    desk.give().await;
    assert_eq!(agent(&manual).await, Value::Null, "by hand, unless the team says otherwise");
    let change = |assignment: Value| json!({"assignment": assignment});
    let changed = app.patch(&path, change(json!({"mode": "least_loaded", "capacity": 1}))).await.expect(200);
    assert_eq!(changed["assignment"], json!({"mode": "least_loaded", "capacity": 1}));
    let taken = json!({"assignedAgentId": of("Ana")});
    app.patch(&format!("/v1/conversations/{}", manual.as_str().expect("an id")), taken).await.expect(200);
    let (second, third) = (open("2").await, open("3").await);
    desk.give().await;
    assert_eq!((agent(&second).await, agent(&third).await), (of("Rui"), Value::Null));
    let changed = app.patch(&path, change(json!({"capacity": null}))).await.expect(200);
    assert_eq!(changed["assignment"], json!({"mode": "least_loaded", "capacity": null}));
    app.patch(&path, change(json!({"capacity": 3}))).await.expect(200);
    let cleared = app.patch(&path, change(Value::Null)).await.expect(200);
    assert_eq!(cleared["assignment"], json!({"mode": "manual", "capacity": null}), "null clears");
    app.patch(&path, change(json!({"mode": "least_loaded"}))).await.expect(200);
    desk.give().await;
    assert_ne!(agent(&third).await, Value::Null);
    for (assignment, pointer) in [
        (json!({"mode": "lottery"}), "/assignment/mode"),
        (json!({"mode": null}), "/assignment/mode"),
        (json!({"capacity": 0}), "/assignment/capacity"),
        (json!({"capacity": 1001}), "/assignment/capacity"),
        (json!("round_robin"), "/assignment"),
    ] {
        let refused = app.patch(&path, change(assignment)).await.expect(400);
        assert_eq!(refused["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test]
async fn an_inbox_hears_of_it_at_its_webhook() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let mut desk =
        Desk::new(&app, json!({"channel": {"type": "api", "webhook_url": receiver.url}, "name": "Shop"})).await;
    desk.come(&[desk.ana]).await;
    let conversation = desk.open("one").await;
    desk.give().await;
    courier.run().await;
    let told: Vec<Value> = receiver.take().iter().map(|request| request.json()).collect();
    let updated = told.iter().find(|body| body["event"] == "conversation_updated").expect("told");
    assert_eq!((&updated["id"], &updated["meta"]["assignee"]["id"]), (&json!(conversation), &json!(desk.ana)));
    let changed = updated["changed_attributes"].as_array().expect("a list");
    let change = changed.iter().find(|change| change.get("assignee_id").is_some()).expect("the assignee");
    assert_eq!(change["assignee_id"], json!({"previous_value": null, "current_value": desk.ana}));
    assert_eq!(updated["performed_by"]["type"], "system");
}
