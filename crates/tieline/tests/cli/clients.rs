//! Chatwoot clients that others wrote, as they are, against the real binary: `tests/clients` holds what each does.
//!
//! They are installed by `tests/clients/setup.sh`; without them their tests fail rather than pass unproven.

use crate::support::Place;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients")
}

/// Lets a program use a client with an administrator's token of a fresh server.
fn works(program: &Path, script: &str) {
    let place = Place::new();
    place.key();
    let user = ["user", "create", "--tenant", "acme", "--email", "bea@example.com", "--name", "Bea"];
    let user = place.run(&[&user[..], &["--role", "owner", "--json"]].concat()).json();
    let server = place.serve();
    let output = Command::new(program)
        .arg(script)
        .current_dir(folder())
        .env("TIELINE_URL", &server.url)
        .env("TIELINE_TOKEN", user["accessToken"].as_str().expect("a token"))
        .env("TIELINE_ACCOUNT", user["accountId"].to_string())
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .output()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&told));
}

fn node(script: &str) {
    assert!(folder().join("node_modules/.installed").exists(), "not installed: run tests/clients/setup.sh");
    works(Path::new("node"), script);
}

fn python(client: &str) {
    let place = folder().join(".venv").join(client);
    assert!(place.join(".installed").exists(), "not installed: run tests/clients/setup.sh");
    works(&place.join("bin/python"), &format!("{client}.py"));
}

#[test]
fn figuros_chatwoot_sdk_works() {
    node("figuro.mjs");
}

#[test]
fn the_n8n_node_of_devlikeapro_works() {
    node("n8n.mjs");
}

#[test]
fn chatwoot_client_works() {
    python("chatwoot-client");
}

#[test]
fn chatwoot_python_client_works() {
    python("chatwoot-python-client");
}

#[test]
fn chatwoots_own_python_sdk_works() {
    python("chatwoot-sdk");
}
