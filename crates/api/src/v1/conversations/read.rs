//! Reading conversations.

use super::super::Result;
use crate::caller::Caller;
use crate::http::cursor::Cursor;
use crate::http::query;
use crate::http::reply::{Json, Page};
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use tieline_core::contacts;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::{Engagement, Status};
use tieline_core::conversations::{self, AgentFilter, Conversation, Filter, Sort};
use tieline_core::error::Error;
use tieline_core::ids::{ConversationId, UserId};
use tieline_core::keys::scopes::Scope;
use tieline_core::time::Micros;
use tieline_wire::native::conversation::ConversationView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// A page of conversations.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of `Page`
pub struct ConversationPage {
    data: Vec<ConversationView<'static>>,
    /// Whether another page follows.
    has_more: bool,
    /// What to send as `cursor` for the next page; null on the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Show a conversation
#[utoipa::path(get, path = "/v1/conversations/{id}", tag = "Conversations",
    operation_id = "get_conversation",
    security(("key" = ["conversations:read"])),
    params(("id" = String, Path, description = "Its id, `conv_…`")),
    responses((status = 200, description = "The conversation", body = ConversationView<'static>)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(ConversationId,)>) -> Result<Response> {
    caller.needs(Scope::ConversationsRead)?;
    let tenant = caller.tenant();
    let found = hub.db.read(move |read| conversations::get(read, tenant, id)).await?;
    Ok(Json(ConversationView::of(&found)).into_response())
}

/// What the query asks for.
struct Asked {
    filter: Filter,
    reference: Option<String>,
    sort: Sort,
    limit: usize,
    after: Option<Cursor>,
}

/// List conversations
///
/// Newest first. Several filters must all hold. `externalReference` finds the one conversation that has it, or none.
#[utoipa::path(get, path = "/v1/conversations", tag = "Conversations",
    operation_id = "list_conversations",
    security(("key" = ["conversations:read"])),
    params(
        ("status" = Option<String>, Query, description = "`active`, `snoozed`, `done` or `archived`"),
        ("channel" = Option<String>, Query, description = "Kind of transport, e.g. `email`"),
        ("teamId" = Option<String>, Query, description = "The team whose queue it is in"),
        ("agentId" = Option<String>, Query, description = "The agent who has it; `none` for nobody"),
        ("contactId" = Option<String>, Query, description = "The customer"),
        ("tag" = Option<String>, Query, description = "A slug it carries"),
        ("engagement" = Option<String>, Query, description = "`pending` or `engaged`"),
        ("externalReference" = Option<String>, Query, description = "Your key for it"),
        ("inboxId" = Option<String>, Query, description = "The inbox it came through"),
        ("updatedSince" = Option<String>, Query, description = "Changed at or after this instant"),
        ("sort" = Option<String>, Query, description = "`updated` (default) or `created`"),
        ("limit" = Option<i64>, Query, description = "Rows of a page, 1 to 100; default 20"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = ConversationPage)))]
async fn list(State(hub): State<Hub>, caller: Caller, RawQuery(text): RawQuery) -> Result<Response> {
    caller.needs(Scope::ConversationsRead)?;
    let tenant = caller.tenant();
    let Asked { filter, reference, sort, limit, after } = asked(text.as_deref(), tenant.0)?;
    let after = after.map(|cursor| (cursor.key, cursor.id));
    let rows = hub.db.read(move |read| {
        let contact = filter.contact.map(|id| contacts::resolve(read, tenant, id)).transpose()?;
        let filter = Filter { contact, ..filter };
        match reference {
            Some(reference) => {
                let found = conversations::by_reference(read, tenant, &reference)?;
                Ok::<Vec<_>, Error>(found.into_iter().filter(|found| filter.admits(found)).collect())
            }
            None => conversations::list(read, tenant, &filter, sort, after, limit as i64 + 1),
        }
    });
    let rows = rows.await?;
    let cursor = |row: &&Conversation| {
        let key = if sort == Sort::Updated { row.updated_at } else { row.created_at };
        Cursor { key, id: row.id.0 }.encode(tenant.0, list_name(sort))
    };
    Ok(Json(Page::of(rows.iter().collect(), limit, cursor, ConversationView::of)).into_response())
}

fn list_name(sort: Sort) -> &'static str {
    match sort {
        Sort::Updated => "conversations:updated",
        Sort::Created => "conversations:created",
    }
}

fn asked(text: Option<&str>, tenant: i64) -> std::result::Result<Asked, Error> {
    query::read(text, |query| {
        let sort = query.one_of("sort", &[("updated", Sort::Updated), ("created", Sort::Created)]).or(Sort::Updated);
        let statuses = Status::ALL.map(|status| (status.as_str(), status));
        let channels = Channel::ALL.map(|channel| (channel.as_str(), channel));
        let engagements = [("pending", Engagement::Pending), ("engaged", Engagement::Engaged)];
        let agent = query.text("agentId").parse(|text| match text.as_ref() {
            "none" => Ok(AgentFilter::Unassigned),
            text => text
                .parse::<UserId>()
                .map(AgentFilter::Assigned)
                .map_err(|_| "must be an id such as usr_…, or none for nobody"),
        });
        Asked {
            filter: Filter {
                status: query.one_of("status", &statuses).optional(),
                channel: query.one_of("channel", &channels).optional(),
                team: query.id("teamId").optional(),
                agent: agent.optional(),
                contact: query.id("contactId").optional(),
                tag: query.text("tag").chars(1..=64).owned().optional(),
                engagement: query.one_of("engagement", &engagements).optional(),
                inbox: query.id("inboxId").optional(),
                updated_since: query
                    .text("updatedSince")
                    .parse(|text| Micros::parse(&text, "").map_err(super::refusal))
                    .map(|at| at.0)
                    .optional(),
            },
            reference: query.text("externalReference").chars(1..=255).owned().optional(),
            sort,
            limit: query.limit(),
            after: query.cursor(tenant, list_name(sort)),
        }
    })
}
