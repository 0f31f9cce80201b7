//! What joins groups: it writes in their transactions, fails alone, and learns of the commit before anybody else.

use crate::support::*;
use std::sync::{Arc, Mutex};
use tieline_db::fault::{Plan, Point};
use tieline_db::{AfterCommit, Db, Error, Topic, Tx};

const TOPIC: Topic = Topic(3);

fn announce(tx: &mut Tx, id: i64) -> Result<(), Error> {
    insert(tx, id)?;
    tx.signal(TOPIC);
    Ok(())
}

fn nothing() -> AfterCommit {
    Box::new(|| {})
}

/// Adds a thousand to the newest id.
fn follow(tx: &mut Tx) -> Result<(), Error> {
    let newest: i64 = tx.opt("select max(id) from item", &[], |row| row.get(0))?.unwrap_or_default();
    insert(tx, newest + 1000)
}

#[test]
fn it_shares_the_transaction_of_the_jobs_that_signalled() {
    let place = Place::sqlite();
    let db = place.open();
    let joined = db.join(TOPIC, |tx| follow(tx).map(|()| nothing())).expect("one writer");
    let groups = db.stats().groups();
    run(&db, |tx| announce(tx, 1)).unwrap();
    assert_eq!((items(&db), db.stats().groups() - groups), (vec![1, 1001], 1));
    run(&db, |tx| insert(tx, 2)).unwrap();
    assert_eq!(items(&db), [1, 2, 1001]);
    drop(joined);
    run(&db, |tx| announce(tx, 3)).unwrap();
    assert_eq!(items(&db), [1, 2, 3, 1001]);
}

#[test]
fn a_job_that_was_refused_has_signalled_nothing() {
    let place = Place::sqlite();
    let db = place.open();
    let _joined = db.join(TOPIC, |tx| follow(tx).map(|()| nothing())).expect("one writer");
    let refused = wait(write(&db, |tx| {
        announce(tx, 1)?;
        Err::<(), _>(Refusal::No)
    }));
    assert!(matches!(refused, Err(Refusal::No)));
    assert_eq!(items(&db), [0i64; 0]);
}

#[test]
fn its_failure_is_not_the_group_s() {
    let place = Place::sqlite();
    let db = place.open();
    type Failing = fn(&mut Tx) -> Result<(), Error>;
    let failing: [Failing; 3] = [
        |_| Err(Error::Sql("no".into())),
        |_| panic!("on purpose"),
        |tx| {
            let _ = insert(tx, 1); // there already
            Ok(())
        },
    ];
    for (id, fail) in (1..).zip(failing) {
        let joined = db.join(TOPIC, move |tx| {
            follow(tx)?;
            fail(tx).map(|()| -> AfterCommit { Box::new(|| panic!("it was undone")) })
        });
        run(&db, move |tx| announce(tx, id)).unwrap();
        drop(joined);
    }
    assert_eq!(items(&db), [1, 2, 3]);
}

/// Writes down when each point is passed, and fails at one of them.
#[derive(Default)]
struct Points {
    seen: Seen<&'static str>,
    fails_at: Mutex<Option<Point>>,
}

impl Plan for Points {
    fn at(&self, point: Point) -> Option<Error> {
        self.seen.lock().unwrap().push(match point {
            Point::Begin => "begin",
            Point::BeforeCommit => "before",
            Point::AfterCommit => "answers",
        });
        (*self.fails_at.lock().unwrap() == Some(point)).then(|| Error::Unavailable("on purpose".into()))
    }
}

#[test]
fn it_learns_of_the_commit_before_any_caller_and_only_then() {
    let points = Arc::new(Points::default());
    let place = Place::sqlite();
    let mut config = place.config(SCHEMA);
    config.faults = Some(points.clone());
    let db = Db::open(config).unwrap();
    let seen = points.seen.clone();
    let _joined = db.join(TOPIC, move |tx| {
        follow(tx)?;
        let seen = seen.clone();
        Ok(Box::new(move || seen.lock().unwrap().push("joined")))
    });
    run(&db, |tx| announce(tx, 1)).unwrap();
    assert_eq!(std::mem::take(&mut *points.seen.lock().unwrap()), ["begin", "before", "joined", "answers"]);
    *points.fails_at.lock().unwrap() = Some(Point::BeforeCommit);
    assert!(run(&db, |tx| announce(tx, 2)).is_err());
    assert_eq!(std::mem::take(&mut *points.seen.lock().unwrap()), ["begin", "before"]);
    assert_eq!(items(&db), [1, 1001]);
}

#[test]
fn nothing_joins_where_there_are_several_writers() {
    let place = Place::postgres();
    assert!(place.open().join(TOPIC, |_| Ok(nothing())).is_none());
}
