//! Statements over `contact_inboxes`.

use tieline_db::{Many, Ty};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select inbox_id, source_id, number, contact_id, is_verified, created_at, updated_at from contact_inboxes ",
            $rest
        )
    };
}

pub const GET: &str = select!("where tenant_id = $1 and inbox_id = $2 and source_id = $3");
pub const BY_NUMBER: &str = select!("where tenant_id = $1 and number = $2");
pub const OF_CONTACT: &str = select!("where tenant_id = $1 and contact_id = $2 order by number desc limit $3");
pub const BY_SOURCE: &str = select!(
    "where tenant_id = $1 and source_id = $2 and inbox_id in (select id from inboxes where tenant_id = $1) \
     order by number desc limit 1"
);
pub const NEWEST: &str =
    select!("where tenant_id = $1 and contact_id = $2 and inbox_id = $3 order by number desc limit 1");
pub const INSERT: &str = "insert into contact_inboxes (tenant_id, inbox_id, source_id, number, contact_id, is_verified, \
     created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $7) on conflict (tenant_id, inbox_id, source_id) do nothing";
pub const VERIFY: &str = "update contact_inboxes set is_verified = true, updated_at = $4 \
     where tenant_id = $1 and inbox_id = $2 and source_id = $3";
pub static LOCK_OF_CONTACT: Many = Many::new(
    "select 1 from contact_inboxes where tenant_id = :tenant_id and contact_id = :contact_id \
     order by tenant_id, inbox_id, source_id for update",
    &[("tenant_id", Ty::Int), ("contact_id", Ty::Uuid)],
);
pub static LOCK: Many = Many::new(
    "select 1 from contact_inboxes where tenant_id = :tenant_id and inbox_id = :inbox_id and source_id = :source_id \
     order by tenant_id, inbox_id, source_id for update",
    &[("tenant_id", Ty::Int), ("inbox_id", Ty::Uuid), ("source_id", Ty::Text)],
);
