//! Finding contacts by number, by page and by looking at each.

use super::{Contact, contact, get, handle, match_key, owner, sql};
use crate::ids::TenantId;
use crate::page::Page;
use crate::{Error, Result};
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

/// How many contacts have an address.
pub fn count(read: &mut Read, tenant: TenantId) -> Result<i64> {
    Ok(read.opt(sql::COUNT, &params![tenant.0], |row| row.get(0))?.unwrap_or(0))
}

/// A page of the contacts that have an address, in an order by its name (`name`, `-created_at`, …; an unknown one is the
/// last changed first).
pub fn page(read: &mut Read, tenant: TenantId, order: &str, limit: i64, offset: i64) -> Result<Vec<Contact>> {
    let statement = match order {
        "name" => sql::BY_NAME,
        "-name" => sql::BY_NAME_DOWN,
        "email" => sql::BY_EMAIL,
        "-email" => sql::BY_EMAIL_DOWN,
        "phone_number" => sql::BY_PHONE,
        "-phone_number" => sql::BY_PHONE_DOWN,
        "created_at" => sql::BY_CREATION,
        "-created_at" => sql::BY_CREATION_DOWN,
        "last_activity_at" => sql::BY_CHANGE,
        _ => sql::BY_CHANGE_DOWN,
    };
    Ok(read.all(statement, &params![tenant.0, limit, offset], |row| contact(row, 0))?)
}

/// Rows that one [`seek`] looks at.
pub const SEEK_SCAN: usize = 20_000;
/// Rows read at once.
const BATCH: i64 = 1000;

/// Up to `limit` contacts that `keep` keeps, last changed first, among the [`SEEK_SCAN`] that changed last.
pub fn seek(read: &mut Read, tenant: TenantId, limit: usize, keep: impl Fn(&Contact) -> bool) -> Result<Vec<Contact>> {
    let (mut found, mut page) = (Vec::new(), Page::first(BATCH));
    for _ in 0..SEEK_SCAN as i64 / BATCH {
        let params = params![tenant.0, i64::MIN, page.before.0, page.before.1, BATCH];
        let batch = read.all(sql::LIST, &params, |row| contact(row, 0))?;
        let is_last = batch.len() < BATCH as usize;
        if let Some(row) = batch.last() {
            page.before = (row.updated_at, row.id.0);
        }
        found.extend(batch.into_iter().filter(|row| keep(row)));
        if is_last || found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}
