//! Changing, revoking and rotating keys, and writing down when they were used.

use super::{CreateKey, Key, create, get, sql};
use crate::audit::{self, By};
use crate::ids::{KeyId, TenantId};
use crate::installation::change_configuration;
use crate::keys::scopes::Scopes;
use crate::keys::token::KeyDigest;
use crate::{Error, Kind, Result};
use serde_json::json;
use tieline_db::{Param, Tx, params};

/// Longest that a rotated key goes on working, seconds (contract D4's bound for secrets).
pub const OVERLAP_LIMIT_SECONDS: i64 = 604_800;

/// Changes of a key; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct UpdateKey {
    /// New display name.
    pub name: Option<String>,
    /// What it is for; none inside clears.
    pub description: Option<Option<String>>,
    /// Whether it works.
    pub is_active: Option<bool>,
    /// What it may do from now on.
    pub scopes: Option<Scopes>,
}

/// A new text for a key.
#[derive(Clone, Debug)]
pub struct RotateKey {
    /// What finds it.
    pub digest: KeyDigest,
    /// Its first characters.
    pub prefix: String,
    /// How long the old text goes on working, microseconds.
    pub overlap_us: i64,
}

/// Refuses to hand out scopes that the granter does not have.
///
/// Errors: `insufficient_scope` with `requiredScope`.
pub fn may_grant(granter: &Scopes, scopes: &Scopes) -> Result<()> {
    match scopes.granted().find(|scope| !granter.allows(*scope)) {
        None => Ok(()),
        Some(missing) => {
            let detail = format!("A key can give no scope that it lacks itself, here {missing}.");
            Err(Error::new(Kind::Forbidden, "insufficient_scope", detail).with("requiredScope", missing))
        }
    }
}

/// Changes a key; `granter` is what the caller may do. Holds with the next request.
///
/// Errors: those of [`may_grant`], for new scopes and for switching a key on.
pub fn update<'a>(tx: &mut Tx, by: impl Into<By<'a>>, id: KeyId, granter: &Scopes, cmd: &UpdateKey) -> Result<Key> {
    let by = by.into();
    let tenant = by.tenant;
    let key = get(tx, tenant, id)?;
    let scopes = cmd.scopes.unwrap_or(key.scopes);
    if cmd.scopes.is_some() || cmd.is_active == Some(true) {
        may_grant(granter, &scopes)?;
    }
    let name = cmd.name.as_ref().unwrap_or(&key.name);
    let description = cmd.description.as_ref().unwrap_or(&key.description);
    let is_active = cmd.is_active.unwrap_or(key.is_active);
    let (scopes, now) = (scopes.to_string(), tx.now());
    tx.execute(sql::UPDATE, &params![tenant.0, id.0, name, description, is_active, &scopes, now])?;
    let mut changed = audit::changed(&[
        ("name", *name != key.name),
        ("description", *description != key.description),
        ("isActive", is_active != key.is_active),
        ("scopes", cmd.scopes.is_some()),
    ]);
    (changed["isActive"], changed["scopes"]) = (is_active.into(), scopes.into());
    audit::note(tx, by, "api_key.updated", id, changed)?;
    change_configuration(tx)?;
    get(tx, tenant, id)
}

/// Deletes a key; it stops with the next request.
pub fn revoke<'a>(tx: &mut Tx, by: impl Into<By<'a>>, id: KeyId) -> Result<()> {
    let by = by.into();
    let tenant = by.tenant;
    let key = get(tx, tenant, id)?;
    audit::note(tx, by, "api_key.revoked", id, json!({"name": key.name}))?;
    tx.execute(sql::DELETE, &params![tenant.0, id.0])?;
    change_configuration(tx)?;
    Ok(())
}

/// Makes a second key like this one and ends this one after the overlap; answers the new key.
///
/// Errors: `key_inactive` for a key that does not work; those of [`may_grant`].
pub fn rotate<'a>(tx: &mut Tx, by: impl Into<By<'a>>, id: KeyId, granter: &Scopes, cmd: &RotateKey) -> Result<Key> {
    let by = by.into();
    let tenant = by.tenant;
    let key = get(tx, tenant, id)?;
    may_grant(granter, &key.scopes)?;
    let now = tx.now();
    if !key.is_active || key.expires_at.is_some_and(|at| at <= now) {
        return Err(Error::conflict("key_inactive", "This key is disabled or has ended; make a new one instead."));
    }
    let ends = now.saturating_add(cmd.overlap_us);
    let ends = key.expires_at.map_or(ends, |at| at.min(ends));
    tx.execute(sql::END, &params![tenant.0, id.0, ends, now])?;
    audit::note(tx, by, "api_key.rotated", id, json!({"name": key.name}))?;
    let next = CreateKey {
        name: key.name,
        description: key.description,
        digest: cmd.digest,
        prefix: cmd.prefix.clone(),
        scopes: key.scopes,
        expires_at: key.expires_at,
    };
    create(tx, by, &next)
}

/// Notes when keys were last used. What nodes keep in memory stays as it is.
pub fn note_used(tx: &mut Tx, used: &[((TenantId, KeyId), i64)]) -> Result<()> {
    let params: Vec<Param> = used.iter().flat_map(|((tenant, id), at)| params![tenant.0, id.0, *at]).collect();
    tx.run_many(&sql::NOTE_USED, &params)?;
    Ok(())
}
