//! Statements over `tenants`. A test partition shows its parent's plan.

use tieline_db::{Many, Ty};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select t.id, t.parent_id, t.slug, t.name, t.default_team_id, p.plan_name, p.has_api, p.has_webhooks, \
             p.max_webhooks, p.rate_per_minute, p.rate_burst, p.daily_quota, p.monthly_quota, p.own_rate_per_minute, \
             p.own_monthly_quota, p.log_bodies, t.created_at, t.keeps_state \
             from tenants t join tenants p on p.id = coalesce(t.parent_id, t.id) ",
            $rest
        )
    };
}

pub const GET: &str = select!("where t.id = $1");
pub const BY_SLUG: &str = select!("where t.slug = $1 and t.parent_id is null");
pub const TEST_OF: &str = select!("where t.parent_id = $1");
pub const ALL: &str = select!("where t.parent_id is null order by t.id limit $1");
pub static LOCK: Many = Many::new("select 1 from tenants where id = :id for update", &[("id", Ty::Int)]);
pub const NEXT_ID: &str = "select coalesce(max(id), 0) + 1 from tenants";
pub const INSERT: &str = "insert into tenants (id, parent_id, slug, name, plan_name, has_api, has_webhooks, max_webhooks, \
     rate_per_minute, rate_burst, daily_quota, monthly_quota, log_bodies, created_at, updated_at) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, false, $13, $13)";
pub const UPDATE: &str = "update tenants set name = $2, plan_name = $3, has_api = $4, has_webhooks = $5, max_webhooks = $6, \
     rate_per_minute = $7, rate_burst = $8, daily_quota = $9, monthly_quota = $10, updated_at = $11 where id = $1 or parent_id = $1";
pub static TAKE_NUMBERS: Many = Many::new(
    "insert into tenant_numbers (tenant_id, conversation_number) values (:tenant_id, :count) on conflict (tenant_id) \
     do update set conversation_number = tenant_numbers.conversation_number + excluded.conversation_number \
     returning tenant_id, conversation_number",
    &[("tenant_id", Ty::Int), ("count", Ty::Int)],
);
/// Moves the counter on to a number that it has not come to; no row when it has.
pub static SKIP_NUMBERS: Many = Many::new(
    "insert into tenant_numbers (tenant_id, conversation_number) values (:tenant_id, :number) on conflict (tenant_id) \
     do update set conversation_number = excluded.conversation_number \
     where tenant_numbers.conversation_number < excluded.conversation_number returning conversation_number",
    &[("tenant_id", Ty::Int), ("number", Ty::Int)],
);
/// A sum of integers is no integer on PostgreSQL.
pub const COUNTS: &str = "select cast(coalesce(sum(contacts), 0) as bigint), cast(coalesce(sum(active), 0) as bigint), \
     cast(coalesce(sum(snoozed), 0) as bigint), cast(coalesce(sum(done), 0) as bigint), \
     cast(coalesce(sum(archived), 0) as bigint) from tenant_counters where tenant_id = $1";
pub static COUNT: Many = Many::new(
    "insert into tenant_counters (tenant_id, slot, contacts, active, snoozed, done, archived) \
     values (:tenant_id, :slot, :contacts, :active, :snoozed, :done, :archived) on conflict (tenant_id, slot) do update set \
     contacts = tenant_counters.contacts + excluded.contacts, active = tenant_counters.active + excluded.active, \
     snoozed = tenant_counters.snoozed + excluded.snoozed, done = tenant_counters.done + excluded.done, \
     archived = tenant_counters.archived + excluded.archived",
    &[
        ("tenant_id", Ty::Int),
        ("slot", Ty::Int),
        ("contacts", Ty::Int),
        ("active", Ty::Int),
        ("snoozed", Ty::Int),
        ("done", Ty::Int),
        ("archived", Ty::Int),
    ],
);
pub const KEEP_STATE: &str = "update tenants set keeps_state = true where id = $1 and not keeps_state";
pub const SET_DEFAULT_TEAM: &str = "update tenants set default_team_id = $2, updated_at = $3 where id = $1";
pub const UPDATE_WISHES: &str = "update tenants set own_rate_per_minute = $2, own_monthly_quota = $3, log_bodies = $4, \
     updated_at = $5 where id = $1 or parent_id = $1";
/// For loops over everybody: partitions of both kinds.
pub const AFTER: &str = "select id from tenants where id > $1 order by id limit $2";
