//! Conversations that find their agent by themselves: what comes into the open in an inbox, or into a team, whose
//! conversations do so waits in a queue until somebody is there who takes it (contract D3.12; docs/adr/0012).
//!
//! Three steps of a reader of the log. [`look`] picks from new events the conversations that seek an agent, [`queue`] writes
//! them down in the transaction that moves the cursor. [`ready`] finds whom of those that wait somebody could take, and
//! [`assign`] gives them, one transaction at a time over all nodes: so turns are taken one by one and nobody gets more than
//! they may have.

mod sql;

use crate::conversations::status::Status;
use crate::conversations::{self, Conversation};
use crate::ctx::{Cause, Ctx};
use crate::events::{Batch, Render, Stored, feed};
use crate::ids::{ConversationId, InboxId, TeamId, TenantId, UserId};
use crate::installation::take_turn;
use crate::teams::{CAPACITY_LIMIT, Mode};
use crate::{Error, Result, installation};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use tieline_db::{Param, Read, Tx, params};
use uuid::Uuid;

/// Events read at once.
pub const BATCH: i64 = 1024;
/// Conversations that are written down in one transaction.
const QUEUED_AT_ONCE: usize = 256;
/// Conversations that are given in one transaction.
const GIVEN_AT_ONCE: usize = 32;
/// Inboxes and teams in which conversations wait, looked at in one step.
const PLACES_AT_ONCE: i64 = 1000;
/// Agents looked at for one conversation.
const AGENTS_LIMIT: i64 = 1000;
/// Events that make nobody wait and are passed over before the cursor is written down: they may be looked at again after a
/// crash, which costs time and nothing else.
const UNWRITTEN: i64 = 100_000;
const CURSOR: &str = "cursor.assignment";
const TURN: &str = "assignment.turn";
const CREATED: &str = "conversation.created";
const UPDATED: &str = "conversation.updated";
/// What the assignments say they come from.
const CAUSE: &str = "assignment";

/// What is remembered between looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    revision: Option<i64>,
    is_any: bool,
    /// Whoever seeks an agent by an event up to here waits already.
    passed: i64,
}

impl Known {
    /// Whether any conversation of the installation is to find its agent by itself, as far as is known.
    pub fn is_any(&self) -> bool {
        self.is_any
    }
}

/// A conversation that seeks an agent.
#[derive(Clone, Copy, Debug)]
struct Seeking {
    tenant: TenantId,
    conversation: ConversationId,
    since: i64,
    inbox: Uuid,
    team: Uuid,
}

/// What is to be written down.
#[derive(Clone, Debug)]
pub struct Work {
    /// Where the cursor stands, and where it is to stand.
    from: i64,
    to: i64,
    seeking: Vec<Seeking>,
}

/// What a look found.
#[derive(Debug)]
pub struct Look {
    /// What to remember, once [`queue`] is through, or at once when there is nothing to do.
    pub known: Known,
    /// What to write down.
    pub work: Option<Work>,
    /// Whether the log may have more.
    pub more: bool,
}

fn cursor(read: &mut Read) -> Result<i64> {
    let text: Option<String> = read.opt(sql::CURSOR, &params![CURSOR], |row| row.get(0))?;
    text.map_or(Ok(0), |text| text.parse().map_err(Error::internal))
}

/// Looks for conversations that came into the open, or to a team.
pub fn look(read: &mut Read, mut known: Known) -> Result<Look> {
    let revision = Some(installation::configuration(read)?);
    if known.revision != revision {
        known = Known { revision, is_any: read.opt(sql::ANY, &[], |_| Ok(()))?.is_some(), passed: known.passed };
    }
    let at = cursor(read)?;
    let (mut seeking, mut more): (Vec<Seeking>, bool) = (Vec::new(), false);
    if known.is_any {
        let position = at.max(known.passed);
        let events = feed::after(read, position, BATCH, &format!(" {UPDATED} "))?;
        more = events.len() as i64 == BATCH;
        for event in &events {
            if seeking.len() == QUEUED_AT_ONCE {
                more = true;
                break;
            }
            known.passed = event.position;
            if let Some(conversation) = event.conversation.filter(|_| may_seek(event))
                && !seeking.iter().any(|other| other.conversation == conversation)
            {
                let (tenant, since) = (event.tenant, event.at);
                seeking.push(Seeking { tenant, conversation, since, inbox: Uuid::nil(), team: Uuid::nil() });
            }
        }
    } else {
        known.passed = feed::last_position(read)?.max(known.passed);
    }
    let seeking = wanting(read, &seeking)?;
    let is_work = !seeking.is_empty() || known.passed - at >= UNWRITTEN;
    Ok(Look { known, work: is_work.then_some(Work { from: at, to: known.passed, seeking }), more })
}

/// Whether an event may have left a conversation open and with nobody, as far as it tells. That somebody let go of it does
/// not: they wanted it so.
fn may_seek(event: &Stored) -> bool {
    #[derive(Deserialize)]
    struct Data {
        #[serde(default)]
        changes: Map<String, Value>,
    }
    let changed = || serde_json::from_str::<Data>(&event.data).is_ok_and(|data| opens(&data.changes));
    event.name == CREATED || (event.name == UPDATED && changed())
}

fn opens(changes: &Map<String, Value>) -> bool {
    ["status", "isHeld", "assignedTeamId"].iter().any(|field| changes.contains_key(*field))
}

fn wanting(read: &mut Read, asked: &[Seeking]) -> Result<Vec<Seeking>> {
    let keys: Vec<Param> = asked.iter().flat_map(|one| params![one.tenant.0, one.conversation.0]).collect();
    let mut found = Vec::new();
    if asked.is_empty() {
        return Ok(found);
    }
    read.select_many(&sql::WANTING, &keys, |row| {
        let one = asked[row.get::<i64>(0)? as usize];
        found.push(Seeking { inbox: row.get(1)?, team: row.get::<Option<Uuid>>(2)?.unwrap_or_default(), ..one });
        Ok(())
    })?;
    Ok(found)
}

/// Writes down who waits, and moves the cursor; false when another node has done it.
pub fn queue(tx: &mut Tx, work: &Work) -> Result<bool> {
    let (text, before) = (work.to.to_string(), work.from.to_string());
    let moved = match work.from {
        0 => tx.execute(sql::START_CURSOR, &params![CURSOR, &text])?,
        _ => tx.execute(sql::MOVE_CURSOR, &params![CURSOR, &text, &before])?,
    };
    let row = |one: &Seeking| params![one.tenant.0, one.conversation.0, one.inbox, one.team, one.since];
    if moved > 0 && !work.seeking.is_empty() {
        tx.run_many(&sql::QUEUE, &work.seeking.iter().flat_map(row).collect::<Vec<Param>>())?;
    }
    Ok(moved > 0)
}

/// An inbox and a team (the nil id for none) in which an agent is sought.
type Place = (TenantId, Uuid, Uuid);

/// Who is there.
#[derive(Clone, Copy, Debug)]
struct Agent {
    user: UserId,
    turn: i64,
    open: i64,
}

/// How a place gives, and to whom.
#[derive(Debug)]
struct Desk {
    mode: Mode,
    capacity: i64,
    agents: Vec<Agent>,
}

impl Desk {
    fn at(read: &mut Read, (tenant, inbox, team): Place) -> Result<Desk> {
        let row = |row: &tieline_db::Row| Ok((Mode::of(row.get(0)?, row.get(1)?), row.get::<Option<i64>>(2)?));
        let policy = read.opt(sql::POLICY, &params![tenant.0, inbox, team], row)?;
        let (mode, capacity) = policy.unwrap_or((Mode::Manual, None));
        let mut agents = Vec::new();
        if mode.is_automatic() {
            let (now, limits) = (read.now(), [CAPACITY_LIMIT, AGENTS_LIMIT]);
            let params = params![tenant.0, inbox, team, !team.is_nil(), now, limits[0], limits[1]];
            agents = read.all(sql::AGENTS, &params, |row| {
                Ok(Agent { user: UserId::from_uuid(row.get(0)?), turn: row.get(1)?, open: row.get(2)? })
            })?;
        }
        Ok(Desk { mode, capacity: capacity.unwrap_or(i64::MAX), agents })
    }

    /// Who is next; nobody where none may have another one.
    fn next(&self) -> Option<UserId> {
        let may = self.agents.iter().filter(|agent| agent.open < self.capacity);
        let least = |agent: &&Agent| if self.mode == Mode::LeastLoaded { agent.open } else { 0 };
        may.min_by_key(|agent| (least(agent), agent.turn, agent.user)).map(|agent| agent.user)
    }

    fn note(&mut self, user: UserId, turn: i64) {
        for agent in self.agents.iter_mut().filter(|agent| agent.user == user) {
            (agent.turn, agent.open) = (turn, agent.open + 1);
        }
    }
}

/// Conversations that wait and that somebody could take, the longest waiting first; as many as [`assign`] is to be given.
pub fn ready(read: &mut Read) -> Result<Vec<(TenantId, ConversationId)>> {
    let places: Vec<Place> = read.all(sql::PLACES, &params![PLACES_AT_ONCE], |row| {
        Ok((TenantId(row.get(0)?), row.get::<Uuid>(1)?, row.get::<Uuid>(2)?))
    })?;
    let mut waiting = Vec::new();
    for place in places {
        let desk = Desk::at(read, place)?;
        // What waits where nothing is given any more is taken out of the queue.
        if desk.mode.is_automatic() && desk.next().is_none() {
            continue;
        }
        let (tenant, inbox, team) = place;
        let oldest = params![tenant.0, inbox, team, GIVEN_AT_ONCE as i64];
        waiting.extend(read.all(sql::OLDEST, &oldest, |row| {
            Ok((row.get::<i64>(0)?, tenant, ConversationId::from_uuid(row.get(1)?)))
        })?);
    }
    waiting.sort();
    waiting.truncate(GIVEN_AT_ONCE);
    Ok(waiting.into_iter().map(|(_, tenant, conversation)| (tenant, conversation)).collect())
}

/// Gives these to whoever is next, in this order, and takes out of the queue what seeks nobody any more; how many of them
/// wait no longer. `render` writes the events.
pub fn assign(tx: &mut Tx, render: Render, waiting: &[(TenantId, ConversationId)]) -> Result<usize> {
    take_turn(tx, TURN)?;
    let mut keys = waiting.to_vec();
    keys.sort();
    let mut found = conversations::lock_many(tx, &keys)?;
    let mut desks: HashMap<Place, Desk> = HashMap::new();
    let (mut events, mut turns) = (Batch::default(), HashMap::new());
    let mut given: Vec<(TenantId, Conversation)> = Vec::new();
    let mut left = 0;
    for (tenant, id) in waiting {
        let seeks = |v: &Conversation| v.status == Status::Active && !v.is_held && v.agent.is_none() && v.bot.is_none();
        let (mut agent, mut waits) = (None, false);
        let v = found.remove(&(*tenant, *id)).filter(seeks);
        if let Some(v) = &v {
            let place = (*tenant, v.inbox.0, v.team.map_or(Uuid::nil(), |team| team.0));
            let desk = match desks.entry(place) {
                Entry::Occupied(desk) => desk.into_mut(),
                Entry::Vacant(free) => free.insert(Desk::at(tx, place)?),
            };
            agent = desk.next();
            waits = agent.is_none() && desk.mode.is_automatic();
        }
        if waits {
            continue;
        }
        left += 1;
        tx.execute(sql::LEAVE, &params![tenant.0, id.0])?;
        if let (Some(before), Some(agent)) = (v, agent) {
            let turn = tx.take_number()?;
            turns.insert((*tenant, agent), turn);
            for (_, desk) in desks.iter_mut().filter(|(place, _)| place.0 == *tenant) {
                desk.note(agent, turn);
            }
            let ctx = context(*tenant, render, &before);
            let mut v = before.clone();
            v.agent = Some(agent);
            conversations::announce(tx, &ctx, &before, &mut v, &mut events)?;
            given.push((*tenant, v));
        }
    }
    conversations::save_many(tx, given.iter().map(|(tenant, v)| (*tenant, v)))?;
    let mut turns: Vec<((TenantId, UserId), i64)> = turns.into_iter().collect();
    turns.sort();
    let turns: Vec<Param> = turns.iter().flat_map(|((tenant, user), turn)| params![tenant.0, user.0, *turn]).collect();
    tx.run_many(&sql::TURN, &turns)?;
    events.write(tx)?;
    Ok(left)
}

/// Tieline itself, because of the team's mode, or the inbox's.
fn context(tenant: TenantId, render: Render, v: &Conversation) -> Ctx {
    let id = v.team.map_or_else(|| InboxId::to_string(&v.inbox), |team| TeamId::to_string(&team));
    Ctx { cause: Some(Cause { kind: CAUSE, id }), ..Ctx::system(tenant, render) }
}
