//! The queue of one endpoint, as the holder of its lease keeps it: pure, so that its rules can be tested by the thousand.
//!
//! What it guarantees:
//! - Within a conversation a delivery starts only when the one before has been *recorded* as ended, or was overtaken: it
//!   failed [`POISON_ATTEMPTS`] times while the endpoint accepted something else.
//! - At most [`MAX_SLOTS`] attempts are in flight; one while the last attempt failed; each success doubles the slots.
//! - While the breaker is open only the oldest waiting delivery is tried, on its schedule, plus an uncounted probe with it.
//! - What it holds in memory is bounded by [`WINDOW`] and [`RETRYING`], whatever waits in the database, and a conversation
//!   that is stuck hides no other: its followers are dropped and read again when its head has ended.
//! - A delivery that a person asked for goes at once, outside order and breaker. When it fails it retries on its own.

use crate::client::Outcome;
use crate::schedule::{Change, Health, HealthRules, RetrySchedule, Verdict};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use tieline_core::deliveries::{Attempt, Ended, Status, Waiting};
use tieline_core::ids::{ConversationId, DeliveryId, EndpointId, TenantId};
use tieline_core::webhooks::{DisabledReason, HealthRow};

/// Attempts in flight of one endpoint.
pub const MAX_SLOTS: usize = 16;
/// Deliveries of one endpoint kept in memory with their bytes.
pub const WINDOW: usize = 4096;
/// Deliveries of one endpoint kept in memory at all. Those that were tried before wait without their bytes, for hours
/// perhaps; if they counted like the others, a receiver that refuses one kind of event would soon get no other kind.
pub const RETRYING: usize = 65_536;
/// Followers of one conversation kept in memory.
pub const LANE: usize = 64;
/// Failed attempts after which a delivery no longer holds up its conversation, if the endpoint accepts others.
pub const POISON_ATTEMPTS: i64 = 4;

/// Order of sending.
pub type Place = (i64, DeliveryId);

/// What deliveries wait for each other in: a conversation, or a delivery on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum LaneKey {
    Conversation(ConversationId),
    Alone(DeliveryId),
}

#[derive(Debug)]
struct Item {
    waiting: Waiting,
    /// Asked for by a person and not yet sent.
    manual: bool,
    /// Its bytes are not kept: they are read again for the next attempt.
    light: bool,
    first_failed_at: Option<i64>,
}

impl Item {
    fn new(mut waiting: Waiting, manual: bool) -> Item {
        let light = waiting.attempts > 0 && !manual;
        if light {
            waiting.body = String::new();
        }
        Item { waiting, manual, light, first_failed_at: None }
    }
    fn place(&self) -> Place {
        (self.waiting.position, self.waiting.id)
    }
}

/// The head of a lane is what may be sent; the followers wait for it. A lane without a head is being read again.
#[derive(Debug, Default)]
struct Lane {
    head: Option<Item>,
    followers: VecDeque<Item>,
    /// Followers after this place wait in the database only.
    rest: Option<Place>,
    /// One came by since the lane was last asked for: the answer under way may not have it.
    passed_over: bool,
    busy: bool,
}

/// An attempt to make now.
#[derive(Debug)]
pub struct Start {
    /// What to send; its body is empty when it must be read again.
    pub delivery: Waiting,
    /// Its number, from 1.
    pub number: i64,
    /// Not counted unless it succeeds.
    pub probe: bool,
}

/// Settings that the queue goes by.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// When to try again.
    pub schedule: RetrySchedule,
    /// When to hold back and when to give up.
    pub health: HealthRules,
}

/// The queue of one endpoint.
#[derive(Debug)]
pub struct Queue {
    endpoint: EndpointId,
    tenant: TenantId,
    epoch: i64,
    max_attempts: u32,
    health: Health,
    last_success_at: Option<i64>,
    last_failure_at: Option<i64>,
    slots: usize,
    lanes: HashMap<LaneKey, Lane>,
    /// Heads that wait, all of them: those that may be sent now and those that wait for their time.
    waiting: BTreeSet<Place>,
    ready: BTreeSet<Place>,
    later: BTreeSet<(i64, Place)>,
    /// Asked for by a person.
    manual: VecDeque<DeliveryId>,
    keys: HashMap<DeliveryId, LaneKey>,
    in_flight: HashSet<DeliveryId>,
    probes: HashSet<DeliveryId>,
    unrecorded: usize,
    held: usize,
    light: usize,
    seen: Place,
    reload: Vec<(ConversationId, Place)>,
    reloading: HashSet<ConversationId>,
    reads: usize,
    /// What was tried while something was being read: an old page may still call it pending, or asked for.
    attempted: HashSet<DeliveryId>,
}

/// Before every place.
pub const START: Place = (-1, DeliveryId::from_uuid(uuid::Uuid::nil()));

impl Queue {
    /// The queue of a freshly claimed endpoint; everything pending must be loaded into it.
    pub fn new(claimed: &tieline_core::deliveries::Claimed, max_attempts: i64) -> Queue {
        let row = claimed.health;
        let health = Health {
            consecutive_failures: row.consecutive_failures.clamp(0, i64::from(u32::MAX)) as u32,
            first_failure_at: row.first_failure_at,
            next_probe_at: row.next_probe_at,
        };
        Queue {
            endpoint: claimed.endpoint,
            tenant: claimed.tenant,
            epoch: claimed.epoch,
            max_attempts: max_attempts.clamp(1, 20) as u32,
            slots: if health.consecutive_failures > 0 { 1 } else { MAX_SLOTS },
            health,
            last_success_at: row.last_success_at,
            last_failure_at: row.last_failure_at,
            lanes: HashMap::new(),
            waiting: BTreeSet::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            manual: VecDeque::new(),
            keys: HashMap::new(),
            in_flight: HashSet::new(),
            probes: HashSet::new(),
            unrecorded: 0,
            held: 0,
            light: 0,
            seen: START,
            reload: Vec::new(),
            reloading: HashSet::new(),
            reads: 0,
            attempted: HashSet::new(),
        }
    }

    /// The endpoint's own limit of attempts.
    pub fn set_max_attempts(&mut self, max_attempts: i64) {
        self.max_attempts = max_attempts.clamp(1, 20) as u32;
    }
    /// The lease's epoch.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }
    /// Every pending delivery up to here has been loaded.
    pub fn seen(&self) -> Place {
        self.seen
    }
    /// How many more deliveries may be loaded now.
    pub fn room(&self) -> usize {
        WINDOW.saturating_sub(self.held - self.light).min(RETRYING.saturating_sub(self.held))
    }
    /// No attempt under way, made or not yet recorded.
    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.unrecorded == 0
    }
    /// Nothing in flight, nothing to record, nothing to read again.
    pub fn is_quiet(&self) -> bool {
        self.is_idle() && self.reloading.is_empty()
    }
    /// Whether anything is held.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }
    /// Forgets what waits, for an endpoint that was switched off; what is in flight, or was asked for by a person, goes on.
    pub fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.ready.clear();
        self.later.clear();
        self.reload.clear();
        self.reloading.clear();
        for lane in self.lanes.values_mut() {
            lane.followers.clear();
            lane.rest = None;
            if !lane.busy && lane.head.as_ref().is_some_and(|item| !item.manual) {
                lane.head = None;
            }
        }
        self.lanes.retain(|_, lane| lane.head.is_some());
        let heads = || self.lanes.values().filter_map(|lane| lane.head.as_ref());
        self.held = heads().count();
        self.light = heads().filter(|item| item.light).count();
        let left: HashSet<DeliveryId> = heads().map(|item| item.waiting.id).collect();
        self.keys.retain(|id, _| left.contains(id));
    }
    /// A page of this endpoint is being read; [`Queue::end_read`] follows when its rows have been taken in.
    pub fn begin_read(&mut self) {
        self.reads += 1;
    }
    /// The rows of a read were taken in, or there are none.
    pub fn end_read(&mut self) {
        self.reads = self.reads.saturating_sub(1);
        if self.reads == 0 {
            self.attempted.clear();
        }
    }

    /// Takes in pending deliveries that follow `seen`, in order.
    pub fn load(&mut self, rows: Vec<Waiting>) {
        for row in rows {
            self.seen = self.seen.max((row.position, row.id));
            self.accept(row, false);
        }
    }
    /// Takes in deliveries that a person asked for; those that wait already stop waiting.
    pub fn load_manual(&mut self, rows: Vec<Waiting>) {
        for row in rows {
            let id = row.id;
            if self.attempted.contains(&id) {
                continue;
            }
            match self.keys.get(&id).copied() {
                None => self.accept(row, true),
                Some(key) => self.hurry(key, id),
            }
        }
    }
    fn hurry(&mut self, key: LaneKey, id: DeliveryId) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        match lane.head.as_mut() {
            Some(item) if item.waiting.id == id => {
                if !lane.busy && !item.manual {
                    item.manual = true;
                    let (due, place) = (item.waiting.due_at, item.place());
                    self.stop_waiting(due, place);
                    self.manual.push_back(id);
                }
            }
            _ => {
                let Some(at) = lane.followers.iter().position(|item| item.waiting.id == id) else { return };
                let Some(item) = lane.followers.remove(at) else { return };
                self.unkeep(&item);
                self.keep(LaneKey::Alone(id), Item { manual: true, ..item });
            }
        }
    }
    /// Conversations whose followers were dropped and must be read again after the given place.
    pub fn take_reloads(&mut self) -> Vec<(ConversationId, Place)> {
        for (conversation, _) in &self.reload {
            if let Some(lane) = self.lanes.get_mut(&LaneKey::Conversation(*conversation)) {
                lane.passed_over = false;
            }
        }
        std::mem::take(&mut self.reload)
    }
    /// Takes in the followers of a conversation, read after a reload; `more` when there may be others after them.
    pub fn load_lane(&mut self, conversation: ConversationId, rows: Vec<Waiting>, more: bool) {
        let key = LaneKey::Conversation(conversation);
        if !self.reloading.remove(&conversation) {
            return; // switched off meanwhile
        }
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Some(mut last) = lane.rest.take() else { return };
        let mut more = more || std::mem::take(&mut lane.passed_over);
        for row in rows {
            let place = (row.position, row.id);
            if place > self.seen {
                more = false; // the rest of them is still to come with the endpoint's own pages
                break;
            }
            last = place;
            self.accept(row, false);
        }
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if more {
            lane.rest = Some(lane.rest.map_or(last, |rest| rest.min(last)));
        }
        if lane.head.is_none() {
            self.continue_lane(conversation);
        }
    }
    /// The followers of a conversation could not be read: they are asked for again.
    pub fn retry_lane(&mut self, conversation: ConversationId) {
        if self.reloading.remove(&conversation) {
            self.continue_lane(conversation);
        }
    }
    /// A conversation without a head: reads on, or is done.
    fn continue_lane(&mut self, conversation: ConversationId) {
        let key = LaneKey::Conversation(conversation);
        match self.lanes.get(&key).and_then(|lane| lane.rest) {
            Some(rest) => {
                self.reloading.insert(conversation);
                self.reload.push((conversation, rest));
            }
            None => drop(self.lanes.remove(&key)),
        }
    }

    fn accept(&mut self, row: Waiting, manual: bool) {
        if self.keys.contains_key(&row.id) || self.attempted.contains(&row.id) {
            return;
        }
        let key = match row.conversation {
            Some(id) if !row.overtaken && !manual => LaneKey::Conversation(id),
            _ => LaneKey::Alone(row.id),
        };
        let lane = self.lanes.entry(key).or_default();
        if lane.rest.is_some() {
            lane.passed_over = true; // it is after `rest`: read again later
        } else if lane.head.is_none() {
            self.keep(key, Item::new(row, manual));
        } else if lane.followers.len() < LANE {
            let item = Item::new(row, manual);
            self.held += 1;
            self.light += usize::from(item.light);
            self.keys.insert(item.waiting.id, key);
            lane.followers.push_back(item);
        } else {
            lane.rest = lane.followers.back().map(Item::place);
            lane.passed_over = true;
        }
    }
    /// Makes `item` the head of the lane.
    fn keep(&mut self, key: LaneKey, item: Item) {
        self.held += 1;
        self.light += usize::from(item.light);
        self.keys.insert(item.waiting.id, key);
        self.lead(key, item);
    }
    fn lead(&mut self, key: LaneKey, item: Item) {
        if item.manual {
            self.manual.push_back(item.waiting.id);
        } else {
            self.wait(item.waiting.due_at, item.place());
        }
        self.lanes.entry(key).or_default().head = Some(item);
    }
    fn unkeep(&mut self, item: &Item) {
        self.held -= 1;
        self.light -= usize::from(item.light);
        self.keys.remove(&item.waiting.id);
    }
    fn wait(&mut self, due: i64, place: Place) {
        self.waiting.insert(place);
        self.later.insert((due, place));
    }
    fn stop_waiting(&mut self, due: i64, place: Place) {
        self.waiting.remove(&place);
        self.ready.remove(&place);
        self.later.remove(&(due, place));
    }
    fn head(&self, id: DeliveryId) -> Option<&Item> {
        self.lanes.get(self.keys.get(&id)?)?.head.as_ref().filter(|item| item.waiting.id == id)
    }

    /// The next attempt to make now, if there is one.
    pub fn next(&mut self, now: i64) -> Option<Start> {
        while self.in_flight.len() < MAX_SLOTS
            && let Some(id) = self.manual.pop_front()
        {
            if let Some(start) = self.start(id, false) {
                return Some(start);
            }
        }
        while let Some((due, place)) = self.later.first().copied() {
            if due > now {
                break;
            }
            self.later.pop_first();
            self.ready.insert(place);
        }
        if self.in_flight.len() >= self.slots {
            return None;
        }
        if !self.health.is_open() {
            let place = self.ready.pop_first()?;
            self.waiting.remove(&place);
            return self.start(place.1, false);
        }
        // The breaker is open: only the oldest waiting delivery, and only while nothing else is in flight.
        if !self.is_idle() {
            return None;
        }
        let oldest = *self.waiting.first()?;
        let due = self.ready.contains(&oldest);
        if !due && !self.health.probe_due(now) {
            return None;
        }
        let at = self.head(oldest.1).map_or(0, |item| item.waiting.due_at);
        self.stop_waiting(at, oldest);
        self.start(oldest.1, !due)
    }

    fn start(&mut self, id: DeliveryId, probe: bool) -> Option<Start> {
        let lane = self.lanes.get_mut(self.keys.get(&id)?)?;
        let item = lane.head.as_mut().filter(|item| item.waiting.id == id)?;
        lane.busy = true;
        self.in_flight.insert(id);
        if probe {
            self.probes.insert(id);
        }
        let body = std::mem::take(&mut item.waiting.body);
        let delivery = Waiting { body, ..item.waiting.clone() };
        Some(Start { number: delivery.attempts + 1, delivery, probe })
    }

    /// An attempt that could not be made: it is due again at `due`, and nothing is counted.
    pub fn put_back(&mut self, id: DeliveryId, due: i64) {
        if !self.in_flight.remove(&id) {
            return;
        }
        self.probes.remove(&id);
        let Some(lane) = self.keys.get(&id).and_then(|key| self.lanes.get_mut(key)) else { return };
        lane.busy = false;
        if let Some(item) = lane.head.as_mut() {
            item.waiting.due_at = due;
            let place = item.place();
            self.light += usize::from(!std::mem::replace(&mut item.light, true));
            self.wait(due, place);
        }
    }

    /// A delivery that nobody waits for any more: it was cancelled, or ended elsewhere.
    pub fn withdraw(&mut self, id: DeliveryId) {
        if self.in_flight.remove(&id) {
            self.probes.remove(&id);
            self.unrecorded += 1;
            self.recorded(id, Ended::As(Status::Cancelled));
        }
    }

    /// Takes in the end of an attempt; answers what to record, and with it what it means for the endpoint.
    pub fn finished(&mut self, id: DeliveryId, at: i64, outcome: &Outcome, now: i64, rules: &Rules) -> Option<Attempt> {
        if !self.in_flight.remove(&id) {
            return None;
        }
        let probe = self.probes.remove(&id);
        let item = self.keys.get(&id).and_then(|key| self.lanes.get_mut(key)).and_then(|lane| lane.head.as_mut())?;
        let verdict = Verdict::of(outcome);
        let change = if probe {
            self.health.probed(verdict, now, &rules.health)
        } else {
            self.health.attempted(verdict, now, &rules.health)
        };
        let counted = !probe || verdict == Verdict::Success;
        let number = item.waiting.attempts + 1;
        let accepted_other =
            item.first_failed_at.is_some_and(|first| self.last_success_at.is_some_and(|last| last >= first));
        if verdict == Verdict::Success {
            self.last_success_at = Some(now);
            self.slots = (self.slots * 2).min(MAX_SLOTS);
        } else {
            self.last_failure_at = Some(now);
            self.slots = 1;
            item.first_failed_at.get_or_insert(now);
        }
        let seed = id.0.as_u64_pair().1 ^ number as u64;
        let wait = rules.schedule.wait_after(number as u32, self.max_attempts, seed, outcome.retry_after);
        let ended = match (verdict, wait) {
            (Verdict::Success, _) => Ended::As(Status::Succeeded),
            (_, Some(wait)) if counted => Ended::RetryAt(now.saturating_add(wait.as_micros() as i64)),
            (_, _) if !counted => Ended::RetryAt(item.waiting.due_at),
            _ => Ended::As(Status::Failed),
        };
        // What a person asked for out of order retries out of order.
        let alone = item.manual && self.keys.get(&id) == Some(&LaneKey::Alone(id));
        let poison = alone || (number >= POISON_ATTEMPTS && accepted_other);
        let overtaken = item.waiting.overtaken || (counted && verdict != Verdict::Success && poison);
        if counted {
            item.waiting.attempts = number;
        }
        item.waiting.overtaken = overtaken;
        item.manual = false;
        if let Ended::RetryAt(due) = ended {
            item.waiting.due_at = due;
        }
        self.unrecorded += 1;
        let attempt = Attempt {
            endpoint: self.endpoint,
            tenant: self.tenant,
            epoch: self.epoch,
            delivery: id,
            number,
            earlier_attempts: item.waiting.earlier_attempts,
            at,
            duration_us: outcome.duration.as_micros().min(i64::MAX as u128) as i64,
            status_code: outcome.status.map(i64::from),
            error: outcome.error.as_ref().map(|failure| failure.detail.clone()),
            response: (!outcome.snippet.is_empty()).then(|| outcome.snippet.clone()),
            ended,
            counted,
            overtaken,
            health: self.health_row(),
            disable: match change {
                Change::DisableGone => Some(DisabledReason::Gone),
                Change::DisableFailing => Some(DisabledReason::Failures),
                Change::None | Change::Opened | Change::Closed => None,
            },
        };
        if change == Change::Closed {
            self.release_all(now);
        }
        Some(attempt)
    }

    /// The breaker closed: everything that waits is due, in order.
    fn release_all(&mut self, now: i64) {
        for (_, place) in std::mem::take(&mut self.later) {
            self.ready.insert(place);
            if let Some(item) =
                self.keys.get(&place.1).and_then(|key| self.lanes.get_mut(key)).and_then(|l| l.head.as_mut())
            {
                item.waiting.due_at = item.waiting.due_at.min(now);
            }
        }
    }

    fn health_row(&self) -> HealthRow {
        HealthRow {
            consecutive_failures: i64::from(self.health.consecutive_failures),
            first_failure_at: self.health.first_failure_at,
            next_probe_at: self.health.next_probe_at,
            last_success_at: self.last_success_at,
            last_failure_at: self.last_failure_at,
        }
    }

    /// The result of this delivery's attempt is durable: what waits behind it may go on.
    pub fn recorded(&mut self, id: DeliveryId, ended: Ended) {
        self.unrecorded = self.unrecorded.saturating_sub(1);
        let Some(key) = self.keys.get(&id).copied() else { return };
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Some(mut item) = lane.head.take() else { return };
        lane.busy = false;
        if self.reads > 0 {
            self.attempted.insert(id);
        }
        if let Ended::RetryAt(_) = ended {
            item.waiting.body = String::new(); // read again for the retry
            self.light += usize::from(!std::mem::replace(&mut item.light, true));
            if !item.waiting.overtaken || key == LaneKey::Alone(id) {
                // A stuck conversation keeps no followers in memory.
                let dropped = std::mem::take(&mut lane.followers);
                if !dropped.is_empty() {
                    lane.rest = Some(item.place());
                }
                dropped.iter().for_each(|item| self.unkeep(item));
                return self.lead(key, item);
            }
        }
        let next = lane.followers.pop_front();
        self.unkeep(&item);
        match (next, key) {
            (Some(next), _) => self.lead(key, next),
            (None, LaneKey::Conversation(conversation)) => self.continue_lane(conversation),
            (None, LaneKey::Alone(_)) => drop(self.lanes.remove(&key)),
        }
        if let Ended::RetryAt(_) = ended {
            self.keep(LaneKey::Alone(id), item); // overtaken: it goes on alone
        }
    }

    /// When [`Queue::next`] should be asked again if nothing else happens; none when nothing waits.
    pub fn next_wake(&self) -> Option<i64> {
        if !self.manual.is_empty() {
            return Some(i64::MIN);
        }
        if !self.health.is_open() {
            return if self.ready.is_empty() { self.later.first().map(|(due, _)| *due) } else { Some(i64::MIN) };
        }
        // Only the oldest counts; its own time, or the probe's.
        let oldest = self.waiting.first()?;
        let due =
            if self.ready.contains(oldest) { i64::MIN } else { self.head(oldest.1).map_or(0, |i| i.waiting.due_at) };
        Some(due.min(self.health.next_probe_at.unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests;
