//! Webhook endpoints of `/v1` (contract D4): managing them, their secrets, and what they may be called.

#[path = "support/app.rs"]
mod app;
#[path = "support/courier.rs"]
mod courier;

use app::App;
use courier::{Courier, Received, Receiver};
use serde_json::{Value, json};
use tieline_core::keys::token::Mode;
use tieline_core::tenants;
use tieline_delivery::sign::{self, PreparedSecret};

async fn add(app: &App, name: &str, url: &str) -> Value {
    app.post("/v1/webhooks", json!({"name": name, "url": url, "events": ["*"]})).await.expect(201)
}

fn path(webhook: &Value, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", webhook["id"].as_str().unwrap())
}

fn conversation(reference: &str) -> Value {
    json!({"externalReference": reference, "subject": "s", "contact": {"email": "ana@example.com"},
        "outboundContext": {"originalMessage": "Hello"}})
}

fn verifies(secret: &str, received: &Received, app: &App) -> bool {
    let signed = sign::Received {
        id: received.header("webhook-id"),
        timestamp: received.header("webhook-timestamp"),
        signature: received.header("webhook-signature"),
        body: &received.body,
    };
    sign::verify(&[PreparedSecret::new(secret)], &signed, app.clock.now() / 1_000_000).is_ok()
}

#[tokio::test]
async fn a_webhook_is_listed_shown_changed_and_deleted() {
    let app = App::new().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let made = add(&app, &format!("hook {number}"), "https://example.com/in").await;
        ids.insert(0, made["id"].clone());
    }
    let first = app.get("/v1/webhooks?limit=2").await.expect(200);
    assert_eq!(first["hasMore"], true);
    let mut seen: Vec<Value> = first["data"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    let mut cursor = first["nextCursor"].clone();
    while let Some(text) = cursor.as_str() {
        let page = app.get(&format!("/v1/webhooks?limit=2&cursor={text}")).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|row| row["id"].clone()));
        cursor = page["nextCursor"].clone();
    }
    assert_eq!(seen, ids, "newest first, each once");

    let path = format!("/v1/webhooks/{}", ids[0].as_str().unwrap());
    let patch = json!({"name": " renamed ", "description": "what for", "url": "https://example.com/other",
        "events": ["tag.added", "message.sent", "tag.added"], "maxAttempts": 3, "headerPrefix": "X-Shop",
        "inboxIds": ["inb_01920000000070008000000000000001"], "unknown": 1});
    let changed = app.patch(&path, patch).await.expect(200);
    assert_eq!(changed["name"], "renamed");
    assert_eq!(changed["events"], json!(["message.sent", "tag.added"]));
    assert_eq!(changed["inboxIds"], json!(["inb_01920000000070008000000000000001"]));
    assert_eq!((&changed["maxAttempts"], &changed["headerPrefix"]), (&json!(3), &json!("X-Shop")));
    assert_eq!(changed["missedEvents"], Value::Null);
    let kept = app.patch(&path, json!({"description": null, "inboxIds": null})).await.expect(200);
    assert_eq!((&kept["description"], &kept["inboxIds"]), (&Value::Null, &Value::Null));
    assert_eq!(kept["name"], "renamed", "what is not mentioned stays");
    let put = app.call(&app.key, "PUT", &path, &[], Some(json!({"name": "by put"}))).await.expect(200);
    assert_eq!((&put["name"], &put["url"]), (&json!("by put"), &json!("https://example.com/other")));
    let mut shown = app.get(&path).await.expect(200);
    shown["missedEvents"] = Value::Null;
    assert_eq!(shown, put);

    app.delete(&path).await.expect(204);
    for method in ["GET", "DELETE"] {
        app.call(&app.key, method, &path, &[], None).await.expect(404);
    }
    app.patch(&path, json!({"name": "x"})).await.expect(404);
    assert_eq!(app.get("/v1/webhooks").await.expect(200)["data"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn wrong_changes_are_named_all_at_once_and_change_nothing() {
    let app = App::new().await;
    let made = add(&app, "hook", "https://example.com/in").await;
    let wrong = json!({"name": "", "description": 7, "url": "https://10.0.0.1/", "events": ["nothing"], "isActive": null,
        "maxAttempts": 11, "inboxIds": ["x"], "headerPrefix": "Host"});
    let problem = app.patch(&path(&made, ""), wrong).await.expect(400);
    let mut pointers: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort();
    let expected =
        ["/description", "/events/0", "/headerPrefix", "/inboxIds/0", "/isActive", "/maxAttempts", "/name", "/url"];
    assert_eq!(pointers, expected);
    let prefix = problem["errors"].as_array().unwrap().iter().find(|error| error["field"] == "headerPrefix").unwrap();
    let told = "headerPrefix must be X- and then letters, digits and hyphens, at most 40 characters in all.";
    assert_eq!(prefix["message"], told);
    for (seconds, status) in [(json!(-1), 400), (json!(604_801), 400), (json!("a day"), 400), (json!(604_800), 200)] {
        let body = json!({"expirePreviousInSeconds": seconds});
        app.post(&path(&made, "/rotate-secret"), body).await.expect(status);
    }
    for body in
        [json!({}), json!({"since": "yesterday"}), json!({"since": "2026-05-12T09:30:00Z", "status": "pending"})]
    {
        app.post(&path(&made, "/replay"), body).await.expect(400);
    }
    let backwards = json!({"since": "2026-05-12T09:30:00Z", "until": "2026-05-12T09:29:00Z", "cursor": "x"});
    let problem = app.post(&path(&made, "/replay"), backwards).await.expect(400);
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2);
    for query in ["status=gone", "since=yesterday", "limit=0", "cursor=x", "event="] {
        app.get(&path(&made, &format!("/deliveries?{query}"))).await.expect(400);
    }
    let shown = app.get(&path(&made, "")).await.expect(200);
    assert_eq!((&shown["name"], &shown["url"]), (&json!("hook"), &json!("https://example.com/in")));
}

#[tokio::test]
async fn others_see_nothing_and_scopes_and_plan_decide() {
    let app = App::new().await;
    let made = add(&app, "hook", "https://example.com/in").await;
    let test = app.post(&path(&made, "/test"), json!({})).await.expect(202);
    let delivery = format!("/deliveries/{}", test["deliveryId"].as_str().unwrap());
    app.tenant("other").await;
    let strangers =
        [app.key("other", Mode::Live, &["full_access"]).await, app.key("acme", Mode::Test, &["full_access"]).await];
    let reader = app.key("acme", Mode::Live, &["webhooks:read"]).await;
    let nothing = app.key("acme", Mode::Live, &["contacts:read"]).await;
    let since = json!({"since": "2026-05-12T09:30:00Z"});
    let operations: [(&str, &str, Option<Value>, bool); 10] = [
        ("GET", "", None, true),
        ("PATCH", "", Some(json!({"name": "x"})), false),
        ("PUT", "", Some(json!({"name": "x"})), false),
        ("POST", "/rotate-secret", Some(json!({})), false),
        ("POST", "/test", None, false),
        ("GET", "/deliveries", None, true),
        ("GET", &delivery, None, true),
        ("POST", &format!("{delivery}/redeliver"), None, false),
        ("POST", "/replay", Some(since), false),
        ("DELETE", "", None, false),
    ];
    for (method, rest, body, reads) in operations {
        let path = path(&made, rest);
        for key in &strangers {
            app.call(key, method, &path, &[], body.clone()).await.expect(404);
        }
        app.call(&nothing, method, &path, &[], body.clone()).await.expect(403);
        if reads {
            app.call(&reader, method, &path, &[], body.clone()).await.expect(200);
        } else {
            let refused = app.call(&reader, method, &path, &[], body.clone()).await.expect(403);
            assert_eq!(refused["requiredScope"], "webhooks:write");
        }
    }
    let plan = tenants::Plan { has_webhooks: false, ..tenants::Plan::default() };
    let none = tenants::CreateTenant { slug: "none".into(), name: "none".into(), plan };
    let created: Result<_, tieline_core::Error> = app.db.write(move |tx| tenants::create(tx, None, &none)).await;
    created.unwrap();
    let key = app.key("none", Mode::Live, &["full_access"]).await;
    for path in ["/v1/webhooks".to_owned(), path(&made, ""), path(&made, "/deliveries")] {
        let refused = app.call(&key, "GET", &path, &[], None).await.expect(403);
        assert_eq!(refused["code"], "webhooks_disabled", "{path}");
    }
    // A delivery is reached through its own webhook only.
    let second = add(&app, "second", "https://example.com/in").await;
    app.get(&path(&second, &delivery)).await.expect(404);
    app.post(&path(&second, &format!("{delivery}/redeliver")), json!({})).await.expect(404);
    app.post(&path(&made, &format!("{delivery}/redeliver")), json!({})).await.expect(409);
}

#[tokio::test]
async fn a_secret_is_shown_once_and_both_sign_during_a_rotation() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let body = json!({"name": "hook", "url": receiver.url, "events": ["*"]});
    let once = [("idempotency-key", "k")];
    let made = app.call(&app.key, "POST", "/v1/webhooks", &once, Some(body.clone())).await.expect(201);
    let again = app.call(&app.key, "POST", "/v1/webhooks", &once, Some(body)).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.expect(201), made);
    let old = made["secret"].as_str().unwrap().to_owned();

    let rotate = json!({"expirePreviousInSeconds": 60});
    let rotated = app
        .call(&app.key, "POST", &path(&made, "/rotate-secret"), &[("idempotency-key", "r")], Some(rotate.clone()))
        .await
        .expect(200);
    let repeated = app
        .call(&app.key, "POST", &path(&made, "/rotate-secret"), &[("idempotency-key", "r")], Some(rotate))
        .await
        .expect(200);
    assert_eq!(rotated, repeated, "a repeated request does not rotate twice");
    assert_eq!(rotated["previousSecretExpiresAt"], "2026-05-12T09:31:00.000Z");
    let new = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(old, new);

    app.post(&path(&made, "/test"), json!({})).await.expect(202);
    courier.run().await;
    let [received] = &receiver.take()[..] else { panic!("one delivery") };
    assert!(verifies(&old, received, &app) && verifies(&new, received, &app));
    app.clock.advance_us(60_000_000);
    app.post(&path(&made, "/test"), json!({})).await.expect(202);
    courier.run().await;
    let [received] = &receiver.take()[..] else { panic!("one delivery") };
    assert!(!verifies(&old, received, &app) && verifies(&new, received, &app));

    // At once, and without a body.
    let third = app.post(&path(&made, "/rotate-secret"), json!({"expirePreviousInSeconds": 0})).await.expect(200);
    courier.run().await; // takes it in: what a sender has in hand at that moment may go out as before
    app.post(&path(&made, "/test"), json!({})).await.expect(202);
    courier.run().await;
    let [received] = &receiver.take()[..] else { panic!("one delivery") };
    assert!(!verifies(&new, received, &app) && verifies(third["secret"].as_str().unwrap(), received, &app));
    let fourth = app.call(&app.key, "POST", &path(&made, "/rotate-secret"), &[], None).await.expect(200);

    let secrets = [&old, &new, third["secret"].as_str().unwrap(), fourth["secret"].as_str().unwrap()];
    for path in [path(&made, ""), "/v1/webhooks".into(), path(&made, "/deliveries"), "/v1/events".into()] {
        let answer = app.get(&path).await;
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(secrets.iter().all(|secret| !text.contains(&secret[7..])), "{path}");
    }
    let shown = app.get(&path(&made, "")).await.expect(200);
    assert!(secrets[3].starts_with(shown["secretPrefix"].as_str().unwrap()));
    for secret in secrets {
        assert!(!app.stored(secret.as_bytes()).await, "a secret stands in the database in clear");
    }
    let found = app.stored(b"example.com").await || app.stored(receiver.url.as_bytes()).await;
    assert!(found, "the search itself finds things");
}

#[tokio::test]
async fn what_is_told_of_a_webhook_that_was_switched_off_counts_the_last_attempt() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let made = add(&app, "hook", &receiver.url).await;
    receiver.answer(&[], 410);
    app.post("/v1/contacts", json!({"name": "Ana", "email": "ana@example.com"})).await.expect(201);
    courier.run_for(3).await;
    let events = app.get("/v1/events?types=webhook.disabled").await.expect(200);
    let told = &events["data"][0]["data"]["webhook"];
    assert_eq!((&told["id"], &told["disabledReason"]), (&made["id"], &json!("gone")));
    assert_eq!(told["consecutiveFailures"], 1);
}

#[tokio::test]
async fn a_test_goes_out_also_to_a_webhook_that_is_off() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let made = add(&app, "hook", &receiver.url).await;
    let off = app.patch(&path(&made, ""), json!({"isActive": false})).await.expect(200);
    assert_eq!((&off["isActive"], &off["disabledReason"]), (&json!(false), &json!("manual")));
    let sent = app.post(&path(&made, "/test"), json!({})).await.expect(202);
    courier.run().await;
    let [received] = &receiver.take()[..] else { panic!("one delivery") };
    let envelope = received.json();
    assert_eq!((&envelope["event"], &envelope["type"]), (&json!("webhook.test"), &json!("webhook.test")));
    assert_eq!(envelope["id"], received.header("webhook-id"));
    assert_eq!(envelope["data"]["webhook"]["id"], made["id"]);
    assert_eq!((&envelope["sequence"], &envelope["actor"]["type"]), (&Value::Null, &json!("api_key")));
    let delivery = app.get(&path(&made, &format!("/deliveries/{}", sent["deliveryId"].as_str().unwrap()))).await;
    let delivery = delivery.expect(200);
    assert_eq!((&delivery["status"], &delivery["eventId"]), (&json!("succeeded"), &envelope["id"]));
    assert_eq!(delivery["requestBody"].as_str().unwrap().as_bytes(), received.body);
    assert_eq!(delivery["attempts"][0]["statusCode"], 200);
    let events = app.get("/v1/events?types=webhook.disabled").await.expect(200);
    assert_eq!(events["data"].as_array().unwrap().len(), 1, "switching off is an event, a test is not");
    assert_eq!(app.get("/v1/events").await.expect(200)["data"].as_array().unwrap().len(), 1);

    // A test that fails does not stay behind on a webhook that is off.
    receiver.answer(&[], 500);
    let sent = app.post(&path(&made, "/test"), json!({})).await.expect(202);
    courier.run_for(3).await;
    let delivery = app.get(&path(&made, &format!("/deliveries/{}", sent["deliveryId"].as_str().unwrap()))).await;
    assert_eq!(delivery.expect(200)["status"], "cancelled");
}

#[tokio::test]
async fn a_delivery_is_sent_once_more_with_the_same_bytes() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let made = add(&app, "hook", &receiver.url).await;
    app.patch(&path(&made, ""), json!({"events": ["conversation.created"], "maxAttempts": 1})).await.expect(200);
    receiver.answer(&[500], 200);
    app.post("/v1/conversations/outbound", conversation("a")).await.expect(201);
    courier.run().await;
    let log = app.get(&path(&made, "/deliveries?status=failed")).await.expect(200);
    let delivery = &log["data"][0];
    assert_eq!(delivery["nextAttemptAt"], Value::Null);
    let redeliver = path(&made, &format!("/deliveries/{}/redeliver", delivery["id"].as_str().unwrap()));
    assert_eq!(app.post(&redeliver, json!({})).await.expect(202)["deliveryId"], delivery["id"]);
    assert_eq!(app.post(&redeliver, json!({})).await.expect(409)["code"], "delivery_pending");
    courier.run().await;
    // Also one that has succeeded, and on a webhook that is off.
    app.patch(&path(&made, ""), json!({"isActive": false})).await.expect(200);
    app.post(&redeliver, json!({})).await.expect(202);
    courier.run().await;
    let received = receiver.take();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|one| one.body == received[0].body));
    assert!(received.iter().all(|one| one.header("webhook-id") == received[0].header("webhook-id")));
    assert!(received.iter().all(|one| one.header("x-tieline-delivery") == delivery["id"]));
    let log = app.get(&path(&made, "/deliveries")).await.expect(200);
    assert_eq!(log["data"].as_array().unwrap().len(), 1);
    let numbers: Vec<_> = log["data"][0]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["number"].clone(), a["statusCode"].clone()))
        .collect();
    assert_eq!(numbers, [(json!(1), json!(500)), (json!(2), json!(200)), (json!(3), json!(200))]);
    assert_eq!(log["data"][0]["status"], "succeeded");
}

#[tokio::test]
async fn the_log_is_filtered_and_paged() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let made = add(&app, "hook", &receiver.url).await;
    app.patch(&path(&made, ""), json!({"maxAttempts": 1})).await.expect(200);
    receiver.answer(&[500, 200], 200);
    for number in 0..3 {
        app.post("/v1/conversations/outbound", conversation(&number.to_string())).await.expect(201);
        courier.run().await;
    }
    let rows = |page: &Value| page["data"].as_array().unwrap().clone();
    let all = app.get(&path(&made, "/deliveries?limit=100")).await.expect(200);
    assert_eq!(rows(&all).len(), 7, "contact.created once, then two of each conversation");
    let mut paged = Vec::new();
    let mut next = app.get(&path(&made, "/deliveries?limit=3")).await.expect(200);
    loop {
        paged.extend(rows(&next));
        let Some(cursor) = next["nextCursor"].as_str() else { break };
        next = app.get(&path(&made, &format!("/deliveries?limit=3&cursor={cursor}"))).await.expect(200);
    }
    assert_eq!(paged, rows(&all));
    let count =
        async |query: &str| rows(&app.get(&path(&made, &format!("/deliveries?{query}"))).await.expect(200)).len();
    assert_eq!(count("status=failed").await, 1);
    assert_eq!(count("status=succeeded").await, 6);
    assert_eq!(count("status=failed&event=contact.created").await, 1);
    assert_eq!(count("status=failed&event=message.received").await, 0);
    assert_eq!(count("event=message.received").await, 3);
    assert_eq!(count("status=pending").await, 0);
    let since = rows(&all)[1]["createdAt"].as_str().unwrap().to_owned();
    assert_eq!(count(&format!("since={since}")).await, 2);
    // A cursor of one list does not open another.
    let cursor = app.get(&path(&made, "/deliveries?limit=1")).await.expect(200)["nextCursor"].clone();
    app.get(&format!("/v1/webhooks?cursor={}", cursor.as_str().unwrap())).await.expect(400);
}

#[tokio::test]
async fn what_was_missed_while_off_is_replayed_in_order() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let made = add(&app, "hook", &receiver.url).await;
    app.patch(&path(&made, ""), json!({"events": ["conversation.created", "message.received"]})).await.expect(200);
    let replay_path = path(&made, "/replay");
    let replay = |body: Value| app.post(&replay_path, body);
    let start = json!({"since": "2026-05-12T09:30:00Z"});

    // One that waits when it is switched off is cancelled.
    receiver.answer(&[], 500);
    app.post("/v1/conversations/outbound", conversation("waiting")).await.expect(201);
    courier.run().await;
    app.patch(&path(&made, ""), json!({"isActive": false})).await.expect(200);
    courier.run_for(2).await;
    assert_eq!(
        app.get(&path(&made, "/deliveries?status=cancelled")).await.expect(200)["data"].as_array().unwrap().len(),
        2
    );
    for number in 0..3 {
        app.post("/v1/conversations/outbound", conversation(&format!("missed {number}"))).await.expect(201);
    }
    courier.run().await;
    // A test that stands where an event does takes nothing from it.
    let contacts = add(&app, "contacts", &receiver.url).await;
    app.patch(&path(&contacts, ""), json!({"events": ["contact.created"], "isActive": false})).await.expect(200);
    app.post("/v1/contacts", json!({"email": "lost@example.com"})).await.expect(201);
    app.post(&path(&contacts, "/test"), json!({})).await.expect(202);
    courier.run().await;
    let on = app.patch(&path(&contacts, ""), json!({"isActive": true})).await.expect(200);
    assert_eq!(on["missedEvents"]["count"], 1);
    let missed = json!({"since": on["missedEvents"]["since"]});
    assert_eq!(app.post(&path(&contacts, "/replay"), missed).await.expect(202)["count"], 1);
    courier.run().await;
    app.delete(&path(&contacts, "")).await.expect(204);
    assert_eq!(replay(start.clone()).await.expect(409)["code"], "webhook_inactive");

    receiver.answer(&[], 200);
    receiver.take();
    let on = app.patch(&path(&made, ""), json!({"isActive": true})).await.expect(200);
    assert_eq!(on["consecutiveFailures"], 0);
    assert_eq!(on["disabledReason"], Value::Null);
    assert_eq!((&on["missedEvents"]["count"], &on["missedEvents"]["hasMore"]), (&json!(6), &json!(false)));
    assert_eq!(app.patch(&path(&made, ""), json!({"isActive": true})).await.expect(200)["missedEvents"], Value::Null);
    app.post("/v1/conversations/outbound", conversation("after")).await.expect(201);
    // Before the fan-out has seen it, the newest event is not the replay's.
    let missing = replay(json!({"since": on["missedEvents"]["since"], "status": "missing"})).await.expect(202);
    assert_eq!(missing, json!({"count": 6, "hasMore": false, "nextCursor": null}));
    courier.run().await;
    let cancelled = replay(json!({"since": start["since"], "status": "cancelled"})).await.expect(202);
    assert_eq!(cancelled["count"], 2);
    courier.run().await;
    assert_eq!(replay(start.clone()).await.expect(202)["count"], 0, "all of it has succeeded");
    courier.run().await;

    let received: Vec<Value> = receiver.take().iter().map(Received::json).collect();
    assert_eq!(received.len(), 10);
    let mut ids: Vec<&str> = received.iter().map(|one| one["id"].as_str().unwrap()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 10, "each once");
    let mut last = std::collections::HashMap::new();
    for event in &received {
        let reference = event["data"]["conversation"]["externalReference"].as_str().unwrap();
        let before = last.insert(reference.to_owned(), event["sequence"].clone());
        assert_eq!(event["previousSequence"], before.unwrap_or(Value::Null), "in order, without a gap: {reference}");
    }
    let feed = app.get("/v1/events?limit=100").await.expect(200);
    let times: Vec<&Value> = feed["data"].as_array().unwrap().iter().map(|event| &event["timestamp"]).collect();
    let until = replay(json!({"since": times[0], "until": times[0]})).await.expect(202);
    assert_eq!(until["count"], 0);
}

#[tokio::test]
async fn failed_deliveries_are_replayed_with_a_new_round_of_attempts() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let made = add(&app, "hook", &receiver.url).await;
    app.patch(&path(&made, ""), json!({"events": ["contact.created"], "maxAttempts": 2})).await.expect(200);
    receiver.answer(&[], 500);
    app.post("/v1/conversations/outbound", conversation("a")).await.expect(201);
    courier.run_for(8).await;
    let log = app.get(&path(&made, "/deliveries?status=failed")).await.expect(200);
    assert_eq!(log["data"][0]["attempts"].as_array().unwrap().len(), 2);
    let body = json!({"since": "2026-05-12T09:30:00Z", "status": "failed"});
    assert_eq!(app.post(&path(&made, "/replay"), body).await.expect(202)["count"], 1);
    receiver.answer(&[500], 200);
    courier.run_for(8).await;
    let log = app.get(&path(&made, "/deliveries")).await.expect(200);
    let attempts: Vec<_> = log["data"][0]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (attempt["number"].clone(), attempt["statusCode"].clone()))
        .collect();
    let expected = [(1, 500), (2, 500), (3, 500), (4, 200)].map(|(number, status)| (json!(number), json!(status)));
    assert_eq!(attempts, expected);
    let received = receiver.take();
    assert!(received.len() == 4 && received.iter().all(|one| one.body == received[0].body));
}

#[tokio::test]
async fn switching_on_again_closes_the_breaker_and_sends_what_waits() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let made = add(&app, "hook", &receiver.url).await;
    receiver.answer(&[], 500);
    for number in 0..12 {
        let mut body = conversation(&number.to_string());
        body["contact"]["email"] = json!(format!("c{number}@example.com"));
        app.post("/v1/conversations/outbound", body).await.expect(201);
    }
    courier.run_for(3).await;
    let shown = app.get(&path(&made, "")).await.expect(200);
    assert_eq!(shown["breakerOpen"], true);
    assert!(shown["consecutiveFailures"].as_i64().unwrap() >= 10);
    receiver.answer(&[], 200);
    receiver.take();
    courier.run().await;
    assert_eq!(receiver.take().len(), 0, "an open breaker holds back");
    let on = app.patch(&path(&made, ""), json!({"isActive": true})).await.expect(200);
    assert_eq!((&on["breakerOpen"], &on["consecutiveFailures"]), (&json!(false), &json!(0)));
    assert_eq!(on["missedEvents"], Value::Null, "it was on all the time");
    courier.run().await;
    assert_eq!(receiver.take().len(), 36);
    let waiting = app.get(&path(&made, "/deliveries?status=pending")).await.expect(200);
    assert_eq!(waiting["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_deleted_webhook_gets_nothing_more_and_its_deliveries_are_removed() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let made = add(&app, "hook", &receiver.url).await;
    receiver.answer(&[], 500);
    app.post("/v1/conversations/outbound", conversation("a")).await.expect(201);
    courier.run().await;
    assert!(!receiver.take().is_empty());
    app.delete(&path(&made, "")).await.expect(204);
    courier.run_for(10).await;
    assert_eq!(receiver.take().len(), 0);
    let kept = tieline_delivery::housekeeping::Kept::default();
    let housekeeping = tieline_delivery::housekeeping::Housekeeping::new(app.db.clone(), kept);
    assert_eq!(housekeeping.step().await.unwrap(), 3, "its deliveries");
    assert_eq!(housekeeping.step().await.unwrap(), 0);
}

#[tokio::test]
async fn a_partition_has_as_many_webhooks_as_the_plan_allows_and_not_one_more() {
    let app = App::new().await;
    let mut last = Value::Null;
    for number in 0..10 {
        last = add(&app, &format!("hook {number}"), "https://example.com/in").await;
    }
    let more = json!({"name": "more", "url": "https://example.com/in", "events": ["*"]});
    let refused = app.post("/v1/webhooks", more.clone()).await;
    let problem = refused.expect(429);
    assert_eq!((&problem["code"], &problem["maxWebhooks"]), (&json!("webhook_limit_reached"), &json!(10)));
    assert!(!refused.headers.contains_key("retry-after"), "waiting does not help");
    let inbox = json!({"name": "in", "channel": "api", "webhookUrl": "https://example.com/in"});
    let test = app.key("acme", Mode::Test, &["full_access"]).await;
    app.call(&test, "POST", "/v1/webhooks", &[], Some(more.clone())).await.expect(201);
    app.post("/v1/inboxes", inbox).await.expect(201); // an inbox's own address does not count
    app.delete(&path(&last, "")).await.expect(204);
    app.post("/v1/webhooks", more.clone()).await.expect(201);
    app.post("/v1/webhooks", more).await.expect(429);
}
