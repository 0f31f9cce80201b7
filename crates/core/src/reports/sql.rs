//! Statements over `report_hours`. The cursor belongs to the loop of the installation.

use tieline_db::{Many, Ty};

pub static ADD: Many = Many::new(
    "insert into report_hours (tenant_id, dimension, subject, hour, conversations, incoming, outgoing, resolutions, resolution_us, \
     first_replies, first_reply_us, replies, reply_us) \
     values (:tenant_id, :dimension, :subject, :hour, :conversations, :incoming, :outgoing, :resolutions, :resolution_us, \
     :first_replies, :first_reply_us, :replies, :reply_us) \
     on conflict (tenant_id, dimension, subject, hour) do update set \
     conversations = report_hours.conversations + excluded.conversations, incoming = report_hours.incoming + excluded.incoming, \
     outgoing = report_hours.outgoing + excluded.outgoing, resolutions = report_hours.resolutions + excluded.resolutions, \
     resolution_us = report_hours.resolution_us + excluded.resolution_us, \
     first_replies = report_hours.first_replies + excluded.first_replies, \
     first_reply_us = report_hours.first_reply_us + excluded.first_reply_us, replies = report_hours.replies + excluded.replies, \
     reply_us = report_hours.reply_us + excluded.reply_us",
    &[
        ("tenant_id", Ty::Int),
        ("dimension", Ty::Text),
        ("subject", Ty::Text),
        ("hour", Ty::Int),
        ("conversations", Ty::Int),
        ("incoming", Ty::Int),
        ("outgoing", Ty::Int),
        ("resolutions", Ty::Int),
        ("resolution_us", Ty::Int),
        ("first_replies", Ty::Int),
        ("first_reply_us", Ty::Int),
        ("replies", Ty::Int),
        ("reply_us", Ty::Int),
    ],
);
pub const HOURS: &str = "select hour, conversations, incoming, outgoing, resolutions, resolution_us, first_replies, first_reply_us, \
     replies, reply_us from report_hours where tenant_id = $1 and dimension = $2 and subject = $3 and hour >= $4 and hour < $5 \
     order by hour limit $6";

/// What was said before a message, the newest first.
pub const SAID_BEFORE: &str = "select m.direction, m.author_type, m.created_at from messages m where m.tenant_id = $1 and m.id in \
     (select i.id from messages i where i.tenant_id = $1 and i.conversation_id = $2 and i.number < $3 \
     order by i.conversation_id desc, i.number desc limit $4) order by m.number desc";

/// How things stand now: conversations that nobody has answered wait without an answer, or are new.
pub const NOW: &str = "select count(case when not v.is_held then 1 end), \
     count(case when not v.is_held and (v.first_reply_at is null or v.waiting_since is not null) then 1 end), \
     count(case when not v.is_held and v.agent_id is null then 1 end), count(case when v.is_held then 1 end) \
     from conversations v where v.tenant_id = $1 and v.status = 'active' and (v.team_id = $2 or $2 is null)";
pub const NOW_BY_AGENT: &str = "select v.agent_id, count(*), \
     count(case when v.first_reply_at is null or v.waiting_since is not null then 1 end) \
     from conversations v where v.tenant_id = $1 and v.status = 'active' and not v.is_held and v.agent_id is not null \
     group by v.agent_id";

pub const CURSOR: &str = "select value from installation where name = $1";
pub const START_CURSOR: &str = "insert into installation (name, value) values ($1, $2) on conflict (name) do nothing";
pub const MOVE_CURSOR: &str = "update installation set value = $2 where name = $1 and value = $3";
