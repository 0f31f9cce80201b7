//! The loop that fires timers: it looks when the next one is due, and lets the core do what it stands for.

use std::time::Duration;
use tieline_core::Result;
use tieline_core::complain;
use tieline_core::events::Render;
use tieline_core::timers;
use tieline_db::Db;

/// Timers fired in one transaction; more go into the next one.
pub const BATCH: i64 = 100;
/// Longest sleep: a timer that is set meanwhile waits no longer than this beyond its time.
const POLL: Duration = Duration::from_secs(1);

/// The timers of this node. Several nodes may run it: whoever is first fires a timer, and only he.
pub struct TimerLoop {
    db: Db,
    render: Render,
}

impl TimerLoop {
    /// A loop over `db`; `render` writes the events of what fires.
    pub fn new(db: Db, render: Render) -> TimerLoop {
        TimerLoop { db, render }
    }

    /// Fires everything that is due now; answers when the next timer is due, microseconds UTC, if one is set.
    pub async fn step(&self) -> Result<Option<i64>> {
        loop {
            let next = self.db.read(timers::next_due).await?;
            if next.is_none_or(|due| due > self.db.now()) {
                return Ok(next);
            }
            let render = self.render;
            // Another node may have been first: then nothing fired here, and the next look says what is left.
            self.db.write(move |tx| timers::fire(tx, render, BATCH)).await?;
        }
    }

    /// Runs until `stop` is set. Errors are logged and tried again after a second.
    pub async fn run(self, mut stop: tokio::sync::watch::Receiver<bool>) {
        loop {
            let pause = match self.step().await {
                Ok(Some(due)) => Duration::from_micros((due - self.db.now()).max(0) as u64).min(POLL),
                Ok(None) => POLL,
                Err(error) => {
                    complain!(error, "timers failed; trying again");
                    POLL
                }
            };
            tokio::select! {
                _ = tokio::time::sleep(pause) => {}
                _ = stop.changed() => return,
            }
        }
    }
}
