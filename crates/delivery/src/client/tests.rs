//! Real sockets on loopback, and receivers that behave in every bad way we know.

use super::*;
use crate::{
    egress::{Answer, EgressPolicy, Resolver},
    schedule::Verdict,
};
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    runtime::Runtime,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

/// Long enough for a busy machine; no test waits for it.
const AMPLE: Duration = Duration::from_secs(30);
/// For the tests that do wait for the timeout.
const SHORT: Duration = Duration::from_millis(400);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    async fn start<F, Fut>(handle: F) -> Receiver
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Receiver::start_on("127.0.0.1:0", handle).await
    }

    async fn start_on<F, Fut>(address: &str, handle: F) -> Receiver
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, SeqCst);
                tokio::spawn(handle(stream));
            }
        });
        Receiver { address, connections }
    }

    /// Answers every request of every connection with these bytes.
    async fn answering(reply: impl Into<Vec<u8>>) -> Receiver {
        let reply = reply.into();
        Receiver::start(move |stream| serve(stream, reply.clone())).await
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, reply: Vec<u8>) {
    while read_request(&mut stream).await.is_some() {
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// One request, head and body, or none at the end of the connection.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

fn guard(allow: &str) -> Guard {
    guard_with(allow, |_| Answer::Addresses(vec![Ipv4Addr::LOCALHOST.into()]))
}
fn guard_with(allow: &str, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Guard {
    Guard::new(EgressPolicy::parse(allow, true).unwrap(), Resolver::Fixed(Arc::new(answer)))
}
fn client(guard: Guard) -> Client {
    Client::new(guard, &[]).unwrap()
}
fn url(text: &str) -> CheckedUrl {
    EgressPolicy::parse("127.0.0.0/8", true).unwrap().check_url(text).unwrap()
}
async fn post(client: &Client, to: &str, total: Duration) -> Outcome {
    client.post(&url(to), HeaderMap::new(), Bytes::from_static(b"{}"), total).await
}
/// One POST with a fresh client.
async fn post_to(receiver: &Receiver, total: Duration) -> Outcome {
    post(&client(guard("127.0.0.1")), &receiver.url(), total).await
}
fn kind(outcome: &Outcome) -> Option<ErrorKind> {
    outcome.error.as_ref().map(|failure| failure.kind)
}

#[tokio::test]
async fn the_request_on_the_wire() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let receiver = Receiver::start(move |mut stream| {
        let tx = tx.clone();
        async move {
            tx.send(read_request(&mut stream).await.unwrap()).unwrap();
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-chatwoot-signature"), HeaderValue::from_static("sha256=00"));
    let target = url(&format!("{}?a=%20b#frag", receiver.url()));
    let outcome = client(guard("127.0.0.1")).post(&target, headers, Bytes::from_static(b"\x00\xff"), AMPLE).await;
    assert_eq!((outcome.status, outcome.error, outcome.snippet.as_str()), (Some(200), None, "ok"));
    let (head, body) = rx.recv().await.unwrap();
    let mut lines: Vec<_> = head.trim_end().lines().collect();
    lines[1..].sort_unstable();
    let host = format!("Host: {}", receiver.address);
    assert_eq!(
        lines,
        ["POST /hook?a=%20b HTTP/1.1", "Content-Length: 2", &host, "X-Chatwoot-Signature: sha256=00"],
        "no Accept-Encoding, nothing added"
    );
    assert_eq!(body, b"\x00\xff");
}

#[tokio::test]
async fn replies() {
    let s = |seconds| Some(Duration::from_secs(seconds));
    for (reply, status, retry_after, error, snippet) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, None, None, ""),
        ("HTTP/1.1 299 Odd\r\nContent-Length: 1\r\n\r\nx", 299, None, None, "x"),
        ("HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, None, None, "x"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", 200, None, None, "abc"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
            None,
            None,
            "",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nraw", 200, None, None, "raw"),
        ("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", 302, None, None, ""),
        ("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", 410, None, None, ""),
        ("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 429, s(7), None, ""),
        (
            "HTTP/1.1 503 Busy\r\nRetry-After: Thu, 01 Jan 2099 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
            503,
            s(86_400),
            None,
            "",
        ),
        ("HTTP/1.1 503 Busy\r\nRetry-After: later\r\nContent-Length: 0\r\n\r\n", 503, None, None, ""),
        ("HTTP/1.1 500 Oops\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 500, None, None, ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\0\u{e9}", 200, None, None, "a\u{fffd}\u{e9}"),
    ] {
        let receiver = Receiver::answering(reply).await;
        let outcome = post_to(&receiver, AMPLE).await;
        assert_eq!(
            (outcome.status, outcome.retry_after, kind(&outcome), outcome.snippet.as_str()),
            (Some(status), retry_after, error, snippet),
            "{reply:?}"
        );
        assert_eq!(receiver.connections.load(SeqCst), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_until_it_is_too_old() {
    let receiver = Receiver::answering(OK).await;
    let client = client(guard("127.0.0.1"));
    for _ in 0..3 {
        assert_eq!(post(&client, &receiver.url(), AMPLE).await.status, Some(200));
    }
    assert_eq!(receiver.connections.load(SeqCst), 1);
    // The reply after which a connection is found too old is its last.
    let strict = Client { max_age: Duration::ZERO, ..client };
    for _ in 0..3 {
        assert_eq!(post(&strict, &receiver.url(), AMPLE).await.status, Some(200));
    }
    assert_eq!(receiver.connections.load(SeqCst), 3);
}

/// Runs a receiver that plays `script` after the request and then waits for the client to hang up.
async fn until_dropped(script: &'static [u8], total: Duration) -> Outcome {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let receiver = Receiver::start(move |mut stream| {
        let tx = tx.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(script).await.unwrap();
            // The end of the stream or a reset: either way the client let go.
            let _ = stream.read_u8().await;
            tx.send(()).unwrap();
        }
    })
    .await;
    let client = client(guard("127.0.0.1"));
    let outcome = post(&client, &receiver.url(), total).await;
    timeout(AMPLE, rx.recv()).await.expect("the connection is dropped while the client lives on");
    outcome
}

#[tokio::test]
async fn a_receiver_that_hangs_is_a_timeout_and_its_connection_is_dropped() {
    for (script, status, snippet) in [
        (&b""[..], None, ""),
        (b"HTTP/1.1 2", None, ""),
        (b"HTTP/1.1 200 OK\r\nX: ", None, ""),
        (b"HTTP/1.1 100 Continue\r\n\r\n", None, ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", Some(200), "ab"),
        (b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", Some(500), "ab"),
    ] {
        let outcome = until_dropped(script, SHORT).await;
        assert_eq!(
            (outcome.status, kind(&outcome), outcome.snippet.as_str()),
            (status, Some(ErrorKind::Timeout), snippet),
            "{script:?}"
        );
        assert!(outcome.duration >= SHORT);
    }
}

#[tokio::test]
async fn a_status_line_decides_even_when_the_body_never_ends() {
    let outcome = until_dropped(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", SHORT).await;
    assert_eq!(Verdict::of(&outcome), Verdict::Success);
}

#[tokio::test]
async fn a_receiver_that_trickles_for_ever_is_a_timeout() {
    for (start, drop, status) in [
        (&b"HTTP/1.1 200 OK\r\nX: "[..], &b"a"[..], None),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", Some(200)),
    ] {
        let receiver = Receiver::start(move |mut stream| async move {
            read_request(&mut stream).await;
            stream.set_nodelay(true).unwrap();
            stream.write_all(start).await.unwrap();
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            while stream.write_all(drop).await.is_ok() {
                tick.tick().await;
            }
        })
        .await;
        let outcome = post_to(&receiver, SHORT).await;
        assert_eq!((outcome.status, kind(&outcome)), (status, Some(ErrorKind::Timeout)), "{drop:?}");
    }
}

#[tokio::test]
async fn an_endless_reply_is_read_up_to_the_limit_and_then_dropped() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let receiver = Receiver::start(move |mut stream| {
        let tx = tx.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
            tx.send(()).unwrap();
        }
    })
    .await;
    let client = client(guard("127.0.0.1"));
    let outcome = post(&client, &receiver.url(), AMPLE).await;
    assert_eq!((outcome.status, outcome.error), (Some(200), None));
    assert_eq!(outcome.snippet, "x".repeat(MAX_SNIPPET));
    timeout(AMPLE, rx.recv()).await.expect("the connection is dropped");
}

#[tokio::test]
async fn a_reply_that_is_no_http_is_named_so() {
    let long_header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(2 * MAX_REPLY_HEAD));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: a\r\n".repeat(MAX_REPLY_HEADERS + 1));
    let endless_head = format!("HTTP/1.1 200 OK\r\n{}", "X: aaaaaaaaaaaaaaaa\r\n".repeat(10_000));
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "220 mail ESMTP\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "\0\0\0\0\0\0",
        "\u{16}\u{3}\u{3}\0\0",
        &long_header,
        &many_headers,
        &endless_head,
    ] {
        let outcome = post_to(&Receiver::answering(garbage).await, AMPLE).await;
        assert_eq!(
            (outcome.status, kind(&outcome)),
            (None, Some(ErrorKind::Protocol)),
            "{:?} {outcome:?}",
            &garbage[..garbage.len().min(60)]
        );
    }
}

#[tokio::test]
async fn a_receiver_that_breaks_off_is_named_so() {
    for (reply, reset, status) in [
        (&b""[..], false, None),
        (b"", true, None),
        (b"HTTP/1.1 200", false, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", false, Some(200)),
    ] {
        let receiver = Receiver::start(move |mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(reply).await.unwrap();
            if reset {
                stream.set_zero_linger().unwrap();
            }
        })
        .await;
        let outcome = post_to(&receiver, AMPLE).await;
        assert_eq!((outcome.status, kind(&outcome)), (status, Some(ErrorKind::Closed)), "{reply:?} {outcome:?}");
        assert_eq!(receiver.connections.load(SeqCst), 1, "one attempt is one request");
    }
}

#[tokio::test]
async fn a_closed_port_is_named_so() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = post(&client(guard("127.0.0.1")), &format!("http://{free}/"), AMPLE).await;
    assert_eq!((outcome.status, kind(&outcome)), (None, Some(ErrorKind::Connect)), "{outcome:?}");
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let receiver = Receiver::answering(OK).await;
    let dead: IpAddr = Ipv4Addr::new(127, 0, 0, 9).into();
    let two = guard_with("127.0.0.0/8", move |_| Answer::Addresses(vec![dead, Ipv4Addr::LOCALHOST.into()]));
    let outcome = post(&client(two), &format!("http://hook.example:{}/", receiver.address.port()), AMPLE).await;
    assert_eq!(outcome.status, Some(200), "{outcome:?}");
}

#[tokio::test]
async fn the_connector_refuses_what_the_url_check_could_not_see() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    for (allow, host) in [("", "hook.example"), ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.2", "hook.example")] {
        let outcome = post(&client(guard(allow)), &format!("http://{host}:{port}/"), AMPLE).await;
        assert_eq!((outcome.status, kind(&outcome)), (None, Some(ErrorKind::Refused)), "{allow} {host} {outcome:?}");
        assert!(outcome.error.unwrap().detail.contains("TIELINE_WEBHOOK_ALLOW_HOSTS"));
    }
    let mixed = guard_with("127.0.0.1", |_| {
        Answer::Addresses(vec![Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(192, 168, 0, 1).into()])
    });
    let outcome = post(&client(mixed), &format!("http://hook.example:{port}/"), AMPLE).await;
    assert_eq!(kind(&outcome), Some(ErrorKind::Refused));
    let nowhere = guard_with("", |_| Answer::Addresses(vec![]));
    let outcome = post(&client(nowhere), &format!("http://hook.example:{port}/"), AMPLE).await;
    assert_eq!(kind(&outcome), Some(ErrorKind::Dns));
    assert_eq!(receiver.connections.load(SeqCst), 0, "nothing was connected");
}

/// DNS rebinding: the second answer points elsewhere. It is asked for once per connection, and then checked.
#[tokio::test]
async fn a_name_is_resolved_once_per_connection_and_each_answer_is_checked() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    let victim = Receiver::start_on(&format!("127.0.0.2:{port}"), |stream| serve(stream, OK.to_vec())).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let rebinding = guard_with("127.0.0.1", move |_| {
        let last = if count.fetch_add(1, SeqCst) == 0 { 1 } else { 2 };
        Answer::Addresses(vec![Ipv4Addr::new(127, 0, 0, last).into()])
    });
    let client = client(rebinding);
    let to = format!("http://hook.example:{port}/");
    for _ in 0..3 {
        assert_eq!(post(&client, &to, AMPLE).await.status, Some(200));
    }
    assert_eq!(asked.load(SeqCst), 1, "the connection stays where it was checked");
    let strict = Client { max_age: Duration::ZERO, ..client };
    assert_eq!(post(&strict, &to, AMPLE).await.status, Some(200), "the last one on the old connection");
    let outcome = post(&strict, &to, AMPLE).await;
    assert_eq!(kind(&outcome), Some(ErrorKind::Refused), "{outcome:?}");
    assert_eq!(asked.load(SeqCst), 2);
    assert_eq!(victim.connections.load(SeqCst), 0);
}

/// A TLS receiver for one name; it tells the names that clients asked for.
async fn tls_receiver(name: &str) -> (Receiver, CertificateDer<'static>, Arc<Mutex<Vec<Option<String>>>>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (acceptor, asked) = (TlsAcceptor::from(Arc::new(config)), Arc::new(Mutex::new(Vec::new())));
    let names = asked.clone();
    let receiver = Receiver::start(move |stream| {
        let (acceptor, names) = (acceptor.clone(), names.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            names.lock().unwrap().push(stream.get_ref().1.server_name().map(str::to_owned));
            serve(stream, OK.to_vec()).await;
        }
    })
    .await;
    (receiver, cert.der().clone(), asked)
}

#[tokio::test]
async fn tls_goes_to_the_checked_address_under_the_name_of_the_url() {
    let (receiver, root, asked) = tls_receiver("hook.example").await;
    let port = receiver.address.port();
    let client = Client::new(guard("127.0.0.1"), std::slice::from_ref(&root)).unwrap();
    for _ in 0..2 {
        let outcome = post(&client, &format!("https://HOOK.example.:{port}/"), AMPLE).await;
        assert_eq!((outcome.status, outcome.error, outcome.snippet.as_str()), (Some(200), None, "ok"));
    }
    assert_eq!(*asked.lock().unwrap(), [Some("hook.example".to_owned())], "one handshake, with the name");

    let wrong_name = post(&client, &format!("https://other.example:{port}/"), AMPLE).await;
    assert_eq!((wrong_name.status, kind(&wrong_name)), (None, Some(ErrorKind::Tls)), "{wrong_name:?}");
    let by_address = post(&client, &format!("https://127.0.0.1:{port}/"), AMPLE).await;
    assert_eq!((by_address.status, kind(&by_address)), (None, Some(ErrorKind::Tls)), "{by_address:?}");
    let unknown_issuer = Client::new(guard("127.0.0.1"), &[]).unwrap();
    let unknown_issuer = post(&unknown_issuer, &format!("https://hook.example:{port}/"), AMPLE).await;
    assert_eq!((unknown_issuer.status, kind(&unknown_issuer)), (None, Some(ErrorKind::Tls)), "{unknown_issuer:?}");
    assert_eq!(asked.lock().unwrap().len(), 1, "nobody else got through");
}

#[tokio::test]
async fn tls_against_a_receiver_that_speaks_something_else() {
    let plain = Receiver::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_u8().await;
    })
    .await;
    let client = client(guard("127.0.0.1"));
    let outcome = post(&client, &format!("https://{}/", plain.address), AMPLE).await;
    assert_eq!((outcome.status, kind(&outcome)), (None, Some(ErrorKind::Tls)), "{outcome:?}");
    let silent = Receiver::start(|mut stream| async move { while stream.read_u8().await.is_ok() {} }).await;
    let outcome = post(&client, &format!("https://{}/", silent.address), SHORT).await;
    assert_eq!((outcome.status, kind(&outcome)), (None, Some(ErrorKind::Timeout)), "{outcome:?}");
}

#[tokio::test]
async fn an_extra_root_that_is_no_certificate_is_refused() {
    assert!(Client::new(guard(""), &[CertificateDer::from(vec![1, 2, 3])]).is_err());
}

#[test]
fn no_bytes_of_a_receiver_panic() {
    let runtime = Runtime::new().unwrap();
    let client = client(guard("127.0.0.1"));
    let head = "(HTTP/1\\.[01] [0-9]{3} [ -~]{0,6}\r\n)?([A-Z-]{1,20}: ?[ -~]{0,20}\r\n){0,4}(\r\n)?";
    proptest!(ProptestConfig::with_cases(200), |(head in head, tail in prop::collection::vec(any::<u8>(), 0..200))| {
        let outcome = runtime.block_on(async {
            let reply = [head.as_bytes(), &tail].concat();
            let receiver = Receiver::start(move |mut stream| {
                let reply = reply.clone();
                async move {
                    read_request(&mut stream).await;
                    let _ = stream.write_all(&reply).await;
                }
            })
            .await;
            post(&client, &receiver.url(), AMPLE).await
        });
        prop_assert!(outcome.status.is_some() || outcome.error.is_some());
        prop_assert!(kind(&outcome) != Some(ErrorKind::Timeout), "{:?}", outcome);
        prop_assert!(outcome.snippet.chars().count() <= MAX_SNIPPET);
    });
}
