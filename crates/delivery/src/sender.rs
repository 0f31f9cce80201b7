//! The sender of one node: claims endpoints, keeps their queues, makes attempts, records what came of them.
//!
//! One task owns all queues. Whatever takes time (statements, POSTs) runs beside it and comes back as a [`Done`] message,
//! so one endpoint never delays another. Results are recorded in batches; a delivery's successor in its conversation
//! starts only after that. A lease that was not renewed in time starts nothing until it is.

mod handed;
mod request;
mod results;

use self::request::Prepared;
use crate::client::{Client, DEFAULT_TIMEOUT, ErrorKind, Failure, Outcome};
use crate::egress::{CheckedUrl, EgressPolicy};
use crate::handover::Taker;
use crate::queue::{MAX_SLOTS, Place, Queue, Rules, Start};
use bytes::Bytes;
use http::HeaderMap;
use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tieline_core::deliveries::{self, Attempt, Claimed, LEASE_US, Park, Waiting};
use tieline_core::events::{CONFIGURATION, DELIVERIES, Render};
use tieline_core::ids::{ConversationId, DeliveryId, EndpointId};
use tieline_core::secrets::Keyring;
use tieline_core::webhooks::{self, DisabledReason, Endpoint};
use tieline_core::{Error, Result};
use tieline_db::Db;
use tokio::sync::{mpsc, watch};

/// Endpoints claimed at once.
const CLAIM: i64 = 256;
/// Deliveries read at once.
const PAGE: i64 = 256;
/// Attempts recorded in one transaction.
const RECORD: usize = 256;
/// Results that may wait to be recorded before new attempts wait too.
const UNRECORDED: usize = 4096;
/// How long an idle endpoint stays claimed: its next delivery then needs no claim. Microseconds.
const LINGER_US: i64 = 5_000_000;
/// How often leases are renewed and due endpoints looked for without being told. Microseconds.
const TICK_US: i64 = 1_000_000;
/// With less than this left a lease is renewed, and with it all others: every other tick.
const RENEW_LEFT_US: i64 = LEASE_US * 7 / 10;
/// Pause before a statement that failed is tried again. Microseconds.
const TROUBLE_US: i64 = 250_000;
/// Deliveries cancelled in one transaction when an endpoint is off.
const CANCEL: i64 = 1000;

/// One POST, ready to go.
pub struct Request {
    /// The endpoint, for the log.
    pub endpoint: EndpointId,
    /// The delivery, for the log.
    pub delivery: DeliveryId,
    /// Where to.
    pub url: CheckedUrl,
    /// Signed headers.
    pub headers: HeaderMap,
    /// The stored bytes.
    pub body: Bytes,
}

/// Something that posts: the client, or a simulated network.
pub trait Post: Send + Sync + 'static {
    /// Posts; never fails, never takes for ever.
    fn post(&self, request: Request) -> impl Future<Output = Outcome> + Send;
}

impl Post for Client {
    async fn post(&self, request: Request) -> Outcome {
        Client::post(self, &request.url, request.headers, request.body, DEFAULT_TIMEOUT).await
    }
}

/// What the sender needs beside a database.
#[derive(Clone)]
pub struct Settings {
    /// Name of this node, unique among those that share the database.
    pub node: String,
    /// Opens the endpoints' secrets.
    pub keyring: Arc<Keyring>,
    /// Where deliveries may go.
    pub policy: Arc<EgressPolicy>,
    /// When to try again and when to give up.
    pub rules: Arc<Rules>,
    /// Writes the events that the sender itself emits.
    pub render: Render,
    /// Told of every attempt.
    pub observe: Arc<dyn Fn(&Attempt) + Send + Sync>,
}

/// Work that ended.
enum Done {
    Claimed(Result<Vec<Claimed>>),
    Configured(EndpointId, u64, Result<Option<Endpoint>>),
    /// With how many rows were asked for.
    Loaded(EndpointId, i64, i64, Result<Page>),
    LaneLoaded(EndpointId, i64, ConversationId, Result<Vec<Waiting>>),
    Body(EndpointId, i64, Start, Result<Option<String>>),
    Posted(EndpointId, i64, DeliveryId, i64, Outcome),
    /// With the endpoints that were switched off.
    Recorded(Vec<Attempt>, Result<(deliveries::Recorded, Vec<(EndpointId, DisabledReason)>)>),
    /// What was to be renewed, and from when.
    Renewed(Vec<(EndpointId, i64)>, i64, Result<Vec<EndpointId>>),
    Waiting(Result<Vec<(EndpointId, i64)>>),
    Parked(EndpointId, i64, Result<bool>),
    Cancelled(EndpointId, i64, Result<u64>),
}

/// Pending deliveries, and the epoch that the endpoint had when they were read.
struct Page {
    epoch: Option<i64>,
    /// Where the fan-out's cursor stood; none when only what a person asked for was read.
    cursor: Option<i64>,
    manual: Vec<Waiting>,
    rows: Vec<Waiting>,
}

struct Held {
    queue: Queue,
    prepared: Option<Arc<Prepared>>,
    /// Which of the readings of its settings holds: the newest that has come back.
    configured: u64,
    /// When to read its settings again after a failure.
    configure_at: Option<i64>,
    /// Until when nobody else can have it.
    lease_until: i64,
    /// When to look at it again if nothing happens.
    wake_at: i64,
    loading: bool,
    /// There may be rows that were not read yet.
    unread: bool,
    /// All that fan-out has handed over is loaded, and all before it: what it hands over next can be loaded as it is.
    complete: bool,
    /// The end of the newest batch that was not loaded from memory.
    missed_to: i64,
    /// Not to be read or cancelled before: the last time failed, or there is no room.
    not_before: i64,
    parking: bool,
    /// What waits is to be cancelled, if the endpoint is off.
    cancel: bool,
    cancelling: bool,
    /// Nothing is sent before this reading of its settings has come back: it is being switched off.
    settles: u64,
    idle_since: i64,
}

impl Held {
    fn is_active(&self) -> bool {
        self.prepared.as_ref().is_some_and(|prepared| prepared.endpoint.is_active)
    }
    fn told(&mut self) {
        self.unread = true;
        self.cancel = true;
    }
}

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Statements that a simulation runs one at a time, in an order of its choice, and whose results it hands in likewise.
#[derive(Default)]
struct ByHand {
    waiting: Vec<Work>,
    ended: Vec<Done>,
}

/// The sender of one node.
pub struct Sender<P: Post> {
    db: Db,
    post: Arc<P>,
    settings: Settings,
    held: HashMap<EndpointId, Held>,
    results: Vec<Attempt>,
    results_in_flight: usize,
    /// Nothing is recorded before: the last time failed.
    record_at: i64,
    claiming: bool,
    claimed_at: i64,
    renewing: bool,
    looking: bool,
    look_again: bool,
    next_tick: i64,
    configuration: u64,
    configurations: u64,
    by_hand: Option<ByHand>,
    messages: mpsc::UnboundedReceiver<Done>,
    send: mpsc::UnboundedSender<Done>,
    due: Taker,
    /// The end of the last batch that was handed over.
    handed_to: i64,
    /// Endpoints to look at in this step.
    touched: BTreeSet<EndpointId>,
    /// Those to look at later, by time.
    wakes: BTreeSet<(i64, EndpointId)>,
    /// An attempt waited because too many results were not recorded.
    held_back: bool,
    /// Whether sending was paused at the last step.
    was_paused: bool,
    outstanding: usize,
    attempts_in_flight: usize,
    /// Of each endpoint, under whatever lease: one that was taken back and claimed again keeps within its slots.
    flying: HashMap<EndpointId, usize>,
    paused: watch::Receiver<bool>,
}

impl<P: Post> Sender<P> {
    /// A sender over `db`. `due` brings the deliveries that fan-out on this node has made; while `paused` no attempt starts.
    pub fn new(db: Db, post: P, settings: Settings, due: Taker, paused: watch::Receiver<bool>) -> Sender<P> {
        let (send, messages) = mpsc::unbounded_channel();
        Sender {
            configuration: db.version(CONFIGURATION),
            db,
            post: Arc::new(post),
            settings,
            held: HashMap::new(),
            results: Vec::new(),
            results_in_flight: 0,
            record_at: 0,
            claiming: false,
            claimed_at: 0,
            renewing: false,
            looking: false,
            look_again: true,
            next_tick: 0,
            configurations: 0,
            by_hand: None,
            messages,
            send,
            due,
            handed_to: 0,
            touched: BTreeSet::new(),
            wakes: BTreeSet::new(),
            held_back: false,
            was_paused: false,
            outstanding: 0,
            attempts_in_flight: 0,
            flying: HashMap::new(),
            paused,
        }
    }

    /// Statements that were started and have not come back; a test waits for them with [`Sender::settle`].
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }
    /// POSTs under way.
    pub fn attempts_in_flight(&self) -> usize {
        self.attempts_in_flight
    }

    fn spawn(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.outstanding += 1;
        if let Some(by_hand) = &mut self.by_hand {
            by_hand.waiting.push(Box::pin(work));
            return;
        }
        let send = self.send.clone();
        tokio::spawn(async move {
            let _ = send.send(work.await);
        });
    }

    /// From now on statements run only by [`Sender::run_statement`], so that a simulation decides about every order.
    pub fn by_hand(&mut self) {
        self.by_hand = Some(ByHand::default());
    }
    /// Statements that wait to be run, and results that wait to be handed in.
    pub fn at_hand(&self) -> (usize, usize) {
        self.by_hand.as_ref().map_or((0, 0), |by_hand| (by_hand.waiting.len(), by_hand.ended.len()))
    }
    /// Runs one of the waiting statements.
    pub async fn run_statement(&mut self, index: usize) {
        let Some(by_hand) = &mut self.by_hand else { return };
        let done = by_hand.waiting.remove(index).await;
        by_hand.ended.push(done);
    }
    /// Hands in the result of a statement that was run.
    pub fn hand_in(&mut self, index: usize) {
        let Some(by_hand) = &mut self.by_hand else { return };
        let done = by_hand.ended.remove(index);
        let now = self.db.now();
        self.handle(done, now);
    }

    /// Does all that can be done now; answers when to call again if nothing happens. Microseconds.
    pub fn step(&mut self) -> i64 {
        let now = self.db.now();
        while let Ok(done) = self.messages.try_recv() {
            self.handle(done, now);
        }
        self.take_over();
        let configuration = self.db.version(CONFIGURATION);
        if configuration != self.configuration {
            self.configuration = configuration;
            let mut all: Vec<EndpointId> = self.held.keys().copied().collect();
            all.sort_unstable();
            all.into_iter().for_each(|endpoint| self.configure(endpoint));
        }
        if now >= self.next_tick {
            self.next_tick = now + TICK_US;
            self.look_again = true;
            self.renew(now);
            // Another node may have fanned out to what we hold.
            self.held.values_mut().for_each(|held| held.unread = true);
            self.touch_all();
        }
        let paused = *self.paused.borrow();
        if std::mem::replace(&mut self.was_paused, paused) != paused {
            self.touch_all();
        }
        if self.look_again && !self.looking {
            self.look_again = false;
            self.look();
        }
        self.record(now);
        while let Some((_, endpoint)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.pop_first();
            self.touched.insert(endpoint);
        }
        for endpoint in std::mem::take(&mut self.touched) {
            let at = self.pump(endpoint, now);
            let Some(held) = self.held.get_mut(&endpoint) else { continue };
            self.wakes.remove(&(std::mem::replace(&mut held.wake_at, at), endpoint));
            if at < i64::MAX {
                self.wakes.insert((at, endpoint));
            }
        }
        let wake = self.wakes.first().map_or(self.next_tick, |(at, _)| self.next_tick.min(*at));
        self.record(now);
        if self.results.is_empty() || self.results_in_flight > 0 { wake } else { wake.min(self.record_at) }
    }

    /// Waits for one message or commit, at most until `wake`.
    pub async fn wait(&mut self, wake: i64, woken: &mut watch::Receiver<u64>) {
        let pause = Duration::from_micros((wake - self.db.now()).max(0) as u64);
        tokio::select! {
            Some(done) = self.messages.recv() => {
                let now = self.db.now();
                self.handle(done, now);
            }
            () = self.due.filled() => {}
            _ = woken.changed() => self.look_again = true,
            _ = tokio::time::sleep(pause) => {}
        }
    }

    /// Waits until every statement has come back; POSTs may stay under way. For tests.
    pub async fn settle(&mut self) {
        loop {
            self.step();
            if self.outstanding == 0 {
                return;
            }
            if let Some(done) = self.messages.recv().await {
                let now = self.db.now();
                self.handle(done, now);
            }
        }
    }

    /// Runs until `stop` is set, then waits up to `bound` for what is in flight to end and be recorded.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>, bound: Duration) {
        let mut woken = self.db.watch(DELIVERIES);
        let mut configured = self.db.watch(CONFIGURATION);
        let mut paused = self.paused.clone();
        while !*stop.borrow() {
            let wake = self.step();
            tokio::select! {
                _ = self.wait(wake, &mut woken) => {}
                _ = configured.changed() => {}
                _ = paused.changed() => {}
                _ = stop.changed() => {}
            }
        }
        let end = tokio::time::Instant::now() + bound;
        loop {
            while let Ok(done) = self.messages.try_recv() {
                let now = self.db.now();
                self.handle(done, now);
            }
            self.record(self.db.now());
            let quiet = self.attempts_in_flight == 0 && self.results.is_empty() && self.results_in_flight == 0;
            let now = tokio::time::Instant::now();
            if quiet || now >= end {
                return;
            }
            let pause = end.min(now + Duration::from_micros(TROUBLE_US as u64));
            if let Ok(Some(done)) = tokio::time::timeout_at(pause, self.messages.recv()).await {
                let now = self.db.now();
                self.handle(done, now);
            }
        }
    }

    fn claim(&mut self) {
        if self.claiming || *self.paused.borrow() {
            return;
        }
        self.claiming = true;
        self.claimed_at = self.db.now();
        let (db, node) = (self.db.clone(), self.settings.node.clone());
        self.spawn(async move { Done::Claimed(db.write(move |tx| deliveries::claim(tx, &node, CLAIM)).await) });
    }

    /// Looks for endpoints that are due and free, and for what a person has asked for.
    fn look(&mut self) {
        self.looking = true;
        let db = self.db.clone();
        // What another node's fan-out has given to an endpoint of ours; what this node's has given is handed over.
        let ours = self.held.iter().filter(|(_, held)| db.is_shared() && !held.unread && !held.loading);
        let held: Vec<_> = ours.map(|(endpoint, held)| (*endpoint, held.queue.seen())).collect();
        self.spawn(
            async move { Done::Waiting(db.read(move |read| deliveries::waiting(read, 4 * CLAIM, &held)).await) },
        );
    }

    fn renew(&mut self, now: i64) {
        if self.renewing || !self.held.values().any(|held| held.lease_until - now < RENEW_LEFT_US) {
            return;
        }
        self.renewing = true;
        let (db, node) = (self.db.clone(), self.settings.node.clone());
        let mut leases: Vec<(EndpointId, i64)> =
            self.held.iter().map(|(endpoint, held)| (*endpoint, held.queue.epoch())).collect();
        leases.sort_unstable(); // so that two nodes lock rows in one order
        self.spawn(async move {
            let asked = leases.clone();
            let renewed = db.write(move |tx| deliveries::renew(tx, &node, &asked)).await;
            Done::Renewed(leases, now, renewed)
        });
    }

    fn configure(&mut self, endpoint: EndpointId) {
        self.configurations += 1;
        let (db, number) = (self.db.clone(), self.configurations);
        self.spawn(async move {
            Done::Configured(endpoint, number, db.read(move |read| webhooks::for_sending(read, endpoint)).await)
        });
    }

    fn record(&mut self, now: i64) {
        if self.results.is_empty() || self.results_in_flight > 0 || now < self.record_at {
            return;
        }
        let rest = self.results.split_off(self.results.len().min(RECORD));
        let batch = std::mem::replace(&mut self.results, rest);
        self.results_in_flight = batch.len();
        let (db, batch, render) = (self.db.clone(), Arc::new(batch), self.settings.render);
        self.spawn(async move {
            let attempts = batch.clone();
            let recorded = db
                .write(move |tx| {
                    let recorded = deliveries::record(tx, &attempts)?;
                    let off = deliveries::report(tx, render, &attempts, &recorded)?;
                    Ok::<_, Error>((recorded, off))
                })
                .await;
            Done::Recorded(Arc::unwrap_or_clone(batch), recorded)
        });
    }

    /// Works on one endpoint; answers when it wants to be looked at again.
    fn pump(&mut self, endpoint: EndpointId, now: i64) -> i64 {
        let room_to_record = self.results.len() + self.results_in_flight < UNRECORDED;
        self.held_back |= !room_to_record;
        let paused = *self.paused.borrow();
        let Some(held) = self.held.get_mut(&endpoint) else { return i64::MAX };
        let epoch = held.queue.epoch();
        if let Some(at) = held.configure_at {
            if now < at {
                return at;
            }
            held.configure_at = None;
            self.configure(endpoint);
            return i64::MAX;
        }
        let Some(prepared) = held.prepared.clone() else { return i64::MAX };
        if held.parking {
            return i64::MAX;
        }
        let active = prepared.endpoint.is_active;
        if !active {
            held.queue.forget_waiting();
            held.complete = false;
        }
        // Only when nothing is in flight: what was accepted shall say so.
        if !active && held.cancel && !held.cancelling && held.queue.is_quiet() && now >= held.not_before {
            held.cancel = false;
            held.cancelling = true;
            let (db, render) = (self.db.clone(), self.settings.render);
            self.spawn(async move {
                let cancelled = db.write(move |tx| deliveries::cancel(tx, render, endpoint, CANCEL)).await;
                Done::Cancelled(endpoint, epoch, cancelled)
            });
        }
        let Some(held) = self.held.get_mut(&endpoint) else { return i64::MAX };
        if held.unread && !held.loading && now >= held.not_before {
            held.loading = true;
            held.unread = false;
            held.queue.begin_read();
            let (seen, limit) = (held.queue.seen(), PAGE.min(held.queue.room() as i64));
            let db = self.db.clone();
            self.spawn(async move {
                let page = db
                    .read(move |read| {
                        let epoch = deliveries::epoch(read, endpoint)?;
                        let manual = deliveries::pending_manual(read, endpoint, PAGE)?;
                        if !active {
                            return Ok(Page { epoch, cursor: None, manual, rows: Vec::new() });
                        }
                        let cursor = Some(deliveries::cursor(read)?);
                        let rows = deliveries::pending(read, endpoint, seen, limit)?;
                        Ok::<_, Error>(Page { epoch, cursor, manual, rows })
                    })
                    .await;
                Done::Loaded(endpoint, epoch, limit, page)
            });
        }
        let Some(held) = self.held.get_mut(&endpoint) else { return i64::MAX };
        let reloads = if now >= held.not_before { held.queue.take_reloads() } else { Vec::new() };
        for (conversation, after) in reloads {
            self.reload(endpoint, epoch, conversation, after);
        }
        let Some(held) = self.held.get_mut(&endpoint) else { return i64::MAX };
        if !paused && room_to_record && now < held.lease_until && held.configured >= held.settles {
            while self.flying.get(&endpoint).is_none_or(|flying| *flying < MAX_SLOTS)
                && let Some(start) = self.held.get_mut(&endpoint).and_then(|held| held.queue.next(now))
            {
                self.attempt(endpoint, epoch, &prepared, start, now);
            }
        }
        let Some(held) = self.held.get_mut(&endpoint) else { return i64::MAX };
        let next = held.queue.next_wake();
        if !held.queue.is_quiet() || held.cancelling || next.is_some_and(|next| next < now + LINGER_US) {
            held.idle_since = now;
        }
        let mut wake = next.filter(|next| *next > now).unwrap_or(i64::MAX);
        if now < held.not_before || held.unread || (held.cancel && !active) {
            wake = wake.min(held.not_before.max(now + 1));
        }
        let parks_at = held.idle_since + LINGER_US;
        if held.unread || held.loading || held.cancelling || now < parks_at {
            return wake.min(parks_at.max(now + 1));
        }
        held.parking = true;
        let park = Park { endpoint, epoch, seen: held.queue.seen(), next_due_at: next };
        let db = self.db.clone();
        self.spawn(async move { Done::Parked(endpoint, epoch, db.write(move |tx| deliveries::park(tx, &park)).await) });
        i64::MAX
    }

    fn reload(&mut self, endpoint: EndpointId, epoch: i64, conversation: ConversationId, after: Place) {
        if let Some(held) = self.held.get_mut(&endpoint) {
            held.queue.begin_read();
        }
        let db = self.db.clone();
        self.spawn(async move {
            let limit = crate::queue::LANE as i64;
            let rows = db.read(move |read| deliveries::pending_of(read, endpoint, conversation, after, limit)).await;
            Done::LaneLoaded(endpoint, epoch, conversation, rows)
        });
    }

    fn attempt(&mut self, endpoint: EndpointId, epoch: i64, prepared: &Arc<Prepared>, start: Start, now: i64) {
        self.attempts_in_flight += 1;
        *self.flying.entry(endpoint).or_default() += 1;
        if start.delivery.body.is_empty() {
            let (db, id) = (self.db.clone(), start.delivery.id);
            self.spawn(async move {
                let body = db.read(move |read| deliveries::body(read, endpoint, id)).await;
                Done::Body(endpoint, epoch, start, body)
            });
            return;
        }
        self.post(endpoint, epoch, prepared, start, now);
    }

    fn landed(&mut self, endpoint: EndpointId) {
        self.attempts_in_flight -= 1;
        if let Some(flying) = self.flying.get_mut(&endpoint) {
            *flying -= 1;
            if *flying == 0 {
                self.flying.remove(&endpoint);
            }
        }
    }

    fn post(&mut self, endpoint: EndpointId, epoch: i64, prepared: &Arc<Prepared>, start: Start, now: i64) {
        let id = start.delivery.id;
        let request = prepared.request(start.delivery, now);
        let (post, send) = (self.post.clone(), self.send.clone());
        tokio::spawn(async move {
            let outcome = match request {
                Ok(request) => post.post(request).await,
                Err(detail) => {
                    let error = Some(Failure { kind: ErrorKind::Refused, detail });
                    Outcome { error, ..Outcome::default() }
                }
            };
            let _ = send.send(Done::Posted(endpoint, epoch, id, now, outcome));
        });
    }
}
