//! Messages of a conversation: what the contact and the organization said to each other.

use super::{PageParams, Result, listed, made, numbered};
use crate::addresses::{self, check_addresses};
use crate::caller::Caller;
use crate::http::fields::{self, Object, Refusal};
use crate::http::query;
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use crate::once::{replayed, respond};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use tieline_core::attachments::{Attach, NewAttachment, kind};
use tieline_core::conversations::{self, Append, AppendVerb, Appended};
use tieline_core::error::Error;
use tieline_core::idempotency::{Answer, Reply};
use tieline_core::ids::ConversationId;
use tieline_core::keys::scopes::Scope;
use tieline_core::messages::direction::Direction;
use tieline_core::messages::html::TEXT_LIMIT;
use tieline_core::messages::{self, Author, NewMessage};
use tieline_wire::atteny::message::MessageView;
use tieline_wire::atteny::{List, Success};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Routes of this file.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list, send))
}

/// A message to send.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `message` reads
struct SendMessageRequest {
    /// Its text, at most 64 KiB; with a medium, what is written under it.
    #[schema(min_length = 1, example = "Seu pedido saiu para entrega.")]
    content: String,
    /// Default `TEXT`, and with `mediaUrl` what `mediaType` says.
    #[schema(rename = "type", pattern = "^(TEXT|IMAGE|VIDEO|AUDIO|DOCUMENT)$")]
    kind: Option<String>,
    /// A public https address; needed for every type but `TEXT`. The message does not wait: the file is fetched later.
    #[schema(max_length = 2048)]
    media_url: Option<String>,
    /// The media type, where the address does not say.
    #[schema(max_length = 255, example = "image/png")]
    media_type: Option<String>,
}

/// List a conversation's messages
///
/// Newest first; without notes. A merged conversation shows the messages of the one it was merged into.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/messages", tag = "Conversations",
    operation_id = "list_messages",
    security(("key" = ["messages:read"])),
    params(("id" = String, Path), PageParams),
    responses((status = 200, description = "A page", body = List<MessageView<'static>>)))]
async fn list(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ConversationId,)>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    caller.needs(Scope::MessagesRead)?;
    let tenant = caller.tenant();
    let page = query::read(query.as_deref(), numbered)?;
    let mut found = hub
        .db
        .read(move |read| {
            let holder = conversations::holder(read, tenant, id)?;
            messages::said(read, tenant, holder, page)
        })
        .await?;
    let now = hub.db.now();
    found.rows.iter_mut().for_each(|message| hub.files.links().fill(tenant, &mut message.attachments, now));
    Ok(listed(page, &found, true, MessageView::of))
}

/// Send a message
///
/// It counts as a person's reply. An archived conversation takes none: 409.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/messages", tag = "Conversations",
    operation_id = "create_message",
    security(("key" = ["messages:send"])),
    params(("id" = String, Path)), request_body = SendMessageRequest,
    responses((status = 201, description = "Sent", body = Success<MessageView<'static>>)))]
async fn send(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ConversationId,)>,
    body: JsonBody,
) -> Result<Response> {
    caller.needs(Scope::MessagesSend)?;
    let message = fields::read(&body.0, |body| message(&hub, body))?;
    check_addresses(&hub, &message.attachments).await.map_err(|failure| at_media_url(failure.0))?;
    let once = caller.once(&body.0, sent);
    let command = Append { ctx: caller.ctx(), once, conversation: id, message };
    Ok(match hub.db.submit::<AppendVerb>(command).await? {
        Reply::Done(done) => {
            caller.concerns(done.conversation.inbox);
            respond(sent(&done))
        }
        Reply::Replayed(answer) => replayed(answer),
    })
}

fn sent(done: &Appended) -> Answer {
    made(format!("/api/v1/conversations/{}/messages", done.conversation.id), MessageView::of(&done.message))
}

/// The one address of a message has another name here than in the list of `/v1`.
fn at_media_url(mut error: Error) -> Error {
    error.fields.iter_mut().for_each(|field| field.pointer = "/mediaUrl".into());
    error
}

/// Atteny's words for media, with what each is taken for where nothing else says.
const KINDS: [(&str, Option<&str>); 5] = [
    ("TEXT", None),
    ("IMAGE", Some("image/jpeg")),
    ("VIDEO", Some("video/mp4")),
    ("AUDIO", Some("audio/mpeg")),
    ("DOCUMENT", Some(kind::UNKNOWN)),
];

fn message(hub: &Hub, body: &Object<'_, '_>) -> NewMessage {
    let text = body.string("content").bytes(1..=TEXT_LIMIT).owned().required();
    let kind = body.one_of("type", &KINDS).optional();
    let media_type = body.string("mediaType").chars(1..=kind::NAME_LIMIT).owned().optional();
    let given = body.raw("mediaUrl").optional().is_some();
    let url = addresses::url(body.string("mediaUrl"), hub.guard.policy()).optional();
    match kind {
        Some(None) if given => body.refuse("mediaUrl", Refusal::new("not_allowed", "does not go with the type TEXT")),
        Some(Some(_)) if !given => body.refuse("mediaUrl", Refusal::new("required", "is required for this type")),
        _ => {}
    }
    let file = url.map(|url| {
        let assumed = kind.flatten().unwrap_or(kind::UNKNOWN);
        let content_type = kind::declared_type(Some(media_type.as_deref().unwrap_or(assumed)));
        NewAttachment::At { name: kind::file_name(&addresses::last_part(&url)), content_type, url }
    });
    NewMessage {
        direction: Direction::Outbound,
        author: Author::default(),
        text,
        html: None,
        content: None,
        external_id: None,
        sent_at: None,
        attachments: Attach {
            files: file.into_iter().collect(),
            links: Some(hub.files.links().clone()),
            pointer: "/media",
        },
    }
}
