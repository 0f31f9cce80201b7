//! One call of an integrator's system: who wrote, and what; the conversation follows.
//!
//! A repeat by the message's external id finds the message wherever it went, also when its conversation was closed
//! meanwhile. Calls of one address wait for each other, so two first messages at once open one conversation.

use super::status::Status;
use super::{Append, AppendVerb, Conversation, OpenIn, get, newest_from, open_in};
use crate::contact_inboxes::{Meet, Met, meet};
use crate::contacts::Contact;
use crate::ctx::Ctx;
use crate::idempotency::Reply;
use crate::messages::{self, Message, NewMessage};
use crate::{Error, Result, inboxes};
use tieline_db::{SetVerb, Tx};

/// A message, its sender, and what belongs to a conversation that has to be opened for it.
#[derive(Clone)]
pub struct Land {
    /// Who wrote, and where.
    pub from: Meet,
    /// What.
    pub message: NewMessage,
    /// Values by key of a new conversation, a JSON object as text.
    pub custom_fields: String,
    /// Free-form of a new conversation, a JSON object as text.
    pub metadata: String,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Landed {
    /// The sender.
    pub met: Met,
    /// Where the message is.
    pub conversation: Conversation,
    /// Whether it was opened for this message.
    pub opened: bool,
    /// The message.
    pub message: Message,
    /// It was there already, by its external id.
    pub existing: bool,
}

/// Lands it: in the address's last conversation while that is not done, or always where the inbox keeps one conversation
/// for each address; else in a new one.
///
/// Errors: those of [`meet`], [`open_in`] and [`AppendVerb`].
pub fn land(tx: &mut Tx, ctx: &Ctx, cmd: &Land) -> Result<Landed> {
    let met = meet(tx, ctx, &cmd.from)?;
    if let Some(external) = &cmd.message.external_id
        && let Some(message) = messages::at_address(tx, ctx.tenant, &met.at, external)?
    {
        let conversation = get(tx, ctx.tenant, message.conversation)?;
        return Ok(Landed { met, conversation, opened: false, message, existing: true });
    }
    let is_single = inboxes::get(tx, ctx.tenant, met.at.inbox)?.is_single_conversation;
    let last = newest_from(tx, ctx.tenant, met.at.inbox, &met.at.source_id)?;
    let usable = |v: &Conversation| is_single || !matches!(v.status, Status::Done | Status::Archived);
    let (conversation, opened) = match last.filter(usable) {
        Some(last) => (last, false),
        None => {
            let open = OpenIn {
                at: met.at.clone(),
                is_held: false,
                team: None,
                agent: None,
                priority: None,
                custom_fields: cmd.custom_fields.clone(),
                metadata: cmd.metadata.clone(),
            };
            (open_in(tx, ctx, &open)?, true)
        }
    };
    let append = Append { ctx: ctx.clone(), once: None, conversation: conversation.id, message: cmd.message.clone() };
    match AppendVerb::run(tx, &[&append])?.pop() {
        Some(Ok(Reply::Done(done))) => {
            let contact: Contact = done.conversation.contact.clone();
            let met = Met { contact, ..met };
            Ok(Landed { met, conversation: done.conversation, opened, message: done.message, existing: done.existing })
        }
        Some(Err(refusal)) => Err(refusal),
        _ => Err(Error::internal("a message was neither taken nor refused")),
    }
}
