//! Messages on `/v1` (contract D3.2, D3.9).

use super::attachments::{AttachmentRequest, check_addresses, files};
use super::conversations::{content, sent_at};
use super::{Result, once, replayed, respond};
use crate::caller::Caller;
use crate::http::cursor::Cursor;
use crate::http::fields::{self, Object};
use crate::http::query;
use crate::http::reply::{Json, Page};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use tieline_core::attachments::Attach;
use tieline_core::conversations::{self, Append, AppendVerb, Appended};
use tieline_core::idempotency::{Answer, Reply};
use tieline_core::ids::{ConversationId, MessageId, UserId};
use tieline_core::keys::scopes::Scope;
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::status::{DeliveryStatus, FAILURE_REASON_LIMIT};
use tieline_core::messages::{self, Author, Message, NewMessage, Order, Report, Reported};
use tieline_wire::native::Shown;
use tieline_wire::native::message::MessageView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest external id of a message, characters.
const EXTERNAL_ID_LIMIT: usize = 255;
/// Longest name of an author, characters.
const AUTHOR_NAME_LIMIT: usize = 200;
/// Name of the list of messages in cursors.
const LISTS: [&str; 2] = ["messages:oldest", "messages:newest"];

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(note))
        .routes(routes!(get))
        .routes(routes!(status))
}

/// A message to add.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `message` reads
pub struct MessageRequest {
    /// `inbound`: the customer wrote it. `outbound`: you did.
    #[schema(pattern = "^(inbound|outbound)$", example = "inbound")]
    direction: String,
    /// Plain text, at most 64 KiB. Needed unless there is `html` or an attachment.
    text: Option<String>,
    /// HTML, at most 512 KiB; sanitised. The text is made from it when there is none.
    html: Option<String>,
    /// Your id of it, unique in the conversation: sent again, it is answered with 200 and the message that is there.
    #[schema(min_length = 1, max_length = 255)]
    external_id: Option<String>,
    /// When it was sent, for display.
    #[schema(format = "date-time")]
    sent_at: Option<String>,
    author: Option<AuthorRequest>,
    #[schema(max_items = 20)]
    attachments: Option<Vec<AttachmentRequest>>,
}

/// Who wrote a message.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct AuthorRequest {
    /// `contact` for inbound messages; `agent` (the default), `ai` or `automation` for outbound ones. Only an agent's message
    /// counts as a person's reply.
    #[schema(rename = "type", pattern = "^(contact|agent|ai|automation)$")]
    kind: Option<String>,
    /// The name to show.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Of an agent: the user who wrote it, `usr_…`.
    id: Option<String>,
}

/// A message, and where it went if not where it was sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppendedView<'a> {
    #[serde(flatten)]
    message: MessageView<'a>,
    /// The archived conversation it was sent to, when it went into one that follows it.
    #[schema(required, value_type = Option<String>)]
    previous_conversation_id: Option<Shown<ConversationId>>,
}

fn appended(done: &Appended) -> Answer {
    let message = MessageView::of(&done.message);
    let view = AppendedView { message, previous_conversation_id: done.previous.map(Shown) };
    let answer = super::created(format!("/v1/messages/{}", done.message.id), &view);
    Answer { status: if done.existing { 200 } else { 201 }, ..answer }
}

async fn append(
    hub: &Hub,
    caller: &Caller,
    conversation: ConversationId,
    body: &[u8],
    message: NewMessage,
) -> Result<Response> {
    let once = caller.once(body, appended);
    let command = Append { ctx: caller.ctx(), once, conversation, message };
    Ok(match hub.db.submit::<AppendVerb>(command).await? {
        Reply::Done(done) => {
            caller.concerns(done.conversation.inbox);
            if done.existing {
                hub.requests().repeated(&caller.ctx(), done.conversation.inbox, done.message.external_id.as_ref());
            }
            respond(appended(&done))
        }
        Reply::Replayed(answer) => replayed(answer),
    })
}

/// Add a message to a conversation
///
/// The customer's message wakes a snoozed conversation and reopens a done one; for an archived one a new conversation is
/// opened for the same contact, in which further messages go on until it is archived itself, and the answer names both. A
/// message of yours to an archived conversation is 409.
#[utoipa::path(post, path = "/v1/conversations/{id}/messages", tag = "Messages",
    operation_id = "create_message",
    security(("key" = ["conversations:write"]), ("key" = ["messages:send"])),
    params(("id" = String, Path, description = "The conversation's id")), request_body = MessageRequest,
    responses((status = 201, description = "Added", body = AppendedView<'static>),
        (status = 200, description = "It was there already, by its externalId", body = AppendedView<'static>)))]
async fn create(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ConversationId,)>,
    body: JsonBody,
) -> Result<Response> {
    caller.needs_any(&[Scope::ConversationsWrite, Scope::MessagesSend])?;
    let now = hub.db.now();
    let message = fields::read(&body.0, |body| message(&hub, body, None, now, "/attachments"))?;
    check_addresses(&hub, &message.attachments).await?;
    append(&hub, &caller, id, &body.0, message).await
}

/// Reads a message; without a default `direction` is required, and so is a text, HTML or an attachment. `pointer` is the
/// place of its attachments.
pub(super) fn message(
    hub: &Hub,
    body: &Object<'_, '_>,
    default: Option<Direction>,
    now: i64,
    pointer: &'static str,
) -> NewMessage {
    let directions = [("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];
    let direction = body.one_of("direction", &directions);
    let direction = match default {
        Some(default) => direction.or(default),
        None => direction.required(),
    };
    let (text, html) = content(body, "text", "html");
    let attachments = files(hub, body, pointer);
    // A list that was refused is one error, not two.
    let empty = |raw: &RawValue| raw.get().bytes().filter(|b| !b.is_ascii_whitespace()).eq(*b"[]");
    let no_files = body.raw("attachments").optional().is_none_or(empty);
    if text.is_none() && no_files {
        // Where the member is wrong in itself, that is the one error.
        let given = |name| body.raw(name).optional().is_some();
        let name = if given("html") && !given("text") { "html" } else { "text" };
        body.refuse(name, fields::Refusal::new("required", "must say something unless there is html or an attachment"));
    }
    let author = body.object("author").optional();
    NewMessage {
        direction,
        author: author.map(|author| self::author(&author, direction)).unwrap_or_default(),
        text: text.unwrap_or_default(),
        html,
        content: None,
        external_id: body.string("externalId").chars(1..=EXTERNAL_ID_LIMIT).owned().optional(),
        sent_at: sent_at(body, now),
        attachments,
    }
}

fn author(author: &Object<'_, '_>, direction: Direction) -> Author {
    let inbound = [("contact", AuthorType::Contact)];
    let outbound = [("agent", AuthorType::Agent), ("ai", AuthorType::Ai), ("automation", AuthorType::Automation)];
    let words: &[_] = if direction == Direction::Inbound { &inbound } else { &outbound };
    let kind = author.one_of("type", words).optional();
    let user: Option<UserId> = author.id("id").optional();
    let agent = kind.is_none_or(|kind| kind == AuthorType::Agent) && direction != Direction::Inbound;
    if user.is_some() && !agent {
        author.refuse("id", fields::Refusal::new("not_allowed", "goes with the type agent only"));
    }
    Author { kind, user, bot: None, name: author.string("name").chars(1..=AUTHOR_NAME_LIMIT).owned().optional() }
}

/// A note to add.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct NoteRequest {
    /// Plain text, at most 64 KiB.
    #[schema(min_length = 1, example = "Asked the carrier.")]
    text: String,
}

/// Add a note to a conversation
///
/// Notes stay inside: the customer never sees them, and no webhook tells of them.
#[utoipa::path(post, path = "/v1/conversations/{id}/notes", tag = "Messages",
    operation_id = "create_note",
    security(("key" = ["conversations:write"])),
    params(("id" = String, Path, description = "The conversation's id")), request_body = NoteRequest,
    responses((status = 201, description = "Added", body = AppendedView<'static>)))]
async fn note(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ConversationId,)>,
    body: JsonBody,
) -> Result<Response> {
    caller.needs(Scope::ConversationsWrite)?;
    let note = fields::read(&body.0, |body| NewMessage {
        direction: Direction::Note,
        author: Author::default(),
        text: body.string("text").bytes(1..=messages::html::TEXT_LIMIT).owned().required(),
        html: None,
        content: None,
        external_id: None,
        sent_at: None,
        attachments: Attach::default(),
    })?;
    append(&hub, &caller, id, &body.0, note).await
}

/// A page of messages.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of `Page`
pub struct MessagePage {
    data: Vec<MessageView<'static>>,
    /// Whether another page follows.
    has_more: bool,
    /// What to send as `cursor` for the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// List a conversation's messages
///
/// With notes and lines of the system. A merged conversation shows the messages of the one it was merged into.
#[utoipa::path(get, path = "/v1/conversations/{id}/messages", tag = "Messages",
    operation_id = "list_messages",
    security(("key" = ["conversations:read"]), ("key" = ["messages:read"])),
    params(("id" = String, Path, description = "The conversation's id"),
        ("order" = Option<String>, Query, description = "`oldest` (default) or `newest` first"),
        ("limit" = Option<i64>, Query, description = "Rows of a page, 1 to 100; default 20"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, description = "A page", body = MessagePage)))]
async fn list(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ConversationId,)>,
    RawQuery(text): RawQuery,
) -> Result<Response> {
    caller.needs_any(&[Scope::ConversationsRead, Scope::MessagesRead])?;
    let tenant = caller.tenant();
    let (order, limit, after) = query::read(text.as_deref(), |query| {
        let orders = [("oldest", Order::OldestFirst), ("newest", Order::NewestFirst)];
        let order = query.one_of("order", &orders).or(Order::OldestFirst);
        (order, query.limit(), query.cursor(tenant.0, LISTS[order as usize]))
    })?;
    let rows = hub.db.read(move |read| {
        let holder = conversations::holder(read, tenant, id)?;
        messages::list(read, tenant, holder, order, after.map(|cursor| cursor.key), limit as i64 + 1)
    });
    let mut rows = rows.await?;
    rows.iter_mut().for_each(|row| hub.files.links().fill(tenant, &mut row.attachments, hub.db.now()));
    let cursor = |row: &&Message| Cursor { key: row.number, id: row.id.0 }.encode(tenant.0, LISTS[order as usize]);
    Ok(Json(Page::of(rows.iter().collect(), limit, cursor, MessageView::of)).into_response())
}

/// Show a message
#[utoipa::path(get, path = "/v1/messages/{id}", tag = "Messages",
    operation_id = "get_message",
    security(("key" = ["conversations:read"]), ("key" = ["messages:read"])),
    params(("id" = String, Path, description = "Its id, `msg_…`")),
    responses((status = 200, description = "The message", body = MessageView<'static>)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(MessageId,)>) -> Result<Response> {
    caller.needs_any(&[Scope::ConversationsRead, Scope::MessagesRead])?;
    let tenant = caller.tenant();
    let mut found = hub.db.read(move |read| messages::get(read, tenant, id)).await?;
    hub.files.links().fill(tenant, &mut found.attachments, hub.db.now());
    Ok(Json(MessageView::of(&found)).into_response())
}

/// How far a message got.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct StatusRequest {
    #[schema(pattern = "^(sent|delivered|read|failed)$", example = "delivered")]
    status: String,
    /// Why it failed; longer ones are cut to 1,000 characters.
    reason: Option<String>,
}

fn reported(done: &Reported) -> Answer {
    let body = serde_json::to_vec(&MessageView::of(&done.message)).unwrap_or_default();
    Answer { status: 200, location: None, body }
}

/// Report how far a message got
///
/// Reports may come twice and in any order: a message keeps the furthest it has heard of.
#[utoipa::path(post, path = "/v1/messages/{id}/status", tag = "Messages",
    operation_id = "report_message_status",
    security(("key" = ["conversations:write"]), ("key" = ["messages:send"])),
    params(("id" = String, Path, description = "The message's id")), request_body = StatusRequest,
    responses((status = 200, description = "The message", body = MessageView<'static>)))]
async fn status(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(MessageId,)>,
    body: JsonBody,
) -> Result<Response> {
    caller.needs_any(&[Scope::ConversationsWrite, Scope::MessagesSend])?;
    let status = fields::read(&body.0, |body| {
        let words = [("sent", 0), ("delivered", 1), ("read", 2), ("failed", 3)];
        let reason = body.string("reason").bytes(..=FAILURE_REASON_LIMIT * 64).owned().optional();
        match body.one_of("status", &words).required() {
            0 => DeliveryStatus::Sent,
            1 => DeliveryStatus::Delivered,
            2 => DeliveryStatus::Read,
            _ => DeliveryStatus::failed(reason.as_deref().unwrap_or_default()),
        }
    })?;
    let report = Report { message: id, status };
    let links = hub.files.links().clone();
    let verb = move |tx: &mut tieline_db::Tx, ctx: &tieline_core::ctx::Ctx| {
        let mut done = messages::report(tx, ctx, &report)?;
        links.fill(ctx.tenant, &mut done.message.attachments, tx.now());
        Ok(done)
    };
    once(&hub, &caller, &body.0, reported, verb).await
}
