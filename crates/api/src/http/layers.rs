//! [`Edge`]: everything around a handler, in one middleware, because each layer costs an allocation per request.
//!
//! Guarantees for every request that reaches the router: the response carries `X-Request-Id`; a body declared too large
//! is refused before authentication (contract D2.5) and before it is read; a failure is rendered in its path's dialect;
//! a panic is a logged 500 in that shape and takes nobody else down; an unknown path is 404, a wrong verb 405 with
//! `Allow`; the answer to somebody who was authenticated says how far their limits are used; the response is observed once. What the HTTP parser itself refuses (a broken request line, headers over the
//! limit) is a bare 4xx without id, because there is no request yet.

use super::error::{Dialect, Failure, Unrendered, method_not_allowed, payload_too_large, render, unknown_path};
use super::metrics::{Observation, Observer};
use super::request::{BODY_LIMIT, BodyLimit, RequestId, declared_length, linger};
use super::visit::{self, Visit};
use crate::atteny::language::Language;
use crate::requests::{Answered, RequestLog, Told};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use http_body_util::BodyExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{any::Any, convert::Infallible, panic::AssertUnwindSafe, sync::Arc, task, time::Instant};
use tieline_core::error::Error;
use tower::{Layer, Service};

/// Longest answer of which the request log keeps the beginning, bytes.
const KEPT_ANSWER_BYTES: u64 = 4 * 1024 * 1024;

/// Name of the header that carries the request id, both ways.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The one middleware of every route.
#[derive(Clone)]
pub struct Edge(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    public_url: Option<String>,
    observer: Arc<dyn Observer>,
    body_limits: Vec<(&'static str, usize)>,
    log: Option<RequestLog>,
    draining: Arc<AtomicBool>,
}

impl Edge {
    /// `public_url` (without a slash at its end) makes links in answers absolute; `observer` hears of every response.
    pub fn new(public_url: Option<&str>, observer: impl Observer) -> Edge {
        let public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
        Edge(Arc::new(Settings {
            public_url,
            observer: Arc::new(observer),
            body_limits: Vec::new(),
            log: None,
            draining: Arc::default(),
        }))
    }

    /// Gives the routes with this template a body limit of their own, in bytes; else it is [`BODY_LIMIT`].
    pub fn body_limit(mut self, route: &'static str, bytes: usize) -> Edge {
        Arc::make_mut(&mut self.0).body_limits.push((route, bytes));
        self
    }

    /// Keeps what was asked with a credential in this log.
    pub fn log(mut self, log: RequestLog) -> Edge {
        Arc::make_mut(&mut self.0).log = Some(log);
        self
    }

    /// While this holds, each answer closes its connection, so that a load balancer keeps none to a node that is about to stop.
    pub fn draining(mut self, draining: Arc<AtomicBool>) -> Edge {
        Arc::make_mut(&mut self.0).draining = draining;
        self
    }

    /// Puts the edge around a whole application. Call once, on the merged router, after its last route.
    pub fn around(self, router: Router) -> Router {
        router
            .fallback(async || Failure(unknown_path()))
            .method_not_allowed_fallback(async || Failure(method_not_allowed()))
            .layer(self)
    }
}

impl<S> Layer<S> for Edge {
    type Service = Edged<S>;
    fn layer(&self, inner: S) -> Edged<S> {
        Edged { inner, edge: self.clone() }
    }
}

/// A service with an [`Edge`] around it.
#[derive(Clone)]
pub struct Edged<S> {
    inner: S,
    edge: Edge,
}

impl<S> Service<Request> for Edged<S>
where
    S: Service<Request, Error = Infallible>,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let started = Instant::now();
        let settings = self.edge.0.clone();
        let id = RequestId::of(request.headers().get(X_REQUEST_ID));
        let dialect = Dialect::of_path(request.uri().path());
        let language = Language::of(request.headers().get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()));
        let method = request.method().clone();
        let uri = request.uri().clone();
        let version = request.version();
        let route = request.extensions().get::<MatchedPath>().cloned();
        let visit = Visit::default();
        request.extensions_mut().insert(id.clone());
        request.extensions_mut().insert(visit.clone());
        let limit = settings.limit_of(route.as_ref());
        if limit != BODY_LIMIT {
            request.extensions_mut().insert(BodyLimit(limit));
        }
        let declared = declared_length(request.headers()).unwrap_or(0);
        let refused = (declared > limit).then(|| {
            let (parts, body) = std::mem::take(&mut request).into_parts();
            linger(&parts.headers, declared, body);
            payload_too_large(limit)
        });
        let inner = refused.is_none().then(|| self.inner.call(request));
        Box::pin(async move {
            let response = match (inner, refused) {
                (Some(inner), _) => match AssertUnwindSafe(inner).catch_unwind().await {
                    Ok(Ok(response)) => response.into_response(),
                    Err(panic) => Failure(Error::internal(panic_message(panic))).into_response(),
                },
                (None, refused) => Failure(refused.unwrap_or_else(unknown_path)).into_response(),
            };
            let mut response = shaped(response, dialect, &id, settings.public_url.as_deref(), language);
            response.headers_mut().insert(X_REQUEST_ID, id.header());
            if let Some(visitor) = visit.visitor() {
                visit::describe(&visitor.standing, response.headers_mut());
            }
            let keeps = version > Version::HTTP_11 || response.status() == StatusCode::SWITCHING_PROTOCOLS;
            if !keeps && settings.draining.load(Ordering::Relaxed) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let elapsed = started.elapsed();
            if let (Some(log), Some(visitor)) = (&settings.log, visit.visitor()) {
                let mut bodies = [visit.body().cloned(), None];
                if visitor.log_bodies {
                    (response, bodies[1]) = kept_body(response).await;
                }
                let (visitor, method, route) = (visitor.clone(), method.clone(), route.clone());
                let (status, id) = (response.status(), id.clone());
                log.note(Answered { visitor, method, route, uri, status, elapsed, id, bodies });
            }
            let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
            let status = response.status();
            if let (Some(log), Some(called)) = (&settings.log, visit.called()) {
                let detail = response.extensions().get::<Told>().map(|told| told.0.clone());
                log.called(called, method.as_str(), route, status.as_u16(), detail, id.as_str());
            }
            tracing::debug!(
                request_id = id.as_str(),
                dialect = dialect.as_str(),
                route,
                status = status.as_u16(),
                elapsed_us = elapsed.as_micros() as u64,
                "{method} {route} {}",
                status.as_u16()
            );
            settings.observer.observe(&Observation { dialect, route, method: &method, status, elapsed });
            Ok(response)
        })
    }
}

impl Settings {
    fn limit_of(&self, route: Option<&MatchedPath>) -> usize {
        let own = |route: &MatchedPath| self.body_limits.iter().find(|(template, _)| *template == route.as_str());
        route.and_then(own).map_or(BODY_LIMIT, |(_, limit)| *limit)
    }
}

/// Renders a [`Failure`] that a handler returned; keeps the headers that layers below put on it, such as limits.
fn shaped(
    mut response: Response,
    dialect: Dialect,
    id: &RequestId,
    public_url: Option<&str>,
    language: Language,
) -> Response {
    let Some(Unrendered(error)) = response.extensions_mut().remove::<Unrendered>() else { return response };
    let mut rendered = render(dialect, &error, id, public_url, language);
    if rendered.extensions().get::<Told>().is_none() {
        let told = match error.fields.first() {
            Some(field) => format!("{}: {}", field.pointer, field.message),
            None => error.detail.to_string(),
        };
        rendered.extensions_mut().insert(Told(told));
    }
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && !rendered.headers().contains_key(name) {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    rendered
}

/// The answer, and its body where that is JSON of a known length that can be kept.
async fn kept_body(response: Response) -> (Response, Option<Bytes>) {
    let (parts, body) = response.into_parts();
    let json = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let json = json.is_some_and(|text| text.starts_with("application/") && text.contains("json"));
    if !json || body.size_hint().exact().is_none_or(|length| length > KEPT_ANSWER_BYTES) {
        return (Response::from_parts(parts, body), None);
    }
    // It lies in memory already: nobody waits.
    let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    (Response::from_parts(parts, Body::from(bytes.clone())), Some(bytes))
}

/// A panic as the cause of an internal error. The hook has printed where; the log line has the request's id.
fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.as_deref().unwrap_or("without a message"))
}
