//! One endpoint's failures never delay another's: in virtual time, where the only thing that can delay is waiting.

use crate::network::{Behaviour, MS};
use crate::world::World;

const EVENTS: usize = 400;
const EVERY: i64 = 20 * MS;

#[test]
fn a_healthy_endpoint_does_not_notice_its_neighbours() {
    use Behaviour::{Hanging, Healthy, Refusing, Trickling};
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let run = |behaviours: &'static [Behaviour]| {
        runtime.block_on(async {
            let (mut world, endpoints) = World::calm(behaviours).await;
            world.latencies(endpoints[0], EVENTS, EVERY).await
        })
    };
    let alone = run(&[Healthy]);
    let beside = run(&[Healthy, Hanging, Refusing, Trickling]);
    for (what, at) in [("median", EVENTS / 2), ("99 of 100", EVENTS * 99 / 100), ("worst", EVENTS - 1)] {
        assert!(alone[at] > 0, "time passes");
        assert!(beside[at] <= 2 * alone[at], "{what}: {} µs beside, {} µs alone", beside[at], alone[at]);
    }
}
