//! Calls of inboxes on their way into the database: counted in memory, bounded by whom there is, written with the request
//! log. No request waits for it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tieline_core::inboxes::{Call, Called, Calls, Outcome};

/// Inboxes and outcomes that wait to be written; what comes beyond is left out.
const WAITING: usize = 10_000;
/// Longest reason that is kept, characters.
const DETAIL_LIMIT: usize = 200;

/// What was counted since the last writing.
#[derive(Default)]
pub(crate) struct Counted(BTreeMap<(Called, Outcome), Calls>);

impl Counted {
    /// Counts a call.
    pub fn add(&mut self, called: Called, outcome: Outcome, mut last: Call) {
        if let Some(detail) = &mut last.detail
            && let Some((end, _)) = detail.char_indices().nth(DETAIL_LIMIT)
        {
            detail.truncate(end);
        }
        let is_full = self.0.len() >= WAITING;
        match self.0.entry((called, outcome)) {
            Entry::Occupied(mut entry) => {
                let calls = entry.get_mut();
                calls.count += 1;
                calls.last = last;
            }
            Entry::Vacant(entry) if !is_full => {
                entry.insert(Calls { outcome, count: 1, last });
            }
            Entry::Vacant(_) => {}
        }
    }
    /// What there is, sorted; nothing of it stays.
    pub fn take(&mut self) -> Vec<(Called, Calls)> {
        std::mem::take(&mut self.0).into_iter().map(|((called, _), calls)| (called, calls)).collect()
    }
}
