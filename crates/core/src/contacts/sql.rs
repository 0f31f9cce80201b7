//! Statements over `contacts` and `handles`.

use tieline_db::{Many, Ty};

/// The columns of a contact, in the order in which `contact()` reads them; the table is named `c`.
macro_rules! columns {
    () => {
        "c.id, c.number, c.name, c.email, c.phone, c.external_id, c.custom_fields, c.created_at, c.updated_at, c.metadata, c.is_blocked, \
         c.avatar_url"
    };
}
pub(crate) use columns;

// Not a join: PostgreSQL keeps the plan that it made while both tables were empty, and there it is as good to it to begin
// with every contact of the tenant.
pub static BY_HANDLE: Many = Many::new(
    concat!(
        "select :ord, ",
        columns!(),
        " from contacts c where c.tenant_id = :tenant_id and c.id = (select h.contact_id from handles h \
         where h.tenant_id = :tenant_id and h.kind = :kind and h.match_key = :match_key)"
    ),
    &[("tenant_id", Ty::Int), ("kind", Ty::Text), ("match_key", Ty::Text)],
);
pub static INSERT: Many = Many::new(
    "insert into contacts (tenant_id, id, number, name, email, phone, external_id, custom_fields, created_at, updated_at) \
     values (:tenant_id, :id, :number, :name, :email, :phone, :external_id, :custom_fields, :at, :at)",
    &[
        ("tenant_id", Ty::Int),
        ("id", Ty::Uuid),
        ("number", Ty::Int),
        ("name", Ty::Text),
        ("email", Ty::Text),
        ("phone", Ty::Text),
        ("external_id", Ty::Text),
        ("custom_fields", Ty::Text),
        ("at", Ty::Int),
    ],
);
pub static INSERT_HANDLE: Many = Many::new(
    "insert into handles (tenant_id, kind, match_key, value, contact_id, is_primary, created_at) \
     values (:tenant_id, :kind, :match_key, :value, :contact_id, :is_primary, :at)",
    &[
        ("tenant_id", Ty::Int),
        ("kind", Ty::Text),
        ("match_key", Ty::Text),
        ("value", Ty::Text),
        ("contact_id", Ty::Uuid),
        ("is_primary", Ty::Bool),
        ("at", Ty::Int),
    ],
);
pub static FILL: Many = Many::new(
    "update contacts set name = :name, email = :email, phone = :phone, external_id = :external_id, updated_at = :at \
     where tenant_id = :tenant_id and id = :id",
    &[
        ("tenant_id", Ty::Int),
        ("id", Ty::Uuid),
        ("name", Ty::Text),
        ("email", Ty::Text),
        ("phone", Ty::Text),
        ("external_id", Ty::Text),
        ("at", Ty::Int),
    ],
);

pub const GET: &str = concat!("select ", columns!(), " from contacts c where c.tenant_id = $1 and c.id = $2");
pub const LIST: &str = concat!(
    "select ",
    columns!(),
    " from contacts c where c.tenant_id = $1 and c.updated_at >= $2 and (c.updated_at, c.id) < ($3, $4) \
     order by c.updated_at desc, c.id desc limit $5"
);
// Pages by number: places are passed over in the narrow index, then the page's rows are read. The sum keeps SQLite from
// walking that index once more for the order.
macro_rules! numbered {
    ($order:literal) => {
        concat!(
            "select ",
            columns!(),
            " from contacts c where c.tenant_id = $1 and c.id in (select i.id from contacts i where i.tenant_id = $1 \
             order by i.updated_at ",
            $order,
            ", i.id ",
            $order,
            " limit $2 offset $3) order by c.updated_at + 0 desc, c.id desc"
        )
    };
}
pub const NUMBERED: &str = numbered!("desc");
pub const NUMBERED_FROM_OLDEST: &str = numbered!("asc");
pub const ALIAS: &str = "select contact_id from contact_aliases where tenant_id = $1 and id = $2";
pub const MERGED_FROM: &str =
    "select id from contact_aliases where tenant_id = $1 and contact_id = $2 order by created_at, id limit $3";
pub const HANDLES: &str = "select kind, value, is_primary from handles where tenant_id = $1 and contact_id = $2 \
     order by kind, is_primary desc, created_at, match_key limit $3";
pub const OWNER: &str = "select contact_id from handles where tenant_id = $1 and kind = $2 and match_key = $3";
/// For changing them; who [`HOLD`]s one does not wait.
pub static LOCK: Many = Many::new(
    "select 1 from contacts where tenant_id = :tenant_id and id = :id order by tenant_id, id for no key update",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
/// For merging them away or deleting them.
pub static LOCK_TO_GO: Many = Many::new(
    "select 1 from contacts where tenant_id = :tenant_id and id = :id order by tenant_id, id for update",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub static LOCK_CONVERSATIONS: Many = Many::new(
    "select 1 from conversations where tenant_id = :tenant_id and contact_id = :contact_id order by tenant_id, id for update",
    &[("tenant_id", Ty::Int), ("contact_id", Ty::Uuid)],
);
pub static CONVERSATIONS_OF: Many = Many::new(
    "select :ord from conversations where tenant_id = :tenant_id and contact_id = :contact_id",
    &[("tenant_id", Ty::Int), ("contact_id", Ty::Uuid)],
);
pub static ADDRESSES_OF: Many = Many::new(
    "select :ord from contact_inboxes where tenant_id = :tenant_id and contact_id = :contact_id",
    &[("tenant_id", Ty::Int), ("contact_id", Ty::Uuid)],
);
/// Against being merged away or deleted, not against changes.
pub static HOLD: Many = Many::new(
    "select 1 from contacts where tenant_id = :tenant_id and id = :id order by tenant_id, id for key share",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub const UPDATE: &str = "update contacts set name = $3, email = $4, phone = $5, external_id = $6, custom_fields = $7, \
     updated_at = $8, metadata = $9, is_blocked = $10, avatar_url = $11 where tenant_id = $1 and id = $2";
pub const TAKE_HANDLE: &str = "insert into handles (tenant_id, kind, match_key, value, contact_id, is_primary, created_at) \
     values ($1, $2, $3, $4, $5, true, $6) on conflict (tenant_id, kind, match_key) do nothing";
/// The primary address gives way to the one with key $4.
pub const REPLACE_PRIMARY: &str =
    "delete from handles where tenant_id = $1 and contact_id = $2 and kind = $3 and is_primary and match_key <> $4";
pub const DEMOTE: &str = "update handles set is_primary = false where tenant_id = $1 and contact_id = $2 and kind = $3";
pub const PROMOTE: &str =
    "update handles set is_primary = true, value = $4 where tenant_id = $1 and kind = $2 and match_key = $3";
pub const CLEAR_HANDLES: &str = "delete from handles where tenant_id = $1 and contact_id = $2 and kind = $3";
pub const MOVE_HANDLES: &str =
    "update handles set contact_id = $3, is_primary = false where tenant_id = $1 and contact_id = $2";
pub const MOVE_ALIASES: &str = "update contact_aliases set contact_id = $3 where tenant_id = $1 and contact_id = $2";
pub const INSERT_ALIAS: &str =
    "insert into contact_aliases (tenant_id, id, contact_id, created_at) values ($1, $2, $3, $4)";
pub const MOVE_CONVERSATIONS: &str =
    "update conversations set contact_id = $3 where tenant_id = $1 and contact_id = $2";
pub const HAS_CONVERSATIONS: &str = "select 1 from conversations where tenant_id = $1 and contact_id = $2 limit 1";
pub const DELETE: &str = "delete from contacts where tenant_id = $1 and id = $2";
pub const DELETE_HANDLES: &str = "delete from handles where tenant_id = $1 and contact_id = $2";
pub const DELETE_ALIASES: &str = "delete from contact_aliases where tenant_id = $1 and contact_id = $2";
pub const MOVE_INBOXES: &str = "update contact_inboxes set contact_id = $3 where tenant_id = $1 and contact_id = $2";
pub const DELETE_INBOXES: &str = "delete from contact_inboxes where tenant_id = $1 and contact_id = $2";
pub const BY_NUMBER: &str = concat!("select ", columns!(), " from contacts c where c.tenant_id = $1 and c.number = $2");
/// Those of whom nobody knows an address.
pub const COUNT_NAMELESS: &str = "select count(*) from contacts where tenant_id = $1 and email is null and phone is null and \
     external_id is null";
/// Those with an address that carry any of these tags (between spaces).
pub const COUNT_TAGGED: &str = "select count(*) from contacts c where c.tenant_id = $1 and (c.email is not null or c.phone is not null or \
     c.external_id is not null) and c.id in (select g.contact_id from contact_tags g where g.tenant_id = $1 and g.tag_id in \
     (select t.id from tags t where t.tenant_id = $1 and replace($2, ' ' || t.slug || ' ', '') <> $2))";
/// A page of those with an address, of those that carry any of the tags if there are any.
macro_rules! page {
    ($order:literal) => {
        concat!(
            "select ",
            columns!(),
            " from contacts c where c.tenant_id = $1 and (c.email is not null or c.phone is not null or \
             c.external_id is not null) and ($2 = '' or exists (select 1 from contact_tags cg join tags ct \
             on ct.tenant_id = cg.tenant_id and ct.id = cg.tag_id where cg.tenant_id = $1 and cg.contact_id = c.id \
             and replace($2, ' ' || ct.slug || ' ', '') <> $2)) order by ",
            $order,
            " limit $3 offset $4"
        )
    };
}
pub const BY_NAME: &str = page!("lower(c.name), c.number");
pub const BY_NAME_DOWN: &str = page!("lower(c.name) desc, c.number");
pub const BY_EMAIL: &str = page!("c.email nulls last, c.number");
pub const BY_EMAIL_DOWN: &str = page!("c.email desc nulls last, c.number");
pub const BY_PHONE: &str = page!("c.phone nulls last, c.number");
pub const BY_PHONE_DOWN: &str = page!("c.phone desc nulls last, c.number");
pub const BY_CREATION: &str = page!("c.created_at, c.number");
pub const BY_CREATION_DOWN: &str = page!("c.created_at desc, c.number desc");
pub const BY_CHANGE: &str = page!("c.updated_at, c.id");
pub const BY_CHANGE_DOWN: &str = page!("c.updated_at desc, c.id desc");
pub static TAGS: Many = Many::new(
    "select :ord, ct.slug from contact_tags cg join tags ct on ct.tenant_id = cg.tenant_id and ct.id = cg.tag_id \
     where cg.tenant_id = :tenant_id and cg.contact_id = :contact_id",
    &[("tenant_id", Ty::Int), ("contact_id", Ty::Uuid)],
);
pub static INSERT_TAG: Many = Many::new(
    "insert into contact_tags (tenant_id, contact_id, tag_id, created_at) values (:tenant_id, :contact_id, :tag_id, :at) \
     on conflict (tenant_id, contact_id, tag_id) do nothing",
    &[("tenant_id", Ty::Int), ("contact_id", Ty::Uuid), ("tag_id", Ty::Uuid), ("at", Ty::Int)],
);
pub const CLEAR_TAGS: &str = "delete from contact_tags where tenant_id = $1 and contact_id = $2";
/// Those that the other does not carry yet.
pub const COPY_TAGS: &str = "insert into contact_tags (tenant_id, contact_id, tag_id, created_at) \
     select g.tenant_id, $3, g.tag_id, g.created_at from contact_tags g where g.tenant_id = $1 and g.contact_id = $2 \
     and not exists (select 1 from contact_tags o where o.tenant_id = $1 and o.contact_id = $3 and o.tag_id = g.tag_id)";
macro_rules! notes {
    ($rest:literal) => {
        concat!("select id, number, contact_id, user_id, text, created_at, updated_at from contact_notes ", $rest)
    };
}
pub const NOTES: &str = notes!("where tenant_id = $1 and contact_id = $2 order by id desc limit $3");
pub const NOTE: &str = notes!("where tenant_id = $1 and contact_id = $2 and number = $3");
pub const COUNT_NOTES: &str = "select count(*) from contact_notes where tenant_id = $1 and contact_id = $2";
pub const INSERT_NOTE: &str = "insert into contact_notes (tenant_id, contact_id, id, number, user_id, text, created_at, updated_at) \
     values ($1, $2, $3, $4, $5, $6, $7, $7)";
pub const UPDATE_NOTE: &str =
    "update contact_notes set text = $4, updated_at = $5 where tenant_id = $1 and contact_id = $2 and id = $3";
pub const DELETE_NOTE: &str = "delete from contact_notes where tenant_id = $1 and contact_id = $2 and id = $3";
pub const DELETE_NOTES: &str = "delete from contact_notes where tenant_id = $1 and contact_id = $2";
pub const MOVE_NOTES: &str = "update contact_notes set contact_id = $3 where tenant_id = $1 and contact_id = $2";
