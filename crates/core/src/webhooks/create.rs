//! Adding an endpoint.

use super::{Endpoint, Format, get, sql};
use crate::ctx::Ctx;
use crate::events::numbering;
use crate::ids::{EndpointId, InboxId};
use crate::installation::change_configuration;
use crate::{Error, Kind, Result, audit, tenants};
use serde_json::json;
use tieline_db::{Tx, params};

/// A new endpoint; every member has been checked at the edge, the URL by the egress guard.
#[derive(Clone, Debug)]
pub struct CreateEndpoint {
    /// 1 to 100 characters.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where to post.
    pub url: String,
    /// What it subscribes to, as [`Endpoint::events`] holds it; not empty.
    pub events: Vec<String>,
    /// Shape of the bodies.
    pub format: Format,
    /// What replaces `X-Tieline` in header names.
    pub header_prefix: String,
    /// 1 to 10.
    pub max_attempts: i64,
    /// Only events of these inboxes.
    pub inboxes: Option<Vec<InboxId>>,
    /// The signing secret, sealed.
    pub secret: Vec<u8>,
    /// Start of the secret, for people.
    pub secret_prefix: String,
}

/// Adds an endpoint; it gets the events that happen from now on.
///
/// Errors: `webhook_limit_reached`.
pub fn create(tx: &mut Tx, ctx: &Ctx, cmd: &CreateEndpoint) -> Result<Endpoint> {
    tenants::lock(tx, ctx.tenant)?; // two at once count each other
    let tenant = tenants::get(tx, ctx.tenant)?;
    let count: i64 = tx.opt(sql::COUNT, &params![ctx.tenant.0], |row| row.get(0))?.unwrap_or(0);
    if count >= tenant.plan.max_webhooks {
        let most = tenant.plan.max_webhooks;
        let detail = format!("This tenant may have {most} webhooks; delete one, or raise the limit.");
        return Err(Error::new(Kind::Limited, "webhook_limit_reached", detail).with_count("maxWebhooks", most));
    }
    insert(tx, ctx, cmd)
}

/// Adds an endpoint to an address that no other of the account's in Chatwoot's format has.
///
/// Errors: `taken` at `/url`; those of [`create`].
pub fn create_at_new_url(tx: &mut Tx, ctx: &Ctx, cmd: &CreateEndpoint) -> Result<Endpoint> {
    is_new_url(tx, ctx, &cmd.url, EndpointId::from_uuid(uuid::Uuid::nil()))?;
    create(tx, ctx, cmd)
}

/// Refuses an address that another endpoint than `except` has; two that ask at once come one after the other.
pub(super) fn is_new_url(tx: &mut Tx, ctx: &Ctx, url: &str, except: EndpointId) -> Result<()> {
    match taken(tx, ctx, url, except)? {
        Some(_) => Err(Error::field("/url", "taken", "Url has already been taken.")),
        None => Ok(()),
    }
}

/// The account's endpoint in Chatwoot's format at this address.
pub(crate) fn at_url(tx: &mut Tx, ctx: &Ctx, url: &str) -> Result<Option<EndpointId>> {
    taken(tx, ctx, url, EndpointId::from_uuid(uuid::Uuid::nil()))
}

fn taken(tx: &mut Tx, ctx: &Ctx, url: &str, except: EndpointId) -> Result<Option<EndpointId>> {
    tenants::lock(tx, ctx.tenant)?;
    let found = tx.opt(sql::URL_TAKEN, &params![ctx.tenant.0, url, except.0], |row| row.get(0))?;
    Ok(found.map(EndpointId::from_uuid))
}

/// Adds an endpoint whatever the plan says.
pub(crate) fn insert(tx: &mut Tx, ctx: &Ctx, cmd: &CreateEndpoint) -> Result<Endpoint> {
    let (id, number) = (EndpointId::from_uuid(tx.new_id()), tx.take_number()?);
    let after = numbering::last_place(tx)?;
    let (events, now) = (cmd.events.join(" "), tx.now());
    let inboxes = cmd.inboxes.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    tx.execute(
        sql::INSERT,
        &params![
            ctx.tenant.0,
            id.0,
            &cmd.name,
            &cmd.description,
            &cmd.url,
            &events,
            cmd.format.as_str(),
            &cmd.header_prefix,
            cmd.max_attempts,
            &inboxes,
            after,
            &cmd.secret,
            &cmd.secret_prefix,
            now,
            number
        ],
    )?;
    tx.execute(sql::INSERT_STATE, &params![id.0, ctx.tenant.0])?;
    if cmd.format == Format::Chatwoot {
        tenants::keep_state(tx, ctx.tenant)?;
    }
    audit::note(tx, ctx, "webhook.created", id, json!({"name": cmd.name}))?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}
