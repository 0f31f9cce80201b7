//! `GET /v1/inboxes/{id}/health`: why messages do not come in, and why answers do not go out.

use super::Result;
use crate::caller::Caller;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use tieline_core::deliveries::{self, Filter};
use tieline_core::error::Error;
use tieline_core::ids::InboxId;
use tieline_core::inboxes::{self, Called};
use tieline_core::keys::scopes::Scope;
use tieline_core::webhooks;
use tieline_wire::native::inbox_health::InboxHealthView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Deliveries that are shown.
const DELIVERIES: i64 = 20;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(health))
}

/// Show the health of an inbox
///
/// What was asked of it and why it was refused, on every surface, counted since it was made, and how the inbox's own
/// webhook does. A call shows up within a second or two; what was said is not kept here.
#[utoipa::path(get, path = "/v1/inboxes/{id}/health", tag = "Inboxes",
    operation_id = "get_inbox_health",
    security(("key" = ["channels:read"])),
    params(("id" = String, Path, description = "`inb_…`")),
    responses((status = 200, description = "Its health", body = InboxHealthView<'static>)))]
async fn health(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(InboxId,)>) -> Result<Response> {
    caller.needs(Scope::ChannelsRead)?;
    let tenant = caller.tenant();
    let found = hub.db.read(move |read| {
        let inbox = inboxes::get(read, tenant, id)?;
        let calls = inboxes::calls(read, Called::Inbox(tenant, id))?;
        let unknown = inboxes::calls(read, Called::Nobody)?;
        let webhook = match inbox.webhook {
            Some((endpoint, _)) => {
                let log = deliveries::log(read, tenant, endpoint, &Filter::default(), None, DELIVERIES)?;
                Some((webhooks::get(read, tenant, endpoint)?, log))
            }
            None => None,
        };
        Ok::<_, Error>((calls, unknown, webhook))
    });
    let (calls, unknown, webhook) = found.await?;
    let view = InboxHealthView::of(id, &calls, &unknown, webhook.as_ref());
    Ok(crate::http::reply::Json(view).into_response())
}
