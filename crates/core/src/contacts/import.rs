//! Contacts of another installation.

use super::{Contact, Upsert, get, handle, match_key, owner, sql};
use crate::Result;
use crate::contact_inboxes;
use crate::ctx::Ctx;
use crate::ids::{ContactId, InboxId};
use crate::imports::{Noun, Origin, Taken, find, made_at, mark, remember, tag};
use crate::tenants::Counting;
use tieline_db::{Param, Tx, params};

/// A contact of theirs.
#[derive(Clone, Debug)]
pub struct Import {
    /// Its number there.
    pub theirs: i64,
    /// Name and normalised addresses.
    pub identity: Upsert,
    /// Values by key, a JSON object as text.
    pub custom_fields: String,
    /// Free-form, a JSON object as text.
    pub metadata: String,
    /// Whether what it writes stays done.
    pub is_blocked: bool,
    /// Where its picture is.
    pub avatar_url: Option<String>,
    /// When it came, microseconds UTC.
    pub created_at: i64,
    /// When it was last active, microseconds UTC.
    pub updated_at: i64,
    /// Its addresses in inboxes here.
    pub addresses: Vec<(InboxId, String)>,
}

/// Takes contacts over, in order. Who is here by external id, email or phone stands for theirs and stays as they are. A phone
/// of somebody with another id or address stays with them, and theirs comes without it; so does an address of an inbox.
pub fn import(tx: &mut Tx, ctx: &Ctx, origin: &Origin, contacts: &[Import]) -> Result<Vec<(ContactId, Taken)>> {
    let theirs: Vec<i64> = contacts.iter().map(|contact| contact.theirs).collect();
    let mut items = find(tx, origin, Noun::Contact, &theirs)?;
    let (mut counting, mut results) = (Counting::default(), Vec::with_capacity(contacts.len()));
    for cmd in contacts {
        let (id, taken) = match items.get(&cmd.theirs) {
            Some(item) => (ContactId::from_uuid(item.id), Taken::There),
            None => {
                let (id, taken) = match owner_of(tx, ctx, &cmd.identity)? {
                    Some(id) => (id, Taken::There),
                    None => (make(tx, ctx, cmd)?, Taken::New),
                };
                remember(tx, origin, Noun::Contact, &[(cmd.theirs, id.0)])?;
                if taken == Taken::There {
                    mark(tx, origin, Noun::Contact, cmd.theirs, 1)?; // its labels are ours
                }
                items.insert(cmd.theirs, crate::imports::Item { id: id.0, mark: 0 });
                (id, taken)
            }
        };
        if taken == Taken::New {
            counting.contacts(ctx.tenant, 1);
        }
        for (inbox, source) in &cmd.addresses {
            contact_inboxes::import(tx, ctx, *inbox, id, source, cmd.created_at)?;
        }
        results.push((id, taken));
    }
    counting.write(tx)?;
    Ok(results)
}

/// Gives contacts of theirs, by their numbers there, a label; those only that were made by the import and whose labels are
/// not noted as here. How many got it.
///
/// Errors: `invalid_slug` for a title that no slug can be made from.
pub fn import_label(tx: &mut Tx, ctx: &Ctx, origin: &Origin, title: &str, theirs: &[i64]) -> Result<u64> {
    let (label, _) = tag(tx, ctx, title, None)?;
    let now = tx.now();
    let mut made: Vec<_> =
        find(tx, origin, Noun::Contact, theirs)?.into_values().filter(|item| item.mark == 0).collect();
    made.sort_by_key(|item| item.id);
    let rows: Vec<Param> = made.iter().flat_map(|item| params![ctx.tenant.0, item.id, label.0, now]).collect();
    Ok(tx.many(&sql::INSERT_TAG, &rows, |_| Ok(()))?)
}

fn owner_of(tx: &mut Tx, ctx: &Ctx, who: &Upsert) -> Result<Option<ContactId>> {
    for (kind, _, key) in who.handles() {
        let Some(id) = owner(tx, ctx.tenant, kind, &key)? else { continue };
        if who.means(kind, &get(tx, ctx.tenant, id)?) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

fn make(tx: &mut Tx, ctx: &Ctx, cmd: &Import) -> Result<ContactId> {
    let who = &cmd.identity;
    let phone = match &who.phone {
        Some(phone) if owner(tx, ctx.tenant, handle::PHONE, &match_key(handle::PHONE, phone))?.is_none() => Some(phone),
        _ => None,
    };
    let contact = Contact {
        id: ContactId::from_uuid(made_at(tx.new_id(), cmd.created_at)),
        number: tx.take_number()?,
        name: who.display_name(),
        email: who.email.clone(),
        phone: phone.cloned(),
        external_id: who.external_id.clone(),
        custom_fields: cmd.custom_fields.clone(),
        metadata: cmd.metadata.clone(),
        is_blocked: cmd.is_blocked,
        avatar_url: cmd.avatar_url.clone(),
        created_at: cmd.created_at,
        updated_at: cmd.updated_at.max(cmd.created_at),
    };
    for (kind, value) in
        [(handle::EXTERNAL_ID, &who.external_id), (handle::EMAIL, &who.email), (handle::PHONE, &contact.phone)]
    {
        let Some(value) = value else { continue };
        let key = match_key(kind, value);
        let row = params![ctx.tenant.0, kind, key.as_ref(), value, contact.id.0, contact.created_at];
        if tx.execute(sql::TAKE_HANDLE, &row)? == 0 {
            return Err(tx.lost_race("another contact with this address").into());
        }
    }
    let identity = params![&contact.name, &contact.email, &contact.phone, &contact.external_id];
    let mut row = params![ctx.tenant.0, contact.id.0, contact.number].to_vec();
    row.extend(identity);
    row.extend(params![&contact.custom_fields, contact.created_at]);
    tx.run_many(&sql::INSERT, &row)?;
    super::write::store(tx, ctx, &contact)?;
    Ok(contact.id)
}
