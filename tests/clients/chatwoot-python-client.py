"""chatwoot-python-client of PyPI, generated from Chatwoot's own document. Some of its models cannot hold the answers of the
document's own server; there the raw answer is read, which is an option of every call."""

import json

import chatwoot_client
from chatwoot_client.models.apiv1accountsaccount_idconversationsfilter_payload import (
    Apiv1accountsaccountIdconversationsfilterPayload as Condition,
)
from chatwoot_client.rest import ApiException

from common import ACCOUNT, TOKEN, URL, is_equal

settings = chatwoot_client.Configuration()
settings.host = URL
settings.api_key["api_access_token"] = TOKEN
api = chatwoot_client.ApiClient(settings)


def raw(call, *args, **options):
    text = call(*args, _preload_content=False, **options).data
    return json.loads(text) if text else None


profile = raw(chatwoot_client.ProfileApi(api).fetch_profile)
is_equal(profile["accounts"][0]["id"], ACCOUNT)
inboxes = chatwoot_client.InboxesApi(api)
inbox = raw(inboxes.inbox_creation, {"name": "Loja", "channel": {"type": "api"}}, ACCOUNT)
shown = inboxes.get_inbox(ACCOUNT, inbox["id"])
is_equal((shown.id, shown.name, shown.channel_type), (inbox["id"], "Loja", "Channel::Api"))
is_equal(inboxes.update_inbox({"name": "Loja 2", "enable_auto_assignment": False}, ACCOUNT, inbox["id"]).name, "Loja 2")
is_equal([one["name"] for one in raw(inboxes.list_all_inboxes, ACCOUNT)["payload"]], ["Loja 2"])
agents = chatwoot_client.AgentsApi(api).get_account_agents(ACCOUNT)
is_equal((agents[0].role, agents[0].confirmed), ("administrator", True))
members = {"inbox_id": str(inbox["id"]), "user_ids": [agents[0].id]}
raw(inboxes.add_new_agent_to_inbox, members, ACCOUNT)
is_equal(raw(inboxes.get_inbox_members, ACCOUNT, inbox["id"])["payload"][0]["id"], agents[0].id)
teams = chatwoot_client.TeamsApi(api)
team = teams.create_a_team(chatwoot_client.TeamCreateUpdatePayload(name="Parcels", description="d", allow_auto_assign=True), ACCOUNT)
is_equal(teams.get_details_of_a_single_team(ACCOUNT, team.id).name, "parcels")
is_equal([one.id for one in teams.list_all_teams(ACCOUNT)], [team.id])

contacts = chatwoot_client.ContactsApi(api)
ana = chatwoot_client.ContactCreate(
    inbox_id=inbox["id"], name="Ana", phone_number="+5511987654321", identifier="ana", custom_attributes={"a": 1}
)
made = raw(contacts.contact_create, ana, ACCOUNT)["payload"]
number, source = made["contact"]["id"], made["contact_inbox"]["source_id"]
is_equal(raw(contacts.contact_search, ACCOUNT, q="ana")["payload"][0]["id"], number)
is_equal(raw(contacts.contact_details, ACCOUNT, number)["payload"]["custom_attributes"], {"a": 1})
is_equal(raw(contacts.contact_update, {"name": "Ana Lima"}, ACCOUNT, number)["payload"]["name"], "Ana Lima")
ask = {"payload": [{"attribute_key": "identifier", "filter_operator": "equal_to", "values": ["ana"], "query_operator": None}]}
is_equal(raw(contacts.contact_filter, ask, ACCOUNT)["payload"][0]["id"], number)
is_equal(raw(contacts.contact_list, ACCOUNT)["meta"]["count"], 1)
reach = chatwoot_client.ContactApi(api)
is_equal(raw(reach.contactable_inboxes_get, ACCOUNT, number)["payload"][0]["source_id"], source)
is_equal(raw(reach.contact_inbox_creation, {"inbox_id": inbox["id"], "source_id": "s2"}, ACCOUNT, number)["source_id"], "s2")

conversations = chatwoot_client.ConversationsApi(api)
body = chatwoot_client.AccountIdConversationsBody(
    source_id=source, inbox_id=str(inbox["id"]), contact_id=str(number), status="open",
    message={"content": "Olá!", "template_params": None},
)
conversation = raw(conversations.new_conversation, body, ACCOUNT)
is_equal(conversation["last_non_activity_message"]["content"], "Olá!")
here = conversation["id"]
messages = chatwoot_client.MessagesApi(api)
written = chatwoot_client.ConversationMessageCreate(
    content="Oi", message_type="incoming", private=False, content_type="text", content_attributes={}
)
message = raw(messages.create_a_new_message_in_a_conversation, written, ACCOUNT, here)
is_equal((message["message_type"], message["content"]), (0, "Oi"))
said = raw(messages.list_all_messages, ACCOUNT, here)["payload"]
is_equal([one["content"] for one in said if one["message_type"] < 2], ["Olá!", "Oi"])
messages.delete_a_message(ACCOUNT, here, message["id"])
labels = chatwoot_client.ConversationLabelsApi(api)
is_equal(labels.conversation_add_labels({"labels": ["vip"]}, ACCOUNT, here).payload, ["vip"])
is_equal(labels.list_all_labels_of_a_conversation(ACCOUNT, here).payload, ["vip"])
assignment = chatwoot_client.ConversationAssignmentApi(api)
is_equal(raw(assignment.assign_a_conversation, {"assignee_id": agents[0].id}, ACCOUNT, here)["id"], agents[0].id)
is_equal(raw(conversations.conversation_list, ACCOUNT, status="open")["data"]["meta"]["mine_count"], 1)
is_equal(raw(conversations.conversation_list_meta, ACCOUNT, status="open")["meta"]["all_count"], 1)
conversations.toggle_priority_of_a_conversation({"priority": "urgent"}, ACCOUNT, here)
is_equal(raw(conversations.get_details_of_a_conversation, ACCOUNT, here)["priority"], "urgent")
toggled = conversations.toggle_status_of_a_conversation({"status": "resolved"}, ACCOUNT, here)
is_equal((toggled.payload.current_status, toggled.payload.conversation_id), ("resolved", here))
is_equal(raw(contacts.contact_conversations, ACCOUNT, number)["payload"][0]["status"], "resolved")

door = inbox["inbox_identifier"]
is_equal(raw(chatwoot_client.InboxAPIApi(api).get_details_of_a_inbox, door)["name"], "Loja 2")
visitors = chatwoot_client.ContactsAPIApi(api)
visitor = visitors.create_a_contact(chatwoot_client.PublicContactCreateUpdatePayload(name="Bia", email="bia@example.com"), door)
is_equal(visitors.get_details_of_a_contact(door, visitor.source_id).email, "bia@example.com")
talks = chatwoot_client.ConversationsAPIApi(api)
talk = raw(talks.create_a_conversation, {"custom_attributes": {}}, door, visitor.source_id)
is_equal(raw(talks.list_all_contact_conversations, door, visitor.source_id)[0]["id"], talk["id"])
words = chatwoot_client.MessagesAPIApi(api)
raw(words.create_a_message, {"content": "Olá", "echo_id": "1"}, door, visitor.source_id, talk["id"])
is_equal([one["content"] for one in raw(words.list_all_converation_messages, door, visitor.source_id, talk["id"])], ["Olá"])

# What an administrator sets up.
closed = Condition(attribute_key="status", filter_operator="equal_to", values=["resolved"], query_operator="AND")
found = raw(conversations.conversation_filter, chatwoot_client.ConversationsFilterBody(payload=[closed]), ACCOUNT)
is_equal((found["meta"]["all_count"], found["payload"][0]["id"]), (1, here))
hooks = chatwoot_client.WebhooksApi(api)
listens = chatwoot_client.WebhookCreateUpdatePayload(url="https://hooks.example/a", subscriptions=["message_created"])
hook = raw(hooks.create_a_webhook, listens, ACCOUNT)["payload"]["webhook"]
listens.subscriptions = ["message_created", "message_updated"]
hook = raw(hooks.update_a_webhook, listens, ACCOUNT, hook["id"])["payload"]["webhook"]
is_equal(chatwoot_client.Webhook(**{name: hook[name] for name in ["id", "url", "subscriptions", "account_id"]}).url, listens.url)
is_equal([one["subscriptions"] for one in raw(hooks.list_all_webhooks, ACCOUNT)["payload"]["webhooks"]], [listens.subscriptions])
hooks.delete_a_webhook(ACCOUNT, hook["id"])
is_equal(raw(hooks.list_all_webhooks, ACCOUNT)["payload"]["webhooks"], [])

bots = chatwoot_client.AccountAgentBotsApi(api)
bot = bots.create_an_account_agent_bot({"name": "Zé", "outgoing_url": "https://bot.example/in"}, ACCOUNT)
is_equal((bot.name, bot.outgoing_url, bot.account_id), ("Zé", "https://bot.example/in", ACCOUNT))
is_equal(bots.update_an_account_agent_bot({"description": "greets"}, ACCOUNT, bot.id).description, "greets")
is_equal(bots.get_details_of_a_single_account_agent_bot(ACCOUNT, bot.id).name, "Zé")
inboxes.update_agent_bot({"agent_bot": bot.id}, ACCOUNT, inbox["id"])
is_equal(raw(inboxes.get_inbox_agent_bot, ACCOUNT, inbox["id"])["agent_bot"]["id"], bot.id)
bots.delete_an_account_agent_bot(ACCOUNT, bot.id)
is_equal(bots.list_all_account_agent_bots(ACCOUNT), [])

rules = chatwoot_client.AutomationRuleApi(api)
helping = chatwoot_client.AutomationRuleCreateUpdatePayload(
    name="Help", description="d", event_name="message_created", active=True,
    actions=[{"action_name": "add_label", "action_params": ["support"]}],
    conditions=[{"attribute_key": "content", "filter_operator": "contains", "query_operator": "nil", "values": ["help"]}],
)
rule = rules.add_new_automation_rule_to_account(helping, ACCOUNT)
is_equal((rule.name, rule.event_name, rule.active, rule.actions[0]["action_params"]), ("Help", "message_created", True, ["support"]))
number = raw(rules.get_account_automation_rule, ACCOUNT)["payload"][0]["id"]
is_equal(raw(rules.update_automation_rule_in_account, {"active": False}, ACCOUNT, number)["payload"]["active"], False)
is_equal(raw(rules.get_details_of_a_single_automation_rule, ACCOUNT, number)["payload"]["conditions"][0]["values"], ["help"])
rules.delete_automation_rule_from_account(ACCOUNT, number)

texts = chatwoot_client.CannedResponsesApi(api)
text = texts.add_new_canned_response_to_account({"short_code": "oi", "content": "Olá!"}, ACCOUNT)
changing = chatwoot_client.CannedResponseApi(api)
is_equal(changing.update_canned_response_in_account({"content": "Oi"}, ACCOUNT, text.id).content, "Oi")
is_equal([one.short_code for one in texts.get_account_canned_response(ACCOUNT)], ["oi"])
texts.delete_canned_response_from_account(ACCOUNT, text.id)
attributes = chatwoot_client.CustomAttributesApi(api)
tier = {"attribute_display_name": "Tier", "attribute_display_type": 1, "attribute_key": "seats", "attribute_model": 1}
attribute = attributes.add_new_custom_attribute_to_account(tier, ACCOUNT)
is_equal((attribute.attribute_key, attribute.attribute_display_type, attribute.attribute_model), ("seats", "number", "contact_attribute"))
is_equal([one.id for one in attributes.get_account_custom_attribute(ACCOUNT, "1")], [attribute.id])
attributes.delete_custom_attribute_from_account(ACCOUNT, attribute.id)

people = chatwoot_client.AgentsApi(api)
caio = people.add_new_agent_to_account({"name": "Caio", "email": "caio@example.com", "role": "agent"}, ACCOUNT)
is_equal((caio.name, caio.role, caio.account_id), ("Caio", "agent", ACCOUNT))
is_equal(people.update_agent_in_account({"role": "administrator"}, ACCOUNT, caio.id).role, "administrator")
is_equal([one.id for one in teams.add_new_agent_to_team({"user_ids": [caio.id]}, ACCOUNT, team.id)], [caio.id])
is_equal([one.email for one in teams.get_team_members(ACCOUNT, team.id)], ["caio@example.com"])
is_equal([one.id for one in teams.update_agents_in_team({"user_ids": [agents[0].id]}, ACCOUNT, team.id)], [agents[0].id])
teams.delete_agent_in_team({"user_ids": [agents[0].id]}, ACCOUNT, team.id)
is_equal(teams.get_team_members(ACCOUNT, team.id), [])
is_equal(teams.update_a_team({"description": "all of them"}, ACCOUNT, team.id).description, "all of them")
chosen = {"inbox_id": str(inbox["id"]), "user_ids": [caio.id]}
is_equal([one["id"] for one in raw(inboxes.update_agents_in_inbox, chosen, ACCOUNT)["payload"]], [caio.id])
inboxes.delete_agent_in_inbox(chosen, ACCOUNT)
is_equal(raw(inboxes.get_inbox_members, ACCOUNT, inbox["id"])["payload"], [])
people.delete_agent_from_account(ACCOUNT, caio.id)
is_equal([one.id for one in people.get_account_agents(ACCOUNT)], [agents[0].id])

reports = chatwoot_client.ReportsApi(api)
is_equal(len(reports.list_all_conversation_statistics(ACCOUNT, "resolutions_count", "account", since="0", until="86400")), 1)
summary = reports.list_all_conversation_statistics_summary(ACCOUNT, "account", since="0", until="86400")
is_equal((summary.conversations_count, summary.previous.resolutions_count), (0, 0))
now = reports.get_account_conversation_metrics(ACCOUNT, "account")
is_equal((now.open, now.unassigned), (1, 1))
is_equal([(one.email, one.metric.open) for one in reports.get_agent_conversation_metrics(ACCOUNT, "agent")], [("bea@example.com", 0)])

cris = raw(contacts.contact_create, chatwoot_client.ContactCreate(inbox_id=inbox["id"], name="Cris"), ACCOUNT)
contacts.contact_delete(ACCOUNT, cris["payload"]["contact"]["id"])
teams.delete_a_team(ACCOUNT, team.id)
try:
    raw(contacts.contact_details, ACCOUNT, 999999)
    raise AssertionError("there is no such contact")
except ApiException as refused:
    is_equal((refused.status, json.loads(refused.body)["error"]), (404, "Resource could not be found"))
