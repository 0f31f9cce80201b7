//! Who asks, for which tenant, and why: what every verb gets beside its command.

use crate::events::Render;
use crate::ids::TenantId;
use crate::{Error, Result};
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;

/// The context of one request or one reaction.
#[derive(Clone)]
pub struct Ctx {
    /// The partition it happens in.
    pub tenant: TenantId,
    /// Who does it.
    pub actor: Actor,
    /// What led to it.
    pub cause: Option<Cause>,
    /// The client's address, where a request led to it.
    pub address: Option<IpAddr>,
    /// Writes an event's data in the native shape; given by the edge, because `wire` owns the shapes.
    pub render: Render,
    /// Fills bytes at random, for what nobody may guess; given by the edge, like every effect.
    pub random: Random,
}

impl Ctx {
    /// Tieline itself, acting in `tenant` without a request: timers, senders, housekeeping. Its verbs make nothing
    /// unguessable.
    pub fn system(tenant: TenantId, render: Render) -> Ctx {
        Ctx { tenant, actor: Actor::system(), cause: None, address: None, render, random: no_random }
    }
}

/// Fills bytes at random.
pub type Random = fn(&mut [u8]) -> Result<()>;

/// For contexts whose verbs make nothing unguessable: refuses.
pub fn no_random(_: &mut [u8]) -> Result<()> {
    Err(Error::internal("this context has no randomness"))
}

/// Kind of actor, as written into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// A program with an API key.
    ApiKey,
    /// A person of the tenant.
    User,
    /// The customer.
    Contact,
    /// A program that talks in inboxes, by its own token.
    Bot,
    /// A rule of the tenant.
    Automation,
    /// Tieline itself: timers, housekeeping, the command line.
    System,
}

/// Who did something. Its JSON form is stored with every event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// Kind of actor.
    #[serde(rename = "type")]
    pub kind: ActorKind,
    /// Its id on the wire, e.g. `key_…`; none for the system.
    pub id: Option<Arc<str>>,
    /// Its name when it acted; of the system the operator's way in, if it was one.
    pub name: Option<Arc<str>>,
}

impl Actor {
    /// Tieline itself.
    pub fn system() -> Actor {
        Actor { kind: ActorKind::System, id: None, name: None }
    }
    /// The operator, by one of the ways in that ask for no credential: the command line, setting up.
    pub fn operator(way: &str) -> Actor {
        Actor { name: Some(way.into()), ..Actor::system() }
    }
}

/// What led to a change: a request, or an event that a rule reacted to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// `request`, `timer`, `automation` or `assignment`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id: of the request, of the rule; of a timer its kind; of an assignment the team or inbox whose mode it follows.
    pub id: String,
}
