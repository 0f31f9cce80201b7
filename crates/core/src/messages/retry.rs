//! Sending a message of ours once more.

use super::status::DeliveryStatus;
use super::{Message, get, sql};
use crate::conversations::{lock, next_event, save};
use crate::ctx::Ctx;
use crate::deliveries;
use crate::events::{Change, Event, emit};
use crate::ids::{DeliveryId, EndpointId, MessageId};
use crate::{Error, Kind, Result};
use tieline_db::{Tx, params};

/// Deliveries that one retry makes due.
const DELIVERIES: i64 = 50;

/// A message that failed is queued again, and every delivery that ended without bringing it anywhere is made once more: the
/// same bytes under the same id.
///
/// Errors: `not_found`; `not_outbound` for a message that is not ours.
pub fn retry(tx: &mut Tx, ctx: &Ctx, id: MessageId) -> Result<Message> {
    let found = get(tx, ctx.tenant, id)?;
    let named = format!("%\"{id}\"%");
    let of = params![ctx.tenant.0, found.conversation.0, &named, DELIVERIES];
    let ended = tx.all(sql::UNDELIVERED, &of, |row| {
        Ok((EndpointId::from_uuid(row.get(0)?), DeliveryId::from_uuid(row.get(1)?)))
    })?;
    // Endpoints before conversations, as whoever records what became of an attempt.
    deliveries::hold(tx, ended.iter().map(|(endpoint, _)| *endpoint).collect())?;
    let mut conversation = lock(tx, ctx.tenant, found.conversation)?;
    let mut message = get(tx, ctx.tenant, id)?;
    let Some(before) = message.delivery_status.clone() else {
        let detail = "Only a message of ours, direction outbound, can be sent again.";
        return Err(Error::conflict("not_outbound", detail));
    };
    if matches!(before, DeliveryStatus::Failed { .. }) {
        message.delivery_status = Some(DeliveryStatus::Queued);
        message.updated_at = tx.now();
        tx.execute(sql::QUEUE_AGAIN, &params![ctx.tenant.0, id.0, message.updated_at])?;
        let changes = [
            Change::new("deliveryStatus", before.as_str(), DeliveryStatus::Queued.as_str()),
            Change::new("failureReason", before.reason(), None::<&str>),
        ];
        let sequence = next_event(&mut conversation);
        save(tx, ctx.tenant, &conversation)?;
        let event = Event::MessageUpdated { message: &message, conversation: &conversation, changes: &changes };
        emit(tx, ctx, &event, sequence)?;
    }
    for (endpoint, delivery) in ended {
        match deliveries::redeliver(tx, ctx, endpoint, delivery) {
            // An endpoint that was deleted meanwhile.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Conflict) => {}
            done => done?,
        }
    }
    Ok(message)
}
