//! Meters: what each one who asks has used, in memory.

use super::publish::{Batch, Delta, Known, Published};
use super::tally::{Calendar, Tally};
use super::window::{SPAN_US, Window};
use super::{Count, Limits, Refusal, Standing};
use crate::ids::TenantId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Who is counted: a key, a user, an inbox of the keyless client API, each by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who {
    /// The partition.
    pub tenant: TenantId,
    /// The id of the key, user or inbox.
    pub principal: Uuid,
}

/// Counts the requests of one. Cheap to ask: two locks that nobody else waits for, no allocation but for growth.
pub struct Meter {
    who: Who,
    month: Arc<Mutex<Tally>>,
    state: Mutex<State>,
    active: AtomicBool,
    waiting: Arc<Mutex<Vec<Arc<Meter>>>>,
}

struct State {
    own: Window,
    others: Window,
    day: Tally,
}

/// A panic while a count is held leaves it as it was: going on is better than refusing everybody.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meter {
    /// Who is counted.
    pub fn who(&self) -> Who {
        self.who
    }

    /// Lets a request in, or says why not. What is refused for its minute or its day counts nowhere; what is refused for
    /// its month counts in both.
    pub fn admit(self: &Arc<Meter>, limits: &Limits, now: i64) -> (Standing, Option<Refusal>) {
        let mut state = held(&self.state);
        let mut month = held(&self.month);
        state.turn(now);
        month.turn(now);
        let full = |limit: Option<i64>, used: i64| limit.is_some_and(|limit| used >= limit);
        let room = limits.per_minute + limits.burst;
        let refusal = if full(Some(room), state.own.total() + state.others.total()) {
            Some(Refusal::Minute)
        } else if full(limits.per_day, state.day.used()) {
            Some(Refusal::Day)
        } else {
            full(limits.per_month, month.used()).then_some(Refusal::Month)
        };
        if !matches!(refusal, Some(Refusal::Minute | Refusal::Day)) {
            state.own.add(now);
            state.day.add();
            if refusal.is_none() {
                month.add();
            }
            if !self.active.swap(true, Ordering::Relaxed) {
                held(&self.waiting).push(self.clone());
            }
        }
        (state.standing(limits, &month, now), refusal)
    }

    /// What is used now, without counting anything.
    pub fn standing(&self, limits: &Limits, now: i64) -> Standing {
        let mut state = held(&self.state);
        let mut month = held(&self.month);
        state.turn(now);
        month.turn(now);
        state.standing(limits, &month, now)
    }

    fn is_idle(&self, now: i64) -> bool {
        let mut state = held(&self.state);
        state.turn(now);
        state.own.shrink();
        state.others.shrink();
        state.own.total() == 0 && state.day.is_settled() && !self.active.load(Ordering::Relaxed)
    }
}

impl State {
    fn turn(&mut self, now: i64) {
        self.own.pass(now);
        self.others.pass(now);
        self.day.turn(now);
    }

    fn standing(&self, limits: &Limits, month: &Tally, now: i64) -> Standing {
        let used = self.own.total() + self.others.total();
        // As long as there is room the oldest request is the next to free a slot.
        let over = (used - (limits.per_minute + limits.burst)).max(0) + 1;
        let frees_at = self.own.frees_at(&self.others, over).unwrap_or(now + SPAN_US);
        Standing {
            minute: Count { limit: Some(limits.per_minute), used, resets_at: frees_at },
            day: Count { limit: limits.per_day, used: self.day.used(), resets_at: self.day.ends_at() },
            month: Count { limit: limits.per_month, used: month.used(), resets_at: month.ends_at() },
        }
    }
}

/// Every meter of one node.
pub struct Meters {
    node: Uuid,
    all: Mutex<HashMap<Who, Arc<Meter>>>,
    months: Mutex<HashMap<TenantId, Arc<Mutex<Tally>>>>,
    /// Those with something to publish, each once.
    waiting: Arc<Mutex<Vec<Arc<Meter>>>>,
    batches: Mutex<i64>,
}

impl Meters {
    /// No meters yet. Every start of a server is a node of its own.
    pub fn new(node: Uuid) -> Meters {
        Meters {
            node,
            all: Mutex::default(),
            months: Mutex::default(),
            waiting: Arc::default(),
            batches: Mutex::default(),
        }
    }

    /// This node.
    pub fn node(&self) -> Uuid {
        self.node
    }

    /// The meter of one who is remembered.
    pub fn get(&self, who: Who) -> Option<Arc<Meter>> {
        held(&self.all).get(&who).cloned()
    }

    /// The meter of one who was just read, with what the database knows; the remembered one, if there is one.
    pub fn put(&self, who: Who, known: &Known, now: i64) -> Arc<Meter> {
        let mut all = held(&self.all);
        let fresh = || {
            let mut months = held(&self.months);
            let month = || Arc::new(Mutex::new(Tally::new(Calendar::Month, now, known.month)));
            Arc::new(Meter {
                who,
                month: months.entry(who.tenant).or_insert_with(month).clone(),
                state: Mutex::new(State {
                    own: Window::default(),
                    others: Window::of_texts(known.others.iter().map(String::as_str), now),
                    day: Tally::new(Calendar::Day, now, known.day),
                }),
                active: AtomicBool::new(false),
                waiting: self.waiting.clone(),
            })
        };
        all.entry(who).or_insert_with(fresh).clone()
    }

    /// Takes what is to be published; none when nobody was active. The next call must come after [`Meters::settle`] of
    /// this one, or with the same batch sent again.
    pub fn batch(&self, now: i64) -> Option<Batch> {
        let mut meters = std::mem::take(&mut *held(&self.waiting));
        if meters.is_empty() {
            return None;
        }
        // In one order on every node: two that write the same rows wait for each other, and never in a circle.
        meters.sort_unstable_by_key(|meter| meter.who);
        let (mut windows, mut deltas) = (Vec::with_capacity(meters.len()), Vec::new());
        let mut tenant = None;
        for meter in &meters {
            // Before the counts are read: what comes in from now on is for the next batch.
            meter.active.store(false, Ordering::Relaxed);
            let mut state = held(&meter.state);
            state.turn(now);
            if tenant.replace(meter.who.tenant) != Some(meter.who.tenant) {
                let news = held(&meter.month).news().collect::<Vec<_>>();
                deltas.extend(news.into_iter().map(|(period, count)| Delta {
                    meter: None,
                    who: meter.who,
                    period,
                    count,
                }));
            }
            deltas.extend(state.day.news().map(|(period, count)| Delta {
                meter: Some(windows.len()),
                who: meter.who,
                period,
                count,
            }));
            windows.push((meter.who, state.own.to_text()));
        }
        let mut number = held(&self.batches);
        *number += 1;
        Some(Batch { node: self.node, number: *number, windows, deltas, meters })
    }

    /// Takes note of a batch that was published, and of what it brought back.
    pub fn settle(&self, batch: &Batch, published: &Published, now: i64) {
        for (delta, total) in batch.deltas.iter().zip(&published.totals) {
            match delta.meter {
                Some(index) => held(&batch.meters[index].state).day.settle(delta.period, delta.count, *total),
                None => {
                    let month = held(&self.months).get(&delta.who.tenant).cloned();
                    if let Some(month) = month {
                        held(&month).settle(delta.period, delta.count, *total);
                    }
                }
            }
        }
        for (meter, texts) in batch.meters.iter().zip(&published.others) {
            held(&meter.state).others = Window::of_texts(texts.iter().map(String::as_str), now);
        }
    }

    /// Forgets those who were quiet for a minute and whom nobody holds; the number left.
    pub fn forget(&self, now: i64) -> usize {
        let mut all = held(&self.all);
        all.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.is_idle(now));
        let left = all.len();
        let mut months = held(&self.months);
        months.retain(|_, month| Arc::strong_count(month) > 1 || !held(month).is_settled());
        left
    }
}
