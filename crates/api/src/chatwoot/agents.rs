//! Agents by administrators, and the profile of whoever asks.

use super::Result;
use super::agent::Agent;
use super::params::{self, Number, Params, invalid};
use super::refused::Refused;
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use crate::setup::{self, hashed};
use axum::extract::State;
use http::StatusCode;
use serde_json::Value;
use tieline_core::error::Error;
use tieline_core::passwords;
use tieline_core::tenants;
use tieline_core::users::{self, Availability, Role, User};
use tieline_wire::chatwoot::people as shapes;

/// Longest text of a profile, characters.
const NAME_LIMIT: usize = 100;
const SIGNATURE_LIMIT: usize = 20_000;
/// Largest settings of screens, bytes.
const UI_SETTINGS_LIMIT: usize = 64 * 1024;

type OfAccount = Path<(Number, Number)>;

/// Chatwoot's role; none for a word that is none.
fn role(params: &Params) -> Result<Option<Role>> {
    match params.word("role").as_deref() {
        None => Ok(None),
        Some("agent" | "0") => Ok(Some(Role::Agent)),
        Some("administrator" | "1") => Ok(Some(Role::Admin)),
        Some(other) => Err(Refused::unprocessable(&format!("'{other}' is not a valid role"))),
    }
}

fn availability(params: &Params) -> Result<Option<Availability>> {
    match params.word("availability").as_deref() {
        None => Ok(None),
        Some("online" | "0") => Ok(Some(Availability::Online)),
        Some("offline" | "1") => Ok(Some(Availability::Offline)),
        Some("busy" | "2") => Ok(Some(Availability::Busy)),
        Some(other) => Err(Refused::unprocessable(&format!("'{other}' is not a valid availability"))),
    }
}

fn name(params: &Params, member: &str) -> Result<Option<String>> {
    match params.word(member) {
        Some(name) if name.chars().count() > NAME_LIMIT => {
            Err(invalid("Name is too long (maximum is 100 characters)", "name"))
        }
        other => Ok(other),
    }
}

fn taken(error: Error) -> Refused {
    if error.code == "user_exists" { invalid("Email has already been taken", "email") } else { error.into() }
}

/// Nobody is written to: whoever set this server up gives the agent a password.
pub async fn create(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    agent.admin()?;
    let params = params.wrapped("agent")?;
    let email = params::email(&params)?.flatten().ok_or_else(|| invalid("Email can't be blank", "email"))?;
    let named = name(&params, "name")?.or_else(|| email.split('@').next().map(str::to_owned)).unwrap_or_default();
    let role = role(&params)?.unwrap_or(Role::Agent);
    let (command, _) = setup::prepare(&hub, &email, &named, role, None).await?;
    let change = users::Update {
        name: Some(named),
        role: Some(role),
        is_active: Some(true),
        availability: availability(&params)?,
        is_auto_offline: params.truth("auto_offline"),
        ..users::Update::default()
    };
    let (live, ctx) = (agent.tenant.live(), agent.ctx());
    let made = hub.db.write(move |tx| {
        // Who was dismissed may come back.
        let known = users::by_email(tx, live, &command.email)?.filter(|user| !user.is_active);
        let id = match known {
            Some(user) => user.id,
            None => users::create(tx, (live, &ctx), &command)?.id,
        };
        users::update(tx, (live, &ctx), id, &change)
    });
    let made = made.await.map_err(taken)?;
    Ok(Json(shapes::agent(&agent.scene().shown(made), agent.account().0)))
}

/// The agent of this number, unless they were dismissed.
fn known(tx: &mut tieline_db::Read, agent: &Agent, number: i64) -> tieline_core::Result<User> {
    let user = users::by_number(tx, agent.tenant.live(), number)?;
    if user.is_active { Ok(user) } else { Err(Error::not_found("user")) }
}

pub async fn update(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    agent.admin()?;
    let params = params.wrapped("agent")?;
    let (name, role, availability) = (name(&params, "name")?, role(&params)?, availability(&params)?);
    let is_auto_offline = params.truth("auto_offline");
    let (who, ctx) = (agent.clone(), agent.ctx());
    let made = hub.db.write(move |tx| {
        let user = known(tx, &who, number.0)?;
        // An owner is an administrator already.
        let role = role.filter(|role| !(*role == Role::Admin && user.role == Role::Owner));
        let change =
            users::Update { name: name.clone(), role, availability, is_auto_offline, ..users::Update::default() };
        users::update(tx, (who.tenant.live(), &ctx), user.id, &change)
    });
    let made = made.await?;
    Ok(Json(shapes::agent(&agent.scene().shown(made), agent.account().0)))
}

pub async fn dismiss(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<StatusCode> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = known(tx, &agent, number.0)?.id;
        users::dismiss(tx, (agent.tenant.live(), &ctx), id)
    });
    done.await?;
    Ok(StatusCode::OK)
}

async fn profile_of(hub: &Hub, agent: &Agent, user: &User) -> Result<Json<Value>> {
    let tenant = agent.tenant.live();
    let accounts = hub.db.read(move |read| tenants::get(read, tenant).map(|tenant| vec![tenant])).await?;
    let scene = agent.scene();
    let pubsub_token = scene.user_pubsub_token(user);
    Ok(Json(shapes::profile(user, &scene.shown(user.clone()), &accounts, &agent.token, &pubsub_token)))
}

pub async fn profile(State(hub): State<Hub>, agent: Agent) -> Result<Json<Value>> {
    profile_of(&hub, &agent, &agent.user).await
}

/// Changes the caller's own profile. A new password needs the current one.
pub async fn update_profile(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    let params = params.wrapped("profile")?;
    let text = |member: &str| params.has(member).then(|| params.word(member));
    let mut change = users::Update {
        name: name(&params, "name")?,
        email: params::email(&params)?.flatten(),
        display_name: if params.has("display_name") { Some(name(&params, "display_name")?) } else { None },
        message_signature: text("message_signature"),
        ui_settings: params.object("ui_settings").map(|settings| Value::Object(settings).to_string()),
        ..users::Update::default()
    };
    if change.message_signature.iter().flatten().any(|text| text.chars().count() > SIGNATURE_LIMIT) {
        return Err(invalid("Message signature is too long (maximum is 20000 characters)", "message_signature"));
    }
    if change.ui_settings.as_ref().is_some_and(|settings| settings.len() > UI_SETTINGS_LIMIT) {
        return Err(invalid("Ui settings is too long (maximum is 65536 bytes)", "ui_settings"));
    }
    let (live, id) = (agent.tenant.live(), agent.user.id);
    if let Some(password) = params.text("password").filter(|password| !password.is_empty()) {
        let stored = hub.db.read(move |read| users::password_hash(read, live, id)).await?;
        let given = params.text("current_password").unwrap_or_default();
        let right = tokio::task::spawn_blocking(move || passwords::verify(&given, stored.as_deref()));
        if !right.await.map_err(Error::internal)? {
            return Err(Refused::unprocessable("Invalid current password"));
        }
        if params.text("password_confirmation").is_some_and(|again| again != password) {
            return Err(invalid("Password confirmation doesn't match Password", "password_confirmation"));
        }
        if let Err(wrong) = passwords::check(&password, "/password") {
            return Err(invalid(&format!("Password {}", wrong.message), "password"));
        }
        change.password_hash = hashed(&hub, Some(password)).await?;
    }
    let ctx = agent.ctx();
    let user = hub.db.write(move |tx| users::update(tx, (live, &ctx), id, &change)).await.map_err(taken)?;
    profile_of(&hub, &agent, &user).await
}

/// Sets whether the caller takes work, and whether they count as away while no screen of theirs is open.
pub async fn set_availability(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    let params = params.wrapped("profile")?;
    if params.number("account_id").is_some_and(|account| account != agent.account().0) {
        return Err(Error::not_found("account").into());
    }
    let (availability, is_auto_offline) = (availability(&params)?, params.truth("auto_offline"));
    let (live, id) = (agent.tenant.live(), agent.user.id);
    let change = users::Update { availability, is_auto_offline, ..users::Update::default() };
    let user = hub.db.write(move |tx| users::update(tx, live, id, &change)).await?;
    profile_of(&hub, &agent, &user).await
}
