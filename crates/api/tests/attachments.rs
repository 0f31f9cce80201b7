//! Attachments over HTTP: uploads and their limits, what is served and how, and messages that carry them.

#[path = "support/app.rs"]
mod app;
#[path = "support/talk.rs"]
mod talk;

use app::{App, MAX_FILE_BYTES, Reply};
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tieline_core::attachments::KEPT_UNCLAIMED_US;
use tieline_core::attachments::link::DEFAULT_TTL_US;
use tieline_core::keys::token::Mode;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n0123456789";

async fn send(app: &App, key: &str, path: &str, content_type: &str, body: impl Into<Body>) -> Reply {
    let request = Request::post(path).header("authorization", format!("Bearer {key}"));
    app.send(request.header("content-type", content_type).body(body.into()).unwrap()).await
}
async fn upload(app: &App, name: &str, content_type: &str, bytes: &[u8]) -> Value {
    send(app, &app.key, &format!("/v1/attachments?name={name}"), content_type, bytes.to_vec()).await.expect(201)
}
/// The path of a link.
fn path(view: &Value) -> String {
    view["url"].as_str().expect("a link").strip_prefix("http://tieline.test").expect("ours").to_owned()
}
async fn open(app: &App, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(Body::empty()).unwrap()).await
}
/// Every file below the folder of attachments.
fn stored(app: &App) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for tenant in std::fs::read_dir(app.folder.path().join("attachments")).unwrap() {
        found.extend(std::fs::read_dir(tenant.unwrap().path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    found
}
async fn rows(app: &App) -> i64 {
    let count = app.db.read(|read| read.opt("select count(*) from attachments", &[], |row| row.get(0)));
    count.await.unwrap().unwrap()
}
/// Lets the work that a request left behind come to its end: the removal of a broken upload is not waited for.
async fn until_left(app: &App, files: usize) {
    let until = Instant::now() + Duration::from_secs(60);
    while (rows(app).await, stored(app).len()) != (files as i64, files) {
        assert!(Instant::now() < until, "{} rows, {:?}", rows(app).await, stored(app));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_file_goes_in_and_comes_out_by_its_link() {
    let app = App::new().await;
    let reply = send(&app, &app.key, "/v1/attachments?name=..%2Fphoto%201.png", "text/html", PNG).await;
    let view = reply.expect(201);
    assert_eq!(reply.headers["location"], format!("/v1/attachments/{}", view["id"].as_str().unwrap()));
    assert_eq!(
        (&view["name"], &view["contentType"], &view["size"]),
        (&json!("photo 1.png"), &json!("image/png"), &json!(18))
    );
    assert_eq!((&view["state"], &view["error"]), (&json!("stored"), &Value::Null));
    let file = open(&app, &path(&view), &[]).await;
    assert_eq!((file.status.as_u16(), file.body.as_slice()), (200, PNG));
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", "18"),
        ("content-disposition", "inline; filename=\"photo 1.png\"; filename*=UTF-8''photo%201.png"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox"),
        ("cache-control", "private, max-age=3600, immutable"),
    ] {
        assert_eq!(file.headers[name], value, "{name}");
    }
    let again = app.get(&format!("/v1/attachments/{}", view["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(again, view);
    let keys: Vec<String> =
        stored(&app).iter().map(|path| path.file_name().unwrap().to_str().unwrap().into()).collect();
    assert_eq!(keys, [view["id"].as_str().unwrap()], "nothing of the sender's name is in the store");
}

#[tokio::test]
async fn a_form_brings_one_file_under_its_own_name() {
    let app = App::new().await;
    let form = |parts: &str| format!("{parts}--b--\r\n");
    let part = |name: &str, file: &str, body: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: text/csv\r\n\r\n{body}\r\n"
        )
    };
    let note = "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n";
    let send = |body: String| send(&app, &app.key, "/v1/attachments?name=q", "multipart/form-data; boundary=b", body);
    let view = send(form(&(note.to_owned() + &part("file", "C:\\\\a.csv", "1,2")))).await.expect(201);
    assert_eq!((&view["name"], &view["contentType"], &view["size"]), (&json!("a.csv"), &json!("text/csv"), &json!(3)));
    let file = open(&app, &path(&view), &[]).await;
    assert_eq!(file.body, b"1,2");
    assert!(file.headers["content-disposition"].to_str().unwrap().starts_with("attachment;"));
    send(form(note)).await.expect(400);
    send(form(&(part("file", "a", "1") + &part("file", "b", "2")))).await.expect(400);
    send(part("file", "a", "cut off")).await.expect(400);
    until_left(&app, 1).await;
}

#[tokio::test]
async fn the_rest_of_a_refused_file_is_read_so_that_its_sender_reads_the_answer() {
    let app = App::new().await;
    let form = b"--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    for (content_type, start) in [("text/plain", &b""[..]), ("multipart/form-data; boundary=b", form)] {
        let (read, mut all) = tokio::sync::mpsc::channel(1);
        let pieces = 4 * MAX_FILE_BYTES / 4096;
        let rest = (0..pieces).map(|_| Bytes::from_static(&[b'x'; 4096]));
        let sent = futures::stream::iter(std::iter::once(Bytes::copy_from_slice(start)).chain(rest).map(Ok));
        let sent = futures::StreamExt::chain(
            sent,
            futures::stream::once(async move {
                read.send(()).await.unwrap();
                Err(std::io::Error::other("the end"))
            }),
        );
        let reply = send(&app, &app.key, "/v1/attachments", content_type, Body::from_stream(sent)).await;
        assert_eq!(reply.expect(413)["code"], "payload_too_large", "{content_type}");
        all.recv().await.expect("everything was read");
    }
}

#[tokio::test]
async fn nothing_stays_of_what_is_too_large_empty_or_broken_off() {
    let app = App::new().await;
    let limit = MAX_FILE_BYTES as usize;
    let whole = send(&app, &app.key, "/v1/attachments", "text/plain", vec![b'x'; limit]).await.expect(201);
    assert_eq!(whole["size"], limit);
    assert_eq!(whole["name"], "file");
    app.db.write(|tx| tx.execute("delete from attachments", &[])).await.unwrap();
    stored(&app).iter().for_each(|path| std::fs::remove_file(path).unwrap());

    let error = send(&app, &app.key, "/v1/attachments", "text/plain", vec![b'x'; limit + 1]).await.expect(413);
    assert_eq!(error["code"], "payload_too_large");
    assert!(error["detail"].as_str().unwrap().contains(&limit.to_string()), "names the limit: {error}");
    let endless = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 4096])));
    send(&app, &app.key, "/v1/attachments", "text/plain", Body::from_stream(endless)).await.expect(413);
    send(&app, &app.key, "/v1/attachments", "text/plain", vec![]).await.expect(400);
    let broken = futures::stream::iter([Ok(Bytes::from(vec![b'x'; 600_000])), Err(std::io::Error::other("gone"))]);
    let error = send(&app, &app.key, "/v1/attachments", "text/plain", Body::from_stream(broken)).await.expect(400);
    assert_eq!(error["code"], "incomplete_body");
    until_left(&app, 0).await;

    // The client goes away in the middle: the request is dropped where it stands.
    let (started, mut begun) = tokio::sync::mpsc::channel(1);
    let stalled = futures::stream::unfold((started, 0), |(started, sent)| async move {
        if sent == 3 {
            started.send(()).await.unwrap();
            futures::future::pending::<()>().await;
        }
        Some((Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 300_000])), (started, sent + 1)))
    });
    {
        let request = send(&app, &app.key, "/v1/attachments", "text/plain", Body::from_stream(stalled));
        tokio::select! {
            _ = request => panic!("it never ends"),
            _ = begun.recv() => {}
        }
    }
    until_left(&app, 0).await;
}

#[tokio::test]
async fn what_a_browser_would_run_is_never_served_as_such() {
    let app = App::new().await;
    let script = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    for declared in [
        "text/html",
        "image/svg+xml",
        "application/xhtml+xml",
        "text/xml",
        "text/javascript",
        "image/png",
        "video/mp4",
        "application/pdf",
    ] {
        let view = upload(&app, "x.svg", declared, script).await;
        let file = open(&app, &path(&view), &[]).await;
        assert_eq!(file.headers["content-type"], "application/octet-stream", "{declared}");
        assert!(file.headers["content-disposition"].to_str().unwrap().starts_with("attachment;"), "{declared}");
        assert_eq!(file.headers["x-content-type-options"], "nosniff");
        assert_eq!(file.headers["content-security-policy"], "sandbox");
    }
}

#[tokio::test]
async fn a_link_ends_with_its_hour_and_with_every_change() {
    let app = App::new().await;
    let (view, other) = (upload(&app, "a.png", "image/png", PNG).await, upload(&app, "b.png", "image/png", PNG).await);
    let link = path(&view);
    let parts: Vec<&str> = link.split('/').collect();
    let with = |index: usize, part: &str| {
        let mut parts = parts.clone();
        parts[index] = part;
        parts.join("/")
    };
    let later = (parts[3].parse::<i64>().unwrap() + 1).to_string();
    let flipped = parts[4].replace(['A', 'B', 'C', 'D'], "E").replace(['a', 'b', 'c', 'd'], "e");
    assert_ne!(flipped, parts[4]);
    for path in
        [with(2, other["id"].as_str().unwrap()), with(3, &later), with(4, &flipped), with(4, "1."), with(2, "x")]
    {
        assert_eq!(open(&app, &path, &[]).await.expect(404)["code"], "not_found", "{path}");
    }
    app.clock.advance_us(DEFAULT_TTL_US - 1_000_000);
    open(&app, &link, &[]).await.expect_status(200);
    app.clock.advance_us(1_000_000);
    assert_eq!(open(&app, &link, &[]).await.expect(403)["code"], "link_expired");
    let fresh = app.get(&format!("/v1/attachments/{}", view["id"].as_str().unwrap())).await.expect(200);
    open(&app, &path(&fresh), &[]).await.expect_status(200);
}

#[tokio::test]
async fn ranges_serve_a_part() {
    let app = App::new().await;
    let sound: Vec<u8> = b"ID3".iter().copied().chain((0..997).map(|n| n as u8)).collect();
    let link = path(&upload(&app, "a.mp3", "audio/mpeg", &sound).await);
    let part = open(&app, &link, &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &sound[10..20]));
    assert_eq!(part.headers["content-range"], "bytes 10-19/1000");
    assert_eq!(part.headers["content-length"], "10");
    let tail = open(&app, &link, &[("range", "bytes=-5")]).await;
    assert_eq!((tail.status.as_u16(), tail.body.as_slice()), (206, &sound[995..]));
    let beyond = open(&app, &link, &[("range", "bytes=1000-")]).await;
    assert_eq!((beyond.status.as_u16(), &beyond.headers["content-range"]), (416, &"bytes */1000".parse().unwrap()));
    let whole = open(&app, &link, &[("range", "bytes=1-2,4-5")]).await;
    assert_eq!((whole.status.as_u16(), whole.body.len()), (200, 1000));
}

#[tokio::test]
async fn scopes_and_tenants_are_kept_apart() {
    let app = App::new().await;
    let view = upload(&app, "a.png", "image/png", PNG).await;
    let path = format!("/v1/attachments/{}", view["id"].as_str().unwrap());
    let conversation = talk::open(&app, "r1", "email").await;
    for stranger in talk::strangers(&app).await {
        app.call(&stranger, "GET", &path, &[], None).await.expect(404);
        let theirs = app.call(
            &stranger,
            "POST",
            "/v1/conversations/outbound",
            &[],
            Some(json!({
                "externalReference": "theirs", "subject": "s", "contact": {"email": "x@example.com"},
                "outboundContext": {"attachments": [{"id": view["id"]}]}
            })),
        );
        let error = theirs.await.expect(400);
        assert_eq!(error["errors"][0]["pointer"], "/outboundContext/attachments/0/id");
        assert_eq!(error["errors"][0]["code"], "not_found");
    }
    let reader = app.key("acme", Mode::Live, &["messages:read"]).await;
    app.call(&reader, "GET", &path, &[], None).await.expect(200);
    let error = send(&app, &reader, "/v1/attachments", "text/plain", "x").await.expect(403);
    assert_eq!(error["requiredScope"], "attachments:write");
    let other = app.key("acme", Mode::Live, &["tags:read"]).await;
    app.call(&other, "GET", &path, &[], None).await.expect(403);
    app.get("/v1/attachments/att_1").await.expect(404);
    // It is still there for its own tenant.
    let body = json!({"direction": "outbound", "attachments": [{"id": view["id"]}]});
    app.post(&talk::path(&conversation, "/messages"), body).await.expect(201);
}

#[tokio::test]
async fn a_message_takes_uploads_once_and_names_addresses() {
    let app = App::new().await;
    let conversation = talk::open(&app, "r1", "email").await;
    let messages = talk::path(&conversation, "/messages");
    let (a, b) = (upload(&app, "a.png", "image/png", PNG).await, upload(&app, "b.txt", "text/plain", b"b").await);
    let files = json!([
        {"id": b["id"]},
        {"url": "https://example.com/x/price%20list.pdf?v=1", "contentType": "application/pdf"},
        {"id": a["id"]}
    ]);
    let said =
        app.post(&messages, json!({"direction": "outbound", "text": "Here.", "attachments": files})).await.expect(201);
    let shown = said["attachments"].as_array().unwrap();
    let summary: Vec<_> =
        shown.iter().map(|file| (file["name"].as_str().unwrap(), file["state"].as_str().unwrap())).collect();
    assert_eq!(summary, [("b.txt", "stored"), ("price list.pdf", "pending"), ("a.png", "stored")]);
    assert_eq!((&shown[1]["url"], &shown[1]["size"]), (&Value::Null, &Value::Null));
    open(&app, &path(&shown[2]), &[]).await.expect_status(200);
    // The same in the event, the list and the message alone.
    let log = talk::log(&app).await;
    let sent = log.iter().find(|event| event.1 == "message.sent").unwrap();
    assert_eq!(sent.3["message"]["attachments"], said["attachments"]);
    talk::hear(&app, &conversation, "Thanks").await;
    let list = app.get(&messages).await.expect(200);
    let counts: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|m| m["attachments"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [0, 3, 0]);
    assert_eq!(list["data"][1]["attachments"], said["attachments"]);
    let alone = app.get(&format!("/v1/messages/{}", said["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(alone["attachments"], said["attachments"]);

    // Taken is taken, and a refusal leaves the others free.
    let c = upload(&app, "c.txt", "text/plain", b"c").await;
    let both = json!({"direction": "outbound", "text": "Again.", "attachments": [{"id": c["id"]}, {"id": a["id"]}]});
    let error = app.post(&messages, both).await.expect(409);
    assert_eq!((&error["code"], &error["attachmentId"]), (&json!("attachment_taken"), &a["id"]));
    let free = json!({"direction": "inbound", "externalId": "x1", "attachments": [{"id": c["id"]}]});
    let heard = app.post(&messages, free.clone()).await.expect(201);
    let again = app.post(&messages, free).await.expect(200);
    assert_eq!(again["attachments"], heard["attachments"], "a repeated external id is answered with its files");
    let unknown = json!({"direction": "outbound", "attachments": [{"id": format!("att_{}", "0".repeat(32))}]});
    let error = app.post(&messages, unknown).await.expect(400);
    assert_eq!(
        (&error["errors"][0]["pointer"], &error["errors"][0]["code"]),
        (&json!("/attachments/0/id"), &json!("not_found"))
    );
    talk::assert_sequences(&app).await;
}

#[tokio::test]
async fn a_first_message_may_be_nothing_but_files() {
    let app = App::new().await;
    let a = upload(&app, "a.png", "image/png", PNG).await;
    let body = |reference: &str| {
        json!({
            "externalReference": reference, "subject": "s", "contact": {"email": "ana@example.com"},
            "outboundContext": {"attachments": [{"id": a["id"]}, {"url": "https://example.com/"}]}
        })
    };
    let opened = app.post("/v1/conversations/outbound", body("r1")).await.expect(201);
    let list = app.get(&talk::path(&opened, "/messages")).await.expect(200);
    assert_eq!((&list["data"][0]["text"], list["data"][0]["attachments"].as_array().unwrap().len()), (&json!(""), 2));
    assert_eq!(list["data"][0]["attachments"][1]["name"], "file");
    let refused = app.post("/v1/conversations/outbound", body("r2")).await.expect(409);
    assert_eq!(refused["code"], "attachment_taken");
    let none = app.get("/v1/conversations?externalReference=r2").await.expect(200);
    assert_eq!(none["data"], json!([]), "a refusal leaves no conversation");
    assert_eq!(rows(&app).await, 2, "and no file to fetch");
}

#[tokio::test]
async fn every_wrong_attachment_is_named() {
    let app = App::new().await;
    let conversation = talk::open(&app, "r1", "email").await;
    let messages = talk::path(&conversation, "/messages");
    let files = json!([
        {}, {"id": "msg_1"}, {"url": "http://10.0.0.1/x"}, {"url": "ftp://example.com"}, {"url": "https://[::ffff:a00:1]/"},
        {"id": format!("att_{}", "0".repeat(32)), "url": "https://example.com"}, {"url": "https://example.com", "name": ""}, 7
    ]);
    let error =
        app.post(&messages, json!({"direction": "outbound", "text": "x", "attachments": files})).await.expect(400);
    let mut wrong: Vec<_> = error["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| format!("{} {}", e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap()))
        .collect();
    wrong.sort();
    assert_eq!(
        wrong,
        [
            "/attachments/0 required",
            "/attachments/1/id invalid_value",
            "/attachments/2/url address_not_allowed",
            "/attachments/3/url scheme_not_allowed",
            "/attachments/4/url address_not_allowed",
            "/attachments/5/url not_allowed",
            "/attachments/6/name too_short",
            "/attachments/7 invalid_type",
        ]
    );
    let many: Vec<_> = (0..21).map(|n| json!({"url": format!("https://example.com/{n}")})).collect();
    let error =
        app.post(&messages, json!({"direction": "outbound", "text": "x", "attachments": many})).await.expect(400);
    assert_eq!(error["errors"][0]["code"], "too_many");
    assert_eq!(rows(&app).await, 0);
}

#[tokio::test]
async fn an_idempotency_key_keeps_one_file() {
    let app = App::new().await;
    let send = |body: &'static [u8]| {
        let request =
            Request::post("/v1/attachments?name=a.png").header("authorization", format!("Bearer {}", app.key));
        let request = request.header("idempotency-key", "k").header("content-type", "image/png").body(Body::from(body));
        app.send(request.unwrap())
    };
    let first = send(PNG).await.expect(201);
    let again = send(PNG).await;
    assert_eq!(again.expect(201), first);
    assert!(again.headers.contains_key("idempotent-replayed"));
    assert_eq!(send(b"other").await.expect(422)["code"], "idempotency_key_reused");
    until_left(&app, 1).await;
}

#[tokio::test]
async fn an_upload_older_than_a_day_is_taken_by_no_message() {
    let app = App::new().await;
    let conversation = talk::open(&app, "r1", "email").await;
    let a = upload(&app, "a.png", "image/png", PNG).await;
    app.clock.advance_us(KEPT_UNCLAIMED_US);
    let body = json!({"direction": "outbound", "attachments": [{"id": a["id"]}]});
    app.post(&talk::path(&conversation, "/messages"), body).await.expect(400);
}
