//! Making, changing and deleting bots, with the webhook endpoint that one may have.

use super::{Bot, get, sql};
use crate::ctx::Ctx;
use crate::ids::{BotId, EndpointId, InboxId};
use crate::inboxes::Hook;
use crate::installation::change_configuration;
use crate::webhooks::{self, CreateEndpoint, RotateSecret, UpdateEndpoint};
use crate::{Error, Result, audit, inboxes, tenants};
use serde_json::json;
use tieline_db::{Tx, params};

/// Most bots of a partition.
pub const BOTS_LIMIT: i64 = 100;
/// Most inboxes that one bot is set on.
pub const INBOXES_LIMIT: i64 = 1000;
/// What a bot hears of its inboxes, in Chatwoot's words.
const WORDS: [&str; 6] = [
    "message_created",
    "message_updated",
    "conversation_updated",
    "conversation_status_changed",
    "conversation_opened",
    "conversation_resolved",
];
/// Attempts of a delivery to a bot: while it is tried, a customer waits for nobody.
const ATTEMPTS: i64 = 3;

/// A new access token, made and sealed at the edge.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// SHA-256 of it, by which it is found.
    pub hash: [u8; 32],
    /// Itself, sealed.
    pub sealed: Vec<u8>,
}

/// A new bot; every member has been checked at the edge, the address by the egress guard.
#[derive(Clone, Debug)]
pub struct Create {
    /// 1 to 255 characters.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// Where it hears of its inboxes, signed with its secret.
    pub hook: Option<Hook>,
    /// A JSON object as text.
    pub config: String,
    /// Its access token.
    pub token: Tokens,
    /// What signs what it is sent, sealed.
    pub secret: Vec<u8>,
}

/// Changes of a bot; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// New name.
    pub name: Option<String>,
    /// New description; none inside clears.
    pub description: Option<Option<String>>,
    /// New address; none inside removes the endpoint. Its secret counts only where there was no endpoint before.
    pub hook: Option<Option<Hook>>,
    /// A JSON object as text.
    pub config: Option<String>,
}

/// Adds a bot.
///
/// Errors: `too_many`.
pub fn create(tx: &mut Tx, ctx: &Ctx, cmd: &Create) -> Result<Bot> {
    tenants::lock(tx, ctx.tenant)?; // two at once count each other
    let count: i64 = tx.opt(sql::COUNT, &params![ctx.tenant.0], |row| row.get(0))?.unwrap_or(0);
    if count >= BOTS_LIMIT {
        return Err(Error::field("/name", "too_many", "An account has at most 100 bots."));
    }
    let (id, number, now) = (BotId::from_uuid(tx.new_id()), tx.take_number()?, tx.now());
    let endpoint = cmd.hook.as_ref().map(|hook| add_hook(tx, ctx, &cmd.name, Vec::new(), hook)).transpose()?;
    let params = params![
        ctx.tenant.0,
        id.0,
        number,
        &cmd.name,
        &cmd.description,
        endpoint.map(|id| id.0),
        &cmd.config,
        cmd.token.hash.as_slice(),
        &cmd.token.sealed,
        &cmd.secret,
        now
    ];
    tx.execute(sql::INSERT, &params)?;
    audit::note(tx, ctx, "bot.created", id, json!({"name": cmd.name}))?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Changes a bot. An address that is given is switched on, if it was off; a new one keeps the endpoint and its secret.
///
/// Errors: `not_found`.
pub fn update(tx: &mut Tx, ctx: &Ctx, id: BotId, cmd: &Update) -> Result<Bot> {
    tenants::lock(tx, ctx.tenant)?; // so that its inboxes stay the same
    let (bot, now) = (get(tx, ctx.tenant, id)?, tx.now());
    let name = cmd.name.as_ref().unwrap_or(&bot.name);
    let description = cmd.description.as_ref().unwrap_or(&bot.description);
    let endpoint = match (&cmd.hook, bot.endpoint) {
        (None, endpoint) => endpoint,
        (Some(None), None) => None,
        (Some(None), Some(endpoint)) => {
            webhooks::delete(tx, ctx, endpoint)?;
            None
        }
        (Some(Some(hook)), Some(endpoint)) => {
            let moved =
                UpdateEndpoint { url: Some(hook.url.clone()), is_active: Some(true), ..UpdateEndpoint::default() };
            webhooks::update(tx, ctx, endpoint, &moved)?;
            Some(endpoint)
        }
        (Some(Some(hook)), None) => {
            let inboxes = inboxes_of(tx, ctx, id)?;
            Some(add_hook(tx, ctx, name, inboxes, hook)?)
        }
    };
    let endpoint = endpoint.map(|id| id.0);
    let config = cmd.config.as_ref().unwrap_or(&bot.config);
    tx.execute(sql::UPDATE, &params![ctx.tenant.0, id.0, name, description, endpoint, config, now])?;
    let changed = audit::changed(&[
        ("name", *name != bot.name),
        ("description", *description != bot.description),
        ("url", cmd.hook.is_some()),
        ("config", *config != bot.config),
    ]);
    audit::note(tx, ctx, "bot.updated", id, changed)?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Gives a bot another access token; the one before stops working.
///
/// Errors: `not_found`.
pub fn set_token(tx: &mut Tx, ctx: &Ctx, id: BotId, token: &Tokens) -> Result<Bot> {
    let now = tx.now();
    tx.execute(sql::SET_TOKEN, &params![ctx.tenant.0, id.0, token.hash.as_slice(), &token.sealed, now])?;
    audit::note(tx, ctx, "bot.token_replaced", id, json!({}))?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Gives a bot another signing secret, sealed, with its start for people; the one before stops at once.
///
/// Errors: `not_found`.
pub fn set_secret(tx: &mut Tx, ctx: &Ctx, id: BotId, secret: &[u8], prefix: &str) -> Result<Bot> {
    let (bot, now) = (get(tx, ctx.tenant, id)?, tx.now());
    if let Some(id) = bot.endpoint {
        let (secret, secret_prefix) = (secret.to_vec(), prefix.to_owned());
        webhooks::rotate(tx, ctx, &RotateSecret { id, secret, secret_prefix, overlap_us: 0 })?;
    }
    tx.execute(sql::SET_SECRET, &params![ctx.tenant.0, id.0, secret, now])?;
    audit::note(tx, ctx, "bot.secret_rotated", id, json!({}))?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Deletes a bot with its webhook endpoint: its inboxes go on without one, its conversations with nobody. No event per conversation.
///
/// Errors: `not_found`.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: BotId) -> Result<()> {
    tenants::lock(tx, ctx.tenant)?;
    let bot = get(tx, ctx.tenant, id)?;
    audit::note(tx, ctx, "bot.deleted", id, json!({"name": bot.name}))?;
    if let Some(endpoint) = bot.endpoint {
        webhooks::delete(tx, ctx, endpoint)?;
    }
    tx.lock(&sql::LOCK_CONVERSATIONS, &params![ctx.tenant.0, id.0])?;
    for statement in [sql::LEAVE_INBOXES, sql::LEAVE_CONVERSATIONS, sql::DELETE] {
        tx.execute(statement, &params![ctx.tenant.0, id.0])?;
    }
    change_configuration(tx)
}

/// Sets a bot on an inbox, or none: it hears of what happens there from now on. What is open there stays as it is.
///
/// Errors: `not_found`; `too_many`.
pub fn set_on(tx: &mut Tx, ctx: &Ctx, inbox: InboxId, bot: Option<BotId>) -> Result<()> {
    tenants::lock(tx, ctx.tenant)?; // two at once see each other's inboxes
    inboxes::get(tx, ctx.tenant, inbox)?;
    let bot = bot.map(|bot| get(tx, ctx.tenant, bot)).transpose()?;
    let (before, now) = (super::on(tx, ctx.tenant, inbox)?, tx.now());
    tx.execute(sql::SET_ON, &params![ctx.tenant.0, inbox.0, bot.as_ref().map(|bot| bot.id.0), now])?;
    let set = bot.as_ref().map(|bot| bot.id.to_string());
    audit::note(tx, ctx, "inbox.updated", inbox, json!({"changed": ["botId"], "botId": set}))?;
    for bot in before.into_iter().chain(bot) {
        let inboxes = inboxes_of(tx, ctx, bot.id)?;
        if let Some(endpoint) = bot.endpoint {
            let heard = UpdateEndpoint { inboxes: Some(Some(inboxes)), ..UpdateEndpoint::default() };
            webhooks::update(tx, ctx, endpoint, &heard)?;
        }
    }
    change_configuration(tx)
}

fn inboxes_of(tx: &mut Tx, ctx: &Ctx, bot: BotId) -> Result<Vec<InboxId>> {
    let params = params![ctx.tenant.0, bot.0, INBOXES_LIMIT + 1];
    let inboxes = tx.all(sql::INBOXES, &params, |row| Ok(InboxId::from_uuid(row.get(0)?)))?;
    if inboxes.len() as i64 > INBOXES_LIMIT {
        return Err(Error::field("/agent_bot", "too_many", "A bot is set on at most 1000 inboxes."));
    }
    Ok(inboxes)
}

fn add_hook(tx: &mut Tx, ctx: &Ctx, name: &str, inboxes: Vec<InboxId>, hook: &Hook) -> Result<EndpointId> {
    let endpoint = CreateEndpoint {
        name: name.to_owned(),
        description: None,
        url: hook.url.clone(),
        events: WORDS.map(str::to_owned).to_vec(),
        format: hook.format,
        header_prefix: hook.header_prefix.clone(),
        max_attempts: ATTEMPTS,
        inboxes: Some(inboxes),
        secret: hook.secret.clone(),
        secret_prefix: hook.secret_prefix.clone(),
    };
    // A bot's own endpoint does not count into the plan's webhooks.
    Ok(webhooks::insert(tx, ctx, &endpoint)?.id)
}
