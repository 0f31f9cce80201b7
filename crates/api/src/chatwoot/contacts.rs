//! Contacts of the application API.

use super::Result;
use super::agent::Agent;
use super::filter;
use super::params::{self, Number, Params, invalid, taken};
use super::queue::{cut, labels};
use super::refused::Refused;
use super::view::Scene;
use crate::http::reply::Json;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;
use tieline_core::contact_inboxes::{self, ContactInbox};
use tieline_core::contacts::{self, Annotate, Contact, Upsert};
use tieline_core::conversations;
use tieline_core::ctx::Ctx;
use tieline_core::error::Error;
use tieline_core::fields::{self, validate::Entity};
use tieline_core::ids::{ContactId, TenantId};
use tieline_core::inboxes;
use tieline_db::{Read, Tx};
use tieline_wire::chatwoot::contact::contact as contact_shape;
use tieline_wire::chatwoot::inbox::slim;

/// Contacts of a page.
const PAGE: i64 = 15;
/// Conversations shown of one contact.
const CONVERSATIONS: i64 = 20;

type OfAccount = Path<(Number, Number)>;

fn page_of(params: &Params) -> Value {
    params.page().into()
}

/// Contacts with their addresses, unless a query does without.
fn shown(read: &mut Read, scene: &Scene, params: &Params, list: &[Contact]) -> tieline_core::Result<Vec<Value>> {
    let mut view = scene.view();
    match params.truth("include_contact_inboxes") {
        Some(false) => Ok(list.iter().map(contact_shape).collect()),
        _ => list.iter().map(|contact| view.contact(read, contact)).collect(),
    }
}

/// Contacts in order of what is not found in an index; as a search, among the last changed.
fn sort(list: &mut [Contact], order: &str) {
    let (key, down) = order.strip_prefix('-').map_or((order, false), |key| (key, true));
    let value = |contact: &Contact| match key {
        "name" => Some(contact.name.to_lowercase()),
        "email" => contact.email.clone(),
        "phone_number" => contact.phone.clone(),
        "created_at" => Some(format!("{:020}", contact.created_at)),
        "last_activity_at" => Some(format!("{:020}", contact.updated_at)),
        "company_name" | "city" | "country" => filter::member(&contact.metadata, key).map(|text| text.to_lowercase()),
        _ => None,
    };
    list.sort_by(|a, b| match (value(a), value(b)) {
        (Some(a), Some(b)) if down => b.cmp(&a),
        (Some(a), Some(b)) => a.cmp(&b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
}

/// Contacts that one search finds at most.
const FOUND: usize = 10_000;

pub async fn list(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let (params, scene) = (Params::of_query(query.as_deref()), agent.scene());
    let body = hub.db.read(move |read| {
        let (order, labels) = (params.word("sort").unwrap_or_default(), labels(&params));
        let mut meta = json!({
            "count": contacts::count(read, scene.tenant, &labels)?,
            "current_page": page_of(&params),
        });
        let list = match order.trim_start_matches('-') {
            "company_name" | "city" | "country" => {
                let (mut found, is_all) = contacts::seek(read, scene.tenant, FOUND, |read, mut batch| {
                    batch.retain(|contact| {
                        contact.email.is_some() || contact.phone.is_some() || contact.external_id.is_some()
                    });
                    tagged(read, &scene, &labels, batch)
                })?;
                sort(&mut found, &order);
                meta["complete"] = is_all.into();
                cut(found, params.page(), PAGE)
            }
            _ => contacts::page(read, scene.tenant, &order, &labels, (params.page(), PAGE))?,
        };
        let payload = shown(read, &scene, &params, &list)?;
        Ok::<_, Error>(json!({"meta": meta, "payload": payload}))
    });
    Ok(Json(body.await?))
}

/// Those of a batch that carry any of the labels, if there are any.
fn tagged(
    read: &mut Read,
    scene: &Scene,
    labels: &[String],
    mut batch: Vec<Contact>,
) -> tieline_core::Result<Vec<Contact>> {
    if !labels.is_empty() {
        let carried = labels_of(read, scene, &batch)?;
        batch.retain(|contact| carried.get(&contact.id).is_some_and(|own| own.iter().any(|tag| labels.contains(tag))));
    }
    Ok(batch)
}

fn labels_of(
    read: &mut Read,
    scene: &Scene,
    batch: &[Contact],
) -> tieline_core::Result<HashMap<ContactId, Vec<String>>> {
    let ids: Vec<ContactId> = batch.iter().map(|contact| contact.id).collect();
    contacts::tags_of(read, scene.tenant, &ids)
}

/// Whoever has the text as an address, however long ago they changed; then those among the last changed who have it in their
/// name or an address.
pub(super) fn found(
    read: &mut Read,
    tenant: TenantId,
    text: &str,
    limit: usize,
) -> tieline_core::Result<(Vec<Contact>, bool)> {
    let needle = text.to_lowercase();
    let mut list: Vec<Contact> = Vec::new();
    if needle.is_empty() {
        return Ok((list, true));
    }
    for (kind, value) in [
        (contacts::handle::PHONE, text.to_owned()),
        (contacts::handle::PHONE, format!("+{}", text.trim_start_matches('+'))),
        (contacts::handle::EMAIL, needle.clone()),
        (contacts::handle::EXTERNAL_ID, text.to_owned()),
    ] {
        let owner = contacts::by_address(read, tenant, kind, &value)?;
        list.extend(owner.filter(|owner| list.iter().all(|known| known.id != owner.id)));
    }
    let matches = |contact: &Contact| {
        let folded = [Some(&contact.name), contact.email.as_ref(), contact.phone.as_ref()];
        folded.into_iter().flatten().any(|text| text.to_lowercase().contains(&needle))
            || contact.external_id.as_ref().is_some_and(|id| id.contains(text))
    };
    let owners: Vec<ContactId> = list.iter().map(|owner| owner.id).collect();
    let (others, is_all) = contacts::seek(read, tenant, limit, |_, mut batch| {
        batch.retain(|contact| matches(contact) && !owners.contains(&contact.id));
        Ok(batch)
    })?;
    list.extend(others);
    list.truncate(limit);
    Ok((list, is_all))
}

pub async fn search(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    let (params, scene) = (Params::of_query(query.as_deref()), agent.scene());
    let body = hub.db.read(move |read| {
        let (text, order) = (params.word("q").unwrap_or_default(), params.word("sort"));
        let end = params.page().saturating_mul(PAGE) as usize;
        let limit = if order.is_some() { FOUND } else { FOUND.min(end + 1) };
        let (mut found, is_all) = found(read, scene.tenant, &text, limit)?;
        sort(&mut found, order.as_deref().unwrap_or_default());
        let has_more = found.len() > end;
        let page = cut(found, params.page(), PAGE);
        let payload = shown(read, &scene, &params, &page)?;
        let meta = json!({
            "count": payload.len(),
            "current_page": page_of(&params),
            "has_more": has_more,
            "complete": is_all || has_more,
        });
        Ok::<_, Error>(json!({"meta": meta, "payload": payload}))
    });
    Ok(Json(body.await?))
}

pub async fn filter(
    State(hub): State<Hub>,
    agent: Agent,
    RawQuery(query): RawQuery,
    body: Params,
) -> Result<Json<Value>> {
    let (params, scene) = (Params::of_query(query.as_deref()), agent.scene());
    let tenant = agent.account();
    let custom = hub.db.read(move |read| fields::definitions(read, tenant, Entity::Contact)).await?;
    let conditions = filter::conditions(body.raw("payload"), &filter::OF_CONTACTS, &custom)?;
    let answer = hub.db.read(move |read| {
        let now = read.now();
        let (mut found, is_all) = match filter::addresses(&conditions) {
            Some(addresses) => {
                let mut found: Vec<Contact> = Vec::new();
                for (kind, value) in addresses.iter().take(100) {
                    let owner = contacts::by_address(read, tenant, kind, value)?;
                    found.extend(owner.filter(|owner| found.iter().all(|known| known.id != owner.id)));
                }
                (found, true)
            }
            None => contacts::seek(read, tenant, FOUND, |read, mut batch| {
                let labels = match filter::asks(&conditions, "labels") {
                    true => labels_of(read, &scene, &batch)?,
                    false => HashMap::new(),
                };
                let own = |contact: &Contact| labels.get(&contact.id).map_or(&[][..], Vec::as_slice);
                batch.retain(|contact| filter::meets(&conditions, &(contact, own(contact)), now));
                Ok(batch)
            })?,
        };
        sort(&mut found, &params.word("sort").unwrap_or_default());
        let count = found.len();
        let payload = shown(read, &scene, &params, &cut(found, params.page(), PAGE))?;
        let meta = json!({"count": count, "current_page": page_of(&params), "complete": is_all});
        Ok::<_, Error>(json!({"meta": meta, "payload": payload}))
    });
    Ok(Json(answer.await?))
}

pub async fn show(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>> {
    let (params, scene) = (Params::of_query(query.as_deref()), agent.scene());
    let view = hub.db.read(move |read| {
        let contact = contacts::by_number(read, scene.tenant, number.0)?;
        Ok::<_, Error>(shown(read, &scene, &params, &[contact])?.pop())
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

pub async fn labels_shown(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let scene = agent.scene();
    let carried = hub.db.read(move |read| {
        let contact = contacts::by_number(read, scene.tenant, number.0)?;
        let id = contact.id;
        Ok::<_, Error>(labels_of(read, &scene, &[contact])?.remove(&id).unwrap_or_default())
    });
    Ok(Json(json!({"payload": carried.await?})))
}

/// All labels of a contact from now on.
pub async fn set_labels(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, number)): OfAccount,
    params: Params,
) -> Result<Json<Value>> {
    let ctx = agent.ctx();
    let labels = hub.db.write(move |tx| {
        let id = contacts::by_number(tx, ctx.tenant, number.0)?.id;
        contacts::set_tags(tx, &ctx, id, &params.texts("labels"))
    });
    Ok(Json(json!({"payload": labels.await?})))
}

pub async fn conversations(State(hub): State<Hub>, agent: Agent, Path((_, number)): OfAccount) -> Result<Json<Value>> {
    let scene = agent.scene();
    let view = hub.db.read(move |read| {
        let contact = contacts::by_number(read, scene.tenant, number.0)?;
        let list = conversations::of_contact(read, scene.tenant, contact.id, agent.viewer(), None, CONVERSATIONS)?;
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
