//! A read sees every write acknowledged before it, and one state of things throughout.

use crate::support::*;
use tieline_db::Error;

on_both!(a_read_is_one_snapshot, a_read_cannot_write, a_panic_in_a_read_is_its_own);

fn a_read_is_one_snapshot(place: &Place) {
    let db = place.open();
    run(&db, |tx| insert(tx, 1)).unwrap();
    let writing = db.clone();
    let counts = read(&db, move |read| {
        let mut count = || read.opt("select count(*) from item", &[], |row| row.get::<i64>(0)).map(Option::unwrap);
        let before = count()?;
        run(&writing, |tx| insert(tx, 2))?;
        Ok((before, count()?, items(&writing).len()))
    });
    assert_eq!(counts.unwrap(), (1, 1, 2), "its own snapshot stays, a new one has the write");
}

fn a_read_cannot_write(place: &Place) {
    let db = place.open();
    let written = read(&db, |read| read.each("insert into item (id) values (1) returning id", &[], |_| Ok(())));
    assert!(written.is_err());
    assert_eq!(items(&db), [0i64; 0]);
}

fn a_panic_in_a_read_is_its_own(place: &Place) {
    let mut config = place.config(SCHEMA);
    config.limits.readers = 1;
    let db = tieline_db::Db::open(config).unwrap();
    let panicked = read(&db, |read| read.each("select 1", &[], |_| panic!("in a row")));
    assert!(matches!(panicked, Err(Error::Panicked(_))), "{panicked:?}");
    let failed = read(&db, |read| read.each("select nothing", &[], |_| Ok(())));
    assert!(matches!(failed, Err(Error::Sql(_))), "{failed:?}");
    assert_eq!(one::<i64>(&db, "select 1"), 1, "the reader goes on");
}
