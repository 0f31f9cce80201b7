//! `tieline move-store`: every table of the schema there and back, killed under way, refused where it would harm.

use crate::support::{Client, Ended, Place, Server};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use tieline_core::MIGRATIONS;
use tieline_db::moving::{self, Mark};
use tieline_db::{Config, Db, Error, Param, Target, Ty, catalogue};
use tieline_testkit::postgres::Database;
use uuid::Uuid;

fn sqlite(place: &Place, name: &str) -> (String, Target) {
    let path = place.path().join(name);
    (format!("sqlite:{}", path.display()), Target::Sqlite(path))
}

async fn open(target: Target) -> Db {
    tokio::task::spawn_blocking(|| Db::open(Config::of(target, MIGRATIONS)).unwrap()).await.unwrap()
}

async fn close(db: Db) {
    tokio::task::spawn_blocking(move || db.close()).await.unwrap();
}

/// Rows of every table that the schema has, whatever it is by now; `rows(table)` of each.
async fn fill(db: &Db, rows: fn(&str) -> usize) {
    for table in db.read(catalogue::tables).await.unwrap() {
        let names: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let values: Vec<String> = (1..=names.len()).map(|number| format!("${number}")).collect();
        let insert = format!("insert into \"{}\" ({}) values ({})", table.name, names.join(", "), values.join(", "));
        let work = move |tx: &mut tieline_db::Tx| {
            for n in 0..rows(&table.name) {
                let texts: Vec<String> =
                    table.columns.iter().map(|column| format!("{} {n} ação", column.name)).collect();
                let params = table.columns.iter().zip(&texts).zip(1..).map(|((column, text), place)| match column.ty {
                    Ty::Bool => Param::Bool(n % 2 == 0),
                    Ty::Int => Param::Int((n as i64 + 1) * 1_000_000_007 * place),
                    Ty::Real => Param::Real(n as f64 / 7.0),
                    Ty::Text | Ty::Json => Param::Text(text),
                    Ty::Bytes => Param::Bytes(text.as_bytes()),
                    Ty::Uuid => Param::Uuid(Uuid::from_u128((n as u128) << 64 | place as u128)),
                });
                tx.execute(&insert, &params.collect::<Vec<_>>())?;
            }
            Ok(())
        };
        db.write::<_, Error>(work).await.unwrap();
    }
    db.write::<_, Error>(|tx| tx.take_numbers(41).map(drop)).await.unwrap();
}

/// Moves, and answers what it printed.
fn moved(place: &Place, from: &str, to: &str) -> Value {
    place.run(&["move-store", from, to, "--json"]).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_goes_there_and_back() {
    let place = Place::new();
    let (first, there, last) = (sqlite(&place, "first.db"), Database::create(), sqlite(&place, "last.db"));
    let db = open(first.1.clone()).await;
    fill(&db, |_| 37).await;
    // Of the tables that SQLite itself names, all are counted, but for the engine's own.
    let named = "select name from sqlite_master where type = 'table' and name not like 'sqlite%' \
         and name not in ('schema_version', 'store_moves', 'store_move_tables', 'horizons', 'numbers') \
         order by name";
    let named: Vec<String> = db.read::<_, Error>(move |read| read.all(named, &[], |row| row.get(0))).await.unwrap();
    let before = moving::sums(&db).await.unwrap();
    assert_eq!(before.keys().collect::<Vec<_>>(), named.iter().collect::<Vec<_>>());
    assert!(before.values().all(|sum| sum.rows == 37), "{before:?}");
    close(db).await;

    let said = moved(&place, &first.0, &there.url);
    assert_eq!(
        (&said["rows"], &said["to"], &said["sendingPaused"]),
        (&json!(37 * named.len()), &json!(there.url), &json!(false))
    );
    let said_back = moved(&place, &there.url, &last.0);
    assert_eq!(said_back["tables"], said["tables"]);
    let db = open(last.1).await;
    assert_eq!(moving::sums(&db).await.unwrap(), before);
    assert!(db.write::<_, Error>(|tx| tx.take_number()).await.unwrap() > 41);
    close(db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_move_goes_on_with_the_same_command() {
    let place = Place::new();
    let (from, to) = (sqlite(&place, "from.db"), Database::create());
    let db = open(from.1.clone()).await;
    fill(&db, |table| if table == "messages" { 20_000 } else { 3 }).await;
    let before = moving::sums(&db).await.unwrap();
    close(db).await;
    let mut child = place
        .command(&["move-store", &from.0, &to.url])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    // The first page of the large table is in the target then, and forty are to come.
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines().map(Result::unwrap);
    let line = lines.into_iter().find(|line| line.contains("copying messages: ")).expect("progress");
    child.kill().expect("killed");
    assert!(!child.wait().expect("ended").success(), "{line}");

    let db = open(Target::Postgres(to.url.clone())).await;
    let mark = db.read(moving::mark).await.unwrap();
    assert_eq!(mark, Some(Mark::Unfinished { from: from.0.clone() }));
    let copied = moving::sums(&db).await.unwrap()["messages"].rows;
    assert!(copied > 0 && copied < 20_000, "{copied}");
    close(db).await;
    let served = |url: &str| {
        let ended: Ended = place.command(&["serve"]).env("TIELINE_DATABASE_URL", url).output().unwrap().into();
        ended.refusal()
    };
    assert!(served(&to.url).contains("is the unfinished copy of sqlite:"), "{}", served(&to.url));
    assert!(served(&from.0).contains("is being moved to postgres://"), "{}", served(&from.0));

    let ended = place.run(&["move-store", &from.0, &to.url]);
    let first = ended.stderr.lines().find(|line| line.contains("copying messages: ")).expect("it goes on").to_owned();
    let said = ended.ok();
    assert!(said.contains("every count and checksum is equal") && said.contains("Sending goes on with"), "{said}");
    let rows: u64 = first.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(rows > copied, "{first}");
    let db = open(Target::Postgres(to.url.clone())).await;
    assert_eq!(moving::sums(&db).await.unwrap(), before);
    close(db).await;
}

#[tokio::test]
async fn the_desk_goes_on_in_the_new_store_and_the_old_one_is_closed() {
    let place = Place::new();
    let key = place.key();
    let server = place.serve();
    let (status, opened) = Client::new(&server.url, &key).open("order-1").await;
    assert_eq!(status, 201, "{opened}");
    let old = format!("sqlite:{}", place.data().join("tieline.db").display());
    let new = Database::create();
    let line = place.run(&["move-store", &old, &new.url]).refusal();
    assert!(line.contains("is in use by another tieline process"), "{line}");
    place.run(&["sending", "pause"]).ok();
    assert!(server.stop());

    let said = place.run(&["move-store", &old, &new.url]).ok();
    for words in ["Set TIELINE_DATABASE_URL", "secret.key", "attachments", "--reopen", "Sending is paused, as it was"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    for command in
        [&["serve"][..], &["migrate"], &["key", "create", "--tenant", "acme", "--name", "k", "--scopes", "basic"]]
    {
        let line = place.run(command).refusal();
        assert!(line.starts_with("this database was moved to postgres://"), "{line}");
    }
    let doctor = place.run(&["doctor"]);
    let mark = doctor.stdout.lines().find(|line| line.contains(" was moved to postgres://")).expect("a line");
    assert!(!doctor.success && mark.starts_with("fail  database") && mark.contains("--reopen"), "{mark}");
    let on_new = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("TIELINE_DATABASE_URL", &new.url);
        command
    };
    assert!(on_new(&["doctor"]).output().expect("runs").status.success());
    let server = Server::start(on_new(&["serve"]));
    let client = Client::new(&server.url, &key);
    let (status, found) = client.get("/v1/conversations?externalReference=order-1").await;
    assert_eq!((status, &found["data"][0]["id"]), (200, &opened["id"]), "{found}");
    assert_eq!(client.open("order-1").await.0, 409);
    let (status, next) = client.open("order-2").await;
    assert_eq!(status, 201, "{next}");
    assert!(next["number"].as_i64() > opened["number"].as_i64(), "{next}");
    let line = place.run(&["move-store", &new.url, &sqlite(&place, "third.db").0]).refusal();
    assert!(
        line.starts_with("postgres://") && line.contains("is in use (") && line.ends_with("stop every node first"),
        "{line}"
    );
    assert!(server.stop());

    // There and back: the log goes on after the events that came along, and all of it can be read.
    let (third, _) = sqlite(&place, "third.db");
    moved(&place, &new.url, &third);
    let mut command = place.command(&["serve"]);
    command.env("TIELINE_DATABASE_URL", &third);
    let server = Server::start(command);
    let client = Client::new(&server.url, &key);
    assert_eq!(client.open("order-3").await.0, 201);
    let (status, log) = client.get("/v1/events?limit=100").await;
    let opened = log["data"].as_array().into_iter().flatten().filter(|event| event["type"] == "conversation.created");
    assert_eq!((status, opened.count()), (200, 3), "{log}");
    assert!(server.stop());

    // Back to the old one, without what was written since.
    let server = Server::start(place.command(&["serve", "--reopen"]));
    let client = Client::new(&server.url, &key);
    assert_eq!((client.open("order-1").await.0, client.open("order-2").await.0), (409, 201));
    assert!(server.stop());
    assert!(place.serve().stop(), "once is enough");
}

#[tokio::test]
async fn what_cannot_be_moved_is_one_line_and_leaves_no_trace() {
    let place = Place::new();
    let (from, to) = (sqlite(&place, "from.db"), Database::create());
    let refusal = |from: &str, to: &str| place.run(&["move-store", from, to]).refusal();
    assert_eq!(refusal("from.db", &to.url), "FROM must be sqlite:<path> or postgres://user@host/name");
    assert_eq!(refusal(&from.0, "mysql://u:hush@h/d"), "TO must be sqlite:<path> or postgres://user@host/name");
    assert_eq!(refusal(&from.0, &to.url), format!("there is no installation at {}", from.0));
    assert!(!place.path().join("from.db").exists(), "looking makes no file");
    let db = open(from.1.clone()).await;
    fill(&db, |_| 1).await;
    close(db).await;
    let line = refusal(&from.0, "postgres://tieline:hush@127.0.0.1:1/d");
    assert!(line.starts_with("cannot open postgres://tieline:(hidden)@127.0.0.1:1/d: "), "{line}");
    assert!(refusal(&from.0, &from.0).contains("is not empty: there are rows in"), "onto itself");
    let full = Database::create();
    let db = open(Target::Postgres(full.url.clone())).await;
    db.write::<_, Error>(|tx| tx.execute("insert into installation values ('a', 'b')", &[])).await.unwrap();
    close(db).await;
    let line = refusal(&from.0, &full.url);
    assert_eq!(line, format!("{} is not empty: there are rows in installation", full.url));
    let said = moved(&place, &from.0, &to.url);
    assert!(said["tables"]["installation"]["checksum"].as_str().is_some_and(|sum| sum.len() == 32), "{said}");
    assert!(refusal(&from.0, &full.url).contains("was moved to postgres://"), "a second time");
}
