"""chatwoot-python-client of PyPI, generated from Chatwoot's own document. Some of its models cannot hold the answers of the
document's own server; there the raw answer is read, which is an option of every call."""

import json

import chatwoot_client
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

teams.delete_a_team(ACCOUNT, team.id)
try:
    raw(contacts.contact_details, ACCOUNT, 999999)
    raise AssertionError("there is no such contact")
except ApiException as refused:
    is_equal((refused.status, json.loads(refused.body)["error"]), (404, "Resource could not be found"))
