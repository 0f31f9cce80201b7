//! The `tieline` command: parse, dispatch, and one clear line on standard error when it fails.

mod admin;
mod cli;
mod commands;
mod config;
mod folder;
mod import;
mod memory;
mod metrics;
mod receiver;
mod secret_key;
mod server;

/// Many small values cross threads here, which the system's allocator pays for with locks (docs/adr/0004).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::Parser;
use clap::error::ErrorKind;
use cli::{Cli, Command};
use config::{LogFormat, Settings};
use server::Start;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let done = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from).and_then(
        |runtime| {
            let done = runtime.block_on(run(cli));
            // A thread that still works (a name being resolved, standard input) does not hold the end up.
            runtime.shutdown_background();
            done
        },
    );
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
            let line = line.replace(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER, "?");
            eprintln!("tieline: {line}");
            ExitCode::FAILURE
        }
    }
}

/// Help and version as they are; what is wrong with the arguments in one line.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(error.exit_code() as u8);
    }
    let text = error.to_string();
    let end = ["\n\nUsage:", "\n\nFor more"].iter().filter_map(|after| text.find(after)).min().unwrap_or(text.len());
    let what = text[..end].trim_start_matches("error: ");
    eprintln!("tieline: {}; see --help", what.split_whitespace().collect::<Vec<_>>().join(" "));
    ExitCode::from(error.exit_code() as u8)
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    // One provider of cryptography for every TLS connection of the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Command::Openapi { api } = cli.command {
        return commands::openapi::run(api);
    }
    if let Command::Demo = cli.command {
        return commands::demo::run().await;
    }
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = config::load(cli.config.as_deref(), environment)?;
    start_log(&settings);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    match cli.command {
        Command::Serve { resume_sending, reopen } => {
            commands::serve::run(settings, Start { resume_sending, reopen }).await
        }
        Command::Tenant(command) => commands::tenant::run(&settings, command).await,
        Command::Key(command) => commands::key::run(&settings, command).await,
        Command::User(command) => commands::user::run(&settings, command).await,
        Command::Sending(command) => commands::sending::run(&settings, command).await,
        Command::Import(command) => commands::import::run(&settings, command).await,
        Command::Listen(args) => commands::listen::run(&settings, args).await,
        Command::Doctor => commands::doctor::run(&settings).await,
        Command::Backup { file } => commands::backup::run(&settings, &file).await,
        Command::Restore { file } => commands::restore::run(&settings, &file).await,
        Command::Verify { file } => commands::verify::run(&file).await,
        Command::Migrate { show } => commands::migrate::run(&settings, show).await,
        Command::MoveStore { from, to, json } => commands::move_store::run(&settings, &from, &to, json).await,
        Command::Config => commands::print(&settings.to_string()),
        Command::Demo | Command::Openapi { .. } => Ok(()),
    }
}

/// Log lines go to standard error; standard output is for what was asked for.
fn start_log(settings: &Settings) {
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    match settings.log_format {
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
