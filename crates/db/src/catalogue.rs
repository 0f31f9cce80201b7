//! What tables a database has, asked of the database itself, so that who copies or counts cannot forget one.

use crate::{Error, Read, Result, Tx, Ty, params};

/// Tables of the engine's own, which belong to one database. `numbers` is a sequence elsewhere: see [`last_number`];
/// `horizons` says how far rows that have a position may be read where transactions run side by side.
const OWN: &[&str] = &["schema_version", "store_moves", "store_move_tables", "horizons", NUMBERS];
const NUMBERS: &str = "numbers";

/// A table of the product.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in their order; those that the database computes are left out.
    pub columns: Vec<Column>,
    /// Indexes into `columns`, of the primary key.
    pub key: Vec<usize>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub ty: Ty,
}

impl Table {
    /// What must be the same for rows to fit, whatever the engine.
    pub(crate) fn shape(&self) -> (&str, &[Column], &[usize]) {
        (&self.name, &self.columns, &self.key)
    }
}

/// Virtual tables, which no other engine has, are named too: their columns have no type, which is refused.
const SQLITE: &str = "select t.name, c.name, c.type, nullif(c.pk, 0) from pragma_table_list t \
     join pragma_table_xinfo(t.name) c where t.schema = 'main' and t.type in ('table', 'virtual') and c.hidden = 0 \
     and t.name not like 'sqlite\\_%' escape '\\' order by t.name, c.cid";

const POSTGRES: &str = "select c.relname::text, a.attname::text, format_type(a.atttypid, null), place.at \
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' \
     left join pg_index i on i.indrelid = c.oid and i.indisprimary \
     left join lateral (select o.at from unnest(i.indkey) with ordinality o(attnum, at) where o.attnum = a.attnum) place on true \
     where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace and not c.relispartition \
     order by c.relname::text collate \"C\", a.attnum";

/// Those behind identity columns number rows that enter; what they gave is in the rows: see [`go_on_after_rows`].
const SEQUENCES: &str = "select c.relname::text from pg_class c where c.relkind = 'S' \
     and c.relnamespace = current_schema()::regnamespace and c.relname <> $1 \
     and not exists (select 1 from pg_depend d where d.objid = c.oid and d.deptype = 'i') limit 1";

const IDENTITIES: &str = "select c.relname::text, a.attname::text from pg_class c join pg_attribute a on a.attrelid = c.oid \
     where a.attidentity <> '' and c.relnamespace = current_schema()::regnamespace";

/// Every table of the product, by name.
///
/// Errors: [`Error::Sql`] for a table without a key, a column of a type that no [`Ty`] stands for, and a sequence that is
/// not known.
pub fn tables(read: &mut Read) -> Result<Vec<Table>> {
    if !read.is_sqlite()
        && let Some(name) = read.opt(SEQUENCES, &params![NUMBERS], |row| row.get::<String>(0))?
    {
        return Err(Error::Sql(format!("the sequence {name} is not known")));
    }
    let mut tables: Vec<(Table, Vec<(i64, usize)>)> = Vec::new();
    read.each(if read.is_sqlite() { SQLITE } else { POSTGRES }, &[], |row| {
        let (table, name, declared): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if OWN.contains(&table.as_str()) {
            return Ok(());
        }
        let ty =
            ty(&declared).ok_or_else(|| Error::Sql(format!("{table}.{name} is a {declared:?}, which is not known")))?;
        if tables.last().is_none_or(|(last, _)| last.name != table) {
            tables.push((Table { name: table, columns: Vec::new(), key: Vec::new() }, Vec::new()));
        }
        if let Some((table, key)) = tables.last_mut() {
            key.extend(row.get::<Option<i64>>(3)?.map(|place| (place, table.columns.len())));
            table.columns.push(Column { name, ty });
        }
        Ok(())
    })?;
    let finished = tables.into_iter().map(|(mut table, mut key)| {
        key.sort_unstable();
        table.key = key.into_iter().map(|(_, column)| column).collect();
        match table.key[..] {
            [] => Err(Error::Sql(format!("the table {} has no key to go by", table.name))),
            _ => Ok(table),
        }
    });
    finished.collect()
}

/// The last number that [`Tx::take_numbers`] gave; none in a schema without numbers.
pub(crate) fn last_number(read: &mut Read) -> Result<Option<i64>> {
    let (exists, last) = if read.is_sqlite() {
        ("select 1 from sqlite_master where name = $1", "select last from numbers")
    } else {
        (
            "select 1 where to_regclass($1) is not null",
            "select case when is_called then last_value else 0 end from numbers",
        )
    };
    match read.opt(exists, &params![NUMBERS], |_| Ok(()))? {
        Some(()) => read.opt(last, &[], |row| row.get(0)),
        None => Ok(None),
    }
}

/// Makes this the last number that was given.
pub(crate) fn set_last_number(tx: &mut Tx, last: i64) -> Result<()> {
    let set = if tx.is_sqlite() {
        "update numbers set last = $1"
    } else {
        "select setval('numbers', greatest($1::bigint, 1), $1::bigint > 0)"
    };
    tx.execute(set, &params![last]).map(drop)
}

/// Makes the columns that number rows go on after the rows that are there; on SQLite they do by themselves.
pub(crate) fn go_on_after_rows(tx: &mut Tx) -> Result<()> {
    if tx.is_sqlite() {
        return Ok(());
    }
    let columns: Vec<(String, String)> = tx.all(IDENTITIES, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (table, column) in columns {
        let sql = format!(
            "select setval(pg_get_serial_sequence('\"{table}\"', '{column}'), max(\"{column}\")) from \"{table}\" \
             having max(\"{column}\") > 0"
        );
        tx.execute(&sql, &[])?;
    }
    Ok(())
}

fn ty(declared: &str) -> Option<Ty> {
    Some(match declared.to_ascii_lowercase().as_str() {
        "bigint" | "integer" | "smallint" => Ty::Int,
        "boolean" => Ty::Bool,
        "double precision" | "real" => Ty::Real,
        "text" => Ty::Text,
        "bytea" => Ty::Bytes,
        "uuid" => Ty::Uuid,
        _ => return None, // also jsonb: PostgreSQL writes its text anew, so no two engines would hold the same
    })
}
