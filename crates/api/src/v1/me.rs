//! `GET /v1/me`: who the key is and what it may do.

use super::Result;
use crate::caller::Caller;
use crate::http::reply::Json;
use crate::hub::Hub;
use serde::Serialize;
use tieline_core::limits::{Count, Tier};
use tieline_core::time::Micros;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The calling key and its tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeView {
    tenant: MeTenant,
    plan: MePlan,
    limits: MeLimits,
    key: MeKey,
    features: MeFeatures,
}

/// The tenant of a key.
#[derive(Serialize, ToSchema)]
struct MeTenant {
    #[schema(example = "ten_1")]
    id: String,
    name: String,
    slug: String,
}

/// What the tenant may use.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MePlan {
    name: String,
    max_webhooks: i64,
    requests_per_minute: i64,
    /// That many more in the same 60 seconds.
    burst: i64,
    /// Requests of this key a day; null is unlimited.
    #[schema(required)]
    daily_quota: Option<i64>,
    /// Requests of the tenant a month; null is unlimited.
    #[schema(required)]
    monthly_quota: Option<i64>,
}

/// How far the limits are used, this request included.
#[derive(Serialize, ToSchema)]
struct MeLimits {
    /// The trailing 60 seconds, of this key.
    minute: MeCount,
    /// The day in UTC, of this key.
    day: MeCount,
    /// The month in UTC, of the tenant.
    month: MeCount,
}

/// One limit.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MeCount {
    /// Null is unlimited.
    #[schema(required)]
    limit: Option<i64>,
    used: i64,
    #[schema(required)]
    remaining: Option<i64>,
    /// When the next slot of the minute frees, or the period ends.
    #[schema(format = "date-time")]
    resets_at: String,
}

impl MeCount {
    fn of(count: &Count) -> MeCount {
        let resets_at = Micros(count.resets_at).to_string();
        MeCount { limit: count.limit, used: count.used, remaining: count.remaining(), resets_at }
    }
}

/// The key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MeKey {
    id: String,
    name: String,
    /// Its first characters.
    prefix: String,
    /// `production` or `sandbox`.
    environment: &'static str,
    /// `starter`, `professional`, `enterprise`, or `custom`.
    rate_limit_tier: &'static str,
    scopes: Vec<&'static str>,
}

/// What is switched on.
#[derive(Serialize, ToSchema)]
struct MeFeatures {
    api: bool,
    webhooks: bool,
}

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Show the calling key, its tenant and its limits
///
/// Works with any scope.
#[utoipa::path(get, path = "/v1/me", tag = "Account",
    operation_id = "get_me",
    security(("key" = [])), responses((status = 200, description = "The key and its tenant", body = MeView)))]
async fn me(caller: Caller) -> Result<Json<MeView>> {
    let (tenant, key) = (&caller.principal().tenant, &caller.principal().key);
    let plan = &tenant.plan;
    let standing = caller.standing();
    Ok(Json(MeView {
        tenant: MeTenant { id: tenant.id.to_string(), name: tenant.name.clone(), slug: tenant.slug.clone() },
        plan: MePlan {
            name: plan.name.clone(),
            max_webhooks: plan.max_webhooks,
            requests_per_minute: plan.rate_per_minute,
            burst: plan.rate_burst,
            daily_quota: plan.daily_quota,
            monthly_quota: plan.monthly_quota,
        },
        limits: MeLimits {
            minute: MeCount::of(&standing.minute),
            day: MeCount::of(&standing.day),
            month: MeCount::of(&standing.month),
        },
        key: MeKey {
            id: key.id.to_string(),
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            environment: if tenant.parent.is_some() { "sandbox" } else { "production" },
            rate_limit_tier: Tier::of(&tenant.limits()).map_or("custom", Tier::as_str),
            scopes: key.scopes.granted().map(|scope| scope.name()).collect(),
        },
        features: MeFeatures { api: plan.has_api, webhooks: plan.has_webhooks },
    }))
}
