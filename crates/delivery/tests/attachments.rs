//! Fetching attachments from real servers on loopback that behave well and badly, and what housekeeping removes.

use bytes::Bytes;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tieline_core::attachments::link::{DEFAULT_TTL_US, Links};
use tieline_core::attachments::{
    self, Attach, CreateUpload, Fetched, KEPT_UNCLAIMED_US, MAX_ATTEMPTS, NewAttachment, Received, State, wait_after,
};
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::{Customer, StartOutbound, StartOutboundVerb, Started};
use tieline_core::ctx::Ctx;
use tieline_core::events::{Stored, numbering};
use tieline_core::idempotency::Reply;
use tieline_core::ids::{AttachmentId, TenantId};
use tieline_core::messages::direction::Direction;
use tieline_core::messages::{self, Author, Message, NewMessage};
use tieline_core::secrets::Keyring;
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::{Error, MIGRATIONS, installation};
use tieline_db::{Config, Db, params};
use tieline_delivery::attachments::FetchLoop;
use tieline_delivery::client::Client;
use tieline_delivery::egress::{Answer, EgressPolicy, Guard, Resolver};
use tieline_delivery::files::Files;
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;
use tieline_wire::native::event::data;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n0123456789";
const MAX_BYTES: u64 = 1024 * 1024;

fn random_bytes(bytes: &mut [u8]) -> Result<(), Error> {
    bytes.fill(7);
    Ok(())
}

/// A server that answers every connection with these bytes, and then closes or says nothing more.
struct Server {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(reply: impl Into<Vec<u8>>, then_hangs: bool) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/files/photo.bin", listener.local_addr().unwrap());
        let (reply, asked) = (reply.into(), Arc::new(AtomicUsize::new(0)));
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, SeqCst);
                let reply = reply.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                    assert!(head.starts_with("get ") && !head.contains("content-length"), "{head}");
                    let _ = stream.write_all(&reply).await;
                    if then_hangs {
                        let _ = stream.read_u8().await;
                    }
                });
            }
        });
        Server { url, asked }
    }
    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }
}

fn reply(head: &str, body: &[u8]) -> Vec<u8> {
    let mut reply = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    reply.extend_from_slice(body);
    reply
}

/// A tenant, a store, and a loop over both; names resolve to a private address.
struct World {
    db: Db,
    clock: VirtualClock,
    tenant: TenantId,
    files: Files,
    fetch: FetchLoop,
    folder: tempfile::TempDir,
    database: Option<postgres::Database>,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let clock = VirtualClock::new();
        let database = postgres::wanted();
        let mut config = match &database {
            Some(database) => Config::postgres(&database.url, MIGRATIONS),
            None => Config::sqlite(folder.path().join("t.db"), MIGRATIONS),
        };
        config.clock = Arc::new(clock.clone());
        let db = Db::open(config).unwrap();
        let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
        let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.unwrap().id;
        let links = Links::new(&Keyring::from_bytes([7; 32]), "http://tieline.test", DEFAULT_TTL_US);
        let files = Files::local(&folder.path().join("attachments"), links).unwrap().with_max_bytes(MAX_BYTES);
        let policy = EgressPolicy::parse("127.0.0.1", true).unwrap();
        let private: IpAddr = "10.0.0.1".parse().unwrap();
        let guard = Guard::new(policy, Resolver::Fixed(Arc::new(move |_| Answer::Addresses(vec![private]))));
        let client = Client::new(guard.clone(), &[]).unwrap();
        let fetch = FetchLoop::new(db.clone(), client, guard, files.clone(), data);
        World { db, clock, tenant, files, fetch, folder, database }
    }

    /// Opens a conversation whose first message names these files.
    async fn open(&self, files: Vec<NewAttachment>) -> Result<Started, Error> {
        let attachments = Attach { files, links: Some(self.files.links().clone()), pointer: "/attachments" };
        let message = NewMessage {
            direction: Direction::Inbound,
            author: Author::default(),
            text: "Look".into(),
            html: None,
            content: None,
            external_id: None,
            sent_at: None,
            attachments,
        };
        let command = StartOutbound {
            ctx: Ctx { random: random_bytes, ..Ctx::system(self.tenant, data) },
            once: None,
            external_reference: None,
            contact: Customer::Found(Upsert { email: Some("ana@example.com".into()), ..Upsert::default() }),
            subject: None,
            channel: Channel::Email,
            message: Some(message),
            tags: Vec::new(),
            custom_fields: serde_json::Map::new(),
            metadata: "{}".into(),
        };
        match self.db.submit::<StartOutboundVerb>(command).await? {
            Reply::Done(started) => Ok(started),
            Reply::Replayed(_) => panic!("nothing was asked before"),
        }
    }

    /// A message with one file at `url`.
    async fn name(&self, url: &str) -> Message {
        let file = NewAttachment::At {
            url: url.into(),
            name: "photo.bin".into(),
            content_type: "application/octet-stream".into(),
        };
        self.open(vec![file]).await.unwrap().message.unwrap()
    }

    async fn message(&self, message: &Message) -> Message {
        let (tenant, id) = (self.tenant, message.id);
        self.db.read(move |read| messages::get(read, tenant, id)).await.unwrap()
    }

    /// The events `message.updated` so far: sequence and data.
    async fn updates(&self) -> Vec<(Option<i64>, serde_json::Value)> {
        while self.db.read(numbering::is_any_beyond).await.unwrap() {
            self.db.write(numbering::advance).await.unwrap();
        }
        let events: Result<Vec<Stored>, Error> =
            self.db.read(|read| tieline_core::events::feed::after(read, 0, 1000, " message.updated ")).await;
        let json = |event: &Stored| (event.sequence, serde_json::from_str(&event.data).unwrap());
        events.unwrap().iter().filter(|event| event.name == "message.updated").map(json).collect()
    }

    /// Everything in the store, parts included.
    fn stored(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for tenant in std::fs::read_dir(self.folder.path().join("attachments")).unwrap() {
            found.extend(std::fs::read_dir(tenant.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
        }
        found
    }

    /// A dropped file goes a moment after its writer.
    async fn until_nothing_is_stored(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while !self.stored().is_empty() {
            assert!(Instant::now() < until, "{:?}", self.stored());
            tokio::task::yield_now().await;
        }
    }

    /// Fetches once and expects the end of it: failed, for a reason that holds these words.
    async fn fails_at_once(&self, url: &str, words: &str) {
        let message = self.name(url).await;
        assert_eq!(self.fetch.step().await.unwrap(), None, "{url}: nothing more is due");
        let file = self.message(&message).await.attachments.remove(0);
        let reason = file.error.unwrap_or_default();
        assert!(file.state == State::Failed && reason.contains(words), "{url}: {:?} {reason}", file.state);
        self.until_nothing_is_stored().await;
    }

    async fn upload(&self) -> AttachmentId {
        let tenant = self.tenant;
        let create = CreateUpload { name: "a.png".into(), content_type: "image/png".into() };
        let id = self.db.write(move |tx| attachments::reserve(tx, tenant, &create)).await.unwrap();
        let mut writing = self.files.create(tenant, id).await.unwrap();
        writing.write(Bytes::from_static(PNG)).await.unwrap();
        let size = writing.finish().await.unwrap().size as i64;
        let received = Received { id, name: "a.png".into(), size, content_type: "image/png".into() };
        self.db.write(move |tx| attachments::receive(tx, tenant, &received)).await.unwrap();
        id
    }

    async fn rows(&self) -> i64 {
        let tenant = self.tenant.0;
        let count = self.db.read(move |read| {
            let sql = "select count(*) from attachments where tenant_id = $1";
            Ok::<_, Error>(read.opt(sql, &params![tenant], |row| row.get(0))?.unwrap_or(0))
        });
        count.await.unwrap()
    }
}

#[tokio::test]
async fn a_file_is_fetched_and_its_message_says_so() {
    let world = World::new().await;
    let server = Server::start(reply("200 OK\r\nContent-Type: text/html", PNG), false).await;
    let message = world.name(&server.url).await;
    assert_eq!((message.attachments[0].state, message.attachments[0].size), (State::Pending, None));
    assert_eq!(world.fetch.step().await.unwrap(), None);
    let file = world.message(&message).await.attachments.remove(0);
    assert_eq!((file.state, file.size, file.content_type.as_str()), (State::Stored, Some(18), "image/png"));
    let bytes: Vec<Bytes> =
        futures::TryStreamExt::try_collect(world.files.read(world.tenant, file.id, None).await.unwrap()).await.unwrap();
    assert_eq!(bytes.concat(), PNG);
    let updates = world.updates().await;
    let [(sequence, event)] = &updates[..] else { panic!("{updates:?}") };
    assert_eq!(*sequence, Some(3), "created, received, updated");
    let shown = &event["message"]["attachments"][0];
    assert_eq!((&shown["state"], &shown["size"]), (&"stored".into(), &18.into()));
    assert!(shown["url"].as_str().unwrap().starts_with("http://tieline.test/files/att_"));
    assert!(event.to_string().contains("\"attachments\"") && event.to_string().contains("pending"), "names the change");
    assert_eq!((world.fetch.step().await.unwrap(), server.asked()), (None, 1), "once is enough");
}

#[tokio::test]
async fn what_fails_for_now_is_tried_five_times() {
    let world = World::new().await;
    let missing = Server::start(reply("404 Not Found", b"no"), false).await;
    let cut = Server::start(&b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"[..], false).await;
    let (first, second) = (world.name(&missing.url).await, world.name(&cut.url).await);
    for attempt in 1..=MAX_ATTEMPTS {
        let due = world.fetch.step().await.unwrap();
        assert_eq!((missing.asked() as i64, cut.asked() as i64), (attempt, attempt));
        match wait_after(attempt) {
            Some(wait) => {
                assert_eq!(due, Some(world.clock.now() + wait));
                assert_eq!(world.message(&first).await.attachments[0].state, State::Pending);
                assert!(world.updates().await.is_empty(), "nobody hears of an attempt");
                world.clock.advance_us(wait - 1);
                assert_eq!(world.fetch.step().await.unwrap(), due, "not before its time");
                world.clock.advance_us(1);
            }
            None => assert_eq!(due, None),
        }
    }
    for (message, words) in [(&first, "404"), (&second, "closed the connection")] {
        let file = world.message(message).await.attachments.remove(0);
        assert_eq!(file.state, State::Failed);
        assert!(file.error.as_deref().unwrap().contains(words), "{:?}", file.error);
    }
    assert_eq!(world.updates().await.len(), 2);
    world.until_nothing_is_stored().await;
}

#[tokio::test]
async fn what_will_not_change_fails_at_once() {
    let world = World::new().await;
    let target = Server::start(reply("200 OK", PNG), false).await;
    let redirect = Server::start(reply(&format!("302 Found\r\nLocation: {}", target.url), b""), false).await;
    world.fails_at_once(&redirect.url, "302").await;
    assert_eq!(target.asked(), 0, "no redirect is followed");
    let declared = Server::start(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_BYTES + 1), true).await;
    world.fails_at_once(&declared.url, "at most 1048576 bytes").await;
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(MAX_BYTES as usize + 1000, b'x');
    let endless = Server::start(endless, true).await;
    world.fails_at_once(&endless.url, "at most 1048576 bytes").await;
    let empty = Server::start(reply("200 OK", b""), false).await;
    world.fails_at_once(&empty.url, "empty").await;
    let packed = Server::start(reply("200 OK\r\nContent-Encoding: gzip", PNG), false).await;
    world.fails_at_once(&packed.url, "compressed").await;
}

#[tokio::test]
async fn private_addresses_are_refused_when_fetched_too() {
    let world = World::new().await;
    let port = Server::start(reply("200 OK", PNG), false).await;
    let port_number = port.url.split(':').nth(2).unwrap().split('/').next().unwrap().to_owned();
    // Saved by a policy that allowed them, or by a name that meant something else then.
    for url in
        ["http://10.0.0.1/x", "http://169.254.169.254/latest", "http://[::1]:PORT/x", "http://rebound.example:PORT/x"]
    {
        world.fails_at_once(&url.replace("PORT", &port_number), "").await;
    }
    assert_eq!(port.asked(), 0);
}

#[tokio::test]
async fn a_slow_server_costs_its_time_and_no_more() {
    let world = World::new().await;
    let fetch = |world: World| World { fetch: world.fetch.with_timeout(Duration::from_millis(200)), ..world };
    let world = fetch(world);
    let silent = Server::start(Vec::new(), true).await;
    let stalled = Server::start(&b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"[..], true).await;
    let messages = [world.name(&silent.url).await, world.name(&stalled.url).await];
    let due = world.fetch.step().await.unwrap();
    assert_eq!(due, Some(world.clock.now() + wait_after(1).unwrap()), "tried again later");
    for message in &messages {
        let file = world.message(message).await.attachments.remove(0);
        assert!(file.state == State::Pending && file.error.as_deref().unwrap().contains("within 200ms"), "{file:?}");
    }
    world.until_nothing_is_stored().await;
}

#[tokio::test]
async fn a_crash_leaves_a_lease_that_ends_and_an_attempt_that_counts() {
    let world = World::new().await;
    let server = Server::start(reply("200 OK", PNG), false).await;
    let message = world.name(&server.url).await;
    let take = || world.db.write(|tx| attachments::take_due(tx, 10, 1_000_000));
    let first = take().await.unwrap().remove(0);
    assert_eq!((first.attempt, take().await.unwrap().len()), (1, 0), "leased");
    // It dies in the middle of the file, and leaves its part.
    let mut writing = world.files.create(world.tenant, first.id).await.unwrap();
    writing.write(Bytes::from(vec![b'x'; 600_000])).await.unwrap();
    std::mem::forget(writing);
    assert!(world.files.read(world.tenant, first.id, None).await.is_err(), "half a file is no file");
    assert_eq!(world.stored().len(), 1);
    assert_eq!(world.files.clear_abandoned(Duration::from_secs(3600)).await.unwrap(), 0, "it may be at work");
    assert_eq!(world.files.clear_abandoned(Duration::ZERO).await.unwrap(), 1);
    assert!(world.stored().is_empty());
    // The next one begins when the lease ends; the first, if it was only slow, comes too late.
    world.clock.advance_us(1_000_000);
    let second = take().await.unwrap().remove(0);
    assert_eq!(second.attempt, 2);
    let late = Fetched::Failed { reason: "late".into() };
    let links = world.files.links().clone();
    assert!(!world.db.write(move |tx| attachments::fetched(tx, data, &links, &first, &late)).await.unwrap());
    assert!(world.updates().await.is_empty());
    world.clock.advance_us(1_000_000);
    assert_eq!(world.fetch.step().await.unwrap(), None);
    assert_eq!(world.message(&message).await.attachments[0].state, State::Stored);
    assert_eq!((world.stored().len(), world.updates().await.len()), (1, 1));
}

#[tokio::test]
async fn an_upload_that_no_message_takes_is_removed_after_a_day() {
    let world = World::new().await;
    let taken = world.upload().await;
    let left = world.upload().await;
    let tenant = world.tenant;
    let broken = CreateUpload { name: "b".into(), content_type: "text/plain".into() };
    world.db.write(move |tx| attachments::reserve(tx, tenant, &broken)).await.unwrap();
    let opened = world.open(vec![NewAttachment::Uploaded(taken)]).await.unwrap();
    world.clock.advance_us(KEPT_UNCLAIMED_US);
    world.fetch.sweep().await.unwrap();
    assert_eq!((world.rows().await, world.stored().len()), (3, 2), "a day is not over");
    assert!(world.open(vec![NewAttachment::Uploaded(left)]).await.is_err(), "but it is too late to take it");
    world.clock.advance_us(1);
    // A sweep that breaks off after its first step is taken up by the next.
    let before = world.clock.now() - KEPT_UNCLAIMED_US;
    let found = world.db.write(move |tx| attachments::unclaimed(tx, before, 1)).await.unwrap();
    assert_eq!(found, [(tenant, left)], "the oldest first");
    world.fetch.sweep().await.unwrap();
    assert_eq!((world.rows().await, world.stored().len()), (1, 1));
    let kept = world.message(opened.message.as_ref().unwrap()).await;
    assert_eq!((kept.attachments[0].id, kept.attachments[0].state), (taken, State::Stored));
    world.fetch.sweep().await.unwrap();
}

#[tokio::test]
async fn nothing_is_fetched_while_sending_is_paused() {
    let world = World::new().await;
    let server = Server::start(reply("200 OK", PNG), false).await;
    let message = world.name(&server.url).await;
    let pause = |paused| world.db.write(move |tx| installation::pause_sending(tx, paused));
    pause(true).await.unwrap();
    assert_eq!(world.fetch.step().await.unwrap(), None);
    assert_eq!(world.message(&message).await.attachments[0].state, State::Pending);
    pause(false).await.unwrap();
    world.fetch.step().await.unwrap();
    assert_eq!(world.message(&message).await.attachments[0].state, State::Stored);
}

#[tokio::test]
async fn the_loop_hears_of_a_new_file_and_ends_when_told() {
    let world = World::new().await;
    let server = Server::start(reply("200 OK", PNG), false).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut events = world.db.watch(tieline_core::events::EVENTS);
    let World { db, clock, tenant, files, folder, database, .. } = world;
    let running = tokio::spawn(world.fetch.run(stopped));
    let policy = EgressPolicy::parse("127.0.0.1", true).unwrap();
    let guard = Guard::new(policy, Resolver::Fixed(Arc::new(|_| Answer::Silence)));
    let idle = FetchLoop::new(db.clone(), Client::new(guard.clone(), &[]).unwrap(), guard, files.clone(), data);
    let world = World { db, clock, tenant, files, fetch: idle, folder, database };
    let message = world.name(&server.url).await;
    while world.message(&message).await.attachments[0].state != State::Stored {
        events.changed().await.unwrap();
    }
    stop.send(true).unwrap();
    running.await.unwrap();
}
