//! Asks the other installation: one answer at a time within bounds, again where that may help, a clear word where not.

use anyhow::{Context, bail};
use bytes::Bytes;
use reqwest::header::{LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Largest answer that is read, bytes.
const ANSWER_LIMIT: usize = 32 * 1024 * 1024;
/// Longest time for one answer, or between two pieces of a file.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Waits before asking again after no answer or one of 5xx; then it is given up.
const WAITS: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// How often it may say "too many requests" to one question, and the waits: its own, or this one, and at most that one.
const THROTTLED: usize = 30;
const THROTTLED_WAIT: Duration = Duration::from_secs(10);
const THROTTLED_WAIT_LIMIT: Duration = Duration::from_secs(120);

/// A client of one installation.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
    asked: AtomicU64,
}

impl Client {
    /// A client of the installation at an address, with a user's token.
    ///
    /// Errors: one line for an address that is none.
    pub fn new(url: &str, token: &str) -> anyhow::Result<Client> {
        let base = Url::parse(url.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let mut base = base
            .filter(Url::has_host)
            .with_context(|| format!("--url must be an http or https address, not {url:?}"))?;
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            bail!("--url is an address without a user and a query");
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        if token.trim().is_empty() || !token.trim().bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("--token must be an access token, from the profile of an administrator there");
        }
        let redirect = reqwest::redirect::Policy::none();
        let http =
            reqwest::Client::builder().redirect(redirect).connect_timeout(TIMEOUT).read_timeout(TIMEOUT).build()?;
        Ok(Client { http, base, token: token.trim().to_owned(), asked: AtomicU64::new(0) })
    }

    /// The installation's name: its host, with a port that is not usual, and where it lies below that.
    pub fn name(&self) -> String {
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        let path = self.base.path().trim_end_matches('/');
        format!("{}{port}{path}", self.base.host_str().unwrap_or_default())
    }

    /// Requests so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether an address lies in the same place as the installation.
    pub fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// What a path of the API answers; none for 404.
    ///
    /// Errors: one line.
    pub async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let url = self.base.join(path).context("a path that is none")?;
        let response = self.ask(|| self.http.get(url.clone()).header("api_access_token", &self.token)).await?;
        let status = response.status();
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let why = reason(response).await;
                bail!(
                    "{} does not accept the token ({status}{why}): take that of an administrator's profile",
                    self.name()
                );
            }
            status if status.is_redirection() => {
                let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
                bail!("{} sends /{path} to {to}: give the address behind that as --url", self.name());
            }
            status => bail!("{} refused /{path} ({status}{})", self.name(), reason(response).await),
        }
        let body = body(response).await.with_context(|| format!("the answer to /{path} broke off"))?;
        match serde_json::from_slice(&body) {
            Ok(value) => Ok(Some(value)),
            Err(_) => bail!("{} answered /{path} with something other than JSON: is it a Chatwoot?", self.name()),
        }
    }

    /// [`Client::find`] for what must be there.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let found = self.find(path).await?;
        found.with_context(|| format!("{} has nothing at /{path} (404): is it a Chatwoot?", self.name()))
    }

    /// A file of the installation; the token stays here.
    pub async fn open(&self, url: &Url) -> anyhow::Result<Response> {
        self.ask(|| self.http.get(url.clone())).await
    }

    /// Asks until there is an answer that says something.
    async fn ask(&self, request: impl Fn() -> reqwest::RequestBuilder) -> anyhow::Result<Response> {
        let (mut failures, mut throttled) = (0, 0);
        loop {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let wait = match request().send().await {
                Ok(response) if response.status() == StatusCode::TOO_MANY_REQUESTS && throttled < THROTTLED => {
                    throttled += 1;
                    let said =
                        response.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
                    said.map_or(THROTTLED_WAIT, Duration::from_secs).min(THROTTLED_WAIT_LIMIT)
                }
                Ok(response) if !response.status().is_server_error() => return Ok(response),
                Ok(response) => {
                    let Some(wait) = WAITS.get(failures) else {
                        bail!("{} answers {} again and again", self.name(), response.status());
                    };
                    failures += 1;
                    *wait
                }
                Err(error) => {
                    let Some(wait) = WAITS.get(failures) else {
                        // Without the address, whose query may open something.
                        bail!("{} does not answer ({})", self.name(), error.without_url());
                    };
                    failures += 1;
                    *wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }
}

/// The body of an answer, whole.
async fn body(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut body: Vec<u8> = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        add(&mut body, &piece)?;
    }
    Ok(body)
}

fn add(body: &mut Vec<u8>, piece: &Bytes) -> anyhow::Result<()> {
    if body.len() + piece.len() > ANSWER_LIMIT {
        bail!("it has more than {ANSWER_LIMIT} bytes");
    }
    body.extend_from_slice(piece);
    Ok(())
}

/// What a refusal says of itself, for a message in brackets.
async fn reason(response: Response) -> String {
    let body = body(response).await.unwrap_or_default();
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = ["error", "message"].iter().find_map(|name| said[*name].as_str()).or_else(|| said["errors"][0].as_str());
    let text: String = text.unwrap_or_default().chars().take(200).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    /// A server that gives these answers, one to a connection; then it is gone.
    fn server(answers: Vec<String>) -> String {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/desk", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap();
                assert!(first.starts_with("GET /desk/api/v1/profile "), "{first}");
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                assert!(head.iter().any(|line| line == "api_access_token: secret-token"), "{head:?}");
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn it_waits_and_asks_again_where_that_helps() {
        let url = server(vec![
            answer("429 Too Many Requests\r\nretry-after: 0", "Retry later"),
            answer("503 Service Unavailable", ""),
            answer("200 OK", r#"{"id": 7}"#),
        ]);
        let client = Client::new(&url, " secret-token ").unwrap();
        assert_eq!(client.get("api/v1/profile").await.unwrap()["id"], 7);
        assert_eq!(client.asked(), 3);
        assert_eq!(format!("http://{}", client.name()), url);
    }

    #[tokio::test]
    async fn it_says_what_is_wrong() {
        for (answer, expected) in [
            (
                answer("401 Unauthorized", r#"{"error":"Invalid Access Token"}"#),
                "does not accept the token (401 Unauthorized: Invalid Access Token): take that of an administrator's profile",
            ),
            (answer("404 Not Found", ""), "has nothing at /api/v1/profile (404): is it a Chatwoot?"),
            (answer("200 OK", "<html>"), "answered /api/v1/profile with something other than JSON: is it a Chatwoot?"),
            (
                answer("302 Found\r\nlocation: https://desk.example/x", ""),
                "sends /api/v1/profile to https://desk.example/x: give the address behind that as --url",
            ),
            (
                answer("422 Unprocessable Content", r#"{"message":"No"}"#),
                "refused /api/v1/profile (422 Unprocessable Entity: No)",
            ),
        ] {
            let client = Client::new(&server(vec![answer]), "secret-token").unwrap();
            let said = client.get("api/v1/profile").await.unwrap_err().to_string();
            assert_eq!(said.strip_prefix(&client.name()).map(str::trim), Some(expected));
            assert!(!said.contains("secret"), "{said}");
        }
        for (url, token) in [
            ("desk.example", "t"),
            ("ftp://desk.example", "t"),
            ("https://a:b@desk.example", "t"),
            ("https://desk.example", " "),
        ] {
            assert!(Client::new(url, token).is_err(), "{url}");
        }
    }
}
