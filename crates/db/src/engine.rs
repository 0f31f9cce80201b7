//! The handle: bounded queues in front of the driver's threads, and the wake-ups behind them.

use crate::fault::{Plan, Point};
use crate::health::Health;
use crate::job::{Answer, Closure, Job, Queued, SetEntry};
use crate::{Clock, Error, Ids, Migration, Read, Result, SetVerb, SystemClock, Tx, postgres, sqlite};
use crossbeam_channel::{Sender, TrySendError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Something that committed transactions can announce; at most [`Topic::COUNT`] of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic(pub u8);

impl Topic {
    /// How many topics there are.
    pub const COUNT: usize = 8;
}

/// Bounds of the engine's queues and groups.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Writes waiting; one more is refused.
    pub write_queue: usize,
    /// Reads waiting; one more is refused.
    pub read_queue: usize,
    /// How long a write may wait; behind a database that has stood still for longer it is refused and not run.
    pub queued_for: Duration,
    /// Jobs in one transaction.
    pub group: usize,
    /// Writer connections on PostgreSQL; SQLite has one, whatever stands here.
    pub writers: usize,
    /// How many of them take sets; the others are for single changes. A set has a price of its own whatever it holds, so
    /// few large ones cost less than many small ones.
    pub set_writers: usize,
    /// Reader threads, each with a connection.
    pub readers: usize,
}

impl Limits {
    /// For SQLite: large groups, because a commit costs a flush and there is one writer.
    pub const SQLITE: Limits = Limits {
        write_queue: 4096,
        read_queue: 4096,
        queued_for: Duration::from_secs(10),
        group: 256,
        writers: 1,
        set_writers: 1,
        readers: 4,
    };
    /// For PostgreSQL: groups that keep few locks for long, over few connections (more only add contention: measured).
    pub const POSTGRES: Limits = Limits { group: 64, writers: 4, set_writers: 2, ..Limits::SQLITE };
}

/// Where the data is.
#[derive(Clone)]
pub enum Target {
    /// A SQLite file; its folder must exist.
    Sqlite(PathBuf),
    /// A `postgres://` URL, with a password perhaps: not for logs.
    Postgres(String),
}

/// How to open a database.
pub struct Config {
    /// Where the data is.
    pub target: Target,
    /// Schema to bring it to.
    pub migrations: &'static [Migration],
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
    /// Fixed ids for tests; from the operating system otherwise.
    pub seed: Option<u64>,
    /// Bounds.
    pub limits: Limits,
    /// Faults on purpose, for tests.
    pub faults: Option<Arc<dyn Plan>>,
    /// For a node that serves, on PostgreSQL: every connection that it will need is opened at the start, and a server that is
    /// not there yet is waited for, half a minute at most.
    pub is_node: bool,
}

impl Config {
    /// The ordinary configuration of a SQLite file.
    pub fn sqlite(path: impl Into<PathBuf>, migrations: &'static [Migration]) -> Config {
        Config::new(Target::Sqlite(path.into()), migrations, Limits::SQLITE)
    }

    /// The ordinary configuration of a PostgreSQL database: libpq's URL, several hosts allowed, the primary is looked for.
    ///
    /// Parameters as libpq has them, with these differences: `sslmode=require` checks the certificate's chain and name, as
    /// `verify-full` does; `prefer` and `allow` protect from nothing and mean no TLS here; without `sslrootcert` the
    /// machine's own certificates are trusted; several hosts are asked at once, and `connect_timeout` (5 seconds without it)
    /// bounds each from the call to the first answer; whatever `target_session_attrs` says, one that takes no writes is not
    /// used. What is not understood is refused by [`Db::open`], not ignored.
    pub fn postgres(url: impl Into<String>, migrations: &'static [Migration]) -> Config {
        Config::new(Target::Postgres(url.into()), migrations, Limits::POSTGRES)
    }

    /// The ordinary configuration of either.
    pub fn of(target: Target, migrations: &'static [Migration]) -> Config {
        match target {
            Target::Sqlite(path) => Config::sqlite(path, migrations),
            Target::Postgres(url) => Config::postgres(url, migrations),
        }
    }

    fn new(target: Target, migrations: &'static [Migration], limits: Limits) -> Config {
        Config { target, migrations, clock: Arc::new(SystemClock), seed: None, limits, faults: None, is_node: false }
    }
}

/// Counters of the engine since it was opened.
#[derive(Default)]
pub struct Stats {
    groups: AtomicU64,
    jobs: AtomicU64,
    largest: AtomicU64,
    refused: AtomicU64,
}

impl Stats {
    pub(crate) fn record_group(&self, jobs: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.jobs.fetch_add(jobs as u64, Ordering::Relaxed);
        self.largest.fetch_max(jobs as u64, Ordering::Relaxed);
    }
    /// Transactions committed.
    pub fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }
    /// Jobs in them.
    pub fn jobs(&self) -> u64 {
        self.jobs.load(Ordering::Relaxed)
    }
    /// Jobs of the largest group.
    pub fn largest_group(&self) -> u64 {
        self.largest.load(Ordering::Relaxed)
    }
    /// Jobs refused because a queue was full.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// What the driver's threads share with the handle.
pub(crate) struct Shared {
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// Other processes may write to the same database.
    pub is_shared: bool,
    pub stats: Stats,
    pub health: Arc<Health>,
    faults: Option<Arc<dyn Plan>>,
    topics: [watch::Sender<u64>; Topic::COUNT],
    versions: [AtomicU64; Topic::COUNT],
    joined: Mutex<Option<(Topic, Arc<Join>)>>,
}

impl Shared {
    /// What joins a group in which these topics were signalled.
    pub(crate) fn joined(&self, topics: u32) -> Option<Arc<Join>> {
        let joined = self.joined.lock().expect("not poisoned");
        joined.as_ref().filter(|(topic, _)| topics & (1 << topic.0) != 0).map(|(_, work)| work.clone())
    }
    pub(crate) fn fault(&self, point: Point) -> Option<Error> {
        self.faults.as_ref().and_then(|plan| plan.at(point))
    }
    pub(crate) fn wake(&self, topics: u32) {
        for (index, topic) in self.topics.iter().enumerate() {
            if topics & (1 << index) != 0 {
                self.versions[index].fetch_add(1, Ordering::Release);
                topic.send_modify(|count| *count += 1);
            }
        }
    }
}

/// What is called once a group is durable, before any of its callers has an answer.
pub type AfterCommit = Box<dyn FnOnce() + Send>;

/// Work that joins groups; see [`Db::join`].
pub(crate) type Join = dyn Fn(&mut Tx) -> Result<AfterCommit> + Send + Sync;

/// Keeps work joined to groups: dropping it ends that.
pub struct Joined {
    shared: Arc<Shared>,
    work: Arc<Join>,
}

impl Drop for Joined {
    fn drop(&mut self) {
        let mut joined = self.shared.joined.lock().expect("not poisoned");
        if joined.as_ref().is_some_and(|(_, work)| Arc::ptr_eq(work, &self.work)) {
            *joined = None;
        }
    }
}

pub(crate) type ReadJob = Box<dyn FnOnce(Result<&mut Read<'_>>) + Send>;

/// A database. Cheap to clone; [`Db::close`] ends its threads after the work already queued.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    writes: Sender<Queued>,
    /// Of commands of set verbs: where several writers work, not all of them take these.
    sets: Sender<Queued>,
    writers: usize,
    reads: Mutex<Option<Sender<ReadJob>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Db {
    /// Opens the database, brings its schema up and starts the driver's threads.
    ///
    /// Errors: [`Error::Newer`] for a schema of a newer program, [`Error::Unavailable`] for a file that cannot be opened or
    /// written, [`Error::Damaged`] for one that is no whole database, [`Error::Away`] for a server that cannot be used,
    /// [`Error::Address`] for a URL that is not understood.
    pub fn open(config: Config) -> Result<Db> {
        let shared = Arc::new(Shared {
            clock: config.clock,
            limits: config.limits,
            is_shared: matches!(config.target, Target::Postgres(_)),
            stats: Stats::default(),
            health: Arc::default(),
            faults: config.faults,
            topics: std::array::from_fn(|_| watch::channel(0).0),
            versions: Default::default(),
            joined: Mutex::default(),
        });
        let (writes, queue) = crossbeam_channel::bounded(config.limits.write_queue);
        let (mut sets, set_queue) = crossbeam_channel::bounded(config.limits.write_queue);
        let (reads, read_queue) = crossbeam_channel::bounded::<ReadJob>(config.limits.read_queue);
        let mut threads = Vec::new();
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.into())
                .spawn(work)
                .map_err(|error| Error::Unavailable(format!("cannot start a thread: {error}")))
        };
        // Writers must not give the same ids, and each has a lane of its own.
        let seed = config.seed.unwrap_or_else(Ids::os_seed);
        let ids = |writer: u64| Ids::seeded(seed.wrapping_add(writer));
        let writers = match config.target {
            Target::Sqlite(path) => {
                let conn = sqlite::open(&path, config.migrations, shared.clock.now())?;
                for _ in 0..config.limits.readers {
                    let (path, queue, shared) = (path.clone(), read_queue.clone(), shared.clone());
                    threads.push(spawn("db-read", Box::new(move || sqlite::read_loop(&path, &queue, &shared)))?);
                }
                let (shared, ids) = (shared.clone(), ids(0));
                sets = writes.clone();
                threads.push(spawn("db-write", Box::new(move || sqlite::write_loop(conn, &path, queue, shared, ids)))?);
                1
            }
            Target::Postgres(url) => {
                let opened = postgres::open(&url, config.migrations, &shared, config.is_node)?;
                for session in opened.readers {
                    let (queue, shared) = (read_queue.clone(), shared.clone());
                    threads.push(spawn("db-read", Box::new(move || postgres::read_loop(session, &queue, &shared)))?);
                }
                let writers = opened.writers.len();
                for (index, session) in opened.writers.into_iter().enumerate() {
                    let (queue, shared, ids) = (queue.clone(), shared.clone(), ids(index as u64));
                    let sets = (index < config.limits.set_writers.max(1)).then(|| set_queue.clone());
                    let work = move || postgres::write_loop(session, &queue, sets.as_ref(), &shared, ids);
                    threads.push(spawn("db-write", Box::new(work))?);
                }
                writers
            }
        };
        let reads = Mutex::new(Some(reads));
        let inner = Inner { shared, writes, sets, writers, reads, threads: Mutex::new(threads) };
        Ok(Db { inner: Arc::new(inner) })
    }

    /// Runs `work` in a transaction, together with what else is queued, and answers after the commit.
    ///
    /// `work` may run more than once; an `Err` undoes its changes. Errors of the engine arrive through `E::from`.
    pub async fn write<T, E>(&self, work: impl Fn(&mut Tx) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.enqueue(&self.inner.writes, Job::One(Box::new(Closure { work, result: None, reply })))?;
        answer.await.unwrap_or_else(|_| Err(gone().into()))
    }

    /// Runs one command of a set verb, together with the others queued, and answers after the commit.
    pub async fn submit<V: SetVerb>(&self, command: V::Command) -> Answer<V> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(&self.inner.sets, Job::Set(SetEntry::new::<V>(command, reply)))?;
        answer.await.unwrap_or_else(|_| Err(gone().into()))
    }

    /// Runs `work` in one read snapshot that sees every write acknowledged before.
    pub async fn read<T, E>(&self, work: impl FnOnce(&mut Read) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |read| {
            let result = match read {
                Ok(read) => catch_unwind(AssertUnwindSafe(|| work(read)))
                    .unwrap_or_else(|_| Err(Error::Panicked("in a read".into()).into())),
                Err(error) => Err(error.into()),
            };
            let _ = reply.send(result);
        });
        let sent = match &*self.inner.reads.lock().expect("not poisoned") {
            Some(reads) => reads.try_send(job).map_err(|error| self.refused(error, "read")),
            None => Err(gone()),
        };
        sent?;
        answer.await.unwrap_or_else(|_| Err(gone().into()))
    }

    fn enqueue(&self, queue: &Sender<Queued>, job: Job) -> Result<()> {
        queue.try_send((Instant::now(), job)).map_err(|error| self.refused(error, "write"))
    }

    fn refused<T>(&self, error: TrySendError<T>, queue: &'static str) -> Error {
        match error {
            TrySendError::Full(_) => {
                self.inner.shared.stats.refused.fetch_add(1, Ordering::Relaxed);
                Error::Busy(queue)
            }
            TrySendError::Disconnected(_) => gone(),
        }
    }

    /// Lets `work` join every group in which a job signals `topic`: it runs after the jobs in their transaction, so that what
    /// it writes costs no commit of its own. What it answers is called once the group is durable. When it fails or panics, its
    /// changes alone are undone and the group goes on without them.
    ///
    /// One piece of work at a time: a later one takes the place of an earlier. None where the engine has several writers
    /// (PostgreSQL): there no group knows what the others commit before it.
    pub fn join(
        &self,
        topic: Topic,
        work: impl Fn(&mut Tx) -> Result<AfterCommit> + Send + Sync + 'static,
    ) -> Option<Joined> {
        let shared = self.inner.shared.clone();
        if shared.is_shared {
            return None;
        }
        let work: Arc<Join> = Arc::new(work);
        *shared.joined.lock().expect("not poisoned") = Some((topic, work.clone()));
        Some(Joined { shared, work })
    }

    /// Whether other processes may write to it: on PostgreSQL. Then what memory knows of it may be old, and a row that is to
    /// be changed must be locked first.
    pub fn is_shared(&self) -> bool {
        self.inner.shared.is_shared
    }

    /// What keeps the database from being used now, as far as its connections know: [`Error::Away`] while one of them cannot
    /// be opened, [`Error::Damaged`] for good. It costs nothing to ask.
    pub fn trouble(&self) -> Option<Error> {
        self.inner.shared.health.trouble()
    }

    /// Tells those who wait for `topic` on this node, as a commit of this node does.
    pub fn wake(&self, topic: Topic) {
        self.inner.shared.wake(1 << topic.0);
    }

    /// A receiver that changes after every commit that signalled `topic`.
    pub fn watch(&self, topic: Topic) -> watch::Receiver<u64> {
        self.inner.shared.topics[topic.0 as usize].subscribe()
    }

    /// How many commits have signalled `topic`: a cache of what the topic stands for is stale when this has moved.
    pub fn version(&self, topic: Topic) -> u64 {
        self.inner.shared.versions[topic.0 as usize].load(Ordering::Acquire)
    }

    /// Microseconds since the Unix epoch by the configured clock.
    pub fn now(&self) -> i64 {
        self.inner.shared.clock.now()
    }

    /// Counters since the start.
    pub fn stats(&self) -> &Stats {
        &self.inner.shared.stats
    }

    /// Writes waiting now.
    pub fn write_queue(&self) -> usize {
        let sets = if self.is_shared() { self.inner.sets.len() } else { 0 };
        self.inner.writes.len() + sets
    }

    /// Reads waiting now.
    pub fn read_queue(&self) -> usize {
        self.inner.reads.lock().expect("not poisoned").as_ref().map_or(0, Sender::len)
    }

    /// Finishes what is queued and ends the threads; later calls answer [`Error::Unavailable`]. Blocks.
    pub fn close(&self) {
        for _ in 0..self.inner.writers {
            let _ = self.inner.writes.send((Instant::now(), Job::Stop)); // fails when they have ended already
        }
        self.inner.reads.lock().expect("not poisoned").take();
        let threads: Vec<_> = self.inner.threads.lock().expect("not poisoned").drain(..).collect();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn gone() -> Error {
    Error::Unavailable("the database is closed".into())
}
