//! `GET /v1/request-log`: what was asked with the tenant's credentials, and what we answered.

use super::Result;
use crate::caller::Caller;
use crate::http::cursor::Cursor;
use crate::http::fields::{Field, Refusal};
use crate::http::query;
use crate::http::reply::Page;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use std::borrow::Cow;
use tieline_core::keys::scopes::Scope;
use tieline_core::requests::{self, Filter};
use tieline_core::time::Micros;
use tieline_wire::native::request::LoggedRequestView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Name of the list, for its cursors.
const LIST: &str = "request-log";
/// Longest text of a filter, characters.
const FILTER_LIMIT: usize = 1024;
const METHODS: [(&str, &str); 5] =
    [("GET", "GET"), ("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE")];

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list))
}

/// `404`, or `4xx` for a class.
fn status(text: &str) -> Option<(i64, i64)> {
    let class =
        text.strip_suffix("xx").and_then(|class| class.parse::<i64>().ok()).filter(|class| (1..=5).contains(class));
    match class {
        Some(class) => Some((class * 100, class * 100 + 99)),
        None => text.parse().ok().filter(|status| (100..=599).contains(status)).map(|status| (status, status)),
    }
}

fn instant<'o>(field: Field<'o, Cow<'_, str>>) -> Option<i64> {
    field.parse(|text| Micros::parse(&text, "").map_err(super::shared::refusal)).optional().map(|instant| instant.0)
}

/// List requests
///
/// Newest first, kept for 30 days if the operator says nothing else; a request shows up within a second or two. Only
/// requests with a valid credential are here. A page may be short, or empty, and still have more. For bodies see
/// `/v1/tenant`.
#[utoipa::path(get, path = "/v1/request-log", tag = "Account",
    operation_id = "list_requests",
    security(("key" = ["settings:read"])),
    params(("key" = Option<String>, Query, description = "Id of the API key, user or inbox that asked"),
        ("status" = Option<String>, Query, description = "A status such as 404, or a class such as 4xx"),
        ("method" = Option<String>, Query, description = "GET, POST, PUT, PATCH or DELETE"),
        ("path" = Option<String>, Query, description = "What the path begins with"),
        ("requestId" = Option<String>, Query, description = "The request's `X-Request-Id`"),
        ("since" = Option<String>, Query, description = "Answered at or after this instant"),
        ("until" = Option<String>, Query, description = "Answered before this instant"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 100, description = "Rows of a page; default 20"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<LoggedRequestView>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Page<LoggedRequestView>> {
    caller.needs(Scope::SettingsRead)?;
    let tenant = caller.tenant();
    let (limit, cursor, filter) = query::read(query.as_deref(), |q| {
        let text = |name: &'static str| q.text(name).chars(1..=FILTER_LIMIT).owned().optional();
        let wrong = || Refusal::new("invalid_value", "must be a status such as 404, or a class such as 4xx");
        let filter = Filter {
            principal: text("key"),
            status: q.text("status").parse(|text| status(&text).ok_or_else(wrong)).optional(),
            method: q.one_of("method", &METHODS).optional().map(str::to_owned),
            path: text("path"),
            request_id: text("requestId"),
            since: instant(q.text("since")),
            until: instant(q.text("until")),
        };
        (q.limit(), q.cursor(tenant.0, LIST), filter)
    })?;
    let before = cursor.map(|cursor| cursor.id);
    let (rows, more) = hub.db.read(move |read| requests::list(read, tenant, &filter, before, limit)).await?;
    let next_cursor = more.map(|id| Cursor { key: 0, id }.encode(tenant.0, LIST));
    Ok(Page { has_more: more.is_some(), data: rows.into_iter().map(LoggedRequestView::from).collect(), next_cursor })
}
