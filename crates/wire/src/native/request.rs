//! The request log on `/v1`.

use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::ids::RequestLogId;
use tieline_core::requests::Entry;
use utoipa::ToSchema;

/// One request that was made with a credential of the tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LoggedRequest)]
pub struct LoggedRequestView {
    #[schema(value_type = String, example = "log_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<RequestLogId>,
    /// When it was answered.
    timestamp: Instant,
    /// Who made it: the id of an API key, a user or an inbox.
    #[schema(example = "key_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    key: String,
    #[schema(example = "GET")]
    method: String,
    /// The route's template.
    #[schema(example = "/v1/conversations/{id}")]
    route: String,
    /// The path, without its query.
    path: String,
    status: i64,
    /// From the head of the request to the head of the answer.
    duration_ms: f64,
    /// As in `X-Request-Id`.
    request_id: String,
    /// Where it came from.
    #[schema(required)]
    address: Option<String>,
    /// The first 16 KiB, secrets masked; null unless the tenant keeps bodies.
    #[schema(required)]
    request_body: Option<String>,
    /// The first 16 KiB, secrets masked; null unless the tenant keeps bodies.
    #[schema(required)]
    response_body: Option<String>,
}

impl From<Entry> for LoggedRequestView {
    fn from(entry: Entry) -> Self {
        LoggedRequestView {
            id: Shown(RequestLogId::from_uuid(entry.id)),
            timestamp: Instant(entry.at),
            key: entry.principal,
            method: entry.method,
            route: entry.route,
            path: entry.path,
            status: entry.status,
            duration_ms: entry.duration_us as f64 / 1000.0,
            request_id: entry.request_id,
            address: entry.address,
            request_body: entry.request_body,
            response_body: entry.response_body,
        }
    }
}
