//! The log of everything that happened: one closed enum, written in the transaction of its change.
//!
//! No event without its change, no change without its event. What an event says is frozen when it happens: its data is
//! rendered in the native shape inside the verb, so that a later change of the state or of a name cannot alter it
//! (docs/adr/0002). Readers (webhooks, the feed, the stream) go by `position`; receivers go by `sequence`, which counts one
//! conversation's events from 1.

pub mod feed;
pub mod numbering;
mod sql;

use crate::contacts::Contact;
use crate::conversations::Conversation;
use crate::ctx::Ctx;
use crate::ids::{ConversationId, EventId, InboxId, TeamId, TenantId, UserId};
use crate::messages::Message;
use crate::tenants::Counting;
use crate::{Error, Result};
use serde::Serialize;
use tieline_db::{Param, Topic, Tx, params};

/// Announced by every commit that emitted events, or gave events their place in the log.
pub const EVENTS: Topic = Topic(0);
/// Announced by every commit that changed what nodes keep in memory: keys, endpoints, plans.
pub const CONFIGURATION: Topic = Topic(1);
/// Announced by every commit that made deliveries due.
pub const DELIVERIES: Topic = Topic(2);

/// What is frozen of an event when it happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// The `data` member in the native shape.
    pub data: String,
    /// All of the state, for formats that show what the native shape does not (docs/adr/0010); none where nobody asks.
    pub state: Option<String>,
}

impl From<String> for Frozen {
    fn from(data: String) -> Frozen {
        Frozen { data, state: None }
    }
}

/// Freezes an event.
pub type Render = fn(&Event<'_>) -> Frozen;

/// A changed member: its name on the wire and its JSON values before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Name of the member on `/v1`.
    pub field: &'static str,
    /// Value before, as JSON.
    pub from: serde_json::Value,
    /// Value after, as JSON.
    pub to: serde_json::Value,
}

impl Change {
    /// A change of `field`; values become JSON.
    pub fn new(field: &'static str, from: impl Serialize, to: impl Serialize) -> Change {
        let json = |value: serde_json::Result<serde_json::Value>| value.unwrap_or_default();
        Change { field, from: json(serde_json::to_value(from)), to: json(serde_json::to_value(to)) }
    }
}

/// Who holds a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The team whose queue it is in.
    pub team: Option<TeamId>,
    /// The agent who has it.
    pub agent: Option<UserId>,
}

/// Everything that can happen, with the state after it and what changed.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the members say what they are
pub enum Event<'a> {
    /// A conversation was opened, through whatever channel.
    ConversationCreated { conversation: &'a Conversation },
    /// Status, subject, assignment or another top-level member changed.
    ConversationUpdated { conversation: &'a Conversation, changes: &'a [Change] },
    /// It was marked done.
    ConversationResolved { conversation: &'a Conversation },
    /// It went back to active from done (or, in an API inbox, from archived).
    ConversationReopened { conversation: &'a Conversation },
    /// Its messages moved into another conversation.
    ConversationMerged { conversation: &'a Conversation, into: &'a Conversation },
    /// It was deleted with its messages; this is how it was.
    ConversationDeleted { conversation: &'a Conversation },
    /// The customer wrote.
    MessageReceived { message: &'a Message, conversation: &'a Conversation },
    /// We wrote: an agent, an AI or an automation.
    MessageSent { message: &'a Message, conversation: &'a Conversation },
    /// A message's delivery status or content changed.
    MessageUpdated { message: &'a Message, conversation: &'a Conversation, changes: &'a [Change] },
    /// A new customer.
    ContactCreated { contact: &'a Contact },
    /// A customer's data changed.
    ContactUpdated { contact: &'a Contact, changes: &'a [Change] },
    /// Assigned to a user, moved to a team, or unassigned.
    AssignmentChanged { conversation: &'a Conversation, from: Assignment, to: Assignment },
    /// A tag was set on a conversation.
    TagAdded { conversation: &'a Conversation, tag: &'a crate::tags::Tag },
    /// A tag was taken off a conversation.
    TagRemoved { conversation: &'a Conversation, tag: &'a crate::tags::Tag },
    /// One of us left a note for the others.
    NoteAdded { message: &'a Message, conversation: &'a Conversation },
    /// Somebody writes just now, or has stopped; told only where somebody listens.
    Typing { conversation: &'a Conversation, is_on: bool, is_private: bool },
    /// A new inbox.
    InboxCreated { inbox: &'a crate::inboxes::Inbox },
    /// An inbox's name, webhook or settings changed.
    InboxUpdated { inbox: &'a crate::inboxes::Inbox, changes: &'a [Change] },
    /// An endpoint was switched off.
    WebhookDisabled { endpoint: &'a crate::webhooks::Endpoint },
}

/// The names of all events, for subscriptions and documents. The two SLA events exist once SLA does.
pub const NAMES: &[&str] = &[
    "conversation.created",
    "conversation.updated",
    "conversation.resolved",
    "conversation.reopened",
    "conversation.merged",
    "conversation.deleted",
    "message.received",
    "message.sent",
    "message.updated",
    "contact.created",
    "contact.updated",
    "sla.warning",
    "sla.breached",
    "assignment.changed",
    "tag.added",
    "tag.removed",
    "webhook.disabled",
];

/// Events of the log that are no events of the native format: other formats tell of them.
pub const UNSPOKEN: &[&str] = &["note.added", "typing.started", "typing.stopped", "inbox.created", "inbox.updated"];

/// Sent on request to one endpoint only; not part of the log.
pub const WEBHOOK_TEST: &str = "webhook.test";

impl Event<'_> {
    /// Its name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Event::ConversationCreated { .. } => "conversation.created",
            Event::ConversationUpdated { .. } => "conversation.updated",
            Event::ConversationResolved { .. } => "conversation.resolved",
            Event::ConversationReopened { .. } => "conversation.reopened",
            Event::ConversationMerged { .. } => "conversation.merged",
            Event::ConversationDeleted { .. } => "conversation.deleted",
            Event::MessageReceived { .. } => "message.received",
            Event::MessageSent { .. } => "message.sent",
            Event::MessageUpdated { .. } => "message.updated",
            Event::ContactCreated { .. } => "contact.created",
            Event::ContactUpdated { .. } => "contact.updated",
            Event::AssignmentChanged { .. } => "assignment.changed",
            Event::TagAdded { .. } => "tag.added",
            Event::TagRemoved { .. } => "tag.removed",
            Event::NoteAdded { .. } => "note.added",
            Event::Typing { is_on: true, .. } => "typing.started",
            Event::Typing { is_on: false, .. } => "typing.stopped",
            Event::InboxCreated { .. } => "inbox.created",
            Event::InboxUpdated { .. } => "inbox.updated",
            Event::WebhookDisabled { .. } => "webhook.disabled",
        }
    }
    /// The conversation it belongs to; such events carry a sequence number.
    pub fn conversation(&self) -> Option<&Conversation> {
        match self {
            Event::ConversationCreated { conversation }
            | Event::ConversationUpdated { conversation, .. }
            | Event::ConversationResolved { conversation }
            | Event::ConversationReopened { conversation }
            | Event::ConversationMerged { conversation, .. }
            | Event::ConversationDeleted { conversation }
            | Event::MessageReceived { conversation, .. }
            | Event::MessageSent { conversation, .. }
            | Event::MessageUpdated { conversation, .. }
            | Event::AssignmentChanged { conversation, .. }
            | Event::TagAdded { conversation, .. }
            | Event::TagRemoved { conversation, .. }
            | Event::NoteAdded { conversation, .. }
            | Event::Typing { conversation, .. } => Some(conversation),
            Event::ContactCreated { .. }
            | Event::ContactUpdated { .. }
            | Event::InboxCreated { .. }
            | Event::InboxUpdated { .. }
            | Event::WebhookDisabled { .. } => None,
        }
    }
}

/// An event as the log holds it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Place in the log; grows in the order in which changes became visible.
    pub position: i64,
    /// Its id; also the `webhook-id` of its deliveries.
    pub id: EventId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The conversation it belongs to.
    pub conversation: Option<ConversationId>,
    /// That conversation's inbox.
    pub inbox: Option<InboxId>,
    /// Its place among the conversation's events, from 1.
    pub sequence: Option<i64>,
    /// Who did it, as JSON.
    pub actor: String,
    /// What led to it, as JSON.
    pub cause: Option<String>,
    /// State and changes in the native shape, as JSON.
    pub data: String,
    /// All of the state, where somebody asked for it when it happened.
    pub state: Option<String>,
    /// When it happened, microseconds UTC.
    pub at: i64,
}

/// Events of one transaction on their way into the log. A set verb gathers all of its events and writes them once.
#[derive(Default)]
pub struct Batch {
    rows: Vec<Row>,
    /// What lists show as totals follows from the events.
    counting: Counting,
}

struct Row {
    id: uuid::Uuid,
    tenant: i64,
    name: &'static str,
    conversation: Option<uuid::Uuid>,
    inbox: Option<uuid::Uuid>,
    sequence: Option<i64>,
    actor: String,
    cause: Option<String>,
    frozen: Frozen,
}

impl Batch {
    /// Adds an event. `sequence` is its place among the conversation's events; the caller has counted it into
    /// `event_sequence` of that row.
    pub fn add(&mut self, tx: &mut Tx, ctx: &Ctx, event: &Event, sequence: Option<i64>) -> Result<EventId> {
        let id = tx.new_id();
        let conversation = event.conversation();
        self.counting.see(ctx.tenant, event);
        self.rows.push(Row {
            id,
            tenant: ctx.tenant.0,
            name: event.name(),
            conversation: conversation.map(|c| c.id.0),
            inbox: conversation.map(|c| c.inbox.0),
            sequence,
            actor: json(&ctx.actor)?,
            cause: ctx.cause.as_ref().map(json).transpose()?,
            frozen: (ctx.render)(event),
        });
        Ok(EventId::from_uuid(id))
    }
    /// Writes the events, in the order in which they were added.
    pub fn write(self, tx: &mut Tx) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let now = tx.now();
        let mut params: Vec<Param> = Vec::with_capacity(self.rows.len() * 11);
        for row in &self.rows {
            params.extend(params![
                row.id,
                row.tenant,
                row.name,
                row.conversation,
                row.inbox,
                row.sequence,
                &row.actor,
                &row.cause,
                &row.frozen.data,
                now,
                &row.frozen.state
            ]);
        }
        tx.run_many(&sql::INSERT, &params)?;
        tx.signal(EVENTS);
        self.counting.write(tx)
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// Writes one event of a verb that emits only one.
pub fn emit(tx: &mut Tx, ctx: &Ctx, event: &Event, sequence: Option<i64>) -> Result<EventId> {
    let mut batch = Batch::default();
    let id = batch.add(tx, ctx, event, sequence)?;
    batch.write(tx)?;
    Ok(id)
}
