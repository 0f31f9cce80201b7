//! What a closure sees: a [`Read`] inside one snapshot, or a [`Tx`] that may also write.

use crate::ask::What;
use crate::postgres::{Given, Session};
use crate::{Ask, Error, Ids, Many, Numbers, Param, Result, Row, Topic};
use std::ops::{Deref, DerefMut};
use uuid::Uuid;

const LAST_NUMBER: &str = "update numbers set last = last + $1 returning last";
/// A row that holds what memory knows.
const KNOWN: &str = "select $1";
/// Numbers taken at once on SQLite, at least: what the process has not given when it ends leaves a gap.
const NUMBERS_AHEAD: i64 = 100;

/// One connection, whichever driver it is of.
pub(crate) enum Conn<'c> {
    Sqlite(&'c rusqlite::Connection),
    Postgres(&'c mut Session),
}

/// A consistent snapshot to read from.
pub struct Read<'c> {
    conn: Conn<'c>,
    now: i64,
    /// The first error of a statement. PostgreSQL ends the transaction with it, so neither driver commits after one.
    failed: Option<Error>,
}

impl<'c> Read<'c> {
    pub(crate) fn new(conn: Conn<'c>, now: i64) -> Read<'c> {
        Read { conn, now, failed: None }
    }
    fn noted<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.failed.get_or_insert_with(|| error.clone());
        }
        result
    }
    /// The first error of a statement, also one that the closure has swallowed.
    pub(crate) fn failed(&self) -> Option<&Error> {
        self.failed.as_ref()
    }
    /// Whether this is SQLite, for the few statements that ask an engine about itself.
    pub(crate) fn is_sqlite(&self) -> bool {
        matches!(self.conn, Conn::Sqlite(_))
    }
    /// The time of this transaction, microseconds since the Unix epoch.
    pub fn now(&self) -> i64 {
        self.now
    }
    /// Calls `each` for every row. The text of a statement is a constant or one of few: each is prepared once.
    pub fn each(&mut self, sql: &str, params: &[Param], mut each: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let result = match &mut self.conn {
            Conn::Sqlite(conn) => crate::sqlite::each(conn, sql, params, &mut each),
            Conn::Postgres(conn) => conn.run(Given::Row(sql, params), &mut each).map(drop),
        };
        self.noted(result)
    }
    /// The first row, if there is one.
    pub fn opt<T>(&mut self, sql: &str, params: &[Param], read: impl Fn(&Row) -> Result<T>) -> Result<Option<T>> {
        let mut first = None;
        self.each(sql, params, |row| {
            if first.is_none() {
                first = Some(read(row)?);
            }
            Ok(())
        })?;
        Ok(first)
    }
    /// All rows; the statement must carry a limit of its own.
    pub fn all<T>(&mut self, sql: &str, params: &[Param], mut read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        self.each(sql, params, |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }
    /// A set-based select: `params` holds the columns of row 0, then of row 1, and so on. Rows come in any order; ask for `:ord`.
    pub fn select_many(
        &mut self,
        many: &Many,
        params: &[Param],
        mut each: impl FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        self.many(many, params, &mut each).map(drop)
    }
    fn many(&mut self, many: &Many, params: &[Param], each: &mut dyn FnMut(&Row) -> Result<()>) -> Result<u64> {
        let result = match (many.rows(params), &mut self.conn) {
            (Err(error), _) => Err(error),
            (Ok(0), _) => Ok(0),
            (_, Conn::Sqlite(conn)) => crate::sqlite::many(conn, many, params, each),
            (_, Conn::Postgres(conn)) => conn.run(Given::Rows(many, params), each),
        };
        self.noted(result)
    }
}

/// A transaction that may write; its changes become visible and durable together, after the closure has returned.
///
/// An error of a statement is the end of it: whatever the closure answers then, nothing of its changes stays. Expected
/// conflicts are for `on conflict`.
pub struct Tx<'c> {
    read: Read<'c>,
    ids: &'c mut Ids,
    /// Topics to wake after the commit.
    pub(crate) topics: u32,
}

impl<'c> Deref for Tx<'c> {
    type Target = Read<'c>;
    fn deref(&self) -> &Read<'c> {
        &self.read
    }
}
impl<'c> DerefMut for Tx<'c> {
    fn deref_mut(&mut self) -> &mut Read<'c> {
        &mut self.read
    }
}

impl<'c> Tx<'c> {
    pub(crate) fn new(read: Read<'c>, ids: &'c mut Ids) -> Tx<'c> {
        Tx { read, ids, topics: 0 }
    }
    /// A new id, greater than every id this connection gave before.
    pub fn new_id(&mut self) -> Uuid {
        let now = self.read.now;
        self.ids.next(now)
    }
    /// A number that all transactions of one writer share; those of a node's writers follow each other, those of two nodes
    /// have nothing to do with each other. What is spread over several rows, so that transactions do not wait for each other,
    /// goes by it: then each locks one of them, however often it writes.
    pub fn lane(&self) -> u64 {
        self.ids.lane()
    }
    /// Takes `count` numbers of the installation; see [`Ask::numbers`].
    pub fn take_numbers(&mut self, count: usize) -> Result<Numbers> {
        let mut numbers = Numbers::default();
        self.together(vec![Ask::numbers(count, &mut numbers)])?;
        Ok(numbers)
    }
    /// Takes one number; see [`Tx::take_numbers`].
    pub fn take_number(&mut self) -> Result<i64> {
        self.take_numbers(1)?.take()
    }
    /// Whether other transactions run beside this one: on PostgreSQL.
    pub fn is_shared(&self) -> bool {
        matches!(self.read.conn, Conn::Postgres(_))
    }
    /// Locks rows until the end of the transaction; how many there are. None on SQLite, where nothing is done: its one writer
    /// has the database to itself. Read the rows after this, by a statement of their own: only that sees what those have
    /// written whom this waited for. Whoever locks several gives them sorted, and the statement has the same `order by`.
    pub fn lock(&mut self, many: &Many, params: &[Param]) -> Result<Option<u64>> {
        match self.read.conn {
            Conn::Sqlite(_) => Ok(None),
            Conn::Postgres(_) => {
                let mut rows = 0;
                self.many(many, params, |_| {
                    rows += 1;
                    Ok(())
                })?;
                Ok(Some(rows))
            }
        }
    }
    /// Says that somebody else's transaction was first: this one is undone and runs again, whatever the closure answers.
    pub fn lost_race(&mut self, to: &str) -> Error {
        let error = Error::Again(format!("{to} was first"));
        self.read.failed.get_or_insert_with(|| error.clone());
        error
    }
    /// Wakes the waiters of `topic` once this transaction is durable.
    pub fn signal(&mut self, topic: Topic) {
        self.topics |= 1 << topic.0;
    }
    /// Runs a statement; the number of rows it changed.
    pub fn execute(&mut self, sql: &str, params: &[Param]) -> Result<u64> {
        let result = match &mut self.read.conn {
            Conn::Sqlite(conn) => crate::sqlite::execute(conn, sql, params),
            Conn::Postgres(conn) => conn.run(Given::Row(sql, params), &mut |_| Ok(())),
        };
        self.read.noted(result)
    }
    /// A set-based insert or update: `params` holds the columns of row 0, then of row 1, and so on. Returned rows go to
    /// `each`, in any order. The number of rows changed.
    pub fn many(&mut self, many: &Many, params: &[Param], mut each: impl FnMut(&Row) -> Result<()>) -> Result<u64> {
        self.read.many(many, params, &mut each)
    }
    /// [`Tx::many`] for a statement of which nothing is to be known. On PostgreSQL it goes out with the next statement that
    /// answers something, or with the commit, and its error shows there: either way nothing of the transaction stays.
    pub fn run_many(&mut self, many: &Many, params: &[Param]) -> Result<()> {
        if let (Ok(1..), Conn::Postgres(conn)) = (many.rows(params), &mut self.read.conn) {
            let result = conn.defer(Given::Rows(many, params));
            return self.read.noted(result);
        }
        self.many(many, params, |_| Ok(())).map(drop)
    }
    /// Runs statements none of which needs what another answers, in their order. On PostgreSQL they share a round trip.
    pub fn together(&mut self, mut asks: Vec<Ask>) -> Result<()> {
        asks.retain(|ask| !ask.is_empty());
        if let Some(error) = asks.iter().find_map(|ask| ask.check().err()) {
            return self.read.noted(Err(error));
        }
        match &mut self.read.conn {
            Conn::Postgres(conn) => {
                let result = conn.ask(asks);
                self.read.noted(result)
            }
            Conn::Sqlite(_) => asks.into_iter().try_for_each(|mut ask| match ask.what {
                What::Lock(_) => Ok(()),
                What::Select(many) | What::Apart(many) => self.many(many, &ask.params, &mut ask.each).map(drop),
                What::Numbers(count) => {
                    let last = self.last_number(count)?;
                    self.each(KNOWN, &[last.into()], &mut ask.each)
                }
            }),
        }
    }
    /// Takes `count` numbers of SQLite's one writer; the last of them.
    fn last_number(&mut self, count: i64) -> Result<i64> {
        if self.ids.numbers.end - self.ids.numbers.start < count {
            let ahead = count.max(NUMBERS_AHEAD);
            let last = self.read.opt(LAST_NUMBER, &[ahead.into()], |row| row.get::<i64>(0))?;
            let end = 1 + last.ok_or_else(|| Error::Sql("there are no numbers".into()))?;
            self.ids.numbers = end - ahead..end;
        }
        self.ids.numbers.start += count;
        Ok(self.ids.numbers.start - 1)
    }
}
