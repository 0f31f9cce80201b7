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
use tieline_db::{Ask, Keys, Param, Tx, params};

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
    pub fn replay(&self, tx: &mut Tx, tenant: TenantId) -> Result<Option<Result<Reply<O>>>> {
        let mut replays = Replays::of([(0, tenant, self)]);
        let now = tx.now();
        tx.together(vec![replays.ask(now)])?;
        Ok(replays.answers().next().map(|(_, answer)| answer))
    }
    fn reply(&self, hash: &[u8], answer: Answer) -> Result<Reply<O>> {
        if *hash == self.request_hash {
            return Ok(Reply::Replayed(answer));
        }
        Err(Error::new(
            Kind::Unprocessable,
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request body; use a new key.",
        ))
    }
}

/// Looks for the earlier answers of commands that go by a number each.
pub(crate) struct Replays<'c, O> {
    asked: Vec<(usize, TenantId, &'c Once<O>)>,
    found: Vec<(usize, Vec<u8>, Answer)>,
}

impl<'c, O> Replays<'c, O> {
    /// Of these.
    pub fn of(asked: impl IntoIterator<Item = (usize, TenantId, &'c Once<O>)>) -> Replays<'c, O> {
        Replays { asked: asked.into_iter().collect(), found: Vec::new() }
    }
    /// Looks.
    pub fn ask(&mut self, now: i64) -> Ask<'_> {
        let Replays { asked, found } = self;
        let row = |(_, tenant, once): &(usize, TenantId, &'c Once<O>)| {
            params![tenant.0, &once.principal, &once.route, &once.key, now - KEPT_US]
        };
        Ask::select(&sql::GET, asked.iter().flat_map(row).collect(), |row| {
            let answer = Answer { status: row.get::<i64>(2)? as u16, location: row.get(3)?, body: row.get(4)? };
            found.push((row.get::<i64>(0)? as usize, row.get(1)?, answer));
            Ok(())
        })
    }
    /// The answer of each that has one, or the refusal of a key reused for another request.
    pub fn answers(self) -> impl Iterator<Item = (usize, Result<Reply<O>>)> {
        let asked = self.asked;
        self.found.into_iter().map(move |(at, hash, answer)| (asked[at].0, asked[at].2.reply(&hash, answer)))
    }
}

/// Keeps the answer of what has just happened.
pub fn settle<O>(tx: &mut Tx, tenant: TenantId, once: Option<&Once<O>>, outcome: O) -> Result<Reply<O>> {
    keep(tx, once.map(|once| (tenant, once, &outcome)))?;
    Ok(Reply::Done(outcome))
}

/// Keeps the answers of what has just happened.
pub(crate) fn keep<'o, O: 'o>(
    tx: &mut Tx,
    outcomes: impl IntoIterator<Item = (TenantId, &'o Once<O>, &'o O)>,
) -> Result<()> {
    let now = tx.now();
    let kept: Vec<_> =
        outcomes.into_iter().map(|(tenant, once, outcome)| (tenant, once, (once.render)(outcome))).collect();
    let mut rows: Vec<Param> = Vec::with_capacity(kept.len() * 9);
    for (tenant, once, answer) in &kept {
        rows.extend(params![
            tenant.0,
            &once.principal,
            &once.route,
            &once.key,
            once.request_hash.as_slice(),
            i64::from(answer.status),
            &answer.location,
            &answer.body,
            now
        ]);
    }
    if tx.many(&sql::KEEP, &rows, |_| Ok(()))? < kept.len() as u64 {
        // On another node, or by another writer: run again, it finds that answer.
        return Err(tx.lost_race("a request with the same Idempotency-Key").into());
    }
    Ok(())
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
