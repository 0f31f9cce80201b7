//! Changing an endpoint, and switching it off and on.

use super::create::is_new_url;
use super::{DisabledReason, Endpoint, get, sql};
use crate::audit;
use crate::ctx::Ctx;
use crate::deliveries;
use crate::events::{self, Event, numbering};
use crate::ids::{EndpointId, InboxId};
use crate::installation::change_configuration;
use crate::{Result, tenants};
use tieline_db::{Tx, params};

/// What to change; none keeps. Every member has been checked at the edge, the URL by the egress guard.
#[derive(Clone, Debug, Default)]
pub struct UpdateEndpoint {
    /// 1 to 100 characters.
    pub name: Option<String>,
    /// What it is for; an inner none clears it.
    pub description: Option<Option<String>>,
    /// Where to post.
    pub url: Option<String>,
    /// What it subscribes to, as [`Endpoint::events`] holds it; not empty.
    pub events: Option<Vec<String>>,
    /// Off, or on: see [`update`].
    pub is_active: Option<bool>,
    /// 1 to 10.
    pub max_attempts: Option<i64>,
    /// Only events of these inboxes; an inner none is all.
    pub inboxes: Option<Option<Vec<InboxId>>>,
    /// What replaces `X-Tieline` in header names.
    pub header_prefix: Option<String>,
}

/// Changes an endpoint of an account in Chatwoot's format.
///
/// Errors: `taken` at `/url`; those of [`update`].
pub fn update_at_new_url(tx: &mut Tx, ctx: &Ctx, id: EndpointId, cmd: &UpdateEndpoint) -> Result<Endpoint> {
    if let Some(url) = &cmd.url {
        is_new_url(tx, ctx, url, id)?;
    }
    update(tx, ctx, id, cmd).map(|(endpoint, _)| endpoint)
}

/// Switches off an endpoint that was made in this transaction: nobody has heard of it, so nobody is told.
pub(crate) fn rest(tx: &mut Tx, ctx: &Ctx, id: EndpointId) -> Result<()> {
    let (reason, now) = (DisabledReason::Manual.as_str(), tx.now());
    tx.execute(sql::SWITCH_OFF, &params![ctx.tenant.0, id.0, reason, now])?;
    Ok(())
}

/// Changes an endpoint; answers it and whether this switched it on.
///
/// Off: what waits is cancelled by its sender, some at a time, and events that happen meanwhile are not for it. On: it
/// gets the events that happen from now on, its failures are forgotten, the breaker closes and what waits is due at once,
/// in order; also when it was on before.
///
/// Errors: `not_found`.
pub fn update(tx: &mut Tx, ctx: &Ctx, id: EndpointId, cmd: &UpdateEndpoint) -> Result<(Endpoint, bool)> {
    tenants::lock(tx, ctx.tenant)?;
    let (tenant, now) = (ctx.tenant.0, tx.now());
    let events = cmd.events.as_ref().map(|names| names.join(" "));
    let inboxes = cmd.inboxes.as_ref().and_then(|ids| {
        let ids = ids.as_ref()?;
        Some(ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    });
    let description = cmd.description.clone().flatten();
    let params = params![
        tenant,
        id.0,
        &cmd.name,
        &cmd.url,
        &events,
        &cmd.header_prefix,
        cmd.max_attempts,
        cmd.description.is_some(),
        &description,
        cmd.inboxes.is_some(),
        &inboxes,
        now
    ];
    tx.execute(sql::UPDATE, &params)?;
    let mut changed = audit::changed(&[
        ("name", cmd.name.is_some()),
        ("description", cmd.description.is_some()),
        ("url", cmd.url.is_some()),
        ("events", cmd.events.is_some()),
        ("isActive", cmd.is_active.is_some()),
        ("maxAttempts", cmd.max_attempts.is_some()),
        ("inboxIds", cmd.inboxes.is_some()),
        ("headerPrefix", cmd.header_prefix.is_some()),
    ]);
    changed["isActive"] = cmd.is_active.into();
    audit::note(tx, ctx, "webhook.updated", id, changed)?;
    let mut switched_on = false;
    match cmd.is_active {
        None => {}
        Some(false) => {
            let reason = DisabledReason::Manual.as_str();
            if tx.execute(sql::SWITCH_OFF, &params![tenant, id.0, reason, now])? == 1 {
                deliveries::make_due(tx, id)?; // so that somebody holds it and cancels what waits
                let endpoint = get(tx, ctx.tenant, id)?;
                events::emit(tx, ctx, &Event::WebhookDisabled { endpoint: &endpoint }, None)?;
            }
        }
        Some(true) => {
            let after = numbering::last_place(tx)?;
            switched_on = tx.execute(sql::SWITCH_ON, &params![tenant, id.0, after, now])? == 1;
            tx.execute(sql::CLEAR_HEALTH, &params![tenant, id.0])?;
            deliveries::release(tx, ctx.tenant, id)?;
            deliveries::take_back(tx, id)?;
        }
    }
    change_configuration(tx)?;
    Ok((get(tx, ctx.tenant, id)?, switched_on))
}
