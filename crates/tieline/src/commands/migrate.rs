//! `tieline migrate`.

use super::print;
use crate::config::Settings;
use crate::{folder, server};
use tieline_core::MIGRATIONS;
use tieline_db::census::census;

/// Applies the steps that are missing, or names them. A server does the same when it starts.
pub async fn run(settings: &Settings, show: bool) -> anyhow::Result<()> {
    let found = if settings.database.exists() { census(&settings.database)?.schema_version } else { 0 };
    let missing: Vec<_> = MIGRATIONS.iter().filter(|step| step.version > found).collect();
    let steps: Vec<String> = missing.iter().map(|step| format!("{} ({})", step.version, step.name)).collect();
    let newest = MIGRATIONS.last().map_or(0, |step| step.version);
    if show {
        return print(&match &steps[..] {
            [] => format!("{} has schema version {found}; nothing to do.", settings.database.display()),
            steps => {
                format!("{} has schema version {found}; to apply: {}.", settings.database.display(), steps.join(", "))
            }
        });
    }
    let _lock = folder::lock_or_refuse(&settings.data_dir)?;
    let hub = server::open(settings).await?;
    let db = hub.db.clone();
    tokio::task::spawn_blocking(move || db.close()).await?;
    print(&match &steps[..] {
        [] => format!("Nothing to do: the schema has version {newest}."),
        steps => format!("Applied {}; the schema has version {newest}.", steps.join(", ")),
    })
}
