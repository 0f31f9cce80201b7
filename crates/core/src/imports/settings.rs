//! What is set up once: users, teams, tags, custom fields, inboxes. One that is here by its own name (an email, a name, a
//! slug, a key) stands for theirs and stays as it is.

use super::{Noun, Origin, Taken, gone, once};
use crate::ctx::Ctx;
use crate::ids::{InboxId, TagId, TeamId, UserId};
use crate::inboxes::Settings;
use crate::tags::slug;
use crate::{Error, Result, fields, inboxes, snippets, tags, teams, users};
use tieline_db::{Tx, params};

/// A user of theirs; one with this email stands for it.
pub fn user(tx: &mut Tx, origin: &Origin, theirs: i64, cmd: &users::Create) -> Result<(UserId, Taken)> {
    let (id, taken) = once(tx, origin, Noun::User, theirs, |tx| {
        match tx.opt(users::sql::BY_EMAIL, &params![origin.tenant.0, &cmd.email], |row| row.get(0))? {
            Some(id) => Ok((id, Taken::There)),
            None => Ok((users::create(tx, origin.tenant, cmd)?.id.0, Taken::New)),
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
    Ok((tags::create(tx, ctx, &tags::Create { slug: Some(slug), name, description })?.id, Taken::New))
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

/// An inbox of theirs.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// Name and channel.
    pub create: inboxes::Create,
    /// What it asks of its clients.
    pub settings: Settings,
    /// What clients know it by.
    pub identifier: Option<String>,
    /// Who works on it.
    pub members: Vec<UserId>,
}

/// An inbox of theirs: always a new one. It keeps its identifier where that is free, so that clients find it under the
/// name that they know. Its members are set only while it is made.
pub fn inbox(tx: &mut Tx, ctx: &Ctx, origin: &Origin, theirs: i64, cmd: &Inbox) -> Result<(InboxId, Taken)> {
    let (id, taken) = once(tx, origin, Noun::Inbox, theirs, |tx| {
        let made = inboxes::create(tx, ctx, &cmd.create)?.inbox;
        inboxes::configure(tx, ctx, made.id, &cmd.settings)?;
        if let Some(identifier) = &cmd.identifier {
            inboxes::keep_identifier(tx, ctx, made.id, identifier)?;
        }
        inboxes::set_members(tx, ctx, made.id, &cmd.members)?;
        Ok((made.id.0, Taken::New))
    })?;
    // It may have been deleted here since.
    inboxes::get(tx, ctx.tenant, InboxId::from_uuid(id)).map_err(|_| gone("inbox"))?;
    Ok((InboxId::from_uuid(id), taken))
}
