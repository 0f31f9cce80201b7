//! The real binary under load, killed at random moments and started again on the same folder or database.
//!
//! Checked at the end: every conversation and message that was answered 201 is there exactly once; every event of every
//! conversation has been delivered, with a genuine signature; within a conversation the receiver first took each event
//! after the one before; what the receiver saw twice had the same id and the same bytes. That nothing is sent again after
//! its recorded success cannot be seen from outside (a kill between the receiver's answer and the record repeats it): with
//! several nodes the log of attempts shows it, for one the simulation of `tieline-delivery` does.

mod check;
mod load;
mod one;
mod several;

#[path = "../cli/support.rs"]
#[allow(dead_code)]
mod support;

fn seed() -> u64 {
    let seed = std::env::var("TIELINE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    eprintln!("TIELINE_SEED={seed}");
    let _ = rustls::crypto::ring::default_provider().install_default();
    seed
}
