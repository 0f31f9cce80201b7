//! Statements over `events`. Loops of the installation read across tenants; they are the ones without `tenant_id`.

use tieline_db::{Many, Ty};

pub static INSERT: Many = Many::new(
    "insert into events (id, tenant_id, type, conversation_id, inbox_id, sequence, actor, cause, data, created_at, \
     state) values (:id, :tenant_id, :type, :conversation_id, :inbox_id, :sequence, :actor, :cause, :data, :created_at, :state)",
    &[
        ("id", Ty::Uuid),
        ("tenant_id", Ty::Int),
        ("type", Ty::Text),
        ("conversation_id", Ty::Uuid),
        ("inbox_id", Ty::Uuid),
        ("sequence", Ty::Int),
        ("actor", Ty::Text),
        ("cause", Ty::Text),
        ("data", Ty::Text),
        ("created_at", Ty::Int),
        ("state", Ty::Text),
    ],
);

macro_rules! columns {
    () => {
        "position, id, tenant_id, type, conversation_id, inbox_id, sequence, actor, cause, data, created_at, state"
    };
}

/// Nobody reads further; see `numbering`.
macro_rules! horizon {
    () => {
        "(select h.position from horizons h where h.name = 'log')"
    };
}

/// Claim of the fan-out: every tenant's events after a position. What nobody asked for comes without its data: $3 holds
/// the names of the events that somebody did, each between spaces, or `*`.
pub const AFTER: &str = concat!(
    "select position, id, tenant_id, type, conversation_id, inbox_id, sequence, actor, cause, \
     case when $3 = '*' or $3 like '% ' || type || ' %' then data else '{}' end, created_at, \
     case when $3 = '*' or $3 like '% ' || type || ' %' then state end \
     from events where position > $1 and position <= ",
    horizon!(),
    " order by position limit $2"
);
pub const TENANT_AFTER: &str = concat!(
    "select ",
    columns!(),
    " from events where tenant_id = $1 and position > $2 and position <= ",
    horizon!(),
    " order by position limit $3"
);
pub const POSITION_OF: &str =
    concat!("select position from events where tenant_id = $1 and id = $2 and position <= ", horizon!());
pub const LAST_POSITION: &str = concat!("select coalesce(max(position), 0) from events where position <= ", horizon!());
/// What is committed and cannot be read yet.
pub const ANY_BEYOND: &str = concat!("select 1 from events where position > ", horizon!(), " limit 1");
pub const ADVANCE: &str = "update horizons set position = greatest(position, log_decided()) where name = 'log'";
pub static LOCK_HORIZON: Many =
    Many::new("select 1 from horizons where name = :name order by name for update", &[("name", Ty::Text)]);
pub const SETTLE: &str = "select log_settle()";
pub const SET_HORIZON: &str = "update horizons set position = $1 where name = 'log' and position < $1";
/// What a subscription goes by, without what it says.
pub const TENANT_HEADS: &str = "select position, type, inbox_id, created_at from events \
     where tenant_id = $1 and position > $2 and position <= $3 order by position limit $4";
pub const FIRST_FROM: &str =
    "select position, created_at from events where tenant_id = $1 and position >= $2 order by position limit 1";
pub const LAST_OF_TENANT: &str = concat!(
    "select position from events where tenant_id = $1 and position <= ",
    horizon!(),
    " order by position desc limit 1"
);
/// Housekeeping over all tenants: looks at the oldest rows only and keeps the newest, so that positions never start over.
pub const PRUNE: &str = "delete from events where position in (select o.position from \
     (select position, created_at from events order by position limit $2) o \
     where o.created_at < $1 and o.position < (select max(position) from events))";
