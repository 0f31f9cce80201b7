//! Gathers what a shape needs around a record, each user, team and inbox once for an answer.

use super::pubsub;
use crate::hub::Hub;
use crate::presence::{Person, Presence};
use serde_json::Value;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use tieline_core::attachments::link::Links;
use tieline_core::bots::{self, Bot};
use tieline_core::contact_inboxes::{self, ContactInbox};
use tieline_core::contacts::Contact;
use tieline_core::conversations::{self, Conversation};
use tieline_core::error::Error;
use tieline_core::ids::{BotId, InboxId, TeamId, TenantId, UserId};
use tieline_core::inboxes::{self, Inbox};
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::{self, Message, Order};
use tieline_core::secrets::Keyring;
use tieline_core::teams::{self, Team};
use tieline_core::tenants::Tenant;
use tieline_core::users::{self, ACCESS_TOKEN_CONTEXT, Availability, User};
use tieline_core::{Result, webhooks};
use tieline_db::Read;
use tieline_delivery::SECRET_CONTEXT;
use tieline_wire::chatwoot::{bot, contact, conversation, inbox, message, people};

/// Messages shown with a conversation of the client API.
const PUBLIC_MESSAGES: i64 = 100;
/// Newest messages that are looked at for the last one that is no activity.
const LAST_LOOKED_AT: i64 = 10;

/// What views are made from; cheap to clone into a transaction.
#[derive(Clone)]
pub(super) struct Scene {
    pub tenant: TenantId,
    pub live: TenantId,
    links: Arc<Links>,
    keyring: Arc<Keyring>,
    is_admin: bool,
    /// The user who looks; none for a program or a customer.
    viewer: Option<UserId>,
    presence: Arc<Presence>,
    now: i64,
}

impl Scene {
    pub fn new(hub: &Hub, tenant: &Tenant, is_admin: bool) -> Scene {
        Scene {
            tenant: tenant.id,
            live: tenant.live(),
            links: hub.files.links().clone(),
            keyring: hub.keyring.clone(),
            is_admin,
            viewer: None,
            presence: hub.presence().clone(),
            now: hub.db.now(),
        }
    }
    /// The same, as a user sees it.
    pub fn seen_by(self, viewer: UserId) -> Scene {
        Scene { viewer: Some(viewer), ..self }
    }
    /// A view of one answer.
    pub fn view(&self) -> View<'_> {
        View {
            scene: self,
            users: HashMap::new(),
            teams: HashMap::new(),
            inboxes: HashMap::new(),
            bots: HashMap::new(),
        }
    }
    /// Key of the identity hashes of an inbox.
    pub fn hmac_token(&self, inbox: &Inbox) -> Result<String> {
        inboxes::identity_key(&self.keyring, self.tenant, inbox)
    }
    /// What a contact subscribes to its conversations with.
    pub fn pubsub_token(&self, at: &ContactInbox) -> String {
        contact_inboxes::pubsub_token(&self.keyring, self.tenant, at)
    }
    /// The same for a user.
    pub fn user_pubsub_token(&self, user: &User) -> String {
        pubsub::of_user(&self.keyring, self.live, user.number)
    }
    /// The same at the present time.
    pub fn now(&self, hub: &Hub) -> Scene {
        Scene { now: hub.db.now(), ..self.clone() }
    }
    /// A user with the availability that others see: whoever has no screen open is away, unless they want to count as there.
    pub fn shown(&self, mut user: User) -> User {
        let is_here = || self.presence.is_here(self.tenant, Person::User(user.number), self.now);
        if user.is_auto_offline && user.seen_until <= self.now && !is_here() {
            user.availability = Availability::Offline;
        }
        user
    }
    /// A contact with whether they are there.
    fn noticed(&self, contact: &Contact, mut view: Value) -> Value {
        if self.presence.is_here(self.tenant, Person::Contact(contact.number), self.now) {
            view["availability_status"] = "online".into();
        }
        view
    }
    /// A contact as the client API shows it.
    pub fn public_contact(&self, contact: &Contact, at: &ContactInbox) -> Value {
        contact::public(contact, at, &self.pubsub_token(at))
    }
}

/// What was found for one answer.
pub(super) struct View<'s> {
    scene: &'s Scene,
    users: HashMap<UserId, Option<User>>,
    teams: HashMap<TeamId, Option<Team>>,
    inboxes: HashMap<InboxId, Inbox>,
    bots: HashMap<BotId, Option<Bot>>,
}

/// What signs an endpoint's deliveries.
pub(super) fn secret(keyring: &Keyring, endpoint: &webhooks::Endpoint) -> Result<String> {
    String::from_utf8(keyring.open(&endpoint.secret, SECRET_CONTEXT)?).map_err(Error::internal)
}

fn optional<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code == "not_found" => Ok(None),
        Err(error) => Err(error),
    }
}

impl View<'_> {
    fn user(&mut self, read: &mut Read, id: UserId) -> Result<Option<User>> {
        Ok(match self.users.entry(id) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                entry.insert(users::find(read, self.scene.live, id)?.map(|user| self.scene.shown(user))).clone()
            }
        })
    }
    fn team(&mut self, read: &mut Read, id: TeamId) -> Result<Option<Team>> {
        Ok(match self.teams.entry(id) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => entry.insert(optional(teams::get(read, self.scene.tenant, id))?).clone(),
        })
    }
    pub fn inbox_of(&mut self, read: &mut Read, id: InboxId) -> Result<Inbox> {
        Ok(match self.inboxes.entry(id) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => entry.insert(inboxes::get(read, self.scene.tenant, id)?).clone(),
        })
    }

    fn bot_of(&mut self, read: &mut Read, id: BotId) -> Result<Option<Bot>> {
        Ok(match self.bots.entry(id) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => entry.insert(bots::find(read, self.scene.tenant, id)?).clone(),
        })
    }

    /// A bot, with its secrets for administrators.
    pub fn bot(&self, found: &Bot) -> Result<Value> {
        let open = |sealed: &[u8], context: &str| {
            String::from_utf8(self.scene.keyring.open(sealed, context)?).map_err(Error::internal)
        };
        let secrets = match self.scene.is_admin {
            true => Some(bot::Secrets {
                access_token: open(&found.access_token, ACCESS_TOKEN_CONTEXT)?,
                secret: open(&found.secret, SECRET_CONTEXT)?,
            }),
            false => None,
        };
        Ok(bot::bot(found, self.scene.tenant.0, secrets))
    }

    /// An inbox, with its secrets for administrators.
    pub fn inbox(&mut self, read: &mut Read, found: &Inbox) -> Result<Value> {
        if !self.scene.is_admin {
            return Ok(inbox::inbox(found, None));
        }
        let secret = match &found.webhook {
            Some((id, _)) => {
                let endpoint = webhooks::get(read, self.scene.tenant, *id)?;
                Some(secret(&self.scene.keyring, &endpoint)?)
            }
            None => None,
        };
        Ok(inbox::inbox(found, Some(inbox::Secrets { hmac_token: self.scene.hmac_token(found)?, secret })))
    }

    /// A contact with its addresses.
    pub fn contact(&mut self, read: &mut Read, found: &Contact) -> Result<Value> {
        let addresses = contact_inboxes::of_contact(read, self.scene.tenant, found.id)?;
        let addresses: Result<Vec<_>> =
            addresses.into_iter().map(|at| Ok((at.clone(), self.inbox_of(read, at.inbox)?))).collect();
        Ok(self.scene.noticed(found, contact::with_inboxes(found, &addresses?)))
    }

    fn sender(&mut self, read: &mut Read, v: &Conversation, m: &Message) -> Result<Option<Value>> {
        Ok(match (m.author_type, m.author_id) {
            (AuthorType::Contact, _) => Some(contact::sender(&v.contact)),
            (AuthorType::Agent, Some(id)) => self.user(read, UserId::from_uuid(id))?.as_ref().map(people::sender),
            (AuthorType::Ai | AuthorType::Automation, Some(id)) => match self.bot_of(read, BotId::from_uuid(id))? {
                Some(found) => Some(bot::sender(&found)),
                None => m.author_name.as_ref().map(|name| people::program(name)),
            },
            _ => m.author_name.as_ref().map(|name| people::program(name)),
        })
    }

    fn place<'v>(&mut self, read: &mut Read, v: &'v Conversation, unread: i64) -> Result<message::Place<'v>> {
        let assignee = match v.agent {
            Some(id) => self.user(read, id)?.map(|user| user.number),
            None => None,
        };
        let inbox = self.inbox_of(read, v.inbox)?.number;
        Ok(message::Place { account: self.scene.tenant.0, inbox, conversation: v, unread, assignee })
    }

    /// A message; `echo_id` is the one that its creator sent.
    pub fn message(
        &mut self,
        read: &mut Read,
        v: &Conversation,
        m: &Message,
        echo_id: Option<&Value>,
    ) -> Result<Value> {
        let m = &self.linked(read, m);
        let (place, sender) = (self.place(read, v, 0)?, self.sender(read, v, m)?);
        Ok(message::message(m, place, sender, echo_id))
    }

    /// A file of a conversation, with who sent it.
    pub fn file(&mut self, read: &mut Read, v: &Conversation, file: &messages::File) -> Result<Value> {
        let m = &self.linked(read, &file.message);
        let sender = self.sender(read, v, m)?;
        Ok(message::listed_file(m, file.place, self.scene.tenant.0, sender))
    }

    /// A message of the client API.
    pub fn public_message(&mut self, read: &mut Read, v: &Conversation, m: &Message) -> Result<Value> {
        let m = &self.linked(read, m);
        let (place, sender) = (self.place(read, v, 0)?, self.sender(read, v, m)?);
        Ok(message::public(m, place, sender))
    }

    /// A message as it is inside a conversation.
    pub fn pushed(&mut self, read: &mut Read, v: &Conversation, m: &Message, unread: i64) -> Result<Value> {
        let m = &self.linked(read, m);
        let (place, sender) = (self.place(read, v, unread)?, self.sender(read, v, m)?);
        Ok(message::pushed(m, place, sender))
    }

    fn linked(&self, read: &mut Read, m: &Message) -> Message {
        let mut m = m.clone();
        self.scene.links.fill(self.scene.tenant, &mut m.attachments, read.now());
        m
    }

    /// A conversation of the application API.
    pub fn conversation(&mut self, read: &mut Read, v: &Conversation) -> Result<Value> {
        let tenant = self.scene.tenant;
        let unread = conversations::unread(read, tenant, v)?;
        let newest = messages::list(read, tenant, v.id, Order::NewestFirst, None, LAST_LOOKED_AT)?;
        let last = newest.first().map(|m| self.pushed(read, v, m, unread)).transpose()?;
        let said = newest.iter().find(|m| m.direction != Direction::Activity);
        let last_said = said.map(|m| self.pushed(read, v, m, unread)).transpose()?;
        let inbox = self.inbox_of(read, v.inbox)?;
        let assignee = v.agent.map(|id| self.user(read, id)).transpose()?.flatten();
        let bot = v.bot.map(|id| self.bot_of(read, id)).transpose()?.flatten();
        let team = v.team.map(|id| self.team(read, id)).transpose()?.flatten();
        let at = v.source_id.as_ref().map(|source| contact_inboxes::find(read, tenant, v.inbox, source)).transpose()?;
        let around = conversation::Around {
            conversation: v,
            inbox: &inbox,
            account: tenant.0,
            assignee: assignee.as_ref(),
            bot: bot.as_ref(),
            team: team.as_ref(),
            is_in_team: team.as_ref().zip(self.scene.viewer).is_some_and(|(team, user)| team.members.contains(&user)),
            is_verified: at.flatten().is_some_and(|at| at.is_verified),
            unread,
        };
        let mut view = conversation::conversation(&around, last, last_said);
        let sender = view["meta"]["sender"].take();
        view["meta"]["sender"] = self.scene.noticed(&v.contact, sender);
        Ok(view)
    }

    /// Who has a conversation, as a sender.
    pub fn assignee(&mut self, read: &mut Read, v: &Conversation) -> Result<Option<Value>> {
        let user = v.agent.map(|id| self.user(read, id)).transpose()?.flatten();
        let bot = v.bot.map(|id| self.bot_of(read, id)).transpose()?.flatten();
        Ok(user.as_ref().map(people::sender).or(bot.as_ref().map(bot::sender)))
    }

    /// Several conversations.
    pub fn conversations(&mut self, read: &mut Read, list: &[Conversation]) -> Result<Value> {
        list.iter().map(|v| self.conversation(read, v)).collect()
    }

    /// A conversation of the client API.
    pub fn public_conversation(&mut self, read: &mut Read, v: &Conversation) -> Result<Value> {
        let messages = public_messages(read, self.scene.tenant, v, None, PUBLIC_MESSAGES)?;
        let messages: Result<Vec<Value>> = messages.iter().map(|m| self.public_message(read, v, m)).collect();
        let inbox = self.inbox_of(read, v.inbox)?.number;
        Ok(conversation::public(v, inbox, self.scene.tenant.0, messages?))
    }
}

/// The newest messages that the customer sees, oldest first, before the one with number `before`.
pub(super) fn public_messages(
    read: &mut Read,
    tenant: TenantId,
    v: &Conversation,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Message>> {
    let shown = |m: &Message| matches!(m.direction, Direction::Inbound | Direction::Outbound);
    let (mut found, mut before) = (Vec::new(), before);
    loop {
        let page = messages::list(read, tenant, v.id, Order::NewestFirst, before, limit)?;
        let ended = (page.len() as i64) < limit;
        before = page.last().map(|m| m.number);
        found.extend(page.into_iter().filter(shown));
        if ended || found.len() as i64 >= limit {
            found.truncate(limit as usize);
            found.reverse();
            return Ok(found);
        }
    }
}
