//! Who may do what on the API inbox's surface: every route is in the document, every operation of the document has a row here,
//! and the server holds to it.
//!
//! A new operation is one line of [`ROWS`]: method and path as in the document, who may call it, and a body that is right in
//! itself where `{}` is not. Names in braces, in paths and bodies, stand for ids.

#[path = "support/app.rs"]
mod app;
#[path = "support/bridge.rs"]
mod bridge;

use app::{App, Reply};
use axum::body::Body;
use axum::http::Request;
use bridge::{Bridge, user};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use tieline_core::users::Role;

/// Whoever knows the address; bots and users; users; administrators.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Who {
    Anyone,
    Bot,
    Agent,
    Admin,
}
use Who::{Admin, Agent, Anyone, Bot};

const NONE: &str = "{}";
const MEMBERS: &str = r#"{"inbox_id":{inbox},"user_ids":[{agent}]}"#;
const USERS: &str = r#"{"user_ids":[{agent}]}"#;
const RULE: &str = r#"{"name":"a","event_name":"message_created","conditions":[{"attribute_key":"content",
    "filter_operator":"contains","values":["x"],"query_operator":null}],
    "actions":[{"action_name":"add_label","action_params":["x"]}]}"#;
const NAMED: &str = r#"{"name":"a"}"#;
const SURVEY: &str = r#"{"message":{"submitted_values":{"csat_survey_response":{"rating":5}}}}"#;

/// `A` is an account, `P` an inbox of the client API, `T` a conversation there.
const ROWS: &[(&str, Who, &str)] = &[
    ("GET /api", Anyone, NONE),
    ("GET /health", Anyone, NONE),
    ("GET P", Anyone, NONE),
    ("POST P/messages", Anyone, r#"{"source_id":"s","message":{"content":"a"}}"#),
    ("POST P/contacts", Anyone, NONE),
    ("GET P/contacts/{contact}", Anyone, NONE),
    ("PUT P/contacts/{contact}", Anyone, NAMED),
    ("PATCH P/contacts/{contact}", Anyone, NAMED),
    ("GET P/contacts/{contact}/conversations", Anyone, NONE),
    ("POST P/contacts/{contact}/conversations", Anyone, NONE),
    ("GET T", Anyone, NONE),
    ("POST T/toggle_status", Anyone, NONE),
    ("POST T/toggle_typing", Anyone, r#"{"typing_status":"on"}"#),
    ("POST T/update_last_seen", Anyone, NONE),
    ("GET T/messages", Anyone, NONE),
    ("POST T/messages", Anyone, r#"{"content":"a"}"#),
    ("PUT T/messages/{message}", Anyone, r#"{"submitted_values":[]}"#),
    ("PATCH T/messages/{message}", Anyone, r#"{"submitted_values":[]}"#),
    ("GET /api/v1/profile", Agent, NONE),
    ("PUT /api/v1/profile", Agent, r#"{"profile":{"display_name":"x"}}"#),
    ("PATCH /api/v1/profile", Agent, r#"{"profile":{"display_name":"x"}}"#),
    ("POST /api/v1/profile/availability", Agent, r#"{"profile":{"availability":"busy"}}"#),
    ("POST /api/v1/profile/auto_offline", Agent, r#"{"profile":{"auto_offline":true}}"#),
    ("GET A", Agent, NONE),
    ("GET A/inboxes", Agent, NONE),
    ("POST A/inboxes", Admin, NAMED),
    ("GET A/inboxes/{inbox}", Agent, NONE),
    ("PUT A/inboxes/{inbox}", Admin, NAMED),
    ("PATCH A/inboxes/{inbox}", Admin, NAMED),
    ("DELETE A/inboxes/{inbox}", Admin, NONE),
    ("GET A/inbox_members/{inbox}", Agent, NONE),
    ("POST A/inbox_members", Admin, MEMBERS),
    ("PUT A/inbox_members", Admin, MEMBERS),
    ("PATCH A/inbox_members", Admin, MEMBERS),
    ("DELETE A/inbox_members", Admin, MEMBERS),
    ("GET A/assignable_agents", Agent, NONE),
    ("GET A/contacts", Agent, NONE),
    ("POST A/contacts", Agent, NONE),
    ("GET A/contacts/search", Agent, NONE),
    ("POST A/contacts/filter", Agent, r#"{"payload":[]}"#),
    ("GET A/contacts/{contact}", Agent, NONE),
    ("PUT A/contacts/{contact}", Agent, NAMED),
    ("PATCH A/contacts/{contact}", Agent, NAMED),
    ("DELETE A/contacts/{contact}", Admin, NONE),
    ("GET A/contacts/{contact}/conversations", Agent, NONE),
    ("GET A/contacts/{contact}/contactable_inboxes", Agent, NONE),
    ("POST A/contacts/{contact}/contact_inboxes", Agent, r#"{"inbox_id":{inbox}}"#),
    ("POST A/contacts/{contact}/destroy_custom_attributes", Agent, r#"{"custom_attributes":["a"]}"#),
    ("POST A/contact_inboxes/filter", Agent, r#"{"inbox_id":{inbox},"source_id":"s"}"#),
    ("POST A/actions/contact_merge", Agent, r#"{"base_contact_id":{contact},"mergee_contact_id":999998}"#),
    ("GET A/conversations", Agent, NONE),
    ("POST A/conversations", Bot, r#"{"inbox_id":{inbox},"contact_id":{contact}}"#),
    ("GET A/conversations/meta", Agent, NONE),
    ("GET A/conversations/{conversation}", Bot, NONE),
    ("PUT A/conversations/{conversation}", Bot, NONE),
    ("PATCH A/conversations/{conversation}", Bot, NONE),
    ("POST A/conversations/{conversation}/toggle_status", Bot, NONE),
    ("POST A/conversations/{conversation}/toggle_priority", Bot, r#"{"priority":"low"}"#),
    ("POST A/conversations/{conversation}/toggle_typing_status", Bot, r#"{"typing_status":"on"}"#),
    ("POST A/conversations/{conversation}/assignments", Bot, r#"{"assignee_id":null}"#),
    ("GET A/conversations/{conversation}/labels", Bot, NONE),
    ("POST A/conversations/{conversation}/labels", Bot, r#"{"labels":[]}"#),
    ("POST A/conversations/{conversation}/custom_attributes", Bot, r#"{"custom_attributes":{}}"#),
    ("POST A/conversations/{conversation}/update_last_seen", Agent, NONE),
    ("GET A/conversations/{conversation}/participants", Agent, NONE),
    ("POST A/conversations/{conversation}/participants", Agent, r#"{"user_ids":[]}"#),
    ("PUT A/conversations/{conversation}/participants", Agent, r#"{"user_ids":[]}"#),
    ("PATCH A/conversations/{conversation}/participants", Agent, r#"{"user_ids":[]}"#),
    ("DELETE A/conversations/{conversation}/participants", Agent, r#"{"user_ids":[]}"#),
    ("DELETE A/conversations/{conversation}", Admin, NONE),
    ("POST A/conversations/{conversation}/mute", Agent, NONE),
    ("POST A/conversations/{conversation}/unmute", Agent, NONE),
    ("POST A/conversations/{conversation}/unread", Agent, NONE),
    ("POST A/conversations/{conversation}/transcript", Agent, r#"{"email":"ana@example.com"}"#),
    ("GET A/conversations/{conversation}/attachments", Agent, NONE),
    ("POST A/conversations/{conversation}/messages/{message}/retry", Agent, NONE),
    ("GET A/contacts/{contact}/notes", Agent, NONE),
    ("POST A/contacts/{contact}/notes", Agent, r#"{"content":"a"}"#),
    ("GET A/contacts/{contact}/notes/{note}", Agent, NONE),
    ("PUT A/contacts/{contact}/notes/{note}", Agent, r#"{"content":"a"}"#),
    ("PATCH A/contacts/{contact}/notes/{note}", Agent, r#"{"content":"a"}"#),
    ("DELETE A/contacts/{contact}/notes/{note}", Agent, NONE),
    ("DELETE A/contacts/{contact}/avatar", Agent, NONE),
    ("GET A/canned_responses", Agent, NONE),
    ("POST A/canned_responses", Agent, r#"{"short_code":"a","content":"a"}"#),
    ("PUT A/canned_responses/{canned}", Agent, r#"{"content":"a"}"#),
    ("PATCH A/canned_responses/{canned}", Agent, r#"{"content":"a"}"#),
    ("DELETE A/canned_responses/{canned}", Agent, NONE),
    ("GET A/search", Agent, NONE),
    ("GET A/search/{kind}", Agent, NONE),
    ("GET /public/api/v1/csat_survey/{conversation}", Anyone, NONE),
    ("PUT /public/api/v1/csat_survey/{conversation}", Anyone, SURVEY),
    ("PATCH /public/api/v1/csat_survey/{conversation}", Anyone, SURVEY),
    ("GET A/conversations/{conversation}/messages", Agent, NONE),
    ("POST A/conversations/{conversation}/messages", Bot, r#"{"content":"a"}"#),
    ("PUT A/conversations/{conversation}/messages/{message}", Agent, r#"{"status":"read"}"#),
    ("PATCH A/conversations/{conversation}/messages/{message}", Agent, r#"{"status":"read"}"#),
    ("DELETE A/conversations/{conversation}/messages/{message}", Agent, NONE),
    ("GET A/agents", Agent, NONE),
    ("POST A/agents", Admin, r#"{"email":"new@example.com","name":"New"}"#),
    ("PUT A/agents/{agent}", Admin, NAMED),
    ("PATCH A/agents/{agent}", Admin, NAMED),
    ("DELETE A/agents/{agent}", Admin, NONE),
    ("GET A/teams", Agent, NONE),
    ("POST A/teams", Admin, NAMED),
    ("GET A/teams/{team}", Agent, NONE),
    ("PUT A/teams/{team}", Admin, NAMED),
    ("PATCH A/teams/{team}", Admin, NAMED),
    ("DELETE A/teams/{team}", Admin, NONE),
    ("GET A/teams/{team}/team_members", Agent, NONE),
    ("POST A/teams/{team}/team_members", Admin, USERS),
    ("PUT A/teams/{team}/team_members", Admin, USERS),
    ("PATCH A/teams/{team}/team_members", Admin, USERS),
    ("DELETE A/teams/{team}/team_members", Admin, USERS),
    ("GET A/inboxes/{inbox}/agent_bot", Agent, NONE),
    ("POST A/inboxes/{inbox}/set_agent_bot", Admin, r#"{"agent_bot":{bot}}"#),
    ("GET A/contacts/{contact}/labels", Agent, NONE),
    ("POST A/contacts/{contact}/labels", Agent, r#"{"labels":["a"]}"#),
    ("POST A/conversations/filter", Agent, r#"{"payload":[]}"#),
    ("GET A/conversations/search", Agent, NONE),
    ("GET A/agent_bots", Agent, NONE),
    ("POST A/agent_bots", Admin, NAMED),
    ("GET A/agent_bots/{bot}", Agent, NONE),
    ("PUT A/agent_bots/{bot}", Admin, NAMED),
    ("PATCH A/agent_bots/{bot}", Admin, NAMED),
    ("DELETE A/agent_bots/{bot}", Admin, NONE),
    ("POST A/agent_bots/{bot}/reset_access_token", Admin, NONE),
    ("POST A/agent_bots/{bot}/reset_secret", Admin, NONE),
    ("GET A/automation_rules", Admin, NONE),
    ("POST A/automation_rules", Admin, RULE),
    ("GET A/automation_rules/{rule}", Admin, NONE),
    ("PUT A/automation_rules/{rule}", Admin, NAMED),
    ("PATCH A/automation_rules/{rule}", Admin, NAMED),
    ("DELETE A/automation_rules/{rule}", Admin, NONE),
    ("POST A/automation_rules/{rule}/clone", Admin, NONE),
    ("GET A/webhooks", Admin, NONE),
    ("POST A/webhooks", Admin, r#"{"url":"https://example.com/hook"}"#),
    ("PUT A/webhooks/{webhook}", Admin, NAMED),
    ("PATCH A/webhooks/{webhook}", Admin, NAMED),
    ("DELETE A/webhooks/{webhook}", Admin, NONE),
    ("POST A/inboxes/{inbox}/reset_secret", Admin, NONE),
    ("GET /api/v2/accounts/{account}/reports", Admin, NONE),
    ("GET /api/v2/accounts/{account}/reports/summary", Admin, NONE),
    ("GET /api/v2/accounts/{account}/reports/conversations", Admin, NONE),
    ("GET A/labels", Bot, NONE),
    ("POST A/labels", Admin, r#"{"title":"a"}"#),
    ("GET A/labels/{label}", Agent, NONE),
    ("PUT A/labels/{label}", Admin, r#"{"title":"b"}"#),
    ("PATCH A/labels/{label}", Admin, r#"{"title":"b"}"#),
    ("DELETE A/labels/{label}", Admin, NONE),
    ("GET A/custom_attribute_definitions", Agent, NONE),
    ("POST A/custom_attribute_definitions", Admin, r#"{"attribute_key":"a","attribute_model":0}"#),
    ("GET A/custom_attribute_definitions/{definition}", Agent, NONE),
    ("PUT A/custom_attribute_definitions/{definition}", Admin, r#"{"attribute_display_name":"b"}"#),
    ("PATCH A/custom_attribute_definitions/{definition}", Admin, r#"{"attribute_display_name":"b"}"#),
    ("DELETE A/custom_attribute_definitions/{definition}", Admin, NONE),
];

/// The operation in the document's words.
fn spelled(row: &str) -> String {
    let (method, path) = row.split_once(' ').expect("a method");
    let (head, rest) = path.split_at(1);
    let head = match head {
        "A" => "/api/v1/accounts/{account}",
        "P" => "/public/api/v1/inboxes/{inbox}",
        "T" => "/public/api/v1/inboxes/{inbox}/contacts/{contact}/conversations/{conversation}",
        other => other,
    };
    format!("{method} {head}{rest}")
}

/// Every operation of the document.
fn documented() -> BTreeSet<String> {
    let (_, document) =
        tieline_api::documents().into_iter().find(|(name, _)| *name == "chatwoot").expect("it is there");
    let document = serde_json::to_value(&document).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").iter();
    let operations = paths.flat_map(|(path, item)| {
        item.as_object().expect("methods").keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    operations.collect()
}

/// Ids by the names that stand for them.
type Ids = HashMap<&'static str, String>;

fn filled(text: &str, ids: &Ids) -> String {
    ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
}

/// Ids of nothing, in account `account`.
fn nothing(account: &str) -> Ids {
    let names = [
        "inbox",
        "contact",
        "conversation",
        "message",
        "agent",
        "team",
        "label",
        "definition",
        "bot",
        "rule",
        "webhook",
        "canned",
        "note",
        "kind",
    ];
    names.into_iter().map(|name| (name, "999999".to_owned())).chain([("account", account.to_owned())]).collect()
}

async fn send(app: &App, row: &(&str, Who, &str), ids: &Ids, token: Option<&str>) -> Reply {
    let operation = filled(&spelled(row.0), ids);
    let (method, path) = operation.split_once(' ').expect("a method");
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("api_access_token", token);
    }
    let body = if method == "GET" { Body::empty() } else { Body::from(filled(row.2, ids)) };
    app.send(request.body(body).expect("a request")).await
}

#[tokio::test]
async fn every_route_is_in_the_document() {
    let app = App::new().await;
    let mut routes = BTreeSet::new();
    for path in tieline_api::chatwoot::paths() {
        // What a path does not take is refused with what it takes.
        let request = Request::builder().method("PURGE").uri(filled(&path, &nothing("1"))).body(Body::empty());
        let reply = app.send(request.expect("a request")).await;
        assert_eq!(reply.status, 405, "{path}");
        let methods = reply.headers["allow"].to_str().expect("text").split(',').map(str::trim);
        routes.extend(
            methods.filter(|method| !["HEAD", "OPTIONS"].contains(method)).map(|method| format!("{method} {path}")),
        );
    }
    let documented = documented();
    let missing: Vec<_> = routes.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&routes).collect();
    assert!(missing.is_empty(), "add to crates/api/src/chatwoot/document/operations: {missing:#?}");
    assert!(gone.is_empty(), "no route any more: {gone:#?}");
}

#[tokio::test]
async fn every_operation_has_a_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|(row, ..)| spelled(row)).collect();
    let documented = documented();
    let missing: Vec<_> = documented.difference(&rows).collect();
    let gone: Vec<_> = rows.difference(&documented).collect();
    assert!(missing.is_empty() && gone.is_empty(), "add to ROWS: {missing:#?}; no operation any more: {gone:#?}");
    assert_eq!(rows.len(), ROWS.len(), "an operation has two rows");
}

#[tokio::test]
async fn without_a_token_only_the_client_api_answers() {
    let app = App::new().await;
    for row in ROWS {
        let reply = send(&app, row, &nothing("1"), None).await;
        if row.1 == Anyone {
            assert!([200, 404].contains(&reply.status.as_u16()), "{row:?}: {}", reply.status);
            continue;
        }
        let text = "You need to sign in or sign up before continuing.";
        assert_eq!(reply.expect(401)["errors"][0], text, "{row:?}");
    }
}

#[tokio::test]
async fn agents_and_bots_may_do_what_the_row_says() {
    let app = App::new().await;
    let (agent, _) = user(&app, "acme", "Caio", Role::Agent).await;
    let (admin, _) = user(&app, "acme", "Bea", Role::Admin).await;
    let bot = Bridge { app: &app, token: admin.clone() }.post("/agent_bots", json!({"name": "Bot"})).await;
    let bot = bot["access_token"].as_str().expect("for administrators").to_owned();
    for row in ROWS.iter().filter(|(_, who, _)| *who != Anyone) {
        let reply = send(&app, row, &nothing("1"), Some(&agent)).await;
        if row.1 == Admin {
            assert_eq!(reply.expect(401)["error"], "You are not authorized to do this action", "{row:?}");
        } else {
            assert!([200, 404, 422].contains(&reply.status.as_u16()), "{row:?}: {}", reply.status);
        }
        let reply = send(&app, row, &nothing("1"), Some(&admin)).await;
        let reply_to_bot = send(&app, row, &nothing("1"), Some(&bot)).await;
        if row.1 == Bot {
            assert!([200, 404, 422].contains(&reply_to_bot.status.as_u16()), "{row:?}: {}", reply_to_bot.status);
        } else {
            let text = "Access to this endpoint is not authorized for bots";
            assert_eq!(reply_to_bot.expect(401)["error"], text, "{row:?}");
        }
        let answers = [200, 204, 404, 422].contains(&reply.status.as_u16());
        // Agents that a request names and who are none are 401 there.
        let strangers = || reply.json()["error"] == "Invalid User IDs";
        assert!(answers || strangers(), "{row:?}: {}", reply.status);
    }
}

/// What an account has, by the names in paths; `door` is the identifier of its inbox.
async fn things(app: &App, slug: &str, account: i64) -> (Ids, String, String) {
    let (token, _) = user(app, slug, &format!("Owner{account}"), Role::Owner).await;
    let (_, agent) = user(app, slug, &format!("Agent{account}"), Role::Agent).await;
    let call = async |path: &str, body: Value| {
        let request = Request::builder().method("POST").uri(format!("/api/v1/accounts/{account}{path}"));
        let request = request.header("api_access_token", &token).header("content-type", "application/json");
        app.send(request.body(Body::from(body.to_string())).expect("a request")).await.expect(200)
    };
    let inbox = call("/inboxes", json!({"name": "Shop", "channel": {"type": "api"}})).await;
    let door = inbox["inbox_identifier"].as_str().expect("an identifier").to_owned();
    let contact = call("/contacts", json!({"name": "Ana", "inbox_id": inbox["id"], "source_id": "s"})).await;
    let contact = contact["payload"]["contact"]["id"].clone();
    let opening = json!({"inbox_id": inbox["id"], "contact_id": contact});
    for _ in 0..2 {
        call("/conversations", opening.clone()).await;
    }
    // A number that the other account does not have.
    let conversation = call("/conversations", opening).await["id"].clone();
    let message = call(&format!("/conversations/{conversation}/messages"), json!({"content": "a"})).await;
    let team = call("/teams", json!({"name": "a"})).await;
    let label = call("/labels", json!({"title": "a"})).await;
    let field = call("/custom_attribute_definitions", json!({"attribute_key": "a", "attribute_model": 0})).await;
    let bot = call("/agent_bots", json!({"name": "a"})).await;
    let rule = call("/automation_rules", serde_json::from_str(RULE).expect("JSON")).await;
    let canned = call("/canned_responses", json!({"short_code": "a", "content": "a"})).await;
    let note = call(&format!("/contacts/{contact}/notes"), json!({"content": "a"})).await;
    let hook = call("/webhooks", json!({"url": "https://example.com/hook"})).await;
    let ids = [
        ("account", json!(account)),
        ("inbox", inbox["id"].clone()),
        ("contact", contact),
        ("conversation", conversation),
        ("message", message["id"].clone()),
        ("agent", json!(agent)),
        ("team", team["id"].clone()),
        ("label", label["id"].clone()),
        ("definition", field["id"].clone()),
        ("bot", bot["id"].clone()),
        ("rule", rule["id"].clone()),
        ("webhook", hook["payload"]["webhook"]["id"].clone()),
        ("canned", canned["id"].clone()),
        ("note", note["id"].clone()),
    ];
    let ids = ids.into_iter().map(|(name, id)| (name, id.to_string()));
    (ids.chain([("kind", "contacts".to_owned())]).collect(), door, token)
}

#[tokio::test]
async fn another_accounts_ids_name_nothing() {
    let app = App::new().await;
    let other = app.tenant("other").await.id.0;
    let (theirs, their_door, stranger) = things(&app, "other", other).await;
    let (admin, _) = user(&app, "acme", "Bea", Role::Admin).await;
    let bridge = Bridge { app: &app, token: admin.clone() };
    let door = bridge.post("/inboxes", json!({"name": "Mine", "channel": {"type": "api"}})).await;
    let door = door["inbox_identifier"].as_str().expect("an identifier").to_owned();
    for row in ROWS {
        let operation = spelled(row.0);
        if operation.contains("{account}") {
            let reply = send(&app, row, &theirs, Some(&admin)).await;
            let text = "You are not authorized to access this account";
            assert_eq!(reply.expect(401)["error"], text, "{row:?}");
        }
        let is_id = |name: &str| !["account", "kind"].contains(&name);
        let names = |text: &str| theirs.keys().any(|name| is_id(name) && text.contains(&format!("{{{name}}}")));
        if !names(&operation) && !names(row.2) {
            continue;
        }
        let mut ids = theirs.clone();
        ids.insert("account", "1".into());
        if row.1 == Anyone {
            // Their contact and conversation at our inbox, and what is not there at theirs.
            ids.insert("contact", "s".into());
            ids.insert("inbox", door.clone());
            if !operation.contains("{contact}") {
                ids.insert("inbox", "nothing".into());
            }
        }
        let reply = send(&app, row, &ids, Some(&admin)).await;
        match reply.status.as_u16() {
            401 => assert_eq!(reply.json()["error"], "Invalid User IDs", "{row:?}"),
            status => assert_eq!(status, 404, "{row:?}: {}", String::from_utf8_lossy(&reply.body)),
        }
    }
    // It is all still there for its owner.
    for row in ROWS.iter().filter(|(row, ..)| row.starts_with("GET A/")) {
        send(&app, row, &theirs, Some(&stranger)).await.expect(200);
    }
    bridge.public("GET", &format!("{their_door}/contacts/s/conversations"), None).await.expect(200);
}
