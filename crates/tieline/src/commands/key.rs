//! `tieline key create`.

use super::{print_either, text, word};
use crate::admin::{self, Request};
use crate::cli::Key;
use crate::config::Settings;

/// Makes a key and prints it, this once.
pub async fn run(settings: &Settings, command: Key) -> anyhow::Result<()> {
    let Key::Create { tenant, name, scopes, mode, prefix, json } = command;
    let request = Request::CreateKey { tenant, name, scopes, mode: word(mode), prefix: word(prefix) };
    let key = admin::perform(settings, request).await?;
    print_either(json, &key, |key| format!("{}\nKeep it: it is not shown again.", text(key, "key")))
}
