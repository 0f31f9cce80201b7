//! One call lands contact, conversation and message; sent again it changes nothing. Repeats of the other calls likewise.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::App;
use axum::body::Body;
use axum::http::Request;
use bridge::Bridge;
use serde_json::{Value, json};

/// An inbox with a way in: its identifier and its number.
async fn inbox(bridge: &Bridge<'_>, settings: Value) -> (String, i64) {
    let mut body = json!({"name": "Shop", "channel": {"type": "api"}});
    body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let made = bridge.post("/inboxes", body).await;
    (made["inbox_identifier"].as_str().unwrap().to_owned(), made["id"].as_i64().unwrap())
}

fn message(text: &str, source: &str) -> Value {
    json!({"source_id": "cust-1", "contact": {"name": "Ana", "email": "ana@example.com"},
           "conversation": {"custom_attributes": {"order": "A-1"}}, "message": {"content": text, "source_id": source}})
}

async fn events(app: &App) -> usize {
    app.get("/v1/events?limit=100").await.expect(200)["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn one_call_lands_everything_and_a_repeat_nothing() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (door, number) = inbox(&bridge, json!({})).await;
    let path = format!("{door}/messages");
    let mut first = message("Where is my order?", "m-1");
    first["message"]["external_created_at"] = json!(1_700_000_000);
    let first = bridge.public("POST", &path, Some(first)).await.expect(200);
    assert_eq!(first["created"], json!({"contact": true, "conversation": true, "message": true}));
    assert_eq!((&first["contact"]["source_id"], &first["contact"]["name"]), (&json!("cust-1"), &json!("Ana")));
    assert_eq!(
        (&first["message"]["message_type"], &first["message"]["created_at"]),
        (&json!(0), &json!(1_700_000_000))
    );
    assert_eq!(
        (&first["conversation"]["status"], &first["conversation"]["inbox_id"]),
        (&json!("open"), &json!(number))
    );
    let v = first["conversation"]["id"].as_i64().unwrap();
    assert_eq!(bridge.get(&format!("/conversations/{v}")).await["custom_attributes"], json!({"order": "A-1"}));

    let before = events(&app).await;
    let again = bridge.public("POST", &path, Some(message("Where is my order?", "m-1"))).await.expect(200);
    assert_eq!(again["created"], json!({"contact": false, "conversation": false, "message": false}));
    assert_eq!(again["message"]["id"], first["message"]["id"]);
    assert_eq!(events(&app).await, before, "a repeat is no news");

    let mut second = message("Hello?", "m-2");
    second["contact"]["name"] = json!("Somebody else");
    let second = bridge.public("POST", &path, Some(second)).await.expect(200);
    assert_eq!(second["created"], json!({"contact": false, "conversation": false, "message": true}));
    assert_eq!(second["conversation"]["id"], v, "the open conversation goes on");
    assert_eq!(second["contact"]["name"], "Ana", "whoever is known stays as they are");

    bridge.post(&format!("/conversations/{v}/toggle_status"), json!({"status": "resolved"})).await;
    let late = bridge.public("POST", &path, Some(message("Where is my order?", "m-1"))).await.expect(200);
    assert_eq!(late["message"]["id"], first["message"]["id"], "a repeat is found in a resolved conversation");
    assert_eq!(late["conversation"]["status"], "resolved");
    let third = bridge.public("POST", &path, Some(message("Another thing", "m-3"))).await.expect(200);
    assert_eq!(third["created"], json!({"contact": false, "conversation": true, "message": true}));
    assert_ne!(third["conversation"]["id"], v);

    // The same person from another address: known by the email.
    let mut other = message("From the app", "m-4");
    other["source_id"] = json!("app-77");
    let other = bridge.public("POST", &path, Some(other)).await.expect(200);
    assert_eq!(other["created"], json!({"contact": false, "conversation": true, "message": true}));
    assert_eq!(other["contact"]["id"], first["contact"]["id"]);
}

#[tokio::test]
async fn an_inbox_with_one_conversation_reopens_it() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (door, _) = inbox(&bridge, json!({"lock_to_single_conversation": true})).await;
    let path = format!("{door}/messages");
    let first = bridge.public("POST", &path, Some(message("1", "m-1"))).await.expect(200);
    let v = first["conversation"]["id"].as_i64().unwrap();
    bridge.post(&format!("/conversations/{v}/toggle_status"), json!({"status": "resolved"})).await;
    let second = bridge.public("POST", &path, Some(message("2", "m-2"))).await.expect(200);
    assert_eq!((&second["conversation"]["id"], &second["conversation"]["status"]), (&json!(v), &json!("open")));
}

#[tokio::test]
async fn what_it_refuses() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (door, _) = inbox(&bridge, json!({"channel": {"type": "api", "hmac_mandatory": true}})).await;
    let path = format!("{door}/messages");
    let refused = bridge.public("POST", &path, Some(message("1", "m-1"))).await.expect(401);
    assert_eq!(refused["error"], "HMAC failed: Invalid Identifier Hash Provided");
    let (door, _) = inbox(&bridge, json!({})).await;
    let path = format!("{door}/messages");
    let before = events(&app).await;
    for (body, error) in [
        (json!({"message": {"content": "1"}}), "Source can't be blank"),
        (json!({"source_id": "a"}), "param is missing or the value is empty: message"),
        (json!({"source_id": "x".repeat(256), "message": {"content": "1"}}), "source_id has 1 to 255 characters"),
        (json!({"source_id": "a", "contact": {"email": "no"}, "message": {"content": "1"}}), "Email Invalid email"),
        (
            json!({"source_id": "a", "message": {"content": "1", "source_id": "x".repeat(256)}}),
            "Source is too long (maximum is 255 characters)",
        ),
    ] {
        let refused = bridge.public("POST", &path, Some(body.clone())).await.expect(422);
        assert_eq!((&refused["error"], &refused["message"]), (&json!(error), &json!(error)), "{body}");
    }
    assert_eq!(events(&app).await, before, "nothing is left of what was refused");
    let unknown = bridge.public("POST", "nobody/messages", Some(message("1", "m-1"))).await.expect(404);
    assert_eq!(unknown["error"], "Not Found");
}

#[tokio::test]
async fn it_takes_files_in_a_form() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (door, _) = inbox(&bridge, json!({})).await;
    let part =
        |name: &str, value: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let form = [
        part("source_id", "cust-1"),
        part("contact[name]", "Ana"),
        part("message[content]", "A receipt"),
        part("message[source_id]", "m-1"),
        "--b\r\ncontent-disposition: form-data; name=\"attachments[]\"; filename=\"r.txt\"\r\ncontent-type: text/plain\r\n\r\n1 x tea\r\n--b--\r\n".to_owned(),
    ];
    let request = Request::post(format!("/public/api/v1/inboxes/{door}/messages"));
    let request = request.header("content-type", "multipart/form-data; boundary=b").body(Body::from(form.concat()));
    let landed = app.send(request.unwrap()).await.expect(200);
    assert_eq!((&landed["message"]["content"], &landed["contact"]["name"]), (&json!("A receipt"), &json!("Ana")));
    assert_eq!(landed["message"]["attachments"][0]["file_size"], 7);
}

/// However many arrive at once with one new address, there is one contact, one conversation and each message once.
#[tokio::test]
async fn first_messages_at_once_meet_in_one_conversation() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (door, _) = inbox(&bridge, json!({})).await;
    let path = format!("{door}/messages");
    let calls = (0..12).map(|number| bridge.public("POST", &path, Some(message("Hi", &format!("m-{}", number / 2)))));
    let replies: Vec<Value> =
        futures::future::join_all(calls).await.into_iter().map(|reply| reply.expect(200)).collect();
    let mut conversations: Vec<i64> = replies.iter().map(|r| r["conversation"]["id"].as_i64().unwrap()).collect();
    conversations.dedup();
    assert_eq!(conversations.len(), 1);
    let mut messages: Vec<i64> = replies.iter().map(|r| r["message"]["id"].as_i64().unwrap()).collect();
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), 6);
    let made = replies.iter().filter(|r| r["created"]["conversation"] == true).count();
    assert_eq!(made, 1);
}

/// The calls that Chatwoot's clients make one by one can be repeated too.
#[tokio::test]
async fn repeats_of_the_single_calls_change_nothing() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (door, number) = inbox(&bridge, json!({})).await;
    let contact = json!({"source_id": "c-1", "name": "Ana"});
    let one = bridge.public("POST", &format!("{door}/contacts"), Some(contact.clone())).await.expect(200);
    let two = bridge.public("POST", &format!("{door}/contacts"), Some(contact)).await.expect(200);
    assert_eq!(one, two);
    let ask = json!({"contact_id": one["id"], "inbox_id": number});
    let v = bridge.post("/conversations", ask.clone()).await["id"].as_i64().unwrap();
    bridge.post("/conversations", ask).await;
    let shown = bridge.get(&format!("/contacts/{}", one["id"])).await;
    assert_eq!(shown["payload"]["contact_inboxes"].as_array().unwrap().len(), 1, "the address is used again");
    for (kind, path) in [
        ("public", format!("{door}/contacts/c-1/conversations/{v}/messages")),
        ("application", format!("/conversations/{v}/messages")),
    ] {
        let said = json!({"content": "Hi", "message_type": "incoming", "source_id": format!("{kind}-1")});
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(match kind {
                "public" => bridge.public("POST", &path, Some(said.clone())).await.expect(200)["id"].clone(),
                _ => bridge.post(&path, said.clone()).await["id"].clone(),
            });
        }
        assert_eq!(ids[0], ids[1], "{kind}: a repeated source id is the first message");
    }
    let list = bridge.get(&format!("/conversations/{v}/messages")).await;
    assert_eq!(list["payload"].as_array().unwrap().len(), 2);
}
