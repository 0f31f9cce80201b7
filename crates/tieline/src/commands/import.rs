//! `tieline import`.

use super::{print_either, text};
use crate::admin::{self, Request};
use crate::cli::Import;
use crate::config::Settings;
use crate::import::Asked;
use serde_json::Value;

/// Takes an account of another system over; progress goes to standard error.
pub async fn run(settings: &Settings, command: Import) -> anyhow::Result<()> {
    let Import::Chatwoot { url, token, tenant, account, json } = command;
    let request = Request::ImportChatwoot(Asked { url, token, tenant, account });
    let done = admin::perform_telling(settings, request, |line| eprintln!("{line}")).await?;
    print_either(json, &done, |done| {
        let counts = |of: &Value| {
            let counts = of.as_object().into_iter().flatten().filter(|(_, count)| **count != 0);
            let counts: Vec<String> = counts.map(|(noun, count)| format!("{count} {noun}")).collect();
            if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") }
        };
        let (source, tenant) = (text(done, "source"), text(done, "tenant"));
        let lost = match counts(&done["lost"]).as_str() {
            "nothing" => String::new(),
            lost => format!("\nCould not be taken over: {lost}. docs/importing.md says when that happens."),
        };
        let is_new = |noun: &&str| done["new"][*noun].as_i64().is_some_and(|count| count > 0);
        let off: Vec<&str> = ["bots", "webhooks", "rules"].into_iter().filter(|noun| is_new(noun)).collect();
        let off = match off.is_empty() {
            true => String::new(),
            false => format!("\nSwitched off, so that they do not act twice: the new {}.", off.join(", ")),
        };
        format!(
            "Took over from {source} into {tenant}: {}.\nAlready here: {}.{lost}{off}",
            counts(&done["new"]),
            counts(&done["alreadyHere"])
        )
    })
}
