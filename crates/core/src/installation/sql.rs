//! Statements over `installation` and `setup_links`: facts of the whole installation, no tenant's.

use tieline_db::{Many, Ty};

pub static LOCK: Many =
    Many::new("select 1 from installation where name = :name order by name for update", &[("name", Ty::Text)]);
pub const NOTE: &str = "insert into installation (name, value) values ($1, $2) on conflict (name) do nothing";
pub const SET: &str =
    "insert into installation (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value";
pub const GET: &str = "select value from installation where name = $1";
pub const UNSET: &str = "delete from installation where name = $1";

pub const ANY_TENANT: &str = "select id from tenants limit 1";
pub const ADD_LINK: &str = "insert into setup_links (token_hash, purpose, expires_at) values ($1, $2, $3)";
pub const DROP_LINKS: &str = "delete from setup_links where purpose = $1";
pub const VALID_LINK: &str =
    "select expires_at from setup_links where token_hash = $1 and purpose = $2 and expires_at > $3";
pub const LINK_SINCE: &str = "select expires_at from setup_links where purpose = $1 and expires_at > $2 limit 1";

/// For the operator's metrics: every tenant's.
pub const WATCHED: &str = "select tenant_id, endpoint_id, consecutive_failures, next_probe_at, next_due_at \
     from endpoint_states order by consecutive_failures desc, endpoint_id limit $1";
pub const NEXT_REVISION: &str = "insert into installation (name, value) values ($1, '1') \
     on conflict (name) do update set value = cast(cast(installation.value as bigint) + 1 as text)";
pub const REVISION: &str = "select cast(value as bigint) from installation where name = $1";
