//! Conversations that find their agent by themselves, on both engines, with several nodes at once: each is given once, turns
//! are fair, nobody gets more than they may have, and nobody is idle while somebody waits.

use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tieline_core::assignment::{self, Known};
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{self, Customer, StartOutbound, StartOutboundVerb};
use tieline_core::ctx::Ctx;
use tieline_core::events::{Event, Frozen, feed, numbering};
use tieline_core::idempotency::Reply;
use tieline_core::ids::{ConversationId, UserId};
use tieline_core::teams::{self, Mode};
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::users::{self, Role};
use tieline_core::{Error, MIGRATIONS, inboxes};
use tieline_db::{Config, Db};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;

/// As much of the native shape as this reader of the log reads.
fn render(event: &Event) -> Frozen {
    let Event::ConversationUpdated { changes, .. } = event else { return "{}".to_owned().into() };
    let changes: Map<_, _> = changes.iter().map(|change| (change.field.to_owned(), json!({}))).collect();
    json!({"changes": changes}).to_string().into()
}

/// Bytes that no inbox had before.
fn counted(bytes: &mut [u8]) -> Result<(), Error> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    bytes.iter_mut().zip(number.iter().cycle()).for_each(|(byte, digit)| *byte = *digit);
    Ok(())
}

#[derive(Clone)]
struct Desk {
    db: Db,
    clock: VirtualClock,
    ctx: Ctx,
}

impl Desk {
    /// A tenant whose default team gives conversations this way, with so many agents who are there.
    async fn open(mut config: Config, mode: Mode, capacity: Option<i64>, agents: u8) -> (Desk, Vec<UserId>) {
        let clock = VirtualClock::new();
        config.clock = Arc::new(clock.clone());
        config.seed = Some(1);
        let db = Db::open(config).expect("opens");
        let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
        let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
        let ctx = Ctx { random: counted, ..Ctx::system(tenant, render) };
        let at = ctx.clone();
        let made: Result<Vec<UserId>, Error> = db
            .write(move |tx| {
                let mut members = Vec::new();
                for agent in 0..agents {
                    let create = users::Create {
                        email: format!("a{agent}@example.com"),
                        name: format!("A{agent}"),
                        role: Role::Agent,
                        password_hash: None,
                        access_token_hash: [agent; 32],
                        access_token_sealed: Vec::new(),
                    };
                    let user = users::create(tx, tenant, &create)?;
                    let until = tx.now() + 1_000_000;
                    users::see(tx, tenant, user.number, until)?;
                    members.push(user.id);
                }
                let name = "Desk".into();
                let (description, is_default) = (None, true);
                let team = teams::Create { name, description, members: members.clone(), is_default, mode, capacity };
                teams::create(tx, &at, &team)?;
                inboxes::for_channel(tx, &at, Channel::Email)?;
                Ok(members)
            })
            .await;
        (Desk { db, clock, ctx }, made.expect("a team"))
    }

    async fn start(&self, who: usize) -> ConversationId {
        self.clock.advance_us(1);
        let command = StartOutbound {
            ctx: self.ctx.clone(),
            once: None,
            external_reference: None,
            contact: Customer::Found(Upsert { external_id: Some(format!("u{who}")), ..Upsert::default() }),
            subject: None,
            channel: Channel::Email,
            message: None,
            tags: Vec::new(),
            custom_fields: Map::new(),
            metadata: "{}".into(),
        };
        match self.db.submit::<StartOutboundVerb>(command).await.expect("starts") {
            Reply::Done(started) => started.conversation.id,
            Reply::Replayed(_) => panic!("nothing was asked before"),
        }
    }

    async fn finish(&self, id: ConversationId) {
        let ctx = self.ctx.clone();
        let done = conversations::Update { status: Some(Status::Done), ..conversations::Update::none(id) };
        self.db.write(move |tx| conversations::update(tx, &ctx, &done)).await.expect("is done");
    }

    /// What a node does until nothing is left to do.
    async fn give(self) {
        while self.db.read(numbering::is_any_beyond).await.expect("looks") {
            self.db.write(numbering::advance).await.expect("numbers");
        }
        let mut known = Known::default();
        loop {
            let seen = known;
            let look = self.db.read(move |read| assignment::look(read, seen)).await.expect("looks");
            let noted = match look.work {
                Some(work) => self.db.write(move |tx| assignment::queue(tx, &work)).await.expect("notes"),
                None => true,
            };
            known = if noted { look.known } else { known };
            if look.more || !noted {
                continue;
            }
            let waiting = self.db.read(assignment::ready).await.expect("looks who is there");
            let left = match waiting.is_empty() {
                true => 0,
                false => self.db.write(move |tx| assignment::assign(tx, render, &waiting)).await.expect("gives"),
            };
            if left == 0 {
                return;
            }
        }
    }

    /// The same by four nodes at once.
    async fn give_at_once(&self) {
        let nodes: Vec<_> = (0..4).map(|_| tokio::spawn(self.clone().give())).collect();
        for node in nodes {
            node.await.expect("a node");
        }
        // What the slowest left because another was at it.
        self.clone().give().await;
    }

    /// How many open conversations each agent has; without one, those that wait.
    async fn held(&self, all: &[ConversationId]) -> BTreeMap<Option<UserId>, usize> {
        let (tenant, all) = (self.ctx.tenant, all.to_vec());
        let held: Result<_, Error> = self
            .db
            .read(move |read| {
                let mut held = BTreeMap::new();
                for id in &all {
                    let v = conversations::get(read, tenant, *id)?;
                    if v.status == Status::Active {
                        *held.entry(v.agent).or_insert(0) += 1;
                    }
                }
                Ok(held)
            })
            .await;
        held.expect("conversations")
    }
}

async fn turns(config: Config) {
    let (desk, agents) = Desk::open(config, Mode::RoundRobin, None, 3).await;
    let mut all = Vec::new();
    for who in 0..60 {
        all.push(desk.start(who).await);
    }
    desk.give_at_once().await;
    let held = desk.held(&all).await;
    assert!(agents.iter().all(|agent| held[&Some(*agent)] == 20), "{held:?}");
    let tenant = desk.ctx.tenant;
    let log = desk.db.read(move |read| feed::of_tenant(read, tenant, 0, 1000)).await.expect("the log");
    let given = log.iter().filter(|event| event.name == "assignment.changed");
    assert_eq!(given.clone().count(), 60, "each is given once");
    assert!(given.clone().all(|event| event.actor.contains("system")));
    assert!(given.clone().all(|event| event.cause.as_deref().is_some_and(|cause| cause.contains("assignment"))));
    desk.db.close();
}

async fn capacity(config: Config) {
    let (desk, agents) = Desk::open(config, Mode::LeastLoaded, Some(3), 4).await;
    let mut all = Vec::new();
    for who in 0..20 {
        all.push(desk.start(who).await);
    }
    desk.give_at_once().await;
    let held = desk.held(&all).await;
    assert_eq!((held[&None], held.len()), (8, 5), "{held:?}");
    assert!(agents.iter().all(|agent| held[&Some(*agent)] == 3), "{held:?}");
    // The oldest are given first.
    assert_eq!(desk.held(&all[..12]).await.get(&None), None);
    // Whoever ends some gets the next that wait, and nobody is idle meanwhile.
    let mut seed = 7_u64;
    for _ in 0..8 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        for id in &all[..(seed >> 33) as usize % all.len()] {
            desk.finish(*id).await;
        }
        desk.give_at_once().await;
        let held = desk.held(&all).await;
        let waiting = held.get(&None).copied().unwrap_or(0);
        for agent in &agents {
            let has = held.get(&Some(*agent)).copied().unwrap_or(0);
            assert!(has <= 3 && (waiting == 0 || has == 3), "{held:?}");
        }
    }
    desk.db.close();
}

fn sqlite() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config::sqlite(folder.path().join("t.db"), MIGRATIONS);
    (folder, config)
}

#[tokio::test]
async fn turns_are_fair_on_sqlite() {
    let (_folder, config) = sqlite();
    turns(config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_are_fair_on_postgresql() {
    let database = postgres::Database::create();
    turns(Config::postgres(&database.url, MIGRATIONS)).await;
}

#[tokio::test]
async fn nobody_is_idle_or_overloaded_on_sqlite() {
    let (_folder, config) = sqlite();
    capacity(config).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_idle_or_overloaded_on_postgresql() {
    let database = postgres::Database::create();
    capacity(Config::postgres(&database.url, MIGRATIONS)).await;
}
