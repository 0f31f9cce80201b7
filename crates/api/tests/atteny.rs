//! Atteny's surface (contract part C): envelope, pages, codes, languages.

#[path = "support/app.rs"]
mod app;

use app::{App, Reply};
use serde_json::{Value, json};
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::{Customer, StartOutbound, StartOutboundVerb};
use tieline_core::keys::token::{Mode, Prefix};
use tieline_core::{Error, tenants};

/// Opens a conversation in which the contact with this number has written.
async fn open(app: &App, phone: &str, text: &str) -> String {
    let body = json!({"channel": "whatsapp", "contact": {"phone": phone, "name": "Ana"}, "message": {"text": text}});
    app.post("/v1/conversations", body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

fn failed(reply: Reply, status: u16, code: &str) -> Value {
    let body = reply.expect(status);
    assert_eq!((&body["success"], &body["code"]), (&json!(false), &json!(code)), "{body}");
    assert!(body["error"].as_str().is_some_and(|text| text.len() > 5), "{body}");
    assert_eq!(body["requestId"], reply.headers["x-request-id"].to_str().unwrap());
    assert_eq!(reply.headers["content-type"], "application/json");
    body
}

/// As [`failed`], asked with the full-access key.
async fn refused(app: &App, method: &str, path: &str, body: Option<Value>, status: u16, code: &str) -> Value {
    failed(app.call(&app.key, method, path, &[], body).await, status, code)
}

#[tokio::test]
async fn me_shows_organization_plan_and_key_in_attenys_words() {
    let app = App::new().await;
    let six =
        ["messages:send", "messages:read", "conversations:read", "contacts:read", "contacts:write", "webhooks:manage"];
    let key = app.make_key(Prefix::Sk, "acme", Mode::Live, &six, None).await;
    let me = app.call(&key, "GET", "/api/v1/me", &[], None).await.expect(200);
    assert_eq!(
        me,
        json!({"success": true, "data": {
            "organization": {"id": "ten_1", "name": "acme", "slug": "acme"},
            "plan": {"name": "self-hosted", "hasAPI": true, "hasWebhooks": true},
            "apiKey": {"name": "test", "prefix": &key[..12], "scopes": six},
        }})
    );
    // The same key is good on /v1, and one of the other prefix here.
    app.call(&key, "GET", "/v1/me", &[], None).await.expect(200);
    let scopes = |me: Value| me["data"]["apiKey"]["scopes"].clone();
    let write = app.key("acme", Mode::Live, &["conversations:write"]).await;
    let me = app.call(&write, "GET", "/api/v1/me", &[], None).await.expect(200);
    assert_eq!(scopes(me), json!(["messages:send", "messages:read", "conversations:read", "conversations:write"]));
}

#[tokio::test]
async fn a_contact_is_one_however_its_number_is_written() {
    let app = App::new().await;
    let made = app.post("/api/v1/contacts", json!({"phoneNumber": "+55 11 98765-4321", "name": "Ana"})).await;
    assert!(made.headers["location"].to_str().unwrap().starts_with("/api/v1/contacts/con_"));
    let made = made.expect(201);
    assert_eq!(made["data"]["phoneNumber"], "+5511987654321");
    let id = made["data"]["id"].as_str().unwrap();
    for spelling in
        ["+5511987654321", "5511987654321", "11 98765-4321", "(11) 8765-4321", "+551187654321", "011987654321"]
    {
        let exists =
            refused(&app, "POST", "/api/v1/contacts", Some(json!({"phoneNumber": spelling})), 409, "contact_exists")
                .await;
        assert_eq!(exists["contactId"], id, "{spelling}");
        let found = app
            .get(&format!("/api/v1/contacts?search={}", spelling.replace('+', "%2B").replace(' ', "%20")))
            .await
            .expect(200);
        assert_eq!((&found["meta"]["total"], &found["data"][0]["id"]), (&json!(1), &json!(id)), "{spelling}");
    }
    let path = format!("/api/v1/contacts/{id}");
    let changed =
        app.patch(&path, json!({"email": "ana@example.com", "phoneNumber": "+5511912345678"})).await.expect(200);
    assert_eq!((&changed["data"]["name"], &changed["data"]["phoneNumber"]), (&json!("Ana"), &json!("+5511912345678")));
    assert_eq!(app.get(&path).await.expect(200), changed);
    app.post("/api/v1/contacts", json!({"phoneNumber": "+5511987654321"})).await.expect(201);
    refused(&app, "PATCH", &path, Some(json!({"phoneNumber": "11987654321"})), 409, "contact_exists").await;
}

#[tokio::test]
async fn contacts_are_paged_and_searched_with_true_totals() {
    let app = App::new().await;
    for number in 0..45 {
        app.clock.advance_us(1);
        let body = json!({"phoneNumber": format!("+55119870000{number:02}"), "name": format!("Pessoa {number}")});
        app.post("/api/v1/contacts", body).await.expect(201);
    }
    let names = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut seen = Vec::new();
    for page in 1..=5 {
        let list = app.get(&format!("/api/v1/contacts?page={page}&limit=10")).await.expect(200);
        assert_eq!(list["meta"], json!({"total": 45, "page": page, "limit": 10}));
        seen.extend(names(&list));
    }
    assert_eq!(seen, (0..45).rev().map(|number| format!("Pessoa {number}")).collect::<Vec<_>>());
    let past = app.get("/api/v1/contacts?page=6&limit=10").await.expect(200);
    assert_eq!(past, json!({"success": true, "data": [], "meta": {"total": 45, "page": 6, "limit": 10}}));
    let found = app.get("/api/v1/contacts?search=PESSOA%204&page=2&limit=2").await.expect(200);
    assert_eq!(
        (names(&found), &found["meta"]),
        (vec!["Pessoa 42".into(), "Pessoa 41".into()], &json!({"total": 6, "page": 2, "limit": 2}))
    );

    // Deleted and merged ones are no more.
    let id = |list: &Value, at: usize| list["data"][at]["id"].as_str().unwrap().to_owned();
    let list = app.get("/api/v1/contacts").await.expect(200);
    assert_eq!(list["meta"], json!({"total": 45, "page": 1, "limit": 20}));
    app.delete(&format!("/v1/contacts/{}", id(&list, 0))).await.expect(204);
    app.post(&format!("/v1/contacts/{}/merge", id(&list, 1)), json!({"from": [id(&list, 2), id(&list, 3)]}))
        .await
        .expect(200);
    let list = app.get("/api/v1/contacts?limit=100").await.expect(200);
    assert_eq!((&list["meta"]["total"], list["data"].as_array().unwrap().len()), (&json!(42), 42));
}

#[tokio::test]
async fn conversations_carry_contact_and_last_message() {
    let app = App::new().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        app.clock.advance_us(1_000);
        ids.insert(0, open(&app, &format!("+551198765432{number}"), &format!("hello {number}")).await);
    }
    let list = app.get("/api/v1/conversations?limit=2&page=2").await.expect(200);
    assert_eq!(list["meta"], json!({"total": 5, "page": 2, "limit": 2}));
    assert_eq!((&list["data"][0]["id"], &list["data"][1]["id"]), (&json!(ids[2]), &json!(ids[3])));
    assert_eq!(list["data"][0]["contact"]["phoneNumber"], "+5511987654322");
    assert_eq!(list["data"][0]["lastMessage"]["content"], "hello 2");
    assert_eq!(list["data"][0]["status"], "active");

    // A note is not what was said last.
    app.clock.advance_us(1_000);
    let note = json!({"text": "inside"});
    app.post(&format!("/v1/conversations/{}/notes", ids[3]), note).await.expect(201);
    let shown = app.get(&format!("/api/v1/conversations/{}", ids[3])).await.expect(200);
    assert_eq!(shown["data"]["lastMessage"]["content"], "hello 1");

    // Statuses, through every change.
    let total = async |status: &str| -> (Value, usize) {
        let list = app.get(&format!("/api/v1/conversations?status={status}")).await.expect(200);
        (list["meta"]["total"].clone(), list["data"].as_array().unwrap().len())
    };
    let set = async |id: &str, body: Value| app.patch(&format!("/v1/conversations/{id}"), body).await.expect(200);
    set(&ids[0], json!({"status": "done"})).await;
    set(&ids[1], json!({"status": "archived"})).await;
    set(&ids[2], json!({"status": "snoozed", "snoozedUntil": "2099-01-01T00:00:00Z"})).await;
    for (status, count) in [("active", 2), ("snoozed", 1), ("done", 1), ("archived", 1)] {
        assert_eq!(total(status).await, (json!(count), count), "{status}");
    }
    let hear = json!({"direction": "inbound", "text": "and?"});
    app.post(&format!("/v1/conversations/{}/messages", ids[0]), hear.clone()).await.expect(201);
    app.post(&format!("/v1/conversations/{}/messages", ids[1]), hear).await.expect(201);
    for (status, count) in [("active", 4), ("snoozed", 1), ("done", 0), ("archived", 1)] {
        assert_eq!(total(status).await, (json!(count), count), "{status}");
    }
    assert_eq!(app.get("/api/v1/conversations").await.expect(200)["meta"]["total"], 6);
}

#[tokio::test]
async fn messages_are_listed_newest_first_and_sent_once() {
    let app = App::new().await;
    let id = open(&app, "+5511987654321", "Oi").await;
    let path = format!("/api/v1/conversations/{id}/messages");
    app.post(&format!("/v1/conversations/{id}/notes"), json!({"text": "inside"})).await.expect(201);
    let body = json!({"content": "Olá!"});
    let sent = app.call(&app.key, "POST", &path, &[("idempotency-key", "k")], Some(body.clone())).await.expect(201);
    let again = app.call(&app.key, "POST", &path, &[("idempotency-key", "k")], Some(body)).await;
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.expect(201), sent);
    let other = app.call(&app.key, "POST", &path, &[("idempotency-key", "k")], Some(json!({"content": "x"}))).await;
    failed(other, 422, "idempotency_key_reused");
    let message = &sent["data"];
    assert_eq!(
        (&message["direction"], &message["type"], &message["status"]),
        (&json!("outbound"), &json!("TEXT"), &json!("queued"))
    );
    assert_eq!(message["author"], json!({"type": "agent", "name": "test"}));

    for (body, kind, media) in [
        (json!({"content": "a", "type": "IMAGE", "mediaUrl": "https://example.com/a.png"}), "IMAGE", "image/jpeg"),
        (json!({"content": "a", "type": "VIDEO", "mediaUrl": "https://example.com/a"}), "VIDEO", "video/mp4"),
        (json!({"content": "a", "type": "AUDIO", "mediaUrl": "https://example.com/a"}), "AUDIO", "audio/mpeg"),
        (
            json!({"content": "a", "type": "DOCUMENT", "mediaUrl": "https://example.com/a"}),
            "DOCUMENT",
            "application/octet-stream",
        ),
        (json!({"content": "a", "mediaUrl": "https://example.com/a", "mediaType": "image/png"}), "IMAGE", "image/png"),
    ] {
        let sent = app.post(&path, body.clone()).await.expect(201);
        assert_eq!((&sent["data"]["type"], &sent["data"]["mediaType"]), (&json!(kind), &json!(media)), "{body}");
        assert_eq!(sent["data"]["attachments"][0]["state"], "pending");
    }
    let list = app.get(&format!("{path}?limit=3&page=3")).await.expect(200);
    assert_eq!(list["meta"], json!({"total": 7, "page": 3, "limit": 3}), "the note is not counted");
    assert_eq!(list["data"][0]["content"], "Oi");
    let first = app.get(&format!("{path}?limit=6")).await.expect(200);
    assert_eq!((first["data"].as_array().unwrap().len(), &first["data"][5]["content"]), (6, &json!("Olá!")));

    // A merge takes its messages along.
    let second = open(&app, "+5511987654321", "Outra").await;
    app.post(&format!("/v1/conversations/{id}/merge"), json!({"into": second})).await.expect(200);
    for holder in [&id, &second] {
        let list = app.get(&format!("/api/v1/conversations/{holder}/messages")).await.expect(200);
        assert_eq!((&list["meta"]["total"], list["data"].as_array().unwrap().len()), (&json!(8), 8));
    }
}

#[tokio::test]
async fn wrong_fields_are_named_all_at_once() {
    let app = App::new().await;
    let id = open(&app, "+5511987654321", "Oi").await;
    let wrong = refused(&app, "GET", "/api/v1/contacts?page=0&limit=101", None, 400, "validation_error").await;
    assert_eq!(wrong["error"], "2 campos são inválidos.");
    assert_eq!(
        wrong["errors"][1],
        json!({"field": "limit", "code": "out_of_range", "message": "limit deve ser no mínimo 1 e no máximo 100."})
    );
    let messages = format!("/api/v1/conversations/{id}/messages");
    for (path, body, fields) in [
        ("/api/v1/contacts", json!({"email": "x"}), vec!["email invalid_email", "phoneNumber required"]),
        (&messages, json!({}), vec!["content required"]),
        (&messages, json!({"content": "a", "type": "IMAGE"}), vec!["mediaUrl required"]),
        (
            &messages,
            json!({"content": "a", "type": "TEXT", "mediaUrl": "https://example.com/a"}),
            vec!["mediaUrl not_allowed"],
        ),
        (&messages, json!({"content": "a", "type": "image"}), vec!["type invalid_value"]),
        (&messages, json!({"content": "a", "mediaUrl": "http://10.0.0.1/a"}), vec!["mediaUrl address_not_allowed"]),
    ] {
        let body = refused(&app, "POST", path, Some(body), 400, "validation_error").await;
        let mut found: Vec<String> = body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| format!("{} {}", one["field"].as_str().unwrap(), one["code"].as_str().unwrap()))
            .collect();
        found.sort();
        assert_eq!(found, fields);
    }
}

#[tokio::test]
async fn every_code_of_the_page_has_its_shape() {
    let app = App::new().await;
    let id = open(&app, "+5511987654321", "Oi").await;
    let get = |key: Option<&str>, path: &str| {
        let mut request = axum::http::Request::builder().uri(path);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request.body(axum::body::Body::empty()).unwrap()
    };
    let nobody = app.send(get(None, "/api/v1/me")).await;
    assert_eq!(nobody.headers["www-authenticate"], "Bearer");
    failed(nobody, 401, "unauthorized");
    failed(app.send(get(Some("sk_live_nonsense"), "/api/v1/me")).await, 401, "invalid_api_key");
    let weak = app.key("acme", Mode::Live, &["contacts:read"]).await;
    let lacking = app.call(&weak, "POST", "/api/v1/webhooks", &[], Some(json!({}))).await;
    let lacking = failed(lacking, 403, "insufficient_scope");
    assert_eq!(lacking["requiredScope"], "webhooks:manage");
    assert_eq!(lacking["error"], "Esta chave não tem o escopo webhooks:manage; inclua o escopo ou use outra chave.");
    let english = app.call(&weak, "POST", "/api/v1/webhooks", &[("accept-language", "en-US")], Some(json!({}))).await;
    assert_eq!(
        failed(english, 403, "insufficient_scope")["error"],
        "This key lacks the scope webhooks:manage; give it that scope, or use another key."
    );

    // Another tenant's conversation, what is not there, and paths and methods that no route has.
    app.tenant("other").await;
    let other = app.key("other", Mode::Live, &["full_access"]).await;
    let test = app.key("acme", Mode::Test, &["full_access"]).await;
    for key in [&other, &test] {
        failed(
            app.call(key, "GET", &format!("/api/v1/conversations/{id}/messages"), &[], None).await,
            404,
            "not_found",
        );
    }
    let missing = refused(&app, "GET", "/api/v1/nothing", None, 404, "not_found").await;
    assert_eq!(missing["error"], "Não existe, ou é de outra organização.");
    let wrong = app.call(&app.key, "PUT", "/api/v1/me", &[], None).await;
    assert_eq!(wrong.headers["allow"], "GET,HEAD");
    failed(wrong, 405, "method_not_allowed");
    let text = axum::http::Request::builder()
        .method("POST")
        .uri("/api/v1/contacts")
        .header("authorization", format!("Bearer {}", app.key))
        .body("{}".into())
        .unwrap();
    failed(app.send(text).await, 415, "unsupported_media_type");
    let broken = axum::http::Request::builder()
        .method("POST")
        .uri("/api/v1/contacts")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", app.key))
        .body("{".into())
        .unwrap();
    failed(app.send(broken).await, 400, "invalid_json");

    app.patch(&format!("/v1/conversations/{id}"), json!({"status": "archived"})).await.expect(200);
    let messages = format!("/api/v1/conversations/{id}/messages");
    refused(&app, "POST", &messages, Some(json!({"content": "a"})), 409, "conversation_archived").await;

    let switch = async |has_api: bool, has_webhooks: bool| {
        let update = move |tx: &mut tieline_db::Tx| {
            let tenant = tenants::by_slug(tx, "acme", Mode::Live)?;
            let plan = tenants::Plan { has_api, has_webhooks, ..tenant.plan };
            let cmd = tenants::UpdateTenant { name: None, plan: Some(plan) };
            tenants::update(tx, None, "acme", &cmd)
        };
        let done: Result<_, Error> = app.db.write(update).await;
        done.expect("changed");
    };
    switch(true, false).await;
    refused(&app, "GET", "/api/v1/webhooks", None, 403, "webhooks_disabled").await;
    switch(false, true).await;
    let off = refused(&app, "GET", "/api/v1/me", None, 403, "API_FEATURE_DISABLED").await;
    assert_eq!(off["error"], "O plano desta organização não inclui a API.");
}

#[tokio::test]
async fn limits_speak_attenys_codes() {
    let app = App::new().await;
    let limit = async |rate_per_minute: i64, daily_quota: Option<i64>, monthly_quota: Option<i64>| {
        let plan = tenants::Plan { rate_per_minute, daily_quota, monthly_quota, ..tenants::Plan::default() };
        let cmd = tenants::UpdateTenant { name: None, plan: Some(plan) };
        let done: Result<_, Error> = app.db.write(move |tx| tenants::update(tx, None, "acme", &cmd)).await;
        done.expect("changed");
    };
    limit(1, None, Some(1_000)).await;
    let first = app.get("/api/v1/me").await;
    assert_eq!(
        (&first.headers["x-ratelimit-limit"], &first.headers["x-ratelimit-remaining"]),
        (&"1".parse().unwrap(), &"0".parse().unwrap())
    );
    assert_eq!(
        (&first.headers["x-api-quota-limit"], &first.headers["x-api-quota-remaining"]),
        (&"1000".parse().unwrap(), &"999".parse().unwrap())
    );
    first.expect(200);
    let many = app.get("/api/v1/me").await;
    assert_eq!(many.headers["retry-after"], "60");
    let many = failed(many, 429, "rate_limit_exceeded");
    assert_eq!(many["error"], "Muitas requisições neste minuto; aguarde o tempo de `Retry-After`.");
    app.clock.advance_us(60_000_001);
    limit(100, None, Some(1)).await;
    failed(app.get("/api/v1/me").await, 402, "quota_exceeded");
    limit(100, Some(1), None).await;
    failed(app.get("/api/v1/me").await, 429, "daily_quota_exceeded");
}

/// A page number costs what its place costs, and says so beyond; the totals of a large tenant are read, not counted.
#[tokio::test]
async fn deep_pages_are_refused_with_a_reason() {
    let app = App::new().await;
    let counted: Result<_, Error> = app
        .db
        .write(|tx| {
            Ok(tx.execute(
                "insert into tenant_counters (tenant_id, slot, contacts, active, snoozed, done, archived) \
                 values ($1, 99, 1000000, 0, 0, 0, 0)",
                &tieline_db::params![1i64],
            )?)
        })
        .await;
    assert_eq!(counted.expect("a row"), 1);
    let first = app.get("/api/v1/contacts").await.expect(200);
    assert_eq!(first["meta"]["total"], 1_000_000, "it is not counted");
    let deep = refused(&app, "GET", "/api/v1/contacts?page=1002&limit=100", None, 400, "validation_error").await;
    assert_eq!((&deep["errors"][0]["field"], &deep["errors"][0]["code"]), (&json!("page"), &json!("out_of_range")));
    app.get("/api/v1/contacts?page=1001&limit=100").await.expect(200);
    app.get("/api/v1/contacts?page=10000&limit=100").await.expect(200);
}

/// The totals follow the verbs on a set of many, as on single ones.
#[tokio::test]
async fn totals_hold_over_a_set_of_commands() {
    let app = App::new().await;
    let ctx = app.ctx().await;
    let commands = (0..200).map(|number| StartOutbound {
        ctx: ctx.clone(),
        once: None,
        external_reference: None,
        contact: Customer::Found(Upsert { external_id: Some(format!("u{}", number % 50)), ..Upsert::default() }),
        subject: None,
        channel: Channel::Whatsapp,
        message: None,
        tags: Vec::new(),
        custom_fields: serde_json::Map::new(),
        metadata: "{}".into(),
    });
    let jobs: Vec<_> = commands.map(|command| app.db.submit::<StartOutboundVerb>(command)).collect();
    for job in jobs {
        job.await.expect("opens");
    }
    assert_eq!(app.get("/api/v1/conversations?status=active").await.expect(200)["meta"]["total"], 200);
    assert_eq!(app.get("/api/v1/contacts").await.expect(200)["meta"]["total"], 50);
}
