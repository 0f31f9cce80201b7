//! Sending what an endpoint has missed: events of the log whose delivery failed or was cancelled, and events that happened
//! while it was off.
//!
//! Reading and rendering happen outside the write transaction, a bounded page at a time. A replay never meets the fan-out:
//! it goes up to where the log has been fanned out, or to where the endpoint was switched on. Deliveries that are pending or
//! have succeeded are left alone, so a repeated replay sends nothing twice.

use super::{Endpoint, get};
use crate::ctx::Ctx;
use crate::deliveries::{self, NewDelivery, Status};
use crate::events::{Stored, feed};
use crate::ids::{ConversationId, DeliveryId, EndpointId, EventId, TenantId};
use crate::{Error, Result};
use std::collections::HashMap;
use tieline_db::{Param, Read, Tx, params};

/// Most deliveries that one replay makes due.
pub const REPLAY_LIMIT: usize = 1000;
/// Events read at once.
const PAGE: i64 = 500;
/// Pages read by one replay.
const PAGES: usize = 20;
/// Most bytes of event data that one replay holds.
const REPLAY_BYTES: usize = 32 << 20;
/// Most events that are looked at to count what was missed.
const COUNTED: i64 = 10_000;

/// What to replay.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Read on after this position; none to start at `since`.
    pub after: Option<i64>,
    /// Events from then on, microseconds UTC.
    pub since: i64,
    /// Events up to then.
    pub until: Option<i64>,
    /// Those whose delivery failed.
    pub failed: bool,
    /// Those whose delivery was cancelled.
    pub cancelled: bool,
    /// Those that were never for it because it was off.
    pub missing: bool,
}

/// A page of what was found.
#[derive(Debug)]
pub struct ReplayPage {
    /// Deliveries to send again.
    pub again: Vec<DeliveryId>,
    /// Events to make deliveries of, each with the last sequence number that the endpoint was given before.
    pub missing: Vec<(Stored, Option<i64>)>,
    /// Read up to here.
    pub position: i64,
    /// There may be more after it.
    pub more: bool,
}

/// What to write.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Deliveries to send again.
    pub again: Vec<DeliveryId>,
    /// Deliveries to add.
    pub create: Vec<NewDelivery>,
}

/// Events that happened while an endpoint was off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// How many it would have got.
    pub count: i64,
    /// There may be more: counting stopped.
    pub more: bool,
    /// When it was switched off, microseconds UTC.
    pub since: i64,
}

fn active(read: &mut Read, tenant: TenantId, id: EndpointId) -> Result<Endpoint> {
    let endpoint = get(read, tenant, id)?;
    if endpoint.is_active {
        return Ok(endpoint);
    }
    Err(Error::conflict("webhook_inactive", "This webhook is switched off: switch it on with isActive, then replay."))
}

/// Counts what an endpoint missed before it was switched on; none when it never was off.
pub fn missed(read: &mut Read, endpoint: &Endpoint) -> Result<Option<Missed>> {
    let Some(since) = endpoint.disabled_at else { return Ok(None) };
    let after = feed::position_at(read, endpoint.tenant, since)?;
    let heads = feed::heads(read, endpoint.tenant, after, endpoint.active_after, COUNTED)?;
    let more = heads.len() as i64 == COUNTED;
    let wanted = heads.iter().filter(|head| head.at >= since && endpoint.subscribes(&head.name, head.inbox));
    Ok(Some(Missed { count: wanted.count() as i64, more, since }))
}

/// Reads what a replay would send.
///
/// Errors: `not_found`; `webhook_inactive`.
pub fn replay_page(read: &mut Read, tenant: TenantId, wanted: &Wanted) -> Result<ReplayPage> {
    let endpoint = active(read, tenant, wanted.endpoint)?;
    let top = deliveries::cursor(read)?.max(endpoint.active_after);
    let mut position = match wanted.after {
        Some(position) => position,
        None => feed::position_at(read, tenant, wanted.since)?,
    };
    let (mut again, mut missing, mut bytes, mut more) = (Vec::new(), Vec::new(), 0, true);
    'pages: for _ in 0..PAGES {
        let events = feed::of_tenant(read, tenant, position, PAGE)?;
        let Some(last) = events.last().map(|event| (event.position, event.at)) else {
            more = false;
            break;
        };
        let full = events.len() as i64 == PAGE;
        let candidates: Vec<Stored> = events
            .into_iter()
            .filter(|event| event.position <= top && event.at >= wanted.since)
            .filter(|event| wanted.until.is_none_or(|until| event.at <= until))
            .filter(|event| endpoint.subscribes(&event.name, event.inbox))
            .collect();
        let keys: Vec<Key> = candidates.iter().map(Key::of).collect();
        let given = given(read, tenant, endpoint.id, &keys)?;
        for (event, given) in candidates.into_iter().zip(given) {
            if again.len() + missing.len() >= REPLAY_LIMIT || bytes > REPLAY_BYTES {
                break 'pages;
            }
            position = event.position;
            again.extend(given.iter().filter_map(|(id, status)| match status {
                Status::Failed if wanted.failed => Some(*id),
                Status::Cancelled if wanted.cancelled => Some(*id),
                _ => None,
            }));
            if given.is_empty() && wanted.missing {
                bytes += event.data.len();
                missing.push(event);
            }
        }
        position = last.0;
        let past = wanted.until.is_some_and(|until| last.1 > until.saturating_add(feed::SKEW_US));
        if !full || position >= top || past {
            more = false;
            break;
        }
    }
    let missing = with_previous(read, tenant, endpoint.id, missing)?;
    Ok(ReplayPage { again, missing, position, more })
}

/// Makes deliveries pending, and adds others, in the order of the log; the number of them.
///
/// Errors: `not_found`; `webhook_inactive`.
pub fn replay(tx: &mut Tx, ctx: &Ctx, cmd: &Replay) -> Result<u64> {
    // Locks the endpoint's row: two replays do not add the same.
    deliveries::take_back(tx, cmd.endpoint)?;
    active(tx, ctx.tenant, cmd.endpoint)?;
    let (tenant, endpoint, now) = (ctx.tenant.0, cmd.endpoint.0, tx.now());
    let rows: Vec<Param> = cmd.again.iter().flat_map(|id| params![tenant, endpoint, id.0, now]).collect();
    let mut count = tx.many(&deliveries::sql::AGAIN, &rows, |_| Ok(()))?;
    let keys: Vec<Key> = cmd
        .create
        .iter()
        .map(|new| Key {
            event: new.event,
            position: new.position,
            conversation: new.conversation,
            sequence: new.sequence,
        })
        .collect();
    let given = given(tx, ctx.tenant, cmd.endpoint, &keys)?;
    let fresh: Vec<NewDelivery> =
        cmd.create.iter().zip(given).filter(|(_, given)| given.is_empty()).map(|(new, _)| new.clone()).collect();
    deliveries::insert(tx, &fresh)?;
    count += fresh.len() as u64;
    Ok(count)
}

/// What finds the delivery of an event.
struct Key {
    event: EventId,
    position: i64,
    conversation: Option<ConversationId>,
    sequence: Option<i64>,
}

impl Key {
    fn of(event: &Stored) -> Key {
        Key { event: event.id, position: event.position, conversation: event.conversation, sequence: event.sequence }
    }
}

/// For each event the deliveries that the endpoint was given of it: none, one, or two in a format that tells it so.
fn given(
    read: &mut Read,
    tenant: TenantId,
    endpoint: EndpointId,
    keys: &[Key],
) -> Result<Vec<Vec<(DeliveryId, Status)>>> {
    let mut found = vec![Vec::new(); keys.len()];
    let (mut in_conversation, mut alone) = (Vec::new(), Vec::new());
    let (mut first, mut second): (Vec<Param>, Vec<Param>) = (Vec::new(), Vec::new());
    for (index, key) in keys.iter().enumerate() {
        match (key.conversation, key.sequence) {
            (Some(conversation), Some(sequence)) => {
                in_conversation.push(index);
                first.extend(params![tenant.0, conversation.0, endpoint.0, sequence]);
            }
            _ => {
                alone.push(index);
                second.extend(params![tenant.0, endpoint.0, key.position, key.event.0]);
            }
        }
    }
    let statements = [
        (&deliveries::sql::GIVEN_IN_CONVERSATION, first, in_conversation),
        (&deliveries::sql::GIVEN_ALONE, second, alone),
    ];
    for (statement, params, indexes) in statements {
        read.select_many(statement, &params, |row| {
            let (ordinal, id, status): (i64, uuid::Uuid, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let status = Status::from_text(&status);
            let status = status.ok_or_else(|| tieline_db::Error::Sql("unknown status in deliveries".into()))?;
            found[indexes[ordinal as usize]].push((DeliveryId::from_uuid(id), status));
            Ok(())
        })?;
    }
    Ok(found)
}

/// Adds to each event the last sequence number of its conversation that the endpoint was given before it.
fn with_previous(
    read: &mut Read,
    tenant: TenantId,
    endpoint: EndpointId,
    events: Vec<Stored>,
) -> Result<Vec<(Stored, Option<i64>)>> {
    let mut previous: Vec<Option<i64>> = vec![None; events.len()];
    let mut asked = Vec::new();
    let mut params: Vec<Param> = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if let (Some(conversation), Some(sequence)) = (event.conversation, event.sequence) {
            asked.push(index);
            params.extend(params![tenant.0, conversation.0, endpoint.0, sequence]);
        }
    }
    read.select_many(&deliveries::sql::SEQUENCE_BEFORE, &params, |row| {
        let ordinal: i64 = row.get(0)?;
        previous[asked[ordinal as usize]] = row.get(1)?;
        Ok(())
    })?;
    // Those of this replay come before each other too.
    let mut last: HashMap<ConversationId, i64> = HashMap::new();
    for (event, previous) in events.iter().zip(&mut previous) {
        let Some(conversation) = event.conversation else { continue };
        *previous = (*previous).max(last.get(&conversation).copied());
        if let Some(sequence) = event.sequence {
            last.insert(conversation, sequence);
        }
    }
    Ok(events.into_iter().zip(previous).collect())
}
