//! `tieline doctor`: what is right, what is not, and what to do about it.

use super::print;
use crate::config::{self, Attachments, Settings};
use crate::{admin, folder, secret_key, server};
use anyhow::bail;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tieline_api::operations;
use tieline_core::{Error, MIGRATIONS, installation};
use tieline_db::Target;
use tieline_db::census::{PROBLEMS, census, problems};
use tieline_db::migrate::{peek, schema_version};
use tieline_db::moving::{self, Mark};
use tokio::net::TcpListener;

/// Free space below which the next busy day may fill the disk, MiB.
const LOW_SPACE_MIB: u64 = 1024;
/// Free space below which the disk is as good as full, MiB: what the write-ahead log may become before it starts over.
const NO_SPACE_MIB: u64 = 64;
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
    let found = tokio::task::spawn_blocking(move || look(&asked)).await?;
    let findings = [
        ("settings", warnings(settings)),
        ("folder", data_folder(settings, held)),
        ("disk", disk(settings)),
        ("database", database(&settings.database, &found)),
        ("files", files(settings).await),
        ("key", key(settings, found.as_ref().ok())),
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
fn disk(settings: &Settings) -> Finding {
    let mut places = vec![settings.data_dir.as_path()];
    if let Target::Sqlite(path) = &settings.database {
        places.extend(path.parent());
    }
    if let Attachments::Folder(folder) = &settings.attachments {
        places.push(folder);
    }
    // By file system, each once.
    let free: BTreeMap<String, u64> = places.into_iter().filter_map(free).collect();
    match free.into_iter().min_by_key(|(_, mib)| *mib) {
        None => Warn("free space is not known: `df` did not say".into()),
        Some((at, mib)) if mib < NO_SPACE_MIB => {
            Fail(format!("{mib} MiB free on {at}, less than {NO_SPACE_MIB} MiB: make room, writes fail"))
        }
        Some((at, mib)) if mib < LOW_SPACE_MIB => {
            Warn(format!("{mib} MiB free on {at}, less than {LOW_SPACE_MIB} MiB: make room before writes fail"))
        }
        Some((at, mib)) => Fine(format!("{} GiB free on {at}", mib >> 10)),
    }
}

/// The file system of a place, by where it is mounted, and its free space in MiB.
fn free(place: &Path) -> Option<(String, u64)> {
    let there = place.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    let output = std::process::Command::new("df").arg("-Pk").arg(there).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut words = text.lines().nth(1)?.split_whitespace().skip(3);
    let kib = words.next()?.parse::<u64>().ok()?;
    Some((words.skip(1).collect::<Vec<_>>().join(" "), kib >> 10))
}

/// What a database says of itself.
struct Facts {
    /// 0 where there is no schema.
    version: i64,
    /// What the key of its secrets must fit.
    check_value: Option<String>,
    /// What a move has left.
    mark: Option<Mark>,
}

fn look(database: &Target) -> Result<Facts, Error> {
    match schema_version(database)? {
        0 => Ok(Facts { version: 0, check_value: None, mark: None }),
        version => peek(database, |read| {
            Ok(Facts { version, check_value: installation::stored_check_value(read)?, mark: moving::mark(read)? })
        }),
    }
}

fn database(database: &Target, found: &Result<Facts, Error>) -> Finding {
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
            (Ok(problems), _) if !problems.is_empty() => return Fail(damaged(&name, &problems)),
            (Err(tieline_db::Error::Damaged(why)), _) => return Fail(damaged(&name, &[why])),
            (Err(error), _) | (_, Err(error)) => return Fail(format!("{name} cannot be read: {error}")),
            (_, Ok(found)) => format!("is sound: schema version {known}, {} rows", found.rows.values().sum::<u64>()),
        },
        Target::Postgres(_) => format!("answers: schema version {known}"),
    };
    match found {
        Err(error) => Fail(format!("{name} cannot be used: {}", error.causes())),
        Ok(Facts { version, .. }) if *version > known => {
            Fail(format!("{name} has schema version {version}, this program knows {known}: start the newer program"))
        }
        Ok(Facts { mark: Some(mark), .. }) => Fail(format!("{name} {}", server::what_moved(mark))),
        Ok(Facts { version, .. }) if *version < known => {
            Warn(format!("{name} has schema version {version}; the next start brings it to {known}"))
        }
        Ok(_) => Fine(format!("{name} {sound}")),
    }
}

/// One line about what may be many.
fn damaged(name: &str, problems: &[String]) -> String {
    let more = match problems.len() {
        1 => String::new(),
        PROBLEMS.. => format!(", and {} more at least", PROBLEMS - 1),
        count => format!(", and {} more", count - 1),
    };
    format!(
        "{name} is damaged ({}{more}; `sqlite3 {name} 'pragma integrity_check'` prints them): stop the server, put the file aside, and restore a backup with `tieline restore`",
        problems[0]
    )
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

/// `found` is none where the database cannot be asked which key it needs.
fn key(settings: &Settings, found: Option<&Facts>) -> Finding {
    let path = secret_key::path(&settings.data_dir);
    let setting = settings.secret_key.as_deref();
    let wanted = found.and_then(|facts| facts.check_value.as_deref());
    let fits = match wanted {
        Some(_) => "the key of this database",
        None => "a key",
    };
    match secret_key::read(setting, &settings.data_dir) {
        Err(error) => Fail(format!("{error:#}")),
        Ok(None) if found.is_some_and(|facts| facts.version > 0) => Fail(format!(
            "{} is missing: put the key of this database there, or set TIELINE_SECRET_KEY",
            path.display()
        )),
        Ok(None) => Warn("there is none yet; the first start makes it".into()),
        Ok(Some(keyring)) if wanted.is_some_and(|wanted| !keyring.matches(wanted)) => {
            Fail(secret_key::another(setting, &settings.data_dir))
        }
        Ok(Some(_)) if setting.is_some() => Fine(format!("TIELINE_SECRET_KEY is {fits}")),
        Ok(Some(_)) => {
            let mode = std::fs::metadata(&path).map_or(0, |about| about.permissions().mode() & 0o777);
            match mode & 0o077 {
                0 => Fine(format!("{} is {fits}; keep a copy elsewhere, backups leave it out", path.display())),
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
