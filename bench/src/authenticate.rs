//! What it costs to know who asks, to count them and to log them, as a share of an empty request.
//!
//! The cost is the difference between two routes in this process, one with a caller and one without, in CPU time and in
//! turns, so that what disturbs the machine disturbs both. What it is a share of is the CPU of a server of nothing, over
//! HTTP: what every request costs anyway.

use crate::Options;
use crate::load::{self, Until};
use crate::measure::Report;
use crate::process::{helper, own_cpu};
use crate::setup::Installation;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use tieline_api::caller::Caller;
use tieline_api::http::layers::Edge;
use tieline_api::limits::Publisher;
use tower::ServiceExt;

/// Requests of one turn: enough for a clock that counts in hundredths of a second, and few enough for a minute's limit.
const TURN: usize = 50_000;
/// Turns of each route.
const TURNS: usize = 5;
/// Requests between two writings of log and counts: fewer than the log's buffer holds.
const WRITTEN_EVERY: usize = 10_000;

/// Microseconds of CPU of each request on this path.
async fn turn(router: &Router, path: &str, key: &str, after: impl AsyncFn()) -> anyhow::Result<f64> {
    let before = own_cpu();
    for n in 1..=TURN {
        let request = Request::get(path).header("authorization", format!("Bearer {key}")).body(Body::empty())?;
        let response = router.clone().oneshot(request).await?;
        anyhow::ensure!(response.status() == StatusCode::NO_CONTENT, "{path}: {}", response.status());
        if n % WRITTEN_EVERY == 0 {
            after().await;
        }
    }
    Ok((own_cpu() - before) * 1e6 / TURN as f64)
}

/// The row.
pub fn authenticate(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let time = std::time::Duration::from_secs(options.seconds);
    let mut empty = Vec::new();
    for _ in 0..options.runs {
        let server = helper("empty")?;
        let before = server.cpu();
        let load = load::create(server.addr, "sa_live_x", 64, Until::Time(time), 0)?;
        empty.push((server.cpu() - before) * 1e6 / load.count as f64);
    }
    let installation = Installation::new(&[], &[])?;
    let hub = installation.hub()?;
    let routes = || {
        Router::new()
            .route("/v1/nobody", get(async || StatusCode::NO_CONTENT))
            .route("/v1/somebody", get(async |_: Caller| StatusCode::NO_CONTENT))
            .with_state(hub.clone())
    };
    let (plain, logged) = (Edge::new(None, ()), Edge::new(None, ()).log(hub.requests().clone()));
    let (plain, logged) = (plain.around(routes()), logged.around(routes()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut knows, mut logs) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let publisher = tokio::sync::Mutex::new(Publisher::new(hub.clone()));
        let publish = async || {
            let _ = publisher.lock().await.step().await;
        };
        let write = async || {
            publish().await;
            let _ = hub.requests().flush().await;
        };
        for _ in 0..TURNS {
            let nobody = turn(&plain, "/v1/nobody", &installation.key, async || {}).await?;
            let somebody = turn(&plain, "/v1/somebody", &installation.key, publish).await?;
            let kept = turn(&logged, "/v1/somebody", &installation.key, write).await?;
            knows.push(somebody - nobody);
            logs.push(kept - somebody);
        }
        anyhow::Ok(())
    })?;
    anyhow::ensure!(hub.requests().dropped().get() == 0, "the log lost rows");
    hub.db.close();
    let median = crate::measure::median;
    let (empty, knows, logs) = (median(empty), median(knows), median(logs));
    report.add(
        "authentication and limits of a request (and its row in the log)",
        format!("{knows:.2} µs of CPU ({logs:.2} µs)"),
        format!("empty request {empty:.1} µs of server CPU"),
        format!("{:.1} % ({:.1} %)", knows / empty * 100.0, logs / empty * 100.0),
        "≤ 10 %",
    );
    Ok(())
}
