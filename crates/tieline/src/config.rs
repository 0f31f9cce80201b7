//! Settings: each is an environment variable and a key of one TOML file, nothing else.
//!
//! The environment wins over the file, the file over the default. A key of the file that is not known is refused, because
//! somebody meant something by it; an unknown `TIELINE_…` variable is a warning, because it may be meant for another version.

use crate::folder::ATTACHMENTS;
use anyhow::{Context, bail};
use config::{FileFormat, Source};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tieline_api::http::address::TrustedProxies;
use tieline_db::Target;
use tieline_delivery::egress::EgressPolicy;
use tieline_delivery::files::Bucket;
use tieline_delivery::housekeeping::Kept;
use tieline_delivery::queue::Rules;
use tieline_delivery::schedule::{RetrySchedule, parse_duration};
use tracing_subscriber::filter::LevelFilter;

/// What environment variables of ours start with.
const PREFIX: &str = "TIELINE_";
/// Read where no other file is named and it is there.
const DEFAULT_FILE: &str = "tieline.toml";
/// Names the file; not a setting itself.
const CONFIG_VARIABLE: &str = "TIELINE_CONFIG";
/// Largest configuration file, bytes.
const FILE_LIMIT: u64 = 256 * 1024;
/// Most that `attachment_max_bytes` may be: what a store takes in the parts that we send.
const MAX_FILE_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// `drain_time` where there are other nodes: two looks of a load balancer that looks every two seconds, and with what follows
/// within the 30 seconds that Kubernetes, and Compose as we deploy it, give to a process that ends.
const DRAIN: Duration = Duration::from_secs(5);
/// Longest `drain_time`.
const MAX_DRAIN: Duration = Duration::from_mins(5);
/// Variables of ours that are no settings of the program: of its tests, benches and builds.
const NOT_SETTINGS: &[&str] = &["ROUNDS", "DASHBOARD_DIST", "BENCH", "KEY", "IMPORT_TOKEN", "TEST_ENGINE"];

/// One setting.
struct Setting {
    /// Key of the file; the variable is `TIELINE_` and this in capitals.
    key: &'static str,
    default: &'static str,
    secret: bool,
    about: &'static str,
}

const fn setting(key: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting { key, default, secret: false, about }
}
const fn secret(key: &'static str, about: &'static str) -> Setting {
    Setting { key, default: "", secret: true, about }
}

const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:8080", "address and port to serve on; port 0 takes a free one"),
    setting("data_dir", "./data", "folder of the database, the secret key and attachments"),
    setting("database_url", "", "sqlite:<path> or postgres://user@host/name; by default tieline.db in the data folder"),
    setting("public_url", "", "where clients reach this server; by default http:// and the listen address"),
    setting(
        "trusted_proxies",
        "",
        "networks (CIDR) of your proxies, whose X-Forwarded-For says where a request comes from",
    ),
    setting(
        "drain_time",
        "",
        "how long SIGTERM lets a node take requests while /readyz is already 503, at most 5m; by default 5s on PostgreSQL, 0s on SQLite",
    ),
    setting("log", "info", "error, warn, info, debug or trace; also per module, such as info,tieline_delivery=debug"),
    setting("log_format", "text", "text or json"),
    secret("secret_key", "32 bytes in base64 or hexadecimal; by default secret.key in the data folder, made when new"),
    setting("webhook_allow_hosts", "", "networks (CIDR) and names that webhooks may reach although they are private"),
    setting("webhook_allow_http", "false", "let webhooks use http:// as well as https://"),
    setting(
        "webhook_retry_schedule",
        "",
        "waits after each failed attempt, such as 200ms,5s,5m; by default about 3 days",
    ),
    setting("webhook_disable_after", "20", "failed attempts in a row before an endpoint is switched off"),
    setting("webhook_disable_window", "72h", "and how old the first of them must be"),
    setting(
        "attachments_url",
        "",
        "where files are: file:///folder or s3://bucket/prefix; by default attachments in the data folder. Several nodes share one",
    ),
    setting("s3_endpoint", "", "address of a store that speaks S3; by default Amazon's in the region"),
    setting("s3_region", "us-east-1", "region of the bucket"),
    setting("s3_access_key_id", "", "who asks the bucket"),
    secret("s3_secret_access_key", "and what proves it"),
    setting("attachment_max_bytes", "26214400", "largest file; by default 25 MiB"),
    setting("attachment_link_ttl", "1h", "how long a link to a file is good, from 1m to 7d"),
    setting("keep_events", "30d", "how long events stay in the feed, at least 1h"),
    setting("keep_deliveries", "30d", "how long deliveries stay in the log after their end, at least 1h"),
    setting("keep_requests", "30d", "how long requests stay in the log, at least 1h"),
    setting(
        "keep_audit",
        "",
        "how long administrative changes stay in the audit log, at least 30d; by default for ever",
    ),
    setting("owner_email", "", "makes the first tenant with this owner, on an empty database"),
    secret("owner_password", "password of that owner"),
    setting("owner_name", "", "name of that owner; by default the part of the address before the @"),
    setting("owner_tenant", "main", "short name of the first tenant"),
];

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said otherwise.
    Default,
    /// The file.
    File(PathBuf),
    /// The environment variable.
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Environment => f.write_str("environment"),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line, for collectors.
    Json,
}

/// Where the bytes of attachments are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachments {
    /// A folder of this machine, or one that several share.
    Folder(PathBuf),
    /// A bucket that speaks S3.
    Bucket(Bucket),
}

/// Who owns the first tenant, where the environment says so.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner {
    /// Address to sign in with.
    pub email: String,
    /// Password in clear.
    pub password: String,
    /// Display name.
    pub name: String,
    /// Slug of the tenant.
    pub tenant: String,
}

/// The settings, read and checked.
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Folder of everything that is not in the database.
    pub data_dir: PathBuf,
    /// Where the data is.
    pub database: Target,
    /// Where clients reach us.
    pub public_url: Option<String>,
    /// Whose word on a client's address counts.
    pub proxies: TrustedProxies,
    /// Between SIGTERM and the end of listening: for a load balancer to send its requests to other nodes.
    pub drain: Duration,
    /// Filter of log lines.
    pub log: String,
    /// How they look.
    pub log_format: LogFormat,
    /// The key to secrets, where it is not in a file.
    pub secret_key: Option<String>,
    /// Where webhooks may go.
    pub policy: EgressPolicy,
    /// When to try again and when to give up.
    pub rules: Rules,
    /// Where files are.
    pub attachments: Attachments,
    /// Largest file, bytes.
    pub attachment_max_bytes: u64,
    /// How long a link to a file is good, microseconds.
    pub attachment_link_ttl_us: i64,
    /// How long the past is kept.
    pub kept: Kept,
    /// The first owner.
    pub owner: Option<Owner>,
    values: BTreeMap<&'static str, (String, Origin)>,
    /// One line each; not logged yet, because the settings say how.
    pub warnings: Vec<String>,
}

/// Reads and checks the settings. `file` is the one named on the command line.
///
/// Errors: one line that names the setting and where it was given.
pub fn load(file: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<Settings> {
    let environment: BTreeMap<String, String> =
        environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    let told = environment.get(CONFIG_VARIABLE).filter(|path| !path.is_empty());
    let named = file.map(Path::to_owned).or_else(|| told.map(PathBuf::from));
    let file = named.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()));
    let mut values: BTreeMap<&'static str, (String, Origin)> =
        SETTINGS.iter().map(|s| (s.key, (s.default.to_owned(), Origin::Default))).collect();
    if let Some(path) = file {
        for (key, value) in read_file(&path)? {
            values.insert(key, (value, Origin::File(path.clone())));
        }
    }
    let mut warnings = Vec::new();
    for (name, value) in environment {
        let key = name[PREFIX.len()..].to_lowercase();
        match SETTINGS.iter().find(|setting| setting.key == key) {
            Some(setting) => {
                values.insert(setting.key, (value, Origin::Environment));
            }
            None if name == CONFIG_VARIABLE || NOT_SETTINGS.contains(&&name[PREFIX.len()..]) => {}
            None => warnings.push(format!("{name} is no setting and is ignored{}", nearest(&key, variable))),
        }
    }
    checked(values, warnings)
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase())
}

/// ` (did you mean …?)`, or nothing when no known key is near.
fn nearest(key: &str, shown: fn(&str) -> String) -> String {
    let near = |setting: &&Setting| strsim::jaro_winkler(setting.key, key);
    let mut all: Vec<&Setting> = SETTINGS.iter().filter(|setting| near(setting) > 0.8).collect();
    all.sort_by(|a, b| near(b).total_cmp(&near(a)));
    let names: Vec<String> = all.iter().take(2).map(|setting| shown(setting.key)).collect();
    if names.is_empty() { String::new() } else { format!(" (did you mean {}?)", names.join(" or ")) }
}

fn read_file(path: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if size > FILE_LIMIT {
        bail!("{} is no configuration file: it has {size} bytes", path.display());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parsed = config::File::from_str(&text, FileFormat::Toml).collect().map_err(|error| {
        let line = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        anyhow::anyhow!("{} is not valid TOML: {line}", path.display())
    })?;
    let mut found = Vec::new();
    for (key, value) in parsed {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            let near = nearest(&key, str::to_owned);
            bail!("{}: there is no setting {key:?}{near}; `tieline config` lists them", path.display());
        };
        let text = match value.clone().into_array() {
            Ok(items) => {
                items.into_iter().map(config::Value::into_string).collect::<Result<Vec<_>, _>>().map(|t| t.join(","))
            }
            Err(_) => value.into_string(),
        };
        let text =
            text.map_err(|_| anyhow::anyhow!("{}: {key} is neither a text nor a list of texts", path.display()))?;
        found.push((setting.key, text));
    }
    Ok(found)
}

fn checked(values: BTreeMap<&'static str, (String, Origin)>, warnings: Vec<String>) -> anyhow::Result<Settings> {
    let text = |key: &str| values[key].0.trim();
    let given = |key: &str| Some(text(key)).filter(|text| !text.is_empty()).map(str::to_owned);
    // The line names the setting as the operator wrote it.
    let wrong = |key: &str, why: String| match &values[key].1 {
        Origin::File(path) => anyhow::anyhow!("{}: {key} {why}", path.display()),
        _ => anyhow::anyhow!("{} {why}", variable(key)),
    };
    let duration = |key: &str| parse_duration(text(key)).map_err(|why| wrong(key, format!("is refused: {why}")));
    let listen = text("listen").parse();
    let listen = listen.map_err(|_| {
        wrong("listen", format!("must be an address and a port, such as 127.0.0.1:8080, not {:?}", text("listen")))
    })?;
    let data_dir = PathBuf::from(given("data_dir").ok_or_else(|| wrong("data_dir", "is empty".into()))?);
    let database = match given("database_url") {
        None => Target::Sqlite(data_dir.join("tieline.db")),
        Some(url) => target(&url).map_err(|why| wrong("database_url", why))?,
    };
    let public_url = given("public_url").map(|url| url.trim_end_matches('/').to_owned());
    if let Some(url) = &public_url {
        http_url(url).map_err(|why| wrong("public_url", why))?;
    }
    if let Some(url) = given("s3_endpoint") {
        http_url(&url).map_err(|why| wrong("s3_endpoint", why))?;
    }
    let drain = match (given("drain_time"), &database) {
        (Some(_), _) => duration("drain_time")?,
        (None, Target::Postgres(_)) => DRAIN,
        (None, Target::Sqlite(_)) => Duration::ZERO, // no other node could take over
    };
    if drain > MAX_DRAIN {
        return Err(wrong("drain_time", "must be at most 5m".into()));
    }
    let proxies = TrustedProxies::parse(text("trusted_proxies"))
        .map_err(|why| wrong("trusted_proxies", format!("is refused: {why}")))?;
    let allow_http = match text("webhook_allow_http") {
        "true" => true,
        "false" | "" => false,
        other => return Err(wrong("webhook_allow_http", format!("must be true or false, not {other:?}"))),
    };
    let policy = EgressPolicy::parse(text("webhook_allow_hosts"), allow_http)
        .map_err(|why| wrong("webhook_allow_hosts", format!("is refused: {why}")))?;
    let mut rules = Rules::default();
    if let Some(schedule) = given("webhook_retry_schedule") {
        rules.schedule = RetrySchedule::parse(&schedule)
            .map_err(|why| wrong("webhook_retry_schedule", format!("is refused: {why}")))?;
    }
    let after = text("webhook_disable_after").parse().ok().filter(|count| (1..=1_000_000).contains(count));
    rules.health.disable_after =
        after.ok_or_else(|| wrong("webhook_disable_after", "must be a number from 1 to 1000000".into()))?;
    let window: Duration = duration("webhook_disable_window")?;
    rules.health.disable_window = i64::try_from(window.as_micros())
        .map_err(|_| wrong("webhook_disable_window", "is longer than time goes".into()))?;
    let attachments = match given("attachments_url") {
        None => Attachments::Folder(data_dir.join(ATTACHMENTS)),
        Some(url) => match (url.strip_prefix("file://"), url.strip_prefix("s3://")) {
            (Some(path), _) if path.starts_with('/') => Attachments::Folder(PathBuf::from(path)),
            (_, Some(place)) if !place.is_empty() && !place.starts_with('/') => {
                let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
                let needed = |key: &str| {
                    given(key)
                        .ok_or_else(|| wrong(key, "is missing: a bucket is asked with a key and its secret".into()))
                };
                Attachments::Bucket(Bucket {
                    name: name.to_owned(),
                    prefix: prefix.trim_matches('/').to_owned(),
                    endpoint: given("s3_endpoint"),
                    region: text("s3_region").to_owned(),
                    access_key_id: needed("s3_access_key_id")?,
                    secret_access_key: needed("s3_secret_access_key")?,
                })
            }
            _ => return Err(wrong("attachments_url", "must be file:///folder or s3://bucket/prefix".into())),
        },
    };
    let most = text("attachment_max_bytes").parse().ok().filter(|bytes| (1..=MAX_FILE_BYTES).contains(bytes));
    let attachment_max_bytes =
        most.ok_or_else(|| wrong("attachment_max_bytes", format!("must be a number from 1 to {MAX_FILE_BYTES}")))?;
    let between = |key: &str, least: &str, most: &str| {
        let (wait, bound) = (duration(key)?, |text| parse_duration(text).unwrap_or_default());
        if wait < bound(least) || wait > bound(most) {
            return Err(wrong(key, format!("must be from {least} to {most}")));
        }
        Ok(wait.as_micros() as i64)
    };
    let attachment_link_ttl_us = between("attachment_link_ttl", "1m", "7d")?;
    let kept = Kept {
        events_us: between("keep_events", "1h", "3650d")?,
        deliveries_us: between("keep_deliveries", "1h", "3650d")?,
        requests_us: between("keep_requests", "1h", "3650d")?,
        audit_us: given("keep_audit").map(|_| between("keep_audit", "30d", "36500d")).transpose()?,
    };
    let log_format = match text("log_format") {
        "text" | "" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => return Err(wrong("log_format", format!("must be text or json, not {other:?}"))),
    };
    // The filter takes any word for a module's name, and then says nothing of all others.
    let bare = |part: &&str| !part.contains(['=', '[']) && !part.is_empty();
    let unknown = text("log").split(',').map(str::trim).filter(bare).find(|word| word.parse::<LevelFilter>().is_err());
    let broken = tracing_subscriber::EnvFilter::try_new(text("log")).is_err().then(|| text("log"));
    if let Some(word) = unknown.or(broken) {
        let levels = "must be error, warn, info, debug or trace, also per module as in info,tieline_delivery=debug";
        return Err(wrong("log", format!("{levels}, not {word:?}")));
    }
    let owner = match (given("owner_email"), given("owner_password")) {
        (None, None) => None,
        (Some(_), None) => return Err(wrong("owner_password", "is missing beside the owner's address".into())),
        (None, Some(_)) => return Err(wrong("owner_email", "is missing beside the owner's password".into())),
        (Some(email), Some(password)) => {
            let name = given("owner_name").unwrap_or_else(|| email.split('@').next().unwrap_or_default().to_owned());
            Some(Owner { email, password, name, tenant: text("owner_tenant").to_owned() })
        }
    };
    Ok(Settings {
        listen,
        data_dir,
        database,
        public_url,
        proxies,
        drain,
        log: text("log").to_owned(),
        log_format,
        secret_key: given("secret_key"),
        policy,
        rules,
        attachments,
        attachment_max_bytes,
        attachment_link_ttl_us,
        kept,
        owner,
        warnings,
        values,
    })
}

/// The database that an address names.
///
/// Errors: what it must be, without the address, which may hold a password.
pub fn target(url: &str) -> Result<Target, String> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Target::Postgres(url.to_owned()));
    }
    match url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path)) {
        Some(path) if !path.is_empty() => Ok(Target::Sqlite(PathBuf::from(path))),
        // What stands there may hold a password.
        _ => Err("must be sqlite:<path> or postgres://user@host/name".into()),
    }
}

/// The database for people: a URL comes without its password.
pub fn shown(database: &Target) -> String {
    let url = match database {
        Target::Sqlite(path) => return format!("sqlite:{}", path.display()),
        Target::Postgres(url) => url,
    };
    let mut shown = url.clone();
    if let (Some(start), Some(end)) = (url.find("://").map(|at| at + 3), url.rfind('@'))
        && let Some(colon) = url.get(start..end).and_then(|user| user.find(':'))
    {
        shown.replace_range(start + colon + 1..end, "(hidden)");
    }
    if let Some(start) = shown.find("password=").map(|at| at + "password=".len()) {
        let end = shown[start..].find('&').map_or(shown.len(), |at| start + at);
        shown.replace_range(start..end, "(hidden)");
    }
    shown
}

impl fmt::Display for Settings {
    /// As a configuration file, with the origin of each value; secrets are hidden, and what is unset is a comment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Setting { key, secret, about, .. } in SETTINGS {
            let (value, origin) = &self.values[key];
            let (unset, value) = match value.trim() {
                _ if *key == "database_url" => (false, shown(&self.database)),
                "" => (true, String::new()),
                _ if *secret => (false, "(hidden)".to_owned()),
                value => (false, value.to_owned()),
            };
            let off = if unset { "# " } else { "" };
            writeln!(f, "# {about}\n# {} ({origin})\n{off}{key} = {value:?}\n", variable(key))?;
        }
        Ok(())
    }
}

/// Checks an address that others are appended to.
fn http_url(text: &str) -> Result<(), String> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| format!("must be an http or https address, not {text:?}"))?;
    // Not shown: there may be a password in it.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user and no password".into());
    }
    match url.query().or(url.fragment()) {
        Some(_) => Err(format!("must end with its path, without ? and #, not {text:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn refused(text: &str, pairs: &[(&str, &str)]) -> String {
        let file = file(text);
        let error = load(Some(file.path()), environment(pairs)).map(drop).expect_err("refused");
        format!("{error:#}").replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let file = file(
            "listen = \"127.0.0.1:1\"\nlog = \"warn\"\nwebhook_allow_hosts = [\"10.0.0.0/8\", \"hooks.local\"]\nwebhook_disable_after = 7",
        );
        let settings =
            load(Some(file.path()), environment(&[("TIELINE_LISTEN", "127.0.0.1:2"), ("HOME", "/")])).unwrap();
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.log, "warn");
        assert_eq!(settings.rules.health.disable_after, 7);
        assert!(settings.policy.check_addr("10.1.2.3".parse().unwrap()).is_ok());
        assert_eq!(settings.log_format, LogFormat::Text);
        assert_eq!(shown(&settings.database), "sqlite:./data/tieline.db");
        let origin = |key: &str| settings.values[key].1.clone();
        assert_eq!(
            (origin("listen"), origin("log"), origin("log_format")),
            (Origin::Environment, Origin::File(file.path().into()), Origin::Default)
        );
        assert!(load(None, environment(&[(CONFIG_VARIABLE, "")])).is_ok(), "empty is as good as none");
        let from_variable = environment(&[(CONFIG_VARIABLE, file.path().to_str().unwrap())]);
        assert_eq!(load(None, from_variable).unwrap().listen.port(), 1);
    }

    #[test]
    fn what_is_wrong_is_named_where_it_was_written() {
        for (text, pairs, line) in [
            (
                "listn = 1",
                &[][..],
                "FILE: there is no setting \"listn\" (did you mean listen?); `tieline config` lists them",
            ),
            ("x = 1", &[], "FILE: there is no setting \"x\"; `tieline config` lists them"),
            (
                "listen = \"here\"",
                &[],
                "FILE: listen must be an address and a port, such as 127.0.0.1:8080, not \"here\"",
            ),
            ("listen = {a = 1}", &[], "FILE: listen is neither a text nor a list of texts"),
            (
                "",
                &[("TIELINE_LISTEN", "8080")],
                "TIELINE_LISTEN must be an address and a port, such as 127.0.0.1:8080, not \"8080\"",
            ),
            (
                "",
                &[("TIELINE_DATABASE_URL", "mysql://u:secret@h/d")],
                "TIELINE_DATABASE_URL must be sqlite:<path> or postgres://user@host/name",
            ),
            ("", &[("TIELINE_LOG_FORMAT", "xml")], "TIELINE_LOG_FORMAT must be text or json, not \"xml\""),
            (
                "",
                &[("TIELINE_WEBHOOK_ALLOW_HTTP", "yes")],
                "TIELINE_WEBHOOK_ALLOW_HTTP must be true or false, not \"yes\"",
            ),
            (
                "",
                &[("TIELINE_WEBHOOK_DISABLE_AFTER", "0")],
                "TIELINE_WEBHOOK_DISABLE_AFTER must be a number from 1 to 1000000",
            ),
            (
                "",
                &[("TIELINE_PUBLIC_URL", "https://example.com/a?q=1")],
                "TIELINE_PUBLIC_URL must end with its path, without ? and #, not \"https://example.com/a?q=1\"",
            ),
            (
                "",
                &[("TIELINE_PUBLIC_URL", "https://ana:secret@example.com")],
                "TIELINE_PUBLIC_URL must hold no user and no password",
            ),
            (
                "",
                &[("TIELINE_S3_ENDPOINT", "minio.local:9000")],
                "TIELINE_S3_ENDPOINT must be an http or https address, not \"minio.local:9000\"",
            ),
            (
                "",
                &[("TIELINE_PUBLIC_URL", "example.com")],
                "TIELINE_PUBLIC_URL must be an http or https address, not \"example.com\"",
            ),
            (
                "",
                &[("TIELINE_ATTACHMENTS_URL", "/srv/files")],
                "TIELINE_ATTACHMENTS_URL must be file:///folder or s3://bucket/prefix",
            ),
            (
                "",
                &[("TIELINE_ATTACHMENTS_URL", "s3://files"), ("TIELINE_S3_ACCESS_KEY_ID", "a")],
                "TIELINE_S3_SECRET_ACCESS_KEY is missing: a bucket is asked with a key and its secret",
            ),
            ("drain_time = \"6m\"", &[], "FILE: drain_time must be at most 5m"),
            ("attachment_max_bytes = 0", &[], "FILE: attachment_max_bytes must be a number from 1 to 5368709120"),
            ("attachment_link_ttl = \"8d\"", &[], "FILE: attachment_link_ttl must be from 1m to 7d"),
            ("", &[("TIELINE_KEEP_EVENTS", "5m")], "TIELINE_KEEP_EVENTS must be from 1h to 3650d"),
            (
                "",
                &[("TIELINE_OWNER_EMAIL", "ana@example.com")],
                "TIELINE_OWNER_PASSWORD is missing beside the owner's address",
            ),
        ] {
            assert_eq!(refused(text, pairs), line);
        }
        assert!(refused("listen = ", &[]).starts_with("FILE is not valid TOML: "));
        let missing = load(Some(Path::new("/nowhere.toml")), environment(&[])).map(drop).unwrap_err();
        assert!(format!("{missing:#}").starts_with("cannot read /nowhere.toml"), "{missing:#}");
    }

    #[test]
    fn only_nodes_beside_others_wait_for_a_load_balancer() {
        let drain = |pairs: &[(&str, &str)]| load(None, environment(pairs)).unwrap().drain;
        let postgres = ("TIELINE_DATABASE_URL", "postgres://t@h/d");
        assert_eq!(drain(&[]), Duration::ZERO);
        assert_eq!(drain(&[postgres]), Duration::from_secs(5));
        assert_eq!(drain(&[postgres, ("TIELINE_DRAIN_TIME", "0s")]), Duration::ZERO);
        assert_eq!(drain(&[("TIELINE_DRAIN_TIME", "15s")]), Duration::from_secs(15));
    }

    #[test]
    fn files_are_in_the_data_folder_another_folder_or_a_bucket() {
        let at = |pairs: &[(&str, &str)]| load(None, environment(pairs)).unwrap().attachments;
        assert_eq!(at(&[("TIELINE_DATA_DIR", "/srv/t")]), Attachments::Folder("/srv/t/attachments".into()));
        assert_eq!(at(&[("TIELINE_ATTACHMENTS_URL", "file:///mnt/f")]), Attachments::Folder("/mnt/f".into()));
        let bucket = at(&[
            ("TIELINE_ATTACHMENTS_URL", "s3://files/desk/"),
            ("TIELINE_S3_ENDPOINT", "http://127.0.0.1:9000"),
            ("TIELINE_S3_ACCESS_KEY_ID", "who"),
            ("TIELINE_S3_SECRET_ACCESS_KEY", "hush"),
        ]);
        let Attachments::Bucket(bucket) = bucket else { panic!("{bucket:?}") };
        assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), ("files", "desk"));
        assert_eq!(bucket.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert!(!format!("{bucket:?}").contains("hush"));
    }

    #[test]
    fn an_unknown_variable_is_a_warning_with_the_nearest_known_one() {
        let settings =
            load(None, environment(&[("TIELINE_LISTENS", "1"), ("TIELINE_QQ", "1"), ("TIELINE_ROUNDS", "3")])).unwrap();
        assert_eq!(
            settings.warnings,
            [
                "TIELINE_LISTENS is no setting and is ignored (did you mean TIELINE_LISTEN?)",
                "TIELINE_QQ is no setting and is ignored"
            ]
        );
    }

    #[test]
    fn what_is_shown_hides_secrets_and_can_be_read_again() {
        let pairs = [
            ("TIELINE_SECRET_KEY", "hush"),
            ("TIELINE_DATA_DIR", "/srv/t"),
            ("TIELINE_PUBLIC_URL", "https://t.example/"),
        ];
        let shown = load(None, environment(&pairs)).unwrap().to_string();
        assert!(!shown.contains("hush") && shown.contains("secret_key = \"(hidden)\""), "{shown}");
        assert!(shown.contains("database_url = \"sqlite:/srv/t/tieline.db\""), "{shown}");
        assert!(shown.contains("# TIELINE_DATA_DIR (environment)\ndata_dir = \"/srv/t\"\n"), "{shown}");
        let postgres = |url: &str| {
            let shown = load(None, environment(&[("TIELINE_DATABASE_URL", url)])).unwrap().to_string();
            assert!(!shown.contains("hush"), "{shown}");
            shown.lines().find_map(|line| line.strip_prefix("database_url = ")).unwrap().to_owned()
        };
        assert_eq!(
            postgres("postgres://t:hush@h1:5432,h2/d?sslmode=require"),
            "\"postgres://t:(hidden)@h1:5432,h2/d?sslmode=require\""
        );
        assert_eq!(postgres("postgresql://t@h/d?password=hush&x=y"), "\"postgresql://t@h/d?password=(hidden)&x=y\"");
        assert_eq!(postgres("postgres:///d?host=/run"), "\"postgres:///d?host=/run\"");
        let again = load(Some(file(&shown).path()), environment(&[])).unwrap();
        assert_eq!(again.data_dir, PathBuf::from("/srv/t"));
        assert_eq!(SETTINGS.iter().filter(|s| shown.contains(&variable(s.key))).count(), SETTINGS.len());
    }
}
