//! `docs/chatwoot.md` and its Portuguese twin cannot lie: their calls are made, their answers have the members shown, and their
//! Node.js recipe accepts what we deliver and refuses what was altered.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;
#[path = "support/courier.rs"]
mod courier;

use app::App;
use axum::body::Body;
use axum::http::Request;
use bridge::Bridge;
use courier::{Courier, Receiver};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

const ENGLISH: &str = include_str!("../../../docs/chatwoot.md");
const PORTUGUESE: &str = include_str!("../../../docs/chatwoot.pt-BR.md");

/// The samples of a page, with their language, in order.
fn samples(page: &'static str) -> Vec<(&'static str, &'static str)> {
    page.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').expect("a language")).collect()
}

fn names(value: &Value) -> BTreeSet<&String> {
    value.as_object().expect("an object").keys().collect()
}

#[tokio::test]
async fn the_calls_of_the_guides_are_answered_as_shown() {
    assert_eq!(samples(ENGLISH), samples(PORTUGUESE), "both pages have the same samples");
    let app = App::new().await;
    let bridge = Bridge::new(&app).await;
    let samples = samples(ENGLISH);
    let (mut known, mut shown) = (Vec::<(&str, String)>::new(), 0);
    for (at, (_, text)) in samples.iter().enumerate().filter(|(_, (language, _))| *language == "http") {
        let text = known.iter().fold((*text).to_owned(), |text, (name, value)| text.replace(name, value));
        let (line, body) = text.split_once('\n').expect("a line");
        let (method, path) = line.split_once(' ').expect("method and path");
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = match path.starts_with("/api/") {
            true => request.header("api_access_token", &bridge.token),
            false => request,
        };
        let answer = app.send(request.body(Body::from(body.to_owned())).expect("a request")).await.expect(200);
        let text_of = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        if path.ends_with("/inboxes") {
            known.extend([("{inbox}", answer["id"].to_string()), ("{identifier}", text_of("inbox_identifier"))]);
        } else if path.ends_with("/conversations") {
            known.push(("{conversation}", answer["id"].to_string()));
        }
        if let Some((_, json)) = samples.get(at + 1).filter(|(language, _)| *language == "json") {
            let json: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(names(&json), names(&answer), "{line}");
            shown += 1;
        }
    }
    assert_eq!(shown, 3);
}

fn accepts(secret: &str, timestamp: &str, signature: &str, body: &str) -> bool {
    let recipe = samples(ENGLISH).into_iter().find(|(language, _)| *language == "js").expect("a recipe").1;
    let program = format!(
        "{recipe}\nconst input = JSON.parse(await new Response(process.stdin).text());\n\
         console.log(verify(input.secret, input.timestamp, input.signature, input.body, Number(input.now)));"
    );
    let mut node = Command::new("node")
        .args(["--input-type=module", "-e", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node.js is installed: scripts/setup.sh");
    // Signed by the clock of the test, which stands still.
    let now = timestamp.parse::<i64>().expect("seconds") + 10;
    let input = json!({"secret": secret, "timestamp": timestamp, "signature": signature, "body": body, "now": now});
    node.stdin.take().expect("piped").write_all(input.to_string().as_bytes()).expect("written");
    let output = node.wait_with_output().expect("it ends");
    match String::from_utf8_lossy(&output.stdout).trim() {
        "true" => true,
        "false" => false,
        other => panic!("the recipe said {other:?}"),
    }
}

#[tokio::test]
async fn the_recipe_accepts_what_an_inbox_webhook_gets() {
    let app = App::new().await;
    let (receiver, mut courier) = (Receiver::start().await, Courier::new(&app));
    let bridge = Bridge::new(&app).await;
    let channel = json!({"type": "api", "webhook_url": receiver.url});
    let inbox = bridge.post("/inboxes", json!({"name": "Shop", "channel": channel})).await;
    let secret = inbox["secret"].as_str().expect("for administrators");
    let contact = json!({"name": "Ana", "inbox_id": inbox["id"], "source_id": "a"});
    bridge.post("/contacts", contact).await;
    bridge.post("/conversations", json!({"source_id": "a", "message": {"content": "Olá, ação!"}})).await;
    courier.run().await;
    let received = receiver.take();
    let one = received.iter().find(|one| one.json()["event"] == "message_created").expect("it arrived");
    let (timestamp, signature) = (one.header("x-chatwoot-timestamp"), one.header("x-chatwoot-signature"));
    let body = String::from_utf8_lossy(&one.body).into_owned();
    assert!(accepts(secret, timestamp, signature, &body));
    assert!(!accepts(secret, timestamp, signature, &body.replace("Olá", "Ola")), "altered");
    assert!(!accepts(secret, "1", signature, &body), "another time");
    assert!(!accepts("other", timestamp, signature, &body), "a foreign secret");
}
