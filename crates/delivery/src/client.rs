//! One POST to a stranger: whatever the receiver does, the answer is an [`Outcome`] within the timeout.
//!
//! hyper-util's pooled client over a connector of ours, because the connector is where the egress guard can hold: it
//! resolves, checks, connects to a checked address and to nothing else. No redirect is followed, no proxy asked, nothing
//! decompressed. A pooled connection was checked when it was opened; it is retired after [`MAX_CONNECTION_AGE`], so that
//! a change in DNS or a name that turns private is seen soon. At most [`MAX_REPLY`] of a reply is read, then the
//! connection is dropped; dropping a request at its timeout drops its connection too, so nothing is left behind.

mod download;

pub use download::Download;

use crate::{
    egress::{CheckedUrl, Guard, Refusal, ResolveError},
    schedule::parse_retry_after,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header::RETRY_AFTER, uri::Scheme};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection, capture_connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use std::{
    error::Error as StdError,
    future::Future,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::TcpStream,
    time::{Instant as Deadline, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower::Service;

/// Whole time of a POST unless the caller says otherwise: connecting, sending, headers and body of the reply.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for resolving, connecting and the TLS handshake together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one answer that are tried, in the resolver's order; the time left is shared out evenly.
pub const MAX_CONNECT_TRIES: usize = 4;
/// An idle connection is closed after this. Below the keep-alive of common servers would be safer still, but they start
/// at 2 s; a connection that the receiver closed while idle is noticed and not used.
pub const MAX_IDLE: Duration = Duration::from_secs(30);
/// A connection takes no new request when it is older than this, however busy it is.
pub const MAX_CONNECTION_AGE: Duration = Duration::from_secs(60);
/// Idle connections kept per receiver (scheme, host and port).
pub const MAX_IDLE_PER_HOST: usize = 32;
/// Largest head of a reply, in bytes; one read more may slip through.
pub const MAX_REPLY_HEAD: usize = 32 * 1024;
/// Most headers of a reply.
pub const MAX_REPLY_HEADERS: usize = 100;
/// How much of a reply's body is read, in bytes (contract D4.7).
pub const MAX_REPLY: usize = 16 * 1024;
/// How much of a reply's body is kept, in bytes (contract D4.7).
pub const MAX_SNIPPET: usize = 2 * 1024;

/// What went wrong, for the delivery log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The egress guard refused the address.
    Refused,
    /// The name does not resolve.
    Dns,
    /// No connection: nobody listens, no route, or the time for connecting ran out.
    Connect,
    /// The TLS handshake failed: wrong name, unknown issuer, expired …
    Tls,
    /// The whole time ran out.
    Timeout,
    /// The receiver broke the connection off before the reply was complete.
    Closed,
    /// The reply is not HTTP/1.1, or its head is too large.
    Protocol,
}

impl ErrorKind {
    /// Stable machine word.
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::Refused => "refused",
            ErrorKind::Dns => "dns",
            ErrorKind::Connect => "connect",
            ErrorKind::Tls => "tls",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Closed => "closed",
            ErrorKind::Protocol => "protocol",
        }
    }
}

/// A failure with a sentence for the endpoint's owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// What went wrong.
    pub kind: ErrorKind,
    /// A sentence; holds no secret and no address that the URL does not.
    pub detail: String,
}

impl Failure {
    fn new(kind: ErrorKind, detail: impl Into<String>) -> Failure {
        Failure { kind, detail: detail.into() }
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Failure {
        let kind = match &error {
            ResolveError::Refused(Refusal { .. }) => ErrorKind::Refused,
            ResolveError::NotFound(_) | ResolveError::TimedOut(_) => ErrorKind::Dns,
        };
        Failure::new(kind, error.to_string())
    }
}

/// How one POST ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The reply's status, when its head arrived, whatever happened after.
    pub status: Option<u16>,
    /// `Retry-After` of a 429 or 503, at most 24 h.
    pub retry_after: Option<Duration>,
    /// What went wrong on the way; with a status it concerns the reply's body only.
    pub error: Option<Failure>,
    /// Start of the reply's body: the first 2 KiB as text, with U+FFFD for what is no text (and for NUL).
    pub snippet: String,
    /// From the call to its end.
    pub duration: Duration,
}

/// A pooled HTTP/1.1 client behind the egress guard. Cheap to clone; clones share the pool.
#[derive(Clone, Debug)]
pub struct Client {
    pool: legacy::Client<Connector, Full<Bytes>>,
    max_age: Duration,
}

impl Client {
    /// A client that trusts the system's certificate authorities and `extra_roots`.
    ///
    /// Without any system authority it works for plain http and `extra_roots` only, and says so in the log. Errors: an
    /// extra root that is no certificate.
    pub fn new(guard: Guard, extra_roots: &[CertificateDer<'static>]) -> Result<Client, rustls::Error> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(system.certs);
        if added == 0 {
            tracing::warn!(errors = ?system.errors, "this system has no certificate authorities: https webhooks will fail");
        }
        for root in extra_roots {
            roots.add(root.clone())?;
        }
        // The provider is given explicitly, so that another crate's features cannot take the choice away (or panic).
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(MAX_IDLE)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http1_max_buf_size(MAX_REPLY_HEAD)
            .http1_max_headers(MAX_REPLY_HEADERS)
            // Names as receivers of Chatwoot and Atteny have seen them (X-Chatwoot-Signature), for those that compare case.
            .http1_title_case_headers(true)
            .build(Connector { guard, tls: TlsConnector::from(Arc::new(tls)) });
        Ok(Client { pool, max_age: MAX_CONNECTION_AGE })
    }

    /// Posts `body` with exactly these headers (and `Host` and `Content-Length`); never fails, never takes longer than
    /// `total`.
    pub async fn post(&self, url: &CheckedUrl, headers: HeaderMap, body: Bytes, total: Duration) -> Outcome {
        let started = Instant::now();
        let mut outcome = Outcome::default();
        let mut body_start = Vec::new();
        outcome.error = match timeout(total, self.exchange(url, headers, body, &mut outcome, &mut body_start)).await {
            Ok(result) => result.err(),
            Err(_) => {
                let what = if outcome.status.is_some() { "The reply did not end" } else { "There was no reply" };
                Some(Failure::new(ErrorKind::Timeout, format!("{what} within {total:?}.")))
            }
        };
        if !body_start.is_empty() {
            // PostgreSQL's text holds no NUL.
            outcome.snippet = String::from_utf8_lossy(&body_start).replace('\0', "\u{fffd}");
        }
        outcome.duration = started.elapsed();
        outcome
    }

    /// Sends a request; a connection that has grown too old takes no other after it.
    async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let used = capture_connection(&mut request);
        let reply = self.pool.request(request).await.map_err(|error| explain(&error))?;
        if reply.extensions().get::<OpenedAt>().is_some_and(|opened| opened.0.elapsed() >= self.max_age) {
            used.connection_metadata().iter().for_each(Connected::poison);
        }
        Ok(reply)
    }

    async fn exchange(
        &self,
        url: &CheckedUrl,
        headers: HeaderMap,
        body: Bytes,
        outcome: &mut Outcome,
        body_start: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.uri().clone();
        *request.headers_mut() = headers;
        let reply = self.send(request).await?;
        let status = reply.status();
        outcome.status = Some(status.as_u16());
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
            let text = reply.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            outcome.retry_after = text.and_then(|text| parse_retry_after(text, now));
        }
        let mut reply = reply.into_body();
        let mut read = 0;
        while let Some(frame) = reply.frame().await {
            let frame = frame.map_err(|error| explain(&error))?;
            if let Ok(data) = frame.into_data() {
                read += data.len();
                let room = MAX_SNIPPET - body_start.len();
                body_start.extend_from_slice(&data[..data.len().min(room)]);
                if read >= MAX_REPLY {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Finds what the connector, hyper or the socket said under the layers around it.
fn explain(error: &(dyn StdError + 'static)) -> Failure {
    let mut layer = Some(error);
    while let Some(error) = layer {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return failure.clone();
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>().filter(|error| error.is_parse()) {
            return Failure::new(ErrorKind::Protocol, format!("The reply is not usable HTTP/1.1: {error}."));
        }
        layer = error.source();
    }
    Failure::new(ErrorKind::Closed, "The receiver closed the connection before its reply was complete.")
}

/// When the connection of a reply was opened.
#[derive(Clone, Copy)]
struct OpenedAt(Instant);

#[derive(Clone)]
struct Connector {
    guard: Guard,
    tls: TlsConnector,
}

impl Connector {
    async fn open(self, uri: Uri) -> Result<Link, Failure> {
        let deadline = Deadline::now() + CONNECT_TIMEOUT;
        let late = || Failure::new(ErrorKind::Connect, format!("No connection within {CONNECT_TIMEOUT:?}."));
        let addresses = timeout_at(deadline, self.guard.resolve_uri(&uri)).await.map_err(|_| late())??;
        let stream = dial(&addresses, deadline).await?;
        let stream = if uri.scheme() == Some(&Scheme::HTTPS) {
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(host.to_owned())
                .map_err(|_| Failure::new(ErrorKind::Tls, "The host's name cannot be that of a certificate."))?;
            let handshake = timeout_at(deadline, self.tls.connect(name, stream)).await.map_err(|_| late())?;
            let stream = handshake
                .map_err(|error| Failure::new(ErrorKind::Tls, format!("The TLS handshake failed: {error}.")))?;
            Stream::Tls(Box::new(TokioIo::new(stream)))
        } else {
            Stream::Plain(TokioIo::new(stream))
        };
        Ok(Link { stream, opened_at: OpenedAt(Instant::now()) })
    }
}

/// Connects to the first address that answers, each with an equal share of the time that is left.
async fn dial(addresses: &[SocketAddr], deadline: Deadline) -> Result<TcpStream, Failure> {
    let mut failed = None;
    let tries = &addresses[..addresses.len().min(MAX_CONNECT_TRIES)];
    for (done, address) in tries.iter().enumerate() {
        let left = deadline.saturating_duration_since(Deadline::now());
        match timeout(left / (tries.len() - done) as u32, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Best effort: without it a small delivery only waits longer.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failed = Some(format!("No connection: {}.", error.kind())),
            Err(_) => failed = Some(format!("No connection within {CONNECT_TIMEOUT:?}.")),
        }
    }
    Err(Failure::new(ErrorKind::Connect, failed.unwrap_or_default()))
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().open(uri))
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// An open connection to a checked address.
struct Link {
    stream: Stream,
    opened_at: OpenedAt,
}

enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.opened_at)
    }
}

macro_rules! forward {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().stream {
            Stream::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Stream::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl Read for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl Write for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write(cx, bytes))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_shutdown(cx))
    }
    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write_vectored(cx, parts))
    }
}

#[cfg(test)]
mod tests;
