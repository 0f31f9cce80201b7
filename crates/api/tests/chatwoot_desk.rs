//! What agents and programs do with conversations, contacts and messages of the API inbox beside listing them, and how every
//! route takes what clients write.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::{App, Reply};
use axum::body::Body;
use axum::http::Request;
use bridge::{Bridge, user};
use serde_json::{Value, json};
use tieline_core::users::Role;

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

/// A conversation of `ana` in an API inbox: the inbox, the contact's number, the conversation's.
async fn talk(bridge: &Bridge<'_>) -> (Value, i64, i64) {
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    let contact = json!({"name": "Ana", "email": "ana@example.com", "inbox_id": id(&inbox), "source_id": "a",
                         "avatar_url": "https://pics.example/ana.png"});
    let contact = id(&bridge.post("/contacts", contact).await["payload"]["contact"]);
    let v = bridge.post("/conversations", json!({"inbox_id": id(&inbox), "source_id": "a"})).await;
    (inbox, contact, id(&v))
}

/// Whether everything of a refusal can be read by clients that know one member only.
#[track_caller]
fn refused(reply: Reply, status: u16) -> Value {
    let body = reply.expect(status);
    assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
    body
}

#[tokio::test]
async fn everything_is_searched() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (_, contact, v) = talk(&bridge).await;
    let said = bridge.post(&format!("/conversations/{v}/messages"), json!({"content": "The Blue parcel"})).await;
    let found = bridge.get("/search?q=blue").await;
    let payload = &found["payload"];
    assert_eq!((&payload["messages"][0]["id"], &payload["contacts"]), (&said["id"], &json!([])));
    assert_eq!(payload["articles"], json!([]));
    let found = bridge.get("/search/contacts?q=ANA@").await;
    assert_eq!(id(&found["payload"]["contacts"][0]), contact);
    let found = bridge.get("/search/conversations?q=ana").await;
    let hit = &found["payload"]["conversations"][0];
    assert_eq!((id(hit), &hit["contact"]["name"], &hit["inbox"]["name"]), (v, &json!("Ana"), &json!("Shop")));
    assert_eq!(id(&bridge.get(&format!("/search/conversations?q={v}")).await["payload"]["conversations"][0]), v);
    let found = bridge.get("/search/messages?q=BLUE&page=2").await;
    assert_eq!(found["payload"], json!({"messages": []}));
    let found = bridge.get("/conversations/search?q=blue").await;
    let hit = &found["payload"][0];
    assert_eq!((id(hit), &hit["messages"][0]["content"]), (v, &json!("The Blue parcel")));
    assert_eq!((&found["meta"]["all_count"], &hit["account_id"]), (&json!(1), &json!(1)));

    let (token, _) = user(&app, "acme", "Caio", Role::Agent).await;
    let agent = Bridge { app: &app, token };
    let found = agent.get("/search?q=blue").await;
    assert_eq!(found["payload"]["messages"], json!([]), "not an agent's without the inbox");
    assert_eq!(agent.get("/search/conversations?q=ana").await["payload"]["conversations"], json!([]));
    assert_eq!(agent.get("/conversations/search?q=blue").await["payload"], json!([]));
    refused(bridge.call("GET", "/search/anything?q=x", None).await, 404);
}

#[tokio::test]
async fn canned_responses_and_notes_are_kept() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let made = bridge.post("/canned_responses", json!({"short_code": "hi", "content": "Hello!"})).await;
    assert_eq!((&made["short_code"], &made["account_id"]), (&json!("hi"), &json!(1)));
    assert!(made["created_at"].as_str().expect("ISO").ends_with('Z'));
    let wrapped = json!({"canned_response": {"short_code": "bye", "content": "Good bye"}});
    let bye = id(&bridge.post("/canned_responses", wrapped).await);
    let list = bridge.get("/canned_responses").await;
    let codes: Vec<&str> = list.as_array().expect("bare").iter().filter_map(|c| c["short_code"].as_str()).collect();
    assert_eq!(codes, ["bye", "hi"]);
    assert_eq!(bridge.get("/canned_responses?search=HELLO").await[0]["id"], made["id"]);
    for (body, text) in [
        (json!({"short_code": "hi", "content": "x"}), "Short code has already been taken"),
        (json!({"short_code": "", "content": "x"}), "Short code can't be blank"),
        (json!({"short_code": "y"}), "Content can't be blank"),
    ] {
        let body = refused(bridge.call("POST", "/canned_responses", Some(body)).await, 422);
        assert_eq!(body["message"], text);
    }
    let changed = bridge.patch(&format!("/canned_responses/{bye}"), json!({"content": "Bye"})).await;
    assert_eq!((&changed["short_code"], &changed["content"]), (&json!("bye"), &json!("Bye")));
    refused(bridge.call("PUT", &format!("/canned_responses/{bye}"), Some(json!({"short_code": "hi"}))).await, 422);
    bridge.call("DELETE", &format!("/canned_responses/{bye}"), None).await.expect_status(200);
    refused(bridge.call("DELETE", &format!("/canned_responses/{bye}"), None).await, 404);

    let (_, contact, _) = talk(&bridge).await;
    let path = format!("/contacts/{contact}/notes");
    let note = bridge.post(&path, json!({"content": "likes blue"})).await;
    assert_eq!((&note["contact_id"], &note["user"]["name"]), (&json!(contact), &json!("Bea")));
    assert!(note["created_at"].is_i64());
    let one = format!("{path}/{}", id(&note));
    assert_eq!(bridge.patch(&one, json!({"content": "likes red"})).await["content"], "likes red");
    assert_eq!(bridge.get(&path).await[0]["content"], "likes red");
    refused(bridge.call("POST", &path, Some(json!({"content": " "}))).await, 422);
    // A merge keeps notes and labels.
    let other = bridge.post("/contacts", json!({"name": "Ana 2", "identifier": "ana-2"})).await;
    let other = id(&other["payload"]["contact"]);
    bridge.post(&format!("/contacts/{contact}/labels"), json!({"labels": ["vip"]})).await;
    bridge.post("/actions/contact_merge", json!({"base_contact_id": other, "mergee_contact_id": contact})).await;
    assert_eq!(bridge.get(&format!("/contacts/{other}/notes")).await[0]["id"], note["id"]);
    assert_eq!(bridge.get(&format!("/contacts/{other}/labels")).await["payload"], json!(["vip"]));
    let avatar = bridge.call("DELETE", &format!("/contacts/{other}/avatar"), None).await.expect(200);
    assert_eq!(avatar["payload"]["thumbnail"], "");
    let one = format!("/contacts/{other}/notes/{}", id(&note));
    bridge.call("DELETE", &one, None).await.expect_status(200);
    refused(bridge.call("GET", &one, None).await, 404);

    app.tenant("other").await;
    let (token, _) = user(&app, "other", "Sten", Role::Owner).await;
    let stranger = Bridge { app: &app, token };
    refused(stranger.call("GET", "/canned_responses", None).await, 401);
    let request = Request::builder().uri("/api/v1/profile").header("api_access_token", &stranger.token);
    let account = app.send(request.body(Body::empty()).expect("a request")).await.expect(200)["account_id"].clone();
    for path in [format!("canned_responses/{}", id(&made)), format!("contacts/{other}/notes/1")] {
        let path = format!("/api/v1/accounts/{account}/{path}");
        refused(send(&app, &stranger.token, "DELETE", &path, &json!({}), Spelling::Json).await, 404);
    }
    assert_eq!(bridge.get("/canned_responses").await[0]["id"], made["id"]);
}

#[tokio::test]
async fn labels_and_definitions_are_changed() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (_, _, v) = talk(&bridge).await;
    let label = bridge.post("/labels", json!({"title": "VIP", "color": "#ff0000", "show_on_sidebar": false})).await;
    assert_eq!(
        (&label["title"], &label["color"], &label["show_on_sidebar"]),
        (&json!("vip"), &json!("#ff0000"), &json!(false))
    );
    bridge.post(&format!("/conversations/{v}/labels"), json!({"labels": ["vip"]})).await;
    let path = format!("/labels/{}", id(&label));
    let changed = bridge.patch(&path, json!({"label": {"title": "gold", "description": "our best"}})).await;
    assert_eq!((&changed["title"], &changed["color"]), (&json!("gold"), &json!("#ff0000")));
    assert_eq!(bridge.get(&format!("/conversations/{v}/labels")).await["payload"], json!(["gold"]));
    bridge.post("/labels", json!({"title": "late"})).await;
    let taken = refused(bridge.call("PUT", &path, Some(json!({"title": "late"}))).await, 422);
    assert_eq!(taken["message"], "Title has already been taken");

    // Labels have no trees here: what hung below one that is deleted hangs where that hung.
    let below = app.post("/v1/tags", json!({"name": "solid"})).await.expect(201);
    let gold = app.get("/v1/tags").await.expect(200)["data"].as_array().unwrap().clone();
    let gold = gold.iter().find(|tag| tag["slug"] == "gold").unwrap().clone();
    let at = format!("/v1/tags/{}", below["id"].as_str().unwrap());
    app.patch(&at, json!({"parentId": gold["id"]})).await.expect(200);
    app.delete(&format!("/v1/tags/{}", gold["id"].as_str().unwrap())).await.expect(409);
    assert!(bridge.call("DELETE", &path, None).await.status.is_success());
    assert_eq!(app.get(&at).await.expect(200)["parentId"], Value::Null);

    let body = json!({"attribute_display_name": "Price", "attribute_key": "price", "attribute_display_type": "currency",
                      "attribute_model": "conversation_attribute", "attribute_description": "in reais"});
    let made = bridge.post("/custom_attribute_definitions", body).await;
    assert_eq!(
        (&made["attribute_display_type"], &made["attribute_description"]),
        (&json!("currency"), &json!("in reais"))
    );
    let path = format!("/custom_attribute_definitions/{}", id(&made));
    let body = json!({"attribute_display_name": "Total", "attribute_display_type": "percent", "attribute_key": "x"});
    let changed = bridge.patch(&path, body).await;
    assert_eq!(
        (&changed["attribute_display_name"], &changed["attribute_display_type"], &changed["attribute_key"]),
        (&json!("Total"), &json!("percent"), &json!("price"))
    );
    let (token, _) = user(&app, "acme", "Caio", Role::Agent).await;
    let agent = Bridge { app: &app, token };
    refused(agent.call("PATCH", &path, Some(json!({"attribute_display_name": "x"}))).await, 401);
    refused(agent.call("PATCH", &format!("/labels/{}", id(&label)), Some(json!({"title": "x"}))).await, 401);
}

#[tokio::test]
async fn a_conversation_is_muted_marked_unread_and_deleted() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (_, contact, v) = talk(&bridge).await;
    let of = |what: &str| format!("/conversations/{v}{what}");
    bridge.post(&of("/messages"), json!({"content": "hello", "message_type": "incoming"})).await;
    app.clock.advance_us(1_000_000);
    bridge.post(&of("/update_last_seen"), json!({})).await;
    assert_eq!(bridge.get(&of("")).await["unread_count"], 0);
    assert_eq!(bridge.post(&of("/unread"), json!({})).await["unread_count"], 1);

    bridge.call("POST", &of("/mute"), None).await.expect_status(200);
    let shown = bridge.get(&of("")).await;
    assert_eq!((&shown["status"], &shown["muted"]), (&json!("resolved"), &json!(true)));
    assert_eq!(bridge.get(&format!("/contacts/{contact}")).await["payload"]["blocked"], true);
    bridge.call("POST", &of("/unmute"), None).await.expect_status(200);
    let shown = bridge.get(&of("")).await;
    assert_eq!((&shown["status"], &shown["muted"]), (&json!("resolved"), &json!(false)));

    let transcript = refused(bridge.call("POST", &of("/transcript"), Some(json!({"email": "a@b.example"}))).await, 422);
    assert!(transcript["error"].as_str().expect("text").contains("Mail is not set up"));
    refused(bridge.call("POST", &of("/transcript"), Some(json!({}))).await, 422);

    let patched = bridge.patch(&of(""), json!({"priority": "high", "custom_attributes": {"a": 1}})).await;
    assert_eq!((&patched["priority"], &patched["custom_attributes"]), (&json!("high"), &json!({"a": 1})));
    let patched = bridge.patch(&of(""), json!({"custom_attributes": {"b": 2}, "status": "open"})).await;
    assert_eq!((&patched["custom_attributes"], &patched["priority"]), (&json!({"a": 1, "b": 2}), &json!("high")));

    let form = "--b\r\nContent-Disposition: form-data; name=\"attachments[]\"; filename=\"a.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
    let request = Request::builder().method("POST").uri(format!("/api/v1/accounts/1{}", of("/messages")));
    let request = request.header("api_access_token", &bridge.token);
    let request = request.header("content-type", "multipart/form-data; boundary=b").body(Body::from(form));
    let sent = app.send(request.expect("a request")).await.expect(200);
    let files = bridge.get(&of("/attachments")).await;
    assert_eq!((&files["meta"]["total_count"], &files["payload"][0]["message_id"]), (&json!(1), &sent["id"]));
    let file = &files["payload"][0];
    assert_eq!((&file["file_size"], &file["sender"]["name"]), (&json!(5), &json!("Bea")));
    assert!(file["created_at"].is_i64() && file["data_url"].as_str().expect("a link").starts_with("http"));

    let (token, number) = user(&app, "acme", "Caio", Role::Agent).await;
    let agent = Bridge { app: &app, token };
    let inbox = bridge.get(&of("")).await["inbox_id"].clone();
    bridge.post("/inbox_members", json!({"inbox_id": inbox, "user_ids": [number]})).await;
    refused(agent.call("DELETE", &of(""), None).await, 401);
    bridge.post(&of("/labels"), json!({"labels": ["vip"]})).await;
    let snooze = json!({"status": "snoozed", "snoozed_until": app.clock.now() / 1_000_000 + 3600});
    bridge.post(&of("/toggle_status"), snooze).await;
    bridge.call("DELETE", &of(""), None).await.expect_status(200);
    for what in ["", "/messages", "/labels", "/attachments"] {
        refused(bridge.call("GET", &of(what), None).await, 404);
    }
    let counts = bridge.get("/conversations/meta?status=all").await;
    assert_eq!(counts["meta"]["all_count"], 0);
    let events = app.get("/v1/events?limit=100").await.expect(200);
    let deleted =
        events["data"].as_array().expect("a list").iter().find(|event| event["event"] == "conversation.deleted");
    assert_eq!(deleted.expect("told")["data"]["conversation"]["number"], v);
    // The contact and its address stay, and a new conversation can be opened.
    bridge.post("/conversations", json!({"inbox_id": inbox, "source_id": "a"})).await;
    refused(bridge.call("DELETE", "/conversations/999999", None).await, 404);
}

#[tokio::test]
async fn messages_are_retried_edited_and_ordered() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (_, _, v) = talk(&bridge).await;
    let path = format!("/conversations/{v}/messages");
    let first = bridge.post(&path, json!({"content": "one", "source_id": "x1"})).await;
    let failed = json!({"status": "failed", "external_error": "no route"});
    let one = format!("{path}/{}", id(&first));
    assert_eq!(bridge.patch(&one, failed).await["status"], "failed");
    let retried = bridge.post(&format!("{one}/retry"), json!({})).await;
    assert_eq!((&retried["status"], &retried["content_attributes"]), (&json!("sent"), &json!({})));
    let edited = bridge.patch(&one, json!({"content": "uno"})).await;
    assert_eq!(edited["content"], "uno");
    let events = app.get("/v1/events?limit=100").await.expect(200);
    let updates: Vec<&Value> =
        events["data"].as_array().expect("a list").iter().filter(|event| event["event"] == "message.updated").collect();
    assert_eq!(updates[1]["data"]["changes"]["deliveryStatus"], json!({"from": "failed", "to": "queued"}));
    assert_eq!(updates[2]["data"]["changes"]["text"], json!({"from": "one", "to": "uno"}));
    let incoming = bridge.post(&path, json!({"content": "two", "message_type": "incoming"})).await;
    refused(bridge.call("POST", &format!("{path}/{}/retry", id(&incoming)), None).await, 422);

    // Both names of the message that is answered, whichever is given.
    for attributes in [json!({"in_reply_to": id(&first)}), json!({"in_reply_to_external_id": "x1"})] {
        let answer = bridge.post(&path, json!({"content": "re", "content_attributes": attributes})).await;
        let expected = json!({"in_reply_to": id(&first), "in_reply_to_external_id": "x1"});
        assert_eq!(answer["content_attributes"], expected);
    }
    let answer = bridge.post(&path, json!({"content": "re", "content_attributes": {"in_reply_to": 1}})).await;
    assert_eq!(answer["content_attributes"], json!({"in_reply_to": null, "in_reply_to_external_id": null}));

    // A late message stands where its sender says.
    app.clock.advance_us(3_600_000_000);
    let at = app.clock.now() / 1_000_000 - 7200;
    let late = bridge.post(&path, json!({"content": "early", "external_created_at": at})).await;
    assert_eq!(late["created_at"], at);
    bridge.post(&path, json!({"content": "note", "private": true})).await;
    let list = bridge.get(&path).await;
    let texts: Vec<&str> =
        list["payload"].as_array().expect("a list").iter().filter_map(|m| m["content"].as_str()).collect();
    assert_eq!((texts[0], texts[texts.len() - 1]), ("early", "note"));
    for _ in 0..25 {
        bridge.post(&path, json!({"content": "note", "private": true})).await;
    }
    let said = bridge.get(&format!("{path}?filter_internal_messages=true")).await;
    assert_eq!(said["payload"].as_array().expect("a list").len(), 6, "notes take no place on the page");

    for (body, text) in [
        (json!({"content_type": "input_select"}), "Items should be present."),
        (json!({"content_type": "cards", "content_attributes": {"items": []}}), "At least one item is required."),
        (
            json!({"content_type": "input_select", "content_attributes": {"items": [{"title": "a", "colour": "b"}]}}),
            "contains invalid keys for items : [\"colour\"]",
        ),
        (
            json!({"content_type": "cards", "content_attributes": {"items": [{"title": "a", "actions": [{"link": "b"}]}]}}),
            "contains invalid keys for actions under items : [\"link\"]",
        ),
    ] {
        let body = refused(bridge.call("POST", &path, Some(body)).await, 422);
        assert_eq!(body["error"], format!("Validation failed: Content attributes {text}"));
    }
    let items = json!({"items": [{"title": "Yes", "value": "y"}]});
    bridge.post(&path, json!({"content": "?", "content_type": "input_select", "content_attributes": items})).await;
}

#[tokio::test]
async fn a_conversation_takes_so_many_messages_a_minute() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (inbox, _, v) = talk(&bridge).await;
    let path = format!("/conversations/{v}/messages");
    for _ in 0..200 {
        bridge.post(&path, json!({"content": "x"})).await;
    }
    let full = refused(bridge.call("POST", &path, Some(json!({"content": "x"}))).await, 422);
    assert_eq!(full["error"], "Too many messages");
    let door = inbox["inbox_identifier"].as_str().expect("an identifier");
    let public = format!("{door}/contacts/a/conversations/{v}/messages");
    refused(bridge.public("POST", &public, Some(json!({"content": "x"}))).await, 422);
    app.clock.advance_us(60_000_000);
    bridge.post(&path, json!({"content": "x"})).await;
}

#[tokio::test]
async fn customers_say_how_it_was() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (inbox, _, v) = talk(&bridge).await;
    let uuid = bridge.get(&format!("/conversations/{v}")).await["uuid"].as_str().expect("a uuid").to_owned();
    let survey = async |method: &str, uuid: &str, body: Option<Value>| {
        let request = Request::builder().method(method).uri(format!("/public/api/v1/csat_survey/{uuid}"));
        let request = request.header("content-type", "application/json");
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        app.send(request.body(body).expect("a request")).await
    };
    refused(survey("GET", &uuid, None).await, 404);
    refused(survey("GET", "no-uuid", None).await, 404);
    let path = format!("/conversations/{v}/messages");
    let ask = json!({"content": "How was it?", "content_type": "input_csat", "message_type": "template"});
    let asked = bridge.post(&path, ask).await;
    let shown = survey("GET", &uuid, None).await;
    assert_eq!(shown.headers["access-control-allow-origin"], "*");
    let shown = shown.expect(200);
    assert_eq!(
        (&shown["id"], &shown["csat_survey_response"], &shown["display_type"], &shown["inbox_name"]),
        (&asked["id"], &Value::Null, &json!("emoji"), &json!("Shop"))
    );
    let answer = |rating: i64, text: &str| {
        let response = json!({"rating": rating, "feedback_message": text});
        json!({"message": {"submitted_values": {"csat_survey_response": response}}})
    };
    let wrong = refused(survey("PUT", &uuid, Some(answer(6, ""))).await, 422);
    assert_eq!(wrong["attributes"], json!(["rating"]));
    refused(survey("PUT", &uuid, Some(json!({}))).await, 422);
    let answered = survey("PUT", &uuid, Some(answer(4, "quick"))).await.expect(200);
    assert_eq!(answered["csat_survey_response"]["rating"], 4);
    let messages = bridge.get(&path).await;
    let stored = &messages["payload"][0]["content_attributes"]["submitted_values"]["csat_survey_response"];
    assert_eq!(stored, &json!({"rating": 4, "feedback_message": "quick"}));

    let door = inbox["inbox_identifier"].as_str().expect("an identifier");
    let public = format!("{door}/contacts/a/conversations/{v}/messages/{}", id(&asked));
    let values = json!({"submitted_values": {"csat_survey_response": {"rating": 5}}});
    let shown = bridge.public("PATCH", &public, Some(values.clone())).await.expect(200);
    assert_eq!(shown["content_attributes"]["submitted_values"]["csat_survey_response"]["rating"], 5);
    assert_eq!(survey("GET", &uuid, None).await.expect(200)["csat_survey_response"]["rating"], 5);
    app.clock.advance_us(15 * 24 * 3600 * 1_000_000);
    let late = refused(survey("PUT", &uuid, Some(answer(1, ""))).await, 422);
    assert_eq!(late["error"], "You cannot update the CSAT survey after 14 days");
    refused(bridge.public("PATCH", &public, Some(values)).await, 422);
}

/// How a client writes a body.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Json,
    Form,
    Multipart,
}

/// Names and texts of a body as forms write them.
fn flat(prefix: &str, value: &Value, parts: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                flat(&if prefix.is_empty() { key.clone() } else { format!("{prefix}[{key}]") }, value, parts);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| flat(&format!("{prefix}[]"), value, parts)),
        Value::String(text) => parts.push((prefix.to_owned(), text.clone())),
        other => parts.push((prefix.to_owned(), other.to_string())),
    }
}

async fn send(app: &App, token: &str, method: &str, path: &str, body: &Value, spelling: Spelling) -> Reply {
    let request = Request::builder().method(method).uri(path).header("api_access_token", token);
    let mut parts = Vec::new();
    flat("", body, &mut parts);
    let request = match spelling {
        Spelling::Json => request.header("content-type", "application/json").body(Body::from(body.to_string())),
        Spelling::Form => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(&parts);
            request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(form.finish()))
        }
        Spelling::Multipart => {
            let part = |(name, value): &(String, String)| {
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let text = parts.iter().map(part).collect::<String>() + "--b--\r\n";
            request.header("content-type", "multipart/form-data; boundary=b").body(Body::from(text))
        }
    };
    app.send(request.expect("a request")).await
}

/// Every route with a body takes JSON, forms and multipart, numbers as texts, a wrapper where there is one, a slash at its end
/// and `.json`; PUT is PATCH; and whatever is refused says so under both names.
#[tokio::test]
async fn every_route_takes_every_spelling() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (inbox, contact, v) = talk(&bridge).await;
    let (inbox_id, door) = (id(&inbox), inbox["inbox_identifier"].as_str().expect("an identifier").to_owned());
    let me = id(&bridge.get("/agents").await[0]);
    let team = id(&bridge.post("/teams", json!({"name": "night"})).await);
    let label = id(&bridge.post("/labels", json!({"title": "vip"})).await);
    let canned = id(&bridge.post("/canned_responses", json!({"short_code": "a", "content": "b"})).await);
    let note = id(&bridge.post(&format!("/contacts/{contact}/notes"), json!({"content": "n"})).await);
    let message = id(&bridge.post(&format!("/conversations/{v}/messages"), json!({"content": "m"})).await);
    let body =
        json!({"attribute_display_name": "N", "attribute_key": "n", "attribute_display_type": 0, "attribute_model": 0});
    let definition = id(&bridge.post("/custom_attribute_definitions", body).await);
    let a = "/api/v1/accounts/1";
    let of = |what: &str| format!("{a}/conversations/{v}/{what}");
    let public = format!("/public/api/v1/inboxes/{door}/contacts");
    // Method, path, body with numbers as texts, the wrapper that forms need.
    let table: Vec<(&str, String, Value, Option<&str>)> = vec![
        ("POST", format!("{a}/contacts/filter"), json!({}), None),
        (
            "POST",
            format!("{a}/contact_inboxes/filter"),
            json!({"inbox_id": inbox_id.to_string(), "source_id": "a"}),
            None,
        ),
        ("PATCH", format!("{a}/contacts/{contact}"), json!({"name": "Ana", "blocked": "false"}), None),
        ("POST", format!("{a}/contacts/{contact}/labels"), json!({"labels": ["vip"]}), None),
        ("POST", format!("{a}/contacts/{contact}/notes"), json!({"content": "n"}), Some("note")),
        ("PATCH", format!("{a}/contacts/{contact}/notes/{note}"), json!({"content": "m"}), Some("note")),
        (
            "POST",
            format!("{a}/contacts/{contact}/contact_inboxes"),
            json!({"inbox_id": inbox_id.to_string(), "source_id": "a"}),
            None,
        ),
        (
            "POST",
            format!("{a}/contacts/{contact}/destroy_custom_attributes"),
            json!({"custom_attributes": ["x"]}),
            None,
        ),
        (
            "POST",
            format!("{a}/conversations"),
            json!({"inbox_id": inbox_id.to_string(), "contact_id": contact.to_string()}),
            None,
        ),
        ("POST", format!("{a}/conversations/filter"), json!({}), None),
        ("PATCH", format!("{a}/conversations/{v}"), json!({"priority": "low"}), None),
        ("POST", of("toggle_status"), json!({"status": "open"}), None),
        ("POST", of("toggle_priority"), json!({"priority": "high"}), None),
        ("POST", of("toggle_typing_status"), json!({"typing_status": "on"}), None),
        ("POST", of("assignments"), json!({"assignee_id": me.to_string()}), None),
        ("POST", of("assignments"), json!({"team_id": team.to_string()}), None),
        ("POST", of("labels"), json!({"labels": ["vip"]}), None),
        ("POST", of("custom_attributes"), json!({"custom_attributes": {"a": "1"}}), None),
        ("POST", of("update_last_seen"), json!({}), None),
        ("POST", of("unread"), json!({}), None),
        ("POST", of("unmute"), json!({}), None),
        ("POST", of("participants"), json!({"user_ids": [me.to_string()]}), None),
        ("PATCH", of("participants"), json!({"user_ids": [me.to_string()]}), None),
        ("POST", of("messages"), json!({"content": "x", "private": "true", "content_attributes": "{\"a\":1}"}), None),
        ("PATCH", format!("{}/{message}", of("messages")), json!({"status": "delivered"}), None),
        ("POST", format!("{}/{message}/retry", of("messages")), json!({}), None),
        ("PATCH", format!("{a}/labels/{label}"), json!({"title": "vip", "color": "#000000"}), Some("label")),
        ("PATCH", format!("{a}/teams/{team}"), json!({"description": "d"}), Some("team")),
        ("PATCH", format!("{a}/canned_responses/{canned}"), json!({"content": "c"}), Some("canned_response")),
        (
            "PATCH",
            format!("{a}/custom_attribute_definitions/{definition}"),
            json!({"attribute_display_name": "M"}),
            Some("custom_attribute_definition"),
        ),
        (
            "PATCH",
            format!("{a}/inboxes/{inbox_id}"),
            json!({"name": "Shop", "channel": {"hmac_mandatory": "false"}}),
            None,
        ),
        (
            "POST",
            format!("{a}/inbox_members"),
            json!({"inbox_id": inbox_id.to_string(), "user_ids": [me.to_string()]}),
            None,
        ),
        (
            "PATCH",
            format!("{a}/inbox_members"),
            json!({"inbox_id": inbox_id.to_string(), "user_ids": [me.to_string()]}),
            None,
        ),
        ("POST", public.clone(), json!({"source_id": "a"}), None),
        ("PATCH", format!("{public}/a"), json!({"name": "Ana"}), None),
        ("POST", format!("{public}/a/conversations"), json!({"custom_attributes": {"a": "1"}}), None),
        ("POST", format!("{public}/a/conversations/{v}/messages"), json!({"content": "x", "echo_id": "7"}), None),
        ("POST", format!("{public}/a/conversations/{v}/toggle_typing"), json!({"typing_status": "on"}), None),
    ];
    for (method, path, body, wrapper) in &table {
        for spelling in [Spelling::Json, Spelling::Form, Spelling::Multipart] {
            let methods: &[&str] = if *method == "PATCH" { &["PATCH", "PUT"] } else { &[method] };
            for method in methods {
                let mut bodies = vec![wrapper.map_or(body.clone(), |name| json!({name: body}))];
                if matches!(spelling, Spelling::Json) {
                    bodies.push(body.clone());
                }
                for body in &bodies {
                    for path in [path.clone(), format!("{path}/"), format!("{path}.json")] {
                        let reply = send(&app, &bridge.token, method, &path, body, spelling).await;
                        let text = String::from_utf8_lossy(&reply.body);
                        assert_eq!(reply.status.as_u16(), 200, "{method} {path} {spelling:?} {body}: {text}");
                    }
                }
            }
        }
        // Without a token, with none that is known, and of a record that is not there.
        if path.starts_with(a) {
            refused(send(&app, "nobody's", method, path, body, Spelling::Json).await, 401);
        }
        let missing = path.replace(&format!("/conversations/{v}"), "/conversations/424242").replace(&door, "nothing");
        let missing = missing.replace(&format!("/contacts/{contact}"), "/contacts/424242");
        if missing != *path {
            refused(send(&app, &bridge.token, method, &missing, body, Spelling::Json).await, 404);
        }
        // Each minute takes so many messages.
        app.clock.advance_us(60_000_000);
    }
    for path in ["/contacts", "/conversations", "/labels", "/agents", "/teams", "/inboxes", "/canned_responses"] {
        for path in [format!("{a}{path}"), format!("{a}{path}/"), format!("{a}{path}.json")] {
            send(&app, &bridge.token, "GET", &path, &json!({}), Spelling::Json).await.expect(200);
        }
    }
    let broken = Request::builder().method("POST").uri(of("labels")).header("api_access_token", &bridge.token);
    let broken = broken.header("content-type", "application/json").body(Body::from("{"));
    refused(app.send(broken.expect("a request")).await, 400);
}
