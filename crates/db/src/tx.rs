//! What a closure sees: a [`Read`] inside one snapshot, or a [`Tx`] that may also write.

use crate::postgres::Session;
use crate::{Error, Ids, Many, Param, Result, Row, Topic};
use std::ops::{Deref, DerefMut};
use uuid::Uuid;

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
            Conn::Postgres(conn) => conn.each(sql, params, &mut each).map(drop),
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
            (_, Conn::Postgres(conn)) => conn.many(many, params, each),
        };
        self.noted(result)
    }
}

/// Numbers that were taken and wait to be given.
pub struct Numbers(std::vec::IntoIter<i64>);

impl Numbers {
    /// The next of them.
    ///
    /// Errors: [`Error::Sql`] when more are asked for than were taken.
    pub fn take(&mut self) -> Result<i64> {
        self.0.next().ok_or_else(|| Error::Sql("more numbers are used than were taken".into()))
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
    /// Takes `count` numbers of the installation, ascending. No two committed transactions hold one number, and a
    /// transaction that takes later takes greater ones. What is not used leaves a gap. Needs a migration with `{{numbers}}`.
    pub fn take_numbers(&mut self, count: usize) -> Result<Numbers> {
        let mut numbers = Vec::with_capacity(count);
        if count > 0 {
            let params = [Param::Int(count as i64)];
            match self.read.conn {
                Conn::Sqlite(_) => self.each("update numbers set last = last + $1 returning last", &params, |row| {
                    let last: i64 = row.get(0)?;
                    numbers.extend(last - count as i64 + 1..=last);
                    Ok(())
                })?,
                Conn::Postgres(_) => {
                    self.each("select nextval('numbers') from generate_series(1, $1::bigint)", &params, |row| {
                        numbers.push(row.get(0)?);
                        Ok(())
                    })?
                }
            }
        }
        Ok(Numbers(numbers.into_iter()))
    }
    /// Takes one number; see [`Tx::take_numbers`].
    pub fn take_number(&mut self) -> Result<i64> {
        self.take_numbers(1)?.take()
    }
    /// Runs a statement that takes from a counter, and answers its first row. On PostgreSQL it commits by itself at once,
    /// over a connection of its own: whoever else takes from the counter waits for this statement and not for this
    /// transaction, and what is taken by one that is undone is gone. On SQLite, with one writer, it is a statement like any
    /// other. A row that this very transaction has made is not seen on PostgreSQL; one that it has changed must not be asked
    /// for, which would wait for itself.
    pub fn apart<T>(&mut self, sql: &str, params: &[Param], read: impl Fn(&Row) -> Result<T>) -> Result<Option<T>> {
        let Conn::Postgres(conn) = &mut self.read.conn else { return self.opt(sql, params, read) };
        let mut first = None;
        let result = conn.apart(sql, params, &mut |row| {
            first = Some(read(row)?);
            Ok(())
        });
        self.read.noted(result)?;
        Ok(first)
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
    /// The first error of a statement, also one that the closure has swallowed.
    pub(crate) fn failed(&self) -> Option<&Error> {
        self.read.failed.as_ref()
    }
    /// Wakes the waiters of `topic` once this transaction is durable.
    pub fn signal(&mut self, topic: Topic) {
        self.topics |= 1 << topic.0;
    }
    /// Runs a statement; the number of rows it changed.
    pub fn execute(&mut self, sql: &str, params: &[Param]) -> Result<u64> {
        let result = match &mut self.read.conn {
            Conn::Sqlite(conn) => crate::sqlite::execute(conn, sql, params),
            Conn::Postgres(conn) => conn.execute(sql, params),
        };
        self.read.noted(result)
    }
    /// A set-based insert or update: `params` holds the columns of row 0, then of row 1, and so on. Returned rows go to
    /// `each`, in any order. The number of rows changed.
    pub fn many(&mut self, many: &Many, params: &[Param], mut each: impl FnMut(&Row) -> Result<()>) -> Result<u64> {
        self.read.many(many, params, &mut each)
    }
    /// [`Tx::many`] for a statement that returns no rows.
    pub fn run_many(&mut self, many: &Many, params: &[Param]) -> Result<u64> {
        self.many(many, params, |_| Ok(()))
    }
}
