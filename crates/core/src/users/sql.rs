//! Statements over `users`.

macro_rules! select {
    ($rest:literal) => {
        concat!("select id, number, email, name, role, is_active, created_at, updated_at from users ", $rest)
    };
}

pub const GET: &str = select!("where tenant_id = $1 and id = $2");
pub const BY_EMAIL: &str = select!("where tenant_id = $1 and email = $2");
pub const LIST: &str = select!("where tenant_id = $1 and id < $2 order by id desc limit $3");
pub const INSERT: &str = "insert into users (tenant_id, id, email, name, role, password_hash, access_token_hash, \
     access_token_sealed, is_active, created_at, updated_at, number) values ($1, $2, $3, $4, $5, $6, $7, $8, true, $9, $9, $10) \
     on conflict (tenant_id, email) do nothing";
pub const UPDATE: &str = "update users set name = $3, role = $4, is_active = $5, \
     password_hash = coalesce($6, password_hash), updated_at = $7 where tenant_id = $1 and id = $2";
/// Changes nothing; on PostgreSQL it holds the tenant's row, so that two owners never leave at the same time.
pub const LOCK_TENANT: &str = "update tenants set name = name where id = $1";
pub const OTHER_OWNERS: &str =
    "select 1 from users where tenant_id = $1 and id <> $2 and role = 'owner' and is_active limit 1";
pub const BY_NUMBER: &str = select!("where tenant_id = $1 and number = $2");
/// The hash is unique in the installation and says which tenant is meant.
pub const BY_TOKEN: &str = "select id, number, email, name, role, is_active, created_at, updated_at, tenant_id, access_token_sealed \
     from users where access_token_hash = $1";
