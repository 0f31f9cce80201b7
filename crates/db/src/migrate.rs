//! Schema versions: numbered texts, each applied once inside a transaction of its own, refused when newer than us.
//!
//! A text is portable but for a few words replaced per driver: `{{position}}` (a column that numbers rows in commit order:
//! the row id on SQLite, empty until the sequencer fills it on PostgreSQL), `{{without_rowid}}` (SQLite keeps such a
//! table as one tree ordered by its key) and `{{numbers}}` (what [`crate::Tx::take_numbers`] takes from: a row that counts
//! on SQLite; a sequence on PostgreSQL, where such a row would let one writer in at a time). What stands between
//! `{{sqlite` and `}}` is for SQLite only.

use crate::census::census;
use crate::{Result, Target, postgres};

/// One step of the schema.
pub struct Migration {
    /// 1, 2, 3, … without gaps.
    pub version: i64,
    /// What it brings, in a word or two.
    pub name: &'static str,
    /// Statements separated by semicolons.
    pub sql: &'static str,
}

/// The version of the schema that is there, without changing it; 0 where there is none. Blocks.
///
/// Errors: as [`crate::Db::open`].
pub fn schema_version(target: &Target) -> Result<i64> {
    match target {
        Target::Sqlite(path) if !path.exists() => Ok(0),
        Target::Sqlite(path) => census(path).map(|census| census.schema_version),
        Target::Postgres(url) => postgres::schema_version(url),
    }
}

pub(crate) const TABLE: &str = "create table if not exists schema_version \
    (version bigint primary key, name text not null, applied_at bigint not null)";
/// JavaScript and JSON readers keep integers up to 2^53.
const NUMBERS_POSTGRES: &str = "create sequence numbers as bigint maxvalue 9007199254740991";
const NUMBERS_SQLITE: &str = "create table numbers (last bigint not null); insert into numbers (last) values (0)";
pub(crate) const CURRENT: &str = "select coalesce(max(version), 0) from schema_version";
pub(crate) const RECORD: &str = "insert into schema_version (version, name, applied_at) values ($1, $2, $3)";

/// What is for SQLite only.
const ASIDE: [&str; 2] = ["{{sqlite\n", "\n}}\n"];

pub(crate) fn for_sqlite(sql: &str) -> String {
    let all: String = asides(sql).map(|(before, aside)| format!("{before}{aside}")).collect();
    all.replace("{{position}}", "integer primary key")
        .replace("{{without_rowid}}", "without rowid")
        .replace("{{numbers}}", NUMBERS_SQLITE)
}

/// The text in pieces, each with the aside after it.
fn asides(sql: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(sql);
    std::iter::from_fn(move || {
        let Some((before, after)) = rest?.split_once(ASIDE[0]) else { return Some((rest.take()?, "")) };
        let (aside, after) = after.split_once(ASIDE[1]).expect("what is for SQLite only ends");
        rest = Some(after);
        Some((before, aside))
    })
}

pub(crate) fn for_postgres(sql: &str) -> String {
    let common: String = asides(sql).map(|(before, _)| before).collect();
    common.replace("{{position}}", "bigint").replace("{{without_rowid}}", "").replace("{{numbers}}", NUMBERS_POSTGRES)
}

/// The newest version among `migrations`.
pub(crate) fn newest(migrations: &[Migration]) -> i64 {
    migrations.iter().map(|step| step.version).max().unwrap_or(0)
}
