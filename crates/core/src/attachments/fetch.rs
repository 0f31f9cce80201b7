//! Files that come by URL: which are due, and what became of a fetch.

use super::link::Links;
use super::{State, sql};
use crate::conversations::{lock, next_event, save};
use crate::ctx::{Cause, Ctx};
use crate::events::{Change, Event, Render, emit};
use crate::ids::{AttachmentId, MessageId, TenantId};
use crate::{Result, messages};
use tieline_db::{Read, Tx, params};

/// Fetches of one file; when the last fails, so does the file.
pub const MAX_ATTEMPTS: i64 = 5;
/// Waits after the attempts before the last, microseconds: 10 s, 1 min, 10 min, 1 h.
const WAITS_US: [i64; MAX_ATTEMPTS as usize - 1] = [10_000_000, 60_000_000, 600_000_000, 3_600_000_000];
/// Longest reason that is kept, characters.
const REASON_LIMIT: usize = 500;

/// A file to fetch now.
#[derive(Clone, Debug)]
pub struct Due {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: AttachmentId,
    /// Where from.
    pub url: String,
    /// File name.
    pub name: String,
    /// What its sender said it is.
    pub content_type: String,
    /// Number of this attempt, from 1.
    pub attempt: i64,
}

/// What became of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The bytes are in the store.
    Stored {
        /// How many.
        size: i64,
        /// What they are; see [`super::kind::content_type`].
        content_type: String,
    },
    /// Not this time.
    Again {
        /// Why; a sentence.
        reason: String,
    },
    /// Never: trying again would not change it.
    Failed {
        /// Why; a sentence.
        reason: String,
    },
}

/// How long to wait after the failed attempt number `attempt` (from 1), microseconds; none after the last.
pub fn wait_after(attempt: i64) -> Option<i64> {
    WAITS_US.get(usize::try_from(attempt - 1).ok()?).copied()
}

/// When the next file is due, microseconds UTC.
pub fn next_due(read: &mut Read) -> Result<Option<i64>> {
    Ok(read.opt(sql::NEXT_DUE, &[], |row| row.get::<Option<i64>>(0))?.flatten())
}

/// Up to `limit` files that are due, leased for `lease_us`: whoever dies with one leaves it to the next after that.
pub fn take_due(tx: &mut Tx, limit: i64, lease_us: i64) -> Result<Vec<Due>> {
    let now = tx.now();
    Ok(tx.all(sql::TAKE_DUE, &params![now, now + lease_us, limit], |row| {
        Ok(Due {
            tenant: TenantId(row.get(0)?),
            id: AttachmentId::from_uuid(row.get(1)?),
            url: row.get(2)?,
            name: row.get(3)?,
            content_type: row.get(4)?,
            attempt: row.get(5)?,
        })
    })?)
}

/// Records what became of a fetch; once the file is stored or has failed, its message says so in an event. False when it
/// came too late: the lease ran out and another attempt has begun.
pub fn fetched(tx: &mut Tx, render: Render, links: &Links, due: &Due, fetched: &Fetched) -> Result<bool> {
    let now = tx.now();
    let (state, size, content_type, error, due_at) = match fetched {
        Fetched::Stored { size, content_type } => (State::Stored, Some(*size), content_type, None, None),
        Fetched::Failed { reason } => (State::Failed, None, &due.content_type, Some(reason), None),
        Fetched::Again { reason } => match wait_after(due.attempt) {
            Some(wait) => (State::Pending, None, &due.content_type, Some(reason), Some(now + wait)),
            None => (State::Failed, None, &due.content_type, Some(reason), None),
        },
    };
    let error: Option<String> = error.map(|reason| reason.chars().take(REASON_LIMIT).collect());
    let row = params![tenant(due), due.id.0, due.attempt, state.as_str(), size, content_type, &error, due_at, now];
    let message = tx.opt(sql::MESSAGE, &params![tenant(due), due.id.0], |row| row.get::<Option<_>>(0))?.flatten();
    let (Some(message), true) = (message.map(MessageId::from_uuid), state != State::Pending) else {
        return Ok(tx.execute(sql::FETCHED, &row)? == 1);
    };
    // Under the conversation's lock, as every event of it.
    let found = messages::get(tx, due.tenant, message)?;
    let mut conversation = lock(tx, due.tenant, found.conversation)?;
    if tx.execute(sql::FETCHED, &row)? == 0 {
        return Ok(false);
    }
    messages::touch(tx, due.tenant, message)?;
    let mut message = messages::get(tx, due.tenant, message)?;
    links.fill(due.tenant, &mut message.attachments, now);
    let named = |state: State| serde_json::json!([{"id": due.id.to_string(), "state": state.as_str()}]);
    let changes = [Change::new("attachments", named(State::Pending), named(state))];
    let sequence = next_event(&mut conversation);
    save(tx, due.tenant, &conversation)?;
    let cause = Some(Cause { kind: "fetch", id: due.id.to_string() });
    let ctx = Ctx { cause, ..Ctx::system(due.tenant, render) };
    let event = Event::MessageUpdated { message: &message, conversation: &conversation, changes: &changes };
    emit(tx, &ctx, &event, sequence)?;
    Ok(true)
}

fn tenant(due: &Due) -> i64 {
    due.tenant.0
}
