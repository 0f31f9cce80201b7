//! What a key may do: a set of scopes, one bit each.
//!
//! A scope is `<surface>:<action>` (contract A3), a few have actions of their own. Write implies read; writing
//! conversations implies sending messages, reading conversations implies reading messages. The set keeps what was granted, to
//! show it, and what follows from it, so that a check is one `and`. A stored set is spelled out: a bundle does not grow
//! when a later version knows more scopes.

use std::fmt;

use crate::{Error, FieldError, Result};

/// Most names one request may list.
pub const SCOPE_NAMES_LIMIT: usize = 100;

macro_rules! scopes {
    ($($name:ident = $text:literal,)*) => {
        /// One thing a key may do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Scope {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }
        impl Scope {
            /// All of them, in the order in which sets are written.
            pub const ALL: &[Scope] = &[$(Scope::$name,)*];

            /// The stored and spoken name.
            pub const fn name(self) -> &'static str {
                match self { $(Scope::$name => $text,)* }
            }

            /// The scope of a name; `None` for aliases, bundles and any other text.
            pub fn from_text(text: &str) -> Option<Scope> {
                match text { $($text => Some(Scope::$name),)* _ => None }
            }
        }
    };
}

scopes! {
    AgentsRead = "agents:read",
    AgentsWrite = "agents:write",
    AnalyticsRead = "analytics:read",
    AnalyticsWrite = "analytics:write",
    AttachmentsRead = "attachments:read",
    AttachmentsWrite = "attachments:write",
    AutomationsRead = "automations:read",
    AutomationsWrite = "automations:write",
    BulkRead = "bulk:read",
    BulkWrite = "bulk:write",
    ChannelsRead = "channels:read",
    ChannelsWrite = "channels:write",
    ContactsRead = "contacts:read",
    ContactsWrite = "contacts:write",
    ConversationsRead = "conversations:read",
    ConversationsWrite = "conversations:write",
    CsatRead = "csat:read",
    CsatWrite = "csat:write",
    EventsRead = "events:read",
    KnowledgeRead = "knowledge:read",
    KnowledgeWrite = "knowledge:write",
    MessagesRead = "messages:read",
    MessagesSend = "messages:send",
    NotificationsRead = "notifications:read",
    NotificationsWrite = "notifications:write",
    SearchRead = "search:read",
    SearchWrite = "search:write",
    SettingsRead = "settings:read",
    SettingsWrite = "settings:write",
    SlaRead = "sla:read",
    SlaWrite = "sla:write",
    SnippetsRead = "snippets:read",
    SnippetsWrite = "snippets:write",
    StatusRead = "status:read",
    StatusWrite = "status:write",
    TagsRead = "tags:read",
    TagsWrite = "tags:write",
    TeamsRead = "teams:read",
    TeamsWrite = "teams:write",
    UsersRead = "users:read",
    UsersWrite = "users:write",
    WebhooksRead = "webhooks:read",
    WebhooksWrite = "webhooks:write",
}

impl Scope {
    const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// What this scope brings along, itself included.
    fn closure(self) -> u64 {
        let implied = match self {
            Scope::AgentsWrite => Scope::AgentsRead.bit(),
            Scope::AnalyticsWrite => Scope::AnalyticsRead.bit(),
            Scope::AttachmentsWrite => Scope::AttachmentsRead.bit(),
            Scope::AutomationsWrite => Scope::AutomationsRead.bit(),
            Scope::BulkWrite => Scope::BulkRead.bit(),
            Scope::ChannelsWrite => Scope::ChannelsRead.bit(),
            Scope::ContactsWrite => Scope::ContactsRead.bit(),
            Scope::ConversationsRead => Scope::MessagesRead.bit(),
            Scope::ConversationsWrite => {
                Scope::ConversationsRead.bit() | Scope::MessagesRead.bit() | Scope::MessagesSend.bit()
            }
            Scope::CsatWrite => Scope::CsatRead.bit(),
            Scope::KnowledgeWrite => Scope::KnowledgeRead.bit(),
            Scope::NotificationsWrite => Scope::NotificationsRead.bit(),
            Scope::SearchWrite => Scope::SearchRead.bit(),
            Scope::SettingsWrite => Scope::SettingsRead.bit(),
            Scope::SlaWrite => Scope::SlaRead.bit(),
            Scope::SnippetsWrite => Scope::SnippetsRead.bit(),
            Scope::StatusWrite => Scope::StatusRead.bit(),
            Scope::TagsWrite => Scope::TagsRead.bit(),
            Scope::TeamsWrite => Scope::TeamsRead.bit(),
            Scope::UsersWrite => Scope::UsersRead.bit(),
            Scope::WebhooksWrite => Scope::WebhooksRead.bit(),
            _ => 0,
        };
        self.bit() | implied
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of scopes that is never empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes {
    granted: u64,
    /// `granted` and all it implies.
    effective: u64,
}

impl Scopes {
    /// The set of these names: scopes, the aliases `webhooks:manage` (is `webhooks:write`) and `channels:*`, and the bundles
    /// `basic`, `read_all`, `integration` and `full_access` (contract D2.3).
    ///
    /// Errors: `required` at `pointer` for an empty list (contract D2.2), `too_many`, and one `unknown_scope` at
    /// `pointer/<index>` for every name that is none.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>, pointer: &str) -> Result<Scopes> {
        let mut granted = 0;
        let mut wrong = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            if index == SCOPE_NAMES_LIMIT {
                return Err(Error::field(pointer, "too_many", "List at most 100 scopes."));
            }
            match named(name) {
                Some(bits) => granted |= bits,
                None => wrong.push(FieldError {
                    pointer: format!("{pointer}/{index}"),
                    code: "unknown_scope",
                    message: format!(
                        "There is no scope {}; one is such as conversations:write, a bundle is basic, read_all, integration or full_access.",
                        quoted(name)
                    ),
                }),
            }
        }
        if !wrong.is_empty() {
            return Err(Error::invalid(wrong));
        }
        if granted == 0 {
            return Err(Error::field(pointer, "required", "List at least one scope; full_access stands for all."));
        }
        Ok(Scopes::of(granted))
    }

    /// The set of a stored text, the opposite of [`fmt::Display`]. Names that this version does not know grant nothing:
    /// a newer version may have written them.
    ///
    /// Errors: internal, when nothing known is left.
    pub fn from_stored(text: &str) -> Result<Scopes> {
        let granted = text.split(',').filter_map(Scope::from_text).fold(0, |bits, scope| bits | scope.bit());
        if granted == 0 {
            return Err(Error::internal("stored scopes hold no known name"));
        }
        Ok(Scopes::of(granted))
    }

    /// Every scope.
    pub fn full_access() -> Scopes {
        Scopes::of(bits(|_| true))
    }

    /// Whether a key with this set may do this.
    pub const fn allows(&self, scope: Scope) -> bool {
        self.effective & scope.bit() != 0
    }

    /// What was granted, without what follows from it, in the order of [`Scope::ALL`].
    pub fn granted(&self) -> impl Iterator<Item = Scope> + use<> {
        let granted = self.granted;
        Scope::ALL.iter().copied().filter(move |scope| granted & scope.bit() != 0)
    }

    fn of(granted: u64) -> Scopes {
        let effective = Scope::ALL
            .iter()
            .filter(|scope| granted & scope.bit() != 0)
            .fold(0, |effective, scope| effective | scope.closure());
        Scopes { granted, effective }
    }
}

/// The stored form: granted names with commas between.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.granted().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(scope.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

fn named(name: &str) -> Option<u64> {
    let reads = |scope: Scope| scope.name().ends_with(":read");
    Some(match name {
        "webhooks:manage" => Scope::WebhooksWrite.bit(),
        "channels:*" => Scope::ChannelsRead.bit() | Scope::ChannelsWrite.bit(),
        "basic" => Scope::ConversationsRead.bit() | Scope::ContactsRead.bit() | Scope::TagsRead.bit(),
        "read_all" => bits(reads),
        "integration" => {
            Scope::ConversationsWrite.bit()
                | Scope::ContactsWrite.bit()
                | Scope::TagsWrite.bit()
                | Scope::WebhooksWrite.bit()
                | Scope::AttachmentsWrite.bit()
        }
        "full_access" => bits(|_| true),
        _ => Scope::from_text(name)?.bit(),
    })
}

fn bits(wanted: impl Fn(Scope) -> bool) -> u64 {
    Scope::ALL.iter().filter(|scope| wanted(**scope)).fold(0, |bits, scope| bits | scope.bit())
}

/// A stranger's word in a message of ours: short and on one line.
fn quoted(name: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String = name.chars().take(SHOWN).collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn set(names: &[&str]) -> Scopes {
        Scopes::parse(names.iter().copied(), "/scopes").unwrap()
    }

    fn effective(scopes: Scopes) -> Vec<&'static str> {
        Scope::ALL.iter().filter(|scope| scopes.allows(**scope)).map(|scope| scope.name()).collect()
    }

    #[test]
    fn every_scope_allows_itself_its_read_and_nothing_else() {
        assert_eq!(Scope::ALL.len(), 43);
        for scope in Scope::ALL {
            assert_eq!(Scope::from_text(scope.name()), Some(*scope));
            let mut expected = vec![scope.name()];
            let read = scope.name().strip_suffix(":write").map(|surface| format!("{surface}:read"));
            expected.extend(read.as_deref());
            match scope {
                Scope::ConversationsWrite => expected.extend(["messages:read", "messages:send"]),
                Scope::ConversationsRead => expected.push("messages:read"),
                _ => {}
            }
            expected.sort_unstable();
            assert_eq!(effective(set(&[scope.name()])), expected);
        }
    }

    #[test]
    fn every_surface_of_the_contract_has_read_and_write() {
        let surfaces = "knowledge conversations contacts tags analytics users settings search bulk webhooks channels \
                        automations agents snippets sla attachments notifications teams csat status";
        for surface in surfaces.split_whitespace() {
            for action in ["read", "write"] {
                assert!(Scope::from_text(&format!("{surface}:{action}")).is_some(), "{surface}:{action}");
            }
        }
    }

    #[test]
    fn bundles_and_aliases_stand_for_their_scopes() {
        assert_eq!(set(&["basic"]).to_string(), "contacts:read,conversations:read,tags:read");
        assert_eq!(
            set(&["integration"]).to_string(),
            "attachments:write,contacts:write,conversations:write,tags:write,webhooks:write"
        );
        let reads: Vec<_> = Scope::ALL.iter().map(|s| s.name()).filter(|name| name.ends_with(":read")).collect();
        assert_eq!(effective(set(&["read_all"])), reads);
        assert_eq!(reads.len(), 22);
        assert_eq!(set(&["full_access"]), Scopes::full_access());
        assert!(Scope::ALL.iter().all(|scope| Scopes::full_access().allows(*scope)));
        assert_eq!(set(&["webhooks:manage"]), set(&["webhooks:write"]));
        assert_eq!(set(&["channels:*"]), set(&["channels:read", "channels:write"]));
    }

    #[test]
    fn sets_survive_storage() {
        for names in [&["basic"][..], &["full_access"], &["messages:send", "contacts:write", "messages:send"]] {
            let scopes = set(names);
            assert_eq!(Scopes::from_stored(&scopes.to_string()).unwrap(), scopes);
        }
        assert_eq!(Scopes::from_stored("tags:read,of_a_later_version:read").unwrap(), set(&["tags:read"]));
        assert_eq!(Scopes::from_stored("").unwrap_err().kind, Kind::Internal);
        // A bundle's name is never stored, so it must not grant anything when read back.
        assert!(Scopes::from_stored("full_access").is_err());
    }

    #[test]
    fn every_wrong_name_is_reported_at_once() {
        let error = Scopes::parse(["tags:read", "tags", "", "Tags:Read"], "/scopes").unwrap_err();
        let fields: Vec<_> = error.fields.iter().map(|field| (field.pointer.as_str(), field.code)).collect();
        let unknown = "unknown_scope";
        assert_eq!(fields, [("/scopes/1", unknown), ("/scopes/2", unknown), ("/scopes/3", unknown)]);
        assert!(error.fields[0].message.starts_with("There is no scope \"tags\"; one is such as conversations:write"));

        let empty = Scopes::parse([], "/scopes").unwrap_err();
        assert_eq!((empty.fields[0].pointer.as_str(), empty.fields[0].code), ("/scopes", "required"));
        assert!(Scopes::parse(["tags:read"; 100], "").is_ok());
        assert_eq!(Scopes::parse(["tags:read"; 101], "").unwrap_err().fields[0].code, "too_many");
    }
}
