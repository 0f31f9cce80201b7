//! Whether a file is whole, as far as that is seen within the time that a start may take.
//!
//! SQLite itself refuses a file that is shorter than its header says, and one whose schema cannot be read. Beside that the
//! first row of every table is read, through the top of each tree; and of a file of at most [`CHECKED_BYTES`] every page
//! is checked. What is damaged deeper in a larger one is found when it is read, or by a full check ([`crate::census`]).

use crate::{Error, Result};
use rusqlite::Connection;

/// Largest file of which every page is checked, bytes: a few hundredths of a second.
const CHECKED_BYTES: i64 = 8 * 1024 * 1024;

/// Errors: [`Error::Damaged`] with the first thing that is wrong.
pub(super) fn check(conn: &Connection) -> Result<()> {
    let pragma = |name: &str| conn.query_row(&format!("pragma {name}"), [], |row| row.get::<_, i64>(0));
    let tables = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'";
    let mut tables = conn.prepare(tables)?;
    let names = tables.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for name in names {
        conn.prepare(&format!("select * from \"{name}\" limit 1"))?.exists([])?;
    }
    if pragma("page_count")? * pragma("page_size")? > CHECKED_BYTES {
        return Ok(());
    }
    let found: String = conn.query_row("pragma quick_check(1)", [], |row| row.get(0))?;
    let first = found.lines().map(str::trim).find(|line| !line.starts_with("***")).unwrap_or_default();
    if first == "ok" { Ok(()) } else { Err(Error::Damaged(first.to_owned())) }
}
