//! What goes to the server in one way there and back.
//!
//! A round trip costs both sides more than a statement of a few rows, so nothing waits for an answer that nobody needs yet:
//! - **A transaction begins with its first statement**, if that only reads: should the `begin` fail, nothing has happened
//!   outside a transaction.
//! - **What gives nothing back waits** ([`Session::defer`]) and goes out before the next statement that does, or with the
//!   commit. Its error shows there; the transaction is lost either way.
//! - **Inserts that wait one behind the other, and selects that go together,** become one statement each: the answer of
//!   every statement is sent, and wakes this side, by itself.
//! - **Several statements that do not need each other's answers** go out together ([`Session::together`]).
//!
//! The server runs what it gets in order, and after an error refuses the rest of the transaction, the commit too: so the
//! first error is the one that counts.

use super::session::{Fault, Session};
use super::types::array;
use crate::ask::What;
use crate::many::locks;
use crate::{Ask, Error, Many, Param, Result, Row};
use futures::future::{FutureExt, LocalBoxFuture, OptionFuture, join, join_all};
use futures::stream::TryStreamExt;
use std::cell::Cell;
use std::fmt::Write;
use std::pin::pin;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

/// Statements that wait at most.
const DEFERRED: usize = 16;

/// Parameters of a statement.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    /// As they stand.
    Row(&'a str, &'a [Param<'a>]),
    /// The columns of row 0, then of row 1, and so on.
    Rows(&'a Many, &'a [Param<'a>]),
}

impl Given<'_> {
    fn sql(&self) -> &str {
        match self {
            Given::Row(sql, _) => sql,
            Given::Rows(many, _) => many.postgres(),
        }
    }
    fn is_select(&self) -> bool {
        self.sql().trim_start().starts_with("select")
    }
    /// Whether it can stand beside other selects in one statement; what locks cannot.
    fn is_plain(&self) -> bool {
        self.is_select() && !locks(self.sql())
    }
}

const NEXT_NUMBERS: &str = "select array(select nextval('numbers') from generate_series(1, $1::bigint))";

/// What another connection does while this one waits.
type Meanwhile<'a> = LocalBoxFuture<'a, ()>;
/// What is called for a row.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&Row) -> Result<()>;

/// The same of a flight.
type Called<'a> = Box<dyn FnMut(&Row) -> Result<()> + 'a>;

/// A statement, what is called for its rows, and how many it changed or gave.
type Asked<'g, 'e> = (Given<'g>, Each<'e>, u64);

/// A parameter as it goes over the wire; none for null.
#[derive(Debug)]
struct Encoded(Option<BytesMut>);

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match &self.0 {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }
    fn accepts(_: &Type) -> bool {
        true // encoded for the statement's own type
    }
    to_sql_checked!();
}

/// A statement with its parameters.
pub(super) struct Ready {
    sql: String,
    params: Vec<Encoded>,
    /// It only adds rows; see [`joined`].
    only_adds: bool,
}

/// Makes one statement of inserts that follow each other, only add rows and go into different tables. None looks at what
/// another adds, so it is the same to them that they see the tables as before all of them. Who comes first matters only
/// where two transactions add the same keys: the server runs the last part first and then the others from the back, so they
/// stand in that order, and rows are added as they were given.
fn joined(flight: Vec<Ready>) -> Vec<Ready> {
    let into = |sql: &str| sql.split('(').next().map(str::to_owned);
    let mut all: Vec<Ready> = Vec::with_capacity(flight.len());
    let mut flight = flight.into_iter().peekable();
    while let Some(mut first) = flight.next() {
        let (mut parts, mut tables) = (Vec::new(), vec![into(&first.sql)]);
        while let Some(next) =
            flight.next_if(|next| first.only_adds && next.only_adds && !tables.contains(&into(&next.sql)))
        {
            tables.push(into(&next.sql));
            parts.push(moved(&next.sql, first.params.len()));
            first.params.extend(next.params);
        }
        if !parts.is_empty() {
            let parts = parts.iter().enumerate().rev().map(|(index, part)| format!("part{index} as ({part})"));
            first.sql = format!("with {} {}", parts.collect::<Vec<_>>().join(", "), first.sql);
        }
        all.push(first);
    }
    all
}

/// The statement with its parameters numbered from `by + 1` on.
fn moved(sql: &str, by: usize) -> String {
    let mut parts = sql.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = part[..digits].parse().expect("a statement over rows has numbered parameters only");
        let _ = write!(text, "${}{}", number + by, &part[digits..]);
    }
    text
}

/// Why a commit did not end well.
pub(super) enum Uncommitted {
    /// Nothing of the transaction happened.
    Undone(Error),
    /// Nobody knows.
    Unknown(Error),
}

/// One statement on its way.
async fn run(client: &Client, statement: &Statement, params: &[Encoded], each: Each<'_>) -> Result<u64, Fault> {
    let mut rows = pin!(client.query_raw(statement, params).await?);
    let (mut given, mut failed) = (0, None);
    while let Some(row) = rows.try_next().await? {
        given += 1;
        if failed.is_none() {
            failed = each(&Row::Postgres(&row, 0)).err();
        }
    }
    failed.map_or(Ok(rows.rows_affected().unwrap_or(given)), |error| Err(Fault::Caller(error)))
}

impl Session {
    /// Encodes the parameters for what the statement takes.
    fn ready(&mut self, given: Given) -> Result<Ready> {
        let sql = given.sql();
        let statement = self.prepare(sql)?;
        let types = statement.params();
        let width = match given {
            Given::Row(_, params) => params.len(),
            Given::Rows(many, _) => many.columns.len(),
        };
        if width != types.len() {
            return Err(Error::Sql(format!("{width} parameters for the {} of {sql:?}", types.len())));
        }
        let mut params = Vec::with_capacity(width);
        for (column, ty) in types.iter().enumerate() {
            let mut bytes = BytesMut::new();
            let encoded = match given {
                Given::Row(_, params) => params[column].to_sql(ty, &mut bytes),
                Given::Rows(_, params) => {
                    array(params[column..].iter().step_by(width), ty, &mut bytes).map(|()| IsNull::No)
                }
            };
            let encoded = encoded.map_err(|error| Error::Sql(error.to_string()))?;
            params.push(Encoded(matches!(encoded, IsNull::No).then_some(bytes)));
        }
        let only_adds = matches!(given, Given::Rows(many, _) if many.only_adds());
        Ok(Ready { sql: sql.to_owned(), params, only_adds })
    }

    /// Takes a statement that gives nothing back; it is sent before the next that does.
    pub(crate) fn defer(&mut self, given: Given) -> Result<()> {
        self.wrote = true;
        let ready = self.ready(given)?;
        self.deferred.push(ready);
        if self.deferred.len() < DEFERRED { Ok(()) } else { self.together(&mut []) }
    }

    /// Runs one statement; how many rows it changed or gave.
    pub(crate) fn run(&mut self, given: Given, each: Each) -> Result<u64> {
        let mut asks = [(given, each, 0)];
        self.together(&mut asks)?;
        Ok(asks[0].2)
    }

    /// Sends what waits and these.
    ///
    /// A connection that turns out to be gone before the transaction has begun, or in no state to begin one, is replaced,
    /// once.
    fn together(&mut self, asks: &mut [Asked]) -> Result<()> {
        self.together_with(asks, None)
    }

    fn together_with(&mut self, asks: &mut [Asked], mut meanwhile: Option<Meanwhile>) -> Result<()> {
        let reads = asks.iter().all(|(given, ..)| given.is_select());
        self.wrote |= !reads;
        let Some(begin) = self.pending.take() else { return self.fly(asks, None, meanwhile.take()) };
        for last in [false, true] {
            let (mut begun, mut done) = (false, Ok(()));
            if reads && self.deferred.is_empty() {
                done = self.fly(asks, Some((begin, &mut begun)), meanwhile.take());
            } else {
                begun = self.simple(begin).inspect_err(|error| done = Err(error.clone())).is_ok();
                self.open |= begun;
                if begun {
                    done = self.fly(asks, None, meanwhile.take());
                }
            }
            if begun {
                self.open = !self.is_lost();
            } else if done.is_err() {
                self.lose();
                if !last {
                    self.ensure()?;
                    continue;
                }
            }
            return done;
        }
        unreachable!("the last round returns")
    }

    /// [`crate::Tx::together`].
    pub(crate) fn ask(&mut self, mut asks: Vec<Ask>) -> Result<()> {
        let (mut here, mut apart): (Vec<Asked>, Vec<(Given, Each)>) = Default::default();
        for Ask { what, params, each } in &mut asks {
            match *what {
                What::Select(many) | What::Lock(many) => here.push((Given::Rows(many, params), each, 0)),
                What::Numbers(_) => here.push((Given::Row(NEXT_NUMBERS, params), each, 0)),
                What::Apart(many) => apart.push((Given::Rows(many, params), each)),
            }
        }
        for (given, each) in apart {
            self.apart(given, each, std::mem::take(&mut here))?;
        }
        if here.is_empty() { Ok(()) } else { self.together(&mut here) }
    }

    /// Runs a statement that commits by itself on the connection beside this one, and meanwhile `here` on this one.
    fn apart(&mut self, given: Given, each: Each, mut here: Vec<Asked>) -> Result<()> {
        for last in [false, true] {
            let mut beside = self.beside()?;
            let here = std::mem::take(&mut here);
            let (done, flown) = if here.is_empty() {
                (beside.run(given, each).map(drop), Ok(()))
            } else {
                self.side_by_side(&mut beside, given, each, here)
            };
            let lost = beside.is_lost();
            self.beside = Some(beside);
            flown?;
            match done {
                // Idle connections may be lost; what it took, if it did, is a gap.
                Err(_) if lost && !last => {}
                done => return done,
            }
        }
        unreachable!("the last round returns")
    }

    /// One statement beside, others here; what came of each.
    fn side_by_side(
        &mut self,
        beside: &mut Session,
        given: Given,
        each: Each,
        mut here: Vec<Asked>,
    ) -> (Result<()>, Result<()>) {
        let ready = match beside.ready(given).and_then(|ready| Ok((beside.prepare(&ready.sql)?, ready))) {
            Ok(ready) => ready,
            Err(error) => return (Err(error), self.together(&mut here)),
        };
        let Some(connected) = &beside.connected else { return (Err(Error::away("not connected")), Ok(())) };
        let mut done = None;
        let meanwhile = async { done = Some(run(&connected.client, &ready.0, &ready.1.params, each).await) };
        let flown = self.together_with(&mut here, Some(meanwhile.boxed_local()));
        let done = match done {
            Some(Ok(_)) => Ok(()),
            Some(Err(Fault::Caller(error))) => Err(error),
            Some(Err(Fault::Driver(error))) => Err(beside.failed(&error)),
            None => Err(Error::Unavailable("not asked".into())),
        };
        (done, flown)
    }

    /// One statement of these selects. Its first column says whose row it is; the columns of each begin where is said, and
    /// are null in the rows of the others.
    fn beside_each_other(&mut self, selects: &[&mut Asked]) -> Result<(Ready, Vec<usize>)> {
        let mut types = Vec::new();
        let mut starts = Vec::with_capacity(selects.len());
        for (given, ..) in selects {
            starts.push(1 + types.len());
            types.extend(self.prepare(given.sql())?.columns().iter().map(|column| column.type_().name().to_owned()));
        }
        let mut all = Ready { sql: String::new(), params: Vec::new(), only_adds: false };
        let nulls = |types: &[String]| types.iter().fold(String::new(), |text, ty| text + ", null::" + ty);
        for (part, (given, ..)) in selects.iter().enumerate() {
            let ready = self.ready(*given)?;
            let end = starts.get(part + 1).map_or(types.len(), |next| next - 1);
            let (before, after) = (nulls(&types[..starts[part] - 1]), nulls(&types[end..]));
            let (union, sql) = (if part == 0 { "" } else { " union all " }, moved(&ready.sql, all.params.len()));
            let _ = write!(all.sql, "{union}select {part}{before}, q.*{after} from ({sql}) q");
            all.params.extend(ready.params);
        }
        Ok((all, starts))
    }

    /// Sends these, with a `begin` in front of them that notes whether it succeeded.
    fn fly(
        &mut self,
        asks: &mut [Asked],
        begin: Option<(&str, &mut bool)>,
        meanwhile: Option<Meanwhile>,
    ) -> Result<()> {
        let mut flight = joined(std::mem::take(&mut self.deferred));
        let mut eaches: Vec<Called> = flight.iter().map(|_| Box::new(|_: &Row| Ok(())) as Called).collect();
        let mut alone: Vec<(usize, &mut u64)> = Vec::new();
        let mut asks = asks.iter_mut().peekable();
        while let Some(first) = asks.next() {
            let mut selects = vec![first];
            while selects[0].0.is_plain()
                && let Some(next) = asks.next_if(|next| next.0.is_plain())
            {
                selects.push(next);
            }
            if selects.len() > 1 {
                let (ready, starts) = self.beside_each_other(&selects)?;
                flight.push(ready);
                eaches.push(Box::new(move |row| {
                    let Row::Postgres(row, _) = row else { return Ok(()) };
                    let part = row.get::<_, i32>(0) as usize;
                    selects[part].2 += 1;
                    (selects[part].1)(&Row::Postgres(row, starts[part]))
                }));
            } else if let Some((given, each, count)) = selects.pop() {
                alone.push((flight.len(), count));
                flight.push(self.ready(*given)?);
                eaches.push(Box::new(each));
            }
        }
        let statements = self.statements_of(&flight)?;
        let counted = self.answer(async |client| {
            let begin = async {
                if let Some((begin, begun)) = begin {
                    client.simple_query(begin).await?;
                    *begun = true;
                }
                Ok::<_, Fault>(())
            };
            let all = flight.iter().zip(&statements).zip(&mut eaches);
            let all = all.map(|((ready, statement), each)| run(client, statement, &ready.params, &mut **each));
            // Polled in this order, which is that of sending.
            let ((begun, done), ()) = join(join(begin, join_all(all)), OptionFuture::from(meanwhile).map(|_| ())).await;
            begun?;
            done.into_iter().collect::<Result<Vec<u64>, Fault>>()
        })?;
        alone.into_iter().for_each(|(index, count)| *count = counted[index]);
        Ok(())
    }

    fn statements_of(&mut self, flight: &[Ready]) -> Result<Vec<Statement>> {
        flight.iter().map(|ready| self.prepare(&ready.sql)).collect()
    }

    /// Sends what waits, and the commit with it.
    pub(super) fn commit(&mut self) -> Result<(), Uncommitted> {
        if self.pending.is_some() {
            if self.deferred.is_empty() {
                self.pending = None;
                return Ok(());
            }
            let deferred = std::mem::take(&mut self.deferred);
            // Nothing of what waits was sent: to begin again is safe.
            self.wrote = true;
            self.begin_now().map_err(Uncommitted::Undone)?;
            self.deferred = deferred;
        }
        let flight = joined(std::mem::take(&mut self.deferred));
        let statements = self.statements_of(&flight).map_err(Uncommitted::Undone)?;
        let (refused, undone) = (Cell::new(false), Cell::new(false));
        let mut nothing: Vec<_> = flight.iter().map(|_| |_: &Row| Ok(())).collect();
        let done = self.answer(async |client| {
            let all = flight.iter().zip(&statements).zip(&mut nothing).map(|((ready, statement), each)| {
                let refused = &refused;
                async move {
                    let done = run(client, statement, &ready.params, each).await;
                    refused.set(refused.get() || done.is_err());
                    done
                }
            });
            let commit = async {
                // What could not even be sent is no reason to commit the rest.
                if refused.get() { Ok(()) } else { client.simple_query("commit").await.map(drop) }
            };
            let (done, committed) = join(join_all(all), commit).await;
            for done in done {
                // The server has said what it thinks of it: it refuses the commit as well.
                done.inspect_err(|fault| undone.set(fault.is_said()))?;
            }
            Ok(committed?)
        });
        match done {
            Ok(()) => {
                self.open = false;
                Ok(())
            }
            Err(error) if undone.get() || !self.is_lost() => Err(Uncommitted::Undone(error)),
            Err(error) => Err(Uncommitted::Unknown(error)),
        }
    }

    /// Begins the transaction that is pending, without a statement.
    fn begin_now(&mut self) -> Result<()> {
        let Some(begin) = self.pending.take() else { return Ok(()) };
        let mut begun = self.simple(begin);
        if begun.is_err() {
            self.lose();
            self.ensure()?;
            begun = self.simple(begin);
        }
        begun?;
        self.open = true;
        Ok(())
    }
}
