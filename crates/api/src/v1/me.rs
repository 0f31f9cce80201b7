//! `GET /v1/me`: who the key is and what it may do.

use super::Result;
use crate::caller::Caller;
use crate::http::reply::Json;
use crate::hub::Hub;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The calling key and its tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeView {
    tenant: MeTenant,
    plan: MePlan,
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
    #[schema(required)]
    monthly_quota: Option<i64>,
}

/// The key.
#[derive(Serialize, ToSchema)]
struct MeKey {
    id: String,
    name: String,
    /// Its first characters.
    prefix: String,
    /// `production` or `sandbox`.
    environment: &'static str,
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
#[utoipa::path(get, path = "/v1/me", tag = "Account", responses((status = 200, description = "The key and its tenant", body = MeView)))]
async fn me(caller: Caller) -> Result<Json<MeView>> {
    let (tenant, key) = (&caller.principal().tenant, &caller.principal().key);
    let plan = &tenant.plan;
    Ok(Json(MeView {
        tenant: MeTenant { id: tenant.id.to_string(), name: tenant.name.clone(), slug: tenant.slug.clone() },
        plan: MePlan {
            name: plan.name.clone(),
            max_webhooks: plan.max_webhooks,
            requests_per_minute: plan.rate_per_minute,
            monthly_quota: plan.monthly_quota,
        },
        key: MeKey {
            id: key.id.to_string(),
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            environment: if tenant.parent.is_some() { "sandbox" } else { "production" },
            scopes: key.scopes.granted().map(|scope| scope.name()).collect(),
        },
        features: MeFeatures { api: plan.has_api, webhooks: plan.has_webhooks },
    }))
}
