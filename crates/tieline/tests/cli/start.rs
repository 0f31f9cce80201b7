//! Starting and stopping: one clear line for whatever keeps a server from starting, and an end within a bound.

use crate::support::{Client, Ended, Place, Server, signal};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use tieline_db::{Config, Db, Migration};

#[test]
fn a_taken_port_is_one_line() {
    let (place, taken) = (Place::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = taken.local_addr().unwrap().to_string();
    let ended: Ended = place.command(&["serve"]).env("TIELINE_LISTEN", &address).output().unwrap().into();
    let expected =
        format!("cannot listen on {address}: the port is taken, perhaps by another server; set TIELINE_LISTEN");
    assert_eq!(ended.refusal(), expected);
}

#[test]
fn a_folder_that_cannot_be_written_is_one_line() {
    let place = Place::new();
    let data = place.data();
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555)).unwrap();
    let ended: Ended = held_back(&place, "serve").output().unwrap().into();
    let expected = format!(
        "cannot write to the data folder {}: make it writable for this user, or set TIELINE_DATA_DIR: Permission denied (os error 13)",
        data.display()
    );
    assert_eq!(ended.refusal(), expected);
}

/// A command that permissions hold back: nobody's, where this is root's.
fn held_back(place: &Place, name: &str) -> Command {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return place.command(&[name]);
    }
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("tieline");
    std::fs::copy(env!("CARGO_BIN_EXE_tieline"), &program).unwrap();
    let mut command = Command::new(program);
    command.arg(name).current_dir(place.path()).env_clear().uid(65534).gid(65534);
    command.env("TIELINE_DATA_DIR", place.data()).env("TIELINE_LISTEN", "127.0.0.1:0");
    command
}

#[test]
fn what_may_not_be_looked_at_is_not_called_missing() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    std::fs::set_permissions(place.data(), std::fs::Permissions::from_mode(0o000)).unwrap();
    let doctor: Ended = held_back(&place, "doctor").output().unwrap().into();
    let backup: Ended = held_back(&place, "backup").arg("to.tar").output().unwrap().into();
    std::fs::set_permissions(place.data(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!doctor.stdout.contains("does not exist yet") && !doctor.stdout.contains("made by"), "{}", doctor.stdout);
    assert!(backup.refusal().starts_with("cannot look for "));
}

#[test]
fn a_newer_schema_is_one_line() {
    static NEWER: &[Migration] =
        &[Migration { version: 999, name: "future", sql: "create table future (id bigint primary key)" }];
    let place = Place::new();
    place.run(&["migrate"]).ok();
    Db::open(Config::sqlite(place.data().join("tieline.db"), NEWER)).unwrap().close();
    let known = tieline_core::MIGRATIONS.len();
    let text = format!("the database has schema version 999, this program knows {known}: start the newer version");
    for command in [&["serve"][..], &["migrate"], &["migrate", "--show"]] {
        let line = place.run(command).refusal();
        assert!(line.contains(&text), "{command:?}: {line}");
    }
}

#[test]
fn another_key_is_one_line_and_a_missing_one_is_not_made_anew() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    let other = "A".repeat(43);
    let ended: Ended = place.command(&["serve"]).env("TIELINE_SECRET_KEY", &other).output().unwrap().into();
    let expected = "TIELINE_SECRET_KEY is another key than this database was written with: give the right one, the same on every node, or its secrets stay closed";
    assert_eq!(ended.refusal(), expected);
    let key = place.data().join("secret.key");
    assert_eq!(std::fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    std::fs::remove_file(&key).unwrap();
    let line = place.run(&["serve"]).refusal();
    assert!(line.starts_with("the secret key of this database is missing: put it into "), "{line}");
    assert!(!key.exists());
}

#[test]
fn a_file_that_is_no_database_is_one_line() {
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    std::fs::write(place.data().join("tieline.db"), "no database, but long enough to look like one".repeat(100))
        .unwrap();
    let line = place.run(&["serve"]).refusal();
    assert!(line.starts_with("cannot open the database ") && line.contains("file is not a database"), "{line}");
    assert!(line.contains("`tieline doctor`") && line.contains("`tieline restore`"), "{line}");
}

#[test]
fn two_servers_on_one_folder_do_not_run() {
    let place = Place::new();
    let first = place.serve();
    let line = place.run(&["serve"]).refusal();
    let holder = format!("is in use by another tieline process (number {})", first.child.id());
    assert!(line.contains(&holder), "{line}");
    assert!(first.stop(), "the first is unharmed");
    assert!(place.serve().stop(), "and the folder is free again");
}

#[test]
fn after_a_kill_the_folder_is_free() {
    let place = Place::new();
    let mut first = place.serve();
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert!(place.data().join("tieline.sock").exists(), "a leftover to get over");
    let second = place.serve();
    place.run(&["tenant", "create", "--slug", "acme"]).ok();
    assert!(second.stop());
    assert!(!place.data().join("tieline.sock").exists());
}

#[tokio::test]
async fn a_signal_ends_it_after_open_work_and_a_second_one_at_once() {
    let place = Place::new();
    let key = place.key();
    for name in ["INT", "TERM"] {
        let mut server = place.serve();
        let (status, _) = Client::new(&server.url, &key).open(name).await;
        assert_eq!(status, 201);
        signal(&server.child, name);
        assert!(server.child.wait().unwrap().success(), "{name}");
    }
    // A request that never ends holds the stop up, until the second signal.
    let mut server = place.serve();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let mut open = std::net::TcpStream::connect(&address).unwrap();
    let head = format!(
        "POST /v1/conversations/outbound HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    );
    std::io::Write::write_all(&mut open, head.as_bytes()).unwrap();
    // Its `100 Continue` proves that the handler waits for the body.
    let mut continued = [0; 12];
    std::io::Read::read_exact(&mut open, &mut continued).unwrap();
    assert_eq!(&continued, b"HTTP/1.1 100");
    signal(&server.child, "TERM");
    server.line_with("stopping");
    signal(&server.child, "TERM");
    let status = server.child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None));
}

#[tokio::test]
async fn until_the_load_balancer_has_looked_a_node_that_is_about_to_stop_takes_requests() {
    let place = Place::new();
    let key = place.key();
    let mut command = place.command(&["serve"]);
    command.env("TIELINE_DRAIN_TIME", "5m");
    let mut server = Server::start(command);
    let client = Client::new(&server.url, &key);
    assert_eq!(client.get("/readyz").await.0, 200);
    let mut kept = Raw::connect(&server);
    assert_eq!(kept.get("/healthz", "").header("connection"), None);
    signal(&server.child, "TERM");
    server.line_with("stopping: /readyz is 503, and requests are taken for 300s more");
    let (status, why) = client.get("/readyz").await;
    assert_eq!((status, &why["reason"]), (503, &json!("stopping")));
    assert_eq!(client.get("/healthz").await.0, 200);
    let newly_connected = Client::new(&server.url, &key);
    assert_eq!(newly_connected.open("order-1").await.0, 201);
    // A connection is not kept for a node that is about to stop, unless somebody talks on it.
    assert_eq!(kept.get("/healthz", "").header("connection"), Some("close"));
    assert!(kept.has_ended());
    let mut kept = Raw::connect(&server);
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(kept.get("/cable", upgrade).header("connection"), Some("upgrade"));
    // A second signal ends that, and the server like a first one does.
    signal(&server.child, "TERM");
    assert!(server.child.wait().unwrap().success());
    // It also ends by itself, and is none for who stops it by hand.
    for (time, name) in [("1ms", "TERM"), ("5m", "INT")] {
        let mut command = place.command(&["serve"]);
        command.env("TIELINE_DRAIN_TIME", time);
        let mut server = Server::start(command);
        signal(&server.child, name);
        assert!(server.child.wait().unwrap().success());
    }
}

#[test]
fn the_log_can_be_json_with_one_object_a_line() {
    let place = Place::new();
    let mut command = place.command(&["serve"]);
    command.env("TIELINE_LOG_FORMAT", "json").env("TIELINE_SLA_TOCK", "1").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = crate::support::lines_of(child.stderr.take().unwrap());
    let first: serde_json::Value = serde_json::from_str(&lines.recv().unwrap()).unwrap();
    assert_eq!(first["level"], "WARN");
    assert_eq!(first["message"], "TIELINE_SLA_TOCK is no setting and is ignored");
    let second: serde_json::Value = serde_json::from_str(&lines.recv().unwrap()).unwrap();
    assert!(second["message"].as_str().unwrap().starts_with("listening on http://127.0.0.1:"), "{second}");
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_database_url_of_its_own_and_a_folder_that_is_made() {
    let place = Place::new();
    let file = place.path().join("deep/er/hub.db");
    let mut command = place.command(&["serve"]);
    command.env("TIELINE_DATABASE_URL", format!("sqlite:{}", file.display()));
    assert!(Server::start(command).stop());
    assert!(file.exists());
}

/// A connection of which the test sees each byte.
struct Raw(BufReader<TcpStream>);

/// The head of an answer.
struct Head(Vec<String>);

impl Raw {
    fn connect(server: &Server) -> Raw {
        Raw(BufReader::new(TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap()))
    }
    fn get(&mut self, path: &str, headers: &str) -> Head {
        let request = format!("GET {path} HTTP/1.1\r\nhost: t\r\n{headers}\r\n");
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let lines = self.0.by_ref().lines().map(Result::unwrap);
        let head = Head(lines.take_while(|line| !line.is_empty()).collect());
        let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.0.read_exact(&mut vec![0; length]).unwrap();
        head
    }
    fn has_ended(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap() == 0
    }
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.0.iter().filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
