//! A bot gives a conversation to people.

use super::Conversation;
use super::change::{announce, lock, save};
use super::status::Moment;
use crate::Result;
use crate::ctx::Ctx;
use crate::events::Batch;
use crate::ids::ConversationId;
use tieline_db::Tx;

/// Ends a bot's hold: the customer waits for one of us, since they last wrote or from now on. One that no bot holds stays as
/// it is.
///
/// Errors: `not_found`.
pub fn hand_off(tx: &mut Tx, ctx: &Ctx, id: ConversationId) -> Result<Conversation> {
    let before = lock(tx, ctx.tenant, id)?;
    if !before.is_held {
        return Ok(before);
    }
    let (mut v, mut events) = (before.clone(), Batch::default());
    v.is_held = false;
    v.engagement = Moment::Handover.decides().or(v.engagement);
    v.waiting_since = v.waiting_since.or(Some(tx.now()));
    announce(tx, ctx, &before, &mut v, &mut events)?;
    save(tx, ctx.tenant, &v)?;
    events.write(tx)?;
    Ok(v)
}
