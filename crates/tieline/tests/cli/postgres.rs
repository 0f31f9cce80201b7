//! The same binary on PostgreSQL: no lock of the folder, no socket, several nodes, one key.

use crate::listen::{Posted, receiver};
use crate::support::{Client, Place, Server, answer, lines_of, signal};
use serde_json::json;
use std::process::Stdio;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use tieline_testkit::postgres::{Database, Pooler, required};
use tieline_testkit::proxy::Proxy;

/// What a condition that must come true may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks until the answer has this status.
async fn until(client: &Client, status: u16) {
    let asks = async { while client.get("/v1/me").await.0 != status {} };
    tokio::time::timeout(PATIENCE, asks).await.unwrap_or_else(|_| panic!("never {status}"));
}

#[tokio::test]
async fn nodes_share_a_database_and_its_first_link() {
    let place = Place::on_postgres();
    let (one, other) = (place.serve(), place.serve());
    let links = |server: Server| server.stop_and_tell().into_iter().filter(|line| line.contains("/setup/")).count();
    assert_eq!(links(one) + links(other), 1, "one link, from whoever was first");

    // Commands open the database, with or without a server.
    let key = place.key();
    let (one, other) = (place.serve(), place.serve());
    let (status, opened) = Client::new(&one.url, &key).open("order-1").await;
    assert_eq!(status, 201, "{opened}");
    let (status, found) = Client::new(&other.url, &key).get("/v1/conversations?externalReference=order-1").await;
    assert_eq!((status, &found["data"][0]["id"]), (200, &opened["id"]), "{found}");
    let made = place.run(&["key", "create", "--tenant", "acme", "--name", "k2", "--scopes", "basic", "--json"]).json();
    let second = made["key"].as_str().unwrap();
    assert_eq!(Client::new(&other.url, second).get("/v1/me").await.0, 200, "on the next request");
    assert!(!place.data().join("tieline.sock").exists() && !place.data().join("tieline.db").exists());
    assert!(one.stop() && other.stop());
}

#[test]
fn a_node_with_another_key_is_refused() {
    let place = Place::on_postgres();
    place.key();
    let elsewhere = place.path().join("elsewhere");
    let refused =
        |mut command: std::process::Command| crate::support::Ended::from(command.output().expect("runs")).refusal();
    let line = refused(place.on(&elsewhere, &["serve"]));
    assert!(line.contains("every node needs the same one"), "{line}");
    let mut command = place.on(&elsewhere, &["serve"]);
    command.env("TIELINE_SECRET_KEY", "00".repeat(32));
    let line = refused(command);
    assert!(line.contains("TIELINE_SECRET_KEY is another key") && line.contains("the same on every node"), "{line}");
}

#[test]
fn the_first_node_says_where_its_key_is() {
    let place = Place::on_postgres();
    let mut command = place.command(&["serve"]);
    command.stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let lines = lines_of(child.stderr.take().expect("piped"));
    let line = lines.iter().find(|line| line.contains("made the secret key")).expect("it is told");
    let path = place.data().join("secret.key").display().to_string();
    assert!(line.contains(&path) && line.contains("every other node needs the same one"), "{line}");
    assert!(line.contains("TIELINE_SECRET_KEY"), "{line}");
    signal(&child, "TERM");
    assert!(child.wait().expect("ends").success());
    // The next one gets it, by the file or by the setting.
    let text = std::fs::read_to_string(path).unwrap();
    let mut second = place.on(&place.path().join("elsewhere"), &["serve"]);
    second.env("TIELINE_SECRET_KEY", text);
    assert!(Server::start(second).stop());
}

#[test]
fn of_two_that_make_a_key_at_once_one_has_it() {
    let place = Place::on_postgres();
    let folders = ["one", "other"].map(|name| place.path().join(name));
    let started = folders.each_ref().map(|folder| {
        let mut command = place.on(folder, &["migrate"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    });
    let ended = started.map(|child| child.wait_with_output().expect("ends"));
    let (mut made, mut refused) = (0, 0);
    for (folder, ended) in folders.iter().zip(ended) {
        let said = String::from_utf8(ended.stderr).expect("UTF-8");
        // A key that opens nothing does not stay, to be taken for the right one.
        assert_eq!(folder.join("secret.key").exists(), ended.status.success(), "{said}");
        made += usize::from(ended.status.success() && said.contains("made the secret key"));
        refused += usize::from(said.contains("the secret key of this database is missing"));
    }
    assert_eq!((made, refused), (1, 1));
}

/// Asks a server by its own program.
fn ask(url: &str, sql: &str) {
    let done = std::process::Command::new("psql").args(["-X", "-q", "-d", url, "-c", sql]).status();
    assert!(done.expect("psql runs").success(), "{sql}");
}

#[test]
fn what_somebody_has_to_change_ends_the_start_and_is_one_line() {
    let database = Database::create();
    let refusal = |url: &str| Place::at(url).run(&["serve"]).refusal();
    let line = refusal(&format!("{}_not", database.url));
    assert!(line.contains("does not exist (3D000): create the database, or correct its name"), "{line}");
    let line = refusal(&database.url.replace("tieline@", "stranger:hush@"));
    assert!(line.contains("(28000): correct user and password") && !line.contains("hush"), "{line}");
    let line = refusal(&format!("{}?sslmode=require", database.url));
    assert!(line.contains("TLS"), "{line}");
    let name = database.url.rsplit_once('/').expect("a name").1;
    ask(&required().admin_url(), &format!("alter database {name} owner to postgres"));
    let line = refusal(&database.url);
    assert!(line.contains("(42501): the role in the URL needs to own its database"), "{line}");
}

#[test]
fn a_node_that_starts_waits_for_its_database_and_for_all_its_connections() {
    let database = Database::create();
    let (mut proxy, url) = Proxy::start(&database.url);
    proxy.stop();
    let place = Place::at(&url);
    let start = || {
        let mut child = place.command(&["serve"]).stderr(Stdio::piped()).spawn().expect("starts");
        let lines = lines_of(child.stderr.take().expect("piped"));
        (child, lines)
    };
    let wait_for = |lines: &Receiver<String>, text: &str| {
        let found = lines.iter().find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("it ended without {text:?}"))
    };
    let (mut child, lines) = start();
    wait_for(&lines, "waiting for the database, for 30 s at most: cannot connect to 127.0.0.1:");
    // Whoever does not want to wait any more need not.
    signal(&child, "TERM");
    assert!(child.wait().expect("ends").success());

    let limit = |count: i32| {
        let name = database.url.rsplit_once('/').expect("a name").1;
        ask(&required().admin_url(), &format!("alter database {name} connection limit {count}"));
    };
    limit(11);
    proxy.resume();
    let (mut child, lines) = start();
    let line = wait_for(&lines, "waiting for the database");
    assert!(
        line.contains("this node got 11 of the 12 connections that it needs") && line.contains("(53300)"),
        "{line}"
    );
    limit(12);
    wait_for(&lines, "listening on ");
    signal(&child, "TERM");
    assert!(child.wait().expect("ends").success());
}

#[tokio::test]
async fn an_outage_is_told_once_and_so_is_its_end() {
    let place = Place::on_postgres();
    let (mut proxy, url) = Proxy::start(place.database_url().expect("on PostgreSQL"));
    let mut command = place.command(&["serve"]);
    command.env("TIELINE_DATABASE_URL", url);
    let server = Server::start(command);
    let client = Client::new(&server.url, "");
    let until = async |status: u16| while client.get("/readyz").await.0 != status {};
    until(200).await;
    proxy.stop();
    until(503).await;
    for _ in 0..20 {
        assert_eq!(client.get("/v1/me").await.0, 401, "no key, no database");
        assert_eq!(client.get("/readyz").await.1["reason"], "database");
    }
    proxy.resume();
    tokio::time::timeout(PATIENCE, until(200)).await.expect("it comes back");
    let lines = server.stop_and_tell();
    let told = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!((told("the database is away"), told("the database is back, after ")), (1, 1), "{lines:#?}");
    assert!(told("a connection to the database ended") <= 1, "{lines:#?}");
    assert_eq!(told(" WARN "), told("the database is away") + told("a connection to the database ended"), "{lines:#?}");
}

#[test]
fn the_doctor_refuses_a_pooler_that_mixes_clients_up() {
    let database = Database::create();
    Place::at(&database.url).run(&["migrate"]).ok();
    let pooler = Pooler::start("transaction");
    let ended = Place::at(&pooler.url(&database)).run(&["doctor"]);
    let line = ended.stdout.lines().find(|line| line.contains(" database ")).expect("a line");
    assert!(!ended.success && line.starts_with("fail") && line.contains("give it session mode"), "{line}");
}

#[test]
fn what_looks_after_a_file_says_what_to_use_instead() {
    let place = Place::on_postgres();
    let shown = place.run(&["migrate", "--show"]).ok();
    assert!(shown.contains("postgres://tieline@") && shown.contains("schema version 0; to apply: 1 (core)"), "{shown}");
    assert!(place.run(&["doctor"]).ok().contains("has schema version 0; the next start brings it to"));
    place.run(&["migrate"]).ok();
    let shown = place.run(&["migrate", "--show"]).ok();
    assert!(shown.contains("nothing to do"), "{shown}");
    place.key();
    let report = place.run(&["doctor"]).ok();
    assert!(report.contains("answers: schema version"), "{report}");
    let line = place.run(&["backup", "b.tar"]).refusal();
    assert!(line.contains("pg_dump"), "{line}");
    let line = place.run(&["restore", "b.tar"]).refusal();
    assert!(line.contains("pg_restore"), "{line}");
    let mut command = place.command(&["doctor"]);
    command.env("TIELINE_DATABASE_URL", "postgres://tieline:hush@127.0.0.1:1/d");
    let ended = crate::support::Ended::from(command.output().expect("runs"));
    assert!(
        !ended.success && ended.stdout.contains("cannot be used") && !ended.stdout.contains("hush"),
        "{}",
        ended.stdout
    );
    let settings = json!(place.run(&["config"]).ok());
    assert!(settings.as_str().unwrap().contains("database_url = \"postgres://"), "{settings}");
}

#[tokio::test]
async fn what_one_node_is_told_holds_on_the_others() {
    let place = Place::on_postgres();
    let key = place.key();
    let made = place.run(&["key", "create", "--tenant", "acme", "--name", "k2", "--scopes", "full_access", "--json"]);
    let made = made.json();
    let (id, revoked) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let (one, other) = (place.serve(), place.serve());

    // The stream of one shows what was committed by the other.
    let client = Client::new(&other.url, &key);
    let stream = reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{}/v1/stream", one.url));
    let mut stream = stream.bearer_auth(&key).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let (status, opened) = client.open("order-1").await;
    assert_eq!(status, 201, "{opened}");
    let mut seen = String::new();
    while !seen.contains("message.received") {
        seen += std::str::from_utf8(&stream.chunk().await.unwrap().expect("it goes on")).unwrap();
    }
    assert!(seen.contains("conversation.created") && seen.contains(opened["id"].as_str().unwrap()), "{seen}");

    // Both remember the key; one is told that it is revoked.
    for node in [&one, &other] {
        assert_eq!(Client::new(&node.url, revoked).get("/v1/me").await.0, 200);
    }
    let deleted =
        reqwest::Client::builder().no_proxy().build().unwrap().delete(format!("{}/v1/api-keys/{id}", one.url));
    assert!(deleted.bearer_auth(&key).send().await.unwrap().status().is_success());
    assert_eq!(Client::new(&one.url, revoked).get("/v1/me").await.0, 401, "at once where it was told");
    while Client::new(&other.url, revoked).get("/v1/me").await.0 != 401 {}
    drop(stream);
    assert!(one.stop() && other.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_switched_off_at_one_node_gets_nothing_of_another() {
    let place = Place::on_postgres();
    let key = place.key();
    let node = || {
        let mut command = place.command(&["serve"]);
        command.env("TIELINE_WEBHOOK_ALLOW_HTTP", "true").env("TIELINE_WEBHOOK_ALLOW_HOSTS", "127.0.0.1/32");
        Server::start(command)
    };
    let (one, other) = (node(), node());
    let (at_one, at_other) = (Client::new(&one.url, &key), Client::new(&other.url, &key));
    let (hook, arrived) = receiver();
    let mut ids = Vec::new();
    for path in ["stays", "goes"] {
        let webhook = json!({"name": path, "url": format!("{hook}/{path}"), "events": ["message.received"]});
        let (status, made) = at_one.post("/v1/webhooks", &webhook).await;
        assert_eq!(status, 201, "{made}");
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let next = |arrived: &Receiver<Posted>| {
        let (head, body) = arrived.recv_timeout(PATIENCE).expect("it arrives");
        (head[0].split(' ').nth(1).unwrap().rsplit('/').next().unwrap().to_owned(), body)
    };

    // Both nodes know both endpoints.
    for (client, reference) in [(&at_one, "order-1"), (&at_other, "order-2")] {
        assert_eq!(client.open(reference).await.0, 201);
        let mut paths = [next(&arrived).0, next(&arrived).0];
        paths.sort();
        assert_eq!(paths, ["goes", "stays"]);
    }

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let off = http.patch(format!("{}/v1/webhooks/{}", one.url, ids[1])).bearer_auth(&key);
    let (status, changed) = answer(off.json(&json!({"isActive": false}))).await;
    assert_eq!((status, &changed["isActive"]), (200, &json!(false)), "{changed}");
    for number in 3..8 {
        let reference = format!("order-{number}");
        assert_eq!(at_other.open(&reference).await.0, 201);
        let (path, body) = next(&arrived);
        assert!(path == "stays" && body.contains(&reference), "{path}: {body}");
    }
    // What is fanned out is written for all endpoints at once: nothing can follow.
    let (status, log) = at_other.get(&format!("/v1/webhooks/{}/deliveries", ids[1])).await;
    assert_eq!((status, log["data"].as_array().map(Vec::len)), (200, Some(2)), "{log}");
    assert!(one.stop() && other.stop());
    assert!(arrived.try_recv().is_err(), "nothing was left to send");
}

#[tokio::test]
async fn a_plan_changed_by_a_command_holds_on_every_node() {
    let place = Place::on_postgres();
    let key = place.key();
    let nodes = [place.serve(), place.serve()];
    let clients = nodes.each_ref().map(|node| Client::new(&node.url, &key));
    let steps: [(&[&str], u16); 3] = [(&["--no-api"], 403), (&["--no-api=false"], 200), (&["--rate-limit", "1"], 429)];
    for client in &clients {
        assert_eq!(client.get("/v1/me").await.0, 200, "both remember the key");
    }
    for (change, status) in steps {
        place.run(&[&["tenant", "update", "--slug", "acme"], change].concat()).ok();
        for client in &clients {
            until(client, status).await;
        }
    }
    place.run(&["tenant", "update", "--slug", "acme", "--rate-limit", "100000", "--no-webhooks"]).ok();
    for client in &clients {
        let asks = async {
            loop {
                let webhook = json!({"name": "", "url": "https://receiver.example/", "events": ["message.received"]});
                let (status, refused) = client.post("/v1/webhooks", &webhook).await;
                match (status, refused["code"].as_str()) {
                    (403, Some("webhooks_disabled")) => break,
                    // Not known yet: then the empty name is what is wrong; or the rate of before.
                    (422 | 429, _) => {}
                    _ => panic!("{status} {refused}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, asks).await.expect("webhooks are refused");
        assert_eq!(client.get("/v1/me").await.1["features"]["webhooks"], json!(false));
    }
    let [one, other] = nodes;
    assert!(one.stop() && other.stop());
}

#[tokio::test]
async fn a_dismissed_user_is_known_nowhere() {
    let place = Place::on_postgres();
    let key = place.key();
    let user = ["user", "create", "--tenant", "acme", "--email", "bia@example.com", "--name", "Bia", "--role", "agent"];
    let made = place.run(&[&user[..], &["--json"]].concat()).json();
    let (one, other) = (place.serve(), place.serve());
    assert_eq!(Client::new(&other.url, &key).get("/v1/me").await.0, 200);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let profile = |node: &str| {
        let token = made["accessToken"].as_str().unwrap();
        answer(http.get(format!("{node}/api/v1/profile")).header("api_access_token", token))
    };
    for node in [&one, &other] {
        assert_eq!(profile(&node.url).await.0, 200, "both remember the token");
    }
    let id = made["id"].as_str().unwrap();
    let dismissed =
        http.patch(format!("{}/v1/users/{id}", one.url)).bearer_auth(&key).json(&json!({"isActive": false}));
    let (status, changed) = answer(dismissed).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(profile(&one.url).await.0, 401, "at once where it was told");
    let asks = async { while profile(&other.url).await.0 != 401 {} };
    tokio::time::timeout(PATIENCE, asks).await.expect("the other one learns of it");
    assert!(one.stop() && other.stop());
}

#[tokio::test]
async fn a_changed_rule_is_followed_on_every_node() {
    let place = Place::on_postgres();
    let key = place.key();
    let nodes = [place.serve(), place.serve()];
    let clients = nodes.each_ref().map(|node| Client::new(&node.url, &key));
    let rule = |tag: &str| json!([{"actions": [{"type": "add_tag", "tag": tag}]}]);
    for tag in ["before", "after"] {
        assert_eq!(clients[0].post("/v1/tags", &json!({"name": tag})).await.0, 201);
    }
    let made = json!({"name": "tag", "trigger": "message.received", "branches": rule("before")});
    let (status, made) = clients[0].post("/v1/automations", &made).await;
    assert_eq!(status, 201, "{made}");
    let mut number = 0;
    let mut tagged = async |client: &Client| {
        number += 1;
        let (status, opened) = client.open(&format!("order-{number}")).await;
        assert_eq!(status, 201, "{opened}");
        let path = format!("/v1/conversations/{}", opened["id"].as_str().unwrap());
        loop {
            let (_, shown) = client.get(&path).await;
            if let Some(tag) = shown["tags"].as_array().and_then(|tags| tags.first()) {
                return tag.as_str().unwrap().to_owned();
            }
        }
    };
    let asks = async {
        for client in &clients {
            assert_eq!(tagged(client).await, "before");
        }
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let path = clients[0].at(&format!("/v1/automations/{}", made["id"].as_str().unwrap()));
        let (status, changed) =
            answer(http.patch(path).bearer_auth(&key).json(&json!({"branches": rule("after")}))).await;
        assert_eq!(status, 200, "{changed}");
        // Whichever node reacts: what happens after the change was committed follows it.
        for client in clients.iter().cycle().take(8) {
            assert_eq!(tagged(client).await, "after");
        }
    };
    tokio::time::timeout(PATIENCE, asks).await.expect("rules are followed");
    let [one, other] = nodes;
    assert!(one.stop() && other.stop());
}
