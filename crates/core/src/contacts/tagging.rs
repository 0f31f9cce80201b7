//! Tags on contacts: the tenant's vocabulary, the same as on conversations.

use super::{Contact, locked, sql};
use crate::conversations::TAGS_LIMIT;
use crate::ctx::Ctx;
use crate::events::Change;
use crate::ids::{ContactId, TenantId};
use crate::{Error, Result, tags};
use std::collections::HashMap;
use tieline_db::{Param, Read, Tx, params};

/// The slugs that each of these contacts carries, sorted; nothing for who carries none.
pub fn tags_of(read: &mut Read, tenant: TenantId, contacts: &[ContactId]) -> Result<HashMap<ContactId, Vec<String>>> {
    let params: Vec<Param> = contacts.iter().flat_map(|id| params![tenant.0, id.0]).collect();
    let mut found: HashMap<ContactId, Vec<String>> = HashMap::new();
    read.select_many(&sql::TAGS, &params, |row| {
        let contact = contacts[row.get::<i64>(0)? as usize];
        found.entry(contact).or_default().push(row.get(1)?);
        Ok(())
    })?;
    found.values_mut().for_each(|slugs| slugs.sort());
    Ok(found)
}

/// Makes these all tags of a contact; a tag is made for a label that is new to the tenant. Answers the slugs, sorted.
///
/// Errors: `not_found`; `invalid_slug` for a label that no slug can be made from; `tag_limit_reached`.
pub fn set_tags(tx: &mut Tx, ctx: &Ctx, id: ContactId, labels: &[String]) -> Result<Vec<String>> {
    let contact: Contact = locked(tx, ctx.tenant, id)?;
    let before = tags_of(tx, ctx.tenant, &[contact.id])?.remove(&contact.id).unwrap_or_default();
    let wanted = tags::of_labels(tx, ctx, labels)?;
    if wanted.len() > TAGS_LIMIT {
        return Err(Error::conflict("tag_limit_reached", "A contact carries at most 50 tags."));
    }
    let after: Vec<String> = wanted.iter().map(|(_, slug)| slug.clone()).collect();
    if after == before {
        return Ok(after);
    }
    let now = tx.now();
    tx.execute(sql::CLEAR_TAGS, &params![ctx.tenant.0, contact.id.0])?;
    let rows: Vec<Param> = wanted.iter().flat_map(|(tag, _)| params![ctx.tenant.0, contact.id.0, tag.0, now]).collect();
    tx.run_many(&sql::INSERT_TAG, &rows)?;
    let mut changed = contact;
    super::write::save(tx, ctx, &mut changed, &[Change::new("tags", &before, &after)])?;
    Ok(after)
}
