//! Switching an endpoint off because of how it answers.

use super::{DisabledReason, for_sending, sql};
use crate::Result;
use crate::audit;
use crate::ctx::Ctx;
use crate::deliveries;
use crate::events::{self, Event, Render};
use crate::ids::{EndpointId, TenantId};
use crate::installation::change_configuration;
use serde_json::json;
use tieline_db::{Param, Tx, params};

/// Locks endpoints that may have to be switched off, before anything of their state is.
pub(crate) fn hold(tx: &mut Tx, mut endpoints: Vec<(TenantId, EndpointId)>) -> Result<()> {
    if endpoints.is_empty() {
        return Ok(());
    }
    endpoints.sort_unstable();
    endpoints.dedup();
    let rows: Vec<Param> = endpoints.iter().flat_map(|(tenant, endpoint)| params![tenant.0, endpoint.0]).collect();
    tx.lock(&sql::LOCK, &rows)?;
    Ok(())
}

/// Switches an endpoint off and says so in an event; nothing happens when it is off already. What waits for it is then
/// cancelled by its sender, some at a time. Answers whether it was on.
pub fn disable(tx: &mut Tx, render: Render, endpoint: EndpointId, reason: DisabledReason) -> Result<bool> {
    let now = tx.now();
    if tx.execute(sql::DISABLE, &params![endpoint.0, reason.as_str(), now])? == 0 {
        return Ok(false);
    }
    let Some(endpoint) = for_sending(tx, endpoint)? else { return Ok(false) };
    deliveries::make_due(tx, endpoint.id)?;
    let ctx = Ctx::system(endpoint.tenant, render);
    audit::note(tx, &ctx, "webhook.disabled", endpoint.id, json!({"reason": reason.as_str()}))?;
    events::emit(tx, &ctx, &Event::WebhookDisabled { endpoint: &endpoint }, None)?;
    change_configuration(tx)?;
    Ok(true)
}
