//! How the database does, known in one place and said in the log once: that it is away, at most once a minute that it still
//! is, and that it is back. What fails because of it, in requests and loops alike, is an [`Error::Away`] or an
//! [`Error::Damaged`] and needs no line of its own.
//!
//! The database is away from the first connection that cannot be opened until every one can: a node of which some
//! connections work refuses a part of its requests.

use crate::Error;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How often it is said that the database is still away, or that connections end, at most.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// What the connections of one database have found.
#[derive(Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Default)]
struct State {
    /// The database was opened: before that whoever opens it gets the error, and nothing is said here.
    is_open: bool,
    /// Connections that cannot be opened.
    gone: usize,
    /// Since when there are any, when that was last said, and why.
    away: Option<(Instant, Instant, Error)>,
    /// When it was last said that a connection ended.
    ended_said: Option<Instant>,
    damage: Option<Error>,
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("not poisoned")
    }

    /// From now on it is said.
    pub fn opened(&self) {
        self.state().is_open = true;
    }

    /// A connection ended by itself; it is opened again when it is needed.
    pub fn ended(&self, why: &str) {
        let mut state = self.state();
        let said_lately = state.ended_said.is_some_and(|said| said.elapsed() < SAID_EVERY);
        if state.is_open && state.away.is_none() && !said_lately {
            state.ended_said = Some(Instant::now());
            tracing::warn!("a connection to the database ended: {why}");
        }
    }

    /// A connection cannot be opened; `is_new` where the last try of this one succeeded, or there was none.
    pub fn gone(&self, error: &Error, is_new: bool) {
        let mut state = self.state();
        if !state.is_open {
            return;
        }
        state.gone += usize::from(is_new);
        let now = Instant::now();
        let (since, said) = match &state.away {
            Some((since, said, _)) if now - *said < SAID_EVERY => (*since, *said),
            Some((since, ..)) => {
                tracing::warn!("the database is still away, for {} s: {error}", (now - *since).as_secs());
                (*since, now)
            }
            None => {
                tracing::warn!("the database is away: {error}; what needs it is answered 503 until it is back");
                (now, now)
            }
        };
        state.away = Some((since, said, error.clone()));
    }

    /// A connection that could not be opened is open.
    pub fn back(&self) {
        let mut state = self.state();
        state.gone = state.gone.saturating_sub(1);
        if state.gone == 0
            && let Some((since, ..)) = state.away.take()
        {
            tracing::info!("the database is back, after {:.1} s", since.elapsed().as_secs_f64());
        }
    }

    /// What a statement said; remembered where it is damage, which does not pass while the server runs.
    pub fn failed(&self, error: &Error) {
        let mut state = self.state();
        if let (Error::Damaged(why), None) = (error, &state.damage) {
            tracing::error!(
                "the database file is damaged ({why}): stop this server, see what `tieline doctor` says, and restore a backup with `tieline restore`"
            );
            state.damage = Some(error.clone());
        }
    }

    /// What keeps the database from being used now; none as far as is known.
    pub fn trouble(&self) -> Option<Error> {
        let state = self.state();
        state.damage.clone().or_else(|| state.away.as_ref().map(|(_, _, error)| error.clone()))
    }
}
