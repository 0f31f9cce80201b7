//! `tieline listen`: events reach a receiver on this machine, signed, and the stream goes on after a break.

use crate::support::{Client, Place, Server, lines_of, signal};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::time::{SystemTime, UNIX_EPOCH};
use tieline_delivery::sign::{PreparedSecret, Received, verify};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Head, lower-cased, and body of a request.
pub type Posted = (Vec<String>, String);

/// A receiver that hands over what was posted and answers 204.
pub fn receiver() -> (String, Receiver<Posted>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let send = send.clone();
            std::thread::spawn(move || {
                while let Some(posted) = posted(&stream).filter(|posted| send.send(posted.clone()).is_ok()) {
                    drop(posted);
                    if (&stream).write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_err() {
                        break;
                    }
                }
            });
        }
    });
    (url, receive)
}

fn posted(stream: &TcpStream) -> Option<Posted> {
    let mut reader = BufReader::new(stream);
    let head: Vec<String> = (&mut reader)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .map(|line| line.to_lowercase())
        .collect();
    let length: usize = header(&head, "content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}

fn header<'h>(head: &'h [String], name: &str) -> Option<&'h str> {
    head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_forwarded_signed_and_the_stream_goes_on_after_a_restart() {
    let place = Place::new();
    let key = place.key();
    let server = place.serve();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let (url, arrived) = receiver();
    let mut command = place.command(&["listen", "--forward-to", &url, "--server", &server.url, "--secret", SECRET]);
    command.env("TIELINE_KEY", &key).args(["--events", "message.received"]);
    let mut listen = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (said, state) = (lines_of(listen.stdout.take().unwrap()), lines_of(listen.stderr.take().unwrap()));
    assert!(said.recv().unwrap().ends_with(&format!("signed with {SECRET}")));
    assert_eq!(state.recv().unwrap(), "connected");

    assert_eq!(Client::new(&server.url, &key).open("order-1").await.0, 201);
    let (head, body) = arrived.recv().unwrap();
    let event: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&event["type"], &event["data"]["conversation"]["externalReference"]),
        (&"message.received".into(), &"order-1".into())
    );
    assert_eq!(header(&head, "webhook-id"), event["id"].as_str());
    assert_eq!(header(&head, "x-tieline-event"), Some("message.received"));
    // The head was lower-cased for the search; a signature must not be.
    let line = said.recv().unwrap();
    assert!(
        line.starts_with(&format!("message.received  {}  → 204 No Content (", event["id"].as_str().unwrap())),
        "{line}"
    );

    // Stopped, changed while nobody listens, started again on the same address.
    assert!(server.stop());
    let mut command = place.command(&["serve"]);
    command.env("TIELINE_LISTEN", &address);
    let server = Server::start(command);
    assert_eq!(Client::new(&server.url, &key).open("order-2").await.0, 201);
    let (_, body) = arrived.recv().unwrap();
    let event: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(event["data"]["conversation"]["externalReference"], "order-2", "nothing missed, nothing again");
    signal(&listen, "INT");
    assert!(listen.wait().unwrap().success());
    assert!(server.stop());
}

#[test]
fn a_wrong_key_is_one_line() {
    let place = Place::new();
    let server = place.serve();
    let args = ["listen", "--forward-to", "http://127.0.0.1:9/", "--server", &server.url, "--key", "sa_live_x"];
    let ended = place.run(&args);
    assert!(!ended.success);
    let expected = "tieline: the server refused the stream (401 Unauthorized): This API key is not known";
    assert!(ended.stderr.starts_with(expected), "{}", ended.stderr);
    let made = place.run(&["tenant", "create", "--slug", "acme", "--json"]).json();
    assert_eq!(made["slug"], "acme");
    let key = ["key", "create", "--tenant", "acme", "--name", "n", "--scopes", "full_access", "--json"];
    let key = place.run(&key).json()["key"].as_str().unwrap().to_owned();
    let args =
        ["listen", "--forward-to", "http://127.0.0.1:9/", "--server", &server.url, "--key", &key, "--events", "foo"];
    let ended = place.run(&args);
    assert!(!ended.success);
    let expected = "tieline: the server refused the stream (400 Bad Request): types is no event";
    assert!(ended.stderr.starts_with(expected), "{}", ended.stderr);
    let refused = place.run(&["listen", "--forward-to", "localhost:9", "--key", "x"]).refusal();
    assert_eq!(refused, "--forward-to must be an http or https address, not \"localhost:9\"");
}

#[test]
fn what_is_posted_carries_a_signature_that_holds() {
    let place = Place::new();
    // A server of one stream with one event, to have the bytes in hand.
    let stream = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", stream.local_addr().unwrap());
    let (listener, body) = (TcpListener::bind("127.0.0.1:0").unwrap(), "{\"id\":\"evt_1\"}");
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let args = ["listen", "--forward-to", &url, "--server", &server, "--secret", SECRET, "--key", "k"];
    let mut listen = place.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (mut open, _) = stream.accept().unwrap();
    // An answer before the question would be refused.
    assert!(BufReader::new(&open).lines().map(Result::unwrap).any(|line| line.is_empty()));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    open.write_all(format!("{head}id: evt_1\nevent: message.sent\ndata: {body}\n\n").as_bytes()).unwrap();
    let (request, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(&request);
    let head: Vec<String> = (&mut reader).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    let value = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap();
    let mut received_body = vec![0; body.len()];
    reader.read_exact(&mut received_body).unwrap();
    let received = Received {
        id: value("webhook-id"),
        timestamp: value("webhook-timestamp"),
        signature: value("webhook-signature"),
        body: &received_body,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    assert_eq!(verify(&[PreparedSecret::new(SECRET)], &received, now), Ok(()));
    assert_eq!((received_body.as_slice(), received.id), (body.as_bytes(), "evt_1"));
    drop((request, open));
    // The stream broke: it comes back and names what it has.
    let (again, _) = stream.accept().unwrap();
    let head: Vec<String> =
        BufReader::new(&again).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
    assert!(head.contains(&"last-event-id: evt_1".to_owned()), "{head:?}");
    signal(&listen, "TERM");
    assert!(listen.wait().unwrap().success());
}
