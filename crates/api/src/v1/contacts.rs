//! Contacts on `/v1` (contract B6, D3, D6.1).

use super::shared::{self, custom_fields, name, nullable, ok, refusal, wanted};
use super::{Result, created};
use crate::caller::Caller;
use crate::http::cursor::Cursor;
use crate::http::fields;
use crate::http::query;
use crate::http::reply::{Json, NoContent, Page, RawJson};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use crate::members::{self, EXTERNAL_ID_LIMIT, NAME_LIMIT};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use std::borrow::Cow;
use tieline_core::contacts::phone::Country;
use tieline_core::contacts::{self, Contact, Filter, MERGE_LIMIT, Upsert, Written};
use tieline_core::ids::ContactId;
use tieline_core::keys::scopes::Scope;
use tieline_core::time::Micros;
use tieline_wire::native::contact::{ContactDetailView, ContactView, WrittenContactView};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest text to search for, characters.
const SEARCH_LIMIT: usize = 100;
/// The list and its order, for cursors.
const LIST: &str = "contacts:updated";

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete)).routes(routes!(merge))
}

/// A contact to make; at least one member of the first four.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `create` reads
pub struct CreateContactRequest {
    /// Default: the part of the email before the `@`, the phone or the external id.
    #[schema(min_length = 1, max_length = 200, example = "Ana Lima")]
    name: Option<String>,
    #[schema(max_length = 254, format = "email", example = "ana@example.com")]
    email: Option<String>,
    #[schema(max_length = 64, example = "+5511987654321")]
    phone: Option<String>,
    /// Your own id of the contact.
    #[schema(min_length = 1, max_length = 255)]
    external_id: Option<String>,
    /// Values by key; unknown keys come back as `ignoredCustomFields`.
    #[schema(value_type = Option<Object>)]
    custom_fields: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Changes of a contact; null clears.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct UpdateContactRequest {
    /// Null: made from an address again.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// Replaces the primary address; null removes every email address.
    #[schema(max_length = 254, format = "email")]
    email: Option<String>,
    /// As `email`.
    #[schema(max_length = 64)]
    phone: Option<String>,
    /// As `email`.
    #[schema(min_length = 1, max_length = 255)]
    external_id: Option<String>,
    /// Values by key; keys that are not named stay, null clears one.
    #[schema(value_type = Option<Object>)]
    custom_fields: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Contacts to merge.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct MergeContactsRequest {
    /// What becomes part of the contact in the path.
    #[schema(min_items = 1, max_items = 50, example = json!(["con_019a3b1c5d2e7f008a1b2c3d4e5f6071"]))]
    from: Vec<String>,
}

/// Which contacts are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code)]
struct ContactFilters {
    /// Any email address of the contact.
    email: Option<String>,
    /// Any phone number of the contact; spellings of one subscriber are equal.
    phone: Option<String>,
    /// The contact's id with you.
    external_id: Option<String>,
    /// Part of name, primary email or primary phone, in upper or lower case. A request looks at up to 10,000 contacts: a
    /// page may be short or empty while `hasMore` is true, go on with its cursor.
    #[param(min_length = 1, max_length = 100)]
    search: Option<String>,
    /// Changed at this time or later.
    #[param(value_type = Option<String>, format = "date-time")]
    updated_since: Option<String>,
}

fn parse_phone(text: Cow<str>) -> std::result::Result<String, fields::Refusal> {
    members::phone(text, Country::Unknown)
}

fn written(written: &Written) -> axum::body::Bytes {
    serde_json::to_vec(&WrittenContactView::of(written)).unwrap_or_default().into()
}

/// List contacts
///
/// Last changed first.
#[utoipa::path(get, path = "/v1/contacts", tag = "Contacts",
    operation_id = "list_contacts",
    security(("key" = ["contacts:read"])), params(ContactFilters, shared::ListParams),
    responses((status = 200, description = "A page", body = Page<ContactView<'static>>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response> {
    caller.needs(Scope::ContactsRead)?;
    let tenant = caller.tenant();
    let (filter, page) = query::read(query.as_deref(), |query| {
        let filter = Filter {
            email: query.text("email").parse(members::email).optional(),
            phone: query
                .text("phone")
                // A plus sign that was not encoded arrives as a space.
                .map(|text| if text.starts_with(' ') { Cow::Owned(text.replacen(' ', "+", 1)) } else { text })
                .parse(parse_phone)
                .optional(),
            external_id: query.text("externalId").chars(1..=EXTERNAL_ID_LIMIT).owned().optional(),
            search: query.text("search").trimmed().chars(1..=SEARCH_LIMIT).owned().optional(),
            updated_since: query
                .text("updatedSince")
                .parse(|text| Micros::parse(&text, "").map(|at| at.0).map_err(refusal))
                .optional(),
        };
        (filter, wanted(query, tenant, LIST))
    })?;
    let found = hub.db.read(move |read| contacts::list(read, tenant, &filter, page)).await?;
    let cursor = |(key, id)| Cursor { key, id }.encode(tenant.0, LIST);
    let limit = page.limit as usize - 1;
    let stopped = found.stopped_at.filter(|_| found.rows.len() <= limit).map(cursor);
    let rows: Vec<&Contact> = found.rows.iter().collect();
    let mut list = Page::of(rows, limit, |row| cursor((row.updated_at, row.id.0)), ContactView::of);
    if stopped.is_some() {
        (list.has_more, list.next_cursor) = (true, stopped);
    }
    Ok(axum::response::IntoResponse::into_response(list))
}

/// Create a contact
///
/// An email, phone or external id that somebody has already is 409 and names the contact.
#[utoipa::path(post, path = "/v1/contacts", tag = "Contacts",
    operation_id = "create_contact",
    security(("key" = ["contacts:write"])), request_body = CreateContactRequest,
    responses((status = 201, description = "Created", body = WrittenContactView<'static>)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::ContactsWrite)?;
    let command = fields::read(&body.0, |body| contacts::Create {
        identity: Upsert {
            name: name(body.string("name"), NAME_LIMIT).optional(),
            email: body.string("email").parse(members::email).optional(),
            phone: body.string("phone").parse(parse_phone).optional(),
            external_id: body.string("externalId").chars(1..=EXTERNAL_ID_LIMIT).owned().optional(),
        },
        custom_fields: custom_fields(body.raw("customFields")),
    })?;
    let render = |done: &Written| created(format!("/v1/contacts/{}", done.contact.id), &WrittenContactView::of(done));
    shared::once(&hub, &caller, &body.0, render, move |tx, ctx| contacts::create(tx, ctx, &command)).await
}

/// Show a contact
///
/// The id of a contact that was merged away answers with the contact it went into, which names it in `mergedFrom`.
#[utoipa::path(get, path = "/v1/contacts/{id}", tag = "Contacts",
    operation_id = "get_contact",
    security(("key" = ["contacts:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The contact", body = ContactDetailView<'static>)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(ContactId,)>) -> Result<Response> {
    caller.needs(Scope::ContactsRead)?;
    let tenant = caller.tenant();
    let detail = hub.db.read(move |read| contacts::detail(read, tenant, id)).await?;
    Ok(axum::response::IntoResponse::into_response(Json(ContactDetailView::of(&detail))))
}

/// Change a contact
///
/// An address that somebody else has is 409 and names that contact.
#[utoipa::path(patch, path = "/v1/contacts/{id}", tag = "Contacts",
    operation_id = "update_contact",
    security(("key" = ["contacts:write"])), params(("id" = String, Path)),
    request_body = UpdateContactRequest,
    responses((status = 200, description = "Changed", body = WrittenContactView<'static>)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ContactId,)>,
    body: JsonBody,
) -> Result<RawJson> {
    caller.needs(Scope::ContactsWrite)?;
    let command = fields::read(&body.0, |body| contacts::Update {
        name: nullable(name(body.string("name"), NAME_LIMIT).patch()),
        email: nullable(body.string("email").parse(members::email).patch()),
        phone: nullable(body.string("phone").parse(parse_phone).patch()),
        external_id: nullable(body.string("externalId").chars(1..=EXTERNAL_ID_LIMIT).owned().patch()),
        custom_fields: custom_fields(body.raw("customFields")),
    })?;
    let ctx = caller.ctx();
    let done: Written = hub.db.write(move |tx| contacts::update(tx, &ctx, id, &command)).await?;
    Ok(RawJson { status: StatusCode::OK, body: written(&done) })
}

/// Delete a contact
///
/// Only one without conversations; a contact that has some is 409 `contact_in_use`, merge it instead.
#[utoipa::path(delete, path = "/v1/contacts/{id}", tag = "Contacts",
    operation_id = "delete_contact",
    security(("key" = ["contacts:write"])), params(("id" = String, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(ContactId,)>) -> Result<NoContent> {
    caller.needs(Scope::ContactsWrite)?;
    let ctx = caller.ctx();
    hub.db.write(move |tx| contacts::delete(tx, &ctx, id)).await?;
    Ok(NoContent)
}

/// Merge contacts into this one
///
/// Their addresses and conversations move here and their ids answer with this contact from now on. What this contact lacks
/// (email, phone, external id, values of custom fields) comes from the one that changed last. There is no way back.
#[utoipa::path(post, path = "/v1/contacts/{id}/merge", tag = "Contacts",
    operation_id = "merge_contacts",
    security(("key" = ["contacts:write"])), params(("id" = String, Path)),
    request_body = MergeContactsRequest,
    responses((status = 200, description = "Merged", body = ContactDetailView<'static>)))]
async fn merge(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ContactId,)>,
    body: JsonBody,
) -> Result<Response> {
    caller.needs(Scope::ContactsWrite)?;
    let from = fields::read(&body.0, |body| {
        body.list("from", MERGE_LIMIT, |id| id.string().id().required()).at_least(1).required()
    })?;
    let render = |done: &contacts::Detail| ok(&ContactDetailView::of(done));
    shared::once(&hub, &caller, &body.0, render, move |tx, ctx| {
        let target = contacts::merge(tx, ctx, id, &from)?;
        contacts::detail(tx, ctx.tenant, target.id)
    })
    .await
}
