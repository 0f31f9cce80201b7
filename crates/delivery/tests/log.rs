//! The log on PostgreSQL, where transactions overlap: whoever reads it, however long a transaction stays open and however
//! many nodes move its horizon, gets each event once and in one order.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tieline_core::attachments::link::{DEFAULT_TTL_US, Links};
use tieline_core::contacts::{self, Create, Update, Upsert};
use tieline_core::ctx::{Ctx, no_random};
use tieline_core::events::{feed, numbering};
use tieline_core::ids::{ContactId, EventId};
use tieline_core::secrets::Keyring;
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::webhooks::{self, CreateEndpoint, Endpoint, Format};
use tieline_core::{Error, MIGRATIONS};
use tieline_db::{Config, Db, Tx, params};
use tieline_delivery::fan_out::FanOutLoop;
use tieline_delivery::handover::handover;
use tieline_delivery::render::Scene;
use tieline_testkit::postgres::Database;
use tieline_wire::native::event;

/// A node: what fans out, and a reader of the feed that goes on from the last place it saw.
struct Node {
    db: Db,
    fan_out: FanOutLoop,
    position: i64,
    read: Vec<EventId>,
}

/// What bodies of Chatwoot's format are made with.
fn scene() -> Scene {
    let keyring = Arc::new(Keyring::from_bytes([7; 32]));
    let links = Links::new(&keyring, "http://127.0.0.1", DEFAULT_TTL_US);
    Scene::new(keyring, &links)
}

impl Node {
    fn on(database: &Database) -> Node {
        let db = Db::open(Config::postgres(&database.url, MIGRATIONS)).expect("opens");
        let (giver, _) = handover();
        Node { fan_out: FanOutLoop::new(db.clone(), giver, scene()), position: 0, read: Vec::new(), db }
    }
    /// Everything that can be done now.
    async fn work(&mut self, ctx: &Ctx) {
        while self.fan_out.step().await.expect("fans out") {}
        let (tenant, position) = (ctx.tenant, self.position);
        let events = self.db.read(move |read| feed::of_tenant(read, tenant, position, 1000)).await.expect("the feed");
        self.position = events.last().map_or(position, |event| event.position);
        self.read.extend(events.iter().map(|event| event.id));
    }
}

fn create(tx: &mut Tx, ctx: &Ctx, name: &str) -> Result<(), Error> {
    let identity = Upsert { external_id: Some(name.to_owned()), ..Upsert::default() };
    contacts::create(tx, ctx, &Create { identity, ..Create::default() }).map(drop)
}

async fn make(db: &Db, ctx: &Ctx, name: String) {
    let ctx = ctx.clone();
    db.write(move |tx| create(tx, &ctx, &name)).await.expect("a contact");
}

async fn tenant(db: &Db) -> Ctx {
    let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
    let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
    Ctx { random: no_random, ..Ctx::system(tenant, event::data) }
}

async fn endpoint(db: &Db, ctx: &Ctx) -> Endpoint {
    let ctx = ctx.clone();
    let cmd = CreateEndpoint {
        name: "all".into(),
        description: None,
        url: "https://hooks.example.com/".into(),
        events: vec!["*".into()],
        format: Format::Native,
        header_prefix: "X-Tieline".into(),
        max_attempts: 10,
        inboxes: None,
        secret: vec![1],
        secret_prefix: "whsec_".into(),
    };
    db.write(move |tx| webhooks::create(tx, &ctx, &cmd)).await.expect("an endpoint")
}

/// The events that the endpoint was given, in the order of sending.
async fn given(db: &Db, endpoint: &Endpoint) -> Vec<EventId> {
    let (tenant, id) = (endpoint.tenant, endpoint.id);
    let sql = "select event_id from deliveries where tenant_id = $1 and endpoint_id = $2 order by position";
    let row = |row: &tieline_db::Row| Ok(EventId::from_uuid(row.get(0)?));
    db.read(move |read| read.all(sql, &params![tenant.0, id.0], row)).await.expect("deliveries")
}

/// A transaction that stays open: it does the next thing when it is told to, and never stands still in between, for the
/// server ends one that does.
struct Slow {
    go_on: mpsc::Sender<()>,
    done: mpsc::Receiver<()>,
    ended: tokio::task::JoinHandle<Result<(), Error>>,
}

impl Slow {
    /// Changes a row that is not of the log, then writes an event, then ends, and well or not.
    fn begin(node: &Node, ctx: &Ctx, contact: ContactId, ends_well: bool) -> Slow {
        let ((go_on, may_go_on), (did, done)) = (mpsc::channel::<()>(), mpsc::channel());
        let may_go_on = Mutex::new(may_go_on);
        let (db, ctx) = (node.db.clone(), ctx.clone());
        let work = move |tx: &mut Tx| {
            let may_go_on = may_go_on.lock().expect("not poisoned");
            let wait = |tx: &mut Tx| {
                let _ = did.send(());
                while may_go_on.recv_timeout(Duration::from_millis(100)) == Err(mpsc::RecvTimeoutError::Timeout) {
                    tx.opt("select 1", &[], |_| Ok(()))?;
                }
                Ok::<_, Error>(())
            };
            tx.execute("insert into installation (name, value) values ('slow', '')", &[])?;
            wait(tx)?;
            let named = Update { name: Some(Some(format!("Slow {ends_well}"))), ..Update::default() };
            contacts::update(tx, &ctx, contact, &named)?;
            tx.opt("select 1", &[], |_| Ok(()))?;
            wait(tx)?;
            tx.execute("delete from installation where name = 'slow'", &[])?;
            if ends_well { Ok(()) } else { Err(Error::not_found("luck")) }
        };
        let slow = Slow { go_on, done, ended: tokio::spawn(async move { db.write(work).await }) };
        slow.done();
        slow
    }
    fn done(&self) {
        tokio::task::block_in_place(|| self.done.recv()).expect("it does what it was told");
    }
    fn write(&self) {
        self.go_on.send(()).expect("it waits");
        self.done();
    }
    async fn end(self) -> bool {
        self.go_on.send(()).expect("it waits");
        self.ended.await.expect("runs").is_ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_makes_no_reader_skip_an_event() {
    let database = Database::create();
    let (mut one, mut other) = (Node::on(&database), Node::on(&database));
    let ctx = tenant(&one.db).await;
    let endpoint = endpoint(&one.db, &ctx).await;
    // It makes nothing new: the tenant's totals are one row.
    let by = ctx.clone();
    let identity = Upsert { external_id: Some("slow".into()), ..Upsert::default() };
    let contact = Create { identity, ..Create::default() };
    let contact = one.db.write(move |tx| contacts::create(tx, &by, &contact)).await.expect("a contact").contact.id;
    let mut there = 1;

    for (round, ends_well) in [true, false].into_iter().enumerate() {
        let slow = Slow::begin(&one, &ctx, contact, ends_well);
        // Nothing of it is in the log yet: it holds nobody up.
        for number in 0..4 {
            let node = if number % 2 == 0 { &one } else { &other };
            make(&node.db, &ctx, format!("{round} before {number}")).await;
        }
        there += 4;
        one.work(&ctx).await;
        other.work(&ctx).await;
        assert_eq!((one.read.len(), other.read.len()), (there, there));

        // Now there is, and what comes after it waits.
        slow.write();
        for number in 0..4 {
            let node = if number % 2 == 0 { &one } else { &other };
            make(&node.db, &ctx, format!("{round} after {number}")).await;
            one.work(&ctx).await;
            other.work(&ctx).await;
        }
        assert_eq!((one.read.len(), other.read.len()), (there, there), "nobody goes past it");
        let beyond = one.db.read(numbering::is_any_beyond).await.expect("looks");
        assert!(beyond, "by their positions alone all readers would be past the slow one");

        assert_eq!(slow.end().await, ends_well);
        there += 4 + usize::from(ends_well);
        other.work(&ctx).await;
        one.work(&ctx).await;
        assert_eq!((one.read.len(), other.read.len()), (there, there), "and the slow one's, if it is");
    }
    assert_eq!(one.read.iter().collect::<HashSet<_>>().len(), there, "once each");
    assert_eq!(one.read, other.read);
    assert_eq!(one.read, given(&one.db, &endpoint).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_made_after_everybody_who_writes_events_then() {
    let database = Database::create();
    let (mut one, other) = (Node::on(&database), Node::on(&database));
    let ctx = tenant(&one.db).await;
    make(&one.db, &ctx, "slow".into()).await;
    let contact = one.db.read({
        let tenant = ctx.tenant;
        move |read| {
            let sql = "select id from contacts where tenant_id = $1";
            read.opt(sql, &params![tenant.0], |row| row.get(0).map(ContactId::from_uuid))
        }
    });
    let contact = contact.await.map_err(|error: tieline_db::Error| error).expect("reads").expect("it is there");
    let slow = Slow::begin(&one, &ctx, contact, true);
    slow.write();
    make(&other.db, &ctx, "before".into()).await;
    let making = {
        let (db, ctx) = (other.db.clone(), ctx.clone());
        tokio::spawn(async move { endpoint(&db, &ctx).await })
    };
    // Until it waits for the slow one, as the server sees it.
    let waits = "select 1 from pg_locks where locktype = 'advisory' and not granted";
    while one
        .db
        .read(|read| read.opt(waits, &[], |_| Ok(())))
        .await
        .map_err(|e: tieline_db::Error| e)
        .unwrap()
        .is_none()
    {
        tokio::task::yield_now().await;
    }
    assert!(slow.end().await);
    let endpoint = making.await.expect("makes it");
    make(&one.db, &ctx, "after".into()).await;
    one.work(&ctx).await;
    assert_eq!(one.read.len(), 4);
    assert_eq!(given(&one.db, &endpoint).await, one.read[3..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_what_happens_after_it_was_made_and_nothing_from_before() {
    let database = Database::create();
    let (mut one, other) = (Node::on(&database), Node::on(&database));
    let ctx = tenant(&one.db).await;
    // Committed, and behind no horizon yet.
    make(&one.db, &ctx, "before".into()).await;
    make(&other.db, &ctx, "before too".into()).await;
    let endpoint = endpoint(&other.db, &ctx).await;
    make(&one.db, &ctx, "after".into()).await;
    one.work(&ctx).await;
    assert_eq!(one.read.len(), 3);
    assert_eq!(given(&one.db, &endpoint).await, one.read[2..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_fan_out_at_once_do_it_once() {
    const NODES: usize = 3;
    const EACH: usize = 120;
    let database = Database::create();
    let mut nodes: Vec<Node> = (0..NODES).map(|_| Node::on(&database)).collect();
    let ctx = tenant(&nodes[0].db).await;
    let endpoint = endpoint(&nodes[0].db, &ctx).await;
    let db = nodes[0].db.clone();
    let mut running = Vec::new();
    for (number, mut node) in nodes.drain(..).enumerate() {
        let ctx = ctx.clone();
        running.push(tokio::spawn(async move {
            for count in 0..EACH {
                make(&node.db, &ctx, format!("{number}-{count}")).await;
                node.work(&ctx).await;
            }
            node
        }));
    }
    let mut ended = Vec::new();
    for node in running {
        ended.push(node.await.expect("no panic"));
    }
    for node in &mut ended {
        while node.read.len() < NODES * EACH {
            node.work(&ctx).await;
        }
    }
    let read = ended[0].read.clone();
    assert_eq!(read.iter().collect::<HashSet<_>>().len(), NODES * EACH);
    assert!(ended.iter().all(|node| node.read == read), "every node reads the same log");
    while given(&db, &endpoint).await.len() < NODES * EACH {
        ended[0].work(&ctx).await;
    }
    assert_eq!(given(&db, &endpoint).await, read);
}

/// Before version 3 of the schema an event entered under a negative position and got its place afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_an_older_schema_that_have_no_place_get_one_when_it_is_brought_up() {
    let database = Database::create();
    let old = Db::open(Config::postgres(&database.url, &MIGRATIONS[..2])).expect("opens");
    let ids: Vec<EventId> = (0..4).map(|_| EventId::from_uuid(uuid::Uuid::now_v7())).collect();
    let entered = ids.clone();
    let enter = move |tx: &mut Tx| {
        // Two that were numbered, and two more in the order in which they entered.
        for (id, position) in entered.iter().zip([1i64, 2, -3, -4]) {
            tx.execute(
                "insert into events (position, id, tenant_id, type, actor, data, created_at) \
                 values ($1, $2, 1, 'tag.created', '{}', '{}', 0)",
                &params![position, id.0],
            )?;
        }
        Ok::<_, Error>(())
    };
    old.write(enter).await.expect("events");
    old.close();
    let mut node = Node::on(&database);
    let ctx = Ctx { tenant: tieline_core::ids::TenantId(1), ..tenant(&node.db).await };
    node.work(&ctx).await;
    assert_eq!(node.read, ids);
    assert_eq!(node.position, 4);
    let ctx = Ctx { random: no_random, ..Ctx::system(ctx.tenant, event::data) };
    make(&node.db, &ctx, "later".into()).await;
    node.work(&ctx).await;
    assert_eq!(node.read.len(), 5);
    assert!(node.position > 4, "{}", node.position);
}
