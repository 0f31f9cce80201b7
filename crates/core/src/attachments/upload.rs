//! Uploads: a row, then the bytes, then what they turned out to be; and the end of those that nobody took.

use super::{Attachment, get, sql};
use crate::ids::{AttachmentId, TenantId};
use crate::{Error, Result};
use tieline_db::{Tx, params};

/// A file that is about to be received.
#[derive(Clone, Debug)]
pub struct CreateUpload {
    /// File name; see [`super::kind::file_name`].
    pub name: String,
    /// What its sender says it is; see [`super::kind::declared_type`].
    pub content_type: String,
}

/// What was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// Which upload.
    pub id: AttachmentId,
    /// Its name; in a form it comes with the bytes.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// What they are; see [`super::kind::content_type`].
    pub content_type: String,
}

/// Writes the row of an upload, before its bytes come.
pub fn reserve(tx: &mut Tx, tenant: TenantId, cmd: &CreateUpload) -> Result<AttachmentId> {
    let (id, now) = (tx.new_id(), tx.now());
    let (none, no_url, never) = (None::<uuid::Uuid>, None::<&str>, None::<i64>);
    let row = params![tenant.0, id, none, 0, &cmd.name, &cmd.content_type, no_url, never, now];
    tx.run_many(&sql::INSERT, &row)?;
    Ok(AttachmentId::from_uuid(id))
}

/// The bytes are in the store.
///
/// Errors: `not_found` when housekeeping removed the row meanwhile.
pub fn receive(tx: &mut Tx, tenant: TenantId, cmd: &Received) -> Result<Attachment> {
    let now = tx.now();
    let row = params![tenant.0, cmd.id.0, cmd.size, &cmd.content_type, &cmd.name, now];
    if tx.execute(sql::RECEIVE, &row)? == 0 {
        return Err(Error::not_found("attachment"));
    }
    get(tx, tenant, cmd.id)
}

/// Forgets an upload that came to nothing; one that a message has taken stays.
pub fn discard(tx: &mut Tx, tenant: TenantId, id: AttachmentId) -> Result<()> {
    tx.execute(sql::DISCARD, &params![tenant.0, id.0])?;
    Ok(())
}

/// Up to `limit` uploads from before `before` (microseconds UTC) that no message has taken, and none can take from now on.
/// Remove their bytes, then [`forget`] them: if that breaks off, the next call answers them again.
pub fn unclaimed(tx: &mut Tx, before: i64, limit: i64) -> Result<Vec<(TenantId, AttachmentId)>> {
    Ok(tx.all(sql::UNCLAIMED, &params![before, limit], |row| {
        Ok((TenantId(row.get(0)?), AttachmentId::from_uuid(row.get(1)?)))
    })?)
}

/// Removes the rows of uploads whose bytes are gone.
pub fn forget(tx: &mut Tx, uploads: &[(TenantId, AttachmentId)]) -> Result<()> {
    uploads.iter().try_for_each(|(tenant, id)| discard(tx, *tenant, *id))
}
