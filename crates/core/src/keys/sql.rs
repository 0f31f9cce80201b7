//! Statements over `api_keys`.

use tieline_db::{Many, Ty};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select tenant_id, id, name, description, prefix, scopes, is_active, expires_at, last_used_at, created_at, \
             updated_at from api_keys ",
            $rest
        )
    };
}

pub const GET: &str = select!("where tenant_id = $1 and id = $2");
/// Who calls: the tenant is what this finds out.
pub const BY_HASH: &str = select!("where hash = $1");
pub const INSERT: &str = "insert into api_keys (tenant_id, id, name, description, hash, prefix, scopes, is_active, expires_at, \
     created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, true, $8, $9, $9)";
pub const LIST: &str = select!("where tenant_id = $1 and id < $2 order by id desc limit $3");
pub const UPDATE: &str = "update api_keys set name = $3, description = $4, is_active = $5, scopes = $6, updated_at = $7 \
     where tenant_id = $1 and id = $2";
pub const END: &str = "update api_keys set expires_at = $3, updated_at = $4 where tenant_id = $1 and id = $2";
pub const DELETE: &str = "delete from api_keys where tenant_id = $1 and id = $2";
pub static NOTE_USED: Many = Many::new(
    "update api_keys set last_used_at = :at where tenant_id = :tenant_id and id = :id",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid), ("at", Ty::Int)],
);
