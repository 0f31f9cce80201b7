//! Teams on `/v1` (contract B3).

use super::shared::{self, name, nullable};
use super::{Result, created};
use crate::caller::Caller;
use crate::http::fields::{self, Object, Patch};
use crate::http::reply::{Json, NoContent, Page};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use tieline_core::ids::TeamId;
use tieline_core::keys::scopes::Scope;
use tieline_core::teams::{self, CAPACITY_LIMIT, MEMBERS_LIMIT, Mode, Team};
use tieline_wire::native::team::TeamView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest display name, characters.
const NAME_LIMIT: usize = 100;
/// Longest description, characters.
const DESCRIPTION_LIMIT: usize = 500;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// A team to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `create` reads
pub struct CreateTeamRequest {
    /// Unique per tenant.
    #[schema(min_length = 1, max_length = 100, example = "Logistics")]
    name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Users.
    #[schema(max_items = 1000)]
    member_ids: Option<Vec<String>>,
    /// Whether new conversations land here when their inbox has no team; a tenant has one such team at most.
    is_default: Option<bool>,
    /// How its conversations find their agent; by hand if not given.
    assignment: Option<AssignmentRequest>,
}

/// How conversations of a team find their agent.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct AssignmentRequest {
    /// `manual`; `round_robin`: whoever got one longest ago; `least_loaded`: whoever has the fewest open ones. Only members
    /// who are there, and who are members of the inbox, where it has any.
    #[schema(example = "round_robin")]
    mode: Option<String>,
    /// Open conversations up to which an agent gets more; null for any number.
    #[schema(minimum = 1, maximum = 1000)]
    capacity: Option<i64>,
}

/// Mode and capacity, as far as a request names them.
fn assignment(body: &Object) -> (Option<Mode>, Option<Option<i64>>) {
    let assignment = match body.object("assignment").patch() {
        Patch::Set(assignment) => assignment,
        Patch::Clear => return (Some(Mode::default()), Some(None)),
        Patch::Keep => return (None, None),
    };
    let mode = assignment.one_of("mode", &Mode::ALL).not_null().optional();
    (mode, nullable(assignment.integer("capacity").within(1..=CAPACITY_LIMIT).patch()))
}

/// Changes of a team; null clears.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct UpdateTeamRequest {
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// All members from now on.
    #[schema(nullable = false, max_items = 1000)]
    member_ids: Option<Vec<String>>,
    #[schema(nullable = false)]
    is_default: Option<bool>,
    /// Members that are not given stay; null is by hand again, without a capacity.
    assignment: Option<AssignmentRequest>,
}

/// List teams
///
/// Newest first.
#[utoipa::path(get, path = "/v1/teams", tag = "Teams",
    operation_id = "list_teams",
    security(("key" = ["teams:read"])), params(shared::ListParams),
    responses((status = 200, description = "A page", body = Page<TeamView>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Page<TeamView>> {
    caller.needs(Scope::TeamsRead)?;
    let id = |team: &Team| team.id.0;
    shared::list_by_id(&hub, caller.tenant(), "teams", query.as_deref(), teams::list, id, |team| team.into()).await
}

/// Create a team
#[utoipa::path(post, path = "/v1/teams", tag = "Teams",
    operation_id = "create_team",
    security(("key" = ["teams:write"])), request_body = CreateTeamRequest,
    responses((status = 201, description = "Created", body = TeamView)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::TeamsWrite)?;
    let command = fields::read(&body.0, |body| {
        let (mode, capacity) = assignment(body);
        teams::Create {
            name: name(body.string("name"), NAME_LIMIT).required(),
            description: body.string("description").chars(..=DESCRIPTION_LIMIT).owned().optional(),
            members: body.list("memberIds", MEMBERS_LIMIT, |id| id.string().id().required()).or_default(),
            is_default: body.boolean("isDefault").or(false),
            mode: mode.unwrap_or_default(),
            capacity: capacity.flatten(),
        }
    })?;
    let render = |team: &Team| created(format!("/v1/teams/{}", team.id), &TeamView::from(team));
    shared::once(&hub, &caller, &body.0, render, move |tx, ctx| teams::create(tx, ctx, &command)).await
}

/// Show a team
#[utoipa::path(get, path = "/v1/teams/{id}", tag = "Teams",
    operation_id = "get_team",
    security(("key" = ["teams:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The team", body = TeamView)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(TeamId,)>) -> Result<Json<TeamView>> {
    caller.needs(Scope::TeamsRead)?;
    let tenant = caller.tenant();
    let team = hub.db.read(move |read| teams::get(read, tenant, id)).await?;
    Ok(Json((&team).into()))
}

/// Change a team
#[utoipa::path(patch, path = "/v1/teams/{id}", tag = "Teams",
    operation_id = "update_team",
    security(("key" = ["teams:write"])), params(("id" = String, Path)),
    request_body = UpdateTeamRequest, responses((status = 200, description = "Changed", body = TeamView)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(TeamId,)>,
    body: JsonBody,
) -> Result<Json<TeamView>> {
    caller.needs(Scope::TeamsWrite)?;
    let command = fields::read(&body.0, |body| {
        let (mode, capacity) = assignment(body);
        teams::Update {
            name: name(body.string("name"), NAME_LIMIT).not_null().optional(),
            description: nullable(body.string("description").chars(..=DESCRIPTION_LIMIT).owned().patch()),
            members: body.list("memberIds", MEMBERS_LIMIT, |id| id.string().id().required()).not_null().optional(),
            is_default: body.boolean("isDefault").not_null().optional(),
            mode,
            capacity,
        }
    })?;
    let ctx = caller.ctx();
    let team = hub.db.write(move |tx| teams::update(tx, &ctx, id, &command)).await?;
    Ok(Json((&team).into()))
}

/// Delete a team
///
/// Its conversations and inboxes go on without a team, without an event for each.
#[utoipa::path(delete, path = "/v1/teams/{id}", tag = "Teams",
    operation_id = "delete_team",
    security(("key" = ["teams:write"])), params(("id" = String, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(TeamId,)>) -> Result<NoContent> {
    caller.needs(Scope::TeamsWrite)?;
    let ctx = caller.ctx();
    hub.db.write(move |tx| teams::delete(tx, &ctx, id)).await?;
    Ok(NoContent)
}
