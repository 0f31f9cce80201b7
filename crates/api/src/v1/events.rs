//! The durable feed: `/v1/events`, every event of the tenant for 30 days, oldest first.

use super::Result;
use crate::caller::Caller;
use crate::endpoints::event_name;
use crate::http::cursor::Cursor;
use crate::http::fields::Refusal;
use crate::http::query::{self, Query};
use crate::http::reply::Page;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;
use tieline_core::error::{Error, Kind};
use tieline_core::events::{Stored, feed};
use tieline_core::ids::{EventId, TenantId};
use tieline_core::keys::scopes::Scope;
use tieline_core::webhooks::Format;
use tieline_db::Read;
use tieline_wire::native::event::body;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Name of the list, for its cursors.
const LIST: &str = "events";
/// Events read at once.
const SCAN: i64 = 500;
/// Reads by one request: a filter that fits little answers a short page with `hasMore`.
const SCANS: usize = 20;
/// Names of events in one `types`.
const MAX_TYPES: usize = 50;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list))
}

/// An event, in the feed, in the stream and on a webhook.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct EventEnvelope {
    #[schema(example = "evt_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: String,
    #[schema(example = "message.sent")]
    event: String,
    /// The same as `event`.
    #[schema(rename = "type")]
    kind: String,
    api_version: String,
    tenant_id: String,
    /// When it happened.
    #[schema(format = "date-time")]
    timestamp: String,
    /// Counts the events of one conversation; null without one.
    #[schema(required)]
    sequence: Option<i64>,
    /// On a webhook the last one sent to it; always null in the feed and in the stream, which leave nothing out.
    #[schema(required)]
    previous_sequence: Option<i64>,
    actor: EventActor,
    #[schema(required)]
    cause: Option<EventCause>,
    /// The state after, and what changed.
    #[schema(value_type = Object)]
    data: String,
}

/// Who did it.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct EventActor {
    /// `api_key`, `user`, `contact`, `automation` or `system`.
    #[schema(rename = "type")]
    kind: String,
    #[schema(required)]
    id: Option<String>,
    #[schema(required)]
    name: Option<String>,
}

/// What led to it.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct EventCause {
    #[schema(rename = "type")]
    kind: String,
    id: String,
}

/// A page of events.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct EventPage {
    data: Vec<EventEnvelope>,
    has_more: bool,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// After this position.
    Position(i64),
    /// After this event.
    Event(EventId),
}

impl After {
    /// Reads an event's id, or a cursor of the feed.
    pub(crate) fn parse(text: &str, tenant: TenantId) -> Option<After> {
        match text.parse() {
            Ok(id) => Some(After::Event(id)),
            Err(_) => Cursor::decode(text, tenant.0, LIST).map(|cursor| After::Position(cursor.key)),
        }
    }
    /// The position.
    ///
    /// Errors: `event_expired`.
    pub(crate) fn position(self, read: &mut Read, tenant: TenantId) -> std::result::Result<i64, Error> {
        match self {
            After::Position(position) => Ok(position),
            After::Event(id) => feed::position_of(read, tenant, id)?.ok_or_else(|| {
                let detail = "There is no such event any more: events are kept for 30 days. Start again without after.";
                Error::new(Kind::NotFound, "event_expired", detail)
            }),
        }
    }
}

/// `after` of a query.
pub(crate) fn after(q: &Query, tenant: TenantId) -> Option<After> {
    let refusal = || Refusal::new("invalid_cursor", "must be an id such as evt_…, or a cursor of this list");
    q.text("after").parse(|text| After::parse(&text, tenant).ok_or_else(refusal)).optional()
}

/// `types` of a query: names separated by commas; empty for all.
pub(crate) fn types(q: &Query) -> Vec<String> {
    let parse = |text: std::borrow::Cow<str>| {
        let names: Vec<&str> = text.split(',').collect();
        if names.len() > MAX_TYPES {
            return Err(Refusal::new("too_many", format!("may name at most {MAX_TYPES} events")));
        }
        names.into_iter().map(|name| event_name(Format::Native, name)).collect::<std::result::Result<Vec<_>, _>>()
    };
    q.text("types").parse(parse).optional().unwrap_or_default()
}

/// Whether an event of this name is asked for: without types, what an endpoint for `*` hears.
pub(crate) fn asked_for(types: &[String], name: &str) -> bool {
    let hears = |one: &str| Format::Native.hears(one, name);
    if types.is_empty() { hears("*") } else { types.iter().any(|one| hears(one)) }
}

/// List events
///
/// Oldest first, kept for 30 days; the order is the one in which changes became visible. Go on with `nextCursor`, or at any
/// later time with `after` = the last id you have. A page may be short, or empty, and still have more.
#[utoipa::path(get, path = "/v1/events", tag = "Events",
    operation_id = "list_events",
    security(("key" = ["events:read"])),
    params(("after" = Option<String>, Query, description = "Id of an event, or a cursor: only what came after it"),
        ("types" = Option<String>, Query, description = "Names of events, separated by commas; default all"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 100, description = "Rows of a page; default 20"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, description = "A page", body = EventPage)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response> {
    caller.needs(Scope::EventsRead)?;
    let tenant = caller.tenant();
    let (limit, cursor, after, types) =
        query::read(query.as_deref(), |q| (q.limit(), q.cursor(tenant.0, LIST), after(q, tenant), types(q)))?;
    if cursor.is_some() && after.is_some() {
        return Err(Error::field("after", "not_allowed", "after and cursor say the same; give one of them.").into());
    }
    let after = cursor.map(|cursor| After::Position(cursor.key)).or(after);
    let (events, more) = hub
        .db
        .read(move |read| {
            let from = after.map_or(Ok(0), |after| after.position(read, tenant))?;
            scan(read, tenant, from, &types, limit)
        })
        .await?;
    let show = |event: &Stored| RawValue::from_string(body(event, None)).map_err(Error::internal);
    let data = events.iter().map(show).collect::<std::result::Result<Vec<_>, _>>()?;
    let next_cursor = more.map(|key| Cursor { key, id: uuid::Uuid::nil() }.encode(tenant.0, LIST));
    Ok(Page { data, has_more: more.is_some(), next_cursor }.into_response())
}

/// Up to `limit` events after a position, and where to go on if there may be more.
fn scan(
    read: &mut Read,
    tenant: TenantId,
    mut from: i64,
    types: &[String],
    limit: usize,
) -> std::result::Result<(Vec<Stored>, Option<i64>), Error> {
    let mut found: Vec<Stored> = Vec::new();
    for _ in 0..SCANS {
        // Without a filter one row more than the page tells whether another page follows.
        let rows = if types.is_empty() { limit as i64 + 1 } else { SCAN };
        let events = feed::of_tenant(read, tenant, from, rows)?;
        let full = events.len() as i64 == rows;
        for event in events {
            if found.len() == limit {
                return Ok((found, Some(from)));
            }
            from = event.position;
            if asked_for(types, &event.name) {
                found.push(event);
            }
        }
        if !full {
            return Ok((found, None));
        }
    }
    Ok((found, Some(from)))
}
