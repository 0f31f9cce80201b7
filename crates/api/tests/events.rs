//! The feed and the stream: one log, read without gaps and without repeats.

#[path = "support/app.rs"]
mod app;

use app::App;
use axum::body::Body;
use axum::http::Request;
use futures::StreamExt;
use serde_json::{Value, json};
use tieline_api::http::layers::Edge;
use tieline_api::v1::stream::MAX_STREAMS_PER_TENANT;
use tieline_core::keys::token::Mode;
use tieline_delivery::housekeeping::{Housekeeping, Kept};
use tower::ServiceExt;

const DAY_US: i64 = 24 * 3600 * 1_000_000;

async fn open(app: &App, key: &str, reference: &str) -> Value {
    let body = json!({"externalReference": reference, "subject": "s", "contact": {"email": "ana@example.com"},
        "outboundContext": {"originalMessage": "Hello", "metadata": {"a": 1}}});
    app.call(key, "POST", "/v1/conversations/outbound", &[], Some(body)).await.expect(201)
}

fn rows(page: &Value) -> Vec<Value> {
    page["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_feed_is_read_from_the_oldest_on_by_cursor_and_by_id() {
    let app = App::new().await;
    for number in 0..4 {
        open(&app, &app.key, &number.to_string()).await;
    }
    let all = rows(&app.get("/v1/events?limit=100").await.expect(200));
    let names: Vec<&str> = all.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["contact.created", "conversation.created", "message.received"]);
    assert_eq!(all.len(), 9);
    assert!(all.iter().all(|event| event["previousSequence"].is_null() && event["type"] == event["event"]));
    assert_eq!((&all[1]["sequence"], &all[2]["sequence"]), (&json!(1), &json!(2)));

    let mut paged = Vec::new();
    let mut page = app.get("/v1/events?limit=2").await.expect(200);
    loop {
        paged.extend(rows(&page));
        assert_eq!(page["hasMore"], page["nextCursor"].is_string());
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        // A cursor goes as `cursor` and as `after`.
        let name = if paged.len() % 4 == 0 { "cursor" } else { "after" };
        page = app.get(&format!("/v1/events?limit=2&{name}={cursor}")).await.expect(200);
    }
    assert_eq!(paged, all);
    for (index, event) in all.iter().enumerate() {
        let after = app.get(&format!("/v1/events?limit=100&after={}", event["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(rows(&after), all[index + 1..]);
    }
    let some = app.get("/v1/events?types=contact.created,message.received&limit=3").await.expect(200);
    assert_eq!(rows(&some).len(), 3);
    assert_eq!(some["hasMore"], true);
    let cursor = some["nextCursor"].as_str().unwrap();
    let rest = app.get(&format!("/v1/events?types=contact.created,message.received&cursor={cursor}")).await.expect(200);
    assert_eq!((rows(&rest).len(), &rest["hasMore"]), (2, &json!(false)));
}

#[tokio::test]
async fn wrong_questions_are_refused_and_others_see_nothing() {
    let app = App::new().await;
    open(&app, &app.key, "a").await;
    let all = app.get("/v1/events").await.expect(200);
    let id = all["data"][0]["id"].as_str().unwrap();
    let page = app.get("/v1/events?limit=1").await.expect(200);
    let cursor = page["nextCursor"].as_str().unwrap();
    for query in ["types=nothing", "types=", "limit=101", "cursor=x", "after=x", "after=conv_1"] {
        app.get(&format!("/v1/events?{query}")).await.expect(400);
    }
    let wrong = app.get("/v1/events?after=x").await.expect(400);
    assert_eq!((&wrong["code"], &wrong["errors"][0]["field"]), (&json!("invalid_cursor"), &json!("after")));
    let both = app.get(&format!("/v1/events?cursor={cursor}&after={id}")).await.expect(400);
    assert_eq!(both["errors"][0]["code"], "not_allowed");
    app.tenant("other").await;
    let stranger = app.key("other", Mode::Live, &["full_access"]).await;
    let of_stranger = async |query: &str| app.call(&stranger, "GET", &format!("/v1/events{query}"), &[], None).await;
    assert_eq!(rows(&of_stranger("").await.expect(200)).len(), 0);
    assert_eq!(of_stranger(&format!("?after={id}")).await.expect(404)["code"], "event_expired");
    assert_eq!(of_stranger(&format!("?cursor={cursor}")).await.expect(400)["code"], "invalid_cursor");
    let without = app.key("acme", Mode::Live, &["webhooks:write"]).await;
    for path in ["/v1/events", "/v1/stream"] {
        let refused = app.call(&without, "GET", path, &[], None).await.expect(403);
        assert_eq!(refused["requiredScope"], "events:read");
    }
    for path in [format!("/v1/stream?after={id}"), "/v1/stream".to_owned()] {
        let header: &[(&str, &str)] = if path.contains('?') { &[] } else { &[("last-event-id", id)] };
        let gone = app.call(&stranger, "GET", &path, header, None).await.expect(404);
        assert_eq!(gone["code"], "event_expired");
    }
    app.get("/v1/stream?after=x").await.expect(400);
    app.call(&app.key, "GET", "/v1/stream", &[("last-event-id", "x")], None).await.expect(400);
}

#[tokio::test]
async fn what_is_too_old_is_removed_and_the_rest_stays() {
    let app = App::new().await;
    let webhook = json!({"name": "hook", "url": "https://example.com/in", "events": ["*"]});
    let made = app.post("/v1/webhooks", webhook).await.expect(201);
    open(&app, &app.key, "old").await;
    let first = app.get("/v1/events").await.expect(200)["data"][0]["id"].clone();
    let path = "/v1/conversations/outbound";
    let body = json!({"externalReference": "k", "subject": "s", "contact": {"email": "ana@example.com"}});
    app.call(&app.key, "POST", path, &[("idempotency-key", "k")], Some(body)).await.expect(201);
    let rotate = format!("/v1/webhooks/{}/rotate-secret", made["id"].as_str().unwrap());
    app.post(&rotate, json!({"expirePreviousInSeconds": 10})).await.expect(200);
    let housekeeping = Housekeeping::new(app.db.clone(), Kept::default());
    assert_eq!(housekeeping.step().await.unwrap(), 0, "nothing is old yet");
    app.clock.advance_us(2 * DAY_US);
    assert_eq!(housekeeping.step().await.unwrap(), 2, "the idempotency key and the previous secret");
    app.clock.advance_us(27 * DAY_US);
    open(&app, &app.key, "new").await;
    assert_eq!(housekeeping.step().await.unwrap(), 0);
    app.clock.advance_us(DAY_US + 1);
    assert_eq!(housekeeping.step().await.unwrap(), 4, "the events of two conversations and a contact");
    assert_eq!(housekeeping.step().await.unwrap(), 0);
    let left = app.get("/v1/events").await.expect(200);
    assert_eq!(rows(&left).len(), 2);
    let gone = app.get(&format!("/v1/events?after={}", first.as_str().unwrap())).await.expect(404);
    assert_eq!(gone["code"], "event_expired");
    app.clock.advance_us(60 * DAY_US);
    assert_eq!(housekeeping.step().await.unwrap(), 1, "the newest stays, so that positions never start over");
}

/// A stream being read.
struct Reading {
    body: axum::body::BodyDataStream,
    text: String,
}

/// One event of a stream.
struct Sent {
    id: String,
    name: String,
    data: Value,
}

impl Reading {
    async fn start(app: &App, key: &str, query: &str, last: Option<&str>) -> Reading {
        let (router, _) = tieline_api::app(app.hub.clone());
        let request = Request::get(format!("/v1/stream{query}")).header("authorization", format!("Bearer {key}"));
        let request = match last {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let response = Edge::new(None, ()).around(router).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Reading { body: response.into_body().into_data_stream(), text: String::new() }
    }
    /// The next event; none at the end of the stream.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let (Some(id), Some(name), Some(data)) = (field("id: "), field("event: "), field("data: ")) else {
                    continue; // a comment, or how soon to come back
                };
                return Some(Sent { id, name, data: serde_json::from_str(&data).unwrap() });
            }
            let chunk = self.body.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

#[tokio::test]
async fn a_stream_resumes_without_gap_or_repeat_while_others_write() {
    const EACH: usize = 60;
    let app = App::new().await;
    app.tenant("other").await;
    let other = app.key("other", Mode::Live, &["full_access"]).await;
    open(&app, &app.key, "before").await;
    let mut reading = Reading::start(&app, &app.key, "", None).await;
    let write = async |key: &str, name: &str| {
        for number in 0..EACH {
            open(&app, key, &format!("{name} {number}")).await;
        }
    };
    let read = async {
        let mut seen: Vec<String> = Vec::new();
        while seen.len() < 4 * EACH {
            if seen.len() % 7 == 6 {
                // The connection breaks; what had arrived but was not read is sent again.
                let last = seen.last().map(String::as_str);
                reading = match seen.len() % 2 {
                    0 => Reading::start(&app, &app.key, "", last).await,
                    // The header holds: a browser that comes back still has the address it began with.
                    _ => Reading::start(&app, &app.key, &format!("?after={}", seen[0]), last).await,
                };
            }
            let sent = reading.next().await.expect("the stream goes on");
            assert_eq!((&sent.data["id"], &sent.data["event"]), (&json!(sent.id), &json!(sent.name)));
            seen.push(sent.id);
        }
        seen
    };
    let (seen, ..) = tokio::join!(read, write(&app.key, "a"), write(&app.key, "b"), write(&other, "c"));
    let mut feed: Vec<String> = Vec::new();
    let mut page = app.get("/v1/events?limit=100").await.expect(200);
    loop {
        feed.extend(rows(&page).iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        page = app.get(&format!("/v1/events?limit=100&cursor={cursor}")).await.expect(200);
    }
    assert_eq!(seen, feed[3..], "a stream without a start begins now");
}

#[tokio::test]
async fn notes_and_what_only_other_formats_tell_stay_out_of_feed_and_stream() {
    let app = App::new().await;
    let mut reading = Reading::start(&app, &app.key, "", None).await;
    let made = open(&app, &app.key, "a").await;
    let path = format!("/v1/conversations/{}/notes", made["id"].as_str().unwrap());
    app.post(&path, json!({"text": "between us"})).await.expect(201);
    open(&app, &app.key, "b").await;
    let mut names = Vec::new();
    let page = app.get("/v1/events?limit=100").await.expect(200);
    for event in page["data"].as_array().unwrap() {
        names.push(reading.next().await.unwrap().name);
        assert_eq!(event["type"], *names.last().unwrap());
    }
    assert!(
        !names.is_empty() && !names.iter().any(|name| name == "note.added" || name.starts_with("inbox.")),
        "{names:?}"
    );
    let all = app.get("/v1/events?types=*&limit=100").await.expect(200);
    assert_eq!(all["data"], page["data"]);
}

#[tokio::test]
async fn a_stream_shows_the_types_it_is_asked_for() {
    let app = App::new().await;
    open(&app, &app.key, "a").await;
    let first = app.get("/v1/events").await.expect(200)["data"][0]["id"].clone();
    let query = format!("?types=message.received&after={}", first.as_str().unwrap());
    let mut reading = Reading::start(&app, &app.key, &query, None).await;
    open(&app, &app.key, "b").await;
    for reference in ["a", "b"] {
        let sent = reading.next().await.unwrap();
        assert_eq!(
            (sent.name.as_str(), &sent.data["data"]["conversation"]["externalReference"]),
            ("message.received", &json!(reference))
        );
    }
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_the_key_and_the_server() {
    let app = App::new().await;
    let key = app.expiring_key("acme", app.clock.now() + 60_000_000).await;
    let mut open_streams = Vec::new();
    for _ in 0..MAX_STREAMS_PER_TENANT {
        open_streams.push(Reading::start(&app, &key, "", None).await);
    }
    let refused = app.call(&app.key, "GET", "/v1/stream", &[], None).await;
    assert_eq!(refused.expect(429)["code"], "too_many_streams");
    assert!(refused.headers.contains_key("retry-after"));
    // The key stops working: each of its streams ends by itself, and makes room.
    app.clock.advance_us(60_000_000);
    for reading in &mut open_streams {
        assert!(reading.next().await.is_none());
    }
    let mut reading = Reading::start(&app, &app.key, "", None).await;
    let sent = open(&app, &app.key, "a").await;
    assert_eq!(reading.next().await.unwrap().name, "contact.created");
    assert_eq!(reading.next().await.unwrap().data["data"]["conversation"]["id"], sent["id"]);
    app.hub.streams().end();
    while reading.next().await.is_some() {}
}
