//! Places in the log, given in the order in which changes became visible (docs/adr/0006).
//!
//! On SQLite there is one writer: an event's place is known when it is written, and nothing is left to do here. On
//! PostgreSQL transactions overlap: a number taken at insert may become visible after a greater one, and a reader that had
//! gone on would never see it. So an event enters without a place, and [`number`] gives places to those that are committed,
//! one transaction at a time. A place never becomes visible before a smaller one.
//!
//! Events of one conversation keep their order: each is inserted while its conversation's row is locked, so a later one
//! enters later, and whoever sees it sees the earlier one too.

use super::{EVENTS, sql};
use crate::installation::take_turn;
use crate::{Error, Kind, Result};
use tieline_db::{Read, Tx, params};

/// Events that get their place in one transaction.
pub const NUMBERED_AT_ONCE: i64 = 4096;
/// Such steps in one transaction that must have all of them.
const STEPS: usize = 16;
const TURN: &str = "log.turn";

/// Whether committed events wait for their place.
pub fn is_any_unnumbered(read: &mut Read) -> Result<bool> {
    Ok(read.opt(sql::ANY_UNNUMBERED, &[], |_| Ok(()))?.is_some())
}

/// Gives places to up to [`NUMBERED_AT_ONCE`] events; their number. Whoever else does so waits until this transaction ends.
pub fn number(tx: &mut Tx) -> Result<i64> {
    take_turn(tx, TURN)?;
    let numbered = tx.execute(sql::NUMBER, &params![NUMBERED_AT_ONCE])? as i64;
    if numbered > 0 {
        tx.signal(EVENTS);
    }
    Ok(numbered)
}

/// The last place of the log, after every event that is committed has got one. Until this transaction ends no event gets
/// another: what has a greater place sees what this transaction wrote.
///
/// Errors: `log_behind` when more events wait than one transaction may number.
pub(crate) fn last_place(tx: &mut Tx) -> Result<i64> {
    for _ in 0..STEPS {
        if number(tx)? < NUMBERED_AT_ONCE {
            return super::feed::last_position(tx);
        }
    }
    Err(Error::new(Kind::Unavailable, "log_behind", "The event log is catching up; try again in a moment."))
}
