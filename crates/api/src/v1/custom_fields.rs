//! Definitions of custom fields on `/v1` (contract B7).

use super::shared::{self, name, refusal};
use super::{Result, created};
use crate::caller::Caller;
use crate::http::fields::{self, Field as BodyField, Object, Refusal};
use crate::http::reply::{Json, NoContent, Page};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use std::borrow::Cow;
use tieline_core::error::Error;
use tieline_core::fields::validate::{
    Entity, FieldType, KEY_LIMIT, OPTIONS_LIMIT, SelectOption, check_key, check_options,
};
use tieline_core::fields::{self as custom, Field};
use tieline_core::ids::FieldId;
use tieline_core::keys::scopes::Scope;
use tieline_core::tags::slug;
use tieline_wire::native::custom_field::CustomFieldView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest display name, also of an option, characters.
const NAME_LIMIT: usize = 100;

const ENTITIES: [(&str, Entity); 2] = [("contact", Entity::Contact), ("conversation", Entity::Conversation)];

const TYPES: [(&str, FieldType); 6] = [
    ("text", FieldType::Text),
    ("textarea", FieldType::Textarea),
    ("number", FieldType::Number),
    ("date", FieldType::Date),
    ("select", FieldType::Select),
    ("checkbox", FieldType::Checkbox),
];

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// A choice of a select field.
#[derive(ToSchema)]
#[allow(dead_code)] // the document's side of what `option` reads
pub struct OptionRequest {
    /// Default: the value.
    #[schema(max_length = 100)]
    label: Option<String>,
    #[schema(min_length = 1, max_length = 1000)]
    value: String,
}

/// A custom field to make.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct CreateCustomFieldRequest {
    /// Lowercase letters, digits and `_`; made from the name when missing. Never changes.
    #[schema(min_length = 1, max_length = 64, example = "order_number")]
    key: Option<String>,
    #[schema(min_length = 1, max_length = 100, example = "Order number")]
    name: String,
    /// Never changes.
    #[schema(rename = "type", pattern = "^(text|textarea|number|date|select|checkbox)$")]
    kind: String,
    #[schema(pattern = "^(contact|conversation)$")]
    entity: String,
    /// The choices of a select.
    #[schema(max_items = 200)]
    options: Option<Vec<OptionRequest>>,
}

/// Changes of a custom field.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct UpdateCustomFieldRequest {
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// All choices from now on; values stored before stay.
    #[schema(nullable = false, max_items = 200)]
    options: Option<Vec<OptionRequest>>,
}

fn options<'s>(body: &'s Object<'_, '_>) -> BodyField<'s, Vec<SelectOption>> {
    body.list("options", OPTIONS_LIMIT, |option| {
        let option = option.object().required();
        let value = option.string("value").owned().required();
        let label = name(option.string("label"), NAME_LIMIT).optional();
        SelectOption { label: label.unwrap_or_else(|| value.clone()), value }
    })
}

fn parse_key(text: Cow<str>) -> std::result::Result<String, Refusal> {
    check_key(&text, "").map_err(refusal)?;
    Ok(text.into_owned())
}

/// The key that a name makes, if one can be made of it.
fn key_of(name: &str) -> std::result::Result<String, Error> {
    let mut key = slug::from_name(name).unwrap_or_default().replace('-', "_");
    key.truncate(KEY_LIMIT); // ASCII
    let message = "No key can be made from this name; give one of the letters a to z, digits and _.";
    check_key(&key, "/key").map(|()| key).map_err(|_| Error::field("/key", "required", message))
}

/// List custom fields
///
/// Newest first.
#[utoipa::path(get, path = "/v1/custom-fields", tag = "Custom fields",
    operation_id = "list_custom_fields",
    security(("key" = ["settings:read"])), params(shared::ListParams),
    responses((status = 200, description = "A page", body = Page<CustomFieldView>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Page<CustomFieldView>> {
    caller.needs(Scope::SettingsRead)?;
    let (tenant, id) = (caller.tenant(), |field: &Field| field.id.0);
    shared::list_by_id(&hub, tenant, "custom-fields", query.as_deref(), custom::list, id, |field| field.into()).await
}

/// Create a custom field
#[utoipa::path(post, path = "/v1/custom-fields", tag = "Custom fields",
    operation_id = "create_custom_field",
    security(("key" = ["settings:write"])), request_body = CreateCustomFieldRequest,
    responses((status = 201, description = "Created", body = CustomFieldView)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::SettingsWrite)?;
    let (mut command, key) = fields::read(&body.0, |body| {
        let command = custom::Create {
            entity: body.one_of("entity", &ENTITIES).required(),
            key: String::new(),
            name: name(body.string("name"), NAME_LIMIT).required(),
            field_type: body.one_of("type", &TYPES).required(),
            options: options(body).or_default(),
        };
        (command, body.string("key").parse(parse_key).optional())
    })?;
    check_options(command.field_type, &command.options, "/options")?;
    command.key = key.map_or_else(|| key_of(&command.name), Ok)?;
    let render = |field: &Field| created(format!("/v1/custom-fields/{}", field.id), &CustomFieldView::from(field));
    shared::once(&hub, &caller, &body.0, render, move |tx, ctx| custom::create(tx, ctx, &command)).await
}

/// Show a custom field
#[utoipa::path(get, path = "/v1/custom-fields/{id}", tag = "Custom fields",
    operation_id = "get_custom_field",
    security(("key" = ["settings:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The custom field", body = CustomFieldView)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(FieldId,)>) -> Result<Json<CustomFieldView>> {
    caller.needs(Scope::SettingsRead)?;
    let tenant = caller.tenant();
    let field = hub.db.read(move |read| custom::get(read, tenant, id)).await?;
    Ok(Json((&field).into()))
}

/// Change a custom field
///
/// Key, type and entity never change.
#[utoipa::path(patch, path = "/v1/custom-fields/{id}", tag = "Custom fields",
    operation_id = "update_custom_field",
    security(("key" = ["settings:write"])), params(("id" = String, Path)),
    request_body = UpdateCustomFieldRequest,
    responses((status = 200, description = "Changed", body = CustomFieldView)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(FieldId,)>,
    body: JsonBody,
) -> Result<Json<CustomFieldView>> {
    caller.needs(Scope::SettingsWrite)?;
    let command = fields::read(&body.0, |body| custom::Update {
        name: name(body.string("name"), NAME_LIMIT).not_null().optional(),
        options: options(body).not_null().optional(),
        key: body.string("key").owned().not_null().optional(),
        field_type: body.one_of("type", &TYPES).not_null().optional(),
        entity: body.one_of("entity", &ENTITIES).not_null().optional(),
    })?;
    let ctx = caller.ctx();
    let field = hub.db.write(move |tx| custom::update(tx, &ctx, id, &command)).await?;
    Ok(Json((&field).into()))
}

/// Delete a custom field
///
/// Values that contacts and conversations hold stay in them; no request writes them any more.
#[utoipa::path(delete, path = "/v1/custom-fields/{id}", tag = "Custom fields",
    operation_id = "delete_custom_field",
    security(("key" = ["settings:write"])), params(("id" = String, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(FieldId,)>) -> Result<NoContent> {
    caller.needs(Scope::SettingsWrite)?;
    let ctx = caller.ctx();
    hub.db.write(move |tx| custom::delete(tx, &ctx, id)).await?;
    Ok(NoContent)
}
