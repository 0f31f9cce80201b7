//! What must hold when everything has been killed often enough.

use crate::load::{Taken, Told};
use crate::support::Client;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tieline_delivery::sign::{PreparedSecret, Received, verify};
use tokio::runtime::Runtime;

/// How long the test waits for a delivery before it says which ones are missing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that was acknowledged is there once, and its events arrive, in order, genuine; timers fired once.
pub fn all_is_there(
    runtime: &Runtime,
    url: &str,
    key: &str,
    told: &Told,
    taken: &Receiver<Taken>,
    secret: &PreparedSecret,
) {
    // Everything that was answered is there, once.
    let client = Client::new(url, key);
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
    let mut woken: HashSet<String> = HashSet::new();
    let mut missing: Vec<(String, &str)> = Vec::new();
    for id in told.conversations.values() {
        missing.extend([(id.clone(), "conversation.created"), (id.clone(), "message.received")]);
    }
    missing.extend(told.messages.keys().map(|id| (id.clone(), "message.sent")));
    missing.extend(told.snoozed.iter().map(|id| (id.clone(), "woken")));
    let mut missing: HashSet<(String, &str)> = missing.into_iter().collect();
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
        verify(std::slice::from_ref(secret), &received, at).expect("genuine");
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
            "conversation.updated" if event["cause"]["type"] == "timer" => {
                assert!(woken.insert(conversation.clone()), "it woke up twice: {event}");
                missing.remove(&(conversation, "woken"));
            }
            _ => {}
        }
    }
}
