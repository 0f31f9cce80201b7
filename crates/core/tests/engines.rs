//! The outbound verb on both engines: the same commands, the same answers, the same log.

use std::sync::Arc;
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::{Customer, StartOutbound, StartOutboundVerb, Started};
use tieline_core::ctx::Ctx;
use tieline_core::events::Event;
use tieline_core::idempotency::Reply;
use tieline_core::ids::TenantId;
use tieline_core::messages::direction::Direction;
use tieline_core::messages::{Author, NewMessage};
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::{Error, MIGRATIONS};
use tieline_db::{Config, Db, params};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;

fn open(mut config: Config) -> Db {
    config.clock = Arc::new(VirtualClock::new());
    Db::open(config).expect("opens")
}

/// One inbox is made: any identifier is unique.
fn fill(bytes: &mut [u8]) -> Result<(), Error> {
    bytes.fill(7);
    Ok(())
}

fn command(tenant: TenantId, reference: &str, email: &str, phone: Option<&str>) -> StartOutbound {
    let render = |event: &Event| format!("{{\"name\":\"{}\"}}", event.name()).into();
    StartOutbound {
        ctx: Ctx { random: fill, ..Ctx::system(tenant, render) },
        once: None,
        external_reference: Some(reference.into()),
        contact: Customer::Found(Upsert {
            email: Some(email.into()),
            phone: phone.map(Into::into),
            ..Upsert::default()
        }),
        subject: Some("Where is my parcel?".into()),
        channel: Channel::Email,
        message: Some(NewMessage {
            direction: Direction::Inbound,
            author: Author::default(),
            text: "Olá".into(),
            html: None,
            content: None,
            external_id: None,
            sent_at: None,
            attachments: Default::default(),
        }),
        tags: vec!["none".into()],
        custom_fields: serde_json::Map::new(),
        metadata: "{}".into(),
    }
}

async fn start(db: &Db, command: StartOutbound) -> Result<Started, Error> {
    match db.submit::<StartOutboundVerb>(command).await? {
        Reply::Done(started) => Ok(started),
        Reply::Replayed(_) => panic!("nothing was asked before"),
    }
}

/// What a reader of the log sees, without ids and times.
async fn scenario(db: &Db) -> Vec<String> {
    let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
    let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
    let first = start(db, command(tenant, "a", "ana@example.com", Some("+5511987654321"))).await.expect("starts");
    assert_eq!((first.conversation.number, first.ignored_tags.as_slice()), (1, ["none".to_owned()].as_slice()));
    // The phone without the ninth digit leads to the same contact; the taken reference leaves no trace.
    let phone = Customer::Found(Upsert { phone: Some("+551187654321".into()), ..Upsert::default() });
    let second = StartOutbound { contact: phone, ..command(tenant, "b", "", None) };
    let second = start(db, second).await.expect("starts");
    assert_eq!(second.conversation.contact.id, first.conversation.contact.id);
    let again = start(db, command(tenant, "a", "new@example.com", None)).await.expect_err("the reference is taken");
    assert_eq!(again.code, "external_reference_exists");
    // Many at once: each reference once, each contact once.
    let mut waiting = Vec::new();
    for n in 0..200 {
        let (reference, email) = (format!("r{}", n % 100), format!("c{}@example.com", n % 10));
        let (db, command) = (db.clone(), command(tenant, &reference, &email, None));
        waiting.push(tokio::spawn(async move { start(&db, command).await }));
    }
    let (mut started, mut refused) = (0, 0);
    for one in waiting {
        match one.await.expect("no panic") {
            Ok(_) => started += 1,
            Err(error) => {
                assert_eq!(error.code, "external_reference_exists", "{error:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((started, refused), (100, 100));
    // On PostgreSQL events commit without a position, which the sequencer will give them; so the log is read as it lies.
    let names = db.read(move |read| {
        read.all("select type from events where tenant_id = $1 order by type", &params![tenant.0], |row| row.get(0))
    });
    names.await.expect("the log")
}

fn expected() -> Vec<String> {
    let mut names = vec!["contact.created".to_owned(); 11];
    names.extend(vec!["conversation.created".to_owned(); 102]);
    names.extend(vec!["message.received".to_owned(); 102]);
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbound_verb_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = open(Config::sqlite(folder.path().join("t.db"), MIGRATIONS));
    assert_eq!(scenario(&db).await, expected());
    db.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outbound_verb_on_postgresql() {
    let database = postgres::Database::create();
    let db = open(Config::postgres(&database.url, MIGRATIONS));
    assert_eq!(scenario(&db).await, expected());
    db.close();
}
