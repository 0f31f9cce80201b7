//! Statements over `users`.

/// The columns as `user()` reads them.
macro_rules! columns {
    () => {
        "id, number, email, name, role, is_active, created_at, updated_at, availability, is_auto_offline, display_name, \
         message_signature, ui_settings, seen_until"
    };
}
macro_rules! select {
    ($rest:literal) => {
        concat!("select ", columns!(), " from users ", $rest)
    };
}

pub const GET: &str = select!("where tenant_id = $1 and id = $2");
pub const BY_EMAIL: &str = select!("where tenant_id = $1 and email = $2");
pub const LIST: &str = select!("where tenant_id = $1 and id < $2 order by id desc limit $3");
pub const INSERT: &str = "insert into users (tenant_id, id, email, name, role, password_hash, access_token_hash, \
     access_token_sealed, is_active, created_at, updated_at, number) values ($1, $2, $3, $4, $5, $6, $7, $8, true, $9, $9, $10) \
     on conflict (tenant_id, email) do nothing";
pub const UPDATE: &str = "update users set name = $3, role = $4, is_active = $5, \
     password_hash = coalesce($6, password_hash), updated_at = $7, email = $8, availability = $9, is_auto_offline = $10, \
     display_name = $11, message_signature = $12, ui_settings = $13 where tenant_id = $1 and id = $2";
/// Changes nothing; on PostgreSQL it holds the tenant's row, so that two owners never leave at the same time.
pub const LOCK_TENANT: &str = "update tenants set name = name where id = $1";
pub const OTHER_OWNERS: &str =
    "select 1 from users where tenant_id = $1 and id <> $2 and role = 'owner' and is_active limit 1";
pub const BY_NUMBER: &str = select!("where tenant_id = $1 and number = $2");
/// Says nothing new of the configuration: nobody keeps it in memory.
pub const SEE: &str = "update users set seen_until = $3 where tenant_id = $1 and number = $2 and seen_until < $3";
/// The hash is unique in the installation and says which tenant is meant.
pub const BY_TOKEN: &str =
    concat!("select ", columns!(), ", tenant_id, access_token_sealed from users where access_token_hash = $1");
pub const PASSWORD: &str = "select password_hash from users where tenant_id = $1 and id = $2";
// Whoever leaves is in no team, inbox or conversation of either partition.
pub const LEAVE_TEAMS: &str = "delete from team_members where tenant_id in (select t.id from tenants t where t.id = $1 \
     or t.parent_id = $1) and user_id = $2";
pub const LEAVE_INBOXES: &str = "delete from inbox_members where tenant_id in (select t.id from tenants t where t.id = $1 \
     or t.parent_id = $1) and user_id = $2";
pub const LEAVE_PARTICIPANTS: &str = "delete from participants where tenant_id in (select t.id from tenants t where t.id = $1 \
     or t.parent_id = $1) and user_id = $2";
pub const LEAVE_CONVERSATIONS: &str = "update conversations set agent_id = null where tenant_id in (select t.id from tenants t \
     where t.id = $1 or t.parent_id = $1) and agent_id = $2";
