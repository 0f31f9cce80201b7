//! The engine: one handle over two drivers. It knows statements, transactions, sets and groups; it knows no domain word.
//!
//! What it guarantees:
//! - A write is acknowledged only after its commit is durable (`synchronous=FULL` on SQLite; on PostgreSQL as the server is
//!   set).
//! - A write closure runs inside one transaction shared with its neighbours (*group commit*); a failing one is undone
//!   alone and never takes a neighbour with it.
//! - Commands of a [`SetVerb`] queued together run as one call; two commands that share a key never meet in one call.
//! - Every queue is bounded: a full one is [`Error::Busy`] at once, never an endless wait.
//! - No statement reads a clock or makes an id by itself: both come from [`Tx`], so tests can fix them.

mod ask;
pub mod catalogue;
pub mod census;
pub mod clock;
mod engine;
mod error;
pub mod fault;
mod health;
mod job;
mod many;
pub mod migrate;
pub mod moving;
mod postgres;
mod sqlite;
mod tx;
mod value;

pub use ask::{Ask, Numbers};
pub use clock::{Clock, Ids, SystemClock};
pub use engine::{AfterCommit, Config, Db, Joined, Limits, Stats, Target, Topic};
pub use error::{Error, Result};
pub use job::{Keys, SetVerb};
pub use many::{Many, Ty};
pub use migrate::Migration;
pub use sqlite::snapshot;
pub use tx::{Read, Tx};
pub use value::{FromColumn, Param, Row};
