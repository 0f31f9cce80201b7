//! Requests of the trailing 60 seconds, exactly: each is held with the moment at which it leaves.

use std::collections::VecDeque;

/// What is looked back at, microseconds (contract A4).
pub const SPAN_US: i64 = 60_000_000;
const SECOND_US: i64 = 1_000_000;
/// Requests of one millisecond are held as one entry that leaves with the last of them; so a window has at most 60,001
/// entries, however high its limit.
const MERGED_US: i64 = 1000;

/// Requests and when they leave, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    leaving: VecDeque<(i64, u32)>,
    total: i64,
}

impl Window {
    /// Lets go of what has left.
    pub fn pass(&mut self, now: i64) {
        while let Some((leaves_at, count)) = self.leaving.front().copied() {
            if leaves_at > now {
                return;
            }
            self.total -= i64::from(count);
            self.leaving.pop_front();
        }
    }

    /// Requests in it, as of the last [`Window::pass`].
    pub fn total(&self) -> i64 {
        self.total
    }

    /// Adds a request made now. A clock that steps back is taken to stand still.
    pub fn add(&mut self, now: i64) {
        self.total += 1;
        let leaves_at = now + SPAN_US;
        match self.leaving.back_mut() {
            Some((last, count)) if leaves_at / MERGED_US <= *last / MERGED_US => {
                *last = leaves_at.max(*last);
                *count = count.saturating_add(1);
            }
            _ => self.leaving.push_back((leaves_at, 1)),
        }
    }

    /// Requests by the second in which they were made, as text for other nodes: `<second> <count> <count> …`, seconds
    /// since the epoch, nothing for an empty window.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut next = None;
        let mut counts: Vec<(i64, u32)> = Vec::new();
        for (leaves_at, count) in &self.leaving {
            let second = (leaves_at - SPAN_US).div_euclid(SECOND_US);
            match counts.last_mut() {
                Some((last, sum)) if *last == second => *sum = sum.saturating_add(*count),
                _ => counts.push((second, *count)),
            }
        }
        for (second, count) in counts {
            let from = *next.get_or_insert_with(|| {
                text = second.to_string();
                second
            });
            for _ in from..second {
                text.push_str(" 0");
            }
            text.push_str(&format!(" {count}"));
            next = Some(second + 1);
        }
        text
    }

    /// What other nodes wrote by [`Window::to_text`]. Each request counts until the end of its second has left, so a
    /// foreign one may leave late by a second, never early.
    pub fn of_texts<'t>(texts: impl IntoIterator<Item = &'t str>, now: i64) -> Window {
        let mut leaving = Vec::new();
        for text in texts {
            let mut numbers = text.split(' ').map_while(|number| number.parse::<i64>().ok());
            let first = numbers.next().unwrap_or_default();
            leaving.extend(
                (first..).zip(numbers).filter(|(_, count)| *count > 0).map(|(second, count)| {
                    ((second + 1) * SECOND_US + SPAN_US, u32::try_from(count).unwrap_or(u32::MAX))
                }),
            );
        }
        leaving.sort_unstable();
        let mut window =
            Window { total: leaving.iter().map(|(_, count)| i64::from(*count)).sum(), leaving: leaving.into() };
        window.pass(now);
        window
    }

    /// When so many requests will have left two windows together; none when they do not hold so many.
    pub fn frees_at(&self, other: &Window, mut wanted: i64) -> Option<i64> {
        let (mut own, mut others) = (self.leaving.iter().peekable(), other.leaving.iter().peekable());
        loop {
            let first = match (own.peek(), others.peek()) {
                (Some(a), Some(b)) if a.0 <= b.0 => own.next(),
                (Some(_), None) => own.next(),
                _ => others.next(),
            };
            let (leaves_at, count) = *first?;
            wanted -= i64::from(count);
            if wanted <= 0 {
                return Some(leaves_at);
            }
        }
    }

    /// Gives back memory that a quiet window does not need.
    pub fn shrink(&mut self) {
        if self.leaving.is_empty() {
            self.leaving = VecDeque::new();
        }
    }
}
