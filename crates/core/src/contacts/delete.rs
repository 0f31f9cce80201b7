//! Deleting a contact that nothing hangs on.

use super::{locked_to_go, sql};
use crate::ctx::Ctx;
use crate::ids::ContactId;
use crate::tenants::contacts_gone;
use crate::{Error, Result, contact_inboxes};
use tieline_db::{Tx, params};

/// Deletes a contact with its addresses. One that has conversations stays: they would lose their customer.
///
/// Errors: `contact_in_use`; not found also for an id that was merged away, because its data is another contact's now.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: ContactId) -> Result<()> {
    contact_inboxes::hold_of(tx, ctx.tenant, &[id])?; // before the contact, as a message does that lands
    if locked_to_go(tx, ctx.tenant, id)?.id != id {
        return Err(Error::not_found("contact"));
    }
    let params = params![ctx.tenant.0, id.0];
    if tx.opt(sql::HAS_CONVERSATIONS, &params, |row| row.get::<i64>(0))?.is_some() {
        let detail = "This contact has conversations; merge it into another contact, or leave it.";
        return Err(Error::conflict("contact_in_use", detail));
    }
    for statement in
        [sql::DELETE_HANDLES, sql::DELETE_ALIASES, sql::DELETE_INBOXES, sql::CLEAR_TAGS, sql::DELETE_NOTES, sql::DELETE]
    {
        tx.execute(statement, &params)?;
    }
    contacts_gone(tx, ctx.tenant, 1)
}
