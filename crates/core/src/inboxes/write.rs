//! Making, changing and deleting inboxes, with the webhook endpoint that one may have of its own.

use super::{Inbox, get, identifier, sql};
use crate::conversations::channel::Channel;
use crate::ctx::Ctx;
use crate::events::{Change, Event, emit};
use crate::ids::{EndpointId, InboxId, TeamId};
use crate::installation::change_configuration;
use crate::webhooks::{self, CreateEndpoint, Format};
use crate::{Error, Result, audit, teams, tenants};
use serde_json::json;
use tieline_db::{Tx, params};

/// The webhook of an inbox; the URL was checked by the egress guard, the secret made and sealed at the edge.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Where to post.
    pub url: String,
    /// Shape of the bodies.
    pub format: Format,
    /// What replaces `X-Tieline` in header names.
    pub header_prefix: String,
    /// The signing secret, sealed.
    pub secret: Vec<u8>,
    /// Start of the secret, for people.
    pub secret_prefix: String,
}

/// A new inbox.
#[derive(Clone, Debug, Default)]
pub struct Create {
    /// 1 to 100 characters.
    pub name: String,
    /// Kind of transport.
    pub channel: Channel,
    /// The team that owns what lands here.
    pub team: Option<TeamId>,
    /// Its own webhook.
    pub hook: Option<Hook>,
    /// What clients know it by, where it was elsewhere before; used unless it is no such name, or an inbox of the
    /// installation has it.
    pub identifier: Option<String>,
    /// The key of its clients' identity hashes there, sealed.
    pub identity_key: Option<Vec<u8>>,
    /// Its conversations find their agent by themselves, where they are of no team.
    pub is_auto_assigned: bool,
}

/// Changes of an inbox; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// New display name.
    pub name: Option<String>,
    /// New team; none inside clears.
    pub team: Option<Option<TeamId>>,
    /// New webhook address; none inside removes the endpoint. Its secret counts only where there was no endpoint before.
    pub hook: Option<Option<Hook>>,
    /// What the request says the channel is; another than the inbox's is refused.
    pub channel: Option<Channel>,
}

/// An inbox, and whether its webhook endpoint was made just now: its secret is then shown.
#[derive(Clone, Debug)]
pub struct Made {
    /// The inbox.
    pub inbox: Inbox,
    /// Whether the secret of the command is in use.
    pub new_hook: bool,
}

/// Adds an inbox.
///
/// Errors: `unknown_id` at `/teamId`.
pub fn create(tx: &mut Tx, ctx: &Ctx, cmd: &Create) -> Result<Made> {
    tenants::lock(tx, ctx.tenant)?;
    if let Some(team) = cmd.team {
        teams::exists(tx, ctx.tenant, team, "/teamId")?;
    }
    let (id, number, now) = (InboxId::from_uuid(tx.new_id()), tx.take_number()?, tx.now());
    let identifier = match kept_identifier(tx, cmd)? {
        Some(kept) => kept,
        None => identifier(ctx)?,
    };
    let endpoint = cmd.hook.as_ref().map(|hook| add_hook(tx, ctx, id, &cmd.name, hook)).transpose()?;
    tx.execute(
        sql::INSERT,
        &params![
            ctx.tenant.0,
            id.0,
            &cmd.name,
            cmd.channel.as_str(),
            &identifier,
            cmd.team.map(|id| id.0),
            endpoint.map(|id| id.0),
            now,
            number,
            cmd.identity_key.as_deref(),
            cmd.is_auto_assigned
        ],
    )?;
    let inbox = get(tx, ctx.tenant, id)?;
    emit(tx, ctx, &Event::InboxCreated { inbox: &inbox }, None)?;
    audit::note(tx, ctx, "inbox.created", id, json!({"name": cmd.name}))?;
    Ok(Made { inbox, new_hook: endpoint.is_some() })
}

/// Changes an inbox. A new `webhookUrl` keeps the endpoint and its secret.
///
/// Errors: `unknown_id` at `/teamId`; `immutable` at `/channel`.
pub fn update(tx: &mut Tx, ctx: &Ctx, id: InboxId, cmd: &Update) -> Result<Made> {
    tenants::lock(tx, ctx.tenant)?;
    let inbox = get(tx, ctx.tenant, id)?;
    if cmd.channel.is_some_and(|channel| channel != inbox.channel) {
        return Err(Error::field(
            "/channel",
            "immutable",
            "The channel of an inbox never changes; make another inbox.",
        ));
    }
    if let Some(Some(team)) = cmd.team {
        teams::exists(tx, ctx.tenant, team, "/teamId")?;
    }
    let name = cmd.name.as_ref().unwrap_or(&inbox.name);
    let team = cmd.team.unwrap_or(inbox.team);
    let before = inbox.webhook.as_ref().map(|(endpoint, _)| *endpoint);
    let (endpoint, new_hook) = match (&cmd.hook, before) {
        (None, endpoint) => (endpoint, false),
        (Some(None), None) => (None, false),
        (Some(None), Some(endpoint)) => {
            webhooks::delete(tx, ctx, endpoint)?;
            (None, false)
        }
        (Some(Some(hook)), Some(endpoint)) => {
            let now = tx.now();
            tx.execute(sql::MOVE_ENDPOINT, &params![ctx.tenant.0, endpoint.0, &hook.url, now])?;
            change_configuration(tx)?;
            (Some(endpoint), false)
        }
        (Some(Some(hook)), None) => (Some(add_hook(tx, ctx, id, name, hook)?), true),
    };
    let now = tx.now();
    let (team, endpoint) = (team.map(|id| id.0), endpoint.map(|id| id.0));
    tx.execute(sql::UPDATE, &params![ctx.tenant.0, id.0, name, team, endpoint, now])?;
    let made = get(tx, ctx.tenant, id)?;
    announce(tx, ctx, &inbox, &made)?;
    Ok(Made { inbox: made, new_hook })
}

/// Tells what differs, if anything does.
fn announce(tx: &mut Tx, ctx: &Ctx, before: &Inbox, after: &Inbox) -> Result<()> {
    let mut changes = Vec::new();
    if before.name != after.name {
        changes.push(Change::new("name", &before.name, &after.name));
    }
    let team = |inbox: &Inbox| inbox.team.map(|id| id.to_string());
    if before.team != after.team {
        changes.push(Change::new("teamId", team(before), team(after)));
    }
    let url = |inbox: &Inbox| inbox.webhook.as_ref().map(|(_, url)| url.clone());
    if url(before) != url(after) {
        changes.push(Change::new("webhookUrl", url(before), url(after)));
    }
    if before.is_identity_required != after.is_identity_required {
        changes.push(Change::new("isIdentityRequired", before.is_identity_required, after.is_identity_required));
    }
    if before.is_single_conversation != after.is_single_conversation {
        let (from, to) = (before.is_single_conversation, after.is_single_conversation);
        changes.push(Change::new("isSingleConversation", from, to));
    }
    if before.is_auto_assigned != after.is_auto_assigned {
        changes.push(Change::new("isAutoAssigned", before.is_auto_assigned, after.is_auto_assigned));
    }
    let settings = |inbox: &Inbox| serde_json::from_str::<serde_json::Value>(&inbox.settings).unwrap_or_default();
    if settings(before) != settings(after) {
        changes.push(Change::new("settings", settings(before), settings(after)));
    }
    if !changes.is_empty() {
        emit(tx, ctx, &Event::InboxUpdated { inbox: after, changes: &changes }, None)?;
        let changed: Vec<(&str, bool)> = changes.iter().map(|change| (change.field, true)).collect();
        audit::note(tx, ctx, "inbox.updated", after.id, audit::changed(&changed))?;
    }
    Ok(())
}

/// Deletes an inbox with its own webhook endpoint. One that has conversations stays: they came through it.
///
/// Errors: `inbox_in_use`.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: InboxId) -> Result<()> {
    tenants::lock(tx, ctx.tenant)?;
    let inbox = get(tx, ctx.tenant, id)?;
    let params = params![ctx.tenant.0, id.0];
    if tx.opt(sql::HAS_CONVERSATIONS, &params, |row| row.get::<i64>(0))?.is_some() {
        return Err(Error::conflict("inbox_in_use", "This inbox has conversations and cannot be deleted."));
    }
    if let Some((endpoint, _)) = inbox.webhook {
        webhooks::delete(tx, ctx, endpoint)?;
    }
    tx.execute(sql::DELETE, &params)?;
    tx.execute(sql::FORGET_CALLS, &params)?;
    audit::note(tx, ctx, "inbox.deleted", id, json!({"name": inbox.name}))
}

fn add_hook(tx: &mut Tx, ctx: &Ctx, inbox: InboxId, name: &str, hook: &Hook) -> Result<EndpointId> {
    let endpoint = CreateEndpoint {
        name: name.to_owned(),
        description: None,
        url: hook.url.clone(),
        events: vec!["*".to_owned()],
        format: hook.format,
        header_prefix: hook.header_prefix.clone(),
        max_attempts: 10,
        inboxes: Some(vec![inbox]),
        secret: hook.secret.clone(),
        secret_prefix: hook.secret_prefix.clone(),
    };
    // The inbox's own endpoint does not count into the plan's webhooks.
    Ok(webhooks::insert(tx, ctx, &endpoint)?.id)
}

/// What an inbox asks of its clients, and what they keep with it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Clients without a key must prove who they are.
    pub is_identity_required: bool,
    /// A contact's next conversation is its last one.
    pub is_single_conversation: bool,
    /// A JSON object as text, at most 64 KiB.
    pub kept: String,
    /// Its conversations find their agent by themselves, where they are of no team.
    pub is_auto_assigned: bool,
    /// Open conversations up to which an agent gets more so; none for any number.
    pub capacity: Option<i64>,
}

/// Sets them all.
///
/// Errors: `not_found`; `too_long`.
pub fn configure(tx: &mut Tx, ctx: &Ctx, id: InboxId, cmd: &Settings) -> Result<Inbox> {
    if cmd.kept.len() > 64 * 1024 {
        return Err(Error::field("", "too_long", "The settings of an inbox have at most 65536 bytes."));
    }
    let (before, now) = (get(tx, ctx.tenant, id)?, tx.now());
    let params = params![
        ctx.tenant.0,
        id.0,
        cmd.is_identity_required,
        cmd.is_single_conversation,
        &cmd.kept,
        now,
        cmd.is_auto_assigned,
        cmd.capacity
    ];
    tx.execute(sql::CONFIGURE, &params)?;
    change_configuration(tx)?;
    let after = get(tx, ctx.tenant, id)?;
    announce(tx, ctx, &before, &after)?;
    Ok(after)
}

/// The identifier that an inbox had elsewhere, if it may have it here.
fn kept_identifier(tx: &mut Tx, cmd: &Create) -> Result<Option<String>> {
    let is_plain = |text: &&String| (16..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let Some(wanted) = cmd.identifier.as_ref().filter(is_plain) else { return Ok(None) };
    let is_taken = tx.opt(sql::IDENTIFIER_TAKEN, &params![wanted], |_| Ok(()))?.is_some();
    Ok((!is_taken).then(|| wanted.clone()))
}
