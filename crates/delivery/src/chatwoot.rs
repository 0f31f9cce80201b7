//! What Chatwoot's format tells of an event: the one place that gathers what stands around its state.
//!
//! What an event is about was frozen with it (`tieline_wire::chatwoot::state`, docs/adr/0010). What stands around it is
//! read here, in the transaction that fans it out: names and numbers of the account, the inbox, the team and the users, the
//! contact's address, how much is unread, and for events that are not about a message the newest one by then. An event
//! that nobody asked the state of when it happened is told with the present one.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use tieline_core::attachments::link::Links;
use tieline_core::bots::{self, Bot};
use tieline_core::contact_inboxes::{self, ContactInbox};
use tieline_core::conversations::{self, Conversation};
use tieline_core::events::Stored;
use tieline_core::ids::{BotId, EventId, InboxId, MessageId, TeamId, TenantId, UserId};
use tieline_core::inboxes::{self, Inbox};
use tieline_core::messages::direction::AuthorType;
use tieline_core::messages::{self, Message, Order};
use tieline_core::secrets::Keyring;
use tieline_core::teams::{self, Team};
use tieline_core::tenants::{self, Tenant};
use tieline_core::users::{self, User};
use tieline_core::webhooks::{Endpoint, Format};
use tieline_core::{Error, Result, contacts};
use tieline_db::Read;
use tieline_wire::chatwoot::state::{self, State};
use tieline_wire::chatwoot::webhook::{self, Around, Body, Change, Changed, Sender, Telling};

/// How long links to files in bodies are good, microseconds: longer than a delivery is tried.
const LINKS_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// Newest messages that are looked at for the one to show in a conversation.
const LOOKED_AT: i64 = 10;

/// What bodies are made with.
#[derive(Clone)]
pub struct Scene {
    keyring: Arc<Keyring>,
    links: Arc<Links>,
}

impl Scene {
    /// With this installation's key, and links like these, but lasting.
    pub fn new(keyring: Arc<Keyring>, links: &Links) -> Scene {
        Scene { keyring, links: Arc::new(links.lasting(LINKS_US)) }
    }
    /// A view for a batch of events.
    pub fn view(&self) -> View<'_> {
        View {
            scene: self,
            tenants: HashMap::new(),
            inboxes: HashMap::new(),
            users: HashMap::new(),
            teams: HashMap::new(),
            bots: HashMap::new(),
            told: None,
        }
    }
}

/// What was found for one batch, each thing once.
pub struct View<'s> {
    scene: &'s Scene,
    tenants: HashMap<TenantId, Rc<Tenant>>,
    inboxes: HashMap<(TenantId, InboxId), Option<Rc<Inbox>>>,
    users: HashMap<(TenantId, UserId), Option<Rc<User>>>,
    teams: HashMap<(TenantId, TeamId), Option<Rc<Team>>>,
    bots: HashMap<(TenantId, BotId), Option<Rc<Bot>>>,
    told: Option<(EventId, Rc<Told>)>,
}

/// An event in Chatwoot's words: none, one or two of them, and one more for bots, in the order of telling.
pub struct Told {
    /// Words and bodies.
    pub bodies: Vec<(&'static str, Body)>,
    /// Who did it.
    pub performed_by: Value,
}

/// What the log says of an event beside its state.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Data {
    message: Option<Named>,
    contact: Option<Named>,
    inbox: Option<Named>,
    changes: Map<String, Value>,
    tag: Option<Tag>,
    is_private: bool,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct Tag {
    slug: String,
}

#[derive(Deserialize)]
struct Actor {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
}

fn optional<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == tieline_core::Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A conversation's surroundings, found.
struct Found {
    tenant: Rc<Tenant>,
    inbox: Rc<Inbox>,
    address: Option<(ContactInbox, String)>,
    assignee: Option<Rc<User>>,
    bot: Option<Rc<Bot>>,
    team: Option<Rc<Team>>,
    unread: i64,
}

impl Found {
    fn around<'a>(&'a self, conversation: &'a Conversation) -> Around<'a> {
        Around {
            account: (self.tenant.id.0, &self.tenant.name),
            conversation,
            inbox: &self.inbox,
            address: self.address.as_ref().map(|(at, token)| (at, token.as_str())),
            assignee: self.assignee.as_deref(),
            bot: self.bot.as_deref(),
            team: self.team.as_deref(),
            unread: self.unread,
        }
    }
}

impl View<'_> {
    /// The bodies of an event for an endpoint, by their words; `last` is the place in the conversation of what it was told
    /// last, and moves on with each.
    pub fn bodies(
        &mut self,
        read: &mut Read,
        endpoint: &Endpoint,
        event: &Stored,
        last: &mut Option<i64>,
    ) -> Result<Vec<(&'static str, String)>> {
        let told = self.tell(read, event)?;
        let of_star = |word: &str| Format::Chatwoot.event(word).is_some();
        let wants =
            |word: &str| endpoint.events.iter().any(|wanted| wanted == word || (wanted == "*" && of_star(word)));
        let bodies = told.bodies.iter().filter(|(word, _)| wants(word)).map(|(word, body)| {
            let previous_sequence = match event.sequence {
                Some(_) => std::mem::replace(last, event.sequence),
                None => None,
            };
            let performed_by = told.performed_by.clone();
            let telling = Telling { event: event.id, sequence: event.sequence, previous_sequence, performed_by };
            (*word, webhook::text(word, body, &telling))
        });
        Ok(bodies.collect())
    }

    /// The event in Chatwoot's words.
    pub fn tell(&mut self, read: &mut Read, event: &Stored) -> Result<Rc<Told>> {
        if let Some((id, told)) = &self.told
            && *id == event.id
        {
            return Ok(told.clone());
        }
        let data: Data = serde_json::from_str(&event.data).unwrap_or_default();
        let state = match event.state.as_deref().and_then(state::read) {
            Some(state) => state,
            None => present(read, event, &data)?,
        };
        let told = Rc::new(Told {
            performed_by: self.performed_by(read, event, &state)?,
            bodies: self.words(read, event, &data, state)?,
        });
        self.told = Some((event.id, told.clone()));
        Ok(told)
    }

    fn words(
        &mut self,
        read: &mut Read,
        event: &Stored,
        data: &Data,
        state: State,
    ) -> Result<Vec<(&'static str, Body)>> {
        let changes: Vec<Change> = data.changes.iter().map(change).collect();
        let tenant = self.tenant(read, event.tenant)?;
        let account = (tenant.id.0, tenant.name.as_str());
        let with = |body: Body, changes: &[Changed]| {
            let mut body = body;
            body.insert("changed_attributes".into(), webhook::changed_attributes(changes));
            body
        };
        let State { conversation, message, contact, inbox } = state;
        Ok(match (event.name.as_str(), conversation, message, contact, inbox) {
            ("contact.created", _, _, Some(c), _) => vec![("contact_created", webhook::contact(&c, account))],
            ("contact.updated", _, _, Some(c), _) => match webhook::contact_changes(&changes) {
                changes if changes.is_empty() => Vec::new(),
                changes => vec![("contact_updated", with(webhook::contact(&c, account), &changes))],
            },
            ("inbox.created", _, _, _, Some(i)) => vec![("inbox_created", webhook::inbox(&i, account))],
            ("inbox.updated", _, _, _, Some(i)) => match webhook::inbox_changes(&changes) {
                changes if changes.is_empty() => Vec::new(),
                changes => vec![("inbox_updated", with(webhook::inbox(&i, account), &changes))],
            },
            ("message.received" | "message.sent" | "note.added", Some(v), Some(m), ..) => {
                self.said(read, event, &v, m, &[])?.map(|body| ("message_created", body)).into_iter().collect()
            }
            ("message.updated", Some(v), Some(m), ..) => match webhook::message_changes(&changes) {
                changes if changes.is_empty() => Vec::new(),
                changes => {
                    let body = self.said(read, event, &v, m, &changes)?;
                    body.map(|body| ("message_updated", body)).into_iter().collect()
                }
            },
            ("conversation.created", Some(v), ..) => {
                let body = self.conversation(read, event, &v)?;
                body.map(|body| ("conversation_created", body)).into_iter().collect()
            }
            ("conversation.updated" | "tag.added" | "tag.removed", Some(v), ..) => {
                let changes = match &data.tag {
                    Some(tag) => webhook::label_change(&v, &tag.slug, event.name == "tag.added"),
                    None => webhook::conversation_changes(&v, &changes, &self.numbers(read, event.tenant, &changes)?),
                };
                // That only free-form members changed is told by nobody.
                if changes.iter().all(|(name, ..)| *name == "additional_attributes") {
                    return Ok(Vec::new());
                }
                let Some(body) = self.conversation(read, event, &v)? else { return Ok(Vec::new()) };
                let body = with(body, &changes);
                let moved = changes.iter().find(|(name, ..)| *name == "status").map(|(_, _, to)| to.as_str());
                let for_bots = match moved.flatten() {
                    Some("open") => Some("conversation_opened"),
                    Some("resolved") => Some("conversation_resolved"),
                    _ => None,
                };
                let first = moved.map(|_| "conversation_status_changed");
                let first = for_bots.into_iter().chain(first).map(|word| (word, body.clone()));
                first.chain([("conversation_updated", body.clone())]).collect()
            }
            ("typing.started" | "typing.stopped", Some(v), ..) => {
                let word = match event.name.as_str() {
                    "typing.started" => "conversation_typing_on",
                    _ => "conversation_typing_off",
                };
                let body = self.typing(read, event, &v, data.is_private)?;
                body.map(|body| (word, body)).into_iter().collect()
            }
            _ => Vec::new(),
        })
    }

    /// A message event: what its conversation shows is this very message.
    fn said(
        &mut self,
        read: &mut Read,
        event: &Stored,
        v: &Conversation,
        mut m: Message,
        changes: &[Changed],
    ) -> Result<Option<Body>> {
        let Some(found) = self.found(read, event.tenant, v, m.number)? else { return Ok(None) };
        self.scene.links.fill(event.tenant, &mut m.attachments, event.at);
        let author = self.author(read, &found.tenant, &m)?;
        let around = found.around(v);
        let sender = sender(v, &m, &author);
        let shown = webhook::pushed(&around, &m, sender.as_ref().map(webhook::pushed_sender));
        Ok(Some(webhook::message(&around, &m, shown, sender.as_ref(), changes)))
    }

    fn conversation(&mut self, read: &mut Read, event: &Stored, v: &Conversation) -> Result<Option<Body>> {
        let (found, shown) = self.newest(read, event, v)?;
        Ok(found.map(|found| webhook::conversation(&found.around(v), shown)))
    }

    fn typing(&mut self, read: &mut Read, event: &Stored, v: &Conversation, private: bool) -> Result<Option<Body>> {
        let (found, shown) = self.newest(read, event, v)?;
        let Some(found) = found else { return Ok(None) };
        let (user, bot) = match actor(event) {
            Some((kind, id)) if kind == "user" => (self.user_named(read, &found.tenant, &id)?, None),
            Some((kind, id)) if kind == "bot" => (None, self.bot_named(read, event.tenant, &id)?),
            _ => (None, None),
        };
        let known = user.as_deref().map(Sender::User).or(bot.as_deref().map(Sender::Bot));
        let who = known.unwrap_or(Sender::Contact(&v.contact));
        Ok(Some(webhook::typing(&found.around(v), shown, Some(&who), private)))
    }

    /// What stands around a conversation when an event happened that is not about a message, and the newest message that
    /// the customer saw by then, pushed.
    fn newest(&mut self, read: &mut Read, event: &Stored, v: &Conversation) -> Result<(Option<Found>, Option<Value>)> {
        let mut newest = messages::list(read, event.tenant, v.id, Order::NewestFirst, None, LOOKED_AT)?;
        newest.retain(|m| m.created_at <= event.at);
        let number = newest.first().map_or(0, |m| m.number);
        let Some(found) = self.found(read, event.tenant, v, number)? else { return Ok((None, None)) };
        let Some(mut m) = newest.into_iter().find(|m| m.direction.is_said()) else { return Ok((Some(found), None)) };
        self.scene.links.fill(event.tenant, &mut m.attachments, event.at);
        let author = self.author(read, &found.tenant, &m)?;
        let sender = sender(v, &m, &author);
        let shown = webhook::pushed(&found.around(v), &m, sender.as_ref().map(webhook::pushed_sender));
        Ok((Some(found), Some(shown)))
    }

    /// What stands around a conversation when message `number` was its newest; none without its inbox.
    fn found(&mut self, read: &mut Read, tenant: TenantId, v: &Conversation, number: i64) -> Result<Option<Found>> {
        let Some(inbox) = self.inbox(read, tenant, v.inbox)? else { return Ok(None) };
        let tenant = self.tenant(read, tenant)?;
        let address = match &v.source_id {
            Some(source) => contact_inboxes::find(read, tenant.id, v.inbox, source)?,
            None => None,
        };
        let token = |at: &ContactInbox| contact_inboxes::pubsub_token(&self.scene.keyring, tenant.id, at);
        let address = address.map(|at| (at.clone(), token(&at)));
        let assignee = match v.agent {
            Some(id) => self.user(read, &tenant, id)?,
            None => None,
        };
        let bot = match v.bot {
            Some(id) => self.bot(read, tenant.id, id)?,
            None => None,
        };
        let team = match v.team {
            Some(id) => self.team(read, tenant.id, id)?,
            None => None,
        };
        let unread = conversations::unread_then(read, tenant.id, v, number)?;
        Ok(Some(Found { tenant, inbox, address, assignee, bot, team, unread }))
    }

    /// The numbers of users, bots and teams that changes name by their ids.
    fn numbers(&mut self, read: &mut Read, tenant: TenantId, changes: &[Change]) -> Result<HashMap<String, i64>> {
        let mut numbers = HashMap::new();
        for change in changes {
            for id in [&change.from, &change.to].into_iter().filter_map(Value::as_str) {
                let number = match change.field.as_str() {
                    "assignedAgentId" => {
                        let tenant = self.tenant(read, tenant)?;
                        let Ok(user) = id.parse() else { continue };
                        self.user(read, &tenant, user)?.map(|user| user.number)
                    }
                    "assignedBotId" => {
                        let Ok(bot) = id.parse() else { continue };
                        self.bot(read, tenant, bot)?.map(|bot| bot.number)
                    }
                    "assignedTeamId" => {
                        let Ok(team) = id.parse() else { continue };
                        self.team(read, tenant, team)?.map(|team| team.number)
                    }
                    _ => None,
                };
                numbers.extend(number.map(|number| (id.to_owned(), number)));
            }
        }
        Ok(numbers)
    }

    /// Who did it, by the number that Chatwoot's clients know, where there is one.
    fn performed_by(&mut self, read: &mut Read, event: &Stored, state: &State) -> Result<Value> {
        let Some((kind, id)) = actor(event) else { return Ok(Value::Null) };
        let number = match kind.as_str() {
            "user" => {
                let tenant = self.tenant(read, event.tenant)?;
                self.user_named(read, &tenant, &id)?.map(|user| user.number)
            }
            "bot" => self.bot_named(read, event.tenant, &id)?.map(|bot| bot.number),
            "contact" => {
                let known = state.conversation.as_ref().map(|v| &v.contact).or(state.contact.as_ref());
                known.filter(|contact| contact.id.to_string() == id).map(|contact| contact.number)
            }
            _ => return Ok(json!({"type": kind, "id": Some(id).filter(|id| !id.is_empty())})),
        };
        Ok(json!({"type": kind, "id": number}))
    }

    fn user_named(&mut self, read: &mut Read, tenant: &Tenant, id: &str) -> Result<Option<Rc<User>>> {
        id.parse().map_or(Ok(None), |id| self.user(read, tenant, id))
    }

    fn bot_named(&mut self, read: &mut Read, tenant: TenantId, id: &str) -> Result<Option<Rc<Bot>>> {
        id.parse().map_or(Ok(None), |id| self.bot(read, tenant, id))
    }

    fn tenant(&mut self, read: &mut Read, id: TenantId) -> Result<Rc<Tenant>> {
        if let Some(tenant) = self.tenants.get(&id) {
            return Ok(tenant.clone());
        }
        let tenant = Rc::new(tenants::get(read, id)?);
        self.tenants.insert(id, tenant.clone());
        Ok(tenant)
    }

    fn inbox(&mut self, read: &mut Read, tenant: TenantId, id: InboxId) -> Result<Option<Rc<Inbox>>> {
        if let Some(inbox) = self.inboxes.get(&(tenant, id)) {
            return Ok(inbox.clone());
        }
        let inbox = optional(inboxes::get(read, tenant, id))?.map(Rc::new);
        self.inboxes.insert((tenant, id), inbox.clone());
        Ok(inbox)
    }

    fn user(&mut self, read: &mut Read, tenant: &Tenant, id: UserId) -> Result<Option<Rc<User>>> {
        let key = (tenant.live(), id);
        if let Some(user) = self.users.get(&key) {
            return Ok(user.clone());
        }
        let user = users::find(read, key.0, id)?.map(Rc::new);
        self.users.insert(key, user.clone());
        Ok(user)
    }

    fn team(&mut self, read: &mut Read, tenant: TenantId, id: TeamId) -> Result<Option<Rc<Team>>> {
        if let Some(team) = self.teams.get(&(tenant, id)) {
            return Ok(team.clone());
        }
        let team = optional(teams::get(read, tenant, id))?.map(Rc::new);
        self.teams.insert((tenant, id), team.clone());
        Ok(team)
    }

    fn bot(&mut self, read: &mut Read, tenant: TenantId, id: BotId) -> Result<Option<Rc<Bot>>> {
        if let Some(bot) = self.bots.get(&(tenant, id)) {
            return Ok(bot.clone());
        }
        let bot = bots::find(read, tenant, id)?.map(Rc::new);
        self.bots.insert((tenant, id), bot.clone());
        Ok(bot)
    }

    fn author(&mut self, read: &mut Read, tenant: &Tenant, m: &Message) -> Result<Author> {
        Ok(match (m.author_type, m.author_id) {
            (AuthorType::Agent, Some(id)) => {
                Author { user: self.user(read, tenant, UserId::from_uuid(id))?, bot: None }
            }
            (AuthorType::Ai | AuthorType::Automation, Some(id)) => {
                Author { user: None, bot: self.bot(read, tenant.id, BotId::from_uuid(id))? }
            }
            _ => Author::default(),
        })
    }
}

/// The user or bot who wrote a message, where it was one.
#[derive(Default)]
struct Author {
    user: Option<Rc<User>>,
    bot: Option<Rc<Bot>>,
}

fn change((field, values): (&String, &Value)) -> Change {
    Change { field: field.clone(), from: values["from"].clone(), to: values["to"].clone() }
}

/// Kind and id of who did it.
fn actor(event: &Stored) -> Option<(String, String)> {
    let actor: Actor = serde_json::from_str(&event.actor).ok()?;
    Some((actor.kind, actor.id.unwrap_or_default()))
}

/// Who wrote a message.
fn sender<'a>(v: &'a Conversation, m: &'a Message, author: &'a Author) -> Option<Sender<'a>> {
    let known = author.user.as_deref().map(Sender::User).or(author.bot.as_deref().map(Sender::Bot));
    match m.author_type {
        AuthorType::Contact => Some(Sender::Contact(&v.contact)),
        _ => known.or_else(|| m.author_name.as_deref().map(Sender::Program)),
    }
}

/// The present state of what an event was about.
fn present(read: &mut Read, event: &Stored, data: &Data) -> Result<State> {
    fn id<T: std::str::FromStr>(named: &Option<Named>) -> Option<T> {
        named.as_ref()?.id.parse().ok()
    }
    let tenant = event.tenant;
    let conversation = match event.conversation {
        Some(id) => optional(conversations::get(read, tenant, id))?,
        None => None,
    };
    let message = match id::<MessageId>(&data.message) {
        Some(id) => optional(messages::get(read, tenant, id))?,
        None => None,
    };
    let contact = match id(&data.contact) {
        Some(id) => optional(contacts::get(read, tenant, id))?,
        None => None,
    };
    let inbox = match id(&data.inbox) {
        Some(id) => optional(inboxes::get(read, tenant, id))?,
        None => None,
    };
    Ok::<_, Error>(State { conversation, message, contact, inbox })
}
