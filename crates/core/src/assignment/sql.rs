//! Statements over `assignment_queue` and `assignment_turns`. The loop asks across tenants; its statements name no
//! `tenant_id`.

use tieline_db::{Many, Ty};

/// Of the loop: whether any conversation of the installation is to find its agent by itself.
pub const ANY: &str = "select 1 where exists (select 1 from inboxes where is_auto_assigned) \
     or exists (select 1 from teams where is_auto_assigned)";
pub const CURSOR: &str = "select value from installation where name = $1";
pub const START_CURSOR: &str = "insert into installation (name, value) values ($1, $2) on conflict (name) do nothing";
pub const MOVE_CURSOR: &str = "update installation set value = $2 where name = $1 and value = $3";

/// Of these, those that are to find an agent: open, nobody's, and their team says so, or without a team their inbox.
pub static WANTING: Many = Many::new(
    "select :ord, v.inbox_id, v.team_id from conversations v \
     join inboxes i on i.tenant_id = v.tenant_id and i.id = v.inbox_id \
     left join teams t on t.tenant_id = v.tenant_id and t.id = v.team_id \
     where v.tenant_id = :tenant_id and v.id = :id and v.status = 'active' and not v.is_held \
     and v.agent_id is null and v.bot_id is null and coalesce(t.is_auto_assigned, i.is_auto_assigned)",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub static QUEUE: Many = Many::new(
    "insert into assignment_queue (tenant_id, conversation_id, inbox_id, team_id, since) \
     values (:tenant_id, :conversation_id, :inbox_id, :team_id, :since) on conflict (tenant_id, conversation_id) \
     do update set inbox_id = excluded.inbox_id, team_id = excluded.team_id",
    &[
        ("tenant_id", Ty::Int),
        ("conversation_id", Ty::Uuid),
        ("inbox_id", Ty::Uuid),
        ("team_id", Ty::Uuid),
        ("since", Ty::Int),
    ],
);
pub const LEAVE: &str = "delete from assignment_queue where tenant_id = $1 and conversation_id = $2";
/// Of the loop: where conversations wait.
pub const PLACES: &str = "select distinct tenant_id, inbox_id, team_id from assignment_queue limit $1";
pub const OLDEST: &str = "select since, conversation_id from assignment_queue where tenant_id = $1 and inbox_id = $2 \
     and team_id = $3 order by since, conversation_id limit $4";
/// Mode and capacity of a place: those of its team, if it has one.
pub const POLICY: &str = "select coalesce(t.is_auto_assigned, i.is_auto_assigned), coalesce(t.is_least_loaded, false), \
     coalesce(t.agent_capacity, i.agent_capacity) from inboxes i \
     left join teams t on t.tenant_id = i.tenant_id and t.id = $3 where i.tenant_id = $1 and i.id = $2";
/// Who is there and takes work: members of the inbox ($2) and, where there is one ($4), of the team ($3); of the team alone
/// where the inbox has no members. With their last turn, and how many open conversations they have.
pub const AGENTS: &str = "select u.id, coalesce(s.turn, 0), (select count(*) from (select 1 from conversations v \
     where v.tenant_id = $1 and v.agent_id = u.id and v.status = 'active' and not v.is_held limit $6) n) \
     from tenants t join users u on u.tenant_id = coalesce(t.parent_id, t.id) \
     left join assignment_turns s on s.tenant_id = $1 and s.user_id = u.id \
     where t.id = $1 and u.is_active and u.availability = 'online' and (u.seen_until > $5 or not u.is_auto_offline) \
     and (not $4 or u.id in (select m.user_id from team_members m where m.tenant_id = $1 and m.team_id = $3)) \
     and (u.id in (select m.user_id from inbox_members m where m.tenant_id = $1 and m.inbox_id = $2) \
     or ($4 and not exists (select 1 from inbox_members m where m.tenant_id = $1 and m.inbox_id = $2))) \
     order by u.id limit $7";
pub static TURN: Many = Many::new(
    "insert into assignment_turns (tenant_id, user_id, turn) values (:tenant_id, :user_id, :turn) \
     on conflict (tenant_id, user_id) do update set turn = excluded.turn",
    &[("tenant_id", Ty::Int), ("user_id", Ty::Uuid), ("turn", Ty::Int)],
);
