//! Webhook endpoints on `/v1` (contract A6, D4).

use super::{Result, created};
use crate::caller::Caller;
use crate::endpoints::{self, create_request, enabled, rotate_request};
use crate::http::cursor::Cursor;
use crate::http::query;
use crate::http::reply::{Json, NoContent, Page};
use crate::http::request::{AnyBody, JsonBody, Path};
use crate::hub::Hub;
use crate::once::{ok, once_with_secret};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use tieline_core::ctx::Ctx;
use tieline_core::idempotency::Answer;
use tieline_core::ids::EndpointId;
use tieline_core::keys::scopes::Scope;
use tieline_core::webhooks::{self, Endpoint, Format};
use tieline_db::Tx;
use tieline_wire::native::webhook::{MissedView, RotatedView, WebhookChanged, WebhookView, WebhookWithSecret};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Name of the list, for its cursors.
const LIST: &str = "webhooks";

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, replace, remove))
        .routes(routes!(rotate_secret))
}

/// A webhook endpoint to add.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `request` reads
pub struct CreateWebhookRequest {
    #[schema(min_length = 1, max_length = 100, example = "Order system")]
    name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// A public https address.
    #[schema(max_length = 2048, example = "https://example.com/tieline")]
    url: String,
    /// Names of events in the words of the format, or `*` for all.
    #[schema(min_items = 1, example = json!(["message.sent"]))]
    events: Vec<String>,
    /// Default `native`. `atteny` knows the events `message.created` (the contact wrote) and `message.sent`, `chatwoot` those of
    /// Chatwoot's webhooks, such as `message_created`.
    #[schema(pattern = "^(native|atteny|chatwoot)$")]
    format: Option<String>,
    /// What replaces `X-Tieline` in header names, or `X-Atteny` in the format `atteny`; starts with `X-`.
    #[schema(max_length = 40)]
    header_prefix: Option<String>,
    /// Default 10, and 5 for the format `atteny`.
    #[schema(minimum = 1, maximum = 10)]
    max_attempts: Option<i64>,
    /// Only events of these inboxes.
    #[schema(max_items = 100)]
    inbox_ids: Option<Vec<String>>,
}

/// A webhook endpoint's members to change; what is not mentioned stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct UpdateWebhookRequest {
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Null clears it.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// A public https address.
    #[schema(nullable = false, max_length = 2048)]
    url: Option<String>,
    /// Names of events in the words of the format, or `*` for all.
    #[schema(nullable = false, min_items = 1)]
    events: Option<Vec<String>>,
    /// False cancels what waits. True forgets failures, and what waits is due at once.
    #[schema(nullable = false)]
    is_active: Option<bool>,
    #[schema(nullable = false, minimum = 1, maximum = 10)]
    max_attempts: Option<i64>,
    /// Only events of these inboxes; null for all.
    #[schema(max_items = 100)]
    inbox_ids: Option<Vec<String>>,
    /// What replaces `X-Tieline` in header names; starts with `X-`.
    #[schema(nullable = false, max_length = 40)]
    header_prefix: Option<String>,
}

/// How a secret is replaced.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct RotateSecretRequest {
    /// For so long both secrets sign. Default a day; 0 for not at all.
    #[schema(minimum = 0, maximum = 604_800)]
    expire_previous_in_seconds: Option<i64>,
}

/// A page of webhook endpoints.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct WebhookPage {
    data: Vec<WebhookView<'static>>,
    has_more: bool,
    #[schema(required)]
    next_cursor: Option<String>,
}

fn rotated(endpoint: &Endpoint, secret: &str) -> Answer {
    ok(&RotatedView::of(endpoint, secret))
}

fn with_secret(endpoint: &Endpoint, secret: &str) -> Answer {
    let view = WebhookWithSecret { webhook: WebhookView::of(endpoint), secret };
    created(format!("/v1/webhooks/{}", endpoint.id), &view)
}

/// Add a webhook endpoint
///
/// It gets the events that happen from now on. The secret is in this answer only.
#[utoipa::path(post, path = "/v1/webhooks", tag = "Webhooks",
    operation_id = "create_webhook",
    security(("key" = ["webhooks:write"])), request_body = CreateWebhookRequest,
    responses((status = 201, description = "Added", body = WebhookWithSecret<'static>)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let (secret, command) = create_request(&hub, &body.0, Format::Native).await?;
    let verb = move |tx: &mut Tx, ctx: &Ctx| webhooks::create(tx, ctx, &command);
    once_with_secret(&hub, &caller, &body.0, ("secret", secret), with_secret, verb).await
}

/// List webhook endpoints
///
/// Newest first.
#[utoipa::path(get, path = "/v1/webhooks", tag = "Webhooks",
    operation_id = "list_webhooks",
    security(("key" = ["webhooks:read"])),
    params(("limit" = Option<i64>, Query, minimum = 1, maximum = 100, description = "Rows of a page; default 20"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, description = "A page", body = WebhookPage)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksRead)?;
    let tenant = caller.tenant();
    let (limit, cursor) = query::read(query.as_deref(), |q| (q.limit(), q.cursor(tenant.0, LIST)))?;
    let after = cursor.map(|cursor| EndpointId::from_uuid(cursor.id));
    let rows = hub.db.read(move |read| webhooks::list(read, tenant, after, limit as i64 + 1)).await?;
    let cursor = |row: &Endpoint| Cursor { key: row.created_at, id: row.id.0 }.encode(tenant.0, LIST);
    let page = Page::of(rows, limit, cursor, |row| row);
    let data = page.data.iter().map(WebhookView::of).collect();
    Ok(Page { data, has_more: page.has_more, next_cursor: page.next_cursor }.into_response())
}

/// Show a webhook endpoint
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "Webhooks",
    operation_id = "get_webhook",
    security(("key" = ["webhooks:read"])), params(("id" = String, Path, description = "`wh_…`")),
    responses((status = 200, description = "The endpoint", body = WebhookView<'static>)))]
async fn show(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(EndpointId,)>) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksRead)?;
    let tenant = caller.tenant();
    let endpoint = hub.db.read(move |read| webhooks::get(read, tenant, id)).await?;
    Ok(Json(WebhookView::of(&endpoint)).into_response())
}

/// Change a webhook endpoint
///
/// A merge-patch: what is not mentioned stays, null clears. `isActive: false` cancels what waits. `isActive: true` forgets
/// failures, closes the breaker and makes what waits due at once; events from then on are delivered, and
/// `missedEvents` says how many a replay would bring back.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "Webhooks",
    operation_id = "update_webhook",
    security(("key" = ["webhooks:write"])), params(("id" = String, Path, description = "`wh_…`")),
    request_body = UpdateWebhookRequest,
    responses((status = 200, description = "Changed", body = WebhookChanged<'static>)))]
async fn update(hub: State<Hub>, caller: Caller, id: Path<(EndpointId,)>, body: JsonBody) -> Result<Response> {
    change(hub, caller, id, body).await
}

/// Change a webhook endpoint
///
/// The same as PATCH.
#[utoipa::path(put, path = "/v1/webhooks/{id}", tag = "Webhooks",
    operation_id = "replace_webhook",
    security(("key" = ["webhooks:write"])), params(("id" = String, Path, description = "`wh_…`")),
    request_body = UpdateWebhookRequest,
    responses((status = 200, description = "Changed", body = WebhookChanged<'static>)))]
async fn replace(hub: State<Hub>, caller: Caller, id: Path<(EndpointId,)>, body: JsonBody) -> Result<Response> {
    change(hub, caller, id, body).await
}

async fn change(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(EndpointId,)>,
    body: JsonBody,
) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let (endpoint, missed) = endpoints::change(&hub, &caller, id, &body.0).await?;
    let missed_events = missed.as_ref().map(MissedView::of);
    Ok(Json(WebhookChanged { webhook: WebhookView::of(&endpoint), missed_events }).into_response())
}

/// Delete a webhook endpoint
///
/// Nothing more is sent; its deliveries are gone with it.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "Webhooks",
    operation_id = "delete_webhook",
    security(("key" = ["webhooks:write"])),
    params(("id" = String, Path, description = "`wh_…`")), responses((status = 204, description = "Deleted")))]
async fn remove(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(EndpointId,)>) -> Result<NoContent> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let ctx = caller.ctx();
    hub.db.write(move |tx| webhooks::delete(tx, &ctx, id)).await?;
    Ok(NoContent)
}

/// Replace the signing secret
///
/// Until `previousSecretExpiresAt` every delivery is signed with both. The new secret is in this answer only.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate-secret", tag = "Webhooks",
    operation_id = "rotate_webhook_secret",
    security(("key" = ["webhooks:write"])),
    params(("id" = String, Path, description = "`wh_…`")), request_body = Option<RotateSecretRequest>,
    responses((status = 200, description = "The new secret", body = RotatedView<'static>)))]
async fn rotate_secret(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(EndpointId,)>,
    body: AnyBody,
) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let (secret, command) = rotate_request(&hub, id, &body.0)?;
    let verb = move |tx: &mut Tx, ctx: &Ctx| webhooks::rotate(tx, ctx, &command);
    once_with_secret(&hub, &caller, &body.0, ("secret", secret), rotated, verb).await
}
