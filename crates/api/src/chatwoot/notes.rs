//! Notes on contacts, and their pictures.

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params};
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use tieline_core::contacts::{self, Annotate, Contact, Note};
use tieline_core::users;
use tieline_db::Read;
use tieline_wire::chatwoot::people as shapes;

type OfContact = Path<(Number, Number)>;
type OfNote = Path<(Number, Number, Number)>;

fn shown(read: &mut Read, agent: &Agent, contact: &Contact, note: &Note) -> tieline_core::Result<Value> {
    let user = match note.user {
        Some(id) => users::find(read, agent.tenant.live(), id)?,
        None => None,
    };
    Ok(shapes::note(note, contact.number, agent.account().0, user.as_ref()))
}

pub async fn list(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfContact) -> Result<Json<Value>> {
    let list = hub.db.read(move |read| {
        let contact = contacts::by_number(read, agent.account(), number.0)?;
        let notes = contacts::notes(read, agent.account(), contact.id)?;
        notes.iter().map(|note| shown(read, &agent, &contact, note)).collect::<tieline_core::Result<Value>>()
    });
    Ok(Json(list.await?))
}

pub async fn show(State(hub): State<Hub>, agent: Agent, Path((_, number, note)): OfNote) -> Result<Json<Value>> {
    let view = hub.db.read(move |read| {
        let contact = contacts::by_number(read, agent.account(), number.0)?;
        let note = contacts::note(read, agent.account(), contact.id, note.0)?;
        shown(read, &agent, &contact, &note)
    });
    Ok(Json(view.await?))
}

pub async fn create(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfContact,
    params: Params,
) -> Result<Json<Value>> {
    let (ctx, text) = (agent.ctx(), params.wrapped("note")?.text("content").unwrap_or_default());
    let view = hub.db.write(move |tx| {
        let contact = contacts::by_number(tx, ctx.tenant, number.0)?;
        let note = contacts::add_note(tx, &ctx, contact.id, Some(agent.user.id), &text)?;
        shown(tx, &agent, &contact, &note)
    });
    Ok(Json(view.await?))
}

pub async fn update(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number, note)): OfNote,
    params: Params,
) -> Result<Json<Value>> {
    let (ctx, text) = (agent.ctx(), params.wrapped("note")?.text("content").unwrap_or_default());
    let view = hub.db.write(move |tx| {
        let contact = contacts::by_number(tx, ctx.tenant, number.0)?;
        let note = contacts::edit_note(tx, &ctx, contact.id, note.0, &text)?;
        shown(tx, &agent, &contact, &note)
    });
    Ok(Json(view.await?))
}

pub async fn delete(State(hub): State<Hub>, agent: Agent, Path((_, number, note)): OfNote) -> Result<StatusCode> {
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let contact = contacts::by_number(tx, ctx.tenant, number.0)?;
        contacts::remove_note(tx, &ctx, contact.id, note.0)
    });
    done.await?;
    Ok(StatusCode::OK)
}

/// Takes a contact's picture away.
pub async fn forget_avatar(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfContact) -> Result<Json<Value>> {
    let (scene, ctx) = (agent.scene(), agent.ctx());
    let view = hub.db.write(move |tx| {
        let id = contacts::by_number(tx, ctx.tenant, number.0)?.id;
        let contact = contacts::annotate(tx, &ctx, id, &Annotate { avatar_url: Some(None), ..Annotate::default() })?;
        scene.view().contact(tx, &contact)
    });
    Ok(Json(json!({"payload": view.await?})))
}
