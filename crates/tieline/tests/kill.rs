//! The real binary under load, killed at random moments and started again on the same folder.
//!
//! Checked at the end: every conversation and message that was answered 201 is there exactly once; every event of every
//! conversation has been delivered, with a genuine signature; within a conversation the receiver first took each event
//! after the one before; what the receiver saw twice had the same id and the same bytes. That nothing is sent again after
//! its recorded success cannot be seen from outside (a kill between the receiver's answer and the record repeats it): the
//! simulation of `tieline-delivery` checks that.

#[path = "cli/support.rs"]
#[allow(dead_code)]
mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Client, Place, Server};
use tieline_delivery::sign::{PreparedSecret, Received, verify};
use tieline_testkit::sim::{Rng, rounds};

/// Clients that write at the same time.
const CLIENTS: usize = 8;
/// How long the test waits for a delivery before it says which ones are missing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Short, so that what a kill interrupted is soon tried again.
const SCHEDULE: &str = "50ms,100ms,200ms,400ms,800ms,1s,1s,1s,1s";

/// A delivery that the receiver took.
struct Taken {
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

fn start(place: &Place) -> Server {
    let mut command = place.command(&["serve"]);
    command.env("TIELINE_WEBHOOK_ALLOW_HTTP", "true").env("TIELINE_WEBHOOK_ALLOW_HOSTS", "127.0.0.1/32");
    command.env("TIELINE_WEBHOOK_RETRY_SCHEDULE", SCHEDULE);
    Server::start(command)
}

/// A receiver that refuses some deliveries, by its own dice; it runs until the test ends.
fn receiver(seed: u64) -> (String, Receiver<Taken>) {
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

/// What the clients were told.
#[derive(Default)]
struct Told {
    /// Conversation by reference.
    conversations: BTreeMap<String, String>,
    /// Conversation of each message.
    messages: BTreeMap<String, String>,
}

/// One client: opens conversations and writes into them until the server is gone; tells of every 201.
async fn load(base: String, key: String, round: usize, number: usize, seed: u64, told: Sender<(bool, String, String)>) {
    let mut rng = Rng::new(seed);
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = async |path: String, body: Value| -> Option<Value> {
        let answer = http.post(format!("{base}{path}")).bearer_auth(&key).json(&body).send().await.ok()?;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.ok()?;
        assert_eq!(status, 201, "{body}");
        Some(body)
    };
    for count in 0.. {
        let reference = format!("order-{round}-{number}-{count}");
        let body = json!({
            "externalReference": reference,
            "contact": {"email": format!("person{number}-{}@example.com", count % 5)},
            "subject": "Where is my parcel?",
            "outboundContext": {"originalMessage": "Hello, where is it?"},
        });
        let Some(view) = post("/v1/conversations/outbound".into(), body).await else { return };
        let id = view["id"].as_str().expect("an id").to_owned();
        if told.send((true, reference, id.clone())).is_err() {
            return;
        }
        for _ in 0..rng.below(4) {
            let body = json!({"direction": "outbound", "text": "It is on its way."});
            let Some(message) = post(format!("/v1/conversations/{id}/messages"), body).await else { return };
            let message = message["id"].as_str().expect("an id").to_owned();
            if told.send((false, message, id.clone())).is_err() {
                return;
            }
        }
    }
}

#[test]
fn a_killed_server_loses_nothing_that_it_has_acknowledged() {
    let seed = std::env::var("TIELINE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    eprintln!("TIELINE_SEED={seed}");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut rng = Rng::new(seed);
    let place = Place::new();
    let key = place.key();
    let (hook, taken) = receiver(seed);
    let mut server = start(&place);
    let webhook = json!({"name": "receiver", "url": hook, "events": ["*"]});
    let (status, made) = runtime.block_on(Client::new(&server.url, &key).post("/v1/webhooks", &webhook));
    assert_eq!(status, 201, "{made}");
    let secret = PreparedSecret::new(made["secret"].as_str().expect("a secret"));

    let mut told = Told::default();
    for round in 0..rounds(3) {
        let (send, acknowledged) = channel();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| load(server.url.clone(), key.clone(), round, number, rng.any(), send.clone()))
            .collect();
        drop(send);
        let load = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let clients: Vec<_> = clients.into_iter().map(tokio::spawn).collect();
                for client in clients {
                    client.await.expect("a client saw what it must not");
                }
            });
        });
        let mut note = |(opened, what, conversation): (bool, String, String)| {
            let before = if opened {
                told.conversations.insert(what, conversation)
            } else {
                told.messages.insert(what, conversation)
            };
            assert_eq!(before, None, "an id or a reference was given twice");
        };
        // At the moment when so many writes have been acknowledged, wherever the others stand.
        let moment = 1 + rng.below(300);
        acknowledged.iter().take(moment).for_each(&mut note);
        server.child.kill().expect("it runs");
        server.child.wait().expect("it ends");
        acknowledged.iter().for_each(&mut note);
        load.join().expect("the clients end");
        server = start(&place);
    }

    // Everything that was answered is there, once.
    let client = Client::new(&server.url, &key);
    for (reference, id) in &told.conversations {
        let (status, list) = runtime.block_on(client.get(&format!("/v1/conversations?externalReference={reference}")));
        assert_eq!(status, 200, "{list}");
        let found: Vec<&Value> = list["data"].as_array().expect("a list").iter().map(|view| &view["id"]).collect();
        assert_eq!(found, [id.as_str()], "{reference}");
        let (status, again) = runtime.block_on(client.open(reference));
        assert_eq!((status, again["conversationId"].as_str()), (409, Some(id.as_str())), "{again}");
    }

    // Everything that happened arrives, in order, genuine.
    let mut bodies: HashMap<String, Vec<u8>> = HashMap::new();
    let mut sequences: HashMap<String, i64> = HashMap::new();
    let mut missing: Vec<(String, &str)> = Vec::new();
    for id in told.conversations.values() {
        missing.extend([(id.clone(), "conversation.created"), (id.clone(), "message.received")]);
    }
    missing.extend(told.messages.keys().map(|id| (id.clone(), "message.sent")));
    let mut missing: std::collections::HashSet<(String, &str)> = missing.into_iter().collect();
    while !missing.is_empty() {
        let Ok(taken) = taken.recv_timeout(PATIENCE) else {
            panic!("{} events never arrived, such as {:?}", missing.len(), missing.iter().next());
        };
        let header = |name: &str| taken.headers.get(name).unwrap_or_else(|| panic!("no {name}")).as_str();
        let received = Received {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            body: &taken.body,
        };
        let at: i64 = received.timestamp.parse().expect("seconds");
        verify(std::slice::from_ref(&secret), &received, at).expect("genuine");
        let event: Value = serde_json::from_slice(&taken.body).expect("JSON");
        assert_eq!(event["id"], received.id);
        if let Some(before) = bodies.insert(received.id.to_owned(), taken.body.clone()) {
            assert_eq!(before, taken.body, "the same bytes at every attempt");
            continue;
        }
        let conversation = event["data"]["conversation"]["id"].as_str().unwrap_or_default().to_owned();
        if let Some(sequence) = event["sequence"].as_i64() {
            let before = sequences.insert(conversation.clone(), sequence).unwrap_or(0);
            assert_eq!(sequence, before + 1, "in order and without a gap: {event}");
            assert_eq!(event["previousSequence"].as_i64().unwrap_or(0), before, "{event}");
        }
        let message = event["data"]["message"]["id"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().expect("a type") {
            "conversation.created" => drop(missing.remove(&(conversation, "conversation.created"))),
            "message.received" => drop(missing.remove(&(conversation, "message.received"))),
            "message.sent" => drop(missing.remove(&(message, "message.sent"))),
            _ => {}
        }
    }
    assert!(server.stop(), "and it stops as it should");
}
