//! Atteny's shapes: `/api/v1/{me,contacts,conversations,webhooks}` and webhooks of format `atteny` (contract part C).
//!
//! A shape is made either from the state, for an answer, or from the data that a verb froze into the log, for a webhook
//! (docs/adr/0002); both give the same members, so everything inside is text. Where the contract is silent, words and
//! values are those of `/v1`. Webhook endpoints and their deliveries look as on `/v1`, but for the words for events.

pub mod contact;
pub mod conversation;
pub mod event;
pub mod message;

use serde::{Serialize, Serializer};
use std::borrow::Cow;
use tieline_core::time::Micros;
use utoipa::ToSchema;

/// A success: `{success: true, data}`.
#[derive(Serialize, ToSchema)]
pub struct Success<T> {
    /// Always true.
    pub success: True,
    /// What was asked for.
    pub data: T,
}

impl<T> Success<T> {
    /// A success with this.
    pub fn of(data: T) -> Success<T> {
        Success { success: True, data }
    }
}

/// A page: `{success: true, data, meta}`.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    /// Always true.
    pub success: True,
    /// The rows of the page.
    pub data: Vec<T>,
    /// Which page of how many rows.
    pub meta: Meta,
}

/// Which page of how many rows.
#[derive(Serialize, ToSchema)]
pub struct Meta {
    /// Rows on all pages together.
    pub total: i64,
    /// This page; the first is 1.
    #[schema(minimum = 1)]
    pub page: i64,
    /// Most rows of a page.
    pub limit: i64,
    /// Of a search, and only when false: there are more contacts than a search looks at, and `total` counts those found
    /// among the ones looked at.
    #[serde(skip_serializing_if = "is_true")]
    #[schema(required = false)]
    pub complete: bool,
}

fn is_true(value: &bool) -> bool {
    *value
}

/// The one value of `success` in an answer that is one.
#[derive(Clone, Copy)]
pub struct True;

impl Serialize for True {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

impl utoipa::PartialSchema for True {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::Boolean)
            .enum_values(Some([true]))
            .into()
    }
}
impl ToSchema for True {}

/// An instant as text.
fn instant(at: i64) -> Cow<'static, str> {
    Micros(at).to_string().into()
}
