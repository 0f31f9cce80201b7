//! Notes on contacts: what we keep in mind about somebody.

use super::{locked, sql};
use crate::ctx::Ctx;
use crate::ids::{ContactId, NoteId, TenantId, UserId};
use crate::{Error, Result};
use tieline_db::{Read, Row, Tx, params};

/// A note on a contact.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// Its id.
    pub id: NoteId,
    /// Its number in the installation.
    pub number: i64,
    /// About whom.
    pub contact: ContactId,
    /// Who wrote it.
    pub user: Option<UserId>,
    /// What it says, 1 to [`NOTE_LIMIT`] characters.
    pub text: String,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

/// Longest note, characters.
pub const NOTE_LIMIT: usize = 20_000;
/// Most notes on a contact.
pub const NOTES_LIMIT: i64 = 1000;

fn note_row(row: &Row) -> tieline_db::Result<Note> {
    Ok(Note {
        id: NoteId::from_uuid(row.get(0)?),
        number: row.get(1)?,
        contact: ContactId::from_uuid(row.get(2)?),
        user: row.get::<Option<_>>(3)?.map(UserId::from_uuid),
        text: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

/// The notes on a contact, newest first.
pub fn notes(read: &mut Read, tenant: TenantId, contact: ContactId) -> Result<Vec<Note>> {
    Ok(read.all(sql::NOTES, &params![tenant.0, contact.0, NOTES_LIMIT], note_row)?)
}

/// The note on a contact with this number.
///
/// Errors: `not_found`.
pub fn note(read: &mut Read, tenant: TenantId, contact: ContactId, number: i64) -> Result<Note> {
    read.opt(sql::NOTE, &params![tenant.0, contact.0, number], note_row)?.ok_or_else(|| Error::not_found("note"))
}

fn check(text: &str) -> Result<()> {
    match (text.trim().is_empty(), text.chars().count() > NOTE_LIMIT) {
        (true, _) => Err(Error::field("/content", "required", "Content can't be blank")),
        (_, true) => Err(Error::field("/content", "too_long", "Content is too long (maximum is 20000 characters)")),
        _ => Ok(()),
    }
}

/// Writes a note.
///
/// Errors: `not_found`; `required` and `too_long` at `/content`; `note_limit_reached`.
pub fn add_note(tx: &mut Tx, ctx: &Ctx, contact: ContactId, user: Option<UserId>, text: &str) -> Result<Note> {
    check(text)?;
    let contact = locked(tx, ctx.tenant, contact)?.id;
    let many: Option<i64> = tx.opt(sql::COUNT_NOTES, &params![ctx.tenant.0, contact.0], |row| row.get(0))?;
    if many.unwrap_or(0) >= NOTES_LIMIT {
        return Err(Error::conflict("note_limit_reached", "This contact has 1000 notes already; delete one first."));
    }
    let (id, number, now) = (tx.new_id(), tx.take_number()?, tx.now());
    let row = params![ctx.tenant.0, contact.0, id, number, user.map(|user| user.0), text, now];
    tx.execute(sql::INSERT_NOTE, &row)?;
    note(tx, ctx.tenant, contact, number)
}

/// Writes a note anew.
///
/// Errors: `not_found`; `required` and `too_long` at `/content`.
pub fn edit_note(tx: &mut Tx, ctx: &Ctx, contact: ContactId, number: i64, text: &str) -> Result<Note> {
    check(text)?;
    let (before, now) = (note(tx, ctx.tenant, contact, number)?, tx.now());
    tx.execute(sql::UPDATE_NOTE, &params![ctx.tenant.0, contact.0, before.id.0, text, now])?;
    note(tx, ctx.tenant, contact, number)
}

/// Removes a note.
///
/// Errors: `not_found`.
pub fn remove_note(tx: &mut Tx, ctx: &Ctx, contact: ContactId, number: i64) -> Result<()> {
    let id = note(tx, ctx.tenant, contact, number)?.id;
    tx.execute(sql::DELETE_NOTE, &params![ctx.tenant.0, contact.0, id.0])?;
    Ok(())
}
