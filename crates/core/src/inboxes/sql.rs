//! Statements over `inboxes`.

use tieline_db::{Many, Ty};

pub static FOR_CHANNELS: Many = Many::new(
    "select :ord, i.id, coalesce(i.team_id, t.default_team_id), i.bot_id is not null from inboxes i \
     join tenants t on t.id = i.tenant_id where i.tenant_id = :tenant_id and i.id = (select o.id from inboxes o \
     where o.tenant_id = :tenant_id and o.channel = :channel order by o.created_at, o.id limit 1)",
    &[("tenant_id", Ty::Int), ("channel", Ty::Text)],
);
pub const DEFAULT_TEAM: &str = "select default_team_id from tenants where id = $1";
pub const INSERT: &str = "insert into inboxes (tenant_id, id, name, channel, identifier, team_id, endpoint_id, created_at, \
     updated_at, number, identity_key, is_auto_assigned) values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10, $11)";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select i.id, i.number, i.name, i.channel, i.identifier, i.team_id, w.id, w.url, i.created_at, i.updated_at, \
             i.is_identity_required, i.is_single_conversation, i.settings, i.is_auto_assigned, i.agent_capacity, i.tenant_id, \
             i.identity_key \
             from inboxes i left join webhook_endpoints w on w.tenant_id = i.tenant_id and w.id = i.endpoint_id ",
            $rest
        )
    };
}

pub const GET: &str = select!("where i.tenant_id = $1 and i.id = $2");
pub const LIST: &str = select!("where i.tenant_id = $1 and i.id < $2 order by i.id desc limit $3");
pub const UPDATE: &str = "update inboxes set name = $3, team_id = $4, endpoint_id = $5, updated_at = $6 \
     where tenant_id = $1 and id = $2";
pub const DELETE: &str = "delete from inboxes where tenant_id = $1 and id = $2";
pub const HAS_CONVERSATIONS: &str = "select 1 from conversations where tenant_id = $1 and inbox_id = $2 limit 1";
pub const MOVE_ENDPOINT: &str =
    "update webhook_endpoints set url = $3, updated_at = $4 where tenant_id = $1 and id = $2";
pub const BY_NUMBER: &str = select!("where i.tenant_id = $1 and i.number = $2");
/// The identifier is unique in the installation and says which tenant is meant.
pub const BY_IDENTIFIER: &str = select!("where i.identifier = $1");
pub const IDENTIFIER_TAKEN: &str = "select 1 from inboxes where identifier = $1";
pub const BY_NAME: &str = select!("where i.tenant_id = $1 order by lower(i.name), i.number limit $2");
pub const CONFIGURE: &str = "update inboxes set is_identity_required = $3, is_single_conversation = $4, settings = $5, \
     updated_at = $6, is_auto_assigned = $7, agent_capacity = $8 where tenant_id = $1 and id = $2";
pub const MEMBERS: &str =
    "select user_id from inbox_members where tenant_id = $1 and inbox_id = $2 order by user_id limit $3";
pub const OF_MEMBER: &str = "select inbox_id from inbox_members where tenant_id = $1 and user_id = $2 limit $3";
pub const CLEAR_MEMBERS: &str = "delete from inbox_members where tenant_id = $1 and inbox_id = $2";
pub const ADD_MEMBER: &str = "insert into inbox_members (tenant_id, inbox_id, user_id) values ($1, $2, $3) \
     on conflict (tenant_id, inbox_id, user_id) do nothing";
pub static NOTE_CALLS: Many = Many::new(
    "insert into inbox_calls (tenant_id, inbox_id, outcome, calls, last_at, method, route, status, detail, request_id) \
     values (:tenant_id, :inbox_id, :outcome, :calls, :last_at, :method, :route, :status, :detail, :request_id) \
     on conflict (tenant_id, inbox_id, outcome) do update set calls = inbox_calls.calls + excluded.calls, \
     last_at = excluded.last_at, method = excluded.method, route = excluded.route, status = excluded.status, \
     detail = excluded.detail, request_id = excluded.request_id",
    &[
        ("tenant_id", Ty::Int),
        ("inbox_id", Ty::Uuid),
        ("outcome", Ty::Text),
        ("calls", Ty::Int),
        ("last_at", Ty::Int),
        ("method", Ty::Text),
        ("route", Ty::Text),
        ("status", Ty::Int),
        ("detail", Ty::Text),
        ("request_id", Ty::Text),
    ],
);
pub const OF_CONVERSATION: &str = "select inbox_id from conversations where tenant_id = $1 and id = $2";
pub const CALLS: &str = "select outcome, calls, last_at, method, route, status, detail, request_id from inbox_calls \
     where tenant_id = $1 and inbox_id = $2 order by last_at desc, outcome limit $3";
pub const FORGET_CALLS: &str = "delete from inbox_calls where tenant_id = $1 and inbox_id = $2";
