//! One GET from a stranger, read piece by piece within one deadline; the same guard and connector as a POST.

use super::{Client, ErrorKind, Failure, explain};
use crate::egress::CheckedUrl;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::{Instant as Deadline, timeout_at};

/// A reply whose head has arrived. Dropping it drops its connection.
#[derive(Debug)]
pub struct Download {
    /// Its status; a redirect is one like any other.
    pub status: u16,
    headers: HeaderMap,
    body: Incoming,
    total: Duration,
    deadline: Deadline,
}

impl Client {
    /// Asks for `url`; head and body together take at most `total`. Follows no redirect.
    pub async fn get(&self, url: &CheckedUrl, total: Duration) -> Result<Download, Failure> {
        let deadline = Deadline::now() + total;
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.uri_mut() = url.uri().clone();
        // Nothing is decompressed here: a small reply must not become a large file.
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("Tieline"));
        let reply = timeout_at(deadline, self.send(request)).await.map_err(|_| late("There was no reply", total))?;
        let (head, body) = reply?.into_parts();
        Ok(Download { status: head.status.as_u16(), headers: head.headers, body, total, deadline })
    }
}

impl Download {
    /// A header as text, if it is there once or more and is text.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next piece of the body; none at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = timeout_at(self.deadline, self.body.frame()).await;
            let Some(frame) = frame.map_err(|_| late("The reply did not end", self.total))? else { return Ok(None) };
            if let Ok(data) = frame.map_err(|error| explain(&error))?.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

fn late(what: &str, total: Duration) -> Failure {
    Failure::new(ErrorKind::Timeout, format!("{what} within {total:?}."))
}
