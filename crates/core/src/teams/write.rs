//! Making, changing and deleting teams.

use super::{Mode, Team, get, sql};
use crate::ctx::Ctx;
use crate::ids::{TeamId, TenantId, UserId};
use crate::installation::change_configuration;
use crate::{Error, FieldError, Result, audit, tenants, users};
use serde_json::json;
use tieline_db::{Read, Tx, params};

/// Most members of a team.
pub const MEMBERS_LIMIT: usize = 1000;
/// The largest capacity of an agent.
pub const CAPACITY_LIMIT: i64 = 1000;

/// A new team.
#[derive(Clone, Debug)]
pub struct Create {
    /// 1 to 100 characters, unique per tenant.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// Users of the live tenant, at most [`MEMBERS_LIMIT`].
    pub members: Vec<UserId>,
    /// Whether it becomes the tenant's default team.
    pub is_default: bool,
    /// How its conversations find their agent.
    pub mode: Mode,
    /// Open conversations up to which an agent gets more so, 1 to [`CAPACITY_LIMIT`]; none for any number.
    pub capacity: Option<i64>,
}

/// Changes of a team; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// New name.
    pub name: Option<String>,
    /// New description; none inside clears.
    pub description: Option<Option<String>>,
    /// All members from now on.
    pub members: Option<Vec<UserId>>,
    /// Whether it is the tenant's default team.
    pub is_default: Option<bool>,
    /// How its conversations find their agent.
    pub mode: Option<Mode>,
    /// How many of them an agent may have; none inside for any number.
    pub capacity: Option<Option<i64>>,
}

/// Adds a team.
///
/// Errors: `team_exists` (with `teamId`); `unknown_id` at `/memberIds/<index>`.
pub fn create(tx: &mut Tx, ctx: &Ctx, cmd: &Create) -> Result<Team> {
    tx.execute(sql::LOCK_TENANT, &params![ctx.tenant.0])?;
    let (id, number, now) = (TeamId::from_uuid(tx.new_id()), tx.take_number()?, tx.now());
    let params = params![
        ctx.tenant.0,
        id.0,
        &cmd.name,
        &cmd.description,
        now,
        number,
        cmd.mode.is_automatic(),
        cmd.mode == Mode::LeastLoaded,
        cmd.capacity
    ];
    if tx.execute(sql::INSERT, &params)? == 0 {
        return Err(taken(tx, ctx.tenant, &cmd.name)?);
    }
    set_members(tx, ctx, id, &cmd.members)?;
    if cmd.is_default {
        set_default(tx, ctx, id, true)?;
    }
    change_configuration(tx)?;
    audit::note(tx, ctx, "team.created", id, json!({"name": cmd.name}))?;
    get(tx, ctx.tenant, id)
}

/// Changes a team.
///
/// Errors: as [`create`].
pub fn update(tx: &mut Tx, ctx: &Ctx, id: TeamId, cmd: &Update) -> Result<Team> {
    tx.execute(sql::LOCK_TENANT, &params![ctx.tenant.0])?;
    let team = get(tx, ctx.tenant, id)?;
    let name = cmd.name.as_ref().unwrap_or(&team.name);
    let owner = tx.opt(sql::BY_NAME, &params![ctx.tenant.0, name], super::team)?;
    if owner.is_some_and(|owner| owner.id != id) {
        return Err(taken(tx, ctx.tenant, name)?);
    }
    let description = cmd.description.as_ref().unwrap_or(&team.description);
    let now = tx.now();
    let (mode, capacity) = (cmd.mode.unwrap_or(team.mode), cmd.capacity.unwrap_or(team.capacity));
    let (is_automatic, is_least_loaded) = (mode.is_automatic(), mode == Mode::LeastLoaded);
    let params = params![ctx.tenant.0, id.0, name, description, now, is_automatic, is_least_loaded, capacity];
    tx.execute(sql::UPDATE, &params)?;
    change_configuration(tx)?;
    if let Some(members) = &cmd.members {
        set_members(tx, ctx, id, members)?;
    }
    if let Some(is_default) = cmd.is_default {
        set_default(tx, ctx, id, is_default)?;
    }
    let changed = audit::changed(&[
        ("name", *name != team.name),
        ("description", *description != team.description),
        ("memberIds", cmd.members.is_some()),
        ("isDefault", cmd.is_default.is_some_and(|is_default| is_default != team.is_default)),
        ("assignment", (mode, capacity) != (team.mode, team.capacity)),
    ]);
    audit::note(tx, ctx, "team.updated", id, changed)?;
    get(tx, ctx.tenant, id)
}

/// Takes users into a team; answers those who were not in it.
///
/// Errors: `not_found`; `unknown_id` at `/memberIds/<index>`; `too_many` at `/memberIds`.
pub fn add_members(tx: &mut Tx, ctx: &Ctx, id: TeamId, users: &[UserId]) -> Result<Vec<UserId>> {
    tx.execute(sql::LOCK_TENANT, &params![ctx.tenant.0])?;
    let team = get(tx, ctx.tenant, id)?;
    let mut fresh: Vec<UserId> = users.iter().copied().filter(|user| !team.members.contains(user)).collect();
    fresh.sort();
    fresh.dedup();
    if team.members.len() + fresh.len() > MEMBERS_LIMIT {
        return Err(Error::field("/memberIds", "too_many", "A team has at most 1000 members."));
    }
    add(tx, ctx, id, &fresh)?;
    audit::note(tx, ctx, "team.updated", id, audit::changed(&[("memberIds", true)]))?;
    Ok(fresh)
}

/// Takes users out of a team; those who are not in it are passed over.
///
/// Errors: `not_found`.
pub fn remove_members(tx: &mut Tx, ctx: &Ctx, id: TeamId, users: &[UserId]) -> Result<()> {
    get(tx, ctx.tenant, id)?;
    for user in users.iter().take(MEMBERS_LIMIT) {
        tx.execute(sql::REMOVE_MEMBER, &params![ctx.tenant.0, id.0, user.0])?;
    }
    audit::note(tx, ctx, "team.updated", id, audit::changed(&[("memberIds", true)]))
}

/// Deletes a team: its conversations and inboxes go on without one, and a tenant whose default it was has none. No event
/// per conversation.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: TeamId) -> Result<()> {
    let team = get(tx, ctx.tenant, id)?;
    audit::note(tx, ctx, "team.deleted", id, json!({"name": team.name}))?;
    set_default(tx, ctx, id, false)?;
    for statement in [sql::LEAVE_CONVERSATIONS, sql::LEAVE_INBOXES, sql::CLEAR_MEMBERS, sql::DELETE] {
        tx.execute(statement, &params![ctx.tenant.0, id.0])?;
    }
    Ok(())
}

/// Refuses an id that is no team of the tenant, as a wrong field at `pointer`.
pub fn exists(read: &mut Read, tenant: TenantId, id: TeamId, pointer: &str) -> Result<()> {
    match get(read, tenant, id) {
        Err(error) if error.code == "not_found" => Err(Error::field(pointer, "unknown_id", "There is no such team.")),
        other => other.map(drop),
    }
}

fn taken(tx: &mut Tx, tenant: TenantId, name: &str) -> Result<Error> {
    let error = Error::conflict("team_exists", "There is a team of this name already.");
    let owner = tx.opt(sql::BY_NAME, &params![tenant.0, name], super::team)?;
    Ok(owner.into_iter().fold(error, |error, team| error.with("teamId", team.id)))
}

fn set_members(tx: &mut Tx, ctx: &Ctx, id: TeamId, members: &[UserId]) -> Result<()> {
    tx.execute(sql::CLEAR_MEMBERS, &params![ctx.tenant.0, id.0])?;
    add(tx, ctx, id, members)
}

fn add(tx: &mut Tx, ctx: &Ctx, id: TeamId, members: &[UserId]) -> Result<()> {
    let live = tenants::get(tx, ctx.tenant)?.live();
    let mut wrong = Vec::new();
    for (index, member) in members.iter().enumerate() {
        if users::find(tx, live, *member)?.is_none() {
            let message = "There is no such user.".to_owned();
            wrong.push(FieldError { pointer: format!("/memberIds/{index}"), code: "unknown_id", message });
        }
        tx.execute(sql::ADD_MEMBER, &params![ctx.tenant.0, id.0, member.0])?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::invalid(wrong)) }
}

fn set_default(tx: &mut Tx, ctx: &Ctx, id: TeamId, is_default: bool) -> Result<()> {
    let statement = if is_default { tenants::sql::SET_DEFAULT_TEAM } else { sql::UNSET_DEFAULT };
    let now = tx.now();
    tx.execute(statement, &params![ctx.tenant.0, id.0, now])?;
    change_configuration(tx)?;
    Ok(())
}
