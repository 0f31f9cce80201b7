//! `tieline serve`.

use crate::config::{Owner, Settings};
use crate::memory;
use crate::server::{self, Running, Start};
use std::time::Duration;
use tieline_api::Hub;
use tieline_core::Error;
use tieline_core::ctx::{Actor, Ctx};
use tieline_core::ids::TenantId;
use tieline_core::installation::setup;
use tieline_core::users::Role;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Status of a process that a second signal ended, as shells count.
const CUT_SHORT: i32 = 130;

/// Runs the server until a signal ends it.
pub async fn run(settings: Settings, how: Start) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (owner, drain) = (settings.owner.clone(), settings.drain);
    let running = tokio::select! {
        running = server::start(settings, how) => running?,
        // It may wait for a database for long.
        _ = async { tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} } } => {
            tracing::info!("stopped before it had started");
            return Ok(());
        }
    };
    let link = match first_owner(&running, owner).await {
        Ok(link) => link,
        Err(error) => {
            running.shut_down().await?;
            return Err(error);
        }
    };
    tracing::info!(address = %running.addr, "listening on http://{}", running.addr);
    if running.paused {
        tracing::warn!(
            "sending is paused: webhooks wait until `tieline sending resume`, or a start with --resume-sending"
        );
    }
    if let Some(link) = link {
        // Not through the log, which others may read: it is a credential.
        eprintln!("\nNobody has set this up yet. Open this link within 24 hours; it works once:\n\n  {link}\n");
    }
    let mut tidying = tokio::time::interval_at(Instant::now() + memory::FIRST, memory::EVERY);
    let mut has_just_started = true;
    let drain = loop {
        tokio::select! {
            // Somebody at a terminal, not a load balancer's operator.
            _ = interrupt.recv() => break Duration::ZERO,
            _ = terminate.recv() => break drain,
            _ = tidying.tick() => {
                if std::mem::take(&mut has_just_started) {
                    memory::give_back_program();
                }
                memory::give_back();
            }
        }
    };
    if !drain.is_zero() {
        running.drain();
        tracing::info!(
            "stopping: /readyz is 503, and requests are taken for {drain:?} more; a second signal ends that"
        );
        tokio::select! {
            _ = tokio::time::sleep(drain) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    tracing::info!("stopping: open requests are answered first; another signal stops at once");
    tokio::select! {
        ended = running.shut_down() => ended?,
        _ = interrupt.recv() => std::process::exit(CUT_SHORT),
        _ = terminate.recv() => std::process::exit(CUT_SHORT),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Of nodes that start within this one prints a link. Microseconds.
const TOGETHER_US: i64 = 60_000_000;

/// On an empty database: makes the owner of the settings, else answers with a link that makes one.
async fn first_owner(running: &Running, owner: Option<Owner>) -> anyhow::Result<Option<String>> {
    let hub = &running.hub;
    if !hub.db.read(setup::is_needed).await.map_err(crate::server::plain)? {
        return Ok(None);
    }
    if let Some(owner) = owner {
        let tenant = owner.tenant.clone();
        return match make_owner(hub, owner).await {
            Ok(()) => {
                tracing::info!(tenant, "made tenant {tenant} and its owner");
                Ok(None)
            }
            Err(error) if error.code == "already_set_up" => Ok(None), // another node was faster
            Err(error) => {
                let why = crate::admin::line(&error);
                Err(anyhow::anyhow!("cannot make the owner that TIELINE_OWNER_… describes: {why}"))
            }
        };
    }
    let token = setup_token(hub)?;
    let link = format!("{}/setup/{token}", running.public_url);
    let younger = if hub.db.is_shared() { TOGETHER_US } else { 0 };
    let offered = hub.db.write(move |tx| setup::offer(tx, &token, younger)).await.map_err(crate::server::plain)?;
    Ok(offered.then_some(link))
}

fn setup_token(hub: &Hub) -> anyhow::Result<String> {
    let random: [u8; 32] = hub.random()?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn make_owner(hub: &Hub, owner: Owner) -> Result<(), Error> {
    let (user, _) =
        tieline_api::setup::prepare(hub, &owner.email, &owner.name, Role::Owner, Some(owner.password)).await?;
    let tenant = setup::tenant(&owner.tenant, &owner.tenant);
    let ctx = Ctx { actor: Actor::operator("settings"), ..Ctx::system(TenantId(0), tieline_wire::freeze) };
    hub.db.write(move |tx| setup::first_owner(tx, &ctx, &tenant, &user)).await.map(drop)
}
