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

/// Faults of the engine, drawn from a seed; off until told otherwise.
pub struct Faults(Mutex<(Rng, usize)>);

impl Faults {
    /// A plan without faults so far.
    pub fn new(seed: u64) -> Arc<Faults> {
        Arc::new(Faults(Mutex::new((Rng::new(seed), 0))))
    }
    /// From now on so many of a thousand groups fail, at each point.
    pub fn set(&self, per_mille: usize) {
        self.0.lock().expect("not poisoned").1 = per_mille;
    }
}

impl Plan for Faults {
    fn at(&self, point: Point) -> Option<Error> {
        let mut plan = self.0.lock().expect("not poisoned");
        let per_mille = plan.1;
        if per_mille == 0 || plan.0.below(1000) >= per_mille {
            return None;
        }
        Some(match point {
            Point::Begin if plan.0.chance(50) => Error::Busy("write"),
            Point::Begin => Error::Unavailable("the disk is full".into()),
            Point::BeforeCommit => Error::Unavailable("an I/O error".into()),
            Point::AfterCommit => Error::Unavailable("the answer was lost".into()),
        })
    }
}
