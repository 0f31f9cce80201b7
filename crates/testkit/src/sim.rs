//! What seeded simulations share: random numbers from a seed, the seeds to run, and faults of the engine.

use std::sync::{Arc, Mutex};
use tieline_db::Error;
use tieline_db::fault::{Plan, Point};

/// Random numbers that follow from a seed (SplitMix64); clones go their own ways.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }
    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.any() % bound as u64) as usize
    }
    /// A number of the range, its end excluded.
    pub fn between(&mut self, from: i64, to: i64) -> i64 {
        from + (self.any() % (to - from) as u64) as i64
    }
    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
    /// One of them; there is at least one.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// How often tests repeat themselves: `TIELINE_ROUNDS`, else `default`.
pub fn rounds(default: usize) -> usize {
    std::env::var("TIELINE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The seeds of a simulation: the one in `TIELINE_SEED`, else `per_round` for each of [`rounds`], from 1 on.
pub fn seeds(default_rounds: usize, per_round: usize) -> Vec<u64> {
    match std::env::var("TIELINE_SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=(rounds(default_rounds) * per_round) as u64).collect(),
    }
}

/// Faults of an engine, drawn from a seed; off until told otherwise.
pub struct Faults {
    plan: Mutex<Drawn>,
    /// Ends the engine's sessions on its server.
    end: Option<Box<dyn Fn() + Send + Sync>>,
}

struct Drawn {
    rng: Rng,
    per_mille: usize,
    /// Where the process dies.
    dies_at: Option<Point>,
    is_dead: bool,
}

impl Faults {
    /// A plan without faults so far.
    pub fn new(seed: u64) -> Arc<Faults> {
        Faults::made(seed, None)
    }
    /// The same for an engine whose sessions a server can end, which `end` does: then this is one of the faults.
    pub fn with_sessions(seed: u64, end: impl Fn() + Send + Sync + 'static) -> Arc<Faults> {
        Faults::made(seed, Some(Box::new(end)))
    }
    fn made(seed: u64, end: Option<Box<dyn Fn() + Send + Sync>>) -> Arc<Faults> {
        let plan = Drawn { rng: Rng::new(seed), per_mille: 0, dies_at: None, is_dead: false };
        Arc::new(Faults { plan: Mutex::new(plan), end })
    }
    /// From now on so many of a thousand groups fail, at each point.
    pub fn set(&self, per_mille: usize) {
        self.plan.lock().expect("not poisoned").per_mille = per_mille;
    }
    /// The next group that comes to this point is the last: with it the process dies, and its sessions with the process.
    pub fn die_at(&self, point: Point) {
        self.plan.lock().expect("not poisoned").dies_at = Some(point);
    }
    /// The process dies now.
    pub fn die(&self) {
        self.plan.lock().expect("not poisoned").is_dead = true;
        self.end_sessions();
    }
    fn end_sessions(&self) {
        if let Some(end) = &self.end {
            end();
        }
    }
}

impl Plan for Faults {
    fn at(&self, point: Point) -> Option<Error> {
        let mut plan = self.plan.lock().expect("not poisoned");
        if plan.dies_at == Some(point) && !plan.is_dead {
            plan.is_dead = true;
            self.end_sessions();
        }
        if plan.is_dead {
            return Some(Error::Unavailable("the process has died".into()));
        }
        let per_mille = plan.per_mille;
        if per_mille == 0 || plan.rng.below(1000) >= per_mille {
            return None;
        }
        if self.end.is_some() && plan.rng.chance(30) {
            // The engine is told by nobody.
            self.end_sessions();
            return None;
        }
        Some(match point {
            Point::Begin if plan.rng.chance(50) => Error::Busy("write"),
            Point::Begin => Error::Unavailable("the disk is full".into()),
            Point::BeforeCommit => Error::Unavailable("an I/O error".into()),
            Point::AfterCommit => Error::Unavailable("the answer was lost".into()),
        })
    }
}
