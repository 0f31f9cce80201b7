//! Closing finishes what was taken and refuses what comes.

use crate::sets::{Add, Wish};
use crate::support::*;
use tieline_db::{Db, Error};

on_both!(closing_finishes_what_is_queued, every_writer_ends);

fn closing_finishes_what_is_queued(place: &Place) {
    let db = place.open();
    let held = hold(&db);
    let queued: Vec<_> = (0..600).map(|id| write(&db, move |tx| Ok(insert(tx, id)?))).collect();
    let closing = db.clone();
    let closed = std::thread::spawn(move || closing.close());
    held.release();
    queued.into_iter().for_each(|call| wait(call).unwrap());
    closed.join().unwrap();
    let command = Add { id: 1, amount: 1, wish: Wish::Add, calls: Seen::default() };
    assert!(matches!(run(&db, |_| Ok(())), Err(Error::Unavailable(_))));
    assert!(matches!(read(&db, |_| Ok(())), Err(Error::Unavailable(_))));
    assert!(matches!(wait(db.submit::<Add>(command)), Err(Refusal::Engine(Error::Unavailable(_)))));
    db.close();
    assert_eq!(items(&place.open()).len(), 600);
}

fn every_writer_ends(place: &Place) {
    let mut config = place.config(SCHEMA);
    (config.limits.writers, config.limits.group) = (3, 2);
    let db = Db::open(config).unwrap();
    let queued: Vec<_> = (0..40).map(|id| write(&db, move |tx| Ok(insert(tx, id)?))).collect();
    db.close(); // returns when all threads have
    queued.into_iter().for_each(|call| wait(call).unwrap());
    assert_eq!(items(&place.open()).len(), 40);
}
