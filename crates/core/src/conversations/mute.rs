//! Muting: a customer who is not to be heard.

use super::change::lock;
use super::status::Status;
use super::{Amend, Conversation, Update, amend, get, update};
use crate::Result;
use crate::contacts::{self, Annotate};
use crate::ctx::Ctx;
use crate::ids::ConversationId;
use tieline_db::Tx;

/// Mutes a conversation: its customer is blocked, and it is done; or lets the customer be heard again, which leaves the
/// conversation where it stands.
///
/// Errors: `not_found`.
pub fn mute(tx: &mut Tx, ctx: &Ctx, id: ConversationId, is_muted: bool) -> Result<Conversation> {
    let v = lock(tx, ctx.tenant, id)?; // before its contact
    contacts::annotate(tx, ctx, v.contact.id, &Annotate { is_blocked: Some(is_muted), ..Annotate::default() })?;
    if is_muted && matches!(v.status, Status::Active | Status::Snoozed) {
        update(tx, ctx, &Update { status: Some(Status::Done), ..Update::none(id) })?;
        amend(tx, ctx, id, &Amend { is_held: Some(false), ..Amend::default() })?;
    }
    get(tx, ctx.tenant, id)
}
