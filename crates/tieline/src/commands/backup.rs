//! `tieline backup`: everything but the secret key, in one tar file, also while a server writes.
//!
//! What it guarantees: the database inside is one read snapshot (`VACUUM INTO`; the stepwise backup API starts over for
//! ever under load); every attachment that the snapshot names was stored before it and is read after it. The manifest
//! comes last, so a file that was cut off has none. It counts the rows of the snapshot itself, not of the live database.

use super::print;
use crate::config::{Attachments, Settings};
use crate::folder::ATTACHMENTS;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tieline_db::Target;
use tieline_db::census::{census, problems};

/// Version of the manifest.
pub const FORMAT: u32 = 1;
/// Name of the database inside.
pub const DATABASE: &str = "tieline.db";
/// Name of the manifest inside; the last entry.
pub const MANIFEST: &str = "manifest.json";
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// What a backup holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The program that wrote it.
    pub version: String,
    /// Seconds since 1970.
    pub created_at: i64,
    /// Schema of the database.
    pub schema_version: i64,
    /// Rows of every table of the snapshot.
    pub rows: BTreeMap<String, u64>,
    /// Every file but the manifest.
    pub files: BTreeMap<String, Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its size.
    pub bytes: u64,
    /// Hash of its content, hexadecimal.
    pub sha256: String,
}

/// Writes the backup.
///
/// Errors: one line; no half-written file stays under the name asked for.
pub async fn run(settings: &Settings, file: &Path) -> anyhow::Result<()> {
    let Target::Sqlite(database) = settings.database.clone() else {
        bail!("this copies a SQLite file: back up PostgreSQL with pg_dump and copy the attachments (docs/scaling.md)");
    };
    let (stored, target) = (settings.attachments.clone(), file.to_owned());
    let manifest = tokio::task::spawn_blocking(move || write(&database, &stored, &target)).await??;
    let rows: u64 = manifest.rows.values().sum();
    let bytes: u64 = manifest.files.values().map(|entry| entry.bytes).sum();
    let attachments = match &settings.attachments {
        Attachments::Folder(_) => format!("{} attachments", manifest.files.len() - 1),
        Attachments::Bucket(bucket) => format!("no attachments (they stay in {bucket:?}: keep that safe too)"),
    };
    print(&format!(
        "Wrote {}: {rows} rows in {} tables, {attachments}, {bytes} bytes.\n\
         The secret key is not in it: keep {} (or TIELINE_SECRET_KEY) elsewhere, or signing secrets cannot be opened.",
        file.display(),
        manifest.rows.len(),
        crate::secret_key::path(&settings.data_dir).display()
    ))
}

fn write(database: &Path, stored: &Attachments, target: &Path) -> anyhow::Result<Manifest> {
    let found = database.try_exists().with_context(|| format!("cannot look for {}", database.display()))?;
    if !found {
        bail!("there is no database at {}", database.display());
    }
    if target.exists() {
        bail!("{} exists already: name another file", target.display());
    }
    // Beside the target, so that it is on the disk that was chosen for it and can be renamed.
    let beside = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = tempfile::Builder::new().prefix(".tieline-backup-").tempdir_in(beside);
    let scratch = scratch.with_context(|| format!("cannot write to {}", beside.display()))?;
    let snapshot = scratch.path().join(DATABASE);
    tieline_db::snapshot(database, &snapshot).with_context(|| format!("cannot copy {}", database.display()))?;
    if let Some(problem) = problems(&snapshot)?.into_iter().next() {
        bail!("the database is damaged ({problem}): run `tieline doctor`, and keep your older backups");
    }
    let counted = census(&snapshot)?;
    let partial = scratch.path().join("backup.tar");
    let mut tar = tar::Builder::new(File::options().write(true).create_new(true).mode(0o600).open(&partial)?);
    let mut files = BTreeMap::new();
    append(&mut tar, &snapshot, DATABASE, &mut files)?;
    if let Attachments::Folder(folder) = stored {
        for (path, name) in attachments(folder)? {
            append(&mut tar, &path, &format!("{ATTACHMENTS}/{name}"), &mut files)?;
        }
    }
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        created_at: since.as_secs() as i64,
        schema_version: counted.schema_version,
        rows: counted.rows,
        files,
    };
    let text = serde_json::to_vec_pretty(&manifest)?;
    tar.append_data(&mut header(text.len() as u64), MANIFEST, &text[..])?;
    let file = tar.into_inner()?;
    file.sync_all()?;
    // Fails, rather than replacing, when somebody else was faster.
    std::fs::hard_link(&partial, target)
        .or_else(|_| {
            if target.exists() {
                Err(std::io::ErrorKind::AlreadyExists.into())
            } else {
                std::fs::rename(&partial, target)
            }
        })
        .with_context(|| format!("cannot write {}", target.display()))?;
    Ok(manifest)
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header
}

/// Adds a file under the size it had when it was opened, and notes what went in.
fn append(
    tar: &mut tar::Builder<File>,
    path: &Path,
    name: &str,
    files: &mut BTreeMap<String, Entry>,
) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let bytes = file.metadata()?.len();
    let mut hashing = Hashing { inner: file.take(bytes), hash: Sha256::new(), bytes: 0 };
    tar.append_data(&mut header(bytes), name, &mut hashing)
        .with_context(|| format!("cannot copy {}", path.display()))?;
    files.insert(name.to_owned(), hashing.entry());
    Ok(())
}

/// Every file below the folder, with its name from there, sorted. The store's own unfinished files are left out.
fn attachments(folder: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        let entries = match std::fs::read_dir(&next) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("cannot read {}", next.display()))?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.path().strip_prefix(folder)?.to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if !name.contains('#') {
                found.push((entry.path(), name));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads on, counting and hashing.
pub struct Hashing<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Hashing<R> {
    /// Around a reader.
    pub fn new(inner: R) -> Hashing<R> {
        Hashing { inner, hash: Sha256::new(), bytes: 0 }
    }
    /// Copies what is left to `to`; what it was.
    pub fn copy(mut self, to: &mut impl Write) -> std::io::Result<Entry> {
        let mut chunk = vec![0; CHUNK];
        loop {
            match self.read(&mut chunk)? {
                0 => return Ok(self.entry()),
                length => to.write_all(&chunk[..length])?,
            }
        }
    }
    fn entry(&self) -> Entry {
        let digest = self.hash.clone().finalize();
        Entry { bytes: self.bytes, sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hash.update(&buffer[..length]);
        self.bytes += length as u64;
        Ok(length)
    }
}
