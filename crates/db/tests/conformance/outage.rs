//! A server that goes away, and a network that swallows everything.

use crate::postgres::TAKE;
use crate::support::*;
use std::process::Command;
use std::time::{Duration, Instant};
use tieline_db::{Ask, Config, Db, Error};
use tieline_testkit::postgres::required;
use tieline_testkit::proxy::Proxy;

/// How long calls may take while nobody answers. About seven seconds is what they should; this tells an end from none, and
/// one wait for all from one for each, on any machine.
const AT_MOST: Duration = Duration::from_secs(60);
/// How long a server that is back may go unnoticed: the driver looks every second; the rest is for a slow machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

fn select(db: &Db) -> Result<(), Error> {
    read(db, |read| read.each("select 1", &[], |_| Ok(())))
}

/// Writes `id` until it is taken.
fn insert_when_back(db: &Db, id: i64) {
    let until = Instant::now() + NOTICED_WITHIN;
    while let Err(error) = run(db, move |tx| insert(tx, id)) {
        assert!(matches!(error, Error::Away { .. }), "{error:?}");
        assert!(Instant::now() < until, "it does not come back: {error}");
        std::thread::yield_now();
    }
}

#[test]
fn a_server_that_comes_back_costs_no_unanswered_write() {
    let place = Place::postgres();
    let (mut proxy, url) = Proxy::start(place.url());
    let mut config = Config::postgres(url, SCHEMA);
    config.limits.writers = 1;
    let db = Db::open(config).unwrap();
    let held = hold(&db);
    let queued = write(&db, |tx| Ok(insert(tx, 1)?));
    proxy.stop(); // the holder's transaction goes with it, and is run again
    drop(held);
    proxy.resume();
    wait(queued).unwrap();
    assert_eq!(items(&db), [1]);
}

#[test]
fn a_server_that_stays_away_is_said_so_and_found_again() {
    let place = Place::postgres();
    let (mut proxy, url) = Proxy::start(place.url());
    let mut config = Config::postgres(url, SCHEMA);
    (config.limits.writers, config.limits.readers) = (1, 1);
    let db = Db::open(config).unwrap();
    run(&db, |tx| insert(tx, 1)).unwrap();
    proxy.stop();
    for id in 2..50 {
        let refused = run(&db, move |tx| insert(tx, id));
        assert!(matches!(refused, Err(Error::Away { .. })), "{refused:?}");
    }
    assert!(matches!(select(&db), Err(Error::Away { .. })));
    proxy.resume();
    insert_when_back(&db, 50);
    assert_eq!(items(&place.open()), [1, 50]);
    // That it was away is forgotten: a group whose units run one by one is not cut short.
    let held = hold(&db);
    let refused = write(&db, |tx| {
        insert(tx, 51)?;
        Err::<(), _>(Refusal::No)
    });
    let kept = write(&db, |tx| Ok(insert(tx, 52)?));
    held.release();
    assert!(matches!(wait(refused), Err(Refusal::No)));
    wait(kept).unwrap();
}

#[test]
fn the_next_host_is_tried() {
    let place = Place::postgres();
    let (mut proxy, through) = Proxy::start(place.url());
    proxy.stop();
    let away = through.split_once('@').unwrap().1.split_once('/').unwrap().0;
    let both = place.url().replace('@', &format!("@{away},"));
    let db = Db::open(Config::postgres(both, SCHEMA)).unwrap();
    run(&db, |tx| insert(tx, 1)).unwrap();
}

#[test]
fn a_network_that_swallows_everything_is_noticed_soon_and_its_end_too() {
    let place = Place::postgres();
    let (proxy, url) = Proxy::start(place.url());
    let mut config = Config::postgres(url, SCHEMA);
    (config.limits.writers, config.limits.readers) = (1, 1);
    let db = Db::open(config).unwrap();
    run(&db, |tx| insert(tx, 1)).unwrap();
    select(&db).unwrap();
    proxy.swallow();
    let start = Instant::now();
    // One in a group of several, and those behind it: none waits for each of the others.
    let calls: Vec<_> = (2..40).map(|id| write(&db, move |tx| Ok(insert(tx, id)?))).collect();
    let reading = select(&db);
    assert!(matches!(reading, Err(Error::Away { .. })), "{reading:?}");
    for call in calls {
        let answer = wait(call);
        assert!(matches!(&answer, Err(Refusal::Engine(Error::Away { .. }))), "{answer:?}");
    }
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    let again = run(&db, |tx| insert(tx, 41));
    assert!(matches!(again, Err(Error::Away { .. })), "{again:?}");
    proxy.pass();
    insert_when_back(&db, 50);
    assert_eq!(items(&place.open()), [1, 50]);
}

#[test]
fn what_is_cut_off_in_the_middle_of_a_transaction_frees_its_locks() {
    let place = Place::postgres();
    let (proxy, url) = Proxy::start(place.url());
    let mut config = Config::postgres(url, SCHEMA);
    config.limits.writers = 1;
    let db = Db::open(config).unwrap();
    run(&db, |tx| insert(tx, 1)).unwrap();
    let cut = std::sync::Arc::new(proxy);
    let cuts = cut.clone();
    let answer = run(&db, move |tx| {
        tx.execute("update item set amount = 1 where id = 1", &[])?;
        cuts.swallow();
        tx.execute("update item set amount = 2 where id = 1", &[])
    });
    assert!(matches!(answer, Err(Error::Away { .. })), "{answer:?}");
    // Another node, whose network works: the server ends the transaction of the one that is gone.
    let other = place.open();
    let until = Instant::now() + NOTICED_WITHIN;
    while let Err(error) = run(&other, |tx| tx.execute("update item set amount = 3 where id = 1", &[])) {
        assert!(matches!(error, Error::Away { .. }), "{error:?}");
        assert!(Instant::now() < until, "the lock stays: {error}");
    }
    cut.pass();
    assert_eq!(one::<i64>(&other, "select amount from item"), 3);
}

#[test]
fn a_slow_statement_is_not_a_silent_network() {
    let place = Place::postgres();
    // A slow machine may take its time to connect: that is not what is tried here.
    let db = Db::open(Config::postgres(format!("{}?connect_timeout=60", place.url()), SCHEMA)).unwrap();
    // Longer than silence is taken for slowness.
    read(&db, |read| read.each("select pg_sleep(3)", &[], |_| Ok(()))).unwrap();
    run(&db, |tx| tx.each("select pg_sleep(3)", &[], |_| Ok(()))).unwrap();
}

#[test]
fn a_server_that_does_not_speak_is_not_waited_for() {
    let place = Place::postgres();
    let (proxy, url) = Proxy::start(place.url());
    proxy.swallow();
    let start = Instant::now();
    let silent = Db::open(Config::postgres(&url, SCHEMA)).err();
    assert!(
        matches!(&silent, Some(Error::Away { why, passes: true }) if why.contains("does not answer")),
        "{silent:?}"
    );
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    // And costs nothing beside one that does.
    let host = url.split_once('@').unwrap().1.split_once('/').unwrap().0;
    let db = Db::open(Config::postgres(place.url().replace('@', &format!("@{host},")), SCHEMA)).unwrap();
    run(&db, |tx| insert(tx, 1)).unwrap();
}

#[test]
fn a_node_that_lost_connections_for_good_is_in_trouble_until_it_has_all_of_them() {
    let place = Place::postgres();
    let mut config = Config::postgres(place.url(), SCHEMA);
    (config.limits.writers, config.limits.readers, config.is_node) = (1, 1, true);
    let db = Db::open(config).unwrap();
    assert!(db.trouble().is_none());
    let (admin, name) = (required().admin_url(), place.url().rsplit_once('/').unwrap().1);
    let ask = |sql: String| {
        let output = Command::new("psql").args(["-X", "-q", "-d", &admin, "-c", &sql]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    // A writer, the one beside it, a reader: one is too many.
    ask(format!("alter database {name} connection limit 2"));
    ask(format!("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = '{name}'"));
    let until = Instant::now() + NOTICED_WITHIN;
    for id in 1.. {
        let _ = run(&db, move |tx| {
            tx.together(vec![Ask::apart(&TAKE, vec![1i64.into()], |_| Ok(()))])?;
            insert(tx, id)
        });
        let _ = select(&db);
        match db.trouble() {
            Some(Error::Away { why, passes: true }) => {
                assert!(why.contains("(53300): raise max_connections"), "{why}");
                break;
            }
            other => assert!(other.is_none() && Instant::now() < until, "{other:?}"),
        }
    }
    // It is found without any work.
    ask(format!("alter database {name} connection limit 3"));
    while let Some(trouble) = db.trouble() {
        assert!(Instant::now() < until, "it does not come back: {trouble}");
        std::thread::yield_now();
    }
    select(&db).unwrap();
}
