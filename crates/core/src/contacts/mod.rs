//! Contacts: the customers, and the handles they are known by.

mod annotate;
mod delete;
pub mod email;
mod import;
mod list;
mod merge;
mod notes;
pub mod phone;
mod seek;
pub(crate) mod sql;
mod tagging;
mod upsert;
mod write;

pub use annotate::{Annotate, annotate};
pub use delete::delete;
pub use import::{Import, import, import_label};
pub use list::{Filter, List, found, list, numbered};
pub use merge::{MERGE_LIMIT, merge};
pub use notes::{Note, add_note, edit_note, note, notes, remove_note};
pub use seek::{ORDERS, SEEK_SCAN, by_address, by_number, count, page, seek};
pub use tagging::{set_tags, tags_of};
pub use upsert::Upsert;
pub(crate) use upsert::{Owners, upsert_many};
pub(crate) use write::insert;
pub use write::{Create, Update, Written, create, update};

use crate::ids::{ContactId, TenantId};
use crate::{Error, Result};
use tieline_db::{Ask, Many, Read, Row, Tx, params};

/// A customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// Its id.
    pub id: ContactId,
    /// Its number in the installation.
    pub number: i64,
    /// Display name.
    pub name: String,
    /// Primary email address, as given.
    pub email: Option<String>,
    /// Primary phone number: E.164 where it parses.
    pub phone: Option<String>,
    /// The integrator's own id for it.
    pub external_id: Option<String>,
    /// Custom field values by key, a JSON object as text.
    pub custom_fields: String,
    /// Free-form, a JSON object as text.
    pub metadata: String,
    /// Whether what it writes stays done.
    pub is_blocked: bool,
    /// A picture of it, somewhere.
    pub avatar_url: Option<String>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

/// Kinds of handles.
pub mod handle {
    /// Email address; matched in lower case.
    pub const EMAIL: &str = "email";
    /// Phone number; matched by its equivalence class.
    pub const PHONE: &str = "phone";
    /// The integrator's own id; matched byte by byte.
    pub const EXTERNAL_ID: &str = "external_id";
}

/// Reads a contact from [`sql::columns`] that start at `at`.
pub(crate) fn contact(row: &Row, at: usize) -> tieline_db::Result<Contact> {
    Ok(Contact {
        id: ContactId::from_uuid(row.get(at)?),
        number: row.get(at + 1)?,
        name: row.get(at + 2)?,
        email: row.get(at + 3)?,
        phone: row.get(at + 4)?,
        external_id: row.get(at + 5)?,
        custom_fields: row.get(at + 6)?,
        created_at: row.get(at + 7)?,
        updated_at: row.get(at + 8)?,
        metadata: row.get(at + 9)?,
        is_blocked: row.get(at + 10)?,
        avatar_url: row.get(at + 11)?,
    })
}

/// An address of a contact.
#[derive(Clone, Debug, PartialEq)]
pub struct Handle {
    /// One of [`handle`].
    pub kind: String,
    /// As given.
    pub value: String,
    /// Whether it is the one shown first; one of each kind is.
    pub is_primary: bool,
}

/// A contact with everything it is known by.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// The contact.
    pub contact: Contact,
    /// Its addresses: by kind, primary first. At most [`HANDLES_LIMIT`] are read.
    pub handles: Vec<Handle>,
    /// Contacts that were merged into it, oldest first; their ids still answer. At most [`HANDLES_LIMIT`] are read.
    pub merged_from: Vec<ContactId>,
}

/// Most addresses and merged ids read of one contact.
pub const HANDLES_LIMIT: i64 = 500;

/// The contact with this id, or the one that it was merged into.
pub fn get(read: &mut Read, tenant: TenantId, id: ContactId) -> Result<Contact> {
    let id = resolve(read, tenant, id)?;
    read.opt(sql::GET, &params![tenant.0, id.0], |row| contact(row, 0))?.ok_or_else(|| Error::not_found("contact"))
}

/// [`get`] with addresses and merged ids.
pub fn detail(read: &mut Read, tenant: TenantId, id: ContactId) -> Result<Detail> {
    let contact = get(read, tenant, id)?;
    let params = params![tenant.0, contact.id.0, HANDLES_LIMIT];
    let handles = read.all(sql::HANDLES, &params, |row| {
        Ok(Handle { kind: row.get(0)?, value: row.get(1)?, is_primary: row.get(2)? })
    })?;
    let merged_from = read.all(sql::MERGED_FROM, &params, |row| Ok(ContactId::from_uuid(row.get(0)?)))?;
    Ok(Detail { contact, handles, merged_from })
}

/// The contact that answers for this id.
pub fn resolve(read: &mut Read, tenant: TenantId, id: ContactId) -> Result<ContactId> {
    let alias = read.opt(sql::ALIAS, &params![tenant.0, id.0], |row| row.get(0))?;
    Ok(alias.map_or(id, ContactId::from_uuid))
}

/// Times that [`locked`] looks again for a contact that was merged away while it waited.
const LOCK_ATTEMPTS: usize = 5;

/// The contact for changing it: nobody else changes it until the transaction ends. It has another id when the one given was
/// merged away, perhaps only while this waited.
fn locked(tx: &mut Tx, tenant: TenantId, id: ContactId) -> Result<Contact> {
    locked_by(tx, &sql::LOCK, tenant, id)
}

/// The same for merging it away or deleting it: nobody opens a conversation for it meanwhile either.
fn locked_to_go(tx: &mut Tx, tenant: TenantId, id: ContactId) -> Result<Contact> {
    locked_by(tx, &sql::LOCK_TO_GO, tenant, id)
}

fn locked_by(tx: &mut Tx, lock: &Many, tenant: TenantId, id: ContactId) -> Result<Contact> {
    for _ in 0..LOCK_ATTEMPTS {
        let found = resolve(tx, tenant, id)?;
        match tx.lock(lock, &params![tenant.0, found.0])? {
            Some(0) => {}
            _ => return get(tx, tenant, found),
        }
    }
    Err(Error::not_found("contact"))
}

/// Contacts to be kept from being merged away or deleted before the transaction ends, so that conversations can be opened
/// for them.
pub(crate) struct Held {
    contacts: Vec<(TenantId, ContactId)>,
    locked: u64,
}

impl Held {
    /// These.
    pub fn of(mut contacts: Vec<(TenantId, ContactId)>) -> Held {
        contacts.sort();
        contacts.dedup();
        Held { contacts, locked: 0 }
    }
    /// Whether this is one of them.
    pub fn has(&self, contact: (TenantId, ContactId)) -> bool {
        self.contacts.binary_search(&contact).is_ok()
    }
    /// Locks them.
    pub fn ask(&mut self) -> Ask<'_> {
        let params = self.contacts.iter().flat_map(|(tenant, id)| params![tenant.0, id.0]).collect();
        Ask::lock(&sql::HOLD, params, &mut self.locked)
    }
    /// When one has gone already, since it was read, the transaction runs again.
    pub fn check(&self, tx: &mut Tx) -> Result<()> {
        match tx.is_shared() && self.locked < self.contacts.len() as u64 {
            true => Err(tx.lost_race("a merge of a contact").into()),
            false => Ok(()),
        }
    }
}

/// Holds contacts.
pub(crate) fn hold(tx: &mut Tx, contacts: Vec<(TenantId, ContactId)>) -> Result<()> {
    let mut held = Held::of(contacts);
    tx.together(vec![held.ask()])?;
    held.check(tx)
}

/// The owner of a handle, by its match key.
fn owner(read: &mut Read, tenant: TenantId, kind: &str, match_key: &str) -> Result<Option<ContactId>> {
    let owner = read.opt(sql::OWNER, &params![tenant.0, kind, match_key], |row| row.get(0))?;
    Ok(owner.map(ContactId::from_uuid))
}

fn exists(id: ContactId) -> Error {
    let detail = "A contact has this email, phone or externalId already; change that contact, or merge the two.";
    Error::conflict("contact_exists", detail).with("contactId", id)
}

/// What two spellings of one address share.
fn match_key<'a>(kind: &str, value: &'a str) -> std::borrow::Cow<'a, str> {
    if kind == handle::PHONE { phone::match_key(value) } else { value.into() }
}
