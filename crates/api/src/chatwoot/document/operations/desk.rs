//! Conversations and messages.

use super::Who::{Agent, Bot};
use super::{Operation, op};

const MESSAGE_BODY: &str = "content?: text, message_type?: 'outgoing'|'incoming'|'activity'|'template', private?: bool, \
    content_type?: text, content_attributes?: object, attachments?: [file], source_id?: text, echo_id?: any, \
    external_created_at?: int|text";
const LABELS: &str = "{payload: [text]}";
const STATUS_QUERY: &str = "status?: 'open'|'resolved'|'pending'|'snoozed'|'all', assignee_type?: text, inbox_id?: int, \
    team_id?: int, labels?: [text], source_id?: text, q?: text, sort_by?: text, \
    conversation_type?: text, updated_within?: int, page?: int";

pub(super) const CONVERSATIONS: &[Operation] = &[
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
        "POST",
        "A/conversations/filter",
        Agent,
        "page?: int",
        "payload: [Condition]",
        "{meta: Counts, payload: [Conversation]}",
        "Conversations that meet conditions, of every status.",
    ),
    op(
        "GET",
        "A/conversations/search",
        Agent,
        "q: text, page?: int",
        "",
        "{meta: Counts, payload: [Hit]}",
        "Conversations in which something was said.",
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
    op("POST", "A/conversations/{conversation}/labels", Bot, "", "labels: [text]", LABELS, "Replaces the labels."),
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
    op("GET", "A/conversations/{conversation}/participants", Agent, "", "", "[Agent]", "Who follows a conversation."),
    op(
        "POST PUT PATCH",
        "A/conversations/{conversation}/participants",
        Agent,
        "",
        "user_ids: [int]",
        "[Agent]",
        "Adds followers; PUT and PATCH set them.",
    ),
    op("DELETE", "A/conversations/{conversation}/participants", Agent, "", "user_ids: [int]", "", "Removes followers."),
];

pub(super) const MESSAGES: &[Operation] = &[
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
];
