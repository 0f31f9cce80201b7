//! What docs/scaling.md and deploy/ tell operators to run and to set, run and set.

use crate::support::{Client, Place, Server};
use std::collections::BTreeSet;
use std::process::Command;
use tieline_testkit::postgres::Database;

const GUIDE: &str = include_str!("../../../../docs/scaling.md");
const SETTINGS: &str = include_str!("../../../../deploy/tieline.toml");
const COMPOSE: &str = include_str!("../../../../deploy/compose.yaml");
const IMAGE: &str = include_str!("../../../../deploy/Dockerfile");
const MARK: &str = "<!-- a test runs this: crates/tieline/tests/cli/guide.rs -->\n```sh\n";

/// The samples that are marked, in order.
fn samples() -> Vec<&'static str> {
    GUIDE.split(MARK).skip(1).map(|rest| rest.split_once("```").expect("its end").0).collect()
}

/// Runs a sample in the place's folder, with these variables.
fn run(place: &Place, sample: &str, variables: &[(&str, &str)]) {
    let mut plain = place.command(&[]);
    let program = std::path::Path::new(plain.get_program()).parent().expect("a folder").to_owned();
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", sample]).current_dir(place.path());
    for (name, value) in plain.env("TIELINE_LOG", "warn").get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(program).chain(std::env::split_paths(&path))).expect("a path");
    let output = command.env("PATH", path).envs(variables.iter().copied()).output().expect("runs");
    assert!(output.status.success(), "{sample}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_desk_moves_is_dumped_and_restored_as_the_guide_says() {
    let [moving, dumping, restoring] = samples()[..] else { panic!("three samples") };
    let place = Place::new();
    let key = place.key();
    let server = place.serve();
    assert_eq!(Client::new(&server.url, &key).open("order-1").await.0, 201);
    assert!(server.stop());
    let (new, restored) = (Database::create(), Database::create());
    let urls = [("TIELINE_DATABASE_URL", new.url.as_str()), ("RESTORED_URL", restored.url.as_str())];
    run(&place, moving, &urls);
    run(&place, dumping, &urls);
    run(&place, restoring, &urls);
    let serve = |url: &str| {
        let mut command = place.command(&["serve"]);
        command.env("TIELINE_DATABASE_URL", url);
        Server::start(command)
    };
    let (one, other) = (serve(&new.url), serve(&restored.url));
    for (server, is_paused) in [(&one, false), (&other, true)] {
        let client = Client::new(&server.url, &key);
        assert_eq!(client.open("order-1").await.0, 409);
        assert_eq!(client.get("/readyz").await.1["sendingPaused"], is_paused);
    }
    assert!(one.stop() && other.stop());
}

#[test]
fn every_setting_that_is_named_exists() {
    let place = Place::new();
    let shown = place.run(&["config"]).ok();
    let known: BTreeSet<&str> = shown.split(|c: char| !is_of_name(c)).filter(|word| is_setting(word)).collect();
    for text in [GUIDE, COMPOSE, IMAGE] {
        let named = text.split(|c: char| !is_of_name(c)).filter(|word| is_setting(word));
        named.for_each(|name| assert!(known.contains(name), "{name}"));
    }
    // As it stands, and with everything that is commented out.
    let whole: String = SETTINGS
        .lines()
        .filter_map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).or(Some(line)))
        .map(|line| {
            line.replace("32 bytes in base64, such as `openssl rand -base64 32` prints", &"A".repeat(43)) + "\n"
        })
        .collect();
    for text in [SETTINGS, &whole] {
        std::fs::write(place.path().join("t.toml"), text).unwrap();
        let shown = place.run(&["--config", "t.toml", "config"]).ok();
        assert!(shown.contains("public_url = \"https://desk.example.com\""), "{shown}");
    }
    assert!(whole.contains("\ndatabase_url = ") && whole.contains("\nsecret_key = "));
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'
}

fn is_setting(word: &str) -> bool {
    word.starts_with("TIELINE_")
}
