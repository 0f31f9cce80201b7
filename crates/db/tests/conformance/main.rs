//! What every driver of the engine does, on each of them: one suite, so that a verb proven on SQLite holds on PostgreSQL.
//!
//! Nothing here waits for time to pass. A writer is kept busy by a job that waits on a channel ([`support::hold`]); what is
//! queued meanwhile is one group by construction.

/// Runs each case on both engines.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $case() { super::$case(&crate::support::Place::sqlite()) })*
        }
        mod postgres {
            $(#[test] fn $case() { super::$case(&crate::support::Place::postgres()) })*
        }
    };
}

mod close;
mod faults;
mod groups;
mod migrations;
mod model;
mod numbers;
mod postgres;
mod proxy;
mod queues;
mod reads;
mod sets;
mod sqlite;
mod statements;
mod support;
mod topics;
mod values;
