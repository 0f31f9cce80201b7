//! The helper processes: an empty handler, and receivers of several tempers.

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use axum::routing::post;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;

/// Runs `kind@address` for ever: `empty`, `sink`, `hang` or `trickle`.
pub fn run(kind: &str) -> anyhow::Result<()> {
    let (kind, addr) = kind.rsplit_once('@').context("kind@address")?;
    let addr: SocketAddr = addr.parse()?;
    if let Some(path) = kind.strip_prefix("open:") {
        // Opens the database, reads a row, listens.
        let conn = crate::bare::open(std::path::Path::new(path))?;
        let _: i64 = conn.query_row("select count(*) from tenants", [], |row| row.get(0))?;
        let listener = std::net::TcpListener::bind(addr)?;
        listener.incoming().for_each(drop);
        return Ok(());
    }
    if kind == "empty" {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        return runtime.block_on(empty(addr));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(receiver(addr, kind.to_owned()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)]
struct Body {
    external_reference: String,
    channel: String,
    subject: String,
    contact: Contact,
    outbound_context: serde_json::Value,
    tags: Vec<String>,
    custom_fields: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Contact {
    name: String,
    email: String,
    phone: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    id: String,
    external_reference: &'a str,
    status: &'static str,
    subject: &'a str,
    channel: &'a str,
    tags: &'a [String],
}

/// Parses the same body and answers 201: what any HTTP server costs.
async fn empty(addr: SocketAddr) -> anyhow::Result<()> {
    use axum::serve::ListenerExt;
    async fn handler(body: Bytes) -> impl IntoResponse {
        let body: Body = serde_json::from_slice(&body).expect("our own body");
        let answer = Answer {
            id: uuid::Uuid::now_v7().to_string(),
            external_reference: &body.external_reference,
            status: "active",
            subject: &body.subject,
            channel: &body.channel,
            tags: &body.tags,
        };
        let bytes = serde_json::to_vec(&answer).expect("serializable");
        (axum::http::StatusCode::CREATED, [("content-type", "application/json")], bytes)
    }
    let listener = TcpListener::bind(addr).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route("/v1/conversations/outbound", post(handler))).await?;
    Ok(())
}

struct Counters {
    received: AtomicU64,
    latency_us: Mutex<Histogram<u64>>,
}

/// Counts what it gets; `GET /` answers `count p50 p99` (latencies in microseconds since the time written in the
/// reference) and starts the latencies anew.
async fn receiver(addr: SocketAddr, kind: String) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr).await?;
    let counters = Arc::new(Counters {
        received: AtomicU64::new(0),
        latency_us: Mutex::new(Histogram::new_with_bounds(1, 120_000_000, 3)?),
    });
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let (counters, kind) = (counters.clone(), kind.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| receive(request, counters.clone(), kind.clone()));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn receive(
    request: Request<Incoming>,
    counters: Arc<Counters>,
    kind: String,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    if request.method() == hyper::Method::GET {
        let mut latency = counters.latency_us.lock().expect("not poisoned");
        let text = format!(
            "{} {} {}",
            counters.received.load(Ordering::Relaxed),
            latency.value_at_quantile(0.5),
            latency.value_at_quantile(0.99)
        );
        latency.reset();
        return Ok(Response::new(Full::new(text.into())));
    }
    match kind.as_str() {
        "hang" => tokio::time::sleep(Duration::from_secs(25)).await,
        "trickle" => tokio::time::sleep(Duration::from_millis(500)).await,
        _ => {}
    }
    let body = request.into_body().collect().await?.to_bytes();
    if let Some(sent) = sent_at(&body) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64);
        let _ = counters.latency_us.lock().expect("not poisoned").record(now.saturating_sub(sent).max(1));
    }
    counters.received.fetch_add(1, Ordering::Relaxed);
    Ok(Response::new(Full::new(Bytes::from_static(b"ok"))))
}

/// The time in a reference of the form `t-<microseconds>-…`.
fn sent_at(body: &[u8]) -> Option<u64> {
    const MARK: &[u8] = br#""externalReference":"t-"#;
    let at = body.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let digits = body[at..].iter().take_while(|byte| byte.is_ascii_digit());
    std::str::from_utf8(&body[at..at + digits.count()]).ok()?.parse().ok()
}
