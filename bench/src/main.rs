//! What Tieline does against what the machine can do, measured in one run on the same machine.
//!
//! Absolute times of a shared machine mean little; every row is therefore a ratio against a limit measured in the same
//! run: an empty handler that parses the same body, a bare loop that inserts the same rows, a bare client that signs and
//! posts. The server under test is the real binary in a process of its own, and so is the receiver.

mod authenticate;
mod bare;
mod load;
mod measure;
mod plans;
mod postgres;
mod process;
mod sample;
mod servers;
mod setup;

use clap::Parser;
use measure::Report;

#[derive(Parser)]
#[command(about = "Benchmarks of Tieline; prints ratios against limits measured in the same run")]
struct Options {
    /// Seconds of load per row.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Runs of each row; the median counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Rows to run, comma-separated: create, authenticate, deliver, both, latency, isolation, memory, start, growth, postgres,
    /// postgres-growth. All by default.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Conversations of the large database of the row `growth`.
    #[arg(long, default_value_t = 1_000_000)]
    growth: u64,
    /// The server's binary.
    #[arg(long, default_value = "target/release/tieline")]
    tieline: std::path::PathBuf,
    /// Internal: be one of the helper processes.
    #[arg(long, hide = true)]
    serve: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(kind) = &options.serve {
        return servers::run(kind);
    }
    let wanted = |row: &str| options.only.is_empty() || options.only.iter().any(|only| only == row);
    let mut report = Report::default();
    if wanted("create") {
        measure::create(&options, &mut report)?;
    }
    if wanted("authenticate") {
        authenticate::authenticate(&options, &mut report)?;
    }
    if wanted("deliver") {
        measure::deliver(&options, &mut report)?;
    }
    if wanted("both") {
        measure::both(&options, &mut report)?;
    }
    if wanted("latency") {
        measure::latency(&options, &mut report)?;
    }
    if wanted("isolation") {
        measure::isolation(&options, &mut report)?;
    }
    if wanted("memory") {
        measure::memory(&options, &mut report)?;
    }
    if wanted("start") {
        measure::start(&options, &mut report)?;
    }
    if wanted("growth") {
        measure::growth(&options, &mut report)?;
    }
    if wanted("postgres") {
        postgres::create(&options, &mut report)?;
    }
    if wanted("postgres-growth") {
        postgres::growth(&options, &mut report)?;
    }
    report.print();
    Ok(())
}
