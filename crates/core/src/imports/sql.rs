//! Statements over `import_items`.

use tieline_db::{Many, Ty};

pub static FIND: Many = Many::new(
    "select :ord, our_id, mark from import_items where tenant_id = :tenant_id and source = :source and noun = :noun \
     and their_id = :their_id",
    &[("tenant_id", Ty::Int), ("source", Ty::Text), ("noun", Ty::Text), ("their_id", Ty::Int)],
);
pub static REMEMBER: Many = Many::new(
    "insert into import_items (tenant_id, source, noun, their_id, our_id, mark) \
     values (:tenant_id, :source, :noun, :their_id, :our_id, 0) on conflict (tenant_id, source, noun, their_id) do nothing",
    &[("tenant_id", Ty::Int), ("source", Ty::Text), ("noun", Ty::Text), ("their_id", Ty::Int), ("our_id", Ty::Uuid)],
);
pub const AFTER: &str = "select their_id from import_items where tenant_id = $1 and source = $2 and noun = $3 \
     and their_id > $4 order by their_id limit $5";
pub const MARK_ALL: &str = "update import_items set mark = 1 where tenant_id = $1 and source = $2 and noun = $3 \
     and their_id > $4 and their_id <= $5 and mark = 0";
pub const MARK: &str = "update import_items set mark = $5 where tenant_id = $1 and source = $2 and noun = $3 \
     and their_id = $4 and mark < $5";
