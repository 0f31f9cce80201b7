//! Making, changing and deleting bots.

use super::{Bot, get, sql};
use crate::ctx::Ctx;
use crate::ids::{BotId, InboxId};
use crate::installation::change_configuration;
use crate::{Error, Result, inboxes, tenants};
use tieline_db::{Tx, params};

/// Most bots of a partition.
pub const BOTS_LIMIT: i64 = 100;

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
    /// Where it hears of its conversations.
    pub outgoing_url: Option<String>,
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
    /// New address; none inside clears.
    pub outgoing_url: Option<Option<String>>,
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
    let params = params![
        ctx.tenant.0,
        id.0,
        number,
        &cmd.name,
        &cmd.description,
        &cmd.outgoing_url,
        &cmd.config,
        cmd.token.hash.as_slice(),
        &cmd.token.sealed,
        &cmd.secret,
        now
    ];
    tx.execute(sql::INSERT, &params)?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Changes a bot.
///
/// Errors: `not_found`.
pub fn update(tx: &mut Tx, ctx: &Ctx, id: BotId, cmd: &Update) -> Result<Bot> {
    let (bot, now) = (get(tx, ctx.tenant, id)?, tx.now());
    let name = cmd.name.as_ref().unwrap_or(&bot.name);
    let description = cmd.description.as_ref().unwrap_or(&bot.description);
    let url = cmd.outgoing_url.as_ref().unwrap_or(&bot.outgoing_url);
    let config = cmd.config.as_ref().unwrap_or(&bot.config);
    tx.execute(sql::UPDATE, &params![ctx.tenant.0, id.0, name, description, url, config, now])?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Gives a bot another access token; the one before stops working.
///
/// Errors: `not_found`.
pub fn set_token(tx: &mut Tx, ctx: &Ctx, id: BotId, token: &Tokens) -> Result<Bot> {
    let now = tx.now();
    tx.execute(sql::SET_TOKEN, &params![ctx.tenant.0, id.0, token.hash.as_slice(), &token.sealed, now])?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Gives a bot another signing secret, sealed.
///
/// Errors: `not_found`.
pub fn set_secret(tx: &mut Tx, ctx: &Ctx, id: BotId, secret: &[u8]) -> Result<Bot> {
    let now = tx.now();
    tx.execute(sql::SET_SECRET, &params![ctx.tenant.0, id.0, secret, now])?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Deletes a bot: its inboxes go on without one, its conversations with nobody. No event per conversation.
///
/// Errors: `not_found`.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: BotId) -> Result<()> {
    get(tx, ctx.tenant, id)?;
    for statement in [sql::LEAVE_INBOXES, sql::LEAVE_CONVERSATIONS, sql::DELETE] {
        tx.execute(statement, &params![ctx.tenant.0, id.0])?;
    }
    change_configuration(tx)
}

/// Sets a bot on an inbox, or none. What is open there stays as it is.
///
/// Errors: `not_found`.
pub fn set_on(tx: &mut Tx, ctx: &Ctx, inbox: InboxId, bot: Option<BotId>) -> Result<()> {
    inboxes::get(tx, ctx.tenant, inbox)?;
    if let Some(bot) = bot {
        get(tx, ctx.tenant, bot)?;
    }
    let now = tx.now();
    tx.execute(sql::SET_ON, &params![ctx.tenant.0, inbox.0, bot.map(|id| id.0), now])?;
    change_configuration(tx)
}
