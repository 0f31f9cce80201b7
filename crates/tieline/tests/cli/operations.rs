//! `/healthz`, `/readyz`, `/metrics`, `tieline doctor`, `tieline migrate`.

use crate::support::{Client, Ended, Place, Server};
use serde_json::{Value, json};
use std::io::{Seek, SeekFrom, Write};
use tieline_db::Target;

/// Bytes of a page of the file.
const PAGE: u64 = 4096;

#[tokio::test]
async fn probes_and_metrics_of_a_healthy_server() {
    let place = Place::new();
    let key = place.key();
    let server = place.serve();
    let client = Client::new(&server.url, &key);
    assert_eq!(client.open("order-1").await.0, 201);
    assert_eq!(client.get("/healthz").await, (200, json!({"status": "ok"})));
    assert_eq!(client.get("/readyz").await, (200, json!({"status": "ready", "sendingPaused": false})));
    let (status, text) = client.get("/metrics").await;
    let Value::String(text) = text else { panic!("no text") };
    assert_eq!(status, 200);
    for line in [
        "tieline_http_request_duration_seconds_count{dialect=\"v1\",route=\"/v1/conversations/outbound\",method=\"POST\",status=\"2xx\"} 1",
        "tieline_db_write_queue 0",
        "# TYPE tieline_db_jobs_total counter",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse::<f64>().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("tieline_db_jobs_total") >= value("tieline_db_groups_total"));
    assert!(value("tieline_db_groups_total") >= 2.0, "a creation and a probe");
    let asked =
        reqwest::Client::new().get(format!("{}/metrics", server.url)).header("accept", "application/openmetrics-text");
    let open = asked.send().await.unwrap();
    assert_eq!(open.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let open = open.text().await.unwrap();
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE tieline_db_jobs counter\n"), "{open}");
    assert!(server.stop());
}

#[tokio::test]
async fn a_database_that_cannot_grow_is_not_ready_and_says_so() {
    let place = Place::new();
    let key = place.key();
    // The kernel refuses to let a file grow past this: the database finds no room, as on a full disk.
    let program = env!("CARGO_BIN_EXE_tieline");
    let mut command = place.command(&[]);
    let limited = format!("trap '' XFSZ; ulimit -f 2048; exec '{program}' serve");
    let (variables, folder): (Vec<_>, _) =
        (command.get_envs().map(|(n, v)| (n.to_owned(), v.map(ToOwned::to_owned))).collect(), place.path());
    command = std::process::Command::new("bash");
    command.args(["-c", &limited]).current_dir(folder);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let server = Server::start(command);
    let client = Client::new(&server.url, &key);
    let mut refused = None;
    for number in 0..5000 {
        match client.open(&format!("order-{number}")).await {
            (201, _) => {}
            other => {
                refused = Some(other);
                break;
            }
        }
    }
    let (status, problem) = refused.expect("the limit is reached");
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")));
    // A probe is smaller than a conversation and may still find room; each one takes some.
    let mut ready = Value::Null;
    for _ in 0..5000 {
        let (status, answer) = client.get("/readyz").await;
        ready = answer;
        if status == 503 {
            break;
        }
    }
    assert_eq!(ready["status"], "unavailable", "{ready}");
    assert!(ready["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{ready}");
    assert_eq!(client.get("/healthz").await.0, 200, "the process itself is well");
    assert_eq!(client.get("/v1/me").await.0, 200, "and still reads");
}

#[test]
fn the_doctor_says_what_to_do() {
    let place = Place::new();
    let words = |report: &str| {
        let words = report.lines().map(|line| line.split_whitespace().next().unwrap_or_default().to_owned());
        words.collect::<Vec<_>>()
    };
    let report = place.run(&["doctor"]).ok();
    assert_eq!(words(&report), ["ok", "warn", "ok", "warn", "ok", "warn", "ok", "ok", "ok"], "{report}");
    place.run(&["migrate"]).ok();
    let report = place.run(&["doctor"]).ok();
    assert_eq!(words(&report), ["ok"; 9], "{report}");
    let mut open = place.command(&["doctor"]);
    open.env("TIELINE_WEBHOOK_ALLOW_HOSTS", "127.0.0.1").env("TIELINE_WEBHOOK_ALLOW_HTTP", "true");
    let report = Ended::from(open.output().expect("runs")).ok();
    let line = report.lines().find(|line| line.starts_with("warn  webhooks")).expect("a warning");
    assert!(line.contains("ALLOW_HOSTS lets") && line.contains("ALLOW_HTTP lets"), "{line}");
    std::fs::remove_file(place.data().join("secret.key")).unwrap();
    let ended = place.run(&["doctor"]);
    assert!(!ended.success && ended.stderr == "tieline: 1 of the checks failed\n", "{}", ended.stderr);
    let line = ended.stdout.lines().find(|line| line.starts_with("fail")).expect("a failed check").to_owned();
    assert!(line.contains("secret.key is missing: put the key of this database there"), "{line}");
}

/// The lines of a doctor that must have found something, by their check.
fn found(command: &mut std::process::Command, check: &str) -> String {
    let ended = Ended::from(command.output().expect("runs"));
    assert!(!ended.success, "{}", ended.stdout);
    assert_eq!(ended.stdout.lines().count(), 9, "one line a check: {}", ended.stdout);
    let line = ended.stdout.lines().find(|line| line.split_whitespace().nth(1) == Some(check)).expect("a line");
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_doctor_knows_the_key_of_the_database() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    assert!(place.run(&["doctor"]).ok().contains("secret.key is the key of this database"));
    let line = found(place.command(&["doctor"]).env("TIELINE_SECRET_KEY", "A".repeat(43)), "key");
    assert!(
        line.starts_with("fail key TIELINE_SECRET_KEY is another key than this database was written with"),
        "{line}"
    );
    std::fs::write(place.data().join("secret.key"), "B".repeat(42) + "A").unwrap();
    let line = found(&mut place.command(&["doctor"]), "key");
    assert!(line.contains("secret.key is another key than this database was written with"), "{line}");
}

#[test]
fn the_doctor_fails_where_the_disk_is_full() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    let bin = place.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let free = |kib: u64| {
        let answer = format!(
            "#!/bin/sh\necho Filesystem 1024-blocks Used Available Capacity Mounted on\necho disk 1 1 {kib} 1% /the data\n"
        );
        std::fs::write(bin.join("df"), answer).unwrap();
        std::fs::set_permissions(bin.join("df"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = place.command(&["doctor"]);
        command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
        command
    };
    let line = found(&mut free(63 * 1024), "disk");
    assert_eq!(line, "fail disk 63 MiB free on /the data, less than 64 MiB: make room, writes fail");
    let report = Ended::from(free(64 * 1024).output().unwrap()).ok();
    assert!(report.contains("warn  disk      64 MiB free on /the data, less than 1024 MiB"), "{report}");
    let report = Ended::from(free(2048 * 1024).output().unwrap()).ok();
    assert!(report.contains("ok    disk      2 GiB free on /the data"), "{report}");
}

/// Writes nonsense over the first pages of these tables and of their indexes.
fn damage(file: &std::path::Path, names: &str) {
    let roots = format!("select rootpage from sqlite_master where tbl_name in ({names}) and rootpage > 0");
    let roots = |read: &mut tieline_db::Read| read.all(&roots, &[], |row| row.get::<i64>(0));
    let roots = tieline_db::migrate::peek::<_, tieline_db::Error>(&Target::Sqlite(file.into()), roots).unwrap();
    assert!(!roots.is_empty());
    let mut open = std::fs::File::options().write(true).open(file).unwrap();
    for page in roots {
        open.seek(SeekFrom::Start((page as u64 - 1) * PAGE)).unwrap();
        open.write_all(&[0xa5; 64]).unwrap();
    }
}

#[test]
fn a_damaged_file_is_one_line_of_the_doctor_and_is_not_served() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    damage(&place.data().join("tieline.db"), "'messages', 'events', 'deliveries'");
    let line = found(&mut place.command(&["doctor"]), "database");
    assert!(line.starts_with("fail database ") && line.contains(" is damaged (") && line.contains(" more"), "{line}");
    assert!(line.ends_with("restore a backup with `tieline restore`"), "{line}");
    let line = place.run(&["serve"]).refusal();
    assert!(line.starts_with("cannot open the database ") && line.contains("the database file is damaged: "), "{line}");
    assert!(line.contains("`tieline doctor`") && line.contains("`tieline restore`"), "{line}");
}

#[tokio::test]
async fn damage_that_is_found_while_it_runs_turns_it_red() {
    let place = Place::new();
    let key = place.key();
    let server = place.serve();
    let client = Client::new(&server.url, &key);
    assert_eq!(client.get("/readyz").await.0, 200);
    damage(&place.data().join("tieline.db"), "'custom_fields'");
    assert_eq!(client.get("/v1/custom-fields").await.0, 503);
    let (status, ready) = client.get("/readyz").await;
    assert_eq!((status, &ready["reason"]), (503, &json!("damaged")), "{ready}");
    let line = server.line_with("ERROR");
    assert!(line.contains("the database file is damaged") && line.contains("`tieline restore`"), "{line}");
}

#[test]
fn the_doctor_knows_whose_the_port_is() {
    let place = Place::new();
    place.run(&["migrate"]).ok();
    let server = place.serve();
    let address = server.url.strip_prefix("http://").expect("an address");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = other.local_addr().expect("an address").to_string();
    std::thread::spawn(move || other.incoming().for_each(drop)); // no Tieline: it says nothing
    let elsewhere = Place::new();
    let port = |place: &Place, listen: &str| {
        let ended: Ended = place.command(&["doctor"]).env("TIELINE_LISTEN", listen).output().expect("runs").into();
        let line = ended.stdout.lines().find(|line| line.contains(" port ")).expect("a line").to_owned();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(port(&place, address), format!("ok port the server on this folder listens on {address}"));
    assert_eq!(
        port(&place, &taken),
        format!(
            "fail port {taken} is taken by another program, the server on this folder listens on {address}: \
             set TIELINE_LISTEN before its next start"
        )
    );
    assert_eq!(
        port(&elsewhere, address),
        format!("fail port {address} is taken by another Tieline server, of another folder: set TIELINE_LISTEN")
    );
    assert_eq!(port(&elsewhere, &taken), format!("fail port {taken} is taken by another program: set TIELINE_LISTEN"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").to_string();
    assert!(port(&place, &free).starts_with(&format!("warn port {free} is free, but the server on this folder")));
}

#[test]
fn migrate_shows_and_applies() {
    let place = Place::new();
    let shown = place.run(&["migrate", "--show"]).ok();
    assert!(shown.contains("has schema version 0; to apply: 1 (core)"), "{shown}");
    assert!(!place.data().join("tieline.db").exists());
    assert!(place.run(&["migrate"]).ok().starts_with("Applied 1 (core)"));
    assert!(place.run(&["migrate"]).ok().starts_with("Nothing to do"));
    assert!(place.run(&["migrate", "--show"]).ok().contains("nothing to do"));
}
