//! Merging two conversations of one contact (contract B2, D6.2).
//!
//! The messages of the secondary move to the primary, where they stand between its own by the time they came. The
//! secondary is done, points to the primary and keeps its reference; what is written to it later lands on the primary. A
//! customer who waited in the list of work still does: a primary that is out of it comes back, as by a message of theirs.

use super::append::archived;
use super::change::{announce, apply, ask, lock_many, next, save_many};
use super::status::{Command, Engagement, Moment, Outcome, Status};
use super::{Conversation, sql};
use crate::attachments::{Attach, attach};
use crate::ctx::Ctx;
use crate::events::{Batch, Event};
use crate::ids::ConversationId;
use crate::messages::direction::{AuthorType, Direction};
use crate::messages::{self, Author, NewMessage};
use crate::tags::{self, tag};
use crate::{Error, Result};
use tieline_db::{Tx, params};

/// Which conversation goes into which.
#[derive(Clone, Copy, Debug)]
pub struct Merge {
    /// The secondary: its messages move.
    pub conversation: ConversationId,
    /// The primary: it gets them.
    pub into: ConversationId,
}

/// Merges; answers the primary.
///
/// Errors: `not_found`; `validation_error` at `/into` for an unknown primary or the conversation itself;
/// `different_contacts`; `conversation_merged` (with `conversationId`) when one was merged before;
/// `conversation_archived` when one is locked.
pub fn merge(tx: &mut Tx, ctx: &Ctx, cmd: &Merge) -> Result<Conversation> {
    let (mut from, mut into) = both(tx, ctx, cmd)?;
    let (before, into_before) = (from.clone(), into.clone());
    let now = tx.now();
    let mut events = Batch::default();

    if let Outcome::Changed(change) = ask(&from, Command::Finish, now)? {
        apply(tx, ctx.tenant, &mut from, change)?;
    }
    from.merged_into = Some(into.id);
    tx.execute(messages::sql::MOVE, &params![ctx.tenant.0, from.id.0, into.id.0])?;
    into.message_count += std::mem::take(&mut from.message_count);
    into.last_message_at = into.last_message_at.max(from.last_message_at);
    into.last_contact_message_at = into.last_contact_message_at.max(from.last_contact_message_at);
    into.engagement = engagement(tx, ctx, &into)?;
    let waits = before.status == Status::Active && into.engagement == Some(Engagement::Pending);
    if waits && let Outcome::Changed(change) = ask(&into, Command::CustomerMessage, now)? {
        apply(tx, ctx.tenant, &mut into, change)?;
    }
    let note = NewMessage {
        direction: Direction::Activity,
        author: Author::default(),
        text: format!("Conversation {:04} was merged into this one.", from.number),
        html: None,
        content: None,
        external_id: None,
        sent_at: None,
        attachments: Attach::default(),
    };
    let attached = attach(tx, ctx.tenant, &note.attachments)??;
    let number = tx.take_number()?;
    let note = note.of(tx, ctx, &into, None, attached, number);
    messages::insert_many(tx, &[(ctx.tenant.0, &note)])?;
    let tags = tx.all(tags::sql::LACKING, &params![ctx.tenant.0, from.id.0, into.id.0], tag)?;
    for tag in &tags {
        tx.run_many(&sql::INSERT_TAG, &params![ctx.tenant.0, into.id.0, tag.id.0, now])?;
        into.tags.push(tag.slug.clone());
    }
    into.tags.sort();
    into.updated_at = now;
    from.updated_at = now;

    let sequence = next(&mut from);
    events.add(tx, ctx, &Event::ConversationMerged { conversation: &from, into: &into }, sequence)?;
    announce(tx, ctx, &before, &mut from, &mut events)?;
    announce(tx, ctx, &into_before, &mut into, &mut events)?;
    for tag in &tags {
        let sequence = next(&mut into);
        events.add(tx, ctx, &Event::TagAdded { conversation: &into, tag }, sequence)?;
    }
    save_many(tx, [(ctx.tenant, &from), (ctx.tenant, &into)])?;
    events.write(tx)?;
    Ok(into)
}

/// Locks both and checks that they may be merged.
fn both(tx: &mut Tx, ctx: &Ctx, cmd: &Merge) -> Result<(Conversation, Conversation)> {
    let key = |id| (ctx.tenant, id);
    let mut keys = [key(cmd.conversation), key(cmd.into)];
    keys.sort(); // everyone locks in this order
    let mut found = lock_many(tx, &keys)?;
    let from = found.remove(&key(cmd.conversation)).ok_or_else(|| Error::not_found("conversation"))?;
    if cmd.conversation == cmd.into {
        return Err(Error::field("/into", "invalid_value", "A conversation cannot be merged into itself."));
    }
    let into = found.remove(&key(cmd.into));
    let into = into.ok_or_else(|| Error::field("/into", "not_found", "There is no such conversation."))?;
    for v in [&from, &into] {
        if let Some(primary) = v.merged_into {
            let error = Error::conflict("conversation_merged", "A merged conversation cannot be merged again.");
            return Err(error.with("conversationId", primary));
        }
        if v.status == Status::Archived {
            return Err(archived());
        }
    }
    if from.contact.id != into.contact.id {
        let detail = "Only conversations of one contact can be merged; merge the contacts first.";
        return Err(Error::conflict("different_contacts", detail));
    }
    Ok((from, into))
}

/// Who waits for whom, by the messages that are there now.
fn engagement(tx: &mut Tx, ctx: &Ctx, v: &Conversation) -> Result<Option<Engagement>> {
    let last = tx.opt(messages::sql::LAST_DECISIVE, &params![ctx.tenant.0, v.id.0], |row| {
        let unknown = || tieline_db::Error::Sql("unknown word in messages".into());
        let direction = Direction::from_text(&row.get::<String>(0)?).ok_or_else(unknown)?;
        Ok(Moment::Said(direction, AuthorType::from_text(&row.get::<String>(1)?).ok_or_else(unknown)?))
    })?;
    Ok(last.and_then(Moment::decides))
}
