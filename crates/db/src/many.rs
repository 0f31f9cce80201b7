//! Set-based statements, written once: rows in a loop on SQLite, arrays through `unnest` on PostgreSQL.
//!
//! The text is portable SQL in which `:name` stands for a column of the input rows and `:ord` for the index of the row
//! (from 0). Three forms are understood, all lower-case:
//! - `insert into t (a, b) values (:a, :b) on conflict … returning …`
//! - `update t set a = :a where id = :id and …`
//! - `delete from t where id = :id and …`
//! - `select …, :ord from t where id = :id and …`; for [`crate::Tx::lock`] with one of [`LOCKS`] at its end
//!
//! On SQLite `:name` becomes `?n`. On PostgreSQL the rows become `(select unnest($1::bigint[]) as k_a, …) as k`, which takes
//! half of the time of `unnest($1::bigint[], …) with ordinality as k(k_a, …)`: that puts each column aside first. Only what
//! asks for `:ord` needs the latter, and what locks, which is not allowed beside the former. `:name` becomes `k_name`, so no
//! bare column of the table can be mistaken for one of the input.
//!
//! What the two forms of running would answer differently is refused on both, when the statement is first used: an input
//! column after the values of an insert (say `excluded.a`; ask for no `:ord` there) and a column that is never used. Not
//! checked: two input rows that update one row of the table (the last wins on SQLite, any of them on PostgreSQL), and
//! aggregates, `order by` and `limit`, which mean each input row on SQLite and all of them on PostgreSQL.

use crate::{Error, Result};
use std::sync::OnceLock;

/// What locks rows on PostgreSQL, at the end of a select: against every change, or only against deletion.
const LOCKS: [&str; 3] = [" for update", " for no key update", " for key share"];

/// Whether a select ends with one of them.
pub(crate) fn locks(text: &str) -> bool {
    LOCKS.iter().any(|lock| text.ends_with(lock))
}

/// The type of an input column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    /// `boolean`
    Bool,
    /// `bigint`
    Int,
    /// `double precision`
    Real,
    /// `text`
    Text,
    /// `bytea`
    Bytes,
    /// `uuid`
    Uuid,
    /// `jsonb`; its text goes in and comes out.
    Json,
}

impl Ty {
    fn postgres(self) -> &'static str {
        match self {
            Ty::Bool => "boolean",
            Ty::Int => "bigint",
            Ty::Real => "double precision",
            Ty::Text => "text",
            Ty::Bytes => "bytea",
            Ty::Uuid => "uuid",
            Ty::Json => "jsonb",
        }
    }
}

/// A set-based statement; see the module.
pub struct Many {
    text: &'static str,
    /// Names and types of the input columns, in the order of the parameters.
    pub columns: &'static [(&'static str, Ty)],
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
}

impl Many {
    /// A statement over rows of these columns.
    pub const fn new(text: &'static str, columns: &'static [(&'static str, Ty)]) -> Many {
        Many { text, columns, sqlite: OnceLock::new(), postgres: OnceLock::new() }
    }

    /// The text for one row on SQLite; `:ord` is the parameter after the columns.
    pub fn sqlite(&self) -> &str {
        self.sqlite.get_or_init(|| {
            self.check();
            let text = LOCKS.iter().find_map(|lock| self.text.strip_suffix(lock)).unwrap_or(self.text);
            self.replace_names(text, |name| match self.columns.iter().position(|(column, _)| *column == name) {
                Some(index) => format!("?{}", index + 1),
                None => format!("?{}", self.columns.len() + 1),
            })
        })
    }

    /// How many rows `params` holds.
    ///
    /// Errors: [`Error::Sql`] for a part of a row, or a statement without columns.
    pub(crate) fn rows(&self, params: &[crate::Param]) -> Result<usize> {
        match self.columns.len() {
            0 => Err(Error::Sql("a set-based statement needs a column".into())),
            columns if !params.len().is_multiple_of(columns) => {
                Err(Error::Sql(format!("{} parameters are no rows of {columns} columns", params.len())))
            }
            columns => Ok(params.len() / columns),
        }
    }

    /// What would run on one engine only is a defect on both; see the module.
    fn check(&self) {
        for (name, _) in self.columns {
            assert!(self.uses(name), "the column :{name} is never used in {:?}", self.text);
        }
        if let Some(values) = self.values() {
            let after = &self.text[values.1..];
            assert!(!after.contains(':'), "no input column can stand after the values of {:?}", self.text);
        }
    }

    /// Whether `:name` stands in it.
    fn uses(&self, name: &str) -> bool {
        self.text.match_indices(':').any(|(at, _)| word(&self.text[at + 1..]) == name)
    }

    /// Whether it only adds rows, of its input alone: it looks at no table, and nothing is asked of it.
    pub(crate) fn only_adds(&self) -> bool {
        self.values().is_some_and(|(start, end)| end + 1 == self.text.len() && !self.text[start..].contains("select"))
    }

    /// Of an insert, where its values start and end, without the parentheses.
    fn values(&self) -> Option<(usize, usize)> {
        if !self.text.trim_start().starts_with("insert") {
            return None;
        }
        let start = self.text.find("values (").expect("an insert has values") + "values (".len();
        Some((start, start + closing(&self.text[start..])))
    }

    /// The text for all rows on PostgreSQL; parameter n is the array of column n.
    pub fn postgres(&self) -> &str {
        self.postgres.get_or_init(|| {
            self.check();
            let names = || self.columns.iter().map(|(name, _)| format!("k_{name}"));
            let arrays = self.columns.iter().enumerate().map(|(i, (_, ty))| format!("${}::{}[]", i + 1, ty.postgres()));
            let rows = if self.uses("ord") || locks(self.text) {
                let (arrays, names) = (arrays.collect::<Vec<_>>().join(", "), names().collect::<Vec<_>>().join(", "));
                format!("unnest({arrays}) with ordinality as k({names}, k_ord)")
            } else {
                let columns: Vec<String> =
                    arrays.zip(names()).map(|(array, name)| format!("unnest({array}) as {name}")).collect();
                format!("(select {}) as k", columns.join(", "))
            };
            let named = |text| {
                self.replace_names(text, |name| match name {
                    "ord" => "k_ord - 1".to_owned(),
                    name => format!("k_{name}"),
                })
            };
            if let Some((start, end)) = self.values() {
                let (into, values, rest) = (&self.text[..start], &self.text[start..end], &self.text[end + 1..]);
                let into = into.trim_end_matches("values (");
                return format!("{into}select {} from {rows}{rest}", named(values));
            }
            let (before, condition) = self.text.split_at(condition(self.text));
            let from = match word(before.trim_start()) {
                "update" => " from",
                "delete" => " using",
                _ => ",",
            };
            format!("{}{from} {rows}{}", named(before), named(condition))
        })
    }

    fn replace_names(&self, text: &str, mut with: impl FnMut(&str) -> String) -> String {
        let mut out = String::with_capacity(text.len() + 64);
        let mut rest = text;
        while let Some(at) = rest.find(':') {
            let name = word(&rest[at + 1..]);
            out.push_str(&rest[..at]);
            assert!(name == "ord" || self.columns.iter().any(|(column, _)| *column == name), "unknown :{name}");
            out.push_str(&with(name));
            rest = &rest[at + 1 + name.len()..];
        }
        out.push_str(rest);
        out
    }
}

/// The name at the start of `text`.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    &text[..end.unwrap_or(text.len())]
}

/// Where the statement's own ` where ` starts, not one inside parentheses.
fn condition(text: &str) -> usize {
    let mut depth = 0;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b' ' if depth == 0 && text[index..].starts_with(" where ") => return index,
            _ => {}
        }
    }
    panic!("{text:?} has no condition")
}

/// Index of the parenthesis that closes the one already open before `text`.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    panic!("the parentheses of {text:?} do not close")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_becomes_both() {
        let insert = Many::new(
            "insert into t (a, b) values (:a, coalesce(:b, 1)) on conflict do nothing returning a",
            &[("a", Ty::Uuid), ("b", Ty::Int)],
        );
        assert_eq!(
            insert.sqlite(),
            "insert into t (a, b) values (?1, coalesce(?2, 1)) on conflict do nothing returning a"
        );
        assert_eq!(
            insert.postgres(),
            "insert into t (a, b) select k_a, coalesce(k_b, 1) from (select unnest($1::uuid[]) as k_a, unnest($2::bigint[]) as k_b) as k on conflict do nothing returning a"
        );
        let update = Many::new("update t set b = :b where a = :a and b < 3", &[("a", Ty::Uuid), ("b", Ty::Int)]);
        assert_eq!(update.sqlite(), "update t set b = ?2 where a = ?1 and b < 3");
        assert_eq!(
            update.postgres(),
            "update t set b = k_b from (select unnest($1::uuid[]) as k_a, unnest($2::bigint[]) as k_b) as k where a = k_a and b < 3"
        );
        let delete = Many::new("delete from t where a = :a", &[("a", Ty::Uuid)]);
        assert_eq!(delete.sqlite(), "delete from t where a = ?1");
        assert_eq!(delete.postgres(), "delete from t using (select unnest($1::uuid[]) as k_a) as k where a = k_a");
        let select = Many::new("select b, :ord from t where a = :a", &[("a", Ty::Text)]);
        assert_eq!(select.sqlite(), "select b, ?2 from t where a = ?1");
        assert_eq!(
            select.postgres(),
            "select b, k_ord - 1 from t, unnest($1::text[]) with ordinality as k(k_a, k_ord) where a = k_a"
        );
        let inner =
            Many::new("select (select count(*) from u where u.a = t.a) from t where t.a = :a", &[("a", Ty::Int)]);
        assert_eq!(
            inner.postgres(),
            "select (select count(*) from u where u.a = t.a) from t, (select unnest($1::bigint[]) as k_a) as k where t.a = k_a"
        );
    }

    #[test]
    #[should_panic(expected = "after the values")]
    fn an_insert_cannot_return_its_input() {
        Many::new("insert into t (a) values (:a) returning :ord", &[("a", Ty::Int)]).sqlite();
    }

    #[test]
    #[should_panic(expected = ":b is never used")]
    fn every_column_is_used() {
        Many::new("update t set a = :a where c = 1", &[("a", Ty::Int), ("b", Ty::Int)]).sqlite();
    }
}
