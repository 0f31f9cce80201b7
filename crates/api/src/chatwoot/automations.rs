//! Automation rules of the application API. What a client wrote is kept as it is and shown again; what it means is translated
//! once, when it is written ([`super::spelling`]).

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params, invalid};
use super::refused::Refused;
use super::spelling;
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use tieline_core::automations::rule::{Branch, Trigger};
use tieline_core::automations::{self, Automation, Create, RULES_LIMIT, Update};
use tieline_core::error::Error;
use tieline_core::ids::TenantId;
use tieline_core::page::Page;
use tieline_db::{Read, Tx};
use tieline_wire::chatwoot::automation as shapes;

/// Longest name.
const NAME_LIMIT: usize = 255;
/// Longest description.
const DESCRIPTION_LIMIT: usize = 20_000;

type OfAccount = Path<(Number, Number)>;

fn view(read: &mut Read, agent: &Agent, rule: &Automation) -> tieline_core::Result<Value> {
    let (conditions, actions) = spelling::spelled(read, agent.account(), agent.tenant.live(), rule)?;
    Ok(shapes::rule(rule, &conditions, &actions))
}

pub async fn list(State(hub): State<Hub>, agent: Agent) -> Result<Json<Value>> {
    agent.admin()?;
    let payload = hub.db.read(move |read| {
        let mut rules = automations::list(read, agent.account(), Page::first(RULES_LIMIT))?;
        rules.reverse();
        rules.iter().map(|rule| view(read, &agent, rule)).collect::<tieline_core::Result<Value>>()
    });
    Ok(Json(json!({"payload": payload.await?})))
}

pub async fn show(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    agent.admin()?;
    let payload = hub.db.read(move |read| {
        let rule = automations::by_number(read, agent.account(), number.0)?;
        view(read, &agent, &rule)
    });
    Ok(Json(json!({"payload": payload.await?})))
}

/// A list of objects, as such or as JSON text; none when it is not named.
fn listed(params: &Params, name: &str) -> Result<Option<Value>> {
    let list = match params.raw(name) {
        None => return Ok(None),
        Some(Value::Null) => Value::Array(Vec::new()),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(list) => list.clone(),
    };
    let is_list = list.as_array().is_some_and(|list| list.iter().all(Value::is_object));
    if is_list { Ok(Some(list)) } else { Err(spelling::refused(name, &[format!("{name} is a list of objects")])) }
}

/// The addresses that actions name must be such as may be called.
async fn check_addresses(hub: &Hub, actions: Option<&Value>) -> Result<()> {
    for url in actions.map(spelling::addresses).unwrap_or_default() {
        if let Err(refusal) = hub.guard.check_at_save(&url).await {
            let text = format!(
                "The address of an action is refused: {} TIELINE_WEBHOOK_ALLOW_HOSTS and TIELINE_WEBHOOK_ALLOW_HTTP open the guard.",
                refusal.detail
            );
            return Err(spelling::refused("actions", &[text]));
        }
    }
    Ok(())
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

fn description(params: &Params) -> Result<Option<String>> {
    match params.text("description") {
        Some(text) if text.chars().count() > DESCRIPTION_LIMIT => {
            Err(invalid("Description is too long (maximum is 20000 characters)", "description"))
        }
        other => Ok(other),
    }
}

fn trigger(params: &Params) -> Result<Option<Trigger>> {
    let unknown = |word: String| invalid(&format!("Event name '{word}' is not supported"), "event_name");
    params.word("event_name").map(|word| shapes::trigger(&word).ok_or_else(|| unknown(word))).transpose()
}

/// What conditions and actions mean, and their text.
pub(super) fn meaning(
    read: &mut Read,
    tenant: TenantId,
    live: TenantId,
    conditions: &Value,
    actions: &Value,
) -> Result<(Vec<Branch>, Option<String>)> {
    let branch = spelling::branch(read, tenant, live, conditions, actions)?;
    let text = json!({"conditions": conditions, "actions": actions}).to_string();
    if text.len() > spelling::TEXT_LIMIT {
        return Err(spelling::refused("actions", &["Conditions and actions are too long".to_owned()]));
    }
    Ok((vec![branch], Some(text)))
}

pub async fn create(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    agent.admin()?;
    let name = name(&params)?.ok_or_else(|| invalid("Name can't be blank", "name"))?;
    let trigger = trigger(&params)?.ok_or_else(|| invalid("Event name can't be blank", "event_name"))?;
    let conditions = listed(&params, "conditions")?.unwrap_or_else(|| json!([]));
    let actions = listed(&params, "actions")?.unwrap_or_else(|| json!([]));
    check_addresses(&hub, Some(&actions)).await?;
    let (description, is_active) = (description(&params)?, params.truth("active").unwrap_or(true));
    let ctx = agent.ctx();
    let made = hub.db.write(move |tx: &mut Tx| {
        let (branches, spelling) = meaning(tx, ctx.tenant, agent.tenant.live(), &conditions, &actions)?;
        let (name, description) = (name.clone(), description.clone());
        let command = Create { name, description, trigger, branches, spelling, is_active };
        let rule = automations::create(tx, &ctx, &command)?;
        Ok::<_, Refused>(view(tx, &agent, &rule)?)
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
    let (conditions, actions) = (listed(&params, "conditions")?, listed(&params, "actions")?);
    check_addresses(&hub, actions.as_ref()).await?;
    let (name, trigger) = (name(&params)?, trigger(&params)?);
    let description = if params.has("description") { Some(description(&params)?) } else { None };
    let is_active = params.truth("active");
    let ctx = agent.ctx();
    let made = hub.db.write(move |tx: &mut Tx| {
        let before = automations::by_number(tx, ctx.tenant, number.0)?;
        let branches = match (&conditions, &actions) {
            (None, None) => None,
            (conditions, actions) => {
                let (old_conditions, old_actions) = spelling::spelled(tx, ctx.tenant, agent.tenant.live(), &before)?;
                let conditions = conditions.as_ref().unwrap_or(&old_conditions);
                let actions = actions.as_ref().unwrap_or(&old_actions);
                Some(meaning(tx, ctx.tenant, agent.tenant.live(), conditions, actions)?)
            }
        };
        // Shown again as it was shown, a trigger that Chatwoot has no word of its own for stays.
        let same = |trigger: &Trigger| shapes::event_name(*trigger) == shapes::event_name(before.trigger);
        let command = Update {
            name: name.clone(),
            description: description.clone(),
            trigger: trigger.filter(|trigger| !same(trigger)),
            branches,
            is_active,
        };
        let rule = automations::update(tx, &ctx, before.id, &command)?;
        Ok::<_, Refused>(view(tx, &agent, &rule)?)
    });
    Ok(Json(json!({"payload": made.await?})))
}

pub async fn clone(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    agent.admin()?;
    let ctx = agent.ctx();
    let made = hub.db.write(move |tx| {
        let rule = automations::by_number(tx, ctx.tenant, number.0)?;
        let Automation { name, description, trigger, branches, spelling, is_active, .. } = rule;
        let command = Create { name, description, trigger, branches, spelling, is_active };
        let rule = automations::create(tx, &ctx, &command)?;
        view(tx, &agent, &rule)
    });
    Ok(Json(json!({"payload": made.await?})))
}

pub async fn delete(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<StatusCode> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = automations::by_number(tx, ctx.tenant, number.0)?.id;
        automations::delete(tx, &ctx, id)
    });
    done.await.map_err(|error: Error| error)?;
    Ok(StatusCode::OK)
}
