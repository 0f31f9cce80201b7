//! Teams: queues of conversations and the people who work on them.

pub(crate) mod sql;
mod write;

pub use write::{
    CAPACITY_LIMIT, Create, MEMBERS_LIMIT, Update, add_members, create, delete, exists, remove_members, update,
};

use crate::ids::{TeamId, TenantId, UserId};
use crate::page::Page;
use crate::{Error, Result};
use tieline_db::{Read, Row, params};

/// Most teams of one user that are looked at.
const TEAMS_LIMIT: i64 = 1000;

/// A team of a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its number in the installation.
    pub number: i64,
    /// Unique per tenant.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// Whether new conversations land here when their inbox has no team.
    pub is_default: bool,
    /// Users of the live tenant, by id.
    pub members: Vec<UserId>,
    /// How its conversations find their agent.
    pub mode: Mode,
    /// Open conversations up to which an agent gets more so; none for any number.
    pub capacity: Option<i64>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

/// How the conversations of a team find their agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Somebody gives or takes them.
    #[default]
    Manual,
    /// Whoever of those who are there got one longest ago gets the next.
    RoundRobin,
    /// Whoever of those who are there has the fewest open ones gets the next.
    LeastLoaded,
}

impl Mode {
    /// All of them, by their names on the wire.
    pub const ALL: [(&str, Mode); 3] =
        [("manual", Mode::Manual), ("round_robin", Mode::RoundRobin), ("least_loaded", Mode::LeastLoaded)];
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        Mode::ALL[self as usize].0
    }
    /// Whether conversations find their agent by themselves.
    pub fn is_automatic(self) -> bool {
        self != Mode::Manual
    }
    /// The mode of stored flags.
    pub(crate) fn of(is_automatic: bool, is_least_loaded: bool) -> Mode {
        match (is_automatic, is_least_loaded) {
            (false, _) => Mode::Manual,
            (true, false) => Mode::RoundRobin,
            (true, true) => Mode::LeastLoaded,
        }
    }
}

fn team(row: &Row) -> tieline_db::Result<Team> {
    Ok(Team {
        id: TeamId::from_uuid(row.get(0)?),
        number: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        is_default: row.get(4)?,
        members: Vec::new(),
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        mode: Mode::of(row.get(7)?, row.get(8)?),
        capacity: row.get(9)?,
    })
}

fn with_members(read: &mut Read, tenant: TenantId, mut team: Team) -> Result<Team> {
    let params = params![tenant.0, team.id.0, MEMBERS_LIMIT as i64];
    team.members = read.all(sql::MEMBERS, &params, |row| Ok(UserId::from_uuid(row.get(0)?)))?;
    Ok(team)
}

/// One of the tenant's teams.
pub fn get(read: &mut Read, tenant: TenantId, id: TeamId) -> Result<Team> {
    let team = read.opt(sql::GET, &params![tenant.0, id.0], team)?.ok_or_else(|| Error::not_found("team"))?;
    with_members(read, tenant, team)
}

/// The team with this number.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Team> {
    let team = read.opt(sql::BY_NUMBER, &params![tenant.0, number], team)?.ok_or_else(|| Error::not_found("team"))?;
    with_members(read, tenant, team)
}

/// The tenant's teams, newest first.
pub fn list(read: &mut Read, tenant: TenantId, page: Page) -> Result<Vec<Team>> {
    let teams = read.all(sql::LIST, &params![tenant.0, page.before.1, page.limit], team)?;
    teams.into_iter().map(|team| with_members(read, tenant, team)).collect()
}

/// The teams of a user; as many as a tenant lists.
pub fn of_member(read: &mut Read, tenant: TenantId, user: UserId) -> Result<Vec<TeamId>> {
    let params = params![tenant.0, user.0, TEAMS_LIMIT];
    Ok(read.all(sql::OF_MEMBER, &params, |row| Ok(TeamId::from_uuid(row.get(0)?)))?)
}
