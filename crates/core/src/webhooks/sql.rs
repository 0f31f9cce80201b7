//! Statements over `webhook_endpoints` and `endpoint_states`.

use tieline_db::{Many, Ty};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select w.tenant_id, w.id, w.name, w.description, w.url, w.events, w.format, w.header_prefix, w.max_attempts, \
             w.inbox_ids, w.is_active, w.disabled_reason, w.active_after, w.disabled_at, w.secret_sealed, w.secret_prefix, \
             w.previous_secret_sealed, w.previous_secret_until, w.created_at, w.updated_at, s.consecutive_failures, \
             s.first_failure_at, s.next_probe_at, s.last_success_at, s.last_failure_at, w.number, \
             exists (select 1 from inboxes i where i.tenant_id = w.tenant_id and i.endpoint_id = w.id), \
             (select b.id from bots b where b.tenant_id = w.tenant_id and b.endpoint_id = w.id) \
             from webhook_endpoints w join endpoint_states s on s.endpoint_id = w.id ",
            $rest
        )
    };
}

pub const GET: &str = select!("where w.tenant_id = $1 and w.id = $2");
pub const BY_NUMBER: &str = select!("where w.tenant_id = $1 and w.number = $2");
/// Chatwoot's accounts have one webhook for each address; an inbox's or bot's own does not count.
pub const URL_TAKEN: &str = "select w.id from webhook_endpoints w where w.tenant_id = $1 and w.url = $2 and w.id <> $3 \
     and w.format = 'chatwoot' and not exists \
     (select 1 from inboxes i where i.tenant_id = w.tenant_id and i.endpoint_id = w.id) and not exists \
     (select 1 from bots b where b.tenant_id = w.tenant_id and b.endpoint_id = w.id) limit 1";
/// Newest first: ids grow with time.
pub const LIST: &str = select!("where w.tenant_id = $1 and w.id < $2 order by w.id desc limit $3");
/// Claim of a loop: the sender asks by the endpoint whose lease it holds.
pub const FOR_SENDING: &str =
    select!("where w.tenant_id = (select tenant_id from endpoint_states where endpoint_id = $1) and w.id = $1");
pub const ACTIVE: &str = select!("where w.tenant_id = $1 and w.is_active order by w.id limit 2000");
/// Of the fan-out, over all tenants.
pub const WANTED_EVENTS: &str = "select distinct events, format from webhook_endpoints where is_active";
/// An inbox's or bot's own endpoint does not count.
pub const COUNT: &str = "select count(*) from webhook_endpoints w where w.tenant_id = $1 and not exists \
     (select 1 from inboxes i where i.tenant_id = w.tenant_id and i.endpoint_id = w.id) and not exists \
     (select 1 from bots b where b.tenant_id = w.tenant_id and b.endpoint_id = w.id)";
pub const INSERT: &str = "insert into webhook_endpoints (tenant_id, id, name, description, url, events, format, header_prefix, \
     max_attempts, inbox_ids, is_active, active_after, secret_sealed, secret_prefix, created_at, updated_at, number) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, true, $11, $12, $13, $14, $14, $15)";
pub const INSERT_STATE: &str = "insert into endpoint_states (endpoint_id, tenant_id, lease_until, epoch, consecutive_failures) \
     values ($1, $2, 0, 0, 0)";
pub static LOCK: Many = Many::new(
    "select 1 from webhook_endpoints where tenant_id = :tenant_id and id = :id order by tenant_id, id for no key update",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
/// The sender's verb: it knows the endpoint by its lease.
pub const DISABLE: &str = "update webhook_endpoints set is_active = false, disabled_reason = $2, disabled_at = $3, \
     updated_at = $3 where tenant_id = (select tenant_id from endpoint_states where endpoint_id = $1) and id = $1 and is_active";

/// What is not mentioned stays; the two that may be cleared come with a flag.
pub const UPDATE: &str = "update webhook_endpoints set name = coalesce($3, name), url = coalesce($4, url), \
     events = coalesce($5, events), header_prefix = coalesce($6, header_prefix), \
     max_attempts = coalesce($7, max_attempts), description = case when $8 then $9 else description end, \
     inbox_ids = case when $10 then $11 else inbox_ids end, updated_at = $12 where tenant_id = $1 and id = $2";
pub const SWITCH_OFF: &str = "update webhook_endpoints set is_active = false, disabled_reason = $3, disabled_at = $4, \
     updated_at = $4 where tenant_id = $1 and id = $2 and is_active";
pub const SWITCH_ON: &str = "update webhook_endpoints set is_active = true, disabled_reason = null, active_after = $3, \
     updated_at = $4 where tenant_id = $1 and id = $2 and not is_active";
pub const CLEAR_HEALTH: &str = "update endpoint_states set consecutive_failures = 0, first_failure_at = null, \
     next_probe_at = null where tenant_id = $1 and endpoint_id = $2";
pub const ROTATE: &str = "update webhook_endpoints set previous_secret_until = $5, \
     previous_secret_sealed = case when cast($5 as bigint) is null then null else secret_sealed end, \
     secret_sealed = $3, secret_prefix = $4, updated_at = $6 where tenant_id = $1 and id = $2";
/// Housekeeping over all tenants: a secret that no longer signs is not kept.
pub const FORGET_SECRETS: &str = "update webhook_endpoints set previous_secret_sealed = null, previous_secret_until = null \
     where previous_secret_until <= $1";
pub const DELETE: &str = "delete from webhook_endpoints where tenant_id = $1 and id = $2";
pub const DELETE_STATE: &str = "delete from endpoint_states where tenant_id = $1 and endpoint_id = $2";
pub const INSERT_DELETED: &str =
    "insert into deleted_endpoints (tenant_id, endpoint_id, deleted_at) values ($1, $2, $3)";
pub const LEAVE_BOTS: &str =
    "update bots set endpoint_id = null, updated_at = $3 where tenant_id = $1 and endpoint_id = $2";
pub const LEAVE_INBOXES: &str =
    "update inboxes set endpoint_id = null, updated_at = $3 where tenant_id = $1 and endpoint_id = $2";
