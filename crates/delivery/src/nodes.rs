//! What a node of several does beside its own work, on PostgreSQL: it gives committed events their place in the log, and
//! it looks what the others have done (docs/adr/0006).
//!
//! Looking is polling: a few rows, five times a second. It is the truth between nodes; there is no message that could be
//! lost. What has changed wakes the same topics as a commit of this node, so no other loop knows of it.

use std::time::Duration;
use tieline_core::Result;
use tieline_core::events::numbering::{NUMBERED_AT_ONCE, is_any_unnumbered, number};
use tieline_core::events::{CONFIGURATION, DELIVERIES, EVENTS};
use tieline_core::installation::{News, news};
use tieline_db::Db;
use tokio::sync::watch;

/// How often a node looks what the others have done; what they change holds here at most this much later, and the time of
/// a look.
pub const LOOK: Duration = Duration::from_millis(200);
/// Longest wait of the numbering: a node that ends between a commit and its numbering leaves events to the others. Also the
/// wait after a look that failed.
const POLL: Duration = Duration::from_secs(1);

/// Numbers the log.
pub struct Numbering {
    db: Db,
}

impl Numbering {
    /// Over `db`.
    pub fn new(db: Db) -> Numbering {
        Numbering { db }
    }

    /// Gives committed events their places; false when none waits.
    pub async fn step(&self) -> Result<bool> {
        if !self.db.read(is_any_unnumbered).await? {
            return Ok(false);
        }
        Ok(self.db.write(number).await? == NUMBERED_AT_ONCE)
    }

    /// Runs until `stop` is set, woken by commits of this node that emitted events. What is committed later is numbered by
    /// another node, or at the next start. Errors are logged and tried again.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut woken = self.db.watch(EVENTS);
        loop {
            woken.borrow_and_update();
            match self.step().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = %error, source = ?error.source, "numbering the log failed; trying again");
                    tokio::time::sleep(LOOK).await;
                }
            }
            tokio::select! {
                _ = woken.changed() => {}
                () = tokio::time::sleep(POLL) => {}
                _ = stop.changed() => return,
            }
        }
    }
}

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
                    tracing::warn!(error = %error, source = ?error.source, "cannot see what other nodes do; trying again");
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
