//! What is set up once: users, teams, tags, custom fields, inboxes, bots, webhooks, rules. One that is here by its own name
//! (an email, a name, a slug, a key, an address) stands for theirs and stays as it is. What would act by itself comes
//! switched off.

use super::{Noun, Origin, Taken, gone, once};
use crate::ctx::Ctx;
use crate::ids::{BotId, InboxId, TagId, TeamId, UserId};
use crate::inboxes::Settings;
use crate::tags::slug;
use crate::webhooks::{self, CreateEndpoint};
use crate::{Error, Result, automations, bots, fields, inboxes, snippets, tags, teams, users};
use tieline_db::{Tx, params};

/// A user of theirs; one with this email stands for it.
pub fn user(tx: &mut Tx, ctx: &Ctx, origin: &Origin, theirs: i64, cmd: &users::Create) -> Result<(UserId, Taken)> {
    let (id, taken) = once(tx, origin, Noun::User, theirs, |tx| {
        match tx.opt(users::sql::BY_EMAIL, &params![origin.tenant.0, &cmd.email], |row| row.get(0))? {
            Some(id) => Ok((id, Taken::There)),
            None => Ok((users::create(tx, ctx, cmd)?.id.0, Taken::New)),
        }
    })?;
    Ok((UserId::from_uuid(id), taken))
}

/// A team of theirs; one of this name stands for it.
pub fn team(tx: &mut Tx, ctx: &Ctx, origin: &Origin, theirs: i64, cmd: &teams::Create) -> Result<(TeamId, Taken)> {
    let (id, taken) = once(tx, origin, Noun::Team, theirs, |tx| {
        match tx.opt(teams::sql::BY_NAME, &params![ctx.tenant.0, &cmd.name], |row| row.get(0))? {
            Some(id) => Ok((id, Taken::There)),
            None => Ok((teams::create(tx, ctx, cmd)?.id.0, Taken::New)),
        }
    })?;
    Ok((TeamId::from_uuid(id), taken))
}

/// A label of theirs; one with the slug of its title stands for it.
pub fn label(
    tx: &mut Tx,
    ctx: &Ctx,
    origin: &Origin,
    theirs: i64,
    title: &str,
    description: Option<String>,
) -> Result<Taken> {
    let (_, taken) = once(tx, origin, Noun::Label, theirs, |tx| {
        let (id, taken) = tag(tx, ctx, title, description)?;
        Ok((id.0, taken))
    })?;
    Ok(taken)
}

/// The tag of a title, made where there is none.
///
/// Errors: `invalid_slug` for a title that no slug can be made from.
pub(crate) fn tag(tx: &mut Tx, ctx: &Ctx, title: &str, description: Option<String>) -> Result<(TagId, Taken)> {
    let title = title.trim().to_lowercase();
    let given = slug::check(&title, "").is_ok().then(|| title.clone());
    let invalid = || Error::field("", "invalid_slug", format!("No tag can be named {title:?}."));
    let slug = given.or_else(|| slug::from_name(&title)).ok_or_else(invalid)?;
    let known = tags::known_many(tx, &[(ctx.tenant, std::slice::from_ref(&slug))])?;
    if let Some((id, _)) = known.first().and_then(|(known, _)| known.first()) {
        return Ok((*id, Taken::There));
    }
    let name = title.chars().take(100).collect();
    Ok((
        tags::create(tx, ctx, &tags::Create { slug: Some(slug), name, description, ..tags::Create::default() })?.id,
        Taken::New,
    ))
}

/// A definition of theirs; one with this key stands for it.
pub fn field(tx: &mut Tx, ctx: &Ctx, origin: &Origin, theirs: i64, cmd: &fields::Create) -> Result<Taken> {
    let (_, taken) = once(tx, origin, Noun::Field, theirs, |tx| {
        let params = params![ctx.tenant.0, cmd.entity.as_str(), &cmd.key];
        match tx.opt(fields::sql::BY_KEY, &params, |row| row.get(0))? {
            Some(id) => Ok((id, Taken::There)),
            None => Ok((fields::create(tx, ctx, cmd)?.id.0, Taken::New)),
        }
    })?;
    Ok(taken)
}

/// A canned response of theirs; a snippet with this shortcut stands for it.
///
/// Errors: those of [`snippets::create`].
pub fn snippet(tx: &mut Tx, origin: &Origin, theirs: i64, shortcut: &str, text: &str) -> Result<Taken> {
    let (_, taken) =
        once(tx, origin, Noun::Snippet, theirs, |tx| match snippets::by_shortcut(tx, origin.tenant, shortcut)? {
            Some(known) => Ok((known.id.0, Taken::There)),
            None => Ok((snippets::create(tx, origin.tenant, shortcut, text)?.id.0, Taken::New)),
        })?;
    Ok(taken)
}

/// A bot of theirs, always a new one. It comes with its address switched off: the one there goes on to answer.
///
/// Errors: those of [`bots::create`].
pub fn bot(tx: &mut Tx, ctx: &Ctx, origin: &Origin, theirs: i64, cmd: &bots::Create) -> Result<(BotId, Taken)> {
    let (id, taken) = once(tx, origin, Noun::Bot, theirs, |tx| {
        let made = bots::create(tx, ctx, cmd)?;
        if let Some(endpoint) = made.endpoint {
            webhooks::rest(tx, ctx, endpoint)?;
        }
        Ok((made.id.0, Taken::New))
    })?;
    // It may have been deleted here since.
    bots::get(tx, ctx.tenant, BotId::from_uuid(id)).map_err(|_| gone("bot"))?;
    Ok((BotId::from_uuid(id), taken))
}

/// An account's webhook of theirs; one in Chatwoot's format with this address stands for it. It comes switched off: two
/// systems that post the same to one receiver do harm.
///
/// Errors: `webhook_limit_reached`.
pub fn webhook(tx: &mut Tx, ctx: &Ctx, origin: &Origin, theirs: i64, cmd: &CreateEndpoint) -> Result<Taken> {
    let (_, taken) = once(tx, origin, Noun::Webhook, theirs, |tx| {
        if let Some(known) = webhooks::at_url(tx, ctx, &cmd.url)? {
            return Ok((known.0, Taken::There));
        }
        let made = webhooks::create(tx, ctx, cmd)?;
        webhooks::rest(tx, ctx, made.id)?;
        Ok((made.id.0, Taken::New))
    })?;
    Ok(taken)
}

/// A rule of theirs, as `make` reads it; it is called only for one that is new here.
///
/// Errors: those of `make` and of [`automations::create`].
pub fn rule(
    tx: &mut Tx,
    ctx: &Ctx,
    origin: &Origin,
    theirs: i64,
    make: impl FnOnce(&mut Tx) -> Result<automations::Create>,
) -> Result<Taken> {
    let (_, taken) = once(tx, origin, Noun::Rule, theirs, |tx| {
        let cmd = automations::Create { is_active: false, ..make(tx)? };
        Ok((automations::create(tx, ctx, &cmd)?.id.0, Taken::New))
    })?;
    Ok(taken)
}

/// An inbox of theirs.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// Name and channel.
    pub create: inboxes::Create,
    /// What it asks of its clients.
    pub settings: Settings,
    /// Who works on it.
    pub members: Vec<UserId>,
    /// The bot that is set on it.
    pub bot: Option<BotId>,
}

/// An inbox of theirs: always a new one. It keeps its identifier where that is free, so that clients find it under the
/// name that they know. Its members are set only while it is made.
pub fn inbox(tx: &mut Tx, ctx: &Ctx, origin: &Origin, theirs: i64, cmd: &Inbox) -> Result<(InboxId, Taken)> {
    let (id, taken) = once(tx, origin, Noun::Inbox, theirs, |tx| {
        let made = inboxes::create(tx, ctx, &cmd.create)?.inbox;
        inboxes::configure(tx, ctx, made.id, &cmd.settings)?;
        inboxes::set_members(tx, ctx, made.id, &cmd.members)?;
        if cmd.bot.is_some() {
            bots::set_on(tx, ctx, made.id, cmd.bot)?;
        }
        Ok((made.id.0, Taken::New))
    })?;
    // It may have been deleted here since.
    inboxes::get(tx, ctx.tenant, InboxId::from_uuid(id)).map_err(|_| gone("inbox"))?;
    Ok((InboxId::from_uuid(id), taken))
}
