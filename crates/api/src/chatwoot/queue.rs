//! Lists of conversations: by where they stand, by conditions, by what was said in them.

use super::Result;
use super::agent::Agent;
use super::conversations::standing;
use super::filter::{self, Numbers};
use super::params::Params;
use super::view::View;
use crate::http::reply::Json;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use serde_json::{Value, json};
use std::collections::HashSet;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{self, AgentFilter, Conversation, Counts, Queue, Sight, Standing};
use tieline_core::error::Error;
use tieline_core::fields::{self, validate::Entity};
use tieline_core::ids::{ConversationId, TenantId};
use tieline_core::messages::direction::Direction;
use tieline_core::messages::{self, Message};
use tieline_core::tags::slug;
use tieline_core::{inboxes, teams};
use tieline_db::Read;

/// Conversations of a page.
const PAGE: i64 = 25;
/// Conversations that a search of texts finds at most.
pub(super) const FOUND: usize = 500;

/// Slugs of the labels that a query asks for. One that no slug can be made from is nobody's.
pub(super) fn labels(params: &Params) -> Vec<String> {
    let slug = |label: &String| slug::of_label(label).unwrap_or_else(|| label.replace(' ', "-"));
    params.texts("labels").iter().filter(|label| !label.trim().is_empty()).map(slug).collect()
}

/// What a query asks for.
struct Asked {
    standing: Standing,
    whose: Option<AgentFilter>,
    is_assigned: bool,
    queue: Queue,
    page: i64,
    /// What was said, in lower case.
    text: Option<Said>,
}

enum Said {
    /// By anybody.
    Text(String),
    /// In a note that calls this user.
    Mention(String),
}

impl Said {
    fn is_in(&self, message: &Message) -> bool {
        match self {
            Said::Text(needle) => {
                message.direction != Direction::Activity && message.text.to_lowercase().contains(needle)
            }
            Said::Mention(link) => message.direction == Direction::Note && message.text.contains(link),
        }
    }
}

fn asked(read: &mut Read, agent: &Agent, params: &Params) -> tieline_core::Result<Asked> {
    let tenant = agent.account();
    let needle = params.word("q").map(|text| text.to_lowercase());
    // A search of texts looks at every status.
    let word = params.word("status").filter(|_| needle.is_none());
    let word = word.unwrap_or_else(|| if needle.is_some() { "all" } else { "open" }.into());
    let unknown = || Error::field("/status", "invalid_value", "status is open, resolved, pending, snoozed or all");
    let (statuses, is_held) = standing(&word).ok_or_else(unknown)?;
    // Forms send 0 for what nobody filled in.
    let named = |name: &str| params.number(name).filter(|number| *number != 0);
    let inbox = named("inbox_id").map(|number| inboxes::by_number(read, tenant, number)).transpose()?;
    let team = named("team_id").map(|number| teams::by_number(read, tenant, number)).transpose()?;
    let kind = params.word("conversation_type");
    let whose = match params.word("assignee_type").as_deref() {
        Some("me") => Some(AgentFilter::Assigned(agent.user.id)),
        Some("unassigned") => Some(AgentFilter::Unassigned),
        _ => None,
    };
    let within = params.number("updated_within").map(|seconds| seconds.max(0).saturating_mul(1_000_000));
    Ok(Asked {
        standing: Standing {
            statuses,
            is_held,
            inbox: inbox.map(|inbox| inbox.id),
            team: team.map(|team| team.id),
            tags: labels(params),
            source_id: params.word("source_id"),
            updated_after: within.map(|within| read.now().saturating_sub(within)),
            is_unattended: kind.as_deref() == Some("unattended"),
            viewer: agent.viewer(),
            follower: (kind.as_deref() == Some("participating")).then_some(agent.user.id),
        },
        whose,
        is_assigned: params.word("assignee_type").as_deref() == Some("assigned"),
        queue: match params.word("sort_by").as_deref() {
            Some("last_activity_at_asc") => Queue::Oldest,
            Some("created_at_asc" | "sort_on_created_at") => Queue::Created,
            Some("created_at_desc") => Queue::Newest,
            Some("priority_asc") => Queue::Priority,
            Some("priority_desc" | "sort_on_priority") => Queue::PriorityDown,
            Some("waiting_since_asc" | "sort_on_waiting_since") => Queue::Waiting,
            Some("waiting_since_desc") => Queue::WaitingDown,
            Some("unread") => Queue::Unread,
            _ => Queue::Latest,
        },
        page: params.page(),
        text: match (needle, kind.as_deref()) {
            (Some(needle), _) => Some(Said::Text(needle)),
            (None, Some("mention")) => Some(Said::Mention(format!("mention://user/{}/", agent.user.number))),
            _ => None,
        },
    })
}

impl Asked {
    fn is_theirs(&self, v: &Conversation) -> bool {
        match self.whose {
            Some(AgentFilter::Assigned(id)) => v.agent == Some(id),
            Some(AgentFilter::Unassigned) => v.agent.is_none(),
            None => !self.is_assigned || v.agent.is_some(),
        }
    }

    /// The page and the counts, and whether a search looked at everything.
    fn answer(&self, read: &mut Read, agent: &Agent) -> tieline_core::Result<(Vec<Conversation>, Value)> {
        let tenant = agent.account();
        let Some(said) = &self.text else {
            let pages = (self.page, PAGE);
            let list =
                conversations::page(read, tenant, &self.standing, self.whose, self.is_assigned, self.queue, pages)?;
            return Ok((list, meta(conversations::counts(read, tenant, &self.standing, agent.user.id)?)));
        };
        let (found, is_all) = saying(read, tenant, |message| said.is_in(message))?;
        let sight = Sight::of(read, tenant, self.standing.viewer)?;
        let ids: Vec<ConversationId> = found.iter().map(|message| message.conversation).collect();
        let mut list = conversations::known(read, tenant, &ids)?;
        list.retain(|v| self.standing.admits(v, &sight));
        if let Some(user) = self.standing.follower {
            let mut followed = Vec::with_capacity(list.len());
            for v in list {
                if v.agent == Some(user) || conversations::participants(read, tenant, v.id)?.contains(&user) {
                    followed.push(v);
                }
            }
            list = followed;
        }
        let mut meta = meta(Counts::of(&list, agent.user.id));
        meta["complete"] = is_all.into();
        list.retain(|v| self.is_theirs(v));
        self.queue.sort(&mut list);
        Ok((cut(list, self.page, PAGE), meta))
    }
}

/// The page of a list in hand.
pub(super) fn cut<T>(list: Vec<T>, page: i64, size: i64) -> Vec<T> {
    list.into_iter().skip(((page - 1) * size) as usize).take(size as usize).collect()
}

/// The last message of each conversation that says something, last written first, at most [`FOUND`]; and whether all were
/// looked at.
pub(super) fn saying(
    read: &mut Read,
    tenant: TenantId,
    says: impl Fn(&Message) -> bool,
) -> tieline_core::Result<(Vec<Message>, bool)> {
    let mut seen = HashSet::new();
    messages::seek(read, tenant, FOUND, |message| says(message) && seen.insert(message.conversation))
}

fn meta(counts: Counts) -> Value {
    json!({
        "mine_count": counts.mine,
        "assigned_count": counts.assigned,
        "unassigned_count": counts.all - counts.assigned,
        "all_count": counts.all,
    })
}

pub async fn counts(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let params = Params::of_query(query.as_deref());
    let counted = hub.db.read(move |read| {
        let asked = asked(read, &agent, &params)?;
        match asked.text {
            Some(_) => Ok::<_, Error>(asked.answer(read, &agent)?.1),
            None => Ok(meta(conversations::counts(read, agent.account(), &asked.standing, agent.user.id)?)),
        }
    });
    Ok(Json(json!({"meta": counted.await?})))
}

pub async fn list(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let (params, scene) = (Params::of_query(query.as_deref()), agent.scene());
    let body = hub.db.read(move |read| {
        let (list, meta) = asked(read, &agent, &params)?.answer(read, &agent)?;
        Ok::<_, Error>(json!({"data": {"meta": meta, "payload": scene.view().conversations(read, &list)?}}))
    });
    Ok(Json(body.await?))
}

/// Conversations by conditions: the last changed first, among as many as one search looks at; `meta.complete` says whether
/// those were all.
pub async fn filter(
    State(hub): State<Hub>,
    agent: Agent,
    RawQuery(query): RawQuery,
    body: Params,
) -> Result<Json<Value>> {
    let (params, scene, tenant) = (Params::of_query(query.as_deref()), agent.scene(), agent.account());
    let custom = hub.db.read(move |read| fields::definitions(read, tenant, Entity::Conversation)).await?;
    let conditions = filter::conditions(body.raw("payload"), &filter::OF_CONVERSATIONS, &custom)?;
    let answer = hub.db.read(move |read| {
        let now = read.now();
        let sight = Sight::of(read, tenant, agent.viewer())?;
        let numbers = Numbers::of(read, tenant, agent.tenant.live())?;
        let (first, mut counts) = ((params.page() - 1) * PAGE, Counts::default());
        let (page, is_all) = conversations::seek(read, tenant, status(&conditions), conversations::SEARCH_SCAN, |v| {
            let is_met = sight.covers(v.inbox, v.team) && filter::meets(&conditions, &(v, &numbers), now);
            if !is_met {
                return false;
            }
            counts.all += 1;
            counts.assigned += i64::from(v.agent.is_some());
            counts.mine += i64::from(v.agent == Some(agent.user.id));
            counts.all > first && counts.all <= first + PAGE
        })?;
        let mut meta = meta(counts);
        meta["complete"] = is_all.into();
        Ok::<_, Error>(json!({"meta": meta, "payload": scene.view().conversations(read, &page)?}))
    });
    Ok(Json(answer.await?))
}

/// The one status that all conversations must have that meet the conditions, if there is such.
fn status(conditions: &[filter::Condition]) -> Option<Status> {
    match standing(filter::forced(conditions, "status")?)?.0.as_slice() {
        [status] => Some(*status),
        _ => None,
    }
}

/// A conversation as a search shows it, with the messages that were found in it.
pub(super) fn hit(
    read: &mut Read,
    view: &mut View,
    account: i64,
    v: &Conversation,
    found: &[Message],
) -> tieline_core::Result<Value> {
    let inbox = view.inbox_of(read, v.inbox)?;
    let messages = found.iter().filter(|message| message.conversation == v.id).map(|message| {
        json!({
            "id": message.number,
            "content": message.text,
            "sender_name": message.author_name,
            "message_type": tieline_wire::chatwoot::message::message_type(message.direction),
            "created_at": tieline_wire::chatwoot::seconds(message.sent_at),
        })
    });
    Ok(json!({
        "id": v.number,
        "uuid": v.id.0.to_string(),
        "created_at": tieline_wire::chatwoot::seconds(v.created_at),
        "contact": {"id": v.contact.number, "name": v.contact.name},
        "inbox": {
            "id": inbox.number,
            "name": inbox.name,
            "channel_type": tieline_wire::chatwoot::inbox::channel_type(inbox.channel),
        },
        "messages": messages.collect::<Vec<Value>>(),
        "account_id": account,
    }))
}

/// Conversations in which something was said, each with the last message that says it.
pub async fn search(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let params = Params::of_query(query.as_deref());
    let (scene, account) = (agent.scene(), agent.account().0);
    let body = hub.db.read(move |read| {
        let mut asked = asked(read, &agent, &params)?;
        let needle = params.word("q").unwrap_or_default().to_lowercase();
        if needle.is_empty() {
            return Ok::<_, Error>(json!({"meta": meta(Counts::default()), "payload": []}));
        }
        asked.text = Some(Said::Text(needle.clone()));
        let (list, meta) = asked.answer(read, &agent)?;
        let said = Said::Text(needle);
        let (found, _) = saying(read, scene.tenant, |message| said.is_in(message))?;
        let mut view = scene.view();
        let payload: tieline_core::Result<Vec<Value>> =
            list.iter().map(|v| hit(read, &mut view, account, v, &found)).collect();
        Ok(json!({"meta": meta, "payload": payload?}))
    });
    Ok(Json(body.await?))
}
