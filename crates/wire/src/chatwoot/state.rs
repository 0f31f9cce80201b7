//! All of the state that Chatwoot's webhooks show of an event, frozen when it happens (docs/adr/0010).
//!
//! The native shape in the log leaves out what `/v1` does not show: numbers, content attributes, who looked when. This text
//! holds it, for tenants that have somebody to show it to. It is read back into the types of the product, so that one set
//! of functions makes shapes from the present state and from a frozen one. What no shape shows is not kept.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tieline_core::attachments::{self, Attachment};
use tieline_core::contacts::Contact;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{Conversation, Priority};
use tieline_core::events::Event;
use tieline_core::ids::{BotId, EndpointId};
use tieline_core::inboxes::Inbox;
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::status::DeliveryStatus;
use tieline_core::messages::{Content, Message};
use uuid::Uuid;

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The conversation it belongs to.
    pub conversation: Option<Conversation>,
    /// The message.
    pub message: Option<Message>,
    /// The contact of an event without a conversation.
    pub contact: Option<Contact>,
    /// The inbox of an event about it.
    pub inbox: Option<Inbox>,
}

type Text<'a> = Cow<'a, str>;

#[derive(Default, Serialize, Deserialize)]
struct Kept<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<KeptConversation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<KeptMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<KeptContact<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inbox: Option<KeptInbox<'a>>,
}

#[derive(Serialize, Deserialize)]
struct KeptConversation<'a> {
    id: u128,
    number: i64,
    inbox: u128,
    contact: KeptContact<'a>,
    channel: Text<'a>,
    status: Text<'a>,
    is_held: bool,
    priority: Option<Text<'a>>,
    team: Option<u128>,
    agent: Option<u128>,
    bot: Option<u128>,
    tags: Vec<Text<'a>>,
    custom_fields: Text<'a>,
    metadata: Text<'a>,
    source_id: Option<Text<'a>>,
    snoozed_until: Option<i64>,
    last_message_at: Option<i64>,
    last_contact_message_at: Option<i64>,
    waiting_since: Option<i64>,
    first_reply_at: Option<i64>,
    contact_seen_at: Option<i64>,
    agent_seen_at: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, Deserialize)]
struct KeptContact<'a> {
    id: u128,
    number: i64,
    name: Text<'a>,
    email: Option<Text<'a>>,
    phone: Option<Text<'a>>,
    external_id: Option<Text<'a>>,
    custom_fields: Text<'a>,
    metadata: Text<'a>,
    is_blocked: bool,
    avatar_url: Option<Text<'a>>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, Deserialize)]
struct KeptMessage<'a> {
    id: u128,
    number: i64,
    conversation: u128,
    direction: Text<'a>,
    author_type: Text<'a>,
    author_id: Option<u128>,
    author_name: Option<Text<'a>>,
    text: Text<'a>,
    kind: Option<Text<'a>>,
    attributes: Option<Text<'a>>,
    external_id: Option<Text<'a>>,
    status: Option<Text<'a>>,
    failure: Option<Text<'a>>,
    files: Vec<KeptFile<'a>>,
    sent_at: i64,
    created_at: i64,
    updated_at: i64,
}

#[derive(Serialize, Deserialize)]
struct KeptFile<'a> {
    id: u128,
    name: Text<'a>,
    content_type: Text<'a>,
    size: Option<i64>,
    state: Text<'a>,
}

#[derive(Serialize, Deserialize)]
struct KeptInbox<'a> {
    id: u128,
    number: i64,
    name: Text<'a>,
    channel: Text<'a>,
    identifier: Text<'a>,
    webhook: Option<(u128, Text<'a>)>,
    is_identity_required: bool,
    is_single_conversation: bool,
    settings: Text<'a>,
    #[serde(default)] // not in states from before it
    is_auto_assigned: bool,
    created_at: i64,
    updated_at: i64,
}

fn text(text: &str) -> Text<'_> {
    Cow::Borrowed(text)
}

fn optional(value: &Option<String>) -> Option<Text<'_>> {
    value.as_deref().map(Cow::Borrowed)
}

fn owned(value: Option<Text<'_>>) -> Option<String> {
    value.map(Cow::into_owned)
}

/// An id of any kind from its bits.
macro_rules! id {
    ($bits:expr) => {
        tieline_core::ids::Id::from_uuid(Uuid::from_u128($bits))
    };
}

impl<'a> KeptContact<'a> {
    fn of(c: &'a Contact) -> Self {
        KeptContact {
            id: c.id.0.as_u128(),
            number: c.number,
            name: text(&c.name),
            email: optional(&c.email),
            phone: optional(&c.phone),
            external_id: optional(&c.external_id),
            custom_fields: text(&c.custom_fields),
            metadata: text(&c.metadata),
            is_blocked: c.is_blocked,
            avatar_url: optional(&c.avatar_url),
            created_at: c.created_at,
            updated_at: c.updated_at,
        }
    }
    fn read(self) -> Contact {
        Contact {
            id: id!(self.id),
            number: self.number,
            name: self.name.into_owned(),
            email: owned(self.email),
            phone: owned(self.phone),
            external_id: owned(self.external_id),
            custom_fields: self.custom_fields.into_owned(),
            metadata: self.metadata.into_owned(),
            is_blocked: self.is_blocked,
            avatar_url: owned(self.avatar_url),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

impl<'a> KeptConversation<'a> {
    fn of(v: &'a Conversation) -> Self {
        KeptConversation {
            id: v.id.0.as_u128(),
            number: v.number,
            inbox: v.inbox.0.as_u128(),
            contact: KeptContact::of(&v.contact),
            channel: text(v.channel.as_str()),
            status: text(v.status.as_str()),
            is_held: v.is_held,
            priority: v.priority.map(|priority| text(priority.as_str())),
            team: v.team.map(|id| id.0.as_u128()),
            agent: v.agent.map(|id| id.0.as_u128()),
            bot: v.bot.map(|id| id.0.as_u128()),
            tags: v.tags.iter().map(|slug| text(slug)).collect(),
            custom_fields: text(&v.custom_fields),
            metadata: text(&v.metadata),
            source_id: optional(&v.source_id),
            snoozed_until: v.snoozed_until,
            last_message_at: v.last_message_at,
            last_contact_message_at: v.last_contact_message_at,
            waiting_since: v.waiting_since,
            first_reply_at: v.first_reply_at,
            contact_seen_at: v.contact_seen_at,
            agent_seen_at: v.agent_seen_at,
            created_at: v.created_at,
            updated_at: v.updated_at,
        }
    }
    fn read(self) -> Option<Conversation> {
        Some(Conversation {
            id: id!(self.id),
            number: self.number,
            inbox: id!(self.inbox),
            contact: self.contact.read(),
            channel: Channel::from_text(&self.channel)?,
            subject: None,
            status: Status::from_text(&self.status)?,
            engagement: None,
            external_reference: None,
            team: self.team.map(|bits| id!(bits)),
            agent: self.agent.map(|bits| id!(bits)),
            bot: self.bot.map(|bits| id!(bits)),
            tags: self.tags.into_iter().map(Cow::into_owned).collect(),
            custom_fields: self.custom_fields.into_owned(),
            metadata: self.metadata.into_owned(),
            snoozed_until: self.snoozed_until,
            merged_into: None,
            reopen_count: 0,
            event_sequence: 0,
            message_count: 0,
            last_message_at: self.last_message_at,
            last_contact_message_at: self.last_contact_message_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
            done_at: None,
            archived_at: None,
            previous: None,
            source_id: owned(self.source_id),
            priority: self.priority.and_then(|word| Priority::from_text(&word)),
            is_held: self.is_held,
            waiting_since: self.waiting_since,
            first_reply_at: self.first_reply_at,
            contact_seen_at: self.contact_seen_at,
            agent_seen_at: self.agent_seen_at,
        })
    }
}

impl<'a> KeptMessage<'a> {
    fn of(m: &'a Message) -> Self {
        let file = |file: &'a Attachment| KeptFile {
            id: file.id.0.as_u128(),
            name: text(&file.name),
            content_type: text(&file.content_type),
            size: file.size,
            state: text(file.state.as_str()),
        };
        KeptMessage {
            id: m.id.0.as_u128(),
            number: m.number,
            conversation: m.conversation.0.as_u128(),
            direction: text(m.direction.as_str()),
            author_type: text(m.author_type.as_str()),
            author_id: m.author_id.map(|id| id.as_u128()),
            author_name: optional(&m.author_name),
            text: text(&m.text),
            kind: m.content.as_ref().map(|content| text(&content.kind)),
            attributes: m.content.as_ref().map(|content| text(&content.attributes)),
            external_id: optional(&m.external_id),
            status: m.delivery_status.as_ref().map(|status| text(status.as_str())),
            failure: m.delivery_status.as_ref().and_then(DeliveryStatus::reason).map(text),
            files: m.attachments.iter().map(file).collect(),
            sent_at: m.sent_at,
            created_at: m.created_at,
            updated_at: m.updated_at,
        }
    }
    fn read(self) -> Option<Message> {
        let file = |file: KeptFile<'_>| {
            Some(Attachment {
                id: id!(file.id),
                name: file.name.into_owned(),
                content_type: file.content_type.into_owned(),
                size: file.size,
                state: attachments::State::from_text(&file.state)?,
                error: None,
                url: None,
            })
        };
        Some(Message {
            id: id!(self.id),
            number: self.number,
            conversation: id!(self.conversation),
            direction: Direction::from_text(&self.direction)?,
            author_type: AuthorType::from_text(&self.author_type)?,
            author_id: self.author_id.map(Uuid::from_u128),
            author_name: owned(self.author_name),
            text: self.text.into_owned(),
            html: None,
            content: self
                .kind
                .zip(self.attributes)
                .map(|(kind, attributes)| Content { kind: kind.into_owned(), attributes: attributes.into_owned() }),
            external_id: owned(self.external_id),
            delivery_status: self.status.and_then(|word| DeliveryStatus::from_text(&word, self.failure.as_deref())),
            attachments: self.files.into_iter().map(file).collect::<Option<_>>()?,
            sent_at: self.sent_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl<'a> KeptInbox<'a> {
    fn of(i: &'a Inbox) -> Self {
        KeptInbox {
            id: i.id.0.as_u128(),
            number: i.number,
            name: text(&i.name),
            channel: text(i.channel.as_str()),
            identifier: text(&i.identifier),
            webhook: i.webhook.as_ref().map(|(id, url)| (id.0.as_u128(), text(url))),
            is_identity_required: i.is_identity_required,
            is_single_conversation: i.is_single_conversation,
            settings: text(&i.settings),
            is_auto_assigned: i.is_auto_assigned,
            created_at: i.created_at,
            updated_at: i.updated_at,
        }
    }
    fn read(self) -> Option<Inbox> {
        Some(Inbox {
            id: id!(self.id),
            number: self.number,
            name: self.name.into_owned(),
            channel: Channel::from_text(&self.channel)?,
            identifier: self.identifier.into_owned(),
            team: None,
            webhook: self.webhook.map(|(id, url)| -> (EndpointId, String) { (id!(id), url.into_owned()) }),
            is_identity_required: self.is_identity_required,
            is_single_conversation: self.is_single_conversation,
            settings: self.settings.into_owned(),
            identity_key: None, // a secret is no state of an event
            is_auto_assigned: self.is_auto_assigned,
            capacity: None,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Whether this bot has the conversation of a frozen state.
pub fn is_given_to(text: &str, bot: BotId) -> bool {
    #[derive(Deserialize)]
    struct Given {
        bot: Option<u128>,
    }
    #[derive(Deserialize)]
    struct Of {
        conversation: Option<Given>,
    }
    let of: Option<Of> = serde_json::from_str(text).ok();
    of.and_then(|of| of.conversation?.bot).is_some_and(|id| id == bot.0.as_u128())
}

/// Freezes the state of an event; none of one that Chatwoot's words do not tell.
pub fn write(event: &Event) -> Option<String> {
    let (conversation, message, contact, inbox) = match event {
        Event::ConversationCreated { conversation }
        | Event::ConversationUpdated { conversation, .. }
        | Event::TagAdded { conversation, .. }
        | Event::TagRemoved { conversation, .. }
        | Event::Typing { conversation, .. } => (Some(conversation), None, None, None),
        Event::MessageReceived { message, conversation }
        | Event::MessageSent { message, conversation }
        | Event::NoteAdded { message, conversation }
        | Event::MessageUpdated { message, conversation, .. } => (Some(conversation), Some(message), None, None),
        Event::ContactCreated { contact } | Event::ContactUpdated { contact, .. } => (None, None, Some(contact), None),
        Event::InboxCreated { inbox } | Event::InboxUpdated { inbox, .. } => (None, None, None, Some(inbox)),
        Event::ConversationResolved { .. }
        | Event::ConversationReopened { .. }
        | Event::ConversationMerged { .. }
        | Event::ConversationDeleted { .. }
        | Event::AssignmentChanged { .. }
        | Event::WebhookDisabled { .. } => return None,
    };
    let kept = Kept {
        conversation: conversation.map(|v| KeptConversation::of(v)),
        message: message.map(|m| KeptMessage::of(m)),
        contact: contact.map(|c| KeptContact::of(c)),
        inbox: inbox.map(|i| KeptInbox::of(i)),
    };
    serde_json::to_string(&kept).ok()
}

/// Reads what [`write`] froze; none for anything else.
pub fn read(text: &str) -> Option<State> {
    let kept: Kept = serde_json::from_str(text).ok()?;
    let all = State {
        conversation: match kept.conversation {
            Some(conversation) => Some(conversation.read()?),
            None => None,
        },
        message: match kept.message {
            Some(message) => Some(message.read()?),
            None => None,
        },
        contact: kept.contact.map(KeptContact::read),
        inbox: match kept.inbox {
            Some(inbox) => Some(inbox.read()?),
            None => None,
        },
    };
    Some(all)
}
