//! What the simulation asks the database behind everybody's back.

/// Of endpoints that were deleted, housekeeping removes what waits.
pub const COUNT_PENDING: &str = "select count(*) from endpoint_states s join deliveries d on d.endpoint_id = s.endpoint_id \
     where d.status = 'pending' and not d.manual";
pub const COUNT_ASKED: &str = "select count(*) from endpoint_states s join deliveries d on d.endpoint_id = s.endpoint_id \
     where d.status = 'pending' and d.manual";
pub const STATE: &str = "select status from deliveries where endpoint_id = $1 and id = $2";
pub const EARLIER: &str = "select id from deliveries where tenant_id = $1 and endpoint_id = $2 \
     and conversation_id = $3 and (position, id) < ($4, $5) and status = 'pending' and not overtaken and not manual";
pub const ALL: &str = "select endpoint_id, id, event_id, conversation_id, sequence, status, attempts, body, event_type, position \
     from deliveries where tenant_id = $1 order by position, id";
pub const EVENTS: &str =
    "select position, id, conversation_id, sequence, type, inbox_id from events where tenant_id = $1 order by position";
pub const LAST: &str = "select max(sequence) from events where tenant_id = $1 and conversation_id = $2";
pub const PLACE: &str =
    "select conversation_id, position, overtaken from deliveries where endpoint_id = $1 and id = $2";
pub const ENDED: &str = "select endpoint_id, id from deliveries where tenant_id = $1 \
     and status in ('succeeded', 'failed') order by id";
pub const STUCK: &str = "select 'position ' || d.position || ' attempts ' || d.attempts || ' manual ' || d.manual || \
     ' overtaken ' || d.overtaken || ' due ' || coalesce(d.due_at, 0) || ' next ' || coalesce(s.next_due_at, 0) || \
     ' owner ' || coalesce(s.owner, '-') || ' lease ' || coalesce(s.lease_until, 0) || ' probe ' || \
     coalesce(s.next_probe_at, 0) || ' active ' || coalesce(w.is_active, 0) from deliveries d \
     left join endpoint_states s on s.endpoint_id = d.endpoint_id \
     left join webhook_endpoints w on w.tenant_id = d.tenant_id and w.id = d.endpoint_id where d.status = 'pending'";
