//! Values on their way into a statement and out of a row, the same for both drivers.

use crate::postgres::types::{Integer, Real, Text};
use crate::{Error, Result};
use uuid::Uuid;

/// A value bound to a statement; borrowed, because most come from a command that outlives the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Param<'a> {
    /// SQL null of any type.
    Null,
    /// A boolean (0 or 1 on SQLite).
    Bool(bool),
    /// A 64-bit integer; on PostgreSQL also where the statement wants a narrower one.
    Int(i64),
    /// A double.
    Real(f64),
    /// Text without NUL; on PostgreSQL also where the statement wants JSON.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A UUID (16 bytes on SQLite).
    Uuid(Uuid),
}

impl From<bool> for Param<'_> {
    fn from(value: bool) -> Self {
        Param::Bool(value)
    }
}
impl From<i64> for Param<'_> {
    fn from(value: i64) -> Self {
        Param::Int(value)
    }
}
impl From<f64> for Param<'_> {
    fn from(value: f64) -> Self {
        Param::Real(value)
    }
}
impl From<Uuid> for Param<'_> {
    fn from(value: Uuid) -> Self {
        Param::Uuid(value)
    }
}
impl<'a> From<&'a str> for Param<'a> {
    fn from(value: &'a str) -> Self {
        Param::Text(value)
    }
}
impl<'a> From<&'a String> for Param<'a> {
    fn from(value: &'a String) -> Self {
        Param::Text(value)
    }
}
impl<'a> From<&'a [u8]> for Param<'a> {
    fn from(value: &'a [u8]) -> Self {
        Param::Bytes(value)
    }
}
impl<'a> From<&'a Vec<u8>> for Param<'a> {
    fn from(value: &'a Vec<u8>) -> Self {
        Param::Bytes(value)
    }
}
impl<'a> From<&'a Option<String>> for Param<'a> {
    fn from(value: &'a Option<String>) -> Self {
        value.as_deref().into()
    }
}
impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Param::Null, Into::into)
    }
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput::Borrowed, ValueRef as V};
        Ok(Borrowed(match self {
            Param::Null => V::Null,
            Param::Bool(value) => V::Integer(*value as i64),
            Param::Int(value) => V::Integer(*value),
            Param::Real(value) => V::Real(*value),
            Param::Text(value) => V::Text(value.as_bytes()),
            Param::Bytes(value) => V::Blob(value),
            Param::Uuid(value) => V::Blob(value.as_bytes()),
        }))
    }
}

/// An array of [`Param`]s from anything that becomes one: `params![id, name, None::<i64>]`.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::Param::from($value)),*] };
}

/// One row of an answer.
pub enum Row<'a> {
    /// From SQLite.
    Sqlite(&'a rusqlite::Row<'a>),
    /// From PostgreSQL, and at which column it begins: rows of several statements may come in one answer.
    Postgres(&'a tokio_postgres::Row, usize),
}

impl Row<'_> {
    /// The column at `index` (from 0) as `T`; a null needs `Option<T>`.
    pub fn get<T: FromColumn>(&self, index: usize) -> Result<T> {
        T::from_column(self, index)
    }
}

/// A Rust type that a column can become.
pub trait FromColumn: Sized {
    /// Reads column `index`.
    fn from_column(row: &Row<'_>, index: usize) -> Result<Self>;
}

fn wrong(index: usize, wanted: &str) -> Error {
    Error::Sql(format!("column {index} is not {wanted}"))
}

macro_rules! column {
    ($type:ty, $wanted:literal, $sqlite:pat => $value:expr, $pg:ty => $from:expr) => {
        impl FromColumn for $type {
            fn from_column(row: &Row<'_>, index: usize) -> Result<Self> {
                Option::<$type>::from_column(row, index)?.ok_or_else(|| wrong(index, $wanted))
            }
        }
        impl FromColumn for Option<$type> {
            fn from_column(row: &Row<'_>, index: usize) -> Result<Self> {
                use rusqlite::types::ValueRef as V;
                match row {
                    Row::Sqlite(row) => match row.get_ref(index)? {
                        V::Null => Ok(None),
                        $sqlite => $value.map(Some).ok_or_else(|| wrong(index, $wanted)),
                        _ => Err(wrong(index, $wanted)),
                    },
                    Row::Postgres(row, start) => match row.try_get::<_, Option<$pg>>(start + index) {
                        #[allow(clippy::redundant_closure_call)]
                        Ok(value) => Ok(value.map($from)),
                        Err(_) => Err(wrong(index, $wanted)),
                    },
                }
            }
        }
    };
}

column!(i64, "an integer", V::Integer(value) => Some(value), Integer => |v| v.0);
column!(bool, "a boolean", V::Integer(value) => Some(value != 0), bool => |v| v);
column!(f64, "a number", V::Real(value) => Some(value), Real => |v| v.0);
column!(String, "text", V::Text(value) => std::str::from_utf8(value).ok().map(str::to_owned), Text => |v| v.0);
column!(Vec<u8>, "bytes", V::Blob(value) => Some(value.to_vec()), Vec<u8> => |v| v);
column!(Uuid, "a uuid", V::Blob(value) => Uuid::from_slice(value).ok(), Uuid => |v| v);
