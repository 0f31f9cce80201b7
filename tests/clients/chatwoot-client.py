"""chatwoot-client of PyPI: plain JSON over httpx. It reads every answer as JSON, so calls whose answer is empty end in an
error of its own after they have worked. Its filters, and what takes agents out of a team or an inbox, cannot be called;
its reports and profile go to paths that Chatwoot does not have."""

from json import JSONDecodeError

from chatwoot_client import ChatwootClient
import httpx

from common import ACCOUNT, TOKEN, URL, is_equal

def done(call, *args):
    """A call whose answer is empty, which the client cannot read."""
    try:
        call(*args)
    except JSONDecodeError:
        return
    raise AssertionError("the answer is empty")


client = ChatwootClient(URL + "/", TOKEN)
inbox = client.inboxes.create(ACCOUNT, {"name": "Loja", "channel": {"type": "api"}})
is_equal([one["id"] for one in client.inboxes.list(ACCOUNT)["payload"]], [inbox["id"]])
is_equal(client.inboxes.get(ACCOUNT, inbox["id"])["inbox_identifier"], inbox["inbox_identifier"])
is_equal(client.inboxes.update(ACCOUNT, inbox["id"], {"name": "Loja 2"})["name"], "Loja 2")
agent = client.agents.list(ACCOUNT)[0]
members = {"inbox_id": inbox["id"], "user_ids": [agent["id"]]}
is_equal(client.inboxes.add_agent(ACCOUNT, members)["payload"][0]["id"], agent["id"])
is_equal(len(client.inboxes.list_agents(ACCOUNT, inbox["id"])["payload"]), 1)
team = client.teams.create(ACCOUNT, {"name": "Parcels"})
is_equal(client.teams.get(ACCOUNT, team["id"])["name"], "parcels")
attribute = client.custom_attributes.create(
    ACCOUNT,
    {"attribute_display_name": "Tier", "attribute_display_type": 6, "attribute_key": "tier", "attribute_model": 0,
     "attribute_values": ["gold", "silver"]},
)
is_equal(attribute["attribute_values"], ["gold", "silver"])
is_equal(client.custom_attributes.get(ACCOUNT, attribute["id"])["attribute_model"], "conversation_attribute")

made = client.contacts.create(ACCOUNT, {"inbox_id": inbox["id"], "name": "Ana", "email": "Ana@Example.com"})["payload"]
contact, source = made["contact"], made["contact_inbox"]["source_id"]
is_equal(contact["email"], "ana@example.com")
try:
    client.contacts.create(ACCOUNT, {"email": "ana@example.com"})
    raise AssertionError("the address is taken")
except httpx.HTTPStatusError as refused:
    is_equal(refused.response.status_code, 422)
    is_equal(refused.response.json()["message"], "Email has already been taken")
is_equal(client.contacts.update(ACCOUNT, contact["id"], {"custom_attributes": {"a": 1}})["payload"]["custom_attributes"], {"a": 1})
is_equal(client.contacts.get(ACCOUNT, contact["id"])["payload"]["name"], "Ana")
is_equal(client.contacts.search(ACCOUNT, {"q": "ana@"})["payload"][0]["id"], contact["id"])
is_equal(client.contacts.list(ACCOUNT, {"page": 1})["meta"]["count"], 1)

conversation = client.conversations.create(ACCOUNT, {"source_id": source, "inbox_id": inbox["id"]})["id"]
message = client.messages.create(ACCOUNT, conversation, {"content": "Oi", "message_type": "incoming"})
is_equal((message["message_type"], message["content_attributes"]), (0, {}))
client.messages.create(ACCOUNT, conversation, {"content": "nota", "private": True})
said = client.messages.list(ACCOUNT, conversation)["payload"]
is_equal([one["private"] for one in said if one["message_type"] < 2], [False, True])
is_equal(client.messages.delete(ACCOUNT, conversation, message["id"])["content_attributes"], {"deleted": True})
is_equal(client.conversation_labels.create(ACCOUNT, conversation, {"labels": ["vip"]})["payload"], ["vip"])
is_equal(client.conversation_labels.list(ACCOUNT, conversation)["payload"], ["vip"])
is_equal(client.conversation_assignment.assign(ACCOUNT, conversation, {"team_id": team["id"]})["name"], "parcels")
is_equal(client.conversations.get(ACCOUNT, conversation)["meta"]["team"]["id"], team["id"])
is_equal(client.conversations.get_meta(ACCOUNT, {"status": "open"})["meta"]["unassigned_count"], 1)
is_equal(len(client.conversations.list(ACCOUNT, {"status": "all"})["data"]["payload"]), 1)
is_equal(client.contacts.get_conversations(ACCOUNT, contact["id"])["payload"][0]["id"], conversation)
is_equal(client.conversations.toggle_status(ACCOUNT, conversation)["payload"]["current_status"], "resolved")
is_equal(client.conversations.toggle_status(ACCOUNT, conversation)["payload"]["current_status"], "open")

door = inbox["inbox_identifier"]
visitor = client.client_contacts.create(door, {"name": "Bia", "phone_number": "+5521987654321"})
is_equal(client.client_contacts.get(door, visitor["source_id"])["phone_number"], "+5521987654321")
is_equal(client.client_contacts.update(door, visitor["source_id"], {"email": "bia@example.com"})["email"], "bia@example.com")
talk = client.client_conversations.create(door, visitor["source_id"])
is_equal([one["id"] for one in client.client_conversations.list(door, visitor["source_id"])], [talk["id"]])
client.client_messages.create(door, visitor["source_id"], talk["id"], {"content": "Olá"})
is_equal([one["content"] for one in client.client_messages.list(door, visitor["source_id"], talk["id"])], ["Olá"])

# What an administrator sets up.
hook = client.webhooks.create(ACCOUNT, {"url": "https://hooks.example/a", "subscriptions": ["message_created"]})["payload"]["webhook"]
is_equal((hook["url"], hook["subscriptions"]), ("https://hooks.example/a", ["message_created"]))
hook = client.webhooks.update(ACCOUNT, hook["id"], {"subscriptions": ["message_updated"]})["payload"]["webhook"]
is_equal((hook["url"], hook["subscriptions"]), ("https://hooks.example/a", ["message_updated"]))
is_equal([one["id"] for one in client.webhooks.list(ACCOUNT)["payload"]["webhooks"]], [hook["id"]])
done(client.webhooks.delete, ACCOUNT, hook["id"])
is_equal(client.webhooks.list(ACCOUNT)["payload"]["webhooks"], [])

bot = client.account_agent_bots.create(ACCOUNT, {"name": "Zé", "outgoing_url": "https://bot.example/in"})
is_equal((bot["name"], bot["account_id"]), ("Zé", ACCOUNT))
is_equal(client.account_agent_bots.update(ACCOUNT, bot["id"], {"description": "greets"})["description"], "greets")
is_equal(client.account_agent_bots.get(ACCOUNT, bot["id"])["outgoing_url"], "https://bot.example/in")
done(client.inboxes.set_agent_bot, ACCOUNT, inbox["id"], {"agent_bot": bot["id"]})
is_equal(client.inboxes.get_associated_agent_bot(ACCOUNT, inbox["id"])["agent_bot"]["id"], bot["id"])
done(client.account_agent_bots.delete, ACCOUNT, bot["id"])
is_equal(client.account_agent_bots.list(ACCOUNT), [])

rule = client.automation_rules.create(
    ACCOUNT,
    {"name": "Help", "event_name": "conversation_created", "actions": [{"action_name": "assign_team", "action_params": [team["id"]]}],
     "conditions": [{"attribute_key": "inbox_id", "filter_operator": "equal_to", "values": [inbox["id"]], "query_operator": None}]},
)
is_equal((rule["event_name"], rule["active"]), ("conversation_created", True))
is_equal(client.automation_rules.update(ACCOUNT, rule["id"], {"active": False})["payload"]["active"], False)
is_equal(client.automation_rules.get(ACCOUNT, rule["id"])["payload"]["actions"][0]["action_params"], [team["id"]])
is_equal([one["name"] for one in client.automation_rules.list(ACCOUNT, {"page": 1})["payload"]], ["Help"])
done(client.automation_rules.delete, ACCOUNT, rule["id"])

canned = client.canned_responses.create(ACCOUNT, {"short_code": "oi", "content": "Olá!"})
is_equal([one["content"] for one in client.canned_responses.list(ACCOUNT)], ["Olá!"])
done(client.canned_responses.delete, ACCOUNT, canned["id"])
caio = client.agents.create(ACCOUNT, {"name": "Caio", "email": "caio@example.com", "role": "agent"})
is_equal(client.agents.update(ACCOUNT, caio["id"], {"role": "administrator"})["role"], "administrator")
is_equal([one["id"] for one in client.teams.add_agent(ACCOUNT, team["id"], {"user_ids": [caio["id"]]})], [caio["id"]])
is_equal([one["id"] for one in client.teams.update_agent(ACCOUNT, team["id"], {"user_ids": [agent["id"]]})], [agent["id"]])
is_equal(client.teams.list_agents(ACCOUNT, team["id"])[0]["email"], "bea@example.com")
is_equal(client.inboxes.update_agent(ACCOUNT, {"inbox_id": inbox["id"], "user_ids": [caio["id"]]})["payload"][0]["name"], "Caio")
done(client.agents.delete, ACCOUNT, caio["id"])
is_equal(client.inboxes.list_agents(ACCOUNT, inbox["id"])["payload"], [])
is_equal(client.custom_attributes.update(ACCOUNT, attribute["id"], {"attribute_values": ["tin"]})["attribute_values"], ["tin"])
is_equal([one["attribute_key"] for one in client.custom_attributes.list(ACCOUNT, {"attribute_model": 0})], ["tier"])
done(client.custom_attributes.delete, ACCOUNT, attribute["id"])
done(client.contacts.delete, ACCOUNT, client.contacts.create(ACCOUNT, {"name": "Cris"})["payload"]["contact"]["id"])
is_equal("message" in client.inboxes.delete(ACCOUNT, client.inboxes.create(ACCOUNT, {"name": "Old", "channel": {"type": "api"}})["id"]), True)
is_equal(len(client.inboxes.list(ACCOUNT)["payload"]), 1)
