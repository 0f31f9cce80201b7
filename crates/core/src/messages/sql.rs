//! Statements over `messages`.

use tieline_db::{Many, Ty};

/// The columns of a message `m`, as `message()` reads them.
macro_rules! columns {
    () => {
        "m.id, m.number, m.conversation_id, m.direction, m.author_type, m.author_id, m.author_name, m.text, m.html, m.external_id, \
         m.delivery_status, m.failure_reason, m.sent_at, m.created_at, m.updated_at, m.content_type, m.content_attributes"
    };
}

pub static INSERT: Many = Many::new(
    "insert into messages (tenant_id, id, number, conversation_id, direction, author_type, author_id, author_name, text, html, \
     external_id, delivery_status, failure_reason, sent_at, created_at, updated_at, content_type, content_attributes) \
     values (:tenant_id, :id, :number, :conversation_id, :direction, :author_type, :author_id, :author_name, :text, :html, \
     :external_id, :delivery_status, :failure_reason, :sent_at, :created_at, :updated_at, :content_type, :content_attributes)",
    &[
        ("tenant_id", Ty::Int),
        ("id", Ty::Uuid),
        ("number", Ty::Int),
        ("conversation_id", Ty::Uuid),
        ("direction", Ty::Text),
        ("author_type", Ty::Text),
        ("author_id", Ty::Uuid),
        ("author_name", Ty::Text),
        ("text", Ty::Text),
        ("html", Ty::Text),
        ("external_id", Ty::Text),
        ("delivery_status", Ty::Text),
        ("failure_reason", Ty::Text),
        ("sent_at", Ty::Int),
        ("created_at", Ty::Int),
        ("updated_at", Ty::Int),
        ("content_type", Ty::Text),
        ("content_attributes", Ty::Text),
    ],
);

pub const GET: &str = concat!("select ", columns!(), " from messages m where m.tenant_id = $1 and m.id = $2");
// Without statistics SQLite takes a tenant for ten rows and walks them all rather than go through an index to the table.
// Asked for ids only, it takes the index that holds them; so a page is found by its ids.
pub const OLDEST_FIRST: &str = concat!(
    "select ",
    columns!(),
    " from messages m where m.tenant_id = $1 and m.id in (select i.id from messages i where i.tenant_id = $1 \
     and i.conversation_id = $2 and i.number > $3 order by i.conversation_id, i.number limit $4) order by m.number"
);
pub const NEWEST_FIRST: &str = concat!(
    "select ",
    columns!(),
    " from messages m where m.tenant_id = $1 and m.id in (select i.id from messages i where i.tenant_id = $1 \
     and i.conversation_id = $2 and i.number < $3 order by i.conversation_id desc, i.number desc limit $4) order by m.number desc"
);
// What was said, by page numbers. The direction is looked up row by row for the same reason.
macro_rules! is_said {
    () => {
        " and exists (select 1 from messages d where d.tenant_id = i.tenant_id and d.id = i.id \
         and d.direction in ('inbound', 'outbound'))"
    };
}
macro_rules! said {
    ($order:literal) => {
        concat!(
            "select ",
            columns!(),
            " from messages m where m.tenant_id = $1 and m.id in (select i.id from messages i where i.tenant_id = $1 \
             and i.conversation_id = $2",
            is_said!(),
            " order by i.conversation_id ",
            $order,
            ", i.number ",
            $order,
            " limit $3 offset $4) order by m.number desc"
        )
    };
}
pub const SAID: &str = said!("desc");
pub const SAID_FROM_OLDEST: &str = said!("asc");
/// The newest of each conversation that was said.
pub static LAST_SAID: Many = Many::new(
    concat!(
        "select :ord, ",
        columns!(),
        " from messages m where m.tenant_id = :tenant_id and m.id = (select i.id from messages i \
         where i.tenant_id = :tenant_id and i.conversation_id = :conversation_id",
        is_said!(),
        " order by i.conversation_id desc, i.number desc limit 1)"
    ),
    &[("tenant_id", Ty::Int), ("conversation_id", Ty::Uuid)],
);
pub static BY_EXTERNAL_ID: Many = Many::new(
    concat!(
        "select :ord, ",
        columns!(),
        " from messages m where m.tenant_id = :tenant_id and m.conversation_id = :conversation_id \
         and m.external_id = :external_id"
    ),
    &[("tenant_id", Ty::Int), ("conversation_id", Ty::Uuid), ("external_id", Ty::Text)],
);
/// In the conversations that were opened because this one is archived.
pub static BY_EXTERNAL_ID_AFTER: Many = Many::new(
    concat!(
        "select :ord, ",
        columns!(),
        " from conversations f join messages m on m.tenant_id = f.tenant_id and m.conversation_id = f.id \
         where f.tenant_id = :tenant_id and f.previous_id = :conversation_id and m.external_id = :external_id"
    ),
    &[("tenant_id", Ty::Int), ("conversation_id", Ty::Uuid), ("external_id", Ty::Text)],
);
/// In the newest conversations of an address of an inbox.
pub const AT_ADDRESS: &str = concat!(
    "select ",
    columns!(),
    " from messages m where m.tenant_id = $1 and m.external_id = $4 and m.conversation_id in (select v.id \
     from conversations v where v.tenant_id = $1 and v.inbox_id = $2 and v.source_id = $3 order by v.number desc limit $5) \
     limit 1"
);
pub static CONVERSATION: Many = Many::new(
    "select :ord, m.conversation_id from messages m where m.tenant_id = :tenant_id and m.id = :id",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub const SET_STATUS: &str = "update messages set delivery_status = $3, failure_reason = $4, updated_at = $5 \
     where tenant_id = $1 and id = $2";
pub const TOUCH: &str = "update messages set updated_at = $3 where tenant_id = $1 and id = $2";
/// Moves a conversation's messages into another; an external id that is taken there is given up.
pub const MOVE: &str = "update messages set conversation_id = $3, external_id = case when exists (select 1 from messages o \
     where o.tenant_id = $1 and o.conversation_id = $3 and o.external_id = messages.external_id) then null \
     else external_id end where tenant_id = $1 and id in (select i.id from messages i where i.tenant_id = $1 \
     and i.conversation_id = $2)";
/// The newest message that says who waits for whom.
pub const LAST_DECISIVE: &str = "select m.direction, m.author_type from messages m where m.tenant_id = $1 and m.id in \
     (select i.id from messages i where i.tenant_id = $1 and i.conversation_id = $2) \
     and (m.direction = 'inbound' or (m.direction = 'outbound' and m.author_type = 'agent')) order by m.number desc limit 1";
pub const BY_NUMBER: &str = concat!(
    "select ",
    columns!(),
    " from messages m where m.tenant_id = $1 and m.id = (select i.id from messages i where i.tenant_id = $1 \
     and i.conversation_id = $2 and i.number = $3)"
);
pub const REWRITE: &str = "update messages set text = $3, html = null, content_type = $4, content_attributes = $5, \
     updated_at = $6 where tenant_id = $1 and id = $2";
/// What a message no longer holds is removed like an upload that no message took.
pub const LET_GO_OF_FILES: &str = "update attachments set message_id = null where tenant_id = $1 and message_id = $2";
/// A tenant's, the last written first: ids grow with time.
pub const WALK: &str =
    concat!("select ", columns!(), " from messages m where m.tenant_id = $1 and m.id < $2 order by m.id desc limit $3");
pub const NTH_NEWEST: &str = "select m.created_at from messages m where m.tenant_id = $1 and m.id = (select i.id from messages i \
     where i.tenant_id = $1 and i.conversation_id = $2 order by i.conversation_id desc, i.number desc limit 1 offset $3)";
pub static BY_ID: Many = Many::new(
    concat!("select :ord, ", columns!(), " from messages m where m.tenant_id = :tenant_id and m.id = :id"),
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
/// A conversation's files, those of its newest message first.
pub const FILES: &str = "select a.message_id, a.id from attachments a where a.tenant_id = $1 and a.message_id in \
     (select i.id from messages i where i.tenant_id = $1 and i.conversation_id = $2) \
     order by a.message_id desc, a.place desc, a.id desc limit $3 offset $4";
pub const COUNT_FILES: &str = "select count(*) from attachments a where a.tenant_id = $1 and a.message_id in \
     (select i.id from messages i where i.tenant_id = $1 and i.conversation_id = $2)";
/// Deliveries that ended without success and carried a message: its event names it.
pub const UNDELIVERED: &str = "select d.endpoint_id, d.id from deliveries d join events e on e.tenant_id = d.tenant_id and e.id = d.event_id \
     where d.tenant_id = $1 and d.conversation_id = $2 and d.status in ('failed', 'cancelled') and e.type = 'message.sent' \
     and e.data like $3 order by d.endpoint_id, d.id limit $4";
pub const QUEUE_AGAIN: &str = "update messages set delivery_status = 'queued', failure_reason = null, updated_at = $3 where tenant_id = $1 and id = $2";
