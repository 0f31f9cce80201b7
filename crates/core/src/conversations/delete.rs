//! Deleting a conversation with all that was said in it.

use super::change::{lock, next};
use super::sql;
use crate::ctx::Ctx;
use crate::events::{Event, emit};
use crate::ids::ConversationId;
use crate::timers::{self, Kind};
use crate::{Result, surveys};
use tieline_db::{Tx, params};

/// Deletes it: messages, tags, participants, its survey and its timer go; files go with housekeeping, like uploads that no
/// message took. The contact stays, and so do the events of the log until they are pruned. Conversations that were merged
/// into it stand for themselves again.
///
/// Errors: `not_found`.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: ConversationId) -> Result<()> {
    let mut v = lock(tx, ctx.tenant, id)?;
    timers::set(tx, ctx.tenant, Kind::Snooze, id.0, None)?;
    let of = params![ctx.tenant.0, id.0];
    for statement in [
        sql::DELETE_FILES,
        sql::DELETE_MESSAGES,
        sql::DELETE_TAGS,
        sql::DELETE_PARTICIPANTS,
        surveys::sql::DELETE,
        sql::LEAVE_PREVIOUS,
    ] {
        tx.execute(statement, &of)?;
    }
    tx.execute(sql::LEAVE_MERGED, &params![ctx.tenant.0, id.0, v.contact.id.0])?;
    tx.execute(sql::DELETE, &of)?;
    let sequence = next(&mut v);
    emit(tx, ctx, &Event::ConversationDeleted { conversation: &v }, sequence)?;
    Ok(())
}
