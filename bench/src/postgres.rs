//! PostgreSQL: what the server does on it, against the same rows written by the best means there is, on the same server.
//!
//! The server is one of ours, from the installed binaries, as it comes: everything flushed. `TIELINE_PG_BIN` names another
//! folder of binaries.

use crate::load::{self, Load, Until, histogram};
use crate::measure::{CONNECTIONS, Report, arrived, median, per_second, receivers};
use crate::process::free_addr;
use crate::setup::Installation;
use crate::{Options, plans, sample};
use anyhow::{Context, bail};
use futures::future::try_join_all;
use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tieline_core::ids::EndpointId;
use tieline_core::{MIGRATIONS, deliveries, timers};
use tieline_db::{Config, Db};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

/// Connections of the raw variants, as many as the engine's writers.
const RAW_CONNECTIONS: usize = 4;
/// Conversations in one transaction of the batched variant, as many as the engine's group.
const RAW_BATCH: usize = 64;
/// Connections that keep as many conversations in flight as the batched variant does.
const AS_MANY: usize = RAW_CONNECTIONS * RAW_BATCH;
/// Connections of the variant with a round trip per statement: more gained nothing.
const TRIP_CONNECTIONS: usize = 16;
/// Bytes of the largest event of a conversation, as the product writes it.
const RECEIVED: usize = 1460;
/// Where the numbers of rows begin that are written past the product: below those that it gives.
const PAST: i64 = -(1 << 50);
/// Rows of one step when a database is filled.
const FILL: usize = 10_000;
/// How often a claim is measured.
const CLAIMS: usize = 40;

/// A server of our own; it ends with its value.
struct Server {
    child: Child,
    port: u16,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// Where `initdb` and `postgres` are: as the tests look for them.
fn binaries() -> anyhow::Result<PathBuf> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    found.sort();
    let named = std::env::var_os("TIELINE_PG_BIN").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = named.into_iter().chain(found.into_iter().rev()).chain(std::env::split_paths(&path));
    folders.find(|folder| folder.join("initdb").is_file()).context("no PostgreSQL: apt-get install postgresql")
}

impl Server {
    fn start() -> anyhow::Result<Server> {
        let binaries = binaries()?;
        let folder = tempfile::Builder::new().prefix("tieline-bench-pg-").tempdir_in("/tmp")?;
        // It refuses to run as root.
        let users = std::fs::read_to_string("/etc/passwd")?;
        let user = users.lines().find(|line| line.starts_with("postgres:"));
        let ids: Vec<u32> =
            user.into_iter().flat_map(|line| line.split(':').skip(2).take(2)).flat_map(str::parse).collect();
        let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let run = |program: &Path| {
            let mut command = Command::new(program);
            command
                .current_dir("/")
                .env("LC_ALL", "C")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            if let (true, [uid, gid]) = (root, &ids[..]) {
                command.uid(*uid).gid(*gid);
            }
            command
        };
        if let (true, [uid, gid]) = (root, &ids[..]) {
            std::os::unix::fs::chown(folder.path(), Some(*uid), Some(*gid))?;
        }
        let data = folder.path().join("data");
        let made = run(&binaries.join("initdb"))
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "-D"])
            .arg(&data)
            .status()?;
        anyhow::ensure!(made.success(), "initdb failed");
        let port = free_addr()?.port();
        let mut command = run(&binaries.join("postgres"));
        command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"]).arg(folder.path());
        // As the operator's guide says for a machine of this size; the defaults are for one of 1998.
        command.args(["-c", "shared_buffers=1GB", "-c", "max_wal_size=4GB"]).process_group(0);
        // It says nothing until a database asks for it.
        command.args(["-c", "session_preload_libraries=auto_explain"]);
        let log = folder.path().join("log");
        command.stderr(std::fs::File::create(&log)?);
        let server = Server { child: command.spawn()?, port, log, _folder: folder };
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if runtime()?.block_on(connect(&server.url("postgres"))).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("PostgreSQL does not answer")
    }
    /// CPU seconds that its processes have used, those that have ended too.
    fn cpu(&self) -> f64 {
        let own = self.child.id().to_string();
        let ticks = |folder: PathBuf| -> Option<f64> {
            let text = std::fs::read_to_string(folder.join("stat")).ok()?;
            let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
            let sum = |fields: &[&str]| fields.iter().flat_map(|field| field.parse::<f64>()).sum::<f64>();
            let is_own = folder.file_name()?.to_str()? == own;
            (is_own || *fields.get(1)? == own).then(|| sum(&fields[11..if is_own { 15 } else { 13 }]))
        };
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        all.filter_map(|entry| ticks(entry.path())).sum::<f64>() / 100.0
    }
    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
    /// An empty database.
    fn database(&self, name: &str) -> anyhow::Result<String> {
        runtime()?.block_on(async {
            let client = connect(&self.url("postgres")).await?;
            client.batch_execute(&format!("create database {name}")).await?;
            client.batch_execute("checkpoint").await?;
            Ok(self.url(name))
        })
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// The statements of one batch; each takes arrays, a batch of one is one conversation.
const ROWS: [&str; 5] = [
    "insert into contacts (tenant_id, id, number, name, email, phone, external_id, custom_fields, created_at, updated_at) \
     select 1, id, n, 'Marta Kowalska', e, p, null, '{}', 1, 1 \
     from (select unnest($1::uuid[]) as id, unnest($2::bigint[]) as n, unnest($3::text[]) as e, unnest($4::text[]) as p) as t \
     on conflict do nothing",
    "insert into handles (tenant_id, kind, match_key, value, contact_id, is_primary, created_at) \
     select 1, k, v, v, c, true, 1 \
     from (select unnest($1::text[]) as k, unnest($2::text[]) as v, unnest($3::uuid[]) as c) as t on conflict do nothing",
    "insert into conversations (tenant_id, id, number, inbox_id, contact_id, channel, subject, status, engagement, \
     external_reference, custom_fields, metadata, reopen_count, event_sequence, message_count, is_held, last_message_at, last_contact_message_at, \
     created_at, updated_at) select 1, id, n, c, c, 'email', $5, 'active', 'pending', r, '{}', $6, 0, 2, 1, false, n, n, n, n \
     from (select unnest($1::uuid[]) as id, unnest($2::bigint[]) as n, unnest($3::uuid[]) as c, unnest($4::text[]) as r) as t",
    "insert into messages (tenant_id, id, number, conversation_id, direction, author_type, author_id, author_name, text, \
     sent_at, created_at, updated_at) select 1, id, n, v, 'inbound', 'contact', c, 'Marta Kowalska', $5, 1, 1, 1 \
     from (select unnest($1::uuid[]) as id, unnest($2::bigint[]) as n, unnest($3::uuid[]) as v, unnest($4::uuid[]) as c) as t",
    "insert into events (id, tenant_id, type, conversation_id, inbox_id, sequence, actor, cause, data, created_at) \
     select id, 1, k, v, v, s, $5, $6, d, 1 \
     from (select unnest($1::uuid[]) as id, unnest($2::text[]) as k, unnest($3::uuid[]) as v, \
     unnest($4::bigint[]) as s, unnest($7::text[]) as d) as t",
];

/// What the raw variants write for these conversations.
struct Batch {
    contacts: (Vec<Uuid>, Vec<i64>, Vec<String>, Vec<String>),
    handles: (Vec<&'static str>, Vec<String>, Vec<Uuid>),
    conversations: (Vec<Uuid>, Vec<i64>, Vec<Uuid>, Vec<String>),
    messages: (Vec<Uuid>, Vec<i64>),
    events: Events,
}

#[derive(Default)]
struct Events {
    ids: Vec<Uuid>,
    types: Vec<&'static str>,
    conversations: Vec<Option<Uuid>>,
    sequences: Vec<Option<i64>>,
    data: Vec<String>,
}

const ACTOR: &str = r#"{"type":"api_key","id":"key_01a1fcbf9583700187837a99bf72d42d","name":"bench"}"#;
const CAUSE: &str = r#"{"type":"request","id":"req_01a1fcbf998370e5a53793b7399195f5"}"#;

impl Batch {
    fn new(numbers: std::ops::Range<u64>, known: &Mutex<HashSet<u64>>) -> Batch {
        let mut batch = Batch {
            contacts: Default::default(),
            handles: Default::default(),
            conversations: Default::default(),
            messages: Default::default(),
            events: Default::default(),
        };
        let data = "x".repeat(RECEIVED);
        // In one order everywhere: two batches must not wait for each other in a circle.
        let mut customers: Vec<u64> = numbers.clone().map(sample::customer).collect();
        customers.sort_unstable();
        let mut event = |kind: &'static str, of: Option<(Uuid, i64)>, length: usize| {
            let events = &mut batch.events;
            events.ids.push(Uuid::now_v7());
            events.types.push(kind);
            events.conversations.push(of.map(|of| of.0));
            events.sequences.push(of.map(|of| of.1));
            events.data.push(data[..length].to_owned());
        };
        for customer in customers {
            if known.lock().expect("not poisoned").insert(customer) {
                let id = contact(customer);
                batch.contacts.0.push(id);
                batch.contacts.1.push(PAST + customer as i64);
                batch.contacts.2.push(sample::email(customer));
                batch.contacts.3.push(sample::phone(customer));
                for (kind, value) in [("email", sample::email(customer)), ("phone", sample::phone(customer))] {
                    batch.handles.0.push(kind);
                    batch.handles.1.push(value);
                    batch.handles.2.push(id);
                }
                event("contact.created", None, 255);
            }
        }
        for n in numbers {
            let id = Uuid::now_v7();
            batch.conversations.0.push(id);
            batch.conversations.1.push(PAST + n as i64);
            batch.conversations.2.push(contact(sample::customer(n)));
            batch.conversations.3.push(format!("r-{n:012}"));
            batch.messages.0.push(Uuid::now_v7());
            batch.messages.1.push(n as i64);
            event("conversation.created", Some((id, 1)), 920);
            event("message.received", Some((id, 2)), RECEIVED);
        }
        batch
    }

    /// The statements and their parameters, those without rows left out.
    fn statements(&self) -> Vec<(usize, Vec<&(dyn ToSql + Sync)>)> {
        let (c, h, v, m, e) = (&self.contacts, &self.handles, &self.conversations, &self.messages, &self.events);
        let mut all: Vec<(usize, Vec<&(dyn ToSql + Sync)>)> = vec![
            (2, vec![&v.0, &v.1, &v.2, &v.3, &sample::SUBJECT, &sample::METADATA]),
            (3, vec![&m.0, &m.1, &v.0, &v.2, &sample::TEXT]),
            (4, vec![&e.ids, &e.types, &e.conversations, &e.sequences, &ACTOR, &CAUSE, &e.data]),
        ];
        if !c.0.is_empty() {
            all.insert(0, (0, vec![&c.0, &c.1, &c.2, &c.3]));
            all.insert(1, (1, vec![&h.0, &h.1, &h.2]));
        }
        all
    }
}

fn contact(customer: u64) -> Uuid {
    Uuid::from_u128(u128::from(customer) << 64)
}

struct Prepared {
    client: Client,
    rows: Vec<Statement>,
}

impl Prepared {
    async fn new(url: &str) -> anyhow::Result<Prepared> {
        let client = connect(url).await?;
        let mut rows = Vec::new();
        for text in ROWS {
            rows.push(client.prepare(text).await?);
        }
        Ok(Prepared { client, rows })
    }
    /// One transaction; everything sent at once, or a round trip per statement.
    async fn run(&self, batch: &Batch, at_once: bool) -> anyhow::Result<()> {
        let statements = batch.statements();
        if at_once {
            let rows =
                try_join_all(statements.iter().map(|(row, params)| self.client.execute(&self.rows[*row], params)));
            futures::try_join!(self.client.batch_execute("begin"), rows, self.client.batch_execute("commit"))?;
        } else {
            self.client.batch_execute("begin").await?;
            for (row, params) in &statements {
                self.client.execute(&self.rows[*row], params).await?;
            }
            self.client.batch_execute("commit").await?;
        }
        Ok(())
    }
}

/// The rows of creations without HTTP, look-ups and rules.
fn raw(url: &str, connections: usize, size: usize, first: u64, until: Until) -> anyhow::Result<Load> {
    runtime()?.block_on(async {
        let (next, known) = (Arc::new(AtomicU64::new(first)), Arc::new(Mutex::new(HashSet::new())));
        let mut ready = Vec::new();
        for _ in 0..connections {
            ready.push(Prepared::new(url).await?);
        }
        let started = Instant::now();
        let tasks: Vec<_> = ready
            .into_iter()
            .map(|prepared| {
                let (next, known) = (next.clone(), known.clone());
                tokio::spawn(async move {
                    let mut latency = histogram();
                    loop {
                        let from = next.fetch_add(size as u64, Ordering::Relaxed);
                        match until {
                            Until::Time(time) if started.elapsed() >= time => break,
                            Until::Count(count) if from - first >= count => break,
                            _ => {}
                        }
                        let sent = Instant::now();
                        prepared.run(&Batch::new(from..from + size as u64, &known), size > 1).await?;
                        latency.saturating_record_n(sent.elapsed().as_micros() as u64, size as u64);
                    }
                    anyhow::Ok(latency)
                })
            })
            .collect();
        let mut latency_us = histogram();
        for task in tasks {
            latency_us.add(&task.await??)?;
        }
        Ok(Load { count: latency_us.len(), seconds: started.elapsed().as_secs_f64(), latency_us })
    })
}

/// An empty database with the product's schema.
fn with_schema(server: &Server, name: &str) -> anyhow::Result<String> {
    let url = server.database(name)?;
    Db::open(Config::postgres(&url, MIGRATIONS))?.close();
    Ok(url)
}

/// Creations over HTTP, on one node and on two, against the raw variants.
pub fn create(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start()?;
    let time = Duration::from_secs(options.seconds);
    let (mut ours, mut two, mut batched, mut trips) = (vec![], vec![], vec![], vec![]);
    let (mut many, mut few) = (vec![], vec![]);
    let (mut many_cpu, mut many_database_cpu) = (vec![], vec![]);
    let (mut p99, mut cpu, mut database_cpu, mut batched_cpu) = (vec![], vec![], vec![], vec![]);
    let (mut delivered, mut delivered_cpu, mut delivered_database_cpu) = (vec![], vec![], vec![]);
    for run in 0..options.runs {
        let installation = Installation::at(Some(server.database(&format!("one_{run}"))?), &[], &[])?;
        let node = installation.serve(&options.tieline)?;
        let (before, database_before) = (node.cpu(), server.cpu());
        let load = load::create(node.addr, &installation.key, CONNECTIONS, Until::Time(time), 0)?;
        cpu.push((node.cpu() - before) * 1e6 / load.count as f64);
        database_cpu.push((server.cpu() - database_before) * 1e6 / load.count as f64);
        p99.push(load.latency_us.value_at_quantile(0.99) as f64 / 1000.0);
        ours.push(load.rate());
        node.stop();

        // The same conversations: the first of a customer writes more than the next.
        let same = Until::Count(load.count);
        let url = with_schema(&server, &format!("batched_{run}"))?;
        let before = server.cpu();
        let load = raw(&url, RAW_CONNECTIONS, RAW_BATCH, 0, same)?;
        batched_cpu.push((server.cpu() - before) * 1e6 / load.count as f64);
        batched.push(load.rate());
        let url = with_schema(&server, &format!("few_{run}"))?;
        few.push(raw(&url, RAW_CONNECTIONS, CONNECTIONS / RAW_CONNECTIONS, 0, same)?.rate());
        let installation = Installation::at(Some(server.database(&format!("many_{run}"))?), &[], &[])?;
        let node = installation.serve(&options.tieline)?;
        let (before, database_before) = (node.cpu(), server.cpu());
        let load = load::create(node.addr, &installation.key, AS_MANY, Until::Time(time), 0)?;
        many_cpu.push((node.cpu() - before) * 1e6 / load.count as f64);
        many_database_cpu.push((server.cpu() - database_before) * 1e6 / load.count as f64);
        many.push(load.rate());
        node.stop();
        let url = with_schema(&server, &format!("trips_{run}"))?;
        trips.push(raw(&url, TRIP_CONNECTIONS, 1, 0, same)?.rate());

        let installation = Installation::at(Some(server.database(&format!("two_{run}"))?), &[], &[])?;
        let nodes = [installation.serve_node(&options.tieline, "a")?, installation.serve_node(&options.tieline, "b")?];
        let loads: Vec<Load> = std::thread::scope(|scope| {
            let started: Vec<_> = nodes
                .iter()
                .zip([0, 1 << 40])
                .map(|(node, first)| {
                    let key = &installation.key;
                    scope.spawn(move || load::create(node.addr, key, CONNECTIONS / 2, Until::Time(time), first))
                })
                .collect();
            started.into_iter().map(|load| load.join().expect("no panic")).collect::<anyhow::Result<_>>()
        })?;
        two.push(loads.iter().map(Load::rate).sum());
        nodes.into_iter().for_each(|node| node.stop());

        let sinks = receivers("sink", 1)?;
        let database = server.database(&format!("delivered_{run}"))?;
        let installation = Installation::at(Some(database), &[sinks[0].addr], &["conversation.created"])?;
        let node = installation.serve(&options.tieline)?;
        let (before, database_before, started) = (node.cpu(), server.cpu(), Instant::now());
        let load = load::create(node.addr, &installation.key, CONNECTIONS, Until::Time(time), 0)?;
        delivered.push(load.count as f64 / arrived(&sinks, load.count, started)?);
        delivered_cpu.push((node.cpu() - before) * 1e6 / load.count as f64);
        delivered_database_cpu.push((server.cpu() - database_before) * 1e6 / load.count as f64);
        node.stop();
        eprintln!(
            "  run {run}: one {:.0} ({:.0} with {AS_MANY} connections) two {:.0} batched {:.0} (by {} {:.0}) trips {:.0}",
            ours[run],
            many[run],
            two[run],
            batched[run],
            CONNECTIONS / RAW_CONNECTIONS,
            few[run],
            trips[run]
        );
    }
    let (ours, two, batched, trips) = (median(ours), median(two), median(batched), median(trips));
    let (many, few) = (median(many), median(few));
    report.add(
        "PostgreSQL: creations, 64 connections, durable",
        format!(
            "{} (p99 {:.1} ms, {:.0} µs of server CPU each, {:.0} µs of PostgreSQL's)",
            per_second(ours),
            median(p99),
            median(cpu),
            median(database_cpu)
        ),
        format!(
            "the same rows in batches of {RAW_BATCH} over {RAW_CONNECTIONS} connections {} ({:.0} µs of PostgreSQL's CPU each)",
            per_second(batched),
            median(batched_cpu)
        ),
        format!("{:.0} %", ours / batched * 100.0),
        "≥ 60 %",
    );
    report.add(
        "PostgreSQL: the same",
        per_second(ours),
        format!("as many in flight: batches of {} {}", CONNECTIONS / RAW_CONNECTIONS, per_second(few)),
        format!("{:.0} %", ours / few * 100.0),
        "-",
    );
    report.add(
        &format!("PostgreSQL: creations, {AS_MANY} connections, as many in flight as in those batches"),
        format!(
            "{} ({:.0} µs of server CPU each, {:.0} µs of PostgreSQL's)",
            per_second(many),
            median(many_cpu),
            median(many_database_cpu)
        ),
        format!("the same batches of {RAW_BATCH} {}", per_second(batched)),
        format!("{:.0} %", many / batched * 100.0),
        "-",
    );
    report.add(
        "PostgreSQL: the same, 64 connections",
        per_second(ours),
        format!("a round trip per statement over {TRIP_CONNECTIONS} connections {}", per_second(trips)),
        format!("{:.1} ×", ours / trips),
        "-",
    );
    report.add(
        "PostgreSQL: two nodes on the same machine",
        per_second(two),
        format!("one node {}", per_second(ours)),
        format!("{:.2} ×", two / ours),
        "-",
    );
    report.add(
        "PostgreSQL: creations that are delivered meanwhile (1 endpoint, 1 receiver)",
        format!(
            "{} ({:.0} µs of server CPU each, {:.0} µs of PostgreSQL's)",
            per_second(median(delivered)),
            median(delivered_cpu),
            median(delivered_database_cpu)
        ),
        format!("not delivered {}", per_second(ours)),
        "-".into(),
        "-",
    );
    Ok(())
}

/// How answers, claims and timers grow with what is there.
pub fn growth(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let server = Server::start()?;
    let (small, large) = (10_000, options.growth);
    let url = server.database("growth")?;
    let installation = Installation::at(Some(url.clone()), &[([127, 0, 0, 1], 9).into()], &["conversation.created"])?;
    let mut results: Vec<[f64; 6]> = Vec::new();
    let mut plans = Vec::new();
    let mut have = 0;
    for size in [small, large] {
        raw(&url, RAW_CONNECTIONS, RAW_BATCH, have, Until::Count(size - have))?;
        let node = installation.serve(&options.tieline)?;
        let list = load::get_median(node.addr, &installation.key, &list_of(300))?;
        let reads: Vec<String> = (0..1000u64)
            .map(|n| format!("/v1/conversations?externalReference=r-{:012}", n.wrapping_mul(2_654_435_761) % size))
            .collect();
        let read = load::get_median(node.addr, &installation.key, &reads)?;
        let creation = load::create(node.addr, &installation.key, 1, Until::Count(1000), size + (1 << 30))?;
        node.stop();
        // While no node runs: it would send the ones and fire the others.
        backlog(&url, size)?;
        let [claim, page, fire] = claims(&url)?;
        // The same once more, a few times, with the plans of all that it runs.
        let asked = Asked { list: &list_of(3), reads: &reads[..3], first: size + (2 << 30), backlog: size };
        plans.push(plans_of(&server, &url, &installation, options, &asked)?);
        plans::save(plans.last().context("just read")?, &PathBuf::from(format!("target/plans-{size}.txt")))?;
        results.push([list, read, creation.latency_us.value_at_quantile(0.5) as f64, claim, page, fire]);
        have += (size - have).next_multiple_of(RAW_BATCH as u64);
    }
    let names = [
        "inbox list",
        "conversation read",
        "next creation",
        "claim of an endpoint",
        "page of its deliveries",
        "100 timers",
    ];
    for (index, name) in names.into_iter().enumerate() {
        let (before, after) = (results[0][index], results[1][index]);
        report.add(
            &format!(
                "PostgreSQL: {name}, from {small} to {large} conversations, due deliveries and due timers, median"
            ),
            format!("{after:.0} µs"),
            format!("{before:.0} µs"),
            format!("{:.2} ×", after / before),
            "≤ 1.3 ×",
        );
    }
    let changed = plans::changed(&plans[0], &plans[1]);
    changed.iter().for_each(|statement| eprintln!("another plan (target/plans-*.txt): {statement}"));
    report.add(
        "PostgreSQL: plans that changed meanwhile, of the statements behind all these",
        changed.len().to_string(),
        format!("{} statements", plans[0].len()),
        "-".into(),
        "0",
    );
    Ok(())
}

fn list_of(many: usize) -> Vec<String> {
    vec!["/v1/conversations?status=active&limit=50".to_owned(); many]
}

/// What is asked while plans are written down.
struct Asked<'a> {
    list: &'a [String],
    reads: &'a [String],
    /// The number of the first conversation that is opened.
    first: u64,
    /// Due deliveries and due timers, once the node has ended.
    backlog: u64,
}

fn plans_of(
    server: &Server,
    url: &str,
    installation: &Installation,
    options: &Options,
    asked: &Asked,
) -> anyhow::Result<plans::Plans> {
    let configure = |what: &str| {
        let statement = format!("alter database growth {what}");
        runtime()?.block_on(async { Ok::<_, anyhow::Error>(connect(url).await?.batch_execute(&statement).await?) })
    };
    let start = std::fs::metadata(&server.log)?.len() as usize;
    configure(plans::LOG)?;
    let node = installation.serve(&options.tieline)?;
    load::get_median(node.addr, &installation.key, asked.list)?;
    load::get_median(node.addr, &installation.key, asked.reads)?;
    load::create(node.addr, &installation.key, 1, Until::Count(50), asked.first)?;
    node.stop();
    // The node has sent and fired what there was.
    backlog(url, asked.backlog)?;
    claims(url)?;
    configure(plans::LOG_NO_MORE)?;
    let log = std::fs::read(&server.log)?;
    Ok(plans::read(&String::from_utf8_lossy(&log[start..])))
}

/// So many due deliveries of the one endpoint, and so many due timers of nothing, instead of those before.
fn backlog(url: &str, count: u64) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let client = connect(url).await?;
        client.batch_execute("truncate deliveries, timers").await?;
        for first in (0..count).step_by(FILL) {
            let last = (first + FILL as u64).min(count) - 1;
            client
                .batch_execute(&format!(
                    "insert into deliveries (endpoint_id, id, tenant_id, position, event_id, event_type, conversation_id, \
                     sequence, status, attempts, earlier_attempts, overtaken, manual, due_at, body, created_at, updated_at) \
                     select s.endpoint_id, md5('d' || g)::uuid, s.tenant_id, g, md5('e' || g)::uuid, 'conversation.created', \
                     md5('v' || g)::uuid, 1, 'pending', 0, 0, false, false, 1, repeat('x', 300), 1, 1 \
                     from endpoint_states s, generate_series({first}, {last}) g; \
                     insert into timers (tenant_id, kind, subject, due_at) \
                     select 1, 'snooze', md5('t' || g)::uuid, g from generate_series({first}, {last}) g"
                ))
                .await?;
        }
        client.batch_execute("update endpoint_states set next_due_at = 1; analyze").await?;
        Ok(())
    })
}

/// Medians in microseconds: claiming the endpoint, a page of its deliveries, firing timers.
fn claims(url: &str) -> anyhow::Result<[f64; 3]> {
    let db = Db::open(Config::postgres(url, MIGRATIONS))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut claim, mut page, mut fire) = (vec![], vec![], vec![]);
    runtime.block_on(async {
        for _ in 0..CLAIMS {
            db.write(|tx| deliveries::clear_leases(tx).map(drop)).await?;
            let started = Instant::now();
            let claimed = db.write(|tx| deliveries::claim(tx, "bench", 16)).await?;
            claim.push(started.elapsed().as_micros() as f64);
            let endpoint: EndpointId = claimed.first().context("the endpoint is due")?.endpoint;
            let started = Instant::now();
            let first = (0, tieline_core::ids::DeliveryId::from_uuid(Uuid::nil()));
            let waiting = db.read(move |read| deliveries::pending(read, endpoint, first, 256)).await?;
            page.push(started.elapsed().as_micros() as f64);
            anyhow::ensure!(waiting.len() == 256, "{} deliveries wait", waiting.len());
            let started = Instant::now();
            let fired = db.write(|tx| timers::fire(tx, tieline_wire::native::event::data, 100)).await?;
            fire.push(started.elapsed().as_micros() as f64);
            anyhow::ensure!(fired > 0, "no timer was due");
        }
        Ok::<_, anyhow::Error>(())
    })?;
    db.close();
    Ok([median(claim), median(page), median(fire)])
}
