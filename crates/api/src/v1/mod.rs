//! The native dialect: `/v1`. A handler is about ten lines and holds no rule.

pub mod api_keys;
pub mod attachments;
pub mod audit;
pub mod automations;
pub mod contacts;
pub mod conversations;
pub mod custom_fields;
pub mod deliveries;
pub mod events;
pub mod inbox_health;
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

pub(crate) use crate::once::{created, once, replayed, respond};

use crate::http::error::Failure;
use crate::hub::Hub;
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
        .merge(audit::router())
        .merge(automations::router())
        .merge(contacts::router())
        .merge(custom_fields::router())
        .merge(inboxes::router())
        .merge(inbox_health::router())
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
