//! Statements over `conversations`.

use tieline_db::{Many, Ty};

/// The columns of a conversation `v` with its tags and its contact `c`, as `conversation()` reads them.
macro_rules! columns {
    () => {
        concat!(
            "v.id, v.number, v.inbox_id, v.channel, v.subject, v.status, v.engagement, v.external_reference, v.team_id, \
             v.agent_id, v.custom_fields, v.metadata, v.snoozed_until, v.merged_into_id, v.reopen_count, v.event_sequence, \
             v.last_message_at, v.last_contact_message_at, v.created_at, v.updated_at, v.done_at, v.archived_at, \
             v.previous_id, v.message_count, v.source_id, v.priority, v.is_held, v.waiting_since, v.first_reply_at, v.contact_seen_at, \
             v.agent_seen_at, v.bot_id, \
             (select string_agg(g.slug, ' ' order by g.slug) from conversation_tags vg \
              left join tags g on g.tenant_id = vg.tenant_id and g.id = vg.tag_id \
              where vg.tenant_id = v.tenant_id and vg.conversation_id = v.id), ",
            crate::contacts::sql::columns!()
        )
    };
}
/// Joins the contact of conversation `v`.
macro_rules! from {
    () => {
        " from conversations v join contacts c on c.tenant_id = v.tenant_id and c.id = v.contact_id "
    };
}

pub const GET: &str = concat!("select ", columns!(), from!(), "where v.tenant_id = $1 and v.id = $2");
/// What may change of a conversation, with its counted events.
pub static SAVE: Many = Many::new(
    "update conversations set subject = :subject, status = :status, engagement = :engagement, team_id = :team_id, \
     agent_id = :agent_id, custom_fields = :custom_fields, metadata = :metadata, snoozed_until = :snoozed_until, \
     merged_into_id = :merged_into_id, reopen_count = :reopen_count, event_sequence = :event_sequence, \
     message_count = :message_count, last_message_at = :last_message_at, last_contact_message_at = :last_contact_message_at, updated_at = :updated_at, \
     done_at = :done_at, archived_at = :archived_at, priority = :priority, is_held = :is_held, \
     waiting_since = :waiting_since, first_reply_at = :first_reply_at, bot_id = :bot_id \
     where tenant_id = :tenant_id and id = :id",
    &[
        ("tenant_id", Ty::Int),
        ("id", Ty::Uuid),
        ("subject", Ty::Text),
        ("status", Ty::Text),
        ("engagement", Ty::Text),
        ("team_id", Ty::Uuid),
        ("agent_id", Ty::Uuid),
        ("custom_fields", Ty::Text),
        ("metadata", Ty::Text),
        ("snoozed_until", Ty::Int),
        ("merged_into_id", Ty::Uuid),
        ("reopen_count", Ty::Int),
        ("event_sequence", Ty::Int),
        ("message_count", Ty::Int),
        ("last_message_at", Ty::Int),
        ("last_contact_message_at", Ty::Int),
        ("updated_at", Ty::Int),
        ("done_at", Ty::Int),
        ("archived_at", Ty::Int),
        ("priority", Ty::Text),
        ("is_held", Ty::Bool),
        ("waiting_since", Ty::Int),
        ("first_reply_at", Ty::Int),
        ("bot_id", Ty::Uuid),
    ],
);
pub static LOCK: Many = Many::new(
    "select 1 from conversations where tenant_id = :tenant_id and id = :id order by tenant_id, id for update",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
/// Those that were merged into no other: what is said in one that was goes elsewhere, and it stays as it is.
pub static LOCK_STANDING: Many = Many::new(
    "select 1 from conversations where tenant_id = :tenant_id and id = :id and merged_into_id is null \
     order by tenant_id, id for update",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub static GET_MANY: Many = Many::new(
    concat!("select :ord, ", columns!(), from!(), " where v.tenant_id = :tenant_id and v.id = :id"),
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub static BY_REFERENCE: Many = Many::new(
    "select :ord, id from conversations where tenant_id = :tenant_id and external_reference = :reference",
    &[("tenant_id", Ty::Int), ("reference", Ty::Text)],
);
pub static INSERT: Many = Many::new(
    "insert into conversations (tenant_id, id, number, inbox_id, contact_id, channel, subject, status, engagement, \
     external_reference, team_id, agent_id, custom_fields, metadata, previous_id, reopen_count, event_sequence, \
     message_count, last_message_at, last_contact_message_at, created_at, updated_at, source_id, priority, is_held, waiting_since, \
     first_reply_at) \
     values (:tenant_id, :id, :number, :inbox_id, :contact_id, :channel, :subject, :status, :engagement, :reference, \
     :team_id, :agent_id, :custom_fields, :metadata, :previous_id, 0, :event_sequence, :message_count, :last_message_at, :last_contact_message_at, \
     :at, :at, :source_id, :priority, :is_held, :waiting_since, :first_reply_at)",
    &[
        ("tenant_id", Ty::Int),
        ("id", Ty::Uuid),
        ("number", Ty::Int),
        ("inbox_id", Ty::Uuid),
        ("contact_id", Ty::Uuid),
        ("channel", Ty::Text),
        ("subject", Ty::Text),
        ("status", Ty::Text),
        ("engagement", Ty::Text),
        ("reference", Ty::Text),
        ("team_id", Ty::Uuid),
        ("agent_id", Ty::Uuid),
        ("custom_fields", Ty::Text),
        ("metadata", Ty::Text),
        ("previous_id", Ty::Uuid),
        ("event_sequence", Ty::Int),
        ("message_count", Ty::Int),
        ("last_message_at", Ty::Int),
        ("last_contact_message_at", Ty::Int),
        ("at", Ty::Int),
        ("source_id", Ty::Text),
        ("priority", Ty::Text),
        ("is_held", Ty::Bool),
        ("waiting_since", Ty::Int),
        ("first_reply_at", Ty::Int),
    ],
);
pub static INSERT_TAG: Many = Many::new(
    "insert into conversation_tags (tenant_id, conversation_id, tag_id, created_at) \
     values (:tenant_id, :conversation_id, :tag_id, :at)",
    &[("tenant_id", Ty::Int), ("conversation_id", Ty::Uuid), ("tag_id", Ty::Uuid), ("at", Ty::Int)],
);
pub static PRIMARIES: Many = Many::new(
    "select :ord, merged_into_id from conversations where tenant_id = :tenant_id and id = :id \
     and merged_into_id is not null",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
/// The newest that stands of those that were opened because this one is archived.
pub static SUCCESSOR: Many = Many::new(
    "select :ord, v.id from conversations v where v.tenant_id = :tenant_id and v.id = (select f.id from conversations f \
     where f.tenant_id = :tenant_id and f.previous_id = :id and f.status <> 'archived' and f.merged_into_id is null \
     order by f.number desc limit 1)",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub const MERGED_INTO: &str = "select merged_into_id from conversations where tenant_id = $1 and id = $2";
pub static CONTACT: Many = Many::new(
    concat!(
        "select :ord, ",
        crate::contacts::sql::columns!(),
        " from contacts c where c.tenant_id = :tenant_id and c.id = :id"
    ),
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
/// The contact that one with this id was merged into.
pub static CONTACT_BY_ALIAS: Many = Many::new(
    concat!(
        "select :ord, ",
        crate::contacts::sql::columns!(),
        " from contact_aliases a join contacts c on c.tenant_id = a.tenant_id and c.id = a.contact_id \
         where a.tenant_id = :tenant_id and a.id = :id"
    ),
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
pub const REMOVE_TAG: &str =
    "delete from conversation_tags where tenant_id = $1 and conversation_id = $2 and tag_id = $3";
pub const PARTICIPANTS: &str = "select user_id from participants where tenant_id = $1 and conversation_id = $2 \
     order by created_at, user_id limit $3";
pub const ADD_PARTICIPANT: &str = "insert into participants (tenant_id, conversation_id, user_id, created_at) \
     values ($1, $2, $3, $4) on conflict (tenant_id, conversation_id, user_id) do nothing";
pub const REMOVE_PARTICIPANT: &str =
    "delete from participants where tenant_id = $1 and conversation_id = $2 and user_id = $3";

/// Whether a team is the tenant's.
pub const KNOWS_TEAM: &str = "select 1 from teams where tenant_id = $1 and id = $2";
/// Whether an active user is the tenant's; a test partition's users are its live tenant's.
pub static KNOWS_USER: Many = Many::new(
    "select :ord, u.name from tenants t join users u on u.tenant_id = coalesce(t.parent_id, t.id) \
     where t.id = :tenant_id and u.id = :id and u.is_active",
    &[("tenant_id", Ty::Int), ("id", Ty::Uuid)],
);
/// The team of what lands in an inbox.
pub const LANDING_TEAM: &str = "select coalesce(i.team_id, t.default_team_id) from inboxes i \
     join tenants t on t.id = i.tenant_id where i.tenant_id = $1 and i.id = $2";

// Lists. The hot ones have a text each; every other combination of filters goes through one text per order, whose filters
// are off when null (`asked!`). Parameters: $1 tenant, $2 the id to go on from, $3 rows, $4 updated since, then status and the rare
// filters, and at last the time to go on from. Ids grow with time: the order of creation needs no column beside them.
macro_rules! updated {
    ($updated:literal, $key:literal, $($filters:tt)*) => {
        concat!(
            "select ",
            columns!(),
            from!(),
            "where v.tenant_id = $1",
            $($filters)*,
            " and (",
            $updated,
            ", v.id) < (",
            $key,
            ", $2) and ",
            $updated,
            " >= $4 order by ",
            $updated,
            " desc, v.id desc limit $3"
        )
    };
}
macro_rules! created {
    ($($filters:tt)*) => {
        concat!(
            "select ",
            columns!(),
            from!(),
            "where v.tenant_id = $1 and v.id < $2 and v.updated_at >= $4",
            $($filters)*,
            " order by v.id desc limit $3"
        )
    };
}
/// Whether it carries a tag `ft`. Not `exists`: to answer that for many conversations PostgreSQL may read all that are tagged.
macro_rules! tagged {
    ($which:literal) => {
        concat!(
            "(select 1 from conversation_tags fg join tags ft on ft.tenant_id = fg.tenant_id and ft.id = fg.tag_id \
             where fg.tenant_id = v.tenant_id and fg.conversation_id = v.id and ",
            $which,
            " limit 1) = 1"
        )
    };
}
macro_rules! rare {
    ($contact:literal) => {
        concat!(
            " and ",
            crate::page::sql::asked!(
                "(v.status = $5 or $5 is null) and (v.channel = $6 or $6 is null) and (v.team_id = $7 or $7 is null) \
                 and (v.agent_id = $8 or $8 is null) and (v.agent_id is null or not $9) and ",
                $contact,
                "(v.engagement = $11 or $11 is null) and (v.inbox_id = $12 or $12 is null) \
                 and ($13 = '' or ",
                tagged!("ft.slug = $13"),
                ")"
            )
        )
    };
}
macro_rules! any_contact {
    () => {
        rare!("(v.contact_id = $10 or $10 is null) and ")
    };
}
macro_rules! one_contact {
    () => {
        concat!(
            " and v.id in (select o.id from conversations o where o.tenant_id = $1 and o.contact_id = $10)",
            rare!("")
        )
    };
}
pub const LIST: &str = updated!("v.updated_at", "$5", "");
/// The inbox list. A bound on `updated_at` beside the place would lead SQLite to the other index.
pub const LIST_OF_STATUS: &str = concat!(
    "select ",
    columns!(),
    from!(),
    "where v.tenant_id = $1 and v.status = $4 and (v.updated_at, v.id) < ($5, $2) \
     order by v.updated_at desc, v.id desc limit $3"
);
pub const LIST_FILTERED: &str = updated!("v.updated_at", "$14", any_contact!());
/// Filters are looked at in a part alone that has an index in the order of the list.
macro_rules! part {
    ($part:literal) => {
        concat!(
            "select ",
            columns!(),
            from!(),
            "where v.tenant_id = $1 and ",
            $part,
            " and ",
            crate::page::sql::asked!("v.updated_at >= $4"),
            any_contact!(),
            " and (v.updated_at, v.id) < ($14, $2) order by v.updated_at desc, v.id desc limit $3"
        )
    };
}
/// What is open is little beside what was.
pub const LIST_FILTERED_OF_STATUS: &str = part!("v.status = $5");
/// What a user has is little beside what all have.
pub const LIST_OF_AGENT: &str = part!("v.agent_id = $8");
/// One customer's conversations are few: found by their index, then sorted. Without the inner query, and the sum that keeps
/// it from the index of changes, SQLite walks all of the tenant's.
pub const LIST_OF_CONTACT: &str = updated!("v.updated_at + 0", "$14", one_contact!());
pub const LIST_CREATED: &str = created!(any_contact!());
pub const LIST_CREATED_OF_CONTACT: &str = created!(one_contact!());
pub const BY_THEIR_REFERENCE: &str =
    concat!("select ", columns!(), from!(), "where v.tenant_id = $1 and v.external_reference = $2");
pub const BY_NUMBER: &str = concat!("select ", columns!(), from!(), "where v.tenant_id = $1 and v.number = $2");
/// The contact's last conversation at an address of an inbox.
pub const NEWEST_FROM: &str = concat!(
    "select ",
    columns!(),
    from!(),
    "where v.tenant_id = $1 and v.inbox_id = $2 and v.source_id = $3 order by v.number desc limit 1"
);
/// One customer's that a user sees, or that came from an address of an inbox, last written to first.
pub const OF_CONTACT: &str = concat!(
    "select ",
    columns!(),
    from!(),
    "where v.tenant_id = $1 and v.id in (select o.id from conversations o where o.tenant_id = $1 and o.contact_id = $2) \
     and (v.inbox_id in (select mi.inbox_id from inbox_members mi where mi.tenant_id = $1 and mi.user_id = $4) \
     or v.team_id in (select tm.team_id from team_members tm where tm.tenant_id = $1 and tm.user_id = $4) or $4 is null) \
     and (v.inbox_id = $5 or $5 is null) and (v.source_id = $6 or $6 = '') \
     order by coalesce(v.last_message_at, v.created_at) desc, v.number desc limit $3"
);
/// Who reads a queue asks for: bot's hold, inbox, team, any of these tags (between spaces), address, changed after, unattended,
/// what this user may see, what this user takes part in.
macro_rules! standing {
    ($status:literal) => {
        concat!(
            "where v.tenant_id = $1 and v.updated_at > $7 and ",
            crate::page::sql::asked!(
                "(v.is_held = $2 or $2 is null) and (v.inbox_id = $3 or $3 is null) and (v.team_id = $4 or $4 is null) \
                 and (v.source_id = $6 or $6 = '') \
                 and (v.first_reply_at is null or v.waiting_since is not null or not $8) \
                 and (v.inbox_id in (select mi.inbox_id from inbox_members mi where mi.tenant_id = $1 and mi.user_id = $9) \
                 or v.team_id in (select tm.team_id from team_members tm where tm.tenant_id = $1 and tm.user_id = $9) \
                 or $9 is null) and (v.agent_id = $10 or (select 1 from participants p where p.tenant_id = $1 \
                 and p.conversation_id = v.id and p.user_id = $10) = 1 or $10 is null) and ($5 = '' or ",
                tagged!("replace($5, ' ' || ft.slug || ' ', '') <> $5"),
                ")"
            ),
            " and ",
            $status
        )
    };
}
/// A page of a queue: found by ids in the order, then read.
macro_rules! queue {
    ($status:literal, $order:literal) => {
        concat!(
            "select ",
            columns!(),
            from!(),
            "where v.tenant_id = $1 and v.id in (select v.id from conversations v ",
            standing!($status),
            " and ",
            crate::page::sql::asked!(
                "(v.agent_id = $11 or $11 is null) and ((v.agent_id is null) = $12 or $12 is null)"
            ),
            " order by ",
            $order,
            "v.updated_at desc, v.id desc limit $13 offset $14) order by ",
            $order,
            "v.updated_at + 0 desc, v.id desc"
        )
    };
}
/// A queue in another order than the last change; what has no place in it comes last.
macro_rules! sorted {
    ($status:literal) => {
        queue!(
            $status,
            "case $16 when 'oldest' then v.updated_at when 'created' then v.created_at when 'created_down' then -v.created_at \
             when 'waiting' then v.waiting_since when 'waiting_down' then -v.waiting_since \
             when 'priority' then case v.priority when 'low' then 1 when 'medium' then 2 when 'high' then 3 when 'urgent' then 4 end \
             when 'priority_down' then case v.priority when 'low' then 4 when 'medium' then 3 when 'high' then 2 when 'urgent' then 1 end \
             when 'unread' then case when v.last_contact_message_at > coalesce(v.agent_seen_at, 0) then 1 end end nulls last, "
        )
    };
}
pub const QUEUE: &str = queue!("($15 = '' or replace($15, v.status, '') <> $15)", "");
pub const QUEUE_OF_STATUS: &str = queue!("v.status = $15", "");
pub const QUEUE_OF_AGENT: &str = queue!("v.agent_id = $11 and ($15 = '' or replace($15, v.status, '') <> $15)", "");
pub const QUEUE_SORTED: &str = sorted!("($15 = '' or replace($15, v.status, '') <> $15)");
pub const QUEUE_SORTED_OF_STATUS: &str = sorted!("v.status = $15");
macro_rules! counts {
    ($status:literal) => {
        concat!(
            "select count(*), count(v.agent_id), count(case when v.agent_id = $11 then 1 end) from conversations v ",
            standing!($status)
        )
    };
}
pub const COUNTS: &str = counts!("($12 = '' or replace($12, v.status, '') <> $12)");
pub const COUNTS_OF_STATUS: &str = counts!("v.status = $12");
/// Of those that somebody has: all, and one user's.
pub const ASSIGNED: &str = "select count(*), count(case when v.agent_id = $2 then 1 end) from conversations v \
     where v.tenant_id = $1 and v.agent_id is not null and ($3 = '' or replace($3, v.status, '') <> $3) \
     and (v.is_held = $4 or $4 is null)";
pub const HELD: &str = "select count(*) from conversations where tenant_id = $1 and is_held and status = 'active'";
/// What the customer wrote after an instant, ten at most.
pub const UNREAD: &str = "select count(*) from (select 1 from messages m where m.tenant_id = $1 and m.id in \
     (select i.id from messages i where i.tenant_id = $1 and i.conversation_id = $2) \
     and m.direction = 'inbound' and m.created_at > $3 limit 10) u";
pub const UNREAD_THEN: &str = "select count(*) from (select 1 from (select m.direction, m.created_at from messages m \
     where m.tenant_id = $1 and m.id in (select i.id from messages i where i.tenant_id = $1 and i.conversation_id = $2 \
     and i.number <= $3 order by i.number desc limit 50)) n where n.direction = 'inbound' and n.created_at > $4 limit 10) u";
pub const SEEN_BY_CONTACT: &str = "update conversations set contact_seen_at = $3 where tenant_id = $1 and id = $2";
pub const SEEN_BY_AGENT: &str = "update conversations set agent_seen_at = $3 where tenant_id = $1 and id = $2";

// Pages by number: places are passed over in the narrow index, then the page's rows are read.
macro_rules! numbered {
    ($status:literal, $order:literal) => {
        concat!(
            "select ",
            columns!(),
            from!(),
            "where v.tenant_id = $1 and v.id in (select i.id from conversations i where i.tenant_id = $1",
            $status,
            " order by i.updated_at ",
            $order,
            ", i.id ",
            $order,
            " limit $2 offset $3) order by v.updated_at + 0 desc, v.id desc"
        )
    };
}
pub const NUMBERED: &str = numbered!("", "desc");
pub const NUMBERED_FROM_OLDEST: &str = numbered!("", "asc");
pub const NUMBERED_OF_STATUS: &str = numbered!(" and i.status = $4", "desc");
pub const NUMBERED_OF_STATUS_FROM_OLDEST: &str = numbered!(" and i.status = $4", "asc");
/// What goes with a conversation that is deleted.
pub const DELETE_FILES: &str = "update attachments set message_id = null, due_at = null where tenant_id = $1 and message_id in \
     (select i.id from messages i where i.tenant_id = $1 and i.conversation_id = $2)";
pub const DELETE_MESSAGES: &str = "delete from messages where tenant_id = $1 and id in \
     (select i.id from messages i where i.tenant_id = $1 and i.conversation_id = $2)";
pub const DELETE_TAGS: &str = "delete from conversation_tags where tenant_id = $1 and conversation_id = $2";
pub const DELETE_PARTICIPANTS: &str = "delete from participants where tenant_id = $1 and conversation_id = $2";
/// Of the same contact: only such are merged.
pub const LEAVE_MERGED: &str = "update conversations set merged_into_id = null where tenant_id = $1 and id in \
     (select o.id from conversations o where o.tenant_id = $1 and o.contact_id = $3) and merged_into_id = $2";
/// Those that deleting one touches: what it was merged from, and what was opened after it.
pub const POINTING: &str = "select id from conversations where tenant_id = $1 and (previous_id = $2 or (merged_into_id = $2 \
     and contact_id = $3)) order by id";
pub const LEAVE_PREVIOUS: &str =
    "update conversations set previous_id = null where tenant_id = $1 and previous_id = $2";
pub const DELETE: &str = "delete from conversations where tenant_id = $1 and id = $2";
