//! What the views beside this file look like, for the document: a name and its members, in the notation of the dialect's
//! document (`name: type`, `name?` for one that may be absent, `|null`, `[type]`, `'word'`).
//!
//! Tests hold every answer to it, member by member.

/// A shape: its name, what it is, its members.
pub type Shape = (&'static str, &'static str, &'static str);

/// Every named shape.
pub const SHAPES: &[Shape] = &[
    (
        "Refusal",
        "What went wrong: `error` and `message` say the same, because clients read one or the other.",
        "error?: text|object, message?: text, attributes?: [text], errors?: [text], status?: int",
    ),
    (
        "Contact",
        "A contact. Times are unix seconds.",
        "additional_attributes: object, availability_status: 'online'|'offline', email: text|null, id: int, name: text, \
         phone_number: text|null, blocked: bool, identifier: text|null, thumbnail: text, custom_attributes: object, \
         last_activity_at?: int, created_at: int, contact_inboxes?: [{source_id: text, inbox: InboxSlim}]",
    ),
    (
        "RawContact",
        "A contact as a record, with the address through which it was asked for where there is one.",
        "id: int, name: text, email: text|null, phone_number: text|null, identifier: text|null, account_id: int, \
         additional_attributes: object, custom_attributes: object, blocked: bool, contact_type: text, country_code: text, \
         location: text, middle_name: text, last_name: text, last_activity_at: iso, company_id: int|null, created_at: iso, \
         updated_at: iso, source_id?: text, pubsub_token?: text",
    ),
    (
        "PublicContact",
        "What the client API tells of a contact.",
        "source_id: text, pubsub_token: text, id: int, name: text, email: text|null, phone_number: text|null",
    ),
    (
        "ContactSender",
        "A contact as a sender.",
        "additional_attributes: object, custom_attributes: object, email: text|null, id: int, identifier: text|null, \
         name: text, phone_number: text|null, thumbnail: text, blocked: bool, type: 'contact'",
    ),
    (
        "UserSender",
        "An agent as a sender.",
        "id: int, name: text, available_name: text, avatar_url: text, type: 'user', \
         availability_status: 'online'|'offline'|'busy', thumbnail: text",
    ),
    ("BotSender", "A program as a sender.", "id: int, name: text, avatar_url: text, type: 'agent_bot'"),
    ("InboxSlim", "An inbox inside something else.", INBOX_SLIM),
    (
        "Inbox",
        "An inbox. `hmac_token` and `secret` are for administrators; members of website inboxes are always null.",
        "id: int, avatar_url: text, channel_id: int, name: text, channel_type: text, greeting_enabled: bool, \
         greeting_message: text|null, working_hours_enabled: bool, enable_email_collect: bool, csat_survey_enabled: bool, \
         csat_config: object, enable_auto_assignment: bool, auto_assignment_config: object, \
         out_of_office_message: text|null, working_hours: [WorkingDay], timezone: text, callback_webhook_url: null, \
         allow_messages_after_resolved: bool, lock_to_single_conversation: bool, sender_name_type: text|int, \
         business_name: text|null, hmac_mandatory: bool, hmac_token?: text, secret?: text|null, webhook_url: text|null, \
         inbox_identifier: text, additional_attributes: object|null, portal_id: int|null, provider: null, \
         phone_number: null, allowed_domains: null, widget_color: null, website_url: null, welcome_title: null, \
         welcome_tagline: null, web_widget_script: null, website_token: null, selected_feature_flags: null, \
         reply_time: null, messaging_service_sid: null",
    ),
    (
        "WorkingDay",
        "Hours of a day of the week, 0 for Sunday; null where it is closed.",
        "day_of_week: int, closed_all_day: bool, open_hour: int|null, open_minutes: int|null, close_hour: int|null, \
         close_minutes: int|null, open_all_day: bool",
    ),
    (
        "PublicInbox",
        "What the client API tells of an inbox.",
        "identifier: text, identity_validation_enabled: bool, name: text, timezone: text, working_hours: [WorkingDay], \
         working_hours_enabled: bool, csat_survey_enabled: bool, greeting_enabled: bool",
    ),
    (
        "Agent",
        "An agent.",
        "id: int, account_id: int, availability_status: 'online'|'offline'|'busy', auto_offline: bool, confirmed: bool, \
         email: text, provider: text, available_name: text, custom_attributes: object, name: text, \
         role: 'agent'|'administrator', thumbnail: text, custom_role_id: null",
    ),
    (
        "Team",
        "A team; `is_member` is about whoever asks.",
        "id: int, name: text, description: text|null, allow_auto_assign: bool, account_id: int, is_member: bool",
    ),
    (
        "RawTeam",
        "A team as a record.",
        "id: int, name: text, description: text|null, allow_auto_assign: bool, account_id: int, created_at: iso, \
         updated_at: iso",
    ),
    (
        "Label",
        "A label; conversations carry its title.",
        "id: int, title: text, description: text|null, color: text, show_on_sidebar: bool",
    ),
    (
        "AttributeDefinition",
        "The definition of a custom attribute.",
        "id: int, attribute_display_name: text, \
         attribute_display_type: 'text'|'number'|'currency'|'percent'|'link'|'date'|'list'|'checkbox', \
         attribute_description: text, attribute_key: text, regex_pattern: text|null, regex_cue: text|null, \
         attribute_values: [text], attribute_model: 'contact_attribute'|'conversation_attribute', default_value: any, \
         created_at: iso, updated_at: iso",
    ),
    (
        "Profile",
        "Whoever asks.",
        "access_token: text, account_id: int|null, available_name: text, avatar_url: text, confirmed: bool, \
         display_name: text|null, message_signature: text|null, email: text, id: int, inviter_id: int|null, name: text, \
         provider: text, pubsub_token: text, custom_attributes: object, role: 'agent'|'administrator', \
         ui_settings: object, uid: text, type: text|null, accounts: [{id: int, name: text, status: text, \
         active_at: iso|null, role: 'agent'|'administrator', permissions: [text], \
         availability: 'online'|'offline'|'busy', availability_status: 'online'|'offline'|'busy', auto_offline: bool}]",
    ),
    (
        "Account",
        "The account.",
        "id: int, name: text, locale: text, domain: text|null, support_email: text|null, status: text, features: object, \
         settings: object, custom_attributes: object, cache_keys: object, created_at: iso, \
         latest_chatwoot_version: text|null",
    ),
    (
        "Conversation",
        "A conversation. Its id is its number in the account. Times are unix seconds, 0 for never; `messages` holds the \
         newest one at most; `unread_count` goes to ten.",
        "meta: {sender: Contact, channel: text, assignee: Agent|AgentBotSlim|null, \
         assignee_type: 'User'|'AgentBot'|null, team: Team|null, hmac_verified: bool}, id: int, messages: [PushedMessage], \
         account_id: int, uuid: text, additional_attributes: object, agent_last_seen_at: int, assignee_last_seen_at: int, \
         can_reply: bool, contact_last_seen_at: int, custom_attributes: object, inbox_id: int, labels: [text], muted: bool, \
         snoozed_until: iso|null, status: ConversationStatus, created_at: int, updated_at: num, timestamp: int, \
         first_reply_created_at: int, unread_count: int, last_non_activity_message: PushedMessage|null, \
         last_activity_at: int, priority: Priority|null, waiting_since: int, sla_policy_id: int|null",
    ),
    (
        "PublicConversation",
        "A conversation as the client API shows it, with what its customer may read.",
        "id: int, uuid: text, inbox_id: int, contact_last_seen_at: int, status: ConversationStatus, \
         agent_last_seen_at: int, messages: [PublicMessage], contact: RawContact",
    ),
    (
        "Counts",
        "How many conversations a filter finds, whoever has them; `complete` says whether a search looked at all.",
        "mine_count: int, assigned_count: int, unassigned_count: int, all_count: int, complete?: bool",
    ),
    (
        "Message",
        "A message. `message_type` is 0 from the customer, 1 to them, 2 for what happened, 3 by a template.",
        "id: int, content: text|null, inbox_id: int, conversation_id: int, message_type: int, content_type: text, \
         status: MessageStatus, content_attributes: object, created_at: int, private: bool, source_id: text|null, \
         echo_id?: any, sender?: ContactSender|UserSender|BotSender, attachments?: [Attachment]",
    ),
    (
        "PushedMessage",
        "A message inside a conversation.",
        "id: int, content: text|null, account_id: int, inbox_id: int, conversation_id: int, message_type: int, \
         created_at: int, updated_at: iso, private: bool, status: MessageStatus, source_id: text|null, content_type: text, \
         content_attributes: object, sender_type: 'Contact'|'User'|'AgentBot'|null, sender_id: int|null, \
         external_source_ids: object, additional_attributes: object, processed_message_content: text|null, \
         sentiment: object, conversation: {assignee_id: int|null, unread_count: int, last_activity_at: int, \
         contact_inbox: {source_id: text|null}}, sender?: ContactSender|UserSender|BotSender, attachments?: [Attachment]",
    ),
    (
        "PublicMessage",
        "A message as the client API shows it.",
        "id: int, content: text|null, message_type: int, content_type: text, content_attributes: object, created_at: int, \
         conversation_id: int, attachments?: [Attachment], sender?: ContactSender|UserSender|BotSender, echo_id?: any, \
         source_id?: text|null",
    ),
    (
        "Attachment",
        "A file of a message. `data_url` needs no credentials and expires; it is empty until the file is here.",
        "id: int, message_id: int, file_type: 'image'|'audio'|'video'|'file', account_id: int, extension: text|null, \
         content_type: text, data_url: text, thumb_url: text, file_size: int, width: int|null, height: int|null, \
         transcribed_text?: text",
    ),
    (
        "AgentBot",
        "A bot. `access_token` and `secret` are for administrators.",
        "id: int, name: text, description: text|null, thumbnail: text, outgoing_url: text|null, bot_type: text, \
         bot_config: object, account_id: int, system_bot: bool, access_token?: text, secret?: text",
    ),
    (
        "AgentBotSlim",
        "A bot that has a conversation.",
        "id: int, name: text, description: text|null, thumbnail: text, type: 'agent_bot'",
    ),
    (
        "Webhook",
        "A webhook of the account; with `inbox` it gets the events of that one only.",
        "id: int, name: text|null, url: text, account_id: int, subscriptions: [text], secret: text, \
         inbox?: {id: int, name: text}",
    ),
    ("NoBot", "Nothing.", ""),
    (
        "AutomationRule",
        "An automation rule, as whoever wrote it spelled it.",
        "id: int, account_id: int, name: text, description: text|null, event_name: text, conditions: [Condition], \
         actions: [Action], created_on: int, active: bool",
    ),
    ("Action", "What a rule does.", "action_name: text, action_params?: any"),
    ("Metrics", "Metrics of a time; averages are seconds.", METRICS),
    ("Summary", "Metrics of a time, and of the time before it.", SUMMARY),
    ("Now", "How many conversations stand where.", "open: int, unattended: int, unassigned: int, pending: int"),
    (
        "AgentNow",
        "What an agent has.",
        "id: int, name: text, email: text, thumbnail: text, availability: text, metric: {open: int, unattended: int}",
    ),
    (
        "ListedFile",
        "A file as the list of a conversation's files shows it.",
        "id: int, message_id: int, file_type: 'image'|'audio'|'video'|'file', account_id: int, extension: text|null, \
         content_type: text, data_url: text, thumb_url: text, file_size: int, width: int|null, height: int|null, \
         transcribed_text?: text, created_at: int, sender?: any",
    ),
    (
        "Note",
        "A note on a contact. Times are unix seconds.",
        "id: int, content: text, account_id: int, contact_id: int, created_at: int, updated_at: int, user?: Agent",
    ),
    (
        "CannedResponse",
        "A text that agents say often, by its short code.",
        "id: int, account_id: int, short_code: text, content: text, created_at: iso, updated_at: iso",
    ),
    (
        "Results",
        "What a search found, by kind.",
        "contacts?: [Contact], conversations?: [Hit], messages?: [Message], articles?: [any]",
    ),
    (
        "Survey",
        "How satisfied a customer was with a conversation.",
        "id: int, csat_survey_response: {rating: int, feedback_message: text|null, conversation_id: int, \
         message_id: int}|null, display_type: text, content: text, inbox_avatar_url: text, inbox_name: text, locale: text, \
         conversation_id: int, created_at: iso",
    ),
    (
        "Hit",
        "A conversation that a search found, with what was said.",
        "id: int, uuid: text, created_at: int, contact: {id: int, name: text}, \
         inbox: {id: int, name: text, channel_type: text}, messages: [{id: int, content: text|null, \
         sender_name: text|null, message_type: int, created_at: int}], account_id: int",
    ),
    (
        "Condition",
        "One condition of a filter. Conditions are joined by the `query_operator` of the one before; AND binds tighter.",
        "attribute_key: text, filter_operator: text, values?: any, query_operator?: 'and'|'or'|'AND'|'OR'|null, \
         attribute_model?: text, custom_attribute_type?: text",
    ),
];

const METRICS: &str = "conversations_count: num, incoming_messages_count: num, outgoing_messages_count: num, \
    avg_first_response_time: num, avg_resolution_time: num, resolutions_count: num, reply_time: num";
const SUMMARY: &str = "conversations_count: num, incoming_messages_count: num, outgoing_messages_count: num, \
    avg_first_response_time: num, avg_resolution_time: num, resolutions_count: num, reply_time: num, previous: Metrics";
const INBOX_SLIM: &str = "id: int, avatar_url: text, channel_id: int, name: text, channel_type: text, provider: null";

/// Named sets of words.
pub const WORDS: &[(&str, &str)] = &[
    ("ConversationStatus", "'open'|'resolved'|'pending'|'snoozed'"),
    ("MessageStatus", "'sent'|'delivered'|'read'|'failed'"),
    ("Priority", "'low'|'medium'|'high'|'urgent'"),
];
