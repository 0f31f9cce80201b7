//! `tieline doctor`: what is right, what is not, and what to do about it.

use super::print;
use crate::config::{self, Attachments, Settings};
use crate::{admin, folder, secret_key};
use anyhow::bail;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tieline_api::operations;
use tieline_core::MIGRATIONS;
use tieline_db::Target;
use tieline_db::census::{census, problems};
use tieline_db::migrate::schema_version;
use tokio::net::TcpListener;

/// Free space below which the next busy day may fill the disk, bytes.
const LOW_SPACE: u64 = 1024 * 1024 * 1024;
/// A clock before this is wrong: this program did not exist. Seconds since 1970.
const NOT_BEFORE: u64 = 1_767_225_600;
/// How long an answer on our port may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

enum Finding {
    Ok(String),
    Warn(String),
    Fail(String),
}
use Finding::{Fail, Ok as Fine, Warn};

/// Prints one line per check.
///
/// Errors: when any of them failed.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let on_sqlite = matches!(settings.database, Target::Sqlite(_));
    let held = on_sqlite && settings.data_dir.exists() && matches!(folder::lock(&settings.data_dir), Ok(Err(_)));
    let asked = settings.database.clone();
    let version = tokio::task::spawn_blocking(move || schema_version(&asked)).await?;
    let findings = [
        ("settings", warnings(settings)),
        ("folder", data_folder(settings, held)),
        ("disk", disk(&settings.data_dir)),
        ("database", database(&settings.database, &version)),
        ("files", files(settings).await),
        ("key", key(settings, version.as_ref().is_ok_and(|version| *version > 0))),
        ("clock", clock()),
        ("port", port(settings, held).await),
        ("webhooks", webhooks(settings)),
    ];
    let (mut report, mut failed) = (String::new(), 0);
    for (check, finding) in findings {
        let (word, text) = match finding {
            Fine(text) => ("ok", text),
            Warn(text) => ("warn", text),
            Fail(text) => ("fail", text),
        };
        failed += usize::from(word == "fail");
        report += &format!("{word:<6}{check:<10}{text}\n");
    }
    print(&report)?;
    if failed > 0 {
        bail!("{failed} of the checks failed");
    }
    Ok(())
}

fn warnings(settings: &Settings) -> Finding {
    match &settings.warnings[..] {
        [] => Fine("all known; `tieline config` prints them".into()),
        warnings => Warn(warnings.join("; ")),
    }
}

fn data_folder(settings: &Settings, held: bool) -> Finding {
    let dir = settings.data_dir.display();
    let Ok(about) = std::fs::metadata(&settings.data_dir) else {
        return Warn(format!("{dir} does not exist yet; the first start makes it"));
    };
    if let Err(error) = tempfile::Builder::new().prefix(".tieline-doctor-").tempfile_in(&settings.data_dir) {
        return Fail(format!("{dir} cannot be written ({error}): make it writable for this user"));
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Warn(format!("{dir} is open to every user of this machine: chmod 750 {dir}"));
    }
    Fine(format!("{dir} can be written{}", if held { "; a server runs on it" } else { "" }))
}

/// Asked of `df`, which knows every file system; the standard library does not.
fn disk(dir: &Path) -> Finding {
    let place = dir.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    let output = std::process::Command::new("df").arg("-Pk").arg(place).output().ok();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let free = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    match free.map(|kib| kib * 1024) {
        None => Warn("free space is not known: `df` did not say".into()),
        Some(free) if free < LOW_SPACE => Warn(format!("{} MiB free: make room before writes fail", free >> 20)),
        Some(free) => Fine(format!("{} GiB free", free >> 30)),
    }
}

fn database(database: &Target, version: &tieline_db::Result<i64>) -> Finding {
    let name = match database {
        Target::Sqlite(path) => path.display().to_string(),
        Target::Postgres(_) => config::shown(database),
    };
    let known = MIGRATIONS.last().map_or(0, |step| step.version);
    let sound = match database {
        // Where it may not be looked for, it is read and says so.
        Target::Sqlite(path) if path.try_exists().is_ok_and(|exists| !exists) => {
            return Warn(format!("{name} does not exist yet; the first start makes it"));
        }
        Target::Sqlite(path) => match (problems(path), census(path)) {
            (Err(error), _) | (_, Err(error)) => return Fail(format!("{name} cannot be read: {error}")),
            (Ok(problems), _) if !problems.is_empty() => {
                return Fail(format!("{name} is damaged ({}): restore a backup", problems[0]));
            }
            (_, Ok(found)) => format!("is sound: schema version {known}, {} rows", found.rows.values().sum::<u64>()),
        },
        Target::Postgres(_) => format!("answers: schema version {known}"),
    };
    match version {
        Err(error) => Fail(format!("{name} cannot be used: {error}")),
        Ok(found) if *found > known => {
            Fail(format!("{name} has schema version {found}, this program knows {known}: start the newer program"))
        }
        Ok(found) if *found < known => {
            Warn(format!("{name} has schema version {found}; the next start brings it to {known}"))
        }
        Ok(_) => Fine(format!("{name} {sound}")),
    }
}

async fn files(settings: &Settings) -> Finding {
    match &settings.attachments {
        Attachments::Folder(folder) if folder.try_exists().is_ok_and(|exists| !exists) => {
            Fine(format!("{} is made by the first start", folder.display()))
        }
        Attachments::Folder(folder) => match tempfile::Builder::new().prefix(".tieline-doctor-").tempfile_in(folder) {
            Ok(_) => Fine(format!("{} can be written", folder.display())),
            Err(error) => {
                Fail(format!("{} cannot be written ({error}): make it writable for this user", folder.display()))
            }
        },
        Attachments::Bucket(bucket) => match bucket.check().await {
            Ok(()) => Fine(format!("{bucket:?} can be asked")),
            Err(why) => Fail(format!("{bucket:?} cannot be asked: {why}")),
        },
    }
}

fn key(settings: &Settings, is_needed: bool) -> Finding {
    let path = secret_key::path(&settings.data_dir);
    match secret_key::read(settings.secret_key.as_deref(), &settings.data_dir) {
        Err(error) => Fail(format!("{error:#}")),
        Ok(None) if is_needed => Fail(format!(
            "{} is missing: put the key of this database there, or set TIELINE_SECRET_KEY",
            path.display()
        )),
        Ok(None) => Warn("there is none yet; the first start makes it".into()),
        Ok(Some(_)) if settings.secret_key.is_some() => Fine("TIELINE_SECRET_KEY is a key".into()),
        Ok(Some(_)) => {
            let mode = std::fs::metadata(&path).map_or(0, |about| about.permissions().mode() & 0o777);
            match mode & 0o077 {
                0 => Fine(format!("{} is a key; keep a copy elsewhere, backups leave it out", path.display())),
                _ => Fail(format!("{0} can be read by others: chmod 600 {0}", path.display())),
            }
        }
    }
}

fn clock() -> Finding {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) if since.as_secs() >= NOT_BEFORE => {
            Fine("plausible; signatures hold while it is within 5 minutes of the receivers'".into())
        }
        _ => Fail("lies in the past: receivers refuse what is signed with it; set it, by NTP at best".into()),
    }
}

async fn port(settings: &Settings, held: bool) -> Finding {
    let listen = settings.listen;
    let bound = TcpListener::bind(listen).await.map(drop);
    let taken = matches!(&bound, Err(error) if error.kind() == std::io::ErrorKind::AddrInUse);
    let server = if held { admin::whereabouts(settings).await } else { Ok(None) };
    match (bound, server) {
        (Ok(()), Ok(Some(at))) if listen.port() != 0 => Warn(format!(
            "{listen} is free, but the server on this folder listens on {at}: its TIELINE_LISTEN was another one"
        )),
        (Ok(()), _) => Fine(format!("{listen} is free")),
        (Err(_), Ok(Some(at))) if taken && is_one(listen, at) => {
            Fine(format!("the server on this folder listens on {at}"))
        }
        (Err(_), Ok(Some(at))) if taken => Fail(format!(
            "{listen} is taken by another program, the server on this folder listens on {at}: set TIELINE_LISTEN before its next start"
        )),
        (Err(_), Err(error)) if taken => {
            Warn(format!("{listen} is taken; the server on this folder does not say whether by itself: {error:#}"))
        }
        (Err(_), Ok(None)) if taken => {
            let whose = match (answers_like_us(listen).await, &settings.database) {
                (false, _) => "another program",
                (true, Target::Sqlite(_)) => "another Tieline server, of another folder",
                (true, Target::Postgres(_)) => {
                    return Warn(format!(
                        "{listen} is taken by a Tieline server: fine if it is this node; another one needs another TIELINE_LISTEN"
                    ));
                }
            };
            Fail(format!("{listen} is taken by {whose}: set TIELINE_LISTEN"))
        }
        (Err(error), _) => Fail(format!("cannot listen on {listen} ({error}): set TIELINE_LISTEN")),
    }
}

/// Whether who listens at `at` is who keeps us from listening on `wanted`: the same port, of one address or of all.
fn is_one(wanted: SocketAddr, at: SocketAddr) -> bool {
    wanted.port() == at.port() && (wanted.ip() == at.ip() || wanted.ip().is_unspecified() || at.ip().is_unspecified())
}

/// Whether `/healthz` there is answered as we answer it.
async fn answers_like_us(listen: SocketAddr) -> bool {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let asked = async {
        let none = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().no_proxy().redirect(none).timeout(HEALTH_TIMEOUT).build()?;
        let answer = client.get(format!("http://{}/healthz", SocketAddr::new(ip, listen.port()))).send().await?;
        // Of a length that is said, so no stranger's answer is read for long.
        let is_like = answer.status() == 200 && answer.content_length() == Some(operations::HEALTHY.len() as u64);
        Ok::<_, reqwest::Error>(is_like && answer.text().await? == operations::HEALTHY)
    };
    asked.await.unwrap_or(false)
}

fn webhooks(settings: &Settings) -> Finding {
    let open = settings.policy.check_addr([127, 0, 0, 1].into()).is_ok();
    let clear = settings.policy.check_url("http://example.com/").is_ok();
    match (open, clear) {
        (false, false) => Fine("https to public addresses only, and to what TIELINE_WEBHOOK_ALLOW_HOSTS names".into()),
        (true, false) => {
            Warn("TIELINE_WEBHOOK_ALLOW_HOSTS lets tenants reach this machine itself: for development only".into())
        }
        (true, true) => Warn(
            "TIELINE_WEBHOOK_ALLOW_HOSTS lets tenants reach this machine itself, and TIELINE_WEBHOOK_ALLOW_HTTP lets replies travel unencrypted: for development only"
                .into(),
        ),
        (false, true) => Warn("TIELINE_WEBHOOK_ALLOW_HTTP lets replies travel unencrypted: for development only".into()),
    }
}
