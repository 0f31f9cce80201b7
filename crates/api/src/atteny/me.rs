//! `GET /api/v1/me`: the organization, its plan and the key.

use super::{Result, success};
use crate::caller::Caller;
use crate::hub::Hub;
use axum::response::Response;
use serde::Serialize;
use tieline_core::keys::scopes::{Scope, Scopes};
use tieline_wire::atteny::Success;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Atteny's own scopes, in the order of its page.
const OWN: [Scope; 6] = [
    Scope::MessagesSend,
    Scope::MessagesRead,
    Scope::ConversationsRead,
    Scope::ContactsRead,
    Scope::ContactsWrite,
    Scope::WebhooksWrite,
];

/// The organization and the key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MeView {
    organization: Organization,
    plan: PlanView,
    api_key: ApiKey,
}

/// Whose key it is.
#[derive(Serialize, ToSchema)]
struct Organization {
    #[schema(example = "ten_1")]
    id: String,
    name: String,
    slug: String,
}

/// What the organization may use.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlanView {
    name: String,
    #[serde(rename = "hasAPI")]
    has_api: bool,
    has_webhooks: bool,
}

/// The key.
#[derive(Serialize, ToSchema)]
struct ApiKey {
    name: String,
    /// Its first characters.
    prefix: String,
    /// What it may do: Atteny's scopes, also those that follow from others, then what else was granted.
    scopes: Vec<&'static str>,
}

/// What this dialect calls a scope.
pub(super) fn word(scope: &str) -> &str {
    if scope == Scope::WebhooksWrite.name() { "webhooks:manage" } else { scope }
}

fn words(scopes: &Scopes) -> Vec<&'static str> {
    let own = OWN.into_iter().filter(|scope| scopes.allows(*scope));
    let others = scopes.granted().filter(|scope| !OWN.contains(scope));
    own.chain(others).map(|scope| word(scope.name())).collect()
}

/// Routes of this file.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(me))
}

/// Show the organization and the key
///
/// Works with any scope.
#[utoipa::path(get, path = "/api/v1/me", tag = "Account",
    operation_id = "get_me",
    security(("key" = [])),
    responses((status = 200, description = "The organization and the key", body = Success<MeView>)))]
async fn me(caller: Caller) -> Result<Response> {
    let (tenant, key) = (&caller.principal().tenant, &caller.principal().key);
    let plan = &tenant.plan;
    Ok(success(MeView {
        organization: Organization { id: tenant.id.to_string(), name: tenant.name.clone(), slug: tenant.slug.clone() },
        plan: PlanView { name: plan.name.clone(), has_api: plan.has_api, has_webhooks: plan.has_webhooks },
        api_key: ApiKey { name: key.name.clone(), prefix: key.prefix.clone(), scopes: words(&key.scopes) },
    }))
}
