//! Statements over `snippets`.

macro_rules! select {
    ($rest:literal) => {
        concat!("select id, number, shortcut, text, created_at, updated_at from snippets ", $rest)
    };
}

pub const BY_NUMBER: &str = select!("where tenant_id = $1 and number = $2");
pub const BY_SHORTCUT: &str = select!("where tenant_id = $1 and shortcut = $2");
pub const LIST: &str = select!("where tenant_id = $1 order by shortcut limit $2");
pub const COUNT: &str = "select count(*) from snippets where tenant_id = $1";
pub const INSERT: &str = "insert into snippets (tenant_id, id, number, shortcut, text, created_at, updated_at) \
     values ($1, $2, $3, $4, $5, $6, $6) on conflict (tenant_id, shortcut) do nothing";
pub const UPDATE: &str =
    "update snippets set shortcut = $3, text = $4, updated_at = $5 where tenant_id = $1 and id = $2";
pub const DELETE: &str = "delete from snippets where tenant_id = $1 and id = $2";
/// Changes nothing; on PostgreSQL it holds the tenant's row, so that two shortcuts are never compared at the same time.
pub const LOCK_TENANT: &str = "update tenants set name = name where id = $1";
