//! Statements over `automations`. The reactor's loop asks across tenants; its statements name no `tenant_id`.

use tieline_db::{Many, Ty};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select tenant_id, id, number, name, description, started_by, branches, spelling, is_active, active_after, \
             run_count, last_run_at, last_error, last_error_at, created_at, updated_at from automations ",
            $rest
        )
    };
}

pub const GET: &str = select!("where tenant_id = $1 and id = $2");
pub const BY_NUMBER: &str = select!("where tenant_id = $1 and number = $2");
pub const LIST: &str = select!("where tenant_id = $1 and id < $2 order by id desc limit $3");
pub const ACTIVE: &str = select!("where tenant_id = $1 and is_active order by number limit $2");
pub const COUNT: &str = "select count(*) from automations where tenant_id = $1";
pub const INSERT: &str = "insert into automations (tenant_id, id, number, name, description, started_by, branches, spelling, \
     is_active, active_after, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)";
pub const UPDATE: &str = "update automations set name = $3, description = $4, started_by = $5, branches = $6, spelling = $7, \
     is_active = $8, active_after = $9, updated_at = $10 where tenant_id = $1 and id = $2";
pub const DELETE: &str = "delete from automations where tenant_id = $1 and id = $2";

/// Of the loop: what any active rule of the installation waits for, and the first event that one may act on.
pub const WATCHED: &str = "select started_by, min(active_after) from automations where is_active group by started_by";
pub static RAN: Many = Many::new(
    "update automations set run_count = run_count + :runs, last_run_at = coalesce(:ran_at, last_run_at), \
     last_error = coalesce(:error, last_error), last_error_at = coalesce(:failed_at, last_error_at) \
     where tenant_id = :tenant_id and id = :id",
    &[
        ("tenant_id", Ty::Int),
        ("id", Ty::Uuid),
        ("runs", Ty::Int),
        ("ran_at", Ty::Int),
        ("error", Ty::Text),
        ("failed_at", Ty::Int),
    ],
);

pub const CURSOR: &str = "select value from installation where name = $1";
pub const START_CURSOR: &str = "insert into installation (name, value) values ($1, $2) on conflict (name) do nothing";
pub const MOVE_CURSOR: &str = "update installation set value = $2 where name = $1 and value = $3";
