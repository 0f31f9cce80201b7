//! What a node of several does beside its own work, on PostgreSQL: it looks what the others have done (docs/adr/0006).
//!
//! Looking is polling: a few rows, five times a second. It is the truth between nodes; there is no message that could be
//! lost. What has changed wakes the same topics as a commit of this node, so no other loop knows of it.

use std::time::Duration;
use tieline_core::Result;
use tieline_core::complain;
use tieline_core::events::{CONFIGURATION, DELIVERIES, EVENTS};
use tieline_core::installation::{News, news};
use tieline_db::Db;
use tokio::sync::watch;

/// How often a node looks what the others have done; what they change holds here at most this much later, and the time of
/// a look.
pub const LOOK: Duration = Duration::from_millis(200);
/// Wait after a look that failed.
const POLL: Duration = Duration::from_secs(1);

/// Looks what other nodes have done.
pub struct Neighbours {
    db: Db,
    pause: watch::Sender<bool>,
    seen: Option<News>,
}

impl Neighbours {
    /// Over `db`; tells `pause` whether sending is paused.
    pub fn new(db: Db, pause: watch::Sender<bool>) -> Neighbours {
        Neighbours { db, pause, seen: None }
    }

    /// Looks once and wakes what waits for what has changed since the last look.
    pub async fn step(&mut self) -> Result<()> {
        let now = self.db.read(news).await?;
        let before = self.seen.replace(now);
        let changed = |of: fn(&News) -> i64| before.is_none_or(|before| of(&before) != of(&now));
        for (topic, changed) in [
            (EVENTS, changed(|news| news.position)),
            (DELIVERIES, changed(|news| news.fanned_out)),
            (CONFIGURATION, changed(|news| news.configuration)),
        ] {
            if changed {
                self.db.wake(topic);
            }
        }
        self.pause.send_if_modified(|paused| std::mem::replace(paused, now.sending_paused) != now.sending_paused);
        Ok(())
    }

    /// Looks every [`LOOK`] until `stop` is set. Errors are logged and tried again after a second.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let pause = match self.step().await {
                Ok(()) => LOOK,
                Err(error) => {
                    complain!(error, "cannot see what other nodes do; trying again");
                    POLL
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => return,
            }
        }
    }
}
