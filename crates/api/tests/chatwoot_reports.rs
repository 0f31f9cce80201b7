//! Reports of the API inbox, from what happens to the figures.

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
use tieline_delivery::reports::ReportLoop;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

fn id(value: &Value) -> i64 {
    value["id"].as_i64().unwrap_or_else(|| panic!("no id: {value}"))
}

/// Adds up all that has happened.
async fn add_up(app: &App) {
    app.number().await;
    let counting = ReportLoop::new(app.db.clone());
    while counting.step().await.expect("counts") {}
}

async fn asked(bridge: &Bridge<'_>, account: i64, path: &str) -> Reply {
    let uri = format!("/api/v2/accounts/{account}/reports{path}");
    let request = Request::builder().uri(uri).header("api_access_token", &bridge.token);
    bridge.app.send(request.body(Body::empty()).expect("a request")).await
}

async fn report(bridge: &Bridge<'_>, path: &str) -> Value {
    asked(bridge, 1, path).await.expect(200)
}

#[tokio::test]
async fn what_happened_is_counted_once_and_for_everybody_it_concerns() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let (token, caio) = user(&app, "acme", "Caio", Role::Agent).await;
    let agent = Bridge { app: &app, token };
    let inbox = id(&bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await);
    bridge.post("/inbox_members", json!({"inbox_id": inbox, "user_ids": [caio]})).await;
    let team = id(&bridge.post("/teams", json!({"name": "Logistics"})).await);
    let label = id(&bridge.post("/labels", json!({"title": "late"})).await);
    let contact = json!({"inbox_id": inbox, "name": "Ana", "phone_number": "+5511987654321"});
    let contact = id(&bridge.post("/contacts", contact).await["payload"]["contact"]);

    // Full hours, so that what is said a few minutes later is said in the same one.
    app.clock.advance_us(HOUR - app.clock.now() % HOUR);
    let start = app.clock.now() / 1_000_000;
    let open = async || id(&bridge.post("/conversations", json!({"inbox_id": inbox, "contact_id": contact})).await);
    let say = async |who: &Bridge<'_>, v: i64, kind: &str| {
        who.post(&format!("/conversations/{v}/messages"), json!({"content": "x", "message_type": kind})).await;
    };
    let (v, w) = (open().await, open().await);
    app.clock.advance_us(MINUTE);
    say(&bridge, v, "incoming").await;
    say(&bridge, v, "incoming").await;
    say(&bridge, w, "incoming").await;
    bridge.post(&format!("/conversations/{v}/assignments"), json!({"assignee_id": caio})).await;
    bridge.post(&format!("/conversations/{v}/assignments"), json!({"team_id": team})).await;
    bridge.post(&format!("/conversations/{v}/labels"), json!({"labels": ["late"]})).await;
    app.clock.advance_us(2 * MINUTE);
    say(&agent, v, "outgoing").await; // first reply after 3 minutes, 2 after the question
    say(&agent, v, "outgoing").await; // answers nothing
    app.clock.advance_us(HOUR);
    say(&bridge, v, "incoming").await;
    app.clock.advance_us(4 * MINUTE);
    say(&agent, v, "outgoing").await; // 4 minutes after the question
    app.clock.advance_us(3 * MINUTE);
    bridge.post(&format!("/conversations/{v}/toggle_status"), json!({"status": "resolved"})).await;
    add_up(&app).await;
    add_up(&app).await;

    let range = format!("since={start}&until={}", start + 86_400);
    let nothing = json!({"conversations_count": 0, "incoming_messages_count": 0, "outgoing_messages_count": 0,
        "avg_first_response_time": 0, "avg_resolution_time": 0, "resolutions_count": 0, "reply_time": 0});
    let of_v = json!({"conversations_count": 1, "incoming_messages_count": 1, "outgoing_messages_count": 3,
        "avg_first_response_time": 180.0, "avg_resolution_time": 4200.0, "resolutions_count": 1, "reply_time": 180.0,
        "previous": nothing});
    let mut of_all = of_v.clone();
    of_all["conversations_count"] = json!(2);
    of_all["incoming_messages_count"] = json!(4);
    for (whose, expected) in [
        ("type=account".to_owned(), &of_all),
        (format!("type=inbox&id={inbox}"), &of_all),
        (format!("type=agent&id={caio}"), &of_v),
        (format!("type=team&id={team}"), &of_v),
        (format!("type=label&id={label}"), &of_v),
    ] {
        assert_eq!(report(&bridge, &format!("/summary?{whose}&{range}")).await, *expected, "{whose}");
    }
    let later = format!("since={}&until={}", start + 86_400, start + 2 * 86_400);
    let summary = report(&bridge, &format!("/summary/?type=account&{later}")).await;
    assert_eq!(
        (&summary["outgoing_messages_count"], &summary["previous"]["outgoing_messages_count"]),
        (&json!(0), &json!(3))
    );

    let series = report(
        &bridge,
        &format!("?metric=incoming_messages_count&type=account&group_by=hour&since={start}&until={}", start + 3 * 3600),
    )
    .await;
    let point = |hour: i64, value: i64| json!({"value": value, "timestamp": start + hour * 3600});
    assert_eq!(series, json!([point(0, 3), point(1, 1), point(2, 0)]));
    let series = report(&bridge, &format!("?metric=reply_time&type=agent&id={caio}&{range}&timezone_offset=0")).await;
    let day = start - start.rem_euclid(86_400);
    assert_eq!(series[0], json!({"value": 180.0, "timestamp": day, "count": 2}));
    let west = report(&bridge, &format!("?metric=conversations_count&type=account&{range}&timezone_offset=-3")).await;
    let first = west[0]["timestamp"].as_i64().expect("a time");
    assert_eq!((first + 3 * 3600).rem_euclid(86_400), 6 * 3600, "days begin at three, UTC");
    let total: i64 = west.as_array().expect("a list").iter().filter_map(|point| point["value"].as_i64()).sum();
    assert_eq!(total, 2);

    // Given to somebody else it counts there, in the hour of its opening.
    let bea = id(&bridge
        .get("/agents")
        .await
        .as_array()
        .expect("a list")
        .iter()
        .find(|user| user["name"] == "Bea")
        .expect("Bea")
        .clone());
    bridge.post(&format!("/conversations/{v}/assignments"), json!({"assignee_id": bea})).await;
    bridge.post(&format!("/conversations/{v}/labels"), json!({"labels": []})).await;
    add_up(&app).await;
    for (whose, count) in
        [(format!("agent&id={caio}"), 0), (format!("agent&id={bea}"), 1), (format!("label&id={label}"), 0)]
    {
        let path =
            format!("?metric=conversations_count&type={whose}&group_by=hour&since={start}&until={}", start + 3600);
        assert_eq!(report(&bridge, &path).await, json!([{"value": count, "timestamp": start}]), "{whose}");
    }

    // How the queue stands.
    let now = report(&bridge, "/conversations?type=account").await;
    assert_eq!(now, json!({"open": 1, "unattended": 1, "unassigned": 1, "pending": 0}));
    bridge.post(&format!("/conversations/{w}/assignments"), json!({"assignee_id": caio})).await;
    let people = report(&bridge, "/conversations/?type=agent").await;
    let of_caio = people.as_array().expect("a list").iter().find(|user| user["id"] == caio).expect("Caio");
    assert_eq!(
        *of_caio,
        json!({"id": caio, "name": "Caio", "email": "caio@example.com", "thumbnail": "", "availability": "offline",
               "metric": {"open": 1, "unattended": 1}})
    );
    let one = report(&bridge, &format!("/conversations?type=agent&user_id={caio}")).await;
    assert_eq!(one.as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn who_may_not_and_what_is_wrong() {
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    for path in [
        "?metric=joy&type=account",
        "?type=account",
        "?metric=reply_time&type=planet",
        "?metric=reply_time&group_by=decade",
        "?metric=reply_time&timezone_offset=99",
        "?metric=reply_time&timezone_offset=x",
        "?metric=reply_time&since=10&until=5",
        "?metric=reply_time&since=0&until=1700000000",
        "/summary?since=0&until=1700000000",
        "/summary?since=-5&until=99999999999999999",
    ] {
        let refused = asked(&bridge, 1, path).await.expect(422);
        assert!(refused["error"].is_string() && refused["error"] == refused["message"], "{path}: {refused}");
    }
    let missing = asked(&bridge, 1, "/conversations").await;
    missing.expect_status(422);
    assert!(missing.body.is_empty());
    for kind in ["inbox", "team", "agent", "label"] {
        let path = format!("/summary?type={kind}&id=4711");
        assert_eq!(asked(&bridge, 1, &path).await.expect(404)["error"], "Resource could not be found");
    }
    assert_eq!(asked(&bridge, 4711, "/summary").await.expect(404)["error"], "Resource could not be found");
    assert_eq!(report(&bridge, "?metric=reply_time").await.as_array().expect("a list").len(), 8, "a week");

    let agent = Bridge { app: &app, token: user(&app, "acme", "Caio", Role::Agent).await.0 };
    let other = app.tenant("other").await.id.0;
    let stranger = Bridge { app: &app, token: user(&app, "other", "Davi", Role::Admin).await.0 };
    let inbox = id(&bridge.post("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await);
    for path in ["?metric=reply_time", "/summary", "/conversations?type=account"] {
        let refused = asked(&agent, 1, path).await.expect(401);
        assert_eq!(refused["error"], "You are not authorized to do this action", "{path}");
        asked(&stranger, 1, path).await.expect(401);
    }
    asked(&stranger, other, &format!("/summary?type=inbox&id={inbox}")).await.expect(404);
    asked(&stranger, other, "/summary").await.expect(200);
}
