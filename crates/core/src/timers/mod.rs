//! Timers: rows that say what has to happen when.
//!
//! A timer fires exactly once, also after downtime: the transaction that removes the row is the one that does what it
//! stands for. Setting a timer again moves it.

mod sql;

use crate::Result;
use crate::conversations;
use crate::ctx::{Cause, Ctx};
use crate::events::Render;
use crate::ids::{ConversationId, TenantId};
use tieline_db::{Read, Tx, params};
use uuid::Uuid;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A snoozed conversation wakes up; the subject is the conversation.
    Snooze,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 1] = [Kind::Snooze];

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Snooze => "snooze",
        }
    }
}

/// Sets, moves or clears (`None`) the timer of one subject.
pub(crate) fn set(tx: &mut Tx, tenant: TenantId, kind: Kind, subject: Uuid, due_at: Option<i64>) -> Result<()> {
    match due_at {
        Some(due_at) => tx.execute(sql::SET, &params![tenant.0, kind.as_str(), subject, due_at])?,
        None => tx.execute(sql::CLEAR, &params![tenant.0, kind.as_str(), subject])?,
    };
    Ok(())
}

/// When the next timer of all tenants is due; none when none is set.
pub fn next_due(read: &mut Read) -> Result<Option<i64>> {
    Ok(read.opt(sql::NEXT, &[], |row| row.get(0))?)
}

/// Fires up to `limit` due timers of each kind, the oldest first; how many were left to fire. `render` writes their events.
pub fn fire(tx: &mut Tx, render: Render, limit: i64) -> Result<usize> {
    let now = tx.now();
    let mut fired = 0;
    for kind in Kind::ALL {
        let due = params![now, kind.as_str(), limit];
        let mut due =
            tx.all(sql::DUE, &due, |row| Ok((row.get::<i64>(2)?, TenantId(row.get(0)?), row.get::<Uuid>(1)?)))?;
        due.sort();
        // Before the timers, as every verb that moves one does.
        match kind {
            Kind::Snooze => {
                let subjects = due.iter().map(|(_, tenant, subject)| (*tenant, ConversationId::from_uuid(*subject)));
                conversations::hold_many(tx, subjects.collect())?;
            }
        }
        for (_, tenant, subject) in due {
            if tx.execute(sql::CLAIM, &params![tenant.0, kind.as_str(), subject, now])? == 0 {
                continue; // another node was first, or it was moved
            }
            fired += 1;
            let cause = Some(Cause { kind: "timer", id: kind.as_str().to_owned() });
            let ctx = Ctx { cause, ..Ctx::system(tenant, render) };
            match kind {
                Kind::Snooze => conversations::wake(tx, &ctx, ConversationId::from_uuid(subject))?,
            }
        }
    }
    Ok(fired)
}
