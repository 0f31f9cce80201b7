//! Failures as answers: from the product's one [`Error`] to status, headers and body of a dialect.
//!
//! Guarantees: the answer holds `code`, `detail`, `fields` and `extra` and never `source`; every answer carries the
//! request's id; the source is logged once, here. A handler returns [`Failure`]; it does not render it. It puts the
//! error into the response's extensions, and [`super::layers::Edge`], which knows the dialect, the request id and the
//! public address, renders it. So the same handler mechanics serve all dialects.

use super::request::RequestId;
use crate::atteny::failure;
use crate::atteny::language::Language;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{borrow::Cow, sync::Arc};
use tieline_core::error::{Error, Extra, FieldError, Kind};

/// Result of a handler.
pub type Reply<T> = std::result::Result<T, Failure>;

/// `Retry-After` in seconds where the error names none: a moment is what [`Kind::Unavailable`] means.
const RETRY_AFTER_DEFAULT_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Names in [`Error::extra`] that become header fields of the answer instead of members of its body.
const HEADER_EXTRAS: [(&str, HeaderName); 2] = [("Location", header::LOCATION), ("Retry-After", header::RETRY_AFTER)];

/// An API's own shape of credentials, answers and errors (DESIGN section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `/v1`: RFC 9457 problem documents.
    V1,
    /// `/api/v1/{me,contacts,conversations,…}`: `{success:false, code, error}`.
    Atteny,
    /// `/public/api/…`, `/platform/api/…`, `/api/v1/{accounts,profile}…`, `/api/v2/…`: Chatwoot's shapes.
    Chatwoot,
}

impl Dialect {
    /// The dialect that owns this path, so that even an unknown path is refused in the right shape.
    pub fn of_path(path: &str) -> Dialect {
        let under =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let probe = ["/api", "/health"].contains(&path);
        let roots = ["/public/api", "/platform/api", "/api/v1/accounts", "/api/v1/profile", "/api/v2"];
        if probe || roots.into_iter().any(under) {
            Dialect::Chatwoot
        } else if under("/api") {
            Dialect::Atteny
        } else {
            Dialect::V1
        }
    }

    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Dialect::V1 => "v1",
            Dialect::Atteny => "atteny",
            Dialect::Chatwoot => "chatwoot",
        }
    }
}

/// An error on its way out of a handler; [`super::layers::Edge`] renders it.
///
/// Without the edge it is a bare status, which no served route shows.
#[derive(Debug)]
pub struct Failure(pub Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(error)
    }
}

/// The error inside a response that waits for its shape. `Arc` because extensions must be cloneable.
#[derive(Clone)]
pub(super) struct Unrendered(pub Arc<Error>);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = status(&self.0).into_response();
        response.extensions_mut().insert(Unrendered(Arc::new(self.0)));
        response
    }
}

/// 404 for a path that no route has.
pub fn unknown_path() -> Error {
    Error::new(Kind::NotFound, "not_found", "There is nothing at this path.")
}

/// 405; the router adds `Allow`.
pub fn method_not_allowed() -> Error {
    Error::new(
        Kind::Invalid,
        "method_not_allowed",
        "This path does not take this method; `Allow` lists those it takes.",
    )
}

/// 413 with the limit in bytes.
pub fn payload_too_large(limit: usize) -> Error {
    Error::new(Kind::Invalid, "payload_too_large", format!("The request body may have at most {limit} bytes."))
}

/// 415 with what would have been accepted.
pub fn unsupported_media_type(accepted: &'static str) -> Error {
    Error::new(Kind::Invalid, "unsupported_media_type", format!("Send the body as {accepted}."))
}

/// The status of an error (contract D1's table): by kind, and by code where HTTP has a status of its own for it.
pub fn status(error: &Error) -> StatusCode {
    match (error.kind, error.code) {
        (_, "method_not_allowed") => StatusCode::METHOD_NOT_ALLOWED,
        (_, "payload_too_large") => StatusCode::PAYLOAD_TOO_LARGE,
        (_, "unsupported_media_type") => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        (_, "request_timeout") => StatusCode::REQUEST_TIMEOUT,
        (_, "quota_exceeded") => StatusCode::PAYMENT_REQUIRED,
        (Kind::Invalid, _) => StatusCode::BAD_REQUEST,
        (Kind::Unauthorized, _) => StatusCode::UNAUTHORIZED,
        (Kind::Forbidden, _) => StatusCode::FORBIDDEN,
        (Kind::NotFound, _) => StatusCode::NOT_FOUND,
        (Kind::Conflict, _) => StatusCode::CONFLICT,
        (Kind::Unprocessable, _) => StatusCode::UNPROCESSABLE_ENTITY,
        (Kind::Limited, _) => StatusCode::TOO_MANY_REQUESTS,
        (Kind::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Kind::Internal, _) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Renders an error in a dialect's shape and logs its source under the request's id.
///
/// `public_url` makes the problem's `type` absolute; it has no slash at its end. `language` is what Atteny's callers read.
pub fn render(
    dialect: Dialect,
    error: &Error,
    id: &RequestId,
    public_url: Option<&str>,
    language: Language,
) -> Response {
    log_source(dialect, error, id);
    match dialect {
        Dialect::Atteny => atteny(error, id, language),
        Dialect::Chatwoot => crate::chatwoot::render(error),
        Dialect::V1 => problem(error, id, public_url),
    }
}

/// Whether an extra of an error is a header field of its answer.
pub(crate) fn is_header(extra: &str) -> bool {
    HEADER_EXTRAS.iter().any(|(name, _)| *name == extra)
}

/// Atteny's failure.
fn atteny(error: &Error, id: &RequestId, language: Language) -> Response {
    let body = serde_json::to_vec(&failure::Body { error, request_id: id.as_str(), language });
    answered(error, status(error), body.expect("a failure is strings"), HeaderValue::from_static("application/json"))
}

/// One line a failure that is ours or has a cause. It names neither body nor address.
fn log_source(dialect: Dialect, error: &Error, id: &RequestId) {
    if error.source.is_none() {
        return;
    }
    let chain = error.causes();
    let (request_id, code, dialect) = (id.as_str(), error.code, dialect.as_str());
    match error.kind {
        Kind::Internal => tracing::error!(request_id, code, dialect, "request {request_id} failed: {chain}"),
        Kind::Unavailable if !error.is_told() => {
            tracing::warn!(request_id, code, dialect, "request {request_id} had to wait: {chain}")
        }
        _ => tracing::debug!(request_id, code, dialect, "request {request_id} was refused: {chain}"),
    }
}

/// An RFC 9457 problem document with the members of contract D1.
fn problem(error: &Error, id: &RequestId, public_url: Option<&str>) -> Response {
    let status = status(error);
    let body = Problem { error, status, id: id.as_str(), public_url: public_url.unwrap_or("") };
    let body = serde_json::to_vec(&body).expect("a problem is strings and numbers");
    let mut response = answered(error, status, body, HeaderValue::from_static("application/problem+json"));
    // A refused repeat says where the first one is (DESIGN section 1).
    if let ("external_reference_exists", Some(id)) = (error.code, error.extra("conversationId"))
        && let Ok(location) = HeaderValue::try_from(format!("/v1/conversations/{id}"))
    {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The answer around a failure's body: the headers that its status asks for, whatever the dialect.
fn answered(error: &Error, status: StatusCode, body: Vec<u8>, content_type: HeaderValue) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in &error.extra {
        let field = HEADER_EXTRAS.iter().find(|(extra, _)| extra == name);
        // A value that no header can hold is dropped rather than made a second failure.
        if let (Some((_, field)), Ok(value)) = (field, HeaderValue::try_from(value.to_string())) {
            headers.insert(field.clone(), value);
        }
    }
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // A used-up count does not come back by waiting.
        StatusCode::TOO_MANY_REQUESTS if error.code == "webhook_limit_reached" => {
            headers.remove(header::RETRY_AFTER);
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers.entry(header::RETRY_AFTER).or_insert(RETRY_AFTER_DEFAULT_SECONDS);
        }
        _ => {}
    }
    response
}

/// The body of a problem; serialised by hand because extra members sit beside the fixed ones.
struct Problem<'e> {
    error: &'e Error,
    status: StatusCode,
    id: &'e str,
    public_url: &'e str,
}

impl Serialize for Problem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Problem { error, status, id, public_url } = self;
        let reason = status.canonical_reason().unwrap_or("Error");
        let title = super::docs::error_code(error.code).map_or(reason, |known| known.title);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("{public_url}/docs/errors#{}", error.code))?;
        map.serialize_entry("title", title)?;
        map.serialize_entry("status", &status.as_u16())?;
        map.serialize_entry("detail", &error.detail)?;
        map.serialize_entry("instance", &format_args!("urn:request:{id}"))?;
        map.serialize_entry("code", error.code)?;
        map.serialize_entry("requestId", id)?;
        if !error.fields.is_empty() {
            map.serialize_entry("errors", &Fields(&error.fields))?;
        }
        for (name, value) in &error.extra {
            if !is_header(name) {
                member(&mut map, name, value)?;
            }
        }
        map.end()
    }
}

/// Adds an extra member to a body.
pub(crate) fn member<M: SerializeMap>(map: &mut M, name: &str, value: &Extra) -> Result<(), M::Error> {
    match value {
        Extra::Text(text) => map.serialize_entry(name, text),
        Extra::Count(count) => map.serialize_entry(name, count),
    }
}

/// `errors[]` of a problem.
struct Fields<'e>(&'e [FieldError]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|error| {
            // A query parameter has no pointer: there is no document to point into.
            let in_body = error.pointer.is_empty() || error.pointer.starts_with('/');
            WireField {
                pointer: in_body.then_some(error.pointer.as_str()),
                field: field_name(&error.pointer),
                code: error.code,
                message: &error.message,
            }
        }))
    }
}

#[derive(Serialize)]
struct WireField<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'e str>,
    field: Cow<'e, str>,
    code: &'e str,
    message: &'e str,
}

/// The field as people write it: `/contact/email` → `contact.email`, `/tags/3` → `tags.3`, a parameter's name as it is.
fn field_name(pointer: &str) -> Cow<'_, str> {
    match pointer.strip_prefix('/') {
        None => Cow::Borrowed(pointer),
        Some(path) if path.contains(['/', '~']) => {
            Cow::Owned(path.replace('/', ".").replace("~1", "/").replace("~0", "~"))
        }
        Some(path) => Cow::Borrowed(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn rendered(error: Error) -> (StatusCode, http::HeaderMap, serde_json::Value) {
        let id = RequestId::of(Some(&HeaderValue::from_static("req-1")));
        let response = render(Dialect::V1, &error, &id, Some("https://hub.example"), Language::English);
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn a_problem_names_everything_and_hides_its_source() {
        let mut error = Error::internal(std::io::Error::other("password=hunter2"));
        error.extra.push(("requiredScope", Extra::Text("tags:read".into())));
        let (status, headers, body) = rendered(error).await;
        assert_eq!(status, 500);
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            body,
            serde_json::json!({
                "type": "https://hub.example/docs/errors#internal_error",
                "title": "Internal error",
                "status": 500,
                "detail": "Something went wrong on our side.",
                "instance": "urn:request:req-1",
                "code": "internal_error",
                "requestId": "req-1",
                "requiredScope": "tags:read",
            })
        );
    }

    #[tokio::test]
    async fn every_wrong_field_is_listed_with_pointer_and_name() {
        let field =
            |pointer: &str| FieldError { pointer: pointer.into(), code: "required", message: "is required".into() };
        let error = Error::invalid(vec![field("/contact/email"), field("limit"), field(""), field("/a~1b/c~0d")]);
        let (status, _, body) = rendered(error).await;
        assert_eq!(status, 400);
        let names: Vec<_> =
            body["errors"].as_array().unwrap().iter().map(|e| (e["pointer"].clone(), e["field"].clone())).collect();
        use serde_json::{Value::Null, json};
        assert_eq!(
            names,
            [
                (json!("/contact/email"), json!("contact.email")),
                (Null, json!("limit")),
                (json!(""), json!("")),
                (json!("/a~1b/c~0d"), json!("a/b.c~d")),
            ]
        );
    }

    #[tokio::test]
    async fn statuses_and_headers_follow_the_contract() {
        let table = [
            (Kind::Invalid, "validation_error", 400, None),
            (Kind::Unauthorized, "invalid_api_key", 401, None),
            (Kind::Limited, "quota_exceeded", 402, None),
            (Kind::Forbidden, "insufficient_scope", 403, None),
            (Kind::NotFound, "not_found", 404, None),
            (Kind::Invalid, "method_not_allowed", 405, None),
            (Kind::Conflict, "external_reference_exists", 409, None),
            (Kind::Invalid, "payload_too_large", 413, None),
            (Kind::Invalid, "unsupported_media_type", 415, None),
            (Kind::Unprocessable, "idempotency_key_reused", 422, None),
            (Kind::Limited, "rate_limited", 429, Some("1")),
            (Kind::Limited, "webhook_limit_reached", 429, None),
            (Kind::Unavailable, "unavailable", 503, Some("1")),
        ];
        for (kind, code, expected, retry_after) in table {
            let (status, headers, _) = rendered(Error::new(kind, code, "…")).await;
            assert_eq!(status.as_u16(), expected, "{code}");
            assert_eq!(headers.get(header::RETRY_AFTER).map(|v| v.to_str().unwrap()), retry_after, "{code}");
            assert_eq!(headers.contains_key(header::WWW_AUTHENTICATE), expected == 401, "{code}");
            let documented = crate::http::docs::error_code(code).unwrap_or_else(|| panic!("{code} is not documented"));
            assert_eq!(documented.status, expected, "{code}");
        }
    }

    #[tokio::test]
    async fn location_and_retry_after_are_headers_not_members() {
        let error = Error::conflict("external_reference_exists", "Taken.")
            .with("conversationId", "conv_1")
            .with("Location", "/v1/conversations/conv_1")
            .with("Retry-After", 7);
        let (_, headers, body) = rendered(error).await;
        assert_eq!(headers[header::LOCATION], "/v1/conversations/conv_1");
        assert_eq!(headers[header::RETRY_AFTER], "7");
        assert_eq!(body["conversationId"], "conv_1");
        assert!(body.get("Location").is_none() && body.get("Retry-After").is_none());
    }

    #[test]
    fn each_path_has_one_dialect() {
        for (path, dialect) in [
            ("/v1/conversations", Dialect::V1),
            ("/docs", Dialect::V1),
            ("/apiary", Dialect::V1),
            ("/api/v1/contacts", Dialect::Atteny),
            ("/api/v1/accountsx", Dialect::Atteny),
            ("/api/v1/accounts/1/labels", Dialect::Chatwoot),
            ("/api/v1/profile", Dialect::Chatwoot),
            ("/api/v2/accounts/1/reports", Dialect::Chatwoot),
            ("/public/api/v1/inboxes/x", Dialect::Chatwoot),
            ("/platform/api/v1/users", Dialect::Chatwoot), // there is none, which its clients are to understand
        ] {
            assert_eq!(Dialect::of_path(path), dialect, "{path}");
        }
    }
}
