//! What only a server can do to us: go away, choose a victim, run several writers at once.

use crate::support::*;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use tieline_db::{Ask, Config, Db, Error, Keys, Many, Numbers, SetVerb, Tx, Ty};

/// Ends the connection it runs on, once.
fn end_own_connection(tx: &mut tieline_db::Tx, runs: &AtomicU32) -> Result<u32, Error> {
    let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
    if run == 1 {
        tx.each("select pg_terminate_backend(pg_backend_pid())", &[], |_| Ok(()))?;
        tx.each("select 1", &[], |_| Ok(()))?;
    }
    Ok(run)
}

#[test]
fn a_lost_connection_costs_no_unanswered_write() {
    let db = Place::postgres();
    let db = db.open();
    let held = hold(&db);
    let before = write(&db, |tx| Ok(insert(tx, 1)?));
    let runs = AtomicU32::new(0);
    let loses = write(&db, move |tx| {
        insert(tx, 2)?;
        Ok(end_own_connection(tx, &runs)?)
    });
    let after = write(&db, |tx| Ok(insert(tx, 3)?));
    held.release();
    wait(before).unwrap();
    assert_eq!(wait(loses).unwrap(), 2, "run again");
    wait(after).unwrap();
    assert_eq!(items(&db), [1, 2, 3]);
}

#[test]
fn a_work_that_always_loses_the_connection_is_refused_alone() {
    let place = Place::postgres();
    let db = place.open();
    let held = hold(&db);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let loses = write(&db, move |tx| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(end_own_connection(tx, &AtomicU32::new(0))?)
    });
    let after = write(&db, |tx| Ok(insert(tx, 1)?));
    held.release();
    let answer = wait(loses);
    assert!(matches!(&answer, Err(Refusal::Engine(Error::Away { .. }))), "{answer:?}");
    wait(after).unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 5, "and no more");
    assert_eq!(items(&db), [1]);
}

#[test]
fn a_connection_lost_during_the_commit_is_not_tried_again() {
    let place = Place::postgres();
    let db = place.open();
    let runs = Arc::new(AtomicU32::new(0));
    run(&db, |tx| {
        tx.execute(
            "create function end_it() returns trigger language plpgsql as \
             'begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(60); return null; end'",
            &[],
        )?;
        tx.execute(
            "create constraint trigger at_commit after insert on item deferrable initially deferred \
             for each row when (new.id = 13) execute function end_it()",
            &[],
        )
    })
    .unwrap();
    let counted = runs.clone();
    let answer = run(&db, move |tx| {
        counted.fetch_add(1, Ordering::SeqCst);
        insert(tx, 13)
    });
    assert!(matches!(&answer, Err(Error::Away { why, .. }) if why.contains("commit")), "{answer:?}");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    run(&db, |tx| insert(tx, 14)).unwrap();
    assert_eq!(items(&db), [14]);
}

#[test]
fn idle_connections_may_be_lost() {
    let place = Place::postgres();
    let mut config = place.config(SCHEMA);
    config.limits.readers = 1;
    let db = Db::open(config).unwrap();
    let other = place.open();
    run(&db, |tx| insert(tx, 1)).unwrap();
    assert_eq!(items(&db), [1]);
    let ended = run(&other, |tx| {
        let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                   where datname = current_database() and pid <> pg_backend_pid()";
        tx.opt(sql, &[], |row| row.get::<i64>(0))
    });
    assert!(ended.unwrap() >= Some(2), "the writer and the reader");
    assert_eq!(items(&db), [1]);
    run(&db, |tx| insert(tx, 2)).unwrap();
    assert_eq!(items(&db), [1, 2]);
}

#[test]
fn a_connection_that_takes_no_writes_any_more_is_replaced() {
    let place = Place::postgres();
    let db = place.open();
    // As behind a proxy after a failover.
    run(&db, |tx| tx.execute("set default_transaction_read_only = on", &[])).unwrap();
    run(&db, |tx| insert(tx, 1)).unwrap();
    assert_eq!(items(&db), [1]);
}

fn command(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn tls_checks_chain_and_name() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let place = Place::postgres();
    let admin = tieline_testkit::postgres::required().admin_url();
    let ask = |sql: &str| command("psql", &["-X", "-A", "-t", "-d", &admin, "-c", sql]);
    let open = |url: &str, parameters: &str| Db::open(Config::postgres(format!("{url}?{parameters}"), SCHEMA));
    if ask("show ssl_library").is_empty() {
        // A PostgreSQL built without TLS: all it can show is that nobody who asks for TLS is connected without.
        let refused = open(place.url(), "sslmode=require").err();
        assert!(matches!(refused, Some(Error::Away { passes: false, .. } | Error::Address(_))), "{refused:?}");
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let [key, certificate] = ["key.pem", "cert.pem"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test \
                -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1";
    let mut arguments: Vec<&str> = made.split_whitespace().collect();
    arguments.extend(["-keyout", &key, "-out", &certificate]);
    command("openssl", &arguments);
    let server = std::fs::metadata(ask("show data_directory")).unwrap();
    chown(&key, Some(server.uid()), Some(server.gid())).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    ask(&format!("alter system set ssl_key_file = '{key}'"));
    ask(&format!("alter system set ssl_cert_file = '{certificate}'"));
    ask("alter system set ssl = on");
    ask("select pg_reload_conf()");

    let checked = format!("sslmode=verify-full&sslrootcert={certificate}");
    // The server reads its settings when it gets to it.
    let until = Instant::now() + Duration::from_secs(30);
    let db = loop {
        match open(place.url(), &checked) {
            Ok(db) => break db,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
    };
    let used = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    assert!(one::<bool>(&db, used));
    assert!(run(&db, move |tx| tx.opt(used, &[], |row| row.get::<bool>(0))).unwrap().unwrap());
    assert!(!one::<bool>(&open(place.url(), "sslmode=disable").unwrap(), used));
    let wrong_name = open(&place.url().replace("127.0.0.1", "localhost"), &checked).err();
    assert!(
        matches!(&wrong_name, Some(Error::Away { why, passes: false }) if why.contains("localhost")),
        "{wrong_name:?}"
    );
    let unknown = open(place.url(), "sslmode=require").err();
    assert!(matches!(unknown, Some(Error::Away { passes: false, .. } | Error::Address(_))), "{unknown:?}");
}

#[test]
fn writers_run_side_by_side() {
    let place = Place::postgres();
    let mut config = place.config(SCHEMA);
    (config.limits.writers, config.limits.group) = (4, 1);
    let db = Db::open(config).unwrap();
    // Each waits inside its transaction for the other three.
    let all_there = Arc::new(Barrier::new(4));
    let calls: Vec<_> = (0..4)
        .map(|id| {
            let all_there = all_there.clone();
            write(&db, move |tx| {
                insert(tx, id)?;
                all_there.wait();
                Ok((tx.new_id(), tx.lane() % 4))
            })
        })
        .collect();
    let given = calls.into_iter().map(|call| wait(call).unwrap());
    let (ids, lanes): (HashSet<_>, HashSet<_>) = given.unzip();
    assert_eq!((ids.len(), lanes.len()), (4, 4), "none shares what is spread over lanes");
    assert_eq!(items(&db), [0, 1, 2, 3]);
}

pub static TAKE: Many = Many::new("update counter set n = n + 1 where id = :id returning n", &[("id", Ty::Int)]);
static LOCK: Many = Many::new("select 1 from item where id = :id order by id for update", &[("id", Ty::Int)]);
static INSERT: Many =
    Many::new("insert into item (id, name) values (:id, :name)", &[("id", Ty::Int), ("name", Ty::Text)]);

#[test]
fn what_waits_is_refused_with_the_commit() {
    let place = Place::postgres();
    let db = place.open();
    run(&db, |tx| insert(tx, 1)).unwrap();
    // Violated by the first of three that go out with the commit; seen, and run again, before an answer.
    let runs = AtomicU32::new(0);
    let ran = run(&db, move |tx| {
        let id = i64::from(runs.fetch_add(1, Ordering::SeqCst)) + 1;
        let names = [id, 10 + id, 20 + id].map(|id| format!("item {id}"));
        for (id, name) in [id, 10 + id, 20 + id].into_iter().zip(&names) {
            tx.run_many(&INSERT, &[id.into(), name.into()])?;
        }
        Ok(id)
    });
    assert_eq!(ran.unwrap(), 2);
    assert_eq!(items(&db), [1, 2, 12, 22], "nothing of the first try stayed");
    // A statement after it meets the error.
    let failed = run(&db, |tx| {
        tx.run_many(&INSERT, &[1i64.into(), "again".into()])?;
        tx.opt("select amount from item where id = 1", &[], |row| row.get::<i64>(0))
    });
    assert!(matches!(failed, Err(Error::Constraint(_))), "{failed:?}");
    // What is read sees what waited.
    let seen = run(&db, |tx| {
        tx.run_many(&INSERT, &[3i64.into(), "three".into()])?;
        tx.opt("select name from item where id = 3", &[], |row| row.get::<String>(0))
    });
    assert_eq!(seen.unwrap().as_deref(), Some("three"));
    // More than may wait.
    let many = run(&db, |tx| {
        (100..150i64).try_for_each(|id| tx.run_many(&INSERT, &[id.into(), (&format!("item {id}")).into()]))
    });
    many.unwrap();
    assert_eq!(items(&db).len(), 5 + 50);
}

/// Takes its time, and notes how many ran with it.
struct Slow {
    key: u32,
    started: Option<std::sync::mpsc::Sender<()>>,
    go_on: Option<Arc<Barrier>>,
    calls: Seen<usize>,
}

impl SetVerb for Slow {
    type Command = Slow;
    type Outcome = ();
    type Error = Error;
    fn keys(command: &Slow, keys: &mut Keys) {
        keys.add(command.key);
    }
    fn run(_: &mut Tx, commands: &[&Slow]) -> Result<Vec<Result<(), Error>>, Error> {
        commands[0].calls.lock().unwrap().push(commands.len());
        commands.iter().filter_map(|command| command.started.as_ref()).for_each(|started| started.send(()).unwrap());
        for go_on in commands.iter().filter_map(|command| command.go_on.as_ref()) {
            go_on.wait();
        }
        Ok(commands.iter().map(|_| Ok(())).collect())
    }
}

#[test]
fn some_writers_are_left_to_single_changes_and_sets_gather() {
    let place = Place::postgres();
    let mut config = place.config(SCHEMA);
    (config.limits.writers, config.limits.set_writers) = (4, 2);
    let db = Db::open(config).unwrap();
    let (calls, go_on) = (Seen::default(), Arc::new(Barrier::new(3)));
    let (started, starts) = std::sync::mpsc::channel();
    let submit = |key, started, go_on| {
        let (db, calls) = (db.clone(), Arc::clone(&calls));
        queue(async move { db.submit::<Slow>(Slow { key, started, go_on, calls }).await })
    };
    let mut held = Vec::new();
    for key in 0..2 {
        held.push(submit(key, Some(started.clone()), Some(go_on.clone())));
        starts.recv().unwrap();
    }
    let waiting: Vec<_> = (2..7).map(|key| submit(key, None, None)).collect();
    for id in 1..=8 {
        run(&db, move |tx| insert(tx, id)).unwrap();
    }
    assert_eq!(*calls.lock().unwrap(), [1, 1], "what came meanwhile waits for the next set");
    go_on.wait();
    held.into_iter().chain(waiting).for_each(|call| wait(call).unwrap());
    let calls = calls.lock().unwrap();
    assert_eq!(calls.iter().sum::<usize>(), 7);
    assert!(calls.len() <= 4, "two sets at most take what waited: {calls:?}");
}

#[test]
fn inserts_that_wait_are_one_statement_and_run_in_their_order() {
    static ITEM: Many = Many::new(
        "insert into item (id, amount) values (:id, nextval('numbers') * :by)",
        &[("id", Ty::Int), ("by", Ty::Int)],
    );
    static COUNTER: Many =
        Many::new("insert into counter (id, n) values (:id, nextval('numbers'))", &[("id", Ty::Int)]);
    static KIND: Many = Many::new("insert into kind (id, i) values (:id, nextval('numbers'))", &[("id", Ty::Int)]);
    static LOG: Many = Many::new("insert into log (note) values (:note)", &[("note", Ty::Text)]);
    let place = Place::postgres();
    let db = place.open();
    let joined = run(&db, |tx| {
        tx.run_many(&KIND, &[1i64.into()])?;
        tx.run_many(&ITEM, &[1i64.into(), 10i64.into(), 2i64.into(), 10i64.into()])?;
        tx.run_many(&COUNTER, &[1i64.into()])?;
        tx.run_many(&LOG, &["first".into()])?;
        // Into the same table again: a statement of its own, after the others.
        tx.run_many(&LOG, &["second".into(), "third".into()])?;
        tx.opt("select count(*) from pg_prepared_statements where statement like 'with part%'", &[], |row| {
            row.get::<i64>(0)
        })
    });
    assert_eq!(joined.unwrap(), Some(1));
    let given = one::<String>(
        &db,
        "select (select i from kind) || ' ' || (select string_agg(amount::text, ' ' order by id) from item) || ' ' \
         || (select n from counter) || ' ' || (select string_agg(note, ' ' order by position) from log)",
    );
    assert_eq!(given, "1 20 30 4 first second third");
}

#[test]
fn selects_that_go_together_are_one_statement_up_to_one_that_locks() {
    static KINDS: Many = Many::new("select :ord, b, i, r, t, y, u, j from kind where id = :id", &[("id", Ty::Int)]);
    static NAMES: Many = Many::new("select name, :ord, null from item where id = :id", &[("id", Ty::Int)]);
    type Kinds = (i64, Option<bool>, i64, Option<f64>, String, Option<Vec<u8>>, Option<uuid::Uuid>, Option<String>);
    let place = Place::postgres();
    let db = place.open();
    let (kinds, names, later, ahead) = run(&db, |tx| {
        tx.execute(
            "insert into kind (id, b, i, r, t, y, u, j) values \
             (1, true, 7, 0.5, 'one', '\\x01', '00000000-0000-7000-8000-000000000001', '{\"a\": 1}'), \
             (2, null, 8, null, 'two', null, null, null)",
            &[],
        )?;
        (1..=3).try_for_each(|id| insert(tx, id))?;
        let (mut kinds, mut names, mut later) = (Vec::<Kinds>::new(), Vec::new(), Vec::new());
        let (mut numbers, mut locked) = (Numbers::default(), 0);
        tx.together(vec![
            Ask::numbers(2, &mut numbers),
            Ask::select(&KINDS, vec![2i64.into(), 9i64.into(), 1i64.into()], |row| {
                kinds.push((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                    row.get(6)?,
                    row.get(7)?,
                ));
                Ok(())
            }),
            Ask::select(&NAMES, vec![3i64.into()], |row| {
                names.push((row.get::<String>(0)?, row.get::<i64>(1)?, row.get::<Option<String>>(2)?));
                Ok(())
            }),
            Ask::lock(&LOCK, vec![1i64.into()], &mut locked),
            Ask::select(&NAMES, vec![9i64.into(), 2i64.into()], |row| {
                later.push(row.get::<i64>(1)?);
                Ok(())
            }),
        ])?;
        assert_eq!((locked, numbers.take()? + 1), (1, numbers.take()?));
        let ahead = "select count(*) from pg_prepared_statements where statement like 'select 0%union all%union all%'";
        let ahead = tx.opt(ahead, &[], |row| row.get::<i64>(0))?;
        kinds.sort_by_key(|kind| kind.0);
        Ok((kinds, names, later, ahead))
    })
    .unwrap();
    let one = uuid::Uuid::from_u128(0x7000_8000_0000_0000_0001);
    let full = (2, Some(true), 7, Some(0.5), "one".into(), Some(vec![1]), Some(one), Some("{\"a\": 1}".into()));
    assert_eq!(kinds, [(0, None, 8, None, "two".into(), None, None, None), full]);
    assert_eq!((names, later, ahead), (vec![("item 3".to_owned(), 0, None)], vec![1], Some(1)));
}

#[test]
fn what_waits_and_the_connection_that_is_lost_run_again_or_are_unknown() {
    let place = Place::postgres();
    let db = place.open();
    let end = Many::new(
        "insert into item (id, name) values (:id, cast(pg_terminate_backend(pg_backend_pid()) as text))",
        &[("id", Ty::Int)],
    );
    let end: &'static Many = Box::leak(Box::new(end));
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let ran = run(&db, move |tx| {
        tx.run_many(&INSERT, &[1i64.into(), "one".into()])?;
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            tx.run_many(end, &[2i64.into()])?;
        }
        Ok(())
    });
    // The server said that it ends the statement: so it has not committed.
    ran.unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!(items(&db), [1]);
    // A connection that went while nothing was asked is replaced.
    let other = place.open();
    let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                 where datname = current_database() and pid <> pg_backend_pid()";
    run(&other, move |tx| tx.each(ended, &[], |_| Ok(()))).unwrap();
    run(&db, |tx| tx.run_many(&INSERT, &[3i64.into(), "three".into()])).unwrap();
    assert_eq!(items(&other), [1, 3]);
}

#[test]
fn who_takes_from_a_counter_does_not_wait_for_who_took_before() {
    let place = Place::postgres();
    let mut config = place.config(SCHEMA);
    (config.limits.writers, config.limits.group) = (2, 1);
    let db = Db::open(config).unwrap();
    run(&db, |tx| tx.execute("insert into counter (id, n) values (1, 0)", &[])).unwrap();
    // Each has taken before either commits.
    let both_have = Arc::new(Barrier::new(2));
    let take = |both_have: Option<Arc<Barrier>>, refuse: bool| {
        write(&db, move |tx| {
            let (mut taken, mut locked) = (None, 0);
            let mut asks = vec![Ask::apart(&TAKE, vec![1i64.into()], |row| {
                taken = Some(row.get::<i64>(0)?);
                Ok(())
            })];
            if refuse {
                // Alone, and beside something else.
                asks.push(Ask::lock(&LOCK, vec![1i64.into()], &mut locked));
            }
            tx.together(asks)?;
            both_have.iter().for_each(|both| {
                both.wait();
            });
            insert(tx, taken.unwrap())?;
            if refuse { Err(Refusal::No) } else { Ok(taken.unwrap()) }
        })
    };
    let calls = [take(Some(both_have.clone()), false), take(Some(both_have), false)];
    let mut taken = calls.map(|call| wait(call).unwrap());
    taken.sort_unstable();
    assert_eq!(taken, [1, 2]);
    // What an undone transaction took is a gap; and a connection that is gone is opened again.
    assert!(matches!(wait(take(None, true)), Err(Refusal::No)));
    let other = place.open();
    let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                 where datname = current_database() and pid <> pg_backend_pid()";
    run(&other, move |tx| tx.each(ended, &[], |_| Ok(()))).unwrap();
    let taken = wait(take(None, false)).unwrap();
    assert!(taken >= 4, "{taken}");
    assert_eq!(items(&other), [1, 2, taken]);
}

#[test]
fn writers_of_one_seed_give_different_ids() {
    let place = Place::postgres();
    let mut config = place.config(SCHEMA);
    (config.limits.writers, config.limits.group, config.seed) = (2, 1, Some(5));
    let db = Db::open(config).unwrap();
    let both_there = Arc::new(Barrier::new(2));
    let calls = [1, 2].map(|_| {
        let both_there = both_there.clone();
        write(&db, move |tx| {
            both_there.wait();
            Ok(tx.new_id().as_u128() as u64)
        })
    });
    let [one, two] = calls.map(|call| wait(call).unwrap());
    assert_ne!(one & 0xffff_ffff_ffff, two & 0xffff_ffff_ffff, "the random half");
}

#[test]
fn a_deadlock_is_run_again() {
    let place = Place::postgres();
    let mut config = place.config(SCHEMA);
    (config.limits.writers, config.limits.group) = (2, 1);
    let db = Db::open(config).unwrap();
    run(&db, |tx| {
        insert(tx, 1)?;
        insert(tx, 2)
    })
    .unwrap();
    let both_hold_one = Arc::new(Barrier::new(2));
    let calls = [(1i64, 2i64), (2, 1)].map(|(first, second)| {
        let (both_hold_one, runs) = (both_hold_one.clone(), AtomicU32::new(0));
        write(&db, move |tx| {
            let sql = "update item set amount = amount + 1 where id = $1";
            tx.execute(sql, &[first.into()])?;
            let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
            if run == 1 {
                both_hold_one.wait();
            }
            tx.execute(sql, &[second.into()])?;
            Ok(run)
        })
    });
    let runs = calls.map(|call| wait(call).unwrap());
    assert!(runs.iter().any(|run| *run > 1), "one of them was the victim: {runs:?}");
    assert_eq!(one::<i64>(&db, "select sum(amount) from item"), 4);
}

#[test]
fn who_loses_a_race_sees_the_winner() {
    let place = Place::postgres();
    let mut config = place.config(SCHEMA);
    (config.limits.writers, config.limits.group) = (2, 1);
    let db = Db::open(config).unwrap();
    let both_looked = Arc::new(Barrier::new(2));
    let calls = [1i64, 2].map(|id| {
        let (both_looked, runs) = (both_looked.clone(), AtomicU32::new(0));
        write(&db, move |tx| {
            let taken = tx.opt("select id from item where name = 'the one'", &[], |row| row.get::<i64>(0))?;
            if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                both_looked.wait();
            }
            if taken.is_some() {
                return Err(Refusal::No);
            }
            tx.execute("insert into item (id, name) values ($1, 'the one')", &[id.into()])?;
            Ok(())
        })
    });
    let answers = calls.map(wait);
    assert!(matches!(answers, [Ok(()), Err(Refusal::No)] | [Err(Refusal::No), Ok(())]), "{answers:?}");
    assert_eq!(items(&db).len(), 1);
}

#[test]
fn who_loses_one_race_after_another_sees_every_winner() {
    let place = Place::postgres();
    let db = place.open();
    for winner in 1..=3 {
        run(&db, move |tx| insert(tx, winner)).unwrap();
    }
    let runs = AtomicU32::new(0);
    let answer = wait(write(&db, move |tx| {
        let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
        if run <= 3 {
            tx.execute("insert into item (id, name) values (9, $1)", &[(&format!("item {run}")).into()])?;
        }
        Ok(run)
    }));
    assert_eq!(answer.unwrap(), 4);
}

#[test]
fn a_server_that_takes_no_writes_is_unavailable_until_it_does() {
    let place = Place::postgres();
    let db = place.open();
    let name = place.url().rsplit_once('/').unwrap().1.to_owned();
    let set = |value: &str| {
        let admin = Db::open(Config::postgres(place.url(), SCHEMA)).unwrap();
        let sql = format!("alter database {name} set default_transaction_read_only = {value}");
        run(&admin, move |tx| tx.execute(&sql, &[])).unwrap();
        admin.close();
    };
    set("on");
    // As after a failover: the connection is one to a server that has become read-only.
    let refused = run(&db, |tx| {
        tx.execute("set transaction read only", &[])?;
        insert(tx, 1)
    });
    assert!(matches!(&refused, Err(Error::Away { why, .. }) if why.contains("read-only")), "{refused:?}");
    let any = Db::open(Config::postgres(format!("{}?target_session_attrs=any", place.url()), SCHEMA)).err();
    assert!(matches!(&any, Some(Error::Away { why, passes: true }) if why.contains("read-only")), "{any:?}");
    let admin = {
        // The setting holds for new connections, so the way back goes through one that overrides it.
        let url = format!("{}?options=-c%20default_transaction_read_only%3Doff", place.url());
        Db::open(Config::postgres(url, SCHEMA)).unwrap()
    };
    let sql = format!("alter database {name} reset default_transaction_read_only");
    run(&admin, move |tx| tx.execute(&sql, &[])).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while let Err(error) = run(&db, |tx| insert(tx, 2)) {
        assert!(matches!(error, Error::Away { .. }), "{error:?}");
        assert!(Instant::now() < until, "it does not come back");
        std::thread::yield_now();
    }
    assert_eq!(items(&admin), [2]);
}

#[test]
fn transactions_are_what_the_driver_says() {
    let place = Place::postgres();
    let db = place.open();
    let show =
        ["statement_timeout", "idle_in_transaction_session_timeout", "transaction_isolation", "transaction_read_only"];
    let shown = move |read: &mut tieline_db::Read| {
        let setting = |name| read.opt("select current_setting($1)", &[tieline_db::Param::Text(name)], |row| row.get(0));
        show.map(setting).into_iter().collect::<Result<Vec<Option<String>>, Error>>()
    };
    let words = |words: [&str; 4]| words.map(|word| Some(word.to_owned())).to_vec();
    assert_eq!(read(&db, shown).unwrap(), words(["30s", "1min", "repeatable read", "on"]));
    assert_eq!(run(&db, move |tx| shown(tx)).unwrap(), words(["10s", "10s", "read committed", "off"]));
}

#[test]
fn what_cannot_be_connected_to_says_why() {
    let place = Place::postgres();
    let open = |url: String| Db::open(Config::postgres(url, SCHEMA)).err();
    let absent = open(format!("{}_not", place.url()));
    assert!(
        matches!(&absent, Some(Error::Away { why, passes: false }) if why.contains("does not exist") && why.contains("create the database")),
        "{absent:?}"
    );
    let stranger = open(place.url().replace("tieline@", "stranger:secret@"));
    let Some(Error::Away { why: text, passes: false }) = &stranger else { panic!("{stranger:?}") };
    assert!(text.contains("stranger") && !text.contains("secret"), "{text}");
    let wrong = open(format!("{}?sslmode=verify-ca", place.url()));
    assert!(matches!(wrong, Some(Error::Address(_))), "{wrong:?}");
}

#[test]
fn it_opens_inside_a_runtime() {
    let place = Place::postgres();
    wait(async {
        let db = place.open();
        db.write(|tx| insert(tx, 1)).await.unwrap();
        db.close();
    });
}

#[test]
fn statements_beyond_the_cache_are_prepared_anew() {
    let place = Place::postgres();
    let db = place.open();
    let sum = run(&db, |tx| {
        let mut sum = 0;
        for number in 0..1100 {
            sum += tx.opt(&format!("select {number}"), &[], |row| row.get::<i64>(0))?.unwrap();
        }
        let kept = tx.opt("select count(*) from pg_prepared_statements", &[], |row| row.get::<i64>(0))?;
        Ok((sum, kept.unwrap()))
    });
    let (sum, kept) = sum.unwrap();
    assert_eq!(sum, 1099 * 1100 / 2);
    assert!(kept < 520, "{kept} prepared");
}
