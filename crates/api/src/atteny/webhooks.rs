//! Webhook endpoints, of format `atteny` unless a request says otherwise.

use super::{PageParams, Result, listed, made, manages_webhooks, numbered, success};
use crate::caller::Caller;
use crate::endpoints::{change, create_request, rotate_request};
use crate::http::query;
use crate::http::request::{AnyBody, JsonBody, Path};
use crate::hub::Hub;
use crate::once::once_with_secret;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use tieline_core::ctx::Ctx;
use tieline_core::ids::EndpointId;
use tieline_core::page::Rows;
use tieline_core::webhooks::{self, Endpoint, Format};
use tieline_db::Tx;
use tieline_wire::atteny::{List, Success};
use tieline_wire::native::Shown;
use tieline_wire::native::webhook::{MissedView, RotatedView, WebhookChanged, WebhookView, WebhookWithSecret};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Endpoints that are listed, newest first: many more than any plan has.
const ENDPOINTS_LIMIT: i64 = 1000;

/// Routes of this file.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, remove))
        .routes(routes!(rotate_secret))
}

/// A webhook to add.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `create_request` reads
struct CreateWebhookRequest {
    #[schema(min_length = 1, max_length = 100, example = "ERP")]
    name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// A public https address.
    #[schema(max_length = 2048, example = "https://example.com/atteny")]
    url: String,
    /// `message.created` (the contact wrote), `message.sent` (the organization did), or `*` for both.
    #[schema(min_items = 1, example = json!(["message.created"]))]
    events: Vec<String>,
    /// Default `atteny`; `native` has the events and bodies of `/v1`.
    #[schema(pattern = "^(atteny|native)$")]
    format: Option<String>,
    /// What replaces `X-Atteny` in header names; starts with `X-`.
    #[schema(max_length = 40)]
    header_prefix: Option<String>,
    /// Default 5.
    #[schema(minimum = 1, maximum = 10)]
    max_attempts: Option<i64>,
    /// Only events of these inboxes.
    #[schema(max_items = 100)]
    inbox_ids: Option<Vec<String>>,
}

/// A webhook's members to change; what is not mentioned stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
struct UpdateWebhookRequest {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Null clears it.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// A public https address.
    #[schema(max_length = 2048)]
    url: Option<String>,
    #[schema(min_items = 1)]
    events: Option<Vec<String>>,
    /// False cancels what waits. True forgets failures, and what waits is due at once.
    is_active: Option<bool>,
    #[schema(minimum = 1, maximum = 10)]
    max_attempts: Option<i64>,
    /// Only events of these inboxes; null for all.
    #[schema(max_items = 100)]
    inbox_ids: Option<Vec<String>>,
    #[schema(max_length = 40)]
    header_prefix: Option<String>,
}

/// How a secret is replaced.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
struct RotateSecretRequest {
    /// For so long both secrets sign. Default a day; 0 for not at all.
    #[schema(minimum = 0, maximum = 604_800)]
    expire_previous_in_seconds: Option<i64>,
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
struct Deleted {
    #[schema(value_type = String)]
    id: Shown<EndpointId>,
}

/// List webhooks
///
/// Newest first.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "Webhooks",
    operation_id = "list_webhooks",
    security(("key" = ["webhooks:manage"])), params(PageParams),
    responses((status = 200, description = "A page", body = List<WebhookView<'static>>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response> {
    manages_webhooks(&caller)?;
    let tenant = caller.tenant();
    let page = query::read(query.as_deref(), numbered)?;
    let all = hub.db.read(move |read| webhooks::list(read, tenant, None, ENDPOINTS_LIMIT)).await?;
    let total = all.len() as i64;
    let skip = (page.page - 1).saturating_mul(page.limit).min(total);
    let rows = all.into_iter().skip(skip as usize).take(page.limit as usize).collect();
    Ok(listed(page, &Rows { rows, total }, true, WebhookView::of))
}

/// Add a webhook
///
/// It gets the events that happen from now on. The secret is in this answer only.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "Webhooks",
    operation_id = "create_webhook",
    security(("key" = ["webhooks:manage"])), request_body = CreateWebhookRequest,
    responses((status = 201, description = "Added", body = Success<WebhookWithSecret<'static>>)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    manages_webhooks(&caller)?;
    let (secret, command) = create_request(&hub, &body.0, Format::Atteny).await?;
    let render = |endpoint: &Endpoint, secret: &str| {
        let view = WebhookWithSecret { webhook: WebhookView::of(endpoint), secret };
        made(format!("/api/v1/webhooks/{}", endpoint.id), view)
    };
    let verb = move |tx: &mut Tx, ctx: &Ctx| webhooks::create(tx, ctx, &command);
    once_with_secret(&hub, &caller, &body.0, ("secret", secret), render, verb).await
}

/// Show a webhook
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", tag = "Webhooks",
    operation_id = "get_webhook",
    security(("key" = ["webhooks:manage"])), params(("id" = String, Path)),
    responses((status = 200, description = "The webhook", body = Success<WebhookView<'static>>)))]
async fn show(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(EndpointId,)>) -> Result<Response> {
    manages_webhooks(&caller)?;
    let tenant = caller.tenant();
    let endpoint = hub.db.read(move |read| webhooks::get(read, tenant, id)).await?;
    Ok(success(WebhookView::of(&endpoint)))
}

/// Change a webhook
///
/// A merge-patch: what is not mentioned stays, null clears. `isActive: true` switches a disabled one on again.
#[utoipa::path(patch, path = "/api/v1/webhooks/{id}", tag = "Webhooks",
    operation_id = "update_webhook",
    security(("key" = ["webhooks:manage"])), params(("id" = String, Path)),
    request_body = UpdateWebhookRequest,
    responses((status = 200, description = "Changed", body = Success<WebhookChanged<'static>>)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(EndpointId,)>,
    body: JsonBody,
) -> Result<Response> {
    manages_webhooks(&caller)?;
    let (endpoint, missed) = change(&hub, &caller, id, &body.0).await?;
    let missed_events = missed.as_ref().map(MissedView::of);
    Ok(success(WebhookChanged { webhook: WebhookView::of(&endpoint), missed_events }))
}

/// Delete a webhook
///
/// Nothing more is sent; its deliveries are gone with it.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", tag = "Webhooks",
    operation_id = "delete_webhook",
    security(("key" = ["webhooks:manage"])), params(("id" = String, Path)),
    responses((status = 200, description = "Deleted", body = Success<Deleted>)))]
async fn remove(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(EndpointId,)>) -> Result<Response> {
    manages_webhooks(&caller)?;
    let ctx = caller.ctx();
    hub.db.write(move |tx| webhooks::delete(tx, &ctx, id)).await?;
    Ok(success(Deleted { id: Shown(id) }))
}

/// Replace the secret
///
/// Until `previousSecretExpiresAt` the Standard Webhooks header is signed with both; `X-Atteny-Signature` is signed with the
/// new one at once. The new secret is in this answer only.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/rotate-secret", tag = "Webhooks",
    operation_id = "rotate_webhook_secret",
    security(("key" = ["webhooks:manage"])), params(("id" = String, Path)),
    request_body = Option<RotateSecretRequest>,
    responses((status = 200, description = "The new secret", body = Success<RotatedView<'static>>)))]
async fn rotate_secret(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(EndpointId,)>,
    body: AnyBody,
) -> Result<Response> {
    manages_webhooks(&caller)?;
    let (secret, command) = rotate_request(&hub, id, &body.0)?;
    let render = |endpoint: &Endpoint, secret: &str| super::kept(RotatedView::of(endpoint, secret));
    let verb = move |tx: &mut Tx, ctx: &Ctx| webhooks::rotate(tx, ctx, &command);
    once_with_secret(&hub, &caller, &body.0, ("secret", secret), render, verb).await
}
