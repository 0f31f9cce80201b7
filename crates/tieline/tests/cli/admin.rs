//! Tenants, keys and users from the command line, with and without a server.

use crate::support::{Client, Place};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

/// Names of an object's members, sorted.
fn members(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn all_commands(place: &Place) -> String {
    let tenant =
        place.run(&["tenant", "create", "--slug", "acme", "--name", "Acme", "--max-webhooks", "3", "--json"]).json();
    assert_eq!((&tenant["slug"], &tenant["accountId"]), (&json!("acme"), &json!(1)));
    assert_eq!(tenant["plan"]["maxWebhooks"], 3);
    let key = ["key", "create", "--tenant", "acme", "--name", "shop", "--json", "--mode", "test", "--prefix", "sk"];
    let key = place.run(&[&key[..], &["--scopes", "conversations:write, webhooks:manage"]].concat()).json();
    assert_eq!(members(&key), ["id", "key", "mode", "prefix", "scopes"]);
    assert_eq!((&key["mode"], &key["scopes"]), (&json!("test"), &json!(["conversations:write", "webhooks:write"])));
    let text = key["key"].as_str().unwrap();
    assert!(text.starts_with("sk_test_") && text.starts_with(key["prefix"].as_str().unwrap()), "{key}");
    let user = ["user", "create", "--tenant", "acme", "--email", " Ana@Example.com", "--name", "Ana", "--json"];
    let user = place.run(&[&user[..], &["--role", "owner", "--password", "correct horse"]].concat()).json();
    assert_eq!(members(&user), ["accessToken", "accountId", "email", "id"]);
    assert_eq!((&user["email"], &user["accountId"]), (&json!("ana@example.com"), &json!(1)));
    assert_eq!(user["accessToken"].as_str().unwrap().len(), 24);
    assert!(user["id"].as_str().unwrap().starts_with("usr_"));

    let refused = |args: &[&str]| place.run(args).refusal();
    assert_eq!(refused(&["tenant", "create", "--slug", "acme", "--json"]), "There is a tenant \"acme\" already.");
    assert_eq!(
        refused(&["tenant", "create", "--slug", "A", "--max-webhooks", "5000"]),
        "A slug is 1 to 63 of a-z, 0-9 and -, starting with a letter. Webhook endpoints: 0 to 1000."
    );
    assert_eq!(refused(&["tenant", "update", "--slug", "other"]), "There is no tenant \"other\".");
    let key = ["key", "create", "--tenant", "acme", "--name", "x", "--scopes"];
    let unknown = refused(&[&key[..], &["frogs:write"]].concat());
    assert!(unknown.starts_with("There is no scope \"frogs:write\"; one is such as conversations:write"), "{unknown}");
    assert_eq!(refused(&[&key[..], &[","]].concat()), "List at least one scope; full_access stands for all.");
    let user = ["user", "create", "--tenant", "acme", "--role", "agent", "--name", "Ana", "--email"];
    assert_eq!(refused(&[&user[..], &["ana@example.com"]].concat()), "There is a user with this email already.");
    let short = [&user[..], &["bo@example.com", "--password", "short"]].concat();
    assert_eq!(refused(&short), "A password has at least 8 characters.");
    text.to_owned()
}

#[test]
fn without_a_server() {
    let place = Place::new();
    all_commands(&place);
    let about = std::fs::metadata(place.data()).unwrap();
    assert_eq!(about.permissions().mode() & 0o777, 0o700, "customers' words are nobody else's");
}

#[tokio::test]
async fn what_is_made_beside_a_server_works_on_its_next_request() {
    let place = Place::new();
    let server = place.serve();
    let key = all_commands(&place);
    let client = Client::new(&server.url, &key);
    let (status, me) = client.get("/v1/me").await;
    assert_eq!((status, &me["tenant"]["slug"]), (200, &json!("acme")));
    let (status, refused) = client.post("/v1/webhooks", &json!({})).await;
    assert_eq!((status, &refused["code"]), (400, &json!("validation_error")));

    place
        .run(&["tenant", "update", "--slug", "acme", "--no-webhooks", "--rate-limit", "500", "--name", "Acme Ltda"])
        .ok();
    let (_, me) = client.get("/v1/me").await;
    assert_eq!((&me["features"]["webhooks"], &me["plan"]["requestsPerMinute"]), (&json!(false), &json!(500)));
    assert_eq!((&me["tenant"]["name"], &me["plan"]["maxWebhooks"]), (&json!("Acme Ltda"), &json!(3)));
    place.run(&["tenant", "update", "--slug", "acme", "--no-webhooks=false", "--no-api"]).ok();
    let (status, refused) = client.get("/v1/me").await;
    assert_eq!((status, &refused["code"]), (403, &json!("api_disabled")));
    place.run(&["tenant", "update", "--slug", "acme", "--no-api=false"]).ok();
    assert_eq!(client.get("/v1/me").await.0, 200);
    assert!(server.stop());
}

#[test]
fn many_commands_at_once_all_get_through() {
    for served in [false, true] {
        let place = Place::new();
        let server = served.then(|| place.serve());
        let commands: Vec<_> = (0..8)
            .map(|number| {
                let slug = format!("tenant-{number}");
                let mut command = place.command(&["tenant", "create", "--json", "--slug", &slug]);
                command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut accounts: Vec<i64> = commands
            .into_iter()
            .map(|command| {
                crate::support::Ended::from(command.wait_with_output().unwrap()).json()["accountId"].as_i64().unwrap()
            })
            .collect();
        accounts.sort();
        accounts.dedup();
        assert_eq!(accounts.len(), 8, "served: {served}");
        drop(server);
    }
}

#[test]
fn the_socket_is_private_and_takes_no_endless_line() {
    let place = Place::new();
    let server = place.serve();
    let path = place.data().join("tieline.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |line: &[u8]| {
        let mut stream = UnixStream::connect(&path).unwrap();
        let _ = stream.write_all(line); // the server may hang up in the middle
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    let refused = "{\"error\":\"the server is of another version: use its own program\"}\n";
    assert_eq!(ask(b"nonsense\n"), refused);
    assert_eq!(ask(b"{\"command\":\"drop_everything\"}\n"), refused);
    let endless = ask(&vec![b'x'; 1 << 20]);
    assert!(endless.is_empty() || endless == refused, "{endless}");
    place.run(&["tenant", "create", "--slug", "acme"]).ok();
    assert!(server.stop());
}
