//! Statements over what nodes tell each other of the requests they let in.

use tieline_db::{Many, Ty};

/// A batch is counted once, however often it is sent: a node's batches are numbered. Of the installation, no tenant's.
pub const ADVANCE: &str = "insert into request_nodes (node, batch, seen_at) values ($1, $2, $3) \
     on conflict (node) do update set batch = excluded.batch, seen_at = excluded.seen_at \
     where request_nodes.batch < excluded.batch";
pub static ADD: Many = Many::new(
    "insert into request_counts (tenant_id, principal, period, requests, ends_at) \
     values (:tenant_id, :principal, :period, :requests, :ends_at) on conflict (tenant_id, principal, period) \
     do update set requests = request_counts.requests + excluded.requests",
    &[
        ("tenant_id", Ty::Int),
        ("principal", Ty::Uuid),
        ("period", Ty::Text),
        ("requests", Ty::Int),
        ("ends_at", Ty::Int),
    ],
);
pub static SET_WINDOW: Many = Many::new(
    "insert into request_windows (tenant_id, principal, node, seconds, updated_at) \
     values (:tenant_id, :principal, :node, :seconds, :updated_at) on conflict (tenant_id, principal, node) \
     do update set seconds = excluded.seconds, updated_at = excluded.updated_at",
    &[
        ("tenant_id", Ty::Int),
        ("principal", Ty::Uuid),
        ("node", Ty::Uuid),
        ("seconds", Ty::Text),
        ("updated_at", Ty::Int),
    ],
);
pub static COUNTS: Many = Many::new(
    "select :ord, requests from request_counts \
     where tenant_id = :tenant_id and principal = :principal and period = :period",
    &[("tenant_id", Ty::Int), ("principal", Ty::Uuid), ("period", Ty::Text)],
);
pub static OTHERS: Many = Many::new(
    "select :ord, seconds from request_windows \
     where tenant_id = :tenant_id and principal = :principal and node <> :node",
    &[("tenant_id", Ty::Int), ("principal", Ty::Uuid), ("node", Ty::Uuid)],
);

/// Housekeeping, of all tenants.
pub const PRUNE_WINDOWS: &str = "delete from request_windows where (tenant_id, principal, node) in \
     (select tenant_id, principal, node from request_windows where updated_at < $1 order by updated_at limit $2)";
pub const PRUNE_COUNTS: &str = "delete from request_counts where (tenant_id, principal, period) in \
     (select tenant_id, principal, period from request_counts where ends_at < $1 order by ends_at limit $2)";
pub const PRUNE_NODES: &str =
    "delete from request_nodes where node in (select node from request_nodes where seen_at < $1 limit $2)";
