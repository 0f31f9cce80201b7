//! The delivery log of an endpoint, as people read it.

use super::{Status, sql};
use crate::ids::{DeliveryId, EndpointId, EventId, TenantId};
use crate::{Error, Result};
use tieline_db::{Param, Read, Row, params};

/// Newest attempts of one delivery that are shown; a delivery has more only when people asked for it again and again.
pub const ATTEMPTS_SHOWN: usize = 100;

/// A delivery with its attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Its id.
    pub id: DeliveryId,
    /// The event; for a test one that is not in the log.
    pub event: EventId,
    /// The event's name.
    pub event_type: String,
    /// Where it stands.
    pub status: Status,
    /// Retries on its own: later events of its conversation do not wait for it.
    pub overtaken: bool,
    /// When the next attempt is due; none once it has ended.
    pub due_at: Option<i64>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
    /// Oldest first.
    pub attempts: Vec<LoggedAttempt>,
    /// The bytes that were sent; only when one delivery is read.
    pub body: Option<String>,
}

/// An attempt that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedAttempt {
    /// 1, 2, 3, … over all rounds.
    pub number: i64,
    /// When it began. Microseconds UTC.
    pub at: i64,
    /// How long it took, microseconds.
    pub duration_us: i64,
    /// The answer's status.
    pub status_code: Option<i64>,
    /// What went wrong.
    pub error: Option<String>,
    /// Start of the answer's body.
    pub response: Option<String>,
}

/// Which deliveries of an endpoint to read.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this status.
    pub status: Option<Status>,
    /// Only of events of this name.
    pub event_type: Option<String>,
    /// Only made at or after this, microseconds UTC.
    pub since: Option<i64>,
}

fn logged(row: &Row) -> tieline_db::Result<Logged> {
    let status: String = row.get(3)?;
    Ok(Logged {
        id: DeliveryId::from_uuid(row.get(0)?),
        event: EventId::from_uuid(row.get(1)?),
        event_type: row.get(2)?,
        status: Status::from_text(&status)
            .ok_or_else(|| tieline_db::Error::Sql("unknown status in deliveries".into()))?,
        overtaken: row.get(4)?,
        due_at: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
        attempts: Vec::new(),
        body: row.get(8)?,
    })
}

/// Up to `limit` deliveries of an endpoint, newest first, after one of them.
pub fn log(
    read: &mut Read,
    tenant: TenantId,
    endpoint: EndpointId,
    filter: &Filter,
    after: Option<DeliveryId>,
    limit: i64,
) -> Result<Vec<Logged>> {
    let after = after.map_or(uuid::Uuid::max(), |id| id.0);
    let statement = match filter.status {
        Some(Status::Failed | Status::Cancelled) => sql::LOG_UNSUCCESSFUL,
        _ => sql::LOG,
    };
    let params = params![
        tenant.0,
        endpoint.0,
        after,
        filter.since.unwrap_or(0),
        filter.status.map(Status::as_str),
        &filter.event_type,
        limit
    ];
    let mut rows = read.all(statement, &params, logged)?;
    with_attempts(read, tenant, &mut rows)?;
    Ok(rows)
}

/// One delivery of an endpoint with its body.
///
/// Errors: `not_found`.
pub fn logged_one(read: &mut Read, tenant: TenantId, endpoint: EndpointId, id: DeliveryId) -> Result<Logged> {
    let found = read.opt(sql::LOGGED, &params![tenant.0, endpoint.0, id.0], logged)?;
    let mut rows = vec![found.ok_or_else(|| Error::not_found("delivery"))?];
    with_attempts(read, tenant, &mut rows)?;
    rows.pop().ok_or_else(|| Error::not_found("delivery"))
}

fn with_attempts(read: &mut Read, tenant: TenantId, rows: &mut [Logged]) -> Result<()> {
    let params: Vec<Param> = rows.iter().flat_map(|row| params![tenant.0, row.id.0]).collect();
    read.select_many(&sql::ATTEMPTS, &params, |row| {
        let ordinal: i64 = row.get(0)?;
        rows[ordinal as usize].attempts.push(LoggedAttempt {
            number: row.get(1)?,
            at: row.get(2)?,
            duration_us: row.get(3)?,
            status_code: row.get(4)?,
            error: row.get(5)?,
            response: row.get(6)?,
        });
        Ok(())
    })?;
    for row in rows {
        row.attempts.sort_by_key(|attempt| attempt.number);
        let old = row.attempts.len().saturating_sub(ATTEMPTS_SHOWN);
        row.attempts.drain(..old);
    }
    Ok(())
}
