//! `/cable`: Action Cable over a WebSocket, for customers' pages and agents' screens (contract 1.5).
//!
//! Guarantees: a subscription hears what its contact or user may see and nothing else, and nothing any more within a second
//! of a revocation. Connections, their frames and subscriptions are bounded; one that does not read is closed.

use super::pubsub;
use super::room::{Rooms, Seat, Speaker, Ticket, Told};
use super::view::Scene;
use crate::http::error::Failure;
use crate::hub::Hub;
use crate::limits::{failed, may_try};
use crate::presence::Person;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tieline_core::contact_inboxes::{self, ContactInbox};
use tieline_core::contacts;
use tieline_core::conversations::Sight;
use tieline_core::error::{Error, Kind};
use tieline_core::ids::TenantId;
use tieline_core::page::Page;
use tieline_core::tenants::{self, Tenant};
use tieline_core::users::{self, Availability, Role, User};
use tieline_db::Read;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, timeout};

/// The protocol that clients name.
const PROTOCOL: &str = "actioncable-v1-json";
/// Subscriptions of one connection.
const SUBSCRIPTIONS: usize = 4;
/// Largest frame of a client, bytes.
const FRAME_BYTES: usize = 16 * 1024;
/// Frames of one client a minute.
const FRAMES_PER_MINUTE: u32 = 120;
/// Between two pings.
const PING: Duration = Duration::from_secs(3);
/// Time for the first subscription.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(30);
/// A client that takes nothing for so long is disconnected.
const STALLED: Duration = Duration::from_secs(10);
/// How long is believed what a subscriber may see.
const BELIEVED: Duration = Duration::from_secs(1);
/// Users looked at for who is there.
const USERS: i64 = 1000;

pub async fn open(State(hub): State<Hub>, request: Request) -> Result<Response, Failure> {
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &hub).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Ok(rejection.into_response()),
    };
    let Some(ticket) = Rooms::enter(&hub, hub.proxies.client(&parts)) else {
        let detail = "This server has as many connections as it takes, or your address has; try again soon.";
        return Err(Error::new(Kind::Limited, "too_many_connections", detail).into());
    };
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(FRAME_BYTES).max_frame_size(FRAME_BYTES);
    let cable = Cable { hub, parts, subscriptions: Vec::new(), frames: 0, _ticket: ticket };
    Ok(upgrade.on_upgrade(move |socket| cable.run(socket)))
}

/// What a client sends.
#[derive(Deserialize)]
struct Command {
    command: String,
    identifier: String,
    data: Option<String>,
}

/// Who a subscription is for.
enum Who {
    Contact(ContactInbox),
    User(Box<User>, Sight),
}

struct Subscription {
    /// As the client wrote it.
    identifier: String,
    tenant: Tenant,
    who: Who,
    person: Person,
    room: broadcast::Receiver<Arc<Told>>,
    seen_at: Instant,
    _seat: Seat,
}

/// Why a connection ends.
enum Ended {
    /// The client left, does not read, says too much, or may no longer hear.
    Client,
    /// The server stops.
    Server,
}

struct Cable {
    hub: Hub,
    parts: Parts,
    subscriptions: Vec<Subscription>,
    /// Frames of the client in this minute.
    frames: u32,
    _ticket: Ticket,
}

async fn send(socket: &mut WebSocket, text: String) -> Result<(), Ended> {
    match timeout(STALLED, socket.send(Message::Text(text.into()))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Ended::Client),
    }
}

fn message(identifier: &str, event: &str, data: &str) -> String {
    format!(r#"{{"identifier":{},"message":{{"event":"{event}","data":{data}}}}}"#, Value::from(identifier))
}

/// The next thing that one of the rooms says, and for which subscription.
async fn heard(subscriptions: &mut [Subscription]) -> (usize, Result<Arc<Told>, RecvError>) {
    if subscriptions.is_empty() {
        return std::future::pending().await;
    }
    let rooms = subscriptions.iter_mut().map(|subscription| Box::pin(subscription.room.recv()));
    let (told, index, _) = futures::future::select_all(rooms).await;
    (index, told)
}

impl Cable {
    async fn run(mut self, mut socket: WebSocket) {
        if let Err(Ended::Server) = self.serve(&mut socket).await {
            let goodbye = json!({"type": "disconnect", "reason": "server_restart", "reconnect": true});
            let _ = send(&mut socket, goodbye.to_string()).await;
        }
        let _ = timeout(STALLED, socket.send(Message::Close(None))).await;
    }

    async fn serve(&mut self, socket: &mut WebSocket) -> Result<(), Ended> {
        let mut stop = self.hub.streams().ending();
        let opened = Instant::now();
        let mut minute = opened;
        let mut ping = tokio::time::interval_at(opened + PING, PING);
        send(socket, json!({"type": "welcome"}).to_string()).await?;
        loop {
            tokio::select! {
                biased; // a room closes when the server stops: that is to be said
                () = async { drop(stop.wait_for(|stop| *stop).await) } => return Err(Ended::Server),
                _ = ping.tick() => {
                    if self.subscriptions.is_empty() && opened.elapsed() >= SUBSCRIBE_WITHIN {
                        return Err(Ended::Client);
                    }
                    let now = self.hub.db.now() / 1_000_000;
                    send(socket, json!({"type": "ping", "message": now}).to_string()).await?;
                }
                (index, told) = heard(&mut self.subscriptions) => {
                    let Ok(told) = told else { return Err(Ended::Client) };
                    self.pass_on(socket, index, &told).await?;
                }
                frame = socket.recv() => match frame {
                    Some(Ok(Message::Text(text))) => {
                        if minute.elapsed() >= Duration::from_secs(60) {
                            (minute, self.frames) = (Instant::now(), 0);
                        }
                        self.frames += 1;
                        if self.frames > FRAMES_PER_MINUTE {
                            return Err(Ended::Client);
                        }
                        self.obey(socket, text.as_str()).await?;
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Ended::Client),
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    async fn pass_on(&mut self, socket: &mut WebSocket, index: usize, told: &Told) -> Result<(), Ended> {
        let subscription = &mut self.subscriptions[index];
        if subscription.seen_at.elapsed() >= BELIEVED {
            subscription.look_again(&self.hub).await?;
        }
        match subscription.data(told) {
            Some(data) => send(socket, message(&subscription.identifier, told.event, data)).await,
            None => Ok(()),
        }
    }

    async fn obey(&mut self, socket: &mut WebSocket, text: &str) -> Result<(), Ended> {
        let Ok(command) = serde_json::from_str::<Command>(text) else { return Ok(()) };
        let known = self.subscriptions.iter().position(|known| known.identifier == command.identifier);
        match (command.command.as_str(), known) {
            ("subscribe", None) => {
                let found = match self.subscriptions.len() < SUBSCRIPTIONS {
                    true => self.subscription(&command.identifier).await,
                    false => None,
                };
                let kind = if found.is_some() { "confirm_subscription" } else { "reject_subscription" };
                send(socket, json!({"identifier": command.identifier, "type": kind}).to_string()).await?;
                if let Some(found) = found {
                    self.subscriptions.push(found);
                    self.is_there(socket, self.subscriptions.len() - 1).await?;
                }
                Ok(())
            }
            ("unsubscribe", Some(index)) => {
                self.subscriptions.remove(index);
                Ok(())
            }
            ("message", Some(index)) => {
                let data: Value = serde_json::from_str(command.data.as_deref().unwrap_or("")).unwrap_or_default();
                match data["action"].as_str() {
                    Some("update_presence") => self.is_there(socket, index).await,
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// Notes that a subscriber is there, and tells them who is.
    async fn is_there(&mut self, socket: &mut WebSocket, index: usize) -> Result<(), Ended> {
        let subscription = &mut self.subscriptions[index];
        subscription.look_again(&self.hub).await?;
        let (tenant, now) = (&subscription.tenant, self.hub.db.now());
        let written = self.hub.presence().touch(tenant.id, subscription.person, now);
        if let (Some(until), Person::User(number)) = (written, subscription.person) {
            let live = tenant.live();
            let seen = self.hub.db.write(move |tx| users::see(tx, live, number, until)).await;
            if let Err(error) = seen {
                tracing::info!(error = %error, "it was not written down that a user is there");
            }
        }
        let (live, scene) = (tenant.live(), Scene::new(&self.hub, tenant, false));
        let users = self.hub.db.read(move |read| users::list(read, live, Page::first(USERS))).await;
        let here = users.map_err(|_| Ended::Client)?.into_iter().filter(|user| user.is_active).filter_map(|user| {
            let user = scene.shown(user);
            (user.availability != Availability::Offline)
                .then(|| (user.number.to_string(), Value::from(user.availability.as_str())))
        });
        let mut data = json!({"account_id": tenant.id.0, "users": here.collect::<Map<_, _>>()});
        if let Who::User(..) = subscription.who {
            let contacts = self.hub.presence().contacts(tenant.id, now).into_iter();
            data["contacts"] =
                contacts.map(|number| (number.to_string(), Value::from("online"))).collect::<Map<_, _>>().into();
        }
        send(socket, message(&subscription.identifier, "presence.update", &data.to_string())).await
    }

    /// The subscription that an identifier asks for; none where it proves nothing.
    async fn subscription(&self, identifier: &str) -> Option<Subscription> {
        let asked: Value = serde_json::from_str(identifier).ok()?;
        if asked["channel"] != "RoomChannel" || may_try(&self.hub, &self.parts).is_err() {
            return None;
        }
        let token = asked["pubsub_token"].as_str()?.to_owned();
        let number = |name: &str| asked[name].as_i64().or_else(|| asked[name].as_str()?.parse().ok());
        let user = number("user_id").zip(number("account_id"));
        let hub = self.hub.clone();
        let found = self.hub.db.read(move |read| match user {
            Some((user, account)) => known_user(read, &hub, &token, TenantId(account), user),
            None => known_contact(read, &hub, &token),
        });
        let Some((tenant, who, person)) = found.await.ok()? else {
            let unknown = Error::new(Kind::Unauthorized, "invalid_token", "There is no such subscription.");
            failed(&self.hub, &self.parts, unknown);
            return None;
        };
        let seat = Rooms::sit(&self.hub, tenant.id, person)?;
        let room = Rooms::join(&self.hub, &tenant).await.ok()?;
        let (identifier, seen_at) = (identifier.to_owned(), Instant::now());
        Some(Subscription { identifier, tenant, who, person, room, seen_at, _seat: seat })
    }
}

type Known = Option<(Tenant, Who, Person)>;

fn open_tenant(read: &mut Read, id: TenantId) -> tieline_core::Result<Option<Tenant>> {
    match tenants::get(read, id) {
        Ok(tenant) => Ok(Some(tenant).filter(|tenant| tenant.plan.has_api)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn known_user(read: &mut Read, hub: &Hub, token: &str, account: TenantId, number: i64) -> tieline_core::Result<Known> {
    let Some(tenant) = open_tenant(read, account)? else { return Ok(None) };
    let user = match users::by_number(read, tenant.live(), number) {
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        found => found?,
    };
    if !user.is_active || !pubsub::is_same(token, &pubsub::of_user(&hub.keyring, tenant.live(), user.number)) {
        return Ok(None);
    }
    let sight = sight(read, tenant.id, &user)?;
    Ok(Some((tenant, Who::User(Box::new(user), sight), Person::User(number))))
}

fn sight(read: &mut Read, tenant: TenantId, user: &User) -> tieline_core::Result<Sight> {
    Sight::of(read, tenant, (user.role == Role::Agent).then_some(user.id))
}

fn known_contact(read: &mut Read, hub: &Hub, token: &str) -> tieline_core::Result<Known> {
    let Some((tenant, number)) = contact_inboxes::by_pubsub_token(&hub.keyring, token) else { return Ok(None) };
    let Some(tenant) = open_tenant(read, tenant)? else { return Ok(None) };
    let Some(at) = contact_inboxes::by_number(read, tenant.id, number)? else { return Ok(None) };
    let contact = contacts::get(read, tenant.id, at.contact)?.number;
    Ok(Some((tenant, Who::Contact(at), Person::Contact(contact))))
}

impl Subscription {
    /// The data of what was said, as far as it is for this subscriber.
    fn data<'t>(&self, told: &'t Told) -> Option<&'t str> {
        match &self.who {
            Who::User(user, sight) => {
                let place = told.place.as_ref();
                let sees = place.is_none_or(|place| sight.covers(place.inbox, place.team));
                (sees && told.by != Some(Speaker::User(user.id))).then_some(told.for_agents.as_str())
            }
            Who::Contact(at) => {
                let place = told.place.as_ref().filter(|place| place.contact == at.contact)?;
                let is_here = place.inbox == at.inbox && place.source_id.as_deref() == Some(at.source_id.as_str());
                let hears = (at.is_verified || is_here) && told.by != Some(Speaker::Contact(at.contact));
                told.for_contact.as_deref().filter(|_| hears)
            }
        }
    }

    /// Reads again who the subscriber is and what they may see; ends the connection of one who may not.
    async fn look_again(&mut self, hub: &Hub) -> Result<(), Ended> {
        let (tenant, asked) = (self.tenant.id, hub.clone());
        let token = match &self.who {
            Who::User(user, _) => (pubsub::of_user(&hub.keyring, self.tenant.live(), user.number), Some(user.number)),
            Who::Contact(at) => (contact_inboxes::pubsub_token(&hub.keyring, tenant, at), None),
        };
        let found = hub.db.read(move |read| match token {
            (token, Some(user)) => known_user(read, &asked, &token, tenant, user),
            (token, None) => known_contact(read, &asked, &token),
        });
        let (tenant, who, person) = found.await.ok().flatten().ok_or(Ended::Client)?;
        (self.tenant, self.who, self.person, self.seen_at) = (tenant, who, person, Instant::now());
        Ok(())
    }
}
