//! Refusals in Chatwoot's words. Every body carries `error` and `message`, because clients read one or the other.

use crate::http::error::{Failure, status};
use crate::requests::Told;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tieline_core::error::{Error, Kind};

/// Why a request was refused.
#[derive(Debug)]
pub(super) enum Refused {
    /// By a rule of the product; the edge renders it ([`render`]).
    Core(Error),
    /// In a shape of its own.
    Shaped(StatusCode, Value),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Core(error)
    }
}

impl From<Failure> for Refused {
    fn from(Failure(error): Failure) -> Refused {
        Refused::Core(error)
    }
}

impl From<tieline_db::Error> for Refused {
    fn from(error: tieline_db::Error) -> Refused {
        Refused::Core(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Refused::Core(error) => Failure(error).into_response(),
            Refused::Shaped(status, body) => json_response(status, &body),
        }
    }
}

impl Refused {
    /// `{error, message}` with a status.
    pub fn with(status: StatusCode, text: &str) -> Refused {
        Refused::Shaped(status, json!({"error": text, "message": text}))
    }
    /// 422.
    pub fn unprocessable(text: &str) -> Refused {
        Refused::with(StatusCode::UNPROCESSABLE_ENTITY, text)
    }
    /// 401, which Chatwoot says instead of 403.
    pub fn unauthorized(text: &str) -> Refused {
        Refused::with(StatusCode::UNAUTHORIZED, text)
    }
    /// As the client API says that there is no such record.
    pub fn publicly(self) -> Refused {
        match self {
            Refused::Core(error) if error.kind == Kind::NotFound => {
                let body = json!({"status": 404, "error": "Not Found", "message": "Not Found"});
                Refused::Shaped(StatusCode::NOT_FOUND, body)
            }
            other => other,
        }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if let Some(text) = body["error"].as_str().or_else(|| body["message"].as_str()) {
        response.extensions_mut().insert(Told(text.to_owned()));
    }
    response
}

/// An error of the product in Chatwoot's shape.
pub(crate) fn render(error: &Error) -> Response {
    let text = match error.kind {
        Kind::NotFound => "Resource could not be found".to_owned(),
        Kind::Internal => "Internal Server Error".to_owned(),
        _ => error.detail.to_string(),
    };
    let (status, body) = match (error.kind, status(error)) {
        (Kind::Limited, StatusCode::TOO_MANY_REQUESTS) => {
            let mut response = (StatusCode::TOO_MANY_REQUESTS, "Retry later\n").into_response();
            let wait = error.extra("Retry-After").map(ToString::to_string);
            if let Some(wait) = wait.and_then(|seconds| HeaderValue::try_from(seconds).ok()) {
                response.headers_mut().insert(header::RETRY_AFTER, wait);
            }
            return response;
        }
        // A wrong or conflicting value is 422 there, whatever other dialects call it.
        (
            Kind::Invalid | Kind::Conflict | Kind::Unprocessable,
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY,
        ) => {
            let names = error.fields.iter().map(|field| field.pointer.trim_start_matches('/'));
            let text = match error.fields.is_empty() {
                true => text,
                false => {
                    error.fields.iter().map(|field| field.message.trim_end_matches('.')).collect::<Vec<_>>().join(", ")
                }
            };
            let attributes: Vec<&str> = names.collect();
            (StatusCode::UNPROCESSABLE_ENTITY, json!({"message": text, "error": text, "attributes": attributes}))
        }
        // Clients know the one text, people want to know what there is none of.
        (Kind::NotFound, status) => (status, json!({"error": text, "message": error.detail})),
        (Kind::Forbidden, _) => (StatusCode::UNAUTHORIZED, json!({"error": text, "message": text})),
        (_, status) => (status, json!({"error": text, "message": text})),
    };
    json_response(status, &body)
}
