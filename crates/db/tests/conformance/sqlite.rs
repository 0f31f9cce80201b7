//! What only a file can do to us: have no room, not be writable, and carry a log that grows.

use crate::support::*;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, mpsc};
use tieline_db::{Config, Db, Error, Read};

const FOLDER: &str = "TIELINE_DB_TEST_FOLDER";
const MIB: u64 = 1024 * 1024;

/// Runs `test` of this file in a process that may mount what it likes, seen by nobody else; `test` gets the folder.
fn in_a_namespace(test: &str) {
    let folder = tempfile::TempDir::new().unwrap();
    let in_namespace = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "--"]).arg(program);
        command
    };
    if !in_namespace(Path::new("true")).status().is_ok_and(|status| status.success()) {
        eprintln!("Not checked, for nothing can be mounted here: {test}");
        return;
    }
    let mut inner = in_namespace(&std::env::current_exe().unwrap());
    inner.args([&format!("sqlite::{test}"), "--exact", "--ignored", "--nocapture"]).env(FOLDER, folder.path());
    let output = inner.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

fn mount(arguments: &[&str], folder: &Path) {
    assert!(Command::new("mount").args(arguments).arg(folder).status().unwrap().success(), "mount {arguments:?}");
}

/// Nothing if somebody runs all the ignored tests by hand.
fn folder() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

#[test]
fn a_full_disk_is_unavailable_until_there_is_room() {
    in_a_namespace("on_a_full_disk");
}

#[test]
#[ignore = "the test beside it runs it where it may mount"]
fn on_a_full_disk() {
    let Some(folder) = folder() else { return };
    mount(&["-t", "tmpfs", "-o", "size=6m", "none"], &folder);
    let ballast = folder.join("ballast");
    std::fs::write(&ballast, vec![1; 2 * MIB as usize]).unwrap();
    let db = Db::open(Config::sqlite(folder.join("test.db"), SCHEMA)).unwrap();
    let written = (0..1000).find_map(|id| write_large(&db, id, 64 * 1024).err().map(|error| (id, error)));
    let (count, error) = written.expect("there is not that much room");
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    // The same connections go on: a refused group leaves no half, what was acknowledged stays.
    assert_eq!(one::<i64>(&db, "select count(*) from kind"), count);
    let again = write_large(&db, count, 64 * 1024);
    assert!(matches!(again, Err(Error::Unavailable(_))), "{again:?}");
    std::fs::remove_file(&ballast).unwrap();
    write_large(&db, count, 64 * 1024).unwrap();
    assert_eq!(one::<i64>(&db, "select count(*) from kind"), count + 1);
    db.close();
    let db = Db::open(Config::sqlite(folder.join("test.db"), SCHEMA)).unwrap();
    assert_eq!(one::<i64>(&db, "select count(*) from kind"), count + 1);
    assert_eq!(one::<String>(&db, "select quick_check from pragma_quick_check"), "ok");
    db.close();
}

#[test]
fn a_read_only_folder_is_unavailable_until_it_is_writable() {
    in_a_namespace("in_a_read_only_folder");
}

#[test]
#[ignore = "the test beside it runs it where it may mount"]
fn in_a_read_only_folder() {
    let Some(folder) = folder() else { return };
    let file = folder.join("test.db");
    mount(&["-t", "tmpfs", "none"], &folder);
    let open = || Db::open(Config::sqlite(&file, SCHEMA));
    for exists in [false, true] {
        mount(&["-o", "remount,ro"], &folder);
        let refused = open().err();
        assert!(matches!(refused, Some(Error::Unavailable(_))), "exists: {exists}: {refused:?}");
        mount(&["-o", "remount,rw"], &folder);
        let db = open().unwrap();
        run(&db, |tx| tx.execute("insert into item (id) select count(*) from item", &[])).unwrap();
        db.close();
    }
}

#[test]
fn a_file_that_is_no_database_or_has_no_folder_is_refused() {
    let place = Place::sqlite();
    let absent = Db::open(Config::sqlite(place.file().join("deeper.db"), SCHEMA)).err();
    assert!(matches!(absent, Some(Error::Unavailable(_))), "{absent:?}");
    std::fs::write(place.file(), "a letter to a friend, and a long one at that: ".repeat(100)).unwrap();
    let other = Db::open(place.config(SCHEMA)).err();
    assert!(matches!(&other, Some(Error::Damaged(text)) if text.contains("not a database")), "{other:?}");
}

fn write_large(db: &Db, id: i64, bytes: usize) -> Result<u64, Error> {
    run(db, move |tx| insert_large(tx, id, bytes))
}

fn insert_large(tx: &mut tieline_db::Tx, id: i64, bytes: usize) -> Result<u64, Error> {
    let value = vec![id as u8; bytes];
    tx.execute("insert into kind (id, y) values ($1, $2)", &[id.into(), (&value).into()])
}

fn log_bytes(place: &Place) -> u64 {
    let file = place.file().with_extension("db-wal");
    std::fs::metadata(file).unwrap().len()
}

/// Writes `mib` MiB in groups of 8; the largest the log's file was seen.
fn fill(place: &Place, db: &Db, from: i64, mib: i64) -> u64 {
    let mut largest = 0;
    for group in 0..mib / 8 {
        let held = hold(db);
        let calls: Vec<_> = (0..32)
            .map(|row| write(db, move |tx| Ok(insert_large(tx, from + group * 32 + row, MIB as usize / 4)?)))
            .collect();
        held.release();
        calls.into_iter().for_each(|call| assert_eq!(wait(call).unwrap(), 1));
        largest = largest.max(log_bytes(place));
    }
    largest
}

/// Twice the 64 MiB after which the log starts over, for a slow disk, and the groups that come between.
const LOG_BYTES: u64 = 152 * MIB;

#[test]
fn the_log_stays_bounded() {
    let place = Place::sqlite();
    let db = place.open();
    let largest = fill(&place, &db, 0, 384);
    assert!(largest <= LOG_BYTES, "{} MiB", largest / MIB);
    assert_eq!(one::<i64>(&db, "select count(*) from kind"), 4 * 384);
}

#[test]
fn the_log_becomes_small_again_after_a_long_reader() {
    let place = Place::sqlite();
    let db = place.open();
    run(&db, |tx| insert(tx, 1)).unwrap();
    let (started, has_started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let reading = db.clone();
    let long = queue(async move {
        let work = move |read: &mut Read| {
            let mut count = || read.opt("select count(*) from kind", &[], |row| row.get::<i64>(0));
            let before = count()?;
            started.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            Ok::<_, Error>((before, count()?))
        };
        reading.read(work).await
    });
    has_started.recv().unwrap();
    let largest = fill(&place, &db, 0, 192);
    assert!(largest > LOG_BYTES, "a log in use cannot start over, and yet it had only {} MiB", largest / MIB);
    drop(release);
    assert_eq!(wait(long).unwrap(), (Some(0), Some(0)), "one snapshot all the time");
    fill(&place, &db, 10_000, 48);
    let now = log_bytes(&place);
    assert!(now <= LOG_BYTES, "{} MiB", now / MIB);
    let largest = fill(&place, &db, 20_000, 192);
    assert!(largest <= LOG_BYTES, "{} MiB", largest / MIB);
    assert_eq!(one::<i64>(&db, "select count(*) from kind"), 4 * (192 + 48 + 192));
}

#[test]
fn closing_leaves_one_file() {
    let place = Place::sqlite();
    let db = place.open();
    run(&db, |tx| insert(tx, 1)).unwrap();
    let copy = place.file().with_extension("copy");
    tieline_db::snapshot(&place.file(), &copy).unwrap();
    run(&db, |tx| insert(tx, 2)).unwrap();
    db.close();
    let log = place.file().with_extension("db-wal");
    assert!(std::fs::metadata(log).map_or(0, |log| log.len()) == 0, "everything is in the file");
    let restored = Db::open(Config::sqlite(copy, SCHEMA)).unwrap();
    assert_eq!(items(&restored), [1]);
}
