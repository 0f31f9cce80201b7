//! Housekeeping: old deliveries and those of deleted endpoints, a bounded number in one transaction.

use super::sql;
use crate::Result;
use crate::ids::{EndpointId, first_at};
use tieline_db::{Read, Tx, params};
use uuid::Uuid;

/// How long a deleted endpoint is remembered after its last delivery is gone, microseconds: a fan-out that knew it when it
/// was deleted may write more.
const REMEMBERED_US: i64 = 3600 * 1_000_000;

/// Up to `limit` endpoints after one of them, in the order of their ids.
pub fn endpoints(read: &mut Read, after: EndpointId, limit: i64) -> Result<Vec<EndpointId>> {
    Ok(read.all(sql::ENDPOINTS, &params![after.0, limit], |row| Ok(EndpointId::from_uuid(row.get(0)?)))?)
}

/// Whether the endpoint has a delivery that was made and ended before `before`.
pub fn has_old(read: &mut Read, endpoint: EndpointId, before: i64) -> Result<bool> {
    let params = params![endpoint.0, first_at(before), before];
    Ok(read.opt(sql::ANY_ENDED, &params, |row| row.get::<Uuid>(0))?.is_some())
}

/// Removes up to `limit` deliveries of the endpoint that were made and ended before `before`, and their attempts; the
/// number removed.
pub fn prune(tx: &mut Tx, endpoint: EndpointId, before: i64, limit: i64) -> Result<u64> {
    let params = params![endpoint.0, first_at(before), before, limit];
    tx.execute(sql::PRUNE_ATTEMPTS, &params)?;
    Ok(tx.execute(sql::PRUNE, &params)?)
}

/// Up to `limit` endpoints that were deleted, and when.
pub fn deleted_endpoints(read: &mut Read, limit: i64) -> Result<Vec<(EndpointId, i64)>> {
    let row = |row: &tieline_db::Row| Ok((EndpointId::from_uuid(row.get(0)?), row.get(1)?));
    Ok(read.all(sql::DELETED_ENDPOINTS, &params![limit], row)?)
}

/// Removes up to `limit` deliveries of a deleted endpoint, and their attempts; the number removed. When nothing is left for
/// an hour, the endpoint is forgotten.
pub fn prune_deleted(tx: &mut Tx, endpoint: EndpointId, deleted_at: i64, limit: i64) -> Result<u64> {
    let params = params![endpoint.0, limit];
    tx.execute(sql::DELETE_ATTEMPTS_OF, &params)?;
    let removed = tx.execute(sql::DELETE_OF, &params)?;
    if removed == 0 && tx.now() - deleted_at > REMEMBERED_US {
        tx.execute(sql::FORGET_ENDPOINT, &params![endpoint.0])?;
    }
    Ok(removed)
}
