//! The key to secrets at rest: given by setting, else made once in the data folder. Nodes of one database share it.

use crate::server::plain;
use anyhow::{Context, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use tieline_core::installation;
use tieline_core::secrets::{KEY_BYTES, Keyring};
use tieline_db::Db;

/// Where the key is, when no setting holds it.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("secret.key")
}

/// The key of this database: of the setting, else of `secret.key` in the data folder, which is made only for a database
/// that has none yet. A new key beside an old database would look right and open nothing.
///
/// Errors: one line for a missing, unreadable or wrong key.
pub async fn load(setting: Option<&str>, data_dir: &Path, db: &Db) -> anyhow::Result<Keyring> {
    let stored = db.read(installation::stored_check_value).await.map_err(plain)?;
    let path = path(data_dir);
    let missing = || {
        format!(
            "the secret key of this database is missing: put it into {}, or set TIELINE_SECRET_KEY (every node needs the same one; it is in secret.key of the data folder of the node that was first, or in its TIELINE_SECRET_KEY; a backup leaves it out)",
            path.display()
        )
    };
    let (keyring, is_new) = match (read(setting, data_dir)?, &stored) {
        (None, Some(_)) => bail!(missing()),
        (Some(keyring), _) => (keyring, false),
        (None, None) => make(&path)?,
    };
    let value = keyring.check_value();
    let stored = db.write(move |tx| installation::check_value(tx, &value)).await.map_err(plain)?;
    match (keyring.matches(&stored), is_new) {
        (true, true) if db.is_shared() => tracing::warn!(
            "made the secret key of this database, {}: every other node needs the same one, so copy the file into its data folder, or set its TIELINE_SECRET_KEY to what it holds; and keep a copy, no dump of the database has it",
            path.display()
        ),
        (true, _) => {}
        // Another node was faster with another key: ours has opened nothing yet, and would be taken for the right one.
        (false, true) => {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            bail!(missing())
        }
        (false, false) => bail!(another(setting, data_dir)),
    }
    Ok(keyring)
}

/// What is said of a key that is not the database's.
pub fn another(setting: Option<&str>, data_dir: &Path) -> String {
    let from = if setting.is_some() { "TIELINE_SECRET_KEY".to_owned() } else { path(data_dir).display().to_string() };
    format!(
        "{from} is another key than this database was written with: give the right one, the same on every node, or its secrets stay closed"
    )
}

/// The key where one is, unchecked.
pub fn read(setting: Option<&str>, data_dir: &Path) -> anyhow::Result<Option<Keyring>> {
    if let Some(text) = setting {
        return Keyring::from_text(text).map(Some).map_err(|error| anyhow::anyhow!("TIELINE_SECRET_KEY: {error}"));
    }
    let path = path(data_dir);
    match std::fs::read_to_string(&path) {
        Ok(text) => Keyring::from_text(&text).map(Some).map_err(|error| anyhow::anyhow!("{}: {error}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Makes the key and its file; false with the one that another node on this folder has made meanwhile.
fn make(path: &Path) -> anyhow::Result<(Keyring, bool)> {
    let mut key = [0u8; KEY_BYTES];
    tieline_api::hub::os_random(&mut key)?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        // Another node on this folder was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(path)?;
            let keyring = Keyring::from_text(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
            return Ok((keyring, false));
        }
        opened => opened.with_context(|| format!("cannot write {}", path.display()))?,
    };
    file.write_all(Keyring::to_text(&key).as_bytes())?;
    file.sync_all()?;
    Ok((Keyring::from_bytes(key), true))
}
