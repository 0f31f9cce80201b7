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
use tieline_core::{Error, complain, installation};
use tieline_db::Db;

/// How long the write of `/readyz` may take before the answer is no, unless other writes were committed meanwhile.
const READY_WITHIN: Duration = Duration::from_millis(750);

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

/// 200 only after a real write: a server that reads but cannot write loses what it is sent. Its answer comes within
/// [`READY_WITHIN`]: load balancers look often, and believe what is late no more than what fails.
async fn ready(db: Db, is_draining: bool) -> Response {
    if is_draining {
        return readiness(Err(("stopping", "The node is about to stop: send requests to another one.")));
    }
    // A write would wait for the connection to be opened.
    if let Some(trouble) = db.trouble() {
        return readiness(Err(why(&trouble.into())));
    }
    let committed = db.stats().groups();
    let written = db.write(|tx| {
        installation::probe(tx)?;
        installation::sending_paused(tx)
    });
    readiness(match tokio::time::timeout(READY_WITHIN, written).await {
        Ok(Ok(paused)) => Ok(Some(paused)),
        Ok(Err(error)) => {
            complain!(error, "not ready");
            Err(why(&error))
        }
        // Ours waits behind others, which prove the same.
        Err(_) if db.trouble().is_none() && db.stats().groups() > committed => Ok(None),
        Err(_) => Err(match db.trouble() {
            Some(trouble) => why(&trouble.into()),
            None => (
                "timeout",
                "No write was committed for three quarters of a second: the disk or the machine is overloaded.",
            ),
        }),
    })
}

/// The answer of `/readyz`: whether sending is paused, as far as is known, or why it says no.
fn readiness(ready: Result<Option<bool>, (&'static str, &'static str)>) -> Response {
    let (status, body) = match ready {
        Ok(sending_paused) => (StatusCode::OK, Ready { status: "ready", reason: None, detail: None, sending_paused }),
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
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["damaged"]) {
        ("damaged", "The database file is damaged: stop the server, ask `tieline doctor`, and restore a backup.")
    } else if has(&["(53300)", "this node got"]) {
        (
            "connections",
            "PostgreSQL gives this node too few connections: raise its max_connections or the role's limit.",
        )
    } else if has(&["disk is full", "no space left"]) {
        ("disk_full", "The disk is full: make room; the server goes on by itself.")
    } else if has(&["readonly", "read-only"]) {
        (
            "read_only",
            "The database takes no writes: look at the permissions and the mount of its folder; of PostgreSQL, whether it is a standby.",
        )
    } else if has(&["queue"]) {
        ("busy", "Too many writes are waiting.")
    } else if has(&["cannot connect", "does not answer", "lost the connection"]) {
        ("database", "The database is away; the server's log says why.")
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
        assert_eq!(of(unavailable("could not extend file: No space left on device (53100)")), "disk_full");
        assert_eq!(of(tieline_db::Error::Damaged("malformed".into())), "damaged");
        let away = |why: &str| tieline_db::Error::Away { why: why.into(), passes: true };
        assert_eq!(of(away("cannot connect to db:5432: too many clients already (53300)")), "connections");
        assert_eq!(of(away("cannot connect to db:5432: the server is read-only")), "read_only");
        assert_eq!(of(away("cannot connect to db:5432: Connection refused")), "database");
        assert_eq!(of(tieline_db::Error::Busy("write")), "busy");
    }
}
