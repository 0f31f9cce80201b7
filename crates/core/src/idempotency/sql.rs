//! Statements over `idempotency_keys`.

pub const GET: &str = "select request_hash, status, location, answer from idempotency_keys \
     where tenant_id = $1 and principal = $2 and route = $3 and key = $4 and created_at > $5";
pub const KEEP: &str = "insert into idempotency_keys (tenant_id, principal, route, key, request_hash, status, location, answer, \
     created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (tenant_id, principal, route, key) do update set \
     request_hash = excluded.request_hash, status = excluded.status, location = excluded.location, answer = excluded.answer, \
     created_at = excluded.created_at where idempotency_keys.created_at <= $10";
/// Housekeeping over all tenants.
pub const PRUNE: &str = "delete from idempotency_keys where (tenant_id, principal, route, key) in \
     (select tenant_id, principal, route, key from idempotency_keys where created_at <= $1 limit $2)";
