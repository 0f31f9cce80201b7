//! What integrators' systems asked of an inbox, and what became of it: the answer to "messages do not come in".
//!
//! Kept are counts and the last call of each outcome, never what was said. They come in batches, away from the requests.

use super::sql;
use crate::Result;
use crate::ids::{ConversationId, InboxId, TenantId};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tieline_db::{Param, Read, Tx, params};
use uuid::Uuid;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was done.
    Accepted,
    /// It was done before: a message with this source id was there.
    Repeated,
    /// Its token, or the hash that was to prove an identity, is wrong, or may not do this.
    WrongCredentials,
    /// The inbox is there, but not what the call names in it.
    NotFound,
    /// Its body cannot be used.
    InvalidBody,
    /// There were too many.
    RateLimited,
    /// Something did not work here.
    Failed,
    /// No inbox that takes such calls has this identifier.
    UnknownIdentifier,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Outcome; 8] = [
        Outcome::Accepted,
        Outcome::Repeated,
        Outcome::WrongCredentials,
        Outcome::NotFound,
        Outcome::InvalidBody,
        Outcome::RateLimited,
        Outcome::Failed,
        Outcome::UnknownIdentifier,
    ];
    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Repeated => "repeated",
            Outcome::WrongCredentials => "wrong_credentials",
            Outcome::NotFound => "not_found",
            Outcome::InvalidBody => "invalid_body",
            Outcome::RateLimited => "rate_limited",
            Outcome::Failed => "failed",
            Outcome::UnknownIdentifier => "unknown_identifier",
        }
    }
    /// What a status says.
    pub fn of_status(status: u16) -> Outcome {
        match status {
            ..400 => Outcome::Accepted,
            401 | 403 => Outcome::WrongCredentials,
            404 => Outcome::NotFound,
            429 => Outcome::RateLimited,
            400..500 => Outcome::InvalidBody,
            _ => Outcome::Failed,
        }
    }
}

/// Whom a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Called {
    /// An inbox.
    Inbox(TenantId, InboxId),
    /// The inbox of a conversation; which that is, is looked up when it is written.
    Conversation(TenantId, ConversationId),
    /// Nobody whom we could tell: its identifier or its token is unknown.
    Nobody,
}

impl Called {
    /// The row's keys; no tenant has number 0. None for a conversation that is not the tenant's.
    fn row(self, read: &mut Read) -> Result<Option<(i64, Uuid)>> {
        Ok(match self {
            Called::Inbox(tenant, inbox) => Some((tenant.0, inbox.0)),
            Called::Conversation(tenant, id) => {
                let found = read.opt(sql::OF_CONVERSATION, &params![tenant.0, id.0], |row| row.get(0))?;
                found.map(|inbox| (tenant.0, inbox))
            }
            Called::Nobody => Some((0, Uuid::nil())),
        })
    }
}

/// The last call of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When, microseconds UTC.
    pub at: i64,
    /// The method.
    pub method: String,
    /// The route's template.
    pub route: String,
    /// The status answered.
    pub status: i64,
    /// Why it was refused, in the words of the answer.
    pub detail: Option<String>,
    /// The request's id.
    pub request_id: String,
}

/// Calls of one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// What became of them.
    pub outcome: Outcome,
    /// How many.
    pub count: i64,
    /// The last one.
    pub last: Call,
}

/// Adds calls. Rows are written in the order of their keys, so that two who write do not wait for each other.
pub fn note_calls(tx: &mut Tx, calls: &[(Called, Calls)]) -> Result<()> {
    let mut known: BTreeMap<(i64, Uuid, Outcome), Calls> = BTreeMap::new();
    for (called, calls) in calls {
        let Some((tenant, inbox)) = called.row(tx)? else { continue };
        match known.entry((tenant, inbox, calls.outcome)) {
            Entry::Vacant(entry) => drop(entry.insert(calls.clone())),
            Entry::Occupied(mut entry) => {
                let sum = entry.get_mut();
                sum.count += calls.count;
                if calls.last.at >= sum.last.at {
                    sum.last = calls.last.clone();
                }
            }
        }
    }
    let rows: Vec<Param> = known
        .iter()
        .flat_map(|((tenant, inbox, _), calls)| {
            let last = &calls.last;
            params![
                *tenant,
                *inbox,
                calls.outcome.as_str(),
                calls.count,
                last.at,
                &last.method,
                &last.route,
                last.status,
                &last.detail,
                &last.request_id
            ]
        })
        .collect();
    tx.run_many(&sql::NOTE_CALLS, &rows)?;
    Ok(())
}

/// What is known of an inbox's calls, or of those for nobody; the last outcome first.
pub fn calls(read: &mut Read, called: Called) -> Result<Vec<Calls>> {
    let Some((tenant, inbox)) = called.row(read)? else { return Ok(Vec::new()) };
    let stored = || tieline_db::Error::Sql("unknown outcome in inbox_calls".into());
    Ok(read.all(sql::CALLS, &params![tenant, inbox, Outcome::ALL.len() as i64], |row| {
        let word: String = row.get(0)?;
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word).ok_or_else(stored)?;
        let last = Call {
            at: row.get(2)?,
            method: row.get(3)?,
            route: row.get(4)?,
            status: row.get(5)?,
            detail: row.get(6)?,
            request_id: row.get(7)?,
        };
        Ok(Calls { outcome, count: row.get(1)?, last })
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_outcomes() {
        for (status, outcome) in [
            (200, Outcome::Accepted),
            (401, Outcome::WrongCredentials),
            (404, Outcome::NotFound),
            (413, Outcome::InvalidBody),
            (422, Outcome::InvalidBody),
            (429, Outcome::RateLimited),
            (503, Outcome::Failed),
        ] {
            assert_eq!(Outcome::of_status(status), outcome, "{status}");
        }
    }
}
