//! Jobs that share a transaction do not share their fate.

use crate::support::*;
use tieline_db::{Error, Ids};

on_both!(
    acknowledged_writes_are_there,
    a_refusing_closure_is_undone_alone,
    refusing_before_writing_costs_the_group_nothing,
    a_failing_statement_fails_its_closure_alone,
    a_panic_fails_its_closure_alone,
    a_swallowed_error_is_still_the_end,
    a_violated_constraint_has_its_own_kind,
    a_group_has_a_limit,
    time_and_ids_come_from_the_configuration,
);

fn acknowledged_writes_are_there(place: &Place) {
    let db = place.open();
    for id in 0..5 {
        run(&db, move |tx| insert(tx, id)).unwrap();
        assert_eq!(items(&db), (0..=id).collect::<Vec<_>>());
    }
    db.close();
    assert_eq!(items(&place.open()), [0, 1, 2, 3, 4]);
}

fn a_refusing_closure_is_undone_alone(place: &Place) {
    let db = place.open();
    let held = hold(&db);
    let before = write(&db, |tx| Ok(insert(tx, 1)?));
    let refused = write(&db, |tx| {
        insert(tx, 2)?;
        tx.execute("update item set amount = 7 where id = 1", &[])?;
        Err::<(), _>(Refusal::No)
    });
    let after = write(&db, |tx| Ok(insert(tx, 3)?));
    held.release();
    wait(before).unwrap();
    assert!(matches!(wait(refused), Err(Refusal::No)));
    wait(after).unwrap();
    assert_eq!(items(&db), [1, 3]);
    assert_eq!(one::<i64>(&db, "select max(amount) from item"), 0);
}

fn refusing_before_writing_costs_the_group_nothing(place: &Place) {
    let db = place.open();
    let held = hold(&db);
    let before = write(&db, |tx| Ok(insert(tx, 1)?));
    let refused = write(&db, |tx| {
        let there = tx.opt("select id from item where id = $1", &[1i64.into()], |row| row.get::<i64>(0))?;
        assert_eq!(there, Some(1));
        Err::<(), _>(Refusal::No)
    });
    let after = write(&db, |tx| Ok(insert(tx, 3)?));
    held.release();
    wait(before).unwrap();
    assert!(matches!(wait(refused), Err(Refusal::No)));
    wait(after).unwrap();
    assert_eq!(items(&db), [1, 3]);
    let groups = if place.is_postgres() { 4 } else { 2 };
    assert_eq!((db.stats().groups(), db.stats().jobs()), (groups, 4), "SQLite: the holder's, and one for all three");
}

fn a_failing_statement_fails_its_closure_alone(place: &Place) {
    let db = place.open();
    let held = hold(&db);
    let before = write(&db, |tx| Ok(insert(tx, 1)?));
    let failed = write(&db, |tx| {
        insert(tx, 2)?;
        Ok(tx.execute("insert into nowhere (id) values (1)", &[])?)
    });
    let after = write(&db, |tx| Ok(insert(tx, 3)?));
    held.release();
    wait(before).unwrap();
    assert!(matches!(wait(failed), Err(Refusal::Engine(Error::Sql(text))) if text.contains("nowhere")));
    wait(after).unwrap();
    assert_eq!(items(&db), [1, 3]);
}

fn a_panic_fails_its_closure_alone(place: &Place) {
    let db = place.open();
    for writes_first in [false, true] {
        let held = hold(&db);
        let base = if writes_first { 10 } else { 0 };
        let before = write(&db, move |tx| Ok(insert(tx, base + 1)?));
        let failed = write(&db, move |tx| {
            if writes_first {
                insert(tx, base + 2)?;
            }
            tx.each("select 1", &[], |_| panic!("in a row"))?;
            Ok(())
        });
        let after = write(&db, move |tx| Ok(insert(tx, base + 3)?));
        held.release();
        wait(before).unwrap();
        assert!(matches!(wait(failed), Err(Refusal::Engine(Error::Panicked(text))) if text == "in a row"));
        wait(after).unwrap();
    }
    assert_eq!(items(&db), [1, 3, 11, 13]);
}

fn a_swallowed_error_is_still_the_end(place: &Place) {
    let db = place.open();
    run(&db, |tx| insert(tx, 1)).unwrap();
    let held = hold(&db);
    let before = write(&db, |tx| Ok(insert(tx, 2)?));
    let swallowed = write(&db, |tx| {
        insert(tx, 3)?;
        let _ = insert(tx, 1);
        Ok("all is well")
    });
    held.release();
    wait(before).unwrap();
    assert!(matches!(wait(swallowed), Err(Refusal::Engine(Error::Constraint(_)))));
    assert_eq!(items(&db), [1, 2]);
}

fn a_violated_constraint_has_its_own_kind(place: &Place) {
    let db = place.open();
    run(&db, |tx| insert(tx, 1)).unwrap();
    let refused = run(&db, |tx| tx.execute("insert into item (id, name) values (2, 'item 1')", &[]));
    assert!(matches!(&refused, Err(Error::Constraint(_))), "{refused:?}");
    let refused = run(&db, |tx| tx.execute("insert into item (id, amount) values (2, null)", &[]));
    assert!(matches!(&refused, Err(Error::Constraint(_))), "{refused:?}");
    // A closure may word it its own way.
    let worded = wait(write(&db, |tx| insert(tx, 1).map_err(|_| Refusal::No)));
    assert!(matches!(worded, Err(Refusal::No)), "{worded:?}");
    assert_eq!(items(&db), [1]);
}

fn a_group_has_a_limit(place: &Place) {
    let mut config = place.config(SCHEMA);
    config.limits.group = 3;
    let db = tieline_db::Db::open(config).unwrap();
    let held = hold(&db);
    let queued: Vec<_> = (0..7).map(|id| write(&db, move |tx| Ok(insert(tx, id)?))).collect();
    assert_eq!(db.write_queue(), 7);
    held.release();
    queued.into_iter().for_each(|call| wait(call).unwrap());
    let expected = if place.is_postgres() { (8, 8, 1) } else { (4, 8, 3) };
    assert_eq!((db.stats().groups(), db.stats().jobs(), db.stats().largest_group()), expected);
    assert_eq!(items(&db).len(), 7);
}

struct Fixed;
impl tieline_db::Clock for Fixed {
    fn now(&self) -> i64 {
        1_700_000_000_123_456
    }
}

fn time_and_ids_come_from_the_configuration(place: &Place) {
    let mut config = place.config(SCHEMA);
    config.clock = std::sync::Arc::new(Fixed);
    config.seed = Some(7);
    let db = tieline_db::Db::open(config).unwrap();
    let (now, id) = run(&db, |tx| Ok((tx.now(), tx.new_id()))).unwrap();
    assert_eq!((now, id), (Fixed.now(), Ids::seeded(7).next(Fixed.now())));
    assert_eq!(read(&db, |read| Ok(read.now())).unwrap(), Fixed.now());
    assert_eq!(one::<i64>(&db, "select applied_at from schema_version"), Fixed.now());
}
use tieline_db::Clock;
