//! `tieline migrate`.

use super::print;
use crate::config::{self, Settings};
use crate::{folder, server};
use tieline_core::MIGRATIONS;
use tieline_db::migrate::schema_version;

/// Applies the steps that are missing, or names them. A server does the same when it starts.
pub async fn run(settings: &Settings, show: bool) -> anyhow::Result<()> {
    let database = settings.database.clone();
    let found = tokio::task::spawn_blocking(move || schema_version(&database)).await??;
    let missing: Vec<_> = MIGRATIONS.iter().filter(|step| step.version > found).collect();
    let steps: Vec<String> = missing.iter().map(|step| format!("{} ({})", step.version, step.name)).collect();
    let newest = MIGRATIONS.last().map_or(0, |step| step.version);
    if found > newest {
        return Err(tieline_db::Error::Newer { found, known: newest }.into());
    }
    if show {
        let name = config::shown(&settings.database);
        return print(&match &steps[..] {
            [] => format!("{name} has schema version {found}; nothing to do."),
            steps => format!("{name} has schema version {found}; to apply: {}.", steps.join(", ")),
        });
    }
    let _lock = folder::hold_or_refuse(&settings.data_dir, &settings.database)?;
    let hub = server::open(settings).await?;
    let db = hub.db.clone();
    tokio::task::spawn_blocking(move || db.close()).await?;
    print(&match &steps[..] {
        [] => format!("Nothing to do: the schema has version {newest}."),
        steps => format!("Applied {}; the schema has version {newest}.", steps.join(", ")),
    })
}
