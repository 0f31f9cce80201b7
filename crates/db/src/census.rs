//! What a SQLite file holds, read without changing it: for backups, which must be able to say that nothing is missing.

use crate::sqlite::inspect;
use crate::{Result, migrate};
use rusqlite::ErrorCode;
use std::collections::BTreeMap;
use std::path::Path;

/// Problems named at most.
pub const PROBLEMS: usize = 20;

/// The contents of a database file, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// Its schema version; 0 for a database without a schema.
    pub schema_version: i64,
    /// Rows of every table.
    pub rows: BTreeMap<String, u64>,
}

/// Counts the rows of every table in one read snapshot.
///
/// Errors: [`crate::Error::Unavailable`] or [`crate::Error::Sql`] for a file that is no database or cannot be read.
pub fn census(path: &Path) -> Result<Census> {
    let conn = inspect(path)?;
    conn.execute_batch("begin")?;
    let mut tables =
        conn.prepare("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")?;
    let names = tables.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut rows = BTreeMap::new();
    for name in names {
        let count = conn.query_row(&format!("select count(*) from \"{name}\""), [], |row| row.get::<_, i64>(0))?;
        rows.insert(name, count as u64);
    }
    let schema_version =
        if rows.contains_key("schema_version") { conn.query_row(migrate::CURRENT, [], |row| row.get(0))? } else { 0 };
    Ok(Census { schema_version, rows })
}

/// What is wrong with the file itself: damaged pages, indexes that do not fit their tables; one line each, [`PROBLEMS`] at
/// most. Empty when it is sound.
///
/// Errors: as [`census`].
pub fn problems(path: &Path) -> Result<Vec<String>> {
    let conn = inspect(path)?;
    let mut check = conn.prepare(&format!("pragma integrity_check({PROBLEMS})"))?;
    let mut texts = Vec::new();
    for text in check.query_map([], |row| row.get::<_, String>(0))? {
        match text {
            Ok(text) => texts.push(text),
            // Too damaged to be looked at further: that is a finding too.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                texts.push(error.to_string());
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    // What is found in the pages is one text of several lines below a title.
    let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
    let found = lines.filter(|line| !line.is_empty() && *line != "ok" && !line.starts_with("***"));
    Ok(found.take(PROBLEMS).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Db, Error, Migration};

    static SCHEMA: &[Migration] =
        &[Migration { version: 1, name: "first", sql: "create table things (id bigint primary key, name text)" }];

    #[tokio::test]
    async fn a_copy_holds_what_the_original_holds() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let db = Db::open(Config::sqlite(&path, SCHEMA)).unwrap();
        let add = |tx: &mut crate::Tx| tx.execute("insert into things values (1, 'a'), (2, 'b')", &[]);
        db.write::<_, Error>(add).await.unwrap();
        crate::snapshot(&path, &copy).unwrap();
        let counted = census(&copy).unwrap();
        assert_eq!((counted.schema_version, counted.rows["things"]), (1, 2));
        assert_eq!(counted, census(&path).unwrap());
        assert_eq!(problems(&copy).unwrap(), Vec::<String>::new());
        db.close();
    }

    #[test]
    fn a_damaged_file_is_not_sound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(
            &path,
            "no database at all, just some text that is long enough to have a header of its own, and more",
        )
        .unwrap();
        assert!(census(&path).is_err());
        assert!(problems(&path).is_err());
    }
}
