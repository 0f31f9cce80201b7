//! Every operation of the dialect, a line or two each. A route without one fails a test.

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
use Who::{Admin, Agent, Anyone, Bot};

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

const AGENTS: &str = "{payload: [Agent]}";
const CONTACTS: &str = "{meta: {count: int, current_page: int, has_more?: bool}, payload: [Contact]}";
const USERS: &str = "inbox_id: int, user_ids: [int]";
const CONTACT_BODY: &str = "name?: text|null, email?: text|null, phone_number?: text|null, identifier?: text|null, \
    inbox_id?: int, source_id?: text, avatar_url?: text, blocked?: bool, additional_attributes?: object, \
    custom_attributes?: object";
const PUBLIC_CONTACT: &str = "source_id?: text, identifier?: text, identifier_hash?: text, name?: text, email?: text, \
    phone_number?: text, avatar_url?: text, custom_attributes?: object";
const INBOX_BODY: &str = "name?: text, channel?: {type?: 'api', webhook_url?: text|null, hmac_mandatory?: bool, \
    additional_attributes?: object}, greeting_enabled?: bool, greeting_message?: text|null, enable_auto_assignment?: bool, \
    working_hours_enabled?: bool, working_hours?: [WorkingDay], out_of_office_message?: text|null, timezone?: text, \
    allow_messages_after_resolved?: bool, lock_to_single_conversation?: bool, csat_survey_enabled?: bool, \
    enable_email_collect?: bool, business_name?: text|null, sender_name_type?: text";
const MESSAGE_BODY: &str = "content?: text, message_type?: 'outgoing'|'incoming'|'activity'|'template', private?: bool, \
    content_type?: text, content_attributes?: object, attachments?: [file], source_id?: text, echo_id?: any, \
    external_created_at?: int|text";
const PROFILE_BODY: &str = "name?: text, email?: text, display_name?: text, password?: text, current_password?: text, \
    password_confirmation?: text, message_signature?: text, ui_settings?: object";
const AGENT_BODY: &str = "name?: text, email?: text, role?: 'agent'|'administrator', availability?: 'online'|'offline'|'busy', auto_offline?: bool";
const TEAM_BODY: &str = "name?: text, description?: text|null, allow_auto_assign?: bool";
const LABELS: &str = "{payload: [text]}";
const STATUS_QUERY: &str = "status?: 'open'|'resolved'|'pending'|'snoozed'|'all', assignee_type?: text, inbox_id?: int, \
    team_id?: int, labels?: [text], source_id?: text, page?: int";

/// The operations by what they are about.
pub(super) const GROUPS: &[(&str, &[Operation])] = &[
    (
        "Client API",
        &[
            op("GET", "P", Anyone, "", "", "PublicInbox", "The inbox."),
            op(
                "POST",
                "P/messages",
                Anyone,
                "",
                "source_id: text, identifier_hash?: text, contact?: object, conversation?: object, message: object",
                "{contact: PublicContact, conversation: PublicConversation, message: PublicMessage, \
                 created: {contact: bool, conversation: bool, message: bool}}",
                "Lands contact, conversation and message in one call, which can be sent again. Not in Chatwoot.",
            ),
            op(
                "POST",
                "P/contacts",
                Anyone,
                "",
                PUBLIC_CONTACT,
                "PublicContact",
                "Finds or makes a contact. A `source_id` that is known gives its contact; else a contact with the same identifier, email or phone number gets an address in this inbox.",
            ),
            op(
                "GET",
                "P/contacts/{contact}",
                Anyone,
                "identifier?: text, identifier_hash?: text",
                "",
                "PublicContact",
                "The contact at a source id.",
            ),
            op(
                "PUT PATCH",
                "P/contacts/{contact}",
                Anyone,
                "",
                PUBLIC_CONTACT,
                "RawContact",
                "Changes the contact. Whoever has the email or phone number already becomes one with it.",
            ),
            op(
                "GET",
                "P/contacts/{contact}/conversations",
                Anyone,
                "",
                "",
                "[PublicConversation]",
                "The contact's conversations.",
            ),
            op(
                "POST",
                "P/contacts/{contact}/conversations",
                Anyone,
                "",
                "custom_attributes?: object",
                "PublicConversation",
                "Opens a conversation.",
            ),
            op("GET", "T", Anyone, "", "", "PublicConversation", "A conversation."),
            op("POST", "T/toggle_status", Anyone, "", "", "PublicConversation", "Resolves the conversation."),
            op(
                "POST",
                "T/toggle_typing",
                Anyone,
                "",
                "typing_status?: 'on'|'off'",
                "",
                "Says that the customer types.",
            ),
            op(
                "POST",
                "T/update_last_seen",
                Anyone,
                "",
                "",
                "",
                "Says that the customer has seen everything. Messages to them are read from then on.",
            ),
            op(
                "GET",
                "T/messages",
                Anyone,
                "before?: int",
                "",
                "[PublicMessage]",
                "Messages, the newest 20 or those before one.",
            ),
            op(
                "POST",
                "T/messages",
                Anyone,
                "",
                "content?: text, echo_id?: any, source_id?: text, attachments?: [file]",
                "PublicMessage",
                "The customer says something.",
            ),
            op(
                "PUT PATCH",
                "T/messages/{message}",
                Anyone,
                "",
                "submitted_values: any",
                "PublicMessage",
                "The customer answers a form.",
            ),
        ],
    ),
    (
        "Profile and account",
        &[
            op("GET", "/api/v1/profile", Agent, "", "", "Profile", "Whose token this is."),
            op("PUT PATCH", "/api/v1/profile", Agent, "", PROFILE_BODY, "Profile", "Changes the caller's own profile."),
            op(
                "POST",
                "/api/v1/profile/availability",
                Agent,
                "",
                "profile: {account_id?: int, availability: 'online'|'offline'|'busy'}",
                "Profile",
                "Sets whether the caller takes work.",
            ),
            op(
                "POST",
                "/api/v1/profile/auto_offline",
                Agent,
                "",
                "profile: {account_id?: int, auto_offline: bool}",
                "Profile",
                "Sets whether the caller counts as away while no screen of theirs is open.",
            ),
            op("GET", "A", Agent, "", "", "Account", "The account."),
        ],
    ),
    (
        "Inboxes",
        &[
            op(
                "GET",
                "A/inboxes",
                Agent,
                "",
                "",
                "{payload: [Inbox]}",
                "Inboxes by name. Agents see those they are members of.",
            ),
            op("POST", "A/inboxes", Admin, "", INBOX_BODY, "Inbox", "Makes an API inbox."),
            op("GET", "A/inboxes/{inbox}", Agent, "", "", "Inbox", "An inbox."),
            op("PUT PATCH", "A/inboxes/{inbox}", Admin, "", INBOX_BODY, "Inbox", "Changes an inbox."),
            op(
                "DELETE",
                "A/inboxes/{inbox}",
                Admin,
                "",
                "",
                "{message: text}",
                "Deletes an inbox without conversations.",
            ),
            op("GET", "A/inbox_members/{inbox}", Agent, "", "", AGENTS, "Members of an inbox."),
            op("POST", "A/inbox_members", Admin, "", USERS, AGENTS, "Adds members."),
            op("PUT PATCH", "A/inbox_members", Admin, "", USERS, AGENTS, "Sets the members."),
            op("DELETE", "A/inbox_members", Admin, "", USERS, "", "Removes members."),
            op(
                "GET",
                "A/assignable_agents",
                Agent,
                "inbox_ids?: [int]",
                "",
                AGENTS,
                "Members of all these inboxes, and administrators.",
            ),
        ],
    ),
    (
        "Contacts",
        &[
            op(
                "GET",
                "A/contacts",
                Agent,
                "sort?: text, page?: int",
                "",
                CONTACTS,
                "Contacts that have an address, 15 to a page.",
            ),
            op(
                "POST",
                "A/contacts",
                Agent,
                "",
                CONTACT_BODY,
                "{payload: {contact: Contact, contact_inbox: {inbox: object|null, source_id: text|null}}}",
                "Makes a contact, with an address in an inbox if one is named. An address that somebody has is refused.",
            ),
            op(
                "GET",
                "A/contacts/search",
                Agent,
                "q: text, sort?: text, page?: int",
                "",
                CONTACTS,
                "Contacts whose name or addresses hold a text.",
            ),
            op(
                "POST",
                "A/contacts/filter",
                Agent,
                "page?: int",
                "payload: [Condition]",
                CONTACTS,
                "Contacts that meet conditions. `equal_to` with several values is any of them; phone numbers need no `+`.",
            ),
            op("GET", "A/contacts/{contact}", Agent, "", "", "{payload: Contact}", "A contact."),
            op(
                "PUT PATCH",
                "A/contacts/{contact}",
                Agent,
                "",
                CONTACT_BODY,
                "{payload: Contact}",
                "Changes a contact. Attributes are merged.",
            ),
            op("DELETE", "A/contacts/{contact}", Admin, "", "", "", "Deletes a contact without conversations."),
            op(
                "GET",
                "A/contacts/{contact}/conversations",
                Agent,
                "",
                "",
                "{payload: [Conversation]}",
                "The contact's newest 20 conversations.",
            ),
            op(
                "GET",
                "A/contacts/{contact}/contactable_inboxes",
                Agent,
                "",
                "",
                "{payload: [{inbox: InboxSlim, source_id: text}]}",
                "Where the contact can be written to.",
            ),
            op(
                "POST",
                "A/contacts/{contact}/contact_inboxes",
                Agent,
                "",
                "inbox_id: int, source_id?: text, hmac_verified?: bool",
                "{source_id: text, inbox: InboxSlim}",
                "Gives the contact an address in an inbox.",
            ),
            op(
                "POST",
                "A/contacts/{contact}/destroy_custom_attributes",
                Agent,
                "",
                "custom_attributes: [text]",
                "{payload: Contact}",
                "Takes attributes away.",
            ),
            op(
                "POST",
                "A/contact_inboxes/filter",
                Agent,
                "",
                "inbox_id: int, source_id: text",
                "Contact",
                "The contact at a source id.",
            ),
            op(
                "POST",
                "A/actions/contact_merge",
                Agent,
                "",
                "base_contact_id: int, mergee_contact_id: int",
                "Contact",
                "Makes two contacts one. Everything moves to the base; its values win.",
            ),
        ],
    ),
    (
        "Conversations",
        &[
            op(
                "GET",
                "A/conversations",
                Agent,
                STATUS_QUERY,
                "",
                "{data: {meta: Counts, payload: [Conversation]}}",
                "Conversations, 25 to a page; open ones if no status is given.",
            ),
            op(
                "POST",
                "A/conversations",
                Bot,
                "",
                "source_id?: text, inbox_id?: int, contact_id?: int, status?: ConversationStatus, assignee_id?: int|null, team_id?: int|null, priority?: Priority|null, additional_attributes?: object, custom_attributes?: object, snoozed_until?: int|text, hmac_verified?: bool, message?: object",
                "Conversation",
                "Opens a conversation. Without `source_id` the contact's newest address in the inbox is used again.",
            ),
            op(
                "GET",
                "A/conversations/meta",
                Agent,
                STATUS_QUERY,
                "",
                "{meta: Counts}",
                "How many conversations a filter finds.",
            ),
            op("GET", "A/conversations/{conversation}", Bot, "", "", "Conversation", "A conversation."),
            op(
                "PUT PATCH",
                "A/conversations/{conversation}",
                Bot,
                "",
                "priority?: Priority|null",
                "Conversation",
                "Sets the priority.",
            ),
            op(
                "POST",
                "A/conversations/{conversation}/toggle_status",
                Bot,
                "",
                "status?: ConversationStatus, snoozed_until?: int|text",
                "{meta: object, payload: {success: bool|null, conversation_id: int, current_status: ConversationStatus, snoozed_until: iso|null}}",
                "Sets the status. Without one an open conversation is resolved, any other opened.",
            ),
            op(
                "POST",
                "A/conversations/{conversation}/toggle_priority",
                Bot,
                "",
                "priority: Priority|null",
                "",
                "Sets the priority.",
            ),
            op(
                "POST",
                "A/conversations/{conversation}/toggle_typing_status",
                Bot,
                "",
                "typing_status: 'on'|'off', is_private?: bool",
                "",
                "Says that the caller types.",
            ),
            op(
                "POST",
                "A/conversations/{conversation}/assignments",
                Bot,
                "",
                "assignee_id?: int|null, team_id?: int|null, assignee_type?: text",
                "Agent|AgentBotSlim|RawTeam|null",
                "Gives the conversation to an agent or a team. Where `assignee_id` is named, `team_id` is passed over.",
            ),
            op("GET", "A/conversations/{conversation}/labels", Bot, "", "", LABELS, "Labels of a conversation."),
            op(
                "POST",
                "A/conversations/{conversation}/labels",
                Bot,
                "",
                "labels: [text]",
                LABELS,
                "Replaces the labels.",
            ),
            op(
                "POST",
                "A/conversations/{conversation}/custom_attributes",
                Bot,
                "",
                "custom_attributes: object",
                "{custom_attributes: object}",
                "Replaces the attributes.",
            ),
            op(
                "POST",
                "A/conversations/{conversation}/update_last_seen",
                Agent,
                "",
                "",
                "Conversation",
                "Says that the agents have seen everything.",
            ),
            op(
                "GET",
                "A/conversations/{conversation}/participants",
                Agent,
                "",
                "",
                "[Agent]",
                "Who follows a conversation.",
            ),
            op(
                "POST PUT PATCH",
                "A/conversations/{conversation}/participants",
                Agent,
                "",
                "user_ids: [int]",
                "[Agent]",
                "Adds followers; PUT and PATCH set them.",
            ),
            op(
                "DELETE",
                "A/conversations/{conversation}/participants",
                Agent,
                "",
                "user_ids: [int]",
                "",
                "Removes followers.",
            ),
        ],
    ),
    (
        "Messages",
        &[
            op(
                "GET",
                "A/conversations/{conversation}/messages",
                Agent,
                "before?: int, after?: int, filter_internal_messages?: bool",
                "",
                "{meta: {labels: [text], additional_attributes: object, contact: ContactSender, assignee: UserSender|BotSender|null, agent_last_seen_at: iso|null, assignee_last_seen_at: iso|null}, payload: [Message]}",
                "Messages, oldest first: the newest 20, 20 before one, 100 after one.",
            ),
            op(
                "POST",
                "A/conversations/{conversation}/messages",
                Bot,
                "",
                MESSAGE_BODY,
                "Message",
                "Writes a message. A `source_id` that the conversation has already gives that message.",
            ),
            op(
                "PUT PATCH",
                "A/conversations/{conversation}/messages/{message}",
                Agent,
                "",
                "status?: MessageStatus, external_error?: text, content?: text",
                "Message",
                "Says how far a message got, or changes its text.",
            ),
            op(
                "DELETE",
                "A/conversations/{conversation}/messages/{message}",
                Agent,
                "",
                "",
                "Message",
                "Deletes what a message says.",
            ),
        ],
    ),
    (
        "Agents and teams",
        &[
            op("GET", "A/agents", Agent, "", "", "[Agent]", "Agents by name."),
            op("POST", "A/agents", Admin, "", AGENT_BODY, "Agent", "Makes an agent. Nobody is written to."),
            op("PUT PATCH", "A/agents/{agent}", Admin, "", AGENT_BODY, "Agent", "Changes an agent."),
            op("DELETE", "A/agents/{agent}", Admin, "", "", "", "Dismisses an agent."),
            op("GET", "A/teams", Agent, "", "", "[Team]", "Teams by name."),
            op("POST", "A/teams", Admin, "", TEAM_BODY, "Team", "Makes a team."),
            op("GET", "A/teams/{team}", Agent, "", "", "Team", "A team."),
            op("PUT PATCH", "A/teams/{team}", Admin, "", TEAM_BODY, "Team", "Changes a team."),
            op("DELETE", "A/teams/{team}", Admin, "", "", "", "Deletes a team."),
            op("GET", "A/teams/{team}/team_members", Agent, "", "", "[Agent]", "Members of a team."),
            op(
                "POST",
                "A/teams/{team}/team_members",
                Admin,
                "",
                "user_ids: [int]",
                "[Agent]",
                "Adds members; the answer has the new ones.",
            ),
            op(
                "PUT PATCH",
                "A/teams/{team}/team_members",
                Admin,
                "",
                "user_ids: [int]",
                "[Agent]",
                "Sets the members.",
            ),
            op("DELETE", "A/teams/{team}/team_members", Admin, "", "user_ids: [int]", "", "Removes members."),
        ],
    ),
    (
        "Settings",
        &[
            op("GET", "A/labels", Bot, "", "", "{payload: [Label]}", "Labels by title."),
            op(
                "POST",
                "A/labels",
                Admin,
                "",
                "title: text, description?: text, color?: text, show_on_sidebar?: bool",
                "Label",
                "Makes a label.",
            ),
            op("GET", "A/labels/{label}", Agent, "", "", "Label", "A label."),
            op("DELETE", "A/labels/{label}", Admin, "", "", "", "Deletes a label."),
            op(
                "GET",
                "A/custom_attribute_definitions",
                Agent,
                "attribute_model?: text",
                "",
                "[AttributeDefinition]",
                "Definitions of attributes.",
            ),
            op(
                "POST",
                "A/custom_attribute_definitions",
                Admin,
                "",
                "attribute_display_name?: text, attribute_display_type?: int|text, attribute_description?: text, attribute_key: text, attribute_values?: [text], attribute_model: int|text",
                "AttributeDefinition",
                "Defines an attribute.",
            ),
            op(
                "GET",
                "A/custom_attribute_definitions/{definition}",
                Agent,
                "",
                "",
                "AttributeDefinition",
                "A definition.",
            ),
            op(
                "DELETE",
                "A/custom_attribute_definitions/{definition}",
                Admin,
                "",
                "",
                NO_CONTENT,
                "Deletes a definition.",
            ),
        ],
    ),
    (
        "Probes",
        &[
            op(
                "GET",
                "/api",
                Anyone,
                "",
                "",
                "{version: text, timestamp: text, queue_services: text, data_services: text, tieline: text}",
                "Which contract this server speaks, and whether it works.",
            ),
            op("GET", "/health", Anyone, "", "", "{status: text}", "Whether the server answers."),
        ],
    ),
];
