//! Making, changing and deleting rules.

use super::rule::{self, Action, Branch, Trigger};
use super::{Automation, get, sql};
use crate::ctx::Ctx;
use crate::error::FieldError;
use crate::events::numbering;
use crate::ids::AutomationId;
use crate::installation::change_configuration;
use crate::{Error, Kind, Result, audit, teams, tenants, users};
use serde_json::json;
use tieline_db::{Tx, params};

/// Rules of a tenant, on or off.
pub const RULES_LIMIT: i64 = 200;

/// A new rule.
#[derive(Clone, Debug)]
pub struct Create {
    /// 1 to 255 characters.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What starts it.
    pub trigger: Trigger,
    /// Its ways.
    pub branches: Vec<Branch>,
    /// Conditions and actions as another dialect wrote them, JSON.
    pub spelling: Option<String>,
    /// Whether it acts.
    pub is_active: bool,
}

/// Changes of a rule; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// New name.
    pub name: Option<String>,
    /// New description; none inside clears.
    pub description: Option<Option<String>>,
    /// What starts it from now on.
    pub trigger: Option<Trigger>,
    /// Its ways from now on, and how another dialect wrote them.
    pub branches: Option<(Vec<Branch>, Option<String>)>,
    /// Whether it acts.
    pub is_active: Option<bool>,
}

/// Adds a rule; it acts on what happens from now on.
///
/// Errors: `automation_limit_reached`; `unknown_id` at the action that names no team or user of the tenant.
pub fn create(tx: &mut Tx, ctx: &Ctx, cmd: &Create) -> Result<Automation> {
    tenants::lock(tx, ctx.tenant)?; // two at once count each other
    let count: i64 = tx.opt(sql::COUNT, &params![ctx.tenant.0], |row| row.get(0))?.unwrap_or(0);
    if count >= RULES_LIMIT {
        let detail = format!("A tenant has at most {RULES_LIMIT} rules; delete one first.");
        return Err(Error::new(Kind::Limited, "automation_limit_reached", detail));
    }
    check(tx, ctx, &cmd.branches)?;
    let (id, number) = (AutomationId::from_uuid(tx.new_id()), tx.take_number()?);
    let (after, now) = (numbering::last_place(tx)?, tx.now());
    let branches = rule::write(&cmd.branches).to_string();
    let row = params![
        ctx.tenant.0,
        id.0,
        number,
        &cmd.name,
        &cmd.description,
        cmd.trigger.as_str(),
        &branches,
        &cmd.spelling,
        cmd.is_active,
        after,
        now
    ];
    tx.execute(sql::INSERT, &row)?;
    audit::note(tx, ctx, "automation.created", id, json!({"name": cmd.name}))?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Changes a rule. One that is switched on acts on what happens from then on.
///
/// Errors: `not_found`; as [`create`].
pub fn update(tx: &mut Tx, ctx: &Ctx, id: AutomationId, cmd: &Update) -> Result<Automation> {
    tenants::lock(tx, ctx.tenant)?;
    let before = get(tx, ctx.tenant, id)?;
    let (branches, spelling) = match &cmd.branches {
        Some((branches, spelling)) => {
            check(tx, ctx, branches)?;
            (branches, spelling)
        }
        None => (&before.branches, &before.spelling),
    };
    let is_active = cmd.is_active.unwrap_or(before.is_active);
    let after = if is_active && !before.is_active { numbering::last_place(tx)? } else { before.active_after };
    let (written, now) = (rule::write(branches).to_string(), tx.now());
    let row = params![
        ctx.tenant.0,
        id.0,
        cmd.name.as_ref().unwrap_or(&before.name),
        cmd.description.as_ref().unwrap_or(&before.description),
        cmd.trigger.unwrap_or(before.trigger).as_str(),
        &written,
        spelling,
        is_active,
        after,
        now
    ];
    tx.execute(sql::UPDATE, &row)?;
    let changed = audit::changed(&[
        ("name", cmd.name.as_ref().is_some_and(|name| *name != before.name)),
        ("description", cmd.description.as_ref().is_some_and(|text| *text != before.description)),
        ("trigger", cmd.trigger.is_some_and(|trigger| trigger != before.trigger)),
        ("branches", cmd.branches.is_some()),
        ("isActive", is_active != before.is_active),
    ]);
    audit::note(tx, ctx, "automation.updated", id, changed)?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, id)
}

/// Deletes a rule; what it did stays.
///
/// Errors: `not_found`.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: AutomationId) -> Result<()> {
    let rule = get(tx, ctx.tenant, id)?;
    audit::note(tx, ctx, "automation.deleted", id, json!({"name": rule.name}))?;
    tx.execute(sql::DELETE, &params![ctx.tenant.0, id.0])?;
    change_configuration(tx)
}

/// Refuses actions that name a team or user who is not the tenant's.
fn check(tx: &mut Tx, ctx: &Ctx, branches: &[Branch]) -> Result<()> {
    let live = tenants::get(tx, ctx.tenant)?.live();
    let mut wrong: Vec<FieldError> = Vec::new();
    for (branch, item) in branches.iter().enumerate() {
        for (place, action) in item.actions.iter().enumerate() {
            let pointer = |name: &str| format!("/branches/{branch}/actions/{place}/{name}");
            match action {
                Action::AssignTeam(Some(id)) => match teams::exists(tx, ctx.tenant, *id, &pointer("teamId")) {
                    Err(error) if !error.fields.is_empty() => wrong.extend(error.fields),
                    other => other?,
                },
                Action::AssignAgent(Some(id)) if users::find(tx, live, *id)?.is_none() => {
                    let message = "There is no such user.".to_owned();
                    wrong.push(FieldError { pointer: pointer("agentId"), code: "unknown_id", message });
                }
                _ => {}
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::invalid(wrong)) }
}
