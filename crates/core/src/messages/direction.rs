//! Direction and author of a message. Inbound and outbound are what the customer sees; notes and activities stay inside.

use std::fmt;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the customer.
    Inbound,
    /// To the customer.
    Outbound,
    /// Between us.
    Note,
    /// A line of the system in the timeline.
    Activity,
}

impl Direction {
    /// All of them.
    pub const ALL: [Direction; 4] = [Direction::Inbound, Direction::Outbound, Direction::Note, Direction::Activity];

    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
            Direction::Note => "note",
            Direction::Activity => "activity",
        }
    }

    /// Whether the customer sees it: it goes to or comes from them.
    pub const fn is_said(self) -> bool {
        matches!(self, Direction::Inbound | Direction::Outbound)
    }

    /// The direction of a word; `None` for any other text.
    pub fn from_text(text: &str) -> Option<Direction> {
        Direction::ALL.into_iter().find(|direction| direction.as_str() == text)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What sort of author wrote it (contract D3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthorType {
    /// The customer.
    Contact,
    /// One of us; an outbound message by API counts as this unless it says otherwise.
    Agent,
    /// An AI.
    Ai,
    /// A rule.
    Automation,
    /// The product itself.
    System,
}

impl AuthorType {
    /// All of them.
    pub const ALL: [AuthorType; 5] =
        [AuthorType::Contact, AuthorType::Agent, AuthorType::Ai, AuthorType::Automation, AuthorType::System];

    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            AuthorType::Contact => "contact",
            AuthorType::Agent => "agent",
            AuthorType::Ai => "ai",
            AuthorType::Automation => "automation",
            AuthorType::System => "system",
        }
    }

    /// The author type of a word; `None` for any other text.
    pub fn from_text(text: &str) -> Option<AuthorType> {
        AuthorType::ALL.into_iter().find(|author| author.as_str() == text)
    }
}

impl fmt::Display for AuthorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_storage() {
        assert_eq!(Direction::ALL.map(Direction::as_str).join(" "), "inbound outbound note activity");
        assert_eq!(AuthorType::ALL.map(AuthorType::as_str).join(" "), "contact agent ai automation system");
        for direction in Direction::ALL {
            assert_eq!(Direction::from_text(direction.as_str()), Some(direction));
        }
        for author in AuthorType::ALL {
            assert_eq!(AuthorType::from_text(author.as_str()), Some(author));
        }
        assert_eq!((Direction::from_text("Inbound"), AuthorType::from_text("bot")), (None, None));
    }
}
