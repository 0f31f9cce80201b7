//! Opening a conversation in a certain inbox, at a contact's address there.

use super::append::inbox_team;
use super::open::insert_many;
use super::{Conversation, Priority, sql, take_number};
use crate::contact_inboxes::ContactInbox;
use crate::ctx::Ctx;
use crate::events::{Event, emit};
use crate::ids::{ConversationId, TeamId, UserId};
use crate::{Error, Result, bots, contacts, inboxes, teams};
use tieline_db::{Tx, params};

/// A conversation to open.
#[derive(Clone, Debug)]
pub struct OpenIn {
    /// The contact's address in the inbox.
    pub at: ContactInbox,
    /// Whether a bot works on it first; one does anyway where it is set on the inbox and no agent is named.
    pub is_held: bool,
    /// Its team; the inbox's, else the tenant's default, when none.
    pub team: Option<TeamId>,
    /// Its agent.
    pub agent: Option<UserId>,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Values by key, a JSON object as text.
    pub custom_fields: String,
    /// Free-form, a JSON object as text.
    pub metadata: String,
}

/// Opens it; where the inbox keeps one conversation for each address, that one is the answer, whatever its status.
///
/// Errors: `not_found`; `unknown_id` at `/team_id` and `/assignee_id`.
pub fn open_in(tx: &mut Tx, ctx: &Ctx, cmd: &OpenIn) -> Result<Conversation> {
    let inbox = inboxes::get(tx, ctx.tenant, cmd.at.inbox)?;
    if inbox.is_single_conversation
        && let Some(last) = super::newest_from(tx, ctx.tenant, cmd.at.inbox, &cmd.at.source_id)?
    {
        return Ok(last);
    }
    if let Some(team) = cmd.team {
        teams::exists(tx, ctx.tenant, team, "/team_id")?;
    }
    if let Some(agent) = cmd.agent {
        let mut known = false;
        tx.select_many(&sql::KNOWS_USER, &params![ctx.tenant.0, agent.0], |_| {
            known = true;
            Ok(())
        })?;
        if !known {
            return Err(Error::field("/assignee_id", "unknown_id", "There is no such user."));
        }
    }
    let contact = contacts::get(tx, ctx.tenant, cmd.at.contact)?;
    contacts::hold(tx, vec![(ctx.tenant, contact.id)])?;
    let v = Conversation {
        team: match cmd.team {
            Some(team) => Some(team),
            None => inbox_team(tx, ctx.tenant, inbox.id)?,
        },
        agent: cmd.agent,
        custom_fields: cmd.custom_fields.clone(),
        metadata: cmd.metadata.clone(),
        event_sequence: 1,
        source_id: Some(cmd.at.source_id.clone()),
        priority: cmd.priority,
        is_held: cmd.is_held || (cmd.agent.is_none() && bots::works_in(tx, ctx.tenant, inbox.id)?),
        ..Conversation::opened(
            (ConversationId::from_uuid(tx.new_id()), take_number(tx, ctx.tenant)?),
            (inbox.id, inbox.channel),
            contact,
            tx.now(),
        )
    };
    insert_many(tx, &[(ctx.tenant.0, &v)])?;
    emit(tx, ctx, &Event::ConversationCreated { conversation: &v }, Some(1))?;
    Ok(v)
}
