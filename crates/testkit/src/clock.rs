//! A clock that stands still until it is told otherwise.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// 2026-05-12T09:30:00Z: where every test starts.
pub const START_US: i64 = 1_778_578_200_000_000;

/// A virtual clock; clones share the time.
#[derive(Clone)]
pub struct VirtualClock(Arc<AtomicI64>);

impl VirtualClock {
    /// A clock at [`START_US`].
    pub fn new() -> VirtualClock {
        VirtualClock(Arc::new(AtomicI64::new(START_US)))
    }
    /// Microseconds since the Unix epoch.
    pub fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    /// Moves the time on.
    pub fn advance_us(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Default for VirtualClock {
    fn default() -> VirtualClock {
        VirtualClock::new()
    }
}

impl tieline_db::Clock for VirtualClock {
    fn now(&self) -> i64 {
        VirtualClock::now(self)
    }
}
