//! Deliveries: one event on its way to one endpoint, with frozen bytes and every attempt.
//!
//! What the statements here guarantee: a delivery is written in the transaction that moves the fan-out's cursor, so every
//! event is fanned out exactly once; a result is recorded only under the epoch of the lease that its sender holds, so a
//! sender that lost its lease changes nothing.

mod fan_out;
mod lease;
mod log;
mod manual;
mod prune;
mod record;
mod report;
pub(crate) mod sql;

pub use fan_out::{FanOut, FannedOut, NewDelivery, cursor, fan_out, last_sequences};
pub(crate) use fan_out::{hold, insert, make_due};
pub(crate) use lease::take_back;
pub use lease::{Claimed, LEASE_US, Park, claim, clear_leases, epoch, park, renew, waiting};
pub use log::{ATTEMPTS_SHOWN, Filter, Logged, LoggedAttempt, log, logged_one};
pub use manual::{SendTest, redeliver, send_test};
pub use prune::{deleted_endpoints, endpoints, has_old, prune, prune_deleted};
pub use record::{Attempt, Ended, Recorded, record};
pub use report::report;

use crate::Result;
use crate::events::Render;
use crate::ids::{ConversationId, DeliveryId, EndpointId, EventId, TenantId};
use tieline_db::{Read, Row, Tx, params};

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// An attempt will be made.
    Pending,
    /// The endpoint answered 2xx.
    Succeeded,
    /// All attempts are used up.
    Failed,
    /// The endpoint was switched off or deleted first.
    Cancelled,
}

impl Status {
    /// As stored and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Succeeded => "succeeded",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }
    /// The status of this name.
    pub fn from_text(text: &str) -> Option<Status> {
        [Self::Pending, Self::Succeeded, Self::Failed, Self::Cancelled].into_iter().find(|s| s.as_str() == text)
    }
}

/// A delivery that waits to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Its id.
    pub id: DeliveryId,
    /// Place of its event in the log: the order of sending.
    pub position: i64,
    /// The event.
    pub event: EventId,
    /// The event's name.
    pub event_type: String,
    /// Order holds within this.
    pub conversation: Option<ConversationId>,
    /// Attempts made in this round.
    pub attempts: i64,
    /// Attempts of the rounds before.
    pub earlier_attempts: i64,
    /// Retries on its own; the conversation's later events no longer wait for it.
    pub overtaken: bool,
    /// When the next attempt is due. Microseconds UTC.
    pub due_at: i64,
    /// The bytes to send.
    pub body: String,
}

fn waiting_row(row: &Row) -> tieline_db::Result<Waiting> {
    Ok(Waiting {
        id: DeliveryId::from_uuid(row.get(0)?),
        position: row.get(1)?,
        event: EventId::from_uuid(row.get(2)?),
        event_type: row.get(3)?,
        conversation: row.get::<Option<_>>(4)?.map(ConversationId::from_uuid),
        attempts: row.get(5)?,
        earlier_attempts: row.get(6)?,
        overtaken: row.get(7)?,
        due_at: row.get(8)?,
        body: row.get(9)?,
    })
}

/// Up to `limit` pending deliveries of an endpoint after (`position`, `id`), in order of sending.
pub fn pending(read: &mut Read, endpoint: EndpointId, after: (i64, DeliveryId), limit: i64) -> Result<Vec<Waiting>> {
    let params = params![endpoint.0, after.0, after.1.0, limit];
    Ok(read.all(sql::PENDING, &params, waiting_row)?)
}

/// Up to `limit` pending deliveries of one conversation after (`position`, `id`), in order of sending.
pub fn pending_of(
    read: &mut Read,
    endpoint: EndpointId,
    conversation: ConversationId,
    after: (i64, DeliveryId),
    limit: i64,
) -> Result<Vec<Waiting>> {
    let params = params![endpoint.0, after.0, after.1.0, conversation.0, limit];
    Ok(read.all(sql::PENDING_OF, &params, waiting_row)?)
}

/// Up to `limit` deliveries that a person asked for and that were not sent yet.
pub fn pending_manual(read: &mut Read, endpoint: EndpointId, limit: i64) -> Result<Vec<Waiting>> {
    Ok(read.all(sql::PENDING_MANUAL, &params![endpoint.0, limit], waiting_row)?)
}

/// Cancels up to `limit` waiting deliveries of an endpoint that is off; the number cancelled. What a bot held of them goes to
/// agents; `render` writes the events.
pub fn cancel(tx: &mut Tx, render: Render, endpoint: EndpointId, limit: i64) -> Result<u64> {
    hold(tx, vec![endpoint])?;
    let (limit, now) = (report::give_up(tx, render, endpoint, limit)?, tx.now());
    Ok(tx.execute(sql::CANCEL, &params![endpoint.0, now, limit])?)
}

/// Most deliveries that [`release`] makes due: beyond them each waits for its own time.
const RELEASED: i64 = 10_000;

/// Makes due what waits for a retry, the oldest first.
pub(crate) fn release(tx: &mut Tx, tenant: TenantId, endpoint: EndpointId) -> Result<()> {
    let now = tx.now();
    tx.execute(sql::RELEASE, &params![tenant.0, endpoint.0, now, RELEASED])?;
    Ok(())
}

/// The bytes of a pending delivery.
pub fn body(read: &mut Read, endpoint: EndpointId, id: DeliveryId) -> Result<Option<String>> {
    Ok(read.opt(sql::BODY, &params![endpoint.0, id.0], |row| row.get(0))?)
}
