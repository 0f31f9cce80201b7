//! What every handler works with: the database, the keys to secrets, the egress guard, and what is kept in memory.

use crate::caller::Principals;
use crate::chatwoot::room::Rooms;
use crate::http::address::TrustedProxies;
use crate::limits::Failures;
use crate::presence::Presence;
use crate::requests::RequestLog;
use crate::v1::stream::Streams;
use std::sync::Arc;
use tieline_core::Error;
use tieline_core::ctx::{Actor, Cause, Ctx};
use tieline_core::ids::TenantId;
use tieline_core::limits::Meters;
use tieline_core::secrets::Keyring;
use tieline_db::Db;
use tieline_delivery::egress::Guard;
use tieline_delivery::files::Files;
use tieline_delivery::render::Scene;

/// The handle of a running server; cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    parts: Parts,
    streams: Streams,
    meters: Meters,
    failures: Failures,
    requests: RequestLog,
    rooms: Rooms,
    presence: Arc<Presence>,
}

/// What a hub is made of.
pub struct Parts {
    /// The database.
    pub db: Db,
    /// Seals and opens secrets.
    pub keyring: Arc<Keyring>,
    /// Checks webhook addresses when they are saved.
    pub guard: Guard,
    /// The bytes of attachments, and links to them.
    pub files: Files,
    /// Where clients reach this server, without a slash at the end.
    pub public_url: String,
    /// Who calls, remembered.
    pub principals: Principals,
    /// Whose word on a client's address counts.
    pub proxies: TrustedProxies,
    /// Fills bytes at random; from the operating system, but for tests.
    pub random: fn(&mut [u8]) -> Result<(), Error>,
}

impl Hub {
    /// A hub of these parts.
    pub fn new(parts: Parts) -> Hub {
        let meters = Meters::new(uuid::Uuid::now_v7());
        let requests = RequestLog::new(parts.db.clone());
        Hub(Arc::new(Inner {
            parts,
            streams: Streams::default(),
            meters,
            failures: Failures::default(),
            requests,
            rooms: Rooms::default(),
            presence: Arc::default(),
        }))
    }
    /// What everybody who asks has used.
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }
    /// The log of requests, on its way into the database.
    pub fn requests(&self) -> &RequestLog {
        &self.0.requests
    }
    /// Who failed to say who they are.
    pub(crate) fn failures(&self) -> &Failures {
        &self.0.failures
    }
    /// Who is told on `/cable`.
    pub(crate) fn rooms(&self) -> &Rooms {
        &self.0.rooms
    }
    /// Who is there.
    pub fn presence(&self) -> &Arc<Presence> {
        &self.0.presence
    }
    /// The event streams that are open.
    pub fn streams(&self) -> &Streams {
        &self.0.streams
    }
    /// Random bytes.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        (self.random)(&mut bytes)?;
        Ok(bytes)
    }
    /// The context of a request; from where it came is said by who knows it.
    pub fn ctx(&self, tenant: TenantId, actor: Actor, request_id: &str) -> Ctx {
        let cause = Some(Cause { kind: "request", id: request_id.to_owned() });
        Ctx { tenant, actor, cause, address: None, render: tieline_wire::freeze, random: self.random }
    }
    /// What bodies of Chatwoot's format are made with.
    pub fn scene(&self) -> Scene {
        Scene::new(self.keyring.clone(), self.files.links())
    }
}

impl std::ops::Deref for Hub {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

/// Random bytes of the operating system.
pub fn os_random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| Error::internal(error.to_string()))
}
