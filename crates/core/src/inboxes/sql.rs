//! Statements over `inboxes`.

pub const FOR_CHANNEL: &str = "select i.id, coalesce(i.team_id, t.default_team_id) from inboxes i \
     join tenants t on t.id = i.tenant_id where i.tenant_id = $1 and i.channel = $2 order by i.created_at, i.id limit 1";
pub const DEFAULT_TEAM: &str = "select default_team_id from tenants where id = $1";
pub const INSERT: &str = "insert into inboxes (tenant_id, id, name, channel, identifier, team_id, endpoint_id, created_at, \
     updated_at, number) values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select i.id, i.number, i.name, i.channel, i.identifier, i.team_id, w.id, w.url, i.created_at, i.updated_at \
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
