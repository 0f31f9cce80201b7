//! What a bridge to the API inbox does: calls with a user's token, and calls without any.
#![allow(dead_code)] // no suite needs all of it

use crate::app::{App, Reply};
use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tieline_core::ids::TenantId;
use tieline_core::tenants::{self, Mode};
use tieline_core::users::{self, ACCESS_TOKEN_CONTEXT, Role};

/// Makes a user of a tenant; answers their access token and number.
pub async fn user(app: &App, slug: &str, name: &str, role: Role) -> (String, i64) {
    let token = tieline_core::keys::token::short(app.hub.random().expect("random"));
    let sealed = app.hub.keyring.seal(token.as_bytes(), ACCESS_TOKEN_CONTEXT, app.hub.random().expect("random"));
    let cmd = users::Create {
        email: format!("{}@example.com", name.to_lowercase()),
        name: name.into(),
        role,
        password_hash: None,
        access_token_hash: Sha256::digest(token.as_bytes()).into(),
        access_token_sealed: sealed.expect("sealed"),
    };
    let slug = slug.to_owned();
    let made: Result<_, tieline_core::Error> = app
        .db
        .write(move |tx| {
            let tenant: TenantId = tenants::by_slug(tx, &slug, Mode::Live)?.id;
            users::create(tx, tenant, &cmd)
        })
        .await;
    (token, made.expect("a user").number)
}

/// A program with an administrator's token in account 1.
pub struct Bridge<'a> {
    pub app: &'a App,
    pub token: String,
}

impl Bridge<'_> {
    /// A bridge of tenant `acme`.
    pub async fn new(app: &App) -> Bridge<'_> {
        Bridge { app, token: user(app, "acme", "Bea", Role::Admin).await.0 }
    }
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("/api/v1/accounts/1{path}"));
        request = request.header("api_access_token", &self.token);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.app.send(request.expect("a request")).await
    }
    #[track_caller]
    pub fn get(&self, path: &str) -> impl Future<Output = Value> {
        let (call, place) = (self.call("GET", path, None), std::panic::Location::caller());
        async move { ok(call.await, place) }
    }
    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> impl Future<Output = Value> {
        let (call, place) = (self.call("POST", path, Some(body)), std::panic::Location::caller());
        async move { ok(call.await, place) }
    }
    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> impl Future<Output = Value> {
        let (call, place) = (self.call("PATCH", path, Some(body)), std::panic::Location::caller());
        async move { ok(call.await, place) }
    }
    /// A call of the client API.
    pub async fn public(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let request = Request::builder().method(method).uri(format!("/public/api/v1/inboxes/{path}"));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.app.send(request.expect("a request")).await
    }
}

fn ok(reply: Reply, place: &std::panic::Location) -> Value {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status.as_u16(), 200, "{place}: {text}");
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}
