//! HTTP: one folder per dialect over shared mechanics.

pub mod caller;
pub mod files;
pub mod http;
pub mod hub;
pub mod last_used;
pub mod limits;
pub mod operations;
pub mod requests;
pub mod setup;
pub mod v1;

pub use hub::Hub;

use axum::Router;
use utoipa::openapi::OpenApi;

/// Every route over `hub`, without the edge around it, and the document of `/v1`.
pub fn app(hub: Hub) -> (Router, OpenApi) {
    let (router, document) = v1();
    let json = document.to_json().unwrap_or_default();
    (
        router.with_state(hub.clone()).merge(files::routes(hub)).merge(http::docs::routes([("v1", json.into())])),
        document,
    )
}

/// The OpenAPI document of `/v1`.
pub fn document() -> OpenApi {
    v1().1
}

fn v1() -> (Router<Hub>, OpenApi) {
    let (router, mut document) = v1::router().split_for_parts();
    v1::problem::describe(&mut document);
    (router, document)
}
