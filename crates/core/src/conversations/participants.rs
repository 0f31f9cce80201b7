//! Users who follow a conversation beside the one who has it.

use super::{get, sql};
use crate::ctx::Ctx;
use crate::ids::{ConversationId, TenantId, UserId};
use crate::{Error, Result, tenants, users};
use tieline_db::{Read, Tx, params};

/// Most participants of a conversation.
pub const PARTICIPANTS_LIMIT: usize = 100;

/// Who follows a conversation, the earliest first.
pub fn participants(read: &mut Read, tenant: TenantId, id: ConversationId) -> Result<Vec<UserId>> {
    let params = params![tenant.0, id.0, PARTICIPANTS_LIMIT as i64];
    Ok(read.all(sql::PARTICIPANTS, &params, |row| Ok(UserId::from_uuid(row.get(0)?)))?)
}

/// Makes these users all who follow it.
///
/// Errors: `not_found`; `unknown_id` at `/user_ids` for a user who is none, or switched off; `too_many`.
pub fn set_participants(tx: &mut Tx, ctx: &Ctx, id: ConversationId, wanted: &[UserId]) -> Result<()> {
    super::hold(tx, ctx.tenant, id)?;
    get(tx, ctx.tenant, id)?;
    if wanted.len() > PARTICIPANTS_LIMIT {
        return Err(Error::field("/user_ids", "too_many", "A conversation has at most 100 participants."));
    }
    let live = tenants::get(tx, ctx.tenant)?.live();
    let (before, now) = (participants(tx, ctx.tenant, id)?, tx.now());
    for gone in before.iter().filter(|user| !wanted.contains(user)) {
        tx.execute(sql::REMOVE_PARTICIPANT, &params![ctx.tenant.0, id.0, gone.0])?;
    }
    for user in wanted.iter().filter(|user| !before.contains(user)) {
        if users::find(tx, live, *user)?.is_none_or(|user| !user.is_active) {
            return Err(Error::field("/user_ids", "unknown_id", "There is no such user."));
        }
        tx.execute(sql::ADD_PARTICIPANT, &params![ctx.tenant.0, id.0, user.0, now])?;
    }
    Ok(())
}
