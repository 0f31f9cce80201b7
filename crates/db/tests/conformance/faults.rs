//! Where a group can be cut off, and what is left then.

use crate::support::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tieline_db::fault::{Plan, Point};
use tieline_db::{Db, Error, Topic};

on_both!(before_the_begin, before_the_commit, after_the_commit);

/// Fails when it is asked about `point` after the first time, so many times.
struct Second {
    point: Point,
    times: u32,
    asked: AtomicU32,
}

impl Plan for Second {
    fn at(&self, point: Point) -> Option<Error> {
        let fails = point == self.point && (1..=self.times).contains(&self.asked.fetch_add(1, Ordering::SeqCst));
        fails.then(|| Error::Unavailable("cut off".into()))
    }
}

/// Two writes in one group (on PostgreSQL in a transaction each), which is cut off at `point`; what is there then, and what they woke.
fn cut_off(place: &Place, point: Point) -> (Vec<i64>, u64) {
    let mut config = place.config(SCHEMA);
    config.faults = Some(Arc::new(Second { point, times: transactions(place), asked: AtomicU32::new(0) }));
    let db = Db::open(config).unwrap();
    let held = hold(&db); // the first group
    let queued = [1, 2].map(|id| {
        write(&db, move |tx| {
            tx.signal(Topic(0));
            Ok(insert(tx, id)?)
        })
    });
    held.release();
    for call in queued {
        let answer = wait(call);
        assert!(matches!(&answer, Err(Refusal::Engine(Error::Unavailable(_)))), "{answer:?}");
    }
    let (there, version) = (items(&db), db.version(Topic(0)));
    run(&db, |tx| insert(tx, 3)).unwrap();
    (there, version)
}

fn transactions(place: &Place) -> u32 {
    if place.is_postgres() { 2 } else { 1 }
}

fn before_the_begin(place: &Place) {
    assert_eq!(cut_off(place, Point::Begin), (vec![], 0));
}

fn before_the_commit(place: &Place) {
    assert_eq!(cut_off(place, Point::BeforeCommit), (vec![], 0));
}

fn after_the_commit(place: &Place) {
    assert_eq!(cut_off(place, Point::AfterCommit), (vec![1, 2], u64::from(transactions(place))));
}
