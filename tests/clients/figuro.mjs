// @figuro/chatwoot-sdk: every message leaves as multipart, `Authorization` comes beside `api_access_token`. Its calls for a
// team's members, and the one that takes an agent out of an inbox, go to paths that Chatwoot does not have.
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

// What an administrator sets up.
const word = { attribute_key: "status", filter_operator: "equal_to", values: ["resolved"], query_operator: "AND" };
const label = { attribute_key: "labels", filter_operator: "equal_to", values: ["late"], query_operator: null };
const filtered = await client.conversations.filter({ accountId, payload: [word, label] });
assert.deepEqual([filtered.meta.all_count, filtered.payload[0].id, filtered.payload[0].status], [1, conversationId, "resolved"]);
const unknown = client.conversations.filter({ accountId, payload: [{ ...label, attribute_key: "moon" }] });
await assert.rejects(unknown, (error) => error.status === 422);

const subscriptions = ["message_created", "conversation_status_changed"];
const hook = (await client.webhooks.create({ accountId, data: { url: "https://hooks.example/a", subscriptions } })).payload.webhook;
assert.deepEqual([hook.url, hook.subscriptions, hook.account_id, hook.secret.length], ["https://hooks.example/a", subscriptions, accountId, 24]);
const hooks = await client.webhooks.list({ accountId });
assert.deepEqual(hooks.payload.webhooks.map((one) => one.id), [hook.id]);
const moved = await client.webhooks.update({ accountId, webhookId: hook.id, data: { url: "https://hooks.example/b", subscriptions: ["message_updated"] } });
assert.deepEqual([moved.payload.webhook.url, moved.payload.webhook.subscriptions], ["https://hooks.example/b", ["message_updated"]]);
await assert.rejects(client.webhooks.create({ accountId, data: { url: "https://hooks.example/b" } }), (error) => error.status === 422);
await client.webhooks.delete({ accountId, webhookId: hook.id });
assert.deepEqual((await client.webhooks.list({ accountId })).payload.webhooks, []);

const bot = await client.accountAgentBots.create({ accountId, data: { name: "Zé", description: "greets", outgoing_url: "https://bot.example/in" } });
assert.deepEqual([bot.name, bot.outgoing_url, bot.account_id], ["Zé", "https://bot.example/in", accountId]);
assert.equal((await client.accountAgentBots.get({ accountId, id: bot.id })).description, "greets");
assert.equal((await client.accountAgentBots.update({ accountId, id: bot.id, data: { name: "Zé II" } })).name, "Zé II");
assert.deepEqual((await client.accountAgentBots.list({ accountId })).map((one) => one.name), ["Zé II"]);
await client.inboxes.updateAgentBot({ accountId, id: inbox.id, data: { agent_bot: bot.id } });
assert.equal((await client.inboxes.getAgentBot({ accountId, id: inbox.id })).agent_bot.id, bot.id);
await client.inboxes.updateAgentBot({ accountId, id: inbox.id, data: { agent_bot: null } });
assert.deepEqual((await client.inboxes.getAgentBot({ accountId, id: inbox.id })).agent_bot, {});
await client.accountAgentBots.delete({ accountId, id: bot.id });
assert.deepEqual(await client.accountAgentBots.list({ accountId }), []);

const rule = await client.automationRule.create({
  accountId,
  data: {
    name: "Help", description: "who asks for help", event_name: "message_created", active: true,
    conditions: [{ attribute_key: "content", filter_operator: "contains", values: ["help"], query_operator: null }],
    actions: [{ action_name: "add_label", action_params: ["support"] }],
  },
});
assert.deepEqual([rule.event_name, rule.active, rule.account_id], ["message_created", true, accountId]);
assert.equal((await client.automationRule.list({ accountId })).payload[0].id, rule.id);
const still = (await client.automationRule.update({ accountId, id: rule.id, data: { active: false } })).payload;
assert.deepEqual([still.active, still.conditions[0].values, still.actions[0].action_params], [false, ["help"], ["support"]]);
assert.equal((await client.automationRule.get({ accountId, id: rule.id })).payload.name, "Help");
await client.automationRule.delete({ accountId, id: rule.id });
assert.deepEqual((await client.automationRule.list({ accountId })).payload, []);

const canned = await client.cannedResponses.create({ accountId, data: { short_code: "oi", content: "Olá!" } });
assert.deepEqual([canned.short_code, canned.account_id], ["oi", accountId]);
assert.equal((await client.cannedResponses.update({ accountId, id: canned.id, data: { content: "Olá, tudo bem?" } })).content, "Olá, tudo bem?");
assert.deepEqual((await client.cannedResponses.list({ accountId })).map((one) => one.content), ["Olá, tudo bem?"]);
await client.cannedResponses.delete({ accountId, id: canned.id });
assert.deepEqual(await client.cannedResponses.list({ accountId }), []);

const caio = await client.agents.create({ accountId, data: { name: "Caio", email: "caio@example.com", role: "agent", availability_status: "available" } });
assert.deepEqual([caio.email, caio.role, caio.availability_status], ["caio@example.com", "agent", "offline"]);
const raised = await client.agents.update({ accountId, id: caio.id, data: { role: "administrator", auto_offline: false } });
assert.deepEqual([raised.role, raised.auto_offline], ["administrator", false]);
await client.agents.delete({ accountId, id: caio.id });
assert.deepEqual((await client.agents.list({ accountId })).map((one) => one.id), [agent.id]);

const until = Math.floor(Date.now() / 1000);
const span = { accountId, type: "account", since: String(until - 3 * 86400), until: String(until) };
const days = await client.reports.list({ ...span, metric: "conversations_count" });
assert.ok(days.length >= 3 && days.every((one) => typeof one.value === "number" && one.timestamp % 86400 === 0), JSON.stringify(days));
const whole = await client.reports.listSummaries(span);
assert.deepEqual(Object.keys(whole.previous).filter((name) => typeof whole[name] !== "number"), []);
const now = await client.reports.getMetrics({ accountId, type: "account" });
assert.deepEqual([now.open, now.unassigned], [1, 1]);
const each = await client.reports.getAgentMetrics({ accountId, type: "agent" });
assert.deepEqual([each[0].id, each[0].email, each[0].metric.open], [agent.id, "bea@example.com", 0]);

const { contact: leaving } = (await client.contacts.create({ accountId, data: { inbox_id: inbox.id, name: "Cris" } })).payload;
await client.contacts.delete({ accountId, id: leaving.id });
await assert.rejects(client.contacts.get({ accountId, id: leaving.id }), (error) => error.status === 404);
await client.teams.delete({ accountId, teamId: team.id });
await client.customAttributes.delete({ accountId, id: attribute.id });
assert.deepEqual(await client.customAttributes.list({ accountId, attributeModel: "1" }), []);
await assert.rejects(client.conversations.get({ accountId, conversationId: 999999 }), (error) => error.status === 404);
