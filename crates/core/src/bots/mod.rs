//! Bots: programs that talk in inboxes. Each has a token of its own, may be set on inboxes and given conversations.
//!
//! What comes into an inbox with a bot is held for it: agents see it once the bot hands it over, or once its address has
//! not taken an event of it.

pub(crate) mod sql;
mod write;

pub use write::{
    BOTS_LIMIT, Create, INBOXES_LIMIT, Tokens, Update, create, delete, set_on, set_secret, set_token, update,
};

use crate::ids::{BotId, EndpointId, InboxId, TenantId};
use crate::{Error, Result};
use tieline_db::{Read, Row, params};

/// A bot of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Bot {
    /// Its id.
    pub id: BotId,
    /// Its number in the installation.
    pub number: i64,
    /// Display name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// Where it hears of the inboxes it is set on.
    pub outgoing_url: Option<String>,
    /// What its makers keep with it, a JSON object as text.
    pub config: String,
    /// Its access token, sealed.
    pub access_token: Vec<u8>,
    /// What signs what it is sent, sealed.
    pub secret: Vec<u8>,
    /// The webhook endpoint that is its address.
    pub endpoint: Option<EndpointId>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

fn bot(row: &Row) -> tieline_db::Result<Bot> {
    Ok(Bot {
        id: BotId::from_uuid(row.get(0)?),
        number: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        outgoing_url: row.get(4)?,
        config: row.get(5)?,
        access_token: row.get(6)?,
        secret: row.get(7)?,
        endpoint: row.get::<Option<_>>(8)?.map(EndpointId::from_uuid),
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

/// One of the tenant's bots, if there.
pub fn find(read: &mut Read, tenant: TenantId, id: BotId) -> Result<Option<Bot>> {
    Ok(read.opt(sql::GET, &params![tenant.0, id.0], bot)?)
}

/// One of the tenant's bots.
pub fn get(read: &mut Read, tenant: TenantId, id: BotId) -> Result<Bot> {
    find(read, tenant, id)?.ok_or_else(|| Error::not_found("bot"))
}

/// The bot with this number.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Bot> {
    read.opt(sql::BY_NUMBER, &params![tenant.0, number], bot)?.ok_or_else(|| Error::not_found("bot"))
}

/// The tenant's bots, oldest first.
pub fn list(read: &mut Read, tenant: TenantId) -> Result<Vec<Bot>> {
    Ok(read.all(sql::LIST, &params![tenant.0, BOTS_LIMIT], bot)?)
}

/// Whose token has this SHA-256, with its partition.
pub fn by_token(read: &mut Read, hash: &[u8; 32]) -> Result<Option<(TenantId, Bot)>> {
    Ok(read.opt(sql::BY_TOKEN, &params![hash.as_slice()], |row| Ok((TenantId(row.get(11)?), bot(row)?)))?)
}

/// The bot that is set on an inbox.
pub fn on(read: &mut Read, tenant: TenantId, inbox: InboxId) -> Result<Option<Bot>> {
    Ok(read.opt(sql::ON_INBOX, &params![tenant.0, inbox.0], bot)?)
}

/// Whether a bot is set on an inbox and can be reached.
pub(crate) fn works_in(read: &mut Read, tenant: TenantId, inbox: InboxId) -> Result<bool> {
    Ok(read.opt(sql::WORKS_IN, &params![tenant.0, inbox.0], |_| Ok(()))?.is_some())
}
