//! Webhooks in Chatwoot's format: the inbox's own address, the account's, and what each hears, by the real fan-out and sender.

#[path = "support/app.rs"]
#[allow(dead_code)]
mod app;
#[path = "support/bridge.rs"]
#[allow(dead_code)]
mod bridge;
#[path = "support/courier.rs"]
#[allow(dead_code)]
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
        let bridge = Bridge::new(app).await;
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
