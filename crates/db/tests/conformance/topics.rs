//! A topic wakes for what is committed, before anybody learns of the commit.

use crate::support::*;
use std::sync::{Arc, Mutex, OnceLock};
use tieline_db::fault::{Plan, Point};
use tieline_db::{Db, Error, Topic};

on_both!(a_topic_wakes_after_its_commit_and_before_the_answer, what_is_undone_wakes_nobody);

const TOPIC: Topic = Topic(3);

/// Writes down the version at each point.
#[derive(Default)]
struct Watcher {
    db: OnceLock<Db>,
    seen: Mutex<Vec<(Point, u64)>>,
}

impl Plan for Watcher {
    fn at(&self, point: Point) -> Option<Error> {
        if let Some(db) = self.db.get() {
            self.seen.lock().unwrap().push((point, db.version(TOPIC)));
        }
        None
    }
}

fn a_topic_wakes_after_its_commit_and_before_the_answer(place: &Place) {
    let watcher = Arc::new(Watcher::default());
    let mut config = place.config(SCHEMA);
    config.faults = Some(watcher.clone());
    let db = Db::open(config).unwrap();
    assert!(watcher.db.set(db.clone()).is_ok());
    let (topic, other) = (db.watch(TOPIC), db.watch(Topic(4)));
    run(&db, |tx| {
        insert(tx, 1)?;
        tx.signal(TOPIC);
        Ok(())
    })
    .unwrap();
    // The last point lies before the answers.
    assert_eq!(*watcher.seen.lock().unwrap(), [(Point::Begin, 0), (Point::BeforeCommit, 0), (Point::AfterCommit, 1)]);
    assert!(topic.has_changed().unwrap());
    assert!(!other.has_changed().unwrap());
    assert_eq!((db.version(TOPIC), db.version(Topic(4))), (1, 0));
}

fn what_is_undone_wakes_nobody(place: &Place) {
    let db = place.open();
    let refused = wait(write(&db, |tx| {
        insert(tx, 1)?;
        tx.signal(TOPIC);
        Err::<(), _>(Refusal::No)
    }));
    assert!(matches!(refused, Err(Refusal::No)));
    let held = hold(&db);
    let refused = write(&db, |tx| {
        tx.signal(TOPIC);
        Err::<(), _>(Refusal::No)
    });
    let kept = write(&db, |tx| {
        tx.signal(Topic(5));
        Ok(insert(tx, 2)?)
    });
    held.release();
    assert!(wait(refused).is_err());
    wait(kept).unwrap();
    assert_eq!((db.version(TOPIC), db.version(Topic(5))), (0, 1));
    assert!(!db.watch(TOPIC).has_changed().unwrap());
}
