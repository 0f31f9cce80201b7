//! Endpoints, their log, replay and housekeeping on both engines: the same statements, the same answers.

use std::sync::Arc;
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::{Customer, StartOutbound, StartOutboundVerb};
use tieline_core::ctx::Ctx;
use tieline_core::deliveries::{self, Attempt, Ended, FanOut, Filter, NewDelivery, SendTest, Status};
use tieline_core::events::{Event, Stored, feed, numbering};
use tieline_core::ids::{EndpointId, TenantId};
use tieline_core::messages::direction::Direction;
use tieline_core::messages::{Author, NewMessage};
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::webhooks::{self, CreateEndpoint, Format, Replay, RotateSecret, UpdateEndpoint, Wanted};
use tieline_core::{Error, MIGRATIONS, Result};
use tieline_db::{Config, Db, Tx, params};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;

const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// The part of the native shape that the core itself reads.
fn render(event: &Event) -> tieline_core::events::Frozen {
    let data = match event {
        Event::MessageSent { message, .. } => format!(r#"{{"message":{{"id":"{}"}}}}"#, message.id),
        Event::MessageUpdated { message, changes, .. } => {
            let status = message.delivery_status.as_ref().map(|status| status.as_str());
            format!(r#"{{"status":"{}","changes":{}}}"#, status.unwrap_or(""), changes.len())
        }
        _ => "{}".to_owned(),
    };
    data.into()
}

struct Bench {
    db: Db,
    clock: VirtualClock,
    ctx: Ctx,
}

impl Bench {
    async fn new(mut config: Config) -> Bench {
        let clock = VirtualClock::new();
        config.clock = Arc::new(clock.clone());
        let db = Db::open(config).expect("opens");
        let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
        let tenant: Result<_> = db.write(move |tx| tenants::create(tx, None, &make)).await;
        let random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|error| Error::internal(error.to_string()));
        let ctx = Ctx { random, ..Ctx::system(tenant.expect("a tenant").id, render) };
        Bench { db, clock, ctx }
    }

    async fn write<T: Send + 'static>(&self, work: impl Fn(&mut Tx, &Ctx) -> Result<T> + Send + 'static) -> Result<T> {
        let ctx = self.ctx.clone();
        self.db.write(move |tx| work(tx, &ctx)).await
    }

    async fn endpoint(&self, events: &str) -> EndpointId {
        let events = vec![events.to_owned()];
        let made = self.write(move |tx, ctx| {
            let cmd = CreateEndpoint {
                name: "hook".into(),
                description: Some("d".into()),
                url: "https://example.com/".into(),
                events: events.clone(),
                format: Format::Native,
                header_prefix: "X-Tieline".into(),
                max_attempts: 10,
                inboxes: None,
                secret: vec![1],
                secret_prefix: "whsec_a".into(),
            };
            webhooks::create(tx, ctx, &cmd)
        });
        made.await.expect("an endpoint").id
    }

    /// A conversation that begins with a message of ours.
    async fn start(&self, reference: &str) {
        let command = StartOutbound {
            ctx: self.ctx.clone(),
            once: None,
            external_reference: Some(reference.into()),
            contact: Customer::Found(Upsert { email: Some("ana@example.com".into()), ..Upsert::default() }),
            subject: Some("s".into()),
            channel: Channel::Email,
            message: Some(NewMessage {
                direction: Direction::Outbound,
                author: Author::default(),
                text: "Hello".into(),
                html: None,
                content: None,
                external_id: None,
                sent_at: None,
                attachments: Default::default(),
            }),
            tags: vec![],
            custom_fields: serde_json::Map::new(),
            metadata: "{}".into(),
        };
        self.db.submit::<StartOutboundVerb>(command).await.expect("starts");
    }

    /// What the fan-out does, for one endpoint.
    async fn fan_out(&self, endpoint: EndpointId) {
        let moved: Result<Option<_>> = self
            .write(move |tx, _| {
                numbering::advance(tx)?;
                let from = deliveries::cursor(tx)?;
                let to = feed::last_position(tx)?;
                let known = webhooks::for_sending(tx, endpoint)?.expect("the endpoint");
                let events = feed::after(tx, from, 1000, "*")?;
                let wanted = events.iter().filter(|event| known.wants(&event.name, event.inbox, event.position));
                let deliveries = wanted.map(|event| delivery(endpoint, event, None)).collect();
                deliveries::fan_out(tx, &FanOut { from, to, deliveries })
            })
            .await;
        assert!(moved.expect("fans out").is_some());
    }

    /// Claims what is due and ends every waiting delivery so.
    async fn send(&self, status: Status) -> usize {
        self.clock.advance_us(2 * deliveries::LEASE_US + 1);
        let sent = self.write(move |tx, ctx| {
            let mut attempts = Vec::new();
            for claimed in deliveries::claim(tx, "node", 100)? {
                let start = (-1, tieline_core::ids::DeliveryId::from_uuid(uuid::Uuid::nil()));
                let mut rows = deliveries::pending(tx, claimed.endpoint, start, 1000)?;
                rows.extend(deliveries::pending_manual(tx, claimed.endpoint, 1000)?);
                attempts.extend(rows.iter().map(|row| Attempt {
                    endpoint: claimed.endpoint,
                    tenant: ctx.tenant,
                    epoch: claimed.epoch,
                    delivery: row.id,
                    number: row.attempts + 1,
                    earlier_attempts: row.earlier_attempts,
                    at: 1,
                    duration_us: 1500,
                    status_code: Some(if status == Status::Succeeded { 200 } else { 500 }),
                    error: None,
                    response: Some("ok".into()),
                    ended: Ended::As(status),
                    counted: true,
                    overtaken: false,
                    health: claimed.health,
                    disable: None,
                }));
            }
            let recorded = deliveries::record(tx, &attempts)?;
            assert!(recorded.lost.is_empty());
            deliveries::report(tx, ctx.render, &attempts, &recorded)?;
            Ok(attempts.len())
        });
        sent.await.expect("records")
    }

    async fn log(&self, endpoint: EndpointId, filter: Filter) -> Vec<deliveries::Logged> {
        let tenant = self.ctx.tenant;
        let log: Result<_> =
            self.db.read(move |read| deliveries::log(read, tenant, endpoint, &filter, None, 100)).await;
        log.expect("the log")
    }

    async fn replay(&self, endpoint: EndpointId, wanted: Wanted) -> Result<u64> {
        let tenant = self.ctx.tenant;
        let page = self.db.read(move |read| webhooks::replay_page(read, tenant, &wanted)).await?;
        assert!(!page.more);
        let create: Vec<NewDelivery> =
            page.missing.iter().map(|(event, previous)| delivery(endpoint, event, *previous)).collect();
        let command = Replay { endpoint, again: page.again, create };
        let first = self.write({
            let command = command.clone();
            move |tx, ctx| webhooks::replay(tx, ctx, &command)
        });
        let first = first.await?;
        // Another replay that has read the same adds nothing.
        assert_eq!(self.write(move |tx, ctx| webhooks::replay(tx, ctx, &command)).await?, 0);
        Ok(first)
    }
}

fn delivery(endpoint: EndpointId, event: &Stored, previous: Option<i64>) -> NewDelivery {
    NewDelivery {
        endpoint,
        tenant: event.tenant,
        position: event.position,
        event: event.id,
        event_type: event.name.clone(),
        conversation: event.conversation,
        sequence: event.sequence,
        body: format!("{previous:?}"),
    }
}

fn everything(endpoint: EndpointId) -> Wanted {
    let (since, until, after) = (0, None, None);
    Wanted { endpoint, after, since, until, failed: true, cancelled: true, missing: true }
}

async fn scenario(bench: &Bench) {
    let id = bench.endpoint("*").await;
    let tenant: TenantId = bench.ctx.tenant;

    // Every member changes, and what is not mentioned stays.
    let inbox = tieline_core::ids::InboxId::from_uuid(uuid::Uuid::from_u128(7));
    let all = UpdateEndpoint {
        name: Some("n".into()),
        description: Some(None),
        url: Some("https://example.com/2".into()),
        events: Some(vec!["message.sent".into(), "contact.created".into()]),
        is_active: None,
        max_attempts: Some(3),
        inboxes: Some(Some(vec![inbox])),
        header_prefix: Some("X-Shop".into()),
    };
    let (changed, on) = bench.write(move |tx, ctx| webhooks::update(tx, ctx, id, &all)).await.expect("changes");
    assert_eq!((changed.description.as_deref(), changed.inboxes.as_deref(), on), (None, Some(&[inbox][..]), false));
    let none = UpdateEndpoint { inboxes: Some(None), ..UpdateEndpoint::default() };
    let (changed, _) = bench.write(move |tx, ctx| webhooks::update(tx, ctx, id, &none)).await.expect("changes");
    assert_eq!((changed.name.as_str(), changed.max_attempts, changed.inboxes), ("n", 3, None));

    // Rotation keeps the secret before for its time only.
    let rotate = move |overlap_us| RotateSecret { id, secret: vec![2], secret_prefix: "whsec_b".into(), overlap_us };
    let rotated = bench.write(move |tx, ctx| webhooks::rotate(tx, ctx, &rotate(10))).await.expect("rotates");
    assert_eq!(
        rotated.previous_secret.map(|(secret, until)| (secret, until - rotated.updated_at)),
        Some((vec![1], 10))
    );
    bench.clock.advance_us(10);
    assert_eq!(bench.write(|tx, _| webhooks::forget_secrets(tx)).await.expect("forgets"), 1);
    let rotated = bench.write(move |tx, ctx| webhooks::rotate(tx, ctx, &rotate(0))).await.expect("rotates");
    assert_eq!(rotated.previous_secret, None);

    // An inbox's own endpoint says what became of a message, once; others do not.
    bench.start("a").await;
    bench.fan_out(id).await;
    assert_eq!(bench.send(Status::Succeeded).await, 2);
    let statuses = async || {
        let rows: Result<Vec<String>> = bench
            .db
            .read(move |read| {
                let sql = "select delivery_status from messages where tenant_id = $1 order by id";
                Ok(read.all(sql, &params![tenant.0], |row| row.get(0))?)
            })
            .await;
        rows.expect("messages").join(" ")
    };
    assert_eq!(statuses().await, "queued");
    let own = "update inboxes set endpoint_id = $2 where tenant_id = $1";
    bench.write(move |tx, _| Ok(tx.execute(own, &params![tenant.0, id.0])?)).await.expect("its own");
    bench.start("b").await;
    bench.fan_out(id).await;
    assert_eq!(bench.send(Status::Succeeded).await, 1);
    assert_eq!(statuses().await, "queued sent");
    bench.start("c").await;
    bench.fan_out(id).await;
    assert_eq!(bench.send(Status::Failed).await, 1);
    assert_eq!(statuses().await, "queued sent failed");
    bench.write(|tx, _| numbering::advance(tx)).await.expect("numbers");
    let updated: Result<Vec<Stored>> = bench.db.read(move |read| feed::of_tenant(read, tenant, 0, 100)).await;
    let updated: Vec<_> = updated
        .expect("the feed")
        .into_iter()
        .filter(|event| event.name == "message.updated")
        .map(|event| (event.sequence, event.data))
        .collect();
    let expected = [(r#"{"status":"sent","changes":1}"#, Some(3)), (r#"{"status":"failed","changes":2}"#, Some(3))];
    assert_eq!(updated, expected.map(|(data, sequence)| (sequence, data.to_owned())));

    // Off: cancelled and missing. On: replayed.
    bench.start("d").await;
    bench.fan_out(id).await;
    bench.clock.advance_us(1_000_000);
    let switch = |on| UpdateEndpoint { is_active: Some(on), ..UpdateEndpoint::default() };
    let (off, _) = bench.write(move |tx, ctx| webhooks::update(tx, ctx, id, &switch(false))).await.expect("off");
    assert!(!off.is_active && off.disabled_at.is_some());
    assert_eq!(bench.write(move |tx, ctx| deliveries::cancel(tx, ctx.render, id, 100)).await.expect("cancels"), 1);
    bench.start("e").await;
    bench.fan_out(id).await;
    let refused = bench.replay(id, everything(id)).await.expect_err("it is off");
    assert_eq!(refused.code, "webhook_inactive");
    bench.clock.advance_us(1_000_000);
    let (on, switched) = bench.write(move |tx, ctx| webhooks::update(tx, ctx, id, &switch(true))).await.expect("on");
    assert!(switched && on.is_active);
    let endpoint = on.clone();
    let missed: Result<_> = bench.db.read(move |read| webhooks::missed(read, &endpoint)).await;
    assert_eq!(missed.expect("counts").map(|missed| (missed.count, missed.more)), Some((1, false)));
    let past = Wanted { until: Some(1), ..everything(id) };
    assert_eq!(bench.replay(id, past).await.expect("replays"), 0);
    assert_eq!(bench.replay(id, everything(id)).await.expect("replays"), 3, "failed, cancelled, missing");
    assert_eq!(
        bench.write(move |tx, ctx| deliveries::cancel(tx, ctx.render, id, 100)).await.expect("nothing"),
        0,
        "it is on"
    );
    assert_eq!(bench.send(Status::Succeeded).await, 3);
    assert_eq!(
        statuses().await,
        "queued sent failed sent sent",
        "a later 2xx does not undo what the customer was told"
    );
    let bodies: Result<Option<String>> = {
        let newest = bench.log(id, Filter::default()).await[0].id;
        bench.db.read(move |read| Ok(deliveries::logged_one(read, tenant, id, newest)?.body)).await
    };
    assert_eq!(bodies.expect("a body").as_deref(), Some("None"));

    // Test and redelivery.
    let test = SendTest { endpoint: id, data: |_| "{}".into(), body: |_, event, _| event.name.clone() };
    let sent = bench.write(move |tx, ctx| deliveries::send_test(tx, ctx, &test)).await.expect("a test");
    let pending = bench.write(move |tx, ctx| deliveries::redeliver(tx, ctx, id, sent)).await.expect_err("it waits");
    assert_eq!(pending.code, "delivery_pending");
    assert_eq!(bench.send(Status::Failed).await, 1);
    bench.write(move |tx, ctx| deliveries::redeliver(tx, ctx, id, sent)).await.expect("again");
    assert_eq!(bench.send(Status::Succeeded).await, 1);
    let tests = bench.log(id, Filter { event_type: Some("webhook.test".into()), ..Filter::default() }).await;
    let numbers: Vec<_> = tests[0].attempts.iter().map(|attempt| (attempt.number, attempt.status_code)).collect();
    assert_eq!(numbers, [(1, Some(500)), (2, Some(200))]);
    let by = |status| Filter { status: Some(status), ..Filter::default() };
    assert_eq!(bench.log(id, by(Status::Failed)).await.len(), 0);
    assert_eq!(bench.log(id, by(Status::Succeeded)).await.len(), 7);

    // Old deliveries go with their attempts; one that was sent again lately stays.
    bench.clock.advance_us(31 * DAY_US);
    bench.write(move |tx, ctx| deliveries::redeliver(tx, ctx, id, sent)).await.expect("again");
    assert_eq!(bench.send(Status::Succeeded).await, 1);
    let before = bench.clock.now() - 30 * DAY_US;
    let old: Result<bool> = bench.db.read(move |read| deliveries::has_old(read, id, before)).await;
    assert!(old.expect("looks"));
    assert_eq!(bench.write(move |tx, _| deliveries::prune(tx, id, before, 4)).await.expect("prunes"), 4, "a batch");
    assert_eq!(bench.write(move |tx, _| deliveries::prune(tx, id, before, 4)).await.expect("prunes"), 2);
    let left = bench.log(id, Filter::default()).await;
    assert_eq!((left.len(), left[0].attempts.len()), (1, 3));
    let count = async |sql: &'static str| {
        let count: Result<i64, Error> =
            bench.db.read(move |read| Ok(read.opt(sql, &[], |row| row.get(0))?.unwrap_or(0))).await;
        count.expect("counts")
    };
    assert_eq!(count("select count(*) from attempts").await, 3);

    // Deleted: gone at once, its deliveries later, and at last the memory of it.
    bench.write(move |tx, ctx| webhooks::delete(tx, ctx, id)).await.expect("deletes");
    let gone = bench.write(move |tx, ctx| webhooks::delete(tx, ctx, id)).await.expect_err("once");
    assert_eq!(gone.code, "not_found");
    assert_eq!(count("select count(*) from inboxes where endpoint_id is not null").await, 0);
    let deleted: Result<Vec<_>> = bench.db.read(|read| deliveries::deleted_endpoints(read, 10)).await;
    let (endpoint, at) = deleted.expect("reads")[0];
    for (wait, removed, remembered) in [(0, 1, 1), (0, 0, 1), (3601 * 1_000_000, 0, 0)] {
        bench.clock.advance_us(wait);
        let done = bench.write(move |tx, _| deliveries::prune_deleted(tx, endpoint, at, 10)).await.expect("prunes");
        assert_eq!(done, removed);
        assert_eq!(count("select count(*) from deleted_endpoints").await, remembered);
    }
    assert_eq!(count("select count(*) from attempts").await, 0);
    let before = bench.clock.now();
    let pruned = bench.write(move |tx, _| feed::prune(tx, before, 3)).await.expect("prunes");
    assert_eq!(pruned, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Bench::new(Config::sqlite(folder.path().join("t.db"), MIGRATIONS)).await;
    scenario(&bench).await;
    bench.db.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_on_postgresql() {
    let database = postgres::Database::create();
    let bench = Bench::new(Config::postgres(&database.url, MIGRATIONS)).await;
    scenario(&bench).await;
    bench.db.close();
}
