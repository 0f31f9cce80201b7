//! Switching an endpoint off because of how it answers.

use super::{DisabledReason, for_sending, sql};
use crate::Result;
use crate::audit;
use crate::ctx::Ctx;
use crate::deliveries;
use crate::events::{self, Event, Render};
use crate::ids::EndpointId;
use crate::installation::change_configuration;
use serde_json::json;
use tieline_db::{Tx, params};

/// Switches an endpoint off and says so in an event; nothing happens when it is off already. What waits for it is then
/// cancelled by its sender, some at a time.
pub fn disable(tx: &mut Tx, render: Render, endpoint: EndpointId, reason: DisabledReason) -> Result<()> {
    let now = tx.now();
    if tx.execute(sql::DISABLE, &params![endpoint.0, reason.as_str(), now])? == 0 {
        return Ok(());
    }
    let Some(endpoint) = for_sending(tx, endpoint)? else { return Ok(()) };
    deliveries::make_due(tx, endpoint.id)?;
    let ctx = Ctx::system(endpoint.tenant, render);
    audit::note(tx, &ctx, "webhook.disabled", endpoint.id, json!({"reason": reason.as_str()}))?;
    events::emit(tx, &ctx, &Event::WebhookDisabled { endpoint: &endpoint }, None)?;
    change_configuration(tx)?;
    Ok(())
}
