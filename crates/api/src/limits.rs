//! Limits for every surface: who asks is let in or refused here, and each dialect only renders what comes of it.
//!
//! A dialect that knows who asks calls [`admit`] before anything else of theirs is looked at; the headers follow by
//! themselves. One that does not know a credential calls [`failed`], and [`may_try`] before it looks one up.

use crate::http::address::household;
use crate::http::visit::{Visit, Visitor};
use crate::hub::Hub;
use http::request::Parts;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tieline_core::complain;
use tieline_core::limits::{
    self, Batch, Limits, Meter, PUBLISH_EVERY_US, WRITE_EVERY_US, Who, Window, retry_after_seconds,
};
use tieline_core::tenants::Tenant;
use tieline_core::{Error, Kind};
use tokio::sync::watch;

/// Failed authentications of one client address in any 60 seconds (contract D2.5).
pub const FAILURES_PER_MINUTE: i64 = 20;
/// Addresses remembered for their failures; when more fail, all are forgotten.
const ADDRESSES: usize = 10_000;
/// Publications between two looks for meters to forget.
const FORGET_EVERY: u64 = 75;

/// The meter of one who asks; reads what the database knows of them when this node does not.
pub async fn meter(hub: &Hub, who: Who) -> Result<Arc<Meter>, Error> {
    if let Some(meter) = hub.meters().get(who) {
        return Ok(meter);
    }
    let node = hub.meters().node();
    let known = hub.db.read(move |read| limits::known(read, who, node)).await?;
    Ok(hub.meters().put(who, &known, hub.db.now()))
}

/// Lets a request in, once, however often it is asked; `principal` is the caller's id on the wire.
///
/// Errors: `rate_limited`, `daily_quota_exceeded` (429), `quota_exceeded` (402).
pub fn admit(
    hub: &Hub,
    parts: &Parts,
    tenant: &Tenant,
    principal: &Arc<str>,
    meter: &Arc<Meter>,
    limits: &Limits,
) -> Result<(), Error> {
    let visit = Visit::of(parts);
    if visit.is_some_and(|visit| visit.visitor().is_some()) {
        return Ok(());
    }
    let now = hub.db.now();
    let (standing, refusal) = meter.admit(limits, now);
    if let Some(visit) = visit {
        let (address, principal) = (hub.proxies.client(parts), principal.clone());
        let (tenant, log_bodies) = (tenant.id, tenant.wishes.log_bodies);
        visit.enter(Visitor { tenant, principal, address, standing, log_bodies });
    }
    refusal.map_or(Ok(()), |refusal| Err(refusal.error(&standing, now)))
}

/// Who failed to say who they are, by address.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<IpAddr, Window>>);

impl Failures {
    /// The seconds to wait, where an address has failed too often.
    fn wait(&self, address: IpAddr, now: i64, counts: bool) -> Option<i64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let household = household(address);
        if !counts && !all.contains_key(&household) {
            return None;
        }
        if all.len() >= ADDRESSES && !all.contains_key(&household) {
            all.retain(|_, window| {
                window.pass(now);
                window.total() > 0
            });
            if all.len() >= ADDRESSES {
                all.clear();
            }
        }
        let window = all.entry(household).or_default();
        window.pass(now);
        if window.total() >= FAILURES_PER_MINUTE {
            let then = window.frees_at(&Window::default(), 1).unwrap_or(now);
            return Some(retry_after_seconds(then, now));
        }
        if counts {
            window.add(now);
        }
        None
    }
}

fn too_many(seconds: i64) -> Error {
    let detail = format!(
        "Too many failed authentications from this address: at most {FAILURES_PER_MINUTE} a minute. Wait {seconds} s."
    );
    Error::new(Kind::Limited, "rate_limited", detail).with("Retry-After", seconds)
}

/// Refuses to look up a credential that never worked here, from an address that failed too often: so guessing has a bound,
/// and those whose credentials work do not suffer from a neighbour's mistakes.
pub fn may_try(hub: &Hub, parts: &Parts) -> Result<(), Error> {
    let address = hub.proxies.client(parts);
    match address.and_then(|address| hub.failures().wait(address, hub.db.now(), false)) {
        Some(seconds) => Err(too_many(seconds)),
        None => Ok(()),
    }
}

/// Counts a failed authentication; answers the error to give: this one, or that there were too many.
pub fn failed(hub: &Hub, parts: &Parts, error: Error) -> Error {
    let address = hub.proxies.client(parts);
    address.and_then(|address| hub.failures().wait(address, hub.db.now(), true)).map_or(error, too_many)
}

/// Publishes what was let in, and reads what other nodes let in.
pub struct Publisher {
    hub: Hub,
    /// A batch of which it is not known whether it arrived; it is sent again before any other.
    unsettled: Option<Arc<Batch>>,
    steps: u64,
}

impl Publisher {
    /// The publisher of this node; there must be one only.
    pub fn new(hub: Hub) -> Publisher {
        Publisher { hub, unsettled: None, steps: 0 }
    }

    /// Publishes what there is. An error keeps it for the next step.
    pub async fn step(&mut self) -> Result<(), Error> {
        let meters = self.hub.meters();
        loop {
            let again = self.unsettled.is_some();
            let batch = match self.unsettled.take() {
                Some(batch) => batch,
                None => match meters.batch(self.hub.db.now()) {
                    Some(batch) => Arc::new(batch),
                    None => break,
                },
            };
            self.unsettled = Some(batch.clone());
            let sent = batch.clone();
            let published = self.hub.db.write(move |tx| limits::publish(tx, &sent)).await?;
            meters.settle(&batch, &published, self.hub.db.now());
            self.unsettled = None;
            if !again {
                break;
            }
        }
        self.steps += 1;
        if self.steps.is_multiple_of(FORGET_EVERY) {
            meters.forget(self.hub.db.now());
        }
        Ok(())
    }

    /// Publishes until `stop` is true, and once more then.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let pause = if self.hub.db.is_shared() { PUBLISH_EVERY_US } else { WRITE_EVERY_US };
        let pause = Duration::from_micros(pause as u64);
        loop {
            let stopping = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => true,
                () = tokio::time::sleep(pause) => false,
            };
            if let Err(error) = self.step().await {
                complain!(error, "cannot publish the requests that were counted; trying again");
            }
            if stopping {
                return;
            }
        }
    }
}
