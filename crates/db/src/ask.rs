//! Statements that are run together; see [`crate::Tx::together`].

use crate::{Error, Many, Param, Result, Row};
use std::collections::VecDeque;

/// What is called for each row.
type Each<'a> = Box<dyn FnMut(&Row) -> Result<()> + 'a>;

/// A statement and what to do with its rows.
pub struct Ask<'a> {
    pub(crate) what: What<'a>,
    pub(crate) params: Vec<Param<'a>>,
    pub(crate) each: Each<'a>,
}

/// What kind of statement.
#[derive(Clone, Copy)]
pub(crate) enum What<'a> {
    Select(&'a Many),
    Lock(&'a Many),
    Apart(&'a Many),
    /// How many.
    Numbers(i64),
}

impl<'a> Ask<'a> {
    /// A set-based select: `params` holds the columns of row 0, then of row 1, and so on.
    pub fn select(many: &'a Many, params: Vec<Param<'a>>, each: impl FnMut(&Row) -> Result<()> + 'a) -> Ask<'a> {
        Ask { what: What::Select(many), params, each: Box::new(each) }
    }
    /// Locks rows, as [`crate::Tx::lock`] does, and counts them in `locked`; nothing on SQLite.
    pub fn lock(many: &'a Many, params: Vec<Param<'a>>, locked: &'a mut u64) -> Ask<'a> {
        let count = move |_: &Row| {
            *locked += 1;
            Ok(())
        };
        Ask { what: What::Lock(many), params, each: Box::new(count) }
    }
    /// A set-based statement that takes from counters, sorted. On PostgreSQL it commits by itself at once, over a connection
    /// of its own: whoever else takes from the counter waits for this statement and not for this transaction, and what is
    /// taken by one that is undone is gone. On SQLite, with one writer, it is a statement like any other. A row that this
    /// very transaction has made is not seen on PostgreSQL; one that it has changed must not be asked for, which would wait
    /// for itself.
    pub fn apart(many: &'a Many, params: Vec<Param<'a>>, each: impl FnMut(&Row) -> Result<()> + 'a) -> Ask<'a> {
        Ask { what: What::Apart(many), params, each: Box::new(each) }
    }
    /// Takes `count` numbers of the installation, ascending. No two committed transactions hold one number, and a
    /// transaction that takes later takes greater ones. What is not used leaves a gap. Needs a migration with `{{numbers}}`.
    pub fn numbers(count: usize, numbers: &'a mut Numbers) -> Ask<'a> {
        let count = count as i64;
        let take = move |row: &Row| {
            match row {
                Row::Sqlite(_) => {
                    let last: i64 = row.get(0)?;
                    numbers.0.extend(last - count + 1..=last);
                }
                // All in one row: other parts of the statement make each row wide.
                Row::Postgres(row, start) => {
                    let all = row.try_get::<_, Vec<i64>>(*start).map_err(|error| Error::Sql(error.to_string()))?;
                    numbers.0.extend(all);
                }
            }
            Ok(())
        };
        Ask { what: What::Numbers(count), params: vec![count.into()], each: Box::new(take) }
    }
    /// Errors: [`Error::Sql`] for a part of a row.
    pub(crate) fn check(&self) -> Result<()> {
        match self.what {
            What::Select(many) | What::Lock(many) | What::Apart(many) => many.rows(&self.params).map(drop),
            What::Numbers(_) => Ok(()),
        }
    }
    /// Whether it asks for nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.params.is_empty() || matches!(self.what, What::Numbers(..=0))
    }
}

/// Numbers that were taken and wait to be given.
#[derive(Default)]
pub struct Numbers(VecDeque<i64>);

impl Numbers {
    /// The next of them.
    ///
    /// Errors: [`Error::Sql`] when more are asked for than were taken.
    pub fn take(&mut self) -> Result<i64> {
        self.0.pop_front().ok_or_else(|| Error::Sql("more numbers are used than were taken".into()))
    }
}
