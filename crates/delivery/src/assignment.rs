//! The loop that gives conversations to agents: a reader of the log with a cursor of its own, and a look at who is there.

use std::time::Duration;
use tieline_core::Result;
use tieline_core::assignment::{self, Known};
use tieline_core::complain;
use tieline_core::events::{CONFIGURATION, EVENTS, Render};
use tieline_db::Db;

/// How often it looks who has come, and the pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The one who gives conversations to agents, of this node. Several nodes may run it: they take turns.
pub struct AssignmentLoop {
    db: Db,
    render: Render,
    known: Known,
}

impl AssignmentLoop {
    /// A loop over `db`; `render` writes the events of what is given.
    pub fn new(db: Db, render: Render) -> AssignmentLoop {
        AssignmentLoop { db, render, known: Known::default() }
    }

    /// Notes who waits, and gives some of them; false when there is nothing more to note or to give.
    pub async fn step(&mut self) -> Result<bool> {
        let known = self.known;
        let look = self.db.read(move |read| assignment::look(read, known)).await?;
        if let Some(work) = look.work
            && !self.db.write(move |tx| assignment::queue(tx, &work)).await?
        {
            return Ok(true); // another node was first: the log is read anew from where that one stopped
        }
        self.known = look.known;
        if look.more {
            return Ok(true);
        }
        if !self.known.is_any() {
            return Ok(false);
        }
        let waiting = self.db.read(assignment::ready).await?;
        if waiting.is_empty() {
            return Ok(false);
        }
        let render = self.render;
        Ok(self.db.write(move |tx| assignment::assign(tx, render, &waiting)).await? > 0)
    }

    /// Runs until `stop` is set, woken by commits that emitted events, while there is anything to give. Errors are logged and
    /// tried again.
    pub async fn run(mut self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let (mut events, mut configuration) = (self.db.watch(EVENTS), self.db.watch(CONFIGURATION));
        loop {
            events.borrow_and_update();
            configuration.borrow_and_update();
            match self.step().await {
                Ok(true) if *stop.borrow() => return,
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    complain!(error, "conversations are not given to agents; trying again");
                }
            }
            tokio::select! {
                _ = events.changed(), if self.known.is_any() => {}
                _ = configuration.changed() => {}
                _ = tokio::time::sleep(PAUSE) => {}
                _ = stop.changed() => return,
            }
        }
    }
}
