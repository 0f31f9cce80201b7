//! The PostgreSQL driver: a few writer and reader threads, each with a connection of its own on which it blocks.
//!
//! Why threads: a verb is synchronous, so it must not run on a worker of the HTTP server's runtime; and a thread that
//! drives its own connection wakes nobody else for an answer.
//!
//! A writer takes what is queued and runs each unit (a closure, or a set of commands) in **a transaction of its own**: a
//! unit locks rows in an order of its own, and two transactions of several units would lock each other's in the other order
//! and wait for the server's deadlock detection, a second. Sets are what makes the hot verbs cheap, the larger the cheaper:
//! so only some of the writers take them ([`crate::Limits::set_writers`]), and what comes meanwhile goes into the next. A
//! closure is taken by whichever writer has nothing to do.
//! - A unit that refuses or fails undoes its transaction.
//! - A unit is tried [`ATTEMPTS`] times as long as a serialization failure, a deadlock, a lost connection or a
//!   violated constraint was the reason: it may have lost a race, sees the winner's row now, and may lose the next one too.
//! - A connection lost *during* the commit is [`Error::Unavailable`]: the server may have committed, running again could do
//!   the work twice.
//!
//! Reads get one snapshot (`repeatable read read only`). How long anything may take is said in [`session`].

mod address;
mod flight;
mod plans;
mod session;
pub(crate) mod types;

use crate::engine::{ReadJob, Shared};
use crate::fault::Point;
use crate::health::Health;
use crate::job::{Queued, Ran, Unit, plan, take};
use crate::migrate::{self, Migration};
use crate::tx::Conn;
use crate::{Error, Ids, Limits, Read, Result, Tx};
use address::Address;
use crossbeam_channel::{Receiver, RecvTimeoutError, select};
pub(crate) use flight::Given;
use flight::Uncommitted;
pub(crate) use session::Session;
use session::{APPLICATION, AWAY_FOR, POOLER, Role, WRITE};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a unit runs alone before its caller is told to come back.
const ATTEMPTS: u32 = 5;
/// How long the units of one run are worked on; the rest is told to come back.
const ALONE_FOR: Duration = Duration::from_secs(10);
/// The advisory lock under which the schema changes ("tieline").
const MIGRATIONS_LOCK: i64 = 0x74_69_65_6c_69_6e_65;

/// How long a node that starts waits for a server that is not there yet.
const NODE_WAITS: Duration = Duration::from_secs(30);

/// What [`open`] gives to the engine.
pub(crate) struct Opened {
    pub writers: Vec<Session>,
    pub readers: Vec<Session>,
}

/// An address to connect to, and how it does.
#[derive(Clone)]
pub(crate) struct Server {
    address: Arc<Address>,
    pub health: Arc<Health>,
}

impl Server {
    fn new(url: &str, health: Arc<Health>) -> Result<Server> {
        Ok(Server { address: Arc::new(address::parse(url)?), health })
    }
}

/// Connects, looks that the server can be used, and brings the schema up. The caller may be inside a runtime, in which ours
/// must not block: so a thread of its own does it.
///
/// For a node that serves every connection that it will need is opened, and a server that is not there yet is waited for
/// ([`NODE_WAITS`]).
pub(crate) fn open(url: &str, migrations: &[Migration], shared: &Shared, is_node: bool) -> Result<Opened> {
    let server = Server::new(url, shared.health.clone())?;
    let now = shared.clock.now();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            if !is_node {
                return sessions_of(&server, &shared.limits, migrations, now, None);
            }
            let (until, mut is_said) = (Instant::now() + NODE_WAITS, false);
            loop {
                match sessions_of(&server, &shared.limits, migrations, now, Some(Duration::ZERO)) {
                    Err(Error::Away { why, passes: true }) if Instant::now() < until => {
                        if !std::mem::replace(&mut is_said, true) {
                            tracing::warn!("waiting for the database, for {} s at most: {why}", NODE_WAITS.as_secs());
                        }
                        std::thread::sleep(AWAY_FOR);
                    }
                    Err(Error::Away { why, passes: true }) => {
                        return Err(Error::away(format!("{why}; it was tried for {} s", NODE_WAITS.as_secs())));
                    }
                    done => return done,
                }
            }
        });
        opening.join().unwrap_or_else(|_| Err(Error::Unavailable("opening the database panicked".into())))
    })
    .inspect(|_| shared.health.opened())
}

/// One try; with `patience` for each connection where all of them are to be opened.
fn sessions_of(
    server: &Server,
    limits: &Limits,
    migrations: &[Migration],
    now: i64,
    patience: Option<Duration>,
) -> Result<Opened> {
    let some =
        |role, count: usize| (0..count.max(1)).map(|_| Session::new(server.clone(), role)).collect::<Result<_>>();
    let (mut writers, mut readers): (Vec<Session>, Vec<Session>) =
        (some(Role::Write, limits.writers)?, some(Role::Read, limits.readers)?);
    if let Some(patience) = patience {
        let (mut got, needed) = (0, 2 * writers.len() + readers.len());
        for session in &mut writers {
            session.connect_both(patience).map_err(|(error, opened)| fewer(error, got + opened, needed))?;
            got += 2;
        }
        for session in &mut readers {
            session.connect(patience).map_err(|error| fewer(error, got, needed))?;
            got += 1;
        }
    }
    refuse_shared(&mut writers[0])?;
    migrate(&mut writers[0], migrations, now)?;
    Ok(Opened { writers, readers })
}

/// Says of a server that takes some connections, but not all, how many are needed.
fn fewer(error: Error, got: usize, needed: usize) -> Error {
    match error {
        Error::Away { why, passes: true } if got > 0 => {
            Error::away(format!("this node got {got} of the {needed} connections that it needs: {why}"))
        }
        error => error,
    }
}

/// The version of the schema, without changing it; 0 where there is none.
pub(crate) fn schema_version(url: &str) -> Result<i64> {
    look(url, |session| {
        if session.simple("select to_regclass('schema_version')")?.is_none() {
            return Ok(0);
        }
        let version = session.simple(migrate::CURRENT)?;
        Ok(version.and_then(|version| version.parse().ok()).unwrap_or(0))
    })
}

/// Reads what is there, once it is sure that no pooler mixes its clients up.
pub(crate) fn peek<T, E>(url: &str, work: impl FnOnce(&mut Read) -> Result<T, E> + Send) -> Result<T, E>
where
    T: Send,
    E: From<Error> + Send,
{
    look(url, |session| {
        refuse_shared(session)?;
        session.begin(Role::Read)?;
        let done = work(&mut Read::new(Conn::Postgres(session), 0));
        session.rollback();
        Ok(done)
    })?
}

/// How many other connections of this program the database has.
pub(crate) fn sessions(url: &str) -> Result<u64> {
    let others = format!(
        "select count(*) from pg_stat_activity where datname = current_database() \
         and application_name like '{APPLICATION}%' and pid <> pg_backend_pid()"
    );
    look(url, |session| Ok(session.simple(&others)?.and_then(|count| count.parse().ok()).unwrap_or(0)))
}

/// Asks something over a connection of its own.
fn look<T: Send>(url: &str, ask: impl FnOnce(&mut Session) -> Result<T> + Send) -> Result<T> {
    let server = Server::new(url, Arc::default())?;
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut session = Session::new(server, Role::Read)?;
            session.ensure()?;
            ask(&mut session)
        });
        looking.join().unwrap_or_else(|_| Err(Error::Unavailable("looking at the database panicked".into())))
    })
}

/// Refuses a pooler in transaction mode, which would mix up the prepared statements of its clients: behind one, two sessions
/// are served by one process, or, while the second is in a transaction, the first by another than before.
fn refuse_shared(first: &mut Session) -> Result<()> {
    const PROCESS: &str = "select pg_backend_pid()";
    first.ensure()?;
    let mut second = first.beside()?;
    let before = first.simple(PROCESS)?;
    second.simple("begin")?;
    let other = second.simple(PROCESS)?;
    let after = first.simple(PROCESS)?;
    second.simple("rollback")?;
    first.beside = Some(second);
    if before == other || after != before {
        return Err(Error::Unavailable(POOLER.into()));
    }
    Ok(())
}

/// Each step in a transaction of its own under one lock, so that nodes may start together.
fn migrate(session: &mut Session, migrations: &[Migration], now: i64) -> Result<()> {
    // That a table is there already is no news.
    let lock = format!(
        "{WRITE}; set local statement_timeout = 0; set local client_min_messages = warning; \
         select pg_advisory_xact_lock({MIGRATIONS_LOCK})"
    );
    loop {
        session.patient(&lock)?;
        let applied = step(session, migrations, now);
        if applied.is_err() {
            session.patient("rollback")?;
        }
        let applied = applied?;
        if !applied {
            session.patient(plans::TEACH)?;
        }
        session.patient("commit")?;
        if !applied {
            return Ok(());
        }
    }
}

/// Applies the next step, if there is one.
fn step(session: &mut Session, migrations: &[Migration], now: i64) -> Result<bool> {
    session.patient(migrate::TABLE)?;
    let (mut found, known) = (0, migrate::newest(migrations));
    session.run(Given::Row(migrate::CURRENT, &[]), &mut |row| {
        found = row.get(0)?;
        Ok(())
    })?;
    if found > known {
        return Err(Error::Newer { found, known });
    }
    let next = migrations.iter().filter(|step| step.version > found).min_by_key(|step| step.version);
    let Some(next) = next else { return Ok(false) };
    session
        .patient(&migrate::for_postgres(next.sql))
        .map_err(|error| Error::Sql(format!("migration {} ({}): {error}", next.version, next.name)))?;
    let record = [next.version.into(), next.name.into(), now.into()];
    session.run(Given::Row(migrate::RECORD, &record), &mut |_| Ok(()))?;
    Ok(true)
}

/// A writer's loop; ends at [`Job::Stop`] or when every sender is gone. One that is given no `sets` takes closures only.
pub(crate) fn write_loop(
    mut session: Session,
    closures: &Receiver<Queued>,
    sets: Option<&Receiver<Queued>>,
    shared: &Shared,
    mut ids: Ids,
) {
    let never = crossbeam_channel::never();
    let sets = sets.unwrap_or(&never);
    loop {
        let (first, queue) = select! {
            recv(closures) -> first => (first, closures),
            recv(sets) -> first => (first, sets),
            default(look_after(&session)) => {
                session.look();
                continue;
            }
        };
        let Ok(first) = first else { return };
        // A closure is a transaction: the next one is for a writer that has nothing to do.
        let (jobs, stopping) = take(first, queue, &shared.limits, 1);
        group(&mut session, plan(jobs), shared, &mut ids);
        if stopping {
            break;
        }
    }
    while let Ok(first) = sets.try_recv() {
        group(&mut session, plan(take(first, sets, &shared.limits, 1).0), shared, &mut ids);
    }
}

/// How long a thread without work waits until it looks after its connection.
fn look_after(session: &Session) -> Duration {
    if session.is_away() { AWAY_FOR } else { Duration::MAX }
}

/// What became of a transaction.
enum Attempt {
    /// Committed, and answered.
    Committed,
    /// Nothing of it happened.
    Undone(Vec<Unit>, Cause),
}

/// Why nothing of a transaction happened.
enum Cause {
    /// Not for a reason of the units, or nobody knows whether it happened: every caller gets this.
    Refused(Error),
    /// The connection went before the commit.
    Lost(Error),
    /// A unit refused after it had written.
    Refusal,
    /// A statement, a unit or the commit failed; with true the unit has an answer of its own to it.
    Failed(Error, bool),
}

fn group(session: &mut Session, units: Vec<Unit>, shared: &Shared, ids: &mut Ids) {
    let until = Instant::now() + ALONE_FOR;
    let mut units = units.into_iter();
    while let Some(unit) = units.next() {
        alone(session, unit, shared, ids, until);
        let error = match &session.away {
            Some((_, error)) => error.clone(), // each would wait as long for the same
            None if Instant::now() < until => continue,
            None => Error::Unavailable("the database server takes too long".into()),
        };
        return settle(units.collect(), &error);
    }
}

/// Runs a unit in a transaction of its own until there is an answer, [`ATTEMPTS`] times at most, and once after `until`.
fn alone(session: &mut Session, mut unit: Unit, shared: &Shared, ids: &mut Ids, until: Instant) {
    for round in 1..=ATTEMPTS {
        let (mut units, cause) = match attempt(session, vec![unit], shared, ids) {
            Attempt::Committed => return,
            Attempt::Undone(units, cause) => (units, cause),
        };
        let Some(undone) = units.pop() else { return };
        unit = undone;
        match cause {
            Cause::Refused(error) => return unit.settle(Err(error)),
            Cause::Refusal => return unit.settle(Ok(())),
            Cause::Lost(_) | Cause::Failed(Error::Again(_) | Error::Constraint(_), _)
                if round < ATTEMPTS && Instant::now() < until => {}
            Cause::Failed(error, _) if unit.len() > 1 && !error.is_transient() => {
                return unit.split().into_iter().for_each(|part| alone(session, part, shared, ids, until));
            }
            Cause::Failed(_, true) => return unit.settle(Ok(())),
            Cause::Failed(error, false) | Cause::Lost(error) => return unit.settle(Err(error)),
        }
    }
}

fn settle(units: Vec<Unit>, error: &Error) {
    units.into_iter().for_each(|unit| unit.settle(Err(error.clone())));
}

/// Runs the units in one transaction; when it is committed, wakes its topics and answers every caller.
fn attempt(session: &mut Session, mut units: Vec<Unit>, shared: &Shared, ids: &mut Ids) -> Attempt {
    if units.is_empty() {
        return Attempt::Committed;
    }
    if let Some(error) = shared.fault(Point::Begin) {
        return Attempt::Undone(units, Cause::Refused(error));
    }
    if let Err(error) = session.begin(Role::Write) {
        return Attempt::Undone(units, Cause::Refused(error));
    }
    let now = shared.clock.now();
    let mut topics = 0;
    let mut results = Vec::with_capacity(units.len());
    for unit in &mut units {
        match run_unit(session, unit, now, ids, &mut topics) {
            Ok(result) => results.push(result),
            Err(cause) => {
                session.rollback();
                return Attempt::Undone(units, cause);
            }
        }
    }
    if let Some(error) = shared.fault(Point::BeforeCommit) {
        session.rollback();
        return Attempt::Undone(units, Cause::Refused(Error::Unavailable(error.to_string())));
    }
    if let Err(uncommitted) = session.commit() {
        let cause = match uncommitted {
            Uncommitted::Unknown(error) => {
                let text = format!("the connection went during the commit, which may have happened: {error}");
                Cause::Refused(Error::away(text))
            }
            Uncommitted::Undone(error) if session.is_lost() => Cause::Lost(error),
            Uncommitted::Undone(error) => Cause::Failed(error, false),
        };
        session.rollback();
        return Attempt::Undone(units, cause);
    }
    shared.stats.record_group(units.iter().map(Unit::len).sum());
    // Before the answers: who has one must not find an old version.
    shared.wake(topics);
    let lost = shared.fault(Point::AfterCommit);
    for (unit, result) in units.into_iter().zip(results) {
        unit.settle(lost.clone().map_or(result, Err));
    }
    Attempt::Committed
}

/// Runs a unit; its answer if the transaction can go on after it.
fn run_unit(
    session: &mut Session,
    unit: &mut Unit,
    now: i64,
    ids: &mut Ids,
    topics: &mut u32,
) -> Result<Result<()>, Cause> {
    session.wrote = false;
    let mut tx = Tx::new(Read::new(Conn::Postgres(session), now), ids);
    let ran = unit.run(&mut tx);
    let (signalled, failed) = (tx.topics, tx.failed().cloned());
    match (ran, failed) {
        (_, Some(error)) if session.is_lost() => Err(Cause::Lost(error)),
        (Ran::Keep, _) => {
            *topics |= signalled;
            Ok(Ok(()))
        }
        (Ran::Undo, None) if session.wrote => Err(Cause::Refusal),
        (Ran::Undo, None) => Ok(Ok(())),
        (Ran::Undo, Some(error)) => Err(Cause::Failed(error, true)),
        (Ran::Failed(error), None) if unit.len() == 1 && !session.wrote => Ok(Err(error)),
        (Ran::Failed(error), failed) => Err(Cause::Failed(failed.unwrap_or(error), false)),
    }
}

/// A reader's loop over its own connection. Its last snapshot ends when it has nothing more to read, else with the
/// beginning of the next.
pub(crate) fn read_loop(mut session: Session, queue: &Receiver<ReadJob>, shared: &Shared) {
    loop {
        let next = queue.try_recv().or_else(|_| {
            session.rollback();
            queue.recv_timeout(look_after(&session))
        });
        let job = match next {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                session.look();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        match session.begin(Role::Read) {
            Ok(()) => job(Ok(&mut Read::new(Conn::Postgres(&mut session), shared.clock.now()))),
            Err(error) => job(Err(error)),
        }
    }
}
