//! The client API: no credentials; the inbox's identifier and the contact's source id are the capability, a hash may prove
//! more. Browsers call it from anywhere.

use super::contacts::annotation;
use super::messages::{append, content};
use super::params::{self, Number, Params, with_files};
use super::refused::Refused;
use super::room::{self, Speaker};
use super::survey;
use super::view::{Scene, public_messages};
use super::{Result, add, public_paths};
use crate::http::reply::Json;
use crate::http::request::{Path, RequestId};
use crate::http::visit::Visit;
use crate::hub::Hub;
use crate::limits::{admit, meter};
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, RawQuery, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tieline_core::contact_inboxes::{self, ContactInbox, Meet};
use tieline_core::contacts::{self, Contact, Upsert};
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{self, Conversation, Looker, OpenIn};
use tieline_core::ctx::{Actor, ActorKind, Ctx};
use tieline_core::error::Error;
use tieline_core::inboxes::{self, Called, Inbox};
use tieline_core::limits::{Limits, Who};
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::{self, Author, Edit, NewMessage};
use tieline_core::{surveys, tenants};
use tieline_db::Read;
use tieline_wire::chatwoot::{contact as contact_shapes, inbox as inbox_shapes};

/// How many times the rate of a key all clients of an inbox share.
pub(super) const RATE: i64 = 10;
/// Conversations shown of one contact, and messages of a page.
const CONVERSATIONS: i64 = 20;
const PAGE: i64 = 20;

/// The routes, open to browsers of any origin.
pub(super) fn routes() -> Router<Hub> {
    let mut router = Router::new();
    for (path, methods) in public_paths() {
        router = add(router, &path, methods.options(async || StatusCode::NO_CONTENT));
    }
    // What a body may have is checked while it is read; only messages take files.
    router.layer(from_fn(open_to_browsers)).layer(DefaultBodyLimit::disable())
}

async fn open_to_browsers(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if preflight {
        let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers
            .insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*, Authorization, Content-Type"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    }
    response
}

/// An inbox that was found by its identifier.
#[derive(Clone)]
pub(super) struct Door {
    pub inbox: Inbox,
    pub scene: Scene,
}

impl FromRequestParts<Hub> for Door {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Door> {
        let rest = parts.uri.path().strip_prefix("/public/api/v1/inboxes/").unwrap_or("");
        let identifier = rest.split('/').next().unwrap_or("").trim_end_matches(".json").to_owned();
        let found = hub.db.read(move |read| {
            let (tenant, inbox) = inboxes::by_identifier(read, &identifier)?;
            Ok::<_, Error>((tenants::get(read, tenant)?, inbox))
        });
        let found = found.await;
        let called = found.as_ref().map_or(Called::Nobody, |(tenant, inbox)| Called::Inbox(tenant.id, inbox.id));
        if let Some(visit) = Visit::of(parts) {
            visit.call(called);
        }
        let found = found.and_then(|(tenant, inbox)| match inbox.channel {
            Channel::Api => Ok((tenant, inbox)),
            _ => Err(Error::not_found("inbox")),
        });
        let (tenant, inbox) = found.map_err(|error| Refused::from(error).publicly())?;
        let meter = meter(hub, Who { tenant: tenant.id, principal: inbox.id.0 }).await?;
        let plan = tenant.limits();
        let limits =
            Limits { per_minute: plan.per_minute.saturating_mul(RATE), burst: 0, per_day: None, per_month: None };
        admit(hub, parts, &tenant, &inbox.id.to_string().into(), &meter, &limits)?;
        if !tenant.plan.has_api {
            return Err(Refused::unauthorized("Account is suspended"));
        }
        Ok(Door { inbox, scene: Scene::new(hub, &tenant, false) })
    }
}

impl Door {
    pub fn ctx(&self, hub: &Hub, id: &RequestId, contact: Option<&Contact>) -> Ctx {
        let actor = Actor {
            kind: ActorKind::Contact,
            id: contact.map(|contact| contact.id.to_string().into()),
            name: contact.map(|contact| contact.name.as_str().into()),
        };
        hub.ctx(self.scene.tenant, actor, id.as_str())
    }
    /// The contact at a source id.
    fn contact(&self, read: &mut Read, source: &str) -> tieline_core::Result<(ContactInbox, Contact)> {
        let source = source.trim_end_matches(".json");
        let at = contact_inboxes::find(read, self.scene.tenant, self.inbox.id, source)?;
        let at = at.ok_or_else(|| Error::not_found("contact"))?;
        let contact = contacts::get(read, self.scene.tenant, at.contact)?;
        Ok((at, contact))
    }
    /// A conversation that the contact may see: its own here, or all of its own once it proved who it is.
    fn conversation(&self, read: &mut Read, at: &ContactInbox, number: i64) -> tieline_core::Result<Conversation> {
        let v = conversations::by_number(read, self.scene.tenant, number)?;
        match is_shown(at, &v) {
            true => Ok(v),
            false => Err(Error::not_found("conversation")),
        }
    }
    /// Whether a request proves that its sender is who `identifier` names: none when it says nothing and need not.
    ///
    /// Errors: 401 for a wrong hash, and for none where the inbox wants one.
    fn proof(&self, params: &Params, identifier: Option<&str>) -> Result<bool> {
        let given = params.word("identifier_hash");
        if given.is_none() && !self.inbox.is_identity_required {
            return Ok(false);
        }
        let token = self.scene.hmac_token(&self.inbox)?;
        let proves = |hash: &String| identifier.is_some_and(|identifier| inboxes::proves(&token, identifier, hash));
        match given.as_ref().is_some_and(proves) {
            true => Ok(true),
            false => Err(Refused::unauthorized("HMAC failed: Invalid Identifier Hash Provided")),
        }
    }
}

fn is_shown(at: &ContactInbox, v: &Conversation) -> bool {
    let is_theirs = v.contact.id == at.contact;
    is_theirs && (at.is_verified || (v.inbox == at.inbox && v.source_id.as_deref() == Some(at.source_id.as_str())))
}

type OfContact = Path<(String, String)>;
type OfConversation = Path<(String, String, Number)>;
type OfMessage = Path<(String, String, Number, Number)>;

pub async fn inbox(door: Door) -> Json<Value> {
    Json(inbox_shapes::public(&door.inbox))
}

/// Who a request says it is, at this address, and whether that is proven.
///
/// Errors: 401 for a wrong hash, and for none where the inbox wants one; 422 for an address that is none.
pub(super) async fn sender(
    hub: &Hub,
    door: &Door,
    params: &Params,
    source_id: Option<String>,
) -> Result<(Meet, Option<Contact>)> {
    let identity = Upsert {
        name: params.word("name"),
        email: params::email(params)?.flatten(),
        phone: params::phone(params)?.flatten(),
        external_id: params.word("identifier"),
    };
    // The address that is there already decides whose hash it must be.
    let asked = (door.clone(), source_id.clone());
    let known = hub.db.read(move |read| match &asked.1 {
        Some(source) => match asked.0.contact(read, source) {
            Ok((_, contact)) => Ok(Some(contact)),
            Err(error) if error.code == "not_found" => Ok(None),
            Err(error) => Err(error),
        },
        None => Ok(None),
    });
    let known = known.await?;
    let owner = known.as_ref().map_or(identity.external_id.as_deref(), |contact| contact.external_id.as_deref());
    let is_verified = door.proof(params, owner)?;
    Ok((Meet { inbox: door.inbox.id, source_id, identity, note: annotation(params), is_verified }, known))
}

pub async fn create_contact(State(hub): State<Hub>, door: Door, id: RequestId, params: Params) -> Result<Json<Value>> {
    let (command, known) = sender(&hub, &door, &params, params.word("source_id")).await?;
    let ctx = door.ctx(&hub, &id, known.as_ref());
    let met = hub.db.write(move |tx| contact_inboxes::meet(tx, &ctx, &command)).await?;
    Ok(Json(door.scene.public_contact(&met.contact, &met.at)))
}

/// What the client API knows of the caller: the inbox, the address and the contact.
async fn known(hub: &Hub, door: &Door, source: &str) -> Result<(ContactInbox, Contact)> {
    let (asked, source) = (door.clone(), source.to_owned());
    let found = hub.db.read(move |read| asked.contact(read, &source)).await;
    found.map_err(|error| Refused::from(error).publicly())
}

pub async fn contact(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source)): OfContact,
    id: RequestId,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>> {
    let (at, contact) = known(&hub, &door, &source).await?;
    let is_verified = door.proof(&Params::of_query(query.as_deref()), contact.external_id.as_deref())?;
    if !is_verified || at.is_verified {
        return Ok(Json(door.scene.public_contact(&contact, &at)));
    }
    let ctx = door.ctx(&hub, &id, Some(&contact));
    let at = hub.db.write(move |tx| contact_inboxes::verify(tx, &ctx, &at)).await?;
    Ok(Json(door.scene.public_contact(&contact, &at)))
}

pub async fn update_contact(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source)): OfContact,
    id: RequestId,
    params: Params,
) -> Result<Json<Value>> {
    let (at, contact) = known(&hub, &door, &source).await?;
    let is_verified = door.proof(&params, contact.external_id.as_deref())?;
    let (email, phone) = (params::email(&params)?.flatten(), params::phone(&params)?.flatten());
    let (ctx, mut note) = (door.ctx(&hub, &id, Some(&contact)), annotation(&params));
    note.is_blocked = None; // not for the contact to say
    if contact.avatar_url.is_some() {
        note.avatar_url = None;
    }
    let view = hub.db.write(move |tx| {
        let mut at = at.clone();
        if is_verified && !at.is_verified {
            at = contact_inboxes::verify(tx, &ctx, &at)?;
        }
        let mut contact = contact.clone();
        // Whoever has the address already is the same person: the two become one.
        for (kind, value) in [(contacts::handle::EMAIL, &email), (contacts::handle::PHONE, &phone)] {
            if let Some(value) = value
                && let Some(owner) = contacts::by_address(tx, ctx.tenant, kind, value)?
                && owner.id != contact.id
            {
                contact = contacts::merge(tx, &ctx, owner.id, &[contact.id])?;
            }
        }
        let command = contacts::Update {
            name: params.word("name").map(Some),
            email: email.clone().map(Some),
            phone: phone.clone().map(Some),
            ..contacts::Update::default()
        };
        let contact = super::contacts::change(tx, &ctx, &contact, &command, &note)?;
        let mut view = contact_shapes::raw(&contact, ctx.tenant.0);
        view["source_id"] = at.source_id.as_str().into();
        view["pubsub_token"] = door.scene.pubsub_token(&at).into();
        Ok::<_, Error>(view)
    });
    Ok(Json(view.await?))
}

pub async fn conversations(State(hub): State<Hub>, door: Door, Path((_, source)): OfContact) -> Result<Json<Value>> {
    let (at, contact) = known(&hub, &door, &source).await?;
    let view = hub.db.read(move |read| {
        // Who proved who it is sees all of its own.
        let address = (!at.is_verified).then_some((at.inbox, at.source_id.as_str()));
        let list = conversations::of_contact(read, door.scene.tenant, contact.id, None, address, CONVERSATIONS)?;
        let mut view = door.scene.view();
        list.iter().map(|v| view.public_conversation(read, v)).collect::<tieline_core::Result<Value>>()
    });
    Ok(Json(view.await?))
}

pub async fn create_conversation(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source)): OfContact,
    id: RequestId,
    params: Params,
) -> Result<Json<Value>> {
    let (at, contact) = known(&hub, &door, &source).await?;
    let ctx = door.ctx(&hub, &id, Some(&contact));
    let view = hub.db.write(move |tx| {
        let command = OpenIn {
            at: at.clone(),
            is_held: false,
            team: None,
            agent: None,
            priority: None,
            custom_fields: Value::Object(params.object("custom_attributes").unwrap_or_default()).to_string(),
            metadata: "{}".into(),
        };
        let mut v = conversations::open_in(tx, &ctx, &command)?;
        if contact.is_blocked {
            v = super::conversations::set_status(tx, &ctx, &v, "resolved", None)?;
        }
        door.scene.view().public_conversation(tx, &v)
    });
    Ok(Json(view.await?))
}

/// A conversation of the caller's.
async fn theirs(hub: &Hub, door: &Door, source: &str, number: Number) -> Result<(Contact, Conversation)> {
    let (at, contact) = known(hub, door, source).await?;
    let asked = door.clone();
    let found = hub.db.read(move |read| asked.conversation(read, &at, number.0)).await;
    let v = found.map_err(|error| Refused::from(error).publicly())?;
    Ok((contact, v))
}

pub async fn conversation(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source, number)): OfConversation,
) -> Result<Json<Value>> {
    let (_, v) = theirs(&hub, &door, &source, number).await?;
    let view = hub.db.read(move |read| door.scene.view().public_conversation(read, &v));
    Ok(Json(view.await?))
}

pub async fn resolve(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source, number)): OfConversation,
    id: RequestId,
) -> Result<Json<Value>> {
    let (contact, v) = theirs(&hub, &door, &source, number).await?;
    let ctx = door.ctx(&hub, &id, Some(&contact));
    let view = hub.db.write(move |tx| {
        let after = match v.status {
            Status::Done | Status::Archived => v.clone(),
            _ => super::conversations::set_status(tx, &ctx, &v, "resolved", None)?,
        };
        door.scene.view().public_conversation(tx, &after)
    });
    Ok(Json(view.await?))
}

pub async fn typing(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source, number)): OfConversation,
    id: RequestId,
    params: Params,
) -> Result<StatusCode> {
    let (contact, v) = theirs(&hub, &door, &source, number).await?;
    if let Some(is_on) = super::conversations::typing_status(&params) {
        let (ctx, conversation) = (door.ctx(&hub, &id, Some(&contact)), v.id);
        let typing = conversations::Typing { conversation, is_on, is_private: false };
        hub.db.write(move |tx| conversations::typing(tx, &ctx, &typing)).await?;
        let user = contact_shapes::sender(&contact);
        room::typing(&hub, &door.scene, v.id, Speaker::Contact(contact.id), user, is_on, false).await?;
    }
    Ok(StatusCode::OK)
}

pub async fn seen(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source, number)): OfConversation,
    id: RequestId,
) -> Result<StatusCode> {
    let (contact, v) = theirs(&hub, &door, &source, number).await?;
    let ctx = door.ctx(&hub, &id, Some(&contact));
    hub.db.write(move |tx| conversations::see(tx, &ctx, v.id, Looker::Contact)).await?;
    Ok(StatusCode::OK)
}

pub async fn messages(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source, number)): OfConversation,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>> {
    let (_, v) = theirs(&hub, &door, &source, number).await?;
    let before = Params::of_query(query.as_deref()).number("before");
    let view = hub.db.read(move |read| {
        let list = public_messages(read, door.scene.tenant, &v, before, PAGE)?;
        let mut view = door.scene.view();
        let list = list.iter().map(|message| view.public_message(read, &v, message));
        list.collect::<tieline_core::Result<Value>>()
    });
    Ok(Json(view.await?))
}

pub async fn create_message(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source, number)): OfConversation,
    id: RequestId,
    request: Request,
) -> Result<Json<Value>> {
    let (contact, v) = theirs(&hub, &door, &source, number).await?;
    let params = with_files(request, &hub, door.scene.tenant).await?;
    let text = content(&params).map_err(|_| {
        let text = "Content is too long (maximum is 150000 characters)";
        params::invalid(text, "content")
    })?;
    let message = NewMessage {
        direction: Direction::Inbound,
        author: Author { kind: Some(AuthorType::Contact), ..Author::default() },
        text,
        html: None,
        content: None,
        external_id: params.word("source_id"),
        sent_at: None,
        attachments: params.attach(&hub),
    };
    let done = append(&hub, door.ctx(&hub, &id, Some(&contact)), v.id, message).await?;
    let view = hub.db.read(move |read| {
        let mut view = door.scene.view().public_message(read, &done.conversation, &done.message)?;
        if let Some(echo_id) = params.raw("echo_id") {
            view["echo_id"] = echo_id.clone();
        }
        Ok::<_, Error>(view)
    });
    Ok(Json(view.await?))
}

/// The customer answers a form or a question of satisfaction.
pub async fn answer_form(
    State(hub): State<Hub>,
    door: Door,
    Path((_, source, number, message)): OfMessage,
    id: RequestId,
    params: Params,
) -> Result<Json<Value>> {
    let (contact, v) = theirs(&hub, &door, &source, number).await?;
    let ctx = door.ctx(&hub, &id, Some(&contact));
    let values = params.raw("submitted_values").cloned().unwrap_or(json!({}));
    let rated = survey::answer(&params.inner("submitted_values"));
    let view = hub.db.write(move |tx| {
        let found = messages::by_number(tx, ctx.tenant, v.id, message.0)?;
        let asks = found.content.as_ref().is_some_and(|content| content.kind == surveys::SURVEY);
        let message = match rated.as_ref().filter(|_| asks) {
            Some(answer) => surveys::answer(tx, &ctx, v.id, answer)?,
            None => {
                let set = serde_json::Map::from_iter([("submitted_values".to_owned(), values.clone())]);
                messages::edit(tx, &ctx, found.id, &Edit::Attributes(set))?
            }
        };
        door.scene.view().public_message(tx, &v, &message)
    });
    Ok(Json(view.await.map_err(survey::refused)?))
}
