//! The request log: what was asked of us with a credential, and what we answered, for 30 days.
//!
//! Rows are written in batches, away from the requests. They hold no query and no header, because both carry secrets; bodies
//! only where the tenant asks for them, cut and with secrets masked.

mod redact;
pub(crate) mod sql;

pub use redact::{BODY_LIMIT, redacted};

use crate::Result;
use crate::ids::{TenantId, first_at};
use tieline_db::{Param, Read, Row, Tx, params};
use uuid::Uuid;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The partition.
    pub tenant: TenantId,
    /// Made of the time of the answer, so that ids are in its order.
    pub id: Uuid,
    /// The id of the key, user or inbox on the wire.
    pub principal: String,
    /// The method.
    pub method: String,
    /// The route's template.
    pub route: String,
    /// The path as it was, without a query.
    pub path: String,
    /// The status answered.
    pub status: i64,
    /// From the head of the request to the head of the answer, microseconds.
    pub duration_us: i64,
    /// The request's id.
    pub request_id: String,
    /// Where it came from.
    pub address: Option<String>,
    /// The body of the request, if it was kept.
    pub request_body: Option<String>,
    /// The body of the answer, if it was kept.
    pub response_body: Option<String>,
    /// When it was answered, microseconds UTC.
    pub at: i64,
}

/// What is wanted of the log; what is none is not asked about.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The id of the key, user or inbox on the wire.
    pub principal: Option<String>,
    /// Statuses from the first to the second.
    pub status: Option<(i64, i64)>,
    /// The method.
    pub method: Option<String>,
    /// What the path begins with.
    pub path: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// Answered at or after this instant, microseconds UTC.
    pub since: Option<i64>,
    /// Answered before this instant, microseconds UTC.
    pub until: Option<i64>,
}

impl Filter {
    /// Whether a row is one that is asked for.
    pub fn admits(&self, entry: &Entry) -> bool {
        self.principal.as_ref().is_none_or(|principal| entry.principal == *principal)
            && self.status.is_none_or(|(from, to)| (from..=to).contains(&entry.status))
            && self.method.as_ref().is_none_or(|method| entry.method == *method)
            && self.path.as_ref().is_none_or(|path| entry.path.starts_with(path.as_str()))
            && self.request_id.as_ref().is_none_or(|id| entry.request_id == *id)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// Rows looked at in one read.
const SCAN: i64 = 500;
/// Reads by one request: a filter that fits little answers a short page that goes on.
const SCANS: usize = 20;

/// Up to `limit` rows before one of them, newest first, and where to go on if there may be more.
pub fn list(
    read: &mut Read,
    tenant: TenantId,
    filter: &Filter,
    before: Option<Uuid>,
    limit: usize,
) -> Result<(Vec<Entry>, Option<Uuid>)> {
    let mut before = before.unwrap_or_else(Uuid::max);
    if let Some(until) = filter.until {
        // Ids are of the millisecond of their time, or a little after it where a clock stepped back.
        before = before.min(first_at(until + CLOCK_STEP_US));
    }
    let from = filter.since.map_or_else(Uuid::nil, first_at);
    let mut found: Vec<Entry> = Vec::new();
    for _ in 0..SCANS {
        let rows = match &filter.principal {
            Some(principal) => {
                read.all(sql::LIST_OF_PRINCIPAL, &params![tenant.0, before, from, SCAN, principal], entry)?
            }
            None => read.all(sql::LIST, &params![tenant.0, before, from, SCAN], entry)?,
        };
        let full = rows.len() as i64 == SCAN;
        for row in rows {
            if found.len() == limit {
                return Ok((found, Some(before)));
            }
            before = row.id;
            if filter.admits(&row) {
                found.push(row);
            }
        }
        if !full {
            return Ok((found, None));
        }
    }
    Ok((found, Some(before)))
}

/// How far an id may lie after its time, microseconds.
const CLOCK_STEP_US: i64 = 2_000_000;

fn entry(row: &Row) -> tieline_db::Result<Entry> {
    Ok(Entry {
        tenant: TenantId(row.get(0)?),
        id: row.get(1)?,
        principal: row.get(2)?,
        method: row.get(3)?,
        route: row.get(4)?,
        path: row.get(5)?,
        status: row.get(6)?,
        duration_us: row.get(7)?,
        request_id: row.get(8)?,
        address: row.get(9)?,
        at: row.get(10)?,
        request_body: row.get(11)?,
        response_body: row.get(12)?,
    })
}

/// Writes rows down.
pub fn append(tx: &mut Tx, entries: &[Entry]) -> Result<()> {
    let rows: Vec<Param> = entries
        .iter()
        .flat_map(|e| {
            let address = e.address.as_deref();
            let (status, duration) = (e.status, e.duration_us);
            params![
                e.tenant.0,
                e.id,
                &e.principal,
                &e.method,
                &e.route,
                &e.path,
                status,
                duration,
                &e.request_id,
                address,
                e.at
            ]
        })
        .collect();
    tx.run_many(&sql::APPEND, &rows)?;
    let kept = entries.iter().filter(|e| e.request_body.is_some() || e.response_body.is_some());
    let rows: Vec<Param> = kept.flat_map(|e| params![e.tenant.0, e.id, &e.request_body, &e.response_body]).collect();
    tx.run_many(&sql::APPEND_BODIES, &rows)?;
    Ok(())
}

/// Whether the tenant's log has rows from before `before`.
pub fn has_old(read: &mut Read, tenant: TenantId, before: i64) -> Result<bool> {
    Ok(read.opt(sql::OLD, &params![tenant.0, first_at(before), 1i64], |_| Ok(()))?.is_some())
}

/// Removes up to `limit` rows of the tenant from before `before`, oldest first; the number removed.
pub fn prune(tx: &mut Tx, tenant: TenantId, before: i64, limit: i64) -> Result<u64> {
    let old: Vec<Uuid> = tx.all(sql::OLD, &params![tenant.0, first_at(before), limit], |row| row.get(0))?;
    let Some(last) = old.last() else { return Ok(0) };
    tx.execute(sql::PRUNE_BODIES, &params![tenant.0, *last])?;
    Ok(tx.execute(sql::PRUNE, &params![tenant.0, *last])?)
}
