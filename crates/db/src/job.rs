//! Work waiting for a writer: closures, and commands of set verbs that are run together.

use crate::{Error, Limits, Result, Tx};
use crossbeam_channel::Receiver;
use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
use tokio::sync::oneshot;

/// What a command touches, as hashes; two commands that share one never run in the same set.
#[derive(Default)]
pub struct Keys(Vec<u64>);

impl Keys {
    /// Adds a key: anything that names a row, e.g. `("reference", tenant, text)`.
    pub fn add(&mut self, key: impl Hash) {
        let mut hasher = std::hash::DefaultHasher::new();
        key.hash(&mut hasher);
        self.0.push(hasher.finish());
    }
}

/// A hot verb: it runs over a slice of commands and answers a slice of results.
pub trait SetVerb: 'static {
    /// What is asked.
    type Command: Send + 'static;
    /// What came of it.
    type Outcome: Send + 'static;
    /// Why it was refused, or failed.
    type Error: From<Error> + Send + 'static;
    /// Names what the command touches.
    fn keys(command: &Self::Command, keys: &mut Keys);
    /// Runs the commands, in order, answering each. A refusal is a value that leaves no trace in the database; an error
    /// undoes the whole set, and its commands run again one by one.
    fn run(tx: &mut Tx, commands: &[&Self::Command]) -> Result<Vec<Result<Self::Outcome, Self::Error>>>;
}

/// What became of a job's work inside the transaction.
pub(crate) enum Ran {
    /// Keep its changes.
    Keep,
    /// Undo its changes; its caller gets the stored refusal.
    Undo,
    /// Undo its changes; it may be run again.
    Failed(Error),
}

/// A job of its own.
pub(crate) trait One: Send {
    fn run(&mut self, tx: &mut Tx) -> Ran;
    /// Answers the caller: with its own result when the group was committed, else with the error.
    fn settle(self: Box<Self>, committed: Result<()>);
}

pub(crate) struct Closure<T, E, F> {
    pub work: F,
    pub result: Option<Result<T, E>>,
    pub reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> One for Closure<T, E, F>
where
    T: Send,
    E: From<Error> + Send,
    F: Fn(&mut Tx) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx) -> Ran {
        match catch_unwind(AssertUnwindSafe(|| (self.work)(tx))) {
            Ok(result) => {
                let ran = if result.is_ok() { Ran::Keep } else { Ran::Undo };
                self.result = Some(result);
                ran
            }
            Err(panic) => Ran::Failed(Error::Panicked(panic_text(panic))),
        }
    }
    fn settle(self: Box<Self>, committed: Result<()>) {
        let answer = match (committed, self.result) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Sql("the job did not run".into()).into()),
        };
        let _ = self.reply.send(answer); // the caller may have gone
    }
}

/// One command of a set, its type erased.
pub(crate) trait SetJob: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn settle(self: Box<Self>, committed: Result<()>);
}

struct Command<V: SetVerb> {
    command: V::Command,
    result: Option<Result<V::Outcome, V::Error>>,
    reply: oneshot::Sender<Result<V::Outcome, V::Error>>,
}

impl<V: SetVerb> SetJob for Command<V> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
    fn settle(self: Box<Self>, committed: Result<()>) {
        let answer = match (committed, self.result) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Sql("the verb did not answer".into()).into()),
        };
        let _ = self.reply.send(answer);
    }
}

type RunSet = fn(&mut Tx, &mut [Box<dyn SetJob>]) -> Result<()>;

/// A command on its way, with what is needed to plan it.
pub(crate) struct SetEntry {
    kind: TypeId,
    keys: Vec<u64>,
    run: RunSet,
    job: Box<dyn SetJob>,
}

pub(crate) type Answer<V> = Result<<V as SetVerb>::Outcome, <V as SetVerb>::Error>;

impl SetEntry {
    pub(crate) fn new<V: SetVerb>(command: V::Command, reply: oneshot::Sender<Answer<V>>) -> SetEntry {
        let mut keys = Keys::default();
        V::keys(&command, &mut keys);
        SetEntry {
            kind: TypeId::of::<V>(),
            keys: keys.0,
            run: run_set::<V>,
            job: Box::new(Command::<V> { command, result: None, reply }),
        }
    }
}

fn run_set<V: SetVerb>(tx: &mut Tx, jobs: &mut [Box<dyn SetJob>]) -> Result<()> {
    let mut jobs: Vec<&mut Command<V>> =
        jobs.iter_mut().map(|job| job.as_any().downcast_mut().expect("a set holds one kind")).collect();
    let commands: Vec<&V::Command> = jobs.iter().map(|job| &job.command).collect();
    let results = match catch_unwind(AssertUnwindSafe(|| V::run(tx, &commands))) {
        Ok(results) => results?,
        Err(panic) => return Err(Error::Panicked(panic_text(panic))),
    };
    if results.len() != jobs.len() {
        return Err(Error::Sql(format!("a verb answered {} of {} commands", results.len(), jobs.len())));
    }
    for (job, result) in jobs.iter_mut().zip(results) {
        job.result = Some(result);
    }
    Ok(())
}

pub(crate) fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "no message".to_owned(), |text| text.to_string()),
    }
}

/// What a writer takes from its queue.
pub(crate) enum Job {
    One(Box<dyn One>),
    Set(SetEntry),
    /// Finish what was taken before, then end; one for each writer.
    Stop,
}

/// A job and when it was queued.
pub(crate) type Queued = (Instant, Job);

/// Takes what is queued behind the first job, a group at most, up to and including the closure number `closures`; the second
/// is whether the writer has to end after these.
///
/// A job that waited longer than a job may is refused, not run: behind a database that has stood still its caller has
/// given up, and running it would only make the next ones wait.
pub(crate) fn take(first: Queued, queue: &Receiver<Queued>, limits: &Limits, mut closures: usize) -> (Vec<Job>, bool) {
    let mut jobs = Vec::with_capacity(limits.group.min(64));
    let mut next = first;
    let now = Instant::now();
    loop {
        match next {
            (_, Job::Stop) => return (jobs, true),
            (at, job) if now.saturating_duration_since(at) >= limits.queued_for => {
                job.settle(Err(Error::Busy("write")))
            }
            (_, job) => {
                closures -= usize::from(matches!(job, Job::One(_)));
                jobs.push(job);
            }
        }
        if jobs.len() >= limits.group || closures == 0 {
            return (jobs, false);
        }
        match queue.try_recv() {
            Ok(queued) => next = queued,
            Err(_) => return (jobs, false),
        }
    }
}

impl Job {
    /// Answers the caller of a job that has not run.
    pub(crate) fn settle(self, answer: Result<()>) {
        match self {
            Job::One(job) => job.settle(answer),
            Job::Set(entry) => entry.job.settle(answer),
            Job::Stop => {}
        }
    }
}

/// What a writer runs at once: one closure, or one set.
pub(crate) enum Unit {
    One(Box<dyn One>),
    Set(RunSet, Vec<Box<dyn SetJob>>),
}

impl Unit {
    pub(crate) fn run(&mut self, tx: &mut Tx) -> Ran {
        let ran = match self {
            Unit::One(job) => job.run(tx),
            Unit::Set(run, jobs) => match run(tx, jobs) {
                Ok(()) => Ran::Keep,
                Err(error) => Ran::Failed(error),
            },
        };
        match (ran, tx.failed()) {
            (Ran::Keep, Some(error)) => Ran::Failed(error.clone()),
            (ran, _) => ran,
        }
    }
    /// The parts that can run alone after the unit failed as a whole; a unit of one part is its own part.
    pub(crate) fn split(self) -> Vec<Unit> {
        match self {
            Unit::One(job) => vec![Unit::One(job)],
            Unit::Set(run, jobs) => jobs.into_iter().map(|job| Unit::Set(run, vec![job])).collect(),
        }
    }
    pub(crate) fn len(&self) -> usize {
        match self {
            Unit::One(_) => 1,
            Unit::Set(_, jobs) => jobs.len(),
        }
    }
    pub(crate) fn settle(self, committed: Result<()>) {
        match self {
            Unit::One(job) => job.settle(committed),
            Unit::Set(_, jobs) => jobs.into_iter().for_each(|job| job.settle(committed.clone())),
        }
    }
}

/// Arranges a group: closures in order of arrival, commands gathered into sets whose members share no key.
pub(crate) fn plan(jobs: Vec<Job>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut open: HashMap<TypeId, (usize, HashSet<u64>)> = HashMap::new();
    for job in jobs {
        match job {
            Job::Stop => {}
            Job::One(job) => units.push(Unit::One(job)),
            Job::Set(entry) => {
                if let Some((unit, used)) = open.get_mut(&entry.kind)
                    && entry.keys.iter().all(|key| !used.contains(key))
                    && let Unit::Set(_, jobs) = &mut units[*unit]
                {
                    used.extend(entry.keys);
                    jobs.push(entry.job);
                } else {
                    open.insert(entry.kind, (units.len(), entry.keys.into_iter().collect()));
                    units.push(Unit::Set(entry.run, vec![entry.job]));
                }
            }
        }
    }
    units
}
