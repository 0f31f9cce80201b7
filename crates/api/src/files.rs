//! `GET /files/…`: the bytes of a file, for whoever holds a link that we signed. No key is asked for.
//!
//! A stranger's file must not become a page of ours: only types that their bytes proved are shown in place, what a browser
//! would run is served as bytes without a type, and every answer says `nosniff` and `sandbox`.

use crate::http::error::Failure;
use crate::http::request::Path;
use crate::hub::Hub;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::ops::Range;
use tieline_core::attachments::{self, Attachment, State as Stored, kind, link};
use tieline_core::error::Error;

/// The route of links.
pub fn routes(hub: Hub) -> Router {
    Router::new().route("/files/{id}/{expires}/{signature}/{name}", get(serve)).with_state(hub)
}

type Parts = Path<(String, String, String)>;

async fn serve(State(hub): State<Hub>, parts: Parts, headers: HeaderMap) -> Result<Response, Failure> {
    let Path((id, expires, signature)) = parts;
    let linked = hub.files.links().check(&id, &expires, &signature, hub.db.now())?;
    let file = hub.db.read(move |read| attachments::get(read, linked.tenant, linked.id)).await?;
    let Some(size) = file.size.filter(|_| file.state == Stored::Stored).map(|size| size as u64) else {
        return Err(Error::not_found("file").into());
    };
    let range = match headers.get(header::RANGE).and_then(|value| value.to_str().ok()).map(|text| range(text, size)) {
        Some(Asked::Nothing) => return Ok(unsatisfiable(size)),
        Some(Asked::Range(range)) => Some(range),
        Some(Asked::All) | None => None,
    };
    let bytes = hub.files.read(linked.tenant, linked.id, range.clone()).await?;
    let mut response = Body::from_stream(bytes).into_response();
    describe(response.headers_mut(), &file, linked.seconds_left);
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    if let Some(range) = range {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        put(response.headers_mut(), header::CONTENT_RANGE, &text);
    }
    Ok(response)
}

fn unsatisfiable(size: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    put(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn describe(headers: &mut HeaderMap, file: &Attachment, seconds_left: i64) {
    let inline = kind::is_shown_inline(&file.content_type);
    put(headers, header::CONTENT_TYPE, kind::served_as(&file.content_type));
    put(headers, header::CONTENT_DISPOSITION, &disposition(if inline { "inline" } else { "attachment" }, &file.name));
    put(headers, header::CACHE_CONTROL, &format!("private, max-age={seconds_left}, immutable"));
    put(headers, header::ACCEPT_RANGES, "bytes");
    put(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(headers, header::CONTENT_SECURITY_POLICY, "sandbox");
    // The link is a credential: a page that a document leads to must not read it.
    put(headers, header::REFERRER_POLICY, "no-referrer");
}

/// RFC 6266: a plain name for old clients, the true one beside it.
fn disposition(kind: &str, name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\%".contains(c) || c == ' ' { c } else { '_' }).collect();
    let mut text = format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''");
    link::percent_encode(name, &mut text);
    text
}

#[derive(Debug, PartialEq)]
enum Asked {
    /// No range, or one that we need not honour: several, or not of bytes.
    All,
    Range(Range<u64>),
    /// Beyond the end.
    Nothing,
}

/// A `Range` header over `size` bytes (RFC 9110, 14.1.2); `size` is not zero.
fn range(text: &str, size: u64) -> Asked {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-')) else {
        return Asked::All;
    };
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if !digits(first) || !digits(last) || (first.is_empty() && last.is_empty()) {
        return Asked::All;
    }
    // More digits than a number has are beyond every end.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let range = match (first, last) {
        ("", suffix) => size.saturating_sub(number(suffix))..size,
        (first, "") => number(first)..size,
        (first, last) if number(first) > number(last) => return Asked::All,
        (first, last) => number(first)..number(last).saturating_add(1).min(size),
    };
    if range.start >= range.end { Asked::Nothing } else { Asked::Range(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, asked) in [
            ("bytes=0-0", Asked::Range(0..1)),
            ("bytes=2-5", Asked::Range(2..6)),
            ("bytes=2-", Asked::Range(2..10)),
            ("bytes=-3", Asked::Range(7..10)),
            ("bytes=-30", Asked::Range(0..10)),
            ("bytes=9-99999999999999999999", Asked::Range(9..10)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=99999999999999999999-", Asked::Nothing),
            ("bytes=5-2", Asked::All),
            ("bytes=0-1,3-4", Asked::All),
            ("bytes=-", Asked::All),
            ("bytes=+1-2", Asked::All),
            ("lines=1-2", Asked::All),
            ("", Asked::All),
        ] {
            assert_eq!(range(text, 10), asked, "{text}");
        }
    }

    #[test]
    fn names_in_headers() {
        let text = disposition("attachment", "a\"b\\Größe 100%.txt");
        assert_eq!(
            text,
            "attachment; filename=\"a_b_Gr__e 100_.txt\"; filename*=UTF-8''a%22b%5CGr%C3%B6%C3%9Fe%20100%25.txt"
        );
    }
}
