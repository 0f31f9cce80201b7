//! What every driver of the engine does, on each of them: one suite, so that a verb proven on SQLite holds on PostgreSQL.
//!
//! Nothing here waits for time to pass. A writer is kept busy by a job that waits on a channel ([`support::hold`]); what is
//! queued meanwhile is one group by construction.

/// Runs each case on both engines, and on PostgreSQL behind pgbouncer in session mode.
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $case() { super::$case(&crate::support::Place::sqlite()) })*
        }
        mod postgres {
            $(#[test] fn $case() { super::$case(&crate::support::Place::postgres()) })*
        }
        #[test]
        fn behind_a_pooler() {
            let pooler = tieline_testkit::postgres::Pooler::start("session");
            $(self::$case(&crate::support::Place::behind(&pooler));)*
        }
    };
}

mod close;
mod faults;
mod groups;
mod join;
mod migrations;
mod model;
mod moving;
mod numbers;
mod outage;
mod pooler;
mod postgres;
mod queues;
mod reads;
mod sets;
mod sqlite;
mod statements;
mod support;
mod topics;
mod values;
