//! Statements over `teams` and `team_members`.

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select m.id, m.number, m.name, m.description, coalesce(t.default_team_id = m.id, false), m.created_at, m.updated_at, \
             m.is_auto_assigned, m.is_least_loaded, m.agent_capacity \
             from teams m join tenants t on t.id = m.tenant_id ",
            $rest
        )
    };
}

pub const GET: &str = select!("where m.tenant_id = $1 and m.id = $2");
pub const BY_NAME: &str = select!("where m.tenant_id = $1 and m.name = $2");
pub const LIST: &str = select!("where m.tenant_id = $1 and m.id < $2 order by m.id desc limit $3");
pub const MEMBERS: &str =
    "select user_id from team_members where tenant_id = $1 and team_id = $2 order by user_id limit $3";
pub const INSERT: &str = "insert into teams (tenant_id, id, name, description, created_at, updated_at, number, is_auto_assigned, \
     is_least_loaded, agent_capacity) values ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9) on conflict (tenant_id, name) do nothing";
pub const UPDATE: &str = "update teams set name = $3, description = $4, updated_at = $5, is_auto_assigned = $6, \
     is_least_loaded = $7, agent_capacity = $8 where tenant_id = $1 and id = $2";
pub const REMOVE_MEMBER: &str = "delete from team_members where tenant_id = $1 and team_id = $2 and user_id = $3";
/// Changes nothing; on PostgreSQL it holds the tenant's row, so that two names are never compared at the same time.
pub const LOCK_TENANT: &str = "update tenants set name = name where id = $1";
pub const CLEAR_MEMBERS: &str = "delete from team_members where tenant_id = $1 and team_id = $2";
pub const ADD_MEMBER: &str = "insert into team_members (tenant_id, team_id, user_id) values ($1, $2, $3) \
     on conflict (tenant_id, team_id, user_id) do nothing";
pub const UNSET_DEFAULT: &str =
    "update tenants set default_team_id = null, updated_at = $3 where id = $1 and default_team_id = $2";
pub const LEAVE_CONVERSATIONS: &str = "update conversations set team_id = null where tenant_id = $1 and team_id = $2";
pub const LEAVE_INBOXES: &str = "update inboxes set team_id = null where tenant_id = $1 and team_id = $2";
pub const DELETE: &str = "delete from teams where tenant_id = $1 and id = $2";
pub const BY_NUMBER: &str = select!("where m.tenant_id = $1 and m.number = $2");
pub const OF_MEMBER: &str = "select team_id from team_members where tenant_id = $1 and user_id = $2 limit $3";
