//! `tieline demo`: what it prints is true.

use crate::support::{Place, answer, lines_of, signal};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;

struct Demo {
    child: Child,
    lines: Receiver<String>,
    /// What it has said of deliveries so far.
    said: Vec<String>,
}

impl Demo {
    /// Starts it and reads what it prints up to where deliveries follow.
    fn start(place: &Place, listen: Option<&str>) -> (Demo, Vec<String>) {
        let mut command = place.command(&["demo"]);
        command.env("TMPDIR", place.path()).env_remove("TIELINE_DATA_DIR").env_remove("TIELINE_LISTEN");
        if let Some(listen) = listen {
            command.env("TIELINE_LISTEN", listen);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let welcome: Vec<String> = lines.iter().take_while(|line| !line.starts_with("What arrives")).collect();
        (Demo { child, lines, said: Vec::new() }, welcome)
    }
    /// The first line that starts like this, said already or waited for, and the one after. Deliveries of different
    /// conversations come in any order.
    #[track_caller]
    fn delivery(&mut self, event: &str) -> (String, String) {
        let start = format!("→ {event}");
        loop {
            if let Some([line, after]) = self.said.windows(2).find(|pair| pair[0].starts_with(&start)) {
                return (line.clone(), after.clone());
            }
            self.said.push(self.lines.recv().expect("the delivery"));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Address, headers and body of a call.
type Call = (String, Vec<(String, String)>, Option<String>);

/// The calls printed; a reader of exactly the shell that is printed.
fn calls(welcome: &[String]) -> Vec<Call> {
    let text = welcome.join("\n").replace("\\\n", " ");
    let commands = text.lines().filter(|line| line.starts_with("curl "));
    let words = |command: &str| {
        let mut words = Vec::new();
        for (at, part) in command.split('\'').enumerate() {
            match at % 2 {
                1 => words.push(part.to_owned()),
                _ => words.extend(part.split_whitespace().map(str::to_owned)),
            }
        }
        words
    };
    commands
        .map(|command| {
            let (mut url, mut headers, mut body) = (String::new(), Vec::new(), None);
            let mut words = words(command).into_iter().skip(1);
            while let Some(word) = words.next() {
                match &*word {
                    "-sS" => {}
                    "-H" => {
                        let header = words.next().unwrap();
                        let (name, value) = header.split_once(": ").unwrap();
                        headers.push((name.to_owned(), value.to_owned()));
                    }
                    "-d" => body = words.next(),
                    _ => url = word,
                }
            }
            (url, headers, body)
        })
        .collect()
}

#[tokio::test]
async fn the_printed_calls_work_and_their_events_arrive_signed() {
    let place = Place::new();
    let (mut demo, welcome) = Demo::start(&place, Some("127.0.0.1:0"));
    let calls = calls(&welcome);
    assert_eq!(calls.len(), 3, "{welcome:#?}");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    assert!(readme.contains(&format!("-d '{}'", calls[0].2.as_deref().unwrap())), "README.md shows another first call");
    assert!(readme.contains(&welcome[0]), "README.md shows another first line");
    let mut answers = Vec::new();
    for (url, headers, body) in calls {
        let request = match body {
            Some(body) => http.post(url).body(body),
            None => http.get(url),
        };
        answers.push(answer(headers.iter().fold(request, |request, (name, value)| request.header(name, value))).await);
    }
    assert_eq!((answers[0].0, &answers[0].1["externalReference"]), (201, &Value::from("order-4711")), "{answers:?}");
    assert_eq!((answers[1].0, &answers[1].1["direction"]), (201, &Value::from("outbound")), "{answers:?}");
    assert_eq!((answers[2].0, answers[2].1["data"].as_array().map(Vec::len)), (200, Some(5)), "{answers:?}");
    let (opened, signature) = demo.delivery("conversation.created");
    assert_eq!(opened, "→ conversation.created  Where is my parcel?");
    assert!(signature.starts_with("  signature holds, evt_"), "{signature}");
    let (replied, signature) = demo.delivery("message.sent");
    assert_eq!(replied, "→ message.sent  \"Thank you for asking. It is on its way.\"");
    assert!(signature.starts_with("  signature holds, evt_"), "{signature}");

    signal(&demo.child, "INT");
    assert!(demo.child.wait().unwrap().success());
    let left = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(left, 0, "nothing is kept");
}

#[test]
fn a_taken_port_is_said_and_another_is_used() {
    // Somebody has it, be it us or another test.
    let _taken = std::net::TcpListener::bind("127.0.0.1:8080");
    let place = Place::new();
    let (mut demo, welcome) = Demo::start(&place, None);
    let server = welcome.iter().find_map(|line| line.strip_prefix("server    http://127.0.0.1:")).unwrap();
    assert_ne!(server, "8080");
    let note = format!("Port 8080 is taken; this uses {server}.");
    assert!(welcome.contains(&note), "{welcome:#?}");
    signal(&demo.child, "TERM");
    assert!(demo.child.wait().unwrap().success());
}
