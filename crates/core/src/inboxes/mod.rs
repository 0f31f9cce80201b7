//! Inboxes: configured instances of a channel. A native channel gets its inbox when its first conversation arrives.

mod calls;
mod identity;
mod members;
pub(crate) mod sql;
mod write;

pub use calls::{Call, Called, Calls, Outcome, calls, note_calls};
pub use identity::{IDENTITY_CONTEXT, hash, identity_key, proves};
pub use members::{members, of_member, set_members};
pub use write::{Create, Hook, Made, Settings, Update, configure, create, delete, update};

use crate::conversations::channel::Channel;
use crate::ctx::Ctx;
use crate::ids::{EndpointId, InboxId, TeamId, TenantId};
use crate::page::Page;
use crate::{Error, Result};
use std::collections::HashMap;
use tieline_db::{Ask, Read, Row, Tx, params};

/// An inbox of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Inbox {
    /// Its id.
    pub id: InboxId,
    /// Its number in the installation.
    pub number: i64,
    /// Display name.
    pub name: String,
    /// Kind of transport; never changes.
    pub channel: Channel,
    /// Its public name in URLs of clients without a key: unguessable, unique in the installation.
    pub identifier: String,
    /// The team that owns what lands here.
    pub team: Option<TeamId>,
    /// The webhook endpoint of its own, and where it posts.
    pub webhook: Option<(EndpointId, String)>,
    /// Clients without a key must prove who they are.
    pub is_identity_required: bool,
    /// A contact's next conversation is its last one.
    pub is_single_conversation: bool,
    /// What clients keep with it, a JSON object as text.
    pub settings: String,
    /// Key of identity hashes that was taken over with it, sealed; see [`identity_key`].
    pub identity_key: Option<Vec<u8>>,
    /// Its conversations find their agent by themselves, where they are of no team.
    pub is_auto_assigned: bool,
    /// Open conversations up to which an agent gets more so; none for any number.
    pub capacity: Option<i64>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

fn inbox(row: &Row) -> tieline_db::Result<Inbox> {
    let stored = || tieline_db::Error::Sql("unknown channel in inboxes".into());
    Ok(Inbox {
        id: InboxId::from_uuid(row.get(0)?),
        number: row.get(1)?,
        name: row.get(2)?,
        channel: Channel::from_text(&row.get::<String>(3)?).ok_or_else(stored)?,
        identifier: row.get(4)?,
        team: row.get::<Option<_>>(5)?.map(TeamId::from_uuid),
        webhook: row.get::<Option<_>>(6)?.map(EndpointId::from_uuid).zip(row.get(7)?),
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
        is_identity_required: row.get(10)?,
        is_single_conversation: row.get(11)?,
        settings: row.get(12)?,
        is_auto_assigned: row.get(13)?,
        capacity: row.get(14)?,
        identity_key: row.get(16)?,
    })
}

/// One of the tenant's inboxes.
pub fn get(read: &mut Read, tenant: TenantId, id: InboxId) -> Result<Inbox> {
    read.opt(sql::GET, &params![tenant.0, id.0], inbox)?.ok_or_else(|| Error::not_found("inbox"))
}

/// The inbox with this number.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Inbox> {
    read.opt(sql::BY_NUMBER, &params![tenant.0, number], inbox)?.ok_or_else(|| Error::not_found("inbox"))
}

/// The inbox of any tenant with this identifier, which is its capability.
pub fn by_identifier(read: &mut Read, identifier: &str) -> Result<(TenantId, Inbox)> {
    let found = read.opt(sql::BY_IDENTIFIER, &params![identifier], |row| Ok((TenantId(row.get(15)?), inbox(row)?)))?;
    found.ok_or_else(|| Error::not_found("inbox"))
}

/// The tenant's inboxes by name, at most [`NAMED_LIMIT`].
pub fn by_name(read: &mut Read, tenant: TenantId) -> Result<Vec<Inbox>> {
    Ok(read.all(sql::BY_NAME, &params![tenant.0, NAMED_LIMIT], inbox)?)
}

/// Inboxes that [`by_name`] reads at most.
pub const NAMED_LIMIT: i64 = 1000;

/// The tenant's inboxes, newest first.
pub fn list(read: &mut Read, tenant: TenantId, page: Page) -> Result<Vec<Inbox>> {
    Ok(read.all(sql::LIST, &params![tenant.0, page.before.1, page.limit], inbox)?)
}

/// Where a new conversation of a channel lands.
#[derive(Clone, Copy, Debug)]
pub struct Landing {
    /// The channel's inbox.
    pub inbox: InboxId,
    /// The inbox's team, else the tenant's default team, else none.
    pub team: Option<TeamId>,
    /// Whether a bot is set on the inbox.
    pub has_bot: bool,
}

/// Looks up where conversations of channels land; `found` gets those that have an inbox.
pub(crate) fn ask_landings<'a>(
    asked: &'a [(TenantId, Channel)],
    found: &'a mut HashMap<(TenantId, Channel), Landing>,
) -> Ask<'a> {
    let params = asked.iter().flat_map(|(tenant, channel)| params![tenant.0, channel.as_str()]).collect();
    Ask::select(&sql::FOR_CHANNELS, params, |row| {
        let team = row.get::<Option<_>>(2)?.map(TeamId::from_uuid);
        let landing = Landing { inbox: InboxId::from_uuid(row.get(1)?), team, has_bot: row.get(3)? };
        found.insert(asked[row.get::<i64>(0)? as usize], landing);
        Ok(())
    })
}

/// The oldest inbox of the channel, made where there is none, and the team that owns what lands there.
pub fn for_channel(tx: &mut Tx, ctx: &Ctx, channel: Channel) -> Result<Landing> {
    let (tenant, asked) = (ctx.tenant, [(ctx.tenant, channel)]);
    let found = |tx: &mut Tx| {
        let mut found = HashMap::new();
        tx.together(vec![ask_landings(&asked, &mut found)])?;
        Ok::<_, Error>(found.remove(&asked[0]))
    };
    if let Some(landing) = found(tx)? {
        return Ok(landing);
    }
    // One is made, however many ask at once.
    if crate::tenants::lock(tx, tenant)?
        && let Some(landing) = found(tx)?
    {
        return Ok(landing);
    }
    let (id, number, now) = (tx.new_id(), tx.take_number()?, tx.now());
    let identifier = identifier(ctx)?;
    tx.execute(
        sql::INSERT,
        &params![
            tenant.0,
            id,
            channel.display_name(),
            channel.as_str(),
            &identifier,
            None::<uuid::Uuid>,
            None::<uuid::Uuid>,
            now,
            number,
            None::<&[u8]>,
            false
        ],
    )?;
    let team = tx.opt(sql::DEFAULT_TEAM, &params![tenant.0], |row| row.get::<Option<_>>(0))?.flatten();
    Ok(Landing { inbox: InboxId::from_uuid(id), team: team.map(TeamId::from_uuid), has_bot: false })
}

/// A new public identifier of an inbox: 32 hexadecimal digits of 128 random bits.
fn identifier(ctx: &Ctx) -> Result<String> {
    let mut random = [0; 16];
    (ctx.random)(&mut random)?;
    Ok(uuid::Uuid::from_bytes(random).simple().to_string())
}
