//! The native shapes: `/v1` and webhooks of format `native`.

pub mod api_key;
pub mod audit;
pub mod automation;
pub mod contact;
pub mod conversation;
pub mod custom_field;
pub mod event;
pub mod inbox;
pub mod inbox_health;
pub mod message;
pub mod request;
pub mod tag;
pub mod team;
pub mod user;
pub mod webhook;

use serde::{Serialize, Serializer};
use tieline_core::time::Micros;

/// An instant as RFC 3339 text in UTC with milliseconds.
#[derive(Clone, Copy)]
pub struct Instant(pub i64);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Micros(self.0).rfc3339().as_str())
    }
}

impl utoipa::PartialSchema for Instant {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .examples(["2026-05-12T09:30:00.000Z"])
            .into()
    }
}
impl utoipa::ToSchema for Instant {}

/// An id as its wire text.
pub struct Shown<T>(pub T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// JSON that is stored as text and copied as it is.
pub(crate) fn raw(text: &str) -> &serde_json::value::RawValue {
    serde_json::from_str(text).unwrap_or_else(|_| serde_json::from_str("{}").expect("an object"))
}
