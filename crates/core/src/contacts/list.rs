//! The list of contacts. An address finds its owner through the index; a search walks the list, a bounded stretch at a time.

use super::{Contact, contact, get, handle, match_key, owner, sql};
use crate::Result;
use crate::ids::TenantId;
use crate::page::{Numbered, Page, Rows, Stretch};
use crate::tenants;
use tieline_db::{Read, params};

/// Rows that one search looks at; its page then ends, however few it found, and the cursor leads on from there.
pub const SEARCH_SCAN: usize = 10_000;
/// Rows read at once while searching.
const SEARCH_BATCH: i64 = 1000;

/// Which contacts are wanted; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Normalised; any address of the contact, also one that is not its primary.
    pub email: Option<String>,
    /// Normalised; found by its equivalence class.
    pub phone: Option<String>,
    /// Byte by byte.
    pub external_id: Option<String>,
    /// In name, primary email or primary phone, in upper or lower case.
    pub search: Option<String>,
    /// Changed at this time or later, microseconds UTC.
    pub updated_since: Option<i64>,
}

/// A page of contacts, last changed first.
#[derive(Debug)]
pub struct List {
    /// At most the page's limit.
    pub rows: Vec<Contact>,
    /// Where a search stopped looking, if more rows follow; a page may then have fewer rows than its limit.
    pub stopped_at: Option<(i64, uuid::Uuid)>,
}

/// The contacts that pass the filter.
pub fn list(read: &mut Read, tenant: TenantId, filter: &Filter, page: Page) -> Result<List> {
    let needle = filter.search.as_deref().map(str::to_lowercase);
    let since = filter.updated_since.unwrap_or(i64::MIN);
    let addresses =
        [(handle::EMAIL, &filter.email), (handle::PHONE, &filter.phone), (handle::EXTERNAL_ID, &filter.external_id)];
    let mut owners = Vec::new();
    for (kind, value) in addresses {
        if let Some(value) = value {
            owners.push(owner(read, tenant, kind, &match_key(kind, value))?);
        }
    }
    if let Some(first) = owners.first() {
        let mut rows = Vec::new();
        if let Some(id) = first.filter(|_| owners.iter().all(|owner| owner == first)) {
            let found = get(read, tenant, id)?;
            let here = (found.updated_at, found.id.0) < page.before && found.updated_at >= since;
            if here && needle.as_deref().is_none_or(|needle| matches(&found, needle)) {
                rows.push(found);
            }
        }
        return Ok(List { rows, stopped_at: None });
    }
    let Some(needle) = needle else {
        let params = params![tenant.0, since, page.before.0, page.before.1, page.limit];
        return Ok(List { rows: read.all(sql::LIST, &params, |row| contact(row, 0))?, stopped_at: None });
    };
    let mut rows = Vec::new();
    let mut before = page.before;
    for _ in 0..SEARCH_SCAN as i64 / SEARCH_BATCH {
        let params = params![tenant.0, since, before.0, before.1, SEARCH_BATCH];
        let batch = read.all(sql::LIST, &params, |row| contact(row, 0))?;
        let last = batch.len() < SEARCH_BATCH as usize;
        if let Some(row) = batch.last() {
            before = (row.updated_at, row.id.0);
        }
        let room = page.limit as usize - rows.len();
        rows.extend(batch.into_iter().filter(|row| matches(row, &needle)).take(room));
        if last || rows.len() == page.limit as usize {
            return Ok(List { rows, stopped_at: None });
        }
    }
    Ok(List { rows, stopped_at: Some(before) })
}

/// A page of the tenant's contacts, last changed first.
///
/// Errors: `validation_error` for a page that lies too deep.
pub fn numbered(read: &mut Read, tenant: TenantId, page: Numbered) -> Result<Rows<Contact>> {
    let total = tenants::counts(read, tenant)?.contacts;
    let Some(Stretch { from_oldest, skip, take }) = page.stretch(total)? else {
        return Ok(Rows { rows: Vec::new(), total });
    };
    let sql = if from_oldest { sql::NUMBERED_FROM_OLDEST } else { sql::NUMBERED };
    Ok(Rows { rows: read.all(sql, &params![tenant.0, take, skip], |row| contact(row, 0))?, total })
}

/// A page of the contacts that a search finds, and whether all contacts were looked at. Whoever has `phone` or `email`
/// (normalised) as an address comes first, however long ago they changed; then those among the last changed
/// [`SEARCH_SCAN`] whose name, primary email or primary phone holds `search`.
pub fn found(
    read: &mut Read,
    tenant: TenantId,
    search: &str,
    (email, phone): (Option<&str>, Option<&str>),
    page: Numbered,
) -> Result<(Rows<Contact>, bool)> {
    let mut rows: Vec<Contact> = Vec::new();
    for (kind, value) in [(handle::EMAIL, email), (handle::PHONE, phone)] {
        let Some(value) = value else { continue };
        if let Some(id) = owner(read, tenant, kind, &match_key(kind, value))?
            && rows.iter().all(|row| row.id != id)
        {
            rows.push(get(read, tenant, id)?);
        }
    }
    let filter = Filter { search: Some(search.to_owned()), ..Filter::default() };
    let all = list(read, tenant, &filter, Page::first(SEARCH_SCAN as i64 + 1))?;
    let owners: Vec<_> = rows.iter().map(|row| row.id).collect();
    rows.extend(all.rows.into_iter().filter(|row| !owners.contains(&row.id)));
    let total = rows.len() as i64;
    let skip = (page.page - 1).saturating_mul(page.limit).min(total);
    let rows = rows.into_iter().skip(skip as usize).take(page.limit as usize).collect();
    Ok((Rows { rows, total }, all.stopped_at.is_none()))
}

fn matches(contact: &Contact, needle: &str) -> bool {
    [Some(&contact.name), contact.email.as_ref(), contact.phone.as_ref()]
        .into_iter()
        .flatten()
        .any(|text| text.to_lowercase().contains(needle))
}
