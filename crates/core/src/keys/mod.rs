//! API keys: credentials of programs, scoped, hashed, never shown twice.

pub mod scopes;
pub(crate) mod sql;
pub mod token;
mod write;

pub use write::{OVERLAP_LIMIT_SECONDS, RotateKey, UpdateKey, may_grant, note_used, revoke, rotate, update};

use crate::audit::{self, By};
use crate::ids::{KeyId, TenantId};
use crate::installation::change_configuration;
use crate::page::Page;
use crate::tenants::{self, Tenant};
use crate::{Error, Result};
use scopes::Scopes;
use serde_json::json;
use tieline_db::{Read, Row, Tx, params};
use token::KeyDigest;

/// An API key, as far as it may be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// The partition it opens.
    pub tenant: TenantId,
    /// Display name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Its first characters, for people.
    pub prefix: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether it works.
    pub is_active: bool,
    /// When it stops working by itself. Microseconds UTC.
    pub expires_at: Option<i64>,
    /// When it was last used, up to a minute late.
    pub last_used_at: Option<i64>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

/// A new key; its text was minted at the edge and goes to the caller once.
#[derive(Clone, Debug)]
pub struct CreateKey {
    /// 1 to 100 characters.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What finds it.
    pub digest: KeyDigest,
    /// Its first characters.
    pub prefix: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it stops working by itself. Microseconds UTC.
    pub expires_at: Option<i64>,
}

fn key(row: &Row) -> tieline_db::Result<Key> {
    Ok(Key {
        tenant: TenantId(row.get(0)?),
        id: KeyId::from_uuid(row.get(1)?),
        name: row.get(2)?,
        description: row.get(3)?,
        prefix: row.get(4)?,
        scopes: Scopes::from_stored(&row.get::<String>(5)?)
            .map_err(|_| tieline_db::Error::Sql("unknown scopes in api_keys".into()))?,
        is_active: row.get(6)?,
        expires_at: row.get(7)?,
        last_used_at: row.get(8)?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

/// Adds a key to a partition.
pub fn create<'a>(tx: &mut Tx, by: impl Into<By<'a>>, cmd: &CreateKey) -> Result<Key> {
    let by = by.into();
    let tenant = by.tenant;
    let (id, now) = (KeyId::from_uuid(tx.new_id()), tx.now());
    let scopes = cmd.scopes.to_string();
    tx.execute(
        sql::INSERT,
        &params![
            tenant.0,
            id.0,
            &cmd.name,
            &cmd.description,
            cmd.digest.0.as_slice(),
            &cmd.prefix,
            &scopes,
            cmd.expires_at,
            now
        ],
    )?;
    audit::note(tx, by, "api_key.created", id, json!({"name": cmd.name, "scopes": scopes}))?;
    change_configuration(tx)?;
    get(tx, tenant, id)
}

/// One of the partition's keys.
pub fn get(read: &mut Read, tenant: TenantId, id: KeyId) -> Result<Key> {
    read.opt(sql::GET, &params![tenant.0, id.0], key)?.ok_or_else(|| Error::not_found("API key"))
}

/// The partition's keys, newest first.
pub fn list(read: &mut Read, tenant: TenantId, page: Page) -> Result<Vec<Key>> {
    Ok(read.all(sql::LIST, &params![tenant.0, page.before.1, page.limit], key)?)
}

/// The key with this digest and its tenant, whatever their state; the caller judges.
pub fn by_digest(read: &mut Read, digest: KeyDigest) -> Result<Option<(Key, Tenant)>> {
    let Some(key) = read.opt(sql::BY_HASH, &params![digest.0.as_slice()], key)? else { return Ok(None) };
    let tenant = tenants::get(read, key.tenant)?;
    Ok(Some((key, tenant)))
}
