//! Statements over `tags`.

use tieline_db::{Many, Ty};

pub static BY_SLUG: Many = Many::new(
    "select :ord, id from tags where tenant_id = :tenant_id and slug = :slug",
    &[("tenant_id", Ty::Int), ("slug", Ty::Text)],
);

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, number, slug, name, description, created_at, updated_at, color, is_in_sidebar, type, parent_id from tags ",
            $rest
        )
    };
}

pub const GET: &str = select!("where tenant_id = $1 and id = $2");
pub const BY_ONE_SLUG: &str = select!("where tenant_id = $1 and slug = $2");
pub const LIST: &str = select!("where tenant_id = $1 and id < $2 order by id desc limit $3");
pub static CHILDREN: Many = Many::new(
    "select id from tags where tenant_id = :tenant_id and parent_id = :parent_id and parent_id is not null",
    &[("tenant_id", Ty::Int), ("parent_id", Ty::Uuid)],
);
pub const INSERT: &str = "insert into tags (tenant_id, id, slug, name, description, created_at, updated_at, number, type, \
     parent_id) values ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9) on conflict (tenant_id, slug) do nothing";
pub const UPDATE: &str = "update tags set name = $3, description = $4, updated_at = $5, type = $6, parent_id = $7 \
     where tenant_id = $1 and id = $2";
pub static SET_TYPE: Many = Many::new(
    "update tags set type = :type, updated_at = :now where tenant_id = :tenant_id and id = :id",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid), ("type", Ty::Text), ("now", Ty::Int)],
);
/// Puts the children of a tag below another, or at the top.
pub const LIFT: &str = "update tags set parent_id = $3, updated_at = $4 \
     where tenant_id = $1 and parent_id = $2 and parent_id is not null";
pub static DELETE_FROM_CONVERSATIONS: Many = Many::new(
    "delete from conversation_tags where tenant_id = :tenant_id and tag_id = :id",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub static DELETE_FROM_CONTACTS: Many = Many::new(
    "delete from contact_tags where tenant_id = :tenant_id and tag_id = :id",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub static DELETE: Many = Many::new(
    "delete from tags where tenant_id = :tenant_id and id = :id",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
/// Tags of one conversation that another lacks.
pub const LACKING: &str = select!(
    "where tenant_id = $1 and id in (select g.tag_id from conversation_tags g where g.tenant_id = $1 \
     and g.conversation_id = $2 and not exists (select 1 from conversation_tags o where o.tenant_id = g.tenant_id \
     and o.conversation_id = $3 and o.tag_id = g.tag_id)) order by slug limit 1000"
);
pub const BY_NUMBER: &str = select!("where tenant_id = $1 and number = $2");
pub const LOOK: &str = "update tags set slug = $3, color = $4, is_in_sidebar = $5, name = $6, description = $7, updated_at = $8 \
     where tenant_id = $1 and id = $2";
