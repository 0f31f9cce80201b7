// @devlikeapro/n8n-nodes-chatwoot: the node says declaratively which request each operation makes. `run` below does what n8n's
// routing does with that: every field that is shown is sent, with its default where the flow sets nothing.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { accountId, token, url } from "./common.mjs";

const require = createRequire(import.meta.url);
const { ChatWoot } = require("@devlikeapro/n8n-nodes-chatwoot/dist/nodes/ChatWoot/ChatWoot.node.js");
const { ChatWootApi } = require("@devlikeapro/n8n-nodes-chatwoot/dist/credentials/ChatWootApi.credentials.js");
const { description } = new ChatWoot();
const credential = new ChatWootApi();

// An expression of the node: `=text {{ code }} text`; one that is code alone keeps its type.
function evaluate(text, scope) {
  if (typeof text !== "string" || !text.startsWith("=")) return text;
  const run = (code) => new Function(...Object.keys(scope), `return (${code});`)(...Object.values(scope));
  const alone = /^=\{\{((?:(?!\}\}).)*)\}\}$/s.exec(text);
  if (alone) return run(alone[1]);
  return text.slice(1).replace(/\{\{(.*?)\}\}/gs, (_, code) => run(code));
}

function headersOf(...sources) {
  return Object.assign({}, ...sources.map((source) => source ?? {}));
}

async function run(resource, operation, given = {}, wanted = 200) {
  const $credentials = { url, accessToken: token };
  const shown = description.properties.filter((field) => {
    const show = field.displayOptions?.show;
    return show?.resource?.includes(resource) && (!show.operation || show.operation.includes(operation));
  });
  const option = shown.find((field) => field.name === "operation" && field.options)?.options.find((one) => one.value === operation);
  assert.ok(option, `${resource}: ${operation}`);
  const fields = shown.filter((field) => field.name !== "operation");
  const unknown = Object.keys(given).filter((name) => !fields.some((field) => field.name === name));
  assert.deepEqual(unknown, [], `fields of ${operation}`);
  const $parameter = Object.fromEntries(fields.map((field) => [field.name, given[field.name] ?? field.default]));
  const { method, url: path } = option.routing.request;
  const target = new URL(evaluate(description.requestDefaults.baseURL, { $credentials }) + evaluate(path, { $parameter }));
  const body = {};
  for (const field of fields.filter((field) => field.routing?.send)) {
    const { type, property, value } = field.routing.send;
    const sent = evaluate(value, { $value: $parameter[field.name] });
    if (type === "query") target.searchParams.set(property, sent);
    else body[property] = sent;
  }
  const authentication = Object.entries(credential.authenticate.properties.headers).map(([name, value]) => [name, evaluate(value, { $credentials })]);
  const response = await fetch(target, {
    method,
    headers: headersOf(description.requestDefaults.headers, Object.fromEntries(authentication)),
    body: method === "GET" ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  assert.equal(response.status, wanted, `${operation}: ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

const account = { account_id: accountId };
assert.equal((await run("Profile", "Fetch Profile")).accounts[0].id, accountId);
const inbox = await run("Inboxes", "Inbox Creation", { ...account, name: "Loja", channel: '{"type":"api"}', avatar: "" });
assert.equal(inbox.channel_type, "Channel::Api");
assert.equal((await run("Inboxes", "List All Inboxes", account)).payload[0].name, "Loja");
assert.equal((await run("Inboxes", "Get Inbox", { ...account, id: inbox.id })).inbox_identifier, inbox.inbox_identifier);
const [agent] = await run("Agents", "Get Account Agents", account);
const members = { ...account, inbox_id: inbox.id, user_ids: `[${agent.id}]` };
assert.equal((await run("Inboxes", "Add New Agent To Inbox", { ...members, inbox_id: String(inbox.id) })).payload[0].id, agent.id);
const team = await run("Teams", "Create A Team", { ...account, name: "Logistics", description: "d", allow_auto_assign: true });
assert.equal((await run("Teams", "Get Details Of A Single Team", { ...account, team_id: team.id })).name, "logistics");

const created = await run("Contacts", "Contact Create", {
  ...account, inbox_id: inbox.id, name: "Ana", email: "ana@example.com", phone_number: "+5511987654321", avatar: "",
  avatar_url: "", identifier: "ana", custom_attributes: "{}",
});
const { contact, contact_inbox: at } = created.payload;
assert.equal((await run("Contacts", "Contact Search", { ...account, q: "ana", sort: "name", page: 1 })).payload[0].id, contact.id);
const filter = [{ attribute_key: "email", filter_operator: "equal_to", values: ["ANA@example.com"], query_operator: null }];
assert.equal((await run("Contacts", "Contact Filter", { ...account, payload: JSON.stringify(filter), page: 1 })).payload[0].id, contact.id);
assert.equal((await run("Contacts", "Contact Details", { ...account, id: contact.id })).payload.name, "Ana");
assert.equal((await run("Contact", "Contactable Inboxes Get", { ...account, id: contact.id })).payload[0].source_id, at.source_id);

const conversation = await run("Conversations", "New Conversation", {
  ...account, source_id: at.source_id, inbox_id: String(inbox.id), contact_id: String(contact.id), additional_attributes: "{}",
  custom_attributes: "{}", status: "open", assignee_id: "", team_id: "", message: '{"content":"Olá!"}',
});
const here = { ...account, conversation_id: conversation.id };
const message = await run("Messages", "Create A New Message In A Conversation", {
  ...here, content: "Oi", message_type: "incoming", private: false, content_type: "text", content_attributes: "{}",
});
assert.deepEqual([message.message_type, message.content], [0, "Oi"]);
const messages = await run("Messages", "List All Messages", here);
assert.deepEqual(messages.payload.filter((one) => one.message_type < 2).map((one) => one.content), ["Olá!", "Oi"]);
assert.deepEqual((await run("Conversation Labels", "Conversation Add Labels", { ...here, labels: '["vip"]' })).payload, ["vip"]);
assert.deepEqual((await run("Conversation Labels", "List All Labels Of A Conversation", here)).payload, ["vip"]);
assert.equal((await run("Conversation Assignment", "Assign A Conversation", { ...here, assignee_id: agent.id, team_id: 0 })).id, agent.id);
const meta = await run("Conversations", "Conversation List Meta", { ...account, status: "open", q: "", labels: "" });
assert.equal(meta.meta.all_count, 1);
const list = await run("Conversations", "Conversation List", { ...account, assignee_type: "all", status: "open", q: "", labels: "", page: 1 });
assert.equal(list.data.payload[0].id, conversation.id);
assert.equal((await run("Conversations", "Get Details Of A Conversation", here)).priority, null);
await run("Conversations", "Toggle Priority Of A Conversation", { ...here, priority: "high" });
assert.equal((await run("Conversations", "Get Details Of A Conversation", here)).priority, "high");
const closed = await run("Conversations", "Toggle Status Of A Conversation", { ...here, status: "resolved" });
assert.equal(closed.payload.current_status, "resolved");
const removed = await run("Messages", "Delete A Message", { ...here, message_id: message.id });
assert.equal(removed.content_attributes.deleted, true);

const door = { inbox_identifier: inbox.inbox_identifier };
assert.equal((await run("Inbox API", "Get Details Of A Inbox", door)).name, "Loja");
const visitor = await run("Contacts API", "Create A Contact", {
  ...door, identifier: "", identifier_hash: "", email: "bia@example.com", name: "Bia", phone_number: "", avatar_url: "", custom_attributes: "{}",
});
const theirs = { ...door, contact_identifier: visitor.source_id };
assert.equal((await run("Contacts API", "Get Details Of A Contact", theirs)).name, "Bia");
const talk = await run("Conversations API", "Create A Conversation", { ...theirs, custom_attributes: "{}" });
assert.equal((await run("Conversations API", "List All Contact Conversations", theirs))[0].id, talk.id);
const said = await run("Messages API", "Create A Message", { ...theirs, conversation_id: talk.id, content: "Olá", echo_id: "1" });
assert.equal((await run("Messages API", "List All Converation Messages", { ...theirs, conversation_id: talk.id }))[0].id, said.id);

// What an administrator sets up.
const resolved = [{ attribute_key: "status", filter_operator: "equal_to", values: ["resolved"], query_operator: null }];
const found = await run("Conversations", "Conversation Filter", { ...account, payload: JSON.stringify(resolved), page: 1 });
assert.deepEqual([found.meta.all_count, found.payload[0].id], [1, conversation.id]);
await run("Conversations", "Conversation Filter", { ...account, page: 1 }, 422); // its own default has operators that are none
const people = await run("Contacts", "Contact List", { ...account, page: 1 });
assert.deepEqual([people.meta.count, people.payload.map((one) => one.name)], [2, ["Ana", "Bia"]]);
const renamed = { ...account, id: contact.id, name: "Ana Lima", email: "ana@example.com", phone_number: "+5511987654321", identifier: "ana" };
assert.equal((await run("Contacts", "Contact Update", renamed)).payload.name, "Ana Lima");
assert.equal((await run("Contacts", "Contact Conversations", { ...account, id: contact.id })).payload[0].id, conversation.id);
const reached = await run("Contact", "Contact Inbox Creation", { ...account, id: contact.id, inbox_id: inbox.id, source_id: "s2" });
assert.equal(reached.source_id, "s2");

const listens = { ...account, url: "https://hooks.example/n8n", subscriptions: '["message_created"]' };
const hook = (await run("Webhooks", "Create A Webhook", listens)).payload.webhook;
assert.deepEqual([hook.url, hook.subscriptions], ["https://hooks.example/n8n", ["message_created"]]);
await run("Webhooks", "Create A Webhook", listens, 422);
const more = { ...listens, webhook_id: hook.id, subscriptions: '["message_created","message_updated"]' };
assert.equal((await run("Webhooks", "Update A Webhook", more)).payload.webhook.subscriptions.length, 2);
assert.equal((await run("Webhooks", "List All Webhooks", account)).payload.webhooks[0].id, hook.id);
await run("Webhooks", "Delete A Webhook", { ...account, webhook_id: hook.id });
assert.deepEqual((await run("Webhooks", "List All Webhooks", account)).payload.webhooks, []);

const greets = { ...account, name: "Zé", description: "greets", outgoing_url: "https://bot.example/in" };
const bot = await run("Account Agent Bots", "Create An Account Agent Bot", greets);
assert.equal(bot.outgoing_url, "https://bot.example/in");
assert.equal((await run("Account Agent Bots", "Update An Account Agent Bot", { ...greets, id: bot.id, name: "Zé II" })).name, "Zé II");
assert.equal((await run("Account Agent Bots", "Get Details Of A Single Account Agent Bot", { ...account, id: bot.id })).name, "Zé II");
await run("Inboxes", "Update Agent Bot", { ...account, id: inbox.id, agent_bot: bot.id });
assert.equal((await run("Inboxes", "Get Inbox Agent Bot", { ...account, id: inbox.id })).agent_bot.id, bot.id);
await run("Account Agent Bots", "Delete An Account Agent Bot", { ...account, id: bot.id });
assert.deepEqual(await run("Account Agent Bots", "List All Account Agent Bots", account), []);
assert.deepEqual((await run("Inboxes", "Get Inbox Agent Bot", { ...account, id: inbox.id })).agent_bot, {});

// The rule that the node offers when nothing is filled in: its last condition is joined by the word "nil".
const rule = await run("Automation Rule", "Add New Automation Rule To Account", account);
assert.deepEqual([rule.event_name, rule.active, rule.actions[0].action_params], ["message_created", true, ["support"]]);
const off = await run("Automation Rule", "Update Automation Rule In Account", { ...account, id: rule.id, active: false });
assert.equal(off.payload.active, false);
assert.equal((await run("Automation Rule", "Get Details Of A Single Automation Rule", { ...account, id: rule.id })).payload.active, false);
assert.equal((await run("Automation Rule", "Get Account Automation Rule", account)).payload.length, 1);
await run("Automation Rule", "Delete Automation Rule From Account", { ...account, id: rule.id });

const short = { ...account, short_code: "oi", content: "Olá!" };
const canned = await run("Canned Responses", "Add New Canned Response To Account", short);
assert.equal((await run("Canned Response", "Update Canned Response In Account", { ...short, id: canned.id, content: "Oi" })).content, "Oi");
assert.deepEqual((await run("Canned Responses", "Get Account Canned Response", account)).map((one) => one.short_code), ["oi"]);
await run("Canned Responses", "Delete Canned Response From Account", { ...account, id: canned.id });

const tier = {
  ...account, attribute_display_name: "Tier", attribute_display_type: 6, attribute_description: "d", attribute_key: "tier",
  attribute_values: '["gold","silver"]', attribute_model: 1,
};
const attribute = await run("Custom Attributes", "Add New Custom Attribute To Account", tier);
assert.deepEqual([attribute.attribute_display_type, attribute.attribute_values], ["list", ["gold", "silver"]]);
const wider = { ...tier, id: attribute.id, attribute_display_name: "Level", attribute_values: '["gold","silver","tin"]' };
assert.equal((await run("Custom Attributes", "Update Custom Attribute In Account", wider)).attribute_values.length, 3);
assert.equal((await run("Custom Attributes", "Get Details Of A Single Custom Attribute", { ...account, id: attribute.id })).attribute_display_name, "Level");
assert.equal((await run("Custom Attributes", "Get Account Custom Attribute", { ...account, attribute_model: "1" })).length, 1);
await run("Custom Attributes", "Delete Custom Attribute From Account", { ...account, id: attribute.id }, 204);

const caio = await run("Agents", "Add New Agent To Account", { ...account, name: "Caio", email: "caio@example.com", role: "agent" });
assert.deepEqual([caio.name, caio.role], ["Caio", "agent"]);
const changed = await run("Agents", "Update Agent In Account", { ...account, id: caio.id, role: "administrator", availability: "busy" });
assert.equal(changed.role, "administrator");
const both = { ...account, team_id: team.id, user_ids: `[${agent.id},${caio.id}]` };
assert.equal((await run("Teams", "Add New Agent To Team", both)).length, 2);
assert.deepEqual((await run("Teams", "Update Agents In Team", { ...both, user_ids: `[${caio.id}]` })).map((one) => one.id), [caio.id]);
assert.equal((await run("Teams", "Get Team Members", { ...account, team_id: team.id }))[0].email, "caio@example.com");
await run("Teams", "Delete Agent In Team", { ...both, user_ids: `[${caio.id}]` });
assert.deepEqual(await run("Teams", "Get Team Members", { ...account, team_id: team.id }), []);
const update = { ...account, team_id: team.id, name: "Parcels", description: "all of them" };
assert.equal((await run("Teams", "Update A Team", update)).name, "parcels");
assert.equal((await run("Teams", "List All Teams", account))[0].description, "all of them");
assert.equal((await run("Inboxes", "Update Agents In Inbox", { ...members, inbox_id: String(inbox.id), user_ids: `[${caio.id}]` })).payload[0].id, caio.id);
await run("Inboxes", "Delete Agent In Inbox", { ...members, inbox_id: String(inbox.id), user_ids: `[${caio.id}]` });
assert.deepEqual((await run("Inboxes", "Get Inbox Members", { ...account, inbox_id: inbox.id })).payload, []);
const shop = await run("Inboxes", "Update Inbox", { ...account, id: inbox.id, name: "Loja 2", enable_auto_assignment: false });
assert.deepEqual([shop.name, shop.enable_auto_assignment], ["Loja 2", false]);
await run("Agents", "Delete Agent From Account", { ...account, id: caio.id });

const days = await run("Reports", "List All Conversation Statistics", { ...account, type: "account", metric: "incoming_messages_count" });
assert.ok(days.length > 0 && days.every((one) => typeof one.value === "number"), JSON.stringify(days));
assert.equal(typeof (await run("Reports", "List All Conversation Statistics Summary", account)).previous.conversations_count, "number");
assert.deepEqual(await run("Reports", "Get Account Conversation Metrics", account), { open: 1, unattended: 1, unassigned: 1, pending: 0 });
assert.equal((await run("Reports", "Get Agent Conversation Metrics", account))[0].id, agent.id);

const leaving = (await run("Contacts", "Contact Create", { ...account, inbox_id: inbox.id, name: "Cris" })).payload.contact;
await run("Contacts", "Contact Delete", { ...account, id: leaving.id });
await run("Contacts", "Contact Details", { ...account, id: leaving.id }, 404);
await run("Teams", "Delete A Team", { ...account, team_id: team.id });
await run("Contacts", "Contact Details", { ...account, id: 999999 }, 404);
