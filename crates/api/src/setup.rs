//! `/setup/{token}`: whoever has the link that the first start printed makes the first tenant and its owner.

use crate::http::docs;
use crate::http::error::Failure;
use crate::http::fields;
use crate::http::reply::Created;
use crate::http::request::{JsonBody, Path, RequestId};
use crate::hub::Hub;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::request::Parts;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tieline_core::contacts::email;
use tieline_core::ctx::{Actor, Ctx};
use tieline_core::error::{Error, FieldError};
use tieline_core::ids::TenantId;
use tieline_core::installation::setup;
use tieline_core::passwords;
use tieline_core::users::{self, ACCESS_TOKEN_CONTEXT, Role};
use tieline_db::Read;

/// The routes; merge them with the dialects'.
pub fn routes(hub: Hub) -> Router {
    Router::new().route("/setup/{token}", get(page).post(set_up)).with_state(hub)
}

/// What a new owner gets, once.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The user's id.
    pub id: String,
    /// The address to sign in with.
    pub email: String,
    /// For programs that act as this user.
    pub access_token: String,
    /// The tenant's number.
    pub account_id: i64,
    /// The tenant's short name.
    pub tenant: String,
}

/// Longest name of a user, in characters.
const NAME_LIMIT: usize = 100;

/// A user to be stored, and the token that they get to see. Hashing a password takes tens of milliseconds: not for a
/// thread that serves others.
///
/// Errors: every wrong one of `/email`, `/name` and `/password`.
pub async fn prepare(
    hub: &Hub,
    email: &str,
    name: &str,
    role: Role,
    password: Option<String>,
) -> Result<(users::Create, String), Error> {
    let mut wrong: Vec<FieldError> = Vec::new();
    let email = email::normalise(email, "/email").map_err(|error| wrong.push(error)).unwrap_or_default();
    if !(1..=NAME_LIMIT).contains(&name.trim().chars().count()) {
        let message = format!("A name has 1 to {NAME_LIMIT} characters.");
        wrong.push(FieldError { pointer: "/name".into(), code: "invalid_value", message });
    }
    wrong.extend(password.as_ref().and_then(|password| passwords::check(password, "/password").err()));
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    let password_hash = hashed(hub, password).await?;
    let token = tieline_core::keys::token::short(hub.random()?);
    let user = users::Create {
        email: email.into_owned(),
        name: name.trim().to_owned(),
        role,
        password_hash,
        access_token_hash: Sha256::digest(token.as_bytes()).into(),
        access_token_sealed: hub.keyring.seal(token.as_bytes(), ACCESS_TOKEN_CONTEXT, hub.random()?)?,
    };
    Ok((user, token))
}

/// The hash of a password, made on a thread that may be busy for a while.
pub(crate) async fn hashed(hub: &Hub, password: Option<String>) -> Result<Option<String>, Error> {
    let Some(password) = password else { return Ok(None) };
    let salt = hub.random()?;
    let hashing = tokio::task::spawn_blocking(move || passwords::hash(&password, salt));
    hashing.await.map_err(Error::internal)?.map(Some)
}

/// The form while the link works; once somebody has set this up, in whatever way, what there is to do instead.
async fn page(State(hub): State<Hub>, Path((token,)): Path<(String,)>) -> Result<Response, Failure> {
    let look = move |read: &mut Read| {
        let is_needed = setup::is_needed(read)?;
        if is_needed {
            setup::check(read, &token)?;
        }
        Ok::<_, Error>(is_needed)
    };
    Ok(if hub.db.read(look).await? { docs::setup_page() } else { docs::setup_done_page() })
}

async fn set_up(
    State(hub): State<Hub>,
    Path((token,)): Path<(String,)>,
    parts: Parts,
    id: RequestId,
    body: JsonBody,
) -> Result<Response, Failure> {
    let checked = token.clone();
    hub.db.read(move |read| setup::check(read, &checked)).await?;
    let (tenant, email, name, password) = fields::read(&body.0, |body| {
        (
            body.string("tenant").trimmed().chars(1..=63).owned().required(),
            body.string("email").owned().required(),
            body.string("name").owned().required(),
            body.string("password").owned().required(),
        )
    })?;
    let (user, access_token) = prepare(&hub, &email, &name, Role::Owner, Some(password)).await?;
    let tenant = setup::tenant(&tenant, &tenant);
    let address = hub.proxies.client(&parts);
    let ctx = Ctx { address, ..hub.ctx(TenantId(0), Actor::operator("set-up link"), id.as_str()) };
    let made: Result<_, Error> = hub
        .db
        .write(move |tx| {
            setup::check(tx, &token)?;
            setup::first_owner(tx, &ctx, &tenant, &user)
        })
        .await;
    let (tenant, user) = made.map_err(|mut error| {
        error
            .fields
            .iter_mut()
            .filter(|field| field.pointer == "/slug")
            .for_each(|field| field.pointer = "/tenant".into());
        error
    })?;
    let id = user.id.to_string();
    let owner = Owner { email: user.email, access_token, account_id: tenant.id.0, tenant: tenant.slug, id };
    Ok(Created { location: format!("/v1/users/{}", owner.id), body: owner }.into_response())
}
