//! Contacts of the application API.

use super::Result;
use super::agent::Agent;
use super::filter;
use super::params::{self, Number, Params, invalid, taken};
use super::refused::Refused;
use super::view::Scene;
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use http::StatusCode;
use serde_json::{Value, json};
use tieline_core::contact_inboxes::{self, ContactInbox};
use tieline_core::contacts::{self, Annotate, Contact, Upsert};
use tieline_core::conversations;
use tieline_core::ctx::Ctx;
use tieline_core::error::Error;
use tieline_core::fields::{self, validate::Entity};
use tieline_core::inboxes;
use tieline_db::{Read, Tx};
use tieline_wire::chatwoot::inbox::slim;

/// Contacts of a page.
const PAGE: i64 = 15;
/// Conversations shown of one contact.
const CONVERSATIONS: i64 = 20;

type OfAccount = Path<(Number, Number)>;

fn page_of(params: &Params) -> Value {
    params.page().into()
}

fn views(read: &mut Read, scene: &Scene, list: &[Contact]) -> tieline_core::Result<Vec<Value>> {
    let mut view = scene.view();
    list.iter().map(|contact| view.contact(read, contact)).collect()
}

pub async fn list(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let (params, scene) = (Params::of_query(query.as_deref()), agent.scene());
    let body = hub.db.read(move |read| {
        let order = params.word("sort").unwrap_or_default();
        let list = contacts::page(read, scene.tenant, &order, PAGE, (params.page() - 1) * PAGE)?;
        let (count, payload) = (contacts::count(read, scene.tenant)?, views(read, &scene, &list)?);
        Ok::<_, Error>(json!({"meta": {"count": count, "current_page": page_of(&params)}, "payload": payload}))
    });
    Ok(Json(body.await?))
}

pub async fn search(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let (params, scene) = (Params::of_query(query.as_deref()), agent.scene());
    let body = hub.db.read(move |read| {
        let needle = params.word("q").unwrap_or_default().to_lowercase();
        let matches = |contact: &Contact| {
            [Some(&contact.name), contact.email.as_ref(), contact.phone.as_ref(), contact.external_id.as_ref()]
                .into_iter()
                .flatten()
                .any(|text| text.to_lowercase().contains(&needle))
        };
        let end = (params.page() * PAGE) as usize;
        let found = match needle.is_empty() {
            true => Vec::new(),
            false => contacts::seek(read, scene.tenant, end + 1, matches)?,
        };
        let has_more = found.len() > end;
        let shown: Vec<Contact> = found.into_iter().take(end).skip(end - PAGE as usize).collect();
        let payload = views(read, &scene, &shown)?;
        let meta = json!({"count": payload.len(), "current_page": page_of(&params), "has_more": has_more});
        Ok::<_, Error>(json!({"meta": meta, "payload": payload}))
    });
    Ok(Json(body.await?))
}

/// Contacts that one filter finds at most.
const FILTERED: usize = 10_000;

pub async fn filter(
    State(hub): State<Hub>,
    agent: Agent,
    RawQuery(query): RawQuery,
    body: Params,
) -> Result<Json<Value>> {
    let (params, scene) = (Params::of_query(query.as_deref()), agent.scene());
    let tenant = agent.account();
    let custom = hub.db.read(move |read| fields::definitions(read, tenant, Entity::Contact)).await?;
    let conditions = filter::conditions(body.raw("payload"), &custom)?;
    let answer = hub.db.read(move |read| {
        let now = read.now();
        let found = match filter::addresses(&conditions) {
            Some(addresses) => {
                let mut found: Vec<Contact> = Vec::new();
                for (kind, value) in addresses.iter().take(100) {
                    let owner = contacts::by_address(read, tenant, kind, value)?;
                    found.extend(owner.filter(|owner| found.iter().all(|known| known.id != owner.id)));
                }
                found
            }
            None => contacts::seek(read, tenant, FILTERED, |contact| filter::meets(&conditions, contact, now))?,
        };
        let first = ((params.page() - 1) * PAGE) as usize;
        let count = found.len();
        let shown: Vec<Contact> = found.into_iter().skip(first).take(PAGE as usize).collect();
        let payload = views(read, &scene, &shown)?;
        Ok::<_, Error>(json!({"meta": {"count": count, "current_page": page_of(&params)}, "payload": payload}))
    });
    Ok(Json(answer.await?))
}

pub async fn show(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let scene = agent.scene();
    let view = hub.db.read(move |read| {
        let contact = contacts::by_number(read, scene.tenant, number.0)?;
        scene.view().contact(read, &contact)
    });
    Ok(Json(json!({"payload": view.await?})))
}

/// What a request says of a contact beside name and addresses.
pub(super) fn annotation(params: &Params) -> Annotate {
    Annotate {
        custom_fields: params.object("custom_attributes").unwrap_or_default(),
        without: Vec::new(),
        metadata: params.object("additional_attributes").unwrap_or_default(),
        is_blocked: params.truth("blocked"),
        avatar_url: params.word("avatar_url").filter(|url| url.len() <= 2048).map(Some),
    }
}

/// Whether there is anything to annotate.
pub(super) fn says_more(note: &Annotate) -> bool {
    !note.custom_fields.is_empty()
        || !note.metadata.is_empty()
        || note.is_blocked.is_some()
        || note.avatar_url.is_some()
}

/// The first address of a request that somebody has, in the order in which Chatwoot complains.
pub(super) fn owned(
    read: &mut Read,
    tenant: tieline_core::ids::TenantId,
    who: &Upsert,
) -> tieline_core::Result<&'static str> {
    use tieline_core::contacts::handle;
    let addresses = [
        (handle::EMAIL, &who.email, "email"),
        (handle::EXTERNAL_ID, &who.external_id, "identifier"),
        (handle::PHONE, &who.phone, "phone_number"),
    ];
    for (kind, value, name) in addresses {
        if let Some(value) = value
            && contacts::by_address(read, tenant, kind, value)?.is_some()
        {
            return Ok(name);
        }
    }
    Ok("identifier")
}

pub async fn create(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    let identity = Upsert {
        name: params.word("name"),
        email: params::email(&params)?.flatten(),
        phone: params::phone(&params)?.flatten(),
        external_id: params.word("identifier"),
    };
    let named = identity.name.is_some() || identity.email.is_some();
    let anybody = named || identity.phone.is_some() || identity.external_id.is_some();
    // Chatwoot makes a contact of nothing at all.
    let identity = if anybody { identity } else { Upsert { name: Some(String::from("Contact")), ..identity } };
    let who = identity.clone();
    let (scene, ctx, note) = (agent.scene(), agent.ctx(), annotation(&params));
    let made = hub.db.write(move |tx| {
        let inbox = match params.number("inbox_id") {
            Some(number) => Some(inboxes::by_number(tx, ctx.tenant, number)?),
            None => None,
        };
        let create = contacts::Create { identity: identity.clone(), custom_fields: Default::default() };
        let mut contact = contacts::create(tx, &ctx, &create)?.contact;
        if says_more(&note) {
            contact = contacts::annotate(tx, &ctx, contact.id, &note)?;
        }
        let at = match &inbox {
            Some(inbox) => {
                let source = params.word("source_id").map_or_else(|| fresh(tx), Ok)?;
                Some(contact_inboxes::attach(tx, &ctx, inbox.id, contact.id, &source, false)?)
            }
            None => None,
        };
        let view = scene.view().contact(tx, &contact)?;
        let raw = inbox.as_ref().map(raw_inbox);
        let link = json!({"inbox": raw, "source_id": at.map(|at| at.source_id)});
        Ok::<_, Error>(json!({"payload": {"contact": view, "contact_inbox": link}}))
    });
    match made.await {
        Ok(body) => Ok(Json(body)),
        Err(error) if error.code == "contact_exists" => {
            let tenant = agent.account();
            let attribute = hub.db.read(move |read| owned(read, tenant, &who)).await?;
            Err(taken(error, attribute))
        }
        Err(error) => Err(error.into()),
    }
}

/// The raw row of an inbox, as far as clients look.
fn raw_inbox(inbox: &inboxes::Inbox) -> Value {
    json!({"id": inbox.number, "channel_id": inbox.number, "name": inbox.name, "channel_type": "Channel::Api"})
}

/// A source id where the caller gives none.
pub(super) fn fresh(tx: &mut Tx) -> tieline_core::Result<String> {
    Ok(tx.new_id().to_string())
}

/// Changes a contact as a request says; addresses that somebody has are refused.
pub(super) fn change(
    tx: &mut Tx,
    ctx: &Ctx,
    contact: &Contact,
    cmd: &contacts::Update,
    note: &Annotate,
) -> tieline_core::Result<Contact> {
    let changed = contacts::update(tx, ctx, contact.id, cmd)?.contact;
    if says_more(note) { contacts::annotate(tx, ctx, contact.id, note) } else { Ok(changed) }
}

pub async fn update(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let command = contacts::Update {
        name: params.has("name").then(|| params.word("name")),
        email: params::email(&params)?,
        phone: params::phone(&params)?,
        external_id: params.has("identifier").then(|| params.word("identifier")),
        custom_fields: Default::default(),
    };
    let attribute = [("email", &command.email), ("identifier", &command.external_id), ("phone_number", &command.phone)];
    let attribute =
        attribute.iter().find(|(_, value)| matches!(value, Some(Some(_)))).map_or("email", |(name, _)| name);
    let (scene, ctx, note) = (agent.scene(), agent.ctx(), annotation(&params));
    let view = hub.db.write(move |tx| {
        let contact = contacts::by_number(tx, ctx.tenant, number.0)?;
        let contact = change(tx, &ctx, &contact, &command, &note)?;
        scene.view().contact(tx, &contact)
    });
    let view = view.await.map_err(|error| taken(error, attribute))?;
    Ok(Json(json!({"payload": view})))
}

pub async fn delete(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<StatusCode> {
    agent.admin()?;
    let ctx = agent.ctx();
    let done = hub.db.write(move |tx| {
        let id = contacts::by_number(tx, ctx.tenant, number.0)?.id;
        contacts::delete(tx, &ctx, id)
    });
    done.await?;
    Ok(StatusCode::OK)
}

pub async fn forget_attributes(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let note = Annotate { without: params.texts("custom_attributes"), ..Annotate::default() };
    let (scene, ctx) = (agent.scene(), agent.ctx());
    let view = hub.db.write(move |tx| {
        let contact = contacts::by_number(tx, ctx.tenant, number.0)?;
        let contact = contacts::annotate(tx, &ctx, contact.id, &note)?;
        scene.view().contact(tx, &contact)
    });
    Ok(Json(json!({"payload": view.await?})))
}

pub async fn conversations(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let scene = agent.scene();
    let view = hub.db.read(move |read| {
        let contact = contacts::by_number(read, scene.tenant, number.0)?;
        let mut list = conversations::of_contact(read, scene.tenant, contact.id, CONVERSATIONS)?;
        let visible = agent.inboxes(read)?;
        list.retain(|v| visible.as_ref().is_none_or(|visible| visible.contains(&v.inbox)));
        scene.view().conversations(read, &list)
    });
    Ok(Json(json!({"payload": view.await?})))
}

pub async fn contactable(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let tenant = agent.account();
    let list = hub.db.write(move |tx| {
        let contact = contacts::by_number(tx, tenant, number.0)?;
        let mut list = Vec::new();
        for inbox in inboxes::by_name(tx, tenant)? {
            if inbox.channel == tieline_core::conversations::channel::Channel::Api {
                let known = contact_inboxes::newest(tx, tenant, contact.id, inbox.id)?;
                let source = known.map_or_else(|| fresh(tx), |at| Ok(at.source_id))?;
                list.push(json!({"inbox": slim(&inbox), "source_id": source}));
            }
        }
        Ok::<_, Error>(list)
    });
    Ok(Json(json!({"payload": list.await?})))
}

pub async fn attach(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let ctx = agent.ctx();
    let view = hub.db.write(move |tx| {
        let contact = contacts::by_number(tx, ctx.tenant, number.0)?;
        let inbox = inboxes::by_number(tx, ctx.tenant, params.number("inbox_id").unwrap_or(0))?;
        agent.sees(tx, inbox.id)?;
        let at =
            reach(tx, &ctx, &inbox, &contact, params.word("source_id"), params.truth("hmac_verified") == Some(true))?;
        Ok::<_, Error>(json!({"source_id": at.source_id, "inbox": slim(&inbox)}))
    });
    Ok(Json(view.await?))
}

/// The contact's address in an inbox: the one named, or its newest there, or a new one.
pub(super) fn reach(
    tx: &mut Tx,
    ctx: &Ctx,
    inbox: &inboxes::Inbox,
    contact: &Contact,
    source: Option<String>,
    is_verified: bool,
) -> tieline_core::Result<ContactInbox> {
    let known = match source {
        Some(source) => return contact_inboxes::attach(tx, ctx, inbox.id, contact.id, &source, is_verified),
        None => contact_inboxes::newest(tx, ctx.tenant, contact.id, inbox.id)?,
    };
    match known {
        Some(at) if is_verified && !at.is_verified => contact_inboxes::verify(tx, ctx, &at),
        Some(at) => Ok(at),
        None => {
            let source = fresh(tx)?;
            contact_inboxes::attach(tx, ctx, inbox.id, contact.id, &source, is_verified)
        }
    }
}

pub async fn by_source(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    let scene = agent.scene();
    let view = hub.db.read(move |read| {
        let inbox = inboxes::by_number(read, scene.tenant, params.number("inbox_id").unwrap_or(0))?;
        agent.sees(read, inbox.id)?;
        let source = params.word("source_id").unwrap_or_default();
        let at = contact_inboxes::find(read, scene.tenant, inbox.id, &source)?;
        let at = at.ok_or_else(|| Error::not_found("contact"))?;
        let contact = contacts::get(read, scene.tenant, at.contact)?;
        scene.view().contact(read, &contact)
    });
    Ok(Json(view.await?))
}

pub async fn merge(State(hub): State<Hub>, agent: Agent, params: Params) -> Result<Json<Value>> {
    let (base, from) = (params.number("base_contact_id"), params.number("mergee_contact_id"));
    if base.is_some() && base == from {
        return Err(invalid("A contact cannot be merged into itself", "mergee_contact_id"));
    }
    let (Some(base), Some(from)) = (base, from) else { return Err(Refused::Core(Error::not_found("contact"))) };
    let (scene, ctx) = (agent.scene(), agent.ctx());
    let view = hub.db.write(move |tx| {
        let base = contacts::by_number(tx, ctx.tenant, base)?;
        let from = contacts::by_number(tx, ctx.tenant, from)?;
        let merged = contacts::merge(tx, &ctx, base.id, &[from.id])?;
        scene.view().contact(tx, &merged)
    });
    Ok(Json(view.await?))
}
