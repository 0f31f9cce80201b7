//! The PostgreSQL driver: a few writer and reader threads, each with a connection of its own on which it blocks.
//!
//! Why threads: a verb is synchronous, so it must not run on a worker of the HTTP server's runtime; and a thread that
//! drives its own connection wakes nobody else for an answer.
//!
//! A writer takes what is queued and runs it in one transaction **without savepoints** (each would cost two round trips):
//! - A unit that refuses before it has written anything leaves nothing behind: the transaction goes on.
//! - Any other unit that refuses or fails undoes the transaction, and its units run again one by one, each in a
//!   transaction of its own. So does a transaction that loses its connection before the commit.
//! - Alone, a unit is tried [`ATTEMPTS`] times as long as a serialization failure, a deadlock, a lost connection or a
//!   violated constraint was the reason: it may have lost a race, sees the winner's row now, and may lose the next one too.
//! - A connection lost *during* the commit is [`Error::Unavailable`]: the server may have committed, running again could do
//!   the work twice.
//!
//! Reads get one snapshot (`repeatable read read only`). A lost connection is opened again when the next work needs it, for
//! [`RECONNECT_FOR`] at most; while the server stays away it is tried once in [`AWAY_FOR`], and work fails at once.

mod address;
pub(crate) mod types;

use crate::engine::{ReadJob, Shared};
use crate::fault::Point;
use crate::job::{Job, Ran, Unit, plan, take};
use crate::migrate::{self, Migration};
use crate::tx::Conn;
use crate::{Error, Ids, Many, Param, Read, Result, Row, Tx};
use address::Address;
use crossbeam_channel::Receiver;
use futures::TryStreamExt;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, Statement};

/// How often a unit runs alone before its caller is told to come back.
const ATTEMPTS: u32 = 5;
/// Statements kept prepared per connection; one more and all are prepared anew.
const STATEMENTS: usize = 512;
/// How long the server lets a statement run.
const STATEMENT_MS: u32 = 30_000;
/// How long the server lets a transaction of ours do nothing.
const IDLE_IN_TRANSACTION_MS: u32 = 60_000;
/// How long we wait for an answer: longer than the server allows itself, so this ends only a wait for a lost server.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);
/// How long lost connections are tried again before the work is refused.
const RECONNECT_FOR: Duration = Duration::from_secs(5);
/// How long a server that stayed away is left alone.
const AWAY_FOR: Duration = Duration::from_secs(1);
/// First wait between two tries; doubled up to [`RECONNECT_WAIT_MOST`].
const RECONNECT_WAIT: Duration = Duration::from_millis(50);
/// Longest wait between two tries.
const RECONNECT_WAIT_MOST: Duration = Duration::from_secs(1);
/// The oldest server that is supported, as the server itself numbers it.
const OLDEST: i64 = 150_000;
/// The advisory lock under which the schema changes ("tieline").
const MIGRATIONS_LOCK: i64 = 0x74_69_65_6c_69_6e_65;

const WRITE: &str = "begin isolation level read committed";
const READ: &str = "begin isolation level repeatable read read only";

/// One connection with its runtime and its prepared statements.
pub(crate) struct Session {
    address: Arc<Address>,
    runtime: Runtime,
    client: Option<Client>,
    statements: HashMap<String, Statement>,
    /// A statement that may have changed something ran in this unit.
    wrote: bool,
    /// When the last try to connect failed, after all the waiting, and how.
    away: Option<(Instant, Error)>,
}

/// A statement's failure: the caller's own, or the driver's.
enum Fault {
    Caller(Error),
    Driver(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        Fault::Driver(error)
    }
}

impl Session {
    /// A session that is not connected yet.
    fn new(address: Arc<Address>) -> Result<Session> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::Unavailable(format!("cannot start a runtime: {error}")))?;
        Ok(Session { address, runtime, client: None, statements: HashMap::new(), wrote: false, away: None })
    }

    fn is_lost(&self) -> bool {
        self.client.as_ref().is_none_or(Client::is_closed)
    }

    fn lose(&mut self) {
        self.statements.clear();
        self.client = None;
    }

    /// Connects if need be, waiting [`RECONNECT_FOR`] at most; a server that stayed away is asked once a
    /// [`AWAY_FOR`], and its callers learn at once.
    fn ensure(&mut self) -> Result<()> {
        if !self.is_lost() {
            return Ok(());
        }
        self.lose();
        let start = Instant::now();
        if let Some((at, error)) = &self.away
            && start - *at < AWAY_FOR
        {
            return Err(error.clone());
        }
        let mut wait = RECONNECT_WAIT;
        loop {
            let Err((error, may_pass)) = self.connect() else {
                self.away = None;
                return Ok(());
            };
            self.lose();
            if !may_pass || self.away.is_some() || start.elapsed() + wait > RECONNECT_FOR {
                self.away = Some((Instant::now(), error.clone()));
                return Err(error);
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(RECONNECT_WAIT_MOST);
        }
    }

    /// One try; with the error, whether another may help.
    fn connect(&mut self) -> Result<(), (Error, bool)> {
        let config = &self.address.config;
        let opened = self.runtime.block_on(async {
            Ok(match &self.address.tls {
                Some(tls) => {
                    let (client, connection) = config.connect(tls.clone()).await?;
                    tokio::spawn(drive(connection));
                    client
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    tokio::spawn(drive(connection));
                    client
                }
            })
        });
        let client = opened.map_err(|error: tokio_postgres::Error| {
            // No answer, or a server that starts, stops or is full. A refusal stays one.
            let code = error.code().map(SqlState::code);
            let may_pass = code.is_none_or(|code| code.starts_with("57P") || code.starts_with("53"));
            (Error::Unavailable(format!("cannot connect: {}", words(&error))), may_pass)
        })?;
        self.client = Some(client);
        // Not as parameters of the connection: poolers refuse those they do not know.
        let settings = format!(
            "set statement_timeout = {STATEMENT_MS}; \
             set idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}; show server_version_num"
        );
        let version = self.simple(&settings).map_err(|error| (error, true))?;
        if version.and_then(|version| version.parse().ok()).is_none_or(|version: i64| version < OLDEST) {
            return Err((Error::Unavailable("PostgreSQL 15 or newer is needed".into()), false));
        }
        Ok(())
    }

    /// Runs statements without parameters; the first value of the last row, if there is one.
    fn simple(&mut self, sql: &str) -> Result<Option<String>> {
        let rows = self.answer(async |client| Ok(client.simple_query(sql).await?))?;
        Ok(rows.into_iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    /// Waits for what `work` asks of the server, [`ANSWER_WITHIN`] at most, and notices when the connection is lost.
    fn answer<T>(&mut self, work: impl AsyncFnOnce(&Client) -> Result<T, Fault>) -> Result<T> {
        let client = self.client.as_ref().ok_or_else(|| Error::Unavailable("not connected".into()))?;
        let work = async { tokio::time::timeout(ANSWER_WITHIN, work(client)).await };
        match self.runtime.block_on(work) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Fault::Caller(error))) => Err(error),
            Ok(Err(Fault::Driver(error))) => Err(self.failed(&error)),
            Err(_) => {
                self.lose();
                Err(Error::Unavailable("the database server does not answer".into()))
            }
        }
    }

    fn failed(&mut self, error: &tokio_postgres::Error) -> Error {
        let text = words(error);
        let Some(refusal) = error.as_db_error() else {
            // Without the server's word: the connection has gone, or the values did not fit and nothing was sent.
            return if self.is_lost() {
                self.lose();
                Error::Unavailable(format!("lost the connection: {text}"))
            } else {
                Error::Sql(text)
            };
        };
        let code = refusal.code().code();
        // "cached plan must not change result type", after another node changed the schema.
        let stale = code == "0A000" && text.contains("cached plan");
        if stale {
            self.statements.clear();
        }
        let class = &code[..code.len().min(2)];
        // A connection to a server that takes no writes any more is of no use: the next one looks for the primary.
        if refusal.parsed_severity().is_some_and(|severity| matches!(severity, Severity::Fatal | Severity::Panic))
            || matches!(class, "08")
            || matches!(code, "25006" | "26000")
        {
            self.lose();
        }
        match (class, code) {
            ("23", _) => Error::Constraint(text),
            (_, "40001" | "40P01") => Error::Again(text),
            _ if stale => Error::Again(text),
            (_, "26000" | "42P05") => Error::Unavailable(POOLER.into()),
            ("08" | "53" | "57" | "58", _) | (_, "25006" | "25P03" | "55P03") => Error::Unavailable(text),
            _ => Error::Sql(text),
        }
    }

    fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.answer(async |client| Ok(client.prepare(sql).await?))?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Runs a statement and calls `each` for its rows; how many rows it changed or gave.
    fn run<'p>(
        &mut self,
        sql: &str,
        params: impl ExactSizeIterator<Item = &'p (dyn ToSql + Sync)>,
        each: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<u64> {
        let statement = self.prepare(sql)?;
        self.wrote |= !sql.trim_start().starts_with("select");
        self.answer(async |client| {
            let mut rows = pin!(client.query_raw(&statement, params).await?);
            while let Some(row) = rows.try_next().await? {
                each(&Row::Postgres(&row)).map_err(Fault::Caller)?;
            }
            Ok(rows.rows_affected().unwrap_or(0))
        })
    }

    pub(crate) fn each(
        &mut self,
        sql: &str,
        params: &[Param],
        each: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<u64> {
        self.run(sql, params.iter().map(|param| param as &(dyn ToSql + Sync)), each)
    }

    pub(crate) fn execute(&mut self, sql: &str, params: &[Param]) -> Result<u64> {
        self.each(sql, params, &mut |_| Ok(()))
    }

    pub(crate) fn many(
        &mut self,
        many: &Many,
        params: &[Param],
        each: &mut dyn FnMut(&Row) -> Result<()>,
    ) -> Result<u64> {
        let width = many.columns.len();
        let columns: Vec<Vec<&Param>> =
            (0..width).map(|column| params.iter().skip(column).step_by(width).collect()).collect();
        self.run(many.postgres(), columns.iter().map(|column| column as &(dyn ToSql + Sync)), each)
    }

    /// Begins a transaction, on a new connection if the old one turns out to be gone, or in no state to begin one.
    fn begin(&mut self, how: &str) -> Result<()> {
        self.ensure()?;
        if self.simple(how).is_err() {
            self.lose();
            self.ensure()?;
            self.simple(how)?;
        }
        Ok(())
    }

    fn rollback(&mut self) {
        if !self.is_lost() && self.simple("rollback").is_err() {
            self.lose();
        }
    }
}

/// What is said when prepared statements or sessions are not ours alone.
const POOLER: &str =
    "a pooler hands one connection to several clients: give it session mode, or connect to PostgreSQL itself";

async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::warn!(error = words(&error), "a connection to the database ended");
    }
}

/// The error and its cause in one line, without the details: those may hold a row's values.
fn words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(refusal), _) => {
            let constraint = refusal.constraint().map(|name| format!(" [{name}]")).unwrap_or_default();
            format!("{} ({}){constraint}", refusal.message(), refusal.code().code())
        }
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// What [`open`] gives to the engine.
pub(crate) struct Opened {
    pub server: Server,
    pub writers: Vec<Session>,
}

/// An address to connect to.
#[derive(Clone)]
pub(crate) struct Server(Arc<Address>);

/// Connects, looks that the server can be used, and brings the schema up. The caller may be inside a runtime, in which ours
/// must not block: so a thread of its own does it.
pub(crate) fn open(url: &str, migrations: &[Migration], now: i64, writers: usize) -> Result<Opened> {
    let address = Arc::new(address::parse(url)?);
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| {
            let mut sessions = Vec::new();
            for _ in 0..writers.max(1) {
                sessions.push(Session::new(address.clone())?);
            }
            refuse_shared(&mut sessions)?;
            migrate(&mut sessions[0], migrations, now)?;
            Ok(Opened { server: Server(address.clone()), writers: sessions })
        });
        opening.join().unwrap_or_else(|_| Err(Error::Unavailable("opening the database panicked".into())))
    })
}

/// The version of the schema, without changing it; 0 where there is none.
pub(crate) fn schema_version(url: &str) -> Result<i64> {
    let address = Arc::new(address::parse(url)?);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut session = Session::new(address)?;
            session.ensure()?;
            if session.simple("select to_regclass('schema_version')")?.is_none() {
                return Ok(0);
            }
            let version = session.simple(migrate::CURRENT)?;
            Ok(version.and_then(|version| version.parse().ok()).unwrap_or(0))
        });
        looking.join().unwrap_or_else(|_| Err(Error::Unavailable("looking at the database panicked".into())))
    })
}

/// Connects the first two and refuses when the same server process answers both: then a pooler in transaction mode stands
/// between, which would mix up their prepared statements.
fn refuse_shared(sessions: &mut [Session]) -> Result<()> {
    let mut seen = Vec::new();
    for session in sessions.iter_mut().take(2) {
        session.ensure()?;
        let process = session.simple("select pg_backend_pid()")?;
        if seen.contains(&process) {
            return Err(Error::Unavailable(POOLER.into()));
        }
        seen.push(process);
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
            session.rollback();
        }
        let applied = applied?;
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
    session.each(migrate::CURRENT, &[], &mut |row| {
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
    session.execute(migrate::RECORD, &[next.version.into(), next.name.into(), now.into()])?;
    Ok(true)
}

impl Session {
    /// For the schema: takes as long as it takes.
    fn patient(&mut self, sql: &str) -> Result<()> {
        let client = self.client.as_ref().ok_or_else(|| Error::Unavailable("not connected".into()))?;
        let done = self.runtime.block_on(client.batch_execute(sql));
        done.map_err(|error| self.failed(&error))
    }
}

/// A writer's loop; ends at [`Job::Stop`] or when every sender is gone.
pub(crate) fn write_loop(mut session: Session, queue: &Receiver<Job>, shared: &Shared, mut ids: Ids) {
    while let Some((jobs, stopping)) = take(queue, shared.limits.group) {
        group(&mut session, plan(jobs), shared, &mut ids);
        if stopping {
            break;
        }
    }
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

fn group(session: &mut Session, mut units: Vec<Unit>, shared: &Shared, ids: &mut Ids) {
    if units.len() > 1 {
        match attempt(session, units, shared, ids) {
            Attempt::Committed => return,
            Attempt::Undone(units, Cause::Refused(error)) => return settle(units, &error),
            Attempt::Undone(undone, _) => units = undone,
        }
    }
    let mut units = units.into_iter();
    while let Some(unit) = units.next() {
        alone(session, unit, shared, ids);
        if let Some((_, error)) = &session.away {
            let error = error.clone();
            return settle(units.collect(), &error); // each would wait as long for the same
        }
    }
}

/// Runs a unit in a transaction of its own until there is an answer, [`ATTEMPTS`] times at most.
fn alone(session: &mut Session, mut unit: Unit, shared: &Shared, ids: &mut Ids) {
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
            Cause::Lost(_) | Cause::Failed(Error::Again(_) | Error::Constraint(_), _) if round < ATTEMPTS => {}
            Cause::Failed(error, _) if unit.len() > 1 && !error.is_transient() => {
                return unit.split().into_iter().for_each(|part| alone(session, part, shared, ids));
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
    if let Err(error) = session.begin(WRITE) {
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
    if let Err(error) = session.simple("commit") {
        let cause = match error {
            error if session.is_lost() => {
                let text = format!("the connection went during the commit, which may have happened: {error}");
                Cause::Refused(Error::Unavailable(text))
            }
            error => Cause::Failed(error, false),
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

/// A reader's loop over its own connection.
pub(crate) fn read_loop(server: Server, queue: &Receiver<ReadJob>, shared: &Shared) {
    let mut session = Session::new(server.0);
    while let Ok(job) = queue.recv() {
        let session = match &mut session {
            Ok(session) => session,
            Err(error) => {
                job(Err(error.clone()));
                continue;
            }
        };
        if let Err(error) = session.begin(READ) {
            job(Err(error));
            continue;
        }
        let mut read = Read::new(Conn::Postgres(session), shared.clock.now());
        job(Ok(&mut read));
        session.rollback(); // nothing to keep
    }
}
