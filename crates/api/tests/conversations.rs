//! Conversations of `/v1`: lists, changes, tags, merging, and every refusal.

#[path = "support/app.rs"]
mod app;
#[path = "support/talk.rs"]
mod talk;

use app::App;
use serde_json::{Value, json};
use talk::{assert_sequences, furnish, furnished, hear, log, now, open, path, say, since, strangers};

const UNTIL: &str = "2026-05-13T00:00:00.000Z";

fn pointers(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().expect("errors");
    let mut found: Vec<String> =
        errors.iter().map(|error| error["pointer"].as_str().or(error["field"].as_str()).unwrap().to_owned()).collect();
    found.sort();
    found
}

/// References of a whole list, page by page.
async fn references(app: &App, query: &str) -> String {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("/v1/conversations?limit=2&{query}{cursor}")).await.expect(200);
        found.extend(
            page["data"].as_array().unwrap().iter().map(|v| v["externalReference"].as_str().unwrap_or("-").to_owned()),
        );
        let Some(next) = page["nextCursor"].as_str() else { return found.join(" ") };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let app = App::new().await;
    furnish(&app, 1).await;
    let mut made = Vec::new();
    for (reference, channel) in [("a", "email"), ("b", "api"), ("c", "email"), ("d", "sms"), ("e", "email")] {
        app.clock.advance_us(1_000_000);
        made.push(open(&app, reference, channel).await);
    }
    let other = json!({"externalReference": "f", "contact": {"phone": "+5511987654321"}, "message": {"text": "Hi", "direction": "outbound"}});
    app.clock.advance_us(1_000_000);
    made.push(app.post("/v1/conversations", other).await.expect(201));
    app.clock.advance_us(1_000_000);
    app.patch(&path(&made[0], ""), json!({"status": "done"})).await.expect(200);
    app.put(&path(&made[1], "/tags/vip")).await.expect(200);
    let holders = json!({"assignedTeamId": furnished("team", 1), "assignedAgentId": furnished("usr", 1)});
    app.patch(&path(&made[2], ""), holders).await.expect(200);
    let id = |value: &Value| value.as_str().unwrap().to_owned();
    for (query, expected) in [
        ("".to_owned(), "c b a f e d"),
        ("sort=updated".to_owned(), "c b a f e d"),
        ("sort=created".to_owned(), "f e d c b a"),
        ("status=done".to_owned(), "a"),
        ("status=active".to_owned(), "c b f e d"),
        ("status=active&sort=created".to_owned(), "f e d c b"),
        ("status=active&updatedSince=2026-05-12T09:30:06Z".to_owned(), "c b f"),
        ("updatedSince=2026-05-12T09:30:07Z".to_owned(), "c b a"),
        ("channel=email".to_owned(), "c a f e"),
        (format!("teamId={}", furnished("team", 1)), "c"),
        (format!("agentId={}", furnished("usr", 1)), "c"),
        ("agentId=none".to_owned(), "b a f e d"),
        (format!("contactId={}", id(&made[0]["contact"]["id"])), "c b a e d"),
        (format!("contactId={}&sort=created&channel=email", id(&made[0]["contact"]["id"])), "e c a"),
        ("tag=vip".to_owned(), "b"),
        ("tag=nothing".to_owned(), ""),
        ("engagement=engaged".to_owned(), "f"),
        ("engagement=pending&channel=sms".to_owned(), "d"),
        (format!("inboxId={}", id(&made[3]["inboxId"])), "d"),
        ("externalReference=b".to_owned(), "b"),
        ("externalReference=b&status=done".to_owned(), ""),
        ("externalReference=nothing".to_owned(), ""),
    ] {
        assert_eq!(references(&app, &query).await, expected, "{query}");
    }
    let wrong = "status=open&channel=fax&teamId=usr_1&agentId=nobody&contactId=1&tag=&engagement=x&externalReference=&inboxId=1&updatedSince=now&sort=x&limit=101&cursor=x";
    let problem = app.get(&format!("/v1/conversations?{wrong}")).await.expect(400);
    assert_eq!(problem["errors"].as_array().unwrap().len(), 13);
    let page = app.get("/v1/conversations?limit=2").await.expect(200);
    let wrong = format!("/v1/conversations?sort=created&cursor={}", page["nextCursor"].as_str().unwrap());
    assert_eq!(app.get(&wrong).await.expect(400)["code"], "invalid_cursor");
}

#[tokio::test]
async fn a_conversation_opens_by_any_name_of_its_contact() {
    let app = App::new().await;
    furnish(&app, 1).await;
    let first = json!({"contact": {"externalId": "user-7", "name": "Ana"}});
    let first = app.post("/v1/conversations", first).await.expect(201);
    assert_eq!(
        (&first["engagement"], &first["subject"], &first["externalReference"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!((&first["contact"]["name"], &first["contact"]["externalId"]), (&json!("Ana"), &json!("user-7")));
    let by_id = json!({
        "contact": {"id": first["contact"]["id"]}, "subject": "s", "channel": "api", "externalReference": "r", "tags": ["vip", "no"],
        "customFields": {"tier": "gold", "no": 1}, "metadata": {"a": 1},
        "message": {"text": "Hi", "direction": "outbound", "externalId": "m1", "author": {"type": "ai"}}
    });
    let second = app.post("/v1/conversations", by_id.clone()).await.expect(201);
    assert_eq!(second["contact"], first["contact"]);
    assert_eq!((&second["tags"], &second["ignoredTags"]), (&json!(["vip"]), &json!(["no"])));
    assert_eq!((&second["customFields"], &second["ignoredCustomFields"]), (&json!({"tier": "gold"}), &json!(["no"])));
    assert_eq!((&second["metadata"], &second["engagement"]), (&json!({"a": 1}), &Value::Null));
    let messages = app.get(&path(&second, "/messages")).await.expect(200);
    assert_eq!(
        (&messages["data"][0]["externalId"], &messages["data"][0]["author"]["type"]),
        (&json!("m1"), &json!("ai"))
    );
    assert_eq!(app.post("/v1/conversations", by_id).await.expect(409)["conversationId"], second["id"]);
    for contact in [
        json!({"externalId": "user-7"}),
        json!({"externalId": "user-7", "email": "ana@example.com"}),
        json!({"email": "ANA@example.com"}),
    ] {
        let opened = app.post("/v1/conversations", json!({"contact": contact})).await.expect(201);
        assert_eq!(opened["contact"]["id"], first["contact"]["id"], "{contact}");
    }
    for (body, wrong) in [
        (json!({}), vec!["/contact"]),
        (json!({"contact": {}}), vec!["/contact"]),
        (
            json!({"contact": {"id": "con_1", "email": "x", "phone": 7, "externalId": ""}}),
            vec!["/contact/email", "/contact/externalId", "/contact/id", "/contact/phone"],
        ),
        (json!({"contact": {"id": "con_01920000000070008000000000000001"}}), vec!["/contact/id"]),
        (json!({"contact": {"externalId": "x"}, "message": {}}), vec!["/message/text"]),
        (
            json!({"contact": {"externalId": "x"}, "customFields": {"tier": 1, "seats": "x"}}),
            vec!["/customFields/seats", "/customFields/tier"],
        ),
    ] {
        let problem = app.post("/v1/conversations", body.clone()).await.expect(400);
        assert_eq!(pointers(&problem), wrong, "{body}");
    }
    let by_id = json!({"contact": {"id": first["contact"]["id"]}});
    for key in strangers(&app).await {
        let problem = app.call(&key, "POST", "/v1/conversations", &[], Some(by_id.clone())).await.expect(400);
        assert_eq!(pointers(&problem), ["/contact/id"]);
    }
    assert_sequences(&app).await;
}

/// Each change, the events it makes, and what `changes` of the first says.
#[tokio::test]
async fn every_change_tells_what_the_contract_says() {
    let app = App::new().await;
    furnish(&app, 1).await;
    let conversation = open(&app, "a", "email").await;
    let (team, agent) = (furnished("team", 1), furnished("usr", 1));
    let mut mark = 0;
    since(&app, &mut mark).await;
    let updated = "conversation.updated";
    let from_to = |from: Value, to: Value| json!({"from": from, "to": to});
    for (body, events, changes) in [
        (json!({}), vec![], Value::Null),
        (json!({"status": "active", "subject": "Where is my parcel?", "unknown": 1}), vec![], Value::Null),
        (
            json!({"subject": "Found"}),
            vec![updated],
            json!({"subject": from_to(json!("Where is my parcel?"), json!("Found"))}),
        ),
        (json!({"subject": null}), vec![updated], json!({"subject": from_to(json!("Found"), Value::Null)})),
        (
            json!({"status": "snoozed", "snoozedUntil": UNTIL}),
            vec![updated],
            json!({"status": from_to(json!("active"), json!("snoozed")), "snoozedUntil": from_to(Value::Null, json!(UNTIL))}),
        ),
        (json!({"status": "snoozed"}), vec![], Value::Null),
        (
            json!({"snoozedUntil": "2026-05-14T00:00:00Z"}),
            vec![updated],
            json!({"snoozedUntil": from_to(json!(UNTIL), json!("2026-05-14T00:00:00.000Z"))}),
        ),
        (
            json!({"status": "active", "snoozedUntil": null}),
            vec![updated],
            json!({"status": from_to(json!("snoozed"), json!("active")), "snoozedUntil": from_to(json!("2026-05-14T00:00:00.000Z"), Value::Null)}),
        ),
        (
            json!({"status": "done"}),
            vec![updated, "conversation.resolved"],
            json!({"status": from_to(json!("active"), json!("done"))}),
        ),
        (json!({"status": "done"}), vec![], Value::Null),
        (
            json!({"status": "active"}),
            vec![updated, "conversation.reopened"],
            json!({"status": from_to(json!("done"), json!("active"))}),
        ),
        (
            json!({"assignedTeamId": team}),
            vec![updated, "assignment.changed"],
            json!({"assignedTeamId": from_to(Value::Null, json!(team))}),
        ),
        (
            json!({"assignedTeamId": team, "assignedAgentId": agent}),
            vec![updated, "assignment.changed"],
            json!({"assignedAgentId": from_to(Value::Null, json!(agent))}),
        ),
        (
            json!({"assignedTeamId": null, "assignedAgentId": null}),
            vec![updated, "assignment.changed"],
            json!({"assignedTeamId": from_to(json!(team), Value::Null), "assignedAgentId": from_to(json!(agent), Value::Null)}),
        ),
        (
            json!({"customFields": {"tier": "gold", "seats": 3}}),
            vec![updated],
            json!({"customFields": from_to(json!({}), json!({"tier": "gold", "seats": 3}))}),
        ),
        (json!({"customFields": {"tier": "gold"}}), vec![], Value::Null),
        (
            json!({"customFields": {"tier": null}}),
            vec![updated],
            json!({"customFields": from_to(json!({"tier": "gold", "seats": 3}), json!({"seats": 3}))}),
        ),
        (
            json!({"metadata": {"a": {"b": 1, "c": 2}}}),
            vec![updated],
            json!({"metadata": from_to(json!({}), json!({"a": {"b": 1, "c": 2}}))}),
        ),
        (
            json!({"metadata": {"a": {"b": null}}}),
            vec![updated],
            json!({"metadata": from_to(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"c": 2}}))}),
        ),
        (json!({"metadata": null}), vec![updated], json!({"metadata": from_to(json!({"a": {"c": 2}}), json!({}))})),
        (
            json!({"status": "done", "subject": "All", "assignedAgentId": agent}),
            vec![updated, "conversation.resolved", "assignment.changed"],
            json!({"status": from_to(json!("active"), json!("done")), "subject": from_to(Value::Null, json!("All")), "assignedAgentId": from_to(Value::Null, json!(agent))}),
        ),
        (json!({"status": "archived"}), vec![updated], json!({"status": from_to(json!("done"), json!("archived"))})),
        (json!({"status": "archived", "subject": "All"}), vec![], Value::Null),
    ] {
        let count = log(&app).await.len();
        app.clock.advance_us(1_000);
        let before = now(&app, &conversation).await["updatedAt"].clone();
        let view = app.patch(&path(&conversation, ""), body.clone()).await.expect(200);
        let told = since(&app, &mut mark).await;
        assert_eq!(told, events, "{body}");
        assert_eq!(view["updatedAt"] == before, told.is_empty(), "{body}");
        if let Some((.., data)) = log(&app).await.get(count) {
            assert_eq!(data["changes"], changes, "{body}");
            assert_eq!(data["conversation"]["status"], view["status"], "{body}");
        }
    }
    let assigned = log(&app).await.into_iter().rfind(|event| event.1 == "assignment.changed").unwrap().3;
    assert_eq!(assigned["from"], json!({"teamId": null, "agentId": null}));
    assert_eq!(assigned["to"], json!({"teamId": null, "agentId": agent}));
    let last = now(&app, &conversation).await;
    assert!(last["doneAt"].is_string() && last["archivedAt"].is_string());
    assert_eq!(last["reopenCount"], 1);
    assert_sequences(&app).await;
}

#[tokio::test]
async fn changes_are_refused_whole() {
    let app = App::new().await;
    furnish(&app, 1).await;
    let other = app.tenant("other").await.id.0;
    furnish(&app, other).await;
    let conversation = open(&app, "a", "email").await;
    let count = log(&app).await.len();
    let before = now(&app, &conversation).await;
    for (body, wrong) in [
        (
            json!({"status": "open", "snoozedUntil": "soon", "subject": "", "assignedTeamId": 1, "assignedAgentId": "team_1", "customFields": [], "metadata": 1}),
            vec![
                "/assignedAgentId",
                "/assignedTeamId",
                "/customFields",
                "/metadata",
                "/snoozedUntil",
                "/status",
                "/subject",
            ],
        ),
        (json!({"status": null, "customFields": null}), vec!["/customFields", "/status"]),
        (
            json!({"status": "snoozed", "assignedTeamId": furnished("team", other), "assignedAgentId": furnished("usr", other), "customFields": {"tier": 1}}),
            vec!["/assignedAgentId", "/assignedTeamId", "/customFields/tier", "/snoozedUntil"],
        ),
        (json!({"status": "snoozed", "snoozedUntil": "2026-05-12T09:30:00Z", "subject": "x"}), vec!["/snoozedUntil"]),
        (json!({"snoozedUntil": UNTIL}), vec!["/snoozedUntil"]),
        (json!({"status": "done", "snoozedUntil": UNTIL}), vec!["/snoozedUntil"]),
        (json!({"subject": "x".repeat(999)}), vec!["/subject"]),
    ] {
        let problem = app.patch(&path(&conversation, ""), body.clone()).await.expect(400);
        assert_eq!(pointers(&problem), wrong, "{body}");
    }
    assert_eq!(now(&app, &conversation).await, before);
    assert_eq!(log(&app).await.len(), count);
    app.patch(&path(&conversation, ""), json!({"status": "archived"})).await.expect(200);
    for (body, code) in [
        (json!({"status": "active"}), "invalid_transition"),
        (json!({"status": "done"}), "invalid_transition"),
        (json!({"status": "snoozed", "snoozedUntil": UNTIL}), "invalid_transition"),
        (json!({"subject": "x"}), "conversation_archived"),
    ] {
        assert_eq!(app.patch(&path(&conversation, ""), body.clone()).await.expect(409)["code"], code, "{body}");
    }
    let merge_patch = [("content-type", "application/merge-patch+json")];
    let request = axum::http::Request::builder()
        .method("PATCH")
        .uri(path(&conversation, ""))
        .header("authorization", format!("Bearer {}", app.key))
        .header(merge_patch[0].0, merge_patch[0].1)
        .body(axum::body::Body::from("{}"))
        .unwrap();
    app.send(request).await.expect(200);
}

#[tokio::test]
async fn tags_are_set_and_taken_off_once() {
    let app = App::new().await;
    furnish(&app, 1).await;
    let conversation = open(&app, "a", "email").await;
    let mut mark = 0;
    since(&app, &mut mark).await;
    let vip = path(&conversation, "/tags/vip");
    let (one, two) = tokio::join!(app.put(&vip), app.put(&vip));
    assert_eq!((&one.expect(200)["tags"], &two.expect(200)["tags"]), (&json!(["vip"]), &json!(["vip"])));
    assert_eq!(since(&app, &mut mark).await, ["tag.added"]);
    app.put(&path(&conversation, "/tags/late")).await.expect(200);
    let data = log(&app).await.pop().unwrap().3;
    assert_eq!((&data["tag"]["slug"], &data["tag"]["type"]), (&json!("late"), &json!("topic")));
    assert_eq!(data["conversation"]["sla"], json!([]), "without a policy there is nothing to measure");
    assert_eq!(data["conversation"]["tags"], json!(["late", "vip"]));
    assert_eq!(now(&app, &conversation).await["tags"], json!(["late", "vip"]));
    since(&app, &mut mark).await;
    let (one, two) = tokio::join!(app.delete(&vip), app.delete(&vip));
    one.expect(204);
    two.expect(204);
    assert_eq!(since(&app, &mut mark).await, ["tag.removed"]);
    assert_eq!(now(&app, &conversation).await["tags"], json!(["late"]));
    app.put(&path(&conversation, "/tags/unknown")).await.expect(404);
    app.delete(&path(&conversation, "/tags/unknown")).await.expect(404);
    let tagger = app.key("acme", tieline_core::keys::token::Mode::Live, &["tags:write"]).await;
    app.call(&tagger, "PUT", &vip, &[], None).await.expect(200);
    app.patch(&path(&conversation, ""), json!({"status": "archived"})).await.expect(200);
    app.put(&vip).await.expect(200);
    assert_eq!(app.delete(&vip).await.expect(409)["code"], "conversation_archived");
    assert_sequences(&app).await;
}

#[tokio::test]
async fn a_conversation_carries_fifty_tags() {
    let app = App::new().await;
    let conversation = open(&app, "a", "email").await;
    let made: Result<(), tieline_core::Error> = app
        .db
        .write(|tx| {
            for number in 0..51 {
                let (id, slug, place) = (tx.new_id(), format!("t{number}"), tx.take_number()?);
                tx.execute(
                    "insert into tags (tenant_id, id, number, slug, name, created_at, updated_at) \
                     values (1, $1, $2, $3, $3, 1, 1)",
                    &tieline_db::params![id, place, &slug],
                )?;
            }
            Ok(())
        })
        .await;
    made.expect("tags");
    for number in 0..50 {
        app.put(&path(&conversation, &format!("/tags/t{number}"))).await.expect(200);
    }
    assert_eq!(app.put(&path(&conversation, "/tags/t50")).await.expect(409)["code"], "tag_limit_reached");
    app.put(&path(&conversation, "/tags/t0")).await.expect(200);
}

#[tokio::test]
async fn merged_conversations_are_one() {
    let app = App::new().await;
    furnish(&app, 1).await;
    let (primary, secondary) = (open(&app, "a", "email").await, open(&app, "b", "email").await);
    let external = |text: &str| json!({"direction": "inbound", "text": text, "externalId": "m1"});
    say(&app, &primary, "p1").await;
    app.post(&path(&secondary, "/messages"), external("s1")).await.expect(201);
    app.post(&path(&primary, "/messages"), external("p2")).await.expect(201);
    say(&app, &secondary, "s2").await;
    app.put(&path(&secondary, "/tags/vip")).await.expect(200);
    app.put(&path(&primary, "/tags/late")).await.expect(200);
    app.patch(&path(&secondary, ""), json!({"status": "snoozed", "snoozedUntil": UNTIL})).await.expect(200);
    let mut mark = 0;
    since(&app, &mut mark).await;
    let to = path(&secondary, "/merge");
    let into = json!({"into": primary["id"]});
    let (one, two) = tokio::join!(app.post(&to, into.clone()), app.post(&to, into.clone()));
    let (won, lost) = if one.status == 200 { (one, two) } else { (two, one) };
    let view = won.expect(200);
    assert_eq!(view["id"], primary["id"]);
    assert_eq!(view["tags"], json!(["late", "vip"]));
    assert_eq!(view["engagement"], "engaged", "s2 was the last word");
    assert_eq!(lost.expect(409)["code"], "conversation_merged");
    let told = since(&app, &mut mark).await;
    assert_eq!(told, ["conversation.merged", "conversation.updated", "tag.added"]);
    let merged = log(&app).await.into_iter().rfind(|event| event.1 == "conversation.merged").unwrap().3;
    assert_eq!((&merged["conversation"]["id"], &merged["mergedInto"]["id"]), (&secondary["id"], &primary["id"]));
    let after = now(&app, &secondary).await;
    assert_eq!(
        (&after["status"], &after["mergedIntoId"], &after["externalReference"]),
        (&json!("done"), &primary["id"], &json!("b"))
    );
    assert_eq!(after["snoozedUntil"], Value::Null);
    for asked in [&primary, &secondary] {
        let page = app.get(&path(asked, "/messages")).await.expect(200);
        let texts: Vec<&str> = page["data"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect();
        let line = format!("Conversation {} was merged into this one.", secondary["humanId"].as_str().unwrap());
        assert_eq!(texts, ["Hello?", "Hello?", "p1", "s1", "p2", "s2", &line]);
        assert!(page["data"].as_array().unwrap().iter().all(|m| m["conversationId"] == primary["id"]));
    }
    // What is written to the secondary lands on the primary, also beside what is written to the primary itself.
    let (to_one, to_other) = (path(&secondary, "/messages"), path(&primary, "/messages"));
    let (one, two) = tokio::join!(app.post(&to_one, external("again")), app.post(&to_other, external("again")));
    assert_eq!(one.expect(200)["id"], two.expect(200)["id"]);
    let (one, two) = tokio::join!(hear(&app, &secondary, "x"), hear(&app, &primary, "y"));
    assert_eq!((&one["conversationId"], &two["conversationId"]), (&primary["id"], &primary["id"]));
    assert_eq!(one["previousConversationId"], Value::Null);
    assert_eq!(app.post(&to, into).await.expect(409)["conversationId"], primary["id"]);
    for status in ["active", "snoozed"] {
        let body =
            json!({"status": status, "snoozedUntil": if status == "active" { Value::Null } else { json!(UNTIL) }});
        let refused = app.patch(&path(&secondary, ""), body).await.expect(409);
        assert_eq!((&refused["code"], &refused["conversationId"]), (&json!("conversation_merged"), &primary["id"]));
    }
    // A primary may be merged on: both older ones lead to the last.
    let last = open(&app, "c", "email").await;
    app.post(&path(&primary, "/merge"), json!({"into": last["id"]})).await.expect(200);
    assert_eq!(hear(&app, &secondary, "z").await["conversationId"], last["id"]);
    assert_sequences(&app).await;
}

#[tokio::test]
async fn who_waited_in_a_merged_conversation_still_does() {
    let app = App::new().await;
    let (done, waits) = (open(&app, "a", "email").await, open(&app, "b", "email").await);
    app.patch(&path(&done, ""), json!({"status": "done"})).await.expect(200);
    hear(&app, &waits, "Hello?").await;
    let mut mark = 0;
    since(&app, &mut mark).await;
    let view = app.post(&path(&waits, "/merge"), json!({"into": done["id"]})).await.expect(200);
    assert_eq!(
        (&view["status"], &view["engagement"], &view["doneAt"]),
        (&json!("active"), &json!("pending"), &json!(null))
    );
    let told = since(&app, &mut mark).await;
    let reopened = ["conversation.updated", "conversation.reopened"];
    assert_eq!(told, [["conversation.merged", "conversation.updated"], reopened].concat());
    // Nobody waits in what is answered, or was put away.
    let (answered, away) = (open(&app, "c", "email").await, open(&app, "d", "email").await);
    say(&app, &answered, "Here it is").await;
    app.patch(&path(&away, ""), json!({"status": "snoozed", "snoozedUntil": UNTIL})).await.expect(200);
    for quiet in [&answered, &away] {
        app.patch(&path(&done, ""), json!({"status": "done"})).await.expect(200);
        let view = app.post(&path(quiet, "/merge"), json!({"into": done["id"]})).await.expect(200);
        assert_eq!(view["status"], "done");
    }
    assert_sequences(&app).await;
}

#[tokio::test]
async fn merges_are_refused() {
    let app = App::new().await;
    let (one, two) = (open(&app, "a", "email").await, open(&app, "b", "email").await);
    let other = app.post("/v1/conversations", json!({"contact": {"externalId": "x"}})).await.expect(201);
    let count = log(&app).await.len();
    let into = |v: &Value| json!({"into": v["id"]});
    assert_eq!(app.post(&path(&one, "/merge"), into(&other)).await.expect(409)["code"], "different_contacts");
    for body in [json!({}), into(&one), json!({"into": "x"}), json!({"into": "conv_01920000000070008000000000000001"})]
    {
        assert_eq!(pointers(&app.post(&path(&one, "/merge"), body).await.expect(400)), ["/into"]);
    }
    assert_eq!(log(&app).await.len(), count);
    app.patch(&path(&two, ""), json!({"status": "archived"})).await.expect(200);
    assert_eq!(app.post(&path(&one, "/merge"), into(&two)).await.expect(409)["code"], "conversation_archived");
    assert_eq!(app.post(&path(&two, "/merge"), into(&one)).await.expect(409)["code"], "conversation_archived");
    let three = open(&app, "c", "email").await;
    let to = path(&one, "/merge");
    let send = || app.call(&app.key, "POST", &to, &[("idempotency-key", "k")], Some(into(&three)));
    let first = send().await.expect(200);
    assert_eq!(send().await.expect(200), first);
}

#[tokio::test]
async fn strangers_find_nothing_and_scopes_hold() {
    let app = App::new().await;
    furnish(&app, 1).await;
    let (one, two) = (open(&app, "a", "email").await, open(&app, "b", "email").await);
    let calls = [
        ("GET", path(&one, ""), None, "conversations:read"),
        ("PATCH", path(&one, ""), Some(json!({"subject": "x"})), "conversations:write"),
        ("PUT", path(&one, "/tags/vip"), None, "conversations:write"),
        ("DELETE", path(&one, "/tags/vip"), None, "conversations:write"),
        ("POST", path(&one, "/merge"), Some(json!({"into": two["id"]})), "conversations:write"),
    ];
    let count = log(&app).await.len();
    let strangers = strangers(&app).await;
    let scopeless = app.key("acme", tieline_core::keys::token::Mode::Live, &["contacts:read"]).await;
    for (method, path, body, scope) in &calls {
        for key in &strangers {
            app.call(key, method, path, &[], body.clone()).await.expect(404);
        }
        let refused = app.call(&scopeless, method, path, &[], body.clone()).await.expect(403);
        assert_eq!(refused["requiredScope"], *scope, "{method} {path}");
    }
    for key in &strangers {
        let page = app.call(key, "GET", "/v1/conversations", &[], None).await.expect(200);
        assert_eq!(page, json!({"data": [], "hasMore": false, "nextCursor": null}));
        let page = app.call(key, "GET", "/v1/conversations?externalReference=a", &[], None).await.expect(200);
        assert_eq!(page["data"], json!([]));
    }
    app.call(&scopeless, "GET", "/v1/conversations", &[], None).await.expect(403);
    app.call(&scopeless, "POST", "/v1/conversations", &[], Some(json!({"contact": {"externalId": "x"}})))
        .await
        .expect(403);
    assert_eq!(log(&app).await.len(), count);
}

#[tokio::test]
async fn two_at_once_change_it_once() {
    let app = App::new().await;
    furnish(&app, 1).await;
    let conversation = open(&app, "a", "email").await;
    let to = path(&conversation, "");
    let mut mark = 0;
    since(&app, &mut mark).await;
    for (body, events) in [
        (json!({"status": "done"}), vec!["conversation.updated", "conversation.resolved"]),
        (json!({"status": "active"}), vec!["conversation.updated", "conversation.reopened"]),
        (json!({"assignedTeamId": furnished("team", 1)}), vec!["conversation.updated", "assignment.changed"]),
        (json!({"status": "snoozed", "snoozedUntil": UNTIL}), vec!["conversation.updated"]),
    ] {
        let (one, two) = tokio::join!(app.patch(&to, body.clone()), app.patch(&to, body.clone()));
        assert_eq!(one.expect(200), two.expect(200));
        assert_eq!(since(&app, &mut mark).await, events, "{body}");
    }
    // The customer and the agent at once: both are heard, whoever was first.
    app.patch(&to, json!({"status": "done"})).await.expect(200);
    let (_, closed) = tokio::join!(hear(&app, &conversation, "Wait"), app.patch(&to, json!({"status": "archived"})));
    closed.expect(200);
    assert_sequences(&app).await;
}
