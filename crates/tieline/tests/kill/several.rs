//! Two nodes on one PostgreSQL.

use crate::load::{Ack, CLIENTS, Told, add_webhook, in_a_thread, load, receiver, runtime, start};
use crate::support::{Place, Server, answer};
use crate::{check, seed};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use tieline_core::MIGRATIONS;
use tieline_db::{Config, Db, Error};
use tieline_testkit::sim::{Rng, rounds};

/// Writes that are acknowledged before the first, and between the first and the second restart, of the rolling one.
const BETWEEN: usize = 40;

/// Attempts that were made after the delivery's recorded success.
const AFTER_SUCCESS: &str = "select count(*) from attempts s join attempts l on l.tenant_id = s.tenant_id \
     and l.delivery_id = s.delivery_id and l.number > s.number where s.status_code between 200 and 299";
/// Deliveries without an end.
const PENDING: &str = "select count(*) from deliveries where status = 'pending'";

#[test]
fn killed_nodes_lose_nothing_and_send_nothing_after_its_success() {
    let seed = seed();
    let (runtime, mut rng) = (runtime(), Rng::new(seed));
    let place = Place::on_postgres();
    let key = place.key();
    let (hook, taken) = receiver(seed);
    let mut nodes = [start(&place), start(&place)];
    let (_, secret) = add_webhook(&runtime, &nodes[0].url, &key, &hook);

    let mut told = Told::default();
    for round in 0..rounds(3) {
        let (send, acknowledged) = channel();
        let stop: Arc<AtomicBool> = Arc::default();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (url, key, name) = (nodes[number % 2].url.clone(), key.clone(), format!("{round}-{number}"));
                load(url, key, name, rng.any(), stop.clone(), send.clone())
            })
            .collect();
        drop(send);
        let load = in_a_thread(clients);
        let (victim, moment) = (rng.below(2), 1 + rng.below(150));
        acknowledged.iter().take(moment).for_each(|ack| told.note(ack));
        nodes[victim].child.kill().expect("it runs");
        nodes[victim].child.wait().expect("it ends");
        // The other one goes on.
        acknowledged.iter().take(moment).for_each(|ack| told.note(ack));
        stop.store(true, Ordering::Relaxed);
        acknowledged.iter().for_each(|ack| told.note(ack));
        load.join().expect("the clients end");
        nodes[victim] = start(&place);
    }

    check::all_is_there(&runtime, &nodes[1].url, &key, &told, &taken, &secret);
    let [one, other] = nodes;
    assert!(one.stop() && other.stop(), "and they stop as they should");
    let db = Db::open(Config::postgres(place.database_url().expect("on PostgreSQL"), MIGRATIONS)).expect("opens");
    let count = |sql: &'static str| {
        let found = runtime.block_on(db.read(move |read| read.opt(sql, &[], |row| row.get::<i64>(0))));
        found.map_err(|error: Error| error).expect("reads").expect("a number")
    };
    assert_eq!(count(AFTER_SUCCESS), 0, "nothing is sent after its recorded success");
    assert_eq!(count(PENDING), 0);
    db.close();
}

/// Opens conversations, each asked for again, at the other node, until it is answered.
async fn insist(urls: Arc<Mutex<[String; 2]>>, key: String, number: usize, stop: Arc<AtomicBool>, told: Sender<Ack>) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    for count in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let reference = format!("order-{number}-{count}");
        let body = json!({
            "externalReference": reference,
            "contact": {"email": format!("person{number}@example.com")},
            "subject": "Where is my parcel?",
            "outboundContext": {"originalMessage": "Hello, where is it?"},
        });
        for attempt in 0.. {
            let url = urls.lock().expect("not poisoned")[(number + attempt) % 2].clone();
            let request = http.post(format!("{url}/v1/conversations/outbound")).bearer_auth(&key);
            let request = request.header("idempotency-key", &reference).json(&body);
            let Ok(response) = request.try_clone().expect("can be repeated").send().await else {
                tokio::task::yield_now().await;
                continue;
            };
            assert_eq!(response.status(), 201, "only a connection may be refused");
            let Ok(view) = response.json::<serde_json::Value>().await else { continue };
            let _ = told.send(Ack::Opened(reference, view["id"].as_str().expect("an id").to_owned()));
            break;
        }
    }
}

#[test]
fn a_rolling_restart_loses_no_request_that_is_tried_again() {
    let seed = seed();
    let runtime = runtime();
    let place = Place::on_postgres();
    let key = place.key();
    let (hook, taken) = receiver(seed);
    let mut nodes = [start(&place), start(&place)];
    let (_, secret) = add_webhook(&runtime, &nodes[0].url, &key, &hook);
    let urls = Arc::new(Mutex::new([nodes[0].url.clone(), nodes[1].url.clone()]));
    let (stop, mut told): (Arc<AtomicBool>, _) = (Arc::default(), Told::default());
    let (send, acknowledged) = channel();
    let clients: Vec<_> =
        (0..CLIENTS).map(|number| insist(urls.clone(), key.clone(), number, stop.clone(), send.clone())).collect();
    drop(send);
    let load = in_a_thread(clients);
    for (index, slot) in nodes.iter_mut().enumerate() {
        acknowledged.iter().take(BETWEEN).for_each(|ack| told.note(ack));
        let fresh = start(&place); // the other way round would leave one node alone; both are allowed
        let old: Server = std::mem::replace(slot, fresh);
        urls.lock().expect("not poisoned")[index] = slot.url.clone();
        assert!(old.stop(), "it answers what it has taken, and ends");
    }
    acknowledged.iter().take(BETWEEN).for_each(|ack| told.note(ack));
    stop.store(true, Ordering::Relaxed);
    acknowledged.iter().for_each(|ack| told.note(ack));
    load.join().expect("the clients end");
    let (status, list) = runtime.block_on(answer(
        reqwest::Client::builder().no_proxy().build().expect("a client").get(format!("{}/readyz", nodes[0].url)),
    ));
    assert_eq!(status, 200, "{list}");
    check::all_is_there(&runtime, &nodes[1].url, &key, &told, &taken, &secret);
}
