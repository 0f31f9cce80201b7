//! What nodes tell each other, through the database.

use super::meter::{Meter, Who};
use super::sql;
use super::tally::{Calendar, Period};
use crate::Result;
use std::sync::Arc;
use tieline_db::{Param, Read, Tx, params};
use uuid::Uuid;

/// Time between two publications, microseconds. A node's news is published and read by the next one within twice this,
/// which with the database's own time stays below a second.
pub const PUBLISH_EVERY_US: i64 = 400_000;
/// The same where there is no other node, microseconds: only a process that is killed must not forget more.
pub const WRITE_EVERY_US: i64 = 1_000_000;

/// A window is of no interest any more after so long, microseconds: the span, and clocks that disagree.
const WINDOW_KEPT_US: i64 = 120_000_000;
/// Counts of a day or month are kept for so long after its end, for those who look back.
const COUNTS_KEPT_US: i64 = 400 * 24 * 3600 * 1_000_000;
/// A node that was silent for so long is gone.
const NODE_KEPT_US: i64 = 24 * 3600 * 1_000_000;

/// So many requests more in a period: of one who asks, or of the whole tenant.
pub(super) struct Delta {
    /// Which of the batch's meters; none for the tenant.
    pub meter: Option<usize>,
    pub who: Who,
    pub period: Period,
    pub count: i64,
}

impl Delta {
    /// The whole tenant's count stands under the nil id.
    fn principal(&self) -> Uuid {
        if self.meter.is_some() { self.who.principal } else { Uuid::nil() }
    }
}

/// What one node publishes at once.
pub struct Batch {
    pub(super) node: Uuid,
    pub(super) number: i64,
    pub(super) windows: Vec<(Who, String)>,
    pub(super) deltas: Vec<Delta>,
    pub(super) meters: Vec<Arc<Meter>>,
}

/// What it brought back.
pub struct Published {
    /// For each delta, the count of all nodes.
    pub(super) totals: Vec<i64>,
    /// For each meter, the windows of the other nodes.
    pub(super) others: Vec<Vec<String>>,
}

/// What the database knows of one who asks.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub(super) day: i64,
    pub(super) month: i64,
    pub(super) others: Vec<String>,
}

/// Publishes a batch; one that was published already is not counted again.
pub fn publish(tx: &mut Tx, batch: &Batch) -> Result<Published> {
    let now = tx.now();
    if tx.execute(sql::ADVANCE, &params![batch.node, batch.number, now])? > 0 {
        let news: Vec<(&Delta, String)> =
            batch.deltas.iter().filter(|delta| delta.count > 0).map(|delta| (delta, delta.period.name())).collect();
        let rows: Vec<Param> = news
            .iter()
            .flat_map(|(delta, name)| {
                params![delta.who.tenant.0, delta.principal(), name, delta.count, delta.period.ends_at]
            })
            .collect();
        tx.run_many(&sql::ADD, &rows)?;
        let rows: Vec<Param> = batch
            .windows
            .iter()
            .flat_map(|(who, text)| params![who.tenant.0, who.principal, batch.node, text, now])
            .collect();
        tx.run_many(&sql::SET_WINDOW, &rows)?;
    }
    let names: Vec<String> = batch.deltas.iter().map(|delta| delta.period.name()).collect();
    let wanted: Vec<(Who, &str)> = batch
        .deltas
        .iter()
        .zip(&names)
        .map(|(delta, name)| (Who { principal: delta.principal(), ..delta.who }, name.as_str()))
        .collect();
    let totals = counts(tx, &wanted)?;
    let whos: Vec<Who> = batch.windows.iter().map(|(who, _)| *who).collect();
    Ok(Published { totals, others: windows(tx, &whos, batch.node)? })
}

/// What is known of one who asks, before their first request on this node.
pub fn known(read: &mut Read, who: Who, node: Uuid) -> Result<Known> {
    let now = read.now();
    let (day, month) = (Period::of(Calendar::Day, now).name(), Period::of(Calendar::Month, now).name());
    let tenant = Who { principal: Uuid::nil(), ..who };
    let counts = counts(read, &[(who, &day), (tenant, &month)])?;
    let others = windows(read, &[who], node)?.pop().unwrap_or_default();
    Ok(Known { day: counts[0], month: counts[1], others })
}

fn counts(read: &mut Read, wanted: &[(Who, &str)]) -> Result<Vec<i64>> {
    let rows: Vec<Param> =
        wanted.iter().flat_map(|(who, period)| params![who.tenant.0, who.principal, *period]).collect();
    let mut counts = vec![0; wanted.len()];
    read.select_many(&sql::COUNTS, &rows, |row| {
        counts[row.get::<i64>(0)? as usize] = row.get(1)?;
        Ok(())
    })?;
    Ok(counts)
}

fn windows(read: &mut Read, whos: &[Who], node: Uuid) -> Result<Vec<Vec<String>>> {
    let rows: Vec<Param> = whos.iter().flat_map(|who| params![who.tenant.0, who.principal, node]).collect();
    let mut windows = vec![Vec::new(); whos.len()];
    read.select_many(&sql::OTHERS, &rows, |row| {
        windows[row.get::<i64>(0)? as usize].push(row.get(1)?);
        Ok(())
    })?;
    Ok(windows)
}

/// Removes up to `limit` rows of each kind that nobody needs any more; the number removed.
pub fn prune(tx: &mut Tx, limit: i64) -> Result<u64> {
    let now = tx.now();
    let mut removed = tx.execute(sql::PRUNE_WINDOWS, &params![now - WINDOW_KEPT_US, limit])?;
    removed += tx.execute(sql::PRUNE_COUNTS, &params![now - COUNTS_KEPT_US, limit])?;
    removed += tx.execute(sql::PRUNE_NODES, &params![now - NODE_KEPT_US, limit])?;
    Ok(removed)
}
