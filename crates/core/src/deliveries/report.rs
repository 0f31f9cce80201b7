//! What an inbox's own endpoint says of our messages: its 2xx for `message.sent` means that the integrator has taken the
//! message over, so it is `sent`; when all attempts are used up it has `failed`.
//!
//! What a bot does not take goes to agents: a conversation that it holds is handed off. Other endpoints only watch.
//!
//! An endpoint that asked for no more, or has failed for too long, is switched off with the attempt that was the reason: what
//! is told of it counts that one, and no crash can come between the two.

use super::{Attempt, Ended, Recorded, Status, sql};
use crate::ctx::Ctx;
use crate::events::Render;
use crate::ids::{ConversationId, EndpointId, MessageId, TenantId};
use crate::messages::status::DeliveryStatus;
use crate::messages::{self, Report};
use crate::webhooks::{self, DisabledReason, Format};
use crate::{Kind, Result, conversations};
use std::collections::{BTreeMap, BTreeSet};
use tieline_db::{Param, Tx, params};

/// What the reason of our failures starts with: in Chatwoot's format a later success takes them back.
const FAILURE: &str = "The inbox's webhook ";

/// Most waiting deliveries whose conversations one failure of a bot that is down hands off; the next takes the next.
const HANDED_OFF: i64 = 100;

/// Moves the delivery status of messages by the ends of recorded attempts, hands off what bots did not take, and switches
/// endpoints off, in the same transaction, and says so in events; answers which are off now and were not. Endpoints that are
/// neither an inbox's own nor a bot's cost two look-ups, and one more while they are down.
pub fn report(
    tx: &mut Tx,
    render: Render,
    attempts: &[Attempt],
    recorded: &Recorded,
) -> Result<Vec<(EndpointId, DisabledReason)>> {
    let carried = carried(tx, attempts, recorded)?;
    let untaken = untaken(tx, attempts, recorded)?;
    let messages: Vec<_> = carried.keys().copied().collect();
    let rows: Vec<Param> = messages.iter().flat_map(|(tenant, message)| params![tenant.0, message.0]).collect();
    let mut held: Vec<(TenantId, ConversationId)> = untaken.iter().copied().collect();
    tx.select_many(&messages::sql::CONVERSATION, &rows, |row| {
        let (tenant, _) = messages[row.get::<i64>(0)? as usize];
        held.push((tenant, ConversationId::from_uuid(row.get(1)?)));
        Ok(())
    })?;
    conversations::hold_many(tx, held)?;
    for ((tenant, message), (status, takes_back)) in carried {
        let ctx = Ctx::system(tenant, render);
        let reported = match status {
            DeliveryStatus::Sent if takes_back => messages::taken_over(tx, &ctx, message, FAILURE),
            status => messages::report(tx, &ctx, &Report { message, status }),
        };
        match reported {
            // A message that is gone, or is not ours: it must not keep attempts from being recorded.
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Conflict) => {}
            reported => drop(reported?),
        }
    }
    for (tenant, conversation) in untaken {
        match conversations::hand_off(tx, &Ctx::system(tenant, render), conversation) {
            Err(error) if error.kind == Kind::NotFound => {}
            handed_off => drop(handed_off?),
        }
    }
    let mut off = Vec::new();
    for attempt in attempts.iter().filter(|attempt| !recorded.lost.contains(&(attempt.endpoint, attempt.epoch))) {
        if let Some(reason) = attempt.disable
            && webhooks::disable(tx, render, attempt.endpoint, reason)?
        {
            off.push((attempt.endpoint, reason));
        }
    }
    Ok(off)
}

/// Conversations of which a bot did not take an event: all attempts are used up, or it is down and they wait behind that.
fn untaken(tx: &mut Tx, attempts: &[Attempt], recorded: &Recorded) -> Result<BTreeSet<(TenantId, ConversationId)>> {
    let failed = |attempt: &&Attempt| {
        attempt.ended != Ended::As(Status::Succeeded) && !recorded.lost.contains(&(attempt.endpoint, attempt.epoch))
    };
    let is_down = |attempt: &&Attempt| attempt.health.next_probe_at.is_some() || attempt.status_code == Some(410);
    let ended: Vec<&Attempt> =
        attempts.iter().filter(failed).filter(|attempt| attempt.ended == Ended::As(Status::Failed)).collect();
    let row = |attempt: &&Attempt| params![attempt.tenant.0, attempt.endpoint.0, attempt.delivery.0];
    let rows: Vec<Param> = ended.iter().flat_map(row).collect();
    let mut found = BTreeSet::new();
    tx.select_many(&sql::OF_BOTS, &rows, |row| {
        found.insert((ended[row.get::<i64>(0)? as usize].tenant, ConversationId::from_uuid(row.get(1)?)));
        Ok(())
    })?;
    let down = attempts.iter().filter(failed).filter(is_down);
    let down: BTreeSet<_> = down.map(|attempt| (attempt.tenant, attempt.endpoint)).collect();
    for (tenant, endpoint) in down {
        if tx.opt(sql::IS_BOTS, &params![tenant.0, endpoint.0], |_| Ok(()))?.is_none() {
            continue;
        }
        let params = params![tenant.0, endpoint.0, HANDED_OFF];
        let held = tx.all(sql::HELD_BEHIND, &params, |row| Ok(ConversationId::from_uuid(row.get(0)?)))?;
        found.extend(held.into_iter().map(|conversation| (tenant, conversation)));
    }
    Ok(found)
}

/// Hands off what waits for a bot whose address is off, up to [`HANDED_OFF`] deliveries; how many may be cancelled now.
pub(super) fn give_up(tx: &mut Tx, render: Render, endpoint: EndpointId, limit: i64) -> Result<i64> {
    let Some(tenant) = tx.opt(sql::OFF_OF_BOT, &params![endpoint.0], |row| row.get(0).map(TenantId))? else {
        return Ok(limit);
    };
    let limit = limit.min(HANDED_OFF);
    let behind = params![tenant.0, endpoint.0, limit];
    let held = tx.all(sql::HELD_BEHIND, &behind, |row| Ok(ConversationId::from_uuid(row.get(0)?)))?;
    conversations::hold_many(tx, held.iter().map(|conversation| (tenant, *conversation)).collect())?;
    for conversation in held.into_iter().collect::<BTreeSet<_>>() {
        conversations::hand_off(tx, &Ctx::system(tenant, render), conversation)?;
    }
    Ok(limit)
}

/// What was heard of which message, of two reports in one batch the stronger; and whether it is to take back a failure of
/// ours, as Chatwoot's format has it.
fn carried(
    tx: &mut Tx,
    attempts: &[Attempt],
    recorded: &Recorded,
) -> Result<BTreeMap<(TenantId, MessageId), (DeliveryStatus, bool)>> {
    let mut reports = BTreeMap::new();
    let ended: Vec<(&Attempt, DeliveryStatus)> = attempts
        .iter()
        .filter(|attempt| attempt.counted && !recorded.lost.contains(&(attempt.endpoint, attempt.epoch)))
        .filter_map(|attempt| match attempt.ended {
            Ended::As(Status::Succeeded) => Some((attempt, DeliveryStatus::Sent)),
            Ended::As(Status::Failed) => Some((attempt, DeliveryStatus::failed(&reason(attempt)))),
            _ => None,
        })
        .collect();
    let endpoints: BTreeSet<_> = ended.iter().map(|(attempt, _)| (attempt.tenant, attempt.endpoint)).collect();
    let endpoints: Vec<_> = endpoints.into_iter().collect();
    let rows: Vec<Param> = endpoints.iter().flat_map(|(tenant, endpoint)| params![tenant.0, endpoint.0]).collect();
    let mut own = BTreeMap::new();
    tx.select_many(&sql::OWN_ENDPOINTS, &rows, |row| {
        own.insert(endpoints[row.get::<i64>(0)? as usize].1, row.get::<String>(1)? == Format::Chatwoot.as_str());
        Ok(())
    })?;
    let ended: Vec<_> = ended.into_iter().filter(|(attempt, _)| own.contains_key(&attempt.endpoint)).collect();
    let rows: Vec<Param> = ended
        .iter()
        .flat_map(|(attempt, _)| params![attempt.tenant.0, attempt.endpoint.0, attempt.delivery.0])
        .collect();
    let mut data: Vec<(usize, String)> = Vec::new();
    tx.select_many(&sql::CARRIED, &rows, |row| {
        data.push((row.get::<i64>(0)? as usize, row.get(1)?));
        Ok(())
    })?;
    #[derive(serde::Deserialize)]
    struct Data {
        message: Named,
    }
    #[derive(serde::Deserialize)]
    struct Named {
        id: String,
    }
    for (index, data) in data {
        let (attempt, status) = &ended[index];
        // Data that names no message is passed over: it must not keep attempts from being recorded.
        let Ok(data) = serde_json::from_str::<Data>(&data) else { continue };
        let Ok(id) = data.message.id.parse::<MessageId>() else { continue };
        let takes_back = own.get(&attempt.endpoint).copied().unwrap_or(false);
        let heard = reports.entry((attempt.tenant, id)).or_insert_with(|| (status.clone(), takes_back));
        if heard.0.yields_to(status) {
            *heard = (status.clone(), takes_back);
        }
    }
    Ok(reports)
}

fn reason(attempt: &Attempt) -> String {
    match (&attempt.error, attempt.status_code) {
        (Some(error), _) => format!("{FAILURE}did not take it: {error}"),
        (None, Some(status)) => format!("{FAILURE}answered {status}."),
        (None, None) => format!("{FAILURE}did not take it."),
    }
}
