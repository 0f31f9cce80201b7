//! A data folder, commands on it, and a server that ends with its test.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use tempfile::TempDir;
use tieline_testkit::postgres::Database;

/// A folder of a test with the data folder in it.
pub struct Place {
    folder: TempDir,
    /// PostgreSQL instead of the file in the data folder.
    url: Option<String>,
    _database: Option<Database>,
}

/// What a command printed, and how it ended.
pub struct Ended {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ended { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.success, "{}", self.stderr);
        self.stdout
    }
    /// The one JSON value that it must have printed.
    #[track_caller]
    pub fn json(self) -> Value {
        serde_json::from_str(&self.ok()).expect("exactly one JSON value")
    }
    /// The one line on standard error of a command that must have failed.
    #[track_caller]
    pub fn refusal(self) -> String {
        assert!(!self.success, "it succeeded: {}", self.stdout);
        assert_eq!(self.stdout, "", "what failed prints nothing");
        let (line, rest) = self.stderr.split_once('\n').expect("a line");
        assert_eq!(rest, "", "one line");
        line.strip_prefix("tieline: ").unwrap_or_else(|| panic!("whose line is {line:?}?")).to_owned()
    }
}

impl Place {
    pub fn new() -> Place {
        Place { folder: tempfile::tempdir().expect("a temporary folder"), url: None, _database: None }
    }
    /// A folder whose database is an empty one on PostgreSQL.
    pub fn on_postgres() -> Place {
        let database = Database::create();
        Place { url: Some(database.url.clone()), _database: Some(database), ..Place::new() }
    }
    /// A folder whose database is somewhere.
    #[allow(dead_code)] // not every suite asks
    pub fn at(url: &str) -> Place {
        Place { url: Some(url.to_owned()), ..Place::new() }
    }
    /// Where the database is, if it is on PostgreSQL.
    #[allow(dead_code)]
    pub fn database_url(&self) -> Option<&str> {
        self.url.as_deref()
    }
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }
    /// A command on the data folder; nothing of this process's own settings reaches it.
    pub fn command(&self, args: &[&str]) -> Command {
        self.on(&self.data(), args)
    }
    /// A command on another data folder.
    pub fn on(&self, data: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tieline"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIELINE_")) {
            command.env_remove(name);
        }
        command.args(args).current_dir(self.path()).stdin(Stdio::null());
        command.env("TIELINE_DATA_DIR", data).env("TIELINE_LISTEN", "127.0.0.1:0").env("TIELINE_DRAIN_TIME", "0s");
        if let Some(url) = &self.url {
            command.env("TIELINE_DATABASE_URL", url);
        }
        command
    }
    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.command(args).output().expect("runs").into()
    }
    /// A server on the data folder.
    pub fn serve(&self) -> Server {
        Server::start(self.command(&["serve"]))
    }
    /// Makes tenant `acme` and answers a key of it.
    pub fn key(&self) -> String {
        self.run(&["tenant", "create", "--slug", "acme", "--name", "Acme", "--rate-limit", "100000"]).ok();
        let made = self.run(&["key", "create", "--tenant", "acme", "--name", "k", "--scopes", "full_access", "--json"]);
        made.json()["key"].as_str().expect("a key").to_owned()
    }
}

/// A process that runs until it is told to stop, or its test ends.
pub struct Server {
    pub child: Child,
    pub url: String,
    lines: Receiver<String>,
}

impl Server {
    /// Starts a server and waits for it to listen.
    #[track_caller]
    pub fn start(mut command: Command) -> Server {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
        let lines = lines_of(child.stderr.take().expect("piped"));
        let mut server = Server { child, url: String::new(), lines };
        let line = server.line_with("listening on ");
        let url = line.split("listening on ").nth(1).expect("an address").split(' ').next().expect("an address");
        server.url = url.to_owned();
        server
    }
    /// Waits for a line of the log that holds `text`.
    #[track_caller]
    pub fn line_with(&self, text: &str) -> String {
        let mut seen = Vec::new();
        for line in self.lines.iter() {
            if line.contains(text) {
                return line;
            }
            seen.push(line);
        }
        panic!("it ended without a line with {text:?}: {seen:#?}");
    }
    /// Asks it to stop and waits; what it logged since the last line that was waited for.
    #[track_caller]
    pub fn stop_and_tell(mut self) -> Vec<String> {
        signal(&self.child, "TERM");
        assert!(self.child.wait().expect("ends").success());
        self.lines.iter().collect()
    }
    /// Asks it to stop and waits; whether it ended well.
    pub fn stop(mut self) -> bool {
        signal(&self.child, "TERM");
        self.child.wait().expect("ends").success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success(), "the process is there");
}

/// The lines of a pipe, as they come.
pub fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

/// A client of the API.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    pub fn new(url: &str, key: &str) -> Client {
        // Any test may be the first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Client { http, url: url.to_owned(), key: key.to_owned() }
    }
    /// The address of a path.
    #[allow(dead_code)]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.key)).await
    }
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.http.post(format!("{}{path}", self.url)).bearer_auth(&self.key).json(body)).await
    }
    /// Opens a conversation.
    pub async fn open(&self, reference: &str) -> (u16, Value) {
        let body = serde_json::json!({
            "externalReference": reference,
            "contact": {"email": "ana@example.com"},
            "subject": "Where is my parcel?",
            "outboundContext": {"originalMessage": "Hello, where is it?"},
        });
        self.post("/v1/conversations/outbound", &body).await
    }
}

/// Status and body of a request; a body that is no JSON is a text.
pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let (status, text) = (response.status().as_u16(), response.text().await.expect("a body"));
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
