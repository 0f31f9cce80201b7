//! One connection on which a thread blocks: opened, asked, given up, opened again; and how long each of these may take.
//!
//! Every wait has an end that suits a person before a page, because requests queue up behind it:
//! - **No answer for [`SILENCE`].** A slow statement, a lock and a dead network look the same from here, so a second
//!   connection asks the server whether it still works on our statement. It does: we wait on, to the limit of the
//!   connection's [`Role`]. It does not, or nobody answers within the time to connect: the connection is given up. So a
//!   network that swallows everything costs a request about seven seconds, and a report may still take half a minute.
//! - **Connecting** asks all hosts of the URL at once, so that a dead one costs nothing while another serves.
//! - **A lost connection** is opened again when the next work needs it, for [`RECONNECT_FOR`] at most; while the server
//!   stays away it is tried once in [`AWAY_FOR`], also without work, and work fails at once.
//! - **The server** ends our transactions that do nothing ([`Role::idle_ms`]): the locks of a writer that was cut off are
//!   free again when the network is back.

use super::Server;
use super::address::{self, CONNECT_WITHIN};
use super::flight::Ready;
use crate::health::Health;
use crate::{Error, Result};
use futures::future::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, Statement};

/// Each of our statements finds its rows by an index. A prepared plan is kept as it was made, and one made while a table was
/// small may walk it, or hash it whole, long after it has grown. So only what could not go by an index does not; and a plan
/// is made once, not for each execution's values. Nor is it compiled, or given to several processes: the length of a page is
/// not known when it is planned, so it is taken for a tenth of all there is, and to start what that would be worth takes ten
/// to hundreds of times as long as reading the page.
const PLANS: &str = "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; \
                     set plan_cache_mode = force_generic_plan; set jit = off; set max_parallel_workers_per_gather = 0";
/// How long a plan is kept. One that was made while its tables were empty is as wrong as can be once they have grown: until
/// the server's own next look at them, a minute later, creations fell to a fiftieth of their rate. To plan anew costs a
/// busy server a fiftieth of its time each second, so it is done half as often each time, up to [`REPLAN_AT_LEAST`].
const REPLAN_AFTER: Duration = Duration::from_secs(1);
/// How long a plan is kept at most.
const REPLAN_AT_LEAST: Duration = Duration::from_secs(8);
/// Statements kept prepared per connection; one more and all are prepared anew.
const STATEMENTS: usize = 512;
/// How long no answer is nothing to look into.
const SILENCE: Duration = Duration::from_secs(2);
/// How long the answer of a statement that has ended may be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// How much longer than the server allows itself we wait for an answer.
const SLACK: Duration = Duration::from_secs(5);
/// How long lost connections are tried again before the work is refused.
pub(super) const RECONNECT_FOR: Duration = Duration::from_secs(5);
/// How long a server that stayed away is left alone.
pub(super) const AWAY_FOR: Duration = Duration::from_secs(1);
/// First wait between two tries; doubled up to [`RECONNECT_WAIT_MOST`].
const RECONNECT_WAIT: Duration = Duration::from_millis(50);
/// Longest wait between two tries.
const RECONNECT_WAIT_MOST: Duration = Duration::from_secs(1);
/// What the server shows beside our connections, before the name in the URL.
pub(super) const APPLICATION: &str = "tieline";
/// The oldest server that is supported, as the server itself numbers it.
const OLDEST: i64 = 150_000;
const NO_ANSWER: &str = "the database server does not answer";
const READ_ONLY: &str = "the server is read-only: it is a standby, or was set so; name the primary's host";
const OWNER: &str = "the role in the URL needs to own its database";
/// The beginning of a transaction that writes.
pub(super) const WRITE: &str = "begin isolation level read committed";
const READ: &str = "begin isolation level repeatable read read only";
/// A reader's next snapshot while it still has the one before.
const READ_NEXT: &str = "rollback; begin isolation level repeatable read read only";
/// What is said when prepared statements or sessions are not ours alone.
pub(super) const POOLER: &str =
    "a pooler hands one connection to several clients: give it session mode, or connect to PostgreSQL itself";

/// What a connection is for, and with that how long things on it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Short transactions that hold locks.
    Write,
    /// Statements beside a transaction that writes, which commit by themselves. These commits are not flushed: the log has
    /// one order, so each is on disk before the commit of whatever uses the result.
    Beside,
    /// Snapshots, which block nobody: reports and exports read long.
    Read,
}

impl Role {
    /// How long the server lets a statement run.
    fn statement_ms(self) -> u32 {
        match self {
            Role::Write | Role::Beside => 10_000,
            Role::Read => 30_000,
        }
    }
    /// How long the server lets a transaction do nothing. A verb waits for nobody: a writer that does has been cut off.
    fn idle_ms(self) -> u32 {
        match self {
            Role::Write | Role::Beside => 10_000,
            Role::Read => 60_000,
        }
    }
    /// How long we wait for an answer: longer than the server allows itself, so this ends only a wait for a lost server,
    /// or a commit that waits for a lost standby.
    fn patience(self) -> Duration {
        Duration::from_millis(self.statement_ms().into()) + SLACK
    }
}

/// An open connection; it closes with this value, also when an answer is still to come.
pub(super) struct Connected {
    pub(super) client: Client,
    /// The server's process that serves it.
    process: i64,
    driving: JoinHandle<()>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// One connection with its runtime and its prepared statements.
pub(crate) struct Session {
    server: Server,
    role: Role,
    runtime: Arc<Runtime>,
    /// How long lost connections are tried again before the work is refused: [`RECONNECT_FOR`].
    patience: Duration,
    pub(super) connected: Option<Connected>,
    statements: HashMap<String, Statement>,
    /// What goes out with the next statement, to begin the transaction that it is the first of.
    pub(super) pending: Option<&'static str>,
    /// When plans were last thrown away.
    planned: Instant,
    /// How long plans are kept now.
    plans_last: Duration,
    /// There is a transaction on the server.
    pub(super) open: bool,
    /// What waits to be sent; see [`Session::defer`].
    pub(super) deferred: Vec<Ready>,
    /// Where statements run that commit by themselves, once there was one.
    pub(super) beside: Option<Box<Session>>,
    /// A statement that may have changed something ran in this unit.
    pub wrote: bool,
    /// When the last try to connect failed, after all the waiting, and how.
    pub away: Option<(Instant, Error)>,
}

/// A statement's failure: the caller's own, or the driver's.
pub(super) enum Fault {
    Caller(Error),
    Driver(tokio_postgres::Error),
}

impl Fault {
    /// Whether the server itself has said it.
    pub(super) fn is_said(&self) -> bool {
        matches!(self, Fault::Driver(error) if error.as_db_error().is_some())
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        Fault::Driver(error)
    }
}

/// Why a connection was not opened.
struct Refused {
    reason: String,
    /// Another try may help.
    may_pass: bool,
    /// The server said so itself, and it is one that we could work with.
    answered: bool,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        Error::Away { why: refused.reason, passes: refused.may_pass }
    }
}

/// What the server says of a statement that has not been answered.
enum Doing {
    /// It works on it, or at least it is there and does not say.
    Works,
    /// It does not: the answer is on its way, or will never come.
    Nothing,
    /// It cannot be asked.
    Away(Error),
}

impl Session {
    /// A session that is not connected yet.
    pub(super) fn new(server: Server, role: Role) -> Result<Session> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::Unavailable(format!("cannot start a runtime: {error}")))?;
        Ok(Session::on(Arc::new(runtime), server, role))
    }

    /// The same; what it does goes on while `runtime` is driven for another.
    fn on(runtime: Arc<Runtime>, server: Server, role: Role) -> Session {
        Session {
            server,
            role,
            runtime,
            patience: RECONNECT_FOR,
            connected: None,
            statements: HashMap::new(),
            pending: None,
            planned: Instant::now(),
            plans_last: REPLAN_AFTER,
            open: false,
            deferred: Vec::new(),
            beside: None,
            wrote: false,
            away: None,
        }
    }

    pub fn is_lost(&self) -> bool {
        self.connected.as_ref().is_none_or(|connected| connected.client.is_closed())
    }

    pub fn lose(&mut self) {
        self.statements.clear();
        self.open = false;
        self.connected = None;
    }

    /// Connects if need be, waiting [`Session::patience`] at most; a server that stayed away is asked once a
    /// [`AWAY_FOR`], and its callers learn at once.
    pub fn ensure(&mut self) -> Result<()> {
        if !self.is_lost() {
            return Ok(());
        }
        self.lose();
        let (start, was_away) = (Instant::now(), self.away.is_some());
        if let Some((at, error)) = &self.away
            && start - *at < AWAY_FOR
        {
            return Err(error.clone());
        }
        let mut wait = RECONNECT_WAIT;
        loop {
            let Err(refused) = self.runtime.block_on(dial(&self.server, self.role)).map(|connected| {
                self.connected = Some(connected);
            }) else {
                self.set_away(None);
                // What made this one stay away may have taken that one along.
                if was_away && let Some(beside) = &mut self.beside {
                    let _ = beside.connect(Duration::ZERO); // its failure is noted
                }
                return Ok(());
            };
            let may_pass = refused.may_pass;
            let error = Error::from(refused);
            self.set_away(Some(error.clone()));
            if !may_pass || was_away || start.elapsed() + wait > self.patience {
                return Err(error);
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(RECONNECT_WAIT_MOST);
        }
    }

    /// Connects, for a node that starts; lost connections are later tried for [`RECONNECT_FOR`].
    pub(super) fn connect(&mut self, patience: Duration) -> Result<()> {
        self.patience = patience;
        let opened = self.ensure();
        self.patience = RECONNECT_FOR;
        opened
    }

    /// The same with the connection beside this one. Errors come with how many were opened.
    pub(super) fn connect_both(&mut self, patience: Duration) -> Result<(), (Error, usize)> {
        self.connect(patience).map_err(|error| (error, 0))?;
        let mut beside = Box::new(Session::on(self.runtime.clone(), self.server.clone(), Role::Beside));
        beside.connect(patience).map_err(|error| (error, 1))?;
        self.beside = Some(beside);
        Ok(())
    }

    /// Notes what the last try to connect came to, and tells those who watch over all connections.
    fn set_away(&mut self, error: Option<Error>) {
        match (&self.away, &error) {
            (before, Some(error)) => self.server.health.gone(error, before.is_none()),
            (Some(_), None) => self.server.health.back(),
            (None, None) => {}
        }
        self.away = error.map(|error| (Instant::now(), error));
    }

    /// Whether this connection, or the one beside it, could not be opened: then it is looked for without work, too.
    pub fn is_away(&self) -> bool {
        self.away.is_some() || self.beside.as_ref().is_some_and(|beside| beside.away.is_some())
    }

    /// Looks for a server that stayed away, for the connection beside this one too; what comes of it is noted.
    pub fn look(&mut self) {
        if self.ensure().is_ok()
            && let Some(beside) = &mut self.beside
        {
            let _ = beside.ensure();
        }
    }

    /// Runs statements without parameters; the first value of the last row, if there is one.
    pub fn simple(&mut self, sql: &str) -> Result<Option<String>> {
        self.answer(async |client| Ok(last_value(client.simple_query(sql).await?)))
    }

    /// Waits for what `work` asks of the server, within the bounds of the module, and notices a lost connection.
    pub(super) fn answer<T>(&mut self, work: impl AsyncFnOnce(&Client) -> Result<T, Fault>) -> Result<T> {
        let connected = self.connected.as_ref().ok_or_else(|| Error::away("not connected"))?;
        let (server, role) = (&self.server, self.role);
        let answered = self.runtime.block_on(async {
            let start = Instant::now();
            let mut work = pin!(work(&connected.client));
            loop {
                if let Ok(done) = timeout(SILENCE, &mut work).await {
                    return Ok(done);
                }
                match doing(server, role, connected.process).await {
                    Doing::Works if start.elapsed() < role.patience() => {}
                    Doing::Works => return Err(None),
                    Doing::Nothing => return timeout(ON_ITS_WAY, &mut work).await.map_err(|_| None),
                    // The network may have come back between.
                    Doing::Away(error) => return (&mut work).now_or_never().ok_or(Some(error)),
                }
            }
        });
        match answered {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Fault::Caller(error))) => Err(error),
            Ok(Err(Fault::Driver(error))) => Err(self.failed(&error)),
            Err(away) => {
                self.lose();
                self.set_away(away);
                Err(Error::away(NO_ANSWER))
            }
        }
    }

    pub(super) fn failed(&mut self, error: &tokio_postgres::Error) -> Error {
        let text = words(error);
        let Some(refusal) = error.as_db_error() else {
            // Without the server's word: the connection has gone, or the values did not fit and nothing was sent.
            return if self.is_lost() {
                self.lose();
                Error::away(format!("lost the connection: {text}"))
            } else {
                Error::Sql(text)
            };
        };
        let code = refusal.code().code();
        // "cached plan must not change result type", after another node changed the schema.
        let stale = code == "0A000" && text.contains("cached plan");
        if stale {
            self.statements.clear();
        }
        let class = &code[..code.len().min(2)];
        // A connection to a server that takes no writes any more is of no use: the next one looks for the primary.
        if refusal.parsed_severity().is_some_and(|severity| matches!(severity, Severity::Fatal | Severity::Panic))
            || matches!(class, "08")
            || matches!(code, "25006" | "26000")
        {
            self.lose();
        }
        match (class, code) {
            ("23", _) => Error::Constraint(text),
            (_, "40001" | "40P01") => Error::Again(text),
            _ if stale => Error::Again(text),
            (_, "26000" | "42P05") => Error::Unavailable(POOLER.into()),
            (_, "08P01") => Error::Unavailable(text),
            ("08", _) | (_, "57P01" | "57P02" | "57P03") => Error::away(format!("lost the connection: {text}")),
            ("53" | "57" | "58", _) | (_, "25006" | "25P03" | "55P03") => Error::Unavailable(text),
            (_, "42501" | "3F000") => Error::Sql(format!("{text}: {OWNER}")),
            _ => Error::Sql(text),
        }
    }

    pub(super) fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.answer(async |client| Ok(client.prepare(sql).await?))?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// The connection beside this one, open; see [`crate::Ask::apart`].
    pub(super) fn beside(&mut self) -> Result<Box<Session>> {
        let (runtime, server) = (&self.runtime, &self.server);
        let beside = || Box::new(Session::on(runtime.clone(), server.clone(), Role::Beside));
        self.beside.get_or_insert_with(beside).ensure()?;
        Ok(self.beside.take().expect("it was put there"))
    }

    /// Begins a transaction: with its first statement, so that one of none costs nothing. Ends the one before if there is
    /// one.
    ///
    /// Errors: [`Error::Unavailable`] when there is no connection and none can be opened.
    pub(super) fn begin(&mut self, role: Role) -> Result<()> {
        self.ensure()?;
        if self.planned.elapsed() >= self.plans_last {
            self.rollback();
            if !self.is_lost() && self.simple("discard plans").is_err() {
                self.lose();
            }
            self.planned = Instant::now();
            self.plans_last = (self.plans_last * 2).min(REPLAN_AT_LEAST);
            self.ensure()?;
        }
        self.pending = Some(match (role, self.open) {
            (Role::Write | Role::Beside, _) => WRITE,
            (Role::Read, false) => READ,
            (Role::Read, true) => READ_NEXT,
        });
        Ok(())
    }

    /// Ends a transaction and what it did, if there is one.
    pub fn rollback(&mut self) {
        self.pending = None;
        self.deferred.clear();
        if self.open && self.simple("rollback").is_err() {
            self.lose();
        }
        self.open = false;
    }

    /// For the schema: takes as long as it takes.
    pub fn patient(&mut self, sql: &str) -> Result<()> {
        let connected = self.connected.as_ref().ok_or_else(|| Error::away("not connected"))?;
        let done = self.runtime.block_on(connected.client.batch_execute(sql));
        done.map_err(|error| self.failed(&error))
    }
}

/// Opens a connection to the first host that will do, asking all at once.
async fn dial(server: &Server, role: Role) -> Result<Connected, Refused> {
    let hosts = server.address.hosts.iter();
    let mut hosts: FuturesUnordered<_> = hosts.map(|config| dial_host(config, server, role)).collect();
    let (mut reasons, mut may_pass, mut answered) = (Vec::new(), false, false);
    while let Some(dialled) = hosts.next().await {
        match dialled {
            Ok(connected) => return Ok(connected),
            Err(refused) => {
                reasons.push(refused.reason);
                may_pass |= refused.may_pass;
                answered |= refused.answered;
            }
        }
    }
    Err(Refused { reason: format!("cannot connect to {}", reasons.join("; nor to ")), may_pass, answered })
}

/// Bounded as a whole: there are hosts that take a call and never say a word.
async fn dial_host(config: &Config, server: &Server, role: Role) -> Result<Connected, Refused> {
    let dialled = async {
        let health = server.health.clone();
        let (client, driving) = match &server.address.tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls.clone()).await?;
                (client, tokio::spawn(drive(connection, health)))
            }
            None => {
                let (client, connection) = config.connect(NoTls).await?;
                (client, tokio::spawn(drive(connection, health)))
            }
        };
        let mut connected = Connected { client, process: 0, driving };
        // Whatever the URL says, ours are to be told from others'.
        let given = config.get_application_name().map(|given| format!(" {}", given.replace('\'', "''")));
        let name = format!("{APPLICATION}{}", given.unwrap_or_default());
        let flushed = if role == Role::Beside { "set synchronous_commit = off; " } else { "" };
        // Not as parameters of the connection: poolers refuse those they do not know.
        let settings = format!(
            "set application_name = '{name}'; set statement_timeout = {}; set idle_in_transaction_session_timeout = {}; {flushed}{PLANS}; \
             select current_setting('server_version_num'); select pg_backend_pid(); \
             select (current_setting('transaction_read_only') = 'on')::int",
            role.statement_ms(),
            role.idle_ms(),
        );
        let said = connected.client.simple_query(&settings).await?;
        let mut numbers = said.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse::<i64>().ok(),
            _ => None,
        });
        let version = numbers.next();
        connected.process = numbers.next().unwrap_or(0);
        Ok::<_, tokio_postgres::Error>((connected, version, numbers.next() == Some(1)))
    };
    let host = address::name(config);
    let refused =
        |reason: &str, may_pass, answered| Err(Refused { reason: format!("{host}: {reason}"), may_pass, answered });
    match timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT_WITHIN), dialled).await {
        Ok(Ok((connected, Some(OLDEST..), false))) => Ok(connected),
        Ok(Ok((_, Some(OLDEST..), true))) => refused(READ_ONLY, true, false),
        Ok(Ok(_)) => refused("PostgreSQL 15 or newer is needed", false, true),
        Ok(Err(error)) => {
            let code = error.code().map(SqlState::code);
            let (text, advice) = (words(&error), advice(&error));
            let reason = advice.map_or_else(|| text.clone(), |advice| format!("{text}: {advice}"));
            // No answer, or a server that starts, stops or is full. A refusal stays one.
            let may_pass = match code {
                // Poolers say all they have to say with this code.
                Some("08P01") => !text.contains("no such") && !text.contains("authentication"),
                Some(code) => code.starts_with("57P") || code.starts_with("53"),
                None => advice.is_none(),
            };
            refused(&reason, may_pass, code.is_some())
        }
        Err(_) => refused(NO_ANSWER, true, false),
    }
}

/// What somebody has to change before a connection is opened; none where waiting may help.
fn advice(error: &tokio_postgres::Error) -> Option<&'static str> {
    let cause = std::error::Error::source(error);
    match error.code().map(SqlState::code) {
        Some("28P01" | "28000") => return Some("correct user and password in the URL, or let them in (pg_hba.conf)"),
        Some("3D000") => return Some("create the database, or correct its name in the URL"),
        Some("42501") => return Some(OWNER),
        Some("53300") => return Some("raise max_connections, or the connection limit of the role or database"),
        Some(_) => return None,
        None => {}
    }
    // The driver tells its own errors apart by their words only.
    match error.to_string().as_str() {
        // Cut off in the middle is another thing than refused.
        "error performing TLS handshake" => match cause.and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
            None => Some("switch TLS on at the server, or leave sslmode out of the URL"),
            Some(cut) if cut.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>()) => None,
            Some(_) => {
                Some("name the certificate of its authority with sslrootcert, and the host as its certificate does")
            }
        },
        "invalid configuration" | "authentication error" => Some("correct user and password in the URL"),
        _ => None,
    }
}

/// Asks the server, over a connection of its own, whether `process` still works on a statement.
async fn doing(server: &Server, role: Role, process: i64) -> Doing {
    let other = match dial(server, role).await {
        Ok(other) => other,
        Err(refused) if refused.answered => return Doing::Works,
        Err(refused) => return Doing::Away(refused.into()),
    };
    let sql = format!("select pid from pg_stat_activity where pid = {process} and state = 'active'");
    match timeout(SILENCE, other.client.simple_query(&sql)).await {
        Ok(Ok(said)) => last_value(said).map_or(Doing::Nothing, |_| Doing::Works),
        Ok(Err(error)) => Doing::Away(Error::away(words(&error))),
        Err(_) => Doing::Away(Error::away(NO_ANSWER)),
    }
}

/// The first value of the last row.
fn last_value(said: Vec<SimpleQueryMessage>) -> Option<String> {
    said.into_iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>, health: Arc<Health>) {
    if let Err(error) = connection.await {
        health.ended(&words(&error));
    }
}

/// The error and its cause in one line, without the details: those may hold a row's values.
fn words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(refusal), _) => {
            let constraint = refusal.constraint().map(|name| format!(" [{name}]")).unwrap_or_default();
            format!("{} ({}){constraint}", refusal.message(), refusal.code().code())
        }
        (None, Some(cause)) if error.to_string() == "error connecting to server" => cause.to_string(),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}
