//! API keys on `/v1` (contract A2).

use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::ids::KeyId;
use tieline_core::keys::Key;
use utoipa::ToSchema;

/// A key of a program. Its text is shown only when it is made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
pub struct ApiKeyView {
    #[schema(value_type = String, example = "key_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<KeyId>,
    name: String,
    #[schema(required)]
    description: Option<String>,
    /// Its first characters, to tell keys apart.
    #[schema(example = "sa_live_4f9K")]
    prefix: String,
    /// `production` or `sandbox`.
    #[schema(pattern = "^(production|sandbox)$")]
    environment: &'static str,
    scopes: Vec<&'static str>,
    is_active: bool,
    /// When it stops by itself.
    #[schema(required)]
    expires_at: Option<Instant>,
    /// Up to a minute late.
    #[schema(required)]
    last_used_at: Option<Instant>,
    created_at: Instant,
    updated_at: Instant,
}

impl From<&Key> for ApiKeyView {
    fn from(key: &Key) -> Self {
        ApiKeyView {
            id: Shown(key.id),
            name: key.name.clone(),
            description: key.description.clone(),
            environment: if key.prefix.contains("_test_") { "sandbox" } else { "production" },
            prefix: key.prefix.clone(),
            scopes: key.scopes.granted().map(|scope| scope.name()).collect(),
            is_active: key.is_active,
            expires_at: key.expires_at.map(Instant),
            last_used_at: key.last_used_at.map(Instant),
            created_at: Instant(key.created_at),
            updated_at: Instant(key.updated_at),
        }
    }
}

/// A key with its text: the only time it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKeyWithText)]
pub struct ApiKeyWithText {
    /// The key's properties.
    #[serde(flatten)]
    pub properties: ApiKeyView,
    /// The key itself; keep it, it is not shown again.
    #[schema(example = "sa_live_4f9KqLz0R8vYw2bN6tXc1mPd7sHg3jUe0aBcDe")]
    pub key: String,
}
