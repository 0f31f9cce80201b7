//! What became of attempts.

use super::{Status, sql};
use crate::Result;
use crate::ids::{DeliveryId, EndpointId, TenantId};
use crate::webhooks::{self, DisabledReason, HealthRow};
use std::collections::{BTreeMap, HashSet};
use tieline_db::{Param, Tx, params};

/// One attempt and what follows from it.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The lease under which it was made.
    pub epoch: i64,
    /// The delivery.
    pub delivery: DeliveryId,
    /// 1, 2, 3, … within this round.
    pub number: i64,
    /// Attempts of the rounds before, which the log counts too.
    pub earlier_attempts: i64,
    /// When it began. Microseconds UTC.
    pub at: i64,
    /// How long it took, microseconds.
    pub duration_us: i64,
    /// The answer's status.
    pub status_code: Option<i64>,
    /// Why there is no answer, or what was wrong with it.
    pub error: Option<String>,
    /// Start of the answer's body.
    pub response: Option<String>,
    /// What follows.
    pub ended: Ended,
    /// False for a failed probe: it leaves no trace but in the endpoint's health.
    pub counted: bool,
    /// Retries on its own from now on.
    pub overtaken: bool,
    /// The endpoint's health after this attempt.
    pub health: HealthRow,
    /// Why the endpoint is to be switched off after it.
    pub disable: Option<DisabledReason>,
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Done: this is its last status.
    As(Status),
    /// Another attempt at this time.
    RetryAt(i64),
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Leases that were lost, by endpoint and epoch: none of their results were recorded, and the sender drops them.
    pub lost: HashSet<(EndpointId, i64)>,
}

/// Records attempts of any endpoints, in order. The last health given for a lease holds.
pub fn record(tx: &mut Tx, attempts: &[Attempt]) -> Result<Recorded> {
    let now = tx.now();
    let disabling = attempts.iter().filter(|attempt| attempt.disable.is_some());
    webhooks::hold(tx, disabling.map(|attempt| (attempt.tenant, attempt.endpoint)).collect())?;
    // Sorted, so that two nodes lock rows in one order.
    let mut last: BTreeMap<(EndpointId, i64), &Attempt> = BTreeMap::new();
    for attempt in attempts {
        last.insert((attempt.endpoint, attempt.epoch), attempt);
    }
    let mut lost = HashSet::new();
    for ((endpoint, epoch), attempt) in last {
        let health = attempt.health;
        let params = params![
            endpoint.0,
            epoch,
            health.consecutive_failures,
            health.first_failure_at,
            health.next_probe_at,
            health.last_success_at,
            health.last_failure_at
        ];
        if tx.execute(sql::HEALTH, &params)? == 0 {
            lost.insert((endpoint, epoch));
        }
    }
    let mut rows: Vec<Param> = Vec::with_capacity(attempts.len() * 8);
    let mut states: Vec<Param> = Vec::with_capacity(attempts.len() * 7);
    let held = |attempt: &&Attempt| attempt.counted && !lost.contains(&(attempt.endpoint, attempt.epoch));
    for attempt in attempts.iter().filter(held) {
        rows.extend(params![
            attempt.delivery.0,
            attempt.earlier_attempts + attempt.number,
            attempt.tenant.0,
            attempt.at,
            attempt.duration_us,
            attempt.status_code,
            &attempt.error,
            &attempt.response
        ]);
        let (status, due_at) = match attempt.ended {
            Ended::As(status) => (status, None),
            Ended::RetryAt(at) => (Status::Pending, Some(at)),
        };
        states.extend(params![
            attempt.endpoint.0,
            attempt.delivery.0,
            status.as_str(),
            attempt.number,
            attempt.overtaken,
            due_at,
            now
        ]);
    }
    tx.run_many(&sql::INSERT_ATTEMPT, &rows)?;
    tx.run_many(&sql::UPDATE, &states)?;
    Ok(Recorded { lost })
}
