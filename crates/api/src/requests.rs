//! The request log's way from the edge into the database: a bounded buffer that no request waits for, written in batches.

use crate::http::request::RequestId;
use crate::http::visit::Visitor;
use crate::inbox_calls::Counted;
use axum::extract::MatchedPath;
use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use prometheus_client::metrics::counter::Counter;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tieline_core::complain;
use tieline_core::ctx::Ctx;
use tieline_core::ids::InboxId;
use tieline_core::inboxes::{self, Call, Called, Outcome};
use tieline_core::requests::{self, Entry, redacted};
use tieline_core::{Error, Result};
use tieline_db::{Db, Ids};
use tokio::sync::watch;

/// Requests that wait to be written; more are dropped and counted.
const WAITING: usize = 16_384;
/// Bytes of bodies that wait; what comes beyond is written without its bodies.
const WAITING_BYTES: usize = 16 * 1024 * 1024;
/// Rows of one transaction: others write between two of them.
const BATCH: usize = 250;
/// Between two looks at the buffer: each is a transaction that requests may have to wait for.
const EVERY: Duration = Duration::from_secs(1);
/// Longest path that is kept, bytes.
const PATH_LIMIT: usize = 1024;

/// A request that was answered. All of it is shared with the request: keeping it copies no text.
pub(crate) struct Answered {
    pub visitor: Visitor,
    pub method: Method,
    pub route: Option<MatchedPath>,
    pub uri: Uri,
    pub status: StatusCode,
    pub elapsed: Duration,
    pub id: RequestId,
    /// Of request and answer, where the tenant wants them.
    pub bodies: [Option<Bytes>; 2],
}

/// The buffer; clones share it.
#[derive(Clone)]
pub struct RequestLog(Arc<Inner>);

struct Inner {
    db: Db,
    waiting: Mutex<Waiting>,
    counted: Mutex<Counted>,
    dropped: Counter,
    ids: Mutex<Ids>,
}

#[derive(Default)]
struct Waiting {
    answered: Vec<(Answered, i64)>,
    bytes: usize,
}

/// What an answer says of a refusal, in its extensions.
#[derive(Clone)]
pub(crate) struct Told(pub String);

impl RequestLog {
    pub(crate) fn new(db: Db) -> RequestLog {
        let ids = Mutex::new(Ids::from_os());
        let (waiting, counted) = (Mutex::default(), Mutex::default());
        RequestLog(Arc::new(Inner { db, waiting, counted, dropped: Counter::default(), ids }))
    }

    /// Requests that were not written because the buffer was full.
    pub fn dropped(&self) -> &Counter {
        &self.0.dropped
    }

    /// Takes a request; never waits.
    pub(crate) fn note(&self, mut answered: Answered) {
        let now = self.0.db.now();
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.answered.len() >= WAITING {
            drop(waiting);
            self.0.dropped.inc();
            return;
        }
        let bytes: usize = answered.bodies.iter().flatten().map(Bytes::len).sum();
        if waiting.bytes + bytes > WAITING_BYTES {
            answered.bodies = [None, None];
        } else {
            waiting.bytes += bytes;
        }
        waiting.answered.push((answered, now));
    }

    /// Counts a call of an inbox that was answered; never waits.
    pub(crate) fn called(
        &self,
        called: Called,
        method: &str,
        route: &str,
        status: u16,
        detail: Option<String>,
        request_id: &str,
    ) {
        let outcome = match (called, Outcome::of_status(status)) {
            (Called::Nobody, Outcome::NotFound) => Outcome::UnknownIdentifier,
            (_, outcome) => outcome,
        };
        self.count(called, outcome, method, route, status, detail, request_id);
    }

    /// Counts a message that was there already, beside the call that brought it.
    pub(crate) fn repeated(&self, ctx: &Ctx, inbox: InboxId, external_id: Option<&String>) {
        let request_id = ctx.cause.as_ref().map(|cause| cause.id.as_str()).unwrap_or_default();
        let called = Called::Inbox(ctx.tenant, inbox);
        self.count(called, Outcome::Repeated, "POST", "messages", 200, external_id.cloned(), request_id);
    }

    /// Counts a conversation that was to be opened again.
    pub(crate) fn reopened(&self, ctx: &Ctx, error: &Error) {
        let Some(id) = error.extra("conversationId").and_then(|id| id.to_string().parse().ok()) else { return };
        let request_id = ctx.cause.as_ref().map(|cause| cause.id.as_str()).unwrap_or_default();
        let (called, detail) = (Called::Conversation(ctx.tenant, id), Some(error.detail.to_string()));
        self.count(called, Outcome::Repeated, "POST", "conversations", 409, detail, request_id);
    }

    #[allow(clippy::too_many_arguments)] // the columns of a row
    fn count(
        &self,
        called: Called,
        outcome: Outcome,
        method: &str,
        route: &str,
        status: u16,
        detail: Option<String>,
        request_id: &str,
    ) {
        let last = Call {
            at: self.0.db.now(),
            method: method.to_owned(),
            route: route.to_owned(),
            status: i64::from(status),
            detail,
            request_id: request_id.to_owned(),
        };
        self.0.counted.lock().unwrap_or_else(PoisonError::into_inner).add(called, outcome, last);
    }

    async fn flush_calls(&self) -> Result<()> {
        let counted = self.0.counted.lock().unwrap_or_else(PoisonError::into_inner).take();
        if counted.is_empty() {
            return Ok(());
        }
        self.0.db.write(move |tx| inboxes::note_calls(tx, &counted)).await
    }

    /// Writes what waits; the number of rows. What cannot be written is dropped and counted.
    pub async fn flush(&self) -> Result<usize> {
        self.flush_calls().await?;
        let waiting = std::mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let count = waiting.answered.len();
        let mut answered = waiting.answered.into_iter().peekable();
        let mut written = 0;
        while answered.peek().is_some() {
            let batch: Arc<Vec<Entry>> = {
                let mut ids = self.0.ids.lock().unwrap_or_else(PoisonError::into_inner);
                Arc::new(answered.by_ref().take(BATCH).map(|(answered, at)| entry(answered, at, &mut ids)).collect())
            };
            let sent = batch.clone();
            let done: Result<(), Error> = self.0.db.write(move |tx| requests::append(tx, &sent)).await;
            if let Err(error) = done {
                self.0.dropped.inc_by((count - written) as u64);
                return Err(error);
            }
            written += batch.len();
        }
        Ok(count)
    }

    /// Writes until `stop` is true, and once more then.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let stopping = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => true,
                () = tokio::time::sleep(EVERY) => false,
            };
            if let Err(error) = self.flush().await {
                complain!(error, "cannot write the request log");
            }
            if stopping {
                return;
            }
        }
    }
}

fn entry(answered: Answered, at: i64, ids: &mut Ids) -> Entry {
    let Answered { visitor, method, route, uri, status, elapsed, id, bodies } = answered;
    let [request_body, response_body] = bodies.map(|body| body.and_then(|body| redacted(&body)));
    let path = uri.path();
    Entry {
        tenant: visitor.tenant,
        id: ids.next(at),
        principal: visitor.principal.to_string(),
        method: method.to_string(),
        route: route.map_or_else(|| "unmatched".to_owned(), |route| route.as_str().to_owned()),
        // A path is ASCII: any byte is a boundary.
        path: path.get(..PATH_LIMIT).unwrap_or(path).to_owned(),
        status: i64::from(status.as_u16()),
        duration_us: i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX),
        request_id: id.as_str().to_owned(),
        address: visitor.address.map(|address| address.to_string()),
        request_body,
        response_body,
        at,
    }
}
