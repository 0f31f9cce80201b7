//! Conversations, each with its contact and what was said last.

use super::{PageParams, Result, listed, numbered, success};
use crate::caller::Caller;
use crate::http::query;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{self, Conversation};
use tieline_core::error::Error;
use tieline_core::ids::ConversationId;
use tieline_core::keys::scopes::Scope;
use tieline_core::messages;
use tieline_wire::atteny::conversation::ListedConversation;
use tieline_wire::atteny::{List, Success};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Routes of this file.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Which conversations are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct StatusParams {
    /// `active`, `snoozed`, `done` or `archived`; all if not given.
    status: Option<String>,
}

/// List conversations
///
/// Last changed first, each with `contact` and `lastMessage`.
#[utoipa::path(get, path = "/api/v1/conversations", tag = "Conversations",
    operation_id = "list_conversations",
    security(("key" = ["conversations:read"])), params(PageParams, StatusParams),
    responses((status = 200, description = "A page", body = List<ListedConversation<'static>>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response> {
    caller.needs(Scope::ConversationsRead)?;
    let tenant = caller.tenant();
    let statuses = Status::ALL.map(|status| (status.as_str(), status));
    let (status, page) =
        query::read(query.as_deref(), |query| (query.one_of("status", &statuses).optional(), numbered(query)))?;
    let (found, mut last) = hub
        .db
        .read(move |read| {
            let found = conversations::numbered(read, tenant, status, page)?;
            let ids: Vec<ConversationId> = found.rows.iter().map(|row| row.id).collect();
            let last = messages::last_said(read, tenant, &ids)?;
            Ok::<_, Error>((found, last))
        })
        .await?;
    let now = hub.db.now();
    last.values_mut().for_each(|message| hub.files.links().fill(tenant, &mut message.attachments, now));
    Ok(listed(page, &found, true, |row: &Conversation| ListedConversation::of(row, last.get(&row.id))))
}

/// Show a conversation
#[utoipa::path(get, path = "/api/v1/conversations/{id}", tag = "Conversations",
    operation_id = "get_conversation",
    security(("key" = ["conversations:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The conversation", body = Success<ListedConversation<'static>>)))]
async fn show(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(ConversationId,)>) -> Result<Response> {
    caller.needs(Scope::ConversationsRead)?;
    let tenant = caller.tenant();
    let (found, mut last) = hub
        .db
        .read(move |read| {
            Ok::<_, Error>((conversations::get(read, tenant, id)?, messages::last_said(read, tenant, &[id])?))
        })
        .await?;
    let now = hub.db.now();
    last.values_mut().for_each(|message| hub.files.links().fill(tenant, &mut message.attachments, now));
    Ok(success(ListedConversation::of(&found, last.get(&id))))
}
