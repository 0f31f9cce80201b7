//! Which endpoints there is something to do for, and what fan-out on this node has handed over for them.
//!
//! Deliveries are loaded from memory only where nothing can lie between them and what was loaded before: the endpoint was
//! read to the end of what was handed over until then, and nothing was passed over since. Everything else is read.

use super::{Held, Post, Sender};
use crate::handover::Share;
use tieline_core::ids::EndpointId;

impl Held {
    /// Something was made for it that it did not get from memory: up to here it has to be read.
    fn miss(&mut self, to: i64) {
        self.complete = false;
        self.missed_to = self.missed_to.max(to);
        self.told();
    }

    /// A page was read to its end, while the cursor stood here.
    pub(super) fn read_to_end(&mut self, cursor: i64) {
        self.complete |= cursor >= self.missed_to;
    }

    fn takes(&self, share: &Share) -> bool {
        self.complete && self.is_active() && self.queue.epoch() == share.epoch && self.queue.room() >= share.rows.len()
    }
}

impl<P: Post> Sender<P> {
    pub(super) fn touch_all(&mut self) {
        self.touched.extend(self.held.keys().copied());
    }

    /// Takes in what fan-out has handed over.
    pub(super) fn take_over(&mut self) {
        let given = self.due.take();
        let mut unknown = false;
        for batch in given.batches {
            if batch.from != self.handed_to {
                // What was made before went another way.
                self.held.values_mut().for_each(|held| held.miss(batch.from));
                self.touch_all();
            }
            self.handed_to = batch.to;
            for mut share in batch.shares {
                self.touched.insert(share.endpoint);
                match self.held.get_mut(&share.endpoint) {
                    Some(held) if held.takes(&share) => {
                        let seen = held.queue.seen();
                        share.rows.retain(|row| (row.position, row.id) > seen);
                        held.queue.load(share.rows);
                    }
                    Some(held) => held.miss(batch.to),
                    None => unknown = true,
                }
            }
        }
        for endpoint in &given.told {
            self.touched.insert(*endpoint);
            match self.held.get_mut(endpoint) {
                Some(held) => held.miss(given.told_to),
                None => unknown = true,
            }
        }
        if unknown {
            self.claim();
        }
    }

    /// There is something to read for these endpoints.
    pub(super) fn told(&mut self, endpoints: &[EndpointId]) {
        let mut unknown = false;
        for endpoint in endpoints {
            self.touched.insert(*endpoint);
            match self.held.get_mut(endpoint) {
                Some(held) => held.told(),
                None => unknown = true,
            }
        }
        if unknown {
            self.claim();
        }
    }
}
