//! The key to secrets at rest: given by setting, else made once in the data folder. Nodes of one database share it.

use anyhow::{Context, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use tieline_core::Error;
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
    let stored = db.read(installation::stored_check_value).await.map_err(|error: Error| error)?;
    let keyring = read(setting, data_dir)?;
    let path = path(data_dir);
    let keyring = match (keyring, stored) {
        (None, Some(_)) => bail!(
            "the secret key of this database is missing: put it into {}, or set TIELINE_SECRET_KEY (every node needs the same one; a backup leaves it out)",
            path.display()
        ),
        (Some(keyring), _) => keyring,
        (None, None) => make(&path)?,
    };
    let value = keyring.check_value();
    // Another node may have been faster with another key.
    let stored = db.write(move |tx| installation::check_value(tx, &value)).await.map_err(|error: Error| error)?;
    if !keyring.matches(&stored) {
        bail!(another(setting, data_dir));
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

fn make(path: &Path) -> anyhow::Result<Keyring> {
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
            return Keyring::from_text(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()));
        }
        opened => opened.with_context(|| format!("cannot write {}", path.display()))?,
    };
    file.write_all(Keyring::to_text(&key).as_bytes())?;
    file.sync_all()?;
    Ok(Keyring::from_bytes(key))
}
