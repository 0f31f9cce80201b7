//! Who speaks at an address: the contact that has it, one that is known by another address, or a new one.

use super::{ContactInbox, attach, find, sql, verify};
use crate::contacts::{self, Annotate, Contact, Upsert, handle};
use crate::ctx::Ctx;
use crate::events::{Event, emit};
use crate::ids::InboxId;
use crate::{Error, Result};
use tieline_db::{Tx, params};

/// Somebody at an address of an inbox.
#[derive(Clone, Debug)]
pub struct Meet {
    /// Where.
    pub inbox: InboxId,
    /// The address; a new one when none.
    pub source_id: Option<String>,
    /// Name and normalised addresses. They count only for a contact who is new: whoever is known stays as they are.
    pub identity: Upsert,
    /// What else is known of a contact who is new.
    pub note: Annotate,
    /// It proved by a hash who it is.
    pub is_verified: bool,
}

/// Whom an address leads to.
#[derive(Clone, Debug)]
pub struct Met {
    /// The address.
    pub at: ContactInbox,
    /// Whose it is.
    pub contact: Contact,
    /// Whether the contact is new.
    pub created: bool,
}

/// Finds the contact by the address, then by external id, email and phone, and makes one where there is none. The address
/// is held until the transaction ends: who meets the same one waits, and finds what this left.
///
/// Errors: those of [`attach`] and [`contacts::annotate`].
pub fn meet(tx: &mut Tx, ctx: &Ctx, cmd: &Meet) -> Result<Met> {
    if let Some(source) = &cmd.source_id {
        tx.lock(&sql::LOCK, &params![ctx.tenant.0, cmd.inbox.0, source])?;
        if let Some(mut at) = find(tx, ctx.tenant, cmd.inbox, source)? {
            if cmd.is_verified && !at.is_verified {
                at = verify(tx, ctx, &at)?;
            }
            let contact = contacts::get(tx, ctx.tenant, at.contact)?;
            return Ok(Met { at, contact, created: false });
        }
    }
    let known = known(tx, ctx, &cmd.identity)?;
    let created = known.is_none();
    let made = match known {
        Some(contact) => Ok(contact),
        None => make(tx, ctx, cmd),
    };
    let source = cmd.source_id.clone().unwrap_or_else(|| tx.new_id().to_string());
    let met = made.and_then(|contact| {
        // Somebody who is only called like a known contact does not prove to be it.
        let at = attach(tx, ctx, cmd.inbox, contact.id, &source, cmd.is_verified)?;
        if !created {
            return Ok(Met { at, contact, created });
        }
        // Only now: who has told something has counted it, and waits for nobody with that.
        emit(tx, ctx, &Event::ContactCreated { contact: &contact }, None)?;
        let contact = contacts::annotate(tx, ctx, contact.id, &cmd.note)?;
        Ok(Met { at, contact, created })
    });
    match met {
        // Nobody had the address or the contact a moment ago.
        Err(error) if matches!(error.code, "contact_exists" | "source_id_taken") && tx.is_shared() => {
            Err(tx.lost_race("another request of the same contact").into())
        }
        met => met,
    }
}

fn known(tx: &mut Tx, ctx: &Ctx, who: &Upsert) -> Result<Option<Contact>> {
    for (kind, value) in
        [(handle::EXTERNAL_ID, &who.external_id), (handle::EMAIL, &who.email), (handle::PHONE, &who.phone)]
    {
        if let Some(value) = value
            && let Some(found) = contacts::by_address(tx, ctx.tenant, kind, value)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn make(tx: &mut Tx, ctx: &Ctx, cmd: &Meet) -> Result<Contact, Error> {
    let name = cmd.identity.name.clone().unwrap_or_else(|| made_up_name(tx));
    let identity = Upsert { name: Some(name), ..cmd.identity.clone() };
    Ok(contacts::insert(tx, ctx, &contacts::Create { identity, custom_fields: Default::default() })?.contact)
}

/// Two words for a contact who gave no name.
fn made_up_name(tx: &mut Tx) -> String {
    const FIRST: [&str; 16] = [
        "amber", "bold", "calm", "crisp", "early", "fair", "gentle", "green", "kind", "lively", "misty", "noble",
        "quiet", "silver", "still", "warm",
    ];
    const SECOND: [&str; 16] = [
        "brook", "cedar", "cloud", "dawn", "field", "forest", "harbour", "hill", "lake", "leaf", "meadow", "moon",
        "pine", "river", "stone", "wind",
    ];
    let bytes = *tx.new_id().as_bytes();
    format!("{}-{}-{}", FIRST[usize::from(bytes[15] & 15)], SECOND[usize::from(bytes[14] & 15)], bytes[13])
}
