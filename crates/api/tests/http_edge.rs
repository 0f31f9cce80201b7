//! The edge and the server on a real socket: what odd, broken and hostile clients send, byte by byte.

use axum::routing::{get, post};
use axum::{Router, response::IntoResponse};
use http::{HeaderName, HeaderValue, StatusCode};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tieline_api::http::error::{Failure, Reply};
use tieline_api::http::layers::Edge;
use tieline_api::http::metrics::{Observation, Observer};
use tieline_api::http::reply::{Created, Json};
use tieline_api::http::request::{AnyBody, BODY_LIMIT, JsonBody, Path, RequestId};
use tieline_api::http::server::{Ended, Limits, serve};
use tieline_api::http::{fields, query};
use tieline_core::error::{Error, Kind};
use tieline_core::ids::ConversationId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Remembers one line per response.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Observer for Seen {
    fn observe(&self, it: &Observation<'_>) {
        let line = format!("{} {} {} {}", it.dialect.as_str(), it.method, it.route, it.status.as_u16());
        self.0.lock().unwrap().push(line);
    }
}

async fn create(body: JsonBody) -> Reply<impl IntoResponse> {
    let name = fields::read(&body.0, |body| body.string("name").chars(1..=5).owned().required())?;
    Ok(Created { location: format!("/v1/things/{name}"), body: serde_json::json!({ "name": name }) })
}

async fn limited() -> impl IntoResponse {
    let limit = (HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from_static("120"));
    ([limit], Failure(Error::new(Kind::Limited, "rate_limited", "Slow down.").with("Retry-After", 9)))
}

/// A handler that says it runs and waits for leave to answer.
fn waiting(started: mpsc::UnboundedSender<()>, leave: Arc<tokio::sync::Notify>) -> axum::routing::MethodRouter {
    get(async move || {
        started.send(()).unwrap();
        leave.notified().await;
        StatusCode::NO_CONTENT
    })
}

/// An answer without an end, that says when it is dropped.
fn endless(dropped: mpsc::UnboundedSender<()>) -> axum::routing::MethodRouter {
    struct Say(mpsc::UnboundedSender<()>);
    impl Drop for Say {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    get(async move || {
        let say = Say(dropped.clone());
        let chunks = futures::stream::repeat_with(move || {
            let _ = &say;
            Ok::<_, std::convert::Infallible>(bytes::Bytes::from_static(&[b'x'; 16 * 1024]))
        });
        axum::body::Body::from_stream(chunks)
    })
}

struct Server {
    address: SocketAddr,
    seen: Seen,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Ended>,
    started: mpsc::UnboundedReceiver<()>,
    leave: Arc<tokio::sync::Notify>,
}

async fn start(limits: Limits) -> Server {
    let seen = Seen::default();
    let (say, started) = mpsc::unbounded_channel();
    let leave = Arc::new(tokio::sync::Notify::new());
    let router = Router::new()
        .route(
            "/v1/things",
            post(create).patch(create).get(async |axum::extract::RawQuery(raw)| {
                query::read(raw.as_deref(), |q| q.limit()).map(Json).map_err(Failure)
            }),
        )
        .route("/v1/things/{id}", get(async |Path((id,)): Path<(ConversationId,)>| Json(id.to_string())))
        .route("/v1/upload", post(async |body: AnyBody| Json(body.0.len())))
        .route("/v1/limited", get(limited))
        .route("/v1/panic", get(async || -> StatusCode { panic!("secret of the handler") }))
        .route("/v1/id", get(async |id: RequestId| id.as_str().to_owned()))
        .route("/v1/endless", endless(say.clone()))
        .route("/v1/wait", waiting(say, leave.clone()));
    let router = Edge::new(Some("https://hub.example/"), seen.clone()).body_limit("/v1/upload", 10).around(router);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, router, limits, async { drop(stopped.await) }));
    Server { address, seen, stop, task, started, leave }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.head, self.body))
    }
}

/// Reads one answer with a `Content-Length`, or what came before the connection closed.
async fn answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let status = head[9..12].parse().unwrap();
            let mut answer = Answer { status, head, body: String::new() };
            let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
            let mut body = bytes.split_off(end + 4);
            while body.len() < length && stream.read_buf(&mut body).await.is_ok_and(|read| read > 0) {}
            answer.body = String::from_utf8(body).unwrap();
            return Some(answer);
        }
        if !stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            return None;
        }
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
    /// Sends bytes as they are on a connection of their own.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        answer(&mut stream).await.expect("an answer")
    }
    async fn get(&self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
    }
    async fn post(&self, path: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.send([head.as_bytes(), body].concat()).await
    }
}

#[tokio::test]
async fn a_good_request_and_every_kind_of_refusal() {
    let server = start(Limits::default()).await;
    let made = server.post("/v1/things", br#"{"name":"tom"}"#).await;
    assert_eq!(
        (made.status, made.header("location"), made.body.as_str()),
        (201, Some("/v1/things/tom"), r#"{"name":"tom"}"#)
    );

    let conversation = "conv_01920000000070008000000000000001";
    for (path, status) in [
        (format!("/v1/things/{conversation}"), 200),
        ("/v1/things/msg_01920000000070008000000000000001".into(), 404),
        ("/v1/things/%FF".into(), 404),
        ("/v1/things/%00".into(), 404),
        ("/v1/nothing".into(), 404),
        ("/v1/things?limit=0".into(), 400),
        ("/v1/things?limit=%FF".into(), 400),
    ] {
        assert_eq!(server.get(&path).await.status, status, "{path}");
    }

    let wrong = server.post("/v1/things", b"{\"name\":\"\xff\"}").await;
    assert_eq!((wrong.status, wrong.json()["code"].as_str()), (400, Some("invalid_json")));
    let wrong = server.post("/v1/things", br#"{"name":"toolong"}"#).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.header("content-type"), Some("application/problem+json"));
    let id = wrong.header("x-request-id").unwrap().to_owned();
    assert_eq!(
        wrong.json(),
        serde_json::json!({
            "type": "https://hub.example/docs/errors#validation_error",
            "title": "Validation error",
            "status": 400,
            "detail": "name must have at most 5 characters.",
            "instance": format!("urn:request:{id}"),
            "code": "validation_error",
            "requestId": id,
            "errors": [{"pointer": "/name", "field": "name", "code": "too_long", "message": "name must have at most 5 characters."}],
        })
    );
}

#[tokio::test]
async fn a_wrong_verb_lists_the_right_ones() {
    let server = start(Limits::default()).await;
    let wrong = server.send("DELETE /v1/things HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!((wrong.status, wrong.json()["code"].as_str()), (405, Some("method_not_allowed")));
    let mut allowed: Vec<_> = wrong.header("allow").unwrap().split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "PATCH", "POST"]);
}

#[tokio::test]
async fn request_ids_are_on_every_answer() {
    let server = start(Limits::default()).await;
    for path in ["/v1/id", "/v1/nothing", "/v1/panic", "/v1/limited"] {
        let mine = server.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nX-Request-Id: mine-1\r\n\r\n")).await;
        assert_eq!(mine.header("x-request-id"), Some("mine-1"), "{path}");
        let made = server.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nX-Request-Id: a b<c>\r\n\r\n")).await;
        assert!(made.header("x-request-id").unwrap().starts_with("req_"), "{path}");
    }
    let own = server.get("/v1/id").await;
    assert_eq!(own.header("x-request-id"), Some(own.body.as_str()), "the handler sees the id that the client gets");
}

#[tokio::test]
async fn a_panic_is_one_answer_without_its_text() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    for _ in 0..2 {
        stream.write_all(b"GET /v1/panic HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let broken = answer(&mut stream).await.expect("the connection survives");
        assert_eq!((broken.status, broken.json()["code"].as_str()), (500, Some("internal_error")));
        assert!(!broken.body.contains("secret"));
    }
}

#[tokio::test]
async fn headers_of_layers_below_stay_on_a_failure() {
    let server = start(Limits::default()).await;
    let slow = server.get("/v1/limited").await;
    assert_eq!(
        (slow.status, slow.header("retry-after"), slow.header("x-ratelimit-limit")),
        (429, Some("9"), Some("120"))
    );
    assert_eq!(slow.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn only_json_is_taken() {
    let server = start(Limits::default()).await;
    let send = async |method: &str, content_type: &str| {
        let head = format!("{method} /v1/things HTTP/1.1\r\nhost: x\r\n{content_type}content-length: 12\r\n\r\n");
        server.send(head + r#"{"name":"a"}"#).await
    };
    for (method, content_type, status) in [
        ("POST", "content-type: application/json; charset=utf-8\r\n", 201),
        ("PATCH", "content-type: application/merge-patch+json\r\n", 201),
        ("POST", "content-type: application/merge-patch+json\r\n", 415),
        ("POST", "content-type: text/plain\r\n", 415),
        ("POST", "content-type: application/json\r\ncontent-encoding: gzip\r\n", 415),
        ("POST", "content-type: application/json\r\ncontent-encoding: identity\r\n", 201),
        ("POST", "", 415),
    ] {
        assert_eq!(send(method, content_type).await.status, status, "{method} {content_type}");
    }
}

#[tokio::test]
async fn a_body_declared_too_large_is_refused_before_it_comes() {
    let server = start(Limits::default()).await;
    for (path, length) in [("/v1/things", BODY_LIMIT + 1), ("/v1/upload", 11), ("/v1/things", usize::MAX / 2)] {
        // The head alone: the answer must not wait for the body.
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let refused = server.send(head).await;
        assert_eq!(
            (refused.status, refused.json()["code"].as_str()),
            (413, Some("payload_too_large")),
            "{path} {length}"
        );
    }
    let fits = server.post("/v1/upload", &[b'x'; 10]).await;
    assert_eq!((fits.status, fits.body.as_str()), (200, "10"));
    let largest = [br#"{"name":"a","x":""#.as_slice(), &vec![b'y'; BODY_LIMIT - 19], b"\"}"].concat();
    assert_eq!(largest.len(), BODY_LIMIT);
    assert_eq!(server.post("/v1/things", &largest).await.status, 201);
}

#[tokio::test]
async fn a_client_that_sends_on_still_reads_its_413_and_keeps_its_connection() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    for length in [BODY_LIMIT + 100_000, 10_000_000, 30 * 1024 * 1024] {
        let head = format!(
            "POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; length]).await.unwrap();
        assert_eq!(answer(&mut stream).await.unwrap().status, 413, "{length}");
    }
    stream.write_all(b"GET /v1/id HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_chunked_body_is_cut_at_its_limit() {
    let server = start(Limits::default()).await;
    let head =
        "POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = server.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    for _ in 0..17 {
        stream.write_all(&chunk).await.unwrap();
    }
    // The body has no end: the answer comes because the limit is passed.
    let refused = answer(&mut stream).await.unwrap();
    assert_eq!((refused.status, refused.json()["code"].as_str()), (413, Some("payload_too_large")));

    let whole = server.send([head.as_bytes(), b"5\r\n{\"nam\r\n7\r\ne\":\"a\"}\r\n0\r\n\r\n"].concat()).await;
    assert_eq!(whole.status, 201, "{}", whole.body);
}

#[tokio::test]
async fn a_truncated_body_harms_nobody() {
    let server = start(Limits::default()).await;
    let mut stream = server.connect().await;
    let head =
        "POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{\"name\"";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    if let Some(refused) = answer(&mut stream).await {
        assert_eq!(refused.status, 400);
    }
    assert_eq!(server.get("/v1/id").await.status, 200);
}

#[tokio::test]
async fn broken_heads_are_4xx_and_the_connection_ends() {
    let server = start(Limits::default()).await;
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), 400),
        ("POST /v1/things HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".into(), 400),
        (format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(70_000)), 431),
        (format!("GET /v1/id HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(40_000)), 431),
        (format!("GET /v1/id HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(200)), 431),
        (format!("GET /v1/things/{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(10_000)), 404),
    ] {
        let mut stream = server.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let refused = answer(&mut stream).await.unwrap_or_else(|| panic!("no answer to {:.40}", bytes));
        assert_eq!(refused.status, status, "{:.60}", bytes);
        if status != 404 {
            assert!(answer(&mut stream).await.is_none(), "{:.60} left the connection open", bytes);
        }
    }
}

#[tokio::test]
async fn what_is_no_http_at_all_ends_the_connection() {
    let server = start(Limits::default()).await;
    for bytes in ["nonsense\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        while let Some(refused) = answer(&mut stream).await {
            assert_eq!(refused.status, 400, "{bytes:?}");
        }
    }
}

#[tokio::test]
async fn a_slow_head_and_an_idle_connection_are_closed() {
    let server = start(Limits { header_timeout: Duration::from_millis(50), ..Limits::default() }).await;
    for started in ["", "G", "GET /v1/id HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut stream = server.connect().await;
        stream.write_all(started.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.is_none(), "{started:?}");
    }
}

#[tokio::test]
async fn a_client_that_reads_no_more_is_closed() {
    let server = start(Limits { write_timeout: Duration::from_millis(50), ..Limits::default() }).await;
    let mut deaf = server.connect().await;
    deaf.write_all(b"GET /v1/endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // The endless answer says when its connection has let go of it.
    let Server { mut started, .. } = server;
    started.recv().await.expect("the answer is dropped");
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let server = start(Limits { connections: 1, ..Limits::default() }).await;
    let mut first = server.connect().await;
    first.write_all(b"GET /v1/id HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut first).await.unwrap();
    let mut second = server.connect().await;
    second.write_all(b"GET /v1/id HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // The first is still served: the second has not taken its place.
    first.write_all(b"GET /v1/id HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut first).await.unwrap();
    assert_eq!(server.seen.0.lock().unwrap().len(), 2, "the second waits");
    drop(first);
    assert_eq!(answer(&mut second).await.unwrap().status, 200);
}

#[tokio::test]
async fn shutdown_answers_what_is_open_and_closes_what_is_idle() {
    let mut server = start(Limits::default()).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /v1/id HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut idle).await.unwrap();
    let mut open = server.connect().await;
    open.write_all(b"GET /v1/wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.started.recv().await.unwrap();
    server.stop.send(()).unwrap();
    assert!(answer(&mut idle).await.is_none(), "the idle connection ends");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody new is taken");
    server.leave.notify_one();
    assert_eq!(answer(&mut open).await.unwrap().status, 204);
    assert_eq!(server.task.await.unwrap(), Ended::Drained);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let mut server = start(Limits { grace: Duration::from_millis(50), ..Limits::default() }).await;
    let mut open = server.connect().await;
    open.write_all(b"GET /v1/wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.started.recv().await.unwrap();
    server.stop.send(()).unwrap();
    assert_eq!(server.task.await.unwrap(), Ended::Cut(1));
    assert!(answer(&mut open).await.is_none());
}

#[tokio::test]
async fn each_response_is_observed_once_by_its_route() {
    let server = start(Limits::default()).await;
    server.get("/v1/things/conv_01920000000070008000000000000001").await;
    server.get("/v1/panic").await;
    server.get("/v1/no-such-thing").await;
    server.get("/api/v1/contacts").await;
    server.get("/public/api/v1/inboxes/x").await;
    server.send("DELETE /v1/things HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(
        *server.seen.0.lock().unwrap(),
        [
            "v1 GET /v1/things/{id} 200",
            "v1 GET /v1/panic 500",
            "v1 GET unmatched 404",
            "atteny GET unmatched 404",
            "chatwoot GET unmatched 404",
            "v1 DELETE /v1/things 405",
        ]
    );
}
