//! The native dialect: `/v1`. A handler is about ten lines and holds no rule.

pub mod api_keys;
pub mod attachments;
pub mod contacts;
pub mod conversations;
pub mod custom_fields;
pub mod deliveries;
pub mod events;
pub mod inboxes;
pub mod me;
pub mod messages;
pub mod problem;
pub mod request_log;
mod shared;
pub mod stream;
pub mod tags;
pub mod teams;
pub mod tenant;
pub mod users;
pub mod webhooks;

use crate::caller::Caller;
use crate::http::error::Failure;
use crate::http::reply::RawJson;
use crate::hub::Hub;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tieline_core::ctx::Ctx;
use tieline_core::idempotency::{self, Answer, Reply};
use tieline_db::Tx;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// What a handler of this dialect answers.
pub type Result<T> = std::result::Result<T, Failure>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tieline API",
        description = "Customer conversations in, signed replies out. Send your key as `Authorization: Bearer <key>`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(problem::Problem, problem::ProblemField))
)]
struct Document;

/// The routes of `/v1` and the document that describes them.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(attachments::router())
        .merge(conversations::router())
        .merge(api_keys::router())
        .merge(contacts::router())
        .merge(custom_fields::router())
        .merge(inboxes::router())
        .merge(me::router())
        .merge(messages::router())
        .merge(request_log::router())
        .merge(tags::router())
        .merge(teams::router())
        .merge(tenant::router())
        .merge(users::router())
        .merge(deliveries::router())
        .merge(events::router())
        .merge(stream::router())
        .merge(webhooks::router())
}

/// An answer that was given before.
pub(crate) fn replayed(answer: Answer) -> Response {
    const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = RawJson { status, body: answer.body.into() }.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(location) = answer.location.and_then(|location| HeaderValue::try_from(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The bytes of a 201, to be kept for a repeated request.
pub(crate) fn created(location: String, view: &impl serde::Serialize) -> Answer {
    Answer { status: 201, location: Some(location), body: serde_json::to_vec(view).unwrap_or_default() }
}

/// An answer given now.
pub(crate) fn respond(answer: Answer) -> Response {
    let mut response = replayed(answer);
    response.headers_mut().remove("idempotent-replayed");
    response
}

/// Runs a single verb under the request's `Idempotency-Key`, if there is one, and answers with what `answer` writes.
pub(crate) async fn once<O: Send + 'static>(
    hub: &Hub,
    caller: &Caller,
    body: &[u8],
    answer: fn(&O) -> Answer,
    verb: impl Fn(&mut Tx, &Ctx) -> tieline_core::Result<O> + Send + 'static,
) -> Result<Response> {
    let (ctx, once) = (caller.ctx(), caller.once(body, answer));
    let reply = hub.db.write(move |tx| idempotency::once(tx, ctx.tenant, once.as_ref(), |tx| verb(tx, &ctx))).await?;
    Ok(match reply {
        Reply::Done(done) => respond(answer(&done)),
        Reply::Replayed(answer) => replayed(answer),
    })
}
