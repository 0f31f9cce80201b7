//! A running server: database, HTTP, fan-out, sender and the socket for commands wired together, and taken down in order.

use crate::admin::{self, Desk};
use crate::config::{self, Attachments, Settings};
use crate::folder::{self, Lock};
use crate::metrics::Metrics;
use crate::secret_key;
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tieline_api::chatwoot;
use tieline_api::http::layers::Edge;
use tieline_api::http::server::{self, Limits};
use tieline_api::limits::Publisher;
use tieline_api::operations::{self, Operations};
use tieline_api::v1::attachments::{UPLOAD_ROUTE, upload_body_limit};
use tieline_api::{Hub, hub};
use tieline_core::attachments::link::Links;
use tieline_core::{Error, MIGRATIONS, installation};
use tieline_db::moving::{self, Mark};
use tieline_db::{Config, Db, Target};
use tieline_delivery::assignment::AssignmentLoop;
use tieline_delivery::attachments::FetchLoop;
use tieline_delivery::automations::AutomationLoop;
use tieline_delivery::client::Client;
use tieline_delivery::egress::{Guard, Resolver};
use tieline_delivery::fan_out::FanOutLoop;
use tieline_delivery::files::Files;
use tieline_delivery::handover::handover;
use tieline_delivery::housekeeping::Housekeeping;
use tieline_delivery::nodes::Neighbours;
use tieline_delivery::reports::ReportLoop;
use tieline_delivery::sender::{self, Sender};
use tieline_delivery::timers::TimerLoop;
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Time for open requests to be answered when the server stops.
const HTTP_GRACE: Duration = Duration::from_secs(10);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;
/// After that: time for attempts in flight to end and be recorded.
const SENDER_GRACE: Duration = Duration::from_secs(12);

/// A server that runs.
pub struct Running {
    /// The address it listens on.
    pub addr: SocketAddr,
    /// Where clients reach it.
    pub public_url: String,
    /// Its database, keys to secrets and the like.
    pub hub: Hub,
    /// Whether it sends no webhooks.
    pub paused: bool,
    draining: Arc<AtomicBool>,
    stop: watch::Sender<bool>,
    answered: watch::Sender<bool>,
    http: JoinHandle<server::Ended>,
    /// By name, in the order in which they are waited for.
    loops: Vec<(&'static str, JoinHandle<()>)>,
    _lock: Option<Lock>,
}

impl Running {
    /// From now on `/readyz` says no; everything else goes on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
    /// Answers open requests, ends attempts in flight, records them, and closes the database; all within a bound.
    pub async fn shut_down(self) -> anyhow::Result<()> {
        let _ = self.stop.send(true);
        self.hub.streams().end();
        if let server::Ended::Cut(connections) = self.http.await.context("the HTTP server ended badly")? {
            tracing::warn!(connections, "{connections} connections were still busy and were cut");
        }
        let _ = self.answered.send(true);
        for (name, task) in self.loops {
            task.await.with_context(|| format!("{name} ended badly"))?;
        }
        let db = self.hub.db.clone();
        tokio::task::spawn_blocking(move || db.close()).await.context("the database ended badly")
    }
}

/// Opens the database and what is needed to work on it; the folder's lock is held by the caller.
///
/// Errors: one line for a file that cannot be opened, a newer schema, a wrong key, and a database that was moved elsewhere,
/// unless it is to be reopened.
pub async fn open(settings: &Settings) -> anyhow::Result<Hub> {
    open_with(settings, Config::of(settings.database.clone(), MIGRATIONS), false).await
}

async fn open_with(settings: &Settings, config: Config, reopen: bool) -> anyhow::Result<Hub> {
    if let Target::Sqlite(path) = &settings.database
        && let Some(folder) = path.parent()
    {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let db = tokio::task::spawn_blocking(move || Db::open(config))
        .await?
        .map_err(|error| match error {
            tieline_db::Error::Damaged(_) => anyhow::anyhow!(
                "{error}: see what `tieline doctor` says, put the file aside, and restore a backup with `tieline restore`"
            ),
            error => error.into(),
        })
        .with_context(|| format!("cannot open the database {}", config::shown(&settings.database)))?;
    refuse_moved(&db, reopen).await?;
    let keyring = secret_key::load(settings.secret_key.as_deref(), &settings.data_dir, &db).await?;
    let public_url = settings.public_url.clone().unwrap_or_else(|| format!("http://{}", settings.listen));
    let links = Links::new(&keyring, &public_url, settings.attachment_link_ttl_us);
    let files = match &settings.attachments {
        Attachments::Folder(folder) => Files::local(folder, links)
            .with_context(|| format!("cannot open the folder of attachments {}", folder.display()))?,
        Attachments::Bucket(bucket) => Files::bucket(bucket, links)
            .await
            .map_err(|why| anyhow::anyhow!("the bucket {bucket:?} of TIELINE_ATTACHMENTS_URL cannot be used: {why}"))?,
    };
    let files = files.with_max_bytes(settings.attachment_max_bytes);
    Ok(Hub::new(hub::Parts {
        db,
        keyring: Arc::new(keyring),
        files,
        guard: Guard::new(settings.policy.clone(), Resolver::System),
        public_url,
        principals: Default::default(),
        proxies: settings.proxies.clone(),
        random: hub::os_random,
    }))
}

/// Two servers on two copies would each take half of the work: what was moved is served where it went.
async fn refuse_moved(db: &Db, reopen: bool) -> anyhow::Result<()> {
    if reopen {
        db.write(moving::reopen).await?;
    }
    match db.read(moving::mark).await? {
        None => Ok(()),
        Some(mark) => bail!("this database {}", what_moved(&mark)),
    }
}

/// What a move has made of a database, and what to do about it: the end of a sentence about it.
pub fn what_moved(mark: &Mark) -> String {
    match mark {
        Mark::Source { to, finished: true } => {
            format!("was moved to {to}: serve that one, or take this one back with `tieline serve --reopen`")
        }
        Mark::Source { to, finished: false } => format!(
            "is being moved to {to}: finish that with `tieline move-store`, or give it up with `tieline serve --reopen`"
        ),
        Mark::Unfinished { from } => format!("is the unfinished copy of {from}: finish it with `tieline move-store`"),
    }
}

/// What an operator may lift by starting.
#[derive(Clone, Copy, Default)]
pub struct Start {
    /// The pause of sending.
    pub resume_sending: bool,
    /// The mark of a database that was moved elsewhere.
    pub reopen: bool,
}

/// Takes the address without listening: until the database is open nobody is let in, and a load balancer sees it.
fn take(listen: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    Ok(socket)
}

/// What of the product failed, in one line without the words that are for callers.
pub fn plain(error: Error) -> anyhow::Error {
    anyhow::anyhow!(error.causes())
}

/// Starts a server. Errors are one clear line: folder in use or read-only, port taken, newer schema, wrong key, a PostgreSQL
/// that cannot be used.
pub async fn start(mut settings: Settings, how: Start) -> anyhow::Result<Running> {
    let lock = folder::hold_or_refuse(&settings.data_dir, &settings.database)?;
    let listen = settings.listen;
    let refused = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "the port is taken, perhaps by another server; set TIELINE_LISTEN".to_owned()
            }
            _ => error.to_string(),
        };
        anyhow::anyhow!("cannot listen on {listen}: {why}")
    };
    let socket = take(listen).map_err(refused)?;
    let addr = socket.local_addr()?;
    settings.listen = addr; // port 0 is now a real one, also in links
    let config = Config { is_node: true, ..Config::of(settings.database.clone(), MIGRATIONS) };
    let hub = open_with(&settings, config, how.reopen).await?;
    let listener = socket.listen(BACKLOG).map_err(refused)?;
    let db = hub.db.clone();
    let is_shared = db.is_shared();
    let paused = db
        .write(move |tx| {
            // Nobody else has this database: what a server held that was killed is free at once.
            if !is_shared {
                tieline_core::deliveries::clear_leases(tx)?;
            }
            if how.resume_sending {
                installation::pause_sending(tx, false)?;
            }
            installation::sending_paused(tx)
        })
        .await
        .map_err(plain)?;

    let draining = Arc::new(AtomicBool::new(false));
    let metrics = Arc::new(Metrics::new());
    let http_metrics = metrics.http.clone();
    metrics.requests_dropped(hub.requests().dropped());
    let (scraped, scraped_db) = (metrics.clone(), db.clone());
    let operations = Operations {
        db: db.clone(),
        draining: draining.clone(),
        metrics: Arc::new(move || {
            let (metrics, db) = (scraped.clone(), scraped_db.clone());
            Box::pin(async move { metrics.text(&db).await })
        }),
    };
    let (router, _) = tieline_api::app(hub.clone());
    let router = router.merge(operations::routes(operations)).merge(tieline_api::setup::routes(hub.clone()));
    let public_url = hub.public_url.clone();
    let router = Edge::new(Some(&public_url), http_metrics)
        .body_limit(UPLOAD_ROUTE, upload_body_limit(&hub))
        .body_limit(chatwoot::MESSAGES_ROUTE, upload_body_limit(&hub))
        .body_limit(chatwoot::PUBLIC_MESSAGES_ROUTE, upload_body_limit(&hub))
        .body_limit(chatwoot::LANDING_ROUTE, upload_body_limit(&hub))
        .log(hub.requests().clone())
        .draining(draining.clone())
        .around(router);

    let (stop, stopped) = watch::channel(false);
    // For what follows from requests: it ends after the last of them.
    let (answered, all_answered) = watch::channel(false);
    let (due, due_receiver) = handover();
    let (pause, pause_receiver) = watch::channel(paused);
    let client = Client::new(hub.guard.clone(), &[]).context("cannot set up TLS")?;
    let sender_settings = sender::Settings {
        node: uuid::Uuid::now_v7().to_string(),
        keyring: hub.keyring.clone(),
        policy: Arc::new(settings.policy.clone()),
        rules: Arc::new(settings.rules.clone()),
        render: tieline_wire::freeze,
        observe: Arc::new(move |attempt| metrics.attempt(attempt)),
    };
    let render = tieline_wire::freeze;
    let fetcher = FetchLoop::new(db.clone(), client.clone(), hub.guard.clone(), hub.files.clone(), render);
    let sender = Sender::new(db.clone(), client, sender_settings, due_receiver, pause_receiver);
    let mut http_stop = stopped.clone();
    let shutdown = async move {
        let _ = http_stop.wait_for(|stop| *stop).await;
    };
    let limits = Limits { grace: HTTP_GRACE, ..Limits::default() };
    let timers = TimerLoop::new(db.clone(), tieline_wire::freeze);
    let mut loops = vec![
        ("the request log", tokio::spawn(hub.requests().clone().run(all_answered.clone()))),
        ("counting requests", tokio::spawn(Publisher::new(hub.clone()).run(all_answered))),
        ("noting the use of keys", tokio::spawn(tieline_api::last_used::run(hub.clone(), stopped.clone()))),
        ("timers", tokio::spawn(timers.run(stopped.clone()))),
        ("reports", tokio::spawn(ReportLoop::new(db.clone()).run(stopped.clone()))),
        ("rules", tokio::spawn(AutomationLoop::new(db.clone(), render).run(stopped.clone()))),
        ("giving conversations to agents", tokio::spawn(AssignmentLoop::new(db.clone(), render).run(stopped.clone()))),
        ("housekeeping", tokio::spawn(Housekeeping::new(db.clone(), settings.kept).run(stopped.clone()))),
        ("fetching attachments", tokio::spawn(fetcher.run(stopped.clone()))),
        ("fan-out", tokio::spawn(FanOutLoop::new(db.clone(), due, hub.scene()).run(stopped.clone()))),
        ("the sender", tokio::spawn(sender.run(stopped.clone(), SENDER_GRACE))),
    ];
    if is_shared {
        loops.push(("looking at other nodes", tokio::spawn(Neighbours::new(db, pause).run(stopped))));
    } else {
        let desk = Desk { hub: hub.clone(), pause: Some(pause), listens: Some(addr) };
        let desk = admin::serve(desk, &folder::socket(&settings.data_dir), stopped)?;
        loops.push(("the socket for commands", tokio::spawn(desk)));
    }
    let http = tokio::spawn(server::serve(listener, router, limits, shutdown));
    Ok(Running { addr, public_url, hub, paused, draining, stop, answered, http, loops, _lock: lock })
}
