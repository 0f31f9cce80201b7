//! Tags on `/v1` (contract B7, D6.3).

use super::shared::{self, name, nullable, refusal};
use super::{Result, created};
use crate::caller::Caller;
use crate::http::fields;
use crate::http::query;
use crate::http::reply::{Json, NoContent, Page};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use std::borrow::Cow;
use tieline_core::ids::TagId;
use tieline_core::keys::scopes::Scope;
use tieline_core::tags::{self, Children, Tag, TagType, slug};
use tieline_wire::native::tag::TagView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest display name, characters.
const NAME_LIMIT: usize = 100;
/// Longest description, characters.
const DESCRIPTION_LIMIT: usize = 500;

const TYPES: [(&str, TagType); 2] = [("topic", TagType::Topic), ("metadata", TagType::Metadata)];

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// A tag to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `create` reads
pub struct CreateTagRequest {
    /// Lowercase letters, digits and hyphens; made from the name when missing. Never changes.
    #[schema(min_length = 1, max_length = 64, example = "late-delivery")]
    slug: Option<String>,
    #[schema(min_length = 1, max_length = 100, example = "Late delivery")]
    name: String,
    /// `topic` (the default at the top of a tree): what a conversation is about. `metadata`: anything else about it.
    #[schema(rename = "type", pattern = "^(topic|metadata)$", example = "topic")]
    kind: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// The tag that it is a kind of. A tag has its parent's type; a tree has at most ten levels.
    #[schema(example = "tag_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    parent_id: Option<String>,
}

/// Changes of a tag; null clears.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct UpdateTagRequest {
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Of a tag at the top of a tree; it becomes the type of all tags below it.
    #[schema(nullable = false, rename = "type", pattern = "^(topic|metadata)$", example = "metadata")]
    kind: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Another parent, whose type it then has with all tags below it; null puts it at the top.
    #[schema(example = "tag_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    parent_id: Option<String>,
}

fn parse_slug(text: Cow<str>) -> std::result::Result<String, fields::Refusal> {
    slug::check(&text, "").map_err(refusal)?;
    Ok(text.into_owned())
}

/// List tags
///
/// Newest first.
#[utoipa::path(get, path = "/v1/tags", tag = "Tags",
    operation_id = "list_tags",
    security(("key" = ["tags:read"])), params(shared::ListParams),
    responses((status = 200, description = "A page", body = Page<TagView>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Page<TagView>> {
    caller.needs(Scope::TagsRead)?;
    let id = |tag: &Tag| tag.id.0;
    shared::list_by_id(&hub, caller.tenant(), "tags", query.as_deref(), tags::list, id, |tag| tag.into()).await
}

/// Create a tag
#[utoipa::path(post, path = "/v1/tags", tag = "Tags",
    operation_id = "create_tag",
    security(("key" = ["tags:write"])), request_body = CreateTagRequest,
    responses((status = 201, description = "Created", body = TagView)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::TagsWrite)?;
    let command = fields::read(&body.0, |body| tags::Create {
        slug: body.string("slug").parse(parse_slug).optional(),
        name: name(body.string("name"), NAME_LIMIT).required(),
        description: body.string("description").chars(..=DESCRIPTION_LIMIT).owned().optional(),
        tag_type: body.one_of("type", &TYPES).optional(),
        parent: body.id("parentId").optional(),
    })?;
    let render = |tag: &Tag| created(format!("/v1/tags/{}", tag.id), &TagView::from(tag));
    shared::once(&hub, &caller, &body.0, render, move |tx, ctx| tags::create(tx, ctx, &command)).await
}

/// Show a tag
#[utoipa::path(get, path = "/v1/tags/{id}", tag = "Tags",
    operation_id = "get_tag",
    security(("key" = ["tags:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The tag", body = TagView)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(TagId,)>) -> Result<Json<TagView>> {
    caller.needs(Scope::TagsRead)?;
    let tenant = caller.tenant();
    let tag = hub.db.read(move |read| tags::get(read, tenant, id)).await?;
    Ok(Json((&tag).into()))
}

/// Change a tag
#[utoipa::path(patch, path = "/v1/tags/{id}", tag = "Tags",
    operation_id = "update_tag",
    security(("key" = ["tags:write"])), params(("id" = String, Path)), request_body = UpdateTagRequest,
    responses((status = 200, description = "Changed", body = TagView)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(TagId,)>,
    body: JsonBody,
) -> Result<Json<TagView>> {
    caller.needs(Scope::TagsWrite)?;
    let command = fields::read(&body.0, |body| tags::Update {
        slug: body.string("slug").owned().not_null().optional(),
        name: name(body.string("name"), NAME_LIMIT).not_null().optional(),
        description: nullable(body.string("description").chars(..=DESCRIPTION_LIMIT).owned().patch()),
        tag_type: body.one_of("type", &TYPES).not_null().optional(),
        parent: nullable(body.id("parentId").patch()),
    })?;
    let ctx = caller.ctx();
    let tag = hub.db.write(move |tx| tags::update(tx, &ctx, id, &command)).await?;
    Ok(Json((&tag).into()))
}

/// Delete a tag
///
/// It is taken off every conversation, without an event for each. One that has tags below it is refused, unless `cascade` says
/// that they go with it.
#[utoipa::path(delete, path = "/v1/tags/{id}", tag = "Tags",
    operation_id = "delete_tag",
    security(("key" = ["tags:write"])), params(("id" = String, Path),
        ("cascade" = Option<bool>, Query, description = "Whether the tags below it are deleted too.")),
    responses((status = 204, description = "Deleted")))]
async fn delete(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(TagId,)>,
    RawQuery(query): RawQuery,
) -> Result<NoContent> {
    caller.needs(Scope::TagsWrite)?;
    let cascades = query::read(query.as_deref(), |query| query.boolean("cascade").or(false))?;
    let children = if cascades { Children::Delete } else { Children::Refuse };
    let ctx = caller.ctx();
    hub.db.write(move |tx| tags::delete(tx, &ctx, id, children)).await?;
    Ok(NoContent)
}
