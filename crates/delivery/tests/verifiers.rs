//! Verifiers that others wrote accept what we sign and refuse it altered: the receivers' libraries from npm, PyPI and
//! the Rust registry.
//!
//! The first two are installed by `tests/verifiers/setup.sh`; without them their test fails rather than pass unproven.

use serde_json::{Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};
use tieline_delivery::sign::{Attempt, HeaderPrefix, HeaderStyle, PreparedSecret, Signer, generate_secret};

/// One delivery as a receiver has it, and what a verifier must say.
struct Case {
    name: String,
    secret: String,
    headers: Value,
    body: String,
    accepted: bool,
}

fn signed(signer: &Signer, at_seconds: i64, body: &str) -> Value {
    let attempt = Attempt {
        webhook_id: "evt_01920000000070008000000000000001",
        event: "message.sent",
        delivery_id: "dlv_01920000000070008000000000000002",
        at_seconds,
        body: body.as_bytes(),
    };
    let headers = signer.headers(&attempt).unwrap();
    headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap()))).collect()
}

fn cases(now: i64) -> Vec<Case> {
    let [new, old, other] = [1, 2, 3].map(|byte| generate_secret([byte; 32]));
    let one = Signer::new(PreparedSecret::new(&new), vec![], HeaderStyle::Product(HeaderPrefix::default()));
    let rotating = Signer::new(PreparedSecret::new(&new), vec![PreparedSecret::new(&old)], HeaderStyle::Chatwoot);
    let large = format!(r#"{{"text":"{}"}}"#, "ä€😀".repeat(30_000));
    let bodies = [
        ("plain", r#"{"id":"evt_1","data":{"n":1}}"#),
        ("unicode", r#"{"text":"Grüße, 日本語, 😀, \u0000, \"quoted\"\n"}"#),
        ("spaces", " {\r\n\t\"a\" : [ ] }\n "),
        ("empty", ""),
        ("large", &large),
    ];
    let mut cases = Vec::new();
    let mut case = |name: String, secret: &String, headers: Value, body: &str, accepted| {
        cases.push(Case { name, secret: secret.clone(), headers, body: body.to_owned(), accepted });
    };
    for (name, body) in bodies {
        for (signer, style, known) in [(&one, "one", vec![&new]), (&rotating, "rotating", vec![&new, &old])] {
            let headers = signed(signer, now, body);
            for (which, secret) in known.into_iter().enumerate() {
                case(format!("{name}, {style}, secret {which}"), secret, headers.clone(), body, true);
            }
            case(format!("{name}, {style}, other secret"), &other, headers.clone(), body, false);
            case(format!("{name}, {style}, longer body"), &new, headers.clone(), &format!("{body} "), false);
            for (header, value) in [
                ("webhook-id", "evt_01920000000070008000000000000009".to_owned()),
                ("webhook-timestamp", (now + 1).to_string()),
                ("webhook-signature", format!("v1,{}=", "A".repeat(43))),
            ] {
                let mut altered = headers.clone();
                altered[header] = json!(value);
                case(format!("{name}, {style}, other {header}"), &new, altered, body, false);
            }
        }
    }
    let body = bodies[0].1;
    case("one letter".into(), &new, signed(&one, now, body), &body.replace("data", "date"), false);
    // Well inside and well outside of the five minutes: the verifiers go by the machine's clock.
    for (age, accepted) in [(200, true), (-200, true), (400, false), (-400, false)] {
        case(format!("{age} s old"), &new, signed(&one, now - age, body), body, accepted);
    }
    cases
}

/// What the verifiers of one script say to each case.
fn verdicts(program: &Path, script: &str, cases: &[Case]) -> Vec<Value> {
    let mut child = Command::new(program)
        .arg(script)
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
    let mut stdin = child.stdin.take().unwrap();
    for case in cases {
        writeln!(stdin, "{}", json!({"secret": case.secret, "headers": case.headers, "body": case.body})).unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} failed");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/verifiers")
}

#[test]
fn third_party_verifiers_accept_our_signatures_and_refuse_altered_ones() {
    let python = folder().join(".venv/bin/python");
    if !folder().join("node_modules/.installed").exists() || !folder().join(".venv/.installed").exists() {
        panic!("the verifiers are not installed: run tests/verifiers/setup.sh");
    }
    let cases = cases(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64);
    for (program, script, verifiers) in [(Path::new("node"), "verify.mjs", 2), (&python, "verify.py", 1)] {
        let verdicts = verdicts(program, script, &cases);
        assert_eq!(verdicts.len(), cases.len(), "{script}");
        for (case, verdict) in cases.iter().zip(verdicts) {
            let verdict = verdict.as_object().unwrap();
            assert_eq!(verdict.len(), verifiers, "{script}");
            for (verifier, accepted) in verdict {
                assert_eq!(accepted, &json!(case.accepted), "{verifier}: {}", case.name);
            }
        }
    }
}

#[test]
fn the_rust_verifier_accepts_our_signatures_and_refuses_altered_ones() {
    let cases = cases(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64);
    for case in &cases {
        let verifier = standardwebhooks::Webhook::new(&case.secret).unwrap();
        let headers: http::HeaderMap = case
            .headers
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::try_from(name).unwrap(),
                    http::HeaderValue::try_from(value.as_str().unwrap()).unwrap(),
                )
            })
            .collect();
        let verdict = verifier.verify(case.body.as_bytes(), &headers);
        assert_eq!(verdict.is_ok(), case.accepted, "{}: {verdict:?}", case.name);
    }
}
