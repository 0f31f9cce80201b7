//! Changing conversations: merge-patch, tags, merging.

use super::super::{Result, once};
use super::refusal;
use crate::caller::Caller;
use crate::http::fields::{self, Patch, Refusal};
use crate::http::reply::{Json, NoContent};
use crate::http::request::{JsonBody, Path};
use crate::hub::Hub;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{self, Conversation, Merge, Update, Updated};
use tieline_core::error::Error;
use tieline_core::fields::validate::FIELDS_LIMIT;
use tieline_core::idempotency::Answer;
use tieline_core::ids::ConversationId;
use tieline_core::keys::scopes::Scope;
use tieline_core::metadata;
use tieline_core::time::Micros;
use tieline_wire::native::conversation::ConversationView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(patch)).routes(routes!(tag, untag)).routes(routes!(merge))
}

/// What to change; what is missing stays, null clears.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `update` reads
pub struct UpdateConversationRequest {
    #[schema(nullable = false, pattern = "^(active|snoozed|done|archived)$")]
    status: Option<String>,
    /// With the status `snoozed`: when it wakes up.
    #[schema(format = "date-time")]
    snoozed_until: Option<String>,
    #[schema(min_length = 1, max_length = 998)]
    subject: Option<String>,
    assigned_team_id: Option<String>,
    assigned_agent_id: Option<String>,
    /// Values by key; null clears one, unknown keys come back as `ignoredCustomFields`.
    #[schema(nullable = false, value_type = Option<Object>)]
    custom_fields: Option<Map<String, Value>>,
    /// Merged into what is stored (RFC 7396); at most 16 KiB and 50 keys.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// A conversation after a change, and what of the request was passed over.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatedView<'a> {
    #[serde(flatten)]
    conversation: ConversationView<'a>,
    /// Keys that name no custom field of the tenant.
    ignored_custom_fields: &'a [String],
}

/// Change a conversation
///
/// A merge-patch: status, snooze, subject, assignment, custom fields, metadata. What is as asked already changes nothing.
#[utoipa::path(patch, path = "/v1/conversations/{id}", tag = "Conversations",
    operation_id = "update_conversation",
    security(("key" = ["conversations:write"])),
    params(("id" = String, Path, description = "Its id, `conv_…`")), request_body = UpdateConversationRequest,
    responses((status = 200, description = "Changed", body = UpdatedView<'static>)))]
async fn patch(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ConversationId,)>,
    body: JsonBody,
) -> Result<Response> {
    caller.needs(Scope::ConversationsWrite)?;
    let (ctx, command) = (caller.ctx(), update(id, &body.0)?);
    let Updated { conversation, ignored_fields } =
        hub.db.write(move |tx| conversations::update(tx, &ctx, &command)).await?;
    let conversation = ConversationView::of(&conversation);
    Ok(Json(UpdatedView { conversation, ignored_custom_fields: &ignored_fields }).into_response())
}

/// A patch as the core says it.
fn cleared<T>(patch: Patch<T>) -> Option<Option<T>> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(None),
        Patch::Set(value) => Some(Some(value)),
    }
}

fn update(id: ConversationId, bytes: &[u8]) -> std::result::Result<Update, Error> {
    let statuses = Status::ALL.map(|status| (status.as_str(), status));
    fields::read(bytes, |body| {
        let metadata = body.raw("metadata").parse(|raw: &RawValue| {
            metadata::check(raw, "").map_err(refusal)?;
            Ok::<_, Refusal>(raw.get().to_owned())
        });
        let until = body.string("snoozedUntil").parse(|text| Micros::parse(&text, "").map_err(refusal));
        let custom_fields = body.raw("customFields").not_null().object(FIELDS_LIMIT).tree();
        Update {
            conversation: id,
            status: body.one_of("status", &statuses).not_null().optional(),
            snoozed_until: cleared(until.map(|at| at.0).patch()),
            subject: cleared(body.string("subject").chars(1..=998).owned().patch()),
            team: cleared(body.id("assignedTeamId").patch()),
            agent: cleared(body.id("assignedAgentId").patch()),
            custom_fields: match custom_fields.optional() {
                Some(Value::Object(values)) => values,
                _ => Map::new(),
            },
            metadata: cleared(metadata.patch()),
        }
    })
}

async fn set_tag(hub: &Hub, caller: &Caller, id: ConversationId, slug: String, on: bool) -> Result<Conversation> {
    caller.needs_any(&[Scope::ConversationsWrite, Scope::TagsWrite])?;
    let ctx = caller.ctx();
    Ok(hub.db.write(move |tx| conversations::set_tag(tx, &ctx, id, &slug, on)).await?)
}

/// Tag a conversation
///
/// Once or many times, the effect is the same.
#[utoipa::path(put, path = "/v1/conversations/{id}/tags/{slug}", tag = "Conversations",
    operation_id = "tag_conversation",
    security(("key" = ["conversations:write"]), ("key" = ["tags:write"])),
    params(("id" = String, Path, description = "The conversation's id"), ("slug" = String, Path, description = "The tag's slug")),
    responses((status = 200, description = "It carries the tag", body = ConversationView<'static>)))]
async fn tag(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, slug)): Path<(ConversationId, String)>,
) -> Result<Response> {
    let conversation = set_tag(&hub, &caller, id, slug, true).await?;
    Ok(Json(ConversationView::of(&conversation)).into_response())
}

/// Take a tag off a conversation
///
/// Once or many times, the effect is the same.
#[utoipa::path(delete, path = "/v1/conversations/{id}/tags/{slug}", tag = "Conversations",
    operation_id = "untag_conversation",
    security(("key" = ["conversations:write"]), ("key" = ["tags:write"])),
    params(("id" = String, Path, description = "The conversation's id"), ("slug" = String, Path, description = "The tag's slug")),
    responses((status = 204, description = "It does not carry the tag")))]
async fn untag(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id, slug)): Path<(ConversationId, String)>,
) -> Result<NoContent> {
    set_tag(&hub, &caller, id, slug, false).await?;
    Ok(NoContent)
}

/// Where to merge to.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct MergeRequest {
    /// The conversation that gets the messages; of the same contact.
    #[schema(example = "conv_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    into: String,
}

fn merged(primary: &Conversation) -> Answer {
    let body = serde_json::to_vec(&ConversationView::of(primary)).unwrap_or_default();
    Answer { status: 200, location: None, body }
}

/// Merge a conversation into another
///
/// Its messages move there, its tags are added there. It becomes done and points to the other; what is written to it later
/// lands on the other, which becomes active where the customer waited in an active one. There is no way back.
#[utoipa::path(post, path = "/v1/conversations/{id}/merge", tag = "Conversations",
    operation_id = "merge_conversation",
    security(("key" = ["conversations:write"])),
    params(("id" = String, Path, description = "The conversation whose messages move")), request_body = MergeRequest,
    responses((status = 200, description = "The conversation that got the messages", body = ConversationView<'static>)))]
async fn merge(
    State(hub): State<Hub>,
    caller: Caller,
    Path((id,)): Path<(ConversationId,)>,
    body: JsonBody,
) -> Result<Response> {
    caller.needs(Scope::ConversationsWrite)?;
    let command = fields::read(&body.0, |body| Merge { conversation: id, into: body.id("into").required() })?;
    once(&hub, &caller, &body.0, merged, move |tx, ctx| conversations::merge(tx, ctx, &command)).await
}
