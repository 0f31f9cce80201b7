//! The whole way of a bridge: what it posts, what comes back to its webhook, and what it must not take for an agent's reply.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;
#[path = "support/courier.rs"]
mod courier;

use app::App;
use axum::body::Body;
use axum::http::Request;
use bridge::{Bridge, user};
use courier::{Courier, Receiver};
use serde_json::{Value, json};
use tieline_core::users::Role;

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

/// What arrived, in order.
async fn arrived(courier: &mut Courier, receiver: &Receiver) -> Vec<Value> {
    courier.run().await;
    receiver.take().into_iter().map(|one| one.json()).collect()
}

/// The replies that Evolution API would send to WhatsApp: no notes, nothing that it posted itself.
fn replies(bodies: &[Value]) -> Vec<(&str, &str)> {
    let is_reply = |body: &&Value| {
        let own = |source: &Value| source.as_str().is_some_and(|source| source.starts_with("WAID:"));
        body["event"] == "message_created"
            && body["message_type"] == "outgoing"
            && body["private"] == false
            && !own(&body["source_id"])
            && !own(&body["conversation"]["messages"][0]["source_id"])
    };
    let to = |body: &Value| {
        assert_eq!(body["conversation"]["messages"][0]["id"], body["id"], "the event's own message");
        body["id"].as_i64()
    };
    bodies
        .iter()
        .filter(is_reply)
        .map(|body| {
            to(body);
            let sender = &body["conversation"]["meta"]["sender"];
            (sender["phone_number"].as_str().expect("a number"), body["content"].as_str().expect("text"))
        })
        .collect()
}

fn of_event<'b>(bodies: &'b [Value], event: &str) -> Vec<&'b Value> {
    bodies.iter().filter(|body| body["event"] == event).collect()
}

#[tokio::test]
async fn evolution_hears_agents_and_not_itself() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let bridge = Bridge::new(&app).await;
    let (token, agent) = user(&app, "acme", "Caio", Role::Agent).await;
    let agents = Bridge { app: &app, token };

    // Its inbox, found by its exact name, or made.
    let named = |list: &Value| {
        list["payload"].as_array().expect("a list").iter().find(|one| one["name"] == "WhatsApp").cloned()
    };
    assert_eq!(named(&bridge.get("/inboxes").await), None);
    let channel = json!({"type": "api", "webhook_url": receiver.url});
    bridge.post("/inboxes", json!({"name": "WhatsApp", "channel": channel})).await;
    let inbox = named(&bridge.get("/inboxes").await).expect("it is there");
    assert_eq!(inbox["webhook_url"], receiver.url.as_str());
    bridge.post("/inbox_members", json!({"inbox_id": inbox["id"], "user_ids": [agent]})).await;

    // Its contact, looked for by digits with and without the ninth one, or made.
    let condition = |digits: &str, operator: Value| json!({"attribute_key": "phone_number", "filter_operator": "equal_to", "values": [digits], "query_operator": operator});
    let asked = json!({"payload": [condition("5511987654321", json!("OR")), condition("551187654321", Value::Null)]});
    assert_eq!(bridge.post("/contacts/filter", asked.clone()).await["payload"], json!([]));
    let made = json!({"inbox_id": inbox["id"].to_string(), "name": "Ana", "phone_number": "+5511987654321",
        "identifier": "5511987654321@s.whatsapp.net"});
    let contact = bridge.post("/contacts", made).await["payload"]["contact"].clone();
    assert_eq!(id(&bridge.post("/contacts/filter", asked).await["payload"][0]), id(&contact));
    let found = bridge.get("/contacts/search?q=%2B5511987654321").await;
    assert_eq!(id(&found["payload"][0]), id(&contact));

    let opening = json!({"contact_id": contact["id"].to_string(), "inbox_id": inbox["id"].to_string()});
    let conversation = bridge.post("/conversations", opening).await;
    let path = format!("/conversations/{}", id(&conversation));
    let messages = format!("{path}/messages");

    // What the customer says comes as a form with a file, what is said on the phone as JSON; both carry a source id.
    let part =
        |name: &str, value: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let form = part("content", "Cadê?")
        + &part("message_type", "incoming")
        + &part("source_id", "WAID:1")
        + "--b\r\nContent-Disposition: form-data; name=\"attachments[]\"; filename=\"a.gif\"\r\n\
           Content-Type: image/gif\r\n\r\nGIF89a\r\n--b--\r\n";
    let request = Request::builder().method("POST").uri(format!("/api/v1/accounts/1{messages}"));
    let request = request.header("api_access_token", &bridge.token);
    let request = request.header("content-type", "multipart/form-data; boundary=b").body(Body::from(form));
    let incoming = app.send(request.expect("a request")).await.expect(200);
    assert_eq!((&incoming["message_type"], incoming["attachments"].as_array().map(Vec::len)), (&json!(0), Some(1)));
    let own = json!({"content": "Já vejo", "message_type": "outgoing", "source_id": "WAID:2"});
    bridge.post(&messages, own.clone()).await;
    let bodies = arrived(&mut courier, &receiver).await;
    let created = of_event(&bodies, "message_created");
    assert_eq!(created.len(), 2, "{bodies:#?}");
    assert_eq!((&created[0]["message_type"], &created[0]["source_id"]), (&json!("incoming"), &json!("WAID:1")));
    assert_eq!(created[0]["attachments"][0]["file_type"], "image");
    assert_eq!((&created[1]["message_type"], &created[1]["source_id"]), (&json!("outgoing"), &json!("WAID:2")));
    assert_eq!(replies(&bodies), [], "its own messages come back, and it knows them");
    // Sent again, as after a lost answer, it is the same message, and nothing arrives.
    bridge.post(&messages, own).await;
    assert_eq!(of_event(&arrived(&mut courier, &receiver).await, "message_created").len(), 0);

    // An agent's reply, and a note that stays here.
    let reply = json!({"content": "Saiu para entrega.", "content_attributes": {"in_reply_to": incoming["id"]}});
    let reply = agents.post(&messages, reply).await;
    agents.post(&messages, json!({"content": "Ligar", "private": true})).await;
    let bodies = arrived(&mut courier, &receiver).await;
    assert_eq!(replies(&bodies), [("+5511987654321", "Saiu para entrega.")]);
    let heard = of_event(&bodies, "message_created")[0];
    assert_eq!(heard["content_attributes"]["in_reply_to_external_id"], "WAID:1");
    assert_eq!(heard["conversation"]["meta"]["sender"]["identifier"], "5511987654321@s.whatsapp.net");
    assert_eq!(heard["sender"]["type"], "user");

    // An agent deletes it; the bridge deletes it at the customer's.
    agents.call("DELETE", &format!("{messages}/{}", id(&reply)), None).await.expect(200);
    let bodies = arrived(&mut courier, &receiver).await;
    let updated = of_event(&bodies, "message_updated");
    assert_eq!((&updated[0]["id"], &updated[0]["content_attributes"]["deleted"]), (&reply["id"], &json!(true)));

    // Resolved, and reopened by the next message: the number that the bridge keeps stays good.
    agents.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await;
    let bodies = arrived(&mut courier, &receiver).await;
    let changed = of_event(&bodies, "conversation_status_changed");
    assert_eq!((changed.len(), &changed[0]["status"], &changed[0]["id"]), (1, &json!("resolved"), &conversation["id"]));
    assert_eq!(changed[0]["meta"]["sender"]["phone_number"], "+5511987654321");
    let again = json!({"content": "Obrigada", "message_type": "incoming", "source_id": "WAID:3"});
    bridge.post(&messages, again).await;
    assert_eq!(bridge.get(&path).await["status"], "open");
    let of_contact = bridge.get(&format!("/contacts/{}/conversations", id(&contact))).await;
    let last = &of_contact["payload"][0]["last_non_activity_message"]["conversation"]["contact_inbox"];
    let source = last["source_id"].as_str().expect("for the client API").to_owned();

    // The customer read it; and a second contact turns out to be the same person.
    let door = inbox["inbox_identifier"].as_str().expect("an identifier");
    let answer = agents.post(&messages, json!({"content": "De nada"})).await;
    let seen = format!("{door}/contacts/{source}/conversations/{}/update_last_seen", id(&conversation));
    bridge.public("POST", &seen, None).await.expect_status(200);
    let shown = bridge.get(&messages).await;
    let read = shown["payload"].as_array().expect("a list").iter().find(|one| one["id"] == answer["id"]);
    assert_eq!(read.expect("there")["status"], "read");
    let twin = bridge.post("/contacts", json!({"name": "Ana", "email": "ana@example.com"})).await;
    let merge = json!({"base_contact_id": contact["id"], "mergee_contact_id": twin["payload"]["contact"]["id"]});
    assert_eq!(bridge.post("/actions/contact_merge", merge).await["id"], contact["id"]);
}

#[tokio::test]
async fn waha_reports_how_far_a_message_got() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let bridge = Bridge::new(&app).await;
    for (key, model) in [("waha_whatsapp_chat_id", 1), ("waha_whatsapp_jid", 1)] {
        let body = json!({"attribute_key": key, "attribute_display_name": key, "attribute_display_type": 0, "attribute_model": model});
        bridge.post("/custom_attribute_definitions", body).await;
    }
    let channel = json!({"type": "api", "webhook_url": receiver.url});
    let inbox = bridge.post("/inboxes", json!({"name": "WAHA", "channel": channel})).await;
    let door = inbox["inbox_identifier"].as_str().expect("an identifier").to_owned();
    let contact = json!({"source_id": "s1", "name": "Ana", "phone_number": "+5511987654321",
        "custom_attributes": {"waha_whatsapp_chat_id": "5511987654321@c.us"}});
    bridge.public("POST", &format!("{door}/contacts"), Some(contact)).await.expect(200);
    let opened = bridge.public("POST", &format!("{door}/contacts/s1/conversations"), None).await.expect(200);
    let messages = format!("/conversations/{}/messages", id(&opened));
    let old = json!({"content": "Olá", "message_type": "incoming", "content_attributes": {"external_created_at": 1}});
    bridge.post(&messages, old).await;
    let reply = bridge.post(&messages, json!({"content": "Oi", "message_type": "outgoing"})).await;
    let bodies = arrived(&mut courier, &receiver).await;
    let heard = of_event(&bodies, "message_created");
    assert_eq!(heard.iter().map(|body| body["content"].clone()).collect::<Vec<_>>(), [json!("Olá"), json!("Oi")]);
    let address = &heard[1]["conversation"]["meta"]["sender"]["custom_attributes"]["waha_whatsapp_chat_id"];
    assert_eq!(address, "5511987654321@c.us");
    for status in ["delivered", "read", "delivered"] {
        bridge.patch(&format!("{messages}/{}", id(&reply)), json!({"status": status})).await;
    }
    let shown = bridge.get(&messages).await;
    let read = shown["payload"].as_array().expect("a list").iter().find(|one| one["id"] == reply["id"]);
    assert_eq!(read.expect("there")["status"], "read", "it does not go back");
}
