//! Contacts on `/v1`: made, found, changed, merged, deleted.

#[path = "support/app.rs"]
mod app;

use app::App;
use serde_json::{Value, json};
use tieline_core::contacts;
use tieline_core::events::feed;
use tieline_core::keys::token::Mode;

const PATH: &str = "/v1/contacts";

async fn make(app: &App, body: Value) -> Value {
    app.post(PATH, body).await.expect(201)
}

fn at(contact: &Value) -> String {
    format!("{PATH}/{}", contact["id"].as_str().unwrap())
}

/// Ids of a list's rows.
fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

/// Names and data of the tenant's events.
async fn events(app: &App) -> Vec<(String, Value)> {
    let ctx = app.ctx().await;
    app.number().await;
    let stored = app.db.read(move |read| feed::of_tenant(read, ctx.tenant, 0, 100)).await.unwrap();
    stored.into_iter().map(|event| (event.name, serde_json::from_str(&event.data).unwrap())).collect()
}

#[tokio::test]
async fn a_contact_is_made_normalised_and_shown() {
    let app = App::new().await;
    app.post("/v1/custom-fields", json!({"name": "Tier", "type": "text", "entity": "contact"})).await.expect(201);
    let body = json!({
        "name": "  Ana 🦀 Lima ", "email": " Ana@Example.COM", "phone": "+55 (11) 98765-4321", "externalId": "u-7",
        "customFields": {"tier": "gold", "unknown": 1}
    });
    let reply = app.post(PATH, body).await;
    let made = reply.expect(201);
    assert_eq!(reply.headers["location"], at(&made));
    assert_eq!(made["name"], "Ana 🦀 Lima");
    assert_eq!(made["email"], "ana@example.com");
    assert_eq!(made["phone"], "+5511987654321");
    assert_eq!(made["customFields"], json!({"tier": "gold"}));
    assert_eq!(made["ignoredCustomFields"], json!(["unknown"]));
    let shown = app.get(&at(&made)).await.expect(200);
    assert_eq!(shown["externalId"], "u-7");
    assert_eq!(shown["mergedFrom"], json!([]));
    let addresses = json!([
        {"type": "email", "value": "ana@example.com", "isPrimary": true},
        {"type": "externalId", "value": "u-7", "isPrimary": true},
        {"type": "phone", "value": "+5511987654321", "isPrimary": true},
    ]);
    assert_eq!(shown["addresses"], addresses);
    let events = events(&app).await;
    assert_eq!((events.len(), events[0].0.as_str()), (1, "contact.created"));
    assert_eq!(events[0].1["contact"]["id"], made["id"]);
}

#[tokio::test]
async fn names_come_from_addresses_and_something_must_be_given() {
    let app = App::new().await;
    assert_eq!(make(&app, json!({"email": "bia@example.com"})).await["name"], "bia");
    assert_eq!(make(&app, json!({"phone": "+4930123456"})).await["name"], "+4930123456");
    assert_eq!(make(&app, json!({"externalId": "x"})).await["name"], "x");
    assert_eq!(make(&app, json!({"name": "用户"})).await["name"], "用户");
    let problem = app.post(PATH, json!({"customFields": {}})).await.expect(400);
    assert_eq!(problem["errors"][0]["code"], "required");
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let app = App::new().await;
    let wrong =
        json!({"name": "a".repeat(201), "email": "x", "phone": "1".repeat(65), "externalId": "", "customFields": []});
    let problem = app.post(PATH, wrong).await.expect(400);
    let found: Vec<(&str, &str)> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    let expected = [
        ("/name", "too_long"),
        ("/email", "invalid_email"),
        ("/phone", "too_long"),
        ("/externalId", "too_short"),
        ("/customFields", "invalid_type"),
    ];
    assert_eq!(found, expected);
    app.post("/v1/custom-fields", json!({"name": "age", "type": "number", "entity": "contact"})).await.expect(201);
    let problem = app.post(PATH, json!({"name": "a", "customFields": {"age": "old"}})).await.expect(400);
    assert_eq!(problem["errors"][0]["pointer"], "/customFields/age");
    let list = app.get(PATH).await.expect(200);
    assert_eq!(list["data"], json!([]), "a refused request leaves nothing");
}

#[tokio::test]
async fn an_address_belongs_to_one_contact() {
    let app = App::new().await;
    let first = make(&app, json!({"email": "ana@example.com", "phone": "+5511987654321", "externalId": "u"})).await;
    for same in [
        json!({"email": "ANA@example.com"}),
        json!({"phone": "+551187654321"}),
        json!({"externalId": "u"}),
        json!({"email": "new@example.com", "externalId": "u"}),
    ] {
        let problem = app.post(PATH, same).await.expect(409);
        assert_eq!((&problem["code"], &problem["contactId"]), (&json!("contact_exists"), &first["id"]));
    }
    make(&app, json!({"email": "new@example.com", "externalId": "U"})).await;
    assert_eq!(events(&app).await.len(), 2, "a refused contact tells nothing and keeps no address");
}

#[tokio::test]
async fn of_two_at_once_one_is_made() {
    let app = App::new().await;
    let create = || app.post(PATH, json!({"email": "ana@example.com"}));
    let (a, b, c) = tokio::join!(create(), create(), create());
    let mut statuses = [a.status.as_u16(), b.status.as_u16(), c.status.as_u16()];
    statuses.sort();
    assert_eq!(statuses, [201, 409, 409]);
    let key = [("idempotency-key", "k")];
    let again = || app.call(&app.key, "POST", PATH, &key, Some(json!({"email": "bia@example.com"})));
    let (a, b) = tokio::join!(again(), again());
    assert_eq!(a.expect(201), b.expect(201));
}

#[tokio::test]
async fn a_patch_keeps_sets_and_clears() {
    let app = App::new().await;
    for (name, kind) in [("a", "text"), ("b", "number")] {
        app.post("/v1/custom-fields", json!({"name": name, "type": kind, "entity": "contact"})).await.expect(201);
    }
    let made = make(&app, json!({"email": "ana@example.com", "customFields": {"a": "x", "b": 1}})).await;
    app.clock.advance_us(1_000_000);
    let patch = json!({"phone": "+4930123456", "customFields": {"a": null, "b": 2.5}, "unknown": true});
    let changed = app.patch(&at(&made), patch).await.expect(200);
    assert_eq!(changed["email"], "ana@example.com");
    assert_eq!(changed["phone"], "+4930123456");
    assert_eq!(changed["customFields"], json!({"b": 2.5}));
    assert_eq!(changed["updatedAt"], "2026-05-12T09:30:01.000Z");
    let event = events(&app).await.pop().unwrap();
    assert_eq!(event.0, "contact.updated");
    let changes = json!({
        "phone": {"from": null, "to": "+4930123456"},
        "customFields": {"from": {"a": "x", "b": 1}, "to": {"b": 2.5}},
    });
    assert_eq!(event.1["changes"], changes);

    app.clock.advance_us(1_000_000);
    let same = app.patch(&at(&made), json!({"phone": "+49 30 123456", "customFields": {"b": 2.5}})).await.expect(200);
    assert_eq!(same["updatedAt"], changed["updatedAt"], "nothing changed, so nothing is told");
    assert_eq!(events(&app).await.len(), 2);

    let cleared = app.patch(&at(&made), json!({"email": null, "name": null})).await.expect(200);
    assert_eq!((&cleared["email"], &cleared["name"]), (&Value::Null, &json!("+4930123456")));
    make(&app, json!({"email": "ana@example.com"})).await;
    let merge_patch = [("content-type", "application/merge-patch+json")];
    let reply = app.call(&app.key, "PATCH", &at(&made), &merge_patch, None).await;
    reply.expect(400);
}

#[tokio::test]
async fn an_address_moves_only_when_it_is_free() {
    let app = App::new().await;
    let ana = make(&app, json!({"email": "ana@example.com"})).await;
    let bia = make(&app, json!({"email": "bia@example.com", "phone": "+4930123456"})).await;
    let problem = app.patch(&at(&ana), json!({"name": "A", "phone": "+4930123456"})).await.expect(409);
    assert_eq!((&problem["code"], &problem["contactId"]), (&json!("contact_exists"), &bia["id"]));
    assert_eq!(app.get(&at(&ana)).await.expect(200)["name"], "ana", "a refused patch changes nothing");
    app.patch(&at(&bia), json!({"email": "b@example.com"})).await.expect(200);
    let moved = app.patch(&at(&ana), json!({"email": "bia@example.com"})).await.expect(200);
    assert_eq!(moved["email"], "bia@example.com");
    make(&app, json!({"email": "ana@example.com"})).await;
    // Another spelling of the same number is the same address.
    let respelled = app.patch(&at(&bia), json!({"phone": "+5511987654321"})).await.expect(200);
    assert_eq!(respelled["phone"], "+5511987654321");
    let respelled = app.patch(&at(&bia), json!({"phone": "+551187654321"})).await.expect(200);
    assert_eq!(respelled["phone"], "+551187654321");
    let addresses = app.get(&at(&bia)).await.expect(200)["addresses"].clone();
    assert_eq!(addresses.as_array().unwrap().len(), 2, "{addresses}");
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let app = App::new().await;
    let mut made = Vec::new();
    for (name, email) in
        [("Zoë Ärger", "zoe@example.com"), ("João", "joao@shop.example"), ("100% off", "c@example.com")]
    {
        app.clock.advance_us(1_000_000);
        made.push(make(&app, json!({"name": name, "email": email, "externalId": name})).await);
    }
    let id = |index: usize| made[index]["id"].as_str().unwrap();
    let all = app.get(PATH).await.expect(200);
    assert_eq!(ids(&all), [id(2), id(1), id(0)], "last changed first");
    for (query, expected) in [
        ("email=ZOE@example.com", vec![0]),
        ("email=nobody@example.com", vec![]),
        ("email=zoe@example.com&externalId=Jo%C3%A3o", vec![]),
        ("externalId=Jo%C3%A3o", vec![1]),
        ("search=%C3%84RGER", vec![0]),
        ("search=example", vec![2, 1, 0]),
        ("search=shop.exa", vec![1]),
        ("search=%25", vec![2]),
        ("search=_", vec![]),
        ("search=example&email=zoe@example.com", vec![0]),
        ("updatedSince=2026-05-12T09:30:02Z", vec![2, 1]),
        ("updatedSince=2027-01-01T00:00:00Z", vec![]),
        ("updatedSince=2026-05-12T09:30:02Z&email=zoe@example.com", vec![]),
    ] {
        let list = app.get(&format!("{PATH}?{query}")).await.expect(200);
        assert_eq!(ids(&list), expected.into_iter().map(id).collect::<Vec<_>>(), "{query}");
    }
    for query in ["", "search=example&"] {
        let first = app.get(&format!("{PATH}?{query}limit=2")).await.expect(200);
        assert_eq!((ids(&first), &first["hasMore"]), (vec![id(2), id(1)], &json!(true)));
        let cursor = first["nextCursor"].as_str().unwrap();
        let second = app.get(&format!("{PATH}?{query}limit=2&cursor={cursor}")).await.expect(200);
        assert_eq!(second, json!({"data": [all["data"][2]], "hasMore": false, "nextCursor": null}));
        let test = app.key("acme", Mode::Test, &["full_access"]).await;
        let foreign = app.call(&test, "GET", &format!("{PATH}?cursor={cursor}"), &[], None).await.expect(400);
        assert_eq!(foreign["code"], "invalid_cursor");
        app.get(&format!("/v1/tags?cursor={cursor}")).await.expect(400);
    }
    let problem = app.get(&format!("{PATH}?limit=0&email=x&updatedSince=now&search=")).await.expect(400);
    assert_eq!(problem["errors"].as_array().unwrap().len(), 4, "{problem}");
}

#[tokio::test]
async fn a_search_looks_a_bounded_way_and_leads_on() {
    let app = App::new().await;
    let oldest = make(&app, json!({"name": "Needle"})).await;
    let ctx = app.ctx().await;
    let made: Result<(), tieline_core::Error> = app
        .db
        .write(move |tx| {
            for _ in 0..10_000 {
                let identity = contacts::Upsert { name: Some("hay".into()), ..Default::default() };
                contacts::create(tx, &ctx, &contacts::Create { identity, ..Default::default() })?;
            }
            Ok(())
        })
        .await;
    made.unwrap();
    let first = app.get(&format!("{PATH}?search=needle")).await.expect(200);
    assert_eq!((&first["data"], &first["hasMore"]), (&json!([]), &json!(true)));
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = app.get(&format!("{PATH}?search=needle&cursor={cursor}")).await.expect(200);
    assert_eq!((ids(&second), &second["hasMore"]), (vec![oldest["id"].as_str().unwrap()], &json!(false)));
}

#[tokio::test]
async fn a_phone_is_found_in_all_its_spellings() {
    let app = App::new().await;
    let made = make(&app, json!({"phone": "+5511987654321"})).await;
    for spelling in ["%2B5511987654321", "+5511987654321", "%2B551187654321", "%2B55%2011%2098765-4321"] {
        let list = app.get(&format!("{PATH}?phone={spelling}")).await.expect(200);
        assert_eq!(ids(&list), [made["id"].as_str().unwrap()], "{spelling}");
    }
}

#[tokio::test]
async fn merging_moves_everything_and_the_old_ids_answer() {
    let app = App::new().await;
    for key in ["a", "b", "c"] {
        app.post("/v1/custom-fields", json!({"name": key, "type": "text", "entity": "contact"})).await.expect(201);
    }
    let target =
        make(&app, json!({"name": "Ana", "email": "ana@example.com", "customFields": {"a": "1", "b": ""}})).await;
    let outbound = json!({"externalReference": "o", "subject": "s", "contact": {"email": "old@example.com"}});
    let opened = app.post("/v1/conversations/outbound", outbound.clone()).await.expect(201);
    let old = opened["contact"]["id"].as_str().unwrap().to_owned();
    app.patch(&format!("{PATH}/{old}"), json!({"customFields": {"a": "2", "b": "2", "c": "2"}})).await.expect(200);
    app.clock.advance_us(1_000_000);
    let newer = make(&app, json!({"phone": "+4930123456", "externalId": "x", "customFields": {"c": "3"}})).await;
    let merge = format!("{}/merge", at(&target));

    let body = json!({"from": [old, newer["id"]]});
    let merged = app.post(&merge, body.clone()).await.expect(200);
    assert_eq!(merged["id"], target["id"]);
    assert_eq!((&merged["name"], &merged["email"]), (&json!("Ana"), &json!("ana@example.com")));
    assert_eq!((&merged["phone"], &merged["externalId"]), (&json!("+4930123456"), &json!("x")));
    assert_eq!(merged["customFields"], json!({"a": "1", "b": "2", "c": "3"}));
    assert_eq!(merged["addresses"].as_array().unwrap().len(), 4);
    for id in [&old, newer["id"].as_str().unwrap()] {
        let shown = app.get(&format!("{PATH}/{id}")).await.expect(200);
        assert_eq!((&shown["id"], &shown["mergedFrom"]), (&target["id"], &merged["mergedFrom"]));
        for more in ["", "&externalReference=o"] {
            let found = app.get(&format!("/v1/conversations?contactId={id}{more}")).await.expect(200);
            assert_eq!(found["data"][0]["id"], opened["id"], "the old id finds what the contact has");
        }
        app.delete(&format!("{PATH}/{id}")).await.expect(404);
    }
    let event = events(&app).await.pop().unwrap();
    assert_eq!((event.0.as_str(), &event.1["contact"]["id"]), ("contact.updated", &target["id"]));
    assert_eq!(event.1["changes"]["mergedFrom"]["to"].as_array().unwrap().len(), 2);

    let count = events(&app).await.len();
    assert_eq!(app.post(&merge, body).await.expect(200), merged, "a repeated merge changes nothing");
    assert_eq!(events(&app).await.len(), count);

    // What wrote to the old address is the same contact now, and it has its conversation.
    let again = json!({"externalReference": "p", "subject": "s", "contact": {"email": "old@example.com"}});
    let opened = app.post("/v1/conversations/outbound", again).await.expect(201);
    assert_eq!(opened["contact"]["id"], target["id"]);
    let problem = app.delete(&at(&target)).await.expect(409);
    assert_eq!(problem["code"], "contact_in_use");
    // Its other address comes first when asked for, and the former one stays.
    let changed = app.patch(&at(&target), json!({"email": "old@example.com"})).await.expect(200);
    assert_eq!(changed["email"], "old@example.com");
    let addresses = app.get(&at(&target)).await.expect(200)["addresses"].clone();
    assert_eq!(addresses[0], json!({"type": "email", "value": "old@example.com", "isPrimary": true}));
    assert_eq!(addresses[1], json!({"type": "email", "value": "ana@example.com", "isPrimary": false}));

    // Merged on, the first ids still answer.
    let last = make(&app, json!({"name": "Last"})).await;
    app.post(&format!("{}/merge", at(&last)), json!({"from": [target["id"]]})).await.expect(200);
    let shown = app.get(&format!("{PATH}/{old}")).await.expect(200);
    assert_eq!((&shown["id"], shown["mergedFrom"].as_array().unwrap().len()), (&last["id"], 3));
}

#[tokio::test]
async fn a_merge_names_what_cannot_be_merged() {
    let app = App::new().await;
    app.tenant("other").await;
    let other = app.key("other", Mode::Live, &["full_access"]).await;
    let foreign = app.call(&other, "POST", PATH, &[], Some(json!({"name": "x"}))).await.expect(201);
    let ana = make(&app, json!({"name": "Ana"})).await;
    let bia = make(&app, json!({"name": "Bia"})).await;
    let merge = format!("{}/merge", at(&ana));
    let problem = app.post(&merge, json!({"from": [bia["id"], ana["id"], foreign["id"]]})).await.expect(400);
    let pointers: Vec<&Value> = problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/from/1", "/from/2"]);
    assert_eq!(app.get(&at(&bia)).await.expect(200)["id"], bia["id"], "nothing half-merged");
    for from in [json!([]), json!(["x"]), json!(vec![bia["id"].clone(); 51]), json!("x")] {
        app.post(&merge, json!({"from": from})).await.expect(400);
    }
}

#[tokio::test]
async fn two_merges_of_one_contact_at_once_move_it_once() {
    let app = App::new().await;
    let ana = make(&app, json!({"name": "Ana"})).await;
    let bia = make(&app, json!({"name": "Bia"})).await;
    let (there, back) = (format!("{}/merge", at(&ana)), format!("{}/merge", at(&bia)));
    let (a, b) =
        tokio::join!(app.post(&there, json!({"from": [bia["id"]]})), app.post(&back, json!({"from": [ana["id"]]})));
    // The second finds the contact that it names gone into the first: it is merged into itself.
    let mut statuses = [a.status.as_u16(), b.status.as_u16()];
    statuses.sort();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(app.get(PATH).await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_contact_nobody_talks_to_can_be_deleted() {
    let app = App::new().await;
    let made = make(&app, json!({"email": "ana@example.com"})).await;
    assert_eq!(app.delete(&at(&made)).await.expect(204), Value::Null);
    app.get(&at(&made)).await.expect(404);
    app.delete(&at(&made)).await.expect(404);
    app.patch(&at(&made), json!({})).await.expect(404);
    make(&app, json!({"email": "ana@example.com"})).await;
}
