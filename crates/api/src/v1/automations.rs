//! Automation rules on `/v1` (contract B9, D6.4).

use super::shared::{self, name, nullable};
use super::{Result, created};
use crate::caller::Caller;
use crate::http::fields;
use crate::http::reply::{Json, NoContent, Page};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::Value;
use tieline_core::automations::rule::{self, Action, Branch, Trigger};
use tieline_core::automations::{self, Automation};
use tieline_core::error::{Error, FieldError};
use tieline_core::ids::AutomationId;
use tieline_core::keys::scopes::Scope;
use tieline_wire::native::automation::{AutomationView, Branch as BranchShape};
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

/// A rule to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `create` reads
pub struct CreateAutomationRequest {
    #[schema(min_length = 1, max_length = 100, example = "Refunds")]
    name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// `conversation.created`, `.updated`, `.opened`, `.resolved` or `.reopened`, `message.received`, `.sent`, or `.created`
    /// for either.
    #[schema(example = "message.received")]
    trigger: String,
    /// The first whose conditions are met is taken.
    #[schema(min_items = 1, max_items = 10)]
    branches: Vec<BranchShape>,
    /// Whether it acts; true if not given.
    is_active: Option<bool>,
}

/// Changes of a rule; null clears.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct UpdateAutomationRequest {
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    #[schema(nullable = false)]
    trigger: Option<String>,
    /// All branches from now on.
    #[schema(min_items = 1, max_items = 10)]
    branches: Option<Vec<BranchShape>>,
    /// One that is switched on acts on what happens from then on.
    #[schema(nullable = false)]
    is_active: Option<bool>,
}

fn triggers() -> [(&'static str, Trigger); 8] {
    Trigger::ALL.map(|trigger| (trigger.as_str(), trigger))
}

/// The table of a request and its branches, with every wrong member of both.
async fn read<T>(
    hub: &Hub,
    body: &[u8],
    table: std::result::Result<T, Error>,
) -> std::result::Result<(T, Option<Vec<Branch>>), Error> {
    let branches = match serde_json::from_slice::<Value>(body).ok().as_ref().and_then(|body| body.get("branches")) {
        Some(list) => rule::read(list, "/branches").map(Some),
        None => Ok(None),
    };
    let (table, branches) = match (table, branches) {
        (Ok(table), Ok(branches)) => (table, branches),
        (Ok(_), Err(wrong)) => return Err(Error::invalid(wrong)),
        (Err(error), Err(wrong)) if !error.fields.is_empty() => {
            return Err(Error::invalid(error.fields.into_iter().chain(wrong).collect()));
        }
        (Err(error), _) => return Err(error),
    };
    let mut wrong: Vec<FieldError> = Vec::new();
    for (at, branch) in branches.iter().flatten().enumerate() {
        for (place, action) in branch.actions.iter().enumerate() {
            if let Action::SendAttachment(url) = action
                && let Err(refusal) = hub.guard.check_at_save(url).await
            {
                let message = format!("url is refused: {}", refusal.detail);
                let pointer = format!("/branches/{at}/actions/{place}/url");
                wrong.push(FieldError { pointer, code: refusal.code, message });
            }
        }
    }
    if wrong.is_empty() { Ok((table, branches)) } else { Err(Error::invalid(wrong)) }
}

/// List rules
///
/// Newest first.
#[utoipa::path(get, path = "/v1/automations", tag = "Automations",
    operation_id = "list_automations",
    security(("key" = ["automations:read"])), params(shared::ListParams),
    responses((status = 200, description = "A page", body = Page<AutomationView>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Page<AutomationView>> {
    caller.needs(Scope::AutomationsRead)?;
    let (tenant, id) = (caller.tenant(), |rule: &Automation| rule.id.0);
    shared::list_by_id(&hub, tenant, "automations", query.as_deref(), automations::list, id, |rule| rule.into()).await
}

/// Create a rule
///
/// It acts on what happens from now on, through any dialect and in any inbox. What a rule does starts no rule.
#[utoipa::path(post, path = "/v1/automations", tag = "Automations",
    operation_id = "create_automation",
    security(("key" = ["automations:write"])), request_body = CreateAutomationRequest,
    responses((status = 201, description = "Created", body = AutomationView)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::AutomationsWrite)?;
    let triggers = triggers();
    let table = fields::read(&body.0, |body| {
        body.raw("branches").required();
        automations::Create {
            name: name(body.string("name"), NAME_LIMIT).required(),
            description: body.string("description").chars(..=DESCRIPTION_LIMIT).owned().optional(),
            trigger: body.one_of("trigger", &triggers).required(),
            branches: Vec::new(),
            spelling: None,
            is_active: body.boolean("isActive").or(true),
        }
    });
    let (mut command, branches) = read(&hub, &body.0, table).await?;
    command.branches = branches.unwrap_or_default();
    let render = |rule: &Automation| created(format!("/v1/automations/{}", rule.id), &AutomationView::from(rule));
    shared::once(&hub, &caller, &body.0, render, move |tx, ctx| automations::create(tx, ctx, &command)).await
}

/// Show a rule
#[utoipa::path(get, path = "/v1/automations/{id}", tag = "Automations",
    operation_id = "get_automation",
    security(("key" = ["automations:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The rule", body = AutomationView)))]
async fn get(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(AutomationId,)>,
) -> Result<Json<AutomationView>> {
    caller.needs(Scope::AutomationsRead)?;
    let tenant = caller.tenant();
    let rule = hub.db.read(move |read| automations::get(read, tenant, id)).await?;
    Ok(Json((&rule).into()))
}

/// Change a rule
#[utoipa::path(patch, path = "/v1/automations/{id}", tag = "Automations",
    operation_id = "update_automation",
    security(("key" = ["automations:write"])), params(("id" = String, Path)),
    request_body = UpdateAutomationRequest,
    responses((status = 200, description = "Changed", body = AutomationView)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(AutomationId,)>,
    body: JsonBody,
) -> Result<Json<AutomationView>> {
    caller.needs(Scope::AutomationsWrite)?;
    let triggers = triggers();
    let table = fields::read(&body.0, |body| automations::Update {
        name: name(body.string("name"), NAME_LIMIT).not_null().optional(),
        description: nullable(body.string("description").chars(..=DESCRIPTION_LIMIT).owned().patch()),
        trigger: body.one_of("trigger", &triggers).not_null().optional(),
        branches: None,
        is_active: body.boolean("isActive").not_null().optional(),
    });
    let (mut command, branches) = read(&hub, &body.0, table).await?;
    command.branches = branches.map(|branches| (branches, None));
    let ctx = caller.ctx();
    let rule = hub.db.write(move |tx| automations::update(tx, &ctx, id, &command)).await?;
    Ok(Json((&rule).into()))
}

/// Delete a rule
///
/// What it did stays.
#[utoipa::path(delete, path = "/v1/automations/{id}", tag = "Automations",
    operation_id = "delete_automation",
    security(("key" = ["automations:write"])), params(("id" = String, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(AutomationId,)>) -> Result<NoContent> {
    caller.needs(Scope::AutomationsWrite)?;
    let ctx = caller.ctx();
    hub.db.write(move |tx| automations::delete(tx, &ctx, id)).await?;
    Ok(NoContent)
}
