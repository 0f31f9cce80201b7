//! The primary killed and a standby promoted under load: writes resume without a restart of ours, and nothing that was
//! acknowledged is lost.

use crate::load::{Load, Told};
use crate::support::{Client, Place, Server};
use tieline_testkit::postgres::Pair;

#[test]
fn a_promoted_standby_has_everything_that_was_acknowledged_and_takes_the_next() {
    let mut pair = Pair::start();
    let place = Place::at(&pair.url());
    let key = place.key();
    let server = Server::start(place.command(&["serve"]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = Client::new(&server.url, &key);

    let load = Load::start(&server.url, &key);
    let mut opened = Vec::new();
    let mut count = 0;
    load.until(&mut opened, "it works", |told| {
        count += usize::from(matches!(told, Told::Opened(..)));
        count == 100
    });
    pair.kill_primary();
    load.until(&mut opened, "the first is refused", |told| matches!(told, Told::Refused));
    pair.promote();
    let mut count = 0;
    load.until(&mut opened, "it works on the other", |told| {
        count += usize::from(matches!(told, Told::Opened(..)));
        count == 100
    });
    load.stop(&mut opened);

    assert!(opened.len() >= 200);
    for (reference, id) in &opened {
        let (status, list) = runtime.block_on(client.get(&format!("/v1/conversations?externalReference={reference}")));
        assert_eq!((status, list["data"][0]["id"].as_str()), (200, Some(id.as_str())), "{reference}: {list}");
    }
    assert!(server.stop(), "and it stops as it should");
}
