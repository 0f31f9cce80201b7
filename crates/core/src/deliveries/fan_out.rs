//! From the log to deliveries.

use super::sql;
use crate::events::DELIVERIES;
use crate::ids::{ConversationId, DeliveryId, EndpointId, EventId, TenantId};
use crate::{Error, Result};
use tieline_db::{Param, Read, Row, Tx, params};

const CURSOR: &str = "cursor.webhooks";

/// A delivery to write, its bytes rendered.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Where to.
    pub endpoint: EndpointId,
    /// Whose.
    pub tenant: TenantId,
    /// Place of the event in the log.
    pub position: i64,
    /// The event.
    pub event: EventId,
    /// Its name.
    pub event_type: String,
    /// The conversation it belongs to.
    pub conversation: Option<ConversationId>,
    /// Its place among the conversation's events.
    pub sequence: Option<i64>,
    /// The bytes, the same on every attempt.
    pub body: String,
}

/// The deliveries of all events after `from` up to and including `to`.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// Where the cursor must stand.
    pub from: i64,
    /// Where it will stand.
    pub to: i64,
    /// What to write.
    pub deliveries: Vec<NewDelivery>,
}

/// The position up to which the log has been fanned out.
pub fn cursor(read: &mut Read) -> Result<i64> {
    let text: Option<String> = read.opt(sql::CURSOR, &params![CURSOR], |row| row.get(0))?;
    text.map_or(Ok(0), |text| text.parse().map_err(Error::internal))
}

/// What was written.
#[derive(Clone, Debug)]
pub struct FannedOut {
    /// The ids of the deliveries, in their order.
    pub ids: Vec<DeliveryId>,
    /// The endpoints, sorted, each with the epoch of its lease; those that were deleted meanwhile are left out.
    pub epochs: Vec<(EndpointId, i64)>,
}

/// Writes the deliveries and moves the cursor, in one transaction; none when another node has done it already.
pub fn fan_out(tx: &mut Tx, cmd: &FanOut) -> Result<Option<FannedOut>> {
    let (from, to) = (cmd.from.to_string(), cmd.to.to_string());
    let moved = if cmd.from == 0 {
        tx.execute(sql::START_CURSOR, &params![CURSOR, &to])?
    } else {
        tx.execute(sql::MOVE_CURSOR, &params![CURSOR, &to, &from])?
    };
    if moved == 0 {
        return Ok(None);
    }
    let ids = insert(tx, &cmd.deliveries)?;
    let mut endpoints: Vec<EndpointId> = cmd.deliveries.iter().map(|delivery| delivery.endpoint).collect();
    endpoints.sort();
    endpoints.dedup();
    hold(tx, endpoints.clone())?;
    let mut epochs = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        epochs.extend(set_due(tx, endpoint)?.map(|epoch| (endpoint, epoch)));
    }
    Ok(Some(FannedOut { ids, epochs }))
}

/// Writes deliveries, due at once; answers their ids.
pub(crate) fn insert(tx: &mut Tx, deliveries: &[NewDelivery]) -> Result<Vec<DeliveryId>> {
    let now = tx.now();
    let ids: Vec<DeliveryId> = deliveries.iter().map(|_| DeliveryId::from_uuid(tx.new_id())).collect();
    let mut rows: Vec<Param> = Vec::with_capacity(deliveries.len() * 10);
    for (delivery, id) in deliveries.iter().zip(&ids) {
        rows.extend(params![
            delivery.endpoint.0,
            id.0,
            delivery.tenant.0,
            delivery.position,
            delivery.event.0,
            &delivery.event_type,
            delivery.conversation.map(|id| id.0),
            delivery.sequence,
            &delivery.body,
            now
        ]);
    }
    tx.run_many(&sql::INSERT, &rows)?;
    Ok(ids)
}

/// Keeps others from giving these endpoints anything, and from recording what became of it, until the transaction ends.
pub(crate) fn hold(tx: &mut Tx, mut endpoints: Vec<EndpointId>) -> Result<()> {
    endpoints.sort();
    endpoints.dedup();
    let rows: Vec<Param> = endpoints.iter().map(|endpoint| endpoint.0.into()).collect();
    tx.lock(&sql::LOCK, &rows)?;
    Ok(())
}

/// Tells the senders that the endpoint has something to send now. Its row is locked: whoever would give it back meanwhile
/// waits, and then sees what there is to send.
pub(crate) fn make_due(tx: &mut Tx, endpoint: EndpointId) -> Result<()> {
    tx.lock(&sql::LOCK, &params![endpoint.0])?;
    set_due(tx, endpoint)?;
    tx.signal(DELIVERIES);
    Ok(())
}

/// Makes the locked endpoint due, if it is not; the epoch of its present or last lease, none when it was deleted.
fn set_due(tx: &mut Tx, endpoint: EndpointId) -> Result<Option<i64>> {
    let now = tx.now();
    let row = |row: &Row| Ok((row.get::<i64>(0)?, row.get::<Option<i64>>(1)?));
    let Some((epoch, due_at)) = tx.opt(sql::LEASED, &params![endpoint.0], row)? else { return Ok(None) };
    if due_at.is_none_or(|due_at| due_at > now) {
        tx.execute(sql::MAKE_DUE, &params![endpoint.0, now])?;
        tx.signal(DELIVERIES);
    }
    Ok(Some(epoch))
}

/// For each pair, the highest sequence number that the endpoint was given of the conversation, if any.
pub fn last_sequences(read: &mut Read, pairs: &[(TenantId, EndpointId, ConversationId)]) -> Result<Vec<Option<i64>>> {
    let params: Vec<Param> =
        pairs.iter().flat_map(|(tenant, endpoint, id)| params![tenant.0, endpoint.0, id.0]).collect();
    let mut found = vec![None; pairs.len()];
    read.select_many(&sql::LAST_SEQUENCE, &params, |row| {
        let ordinal: i64 = row.get(0)?;
        found[ordinal as usize] = row.get(1)?;
        Ok(())
    })?;
    Ok(found)
}
