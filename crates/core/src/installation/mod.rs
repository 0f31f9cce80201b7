//! Facts of the whole installation.

pub mod setup;
mod sql;
pub mod watch;

use crate::Result;
use crate::deliveries;
use crate::events::{CONFIGURATION, feed};
use tieline_db::{Read, Tx, params};

const CHECK_VALUE: &str = "secret_key.check";
const SENDING_PAUSED: &str = "sending.paused";
const PROBE: &str = "write.probe";

/// The check value of the secret key that this database was written with: the stored one, else `value`, now stored.
pub fn check_value(tx: &mut Tx, value: &str) -> Result<String> {
    tx.execute(sql::NOTE, &params![CHECK_VALUE, value])?;
    Ok(stored_check_value(tx)?.unwrap_or_default())
}

/// The stored check value; none in a database that no server has used.
pub fn stored_check_value(read: &mut Read) -> Result<Option<String>> {
    Ok(read.opt(sql::GET, &params![CHECK_VALUE], |row| row.get(0))?)
}

/// Whether no webhook is to be sent, on any node, until somebody lifts it: so a restored copy starts.
pub fn sending_paused(read: &mut Read) -> Result<bool> {
    Ok(read.opt(sql::GET, &params![SENDING_PAUSED], |_| Ok(()))?.is_some())
}

/// Pauses or resumes the sending of webhooks; holds from the next look at [`sending_paused`].
pub fn pause_sending(tx: &mut Tx, paused: bool) -> Result<()> {
    let now = tx.now().to_string();
    match paused {
        true => tx.execute(sql::SET, &params![SENDING_PAUSED, &now])?,
        false => tx.execute(sql::UNSET, &params![SENDING_PAUSED])?,
    };
    Ok(())
}

/// One transaction at a time, over all nodes: on PostgreSQL the next one waits here until this one has ended.
pub(crate) fn take_turn(tx: &mut Tx, name: &str) -> Result<()> {
    if tx.lock(&sql::LOCK, &params![name])? == Some(0) {
        tx.execute(sql::SET, &params![name, ""])?;
    }
    Ok(())
}

/// What of the whole installation other nodes may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The last place of the log.
    pub position: i64,
    /// Where the log has been fanned out to.
    pub fanned_out: i64,
    /// The revision of the configuration.
    pub configuration: i64,
    /// Whether no webhook is to be sent.
    pub sending_paused: bool,
}

/// How things stand.
pub fn news(read: &mut Read) -> Result<News> {
    Ok(News {
        position: feed::last_position(read)?,
        fanned_out: deliveries::cursor(read)?,
        configuration: configuration(read)?,
        sending_paused: sending_paused(read)?,
    })
}

/// Changes a value that nobody reads: proof that the database takes writes.
pub fn probe(tx: &mut Tx) -> Result<()> {
    let now = tx.now().to_string();
    tx.execute(sql::SET, &params![PROBE, &now])?;
    Ok(())
}

/// Says that something changed which nodes keep in memory: keys, endpoints, plans. The revision lets a reader know inside
/// its own snapshot whether what it remembers still holds; the topic wakes those who wait.
pub fn change_configuration(tx: &mut Tx) -> Result<()> {
    tx.execute(sql::NEXT_REVISION, &params!["configuration"])?;
    tx.signal(CONFIGURATION);
    Ok(())
}

/// The revision of the configuration, as this snapshot sees it.
pub fn configuration(read: &mut Read) -> Result<i64> {
    Ok(read.opt(sql::REVISION, &params!["configuration"], |row| row.get(0))?.unwrap_or(0))
}
