//! Conversations under any sequence of messages, changes and time, against a model of the contract's tables; and every verb
//! on both engines.

use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::{Engagement, Status};
use tieline_core::conversations::{
    self, Append, AppendVerb, Appended, Conversation, Customer, Filter, Merge, Sort, StartOutbound, StartOutboundVerb,
    Update,
};
use tieline_core::ctx::Ctx;
use tieline_core::events::{Event, feed};
use tieline_core::idempotency::Reply;
use tieline_core::ids::{ConversationId, TenantId};
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::status::DeliveryStatus;
use tieline_core::messages::{self, Author, NewMessage, Order, Report};
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::{Error, MIGRATIONS, timers};
use tieline_db::{Config, Db, params};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;

fn render(event: &Event) -> tieline_core::events::Frozen {
    format!("{{\"name\":\"{}\"}}", event.name()).into()
}

/// Bytes that no inbox had before.
fn counted(bytes: &mut [u8]) -> Result<(), Error> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    bytes.iter_mut().zip(number.iter().cycle()).for_each(|(byte, digit)| *byte = *digit);
    Ok(())
}

/// A tenant on a database, and what a test does there.
struct Desk {
    db: Db,
    clock: VirtualClock,
    ctx: Ctx,
}

impl Desk {
    async fn open(mut config: Config) -> Desk {
        let clock = VirtualClock::new();
        config.clock = Arc::new(clock.clone());
        config.seed = Some(1);
        let db = Db::open(config).expect("opens");
        let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
        let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
        Desk { db, clock, ctx: Ctx { random: counted, ..Ctx::system(tenant, render) } }
    }
    fn tenant(&self) -> TenantId {
        self.ctx.tenant
    }
    async fn start(&self, channel: Channel) -> Conversation {
        let command = StartOutbound {
            ctx: self.ctx.clone(),
            once: None,
            external_reference: None,
            contact: Customer::Found(Upsert { external_id: Some("u1".into()), ..Upsert::default() }),
            subject: None,
            channel,
            message: None,
            tags: Vec::new(),
            custom_fields: serde_json::Map::new(),
            metadata: "{}".into(),
        };
        match self.db.submit::<StartOutboundVerb>(command).await.expect("starts") {
            Reply::Done(started) => started.conversation,
            Reply::Replayed(_) => panic!("nothing was asked before"),
        }
    }
    async fn append(&self, to: ConversationId, message: NewMessage) -> Result<Appended, Error> {
        let command = Append { ctx: self.ctx.clone(), once: None, conversation: to, message };
        match self.db.submit::<AppendVerb>(command).await? {
            Reply::Done(done) => Ok(done),
            Reply::Replayed(_) => panic!("nothing was asked before"),
        }
    }
    async fn set(&self, id: ConversationId, status: Status, until: Option<i64>) -> Result<Conversation, Error> {
        let command = Update { status: Some(status), snoozed_until: until.map(Some), ..nothing(id) };
        let ctx = self.ctx.clone();
        Ok(self.db.write(move |tx| conversations::update(tx, &ctx, &command)).await?.conversation)
    }
    async fn fire(&self) -> usize {
        self.db.write(|tx| timers::fire(tx, render, 100)).await.expect("fires")
    }
    async fn now(&self, id: ConversationId) -> Conversation {
        let tenant = self.tenant();
        self.db.read(move |read| conversations::get(read, tenant, id)).await.expect("there")
    }
    /// Names of all events with a conversation, in order; panics when a conversation's are not numbered 1, 2, 3, ….
    async fn log(&self) -> Vec<(ConversationId, String)> {
        let tenant = self.tenant();
        let events = self.db.read(move |read| feed::of_tenant(read, tenant, 0, 10_000)).await.expect("the log");
        let mut last = std::collections::HashMap::new();
        let mut names = Vec::new();
        for event in events {
            let Some(id) = event.conversation else { continue };
            let before = last.insert(id, event.sequence.expect("a number"));
            assert_eq!(event.sequence, Some(before.unwrap_or(0) + 1), "{} of {id}", event.name);
            names.push((id, event.name));
        }
        names
    }
}

fn nothing(conversation: ConversationId) -> Update {
    Update {
        conversation,
        status: None,
        snoozed_until: None,
        subject: None,
        team: None,
        agent: None,
        custom_fields: serde_json::Map::new(),
        metadata: None,
    }
}

fn message(direction: Direction, kind: Option<AuthorType>, external_id: Option<u8>) -> NewMessage {
    NewMessage {
        direction,
        author: Author { kind, ..Author::default() },
        text: "x".into(),
        html: None,
        content: None,
        external_id: external_id.map(|id| id.to_string()),
        sent_at: None,
        attachments: Default::default(),
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Hear(Option<u8>),
    Say(Option<u8>),
    Ai,
    Note,
    Activate,
    Snooze(i64),
    Finish,
    Archive,
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || prop::option::of(0..3u8);
    let step = prop_oneof![
        4 => id().prop_map(Step::Hear),
        3 => id().prop_map(Step::Say),
        1 => Just(Step::Ai),
        1 => Just(Step::Note),
        1 => Just(Step::Activate),
        3 => (1..4i64).prop_map(Step::Snooze),
        2 => Just(Step::Finish),
        1 => Just(Step::Archive),
        3 => (1..4i64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..30)
}

/// The contract's tables (B1, D3.9, D3.10, D4.4), written down once more and more simply.
struct Model {
    api: bool,
    clock: i64,
    status: Status,
    until: Option<i64>,
    engagement: Option<Engagement>,
    reopened: i64,
    /// By external id, whether the customer said it.
    known: HashMap<u8, bool>,
    events: Vec<&'static str>,
    followers: usize,
}

impl Model {
    fn to(&mut self, status: Status, until: Option<i64>) {
        if self.status == status && self.until == until {
            return;
        }
        self.events.push("conversation.updated");
        if status == Status::Done {
            self.events.push("conversation.resolved");
        }
        if status == Status::Active && matches!(self.status, Status::Done | Status::Archived) {
            self.events.push("conversation.reopened");
            self.reopened += 1;
        }
        (self.status, self.until) = (status, until);
    }
    /// The status as answered, or the code of the refusal.
    fn step(&mut self, step: Step) -> Result<(), &'static str> {
        let archived = self.status == Status::Archived;
        match step {
            Step::Hear(Some(id)) | Step::Say(Some(id)) if self.known.contains_key(&id) => {
                if self.known[&id] != matches!(step, Step::Hear(_)) {
                    return Err("external_id_exists");
                }
            }
            Step::Hear(id) => {
                self.known.extend(id.map(|id| (id, true)));
                if archived && !self.api {
                    self.followers = 1; // in which the customer goes on
                } else {
                    self.events.push("message.received");
                    self.to(Status::Active, None);
                    self.engagement = Some(Engagement::Pending);
                }
            }
            Step::Say(_) | Step::Ai | Step::Note if archived => return Err("conversation_archived"),
            Step::Say(id) => {
                self.known.extend(id.map(|id| (id, false)));
                self.events.push("message.sent");
                self.engagement = Some(Engagement::Engaged);
            }
            Step::Ai => self.events.push("message.sent"),
            Step::Note => self.events.push("note.added"),
            Step::Archive => self.to(Status::Archived, None),
            Step::Activate | Step::Snooze(_) | Step::Finish if archived => return Err("invalid_transition"),
            Step::Activate => self.to(Status::Active, None),
            Step::Snooze(hours) => self.to(Status::Snoozed, Some(self.clock + hours)),
            Step::Finish => self.to(Status::Done, None),
            Step::Wait(hours) => {
                self.clock += hours;
                if self.until.is_some_and(|until| until <= self.clock) {
                    self.to(Status::Active, None);
                }
            }
        }
        Ok(())
    }
}

const HOUR_US: i64 = 3_600_000_000;

async fn play(api: bool, steps: Vec<Step>) {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::open(Config::sqlite(folder.path().join("t.db"), MIGRATIONS)).await;
    let conversation = desk.start(if api { Channel::Api } else { Channel::Email }).await;
    let (id, start) = (conversation.id, desk.clock.now());
    let mut model = Model {
        api,
        clock: 0,
        status: Status::Active,
        until: None,
        engagement: None,
        reopened: 0,
        known: HashMap::new(),
        events: vec!["conversation.created"],
        followers: 0,
    };
    for step in &steps {
        let expected = model.step(*step);
        let answer = match *step {
            Step::Hear(known) => desk.append(id, message(Direction::Inbound, None, known)).await.map(drop),
            Step::Say(known) => desk.append(id, message(Direction::Outbound, None, known)).await.map(drop),
            Step::Ai => desk.append(id, message(Direction::Outbound, Some(AuthorType::Ai), None)).await.map(drop),
            Step::Note => desk.append(id, message(Direction::Note, None, None)).await.map(drop),
            Step::Activate => desk.set(id, Status::Active, None).await.map(drop),
            Step::Snooze(hours) => {
                desk.set(id, Status::Snoozed, Some(start + (model.clock + hours) * HOUR_US)).await.map(drop)
            }
            Step::Finish => desk.set(id, Status::Done, None).await.map(drop),
            Step::Archive => desk.set(id, Status::Archived, None).await.map(drop),
            Step::Wait(hours) => {
                desk.clock.advance_us(hours * HOUR_US);
                desk.fire().await;
                Ok(())
            }
        };
        assert_eq!(answer.map_err(|error| error.code), expected, "{step:?} of {steps:?}");
        let v = desk.now(id).await;
        assert_eq!(
            (v.status, v.engagement, v.reopen_count),
            (model.status, model.engagement, model.reopened),
            "{step:?} of {steps:?}"
        );
        assert_eq!(v.snoozed_until, model.until.map(|hours| start + hours * HOUR_US), "{step:?} of {steps:?}");
        assert_eq!(v.done_at.is_some() || v.archived_at.is_some(), matches!(v.status, Status::Done | Status::Archived));
    }
    let log = desk.log().await;
    let names: Vec<&str> = log.iter().filter(|(of, _)| *of == id).map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, model.events, "{steps:?}");
    let opened = log.iter().filter(|(of, name)| *of != id && name == "conversation.created").count();
    assert_eq!(opened, model.followers, "{steps:?}");
    // Timers of what is not snoozed are gone.
    let timers = desk.db.read(timers::next_due).await.expect("timers");
    assert_eq!(timers, model.until.map(|hours| start + hours * HOUR_US), "{steps:?}");
    desk.db.close();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_follows_the_tables(api in any::<bool>(), steps in steps()) {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(play(api, steps));
    }
}

/// Every verb once or twice, one after the other; what the conversations look like in the end.
async fn every_verb(desk: &Desk) -> Vec<String> {
    let tenant = desk.tenant();
    let ctx = desk.ctx.clone();
    let (one, two, three) =
        (desk.start(Channel::Email).await, desk.start(Channel::Email).await, desk.start(Channel::Sms).await);
    let tags: Result<(), Error> = desk
        .db
        .write(move |tx| {
            for slug in ["vip", "late"] {
                let (id, number) = (tx.new_id(), tx.take_number()?);
                tx.execute(
                    "insert into tags (tenant_id, id, number, slug, name, created_at, updated_at) \
                     values ($1, $2, $3, $4, $4, 1, 1)",
                    &params![tenant.0, id, number, slug],
                )?;
            }
            Ok(())
        })
        .await;
    tags.expect("tags");
    for (to, direction, id) in [
        (&one, Direction::Inbound, Some(1)),
        (&two, Direction::Inbound, Some(1)),
        (&two, Direction::Outbound, None),
        (&one, Direction::Inbound, Some(1)),
        (&one, Direction::Note, None),
    ] {
        desk.clock.advance_us(1_000_000);
        desk.append(to.id, message(direction, None, id)).await.expect("appended");
    }
    // Many in one set, and a stranger's id among them.
    let mut waiting = Vec::new();
    for n in 0..20u8 {
        let command = Append {
            ctx: desk.ctx.clone(),
            once: None,
            conversation: desk.start(Channel::Api).await.id,
            message: message(Direction::Outbound, None, Some(n)),
        };
        let db = desk.db.clone();
        waiting.push(tokio::spawn(async move { db.submit::<AppendVerb>(command).await }));
    }
    let unknown = ConversationId::from_uuid(uuid::Uuid::nil());
    assert_eq!(
        desk.append(unknown, message(Direction::Inbound, None, None)).await.expect_err("unknown").code,
        "not_found"
    );
    for one in waiting {
        one.await.expect("no panic").expect("appended");
    }
    let (id, of) = (one.id, ctx.clone());
    for (slug, on) in [("vip", true), ("late", true), ("late", true), ("late", false)] {
        let of = of.clone();
        desk.db.write(move |tx| conversations::set_tag(tx, &of, id, slug, on)).await.expect("tagged");
    }
    let said = desk.append(two.id, message(Direction::Outbound, None, None)).await.expect("appended").message.id;
    let of = ctx.clone();
    let report = Report { message: said, status: DeliveryStatus::failed("no route") };
    assert!(desk.db.write(move |tx| messages::report(tx, &of, &report)).await.expect("reported").changed);
    let of = ctx.clone();
    let update = Update {
        subject: Some(Some("s".into())),
        metadata: Some(Some("{\"a\":1}".into())),
        team: Some(None),
        ..nothing(three.id)
    };
    desk.db.write(move |tx| conversations::update(tx, &of, &update)).await.expect("updated");
    let wrong = Update {
        team: Some(Some("team_01920000000070008000000000000001".parse().expect("an id"))),
        agent: Some(Some("usr_01920000000070008000000000000001".parse().expect("an id"))),
        ..nothing(three.id)
    };
    let of = ctx.clone();
    assert_eq!(
        desk.db.write(move |tx| conversations::update(tx, &of, &wrong)).await.expect_err("unknown").fields.len(),
        2
    );
    let until = desk.clock.now() + HOUR_US;
    for id in [one.id, three.id] {
        desk.set(id, Status::Snoozed, Some(until)).await.expect("snoozed");
    }
    let of = ctx.clone();
    let merge = Merge { conversation: one.id, into: two.id };
    desk.db.write(move |tx| conversations::merge(tx, &of, &merge)).await.expect("merged");
    assert_eq!(
        desk.append(one.id, message(Direction::Inbound, None, None)).await.expect("appended").conversation.id,
        two.id
    );
    desk.clock.advance_us(HOUR_US * 100); // down for days
    assert_eq!((desk.fire().await, desk.fire().await), (1, 0));
    desk.set(two.id, Status::Archived, None).await.expect("archived");
    let new = desk.append(one.id, message(Direction::Inbound, None, Some(9))).await.expect("appended");
    assert_eq!(new.previous, Some(two.id));
    let again = desk.append(two.id, message(Direction::Inbound, None, Some(9))).await.expect("known");
    assert_eq!((again.message.id, again.existing), (new.message.id, true));

    let contact = one.contact.id;
    let lists = desk.db.read(move |read| {
        let mut counts = Vec::new();
        let rare = Filter { contact: Some(contact), ..Filter::default() };
        let tagged = Filter { tag: Some("vip".into()), status: Some(Status::Archived), ..Filter::default() };
        let active = Filter { status: Some(Status::Active), ..Filter::default() };
        for filter in [Filter::default(), rare, tagged, active] {
            for sort in [Sort::Updated, Sort::Created] {
                let page = conversations::list(read, tenant, &filter, sort, None, 5)?;
                let last = page.last().map(|v| (v.updated_at, v.id.0));
                let next = conversations::list(read, tenant, &filter, sort, last, 100)?;
                counts.push((page.len(), next.len()));
            }
        }
        assert_eq!(conversations::by_reference(read, tenant, "none")?, None);
        let holder = conversations::holder(read, tenant, id)?;
        for order in [Order::OldestFirst, Order::NewestFirst] {
            counts.push((messages::list(read, tenant, holder, order, None, 100)?.len(), 0));
        }
        Ok::<_, Error>(counts)
    });
    let mut seen = vec![format!("{:?}", lists.await.expect("lists"))];
    for id in [one.id, two.id, three.id, new.conversation.id] {
        let v = desk.now(id).await;
        seen.push(format!(
            "{} {} {:?} {:?} {:?} {} {} {:?}",
            v.number,
            v.status,
            v.engagement,
            v.tags,
            v.subject,
            v.metadata,
            v.event_sequence,
            v.merged_into.is_some()
        ));
    }
    seen
}

/// Number, status, engagement, tags, subject, metadata, events and whether merged.
const SEEN: [&str; 5] = [
    "[(5, 19), (5, 19), (5, 19), (5, 19), (1, 0), (1, 0), (5, 17), (5, 17), (7, 0), (7, 0)]",
    "1 done Some(Pending) [\"vip\"] None {} 9 true",
    "2 archived Some(Pending) [\"vip\"] None {} 8 false",
    "3 active None [] Some(\"s\") {\"a\":1} 4 false",
    "24 active Some(Pending) [] None {} 2 false",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::open(Config::sqlite(folder.path().join("t.db"), MIGRATIONS)).await;
    assert_eq!(every_verb(&desk).await, SEEN);
    desk.log().await;
    desk.db.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_on_postgresql() {
    let database = postgres::Database::create();
    let desk = Desk::open(Config::postgres(&database.url, MIGRATIONS)).await;
    assert_eq!(every_verb(&desk).await, SEEN);
    desk.db.close();
}
