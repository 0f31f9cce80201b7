//! Numbers of the installation: nobody gets one twice, and later transactions get greater ones.

use crate::support::*;
use tieline_db::{Db, Error, Tx};

on_both!(numbers_ascend, what_is_undone_breaks_no_order, nobody_gets_one_again, writers_get_different_numbers);

fn take(tx: &mut Tx, count: usize) -> Result<Vec<i64>, Error> {
    let mut numbers = tx.take_numbers(count)?;
    let taken = (0..count).map(|_| numbers.take()).collect();
    assert!(numbers.take().is_err(), "no more than were asked for");
    taken
}

fn numbers_ascend(place: &Place) {
    let db = place.open();
    let mut all = run(&db, |tx| take(tx, 3)).unwrap();
    all.push(run(&db, |tx| tx.take_number()).unwrap());
    assert_eq!(run(&db, |tx| take(tx, 0)).unwrap(), [0i64; 0]);
    all.extend(run(&db, |tx| take(tx, 2)).unwrap());
    assert!(all[0] > 0 && all.is_sorted_by(|a, b| a < b), "{all:?}");
}

fn what_is_undone_breaks_no_order(place: &Place) {
    let db = place.open();
    let before = run(&db, |tx| tx.take_number()).unwrap();
    let refused = wait(write(&db, |tx| {
        tx.take_number()?;
        insert(tx, 1)?;
        Err::<(), _>(Refusal::No)
    }));
    assert!(matches!(refused, Err(Refusal::No)));
    let after = run(&db, |tx| tx.take_number()).unwrap();
    assert!(after > before, "{before} {after}");
}

fn nobody_gets_one_again(place: &Place) {
    let mut all: Vec<i64> = Vec::new();
    for _ in 0..2 {
        let db = place.open();
        for count in [1, 3000, 2, 150, 1] {
            let refused = wait(write(&db, move |tx| {
                take(tx, count)?;
                insert(tx, 1)?;
                Err::<(), _>(Refusal::No)
            }));
            assert!(matches!(refused, Err(Refusal::No)));
            all.extend(run(&db, move |tx| take(tx, count)).unwrap());
        }
        db.close();
    }
    assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
}

fn writers_get_different_numbers(place: &Place) {
    let mut config = place.config(SCHEMA);
    config.limits.writers = 4;
    let db = Db::open(config).unwrap();
    let waiting: Vec<_> = (0..40).map(|_| write(&db, |tx| Ok(take(tx, 5)?))).collect();
    let mut all: Vec<i64> = waiting.into_iter().flat_map(|call| wait(call).unwrap()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 200);
}
