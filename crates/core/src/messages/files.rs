//! The files of a whole conversation.

use super::{Message, message, sql};
use crate::Result;
use crate::attachments::{self, Attachment};
use crate::conversations;
use crate::ids::{ConversationId, TenantId};
use std::collections::HashMap;
use tieline_db::{Param, Read, params};
use uuid::Uuid;

/// A file and its message.
#[derive(Clone, Debug)]
pub struct File {
    /// The message that has it.
    pub message: Message,
    /// Its place among that message's files.
    pub place: usize,
}

impl File {
    /// The file itself.
    pub fn attachment(&self) -> Option<&Attachment> {
        self.message.attachments.get(self.place)
    }
}

/// A page (from 1) of a conversation's files, those of its newest message first, and how many there are.
///
/// Errors: `validation_error` at `page` for one that lies too deep.
pub fn files(
    read: &mut Read,
    tenant: TenantId,
    conversation: ConversationId,
    (page, limit): (i64, i64),
) -> Result<(Vec<File>, i64)> {
    let of = params![tenant.0, conversation.0];
    let total = read.opt(sql::COUNT_FILES, &of, |row| row.get(0))?.unwrap_or(0);
    let offset = conversations::offset(page, limit)?;
    let places: Vec<(Uuid, Uuid)> =
        read.all(sql::FILES, &params![tenant.0, conversation.0, limit, offset], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut ids: Vec<Uuid> = places.iter().map(|(message, _)| *message).collect();
    ids.dedup();
    let rows: Vec<Param> = ids.iter().flat_map(|id| params![tenant.0, *id]).collect();
    let mut messages: HashMap<Uuid, Message> = HashMap::new();
    read.select_many(&sql::BY_ID, &rows, |row| {
        let found = message(row, 1)?;
        messages.insert(found.id.0, found);
        Ok(())
    })?;
    attachments::fill(read, messages.values_mut().map(|message| (tenant, message)))?;
    let file = |(message, id): (Uuid, Uuid)| {
        let message = messages.get(&message)?.clone();
        let place = message.attachments.iter().position(|file| file.id.0 == id)?;
        Some(File { message, place })
    };
    Ok((places.into_iter().filter_map(file).collect(), total))
}
