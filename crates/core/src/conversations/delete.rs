//! Deleting a conversation with all that was said in it.

use super::change::{hold_many, lock, next};
use super::{get, sql};
use crate::ctx::Ctx;
use crate::events::{Event, emit};
use crate::ids::ConversationId;
use crate::timers::{self, Kind};
use crate::{Result, surveys};
use tieline_db::{Row, Tx, params};

/// Deletes it: messages, tags, participants, its survey and its timer go; files go with housekeeping, like uploads that no
/// message took. The contact stays, and so do the events of the log until they are pruned. Conversations that were merged
/// into it stand for themselves again.
///
/// Errors: `not_found`.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: ConversationId) -> Result<()> {
    let contact = get(tx, ctx.tenant, id)?.contact.id;
    let pointing = |tx: &mut Tx| {
        let row = |row: &Row| Ok((ctx.tenant, ConversationId::from_uuid(row.get(0)?)));
        tx.all(sql::POINTING, &params![ctx.tenant.0, id.0, contact.0], row)
    };
    // All that this touches, sorted; what comes to point here later waits for this one.
    let others = pointing(tx)?;
    hold_many(tx, others.iter().copied().chain([(ctx.tenant, id)]).collect())?;
    let mut v = lock(tx, ctx.tenant, id)?;
    if tx.is_shared() && pointing(tx)?.iter().any(|other| !others.contains(other)) {
        return Err(tx.lost_race("a merge of conversations").into());
    }
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
