//! Making and changing tenants: the operator's verbs, and the one of the tenant's owner.

use super::{Mode, Plan, Tenant, Wishes, by_slug, get, sql};
use crate::audit::{self, By};
use crate::ctx::Ctx;
use crate::ids::TenantId;
use crate::installation::change_configuration;
use crate::{Error, FieldError, Result};
use serde_json::json;
use tieline_db::{Tx, params};

/// A new tenant.
#[derive(Clone, Debug)]
pub struct CreateTenant {
    /// 1 to 63 of `a-z`, `0-9`, `-`, starting with a letter; unique in the installation.
    pub slug: String,
    /// 1 to 200 characters.
    pub name: String,
    /// What it may use.
    pub plan: Plan,
}

/// Changes of a tenant; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct UpdateTenant {
    /// New display name.
    pub name: Option<String>,
    /// New plan.
    pub plan: Option<Plan>,
}

fn check(slug: &str, name: &str, plan: &Plan) -> Result<()> {
    let mut wrong = Vec::new();
    let mut refuse = |pointer: &str, code, message: &str| {
        wrong.push(FieldError { pointer: pointer.into(), code, message: message.into() });
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if slug.is_empty() || slug.len() > 63 || !slug.as_bytes()[0].is_ascii_lowercase() || !slug.bytes().all(plain) {
        refuse("/slug", "invalid_value", "A slug is 1 to 63 of a-z, 0-9 and -, starting with a letter.");
    }
    if name.trim().is_empty() || name.chars().count() > 200 {
        refuse("/name", "invalid_value", "A name has 1 to 200 characters.");
    }
    if !(0..=1000).contains(&plan.max_webhooks) {
        refuse("/maxWebhooks", "out_of_range", "Webhook endpoints: 0 to 1000.");
    }
    if !(1..=1_000_000).contains(&plan.rate_per_minute) {
        refuse("/rateLimit", "out_of_range", "Requests a minute: 1 to 1000000.");
    }
    if !(0..=1_000_000).contains(&plan.rate_burst) {
        refuse("/rateBurst", "out_of_range", "A burst is 0 to 1000000 requests.");
    }
    if plan.daily_quota.is_some_and(|quota| quota < 1) {
        refuse("/dailyQuota", "out_of_range", "A daily quota is at least 1.");
    }
    if plan.monthly_quota.is_some_and(|quota| quota < 1) {
        refuse("/monthlyQuota", "out_of_range", "A monthly quota is at least 1.");
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::invalid(wrong)) }
}

/// Makes a tenant with both partitions, for whoever asks, or for Tieline itself; answers the live one.
///
/// Errors: `slug_taken`.
pub fn create(tx: &mut Tx, ctx: Option<&Ctx>, cmd: &CreateTenant) -> Result<Tenant> {
    check(&cmd.slug, &cmd.name, &cmd.plan)?;
    match by_slug(tx, &cmd.slug, Mode::Live) {
        Ok(_) => return Err(Error::conflict("slug_taken", format!("There is a tenant {:?} already.", cmd.slug))),
        Err(error) if error.code == "not_found" => {}
        Err(error) => return Err(error),
    }
    let live: i64 = tx.opt(sql::NEXT_ID, &[], |row| row.get(0))?.unwrap_or(1);
    for (id, parent) in [(live, None), (live + 1, Some(live))] {
        let plan = &cmd.plan;
        tx.execute(
            sql::INSERT,
            &params![
                id,
                parent,
                &cmd.slug,
                &cmd.name,
                &plan.name,
                plan.has_api,
                plan.has_webhooks,
                plan.max_webhooks,
                plan.rate_per_minute,
                plan.rate_burst,
                plan.daily_quota,
                plan.monthly_quota,
                tx.now()
            ],
        )?;
    }
    let detail = json!({"slug": cmd.slug, "name": cmd.name});
    audit::note(tx, (TenantId(live), ctx), "tenant.created", TenantId(live), detail)?;
    change_configuration(tx)?;
    get(tx, TenantId(live))
}

/// Changes a tenant; holds within a second on every node.
pub fn update(tx: &mut Tx, ctx: Option<&Ctx>, slug: &str, cmd: &UpdateTenant) -> Result<Tenant> {
    let now = by_slug(tx, slug, Mode::Live)?;
    let name = cmd.name.as_ref().unwrap_or(&now.name);
    let plan = cmd.plan.as_ref().unwrap_or(&now.plan);
    check(&now.slug, name, plan)?;
    tx.execute(
        sql::UPDATE,
        &params![
            now.id.0,
            name,
            &plan.name,
            plan.has_api,
            plan.has_webhooks,
            plan.max_webhooks,
            plan.rate_per_minute,
            plan.rate_burst,
            plan.daily_quota,
            plan.monthly_quota,
            tx.now()
        ],
    )?;
    let changed = audit::changed(&[("name", *name != now.name), ("plan", *plan != now.plan)]);
    audit::note(tx, (now.id, ctx), "tenant.updated", now.id, changed)?;
    change_configuration(tx)?;
    get(tx, now.id)
}

/// Sets what a live tenant wants for itself; holds within a second on every node.
pub fn wish<'a>(tx: &mut Tx, by: impl Into<By<'a>>, wishes: &Wishes) -> Result<Tenant> {
    let by = by.into();
    let live = by.tenant;
    let now = tx.now();
    let Wishes { requests_per_minute, monthly_quota, log_bodies } = wishes;
    tx.execute(sql::UPDATE_WISHES, &params![live.0, *requests_per_minute, *monthly_quota, *log_bodies, now])?;
    let detail =
        json!({"requestsPerMinute": requests_per_minute, "monthlyQuota": monthly_quota, "logBodies": log_bodies});
    audit::note(tx, by, "tenant.updated", live, detail)?;
    change_configuration(tx)?;
    get(tx, live)
}
