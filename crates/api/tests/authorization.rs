//! Who may do what: every operation of the document has a row here, and the server holds to it.
//!
//! A new operation is one line of [`ROWS`]: method and path, the scope (`any` for every key, `a|b` for either), and a body
//! that is right in itself where `{}` is not. Everything else comes from the document: requests without a key, with
//! every key that lacks the scope, and with another tenant's ids. An id of a new kind needs a line of [`THINGS`].

#[path = "support/app.rs"]
mod app;

use app::App;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use tieline_core::keys::scopes::{Scope, Scopes};
use tieline_core::keys::token::Mode;

const NONE: &str = "{}";

const ROWS: &[(&str, &str, &str)] = &[
    ("GET /api/v1/contacts", "contacts:read", NONE),
    ("POST /api/v1/contacts", "contacts:write", NONE),
    ("GET /api/v1/contacts/{id}", "contacts:read", NONE),
    ("PATCH /api/v1/contacts/{id}", "contacts:write", NONE),
    ("GET /api/v1/conversations", "conversations:read", NONE),
    ("GET /api/v1/conversations/{id}", "conversations:read", NONE),
    ("GET /api/v1/conversations/{id}/messages", "messages:read", NONE),
    ("POST /api/v1/conversations/{id}/messages", "messages:send", r#"{"content":"a"}"#),
    ("GET /api/v1/me", "any", NONE),
    ("GET /api/v1/webhooks", "webhooks:write", NONE),
    ("POST /api/v1/webhooks", "webhooks:write", NONE),
    ("GET /api/v1/webhooks/{id}", "webhooks:write", NONE),
    ("PATCH /api/v1/webhooks/{id}", "webhooks:write", NONE),
    ("DELETE /api/v1/webhooks/{id}", "webhooks:write", NONE),
    ("GET /api/v1/webhooks/{id}/deliveries", "webhooks:write", NONE),
    ("GET /api/v1/webhooks/{id}/deliveries/{deliveryId}", "webhooks:write", NONE),
    ("POST /api/v1/webhooks/{id}/deliveries/{deliveryId}/redeliver", "webhooks:write", NONE),
    ("POST /api/v1/webhooks/{id}/rotate-secret", "webhooks:write", NONE),
    ("POST /api/v1/webhooks/{id}/test", "webhooks:write", NONE),
    ("GET /v1/api-keys", "settings:read", NONE),
    ("POST /v1/api-keys", "settings:write", NONE),
    ("GET /v1/api-keys/{id}", "settings:read", NONE),
    ("PATCH /v1/api-keys/{id}", "settings:write", NONE),
    ("DELETE /v1/api-keys/{id}", "settings:write", NONE),
    ("POST /v1/api-keys/{id}/rotate", "settings:write", NONE),
    ("POST /v1/attachments", "attachments:write", NONE),
    ("GET /v1/attachments/{id}", "attachments:read|messages:read", NONE),
    ("GET /v1/automations", "automations:read", NONE),
    ("POST /v1/automations", "automations:write", NONE),
    ("GET /v1/automations/{id}", "automations:read", NONE),
    ("PATCH /v1/automations/{id}", "automations:write", NONE),
    ("DELETE /v1/automations/{id}", "automations:write", NONE),
    ("GET /v1/contacts", "contacts:read", NONE),
    ("POST /v1/contacts", "contacts:write", NONE),
    ("GET /v1/contacts/{id}", "contacts:read", NONE),
    ("PATCH /v1/contacts/{id}", "contacts:write", NONE),
    ("DELETE /v1/contacts/{id}", "contacts:write", NONE),
    ("POST /v1/contacts/{id}/merge", "contacts:write", r#"{"from":["con_01920000000070008000000000000001"]}"#),
    ("GET /v1/conversations", "conversations:read", NONE),
    ("POST /v1/conversations", "conversations:write", NONE),
    ("GET /v1/audit", "settings:read", NONE),
    ("GET /v1/conversations/{id}", "conversations:read", NONE),
    ("PATCH /v1/conversations/{id}", "conversations:write", r#"{"status":"done"}"#),
    ("POST /v1/conversations/{id}/merge", "conversations:write", r#"{"into":"conv_01920000000070008000000000000001"}"#),
    ("GET /v1/conversations/{id}/messages", "conversations:read|messages:read", NONE),
    ("POST /v1/conversations/{id}/messages", "conversations:write|messages:send", MESSAGE),
    ("POST /v1/conversations/{id}/notes", "conversations:write", r#"{"text":"a"}"#),
    ("PUT /v1/conversations/{id}/tags/{slug}", "conversations:write|tags:write", NONE),
    ("DELETE /v1/conversations/{id}/tags/{slug}", "conversations:write|tags:write", NONE),
    ("POST /v1/conversations/outbound", "conversations:write", NONE),
    ("GET /v1/custom-fields", "settings:read", NONE),
    ("POST /v1/custom-fields", "settings:write", NONE),
    ("GET /v1/custom-fields/{id}", "settings:read", NONE),
    ("PATCH /v1/custom-fields/{id}", "settings:write", NONE),
    ("DELETE /v1/custom-fields/{id}", "settings:write", NONE),
    ("GET /v1/events", "events:read", NONE),
    ("GET /v1/inboxes", "channels:read", NONE),
    ("POST /v1/inboxes", "channels:write", NONE),
    ("GET /v1/inboxes/{id}", "channels:read", NONE),
    ("PATCH /v1/inboxes/{id}", "channels:write", NONE),
    ("DELETE /v1/inboxes/{id}", "channels:write", NONE),
    ("GET /v1/inboxes/{id}/health", "channels:read", NONE),
    ("GET /v1/me", "any", NONE),
    ("GET /v1/messages/{id}", "conversations:read|messages:read", NONE),
    ("POST /v1/messages/{id}/status", "conversations:write|messages:send", r#"{"status":"sent"}"#),
    ("GET /v1/request-log", "settings:read", NONE),
    ("GET /v1/stream", "events:read", NONE),
    ("GET /v1/tags", "tags:read", NONE),
    ("POST /v1/tags", "tags:write", NONE),
    ("GET /v1/tags/{id}", "tags:read", NONE),
    ("PATCH /v1/tags/{id}", "tags:write", NONE),
    ("DELETE /v1/tags/{id}", "tags:write", NONE),
    ("GET /v1/teams", "teams:read", NONE),
    ("POST /v1/teams", "teams:write", NONE),
    ("GET /v1/teams/{id}", "teams:read", NONE),
    ("PATCH /v1/teams/{id}", "teams:write", NONE),
    ("DELETE /v1/teams/{id}", "teams:write", NONE),
    ("GET /v1/tenant", "settings:read", NONE),
    ("PATCH /v1/tenant", "settings:write", NONE),
    ("GET /v1/users", "users:read", NONE),
    ("POST /v1/users", "users:write", NONE),
    ("GET /v1/users/{id}", "users:read", NONE),
    ("PATCH /v1/users/{id}", "users:write", NONE),
    ("GET /v1/webhooks", "webhooks:read", NONE),
    ("POST /v1/webhooks", "webhooks:write", NONE),
    ("GET /v1/webhooks/{id}", "webhooks:read", NONE),
    ("PATCH /v1/webhooks/{id}", "webhooks:write", NONE),
    ("PUT /v1/webhooks/{id}", "webhooks:write", r#"{"name":"a","url":"https://example.com/h","events":["*"]}"#),
    ("DELETE /v1/webhooks/{id}", "webhooks:write", NONE),
    ("GET /v1/webhooks/{id}/deliveries", "webhooks:read", NONE),
    ("GET /v1/webhooks/{id}/deliveries/{deliveryId}", "webhooks:read", NONE),
    ("POST /v1/webhooks/{id}/deliveries/{deliveryId}/redeliver", "webhooks:write", NONE),
    ("POST /v1/webhooks/{id}/replay", "webhooks:write", r#"{"since":"2026-05-12T09:00:00Z"}"#),
    ("POST /v1/webhooks/{id}/rotate-secret", "webhooks:write", NONE),
    ("POST /v1/webhooks/{id}/test", "webhooks:write", NONE),
];

/// What the other tenant has: where paths begin that take its ids, how it is made (with ids of lines above), and where
/// the answer has the id.
const THINGS: &[(&str, &str, &str, &str)] = &[
    ("/api/v1/contacts/", "/api/v1/contacts", r#"{"phoneNumber":"+5511987654321"}"#, "/data/id"),
    ("/api/v1/conversations/", "/v1/conversations", r#"{"contact":{"email":"a@example.com"}}"#, "/id"),
    (
        "/api/v1/webhooks/",
        "/api/v1/webhooks",
        r#"{"name":"a","url":"https://example.com/h","events":["*"]}"#,
        "/data/id",
    ),
    ("/v1/api-keys/", "/v1/api-keys", r#"{"name":"a","scopes":["basic"]}"#, "/id"),
    ("/v1/attachments/", "/v1/attachments", NONE, "/id"),
    ("/v1/automations/", "/v1/automations", AUTOMATION, "/id"),
    ("/v1/contacts/", "/v1/contacts", r#"{"email":"other@example.com"}"#, "/id"),
    ("/v1/conversations/", "/v1/conversations/outbound", OUTBOUND, "/id"),
    ("/v1/custom-fields/", "/v1/custom-fields", r#"{"name":"a","type":"text","entity":"contact"}"#, "/id"),
    ("/v1/inboxes/", "/v1/inboxes", r#"{"name":"a","channel":"api"}"#, "/id"),
    ("/v1/messages/", "/v1/conversations/{id}/messages", MESSAGE, "/id"),
    ("/v1/tags/", "/v1/tags", r#"{"name":"a"}"#, "/id"),
    ("/v1/teams/", "/v1/teams", r#"{"name":"a"}"#, "/id"),
    ("/v1/users/", "/v1/users", r#"{"email":"u@example.com","name":"u"}"#, "/id"),
    ("/v1/webhooks/", "/v1/webhooks", r#"{"name":"a","url":"https://example.com/h","events":["*"]}"#, "/id"),
];

const OUTBOUND: &str = r#"{"externalReference":"o-1","subject":"s","contact":{"email":"a@example.com"},
    "outboundContext":{"originalMessage":"hello"}}"#;

const AUTOMATION: &str = r#"{"name":"a","trigger":"message.received","branches":[{"actions":[{"type":"mute"}]}]}"#;

const MESSAGE: &str = r#"{"direction":"outbound","text":"hello"}"#;

/// For path parts after the first: the first decides whose thing it is.
const SECOND: &str = "dlv_01920000000070008000000000000001";

/// The paths of the documents of dialects that keys open; chatwoot_authorization.rs has those of tokens.
fn document(_: &App) -> Value {
    let documents = tieline_api::documents().into_iter().filter(|(name, _)| *name != "chatwoot");
    let documents = documents.map(|(_, document)| serde_json::to_value(&document).unwrap());
    let mut paths = serde_json::Map::new();
    for document in documents {
        paths.extend(document["paths"].as_object().unwrap().clone());
    }
    json!({"paths": paths})
}

/// Whether the operation's success is a stream, which has no end to wait for.
fn is_stream(document: &Value, method: &str, path: &str) -> bool {
    let content = &document["paths"][path][method.to_lowercase()]["responses"]["200"]["content"];
    content.get("text/event-stream").is_some()
}

/// Every operation of the document, `GET /v1/me`.
fn operations(app: &App) -> BTreeSet<String> {
    let document = document(app);
    let methods = ["get", "post", "put", "patch", "delete"];
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, _) in item.as_object().unwrap().iter().filter(|(name, _)| methods.contains(&name.as_str())) {
            found.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    found
}

/// The path with an id of the right kind: the first of `ids` that fits, then [`SECOND`].
fn filled(path: &str, ids: &HashMap<&str, String>) -> String {
    let mut filled = path.to_owned();
    if let (Some(start), Some(end)) = (filled.find('{'), filled.find('}')) {
        let kind = &path[..start];
        let id = ids.get(kind).unwrap_or_else(|| panic!("add a line to THINGS for ids of {kind}"));
        filled.replace_range(start..=end, id);
    }
    while let (Some(start), Some(end)) = (filled.find('{'), filled.find('}')) {
        filled.replace_range(start..=end, SECOND);
    }
    filled
}

/// The other tenant's things, by where their paths begin; one that nothing takes by id yet is not made.
async fn things(app: &App, key: &str) -> HashMap<&'static str, String> {
    let operations = operations(app);
    let mut ids = HashMap::new();
    for (begin, path, body, id) in THINGS {
        if operations.iter().any(|operation| operation.contains(&format!("{begin}{{"))) {
            let made = app
                .call(key, "POST", &filled(path, &ids), &[], Some(serde_json::from_str(body).unwrap()))
                .await
                .expect(201);
            ids.insert(*begin, made.pointer(id).and_then(Value::as_str).unwrap().to_owned());
        }
    }
    ids
}

fn body(method: &str, text: &str) -> Option<Value> {
    (method != "GET" && method != "DELETE").then(|| serde_json::from_str(text).unwrap())
}

#[tokio::test]
async fn every_operation_has_a_row() {
    let app = App::new().await;
    let rows: BTreeSet<String> = ROWS.iter().map(|(operation, ..)| (*operation).to_owned()).collect();
    let operations = operations(&app);
    let missing: Vec<_> = operations.difference(&rows).collect();
    let gone: Vec<_> = rows.difference(&operations).collect();
    assert!(missing.is_empty(), "add to ROWS: {missing:?}");
    assert!(gone.is_empty(), "no operation any more: {gone:?}");
    assert_eq!(rows.len(), ROWS.len(), "an operation has two rows");
}

#[tokio::test]
async fn the_document_says_which_scope_an_operation_needs() {
    let app = App::new().await;
    let document = document(&app);
    for (operation, scope, _) in ROWS {
        let (method, path) = operation.split_once(' ').unwrap();
        let atteny = path.starts_with("/api/");
        let needs = scope.split('|').map(|scope| match scope {
            "any" => json!({"key": []}),
            "webhooks:write" if atteny => json!({"key": ["webhooks:manage"]}),
            scope => json!({"key": [scope]}),
        });
        let said = &document["paths"][path][method.to_lowercase()]["security"];
        assert_eq!(*said, Value::Array(needs.collect()), "{operation}");
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_answered() {
    let app = App::new().await;
    let ids = things(&app, &app.key).await;
    for (operation, _, text) in ROWS {
        let (method, path) = operation.split_once(' ').unwrap();
        let mut request = axum::http::Request::builder().method(method).uri(filled(path, &ids));
        let sent = body(method, text).map_or(String::new(), |body| body.to_string());
        request = request.header("content-type", "application/json");
        let reply = app.send(request.body(sent.into()).unwrap()).await;
        assert_eq!(reply.expect(401)["code"], "unauthorized", "{operation}");
        assert_eq!(reply.headers["www-authenticate"], "Bearer", "{operation}");
    }
}

#[tokio::test]
async fn a_key_needs_the_scope_of_the_row_and_no_other() {
    let app = App::new().await;
    // Ids of things that are not there: what passes the scope check ends in 404 or 400 and changes nothing.
    let ids = things(&app, &app.key).await;
    let ids: HashMap<_, _> = ids
        .into_iter()
        .map(|(kind, id)| (kind, format!("{}_{}", id.rsplit_once('_').unwrap().0, "0".repeat(32))))
        .collect();
    let document = document(&app);
    for (operation, scope, text) in ROWS {
        let (method, template) = operation.split_once(' ').unwrap();
        let path = filled(template, &ids);
        let wanted: Vec<Scope> = match *scope {
            "any" => Vec::new(),
            names => names.split('|').map(|name| Scope::from_text(name).expect("a scope")).collect(),
        };
        let alone = |name: &str| Scopes::parse([name], "").unwrap();
        let lacking: Vec<&str> = Scope::ALL
            .iter()
            .map(|one| one.name())
            .filter(|name| !wanted.iter().any(|wanted| alone(name).allows(*wanted)))
            .collect();
        let without = app.key("acme", Mode::Live, &lacking).await;
        let reply = app.call(&without, method, &path, &[], body(method, text)).await;
        if wanted.is_empty() {
            assert!(reply.status.is_success(), "{operation}: {}", reply.status);
            continue;
        }
        let problem = reply.expect(403);
        assert_eq!(problem["code"], "insufficient_scope", "{operation}");
        let word = |scope: Scope| match scope {
            Scope::WebhooksWrite if path.starts_with("/api/") => "webhooks:manage",
            _ => scope.name(),
        };
        assert!(wanted.iter().any(|wanted| problem["requiredScope"] == word(*wanted)), "{operation}: {problem}");
        for wanted in wanted.iter().filter(|_| !is_stream(&document, method, template)) {
            let with = app.key("acme", Mode::Live, &[wanted.name()]).await;
            let reply = app.call(&with, method, &path, &[], body(method, text)).await;
            let status = reply.status.as_u16();
            // 201: an upload takes any body.
            assert!([200, 201, 400, 404].contains(&status), "{operation} with {wanted}: {status}");
        }
    }
}

#[tokio::test]
async fn another_tenants_ids_name_nothing() {
    let app = App::new().await;
    app.tenant("other").await;
    let other = app.key("other", Mode::Live, &["full_access"]).await;
    let ids = things(&app, &other).await;
    for (operation, _, text) in ROWS.iter().filter(|(operation, ..)| operation.contains('{')) {
        let (method, path) = operation.split_once(' ').unwrap();
        let path = filled(path, &ids);
        let reply = app.call(&app.key, method, &path, &[], body(method, text)).await;
        assert_eq!(reply.expect(404)["code"], "not_found", "{operation}");
    }
    // They are all still there for their owner.
    for (kind, id) in &ids {
        if ROWS.iter().any(|(operation, ..)| *operation == format!("GET {kind}{{id}}")) {
            app.call(&other, "GET", &format!("{kind}{id}"), &[], None).await.expect(200);
        }
    }
    let list = app.get("/api/v1/contacts").await.expect(200);
    assert_eq!(list, json!({"success": true, "data": [], "meta": {"total": 0, "page": 1, "limit": 20}}));
    let list = app.get("/v1/contacts").await.expect(200);
    assert_eq!(list, json!({"data": [], "hasMore": false, "nextCursor": null}));
}
