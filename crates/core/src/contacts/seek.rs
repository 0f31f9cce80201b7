//! Finding contacts by number, by page and by looking at each.

use super::{Contact, contact, get, handle, match_key, owner, sql};
use crate::ids::TenantId;
use crate::page::Page;
use crate::{Error, Result, conversations, tenants};
use tieline_db::{Read, params};

/// The contact with this number.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Contact> {
    let found = read.opt(sql::BY_NUMBER, &params![tenant.0, number], |row| contact(row, 0))?;
    found.ok_or_else(|| Error::not_found("contact"))
}

/// Whoever owns this address: a kind of [`handle`] and its normalised value.
pub fn by_address(read: &mut Read, tenant: TenantId, kind: &'static str, value: &str) -> Result<Option<Contact>> {
    debug_assert!([handle::EMAIL, handle::PHONE, handle::EXTERNAL_ID].contains(&kind));
    let owner = owner(read, tenant, kind, &match_key(kind, value))?;
    owner.map(|id| get(read, tenant, id)).transpose()
}

/// How many contacts have an address, and carry any of these tags if there are any.
pub fn count(read: &mut Read, tenant: TenantId, tags: &[String]) -> Result<i64> {
    if tags.is_empty() {
        let nameless: i64 = read.opt(sql::COUNT_NAMELESS, &params![tenant.0], |row| row.get(0))?.unwrap_or(0);
        return Ok(tenants::counts(read, tenant)?.contacts - nameless);
    }
    Ok(read.opt(sql::COUNT_TAGGED, &params![tenant.0, &spaced(tags)], |row| row.get(0))?.unwrap_or(0))
}

/// Tags, each between spaces; nothing for none.
fn spaced(tags: &[String]) -> String {
    let words: String = tags.iter().map(|tag| format!("{tag} ")).collect();
    if words.is_empty() { words } else { format!(" {words}") }
}

/// The orders of [`page`] and their statements; with `-` in front the other way round. What has no value comes last.
pub const ORDERS: [(&str, &str, &str); 5] = [
    ("name", sql::BY_NAME, sql::BY_NAME_DOWN),
    ("email", sql::BY_EMAIL, sql::BY_EMAIL_DOWN),
    ("phone_number", sql::BY_PHONE, sql::BY_PHONE_DOWN),
    ("created_at", sql::BY_CREATION, sql::BY_CREATION_DOWN),
    ("last_activity_at", sql::BY_CHANGE, sql::BY_CHANGE_DOWN),
];

/// A page (from 1) of the contacts that have an address, of those that carry any of `tags` if there are any, in one of
/// [`ORDERS`]; an unknown one is the last changed first.
///
/// Errors: `validation_error` at `page` for one that lies too deep.
pub fn page(
    read: &mut Read,
    tenant: TenantId,
    order: &str,
    tags: &[String],
    (page, limit): (i64, i64),
) -> Result<Vec<Contact>> {
    let offset = conversations::offset(page, limit)?;
    let named = ORDERS.iter().find(|(name, ..)| *name == order.trim_start_matches('-'));
    let statement = match named {
        Some((_, up, _)) if !order.starts_with('-') => up,
        Some((.., down)) => down,
        None => sql::BY_CHANGE_DOWN,
    };
    Ok(read.all(statement, &params![tenant.0, &spaced(tags), limit, offset], |row| contact(row, 0))?)
}

/// Rows that one [`seek`] looks at.
pub const SEEK_SCAN: usize = 20_000;
/// Rows read at once.
const BATCH: i64 = 1000;

/// Up to `limit` contacts of those that `keep` leaves of each batch, last changed first, among the [`SEEK_SCAN`] that changed
/// last; and whether all were looked at.
pub fn seek(
    read: &mut Read,
    tenant: TenantId,
    limit: usize,
    mut keep: impl FnMut(&mut Read, Vec<Contact>) -> Result<Vec<Contact>>,
) -> Result<(Vec<Contact>, bool)> {
    let (mut found, mut page) = (Vec::new(), Page::first(BATCH));
    for _ in 0..SEEK_SCAN as i64 / BATCH {
        let params = params![tenant.0, i64::MIN, page.before.0, page.before.1, BATCH];
        let batch = read.all(sql::LIST, &params, |row| contact(row, 0))?;
        let is_last = batch.len() < BATCH as usize;
        if let Some(row) = batch.last() {
            page.before = (row.updated_at, row.id.0);
        }
        found.extend(keep(read, batch)?);
        if is_last || found.len() >= limit {
            let is_all = is_last && found.len() <= limit;
            found.truncate(limit);
            return Ok((found, is_all));
        }
    }
    Ok((found, false))
}
