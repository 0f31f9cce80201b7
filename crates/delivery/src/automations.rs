//! The loop that lets rules act on what happens, through any dialect: a reader of the log with a cursor of its own.
//!
//! An action that fails is left out, noted at its rule, and never keeps the log waiting. What fails because the database
//! cannot take it now is tried again as a whole.

use std::time::Duration;
use tieline_core::automations::{self, Failed, Known, Skip, Work};
use tieline_core::complain;
use tieline_core::events::{CONFIGURATION, EVENTS, Render};
use tieline_core::{Kind, Result};
use tieline_db::Db;

/// How often the log is looked at without being told, and the pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The rules' reader of this node. Several nodes may run it: whoever is first reacts to an event, and only he.
pub struct AutomationLoop {
    db: Db,
    render: Render,
    known: Known,
}

impl AutomationLoop {
    /// A loop over `db`; `render` writes the events of what rules do.
    pub fn new(db: Db, render: Render) -> AutomationLoop {
        AutomationLoop { db, render, known: Known::default() }
    }

    /// Reacts to some events; false when the log has nothing more.
    pub async fn step(&mut self) -> Result<bool> {
        let known = self.known.clone();
        let look = self.db.read(move |read| automations::look(read, known)).await?;
        let done = match (look.work, look.pass) {
            (Some(work), _) => self.react(work).await?,
            (None, Some((from, to))) => self.db.write(move |tx| automations::pass(tx, from, to)).await?,
            (None, None) => true,
        };
        if done {
            self.known = look.known;
        }
        // Where another node was first, the log is read anew from where that one stopped.
        Ok(look.more || !done)
    }

    /// Reacts to these events, or to as many of them as it can; true when it was to all of them.
    async fn react(&self, work: Work) -> Result<bool> {
        match self.try_react(&work, &[]).await {
            Ok(done) => return Ok(done),
            Err(failed) if failed.error.kind == Kind::Unavailable => return Err(*failed.error),
            Err(_) => {}
        }
        let (is_single, work) = (work.is_single(), work.first());
        let mut skip: Vec<Skip> = Vec::new();
        loop {
            let failed = match self.try_react(&work, &skip).await {
                Ok(done) => return Ok(done && is_single),
                Err(failed) if failed.error.kind == Kind::Unavailable => return Err(*failed.error),
                Err(failed) => failed,
            };
            let why = failed.error.to_string();
            tracing::info!(error = failed.error.causes(), "a rule's action failed");
            match failed.at {
                // Each action is left out at most once: this ends.
                Some((rule, action)) if !skip.iter().any(|skip| skip.rule == rule && skip.action == Some(action)) => {
                    skip.push(Skip { rule, action: Some(action), why });
                }
                _ if skip.iter().all(|skip| skip.action.is_some()) => {
                    let rules = work.rules().into_iter();
                    skip.extend(rules.map(|(_, rule)| Skip { rule, action: None, why: why.clone() }));
                }
                _ => return Err(*failed.error),
            }
        }
    }

    async fn try_react(&self, work: &Work, skip: &[Skip]) -> Result<bool, Failed> {
        let (render, work, skip) = (self.render, work.clone(), skip.to_vec());
        self.db.write(move |tx| automations::react(tx, render, &work, &skip)).await
    }

    /// Runs until `stop` is set, woken by commits that emitted events, while there are rules. Errors are logged and tried
    /// again.
    pub async fn run(mut self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let (mut events, mut configuration) = (self.db.watch(EVENTS), self.db.watch(CONFIGURATION));
        loop {
            events.borrow_and_update();
            configuration.borrow_and_update();
            match self.step().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => complain!(error, "rules failed; trying again"),
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
