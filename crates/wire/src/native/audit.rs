//! Administrative changes on `/v1`.

use super::{Instant, Shown};
use serde::Serialize;
use serde_json::Value;
use tieline_core::audit::Entry;
use tieline_core::ids::AuditId;
use utoipa::ToSchema;

/// A change of the tenant's settings or people.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub struct AuditEntryView {
    #[schema(value_type = String, example = "aud_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<AuditId>,
    timestamp: Instant,
    /// Who did it: `type` (`api_key`, `user`, `bot`, `system`), `id` and `name`. What the operator does is `system`,
    /// named by the way in: the command line with the login that its shell tells, or setting up.
    #[schema(value_type = Object)]
    actor: Value,
    /// What was done.
    #[schema(example = "team.updated")]
    action: String,
    /// To what, by its id.
    #[schema(example = "team_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    subject: String,
    /// What of it; never a secret.
    #[schema(value_type = Object)]
    detail: Value,
    /// The request that led to it, by its `X-Request-Id`; null for what no request led to.
    #[schema(required, value_type = Option<Object>)]
    cause: Option<Value>,
    /// The client's address; null for what no request led to.
    #[schema(required, example = "203.0.113.9")]
    address: Option<String>,
}

impl From<&Entry> for AuditEntryView {
    fn from(entry: &Entry) -> Self {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
        AuditEntryView {
            id: Shown(AuditId::from_uuid(entry.id)),
            timestamp: Instant(entry.at),
            actor: json(&entry.actor),
            action: entry.action.clone(),
            subject: entry.subject.clone(),
            detail: json(&entry.detail),
            cause: entry.cause.as_deref().map(json),
            address: entry.address.clone(),
        }
    }
}
