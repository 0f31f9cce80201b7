//! What a handler takes from a request: its id, its path's ids, its body within a limit.
//!
//! Guarantees: no body is read past its limit or longer than [`BODY_TIMEOUT`]; every refusal is a [`Failure`], never
//! the framework's plain text; a path part that is no id of the right kind is the same 404 as one that does not exist.

use super::error::{Failure, payload_too_large, unsupported_media_type};
use super::visit::Visit;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use http_body_util::BodyExt;
use std::{str::FromStr, time::Duration};
use tieline_core::error::{Error, Kind};

/// Largest request body in bytes where a route names no limit of its own (contract D1.2).
pub const BODY_LIMIT: usize = 1024 * 1024;
/// Longest time from the first read of a body to its end; a client that drips bytes holds a connection no longer.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest request id taken over from a client, in characters (contract D1.4).
pub const REQUEST_ID_MAX_CHARS: usize = 128;
/// A refused body is still read this far, so that a client in the middle of sending it reads the answer, not a reset.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// … and for this long.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
/// Space reserved before the first byte of a body without a length.
const UNSIZED_BODY_RESERVE: usize = 4096;

/// Id of one request: the client's `X-Request-Id` if it is short and plain, else ours (`req_` and 32 hexadecimal digits).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes over the client's id or makes one.
    ///
    /// Plain means letters, digits and `-_.:/+=@`: it goes into log lines and a URN unescaped.
    pub fn of(sent: Option<&HeaderValue>) -> RequestId {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(b);
        match sent.map(|value| (value, value.as_bytes())) {
            Some((value, text)) if (1..=REQUEST_ID_MAX_CHARS).contains(&text.len()) && text.iter().all(plain) => {
                RequestId(value.clone())
            }
            _ => {
                let mut text = *b"req_00000000000000000000000000000000";
                uuid::Uuid::now_v7().simple().encode_lower(&mut text[4..]);
                RequestId(HeaderValue::from_bytes(&text).expect("hexadecimal digits are a header value"))
            }
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("made of plain characters only")
    }

    /// The id as a header value.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<RequestId, Failure> {
        Ok(parts.extensions.get::<RequestId>().cloned().unwrap_or_else(|| RequestId::of(None)))
    }
}

/// Limit in bytes of this request's body, where it is not [`BODY_LIMIT`]; set by [`super::layers::Edge::body_limit`].
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(pub usize);

/// A whole JSON body, not parsed yet: hand it to [`super::fields::read`].
///
/// 415 unless the content type is `application/json` (or `application/merge-patch+json` on PATCH), in UTF-8.
#[derive(Clone, Debug)]
pub struct JsonBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Failure;
    async fn from_request(request: Request, _: &S) -> Result<JsonBody, Failure> {
        if let Err(refusal) = json_content_type(request.method(), request.headers()) {
            let (parts, body) = request.into_parts();
            linger(&parts.headers, declared_length(&parts.headers).unwrap_or(0), body);
            return Err(refusal.into());
        }
        read_body(request).await.map(JsonBody)
    }
}

/// A whole body of any content type, within the route's limit.
#[derive(Clone, Debug)]
pub struct AnyBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for AnyBody {
    type Rejection = Failure;
    async fn from_request(request: Request, _: &S) -> Result<AnyBody, Failure> {
        read_body(request).await.map(AnyBody)
    }
}

/// Is this the content type of a JSON body? Parameters other than a charset of UTF-8 are ignored.
fn json_content_type(method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    let accepted = if method == Method::PATCH {
        "`application/json` or `application/merge-patch+json`"
    } else {
        "`application/json`"
    };
    let refused = || unsupported_media_type(accepted);
    let mut sent = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else { return Err(refused()) };
    if value == "application/json" {
        return Ok(()); // what nearly everybody sends
    }
    let mut parts = value.to_str().map_err(|_| refused())?.split(';').map(str::trim);
    let essence = parts.next().unwrap_or("");
    let json = essence.eq_ignore_ascii_case("application/json")
        || (method == Method::PATCH && essence.eq_ignore_ascii_case("application/merge-patch+json"));
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
            ["utf-8", "utf8"].iter().any(|known| charset.trim().trim_matches('"').eq_ignore_ascii_case(known))
        }
        _ => true,
    };
    if json && parts.all(utf8) { Ok(()) } else { Err(refused()) }
}

/// `Content-Length`, if there is one; the server has refused one that is no number.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body is as it is, and not compressed: nothing here is unpacked.
fn is_plain(headers: &HeaderMap) -> bool {
    let is_identity = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    headers.get_all(header::CONTENT_ENCODING).iter().all(is_identity)
}

/// Reads the whole body: 415 for a compressed one; 413 past the limit, at once if its declared length says so; 408 if it
/// takes too long.
async fn read_body(request: Request) -> Result<Bytes, Failure> {
    let limit = request.extensions().get::<BodyLimit>().map_or(BODY_LIMIT, |limit| limit.0);
    let declared = declared_length(request.headers());
    let (parts, mut body) = request.into_parts();
    if !is_plain(&parts.headers) {
        linger(&parts.headers, declared.unwrap_or(0), body);
        return Err(unsupported_media_type("it is, not compressed: without `Content-Encoding`").into());
    }
    if declared.is_some_and(|length| length > limit) {
        linger(&parts.headers, declared.unwrap_or(0), body);
        return Err(payload_too_large(limit).into());
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, collect(&mut body, declared, limit)).await;
    match read {
        Ok(Ok(bytes)) => {
            if let Some(visit) = Visit::of(&parts) {
                visit.keep_body(&bytes);
            }
            Ok(bytes)
        }
        Ok(Err(TooLarge(true))) => {
            linger(&parts.headers, limit, body);
            Err(payload_too_large(limit).into())
        }
        Ok(Err(TooLarge(false))) => {
            Err(Error::new(Kind::Invalid, "incomplete_body", "The request body ended before its declared end.").into())
        }
        Err(_) => Err(Error::new(Kind::Invalid, "request_timeout", "The request body took too long to arrive.").into()),
    }
}

/// Past the limit (`true`), or broken off (`false`).
struct TooLarge(bool);

async fn collect(body: &mut Body, declared: Option<usize>, limit: usize) -> Result<Bytes, TooLarge> {
    let mut first: Option<Bytes> = None;
    let mut rest: Option<BytesMut> = None;
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| TooLarge(false))?.into_data() else { continue };
        length += data.len();
        if length > limit {
            return Err(TooLarge(true));
        }
        match (&mut first, &mut rest) {
            (None, _) => first = Some(data), // nearly every body is one frame: no copy
            (Some(start), None) => {
                let mut all = BytesMut::with_capacity(declared.unwrap_or(UNSIZED_BODY_RESERVE).max(length));
                all.extend_from_slice(start);
                all.extend_from_slice(&data);
                rest = Some(all);
            }
            (_, Some(all)) => all.extend_from_slice(&data),
        }
    }
    Ok(rest.map(BytesMut::freeze).or(first).unwrap_or_default())
}

/// Reads and forgets what is left of a refused body, within bounds, while the answer goes out.
///
/// Without it the connection closes over unread bytes, and the client sees a reset instead of the 413. A client that
/// waits for `100 Continue`, or that means to send more than we would read, is not encouraged to send.
pub(crate) fn linger(headers: &HeaderMap, expected: usize, mut body: Body) {
    if headers.contains_key(header::EXPECT) || expected > LINGER_BYTES || axum::body::HttpBody::is_end_stream(&body) {
        return;
    }
    tokio::spawn(async move {
        let mut left = LINGER_BYTES;
        let drain = async {
            while let Some(Ok(frame)) = body.frame().await {
                let read = frame.data_ref().map_or(0, Bytes::len);
                let Some(still) = left.checked_sub(read) else { break };
                left = still;
            }
        };
        let _ = tokio::time::timeout(LINGER_TIMEOUT, drain).await;
    });
}

/// The ids in a route's path, in order: `Path<(ConversationId,)>`, `Path<(ConversationId, String)>`.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// A tuple of things parsed from path parts.
pub trait PathParts: Sized {
    /// `None` when a part is missing or does not parse.
    fn parse<'p>(parts: impl Iterator<Item = &'p str>) -> Option<Self>;
}

macro_rules! path_parts {
    ($($name:ident)+) => {
        impl<$($name: FromStr),+> PathParts for ($($name,)+) {
            fn parse<'p>(mut parts: impl Iterator<Item = &'p str>) -> Option<Self> {
                Some(($(parts.next()?.parse::<$name>().ok()?,)+))
            }
        }
    };
}
path_parts!(A);
path_parts!(A B);
path_parts!(A B C);
path_parts!(A B C D);

impl<S: Send + Sync, T: PathParts> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Failure> {
        let raw = RawPathParams::from_request_parts(parts, state).await.ok();
        // PostgreSQL refuses NUL in text, and no row could hold one.
        let parsed = raw.as_ref().filter(|raw| raw.iter().all(|(_, value)| !value.contains('\0')));
        let parsed = parsed.and_then(|raw| T::parse(raw.iter().map(|(_, value)| value)));
        parsed.map(Path).ok_or_else(|| Error::not_found("resource").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_request_id_is_echoed_only_if_short_and_plain() {
        let long = "x".repeat(REQUEST_ID_MAX_CHARS + 1);
        for (sent, echoed) in [
            ("0192-ab.c:d/e+f=@", true),
            (&long[1..], true),
            (&long, false),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("a<b", false),
        ] {
            let value = HeaderValue::from_str(sent).unwrap();
            let id = RequestId::of(Some(&value));
            assert_eq!(id.as_str() == sent, echoed, "{sent}");
            assert!(echoed || (id.as_str().starts_with("req_") && id.as_str().len() == 36));
        }
        let bytes = HeaderValue::from_bytes(b"caf\xe9").unwrap();
        assert!(RequestId::of(Some(&bytes)).as_str().starts_with("req_"));
        assert_ne!(RequestId::of(None), RequestId::of(None));
    }

    #[test]
    fn content_types() {
        for (method, sent, ok) in [
            (Method::POST, &["application/json"][..], true),
            (Method::POST, &["Application/JSON; charset=UTF-8"], true),
            (Method::POST, &["application/json;charset=\"utf-8\"; x=y"], true),
            (Method::POST, &["application/json; charset=iso-8859-1"], false),
            (Method::POST, &["application/merge-patch+json"], false),
            (Method::PATCH, &["application/merge-patch+json"], true),
            (Method::PATCH, &["application/json"], true),
            (Method::POST, &["text/plain"], false),
            (Method::POST, &["application/jsonx"], false),
            (Method::POST, &["application/json", "text/plain"], false),
            (Method::POST, &[], false),
        ] {
            let mut headers = HeaderMap::new();
            sent.iter().for_each(|value| {
                headers.append(header::CONTENT_TYPE, HeaderValue::from_static(value));
            });
            assert_eq!(json_content_type(&method, &headers).is_ok(), ok, "{method} {sent:?}");
        }
    }
}
