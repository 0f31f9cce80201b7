//! Webhooks of an account: where all of its events go, or some, or those of one inbox.

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params, invalid};
use super::refused::Refused;
use crate::endpoints::{header_prefix, new_short_secret};
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use tieline_core::error::Error;
use tieline_core::inboxes;
use tieline_core::webhooks::{self, CHATWOOT_DEFAULTS, CreateEndpoint, Endpoint, Format, UpdateEndpoint};
use tieline_db::Read;
use tieline_wire::chatwoot::subscription::subscription;

/// Webhooks of a list.
const LIST_LIMIT: i64 = 2000;
/// Attempts of a delivery.
pub(super) const MAX_ATTEMPTS: i64 = 10;
/// Longest name.
pub(super) const NAME_LIMIT: usize = 100;

type OfAccount = Path<(Number, Number)>;

/// A webhook as administrators see it.
fn view(hub: &Hub, read: &mut Read, agent: &Agent, endpoint: &Endpoint) -> tieline_core::Result<Value> {
    let inbox = match endpoint.inboxes.as_deref() {
        Some([id, ..]) => Some(inboxes::get(read, agent.account(), *id)?),
        _ => None,
    };
    let secret = super::view::secret(&hub.keyring, endpoint)?;
    Ok(subscription(endpoint, agent.account().0, &secret, inbox.as_ref()))
}

/// `id` stands beside it too, because some clients look for it there.
fn one(view: Value) -> Json<Value> {
    Json(json!({"payload": {"webhook": view, "id": view["id"]}}))
}

/// The account's webhook of this number; an inbox's own is none.
fn of_account(read: &mut Read, agent: &Agent, number: i64) -> tieline_core::Result<Endpoint> {
    let found = webhooks::by_number(read, agent.account(), number)?;
    match found.format == Format::Chatwoot && !found.is_inboxes && found.bot.is_none() {
        true => Ok(found),
        false => Err(Error::not_found("webhook")),
    }
}

fn enabled(agent: &Agent) -> Result<()> {
    agent.admin()?;
    match agent.tenant.plan.has_webhooks {
        true => Ok(()),
        false => Err(Refused::unprocessable("Webhooks are switched off for this account.")),
    }
}

/// An address that may be posted to, checked.
///
/// Errors: 422; the text of one that the operator could allow names the setting.
pub(super) async fn checked_url(hub: &Hub, name: &str, attribute: &str, url: String) -> Result<String> {
    let Err(refusal) = hub.guard.check_at_save(&url).await else { return Ok(url) };
    let is_web = ["http://", "https://"].iter().any(|scheme| url.to_ascii_lowercase().starts_with(scheme));
    let text = match refusal.code {
        "scheme_not_allowed" | "address_not_allowed" if is_web => {
            let remedy = "TIELINE_WEBHOOK_ALLOW_HOSTS and TIELINE_WEBHOOK_ALLOW_HTTP open the guard.";
            format!("{name} is refused: {} {remedy}", refusal.detail)
        }
        _ => format!("{name} is invalid"),
    };
    Err(invalid(&text, attribute))
}

async fn url(hub: &Hub, params: &Params) -> Result<Option<String>> {
    if !params.has("url") {
        return Ok(None);
    }
    checked_url(hub, "Url", "url", params.word("url").unwrap_or_default()).await.map(Some)
}

/// The words that a request subscribes to; none where it does not say.
fn subscriptions(params: &Params) -> Result<Option<Vec<String>>> {
    if params.raw("subscriptions").is_none_or(Value::is_null) {
        return Ok(None);
    }
    let refused = || invalid("Subscriptions Invalid events", "subscriptions");
    let mut words: Vec<String> = Vec::new();
    for word in params.texts("subscriptions") {
        let known = Format::Chatwoot.event(&word).ok_or_else(refused)?;
        if !words.iter().any(|word| word == known) {
            words.push(known.to_owned());
        }
    }
    if words.is_empty() { Err(refused()) } else { Ok(Some(words)) }
}

fn name(params: &Params) -> Result<Option<String>> {
    if !params.has("name") {
        return Ok(None);
    }
    let name = params.text("name").unwrap_or_default();
    match name.chars().count() > NAME_LIMIT {
        true => Err(invalid("Name is too long (maximum is 100 characters)", "name")),
        false => Ok(Some(name)),
    }
}

fn refused(error: Error) -> Refused {
    match error.code {
        "webhook_limit_reached" => Refused::with(StatusCode::PAYMENT_REQUIRED, &error.detail),
        _ => error.into(),
    }
}

pub async fn list(State(hub): State<Hub>, agent: Agent) -> Result<Json<Value>> {
    enabled(&agent)?;
    let keys = hub.clone();
    let list = hub.db.read(move |read| {
        let mut found = webhooks::list(read, agent.account(), None, LIST_LIMIT)?;
        found.retain(|endpoint| endpoint.format == Format::Chatwoot && !endpoint.is_inboxes && endpoint.bot.is_none());
        found.reverse();
        let views = found.iter().map(|endpoint| view(&keys, read, &agent, endpoint));
        views.collect::<tieline_core::Result<Vec<Value>>>()
    });
    Ok(Json(json!({"payload": {"webhooks": list.await?}})))
}

pub async fn create(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    enabled(&agent)?;
    let params = params.wrapped("webhook")?;
    let url = url(&hub, &params).await?.ok_or_else(|| invalid("Url is invalid", "url"))?;
    let words = subscriptions(&params)?;
    let default = || Format::Chatwoot.events().into_iter().take(CHATWOOT_DEFAULTS).map(str::to_owned).collect();
    let (_, secret, secret_prefix) = new_short_secret(&hub)?;
    let command = CreateEndpoint {
        name: name(&params)?.unwrap_or_default(),
        description: None,
        url,
        events: words.unwrap_or_else(default),
        format: Format::Chatwoot,
        header_prefix: header_prefix(Format::Chatwoot).to_owned(),
        max_attempts: MAX_ATTEMPTS,
        inboxes: None,
        secret,
        secret_prefix,
    };
    let (ctx, keys) = (agent.ctx(), hub.clone());
    let made = hub.db.write(move |tx| {
        let inbox = params.number("inbox_id").map(|number| inboxes::by_number(tx, ctx.tenant, number)).transpose()?;
        let command = CreateEndpoint { inboxes: inbox.map(|inbox| vec![inbox.id]), ..command.clone() };
        let made = webhooks::create_at_new_url(tx, &ctx, &command)?;
        view(&keys, tx, &agent, &made)
    });
    Ok(one(made.await.map_err(refused)?))
}

pub async fn update(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    enabled(&agent)?;
    let params = params.wrapped("webhook")?;
    let command = UpdateEndpoint {
        name: name(&params)?,
        url: url(&hub, &params).await?,
        events: subscriptions(&params)?,
        ..UpdateEndpoint::default()
    };
    let (ctx, keys) = (agent.ctx(), hub.clone());
    let made = hub.db.write(move |tx| {
        let before = of_account(tx, &agent, number.0)?;
        let inbox = params.number("inbox_id").map(|number| inboxes::by_number(tx, ctx.tenant, number)).transpose()?;
        let inboxes = params.has("inbox_id").then(|| inbox.map(|inbox| vec![inbox.id]));
        let command = UpdateEndpoint { inboxes, ..command.clone() };
        let made = webhooks::update_at_new_url(tx, &ctx, before.id, &command)?;
        view(&keys, tx, &agent, &made)
    });
    Ok(one(made.await.map_err(refused)?))
}

pub async fn delete(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<StatusCode> {
    enabled(&agent)?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = of_account(tx, &agent, number.0)?.id;
        webhooks::delete(tx, &ctx, id)
    });
    done.await?;
    Ok(StatusCode::OK)
}
