//! `tieline listen`: events of `/v1/stream`, posted to a receiver on this machine and signed like webhooks, so that an
//! integration can be written behind a firewall.
//!
//! An event counts as seen once it was posted, whatever the receiver answered: after a broken connection the stream goes on
//! behind it. What must not be lost belongs to a webhook, which retries.

use super::print;
use crate::cli;
use crate::config::Settings;
use anyhow::{Context, bail};
use bytes::Bytes;
use futures::StreamExt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tieline_delivery::sign::{self, Attempt, DEFAULT_HEADER_PREFIX, HeaderPrefix, HeaderStyle, PreparedSecret, Signer};
use tokio::signal::unix::{SignalKind, signal};

/// First and longest wait before connecting again.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// Longest silence before a connection counts as dead; the server sends comments in between.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest event, bytes.
const EVENT_LIMIT: usize = 1024 * 1024;
/// Time for the receiver to answer, as for a webhook.
const RECEIVER_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams until a signal ends it.
///
/// Errors: one line, for a key or an address that can never work.
pub async fn run(settings: &Settings, args: cli::Listen) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let target = reqwest::Url::parse(&args.forward_to).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let target =
        target.with_context(|| format!("--forward-to must be an http or https address, not {:?}", args.forward_to))?;
    let server =
        args.server.or_else(|| settings.public_url.clone()).unwrap_or_else(|| format!("http://{}", settings.listen));
    let secret = match args.secret {
        Some(secret) => secret,
        None => {
            let mut random = [0; 32];
            tieline_api::hub::os_random(&mut random)?;
            sign::generate_secret(random)
        }
    };
    let prefix = HeaderPrefix::parse(DEFAULT_HEADER_PREFIX).map_err(anyhow::Error::msg)?;
    let types = match args.events.as_slice() {
        [] => String::new(),
        events => {
            format!("?types={}", url::form_urlencoded::byte_serialize(events.join(",").as_bytes()).collect::<String>())
        }
    };
    let mut forwarder = Forwarder {
        http: reqwest::Client::builder().no_proxy().read_timeout(SILENCE).build()?,
        stream: format!("{}/v1/stream{types}", server.trim_end_matches('/')),
        key: args.key,
        target,
        signer: Signer::new(PreparedSecret::new(&secret), Vec::new(), HeaderStyle::Product(prefix)),
        last: None,
    };
    print(&format!("Forwarding events of {server} to {}, signed with {secret}", forwarder.target))?;
    tokio::select! {
        ended = forwarder.run() => ended,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

struct Forwarder {
    http: reqwest::Client,
    stream: String,
    key: String,
    target: reqwest::Url,
    signer: Signer,
    /// Id of the last event posted.
    last: Option<String>,
}

impl Forwarder {
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut wait = RECONNECT.0;
        loop {
            let before = self.last.clone();
            match self.connect().await? {
                Ended::Broken(why) => eprintln!("{why}; connecting again"),
                Ended::Refused(why) => bail!(why),
            }
            wait = if self.last == before { (wait * 2).min(RECONNECT.1) } else { RECONNECT.0 };
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection, until it ends.
    async fn connect(&mut self) -> anyhow::Result<Ended> {
        let mut request = self.http.get(&self.stream).bearer_auth(&self.key).header("accept", "text/event-stream");
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(_) => return Ok(Ended::Broken(format!("{} does not answer", self.stream))),
        };
        let status = response.status();
        if status.is_client_error() && status != reqwest::StatusCode::TOO_MANY_REQUESTS {
            let problem: serde_json::Value =
                serde_json::from_str(&response.text().await.unwrap_or_default()).unwrap_or_default();
            let detail = problem["detail"].as_str().unwrap_or("no reason given").to_owned();
            return Ok(Ended::Refused(format!("the server refused the stream ({status}): {detail}")));
        }
        if !status.is_success() {
            return Ok(Ended::Broken(format!("{} answered {status}", self.stream)));
        }
        eprintln!("connected");
        let mut parser = Parser::default();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let Ok(chunk) = chunk else { break };
            for event in parser.feed(&chunk)? {
                self.forward(&event).await?;
                self.last = event.id.or(self.last.take());
            }
        }
        Ok(Ended::Broken("the stream ended".into()))
    }

    async fn forward(&self, event: &Event) -> anyhow::Result<()> {
        let id = event.id.as_deref().unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
        let delivery_id = format!("dlv_{}", uuid::Uuid::now_v7().simple());
        let attempt = Attempt {
            webhook_id: id,
            event: &event.name,
            delivery_id: &delivery_id,
            at_seconds: now,
            body: event.data.as_bytes(),
        };
        let headers = self.signer.headers(&attempt).context("an event has a name that no header can hold")?;
        let since = Instant::now();
        let body = Bytes::copy_from_slice(event.data.as_bytes());
        let request = self.http.post(self.target.clone()).headers(headers).header("content-type", "application/json");
        let answer = request.timeout(RECEIVER_TIMEOUT).body(body).send().await;
        let outcome = match answer {
            Ok(response) => response.status().to_string(),
            Err(error) if error.is_timeout() => "no answer within 10 s".into(),
            Err(_) => "cannot be reached".into(),
        };
        print(&format!("{}  {id}  → {outcome} ({} ms)", event.name, since.elapsed().as_millis()))
    }
}

/// Why a connection ended.
enum Ended {
    /// Another may work.
    Broken(String),
    /// None will.
    Refused(String),
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    name: String,
    data: String,
}

/// Reads server-sent events out of chunks that end anywhere.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    event: Event,
    after_return: bool,
}

impl Parser {
    /// The events that these bytes complete.
    fn feed(&mut self, bytes: &[u8]) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' if self.after_return => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.line(&String::from_utf8_lossy(&line)));
                }
                byte => self.line.push(*byte),
            }
            self.after_return = *byte == b'\r';
            if self.line.len() + self.event.data.len() > EVENT_LIMIT {
                bail!("an event has more than {EVENT_LIMIT} bytes: is this a stream of events?");
            }
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let mut event = std::mem::take(&mut self.event);
            event.data.pop(); // the line end after the last line of data
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => self.event.name = value.to_owned(),
            "data" => {
                self.event.data.push_str(value);
                self.event.data.push('\n');
            }
            _ => {} // comments keep the connection alive
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let text =
            ": hello\n\nid: evt_1\nevent: message.sent\ndata: {\"a\":1}\n\nretry: 5\r\ndata:x\r\ndata: y\r\n\r\n";
        let event = |id: Option<&str>, name: &str, data: &str| Event {
            id: id.map(str::to_owned),
            name: name.into(),
            data: data.into(),
        };
        let expected = [event(Some("evt_1"), "message.sent", "{\"a\":1}"), event(None, "", "x\ny")];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let read: Vec<Event> = text.as_bytes().chunks(size).flat_map(|chunk| parser.feed(chunk).unwrap()).collect();
            assert_eq!(read, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_line_is_given_up() {
        let mut parser = Parser::default();
        assert!(parser.feed(&vec![b'x'; EVENT_LIMIT]).is_ok());
        assert!(parser.feed(b"x").is_err());
    }
}
