//! Merging contacts that turned out to be one person (contract B6, D6.1).
//!
//! The target keeps what it has; of what it lacks, the source that changed last gives. All addresses and conversations move.
//! The sources' ids still answer, with the target.

use super::write::{changes, save};
use super::{Contact, handle, match_key, resolve, sql};
use crate::ctx::Ctx;
use crate::events::Change;
use crate::ids::ContactId;
use crate::tenants::contacts_gone;
use crate::{Error, FieldError, Result, contact_inboxes};
use serde_json::{Map, Value};
use tieline_db::{Param, Tx, params};

/// Most contacts merged by one request.
pub const MERGE_LIMIT: usize = 50;

/// Merges `from` into `target`; what was merged into it before is passed over, so that a repeated request changes nothing.
///
/// Errors: `validation_error` at `/from/<index>` for ids that are no contact of the tenant, and for the target itself.
pub fn merge(tx: &mut Tx, ctx: &Ctx, target: ContactId, from: &[ContactId]) -> Result<Contact> {
    let target = super::get(tx, ctx.tenant, target)?.id;
    let (mut wrong, mut ids) = (Vec::new(), Vec::new());
    for (index, id) in from.iter().enumerate() {
        let mut refuse = |code, message: &str| {
            wrong.push(FieldError { pointer: format!("/from/{index}"), code, message: message.into() });
        };
        if *id == target {
            refuse("invalid_value", "A contact cannot be merged into itself.");
        } else if resolve(tx, ctx.tenant, *id)? != target {
            match super::get(tx, ctx.tenant, *id) {
                Ok(source) => ids.push(source.id),
                Err(error) if error.code == "not_found" => refuse("unknown_id", "There is no such contact."),
                Err(error) => return Err(error),
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    // Addresses, then conversations, then contacts: as a message does that lands.
    let mut moved: Vec<_> = ids.clone();
    moved.sort();
    moved.dedup();
    let addresses = contact_inboxes::hold_of(tx, ctx.tenant, &moved)?;
    let of_moved: Vec<Param> = moved.iter().flat_map(|id| params![ctx.tenant.0, id.0]).collect();
    let conversations = tx.lock(&sql::LOCK_CONVERSATIONS, &of_moved)?;
    ids.push(target);
    ids.sort();
    ids.dedup();
    // In the order of their ids, so that two merges never wait for each other.
    let rows: Vec<Param> = ids.iter().flat_map(|id| params![ctx.tenant.0, id.0]).collect();
    if tx.lock(&sql::LOCK_TO_GO, &rows)?.is_some_and(|locked| locked < ids.len() as u64) {
        return Err(tx.lost_race("another merge of these contacts").into());
    }
    // What came to them before they were held is not held itself.
    for (held, statement) in [(addresses, &sql::ADDRESSES_OF), (conversations, &sql::CONVERSATIONS_OF)] {
        let mut found = 0;
        if held.is_some() {
            tx.select_many(statement, &of_moved, |_| {
                found += 1;
                Ok(())
            })?;
        }
        if held.is_some_and(|held| held != found) {
            return Err(tx.lost_race("a message to one of these contacts").into());
        }
    }
    let mut sources = ids.iter().map(|id| super::get(tx, ctx.tenant, *id)).collect::<Result<Vec<_>>>()?;
    let at = sources.iter().position(|source| source.id == target).ok_or_else(|| Error::not_found("contact"))?;
    let before = sources.remove(at);
    if sources.is_empty() {
        return Ok(before);
    }
    sources.sort_by_key(|source| (std::cmp::Reverse(source.updated_at), source.id));

    let mut contact = before.clone();
    for source in &sources {
        for statement in
            [sql::MOVE_HANDLES, sql::MOVE_CONVERSATIONS, sql::MOVE_INBOXES, sql::MOVE_ALIASES, sql::MOVE_NOTES]
        {
            tx.execute(statement, &params![ctx.tenant.0, source.id.0, target.0])?;
        }
        tx.execute(sql::COPY_TAGS, &params![ctx.tenant.0, source.id.0, target.0])?;
        tx.execute(sql::CLEAR_TAGS, &params![ctx.tenant.0, source.id.0])?;
        let now = tx.now();
        tx.execute(sql::INSERT_ALIAS, &params![ctx.tenant.0, source.id.0, target.0, now])?;
        tx.execute(sql::DELETE, &params![ctx.tenant.0, source.id.0])?;
        for (kind, slot, given) in [
            (handle::EMAIL, &mut contact.email, &source.email),
            (handle::PHONE, &mut contact.phone, &source.phone),
            (handle::EXTERNAL_ID, &mut contact.external_id, &source.external_id),
        ] {
            if let (None, Some(value)) = (&slot, given) {
                let key = match_key(kind, value);
                tx.execute(sql::PROMOTE, &params![ctx.tenant.0, kind, key.as_ref(), value])?;
                *slot = Some(value.clone());
            }
        }
        contact.custom_fields = filled(&contact.custom_fields, &source.custom_fields)?;
        contact.metadata = filled(&contact.metadata, &source.metadata)?;
        contact.avatar_url = contact.avatar_url.or_else(|| source.avatar_url.clone());
    }
    let mut changes = changes(&before, &contact)?;
    let merged: Vec<String> = sources.iter().map(|source| source.id.to_string()).collect();
    changes.push(Change::new("mergedFrom", Value::Array(Vec::new()), merged));
    save(tx, ctx, &mut contact, &changes)?;
    contacts_gone(tx, ctx.tenant, sources.len() as i64)?;
    Ok(contact)
}

/// The values of the first, and of the second where the first has none or an empty text.
fn filled(first: &str, second: &str) -> Result<String> {
    let read = |text| serde_json::from_str::<Map<String, Value>>(text).map_err(Error::internal);
    let (mut values, others) = (read(first)?, read(second)?);
    for (key, value) in others {
        if values.get(&key).is_none_or(|known| known.is_null() || known == "") {
            values.insert(key, value);
        }
    }
    Ok(Value::Object(values).to_string())
}
