//! How far the log may be read: up to its horizon, below which nothing can appear any more (docs/adr/0013).
//!
//! On SQLite there is one writer: what is committed is all there is, and nothing is left to do here. On PostgreSQL
//! transactions overlap: a position taken at insert may become visible after a greater one, and a reader that had gone on
//! would never see it. So whoever writes events says so before it takes their positions, until its transaction ends (the
//! database sees to that: `log_enter` in the migrations), and no reader goes further than the horizon, which [`advance`]
//! moves to where the first of those who still write began.
//!
//! Events of one conversation keep their order: each is inserted while its conversation's row is locked, so a later one
//! has a greater position.

use super::{EVENTS, sql};
use crate::Result;
use tieline_db::{Read, Tx, params};

/// Whether committed events wait for the horizon.
pub fn is_any_beyond(read: &mut Read) -> Result<bool> {
    Ok(read.opt(sql::ANY_BEYOND, &[], |_| Ok(()))?.is_some())
}

/// Moves the horizon as far as it can go. Whoever else does so waits until this transaction ends.
pub fn advance(tx: &mut Tx) -> Result<()> {
    if tx.is_shared() {
        tx.execute(sql::ADVANCE, &[])?;
        // Also where it could not move: it can as soon as somebody has ended, of whom nobody hears if he has undone it all.
        tx.signal(EVENTS);
    }
    Ok(())
}

/// The last place of the log, after everybody who writes events now has ended. Until this transaction ends the horizon
/// stays there: who reads what has a greater place sees what this transaction wrote.
pub(crate) fn last_place(tx: &mut Tx) -> Result<i64> {
    if tx.lock(&sql::LOCK_HORIZON, &params!["log"])?.is_some() {
        let settled = tx.opt(sql::SETTLE, &[], |row| row.get::<i64>(0))?.unwrap_or(0);
        tx.execute(sql::SET_HORIZON, &params![settled])?;
        tx.signal(EVENTS);
    }
    super::feed::last_position(tx)
}
