//! From the log to deliveries: reads events in order, renders a body per subscribed endpoint, and writes the deliveries in
//! the transaction that moves the cursor. So each event is fanned out exactly once, whatever crashes in between.
//!
//! Where one thread writes (SQLite) this joins the very transaction that wrote the events: an event and its deliveries
//! are durable together, by one flush (docs/adr/0007). The loop is then only for what that left over.
//!
//! Where several do (PostgreSQL) the transaction that fans out first moves the horizon of the log, up to which it may be read
//! (docs/adr/0013). Whoever moves the cursor first has fanned out; another node that did the same is told and goes on there.

use crate::handover::{Batch, Giver, Share};
use crate::render::{Scene, bodies};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tieline_core::complain;
use tieline_core::deliveries::{self, FanOut, NewDelivery, Waiting};
use tieline_core::events::numbering;
use tieline_core::events::{self, Stored, feed};
use tieline_core::ids::{ConversationId, EndpointId, TenantId};
use tieline_core::webhooks::{self, Endpoint, Format};
use tieline_core::{Error, Result, installation};
use tieline_db::{Db, Joined, Read, Tx};
use tieline_wire::chatwoot::state;
use tokio::sync::Notify;

/// Events read at once.
pub const BATCH: i64 = 1024;
/// Deliveries after which a batch ends, with the event that reached them.
pub const DELIVERIES: usize = 2048;
/// Events without any receiver that are passed over before the cursor is written down: they may be read again after a
/// crash, which costs time and nothing else.
const UNWRITTEN: i64 = 100_000;
/// How often the log is looked at without being told, and the pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Where a step is a transaction of its own, the time from one to the next at least: under load each takes more.
const PACE: Duration = Duration::from_millis(10);
/// The same while no endpoint asks for anything: then it only moves the horizon, for those who read the log.
const UNHEARD_PACE: Duration = Duration::from_millis(50);

/// The fan-out of this node.
pub struct FanOutLoop {
    db: Db,
    memory: Arc<Memory>,
    joined: Option<Joined>,
}

/// What the loop shares with the groups that it joins.
struct Memory {
    known: Mutex<Known>,
    giver: Giver,
    scene: Scene,
    /// A group left something over.
    behind: Notify,
}

/// What is remembered of committed transactions.
#[derive(Default)]
struct Known {
    configuration: Configuration,
    endpoints: HashMap<TenantId, Arc<Vec<Endpoint>>>,
    /// While the cursor stands at the first, nothing up to the second has a receiver.
    passed: (i64, i64),
}

/// What is remembered of the configuration.
#[derive(Clone, Default)]
struct Configuration {
    revision: Option<i64>,
    /// Names of the events that anybody asks for; none when nobody asks for any.
    wanted: Option<String>,
}

/// What one step did; it counts once its transaction is committed.
struct Step {
    configuration: Configuration,
    /// Endpoints of tenants that were not known.
    fresh: Vec<(TenantId, Arc<Vec<Endpoint>>)>,
    passed: (i64, i64),
    batch: Option<Batch>,
    /// Whether the log may have more.
    more: bool,
}

impl Memory {
    /// Only a step that was committed changes it, so a panic in one leaves it whole.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fans out one batch in a transaction, which the caller commits.
    fn step(&self, tx: &mut Tx, is_shared: bool) -> Result<Step> {
        // Before anything is read: what is behind the horizon was committed before all that is read below, endpoints too.
        if is_shared {
            numbering::advance(tx)?;
        }
        let known = self.known();
        let revision = Some(installation::configuration(tx)?);
        let is_known = revision == known.configuration.revision;
        let configuration = match is_known {
            true => known.configuration.clone(),
            false => Configuration { revision, wanted: webhooks::wanted_events(tx)? },
        };
        let cursor = deliveries::cursor(tx)?;
        let position = if known.passed.0 == cursor { known.passed.1.max(cursor) } else { cursor };
        let mut step = Step { configuration, fresh: Vec::new(), passed: (cursor, position), batch: None, more: false };
        let Some(wanted) = &step.configuration.wanted else {
            // Nobody listens: everything up to here is passed over.
            let last = feed::last_position(tx)?;
            step.passed.1 = last.max(position);
            if step.passed.1 - cursor >= UNWRITTEN {
                write(tx, &mut step, FanOut { from: cursor, to: last, deliveries: Vec::new() })?;
            }
            return Ok(step);
        };
        let events = feed::after(tx, position, BATCH, wanted)?;
        step.more = events.len() as i64 == BATCH;
        let mut endpoints: HashMap<TenantId, Arc<Vec<Endpoint>>> = HashMap::new();
        let mut chosen: Vec<(&Stored, usize)> = Vec::new();
        for event in &events {
            if let std::collections::hash_map::Entry::Vacant(entry) = endpoints.entry(event.tenant) {
                let remembered = known.endpoints.get(&event.tenant).filter(|_| is_known);
                entry.insert(match remembered {
                    Some(endpoints) => endpoints.clone(),
                    None => {
                        let active = Arc::new(webhooks::active(tx, event.tenant)?);
                        step.fresh.push((event.tenant, active.clone()));
                        active
                    }
                });
            }
            let of_tenant = &endpoints[&event.tenant];
            let wants = |endpoint: &Endpoint| endpoint.wants(&event.name, event.inbox, event.position);
            let chosen_of =
                of_tenant.iter().enumerate().filter(|(_, endpoint)| wants(endpoint) || is_its_bots(endpoint, event));
            let chosen_of = chosen_of.filter(|(_, endpoint)| !is_told_by_another(endpoint, of_tenant, wants));
            chosen.extend(chosen_of.map(|(index, _)| (event, index)));
            step.passed.1 = event.position;
            if chosen.len() >= DELIVERIES {
                step.more = true;
                break;
            }
        }
        let to = step.passed.1;
        if chosen.is_empty() && to - cursor < UNWRITTEN {
            return Ok(step);
        }
        let chosen: Vec<(&Stored, &Endpoint)> =
            chosen.into_iter().map(|(event, index)| (event, &endpoints[&event.tenant][index])).collect();
        let deliveries = render(tx, &self.scene, &chosen)?;
        write(tx, &mut step, FanOut { from: cursor, to, deliveries })?;
        Ok(step)
    }

    /// Remembers what was committed, and hands over what it made; whether there may be more.
    fn committed(&self, step: Step) -> bool {
        let mut known = self.known();
        if known.configuration.revision != step.configuration.revision {
            known.endpoints.clear();
            known.configuration = step.configuration;
        }
        known.endpoints.extend(step.fresh);
        known.passed = step.passed;
        drop(known);
        if let Some(batch) = step.batch {
            self.giver.give(batch);
        }
        step.more
    }
}

/// Writes the deliveries and moves the cursor, unless another node has done so.
fn write(tx: &mut Tx, step: &mut Step, cmd: FanOut) -> Result<()> {
    let (from, to) = (cmd.from, cmd.to);
    let Some(written) = deliveries::fan_out(tx, &cmd)? else {
        step.passed = (0, 0);
        step.more = true;
        return Ok(());
    };
    let now = tx.now();
    let mut shares: Vec<Share> = written
        .epochs
        .iter()
        .map(|(endpoint, epoch)| Share { endpoint: *endpoint, epoch: *epoch, rows: Vec::new() })
        .collect();
    for (new, id) in cmd.deliveries.into_iter().zip(written.ids) {
        let Ok(at) = shares.binary_search_by(|share| share.endpoint.cmp(&new.endpoint)) else { continue };
        shares[at].rows.push(Waiting {
            id,
            position: new.position,
            event: new.event,
            event_type: new.event_type,
            conversation: new.conversation,
            attempts: 0,
            earlier_attempts: 0,
            overtaken: false,
            due_at: now,
            body: new.body,
        });
    }
    step.passed = (to, to);
    step.batch = Some(Batch { from, to, shares });
    Ok(())
}

/// Whether the event is for a bot because it has the conversation, in whatever inbox.
fn is_its_bots(endpoint: &Endpoint, event: &Stored) -> bool {
    let Some((bot, state)) = endpoint.bot.zip(event.state.as_deref()) else { return false };
    endpoint.wants_elsewhere(&event.name, event.position) && state::is_given_to(state, bot)
}

/// Whether an inbox's own endpoint posts the event to the same address in Chatwoot's format: the account's then does not.
fn is_told_by_another(endpoint: &Endpoint, all: &[Endpoint], wants: impl Fn(&Endpoint) -> bool) -> bool {
    let is_same = |other: &Endpoint| other.is_inboxes && other.format == Format::Chatwoot && other.url == endpoint.url;
    endpoint.format == Format::Chatwoot
        && !endpoint.is_inboxes
        && endpoint.bot.is_none()
        && all.iter().any(|other| is_same(other) && wants(other))
}

fn render(read: &mut Read, scene: &Scene, wanted: &[(&Stored, &Endpoint)]) -> Result<Vec<NewDelivery>> {
    let mut last = last_sequences(read, wanted)?;
    let mut view = scene.view();
    let mut deliveries = Vec::with_capacity(wanted.len());
    for (event, endpoint) in wanted {
        let mut none = None;
        let last = match event.conversation {
            Some(id) => last.entry((endpoint.id, id)).or_default(),
            None => &mut none,
        };
        for (event_type, body) in bodies(read, &mut view, endpoint, event, last)? {
            deliveries.push(NewDelivery {
                endpoint: endpoint.id,
                tenant: event.tenant,
                position: event.position,
                event: event.id,
                event_type,
                conversation: event.conversation,
                sequence: event.sequence,
                body,
            });
        }
    }
    Ok(deliveries)
}

/// What each endpoint was last given of each conversation; the first event of a conversation needs no look-up.
fn last_sequences(
    read: &mut Read,
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
    let found = deliveries::last_sequences(read, &asked)?;
    for ((_, endpoint, conversation), sequence) in asked.into_iter().zip(found) {
        last.insert((endpoint, conversation), sequence);
    }
    Ok(last)
}

impl FanOutLoop {
    /// A fan-out of `db` that hands what it makes to the sender at the other end of `giver`; `scene` is what bodies of
    /// Chatwoot's format are made with. It joins the groups that write
    /// events from now until it is dropped, where the engine can do that.
    pub fn new(db: Db, giver: Giver, scene: Scene) -> FanOutLoop {
        let memory = Arc::new(Memory { known: Mutex::default(), giver, scene, behind: Notify::new() });
        let joining = memory.clone();
        let joined = db.join(events::EVENTS, move |tx| {
            let step = joining.step(tx, false).map_err(engine)?;
            let memory = joining.clone();
            Ok(Box::new(move || {
                if memory.committed(step) {
                    memory.behind.notify_one();
                }
            }))
        });
        FanOutLoop { db, memory, joined }
    }

    /// Fans out one batch; false when the log has nothing more.
    pub async fn step(&mut self) -> Result<bool> {
        let memory = self.memory.clone();
        let is_shared = self.db.is_shared();
        if is_shared {
            // A transaction that may wait for another node's, only where there is something to do.
            let passed = self.memory.known().passed.1;
            let look = move |read: &mut Read| {
                Ok::<_, Error>(numbering::is_any_beyond(read)? || feed::last_position(read)? > passed)
            };
            if !self.db.read(look).await? {
                return Ok(false);
            }
        }
        let step = self.db.write(move |tx| memory.step(tx, is_shared)).await?;
        Ok(self.memory.committed(step))
    }

    /// Runs until `stop` is set, woken by commits that emitted events, or left some over. Errors are logged and tried again.
    pub async fn run(mut self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut woken = self.db.watch(events::EVENTS);
        loop {
            woken.borrow_and_update();
            let began = Instant::now();
            match self.step().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => {
                    complain!(error, "fan-out failed; trying again")
                }
            }
            if self.joined.is_none() {
                let is_heard = self.memory.known().configuration.wanted.is_some();
                let pace = if is_heard { PACE } else { UNHEARD_PACE };
                tokio::select! {
                    () = tokio::time::sleep(pace.saturating_sub(began.elapsed())) => {}
                    _ = stop.changed() => return,
                }
            }
            tokio::select! {
                _ = woken.changed(), if self.joined.is_none() => {}
                _ = self.memory.behind.notified() => {}
                _ = tokio::time::sleep(PAUSE) => {}
                _ = stop.changed() => return,
            }
        }
    }
}

/// What joins a group fails as the engine does.
fn engine(error: Error) -> tieline_db::Error {
    tieline_db::Error::Sql(error.causes())
}
