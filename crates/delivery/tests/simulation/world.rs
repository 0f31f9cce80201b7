//! One run: what happens, in which order, and what must hold on the way and at the end.

mod check;
mod endpoints;

use crate::network::{Behaviour, MS, Network, NodePost, SECOND, Shared};
use crate::sql;
use crate::store::{Engine, Store};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use tieline_core::attachments::link::{DEFAULT_TTL_US, Links};
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::{Conversation, Customer};
use tieline_core::conversations::{StartOutbound, StartOutboundVerb};
use tieline_core::ctx::Ctx;
use tieline_core::deliveries;
use tieline_core::events::{self, Change, Event};
use tieline_core::idempotency::Reply;
use tieline_core::ids::{ConversationId, DeliveryId, EndpointId, TenantId};
use tieline_core::secrets::Keyring;
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::webhooks::Format;
use tieline_core::{Error, Kind, Result};
use tieline_db::fault::Point;
use tieline_db::{Db, params};
use tieline_delivery::egress::EgressPolicy;
use tieline_delivery::fan_out::FanOutLoop;
use tieline_delivery::handover::handover;
use tieline_delivery::nodes::Neighbours;
use tieline_delivery::queue::Rules;
use tieline_delivery::render::Scene;
use tieline_delivery::schedule::{HealthRules, RetrySchedule};
use tieline_delivery::sender::{Sender, Settings};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::sim::Rng;
use tokio::sync::watch;
use uuid::Uuid;

struct Node {
    sender: Sender<NodePost>,
    fan_out: FanOutLoop,
    neighbours: Neighbours,
    engine: Engine,
}

/// Everything of one run.
pub struct World {
    pub rng: Rng,
    pub digest: u64,
    clock: VirtualClock,
    shared: Shared,
    store: Store,
    /// What serves the API; on a file it is the nodes' as well.
    engine: Engine,
    db: Db,
    tenant: TenantId,
    nodes: Vec<Node>,
    born: u32,
    opened: u64,
    per_mille: usize,
    two_nodes: bool,
    /// When a process that died starts again.
    reborn_at: Option<i64>,
    endpoints: Vec<EndpointId>,
    /// Switched off, deleted, or given a 410: what happened meanwhile is not theirs.
    interrupted: HashSet<EndpointId>,
    deleted: HashSet<EndpointId>,
    taken_back: HashMap<EndpointId, i64>,
    asked_for: HashSet<DeliveryId>,
    conversations: Vec<Conversation>,
    acknowledged: HashSet<(ConversationId, i64)>,
    references: u64,
}

/// What nobody may guess is the same in every run here.
fn counted(bytes: &mut [u8]) -> Result<()> {
    thread_local!(static NEXT: std::cell::Cell<u64> = const { std::cell::Cell::new(1) });
    let number = NEXT.with(|next| next.replace(next.get() + 1));
    bytes.iter_mut().zip(number.to_le_bytes().iter().cycle()).for_each(|(byte, part)| *byte = *part);
    Ok(())
}

/// What bodies of Chatwoot's format are made with.
fn scene() -> Scene {
    let keyring = Arc::new(Keyring::from_bytes([7; 32]));
    let links = Links::new(&keyring, "http://127.0.0.1", DEFAULT_TTL_US);
    Scene::new(keyring, &links)
}

fn rules() -> Rules {
    Rules {
        schedule: RetrySchedule::parse("1s,2s,4s,8s,16s").expect("parses"),
        health: HealthRules { disable_window: 90 * SECOND, ..HealthRules::default() },
    }
}

impl World {
    /// A few endpoints, one or two nodes, and faults.
    pub async fn new(seed: u64) -> World {
        let mut world = World::bare(seed).await;
        world.two_nodes = world.rng.chance(40);
        if world.rng.chance(40) {
            world.create_inbox().await;
        }
        for _ in 0..1 + world.rng.below(4) {
            world.create_endpoint().await;
        }
        world.per_mille = *world.rng.pick(&[0, 0, 20, 100, 300]);
        world.engine.faults.set(world.per_mille);
        for _ in 0..1 + usize::from(world.two_nodes) {
            world.give_birth();
        }
        world
    }

    /// A tenant, and nothing else yet.
    async fn bare(seed: u64) -> World {
        let clock = VirtualClock::new();
        let store = Store::new(&clock, seed);
        let engine = store.open(0);
        let db = engine.db.clone();
        let shared = Shared {
            network: Arc::new(Mutex::new(Network::default())),
            clock: clock.clone(),
            rng: Arc::new(Mutex::new(Rng::new(seed ^ 0xabcd))),
        };
        let plan = Plan { max_webhooks: 100, ..Plan::default() };
        let cmd = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan };
        let tenant = db.write(move |tx| tenants::create(tx, None, &cmd)).await.expect("a tenant").id;
        World {
            digest: 0,
            clock,
            shared,
            store,
            engine,
            db,
            tenant,
            nodes: Vec::new(),
            born: 0,
            opened: 0,
            per_mille: 0,
            two_nodes: false,
            reborn_at: None,
            endpoints: Vec::new(),
            interrupted: HashSet::new(),
            deleted: HashSet::new(),
            taken_back: HashMap::new(),
            asked_for: HashSet::new(),
            conversations: Vec::new(),
            acknowledged: HashSet::new(),
            references: 0,
            rng: Rng::new(seed),
        }
    }

    /// One node, and endpoints that behave like this for ever.
    pub async fn calm(behaviours: &[Behaviour]) -> (World, Vec<EndpointId>) {
        let mut world = World::bare(1).await;
        for behaviour in behaviours {
            world.add_endpoint(Format::Native).await;
            let endpoint = *world.endpoints.last().expect("one");
            world.shared.network.lock().unwrap().behaviours.insert(endpoint, *behaviour);
        }
        world.give_birth();
        let endpoints = world.endpoints.clone();
        (world, endpoints)
    }

    /// Something happens every `every` microseconds, `events` times; answers how long each took to be accepted by
    /// `endpoint`, sorted.
    pub async fn latencies(&mut self, endpoint: EndpointId, events: usize, every: i64) -> Vec<i64> {
        let mut began: HashMap<ConversationId, i64> = HashMap::new();
        let mut latencies = Vec::new();
        let start = self.clock.now();
        let mut emitted = 0;
        while latencies.len() < events {
            assert!(self.clock.now() < start + events as i64 * every + 600 * SECOND, "{} of {events}", latencies.len());
            if emitted < events && self.clock.now() >= start + emitted as i64 * every {
                self.open_conversation().await;
                began.insert(self.conversations.last().expect("one").id, self.clock.now());
                emitted += 1;
            }
            self.settle().await;
            while let Some(posted) = self.shared.ended() {
                if posted.accepts && posted.endpoint == endpoint {
                    let delivery = posted.delivery;
                    let conversation = self.db.read(move |read| {
                        let row = |row: &tieline_db::Row| row.get::<Option<Uuid>>(0);
                        Ok::<_, Error>(read.opt(sql::PLACE, &params![endpoint.0, delivery.0], row)?.flatten())
                    });
                    // New contacts are events without a conversation; they are not counted.
                    let conversation = conversation.await.expect("reads").map(ConversationId::from_uuid);
                    latencies.extend(conversation.and_then(|id| began.remove(&id)).map(|at| self.clock.now() - at));
                }
                posted.answer();
            }
            self.settle().await;
            let next = if emitted < events { start + emitted as i64 * every } else { i64::MAX };
            let next = next.min(self.shared.next_end().unwrap_or(i64::MAX)).min(self.clock.now() + SECOND);
            self.clock.advance_us((next - self.clock.now()).max(0));
        }
        latencies.sort_unstable();
        latencies
    }

    /// Everything that can happen without time passing.
    async fn settle(&mut self) {
        let node = &mut self.nodes[0];
        while node.fan_out.step().await.expect("no faults") {}
        for _ in 0..3 {
            loop {
                node.sender.step();
                match node.sender.at_hand() {
                    (0, 0) => break,
                    (0, _) => node.sender.hand_in(0),
                    _ => node.sender.run_statement(0).await,
                }
            }
            for _ in 0..6 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn give_birth(&mut self) {
        self.born += 1;
        let number = self.born;
        let (due, due_receiver) = handover();
        let (pause, paused) = watch::channel(false);
        let engine = if self.store.is_server() { self.open() } else { self.engine.clone() };
        let db = engine.db.clone();
        let settings = Settings {
            node: format!("node-{number}"),
            keyring: Arc::new(Keyring::from_bytes([7; 32])),
            policy: Arc::new(EgressPolicy::parse("", false).expect("parses")),
            rules: Arc::new(rules()),
            render: tieline_wire::native::event::data,
            observe: Arc::new(|_| {}),
        };
        let post = NodePost { shared: self.shared.clone(), node: number };
        let mut sender = Sender::new(db.clone(), post, settings, due_receiver, paused);
        sender.by_hand();
        let fan_out = FanOutLoop::new(db.clone(), due, scene());
        self.nodes.push(Node { sender, fan_out, neighbours: Neighbours::new(db, pause), engine });
    }

    fn open(&mut self) -> Engine {
        self.opened += 1;
        let engine = self.store.open(self.opened);
        engine.faults.set(self.per_mille);
        engine
    }

    fn ctx(&self) -> Ctx {
        Ctx { random: counted, ..Ctx::system(self.tenant, tieline_wire::native::event::data) }
    }

    /// One thing that happens, and some of the work that follows from it.
    pub async fn act(&mut self) {
        match self.rng.below(100) {
            0..30 => self.open_conversation().await,
            30..62 => {
                for _ in 0..*self.rng.pick(&[1, 1, 1, 1, 2, 2, 5, 70]) {
                    self.append().await;
                }
            }
            62..68 => {
                let endpoint = *self.rng.pick(&self.endpoints);
                self.misbehave(endpoint);
            }
            68..74 => self.crash().await,
            74..80 => self.change_endpoint().await,
            80..84 => self.ask_for().await,
            84..86 if self.endpoints.len() < 6 => self.create_endpoint().await,
            _ => {
                let pause = *self.rng.pick(&[MS, 100 * MS, SECOND, 3 * SECOND, 11 * SECOND, 70 * SECOND]);
                self.clock.advance_us(pause);
            }
        }
        for _ in 0..self.rng.below(40) {
            self.work().await;
        }
    }

    async fn open_conversation(&mut self) {
        self.references += 1;
        let command = StartOutbound {
            ctx: self.ctx(),
            once: None,
            external_reference: Some(format!("order-{}", self.references)),
            contact: Customer::Found(Upsert {
                email: Some(format!("person{}@example.com", self.rng.below(5))),
                ..Upsert::default()
            }),
            subject: None,
            channel: Channel::Email,
            message: None,
            tags: Vec::new(),
            custom_fields: serde_json::Map::new(),
            metadata: "{}".into(),
        };
        match self.db.submit::<StartOutboundVerb>(command).await {
            Ok(Reply::Done(started)) => {
                self.acknowledged.insert((started.conversation.id, 1));
                self.conversations.push(started.conversation);
            }
            Ok(_) => panic!("a new reference is no repeat"),
            Err(error) => assert!(error.kind == Kind::Unavailable, "{error:?}"),
        }
    }

    async fn append(&mut self) {
        if self.conversations.is_empty() {
            return;
        }
        let newest = self.conversations.len().min(4);
        let at = self.conversations.len() - 1 - self.rng.below(newest);
        let conversation = self.conversations[at].clone();
        let (ctx, id) = (self.ctx(), conversation.id);
        let written: Result<i64> = self
            .db
            .write(move |tx| {
                let last: i64 =
                    tx.opt(sql::LAST, &params![ctx.tenant.0, conversation.id.0], |row| row.get(0))?.unwrap_or_default();
                let changes = [Change::new("status", "done", conversation.status.as_str())];
                let event = Event::ConversationUpdated { conversation: &conversation, changes: &changes };
                events::emit(tx, &ctx, &event, Some(last + 1))?;
                Ok(last + 1)
            })
            .await;
        if let Ok(sequence) = written {
            self.acknowledged.insert((id, sequence));
        }
    }

    /// A process dies: at once, wherever it is, also within a transaction.
    async fn crash(&mut self) {
        if !self.nodes.is_empty() {
            let at = self.rng.below(self.nodes.len());
            if self.store.is_server() {
                if self.rng.chance(60) {
                    let point = *self.rng.pick(&[Point::Begin, Point::BeforeCommit, Point::AfterCommit]);
                    self.nodes[at].engine.faults.die_at(point);
                    self.nodes[at].one_step(&mut self.rng).await;
                }
                self.nodes[at].engine.die();
            }
            self.nodes.remove(at);
        }
        if self.nodes.is_empty() && self.rng.chance(50) {
            // The whole server: its file is opened again. Where there is none, what serves the API starts anew.
            let old = self.engine.clone();
            if self.store.is_server() {
                old.die()
            } else {
                old.db.close()
            }
            self.engine = self.open();
            self.db = self.engine.db.clone();
            if !self.store.is_server() {
                while self.db.write(deliveries::clear_leases).await.is_err() {}
            }
            self.give_birth();
        } else if self.rng.chance(50) {
            self.give_birth();
        } else {
            self.reborn_at = Some(self.clock.now() + self.rng.between(0, 12 * SECOND));
        }
    }

    async fn ask_for(&mut self) {
        let tenant = self.tenant;
        let ended = self.db.read(move |read| {
            let row = |row: &tieline_db::Row| Ok((row.get::<Uuid>(0)?, row.get::<Uuid>(1)?));
            Ok::<_, Error>(read.all(sql::ENDED, &params![tenant.0], row)?)
        });
        let ended = ended.await.expect("reads");
        if ended.is_empty() {
            return;
        }
        let (endpoint, id) = *self.rng.pick(&ended);
        let (endpoint, id) = (EndpointId::from_uuid(endpoint), DeliveryId::from_uuid(id));
        self.asked_for.insert(id);
        let ctx = self.ctx();
        let asked = self.db.write(move |tx| deliveries::redeliver(tx, &ctx, endpoint, id)).await;
        drop(asked); // refused, done, or done without our learning of it
    }

    /// One small step of somebody.
    async fn work(&mut self) {
        if self.reborn_at.is_some_and(|at| at <= self.clock.now()) {
            self.reborn_at = None;
            self.give_birth();
        }
        match self.rng.below(12) {
            0 => self.clock.advance_us(self.rng.between(MS, 50 * MS)),
            1 | 2 => self.end_posts().await,
            what => {
                if self.nodes.is_empty() {
                    return;
                }
                let at = self.rng.below(self.nodes.len());
                match what {
                    3 => self.nodes[at].fan_out().await,
                    4..=6 => drop(self.nodes[at].sender.step()),
                    7..=9 => self.nodes[at].statement(&mut self.rng).await,
                    _ => {
                        let (_, ended) = self.nodes[at].sender.at_hand();
                        if ended > 0 {
                            let which = self.rng.below(ended);
                            self.nodes[at].sender.hand_in(which);
                        }
                    }
                }
                self.look().await;
            }
        }
    }

    /// Lets POSTs begin, and judges those that have.
    async fn look(&mut self) {
        for _ in 0..6 {
            tokio::task::yield_now().await;
        }
        let fresh = std::mem::take(&mut self.shared.network.lock().unwrap().fresh);
        for (node, endpoint, delivery) in fresh {
            let mut hasher = DefaultHasher::new();
            (self.digest, node, endpoint, delivery, self.clock.now()).hash(&mut hasher);
            self.digest = hasher.finish();
            // Whose endpoint was taken back learns of it with its next renewal, at the latest when its lease runs out.
            let just = self.taken_back.get(&endpoint).is_some_and(|at| self.clock.now() <= at + deliveries::LEASE_US);
            let row = self
                .db
                .read(move |read| {
                    Ok::<_, Error>(read.opt(sql::STATE, &params![endpoint.0, delivery.0], |row| row.get::<String>(0))?)
                })
                .await
                .expect("reads");
            assert!(just || row.as_deref() == Some("pending"), "{delivery} of {endpoint} was posted, but is {row:?}");
        }
    }

    async fn end_posts(&mut self) {
        while let Some(posted) = self.shared.ended() {
            if posted.accepts {
                self.accepted(posted.endpoint, posted.delivery).await;
            }
            posted.answer();
        }
        self.look().await;
    }

    /// The receiver takes it: everything before it in its conversation has been taken, has ended, or was overtaken.
    async fn accepted(&mut self, endpoint: EndpointId, delivery: DeliveryId) {
        if !self.shared.network.lock().unwrap().accepted.insert(delivery) || self.asked_for.contains(&delivery) {
            return;
        }
        let tenant = self.tenant;
        let waiting: Vec<Uuid> = self
            .db
            .read(move |read| {
                let place = read.opt(sql::PLACE, &params![endpoint.0, delivery.0], |row| {
                    Ok((row.get::<Option<Uuid>>(0)?, row.get::<i64>(1)?, row.get::<bool>(2)?))
                })?;
                match place {
                    Some((Some(conversation), position, false)) => {
                        let params = params![tenant.0, endpoint.0, conversation, position, delivery.0];
                        Ok::<_, Error>(read.all(sql::EARLIER, &params, |row| row.get(0))?)
                    }
                    _ => Ok(Vec::new()),
                }
            })
            .await
            .expect("reads");
        let network = self.shared.network.lock().unwrap();
        for earlier in waiting.into_iter().map(DeliveryId::from_uuid) {
            assert!(network.accepted.contains(&earlier), "{delivery} was accepted before {earlier}");
        }
    }

    /// No more faults and crashes: everything comes to its end.
    pub async fn finish(&mut self) {
        self.per_mille = 0;
        self.engine.faults.set(0);
        self.nodes.iter().for_each(|node| node.engine.faults.set(0));
        self.reborn_at = None;
        if self.nodes.is_empty() || (self.two_nodes && self.nodes.len() < 2) {
            self.give_birth();
        }
        for endpoint in self.endpoints.clone() {
            use Behaviour::*;
            let last = *self.rng.pick(&[Healthy, Healthy, Healthy, Refusing, Choosy, Flapping, Hanging, RetryAfter]);
            self.shared.network.lock().unwrap().behaviours.insert(endpoint, last);
        }
        for _ in 0..20_000 {
            let mut wake = i64::MAX;
            for at in 0..self.nodes.len() {
                let node = &mut self.nodes[at];
                node.neighbours.step().await.expect("no faults");
                while node.fan_out.step().await.expect("no faults") {}
                loop {
                    wake = wake.min(node.sender.step());
                    let (waiting, _) = node.sender.at_hand();
                    if waiting > 0 {
                        node.sender.run_statement(self.rng.below(waiting)).await;
                    }
                    let (waiting, ended) = node.sender.at_hand();
                    if ended > 0 && (waiting == 0 || self.rng.chance(60)) {
                        node.sender.hand_in(self.rng.below(ended));
                    } else if waiting == 0 {
                        break;
                    }
                }
            }
            self.end_posts().await;
            let now = self.clock.now();
            let next = self.shared.next_end();
            if next.is_none() && self.pending().await == 0 {
                // Switching an endpoint off is an event, too; the last of the log may be what somebody waits for.
                if !self.nodes[0].fan_out.step().await.expect("no faults") && self.pending().await == 0 {
                    return;
                }
                continue;
            }
            // To the next thing that happens, or later: sometimes nobody looks for long.
            let pause = match self.rng.below(100) {
                0..3 => 8 * SECOND,
                3..60 => 3 * SECOND,
                _ => (wake - now).clamp(MS, SECOND),
            };
            self.clock.advance_us(next.map_or(pause, |next| (next - now).clamp(0, pause)));
        }
        let stuck: Vec<String> =
            self.db.read(|read| Ok::<_, Error>(read.all(sql::STUCK, &[], |row| row.get(0))?)).await.expect("reads");
        panic!("these deliveries never end: {stuck:#?}");
    }

    async fn pending(&self) -> i64 {
        let count = self.db.read(|read| {
            let pending: i64 = read.opt(sql::COUNT_PENDING, &[], |row| row.get(0))?.unwrap_or_default();
            let asked: i64 = read.opt(sql::COUNT_ASKED, &[], |row| row.get(0))?.unwrap_or_default();
            Ok::<_, Error>(pending + asked)
        });
        count.await.expect("reads")
    }
}

impl Node {
    /// What others have changed is seen, and what is in the log fanned out; either may fail.
    async fn fan_out(&mut self) {
        drop(self.neighbours.step().await);
        drop(self.fan_out.step().await);
    }

    /// Runs one of the statements that wait.
    async fn statement(&mut self, rng: &mut Rng) {
        let (waiting, _) = self.sender.at_hand();
        if waiting > 0 {
            self.sender.run_statement(rng.below(waiting)).await;
        }
    }

    /// Something that writes, perhaps.
    async fn one_step(&mut self, rng: &mut Rng) {
        if rng.chance(50) {
            self.fan_out().await;
        } else {
            self.sender.step();
            self.statement(rng).await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.nodes.drain(..).for_each(|node| node.engine.db.close());
        self.db.close();
    }
}
