//! Users on `/v1`. They belong to the live tenant: a key of the test partition sees them and changes nothing.

use super::shared::{self, name, refusal};
use super::{Result, created};
use crate::caller::Caller;
use crate::http::fields::{self, Field};
use crate::http::reply::{Json, Page};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use crate::setup::hashed;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use tieline_core::contacts::email;
use tieline_core::error::{Error, Kind};
use tieline_core::ids::{TenantId, UserId};
use tieline_core::keys::scopes::Scope;
use tieline_core::passwords;
use tieline_core::users::{self, ACCESS_TOKEN_CONTEXT, Role, User};
use tieline_wire::native::user::UserView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest display name, characters.
const NAME_LIMIT: usize = 100;

const ROLES: [(&str, Role); 3] = [("owner", Role::Owner), ("admin", Role::Admin), ("agent", Role::Agent)];

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update))
}

/// A user to make.
#[derive(ToSchema)]
#[allow(dead_code)] // the document's side of what `create` reads
pub struct CreateUserRequest {
    /// Unique per tenant; never changes.
    #[schema(max_length = 254, format = "email", example = "bia@example.com")]
    email: String,
    #[schema(min_length = 1, max_length = 100, example = "Bia Costa")]
    name: String,
    /// Default `agent`.
    #[schema(pattern = "^(owner|admin|agent)$")]
    role: Option<String>,
    /// Without one nobody can sign in as this user yet.
    #[schema(min_length = 8, max_length = 1024, format = "password")]
    password: Option<String>,
}

/// Changes of a user.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct UpdateUserRequest {
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(nullable = false, pattern = "^(owner|admin|agent)$")]
    role: Option<String>,
    #[schema(nullable = false)]
    is_active: Option<bool>,
    #[schema(nullable = false, min_length = 8, max_length = 1024, format = "password")]
    password: Option<String>,
}

/// The live tenant, for a key that may change its users.
fn writable(caller: &Caller) -> std::result::Result<TenantId, Error> {
    let tenant = &caller.principal().tenant;
    if tenant.parent.is_some() {
        let detail = "Users belong to the live tenant; use a live key to change them.";
        return Err(Error::new(Kind::Forbidden, "live_key_needed", detail));
    }
    Ok(tenant.id)
}

fn password<'o>(field: Field<'o, Cow<'_, str>>) -> Field<'o, String> {
    field.parse(|text| passwords::check(&text, "").map(|()| text.into_owned()).map_err(refusal))
}

/// List users
///
/// Newest first.
#[utoipa::path(get, path = "/v1/users", tag = "Users",
    operation_id = "list_users",
    security(("key" = ["users:read"])), params(shared::ListParams),
    responses((status = 200, description = "A page", body = Page<UserView>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Page<UserView>> {
    caller.needs(Scope::UsersRead)?;
    let live = caller.principal().tenant.live();
    let id = |user: &User| user.id.0;
    shared::list_by_id(&hub, live, "users", query.as_deref(), users::list, id, |user| user.into()).await
}

/// Create a user
///
/// Needs a live key.
#[utoipa::path(post, path = "/v1/users", tag = "Users",
    operation_id = "create_user",
    security(("key" = ["users:write"])), request_body = CreateUserRequest,
    responses((status = 201, description = "Created", body = UserView)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::UsersWrite)?;
    let live = writable(&caller)?;
    let (mut command, password) = fields::read(&body.0, |body| {
        let email = |text: Cow<str>| email::normalise(&text, "").map(Cow::into_owned).map_err(refusal);
        let command = users::Create {
            email: body.string("email").parse(email).required(),
            name: name(body.string("name"), NAME_LIMIT).required(),
            role: body.one_of("role", &ROLES).or(Role::Agent),
            password_hash: None,
            access_token_hash: [0; 32],
            access_token_sealed: Vec::new(),
        };
        (command, password(body.string("password")).optional())
    })?;
    command.password_hash = hashed(&hub, password).await?;
    let token = tieline_core::keys::token::short(hub.random()?);
    command.access_token_hash = Sha256::digest(token.as_bytes()).into();
    command.access_token_sealed = hub.keyring.seal(token.as_bytes(), ACCESS_TOKEN_CONTEXT, hub.random()?)?;
    let render = |user: &User| created(format!("/v1/users/{}", user.id), &UserView::from(user));
    shared::once(&hub, &caller, &body.0, render, move |tx, ctx| users::create(tx, (live, ctx), &command)).await
}

/// Show a user
#[utoipa::path(get, path = "/v1/users/{id}", tag = "Users",
    operation_id = "get_user",
    security(("key" = ["users:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The user", body = UserView)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(UserId,)>) -> Result<Json<UserView>> {
    caller.needs(Scope::UsersRead)?;
    let live = caller.principal().tenant.live();
    let user = hub.db.read(move |read| users::get(read, live, id)).await?;
    Ok(Json((&user).into()))
}

/// Change a user
///
/// Needs a live key. The last active owner stays one: 409 `last_owner`.
#[utoipa::path(patch, path = "/v1/users/{id}", tag = "Users",
    operation_id = "update_user",
    security(("key" = ["users:write"])), params(("id" = String, Path)),
    request_body = UpdateUserRequest, responses((status = 200, description = "Changed", body = UserView)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(UserId,)>,
    body: JsonBody,
) -> Result<Json<UserView>> {
    caller.needs(Scope::UsersWrite)?;
    let live = writable(&caller)?;
    let (mut command, password) = fields::read(&body.0, |body| {
        let command = users::Update {
            name: name(body.string("name"), NAME_LIMIT).not_null().optional(),
            role: body.one_of("role", &ROLES).not_null().optional(),
            is_active: body.boolean("isActive").not_null().optional(),
            ..users::Update::default()
        };
        (command, password(body.string("password")).not_null().optional())
    })?;
    command.password_hash = hashed(&hub, password).await?;
    let ctx = caller.ctx();
    let user = hub.db.write(move |tx| users::update(tx, (live, &ctx), id, &command)).await?;
    Ok(Json((&user).into()))
}
