"""chatwoot-sdk of PyPI, Chatwoot's own: every answer goes through its pydantic models. It takes `payload` off an answer before
its list of an inbox's agents looks for it there, so that list is empty whatever the server says."""

from chatwoot import ChatwootClient
from chatwoot.exceptions import ChatwootAuthError, ChatwootNotFoundError

from common import ACCOUNT, TOKEN, URL, is_equal

with ChatwootClient(base_url=URL, api_token=TOKEN) as client:
    profile = client.profile.get()
    is_equal((profile.accounts[0].id, profile.role.value), (ACCOUNT, "administrator"))
    inbox = client.inboxes.create(ACCOUNT, "Loja", "api", webhook_url=None)
    is_equal((inbox.channel_type, inbox.webhook_url), ("Channel::Api", None))
    is_equal([one.name for one in client.inboxes.list(ACCOUNT)], ["Loja"])
    is_equal(client.inboxes.update(ACCOUNT, inbox.id, greeting_enabled=True).greeting_enabled, True)
    is_equal(client.inboxes.get(ACCOUNT, inbox.id).greeting_enabled, True)
    agent = client.agents.list(ACCOUNT)[0]
    is_equal(agent.role.value, "administrator")
    client.inboxes.agents.add(ACCOUNT, inbox.id, [agent.id])
    client.inboxes.agents.remove(ACCOUNT, inbox.id, [agent.id])
    team = client.teams.create(ACCOUNT, "Parcels", description="all of them")
    is_equal(client.teams.get(ACCOUNT, team.id).name, "parcels")
    is_equal(client.teams.update(ACCOUNT, team.id, description="some").description, "some")
    is_equal([one.id for one in client.teams.list(ACCOUNT)], [team.id])

    made = client.contacts.create(ACCOUNT, inbox.id, name="Ana", phone_number="+5511987654321", source_id="wa:ana")
    is_equal((made.contact.name, made.contact_inbox.source_id), ("Ana", "wa:ana"))
    ana = made.contact.id
    is_equal(client.contacts.get(ACCOUNT, ana).contact_inboxes[0].source_id, "wa:ana")
    is_equal(client.contacts.update(ACCOUNT, ana, name="Ana Lima").name, "Ana Lima")
    is_equal([one.id for one in client.contacts.search(ACCOUNT, "+5511987654321")], [ana])
    is_equal([one.id for one in client.contacts.list(ACCOUNT)], [ana])
    is_equal(client.contacts.contactable_inboxes(ACCOUNT, ana)[0]["source_id"], "wa:ana")

    conversation = client.conversations.create(ACCOUNT, source_id="wa:ana", inbox_id=inbox.id, contact_id=ana)
    is_equal((conversation.status.value, conversation.inbox_id, conversation.labels), ("open", inbox.id, []))
    incoming = client.messages.create(ACCOUNT, conversation.id, "Cadê?", message_type="incoming")
    is_equal((incoming.message_type, incoming.status), (0, "sent"))
    answer = client.messages.create(ACCOUNT, conversation.id, "Saiu.")
    is_equal(answer.sender.id, agent.id)
    said = client.messages.list(ACCOUNT, conversation.id)
    is_equal([one.content for one in said if one.message_type in (0, 1)], ["Cadê?", "Saiu."])
    is_equal(client.conversations.labels.add(ACCOUNT, conversation.id, ["vip", "late"]), ["late", "vip"])
    is_equal(client.conversations.labels.list(ACCOUNT, conversation.id), ["late", "vip"])
    is_equal(client.conversations.update(ACCOUNT, conversation.id, priority="high").priority.value, "high")
    toggled = client.conversations.toggle_status(ACCOUNT, conversation.id, "resolved")
    is_equal((toggled.success, toggled.current_status.value), (True, "resolved"))
    is_equal(client.conversations.list(ACCOUNT, status="resolved", labels=["late"])[0].id, conversation.id)
    is_equal(client.conversations.get_counts(ACCOUNT, status="resolved")["meta"]["all_count"], 1)
    is_equal(client.contacts.conversations(ACCOUNT, ana)[0].status.value, "resolved")

    bia = client.contacts.create(ACCOUNT, inbox.id, name="Bia", email="bia@example.com").contact.id
    merged = client.contacts.merge(ACCOUNT, base_contact_id=ana, mergee_contact_id=bia)
    is_equal((merged.id, merged.email, merged.phone_number), (ana, "bia@example.com", "+5511987654321"))
    try:
        client.contacts.get(ACCOUNT, bia)
        raise AssertionError("it was merged away")
    except ChatwootNotFoundError:
        pass

    caio = client.agents.add(ACCOUNT, name="Caio", email="caio@example.com", role="agent")
    is_equal((caio.name, caio.role.value, caio.availability_status.value), ("Caio", "agent", "offline"))
    is_equal(client.agents.update(ACCOUNT, caio.id, role="administrator").role.value, "administrator")
    client.teams.agents.add(ACCOUNT, team.id, [caio.id])
    is_equal([one.email for one in client.teams.agents.list(ACCOUNT, team.id)], ["caio@example.com"])
    client.teams.agents.remove(ACCOUNT, team.id, [caio.id])
    is_equal(client.teams.agents.list(ACCOUNT, team.id), [])
    client.inboxes.agents.update(ACCOUNT, inbox.id, [caio.id])
    is_equal(client.inboxes.agents.list(ACCOUNT, inbox.id), [])
    client.agents.remove(ACCOUNT, caio.id)
    is_equal([one.id for one in client.agents.list(ACCOUNT)], [agent.id])
    is_equal(client.contacts.labels.add(ACCOUNT, ana, ["gold"]), ["gold"])
    is_equal(client.contacts.labels.list(ACCOUNT, ana), ["gold"])
    is_equal(client.inboxes.get_agent_bot(ACCOUNT, inbox.id), {"agent_bot": {}})
    client.inboxes.set_agent_bot(ACCOUNT, inbox.id, None)
    cris = client.contacts.create(ACCOUNT, inbox.id, name="Cris").contact.id
    client.contacts.delete(ACCOUNT, cris)
    is_equal([one.id for one in client.contacts.search(ACCOUNT, "Cris")], [])
    client.teams.delete(ACCOUNT, team.id)

try:
    ChatwootClient(base_url=URL, api_token="0" * 24).profile.get()
    raise AssertionError("no such token")
except ChatwootAuthError as refused:
    is_equal("Invalid Access Token" in str(refused), True)
