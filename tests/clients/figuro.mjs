// @figuro/chatwoot-sdk: every message leaves as multipart, `Authorization` comes beside `api_access_token`.
import assert from "node:assert/strict";
import sdk from "@figuro/chatwoot-sdk";
import { accountId, token, url } from "./common.mjs";

const client = new sdk.default({ config: { basePath: url, with_credentials: true, credentials: "include", token } });

const profile = await client.profile.profile();
assert.equal(profile.accounts[0].id, accountId);

const inbox = await client.inboxes.create({
  accountId,
  data: { name: "WhatsApp Olá", channel: { type: "api", webhook_url: "" } },
});
assert.equal(inbox.channel_type, "Channel::Api");
const named = (await client.inboxes.list({ accountId })).payload.find((one) => one.name === "WhatsApp Olá");
assert.equal(named.id, inbox.id);
assert.equal((await client.inboxes.get({ accountId, id: inbox.id })).inbox_identifier, inbox.inbox_identifier);
const changed = await client.inboxes.update({ accountId, id: inbox.id, data: { greeting_enabled: true, greeting_message: "Oi" } });
assert.deepEqual([changed.greeting_enabled, changed.greeting_message], [true, "Oi"]);

const [agent] = await client.agents.list({ accountId });
assert.equal(agent.role, "administrator");
await client.inboxes.addAgent({ accountId, data: { inbox_id: inbox.id, user_ids: [agent.id] } });
assert.equal((await client.inboxes.listAgents({ accountId, inboxId: inbox.id })).payload[0].id, agent.id);
await client.inboxes.updateAgentsInInbox({ accountId, data: { inbox_id: inbox.id, user_ids: [] } });
assert.deepEqual((await client.inboxes.listAgents({ accountId, inboxId: inbox.id })).payload, []);

const team = await client.teams.create({ accountId, data: { name: "Expedição", description: "parcels" } });
assert.equal(team.name, "expedição");
assert.equal((await client.teams.update({ accountId, teamId: team.id, data: { description: "all of them" } })).description, "all of them");
assert.equal((await client.teams.get({ accountId, teamId: team.id })).id, team.id);
assert.deepEqual((await client.teams.list({ accountId })).map((one) => one.id), [team.id]);

const attribute = await client.customAttributes.create({
  accountId,
  data: { attribute_display_name: "Tier", attribute_display_type: 0, attribute_description: "", attribute_key: "tier", attribute_model: 1 },
});
assert.equal(attribute.attribute_model, "contact_attribute");
assert.equal((await client.customAttributes.list({ accountId, attributeModel: "1" }))[0].attribute_key, "tier");

const made = await client.contacts.create({
  accountId,
  data: { inbox_id: inbox.id, name: "Ana", phone_number: "+5511987654321", identifier: "ana@wa", custom_attributes: { tier: "gold" } },
});
const { contact, contact_inbox: at } = made.payload;
assert.equal(contact.custom_attributes.tier, "gold");
const taken = client.contacts.create({ accountId, data: { inbox_id: inbox.id, phone_number: "+5511987654321" } });
await assert.rejects(taken, (error) => error.status === 422);
assert.equal((await client.contacts.get({ accountId, id: contact.id })).payload.identifier, "ana@wa");
assert.equal((await client.contacts.update({ accountId, id: contact.id, data: { name: "Ana Lima" } })).payload.name, "Ana Lima");
assert.equal((await client.contacts.search({ accountId, q: "lima" })).payload[0].id, contact.id);
assert.equal((await client.contacts.list({ accountId })).meta.count, 1);
const digits = { attribute_key: "phone_number", filter_operator: "equal_to", values: ["5511987654321"], query_operator: null };
assert.equal((await client.contacts.filter({ accountId, payload: [digits] })).payload[0].id, contact.id);
const reachable = await client.contact.getContactable({ accountId, id: contact.id });
assert.equal(reachable.payload[0].source_id, at.source_id);
const second = await client.contact.create({ accountId, id: contact.id, data: { inbox_id: inbox.id, source_id: "second" } });
assert.equal(second.source_id, "second");

const conversation = await client.conversations.create({
  accountId,
  data: { source_id: at.source_id, inbox_id: String(inbox.id), contact_id: String(contact.id), status: "open" },
});
const conversationId = conversation.id;
const incoming = await client.messages.create({ accountId, conversationId, data: { content: "Cadê?", message_type: "incoming" } });
assert.deepEqual([incoming.message_type, incoming.private, incoming.sender.type], [0, false, "contact"]);
const answer = await client.messages.create({
  accountId,
  conversationId,
  data: { content: "Saiu.", message_type: "outgoing", private: false, content_attributes: { in_reply_to: incoming.id, x: null } },
});
assert.deepEqual([answer.message_type, answer.content_attributes.in_reply_to, answer.sender.type], [1, incoming.id, "user"]);
const withFile = await client.messages.create({
  accountId,
  conversationId,
  data: { content: "A etiqueta", attachments: [{ content: Buffer.from("label").toString("base64"), encoding: "base64", filename: "label.txt" }] },
});
assert.deepEqual([withFile.attachments.length, withFile.attachments[0].file_size], [1, 5]);
const file = await fetch(withFile.attachments[0].data_url);
assert.equal(await file.text(), "label");
const listed = await client.messages.list({ accountId, conversationId });
assert.deepEqual(listed.payload.filter((one) => one.message_type < 2).map((one) => one.id), [incoming.id, answer.id, withFile.id]);
const read = await client.messages.update({ accountId, conversationId, messageId: answer.id, data: { status: "read" } });
assert.equal(read.status, "read");
const deleted = await client.messages.delete({ accountId, conversationId, messageId: withFile.id });
assert.deepEqual(deleted.content_attributes, { deleted: true });

assert.deepEqual((await client.conversationLabels.add({ accountId, conversationId, data: { labels: ["late"] } })).payload, ["late"]);
assert.deepEqual((await client.conversationLabels.list({ accountId, conversationId })).payload, ["late"]);
const assigned = await client.conversationAssignment.assign({ accountId, conversationId, data: { assignee_id: agent.id } });
assert.equal(assigned.id, agent.id);
assert.equal((await client.conversations.getMeta({ accountId })).meta.mine_count, 1);
const open = await client.conversations.list({ accountId, labels: ["late"] });
assert.deepEqual(open.data.payload.map((one) => one.id), [conversationId]);
assert.equal((await client.conversations.get({ accountId, conversationId })).meta.assignee.id, agent.id);
assert.equal((await client.contacts.listConversations({ accountId, id: contact.id })).payload[0].id, conversationId);
const closed = await client.conversations.toggleStatus({ accountId, conversationId, data: { status: "resolved" } });
assert.equal(closed.payload.current_status, "resolved");

const inboxIdentifier = inbox.inbox_identifier;
const visitor = await client.client.contacts.create({ inboxIdentifier, data: { name: "Bia", email: "bia@example.com" } });
const contactIdentifier = visitor.source_id;
assert.equal((await client.client.contacts.get({ inboxIdentifier, contactIdentifier })).email, "bia@example.com");
assert.equal((await client.client.contacts.update({ inboxIdentifier, contactIdentifier, data: { name: "Bia Lima" } })).name, "Bia Lima");
const talk = await client.client.conversations.create({ inboxIdentifier, contactIdentifier });
assert.equal((await client.client.conversations.list({ inboxIdentifier, contactIdentifier }))[0].id, talk.id);
const said = await client.client.messages.create({ inboxIdentifier, contactIdentifier, conversationId: talk.id, data: { content: "Olá", echo_id: "e" } });
assert.deepEqual([said.message_type, said.content], [0, "Olá"]);
const heard = await client.client.messages.list({ inboxIdentifier, contactIdentifier, conversationId: talk.id });
assert.deepEqual(heard.map((one) => one.id), [said.id]);

await client.teams.delete({ accountId, teamId: team.id });
await client.customAttributes.delete({ accountId, id: attribute.id });
assert.deepEqual(await client.customAttributes.list({ accountId, attributeModel: "1" }), []);
await assert.rejects(client.conversations.get({ accountId, conversationId: 999999 }), (error) => error.status === 404);
