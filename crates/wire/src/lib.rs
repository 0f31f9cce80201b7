//! The shapes of the dialects: pure functions from state and events to bytes, pinned by golden files.

pub mod chatwoot;
pub mod native;
