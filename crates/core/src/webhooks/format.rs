//! The formats of webhooks: what each calls our events, and which of them it knows.

use crate::events::{NAMES, UNSPOKEN};

/// How bodies and headers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `/v1`'s events and shapes.
    Native,
    /// Atteny's two events in its shapes.
    Atteny,
    /// Chatwoot's: one event of the log is told in none, one or two of its words.
    Chatwoot,
}

/// Atteny's words for events, with ours.
const ATTENY_WORDS: [(&str, &str); 2] = [("message.created", "message.received"), ("message.sent", "message.sent")];

/// Chatwoot's words, with the events of the log that may be told so. The first eight are what a subscription has that names
/// none. `webwidget_triggered` is known and never happens: it belongs to widgets on websites.
pub const CHATWOOT_WORDS: [(&str, &[&str]); 12] = [
    ("conversation_status_changed", &["conversation.updated"]),
    ("conversation_updated", &["conversation.updated", "tag.added", "tag.removed"]),
    ("conversation_created", &["conversation.created"]),
    ("contact_created", &["contact.created"]),
    ("contact_updated", &["contact.updated"]),
    ("message_created", &["message.received", "message.sent", "note.added"]),
    ("message_updated", &["message.updated"]),
    ("webwidget_triggered", &[]),
    ("conversation_typing_on", &["typing.started"]),
    ("conversation_typing_off", &["typing.stopped"]),
    ("inbox_created", &["inbox.created"]),
    ("inbox_updated", &["inbox.updated"]),
];

/// Words that Chatwoot has for bots alone: nobody else can ask for them, and a star does not mean them.
const BOT_WORDS: [(&str, &[&str]); 2] =
    [("conversation_opened", &["conversation.updated"]), ("conversation_resolved", &["conversation.updated"])];

/// How many of [`CHATWOOT_WORDS`] a subscription has that names none.
pub const CHATWOOT_DEFAULTS: usize = 8;

impl Format {
    /// All of them.
    pub const ALL: [Format; 3] = [Format::Native, Format::Atteny, Format::Chatwoot];

    /// As stored and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Native => "native",
            Format::Atteny => "atteny",
            Format::Chatwoot => "chatwoot",
        }
    }
    /// The format of this name.
    pub fn from_text(text: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.as_str() == text)
    }
    /// Every event that the format knows, as subscriptions hold it: its name in the log, and in Chatwoot's format its word.
    pub fn events(self) -> Vec<&'static str> {
        match self {
            Format::Native => NAMES.to_vec(),
            Format::Atteny => ATTENY_WORDS.map(|(_, name)| name).to_vec(),
            Format::Chatwoot => CHATWOOT_WORDS.map(|(word, _)| word).to_vec(),
        }
    }
    /// How a subscription holds what the format calls `word`.
    pub fn event(self, word: &str) -> Option<&'static str> {
        match self {
            Format::Native | Format::Chatwoot => self.events().into_iter().find(|name| *name == word),
            Format::Atteny => ATTENY_WORDS.into_iter().find(|(known, _)| *known == word).map(|(_, name)| name),
        }
    }
    /// What the format calls what a subscription holds by this name; the name itself where it has no other word.
    pub fn word(self, name: &str) -> &str {
        match self {
            Format::Native | Format::Chatwoot => name,
            Format::Atteny => ATTENY_WORDS.into_iter().find(|(_, known)| *known == name).map_or(name, |(word, _)| word),
        }
    }
    /// Whether a subscription to `subscribed` hears of events of the log with this name.
    pub fn hears(self, subscribed: &str, name: &str) -> bool {
        match self {
            Format::Native | Format::Atteny => subscribed == name || (subscribed == "*" && !UNSPOKEN.contains(&name)),
            Format::Chatwoot => sources(subscribed).any(|source| source == name),
        }
    }
}

/// The events of the log behind a word of Chatwoot's, or behind all of them.
pub(super) fn sources(word: &str) -> impl Iterator<Item = &'static str> + '_ {
    let meant = CHATWOOT_WORDS.iter().filter(move |(known, _)| word == "*" || word == *known);
    let meant = meant.chain(BOT_WORDS.iter().filter(move |(known, _)| word == *known));
    meant.flat_map(|(_, sources)| sources.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_an_event_of_the_log() {
        for name in sources("*") {
            assert!(NAMES.contains(&name) || UNSPOKEN.contains(&name), "{name}");
        }
    }

    #[test]
    fn stars_stand_for_what_the_format_knows() {
        assert!(Format::Native.hears("*", "tag.added") && !Format::Native.hears("*", "note.added"));
        assert!(Format::Chatwoot.hears("*", "note.added") && !Format::Chatwoot.hears("*", "conversation.resolved"));
        assert!(Format::Chatwoot.hears("conversation_updated", "tag.added"));
        assert!(!Format::Chatwoot.hears("message_created", "message.updated"));
    }
}
