//! Inboxes and their members.

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params, invalid};
use super::people::active;
use super::refused::Refused;
use super::webhooks::checked_url;
use crate::endpoints::{header_prefix, new_short_secret};
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Map, Value, json};
use tieline_core::conversations::channel::Channel;
use tieline_core::error::Error;
use tieline_core::ids::UserId;
use tieline_core::inboxes::{self, Hook, Inbox, Settings};
use tieline_core::teams::CAPACITY_LIMIT;
use tieline_core::users;
use tieline_core::webhooks::{self, Format, RotateSecret};
use tieline_db::{Read, Tx};
use tieline_wire::chatwoot::inbox::KEPT;
use tieline_wire::chatwoot::{object, people as shapes};

/// Longest name.
const NAME_LIMIT: usize = 255;

type OfAccount = Path<(Number, Number)>;

pub async fn list(State(hub): State<Hub>, agent: Agent) -> Result<Json<Value>> {
    let scene = agent.scene();
    let list = hub.db.read(move |read| {
        let (mut view, visible) = (scene.view(), agent.inboxes(read)?);
        let mut found = inboxes::by_name(read, agent.account())?;
        found.retain(|inbox| visible.as_ref().is_none_or(|visible| visible.contains(&inbox.id)));
        found.iter().map(|inbox| view.inbox(read, inbox)).collect::<tieline_core::Result<Vec<Value>>>()
    });
    Ok(Json(json!({"payload": list.await?})))
}

/// The inbox of this number, if the user may see it.
fn visible(read: &mut Read, agent: &Agent, number: i64) -> tieline_core::Result<Inbox> {
    let inbox = inboxes::by_number(read, agent.account(), number)?;
    agent.sees(read, inbox.id)?;
    Ok(inbox)
}

pub async fn show(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let scene = agent.scene();
    let view = hub.db.read(move |read| {
        let inbox = visible(read, &agent, number.0)?;
        scene.view().inbox(read, &inbox)
    });
    Ok(Json(view.await?))
}

/// A number, perhaps as text.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The settings that a request changes, over those there are.
fn settings(params: &Params, channel: &Params, before: Option<&Inbox>) -> Settings {
    let stored = before.map_or_else(|| json!({}), |inbox| object(&inbox.settings));
    let mut kept = if let Value::Object(kept) = stored { kept } else { Map::new() };
    for (name, default) in KEPT {
        let value = match (params.raw(name), name, default()) {
            (_, "additional_attributes", _) => channel.object(name).map(Value::Object),
            (None, ..) => None,
            (Some(_), _, Value::Bool(_)) => params.truth(name).map(Value::Bool),
            (Some(value), ..) => Some(value.clone()),
        };
        if let Some(value) = value {
            kept.insert(name.to_owned(), value);
        }
    }
    let mandatory = channel.truth("hmac_mandatory").or(before.map(|inbox| inbox.is_identity_required));
    let single = params.truth("lock_to_single_conversation").or(before.map(|inbox| inbox.is_single_conversation));
    let automatic = params.truth("enable_auto_assignment").or(before.map(|inbox| inbox.is_auto_assigned));
    let limit = kept.get("auto_assignment_config").and_then(|config| whole(&config["max_assignment_limit"]));
    Settings {
        is_auto_assigned: automatic.unwrap_or(true),
        capacity: limit.filter(|limit| (1..=CAPACITY_LIMIT).contains(limit)),
        is_identity_required: mandatory.unwrap_or(false),
        is_single_conversation: single.unwrap_or(false),
        kept: Value::Object(kept).to_string(),
    }
}

/// The webhook that a request names: none inside when it is to be removed.
async fn hook(hub: &Hub, agent: &Agent, channel: &Params) -> Result<Option<Option<Hook>>> {
    if !channel.has("webhook_url") {
        return Ok(None);
    }
    let Some(url) = channel.word("webhook_url") else { return Ok(Some(None)) };
    if !agent.tenant.plan.has_webhooks {
        return Err(Refused::unprocessable("Webhooks are switched off for this account."));
    }
    let url = checked_url(hub, "Webhook url", "webhook_url", url).await?;
    let (_, secret, secret_prefix) = new_short_secret(hub)?;
    let (format, header_prefix) = (Format::Chatwoot, header_prefix(Format::Chatwoot).to_owned());
    Ok(Some(Some(Hook { url, format, header_prefix, secret, secret_prefix })))
}

fn name(params: &Params) -> Result<Option<String>> {
    match params.text("name") {
        Some(name) if name.trim().is_empty() => Err(invalid("Name can't be blank", "name")),
        Some(name) if name.chars().count() > NAME_LIMIT => {
            Err(invalid("Name is too long (maximum is 255 characters)", "name"))
        }
        other => Ok(other),
    }
}

pub async fn create(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    agent.admin()?;
    let channel = params.inner("channel");
    if channel.word("type").is_some_and(|kind| kind != "api") {
        return Err(Refused::unprocessable("Only inboxes of the channel api are made here."));
    }
    let name = name(&params)?.ok_or_else(|| invalid("Name can't be blank", "name"))?;
    let hook = hook(&hub, &agent, &channel).await?.flatten();
    let (settings, scene, ctx) = (settings(&params, &channel, None), agent.scene(), agent.ctx());
    let is_auto_assigned = settings.is_auto_assigned;
    let command = inboxes::Create { name, channel: Channel::Api, hook, is_auto_assigned, ..Default::default() };
    let made = hub.db.write(move |tx| {
        let made = inboxes::create(tx, &ctx, &command)?.inbox;
        let made = inboxes::configure(tx, &ctx, made.id, &settings)?;
        scene.view().inbox(tx, &made)
    });
    Ok(Json(made.await?))
}

pub async fn update(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    agent.admin()?;
    let channel = params.inner("channel");
    let hook = hook(&hub, &agent, &channel).await?;
    let command = inboxes::Update { name: name(&params)?, team: None, hook, channel: None };
    let (scene, ctx) = (agent.scene(), agent.ctx());
    let made = hub.db.write(move |tx| {
        let before = inboxes::by_number(tx, ctx.tenant, number.0)?;
        inboxes::update(tx, &ctx, before.id, &command)?;
        let made = inboxes::configure(tx, &ctx, before.id, &settings(&params, &channel, Some(&before)))?;
        scene.view().inbox(tx, &made)
    });
    Ok(Json(made.await?))
}

/// A new secret; the one before stops at once.
pub async fn reset_secret(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    agent.admin()?;
    let (_, secret, secret_prefix) = new_short_secret(&hub)?;
    let (scene, ctx) = (agent.scene(), agent.ctx());
    let view = hub.db.write(move |tx| {
        let inbox = inboxes::by_number(tx, ctx.tenant, number.0)?;
        if inbox.channel != Channel::Api {
            return Err(Error::not_found("inbox"));
        }
        if let Some((id, _)) = inbox.webhook {
            let (secret, secret_prefix) = (secret.clone(), secret_prefix.clone());
            webhooks::rotate(tx, &ctx, &RotateSecret { id, secret, secret_prefix, overlap_us: 0 })?;
        }
        scene.view().inbox(tx, &inbox)
    });
    Ok(Json(view.await?))
}

pub async fn delete(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = inboxes::by_number(tx, ctx.tenant, number.0)?.id;
        inboxes::delete(tx, &ctx, id)
    });
    done.await?;
    Ok(Json(json!({"message": "Your inbox deletion request will be processed in some time."})))
}

fn member_views(read: &mut Read, agent: &Agent, inbox: &Inbox) -> tieline_core::Result<Value> {
    let members = inboxes::members(read, agent.account(), inbox.id)?;
    let users = active(read, agent)?;
    let shown = users.iter().filter(|user| members.contains(&user.id));
    Ok(json!({"payload": shown.map(|user| shapes::agent(user, agent.account().0)).collect::<Vec<_>>()}))
}

pub async fn members(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let view = hub.db.read(move |read| {
        let inbox = visible(read, &agent, number.0)?;
        member_views(read, &agent, &inbox)
    });
    Ok(Json(view.await?))
}

/// Changes the members of the inbox that a request names; `change` says who they are then.
async fn change_members(
    hub: Hub,
    agent: Agent,
    params: Params,
    change: fn(before: Vec<UserId>, named: Vec<UserId>) -> Vec<UserId>,
) -> Result<Value> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx: &mut Tx| {
        let inbox = inboxes::by_number(tx, ctx.tenant, params.number("inbox_id").unwrap_or(0))?;
        let numbers = params.numbers("user_ids").into_iter();
        let named = numbers.map(|number| Ok(users::by_number(tx, agent.tenant.live(), number)?.id));
        let named = named.collect::<tieline_core::Result<Vec<UserId>>>()?;
        let before = inboxes::members(tx, ctx.tenant, inbox.id)?;
        inboxes::set_members(tx, &ctx, inbox.id, &change(before, named))?;
        member_views(tx, &agent, &inbox)
    });
    Ok(done.await?)
}

pub async fn add_members(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    let add = |before: Vec<UserId>, named: Vec<UserId>| before.into_iter().chain(named).collect();
    Ok(Json(change_members(hub, agent, params, add).await?))
}

pub async fn set_members(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    Ok(Json(change_members(hub, agent, params, |_, named| named).await?))
}

pub async fn remove_members(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<StatusCode> {
    let remove =
        |before: Vec<UserId>, named: Vec<UserId>| before.into_iter().filter(|id| !named.contains(id)).collect();
    change_members(hub, agent, params, remove).await?;
    Ok(StatusCode::OK)
}
