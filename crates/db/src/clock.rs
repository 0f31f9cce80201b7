//! Time and ids: the only sources of either below the edge, both replaceable in tests.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Where `now` comes from.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since the Unix epoch, UTC.
    fn now(&self) -> i64;
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
    }
}

/// Makes UUIDv7 that grow within the process: 48 bits of milliseconds, a 26-bit counter that starts anew at a random
/// place each millisecond, 48 random bits. Not for secrets.
pub struct Ids {
    /// Numbers of the installation that the one writer of SQLite has taken and not yet given; see
    /// [`crate::Tx::take_numbers`].
    pub(crate) numbers: Range<i64>,
    lane: u64,
    random: u64,
    last_ms: u64,
    counter: u32,
}

impl Ids {
    /// A source seeded by the operating system.
    pub fn from_os() -> Ids {
        Ids::seeded(Ids::os_seed())
    }
    /// A seed from the operating system.
    pub(crate) fn os_seed() -> u64 {
        RandomState::new().build_hasher().finish()
    }
    /// A source that always gives the same ids for the same times.
    pub fn seeded(seed: u64) -> Ids {
        Ids { numbers: 0..0, lane: seed, random: seed, last_ms: 0, counter: 0 }
    }
    /// See [`crate::Tx::lane`].
    pub(crate) fn lane(&self) -> u64 {
        self.lane
    }
    /// The next 64 pseudo-random bits (splitmix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// The next id; greater than every id given before, also when the clock steps back.
    pub fn next(&mut self, now_micros: i64) -> Uuid {
        let ms = (now_micros.max(0) / 1000) as u64;
        let random = self.next_random();
        if ms > self.last_ms {
            self.last_ms = ms;
            self.counter = (random >> 48) as u32; // 16 bits: leaves 2^26 - 2^16 ids in this millisecond
        } else {
            self.counter += 1;
            if self.counter >= 1 << 26 {
                self.last_ms += 1;
                self.counter = 0;
            }
        }
        let high = self.last_ms << 16 | 0x7000 | u64::from(self.counter >> 14);
        let low = 0b10 << 62 | u64::from(self.counter & 0x3fff) << 48 | random & 0xffff_ffff_ffff;
        Uuid::from_u64_pair(high, low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_even_when_the_clock_steps_back() {
        let mut ids = Ids::seeded(7);
        let mut last = Uuid::nil();
        for step in 0..20_000i64 {
            let now = 1_700_000_000_000_000 + [0, 1_000, -5_000][step as usize % 3] + step;
            let id = ids.next(now);
            assert!(id > last, "{id} after {last}");
            assert_eq!(id.get_version_num(), 7);
            assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
            last = id;
        }
    }
}
