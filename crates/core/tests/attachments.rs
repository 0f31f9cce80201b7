//! The statements of attachments on both engines: the same steps, the same answers.

use std::sync::Arc;
use tieline_core::attachments::link::{DEFAULT_TTL_US, Links};
use tieline_core::attachments::{self, Attach, CreateUpload, Fetched, KEPT_UNCLAIMED_US, NewAttachment, Received};
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::{Append, AppendVerb, Customer, StartOutbound, StartOutboundVerb};
use tieline_core::ctx::Ctx;
use tieline_core::events::Event;
use tieline_core::idempotency::Reply;
use tieline_core::ids::AttachmentId;
use tieline_core::messages::direction::Direction;
use tieline_core::messages::{self, Author, NewMessage, Order};
use tieline_core::secrets::Keyring;
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::{Error, MIGRATIONS};
use tieline_db::{Config, Db, params};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;

fn render(event: &Event) -> tieline_core::events::Frozen {
    format!("{{\"name\":\"{}\"}}", event.name()).into()
}
fn random(bytes: &mut [u8]) -> Result<(), Error> {
    bytes.fill(7);
    Ok(())
}
fn message(files: Vec<NewAttachment>) -> NewMessage {
    NewMessage {
        direction: Direction::Inbound,
        author: Author::default(),
        text: "x".into(),
        html: None,
        content: None,
        external_id: None,
        sent_at: None,
        attachments: Attach { files, links: None, pointer: "/attachments" },
    }
}

/// What happened, one line a step.
async fn scenario(mut config: Config) -> Vec<String> {
    let clock = VirtualClock::new();
    config.clock = Arc::new(clock.clone());
    let db = Db::open(config).expect("opens");
    let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
    let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
    let ctx = Ctx { random, ..Ctx::system(tenant, render) };
    let mut seen = Vec::new();

    let upload = async |name: &'static str| -> AttachmentId {
        let stored = db.write(move |tx| {
            let create = CreateUpload { name: name.into(), content_type: "text/plain".into() };
            let id = attachments::reserve(tx, tenant, &create)?;
            let received = Received { id, name: name.into(), size: 3, content_type: "text/plain".into() };
            attachments::receive(tx, tenant, &received)
        });
        stored.await.expect("stored").id
    };
    let (a, b, left) = (upload("a").await, upload("b").await, upload("left").await);
    let at = |path: &str| NewAttachment::At {
        url: format!("https://example.com/{path}"),
        name: path.into(),
        content_type: "image/png".into(),
    };
    let start = StartOutbound {
        ctx: ctx.clone(),
        once: None,
        external_reference: None,
        contact: Customer::Found(Upsert { email: Some("ana@example.com".into()), ..Upsert::default() }),
        subject: None,
        channel: Channel::Email,
        message: Some(message(vec![at("good"), NewAttachment::Uploaded(a), at("bad")])),
        tags: Vec::new(),
        custom_fields: serde_json::Map::new(),
        metadata: "{}".into(),
    };
    let Reply::Done(started) = db.submit::<StartOutboundVerb>(start).await.expect("opens") else { panic!("new") };
    let conversation = started.conversation.id;
    let append = async |files: Vec<NewAttachment>| -> String {
        let command = Append { ctx: ctx.clone(), once: None, conversation, message: message(files) };
        match db.submit::<AppendVerb>(command).await {
            Ok(Reply::Done(done)) => format!("took {}", done.message.attachments.len()),
            Ok(Reply::Replayed(_)) => panic!("new"),
            Err(error) => format!("{} {:?}", error.code, error.fields.iter().map(|f| &f.pointer).collect::<Vec<_>>()),
        }
    };
    // A refusal takes nothing; of many that want one upload, one gets it.
    seen.push(append(vec![NewAttachment::Uploaded(b), NewAttachment::Uploaded(a)]).await);
    seen.push(append(vec![at("x"), NewAttachment::Uploaded(AttachmentId::from_uuid(uuid::Uuid::nil()))]).await);
    let both = sorted(append(vec![NewAttachment::Uploaded(b)]), append(vec![NewAttachment::Uploaded(b)])).await;
    seen.extend(both);

    let mut due = db.write(|tx| attachments::take_due(tx, 10, 1000)).await.expect("due");
    due.sort_by(|a, b| b.name.cmp(&a.name));
    seen.push(format!("due {:?}", due.iter().map(|due| (due.name.as_str(), due.attempt)).collect::<Vec<_>>()));
    seen.push(format!("more {}", db.write(|tx| attachments::take_due(tx, 10, 1000)).await.expect("due").len()));
    let links = Arc::new(Links::new(&Keyring::from_bytes([7; 32]), "http://tieline.test", DEFAULT_TTL_US));
    let results =
        [Fetched::Stored { size: 9, content_type: "image/png".into() }, Fetched::Again { reason: "404".into() }];
    for (due, result) in due.iter().cloned().zip(results) {
        let links = links.clone();
        let recorded = db.write(move |tx| attachments::fetched(tx, render, &links, &due, &result)).await;
        seen.push(format!("recorded {}", recorded.expect("recorded")));
    }
    let next = db.read(attachments::next_due).await.expect("reads");
    seen.push(format!("again in {:?} s", next.map(|next| (next - clock.now()) / 1_000_000)));

    clock.advance_us(KEPT_UNCLAIMED_US + 1);
    let before = clock.now() - KEPT_UNCLAIMED_US;
    let gone = db.write(move |tx| attachments::unclaimed(tx, before, 10)).await.expect("unclaimed");
    assert_eq!(gone, [(tenant, left)]);
    db.write(move |tx| attachments::forget(tx, &gone)).await.expect("forgotten");

    let list = db.read(move |read| messages::list(read, tenant, conversation, Order::OldestFirst, None, 10));
    for message in list.await.expect("messages") {
        let files = message.attachments.iter();
        seen.push(files.map(|file| format!("{} {} {:?};", file.name, file.state.as_str(), file.size)).collect());
    }
    let events = db.read(move |read| {
        let sql = "select type from events where tenant_id = $1 and sequence > 1 order by sequence";
        Ok::<_, Error>(read.all(sql, &params![tenant.0], |row| row.get::<String>(0))?)
    });
    seen.push(events.await.expect("events").join(" "));
    db.close();
    seen
}

async fn sorted(a: impl Future<Output = String>, b: impl Future<Output = String>) -> [String; 2] {
    let (a, b) = tokio::join!(a, b);
    let mut both = [a, b];
    both.sort();
    both
}

const EXPECTED: [&str; 12] = [
    "attachment_taken []",
    "validation_error [\"/attachments/1/id\"]",
    "attachment_taken []",
    "took 1",
    "due [(\"good\", 1), (\"bad\", 1)]",
    "more 0",
    "recorded true",
    "recorded true",
    "again in Some(10) s",
    "good stored Some(9);a stored Some(3);bad pending None;",
    "b stored Some(3);",
    "message.received message.received message.updated",
];

#[tokio::test(flavor = "multi_thread")]
async fn attachments_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(scenario(Config::sqlite(folder.path().join("t.db"), MIGRATIONS)).await, EXPECTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_on_postgresql() {
    let database = postgres::Database::create();
    assert_eq!(scenario(Config::postgres(&database.url, MIGRATIONS)).await, EXPECTED);
}
