//! Work of the operator: done by the running server, if there is one, else on the opened database.
//!
//! On PostgreSQL a command opens the database, whoever else uses it. On SQLite a server holds its data folder: a command then writes one line of JSON to the server's socket and reads one line back,
//! so that there is one writer and what is made works on the next request. The socket is the user's alone, and the server
//! asks the kernel who is on the other side.

use crate::cli;
use crate::config::Settings;
use crate::import::{self, Asked};
use crate::{folder, server};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tieline_api::Hub;
use tieline_api::setup;
use tieline_core::ctx::{Actor, Ctx};
use tieline_core::ids::TenantId;
use tieline_core::keys::scopes::Scopes;
use tieline_core::keys::token::{self, Mode, Prefix};
use tieline_core::keys::{self, CreateKey};
use tieline_core::limits::Tier;
use tieline_core::tenants::{self, CreateTenant, Plan, Tenant, UpdateTenant};
use tieline_core::users::{self, Role};
use tieline_core::{Error, Kind, installation};
use tieline_db::Target;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

/// Longest line either way, bytes.
const LINE_LIMIT: u64 = 64 * 1024;
/// Longest login that is told, bytes.
const LOGIN_LIMIT: usize = 64;
/// Time for one command over the socket.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The same for one that takes over another system.
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// Commands at the same time.
const COMMANDS: usize = 8;
/// How long a command waits for a server that starts or ends, or for another command.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks while it waits.
const LOOK: Duration = Duration::from_millis(20);

/// What an operator may ask for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// Make a tenant.
    CreateTenant(TenantFields),
    /// Change a tenant.
    UpdateTenant(TenantFields),
    /// Make a key.
    CreateKey { tenant: String, name: String, scopes: String, mode: String, prefix: String },
    /// Make a user.
    CreateUser { tenant: String, email: String, name: String, role: String, password: Option<String> },
    /// Stop or restart the sending of webhooks.
    PauseSending { paused: bool },
    /// Say where the server listens.
    Whereabouts,
    /// Take an account of a Chatwoot over.
    ImportChatwoot(Asked),
}

impl Request {
    /// Time for it over the socket.
    fn limit(&self) -> Duration {
        match self {
            Request::ImportChatwoot(_) => LONGEST,
            _ => TIMEOUT,
        }
    }
}

/// What is given of a tenant.
#[derive(Clone, Serialize, Deserialize)]
pub struct TenantFields {
    slug: String,
    name: Option<String>,
    max_webhooks: Option<i64>,
    has_webhooks: Option<bool>,
    has_api: Option<bool>,
    tier: Option<String>,
    rate_per_minute: Option<i64>,
    /// 0 is unlimited.
    daily_quota: Option<i64>,
    /// 0 is unlimited.
    monthly_quota: Option<i64>,
}

impl From<cli::TenantArgs> for TenantFields {
    fn from(args: cli::TenantArgs) -> TenantFields {
        TenantFields {
            slug: args.slug,
            name: args.name,
            max_webhooks: args.max_webhooks,
            has_webhooks: args.no_webhooks.map(|no| !no),
            has_api: args.no_api.map(|no| !no),
            tier: args.tier.map(crate::commands::word),
            rate_per_minute: args.rate_limit,
            daily_quota: args.daily_quota,
            monthly_quota: args.monthly_quota,
        }
    }
}

impl TenantFields {
    /// The tenant of the demo: nobody who tries things out shall meet a limit.
    pub fn demo() -> TenantFields {
        TenantFields {
            slug: "demo".into(),
            name: Some("Demo".into()),
            max_webhooks: None,
            has_webhooks: None,
            has_api: None,
            tier: None,
            rate_per_minute: Some(100_000),
            daily_quota: None,
            monthly_quota: None,
        }
    }

    fn plan(&self, now: Plan) -> Plan {
        let now = match self.tier.as_deref().and_then(Tier::from_text) {
            Some(tier) => now.with_tier(tier),
            None => now,
        };
        let quota = |given: Option<i64>, now| given.map_or(now, |quota| (quota != 0).then_some(quota));
        Plan {
            name: now.name,
            has_api: self.has_api.unwrap_or(now.has_api),
            has_webhooks: self.has_webhooks.unwrap_or(now.has_webhooks),
            max_webhooks: self.max_webhooks.unwrap_or(now.max_webhooks),
            rate_per_minute: self.rate_per_minute.unwrap_or(now.rate_per_minute),
            rate_burst: if self.rate_per_minute.is_some() { 0 } else { now.rate_burst },
            daily_quota: quota(self.daily_quota, now.daily_quota),
            monthly_quota: quota(self.monthly_quota, now.monthly_quota),
        }
    }
}

fn tenant_view(tenant: &Tenant) -> Value {
    let plan = &tenant.plan;
    json!({
        "id": tenant.id.to_string(),
        "accountId": tenant.id.0,
        "slug": tenant.slug,
        "name": tenant.name,
        "plan": {
            "name": plan.name,
            "hasApi": plan.has_api,
            "hasWebhooks": plan.has_webhooks,
            "maxWebhooks": plan.max_webhooks,
            "requestsPerMinute": plan.rate_per_minute,
            "burst": plan.rate_burst,
            "dailyQuota": plan.daily_quota,
            "monthlyQuota": plan.monthly_quota,
        },
    })
}

/// Lines of progress that wait for their reader; further ones are left out.
const TOLD: usize = 16;

/// Where lines about progress go.
#[derive(Clone)]
pub struct Tell(mpsc::Sender<String>);

impl Tell {
    /// One that nobody listens to.
    pub fn nobody() -> Tell {
        Tell(mpsc::channel(1).0)
    }
    /// Says something, unless the reader is slow.
    pub fn line(&self, line: String) {
        let _ = self.0.try_send(line);
    }
}

/// A request on its way to the server, with who asks.
#[derive(Serialize, Deserialize)]
struct Order {
    way: String,
    request: Request,
}

/// How the audit log names this command line: with the login that the shell tells, the one before `sudo` first.
pub fn way() -> String {
    let told = |name: &str| std::env::var(name).ok().filter(|login| !login.is_empty() && login.len() <= LOGIN_LIMIT);
    let login = told("SUDO_USER").or_else(|| told("USER")).or_else(|| told("LOGNAME"));
    login.map_or_else(|| "command line".to_owned(), |login| format!("command line ({login})"))
}

/// Where requests are carried out.
#[derive(Clone)]
pub struct Desk {
    /// The database and the keys to secrets.
    pub hub: Hub,
    /// Tells the sender of a running server.
    pub pause: Option<watch::Sender<bool>>,
    /// Where that server listens.
    pub listens: Option<SocketAddr>,
}

impl Desk {
    /// Carries out one request of somebody who came this way. The answer is what `--json` prints.
    pub async fn run(&self, way: &str, request: Request, tell: &Tell) -> Result<Value, Error> {
        let db = &self.hub.db;
        let ctx = Ctx { actor: Actor::operator(way), ..Ctx::system(TenantId(0), tieline_wire::freeze) };
        match request {
            Request::CreateTenant(fields) => {
                let name = fields.name.clone().unwrap_or_else(|| fields.slug.clone());
                let cmd = CreateTenant { slug: fields.slug.clone(), name, plan: fields.plan(Plan::default()) };
                Ok(tenant_view(&db.write(move |tx| tenants::create(tx, Some(&ctx), &cmd)).await?))
            }
            Request::UpdateTenant(fields) => {
                let changed = db.write(move |tx| {
                    let now = tenants::by_slug(tx, &fields.slug, Mode::Live)?;
                    let cmd = UpdateTenant { name: fields.name.clone(), plan: Some(fields.plan(now.plan)) };
                    tenants::update(tx, Some(&ctx), &fields.slug, &cmd)
                });
                Ok(tenant_view(&changed.await?))
            }
            Request::CreateKey { tenant, name, scopes, mode, prefix } => {
                let mode = Mode::from_text(&mode).ok_or_else(|| unknown("/mode"))?;
                let prefix = Prefix::from_text(&prefix).ok_or_else(|| unknown("/prefix"))?;
                let names = scopes.split(',').map(str::trim).filter(|name| !name.is_empty());
                let scopes = Scopes::parse(names, "/scopes")?;
                if !(1..=100).contains(&name.trim().chars().count()) {
                    return Err(Error::field("/name", "invalid_value", "A name has 1 to 100 characters."));
                }
                let text = token::mint(prefix, mode, self.hub.random()?);
                let cmd = CreateKey {
                    name: name.trim().to_owned(),
                    description: None,
                    digest: text.digest(),
                    prefix: text.display_prefix().to_owned(),
                    scopes,
                    expires_at: None,
                };
                let made: Result<_, Error> = db
                    .write(move |tx| {
                        let tenant = tenants::by_slug(tx, &tenant, mode)?;
                        keys::create(tx, (tenant.id, &ctx), &cmd)
                    })
                    .await;
                let key = made?;
                let scopes: Vec<&str> = key.scopes.granted().map(|scope| scope.name()).collect();
                Ok(json!({
                    "id": key.id.to_string(),
                    "key": text.expose(),
                    "prefix": key.prefix,
                    "scopes": scopes,
                    "mode": mode.as_str(),
                }))
            }
            Request::CreateUser { tenant, email, name, role, password } => {
                let role = Role::from_text(&role).ok_or_else(|| unknown("/role"))?;
                let (cmd, access_token) = setup::prepare(&self.hub, &email, &name, role, password).await?;
                let made: Result<_, Error> = db
                    .write(move |tx| {
                        let tenant = tenants::by_slug(tx, &tenant, Mode::Live)?;
                        Ok((tenant.id.0, users::create(tx, (tenant.id, &ctx), &cmd)?))
                    })
                    .await;
                let (account_id, user) = made?;
                Ok(json!({
                    "id": user.id.to_string(),
                    "email": user.email,
                    "accessToken": access_token,
                    "accountId": account_id,
                }))
            }
            Request::PauseSending { paused } => {
                db.write(move |tx| installation::pause_sending(tx, paused)).await?;
                if let Some(pause) = &self.pause {
                    pause.send_replace(paused);
                }
                Ok(json!({ "sendingPaused": paused }))
            }
            Request::Whereabouts => Ok(json!({ "listens": self.listens })),
            Request::ImportChatwoot(asked) => import::run(&self.hub, asked, tell).await.map_err(|error| {
                let detail = format!("{error:#}; what came until now stays, the same command goes on");
                Error::new(Kind::Unprocessable, "import_failed", detail)
            }),
        }
    }
}

fn unknown(pointer: &'static str) -> Error {
    Error::field(pointer, "invalid_value", format!("{} is not known.", &pointer[1..]))
}

/// One line of an error, with every wrong field.
pub fn line(error: &Error) -> String {
    let fields: Vec<&str> = error.fields.iter().map(|field| field.message.as_str()).collect();
    match (&fields[..], &error.source) {
        ([], Some(source)) => format!("{} ({source})", error.detail),
        ([], None) => error.detail.to_string(),
        (fields, _) => fields.join(" "),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// How far it is; the end is still to come.
    Progress(String),
    Ok(Value),
    Error(String),
}

/// Answers commands on a socket that only this user can reach, until `stop`; the file goes with it.
pub fn serve(
    desk: Desk,
    path: &Path,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
    let path = path.to_owned();
    let _ = std::fs::remove_file(&path); // of a server that was killed: we hold the lock
    let bound = UnixListener::bind(&path).and_then(|listener| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok((listener, std::fs::metadata(&path)?.uid()))
    });
    let (listener, owner) = bound.with_context(|| format!("cannot make the socket {}", path.display()))?;
    let slots = Arc::new(Semaphore::new(COMMANDS));
    Ok(async move {
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else { break };
            let stream = tokio::select! {
                () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!("cannot accept a command: {error}");
                        tokio::time::sleep(LOOK).await;
                        continue;
                    }
                },
            };
            let desk = desk.clone();
            tokio::spawn(async move {
                let _ = answer(&desk, stream, owner).await;
                drop(slot);
            });
        }
        let _ = std::fs::remove_file(&path);
    })
}

async fn answer(desk: &Desk, stream: UnixStream, owner: u32) -> anyhow::Result<()> {
    let peer = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(LINE_LIMIT));
    let answer = if peer == owner {
        let mut line = String::new();
        timeout(TIMEOUT, reader.read_line(&mut line)).await??;
        match serde_json::from_str::<Order>(&line) {
            Ok(order) => {
                // Whoever asked may go away; what takes long ends then.
                let is_long = order.request.limit() > TIMEOUT;
                tokio::select! {
                    answer = run(desk, order, &mut writer) => answer?,
                    () = async { drop(reader.read_line(&mut String::new()).await) }, if is_long => return Ok(()),
                }
            }
            Err(_) => Answer::Error("the server is of another version: use its own program".into()),
        }
    } else {
        Answer::Error(format!("run this as the user of the server (number {owner})"))
    };
    write(&mut writer, &answer).await?;
    Ok(writer.shutdown().await?)
}

/// Carries a request out and writes what it tells meanwhile.
async fn run(desk: &Desk, order: Order, writer: &mut OwnedWriteHalf) -> anyhow::Result<Answer> {
    let (tell, mut told) = mpsc::channel(TOLD);
    let tell = Tell(tell);
    let mut done = std::pin::pin!(timeout(order.request.limit(), desk.run(&order.way, order.request, &tell)));
    loop {
        tokio::select! {
            done = &mut done => return Ok(match done? {
                Ok(value) => Answer::Ok(value),
                Err(error) => Answer::Error(line(&error)),
            }),
            Some(line) = told.recv() => write(writer, &Answer::Progress(line)).await?,
        }
    }
}

async fn write(writer: &mut OwnedWriteHalf, answer: &Answer) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    Ok(timeout(TIMEOUT, writer.write_all(&text)).await??)
}

/// Does the operator's work, wherever the database is.
///
/// Errors: one line.
pub async fn perform(settings: &Settings, request: Request) -> anyhow::Result<Value> {
    perform_telling(settings, request, drop).await
}

/// The same for what may take hours and says how far it is.
pub async fn perform_telling(settings: &Settings, request: Request, tell: impl FnMut(String)) -> anyhow::Result<Value> {
    let since = Instant::now();
    if matches!(settings.database, Target::Postgres(_)) {
        folder::make(&settings.data_dir)?;
        return perform_here(settings, request, tell).await;
    }
    loop {
        let holder = match folder::lock(&settings.data_dir)? {
            Ok(_lock) => return perform_here(settings, request, tell).await,
            Err(holder) => holder,
        };
        if let Ok(stream) = UnixStream::connect(folder::socket(&settings.data_dir)).await {
            let limit = request.limit();
            let asked = timeout(limit, ask(stream, Order { way: way(), request }, tell)).await;
            return asked.context("the server did not answer in time")?;
        }
        if since.elapsed() > PATIENCE {
            bail!(
                "the data folder {} is in use by process {holder}, which takes no commands",
                settings.data_dir.display()
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Where the server listens that holds the data folder; none when no server answers there.
///
/// Errors: one line, from a server that does not say.
pub async fn whereabouts(settings: &Settings) -> anyhow::Result<Option<SocketAddr>> {
    let Ok(stream) = UnixStream::connect(folder::socket(&settings.data_dir)).await else { return Ok(None) };
    let order = Order { way: way(), request: Request::Whereabouts };
    let answer = timeout(TIMEOUT, ask(stream, order, drop)).await.context("the server did not answer in time")??;
    Ok(serde_json::from_value(answer["listens"].clone())?)
}

/// Does it on the opened database.
async fn perform_here(settings: &Settings, request: Request, mut tell: impl FnMut(String)) -> anyhow::Result<Value> {
    let hub = server::open(settings).await?;
    let desk = Desk { hub: hub.clone(), pause: None, listens: None };
    let (told, mut lines) = mpsc::channel(TOLD);
    let (told, way) = (Tell(told), way());
    let done = {
        let mut done = std::pin::pin!(desk.run(&way, request, &told));
        loop {
            tokio::select! {
                done = &mut done => break done,
                Some(line) = lines.recv() => tell(line),
            }
        }
    };
    let db = hub.db.clone();
    tokio::task::spawn_blocking(move || db.close()).await?;
    done.map_err(|error| anyhow::anyhow!(line(&error)))
}

async fn ask(mut stream: UnixStream, order: Order, mut tell: impl FnMut(String)) -> anyhow::Result<Value> {
    let mut text = serde_json::to_vec(&order)?;
    text.push(b'\n');
    if text.len() as u64 > LINE_LIMIT {
        bail!("what was given is too long");
    }
    stream.write_all(&text).await?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        (&mut reader).take(LINE_LIMIT).read_line(&mut line).await?;
        match serde_json::from_str(&line).context("the server broke off; its log says why")? {
            Answer::Progress(line) => tell(line),
            Answer::Ok(value) => return Ok(value),
            Answer::Error(line) => bail!(line),
        }
    }
}
