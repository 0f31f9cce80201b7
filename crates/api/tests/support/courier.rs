//! Fan-out and sender driven by hand against a real receiver on the loopback interface.
#![allow(dead_code)] // no suite needs all of it

use super::app::App;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tieline_core::events::DELIVERIES;
use tieline_delivery::client::Client;
use tieline_delivery::fan_out::FanOutLoop;
use tieline_delivery::handover::handover;
use tieline_delivery::queue::Rules;
use tieline_delivery::sender::{Sender, Settings};
use tokio::sync::watch;

/// One request as the receiver had it.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("text")
    }
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

#[derive(Default)]
struct Script {
    received: Vec<Received>,
    answers: VecDeque<u16>,
    rest: u16,
}

/// A receiver that answers what it is told to.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    script: Arc<Mutex<Script>>,
}

impl Receiver {
    pub async fn start() -> Receiver {
        let script = Arc::new(Mutex::new(Script { rest: 200, ..Script::default() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum_serve(listener, router).await });
        Receiver { url, script }
    }
    /// Answers these once each, then `rest`.
    pub fn answer(&self, answers: &[u16], rest: u16) {
        let mut script = self.script.lock().expect("not poisoned");
        script.answers = answers.iter().copied().collect();
        script.rest = rest;
    }
    /// What came since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.script.lock().expect("not poisoned").received)
    }
}

async fn axum_serve(listener: tokio::net::TcpListener, router: Router) {
    let limits = tieline_api::http::server::Limits::default();
    tieline_api::http::server::serve(listener, router, limits, std::future::pending()).await;
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut script = script.lock().expect("not poisoned");
    script.received.push(Received { headers, body: body.to_vec() });
    let status = script.answers.pop_front().unwrap_or(script.rest);
    StatusCode::from_u16(status).expect("a status")
}

/// Fan-out and sender of one node.
pub struct Courier {
    fan_out: FanOutLoop,
    sender: Sender<Client>,
    woken: watch::Receiver<u64>,
    clock: tieline_testkit::clock::VirtualClock,
    _pause: watch::Sender<bool>,
}

impl Courier {
    pub fn new(app: &App) -> Courier {
        let (due, receiver) = handover();
        let (pause, paused) = watch::channel(false);
        let settings = Settings {
            node: "node".into(),
            keyring: app.hub.keyring.clone(),
            policy: Arc::new(app.hub.guard.policy().clone()),
            rules: Arc::new(Rules::default()),
            render: tieline_wire::freeze,
            observe: Arc::new(|_| {}),
        };
        let client = Client::new(app.hub.guard.clone(), &[]).expect("a client");
        Courier {
            fan_out: FanOutLoop::new(app.db.clone(), due, app.hub.scene()),
            sender: Sender::new(app.db.clone(), client, settings, receiver, paused),
            woken: app.db.watch(DELIVERIES),
            clock: app.clock.clone(),
            _pause: pause,
        }
    }

    /// Fans out the log to its end.
    pub async fn fan_out(&mut self) {
        while self.fan_out.step().await.expect("fans out") {}
    }

    /// Fans out and sends until nothing more is due now. A second passes, so that the sender looks around.
    pub async fn run(&mut self) {
        self.clock.advance_us(1_000_000);
        loop {
            self.fan_out().await;
            self.sender.settle().await;
            if self.sender.attempts_in_flight() == 0 {
                return;
            }
            let wake = self.clock.now() + 1_000_000;
            self.sender.wait(wake, &mut self.woken).await;
        }
    }

    /// Lets so many seconds pass, and works once in each of them.
    pub async fn run_for(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.run().await;
        }
    }
}
