//! Somebody writes just now. It changes nothing, so it is told only where an endpoint of the tenant listens at this moment.

use super::Conversation;
use super::change::{lock, next, save};
use crate::Result;
use crate::ctx::Ctx;
use crate::events::{Event, emit};
use crate::ids::ConversationId;
use crate::webhooks;
use tieline_db::Tx;

/// Who writes is the actor; whether they began or stopped, and whether it is a note.
#[derive(Clone, Copy, Debug)]
pub struct Typing {
    /// The conversation.
    pub conversation: ConversationId,
    /// Began, else stopped.
    pub is_on: bool,
    /// The customer is not to see it.
    pub is_private: bool,
}

/// Tells who listens. The conversation does not count as changed by it.
///
/// Errors: `not_found`.
pub fn typing(tx: &mut Tx, ctx: &Ctx, cmd: &Typing) -> Result<()> {
    let endpoints = webhooks::active(tx, ctx.tenant)?;
    let mut v: Conversation = lock(tx, ctx.tenant, cmd.conversation)?;
    let name = Event::Typing { conversation: &v, is_on: cmd.is_on, is_private: cmd.is_private }.name();
    if !endpoints.iter().any(|endpoint| endpoint.subscribes(name, Some(v.inbox))) {
        return Ok(());
    }
    let sequence = next(&mut v);
    save(tx, ctx.tenant, &v)?;
    emit(tx, ctx, &Event::Typing { conversation: &v, is_on: cmd.is_on, is_private: cmd.is_private }, sequence)?;
    Ok(())
}
