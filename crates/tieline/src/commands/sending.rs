//! `tieline sending pause|resume`.

use super::print;
use crate::admin::{self, Request};
use crate::cli::Sending;
use crate::config::Settings;

/// Stops or restarts the sending of webhooks, at once on a running server.
pub async fn run(settings: &Settings, command: Sending) -> anyhow::Result<()> {
    let paused = matches!(command, Sending::Pause);
    admin::perform(settings, Request::PauseSending { paused }).await?;
    print(match paused {
        true => "Sending is paused: webhooks wait until `tieline sending resume`.",
        false => "Sending goes on.",
    })
}
