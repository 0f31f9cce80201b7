//! Conversations of another installation.

use super::append::inbox_team;
use super::open::insert_many;
use super::status::Status;
use super::{Conversation, PARTICIPANTS_LIMIT, Priority, change, sql, take_number};
use crate::contacts;
use crate::ctx::Ctx;
use crate::events::Event;
use crate::ids::{BotId, ContactId, ConversationId, InboxId, TeamId, UserId};
use crate::imports::{Item, Noun, Origin, Taken, find, made_at, remember, tag};
use crate::tenants::Counting;
use crate::timers::{self, Kind};
use crate::{Error, Result, inboxes, tenants};
use tieline_db::{Ask, Param, Tx, params};

/// A conversation of theirs.
#[derive(Clone, Debug)]
pub struct Import {
    /// Its number there; it keeps it where the tenant has given no number as high.
    pub theirs: i64,
    /// By what it may be found here.
    pub external_reference: Option<String>,
    /// Where it came through.
    pub inbox: InboxId,
    /// The customer.
    pub contact: ContactId,
    /// The contact's address in the inbox.
    pub source_id: Option<String>,
    /// Where it stands; one whose snooze is over is active.
    pub status: Status,
    /// When it wakes up, while snoozed. Microseconds UTC, like all times here.
    pub snoozed_until: Option<i64>,
    /// A bot works on it.
    pub is_held: bool,
    /// The team whose queue it is in.
    pub team: Option<TeamId>,
    /// Who has it.
    pub agent: Option<UserId>,
    /// The bot that has it.
    pub bot: Option<BotId>,
    /// Who follows it.
    pub participants: Vec<UserId>,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Titles of its labels.
    pub labels: Vec<String>,
    /// Values by key, a JSON object as text.
    pub custom_fields: String,
    /// Free-form, a JSON object as text.
    pub metadata: String,
    /// When the customer last looked.
    pub contact_seen_at: Option<i64>,
    /// When one of us last looked.
    pub agent_seen_at: Option<i64>,
    /// When it was opened.
    pub created_at: i64,
    /// When anything of it last changed.
    pub updated_at: i64,
}

/// Takes one over; its messages come by [`crate::messages::import`]. One that is here stays as it is. The second is up to
/// which of its messages there they are here.
///
/// Errors: `not_found` for an inbox or contact that is gone.
pub fn import(tx: &mut Tx, ctx: &Ctx, origin: &Origin, cmd: &Import) -> Result<(ConversationId, i64, Taken)> {
    if let Some(Item { id, mark }) = find(tx, origin, Noun::Conversation, &[cmd.theirs])?.remove(&cmd.theirs) {
        return Ok((ConversationId::from_uuid(id), mark, Taken::There));
    }
    let now = tx.now();
    let inbox = inboxes::get(tx, ctx.tenant, cmd.inbox)?;
    let contact = contacts::get(tx, ctx.tenant, cmd.contact)?;
    contacts::hold(tx, vec![(ctx.tenant, contact.id)])?;
    let is_over = cmd.snoozed_until.is_some_and(|until| until <= now);
    let status = if cmd.status == Status::Snoozed && is_over { Status::Active } else { cmd.status };
    let updated_at = cmd.updated_at.max(cmd.created_at);
    let reference = match &cmd.external_reference {
        Some(reference) if super::by_reference(tx, ctx.tenant, reference)?.is_none() => Some(reference.clone()),
        _ => None,
    };
    let v = Conversation {
        status,
        external_reference: reference,
        team: match cmd.team {
            Some(team) => Some(team),
            None => inbox_team(tx, ctx.tenant, inbox.id)?,
        },
        agent: cmd.agent,
        bot: cmd.bot,
        custom_fields: cmd.custom_fields.clone(),
        metadata: cmd.metadata.clone(),
        snoozed_until: cmd.snoozed_until.filter(|_| status == Status::Snoozed),
        updated_at,
        done_at: (status == Status::Done).then_some(updated_at),
        source_id: cmd.source_id.clone(),
        priority: cmd.priority,
        is_held: cmd.is_held,
        contact_seen_at: cmd.contact_seen_at,
        agent_seen_at: cmd.agent_seen_at,
        ..Conversation::opened(
            (ConversationId::from_uuid(made_at(tx.new_id(), cmd.created_at)), number(tx, ctx, cmd.theirs)?),
            (inbox.id, inbox.channel),
            contact,
            cmd.created_at,
        )
    };
    insert_many(tx, &[(ctx.tenant.0, &v)])?;
    change::save(tx, ctx.tenant, &v)?;
    for (sql, seen_at) in [(sql::SEEN_BY_CONTACT, v.contact_seen_at), (sql::SEEN_BY_AGENT, v.agent_seen_at)] {
        if let Some(at) = seen_at {
            tx.execute(sql, &params![ctx.tenant.0, v.id.0, at])?;
        }
    }
    if let Some(until) = v.snoozed_until {
        timers::set(tx, ctx.tenant, Kind::Snooze, v.id.0, Some(until))?;
    }
    set_labels(tx, ctx, &v, &cmd.labels)?;
    for user in cmd.participants.iter().take(PARTICIPANTS_LIMIT) {
        tx.execute(sql::ADD_PARTICIPANT, &params![ctx.tenant.0, v.id.0, user.0, v.created_at])?;
    }
    let mut counting = Counting::default();
    counting.see(ctx.tenant, &Event::ConversationCreated { conversation: &v });
    counting.write(tx)?;
    remember(tx, origin, Noun::Conversation, &[(cmd.theirs, v.id.0)])?;
    Ok((v.id, 0, Taken::New))
}

/// Their number, where the tenant's counter has not come so far: it then goes on behind it. Else the next free one.
fn number(tx: &mut Tx, ctx: &Ctx, theirs: i64) -> Result<i64> {
    if (1..=NUMBER_LIMIT).contains(&theirs) {
        let mut kept = None;
        let params = params![ctx.tenant.0, theirs].to_vec();
        tx.together(vec![Ask::apart(&tenants::sql::SKIP_NUMBERS, params, |row| {
            kept = Some(row.get::<i64>(0)?);
            Ok(())
        })])?;
        if let Some(kept) = kept {
            return Ok(kept);
        }
    }
    take_number(tx, ctx.tenant)
}

/// Greatest number that is kept: a counter near its end would stop the tenant.
const NUMBER_LIMIT: i64 = 1_000_000_000;

fn set_labels(tx: &mut Tx, ctx: &Ctx, v: &Conversation, labels: &[String]) -> Result<()> {
    let mut ids = Vec::with_capacity(labels.len());
    for title in labels.iter().take(super::TAGS_LIMIT) {
        match tag(tx, ctx, title, None) {
            Ok((id, _)) => ids.push(id),
            Err(Error { code: "invalid_slug", .. }) => {} // nothing of it can be a slug
            Err(error) => return Err(error),
        }
    }
    ids.sort();
    ids.dedup();
    let rows: Vec<Param> = ids.iter().flat_map(|tag| params![ctx.tenant.0, v.id.0, tag.0, v.created_at]).collect();
    tx.run_many(&sql::INSERT_TAG, &rows)?;
    Ok(())
}
