//! Reading the log: by position for the loops of the installation, by tenant for `/v1/events` and the stream.

use super::{Stored, sql};
use crate::Result;
use crate::ids::{ConversationId, EventId, InboxId, TenantId};
use tieline_db::{Read, Row, params};

fn stored(row: &Row) -> tieline_db::Result<Stored> {
    Ok(Stored {
        position: row.get(0)?,
        id: EventId::from_uuid(row.get(1)?),
        tenant: TenantId(row.get(2)?),
        name: row.get(3)?,
        conversation: row.get::<Option<_>>(4)?.map(ConversationId::from_uuid),
        inbox: row.get::<Option<_>>(5)?.map(InboxId::from_uuid),
        sequence: row.get(6)?,
        actor: row.get(7)?,
        cause: row.get(8)?,
        data: row.get(9)?,
        at: row.get(10)?,
        state: row.get(11)?,
    })
}

/// Up to `limit` events of all tenants after `position`, oldest first; with their data only where their name is in
/// `names`, which holds them between spaces, or `*`.
pub fn after(read: &mut Read, position: i64, limit: i64, names: &str) -> Result<Vec<Stored>> {
    Ok(read.all(sql::AFTER, &params![position, limit, names], stored)?)
}

/// Up to `limit` events of one tenant after `position`, oldest first.
pub fn of_tenant(read: &mut Read, tenant: TenantId, position: i64, limit: i64) -> Result<Vec<Stored>> {
    Ok(read.all(sql::TENANT_AFTER, &params![tenant.0, position.max(0), limit], stored)?)
}

/// Where one of the tenant's events stands in the log; none when it is not the tenant's, was pruned, or has no place yet.
pub fn position_of(read: &mut Read, tenant: TenantId, id: EventId) -> Result<Option<i64>> {
    Ok(read.opt(sql::POSITION_OF, &params![tenant.0, id.0], |row| row.get(0))?)
}

/// The newest position of the log; 0 when it is empty.
pub fn last_position(read: &mut Read) -> Result<i64> {
    Ok(read.opt(sql::LAST_POSITION, &[], |row| row.get(0))?.unwrap_or(0))
}

/// What a subscription goes by: position, name, inbox and time of an event.
#[derive(Clone, Debug)]
pub struct Head {
    /// Place in the log.
    pub position: i64,
    /// Its name.
    pub name: String,
    /// The inbox of its conversation.
    pub inbox: Option<InboxId>,
    /// When it happened, microseconds UTC.
    pub at: i64,
}

/// Up to `limit` events of one tenant after `after` up to and including `until`, oldest first, without their data.
pub fn heads(read: &mut Read, tenant: TenantId, after: i64, until: i64, limit: i64) -> Result<Vec<Head>> {
    Ok(read.all(sql::TENANT_HEADS, &params![tenant.0, after, until, limit], |row| {
        Ok(Head {
            position: row.get(0)?,
            name: row.get(1)?,
            inbox: row.get::<Option<_>>(2)?.map(InboxId::from_uuid),
            at: row.get(3)?,
        })
    })?)
}

/// How far the order of positions may differ from that of times, microseconds: a transaction may take its position late.
pub const SKEW_US: i64 = 60_000_000;

/// A position after which all the tenant's events from `at` on are found, and few before; read on with a check of each
/// event's own time. A search by halves over positions, because times have no index.
pub fn position_at(read: &mut Read, tenant: TenantId, at: i64) -> Result<i64> {
    let at = at.saturating_sub(SKEW_US);
    let last: Option<i64> = read.opt(sql::LAST_OF_TENANT, &params![tenant.0], |row| row.get(0))?;
    let (mut before, mut from) = (0, last.unwrap_or(0) + 1);
    while from - before > 1 {
        let middle = before + (from - before) / 2;
        let row = |row: &Row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?));
        match read.opt(sql::FIRST_FROM, &params![tenant.0, middle], row)? {
            Some((position, time)) if time < at => before = position,
            _ => from = middle,
        }
    }
    Ok(before)
}

/// Removes up to `limit` events older than `before`; the number removed. The newest event always stays, so that positions
/// never start over.
pub fn prune(tx: &mut tieline_db::Tx, before: i64, limit: i64) -> Result<u64> {
    Ok(tx.execute(sql::PRUNE, &params![before, limit])?)
}
