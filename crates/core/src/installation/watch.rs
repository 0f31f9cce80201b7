//! What those who watch the server see of all tenants.

use super::sql;
use crate::Result;
use crate::ids::{EndpointId, TenantId};
use tieline_db::{Read, Row, params};

/// How an endpoint has been doing, for those who watch the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub endpoint: EndpointId,
    /// Failed attempts in a row.
    pub consecutive_failures: i64,
    /// Only probes and the oldest delivery go out.
    pub breaker_open: bool,
    /// When its next delivery is due; none when nothing waits. Microseconds UTC.
    pub next_due_at: Option<i64>,
}

/// Up to `limit` endpoints of all tenants, those that fail most first.
pub fn watched(read: &mut Read, limit: i64) -> Result<Vec<Watched>> {
    let row = |row: &Row| {
        Ok(Watched {
            tenant: TenantId(row.get(0)?),
            endpoint: EndpointId::from_uuid(row.get(1)?),
            consecutive_failures: row.get(2)?,
            breaker_open: row.get::<Option<i64>>(3)?.is_some(),
            next_due_at: row.get(4)?,
        })
    };
    Ok(read.all(sql::WATCHED, &params![limit], row)?)
}
