//! The real binary while its PostgreSQL is cut off, or dies and a standby takes its place.

mod cut_off;
mod failover;
mod load;
#[path = "../cli/support.rs"]
#[allow(dead_code)]
mod support;
