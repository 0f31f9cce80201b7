//! The data folder of a SQLite file belongs to one process at a time: a server, or a command that writes. PostgreSQL has
//! locks of its own: there several nodes may share a folder.
//!
//! The lock is the operating system's, so it ends with the process, however that ends. Two writers on one SQLite file would
//! wait for each other for seconds or fail with "database is locked".

use anyhow::Context;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tieline_db::Target;

/// Name of the lock file.
const LOCK: &str = "tieline.lock";
/// Name of the socket of a running server.
const SOCKET: &str = "tieline.sock";
/// Folder of attachments.
pub const ATTACHMENTS: &str = "attachments";

/// Held while it lives.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code)] File);

/// Makes the folder.
///
/// Errors: one line.
pub fn make(dir: &Path) -> anyhow::Result<()> {
    // Customers' words and the key to secrets: nobody else's.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("cannot make the data folder {}", dir.display()))
}

/// Whether a process has ever held this folder.
pub fn is_used(dir: &Path) -> bool {
    dir.join(LOCK).exists()
}

/// Makes the folder and takes its lock; none, with what is known of the holder, while another process has it.
///
/// Errors: one line for a folder that cannot be made or written.
pub fn lock(dir: &Path) -> anyhow::Result<Result<Lock, String>> {
    make(dir)?;
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(&path).with_context(|| {
        format!(
            "cannot write to the data folder {}: make it writable for this user, or set TIELINE_DATA_DIR",
            dir.display()
        )
    })?;
    match file.try_lock() {
        Ok(()) => {
            // For people; nothing goes by it.
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()))?;
            Ok(Ok(Lock(file)))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.take(32).read_to_string(&mut holder);
            Ok(Err(holder.trim().to_owned()))
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Like [`lock`], for who cannot go on without it.
pub fn lock_or_refuse(dir: &Path) -> anyhow::Result<Lock> {
    lock(dir)?.map_err(|holder| {
        let dir = dir.display();
        anyhow::anyhow!("the data folder {dir} is in use by another tieline process (number {holder}): stop it first, or set TIELINE_DATA_DIR to another folder")
    })
}

/// Makes the folder ready for who will write to the database: locked on SQLite, only made on PostgreSQL.
pub fn hold_or_refuse(dir: &Path, database: &Target) -> anyhow::Result<Option<Lock>> {
    match database {
        Target::Sqlite(_) => lock_or_refuse(dir).map(Some),
        Target::Postgres(_) => make(dir).map(|()| None),
    }
}

/// Where a running server listens for commands.
pub fn socket(dir: &Path) -> PathBuf {
    dir.join(SOCKET)
}
