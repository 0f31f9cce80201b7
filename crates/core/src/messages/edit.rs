//! Changing what a message says, and taking it back.

use super::{Content, Message, TEXT, get, sql};
use crate::Result;
use crate::conversations::{lock, next_event, save};
use crate::ctx::Ctx;
use crate::events::{Change, Event, emit};
use crate::ids::MessageId;
use serde_json::{Map, Value};
use tieline_db::{Tx, params};

/// What to do with a message.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Another text; the content attribute `edited` says so.
    Text(String),
    /// Members set among its content attributes.
    Attributes(Map<String, Value>),
    /// Taken back: its text, attributes and files go, the content attribute `deleted` says so.
    Delete,
}

/// What a message says that was taken back.
const DELETED: &str = "This message was deleted";

/// Edits a message; it keeps its place and everybody hears of it.
///
/// Errors: `not_found`.
pub fn edit(tx: &mut Tx, ctx: &Ctx, id: MessageId, cmd: &Edit) -> Result<Message> {
    let found = get(tx, ctx.tenant, id)?;
    let mut conversation = lock(tx, ctx.tenant, found.conversation)?;
    let mut message = get(tx, ctx.tenant, id)?;
    let before = message.clone();
    let flag = |name: &str| Map::from_iter([(name.to_owned(), Value::Bool(true))]);
    let (kind, stored) = match &message.content {
        Some(content) => (content.kind.clone(), serde_json::from_str(&content.attributes).unwrap_or_default()),
        None => (TEXT.to_owned(), Map::new()),
    };
    let (kind, attributes) = match cmd {
        Edit::Text(text) => {
            message.text.clone_from(text);
            (kind, stored.into_iter().chain(flag("edited")).collect())
        }
        Edit::Attributes(set) => (kind, stored.into_iter().chain(set.clone()).collect()),
        Edit::Delete => {
            message.text = DELETED.to_owned();
            message.attachments.clear();
            tx.execute(sql::LET_GO_OF_FILES, &params![ctx.tenant.0, id.0])?;
            (TEXT.to_owned(), flag("deleted"))
        }
    };
    message.html = None;
    message.content = Some(Content { kind, attributes: Value::Object(attributes).to_string() });
    if message.text == before.text && message.content == before.content {
        return Ok(before);
    }
    message.updated_at = tx.now();
    let content = message.content.as_ref();
    let row = params![
        ctx.tenant.0,
        id.0,
        &message.text,
        content.map(|content| content.kind.as_str()),
        content.map(|content| content.attributes.as_str()),
        message.updated_at
    ];
    tx.execute(sql::REWRITE, &row)?;
    let attributes = |message: &Message| {
        let text = message.content.as_ref().map_or("{}", |content| content.attributes.as_str());
        serde_json::from_str::<Value>(text).unwrap_or_default()
    };
    let mut changes = vec![Change::new("contentAttributes", attributes(&before), attributes(&message))];
    if before.text != message.text {
        changes.insert(0, Change::new("text", &before.text, &message.text));
    }
    let sequence = next_event(&mut conversation);
    save(tx, ctx.tenant, &conversation)?;
    let event = Event::MessageUpdated { message: &message, conversation: &conversation, changes: &changes };
    emit(tx, ctx, &event, sequence)?;
    Ok(message)
}
