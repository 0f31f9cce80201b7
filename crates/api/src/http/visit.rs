//! What a request's authentication tells the layers around its handler: who it was, and how far their limits are used.

use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tieline_core::ids::{ConversationId, TenantId};
use tieline_core::inboxes::Called;
use tieline_core::limits::Standing;

const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const QUOTA_LIMIT: HeaderName = HeaderName::from_static("x-api-quota-limit");
const QUOTA_REMAINING: HeaderName = HeaderName::from_static("x-api-quota-remaining");
const QUOTA_RESET: HeaderName = HeaderName::from_static("x-api-quota-reset");

/// Who made a request that was authenticated.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The partition.
    pub tenant: TenantId,
    /// The id of the key, user or inbox on the wire.
    pub principal: Arc<str>,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// What is left for them.
    pub standing: Standing,
    /// Whether the tenant keeps bodies in its request log.
    pub log_bodies: bool,
}

/// Empty until somebody is let in or refused by a limit; in the extensions of every request.
#[derive(Clone, Debug, Default)]
pub struct Visit(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    visitor: OnceLock<Visitor>,
    body: OnceLock<Bytes>,
    called: OnceLock<Called>,
    about: OnceLock<Called>,
}

impl Visit {
    /// The one of this request.
    pub(crate) fn of(parts: &Parts) -> Option<&Visit> {
        parts.extensions.get()
    }
    /// Who it was; none when nobody was authenticated.
    pub fn visitor(&self) -> Option<&Visitor> {
        self.0.visitor.get()
    }
    /// Where it came from, where somebody was authenticated.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.visitor().and_then(|visitor| visitor.address)
    }
    /// Notes who it is; the first one counts.
    pub(crate) fn enter(&self, visitor: Visitor) {
        let _ = self.0.visitor.set(visitor);
    }
    /// Notes which inbox it is for, or that nobody can tell; the first one counts.
    pub(crate) fn call(&self, called: Called) {
        let _ = self.0.called.set(called);
    }
    /// Notes which conversation its path names: it is for the inbox of that one, where nothing says more.
    pub(crate) fn about(&self, tenant: TenantId, conversation: ConversationId) {
        let _ = self.0.about.set(Called::Conversation(tenant, conversation));
    }
    /// Which inbox it is for; none for what has nothing to do with one.
    pub(crate) fn called(&self) -> Option<Called> {
        self.0.called.get().or_else(|| self.0.about.get()).copied()
    }
    /// Keeps the body of the request, where the tenant wants that.
    pub(crate) fn keep_body(&self, body: &Bytes) {
        if self.visitor().is_some_and(|visitor| visitor.log_bodies) {
            let _ = self.0.body.set(body.clone());
        }
    }
    /// The body that was kept.
    pub(crate) fn body(&self) -> Option<&Bytes> {
        self.0.body.get()
    }
}

/// `X-RateLimit-…` and, where there is a quota, `X-Api-Quota-…` (contract D2.6).
pub(super) fn describe(standing: &Standing, headers: &mut HeaderMap) {
    let minute = &standing.minute;
    headers.insert(RATE_LIMIT, HeaderValue::from(minute.limit.unwrap_or_default()));
    headers.insert(RATE_REMAINING, HeaderValue::from(minute.remaining().unwrap_or_default()));
    headers.insert(RATE_RESET, HeaderValue::from(minute.resets_at_second()));
    if let Some(quota) = standing.quota() {
        headers.insert(QUOTA_LIMIT, HeaderValue::from(quota.limit.unwrap_or_default()));
        headers.insert(QUOTA_REMAINING, HeaderValue::from(quota.remaining().unwrap_or_default()));
        headers.insert(QUOTA_RESET, HeaderValue::from(quota.resets_at_second()));
    }
}
