//! The whole of one database into another, of either engine: page by page, resumable, verified.
//!
//! What it guarantees:
//! - Every table that the source's own catalogue names is copied, or the move refuses to begin.
//! - The target's note of how far a table has come is written in the transaction of the rows, so a move that was killed
//!   goes on where it was.
//! - A move ends well only if the rows that were copied, those of the source at the end and those of the target at the end
//!   have the same count and checksum, table by table. A source that changed meanwhile is a refusal, never a loss.
//! - Numbers that the source gave are not given again by the target.
//! - From the beginning the source is marked as moved and the target as unfinished ([`mark`]): no server starts on either
//!   until the move has ended, and none on the source after it.
//! - Memory is bounded by two pages of [`PAGE_ROWS`] rows and about [`PAGE_BYTES`].

use crate::catalogue::{self, Column, Table};
use crate::{Db, Error, Many, Param, Read, Result, Row, Tx, Ty, params};
use futures::future::join;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Rows of one page at most.
pub const PAGE_ROWS: usize = 500;
/// Bytes of values after which a page takes no further row.
pub const PAGE_BYTES: usize = 1024 * 1024;
/// Rows of the first page of a table, before the size of its rows is known.
const FIRST_ROWS: usize = 32;
/// Rows above which PostgreSQL's estimate is good enough: counting more takes minutes.
const COUNTED: i64 = 1_000_000;

/// Why a move does not begin, go on or end well.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// A database did not do what it was asked; the move can go on later.
    #[error(transparent)]
    Engine(#[from] Error),
    /// What the operator has to decide about, in one line.
    #[error("{0}")]
    Refused(String),
}

/// Which side of a move a database is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Its rows have gone, or are going, to another database.
    Source {
        /// Which, without its password.
        to: String,
        /// Whether all of them have arrived.
        finished: bool,
    },
    /// Not all rows of another database have arrived here yet.
    Unfinished {
        /// Which, without its password.
        from: String,
    },
}

const MARKS: &str = "select side, id, other, finished_at from store_moves order by side";
const SET_MARK: &str = "insert into store_moves (side, id, other, finished_at) values ($1, $2, $3, $4) \
     on conflict (side) do update set id = excluded.id, other = excluded.other, finished_at = excluded.finished_at";
const DROP_MARK: &str = "delete from store_moves where side = $1";
const NOTES: &str = "select name, last, rows, digest from store_move_tables";
const SET_NOTE: &str = "insert into store_move_tables (name, last, rows, digest) values ($1, $2, $3, $4) \
     on conflict (name) do update set last = excluded.last, rows = excluded.rows, digest = excluded.digest";
const DROP_NOTES: &str = "delete from store_move_tables";
const SOURCE: &str = "from";
const TARGET: &str = "to";

/// What a move has left on this database; none on one that may be served.
pub fn mark(read: &mut Read) -> Result<Option<Mark>> {
    let marks = marks(read)?;
    Ok(marks
        .target
        .map(|mark| Mark::Unfinished { from: mark.other })
        .or(marks.source.map(|mark| Mark::Source { to: mark.other, finished: mark.finished_at.is_some() })))
}

/// Takes the mark of a source away, so that it may be served again; that of an unfinished target stays.
pub fn reopen(tx: &mut Tx) -> Result<()> {
    tx.execute(DROP_MARK, &params![SOURCE]).map(drop)
}

#[derive(Clone)]
struct Written {
    id: Uuid,
    other: String,
    finished_at: Option<i64>,
}

#[derive(Default)]
struct Marks {
    source: Option<Written>,
    target: Option<Written>,
}

fn marks(read: &mut Read) -> Result<Marks> {
    let mut marks = Marks::default();
    read.each(MARKS, &[], |row| {
        let written = Written { id: row.get(1)?, other: row.get(2)?, finished_at: row.get(3)? };
        *(if row.get::<String>(0)? == SOURCE { &mut marks.source } else { &mut marks.target }) = Some(written);
        Ok(())
    })?;
    Ok(marks)
}

/// The rows of a table in two numbers, the same on both engines and in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub rows: u64,
    /// The sum of the rows' hashes, modulo 2^128.
    pub digest: u128,
}

impl Sum {
    fn add(&mut self, table: &Table, row: &[Value]) {
        let mut columns: Vec<usize> = (0..row.len()).collect();
        columns.sort_unstable_by_key(|column| &table.columns[*column].name);
        let mut bytes = Vec::with_capacity(256);
        columns.into_iter().for_each(|column| row[column].write(&mut bytes));
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        let half = hash.first_chunk().copied().map_or(0, u128::from_le_bytes);
        *self = Sum { rows: self.rows + 1, digest: self.digest.wrapping_add(half) };
    }
}

/// Counts and sums every table; on PostgreSQL in as many snapshots as there are pages.
pub async fn sums(db: &Db) -> Result<BTreeMap<String, Sum>> {
    let mut sums = BTreeMap::new();
    for table in db.read(catalogue::tables).await? {
        let table = Arc::new(table);
        sums.insert(table.name.clone(), sum(db, &table).await?);
    }
    Ok(sums)
}

async fn sum(db: &Db, table: &Arc<Table>) -> Result<Sum> {
    let (mut sum, mut pages) = (Sum::default(), Pages::new(db, table, Vec::new()));
    while let Some(page) = pages.next().await? {
        page.rows().for_each(|row| sum.add(table, row));
    }
    Ok(sum)
}

/// A value on its way.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
    Uuid(Uuid),
}

impl Value {
    fn read(row: &Row, index: usize, ty: Ty) -> Result<Value> {
        let value = match ty {
            Ty::Bool => row.get::<Option<bool>>(index)?.map(Value::Bool),
            Ty::Int => row.get::<Option<i64>>(index)?.map(Value::Int),
            Ty::Real => row.get::<Option<f64>>(index)?.map(Value::Real),
            Ty::Text | Ty::Json => row.get::<Option<String>>(index)?.map(Value::Text),
            Ty::Bytes => row.get::<Option<Vec<u8>>>(index)?.map(Value::Bytes),
            Ty::Uuid => row.get::<Option<Uuid>>(index)?.map(Value::Uuid),
        };
        Ok(value.unwrap_or(Value::Null))
    }
    fn param(&self) -> Param<'_> {
        match self {
            Value::Null => Param::Null,
            Value::Bool(value) => Param::Bool(*value),
            Value::Int(value) => Param::Int(*value),
            Value::Real(value) => Param::Real(*value),
            Value::Text(value) => Param::Text(value),
            Value::Bytes(value) => Param::Bytes(value),
            Value::Uuid(value) => Param::Uuid(*value),
        }
    }
    fn bytes(&self) -> usize {
        match self {
            Value::Text(value) => value.len(),
            Value::Bytes(value) => value.len(),
            _ => 16,
        }
    }
    /// A tag, a length where there is one, and the value: no two rows are written alike.
    fn write(&self, out: &mut Vec<u8>) {
        let mut part = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes);
        };
        match self {
            Value::Null => part(0, &[]),
            Value::Bool(value) => part(1, &[u8::from(*value)]),
            Value::Int(value) => part(2, &value.to_le_bytes()),
            Value::Real(value) => part(3, &value.to_bits().to_le_bytes()),
            Value::Text(value) => part(4, value.as_bytes()),
            Value::Bytes(value) => part(5, value),
            Value::Uuid(value) => part(6, value.as_bytes()),
        }
    }
    /// What [`Value::write`] wrote at the start of `bytes`, and what follows it.
    fn parse(bytes: &[u8]) -> Option<(Value, &[u8])> {
        let (&[tag], rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (bytes, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let value = match tag {
            0 => Value::Null,
            1 => Value::Bool(bytes == [1]),
            2 => Value::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
            3 => Value::Real(f64::from_bits(u64::from_le_bytes(bytes.try_into().ok()?))),
            4 => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
            5 => Value::Bytes(bytes.to_vec()),
            6 => Value::Uuid(Uuid::from_slice(bytes).ok()?),
            _ => return None,
        };
        Some((value, rest))
    }
}

fn write_key(key: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.iter().for_each(|value| value.write(&mut bytes));
    bytes
}

fn parse_key(mut bytes: &[u8]) -> Option<Vec<Value>> {
    let mut key = Vec::new();
    while !bytes.is_empty() {
        let (value, rest) = Value::parse(bytes)?;
        key.push(value);
        bytes = rest;
    }
    Some(key)
}

/// Some rows of a table, one after the other.
struct Page {
    values: Vec<Value>,
    columns: usize,
}

impl Page {
    fn rows(&self) -> std::slice::ChunksExact<'_, Value> {
        self.values.chunks_exact(self.columns)
    }
}

/// The pages of a table in the order of its key.
struct Pages {
    db: Db,
    table: Arc<Table>,
    /// Key of the last row that was read; empty before the first.
    after: Vec<Value>,
    limit: usize,
    ended: bool,
}

impl Pages {
    fn new(db: &Db, table: &Arc<Table>, after: Vec<Value>) -> Pages {
        Pages { db: db.clone(), table: table.clone(), after, limit: FIRST_ROWS, ended: false }
    }

    /// The next rows; none after the last.
    async fn next(&mut self) -> Result<Option<Page>> {
        if self.ended {
            return Ok(None);
        }
        let (table, after, limit) = (self.table.clone(), self.after.clone(), self.limit);
        let (values, bytes, given) = self.db.read(move |read| rows(read, &table, &after, limit)).await?;
        let page = Page { values, columns: self.table.columns.len() };
        let Some(last) = page.rows().last() else {
            self.ended = true;
            return Ok(None);
        };
        // SQLite allows it in some tables; no page would come after it.
        let key = &self.table.key;
        if page.rows().any(|row| key.iter().any(|column| row[*column] == Value::Null)) {
            return Err(Error::Sql(format!("a row of {} has no key", self.table.name)));
        }
        self.after = key.iter().map(|column| last[*column].clone()).collect();
        let taken = page.rows().len();
        self.ended = given < limit && given == taken;
        self.limit = (PAGE_BYTES * taken / bytes.max(1)).clamp(1, PAGE_ROWS);
        Ok(Some(page))
    }
}

/// One page: its values, their bytes, and how many rows the database gave. Those past [`PAGE_BYTES`] are left for the next.
fn rows(read: &mut Read, table: &Table, after: &[Value], limit: usize) -> Result<(Vec<Value>, usize, usize)> {
    let names = |columns: &mut dyn Iterator<Item = &Column>| {
        columns.map(|column| format!("\"{}\"", column.name)).collect::<Vec<_>>().join(", ")
    };
    let key = names(&mut table.key.iter().map(|column| &table.columns[*column]));
    let beyond = match after.len() {
        0 => String::new(),
        width => format!(" where ({key}) > ({})", numbers(1..=width)),
    };
    let columns = names(&mut table.columns.iter());
    let name = &table.name;
    let sql = format!("select {columns} from \"{name}\"{beyond} order by {key} limit ${}", after.len() + 1);
    let limit = Param::Int(limit as i64);
    let params: Vec<Param> = after.iter().map(Value::param).chain([limit]).collect();
    let (mut values, mut bytes, mut given) = (Vec::new(), 0, 0);
    read.each(&sql, &params, |row| {
        given += 1;
        if bytes < PAGE_BYTES {
            for (index, column) in table.columns.iter().enumerate() {
                let value = Value::read(row, index, column.ty)
                    .map_err(|error| Error::Sql(format!("{name}.{}: {error}", column.name)))?;
                bytes += value.bytes();
                values.push(value);
            }
        }
        Ok(())
    })?;
    Ok((values, bytes, given))
}

fn numbers(numbers: impl Iterator<Item = usize>) -> String {
    numbers.map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// How far a move has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The table at hand.
    pub table: &'a str,
    /// Rows of all tables that are in the target.
    pub rows: u64,
    /// Rows of the source, as far as it knows without counting for long.
    pub of: u64,
}

/// A table on both sides.
struct Pair {
    from: Arc<Table>,
    to: Arc<Table>,
    insert: &'static Many,
}

/// A move that has begun.
pub struct Move {
    from: Db,
    to: Db,
    names: [String; 2],
    id: Uuid,
    pairs: Vec<Pair>,
}

impl Move {
    /// Marks both sides, or finds the marks of the same move that was broken off. `names` are those of source and target,
    /// without passwords: they are stored.
    ///
    /// Errors: [`Stop::Refused`] when the target holds something else, the source has been moved already or is itself
    /// unfinished, or the tables of the two differ.
    pub async fn begin(from: Db, to: Db, names: [String; 2]) -> Result<Move, Stop> {
        let [from_name, to_name] = &names;
        let theirs = from.read(catalogue::tables).await?;
        let ours = to.read(catalogue::tables).await?;
        let shapes = |tables: &[Table]| tables.iter().map(Table::shape).eq(theirs.iter().map(Table::shape));
        if !shapes(&ours) {
            return refuse("the two schemas differ: bring both to the same version of this program".into());
        }
        let source = from.read(marks).await?;
        let target = to.read(marks).await?.target;
        if source.target.is_some() {
            return refuse(format!("{from_name} is itself the unfinished copy of another store"));
        }
        let id = match (source.source, target) {
            (Some(source), Some(target)) if source.id == target.id => source.id,
            (_, Some(target)) => {
                let other = target.other;
                return refuse(format!(
                    "{to_name} holds an unfinished copy of {other} that this move cannot go on with: name an empty target"
                ));
            }
            (source, None) => {
                if let Some(source) = source.as_ref().filter(|source| source.finished_at.is_some()) {
                    return refuse(format!("{from_name} was moved to {} already", source.other));
                }
                // Two whole copies would both be served, and send each webhook twice.
                if let Some(source) = source.as_ref().filter(|source| source.other != *to_name) {
                    return refuse(format!(
                        "{from_name} is being moved to {}: finish that, or give it up with `tieline serve --reopen`",
                        source.other
                    ));
                }
                if let Some(table) = holding(&to, &ours).await? {
                    return refuse(format!("{to_name} is not empty: there are rows in {table}"));
                }
                if holding(&from, &theirs).await?.is_none() {
                    return refuse(format!("{from_name} is empty: there is nothing to move"));
                }
                source.map_or_else(Uuid::now_v7, |source| source.id)
            }
        };
        let set = |side: &'static str, other: String| {
            move |tx: &mut Tx| tx.execute(SET_MARK, &params![side, id, &other, None::<i64>]).map(drop)
        };
        from.write(set(SOURCE, to_name.clone())).await?;
        let unfinished = set(TARGET, from_name.clone());
        to.write(move |tx| {
            reopen(tx)?; // what an emptied target was before
            unfinished(tx)
        })
        .await?;
        let pairs = theirs.into_iter().zip(ours).map(|(from, to)| {
            let insert = insert(&from);
            Pair { from: Arc::new(from), to: Arc::new(to), insert }
        });
        Ok(Move { from, to, id, pairs: pairs.collect(), names })
    }

    /// Copies what is not in the target yet and tells `observe` after every page.
    ///
    /// Errors: [`Stop::Engine`] with the name of the table; a later move of the same two goes on there.
    pub async fn copy(&self, mut observe: impl FnMut(Progress)) -> Result<(), Stop> {
        let notes = self.to.read(notes).await?;
        let (mut of, mut rows) = (0, notes.values().map(|(_, sum)| sum.rows).sum());
        for pair in &self.pairs {
            let table = pair.from.clone();
            of += self.from.read(move |read| estimate(read, &table)).await?;
        }
        for pair in &self.pairs {
            let (after, mut sum) = notes.get(&pair.from.name).cloned().unwrap_or_default();
            let mut pages = Pages::new(&self.from, &pair.from, after);
            let mut next = pages.next().await?;
            while let Some(page) = next {
                page.rows().for_each(|row| sum.add(&pair.from, row));
                let (insert, taken) = (pair.insert, page.rows().len() as u64);
                let (name, last) = (pair.from.name.clone(), write_key(&pages.after));
                let write = self.to.write(move |tx| {
                    let params: Vec<Param> = page.values.iter().map(Value::param).collect();
                    tx.run_many(insert, &params)?;
                    let digest = sum.digest.to_le_bytes();
                    tx.execute(SET_NOTE, &params![&name, &last, sum.rows as i64, digest.as_slice()]).map(drop)
                });
                let (written, read) = join(write, pages.next()).await;
                written.map_err(|error: Error| Stop::Refused(format!("{}: {error}", pair.from.name)))?;
                next = read?;
                rows += taken;
                observe(Progress { table: &pair.from.name, rows, of: of.max(rows) });
            }
        }
        Ok(())
    }

    /// Reads both sides again, compares them with what was copied, and lifts the target's mark. Answers the tables' sums.
    ///
    /// Errors: [`Stop::Refused`] with the first table that differs; the target stays unfinished then.
    pub async fn finish(self, mut observe: impl FnMut(Progress)) -> Result<BTreeMap<String, Sum>, Stop> {
        let [from, to] = &self.names;
        let notes = self.to.read(notes).await?;
        let of = notes.values().map(|(_, sum)| sum.rows).sum();
        let (mut rows, mut sums) = (0, BTreeMap::new());
        for pair in &self.pairs {
            let name = &pair.from.name;
            let copied = notes.get(name).map(|(_, sum)| *sum).unwrap_or_default();
            let (source, target) = join(sum(&self.from, &pair.from), sum(&self.to, &pair.to)).await;
            let (source, target) = (source?, target?);
            for (sum, message) in [
                (
                    source,
                    format!("{from} changed while it was copied; stop every server on it, empty {to} and move again"),
                ),
                (target, format!("{to} does not hold what was copied; empty it and move again")),
            ] {
                if sum != copied {
                    let (held, wanted) = (sum.rows, copied.rows);
                    return refuse(format!("{message} ({name}: {wanted} rows copied, {held} there now)"));
                }
            }
            rows += source.rows;
            sums.insert(name.clone(), source);
            observe(Progress { table: name, rows, of });
        }
        let (id, other) = (self.id, to.clone());
        let moved = move |tx: &mut Tx| tx.execute(SET_MARK, &params![SOURCE, id, &other, Some(tx.now())]).map(drop);
        self.from.write(moved).await?;
        let last_number = self.from.read(catalogue::last_number).await?;
        let arrived = move |tx: &mut Tx| {
            if let Some(last) = last_number {
                catalogue::set_last_number(tx, last)?;
            }
            catalogue::go_on_after_rows(tx)?;
            tx.execute(DROP_NOTES, &[])?;
            tx.execute(DROP_MARK, &params![TARGET]).map(drop)
        };
        self.to.write::<_, Error>(arrived).await?;
        Ok(sums)
    }
}

fn refuse<T>(line: String) -> Result<T, Stop> {
    Err(Stop::Refused(line))
}

/// The statement for rows of a table. It lives as long as the process, as every other statement does: one per table.
fn insert(table: &Table) -> &'static Many {
    let columns: Vec<(&'static str, Ty)> =
        table.columns.iter().map(|column| (&*column.name.clone().leak(), column.ty)).collect();
    let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let values: Vec<String> = columns.iter().map(|(name, _)| format!(":{name}")).collect();
    let text = format!("insert into \"{}\" ({}) values ({})", table.name, names.join(", "), values.join(", "));
    Box::leak(Box::new(Many::new(text.leak(), columns.leak())))
}

/// The first table that holds a row.
async fn holding(db: &Db, tables: &[Table]) -> Result<Option<String>> {
    let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
    db.read(move |read| {
        for name in names {
            if read.opt(&format!("select 1 from \"{name}\" limit 1"), &[], |_| Ok(()))?.is_some() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    })
    .await
}

/// For people who wait: PostgreSQL's own estimate where there is much, else the count.
fn estimate(read: &mut Read, table: &Table) -> Result<u64> {
    const ESTIMATE: &str = "select reltuples::bigint from pg_class where oid = $1::text::regclass";
    if !read.is_sqlite() {
        let name = format!("\"{}\"", table.name);
        let rows: i64 = read.opt(ESTIMATE, &params![&name], |row| row.get(0))?.unwrap_or_default();
        if rows > COUNTED {
            return Ok(rows.unsigned_abs());
        }
    }
    let sql = format!("select count(*) from \"{}\"", table.name);
    Ok(read.opt(&sql, &[], |row| row.get::<i64>(0))?.unwrap_or_default().unsigned_abs())
}

type Notes = BTreeMap<String, (Vec<Value>, Sum)>;

/// How far each table of a target has come.
fn notes(read: &mut Read) -> Result<Notes> {
    let mut notes = BTreeMap::new();
    read.each(NOTES, &[], |row| {
        let broken = || Error::Sql("a note of the move cannot be read".into());
        let digest = <[u8; 16]>::try_from(row.get::<Vec<u8>>(3)?).map_err(|_| broken())?;
        let sum = Sum { rows: row.get::<i64>(2)?.unsigned_abs(), digest: u128::from_le_bytes(digest) };
        let after = parse_key(&row.get::<Vec<u8>>(1)?).ok_or_else(broken)?;
        notes.insert(row.get(0)?, (after, sum));
        Ok(())
    })?;
    Ok(notes)
}
