//! Users on `/v1`.

use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::ids::UserId;
use tieline_core::users::User;
use utoipa::ToSchema;

/// A person of the tenant.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct UserView {
    #[schema(value_type = String, example = "usr_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<UserId>,
    /// Unique per tenant; never changes.
    email: String,
    name: String,
    #[schema(pattern = "^(owner|admin|agent)$")]
    role: &'static str,
    /// Whether they may sign in.
    is_active: bool,
    created_at: Instant,
    updated_at: Instant,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        UserView {
            id: Shown(user.id),
            email: user.email.clone(),
            name: user.name.clone(),
            role: user.role.as_str(),
            is_active: user.is_active,
            created_at: Instant(user.created_at),
            updated_at: Instant(user.updated_at),
        }
    }
}
