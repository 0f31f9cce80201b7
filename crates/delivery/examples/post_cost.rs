//! What one signed delivery costs this process: CPU time per POST over kept-alive loopback connections, receiver in a
//! process of its own. `cargo run --release -p tieline-delivery --example post_cost [seconds] [in flight]`

use bytes::Bytes;
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};
use tieline_delivery::{
    client::{Client, DEFAULT_TIMEOUT},
    egress::{EgressPolicy, Guard, Resolver},
    sign::{Attempt, HeaderStyle, PreparedSecret, Signer, generate_secret},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::Builder,
};

static SENT: AtomicU64 = AtomicU64::new(0);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    if arguments.first().is_some_and(|first| first == "receive") {
        return Builder::new_current_thread().enable_all().build().unwrap().block_on(receive());
    }
    let mut receiver = Command::new(std::env::current_exe().unwrap())
        .arg("receive")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts itself");
    let mut port = String::new();
    BufReader::new(receiver.stdout.take().unwrap()).read_line(&mut port).unwrap();
    for threads in [1, 2] {
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        runtime.block_on(measure(port.trim(), threads, number(0, 3), number(1, 16)));
    }
    receiver.kill().unwrap();
    receiver.wait().unwrap();
}

async fn measure(port: &str, threads: usize, seconds: u64, in_flight: u64) {
    let guard = Guard::new(EgressPolicy::parse("127.0.0.1", true).unwrap(), Resolver::System);
    let url = guard.check_at_save(&format!("http://127.0.0.1:{port}/hook")).await.unwrap();
    let client = Client::new(guard, &[]).unwrap();
    let body = Bytes::from(format!(r#"{{"id":"evt_1","data":"{}"}}"#, "x".repeat(1200)));
    let secret = PreparedSecret::new(&generate_secret([7; 32]));
    let signer = Signer::new(secret, vec![], HeaderStyle::Product(Default::default()));

    let (started, rounds) = (Instant::now(), 200_000);
    for n in 0..rounds {
        std::hint::black_box(signer.headers(&attempt(n, &body)).unwrap());
    }
    println!(
        "headers and signatures of {} bytes: {:.2} µs",
        body.len(),
        started.elapsed().as_secs_f64() * 1e6 / rounds as f64
    );

    SENT.store(0, Relaxed);
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let end = started + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| {
            let (client, url, body, signer) = (client.clone(), url.clone(), body.clone(), signer.clone());
            tokio::spawn(async move {
                while Instant::now() < end {
                    let headers = signer.headers(&attempt(1_772_615_700, &body)).unwrap();
                    let outcome = client.post(&url, headers, body.clone(), DEFAULT_TIMEOUT).await;
                    assert_eq!((outcome.status, outcome.error), (Some(200), None));
                    SENT.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let (sent, cpu) = (SENT.load(Relaxed) as f64, cpu_seconds() - cpu);
    println!(
        "{threads} threads, {in_flight} in flight: {:.0} posts/s, {:.1} µs of CPU each, signing included",
        sent / started.elapsed().as_secs_f64(),
        cpu * 1e6 / sent
    );
}

fn attempt(at_seconds: i64, body: &[u8]) -> Attempt<'_> {
    Attempt {
        webhook_id: "evt_01920000000070008000000000000001",
        event: "message.received",
        delivery_id: "dlv_01920000000070008000000000000002",
        at_seconds,
        body,
    }
}

/// User and system time of this process so far, to a hundredth of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<f64> = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2).flat_map(str::parse).collect();
    fields.iter().sum::<f64>() / 100.0
}

/// Answers 200 to whatever ends a request of a known length; only as much of HTTP as the measurement needs.
async fn receive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = Vec::with_capacity(8192);
            while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                if request.ends_with(b"x\"}") {
                    request.clear();
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                }
            }
        });
    }
}
