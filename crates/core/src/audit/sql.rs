//! Statements over `audit`.

pub const INSERT: &str = "insert into audit (tenant_id, id, actor, actor_id, action, subject, detail, cause, created_at, \
     address) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
/// Newest first. Administrative changes are few: what a filter passes over is read and left.
pub const LIST: &str = concat!(
    "select id, actor, action, subject, detail, cause, created_at, address from audit where tenant_id = $1 and id < $2 \
     and created_at >= $3 and ",
    crate::page::sql::asked!("(subject = $4 or $4 = '') and (actor_id = $5 or $5 = '')"),
    " order by id desc limit $6"
);
pub const OLD: &str = "select id from audit where tenant_id = $1 and id < $2 order by id limit $3";
pub const PRUNE: &str = "delete from audit where tenant_id = $1 and id <= $2";
