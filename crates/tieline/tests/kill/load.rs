//! What the tests of kills share: clients, a receiver, and what they saw.

use crate::support::{Client, Place, Server};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tieline_core::time::Micros;
use tieline_db::{Clock, SystemClock};
use tieline_delivery::sign::PreparedSecret;
use tieline_testkit::sim::Rng;
use tokio::runtime::Runtime;

/// Clients that write at the same time.
pub const CLIENTS: usize = 8;
/// How long a conversation is snoozed; longer than its request takes. Microseconds.
const SNOOZE_US: i64 = 5_000_000;
/// Short, so that what a kill interrupted is soon tried again.
const SCHEDULE: &str = "50ms,100ms,200ms,400ms,800ms,1s,1s,1s,1s";

/// A delivery that the receiver took.
pub struct Taken {
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

pub fn start(place: &Place) -> Server {
    let mut command = place.command(&["serve"]);
    command.env("TIELINE_WEBHOOK_ALLOW_HTTP", "true").env("TIELINE_WEBHOOK_ALLOW_HOSTS", "127.0.0.1/32");
    command.env("TIELINE_WEBHOOK_RETRY_SCHEDULE", SCHEDULE);
    Server::start(command)
}

/// A receiver that refuses some deliveries, by its own dice; it runs until the test ends.
pub fn receiver(seed: u64) -> (String, Receiver<Taken>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let (send, taken) = channel();
    let dice = Arc::new(Mutex::new(Rng::new(seed)));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (send, dice) = (send.clone(), dice.clone());
            std::thread::spawn(move || serve(stream, &send, &dice));
        }
    });
    (url, taken)
}

fn serve(stream: TcpStream, send: &Sender<Taken>, dice: &Mutex<Rng>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut headers = HashMap::new();
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        let status = if dice.lock().expect("not poisoned").chance(4) { "500 No" } else { "200 OK" };
        if status.starts_with("200") {
            send.send(Taken { headers, body }).ok()?; // before the answer: it is the answer that a kill may lose
        }
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

/// What a client was told: 201 for a conversation, with its reference and id; for a message, with its id and the
/// conversation's; 200 for a snooze, with the conversation's id.
pub enum Ack {
    Opened(String, String),
    Said(String, String),
    Snoozed(String),
}

/// What the clients were told.
#[derive(Default)]
pub struct Told {
    /// Conversation by reference.
    pub conversations: BTreeMap<String, String>,
    /// Conversation of each message.
    pub messages: BTreeMap<String, String>,
    /// Conversations that were snoozed, once each.
    pub snoozed: BTreeSet<String>,
}

impl Told {
    pub fn note(&mut self, ack: Ack) {
        let before = match ack {
            Ack::Opened(reference, id) => self.conversations.insert(reference, id),
            Ack::Said(message, id) => self.messages.insert(message, id),
            Ack::Snoozed(id) => (!self.snoozed.insert(id.clone())).then_some(id),
        };
        assert_eq!(before, None, "an id or a reference was given twice");
    }
}

/// One client: opens conversations, writes into them and snoozes some, until the server is gone or it is to `stop`; tells
/// of everything that was acknowledged.
pub async fn load(base: String, key: String, name: String, seed: u64, stop: Arc<AtomicBool>, told: Sender<Ack>) {
    let mut rng = Rng::new(seed);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ask = async |method: Method, path: String, body: Value, expected: u16| -> Option<Value> {
        let answer = http.request(method, format!("{base}{path}")).bearer_auth(&key).json(&body).send().await.ok()?;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.ok()?;
        assert_eq!(status, expected, "{body}");
        Some(body)
    };
    for count in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let reference = format!("order-{name}-{count}");
        let body = json!({
            "externalReference": reference,
            "contact": {"email": format!("person{name}-{}@example.com", count % 5)},
            "subject": "Where is my parcel?",
            "outboundContext": {"originalMessage": "Hello, where is it?"},
        });
        let Some(view) = ask(Method::POST, "/v1/conversations/outbound".into(), body, 201).await else { return };
        let id = view["id"].as_str().expect("an id").to_owned();
        if told.send(Ack::Opened(reference, id.clone())).is_err() {
            return;
        }
        for _ in 0..rng.below(4) {
            let body = json!({"direction": "outbound", "text": "It is on its way."});
            let path = format!("/v1/conversations/{id}/messages");
            let Some(message) = ask(Method::POST, path, body, 201).await else { return };
            let message = message["id"].as_str().expect("an id").to_owned();
            if told.send(Ack::Said(message, id.clone())).is_err() {
                return;
            }
        }
        if rng.chance(20) {
            let until = Micros(SystemClock.now() + SNOOZE_US).to_string();
            let body = json!({"status": "snoozed", "snoozedUntil": until});
            let Some(_) = ask(Method::PATCH, format!("/v1/conversations/{id}"), body, 200).await else { return };
            if told.send(Ack::Snoozed(id)).is_err() {
                return;
            }
        }
    }
}

/// Makes a webhook that gets everything; its id, and the key to its signatures.
pub fn add_webhook(runtime: &Runtime, url: &str, key: &str, hook: &str) -> (String, PreparedSecret) {
    let webhook = json!({"name": "receiver", "url": hook, "events": ["*"]});
    let (status, made) = runtime.block_on(Client::new(url, key).post("/v1/webhooks", &webhook));
    assert_eq!(status, 201, "{made}");
    let text = |member: &str| made[member].as_str().expect("a text").to_owned();
    (text("id"), PreparedSecret::new(&text("secret")))
}

/// Runs clients until all have ended.
pub fn in_a_thread(clients: Vec<impl Future<Output = ()> + Send + 'static>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        runtime().block_on(async {
            let clients: Vec<_> = clients.into_iter().map(tokio::spawn).collect();
            for client in clients {
                client.await.expect("a client saw what it must not");
            }
        });
    })
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
