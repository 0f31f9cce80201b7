//! Snippets: texts that people say again and again, found by a shortcut.

mod sql;

use crate::ids::{SnippetId, TenantId};
use crate::{Error, Result};
use tieline_db::{Read, Row, Tx, params};

/// A text with its shortcut.
#[derive(Clone, Debug, PartialEq)]
pub struct Snippet {
    /// Its id.
    pub id: SnippetId,
    /// Its number in the installation.
    pub number: i64,
    /// What people type for it, unique per tenant, 1 to [`SHORTCUT_LIMIT`] characters.
    pub shortcut: String,
    /// What it stands for, 1 to [`TEXT_LIMIT`] characters.
    pub text: String,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

/// Longest shortcut, characters.
pub const SHORTCUT_LIMIT: usize = 255;
/// Longest text, characters.
pub const TEXT_LIMIT: usize = 20_000;
/// Most snippets of a tenant.
pub const SNIPPETS_LIMIT: i64 = 2_000;

fn snippet(row: &Row) -> tieline_db::Result<Snippet> {
    Ok(Snippet {
        id: SnippetId::from_uuid(row.get(0)?),
        number: row.get(1)?,
        shortcut: row.get(2)?,
        text: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
    })
}

/// The snippet with this number.
///
/// Errors: `not_found`.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Snippet> {
    read.opt(sql::BY_NUMBER, &params![tenant.0, number], snippet)?.ok_or_else(|| Error::not_found("snippet"))
}

/// The snippet with this shortcut, if there.
pub fn by_shortcut(read: &mut Read, tenant: TenantId, shortcut: &str) -> Result<Option<Snippet>> {
    Ok(read.opt(sql::BY_SHORTCUT, &params![tenant.0, shortcut], snippet)?)
}

/// The tenant's snippets by shortcut; those that have `search` in shortcut or text, in upper or lower case, if it is given.
pub fn list(read: &mut Read, tenant: TenantId, search: Option<&str>) -> Result<Vec<Snippet>> {
    let mut found = read.all(sql::LIST, &params![tenant.0, SNIPPETS_LIMIT], snippet)?;
    if let Some(needle) = search.map(str::to_lowercase) {
        found.retain(|snippet| {
            [&snippet.shortcut, &snippet.text].into_iter().any(|text| text.to_lowercase().contains(&needle))
        });
    }
    Ok(found)
}

fn check(shortcut: &str, text: &str) -> Result<()> {
    for (pointer, value, limit) in [("/shortcut", shortcut, SHORTCUT_LIMIT), ("/text", text, TEXT_LIMIT)] {
        if value.trim().is_empty() {
            return Err(Error::field(pointer, "required", "This is missing."));
        }
        if value.chars().count() > limit {
            return Err(Error::field(pointer, "too_long", format!("This has at most {limit} characters.")));
        }
    }
    Ok(())
}

fn taken(shortcut: &str) -> Error {
    Error::conflict("snippet_exists", format!("There is a snippet {shortcut} already."))
}

/// Adds a snippet.
///
/// Errors: `required` and `too_long` at `/shortcut` and `/text`; `snippet_exists`; `snippet_limit_reached`.
pub fn create(tx: &mut Tx, tenant: TenantId, shortcut: &str, text: &str) -> Result<Snippet> {
    check(shortcut, text)?;
    tx.execute(sql::LOCK_TENANT, &params![tenant.0])?;
    if tx.opt(sql::COUNT, &params![tenant.0], |row| row.get::<i64>(0))?.unwrap_or(0) >= SNIPPETS_LIMIT {
        let detail = format!("There are {SNIPPETS_LIMIT} snippets already; delete one first.");
        return Err(Error::conflict("snippet_limit_reached", detail));
    }
    let (id, number, now) = (tx.new_id(), tx.take_number()?, tx.now());
    if tx.execute(sql::INSERT, &params![tenant.0, id, number, shortcut, text, now])? == 0 {
        return Err(taken(shortcut));
    }
    by_number(tx, tenant, number)
}

/// Changes a snippet; what is none stays.
///
/// Errors: `not_found`; those of [`create`].
pub fn update(
    tx: &mut Tx,
    tenant: TenantId,
    number: i64,
    shortcut: Option<&str>,
    text: Option<&str>,
) -> Result<Snippet> {
    tx.execute(sql::LOCK_TENANT, &params![tenant.0])?;
    let before = by_number(tx, tenant, number)?;
    let (shortcut, text) = (shortcut.unwrap_or(&before.shortcut), text.unwrap_or(&before.text));
    check(shortcut, text)?;
    let owner = by_shortcut(tx, tenant, shortcut)?;
    if owner.is_some_and(|owner| owner.id != before.id) {
        return Err(taken(shortcut));
    }
    let now = tx.now();
    tx.execute(sql::UPDATE, &params![tenant.0, before.id.0, shortcut, text, now])?;
    by_number(tx, tenant, number)
}

/// Deletes a snippet.
///
/// Errors: `not_found`.
pub fn delete(tx: &mut Tx, tenant: TenantId, number: i64) -> Result<()> {
    let id = by_number(tx, tenant, number)?.id;
    tx.execute(sql::DELETE, &params![tenant.0, id.0])?;
    Ok(())
}
