//! The limits: the same rows inserted by a bare loop, the same bodies signed and posted by a bare client, the same file
//! opened and nothing else.

use crate::load::{Load, histogram};
use crate::sample;
use bytes::Bytes;
use hdrhistogram::Histogram;
use rusqlite::{Connection, params};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tieline_core::MIGRATIONS;
use tieline_db::{Config, Db};
use tieline_delivery::client::Client;
use tieline_delivery::egress::{EgressPolicy, Guard, Resolver};
use tieline_delivery::sign::{Attempt, HeaderPrefix, HeaderStyle, PreparedSecret, Signer, generate_secret};
use tokio::sync::oneshot;
use uuid::Uuid;

/// Opens a database as the engine does, with the product's schema when it is new.
pub fn open(path: &Path) -> anyhow::Result<Connection> {
    Db::open(Config::sqlite(path, MIGRATIONS))?.close();
    let conn = Connection::open(path)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -131072; pragma temp_store = memory; \
         pragma wal_autocheckpoint = 16000;",
    )?;
    Ok(conn)
}

/// The rows of one creation, without looking anything up.
fn insert(conn: &Connection, n: u64, known: &mut HashSet<u64>, data: &str) -> rusqlite::Result<()> {
    let customer = sample::customer(n);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64);
    let id = || *Uuid::now_v7().as_bytes();
    let mut contact = [0u8; 16];
    contact[..8].copy_from_slice(&customer.to_be_bytes());
    let event = |kind: &str, conversation: Option<[u8; 16]>, sequence: Option<i64>, data: &str| {
        conn.prepare_cached(
            "insert into events (id, tenant_id, type, conversation_id, inbox_id, sequence, actor, cause, data, created_at) \
             values (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            id(),
            kind,
            conversation,
            conversation,
            sequence,
            r#"{"type":"api_key","id":"key_01a1fcbf9583700187837a99bf72d42d","name":"bench"}"#,
            r#"{"type":"request","id":"req_01a1fcbf998370e5a53793b7399195f5"}"#,
            data,
            now
        ])
    };
    if known.insert(customer) {
        conn.prepare_cached(
            "insert into contacts (tenant_id, id, number, name, email, phone, external_id, custom_fields, created_at, updated_at) \
             values (1, ?1, ?5, 'Marta Kowalska', ?2, ?3, null, '{}', ?4, ?4)",
        )?
        .execute(params![contact, sample::email(customer), sample::phone(customer), now, 2 * n as i64])?;
        for (kind, value) in [("email", sample::email(customer)), ("phone", sample::phone(customer))] {
            conn.prepare_cached(
                "insert into handles (tenant_id, kind, match_key, value, contact_id, is_primary, created_at) \
                 values (1, ?1, ?2, ?2, ?3, 1, ?4)",
            )?
            .execute(params![kind, value, contact, now])?;
        }
        event("contact.created", None, None, &data[..300])?;
    }
    let conversation = id();
    conn.prepare_cached(
        "insert into conversations (tenant_id, id, number, inbox_id, contact_id, channel, subject, status, engagement, \
         external_reference, custom_fields, metadata, reopen_count, event_sequence, message_count, is_held, last_message_at, \
         last_contact_message_at, created_at, updated_at) \
         values (1, ?1, ?2, ?3, ?3, 'email', ?4, 'active', 'pending', ?5, '{}', ?6, 0, 2, 1, false, ?7, ?7, ?7, ?7)",
    )?
    .execute(params![
        conversation,
        n as i64,
        contact,
        sample::SUBJECT,
        format!("r-{n:012}"),
        sample::METADATA,
        now
    ])?;
    conn.prepare_cached(
        "insert into messages (tenant_id, id, number, conversation_id, direction, author_type, author_id, author_name, text, \
         sent_at, created_at, updated_at) \
         values (1, ?1, ?6, ?2, 'inbound', 'contact', ?3, 'Marta Kowalska', ?4, ?5, ?5, ?5)",
    )?
    .execute(params![id(), conversation, contact, sample::TEXT, now, 2 * n as i64 + 1])?;
    event("conversation.created", Some(conversation), Some(1), &data[..800])?;
    event("message.received", Some(conversation), Some(2), data)?;
    Ok(())
}

/// Inserts the rows of creations with group commit, 64 callers waiting, one writer thread.
pub fn insert_loop(path: &Path, time: Duration) -> anyhow::Result<Load> {
    let conn = open(path)?;
    let (send, queue) = mpsc::channel::<(u64, oneshot::Sender<()>)>();
    let writer = std::thread::spawn(move || -> rusqlite::Result<()> {
        let data = "x".repeat(1300);
        let (mut waiting, mut known) = (Vec::with_capacity(256), HashSet::new());
        while let Ok((n, done)) = queue.recv() {
            conn.prepare_cached("begin immediate")?.execute([])?;
            insert(&conn, n, &mut known, &data)?;
            waiting.push(done);
            while waiting.len() < 256 {
                let Ok((n, done)) = queue.try_recv() else { break };
                insert(&conn, n, &mut known, &data)?;
                waiting.push(done);
            }
            conn.prepare_cached("commit")?.execute([])?;
            for done in waiting.drain(..) {
                let _ = done.send(());
            }
        }
        Ok(())
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let load = runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..64 {
            let (send, next) = (send.clone(), next.clone());
            tasks.push(tokio::spawn(async move {
                let mut latency = histogram();
                while started.elapsed() < time {
                    let (done, wait) = oneshot::channel();
                    let sent = Instant::now();
                    if send.send((next.fetch_add(1, Ordering::Relaxed), done)).is_err() || wait.await.is_err() {
                        break;
                    }
                    latency.saturating_record(sent.elapsed().as_micros() as u64);
                }
                latency
            }));
        }
        let mut latency_us = histogram();
        for task in tasks {
            latency_us.add(&task.await?)?;
        }
        anyhow::Ok(Load { count: latency_us.len(), seconds: started.elapsed().as_secs_f64(), latency_us })
    })?;
    drop(send);
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    Ok(load)
}

fn client() -> anyhow::Result<(Client, EgressPolicy)> {
    let policy = EgressPolicy::parse("127.0.0.1/32", true).map_err(anyhow::Error::msg)?;
    Ok((Client::new(Guard::new(policy.clone(), Resolver::System), &[])?, policy))
}

fn signer() -> anyhow::Result<Signer> {
    let style = HeaderStyle::Product(HeaderPrefix::parse("X-Tieline").map_err(anyhow::Error::msg)?);
    Ok(Signer::new(PreparedSecret::new(&generate_secret([1; 32])), Vec::new(), style))
}

/// Signs and posts, nothing recorded: `in_flight` at a time over the receivers in turn.
pub fn post_loop(receivers: &[SocketAddr], in_flight: usize, time: Duration) -> anyhow::Result<Load> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (client, policy) = client()?;
    let signer = Arc::new(signer()?);
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for index in 0..in_flight {
            let (client, signer, next) = (client.clone(), signer.clone(), next.clone());
            let url = policy.check_url(&format!("http://{}/hook", receivers[index % receivers.len()]))?;
            tasks.push(tokio::spawn(async move {
                let mut latency = histogram();
                while started.elapsed() < time {
                    let sent = Instant::now();
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let status = post(&client, &signer, &url, n, crate::setup::payload(n)).await?;
                    anyhow::ensure!(status == Some(200), "status {status:?}");
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

async fn post(
    client: &Client,
    signer: &Signer,
    url: &tieline_delivery::egress::CheckedUrl,
    n: u64,
    body: String,
) -> anyhow::Result<Option<u16>> {
    let (id, delivery) = (format!("evt_{n:032}"), format!("dlv_{n:032}"));
    let at_seconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    let attempt = Attempt {
        webhook_id: &id,
        event: "conversation.created",
        delivery_id: &delivery,
        at_seconds,
        body: body.as_bytes(),
    };
    let headers = signer.headers(&attempt)?;
    Ok(client.post(url, headers, Bytes::from(body), Duration::from_secs(10)).await.status)
}

/// Signed POSTs at a steady rate, the time of sending in the reference: the least that a delivery can take. The times from
/// each POST to its answer.
pub fn paced_posts(receiver: SocketAddr, per_second: u64, seconds: u64) -> anyhow::Result<Histogram<u64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (client, policy) = client()?;
    let (signer, url) = (signer()?, policy.check_url(&format!("http://{receiver}/hook"))?);
    runtime.block_on(async {
        let mut tick = tokio::time::interval(Duration::from_nanos(1_000_000_000 / per_second));
        let mut latency = histogram();
        for n in 0..per_second * seconds {
            tick.tick().await;
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_micros();
            let sent = Instant::now();
            post(&client, &signer, &url, n, sample::body(&format!("t-{now}-{n}"), n)).await?;
            latency.saturating_record(sent.elapsed().as_micros() as u64);
        }
        Ok(latency)
    })
}

/// The median time of one flush at a steady rate and its 99th percentile, in microseconds: as many pages written to a file
/// of this folder as a creation and its delivery change.
pub fn paced_flushes(folder: &Path, per_second: u64, seconds: u64) -> anyhow::Result<(f64, f64)> {
    use std::io::{Seek, Write};
    let mut file = std::fs::File::create(folder.join("flushes"))?;
    let mut latency = histogram();
    let pages = vec![7u8; 32 * 4096];
    // A log that has started over is as long as it gets.
    (0..per_second * seconds).try_for_each(|_| file.write_all(&pages))?;
    file.sync_all()?;
    file.rewind()?;
    for _ in 0..per_second * seconds {
        std::thread::sleep(Duration::from_nanos(1_000_000_000 / per_second));
        let started = Instant::now();
        file.write_all(&pages)?;
        file.sync_data()?;
        latency.saturating_record(started.elapsed().as_micros() as u64);
    }
    Ok((latency.value_at_quantile(0.5) as f64, latency.value_at_quantile(0.99) as f64))
}
