//! The samples of docs/receiving-webhooks.md, run by a real Node.js against our own signatures.

use std::io::Write;
use std::process::{Command, Stdio};
use tieline_delivery::sign::{Attempt, HeaderPrefix, HeaderStyle, PreparedSecret, Signer, generate_secret};

const GUIDE: &str = include_str!("../../../docs/receiving-webhooks.md");

/// One of the samples, and a program around it that says whether it accepts what stands on its input.
fn program(place: usize) -> String {
    let rest = GUIDE.split("```js\n").nth(place + 1).expect("a sample");
    let sample = &rest[..rest.find("```").expect("its end")];
    format!(
        "{sample}\nconst input = JSON.parse(await new Response(process.stdin).text());\n\
         console.log(verify(input.secret, input.headers, input.body));"
    )
}

fn accepts(program: &str, secret: &str, headers: &serde_json::Value, body: &str) -> bool {
    let mut node = Command::new("node")
        .args(["--input-type=module", "-e", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node.js is installed: scripts/setup.sh");
    let input = serde_json::json!({"secret": secret, "headers": headers, "body": body}).to_string();
    node.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let output = node.wait_with_output().expect("it ends");
    match String::from_utf8_lossy(&output.stdout).trim() {
        "true" => true,
        "false" => false,
        other => panic!("the sample said {other:?}"),
    }
}

#[test]
fn the_sample_of_the_guide_accepts_ours_and_refuses_altered_ones() {
    let (secret, other) = (generate_secret([3; 32]), generate_secret([4; 32]));
    let style = HeaderStyle::Product(HeaderPrefix::parse("X-Tieline").expect("a prefix"));
    let previous = vec![PreparedSecret::new(&other)];
    let signer = Signer::new(PreparedSecret::new(&secret), previous, style);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let body = r#"{"event":"message.sent","text":"Olá, ação!"}"#;
    let headers = |at_seconds| {
        let attempt = Attempt {
            webhook_id: "evt_1",
            event: "message.sent",
            delivery_id: "dlv_1",
            at_seconds,
            body: body.as_bytes(),
        };
        let headers = signer.headers(&attempt).expect("headers");
        let pairs = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("text").into()));
        serde_json::Value::Object(pairs.collect())
    };
    let program = program(0);
    assert!(accepts(&program, &secret, &headers(now), body));
    assert!(accepts(&program, &other, &headers(now), body), "the secret before a rotation");
    assert!(!accepts(&program, &generate_secret([5; 32]), &headers(now), body), "a foreign secret");
    assert!(!accepts(&program, &secret, &headers(now), &body.replace("ação", "acao")), "an altered body");
    assert!(!accepts(&program, &secret, &headers(now - 400), body), "an old delivery");
}

#[test]
fn the_sample_for_chatwoots_format_accepts_ours_and_refuses_altered_ones() {
    let secret = "nK3xq8ZtR5vB1mW7cY2dLp9s";
    let signer = Signer::new(PreparedSecret::new(secret), Vec::new(), HeaderStyle::Chatwoot);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() as i64;
    let body = r#"{"event":"message_created","content":"Olá,\\\n*ação*!"}"#;
    let headers = |at_seconds| {
        let attempt = Attempt {
            webhook_id: "evt_1",
            event: "message_created",
            delivery_id: "00000000-0000-7000-8000-000000000001",
            at_seconds,
            body: body.as_bytes(),
        };
        let headers = signer.headers(&attempt).expect("headers");
        let pairs = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("text").into()));
        serde_json::Value::Object(pairs.collect())
    };
    let program = program(1);
    assert!(accepts(&program, secret, &headers(now), body));
    assert!(!accepts(&program, "nK3xq8ZtR5vB1mW7cY2dLp9t", &headers(now), body), "a foreign secret");
    assert!(!accepts(&program, secret, &headers(now), &body.replace("ação", "acao")), "an altered body");
    assert!(!accepts(&program, secret, &headers(now), &format!("{body} ")), "a longer body");
    let mut moved = headers(now);
    moved["x-chatwoot-timestamp"] = (now + 1).to_string().into();
    assert!(!accepts(&program, secret, &moved, body), "another timestamp");
    assert!(!accepts(&program, secret, &headers(now - 400), body), "an old delivery");
}
