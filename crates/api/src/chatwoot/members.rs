//! Who is in a team, and who follows a conversation.

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params};
use super::people::active;
use super::refused::Refused;
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::State;
use http::StatusCode;
use serde_json::Value;
use tieline_core::error::Error;
use tieline_core::ids::UserId;
use tieline_core::{conversations, teams, users};
use tieline_db::{Read, Tx};
use tieline_wire::chatwoot::people as shapes;

type OfAccount = Path<(Number, Number)>;

/// These users as agents, by name.
fn views(read: &mut Read, agent: &Agent, ids: &[UserId]) -> tieline_core::Result<Value> {
    let users = active(read, agent)?;
    Ok(users.iter().filter(|user| ids.contains(&user.id)).map(|user| shapes::agent(user, agent.account().0)).collect())
}

/// The users that a request names.
///
/// Errors: `unknown_id` for one who is no agent of the account.
fn named(read: &mut Read, agent: &Agent, params: &Params) -> tieline_core::Result<Vec<UserId>> {
    let numbers = params.numbers("user_ids").into_iter().take(teams::MEMBERS_LIMIT);
    numbers
        .map(|number| match users::by_number(read, agent.tenant.live(), number) {
            Ok(user) if user.is_active => Ok(user.id),
            Err(error) if error.code != "not_found" => Err(error),
            _ => Err(Error::field("/user_ids", "unknown_id", "Invalid User IDs")),
        })
        .collect()
}

fn strangers(error: Error) -> Refused {
    let unknown = error.fields.iter().any(|field| field.code == "unknown_id");
    if unknown { Refused::unauthorized("Invalid User IDs") } else { error.into() }
}

/// A change of a team by the users that a request names; it answers whom to show.
type ChangeTeam = fn(&mut Tx, &Agent, &teams::Team, &[UserId]) -> tieline_core::Result<Vec<UserId>>;

/// Runs a change of a team.
async fn change_team(hub: Hub, agent: Agent, number: i64, params: Params, change: ChangeTeam) -> Result<Value> {
    agent.admin()?;
    let tenant = agent.account();
    let done = hub.db.write(move |tx| {
        let team = teams::by_number(tx, tenant, number)?;
        let named = named(tx, &agent, &params)?;
        let shown = change(tx, &agent, &team, &named)?;
        views(tx, &agent, &shown)
    });
    done.await.map_err(strangers)
}

pub async fn of_team(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let tenant = agent.account();
    let view = hub.db.read(move |read| {
        let team = teams::by_number(read, tenant, number.0)?;
        views(read, &agent, &team.members)
    });
    Ok(Json(view.await?))
}

pub async fn add_to_team(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let add = |tx: &mut Tx, agent: &Agent, team: &teams::Team, named: &[UserId]| {
        teams::add_members(tx, &agent.ctx(), team.id, named)
    };
    Ok(Json(change_team(hub, agent, number.0, params, add).await?))
}

pub async fn set_team(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let set = |tx: &mut Tx, agent: &Agent, team: &teams::Team, named: &[UserId]| {
        let command = teams::Update { members: Some(named.to_vec()), ..teams::Update::default() };
        Ok(teams::update(tx, &agent.ctx(), team.id, &command)?.members)
    };
    Ok(Json(change_team(hub, agent, number.0, params, set).await?))
}

pub async fn remove_from_team(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<StatusCode> {
    let remove = |tx: &mut Tx, agent: &Agent, team: &teams::Team, named: &[UserId]| {
        teams::remove_members(tx, &agent.ctx(), team.id, named).map(|()| Vec::new())
    };
    change_team(hub, agent, number.0, params, remove).await?;
    Ok(StatusCode::OK)
}

pub async fn participants(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let view = hub.db.read(move |read| {
        let v = agent.conversation(read, number.0)?;
        let following = conversations::participants(read, agent.account(), v.id)?;
        views(read, &agent, &following)
    });
    Ok(Json(view.await?))
}

/// Changes who follows a conversation; `change` says who they are then.
async fn change_participants(
    hub: Hub,
    agent: Agent,
    number: i64,
    params: Params,
    change: fn(before: Vec<UserId>, named: &[UserId]) -> Vec<UserId>,
) -> Result<Value> {
    let done = hub.db.write(move |tx| {
        let v = agent.conversation(tx, number)?;
        let named = named(tx, &agent, &params)?;
        let mut wanted = change(conversations::participants(tx, agent.account(), v.id)?, &named);
        wanted.sort();
        wanted.dedup();
        conversations::set_participants(tx, &agent.ctx(), v.id, &wanted)?;
        views(tx, &agent, &wanted)
    });
    done.await.map_err(strangers)
}

pub async fn add_participants(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let add = |before: Vec<UserId>, named: &[UserId]| before.into_iter().chain(named.iter().copied()).collect();
    Ok(Json(change_participants(hub, agent, number.0, params, add).await?))
}

pub async fn set_participants(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    Ok(Json(change_participants(hub, agent, number.0, params, |_, named| named.to_vec()).await?))
}

pub async fn remove_participants(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<StatusCode> {
    let remove =
        |before: Vec<UserId>, named: &[UserId]| before.into_iter().filter(|user| !named.contains(user)).collect();
    change_participants(hub, agent, number.0, params, remove).await?;
    Ok(StatusCode::OK)
}
