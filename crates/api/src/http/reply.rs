//! What a handler answers with when all went well. Bodies are serialised once, into one buffer.

use super::error::Failure;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tieline_core::error::Error;
use utoipa::ToSchema;

/// Space reserved for a body before it is serialised, in bytes: most answers fit.
const BODY_RESERVE: usize = 1024;

/// 200 with a JSON body.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

/// 201 with a JSON body and `Location`.
#[derive(Clone, Debug)]
pub struct Created<T> {
    /// Path of what was made, e.g. `/v1/conversations/conv_…`.
    pub location: String,
    /// What was made.
    pub body: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut response = json(StatusCode::CREATED, &self.body);
        // A location is a path of ours made of ids; one that no header can hold is left out.
        if let Ok(location) = HeaderValue::try_from(self.location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// 204.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// JSON that is bytes already: a stored answer, or one rendered inside the transaction.
#[derive(Clone, Debug)]
pub struct RawJson {
    /// The status to answer with.
    pub status: StatusCode,
    /// A whole JSON text.
    pub body: Bytes,
}

impl IntoResponse for RawJson {
    fn into_response(self) -> Response {
        json_bytes(self.status, self.body)
    }
}

/// One page of a list, the same envelope everywhere: `{data, hasMore, nextCursor}` (contract D1.3).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The rows of this page, in the list's order.
    pub data: Vec<T>,
    /// Whether another page follows.
    pub has_more: bool,
    /// What to send as `cursor` for the next page; null on the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of rows that were read with a limit of `limit + 1`: the row too many says that more follow.
    ///
    /// `cursor` names a row for the next request, `view` shows it.
    pub fn of<R>(mut rows: Vec<R>, limit: usize, cursor: impl Fn(&R) -> String, view: impl FnMut(R) -> T) -> Page<T> {
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| has_more).map(cursor);
        Page { data: rows.into_iter().map(view).collect(), has_more, next_cursor }
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self)
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut bytes = Vec::with_capacity(BODY_RESERVE);
    match serde_json::to_writer(&mut bytes, body) {
        Ok(()) => json_bytes(status, bytes.into()),
        Err(error) => Failure(Error::internal(error)).into_response(),
    }
}

fn json_bytes(status: StatusCode, body: Bytes) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_page_knows_whether_another_follows() {
        let page = |rows: Vec<i32>| Page::of(rows, 2, |row| format!("after-{row}"), |row| row * 10);
        let full = page(vec![1, 2, 3]).into_response();
        assert_eq!(text(full).await, r#"{"data":[10,20],"hasMore":true,"nextCursor":"after-2"}"#);
        let last = page(vec![1, 2]).into_response();
        assert_eq!(text(last).await, r#"{"data":[10,20],"hasMore":false,"nextCursor":null}"#);
        assert_eq!(text(page(vec![]).into_response()).await, r#"{"data":[],"hasMore":false,"nextCursor":null}"#);
    }

    #[tokio::test]
    async fn created_names_its_place() {
        let response = Created { location: "/v1/tags/vip".into(), body: [1] }.into_response();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()[header::LOCATION], "/v1/tags/vip");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(text(response).await, "[1]");
    }

    #[tokio::test]
    async fn what_cannot_be_serialised_is_a_failure_not_half_a_body() {
        struct Broken;
        impl Serialize for Broken {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no"))
            }
        }
        assert_eq!(Json(Broken).into_response().status(), 500);
    }
}
