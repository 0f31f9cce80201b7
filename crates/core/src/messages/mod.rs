//! Messages: what was said, by whom, and how far it got.

pub mod direction;
pub mod html;
pub(crate) mod sql;
pub mod status;

mod edit;
mod files;
mod import;
mod report;
mod retry;
mod search;

pub use edit::{Edit, edit};
pub use files::{File, files};
pub use import::{Import, import};
pub use report::{Report, Reported, report, taken_over};
pub use retry::retry;
pub use search::{SEARCH_SCAN, seek};

use crate::attachments::{self, Attach, Attached, Attachment};
use crate::contact_inboxes::ContactInbox;
use crate::conversations::{self, Conversation};
use crate::ctx::Ctx;
use crate::ids::{BotId, ConversationId, MessageId, TenantId, UserId};
use crate::page::{Numbered, Rows, Stretch};
use crate::{Error, Result};
use direction::{AuthorType, Direction};
use status::DeliveryStatus;
use std::collections::HashMap;
use tieline_db::{Param, Read, Row, Tx, params};
use uuid::Uuid;

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its number in the installation; grows within a conversation, whose messages are in this order.
    pub number: i64,
    /// Where it was said.
    pub conversation: ConversationId,
    /// Inbound, outbound, note or activity.
    pub direction: Direction,
    /// Kind of author.
    pub author_type: AuthorType,
    /// The author's raw id: a contact's, a user's or a bot's, by `author_type`.
    pub author_id: Option<Uuid>,
    /// The author's name then.
    pub author_name: Option<String>,
    /// Plain text.
    pub text: String,
    /// Sanitised HTML.
    pub html: Option<String>,
    /// What it is beside plain text.
    pub content: Option<Content>,
    /// The integrator's id, unique in the conversation.
    pub external_id: Option<String>,
    /// How far an outbound message got, and why it failed if it did.
    pub delivery_status: Option<DeliveryStatus>,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// The sender's time, for display. Microseconds UTC.
    pub sent_at: i64,
    /// When we took it.
    pub created_at: i64,
    /// When it last changed.
    pub updated_at: i64,
}

/// What a message is beside plain text: a form, a choice, cards, in the words of its sender.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Its kind; [`TEXT`] for plain text.
    pub kind: String,
    /// Whatever belongs to it, a JSON object as text.
    pub attributes: String,
}

/// The kind of content of a message that is only its text.
pub const TEXT: &str = "text";

/// Who wrote a new message, as far as its sender says.
#[derive(Clone, Debug, Default)]
pub struct Author {
    /// Kind of author; the customer or one of us, by direction, when none.
    pub kind: Option<AuthorType>,
    /// The user who wrote it.
    pub user: Option<UserId>,
    /// The bot that wrote it, looked up by the edge.
    pub bot: Option<BotId>,
    /// The name to show; the user's, the contact's or the actor's when none.
    pub name: Option<String>,
}

/// A message on its way into a conversation.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Inbound: the customer wrote it. Outbound: we did. Or a note.
    pub direction: Direction,
    /// Who wrote it.
    pub author: Author,
    /// Plain text.
    pub text: String,
    /// Sanitised HTML.
    pub html: Option<String>,
    /// What it is beside plain text.
    pub content: Option<Content>,
    /// The integrator's id, unique in the conversation.
    pub external_id: Option<String>,
    /// When it was sent; for display only. Microseconds UTC.
    pub sent_at: Option<i64>,
    /// Files.
    pub attachments: Attach,
}

impl NewMessage {
    /// The message in `conversation`, not written yet. `user_name` is the name of the user who wrote it, `attached` its id
    /// and files, `number` was taken while the conversation was held.
    pub(crate) fn of(
        &self,
        tx: &mut Tx,
        ctx: &Ctx,
        conversation: &Conversation,
        user_name: Option<&String>,
        attached: Attached,
        number: i64,
    ) -> Message {
        let now = tx.now();
        let author_type = self.author.kind.unwrap_or(match self.direction {
            Direction::Inbound => AuthorType::Contact,
            Direction::Activity => AuthorType::System,
            Direction::Outbound | Direction::Note => AuthorType::Agent,
        });
        let (author_id, name) = match author_type {
            AuthorType::Contact => (Some(conversation.contact.id.0), Some(conversation.contact.name.as_str())),
            AuthorType::Agent if user_name.is_some() => {
                (self.author.user.map(|id| id.0), user_name.map(String::as_str))
            }
            AuthorType::System => (None, None),
            AuthorType::Ai | AuthorType::Automation if self.author.bot.is_some() => {
                (self.author.bot.map(|id| id.0), ctx.actor.name.as_deref())
            }
            _ => (None, ctx.actor.name.as_deref()),
        };
        Message {
            id: attached.message,
            number,
            conversation: conversation.id,
            direction: self.direction,
            author_type,
            author_id,
            author_name: self.author.name.as_deref().or(name).map(str::to_owned),
            text: self.text.clone(),
            html: self.html.clone(),
            content: self.content.clone(),
            external_id: self.external_id.clone(),
            delivery_status: (self.direction == Direction::Outbound).then_some(DeliveryStatus::Queued),
            attachments: attached.files,
            sent_at: self.sent_at.unwrap_or(now),
            created_at: now,
            updated_at: now,
        }
    }
}

/// The message with this id.
///
/// Errors: `not_found`, also for another tenant's.
pub fn get(read: &mut Read, tenant: TenantId, id: MessageId) -> Result<Message> {
    let found = read.opt(sql::GET, &params![tenant.0, id.0], |row| message(row, 0))?;
    let mut found = found.ok_or_else(|| Error::not_found("message"))?;
    attachments::fill(read, [(tenant, &mut found)])?;
    Ok(found)
}

/// The message of a conversation with this number.
///
/// Errors: `not_found`.
pub fn by_number(read: &mut Read, tenant: TenantId, conversation: ConversationId, number: i64) -> Result<Message> {
    let found = read.opt(sql::BY_NUMBER, &params![tenant.0, conversation.0, number], |row| message(row, 0))?;
    let mut found = found.ok_or_else(|| Error::not_found("message"))?;
    attachments::fill(read, [(tenant, &mut found)])?;
    Ok(found)
}

/// The message of a conversation with this external id, if there is one.
pub fn by_external_id(
    read: &mut Read,
    tenant: TenantId,
    conversation: ConversationId,
    external_id: &str,
) -> Result<Option<Message>> {
    let mut found = None;
    read.select_many(&sql::BY_EXTERNAL_ID, &params![tenant.0, conversation.0, external_id], |row| {
        found = Some(message(row, 1)?);
        Ok(())
    })?;
    Ok(found)
}

/// The message with this external id in the conversations of an address, if there is one.
pub fn at_address(read: &mut Read, tenant: TenantId, at: &ContactInbox, external_id: &str) -> Result<Option<Message>> {
    let params = params![tenant.0, at.inbox.0, &at.source_id, external_id, ADDRESS_SCAN];
    let mut found = read.opt(sql::AT_ADDRESS, &params, |row| message(row, 0))?;
    attachments::fill(read, found.iter_mut().map(|message| (tenant, message)))?;
    Ok(found)
}

/// Newest conversations of an address that are looked at for a message that was sent again.
const ADDRESS_SCAN: i64 = 100;

/// When the message was written that has `many - 1` newer ones in its conversation; none where there are fewer.
pub fn nth_newest(read: &mut Read, tenant: TenantId, conversation: ConversationId, many: i64) -> Result<Option<i64>> {
    Ok(read.opt(sql::NTH_NEWEST, &params![tenant.0, conversation.0, many - 1], |row| row.get(0))?)
}

/// The order of a conversation's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they came.
    #[default]
    OldestFirst,
    /// The newest first.
    NewestFirst,
}

/// Up to `limit` messages of a conversation after the one with number `after`, in this order.
pub fn list(
    read: &mut Read,
    tenant: TenantId,
    conversation: ConversationId,
    order: Order,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<Message>> {
    let (sql, start) = match order {
        Order::OldestFirst => (sql::OLDEST_FIRST, i64::MIN),
        Order::NewestFirst => (sql::NEWEST_FIRST, i64::MAX),
    };
    let params = params![tenant.0, conversation.0, after.unwrap_or(start), limit];
    let mut messages = read.all(sql, &params, |row| message(row, 0))?;
    attachments::fill(read, messages.iter_mut().map(|message| (tenant, message)))?;
    Ok(messages)
}

/// A page of what was said in a conversation, without notes and lines of the system, newest first.
///
/// Errors: `not_found`; `validation_error` for a page that lies too deep.
pub fn said(read: &mut Read, tenant: TenantId, conversation: ConversationId, page: Numbered) -> Result<Rows<Message>> {
    let total = conversations::get(read, tenant, conversation)?.message_count;
    let mut rows = Vec::new();
    if let Some(Stretch { from_oldest, skip, take }) = page.stretch(total)? {
        let sql = if from_oldest { sql::SAID_FROM_OLDEST } else { sql::SAID };
        rows = read.all(sql, &params![tenant.0, conversation.0, take, skip], |row| message(row, 0))?;
        attachments::fill(read, rows.iter_mut().map(|message| (tenant, message)))?;
    }
    Ok(Rows { rows, total })
}

/// The newest message of each of these conversations that was said, if any.
pub fn last_said(
    read: &mut Read,
    tenant: TenantId,
    conversations: &[ConversationId],
) -> Result<HashMap<ConversationId, Message>> {
    let params: Vec<Param> = conversations.iter().flat_map(|id| params![tenant.0, id.0]).collect();
    let mut found = HashMap::with_capacity(conversations.len());
    read.select_many(&sql::LAST_SAID, &params, |row| {
        let message = message(row, 1)?;
        found.insert(message.conversation, message);
        Ok(())
    })?;
    attachments::fill(read, found.values_mut().map(|message| (tenant, message)))?;
    Ok(found)
}

/// Notes that something of a message has changed.
pub(crate) fn touch(tx: &mut Tx, tenant: TenantId, id: MessageId) -> Result<()> {
    let now = tx.now();
    tx.execute(sql::TOUCH, &params![tenant.0, id.0, now])?;
    Ok(())
}

/// Reads a message from [`sql::columns`] that start at `at`; its attachments come separately.
pub(crate) fn message(row: &Row, at: usize) -> tieline_db::Result<Message> {
    let stored = |what: &str| tieline_db::Error::Sql(format!("unknown {what} in messages"));
    Ok(Message {
        id: MessageId::from_uuid(row.get(at)?),
        number: row.get(at + 1)?,
        conversation: ConversationId::from_uuid(row.get(at + 2)?),
        direction: Direction::from_text(&row.get::<String>(at + 3)?).ok_or_else(|| stored("direction"))?,
        author_type: AuthorType::from_text(&row.get::<String>(at + 4)?).ok_or_else(|| stored("author_type"))?,
        author_id: row.get(at + 5)?,
        author_name: row.get(at + 6)?,
        text: row.get(at + 7)?,
        html: row.get(at + 8)?,
        external_id: row.get(at + 9)?,
        delivery_status: match row.get::<Option<String>>(at + 10)? {
            Some(text) => {
                let reason: Option<String> = row.get(at + 11)?;
                let status = DeliveryStatus::from_text(&text, reason.as_deref());
                Some(status.ok_or_else(|| stored("delivery_status"))?)
            }
            None => None,
        },
        attachments: Vec::new(),
        sent_at: row.get(at + 12)?,
        created_at: row.get(at + 13)?,
        updated_at: row.get(at + 14)?,
        content: match (row.get::<Option<String>>(at + 15)?, row.get::<Option<String>>(at + 16)?) {
            (None, None) => None,
            (kind, attributes) => Some(Content {
                kind: kind.unwrap_or_else(|| TEXT.to_owned()),
                attributes: attributes.unwrap_or_else(|| "{}".to_owned()),
            }),
        },
    })
}

/// Writes messages as they are; verbs decide what they mean.
pub(crate) fn insert_many(tx: &mut Tx, messages: &[(i64, &Message)]) -> Result<()> {
    let mut rows: Vec<Param> = Vec::with_capacity(messages.len() * 18);
    for (tenant, message) in messages {
        rows.extend(params![
            *tenant,
            message.id.0,
            message.number,
            message.conversation.0,
            message.direction.as_str(),
            message.author_type.as_str(),
            message.author_id,
            &message.author_name,
            &message.text,
            &message.html,
            &message.external_id,
            message.delivery_status.as_ref().map(DeliveryStatus::as_str),
            message.delivery_status.as_ref().and_then(DeliveryStatus::reason),
            message.sent_at,
            message.created_at,
            message.updated_at,
            message.content.as_ref().map(|content| content.kind.as_str()),
            message.content.as_ref().map(|content| content.attributes.as_str())
        ]);
    }
    tx.run_many(&sql::INSERT, &rows)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tieline_db::{Config, Db};

    /// None of these may cost more in a tenant with more messages.
    #[tokio::test]
    async fn messages_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(Config::sqlite(folder.path().join("t.db"), crate::MIGRATIONS)).unwrap();
        let of_conversation = "i USING COVERING INDEX messages_number (tenant_id=? AND conversation_id=?";
        let by_id = "m USING PRIMARY KEY (tenant_id=? AND id=?)";
        for (statement, count, walks) in [
            (sql::GET, 2, vec![by_id]),
            (sql::OLDEST_FIRST, 4, vec![of_conversation, by_id]),
            (sql::NEWEST_FIRST, 4, vec![of_conversation, by_id]),
            (sql::SAID, 4, vec![of_conversation, by_id]),
            (sql::SAID_FROM_OLDEST, 4, vec![of_conversation, by_id]),
            (sql::LAST_SAID.sqlite(), 3, vec![of_conversation, by_id]),
            (sql::LAST_DECISIVE, 2, vec![of_conversation, by_id]),
            (sql::MOVE, 3, vec![of_conversation]),
            (
                sql::AT_ADDRESS,
                5,
                vec![
                    "conversations_source (tenant_id=? AND inbox_id=? AND source_id=?)",
                    "messages_external (tenant_id=? AND conversation_id=? AND external_id=?)",
                ],
            ),
            (
                sql::BY_EXTERNAL_ID.sqlite(),
                4,
                vec!["messages_external (tenant_id=? AND conversation_id=? AND external_id=?)"],
            ),
            (
                sql::BY_EXTERNAL_ID_AFTER.sqlite(),
                4,
                vec![
                    "conversations_previous (tenant_id=? AND previous_id=?)",
                    "messages_external (tenant_id=? AND conversation_id=? AND external_id=?)",
                ],
            ),
        ] {
            let plan: Result<Vec<String>> = db
                .read(move |read| {
                    let params = vec![Param::Text("x"); count];
                    Ok(read.all(&format!("explain query plan {statement}"), &params, |row| row.get::<String>(3))?)
                })
                .await;
            let plan = plan.unwrap();
            for walk in walks {
                assert!(plan.iter().any(|line| line.contains(walk)), "{statement}\n{plan:#?}");
            }
            let full = |line: &String| line.starts_with("SCAN");
            assert!(!plan.iter().any(full), "{statement}\n{plan:#?}");
        }
    }
}
