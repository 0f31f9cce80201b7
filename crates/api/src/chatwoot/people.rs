//! Account, lists of agents, teams, labels, definitions of attributes.

use super::Result;
use super::agent::Agent;
use super::params::{Number, Params, invalid};
use super::refused::Refused;
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashSet;
use tieline_core::error::Error;
use tieline_core::fields::validate::{Entity, FieldType, SelectOption};
use tieline_core::fields::{self};
use tieline_core::ids::UserId;
use tieline_core::page::Page;
use tieline_core::tags::{self, slug};
use tieline_core::teams::Mode;
use tieline_core::users::User;
use tieline_core::{inboxes, teams, users};
use tieline_db::Read;
use tieline_wire::chatwoot::people as shapes;

/// Rows of a list that Chatwoot does not page.
const LIST_LIMIT: i64 = 1000;

pub async fn account(agent: Agent) -> Json<Value> {
    Json(shapes::account(&agent.tenant))
}

/// Active users by name.
pub(super) fn active(read: &mut Read, agent: &Agent) -> tieline_core::Result<Vec<User>> {
    let mut found = users::list(read, agent.tenant.live(), Page::first(LIST_LIMIT))?;
    found.retain(|user| user.is_active);
    let scene = agent.scene();
    let mut found: Vec<User> = found.into_iter().map(|user| scene.shown(user)).collect();
    found.sort_by_key(|user| (user.name.to_lowercase(), user.number));
    Ok(found)
}

pub async fn agents(State(hub): State<Hub>, agent: Agent) -> Result<Json<Value>> {
    let account = agent.account().0;
    let found = hub.db.read(move |read| active(read, &agent)).await?;
    Ok(Json(found.iter().map(|user| shapes::agent(user, account)).collect()))
}

pub async fn assignable(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let (account, wanted) = (agent.account().0, Params::of_query(query.as_deref()).numbers("inbox_ids"));
    let found = hub.db.read(move |read| {
        let mut members: Option<HashSet<UserId>> = None;
        for number in wanted.iter().take(50) {
            let inbox = inboxes::by_number(read, agent.account(), *number)?;
            let of_this: HashSet<UserId> = inboxes::members(read, agent.account(), inbox.id)?.into_iter().collect();
            members = Some(members.map_or(of_this.clone(), |known| &known & &of_this));
        }
        let mut found = active(read, &agent)?;
        let members = members.unwrap_or_default();
        found.retain(|user| members.contains(&user.id) || shapes::role(user) == "administrator");
        Ok::<_, Error>(found)
    });
    let list: Vec<Value> = found.await?.iter().map(|user| shapes::agent(user, account)).collect();
    Ok(Json(json!({"payload": list})))
}

fn team_view(agent: &Agent, team: &teams::Team) -> Value {
    shapes::team(team, agent.account().0, team.members.contains(&agent.user.id))
}

pub async fn teams(State(hub): State<Hub>, agent: Agent) -> Result<Json<Value>> {
    let tenant = agent.account();
    let mut found = hub.db.read(move |read| teams::list(read, tenant, Page::first(LIST_LIMIT))).await?;
    found.sort_by(|a, b| (&a.name, a.number).cmp(&(&b.name, b.number)));
    Ok(Json(found.iter().map(|team| team_view(&agent, team)).collect()))
}

type OfAccount = Path<(Number, Number)>;

pub async fn team(State(hub): State<Hub>, agent: Agent, Path((_, team)): OfAccount) -> Result<Json<Value>> {
    let tenant = agent.account();
    let found = hub.db.read(move |read| teams::by_number(read, tenant, team.0)).await?;
    Ok(Json(team_view(&agent, &found)))
}

pub async fn create_team(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    agent.admin()?;
    let params = params.wrapped("team")?;
    let name = params.word("name").ok_or_else(|| invalid("Name must be present", "name"))?.to_lowercase();
    let command = teams::Create {
        name,
        description: params.word("description"),
        members: Vec::new(),
        is_default: false,
        mode: if params.truth("allow_auto_assign").unwrap_or(true) { Mode::RoundRobin } else { Mode::Manual },
        capacity: None,
    };
    let ctx = agent.ctx();
    let made = hub.db.write(move |tx| teams::create(tx, &ctx, &command)).await.map_err(team_taken)?;
    Ok(Json(team_view(&agent, &made)))
}

fn team_taken(error: Error) -> Refused {
    if error.code == "team_exists" { invalid("Name has already been taken", "name") } else { error.into() }
}

pub async fn update_team(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, team)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    agent.admin()?;
    let params = params.wrapped("team")?;
    let command = teams::Update {
        name: params.word("name").map(|name| name.to_lowercase()),
        description: params.has("description").then(|| params.word("description")),
        ..teams::Update::default()
    };
    let (ctx, is_automatic) = (agent.ctx(), params.truth("allow_auto_assign"));
    let made = hub.db.write(move |tx| {
        let team = teams::by_number(tx, ctx.tenant, team.0)?;
        let mode = match is_automatic {
            Some(false) => Some(Mode::Manual),
            Some(true) if !team.mode.is_automatic() => Some(Mode::RoundRobin),
            _ => None,
        };
        teams::update(tx, &ctx, team.id, &teams::Update { mode, ..command.clone() })
    });
    Ok(Json(team_view(&agent, &made.await.map_err(team_taken)?)))
}

pub async fn delete_team(State(hub): State<Hub>, agent: Agent, Path((_, team)): OfAccount) -> Result<StatusCode> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = teams::by_number(tx, ctx.tenant, team.0)?.id;
        teams::delete(tx, &ctx, id)
    });
    done.await?;
    Ok(StatusCode::OK)
}

pub async fn labels(State(hub): State<Hub>, agent: Agent) -> Result<Json<Value>> {
    let tenant = agent.account();
    let mut found = hub.db.read(move |read| tags::list(read, tenant, Page::first(LIST_LIMIT))).await?;
    found.sort_by(|a, b| a.slug.cmp(&b.slug));
    Ok(Json(json!({"payload": found.iter().map(shapes::label).collect::<Vec<_>>()})))
}

pub async fn label(State(hub): State<Hub>, agent: Agent, Path((_, label)): OfAccount) -> Result<Json<Value>> {
    let tenant = agent.account();
    let found = hub.db.read(move |read| tags::by_number(read, tenant, label.0)).await?;
    Ok(Json(shapes::label(&found)))
}

pub async fn create_label(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    agent.admin()?;
    let params = params.wrapped("label")?;
    let title = params.word("title").ok_or_else(|| invalid("Title must be present", "title"))?.to_lowercase();
    let slug = match slug::check(&title, "/title") {
        Ok(()) => title.clone(),
        Err(_) => slug::from_name(&title).ok_or_else(|| invalid("Title is invalid", "title"))?,
    };
    let command = tags::Create {
        slug: Some(slug),
        name: title,
        description: params.word("description"),
        ..tags::Create::default()
    };
    let (ctx, look) = (agent.ctx(), look(&params));
    let made = hub.db.write(move |tx| {
        let id = tags::create(tx, &ctx, &command)?.id;
        tags::look(tx, &ctx, id, &tags::Look { title: None, ..look.clone() })
    });
    Ok(Json(shapes::label(&made.await.map_err(title_taken)?)))
}

fn title_taken(error: Error) -> Refused {
    if error.code == "tag_exists" { invalid("Title has already been taken", "title") } else { error.into() }
}

/// How a request wants a label to look.
fn look(params: &Params) -> tags::Look {
    tags::Look {
        title: params.word("title").map(|title| title.to_lowercase()),
        description: params.has("description").then(|| params.word("description")),
        color: params.word("color"),
        is_in_sidebar: params.truth("show_on_sidebar"),
    }
}

pub async fn update_label(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, label)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    agent.admin()?;
    let (ctx, look) = (agent.ctx(), look(&params.wrapped("label")?));
    let made = hub.db.write(move |tx| {
        let id = tags::by_number(tx, ctx.tenant, label.0)?.id;
        tags::look(tx, &ctx, id, &look)
    });
    Ok(Json(shapes::label(&made.await.map_err(title_taken)?)))
}

pub async fn delete_label(State(hub): State<Hub>, agent: Agent, Path((_, label)): OfAccount) -> Result<StatusCode> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = tags::by_number(tx, ctx.tenant, label.0)?.id;
        // Its clients know no trees: what hangs below another label stays a label.
        tags::delete(tx, &ctx, id, tags::Children::Lift)
    });
    done.await?;
    Ok(StatusCode::OK)
}

/// Which records a definition is for; none for a word or code that is not known.
fn model(params: &Params) -> Option<Entity> {
    match params.word("attribute_model").as_deref() {
        Some("contact_attribute" | "1") => Some(Entity::Contact),
        Some("conversation_attribute" | "0") => Some(Entity::Conversation),
        _ => None,
    }
}

pub async fn definitions(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let (tenant, wanted) = (agent.account(), model(&Params::of_query(query.as_deref())));
    let mut found = hub.db.read(move |read| fields::list(read, tenant, Page::first(LIST_LIMIT))).await?;
    found.retain(|field| wanted.is_none_or(|entity| field.entity == entity));
    found.sort_by_key(|field| field.number);
    Ok(Json(found.iter().map(shapes::attribute_definition).collect()))
}

pub async fn definition(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let tenant = agent.account();
    let found = hub.db.read(move |read| fields::by_number(read, tenant, number.0)).await?;
    Ok(Json(shapes::attribute_definition(&found)))
}

pub async fn create_definition(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    agent.admin()?;
    let params = params.wrapped("custom_attribute_definition")?;
    let key = params.word("attribute_key").ok_or_else(|| invalid("Attribute key can't be blank", "attribute_key"))?;
    let entity = model(&params).ok_or_else(|| invalid("Attribute model is invalid", "attribute_model"))?;
    let shadowed = match entity {
        Entity::Contact => ["name", "email", "phone_number", "identifier", "country_code", "city", "created_at"],
        Entity::Conversation => ["status", "priority", "assignee_id", "inbox_id", "team_id", "labels", "created_at"],
    };
    if shadowed.contains(&key.as_str()) {
        let text = "Attribute key The provided key is not allowed as it might conflict with default attributes.";
        return Err(invalid(text, "attribute_key"));
    }
    let field_type = field_type(display(&params));
    let options = params.texts("attribute_values").into_iter();
    let command = fields::Create {
        entity,
        name: params.word("attribute_display_name").unwrap_or_else(|| key.clone()),
        key,
        field_type,
        options: match field_type {
            FieldType::Select => options.map(|text| SelectOption { value: text.clone(), label: text }).collect(),
            _ => Vec::new(),
        },
    };
    let (ctx, description, display) = (agent.ctx(), params.text("attribute_description"), display(&params));
    let made = hub.db.write(move |tx| {
        let id = fields::create(tx, &ctx, &command)?.id;
        fields::describe(tx, &ctx, id, description.as_deref(), display)
    });
    let made = made.await.map_err(|error| match error.code {
        "custom_field_exists" => invalid("Attribute key has already been taken", "attribute_key"),
        _ => error.into(),
    })?;
    Ok(Json(shapes::attribute_definition(&made)))
}

/// Our kind of value for one of Chatwoot's.
fn field_type(display: Option<&str>) -> FieldType {
    match display {
        Some("number" | "currency" | "percent") => FieldType::Number,
        Some("date") => FieldType::Date,
        Some("list") => FieldType::Select,
        Some("checkbox") => FieldType::Checkbox,
        _ => FieldType::Text,
    }
}

/// The kind of value in Chatwoot's words, which has more of them.
fn display(params: &Params) -> Option<&'static str> {
    const KINDS: [&str; 8] = ["text", "number", "currency", "percent", "link", "date", "list", "checkbox"];
    let word = params.word("attribute_display_type")?;
    let by_code = || word.parse::<usize>().ok().and_then(|code| KINDS.get(code));
    KINDS.iter().find(|kind| **kind == word).or_else(by_code).copied()
}

pub async fn update_definition(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    agent.admin()?;
    let params = params.wrapped("custom_attribute_definition")?;
    let ctx = agent.ctx();
    let made = hub.db.write(move |tx| {
        let field = fields::by_number(tx, ctx.tenant, number.0)?;
        let options = params.texts("attribute_values").into_iter();
        let options = options.map(|text| SelectOption { value: text.clone(), label: text }).collect();
        let is_select = field.definition.field_type == FieldType::Select;
        // What records hold already is of one kind: only what a kind is called changes, not the kind.
        let command = fields::Update {
            name: params.word("attribute_display_name"),
            options: (is_select && params.has("attribute_values")).then_some(options),
            ..fields::Update::default()
        };
        fields::update(tx, &ctx, field.id, &command)?;
        let display = display(&params).filter(|display| field_type(Some(display)) == field.definition.field_type);
        fields::describe(tx, &ctx, field.id, params.text("attribute_description").as_deref(), display)
    });
    Ok(Json(shapes::attribute_definition(&made.await?)))
}

pub async fn delete_definition(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
) -> Result<StatusCode> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = fields::by_number(tx, ctx.tenant, number.0)?.id;
        fields::delete(tx, &ctx, id)
    });
    done.await?;
    Ok(StatusCode::NO_CONTENT)
}
