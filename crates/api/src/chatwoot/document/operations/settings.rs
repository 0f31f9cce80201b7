//! Agents, teams, bots, labels, attributes, rules.

use super::Who::{Admin, Agent, Bot};
use super::{NO_CONTENT, Operation, op};

const AGENT_BODY: &str = "name?: text, email?: text, role?: 'agent'|'administrator', availability?: 'online'|'offline'|'busy', auto_offline?: bool";
const TEAM_BODY: &str = "name?: text, description?: text|null, allow_auto_assign?: bool";

const REPORT_QUERY: &str = "metric?: text, type: 'account'|'agent'|'inbox'|'label'|'team', id?: int|text, since?: int, \
    until?: int, group_by?: text, timezone_offset?: num, business_hours?: bool";
const ATTRIBUTE_BODY: &str = "attribute_display_name?: text, attribute_display_type?: int|text, \
    attribute_description?: text, attribute_key: text, attribute_values?: [text], attribute_model: int|text";
const ATTRIBUTE_CHANGES: &str = "attribute_display_name?: text, attribute_display_type?: int|text, \
    attribute_description?: text, attribute_values?: [text]";
const WEBHOOK_BODY: &str = "url?: text, name?: text|null, subscriptions?: [text]|null, inbox_id?: int|null";
const MADE_WEBHOOK: &str = "{payload: {webhook: Webhook, id: int}}";
const BOT_BODY: &str =
    "name?: text, description?: text|null, outgoing_url?: text|null, bot_type?: text|int, bot_config?: object";
const RULE_BODY: &str = "name?: text, description?: text|null, event_name?: text, conditions?: [Condition], \
    actions?: [Action], active?: bool";

pub(super) const PEOPLE: &[Operation] = &[
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
    op("PUT PATCH", "A/teams/{team}/team_members", Admin, "", "user_ids: [int]", "[Agent]", "Sets the members."),
    op("DELETE", "A/teams/{team}/team_members", Admin, "", "user_ids: [int]", "", "Removes members."),
    op("GET", "A/agent_bots", Agent, "", "", "[AgentBot]", "Bots."),
    op("POST", "A/agent_bots", Admin, "", BOT_BODY, "AgentBot", "Makes a bot."),
    op("GET", "A/agent_bots/{bot}", Agent, "", "", "AgentBot", "A bot."),
    op("PUT PATCH", "A/agent_bots/{bot}", Admin, "", BOT_BODY, "AgentBot", "Changes a bot."),
    op("DELETE", "A/agent_bots/{bot}", Admin, "", "", "", "Deletes a bot."),
    op(
        "POST",
        "A/agent_bots/{bot}/reset_access_token",
        Admin,
        "",
        "",
        "AgentBot",
        "Gives the bot another access token.",
    ),
    op("POST", "A/agent_bots/{bot}/reset_secret", Admin, "", "", "AgentBot", "Gives the bot another secret."),
];

pub(super) const SETTINGS: &[Operation] = &[
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
    op(
        "PUT PATCH",
        "A/labels/{label}",
        Admin,
        "",
        "title?: text, description?: text, color?: text, show_on_sidebar?: bool",
        "Label",
        "Changes a label.",
    ),
    op("DELETE", "A/labels/{label}", Admin, "", "", "", "Deletes a label."),
    op("GET", "A/canned_responses", Agent, "search?: text", "", "[CannedResponse]", "Texts that agents say often."),
    op(
        "POST",
        "A/canned_responses",
        Agent,
        "",
        "short_code: text, content: text",
        "CannedResponse",
        "Makes a canned response.",
    ),
    op(
        "PUT PATCH",
        "A/canned_responses/{canned}",
        Agent,
        "",
        "short_code?: text, content?: text",
        "CannedResponse",
        "Changes a canned response.",
    ),
    op("DELETE", "A/canned_responses/{canned}", Agent, "", "", "", "Deletes a canned response."),
    op("GET", "A/search", Agent, "q: text, page?: int", "", "{payload: Results}", "Searches everything."),
    op(
        "GET",
        "A/search/{kind}",
        Agent,
        "q: text, page?: int",
        "",
        "{payload: Results}",
        "Searches one kind: `contacts`, `conversations`, `messages` or `articles`.",
    ),
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
        ATTRIBUTE_BODY,
        "AttributeDefinition",
        "Defines an attribute.",
    ),
    op("GET", "A/custom_attribute_definitions/{definition}", Agent, "", "", "AttributeDefinition", "A definition."),
    op(
        "PUT PATCH",
        "A/custom_attribute_definitions/{definition}",
        Admin,
        "",
        ATTRIBUTE_CHANGES,
        "AttributeDefinition",
        "Changes a definition; its key and model stay.",
    ),
    op("DELETE", "A/custom_attribute_definitions/{definition}", Admin, "", "", NO_CONTENT, "Deletes a definition."),
    op("GET", "A/automation_rules", Admin, "", "", "{payload: [AutomationRule]}", "Automation rules."),
    op("POST", "A/automation_rules", Admin, "", RULE_BODY, "AutomationRule", "Makes a rule."),
    op("GET", "A/automation_rules/{rule}", Admin, "", "", "{payload: AutomationRule}", "A rule."),
    op("PUT PATCH", "A/automation_rules/{rule}", Admin, "", RULE_BODY, "{payload: AutomationRule}", "Changes a rule."),
    op("DELETE", "A/automation_rules/{rule}", Admin, "", "", "", "Deletes a rule."),
    op("POST", "A/automation_rules/{rule}/clone", Admin, "", "", "{payload: AutomationRule}", "Copies a rule."),
];

pub(super) const WEBHOOKS: &[Operation] = &[
    op("GET", "A/webhooks", Admin, "", "", "{payload: {webhooks: [Webhook]}}", "Webhooks of the account."),
    op("POST", "A/webhooks", Admin, "", WEBHOOK_BODY, MADE_WEBHOOK, "Makes a webhook."),
    op("PUT PATCH", "A/webhooks/{webhook}", Admin, "", WEBHOOK_BODY, MADE_WEBHOOK, "Changes a webhook."),
    op("DELETE", "A/webhooks/{webhook}", Admin, "", "", "", "Deletes a webhook."),
    op("POST", "A/inboxes/{inbox}/reset_secret", Admin, "", "", "Inbox", "Gives an inbox's webhook another secret."),
];

/// Reports, under a version of their own.
pub(super) const REPORTS: &[Operation] = &[
    op(
        "GET",
        "/api/v2/accounts/{account}/reports",
        Admin,
        REPORT_QUERY,
        "",
        "[{value: num, timestamp: int, count?: int}]",
        "A metric over time.",
    ),
    op(
        "GET",
        "/api/v2/accounts/{account}/reports/summary",
        Admin,
        REPORT_QUERY,
        "",
        "Summary",
        "All metrics of a time, and of the time before.",
    ),
    op(
        "GET",
        "/api/v2/accounts/{account}/reports/conversations",
        Admin,
        "type: 'account'|'agent', team_id?: int, user_id?: int, page?: int",
        "",
        "Now|[AgentNow]",
        "Where conversations stand now.",
    ),
];
