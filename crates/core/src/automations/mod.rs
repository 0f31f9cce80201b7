//! Automation rules: what to do when something happens.
//!
//! Rules read the log: whatever happens through any dialect, in any inbox, starts them. Exactly once for an event and a
//! rule, because the reader's cursor moves in the transaction of what they do ([`react`]). All rules of an event act, the
//! oldest first, each by its first branch whose conditions are met (contract B9, D6.4). Loop guard: what a rule does starts
//! no rule.

pub mod condition;
mod react;
pub mod rule;
mod run;
pub(crate) mod sql;
mod write;

pub use react::{Failed, Known, Look, Skip, Work, look, pass, react};
pub use write::{Create, RULES_LIMIT, Update, create, delete, update};

use crate::ids::{AutomationId, TenantId};
use crate::page::Page;
use crate::{Error, Result};
use rule::{Branch, Trigger};
use tieline_db::{Read, Row, params};

/// A rule of a tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Automation {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id.
    pub id: AutomationId,
    /// Its number in the installation.
    pub number: i64,
    /// Display name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What starts it.
    pub trigger: Trigger,
    /// Its ways; the first whose conditions are met is taken.
    pub branches: Vec<Branch>,
    /// Conditions and actions as another dialect wrote them, JSON; none: as the branches say.
    pub spelling: Option<String>,
    /// Whether it acts.
    pub is_active: bool,
    /// It acts on events after this position of the log.
    pub active_after: i64,
    /// How often a branch of it was taken.
    pub run_count: i64,
    /// When that last was. Microseconds UTC, like all times here.
    pub last_run_at: Option<i64>,
    /// What last went wrong.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

fn automation(row: &Row) -> tieline_db::Result<Automation> {
    let stored = |what: &str| tieline_db::Error::Sql(format!("unknown {what} in automations"));
    let branches = serde_json::from_str(&row.get::<String>(6)?).map_err(|_| stored("branches"))?;
    Ok(Automation {
        tenant: TenantId(row.get(0)?),
        id: AutomationId::from_uuid(row.get(1)?),
        number: row.get(2)?,
        name: row.get(3)?,
        description: row.get(4)?,
        trigger: Trigger::from_text(&row.get::<String>(5)?).ok_or_else(|| stored("trigger"))?,
        branches: rule::read(&branches, "").map_err(|_| stored("branches"))?,
        spelling: row.get(7)?,
        is_active: row.get(8)?,
        active_after: row.get(9)?,
        run_count: row.get(10)?,
        last_run_at: row.get(11)?,
        last_error: row.get(12)?,
        last_error_at: row.get(13)?,
        created_at: row.get(14)?,
        updated_at: row.get(15)?,
    })
}

/// One of the tenant's rules.
///
/// Errors: `not_found`, also for another tenant's.
pub fn get(read: &mut Read, tenant: TenantId, id: AutomationId) -> Result<Automation> {
    read.opt(sql::GET, &params![tenant.0, id.0], automation)?.ok_or_else(|| Error::not_found("automation"))
}

/// The rule with this number.
///
/// Errors: `not_found`.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Automation> {
    read.opt(sql::BY_NUMBER, &params![tenant.0, number], automation)?.ok_or_else(|| Error::not_found("automation"))
}

/// The tenant's rules, newest first.
pub fn list(read: &mut Read, tenant: TenantId, page: Page) -> Result<Vec<Automation>> {
    Ok(read.all(sql::LIST, &params![tenant.0, page.before.1, page.limit], automation)?)
}

/// The tenant's rules that act, in the order in which they do.
pub fn active(read: &mut Read, tenant: TenantId) -> Result<Vec<Automation>> {
    Ok(read.all(sql::ACTIVE, &params![tenant.0, RULES_LIMIT], automation)?)
}
