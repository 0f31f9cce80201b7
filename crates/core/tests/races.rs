//! Two nodes on one PostgreSQL, every verb at once on the same few rows: no change is lost, no event's number is given
//! twice, and nothing hangs in the air.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use tieline_core::contact_inboxes::Meet;
use tieline_core::contacts::{self, Upsert};
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{
    self, Append, AppendVerb, Customer, Land, StartOutbound, StartOutboundVerb, Started, Update,
};
use tieline_core::ctx::Ctx;
use tieline_core::events::{Event, feed, numbering};
use tieline_core::idempotency::{Answer, Once, Reply};
use tieline_core::ids::{ContactId, ConversationId};
use tieline_core::inboxes;
use tieline_core::messages::direction::Direction;
use tieline_core::messages::{Author, NewMessage};
use tieline_core::tags;
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::{Error, Kind, MIGRATIONS, timers};
use tieline_db::{Config, Db, params};
use tieline_testkit::postgres::Database;
use tieline_testkit::sim::Rng;

/// Callers of each node.
const CALLERS: u64 = 6;
/// What each of them does.
const CALLS: usize = 60;
/// Conversations they meet on.
const CONVERSATIONS: usize = 3;
/// Customers they meet on.
const PEOPLE: usize = 4;

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

fn message(direction: Direction, external_id: Option<String>) -> NewMessage {
    NewMessage {
        direction,
        author: Author::default(),
        text: "Olá".into(),
        html: None,
        content: None,
        external_id,
        sent_at: None,
        attachments: Default::default(),
    }
}

fn open(ctx: &Ctx, person: usize, reference: Option<String>, once: Option<Once<Started>>) -> StartOutbound {
    StartOutbound {
        ctx: ctx.clone(),
        once,
        external_reference: reference,
        contact: Customer::Found(Upsert {
            email: Some(format!("p{person}@example.com")),
            external_id: person.is_multiple_of(2).then(|| format!("p{person}")),
            ..Upsert::default()
        }),
        subject: None,
        channel: Channel::Email,
        message: Some(message(Direction::Inbound, None)),
        tags: Vec::new(),
        custom_fields: serde_json::Map::new(),
        metadata: "{}".into(),
    }
}

fn update(id: ConversationId) -> Update {
    Update {
        conversation: id,
        status: None,
        snoozed_until: None,
        subject: None,
        team: None,
        agent: None,
        custom_fields: serde_json::Map::new(),
        metadata: None,
    }
}

fn once(key: String) -> Once<Started> {
    let render = |started: &Started| Answer {
        status: 201,
        location: None,
        body: started.conversation.id.to_string().into_bytes(),
    };
    Once { principal: "key".into(), route: "POST /".into(), key, request_hash: [1; 32], render }
}

/// What a caller was told.
#[derive(Default)]
struct Told {
    /// Messages that were written anew, by the conversation that holds them.
    messages: BTreeMap<ConversationId, usize>,
    /// The conversation of each idempotency key.
    keyed: BTreeMap<String, String>,
    /// The conversation of each reference.
    references: BTreeMap<String, ConversationId>,
}

async fn caller(db: Db, ctx: Ctx, seed: u64, shared: Vec<ConversationId>) -> Told {
    let (mut rng, mut told) = (Rng::new(seed), Told::default());
    for call in 0..CALLS {
        let (ctx, id) = (ctx.clone(), *rng.pick(&shared));
        let person = rng.below(PEOPLE);
        match rng.below(9) {
            0..=2 => {
                let inbound = rng.chance(50);
                let (direction, whose) = if inbound { (Direction::Inbound, "m") } else { (Direction::Outbound, "o") };
                let external = rng.chance(30).then(|| format!("{whose}{}", rng.below(20)));
                let command = Append { ctx, once: None, conversation: id, message: message(direction, external) };
                match db.submit::<AppendVerb>(command).await.expect("appends") {
                    Reply::Done(said) if !said.existing => {
                        *told.messages.entry(said.conversation.id).or_default() += 1;
                    }
                    _ => {}
                }
            }
            3 => {
                let on = rng.chance(50);
                db.write(move |tx| conversations::set_tag(tx, &ctx, id, "vip", on)).await.expect("tags");
            }
            4 => {
                let cmd = Update { subject: Some(Some(format!("{seed}-{call}"))), ..update(id) };
                db.write(move |tx| conversations::update(tx, &ctx, &cmd)).await.expect("changes");
            }
            5 => {
                let until = db.now() + 1000;
                let cmd = Update { status: Some(Status::Snoozed), snoozed_until: Some(Some(until)), ..update(id) };
                // Past already, where it waited for a lock.
                let done = db.write(move |tx| conversations::update(tx, &ctx, &cmd)).await;
                done.map(drop).or_else(|e| if e.kind == Kind::Invalid { Ok(()) } else { Err(e) }).expect("snoozes");
                db.write(move |tx| timers::fire(tx, render, 100)).await.expect("fires");
            }
            6 => {
                let key = format!("k{}", rng.below(10));
                let found =
                    match db.submit::<StartOutboundVerb>(open(&ctx, person, None, Some(once(key.clone())))).await {
                        Ok(Reply::Done(started)) => {
                            told.messages.insert(started.conversation.id, 1);
                            started.conversation.id.to_string()
                        }
                        Ok(Reply::Replayed(answer)) => String::from_utf8(answer.body).expect("text"),
                        Err(error) => panic!("{error:?}"),
                    };
                assert_eq!(told.keyed.entry(key).or_insert_with(|| found.clone()), &found);
            }
            7 => {
                let reference = format!("r{}", rng.below(15));
                match db.submit::<StartOutboundVerb>(open(&ctx, person, Some(reference.clone()), None)).await {
                    Ok(Reply::Done(started)) => {
                        told.messages.insert(started.conversation.id, 1);
                        assert_eq!(told.references.insert(reference, started.conversation.id), None);
                    }
                    Ok(Reply::Replayed(_)) => panic!("no key was given"),
                    Err(error) => assert_eq!(error.code, "external_reference_exists", "{error:?}"),
                }
            }
            _ => {
                // Two people turn out to be one, while others open conversations for either.
                let made: Result<(), Error> = db
                    .write(move |tx| {
                        let of = |tx: &mut tieline_db::Tx, person: usize| {
                            let sql = "select contact_id from handles where tenant_id = $1 and kind = 'email' and match_key = $2";
                            let key = format!("p{person}@example.com");
                            tx.opt(sql, &params![ctx.tenant.0, &key], |row| Ok(ContactId::from_uuid(row.get(0)?)))
                        };
                        let (Some(one), Some(other)) = (of(tx, person)?, of(tx, (person + 1) % PEOPLE)?) else {
                            return Ok(());
                        };
                        if one != other {
                            contacts::merge(tx, &ctx, one, &[other])?;
                        }
                        Ok(())
                    })
                    .await;
                // Somebody else merged them first.
                made.or_else(|e| if matches!(e.kind, Kind::Invalid | Kind::NotFound) { Ok(()) } else { Err(e) })
                    .expect("merges");
            }
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_at_once_on_two_nodes() {
    let database = Database::create();
    let nodes: Vec<Db> =
        (0..2).map(|_| Db::open(Config::postgres(&database.url, MIGRATIONS)).expect("opens")).collect();
    let db = nodes[0].clone();
    let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
    let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
    let ctx = Ctx { random: counted, ..Ctx::system(tenant, render) };
    let by = ctx.clone();
    db.write(move |tx| {
        tags::create(tx, &by, &tags::Create { slug: Some("vip".into()), name: "VIP".into(), ..tags::Create::default() })
    })
    .await
    .expect("a tag");
    let mut shared = Vec::new();
    for person in 0..CONVERSATIONS {
        match db.submit::<StartOutboundVerb>(open(&ctx, person, None, None)).await.expect("opens") {
            Reply::Done(started) => shared.push(started.conversation.id),
            Reply::Replayed(_) => panic!("no key was given"),
        }
    }
    let callers: Vec<_> = (0..2 * CALLERS)
        .map(|n| tokio::spawn(caller(nodes[n as usize % 2].clone(), ctx.clone(), n, shared.clone())))
        .collect();
    let mut told = Told::default();
    told.messages.extend(shared.iter().map(|id| (*id, 1)));
    for caller in callers {
        let one = caller.await.expect("no panic");
        for (id, count) in one.messages {
            *told.messages.entry(id).or_default() += count;
        }
        for (key, conversation) in one.keyed {
            assert_eq!(
                told.keyed.entry(key).or_insert_with(|| conversation.clone()),
                &conversation,
                "one answer for all"
            );
        }
        for (reference, id) in one.references {
            assert_eq!(told.references.insert(reference, id), None, "a reference has one conversation");
        }
    }

    // Every message that was acknowledged is there, and no other; and every conversation has its customer.
    let counted = db.read(|read| {
        let sql = "select v.id, count(m.id), v.event_sequence from conversations v join messages m on m.tenant_id = v.tenant_id \
                   and m.conversation_id = v.id join contacts c on c.tenant_id = v.tenant_id and c.id = v.contact_id \
                   group by v.id, v.event_sequence";
        let row = |row: &tieline_db::Row| {
            Ok((ConversationId::from_uuid(row.get(0)?), row.get::<i64>(1)? as usize, row.get::<i64>(2)?))
        };
        Ok::<_, Error>(read.all(sql, &[], row)?)
    });
    let counted = counted.await.expect("conversations");
    let messages: BTreeMap<_, _> = counted.iter().map(|(id, count, _)| (*id, *count)).collect();
    assert_eq!(messages, told.messages);

    // One log: each conversation's events stand in it in their order, without a gap.
    db.write(numbering::advance).await.expect("moves");
    let events = db.read(move |read| feed::of_tenant(read, tenant, 0, 100_000)).await.expect("the log");
    let mut sequences: BTreeMap<ConversationId, i64> = BTreeMap::new();
    for event in &events {
        let Some(id) = event.conversation else { continue };
        let last = sequences.entry(id).or_default();
        assert_eq!(event.sequence, Some(*last + 1), "{} of {id}", event.name);
        *last += 1;
    }
    let expected: BTreeMap<_, _> = counted.iter().map(|(id, _, sequence)| (*id, *sequence)).collect();
    assert_eq!(sequences, expected);
    nodes.iter().for_each(Db::close);
}

/// First messages of one address at once, each of them twice: one contact, one conversation, no message twice.
#[tokio::test(flavor = "multi_thread")]
async fn first_messages_of_an_address_meet() {
    let database = Database::create();
    let nodes: Vec<Db> =
        (0..2).map(|_| Db::open(Config::postgres(&database.url, MIGRATIONS)).expect("opens")).collect();
    let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
    let tenant = nodes[0].write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
    let ctx = Ctx { random: counted, ..Ctx::system(tenant, render) };
    let by = ctx.clone();
    let inbox = inboxes::Create { name: "Shop".into(), channel: Channel::Api, ..Default::default() };
    let inbox = nodes[0].write(move |tx| inboxes::create(tx, &by, &inbox)).await.expect("an inbox").inbox.id;
    let landings = (0..4 * CALLERS).map(|n| {
        let (db, ctx) = (nodes[n as usize % 2].clone(), ctx.clone());
        let from = Meet {
            inbox,
            source_id: Some("address".into()),
            identity: Upsert { email: n.is_multiple_of(3).then(|| "ana@example.com".into()), ..Upsert::default() },
            note: contacts::Annotate::default(),
            is_verified: false,
        };
        let message = message(Direction::Inbound, Some(format!("m{}", n / 2)));
        let land = Land { from, message, custom_fields: "{}".into(), metadata: "{}".into() };
        tokio::spawn(async move { db.write(move |tx| conversations::land(tx, &ctx, &land)).await })
    });
    let landings: Vec<_> = landings.collect();
    let mut written = 0;
    for landing in landings {
        written += usize::from(!landing.await.expect("no panic").expect("lands").existing);
    }
    assert_eq!(written as u64, 2 * CALLERS);
    let counted = nodes[0].read(|read| {
        let sql = "select (select count(*) from contacts), (select count(*) from conversations), (select count(*) from messages)";
        let counts = read.opt(sql, &[], |row| Ok([row.get::<i64>(0)?, row.get(1)?, row.get(2)?]))?;
        Ok::<_, Error>(counts)
    });
    assert_eq!(counted.await.expect("counts"), Some([1, 1, 2 * CALLERS as i64]));
    nodes.iter().for_each(Db::close);
}
