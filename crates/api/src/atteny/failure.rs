//! Failures in Atteny's shape: `{success: false, code, error}`, with its page's own codes where it has some.

use super::language::Language;
use crate::http;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tieline_core::error::{Error, Extra, FieldError};

/// What Atteny calls a code of ours.
const CODES: [(&str, &str); 2] = [("api_disabled", "API_FEATURE_DISABLED"), ("rate_limited", "rate_limit_exceeded")];

/// The body of a failure; `members` are those of the error's extras that are no headers.
pub struct Body<'e> {
    /// The failure.
    pub error: &'e Error,
    /// Id of the request.
    pub request_id: &'e str,
    /// What the caller reads.
    pub language: Language,
}

/// The code on this surface.
fn code(error: &Error) -> &'static str {
    CODES.iter().find(|(ours, _)| *ours == error.code).map_or(error.code, |(_, theirs)| theirs)
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Body { error, request_id, language } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("success", &false)?;
        map.serialize_entry("code", code(error))?;
        map.serialize_entry("error", &language.sentence(error))?;
        if !error.fields.is_empty() {
            map.serialize_entry("errors", &Fields(&error.fields, *language))?;
        }
        for (name, value) in &error.extra {
            match value {
                Extra::Text(scope) if *name == "requiredScope" => map.serialize_entry(name, super::me::word(scope))?,
                _ if http::error::is_header(name) => {}
                _ => http::error::member(&mut map, name, value)?,
            }
        }
        map.serialize_entry("requestId", request_id)?;
        map.end()
    }
}

struct Fields<'e>(&'e [FieldError], Language);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wrong<'e> {
            field: String,
            code: &'e str,
            message: String,
        }
        serializer.collect_seq(self.0.iter().map(|error| Wrong {
            field: error.pointer.trim_start_matches('/').replace('/', "."),
            code: error.code,
            message: self.1.field(error),
        }))
    }
}
