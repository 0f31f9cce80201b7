//! Inboxes on `/v1`.

use super::shared::{self, name, nullable, parse_channel};
use super::{Result, created};
use crate::caller::Caller;
use crate::endpoints::{enabled, header_prefix, new_secret};
use crate::http::fields::{self, Field, Patch, Refusal};
use crate::http::reply::{Json, NoContent, Page};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use std::borrow::Cow;
use tieline_core::conversations::channel::Channel;
use tieline_core::error::Error;
use tieline_core::ids::InboxId;
use tieline_core::inboxes::{self, Hook, Inbox, Made};
use tieline_core::keys::scopes::Scope;
use tieline_core::webhooks::Format;
use tieline_delivery::egress::EgressPolicy;
use tieline_wire::native::inbox::InboxView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest display name, characters.
const NAME_LIMIT: usize = 100;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

/// An inbox to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `create` reads
pub struct CreateInboxRequest {
    #[schema(min_length = 1, max_length = 100, example = "Marketplace")]
    name: String,
    #[schema(example = "api", pattern = "^(email|messenger|sms|phone|voice|whatsapp|webchat|amazon|api|instagram)$")]
    channel: String,
    /// A public https address; the events of this inbox are posted there. The endpoint does not count into `maxWebhooks`.
    #[schema(max_length = 2048)]
    webhook_url: Option<String>,
    /// The team that owns what lands here.
    team_id: Option<String>,
}

/// Changes of an inbox; null clears.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct UpdateInboxRequest {
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Another address keeps the secret; null removes the endpoint.
    #[schema(max_length = 2048)]
    webhook_url: Option<String>,
    team_id: Option<String>,
}

fn url<'o>(field: Field<'o, Cow<'_, str>>, policy: &EgressPolicy) -> Field<'o, String> {
    field.parse(|url| match policy.check_url(&url) {
        Ok(_) => Ok(url.into_owned()),
        Err(refusal) => {
            Err(Refusal::new(refusal.code, format!("is refused: {}", refusal.detail.trim_end_matches('.'))))
        }
    })
}

/// The endpoint behind an inbox's own webhook; its address is resolved only for a request that is right in itself.
/// Answers it with the text of its secret.
async fn hook(hub: &Hub, caller: &Caller, url: String) -> std::result::Result<(Hook, String), Error> {
    enabled(caller)?;
    let refused =
        |refusal: tieline_delivery::egress::Refusal| Error::field("/webhookUrl", refusal.code, refusal.detail);
    hub.guard.check_at_save(&url).await.map_err(refused)?;
    let (text, secret, secret_prefix) = new_secret(hub)?;
    Ok((
        Hook {
            url,
            format: Format::Native,
            header_prefix: header_prefix(Format::Native).to_owned(),
            secret,
            secret_prefix,
        },
        text,
    ))
}

/// List inboxes
///
/// Newest first. A native channel gets its inbox when its first conversation arrives.
#[utoipa::path(get, path = "/v1/inboxes", tag = "Inboxes",
    operation_id = "list_inboxes",
    security(("key" = ["channels:read"])), params(shared::ListParams),
    responses((status = 200, description = "A page", body = Page<InboxView>)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(query): RawQuery) -> Result<Page<InboxView>> {
    caller.needs(Scope::ChannelsRead)?;
    let id = |inbox: &Inbox| inbox.id.0;
    shared::list_by_id(&hub, caller.tenant(), "inboxes", query.as_deref(), inboxes::list, id, |inbox| inbox.into())
        .await
}

/// Create an inbox
///
/// With a `webhookUrl` it gets a webhook endpoint of its own, whose secret is in this answer only.
#[utoipa::path(post, path = "/v1/inboxes", tag = "Inboxes",
    operation_id = "create_inbox",
    security(("key" = ["channels:write"])), request_body = CreateInboxRequest,
    responses((status = 201, description = "Created", body = InboxView)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::ChannelsWrite)?;
    let (mut command, url) = fields::read(&body.0, |body| {
        let command = inboxes::Create {
            name: name(body.string("name"), NAME_LIMIT).required(),
            channel: body.string("channel").parse(parse_channel).required_or_blank(Channel::default),
            team: body.id("teamId").optional(),
            ..inboxes::Create::default()
        };
        (command, url(body.string("webhookUrl"), hub.guard.policy()).optional())
    })?;
    let mut secret = String::new();
    if let Some(url) = url {
        let (hook, text) = hook(&hub, &caller, url).await?;
        (command.hook, secret) = (Some(hook), text);
    }
    let render = |made: &Made, secret: &str| {
        let secret = made.new_hook.then(|| secret.to_owned());
        created(format!("/v1/inboxes/{}", made.inbox.id), &InboxView::of(&made.inbox, secret))
    };
    let verb = move |tx: &mut tieline_db::Tx, ctx: &_| inboxes::create(tx, ctx, &command);
    shared::once_with_secret(&hub, &caller, &body.0, ("webhookSecret", secret), render, verb).await
}

/// Show an inbox
#[utoipa::path(get, path = "/v1/inboxes/{id}", tag = "Inboxes",
    operation_id = "get_inbox",
    security(("key" = ["channels:read"])), params(("id" = String, Path)),
    responses((status = 200, description = "The inbox", body = InboxView)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(InboxId,)>) -> Result<Json<InboxView>> {
    caller.needs(Scope::ChannelsRead)?;
    let tenant = caller.tenant();
    let inbox = hub.db.read(move |read| inboxes::get(read, tenant, id)).await?;
    Ok(Json((&inbox).into()))
}

/// Change an inbox
///
/// A `webhookUrl` where there was none makes an endpoint; its secret is in this answer only.
#[utoipa::path(patch, path = "/v1/inboxes/{id}", tag = "Inboxes",
    operation_id = "update_inbox",
    security(("key" = ["channels:write"])), params(("id" = String, Path)),
    request_body = UpdateInboxRequest, responses((status = 200, description = "Changed", body = InboxView)))]
async fn update(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(InboxId,)>,
    body: JsonBody,
) -> Result<Json<InboxView>> {
    caller.needs(Scope::ChannelsWrite)?;
    let (mut command, url) = fields::read(&body.0, |body| {
        let command = inboxes::Update {
            name: name(body.string("name"), NAME_LIMIT).not_null().optional(),
            team: nullable(body.id("teamId").patch()),
            hook: None,
            channel: body.string("channel").parse(parse_channel).not_null().optional(),
        };
        (command, url(body.string("webhookUrl"), hub.guard.policy()).patch())
    })?;
    let mut secret = String::new();
    command.hook = match url {
        Patch::Keep => None,
        Patch::Clear => Some(None),
        Patch::Set(url) => {
            let (hook, text) = hook(&hub, &caller, url).await?;
            secret = text;
            Some(Some(hook))
        }
    };
    let ctx = caller.ctx();
    let made = hub.db.write(move |tx| inboxes::update(tx, &ctx, id, &command)).await?;
    Ok(Json(InboxView::of(&made.inbox, made.new_hook.then_some(secret))))
}

/// Delete an inbox
///
/// Only one without conversations; an inbox that has some is 409 `inbox_in_use`.
#[utoipa::path(delete, path = "/v1/inboxes/{id}", tag = "Inboxes",
    operation_id = "delete_inbox",
    security(("key" = ["channels:write"])), params(("id" = String, Path)),
    responses((status = 204, description = "Deleted")))]
async fn delete(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(InboxId,)>) -> Result<NoContent> {
    caller.needs(Scope::ChannelsWrite)?;
    let ctx = caller.ctx();
    hub.db.write(move |tx| inboxes::delete(tx, &ctx, id)).await?;
    Ok(NoContent)
}
