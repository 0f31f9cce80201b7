//! The loop that adds up what happens, for reports: a reader of the log with a cursor of its own.
//!
//! It has time: while the log grows faster than it counts, it rests several times as long as it worked, so that under load
//! it takes a small share of the machine and reports are late, and catches up when the load is gone.

use std::time::{Duration, Instant};
use tieline_core::Result;
use tieline_core::complain;
use tieline_core::reports;
use tieline_db::Db;

/// How often the log is looked at, and the pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// How much longer it rests than it worked while there is more to do.
const REST: u32 = 9;

/// The adding up of this node. Several nodes may run it: whoever is first counts an event, and only he.
pub struct ReportLoop {
    db: Db,
}

impl ReportLoop {
    /// A loop over `db`.
    pub fn new(db: Db) -> ReportLoop {
        ReportLoop { db }
    }

    /// Adds up some events; false when the log has nothing more.
    pub async fn step(&self) -> Result<bool> {
        let gathered = self.db.read(reports::gather).await?;
        if gathered.is_empty() {
            return Ok(false);
        }
        let more = gathered.more;
        // Where another node was first, the log is read anew from where that one stopped.
        let done = self.db.write(move |tx| reports::record(tx, &gathered)).await?;
        Ok(more || !done)
    }

    /// Runs until `stop` is set. Errors are logged and tried again after a second.
    pub async fn run(self, mut stop: tokio::sync::watch::Receiver<bool>) {
        loop {
            let began = Instant::now();
            let pause = match self.step().await {
                Ok(true) => (began.elapsed() * REST).min(PAUSE),
                Ok(false) => PAUSE,
                Err(error) => {
                    complain!(error, "counting for reports failed; trying again");
                    PAUSE
                }
            };
            tokio::select! {
                _ = tokio::time::sleep(pause) => {}
                _ = stop.changed() => return,
            }
        }
    }
}
