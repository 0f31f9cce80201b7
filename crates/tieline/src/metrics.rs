//! What `/metrics` says. Labels are bounded: routes are templates, and of endpoints only the [`ENDPOINTS`] that fail most
//! get series of their own.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tieline_api::http::metrics::HttpMetrics;
use tieline_core::Error;
use tieline_core::deliveries::{Attempt, Ended, Status};
use tieline_core::installation::watch;
use tieline_db::Db;

/// Endpoints with series of their own.
const ENDPOINTS: i64 = 200;
/// Upper bounds of the histograms of deliveries, seconds: from a receiver beside us to a day of retries.
const BUCKETS_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 300.0, 86_400.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
    ended: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EndpointLabels {
    tenant: String,
    endpoint: String,
}

/// The metrics of one server.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Told of every response.
    pub http: HttpMetrics,
    attempts: Family<Outcome, Counter>,
    attempt_seconds: Histogram,
    lag_seconds: Histogram,
    groups: Counter,
    jobs: Counter,
    refused: Counter,
    largest_group: Gauge,
    write_queue: Gauge,
    read_queue: Gauge,
    overdue_seconds: Gauge,
    failures: Family<EndpointLabels, Gauge>,
    breaker_open: Family<EndpointLabels, Gauge>,
    resident_bytes: Gauge,
    uptime_seconds: Gauge,
    since: Instant,
}

impl Metrics {
    /// Registers everything.
    pub fn new() -> Metrics {
        let mut registry = Registry::default();
        let http = HttpMetrics::register(&mut registry);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("tieline_build", "The running version", build);
        let started = Gauge::<i64>::default();
        started.set(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64));
        registry.register_with_unit("process_start_time", "When the process began", Unit::Seconds, started);
        let histogram = || Histogram::new(BUCKETS_SECONDS);
        let metrics = Metrics {
            http,
            attempts: Family::default(),
            attempt_seconds: histogram(),
            lag_seconds: histogram(),
            groups: Counter::default(),
            jobs: Counter::default(),
            refused: Counter::default(),
            largest_group: Gauge::default(),
            write_queue: Gauge::default(),
            read_queue: Gauge::default(),
            overdue_seconds: Gauge::default(),
            failures: Family::default(),
            breaker_open: Family::default(),
            resident_bytes: Gauge::default(),
            uptime_seconds: Gauge::default(),
            since: Instant::now(),
            registry: Mutex::default(),
        };
        let m = &metrics;
        registry.register("tieline_delivery_attempts", "Attempts to deliver, by outcome", m.attempts.clone());
        let about = "Time of one attempt";
        registry.register_with_unit("tieline_delivery_attempt", about, Unit::Seconds, m.attempt_seconds.clone());
        let about = "From an event to the success of its delivery";
        registry.register_with_unit("tieline_delivery_lag", about, Unit::Seconds, m.lag_seconds.clone());
        registry.register("tieline_db_groups", "Write transactions committed", m.groups.clone());
        registry.register("tieline_db_jobs", "Writes in them; their ratio is the group size", m.jobs.clone());
        registry.register("tieline_db_refused", "Reads and writes refused by a full queue", m.refused.clone());
        registry.register("tieline_db_largest_group", "Writes of the largest group", m.largest_group.clone());
        registry.register("tieline_db_write_queue", "Writes waiting now", m.write_queue.clone());
        registry.register("tieline_db_read_queue", "Reads waiting now", m.read_queue.clone());
        let about = "How long the delivery that waits longest is overdue";
        registry.register_with_unit("tieline_delivery_overdue", about, Unit::Seconds, m.overdue_seconds.clone());
        let about = "Failed attempts in a row, of the endpoints that fail most";
        registry.register("tieline_endpoint_consecutive_failures", about, m.failures.clone());
        let about = "1 while only the oldest delivery and probes go out";
        registry.register("tieline_endpoint_breaker_open", about, m.breaker_open.clone());
        let about = "Resident memory";
        registry.register_with_unit("process_resident_memory", about, Unit::Bytes, m.resident_bytes.clone());
        registry.register_with_unit("tieline_uptime", "Since the start", Unit::Seconds, m.uptime_seconds.clone());
        *metrics.registry.lock().expect("not poisoned") = registry;
        metrics
    }

    /// Shows the counter of requests that the log lost.
    pub fn requests_dropped(&self, counter: &Counter) {
        let about = "Requests that the request log could not take";
        self.registry.lock().expect("not poisoned").register("tieline_request_log_dropped", about, counter.clone());
    }

    /// Counts one attempt; does not block.
    pub fn attempt(&self, attempt: &Attempt) {
        let outcome = match attempt.status_code {
            Some(200..300) => "success",
            Some(300..400) => "3xx",
            Some(400..500) => "4xx",
            Some(_) => "5xx",
            None => "no_answer",
        };
        let ended = match attempt.ended {
            Ended::As(Status::Succeeded) => "succeeded",
            Ended::As(Status::Failed) => "failed",
            Ended::As(_) => "cancelled",
            Ended::RetryAt(_) => "retry",
        };
        self.attempts.get_or_create(&Outcome { outcome, ended }).inc();
        self.attempt_seconds.observe(seconds(attempt.duration_us));
        if attempt.ended == Ended::As(Status::Succeeded)
            && let Some(at) = attempt.delivery.0.get_timestamp()
        {
            // A delivery's id holds when it was written, which is when its event was seen.
            let (whole, nanos) = at.to_unix();
            let made = whole as i64 * 1_000_000 + i64::from(nanos / 1000);
            self.lag_seconds.observe(seconds((attempt.at + attempt.duration_us - made).max(0)));
        }
    }

    /// The text of now.
    pub async fn text(&self, db: &Db) -> String {
        let stats = db.stats();
        for (counter, value) in
            [(&self.groups, stats.groups()), (&self.jobs, stats.jobs()), (&self.refused, stats.refused())]
        {
            counter.inner().store(value, Ordering::Relaxed);
        }
        self.largest_group.set(stats.largest_group() as i64);
        self.write_queue.set(db.write_queue() as i64);
        self.read_queue.set(db.read_queue() as i64);
        self.resident_bytes.set(resident_bytes().unwrap_or(0));
        self.uptime_seconds.set(self.since.elapsed().as_secs() as i64);
        let seen: Result<_, Error> = db.read(|read| watch::watched(read, ENDPOINTS)).await;
        // A database that does not answer is what the other series are for.
        if let Ok(endpoints) = seen {
            self.failures.clear();
            self.breaker_open.clear();
            let now = db.now();
            let oldest = endpoints.iter().filter_map(|endpoint| endpoint.next_due_at).min().unwrap_or(now);
            self.overdue_seconds.set((now - oldest).max(0) / 1_000_000);
            for endpoint in endpoints {
                let labels =
                    EndpointLabels { tenant: endpoint.tenant.to_string(), endpoint: endpoint.endpoint.to_string() };
                self.failures.get_or_create(&labels).set(endpoint.consecutive_failures);
                self.breaker_open.get_or_create(&labels).set(i64::from(endpoint.breaker_open));
            }
        }
        let mut text = String::new();
        let written = encode(&mut text, &self.registry.lock().expect("not poisoned"));
        if written.is_err() { String::new() } else { text }
    }
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Linux only; elsewhere there is no such series worth reading.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<i64>().ok()? * 1024)
}
