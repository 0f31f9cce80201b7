//! Statements over `idempotency_keys`.

use tieline_db::{Many, Ty};

pub static GET: Many = Many::new(
    "select :ord, request_hash, status, location, answer from idempotency_keys where tenant_id = :tenant_id \
     and principal = :principal and route = :route and key = :key and created_at > :since",
    &[("tenant_id", Ty::Int), ("principal", Ty::Text), ("route", Ty::Text), ("key", Ty::Text), ("since", Ty::Int)],
);
/// Over an answer that is older than a day.
pub static KEEP: Many = Many::new(
    "insert into idempotency_keys (tenant_id, principal, route, key, request_hash, status, location, answer, created_at) \
     values (:tenant_id, :principal, :route, :key, :request_hash, :status, :location, :answer, :created_at) \
     on conflict (tenant_id, principal, route, key) do update set \
     request_hash = excluded.request_hash, status = excluded.status, location = excluded.location, answer = excluded.answer, \
     created_at = excluded.created_at where idempotency_keys.created_at <= excluded.created_at - 86400000000",
    &[
        ("tenant_id", Ty::Int),
        ("principal", Ty::Text),
        ("route", Ty::Text),
        ("key", Ty::Text),
        ("request_hash", Ty::Bytes),
        ("status", Ty::Int),
        ("location", Ty::Text),
        ("answer", Ty::Bytes),
        ("created_at", Ty::Int),
    ],
);
/// Housekeeping over all tenants.
pub const PRUNE: &str = "delete from idempotency_keys where (tenant_id, principal, route, key) in \
     (select tenant_id, principal, route, key from idempotency_keys where created_at <= $1 limit $2)";
