//! Making and changing a contact on request: unlike an upsert, an address that somebody has is a conflict.

use super::{Contact, Upsert, exists, handle, locked, match_key, owner, sql};
use crate::ctx::Ctx;
use crate::events::{self, Change, Event};
use crate::fields::{self, validate::Entity};
use crate::ids::ContactId;
use crate::{Error, Result};
use serde_json::{Map, Value};
use tieline_db::{Tx, params};

/// A new contact.
#[derive(Clone, Debug, Default)]
pub struct Create {
    /// Name and normalised addresses; at least one of the four.
    pub identity: Upsert,
    /// Values by key.
    pub custom_fields: Map<String, Value>,
}

/// Changes of a contact: none keeps, none inside clears.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Display name; cleared, it is made from an address again.
    pub name: Option<Option<String>>,
    /// Primary address, normalised. The former one is let go; clearing lets go of all of this kind.
    pub email: Option<Option<String>>,
    /// Like `email`.
    pub phone: Option<Option<String>>,
    /// Like `email`.
    pub external_id: Option<Option<String>>,
    /// Values by key; null clears one.
    pub custom_fields: Map<String, Value>,
}

/// A contact that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its state.
    pub contact: Contact,
    /// Keys that name no custom field of contacts.
    pub ignored_fields: Vec<String>,
}

/// Makes a contact.
///
/// Errors: `contact_exists` (with `contactId`) when one of its addresses has an owner; `validation_error` for values of
/// custom fields, and for a contact without name and address.
pub fn create(tx: &mut Tx, ctx: &Ctx, cmd: &Create) -> Result<Written> {
    let written = insert(tx, ctx, cmd)?;
    events::emit(tx, ctx, &Event::ContactCreated { contact: &written.contact }, None)?;
    Ok(written)
}

/// Makes a contact of which the caller tells.
pub(crate) fn insert(tx: &mut Tx, ctx: &Ctx, cmd: &Create) -> Result<Written> {
    let with = &cmd.identity;
    if with.name.is_none() && with.handles().next().is_none() {
        return Err(Error::field("", "required", "Give at least one of name, email, phone and externalId."));
    }
    let (custom_fields, ignored_fields) = values(tx, ctx, "{}", &cmd.custom_fields)?;
    let now = tx.now();
    let contact = Contact {
        id: ContactId::from_uuid(tx.new_id()),
        number: tx.take_number()?,
        name: with.display_name(),
        email: with.email.clone(),
        phone: with.phone.clone(),
        external_id: with.external_id.clone(),
        custom_fields,
        metadata: "{}".into(),
        is_blocked: false,
        avatar_url: None,
        created_at: now,
        updated_at: now,
    };
    for (kind, value, _) in with.handles() {
        if let Some(other) = take(tx, ctx, &contact, kind, value)? {
            return Err(exists(other));
        }
    }
    tx.run_many(
        &sql::INSERT,
        &params![
            ctx.tenant.0,
            contact.id.0,
            contact.number,
            &contact.name,
            &contact.email,
            &contact.phone,
            &contact.external_id,
            &contact.custom_fields,
            now
        ],
    )?;
    Ok(Written { contact, ignored_fields })
}

/// Changes a contact; an id that was merged away means the contact it went into.
///
/// Errors: `contact_exists` (with `contactId`) for an address that somebody else owns, `validation_error`.
pub fn update(tx: &mut Tx, ctx: &Ctx, id: ContactId, cmd: &Update) -> Result<Written> {
    let before = locked(tx, ctx.tenant, id)?;
    let mut contact = before.clone();
    let (custom_fields, ignored_fields) = values(tx, ctx, &before.custom_fields, &cmd.custom_fields)?;
    contact.custom_fields = custom_fields;
    let addresses = [
        (handle::EMAIL, &cmd.email, &mut contact.email),
        (handle::PHONE, &cmd.phone, &mut contact.phone),
        (handle::EXTERNAL_ID, &cmd.external_id, &mut contact.external_id),
    ];
    for (kind, wanted, slot) in addresses {
        match wanted {
            None => {}
            Some(None) => {
                tx.execute(sql::CLEAR_HANDLES, &params![ctx.tenant.0, before.id.0, kind])?;
                *slot = None;
            }
            Some(same) if same == slot => {}
            Some(Some(value)) => {
                set_primary(tx, ctx, &before, kind, value)?;
                *slot = Some(value.clone());
            }
        }
    }
    match &cmd.name {
        None => {}
        Some(Some(name)) => contact.name = name.clone(),
        Some(None) => {
            let (email, phone, external_id) =
                (contact.email.clone(), contact.phone.clone(), contact.external_id.clone());
            contact.name = Upsert { name: None, email, phone, external_id }.display_name();
        }
    }
    let changes = changes(&before, &contact)?;
    if !changes.is_empty() {
        save(tx, ctx, &mut contact, &changes)?;
    }
    Ok(Written { contact, ignored_fields })
}

/// Stores the contact and tells of it.
pub(super) fn save(tx: &mut Tx, ctx: &Ctx, contact: &mut Contact, changes: &[Change]) -> Result<()> {
    contact.updated_at = tx.now();
    store(tx, ctx, contact)?;
    events::emit(tx, ctx, &Event::ContactUpdated { contact, changes }, None)?;
    Ok(())
}

/// Stores the contact as it is, without a word.
pub(super) fn store(tx: &mut Tx, ctx: &Ctx, contact: &Contact) -> Result<()> {
    tx.execute(
        sql::UPDATE,
        &params![
            ctx.tenant.0,
            contact.id.0,
            &contact.name,
            &contact.email,
            &contact.phone,
            &contact.external_id,
            &contact.custom_fields,
            contact.updated_at,
            &contact.metadata,
            contact.is_blocked,
            &contact.avatar_url
        ],
    )?;
    Ok(())
}

/// What differs, in the words of `/v1`.
pub(super) fn changes(before: &Contact, after: &Contact) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    if before.name != after.name {
        changes.push(Change::new("name", &before.name, &after.name));
    }
    for (field, from, to) in [
        ("email", &before.email, &after.email),
        ("phone", &before.phone, &after.phone),
        ("externalId", &before.external_id, &after.external_id),
    ] {
        if from != to {
            changes.push(Change::new(field, from, to));
        }
    }
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(Error::internal);
    let (from, to) = (json(&before.custom_fields)?, json(&after.custom_fields)?);
    if from != to {
        changes.push(Change::new("customFields", from, to));
    }
    let (from, to) = (json(&before.metadata)?, json(&after.metadata)?);
    if from != to {
        changes.push(Change::new("metadata", from, to));
    }
    if before.is_blocked != after.is_blocked {
        changes.push(Change::new("isBlocked", before.is_blocked, after.is_blocked));
    }
    if before.avatar_url != after.avatar_url {
        changes.push(Change::new("avatarUrl", &before.avatar_url, &after.avatar_url));
    }
    Ok(changes)
}

fn values(tx: &mut Tx, ctx: &Ctx, stored: &str, incoming: &Map<String, Value>) -> Result<(String, Vec<String>)> {
    if incoming.is_empty() {
        return Ok((stored.to_owned(), Vec::new()));
    }
    let definitions = fields::definitions(tx, ctx.tenant, Entity::Contact)?;
    fields::write(&definitions, stored, incoming.clone(), "/customFields")
}

/// Takes an address nobody has, as a primary one; its owner otherwise.
fn take(tx: &mut Tx, ctx: &Ctx, contact: &Contact, kind: &str, value: &str) -> Result<Option<ContactId>> {
    let key = match_key(kind, value);
    let now = tx.now();
    let taken = tx.execute(sql::TAKE_HANDLE, &params![ctx.tenant.0, kind, key.as_ref(), value, contact.id.0, now])?;
    if taken == 1 { Ok(None) } else { owner(tx, ctx.tenant, kind, &key) }
}

fn set_primary(tx: &mut Tx, ctx: &Ctx, contact: &Contact, kind: &str, value: &str) -> Result<()> {
    let key = match_key(kind, value);
    match take(tx, ctx, contact, kind, value)? {
        None => {
            tx.execute(sql::REPLACE_PRIMARY, &params![ctx.tenant.0, contact.id.0, kind, key.as_ref()])?;
        }
        // One of its other addresses, or another spelling of this one: it comes first now, and none is lost.
        Some(owner) if owner == contact.id => {
            tx.execute(sql::DEMOTE, &params![ctx.tenant.0, contact.id.0, kind])?;
            tx.execute(sql::PROMOTE, &params![ctx.tenant.0, kind, key.as_ref(), value])?;
        }
        Some(other) => return Err(exists(other)),
    }
    Ok(())
}
