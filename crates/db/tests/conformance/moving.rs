//! The whole of one database into another: every pair of engines, broken off, changed under way, in the wrong direction.

use crate::support::{Place, read, run, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tieline_db::fault::{Plan, Point};
use tieline_db::moving::{self, Mark, Move, PAGE_BYTES, PAGE_ROWS, Stop};
use tieline_db::{Config, Db, Error, Migration, catalogue, params};
use uuid::Uuid;

/// Every type, every kind of key: one, several, a position.
static SCHEMA: &[Migration] = &[Migration {
    version: 1,
    name: "tables",
    sql: "create table alone (\"key\" text primary key, value text not null);
          create table many (tenant_id bigint not null, id uuid not null, flag boolean, number bigint, part double precision, \
            text text, bytes bytea, primary key (tenant_id, id)) {{without_rowid}};
          create table log (position {{position}}, id uuid not null, note text not null);
          create table empty (id bigint primary key);
          {{numbers}};",
}];
const NAMES: [&str; 2] = ["the old one", "the new one"];

fn names() -> [String; 2] {
    NAMES.map(str::to_owned)
}

fn place(postgres: bool) -> Place {
    if postgres { Place::postgres() } else { Place::sqlite() }
}

fn open(place: &Place) -> Db {
    Db::open(place.config(SCHEMA)).unwrap()
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n << 64 | 7)
}

/// More rows than pages hold, in both ways: many small ones, a few large ones.
fn fill(db: &Db) -> usize {
    let large = "x".repeat(PAGE_BYTES / 2 + 1);
    run(db, move |tx| {
        let edges: [Option<i64>; 4] = [None, Some(i64::MIN), Some(0), Some(i64::MAX)];
        for n in 0..2 * PAGE_ROWS + 17 {
            let number = edges[n % 4];
            let text = ["", "ação \u{1F600}", "'; drop table many; --", "\n"][n % 4];
            let bytes: [&[u8]; 2] = [&[], &[0, 255, 10]];
            tx.execute(
                "insert into many (tenant_id, id, flag, number, part, text, bytes) values ($1, $2, $3, $4, $5, $6, $7)",
                &params![
                    (n % 3) as i64 - 1,
                    id(n as u128),
                    number.map(|number| number > 0),
                    number,
                    number.map(|_| n as f64 / 3.0),
                    number.map(|_| text),
                    number.map(|_| bytes[n % 2])
                ],
            )?;
        }
        for n in 0..8 {
            let note = if n < 3 { large.as_str() } else { "small" };
            tx.execute(
                "insert into log (position, id, note) values ($1, $2, $3)",
                &params![n * 10, id(n as u128), note],
            )?;
        }
        tx.execute("insert into alone values ('b', '1'), ('a', '2')", &[])?;
        Ok(())
    })
    .unwrap();
    2 * PAGE_ROWS + 17 + 8 + 2
}

fn refused<T>(result: Result<T, Stop>) -> String {
    match result {
        Err(Stop::Refused(line)) => line,
        Err(Stop::Engine(error)) => panic!("the engine: {error}"),
        Ok(_) => panic!("not refused"),
    }
}

async fn whole(from: &Db, to: &Db) -> Result<u64, Stop> {
    let moving = Move::begin(from.clone(), to.clone(), names()).await?;
    let mut seen = 0;
    moving
        .copy(|progress| {
            assert!(progress.rows > seen && progress.rows <= progress.of);
            seen = progress.rows;
        })
        .await?;
    moving.finish(|_| {}).await?;
    Ok(seen)
}

fn mark(db: &Db) -> Option<Mark> {
    read(db, moving::mark).unwrap()
}

#[test]
fn every_row_arrives_between_all_engines() {
    for (from_postgres, to_postgres) in [(false, false), (false, true), (true, false), (true, true)] {
        let (from_place, to_place) = (place(from_postgres), place(to_postgres));
        let (from, to) = (open(&from_place), open(&to_place));
        let rows = fill(&from);
        run(&from, |tx| tx.take_numbers(3).map(drop)).unwrap();
        let before = wait(moving::sums(&from)).unwrap();
        assert_eq!(before.values().map(|sum| sum.rows).sum::<u64>(), rows as u64);
        assert_eq!(wait(whole(&from, &to)).unwrap(), rows as u64);
        assert_eq!(wait(moving::sums(&to)).unwrap(), before);
        assert_eq!(mark(&from), Some(Mark::Source { to: NAMES[1].into(), finished: true }));
        assert_eq!(mark(&to), None);
        let next = |db: &Db| run(db, |tx| tx.take_number()).unwrap();
        assert!(next(&to) > 3 && next(&from) > 3, "three were given");
        assert_eq!(refused(wait(whole(&from, &to))), "the old one was moved to the new one already");
        run(&from, moving::reopen).unwrap();
        assert_eq!(mark(&from), None);
        assert_eq!(refused(wait(whole(&from, &to))), "the new one is not empty: there are rows in alone");
        // One that has begun goes to its target and to no other, or there would be two to serve.
        let (half_place, other_place) = (place(to_postgres), place(from_postgres));
        let (half, other) = (open(&half_place), open(&other_place));
        drop(wait(Move::begin(from.clone(), half.clone(), names())).unwrap());
        let elsewhere = [NAMES[0].to_owned(), "another".to_owned()];
        let twice = wait(Move::begin(from.clone(), other.clone(), elsewhere)).map(drop);
        let told =
            "the old one is being moved to the new one: finish that, or give it up with `tieline serve --reopen`";
        assert_eq!(refused(twice.map(|()| 0)), told);
        assert_eq!((mark(&other), wait(whole(&from, &half)).unwrap()), (None, rows as u64));
        half.close();
        other.close();
        from.close();
        to.close();
    }
}

#[test]
fn a_changed_bit_changes_the_sum() {
    let place = Place::sqlite();
    let db = open(&place);
    fill(&db);
    let before = wait(moving::sums(&db)).unwrap();
    for (table, change) in [
        ("many", "update many set flag = not flag where tenant_id = 1 and number > 0"),
        ("many", "update many set text = null where text = ''"),
        ("alone", "update alone set value = '3' where \"key\" = 'a'"),
        ("log", "update log set position = 71 where position = 70"),
    ] {
        run(&db, move |tx| tx.execute(change, &[])).unwrap();
        let after = wait(moving::sums(&db)).unwrap();
        assert_eq!(after[table].rows, before[table].rows);
        assert_ne!(after[table].digest, before[table].digest, "{change}");
    }
    db.close();
}

/// Fails the commit with this number, and every one after it.
struct From(AtomicU32);

impl Plan for From {
    fn at(&self, point: Point) -> Option<Error> {
        if point != Point::BeforeCommit {
            return None;
        }
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1)));
        (left == Ok(0)).then(|| Error::Unavailable("cut".into()))
    }
}

#[test]
fn a_move_that_is_broken_off_goes_on_where_it_was() {
    for to_postgres in [false, true] {
        let (from_place, to_place) = (place(!to_postgres), place(to_postgres));
        let from = open(&from_place);
        let rows = fill(&from) as u64;
        let (mut last, mut broken) = (0, 0);
        let other_place = Place::sqlite();
        let other = open(&other_place);
        run(&other, |tx| tx.execute("insert into empty values (1)", &[])).unwrap();
        let opened = |commits: u32| {
            let faults: Arc<dyn Plan> = Arc::new(From(AtomicU32::new(commits)));
            Db::open(Config { faults: Some(faults), ..to_place.config(SCHEMA) }).unwrap()
        };
        loop {
            let to = opened(3); // the mark, and two pages
            let ended = wait(async {
                let moving = Move::begin(from.clone(), to.clone(), names()).await?;
                moving
                    .copy(|progress| {
                        assert!(progress.rows > last, "a page is copied twice");
                        last = progress.rows;
                    })
                    .await
            });
            to.close();
            if ended.is_ok() {
                break;
            }
            broken += 1;
            let to = open(&to_place);
            assert_eq!(mark(&from), Some(Mark::Source { to: NAMES[1].into(), finished: false }));
            assert_eq!(mark(&to), Some(Mark::Unfinished { from: NAMES[0].into() }));
            let line = refused(wait(whole(&other, &to)));
            assert!(line.contains("unfinished copy of the old one that this move cannot go on with"), "{line}");
            assert!(refused(wait(whole(&to, &other))).contains("itself the unfinished copy"));
            assert_eq!((mark(&other), last < rows), (None, true), "who is refused changes nothing");
            to.close();
        }
        assert!(broken > 1, "{broken} times");
        assert_eq!(last, rows);
        let to = open(&to_place);
        assert_eq!(wait(whole(&from, &to)).unwrap(), 0, "nothing is left to copy");
        assert_eq!(wait(moving::sums(&to)).unwrap(), wait(moving::sums(&from)).unwrap());
        for db in [from, to, other] {
            db.close();
        }
    }
}

#[test]
fn a_source_that_changes_meanwhile_is_noticed() {
    let changes = [
        "update alone set value = '9' where \"key\" = 'a'",
        "delete from log where position = 0",
        "insert into empty values (1)",
    ];
    for change in changes {
        let (from_place, to_place) = (Place::sqlite(), Place::sqlite());
        let (from, to) = (open(&from_place), open(&to_place));
        fill(&from);
        let moving = wait(Move::begin(from.clone(), to.clone(), names())).unwrap();
        wait(moving.copy(|_| {})).unwrap();
        run(&from, move |tx| tx.execute(change, &[])).unwrap();
        let line = refused(wait(moving.finish(|_| {})));
        assert!(line.starts_with("the old one changed while it was copied; stop every server on it"), "{line}");
        assert_eq!(mark(&to), Some(Mark::Unfinished { from: NAMES[0].into() }));
        from.close();
        to.close();
    }
    let (from_place, to_place) = (Place::sqlite(), Place::sqlite());
    let (from, to) = (open(&from_place), open(&to_place));
    fill(&from);
    let moving = wait(Move::begin(from.clone(), to.clone(), names())).unwrap();
    wait(moving.copy(|_| {})).unwrap();
    run(&to, |tx| tx.execute("update many set number = 1 where number = 0", &[])).unwrap();
    let line = refused(wait(moving.finish(|_| {})));
    assert!(line.starts_with("the new one does not hold what was copied"), "{line}");
    from.close();
    to.close();
}

#[test]
fn what_cannot_be_moved_is_said_before_it_is_tried() {
    static OTHER: &[Migration] =
        &[Migration { version: 1, name: "other", sql: "create table alone (id bigint primary key)" }];
    static KEYLESS: &[Migration] = &[Migration { version: 1, name: "keyless", sql: "create table heap (note text)" }];
    static TYPED: &[Migration] =
        &[Migration { version: 1, name: "typed", sql: "create table t (id bigint primary key, at jsonb)" }];
    let (from_place, to_place) = (Place::sqlite(), Place::postgres());
    let (from, to) = (open(&from_place), open(&to_place));
    assert_eq!(refused(wait(whole(&from, &to))), "the old one is empty: there is nothing to move");
    fill(&from);
    let other_place = Place::postgres();
    let other = Db::open(other_place.config(OTHER)).unwrap();
    assert!(refused(wait(whole(&from, &other))).starts_with("the two schemas differ"));
    for postgres in [false, true] {
        for (schema, line) in [(KEYLESS, "the table heap has no key"), (TYPED, "t.at is a \"jsonb\"")] {
            let place = place(postgres);
            let db = Db::open(place.config(schema)).unwrap();
            let error = read(&db, catalogue::tables).unwrap_err();
            assert!(error.to_string().starts_with(line), "{error}");
            db.close();
        }
    }
    assert_eq!((mark(&from), mark(&to)), (None, None));
    // No page comes after a key that is null, so rows would be left out.
    run(&from, |tx| tx.execute("insert into alone values (null, 'x')", &[])).unwrap();
    let error = wait(whole(&from, &to)).unwrap_err().to_string();
    assert_eq!(error, "a row of alone has no key");
    for db in [from, to, other] {
        db.close();
    }
}
