//! What is done to a conversation as a whole beside its status: muting, marking unread, deleting, its files, its transcript.

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params};
use super::refused::Refused;
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use http::StatusCode;
use serde_json::{Value, json};
use tieline_core::conversations;
use tieline_core::messages;

/// Files of a page.
const FILES: i64 = 100;

type OfAccount = Path<(Number, Number)>;

async fn muted(hub: Hub, agent: Agent, number: i64, is_muted: bool) -> Result<StatusCode> {
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = agent.conversation(tx, number)?.id;
        conversations::mute(tx, &ctx, id, is_muted)
    });
    done.await?;
    Ok(StatusCode::OK)
}

pub async fn mute(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<StatusCode> {
    muted(hub, agent, number.0, true).await
}

pub async fn unmute(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<StatusCode> {
    muted(hub, agent, number.0, false).await
}

pub async fn unread(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let (scene, ctx) = (agent.scene(), agent.ctx());
    let view = hub.db.write(move |tx| {
        let id = agent.conversation(tx, number.0)?.id;
        let v = conversations::unsee(tx, &ctx, id)?;
        scene.view().conversation(tx, &v)
    });
    Ok(Json(view.await?))
}

/// Refused: nothing here sends mail.
pub async fn transcript(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<StatusCode> {
    hub.db.read(move |read| agent.conversation(read, number.0)).await?;
    let text = match params.word("email") {
        None => "email param missing",
        Some(_) => "Mail is not set up on this server: no transcript can be sent.",
    };
    Err(Refused::unprocessable(text))
}

pub async fn files(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>> {
    let (page, scene) = (Params::of_query(query.as_deref()).page(), agent.scene());
    let body = hub.db.read(move |read| {
        let v = agent.conversation(read, number.0)?;
        let (files, total) = messages::files(read, scene.tenant, v.id, (page, FILES))?;
        let mut view = scene.view();
        let payload = files.iter().map(|file| view.file(read, &v, file));
        let payload = payload.collect::<tieline_core::Result<Vec<Value>>>()?;
        Ok::<_, tieline_core::Error>(json!({"meta": {"total_count": total}, "payload": payload}))
    });
    Ok(Json(body.await?))
}

pub async fn delete(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<StatusCode> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = agent.conversation(tx, number.0)?.id;
        conversations::delete(tx, &ctx, id)
    });
    done.await?;
    Ok(StatusCode::OK)
}
