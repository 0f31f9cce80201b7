//! `GET /v1/audit`: who changed what of the tenant's settings and people.

use super::Result;
use super::shared::refusal;
use crate::caller::Caller;
use crate::http::cursor::Cursor;
use crate::http::query;
use crate::http::reply::Page;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use tieline_core::audit::{self, Filter};
use tieline_core::keys::scopes::Scope;
use tieline_core::time::Micros;
use tieline_wire::native::audit::AuditEntryView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Name of the list, for its cursors.
const LIST: &str = "audit";
/// Longest text of a filter, characters.
const FILTER_LIMIT: usize = 255;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list))
}

/// List administrative changes
///
/// Newest first, and kept: of keys, users, teams, inboxes, webhooks, bots, rules, custom fields and the tenant, through any
/// dialect or the command line. Users and the plan belong to the live tenant: a test key does not see them.
#[utoipa::path(get, path = "/v1/audit", tag = "Account",
    operation_id = "list_audit",
    security(("key" = ["settings:read"])),
    params(("subject" = Option<String>, Query, description = "Id of what was changed"),
        ("actor" = Option<String>, Query, description = "Id of the key, user or bot that changed it"),
        ("since" = Option<String>, Query, description = "At or after this instant"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 100, description = "Rows of a page; default 20"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<AuditEntryView>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Page<AuditEntryView>> {
    caller.needs(Scope::SettingsRead)?;
    let tenant = caller.tenant();
    let (limit, cursor, filter) = query::read(query.as_deref(), |q| {
        let text = |name: &'static str| q.text(name).chars(1..=FILTER_LIMIT).owned().optional();
        let since = q.text("since").parse(|text| Micros::parse(&text, "").map_err(refusal)).optional();
        let filter = Filter { subject: text("subject"), actor: text("actor"), since: since.map(|since| since.0) };
        (q.limit(), q.cursor(tenant.0, LIST), filter)
    })?;
    let before = cursor.map(|cursor| cursor.id);
    let rows = hub.db.read(move |read| audit::list(read, tenant, &filter, before, limit as i64 + 1)).await?;
    let has_more = rows.len() > limit;
    let rows = &rows[..rows.len().min(limit)];
    let last = rows.last().filter(|_| has_more);
    let next_cursor = last.map(|row| Cursor { key: 0, id: row.id }.encode(tenant.0, LIST));
    Ok(Page { has_more, data: rows.iter().map(AuditEntryView::from).collect(), next_cursor })
}
