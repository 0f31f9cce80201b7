//! The stream: `/v1/stream`, server-sent events over the same log as the feed.
//!
//! Guarantees: every event after the one resumed from, once each and in the order of the log; a client that comes back with
//! `Last-Event-ID` gets no gap and no repeat. The log is the buffer: a stream holds at most [`BUFFER`] events and one page,
//! and a client that takes none for [`STALLED`] is disconnected. It ends when the server stops or the key no longer works.

use super::Result;
use super::events::{After, after, asked_for, types};
use crate::caller::Caller;
use crate::http::query;
use crate::hub::Hub;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;
use tieline_core::complain;
use tieline_core::error::{Error, FieldError, Kind};
use tieline_core::events::{CONFIGURATION, EVENTS, Stored, feed};
use tieline_core::ids::TenantId;
use tieline_core::keys::scopes::Scope;
use tieline_wire::native::event::body;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Streams open at once of one tenant's partition, on this node.
pub const MAX_STREAMS_PER_TENANT: usize = 20;
/// Streams open at once on this node.
pub const MAX_STREAMS: usize = 1000;
/// Events that wait for the client.
const BUFFER: usize = 64;
/// Events read at once.
const PAGE: i64 = 100;
/// A comment is sent after so long without an event, so that nobody on the way closes the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A client that takes nothing for so long is disconnected.
const STALLED: Duration = Duration::from_secs(30);
/// How often the log and the key are looked at without being told: wake-ups are hints.
const TICK: Duration = Duration::from_secs(1);
/// Least time between two reads of one stream, however often it is woken.
const PACE: Duration = Duration::from_millis(25);

/// The open streams of this node.
pub struct Streams {
    open: Mutex<HashMap<TenantId, usize>>,
    stop: watch::Sender<bool>,
}

impl Default for Streams {
    fn default() -> Streams {
        Streams { open: Mutex::default(), stop: watch::Sender::new(false) }
    }
}

impl Streams {
    /// Ends all streams, for a server that stops.
    pub fn end(&self) {
        self.stop.send_replace(true);
    }

    /// True once all streams are to end.
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    fn enter(&self, tenant: TenantId) -> std::result::Result<(), Error> {
        let mut open = self.open.lock().map_err(|_| Error::internal("a stream panicked"))?;
        let (all, own) = (open.values().sum::<usize>(), open.get(&tenant).copied().unwrap_or(0));
        if own >= MAX_STREAMS_PER_TENANT || all >= MAX_STREAMS {
            let detail = format!("A tenant may have {MAX_STREAMS_PER_TENANT} streams open; close one, or wait.");
            return Err(Error::new(Kind::Limited, "too_many_streams", detail));
        }
        open.insert(tenant, own + 1);
        Ok(())
    }

    fn leave(&self, tenant: TenantId) {
        let Ok(mut open) = self.open.lock() else { return };
        if let Some(own) = open.get_mut(&tenant) {
            *own -= 1;
            if *own == 0 {
                open.remove(&tenant);
            }
        }
    }
}

/// A place among the open streams, given back when dropped.
struct Ticket {
    hub: Hub,
    tenant: TenantId,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.hub.streams().leave(self.tenant);
    }
}

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// Follow events as they happen
///
/// Server-sent events: `id` is the event's id, `event` its name, `data` its envelope as in `/v1/events`. It starts now, or
/// after the event named by the header `Last-Event-ID` or by `after`; to go on after a break send the last id you have.
/// A comment comes every 15 seconds without events. A client that does not read is disconnected.
#[utoipa::path(get, path = "/v1/stream", tag = "Events",
    operation_id = "stream_events",
    security(("key" = ["events:read"])),
    params(("after" = Option<String>, Query, description = "Id of an event: only what came after it"),
        ("types" = Option<String>, Query, description = "Names of events, separated by commas; default all"),
        ("Last-Event-ID" = Option<String>, Header, description = "As `after`; holds where both are given")),
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream")))]
async fn stream(
    State(hub): State<Hub>,
    caller: Caller,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    caller.needs(Scope::EventsRead)?;
    let tenant = caller.tenant();
    let (asked, types) = query::read(query.as_deref(), |q| (after(q, tenant), types(q)))?;
    let start = last_event_id(&headers, tenant)?.or(asked);
    hub.streams().enter(tenant)?;
    let ticket = Ticket { hub: hub.clone(), tenant };
    // Subscribed before the start is read: nothing falls between the two.
    let woken = hub.db.watch(EVENTS);
    let position = hub
        .db
        .read(move |read| match start {
            Some(start) => start.position(read, tenant),
            None => feed::last_position(read),
        })
        .await?;
    let (send, receive) = mpsc::channel(BUFFER);
    let stop = hub.streams().stop.subscribe();
    tokio::spawn(Following { ticket, caller, types, position, send, woken, stop }.run());
    let chunks = futures::stream::unfold(receive, |mut receive| async {
        receive.recv().await.map(|chunk: Bytes| (Ok::<_, Infallible>(chunk), receive))
    });
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A proxy that gathers an answer before it passes it on would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap, tenant: TenantId) -> std::result::Result<Option<After>, Error> {
    let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) else { return Ok(None) };
    let known = value.to_str().ok().and_then(|text| After::parse(text, tenant));
    known.map(Some).ok_or_else(|| {
        Error::invalid(vec![FieldError {
            pointer: "Last-Event-ID".into(),
            code: "invalid_value",
            message: "Last-Event-ID must be an id such as evt_….".into(),
        }])
    })
}

/// One stream at work.
struct Following {
    ticket: Ticket,
    caller: Caller,
    types: Vec<String>,
    position: i64,
    send: mpsc::Sender<Bytes>,
    woken: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
}

impl Following {
    async fn run(mut self) {
        let hub = self.ticket.hub.clone();
        let mut configured = hub.db.watch(CONFIGURATION);
        let tenant = self.ticket.tenant;
        // The head of the answer goes out at once, and the client knows when to come back.
        if !self.offer(Bytes::from_static(b"retry: 1000\n\n")).await {
            return;
        }
        let mut heartbeat = Instant::now() + HEARTBEAT;
        loop {
            self.woken.borrow_and_update();
            configured.borrow_and_update();
            if *self.stop.borrow() || !self.caller.still_has(Scope::EventsRead).await {
                return;
            }
            let position = self.position;
            let events = match hub.db.read(move |read| feed::of_tenant(read, tenant, position, PAGE)).await {
                Ok(events) => events,
                Err(error) => {
                    complain!(error, "a stream ends: it cannot read the log");
                    return; // the client comes back with the last id it has
                }
            };
            let full = events.len() as i64 == PAGE;
            for event in events {
                self.position = event.position;
                if asked_for(&self.types, &event.name) {
                    if !self.offer(frame(&event)).await {
                        return;
                    }
                    heartbeat = Instant::now() + HEARTBEAT;
                }
            }
            if full {
                continue;
            }
            tokio::time::sleep(PACE).await;
            if Instant::now() >= heartbeat {
                if !self.offer(Bytes::from_static(b":\n\n")).await {
                    return;
                }
                heartbeat = Instant::now() + HEARTBEAT;
            }
            tokio::select! {
                _ = self.woken.changed() => {}
                _ = configured.changed() => {}
                _ = self.stop.changed() => return,
                () = self.send.closed() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Hands a chunk to the client; false when it is gone, does not read, or the server stops.
    async fn offer(&mut self, chunk: Bytes) -> bool {
        tokio::select! {
            sent = self.send.send_timeout(chunk, STALLED) => sent.is_ok(),
            _ = self.stop.wait_for(|stop| *stop) => false,
        }
    }
}

/// An event as a server-sent event.
fn frame(event: &Stored) -> Bytes {
    // Line ends can only be white space between JSON tokens (a client's own metadata): a space says the same in one line.
    let data = body(event, None).replace(['\n', '\r'], " ");
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.name).into()
}
