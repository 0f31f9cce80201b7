//! Chatwoot's shapes, byte-exact where its clients look: seconds as integers here, ISO text there, never null for objects.

pub mod automation;
pub mod bot;
pub mod contact;
pub mod conversation;
pub mod inbox;
pub mod message;
pub mod people;
pub mod shapes;
pub mod state;
pub mod subscription;
pub mod webhook;

use serde_json::{Map, Value};
use tieline_core::time::Micros;

/// Unix seconds.
pub fn seconds(at: i64) -> i64 {
    at.div_euclid(1_000_000)
}

/// Unix seconds; 0 for never.
pub fn seconds_or_zero(at: Option<i64>) -> i64 {
    at.map_or(0, seconds)
}

/// ISO 8601 with milliseconds.
pub fn iso(at: i64) -> String {
    Micros(at).rfc3339().as_str().to_owned()
}

/// A stored JSON object; `{}` for anything else.
pub fn object(text: &str) -> Value {
    serde_json::from_str::<Map<String, Value>>(text).map_or_else(|_| Value::Object(Map::new()), Value::Object)
}
