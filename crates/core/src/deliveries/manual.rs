//! Deliveries that a person asks for: a test, and the same delivery once more. They go at once, outside order and breaker,
//! and also to an endpoint that is off.

use super::{Status, make_due, sql};
use crate::ctx::Ctx;
use crate::events::{Stored, WEBHOOK_TEST, feed};
use crate::ids::{DeliveryId, EndpointId, EventId};
use crate::webhooks::{self, Endpoint, Format};
use crate::{Error, Result};
use tieline_db::{Tx, params};

/// A test of an endpoint.
#[derive(Clone, Debug)]
pub struct SendTest {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Writes the data of the event in the native shape.
    pub data: fn(&Endpoint) -> String,
    /// Writes the body of an event that is not in the log, in the endpoint's format.
    pub body: fn(Format, &Stored, Option<i64>) -> String,
}

/// Sends `webhook.test` to one endpoint. The event has an id of its own and is not in the log.
///
/// Errors: `not_found`.
pub fn send_test(tx: &mut Tx, ctx: &Ctx, cmd: &SendTest) -> Result<DeliveryId> {
    let endpoint = webhooks::get(tx, ctx.tenant, cmd.endpoint)?;
    let json = |value: serde_json::Result<String>| value.map_err(Error::internal);
    let now = tx.now();
    let event = Stored {
        position: feed::last_position(tx)?,
        id: EventId::from_uuid(tx.new_id()),
        tenant: ctx.tenant,
        name: WEBHOOK_TEST.to_owned(),
        conversation: None,
        inbox: None,
        sequence: None,
        actor: json(serde_json::to_string(&ctx.actor))?,
        cause: ctx.cause.as_ref().map(|cause| json(serde_json::to_string(cause))).transpose()?,
        data: (cmd.data)(&endpoint),
        state: None,
        at: now,
    };
    let (id, body) = (DeliveryId::from_uuid(tx.new_id()), (cmd.body)(endpoint.format, &event, None));
    tx.execute(
        sql::INSERT_MANUAL,
        &params![ctx.tenant.0, endpoint.id.0, id.0, event.position, event.id.0, WEBHOOK_TEST, now, &body],
    )?;
    make_due(tx, endpoint.id)?;
    Ok(id)
}

/// Sends a delivery that has ended once more: the same bytes under the same `webhook-id`, in a new round of attempts.
///
/// Errors: `not_found`; `delivery_pending` when it has not ended.
pub fn redeliver(tx: &mut Tx, ctx: &Ctx, endpoint: EndpointId, id: DeliveryId) -> Result<()> {
    webhooks::get(tx, ctx.tenant, endpoint)?;
    let now = tx.now();
    // The endpoint before its deliveries, as whoever records attempts does.
    tx.lock(&sql::LOCK, &params![endpoint.0])?;
    if tx.execute(sql::REDELIVER, &params![ctx.tenant.0, endpoint.0, id.0, now])? == 1 {
        return make_due(tx, endpoint);
    }
    let status = tx.opt(sql::STATUS, &params![ctx.tenant.0, endpoint.0, id.0], |row| row.get::<String>(0))?;
    match status.as_deref().and_then(Status::from_text) {
        None => Err(Error::not_found("delivery")),
        Some(_) => {
            let detail = "This delivery has not ended: it is tried again by itself at nextAttemptAt.";
            Err(Error::conflict("delivery_pending", detail))
        }
    }
}
