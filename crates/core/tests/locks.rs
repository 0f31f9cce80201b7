//! Every two verbs that lock more than one row, at once on two nodes on one PostgreSQL: all lock in one order
//! (ARCHITECTURE.md, "Several nodes"), so the server never has to end one of them for the other.

use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use tieline_core::automations::rule::{self, Trigger};
use tieline_core::automations::{self, Failed, Known, Skip, Work};
use tieline_core::contact_inboxes::Meet;
use tieline_core::contacts::{self, Upsert, handle};
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{
    self, Amend, Append, AppendVerb, Customer, Land, Looker, StartOutbound, StartOutboundVerb, Update,
};
use tieline_core::ctx::Ctx;
use tieline_core::deliveries::{self, Attempt, Ended, FanOut, NewDelivery};
use tieline_core::events::{Event, Frozen, feed, numbering};
use tieline_core::ids::{ContactId, ConversationId, DeliveryId, EndpointId, InboxId, MessageId, TagId};
use tieline_core::inboxes::{self, Hook};
use tieline_core::messages::direction::Direction;
use tieline_core::messages::status::DeliveryStatus;
use tieline_core::messages::{self, Author, NewMessage, Report};
use tieline_core::tags::{self, Children};
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::webhooks::{self, DisabledReason, Format, HealthRow, UpdateEndpoint};
use tieline_core::{Error, Kind, MIGRATIONS, Result, timers};
use tieline_db::{Config, Db, Tx, params};
use tieline_testkit::postgres::Database;
use tieline_testkit::sim::{Rng, rounds};
use uuid::Uuid;

/// Customers, and addresses of the inbox.
const PEOPLE: usize = 3;
/// Labels that a call makes.
const LABELS: usize = 5;
/// Calls of each of the four callers of a pair.
const CALLS: usize = 4;

const VERBS: [&str; 25] = [
    "a message lands",
    "open",
    "append",
    "merge contacts",
    "make and delete a contact",
    "change a contact",
    "merge conversations",
    "delete a conversation",
    "mute",
    "change the status",
    "fire timers",
    "look",
    "label",
    "label a contact",
    "delete a label",
    "let rules act",
    "send again",
    "report",
    "claim",
    "record attempts",
    "fan out",
    "switch an endpoint",
    "disable an endpoint",
    "redeliver",
    "move the inbox's webhook",
];

/// The part of the native shape that the core itself reads.
fn render(event: &Event) -> Frozen {
    match event {
        Event::MessageSent { message, .. } => format!(r#"{{"message":{{"id":"{}"}}}}"#, message.id),
        _ => "{}".to_owned(),
    }
    .into()
}

/// Bytes that no inbox had before.
fn counted(bytes: &mut [u8]) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    bytes.iter_mut().zip(number.iter().cycle()).for_each(|(byte, digit)| *byte = *digit);
    Ok(())
}

fn message(direction: Direction) -> NewMessage {
    NewMessage {
        direction,
        author: Author::default(),
        text: "Olá".into(),
        html: None,
        content: None,
        external_id: None,
        sent_at: None,
        attachments: Default::default(),
    }
}

fn email(person: usize) -> String {
    format!("p{person}@example.com")
}

/// Somebody who calls verbs on rows that others work on too.
struct Caller {
    db: Db,
    ctx: Ctx,
    inbox: InboxId,
    rng: Rng,
    /// Of which pair it is, and how many of its calls came before.
    pair: u64,
    calls: usize,
    /// Names things from the last on, where the other names them from the first.
    backwards: bool,
}

impl Caller {
    async fn write<T: Send + 'static>(&self, work: impl Fn(&mut Tx, &Ctx) -> Result<T> + Send + 'static) -> Result<()> {
        let ctx = self.ctx.clone();
        self.db.write(move |tx| work(tx, &ctx).map(drop)).await
    }

    /// Ids, the first column of what a statement over the tenant's rows answers.
    async fn ids(&self, sql: &'static str) -> Vec<Uuid> {
        let tenant = self.ctx.tenant;
        let ids = self.db.read(move |read| Ok::<_, Error>(read.all(sql, &params![tenant.0], |row| row.get(0))?));
        ids.await.expect("reads")
    }

    async fn one_of(&mut self, sql: &'static str) -> Option<Uuid> {
        let ids = self.ids(sql).await;
        (!ids.is_empty()).then(|| *self.rng.pick(&ids))
    }

    async fn conversation(&mut self) -> Option<ConversationId> {
        const NEWEST: &str = "select id from conversations where tenant_id = $1 order by id desc limit 6";
        self.one_of(NEWEST).await.map(ConversationId::from_uuid)
    }

    async fn endpoint(&mut self) -> Option<EndpointId> {
        self.one_of("select id from webhook_endpoints where tenant_id = $1").await.map(EndpointId::from_uuid)
    }

    /// Labels that nobody has made but who calls at the same time, and one that all know.
    fn labels(&self) -> Vec<String> {
        let mut labels: Vec<String> = (0..LABELS).map(|n| format!("l{}-{}-{n}", self.pair, self.calls)).collect();
        labels.push("known".into());
        if self.backwards {
            labels.reverse();
        }
        labels
    }

    async fn call(&mut self, verb: &str) -> Result<()> {
        self.calls += 1;
        let labels = self.labels();
        let (person, other) = (self.rng.below(PEOPLE), self.rng.below(PEOPLE));
        let (ctx, inbox, luck) = (self.ctx.clone(), self.inbox, self.rng.below(6));
        match verb {
            "a message lands" => {
                let identity = Upsert { email: Some(email(person)), ..Upsert::default() };
                let (source_id, note) = (Some(format!("a{other}")), contacts::Annotate::default());
                let from = Meet { inbox, source_id, identity, note, is_verified: false };
                let message = message(Direction::Inbound);
                let land = Land { from, message, custom_fields: "{}".into(), metadata: "{}".into() };
                self.write(move |tx, ctx| conversations::land(tx, ctx, &land)).await
            }
            "open" => {
                let phone = (luck < 3).then(|| format!("+55119999900{person}"));
                let command = StartOutbound {
                    ctx,
                    once: None,
                    external_reference: None,
                    contact: Customer::Found(Upsert { email: Some(email(person)), phone, ..Upsert::default() }),
                    subject: None,
                    channel: Channel::Api,
                    message: Some(message(Direction::Outbound)),
                    tags: Vec::new(),
                    custom_fields: serde_json::Map::new(),
                    metadata: "{}".into(),
                };
                self.db.submit::<StartOutboundVerb>(command).await.map(drop)
            }
            "append" => {
                let Some(conversation) = self.conversation().await else { return Ok(()) };
                let message = message(if luck < 4 { Direction::Inbound } else { Direction::Outbound });
                let command = Append { ctx, once: None, conversation, message };
                self.db.submit::<AppendVerb>(command).await.map(drop)
            }
            "merge contacts" => {
                self.write(move |tx, ctx| {
                    let of = |tx: &mut Tx, who| contacts::by_address(tx, ctx.tenant, handle::EMAIL, &email(who));
                    let (Some(one), Some(other)) = (of(tx, person)?, of(tx, other)?) else { return Ok(()) };
                    contacts::merge(tx, ctx, one.id, &[other.id]).map(drop)
                })
                .await
            }
            "make and delete a contact" => {
                let identity = Upsert { email: Some(email(person)), ..Upsert::default() };
                let create = contacts::Create { identity, custom_fields: serde_json::Map::new() };
                let made = self.write(move |tx, ctx| contacts::create(tx, ctx, &create)).await;
                made.or_else(refused)?;
                let all = self.ids("select id from contacts where tenant_id = $1").await;
                let Some(id) = all.last().copied().map(ContactId::from_uuid) else { return Ok(()) };
                self.write(move |tx, ctx| contacts::delete(tx, ctx, id)).await
            }
            "change a contact" => {
                self.write(move |tx, ctx| {
                    let found = contacts::by_address(tx, ctx.tenant, handle::EMAIL, &email(person))?;
                    let Some(contact) = found else { return Ok(()) };
                    let phone = Some((luck < 3).then(|| format!("+55119999900{other}")));
                    let cmd = contacts::Update { name: Some(Some(format!("{luck}"))), phone, ..Default::default() };
                    contacts::update(tx, ctx, contact.id, &cmd).map(drop)
                })
                .await
            }
            "merge conversations" => {
                let (Some(one), Some(into)) = (self.conversation().await, self.conversation().await) else {
                    return Ok(());
                };
                let cmd = conversations::Merge { conversation: one, into };
                self.write(move |tx, ctx| conversations::merge(tx, ctx, &cmd)).await
            }
            "label a contact" => {
                self.write(move |tx, ctx| {
                    let found = contacts::by_address(tx, ctx.tenant, handle::EMAIL, &email(person))?;
                    found.map(|contact| contacts::set_tags(tx, ctx, contact.id, &labels)).transpose()
                })
                .await
            }
            "delete a label" => {
                let tag = self.one_of("select id from tags where tenant_id = $1 order by id desc limit 4").await;
                let Some(id) = tag.map(TagId::from_uuid) else { return Ok(()) };
                self.write(move |tx, ctx| tags::delete(tx, ctx, id, Children::Lift)).await
            }
            "let rules act" => {
                self.write(|tx, _| numbering::advance(tx)).await?;
                let looked = self.db.read(|read| automations::look(read, Known::default())).await?;
                let Some(work) = looked.work else { return Ok(()) };
                let mut skip = Vec::new();
                while let Err(failed) = react(&self.db, &work, &skip).await {
                    let error = *failed.error;
                    let Some((rule, place)) = failed.at else { return Err(error) };
                    let why = error.to_string();
                    refused(error)?;
                    skip.push(Skip { rule, action: Some(place), why });
                }
                Ok(())
            }
            "fire timers" => self.write(move |tx, _| timers::fire(tx, render, 100)).await,
            "claim" => self.write(|tx, _| deliveries::claim(tx, "node", 100)).await,
            "record attempts" => self.write(move |tx, ctx| send(tx, ctx, luck)).await,
            "fan out" => self.write(fan_out).await,
            "delete a conversation" | "mute" | "change the status" | "look" | "label" => {
                let Some(id) = self.conversation().await else { return Ok(()) };
                let verb = verb.to_owned();
                let soon = self.db.now() + 1000;
                self.write(move |tx, ctx| match verb.as_str() {
                    "delete a conversation" => conversations::delete(tx, ctx, id),
                    "mute" => conversations::mute(tx, ctx, id, luck < 3).map(drop),
                    "look" => conversations::see(tx, ctx, id, Looker::Contact).map(drop),
                    "label" => {
                        let labels = Some(labels.clone());
                        conversations::amend(tx, ctx, id, &Amend { labels, ..Amend::default() }).map(drop)
                    }
                    _ => {
                        let statuses =
                            [Status::Snoozed, Status::Snoozed, Status::Done, Status::Archived, Status::Active];
                        let status = statuses[luck % statuses.len()];
                        let snoozed_until = (status == Status::Snoozed).then_some(Some(soon));
                        let cmd = Update { status: Some(status), snoozed_until, ..Update::none(id) };
                        conversations::update(tx, ctx, &cmd).map(drop)
                    }
                })
                .await
            }
            "send again" | "report" => {
                const SENT: &str =
                    "select id from messages where tenant_id = $1 and direction = 'outbound' order by id desc limit 4";
                let Some(message) = self.one_of(SENT).await.map(MessageId::from_uuid) else { return Ok(()) };
                let again = verb == "send again";
                self.write(move |tx, ctx| {
                    let status = if again || luck < 3 { DeliveryStatus::failed("no") } else { DeliveryStatus::Read };
                    messages::report(tx, ctx, &Report { message, status })
                })
                .await?;
                match again {
                    true => self.write(move |tx, ctx| messages::retry(tx, ctx, message)).await,
                    false => Ok(()),
                }
            }
            "switch an endpoint" => {
                let Some(id) = self.endpoint().await else { return Ok(()) };
                let cmd = UpdateEndpoint { is_active: Some(luck < 4), ..UpdateEndpoint::default() };
                self.write(move |tx, ctx| webhooks::update(tx, ctx, id, &cmd)).await
            }
            "disable an endpoint" => {
                let Some(id) = self.endpoint().await else { return Ok(()) };
                self.write(move |tx, _| webhooks::disable(tx, render, id, DisabledReason::Failures).map(drop)).await
            }
            "redeliver" => {
                const ENDED: &str = "select id from deliveries where tenant_id = $1 and status <> 'pending' \
                                     order by id desc limit 4";
                let (endpoint, ended) = (self.endpoint().await, self.one_of(ENDED).await);
                let (Some(endpoint), Some(id)) = (endpoint, ended) else { return Ok(()) };
                self.write(move |tx, ctx| deliveries::redeliver(tx, ctx, endpoint, DeliveryId::from_uuid(id))).await
            }
            "move the inbox's webhook" => {
                let hook = (luck > 0).then(|| hook(luck));
                let cmd = inboxes::Update { hook: Some(hook), ..inboxes::Update::default() };
                self.write(move |tx, ctx| inboxes::update(tx, ctx, inbox, &cmd)).await
            }
            unknown => panic!("{unknown} is no verb"),
        }
    }
}

fn hook(number: usize) -> Hook {
    Hook {
        url: format!("https://receiver.example/{number}"),
        format: Format::Native,
        header_prefix: "X-Tieline".into(),
        secret: vec![1],
        secret_prefix: "whsec_a".into(),
    }
}

/// What the fan-out does, for all endpoints of the tenant.
fn fan_out(tx: &mut Tx, ctx: &Ctx) -> Result<()> {
    numbering::advance(tx)?;
    let (from, to) = (deliveries::cursor(tx)?, feed::last_position(tx)?);
    let endpoints = webhooks::active(tx, ctx.tenant)?;
    let events = feed::after(tx, from, 1000, "*")?;
    let mut deliveries = Vec::new();
    for event in &events {
        let wanting = endpoints.iter().filter(|known| known.wants(&event.name, event.inbox, event.position));
        deliveries.extend(wanting.map(|endpoint| NewDelivery {
            endpoint: endpoint.id,
            tenant: event.tenant,
            position: event.position,
            event: event.id,
            event_type: event.name.clone(),
            conversation: event.conversation,
            sequence: event.sequence,
            body: "{}".into(),
        }));
    }
    deliveries::fan_out(tx, &FanOut { from, to, deliveries }).map(drop)
}

/// What the sender records: of each endpoint's lease, whoever has it, some attempts that failed for good or succeeded.
fn send(tx: &mut Tx, ctx: &Ctx, luck: usize) -> Result<()> {
    let mut attempts = Vec::new();
    let endpoints = webhooks::list(tx, ctx.tenant, None, 100)?;
    for endpoint in &endpoints {
        let Some(epoch) = deliveries::epoch(tx, endpoint.id)? else { continue };
        let rows = deliveries::pending(tx, endpoint.id, (-1, DeliveryId::from_uuid(Uuid::nil())), 20)?;
        attempts.extend(rows.iter().map(|row| Attempt {
            endpoint: endpoint.id,
            tenant: ctx.tenant,
            epoch,
            delivery: row.id,
            number: row.attempts + 1,
            earlier_attempts: row.earlier_attempts,
            at: 1,
            duration_us: 1,
            status_code: Some(500),
            error: None,
            response: None,
            ended: Ended::As(if luck < 3 { deliveries::Status::Failed } else { deliveries::Status::Succeeded }),
            counted: true,
            overtaken: false,
            health: HealthRow::default(),
            disable: (luck == 0).then_some(DisabledReason::Failures),
        }));
    }
    let recorded = deliveries::record(tx, &attempts)?;
    deliveries::report(tx, ctx.render, &attempts, &recorded).map(drop)
}

async fn react(db: &Db, work: &Work, skip: &[Skip]) -> std::result::Result<bool, Failed> {
    let (work, skip) = (work.clone(), skip.to_vec());
    db.write(move |tx| automations::react(tx, render, &work, &skip)).await
}

/// A refusal is an answer: others have merged, deleted or archived meanwhile.
fn refused(error: Error) -> Result<()> {
    match error.kind {
        // Two that make one label at once are no conflict: both get it.
        _ if error.code == "tag_exists" => Err(error),
        Kind::Invalid | Kind::NotFound | Kind::Conflict | Kind::Unprocessable => Ok(()),
        _ => Err(error),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_verbs_wait_for_each_other() {
    let database = Database::create();
    let url = format!("{}?application_name=node", database.url);
    let nodes: Vec<Db> = (0..2).map(|_| Db::open(Config::postgres(&url, MIGRATIONS)).expect("opens")).collect();
    let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
    let tenant = nodes[0].write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
    let ctx = Ctx { random: counted, ..Ctx::system(tenant, render) };
    let by = ctx.clone();
    let inbox = inboxes::Create {
        name: "Shop".into(),
        channel: Channel::Api,
        team: None,
        hook: Some(hook(0)),
        identifier: None,
        identity_key: None,
        is_auto_assigned: false,
    };
    let inbox = nodes[0].write(move |tx| inboxes::create(tx, &by, &inbox)).await.expect("an inbox").inbox.id;
    let says =
        json!([{"actions": [{"type": "add_tag", "tag": "ruled"}, {"type": "send_message", "text": "One moment"}]}]);
    let rule = automations::Create {
        name: "Answer".into(),
        description: None,
        trigger: Trigger::MessageReceived,
        branches: rule::read(&says, "").expect("branches"),
        spelling: None,
        is_active: true,
    };
    let by = ctx.clone();
    nodes[0].write(move |tx| automations::create(tx, &by, &rule)).await.expect("a rule");
    let (mut seed, mut pair) = (0, 0);
    for _ in 0..rounds(1) {
        for (place, one) in VERBS.into_iter().enumerate() {
            for other in VERBS.into_iter().skip(place) {
                pair += 1;
                let callers = [(0, one), (1, one), (0, other), (1, other)].map(|(node, verb)| {
                    seed += 1;
                    let (db, ctx) = (nodes[node].clone(), ctx.clone());
                    let backwards = node == 1;
                    let mut caller = Caller { db, ctx, inbox, rng: Rng::new(seed), pair, calls: 0, backwards };
                    tokio::spawn(async move {
                        // Something to work on, whatever the pair before has left.
                        caller.call("open").await.or_else(refused).expect("opens");
                        for _ in 0..CALLS {
                            caller
                                .call(verb)
                                .await
                                .or_else(refused)
                                .unwrap_or_else(|error| panic!("{verb}: {error:?}"));
                        }
                    })
                });
                for caller in callers {
                    caller.await.unwrap_or_else(|error| panic!("{one} and {other}: {error}"));
                }
            }
        }
    }
    nodes.iter().for_each(Db::close);
    // What a session has counted is there once it has ended, which its client does not wait for.
    let alone = Db::open(Config::postgres(&database.url, MIGRATIONS)).expect("opens");
    let count = |sql: &'static str| {
        let alone = alone.clone();
        async move {
            let count = alone.read(move |read| Ok::<_, Error>(read.opt(sql, &[], |row| row.get::<i64>(0))?));
            count.await.expect("reads").expect("a number")
        }
    };
    const STILL: &str = "select count(*) from pg_stat_activity where datname = current_database() \
                         and application_name = 'tieline node'";
    while count(STILL).await > 0 {}
    assert_eq!(count("select deadlocks from pg_stat_database where datname = current_database()").await, 0);
    alone.close();
}
