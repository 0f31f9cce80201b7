//! A schema goes up step by step, each step whole or not at all, and never down.

use crate::support::*;
use tieline_db::{Db, Error, Migration};

on_both!(
    fresh_then_upgraded,
    a_newer_schema_is_refused,
    a_failing_step_leaves_the_previous_version,
    several_may_open_at_once,
);

const ONE: Migration = Migration {
    version: 1,
    name: "first",
    sql: "create table a (id bigint primary key, position bigint) {{without_rowid}}; insert into a (id) values (1);",
};
const TWO: Migration =
    Migration { version: 2, name: "second", sql: "alter table a add column b text; update a set b = 'two'" };
const BAD: Migration =
    Migration { version: 3, name: "third", sql: "update a set b = 'three'; create table c (id bigint); nonsense" };
const THREE: Migration = Migration { version: 3, name: "third", sql: "create table c (position {{position}})" };

static FIRST: &[Migration] = &[ONE];
static SECOND: &[Migration] = &[ONE, TWO];
static BROKEN: &[Migration] = &[ONE, TWO, BAD];
static THIRD: &[Migration] = &[ONE, TWO, THREE];

fn versions(db: &Db) -> Vec<(i64, String)> {
    let sql = "select version, name from schema_version order by version";
    read(db, move |read| read.all(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))).unwrap()
}

fn fresh_then_upgraded(place: &Place) {
    let first = Db::open(place.config(FIRST)).unwrap();
    assert_eq!(versions(&first), [(1, "first".into())]);
    first.close();
    for _ in 0..2 {
        let second = Db::open(place.config(SECOND)).unwrap();
        assert_eq!(versions(&second), [(1, "first".into()), (2, "second".into())]);
        assert_eq!(one::<String>(&second, "select b from a where id = 1"), "two");
        second.close();
    }
}

fn a_newer_schema_is_refused(place: &Place) {
    Db::open(place.config(SECOND)).unwrap().close();
    let refused = Db::open(place.config(FIRST)).err();
    assert!(matches!(refused, Some(Error::Newer { found: 2, known: 1 })), "{refused:?}");
    Db::open(place.config(SECOND)).unwrap().close();
}

fn a_failing_step_leaves_the_previous_version(place: &Place) {
    let failed = Db::open(place.config(BROKEN)).err();
    assert!(matches!(&failed, Some(Error::Sql(text)) if text.contains("migration 3 (third)")), "{failed:?}");
    let db = Db::open(place.config(SECOND)).unwrap();
    assert_eq!(versions(&db).len(), 2);
    assert_eq!(one::<String>(&db, "select b from a"), "two");
    db.close();
    assert_eq!(
        versions(&Db::open(place.config(THIRD)).unwrap()).len(),
        3,
        "and the table of the failed step is not there"
    );
}

fn several_may_open_at_once(place: &Place) {
    let all_ready = std::sync::Barrier::new(4);
    let opened: Vec<Db> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    all_ready.wait();
                    Db::open(place.config(THIRD)).unwrap()
                })
            })
            .collect();
        opening.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(versions(&opened[3]).len(), 3);
    opened.iter().for_each(Db::close);
}
