//! What needs no token, and what is about whoever asks.

use super::Who::{Agent, Anyone};
use super::{Operation, op};

const PUBLIC_CONTACT: &str = "source_id?: text, identifier?: text, identifier_hash?: text, name?: text, email?: text, \
    phone_number?: text, avatar_url?: text, custom_attributes?: object";
const PROFILE_BODY: &str = "name?: text, email?: text, display_name?: text, password?: text, current_password?: text, \
    password_confirmation?: text, message_signature?: text, ui_settings?: object";

const SURVEY: &str = "/public/api/v1/csat_survey/{conversation}";

pub(super) const CLIENT: &[Operation] = &[
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
    op("POST", "T/toggle_typing", Anyone, "", "typing_status?: 'on'|'off'", "", "Says that the customer types."),
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
    op("GET", SURVEY, Anyone, "", "", "Survey", "What a customer is asked about a conversation, and what they said."),
    op(
        "PUT PATCH",
        SURVEY,
        Anyone,
        "",
        "message: {submitted_values: {csat_survey_response: {rating: int, feedback_message?: text}}}",
        "Survey",
        "The customer says how it was.",
    ),
];

pub(super) const PROFILE: &[Operation] = &[
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
];

pub(super) const PROBES: &[Operation] = &[
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
];
