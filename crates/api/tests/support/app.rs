//! A whole application on a fresh database, with a fixed clock and fixed ids; every answer is checked against the OpenAPI
//! document.
#![allow(dead_code)] // no suite needs all of it

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::{Router, body::to_bytes};
use serde_json::Value;
use std::sync::Arc;
use tieline_api::chatwoot;
use tieline_api::http::address::TrustedProxies;
use tieline_api::http::error::Dialect;
use tieline_api::http::layers::Edge;
use tieline_api::v1::attachments::{UPLOAD_ROUTE, upload_body_limit};
use tieline_api::{Hub, hub};
use tieline_core::attachments::link::{DEFAULT_TTL_US, Links};
use tieline_core::ctx::Ctx;
use tieline_core::events::numbering;
use tieline_core::keys::scopes::Scopes;
use tieline_core::keys::token::{Mode, Prefix, mint};
use tieline_core::keys::{self, CreateKey};
use tieline_core::secrets::Keyring;
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::{Error, MIGRATIONS};
use tieline_db::{Config, Db};
use tieline_delivery::egress::{Answer, EgressPolicy, Guard, Resolver};
use tieline_delivery::files::Files;
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::openapi::Validator;
use tieline_testkit::postgres;
use tower::ServiceExt;

/// Largest file of an attachment here, bytes: below and above it must differ in what the store does, so it is several parts.
pub const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024;

/// The application and what a test needs of it.
pub struct App {
    pub hub: Hub,
    pub db: Db,
    pub clock: VirtualClock,
    /// A key of tenant `acme` with every scope, live.
    pub key: String,
    router: Router,
    /// Of each dialect.
    validators: Validators,
    /// Attachments, and the database of SQLite.
    pub folder: tempfile::TempDir,
    /// The database of PostgreSQL, where the run is on it.
    postgres: Option<postgres::Database>,
}

/// What came back.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }
    /// Panics unless the status is this.
    #[track_caller]
    pub fn expect_status(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
    }
    /// Panics unless the status is this; answers the JSON.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

/// Fills bytes with something that differs from call to call, the same in every run.
fn counted(bytes: &mut [u8]) -> Result<(), Error> {
    thread_local!(static NEXT: std::cell::Cell<u64> = const { std::cell::Cell::new(1) });
    let number = NEXT.with(|next| next.replace(next.get() + 1));
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (index % 8 * 8)) as u8 ^ index as u8;
    }
    Ok(())
}

type Validators = Vec<(Dialect, Validator)>;

/// A server on this database, with nothing in memory.
fn serve(db: &Db, folder: &std::path::Path) -> (Hub, Router, Validators) {
    let policy = EgressPolicy::parse("127.0.0.1/32", true).expect("parses");
    let resolver = Resolver::Fixed(Arc::new(|_| Answer::Addresses(vec!["93.184.216.34".parse().expect("an address")])));
    let keyring = Keyring::from_bytes([7; 32]);
    let links = Links::new(&keyring, "http://tieline.test", DEFAULT_TTL_US);
    let files = Files::local(&folder.join("attachments"), links).expect("a folder");
    let hub = Hub::new(hub::Parts {
        db: db.clone(),
        keyring: Arc::new(keyring),
        files: files.with_max_bytes(MAX_FILE_BYTES),
        guard: Guard::new(policy, resolver),
        public_url: "http://tieline.test".into(),
        principals: Default::default(),
        proxies: TrustedProxies::parse("10.0.0.0/8").expect("parses"),
        random: counted,
    });
    let (router, _) = tieline_api::app(hub.clone());
    let edge = Edge::new(Some("http://tieline.test"), ());
    let router = edge
        .body_limit(UPLOAD_ROUTE, upload_body_limit(&hub))
        .body_limit(chatwoot::MESSAGES_ROUTE, upload_body_limit(&hub))
        .body_limit(chatwoot::PUBLIC_MESSAGES_ROUTE, upload_body_limit(&hub))
        .body_limit(chatwoot::LANDING_ROUTE, upload_body_limit(&hub))
        .log(hub.requests().clone())
        .around(router);
    let validators = tieline_api::documents().into_iter().map(|(name, document)| {
        let document = serde_json::to_value(&document).expect("a document");
        let dialect = match name {
            "v1" => Dialect::V1,
            "atteny" => Dialect::Atteny,
            _ => Dialect::Chatwoot,
        };
        (dialect, Validator::new(document))
    });
    (hub, router, validators.collect())
}

impl App {
    /// Tenant `acme` on a fresh database; names resolve to a public address, 127.0.0.1 is allowed over http.
    pub async fn new() -> App {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = VirtualClock::new();
        let postgres = postgres::wanted();
        let mut config = match &postgres {
            Some(database) => Config::postgres(&database.url, MIGRATIONS),
            None => Config::sqlite(folder.path().join("t.db"), MIGRATIONS),
        };
        // The clock stands still, and what happens at one time is listed by id: one writer's ids grow.
        config.limits.writers = 1;
        config.clock = Arc::new(clock.clone());
        config.seed = Some(1);
        let db = Db::open(config).expect("opens");
        let (hub, router, validators) = serve(&db, folder.path());
        let mut app = App { hub, db, clock, key: String::new(), router, validators, folder, postgres };
        app.tenant("acme").await;
        app.key = app.key("acme", Mode::Live, &["full_access"]).await;
        app
    }

    /// Every route, for a listener of the test's own.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The same database served anew, as after a restart.
    pub fn restarted(self) -> App {
        let (hub, router, validators) = serve(&self.db, self.folder.path());
        App { hub, router, validators, ..self }
    }

    /// Makes a tenant whose limits no test meets that does not set them.
    pub async fn tenant(&self, slug: &str) -> tenants::Tenant {
        let plan = Plan { rate_per_minute: 1_000_000, ..Plan::default() };
        let cmd = CreateTenant { slug: slug.into(), name: slug.into(), plan };
        self.db.write(move |tx| tenants::create(tx, None, &cmd)).await.expect("a tenant")
    }

    /// Makes a key of a tenant with these scopes.
    pub async fn key(&self, slug: &str, mode: Mode, scopes: &[&str]) -> String {
        self.make_key(Prefix::Sa, slug, mode, scopes, None).await
    }

    /// Makes a live key of a tenant with every scope that stops working at this time.
    pub async fn expiring_key(&self, slug: &str, at: i64) -> String {
        self.make_key(Prefix::Sa, slug, Mode::Live, &["full_access"], Some(at)).await
    }

    /// Makes a key that begins with this prefix.
    pub async fn make_key(
        &self,
        prefix: Prefix,
        slug: &str,
        mode: Mode,
        scopes: &[&str],
        expires_at: Option<i64>,
    ) -> String {
        let text = mint(prefix, mode, self.hub.random().expect("random"));
        let scopes = Scopes::parse(scopes.iter().copied(), "/scopes").expect("scopes");
        let (slug, key) = (slug.to_owned(), text.clone());
        let made: Result<_, Error> = self
            .db
            .write(move |tx| {
                let tenant = tenants::by_slug(tx, &slug, mode)?;
                let cmd = CreateKey {
                    name: "test".into(),
                    description: None,
                    digest: key.digest(),
                    prefix: key.display_prefix().into(),
                    scopes,
                    expires_at,
                };
                keys::create(tx, tenant.id, &cmd)
            })
            .await;
        made.expect("a key");
        text.expose().to_owned()
    }

    /// The context of the system in tenant `acme`, for verbs that have no route yet.
    pub async fn ctx(&self) -> Ctx {
        let tenant = self.db.read(|read| tenants::by_slug(read, "acme", Mode::Live)).await.expect("acme");
        self.hub.ctx(tenant.id, tieline_core::ctx::Actor::system(), "req_test")
    }

    /// Everything that the database holds: the bytes of its files, or on PostgreSQL every row as text.
    pub async fn contents(&self) -> Vec<u8> {
        if self.postgres.is_none() {
            let entries = std::fs::read_dir(self.folder.path()).expect("a folder");
            let files = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file());
            return files.flat_map(|file| std::fs::read(file).expect("readable")).collect();
        }
        let rows: Result<Vec<String>, Error> = self
            .db
            .read(|read| {
                let mut rows = Vec::new();
                for table in tieline_db::catalogue::tables(read)? {
                    let sql = format!("select t::text from \"{}\" t", table.name);
                    rows.extend(read.all(&sql, &[], |row| row.get::<String>(0))?);
                }
                Ok(rows)
            })
            .await;
        rows.expect("every row").concat().into_bytes()
    }

    /// Gives what has happened its place in the log, as a node does beside its requests.
    pub async fn number(&self) {
        while self.db.read(numbering::is_any_beyond).await.expect("looks") {
            self.db.write(numbering::advance).await.expect("numbers");
        }
    }

    /// Sends a request as it is and checks the answer against the document.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        self.number().await;
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        self.number().await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 32 << 20).await.expect("a body").to_vec();
        let content_type = parts.headers.get("content-type").map(|value| value.to_str().expect("text").to_owned());
        let (dialect, status) = (Dialect::of_path(&path), parts.status.as_u16());
        // Paths outside of the dialects belong to no document; Chatwoot's end as their clients like.
        let within = ["/v1/", "/api", "/public/", "/health"].iter().any(|begin| path.starts_with(begin));
        let path = match dialect {
            Dialect::Chatwoot => path.trim_end_matches('/').trim_end_matches(".json"),
            _ => path.as_str(),
        };
        let validator = self.validators.iter().find(|(of, _)| *of == dialect).map(|(_, validator)| validator);
        if let Some(validator) = validator
            && within
            && !["OPTIONS", "HEAD"].contains(&method.as_str())
            && status != 405
            && !(dialect == Dialect::Chatwoot && status == 422 && body.is_empty())
            && !(status == 404 && validator.template(path).is_none())
        {
            let checked = validator.check(method.as_str(), path, status, content_type.as_deref(), &body);
            if let Err(error) = checked {
                panic!("{error}\n{}", String::from_utf8_lossy(&body));
            }
        }
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request with a key, headers and perhaps a JSON body.
    pub async fn call(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {key}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.send(request.expect("a request")).await
    }

    /// Whether these bytes stand anywhere in the database, also where PostgreSQL shows bytes in hexadecimal.
    pub async fn stored(&self, bytes: &[u8]) -> bool {
        let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let contents = self.contents().await;
        let holds = |what: &[u8]| contents.windows(what.len()).any(|window| window == what);
        holds(bytes) || holds(hexadecimal.as_bytes())
    }

    /// GET with the full-access key.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(&self.key, "GET", path, &[], None).await
    }
    /// POST with the full-access key.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(&self.key, "POST", path, &[], Some(body)).await
    }
    /// PATCH with the full-access key.
    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.call(&self.key, "PATCH", path, &[], Some(body)).await
    }
    /// PUT without a body, with the full-access key.
    pub async fn put(&self, path: &str) -> Reply {
        self.call(&self.key, "PUT", path, &[], None).await
    }
    /// DELETE with the full-access key.
    pub async fn delete(&self, path: &str) -> Reply {
        self.call(&self.key, "DELETE", path, &[], None).await
    }
}
