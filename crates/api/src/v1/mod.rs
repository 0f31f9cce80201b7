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
use tieline_core::keys::scopes::Scope;
use tieline_core::webhooks::Format;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// What a handler of this dialect answers.
pub type Result<T> = std::result::Result<T, Failure>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tieline API",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "Conversations", description = "What a customer and you talk about, with one status."),
        (name = "Messages", description = "What was said in a conversation, both ways, and notes that only you see."),
        (name = "Attachments"),
        (name = "Contacts", description = "Who writes to you, by email address, phone number or an id of your own."),
        (name = "Webhooks", description = "Addresses of yours that get events, signed and tried again until they arrive."),
        (name = "Events", description = "The same events to read when you like: a feed to go on in, and a stream."),
        (name = "Inboxes"),
        (name = "Teams"),
        (name = "Users"),
        (name = "Tags"),
        (name = "Custom fields"),
        (name = "Automations"),
        (name = "API keys"),
        (name = "Account")
    ),
    components(schemas(problem::Problem, problem::ProblemField))
)]
struct Document;

/// What holds for every operation, in the document's own words.
fn about() -> String {
    let listed = |names: Vec<&str>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let scopes = listed(Scope::ALL.iter().map(|scope| scope.name()).collect());
    let events = listed(Format::Native.events());
    format!(
        "Customer conversations in, signed replies out. Bodies are JSON in UTF-8, times are RFC 3339 in UTC, ids are opaque.\n\n\
         **Keys.** Send yours as `Authorization: Bearer <key>`. It works within one tenant, live or test, and each operation \
         names the scope that it needs; a scope to write includes the one to read. Scopes: {scopes}. Bundles that stand for \
         several: `basic`, `read_all`, `integration`, `full_access`.\n\n\
         **Failures** are problem documents (RFC 9457): go by `code`, and `errors` names every wrong field at once. \
         [All codes](/docs/errors). Every answer carries `X-Request-Id`; yours comes back, if it is short and plain.\n\n\
         **Doing it once.** With an `Idempotency-Key`, a repeated POST gets the first answer again, marked \
         `Idempotent-Replayed: true`. The body must be the same byte for byte, else it is 422. Refusals are not kept: mend the \
         request and send it under the same key.\n\n\
         **Lists** answer `data`, `hasMore` and `nextCursor`: give that as `cursor` for the next page. `limit` is 1 to 100, \
         else 20.\n\n\
         **Changes** are merge-patches: what is not named stays, null clears. Members that we do not know are passed \
         over; do the same with ours.\n\n\
         **Limits.** `X-RateLimit-Limit`, `-Remaining` and `-Reset` (seconds since 1970) say what is left of the minute. Over \
         it, 429 with `Retry-After`.\n\n\
         **Events** of webhooks, feed and stream: {events}. `*` stands for all."
    )
}

/// The routes of `/v1` and the document that describes them.
pub fn router() -> OpenApiRouter<Hub> {
    let mut document = Document::openapi();
    document.info.description = Some(about());
    OpenApiRouter::with_openapi(document)
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
