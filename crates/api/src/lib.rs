//! HTTP: one folder per dialect over shared mechanics.

mod addresses;
pub mod atteny;
pub mod caller;
pub mod chatwoot;
mod endpoints;
pub mod files;
pub mod http;
pub mod hub;
mod inbox_calls;
pub mod last_used;
pub mod limits;
mod members;
mod once;
pub mod operations;
pub mod presence;
pub mod requests;
pub mod setup;
pub mod v1;

pub use hub::Hub;

use axum::Router;
use utoipa::openapi::OpenApi;

/// Every route over `hub`, without the edge around it, and the document of `/v1`.
pub fn app(hub: Hub) -> (Router, OpenApi) {
    let (router, document) = v1();
    // In a thread of its own, whose memory ends with it: a document is made of a hundred times as many pieces as are kept.
    let written = || documents().map(|(name, document)| (name, document.to_json().unwrap_or_default().into()));
    let documents = std::thread::spawn(written).join().expect("documents are tables of ours");
    let router = router.merge(atteny().0).with_state(hub.clone());
    let router = router.merge(chatwoot::routes(hub.clone()));
    (router.merge(files::routes(hub)).merge(http::docs::routes(documents)), document)
}

/// The OpenAPI documents by their names.
pub fn documents() -> [(&'static str, OpenApi); 3] {
    [("v1", v1().1), ("atteny", atteny().1), ("chatwoot", chatwoot::document())]
}

fn v1() -> (Router<Hub>, OpenApi) {
    let (router, mut document) = v1::router().split_for_parts();
    v1::problem::describe(&mut document);
    (router, document)
}

fn atteny() -> (Router<Hub>, OpenApi) {
    let (router, mut document) = atteny::router().split_for_parts();
    atteny::document::describe(&mut document);
    (router, document)
}
