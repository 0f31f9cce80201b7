//! The delivery log of a webhook, the Test button, and a delivery once more.

use super::{Result, manages_webhooks, success};
use crate::caller::Caller;
use crate::http::cursor::Cursor;
use crate::http::query;
use crate::http::reply::{self, Json};
use crate::http::request::Path;
use crate::hub::Hub;
use crate::once::once;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tieline_core::deliveries::{self, Filter, Logged, SendTest, Status};
use tieline_core::idempotency::Answer;
use tieline_core::ids::{DeliveryId, EndpointId};
use tieline_core::webhooks;
use tieline_wire::atteny::{Success, True};
use tieline_wire::native::webhook::{DeliveryView, DeliveryWithBody};
use tieline_wire::native::{Shown, event};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Name of the list, for its cursors.
const LIST: &str = "atteny:deliveries";

/// Routes of this file.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(test)).routes(routes!(list)).routes(routes!(show)).routes(routes!(redeliver))
}

/// The delivery that was made due.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Due {
    #[schema(value_type = String, example = "dlv_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    delivery_id: Shown<DeliveryId>,
}

/// A page of the log. A log that grows and is pruned has no page numbers: go on with `cursor`.
#[derive(Serialize, ToSchema)]
struct Log<'a> {
    /// Always true.
    success: True,
    data: Vec<DeliveryView<'a>>,
    meta: LogMeta,
}

/// Where a page of the log ends.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LogMeta {
    limit: usize,
    /// Whether another page follows.
    has_more: bool,
    /// What to send as `cursor` for the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Which deliveries are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // the document's side of what `list` reads
struct LogParams {
    /// `pending`, `succeeded`, `failed` or `cancelled`.
    status: Option<String>,
    /// Name of an event, e.g. `message.created`.
    event: Option<String>,
    /// Rows of a page; 20 if not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

fn due(id: &DeliveryId) -> Answer {
    Answer { status: 202, ..super::kept(Due { delivery_id: Shown(*id) }) }
}

/// Send a test
///
/// Sends `webhook.test` to this webhook only, also when it is off. The delivery shows in the log like any other.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", tag = "Webhooks",
    operation_id = "test_webhook",
    security(("key" = ["webhooks:manage"])), params(("id" = String, Path)),
    responses((status = 202, description = "Due", body = Success<Due>)))]
async fn test(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(EndpointId,)>) -> Result<Response> {
    manages_webhooks(&caller)?;
    let command = SendTest { endpoint: id, data: event::test_data, body: tieline_wire::body };
    once(&hub, &caller, b"", due, move |tx, ctx| deliveries::send_test(tx, ctx, &command)).await
}

/// Send a delivery once more
///
/// The same bytes with a new round of attempts, also when the webhook is off. Only for deliveries that have ended.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/deliveries/{deliveryId}/redeliver", tag = "Webhooks",
    operation_id = "redeliver",
    security(("key" = ["webhooks:manage"])),
    params(("id" = String, Path), ("deliveryId" = String, Path)),
    responses((status = 202, description = "Due", body = Success<Due>)))]
async fn redeliver(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, delivery)): Path<(EndpointId, DeliveryId)>,
) -> Result<Response> {
    manages_webhooks(&caller)?;
    once(&hub, &caller, b"", due, move |tx, ctx| deliveries::redeliver(tx, ctx, id, delivery).map(|()| delivery)).await
}

/// List deliveries
///
/// Newest first, kept for 30 days.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", tag = "Webhooks",
    operation_id = "list_deliveries",
    security(("key" = ["webhooks:manage"])),
    params(("id" = String, Path), LogParams),
    responses((status = 200, description = "A page", body = Log<'static>)))]
async fn list(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(EndpointId,)>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    manages_webhooks(&caller)?;
    let tenant = caller.tenant();
    let words = [Status::Pending, Status::Succeeded, Status::Failed, Status::Cancelled].map(|s| (s.as_str(), s));
    let (limit, cursor, filter) = query::read(query.as_deref(), |q| {
        let filter = Filter {
            status: q.one_of("status", &words).optional(),
            event_type: q.text("event").chars(1..=100).owned().optional(),
            since: None,
        };
        (q.limit(), q.cursor(tenant.0, LIST), filter)
    })?;
    let after = cursor.map(|cursor| DeliveryId::from_uuid(cursor.id));
    let rows = hub
        .db
        .read(move |read| {
            webhooks::get(read, tenant, id)?;
            deliveries::log(read, tenant, id, &filter, after, limit as i64 + 1)
        })
        .await?;
    let cursor = |row: &&Logged| Cursor { key: row.created_at, id: row.id.0 }.encode(tenant.0, LIST);
    let page = reply::Page::of(rows.iter().collect(), limit, cursor, DeliveryView::of);
    let meta = LogMeta { limit, has_more: page.has_more, next_cursor: page.next_cursor };
    Ok(Json(Log { success: True, data: page.data, meta }).into_response())
}

/// Show a delivery with its body
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries/{deliveryId}", tag = "Webhooks",
    operation_id = "get_delivery",
    security(("key" = ["webhooks:manage"])),
    params(("id" = String, Path), ("deliveryId" = String, Path)),
    responses((status = 200, description = "The delivery", body = Success<DeliveryWithBody<'static>>)))]
async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, delivery)): Path<(EndpointId, DeliveryId)>,
) -> Result<Response> {
    manages_webhooks(&caller)?;
    let tenant = caller.tenant();
    let row = hub
        .db
        .read(move |read| {
            webhooks::get(read, tenant, id)?;
            deliveries::logged_one(read, tenant, id, delivery)
        })
        .await?;
    let request_body = row.body.as_deref().unwrap_or_default();
    Ok(success(DeliveryWithBody { delivery: DeliveryView::of(&row), request_body }))
}
