//! Who calls: a key becomes a [`Caller`], from memory whenever it can.
//!
//! What is remembered is dropped as a whole when anything of the configuration changes (a key, a tenant), so a revoked key
//! stops with the next request on this node. A miss is never remembered: a new key works at once.

use crate::http::error::Failure;
use crate::http::request::RequestId;
use crate::http::visit::Visit;
use crate::hub::Hub;
use crate::limits::{admit, failed, may_try, meter};
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, RwLock};
use tieline_core::ctx::{Actor, ActorKind, Ctx};
use tieline_core::events::CONFIGURATION;
use tieline_core::idempotency::{Answer, KEY_LIMIT, Once};
use tieline_core::ids::{ConversationId, InboxId, KeyId, TenantId};
use tieline_core::inboxes::Called;
use tieline_core::keys::scopes::{Scope, Scopes};
use tieline_core::keys::token::{self, KeyDigest};
use tieline_core::keys::{self, Key};
use tieline_core::limits::{Meter, Standing, Who};
use tieline_core::tenants::Tenant;
use tieline_core::{Error, Kind};

/// Principals remembered; when more call, all are forgotten and remembered anew.
const REMEMBERED: usize = 10_000;

/// A known key with its tenant.
pub struct Principal {
    /// The key.
    pub key: Key,
    /// The partition it opens.
    pub tenant: Tenant,
    actor: Actor,
    id: Arc<str>,
    meter: Arc<Meter>,
}

/// Principals in memory, and which keys were used since they were last written down.
#[derive(Default)]
pub struct Principals {
    known: RwLock<(u64, HashMap<KeyDigest, Arc<Principal>>)>,
    /// Keys that worked, whatever was configured since: they are looked up whoever fails beside them.
    proven: RwLock<HashSet<KeyDigest>>,
    used: Mutex<HashMap<(TenantId, KeyId), i64>>,
}

impl Principals {
    fn get(&self, version: u64, digest: &KeyDigest) -> Option<Arc<Principal>> {
        let known = self.known.read().ok()?;
        if known.0 == version { known.1.get(digest).cloned() } else { None }
    }
    fn put(&self, version: u64, digest: KeyDigest, principal: Arc<Principal>) {
        let Ok(mut known) = self.known.write() else { return };
        if known.0 != version || known.1.len() >= REMEMBERED {
            known.0 = version;
            known.1.clear();
        }
        known.1.insert(digest, principal);
        drop(known);
        let Ok(mut proven) = self.proven.write() else { return };
        if proven.len() >= REMEMBERED {
            proven.clear();
        }
        proven.insert(digest);
    }
    fn is_proven(&self, digest: &KeyDigest) -> bool {
        self.proven.read().is_ok_and(|proven| proven.contains(digest))
    }
    /// Keys used since the last call and when each was used last, microseconds UTC.
    pub fn take_used(&self) -> Vec<((TenantId, KeyId), i64)> {
        self.used.lock().map(|mut used| used.drain().collect()).unwrap_or_default()
    }
}

/// An authenticated request.
#[derive(Clone)]
pub struct Caller {
    hub: Hub,
    digest: KeyDigest,
    principal: Arc<Principal>,
    request_id: RequestId,
    visit: Visit,
    route: String,
    idempotency_key: Option<String>,
}

impl Caller {
    /// The partition.
    pub fn tenant(&self) -> TenantId {
        self.principal.tenant.id
    }
    /// Key and tenant.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
    /// What the key may do.
    pub fn scopes(&self) -> &Scopes {
        &self.principal.key.scopes
    }
    /// How far the caller's limits are used.
    pub fn standing(&self) -> Standing {
        self.principal.meter.standing(&self.principal.tenant.limits(), self.hub.db.now())
    }
    /// The context for a verb.
    pub fn ctx(&self) -> Ctx {
        let mut ctx = self.hub.ctx(self.tenant(), self.principal.actor.clone(), self.request_id.as_str());
        ctx.address = self.visit.address();
        if !self.principal.tenant.keeps_state {
            ctx.render = tieline_wire::native::event::data;
        }
        ctx
    }
    /// Notes which inbox the call was for.
    pub fn concerns(&self, inbox: InboxId) {
        self.visit.call(Called::Inbox(self.tenant(), inbox));
    }
    /// Refuses a key without this scope.
    pub fn needs(&self, scope: Scope) -> Result<(), Error> {
        self.needs_any(&[scope])
    }
    /// Refuses a key without any of these scopes.
    pub fn needs_any(&self, scopes: &[Scope]) -> Result<(), Error> {
        if scopes.iter().any(|scope| self.scopes().allows(*scope)) {
            return Ok(());
        }
        let names: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
        let detail =
            format!("This key lacks the scope {}; give it that scope, or use another key.", names.join(" or "));
        Err(Error::new(Kind::Forbidden, "insufficient_scope", detail).with("requiredScope", names[0]))
    }
    /// Whether the key still works and has this scope, for answers that go on for long.
    pub async fn still_has(&self, scope: Scope) -> bool {
        let found = principal(&self.hub, self.digest).await;
        found.is_ok_and(|principal| principal.tenant.plan.has_api && principal.key.scopes.allows(scope))
    }
    /// What the `Idempotency-Key` header asks for, with the body it came with; none without the header.
    pub fn once<O>(&self, body: &[u8], render: fn(&O) -> Answer) -> Option<Once<O>> {
        let key = self.idempotency_key.clone()?;
        Some(Once {
            principal: self.principal.key.id.to_string(),
            route: self.route.clone(),
            key,
            request_hash: Sha256::digest(body).into(),
            render,
        })
    }
}

impl FromRequestParts<Hub> for Caller {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Caller, Failure> {
        let text = bearer(&parts.headers)?;
        let digest = token::parse(text).map_err(|_| failed(hub, parts, invalid_key()))?.digest;
        if !hub.principals.is_proven(&digest) {
            may_try(hub, parts)?;
        }
        let principal = match principal(hub, digest).await {
            Err(error) if error.kind == Kind::Unauthorized => return Err(failed(hub, parts, error).into()),
            found => found?,
        };
        admit(hub, parts, &principal.tenant, &principal.id, &principal.meter, &principal.tenant.limits())?;
        if !principal.tenant.plan.has_api {
            return Err(Error::new(Kind::Forbidden, "api_disabled", "The API is switched off for this tenant.").into());
        }
        if let Ok(mut used) = hub.principals.used.lock() {
            used.insert((principal.tenant.id, principal.key.id), hub.db.now());
        }
        let visit = Visit::of(parts).cloned().unwrap_or_default();
        if let Some(conversation) = conversation(parts.uri.path()) {
            visit.about(principal.tenant.id, conversation);
        }
        let idempotency_key = idempotency_key(parts)?;
        Ok(Caller {
            hub: hub.clone(),
            digest,
            principal,
            visit,
            request_id: parts.extensions.get().cloned().unwrap_or_else(|| RequestId::of(None)),
            route: match idempotency_key {
                Some(_) => format!("{} {}", parts.method, parts.uri.path()),
                None => String::new(),
            },
            idempotency_key,
        })
    }
}

/// The conversation that a path names.
fn conversation(path: &str) -> Option<ConversationId> {
    let (_, rest) = path.split_once("/conversations/")?;
    rest.split('/').next()?.parse().ok()
}

fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        let detail = "Send your API key in the header `Authorization: Bearer <key>`.";
        return Err(Error::new(Kind::Unauthorized, "unauthorized", detail));
    };
    let (scheme, key) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(invalid_key)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(key.trim()) } else { Err(invalid_key()) }
}

fn invalid_key() -> Error {
    let detail = "This API key is not known, or it was revoked or disabled; check it, or make a new one.";
    Error::new(Kind::Unauthorized, "invalid_api_key", detail)
}

/// The key with this digest, if it works.
async fn principal(hub: &Hub, digest: KeyDigest) -> Result<Arc<Principal>, Error> {
    let version = hub.db.version(CONFIGURATION);
    let principal = match hub.principals.get(version, &digest) {
        Some(principal) => principal,
        None => {
            let found = hub.db.read(move |read| keys::by_digest(read, digest)).await?;
            let (key, tenant) = found.ok_or_else(invalid_key)?;
            let meter = meter(hub, Who { tenant: tenant.id, principal: key.id.0 }).await?;
            let id: Arc<str> = key.id.to_string().into();
            let actor = Actor { kind: ActorKind::ApiKey, id: Some(id.clone()), name: Some(key.name.as_str().into()) };
            let principal = Arc::new(Principal { key, tenant, actor, id, meter });
            if principal.key.is_active {
                hub.principals.put(version, digest, principal.clone());
            }
            principal
        }
    };
    let expired = principal.key.expires_at.is_some_and(|at| at <= hub.db.now());
    if principal.key.is_active && !expired { Ok(principal) } else { Err(invalid_key()) }
}

fn idempotency_key(parts: &Parts) -> Result<Option<String>, Error> {
    let Some(value) = parts.headers.get("idempotency-key").filter(|_| parts.method == Method::POST) else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|text| (1..=KEY_LIMIT).contains(&text.len()));
    let refused =
        || Error::field("Idempotency-Key", "invalid_value", "Idempotency-Key has 1 to 255 printable ASCII characters.");
    Ok(Some(text.ok_or_else(refused)?.to_owned()))
}
