//! For those who run the server: `/healthz`, `/readyz`, `/metrics`. No credentials; put a proxy in front that keeps them
//! inside, where that matters.

use crate::http::metrics::classic;
use crate::http::reply::Json;
use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tieline_core::{Error, installation};
use tieline_db::Db;

/// How long the write of `/readyz` may take before the answer is no.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// What these routes need.
#[derive(Clone)]
pub struct Operations {
    /// The database.
    pub db: Db,
    /// Set when the node is about to stop: `/readyz` says no at once, so that load balancers send requests elsewhere.
    pub draining: Arc<AtomicBool>,
    /// The text of `/metrics`, in the format of OpenMetrics.
    pub metrics: Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>,
}

/// What `/healthz` answers.
pub const HEALTHY: &str = r#"{"status":"ok"}"#;

/// The routes; merge them with the dialects'.
pub fn routes(operations: Operations) -> Router {
    let Operations { db, draining, metrics } = operations;
    Router::new()
        .route("/healthz", get(async || ([(header::CONTENT_TYPE, "application/json")], HEALTHY)))
        .route("/readyz", get(move || ready(db.clone(), draining.load(Ordering::Relaxed))))
        .route("/metrics", get(move |headers: HeaderMap| answer(metrics(), headers)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sending_paused: Option<bool>,
}

/// OpenMetrics to those who ask for it, as Prometheus does; to others the older format.
async fn answer(metrics: BoxFuture<'static, String>, headers: HeaderMap) -> Response {
    let asked = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let open = asked.into_iter().any(|accept| accept.contains("application/openmetrics-text"));
    let text = metrics.await;
    let (text, kind) = match open {
        true => (text, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        false => (classic(&text), "text/plain; version=0.0.4; charset=utf-8"),
    };
    let mut response = text.into_response();
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// 200 only after a real write: a server that reads but cannot write loses what it is sent.
async fn ready(db: Db, is_draining: bool) -> Response {
    if is_draining {
        return readiness(Err(("stopping", "The node is about to stop: send requests to another one.")));
    }
    let written = db.write(|tx| {
        installation::probe(tx)?;
        installation::sending_paused(tx)
    });
    readiness(match tokio::time::timeout(READY_TIMEOUT, written).await {
        Ok(Ok(paused)) => Ok(paused),
        Ok(Err(error)) => {
            tracing::warn!("not ready: {}", error.causes());
            Err(why(&error))
        }
        Err(_) => Err(("timeout", "A write took longer than 5 seconds: the disk or the machine is overloaded.")),
    })
}

/// The answer of `/readyz`: whether sending is paused, or why it says no.
fn readiness(ready: Result<bool, (&'static str, &'static str)>) -> Response {
    let (status, body) = match ready {
        Ok(paused) => {
            (StatusCode::OK, Ready { status: "ready", reason: None, detail: None, sending_paused: Some(paused) })
        }
        Err((reason, detail)) => {
            let (reason, detail) = (Some(reason), Some(detail));
            (StatusCode::SERVICE_UNAVAILABLE, Ready { status: "unavailable", reason, detail, sending_paused: None })
        }
    };
    let mut response = Json(body).into_response();
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn why(error: &Error) -> (&'static str, &'static str) {
    let text = error.source.as_ref().map(|source| source.to_string().to_lowercase()).unwrap_or_default();
    if text.contains("full") && !text.contains("queue") {
        ("disk_full", "The disk is full: make room; the server goes on by itself.")
    } else if text.contains("readonly") || text.contains("read-only") {
        ("read_only", "The database cannot be written: check the permissions and the mount of its folder.")
    } else if text.contains("queue") {
        ("busy", "Too many writes are waiting.")
    } else {
        ("database", "The database cannot take writes; the server's log says why.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_come_from_what_the_database_says() {
        let of = |error: tieline_db::Error| why(&error.into()).0;
        let unavailable = |text: &str| tieline_db::Error::Unavailable(text.into());
        assert_eq!(of(unavailable("database or disk is full")), "disk_full");
        assert_eq!(of(unavailable("attempt to write a readonly database")), "read_only");
        assert_eq!(of(unavailable("disk I/O error")), "database");
        assert_eq!(of(tieline_db::Error::Busy("write")), "busy");
    }
}
