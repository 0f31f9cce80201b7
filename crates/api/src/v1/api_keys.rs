//! API keys on `/v1` (contract A2, D2). A key never gives away what it cannot do itself.

use super::shared::{self, name, nullable, refusal};
use super::{Result, created};
use crate::caller::Caller;
use crate::http::fields::{self, Field, Object, Refusal};
use crate::http::reply::{Json, NoContent, Page};
use crate::http::request::{AnyBody, JsonBody, Path};
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use std::borrow::Cow;
use tieline_core::error::Error;
use tieline_core::idempotency::Answer;
use tieline_core::ids::KeyId;
use tieline_core::keys::scopes::{SCOPE_NAMES_LIMIT, Scope, Scopes};
use tieline_core::keys::token::{self, KeyText, Prefix};
use tieline_core::keys::{self, CreateKey, Key, OVERLAP_LIMIT_SECONDS, RotateKey, UpdateKey, may_grant};
use tieline_core::time::Micros;
use tieline_wire::native::api_key::{ApiKeyView, ApiKeyWithText};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest display name, characters.
const NAME_LIMIT: usize = 100;
/// Longest description, characters.
const DESCRIPTION_LIMIT: usize = 500;
/// How long a rotated key goes on working where the request does not say, seconds.
const OVERLAP_DEFAULT_SECONDS: i64 = 86_400;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete)).routes(routes!(rotate))
}

/// An API key to make, for the partition of the calling key.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `create` reads
pub struct CreateApiKeyRequest {
    #[schema(min_length = 1, max_length = 100, example = "Order system")]
    name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Scopes, or the bundles `basic`, `read_all`, `integration` and `full_access`; none that the calling key lacks.
    #[schema(min_items = 1, max_items = 100, example = json!(["conversations:write", "contacts:read"]))]
    scopes: Vec<String>,
    /// When it stops by itself; never if not given.
    #[schema(format = "date-time")]
    expires_at: Option<String>,
}

/// Changes of an API key; null clears.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct UpdateApiKeyRequest {
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// A disabled key is refused from the next request on.
    #[schema(nullable = false)]
    is_active: Option<bool>,
    /// All scopes from now on.
    #[schema(nullable = false, min_items = 1, max_items = 100)]
    scopes: Option<Vec<String>>,
}

/// How long the old text goes on working.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct RotateApiKeyRequest {
    /// Default 86400, a day.
    #[schema(minimum = 0, maximum = 604800)]
    expire_previous_in_seconds: Option<i64>,
}

/// The names of scopes, each known.
fn scopes<'s>(body: &'s Object<'_, '_>) -> Field<'s, Vec<String>> {
    let known = |name: Cow<str>| match Scopes::parse([name.as_ref()], "") {
        Ok(_) => Ok(name.into_owned()),
        Err(_) => Err(Refusal::new("unknown_scope", "is no scope; GET /docs lists them")),
    };
    body.list("scopes", SCOPE_NAMES_LIMIT, |name| name.string().parse(known).required()).at_least(1)
}

fn set(names: &[String]) -> std::result::Result<Scopes, Error> {
    Scopes::parse(names.iter().map(String::as_str), "/scopes")
}

fn mint(hub: &Hub, caller: &Caller, prefix: Prefix) -> std::result::Result<KeyText, Error> {
    Ok(token::mint(prefix, caller.principal().tenant.mode(), hub.random()?))
}

/// What calls have the secret member as.
const TEXT: &str = "key";

fn with_text(key: &Key, text: &str) -> Answer {
    created(format!("/v1/api-keys/{}", key.id), &ApiKeyWithText { properties: key.into(), key: text.to_owned() })
}

/// List API keys
///
/// Newest first.
#[utoipa::path(get, path = "/v1/api-keys", tag = "API keys",
    operation_id = "list_api_keys",
    security(("key" = ["settings:read"])), params(shared::ListParams),
    responses((status = 200, description = "A page", body = Page<ApiKeyView>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Page<ApiKeyView>> {
    caller.needs(Scope::SettingsRead)?;
    let (tenant, id) = (caller.tenant(), |key: &Key| key.id.0);
    shared::list_by_id(&hub, tenant, "api-keys", query.as_deref(), keys::list, id, |key| key.into()).await
}

/// Create an API key
///
/// The key's text is in this answer only.
#[utoipa::path(post, path = "/v1/api-keys", tag = "API keys",
    operation_id = "create_api_key",
    security(("key" = ["settings:write"])), request_body = CreateApiKeyRequest,
    responses((status = 201, description = "Created", body = ApiKeyWithText)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::SettingsWrite)?;
    let now = hub.db.now();
    let text = mint(&hub, &caller, Prefix::default())?;
    let (name, description, names, expires_at) = fields::read(&body.0, |body| {
        let future = |text: Cow<str>| match Micros::parse(&text, "").map_err(refusal)?.0 {
            at if at <= now => Err(Refusal::new("out_of_range", "must be in the future")),
            at => Ok(at),
        };
        (
            name(body.string("name"), NAME_LIMIT).required(),
            body.string("description").chars(..=DESCRIPTION_LIMIT).owned().optional(),
            scopes(body).required(),
            body.string("expiresAt").parse(future).optional(),
        )
    })?;
    let scopes = set(&names)?;
    may_grant(caller.scopes(), &scopes)?;
    let (digest, prefix) = (text.digest(), text.display_prefix().to_owned());
    let command = CreateKey { name, description, digest, prefix, scopes, expires_at };
    let secret = (TEXT, text.expose().to_owned());
    let verb = move |tx: &mut tieline_db::Tx, ctx: &tieline_core::ctx::Ctx| keys::create(tx, ctx, &command);
    shared::once_with_secret(&hub, &caller, &body.0, secret, with_text, verb).await
}

/// Show an API key
#[utoipa::path(get, path = "/v1/api-keys/{id}", tag = "API keys",
    operation_id = "get_api_key",
    security(("key" = ["settings:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The key, without its text", body = ApiKeyView)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(KeyId,)>) -> Result<Json<ApiKeyView>> {
    caller.needs(Scope::SettingsRead)?;
    let tenant = caller.tenant();
    let key = hub.db.read(move |read| keys::get(read, tenant, id)).await?;
    Ok(Json((&key).into()))
}

/// Change an API key
///
/// Scopes that the calling key lacks cannot be given, neither by name nor by switching a key on that has them.
#[utoipa::path(patch, path = "/v1/api-keys/{id}", tag = "API keys",
    operation_id = "update_api_key",
    security(("key" = ["settings:write"])), params(("id" = String, Path)),
    request_body = UpdateApiKeyRequest, responses((status = 200, description = "Changed", body = ApiKeyView)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(KeyId,)>,
    body: JsonBody,
) -> Result<Json<ApiKeyView>> {
    caller.needs(Scope::SettingsWrite)?;
    let (mut command, names) = fields::read(&body.0, |body| {
        let command = UpdateKey {
            name: name(body.string("name"), NAME_LIMIT).not_null().optional(),
            description: nullable(body.string("description").chars(..=DESCRIPTION_LIMIT).owned().patch()),
            is_active: body.boolean("isActive").not_null().optional(),
            scopes: None,
        };
        (command, scopes(body).not_null().optional())
    })?;
    command.scopes = names.map(|names| set(&names)).transpose()?;
    let (ctx, granter) = (caller.ctx(), *caller.scopes());
    let key = hub.db.write(move |tx| keys::update(tx, &ctx, id, &granter, &command)).await?;
    Ok(Json((&key).into()))
}

/// Revoke an API key
///
/// It is refused from the next request on.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "API keys",
    operation_id = "delete_api_key",
    security(("key" = ["settings:write"])), params(("id" = String, Path)),
    responses((status = 204, description = "Revoked")))]
async fn delete(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(KeyId,)>) -> Result<NoContent> {
    caller.needs(Scope::SettingsWrite)?;
    let ctx = caller.ctx();
    hub.db.write(move |tx| keys::revoke(tx, &ctx, id)).await?;
    Ok(NoContent)
}

/// Rotate an API key
///
/// Makes a second key of the same name and scopes, whose text is in this answer only; the old one ends after
/// `expirePreviousInSeconds`. Only a key that has all its scopes may do this. The body may be left out.
#[utoipa::path(post, path = "/v1/api-keys/{id}/rotate", tag = "API keys",
    operation_id = "rotate_api_key",
    security(("key" = ["settings:write"])), params(("id" = String, Path)),
    request_body = Option<RotateApiKeyRequest>,
    responses((status = 201, description = "The new key", body = ApiKeyWithText)))]
async fn rotate(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(KeyId,)>,
    body: AnyBody,
) -> Result<Response> {
    caller.needs(Scope::SettingsWrite)?;
    let sent: &[u8] = if body.0.is_empty() { b"{}" } else { &body.0 };
    let seconds = fields::read(sent, |body| {
        body.integer("expirePreviousInSeconds").within(0..=OVERLAP_LIMIT_SECONDS).or(OVERLAP_DEFAULT_SECONDS)
    })?;
    let (tenant, granter) = (caller.tenant(), *caller.scopes());
    let old = hub.db.read(move |read| keys::get(read, tenant, id)).await?;
    let prefix = if old.prefix.starts_with(Prefix::Sk.as_str()) { Prefix::Sk } else { Prefix::Sa };
    let text = mint(&hub, &caller, prefix)?;
    let command =
        RotateKey { digest: text.digest(), prefix: text.display_prefix().to_owned(), overlap_us: seconds * 1_000_000 };
    let secret = (TEXT, text.expose().to_owned());
    let verb =
        move |tx: &mut tieline_db::Tx, ctx: &tieline_core::ctx::Ctx| keys::rotate(tx, ctx, id, &granter, &command);
    shared::once_with_secret(&hub, &caller, &body.0, secret, with_text, verb).await
}
