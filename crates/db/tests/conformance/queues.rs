//! A full queue says so at once.

use crate::support::*;
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use tieline_db::{Db, Error};

on_both!(a_full_write_queue_is_busy_at_once, a_full_read_queue_is_busy_at_once, what_waited_too_long_is_not_run);

fn a_full_write_queue_is_busy_at_once(place: &Place) {
    let mut config = place.config(SCHEMA);
    config.limits.write_queue = 2;
    let db = Db::open(config).unwrap();
    let held = hold(&db);
    let queued = [1, 2].map(|id| write(&db, move |tx| Ok(insert(tx, id)?)));
    // The writer is held: an answer can come from nowhere but the queue.
    let refused = run(&db, |tx| insert(tx, 3));
    assert!(matches!(refused, Err(Error::Busy("write"))), "{refused:?}");
    assert_eq!(db.stats().refused(), 1);
    held.release();
    queued.into_iter().for_each(|call| wait(call).unwrap());
    run(&db, |tx| insert(tx, 4)).unwrap();
    assert_eq!(items(&db), [1, 2, 4]);
}

fn a_full_read_queue_is_busy_at_once(place: &Place) {
    let mut config = place.config(SCHEMA);
    (config.limits.readers, config.limits.read_queue) = (1, 1);
    let db = Db::open(config).unwrap();
    let (started, has_started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let reading = db.clone();
    let held = queue(async move {
        let work = move |_: &mut tieline_db::Read| {
            started.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            Ok::<_, Error>(())
        };
        reading.read(work).await
    });
    has_started.recv().unwrap();
    let waiting = db.clone();
    let waiting = queue(async move { waiting.read(|_| Ok::<_, Error>(())).await });
    let refused = read(&db, |_| Ok(()));
    assert!(matches!(refused, Err(Error::Busy("read"))), "{refused:?}");
    drop(release);
    wait(held).unwrap();
    wait(waiting).unwrap();
    read(&db, |_| Ok(())).unwrap();
}

fn what_waited_too_long_is_not_run(place: &Place) {
    let mut config = place.config(SCHEMA);
    config.limits.queued_for = Duration::ZERO; // any wait is too long
    let db = Db::open(config).unwrap();
    let refused = run(&db, |tx| insert(tx, 1));
    assert!(matches!(refused, Err(Error::Busy("write"))), "{refused:?}");
    assert_eq!(items(&db), [0; 0]);
}
