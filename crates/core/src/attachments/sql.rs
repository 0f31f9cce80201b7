//! Statements over `attachments`.

use tieline_db::{Many, Ty};

/// The columns of an attachment `a`, as `attachment()` reads them.
macro_rules! columns {
    () => {
        "a.id, a.name, a.content_type, a.size, a.state, a.error"
    };
}

pub const GET: &str = concat!("select ", columns!(), " from attachments a where a.tenant_id = $1 and a.id = $2");
pub static OF_MESSAGES: Many = Many::new(
    concat!(
        "select :ord, a.place, ",
        columns!(),
        " from attachments a where a.tenant_id = :tenant_id and a.message_id = :message_id"
    ),
    &[("tenant_id", Ty::Int), ("message_id", Ty::Uuid)],
);
pub static INSERT: Many = Many::new(
    "insert into attachments (tenant_id, id, message_id, place, name, content_type, state, source_url, attempts, due_at, \
     created_at, updated_at) values (:tenant_id, :id, :message_id, :place, :name, :content_type, 'pending', :source_url, 0, \
     :due_at, :created_at, :created_at)",
    &[
        ("tenant_id", Ty::Int),
        ("id", Ty::Uuid),
        ("message_id", Ty::Uuid),
        ("place", Ty::Int),
        ("name", Ty::Text),
        ("content_type", Ty::Text),
        ("source_url", Ty::Text),
        ("due_at", Ty::Int),
        ("created_at", Ty::Int),
    ],
);
pub const INSERT_LOST: &str = "insert into attachments (tenant_id, id, message_id, place, name, content_type, state, error, \
     attempts, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, 'failed', $7, 0, $8, $8)";
pub const RECEIVE: &str = "update attachments set state = 'stored', size = $3, content_type = $4, name = $5, updated_at = $6 \
     where tenant_id = $1 and id = $2 and state = 'pending' and source_url is null";
pub const DISCARD: &str = "delete from attachments where tenant_id = $1 and id = $2 and message_id is null";

/// Uploads only; the lower bound keeps off what housekeeping is about to remove.
pub const CLAIM: &str = "update attachments set message_id = $3, place = $4, updated_at = $5 where tenant_id = $1 \
     and id = $2 and message_id is null and state = 'stored' and created_at > $6";
pub const UNCLAIM: &str = "update attachments set message_id = null where tenant_id = $1 and message_id = $2";
pub const IS_TAKEN: &str =
    "select 1 from attachments where tenant_id = $1 and id = $2 and message_id is not null and source_url is null";

/// Marks what no message took, so that none can any more. A claim of a loop: over all tenants.
pub const UNCLAIMED: &str = "update attachments set state = 'failed', error = 'unclaimed' where message_id is null \
     and created_at < $1 and (tenant_id, id) in (select tenant_id, id from attachments where message_id is null \
     and created_at < $1 order by created_at limit $2) returning tenant_id, id";

pub const NEXT_DUE: &str = "select min(due_at) from attachments where due_at is not null";
/// Leases what is due until $2 and counts the attempt, before it is made. A claim of a loop: over all tenants.
pub const TAKE_DUE: &str = "update attachments set due_at = $2, attempts = attempts + 1 where state = 'pending' \
     and due_at <= $1 and (tenant_id, id) in (select tenant_id, id from attachments where due_at is not null \
     and due_at <= $1 order by due_at limit $3) \
     returning tenant_id, id, source_url, name, content_type, attempts";
pub const MESSAGE: &str = "select message_id from attachments where tenant_id = $1 and id = $2";
/// The number of the attempt fences off one whose lease ran out.
pub const FETCHED: &str = "update attachments set state = $4, size = $5, content_type = $6, error = $7, due_at = $8, \
     updated_at = $9 where tenant_id = $1 and id = $2 and attempts = $3 and state = 'pending'";
