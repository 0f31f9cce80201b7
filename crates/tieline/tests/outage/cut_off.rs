//! The database cut off for ten seconds: clear 503s with Retry-After, `/readyz` red, then recovery by itself.

use crate::load::{Load, Told};
use crate::support::{Client, Place, Server};
use std::time::{Duration, Instant};
use tieline_testkit::proxy::Proxy;

/// How long it is cut off at least.
const CUT: Duration = Duration::from_secs(10);

fn cut_off(cut: impl Fn(&mut Proxy), mend: impl Fn(&mut Proxy)) {
    let place = Place::on_postgres();
    let key = place.key();
    let (mut proxy, url) = Proxy::start(place.database_url().expect("on PostgreSQL"));
    let mut command = place.command(&["serve"]);
    command.env("TIELINE_DATABASE_URL", url);
    let server = Server::start(command);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = Client::new(&server.url, &key);
    let ready = || runtime.block_on(client.get("/readyz")).0;
    assert_eq!(ready(), 200);

    let load = Load::start(&server.url, &key);
    let mut opened = Vec::new();
    let mut count = 0;
    load.until(&mut opened, "it works", |told| {
        count += usize::from(matches!(told, Told::Opened(..)));
        count == 30
    });
    cut(&mut proxy);
    let since = Instant::now();
    load.until(&mut opened, "the first is refused", |told| matches!(told, Told::Refused));
    assert_eq!(ready(), 503);
    load.until(&mut opened, "they are refused all the time", |_| since.elapsed() > CUT);
    assert_eq!(ready(), 503);
    mend(&mut proxy);
    let mut count = 0;
    load.until(&mut opened, "it works again", |told| {
        count += usize::from(matches!(told, Told::Opened(..)));
        count == 30
    });
    load.stop(&mut opened);
    // The last of its connections may still look for the server, once a second.
    while ready() != 200 {}

    for (reference, id) in &opened {
        let (status, list) = runtime.block_on(client.get(&format!("/v1/conversations?externalReference={reference}")));
        assert_eq!((status, list["data"][0]["id"].as_str()), (200, Some(id.as_str())), "{reference}: {list}");
    }
    assert!(server.stop(), "and it stops as it should");
}

#[test]
fn behind_a_network_that_swallows_everything() {
    cut_off(|proxy| proxy.swallow(), |proxy| proxy.pass());
}

#[test]
fn behind_a_network_that_ends_and_refuses_connections() {
    cut_off(Proxy::stop, Proxy::resume);
}
