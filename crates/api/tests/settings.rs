//! Tags, teams, custom fields and inboxes on `/v1`.

#[path = "support/app.rs"]
mod app;

use app::{App, Reply};
use serde_json::{Value, json};
use tieline_core::ids::{EndpointId, InboxId};
use tieline_core::webhooks;

fn at(path: &str, thing: &Value) -> String {
    format!("{path}/{}", thing["id"].as_str().unwrap())
}

async fn outbound(app: &App, reference: &str, more: Value) -> Value {
    let mut body = json!({"externalReference": reference, "subject": "s", "contact": {"email": "a@example.com"}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    app.post("/v1/conversations/outbound", body).await.expect(201)
}

#[track_caller]
fn field_error(reply: &Reply) -> (String, String) {
    let problem = reply.expect(400);
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{problem}");
    (errors[0]["pointer"].as_str().unwrap().to_owned(), errors[0]["code"].as_str().unwrap().to_owned())
}

fn names(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[tokio::test]
async fn tags_have_slugs_that_never_change() {
    let app = App::new().await;
    let reply = app.post("/v1/tags", json!({"name": " Reclamação do cliente "})).await;
    let tag = reply.expect(201);
    assert_eq!(reply.headers["location"], at("/v1/tags", &tag));
    assert_eq!((&tag["slug"], &tag["name"]), (&json!("reclamacao-do-cliente"), &json!("Reclamação do cliente")));
    assert_eq!(app.get(&at("/v1/tags", &tag)).await.expect(200), tag);

    let taken = app.post("/v1/tags", json!({"name": "x", "slug": "reclamacao-do-cliente"})).await.expect(409);
    assert_eq!((&taken["code"], &taken["tagId"]), (&json!("tag_exists"), &tag["id"]));
    assert_eq!(field_error(&app.post("/v1/tags", json!({"name": "用户"})).await), names("/slug", "required"));
    let bad = app.post("/v1/tags", json!({"name": "x", "slug": "No Slug"})).await;
    assert_eq!(field_error(&bad), names("/slug", "invalid_slug"));
    let long = app.post("/v1/tags", json!({"name": "x".repeat(101)})).await;
    assert_eq!(field_error(&long), names("/name", "too_long"));

    let patch = json!({"name": "Complaint 🚚", "description": "d", "slug": "reclamacao-do-cliente"});
    let changed = app.patch(&at("/v1/tags", &tag), patch).await.expect(200);
    assert_eq!((&changed["name"], &changed["slug"]), (&json!("Complaint 🚚"), &tag["slug"]));
    let cleared = app.patch(&at("/v1/tags", &tag), json!({"description": null})).await.expect(200);
    assert_eq!((&cleared["name"], &cleared["description"]), (&changed["name"], &Value::Null));
    let slug = app.patch(&at("/v1/tags", &tag), json!({"slug": "complaint"})).await;
    assert_eq!(field_error(&slug), names("/slug", "immutable"));
    assert_eq!(field_error(&app.patch(&at("/v1/tags", &tag), json!({"name": null})).await), names("/name", "required"));
}

#[tokio::test]
async fn a_tag_is_a_topic_unless_somebody_says_metadata() {
    let app = App::new().await;
    let topic = app.post("/v1/tags", json!({"name": "Late"})).await.expect(201);
    assert_eq!(topic["type"], "topic");
    let other = app.post("/v1/tags", json!({"name": "VIP", "type": "metadata"})).await.expect(201);
    assert_eq!(other["type"], "metadata");
    let renamed = app.patch(&at("/v1/tags", &other), json!({"name": "Very important"})).await.expect(200);
    assert_eq!(renamed["type"], "metadata");
    let changed = app.patch(&at("/v1/tags", &topic), json!({"type": "metadata"})).await.expect(200);
    assert_eq!((&changed["type"], &changed["name"]), (&json!("metadata"), &json!("Late")));
    assert_eq!(app.get(&at("/v1/tags", &topic)).await.expect(200), changed);
    let unknown = app.post("/v1/tags", json!({"name": "x", "type": "colour"})).await;
    assert_eq!(field_error(&unknown), names("/type", "invalid_value"));
    let none = app.patch(&at("/v1/tags", &topic), json!({"type": null})).await;
    assert_eq!(field_error(&none), names("/type", "required"));
}

#[tokio::test]
async fn tags_form_trees_of_one_type() {
    let app = App::new().await;
    let make = async |body: Value| app.post("/v1/tags", body).await;
    let change = async |tag: &Value, body: Value| app.patch(&at("/v1/tags", tag), body).await;
    let top = make(json!({"name": "Delivery", "type": "metadata"})).await.expect(201);
    assert_eq!(top["parentId"], Value::Null);
    let middle = make(json!({"name": "Late", "parentId": top["id"]})).await.expect(201);
    assert_eq!((&middle["parentId"], &middle["type"]), (&top["id"], &json!("metadata")), "it has its parent's type");
    let leaf = make(json!({"name": "A week late", "parentId": middle["id"], "type": "metadata"})).await.expect(201);
    assert_eq!(app.get(&at("/v1/tags", &leaf)).await.expect(200)["parentId"], middle["id"]);

    let other_type = make(json!({"name": "x", "parentId": middle["id"], "type": "topic"})).await;
    assert_eq!(field_error(&other_type), names("/type", "not_allowed"));
    let unknown = json!({"name": "x", "parentId": "tag_00000000000000000000000000000001"});
    assert_eq!(field_error(&make(unknown).await), names("/parentId", "unknown_id"));
    let bare = make(json!({"name": "x", "parentId": "late"})).await;
    assert_eq!(field_error(&bare), names("/parentId", "invalid_value"));
    for below in [&top, &middle, &leaf] {
        let circle = change(&top, json!({"parentId": below["id"]})).await;
        assert_eq!(field_error(&circle), names("/parentId", "not_allowed"));
    }

    // What is below has the type of its top, whether that changes or the branch moves.
    assert_eq!(field_error(&change(&leaf, json!({"type": "topic"})).await), names("/type", "not_allowed"));
    let renamed = change(&middle, json!({"name": "Too late"})).await.expect(200);
    assert_eq!((&renamed["parentId"], &renamed["type"]), (&top["id"], &json!("metadata")), "a new name moves nothing");
    change(&top, json!({"type": "topic"})).await.expect(200);
    assert_eq!(app.get(&at("/v1/tags", &leaf)).await.expect(200)["type"], "topic");
    let lifted = change(&middle, json!({"parentId": null, "type": "metadata"})).await.expect(200);
    assert_eq!((&lifted["parentId"], &lifted["type"]), (&Value::Null, &json!("metadata")));
    assert_eq!(app.get(&at("/v1/tags", &leaf)).await.expect(200)["type"], "metadata");
    let back = change(&middle, json!({"parentId": top["id"]})).await.expect(200);
    assert_eq!((&back["parentId"], &back["type"]), (&top["id"], &json!("topic")));
    assert_eq!(app.get(&at("/v1/tags", &leaf)).await.expect(200)["type"], "topic");
}

#[tokio::test]
async fn a_tree_of_tags_has_ten_levels() {
    let app = App::new().await;
    let mut line: Vec<Value> = Vec::new();
    for level in 0..10 {
        let parent = line.last().map(|tag| tag["id"].clone());
        line.push(app.post("/v1/tags", json!({"name": format!("t{level}"), "parentId": parent})).await.expect(201));
    }
    let deeper = app.post("/v1/tags", json!({"name": "x", "parentId": line[9]["id"]})).await;
    assert_eq!(field_error(&deeper), names("/parentId", "too_deep"));
    // A branch of three fits below the seventh level and not below the eighth.
    let branch = line[7].clone();
    app.patch(&at("/v1/tags", &branch), json!({"parentId": null})).await.expect(200);
    app.post("/v1/tags", json!({"name": "t7b", "parentId": line[6]["id"]})).await.expect(201);
    let eighth =
        app.post("/v1/tags", json!({"name": "t8", "slug": "t8b", "parentId": line[6]["id"]})).await.expect(201);
    let deep = app.patch(&at("/v1/tags", &branch), json!({"parentId": eighth["id"]})).await;
    assert_eq!(field_error(&deep), names("/parentId", "too_deep"));
    app.patch(&at("/v1/tags", &branch), json!({"parentId": line[6]["id"]})).await.expect(200);

    // One call takes a whole tree away, and nothing beside it.
    let single = app.post("/v1/tags", json!({"name": "single"})).await.expect(201);
    let refused = app.delete(&at("/v1/tags", &line[5])).await.expect(409);
    assert_eq!(refused["code"], "tag_has_children");
    app.delete(&format!("{}?cascade=maybe", at("/v1/tags", &line[5]))).await.expect(400);
    app.delete(&format!("{}?cascade=true", at("/v1/tags", &line[1]))).await.expect(204);
    let left = app.get("/v1/tags").await.expect(200);
    let left: Vec<_> = left["data"].as_array().unwrap().iter().map(|tag| tag["id"].clone()).collect();
    assert_eq!(left, [single["id"].clone(), line[0]["id"].clone()]);
    app.delete(&at("/v1/tags", &line[0])).await.expect(204);
}

#[tokio::test]
async fn a_deleted_tag_leaves_its_conversations() {
    let app = App::new().await;
    let tag = app.post("/v1/tags", json!({"name": "VIP"})).await.expect(201);
    let opened = outbound(&app, "1", json!({"tags": ["vip", "none"]})).await;
    assert_eq!((&opened["tags"], &opened["ignoredTags"]), (&json!(["vip"]), &json!(["none"])));
    app.delete(&at("/v1/tags", &tag)).await.expect(204);
    app.delete(&at("/v1/tags", &tag)).await.expect(404);
    app.get(&at("/v1/tags", &tag)).await.expect(404);
    let tag = app.post("/v1/tags", json!({"name": "VIP"})).await.expect(201);
    let opened = outbound(&app, "2", json!({"tags": ["vip"]})).await;
    assert_eq!(opened["tags"], json!(["vip"]));
    assert_ne!(tag["id"], opened["id"]);
}

#[tokio::test]
async fn of_two_tags_or_teams_at_once_one_is_made() {
    let app = App::new().await;
    for (path, body) in [("/v1/tags", json!({"name": "VIP"})), ("/v1/teams", json!({"name": "Logistics"}))] {
        let (a, b) = tokio::join!(app.post(path, body.clone()), app.post(path, body.clone()));
        let mut statuses = [a.status.as_u16(), b.status.as_u16()];
        statuses.sort();
        assert_eq!(statuses, [201, 409], "{path}");
        let list = app.get(path).await.expect(200);
        assert_eq!(list["data"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn lists_page_from_the_newest() {
    let app = App::new().await;
    for index in 0..5 {
        app.post("/v1/tags", json!({"name": format!("t{index}")})).await.expect(201);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/v1/tags?limit=2{cursor}")).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|tag| tag["slug"].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["t4", "t3", "t2", "t1", "t0"]);
    app.get("/v1/tags?limit=101").await.expect(400);
}

#[tokio::test]
async fn the_default_team_owns_what_lands() {
    let app = App::new().await;
    let user = app.post("/v1/users", json!({"email": "u@example.com", "name": "U"})).await.expect(201);
    let body = json!({"name": "Logistics", "memberIds": [user["id"], user["id"]], "isDefault": true});
    let first = app.post("/v1/teams", body).await.expect(201);
    assert_eq!((&first["memberIds"], &first["isDefault"]), (&json!([user["id"]]), &json!(true)));
    assert_eq!(outbound(&app, "1", json!({})).await["assignedTeamId"], first["id"]);

    let second = app.post("/v1/teams", json!({"name": "Returns", "isDefault": true})).await.expect(201);
    assert_eq!(app.get(&at("/v1/teams", &first)).await.expect(200)["isDefault"], false, "one is default");
    assert_eq!(outbound(&app, "2", json!({})).await["assignedTeamId"], second["id"]);
    app.patch(&at("/v1/teams", &second), json!({"isDefault": false})).await.expect(200);
    assert_eq!(outbound(&app, "3", json!({})).await["assignedTeamId"], Value::Null);

    app.patch(&at("/v1/teams", &first), json!({"isDefault": true, "memberIds": []})).await.expect(200);
    // A team that is not the default does not take the default away.
    let changed =
        app.patch(&at("/v1/teams", &second), json!({"isDefault": false, "description": "d"})).await.expect(200);
    assert_eq!((&changed["isDefault"], &changed["description"]), (&json!(false), &json!("d")));
    let shown = app.get(&at("/v1/teams", &first)).await.expect(200);
    assert_eq!((&shown["isDefault"], &shown["memberIds"]), (&json!(true), &json!([])));
    app.delete(&at("/v1/teams", &first)).await.expect(204);
    app.get(&at("/v1/teams", &first)).await.expect(404);
    assert_eq!(outbound(&app, "4", json!({})).await["assignedTeamId"], Value::Null);
}

#[tokio::test]
async fn teams_refuse_strangers_and_taken_names() {
    let app = App::new().await;
    let team = app.post("/v1/teams", json!({"name": "Logistics"})).await.expect(201);
    let other = app.post("/v1/teams", json!({"name": "Returns"})).await.expect(201);
    let stranger = format!("usr_{}", "0".repeat(32));
    let refused = app.post("/v1/teams", json!({"name": "X", "memberIds": [stranger]})).await;
    assert_eq!(field_error(&refused), names("/memberIds/0", "unknown_id"));
    app.post("/v1/teams", json!({"name": "X"})).await.expect(201);
    let problem = app.patch(&at("/v1/teams", &other), json!({"name": "Logistics"})).await.expect(409);
    assert_eq!((&problem["code"], &problem["teamId"]), (&json!("team_exists"), &team["id"]));
    app.patch(&at("/v1/teams", &team), json!({"name": "Logistics"})).await.expect(200);
    let many = json!({"name": "Y", "memberIds": vec![stranger; 1001]});
    assert_eq!(field_error(&app.post("/v1/teams", many).await), names("/memberIds", "too_many"));
}

#[tokio::test]
async fn custom_fields_are_defined_once() {
    let app = App::new().await;
    let body = json!({"name": "Customer tier", "type": "select", "entity": "conversation",
        "options": [{"value": "gold", "label": "Ouro"}, {"value": "silver"}]});
    let field = app.post("/v1/custom-fields", body.clone()).await.expect(201);
    assert_eq!(field["key"], "customer_tier");
    assert_eq!(field["options"][1], json!({"label": "silver", "value": "silver"}));
    let taken = app.post("/v1/custom-fields", body).await.expect(409);
    assert_eq!((&taken["code"], &taken["customFieldId"]), (&json!("custom_field_exists"), &field["id"]));
    let on_contacts = json!({"key": "customer_tier", "name": "x", "type": "text", "entity": "contact"});
    app.post("/v1/custom-fields", on_contacts).await.expect(201);

    let opened = outbound(&app, "1", json!({"customFields": {"customer_tier": "gold"}})).await;
    assert_eq!(opened["customFields"], json!({"customer_tier": "gold"}));
    let options = json!({"options": [{"value": "bronze"}], "name": "Tier"});
    let changed = app.patch(&at("/v1/custom-fields", &field), options).await.expect(200);
    assert_eq!((&changed["name"], changed["options"].as_array().unwrap().len()), (&json!("Tier"), 1));
    for (member, value) in [("type", "text"), ("key", "tier"), ("entity", "contact")] {
        let refused = app.patch(&at("/v1/custom-fields", &field), json!({member: value})).await;
        assert_eq!(field_error(&refused), (format!("/{member}"), "immutable".to_owned()));
    }
    app.patch(&at("/v1/custom-fields", &field), json!({"type": "select"})).await.expect(200);
    app.delete(&at("/v1/custom-fields", &field)).await.expect(204);
    let opened = outbound(&app, "2", json!({"customFields": {"customer_tier": "bronze"}})).await;
    assert_eq!(opened["ignoredCustomFields"], json!(["customer_tier"]));

    for (body, pointer, code) in [
        (json!({"name": "x", "type": "select", "entity": "contact"}), "/options", "required"),
        (
            json!({"name": "x", "type": "text", "entity": "contact", "options": [{"value": "a"}]}),
            "/options",
            "not_allowed",
        ),
        (json!({"name": "x", "type": "file", "entity": "contact"}), "/type", "invalid_value"),
        (json!({"name": "用户", "type": "text", "entity": "contact"}), "/key", "required"),
        (json!({"name": "x", "key": "X", "type": "text", "entity": "contact"}), "/key", "invalid_key"),
        (
            json!({"name": "x", "type": "select", "entity": "contact", "options": [{"label": "a"}]}),
            "/options/0/value",
            "required",
        ),
    ] {
        assert_eq!(field_error(&app.post("/v1/custom-fields", body).await), names(pointer, code));
    }
}

#[tokio::test]
async fn an_entity_has_a_hundred_custom_fields() {
    let app = App::new().await;
    for index in 0..100 {
        let body = json!({"name": format!("f{index}"), "type": "text", "entity": "contact"});
        app.post("/v1/custom-fields", body).await.expect(201);
    }
    let body = |entity: &str| json!({"name": "more", "type": "text", "entity": entity});
    let problem = app.post("/v1/custom-fields", body("contact")).await.expect(409);
    assert_eq!(problem["code"], "custom_field_limit_reached");
    app.post("/v1/custom-fields", body("conversation")).await.expect(201);
}

#[tokio::test]
async fn an_inbox_has_a_team_and_an_identifier_nobody_guesses() {
    let app = App::new().await;
    let team = app.post("/v1/teams", json!({"name": "Logistics"})).await.expect(201);
    let body = json!({"name": "Marketplace", "channel": "api", "teamId": team["id"]});
    let inbox = app.post("/v1/inboxes", body).await.expect(201);
    let identifier = inbox["identifier"].as_str().unwrap();
    assert!(identifier.len() == 32 && !inbox["id"].as_str().unwrap().contains(identifier), "{inbox}");
    assert_eq!((&inbox["webhookUrl"], inbox.get("webhookSecret")), (&Value::Null, None));
    let opened = outbound(&app, "1", json!({"channel": "api"})).await;
    assert_eq!((&opened["inboxId"], &opened["assignedTeamId"]), (&inbox["id"], &team["id"]));

    let changed = app.patch(&at("/v1/inboxes", &inbox), json!({"name": "M", "teamId": null})).await.expect(200);
    assert_eq!((&changed["name"], &changed["teamId"]), (&json!("M"), &Value::Null));
    assert_eq!(changed["identifier"], inbox["identifier"]);
    let refused = app.patch(&at("/v1/inboxes", &inbox), json!({"channel": "email"})).await;
    assert_eq!(field_error(&refused), names("/channel", "immutable"));
    let strange = app.patch(&at("/v1/inboxes", &inbox), json!({"teamId": format!("team_{}", "0".repeat(32))})).await;
    assert_eq!(field_error(&strange), names("/teamId", "unknown_id"));
    assert_eq!(app.delete(&at("/v1/inboxes", &inbox)).await.expect(409)["code"], "inbox_in_use");

    // A native channel got its own with its first conversation, with an identifier as good.
    outbound(&app, "2", json!({"channel": "whatsapp"})).await;
    let list = app.get("/v1/inboxes").await.expect(200);
    let native = list["data"].as_array().unwrap().iter().find(|inbox| inbox["channel"] == "whatsapp").unwrap().clone();
    assert!(!native["id"].as_str().unwrap().contains(&native["identifier"].as_str().unwrap()[..8]), "{native}");
    let empty = app.post("/v1/inboxes", json!({"name": "x", "channel": "sms"})).await.expect(201);
    app.delete(&at("/v1/inboxes", &empty)).await.expect(204);
    app.get(&at("/v1/inboxes", &empty)).await.expect(404);
}

#[tokio::test]
async fn an_inbox_may_have_a_webhook_of_its_own() {
    let app = App::new().await;
    let body = json!({"name": "Marketplace", "channel": "api", "webhookUrl": "https://shop.example/hook"});
    let key = [("idempotency-key", "k")];
    let create = || app.call(&app.key, "POST", "/v1/inboxes", &key, Some(body.clone()));
    let inbox = create().await.expect(201);
    let secret = inbox["webhookSecret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_"));
    assert_eq!(create().await.expect(201), inbox, "a lost answer comes again, with its secret");
    assert!(!app.stored(secret.as_bytes()).await, "no secret in the clear");

    let ctx = app.ctx().await;
    let (id, endpoint): (InboxId, EndpointId) =
        (inbox["id"].as_str().unwrap().parse().unwrap(), inbox["webhookId"].as_str().unwrap().parse().unwrap());
    let found = app.db.read(move |read| webhooks::get(read, ctx.tenant, endpoint)).await.unwrap();
    assert_eq!((found.inboxes, found.events), (Some(vec![id]), vec!["*".to_owned()]));
    assert_eq!(app.get(&at("/v1/inboxes", &inbox)).await.expect(200).get("webhookSecret"), None);

    // It is not one of the plan's ten.
    for index in 0..10 {
        let hook = json!({"name": index.to_string(), "url": "https://shop.example/h", "events": ["*"]});
        app.post("/v1/webhooks", hook).await.expect(201);
    }
    let hook = json!({"name": "x", "url": "https://shop.example/h", "events": ["*"]});
    app.post("/v1/webhooks", hook).await.expect(429);

    let moved = json!({"webhookUrl": "https://shop.example/other"});
    let moved = app.patch(&at("/v1/inboxes", &inbox), moved).await.expect(200);
    assert_eq!((&moved["webhookUrl"], moved.get("webhookSecret")), (&json!("https://shop.example/other"), None));
    assert_eq!(moved["webhookId"], inbox["webhookId"]);
    let cleared = app.patch(&at("/v1/inboxes", &inbox), json!({"webhookUrl": null})).await.expect(200);
    assert_eq!((&cleared["webhookUrl"], &cleared["webhookId"]), (&Value::Null, &Value::Null));
    let gone = app.db.read(move |read| webhooks::get(read, ctx.tenant, endpoint)).await;
    assert_eq!(gone.unwrap_err().code, "not_found");
    let anew = app.patch(&at("/v1/inboxes", &inbox), json!({"webhookUrl": "https://shop.example/3"})).await.expect(200);
    assert!(anew["webhookSecret"].as_str().unwrap() != secret);
    app.delete(&at("/v1/inboxes", &inbox)).await.expect(204);

    for url in ["http://10.0.0.1/x", "https://127.0.0.2/", "ftp://shop.example", "https://u:p@shop.example/", "x"] {
        let body = json!({"name": "M", "channel": "api", "webhookUrl": url});
        assert_eq!(field_error(&app.post("/v1/inboxes", body).await).0, "/webhookUrl", "{url}");
    }
}

#[tokio::test]
async fn the_document_says_which_members_of_a_change_may_be_null() {
    let app = App::new().await;
    let document = app.get("/openapi/v1.json").await.expect(200);
    let conversation = outbound(&app, "r-1", json!({})).await;
    let mut things = vec![
        ("/v1/conversations/{id}", at("/v1/conversations", &conversation)),
        ("/v1/contacts/{id}", at("/v1/contacts", &conversation["contact"])),
        ("/v1/tenant", "/v1/tenant".to_owned()),
    ];
    let nouns = [
        ("/v1/tags", "/v1/tags/{id}", json!({"name": "vip"})),
        ("/v1/teams", "/v1/teams/{id}", json!({"name": "Support"})),
        (
            "/v1/custom-fields",
            "/v1/custom-fields/{id}",
            json!({"key": "k", "name": "K", "type": "text", "entity": "contact"}),
        ),
        ("/v1/inboxes", "/v1/inboxes/{id}", json!({"name": "App", "channel": "api"})),
        ("/v1/users", "/v1/users/{id}", json!({"name": "Bia", "email": "bia@example.com", "role": "agent"})),
        ("/v1/api-keys", "/v1/api-keys/{id}", json!({"name": "second", "scopes": ["tags:read"]})),
        ("/v1/webhooks", "/v1/webhooks/{id}", json!({"name": "hook", "url": "https://example.com/", "events": ["*"]})),
    ];
    for (path, template, body) in nouns {
        let made = app.post(path, body).await.expect(201);
        things.push((template, at(path, &made)));
    }
    for (template, path) in things {
        let body = &document["paths"][template]["patch"]["requestBody"]["content"]["application/json"]["schema"];
        let name = body["$ref"].as_str().and_then(|it| it.rsplit('/').next()).expect(template);
        for (member, shape) in document["components"]["schemas"][name]["properties"].as_object().unwrap() {
            let reply = app.patch(&path, json!({member: null})).await;
            let is_refused = reply.status == 400;
            if is_refused {
                assert_eq!(field_error(&reply), names(&format!("/{member}"), "required"), "{template}");
            }
            let has_null = shape.to_string().contains("\"null\"");
            assert_eq!(has_null, !is_refused, "{template} {member}: {}", reply.status);
        }
    }
}
