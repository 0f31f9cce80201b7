//! Reports: sums by the hour, kept beside what they are made of ([`gather`]), and how things stand now.

mod gather;
pub mod period;
mod sql;

pub use gather::{BATCH, Gathered, gather, record};

use crate::ids::{TeamId, TenantId, UserId};
use crate::{Error, Result};
use std::collections::HashMap;
use std::ops::AddAssign;
use tieline_db::{Read, params};

/// Longest range of a report, hours: two years.
pub const RANGE_LIMIT_HOURS: i64 = 2 * 366 * 24;

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// Everything.
    Account,
    /// One inbox, by its id on the wire.
    Inbox,
    /// One team, by its id on the wire.
    Team,
    /// One user, by their id on the wire.
    Agent,
    /// One tag, by its slug.
    Label,
}

impl Dimension {
    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dimension::Account => "account",
            Dimension::Inbox => "inbox",
            Dimension::Team => "team",
            Dimension::Agent => "agent",
            Dimension::Label => "label",
        }
    }
    /// The dimension of a word.
    pub fn from_text(text: &str) -> Option<Dimension> {
        let all = [Self::Account, Self::Inbox, Self::Team, Self::Agent, Self::Label];
        all.into_iter().find(|dimension| dimension.as_str() == text)
    }
}

/// Sums, in the order of the table's columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([i64; 9]);

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
}

impl Counts {
    fn of(places: &[(usize, i64)]) -> Counts {
        let mut counts = Counts::default();
        places.iter().for_each(|(place, value)| counts.0[*place] = *value);
        counts
    }
    fn conversations(more: i64) -> Counts {
        Counts::of(&[(0, more)])
    }
    fn incoming() -> Counts {
        Counts::of(&[(1, 1)])
    }
    fn outgoing() -> Counts {
        Counts::of(&[(2, 1)])
    }
    fn resolution(us: i64) -> Counts {
        Counts::of(&[(3, 1), (4, us)])
    }
    fn first_reply(us: i64) -> Counts {
        Counts::of(&[(5, 1), (6, us)])
    }
    fn reply(us: i64) -> Counts {
        Counts::of(&[(7, 1), (8, us)])
    }
    /// A metric: how many, and for a duration all of them together, microseconds.
    pub fn metric(&self, metric: Metric) -> (i64, Option<i64>) {
        match metric {
            Metric::Conversations => (self.0[0], None),
            Metric::Incoming => (self.0[1], None),
            Metric::Outgoing => (self.0[2], None),
            Metric::Resolutions => (self.0[3], None),
            Metric::ResolutionTime => (self.0[3], Some(self.0[4])),
            Metric::FirstReplyTime => (self.0[5], Some(self.0[6])),
            Metric::ReplyTime => (self.0[7], Some(self.0[8])),
        }
    }
}

/// What a report counts or measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Conversations opened.
    Conversations,
    /// Messages of customers.
    Incoming,
    /// Messages to customers.
    Outgoing,
    /// Conversations marked done, each time.
    Resolutions,
    /// From opening to that.
    ResolutionTime,
    /// From opening to our first reply.
    FirstReplyTime,
    /// From what the customer wrote to our reply.
    ReplyTime,
}

/// What was counted for one subject, hour by hour: those from `from` to before `to`, hours since 1970.
///
/// Errors: `validation_error` at `until` for more than [`RANGE_LIMIT_HOURS`].
pub fn hours(
    read: &mut Read,
    tenant: TenantId,
    dimension: Dimension,
    subject: &str,
    from: i64,
    to: i64,
) -> Result<Vec<(i64, Counts)>> {
    if to - from > RANGE_LIMIT_HOURS {
        return Err(Error::field("until", "out_of_range", "A report covers two years at most."));
    }
    let params = params![tenant.0, dimension.as_str(), subject, from, to, RANGE_LIMIT_HOURS];
    Ok(read.all(sql::HOURS, &params, |row| {
        let mut counts = Counts::default();
        for (place, sum) in counts.0.iter_mut().enumerate() {
            *sum = row.get(place + 1)?;
        }
        Ok((row.get(0)?, counts))
    })?)
}

/// How many conversations stand how, now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// In the agents' queue.
    pub open: i64,
    /// Of those: nobody has answered the customer.
    pub unattended: i64,
    /// Of the open ones: nobody has it.
    pub unassigned: i64,
    /// A bot holds them.
    pub pending: i64,
}

/// How a tenant's conversations stand, or a team's.
pub fn now(read: &mut Read, tenant: TenantId, team: Option<TeamId>) -> Result<Now> {
    let found = read.opt(sql::NOW, &params![tenant.0, team.map(|id| id.0)], |row| {
        Ok(Now { open: row.get(0)?, unattended: row.get(1)?, unassigned: row.get(2)?, pending: row.get(3)? })
    })?;
    Ok(found.unwrap_or_default())
}

/// Open and unattended conversations of everybody who has one.
pub fn now_by_agent(read: &mut Read, tenant: TenantId) -> Result<HashMap<UserId, (i64, i64)>> {
    let rows = read.all(sql::NOW_BY_AGENT, &params![tenant.0], |row| {
        Ok((UserId::from_uuid(row.get(0)?), (row.get(1)?, row.get(2)?)))
    })?;
    Ok(rows.into_iter().collect())
}
