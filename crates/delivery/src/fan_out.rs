//! From the log to deliveries: reads events in order, renders a body per subscribed endpoint outside any transaction, and
//! writes the deliveries in the transaction that moves the cursor. So each event is fanned out exactly once, whatever
//! crashes in between.

use std::collections::HashMap;
use std::sync::Arc;
use tieline_core::deliveries::{self, FanOut, NewDelivery};
use tieline_core::events::{self, Stored, feed};
use tieline_core::ids::{ConversationId, EndpointId, TenantId};
use tieline_core::webhooks::{self, Endpoint};
use tieline_core::{Result, installation};
use tieline_db::{Db, Read};
use tokio::sync::mpsc;

/// Events read at once.
pub const BATCH: i64 = 512;
/// Events without any receiver that are passed over before the cursor is written down: they may be read again after a
/// crash, which costs time and nothing else.
const UNWRITTEN: i64 = 100_000;

/// The fan-out of this node.
pub struct FanOutLoop {
    db: Db,
    /// Where the log has been read to, and where the written cursor stands.
    position: Option<(i64, i64)>,
    endpoints: HashMap<TenantId, Arc<Vec<Endpoint>>>,
    configuration: Configuration,
    due: mpsc::UnboundedSender<Vec<EndpointId>>,
}

/// What is remembered of the configuration.
#[derive(Clone, Default)]
struct Configuration {
    revision: Option<i64>,
    /// Names of the events that anybody asks for; none when nobody asks for any.
    wanted: Option<String>,
}

struct Batch {
    /// The configuration, where it is not the remembered one.
    configuration: Option<Configuration>,
    events: Vec<Stored>,
    fresh: Vec<(TenantId, Vec<Endpoint>)>,
    /// The last position of the log, where nobody asks for any event.
    last: i64,
}

fn read_batch(read: &mut Read, position: i64, remembered: Configuration, mut known: Vec<TenantId>) -> Result<Batch> {
    let revision = Some(installation::configuration(read)?);
    let configuration = if revision == remembered.revision {
        None
    } else {
        known.clear();
        Some(Configuration { revision, wanted: webhooks::wanted_events(read)? })
    };
    let wanted = configuration.as_ref().map_or(&remembered.wanted, |configuration| &configuration.wanted);
    let Some(wanted) = wanted else {
        // Nobody listens: everything up to here is passed over.
        let last = feed::last_position(read)?;
        return Ok(Batch { configuration, events: Vec::new(), fresh: Vec::new(), last });
    };
    let events = feed::after(read, position, BATCH, wanted)?;
    let mut tenants: Vec<TenantId> = events.iter().map(|event| event.tenant).collect();
    tenants.sort();
    tenants.dedup();
    tenants.retain(|tenant| !known.contains(tenant));
    let fresh =
        tenants.into_iter().map(|tenant| Ok((tenant, webhooks::active(read, tenant)?))).collect::<Result<_>>()?;
    Ok(Batch { configuration, events, fresh, last: position })
}

impl FanOutLoop {
    /// A loop over `db`; tells `due` which endpoints got deliveries. The receiver coalesces: it holds ids, never bodies.
    pub fn new(db: Db, due: mpsc::UnboundedSender<Vec<EndpointId>>) -> FanOutLoop {
        FanOutLoop { db, position: None, endpoints: HashMap::new(), configuration: Configuration::default(), due }
    }

    /// Fans out one batch; false when the log has nothing new.
    pub async fn step(&mut self) -> Result<bool> {
        let (position, written) = match self.position {
            Some(position) => position,
            None => {
                let cursor = self.db.read(deliveries::cursor).await?;
                (cursor, cursor)
            }
        };
        self.position = Some((position, written));
        let known: Vec<TenantId> = self.endpoints.keys().copied().collect();
        let remembered = self.configuration.clone();
        // Events and the endpoints that want them come from one snapshot: what is remembered holds only if the
        // configuration is still the one it was read under.
        let batch = self.db.read(move |read| read_batch(read, position, remembered, known)).await?;
        if let Some(configuration) = batch.configuration {
            self.configuration = configuration;
            self.endpoints.clear();
        }
        for (tenant, endpoints) in batch.fresh {
            self.endpoints.insert(tenant, Arc::new(endpoints));
        }
        if self.configuration.wanted.is_none() {
            self.position = Some((position.max(batch.last), written));
            return Ok(false);
        }
        let Some(last) = batch.events.last().map(|event| event.position) else { return Ok(false) };

        let deliveries = self.render(&batch.events).await?;
        if deliveries.is_empty() && last - written < UNWRITTEN {
            self.position = Some((last, written));
            return Ok(true);
        }
        let mut due: Vec<EndpointId> = deliveries.iter().map(|delivery| delivery.endpoint).collect();
        due.sort();
        due.dedup();
        let command = Arc::new(FanOut { from: written, to: last, deliveries });
        let moved = self.db.write(move |tx| deliveries::fan_out(tx, &command)).await?;
        // When another node was first, start over from where it got to.
        self.position = moved.then_some((last, last));
        if moved && !due.is_empty() {
            let _ = self.due.send(due);
        }
        Ok(true)
    }

    async fn render(&self, batch: &[Stored]) -> Result<Vec<NewDelivery>> {
        let mut wanted: Vec<(&Stored, &Endpoint)> = Vec::new();
        for event in batch {
            let endpoints = self.endpoints.get(&event.tenant).map_or(&[][..], |endpoints| endpoints);
            wanted.extend(
                endpoints
                    .iter()
                    .filter(|endpoint| endpoint.wants(&event.name, event.inbox, event.position))
                    .map(|endpoint| (event, endpoint)),
            );
        }
        let mut last = self.last_sequences(&wanted).await?;
        let mut deliveries = Vec::with_capacity(wanted.len());
        for (event, endpoint) in wanted {
            let previous = event.conversation.and_then(|id| {
                let slot = last.entry((endpoint.id, id)).or_default();
                std::mem::replace(slot, event.sequence)
            });
            deliveries.push(NewDelivery {
                endpoint: endpoint.id,
                tenant: event.tenant,
                position: event.position,
                event: event.id,
                event_type: endpoint.format.word(&event.name).to_owned(),
                conversation: event.conversation,
                sequence: event.sequence,
                body: tieline_wire::body(endpoint.format, event, previous),
            });
        }
        Ok(deliveries)
    }

    /// What each endpoint was last given of each conversation; the first event of a conversation needs no look-up.
    async fn last_sequences(
        &self,
        wanted: &[(&Stored, &Endpoint)],
    ) -> Result<HashMap<(EndpointId, ConversationId), Option<i64>>> {
        let mut last = HashMap::new();
        let mut asked: Vec<(TenantId, EndpointId, ConversationId)> = Vec::new();
        for (event, endpoint) in wanted {
            let Some(conversation) = event.conversation else { continue };
            if let std::collections::hash_map::Entry::Vacant(entry) = last.entry((endpoint.id, conversation)) {
                entry.insert(None);
                if event.sequence != Some(1) {
                    asked.push((event.tenant, endpoint.id, conversation));
                }
            }
        }
        if asked.is_empty() {
            return Ok(last);
        }
        let pairs = asked.clone();
        let found = self.db.read(move |read| deliveries::last_sequences(read, &pairs)).await?;
        for ((_, endpoint, conversation), sequence) in asked.into_iter().zip(found) {
            last.insert((endpoint, conversation), sequence);
        }
        Ok(last)
    }

    /// Runs until `stop` is set, woken by commits that emitted events. Errors are logged and tried again after a second.
    pub async fn run(mut self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut woken = self.db.watch(events::EVENTS);
        loop {
            woken.borrow_and_update();
            let pause = match self.step().await {
                Ok(true) => continue,
                Ok(false) => std::time::Duration::from_secs(1),
                Err(error) => {
                    tracing::warn!(error = %error, source = ?error.source, "fan-out failed; trying again");
                    self.position = None;
                    std::time::Duration::from_secs(1)
                }
            };
            tokio::select! {
                _ = woken.changed() => {}
                _ = tokio::time::sleep(pause) => {}
                _ = stop.changed() => return,
            }
        }
    }
}
