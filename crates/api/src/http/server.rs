//! Connections: a bounded number of them, each closed when its client is silent, all finished before the process ends.
//!
//! HTTP/1.1 only, by choice: behind a proxy nothing else arrives, and a preface-sniffing server has no timeout until the
//! first bytes came. The header timeout also ends idle kept-alive connections.

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tower::Service;

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; the next waits in the kernel's backlog until one closes.
    pub connections: usize,
    /// Time for a request's whole head, counted from the answer before it. Longer than the usual 60 s for which a proxy
    /// keeps an idle connection, so that we are not the side that closes it under a request.
    pub header_timeout: Duration,
    /// Bytes of a request's line and headers; more is 431. At least [`MIN_HEADER_BYTES`].
    pub header_bytes: usize,
    /// Time for which a client may take nothing of an answer that waits for it: then its connection is closed. Streams that
    /// nobody reads would hold their place for ever.
    pub write_timeout: Duration,
    /// After the shutdown signal: time for open requests to finish before their connections are cut.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_240,
            header_timeout: Duration::from_secs(65),
            header_bytes: 32 * 1024,
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(20),
        }
    }
}

/// How the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every open request got its answer.
    Drained,
    /// The grace was over and this many connections were cut.
    Cut(usize),
}

/// Smallest [`Limits::header_bytes`]; the HTTP library buffers no less.
pub const MIN_HEADER_BYTES: usize = 8192;

/// After an accept that failed for want of something (file descriptors): the wait before the next.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Serves until `shutdown` resolves, then answers what is open within [`Limits::grace`] and returns.
///
/// Every request carries its peer's address as [`ConnectInfo`].
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: impl Future<Output = ()>) -> Ended {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_header_size(limits.header_bytes);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, peer, slot) = accepted;
        // Answers are small and written whole: waiting to fill a packet only adds delay.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.write_timeout));
        let router = router.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let mut request: Request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().call(request)
        });
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service).with_upgrades();
        let mut stopped = stopped.clone();
        connections.spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            // A connection's own end (reset, timeout, nonsense) is the client's affair.
            if let Err(error) = ended {
                tracing::trace!("connection ended: {error}");
            }
            drop(slot);
        });
    }
    drop(listener);
    let _ = stop.send(true);
    let drained = tokio::time::timeout(limits.grace, async { while connections.join_next().await.is_some() {} }).await;
    let open = connections.len();
    connections.shutdown().await;
    if drained.is_ok() { Ended::Drained } else { Ended::Cut(open) }
}

/// The next connection and its slot. Never fails: what goes wrong is one client's, or passes.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit) {
    let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, slot),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// The connection went away between its handshake and our accept.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
