//! The first owner: by the link that an empty installation prints, or from the environment.

use crate::support::{Client, Ended, Place, Server, answer};
use serde_json::json;

#[tokio::test]
async fn the_link_makes_the_owner_once() {
    let place = Place::new();
    let server = place.serve();
    let link = server.line_with("/setup/").trim().to_owned();
    assert!(link.starts_with(&server.url), "{link}");
    let client = Client::new(&server.url, "");
    let path = link.strip_prefix(&server.url).unwrap();
    let page = client.get(path).await;
    assert!(page.0 == 200 && page.1.as_str().is_some_and(|page| page.contains("<form")), "{page:?}");

    let (status, problem) =
        client.post(path, &json!({"tenant": "Acme!", "name": "", "email": "x", "password": "short"})).await;
    assert_eq!(status, 400);
    let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["/email", "/name", "/password"], "{problem}");
    let owner = json!({"tenant": "acme", "name": "Ana", "email": "ana@example.com", "password": "correct horse"});
    let mut slug = owner.clone();
    slug["tenant"] = json!("Acme!");
    let (status, problem) = client.post(path, &slug).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (400, &json!("/tenant")), "{problem}");

    // Two at once: one is the first.
    let (one, two) = tokio::join!(client.post(path, &owner), client.post(path, &owner));
    let mut statuses = [one.0, two.0];
    statuses.sort();
    assert_eq!(statuses, [201, 404], "{one:?} {two:?}");
    let made = if one.0 == 201 { one.1 } else { two.1 };
    assert_eq!(
        (&made["tenant"], &made["accountId"], &made["email"]),
        (&json!("acme"), &json!(1), &json!("ana@example.com"))
    );
    let (status, page) = client.get(path).await;
    assert!(status == 410 && page.as_str().is_some_and(|page| page.contains("Tieline is set up")), "used: {page}");
    assert!(server.stop());

    let key = ["key", "create", "--tenant", "acme", "--name", "k", "--scopes", "settings:read", "--json"];
    let key = Ended::from(place.command(&key).env("SUDO_USER", "ana").output().unwrap()).json();
    let server = place.serve();
    let (status, log) = Client::new(&server.url, key["key"].as_str().unwrap()).get("/v1/audit").await;
    assert_eq!(status, 200);
    let told = log["data"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|row| json!([row["action"], row["actor"]["name"], row["address"]])).collect();
    let expected = [
        json!(["api_key.created", "command line (ana)", null]),
        json!(["user.created", "set-up link", "127.0.0.1"]),
        json!(["tenant.created", "set-up link", "127.0.0.1"]),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn an_older_link_ends_with_the_next_start() {
    let place = Place::new();
    let path = |server: &Server| server.line_with("/setup/").trim().strip_prefix(&server.url).unwrap().to_owned();
    let first = place.serve();
    let old = path(&first);
    assert!(first.stop());
    let second = place.serve();
    let new = path(&second);
    let client = Client::new(&second.url, "");
    assert_eq!((client.get(&old).await.0, client.get(&new).await.0), (404, 200));
    assert_eq!(client.get("/setup/guess").await.0, 404);
    place.run(&["tenant", "create", "--slug", "acme"]).ok();
    let (status, page) = client.get(&new).await;
    let page = page.as_str().expect("a page");
    assert!(status == 410 && !page.contains("<form") && page.contains("tieline key create"), "{page}");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let owner = json!({"tenant": "b", "name": "Ana", "email": "ana@example.com", "password": "correct horse"});
    let (status, problem) = answer(http.post(format!("{}{new}", second.url)).json(&owner)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("already_set_up")));
}

#[test]
fn the_environment_names_the_owner() {
    let place = Place::new();
    let owner = [
        ("TIELINE_OWNER_EMAIL", "ana@example.com"),
        ("TIELINE_OWNER_PASSWORD", "correct horse"),
        ("TIELINE_OWNER_TENANT", "acme"),
    ];
    for _ in 0..2 {
        let mut command = place.command(&["serve"]);
        command.envs(owner);
        let server = Server::start(command);
        let user =
            ["user", "create", "--tenant", "acme", "--role", "agent", "--name", "A", "--email", "ana@example.com"];
        assert_eq!(place.run(&user).refusal(), "There is a user with this email already.");
        assert!(server.stop());
    }
    let place = Place::new();
    let mut command = place.command(&["serve"]);
    command.envs(owner).env("TIELINE_OWNER_PASSWORD", "short");
    let ended: crate::support::Ended = command.output().unwrap().into();
    assert!(!ended.success);
    let last = ended.stderr.lines().last().unwrap().to_owned();
    assert_eq!(
        last,
        "tieline: cannot make the owner that TIELINE_OWNER_… describes: A password has at least 8 characters."
    );
}
