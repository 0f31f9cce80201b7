//! `/v1/tenant`: what a tenant sets for itself. It can want less than its plan allows, never more.

use super::Result;
use super::shared::nullable;
use crate::caller::Caller;
use crate::http::fields;
use crate::http::reply::Json;
use crate::http::request::JsonBody;
use crate::hub::Hub;
use axum::extract::State;
use serde::Serialize;
use tieline_core::error::{Error, Kind};
use tieline_core::keys::scopes::Scope;
use tieline_core::tenants::{self, Tenant, Wishes};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Largest wishes; a larger one would be no limit.
const RATE_LIMIT: i64 = 1_000_000;
const QUOTA_LIMIT: i64 = 1_000_000_000_000;

/// What the tenant has set for itself. What its plan allows, and what holds, is in `/v1/me`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tenant)]
pub struct TenantView {
    #[schema(example = "ten_1")]
    id: String,
    slug: String,
    name: String,
    /// Requests of a key in any 60 seconds; null leaves it to the plan.
    #[schema(required)]
    requests_per_minute: Option<i64>,
    /// Requests a month (UTC); null leaves it to the plan.
    #[schema(required)]
    monthly_quota: Option<i64>,
    /// Whether the request log keeps bodies.
    log_bodies: bool,
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> TenantView {
        let Wishes { requests_per_minute, monthly_quota, log_bodies } = tenant.wishes;
        let id = tenant.id.to_string();
        TenantView { id, slug: tenant.slug, name: tenant.name, requests_per_minute, monthly_quota, log_bodies }
    }
}

/// Changes of a tenant; null leaves a limit to the plan.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `update` reads
pub struct UpdateTenantRequest {
    /// A limit below the plan's; a higher one changes nothing.
    #[schema(minimum = 1, maximum = 1000000)]
    requests_per_minute: Option<i64>,
    /// A quota below the plan's; a higher one changes nothing.
    #[schema(minimum = 1, maximum = 1000000000000i64)]
    monthly_quota: Option<i64>,
    /// Keep the first 16 KiB of requests and answers in the request log, secrets masked.
    #[schema(nullable = false)]
    log_bodies: Option<bool>,
}

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(get, update))
}

/// Show what the tenant has set for itself
#[utoipa::path(get, path = "/v1/tenant", tag = "Account",
    operation_id = "get_tenant",
    security(("key" = ["settings:read"])),
    responses((status = 200, description = "The tenant", body = TenantView)))]
async fn get(caller: Caller) -> Result<Json<TenantView>> {
    caller.needs(Scope::SettingsRead)?;
    Ok(Json(caller.principal().tenant.clone().into()))
}

/// Change what the tenant sets for itself
///
/// Needs a live key; it holds for the sandbox too. Limits set here stay below the plan's: the operator changes that with
/// `tieline tenant update`. It holds within a second.
#[utoipa::path(patch, path = "/v1/tenant", tag = "Account",
    operation_id = "update_tenant",
    security(("key" = ["settings:write"])), request_body = UpdateTenantRequest,
    responses((status = 200, description = "Changed", body = TenantView)))]
async fn update(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Json<TenantView>> {
    caller.needs(Scope::SettingsWrite)?;
    let tenant = &caller.principal().tenant;
    let (rate, quota, log_bodies) = fields::read(&body.0, |body| {
        (
            nullable(body.integer("requestsPerMinute").within(1..=RATE_LIMIT).patch()),
            nullable(body.integer("monthlyQuota").within(1..=QUOTA_LIMIT).patch()),
            body.boolean("logBodies").not_null().optional(),
        )
    })?;
    if tenant.parent.is_some() {
        let detail = "What a tenant sets for itself belongs to the live tenant; use a live key to change it.";
        return Err(Error::new(Kind::Forbidden, "live_key_needed", detail).into());
    }
    let (live, ctx) = (tenant.id, caller.ctx());
    let changed: std::result::Result<_, Error> = hub
        .db
        .write(move |tx| {
            let now = tenants::get(tx, live)?.wishes;
            let wishes = Wishes {
                requests_per_minute: rate.unwrap_or(now.requests_per_minute),
                monthly_quota: quota.unwrap_or(now.monthly_quota),
                log_bodies: log_bodies.unwrap_or(now.log_bodies),
            };
            tenants::wish(tx, (live, &ctx), &wishes)
        })
        .await;
    Ok(Json(changed?.into()))
}
