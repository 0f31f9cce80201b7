//! Webhooks in Chatwoot's format: the inbox's own address, the account's, and what each hears, by the real fan-out and sender.

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

/// An API inbox that posts to `url`, with one conversation of a contact in it.
struct Desk<'a> {
    bridge: Bridge<'a>,
    inbox: Value,
    contact: i64,
    conversation: i64,
}

impl Desk<'_> {
    async fn new<'a>(app: &'a App, url: Option<&str>) -> Desk<'a> {
        Desk::of(Bridge::new(app).await, url).await
    }
    async fn of<'a>(bridge: Bridge<'a>, url: Option<&str>) -> Desk<'a> {
        let channel = json!({"type": "api", "webhook_url": url});
        let inbox = bridge.post("/inboxes", json!({"name": "WhatsApp", "channel": channel})).await;
        let contact = json!({"inbox_id": id(&inbox), "name": "Ana", "identifier": "ana@wa", "source_id": "5511",
                             "phone_number": "+5511987654321"});
        let contact = id(&bridge.post("/contacts", contact).await["payload"]["contact"]);
        let ask = json!({"contact_id": contact, "inbox_id": id(&inbox), "source_id": "5511"});
        let conversation = id(&bridge.post("/conversations", ask).await);
        Desk { bridge, inbox, contact, conversation }
    }
    fn path(&self, rest: &str) -> String {
        format!("/conversations/{}/{rest}", self.conversation)
    }
    async fn say(&self, kind: &str, text: &str) -> Value {
        self.bridge.app.clock.advance_us(1_000_000);
        self.bridge.post(&self.path("messages"), json!({"content": text, "message_type": kind})).await
    }
}

fn events(received: &[Received]) -> Vec<String> {
    received.iter().map(|one| one.json()["event"].as_str().expect("an event").to_owned()).collect()
}

/// The recipe of Chatwoot's receivers.
fn verifies(secret: &str, received: &Received) -> bool {
    let signed = format!("{}.{}", received.header("x-chatwoot-timestamp"), String::from_utf8_lossy(&received.body));
    let hex = tieline_core::inboxes::hash(secret, &signed);
    received.header("x-chatwoot-signature") == format!("sha256={hex}")
}

fn changed(body: &Value, name: &str) -> (Value, Value) {
    let list = body["changed_attributes"].as_array().expect("changes");
    let one = list.iter().find_map(|one| one.get(name)).unwrap_or_else(|| panic!("no {name}: {body}"));
    (one["previous_value"].clone(), one["current_value"].clone())
}

#[tokio::test]
async fn an_agents_reply_arrives_at_the_inboxs_address() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let desk = Desk::new(&app, Some(&receiver.url)).await;
    courier.run().await;
    let first = receiver.take();
    assert_eq!(events(&first), ["conversation_created"], "no contact events at an inbox's address");
    let body = first[0].json();
    assert_eq!(
        (&body["id"], &body["status"], &body["messages"]),
        (&json!(desk.conversation), &json!("open"), &json!([]))
    );
    assert_eq!(body["contact_inbox"]["source_id"], "5511");

    desk.say("incoming", "Oi").await;
    let reply = desk.say("outgoing", "Olá\\\n*Ana*\n\n").await;
    courier.run().await;
    let got = receiver.take();
    assert_eq!(events(&got), ["message_created", "message_created"], "that it was sent is no news");
    let secret = desk.inbox["secret"].as_str().expect("a secret");
    assert_eq!(secret.len(), 24);
    assert!(got.iter().chain(&first).all(|one| verifies(secret, one)));
    let delivery = got[1].header("x-chatwoot-delivery");
    assert!(uuid::Uuid::parse_str(delivery).is_ok() && delivery.contains('-'), "{delivery}");
    let (incoming, body) = (got[0].json(), got[1].json());
    assert_eq!((&incoming["message_type"], &incoming["sender"]["identifier"]), (&json!("incoming"), &json!("ana@wa")));
    assert_eq!(incoming["sender"].get("type"), None, "a contact has no type there");
    assert_eq!(incoming["conversation"]["unread_count"], 1);
    assert_eq!(
        (&body["message_type"], &body["private"], &body["id"]),
        (&json!("outgoing"), &json!(false), &reply["id"])
    );
    assert_eq!(body["content"], "Olá\\\n*Ana*\n\n", "as it was typed");
    assert_eq!((&body["sender"]["type"], &body["sender"]["email"]), (&json!("user"), &json!("bea@example.com")));
    assert_eq!((&body["status"], &body["source_id"]), (&json!("sent"), &Value::Null));
    assert!(body["created_at"].as_str().is_some_and(|text| text.ends_with('Z')));
    let conversation = &body["conversation"];
    assert_eq!(conversation["meta"]["sender"]["phone_number"], "+5511987654321");
    let shown = conversation["messages"].as_array().expect("messages");
    assert_eq!((shown.len(), &shown[0]["id"], &shown[0]["message_type"]), (1, &reply["id"], &json!(1)));
    assert_eq!(shown[0]["sender"]["available_name"], "Bea");
    assert_eq!(body["inbox_identifier"], desk.inbox["inbox_identifier"]);
    assert_eq!(body["performed_by"]["type"], "user");
    assert_eq!(body["performed_by"]["id"], body["sender"]["id"]);
    assert_eq!(body["previous_sequence"], incoming["sequence"], "nothing was left out between them");
    let list = desk.bridge.get(&desk.path("messages")).await;
    assert_eq!(list["payload"][1]["status"], "sent");
}

#[tokio::test]
async fn what_happens_to_a_conversation_is_told_with_what_changed() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let desk = Desk::new(&app, Some(&receiver.url)).await;
    let (_, agent) = user(&app, "acme", "Caio", Role::Agent).await;
    let team = desk.bridge.post("/teams", json!({"name": "Vendas"})).await;
    courier.run().await;
    receiver.take();

    let note = json!({"content": "only for us", "message_type": "outgoing", "private": true});
    let note = desk.bridge.post(&desk.path("messages"), note).await;
    desk.bridge.post(&desk.path("labels"), json!({"labels": ["vip"]})).await;
    desk.bridge.post(&desk.path("labels"), json!({"labels": []})).await;
    desk.bridge.post(&desk.path("assignments"), json!({"assignee_id": agent})).await;
    desk.bridge.post(&desk.path("assignments"), json!({"team_id": id(&team)})).await;
    desk.bridge.post(&desk.path("toggle_priority"), json!({"priority": "high"})).await;
    desk.bridge.post(&desk.path("custom_attributes"), json!({"custom_attributes": {"order": "7"}})).await;
    desk.bridge.post(&desk.path("toggle_typing_status"), json!({"typing_status": "on", "is_private": true})).await;
    desk.bridge.post(&desk.path("toggle_status"), json!({"status": "resolved"})).await;
    courier.run().await;
    let got = receiver.take();
    let updated = "conversation_updated";
    assert_eq!(
        events(&got),
        [
            "message_created",
            updated,
            updated,
            updated,
            updated,
            updated,
            updated,
            "conversation_typing_on",
            "conversation_status_changed",
            updated,
        ]
    );
    let body = |at: usize| got[at].json();
    assert_eq!((&body(0)["private"], &body(0)["id"]), (&json!(true), &note["id"]));
    assert_eq!(changed(&body(1), "label_list"), (json!([]), json!(["vip"])));
    assert_eq!((&body(1)["labels"], changed(&body(2), "label_list").1), (&json!(["vip"]), json!([])));
    assert_eq!(changed(&body(3), "assignee_id"), (Value::Null, json!(agent)));
    assert_eq!(
        (&body(3)["meta"]["assignee"]["id"], &body(3)["meta"]["assignee_type"]),
        (&json!(agent), &json!("User"))
    );
    assert_eq!(changed(&body(4), "team_id").1, team["id"]);
    assert_eq!(body(4)["meta"]["team"], json!({"id": team["id"], "name": "vendas"}));
    assert_eq!(changed(&body(5), "priority"), (Value::Null, json!("high")));
    assert_eq!(changed(&body(6), "custom_attributes").1, json!({"order": "7"}));
    assert_eq!((&body(7)["user"]["name"], &body(7)["is_private"]), (&json!("Bea"), &json!(true)));
    for at in [8, 9] {
        assert_eq!(body(at)["status"], "resolved");
        assert_eq!(changed(&body(at), "status"), (json!("open"), json!("resolved")));
        assert_eq!(body(at)["messages"], json!([]), "a note is not shown there");
    }
    assert_ne!(got[8].header("webhook-id"), got[9].header("webhook-id"), "neither is a repeat of the other");
    assert_eq!(body(9)["previous_sequence"], body(9)["sequence"]);
}

#[tokio::test]
async fn a_bodys_state_is_that_of_its_event() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let desk = Desk::new(&app, Some(&receiver.url)).await;
    courier.run().await;
    receiver.take();
    // Nothing is sent before all of it has happened.
    let source = json!({"content": "from the phone", "message_type": "outgoing", "source_id": "WAID:1"});
    let said = desk.bridge.post(&desk.path("messages"), source).await;
    desk.say("outgoing", "second").await;
    let path = format!("{}/{}", desk.path("messages"), id(&said));
    desk.bridge.call("DELETE", &path, None).await.expect(200);
    desk.bridge.post(&desk.path("toggle_status"), json!({"status": "resolved"})).await;
    courier.run().await;
    let got = receiver.take();
    let words = ["message_created", "message_created", "message_updated"];
    assert_eq!(events(&got)[..3], words);
    let first = got[0].json();
    assert_eq!((&first["source_id"], &first["content"]), (&json!("WAID:1"), &json!("from the phone")));
    let shown = &first["conversation"]["messages"][0];
    assert_eq!((&shown["source_id"], &shown["content"]), (&json!("WAID:1"), &json!("from the phone")));
    assert_eq!(first["conversation"]["status"], "open");
    let deleted = got[2].json();
    assert_eq!((&deleted["id"], &deleted["content_attributes"]), (&said["id"], &json!({"deleted": true})));
    assert_eq!(deleted["conversation"]["messages"][0]["id"], said["id"], "its own message");
    let sequences: Vec<i64> = got.iter().map(|one| one.json()["sequence"].as_i64().expect("a place")).collect();
    assert!(sequences.is_sorted(), "{sequences:?}");
}

#[tokio::test]
async fn what_is_refused_comes_again_with_the_same_bytes() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let desk = Desk::new(&app, Some(&receiver.url)).await;
    courier.run().await;
    receiver.take();
    receiver.answer(&[500], 200);
    desk.say("outgoing", "first").await;
    desk.say("outgoing", "second").await;
    courier.run_for(30).await;
    let got = receiver.take();
    let text = |one: &Received| one.json()["content"].as_str().expect("a text").to_owned();
    let texts: Vec<String> = got.iter().map(text).collect();
    assert_eq!(texts, ["first", "first", "second"], "in order, and none is lost");
    assert!(got[..2].iter().all(|one| one.body == got[0].body));
    let ids: Vec<&str> = got[..2].iter().map(|one| one.header("x-chatwoot-delivery")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let secret = desk.inbox["secret"].as_str().expect("a secret");
    assert!(got.iter().all(|one| verifies(secret, one)), "each attempt is signed afresh");
    let list = desk.bridge.get(&desk.path("messages")).await;
    assert!(list["payload"].as_array().expect("a list").iter().all(|message| message["status"] == "sent"));
}

const DEFAULTS: [&str; 8] = [
    "conversation_status_changed",
    "conversation_updated",
    "conversation_created",
    "contact_created",
    "contact_updated",
    "message_created",
    "message_updated",
    "webwidget_triggered",
];

#[tokio::test]
async fn an_account_has_webhooks() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    assert_eq!(bridge.get("/webhooks").await, json!({"payload": {"webhooks": []}}));
    let made = bridge.post("/webhooks", json!({"url": "https://n8n.example/1"})).await;
    let hook = &made["payload"]["webhook"];
    assert_eq!(made["payload"]["id"], hook["id"]);
    assert_eq!((&hook["name"], &hook["account_id"], hook.get("inbox")), (&Value::Null, &json!(1), None));
    assert_eq!(hook["subscriptions"], json!(DEFAULTS));
    assert_eq!(hook["secret"].as_str().map(str::len), Some(24));
    let wrapped = json!({"webhook": {"url": "https://n8n.example/2", "name": "Bot", "inbox_id": id(&inbox).to_string(),
                                     "subscriptions": ["message_created", "inbox_updated", "message_created"]}});
    let second = bridge.post("/webhooks/", wrapped).await["payload"]["webhook"].clone();
    assert_eq!(second["subscriptions"], json!(["message_created", "inbox_updated"]));
    assert_eq!((&second["name"], &second["inbox"]), (&json!("Bot"), &json!({"id": id(&inbox), "name": "Shop"})));
    assert_eq!(bridge.get("/webhooks").await["payload"]["webhooks"], json!([hook, second]));

    let path = format!("/webhooks/{}", id(&second));
    let patched = bridge.patch(&path, json!({"subscriptions": ["conversation_typing_on"]})).await["payload"].clone();
    assert_eq!(patched["webhook"]["subscriptions"], json!(["conversation_typing_on"]));
    assert_eq!((&patched["webhook"]["secret"], &patched["webhook"]["url"]), (&second["secret"], &second["url"]));
    let put = bridge.call("PUT", &path, Some(json!({"name": "", "inbox_id": null}))).await.expect(200);
    assert_eq!((&put["payload"]["webhook"]["name"], put["payload"]["webhook"].get("inbox")), (&Value::Null, None));

    let url = "https://n8n.example/1";
    for (body, text) in [
        (json!({"url": url}), "Url has already been taken"),
        (json!({"url": "n8n"}), "Url is invalid"),
        (json!({"url": "ftp://n8n.example/"}), "Url is invalid"),
        (json!({"name": "x"}), "Url is invalid"),
        (json!({"url": "https://n8n.example/3", "subscriptions": []}), "Subscriptions Invalid events"),
        (json!({"url": "https://n8n.example/3", "subscriptions": ["message.sent"]}), "Subscriptions Invalid events"),
    ] {
        let refused = bridge.call("POST", "/webhooks", Some(body)).await.expect(422);
        assert_eq!((&refused["message"], &refused["error"]), (&json!(text), &json!(text)));
        assert_eq!(refused["attributes"].as_array().map(Vec::len), Some(1));
    }
    let refused = bridge.call("PATCH", &path, Some(json!({"url": url}))).await.expect(422);
    assert_eq!(refused["message"], "Url has already been taken");
    let refused = bridge.call("POST", "/webhooks", Some(json!({"url": "https://10.0.0.1/"}))).await.expect(422);
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("TIELINE_WEBHOOK_ALLOW_HOSTS")), "{refused}");
    let empty = bridge.call("POST", "/webhooks", Some(json!({}))).await.expect(422);
    assert_eq!(empty["error"], "param is missing or the value is empty: webhook");
    let other = json!({"url": "https://n8n.example/4", "inbox_id": 999_999});
    bridge.call("POST", "/webhooks", Some(other)).await.expect(404);

    let agent = Bridge { app: &app, token: user(&app, "acme", "Caio", Role::Agent).await.0 };
    agent.call("GET", "/webhooks", None).await.expect(401);
    app.tenant("other").await;
    let stranger = Bridge { app: &app, token: user(&app, "other", "Zoe", Role::Admin).await.0 };
    stranger.call("DELETE", &path, None).await.expect(401);
    let own = json!({"name": "Own", "channel": {"type": "api", "webhook_url": "https://n8n.example/own"}});
    bridge.post("/inboxes", own).await;
    let list = bridge.get("/webhooks").await["payload"]["webhooks"].as_array().expect("a list").len();
    assert_eq!(list, 2, "an inbox's own is not among them");
    let deleted = bridge.call("DELETE", &path, None).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (200, 0));
    bridge.call("DELETE", &path, None).await.expect(404);
}

#[tokio::test]
async fn an_account_hears_of_contacts_and_of_what_it_asks_for() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let bridge = Bridge::new(&app).await;
    let words = json!(["contact_created", "contact_updated", "message_created", "inbox_created", "inbox_updated"]);
    let hook = bridge.post("/webhooks", json!({"url": receiver.url, "subscriptions": words})).await;
    let secret = hook["payload"]["webhook"]["secret"].as_str().expect("a secret").to_owned();
    let desk = Desk::of(bridge, None).await;
    desk.bridge
        .patch(&format!("/contacts/{}", desk.contact), json!({"name": "Ana Lima", "custom_attributes": {"vip": 1}}))
        .await;
    desk.bridge.patch(&format!("/contacts/{}", desk.contact), json!({"name": "Ana Lima"})).await;
    desk.bridge.patch(&format!("/inboxes/{}", id(&desk.inbox)), json!({"name": "Zap"})).await;
    desk.bridge.post(&desk.path("toggle_status"), json!({"status": "resolved"})).await;
    desk.say("incoming", "Oi").await;
    courier.run().await;
    let mut got = receiver.take();
    assert!(got.iter().all(|one| verifies(&secret, one)));
    // Without a conversation nothing stands in a row.
    got.sort_by_key(|one| one.json()["event"].as_str().map(str::to_owned));
    let (updated, others): (Vec<_>, Vec<_>) = got.iter().partition(|one| one.json()["event"] == "contact_updated");
    let others: Vec<Received> = others.into_iter().cloned().collect();
    assert_eq!(events(&others), ["contact_created", "inbox_created", "inbox_updated", "message_created"]);
    let created = others[0].json();
    assert_eq!((&created["id"], &created["identifier"]), (&json!(desk.contact), &json!("ana@wa")));
    assert_eq!((&created["account"], &created["blocked"]), (&json!({"id": 1, "name": "acme"}), &json!(false)));
    let renamed: Vec<Value> = updated.iter().map(|one| one.json()).collect();
    assert!(!renamed.is_empty() && renamed.iter().all(|one| one["changed_attributes"] != json!([])));
    assert!(renamed.iter().any(|one| changed(one, "name") == (json!("Ana"), json!("Ana Lima"))));
    assert_eq!(changed(&others[2].json(), "name"), (json!("WhatsApp"), json!("Zap")));
    assert_eq!(others[1].json()["channel"]["identifier"], desk.inbox["inbox_identifier"]);
    assert_eq!(others[1].json().get("hmac_token"), None);
}

#[tokio::test]
async fn two_subscriptions_of_one_address_get_one_post() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let desk = Desk::new(&app, Some(&receiver.url)).await;
    let quiet = desk.bridge.post("/inboxes", json!({"name": "Other", "channel": {"type": "api"}})).await;
    let hook = desk.bridge.post("/webhooks", json!({"url": receiver.url})).await;
    let account = hook["payload"]["webhook"]["secret"].as_str().expect("a secret").to_owned();
    courier.run().await;
    receiver.take();
    let reply = desk.say("outgoing", "once").await;
    let ask = json!({"contact_id": desk.contact, "inbox_id": id(&quiet)});
    let elsewhere = desk.bridge.post("/conversations", ask).await;
    courier.run().await;
    let got = receiver.take();
    let of = |word: &str| got.iter().filter(|one| one.json()["event"] == word).collect::<Vec<_>>();
    let (messages, opened) = (of("message_created"), of("conversation_created"));
    assert_eq!((messages.len(), opened.len(), got.len()), (1, 1, 2));
    assert_eq!(messages[0].json()["id"], reply["id"]);
    assert!(verifies(desk.inbox["secret"].as_str().expect("a secret"), messages[0]), "from the inbox's own");
    assert_eq!(opened[0].json()["id"], elsewhere["id"]);
    assert!(verifies(&account, opened[0]), "of another inbox, from the account's");

    // Filtered by inbox.
    let path = format!("/webhooks/{}", id(&hook["payload"]));
    desk.bridge.patch(&path, json!({"inbox_id": id(&quiet), "url": format!("{}/filtered", receiver.url)})).await;
    desk.say("outgoing", "twice?").await;
    courier.run().await;
    assert_eq!(events(&receiver.take()), ["message_created"], "the account's is for the other inbox only");
}

#[tokio::test]
async fn only_exhaustion_fails_a_message_and_a_late_success_takes_it_back() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let desk = Desk::new(&app, Some(&receiver.url)).await;
    courier.run().await;
    receiver.take();
    receiver.answer(&[], 500);
    desk.say("outgoing", "lost?").await;
    courier.run_for(3).await;
    let status = async || {
        let message = desk.bridge.get(&desk.path("messages")).await["payload"][0].clone();
        (message["status"].clone(), message["content_attributes"]["external_error"].clone())
    };
    assert_eq!(status().await, (json!("sent"), Value::Null), "it is tried again");
    for _ in 0..200 {
        app.clock.advance_us(3_600_000_000);
        courier.run().await;
    }
    let (failed, reason) = status().await;
    assert_eq!((failed, &reason), (json!("failed"), &json!("The inbox's webhook answered 500.")));
    receiver.answer(&[], 200);
    receiver.take();

    // By hand, through `/v1`.
    let hook = app.get("/v1/inboxes").await.expect(200)["data"][0]["webhookId"].as_str().expect("one").to_owned();
    app.patch(&format!("/v1/webhooks/{hook}"), json!({"isActive": true})).await.expect(200);
    let log = app.get(&format!("/v1/webhooks/{hook}/deliveries?status=failed")).await.expect(200);
    let lost = log["data"].as_array().expect("a list").iter().find(|one| one["event"] == "message_created");
    let path =
        format!("/v1/webhooks/{hook}/deliveries/{}/redeliver", lost.expect("it failed")["id"].as_str().expect("an id"));
    app.post(&path, json!({})).await.expect(202);
    courier.run_for(3).await;
    assert_eq!(status().await, (json!("sent"), Value::Null), "a late success takes the failure back");
    let got = receiver.take();
    assert!(got.iter().any(|one| one.json()["event"] == "message_created" && one.json()["content"] == "lost?"));
}

#[tokio::test]
async fn an_inboxs_secret_can_be_replaced() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let desk = Desk::new(&app, Some(&receiver.url)).await;
    let path = format!("/inboxes/{}", id(&desk.inbox));
    let reset = desk.bridge.post(&format!("{path}/reset_secret"), json!({})).await;
    assert_ne!(reset["secret"], desk.inbox["secret"]);
    assert_eq!(desk.bridge.get(&path).await["secret"], reset["secret"]);
    courier.run().await;
    let got = receiver.take();
    let fits = |secret: &Value| verifies(secret.as_str().expect("a secret"), &got[0]);
    assert!(fits(&reset["secret"]) && !fits(&desk.inbox["secret"]));
    let refused =
        desk.bridge.call("PATCH", &path, Some(json!({"channel": {"webhook_url": "https://10.0.0.1/"}}))).await;
    let refused = refused.expect(422);
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("TIELINE_WEBHOOK_ALLOW_HOSTS")), "{refused}");
    let agent = Bridge { app: &app, token: user(&app, "acme", "Caio", Role::Agent).await.0 };
    agent.call("POST", &format!("{path}/reset_secret"), None).await.expect(401);
    desk.bridge.call("POST", "/inboxes/999999/reset_secret", None).await.expect(404);
    assert_eq!(desk.bridge.patch(&path, json!({"channel": {"webhook_url": null}})).await["webhook_url"], Value::Null);
}

#[tokio::test]
async fn what_was_missed_is_replayed_in_every_word_of_it() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let desk = Desk::new(&app, Some(&receiver.url)).await;
    courier.run().await;
    receiver.take();
    let hook = app.get("/v1/inboxes").await.expect(200)["data"][0]["webhookId"].as_str().expect("one").to_owned();
    let switch = async |on: bool| app.patch(&format!("/v1/webhooks/{hook}"), json!({"isActive": on})).await.expect(200);
    let off = switch(false).await["disabledAt"].as_str().expect("a time").to_owned();
    app.clock.advance_us(1_000_000);
    let said = desk.say("outgoing", "while it was off").await;
    desk.bridge.post(&desk.path("toggle_status"), json!({"status": "resolved"})).await;
    courier.run().await;
    switch(true).await;
    let replay = json!({"since": off});
    let done = app.post(&format!("/v1/webhooks/{hook}/replay"), replay.clone()).await.expect(202);
    assert_eq!(done["count"], 3);
    courier.run_for(3).await;
    let got = receiver.take();
    let words = ["message_created", "conversation_status_changed", "conversation_updated"];
    assert_eq!(events(&got), words);
    let shown = &got[0].json()["conversation"]["messages"][0];
    assert_eq!((&shown["id"], &got[0].json()["conversation"]["status"]), (&said["id"], &json!("open")));
    let again = app.post(&format!("/v1/webhooks/{hook}/replay"), replay).await.expect(202);
    assert_eq!(again["count"], 0, "what succeeded is left alone");
}
