//! Custom fields of contacts and conversations.

pub(crate) mod sql;
pub mod validate;
mod write;

pub use write::{Create, Update, create, delete, describe, update};

use crate::ids::{FieldId, TenantId};
use crate::page::Page;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::HashMap;
use tieline_db::{Ask, Read, Row, params};
use validate::{Definition, Entity, FieldType, SelectOption};

/// A custom field as the settings show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its id.
    pub id: FieldId,
    /// Its number in the installation.
    pub number: i64,
    /// What carries it.
    pub entity: Entity,
    /// What it is called and holds.
    pub definition: Definition,
    /// What it is for.
    pub description: Option<String>,
    /// The kind of value in another dialect's words, where it has more of them.
    pub display: Option<String>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

fn field(row: &Row) -> tieline_db::Result<Field> {
    let stored = |what: &str| tieline_db::Error::Sql(format!("unknown {what} in custom_fields"));
    Ok(Field {
        id: FieldId::from_uuid(row.get(0)?),
        number: row.get(1)?,
        entity: Entity::from_text(&row.get::<String>(2)?).ok_or_else(|| stored("entity"))?,
        definition: Definition {
            key: row.get(3)?,
            name: row.get(4)?,
            field_type: FieldType::from_text(&row.get::<String>(5)?).ok_or_else(|| stored("type"))?,
            options: options_from_stored(&row.get::<String>(6)?),
        },
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
        description: row.get(9)?,
        display: row.get(10)?,
    })
}

/// One of the tenant's custom fields.
pub fn get(read: &mut Read, tenant: TenantId, id: FieldId) -> Result<Field> {
    read.opt(sql::GET, &params![tenant.0, id.0], field)?.ok_or_else(|| Error::not_found("custom field"))
}

/// The one with this number.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Field> {
    read.opt(sql::BY_NUMBER, &params![tenant.0, number], field)?.ok_or_else(|| Error::not_found("custom field"))
}

/// The tenant's custom fields, newest first.
pub fn list(read: &mut Read, tenant: TenantId, page: Page) -> Result<Vec<Field>> {
    Ok(read.all(sql::LIST, &params![tenant.0, page.before.1, page.limit], field)?)
}

/// The fields that the tenant has defined for an entity; at most [`validate::FIELDS_LIMIT`].
pub fn definitions(read: &mut Read, tenant: TenantId, entity: Entity) -> Result<Vec<Definition>> {
    Ok(read.all(sql::DEFINITIONS, &params![tenant.0, entity.as_str()], |row| definition(row, 0))?)
}

/// Looks up the definitions of several tenants; `found` gets those of the tenants that have any.
pub(crate) fn ask<'a>(
    tenants: &'a [TenantId],
    entity: Entity,
    found: &'a mut HashMap<TenantId, Vec<Definition>>,
) -> Ask<'a> {
    let params = tenants.iter().flat_map(|tenant| params![tenant.0, entity.as_str()]).collect();
    Ask::select(&sql::DEFINITIONS_OF, params, |row| {
        found.entry(tenants[row.get::<i64>(0)? as usize]).or_default().push(definition(row, 1)?);
        Ok(())
    })
}

fn definition(row: &Row, at: usize) -> tieline_db::Result<Definition> {
    let stored = |what: &str| tieline_db::Error::Sql(format!("unknown {what} in custom_fields"));
    Ok(Definition {
        key: row.get(at)?,
        name: row.get(at + 1)?,
        field_type: FieldType::from_text(&row.get::<String>(at + 2)?).ok_or_else(|| stored("type"))?,
        options: options_from_stored(&row.get::<String>(at + 3)?),
    })
}

/// The options of a select field as stored: pairs of value and label.
pub(crate) fn options_from_stored(text: &str) -> Vec<SelectOption> {
    let pairs: Vec<(String, String)> = serde_json::from_str(text).unwrap_or_default();
    pairs.into_iter().map(|(value, label)| SelectOption { value, label }).collect()
}

/// Writes a request's values over the stored ones; answers the values to store and the keys that no definition knows.
///
/// Errors: every wrong value at once, at `pointer/<key>`.
pub fn write(
    definitions: &[Definition],
    stored: &str,
    incoming: Map<String, Value>,
    pointer: &str,
) -> Result<(String, Vec<String>)> {
    let mut accepted = validate::validate(definitions, incoming, pointer).map_err(Error::invalid)?;
    let ignored = std::mem::take(&mut accepted.ignored);
    let mut values: Map<String, Value> = serde_json::from_str(stored).map_err(Error::internal)?;
    accepted.apply(&mut values);
    Ok((Value::Object(values).to_string(), ignored))
}
