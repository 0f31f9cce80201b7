//! `tieline move-store`: a whole installation from one database to another, between SQLite and PostgreSQL or within one.
//!
//! What it guarantees is [`tieline_db::moving`]'s: every table, verified, resumable, and neither side can be served while
//! it is under way. Here: nobody uses either side when it begins, and the operator is told what comes next.

use super::print;
use crate::config::{self, Settings};
use crate::folder;
use anyhow::{Context, bail};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use tieline_core::{MIGRATIONS, installation};
use tieline_db::migrate::{schema_version, sessions};
use tieline_db::moving::{Move, Progress};
use tieline_db::{Config, Db, Target};

/// How long the server may take to notice that a process has ended.
const LEFT_WITHIN: Duration = Duration::from_secs(3);
/// How often it is asked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often progress within a table is told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Moves everything from one address to the other, both as `TIELINE_DATABASE_URL` has them.
///
/// Errors: one line; what was copied stays in the target, and the same command goes on there.
pub async fn run(settings: &Settings, from: &str, to: &str, json: bool) -> anyhow::Result<()> {
    let from = config::target(from).map_err(|why| anyhow::anyhow!("FROM {why}"))?;
    let to = config::target(to).map_err(|why| anyhow::anyhow!("TO {why}"))?;
    let names = [config::shown(&from), config::shown(&to)];
    let _locks = hold(settings, [&from, &to])?;
    if let (Target::Sqlite(_), Some(parent)) = (&to, parent(&to)) {
        folder::make(parent)?;
    }
    let [from, to] = tokio::task::spawn_blocking(move || open(from, to)).await??;
    let moving = Move::begin(from.clone(), to.clone(), names.clone()).await?;
    let mut meter = Meter::new("copying");
    moving.copy(|progress| meter.tell(progress)).await?;
    let mut meter = Meter::new("comparing");
    let sums = moving.finish(|progress| meter.tell(progress)).await?;
    let paused = to.read(installation::sending_paused).await.map_err(crate::server::plain)?;
    tokio::task::spawn_blocking(move || [from, to].iter().for_each(Db::close)).await?;
    let rows: u64 = sums.values().map(|sum| sum.rows).sum();
    let [from, to] = &names;
    if json {
        let tables: serde_json::Map<_, _> = sums
            .into_iter()
            .map(|(name, sum)| (name, json!({"rows": sum.rows, "checksum": format!("{:032x}", sum.digest)})))
            .collect();
        let value = json!({"from": from, "to": to, "rows": rows, "tables": tables, "sendingPaused": paused});
        return print(&value.to_string());
    }
    let sending = if paused { "is paused, as it was" } else { "goes on with the first start" };
    print(&format!(
        "Moved {rows} rows in {} tables from {from} to {to}; every count and checksum is equal.\n\
         What is next:\n\
         - Set TIELINE_DATABASE_URL to the new store, on every node, and start. Sending {sending}.\n\
         - Keep the secret key: the same secret.key or TIELINE_SECRET_KEY opens the new store, on every node.\n\
         - Attachments were not touched: one node needs the folder {} under its TIELINE_DATA_DIR, several \
         share one TIELINE_ATTACHMENTS_URL (docs/scaling.md).\n\
         - `serve` refuses the old store now. Should you need it again, `tieline serve --reopen` takes it back; what was \
         written to the new one since is not in it.",
        sums.len(),
        folder::ATTACHMENTS
    ))
}

/// The locks of every data folder that a server on one of these files may hold.
fn hold(settings: &Settings, targets: [&Target; 2]) -> anyhow::Result<Vec<folder::Lock>> {
    let files = targets.into_iter().filter(|target| matches!(target, Target::Sqlite(_)));
    let folders = files.flat_map(|target| parent(target).into_iter().chain([settings.data_dir.as_path()]));
    let used = folders.filter(|folder| folder::is_used(folder));
    let folders: BTreeSet<_> = used.map(Path::canonicalize).collect::<Result<_, _>>()?;
    folders.iter().map(|folder| folder::lock_or_refuse(folder)).collect()
}

/// The folder of a SQLite file.
fn parent(target: &Target) -> Option<&Path> {
    let Target::Sqlite(path) = target else { return None };
    let parent = path.parent()?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Opens both, once it is sure that there is something to move and that nobody else is on either.
fn open(from: Target, to: Target) -> anyhow::Result<[Db; 2]> {
    for target in [&from, &to] {
        let shown = config::shown(target);
        let since = Instant::now();
        loop {
            let others = sessions(target).with_context(|| format!("cannot open {shown}"))?;
            match others {
                0 => break,
                _ if since.elapsed() < LEFT_WITHIN => std::thread::sleep(LOOK_EVERY),
                _ => bail!("{shown} is in use ({others} connections): stop every node first"),
            }
        }
    }
    if schema_version(&from)? == 0 {
        bail!("there is no installation at {}", config::shown(&from));
    }
    let open = |target: Target| {
        let shown = config::shown(&target);
        Db::open(Config::of(target, MIGRATIONS)).with_context(|| format!("cannot open {shown}"))
    };
    Ok([open(from)?, open(to)?])
}

/// Says on standard error how far it has come.
struct Meter {
    doing: &'static str,
    since: Instant,
    told: Option<(String, Instant)>,
    /// Rows that were there when the first page of this run was.
    first: Option<u64>,
}

impl Meter {
    fn new(doing: &'static str) -> Meter {
        Meter { doing, since: Instant::now(), told: None, first: None }
    }

    fn tell(&mut self, progress: Progress) {
        let first = *self.first.get_or_insert(progress.rows);
        let ended = progress.rows == progress.of;
        let Progress { table, rows, of } = progress;
        if !ended && self.told.as_ref().is_some_and(|(told, at)| told == table && at.elapsed() < TOLD_EVERY) {
            return;
        }
        self.told = Some((table.to_owned(), Instant::now()));
        let percent = rows * 100 / of.max(1);
        let rate = (rows - first) as f64 / self.since.elapsed().as_secs_f64().max(0.001);
        eprintln!("{} {table}: {rows} of {of} rows ({percent} %), {rate:.0} rows/s", self.doing);
    }
}
