//! What the subscribers of a tenant are told: the log, read once on this node for all of them, and who types.
//!
//! A room is open while somebody is in it. It starts at the end of the log; what it says of a message or conversation is how
//! it stands when the room reads of it. Whoever falls [`BUFFER`] behind is disconnected and comes back.

use super::view::{Scene, View};
use crate::http::address::household;
use crate::hub::Hub;
use crate::presence::Person;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tieline_core::complain;
use tieline_core::contacts::{self, Contact};
use tieline_core::conversations::{self, Conversation};
use tieline_core::error::Error;
use tieline_core::events::{EVENTS, Stored, feed};
use tieline_core::ids::{ContactId, ConversationId, InboxId, TeamId, TenantId, UserId};
use tieline_core::messages;
use tieline_core::messages::direction::Direction;
use tieline_core::tenants::Tenant;
use tieline_db::Read;
use tieline_wire::chatwoot::{contact as contact_shapes, conversation as shapes};
use tokio::sync::{broadcast, watch};

/// What waits for a subscriber.
const BUFFER: usize = 256;
/// Events read at once.
const PAGE: i64 = 100;
/// How often the log is looked at without being told: wake-ups are hints.
const TICK: Duration = Duration::from_secs(1);
/// Least time between two reads.
const PACE: Duration = Duration::from_millis(25);
/// Connections open at once on this node.
const CONNECTIONS: usize = 5_000;
/// Connections of one address, or of one network of 64 bits, at once on this node.
pub const CONNECTIONS_PER_ADDRESS: usize = 200;
/// Subscriptions of one user or contact at once on this node.
pub const SUBSCRIPTIONS_PER_PERSON: usize = 30;

/// Where something happened, as far as it decides who is told.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub contact: ContactId,
    pub inbox: InboxId,
    pub source_id: Option<String>,
    pub team: Option<TeamId>,
}

impl Place {
    pub fn of(v: &Conversation) -> Place {
        Place { contact: v.contact.id, inbox: v.inbox, source_id: v.source_id.clone(), team: v.team }
    }
}

/// Who says something: they are not told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    User(UserId),
    Contact(ContactId),
}

/// One thing to tell.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub event: &'static str,
    /// None: it concerns the whole account.
    pub place: Option<Place>,
    /// Its data for agents, as JSON.
    pub for_agents: String,
    /// The same for the customer; none for what they are not to see.
    pub for_contact: Option<String>,
    pub by: Option<Speaker>,
}

/// The rooms of this node, and how many connections it has.
#[derive(Default)]
pub struct Rooms {
    open: Mutex<HashMap<TenantId, broadcast::Sender<Arc<Told>>>>,
    taken: Mutex<Taken>,
}

/// Whose places are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Address(IpAddr),
    Person(TenantId, Person),
}

/// Places that are taken.
#[derive(Default)]
struct Taken {
    connections: usize,
    of: HashMap<Counted, usize>,
}

impl Taken {
    /// Takes a place of somebody's; none beyond `most`.
    fn take(&mut self, whose: Counted, most: usize) -> bool {
        let places = self.of.entry(whose).or_default();
        let is_free = *places < most;
        *places += usize::from(is_free);
        is_free
    }
    fn give_back(&mut self, whose: Counted) {
        if let Some(places) = self.of.get_mut(&whose) {
            *places -= 1;
            if *places == 0 {
                self.of.remove(&whose);
            }
        }
    }
}

/// A place among the connections, given back when dropped.
pub(super) struct Ticket(Hub, Option<IpAddr>);

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut taken = self.0.rooms().taken();
        taken.connections -= 1;
        if let Some(address) = self.1 {
            taken.give_back(Counted::Address(address));
        }
    }
}

/// A place among the subscriptions of somebody, given back when dropped.
pub(super) struct Seat(Hub, TenantId, Person);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.rooms().taken().give_back(Counted::Person(self.1, self.2));
    }
}

impl Rooms {
    fn taken(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among the connections; none when all are taken, or all of this address.
    pub(super) fn enter(hub: &Hub, address: Option<IpAddr>) -> Option<Ticket> {
        let address = address.map(household);
        let mut taken = hub.rooms().taken();
        if taken.connections >= CONNECTIONS
            || !address.is_none_or(|address| taken.take(Counted::Address(address), CONNECTIONS_PER_ADDRESS))
        {
            return None;
        }
        taken.connections += 1;
        Some(Ticket(hub.clone(), address))
    }

    /// A place among the subscriptions of somebody; none when all of theirs are taken.
    pub(super) fn sit(hub: &Hub, tenant: TenantId, person: Person) -> Option<Seat> {
        let is_free = hub.rooms().taken().take(Counted::Person(tenant, person), SUBSCRIPTIONS_PER_PERSON);
        is_free.then(|| Seat(hub.clone(), tenant, person))
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, broadcast::Sender<Arc<Told>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the room of a tenant, which is opened for the first; what happens from now on is heard.
    pub(super) async fn join(hub: &Hub, tenant: &Tenant) -> Result<broadcast::Receiver<Arc<Told>>, Error> {
        if let Some(room) = hub.rooms().open().get(&tenant.id) {
            return Ok(room.subscribe());
        }
        let position = hub.db.read(feed::last_position).await?;
        let mut open = hub.rooms().open();
        if let Some(room) = open.get(&tenant.id) {
            return Ok(room.subscribe());
        }
        let (send, receive) = broadcast::channel(BUFFER);
        open.insert(tenant.id, send.clone());
        let scene = Scene::new(hub, tenant, false);
        let stop = hub.streams().ending();
        tokio::spawn(Follower { hub: hub.clone(), scene, send, position, stop }.run());
        Ok(receive)
    }

    /// Whether anybody would hear.
    pub(super) fn is_open(&self, tenant: TenantId) -> bool {
        self.open().contains_key(&tenant)
    }

    /// Tells everybody in the room, if there is one.
    pub(super) fn tell(&self, tenant: TenantId, told: Told) {
        if let Some(room) = self.open().get(&tenant) {
            let _ = room.send(Arc::new(told));
        }
    }

    /// Closes a room that is empty.
    fn close_if_empty(&self, tenant: TenantId) -> bool {
        let mut open = self.open();
        let empty = open.get(&tenant).is_none_or(|room| room.receiver_count() == 0);
        if empty {
            open.remove(&tenant);
        }
        empty
    }
}

/// Reads the log for a room.
struct Follower {
    hub: Hub,
    scene: Scene,
    send: broadcast::Sender<Arc<Told>>,
    position: i64,
    stop: watch::Receiver<bool>,
}

impl Follower {
    async fn run(mut self) {
        let tenant = self.scene.tenant;
        let mut woken = self.hub.db.watch(EVENTS);
        loop {
            woken.borrow_and_update();
            if self.hub.rooms().close_if_empty(tenant) {
                return;
            }
            match self.read().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    complain!(error, "subscribers are sent away: cannot read the log");
                    self.hub.rooms().open().remove(&tenant);
                    return;
                }
            }
            tokio::time::sleep(PACE).await;
            tokio::select! {
                _ = woken.changed() => {}
                _ = self.stop.wait_for(|stop| *stop) => {
                    self.hub.rooms().open().remove(&tenant);
                    return;
                }
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Tells of the next page of the log; whether there may be more.
    async fn read(&mut self) -> Result<bool, Error> {
        let (scene, position) = (self.scene.now(&self.hub), self.position);
        let page = self.hub.db.read(move |read| {
            let events = feed::of_tenant(read, scene.tenant, position, PAGE)?;
            let mut told = Vec::new();
            for event in &events {
                tell_of(read, &scene, event, &mut told)?;
            }
            Ok::<_, Error>((events.len() as i64 == PAGE, events.last().map(|event| event.position), told))
        });
        let (more, last, told) = page.await?;
        self.position = last.unwrap_or(self.position);
        for told in told {
            let _ = self.send.send(Arc::new(told));
        }
        Ok(more)
    }
}

/// What is read of an event's data.
#[derive(Default, Deserialize)]
struct About {
    message: Option<Named>,
    contact: Option<Named>,
    #[serde(default)]
    changes: Map<String, Value>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

fn optional<T>(found: tieline_core::Result<T>) -> tieline_core::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code == "not_found" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says an event of the log in this dialect's words: none, one or several.
fn tell_of(read: &mut Read, scene: &Scene, event: &Stored, told: &mut Vec<Told>) -> tieline_core::Result<()> {
    let about: About = serde_json::from_str(&event.data).unwrap_or_default();
    let view = &mut scene.view();
    match event.name.as_str() {
        "contact.created" | "contact.updated" => {
            let id = about.contact.and_then(|contact| contact.id.parse::<ContactId>().ok());
            let Some(id) = id else { return Ok(()) };
            if let Some(contact) = optional(contacts::get(read, scene.tenant, id))? {
                let event = if event.name == "contact.created" { "contact.created" } else { "contact.updated" };
                told.push(of_contact(scene, event, &contact));
            }
            Ok(())
        }
        name => {
            let Some(v) = event.conversation else { return Ok(()) };
            let Some(v) = optional(conversations::get(read, scene.tenant, v))? else { return Ok(()) };
            let changed = |names: &[&str]| names.iter().any(|name| about.changes.contains_key(*name));
            match name {
                "message.received" | "message.sent" | "note.added" => {
                    of_message(read, view, scene, &v, about.message.as_ref(), "message.created", told)
                }
                "message.updated" => of_message(read, view, scene, &v, about.message.as_ref(), "message.updated", told),
                "conversation.created" => of_conversation(read, view, scene, &v, "conversation.created", true, told),
                "conversation.updated" => {
                    if changed(&["status", "isHeld"]) {
                        of_conversation(read, view, scene, &v, "conversation.status_changed", true, told)?;
                    }
                    if changed(&["assignedTeamId"]) {
                        of_conversation(read, view, scene, &v, "team.changed", false, told)?;
                    }
                    of_conversation(read, view, scene, &v, "conversation.updated", true, told)
                }
                "tag.added" | "tag.removed" => {
                    of_conversation(read, view, scene, &v, "conversation.updated", true, told)
                }
                "assignment.changed" => of_conversation(read, view, scene, &v, "assignee.changed", false, told),
                _ => Ok(()),
            }
        }
    }
}

fn of_contact(scene: &Scene, event: &'static str, contact: &Contact) -> Told {
    let mut data = contact_shapes::sender(contact);
    data["account_id"] = scene.tenant.0.into();
    Told { event, place: None, for_agents: data.to_string(), for_contact: None, by: None }
}

fn of_message(
    read: &mut Read,
    view: &mut View,
    scene: &Scene,
    v: &Conversation,
    named: Option<&Named>,
    event: &'static str,
    told: &mut Vec<Told>,
) -> tieline_core::Result<()> {
    let Some(id) = named.and_then(|message| message.id.parse().ok()) else { return Ok(()) };
    let Some(m) = optional(messages::get(read, scene.tenant, id))? else { return Ok(()) };
    let unread = conversations::unread(read, scene.tenant, v)?;
    let data = view.pushed(read, v, &m, unread)?.to_string();
    let for_contact = matches!(m.direction, Direction::Inbound | Direction::Outbound).then(|| data.clone());
    told.push(Told { event, place: Some(Place::of(v)), for_agents: data, for_contact, by: None });
    Ok(())
}

/// A conversation as its customer is shown it here.
fn for_contact(read: &mut Read, view: &mut View, scene: &Scene, v: &Conversation) -> tieline_core::Result<Value> {
    let mut data = shapes::public(v, view.inbox_of(read, v.inbox)?.number, scene.tenant.0, Vec::new());
    data["account_id"] = scene.tenant.0.into();
    Ok(data)
}

fn of_conversation(
    read: &mut Read,
    view: &mut View,
    scene: &Scene,
    v: &Conversation,
    event: &'static str,
    is_public: bool,
    told: &mut Vec<Told>,
) -> tieline_core::Result<()> {
    let for_agents = view.conversation(read, v)?.to_string();
    let for_contact = if is_public { Some(for_contact(read, view, scene, v)?.to_string()) } else { None };
    told.push(Told { event, place: Some(Place::of(v)), for_agents, for_contact, by: None });
    Ok(())
}

/// Tells a room that somebody types, or stopped; `user` is them as a sender. Only whoever is connected to this node hears it.
pub(super) async fn typing(
    hub: &Hub,
    scene: &Scene,
    conversation: ConversationId,
    by: Speaker,
    user: Value,
    is_on: bool,
    is_private: bool,
) -> Result<(), Error> {
    if !hub.rooms().is_open(scene.tenant) {
        return Ok(());
    }
    let asked = scene.clone();
    let told = hub.db.read(move |read| {
        let v = conversations::get(read, asked.tenant, conversation)?;
        let view = &mut asked.view();
        let data = |conversation: Value| {
            let account = asked.tenant.0;
            json!({"conversation": conversation, "user": user, "is_private": is_private, "account_id": account})
                .to_string()
        };
        let event = if is_on { "conversation.typing_on" } else { "conversation.typing_off" };
        let for_agents = data(view.conversation(read, &v)?);
        let for_contact = if is_private { None } else { Some(data(for_contact(read, view, &asked, &v)?)) };
        Ok::<_, Error>(Told { event, place: Some(Place::of(&v)), for_agents, for_contact, by: Some(by) })
    });
    hub.rooms().tell(scene.tenant, told.await?);
    Ok(())
}
