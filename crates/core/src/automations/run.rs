//! What a rule does: each action is a verb that anybody might call, in the rule's name.

use super::Automation;
use super::rule::{Action, Standing};
use crate::attachments::{Attach, NewAttachment, kind};
use crate::contacts::{Annotate, annotate};
use crate::conversations::status::Status;
use crate::conversations::{self, Amend, Append, AppendVerb, Update};
use crate::ctx::Ctx;
use crate::ids::ConversationId;
use crate::messages::direction::{AuthorType, Direction};
use crate::messages::{Author, Content, NewMessage, TEXT};
use crate::{Error, Result};
use tieline_db::{SetVerb, Tx};

/// A snooze without an end lasts until the customer writes, or so long, microseconds: ten years.
const UNTIL_THEY_WRITE_US: i64 = 3650 * 24 * 3600 * 1_000_000;
const MINUTE_US: i64 = 60_000_000;

/// Does one thing.
///
/// Errors: those of the verb.
pub(super) fn act(tx: &mut Tx, ctx: &Ctx, rule: &Automation, id: ConversationId, action: &Action) -> Result<()> {
    let unchanged = Update {
        conversation: id,
        status: None,
        snoozed_until: None,
        subject: None,
        team: None,
        agent: None,
        custom_fields: Default::default(),
        metadata: None,
    };
    match action {
        Action::SendMessage(text) => say(tx, ctx, rule, id, Direction::Outbound, text, Vec::new()),
        Action::AddNote(text) => say(tx, ctx, rule, id, Direction::Note, text, Vec::new()),
        Action::SendAttachment(url) => {
            let path = url.split(['?', '#']).next().unwrap_or("");
            let name = kind::file_name(path.rsplit('/').next().unwrap_or("file"));
            let file = NewAttachment::At { url: url.clone(), content_type: kind::declared_type(None), name };
            say(tx, ctx, rule, id, Direction::Outbound, "", vec![file])
        }
        Action::AddTag(tag) => relabel(tx, ctx, id, |tags| tags.push(tag.clone())),
        Action::RemoveTag(tag) => {
            let tag = tag.trim().to_lowercase();
            relabel(tx, ctx, id, |tags| tags.retain(|known| *known != tag))
        }
        Action::AssignTeam(team) => {
            conversations::update(tx, ctx, &Update { team: Some(*team), ..unchanged }).map(drop)
        }
        Action::AssignAgent(agent) => {
            conversations::update(tx, ctx, &Update { agent: Some(*agent), ..unchanged }).map(drop)
        }
        Action::SetPriority(priority) => {
            let amend = Amend { priority: Some(*priority), ..Amend::default() };
            conversations::amend(tx, ctx, id, &amend).map(drop)
        }
        Action::SetStatus(standing) => {
            let (status, is_held) = match standing {
                Standing::Open => (Status::Active, false),
                Standing::Pending => (Status::Active, true),
                Standing::Snoozed(_) => (Status::Snoozed, false),
                Standing::Done => (Status::Done, false),
                Standing::Archived => (Status::Archived, false),
            };
            let snoozed_until = match standing {
                Standing::Snoozed(Some(minutes)) => Some(Some(tx.now() + minutes * MINUTE_US)),
                Standing::Snoozed(None) => Some(Some(tx.now() + UNTIL_THEY_WRITE_US)),
                _ => None,
            };
            let changed = Update { status: Some(status), snoozed_until, ..unchanged };
            conversations::update(tx, ctx, &changed)?;
            let held = Amend { is_held: Some(is_held), ..Amend::default() };
            if status == Status::Archived { Ok(()) } else { conversations::amend(tx, ctx, id, &held).map(drop) }
        }
        Action::Mute => {
            let done = Update { status: Some(Status::Done), ..unchanged };
            let contact = conversations::update(tx, ctx, &done)?.conversation.contact.id;
            let block = Annotate { is_blocked: Some(true), ..Annotate::default() };
            annotate(tx, ctx, contact, &block).map(drop)
        }
    }
}

fn relabel(tx: &mut Tx, ctx: &Ctx, id: ConversationId, change: impl FnOnce(&mut Vec<String>)) -> Result<()> {
    let mut tags = conversations::get(tx, ctx.tenant, id)?.tags;
    change(&mut tags);
    conversations::amend(tx, ctx, id, &Amend { labels: Some(tags), ..Amend::default() }).map(drop)
}

/// Appends a message or a note of the rule.
fn say(
    tx: &mut Tx,
    ctx: &Ctx,
    rule: &Automation,
    id: ConversationId,
    direction: Direction,
    text: &str,
    files: Vec<NewAttachment>,
) -> Result<()> {
    // By this mark bridges know automated messages (Chatwoot's contract 3.5).
    let attributes = serde_json::json!({"automation_rule_id": rule.number}).to_string();
    let message = NewMessage {
        direction,
        author: Author { kind: Some(AuthorType::Automation), name: Some(rule.name.clone()), ..Author::default() },
        text: text.to_owned(),
        html: None,
        content: Some(Content { kind: TEXT.to_owned(), attributes }),
        external_id: None,
        sent_at: None,
        attachments: Attach { files, links: None, pointer: "/url" },
    };
    let append = Append { ctx: ctx.clone(), once: None, conversation: id, message };
    let answer = AppendVerb::run(tx, &[&append])?.pop();
    answer.unwrap_or_else(|| Err(Error::internal("the message got no answer"))).map(drop)
}
