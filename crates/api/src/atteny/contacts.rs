//! Contacts: known by their phone number, however it is written.

use super::{PageParams, Result, listed, made, numbered, success};
use crate::caller::Caller;
use crate::http::fields::{self, Refusal};
use crate::http::query;
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use crate::members::{self, EXTERNAL_ID_LIMIT, NAME_LIMIT, custom_fields, name, nullable};
use crate::once::once;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use std::borrow::Cow;
use tieline_core::contacts::phone::Country;
use tieline_core::contacts::{self, Upsert, Written};
use tieline_core::error::Error;
use tieline_core::ids::ContactId;
use tieline_core::keys::scopes::Scope;
use tieline_wire::atteny::contact::ContactView;
use tieline_wire::atteny::{List, Success};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest text to search for, characters.
const SEARCH_LIMIT: usize = 100;

/// Routes of this file.
pub(super) fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, update))
}

/// A contact to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `create` reads
struct CreateContactRequest {
    /// With country code, or as it is dialled in Brazil.
    #[schema(min_length = 1, max_length = 64, example = "+5511987654321")]
    phone_number: String,
    /// Default: the number.
    #[schema(min_length = 1, max_length = 200, example = "Ana Lima")]
    name: Option<String>,
    #[schema(max_length = 254, format = "email")]
    email: Option<String>,
    /// Your own id of the contact.
    #[schema(min_length = 1, max_length = 255)]
    external_id: Option<String>,
    /// Values by key; unknown keys are passed over.
    #[schema(value_type = Option<Object>)]
    custom_fields: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Changes of a contact; what is not mentioned stays, null clears.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
struct UpdateContactRequest {
    /// Replaces the number.
    #[schema(min_length = 1, max_length = 64)]
    phone_number: Option<String>,
    /// Null: made from an address again.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(max_length = 254, format = "email")]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 255)]
    external_id: Option<String>,
    /// Values by key; keys that are not named stay, null clears one.
    #[schema(value_type = Option<Object>)]
    custom_fields: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Which contacts are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
struct SearchParams {
    /// A phone number or an email address, or part of a name, email or number. Whoever has the number or address comes first;
    /// parts are looked for among the 10,000 contacts that changed last.
    #[param(max_length = 100)]
    search: Option<String>,
}

fn phone(text: Cow<str>) -> std::result::Result<String, Refusal> {
    members::phone(text, Country::Brazil)
}

/// List contacts
///
/// Last changed first.
#[utoipa::path(get, path = "/api/v1/contacts", tag = "Contacts",
    operation_id = "list_contacts",
    security(("key" = ["contacts:read"])), params(PageParams, SearchParams),
    responses((status = 200, description = "A page", body = List<ContactView<'static>>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response> {
    caller.needs(Scope::ContactsRead)?;
    let tenant = caller.tenant();
    let (search, page) = query::read(query.as_deref(), |query| {
        (query.text("search").trimmed().chars(..=SEARCH_LIMIT).owned().or_default(), numbered(query))
    })?;
    let (found, complete) = hub
        .db
        .read(move |read| {
            if search.is_empty() {
                return Ok::<_, Error>((contacts::numbered(read, tenant, page)?, true));
            }
            let addresses = (members::email(search.as_str().into()).ok(), phone(search.as_str().into()).ok());
            contacts::found(read, tenant, &search, (addresses.0.as_deref(), addresses.1.as_deref()), page)
        })
        .await?;
    Ok(listed(page, &found, complete, ContactView::of))
}

/// Create a contact
///
/// A number that somebody has already, in whatever spelling, is 409 and `contactId` names the contact.
#[utoipa::path(post, path = "/api/v1/contacts", tag = "Contacts",
    operation_id = "create_contact",
    security(("key" = ["contacts:write"])), request_body = CreateContactRequest,
    responses((status = 201, description = "Created", body = Success<ContactView<'static>>)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::ContactsWrite)?;
    let command = fields::read(&body.0, |body| contacts::Create {
        identity: Upsert {
            name: name(body.string("name"), NAME_LIMIT).optional(),
            email: body.string("email").parse(members::email).optional(),
            phone: Some(body.string("phoneNumber").parse(phone).required()),
            external_id: body.string("externalId").chars(1..=EXTERNAL_ID_LIMIT).owned().optional(),
        },
        custom_fields: custom_fields(body.raw("customFields")),
    })?;
    let render = |done: &Written| made(format!("/api/v1/contacts/{}", done.contact.id), ContactView::of(&done.contact));
    once(&hub, &caller, &body.0, render, move |tx, ctx| contacts::create(tx, ctx, &command)).await
}

/// Show a contact
#[utoipa::path(get, path = "/api/v1/contacts/{id}", tag = "Contacts",
    operation_id = "get_contact",
    security(("key" = ["contacts:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The contact", body = Success<ContactView<'static>>)))]
async fn show(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(ContactId,)>) -> Result<Response> {
    caller.needs(Scope::ContactsRead)?;
    let tenant = caller.tenant();
    let found = hub.db.read(move |read| contacts::get(read, tenant, id)).await?;
    Ok(success(ContactView::of(&found)))
}

/// Change a contact
///
/// A number or address that somebody else has is 409 and `contactId` names that contact.
#[utoipa::path(patch, path = "/api/v1/contacts/{id}", tag = "Contacts",
    operation_id = "update_contact",
    security(("key" = ["contacts:write"])), params(("id" = String, Path)),
    request_body = UpdateContactRequest,
    responses((status = 200, description = "Changed", body = Success<ContactView<'static>>)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ContactId,)>,
    body: JsonBody,
) -> Result<Response> {
    caller.needs(Scope::ContactsWrite)?;
    let command = fields::read(&body.0, |body| contacts::Update {
        name: nullable(name(body.string("name"), NAME_LIMIT).patch()),
        email: nullable(body.string("email").parse(members::email).patch()),
        phone: nullable(body.string("phoneNumber").parse(phone).patch()),
        external_id: nullable(body.string("externalId").chars(1..=EXTERNAL_ID_LIMIT).owned().patch()),
        custom_fields: custom_fields(body.raw("customFields")),
    })?;
    let ctx = caller.ctx();
    let done: Written = hub.db.write(move |tx| contacts::update(tx, &ctx, id, &command)).await?;
    Ok(success(ContactView::of(&done.contact)))
}
