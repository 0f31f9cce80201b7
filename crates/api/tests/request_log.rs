//! The request log, and what a tenant sets for itself.

#[path = "support/app.rs"]
mod app;

use app::App;
use serde_json::{Value, json};
use tieline_core::ids::TenantId;
use tieline_core::keys::token::Mode;
use tieline_core::requests;
use tieline_core::tenants::{self, Plan, UpdateTenant};

const LOG: &str = "/v1/request-log";

async fn flush(app: &App) {
    app.hub.requests().flush().await.expect("writes");
}

/// Method, path and status of every row.
async fn rows(app: &App, query: &str) -> Vec<String> {
    let page = app.get(&format!("{LOG}?limit=100&{query}")).await.expect(200);
    let row = |row: &Value| {
        format!("{} {} {}", row["method"].as_str().unwrap(), row["path"].as_str().unwrap(), row["status"])
    };
    page["data"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test]
async fn requests_with_a_credential_are_kept_and_found() {
    let app = App::new().await;
    let weak = app.key("acme", Mode::Live, &["tags:read"]).await;
    let test = app.key("acme", Mode::Test, &["full_access"]).await;
    app.call(&app.key, "GET", "/v1/tags?limit=3", &[("x-request-id", "mine-1")], None).await.expect(200);
    app.clock.advance_us(1_000_000);
    app.call(&weak, "POST", "/v1/tags", &[], Some(json!({"name": "a"}))).await.expect(403);
    app.clock.advance_us(1_000_000);
    let missing = "/v1/tags/tag_01920000000070008000000000000001";
    app.get(missing).await.expect(404);
    app.call("sa_live_wrong", "GET", "/v1/tags", &[], None).await.expect(401);
    app.call(&test, "GET", "/v1/contacts", &[], None).await.expect(200);
    flush(&app).await;

    let page = app.get(LOG).await.expect(200);
    let first = &page["data"][2];
    assert_eq!(
        (&first["method"], &first["route"], &first["path"], &first["status"], &first["requestId"], &first["timestamp"]),
        (
            &json!("GET"),
            &json!("/v1/tags"),
            &json!("/v1/tags"),
            &json!(200),
            &json!("mine-1"),
            &json!("2026-05-12T09:30:00.000Z")
        )
    );
    assert!(first["durationMs"].as_f64().unwrap() > 0.0 && first["id"].as_str().unwrap().starts_with("log_"));
    assert_eq!(
        (&first["requestBody"], &first["responseBody"], &first["address"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let not_found = format!("GET {missing} 404");
    assert_eq!(
        rows(&app, "").await,
        [not_found.as_str(), "POST /v1/tags 403", "GET /v1/tags 200"],
        "not the sandbox's"
    );

    let key = page["data"][1]["key"].as_str().unwrap();
    for (query, expected) in [
        (format!("key={key}"), vec!["POST /v1/tags 403"]),
        ("status=404".into(), vec![not_found.as_str()]),
        ("status=4xx".into(), vec![&not_found, "POST /v1/tags 403"]),
        ("method=GET".into(), vec![&not_found, "GET /v1/tags 200"]),
        ("path=/v1/tags/".into(), vec![&not_found]),
        ("requestId=mine-1".into(), vec!["GET /v1/tags 200"]),
        ("since=2026-05-12T09:30:01Z".into(), vec![&not_found, "POST /v1/tags 403"]),
        ("until=2026-05-12T09:30:01Z".into(), vec!["GET /v1/tags 200"]),
        (
            "since=2026-05-12T09:30:01Z&until=2026-05-12T09:30:02Z&status=403&method=POST".into(),
            vec!["POST /v1/tags 403"],
        ),
        ("path=/v1/contacts".into(), vec![]),
    ] {
        assert_eq!(rows(&app, &query).await, expected, "{query}");
    }
    let wrong = app.get(&format!("{LOG}?status=9xx&method=BREW&since=now")).await.expect(400);
    assert_eq!(wrong["errors"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn pages_follow_each_other_and_filters_look_at_a_bounded_number_of_rows() {
    let app = App::new().await;
    let entry = |n: i64| requests::Entry {
        tenant: TenantId(1),
        id: uuid::Uuid::from_u128(n as u128 + 1),
        principal: if n == 0 { "key_rare" } else { "key_busy" }.into(),
        method: "GET".into(),
        route: "/v1/tags".into(),
        path: format!("/v1/tags/{n}"),
        status: 200,
        duration_us: 1,
        request_id: format!("r-{n}"),
        address: None,
        request_body: None,
        response_body: None,
        at: 0,
    };
    for chunk in 0..12 {
        let entries: Vec<_> = (chunk * 1000..(chunk + 1) * 1000).map(entry).collect();
        let written: Result<(), tieline_core::Error> = app.db.write(move |tx| requests::append(tx, &entries)).await;
        written.expect("writes");
    }
    // Past ten thousand rows the page ends, and says where to go on.
    let page = app.get(&format!("{LOG}?path=/v1/tags/0")).await.expect(200);
    assert_eq!((page["data"].as_array().unwrap().len(), &page["hasMore"]), (0, &json!(true)));
    let cursor = page["nextCursor"].as_str().unwrap();
    let page = app.get(&format!("{LOG}?path=/v1/tags/0&cursor={cursor}")).await.expect(200);
    assert_eq!((page["data"][0]["path"].as_str(), &page["hasMore"]), (Some("/v1/tags/0"), &json!(false)));
    // A key has its own index.
    let page = app.get(&format!("{LOG}?key=key_rare")).await.expect(200);
    assert_eq!((page["data"].as_array().unwrap().len(), &page["hasMore"]), (1, &json!(false)));
    let mut cursor = String::new();
    for start in [11_999, 11_899] {
        let page = app.get(&format!("{LOG}?limit=100{cursor}")).await.expect(200);
        assert_eq!(page["data"][0]["path"], format!("/v1/tags/{start}"));
        assert_eq!(page["data"].as_array().unwrap().len(), 100);
        cursor = format!("&cursor={}", page["nextCursor"].as_str().unwrap());
    }
}

#[tokio::test]
async fn bodies_are_kept_where_the_tenant_asks_and_without_secrets() {
    let app = App::new().await;
    app.patch("/v1/tenant", json!({"logBodies": true})).await.expect(200);
    let made = app.post("/v1/api-keys", json!({"name": "k", "scopes": ["tags:read"]})).await.expect(201);
    let user = json!({"email": "a@example.com", "name": "A", "password": "correct horse battery"});
    app.post("/v1/users", user).await.expect(201);
    app.post("/v1/tags", json!({"name": 7})).await.expect(400);
    app.post("/v1/contacts", json!({"name": "x".repeat(50_000), "email": "b@example.com"})).await;
    flush(&app).await;
    let page = app.get(LOG).await.expect(200);
    let row = |path: &str| page["data"].as_array().unwrap().iter().find(|row| row["path"] == path).unwrap();
    let key = row("/v1/api-keys");
    assert_eq!(key["requestBody"], r#"{"name":"k","scopes":["tags:read"]}"#);
    assert!(key["responseBody"].as_str().unwrap().contains(r#""key":"***""#), "{key}");
    assert!(row("/v1/users")["requestBody"].as_str().unwrap().contains(r#""password":"***""#));
    assert!(row("/v1/tags")["responseBody"].as_str().unwrap().contains("validation_error"));
    assert_eq!(row("/v1/contacts")["requestBody"].as_str().unwrap().len(), requests::BODY_LIMIT);
    for secret in [made["key"].as_str().unwrap(), "correct horse battery"] {
        assert!(!app.stored(secret.as_bytes()).await, "no secret is stored");
    }
    app.patch("/v1/tenant", json!({"logBodies": false})).await.expect(200);
    app.post("/v1/tags", json!({"name": "b"})).await.expect(201);
    flush(&app).await;
    assert_eq!(app.get(&format!("{LOG}?status=201&limit=1")).await.expect(200)["data"][0]["requestBody"], Value::Null);
}

#[tokio::test]
async fn a_tenant_wants_less_than_its_plan_and_never_gets_more() {
    let app = App::new().await;
    let plan = Plan { rate_per_minute: 100, monthly_quota: Some(1000), ..Plan::default() };
    let cmd = UpdateTenant { name: None, plan: Some(plan) };
    app.db.write(move |tx| tenants::update(tx, None, "acme", &cmd)).await.expect("changes");
    let limits = async || {
        let me = app.get("/v1/me").await.expect(200);
        (me["limits"]["minute"]["limit"].clone(), me["limits"]["month"]["limit"].clone())
    };
    let set = app.patch("/v1/tenant", json!({"requestsPerMinute": 50, "monthlyQuota": 20})).await.expect(200);
    assert_eq!(
        (&set["requestsPerMinute"], &set["monthlyQuota"], &set["logBodies"]),
        (&json!(50), &json!(20), &json!(false))
    );
    assert_eq!(limits().await, (json!(50), json!(20)));
    let test = app.key("acme", Mode::Test, &["full_access"]).await;
    let me = app.call(&test, "GET", "/v1/me", &[], None).await.expect(200);
    assert_eq!((&me["limits"]["minute"]["limit"], &me["limits"]["month"]["used"]), (&json!(50), &json!(1)));
    let refused = app.call(&test, "PATCH", "/v1/tenant", &[], Some(json!({"logBodies": true}))).await;
    assert_eq!(refused.expect(403)["code"], "live_key_needed");
    app.patch("/v1/tenant", json!({"requestsPerMinute": 5000, "monthlyQuota": 5000})).await.expect(200);
    assert_eq!(limits().await, (json!(100), json!(1000)), "the plan's");
    app.patch("/v1/tenant", json!({"requestsPerMinute": null, "monthlyQuota": 30})).await.expect(200);
    assert_eq!(limits().await, (json!(100), json!(30)));
    app.patch("/v1/tenant", json!({"requestsPerMinute": 0})).await.expect(400);
    assert_eq!(app.get("/v1/tenant").await.expect(200)["monthlyQuota"], 30);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_costs_rows_and_not_requests() {
    let app = App::new().await;
    app.get("/v1/tags").await.expect(200);
    app.db.close();
    assert!(app.hub.requests().flush().await.is_err());
    assert_eq!(app.hub.requests().dropped().get(), 1);
    assert_eq!(app.hub.requests().flush().await.expect("nothing to write"), 0);
}
