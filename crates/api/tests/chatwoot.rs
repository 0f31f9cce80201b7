//! The API inbox as its clients know it: application API, client API, refusals, spellings.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::App;
use axum::body::Body;
use axum::http::Request;
use bridge::{Bridge, user};
use serde_json::{Value, json};
use tieline_core::users::Role;

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

/// Evolution API's way: an inbox by name, a contact by phone, a conversation, messages of both sides with source ids.
#[tokio::test]
async fn a_bridge_of_evolution_finds_its_way() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let channel = json!({"type": "api", "webhook_url": "https://evolution.example/webhook"});
    let inbox = bridge.post("/inboxes/", json!({"name": "WhatsApp Ünit 1", "channel": channel})).await;
    assert_eq!(inbox["channel_type"], "Channel::Api");
    assert_eq!(inbox["webhook_url"], "https://evolution.example/webhook");
    let list = bridge.get("/inboxes").await;
    let named = list["payload"].as_array().expect("a list").iter().find(|inbox| inbox["name"] == "WhatsApp Ünit 1");
    assert_eq!(named.expect("by its exact name")["inbox_identifier"], inbox["inbox_identifier"]);

    let ask = |digits: &str| {
        json!({"payload": [
            {"attribute_key": "phone_number", "filter_operator": "equal_to", "values": [digits], "query_operator": "OR"},
            {"attribute_key": "identifier", "filter_operator": "equal_to", "values": [digits], "query_operator": null},
        ]})
    };
    let found = bridge.post("/contacts/filter", ask("5511987654321")).await;
    assert_eq!((&found["meta"]["count"], &found["payload"]), (&json!(0), &json!([])));
    let made = bridge
        .post(
            "/contacts",
            json!({"inbox_id": inbox["id"].to_string(), "name": "Ana", "identifier": "5511987654321@s.whatsapp.net",
                   "phone_number": "+5511987654321", "avatar_url": "https://pps.example/ana.jpg"}),
        )
        .await;
    let contact = &made["payload"]["contact"];
    assert_eq!(contact["thumbnail"], "https://pps.example/ana.jpg");
    let source = made["payload"]["contact_inbox"]["source_id"].as_str().expect("one is made");
    let found = bridge.post("/contacts/filter", ask("5511987654321")).await;
    assert_eq!(id(&found["payload"][0]), id(contact));

    let ask = json!({"contact_id": id(contact).to_string(), "inbox_id": inbox["id"].to_string()});
    let conversation = bridge.post("/conversations", ask.clone()).await;
    assert_eq!(conversation["status"], "open");
    assert_eq!(conversation["meta"]["assignee"], Value::Null);
    let path = format!("/conversations/{}/messages", id(&conversation));
    let message = |kind: &str, source: &str| json!({"content": "Olá", "message_type": kind, "private": false, "source_id": source});
    let incoming = bridge.post(&path, message("incoming", "WAID:1")).await;
    assert_eq!((&incoming["message_type"], &incoming["source_id"]), (&json!(0), &json!("WAID:1")));
    assert_eq!(incoming["sender"]["type"], "contact");
    let again = bridge.post(&path, message("incoming", "WAID:1")).await;
    assert_eq!(id(&again), id(&incoming), "a repeated source id is the same message");
    let outgoing = bridge.post(&path, message("outgoing", "WAID:2")).await;
    assert_eq!((&outgoing["message_type"], &outgoing["status"]), (&json!(1), &json!("sent")));
    assert_eq!(outgoing["sender"]["type"], "user");
    assert!(id(&outgoing) > id(&incoming));

    let of_contact = bridge.get(&format!("/contacts/{}/conversations", id(contact))).await;
    let open = &of_contact["payload"][0];
    assert_eq!((&open["id"], &open["inbox_id"], &open["status"]), (&conversation["id"], &inbox["id"], &json!("open")));
    let last = &open["last_non_activity_message"];
    assert_eq!(last["conversation"]["contact_inbox"]["source_id"], source);
    assert_eq!((&open["messages"][0]["id"], &open["unread_count"]), (&outgoing["id"], &json!(1)));

    let deleted = bridge.call("DELETE", &format!("{path}/{}", id(&outgoing)), None).await.expect(200);
    assert_eq!(deleted["content_attributes"], json!({"deleted": true}));
    assert_eq!(deleted["content"], "This message was deleted");

    let status = format!("/conversations/{}/toggle_status", id(&conversation));
    let toggled = bridge.post(&status, json!({"status": "resolved"})).await;
    assert_eq!(
        (&toggled["payload"]["success"], &toggled["payload"]["current_status"]),
        (&json!(true), &json!("resolved"))
    );
    bridge.post(&path, message("incoming", "WAID:3")).await;
    let show = bridge.get(&format!("/conversations/{}", id(&conversation))).await;
    assert_eq!(show["status"], "open", "an incoming message opens it again");
    let second = bridge.post("/conversations", ask).await;
    assert!(id(&second) > id(&conversation));
    let contacts = bridge.get(&format!("/contacts/{}", id(contact))).await;
    let links = contacts["payload"]["contact_inboxes"].as_array().expect("links").len();
    assert_eq!(links, 1, "a conversation without source id uses the contact's address again");

    let merged = bridge.post("/contacts", json!({"name": "Ana again", "identifier": "ana-2"})).await;
    let merged = id(&merged["payload"]["contact"]);
    let base = bridge
        .post("/actions/contact_merge", json!({"base_contact_id": id(contact), "mergee_contact_id": merged}))
        .await;
    assert_eq!((id(&base), &base["name"]), (id(contact), &json!("Ana")));
}

/// WAHA's way: the client API for contacts and conversations, the application API for the rest.
#[tokio::test]
async fn a_bridge_of_waha_finds_its_way() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let inbox = bridge.post("/inboxes", json!({"name": "WAHA", "channel": {"type": "api"}})).await;
    let door = inbox["inbox_identifier"].as_str().expect("an identifier").to_owned();
    bridge
        .post(
            "/custom_attribute_definitions",
            json!({"attribute_display_name": "Chat id", "attribute_key": "waha_whatsapp_chat_id",
                   "attribute_display_type": 0, "attribute_model": 1}),
        )
        .await;
    let contact = json!({"name": "Ana", "phone_number": "+5511987654321", "identifier": "551198",
                         "custom_attributes": {"waha_whatsapp_chat_id": "5511987654321@c.us"}});
    let contact = bridge.public("POST", &format!("{door}/contacts"), Some(contact)).await.expect(200);
    let source = contact["source_id"].as_str().expect("one is made").to_owned();
    assert_eq!(contact["pubsub_token"].as_str().map(str::len), Some(24));
    let filter = json!({"payload": [{"attribute_key": "waha_whatsapp_chat_id", "filter_operator": "equal_to",
        "values": ["other@c.us", "5511987654321@c.us"], "query_operator": null, "attribute_model": "standard",
        "custom_attribute_type": ""}]});
    let found = bridge.post("/contacts/filter", filter).await;
    assert_eq!(found["payload"][0]["id"], contact["id"]);
    assert_eq!(found["payload"][0]["contact_inboxes"][0]["source_id"], source.as_str());

    let path = format!("{door}/contacts/{source}/conversations");
    let conversation = bridge.public("POST", &path, Some(json!({"custom_attributes": {"a": 1}}))).await.expect(200);
    assert_eq!((&conversation["status"], &conversation["messages"]), (&json!("open"), &json!([])));
    let number = id(&conversation);
    let from_contact = bridge
        .public("POST", &format!("{path}/{number}/messages"), Some(json!({"content": "Oi", "echo_id": "e1"})))
        .await
        .expect(200);
    assert_eq!((&from_contact["message_type"], &from_contact["echo_id"]), (&json!(0), &json!("e1")));
    let answer = bridge
        .post(&format!("/conversations/{number}/messages"), json!({"content": "Oi!", "message_type": "outgoing"}))
        .await;
    bridge.post(&format!("/conversations/{number}/messages"), json!({"content": "secret", "private": true})).await;
    let shown = bridge.public("GET", &format!("{path}/{number}/messages"), None).await.expect(200);
    let texts: Vec<&str> = shown.as_array().expect("bare").iter().filter_map(|m| m["content"].as_str()).collect();
    assert_eq!(texts, ["Oi", "Oi!"], "the customer sees no note");
    bridge.public("POST", &format!("{path}/{number}/update_last_seen"), None).await.expect_status(200);
    let messages = bridge.get(&format!("/conversations/{number}/messages")).await;
    let read = messages["payload"].as_array().expect("a list").iter().find(|m| m["id"] == answer["id"]);
    assert_eq!(read.expect("there")["status"], "read");
    let failed = json!({"status": "failed", "external_error": "no such number"});
    let other = bridge.post(&format!("/conversations/{number}/messages"), json!({"content": "2"})).await;
    let failed = bridge.patch(&format!("/conversations/{number}/messages/{}", id(&other)), failed).await;
    assert_eq!(
        (&failed["status"], &failed["content_attributes"]["external_error"]),
        (&json!("failed"), &json!("no such number"))
    );
    let closed = bridge.public("POST", &format!("{path}/{number}/toggle_status"), None).await.expect(200);
    assert_eq!(closed["status"], "resolved");
}

#[tokio::test]
async fn an_identity_hash_proves_the_stored_contact_only() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let inbox =
        bridge.post("/inboxes", json!({"name": "Safe", "channel": {"type": "api", "hmac_mandatory": true}})).await;
    let door = inbox["inbox_identifier"].as_str().expect("an identifier").to_owned();
    let token = inbox["hmac_token"].as_str().expect("for administrators").to_owned();
    let hash = |identifier: &str| tieline_core::inboxes::hash(&token, identifier);
    let contacts = format!("{door}/contacts");
    let refused = bridge.public("POST", &contacts, Some(json!({"identifier": "ana"}))).await.expect(401);
    assert_eq!(refused["error"], "HMAC failed: Invalid Identifier Hash Provided");
    let ana = json!({"identifier": "ana", "source_id": "a", "identifier_hash": hash("ana")});
    bridge.public("POST", &contacts, Some(ana)).await.expect(200);
    let leo = json!({"identifier": "leo", "source_id": "l", "identifier_hash": hash("leo")});
    bridge.public("POST", &contacts, Some(leo.clone())).await.expect(200);
    bridge.public("GET", &format!("{contacts}/a?identifier_hash={}", hash("ana")), None).await.expect(200);
    // A good hash of one contact does not open another.
    bridge
        .public("GET", &format!("{contacts}/a?identifier=leo&identifier_hash={}", hash("leo")), None)
        .await
        .expect(401);
    let stolen = json!({"identifier": "leo", "identifier_hash": hash("leo"), "email": "leo@example.com"});
    bridge.public("PATCH", &format!("{contacts}/a"), Some(stolen.clone())).await.expect(401);
    let taken = json!({"identifier": "leo", "source_id": "a", "identifier_hash": hash("leo")});
    bridge.public("POST", &contacts, Some(taken)).await.expect(401);
    bridge.public("PATCH", &format!("{contacts}/l"), Some(stolen)).await.expect(200);
}

#[tokio::test]
async fn the_client_api_keeps_contacts_apart() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    let door = inbox["inbox_identifier"].as_str().expect("an identifier").to_owned();
    for source in ["a", "b"] {
        let body = json!({"source_id": source, "name": source});
        let first = bridge.public("POST", &format!("{door}/contacts"), Some(body.clone())).await.expect(200);
        let again = bridge.public("POST", &format!("{door}/contacts"), Some(body)).await.expect(200);
        assert_eq!(first, again);
    }
    let path = format!("{door}/contacts/a/conversations");
    let number = id(&bridge.public("POST", &path, None).await.expect(200));
    bridge.public("GET", &format!("{path}/{number}"), None).await.expect(200);
    let stranger = bridge.public("GET", &format!("{door}/contacts/b/conversations/{number}"), None).await.expect(404);
    assert_eq!((&stranger["status"], &stranger["error"]), (&json!(404), &json!("Not Found")));
    assert_eq!(bridge.public("GET", &format!("{door}/contacts/b/conversations"), None).await.expect(200), json!([]));
    for unknown in ["nothing", "nothing/contacts/a", &format!("{door}/contacts/c")] {
        bridge.public("GET", unknown, None).await.expect(404);
    }
    let open = bridge.public("GET", &door, None).await;
    assert_eq!(open.headers["access-control-allow-origin"], "*");
    let view = open.expect(200);
    assert_eq!((&view["name"], &view["timezone"]), (&json!("Shop"), &json!("UTC")));
    let preflight = bridge.public("OPTIONS", &format!("{door}/contacts"), None).await;
    assert_eq!(
        (preflight.status.as_u16(), &preflight.headers["access-control-allow-origin"]),
        (204, &"*".parse().expect("a value"))
    );
}

#[tokio::test]
async fn refusals_have_chatwoots_shapes() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    app.tenant("other").await;
    let (stranger, _) = user(&app, "other", "Mallory", Role::Owner).await;
    let (agent, _) = user(&app, "acme", "Caio", Role::Agent).await;
    let with = async |header: &str, token: &str, path: &str| {
        let request = Request::builder().uri(path).header(header, token).body(Body::empty()).expect("a request");
        app.send(request).await
    };
    let none = app.send(Request::builder().uri("/api/v1/profile").body(Body::empty()).expect("a request")).await;
    assert_eq!(none.expect(401)["errors"][0], "You need to sign in or sign up before continuing.");
    let wrong = with("api_access_token", "no", "/api/v1/accounts/1/inboxes").await;
    assert_eq!(wrong.expect(401)["error"], "Invalid Access Token");
    let foreign = with("api_access_token", &stranger, "/api/v1/accounts/1/inboxes").await;
    assert_eq!(foreign.expect(401)["error"], "You are not authorized to access this account");
    let missing = with("api_access_token", &stranger, "/api/v1/accounts/9999/inboxes").await;
    assert_eq!(missing.expect(404)["error"], "Resource could not be found");
    for (header, value) in [
        ("api_access_token", bridge.token.clone()),
        ("Api-Access-Token", bridge.token.clone()),
        ("authorization", format!("Bearer {}", bridge.token)),
    ] {
        let profile = with(header, &value, "/api/v1/profile").await.expect(200);
        assert_eq!((&profile["access_token"], &profile["accounts"][0]["id"]), (&json!(bridge.token), &json!(1)));
    }
    let request =
        Request::builder().method("POST").uri("/api/v1/accounts/1/inboxes").header("api_access_token", &agent);
    let request = request
        .header("content-type", "application/json")
        .body(Body::from("{\"name\":\"x\",\"channel\":{\"type\":\"api\"}}"));
    let low = app.send(request.expect("a request")).await;
    assert_eq!(low.expect(401)["error"], "You are not authorized to do this action");

    bridge
        .post("/contacts", json!({"name": "Ana", "email": "ana@example.com", "phone_number": "+5511987654321"}))
        .await;
    for (body, text, attribute) in [
        (json!({"email": "ANA@example.com"}), "Email has already been taken", "email"),
        (json!({"phone_number": "+5511987654321"}), "Phone number has already been taken", "phone_number"),
        (json!({"phone_number": "11 98765"}), "Phone number should be in e164 format", "phone_number"),
        (json!({"email": "ana"}), "Email Invalid email", "email"),
    ] {
        let refused = bridge.call("POST", "/contacts", Some(body)).await.expect(422);
        assert_eq!((&refused["message"], &refused["attributes"]), (&json!(text), &json!([attribute])));
    }
    for (path, message) in
        [("/contacts/99999", "There is no such contact."), ("/moons", "There is nothing at this path.")]
    {
        let missing = bridge.call("GET", path, None).await.expect(404);
        assert_eq!((&missing["error"], &missing["message"]), (&json!("Resource could not be found"), &json!(message)));
    }
    let refused = bridge
        .call(
            "POST",
            "/inboxes",
            Some(json!({"name": "x", "channel": {"type": "api", "webhook_url": "http://10.0.0.1/x"}})),
        )
        .await;
    assert!(refused.expect(422)["error"].as_str().expect("text").contains("TIELINE_WEBHOOK_ALLOW_HOSTS"));
    bridge.call("GET", "/nothing", None).await.expect(404);
}

#[tokio::test]
async fn agents_see_the_inboxes_they_are_members_of() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (token, number) = user(&app, "acme", "Caio", Role::Agent).await;
    let agent = Bridge { app: &app, token };
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    let contact = bridge.post("/contacts", json!({"name": "Ana", "inbox_id": id(&inbox), "source_id": "a"})).await;
    let opened = json!({"source_id": "a", "inbox_id": id(&inbox)});
    let conversation = bridge.post("/conversations", opened).await;
    assert_eq!(agent.get("/inboxes").await["payload"], json!([]));
    let path = format!("/conversations/{}", id(&conversation));
    let refused = agent.call("GET", &path, None).await.expect(401);
    assert_eq!(refused["error"], "You are not authorized to do this action");
    let members = bridge.post("/inbox_members", json!({"inbox_id": id(&inbox), "user_ids": [number]})).await;
    assert_eq!(members["payload"][0]["id"], number);
    let inboxes = agent.get("/inboxes").await;
    assert_eq!(inboxes["payload"][0]["name"], "Shop");
    assert!(inboxes["payload"][0].get("hmac_token").is_none(), "not for agents");
    agent.get(&path).await;

    let labels = agent.post(&format!("{path}/labels"), json!({"labels": ["vip", "Late"]})).await;
    assert_eq!(labels["payload"], json!(["late", "vip"]));
    let labels = agent.post(&format!("{path}/labels"), json!({"labels": ["vip"]})).await;
    assert_eq!(labels["payload"], json!(["vip"]));
    let assigned = agent.post(&format!("{path}/assignments"), json!({"assignee_id": number.to_string()})).await;
    assert_eq!(assigned["id"], number);
    let counts = agent.get("/conversations/meta").await;
    assert_eq!(counts["meta"], json!({"mine_count": 1, "assigned_count": 1, "unassigned_count": 0, "all_count": 1}));
    let list = agent.get("/conversations?assignee_type=me&labels[]=vip&page=1").await;
    assert_eq!(list["data"]["payload"][0]["id"], conversation["id"]);
    assert_eq!(agent.post(&format!("{path}/assignments"), json!({"assignee_id": 0, "team_id": 3})).await, Value::Null);
    agent.post(&format!("{path}/toggle_priority"), json!({"priority": "high"})).await;
    agent.post(&format!("{path}/custom_attributes"), json!({"custom_attributes": {"order": "7"}})).await;
    let shown = agent.post(&format!("{path}/update_last_seen"), json!({})).await;
    assert_eq!((&shown["priority"], &shown["custom_attributes"]), (&json!("high"), &json!({"order": "7"})));
    assert_eq!(agent.get("/contacts/search?q=ANA").await["payload"][0]["id"], contact["payload"]["contact"]["id"]);
}

#[tokio::test]
async fn a_form_with_files_becomes_a_message() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    let door = inbox["inbox_identifier"].as_str().expect("an identifier").to_owned();
    bridge.public("POST", &format!("{door}/contacts"), Some(json!({"source_id": "a"}))).await.expect(200);
    let opened = bridge.public("POST", &format!("{door}/contacts/a/conversations"), None).await.expect(200);
    let form = |parts: &[(&str, &str)], file: bool| {
        let mut text = String::new();
        for (name, value) in parts {
            text += &format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }
        if file {
            text += "--b\r\nContent-Disposition: form-data; name=\"attachments[]\"; filename=\"a.txt\"\r\n\
                     Content-Type: text/plain\r\n\r\nhello\r\n";
        }
        text + "--b--\r\n"
    };
    let send = async |body: String| {
        let uri = format!("/api/v1/accounts/1/conversations/{}/messages", id(&opened));
        let request = Request::builder().method("POST").uri(uri).header("api_access_token", &bridge.token);
        let request = request.header("content-type", "multipart/form-data; boundary=b").body(Body::from(body));
        app.send(request.expect("a request")).await.expect(200)
    };
    let first = send(form(&[("content", "see"), ("message_type", "incoming"), ("private", "false")], true)).await;
    let file = &first["attachments"][0];
    assert_eq!(
        (&file["file_type"], &file["file_size"], &file["extension"]),
        (&json!("file"), &json!(5), &json!("txt"))
    );
    let url = file["data_url"].as_str().expect("a link").strip_prefix("http://tieline.test").expect("ours").to_owned();
    let bytes = app.send(Request::builder().uri(url).body(Body::empty()).expect("a request")).await;
    assert_eq!(bytes.body, b"hello");
    let attributes = format!("{{\"in_reply_to\":{},\"x\":null}}", id(&first));
    let second =
        send(form(&[("content", "yes"), ("private", "true"), ("content_attributes", &attributes)], false)).await;
    assert_eq!((&second["private"], &second["content_attributes"]["in_reply_to"]), (&json!(true), &first["id"]));
}
