//! Atteny's dialect: `/api/v1/{me,contacts,conversations,webhooks}` (contract part C). The same keys, conversations and
//! events as `/v1`, in Atteny's shapes; what the contract is silent about is as on `/v1`.

mod contacts;
mod conversations;
mod deliveries;
pub mod document;
pub mod failure;
pub mod language;
mod me;
mod messages;
mod webhooks;

use crate::caller::Caller;
use crate::http::error::Failure;
use crate::http::query::Query;
use crate::http::reply::Json;
use crate::hub::Hub;
use crate::once::{created, ok};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tieline_core::idempotency::Answer;
use tieline_core::page::{Numbered, Rows};
use tieline_wire::atteny::{List, Meta, Success, True};
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::OpenApiRouter;

/// What a handler of this dialect answers.
type Result<T> = std::result::Result<T, Failure>;

/// Largest number of a page that is read as one.
const PAGE_LIMIT: i64 = 1_000_000_000;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Atteny API",
        description = "Contacts, conversations and webhooks as Atteny's integrations know them. Send your key as `Authorization: Bearer <key>`. Messages of errors are in Portuguese, or in English with `Accept-Language: en`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(document::FailureView, document::WrongField))
)]
struct Document;

/// The routes of this dialect and the document that describes them.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(me::router())
        .merge(contacts::router())
        .merge(conversations::router())
        .merge(messages::router())
        .merge(webhooks::router())
        .merge(deliveries::router())
}

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // the document's side of what `numbered` reads
struct PageParams {
    /// From 1, the default. Pages reach 100,000 rows from either end of a list.
    #[param(minimum = 1, maximum = 1_000_000_000)]
    page: Option<i64>,
    /// Rows of a page; 20 if not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// The page that a query asks for.
fn numbered(query: &Query) -> Numbered {
    Numbered { page: query.integer("page").within(1..=PAGE_LIMIT).or(1), limit: query.limit() as i64 }
}

/// 200 with this.
fn success(view: impl Serialize) -> Response {
    Json(Success::of(view)).into_response()
}

/// 200 with this, to be kept for a repeated request.
fn kept(view: impl Serialize) -> Answer {
    ok(&Success::of(view))
}

/// 201 with what was made, to be kept for a repeated request.
fn made(location: String, view: impl Serialize) -> Answer {
    created(location, &Success::of(view))
}

/// 200 with a page.
fn listed<'r, R, V: Serialize>(
    page: Numbered,
    found: &'r Rows<R>,
    complete: bool,
    view: impl FnMut(&'r R) -> V,
) -> Response {
    let meta = Meta { total: found.total, page: page.page, limit: page.limit, complete };
    Json(List { success: True, data: found.rows.iter().map(view).collect(), meta }).into_response()
}

/// Refuses a key that may not manage webhooks.
fn manages_webhooks(caller: &Caller) -> std::result::Result<(), tieline_core::Error> {
    crate::endpoints::enabled(caller)?;
    caller.needs(tieline_core::keys::scopes::Scope::WebhooksWrite)
}
