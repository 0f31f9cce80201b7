//! Bots, and the inboxes they are set on.

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params, invalid};
use super::refused::Refused;
use crate::endpoints::{header_prefix, new_short_secret, short_prefix};
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tieline_core::bots::{self, Tokens};
use tieline_core::error::Error;
use tieline_core::inboxes::Hook;
use tieline_core::keys::token;
use tieline_core::users::ACCESS_TOKEN_CONTEXT;
use tieline_core::webhooks::Format;
use tieline_core::{inboxes, tenants};
use tieline_delivery::SECRET_CONTEXT;

/// Longest name and description, characters.
pub(super) const NAME_LIMIT: usize = 255;
const DESCRIPTION_LIMIT: usize = 20_000;
/// Longest address, bytes.
const URL_LIMIT: usize = 2048;
/// Largest configuration, bytes.
const CONFIG_LIMIT: usize = 64 * 1024;

type OfAccount = Path<(Number, Number)>;

pub(super) fn new_token(hub: &Hub) -> tieline_core::Result<Tokens> {
    let text = token::short(hub.random()?);
    let sealed = hub.keyring.seal(text.as_bytes(), ACCESS_TOKEN_CONTEXT, hub.random()?)?;
    Ok(Tokens { hash: Sha256::digest(text.as_bytes()).into(), sealed })
}

/// The endpoint of a bot, signed with the bot's own secret.
pub(super) fn hook(url: String, secret: Vec<u8>, secret_prefix: String) -> Hook {
    let (format, header_prefix) = (Format::Chatwoot, header_prefix(Format::Chatwoot).to_owned());
    Hook { url, format, header_prefix, secret, secret_prefix }
}

/// What a request says of a bot.
struct Asked {
    name: Option<String>,
    description: Option<Option<String>>,
    outgoing_url: Option<Option<String>>,
    config: Option<String>,
}

async fn asked(hub: &Hub, tenant: &tenants::Tenant, params: &Params) -> Result<Asked> {
    let name = params.word("name");
    if params.has("name") && name.is_none() {
        return Err(invalid("Name can't be blank", "name"));
    }
    if name.as_ref().is_some_and(|name| name.chars().count() > NAME_LIMIT) {
        return Err(invalid("Name is too long (maximum is 255 characters)", "name"));
    }
    let description = params.has("description").then(|| params.text("description"));
    if description.iter().flatten().any(|text| text.chars().count() > DESCRIPTION_LIMIT) {
        return Err(invalid("Description is too long (maximum is 20000 characters)", "description"));
    }
    if let Some(kind) = params.word("bot_type").filter(|kind| !["webhook", "0"].contains(&kind.as_str())) {
        return Err(Refused::unprocessable(&format!("'{kind}' is not a valid bot_type")));
    }
    let config = params.object("bot_config").map(|config| Value::Object(config).to_string());
    if config.as_ref().is_some_and(|config| config.len() > CONFIG_LIMIT) {
        return Err(invalid("Bot config is too long (maximum is 65536 bytes)", "bot_config"));
    }
    let outgoing_url = params.has("outgoing_url").then(|| params.word("outgoing_url"));
    if let Some(Some(url)) = &outgoing_url {
        if !tenant.plan.has_webhooks {
            return Err(Refused::unprocessable("Webhooks are switched off for this account."));
        }
        if url.len() > URL_LIMIT {
            return Err(invalid("Outgoing url is too long (maximum is 2048 characters)", "outgoing_url"));
        }
        if let Err(refusal) = hub.guard.check_at_save(url).await {
            let text = format!(
                "Outgoing url is refused: {} TIELINE_WEBHOOK_ALLOW_HOSTS and TIELINE_WEBHOOK_ALLOW_HTTP open the guard.",
                refusal.detail
            );
            return Err(invalid(&text, "outgoing_url"));
        }
    }
    Ok(Asked { name, description, outgoing_url, config })
}

pub async fn list(State(hub): State<Hub>, agent: Agent) -> Result<Json<Value>> {
    let (tenant, scene) = (agent.account(), agent.scene());
    let found = hub.db.read(move |read| bots::list(read, tenant)).await?;
    let view = scene.view();
    Ok(Json(found.iter().map(|bot| view.bot(bot)).collect::<tieline_core::Result<Value>>()?))
}

pub async fn show(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let tenant = agent.account();
    let found = hub.db.read(move |read| bots::by_number(read, tenant, number.0)).await?;
    Ok(Json(agent.scene().view().bot(&found)?))
}

pub async fn create(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    agent.admin()?;
    let params = params.wrapped("agent_bot")?;
    let asked = asked(&hub, &agent.tenant, &params).await?;
    let (_, secret, prefix) = new_short_secret(&hub)?;
    let command = bots::Create {
        name: asked.name.ok_or_else(|| invalid("Name can't be blank", "name"))?,
        description: asked.description.flatten(),
        hook: asked.outgoing_url.flatten().map(|url| hook(url, secret.clone(), prefix)),
        config: asked.config.unwrap_or_else(|| "{}".into()),
        token: new_token(&hub)?,
        secret,
    };
    let ctx = agent.ctx();
    let made = hub.db.write(move |tx| bots::create(tx, &ctx, &command)).await?;
    Ok(Json(agent.scene().view().bot(&made)?))
}

pub async fn update(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    agent.admin()?;
    let params = params.wrapped("agent_bot")?;
    let Asked { name, description, outgoing_url, config } = asked(&hub, &agent.tenant, &params).await?;
    let asked = bots::Update { name, description, hook: None, config };
    let (ctx, keyring) = (agent.ctx(), hub.keyring.clone());
    let made = hub.db.write(move |tx| {
        let bot = bots::by_number(tx, ctx.tenant, number.0)?;
        let secret = keyring.open(&bot.secret, SECRET_CONTEXT)?;
        let prefix = short_prefix(&String::from_utf8_lossy(&secret));
        let hook = outgoing_url.clone().map(|url| url.map(|url| hook(url, bot.secret.clone(), prefix)));
        let command = bots::Update { hook, ..asked.clone() };
        bots::update(tx, &ctx, bot.id, &command)
    });
    Ok(Json(agent.scene().view().bot(&made.await?)?))
}

pub async fn delete(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<StatusCode> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = bots::by_number(tx, ctx.tenant, number.0)?.id;
        bots::delete(tx, &ctx, id)
    });
    done.await?;
    Ok(StatusCode::OK)
}

pub async fn reset_token(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    agent.admin()?;
    let (ctx, token) = (agent.ctx(), new_token(&hub)?);
    let made = hub.db.write(move |tx| {
        let id = bots::by_number(tx, ctx.tenant, number.0)?.id;
        bots::set_token(tx, &ctx, id, &token)
    });
    Ok(Json(agent.scene().view().bot(&made.await?)?))
}

pub async fn reset_secret(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    agent.admin()?;
    let (ctx, (_, secret, prefix)) = (agent.ctx(), new_short_secret(&hub)?);
    let made = hub.db.write(move |tx| {
        let id = bots::by_number(tx, ctx.tenant, number.0)?.id;
        bots::set_secret(tx, &ctx, id, &secret, &prefix)
    });
    Ok(Json(agent.scene().view().bot(&made.await?)?))
}

pub async fn on_inbox(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let scene = agent.scene();
    let view = hub.db.read(move |read| {
        let inbox = inboxes::by_number(read, agent.account(), number.0)?;
        agent.sees(read, inbox.id)?;
        let found = bots::on(read, agent.account(), inbox.id)?;
        Ok::<_, Error>(found.map(|bot| scene.view().bot(&bot)).transpose()?.unwrap_or_else(|| json!({})))
    });
    Ok(Json(json!({"agent_bot": view.await?})))
}

pub async fn set_on_inbox(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<StatusCode> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let inbox = inboxes::by_number(tx, ctx.tenant, number.0)?.id;
        let bot = params.number("agent_bot").filter(|number| *number != 0);
        let bot = bot.map(|number| bots::by_number(tx, ctx.tenant, number)).transpose()?;
        bots::set_on(tx, &ctx, inbox, bot.map(|bot| bot.id))
    });
    done.await?;
    Ok(StatusCode::OK)
}
