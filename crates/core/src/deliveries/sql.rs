//! Statements over `deliveries`, `attempts` and the leases. The sender's statements go by endpoint, whose lease it holds;
//! an endpoint belongs to one tenant.

use tieline_db::{Many, Ty};

pub const CURSOR: &str = "select value from installation where name = $1";
pub const START_CURSOR: &str = "insert into installation (name, value) values ($1, $2) on conflict (name) do nothing";
pub const MOVE_CURSOR: &str = "update installation set value = $2 where name = $1 and value = $3";

pub static INSERT: Many = Many::new(
    "insert into deliveries (endpoint_id, id, tenant_id, position, event_id, event_type, conversation_id, sequence, \
     status, attempts, earlier_attempts, overtaken, manual, due_at, body, created_at, updated_at) \
     values (:endpoint_id, :id, :tenant_id, :position, :event_id, :event_type, :conversation_id, :sequence, \
     'pending', 0, 0, false, false, :at, :body, :at, :at)",
    &[
        ("endpoint_id", Ty::Uuid),
        ("id", Ty::Uuid),
        ("tenant_id", Ty::Int),
        ("position", Ty::Int),
        ("event_id", Ty::Uuid),
        ("event_type", Ty::Text),
        ("conversation_id", Ty::Uuid),
        ("sequence", Ty::Int),
        ("body", Ty::Text),
        ("at", Ty::Int),
    ],
);
pub const MAKE_DUE: &str = "update endpoint_states set next_due_at = $2 \
     where endpoint_id = $1 and (next_due_at is null or next_due_at > $2)";
pub static LOCK: Many = Many::new(
    "select 1 from endpoint_states where endpoint_id = :endpoint_id order by endpoint_id for update",
    &[("endpoint_id", Ty::Uuid)],
);
pub const LEASED: &str = "select epoch, next_due_at from endpoint_states where endpoint_id = $1";
pub static LAST_SEQUENCE: Many = Many::new(
    "select :ord, max(sequence) from deliveries where tenant_id = :tenant_id and conversation_id = :conversation_id \
     and endpoint_id = :endpoint_id and sequence is not null group by :ord",
    &[("tenant_id", Ty::Int), ("endpoint_id", Ty::Uuid), ("conversation_id", Ty::Uuid)],
);

/// Claim of the sending loop. A node's own lease that ran out is renewed, not claimed again, as long as it can be.
pub const DUE: &str = "select endpoint_id, tenant_id, epoch, consecutive_failures, first_failure_at, next_probe_at, \
     last_success_at, last_failure_at from endpoint_states \
     where next_due_at <= $1 and lease_until < $1 and (owner is null or owner <> $2 or lease_until < $3) \
     order by next_due_at limit $4";
pub const CLAIM: &str = "update endpoint_states set owner = $2, lease_until = $3, epoch = $4 \
     where endpoint_id = $1 and epoch = $4 - 1 and lease_until < $5";
/// A lease that ran out and that nobody took is still good: the epoch tells.
pub static RENEW: Many = Many::new(
    "update endpoint_states set lease_until = :until where endpoint_id = :endpoint_id and owner = :owner \
     and epoch = :epoch returning endpoint_id",
    &[("endpoint_id", Ty::Uuid), ("owner", Ty::Text), ("epoch", Ty::Int), ("until", Ty::Int)],
);
pub const PARK: &str = "update endpoint_states set owner = null, lease_until = 0, next_due_at = $3 \
     where endpoint_id = $1 and epoch = $2 and not exists (select 1 from deliveries d \
     where d.endpoint_id = $1 and d.status = 'pending' and not d.manual and (d.position, d.id) > ($4, $5)) \
     and not exists (select 1 from deliveries d where d.endpoint_id = $1 and d.status = 'pending' and d.manual)";
/// Due and held by nobody.
pub const FREE_AND_DUE: &str = "select endpoint_id, epoch from endpoint_states \
     where next_due_at <= $1 and lease_until < $1 order by next_due_at limit $2";
/// Of held endpoints those that were given something after what the holder has seen.
pub static UNSEEN: Many = Many::new(
    "select :ord, s.epoch from endpoint_states s where s.endpoint_id = :endpoint_id and exists (select 1 from deliveries d \
     where d.endpoint_id = :endpoint_id and d.status = 'pending' and not d.manual and (d.position, d.id) > (:position, :id))",
    &[("endpoint_id", Ty::Uuid), ("position", Ty::Int), ("id", Ty::Uuid)],
);
/// Where a person has asked for a delivery; there are few such rows at any time.
pub const ASKED_FOR: &str = "select s.endpoint_id, s.epoch from endpoint_states s where s.endpoint_id in \
     (select d.endpoint_id from deliveries d where d.status = 'pending' and d.manual) limit $1";
pub const TAKE_BACK: &str = "update endpoint_states set owner = null, lease_until = 0, epoch = epoch + 1, next_due_at = $2 \
     where endpoint_id = $1";
pub const EPOCH: &str = "select epoch from endpoint_states where endpoint_id = $1";
pub const CLEAR_LEASES: &str = "update endpoint_states set owner = null, lease_until = 0 where owner is not null";

macro_rules! waiting {
    ($rest:literal) => {
        concat!(
            "select id, position, event_id, event_type, conversation_id, attempts, earlier_attempts, overtaken, due_at, body \
             from deliveries \
             where endpoint_id = $1 and status = 'pending' and ",
            $rest
        )
    };
}
pub const PENDING: &str = waiting!("not manual and (position, id) > ($2, $3) order by position, id limit $4");
pub const PENDING_OF: &str =
    waiting!("not manual and (position, id) > ($2, $3) and conversation_id = $4 order by position, id limit $5");
pub const PENDING_MANUAL: &str = waiting!("manual order by id limit $2");
pub const BODY: &str = "select body from deliveries where endpoint_id = $1 and id = $2 and status = 'pending'";

pub const HEALTH: &str = "update endpoint_states set consecutive_failures = $3, first_failure_at = $4, next_probe_at = $5, \
     last_success_at = $6, last_failure_at = $7 where endpoint_id = $1 and epoch = $2";
pub static INSERT_ATTEMPT: Many = Many::new(
    "insert into attempts (delivery_id, number, tenant_id, at, duration_us, status_code, error, response) \
     values (:delivery_id, :number, :tenant_id, :at, :duration_us, :status_code, :error, :response) \
     on conflict (delivery_id, number) do nothing",
    &[
        ("delivery_id", Ty::Uuid),
        ("number", Ty::Int),
        ("tenant_id", Ty::Int),
        ("at", Ty::Int),
        ("duration_us", Ty::Int),
        ("status_code", Ty::Int),
        ("error", Ty::Text),
        ("response", Ty::Text),
    ],
);
pub static UPDATE: Many = Many::new(
    "update deliveries set status = :status, attempts = :attempts, overtaken = :overtaken, manual = false, \
     due_at = :due_at, updated_at = :at where endpoint_id = :endpoint_id and id = :id and status = 'pending'",
    &[
        ("endpoint_id", Ty::Uuid),
        ("id", Ty::Uuid),
        ("status", Ty::Text),
        ("attempts", Ty::Int),
        ("overtaken", Ty::Bool),
        ("due_at", Ty::Int),
        ("at", Ty::Int),
    ],
);

/// Cancels what waits for an endpoint that is off.
pub const CANCEL: &str = "update deliveries set status = 'cancelled', due_at = null, updated_at = $2 \
     where endpoint_id = $1 and id in (select id from deliveries where endpoint_id = $1 and status = 'pending' \
     and not manual order by position, id limit $3) \
     and exists (select 1 from endpoint_states s join webhook_endpoints w on w.tenant_id = s.tenant_id \
     and w.id = s.endpoint_id where s.endpoint_id = $1 and not w.is_active)";
pub const RELEASE: &str = "update deliveries set due_at = $3 where tenant_id = $1 and endpoint_id = $2 and due_at > $3 \
     and id in (select id from deliveries where endpoint_id = $2 and status = 'pending' and not manual \
     order by position, id limit $4)";

/// The log: everything of a delivery but its body.
macro_rules! logged {
    ($body:literal, $($rest:tt)*) => {
        concat!(
            "select id, event_id, event_type, status, overtaken, due_at, created_at, updated_at, ",
            $body,
            " from deliveries where tenant_id = $1 and endpoint_id = $2 and ",
            $($rest)*
        )
    };
}
pub const LOG: &str = logged!(
    "null",
    "id < $3 and ",
    crate::page::sql::asked!(
        "created_at >= $4 and status = coalesce($5, status) and event_type = coalesce($6, event_type)"
    ),
    " order by id desc limit $7"
);
/// The same by an index of its own: the few that failed among the many that did not.
pub const LOG_UNSUCCESSFUL: &str = logged!(
    "null",
    "status in ('failed', 'cancelled') and id < $3 and ",
    crate::page::sql::asked!(
        "created_at >= $4 and status = coalesce($5, status) and event_type = coalesce($6, event_type)"
    ),
    " order by id desc limit $7"
);
pub const LOGGED: &str = logged!("body", "id = $3");
pub static ATTEMPTS: Many = Many::new(
    "select :ord, number, at, duration_us, status_code, error, response from attempts \
     where tenant_id = :tenant_id and delivery_id = :delivery_id",
    &[("tenant_id", Ty::Int), ("delivery_id", Ty::Uuid)],
);

/// A test: no row of the log stands behind it.
pub const INSERT_MANUAL: &str = "insert into deliveries (tenant_id, endpoint_id, id, position, event_id, event_type, status, \
     attempts, earlier_attempts, overtaken, manual, due_at, body, created_at, updated_at) \
     values ($1, $2, $3, $4, $5, $6, 'pending', 0, 0, false, true, $7, $8, $7, $7)";
pub const REDELIVER: &str = "update deliveries set status = 'pending', manual = true, overtaken = true, \
     earlier_attempts = earlier_attempts + attempts, attempts = 0, due_at = $4, updated_at = $4 \
     where tenant_id = $1 and endpoint_id = $2 and id = $3 and status <> 'pending'";
pub const STATUS: &str = "select status from deliveries where tenant_id = $1 and endpoint_id = $2 and id = $3";
pub static AGAIN: Many = Many::new(
    "update deliveries set status = 'pending', manual = false, overtaken = false, \
     earlier_attempts = earlier_attempts + attempts, attempts = 0, due_at = :at, updated_at = :at \
     where tenant_id = :tenant_id and endpoint_id = :endpoint_id and id = :id and status in ('failed', 'cancelled')",
    &[("tenant_id", Ty::Int), ("endpoint_id", Ty::Uuid), ("id", Ty::Uuid), ("at", Ty::Int)],
);
/// What an endpoint was given of events of conversations …
pub static GIVEN_IN_CONVERSATION: Many = Many::new(
    "select :ord, id, status from deliveries where tenant_id = :tenant_id and conversation_id = :conversation_id \
     and endpoint_id = :endpoint_id and sequence = :sequence",
    &[("tenant_id", Ty::Int), ("conversation_id", Ty::Uuid), ("endpoint_id", Ty::Uuid), ("sequence", Ty::Int)],
);
/// … and of others. By its id too: a test stands where the log ended when it was sent, and is no delivery of what is there.
pub static GIVEN_ALONE: Many = Many::new(
    "select :ord, id, status from deliveries where tenant_id = :tenant_id and conversation_id is null \
     and endpoint_id = :endpoint_id and sequence is null and position = :position and event_id = :event_id",
    &[("tenant_id", Ty::Int), ("endpoint_id", Ty::Uuid), ("position", Ty::Int), ("event_id", Ty::Uuid)],
);
pub static SEQUENCE_BEFORE: Many = Many::new(
    "select :ord, max(sequence) from deliveries where tenant_id = :tenant_id and conversation_id = :conversation_id \
     and endpoint_id = :endpoint_id and sequence < :sequence group by :ord",
    &[("tenant_id", Ty::Int), ("conversation_id", Ty::Uuid), ("endpoint_id", Ty::Uuid), ("sequence", Ty::Int)],
);

/// What an inbox's own endpoint says of the message that a delivery carried.
pub static CARRIED: Many = Many::new(
    "select :ord, e.data from deliveries d join events e on e.tenant_id = d.tenant_id and e.id = d.event_id \
     where d.tenant_id = :tenant_id and d.endpoint_id = :endpoint_id and d.id = :id and e.type = 'message.sent' \
     and exists (select 1 from inboxes i where i.tenant_id = d.tenant_id and i.endpoint_id = d.endpoint_id \
     and i.id = e.inbox_id)",
    &[("tenant_id", Ty::Int), ("endpoint_id", Ty::Uuid), ("id", Ty::Uuid)],
);
pub static OWN_ENDPOINTS: Many = Many::new(
    "select :ord, w.format from inboxes i join webhook_endpoints w on w.tenant_id = i.tenant_id and w.id = i.endpoint_id \
     where i.tenant_id = :tenant_id and i.endpoint_id = :endpoint_id",
    &[("tenant_id", Ty::Int), ("endpoint_id", Ty::Uuid)],
);

/// The conversation of a delivery to a bot.
pub static OF_BOTS: Many = Many::new(
    "select :ord, d.conversation_id from deliveries d where d.tenant_id = :tenant_id and d.endpoint_id = :endpoint_id \
     and d.id = :id and d.conversation_id is not null and exists \
     (select 1 from bots b where b.tenant_id = d.tenant_id and b.endpoint_id = d.endpoint_id)",
    &[("tenant_id", Ty::Int), ("endpoint_id", Ty::Uuid), ("id", Ty::Uuid)],
);
pub const IS_BOTS: &str = "select 1 from bots where tenant_id = $1 and endpoint_id = $2";
/// The sender's verb: the tenant of a bot's address that is off; it knows the endpoint by its lease.
pub const OFF_OF_BOT: &str = "select w.tenant_id from endpoint_states s join webhook_endpoints w on w.tenant_id = s.tenant_id \
     and w.id = s.endpoint_id join bots b on b.tenant_id = w.tenant_id and b.endpoint_id = w.id \
     where s.endpoint_id = $1 and not w.is_active";
/// Held conversations of which something waits for a bot, once for each thing.
pub const HELD_BEHIND: &str = "select d.conversation_id from deliveries d \
     join conversations c on c.tenant_id = d.tenant_id and c.id = d.conversation_id \
     where d.tenant_id = $1 and d.endpoint_id = $2 and d.status = 'pending' and not d.manual and c.is_held \
     order by d.position, d.id limit $3";

/// Housekeeping over all tenants, endpoint by endpoint.
pub const ENDPOINTS: &str =
    "select endpoint_id from endpoint_states where endpoint_id > $1 order by endpoint_id limit $2";
macro_rules! ended {
    ($before:literal, $limit:literal) => {
        concat!(
            "select id from deliveries where endpoint_id = $1 and id < $2 and ",
            crate::page::sql::asked!("status <> 'pending' and updated_at < ", $before),
            " order by id limit ",
            $limit
        )
    };
}
pub const ANY_ENDED: &str = ended!("$3", "1");
pub const PRUNE_ATTEMPTS: &str = concat!("delete from attempts where delivery_id in (", ended!("$3", "$4"), ")");
pub const PRUNE: &str = concat!("delete from deliveries where endpoint_id = $1 and id in (", ended!("$3", "$4"), ")");
pub const DELETED_ENDPOINTS: &str =
    "select endpoint_id, deleted_at from deleted_endpoints order by endpoint_id limit $1";
pub const DELETE_ATTEMPTS_OF: &str = "delete from attempts where delivery_id in \
     (select id from deliveries where endpoint_id = $1 order by id limit $2)";
pub const DELETE_OF: &str = "delete from deliveries where endpoint_id = $1 and id in \
     (select id from deliveries where endpoint_id = $1 order by id limit $2)";
pub const FORGET_ENDPOINT: &str = "delete from deleted_endpoints where endpoint_id = $1";
