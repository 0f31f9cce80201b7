//! The same binary on PostgreSQL: no lock of the folder, no socket, several nodes, one key.

use crate::support::{Client, Place, Server};
use serde_json::json;

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
