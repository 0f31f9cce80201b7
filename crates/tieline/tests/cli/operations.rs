//! `/healthz`, `/readyz`, `/metrics`, `tieline doctor`, `tieline migrate`.

use crate::support::{Client, Ended, Place, Server};
use serde_json::{Value, json};

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
