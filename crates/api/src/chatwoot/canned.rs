//! Canned responses: the snippets of the product.

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params, invalid};
use super::refused::Refused;
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use http::StatusCode;
use serde_json::Value;
use tieline_core::error::Error;
use tieline_core::snippets;
use tieline_wire::chatwoot::people as shapes;

type OfAccount = Path<(Number, Number)>;

fn refused(error: Error) -> Refused {
    let field = error.fields.first();
    match (error.code, field.map(|field| (field.pointer.as_str(), field.code))) {
        ("snippet_exists", _) => invalid("Short code has already been taken", "short_code"),
        (_, Some(("/shortcut", "required"))) => invalid("Short code can't be blank", "short_code"),
        (_, Some(("/shortcut", _))) => invalid("Short code is too long (maximum is 255 characters)", "short_code"),
        (_, Some(("/text", "required"))) => invalid("Content can't be blank", "content"),
        (_, Some(("/text", _))) => invalid("Content is too long (maximum is 20000 characters)", "content"),
        _ => error.into(),
    }
}

pub async fn list(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let (tenant, search) = (agent.account(), Params::of_query(query.as_deref()).word("search"));
    let found = hub.db.read(move |read| snippets::list(read, tenant, search.as_deref())).await?;
    Ok(Json(found.iter().map(|snippet| shapes::canned_response(snippet, tenant.0)).collect()))
}

pub async fn create(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    let (tenant, params) = (agent.account(), params.wrapped("canned_response")?);
    let made = hub.db.write(move |tx| {
        let (shortcut, text) = (params.word("short_code"), params.text("content"));
        snippets::create(tx, tenant, &shortcut.unwrap_or_default(), &text.unwrap_or_default())
    });
    Ok(Json(shapes::canned_response(&made.await.map_err(refused)?, tenant.0)))
}

pub async fn update(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let (tenant, params) = (agent.account(), params.wrapped("canned_response")?);
    let made = hub.db.write(move |tx| {
        let shortcut = params.has("short_code").then(|| params.word("short_code").unwrap_or_default());
        let text = params.has("content").then(|| params.text("content").unwrap_or_default());
        snippets::update(tx, tenant, number.0, shortcut.as_deref(), text.as_deref())
    });
    Ok(Json(shapes::canned_response(&made.await.map_err(refused)?, tenant.0)))
}

pub async fn delete(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<StatusCode> {
    let tenant = agent.account();
    hub.db.write(move |tx| snippets::delete(tx, tenant, number.0)).await?;
    Ok(StatusCode::OK)
}
