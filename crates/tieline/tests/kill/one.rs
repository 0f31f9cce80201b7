//! One server on SQLite.

use crate::load::{CLIENTS, Told, add_webhook, in_a_thread, load, receiver, runtime, start};
use crate::support::Place;
use crate::{check, seed};
use std::sync::Arc;
use std::sync::mpsc::channel;
use tieline_testkit::sim::{Rng, rounds};

#[test]
fn a_killed_server_loses_nothing_that_it_has_acknowledged() {
    let seed = seed();
    let runtime = runtime();
    let mut rng = Rng::new(seed);
    let place = Place::new();
    let key = place.key();
    let (hook, taken) = receiver(seed);
    let mut server = start(&place);
    let (_, secret) = add_webhook(&runtime, &server.url, &key, &hook);

    let mut told = Told::default();
    for round in 0..rounds(3) {
        let (send, acknowledged) = channel();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (url, key, name) = (server.url.clone(), key.clone(), format!("{round}-{number}"));
                load(url, key, name, rng.any(), Arc::default(), send.clone())
            })
            .collect();
        drop(send);
        let load = in_a_thread(clients);
        // At the moment when so many writes have been acknowledged, wherever the others stand.
        let moment = 1 + rng.below(300);
        acknowledged.iter().take(moment).for_each(|ack| told.note(ack));
        server.child.kill().expect("it runs");
        server.child.wait().expect("it ends");
        acknowledged.iter().for_each(|ack| told.note(ack));
        load.join().expect("the clients end");
        server = start(&place);
    }

    check::all_is_there(&runtime, &server.url, &key, &told, &taken, &secret);
    assert!(server.stop(), "and it stops as it should");
}
