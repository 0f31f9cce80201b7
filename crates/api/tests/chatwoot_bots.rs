//! Bots through the API inbox: their keeping, their tokens, what they hold and how they hand it over.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;
#[path = "support/courier.rs"]
mod courier;

use app::App;
use bridge::{Bridge, user};
use courier::{Courier, Received, Receiver};
use serde_json::{Value, json};
use tieline_core::users::Role;

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("no {member}: {value}"))
}

/// An inbox with a bot on it, a contact at `ana`, and the bot's hand.
struct Scene<'a> {
    inbox: Value,
    bot: Value,
    hand: Bridge<'a>,
}

async fn scene<'a>(bridge: &Bridge<'a>) -> Scene<'a> {
    let bot = bridge.post("/agent_bots", json!({"name": "Robo", "description": "answers"})).await;
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    bridge.post(&format!("/inboxes/{}/set_agent_bot", id(&inbox)), json!({"agent_bot": bot["id"]})).await;
    let door = text(&inbox, "inbox_identifier");
    bridge.public("POST", &format!("{door}/contacts"), Some(json!({"source_id": "ana"}))).await.expect(200);
    let hand = Bridge { app: bridge.app, token: text(&bot, "access_token").to_owned() };
    Scene { inbox, bot, hand }
}

impl Scene<'_> {
    fn of_contact(&self, rest: &str) -> String {
        format!("{}/contacts/ana/conversations{rest}", text(&self.inbox, "inbox_identifier"))
    }
}

#[tokio::test]
async fn administrators_keep_the_bots() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    assert_eq!(bridge.get("/agent_bots").await, json!([]));
    let body = json!({"agent_bot": {"name": "Robo", "outgoing_url": "https://bot.example/hook", "bot_type": 0,
        "bot_config": {"lang": "pt"}}});
    let bot = bridge.post("/agent_bots", body).await;
    assert_eq!(
        (&bot["name"], &bot["outgoing_url"], &bot["bot_type"], &bot["bot_config"], &bot["system_bot"]),
        (&json!("Robo"), &json!("https://bot.example/hook"), &json!("webhook"), &json!({"lang": "pt"}), &json!(false))
    );
    assert_eq!((text(&bot, "access_token").len(), text(&bot, "secret").len()), (24, 24));
    let path = format!("/agent_bots/{}", id(&bot));
    let body = json!({"description": "answers", "outgoing_url": null, "bot_type": "webhook"});
    let changed = bridge.patch(&path, body).await;
    assert_eq!((&changed["name"], &changed["description"]), (&json!("Robo"), &json!("answers")));
    assert_eq!((&changed["outgoing_url"], &changed["secret"]), (&Value::Null, &bot["secret"]));
    let secret = bridge.post(&format!("{path}/reset_secret"), json!({})).await;
    assert_ne!(secret["secret"], bot["secret"]);
    for (body, reason) in [
        (json!({"name": " "}), "Name can't be blank"),
        (json!({"name": "x", "bot_type": "csml"}), "'csml' is not a valid bot_type"),
        (json!({"description": "no name"}), "Name can't be blank"),
    ] {
        assert_eq!(bridge.call("POST", "/agent_bots", Some(body)).await.expect(422)["error"], reason);
    }
    let refused = json!({"name": "x", "outgoing_url": "https://10.1.2.3/hook"});
    let refused = bridge.call("POST", "/agent_bots", Some(refused)).await.expect(422);
    assert!(text(&refused, "error").contains("TIELINE_WEBHOOK_ALLOW_HOSTS"), "{refused}");
    bridge.call("POST", "/agent_bots", None).await.expect(422);

    let (token, _) = user(&app, "acme", "Agnes", Role::Agent).await;
    let agent = Bridge { app: &app, token };
    let shown = agent.get(&path).await;
    assert_eq!((shown.get("access_token"), shown.get("secret")), (None, None), "for administrators");
    for (method, path) in [
        ("POST", "/agent_bots".to_owned()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/reset_access_token")),
        ("POST", format!("{path}/reset_secret")),
    ] {
        agent.call(method, &path, Some(json!({"name": "mine"}))).await.expect(401);
    }
    app.tenant("other").await;
    let (token, _) = user(&app, "other", "Sten", Role::Owner).await;
    Bridge { app: &app, token }.call("GET", &path, None).await.expect(401);
    assert!(!app.stored(text(&bot, "access_token").as_bytes()).await, "tokens are sealed");

    bridge.call("DELETE", &path, None).await.expect_status(200);
    bridge.call("GET", &path, None).await.expect(404);
}

#[tokio::test]
async fn a_bots_token_opens_its_closed_list() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let Scene { inbox, bot, hand } = scene(&bridge).await;
    let closed = "Access to this endpoint is not authorized for bots";
    for (method, path) in [
        ("GET", "/conversations"),
        ("GET", "/contacts"),
        ("GET", "/inboxes"),
        ("POST", "/labels"),
        ("GET", "/agents"),
        ("GET", "/agent_bots"),
        ("GET", "/conversations/1/messages"),
        ("POST", "/conversations/1/update_last_seen"),
        ("GET", ""),
    ] {
        assert_eq!(hand.call(method, path, None).await.expect(401)["error"], closed, "{method} {path}");
    }
    let contact = bridge.post("/contacts", json!({"name": "Eva", "inbox_id": inbox["id"]})).await;
    let contact = id(&contact["payload"]["contact"]);
    let opened = hand.post("/conversations", json!({"inbox_id": inbox["id"], "contact_id": contact})).await;
    let path = format!("/conversations/{}", id(&opened));
    hand.get(&format!("{path}/")).await;
    hand.patch(&path, json!({"priority": "high"})).await;
    hand.post(&format!("{path}/toggle_priority"), json!({"priority": "low"})).await;
    hand.post(&format!("{path}/toggle_typing_status"), json!({"typing_status": "on"})).await;
    hand.post(&format!("{path}/custom_attributes"), json!({"custom_attributes": {"a": 1}})).await;
    assert_eq!(hand.post(&format!("{path}/labels"), json!({"labels": ["robo"]})).await["payload"], json!(["robo"]));
    hand.get(&format!("{path}/labels")).await;
    hand.get("/labels").await;
    assert_eq!(hand.post(&format!("{path}/assignments"), json!({"assignee_id": 0})).await, Value::Null);

    let again = bridge.post(&format!("/agent_bots/{}/reset_access_token", id(&bot)), json!({})).await;
    assert_eq!(hand.call("GET", &path, None).await.expect(401)["error"], "Invalid Access Token");
    let hand = Bridge { app: &app, token: text(&again, "access_token").to_owned() };
    hand.get(&path).await;
    app.tenant("other").await;
    let (token, _) = user(&app, "other", "Sten", Role::Owner).await;
    let other = Bridge { app: &app, token };
    let request =
        axum::http::Request::get("/api/v1/accounts/3/conversations/1").header("api_access_token", &hand.token);
    let reply = app.send(request.body(axum::body::Body::empty()).expect("a request")).await.expect(401);
    assert_eq!(reply["error"], "You are not authorized to access this account");
    other.call("GET", &path, None).await.expect(401);
    bridge.call("DELETE", &format!("/agent_bots/{}", id(&bot)), None).await.expect_status(200);
    hand.call("GET", &path, None).await.expect(401);
}

/// What comes in is held for the bot; its words count as nobody's answer, until it hands over.
#[tokio::test]
async fn a_bot_works_first_and_hands_over() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let scene = scene(&bridge).await;
    let shown = bridge.get(&format!("/inboxes/{}/agent_bot", id(&scene.inbox))).await;
    assert_eq!(shown["agent_bot"]["id"], scene.bot["id"]);
    let opened = bridge.public("POST", &scene.of_contact(""), None).await.expect(200);
    assert_eq!(opened["status"], "pending");
    let messages = scene.of_contact(&format!("/{}/messages", id(&opened)));
    bridge.public("POST", &messages, Some(json!({"content": "hello"}))).await.expect(200);
    let path = format!("/conversations/{}", id(&opened));
    let said = scene.hand.post(&format!("{path}/messages"), json!({"content": "hi, I am Robo"})).await;
    assert_eq!(said["sender"], json!({"id": scene.bot["id"], "name": "Robo", "avatar_url": "", "type": "agent_bot"}));
    let held = bridge.get(&path).await;
    assert_eq!((&held["status"], &held["messages"][0]["sender_type"]), (&json!("pending"), &json!("AgentBot")));
    assert_eq!(held["messages"][0]["sender_id"], scene.bot["id"]);
    assert_eq!(held["first_reply_created_at"], 0, "a bot's answer is no reply");
    assert_ne!(held["waiting_since"], 0);

    let handed = scene.hand.post(&format!("{path}/toggle_status"), json!({"status": "open"})).await;
    assert_eq!((&handed["payload"]["success"], &handed["payload"]["current_status"]), (&Value::Null, &json!("open")));
    let again = scene.hand.post(&format!("{path}/toggle_status"), json!({"status": "open"})).await;
    assert_eq!((&again["payload"]["success"], &again["payload"]["current_status"]), (&json!(true), &json!("open")));
    let reply = bridge.post(&format!("{path}/messages"), json!({"content": "I am Bea"})).await;
    assert_eq!(reply["sender"]["type"], "user");
    let open = bridge.get(&path).await;
    assert_ne!(open["first_reply_created_at"], 0);

    // Closed, the customer's next message is the bot's again; asleep, it is the agents'.
    bridge.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
    bridge.public("POST", &messages, Some(json!({"content": "once more"}))).await.expect(200);
    assert_eq!(bridge.get(&path).await["status"], "pending");
    bridge.post(&format!("{path}/toggle_status"), json!({"status": "open"})).await;
    let snooze = json!({"status": "snoozed", "snoozed_until": 4_000_000_000_i64});
    bridge.post(&format!("{path}/toggle_status"), snooze).await;
    bridge.public("POST", &messages, Some(json!({"content": "wake up"}))).await.expect(200);
    assert_eq!(bridge.get(&path).await["status"], "open");

    // Without the bot everything is the agents'.
    bridge.post(&format!("/inboxes/{}/set_agent_bot", id(&scene.inbox)), json!({"agent_bot": null})).await;
    assert_eq!(bridge.get(&format!("/inboxes/{}/agent_bot", id(&scene.inbox))).await, json!({"agent_bot": {}}));
    bridge.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
    bridge.public("POST", &messages, Some(json!({"content": "anybody?"}))).await.expect(200);
    assert_eq!(bridge.get(&path).await["status"], "open");
    assert_eq!(bridge.public("POST", &scene.of_contact(""), None).await.expect(200)["status"], "open");
}

#[tokio::test]
async fn a_bot_has_conversations_as_agents_do() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let scene = scene(&bridge).await;
    let (_, ana) = user(&app, "acme", "Ana", Role::Admin).await;
    let opened = bridge.public("POST", &scene.of_contact(""), None).await.expect(200);
    let path = format!("/conversations/{}", id(&opened));
    let assign = async |body: Value| bridge.post(&format!("{path}/assignments"), body).await;
    assert_eq!(assign(json!({"assignee_id": ana})).await["id"], ana);
    let bot = assign(json!({"assignee_id": scene.bot["id"], "assignee_type": "AgentBot"})).await;
    assert_eq!((&bot["id"], &bot["name"]), (&scene.bot["id"], &json!("Robo")));
    let meta = &bridge.get(&path).await["meta"];
    assert_eq!((&meta["assignee_type"], &meta["assignee"]["id"]), (&json!("AgentBot"), &scene.bot["id"]));
    let list = bridge.get(&format!("{path}/messages")).await;
    assert_eq!(list["meta"]["assignee"]["type"], "agent_bot");
    assign(json!({"assignee_id": ana})).await;
    let meta = &bridge.get(&path).await["meta"];
    assert_eq!((&meta["assignee_type"], &meta["assignee"]["id"]), (&json!("User"), &json!(ana)));
    assign(json!({"assignee_id": scene.bot["id"], "assignee_type": "AgentBot"})).await;
    assert_eq!(assign(json!({"assignee_id": null})).await, Value::Null);
    let meta = &bridge.get(&path).await["meta"];
    assert_eq!((&meta["assignee_type"], &meta["assignee"]), (&Value::Null, &Value::Null));
    let unknown = json!({"assignee_id": 999_999, "assignee_type": "AgentBot"});
    bridge.call("POST", &format!("{path}/assignments"), Some(unknown)).await.expect(404);

    // An administrator may write in its name; what it wrote outlives it.
    let body = json!({"content": "beep", "sender_type": "AgentBot", "sender_id": scene.bot["id"]});
    let said = bridge.post(&format!("{path}/messages"), body).await;
    assert_eq!((&said["sender"]["type"], &said["sender"]["id"]), (&json!("agent_bot"), &scene.bot["id"]));
    assign(json!({"assignee_id": scene.bot["id"], "assignee_type": "AgentBot"})).await;
    bridge.call("DELETE", &format!("/agent_bots/{}", id(&scene.bot)), None).await.expect_status(200);
    let shown = bridge.get(&path).await;
    assert_eq!((&shown["meta"]["assignee"], &shown["messages"][0]["sender"]["name"]), (&Value::Null, &json!("Robo")));
    assert_eq!(bridge.get(&format!("/inboxes/{}/agent_bot", id(&scene.inbox))).await, json!({"agent_bot": {}}));
}

fn events(received: &[Received]) -> Vec<String> {
    received.iter().map(|one| text(&one.json(), "event").to_owned()).collect()
}

fn verifies(secret: &Value, received: &Received) -> bool {
    let signed = format!("{}.{}", received.header("x-chatwoot-timestamp"), String::from_utf8_lossy(&received.body));
    let hex = tieline_core::inboxes::hash(secret.as_str().expect("a secret"), &signed);
    received.header("x-chatwoot-signature") == format!("sha256={hex}")
}

/// Gives the bot of a scene an address.
async fn move_to(bridge: &Bridge<'_>, bot: &Value, url: Value) -> Value {
    bridge.patch(&format!("/agent_bots/{}", id(bot)), json!({"outgoing_url": url})).await
}

#[tokio::test]
async fn a_bot_hears_of_the_inboxes_it_is_set_on() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let bridge = Bridge::new(&app).await;
    let scene = scene(&bridge).await;
    let bot = move_to(&bridge, &scene.bot, json!(receiver.url)).await;
    assert_eq!((&bot["outgoing_url"], &bot["secret"]), (&json!(receiver.url), &scene.bot["secret"]));
    assert_eq!(bridge.get("/webhooks").await, json!({"payload": {"webhooks": []}}), "it is the bot's own");
    // The account may have the same address, but not a bot's words.
    for (word, status) in [("conversation_resolved", 422), ("webwidget_triggered", 200)] {
        let account = json!({"url": receiver.url, "subscriptions": [word]});
        bridge.call("POST", "/webhooks", Some(account)).await.expect(status);
    }

    let opened = bridge.public("POST", &scene.of_contact(""), None).await.expect(200);
    let path = format!("/conversations/{}", id(&opened));
    let messages = scene.of_contact(&format!("/{}/messages", id(&opened)));
    let said = bridge.public("POST", &messages, Some(json!({"content": "hello"}))).await.expect(200);
    let quiet = bridge.post("/inboxes", json!({"name": "Other", "channel": {"type": "api"}})).await;
    let door = text(&quiet, "inbox_identifier");
    bridge.public("POST", &format!("{door}/contacts"), Some(json!({"source_id": "eva"}))).await.expect(200);
    let elsewhere = format!("{door}/contacts/eva/conversations");
    let other = id(&bridge.public("POST", &elsewhere, None).await.expect(200));
    let other = format!("{elsewhere}/{other}/messages");
    bridge.public("POST", &other, Some(json!({"content": "not for the bot"}))).await.expect(200);
    courier.run().await;
    let got = receiver.take();
    assert_eq!(events(&got), ["message_created"], "of its inbox only, and not that it began");
    let body = got[0].json();
    assert_eq!((&body["id"], &body["message_type"]), (&said["id"], &json!("incoming")));
    assert_eq!(body["conversation"]["status"], "pending");
    assert!(verifies(&scene.bot["secret"], &got[0]));

    scene.hand.post(&format!("{path}/toggle_status"), json!({"status": "open"})).await;
    bridge.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
    courier.run().await;
    let got = receiver.take();
    let (changed, updated) = ("conversation_status_changed", "conversation_updated");
    let words = ["conversation_opened", changed, updated, "conversation_resolved", changed, updated];
    assert_eq!(events(&got), words);
    assert_eq!((&got[3].json()["id"], &got[3].json()["status"]), (&opened["id"], &json!("resolved")));

    // Another secret signs from now on; set on the other inbox it hears of that too.
    let reset = bridge.post(&format!("/agent_bots/{}/reset_secret", id(&bot)), json!({})).await;
    bridge.post(&format!("/inboxes/{}/set_agent_bot", id(&quiet)), json!({"agent_bot": bot["id"]})).await;
    courier.run().await; // takes the secret in
    bridge.public("POST", &other, Some(json!({"content": "now it is"}))).await.expect(200);
    courier.run().await;
    let got = receiver.take();
    assert_eq!(events(&got), ["message_created"]);
    assert!(verifies(&reset["secret"], &got[0]) && !verifies(&bot["secret"], &got[0]));

    // Set nowhere, or without an address, it hears nothing.
    for inbox in [&quiet, &scene.inbox] {
        bridge.post(&format!("/inboxes/{}/set_agent_bot", id(inbox)), json!({"agent_bot": null})).await;
    }
    bridge.public("POST", &other, Some(json!({"content": "anybody?"}))).await.expect(200);
    courier.run().await;
    assert_eq!(events(&receiver.take()), [""; 0]);
    bridge.post(&format!("/inboxes/{}/set_agent_bot", id(&quiet)), json!({"agent_bot": bot["id"]})).await;
    let without = move_to(&bridge, &bot, Value::Null).await;
    assert_eq!((&without["outgoing_url"], without["secret"].as_str().map(str::len)), (&Value::Null, Some(24)));
    bridge.public("POST", &other, Some(json!({"content": "nobody"}))).await.expect(200);
    courier.run().await;
    assert_eq!(events(&receiver.take()), [""; 0]);
    move_to(&bridge, &bot, json!(receiver.url)).await;
    bridge.public("POST", &other, Some(json!({"content": "back"}))).await.expect(200);
    courier.run().await;
    assert_eq!(events(&receiver.take()), ["message_created"]);
    bridge.call("DELETE", &format!("/agent_bots/{}", id(&bot)), None).await.expect_status(200);
    bridge.public("POST", &other, Some(json!({"content": "gone"}))).await.expect(200);
    courier.run().await;
    assert_eq!(events(&receiver.take()), [""; 0]);
}

#[tokio::test]
async fn what_a_bot_does_not_take_goes_to_agents() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let bridge = Bridge::new(&app).await;
    let scene = scene(&bridge).await;
    move_to(&bridge, &scene.bot, json!(receiver.url)).await;
    let opened = bridge.public("POST", &scene.of_contact(""), None).await.expect(200);
    let path = format!("/conversations/{}", id(&opened));
    let messages = scene.of_contact(&format!("/{}/messages", id(&opened)));
    receiver.answer(&[], 500);
    bridge.public("POST", &messages, Some(json!({"content": "hello"}))).await.expect(200);
    courier.run_for(10).await;
    assert_eq!(receiver.take().len(), 2);
    assert_eq!(bridge.get(&path).await["status"], "pending", "it is tried again");
    app.clock.advance_us(600_000_000);
    courier.run().await;
    assert_eq!(bridge.get(&path).await["status"], "open", "the third time was the last");

    // One that wants nothing more, ever, holds nothing more.
    bridge.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
    receiver.answer(&[], 200);
    app.clock.advance_us(3_600_000_000);
    courier.run_for(10).await;
    receiver.answer(&[], 410);
    bridge.public("POST", &messages, Some(json!({"content": "once more"}))).await.expect(200);
    assert_eq!(bridge.get(&path).await["status"], "pending");
    courier.run_for(3).await;
    assert_eq!(bridge.get(&path).await["status"], "open");
    bridge.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
    bridge.public("POST", &messages, Some(json!({"content": "still there?"}))).await.expect(200);
    assert_eq!(bridge.get(&path).await["status"], "open", "its address is off");

    // Given again, the address is on again.
    receiver.answer(&[], 200);
    move_to(&bridge, &scene.bot, json!(receiver.url)).await;
    receiver.take();
    bridge.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
    bridge.public("POST", &messages, Some(json!({"content": "and now?"}))).await.expect(200);
    assert_eq!(bridge.get(&path).await["status"], "pending");
    courier.run().await;
    assert!(events(&receiver.take()).contains(&"message_created".to_owned()));
}

#[tokio::test]
async fn a_bot_hears_of_the_conversations_it_is_given_elsewhere() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let bridge = Bridge::new(&app).await;
    let bot = bridge.post("/agent_bots", json!({"name": "Robo", "outgoing_url": receiver.url})).await;
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    let door = text(&inbox, "inbox_identifier");
    let start = async |source: &str| {
        bridge.public("POST", &format!("{door}/contacts"), Some(json!({"source_id": source}))).await.expect(200);
        let opened = bridge.public("POST", &format!("{door}/contacts/{source}/conversations"), None).await.expect(200);
        id(&opened)
    };
    let say = async |source: &str, conversation: i64| {
        let path = format!("{door}/contacts/{source}/conversations/{conversation}/messages");
        bridge.public("POST", &path, Some(json!({"content": "hello"}))).await.expect(200);
    };
    let (given, other) = (start("ana").await, start("eva").await);
    let assign = async |body: Value| bridge.post(&format!("/conversations/{given}/assignments"), body).await;
    courier.run().await;
    assert_eq!(events(&receiver.take()), [""; 0]);
    assign(json!({"assignee_id": bot["id"], "assignee_type": "AgentBot"})).await;
    say("ana", given).await;
    say("eva", other).await;
    courier.run().await;
    let got = receiver.take();
    assert_eq!(events(&got), ["conversation_updated", "message_created"], "of the one that it has");
    let body = got[1].json();
    assert_eq!((&body["conversation"]["id"], &body["conversation"]["status"]), (&json!(given), &json!("open")));
    assert_eq!(body["conversation"]["meta"]["assignee_type"], "AgentBot");
    assert!(verifies(&bot["secret"], &got[1]));
    assign(json!({"assignee_id": null})).await;
    say("ana", given).await;
    courier.run().await;
    assert_eq!(events(&receiver.take()), [""; 0], "it has it no more");
}

#[tokio::test]
async fn a_bot_is_first_to_what_comes_by_v1_too() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let open = async |reference: &str, direction: &str| {
        let body = json!({"externalReference": reference, "contact": {"name": "Bia", "email": "bia@example.com"},
            "channel": "api", "subject": "Late", "outboundContext": {"originalMessage": "hello", "direction": direction}});
        app.post("/v1/conversations/outbound", body).await.expect(201)
    };
    open("0", "inbound").await;
    let inboxes = bridge.get("/inboxes").await["payload"].clone();
    let inbox = inboxes.as_array().expect("a list").first().expect("the channel's").clone();
    let bot = bridge.post("/agent_bots", json!({"name": "Robo"})).await;
    bridge.post(&format!("/inboxes/{}/set_agent_bot", id(&inbox)), json!({"agent_bot": bot["id"]})).await;
    open("1", "inbound").await;
    open("2", "outbound").await;
    let list = bridge.get("/conversations?status=all&sort_by=created_at_asc").await["data"]["payload"].clone();
    let list = list.as_array().expect("a list");
    let statuses: Vec<&str> = list.iter().map(|v| text(v, "status")).collect();
    assert_eq!(statuses, ["open", "pending", "open"], "before the bot, the customer's, and ours");
}

#[tokio::test]
async fn everything_that_waits_for_a_bot_that_is_down_goes_to_agents() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let bridge = Bridge::new(&app).await;
    let scene = scene(&bridge).await;
    move_to(&bridge, &scene.bot, json!(receiver.url)).await;
    let start = async || {
        let opened = id(&bridge.public("POST", &scene.of_contact(""), None).await.expect(200));
        let messages = scene.of_contact(&format!("/{opened}/messages"));
        bridge.public("POST", &messages, Some(json!({"content": "hello"}))).await.expect(200);
        opened
    };
    let status = async |conversation: i64| {
        let shown = bridge.get(&format!("/conversations/{conversation}")).await;
        text(&shown, "status").to_owned()
    };
    // More at once than its breaker takes: none waits for it.
    receiver.answer(&[], 500);
    let mut all = Vec::new();
    for _ in 0..12 {
        all.push(start().await);
    }
    courier.run_for(90).await;
    for conversation in &all {
        assert_eq!(status(*conversation).await, "open");
    }
    assert_eq!(status(start().await).await, "open", "it is down");
    receiver.answer(&[], 200);
    courier.run_for(70).await;
    assert_eq!(status(start().await).await, "pending", "it is back");

    // One that wants nothing more, with more behind it than one failure hands over.
    receiver.answer(&[], 410);
    all.clear();
    for _ in 0..130 {
        all.push(start().await);
    }
    courier.run_for(5).await;
    for conversation in &all {
        assert_eq!(status(*conversation).await, "open");
    }
}
