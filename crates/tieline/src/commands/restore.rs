//! `tieline restore`: a backup into an empty data folder, checked while it is unpacked, with sending paused.

use super::backup::{DATABASE, Entry, FORMAT, Hashing, MANIFEST, Manifest};
use super::print;
use crate::config::{Attachments, Settings};
use crate::folder::{self, ATTACHMENTS};
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};
use tieline_core::{MIGRATIONS, installation};
use tieline_db::census::{census, problems};
use tieline_db::{Config, Db, Target};

/// Largest manifest, bytes: room for half a million attachments.
const MANIFEST_LIMIT: u64 = 64 * 1024 * 1024;

/// Puts a folder where it belongs, which may be on another disk.
fn place(from: &Path, to: &Path) -> anyhow::Result<()> {
    if std::fs::rename(from, to).is_ok() {
        return Ok(());
    }
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            place(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
            File::open(to.join(entry.file_name()))?.sync_all()?;
        }
    }
    Ok(())
}

/// Restores.
///
/// Errors: one line; nothing stays in the data folder then.
pub async fn run(settings: &Settings, file: &Path) -> anyhow::Result<()> {
    let dir = &settings.data_dir;
    let Target::Sqlite(database) = &settings.database else {
        bail!(
            "this restores a SQLite file: restore PostgreSQL with pg_restore, or move this backup there (docs/scaling.md)"
        );
    };
    let _lock = folder::lock_or_refuse(dir)?;
    let folder = match &settings.attachments {
        Attachments::Folder(folder) => Some(folder),
        Attachments::Bucket(_) => None,
    };
    for taken in [Some(database), folder].into_iter().flatten() {
        if taken.exists() {
            bail!("{} exists already: restore into an empty data folder (TIELINE_DATA_DIR)", taken.display());
        }
    }
    let scratch = tempfile::Builder::new().prefix(".tieline-restore-").tempdir_in(dir)?;
    let (from, to) = (file.to_owned(), scratch.path().to_owned());
    let manifest = tokio::task::spawn_blocking(move || unpack(&from, &to)).await??;
    let attachments = scratch.path().join(ATTACHMENTS);
    if attachments.exists() && folder.is_none() {
        bail!("this backup has attachments, which go into a folder: unset TIELINE_ATTACHMENTS_URL to restore it");
    }
    pause(&scratch.path().join(DATABASE)).await?;
    for place in [Some(database), folder].into_iter().flatten() {
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent)?;
        }
    }
    if let Some(folder) = folder.filter(|_| attachments.exists()) {
        place(&attachments, folder)?;
    }
    // Last, so that a folder with a database is a whole one. The database may be on another disk.
    let restored = scratch.path().join(DATABASE);
    if std::fs::rename(&restored, database).is_err() {
        let beside = database.with_extension("restoring");
        std::fs::copy(&restored, &beside)?;
        File::open(&beside)?.sync_all()?;
        std::fs::rename(&beside, database)?;
    }
    let rows: u64 = manifest.rows.values().sum();
    let mut lines = format!(
        "Restored {rows} rows and {} attachments into {}.\n\
         Sending is paused: no webhook goes out until `tieline serve --resume-sending` or `tieline sending resume`.",
        manifest.files.len() - 1,
        dir.display()
    );
    if crate::secret_key::read(settings.secret_key.as_deref(), dir)?.is_none() {
        let key = crate::secret_key::path(dir);
        lines +=
            &format!("\nPut the secret key into {}, or set TIELINE_SECRET_KEY: a backup leaves it out.", key.display());
    }
    print(&lines)
}

/// Marks a database that no server has open: what it would send was perhaps sent already by the original.
async fn pause(database: &Path) -> anyhow::Result<()> {
    let config = Config::sqlite(database, MIGRATIONS);
    let db = tokio::task::spawn_blocking(move || Db::open(config)).await??;
    db.write(|tx| installation::pause_sending(tx, true)).await.map_err(crate::server::plain)?;
    // The last connection to close leaves one file.
    Ok(tokio::task::spawn_blocking(move || db.close()).await?)
}

/// Unpacks a backup into an existing folder and compares every size, hash and count with its manifest.
///
/// Errors: one line that names the first difference.
pub fn unpack(from: &Path, to: &Path) -> anyhow::Result<Manifest> {
    let file = File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
    let broken = || format!("{} is no whole backup", from.display());
    let mut archive = tar::Archive::new(file);
    let mut found: BTreeMap<String, Entry> = BTreeMap::new();
    let mut manifest = None;
    for entry in archive.entries()? {
        let entry = match entry {
            Ok(entry) => entry,
            // What the library says then is about bytes that mean nothing.
            Err(_) if found.is_empty() => bail!("{} is no backup made by tieline", from.display()),
            Err(error) => return Err(error).with_context(broken),
        };
        let path = entry.path().with_context(broken)?.into_owned();
        let name = path.to_str().with_context(broken)?.to_owned();
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        let ours = name == DATABASE || name == MANIFEST || name.starts_with(&format!("{ATTACHMENTS}/"));
        if !inside || !ours || !entry.header().entry_type().is_file() || manifest.is_some() {
            bail!("{} holds {name:?}, which no backup of ours does", from.display());
        }
        if name == MANIFEST {
            let mut text = Vec::new();
            entry.take(MANIFEST_LIMIT).read_to_end(&mut text).with_context(broken)?;
            manifest = Some(serde_json::from_slice::<Manifest>(&text).with_context(broken)?);
            continue;
        }
        let target = to.join(&path);
        std::fs::create_dir_all(target.parent().unwrap_or(to))?;
        let mut file = File::create_new(&target).with_context(|| format!("cannot write {}", target.display()))?;
        let copied = Hashing::new(entry).copy(&mut file).with_context(broken)?;
        file.sync_all()?;
        found.insert(name, copied);
    }
    let Some(manifest) = manifest else { bail!("{} was cut off: it has no manifest", from.display()) };
    if manifest.format != FORMAT {
        bail!("{} was written by version {}, whose format this one does not read", from.display(), manifest.version);
    }
    for (name, entry) in &manifest.files {
        match found.get(name) {
            None => bail!("{} lacks {name}, which its manifest lists", from.display()),
            Some(other) if other != entry => bail!("{name} in {} is damaged: its checksum differs", from.display()),
            Some(_) => {}
        }
    }
    if let Some(name) = found.keys().find(|name| !manifest.files.contains_key(*name)) {
        bail!("{} holds {name}, which its manifest does not list", from.display());
    }
    let database = to.join(DATABASE);
    if !database.exists() {
        bail!("{} holds no database", from.display());
    }
    if let Some(problem) = problems(&database)?.into_iter().next() {
        bail!("the database in {} is damaged: {problem}", from.display());
    }
    let counted = census(&database)?;
    if (counted.schema_version, &counted.rows) != (manifest.schema_version, &manifest.rows) {
        bail!("the database in {} does not hold what its manifest counts", from.display());
    }
    Ok(manifest)
}
