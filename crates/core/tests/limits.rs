//! Limits over several nodes of one database, by a virtual clock: who is let in, what is published, what a crash forgets.

use std::sync::Arc;
use tieline_core::ids::TenantId;
use tieline_core::limits::{self, Known, Limits, Meter, Meters, PUBLISH_EVERY_US, Refusal, Who};
use tieline_core::{Error, MIGRATIONS};
use tieline_db::{Config, Db};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;
use tieline_testkit::sim::{Rng, seeds};
use uuid::Uuid;

const WHO: Who = Who { tenant: TenantId(1), principal: Uuid::from_u128(7) };
const SECOND_US: i64 = 1_000_000;

struct Node {
    meters: Meters,
    meter: Arc<Meter>,
}

impl Node {
    /// A node that starts, and knows what the database knows.
    async fn start(db: &Db, number: u128) -> Node {
        let meters = Meters::new(Uuid::from_u128(number));
        let node = meters.node();
        let known: Known = read(db, move |read| limits::known(read, WHO, node)).await;
        let meter = meters.put(WHO, &known, db.now());
        Node { meters, meter }
    }
    async fn publish(&self, db: &Db) {
        let Some(batch) = self.meters.batch(db.now()).map(Arc::new) else { return };
        let sent = batch.clone();
        let published: Result<_, Error> = db.write(move |tx| limits::publish(tx, &sent)).await;
        self.meters.settle(&batch, &published.expect("publishes"), db.now());
    }
    fn admit(&self, limits: &Limits, now: i64) -> Option<Refusal> {
        self.meter.admit(limits, now).1
    }
}

async fn read<T: Send + 'static>(
    db: &Db,
    work: impl FnOnce(&mut tieline_db::Read) -> Result<T, Error> + Send + 'static,
) -> T {
    db.read(work).await.expect("reads")
}

fn minute(per_minute: i64) -> Limits {
    Limits { per_minute, burst: 0, per_day: None, per_month: None }
}

fn trailing(times: &[i64], now: i64, span: i64) -> i64 {
    times.iter().filter(|at| **at > now - span && **at <= now).count() as i64
}

/// What one key sends to nodes that publish as they do: the excess stays within what is promised, and nobody is refused
/// while there is room by more than the slowness of publishing.
async fn several_nodes(db: &Db, clock: &VirtualClock, count: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut nodes = Vec::new();
    for number in 0..count {
        nodes.push(Node::start(db, u128::from(seed) * 100 + number as u128 + 1).await);
    }
    let limits = minute(rng.between(5, 60));
    let mut next: Vec<i64> = nodes.iter().map(|_| clock.now() + rng.between(0, PUBLISH_EVERY_US)).collect();
    let (mut sent, mut admitted): (Vec<Vec<i64>>, Vec<i64>) = (vec![Vec::new(); count], Vec::new());
    let end = clock.now() + 150 * SECOND_US;
    while clock.now() < end {
        // Bursts, pauses, and all to one node for a while.
        let pause = match rng.below(20) {
            0 => rng.between(0, 20 * SECOND_US),
            1..8 => rng.between(0, 600_000),
            _ => rng.between(0, 5_000),
        };
        let then = clock.now() + pause;
        while let Some(due) = next.iter().copied().min().filter(|due| *due <= then) {
            let index = next.iter().position(|at| *at == due).expect("one of them");
            clock.advance_us(due - clock.now());
            nodes[index].publish(db).await;
            next[index] = due + PUBLISH_EVERY_US;
        }
        clock.advance_us(then - clock.now());
        let index = rng.below(count);
        for _ in 0..=rng.below(4) {
            let now = clock.now();
            sent[index].push(now);
            let refusal = nodes[index].admit(&limits, now);
            if refusal.is_none() {
                admitted.push(now);
                let most = sent.iter().map(|sent| most_in_a_second(sent)).max().unwrap_or(0);
                let bound = limits.per_minute + (count as i64 - 1) * most;
                let have = trailing(&admitted, now, 60 * SECOND_US);
                assert!(have <= bound, "seed {seed}: {have} in a minute, more than {bound}");
            } else {
                let have = trailing(&admitted, now, 61 * SECOND_US + PUBLISH_EVERY_US);
                assert!(have >= limits.per_minute, "seed {seed}: refused with {have} of {}", limits.per_minute);
            }
        }
    }
    for node in &nodes {
        node.publish(db).await;
    }
    let known = Node::start(db, 99).await.meter.standing(&limits, clock.now());
    assert_eq!(known.month.used, admitted.len() as i64, "seed {seed}: every request is counted once");
}

fn most_in_a_second(times: &[i64]) -> i64 {
    let ends = times.iter().rev().take(50);
    ends.map(|end| trailing(times, *end, SECOND_US)).max().unwrap_or(0)
}

async fn scenario(open: impl Fn(&VirtualClock) -> Db) {
    for seed in seeds(1, 4) {
        let clock = VirtualClock::new();
        let db = open(&clock);
        several_nodes(&db, &clock, 2 + seed as usize % 2, seed).await;
        db.close();
    }
    let clock = VirtualClock::new();
    let db = open(&clock);
    what_a_crash_forgets(&db, &clock).await;
    a_batch_counts_once(&db, &clock).await;
    old_rows_go(&db, &clock).await;
    requests_are_kept_and_go(&db, &clock).await;
    db.close();
}

async fn what_a_crash_forgets(db: &Db, clock: &VirtualClock) {
    let limits = Limits { per_minute: 100, burst: 0, per_day: Some(1_000), per_month: Some(500) };
    let node = Node::start(db, 1).await;
    // One request every 100 ms, published every 400 ms; then the process dies.
    for n in 1..=75 {
        clock.advance_us(100_000);
        assert_eq!(node.admit(&limits, clock.now()), None);
        if n % 4 == 0 {
            node.publish(db).await;
        }
    }
    let before = node.meter.standing(&limits, clock.now());
    drop(node);
    let again = Node::start(db, 2).await;
    let after = again.meter.standing(&limits, clock.now());
    for (before, after) in [(before.minute, after.minute), (before.day, after.day), (before.month, after.month)] {
        assert_eq!(before.used, 75);
        assert!((65..=75).contains(&after.used), "{} of 75 are remembered: a second has ten", after.used);
    }
    // What was admitted before the crash counts for the minute after it.
    let left = 100 - after.minute.used;
    assert_eq!((0..100).filter(|_| again.admit(&limits, clock.now()).is_none()).count() as i64, left);
    clock.advance_us(62 * SECOND_US);
    assert_eq!(again.admit(&limits, clock.now()), None);
    again.publish(db).await;
}

async fn a_batch_counts_once(db: &Db, clock: &VirtualClock) {
    let node = Node::start(db, 3).await;
    let used =
        async |clock: &VirtualClock| Node::start(db, 4).await.meter.standing(&minute(100), clock.now()).month.used;
    let before = used(clock).await;
    node.admit(&minute(100), clock.now());
    let batch = Arc::new(node.meters.batch(clock.now()).expect("news"));
    for _ in 0..3 {
        let sent = batch.clone();
        // As when the answer of a commit is lost and it is sent again.
        let published: Result<_, Error> = db.write(move |tx| limits::publish(tx, &sent)).await;
        published.expect("publishes");
    }
    assert_eq!(used(clock).await, before + 1);
    let sent = batch.clone();
    let published: Result<_, Error> = db.write(move |tx| limits::publish(tx, &sent)).await;
    node.meters.settle(&batch, &published.expect("publishes"), clock.now());
    assert_eq!(node.meter.standing(&minute(100), clock.now()).month.used, before + 1);
    assert!(node.meters.batch(clock.now()).is_none(), "nothing is left to say");
    // A month that ends before it is published still gets what was counted in it.
    node.admit(&minute(100), clock.now());
    let ends_at = node.meter.standing(&minute(100), clock.now()).month.resets_at;
    clock.advance_us(ends_at - clock.now());
    assert_eq!(node.meter.standing(&minute(100), clock.now()).month.used, 0);
    node.publish(db).await;
    clock.advance_us(-1);
    assert_eq!(used(clock).await, before + 2);
    clock.advance_us(1);
}

async fn old_rows_go(db: &Db, clock: &VirtualClock) {
    let prune = || async { db.write(|tx| limits::prune(tx, 100)).await.expect("prunes") };
    clock.advance_us(2 * 24 * 3600 * SECOND_US);
    let node = Node::start(db, 5).await;
    node.admit(&minute(1), clock.now());
    node.publish(db).await;
    assert!(prune().await > 0, "windows and nodes of the past");
    assert_eq!(Node::start(db, 6).await.meter.standing(&minute(1), clock.now()).minute.used, 1, "the present stays");
    assert_eq!(prune().await, 0);
    clock.advance_us(500 * 24 * 3600 * SECOND_US);
    assert!(prune().await > 0, "counts of the past");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let number = std::cell::Cell::new(0);
    scenario(|clock| {
        number.set(number.get() + 1);
        let mut config = Config::sqlite(folder.path().join(format!("{}.db", number.get())), MIGRATIONS);
        config.clock = Arc::new(clock.clone());
        Db::open(config).expect("opens")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_postgresql() {
    let databases = std::cell::RefCell::new(Vec::new());
    scenario(|clock| {
        let database = postgres::Database::create();
        let mut config = Config::postgres(&database.url, MIGRATIONS);
        config.clock = Arc::new(clock.clone());
        databases.borrow_mut().push(database);
        Db::open(config).expect("opens")
    })
    .await;
}

/// Rows of the request log, in and out, and their end.
async fn requests_are_kept_and_go(db: &Db, clock: &VirtualClock) {
    use tieline_core::requests::{self, Entry, Filter};
    let mut ids = tieline_db::Ids::seeded(1);
    let mut entry = |at: i64, body: Option<&str>| Entry {
        tenant: TenantId(1),
        id: ids.next(at),
        principal: "key_1".into(),
        method: "GET".into(),
        route: "/v1/tags".into(),
        path: "/v1/tags".into(),
        status: 200,
        duration_us: 250,
        request_id: "req_1".into(),
        address: Some("198.51.100.1".into()),
        request_body: body.map(Into::into),
        response_body: None,
        at,
    };
    let entries = vec![entry(clock.now(), Some("{}")), entry(clock.now() + 5 * SECOND_US, None)];
    let (sent, wanted) = (entries.clone(), entries[0].clone());
    let written: Result<(), Error> = db.write(move |tx| requests::append(tx, &sent)).await;
    written.expect("writes");
    let all = |filter: Filter| read(db, move |read| requests::list(read, TenantId(1), &filter, None, 10));
    let newest_first: Vec<Entry> = entries.iter().rev().cloned().collect();
    assert_eq!(all(Filter::default()).await, (newest_first, None));
    let by_key = Filter { principal: Some("key_1".into()), until: Some(entries[1].at), ..Filter::default() };
    assert_eq!(all(by_key).await, (vec![wanted], None));
    let other = read(db, |read| requests::list(read, TenantId(2), &Filter::default(), None, 10)).await;
    assert_eq!(other, (vec![], None), "another tenant's");
    let before = entries[1].at;
    assert!(read(db, move |read| requests::has_old(read, TenantId(1), before)).await);
    let pruned: Result<u64, Error> = db.write(move |tx| requests::prune(tx, TenantId(1), before, 10)).await;
    assert_eq!(pruned.expect("prunes"), 1);
    assert_eq!(all(Filter::default()).await.0, entries[1..]);
}
