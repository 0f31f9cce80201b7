//! Messages of `/v1`: what they do to their conversation, and what they are refused for.

#[path = "support/app.rs"]
mod app;
#[path = "support/talk.rs"]
mod talk;

use app::App;
use serde_json::{Value, json};
use talk::{assert_sequences, furnish, furnished, hear, log, now, open, path, say, since, strangers};

fn inbound(text: &str, external_id: &str) -> Value {
    json!({"direction": "inbound", "text": text, "externalId": external_id})
}

#[tokio::test]
async fn messages_turn_the_conversation_and_are_told_of() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let mut mark = 0;
    assert_eq!(since(&app, &mut mark).await, ["contact.created", "conversation.created", "message.received"]);
    app.clock.advance_us(1_000_000);
    let reply = app
        .post(
            &path(&conversation, "/messages"),
            json!({"direction": "outbound", "html": "<p>Hi<script>1</script></p>", "externalId": "m1"}),
        )
        .await;
    let message = reply.expect(201);
    assert_eq!(reply.headers["location"], format!("/v1/messages/{}", message["id"].as_str().unwrap()));
    assert_eq!((&message["text"], &message["html"]), (&json!("Hi"), &json!("<p>Hi</p>")));
    assert_eq!(message["author"], json!({"type": "agent", "id": null, "name": "test"}));
    assert_eq!(message["deliveryStatus"], "queued");
    assert_eq!(message["previousConversationId"], Value::Null);
    assert_eq!(since(&app, &mut mark).await, ["message.sent"]);
    let after = now(&app, &conversation).await;
    assert_eq!(after["engagement"], "engaged");
    assert_eq!(after["lastMessageAt"], "2026-05-12T09:30:01.000Z");
    assert_eq!(after["lastContactMessageAt"], "2026-05-12T09:30:00.000Z");
    assert_eq!(after["updatedAt"], "2026-05-12T09:30:01.000Z");
    let heard = hear(&app, &conversation, "Thanks").await;
    assert_eq!(heard["author"]["type"], "contact");
    assert_eq!(heard["author"]["id"], after["contact"]["id"]);
    assert_eq!(now(&app, &conversation).await["engagement"], "pending");
    for kind in ["ai", "automation"] {
        let body = json!({"direction": "outbound", "text": "Soon", "author": {"type": kind, "name": "Robo"}});
        let message = app.post(&path(&conversation, "/messages"), body).await.expect(201);
        assert_eq!(message["author"], json!({"type": kind, "id": null, "name": "Robo"}));
        assert_eq!(now(&app, &conversation).await["engagement"], "pending", "{kind} is no person's reply");
    }
    assert_eq!(since(&app, &mut mark).await, ["message.received", "message.sent", "message.sent"]);
    let event = log(&app).await.into_iter().find(|event| event.1 == "message.sent").unwrap();
    assert_eq!(event.3["message"]["text"], "Hi");
    assert_eq!(event.3["conversation"]["externalReference"], "a");
    assert_eq!(event.3["conversation"]["engagement"], "engaged");
    assert_sequences(&app).await;
}

#[tokio::test]
async fn notes_stay_inside() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let mut mark = 0;
    since(&app, &mut mark).await;
    let before = now(&app, &conversation).await;
    app.clock.advance_us(1_000_000);
    let note = app.post(&path(&conversation, "/notes"), json!({"text": "Ask Bia"})).await.expect(201);
    assert_eq!((note["direction"].as_str(), note["deliveryStatus"].as_str()), (Some("note"), None));
    assert_eq!(since(&app, &mut mark).await, ["note.added"]);
    let after = now(&app, &conversation).await;
    assert_eq!(after["lastMessageAt"], before["lastMessageAt"]);
    assert_eq!(after["engagement"], before["engagement"]);
    let problem = app.post(&path(&conversation, "/notes"), json!({"text": ""})).await.expect(400);
    assert_eq!(problem["errors"][0]["pointer"], "/text");
    app.patch(&path(&conversation, ""), json!({"status": "archived"})).await.expect(200);
    let refused = app.post(&path(&conversation, "/notes"), json!({"text": "late"})).await.expect(409);
    assert_eq!(refused["code"], "conversation_archived");
}

#[tokio::test]
async fn a_known_external_id_is_answered_with_what_is_there() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let other = open(&app, "b", "email").await;
    let to = path(&conversation, "/messages");
    let (one, two) = tokio::join!(app.post(&to, inbound("first", "m1")), app.post(&to, inbound("second", "m1")));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort();
    assert_eq!(statuses, [200, 201]);
    assert_eq!(one.json()["id"], two.json()["id"]);
    let again = app.post(&to, inbound("third", "m1")).await.expect(200);
    assert_eq!(again["id"], one.json()["id"]);
    assert_ne!(again["text"], "third");
    let elsewhere = app.post(&path(&other, "/messages"), inbound("first", "m1")).await.expect(201);
    assert_ne!(elsewhere["id"], again["id"], "ids are unique in their conversation only");
    // Ours with the number of theirs is another message: saying that it is there would swallow it.
    let ours = json!({"direction": "outbound", "text": "Hi", "externalId": "m1"});
    let taken = app.post(&to, ours).await.expect(409);
    assert_eq!((&taken["code"], &taken["messageId"]), (&json!("external_id_exists"), &again["id"]));
    assert_eq!(log(&app).await.iter().filter(|event| event.1 == "message.received").count(), 4);
    assert_sequences(&app).await;
}

#[tokio::test]
async fn who_says_nothing_says_no_message() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let to = path(&conversation, "/messages");
    for (said, pointer) in [
        (json!({"text": " \n"}), "/text"),
        (json!({"html": "<script>x</script>"}), "/html"),
        (json!({"text": "", "html": " "}), "/text"),
        (json!({"attachments": []}), "/text"),
    ] {
        let mut body = said.clone();
        body["direction"] = json!("outbound");
        let problem = app.post(&to, body).await.expect(400);
        let errors = problem["errors"].as_array().unwrap();
        assert_eq!((errors.len(), &errors[0]["pointer"]), (1, &json!(pointer)), "{said}");
    }
    let picture = json!({"direction": "outbound", "html": "<img src=\"https://a.example/i.png\">"});
    assert_eq!(app.post(&to, picture).await.expect(201)["text"], "");
    let mut blank = json!({"externalReference": "b", "subject": "s", "contact": {"email": "b@example.com"}});
    blank["outboundContext"] = json!({"originalMessage": " "});
    let silent = app.post("/v1/conversations/outbound", blank).await.expect(201);
    assert_eq!(app.get(&path(&silent, "/messages")).await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn the_customer_reopens_and_wakes() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    say(&app, &conversation, "Done").await;
    app.patch(&path(&conversation, ""), json!({"status": "done"})).await.expect(200);
    let mut mark = 0;
    since(&app, &mut mark).await;
    say(&app, &conversation, "By the way").await;
    assert_eq!(now(&app, &conversation).await["status"], "done", "what we say does not reopen");
    assert_eq!(since(&app, &mut mark).await, ["message.sent"]);
    hear(&app, &conversation, "Not yet").await;
    assert_eq!(since(&app, &mut mark).await, ["message.received", "conversation.updated", "conversation.reopened"]);
    let after = now(&app, &conversation).await;
    assert_eq!(
        (&after["status"], &after["engagement"], &after["reopenCount"]),
        (&json!("active"), &json!("pending"), &json!(1))
    );
    assert_eq!(after["doneAt"], Value::Null);
    let updated = log(&app).await.into_iter().rfind(|event| event.1 == "conversation.updated").unwrap().3;
    assert_eq!(
        updated["changes"],
        json!({"status": {"from": "done", "to": "active"}, "engagement": {"from": "engaged", "to": "pending"}})
    );
    let until = "2026-05-13T00:00:00.000Z";
    app.patch(&path(&conversation, ""), json!({"status": "snoozed", "snoozedUntil": until})).await.expect(200);
    since(&app, &mut mark).await;
    hear(&app, &conversation, "Here").await;
    assert_eq!(since(&app, &mut mark).await, ["message.received", "conversation.updated"]);
    assert_eq!(now(&app, &conversation).await["snoozedUntil"], Value::Null);
    assert_sequences(&app).await;
}

#[tokio::test]
async fn archived_is_for_good_but_the_customer_is_heard() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    app.patch(&path(&conversation, ""), json!({"status": "archived"})).await.expect(200);
    let mut mark = 0;
    since(&app, &mut mark).await;
    let refused =
        app.post(&path(&conversation, "/messages"), json!({"direction": "outbound", "text": "x"})).await.expect(409);
    assert_eq!(refused["code"], "conversation_archived");
    let sent = app.post(&path(&conversation, "/messages"), inbound("Again me", "m1")).await.expect(201);
    assert_eq!(sent["previousConversationId"], conversation["id"]);
    assert_ne!(sent["conversationId"], conversation["id"]);
    assert_eq!(since(&app, &mut mark).await, ["conversation.created", "message.received"]);
    let new = app.get(&format!("/v1/conversations/{}", sent["conversationId"].as_str().unwrap())).await.expect(200);
    assert_eq!(new["contact"]["id"], conversation["contact"]["id"]);
    assert_eq!(new["previousConversationId"], conversation["id"]);
    assert_eq!((&new["status"], &new["engagement"]), (&json!("active"), &json!("pending")));
    assert_eq!(new["externalReference"], Value::Null, "the archived one keeps it");
    assert!(new["number"].as_i64() > conversation["number"].as_i64());
    assert_eq!(now(&app, &conversation).await["status"], "archived");
    // Asked again after a lost answer, it is not said twice.
    let again = app.post(&path(&conversation, "/messages"), inbound("Again me", "m1")).await.expect(200);
    assert_eq!((&again["id"], &again["previousConversationId"]), (&sent["id"], &conversation["id"]));
    let both = path(&conversation, "/messages");
    let (one, two) = tokio::join!(app.post(&both, inbound("x", "m2")), app.post(&both, inbound("x", "m2")));
    assert_eq!(one.json()["id"], two.json()["id"]);
    // While that one stands, the customer goes on in it; archived in its turn, another follows.
    assert_eq!(one.json()["conversationId"], new["id"]);
    app.patch(&path(&new, ""), json!({"status": "done"})).await.expect(200);
    since(&app, &mut mark).await;
    let on = hear(&app, &conversation, "And on").await;
    assert_eq!((&on["conversationId"], &on["previousConversationId"]), (&new["id"], &conversation["id"]));
    assert_eq!(since(&app, &mut mark).await, ["message.received", "conversation.updated", "conversation.reopened"]);
    app.patch(&path(&new, ""), json!({"status": "archived"})).await.expect(200);
    let (one, two) = tokio::join!(app.post(&both, inbound("x", "m3")), app.post(&both, inbound("y", "m4")));
    assert_eq!(one.json()["conversationId"], two.json()["conversationId"]);
    assert_ne!(one.json()["conversationId"], new["id"]);

    let api = open(&app, "b", "api").await;
    app.patch(&path(&api, ""), json!({"status": "archived"})).await.expect(200);
    since(&app, &mut mark).await;
    let sent = hear(&app, &api, "Bridges cache the number").await;
    assert_eq!((&sent["conversationId"], &sent["previousConversationId"]), (&api["id"], &Value::Null));
    assert_eq!(since(&app, &mut mark).await, ["message.received", "conversation.updated", "conversation.reopened"]);
    assert_eq!(now(&app, &api).await["archivedAt"], Value::Null);
    assert_sequences(&app).await;
}

#[tokio::test]
async fn authors_are_users_of_the_tenant() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let other = app.tenant("other").await;
    furnish(&app, 1).await;
    furnish(&app, other.id.0).await;
    let from = |id: String| json!({"direction": "outbound", "text": "x", "author": {"id": id}});
    let message = app.post(&path(&conversation, "/messages"), from(furnished("usr", 1))).await.expect(201);
    assert_eq!(message["author"], json!({"type": "agent", "id": furnished("usr", 1), "name": "Bia"}));
    let problem = app.post(&path(&conversation, "/messages"), from(furnished("usr", other.id.0))).await.expect(400);
    assert_eq!(problem["errors"][0]["pointer"], "/author/id");
    // The users of a test partition are its live tenant's.
    let test = app.key("acme", tieline_core::keys::token::Mode::Test, &["full_access"]).await;
    let body = json!({"contact": {"externalId": "u1"}});
    let sandboxed = app.call(&test, "POST", "/v1/conversations", &[], Some(body)).await.expect(201);
    app.call(&test, "POST", &path(&sandboxed, "/messages"), &[], Some(from(furnished("usr", 1)))).await.expect(201);
}

#[tokio::test]
async fn every_wrong_member_of_a_message_is_named() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let future = "2026-05-12T09:36:00Z";
    for (body, wrong) in [
        (json!({}), vec!["/direction", "/text"]),
        (
            json!({"direction": "note", "text": 7, "externalId": "", "sentAt": future}),
            vec!["/direction", "/externalId", "/sentAt", "/text"],
        ),
        (json!({"direction": "inbound", "text": null}), vec!["/text"]),
        (json!({"direction": "inbound", "attachments": []}), vec!["/text"]),
        (
            json!({"direction": "inbound", "attachments": vec![json!({"id": furnished("att", 1)}); 21]}),
            vec!["/attachments"],
        ),
        (json!({"direction": "inbound", "text": "x".repeat(65537)}), vec!["/text"]),
        (json!({"direction": "inbound", "text": "x", "author": {"type": "agent"}}), vec!["/author/type"]),
        (json!({"direction": "inbound", "text": "x", "author": {"id": furnished("usr", 1)}}), vec!["/author/id"]),
        (
            json!({"direction": "outbound", "text": "x", "author": {"type": "ai", "id": furnished("usr", 1)}}),
            vec!["/author/id"],
        ),
        (
            json!({"direction": "outbound", "text": "x", "author": {"type": "contact", "name": ""}}),
            vec!["/author/name", "/author/type"],
        ),
    ] {
        let problem = app.post(&path(&conversation, "/messages"), body.clone()).await.expect(400);
        let mut found: Vec<&str> =
            problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        found.sort();
        assert_eq!(found, wrong, "{body}");
    }
    let soon = json!({"direction": "inbound", "text": "x", "sentAt": "2026-05-12T09:35:00Z"});
    let sent = app.post(&path(&conversation, "/messages"), soon).await.expect(201);
    assert_eq!(
        (&sent["sentAt"], &sent["createdAt"]),
        (&json!("2026-05-12T09:35:00.000Z"), &json!("2026-05-12T09:30:00.000Z"))
    );
}

#[tokio::test]
async fn reports_move_forward_only() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let message = say(&app, &conversation, "Hi").await;
    let to = format!("/v1/messages/{}/status", message["id"].as_str().unwrap());
    let before = now(&app, &conversation).await;
    let mut mark = 0;
    since(&app, &mut mark).await;
    app.clock.advance_us(1_000_000);
    for (report, status, reason, told) in [
        (json!({"status": "sent"}), "sent", Value::Null, true),
        (json!({"status": "sent"}), "sent", Value::Null, false),
        (json!({"status": "failed", "reason": "no route"}), "failed", json!("no route"), true),
        (json!({"status": "failed", "reason": "other"}), "failed", json!("no route"), false),
        (json!({"status": "delivered"}), "delivered", Value::Null, true),
        (json!({"status": "failed"}), "delivered", Value::Null, false),
        (json!({"status": "read"}), "read", Value::Null, true),
        (json!({"status": "delivered"}), "read", Value::Null, false),
    ] {
        let after = app.post(&to, report.clone()).await.expect(200);
        assert_eq!((&after["deliveryStatus"], &after["failureReason"]), (&json!(status), &reason), "{report}");
        let expected: &[&str] = if told { &["message.updated"] } else { &[] };
        assert_eq!(since(&app, &mut mark).await, expected, "{report}");
    }
    let last = log(&app).await.pop().unwrap().3;
    assert_eq!(last["changes"], json!({"deliveryStatus": {"from": "delivered", "to": "read"}}));
    assert_eq!(now(&app, &conversation).await["updatedAt"], before["updatedAt"], "a receipt moves nothing in the list");
    let problem = app.post(&to, json!({"status": "queued"})).await.expect(400);
    assert_eq!(problem["errors"][0]["pointer"], "/status");
    let heard = hear(&app, &conversation, "Hi").await;
    let refused =
        app.post(&format!("/v1/messages/{}/status", heard["id"].as_str().unwrap()), json!({"status": "read"})).await;
    assert_eq!(refused.expect(409)["code"], "not_outbound");
    let other = say(&app, &conversation, "Hi").await;
    let to = format!("/v1/messages/{}/status", other["id"].as_str().unwrap());
    let (one, two) = tokio::join!(app.post(&to, json!({"status": "read"})), app.post(&to, json!({"status": "sent"})));
    one.expect(200);
    two.expect(200);
    let shown = app.get(&format!("/v1/messages/{}", other["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(shown["deliveryStatus"], "read");
    assert_sequences(&app).await;
}

#[tokio::test]
async fn messages_are_listed_both_ways() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    for number in 0..6 {
        say(&app, &conversation, &format!("m{number}")).await;
    }
    for (order, expected) in [("oldest", "Hello? m0 m1 m2 m3 m4 m5"), ("newest", "m5 m4 m3 m2 m1 m0 Hello?")] {
        let (mut texts, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                app.get(&path(&conversation, &format!("/messages?order={order}&limit=3{cursor}"))).await.expect(200);
            texts.extend(page["data"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap().to_owned()));
            assert_eq!(page["hasMore"].as_bool().unwrap(), page["nextCursor"].is_string());
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(texts.join(" "), expected);
    }
    let page = app.get(&path(&conversation, "/messages?limit=3")).await.expect(200);
    let wrong_way = format!("/messages?order=newest&cursor={}", page["nextCursor"].as_str().unwrap());
    assert_eq!(app.get(&path(&conversation, &wrong_way)).await.expect(400)["code"], "invalid_cursor");
    assert_eq!(
        app.get(&path(&conversation, "/messages?order=up&limit=0")).await.expect(400)["errors"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn strangers_find_nothing_and_scopes_hold() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let message = say(&app, &conversation, "Hi").await;
    let message = format!("/v1/messages/{}", message["id"].as_str().unwrap());
    let body = json!({"direction": "inbound", "text": "x", "status": "read"});
    let calls = [
        ("GET", path(&conversation, "/messages"), "conversations:read"),
        ("POST", path(&conversation, "/messages"), "conversations:write"),
        ("POST", path(&conversation, "/notes"), "conversations:write"),
        ("GET", message.clone(), "conversations:read"),
        ("POST", format!("{message}/status"), "conversations:write"),
    ];
    let count = log(&app).await.len();
    let strangers = strangers(&app).await;
    let scopeless = app.key("acme", tieline_core::keys::token::Mode::Live, &["tags:write"]).await;
    for (method, path, scope) in &calls {
        let body = || (*method == "POST").then(|| body.clone());
        for key in &strangers {
            app.call(key, method, path, &[], body()).await.expect(404);
        }
        let refused = app.call(&scopeless, method, path, &[], body()).await.expect(403);
        assert_eq!(refused["requiredScope"], *scope, "{method} {path}");
    }
    assert_eq!(log(&app).await.len(), count);
    let sender = app.key("acme", tieline_core::keys::token::Mode::Live, &["messages:send"]).await;
    app.call(&sender, "POST", &path(&conversation, "/messages"), &[], Some(body.clone())).await.expect(201);
    for path in ["/v1/conversations/conv_x/messages", "/v1/messages/msg_01920000000070008000000000000001"] {
        app.get(path).await.expect(404);
    }
}

#[tokio::test]
async fn an_idempotency_key_covers_every_post() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let said = say(&app, &conversation, "Hi").await;
    let status = format!("/v1/messages/{}/status", said["id"].as_str().unwrap());
    for (path, body, code) in [
        (path(&conversation, "/messages"), json!({"direction": "inbound", "text": "x"}), 201),
        (path(&conversation, "/notes"), json!({"text": "x"}), 201),
        (status, json!({"status": "sent"}), 200),
        ("/v1/conversations".into(), json!({"contact": {"externalId": "u1"}}), 201),
    ] {
        let send = |body: Value| app.call(&app.key, "POST", &path, &[("idempotency-key", "k")], Some(body));
        let (one, two) = tokio::join!(send(body.clone()), send(body.clone()));
        assert_eq!(one.expect(code), two.expect(code), "{path}");
        let replayed = |reply: &app::Reply| reply.headers.get("idempotent-replayed").is_some();
        assert!(replayed(&one) != replayed(&two), "{path}");
        let mut other = body.clone();
        other["more"] = json!(1);
        assert_eq!(send(other).await.expect(422)["code"], "idempotency_key_reused", "{path}");
    }
    assert_eq!(app.get(&path(&conversation, "/messages")).await.expect(200)["data"].as_array().unwrap().len(), 4);
}
