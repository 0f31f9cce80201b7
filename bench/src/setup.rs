//! A tenant, a key and endpoints in a fresh database, by the product's own verbs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tieline_api::{Hub, hub};
use tieline_core::attachments::link::{DEFAULT_TTL_US, Links};
use tieline_core::ctx::Ctx;
use tieline_core::deliveries::{self, FanOut, NewDelivery};
use tieline_core::ids::{ConversationId, EndpointId, EventId, TenantId};
use tieline_core::keys::scopes::Scopes;
use tieline_core::keys::token::{Mode, Prefix, mint};
use tieline_core::keys::{self, CreateKey};
use tieline_core::secrets::{KEY_BYTES, Keyring};
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::webhooks::{self, CreateEndpoint, Format};
use tieline_core::{Error, MIGRATIONS};
use tieline_db::{Config, Db};
use tieline_delivery::egress::{EgressPolicy, Guard, Resolver};
use tieline_delivery::files::Files;
use tieline_delivery::{SECRET_CONTEXT, sign};

use crate::process::{Served, free_addr};
use std::net::SocketAddr;

const KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];

/// A database in a temporary folder, or on a PostgreSQL.
pub struct Installation {
    folder: tempfile::TempDir,
    /// Of PostgreSQL.
    url: Option<String>,
    /// A key with every scope.
    pub key: String,
    tenant: TenantId,
}

impl Installation {
    /// A fresh one, with an endpoint for each receiver that gets these events.
    pub fn new(receivers: &[SocketAddr], events: &[&str]) -> anyhow::Result<Installation> {
        Installation::at(None, receivers, events)
    }

    /// The same in an empty database on PostgreSQL, if one is named.
    pub fn at(url: Option<String>, receivers: &[SocketAddr], events: &[&str]) -> anyhow::Result<Installation> {
        let folder = tempfile::Builder::new().prefix("tieline-bench-").tempdir()?;
        let db = Db::open(match &url {
            Some(url) => Config::postgres(url, MIGRATIONS),
            None => Config::sqlite(folder.path().join("tieline.db"), MIGRATIONS),
        })?;
        let text = mint(Prefix::Sa, Mode::Live, random()?);
        let (key, receivers) = (text.clone(), receivers.to_vec());
        let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
        let keyring = Keyring::from_bytes(KEY);
        let tenant = tieline(db.write(move |tx| {
            let plan = Plan { max_webhooks: 1000, rate_per_minute: 1_000_000, ..Plan::default() };
            let tenant = tenants::create(tx, None, &CreateTenant { slug: "bench".into(), name: "Bench".into(), plan })?;
            let create = CreateKey {
                name: "bench".into(),
                description: None,
                digest: key.digest(),
                prefix: key.display_prefix().into(),
                scopes: Scopes::full_access(),
                expires_at: None,
            };
            keys::create(tx, tenant.id, &create)?;
            let ctx = context(tenant.id);
            for (index, receiver) in receivers.iter().enumerate() {
                let secret = sign::generate_secret([index as u8; 32]);
                let endpoint = CreateEndpoint {
                    name: format!("receiver {index}"),
                    description: None,
                    url: format!("http://{receiver}/hook"),
                    events: events.clone(),
                    format: Format::Native,
                    header_prefix: sign::DEFAULT_HEADER_PREFIX.into(),
                    max_attempts: 10,
                    inboxes: None,
                    secret: keyring.seal(secret.as_bytes(), SECRET_CONTEXT, [index as u8; 12])?,
                    secret_prefix: "whsec_".into(),
                };
                webhooks::create(tx, &ctx, &endpoint)?;
            }
            Ok::<_, Error>(tenant.id)
        }))?;
        db.close();
        Ok(Installation { folder, url, key: text.expose().to_owned(), tenant })
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("tieline.db")
    }

    /// The real binary on this database.
    pub fn serve(&self, binary: &Path) -> anyhow::Result<Served> {
        self.serve_node(binary, "node")
    }

    /// One of several on this database: each has a data folder of its own.
    pub fn serve_node(&self, binary: &Path, node: &str) -> anyhow::Result<Served> {
        let addr = free_addr()?;
        let sqlite = || format!("sqlite:{}", self.database().display());
        let mut command = Command::new(binary);
        command
            .arg("serve")
            .env("TIELINE_LISTEN", addr.to_string())
            .env("TIELINE_DATABASE_URL", self.url.clone().unwrap_or_else(sqlite))
            .env("TIELINE_DATA_DIR", self.folder.path().join(node))
            .env("TIELINE_SECRET_KEY", Keyring::to_text(&KEY))
            .env("TIELINE_WEBHOOK_ALLOW_HOSTS", "127.0.0.1/32")
            .env("TIELINE_WEBHOOK_ALLOW_HTTP", "true")
            .env("TIELINE_LOG", "warn");
        Served::start(command, addr)
    }

    /// This database with everything a handler works with, in this process.
    pub fn hub(&self) -> anyhow::Result<Hub> {
        let db = Db::open(Config::sqlite(self.database(), MIGRATIONS))?;
        let keyring = Keyring::from_bytes(KEY);
        let links = Links::new(&keyring, "http://127.0.0.1", DEFAULT_TTL_US);
        Ok(Hub::new(hub::Parts {
            db,
            files: Files::local(&self.folder.path().join("attachments"), links)?,
            keyring: Arc::new(keyring),
            guard: Guard::new(EgressPolicy::parse("", false).map_err(anyhow::Error::msg)?, Resolver::System),
            public_url: "http://127.0.0.1".into(),
            principals: Default::default(),
            proxies: Default::default(),
            random: hub::os_random,
        }))
    }

    /// Writes `count` deliveries, spread over the endpoints, as the fan-out would: a backlog to send.
    pub fn backlog(&self, count: u64) -> anyhow::Result<()> {
        let db = Db::open(Config::sqlite(self.database(), MIGRATIONS))?;
        let tenant = self.tenant;
        let endpoints: Vec<EndpointId> = tieline(db.read(move |read| {
            Ok::<_, Error>(webhooks::active(read, tenant)?.into_iter().map(|endpoint| endpoint.id).collect())
        }))?;
        let mut ids = tieline_db::Ids::from_os();
        let mut n = 0;
        while n < count {
            let mut deliveries = Vec::new();
            for _ in 0..1000.min(count - n) {
                n += 1;
                let now = db.now();
                deliveries.push(NewDelivery {
                    endpoint: endpoints[n as usize % endpoints.len()],
                    tenant,
                    position: n as i64,
                    event: EventId::from_uuid(ids.next(now)),
                    event_type: "conversation.created".into(),
                    conversation: Some(ConversationId::from_uuid(ids.next(now))),
                    sequence: Some(1),
                    body: payload(n),
                });
            }
            let from = deliveries[0].position - 1;
            let command = Arc::new(FanOut { from, to: n as i64, deliveries });
            let moved = tieline(db.write(move |tx| deliveries::fan_out(tx, &command)))?;
            anyhow::ensure!(moved.is_some(), "the cursor stands elsewhere");
        }
        db.close();
        Ok(())
    }
}

/// A body of about 1.1 KB, as a delivery of a creation has.
pub fn payload(n: u64) -> String {
    format!(
        r#"{{"id":"evt_{n:032}","event":"conversation.created","type":"conversation.created","apiVersion":"2026-11-21","tenantId":"ten_1","timestamp":"2026-11-21T06:16:17.540Z","sequence":1,"previousSequence":null,"data":{}}}"#,
        crate::sample::body(&format!("r-{n:012}"), n)
    )
}

fn context(tenant: TenantId) -> Ctx {
    Ctx::system(tenant, tieline_wire::native::event::data)
}

fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    tieline_api::hub::os_random(&mut bytes)?;
    Ok(bytes)
}

fn tieline<T, E: std::error::Error + Send + Sync + 'static>(
    work: impl std::future::Future<Output = Result<T, E>>,
) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)?)
}
