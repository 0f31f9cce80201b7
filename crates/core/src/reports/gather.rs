//! From the log to sums: reads events in order, adds them up by hour and subject, and writes the sums in the transaction that
//! moves the cursor. So each event counts exactly once, and no report ever walks messages.
//!
//! A conversation counts where it was opened: when it moves to another agent, team or label, it moves there in the hour of
//! its opening. What is said and done counts when it is, for whoever has the conversation then; a reply for its author.

use super::{Counts, Dimension, sql};
use crate::events::{Stored, feed};
use crate::ids::{ConversationId, MessageId, TenantId};
use crate::messages::direction::{AuthorType, Direction};
use crate::messages::{self, Message};
use crate::time::Micros;
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use tieline_db::{Param, Read, Row, Tx, params};

/// Events read at once.
pub const BATCH: i64 = 256;
/// Messages before a reply in which its question is looked for.
const LOOKED_BACK: i64 = 50;
const CURSOR: &str = "cursor.reports";
const HOUR_US: i64 = 3_600_000_000;
/// What counts, between spaces.
const NAMES: &str = " conversation.created conversation.resolved message.received message.sent assignment.changed tag.added tag.removed ";

type Key = (TenantId, Dimension, String, i64);

/// Sums on their way into the table.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    from: i64,
    to: i64,
    sums: BTreeMap<Key, Counts>,
    /// Whether the log may have more.
    pub more: bool,
}

impl Gathered {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }
}

/// As much of an event's data as counts.
#[derive(Deserialize)]
struct Data {
    conversation: Whose,
    message: Option<Named>,
    from: Option<Holder>,
    to: Option<Holder>,
    tag: Option<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whose {
    inbox_id: String,
    assigned_team_id: Option<String>,
    assigned_agent_id: Option<String>,
    tags: Vec<String>,
    created_at: String,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Holder {
    team_id: Option<String>,
    agent_id: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    slug: String,
}

/// Adds up the next events.
pub fn gather(read: &mut Read) -> Result<Gathered> {
    let text: Option<String> = read.opt(sql::CURSOR, &params![CURSOR], |row| row.get(0))?;
    let from = text.map_or(Ok(0), |text| text.parse().map_err(Error::internal))?;
    let events = feed::after(read, from, BATCH, NAMES)?;
    let mut gathered = Gathered { from, to: from, more: events.len() as i64 == BATCH, ..Gathered::default() };
    for event in &events {
        gathered.to = event.position;
        if NAMES.contains(&format!(" {} ", event.name)) {
            // Data that is not understood counts for nothing: it must not keep the rest from being counted.
            if let Ok(data) = serde_json::from_str::<Data>(&event.data) {
                count(read, &mut gathered.sums, event, &data)?;
            }
        }
    }
    Ok(gathered)
}

/// Writes the sums and moves the cursor; false when another node has done it.
pub fn record(tx: &mut Tx, gathered: &Gathered) -> Result<bool> {
    let (text, before) = (gathered.to.to_string(), gathered.from.to_string());
    let moved = match gathered.from {
        0 => tx.execute(sql::START_CURSOR, &params![CURSOR, &text])?,
        _ => tx.execute(sql::MOVE_CURSOR, &params![CURSOR, &text, &before])?,
    };
    if moved == 0 {
        return Ok(false);
    }
    let mut rows: Vec<Param> = Vec::with_capacity(gathered.sums.len() * 13);
    for ((tenant, dimension, subject, hour), counts) in &gathered.sums {
        rows.extend(params![tenant.0, dimension.as_str(), subject, *hour]);
        rows.extend(counts.0.map(Param::Int));
    }
    tx.run_many(&sql::ADD, &rows)?;
    Ok(true)
}

fn count(read: &mut Read, sums: &mut BTreeMap<Key, Counts>, event: &Stored, data: &Data) -> Result<()> {
    let v = &data.conversation;
    let opened = Micros::parse(&v.created_at, "").map_or(event.at, |at| at.0);
    let mut add = |dimension: Dimension, subject: &str, at: i64, counts: Counts| {
        let key = (event.tenant, dimension, subject.to_owned(), at.div_euclid(HOUR_US));
        *sums.entry(key).or_default() += counts;
    };
    // Everybody whose conversation it is; the agent by name, because a reply is its author's.
    let mut everybody = |agent: Option<&str>, at: i64, counts: Counts| {
        add(Dimension::Account, "", at, counts);
        add(Dimension::Inbox, &v.inbox_id, at, counts);
        if let Some(team) = &v.assigned_team_id {
            add(Dimension::Team, team, at, counts);
        }
        if let Some(agent) = agent {
            add(Dimension::Agent, agent, at, counts);
        }
        for tag in &v.tags {
            add(Dimension::Label, tag, at, counts);
        }
    };
    let agent = v.assigned_agent_id.as_deref();
    match event.name.as_str() {
        "conversation.created" => everybody(agent, event.at, Counts::conversations(1)),
        "conversation.resolved" => everybody(agent, event.at, Counts::resolution(event.at - opened)),
        "message.received" => everybody(agent, event.at, Counts::incoming()),
        "message.sent" => {
            let Some(message) = message(read, event, data)? else { return Ok(()) };
            let is_ours = message.author_type == AuthorType::Agent;
            let author = message.author_id.filter(|_| is_ours);
            let author = author.map(|id| crate::ids::UserId::from_uuid(id).to_string());
            let mut counts = Counts::outgoing();
            if let Some(asked) = event.conversation.filter(|_| is_ours).map(|id| asked(read, event, id, &message)) {
                counts += asked?.counts(&message, opened);
            }
            everybody(author.as_deref(), event.at, counts);
        }
        "assignment.changed" => {
            let (Some(from), Some(to)) = (&data.from, &data.to) else { return Ok(()) };
            for (dimension, from, to) in
                [(Dimension::Agent, &from.agent_id, &to.agent_id), (Dimension::Team, &from.team_id, &to.team_id)]
            {
                if from != to {
                    from.iter().for_each(|id| add(dimension, id, opened, Counts::conversations(-1)));
                    to.iter().for_each(|id| add(dimension, id, opened, Counts::conversations(1)));
                }
            }
        }
        "tag.added" | "tag.removed" => {
            let one = if event.name == "tag.added" { 1 } else { -1 };
            data.tag.iter().for_each(|tag| add(Dimension::Label, &tag.slug, opened, Counts::conversations(one)));
        }
        _ => {}
    }
    Ok(())
}

/// The message that an event is about; none when it is gone.
fn message(read: &mut Read, event: &Stored, data: &Data) -> Result<Option<Message>> {
    let Some(id) = data.message.as_ref().and_then(|message| message.id.parse::<MessageId>().ok()) else {
        return Ok(None);
    };
    match messages::get(read, event.tenant, id) {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.code == "not_found" => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a reply answers.
struct Asked {
    /// When the customer wrote the first of it.
    since: Option<i64>,
    /// None of us had replied before.
    is_first: bool,
}

impl Asked {
    fn counts(&self, message: &Message, opened: i64) -> Counts {
        let Some(since) = self.since else { return Counts::default() };
        let mut counts = Counts::reply((message.created_at - since).max(0));
        if self.is_first {
            counts += Counts::first_reply((message.created_at - opened).max(0));
        }
        counts
    }
}

/// What a message of ours answers: what the customer has written since our last one.
fn asked(read: &mut Read, event: &Stored, conversation: ConversationId, message: &Message) -> Result<Asked> {
    let params = params![event.tenant.0, conversation.0, message.number, LOOKED_BACK];
    let row = |row: &Row| Ok((row.get::<String>(0)?, row.get::<String>(1)?, row.get::<i64>(2)?));
    let before = read.all(sql::SAID_BEFORE, &params, row)?;
    let is_ours = |(direction, author, _): &(String, String, i64)| {
        direction == Direction::Outbound.as_str() && author == AuthorType::Agent.as_str()
    };
    let since_ours = before.iter().take_while(|said| !is_ours(said));
    let heard = since_ours.filter(|(direction, ..)| direction == Direction::Inbound.as_str());
    let since = heard.last().map(|(_, _, at)| *at);
    let is_first = !before.iter().any(is_ours) && (before.len() as i64) < LOOKED_BACK;
    Ok(Asked { since, is_first })
}
