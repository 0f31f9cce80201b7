//! What must hold when a run has come to its end.

use super::World;
use super::endpoints::MAX_ATTEMPTS;
use crate::sql;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use tieline_core::Error;
use tieline_core::ids::{ConversationId, DeliveryId, EndpointId, EventId, InboxId};
use tieline_core::webhooks::{self, Endpoint, Format};
use tieline_db::params;
use uuid::Uuid;

struct Row {
    endpoint: EndpointId,
    id: DeliveryId,
    event: EventId,
    conversation: Option<ConversationId>,
    sequence: Option<i64>,
    status: String,
    attempts: i64,
    body: String,
    event_type: String,
}

/// An event of the log.
struct Logged {
    position: i64,
    id: EventId,
    conversation: Option<ConversationId>,
    sequence: Option<i64>,
    name: String,
    inbox: Option<InboxId>,
}

impl World {
    /// What must hold in the end.
    pub async fn check(&mut self) {
        let tenant = self.tenant;
        let (log, rows) = self
            .db
            .read(move |read| {
                let log = read.all(sql::EVENTS, &params![tenant.0], |row| {
                    Ok(Logged {
                        position: row.get(0)?,
                        id: EventId::from_uuid(row.get(1)?),
                        conversation: row.get::<Option<Uuid>>(2)?.map(ConversationId::from_uuid),
                        sequence: row.get(3)?,
                        name: row.get(4)?,
                        inbox: row.get::<Option<Uuid>>(5)?.map(InboxId::from_uuid),
                    })
                })?;
                let rows = read.all(sql::ALL, &params![tenant.0], |row| {
                    Ok(Row {
                        endpoint: EndpointId::from_uuid(row.get(0)?),
                        id: DeliveryId::from_uuid(row.get(1)?),
                        event: EventId::from_uuid(row.get(2)?),
                        conversation: row.get::<Option<Uuid>>(3)?.map(ConversationId::from_uuid),
                        sequence: row.get(4)?,
                        status: row.get(5)?,
                        attempts: row.get(6)?,
                        body: row.get(7)?,
                        event_type: row.get(8)?,
                    })
                })?;
                Ok::<_, Error>((log, rows))
            })
            .await
            .expect("reads");

        let mut endpoints: HashMap<EndpointId, Option<Endpoint>> = HashMap::new();
        for id in rows.iter().map(|row| row.endpoint).chain(self.endpoints.clone()) {
            if let Entry::Vacant(entry) = endpoints.entry(id) {
                entry.insert(self.db.read(move |read| webhooks::for_sending(read, id)).await.expect("reads"));
            }
        }
        let written: HashSet<_> = log.iter().filter_map(|event| Some((event.conversation?, event.sequence?))).collect();
        for acknowledged in &self.acknowledged {
            assert!(written.contains(acknowledged), "{acknowledged:?} was acknowledged and is not there");
        }

        let mut given: HashMap<EndpointId, HashSet<(EventId, &str)>> = HashMap::new();
        let mut previous: HashMap<(EndpointId, ConversationId), i64> = HashMap::new();
        let accepted = self.shared.network.lock().unwrap().accepted.clone();
        for row in &rows {
            let is_new = given.entry(row.endpoint).or_default().insert((row.event, &row.event_type));
            assert!(is_new, "{} has two deliveries", row.event);
            let ended = ["succeeded", "failed", "cancelled"].contains(&row.status.as_str());
            assert!(ended || self.deleted.contains(&row.endpoint), "{} is {}", row.id, row.status);
            if row.status == "succeeded" {
                assert!(accepted.contains(&row.id), "{} was accepted by nobody", row.id);
            }
            let most = endpoints[&row.endpoint].as_ref().map(|endpoint| endpoint.max_attempts.min(MAX_ATTEMPTS));
            // Cancelled is what was left when it was switched off, by hand or by itself.
            if let Some(most) = most.filter(|_| row.status == "cancelled" || !self.asked_for.contains(&row.id)) {
                assert!(row.attempts <= most, "{}: {} attempts", row.id, row.attempts);
                assert!(row.status != "failed" || row.attempts == most, "{} gave up early", row.id);
            }
            let body: serde_json::Value = serde_json::from_str(&row.body).expect("JSON");
            // Not what we made: of an endpoint whose answer was lost nobody here knows the format.
            let is_chatwoot = body.get("previous_sequence").is_some();
            let said = body[if is_chatwoot { "previous_sequence" } else { "previousSequence" }].as_i64();
            if let (Some(conversation), Some(sequence)) = (row.conversation, row.sequence) {
                let before = previous.insert((row.endpoint, conversation), sequence);
                assert_eq!(said, before, "a false gap, or a hidden one, before {}", row.body);
                // The second body of one event comes after the first.
                assert!(before < Some(sequence) || (is_chatwoot && before == Some(sequence)), "the log is in order");
            }
        }
        // An endpoint that was never switched off got every event that happened since it was made.
        for endpoint in &self.endpoints {
            let found = endpoints[endpoint].as_ref();
            let Some(found) = found.filter(|found| found.is_active && !self.interrupted.contains(&found.id)) else {
                continue;
            };
            let given = given.remove(endpoint).unwrap_or_default();
            let all = found.events == ["*"];
            for Logged { position, id, conversation, sequence, name, inbox } in &log {
                let updated = conversation.is_some() && sequence.is_some_and(|sequence| sequence > 1);
                let words: &[&str] = match (found.format, name.as_str()) {
                    (Format::Chatwoot, "conversation.updated") => {
                        &["conversation_status_changed", "conversation_updated"]
                    }
                    (Format::Chatwoot, "conversation.created") => &["conversation_created"],
                    (Format::Chatwoot, "contact.created") => &["contact_created"],
                    (Format::Chatwoot, "inbox.created") => &["inbox_created"],
                    (Format::Chatwoot, _) => &[],
                    _ if all || updated => &[name.as_str()],
                    _ => &[],
                };
                let is_its = found.inboxes.as_ref().is_none_or(|of| inbox.is_some_and(|inbox| of.contains(&inbox)));
                let wanted = if is_its && *position > found.active_after { words } else { &[] };
                let what = format!("event {id} at {position} ({conversation:?} {sequence:?}) for {endpoint}");
                let got = given.iter().filter(|(of, _)| of == id).count();
                let has = wanted.iter().all(|word| given.contains(&(*id, *word)));
                assert!(has && got == wanted.len(), "{what}, on since {}", found.active_after);
            }
        }
    }
}
