//! Backup under load, restore, verify: nothing missing, nothing sent.

use crate::support::{Client, Ended, Place, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tieline_db::census::census;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The manifest inside a backup.
fn manifest(place: &Place, file: &str) -> Value {
    let mut archive = tar::Archive::new(std::fs::File::open(place.path().join(file)).unwrap());
    let entry =
        archive.entries().unwrap().map(Result::unwrap).find(|entry| entry.path().unwrap().ends_with("manifest.json"));
    serde_json::from_reader(entry.expect("a manifest")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_restores_to_the_same_counts_with_sending_paused() {
    let place = Place::new();
    let key = place.key();
    // The receiver counts; nothing but the original may reach it.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let counting = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                // Healthy, so that a sender that runs sends at once.
                let _ = stream.read(&mut [0; 64 * 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
            });
        }
    });
    let serve = |data: &std::path::Path| {
        let mut command = place.on(data, &["serve"]);
        command.env("TIELINE_WEBHOOK_ALLOW_HOSTS", "127.0.0.1/32").env("TIELINE_WEBHOOK_ALLOW_HTTP", "true");
        command
    };
    let server = Server::start(serve(&place.data()));
    let client = Client::new(&server.url, &key);
    let hook = json!({"name": "h", "url": format!("http://{address}/"), "events": ["*"]});
    assert_eq!(client.post("/v1/webhooks", &hook).await.0, 201);
    let attachment = place.data().join("attachments/1/ab");
    std::fs::create_dir_all(attachment.parent().unwrap()).unwrap();
    std::fs::write(&attachment, vec![7; 300_000]).unwrap();

    assert_eq!(client.open("first").await.0, 201);
    let (stop, created) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = Vec::new();
    for task in 0..4 {
        let (client, stop, created) = (client.clone(), stop.clone(), created.clone());
        load.push(tokio::spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(client.open(&format!("order-{task}-{number}")).await.0, 201);
                created.fetch_add(1, Ordering::SeqCst);
                number += 1;
            }
        }));
    }
    while created.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    let before = created.load(Ordering::SeqCst) as u64 + 1;
    let mut command = place.command(&["backup", "one.tar"]);
    let said: Ended = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into();
    let after = created.load(Ordering::SeqCst) as u64 + 1;
    let said = said.ok();
    assert!(said.contains("The secret key is not in it: keep "), "{said}");
    stop.store(true, Ordering::SeqCst);
    for task in load {
        task.await.unwrap();
    }
    let counts: BTreeMap<String, u64> = serde_json::from_value(manifest(&place, "one.tar")["rows"].clone()).unwrap();
    let conversations = counts["conversations"];
    assert!((before..=after + 4).contains(&conversations), "{before} {conversations} {after}");
    assert_eq!((counts["messages"], counts["tenants"]), (conversations, 2), "one snapshot");
    assert!(!said.is_empty() && server.stop());

    let report = place.run(&["verify", "one.tar"]).ok();
    assert!(report.starts_with("one.tar is whole.") && report.contains("attachments   1, 300000 bytes"), "{report}");
    assert!(place.run(&["backup", "one.tar"]).refusal().starts_with("one.tar exists already"));

    let restored = place.path().join("restored");
    let restore = |file: &str| Ended::from(place.on(&restored, &["restore", file]).output().unwrap());
    let said = restore("one.tar").ok();
    assert!(said.contains("Sending is paused") && said.contains("Put the secret key into "), "{said}");
    let mut found = census(&restored.join("tieline.db")).unwrap().rows;
    assert_eq!(found.remove("installation"), Some(counts["installation"] + 1), "the pause is noted");
    found.insert("installation".into(), counts["installation"]);
    assert_eq!(found, counts);
    assert_eq!(std::fs::read(restored.join("attachments/1/ab")).unwrap(), vec![7; 300_000]);
    assert!(restore("one.tar").refusal().contains("exists already: restore into an empty data folder"));
    let mut command = serve(&restored);
    assert!(Ended::from(command.output().unwrap()).refusal().starts_with("the secret key of this database is missing"));

    std::fs::copy(place.data().join("secret.key"), restored.join("secret.key")).unwrap();
    let quiet = connections.load(Ordering::SeqCst);
    let server = Server::start(serve(&restored));
    server.line_with("sending is paused");
    let client = Client::new(&server.url, &key);
    assert_eq!(client.get("/readyz").await.1, json!({"status": "ready", "sendingPaused": true}));
    assert_eq!(client.open("first").await.0, 409, "what was there is there");
    assert_eq!(client.open("after").await.0, 201);
    // Enough for a sender that is not paused to be heard of.
    for number in 0..100 {
        assert_eq!(client.open(&format!("after-{number}")).await.0, 201);
    }
    assert_eq!(connections.load(Ordering::SeqCst), quiet, "nothing was sent");
    // Told to go on, it sends at once.
    assert_eq!(Ended::from(place.on(&restored, &["sending", "resume"]).output().unwrap()).ok(), "Sending goes on.\n");
    while connections.load(Ordering::SeqCst) == quiet {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.get("/readyz").await.1["sendingPaused"], false);
    assert!(server.stop());
    counting.abort();
}

#[test]
fn a_pause_outlives_a_restart_until_it_is_lifted() {
    let place = Place::new();
    place.run(&["sending", "pause"]).ok();
    let server = place.serve();
    server.line_with("sending is paused");
    assert!(server.stop());
    let server = Server::start(place.command(&["serve", "--resume-sending"]));
    assert!(server.stop());
    let server = place.serve();
    place.run(&["sending", "pause"]).ok();
    assert!(server.stop());
    place.serve().line_with("sending is paused");
}

#[test]
fn a_damaged_backup_is_named_and_leaves_nothing() {
    let place = Place::new();
    place.key();
    place.run(&["backup", "good.tar"]).ok();
    let good = std::fs::read(place.path().join("good.tar")).unwrap();
    let restored = place.path().join("restored");
    for (what, bytes, expected) in [
        ("cut off", good[..good.len() / 2].to_vec(), "bad.tar is no whole backup"),
        ("no manifest", good[..good.len() / 512 * 512 - 16 * 512].to_vec(), "bad.tar"),
        ("empty", Vec::new(), "bad.tar was cut off: it has no manifest"),
        ("something else", b"hello".repeat(1000), "bad.tar is no backup made by tieline"),
        ("binary", vec![0xff; 4096], "bad.tar is no backup made by tieline"),
        ("a changed byte", changed(&good), "tieline.db in bad.tar is damaged: its checksum differs"),
    ] {
        std::fs::write(place.path().join("bad.tar"), bytes).unwrap();
        let line = place.run(&["verify", "bad.tar"]).refusal();
        assert!(line.starts_with(expected), "{what}: {line}");
        let line = Ended::from(place.on(&restored, &["restore", "bad.tar"]).output().unwrap()).refusal();
        assert!(line.starts_with(expected), "{what}: {line}");
        let left: Vec<_> = std::fs::read_dir(&restored).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["tieline.lock"], "{what}");
    }
    assert_eq!(
        place.run(&["verify", "none.tar"]).refusal(),
        "cannot read none.tar: No such file or directory (os error 2)"
    );
}

/// With one byte of the database changed.
fn changed(good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[512 + 50_000] ^= 1;
    bytes
}

#[test]
fn a_file_that_reaches_out_of_the_folder_is_refused() {
    let place = Place::new();
    let mut tar = tar::Builder::new(std::fs::File::create(place.path().join("evil.tar")).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    // The library refuses to write such a name; strangers do not ask it.
    header.as_old_mut().name[..23].copy_from_slice(b"attachments/../../../xx");
    header.set_cksum();
    tar.append(&header, &b"evil"[..]).unwrap();
    tar.finish().unwrap();
    let line = place.run(&["restore", "evil.tar"]).refusal();
    assert_eq!(line, "evil.tar holds \"attachments/../../../xx\", which no backup of ours does");
}
