//! How a message gets its files: it takes uploads of its tenant, each once, or names addresses to fetch from.

use super::link::Links;
use super::{Attachment, FETCHES, KEPT_UNCLAIMED_US, State, get, sql};
use crate::ids::{AttachmentId, MessageId, TenantId};
use crate::{Error, Result};
use std::sync::Arc;
use tieline_db::{Param, Tx, params};

/// A file for a new message.
#[derive(Clone, Debug, PartialEq)]
pub enum NewAttachment {
    /// An upload of the tenant that no message has taken yet.
    Uploaded(AttachmentId),
    /// To be fetched from this address, which has passed the egress guard.
    At {
        /// Where.
        url: String,
        /// File name; see [`super::kind::file_name`].
        name: String,
        /// What its sender says it is; see [`super::kind::declared_type`].
        content_type: String,
    },
    /// Could not be had: it stands in its message with the reason.
    Lost {
        /// File name; see [`super::kind::file_name`].
        name: String,
        /// What it was.
        content_type: String,
        /// Why it is not here.
        error: String,
    },
}

/// The files for a new message.
#[derive(Clone, Debug, Default)]
pub struct Attach {
    /// At most [`super::FILES_LIMIT`], in the message's order.
    pub files: Vec<NewAttachment>,
    /// Makes the links that the message is shown with.
    pub links: Option<Arc<Links>>,
    /// Pointer to the list in the request, for errors.
    pub pointer: &'static str,
}

/// The id of a message that is about to be written, and its files.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The message's id.
    pub message: MessageId,
    /// Its files.
    pub files: Vec<Attachment>,
}

/// Gives the message that is about to be written an id and its files. The inner error is a refusal that leaves nothing
/// behind: a set verb answers it and goes on.
///
/// Refusals: `validation_error` for an upload that is not there (or older than a day); `attachment_taken`.
pub fn attach(tx: &mut Tx, tenant: TenantId, cmd: &Attach) -> Result<Result<Attached>> {
    let (message, now) = (MessageId::from_uuid(tx.new_id()), tx.now());
    let mut files = Vec::with_capacity(cmd.files.len());
    let mut rows: Vec<Param> = Vec::new();
    for (ordinal, file) in cmd.files.iter().enumerate() {
        match file {
            NewAttachment::Uploaded(id) => {
                let oldest = now - KEPT_UNCLAIMED_US;
                let row = params![tenant.0, id.0, message.0, ordinal as i64, now, oldest];
                if tx.execute(sql::CLAIM, &row)? == 0 {
                    tx.execute(sql::UNCLAIM, &params![tenant.0, message.0])?;
                    return Ok(Err(refusal(tx, tenant, *id, &format!("{}/{ordinal}/id", cmd.pointer))?));
                }
                files.push(get(tx, tenant, *id)?);
            }
            NewAttachment::At { url, name, content_type } => {
                let id = tx.new_id();
                rows.extend(params![tenant.0, id, message.0, ordinal as i64, name, content_type, url, now, now]);
                files.push(Attachment {
                    id: AttachmentId::from_uuid(id),
                    name: name.clone(),
                    content_type: content_type.clone(),
                    size: None,
                    state: State::Pending,
                    error: None,
                    url: None,
                });
            }
            NewAttachment::Lost { name, content_type, error } => {
                let id = tx.new_id();
                let row = params![tenant.0, id, message.0, ordinal as i64, name, content_type, error, now];
                tx.execute(sql::INSERT_LOST, &row)?;
                files.push(get(tx, tenant, AttachmentId::from_uuid(id))?);
            }
        }
    }
    if !rows.is_empty() {
        tx.run_many(&sql::INSERT, &rows)?;
        tx.signal(FETCHES);
    }
    if let Some(links) = &cmd.links {
        links.fill(tenant, &mut files, now);
    }
    Ok(Ok(Attached { message, files }))
}

fn refusal(tx: &mut Tx, tenant: TenantId, id: AttachmentId, pointer: &str) -> Result<Error> {
    let taken = tx.opt(sql::IS_TAKEN, &params![tenant.0, id.0], |row| row.get::<i64>(0))?.is_some();
    Ok(match taken {
        true => Error::conflict("attachment_taken", "Another message has this upload already; upload the file again.")
            .with("attachmentId", id),
        false => Error::field(pointer, "not_found", "There is no such upload; it is kept for a day. Upload it again."),
    })
}
