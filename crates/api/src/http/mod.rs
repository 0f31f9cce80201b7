//! What all three dialects share of HTTP. Nothing here knows a rule of the product or a route.
//!
//! The way of a request: [`server`] reads it from a bounded number of connections → [`layers::Edge`], one middleware,
//! gives it an id, catches panics, renders failures in the dialect's shape and measures → [`request`] extracts path,
//! query and a bounded body → [`fields`] and [`query`] turn them into a command, reporting every wrong field at once →
//! [`reply`] or [`error::Failure`] answers.

pub mod address;
pub mod cursor;
pub mod docs;
pub mod document;
pub mod error;
pub mod fields;
pub mod layers;
pub mod metrics;
pub mod query;
pub mod reply;
pub mod request;
pub mod server;
pub mod visit;
