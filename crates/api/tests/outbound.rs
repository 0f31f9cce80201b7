//! `POST /v1/conversations/outbound` as Atender documents it.

#[path = "support/app.rs"]
mod app;

use app::App;
use serde_json::json;

fn body(reference: &str) -> serde_json::Value {
    json!({
        "externalReference": reference,
        "contact": {"email": " Ana@Example.com ", "phone": "+55 11 98765-4321"},
        "subject": "Where is my parcel?",
        "outboundContext": {"originalHtml": "<p>Hello<script>alert(1)</script></p>", "metadata": {"orderId": 7}},
        "tags": ["vip"],
        "customFields": {"tier": "gold"}
    })
}

#[tokio::test]
async fn a_conversation_comes_in_and_is_shown_whole() {
    let app = App::new().await;
    let reply = app.post("/v1/conversations/outbound", body("order-1")).await;
    let view = reply.expect(201);
    assert_eq!(reply.headers["location"], format!("/v1/conversations/{}", view["id"].as_str().unwrap()));
    assert_eq!(view["status"], "active");
    assert_eq!(view["engagement"], "pending");
    assert_eq!(view["externalReference"], "order-1");
    assert_eq!(view["contact"]["email"], "ana@example.com");
    assert_eq!(view["contact"]["name"], "ana");
    assert_eq!(view["contact"]["phone"], "+5511987654321");
    assert_eq!(view["metadata"], json!({"orderId": 7}));
    assert_eq!(view["ignoredTags"], json!(["vip"]));
    assert_eq!(view["ignoredCustomFields"], json!(["tier"]));
    assert_eq!(view["createdAt"], "2026-05-12T09:30:00.000Z");
}

#[tokio::test]
async fn a_repeated_reference_names_the_conversation() {
    let app = App::new().await;
    let first = app.post("/v1/conversations/outbound", body("order-1")).await.expect(201);
    let reply = app.post("/v1/conversations/outbound", body("order-1")).await;
    let again = reply.expect(409);
    assert_eq!(again["code"], "external_reference_exists");
    assert_eq!(again["conversationId"], first["id"]);
    assert_eq!(reply.headers["location"], format!("/v1/conversations/{}", first["id"].as_str().unwrap()));
    let other = app.post("/v1/conversations/outbound", body("order-1 ")).await.expect(201);
    assert_eq!(other["contact"]["id"], first["contact"]["id"], "bytes of references differ, the contact is the same");
}

#[tokio::test]
async fn the_ninth_digit_does_not_double_a_contact() {
    let app = App::new().await;
    let with = |reference: &str, email: &str, phone: &str| json!({"externalReference": reference, "subject": "s", "contact": {"email": email, "phone": phone}});
    let first =
        app.post("/v1/conversations/outbound", with("a", "ana@example.com", "+5511987654321")).await.expect(201);
    let body = json!({"contact": {"phone": "+551187654321"}});
    let second = app.post("/v1/conversations", body).await.expect(201);
    assert_eq!(first["contact"]["id"], second["contact"]["id"]);
    assert_eq!(second["contact"]["phone"], "+5511987654321", "nothing is overwritten");
}

#[tokio::test]
async fn an_idempotency_key_gives_the_first_answer_back() {
    let app = App::new().await;
    let path = "/v1/conversations/outbound";
    let send = |value: serde_json::Value| app.call(&app.key, "POST", path, &[("idempotency-key", "k1")], Some(value));
    let (first, second) = tokio::join!(send(body("order-1")), send(body("order-1")));
    let (a, b) = (first.expect(201), second.expect(201));
    assert_eq!(a, b);
    let replayed = |reply: &app::Reply| reply.headers.get("idempotent-replayed").is_some();
    assert!(replayed(&first) != replayed(&second), "one of them was first");
    let other = send(body("order-2")).await.expect(422);
    assert_eq!(other["code"], "idempotency_key_reused");
    // A refusal is not kept: the same key may then succeed.
    let bad = app.call(&app.key, "POST", path, &[("idempotency-key", "k2")], Some(json!({}))).await;
    bad.expect(400);
    app.call(&app.key, "POST", path, &[("idempotency-key", "k2")], Some(body("order-3"))).await.expect(201);
    // After a day the key is new again.
    app.clock.advance_us(tieline_core::idempotency::KEPT_US + 1);
    send(body("order-4")).await.expect(201);
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let app = App::new().await;
    let wrong = json!({
        "externalReference": "", "subject": 7, "channel": "fax", "contact": {"email": "nobody"},
        "outboundContext": {"sentAt": "yesterday", "metadata": [], "direction": "sideways"}, "tags": "vip"
    });
    let problem = app.post("/v1/conversations/outbound", wrong).await.expect(400);
    let pointers: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    for pointer in [
        "/externalReference",
        "/subject",
        "/channel",
        "/contact/email",
        "/outboundContext/sentAt",
        "/outboundContext/metadata",
        "/outboundContext/direction",
        "/tags",
    ] {
        assert!(pointers.contains(&pointer), "{pointer} in {pointers:?}");
    }
}

#[tokio::test]
async fn a_key_opens_its_own_partition_only() {
    let app = App::new().await;
    app.tenant("other").await;
    let other = app.key("other", tieline_core::keys::token::Mode::Live, &["full_access"]).await;
    let test = app.key("acme", tieline_core::keys::token::Mode::Test, &["full_access"]).await;
    app.post("/v1/conversations/outbound", body("order-1")).await.expect(201);
    for key in [&other, &test] {
        app.call(key, "POST", "/v1/conversations/outbound", &[], Some(body("order-1"))).await.expect(201);
    }
    let reader = app.key("acme", tieline_core::keys::token::Mode::Live, &["read_all"]).await;
    let refused = app.call(&reader, "POST", "/v1/conversations/outbound", &[], Some(body("order-9"))).await.expect(403);
    assert_eq!(refused["code"], "insufficient_scope");
    assert_eq!(refused["requiredScope"], "conversations:write");
    app.call("sa_live_nonsense", "GET", "/v1/me", &[], None).await.expect(401);
}

#[tokio::test]
async fn each_wrong_field_is_named_once_and_the_words_of_a_choice_are_told() {
    let app = App::new().await;
    let wrong =
        json!({"externalReference": "a\u{0}", "subject": "b\u{0}", "contact": {"email": "c\u{0}"}, "channel": "fax"});
    let problem = app.post("/v1/conversations/outbound", wrong).await.expect(400);
    let errors = problem["errors"].as_array().unwrap();
    let of = |code: &str| -> Vec<&str> {
        errors.iter().filter(|error| error["code"] == code).map(|error| error["field"].as_str().unwrap()).collect()
    };
    assert_eq!(of("invalid_value"), ["externalReference", "subject", "channel", "contact.email"], "{errors:?}");
    assert_eq!(errors.len(), 4, "{errors:?}");
    let told = "channel must be one of email, messenger, sms, phone, voice, whatsapp, webchat, amazon, api, instagram.";
    assert_eq!(errors[2]["message"], told);
}

#[tokio::test]
async fn a_phone_of_somebody_else_stays_theirs() {
    let app = App::new().await;
    let with = |reference: &str, contact: serde_json::Value| json!({"externalReference": reference, "subject": "s", "contact": contact});
    let open =
        async |reference, contact| app.post("/v1/conversations/outbound", with(reference, contact)).await.expect(201);
    let ana = open("a", json!({"email": "ana@example.com"})).await;
    let bia = open("b", json!({"email": "bia@example.com", "phone": "+5511987654321"})).await;
    let both = open("c", json!({"email": "ana@example.com", "phone": "+5511987654321"})).await;
    assert_eq!((&both["contact"]["id"], &both["contact"]["phone"]), (&ana["contact"]["id"], &json!(null)));
    let found = app.get("/v1/contacts?phone=%2B5511987654321").await.expect(200);
    assert_eq!((&found["data"][0]["id"], found["data"].as_array().unwrap().len()), (&bia["contact"]["id"], 1));
    // Nor does a phone that two share make one of them: what is said to Caio would go to Bia.
    let caio = open("e", json!({"email": "caio@example.com", "name": "Caio", "phone": "+551187654321"})).await;
    assert_ne!(caio["contact"]["id"], bia["contact"]["id"]);
    assert_eq!(
        (&caio["contact"]["name"], &caio["contact"]["email"], &caio["contact"]["phone"]),
        (&json!("Caio"), &json!("caio@example.com"), &json!(null))
    );
    let one = app.get("/v1/contacts?phone=%2B5511987654321").await.expect(200);
    assert_eq!((&one["data"][0]["id"], one["data"].as_array().unwrap().len()), (&bia["contact"]["id"], 1));
    let app_user = |id: &str| json!({"contact": {"externalId": id, "phone": "+5511922223333"}});
    let first = app.post("/v1/conversations", app_user("u1")).await.expect(201);
    let second = app.post("/v1/conversations", app_user("u2")).await.expect(201);
    assert_ne!(first["contact"]["id"], second["contact"]["id"]);
    // Who is known by the phone alone may be whom an address comes for.
    let known = app.post("/v1/conversations", json!({"contact": {"phone": "+5511944445555"}})).await.expect(201);
    let named = open("f", json!({"email": "davi@example.com", "phone": "+5511944445555"})).await;
    assert_eq!(
        (&named["contact"]["id"], &named["contact"]["email"]),
        (&known["contact"]["id"], &json!("davi@example.com"))
    );
    let own = open("d", json!({"email": "ana@example.com", "phone": "+5511911112222"})).await;
    assert_eq!(own["contact"]["phone"], "+5511911112222", "what is empty is filled");
}
