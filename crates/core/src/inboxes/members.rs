//! Which users work on an inbox.

use super::{NAMED_LIMIT, get, sql};
use crate::ctx::Ctx;
use crate::ids::{InboxId, TenantId, UserId};
use crate::installation::change_configuration;
use crate::teams::MEMBERS_LIMIT;
use crate::{Error, Result, audit, tenants, users};
use tieline_db::{Read, Tx, params};

/// The users of an inbox.
pub fn members(read: &mut Read, tenant: TenantId, inbox: InboxId) -> Result<Vec<UserId>> {
    let params = params![tenant.0, inbox.0, MEMBERS_LIMIT as i64];
    Ok(read.all(sql::MEMBERS, &params, |row| Ok(UserId::from_uuid(row.get(0)?)))?)
}

/// The inboxes of a user.
pub fn of_member(read: &mut Read, tenant: TenantId, user: UserId) -> Result<Vec<InboxId>> {
    Ok(read.all(sql::OF_MEMBER, &params![tenant.0, user.0, NAMED_LIMIT], |row| Ok(InboxId::from_uuid(row.get(0)?)))?)
}

/// Makes these users all of an inbox's.
///
/// Errors: `not_found`; `unknown_id` at `/user_ids`.
pub fn set_members(tx: &mut Tx, ctx: &Ctx, inbox: InboxId, wanted: &[UserId]) -> Result<()> {
    get(tx, ctx.tenant, inbox)?;
    let live = tenants::get(tx, ctx.tenant)?.live();
    tx.execute(sql::CLEAR_MEMBERS, &params![ctx.tenant.0, inbox.0])?;
    for user in wanted.iter().take(MEMBERS_LIMIT) {
        if users::find(tx, live, *user)?.is_none() {
            return Err(Error::field("/user_ids", "unknown_id", "There is no such user."));
        }
        tx.execute(sql::ADD_MEMBER, &params![ctx.tenant.0, inbox.0, user.0])?;
    }
    audit::note(tx, ctx, "inbox.updated", inbox, audit::changed(&[("memberIds", true)]))?;
    change_configuration(tx)?;
    Ok(())
}
