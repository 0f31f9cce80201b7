//! The rows of the report.

use crate::load::{self, Until};
use crate::process::{Served, helper, own_cpu};
use crate::setup::Installation;
use crate::{Options, bare};
use std::time::{Duration, Instant};

/// Connections of a load.
pub const CONNECTIONS: usize = 64;
/// Endpoints and receivers of a delivery row: 4 × 16 slots are 64 in flight.
const ENDPOINTS: usize = 4;
/// Longest wait for deliveries to arrive.
const PATIENCE: Duration = Duration::from_secs(300);

/// Lines of `name · measured · limit · ratio · target`.
#[derive(Default)]
pub struct Report {
    lines: Vec<[String; 5]>,
}

impl Report {
    /// Adds a line.
    pub fn add(&mut self, name: &str, measured: String, limit: String, ratio: String, target: &str) {
        eprintln!("{name}: {measured} | {limit} | {ratio} | {target}");
        self.lines.push([name.to_owned(), measured, limit, ratio, target.to_owned()]);
    }
    /// Prints everything as one table.
    pub fn print(&self) {
        println!("| row | Tieline | limit in the same run | ratio | target |\n|---|---|---|---|---|");
        for line in &self.lines {
            println!("| {} |", line.join(" | "));
        }
    }
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A rate in words.
pub fn per_second(rate: f64) -> String {
    format!("{rate:.0}/s")
}

/// Creations over HTTP against an empty handler and against a bare loop of the same rows.
pub fn create(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let time = Duration::from_secs(options.seconds);
    let (mut ours, mut empty, mut rows, mut cpu, mut p99) = (vec![], vec![], vec![], vec![], vec![]);
    for run in 0..options.runs {
        let handler = helper("empty")?;
        empty.push(load::create(handler.addr, "sa_live_x", CONNECTIONS, Until::Time(time), 0)?.rate());
        drop(handler);
        let folder = tempfile::tempdir()?;
        rows.push(bare::insert_loop(&folder.path().join("bare.db"), time)?.rate());
        let installation = Installation::new(&[], &[])?;
        let server = installation.serve(&options.tieline)?;
        let before = server.cpu();
        let load = load::create(server.addr, &installation.key, CONNECTIONS, Until::Time(time), 0)?;
        cpu.push((server.cpu() - before) * 1e6 / load.count as f64);
        p99.push(load.latency_us.value_at_quantile(0.99) as f64 / 1000.0);
        ours.push(load.rate());
        eprintln!("  run {run}: ours {:.0} empty {:.0} rows {:.0}", load.rate(), empty[run], rows[run]);
    }
    let (ours, empty, rows) = (median(ours), median(empty), median(rows));
    let slower = empty.min(rows);
    report.add(
        "creations, 64 connections, durable",
        format!("{} (p99 {:.1} ms, {:.0} µs of server CPU each)", per_second(ours), median(p99), median(cpu)),
        format!("empty handler {}, bare rows {}", per_second(empty), per_second(rows)),
        format!("{:.0} % of the slower", ours / slower * 100.0),
        "≥ 60 %",
    );
    Ok(())
}

pub fn receivers(kind: &str, count: usize) -> anyhow::Result<Vec<Served>> {
    (0..count).map(|_| helper(kind)).collect()
}

/// Waits until the receivers have counted `count` together; answers the seconds since `started`.
pub fn arrived(receivers: &[Served], count: u64, started: Instant) -> anyhow::Result<f64> {
    loop {
        let mut sum = 0;
        for receiver in receivers {
            sum += load::ask(receiver.addr)?.0;
        }
        if sum >= count {
            return Ok(started.elapsed().as_secs_f64());
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "{sum} of {count} deliveries arrived");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A backlog of deliveries, every attempt recorded, against a bare client that signs and posts.
pub fn deliver(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let time = Duration::from_secs(options.seconds);
    let (mut ours, mut bare_rate, mut cpu) = (vec![], vec![], vec![]);
    for _ in 0..options.runs {
        let sinks = receivers("sink", ENDPOINTS)?;
        let addrs: Vec<_> = sinks.iter().map(|sink| sink.addr).collect();
        bare_rate.push(bare::post_loop(&addrs, 16 * ENDPOINTS, time)?.rate());
        drop(sinks);
        let sinks = receivers("sink", ENDPOINTS)?;
        let addrs: Vec<_> = sinks.iter().map(|sink| sink.addr).collect();
        let count = 20_000 * options.seconds;
        let installation = Installation::new(&addrs, &["conversation.created"])?;
        installation.backlog(count)?;
        let started = Instant::now();
        let server = installation.serve(&options.tieline)?;
        let seconds = arrived(&sinks, count, started)?;
        ours.push(count as f64 / seconds);
        cpu.push(server.cpu() * 1e6 / count as f64);
    }
    let (ours, limit) = (median(ours), median(bare_rate));
    report.add(
        "deliveries, each attempt recorded (4 endpoints, 4 receivers, start-up included)",
        format!("{} ({:.0} µs of server CPU each)", per_second(ours), median(cpu)),
        format!("bare signing client {}", per_second(limit)),
        format!("{:.0} %", ours / limit * 100.0),
        "≥ 50 %",
    );
    Ok(())
}

/// Creations that are delivered at the same time.
pub fn both(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let (mut rates, mut server_cpu, mut all_cpu) = (vec![], vec![], vec![]);
    for _ in 0..options.runs {
        let sinks = receivers("sink", 1)?;
        let installation = Installation::new(&[sinks[0].addr], &["conversation.created"])?;
        let server = installation.serve(&options.tieline)?;
        let (own, sink, ours) = (own_cpu(), sinks[0].cpu(), server.cpu());
        let count = 6_000 * options.seconds;
        let started = Instant::now();
        load::create(server.addr, &installation.key, CONNECTIONS, Until::Count(count), 0)?;
        let seconds = arrived(&sinks, count, started)?;
        rates.push(count as f64 / seconds);
        let served = (server.cpu() - ours) * 1e6 / count as f64;
        server_cpu.push(served);
        all_cpu.push(served + (own_cpu() - own + sinks[0].cpu() - sink) * 1e6 / count as f64);
    }
    let all = median(all_cpu);
    report.add(
        "creations that are delivered meanwhile (1 endpoint, 1 receiver)",
        format!(
            "{} ({:.0} µs of server CPU, {all:.0} µs with load and receiver)",
            per_second(median(rates)),
            median(server_cpu)
        ),
        "budget 170 µs of CPU".into(),
        format!("{:.0} % of the budget", all / 170.0 * 100.0),
        "≤ 170 µs",
    );
    Ok(())
}

/// From the request to the receiver at 50 a second, against a bare signed POST: from the POST to its answer. How long the
/// POST alone takes to the receiver, and one flush, is said beside it.
pub fn latency(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let seconds = options.seconds.max(4);
    let sinks = receivers("sink", 1)?;
    bare::paced_posts(sinks[0].addr, 50, 1)?;
    load::ask(sinks[0].addr)?;
    let posts = bare::paced_posts(sinks[0].addr, 50, seconds)?;
    let (post50, post99) = (posts.value_at_quantile(0.5) as f64, posts.value_at_quantile(0.99) as f64);
    let (_, way50, way99) = load::ask(sinks[0].addr)?;
    let Paced { p50, p99, answer50 } = paced_latency(options, &sinks, WARM, seconds)?;
    let folder = tempfile::tempdir()?;
    let (flush50, flush99) = bare::paced_flushes(folder.path(), 50, seconds)?;
    let ms = |us: f64| format!("{:.2} ms", us / 1000.0);
    let post =
        |post: f64, way: f64| format!("bare signed POST and its answer {} (to the receiver {})", ms(post), ms(way));
    report.add(
        "request to receiver, 50 a second (1 endpoint, 1 receiver), p50",
        ms(p50),
        post(post50, way50),
        format!("{:.1} × ({:.1} ×)", p50 / post50, p50 / way50),
        "≤ 5 ×",
    );
    report.add(
        "the same, p99",
        ms(p99),
        post(post99, way99),
        format!("{:.1} × ({:.1} ×)", p99 / post99, p99 / way99),
        "≤ 5 ×",
    );
    report.add(
        "the same, where it goes: request to its answer (which waits for the same flush as the delivery), p50",
        ms(answer50),
        format!("one flush {} (p99 {}), to the receiver {}", ms(flush50), ms(flush99), ms(way50)),
        format!("{:.1} × flush and way together", p50 / (flush50 + way50)),
        "-",
    );
    Ok(())
}

/// Latencies at a steady rate, microseconds.
struct Paced {
    p50: f64,
    p99: f64,
    /// From the request to its answer.
    answer50: f64,
}

/// Conversations that a server has taken before its latency is measured: enough for its log to have started over, as that
/// of any server has after its first minutes. Until then each flush also makes the file longer.
const WARM: u64 = 6_000;

/// What the first of these receivers sees, all of which get every event, after `warm` conversations at full speed.
fn paced_latency(options: &Options, receivers: &[Served], warm: u64, seconds: u64) -> anyhow::Result<Paced> {
    let addrs: Vec<_> = receivers.iter().map(|receiver| receiver.addr).collect();
    let installation = Installation::new(&addrs, &["conversation.created"])?;
    let server = installation.serve(&options.tieline)?;
    let path = "/v1/conversations/outbound";
    let (counted, _, _) = load::ask(receivers[0].addr)?;
    load::create(server.addr, &installation.key, CONNECTIONS, Until::Count(warm), 0)?;
    let (sent, _) = load::paced(server.addr, &installation.key, 50, 1, path)?;
    arrived(&receivers[..1], counted + warm + sent, Instant::now())?;
    let (before, _, _) = load::ask(receivers[0].addr)?;
    let (sent, answer50) = load::paced(server.addr, &installation.key, 50, seconds, path)?;
    let end = Instant::now() + Duration::from_secs(60);
    // Asking forgets the latencies, so it is asked once, when all must have arrived.
    std::thread::sleep(Duration::from_secs(2));
    let (after, p50, p99) = load::ask(receivers[0].addr)?;
    anyhow::ensure!(after - before == sent && Instant::now() < end, "{} of {sent} arrived", after - before);
    Ok(Paced { p50, p99, answer50 })
}

/// A healthy endpoint alone, and beside a hanging, a refusing and a trickling one.
pub fn isolation(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let seconds = options.seconds.max(4);
    let alone = receivers("sink", 1)?;
    let alone99 = paced_latency(options, &alone, 0, seconds)?.p99;
    let refusing = crate::process::free_addr()?;
    let mut beside = receivers("sink", 1)?;
    beside.push(helper("hang")?);
    beside.push(helper("trickle")?);
    let mut refused = helper("sink")?;
    refused.addr = refusing; // nothing listens there
    beside.push(refused);
    let beside99 = paced_latency(options, &beside, 0, seconds)?.p99;
    report.add(
        "healthy endpoint beside a hanging, a trickling and a refusing one, 50 a second, p99",
        format!("{:.2} ms", beside99 / 1000.0),
        format!("alone {:.2} ms", alone99 / 1000.0),
        format!("{:.1} ×", beside99 / alone99),
        "≤ 2 ×",
    );
    Ok(())
}

/// Resident memory idle and after a load.
pub fn memory(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let installation = Installation::new(&[], &[])?;
    let server = installation.serve(&options.tieline)?;
    std::thread::sleep(Duration::from_secs(3));
    let idle = server.resident_mib();
    let time = Duration::from_secs(options.seconds);
    load::create(server.addr, &installation.key, CONNECTIONS, Until::Time(time), 0)?;
    report.add(
        "resident memory, idle (and after a load)",
        format!("{idle:.0} MiB ({:.0} MiB)", server.resident_mib()),
        "-".into(),
        "-".into(),
        "idle < 30 MB",
    );
    Ok(())
}

/// Start on an existing database until it listens, against the bare opening of the same file.
pub fn start(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let installation = Installation::new(&[], &[])?;
    let server = installation.serve(&options.tieline)?;
    load::create(server.addr, &installation.key, CONNECTIONS, Until::Count(50_000), 0)?;
    server.stop();
    let (mut ours, mut bare_open) = (vec![], vec![]);
    for _ in 0..options.runs.max(5) {
        let started = Instant::now();
        let server = installation.serve(&options.tieline)?;
        ours.push(started.elapsed().as_secs_f64() * 1000.0);
        server.stop();
        let started = Instant::now();
        let opener = helper(&format!("open:{}", installation.database().display()))?;
        bare_open.push(started.elapsed().as_secs_f64() * 1000.0);
        drop(opener);
    }
    let (ours, limit) = (median(ours), median(bare_open));
    report.add(
        "start on 50,000 conversations until it listens",
        format!("{ours:.0} ms"),
        format!("a process that opens the file and listens {limit:.0} ms"),
        format!("{:.1} ×", ours / limit),
        "≤ 3 ×",
    );
    Ok(())
}

/// Conversations made without a pause: a key may ask a million times in a minute, and no more.
const AT_ONCE: u64 = 500_000;

/// How list, read and creation grow with the number of conversations.
pub fn growth(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let installation = Installation::new(&[], &[])?;
    let server = installation.serve(&options.tieline)?;
    let (small, large) = (10_000, options.growth);
    let mut results = Vec::new();
    let mut have = 0;
    for size in [small, large] {
        while have < size {
            let count = AT_ONCE.min(size - have);
            load::create(server.addr, &installation.key, CONNECTIONS, Until::Count(count), have)?;
            have += count;
            if have < size {
                std::thread::sleep(Duration::from_secs(60));
            }
        }
        std::thread::sleep(Duration::from_secs(1));
        let list = vec!["/v1/conversations?status=active&limit=50".to_owned(); 300];
        let list = load::get_median(server.addr, &installation.key, &list)?;
        let reads: Vec<String> = (0..1000u64)
            .map(|n| format!("/v1/conversations?externalReference=r-{:012}", n.wrapping_mul(2_654_435_761) % size))
            .collect();
        let read = load::get_median(server.addr, &installation.key, &reads)?;
        let creation = load::create(server.addr, &installation.key, 1, Until::Count(1000), have)?;
        have += 1000;
        results.push([list, read, creation.latency_us.value_at_quantile(0.5) as f64]);
    }
    for (index, name) in ["inbox list", "conversation read", "next creation"].into_iter().enumerate() {
        let (before, after) = (results[0][index], results[1][index]);
        report.add(
            &format!("{name}, from {small} to {large} conversations, median"),
            format!("{after:.0} µs"),
            format!("{before:.0} µs"),
            format!("{:.2} ×", after / before),
            "≤ 1.3 ×",
        );
    }
    Ok(())
}
