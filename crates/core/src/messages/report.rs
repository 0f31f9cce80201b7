//! What integrators and carriers report of a message of ours: how far it got.

use super::status::DeliveryStatus;
use super::{Message, get, sql};
use crate::conversations::{lock, next_event, save};
use crate::ctx::Ctx;
use crate::events::{Change, Event, emit};
use crate::ids::MessageId;
use crate::{Error, Result};
use tieline_db::{Tx, params};

/// A report about a message.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which message.
    pub message: MessageId,
    /// How far it got.
    pub status: DeliveryStatus,
}

/// The message after a report.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Its state.
    pub message: Message,
    /// Whether the report told anything new.
    pub changed: bool,
}

/// Takes a report. One that comes late or twice changes nothing and is no error. The conversation does not count as changed
/// by it: a receipt must not move it in the list of work.
///
/// Errors: `not_found`; `not_outbound` for a message that is not ours.
pub fn report(tx: &mut Tx, ctx: &Ctx, cmd: &Report) -> Result<Reported> {
    take(tx, ctx, cmd, |before| before.yields_to(&cmd.status))
}

/// Takes a report that the inbox's webhook has the message after all: beside what [`report`] does, it clears a failure to
/// deliver it there, whose reason starts with `failure`. A failure that somebody reported stays.
///
/// Errors: as [`report`].
pub fn taken_over(tx: &mut Tx, ctx: &Ctx, message: MessageId, failure: &str) -> Result<Reported> {
    let cmd = Report { message, status: DeliveryStatus::Sent };
    let ours = |before: &DeliveryStatus| before.reason().is_some_and(|reason| reason.starts_with(failure));
    take(tx, ctx, &cmd, |before| before.yields_to(&cmd.status) || ours(before))
}

fn take(tx: &mut Tx, ctx: &Ctx, cmd: &Report, counts: impl Fn(&DeliveryStatus) -> bool) -> Result<Reported> {
    let found = get(tx, ctx.tenant, cmd.message)?;
    // Under the conversation's lock, so that two reports of one message see each other.
    let mut conversation = lock(tx, ctx.tenant, found.conversation)?;
    let mut message = get(tx, ctx.tenant, cmd.message)?;
    let Some(before) = message.delivery_status.take() else {
        let detail = "Only a message of ours, direction outbound, has a delivery status.";
        return Err(Error::conflict("not_outbound", detail));
    };
    if !counts(&before) {
        message.delivery_status = Some(before);
        return Ok(Reported { message, changed: false });
    }
    let mut changes = vec![Change::new("deliveryStatus", before.as_str(), cmd.status.as_str())];
    if before.reason() != cmd.status.reason() {
        changes.push(Change::new("failureReason", before.reason(), cmd.status.reason()));
    }
    message.delivery_status = Some(cmd.status.clone());
    message.updated_at = tx.now();
    let row = params![ctx.tenant.0, message.id.0, cmd.status.as_str(), cmd.status.reason(), message.updated_at];
    tx.execute(sql::SET_STATUS, &row)?;
    let sequence = next_event(&mut conversation);
    save(tx, ctx.tenant, &conversation)?;
    let event = Event::MessageUpdated { message: &message, conversation: &conversation, changes: &changes };
    emit(tx, ctx, &event, sequence)?;
    Ok(Reported { message, changed: true })
}
