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

await run("Teams", "Delete A Team", { ...account, team_id: team.id });
await run("Contacts", "Contact Details", { ...account, id: 999999 }, 404);
