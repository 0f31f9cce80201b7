//! What the sender does with work that has come back.

use super::request::Prepared;
use super::{CLAIM, Done, Held, PAGE, Post, Sender, TROUBLE_US};
use crate::queue::{Queue, Start};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use tieline_core::Error;
use tieline_core::complain;
use tieline_core::deliveries::{Ended, LEASE_US, Waiting};
use tieline_core::ids::EndpointId;
use tieline_core::webhooks::DisabledReason;

impl<P: Post> Sender<P> {
    /// The queue of a lease that we still hold.
    fn current(&mut self, endpoint: EndpointId, epoch: i64) -> Option<&mut Held> {
        self.held.get_mut(&endpoint).filter(|held| held.queue.epoch() == epoch)
    }

    pub(super) fn handle(&mut self, done: Done, now: i64) {
        match &done {
            Done::Posted(endpoint, ..) => self.landed(*endpoint),
            _ => self.outstanding -= 1,
        }
        match &done {
            Done::Configured(endpoint, ..)
            | Done::Loaded(endpoint, ..)
            | Done::LaneLoaded(endpoint, ..)
            | Done::Body(endpoint, ..)
            | Done::Posted(endpoint, ..)
            | Done::Parked(endpoint, ..)
            | Done::Cancelled(endpoint, ..) => drop(self.touched.insert(*endpoint)),
            Done::Recorded(..) if std::mem::take(&mut self.held_back) => self.touch_all(),
            Done::Recorded(attempts, _) => self.touched.extend(attempts.iter().map(|attempt| attempt.endpoint)),
            Done::Renewed(..) => self.touch_all(),
            Done::Claimed(_) | Done::Waiting(_) => {}
        }
        match done {
            Done::Claimed(claimed) => {
                self.claiming = false;
                match claimed {
                    Ok(claimed) => {
                        self.look_again |= claimed.len() as i64 == CLAIM;
                        for one in claimed {
                            let held = Held {
                                queue: Queue::new(&one, i64::from(self.settings.rules.schedule.attempts())),
                                prepared: None,
                                configured: 0,
                                configure_at: None,
                                lease_until: self.claimed_at + LEASE_US,
                                wake_at: i64::MAX,
                                loading: false,
                                unread: true,
                                complete: false,
                                missed_to: 0,
                                not_before: now,
                                parking: false,
                                cancel: true,
                                cancelling: false,
                                settles: 0,
                                idle_since: now,
                            };
                            self.held.insert(one.endpoint, held);
                            self.configure(one.endpoint);
                        }
                    }
                    Err(error) => self.complain("claim endpoints", &error),
                }
            }
            Done::Configured(endpoint, number, Ok(Some(found))) => {
                let Some(held) = self.held.get_mut(&endpoint).filter(|held| held.configured < number) else { return };
                held.configured = number;
                held.queue.set_max_attempts(found.max_attempts);
                if !found.is_active || !held.is_active() {
                    held.told();
                }
                held.prepared = Some(Arc::new(Prepared::new(found, &self.settings)));
            }
            Done::Configured(endpoint, _, Ok(None)) => drop(self.held.remove(&endpoint)), // deleted
            Done::Configured(endpoint, _, Err(error)) => {
                self.complain("read an endpoint", &error);
                if let Some(held) = self.held.get_mut(&endpoint) {
                    held.configure_at = Some(now + TROUBLE_US);
                }
            }
            Done::Loaded(endpoint, epoch, limit, page) => {
                let failed = page.as_ref().err().map(|error| self.complain("read deliveries", error));
                if page.as_ref().is_ok_and(|page| page.epoch != Some(epoch)) {
                    // Taken from us meanwhile: nothing of this page could be recorded.
                    if self.current(endpoint, epoch).is_some() {
                        self.held.remove(&endpoint);
                        self.look_again = true;
                    }
                    return;
                }
                if let Some(held) = self.current(endpoint, epoch) {
                    held.loading = false;
                    if let Ok(page) = page {
                        let (rows, manual) = (page.rows.len() as i64, page.manual.len() as i64);
                        held.queue.load_manual(page.manual);
                        if held.is_active() {
                            held.queue.load(page.rows);
                            held.unread |= rows == limit;
                            if let Some(cursor) = page.cursor.filter(|_| rows < limit) {
                                held.read_to_end(cursor);
                            }
                        }
                        held.unread |= manual == PAGE;
                        if limit == 0 || manual == PAGE {
                            held.not_before = now + TROUBLE_US;
                        }
                    }
                    if failed.is_some() {
                        held.unread = true;
                        held.not_before = now + TROUBLE_US;
                    }
                    held.queue.end_read();
                }
            }
            Done::LaneLoaded(endpoint, epoch, conversation, Ok(rows)) => {
                if let Some(held) = self.current(endpoint, epoch) {
                    let more = rows.len() == crate::queue::LANE;
                    held.queue.load_lane(conversation, rows, more);
                    held.queue.end_read();
                }
            }
            Done::LaneLoaded(endpoint, epoch, conversation, Err(error)) => {
                self.complain("read deliveries", &error);
                if let Some(held) = self.current(endpoint, epoch) {
                    held.queue.retry_lane(conversation);
                    held.queue.end_read();
                    held.not_before = now + TROUBLE_US;
                }
            }
            Done::Body(endpoint, epoch, start, body) => {
                let held = self.current(endpoint, epoch);
                let late = held.as_ref().is_some_and(|held| now >= held.lease_until);
                let prepared = held.and_then(|held| held.prepared.clone());
                match (body, prepared) {
                    (Ok(Some(body)), Some(prepared)) if !late => {
                        let start = Start { delivery: Waiting { body, ..start.delivery }, ..start };
                        self.post(endpoint, epoch, &prepared, start, now);
                    }
                    (body, _) => {
                        self.landed(endpoint);
                        let id = start.delivery.id;
                        let gone = matches!(body, Ok(None));
                        if let Err(error) = &body {
                            self.complain("read a delivery", error);
                        }
                        if let Some(held) = self.current(endpoint, epoch) {
                            match gone {
                                false => held.queue.put_back(id, now + TROUBLE_US),
                                true => held.queue.withdraw(id), // cancelled meanwhile
                            }
                        }
                    }
                }
            }
            Done::Posted(endpoint, epoch, delivery, at, outcome) => {
                let rules = self.settings.rules.clone();
                let Some(held) = self.current(endpoint, epoch) else { return };
                let Some(attempt) = held.queue.finished(delivery, at, &outcome, now, &rules) else { return };
                if attempt.disable.is_some() {
                    held.settles = u64::MAX;
                }
                (self.settings.observe)(&attempt);
                self.results.push(attempt);
            }
            Done::Recorded(attempts, recorded) => {
                self.results_in_flight = 0;
                match recorded {
                    Ok((recorded, off)) => {
                        for (endpoint, reason) in off {
                            let why = match reason {
                                DisabledReason::Gone => "its receiver answered 410",
                                _ => "its receiver has failed for too long",
                            };
                            tracing::warn!(endpoint = %endpoint, "webhook {endpoint} is switched off: {why}");
                        }
                        let mut settling = BTreeSet::new();
                        for attempt in attempts {
                            if recorded.lost.contains(&(attempt.endpoint, attempt.epoch)) {
                                if self.current(attempt.endpoint, attempt.epoch).is_some() {
                                    self.held.remove(&attempt.endpoint);
                                }
                            } else if let Some(held) = self.current(attempt.endpoint, attempt.epoch) {
                                held.queue.recorded(attempt.delivery, attempt.ended);
                                held.cancel |= matches!(attempt.ended, Ended::RetryAt(_));
                                settling.extend(attempt.disable.map(|_| attempt.endpoint));
                            }
                        }
                        for endpoint in settling {
                            self.configure(endpoint);
                            if let Some(held) = self.held.get_mut(&endpoint) {
                                held.settles = self.configurations;
                            }
                        }
                    }
                    Err(error) => {
                        // Not durable: keep them, in order, and try again.
                        self.record_at = now + TROUBLE_US;
                        self.complain("record attempts", &error);
                        let newer = std::mem::replace(&mut self.results, attempts);
                        self.results.extend(newer);
                    }
                }
            }
            Done::Renewed(asked, at, renewed) => {
                self.renewing = false;
                match renewed {
                    Ok(ours) => {
                        let ours: HashSet<EndpointId> = ours.into_iter().collect();
                        for (endpoint, epoch) in asked {
                            match self.current(endpoint, epoch) {
                                Some(held) if ours.contains(&endpoint) => held.lease_until = at + LEASE_US,
                                Some(held) if !held.parking => drop(self.held.remove(&endpoint)),
                                _ => {}
                            }
                        }
                    }
                    Err(error) => self.complain("renew leases", &error),
                }
            }
            Done::Waiting(waiting) => {
                self.looking = false;
                match waiting {
                    Ok(waiting) => {
                        for (endpoint, epoch) in &waiting {
                            if self.held.get(endpoint).is_some_and(|held| held.queue.epoch() < *epoch) {
                                self.held.remove(endpoint); // taken from us
                            }
                        }
                        let endpoints: Vec<EndpointId> = waiting.into_iter().map(|(endpoint, _)| endpoint).collect();
                        self.told(&endpoints);
                    }
                    Err(error) => self.complain("look for due endpoints", &error),
                }
            }
            Done::Parked(endpoint, epoch, parked) => {
                if let Some(held) = self.current(endpoint, epoch) {
                    held.parking = false;
                    match parked {
                        Ok(true) => {
                            self.look_again |= held.unread; // told of something while it was given back
                            self.held.remove(&endpoint);
                        }
                        Ok(false) => {
                            held.told();
                            held.idle_since = now;
                        }
                        Err(error) => {
                            held.idle_since = now;
                            self.complain("give an endpoint back", &error);
                        }
                    }
                }
            }
            Done::Cancelled(endpoint, epoch, cancelled) => {
                if let Err(error) = &cancelled {
                    self.complain("cancel deliveries", error);
                }
                if let Some(held) = self.current(endpoint, epoch) {
                    held.cancelling = false;
                    match cancelled {
                        Ok(count) => held.cancel |= count > 0,
                        Err(_) => {
                            held.cancel = true;
                            held.not_before = now + TROUBLE_US;
                        }
                    }
                }
            }
        }
    }

    fn complain(&self, doing: &str, error: &Error) {
        complain!(error, doing, "webhook sender");
    }
}
