//! Who changed what of a tenant's settings and people, and when: a row of each administrative change, written in its own
//! transaction, and kept when the event feed is pruned, for ever unless the operator wants less. No row holds a secret, or anything of a customer.

mod sql;

use crate::ctx::{Actor, Ctx};
use crate::ids::{TenantId, first_at};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::fmt::Display;
use tieline_db::{Read, Tx, params};
use uuid::Uuid;

/// In which tenant something is changed, and by whom. A tenant alone stands for Tieline itself.
#[derive(Clone, Copy)]
pub struct By<'a> {
    /// The tenant, or its test partition.
    pub tenant: TenantId,
    ctx: Option<&'a Ctx>,
}

impl From<TenantId> for By<'_> {
    fn from(tenant: TenantId) -> Self {
        By { tenant, ctx: None }
    }
}
impl<'a> From<&'a Ctx> for By<'a> {
    fn from(ctx: &'a Ctx) -> Self {
        By { tenant: ctx.tenant, ctx: Some(ctx) }
    }
}
/// For what belongs to the live tenant, whatever partition the caller is in.
impl<'a> From<(TenantId, &'a Ctx)> for By<'a> {
    fn from((tenant, ctx): (TenantId, &'a Ctx)) -> Self {
        By { tenant, ctx: Some(ctx) }
    }
}
impl<'a> From<(TenantId, Option<&'a Ctx>)> for By<'a> {
    fn from((tenant, ctx): (TenantId, Option<&'a Ctx>)) -> Self {
        By { tenant, ctx }
    }
}

/// Writes a change down: what was done (`team.updated`), to what (its id on the wire), and what of it, without secrets.
pub(crate) fn note<'a>(
    tx: &mut Tx,
    by: impl Into<By<'a>>,
    action: &'static str,
    subject: impl Display,
    detail: Value,
) -> Result<()> {
    let By { tenant, ctx } = by.into();
    let actor = ctx.map_or_else(Actor::system, |ctx| ctx.actor.clone());
    let cause =
        ctx.and_then(|ctx| ctx.cause.as_ref()).map(serde_json::to_string).transpose().map_err(Error::internal)?;
    let text = serde_json::to_string(&actor).map_err(Error::internal)?;
    let (id, now) = (tx.new_id(), tx.now());
    let (subject, detail) = (subject.to_string(), detail.to_string());
    let address = ctx.and_then(|ctx| ctx.address).map(|address| address.to_string());
    let actor_id = actor.id.as_deref();
    tx.execute(sql::INSERT, &params![tenant.0, id, &text, actor_id, action, &subject, &detail, &cause, now, &address])?;
    Ok(())
}

/// The detail of a change: names of the members that differ.
pub(crate) fn changed(members: &[(&str, bool)]) -> Value {
    json!({"changed": members.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect::<Vec<_>>()})
}

/// A change that was written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// Who did it, as JSON.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what: its id on the wire.
    pub subject: String,
    /// What of it, a JSON object.
    pub detail: String,
    /// What led to it, as JSON.
    pub cause: Option<String>,
    /// When, microseconds UTC.
    pub at: i64,
    /// The client's address.
    pub address: Option<String>,
}

/// What to list; what is none is not asked about.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this thing, by its id on the wire.
    pub subject: Option<String>,
    /// By this actor, by its id on the wire.
    pub actor: Option<String>,
    /// At or after this instant, microseconds UTC.
    pub since: Option<i64>,
}

/// Up to `limit` changes before one of them, newest first.
pub fn list(
    read: &mut Read,
    tenant: TenantId,
    filter: &Filter,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Entry>> {
    let (subject, actor) = (filter.subject.as_deref().unwrap_or(""), filter.actor.as_deref().unwrap_or(""));
    let (before, since) = (before.unwrap_or_else(Uuid::max), filter.since.unwrap_or(i64::MIN));
    Ok(read.all(sql::LIST, &params![tenant.0, before, since, subject, actor, limit], |row| {
        Ok(Entry {
            id: row.get(0)?,
            actor: row.get(1)?,
            action: row.get(2)?,
            subject: row.get(3)?,
            detail: row.get(4)?,
            cause: row.get(5)?,
            at: row.get(6)?,
            address: row.get(7)?,
        })
    })?)
}

/// Whether the tenant has a row from before `before`, microseconds UTC.
pub fn has_old(read: &mut Read, tenant: TenantId, before: i64) -> Result<bool> {
    Ok(read.opt(sql::OLD, &params![tenant.0, first_at(before), 1i64], |_| Ok(()))?.is_some())
}

/// Removes up to `limit` rows of the tenant from before `before`, oldest first; the number removed.
pub fn prune(tx: &mut Tx, tenant: TenantId, before: i64, limit: i64) -> Result<u64> {
    let old: Vec<Uuid> = tx.all(sql::OLD, &params![tenant.0, first_at(before), limit], |row| row.get(0))?;
    let Some(last) = old.last() else { return Ok(0) };
    Ok(tx.execute(sql::PRUNE, &params![tenant.0, *last])?)
}
