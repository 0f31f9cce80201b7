//! Fetches the files that messages name by URL, and removes the uploads that no message took.
//!
//! A file is leased and its attempt counted before it is made, so that a process that dies with it costs one attempt and no
//! more. The request passes the same guard as a webhook, at every attempt; nothing follows a redirect. What a fetch came to
//! is recorded with its event in one transaction.

use crate::client::{Client, ErrorKind, Failure};
use crate::egress::Guard;
use crate::files::{ABANDONED_AFTER, Files, too_large};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use std::time::Duration;
use tieline_core::attachments::{self, Due, FETCHES, Fetched, KEPT_UNCLAIMED_US, kind};
use tieline_core::complain;
use tieline_core::events::Render;
use tieline_core::{Error, Kind, Result, installation};
use tieline_db::Db;

/// Files fetched at once; the next ones wait until these have ended.
pub const FETCHES_AT_ONCE: i64 = 8;
/// Whole time of one fetch, where nothing else is said.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a taken file is nobody else's, microseconds; longer than a fetch and its recording.
const LEASE_US: i64 = 5 * 60 * 1_000_000;
/// Uploads removed in one transaction.
const SWEEP_BATCH: i64 = 100;
/// Time between two sweeps, microseconds.
const SWEEP_EVERY_US: i64 = 10 * 60 * 1_000_000;
/// Longest sleep.
const POLL: Duration = Duration::from_secs(1);

/// The fetching and sweeping of this node. Several nodes may run it: a lease keeps them apart.
pub struct FetchLoop {
    db: Db,
    client: Client,
    guard: Guard,
    files: Files,
    render: Render,
    timeout: Duration,
}

impl FetchLoop {
    /// A loop over `db` that puts what `client` fetches into `files`; `render` writes the events.
    pub fn new(db: Db, client: Client, guard: Guard, files: Files, render: Render) -> FetchLoop {
        FetchLoop { db, client, guard, files, render, timeout: FETCH_TIMEOUT }
    }

    /// The same with another time for one fetch; at most [`FETCH_TIMEOUT`], because of the lease.
    pub fn with_timeout(self, timeout: Duration) -> FetchLoop {
        FetchLoop { timeout: timeout.min(FETCH_TIMEOUT), ..self }
    }

    /// Fetches up to [`FETCHES_AT_ONCE`] files that are due; answers when the next is due, microseconds UTC, if one waits.
    /// While sending is paused nothing is: a restored copy is to touch no other system.
    pub async fn step(&self) -> Result<Option<i64>> {
        let next = self
            .db
            .read(|read| if installation::sending_paused(read)? { Ok(None) } else { attachments::next_due(read) });
        let next = next.await?;
        if next.is_none_or(|due| due > self.db.now()) {
            return Ok(next);
        }
        let taken = self.db.write(|tx| attachments::take_due(tx, FETCHES_AT_ONCE, LEASE_US)).await?;
        let ended = futures::future::join_all(taken.into_iter().map(|due| self.fetch(due))).await;
        ended.into_iter().collect::<Result<()>>()?;
        self.db.read(attachments::next_due).await
    }

    async fn fetch(&self, due: Due) -> Result<()> {
        let fetched = self.download(&due).await;
        let (render, links) = (self.render, self.files.links().clone());
        let recorded = {
            let due = due.clone();
            self.db.write(move |tx| attachments::fetched(tx, render, &links, &due, &fetched)).await?
        };
        if !recorded {
            tracing::warn!(attachment = %due.id, "the fetch of {} was recorded by another attempt", due.id);
        }
        Ok(())
    }

    async fn download(&self, due: &Due) -> Fetched {
        match self.try_download(due).await {
            Ok(fetched) => fetched,
            Err(End::Failure(failure)) if failure.kind == ErrorKind::Refused => {
                Fetched::Failed { reason: failure.detail }
            }
            Err(End::Failure(failure)) => Fetched::Again { reason: failure.detail },
            Err(End::Store(error)) if error.kind == Kind::Invalid => {
                Fetched::Failed { reason: error.detail.into_owned() }
            }
            Err(End::Store(error)) => {
                tracing::warn!(attachment = %due.id, error = error.causes(), "{} cannot be stored", due.id);
                Fetched::Again { reason: error.detail.into_owned() }
            }
        }
    }

    async fn try_download(&self, due: &Due) -> Result<Fetched, End> {
        let again = |reason: String| Ok(Fetched::Again { reason });
        let failed = |reason: String| Ok(Fetched::Failed { reason });
        let url = match self.guard.policy().check_url(&due.url) {
            Ok(url) => url,
            Err(refusal) => return failed(refusal.detail),
        };
        let mut reply = self.client.get(&url, self.timeout).await?;
        match reply.status {
            200 => {}
            status @ 300..=399 => return failed(format!("The address answered {status}; redirects are not followed.")),
            status => return again(format!("The address answered {status}.")),
        }
        if reply.header(CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return failed("The address answered with a compressed body, which was not asked for.".into());
        }
        let length = reply.header(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.files.max_bytes()) {
            return Err(End::Store(too_large(self.files.max_bytes())));
        }
        let declared = match due.content_type.as_str() {
            kind::UNKNOWN => kind::declared_type(reply.header(CONTENT_TYPE)),
            given => given.to_owned(),
        };
        let mut writing = self.files.create(due.tenant, due.id).await?;
        while let Some(bytes) = reply.chunk().await? {
            writing.write(bytes).await?;
        }
        let written = writing.finish().await?;
        Ok(Fetched::Stored { size: written.size as i64, content_type: kind::content_type(&written.head, &declared) })
    }

    /// Removes uploads that no message took within a day, and what processes that died left in the store.
    pub async fn sweep(&self) -> Result<()> {
        self.files.clear_abandoned(ABANDONED_AFTER).await?;
        loop {
            let gone = self.db.write(|tx| {
                let before = tx.now() - KEPT_UNCLAIMED_US;
                attachments::unclaimed(tx, before, SWEEP_BATCH)
            });
            let gone = gone.await?;
            for (tenant, id) in &gone {
                self.files.remove(*tenant, *id).await?;
            }
            let last = (gone.len() as i64) < SWEEP_BATCH;
            self.db.write(move |tx| attachments::forget(tx, &gone)).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// Runs until `stop` is set; fetches in flight are then dropped and tried again after their lease. Errors are logged and
    /// tried again after a second.
    pub async fn run(self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut woken = self.db.watch(FETCHES);
        let mut sweep_at = self.db.now();
        loop {
            woken.borrow_and_update();
            let work = async {
                if self.db.now() >= sweep_at {
                    self.sweep().await?;
                    sweep_at = self.db.now() + SWEEP_EVERY_US;
                }
                self.step().await
            };
            let done = tokio::select! {
                done = work => done,
                _ = stop.changed() => return,
            };
            let pause = match done {
                Ok(Some(due)) => Duration::from_micros((due - self.db.now()).max(0) as u64).min(POLL),
                Ok(None) => POLL,
                Err(error) => {
                    complain!(error, "fetching attachments failed; trying again");
                    POLL
                }
            };
            tokio::select! {
                _ = woken.changed() => {}
                _ = tokio::time::sleep(pause) => {}
                _ = stop.changed() => return,
            }
        }
    }
}

/// Why a download came to nothing.
enum End {
    /// The other side, or the way to it.
    Failure(Failure),
    /// Our store, or its limits.
    Store(Error),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Failure(failure)
    }
}
impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Store(error)
    }
}
