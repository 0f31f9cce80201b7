//! Identifiers: UUIDv7 inside, a prefix and opaque text on the wire (`conv_0192…`).

use std::{fmt, hash::Hash, marker::PhantomData, str::FromStr};
use uuid::Uuid;

/// A kind of thing that has ids.
pub trait Noun: 'static {
    /// What ids of this kind start with on the wire, without the underscore.
    const PREFIX: &'static str;
}

/// An id of one kind of thing; ids of different kinds do not mix.
pub struct Id<N>(pub Uuid, PhantomData<fn() -> N>);

macro_rules! nouns {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {
        $($(#[$doc])* pub enum $name {}
        impl Noun for $name { const PREFIX: &'static str = $prefix; })*
    };
}

nouns! {
    /// Id of a conversation.
    ConversationNoun = "conv";
    /// Id of a message.
    MessageNoun = "msg";
    /// Id of a contact.
    ContactNoun = "con";
    /// Id of a user.
    UserNoun = "usr";
    /// Id of a team.
    TeamNoun = "team";
    /// Id of an inbox.
    InboxNoun = "inb";
    /// Id of a tag.
    TagNoun = "tag";
    /// Id of a custom field's definition.
    FieldNoun = "fld";
    /// Id of an API key.
    KeyNoun = "key";
    /// Id of a webhook endpoint.
    EndpointNoun = "wh";
    /// Id of an event.
    EventNoun = "evt";
    /// Id of a delivery.
    DeliveryNoun = "dlv";
    /// Id of an attachment.
    AttachmentNoun = "att";
    /// Id of a row of the request log.
    RequestNoun = "log";
    /// Id of an automation rule.
    AutomationNoun = "rule";
    /// Id of a bot.
    BotNoun = "bot";
    /// Id of a snippet.
    SnippetNoun = "snip";
    /// Id of a note on a contact.
    NoteNoun = "note";
    /// Id of an administrative change.
    AuditNoun = "aud";
}

/// Id of a conversation, `conv_…`.
pub type ConversationId = Id<ConversationNoun>;
/// Id of a message, `msg_…`.
pub type MessageId = Id<MessageNoun>;
/// Id of a contact, `con_…`.
pub type ContactId = Id<ContactNoun>;
/// Id of a user, `usr_…`.
pub type UserId = Id<UserNoun>;
/// Id of a team, `team_…`.
pub type TeamId = Id<TeamNoun>;
/// Id of an inbox, `inb_…`.
pub type InboxId = Id<InboxNoun>;
/// Id of a tag, `tag_…`.
pub type TagId = Id<TagNoun>;
/// Id of a custom field's definition, `fld_…`.
pub type FieldId = Id<FieldNoun>;
/// Id of an API key, `key_…`.
pub type KeyId = Id<KeyNoun>;
/// Id of a webhook endpoint, `wh_…`.
pub type EndpointId = Id<EndpointNoun>;
/// Id of an event, `evt_…`.
pub type EventId = Id<EventNoun>;
/// Id of a delivery, `dlv_…`.
pub type DeliveryId = Id<DeliveryNoun>;
/// Id of an attachment, `att_…`.
pub type AttachmentId = Id<AttachmentNoun>;
/// Id of a row of the request log, `log_…`.
pub type RequestLogId = Id<RequestNoun>;
/// Id of an automation rule, `rule_…`.
pub type AutomationId = Id<AutomationNoun>;
/// Id of a bot, `bot_…`.
pub type BotId = Id<BotNoun>;
/// Id of a snippet, `snip_…`.
pub type SnippetId = Id<SnippetNoun>;
/// Id of a note on a contact, `note_…`.
pub type NoteId = Id<NoteNoun>;
/// Id of an administrative change, `aud_…`.
pub type AuditId = Id<AuditNoun>;

impl<N> Id<N> {
    /// Wraps a raw id.
    pub const fn from_uuid(uuid: Uuid) -> Id<N> {
        Id(uuid, PhantomData)
    }
}
impl<N> Clone for Id<N> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<N> Copy for Id<N> {}
impl<N> PartialEq for Id<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<N> Eq for Id<N> {}
impl<N> PartialOrd for Id<N> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<N> Ord for Id<N> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<N> Hash for Id<N> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state)
    }
}
impl<N: Noun> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0u8; 32];
        write!(f, "{}_{}", N::PREFIX, self.0.simple().encode_lower(&mut buffer))
    }
}
impl<N: Noun> fmt::Debug for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id of this kind.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {0}_… id")]
pub struct NotAnId(pub &'static str);

impl<N: Noun> FromStr for Id<N> {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let raw = text.strip_prefix(N::PREFIX).and_then(|rest| rest.strip_prefix('_')).ok_or(NotAnId(N::PREFIX))?;
        let canonical = raw.len() == 32 && raw.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !canonical {
            return Err(NotAnId(N::PREFIX));
        }
        Uuid::try_parse(raw).map(Id::from_uuid).map_err(|_| NotAnId(N::PREFIX))
    }
}

/// The first id of an instant's millisecond, microseconds UTC: ids are UUIDv7, so what was made before has smaller ones.
pub(crate) fn first_at(at: i64) -> Uuid {
    Uuid::from_u64_pair(((at.max(0) / 1000) as u64) << 16, 0)
}

/// A tenant's number: Chatwoot's account id as it is, `ten_<number>` on `/v1`. Small, because it leads every key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub i64);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ten_{}", self.0)
    }
}
impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_wire_and_kinds_do_not_mix() {
        let id = ConversationId::from_uuid(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));
        assert_eq!(id.to_string(), "conv_01920000000070008000000000000001");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().parse::<MessageId>(), Err(NotAnId("msg")));
        for bad in [
            "",
            "conv_",
            "conv_01920000-0000-7000-8000-000000000001",
            "CONV_x",
            "conv_0192000000007000800000000000000G",
        ] {
            assert!(bad.parse::<ConversationId>().is_err(), "{bad}");
        }
    }
}
