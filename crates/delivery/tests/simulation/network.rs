//! The receivers, each with a behaviour of its own, in virtual time.

use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tieline_core::ids::{DeliveryId, EndpointId};
use tieline_delivery::client::{ErrorKind, Failure, Outcome};
use tieline_delivery::sender::{Post, Request};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::sim::Rng;
use tokio::sync::oneshot;

pub const MS: i64 = 1000;
pub const SECOND: i64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behaviour {
    Healthy,
    Refusing,
    Flapping,
    Hanging,
    Gone,
    RetryAfter,
    Trickling,
    LosingAnswers,
    DownUntil(i64),
    /// Refuses some events, always the same ones.
    Choosy,
}

/// One POST, from its start to its end.
pub struct Posted {
    pub node: u32,
    pub endpoint: EndpointId,
    pub delivery: DeliveryId,
    pub ends_at: i64,
    pub accepts: bool,
    answer: Option<(oneshot::Sender<Outcome>, Outcome)>,
}

#[derive(Default)]
pub struct Network {
    pub behaviours: HashMap<EndpointId, Behaviour>,
    /// Under way.
    pub open: Vec<Posted>,
    /// Started since the last look.
    pub fresh: Vec<(u32, EndpointId, DeliveryId)>,
    pub accepted: HashSet<DeliveryId>,
    bodies: HashMap<DeliveryId, Bytes>,
}

#[derive(Clone)]
pub struct Shared {
    pub network: Arc<Mutex<Network>>,
    pub clock: VirtualClock,
    pub rng: Arc<Mutex<Rng>>,
}

/// The network as one node sees it.
pub struct NodePost {
    pub shared: Shared,
    pub node: u32,
}

impl Post for NodePost {
    async fn post(&self, request: Request) -> Outcome {
        let (answer, answered) = oneshot::channel();
        self.shared.begin(self.node, request, answer);
        match answered.await {
            Ok(outcome) => outcome,
            Err(_) => std::future::pending().await, // the process has died
        }
    }
}

impl Shared {
    fn begin(&self, node: u32, request: Request, answer: oneshot::Sender<Outcome>) {
        let now = self.clock.now();
        let mut network = self.network.lock().unwrap();
        let mut rng = self.rng.lock().unwrap();
        let behaviour = network.behaviours.get(&request.endpoint).copied().unwrap_or(Behaviour::Healthy);
        let quick = rng.between(MS, 60 * MS);
        let status = |code: u16| Outcome { status: Some(code), ..Outcome::default() };
        let broken = |kind, status| Outcome {
            status,
            error: Some(Failure { kind, detail: "simulated".into() }),
            ..Outcome::default()
        };
        let (takes, accepts, mut outcome) = match behaviour {
            Behaviour::Healthy => (quick, true, status(200)),
            Behaviour::Refusing => (quick, false, status(500)),
            Behaviour::Flapping if rng.chance(50) => (quick, false, broken(ErrorKind::Connect, None)),
            Behaviour::Flapping => (quick, true, status(204)),
            Behaviour::Hanging => (10 * SECOND, false, broken(ErrorKind::Timeout, None)),
            Behaviour::Gone => (quick, false, status(410)),
            Behaviour::RetryAfter => {
                let wait = rng.between(1, 40) as u64;
                let outcome = Outcome { retry_after: Some(Duration::from_secs(wait)), ..status(503) };
                if rng.chance(70) { (quick, false, outcome) } else { (quick, true, status(200)) }
            }
            Behaviour::Trickling => (10 * SECOND, true, broken(ErrorKind::Timeout, Some(200))),
            Behaviour::LosingAnswers if rng.chance(50) => (quick, true, broken(ErrorKind::Closed, None)),
            Behaviour::LosingAnswers => (quick, true, status(200)),
            Behaviour::DownUntil(until) if now < until => (quick, false, broken(ErrorKind::Connect, None)),
            Behaviour::DownUntil(_) => (quick, true, status(200)),
            Behaviour::Choosy => {
                let refused = request.delivery.0.as_u64_pair().1.is_multiple_of(3);
                (quick, !refused, status(if refused { 400 } else { 200 }))
            }
        };
        outcome.duration = Duration::from_micros(takes as u64);
        let webhook_id = request.headers["webhook-id"].to_str().unwrap().to_owned();
        // In Chatwoot's format a word follows the event's id.
        let event = webhook_id.split('_').take(2).collect::<Vec<_>>().join("_");
        assert!(String::from_utf8_lossy(&request.body).contains(&event), "the id is in the body");
        let body = network.bodies.entry(request.delivery).or_insert_with(|| request.body.clone());
        assert_eq!(*body, request.body, "the same bytes at every attempt of {}", request.delivery);
        let flying = network.open.iter().filter(|p| p.node == node && p.endpoint == request.endpoint).count();
        assert!(flying < 16, "{flying} in flight at {} already", request.endpoint);
        network.fresh.push((node, request.endpoint, request.delivery));
        network.open.push(Posted {
            node,
            endpoint: request.endpoint,
            delivery: request.delivery,
            ends_at: now + takes,
            accepts,
            answer: Some((answer, outcome)),
        });
    }

    /// When the next POST ends.
    pub fn next_end(&self) -> Option<i64> {
        self.network.lock().unwrap().open.iter().map(|posted| posted.ends_at).min()
    }
    /// Takes out one POST that has ended by now, the earliest.
    pub fn ended(&self) -> Option<Posted> {
        let now = self.clock.now();
        let mut network = self.network.lock().unwrap();
        let at = (0..network.open.len()).min_by_key(|at| (network.open[*at].ends_at, *at))?;
        (network.open[at].ends_at <= now).then(|| network.open.remove(at))
    }
}

impl Posted {
    /// Tells the sender, if it still lives.
    pub fn answer(mut self) {
        if let Some((answer, outcome)) = self.answer.take() {
            let _ = answer.send(outcome);
        }
    }
}
