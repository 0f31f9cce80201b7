//! Inboxes on `/v1`.

use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::ids::{EndpointId, InboxId, TeamId};
use tieline_core::inboxes::Inbox;
use utoipa::ToSchema;

/// A configured instance of a channel.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Inbox)]
pub struct InboxView {
    #[schema(value_type = String, example = "inb_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<InboxId>,
    name: String,
    #[schema(example = "api")]
    channel: &'static str,
    /// Its name in URLs of clients without a key; not guessable.
    identifier: String,
    /// The team that owns what lands here.
    #[schema(required, value_type = Option<String>)]
    team_id: Option<Shown<TeamId>>,
    /// Where the events of this inbox are posted.
    #[schema(required)]
    webhook_url: Option<String>,
    /// The webhook endpoint behind `webhookUrl`.
    #[schema(required, value_type = Option<String>)]
    webhook_id: Option<Shown<EndpointId>>,
    /// `whsec_…`, only in the answer that made the endpoint; keep it, it is not shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_secret: Option<String>,
    created_at: Instant,
    updated_at: Instant,
}

impl InboxView {
    /// The view of `inbox`; the secret only where its endpoint was made just now.
    pub fn of(inbox: &Inbox, webhook_secret: Option<String>) -> Self {
        let (webhook_id, webhook_url) = inbox.webhook.clone().unzip();
        InboxView {
            id: Shown(inbox.id),
            name: inbox.name.clone(),
            channel: inbox.channel.as_str(),
            identifier: inbox.identifier.clone(),
            team_id: inbox.team.map(Shown),
            webhook_url,
            webhook_id: webhook_id.map(Shown),
            webhook_secret,
            created_at: Instant(inbox.created_at),
            updated_at: Instant(inbox.updated_at),
        }
    }
}

impl From<&Inbox> for InboxView {
    fn from(inbox: &Inbox) -> Self {
        InboxView::of(inbox, None)
    }
}
