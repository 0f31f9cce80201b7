//! Attachments: files of messages, uploaded beforehand or fetched later when they come by URL.
//!
//! A row is written before its bytes are: whatever breaks off in between, the row leads housekeeping to what is left in
//! the store. An upload belongs to the tenant until a message takes it, once; what no message takes within
//! [`KEPT_UNCLAIMED_US`] is removed. Bytes are shown under the type that they prove ([`kind`]), through links that are
//! signed and expire ([`link`]).

mod attach;
mod fetch;
pub mod kind;
pub mod link;
mod sql;
mod upload;

pub use attach::{Attach, Attached, NewAttachment, attach};
pub use fetch::{Due, Fetched, MAX_ATTEMPTS, fetched, next_due, take_due, wait_after};
pub use upload::{CreateUpload, Received, discard, forget, receive, reserve, unclaimed};

use crate::ids::{AttachmentId, TenantId};
use crate::messages::Message;
use crate::{Error, Result};
use tieline_db::{Param, Read, Row, Topic, params};

/// Announced by every commit that asks for a file to be fetched.
pub const FETCHES: Topic = Topic(3);
/// Most files of a message.
pub const FILES_LIMIT: usize = 20;
/// How long an upload waits for a message to take it, microseconds.
pub const KEPT_UNCLAIMED_US: i64 = 24 * 3600 * 1_000_000;

/// Where a file's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not there yet: named by URL and not fetched, or an upload that has not ended.
    Pending,
    /// In the store.
    Stored,
    /// Could not be fetched.
    Failed,
}

impl State {
    /// Its word, in rows and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Stored => "stored",
            State::Failed => "failed",
        }
    }
    /// The state of this name.
    pub fn from_text(text: &str) -> Option<State> {
        [State::Pending, State::Stored, State::Failed].into_iter().find(|state| state.as_str() == text)
    }
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    /// Its id.
    pub id: AttachmentId,
    /// File name.
    pub name: String,
    /// Media type.
    pub content_type: String,
    /// Bytes, once stored.
    pub size: Option<i64>,
    /// Where its bytes are.
    pub state: State,
    /// Why it could not be fetched.
    pub error: Option<String>,
    /// A link to its bytes, put here by whoever shows it ([`link::Links::fill`]); not kept.
    pub url: Option<String>,
}

/// Reads an attachment from [`sql::columns`] that start at `at`.
fn attachment(row: &Row, at: usize) -> tieline_db::Result<Attachment> {
    let state: String = row.get(at + 4)?;
    Ok(Attachment {
        id: AttachmentId::from_uuid(row.get(at)?),
        name: row.get(at + 1)?,
        content_type: row.get(at + 2)?,
        size: row.get(at + 3)?,
        state: State::from_text(&state).ok_or_else(|| tieline_db::Error::Sql("unknown state in attachments".into()))?,
        error: row.get(at + 5)?,
        url: None,
    })
}

/// The attachment with this id.
///
/// Errors: `not_found`, also for another tenant's.
pub fn get(read: &mut Read, tenant: TenantId, id: AttachmentId) -> Result<Attachment> {
    let found = read.opt(sql::GET, &params![tenant.0, id.0], |row| attachment(row, 0))?;
    found.ok_or_else(|| Error::not_found("attachment"))
}

/// Gives messages their attachments, all in one query.
pub(crate) fn fill<'m>(read: &mut Read, messages: impl IntoIterator<Item = (TenantId, &'m mut Message)>) -> Result<()> {
    let mut params: Vec<Param> = Vec::new();
    let take = |(tenant, message): (TenantId, &'m mut Message)| {
        params.extend(params![tenant.0, message.id.0]);
        message
    };
    let mut messages: Vec<&mut Message> = messages.into_iter().map(take).collect();
    let mut found: Vec<(usize, i64, Attachment)> = Vec::new();
    read.select_many(&sql::OF_MESSAGES, &params, |row| {
        found.push((row.get::<i64>(0)? as usize, row.get(1)?, attachment(row, 2)?));
        Ok(())
    })?;
    found.sort_by_key(|(message, ordinal, file)| (*message, *ordinal, file.id));
    for (message, _, file) in found {
        messages[message].attachments.push(file);
    }
    Ok(())
}
