//! Statements over `request_log` and `request_bodies`.

use tieline_db::{Many, Ty};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select l.tenant_id, l.id, l.principal, l.method, l.route, l.path, l.status, l.duration_us, l.request_id, \
             l.address, l.created_at, b.request, b.response from request_log l \
             left join request_bodies b on b.tenant_id = l.tenant_id and b.id = l.id ",
            $rest,
            " order by l.id desc limit $4"
        )
    };
}

pub const LIST: &str = select!("where l.tenant_id = $1 and l.id < $2 and l.id >= $3");
pub const LIST_OF_PRINCIPAL: &str = select!("where l.tenant_id = $1 and l.principal = $5 and l.id < $2 and l.id >= $3");
pub static APPEND: Many = Many::new(
    "insert into request_log (tenant_id, id, principal, method, route, path, status, duration_us, request_id, address, \
     created_at) values (:tenant_id, :id, :principal, :method, :route, :path, :status, :duration_us, :request_id, \
     :address, :created_at)",
    &[
        ("tenant_id", Ty::Int),
        ("id", Ty::Uuid),
        ("principal", Ty::Text),
        ("method", Ty::Text),
        ("route", Ty::Text),
        ("path", Ty::Text),
        ("status", Ty::Int),
        ("duration_us", Ty::Int),
        ("request_id", Ty::Text),
        ("address", Ty::Text),
        ("created_at", Ty::Int),
    ],
);
pub static APPEND_BODIES: Many = Many::new(
    "insert into request_bodies (tenant_id, id, request, response) values (:tenant_id, :id, :request, :response)",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid), ("request", Ty::Text), ("response", Ty::Text)],
);
pub const OLD: &str = "select id from request_log where tenant_id = $1 and id < $2 order by id limit $3";
pub const PRUNE_BODIES: &str = "delete from request_bodies where tenant_id = $1 and id <= $2";
pub const PRUNE: &str = "delete from request_log where tenant_id = $1 and id <= $2";
