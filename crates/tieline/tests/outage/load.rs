//! Clients that open conversations all the time and tell of every answer.

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients that write at the same time.
const CLIENTS: usize = 8;
/// Longest wait for what must come, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a client was told.
pub enum Told {
    /// 201: reference and id.
    Opened(String, String),
    /// 503, as it has to be.
    Refused,
}

/// Running clients; they stop with this value.
pub struct Load {
    pub told: Receiver<Told>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    pub fn start(base: &str, key: &str) -> Load {
        let (send, told) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let (base, key, is_over) = (base.to_owned(), key.to_owned(), over.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let clients = (0..CLIENTS).map(|number| {
                    tokio::spawn(client(base.clone(), key.clone(), number, is_over.clone(), send.clone()))
                });
                for client in clients.collect::<Vec<_>>() {
                    client.await.expect("a client saw what it must not");
                }
            });
        });
        Load { told, over, thread: Some(thread) }
    }

    /// Adds what was opened to `opened` until `enough` says so.
    #[track_caller]
    pub fn until(&self, opened: &mut Vec<(String, String)>, what: &str, mut enough: impl FnMut(&Told) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.told.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(told) => {
                    let enough = enough(&told);
                    if let Told::Opened(reference, id) = told {
                        opened.push((reference, id));
                    }
                    if enough {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{what}: not within {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("{what}: the clients have ended"),
            }
        }
    }

    /// Ends the clients and adds what they were told meanwhile.
    pub fn stop(mut self, opened: &mut Vec<(String, String)>) {
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().expect("once").join().expect("the clients end well");
        opened.extend(self.told.try_iter().filter_map(|told| match told {
            Told::Opened(reference, id) => Some((reference, id)),
            Told::Refused => None,
        }));
    }
}

async fn client(base: String, key: String, number: usize, over: Arc<AtomicBool>, told: Sender<Told>) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    for count in 0.. {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let reference = format!("order-{number}-{count}");
        let body = json!({
            "externalReference": reference,
            "contact": {"email": format!("person{number}-{}@example.com", count % 5)},
            "subject": "Where is my parcel?",
            "outboundContext": {"originalMessage": "Hello, where is it?"},
        });
        let request = http.post(format!("{base}/v1/conversations/outbound")).bearer_auth(&key).json(&body);
        let answer = request.send().await.expect("the server stays");
        let status = answer.status().as_u16();
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (kind, wait) = (header("content-type"), header("retry-after"));
        let body: Value = answer.json().await.expect("JSON");
        let said = match status {
            201 => Told::Opened(reference, body["id"].as_str().expect("an id").to_owned()),
            503 => {
                assert_eq!(kind.as_deref(), Some("application/problem+json"), "{body}");
                assert_eq!((&body["status"], &body["code"]), (&json!(503), &json!("unavailable")), "{body}");
                // As it is asked to: a client that comes back at once only makes it worse.
                let seconds: u64 = wait.expect("Retry-After").parse().expect("seconds");
                assert!((1..=10).contains(&seconds), "{seconds}");
                let _ = told.send(Told::Refused);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                continue;
            }
            _ => panic!("{status}: {body}"),
        };
        let _ = told.send(said);
    }
}
