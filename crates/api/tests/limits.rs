//! Limits as callers meet them: headers, refusals, and what they cost.

#[path = "support/app.rs"]
mod app;

use app::{App, Reply};
use axum::extract::ConnectInfo;
use http::Request;
use serde_json::json;
use std::net::SocketAddr;
use tieline_api::limits::{FAILURES_PER_MINUTE, Publisher};
use tieline_core::keys::token::Mode;
use tieline_core::tenants::{self, Plan, UpdateTenant};

const START: i64 = 1_778_578_200;

async fn set_plan(app: &App, plan: Plan) {
    let cmd = UpdateTenant { name: None, plan: Some(plan) };
    app.db.write(move |tx| tenants::update(tx, None, "acme", &cmd)).await.expect("changes");
}

fn header(reply: &Reply, name: &str) -> Option<i64> {
    reply.headers.get(name).map(|value| value.to_str().unwrap().parse().unwrap())
}

fn rate(reply: &Reply) -> [Option<i64>; 3] {
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].map(|name| header(reply, name))
}

fn quota(reply: &Reply) -> [Option<i64>; 3] {
    ["x-api-quota-limit", "x-api-quota-remaining", "x-api-quota-reset"].map(|name| header(reply, name))
}

#[tokio::test]
async fn a_key_makes_so_many_requests_in_any_minute() {
    let app = App::new().await;
    set_plan(&app, Plan { rate_per_minute: 3, ..Plan::default() }).await;
    for remaining in [2, 1, 0] {
        let reply = app.get("/v1/tags").await;
        reply.expect_status(200);
        assert_eq!(rate(&reply), [Some(3), Some(remaining), Some(START + 60)]);
        assert_eq!(quota(&reply), [None; 3], "there is no quota");
        app.clock.advance_us(if remaining == 0 { 0 } else { 10_500_000 });
    }
    let refused = app.get("/v1/tags").await;
    assert_eq!(refused.expect(429)["code"], "rate_limited");
    assert_eq!((rate(&refused), header(&refused, "retry-after")), ([Some(3), Some(0), Some(START + 60)], Some(39)));
    // Another key has limits of its own, and refusals cost nothing: the first slot frees in time.
    let other = app.key("acme", Mode::Live, &["tags:read"]).await;
    app.call(&other, "GET", "/v1/tags", &[], None).await.expect(200);
    app.clock.advance_us(39_000_000);
    let reply = app.get("/v1/tags").await;
    reply.expect_status(200);
    assert_eq!(rate(&reply), [Some(3), Some(0), Some(START + 71)]);
}

#[tokio::test]
async fn every_authenticated_answer_says_what_is_left() {
    let app = App::new().await;
    set_plan(&app, Plan { rate_per_minute: 100, monthly_quota: Some(1000), ..Plan::default() }).await;
    let weak = app.key("acme", Mode::Live, &["tags:read"]).await;
    let first_of_june = 1_780_272_000;
    for (n, (key, method, path, body, status)) in [
        (&app.key, "GET", "/v1/tags", None, 200),
        (&app.key, "POST", "/v1/tags", Some(json!({})), 400),
        (&app.key, "GET", "/v1/tags/tag_01920000000070008000000000000001", None, 404),
        (&weak, "POST", "/v1/tags", Some(json!({"name": "a"})), 403),
    ]
    .into_iter()
    .enumerate()
    {
        let reply = app.call(key, method, path, &[], body).await;
        reply.expect_status(status);
        assert!(rate(&reply).iter().all(Option::is_some), "{path}");
        assert_eq!(
            quota(&reply),
            [Some(1000), Some(999 - n as i64), Some(first_of_june)],
            "{path}: it is the tenant's"
        );
    }
    let nobody = app.call("sa_live_wrong", "GET", "/v1/tags", &[], None).await;
    nobody.expect_status(401);
    assert_eq!((rate(&nobody), quota(&nobody)), ([None; 3], [None; 3]));
}

#[tokio::test]
async fn quotas_are_used_up_and_begin_anew() {
    let app = App::new().await;
    set_plan(&app, Plan { rate_per_minute: 5, daily_quota: Some(4), monthly_quota: Some(6), ..Plan::default() }).await;
    for left in [3, 2, 1, 0] {
        let reply = app.get("/v1/tags").await;
        reply.expect_status(200);
        assert_eq!(header(&reply, "x-api-quota-remaining"), Some(left), "the day ends first");
    }
    for _ in 0..3 {
        let refused = app.get("/v1/tags").await;
        assert_eq!(refused.expect(429)["code"], "daily_quota_exceeded");
        let midnight = 1_778_630_400;
        assert_eq!(header(&refused, "retry-after"), Some(midnight - START));
        assert_eq!(quota(&refused), [Some(4), Some(0), Some(midnight)]);
    }
    app.clock.advance_us(24 * 3600 * 1_000_000);
    app.get("/v1/tags").await.expect(200);
    let me = app.get("/v1/me").await.expect(200);
    assert_eq!((&me["limits"]["day"]["used"], &me["limits"]["month"]["used"]), (&json!(2), &json!(6)));
    let refused = app.get("/v1/tags").await;
    assert_eq!(refused.expect(402)["code"], "quota_exceeded");
    assert_eq!(header(&refused, "retry-after"), None, "a month is not worth waiting for");
    assert_eq!(quota(&refused), [Some(6), Some(0), Some(1_780_272_000)]);
    // More quota holds with the next request.
    set_plan(&app, Plan { rate_per_minute: 5, monthly_quota: Some(7), ..Plan::default() }).await;
    app.get("/v1/tags").await.expect(200);
    app.get("/v1/tags").await.expect(402);
    app.clock.advance_us(31 * 24 * 3600 * 1_000_000);
    app.get("/v1/tags").await.expect(200);
}

#[tokio::test]
async fn refusals_come_in_the_order_of_the_contract() {
    let app = App::new().await;
    let weak = app.key("acme", Mode::Live, &["tags:read"]).await;
    let plan = |has_api, rate_per_minute| Plan { has_api, rate_per_minute, ..Plan::default() };
    let post = async || app.call(&weak, "POST", "/v1/tags", &[], Some(json!({}))).await;
    set_plan(&app, plan(true, 3)).await;
    assert_eq!(post().await.expect(403)["code"], "insufficient_scope", "before the body is looked at");
    set_plan(&app, plan(false, 3)).await;
    assert_eq!(post().await.expect(403)["code"], "api_disabled", "before the scope");
    let last = post().await;
    assert_eq!(rate(&last), [Some(3), Some(0), Some(START + 60)], "both counted");
    assert_eq!(post().await.expect(429)["code"], "rate_limited", "before the switched-off API");
    let wrong = app.call("sa_live_wrong", "POST", "/v1/tags", &[], Some(json!({}))).await;
    assert_eq!(wrong.expect(401)["code"], "invalid_api_key", "before everything");
    let large = Request::post("/v1/tags").header("content-length", 2 << 20).body("".into()).unwrap();
    app.send(large).await.expect_status(413);
}

#[tokio::test]
async fn me_shows_the_limits_and_the_tier() {
    let app = App::new().await;
    set_plan(&app, Plan::default().with_tier(tieline_core::limits::Tier::Starter)).await;
    app.get("/v1/tags").await.expect(200);
    let me = app.get("/v1/me").await.expect(200);
    assert_eq!(me["key"]["rateLimitTier"], "starter");
    assert_eq!((&me["plan"]["requestsPerMinute"], &me["plan"]["burst"]), (&json!(60), &json!(10)));
    assert_eq!(
        me["limits"],
        json!({
            "minute": {"limit": 60, "used": 2, "remaining": 58, "resetsAt": "2026-05-12T09:31:00.000Z"},
            "day": {"limit": 10000, "used": 2, "remaining": 9998, "resetsAt": "2026-05-13T00:00:00.000Z"},
            "month": {"limit": null, "used": 2, "remaining": null, "resetsAt": "2026-06-01T00:00:00.000Z"},
        })
    );
    // The burst is room above the limit, and never shows as something that remains.
    for _ in 2..70 {
        app.get("/v1/tags").await.expect(200);
    }
    let refused = app.get("/v1/tags").await;
    refused.expect_status(429);
    assert_eq!(rate(&refused), [Some(60), Some(0), Some(START + 60)]);
}

#[tokio::test]
async fn what_was_counted_survives_a_restart() {
    let app = App::new().await;
    set_plan(&app, Plan { rate_per_minute: 4, monthly_quota: Some(100), ..Plan::default() }).await;
    for _ in 0..3 {
        app.get("/v1/tags").await.expect(200);
    }
    Publisher::new(app.hub.clone()).step().await.expect("publishes");
    let again = app.restarted();
    let reply = again.get("/v1/tags").await;
    reply.expect_status(200);
    assert_eq!((header(&reply, "x-ratelimit-remaining"), header(&reply, "x-api-quota-remaining")), (Some(0), Some(96)));
    again.get("/v1/tags").await.expect(429);
}

async fn from(app: &App, peer: &str, forwarded: Option<&str>, key: &str) -> Reply {
    let mut request = Request::get("/v1/me").header("authorization", format!("Bearer {key}"));
    if let Some(forwarded) = forwarded {
        request = request.header("x-forwarded-for", forwarded);
    }
    let mut request = request.body("".into()).unwrap();
    request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
    app.send(request).await
}

#[tokio::test]
async fn failed_authentications_are_limited_by_address() {
    let app = App::new().await;
    let unknown = app.key("acme", Mode::Live, &["basic"]).await;
    let revoked = app.expiring_key("acme", 0).await;
    let here = "198.51.100.7:4000";
    from(&app, here, None, &app.key).await.expect_status(200);
    for n in 0..FAILURES_PER_MINUTE {
        let key = if n % 2 == 0 { "sa_live_wrong" } else { revoked.as_str() };
        assert_eq!(from(&app, here, None, key).await.expect(401)["code"], "invalid_api_key");
    }
    let refused = from(&app, here, None, "sa_live_wrong").await;
    assert_eq!(refused.expect(429)["code"], "rate_limited");
    assert_eq!((header(&refused, "retry-after"), rate(&refused)), (Some(60), [None; 3]));
    from(&app, here, None, &unknown).await.expect_status(429);
    set_plan(&app, Plan::default()).await;
    from(&app, here, None, &app.key).await.expect_status(200); // it worked before: its neighbours do not lock it out
    from(&app, "198.51.100.8:4000", None, &unknown).await.expect_status(200);
    app.clock.advance_us(60_000_000);
    from(&app, here, None, "sa_live_wrong").await.expect_status(401);
    // Without a key nothing was tried.
    for _ in 0..=FAILURES_PER_MINUTE {
        let mut request = Request::get("/v1/me").body("".into()).unwrap();
        request.extensions_mut().insert(ConnectInfo("198.51.100.9:1".parse::<SocketAddr>().unwrap()));
        app.send(request).await.expect_status(401);
    }
}

#[tokio::test]
async fn a_trusted_proxy_names_the_address_and_64_bits_are_one_household() {
    let app = App::new().await;
    let wrong = "sa_live_wrong";
    for n in 0..FAILURES_PER_MINUTE {
        from(&app, "10.0.0.1:1", Some(&format!("2001:db8::{n:x}")), wrong).await.expect_status(401);
    }
    from(&app, "10.0.0.1:1", Some("2001:db8::ffff:1"), wrong).await.expect_status(429);
    from(&app, "10.0.0.1:1", Some("2001:db8:0:1::1"), wrong).await.expect_status(401);
    from(&app, "10.0.0.1:1", Some("2001:db8::1, 198.51.100.1"), wrong).await.expect_status(401);
    from(&app, "198.51.100.2:1", Some("2001:db8::1"), wrong).await.expect_status(401); // nobody's proxy
}
