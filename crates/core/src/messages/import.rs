//! Messages of another installation, into a conversation that was taken over.

use super::direction::{AuthorType, Direction};
use super::status::DeliveryStatus;
use super::{Content, Message, insert_many, sql};
use crate::attachments::{self, Attach};
use crate::conversations::status::{Moment, Status};
use crate::conversations::{lock, save};
use crate::ctx::Ctx;
use crate::ids::{ConversationId, MessageId};
use crate::imports::{Noun, Origin, find, mark, remember};
use crate::{Error, Result, surveys};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use tieline_db::{Param, Tx, params};
use uuid::Uuid;

/// A message of theirs.
#[derive(Clone, Debug)]
pub struct Import {
    /// Its number there.
    pub theirs: i64,
    /// Inbound, outbound, note or activity.
    pub direction: Direction,
    /// Kind of author.
    pub author_type: AuthorType,
    /// The user who wrote it, if it is one here.
    pub author: Option<Uuid>,
    /// The author's name.
    pub author_name: Option<String>,
    /// Plain text.
    pub text: String,
    /// Its kind of content; see [`super::TEXT`].
    pub kind: String,
    /// What belongs to it.
    pub attributes: Map<String, Value>,
    /// The integrator's id; one that the conversation has already is left out.
    pub external_id: Option<String>,
    /// How far an outbound one got.
    pub delivery_status: Option<DeliveryStatus>,
    /// When it was said, microseconds UTC.
    pub at: i64,
    /// Files.
    pub attachments: Attach,
}

/// Takes a page of messages over, in their order there; how many are new here. The conversation then knows the last of them,
/// whose customer wrote when, and who owes whom an answer; its status stays.
///
/// Errors: `not_found`.
pub fn import(
    tx: &mut Tx,
    ctx: &Ctx,
    origin: &Origin,
    conversation: (i64, ConversationId),
    page: &[Import],
) -> Result<usize> {
    let (their_conversation, id) = conversation;
    let mut v = lock(tx, ctx.tenant, id)?;
    let numbers: Vec<i64> = page.iter().map(|message| message.theirs).collect();
    let known = find(tx, origin, Noun::Message, &numbers)?;
    let new: Vec<&Import> = page.iter().filter(|message| !known.contains_key(&message.theirs)).collect();
    let mut external_ids = external_ids(tx, ctx, id, &new)?;
    let mut free = tx.take_numbers(new.len())?;
    let mut ours: HashMap<i64, i64> = HashMap::with_capacity(new.len());
    let mut written: Vec<Message> = Vec::with_capacity(new.len());
    for cmd in &new {
        let attached = attachments::attach(tx, ctx.tenant, &cmd.attachments)??;
        let number = free.take()?;
        let mut attributes = cmd.attributes.clone();
        if let Some(theirs) = attributes.get("in_reply_to").and_then(Value::as_i64) {
            let answered = match ours.get(&theirs) {
                Some(number) => Some(*number),
                None => number_of(tx, ctx, origin, theirs)?,
            };
            attributes.insert("in_reply_to".into(), answered.into());
        }
        let is_plain = cmd.kind == super::TEXT && attributes.is_empty();
        let (author_id, name) = match cmd.author_type {
            AuthorType::Contact => (Some(v.contact.id.0), Some(v.contact.name.as_str())),
            _ => (cmd.author, None),
        };
        let message = Message {
            id: attached.message,
            number,
            conversation: id,
            direction: cmd.direction,
            author_type: cmd.author_type,
            author_id,
            author_name: cmd.author_name.as_deref().or(name).map(str::to_owned),
            text: cmd.text.clone(),
            html: None,
            content: (!is_plain)
                .then(|| Content { kind: cmd.kind.clone(), attributes: Value::Object(attributes).to_string() }),
            external_id: cmd.external_id.clone().filter(|id| external_ids.insert(id.clone())),
            delivery_status: cmd.delivery_status.clone().filter(|_| cmd.direction == Direction::Outbound),
            attachments: attached.files,
            sent_at: cmd.at,
            created_at: cmd.at,
            updated_at: cmd.at,
        };
        v.engagement = Moment::Said(message.direction, message.author_type).decides().or(v.engagement);
        if message.direction != Direction::Note {
            v.last_message_at = v.last_message_at.max(Some(cmd.at));
        }
        v.message_count += i64::from(message.direction.is_said());
        if message.direction == Direction::Inbound {
            v.last_contact_message_at = v.last_contact_message_at.max(Some(cmd.at));
        }
        v.heard(&message);
        v.updated_at = v.updated_at.max(cmd.at);
        ours.insert(cmd.theirs, number);
        written.push(message);
    }
    if matches!(v.status, Status::Done | Status::Archived) {
        v.waiting_since = None; // nobody waits any more
    }
    let rows: Vec<(i64, &Message)> = written.iter().map(|message| (ctx.tenant.0, message)).collect();
    insert_many(tx, &rows)?;
    save(tx, ctx.tenant, &v)?;
    let pairs: Vec<(i64, Uuid)> = new.iter().zip(&written).map(|(cmd, message)| (cmd.theirs, message.id.0)).collect();
    remember(tx, origin, Noun::Message, &pairs)?;
    for (cmd, message) in new.iter().zip(&written).filter(|(cmd, _)| cmd.kind == surveys::SURVEY) {
        surveys::import(tx, ctx.tenant, message, &cmd.attributes)?;
    }
    if let Some(last) = numbers.iter().max() {
        mark(tx, origin, Noun::Conversation, their_conversation, *last)?;
    }
    Ok(written.len())
}

/// Which of the external ids the conversation has already.
fn external_ids(tx: &mut Tx, ctx: &Ctx, id: ConversationId, new: &[&Import]) -> Result<HashSet<String>> {
    let asked: Vec<&String> = new.iter().filter_map(|cmd| cmd.external_id.as_ref()).collect();
    let params: Vec<Param> = asked.iter().flat_map(|external| params![ctx.tenant.0, id.0, *external]).collect();
    let mut taken = HashSet::new();
    tx.select_many(&sql::BY_EXTERNAL_ID, &params, |row| {
        taken.insert(asked[row.get::<i64>(0)? as usize].clone());
        Ok(())
    })?;
    Ok(taken)
}

/// The number here of a message that was taken over before; none for one that is not here.
fn number_of(tx: &mut Tx, ctx: &Ctx, origin: &Origin, theirs: i64) -> Result<Option<i64>> {
    let Some(item) = find(tx, origin, Noun::Message, &[theirs])?.remove(&theirs) else { return Ok(None) };
    match super::get(tx, ctx.tenant, MessageId::from_uuid(item.id)) {
        Ok(message) => Ok(Some(message.number)),
        Err(Error { code: "not_found", .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
