//! Statements over `timers`. The loop of the installation claims across tenants; its statements name no `tenant_id`.

pub const SET: &str = "insert into timers (tenant_id, kind, subject, due_at) values ($1, $2, $3, $4) \
     on conflict (tenant_id, kind, subject) do update set due_at = excluded.due_at";
pub const CLEAR: &str = "delete from timers where tenant_id = $1 and kind = $2 and subject = $3";
/// Of a loop, over all tenants.
pub const DUE: &str =
    "select tenant_id, subject, due_at from timers where due_at <= $1 and kind = $2 order by due_at limit $3";
/// Deleting is claiming: whoever else wants the row waits for this transaction, and finds it gone.
pub const CLAIM: &str = "delete from timers where tenant_id = $1 and kind = $2 and subject = $3 and due_at <= $4";
/// Claim of a loop.
pub const NEXT: &str = "select due_at from timers order by due_at limit 1";
