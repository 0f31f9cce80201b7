//! Inboxes and contacts.

use super::Who::{Admin, Agent};
use super::{Operation, op};

const AGENTS: &str = "{payload: [Agent]}";
const FOUND: &str = "{meta: {count: int, current_page: int, has_more?: bool, complete?: bool}, payload: [Contact]}";
const USERS: &str = "inbox_id: int, user_ids: [int]";
const LISTED: &str = "sort?: text, labels?: [text], include_contact_inboxes?: bool, page?: int";
const CONTACT_BODY: &str = "name?: text|null, email?: text|null, phone_number?: text|null, identifier?: text|null, \
    inbox_id?: int, source_id?: text, avatar_url?: text, blocked?: bool, additional_attributes?: object, \
    custom_attributes?: object";
const INBOX_BODY: &str = "name?: text, channel?: {type?: 'api', webhook_url?: text|null, hmac_mandatory?: bool, \
    additional_attributes?: object}, greeting_enabled?: bool, greeting_message?: text|null, enable_auto_assignment?: bool, \
    working_hours_enabled?: bool, working_hours?: [WorkingDay], out_of_office_message?: text|null, timezone?: text, \
    allow_messages_after_resolved?: bool, lock_to_single_conversation?: bool, csat_survey_enabled?: bool, \
    enable_email_collect?: bool, business_name?: text|null, sender_name_type?: text";

pub(super) const INBOXES: &[Operation] = &[
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
    op("DELETE", "A/inboxes/{inbox}", Admin, "", "", "{message: text}", "Deletes an inbox without conversations."),
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
    op("GET", "A/inboxes/{inbox}/agent_bot", Agent, "", "", "{agent_bot: AgentBot|NoBot}", "The bot of an inbox."),
    op(
        "POST",
        "A/inboxes/{inbox}/set_agent_bot",
        Admin,
        "",
        "agent_bot: int|null",
        "",
        "Puts a bot on an inbox, or takes it off.",
    ),
];

pub(super) const CONTACTS: &[Operation] = &[
    op("GET", "A/contacts", Agent, LISTED, "", FOUND, "Contacts that have an address, 15 to a page."),
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
        "q: text, sort?: text, page?: int, include_contact_inboxes?: bool",
        "",
        FOUND,
        "Contacts whose name or addresses hold a text.",
    ),
    op(
        "POST",
        "A/contacts/filter",
        Agent,
        "page?: int",
        "payload: [Condition]",
        FOUND,
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
    op("GET", "A/contacts/{contact}/labels", Agent, "", "", "{payload: [text]}", "Labels of a contact."),
    op("POST", "A/contacts/{contact}/labels", Agent, "", "labels: [text]", "{payload: [text]}", "Replaces the labels."),
    op("GET", "A/contacts/{contact}/notes", Agent, "", "", "[Note]", "Notes on a contact."),
    op("POST", "A/contacts/{contact}/notes", Agent, "", "content: text", "Note", "Writes a note."),
    op("GET", "A/contacts/{contact}/notes/{note}", Agent, "", "", "Note", "A note."),
    op("PUT PATCH", "A/contacts/{contact}/notes/{note}", Agent, "", "content: text", "Note", "Changes a note."),
    op("DELETE", "A/contacts/{contact}/notes/{note}", Agent, "", "", "", "Deletes a note."),
    op("DELETE", "A/contacts/{contact}/avatar", Agent, "", "", "{payload: Contact}", "Takes the picture away."),
];
