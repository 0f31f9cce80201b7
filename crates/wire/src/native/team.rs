//! Teams on `/v1`.

use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::ids::{TeamId, UserId};
use tieline_core::teams::Team;
use utoipa::ToSchema;

/// A queue of conversations and the people who work on it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Team)]
pub struct TeamView {
    #[schema(value_type = String, example = "team_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<TeamId>,
    /// Unique per tenant.
    name: String,
    #[schema(required)]
    description: Option<String>,
    /// Users.
    #[schema(value_type = Vec<String>)]
    member_ids: Vec<Shown<UserId>>,
    /// Whether new conversations land here when their inbox has no team.
    is_default: bool,
    assignment: AssignmentView,
    created_at: Instant,
    updated_at: Instant,
}

/// How conversations of a team find their agent.
#[derive(Serialize, ToSchema)]
#[schema(as = TeamAssignment)]
pub struct AssignmentView {
    /// `manual`, `round_robin` or `least_loaded`.
    #[schema(example = "round_robin")]
    mode: &'static str,
    /// Open conversations up to which an agent gets more; null for any number.
    #[schema(required)]
    capacity: Option<i64>,
}

impl From<&Team> for TeamView {
    fn from(team: &Team) -> Self {
        TeamView {
            id: Shown(team.id),
            name: team.name.clone(),
            description: team.description.clone(),
            member_ids: team.members.iter().copied().map(Shown).collect(),
            is_default: team.is_default,
            assignment: AssignmentView { mode: team.mode.as_str(), capacity: team.capacity },
            created_at: Instant(team.created_at),
            updated_at: Instant(team.updated_at),
        }
    }
}
