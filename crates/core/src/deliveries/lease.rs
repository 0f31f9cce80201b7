//! Who sends for an endpoint: a lease with an epoch, so that order, breaker and slots have one owner.

use super::sql;
use crate::Result;
use crate::ids::{DeliveryId, EndpointId, TenantId};
use crate::webhooks::HealthRow;
use tieline_db::{Param, Tx, params};

/// How long a lease holds without renewal, microseconds. Longer than a pause of the process that should not matter, short
/// enough that a dead node's work is taken over soon.
pub const LEASE_US: i64 = 5_000_000;

/// An endpoint that is ours to send for.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Results count only under this.
    pub epoch: i64,
    /// How it has been doing.
    pub health: HealthRow,
}

/// Takes up to `limit` endpoints that are due and that nobody holds. Leases of `node` itself that ran out can be renewed for
/// another [`LEASE_US`]: until then they are not taken, because a new epoch would void what is in flight.
pub fn claim(tx: &mut Tx, node: &str, limit: i64) -> Result<Vec<Claimed>> {
    let now = tx.now();
    let mut due = tx.all(sql::DUE, &params![now, node, now - LEASE_US, limit], |row| {
        Ok(Claimed {
            endpoint: EndpointId::from_uuid(row.get(0)?),
            tenant: TenantId(row.get(1)?),
            epoch: row.get::<i64>(2)? + 1,
            health: HealthRow {
                consecutive_failures: row.get(3)?,
                first_failure_at: row.get(4)?,
                next_probe_at: row.get(5)?,
                last_success_at: row.get(6)?,
                last_failure_at: row.get(7)?,
            },
        })
    })?;
    due.sort_by_key(|one| one.endpoint); // so that two nodes lock rows in one order
    let mut claimed = Vec::with_capacity(due.len());
    for one in due {
        let params = params![one.endpoint.0, node, now + LEASE_US, one.epoch, now];
        if tx.execute(sql::CLAIM, &params)? == 1 {
            claimed.push(one);
        }
    }
    Ok(claimed)
}

/// Keeps these endpoints, given with their epochs and sorted, for another [`LEASE_US`]; answers those still held. A lease that
/// is not named runs out, also one whose claim was committed without `node` learning of it.
pub fn renew(tx: &mut Tx, node: &str, held: &[(EndpointId, i64)]) -> Result<Vec<EndpointId>> {
    let until = tx.now() + LEASE_US;
    let rows: Vec<Param> = held.iter().flat_map(|(endpoint, epoch)| params![endpoint.0, node, *epoch, until]).collect();
    let mut ours = Vec::with_capacity(held.len());
    tx.many(&sql::RENEW, &rows, |row| {
        ours.push(EndpointId::from_uuid(row.get(0)?));
        Ok(())
    })?;
    Ok(ours)
}

/// An endpoint given back: nothing of it is due before `next_due_at`.
#[derive(Clone, Debug)]
pub struct Park {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The lease's epoch.
    pub epoch: i64,
    /// The sender has seen every delivery up to here.
    pub seen: (i64, DeliveryId),
    /// When its earliest retry is due; none when nothing waits.
    pub next_due_at: Option<i64>,
}

/// Gives an endpoint back; false when deliveries that the sender has not seen wait, or the lease was lost.
pub fn park(tx: &mut Tx, cmd: &Park) -> Result<bool> {
    tx.lock(&sql::LOCK, &params![cmd.endpoint.0])?; // fan-out may be giving it something
    let params = params![cmd.endpoint.0, cmd.epoch, cmd.next_due_at, cmd.seen.0, cmd.seen.1.0];
    Ok(tx.execute(sql::PARK, &params)? == 1)
}

/// Endpoints that somebody must look at, each with its epoch: due and held by nobody, or with a delivery that a person asked
/// for, or `held` by the one who asks, who has seen up to the place given, and with a delivery after it. A sender that holds
/// an older epoch has lost its lease.
pub fn waiting(
    read: &mut tieline_db::Read,
    limit: i64,
    held: &[(EndpointId, (i64, DeliveryId))],
) -> Result<Vec<(EndpointId, i64)>> {
    let now = read.now();
    let row = |row: &tieline_db::Row| Ok((EndpointId::from_uuid(row.get(0)?), row.get(1)?));
    let mut found = read.all(sql::FREE_AND_DUE, &params![now, limit], row)?;
    found.extend(read.all(sql::ASKED_FOR, &params![limit], row)?);
    let rows: Vec<Param> = held.iter().flat_map(|(endpoint, seen)| params![endpoint.0, seen.0, seen.1.0]).collect();
    read.select_many(&sql::UNSEEN, &rows, |row| {
        found.push((held[row.get::<i64>(0)? as usize].0, row.get(1)?));
        Ok(())
    })?;
    Ok(found)
}

/// Takes the endpoint from whoever holds it and makes it due: the next holder reads everything that waits anew, so that
/// rows which became pending at old places are found. What the last holder has in flight is not recorded any more.
pub(crate) fn take_back(tx: &mut Tx, endpoint: EndpointId) -> Result<()> {
    let now = tx.now();
    tx.execute(sql::TAKE_BACK, &params![endpoint.0, now])?;
    tx.signal(crate::events::DELIVERIES);
    Ok(())
}

/// The epoch of an endpoint's present or last lease; none when the endpoint was deleted.
pub fn epoch(read: &mut tieline_db::Read, endpoint: EndpointId) -> Result<Option<i64>> {
    Ok(read.opt(sql::EPOCH, &params![endpoint.0], |row| row.get(0))?)
}

/// Forgets all leases: for a server that has the database for itself, at its start.
pub fn clear_leases(tx: &mut Tx) -> Result<u64> {
    Ok(tx.execute(sql::CLEAR_LEASES, &[])?)
}
