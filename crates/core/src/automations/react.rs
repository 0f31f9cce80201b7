//! Rules at work: from the log to what they do.
//!
//! Two steps. [`look`] reads new events in a snapshot and picks those that start a rule; what starts none costs no
//! transaction. [`react`] moves the cursor over what was picked and does it, all in one transaction: so exactly once for each
//! event and rule, whatever crashes. Of nodes that react at the same time one moves the cursor, the others find it moved.
//!
//! Conditions are asked of the conversation as it is when the rule acts, a moment after the event; of what the event
//! changed they are asked as the event says it.

use super::condition::{Facts, meets};
use super::rule::Trigger;
use super::run::act;
use super::{Automation, active, sql};
use crate::conversations::{self, Conversation};
use crate::ctx::{Actor, ActorKind, Cause, Ctx, no_random};
use crate::events::{Render, Stored, feed};
use crate::ids::{AutomationId, MessageId, TenantId};
use crate::messages::{self, Message};
use crate::{Error, Result, installation};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tieline_db::{Param, Read, Tx, params};

/// Events read at once.
pub const BATCH: i64 = 1024;
/// Events that start rules, reacted to in one transaction.
pub const AT_ONCE: usize = 32;
/// Events that start nothing and are passed over before the cursor is written down: they may be looked at again after a
/// crash, which costs time and nothing else.
const UNWRITTEN: i64 = 100_000;
const CURSOR: &str = "cursor.automations";
/// What a rule's doings say they come from.
const CAUSE: &str = "automation";
/// Longest error kept of a rule, characters.
const ERROR_LIMIT: usize = 500;

type Rules = Arc<Vec<Automation>>;

/// What is remembered between looks.
#[derive(Clone, Debug, Default)]
pub struct Known {
    revision: Option<i64>,
    watched: Option<Arc<Watched>>,
    rules: HashMap<TenantId, Rules>,
    /// Nothing up to here starts a rule that has not acted.
    passed: i64,
}

impl Known {
    /// Whether any rule of the installation is active, as far as is known.
    pub fn is_any(&self) -> bool {
        self.watched.is_some()
    }
}

/// What the active rules of the installation wait for.
#[derive(Debug)]
struct Watched {
    /// Names of events, each between spaces.
    names: String,
    /// No rule acts on what happened up to here.
    after: i64,
}

fn watched(read: &mut Read) -> Result<Option<Watched>> {
    let rows = read.all(sql::WATCHED, &[], |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?)))?;
    let triggers = rows.iter().filter_map(|(word, _)| Trigger::from_text(word));
    let mut names: Vec<&str> = triggers.flat_map(Trigger::events).copied().collect();
    names.sort_unstable();
    names.dedup();
    let after = rows.iter().map(|(_, after)| *after).min();
    Ok(after.map(|after| Watched { names: format!(" {} ", names.join(" ")), after }))
}

/// The position up to which rules have acted.
fn cursor(read: &mut Read) -> Result<i64> {
    let text: Option<String> = read.opt(sql::CURSOR, &params![CURSOR], |row| row.get(0))?;
    text.map_or(Ok(0), |text| text.parse().map_err(Error::internal))
}

/// Events that start rules.
#[derive(Clone, Debug)]
pub struct Work {
    /// Where the cursor stands.
    from: i64,
    /// Each with the rules of its tenant.
    events: Vec<(Stored, Rules)>,
}

impl Work {
    /// Only its first event, to be reacted to by itself.
    pub fn first(&self) -> Work {
        Work { from: self.from, events: self.events.iter().take(1).cloned().collect() }
    }
    /// Whether this is one event by itself.
    pub fn is_single(&self) -> bool {
        self.events.len() <= 1
    }
    /// Where the cursor is to stand afterwards.
    pub fn to(&self) -> i64 {
        self.events.last().map_or(self.from, |(event, _)| event.position)
    }
    /// The rules that its events may start.
    pub fn rules(&self) -> Vec<(TenantId, AutomationId)> {
        let of_event = |(event, rules): &(Stored, Rules)| {
            let started = rules.iter().filter(|rule| starts(rule, event));
            started.map(|rule| (rule.tenant, rule.id)).collect::<Vec<_>>()
        };
        self.events.iter().flat_map(of_event).collect()
    }
}

/// What a look found.
#[derive(Debug)]
pub struct Look {
    /// What to remember, once [`react`] or [`pass`] is through, or at once when there is nothing to do.
    pub known: Known,
    /// What to react to.
    pub work: Option<Work>,
    /// So much was passed over that the cursor is to be written down: from, to.
    pub pass: Option<(i64, i64)>,
    /// Whether the log may have more.
    pub more: bool,
}

/// Looks for events that start rules.
pub fn look(read: &mut Read, mut known: Known) -> Result<Look> {
    let revision = Some(installation::configuration(read)?);
    if known.revision != revision {
        let watched = watched(read)?.map(Arc::new);
        known = Known { revision, watched, rules: HashMap::new(), passed: known.passed };
    }
    let at = cursor(read)?;
    let Some(watched) = known.watched.clone() else {
        known.passed = feed::last_position(read)?.max(known.passed);
        let pass = (known.passed - at >= UNWRITTEN).then_some((at, known.passed));
        return Ok(Look { known, work: None, pass, more: false });
    };
    let position = at.max(known.passed).max(watched.after);
    // Without their data: few of them start a rule.
    let events = feed::after(read, position, BATCH, "")?;
    let mut more = events.len() as i64 == BATCH;
    let mut chosen: Vec<(Stored, Rules)> = Vec::new();
    known.passed = position;
    for event in events {
        if chosen.len() == AT_ONCE {
            more = true;
            break;
        }
        known.passed = event.position;
        if !watched.names.contains(&format!(" {} ", event.name)) {
            continue;
        }
        let rules = match known.rules.get(&event.tenant) {
            Some(rules) => rules.clone(),
            None => {
                let rules = Arc::new(active(read, event.tenant)?);
                known.rules.insert(event.tenant, rules.clone());
                rules
            }
        };
        if rules.iter().any(|rule| starts(rule, &event)) {
            let whole = feed::of_tenant(read, event.tenant, event.position - 1, 1)?.pop();
            chosen.push((whole.unwrap_or(event), rules));
        }
    }
    let pass = (chosen.is_empty() && known.passed - at >= UNWRITTEN).then_some((at, known.passed));
    let work = (!chosen.is_empty()).then_some(Work { from: at, events: chosen });
    Ok(Look { known, work, pass, more })
}

/// Whether an event may start a rule, as far as its head tells.
fn starts(rule: &Automation, event: &Stored) -> bool {
    event.position > rule.active_after
        && event.conversation.is_some()
        && rule.trigger.events().contains(&event.name.as_str())
        && !is_by_rule(event)
}

/// The loop guard: what a rule does starts no rule.
fn is_by_rule(event: &Stored) -> bool {
    #[derive(Deserialize)]
    struct Caused {
        #[serde(rename = "type")]
        kind: String,
    }
    let cause = event.cause.as_deref().and_then(|cause| serde_json::from_str::<Caused>(cause).ok());
    cause.is_some_and(|cause| cause.kind == CAUSE)
}

/// An action that is left out, because it failed: of which rule, its place, and why. Without a place the whole rule is.
#[derive(Clone, Debug)]
pub struct Skip {
    /// The rule.
    pub rule: AutomationId,
    /// The place of the action in the branch that is taken.
    pub action: Option<usize>,
    /// What is noted at the rule.
    pub why: String,
}

/// Why a transaction of rules was undone.
#[derive(Debug)]
pub struct Failed {
    /// The action that failed, where it was one.
    pub at: Option<(AutomationId, usize)>,
    /// Why.
    pub error: Box<Error>,
}

impl From<tieline_db::Error> for Failed {
    fn from(error: tieline_db::Error) -> Failed {
        Failed { at: None, error: Box::new(error.into()) }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { at: None, error: Box::new(error) }
    }
}

/// Moves the cursor over what starts nothing; false when another node has moved it.
pub fn pass(tx: &mut Tx, from: i64, to: i64) -> Result<bool> {
    let (text, before) = (to.to_string(), from.to_string());
    let moved = match from {
        0 => tx.execute(sql::START_CURSOR, &params![CURSOR, &text])?,
        _ => tx.execute(sql::MOVE_CURSOR, &params![CURSOR, &text, &before])?,
    };
    Ok(moved > 0)
}

/// What one transaction came to for a rule.
#[derive(Default)]
struct Tally {
    runs: i64,
    error: Option<String>,
}

/// Does what the rules say to do about these events, and moves the cursor; false when another node has done it. What is in
/// `skip` is left out and noted at its rule.
///
/// Errors: the first action that failed, and nothing of all this has happened.
pub fn react(tx: &mut Tx, render: Render, work: &Work, skip: &[Skip]) -> Result<bool, Failed> {
    if !pass(tx, work.from, work.to())? {
        return Ok(false);
    }
    let named = work.events.iter().filter_map(|(event, _)| Some((event.tenant, event.conversation?)));
    conversations::hold_with_primaries(tx, named.collect())?;
    let mut tally: BTreeMap<(TenantId, AutomationId), Tally> = BTreeMap::new();
    for (event, rules) in &work.events {
        let said = Said::of(event);
        for rule in rules.iter().filter(|rule| starts(rule, event)) {
            react_by(tx, render, event, &said, rule, skip, &mut tally)?;
        }
    }
    let (now, mut rows) = (tx.now(), Vec::<Param>::new());
    for ((tenant, rule), Tally { runs, error }) in &tally {
        let (ran_at, failed_at) = ((*runs > 0).then_some(now), error.as_ref().map(|_| now));
        rows.extend(params![tenant.0, rule.0, *runs, ran_at, error, failed_at]);
    }
    tx.run_many(&sql::RAN, &rows)?;
    Ok(true)
}

fn react_by(
    tx: &mut Tx,
    render: Render,
    event: &Stored,
    said: &Said,
    rule: &Automation,
    skip: &[Skip],
    tally: &mut BTreeMap<(TenantId, AutomationId), Tally>,
) -> Result<(), Failed> {
    let skipped = |action: Option<usize>| skip.iter().find(|skip| skip.rule == rule.id && skip.action == action);
    if let Some(skip) = skipped(None) {
        tally.entry((rule.tenant, rule.id)).or_default().error = Some(short(&skip.why));
        return Ok(());
    }
    // Whatever the rules before have done to it.
    let Some(conversation) =
        event.conversation.map(|id| found(conversations::get(tx, event.tenant, id))).transpose()?
    else {
        return Ok(());
    };
    let Some(v) = conversation.filter(|v| rule.trigger != Trigger::ConversationOpened || said.opens(v)) else {
        return Ok(());
    };
    let message = match said.message {
        Some(id) => found(messages::get(tx, event.tenant, id))?,
        None => None,
    };
    let Some(branch) = branch(tx.now(), rule, &v, message.as_ref(), said) else { return Ok(()) };
    let id: Arc<str> = rule.id.to_string().into();
    let ctx = Ctx {
        tenant: event.tenant,
        actor: Actor { kind: ActorKind::Automation, id: Some(id.clone()), name: Some(rule.name.as_str().into()) },
        cause: Some(Cause { kind: CAUSE, id: id.to_string() }),
        address: None,
        render,
        random: no_random,
    };
    let noted = tally.entry((rule.tenant, rule.id)).or_default();
    noted.runs += 1;
    for (place, action) in branch.actions.iter().enumerate() {
        if let Some(skip) = skipped(Some(place)) {
            noted.error = Some(short(&skip.why));
            continue;
        }
        act(tx, &ctx, rule, v.id, action)
            .map_err(|error| Failed { at: Some((rule.id, place)), error: Box::new(error) })?;
    }
    Ok(())
}

fn branch<'r>(
    now: i64,
    rule: &'r Automation,
    conversation: &Conversation,
    message: Option<&Message>,
    said: &Said,
) -> Option<&'r super::rule::Branch> {
    let facts = Facts { conversation, message, changes: &said.changes, now };
    rule.branches.iter().find(|branch| meets(&branch.conditions, &facts))
}

fn found<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code == "not_found" => Ok(None),
        Err(error) => Err(error),
    }
}

fn short(text: &str) -> String {
    text.chars().take(ERROR_LIMIT).collect()
}

/// What an event's data says, as far as rules care.
#[derive(Debug, Default)]
struct Said {
    message: Option<MessageId>,
    changes: Map<String, Value>,
}

impl Said {
    fn of(event: &Stored) -> Said {
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        #[derive(Deserialize)]
        struct Data {
            message: Option<Named>,
            changes: Option<Map<String, Value>>,
        }
        let Ok(data) = serde_json::from_str::<Data>(&event.data) else { return Said::default() };
        Said {
            message: data.message.and_then(|message| message.id.parse().ok()),
            changes: data.changes.unwrap_or_default(),
        }
    }

    /// Whether the change brought the conversation into the agents' queue.
    fn opens(&self, v: &Conversation) -> bool {
        let moved = self.changes.contains_key("status") || self.changes.contains_key("isHeld");
        moved && v.status == conversations::status::Status::Active && !v.is_held
    }
}
