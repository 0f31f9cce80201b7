//! Writes down when keys were last used: gathered in memory, one write every half minute, so that a request costs none.

use crate::hub::Hub;
use std::time::Duration;
use tieline_core::complain;
use tieline_core::{Error, keys};
use tokio::sync::watch;

/// Time between two writes; with it `lastUsedAt` is at most a minute late (contract D2.7).
const EVERY: Duration = Duration::from_secs(30);

/// Writes what has gathered; the number of keys. A failed write is not repeated: the next use of a key tells again.
pub async fn flush(hub: &Hub) -> Result<usize, Error> {
    let used = hub.principals.take_used();
    let count = used.len();
    if count > 0 {
        hub.db.write(move |tx| keys::note_used(tx, &used)).await?;
    }
    Ok(count)
}

/// Flushes until `stop` is true, and once more then.
pub async fn run(hub: Hub, mut stop: watch::Receiver<bool>) {
    loop {
        let stopping = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        if let Err(error) = flush(&hub).await {
            complain!(error, "cannot note when keys were last used");
        }
        if stopping {
            return;
        }
    }
}
