//! What is kept only for a time is removed: events, deliveries with their attempts, idempotency keys, counts of
//! requests and their log, deliveries of deleted endpoints, secrets whose overlap is over.
//!
//! A write transaction removes at most [`BATCH`] rows of one kind, and of deliveries it happens only where a read has found
//! some, so housekeeping never makes anybody wait for long.

use tieline_core::complain;
use tieline_core::events::feed;
use tieline_core::ids::{EndpointId, TenantId};
use tieline_core::{Error, Result, audit, deliveries, idempotency, limits, requests, tenants, webhooks};
use tieline_db::{Db, Tx};
use tokio::sync::watch;

/// Rows removed in one transaction.
pub const BATCH: i64 = 500;
/// Endpoints looked at in one read.
const PAGE: i64 = 200;
/// Between two rounds that found nothing more to do.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(60);
/// Between two transactions: others go first.
const BREATH: std::time::Duration = std::time::Duration::from_millis(20);
const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// How long things are kept, microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Events of the feed.
    pub events_us: i64,
    /// Deliveries that have ended, and their attempts.
    pub deliveries_us: i64,
    /// The request log.
    pub requests_us: i64,
    /// Administrative changes; none for ever.
    pub audit_us: Option<i64>,
}

impl Default for Kept {
    /// 30 days each (contract D4.10, DESIGN section 1), but administrative changes for ever (section 4).
    fn default() -> Kept {
        Kept { events_us: 30 * DAY_US, deliveries_us: 30 * DAY_US, requests_us: 30 * DAY_US, audit_us: None }
    }
}

/// The housekeeping of one node; several at once do no harm.
pub struct Housekeeping {
    db: Db,
    kept: Kept,
}

impl Housekeeping {
    /// Housekeeping over `db`.
    pub fn new(db: Db, kept: Kept) -> Housekeeping {
        Housekeeping { db, kept }
    }

    /// Removes a batch of everything that is too old; the number of rows removed, 0 when there is nothing left to do.
    pub async fn step(&self) -> Result<u64> {
        let now = self.db.now();
        let before = now - self.kept.events_us;
        let mut removed = self.write(move |tx| feed::prune(tx, before, BATCH)).await?;
        removed += self.write(|tx| idempotency::prune(tx, BATCH)).await?;
        removed += self.write(|tx| limits::prune(tx, BATCH)).await?;
        removed += self.write(webhooks::forget_secrets).await?;
        removed += self.prune_tenants(now).await?;
        for (endpoint, deleted_at) in self.db.read(|read| deliveries::deleted_endpoints(read, PAGE)).await? {
            removed += self.write(move |tx| deliveries::prune_deleted(tx, endpoint, deleted_at, BATCH)).await?;
        }
        let before = now - self.kept.deliveries_us;
        let mut after = EndpointId::from_uuid(uuid::Uuid::nil());
        loop {
            let (last, old) = self
                .db
                .read(move |read| {
                    let page = deliveries::endpoints(read, after, PAGE)?;
                    let last = (page.len() as i64 == PAGE).then(|| page.last().copied()).flatten();
                    let mut old = Vec::new();
                    for endpoint in page {
                        if deliveries::has_old(read, endpoint, before)? {
                            old.push(endpoint);
                        }
                    }
                    Ok::<_, Error>((last, old))
                })
                .await?;
            for endpoint in old {
                removed += self.write(move |tx| deliveries::prune(tx, endpoint, before, BATCH)).await?;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(removed),
            }
        }
    }

    /// A batch of each tenant's request log and administrative changes.
    async fn prune_tenants(&self, now: i64) -> Result<u64> {
        let before = now - self.kept.requests_us;
        let changed_before = self.kept.audit_us.map_or(0, |kept| now - kept);
        let (mut removed, mut after) = (0, TenantId(0));
        loop {
            let (last, old) = self
                .db
                .read(move |read| {
                    let page = tenants::after(read, after, PAGE)?;
                    let last = (page.len() as i64 == PAGE).then(|| page.last().copied()).flatten();
                    let mut old = Vec::new();
                    for tenant in page {
                        if requests::has_old(read, tenant, before)? || audit::has_old(read, tenant, changed_before)? {
                            old.push(tenant);
                        }
                    }
                    Ok::<_, Error>((last, old))
                })
                .await?;
            for tenant in old {
                let prune = move |tx: &mut Tx| {
                    Ok(requests::prune(tx, tenant, before, BATCH)? + audit::prune(tx, tenant, changed_before, BATCH)?)
                };
                removed += self.write(prune).await?;
            }
            match last {
                Some(last) => after = last,
                None => return Ok(removed),
            }
        }
    }

    async fn write(&self, work: impl Fn(&mut Tx) -> Result<u64> + Send + 'static) -> Result<u64> {
        self.db.write(work).await
    }

    /// Runs until `stop` is set. Errors are logged and tried again in the next round.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let pause = match self.step().await {
                Ok(0) => PAUSE,
                Ok(_) => BREATH,
                Err(error) => {
                    complain!(error, "housekeeping failed; trying again");
                    PAUSE
                }
            };
            tokio::select! {
                _ = tokio::time::sleep(pause) => {}
                _ = stop.changed() => return,
            }
        }
    }
}
