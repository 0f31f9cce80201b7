//! A webhook receiver on this machine, for the demo and for tests of the binary: reads, hands over, answers.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Largest body taken, bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// Serves until its task is dropped. `take` gets headers and body, and chooses the answer's status.
pub async fn serve(listener: TcpListener, take: impl Fn(&HeaderMap, Bytes) -> StatusCode + Send + Sync + 'static) {
    let take = Arc::new(take);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let take = take.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let take = take.clone();
            async move {
                let (parts, body) = request.into_parts();
                let status = match Limited::new(body, BODY_LIMIT).collect().await {
                    Ok(body) => take(&parts.headers, body.to_bytes()),
                    Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
                };
                let mut response = Response::new(Full::<Bytes>::default());
                *response.status_mut() = status;
                Ok::<_, Infallible>(response)
            }
        });
        tokio::spawn(async move {
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
