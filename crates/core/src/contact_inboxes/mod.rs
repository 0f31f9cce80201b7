//! A contact's addresses in inboxes of integrators: what their system calls it there (`source_id`). One address of an inbox
//! belongs to one contact; a contact may have many.

mod meet;
mod pubsub;
mod sql;

pub use meet::{Meet, Met, meet};
pub use pubsub::{by_pubsub_token, pubsub_token};

use crate::ctx::Ctx;
use crate::ids::{ContactId, InboxId, TenantId};
use crate::{Error, Result, contacts};
use tieline_db::{Param, Read, Row, Tx, params};

/// An address of a contact.
#[derive(Clone, Debug, PartialEq)]
pub struct ContactInbox {
    /// Where.
    pub inbox: InboxId,
    /// The address, unique in the inbox; whoever knows it may speak as the contact there.
    pub source_id: String,
    /// Its number in the installation.
    pub number: i64,
    /// Whose.
    pub contact: ContactId,
    /// It proved by a hash who it is.
    pub is_verified: bool,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

/// Longest address, characters.
pub const SOURCE_ID_LIMIT: usize = 255;
/// Addresses read of one contact.
pub const LISTED: i64 = 100;

fn contact_inbox(row: &Row) -> tieline_db::Result<ContactInbox> {
    Ok(ContactInbox {
        inbox: InboxId::from_uuid(row.get(0)?),
        source_id: row.get(1)?,
        number: row.get(2)?,
        contact: ContactId::from_uuid(row.get(3)?),
        is_verified: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

/// The address of an inbox, if somebody has it.
pub fn find(read: &mut Read, tenant: TenantId, inbox: InboxId, source_id: &str) -> Result<Option<ContactInbox>> {
    Ok(read.opt(sql::GET, &params![tenant.0, inbox.0, source_id], contact_inbox)?)
}

/// The address with this number.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Option<ContactInbox>> {
    Ok(read.opt(sql::BY_NUMBER, &params![tenant.0, number], contact_inbox)?)
}

/// The newest of this name in any inbox of the tenant.
pub fn find_anywhere(read: &mut Read, tenant: TenantId, source_id: &str) -> Result<Option<ContactInbox>> {
    Ok(read.opt(sql::BY_SOURCE, &params![tenant.0, source_id], contact_inbox)?)
}

/// A contact's addresses, newest first; at most [`LISTED`].
pub fn of_contact(read: &mut Read, tenant: TenantId, contact: ContactId) -> Result<Vec<ContactInbox>> {
    Ok(read.all(sql::OF_CONTACT, &params![tenant.0, contact.0, LISTED], contact_inbox)?)
}

/// A contact's newest address in an inbox.
pub fn newest(read: &mut Read, tenant: TenantId, contact: ContactId, inbox: InboxId) -> Result<Option<ContactInbox>> {
    Ok(read.opt(sql::NEWEST, &params![tenant.0, contact.0, inbox.0], contact_inbox)?)
}

/// Keeps others from meeting at the addresses of these contacts until the transaction ends; how many there
/// are, none on SQLite.
pub(crate) fn hold_of(tx: &mut Tx, tenant: TenantId, contacts: &[ContactId]) -> Result<Option<u64>> {
    let rows: Vec<Param> = contacts.iter().flat_map(|id| params![tenant.0, id.0]).collect();
    Ok(tx.lock(&sql::LOCK_OF_CONTACT, &rows)?)
}

/// Gives a contact an address; its own again changes nothing but what it proved.
///
/// Errors: `source_id_taken` for another contact's; `validation_error` for more than 255 characters.
pub fn attach(
    tx: &mut Tx,
    ctx: &Ctx,
    inbox: InboxId,
    contact: ContactId,
    source_id: &str,
    is_verified: bool,
) -> Result<ContactInbox> {
    if source_id.is_empty() || source_id.chars().count() > SOURCE_ID_LIMIT {
        return Err(Error::field("/source_id", "invalid_value", "source_id has 1 to 255 characters."));
    }
    let (number, now) = (tx.take_number()?, tx.now());
    tx.execute(sql::INSERT, &params![ctx.tenant.0, inbox.0, source_id, number, contact.0, is_verified, now])?;
    contacts::hold(tx, vec![(ctx.tenant, contact)])?; // whoever merges or deletes it sees the address
    let found = find(tx, ctx.tenant, inbox, source_id)?.ok_or_else(|| Error::not_found("contact inbox"))?;
    if found.contact != contact {
        return Err(Error::conflict("source_id_taken", "source_id should be unique"));
    }
    if is_verified && !found.is_verified {
        return verify(tx, ctx, &found);
    }
    Ok(found)
}

/// Gives a contact an address that it had elsewhere, unless somebody has it here.
pub(crate) fn import(
    tx: &mut Tx,
    ctx: &Ctx,
    inbox: InboxId,
    contact: ContactId,
    source_id: &str,
    at: i64,
) -> Result<()> {
    if (1..=SOURCE_ID_LIMIT).contains(&source_id.chars().count()) && find(tx, ctx.tenant, inbox, source_id)?.is_none() {
        let number = tx.take_number()?;
        tx.execute(sql::INSERT, &params![ctx.tenant.0, inbox.0, source_id, number, contact.0, false, at])?;
    }
    Ok(())
}

/// Notes that the contact proved who it is.
pub fn verify(tx: &mut Tx, ctx: &Ctx, at: &ContactInbox) -> Result<ContactInbox> {
    let now = tx.now();
    tx.execute(sql::VERIFY, &params![ctx.tenant.0, at.inbox.0, &at.source_id, now])?;
    Ok(ContactInbox { is_verified: true, updated_at: now, ..at.clone() })
}
