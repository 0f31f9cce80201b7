//! Load over plain sockets: the cheapest client, so that the server is what is measured.

use crate::sample;
use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a load came to.
#[derive(Clone, Debug)]
pub struct Load {
    /// Requests answered with 201.
    pub count: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Latencies in microseconds.
    pub latency_us: Histogram<u64>,
}

impl Load {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.seconds
    }
}

/// A new latency histogram, 1 µs to 2 min.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).expect("valid bounds")
}

/// A request with this body.
pub fn request(key: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// One keep-alive connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    pub async fn connect(addr: SocketAddr) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, buffer: Vec::with_capacity(8192) })
    }
    /// Sends a request and reads the answer's status; its body is in [`Client::body`].
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            let Ok(httparse::Status::Complete(head)) = response.parse(&self.buffer) else { continue };
            let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
            let length: usize = length
                .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
                .context("an answer without a length")?;
            let status = response.code.unwrap_or(0);
            while self.buffer.len() < head + length {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    bail!("the server closed the connection");
                }
            }
            self.buffer.drain(..head);
            return Ok(status);
        }
    }
    /// The last answer's body.
    pub fn body(&self) -> &[u8] {
        &self.buffer
    }
}

fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// When a load ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// After this time.
    Time(Duration),
    /// After this many requests.
    Count(u64),
}

/// Creations in a closed loop over `connections`, conversations numbered from `first`.
pub fn create(addr: SocketAddr, key: &str, connections: usize, until: Until, first: u64) -> anyhow::Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..connections {
            let (key, next) = (key.to_owned(), next.clone());
            tasks.push(tokio::spawn(async move {
                let mut client = Client::connect(addr).await?;
                let mut latency = histogram();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    match until {
                        Until::Time(time) if started.elapsed() >= time => break,
                        Until::Count(count) if n >= count => break,
                        _ => {}
                    }
                    let n = first + n;
                    let body = sample::body(&format!("r-{n:012}"), n);
                    let request = request(&key, "/v1/conversations/outbound", &body);
                    let sent = Instant::now();
                    let status = client.send(&request).await?;
                    if status != 201 {
                        bail!("status {status}: {}", String::from_utf8_lossy(client.body()));
                    }
                    latency.saturating_record(sent.elapsed().as_micros() as u64);
                }
                Ok(latency)
            }));
        }
        let mut latency_us = histogram();
        for task in tasks {
            latency_us.add(&task.await??)?;
        }
        Ok(Load { count: latency_us.len(), seconds: started.elapsed().as_secs_f64(), latency_us })
    })
}

/// Creations at a steady rate, one connection; the time of sending is written into the reference. Answers how many, and the
/// median time to their answers in microseconds.
pub fn paced(addr: SocketAddr, key: &str, per_second: u64, seconds: u64, path: &str) -> anyhow::Result<(u64, f64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::connect(addr).await?;
        let mut tick = tokio::time::interval(Duration::from_nanos(1_000_000_000 / per_second));
        let count = per_second * seconds;
        let mut latency = histogram();
        for n in 0..count {
            tick.tick().await;
            let body = sample::body(&format!("t-{}-{n}", micros()), n);
            let sent = Instant::now();
            let status = client.send(&request(key, path, &body)).await?;
            latency.saturating_record(sent.elapsed().as_micros() as u64);
            if !(200..300).contains(&status) {
                bail!("status {status}: {}", String::from_utf8_lossy(client.body()));
            }
        }
        Ok((count, latency.value_at_quantile(0.5) as f64))
    })
}

/// Gets a path in a loop; answers the median in microseconds.
pub fn get_median(addr: SocketAddr, key: &str, paths: &[String]) -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::connect(addr).await?;
        let mut latency = histogram();
        for path in paths {
            let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\r\n");
            let sent = Instant::now();
            let status = client.send(request.as_bytes()).await?;
            if status != 200 {
                bail!("status {status} for {path}: {}", String::from_utf8_lossy(client.body()));
            }
            latency.saturating_record(sent.elapsed().as_micros() as u64);
        }
        Ok(latency.value_at_quantile(0.5) as f64)
    })
}

/// What a receiver has counted, and the latencies since last asked: count, p50, p99 (microseconds).
pub fn ask(receiver: SocketAddr) -> anyhow::Result<(u64, f64, f64)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut client = Client::connect(receiver).await?;
        client.send(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await?;
        let text = String::from_utf8(client.body().to_vec())?;
        let numbers: Vec<f64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [count, p50, p99] => Ok((count as u64, p50, p99)),
            _ => bail!("a receiver said {text:?}"),
        }
    })
}
