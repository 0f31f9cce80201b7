//! The queue as a person reads it: where conversations stand, whose they are, and how many of them there are.
//!
//! What a user may not see is left out in the statement, before a page is cut: pages are full and counts are of what is
//! shown. A count of nothing but a status comes from kept totals and narrow indexes; one by other filters looks at every
//! conversation of the status.

use super::list::AgentFilter;
use super::status::Status;
use super::{Conversation, conversation, sql};
use crate::ids::{InboxId, TeamId, TenantId, UserId};
use crate::page::DEPTH_LIMIT;
use crate::{Error, Result, inboxes, teams, tenants};
use std::collections::HashSet;
use tieline_db::{Param, Read, params};

/// Which conversations are asked for; what is none or empty does not matter.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Any of these statuses.
    pub statuses: Vec<Status>,
    /// Whether bots hold them.
    pub is_held: Option<bool>,
    /// The inbox they came through.
    pub inbox: Option<InboxId>,
    /// The team whose queue they are in.
    pub team: Option<TeamId>,
    /// Slugs; they carry any of these.
    pub tags: Vec<String>,
    /// The contact's address in the inbox.
    pub source_id: Option<String>,
    /// Changed after this instant, microseconds UTC.
    pub updated_after: Option<i64>,
    /// Whether nobody answered yet, or the customer waits again.
    pub is_unattended: bool,
    /// Only what this user sees: conversations of their inboxes and teams.
    pub viewer: Option<UserId>,
    /// Only what this user has or follows.
    pub follower: Option<UserId>,
}

/// The order of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Queue {
    /// Last changed first.
    #[default]
    Latest,
    /// Longest unchanged first.
    Oldest,
    /// Last opened first.
    Newest,
    /// First opened first.
    Created,
    /// Most urgent first, those without priority last.
    PriorityDown,
    /// Least urgent first, those without priority last.
    Priority,
    /// Whoever has waited longest first, those who wait for nothing last.
    Waiting,
    /// Whoever has waited shortest first, those who wait for nothing last.
    WaitingDown,
    /// What nobody has looked at since the customer wrote, then the rest.
    Unread,
}

impl Queue {
    /// The word of the statement; none for the order of an index.
    fn word(self) -> Option<&'static str> {
        Some(match self {
            Queue::Latest => return None,
            Queue::Oldest => "oldest",
            Queue::Newest => "created_down",
            Queue::Created => "created",
            Queue::PriorityDown => "priority_down",
            Queue::Priority => "priority",
            Queue::Waiting => "waiting",
            Queue::WaitingDown => "waiting_down",
            Queue::Unread => "unread",
        })
    }
    /// Sorts conversations that were found one by one, as the statements do.
    pub fn sort(self, list: &mut [Conversation]) {
        let down = |at: i64| -at;
        let rank = |v: &Conversation| v.priority.map(|priority| priority as i64);
        let key = |v: &Conversation| match self {
            Queue::Latest => None,
            Queue::Oldest => Some(v.updated_at),
            Queue::Newest => Some(-v.created_at),
            Queue::Created => Some(v.created_at),
            Queue::Priority => rank(v),
            Queue::PriorityDown => rank(v).map(down),
            Queue::Waiting => v.waiting_since,
            Queue::WaitingDown => v.waiting_since.map(down),
            Queue::Unread => (v.last_contact_message_at > v.agent_seen_at.or(Some(0))).then_some(1),
        };
        list.sort_by_key(|v| {
            let key = key(v);
            (key.is_none(), key, std::cmp::Reverse((v.updated_at, v.id)))
        });
    }
}

/// What a user may see, in memory, for what is not found by a statement.
#[derive(Clone, Debug)]
pub struct Sight(Option<(HashSet<InboxId>, HashSet<TeamId>)>);

impl Sight {
    /// That of this user; everything for none.
    pub fn of(read: &mut Read, tenant: TenantId, viewer: Option<UserId>) -> Result<Sight> {
        let Some(user) = viewer else { return Ok(Sight(None)) };
        let inboxes = inboxes::of_member(read, tenant, user)?.into_iter().collect();
        Ok(Sight(Some((inboxes, teams::of_member(read, tenant, user)?.into_iter().collect()))))
    }
    /// Whether it covers a conversation of this inbox and team.
    pub fn covers(&self, inbox: InboxId, team: Option<TeamId>) -> bool {
        let Some((inboxes, teams)) = &self.0 else { return true };
        inboxes.contains(&inbox) || team.is_some_and(|team| teams.contains(&team))
    }
}

impl Standing {
    /// Whether nothing but status and a bot's hold is asked about.
    fn is_plain(&self) -> bool {
        self.inbox.is_none()
            && self.team.is_none()
            && self.tags.is_empty()
            && self.source_id.is_none()
            && self.updated_after.is_none()
            && !self.is_unattended
            && self.viewer.is_none()
            && self.follower.is_none()
    }

    /// The tags between spaces, and the statuses.
    fn words(&self) -> (String, String) {
        let tags: String = self.tags.iter().map(|tag| format!("{tag} ")).collect();
        let statuses: Vec<&str> = self.statuses.iter().map(|status| status.as_str()).collect();
        (if tags.is_empty() { tags } else { format!(" {tags}") }, statuses.join(" "))
    }

    fn params<'a>(&'a self, tenant: TenantId, tags: &'a str) -> Vec<Param<'a>> {
        params![
            tenant.0,
            self.is_held,
            self.inbox.map(|id| id.0),
            self.team.map(|id| id.0),
            tags,
            self.source_id.as_deref().unwrap_or(""),
            self.updated_after.unwrap_or(i64::MIN),
            self.is_unattended,
            self.viewer.map(|id| id.0),
            self.follower.map(|id| id.0)
        ]
        .to_vec()
    }

    /// Whether a conversation stands so; `sight` is the viewer's. Who follows it is not asked.
    pub fn admits(&self, v: &Conversation, sight: &Sight) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&v.status))
            && self.is_held.is_none_or(|is_held| v.is_held == is_held)
            && self.inbox.is_none_or(|inbox| v.inbox == inbox)
            && self.team.is_none_or(|team| v.team == Some(team))
            && (self.tags.is_empty() || self.tags.iter().any(|tag| v.tags.contains(tag)))
            && (self.source_id.is_none() || self.source_id == v.source_id)
            && self.updated_after.is_none_or(|at| v.updated_at > at)
            && (!self.is_unattended || v.first_reply_at.is_none() || v.waiting_since.is_some())
            && sight.covers(v.inbox, v.team)
    }
}

/// How many conversations stand so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub all: i64,
    /// Those that somebody has.
    pub assigned: i64,
    /// Those of the user who asks.
    pub mine: i64,
}

impl Counts {
    /// Counts conversations in hand.
    pub fn of(list: &[Conversation], me: UserId) -> Counts {
        let many = |keep: &dyn Fn(&&Conversation) -> bool| list.iter().filter(keep).count() as i64;
        Counts { all: list.len() as i64, assigned: many(&|v| v.agent.is_some()), mine: many(&|v| v.agent == Some(me)) }
    }
}

/// Where a page begins.
///
/// Errors: `validation_error` at `page` for one that lies deeper than [`DEPTH_LIMIT`] rows.
pub(crate) fn offset(page: i64, limit: i64) -> Result<i64> {
    let offset = (page - 1).saturating_mul(limit);
    if offset <= DEPTH_LIMIT {
        return Ok(offset);
    }
    let detail =
        format!("page reaches {DEPTH_LIMIT} rows of a list; narrow it by a filter, or read it with a cursor on /v1.");
    Err(Error::field("page", "out_of_range", detail))
}

/// A page of the conversations that stand so; pages count from 1. `is_assigned` asks whether anybody has them.
///
/// Errors: `validation_error` at `page` for one that lies too deep.
pub fn page(
    read: &mut Read,
    tenant: TenantId,
    standing: &Standing,
    agent: Option<AgentFilter>,
    is_assigned: bool,
    queue: Queue,
    (page, limit): (i64, i64),
) -> Result<Vec<Conversation>> {
    let offset = offset(page, limit)?;
    let (tags, statuses) = standing.words();
    let mut params = standing.params(tenant, &tags);
    let (whose, nobodys) = match agent {
        Some(AgentFilter::Assigned(id)) => (Some(id.0), None),
        Some(AgentFilter::Unassigned) => (None, Some(true)),
        None => (None, is_assigned.then_some(false)),
    };
    params.extend(params![whose, nobodys, limit, offset, &statuses]);
    let sql = match (queue.word(), whose, standing.statuses.len()) {
        (None, Some(_), _) => sql::QUEUE_OF_AGENT,
        (None, None, 1) => sql::QUEUE_OF_STATUS,
        (None, None, _) => sql::QUEUE,
        (Some(_), _, 1) => sql::QUEUE_SORTED_OF_STATUS,
        (Some(_), ..) => sql::QUEUE_SORTED,
    };
    params.extend(queue.word().map(Param::from));
    Ok(read.all(sql, &params, |row| conversation(row, 0))?)
}

/// Counts the conversations that stand so.
pub fn counts(read: &mut Read, tenant: TenantId, standing: &Standing, me: UserId) -> Result<Counts> {
    let (tags, statuses) = standing.words();
    if !standing.is_plain() {
        let mut params = standing.params(tenant, &tags);
        params.extend(params![me.0, &statuses]);
        let sql = if standing.statuses.len() == 1 { sql::COUNTS_OF_STATUS } else { sql::COUNTS };
        let counts = |row: &tieline_db::Row| Ok(Counts { all: row.get(0)?, assigned: row.get(1)?, mine: row.get(2)? });
        return Ok(read.opt(sql, &params, counts)?.unwrap_or_default());
    }
    let kept = tenants::counts(read, tenant)?;
    let mut all = match standing.statuses.as_slice() {
        [] => kept.conversations(None),
        some => some.iter().map(|status| kept.conversations(Some(*status))).sum(),
    };
    if let Some(is_held) = standing.is_held {
        let held = read.opt(sql::HELD, &params![tenant.0], |row| row.get(0))?.unwrap_or(0);
        all = if is_held { held } else { all - held };
    }
    let params = params![tenant.0, me.0, &statuses, standing.is_held];
    let (assigned, mine) = read.opt(sql::ASSIGNED, &params, |row| Ok((row.get(0)?, row.get(1)?)))?.unwrap_or((0, 0));
    Ok(Counts { all, assigned, mine })
}
