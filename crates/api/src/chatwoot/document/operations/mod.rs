//! Every operation of the dialect, a few lines each. A route without one fails a test.

mod client;
mod contacts;
mod desk;
mod settings;

/// Who may call it.
#[derive(Clone, Copy)]
pub(super) enum Who {
    /// Whoever knows the address.
    Anyone,
    /// A user of the account, or a bot of it.
    Bot,
    /// A user of the account.
    Agent,
    /// An owner or administrator of the account.
    Admin,
}

/// An answer of 204.
pub(super) const NO_CONTENT: &str = "204";

/// An operation; query, body and answer are in the document's notation, empty for none.
pub(super) struct Operation {
    /// With a space between, where several do the same.
    pub methods: &'static str,
    path: &'static str,
    pub who: Who,
    pub query: &'static str,
    /// Members of the body.
    pub body: &'static str,
    pub answer: &'static str,
    /// What it does.
    pub says: &'static str,
}

impl Operation {
    /// Its path; in the table `A` stands for an account, `P` for an inbox of the client API, `T` for a conversation there.
    pub fn path(&self) -> String {
        let (head, rest) = self.path.split_at(1);
        let head = match head {
            "A" => "/api/v1/accounts/{account}",
            "P" => "/public/api/v1/inboxes/{inbox}",
            "T" => "/public/api/v1/inboxes/{inbox}/contacts/{contact}/conversations/{conversation}",
            other => other,
        };
        format!("{head}{rest}")
    }
}

const fn op(
    methods: &'static str,
    path: &'static str,
    who: Who,
    query: &'static str,
    body: &'static str,
    answer: &'static str,
    says: &'static str,
) -> Operation {
    Operation { methods, path, who, query, body, answer, says }
}

/// The operations by what they are about.
pub(super) const GROUPS: &[(&str, &[Operation])] = &[
    ("Client API", client::CLIENT),
    ("Profile and account", client::PROFILE),
    ("Inboxes", contacts::INBOXES),
    ("Contacts", contacts::CONTACTS),
    ("Conversations", desk::CONVERSATIONS),
    ("Messages", desk::MESSAGES),
    ("Agents, teams and bots", settings::PEOPLE),
    ("Settings", settings::SETTINGS),
    ("Webhooks", settings::WEBHOOKS),
    ("Reports", settings::REPORTS),
    ("Probes", client::PROBES),
];
