//! Two nodes on one PostgreSQL, in virtual time: a delivery is sent once, whoever holds its endpoint and whoever dies.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tieline_core::attachments::link::{DEFAULT_TTL_US, Links};
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::{Conversation, Customer, StartOutbound, StartOutboundVerb};
use tieline_core::ctx::Ctx;
use tieline_core::deliveries::LEASE_US;
use tieline_core::events::{self, Event};
use tieline_core::idempotency::Reply;
use tieline_core::ids::DeliveryId;
use tieline_core::secrets::Keyring;
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::webhooks::{self, CreateEndpoint, Format};
use tieline_core::{Error, MIGRATIONS};
use tieline_db::{Config, Db, params};
use tieline_delivery::SECRET_CONTEXT;
use tieline_delivery::client::Outcome;
use tieline_delivery::egress::EgressPolicy;
use tieline_delivery::fan_out::FanOutLoop;
use tieline_delivery::handover::handover;
use tieline_delivery::housekeeping::{Housekeeping, Kept};
use tieline_delivery::queue::Rules;
use tieline_delivery::render::Scene;
use tieline_delivery::sender::{Post, Request, Sender, Settings};
use tieline_delivery::sign;
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres::Database;
use tieline_wire::native::event;
use tokio::sync::watch;
use uuid::Uuid;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 24 * 3600 * SECOND_US;
/// Conversations, each with an event of its own in every round.
const CONVERSATIONS: usize = 8;

/// What was posted, in order, and by which node.
type Log = Arc<Mutex<Vec<(&'static str, DeliveryId)>>>;

/// A receiver that takes everything and answers after others had their turn.
struct Receiver(&'static str, Log);

impl Post for Receiver {
    async fn post(&self, request: Request) -> Outcome {
        self.1.lock().unwrap().push((self.0, request.delivery));
        tokio::task::yield_now().await;
        Outcome { status: Some(200), ..Outcome::default() }
    }
}

struct Node {
    db: Db,
    fan_out: FanOutLoop,
    sender: Sender<Receiver>,
    _running: watch::Sender<bool>,
}

/// What bodies of Chatwoot's format are made with.
fn scene() -> Scene {
    let keyring = Arc::new(Keyring::from_bytes([7; 32]));
    let links = Links::new(&keyring, "http://127.0.0.1", DEFAULT_TTL_US);
    Scene::new(keyring, &links)
}

impl Node {
    fn on(database: &Database, clock: &VirtualClock, name: &'static str, log: &Log) -> Node {
        let mut config = Config::postgres(&database.url, MIGRATIONS);
        config.clock = Arc::new(clock.clone());
        let db = Db::open(config).expect("opens");
        let (due, taker) = handover();
        let (running, paused) = watch::channel(false);
        let settings = Settings {
            node: name.into(),
            keyring: Arc::new(Keyring::from_bytes([7; 32])),
            policy: Arc::new(EgressPolicy::parse("", false).expect("parses")),
            rules: Arc::new(Rules::default()),
            render: event::data,
            observe: Arc::new(|_| {}),
        };
        let sender = Sender::new(db.clone(), Receiver(name, log.clone()), settings, taker, paused);
        Node { fan_out: FanOutLoop::new(db.clone(), due, scene()), sender, _running: running, db }
    }
    /// All that can be done without time passing.
    async fn work(&mut self) {
        while self.fan_out.step().await.expect("fans out") {}
        self.send().await;
    }
    async fn send(&mut self) {
        self.sender.settle().await;
        while self.sender.attempts_in_flight() > 0 {
            tokio::task::yield_now().await;
            self.sender.settle().await;
        }
    }
}

/// Enough for the identifier of the one inbox.
fn sevens(bytes: &mut [u8]) -> Result<(), Error> {
    bytes.fill(7);
    Ok(())
}

async fn endpoint(db: &Db, ctx: &Ctx) {
    let secret = sign::generate_secret([1; 32]);
    let cmd = CreateEndpoint {
        name: "all".into(),
        description: None,
        url: "https://receiver.example/hook".into(),
        events: vec!["conversation.updated".into()],
        format: Format::Native,
        header_prefix: "X-Tieline".into(),
        max_attempts: 10,
        inboxes: None,
        secret: Keyring::from_bytes([7; 32]).seal(secret.as_bytes(), SECRET_CONTEXT, [3; 12]).expect("seals"),
        secret_prefix: "whsec_".into(),
    };
    let ctx = ctx.clone();
    db.write(move |tx| webhooks::create(tx, &ctx, &cmd)).await.expect("an endpoint");
}

async fn start(db: &Db, ctx: &Ctx, number: usize) -> Conversation {
    let command = StartOutbound {
        ctx: ctx.clone(),
        once: None,
        external_reference: None,
        contact: Customer::Found(Upsert { external_id: Some(number.to_string()), ..Upsert::default() }),
        subject: None,
        channel: Channel::Email,
        message: None,
        tags: Vec::new(),
        custom_fields: serde_json::Map::new(),
        metadata: "{}".into(),
    };
    match db.submit::<StartOutboundVerb>(command).await.expect("starts") {
        Reply::Done(started) => started.conversation,
        Reply::Replayed(_) => panic!("nothing was asked before"),
    }
}

/// Something happens to every conversation.
async fn happen(db: &Db, ctx: &Ctx, conversations: &[Conversation], sequence: i64) {
    for conversation in conversations {
        let (ctx, conversation) = (ctx.clone(), conversation.clone());
        let written = db.write(move |tx| {
            let event = Event::ConversationUpdated { conversation: &conversation, changes: &[] };
            events::emit(tx, &ctx, &event, Some(sequence)).map(drop)
        });
        written.await.expect("emits");
    }
}

async fn count(db: &Db, sql: &'static str) -> i64 {
    let found = db.read(move |read| Ok::<_, Error>(read.opt(sql, &[], |row| row.get::<i64>(0))?));
    found.await.expect("reads").expect("a number")
}

#[tokio::test]
async fn each_delivery_is_sent_once_and_in_order_while_the_holder_changes() {
    let (database, clock, log) = (Database::create(), VirtualClock::new(), Log::default());
    let mut one = Node::on(&database, &clock, "one", &log);
    let mut other = Node::on(&database, &clock, "other", &log);
    let db = other.db.clone();
    let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
    let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
    let ctx = Ctx { random: sevens, ..Ctx::system(tenant, event::data) };
    let mut conversations = Vec::new();
    for number in 0..CONVERSATIONS {
        conversations.push(start(&db, &ctx, number).await);
    }
    let sent = || log.lock().unwrap().len();

    // Each takes what is due when it looks.
    let mut sequence = 1;
    for (node, first) in [(&mut one, true), (&mut other, false)] {
        endpoint(&db, &ctx).await;
        endpoint(&db, &ctx).await;
        sequence += 1;
        happen(&db, &ctx, &conversations, sequence).await;
        clock.advance_us(SECOND_US);
        node.work().await;
        assert_eq!(sent(), 2 * CONVERSATIONS * if first { 1 } else { 2 }, "those whose endpoints are its own");
    }
    let mut expected = 6 * CONVERSATIONS;

    // Both at once, whoever fans out.
    for _ in 0..12 {
        sequence += 1;
        expected += 4 * CONVERSATIONS;
        happen(&db, &ctx, &conversations, sequence).await;
        for _ in 0..2 {
            clock.advance_us(SECOND_US / 2);
            tokio::join!(one.work(), other.work());
        }
        tokio::join!(one.send(), other.send());
    }
    clock.advance_us(SECOND_US);
    tokio::join!(one.send(), other.send());
    assert_eq!(sent(), expected, "all of it");
    let by = |node| log.lock().unwrap().iter().filter(|(by, _)| *by == node).count();
    assert!(by("one") > 0 && by("other") > 0, "both had some");

    // One dies. What it held waits for its lease, and for nothing longer.
    let (of_one, of_other) = (by("one"), by("other"));
    one.db.close();
    drop(one);
    sequence += 1;
    happen(&db, &ctx, &conversations, sequence).await;
    other.work().await;
    let early = by("other") - of_other;
    assert_eq!(early, 2 * CONVERSATIONS, "its own at once, the others not before the lease is over");
    for _ in 0..=LEASE_US / SECOND_US {
        clock.advance_us(SECOND_US);
        other.work().await;
    }
    expected += 4 * CONVERSATIONS;
    assert_eq!((by("one"), sent()), (of_one, expected), "the other one has taken over");

    let rows = db.read(move |read| {
        let sql = "select id, endpoint_id, conversation_id, sequence, status from deliveries where tenant_id = $1";
        let row = |row: &tieline_db::Row| {
            let lane = (row.get::<Uuid>(1)?, row.get::<Uuid>(2)?);
            Ok((DeliveryId::from_uuid(row.get(0)?), (lane, row.get::<i64>(3)?, row.get::<String>(4)?)))
        };
        Ok::<_, Error>(read.all(sql, &params![tenant.0], row)?)
    });
    let rows: HashMap<_, _> = rows.await.expect("reads").into_iter().collect();
    assert_eq!(rows.len(), expected);
    assert!(rows.values().all(|(_, _, status)| status == "succeeded"));
    let (mut seen, mut last) = (HashSet::new(), HashMap::new());
    for (node, id) in log.lock().unwrap().iter() {
        assert!(seen.insert(*id), "{id} was sent again, by {node}");
        let (lane, sequence, _) = &rows[id];
        assert!(last.insert(*lane, *sequence) < Some(*sequence), "{sequence} of {lane:?} came late");
    }

    // What is old is removed once, though two look for it.
    let events = count(&db, "select count(*) from events").await;
    clock.advance_us(31 * DAY_US);
    let fresh = Node::on(&database, &clock, "fresh", &log);
    let keepers = [&db, &fresh.db].map(|db| Housekeeping::new(db.clone(), Kept::default()));
    let mut removed = 0;
    loop {
        let (left, right) = tokio::join!(keepers[0].step(), keepers[1].step());
        match left.expect("no error") + right.expect("no error") {
            0 => break,
            some => removed += some as i64,
        }
    }
    assert_eq!(removed, expected as i64 + events - 1, "each row once; the newest event stays");
    assert_eq!(count(&db, "select count(*) from deliveries").await, 0);
    assert_eq!(count(&db, "select count(*) from attempts").await, 0);
    fresh.db.close();
    db.close();
}
