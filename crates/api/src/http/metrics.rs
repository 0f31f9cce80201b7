//! What is measured of each response: one histogram, whose `_count` is the number of requests.
//!
//! Labels are bounded: routes are templates, unknown paths and methods share one value each.

use super::error::Dialect;
use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// Upper bounds of the latency histogram in seconds; an answer costs about 0.3 ms with its commit.
const BUCKETS_SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// One response that left.
#[derive(Debug)]
pub struct Observation<'r> {
    /// Whose path it was.
    pub dialect: Dialect,
    /// The route's template, e.g. `/v1/conversations/{id}`; `unmatched` without one.
    pub route: &'r str,
    /// The request's method.
    pub method: &'r Method,
    /// The response's status.
    pub status: StatusCode,
    /// From the request's head to the response's head.
    pub elapsed: Duration,
}

/// Told once per response.
pub trait Observer: Send + Sync + 'static {
    /// Must not block.
    fn observe(&self, response: &Observation<'_>);
}

/// Tells nobody.
impl Observer for () {
    fn observe(&self, _: &Observation<'_>) {}
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    dialect: &'static str,
    route: String,
    method: &'static str,
    status: &'static str,
}

/// `tieline_http_request_duration_seconds{dialect, route, method, status}`, status as a class (`2xx`).
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    duration: Family<Labels, Histogram>,
}

impl HttpMetrics {
    /// Registers the family.
    pub fn register(registry: &mut Registry) -> HttpMetrics {
        let duration = Family::new_with_constructor((|| Histogram::new(BUCKETS_SECONDS)) as fn() -> Histogram);
        let help = "Time from a request's head to its response's head";
        registry.register_with_unit("tieline_http_request_duration", help, Unit::Seconds, duration.clone());
        HttpMetrics { duration }
    }
}

impl Observer for HttpMetrics {
    fn observe(&self, response: &Observation<'_>) {
        let labels = Labels {
            dialect: response.dialect.as_str(),
            route: response.route.to_owned(),
            method: method(response.method),
            status: class(response.status),
        };
        self.duration.get_or_create(&labels).observe(response.elapsed.as_secs_f64());
    }
}

/// Methods are a client's free choice; only those we route get a series of their own.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

/// The text of OpenMetrics as Prometheus's older format, which more programs read: counters and infos are called there what
/// their samples are called, and neither units nor an end are told.
pub fn classic(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help = "";
    for line in open.lines() {
        let described = line.strip_prefix("# TYPE ").and_then(|described| described.split_once(' '));
        if let Some((name, kind)) = described {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let about = help.split_once(' ').map_or("", |(_, about)| about);
            text.push_str(&format!("# HELP {name}{suffix} {about}\n# TYPE {name}{suffix} {kind}\n"));
        } else if let Some(given) = line.strip_prefix("# HELP ") {
            help = given;
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_counted_under_bounded_labels() {
        let mut registry = Registry::default();
        let metrics = HttpMetrics::register(&mut registry);
        for name in ["BREW", "MELT"] {
            metrics.observe(&Observation {
                dialect: Dialect::V1,
                route: "unmatched",
                method: &Method::from_bytes(name.as_bytes()).unwrap(),
                status: StatusCode::METHOD_NOT_ALLOWED,
                elapsed: Duration::from_millis(3),
            });
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let count = "tieline_http_request_duration_seconds_count{dialect=\"v1\",route=\"unmatched\",method=\"other\",status=\"4xx\"} 2";
        assert!(text.contains(count), "{text}");
    }

    #[test]
    fn the_older_format_names_counters_as_their_samples() {
        let open = "# HELP a_b Things.\n# TYPE a_b counter\na_b_total{x=\"y\"} 2\n# HELP c It.\n# TYPE c info\nc_info{v=\"1\"} 1\n\
                    # HELP d_seconds Time.\n# TYPE d_seconds gauge\n# UNIT d_seconds seconds\nd_seconds 3\n# EOF\n";
        let classic = super::classic(open);
        let expected = "# HELP a_b_total Things.\n# TYPE a_b_total counter\na_b_total{x=\"y\"} 2\n# HELP c_info It.\n\
                        # TYPE c_info gauge\nc_info{v=\"1\"} 1\n# HELP d_seconds Time.\n# TYPE d_seconds gauge\nd_seconds 3\n";
        assert_eq!(classic, expected);
    }
}
