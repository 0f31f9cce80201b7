//! Tenants: the unit of everything. A live tenant has one test partition beside it, with a number of its own and data of
//! its own; plan, users and roles are the live tenant's.

mod counts;
mod create;
pub(crate) mod sql;

pub(crate) use counts::{Counting, contacts_gone};
pub use counts::{Counts, counts};
pub use create::{CreateTenant, UpdateTenant, create, update, wish};

use crate::ids::{TeamId, TenantId};
pub use crate::keys::token::Mode;
use crate::limits::{Limits, Tier};
use crate::{Error, Result};
use tieline_db::{Read, Row, Tx, params};

/// What a tenant may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Shown in `/v1/me`.
    pub name: String,
    /// API keys work.
    pub has_api: bool,
    /// Webhooks can be managed.
    pub has_webhooks: bool,
    /// Webhook endpoints per partition.
    pub max_webhooks: i64,
    /// Requests in any trailing 60 s, per key.
    pub rate_per_minute: i64,
    /// That many more in the same 60 s; only tiers have bursts.
    pub rate_burst: i64,
    /// Requests a day (UTC), per key; none is unlimited.
    pub daily_quota: Option<i64>,
    /// Requests a calendar month (UTC); none is unlimited.
    pub monthly_quota: Option<i64>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            name: "self-hosted".into(),
            has_api: true,
            has_webhooks: true,
            max_webhooks: 10,
            rate_per_minute: 120,
            rate_burst: 0,
            daily_quota: None,
            monthly_quota: None,
        }
    }
}

impl Plan {
    /// What each of the tenant's keys and users may use.
    pub fn limits(&self) -> Limits {
        Limits {
            per_minute: self.rate_per_minute,
            burst: self.rate_burst,
            per_day: self.daily_quota,
            per_month: self.monthly_quota,
        }
    }

    /// This plan with a tier's limits; the monthly quota stays.
    pub fn with_tier(self, tier: Tier) -> Plan {
        let (rate_per_minute, rate_burst, per_day) = tier.numbers();
        Plan { rate_per_minute, rate_burst, daily_quota: Some(per_day), ..self }
    }
}

/// One partition of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// This partition's number.
    pub id: TenantId,
    /// The live partition, when this is the test one.
    pub parent: Option<TenantId>,
    /// Short name, unique in the installation.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// Where conversations land when their inbox has no team.
    pub default_team: Option<TeamId>,
    /// What it may use; the parent's for a test partition.
    pub plan: Plan,
    /// What it wants for itself; the parent's for a test partition.
    pub wishes: Wishes,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Events of this partition are frozen with all of the state, because some format wants it.
    pub keeps_state: bool,
}

/// What a tenant sets for itself, within its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Requests in any trailing 60 s, per key, without bursts; none leaves it to the plan.
    pub requests_per_minute: Option<i64>,
    /// Requests a calendar month (UTC); none leaves it to the plan.
    pub monthly_quota: Option<i64>,
    /// Whether the request log keeps bodies.
    pub log_bodies: bool,
}

impl Tenant {
    /// What each of its keys and users may use: the plan, or less where the tenant wants less.
    pub fn limits(&self) -> Limits {
        let mut limits = self.plan.limits();
        if let Some(wish) = self.wishes.requests_per_minute
            && wish < limits.per_minute + limits.burst
        {
            (limits.per_minute, limits.burst) = (wish, 0);
        }
        if let Some(wish) = self.wishes.monthly_quota {
            limits.per_month = Some(limits.per_month.map_or(wish, |quota| quota.min(wish)));
        }
        limits
    }
    /// Live or test.
    pub fn mode(&self) -> Mode {
        if self.parent.is_some() { Mode::Test } else { Mode::Live }
    }
    /// The live partition: where users and the plan are.
    pub fn live(&self) -> TenantId {
        self.parent.unwrap_or(self.id)
    }
}

fn tenant(row: &Row) -> tieline_db::Result<Tenant> {
    Ok(Tenant {
        id: TenantId(row.get(0)?),
        parent: row.get::<Option<_>>(1)?.map(TenantId),
        slug: row.get(2)?,
        name: row.get(3)?,
        default_team: row.get::<Option<_>>(4)?.map(TeamId::from_uuid),
        plan: Plan {
            name: row.get(5)?,
            has_api: row.get(6)?,
            has_webhooks: row.get(7)?,
            max_webhooks: row.get(8)?,
            rate_per_minute: row.get(9)?,
            rate_burst: row.get(10)?,
            daily_quota: row.get(11)?,
            monthly_quota: row.get(12)?,
        },
        wishes: Wishes { requests_per_minute: row.get(13)?, monthly_quota: row.get(14)?, log_bodies: row.get(15)? },
        created_at: row.get(16)?,
        keeps_state: row.get(17)?,
    })
}

/// The partition with this number.
pub fn get(read: &mut Read, id: TenantId) -> Result<Tenant> {
    read.opt(sql::GET, &params![id.0], tenant)?.ok_or_else(|| Error::not_found("tenant"))
}

/// The partition of the tenant with this slug.
pub fn by_slug(read: &mut Read, slug: &str, mode: Mode) -> Result<Tenant> {
    let live = read.opt(sql::BY_SLUG, &params![slug], tenant)?;
    let live =
        live.ok_or_else(|| Error::new(crate::Kind::NotFound, "not_found", format!("There is no tenant {slug:?}.")))?;
    match mode {
        Mode::Live => Ok(live),
        Mode::Test => {
            read.opt(sql::TEST_OF, &params![live.id.0], tenant)?.ok_or_else(|| Error::not_found("test partition"))
        }
    }
}

/// Live tenants, oldest first, up to `limit`.
pub fn all(read: &mut Read, limit: i64) -> Result<Vec<Tenant>> {
    Ok(read.all(sql::ALL, &params![limit], tenant)?)
}

/// Numbers of up to `limit` partitions, live and test, after this one.
pub fn after(read: &mut Read, id: TenantId, limit: i64) -> Result<Vec<TenantId>> {
    Ok(read.all(sql::AFTER, &params![id.0, limit], |row| Ok(TenantId(row.get(0)?)))?)
}

/// From now on events of this partition are frozen with all of the state.
pub(crate) fn keep_state(tx: &mut Tx, tenant: TenantId) -> Result<()> {
    tx.execute(sql::KEEP_STATE, &params![tenant.0])?;
    Ok(())
}

/// Lets one transaction at a time go on for this tenant; false on SQLite, where there is never another. What was read before
/// may be old after a true.
pub(crate) fn lock(tx: &mut Tx, tenant: TenantId) -> Result<bool> {
    Ok(tx.lock(&sql::LOCK, &params![tenant.0])?.is_some())
}
