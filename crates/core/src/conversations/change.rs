//! How every verb changes a conversation: lock it, change it in memory, say what changed, save it once.
//!
//! The events of a change follow from the two states, so no verb can change something and stay silent (contract D4.4).
//! `event_sequence` is counted here and nowhere else after the opening.

use super::append::MERGE_HOPS_LIMIT;
use super::status::{self, Change as StatusChange, Command, Current, Outcome};
use super::{Conversation, Priority, conversation, sql};
use crate::ctx::Ctx;
use crate::events::{Assignment, Batch, Change, Event};
use crate::ids::{ConversationId, TenantId};
use crate::time::Micros;
use crate::timers::{self, Kind};
use crate::{Error, Result};
use std::collections::HashMap;
use tieline_db::{Ask, Many, Param, Tx, params};

/// Which conversation of which tenant.
pub(crate) type Key = (TenantId, ConversationId);

/// The conversation, to be changed in this transaction.
///
/// Errors: `not_found`, also for another tenant's.
pub(crate) fn lock(tx: &mut Tx, tenant: TenantId, id: ConversationId) -> Result<Conversation> {
    let key = (tenant, id);
    lock_many(tx, &[key])?.remove(&key).ok_or_else(|| Error::not_found("conversation"))
}

/// The conversations that exist of these, to be changed in this transaction. Whoever locks several gives them sorted.
pub(crate) fn lock_many(tx: &mut Tx, keys: &[Key]) -> Result<HashMap<Key, Conversation>> {
    lock_by(tx, &sql::LOCK, keys)
}

/// The same, but those that were merged into another are only read: whoever follows them to the primary holds nothing that
/// a merge of both waits for.
pub(super) fn lock_standing(tx: &mut Tx, keys: &[Key]) -> Result<HashMap<Key, Conversation>> {
    lock_by(tx, &sql::LOCK_STANDING, keys)
}

/// The conversations that exist of these, as they are.
pub(super) fn read_many(tx: &mut Tx, keys: &[Key]) -> Result<HashMap<Key, Conversation>> {
    let params: Vec<Param> = keys.iter().flat_map(|(tenant, id)| params![tenant.0, id.0]).collect();
    let mut found = HashMap::with_capacity(keys.len());
    tx.select_many(&sql::GET_MANY, &params, |row| {
        found.insert(keys[row.get::<i64>(0)? as usize], conversation(row, 1)?);
        Ok(())
    })?;
    Ok(found)
}

fn lock_by(tx: &mut Tx, lock: &Many, keys: &[Key]) -> Result<HashMap<Key, Conversation>> {
    let params: Vec<Param> = keys.iter().flat_map(|(tenant, id)| params![tenant.0, id.0]).collect();
    let (mut found, mut locked) = (HashMap::with_capacity(keys.len()), 0);
    tx.together(vec![
        Ask::lock(lock, params.clone(), &mut locked),
        Ask::select(&sql::GET_MANY, params, |row| {
            let (tenant, id) = keys[row.get::<i64>(0)? as usize];
            found.insert((tenant, id), conversation(row, 1)?);
            Ok(())
        }),
    ])?;
    Ok(found)
}

/// Keeps others from changing a conversation until the transaction ends; nothing where there is none.
pub(crate) fn hold(tx: &mut Tx, tenant: TenantId, id: ConversationId) -> Result<()> {
    hold_many(tx, vec![(tenant, id)])
}

/// Keeps others from changing these. A verb that changes several, one by one, holds them all before the first.
pub(crate) fn hold_many(tx: &mut Tx, mut keys: Vec<Key>) -> Result<()> {
    keys.sort();
    keys.dedup();
    let rows: Vec<Param> = keys.iter().flat_map(|(tenant, id)| params![tenant.0, id.0]).collect();
    tx.lock(&sql::LOCK, &rows)?;
    Ok(())
}

/// Keeps others from changing these, nor those that they were merged into, where what is said in them goes.
pub(crate) fn hold_with_primaries(tx: &mut Tx, mut keys: Vec<Key>) -> Result<()> {
    let mut asked = keys.clone();
    for _ in 0..MERGE_HOPS_LIMIT {
        if asked.is_empty() {
            break;
        }
        let rows: Vec<Param> = asked.iter().flat_map(|(tenant, id)| params![tenant.0, id.0]).collect();
        let mut primaries: Vec<Key> = Vec::new();
        tx.select_many(&sql::PRIMARIES, &rows, |row| {
            let (tenant, _) = asked[row.get::<i64>(0)? as usize];
            primaries.push((tenant, ConversationId::from_uuid(row.get(1)?)));
            Ok(())
        })?;
        keys.extend(&primaries);
        asked = primaries;
    }
    hold_many(tx, keys)
}

/// Writes the changed conversations back.
pub(crate) fn save_many<'v>(
    tx: &mut Tx,
    changed: impl IntoIterator<Item = (TenantId, &'v Conversation)>,
) -> Result<()> {
    let mut rows: Vec<Param> = Vec::new();
    for (tenant, v) in changed {
        rows.extend(params![
            tenant.0,
            v.id.0,
            &v.subject,
            v.status.as_str(),
            v.engagement.map(status::Engagement::as_str),
            v.team.map(|id| id.0),
            v.agent.map(|id| id.0),
            &v.custom_fields,
            &v.metadata,
            v.snoozed_until,
            v.merged_into.map(|id| id.0),
            v.reopen_count,
            v.event_sequence,
            v.message_count,
            v.last_message_at,
            v.last_contact_message_at,
            v.updated_at,
            v.done_at,
            v.archived_at,
            v.priority.map(Priority::as_str),
            v.is_held,
            v.waiting_since,
            v.first_reply_at,
            v.bot.map(|id| id.0)
        ]);
    }
    tx.run_many(&sql::SAVE, &rows)?;
    Ok(())
}

/// Writes one changed conversation back.
pub(crate) fn save(tx: &mut Tx, tenant: TenantId, v: &Conversation) -> Result<()> {
    save_many(tx, [(tenant, v)])
}

/// Counts one more event of the conversation; its place.
pub(crate) fn next(v: &mut Conversation) -> Option<i64> {
    v.event_sequence += 1;
    Some(v.event_sequence)
}

/// What follows from a command in the conversation's present state.
pub(crate) fn ask(v: &Conversation, command: Command, now: i64) -> Result<Outcome> {
    let current = Current { status: v.status, snoozed_until: v.snoozed_until.map(Micros), channel: v.channel };
    status::transition(current, command, Micros(now))
}

/// Carries out a change of status in memory, and its timer in the database.
pub(crate) fn apply(tx: &mut Tx, tenant: TenantId, v: &mut Conversation, change: StatusChange) -> Result<()> {
    let now = tx.now();
    let until = change.snoozed_until.map(|until| until.0);
    if v.snoozed_until != until {
        timers::set(tx, tenant, Kind::Snooze, v.id.0, until)?;
        v.snoozed_until = until;
    }
    v.status = change.to;
    v.engagement = change.engagement.or(v.engagement);
    v.reopen_count += i64::from(change.reopened());
    if change.clears_closing() {
        (v.done_at, v.archived_at) = (None, None);
    }
    if change.resolved() {
        v.done_at = Some(now);
    }
    if change.archived() {
        v.archived_at = Some(now);
    }
    Ok(())
}

/// The top-level members that differ, by their names on `/v1`. Engagement is computed: it is named beside other changes.
fn changes(before: &Conversation, after: &Conversation) -> Vec<Change> {
    let time = |at: Option<i64>| at.map(|at| Micros(at).to_string());
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let mut changes = Vec::new();
    let mut add = |field, from: serde_json::Value, to: serde_json::Value| {
        if from != to {
            changes.push(Change { field, from, to });
        }
    };
    if before.status != after.status {
        add("status", before.status.as_str().into(), after.status.as_str().into());
    }
    if before.snoozed_until != after.snoozed_until {
        add("snoozedUntil", time(before.snoozed_until).into(), time(after.snoozed_until).into());
    }
    if before.subject != after.subject {
        add("subject", before.subject.clone().into(), after.subject.clone().into());
    }
    if before.team != after.team {
        let text = |v: &Conversation| v.team.map(|id| id.to_string());
        add("assignedTeamId", text(before).into(), text(after).into());
    }
    if before.agent != after.agent {
        let text = |v: &Conversation| v.agent.map(|id| id.to_string());
        add("assignedAgentId", text(before).into(), text(after).into());
    }
    if before.bot != after.bot {
        let text = |v: &Conversation| v.bot.map(|id| id.to_string());
        add("assignedBotId", text(before).into(), text(after).into());
    }
    if before.custom_fields != after.custom_fields {
        add("customFields", json(&before.custom_fields), json(&after.custom_fields));
    }
    if before.metadata != after.metadata {
        add("metadata", json(&before.metadata), json(&after.metadata));
    }
    if before.priority != after.priority {
        let text = |v: &Conversation| v.priority.map(Priority::as_str);
        add("priority", text(before).into(), text(after).into());
    }
    if before.is_held != after.is_held {
        add("isHeld", before.is_held.into(), after.is_held.into());
    }
    if before.merged_into != after.merged_into {
        let text = |v: &Conversation| v.merged_into.map(|id| id.to_string());
        add("mergedIntoId", text(before).into(), text(after).into());
    }
    if !changes.is_empty() && before.engagement != after.engagement {
        let text = |v: &Conversation| v.engagement.map(status::Engagement::as_str);
        changes.push(Change::new("engagement", text(before), text(after)));
    }
    changes
}

/// Adds the events that lie between two states of a conversation and marks it changed; whether there was any.
pub(crate) fn announce(
    tx: &mut Tx,
    ctx: &Ctx,
    before: &Conversation,
    v: &mut Conversation,
    events: &mut Batch,
) -> Result<bool> {
    use super::status::Status::{Active, Archived, Done};
    let changes = changes(before, v);
    if changes.is_empty() {
        return Ok(false);
    }
    v.updated_at = tx.now();
    let sequence = next(v);
    events.add(tx, ctx, &Event::ConversationUpdated { conversation: v, changes: &changes }, sequence)?;
    let merged = before.merged_into != v.merged_into;
    if before.status != Done && v.status == Done && !merged {
        let sequence = next(v);
        events.add(tx, ctx, &Event::ConversationResolved { conversation: v }, sequence)?;
    }
    if matches!(before.status, Done | Archived) && v.status == Active {
        let sequence = next(v);
        events.add(tx, ctx, &Event::ConversationReopened { conversation: v }, sequence)?;
    }
    let holder = |v: &Conversation| Assignment { team: v.team, agent: v.agent };
    if holder(before) != holder(v) {
        let (sequence, to) = (next(v), holder(v));
        let event = Event::AssignmentChanged { conversation: v, from: holder(before), to };
        events.add(tx, ctx, &event, sequence)?;
    }
    Ok(true)
}

/// A snooze has ended: the conversation is active again. One that moved on stays as it is.
pub(crate) fn wake(tx: &mut Tx, ctx: &Ctx, id: ConversationId) -> Result<()> {
    let Some(before) = lock_many(tx, &[(ctx.tenant, id)])?.remove(&(ctx.tenant, id)) else { return Ok(()) };
    let now = tx.now();
    let Outcome::Changed(change) = ask(&before, Command::SnoozeElapsed, now)? else { return Ok(()) };
    let (mut v, mut events) = (before.clone(), Batch::default());
    apply(tx, ctx.tenant, &mut v, change)?;
    announce(tx, ctx, &before, &mut v, &mut events)?;
    save(tx, ctx.tenant, &v)?;
    events.write(tx)
}
