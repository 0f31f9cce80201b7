//! The SQLite driver: one writer thread with group commit, query-only reader threads, a checkpointing thread.
//!
//! Why group commit: a durable transaction costs a flush, whatever it holds. The writer takes what is queued (no artificial
//! wait), runs it in one transaction and commits once; with 64 callers that is five times the throughput.
//! Why checkpoints of our own: one big automatic checkpoint stops the writer for tens of milliseconds, and passive ones
//! alone never let a busy log start over. So passive steps run beside the writer, and past [`WAL_RESTART_PAGES`] the writer
//! itself restarts the log between two groups.

mod gather;
mod whole;

use crate::engine::{AfterCommit, Join, ReadJob, Shared};
use crate::fault::Point;
use crate::job::{Queued, Ran, Unit, panic_text, plan, take};
use crate::migrate::{self, Migration};
use crate::tx::Conn;
use crate::{Error, Ids, Many, Param, Read, Result, Row, Tx};
use crossbeam_channel::Receiver;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Statements kept prepared per connection.
const STATEMENTS: usize = 512;
/// Page cache of the writer, KiB. Larger is slower: after every commit in which a page was split SQLite walks the whole
/// cache (with 128 MiB an eighth of a busy server's time), while a page that is not here is one copy away, in the system's.
const WRITER_CACHE_KIB: i64 = 32 * 1024;
/// Page cache of each reader, KiB.
const READER_CACHE_KIB: i64 = 32 * 1024;
/// Pages in the log after which passive checkpointing is worth another step (16 MiB).
const WAL_PASSIVE_PAGES: usize = 4 * 1024;
/// Pages in the log after which the writer itself starts it over (64 MiB).
const WAL_RESTART_PAGES: usize = 16 * 1024;
/// Pages that a log must grow after a reader kept it from starting over, before the writer tries again (16 MiB).
const WAL_RETRY_PAGES: usize = 4 * 1024;
/// How long the writer waits for short readers when it starts the log over.
const WAL_RESTART_WAIT: Duration = Duration::from_millis(20);
/// How large the log's file may stay once it has started over; a long reader can make it grow beyond.
const WAL_FILE_BYTES: usize = 64 * 1024 * 1024;
/// How much of the file each reader maps into memory, bytes: the most that SQLite maps. What lies beyond is copied.
const READER_MAP_BYTES: i64 = 0x7fff_0000;
/// How long a statement waits for another process's lock. Ours never wait for each other.
const BUSY: Duration = Duration::from_millis(500);
/// The same while the file is opened and its schema brought up: others may be at that too.
const BUSY_OPENING: Duration = Duration::from_secs(10);

fn connect(path: &Path, flags: OpenFlags, cache_kib: i64) -> Result<Connection> {
    set_up(Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?, cache_kib)
}

/// The connection that writes, creating the file where there is none.
fn connect_to_write(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = match gather::register() {
        true => Connection::open_with_flags_and_vfs(path, flags, gather::NAME),
        false => Connection::open_with_flags(path, flags),
    };
    set_up(opened?, WRITER_CACHE_KIB)
}

fn set_up(conn: Connection, cache_kib: i64) -> Result<Connection> {
    // A plan is for the statement, not for the values of the day: without this SQLite prepares some statements anew for
    // each row that is bound to them, in the hope of a better plan.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.execute_batch(&format!("pragma cache_size = -{cache_kib}; pragma temp_store = memory;"))?;
    Ok(conn)
}

/// Opens the file for writing, creating it with our page size and log mode where it is new, and brings the schema up.
pub(crate) fn open(path: &Path, migrations: &[Migration], now: i64) -> Result<Connection> {
    let conn = connect_to_write(path)?;
    conn.busy_timeout(BUSY_OPENING)?;
    let mode: String = conn.query_row("pragma journal_mode = wal", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Unavailable(format!("the file system does not allow a write-ahead log (mode {mode})")));
    }
    conn.execute_batch(&format!(
        "pragma synchronous = full; pragma wal_autocheckpoint = 0; pragma journal_size_limit = {WAL_FILE_BYTES}; \
         pragma foreign_keys = on;"
    ))?;
    whole::check(&conn)?;
    // Immediate: a statement that read first and found another writer ahead of it would not wait.
    conn.execute_batch(&format!("begin immediate; {}; commit", migrate::TABLE))?;
    let current = || conn.query_row(migrate::CURRENT, [], |row| row.get::<_, i64>(0));
    let (found, known) = (current()?, migrate::newest(migrations));
    if found > known {
        return Err(Error::Newer { found, known });
    }
    for step in migrations.iter().filter(|step| step.version > found) {
        conn.execute_batch("begin immediate")?;
        // Another process may have been faster.
        if current()? >= step.version {
            conn.execute_batch("rollback")?;
            continue;
        }
        let applied = conn
            .execute_batch(&migrate::for_sqlite(step.sql))
            .and_then(|()| conn.execute(migrate::RECORD, rusqlite::params![step.version, step.name, now]));
        match applied {
            Ok(_) => conn.execute_batch("commit")?,
            Err(error) => {
                conn.execute_batch("rollback")?;
                return Err(Error::Sql(format!("migration {} ({}): {error}", step.version, step.name)));
            }
        }
    }
    conn.busy_timeout(BUSY)?;
    Ok(conn)
}

/// Writes one consistent copy of the whole database into `to`, which must not exist. One read snapshot: writers go on.
pub fn snapshot(from: &Path, to: &Path) -> Result<()> {
    let conn = connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY, READER_CACHE_KIB)?;
    let to = to.to_str().ok_or_else(|| Error::Sql("the target path is not UTF-8".into()))?;
    conn.execute("vacuum into ?1", [to])?;
    Ok(())
}

/// A connection that only reads, for a look at a file.
pub(crate) fn inspect(path: &Path) -> Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READER_CACHE_KIB)
}

/// SQLite takes `$2` for a name and numbers names as they appear, so a text whose numbers do not appear in order gets
/// `?2` instead, which is a number. Those in order, nearly all, cost a look and no copy.
fn numbered(sql: &str) -> Cow<'_, str> {
    let number = |rest: &str| rest[..rest.bytes().take_while(u8::is_ascii_digit).count()].parse::<usize>().ok();
    let mut next = 1;
    let mut in_order = true;
    for number in sql.split('$').skip(1).filter_map(number) {
        in_order &= number <= next;
        next = next.max(number + 1);
    }
    if in_order {
        return Cow::Borrowed(sql);
    }
    let mut text = String::with_capacity(sql.len());
    let mut quoted = false;
    for (index, character) in sql.char_indices() {
        quoted ^= character == '\'';
        let is_number = character == '$' && !quoted && number(&sql[index + 1..]).is_some();
        text.push(if is_number { '?' } else { character });
    }
    Cow::Owned(text)
}

pub(crate) fn execute(conn: &Connection, sql: &str, params: &[Param]) -> Result<u64> {
    let mut statement = conn.prepare_cached(&numbered(sql))?;
    bind(&mut statement, params)?;
    Ok(statement.raw_execute()? as u64)
}

pub(crate) fn each(
    conn: &Connection,
    sql: &str,
    params: &[Param],
    each: &mut dyn FnMut(&Row) -> Result<()>,
) -> Result<()> {
    let mut statement = conn.prepare_cached(&numbered(sql))?;
    bind(&mut statement, params)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        each(&Row::Sqlite(row))?;
    }
    Ok(())
}

pub(crate) fn many(
    conn: &Connection,
    many: &Many,
    params: &[Param],
    each: &mut dyn FnMut(&Row) -> Result<()>,
) -> Result<u64> {
    let mut statement = conn.prepare_cached(many.sqlite())?;
    let returns = statement.column_count() > 0;
    let uses_ordinal = statement.parameter_count() > many.columns.len();
    let mut changed = 0;
    for (ordinal, row) in params.chunks_exact(many.columns.len()).enumerate() {
        bind_all(&mut statement, row)?;
        if uses_ordinal {
            statement.raw_bind_parameter(row.len() + 1, ordinal as i64)?;
        }
        if returns {
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                each(&Row::Sqlite(row))?;
                changed += 1;
            }
        } else {
            changed += statement.raw_execute()? as u64;
        }
    }
    Ok(changed)
}

/// PostgreSQL refuses a wrong number of parameters; SQLite would take those missing for nulls.
fn bind(statement: &mut rusqlite::Statement, params: &[Param]) -> Result<()> {
    if statement.parameter_count() != params.len() {
        let wanted = statement.parameter_count();
        return Err(Error::Sql(format!("{} parameters for a statement of {wanted}", params.len())));
    }
    bind_all(statement, params)
}

fn bind_all(statement: &mut rusqlite::Statement, params: &[Param]) -> Result<()> {
    for (index, param) in params.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, param)?;
    }
    Ok(())
}

/// The writer's loop; ends at [`crate::job::Job::Stop`] or when every sender is gone.
pub(crate) fn write_loop(
    mut conn: Connection,
    path: &Path,
    queue: Receiver<Queued>,
    shared: Arc<Shared>,
    mut ids: Ids,
) {
    let (wake, woken) = crossbeam_channel::bounded::<()>(1);
    let stepping = Arc::new(Mutex::new(()));
    let checkpointer = {
        let (path, stepping) = (path.to_owned(), stepping.clone());
        let work = move || checkpoint_loop(&path, &woken, &stepping);
        std::thread::Builder::new().name("db-checkpoint".into()).spawn(work)
    };
    let log_pages = Arc::new(AtomicUsize::new(0));
    let seen = log_pages.clone();
    let hooked = conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
        seen.store(pages.max(0) as usize, Ordering::Relaxed);
        Ok(())
    }));
    if let Err(error) = hooked {
        tracing::error!(%error, "the log's size is not known: checkpoints happen at close only");
    }
    let (mut restart_at, mut next_step) = (WAL_RESTART_PAGES, WAL_PASSIVE_PAGES);
    while let Ok(first) = queue.recv() {
        let (jobs, stopping) = take(first, &queue, &shared.limits, usize::MAX);
        group(&conn, plan(jobs), &shared, &mut ids);
        let log = log_pages.load(Ordering::Relaxed);
        if log > restart_at {
            restart_at = restart(&conn, &log_pages, restart_at, &stepping);
        } else if log >= next_step {
            next_step = log + WAL_PASSIVE_PAGES;
            let _ = wake.try_send(());
        }
        if log < WAL_PASSIVE_PAGES {
            (restart_at, next_step) = (WAL_RESTART_PAGES, WAL_PASSIVE_PAGES); // it started over
        }
        if stopping {
            break;
        }
    }
    drop(wake);
    if let Ok(handle) = checkpointer {
        let _ = handle.join();
    }
    while let Ok((_, job)) = queue.try_recv() {
        job.settle(Err(Error::Unavailable("shutting down".into())));
    }
    let _ = conn.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()));
}

/// Starts the log over, unless a reader is in it for longer; says at how many pages to try next.
fn restart(conn: &Connection, log_pages: &AtomicUsize, tried_at: usize, stepping: &Mutex<()>) -> usize {
    // A passive step keeps this from happening. Where the disk is so slow that the log doubles meanwhile, wait for it.
    let log = log_pages.load(Ordering::Relaxed);
    let _between_steps = (log > 2 * WAL_RESTART_PAGES).then(|| stepping.lock());
    let _ = conn.busy_timeout(WAL_RESTART_WAIT);
    let outcome = conn.query_row("pragma wal_checkpoint(restart)", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let _ = conn.busy_timeout(BUSY);
    match outcome {
        Ok((0i64, _)) => {
            log_pages.store(0, Ordering::Relaxed);
            WAL_RESTART_PAGES
        }
        // Our own passive step is under way: after the next group it is over.
        Ok((_, -1i64)) => tried_at,
        // Waiting for the reader after every group would stop the writer as long as the reader reads.
        _ => log + WAL_RETRY_PAGES,
    }
}

fn checkpoint_loop(path: &Path, woken: &Receiver<()>, stepping: &Mutex<()>) {
    let Ok(conn) = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE, 1024) else { return };
    let _ = conn.execute_batch("pragma synchronous = full");
    while woken.recv().is_ok() {
        let _step = stepping.lock();
        let _ = conn.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
    }
}

/// Runs one group in one transaction, wakes its topics and answers every caller.
///
/// First without savepoints, which copy every page that is touched. Where part of it has to be undone by itself, all of it
/// is undone and runs again with them.
fn group(conn: &Connection, units: Vec<Unit>, shared: &Shared, ids: &mut Ids) {
    if units.is_empty() {
        return;
    }
    let jobs: usize = units.iter().map(Unit::len).sum();
    let fail = |units: Vec<Unit>, error: Error| {
        units.into_iter().for_each(|unit| unit.settle(Err(error.clone())));
    };
    if let Some(error) = shared.fault(Point::Begin) {
        return fail(units, error);
    }
    let run = match run_group(conn, units, shared, ids, false) {
        Err((units, Stopped::Undone)) => run_group(conn, units, shared, ids, true),
        run => run,
    };
    let Group { done, joined, topics } = match run {
        Ok(group) => group,
        Err((units, Stopped::Broken(error))) => return fail(units, error),
        Err((units, Stopped::Undone)) => return fail(units, Error::Sql("a savepoint undid too little".into())),
    };
    let committed = match shared.fault(Point::BeforeCommit) {
        Some(error) => Err(error),
        None => execute(conn, "commit", &[]).map(drop),
    };
    if let Err(error) = committed {
        let _ = undo(conn, "rollback", ids);
        shared.health.failed(&error);
        let error = match error {
            Error::Unavailable(_) | Error::Damaged(_) => error,
            other => Error::Unavailable(other.to_string()),
        };
        return fail(done.into_iter().map(|(unit, _)| unit).collect(), error);
    }
    shared.stats.record_group(jobs);
    if let Some(after) = joined {
        after();
    }
    // Before the answers: who has one must not find an old version.
    shared.wake(topics);
    let lost = shared.fault(Point::AfterCommit);
    for (unit, result) in done {
        unit.settle(match &lost {
            Some(error) => Err(error.clone()),
            None => result,
        });
    }
}

/// A group whose transaction waits for its commit.
struct Group {
    /// Units with what became of them.
    done: Vec<(Unit, Result<()>)>,
    joined: Option<AfterCommit>,
    topics: u32,
}

/// Why a group did not come to its commit.
enum Stopped {
    /// Something failed that only a savepoint could have undone by itself.
    Undone,
    /// The transaction itself is broken.
    Broken(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Broken(error)
    }
}

/// Undoes all of a transaction, or what a savepoint covers. Numbers that were taken in it are none.
fn undo(conn: &Connection, sql: &str, ids: &mut Ids) -> Result<()> {
    ids.numbers = 0..0;
    execute(conn, sql, &[]).map(drop)
}

/// Runs the units of a group, and what joins it, in a new transaction. Where it stopped nothing of that is left.
fn run_group(
    conn: &Connection,
    mut units: Vec<Unit>,
    shared: &Shared,
    ids: &mut Ids,
    savepoints: bool,
) -> Result<Group, (Vec<Unit>, Stopped)> {
    if let Err(error) = execute(conn, "begin immediate", &[]) {
        shared.health.failed(&error);
        return Err((units, Stopped::Broken(error)));
    }
    let now = shared.clock.now();
    let mut group = Group { done: Vec::with_capacity(units.len()), joined: None, topics: 0 };
    let mut stopped = None;
    units.reverse();
    while let Some(mut unit) = units.pop() {
        match run_unit(conn, &mut unit, savepoints, now, shared, ids, &mut group.topics) {
            // It failed as a whole: its parts, one by one.
            Ok(Err(_)) if unit.len() > 1 => units.extend(unit.split().into_iter().rev()),
            Ok(result) => group.done.push((unit, result)),
            Err(why) => {
                units.push(unit);
                stopped = Some(why);
                break;
            }
        }
    }
    if let (None, Some(work)) = (&stopped, shared.joined(group.topics)) {
        match join(conn, &*work, savepoints, now, shared, ids, &mut group.topics) {
            Ok(joined) => group.joined = joined,
            Err(why) => stopped = Some(why),
        }
    }
    let Some(why) = stopped else { return Ok(group) };
    let _ = undo(conn, "rollback", ids);
    units.reverse();
    Err((group.done.into_iter().map(|(unit, _)| unit).chain(units).collect(), why))
}

/// Runs a unit, and undoes it if it failed.
fn run_unit(
    conn: &Connection,
    unit: &mut Unit,
    savepoints: bool,
    now: i64,
    shared: &Shared,
    ids: &mut Ids,
    topics: &mut u32,
) -> Result<Result<()>, Stopped> {
    let changes = conn.total_changes();
    if savepoints {
        execute(conn, "savepoint unit", &[])?;
    }
    let mut tx = Tx::new(Read::new(Conn::Sqlite(conn), now), ids);
    let ran = unit.run(&mut tx);
    let signalled = tx.topics;
    tx.failed().into_iter().for_each(|error| shared.health.failed(error));
    let result = match ran {
        Ran::Keep => {
            if savepoints {
                execute(conn, "release unit", &[])?;
            }
            *topics |= signalled;
            return Ok(Ok(()));
        }
        Ran::Undo => Ok(()),
        Ran::Failed(error) => Err(error),
    };
    // A full disk or an I/O error may have ended the whole transaction already.
    if conn.is_autocommit() {
        return Err(Stopped::Broken(Error::Unavailable("the transaction was ended by the database".into())));
    }
    if savepoints {
        undo(conn, "rollback to unit", ids)?;
        execute(conn, "release unit", &[])?;
    } else if conn.total_changes() != changes {
        return Err(Stopped::Undone);
    }
    Ok(result)
}

/// Runs what joins the group. Inside a savepoint its failure is not the group's; should the savepoint itself fail, the commit
/// says so.
fn join(
    conn: &Connection,
    work: &Join,
    savepoints: bool,
    now: i64,
    shared: &Shared,
    ids: &mut Ids,
    topics: &mut u32,
) -> Result<Option<AfterCommit>, Stopped> {
    if savepoints && execute(conn, "savepoint joined", &[]).is_err() {
        return Ok(None);
    }
    let mut tx = Tx::new(Read::new(Conn::Sqlite(conn), now), ids);
    let ran = catch_unwind(AssertUnwindSafe(|| work(&mut tx)))
        .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(panic))))
        .and_then(|after| tx.failed().map_or(Ok(after), |error| Err(error.clone())));
    tx.failed().into_iter().for_each(|error| shared.health.failed(error));
    let signalled = tx.topics;
    match ran {
        Ok(after) => {
            *topics |= signalled;
            let released = !savepoints || execute(conn, "release joined", &[]).is_ok();
            Ok(released.then_some(after))
        }
        Err(_) if !savepoints => Err(Stopped::Undone),
        Err(error) => {
            tracing::error!(%error, "what joins each group failed and was undone");
            let _ = undo(conn, "rollback to joined", ids).and_then(|()| execute(conn, "release joined", &[]));
            Ok(None)
        }
    }
}

/// A reader's loop over its own query-only connection.
pub(crate) fn read_loop(path: &Path, queue: &Receiver<ReadJob>, shared: &Shared) {
    let mut conn: Option<Connection> = None;
    while let Ok(job) = queue.recv() {
        if conn.is_none() {
            match connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY, READER_CACHE_KIB) {
                Ok(opened) => {
                    // Random reads of a large file then cost no copy; where the system has no such mapping, nothing changes.
                    let _ = opened.execute_batch(&format!("pragma mmap_size = {READER_MAP_BYTES}"));
                    conn = Some(opened);
                }
                Err(error) => {
                    job(Err(error));
                    continue;
                }
            }
        }
        let Some(open) = &conn else { continue };
        if let Err(error) = execute(open, "begin", &[]) {
            shared.health.failed(&error);
            job(Err(error));
            conn = None;
            continue;
        }
        let mut read = Read::new(Conn::Sqlite(open), shared.clock.now());
        job(Ok(&mut read));
        read.failed().into_iter().for_each(|error| shared.health.failed(error));
        let _ = execute(open, "commit", &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    #[test]
    fn a_statement_is_prepared_once_whatever_is_bound_to_it() {
        let folder = tempfile::TempDir::new().unwrap();
        let schema = "create table thing (id integer primary key, state text, size integer); \
                      create index waiting on thing (size) where state = 'waiting'";
        let conn =
            open(&folder.path().join("test.db"), &[Migration { version: 1, name: "first", sql: schema }], 0).unwrap();
        let sql = "select id from thing where state = $1 and size > $2";
        let mut statement = conn.prepare(sql).unwrap();
        for state in ["waiting", "done", "waiting"] {
            bind(&mut statement, &[state.into(), 1i64.into()]).unwrap();
            assert!(statement.raw_query().next().unwrap().is_none());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
