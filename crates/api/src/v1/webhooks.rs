//! Webhook endpoints on `/v1` (contract A6, D4).

use super::{Result, created, replayed, respond};
use crate::caller::Caller;
use crate::http::cursor::Cursor;
use crate::http::fields::{self, Field, Object, Patch, Refusal};
use crate::http::query;
use crate::http::reply::{Json, NoContent, Page};
use crate::http::request::{AnyBody, JsonBody, Path};
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tieline_core::error::{Error, Kind};
use tieline_core::events::NAMES;
use tieline_core::idempotency::{self, Answer, Reply};
use tieline_core::ids::{EndpointId, InboxId};
use tieline_core::keys::scopes::Scope;
use tieline_core::secrets::Keyring;
use tieline_core::webhooks::{self, CreateEndpoint, Endpoint, Format, RotateSecret, UpdateEndpoint};
use tieline_delivery::egress::EgressPolicy;
use tieline_delivery::{SECRET_CONTEXT, sign};
use tieline_wire::native::webhook::{MissedView, RotatedView, WebhookChanged, WebhookView, WebhookWithSecret};
use tieline_wire::native::{Instant, Shown};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Characters of a secret that are shown later.
const SECRET_SHOWN: usize = 12;
/// Longest time for which the secret before a rotation signs too, seconds (contract D4).
const MAX_OVERLAP_SECONDS: i64 = 604_800;
const DEFAULT_OVERLAP_SECONDS: i64 = 86_400;
/// Context in which a kept answer that shows a secret may be opened.
const ANSWER_CONTEXT: &str = "idempotent_answer";
/// Name of the list, for its cursors.
const LIST: &str = "webhooks";

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, replace, remove))
        .routes(routes!(rotate_secret))
}

/// A webhook endpoint to add.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `request` reads
pub struct CreateWebhookRequest {
    #[schema(min_length = 1, max_length = 100, example = "Order system")]
    name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// A public https address.
    #[schema(max_length = 2048, example = "https://example.com/tieline")]
    url: String,
    /// Names of events, or `*` for all.
    #[schema(min_items = 1, example = json!(["message.sent"]))]
    events: Vec<String>,
    /// Default `native`.
    #[schema(pattern = "^native$")]
    format: Option<String>,
    /// What replaces `X-Tieline` in header names; starts with `X-`.
    #[schema(max_length = 40)]
    header_prefix: Option<String>,
    /// Default 10.
    #[schema(minimum = 1, maximum = 10)]
    max_attempts: Option<i64>,
    /// Only events of these inboxes.
    #[schema(max_items = 100)]
    inbox_ids: Option<Vec<String>>,
}

/// A webhook endpoint's members to change; what is not mentioned stays.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct UpdateWebhookRequest {
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Null clears it.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// A public https address.
    #[schema(max_length = 2048)]
    url: Option<String>,
    /// Names of events, or `*` for all.
    #[schema(min_items = 1)]
    events: Option<Vec<String>>,
    /// False cancels what waits. True forgets failures, and what waits is due at once.
    is_active: Option<bool>,
    #[schema(minimum = 1, maximum = 10)]
    max_attempts: Option<i64>,
    /// Only events of these inboxes; null for all.
    #[schema(max_items = 100)]
    inbox_ids: Option<Vec<String>>,
    /// What replaces `X-Tieline` in header names; starts with `X-`.
    #[schema(max_length = 40)]
    header_prefix: Option<String>,
}

/// How a secret is replaced.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct RotateSecretRequest {
    /// For so long both secrets sign. Default a day; 0 for not at all.
    #[schema(minimum = 0, maximum = 604_800)]
    expire_previous_in_seconds: Option<i64>,
}

/// A page of webhook endpoints.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct WebhookPage {
    data: Vec<WebhookView<'static>>,
    has_more: bool,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// A new secret and where it is in place. What is kept for a repeated request is sealed: the database never holds it in
/// clear.
struct WithSecret {
    endpoint: Endpoint,
    secret: String,
    previous_until: i64,
    keyring: Arc<Keyring>,
    nonce: [u8; 12],
}

impl WithSecret {
    fn sealed(&self, answer: Answer) -> Answer {
        let body = self.keyring.seal(&answer.body, ANSWER_CONTEXT, self.nonce);
        Answer { body: body.unwrap_or_default(), ..answer }
    }
}

fn with_secret(done: &WithSecret) -> Answer {
    let view = WebhookWithSecret { webhook: WebhookView::of(&done.endpoint), secret: done.secret.clone() };
    created(format!("/v1/webhooks/{}", done.endpoint.id), &view)
}

fn rotated(done: &WithSecret) -> Answer {
    let view = RotatedView {
        id: Shown(done.endpoint.id),
        secret: &done.secret,
        previous_secret_expires_at: Instant(done.previous_until),
    };
    Answer { status: 200, location: None, body: serde_json::to_vec(&view).unwrap_or_default() }
}

/// The answer of now, or the kept one opened.
fn reveal(hub: &Hub, reply: Reply<WithSecret>, show: fn(&WithSecret) -> Answer) -> Result<Response> {
    Ok(match reply {
        Reply::Done(done) => respond(show(&done)),
        Reply::Replayed(answer) => replayed(Answer { body: hub.keyring.open(&answer.body, ANSWER_CONTEXT)?, ..answer }),
    })
}

/// Refuses a tenant whose plan has no webhooks.
pub(crate) fn enabled(caller: &Caller) -> std::result::Result<(), Error> {
    if caller.principal().tenant.plan.has_webhooks {
        return Ok(());
    }
    Err(Error::new(Kind::Forbidden, "webhooks_disabled", "Webhooks are switched off for this tenant."))
}

/// Add a webhook endpoint
///
/// It gets the events that happen from now on. The secret is in this answer only.
#[utoipa::path(post, path = "/v1/webhooks", tag = "Webhooks", request_body = CreateWebhookRequest,
    responses((status = 201, description = "Added", body = WebhookWithSecret<'static>)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let secret = sign::generate_secret(hub.random()?);
    let command = request(&hub, &body.0, &secret).await?;
    let (ctx, once) = (caller.ctx(), caller.once(&body.0, |done: &WithSecret| done.sealed(with_secret(done))));
    let (keyring, nonce) = (hub.keyring.clone(), hub.random()?);
    let reply = hub
        .db
        .write(move |tx| {
            idempotency::once(tx, ctx.tenant, once.as_ref(), |tx| {
                let endpoint = webhooks::create(tx, &ctx, &command)?;
                let (secret, keyring) = (secret.clone(), keyring.clone());
                Ok(WithSecret { endpoint, secret, previous_until: 0, keyring, nonce })
            })
        })
        .await?;
    reveal(&hub, reply, with_secret)
}

/// List webhook endpoints
///
/// Newest first.
#[utoipa::path(get, path = "/v1/webhooks", tag = "Webhooks",
    params(("limit" = Option<i64>, Query, minimum = 1, maximum = 100, description = "Rows of a page; default 20"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before")),
    responses((status = 200, description = "A page", body = WebhookPage)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksRead)?;
    let tenant = caller.tenant();
    let (limit, cursor) = query::read(query.as_deref(), |q| (q.limit(), q.cursor(tenant.0, LIST)))?;
    let after = cursor.map(|cursor| EndpointId::from_uuid(cursor.id));
    let rows = hub.db.read(move |read| webhooks::list(read, tenant, after, limit as i64 + 1)).await?;
    let cursor = |row: &Endpoint| Cursor { key: row.created_at, id: row.id.0 }.encode(tenant.0, LIST);
    let page = Page::of(rows, limit, cursor, |row| row);
    let data = page.data.iter().map(WebhookView::of).collect();
    Ok(Page { data, has_more: page.has_more, next_cursor: page.next_cursor }.into_response())
}

/// Show a webhook endpoint
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "Webhooks", params(("id" = String, Path, description = "`wh_…`")),
    responses((status = 200, description = "The endpoint", body = WebhookView<'static>)))]
async fn show(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(EndpointId,)>) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksRead)?;
    let tenant = caller.tenant();
    let endpoint = hub.db.read(move |read| webhooks::get(read, tenant, id)).await?;
    Ok(Json(WebhookView::of(&endpoint)).into_response())
}

/// Change a webhook endpoint
///
/// A merge-patch: what is not mentioned stays, null clears. `isActive: false` cancels what waits. `isActive: true` forgets
/// failures, closes the breaker and makes what waits due at once; events from then on are delivered, and
/// `missedEvents` says how many a replay would bring back.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "Webhooks", params(("id" = String, Path, description = "`wh_…`")),
    request_body = UpdateWebhookRequest,
    responses((status = 200, description = "Changed", body = WebhookChanged<'static>)))]
async fn update(hub: State<Hub>, caller: Caller, id: Path<(EndpointId,)>, body: JsonBody) -> Result<Response> {
    change(hub, caller, id, body).await
}

/// Change a webhook endpoint
///
/// The same as PATCH.
#[utoipa::path(put, path = "/v1/webhooks/{id}", tag = "Webhooks", params(("id" = String, Path, description = "`wh_…`")),
    request_body = UpdateWebhookRequest,
    responses((status = 200, description = "Changed", body = WebhookChanged<'static>)))]
async fn replace(hub: State<Hub>, caller: Caller, id: Path<(EndpointId,)>, body: JsonBody) -> Result<Response> {
    change(hub, caller, id, body).await
}

async fn change(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(EndpointId,)>,
    body: JsonBody,
) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let command = update_request(&hub, &body.0).await?;
    let ctx = caller.ctx();
    let (endpoint, switched_on) = hub.db.write(move |tx| webhooks::update(tx, &ctx, id, &command)).await?;
    let missed = match switched_on {
        true => {
            let endpoint = endpoint.clone();
            hub.db.read(move |read| webhooks::missed(read, &endpoint)).await?
        }
        false => None,
    };
    let missed_events = missed.as_ref().map(MissedView::of);
    Ok(Json(WebhookChanged { webhook: WebhookView::of(&endpoint), missed_events }).into_response())
}

/// Delete a webhook endpoint
///
/// Nothing more is sent; its deliveries are gone with it.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "Webhooks",
    params(("id" = String, Path, description = "`wh_…`")), responses((status = 204, description = "Deleted")))]
async fn remove(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(EndpointId,)>) -> Result<NoContent> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let ctx = caller.ctx();
    hub.db.write(move |tx| webhooks::delete(tx, &ctx, id)).await?;
    Ok(NoContent)
}

/// Replace the signing secret
///
/// Until `previousSecretExpiresAt` every delivery is signed with both. The new secret is in this answer only.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate-secret", tag = "Webhooks",
    params(("id" = String, Path, description = "`wh_…`")), request_body = Option<RotateSecretRequest>,
    responses((status = 200, description = "The new secret", body = RotatedView<'static>)))]
async fn rotate_secret(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(EndpointId,)>,
    body: AnyBody,
) -> Result<Response> {
    enabled(&caller)?;
    caller.needs(Scope::WebhooksWrite)?;
    let seconds = fields::read(or_empty(&body.0), |body| {
        body.integer("expirePreviousInSeconds").within(0..=MAX_OVERLAP_SECONDS).or(DEFAULT_OVERLAP_SECONDS)
    })?;
    let secret = sign::generate_secret(hub.random()?);
    let command = RotateSecret {
        id,
        secret: hub.keyring.seal(secret.as_bytes(), SECRET_CONTEXT, hub.random()?)?,
        secret_prefix: secret.chars().take(SECRET_SHOWN).collect(),
        overlap_us: seconds * 1_000_000,
    };
    let (ctx, once) = (caller.ctx(), caller.once(&body.0, |done: &WithSecret| done.sealed(rotated(done))));
    let (keyring, nonce) = (hub.keyring.clone(), hub.random()?);
    let reply = hub
        .db
        .write(move |tx| {
            idempotency::once(tx, ctx.tenant, once.as_ref(), |tx| {
                let endpoint = webhooks::rotate(tx, &ctx, &command)?;
                let (secret, keyring) = (secret.clone(), keyring.clone());
                Ok(WithSecret { endpoint, secret, previous_until: tx.now() + command.overlap_us, keyring, nonce })
            })
        })
        .await?;
    reveal(&hub, reply, rotated)
}

/// What replaces `X-Tieline` where a request does not say.
pub(crate) const HEADER_PREFIX: &str = sign::DEFAULT_HEADER_PREFIX;

/// A new signing secret: its text, what is stored of it, and what is shown of it later.
pub(crate) fn new_secret(hub: &Hub) -> std::result::Result<(String, Vec<u8>, String), Error> {
    let text = sign::generate_secret(hub.random()?);
    let sealed = hub.keyring.seal(text.as_bytes(), SECRET_CONTEXT, hub.random()?)?;
    let prefix = text.chars().take(SECRET_SHOWN).collect();
    Ok((text, sealed, prefix))
}

/// Reads a webhook's events: known names, or `*`.
pub(crate) fn event_name(name: &str) -> std::result::Result<String, Refusal> {
    if name == "*" || NAMES.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(Refusal::new("invalid_value", "is no event; GET /docs lists them, and * stands for all"))
    }
}

/// A body that may be left out.
fn or_empty(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() { b"{}" } else { bytes }
}

fn url_field<'o>(body: &'o Object<'_, '_>, policy: &EgressPolicy) -> Field<'o, String> {
    body.string("url").parse(|url| match policy.check_url(&url) {
        Ok(_) => Ok(url.into_owned()),
        Err(refusal) => {
            Err(Refusal::new(refusal.code, format!("is refused: {}", refusal.detail.trim_end_matches('.'))))
        }
    })
}

fn events_field<'o>(body: &'o Object<'_, '_>) -> Field<'o, Vec<String>> {
    let events = body.list("events", 50, |event| event.string().parse(|name| event_name(&name)).required());
    events.at_least(1).map(|mut events| {
        events.sort();
        events.dedup();
        events
    })
}

fn inboxes_field<'o>(body: &'o Object<'_, '_>) -> Field<'o, Vec<InboxId>> {
    body.list("inboxIds", 100, |id| id.string().id().required()).at_least(1)
}

fn prefix_field<'o>(body: &'o Object<'_, '_>) -> Field<'o, String> {
    body.string("headerPrefix").parse(|text| sign::HeaderPrefix::parse(&text).map(|_| text.into_owned()))
}

/// Names are resolved only for a request that is right in itself.
async fn check_name(hub: &Hub, url: &str) -> std::result::Result<(), Error> {
    let refused = |refusal: tieline_delivery::egress::Refusal| {
        Error::field("/url", refusal.code, format!("url is refused: {}", refusal.detail))
    };
    hub.guard.check_at_save(url).await.map(drop).map_err(refused)
}

async fn request(hub: &Hub, bytes: &[u8], secret: &str) -> std::result::Result<CreateEndpoint, Error> {
    let policy = hub.guard.policy();
    let mut command = fields::read(bytes, |body| CreateEndpoint {
        name: body.string("name").trimmed().chars(1..=100).owned().required(),
        description: body.string("description").chars(..=500).owned().optional(),
        url: url_field(body, policy).required(),
        events: events_field(body).required(),
        format: body.one_of("format", &[("native", Format::Native)]).or(Format::Native),
        header_prefix: prefix_field(body).optional().unwrap_or_else(|| sign::DEFAULT_HEADER_PREFIX.to_owned()),
        max_attempts: body.integer("maxAttempts").within(1..=10).or(10),
        inboxes: inboxes_field(body).optional(),
        secret: Vec::new(),
        secret_prefix: secret.chars().take(SECRET_SHOWN).collect(),
    })?;
    check_name(hub, &command.url).await?;
    command.secret = hub.keyring.seal(secret.as_bytes(), SECRET_CONTEXT, hub.random()?)?;
    Ok(command)
}

/// What a merge-patch says, as the verb wants it.
fn clearable<T>(patch: Patch<T>) -> Option<Option<T>> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(None),
        Patch::Set(value) => Some(Some(value)),
    }
}

async fn update_request(hub: &Hub, bytes: &[u8]) -> std::result::Result<UpdateEndpoint, Error> {
    let policy = hub.guard.policy();
    let command = fields::read(bytes, |body| UpdateEndpoint {
        name: body.string("name").trimmed().chars(1..=100).owned().not_null().optional(),
        description: clearable(body.string("description").chars(..=500).owned().patch()),
        url: url_field(body, policy).not_null().optional(),
        events: events_field(body).not_null().optional(),
        is_active: body.boolean("isActive").not_null().optional(),
        max_attempts: body.integer("maxAttempts").within(1..=10).not_null().optional(),
        inboxes: clearable(inboxes_field(body).patch()),
        header_prefix: prefix_field(body).not_null().optional(),
    })?;
    if let Some(url) = &command.url {
        check_name(hub, url).await?;
    }
    Ok(command)
}
