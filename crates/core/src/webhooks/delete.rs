//! Removing an endpoint.

use super::{get, sql};
use crate::ctx::Ctx;
use crate::ids::EndpointId;
use crate::installation::change_configuration;
use crate::{Result, audit, tenants};
use serde_json::json;
use tieline_db::{Tx, params};

/// Removes an endpoint at once; its sender drops it, so nothing more is sent. Its deliveries cannot be reached any more
/// and are removed by housekeeping, some at a time.
///
/// Errors: `not_found`.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: EndpointId) -> Result<()> {
    tenants::lock(tx, ctx.tenant)?; // as every verb that changes endpoints, inboxes and bots together
    let endpoint = get(tx, ctx.tenant, id)?;
    audit::note(tx, ctx, "webhook.deleted", id, json!({"name": endpoint.name}))?;
    let now = tx.now();
    tx.execute(sql::DELETE, &params![ctx.tenant.0, id.0])?;
    tx.execute(sql::INSERT_DELETED, &params![ctx.tenant.0, id.0, now])?;
    tx.execute(sql::DELETE_STATE, &params![ctx.tenant.0, id.0])?;
    tx.execute(sql::LEAVE_BOTS, &params![ctx.tenant.0, id.0, now])?;
    tx.execute(sql::LEAVE_INBOXES, &params![ctx.tenant.0, id.0, now])?;
    change_configuration(tx)?;
    Ok(())
}
