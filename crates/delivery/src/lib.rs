//! Webhook sending: from the log to the receiver, at least once, in order, signed, recorded.
//!
//! [`fan_out`] turns events into deliveries with frozen bytes; [`sender`] claims endpoints and sends what is due, by the
//! rules of [`queue`] and [`schedule`]; [`housekeeping`] removes what is too old; [`sign`], [`egress`] and [`client`] do one POST. [`attachments`] fetches the files that messages name by address into [`files`]. [`automations`] lets rules act on the log, [`reports`] adds it up. Every loop has a `step`, so that a
//! test can drive it without sleeping.

pub mod assignment;
pub mod attachments;
pub mod automations;
pub mod chatwoot;
pub mod client;
pub mod egress;
pub mod fan_out;
pub mod files;
pub mod handover;
pub mod housekeeping;
pub mod nodes;
pub mod queue;
pub mod render;
pub mod reports;
pub mod schedule;
pub mod sender;
pub mod sign;
pub mod timers;

/// The context in which a seal of an endpoint's secret may be opened.
pub const SECRET_CONTEXT: &str = "webhook_secret";
