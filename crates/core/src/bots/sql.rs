//! Statements over `bots`.

use tieline_db::{Many, Ty};

macro_rules! select {
    ($more:literal, $rest:literal) => {
        concat!(
            "select b.id, b.number, b.name, b.description, w.url, b.config, b.access_token_sealed, \
             coalesce(w.secret_sealed, b.secret_sealed), b.endpoint_id, b.created_at, b.updated_at",
            $more,
            " from bots b left join webhook_endpoints w on w.tenant_id = b.tenant_id and w.id = b.endpoint_id ",
            $rest
        )
    };
}

pub const GET: &str = select!("", "where b.tenant_id = $1 and b.id = $2");
pub const BY_NUMBER: &str = select!("", "where b.tenant_id = $1 and b.number = $2");
pub const LIST: &str = select!("", "where b.tenant_id = $1 order by b.number limit $2");
/// The hash is unique in the installation and says which tenant is meant.
pub const BY_TOKEN: &str = select!(", b.tenant_id", "where b.access_token_hash = $1");
pub const ON_INBOX: &str =
    select!("", "join inboxes i on i.tenant_id = b.tenant_id and i.bot_id = b.id where i.tenant_id = $1 and i.id = $2");
/// A bot whose address is off, or does not answer for the time being, works nowhere.
pub const WORKS_IN: &str = "select 1 from inboxes i join bots b on b.tenant_id = i.tenant_id and b.id = i.bot_id \
     left join webhook_endpoints w on w.tenant_id = b.tenant_id and w.id = b.endpoint_id \
     left join endpoint_states s on s.endpoint_id = b.endpoint_id where i.tenant_id = $1 and i.id = $2 \
     and (b.endpoint_id is null or (w.is_active and s.next_probe_at is null))";
pub const INBOXES: &str = "select id from inboxes where tenant_id = $1 and bot_id = $2 order by id limit $3";
pub const COUNT: &str = "select count(*) from bots where tenant_id = $1";
pub const INSERT: &str = "insert into bots (tenant_id, id, number, name, description, endpoint_id, config, \
     access_token_hash, access_token_sealed, secret_sealed, created_at, updated_at) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)";
pub const UPDATE: &str = "update bots set name = $3, description = $4, endpoint_id = $5, config = $6, updated_at = $7 \
     where tenant_id = $1 and id = $2";
pub const SET_TOKEN: &str = "update bots set access_token_hash = $3, access_token_sealed = $4, updated_at = $5 \
     where tenant_id = $1 and id = $2";
pub const SET_SECRET: &str = "update bots set secret_sealed = $3, updated_at = $4 where tenant_id = $1 and id = $2";
pub const DELETE: &str = "delete from bots where tenant_id = $1 and id = $2";
pub const SET_ON: &str = "update inboxes set bot_id = $3, updated_at = $4 where tenant_id = $1 and id = $2";
pub const LEAVE_INBOXES: &str = "update inboxes set bot_id = null where tenant_id = $1 and bot_id = $2";
pub static LOCK_CONVERSATIONS: Many = Many::new(
    "select 1 from conversations where tenant_id = :tenant_id and bot_id = :bot_id order by tenant_id, id for update",
    &[("tenant_id", Ty::Int), ("bot_id", Ty::Uuid)],
);
pub const LEAVE_CONVERSATIONS: &str = "update conversations set bot_id = null where tenant_id = $1 and bot_id = $2";
