//! Conversations of the application API.

use super::Result;
use super::agent::Agent;
use super::contacts::reach;
use super::messages::{append, new_message};
use super::params::{Number, Params};
use super::refused::Refused;
use super::room::{self, Speaker};
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use tieline_core::bots;
use tieline_core::contact_inboxes;
use tieline_core::contacts;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{self, Amend, Conversation, Looker, OpenIn, Priority, Typing, Update};
use tieline_core::ctx::Ctx;
use tieline_core::error::{Error, Kind};
use tieline_core::{inboxes, teams, users};
use tieline_db::Tx;
use tieline_wire::chatwoot::{bot as bot_shapes, conversation as shapes, people};

type OfAccount = Path<(Number, Number)>;

/// Chatwoot's statuses: where a conversation stands, and whether a bot holds it.
pub(super) fn standing(word: &str) -> Option<(Vec<Status>, Option<bool>)> {
    Some(match word {
        "open" | "0" => (vec![Status::Active], Some(false)),
        "resolved" | "1" => (vec![Status::Done, Status::Archived], None),
        "pending" | "2" => (vec![Status::Active], Some(true)),
        "snoozed" | "3" => (vec![Status::Snoozed], None),
        "all" => (Vec::new(), None),
        _ => return None,
    })
}

/// Whether somebody began to write, or stopped; none for another word.
pub(super) fn typing_status(params: &Params) -> Option<bool> {
    match params.word("typing_status").as_deref() {
        Some("on") => Some(true),
        Some("off") => Some(false),
        _ => None,
    }
}

/// Puts a conversation where a word of Chatwoot's says.
pub(super) fn set_status(
    tx: &mut Tx,
    ctx: &Ctx,
    v: &Conversation,
    word: &str,
    until: Option<i64>,
) -> tieline_core::Result<Conversation> {
    let unknown = || Error::field("/status", "invalid_value", "status is open, resolved, pending or snoozed");
    let (statuses, is_held) = standing(word).filter(|(statuses, _)| !statuses.is_empty()).ok_or_else(unknown)?;
    let status = statuses[0];
    let is_there = statuses.contains(&v.status) && until.is_none();
    if !is_there {
        let snoozed_until = (status == Status::Snoozed).then_some(until);
        conversations::update(tx, ctx, &Update { status: Some(status), snoozed_until, ..Update::none(v.id) })?;
    }
    let held = Amend { is_held: Some(is_held.unwrap_or(false)), ..Amend::default() };
    conversations::amend(tx, ctx, v.id, &held)
}

/// When a snooze ends, microseconds; sent as unix seconds.
fn until(params: &Params) -> Option<i64> {
    params.number("snoozed_until").and_then(|seconds| seconds.checked_mul(1_000_000))
}

pub async fn create(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    let (scene, ctx, who) = (agent.scene(), agent.ctx(), agent.clone());
    let opening = params.clone();
    let opened = hub.db.write(move |tx| {
        let params = &opening;
        let inbox = match params.number("inbox_id") {
            Some(number) => Some(inboxes::by_number(tx, ctx.tenant, number)?),
            None => None,
        };
        let at = match (&inbox, params.number("contact_id")) {
            (Some(inbox), Some(number)) => {
                let contact = contacts::by_number(tx, ctx.tenant, number)?;
                let is_verified = params.truth("hmac_verified") == Some(true);
                reach(tx, &ctx, inbox, &contact, params.word("source_id"), is_verified)?
            }
            _ => {
                let source = params.word("source_id").unwrap_or_default();
                let found = match &inbox {
                    Some(inbox) => contact_inboxes::find(tx, ctx.tenant, inbox.id, &source)?,
                    None => contact_inboxes::find_anywhere(tx, ctx.tenant, &source)?,
                };
                found.ok_or_else(|| Error::not_found("contact inbox"))?
            }
        };
        who.sees(tx, at.inbox)?;
        let user = |tx: &mut Tx, number| users::by_number(tx, who.tenant.live(), number);
        let team = params.number("team_id").map(|number| teams::by_number(tx, ctx.tenant, number)).transpose()?;
        let assignee = params.number("assignee_id").filter(|number| *number != 0);
        let assignee = assignee.map(|number| user(tx, number)).transpose()?;
        // Whoever is not in the team does not get it.
        let outside = |id| team.as_ref().is_some_and(|team| !team.members.contains(&id));
        let object = |name: &str| Value::Object(params.object(name).unwrap_or_default()).to_string();
        let command = OpenIn {
            at,
            is_held: params.word("status").as_deref() == Some("pending"),
            team: team.as_ref().map(|team| team.id),
            agent: assignee.map(|user| user.id).filter(|id| !outside(*id)),
            priority: params.word("priority").as_deref().and_then(Priority::from_text),
            custom_fields: object("custom_attributes"),
            metadata: object("additional_attributes"),
        };
        let v = conversations::open_in(tx, &ctx, &command)?;
        match params.word("status").as_deref() {
            None | Some("pending") => Ok(v),
            Some("open") if !v.is_held => Ok(v),
            Some(word) => set_status(tx, &ctx, &v, word, until(params)),
        }
    });
    let mut v = opened.await?;
    let first = params.inner("message");
    if first.has("content") || first.has("attachments") {
        let message = new_message(&hub, &agent, &v, &first, false).await?;
        v = append(&hub, agent.ctx(), v.id, message).await?.conversation;
    }
    let view = hub.db.read(move |read| scene.view().conversation(read, &v));
    Ok(Json(view.await?))
}

pub async fn show(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let scene = agent.scene();
    let view = hub.db.read(move |read| {
        let v = agent.conversation(read, number.0)?;
        scene.view().conversation(read, &v)
    });
    Ok(Json(view.await?))
}

/// A priority as a request says it: none inside clears.
fn priority(params: &Params) -> Result<Option<Option<Priority>>> {
    if !params.has("priority") {
        return Ok(None);
    }
    let Some(word) = params.word("priority") else { return Ok(Some(None)) };
    match Priority::from_text(&word) {
        Some(priority) => Ok(Some(Some(priority))),
        None => Err(Refused::unprocessable(&format!("'{word}' is not a valid priority"))),
    }
}

async fn amended(hub: Hub, agent: Agent, number: i64, amend: Amend) -> Result<Conversation> {
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = agent.conversation(tx, number)?.id;
        conversations::amend(tx, &ctx, id, &amend)
    });
    Ok(done.await?)
}

pub async fn update(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let (scene, ctx, priority) = (agent.scene(), agent.ctx(), priority(&params)?);
    let set = params.object("custom_attributes");
    let view = hub.db.write(move |tx| {
        let v = agent.conversation(tx, number.0)?;
        // Set beside those there are: the whole list is replaced by a call of its own.
        let custom_fields = set.clone().map(|set| {
            let mut values =
                serde_json::from_str::<serde_json::Map<String, Value>>(&v.custom_fields).unwrap_or_default();
            values.extend(set);
            Value::Object(values).to_string()
        });
        let v = conversations::amend(tx, &ctx, v.id, &Amend { priority, custom_fields, ..Amend::default() })?;
        scene.view().conversation(tx, &v)
    });
    Ok(Json(view.await?))
}

pub async fn toggle_priority(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<StatusCode> {
    let amend = Amend { priority: Some(priority(&params)?.flatten()), ..Amend::default() };
    amended(hub, agent, number.0, amend).await?;
    Ok(StatusCode::OK)
}

pub async fn toggle_status(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let v = agent.conversation(tx, number.0)?;
        let word = params.word("status");
        if agent.bot.is_some() && v.is_held && word.as_deref() == Some("open") {
            return Ok((conversations::hand_off(tx, &ctx, v.id)?, true));
        }
        let word = word.as_deref().unwrap_or(if shapes::status(&v) == "open" { "resolved" } else { "open" });
        let mut after = set_status(tx, &ctx, &v, word, until(&params))?;
        // An agent who opens a conversation takes it on.
        if word == "open" && shapes::status(&v) != "open" && !agent.is_admin() {
            let take = Update { agent: Some(Some(agent.user.id)), ..Update::none(v.id) };
            after = conversations::update(tx, &ctx, &take)?.conversation;
        }
        Ok::<_, Error>((after, false))
    });
    let (v, is_hand_off) = done.await?;
    Ok(Json(json!({"meta": {}, "payload": {
        "success": if is_hand_off { Value::Null } else { true.into() },
        "conversation_id": v.number,
        "current_status": shapes::status(&v),
        "snoozed_until": v.snoozed_until.map(tieline_wire::chatwoot::iso),
    }})))
}

/// Whoever listens on `/cable` learns that somebody types, and the webhooks that ask for it.
pub async fn typing(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<StatusCode> {
    let (ctx, who) = (agent.ctx(), agent.clone());
    let is_private = params.truth("is_private").unwrap_or(false);
    let is_on = typing_status(&params);
    let told = hub.db.write(move |tx| {
        let conversation = who.conversation(tx, number.0)?.id;
        if let Some(is_on) = is_on {
            conversations::typing(tx, &ctx, &Typing { conversation, is_on, is_private })?;
        }
        Ok::<_, Error>(conversation)
    });
    let conversation = told.await?;
    if let Some(is_on) = is_on {
        let user = match &agent.bot {
            Some(bot) => bot_shapes::sender(bot),
            None => people::sender(&agent.scene().shown(agent.user.clone())),
        };
        room::typing(&hub, &agent.scene(), conversation, Speaker::User(agent.user.id), user, is_on, is_private).await?;
    }
    Ok(StatusCode::OK)
}

pub async fn assign(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let ctx = agent.ctx();
    let optional = |found: tieline_core::Result<users::User>| match found {
        Ok(user) => Ok(Some(user)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let done = hub.db.write(move |tx| {
        let v = agent.conversation(tx, number.0)?;
        if params.has("assignee_id") || !params.has("team_id") {
            let wanted = params.number("assignee_id").filter(|number| *number != 0);
            if let Some(number) = wanted.filter(|_| params.word("assignee_type").as_deref() == Some("AgentBot")) {
                let bot = bots::by_number(tx, ctx.tenant, number)?;
                let take = Amend { bot: Some(Some(bot.id)), ..Amend::default() };
                conversations::amend(tx, &ctx, v.id, &take)?;
                return Ok(Some(bot_shapes::slim(&bot)));
            }
            let user = match wanted {
                Some(number) => optional(users::by_number(tx, agent.tenant.live(), number))?,
                None => None,
            };
            let command = Update { agent: Some(user.as_ref().map(|user| user.id)), ..Update::none(v.id) };
            conversations::update(tx, &ctx, &command)?;
            let scene = agent.scene();
            return Ok::<_, Error>(user.map(|user| people::agent(&scene.shown(user), ctx.tenant.0)));
        }
        let team = match params.number("team_id").filter(|number| *number != 0) {
            Some(number) => Some(teams::by_number(tx, ctx.tenant, number)?),
            None => None,
        };
        let command = Update { team: Some(team.as_ref().map(|team| team.id)), ..Update::none(v.id) };
        conversations::update(tx, &ctx, &command)?;
        Ok(team.map(|team| people::raw_team(&team, ctx.tenant.0)))
    });
    Ok(Json(done.await?.unwrap_or(Value::Null)))
}

pub async fn labels(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let v = hub.db.read(move |read| agent.conversation(read, number.0)).await?;
    Ok(Json(json!({"payload": v.tags})))
}

pub async fn set_labels(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let amend = Amend { labels: Some(params.texts("labels")), ..Amend::default() };
    let v = amended(hub, agent, number.0, amend).await?;
    Ok(Json(json!({"payload": v.tags})))
}

pub async fn set_attributes(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let values = Value::Object(params.object("custom_attributes").unwrap_or_default());
    let amend = Amend { custom_fields: Some(values.to_string()), ..Amend::default() };
    amended(hub, agent, number.0, amend).await?;
    Ok(Json(json!({"custom_attributes": values})))
}

pub async fn seen(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let (scene, ctx) = (agent.scene(), agent.ctx());
    let view = hub.db.write(move |tx| {
        let id = agent.conversation(tx, number.0)?.id;
        let v = conversations::see(tx, &ctx, id, Looker::Agent)?;
        scene.view().conversation(tx, &v)
    });
    Ok(Json(view.await?))
}
