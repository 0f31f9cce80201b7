//! `Idempotency-Key`: the first answer is given back instead of doing the thing twice.
//!
//! The row and the answer's bytes are written in the change's own transaction, so there is no moment in which one exists
//! without the other. The bytes come from a pure function that the command carries. Only successes are kept; a refusal
//! leaves nothing, and the same key may then succeed. A concurrent second request shares a key with the first, so the
//! engine runs it after the first and it finds the answer; one on another node waits at the row, is undone, and runs again.
//! Kept for 24 hours (contract D1.6).

mod sql;

use crate::ids::TenantId;
use crate::{Error, Kind, Result};
use tieline_db::{Keys, Read, Tx, params};

/// How long an answer is kept, microseconds.
pub const KEPT_US: i64 = 24 * 3600 * 1_000_000;
/// Longest key, characters.
pub const KEY_LIMIT: usize = 255;

/// An answer as it left us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Location` header.
    pub location: Option<String>,
    /// Body bytes.
    pub body: Vec<u8>,
}

/// What the caller asked to happen only once.
pub struct Once<O> {
    /// Who asks: keys of different principals do not meet.
    pub principal: String,
    /// Method and path of the request.
    pub route: String,
    /// The header's value.
    pub key: String,
    /// SHA-256 of the request body.
    pub request_hash: [u8; 32],
    /// Writes the answer for an outcome.
    pub render: fn(&O) -> Answer,
}

impl<O> Clone for Once<O> {
    fn clone(&self) -> Self {
        Once {
            principal: self.principal.clone(),
            route: self.route.clone(),
            key: self.key.clone(),
            request_hash: self.request_hash,
            render: self.render,
        }
    }
}

/// The outcome of something that may have happened before.
#[derive(Clone, Debug)]
pub enum Reply<O> {
    /// It happened now.
    Done(O),
    /// It happened before; this was the answer.
    Replayed(Answer),
}

impl<O> Once<O> {
    /// Names the key, so that two requests with it never run together.
    pub fn keys(&self, tenant: TenantId, keys: &mut Keys) {
        keys.add((tenant, "idempotency", &self.principal, &self.route, &self.key));
    }
    /// The earlier answer, or the refusal of a key reused for another request; none when the key is new.
    pub fn replay(&self, read: &mut Read, tenant: TenantId) -> Result<Option<Result<Reply<O>>>> {
        let since = read.now() - KEPT_US;
        let params = params![tenant.0, &self.principal, &self.route, &self.key, since];
        let found = read.opt(sql::GET, &params, |row| {
            let (hash, status): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
            Ok((hash, Answer { status: status as u16, location: row.get(2)?, body: row.get(3)? }))
        })?;
        Ok(found.map(|(hash, answer)| {
            if hash == self.request_hash {
                Ok(Reply::Replayed(answer))
            } else {
                Err(Error::new(
                    Kind::Unprocessable,
                    "idempotency_key_reused",
                    "This Idempotency-Key was used for another request body; use a new key.",
                ))
            }
        }))
    }
}

/// Keeps the answer of what has just happened.
pub fn settle<O>(tx: &mut Tx, tenant: TenantId, once: Option<&Once<O>>, outcome: O) -> Result<Reply<O>> {
    if let Some(once) = once {
        let answer = (once.render)(&outcome);
        let now = tx.now();
        let kept = tx.execute(
            sql::KEEP,
            &params![
                tenant.0,
                &once.principal,
                &once.route,
                &once.key,
                once.request_hash.as_slice(),
                i64::from(answer.status),
                &answer.location,
                &answer.body,
                now,
                now - KEPT_US
            ],
        )?;
        if kept == 0 {
            // On another node, or by another writer: run again, it finds that answer.
            return Err(tx.lost_race("a request with the same Idempotency-Key").into());
        }
    }
    Ok(Reply::Done(outcome))
}

/// Runs `verb` unless its key has an answer already.
pub fn once<O>(
    tx: &mut Tx,
    tenant: TenantId,
    once: Option<&Once<O>>,
    verb: impl FnOnce(&mut Tx) -> Result<O>,
) -> Result<Reply<O>> {
    if let Some(once) = once
        && let Some(answer) = once.replay(tx, tenant)?
    {
        return answer;
    }
    let outcome = verb(tx)?;
    settle(tx, tenant, once, outcome)
}

/// Removes up to `limit` answers older than a day; the number removed.
pub fn prune(tx: &mut Tx, limit: i64) -> Result<u64> {
    let before = tx.now() - KEPT_US;
    Ok(tx.execute(sql::PRUNE, &params![before, limit])?)
}
