//! From fan-out to the sender of the same node: fresh deliveries in memory, so that the sender reads none of them back.
//!
//! It is a short cut and never the truth: deliveries are durable before they are given, and what is dropped here, or never
//! given, the sender reads from the database. Past [`HANDED`] deliveries only the endpoints' names are kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tieline_core::deliveries::Waiting;
use tieline_core::ids::EndpointId;
use tokio::sync::Notify;

/// Deliveries that wait to be taken, with their bytes.
pub const HANDED: usize = 4096;

/// What one endpoint was given.
#[derive(Debug)]
pub struct Share {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The epoch of its lease when they were written.
    pub epoch: i64,
    /// Its deliveries, in order of sending.
    pub rows: Vec<Waiting>,
}

/// All deliveries of the events after one position up to another, which the fan-out's cursor moved over in one step.
#[derive(Debug)]
pub struct Batch {
    /// Where the cursor stood.
    pub from: i64,
    /// Where it stands.
    pub to: i64,
    /// By endpoint.
    pub shares: Vec<Share>,
}

/// What was given since the sender last took.
#[derive(Debug, Default)]
pub struct Given {
    /// In the order of giving.
    pub batches: Vec<Batch>,
    /// Endpoints that have deliveries up to `told_to` which are in no batch.
    pub told: BTreeSet<EndpointId>,
    /// See `told`.
    pub told_to: i64,
    rows: usize,
}

#[derive(Default)]
struct Between {
    given: Mutex<Given>,
    filled: Notify,
}

/// The fan-out's end.
#[derive(Clone)]
pub struct Giver(Arc<Between>);

/// The sender's end.
pub struct Taker(Arc<Between>);

/// The two ends.
pub fn handover() -> (Giver, Taker) {
    let between = Arc::new(Between::default());
    (Giver(between.clone()), Taker(between))
}

impl Giver {
    /// Hands over what is durable.
    pub fn give(&self, mut batch: Batch) {
        let mut given = self.0.given.lock().expect("not poisoned");
        let rows: usize = batch.shares.iter().map(|share| share.rows.len()).sum();
        if given.rows + rows > HANDED {
            given.told.extend(batch.shares.drain(..).map(|share| share.endpoint));
            given.told_to = given.told_to.max(batch.to);
        } else {
            given.rows += rows;
        }
        match given.batches.last_mut() {
            // One after the other without deliveries is one.
            Some(last) if batch.shares.is_empty() && last.to == batch.from => last.to = batch.to,
            _ => given.batches.push(batch),
        }
        drop(given);
        self.0.filled.notify_one();
    }
}

impl Taker {
    /// Takes everything.
    pub fn take(&self) -> Given {
        std::mem::take(&mut *self.0.given.lock().expect("not poisoned"))
    }
    /// Waits until something was given since the last wait ended.
    pub async fn filled(&self) {
        self.0.filled.notified().await;
    }
}
