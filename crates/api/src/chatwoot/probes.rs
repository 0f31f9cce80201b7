//! What answers without a token: whether this is such a server, and whether it works.

use crate::http::reply::Json;
use crate::hub::Hub;
use axum::extract::State;
use serde_json::{Value, json};
use tieline_core::installation;
use tieline_core::time::Micros;

/// The release whose contract this surface speaks; clients choose by it what they may ask for.
const CONTRACT_VERSION: &str = "4.15.1";

pub async fn version(State(hub): State<Hub>) -> Json<Value> {
    let works = hub.db.read(|read| installation::configuration(read).map(drop)).await.is_ok();
    let now = Micros(hub.db.now()).rfc3339().as_str().replace('T', " ");
    let service = if works { "ok" } else { "failing" };
    Json(json!({
        "version": CONTRACT_VERSION,
        "timestamp": now.get(..19),
        "queue_services": service,
        "data_services": service,
        "tieline": env!("CARGO_PKG_VERSION"),
    }))
}

pub async fn health() -> Json<Value> {
    Json(json!({"status": "woot"}))
}
