//! `docs/atteny.md` and its Portuguese twin cannot lie: their calls are made, their answers have the members shown, and their
//! Node.js recipe accepts what we deliver and refuses what was altered.

#[path = "support/app.rs"]
mod app;
#[path = "support/courier.rs"]
mod courier;

use app::App;
use courier::{Courier, Receiver};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const ENGLISH: &str = include_str!("../../../docs/atteny.md");
const PORTUGUESE: &str = include_str!("../../../docs/atteny.pt-BR.md");

/// The samples of a page, with their language, in order.
fn samples(page: &'static str) -> Vec<(&'static str, &'static str)> {
    page.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').expect("a language")).collect()
}

/// Panics unless both have the same members; an empty object or list stands for any.
#[track_caller]
fn alike(at: &str, shown: &Value, answered: &Value) {
    match (shown, answered) {
        (Value::Object(shown), Value::Object(answered)) => {
            let names = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert!(shown.is_empty() || names(shown) == names(answered), "{at}: {shown:?} and {answered:?}");
            shown.iter().for_each(|(name, value)| alike(&format!("{at}.{name}"), value, &answered[name]));
        }
        (Value::Array(shown), Value::Array(answered)) => {
            if let Some(first) = shown.first() {
                alike(&format!("{at}[0]"), first, &answered[0]);
            }
        }
        _ => {
            let kind = |value: &Value| std::mem::discriminant(value);
            assert_eq!(kind(shown), kind(answered), "{at}: {shown} and {answered}");
        }
    }
}

async fn conversation(app: &App) -> String {
    let body =
        json!({"channel": "whatsapp", "contact": {"phone": "+5521987654321"}, "message": {"text": "Olá, ação!"}});
    app.post("/v1/conversations", body).await.expect(201)["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn the_calls_of_the_guides_are_answered_as_shown() {
    assert_eq!(samples(ENGLISH), samples(PORTUGUESE), "both pages have the same samples");
    let app = App::new().await;
    let id = conversation(&app).await;
    let samples = samples(ENGLISH);
    let mut calls = 0;
    for (at, (language, text)) in samples.iter().enumerate().filter(|(_, (language, _))| *language == "http") {
        let (line, body) = text.split_once('\n').expect("a line");
        let (method, path) = line.split_once(' ').expect("method and path");
        let path = path.replace("{conversation}", &id);
        let body = (!body.trim().is_empty()).then(|| serde_json::from_str(body).expect("JSON"));
        let reply = app.call(&app.key, method, &path, &[], body).await;
        calls += 1;
        let shown = samples.get(at + 1).filter(|(language, _)| *language == "json").expect(language);
        let shown: Value = serde_json::from_str(shown.1).expect("JSON");
        if shown.get("success").is_some() {
            alike(line, &shown, &reply.json());
            assert_eq!(shown["success"], reply.status.is_success(), "{line}");
        } else {
            reply.expect(201);
        }
    }
    assert_eq!(calls, 6);
}

fn accepts(secret: &str, signature: &str, body: &str) -> bool {
    let recipe = samples(ENGLISH).into_iter().find(|(language, _)| *language == "js").expect("a recipe").1;
    let program = format!(
        "{recipe}\nconst input = JSON.parse(await new Response(process.stdin).text());\n\
         console.log(verify(input.secret, input.signature, input.body));"
    );
    let mut node = Command::new("node")
        .args(["--input-type=module", "-e", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node.js is installed: scripts/setup.sh");
    let input = json!({"secret": secret, "signature": signature, "body": body}).to_string();
    node.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let output = node.wait_with_output().expect("it ends");
    match String::from_utf8_lossy(&output.stdout).trim() {
        "true" => true,
        "false" => false,
        other => panic!("the recipe said {other:?}"),
    }
}

#[tokio::test]
async fn deliveries_are_in_attenys_format_and_its_recipe_accepts_them() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    let hook = json!({"name": "ERP", "url": receiver.url, "events": ["*"]});
    let made = app.post("/api/v1/webhooks", hook).await.expect(201)["data"].clone();
    assert_eq!(made["events"], json!(["message.created", "message.sent"]));
    assert_eq!(
        (&made["format"], &made["headerPrefix"], &made["maxAttempts"]),
        (&json!("atteny"), &json!("X-Atteny"), &json!(5))
    );
    let secret = made["secret"].as_str().expect("a secret");
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().expect("an id"));
    assert_eq!(app.get(&path).await.expect(200)["data"].get("secret"), None, "it is shown once");

    let id = conversation(&app).await;
    app.post(&format!("/api/v1/conversations/{id}/messages"), json!({"content": "Já vai."})).await.expect(201);
    app.patch(&format!("/v1/conversations/{id}"), json!({"status": "done"})).await.expect(200);
    courier.run().await;
    let received = receiver.take();
    let bodies: Vec<Value> = received.iter().map(|one| one.json()).collect();
    assert_eq!(bodies.len(), 2, "only what was said: {bodies:#?}");
    assert_eq!((&bodies[0]["event"], &bodies[1]["type"]), (&json!("message.created"), &json!("message.sent")));
    assert_eq!((&bodies[0]["sequence"], &bodies[1]["previousSequence"]), (&json!(2), &json!(2)));
    assert_eq!(bodies[0]["data"]["message"]["content"], "Olá, ação!");
    assert_eq!(bodies[0]["data"]["conversation"]["contact"]["phoneNumber"], "+5521987654321");
    let said = app.get(&format!("/api/v1/conversations/{id}/messages")).await.expect(200);
    assert_eq!(bodies[1]["data"]["message"], said["data"][0], "as the API shows it");
    let shown = samples(ENGLISH).into_iter().find(|(_, text)| text.contains("organizationId")).expect("a body").1;
    alike("body", &serde_json::from_str(shown).expect("JSON"), &bodies[0]);
    for one in &received {
        let (signature, body) = (one.header("x-atteny-signature"), String::from_utf8_lossy(&one.body).into_owned());
        assert!(accepts(secret, signature, &body));
        assert!(!accepts(secret, signature, &body.replace("message", "massage")), "altered");
        assert!(!accepts("whsec_other", signature, &body), "a foreign secret");
        assert_eq!(one.header("x-atteny-event"), one.json()["event"]);
        assert!(one.header("x-atteny-delivery").starts_with("dlv_"));
        assert!(one.headers.contains_key("webhook-signature") && !one.headers.contains_key("x-tieline-signature"));
    }

    // The Test button, the log in the words of the format, and once more.
    app.call(&app.key, "POST", &format!("{path}/test"), &[], None).await.expect(202);
    courier.run().await;
    let test = receiver.take().remove(0);
    assert_eq!((test.header("x-atteny-event"), &test.json()["event"]), ("webhook.test", &json!("webhook.test")));
    let log = app.get(&format!("{path}/deliveries?event=message.created")).await.expect(200);
    assert_eq!((log["data"].as_array().map(Vec::len), &log["meta"]["hasMore"]), (Some(1), &json!(false)));
    let delivery = log["data"][0]["id"].as_str().expect("an id");
    let shown = app.get(&format!("{path}/deliveries/{delivery}")).await.expect(200);
    assert_eq!(shown["data"]["requestBody"].as_str().map(str::as_bytes), Some(received[0].body.as_slice()));
    app.call(&app.key, "POST", &format!("{path}/deliveries/{delivery}/redeliver"), &[], None).await.expect(202);
    courier.run().await;
    assert_eq!(receiver.take()[0].body, received[0].body);

    // A new secret, once; and the same endpoint on /v1 speaks the words of its format.
    let rotated = app.call(&app.key, "POST", &format!("{path}/rotate-secret"), &[], None).await.expect(200);
    assert_ne!(rotated["data"]["secret"], secret);
    let native = app.patch(&path.replace("/api", ""), json!({"events": ["message.sent"]})).await.expect(200);
    assert_eq!(native["events"], json!(["message.sent"]));
    let unknown = app.patch(&path, json!({"events": ["message.received"]})).await.expect(400);
    assert_eq!(unknown["errors"][0]["field"], "events.0");
    let gone = app.delete(&path).await.expect(200);
    assert_eq!(gone["data"]["id"], made["id"]);
}

/// The fifth attempt is the last.
#[tokio::test]
async fn five_attempts_are_made() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    receiver.answer(&[], 500);
    let mut courier = Courier::new(&app);
    let hook = json!({"name": "ERP", "url": receiver.url, "events": ["message.created"]});
    let made = app.post("/api/v1/webhooks", hook).await.expect(201)["data"].clone();
    conversation(&app).await;
    for _ in 0..10 {
        courier.run().await;
        app.clock.advance_us(24 * 3600 * 1_000_000);
    }
    assert_eq!(receiver.take().len(), 5);
    let log = format!("/api/v1/webhooks/{}/deliveries?status=failed", made["id"].as_str().expect("an id"));
    let log = app.get(&log).await.expect(200);
    assert_eq!(log["data"][0]["attempts"].as_array().map(Vec::len), Some(5));
}

/// The text with `…` for the digits of every id: how many ids a verb draws is nobody's business.
fn without_ids(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_hexdigit()).map(|word| {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        if digits.len() == 32 { word.replace(digits, "…") } else { word.to_owned() }
    });
    words.collect()
}

/// Clients rely on every member of these.
#[tokio::test]
async fn the_shapes_are_pinned() {
    let app = App::new().await;
    let receiver = Receiver::start().await;
    let mut courier = Courier::new(&app);
    app.post("/api/v1/webhooks", json!({"name": "ERP", "url": receiver.url, "events": ["*"]})).await.expect(201);
    let id = conversation(&app).await;
    let picture =
        json!({"content": "A etiqueta", "mediaUrl": "https://example.com/label.png", "mediaType": "image/png"});
    app.post(&format!("/api/v1/conversations/{id}/messages"), picture).await.expect(201);
    courier.run().await;
    let mut shapes = vec![
        app.get("/api/v1/contacts").await.expect(200),
        app.get("/api/v1/conversations").await.expect(200),
        app.get(&format!("/api/v1/conversations/{id}/messages")).await.expect(200),
    ];
    shapes.extend(receiver.take().into_iter().map(|one| {
        let mut body = one.json();
        body["cause"] = Value::Null; // the request's own id
        body
    }));
    let texts: Vec<String> = shapes.iter().map(|shape| serde_json::to_string_pretty(shape).expect("JSON")).collect();
    insta::assert_snapshot!("atteny_shapes", without_ids(&texts.join("\n\n")));
}
