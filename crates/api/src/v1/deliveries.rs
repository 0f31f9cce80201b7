//! The delivery log of a webhook on `/v1`: reading it, a test, the same delivery once more, and replay (contract D4).

use super::{Result, replayed, respond};
use crate::caller::Caller;
use crate::endpoints::enabled;
use crate::http::cursor::Cursor;
use crate::http::fields::{self, Refusal};
use crate::http::query;
use crate::http::reply::{Json, Page};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use crate::v1::conversations::refusal;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use tieline_core::deliveries::{self, Filter, Logged, NewDelivery, SendTest, Status};
use tieline_core::idempotency::{self, Answer, Reply};
use tieline_core::ids::{DeliveryId, EndpointId};
use tieline_core::keys::scopes::Scope;
use tieline_core::time::Micros;
use tieline_core::webhooks::{self, Replay, Wanted};
use tieline_delivery::render;
use tieline_wire::native::webhook::{DeliveryView, DeliveryWithBody};
use tieline_wire::native::{Shown, event};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Names of the lists, for their cursors.
const LIST: &str = "deliveries";
const REPLAY: &str = "replay";

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(test))
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(redeliver))
        .routes(routes!(replay))
}

/// A page of deliveries.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct DeliveryPage {
    data: Vec<DeliveryView<'static>>,
    has_more: bool,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The delivery that was made due.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    #[schema(value_type = String, example = "dlv_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    delivery_id: Shown<DeliveryId>,
}

/// What to send again.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct ReplayRequest {
    /// Events from then on.
    #[schema(format = "date-time")]
    since: String,
    /// Events up to then; default all.
    #[schema(format = "date-time")]
    until: Option<String>,
    /// Only those whose delivery failed, was cancelled, or is missing because the webhook was off; default all three.
    #[schema(pattern = "^(failed|cancelled|missing)$")]
    status: Option<String>,
    /// `nextCursor` of the call before, to go on after it.
    cursor: Option<String>,
}

/// What was made due.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Deliveries made due by this call.
    count: u64,
    /// Call again with `cursor` for more.
    has_more: bool,
    #[schema(required)]
    next_cursor: Option<String>,
}

fn accepted(id: &DeliveryId) -> Answer {
    let body = serde_json::to_vec(&Accepted { delivery_id: Shown(*id) }).unwrap_or_default();
    Answer { status: 202, location: None, body }
}

fn answer(reply: Reply<DeliveryId>) -> Response {
    match reply {
        Reply::Done(id) => respond(accepted(&id)),
        Reply::Replayed(answer) => replayed(answer),
    }
}

/// Send a test
///
/// Sends `webhook.test` to this webhook only, also when it is off. The delivery shows in the log like any other.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "Webhooks",
    operation_id = "test_webhook",
    security(("key" = ["webhooks:write"])),
    params(("id" = String, Path, description = "`wh_…`")), responses((status = 202, description = "Due", body = Accepted)))]
async fn test(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(EndpointId,)>) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let (ctx, once) = (caller.ctx(), caller.once(b"", accepted));
    let command = SendTest { endpoint: id, data: event::test_data, body: tieline_wire::body };
    let sent = hub.db.write(move |tx| {
        idempotency::once(tx, ctx.tenant, once.as_ref(), |tx| deliveries::send_test(tx, &ctx, &command))
    });
    Ok(answer(sent.await?))
}

/// Send a delivery once more
///
/// The same bytes under the same `webhook-id`, with a new round of attempts, also when the webhook is off. Only for
/// deliveries that have ended.
#[utoipa::path(post, path = "/v1/webhooks/{id}/deliveries/{deliveryId}/redeliver", tag = "Webhooks",
    operation_id = "redeliver",
    security(("key" = ["webhooks:write"])),
    params(("id" = String, Path, description = "`wh_…`"), ("deliveryId" = String, Path, description = "`dlv_…`")),
    responses((status = 202, description = "Due", body = Accepted)))]
async fn redeliver(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, delivery)): Path<(EndpointId, DeliveryId)>,
) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let (ctx, once) = (caller.ctx(), caller.once(b"", accepted));
    let sent = hub.db.write(move |tx| {
        idempotency::once(tx, ctx.tenant, once.as_ref(), |tx| {
            deliveries::redeliver(tx, &ctx, id, delivery).map(|()| delivery)
        })
    });
    Ok(answer(sent.await?))
}

fn timestamp(text: Cow<'_, str>) -> std::result::Result<i64, Refusal> {
    Micros::parse(&text, "").map(|at| at.0).map_err(refusal)
}

/// List deliveries
///
/// Newest first, kept for 30 days.
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries", tag = "Webhooks",
    operation_id = "list_deliveries",
    security(("key" = ["webhooks:read"])),
    params(("id" = String, Path, description = "`wh_…`"),
        ("status" = Option<String>, Query, description = "`pending`, `succeeded`, `failed` or `cancelled`"),
        ("event" = Option<String>, Query, description = "Name of an event"),
        ("since" = Option<String>, Query, description = "Made at or after this time"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 100, description = "Rows of a page; default 20"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, description = "A page", body = DeliveryPage)))]
async fn list(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(EndpointId,)>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksRead)?;
    let tenant = caller.tenant();
    let words = [Status::Pending, Status::Succeeded, Status::Failed, Status::Cancelled].map(|s| (s.as_str(), s));
    let (limit, cursor, filter) = query::read(query.as_deref(), |q| {
        let filter = Filter {
            status: q.one_of("status", &words).optional(),
            event_type: q.text("event").chars(1..=100).owned().optional(),
            since: q.text("since").parse(timestamp).optional(),
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
    let cursor = |row: &Logged| Cursor { key: row.created_at, id: row.id.0 }.encode(tenant.0, LIST);
    let page = Page::of(rows, limit, cursor, |row| row);
    let data = page.data.iter().map(DeliveryView::of).collect();
    Ok(Page { data, has_more: page.has_more, next_cursor: page.next_cursor }.into_response())
}

/// Show a delivery with its body
#[utoipa::path(get, path = "/v1/webhooks/{id}/deliveries/{deliveryId}", tag = "Webhooks",
    operation_id = "get_delivery",
    security(("key" = ["webhooks:read"])),
    params(("id" = String, Path, description = "`wh_…`"), ("deliveryId" = String, Path, description = "`dlv_…`")),
    responses((status = 200, description = "The delivery", body = DeliveryWithBody<'static>)))]
async fn show(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, delivery)): Path<(EndpointId, DeliveryId)>,
) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksRead)?;
    let tenant = caller.tenant();
    let row = hub
        .db
        .read(move |read| {
            webhooks::get(read, tenant, id)?;
            deliveries::logged_one(read, tenant, id, delivery)
        })
        .await?;
    let view =
        DeliveryWithBody { delivery: DeliveryView::of(&row), request_body: row.body.as_deref().unwrap_or_default() };
    Ok(Json(view).into_response())
}

/// Send again what a webhook has missed
///
/// Events of the log since then that the webhook subscribes to: deliveries that failed or were cancelled become pending
/// again, those that are missing because it was off are made. What is pending or has succeeded is left alone, so a
/// repeated replay sends nothing twice. One call does a bounded part: go on with `nextCursor`.
#[utoipa::path(post, path = "/v1/webhooks/{id}/replay", tag = "Webhooks",
    operation_id = "replay_webhook",
    security(("key" = ["webhooks:write"])),
    params(("id" = String, Path, description = "`wh_…`")), request_body = ReplayRequest,
    responses((status = 202, description = "Due", body = Replayed)))]
async fn replay(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(EndpointId,)>,
    body: JsonBody,
) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let ctx = caller.ctx();
    let wanted = wanted(&ctx.tenant, id, &body.0)?;
    let tenant = ctx.tenant;
    let scene = hub.scene();
    let (page, create) = hub
        .db
        .read(move |read| {
            let endpoint = webhooks::get(read, tenant, id)?;
            let page = webhooks::replay_page(read, tenant, &wanted)?;
            let (mut view, mut create) = (scene.view(), Vec::new());
            for (event, previous) in &page.missing {
                for (event_type, body) in render::bodies(read, &mut view, &endpoint, event, &mut previous.clone())? {
                    create.push(NewDelivery {
                        endpoint: id,
                        tenant,
                        position: event.position,
                        event: event.id,
                        event_type,
                        conversation: event.conversation,
                        sequence: event.sequence,
                        body,
                    });
                }
            }
            Ok::<_, tieline_core::Error>((page, create))
        })
        .await?;
    let command = Replay { endpoint: id, again: page.again, create };
    let empty = command.again.is_empty() && command.create.is_empty();
    let count = if empty { 0 } else { hub.db.write(move |tx| webhooks::replay(tx, &ctx, &command)).await? };
    let next_cursor = page.more.then(|| Cursor { key: page.position, id: id.0 }.encode(tenant.0, REPLAY));
    let body = serde_json::to_vec(&Replayed { count, has_more: page.more, next_cursor }).unwrap_or_default();
    Ok(respond(Answer { status: 202, location: None, body }))
}

fn wanted(
    tenant: &tieline_core::ids::TenantId,
    id: EndpointId,
    bytes: &[u8],
) -> std::result::Result<Wanted, tieline_core::Error> {
    fields::read(bytes, |body| {
        let since = body.string("since").parse(timestamp).required();
        let until = body.string("until").parse(timestamp);
        let until = until.check(|until| *until >= since, "must not be before since").optional();
        let words = [("failed", Status::Failed), ("cancelled", Status::Cancelled), ("missing", Status::Pending)];
        let status = body.one_of("status", &words).optional();
        let cursor = body.string("cursor").parse(|text| {
            let refusal = || Refusal::new("invalid_cursor", "is not one of this replay; start again without it");
            Cursor::decode(&text, tenant.0, REPLAY).filter(|cursor| cursor.id == id.0).ok_or_else(refusal)
        });
        let takes = |one| status.is_none_or(|status| status == one);
        Wanted {
            endpoint: id,
            after: cursor.optional().map(|cursor| cursor.key),
            since,
            until,
            failed: takes(Status::Failed),
            cancelled: takes(Status::Cancelled),
            missing: takes(Status::Pending),
        }
    })
}
