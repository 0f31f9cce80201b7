//! Messages of the application API. Whatever is wrong with one is 422 `{error}`.

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params, with_files};
use super::refused::Refused;
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::{RawQuery, Request, State};
use http::StatusCode;
use serde_json::{Map, Value, json};
use tieline_core::bots;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::{Append, AppendVerb, Appended, Conversation};
use tieline_core::ctx::Ctx;
use tieline_core::error::Error;
use tieline_core::idempotency::Reply;
use tieline_core::ids::{ConversationId, MessageId, TenantId};
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::status::DeliveryStatus;
use tieline_core::messages::{self, Author, Content, Edit, Message, NewMessage, Order, Report, TEXT};
use tieline_core::time::Micros;
use tieline_db::{Read, Tx};
use tieline_wire::chatwoot::{contact, iso, object};

/// Longest text, characters.
pub(super) const CONTENT_LIMIT: usize = 150_000;
/// Messages of a page of the newest, of those after one, and of a span.
const PAGE: i64 = 20;
const AFTER: i64 = 100;
const SPAN: i64 = 1000;
/// Content types that need items, and what an item may have.
const WITH_ITEMS: [(&str, &[&str]); 4] = [
    ("input_select", &["title", "value"]),
    ("cards", &["title", "description", "media_url", "actions"]),
    (
        "form",
        &[
            "type",
            "placeholder",
            "label",
            "name",
            "options",
            "default",
            "required",
            "pattern",
            "title",
            "pattern_error",
        ],
    ),
    ("article", &["title", "description", "link"]),
];
/// All content types.
const CONTENT_TYPES: [&str; 13] = [
    TEXT,
    "input_text",
    "input_textarea",
    "input_email",
    "input_select",
    "cards",
    "form",
    "article",
    "incoming_email",
    "input_csat",
    "integrations",
    "sticker",
    "voice_call",
];

type OfConversation = Path<(Number, Number)>;
/// Account, conversation, message.
type At = (Number, Number, Number);
type OfMessage = Path<At>;

/// Messages that a conversation takes in [`WINDOW_US`].
const FLOOD: i64 = 200;
/// A minute, microseconds.
const WINDOW_US: i64 = 60_000_000;

/// Appends a message; a repeated source id gives the message that has it.
///
/// Errors: 422 when the conversation got too many in the last minute.
pub(super) async fn append(hub: &Hub, ctx: Ctx, conversation: ConversationId, message: NewMessage) -> Result<Appended> {
    let tenant = ctx.tenant;
    let is_flooded = hub.db.read(move |read| {
        let at = messages::nth_newest(read, tenant, conversation, FLOOD)?;
        Ok::<_, Error>(at.is_some_and(|at| at > read.now() - WINDOW_US))
    });
    if is_flooded.await? {
        return Err(Refused::unprocessable("Too many messages"));
    }
    let command = Append { ctx: ctx.clone(), once: None, conversation, message };
    match hub.db.submit::<AppendVerb>(command).await? {
        Reply::Done(done) => {
            if done.existing {
                hub.requests().repeated(&ctx, done.conversation.inbox, done.message.external_id.as_ref());
            }
            Ok(done)
        }
        Reply::Replayed(_) => Err(Error::internal("nothing was asked before").into()),
    }
}

/// The text of a message, within its limit.
pub(super) fn content(params: &Params) -> Result<String> {
    let text = params.text("content").unwrap_or_default();
    match text.chars().count() > CONTENT_LIMIT {
        true => Err(Refused::unprocessable("Validation failed: Content is too long (maximum is 150000 characters)")),
        false => Ok(text),
    }
}

/// Fills in both names of the message that this one answers, or takes both away.
fn link_reply(
    read: &mut Read,
    tenant: TenantId,
    v: &Conversation,
    attributes: &mut Map<String, Value>,
) -> tieline_core::Result<()> {
    if !attributes.contains_key("in_reply_to") && !attributes.contains_key("in_reply_to_external_id") {
        return Ok(());
    }
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let found = match attributes.get("in_reply_to").and_then(number) {
        Some(number) => match messages::by_number(read, tenant, v.id, number) {
            Ok(message) => Some(message),
            Err(error) if error.code == "not_found" => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let found = match (found, attributes.get("in_reply_to_external_id").and_then(Value::as_str)) {
        (None, Some(external)) => messages::by_external_id(read, tenant, v.id, external)?,
        (found, _) => found,
    };
    attributes.insert("in_reply_to".into(), found.as_ref().map(|message| message.number).into());
    attributes.insert("in_reply_to_external_id".into(), found.and_then(|message| message.external_id).into());
    Ok(())
}

/// When it was said, by its sender: unix seconds or ISO text.
pub(super) fn external_created_at(params: &Params) -> Option<i64> {
    let seconds = params.number("external_created_at").and_then(|seconds| seconds.checked_mul(1_000_000));
    seconds.or_else(|| Micros::parse(&params.text("external_created_at")?, "").ok().map(|at| at.0))
}

/// Whether what a kind of content is made of is there, and nothing else.
///
/// Errors: 422 in Chatwoot's words.
fn check_items(kind: &str, attributes: &Map<String, Value>) -> Result<()> {
    let refused = |text: &str| Err(Refused::unprocessable(&format!("Validation failed: Content attributes {text}")));
    let Some((_, allowed)) = WITH_ITEMS.iter().find(|(name, _)| *name == kind) else { return Ok(()) };
    let items = match attributes.get("items").and_then(Value::as_array) {
        Some(items) if items.iter().all(Value::is_object) => items,
        _ => return refused("Items should be present."),
    };
    if items.is_empty() {
        return refused("At least one item is required.");
    }
    let unknown = |object: &Value, allowed: &[&str]| {
        let keys = object.as_object().into_iter().flat_map(Map::keys);
        let wrong: Vec<String> = keys.filter(|key| !allowed.contains(&key.as_str())).cloned().collect();
        (!wrong.is_empty()).then(|| Value::from(wrong).to_string())
    };
    for item in items {
        if let Some(wrong) = unknown(item, allowed) {
            return refused(&format!("contains invalid keys for items : {wrong}"));
        }
        for action in item["actions"].as_array().into_iter().flatten() {
            if let Some(wrong) = unknown(action, &["text", "type", "payload", "uri"]) {
                return refused(&format!("contains invalid keys for actions under items : {wrong}"));
            }
        }
    }
    Ok(())
}

/// The message that a request describes.
pub(super) async fn new_message(
    hub: &Hub,
    agent: &Agent,
    v: &Conversation,
    params: &Params,
    may_come_in: bool,
) -> Result<NewMessage> {
    let kind = params.word("content_type").unwrap_or_else(|| TEXT.into());
    if !CONTENT_TYPES.contains(&kind.as_str()) {
        return Err(Refused::unprocessable(&format!("'{kind}' is not a valid content_type")));
    }
    let mut attributes = params.object("content_attributes").unwrap_or_default();
    attributes.retain(|_, value| !value.is_null());
    check_items(&kind, &attributes)?;
    let private = params.truth("private") == Some(true);
    let (direction, author_type) = match params.word("message_type").as_deref() {
        Some("incoming" | "0") if !may_come_in || v.channel != Channel::Api => {
            return Err(Refused::unprocessable("Incoming messages are only allowed in Api inboxes"));
        }
        Some("incoming" | "0") => (Direction::Inbound, AuthorType::Contact),
        None | Some("outgoing" | "1") if private => (Direction::Note, AuthorType::Agent),
        None | Some("outgoing" | "1") => (Direction::Outbound, AuthorType::Agent),
        Some("activity" | "2") => (Direction::Activity, AuthorType::System),
        Some("template" | "3") => (Direction::Outbound, AuthorType::Automation),
        Some(other) => return Err(Refused::unprocessable(&format!("'{other}' is not a valid message_type"))),
    };
    let sent_at = external_created_at(params);
    if let Some(at) = params.raw("external_created_at").filter(|_| sent_at.is_some()) {
        attributes.insert("external_created_at".into(), at.clone());
    }
    if attributes.contains_key("in_reply_to") || attributes.contains_key("in_reply_to_external_id") {
        let (tenant, v) = (agent.account(), v.clone());
        attributes = hub
            .db
            .read(move |read| {
                let mut attributes = attributes;
                link_reply(read, tenant, &v, &mut attributes).map(|()| attributes)
            })
            .await?;
    }
    let is_plain = kind == TEXT && attributes.is_empty();
    let bot = match (author_type, &agent.bot, params.word("sender_type").as_deref()) {
        (AuthorType::Contact | AuthorType::System, ..) => None,
        (_, Some(bot), _) => Some(bot.clone()),
        (_, None, Some("AgentBot")) => {
            let (tenant, number) = (agent.account(), params.number("sender_id").unwrap_or(0));
            Some(hub.db.read(move |read| bots::by_number(read, tenant, number)).await?)
        }
        _ => None,
    };
    let author = match &bot {
        // A bot is no human agent: the customer still waits for one.
        Some(bot) => Author {
            kind: Some(AuthorType::Automation),
            bot: Some(bot.id),
            name: Some(bot.name.clone()),
            ..Author::default()
        },
        None => {
            let user = (author_type == AuthorType::Agent).then_some(agent.user.id);
            Author { kind: Some(author_type), user, ..Author::default() }
        }
    };
    Ok(NewMessage {
        direction,
        author,
        text: content(params)?,
        html: None,
        content: (!is_plain).then(|| Content { kind, attributes: Value::Object(attributes).to_string() }),
        external_id: params.word("source_id").filter(|id| id.chars().count() <= 255),
        sent_at,
        attachments: params.attach(hub),
    })
}

pub async fn create(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfConversation,
    request: Request,
) -> Result<Json<Value>> {
    let who = agent.clone();
    let v = hub.db.read(move |read| who.conversation(read, number.0)).await?;
    let params = with_files(request, &hub, agent.account()).await?;
    let message = new_message(&hub, &agent, &v, &params, true).await?;
    let done = append(&hub, agent.ctx(), v.id, message).await?;
    let scene = agent.scene();
    let view =
        hub.db.read(move |read| scene.view().message(read, &done.conversation, &done.message, params.raw("echo_id")));
    Ok(Json(view.await?))
}

/// A page of messages, by the time at which their senders say they were said. Pages themselves go by the order in which
/// messages came: a late one is in the newest page, at its place there.
fn page(read: &mut Read, tenant: TenantId, v: &Conversation, params: &Params) -> tieline_core::Result<Vec<Message>> {
    let (after, before) = (params.number("after"), params.number("before"));
    let said_only = params.truth("filter_internal_messages") == Some(true);
    let (order, mut start, limit) = match (after, before) {
        (Some(after), Some(_)) => (Order::OldestFirst, Some(after.saturating_sub(1)), SPAN),
        (Some(after), None) => (Order::OldestFirst, Some(after), AFTER),
        (None, before) => (Order::NewestFirst, before, PAGE),
    };
    let mut found: Vec<Message> = Vec::new();
    loop {
        let batch = messages::list(read, tenant, v.id, order, start, limit)?;
        let is_last = (batch.len() as i64) < limit;
        start = batch.last().map(|message| message.number).or(start);
        found.extend(batch.into_iter().filter(|message| !said_only || message.direction.is_said()));
        if is_last || found.len() as i64 >= limit {
            break;
        }
    }
    found.truncate(limit as usize);
    if let (Some(_), Some(before)) = (after, before) {
        found.retain(|message| message.number < before);
    }
    found.sort_by_key(|message| (message.sent_at, message.number));
    Ok(found)
}

pub async fn list(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfConversation,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>> {
    let (params, scene) = (Params::of_query(query.as_deref()), agent.scene());
    let body = hub.db.read(move |read| {
        let v = agent.conversation(read, number.0)?;
        let list = page(read, scene.tenant, &v, &params)?;
        let mut view = scene.view();
        let payload = list.iter().map(|message| view.message(read, &v, message, None));
        let payload = payload.collect::<tieline_core::Result<Vec<Value>>>()?;
        let meta = json!({
            "labels": v.tags,
            "additional_attributes": object(&v.metadata),
            "contact": contact::sender(&v.contact),
            "assignee": view.assignee(read, &v)?,
            "agent_last_seen_at": v.agent_seen_at.map(iso),
            "assignee_last_seen_at": v.agent_seen_at.filter(|_| v.agent.is_some()).map(iso),
        });
        Ok::<_, Error>(json!({"meta": meta, "payload": payload}))
    });
    Ok(Json(body.await?))
}

/// Changes a message of an API inbox: how far it got, or (unlike Chatwoot, which ignores it) what it says.
pub async fn update(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, conversation, number)): OfMessage,
    params: Params,
) -> Result<Json<Value>> {
    let text = params.has("content").then(|| content(&params)).transpose()?;
    let status = match params.word("status").as_deref() {
        None => None,
        Some("sent" | "0") => Some(DeliveryStatus::Sent),
        Some("delivered" | "1") => Some(DeliveryStatus::Delivered),
        Some("read" | "2") => Some(DeliveryStatus::Read),
        Some("failed" | "3") => Some(DeliveryStatus::failed(&params.text("external_error").unwrap_or_default())),
        Some(other) => return Err(Refused::unprocessable(&format!("'{other}' is not a valid status"))),
    };
    let (scene, ctx) = (agent.scene(), agent.ctx());
    let view = hub.db.write(move |tx| {
        let v = agent.conversation(tx, conversation.0)?;
        if v.channel != Channel::Api {
            return Ok::<_, Error>(None);
        }
        let mut message = messages::by_number(tx, ctx.tenant, v.id, number.0)?;
        // Only our messages have a status; of the others Chatwoot takes it without effect.
        if let Some(status) = status.clone().filter(|_| message.direction == Direction::Outbound) {
            message = messages::report(tx, &ctx, &Report { message: message.id, status })?.message;
        }
        if let Some(text) = &text {
            message = messages::edit(tx, &ctx, message.id, &Edit::Text(text.clone()))?;
        }
        scene.view().message(tx, &v, &message, None).map(Some)
    });
    let refused = || Refused::with(StatusCode::FORBIDDEN, "Message status update is only allowed for API inboxes");
    Ok(Json(view.await?.ok_or_else(refused)?))
}

pub async fn delete(State(hub): State<Hub>, agent: Agent, Path(at): OfMessage) -> Result<Json<Value>> {
    change(&hub, agent, at, |tx, ctx, id| messages::edit(tx, ctx, id, &Edit::Delete)).await
}

/// Sends a message of ours once more.
pub async fn retry(State(hub): State<Hub>, agent: Agent, Path(at): OfMessage) -> Result<Json<Value>> {
    change(&hub, agent, at, messages::retry).await
}

type Verb = fn(&mut Tx, &Ctx, MessageId) -> tieline_core::Result<Message>;

/// Does this to the message; what it is then.
async fn change(hub: &Hub, agent: Agent, (_, conversation, number): At, verb: Verb) -> Result<Json<Value>> {
    let (scene, ctx) = (agent.scene(), agent.ctx());
    let view = hub.db.write(move |tx| {
        let v = agent.conversation(tx, conversation.0)?;
        let id = messages::by_number(tx, ctx.tenant, v.id, number.0)?.id;
        let message = verb(tx, &ctx, id)?;
        scene.view().message(tx, &v, &message, None)
    });
    Ok(Json(view.await?))
}
