//! The timer loop fires what is due, once, also after downtime and beside another loop.

use std::sync::Arc;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{self, Customer, StartOutbound, StartOutboundVerb, Update};
use tieline_core::ctx::Ctx;
use tieline_core::events::{feed, numbering};
use tieline_core::idempotency::Reply;
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::{Error, MIGRATIONS, contacts::Upsert};
use tieline_db::{Config, Db};
use tieline_delivery::timers::{BATCH, TimerLoop};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;
use tieline_wire::native::event;

const HOUR_US: i64 = 3_600_000_000;

/// Enough for the identifier of the one inbox.
fn sevens(bytes: &mut [u8]) -> Result<(), Error> {
    bytes.fill(7);
    Ok(())
}

async fn start(db: &Db, ctx: &Ctx, number: i64) -> conversations::Conversation {
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

async fn snooze(db: &Db, ctx: &Ctx, id: tieline_core::ids::ConversationId, until: i64) {
    let (ctx, update) = (
        ctx.clone(),
        Update {
            conversation: id,
            status: Some(Status::Snoozed),
            snoozed_until: Some(Some(until)),
            subject: None,
            team: None,
            agent: None,
            custom_fields: serde_json::Map::new(),
            metadata: None,
        },
    );
    db.write(move |tx| conversations::update(tx, &ctx, &update)).await.expect("snoozed");
}

#[tokio::test]
async fn snoozes_end_once_also_after_downtime() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = VirtualClock::new();
    let database = postgres::wanted();
    let mut config = match &database {
        Some(database) => Config::postgres(&database.url, MIGRATIONS),
        None => Config::sqlite(folder.path().join("t.db"), MIGRATIONS),
    };
    config.clock = Arc::new(clock.clone());
    let db = Db::open(config).expect("opens");
    let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
    let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
    let ctx = Ctx { random: sevens, ..Ctx::system(tenant, event::data) };
    let (one, other) = (TimerLoop::new(db.clone(), event::data), TimerLoop::new(db.clone(), event::data));
    assert_eq!(one.step().await.expect("a step"), None);

    // More than one transaction's worth, and one that is due later.
    let soon = clock.now() + HOUR_US;
    let mut asleep = Vec::new();
    for number in 0..BATCH + 10 {
        let v = start(&db, &ctx, number).await;
        snooze(&db, &ctx, v.id, soon).await;
        asleep.push(v.id);
    }
    snooze(&db, &ctx, asleep[0], soon + HOUR_US).await; // moved: its first end means nothing
    clock.advance_us(HOUR_US - 1);
    assert_eq!(one.step().await.expect("a step"), Some(soon), "nothing is due yet");
    clock.advance_us(1 + HOUR_US / 2);
    let (left, right) = tokio::join!(one.step(), other.step());
    assert_eq!((left.expect("a step"), right.expect("a step")), (Some(soon + HOUR_US), Some(soon + HOUR_US)));

    let ids = asleep.clone();
    let now = db.read(move |read| {
        ids.iter().map(|id| conversations::get(read, tenant, *id)).collect::<Result<Vec<_>, Error>>()
    });
    let statuses: Vec<Status> = now.await.expect("there").iter().map(|v| v.status).collect();
    assert_eq!(statuses[0], Status::Snoozed);
    assert!(statuses[1..].iter().all(|status| *status == Status::Active));
    while db.read(numbering::is_any_beyond).await.expect("looks") {
        db.write(numbering::advance).await.expect("numbers");
    }
    let log = db.read(move |read| feed::of_tenant(read, tenant, 0, 10_000)).await.expect("the log");
    let woken: Vec<_> =
        log.iter().filter(|event| event.cause.as_deref() == Some(r#"{"type":"timer","id":"snooze"}"#)).collect();
    assert_eq!(woken.len(), asleep.len() - 1, "each once");
    assert!(woken.iter().all(|event| event.name == "conversation.updated" && event.actor.contains("system")));
    clock.advance_us(HOUR_US);
    assert_eq!(one.step().await.expect("a step"), None);
    db.close();
}
