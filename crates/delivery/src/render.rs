//! From an event of the log to the bodies that an endpoint gets of it, in its format.

pub use crate::chatwoot::{Scene, View};

use tieline_core::Result;
use tieline_core::events::Stored;
use tieline_core::webhooks::{Endpoint, Format};
use tieline_db::Read;

/// The bodies of an event for an endpoint, each with its name in the format; `last` is the place in the conversation of
/// what the endpoint was given last, and moves on.
pub fn bodies(
    read: &mut Read,
    view: &mut View<'_>,
    endpoint: &Endpoint,
    event: &Stored,
    last: &mut Option<i64>,
) -> Result<Vec<(String, String)>> {
    if endpoint.format == Format::Chatwoot {
        let bodies = view.bodies(read, endpoint, event, last)?;
        return Ok(bodies.into_iter().map(|(word, body)| (word.to_owned(), body)).collect());
    }
    let previous = std::mem::replace(last, event.sequence);
    let body = tieline_wire::body(endpoint.format, event, previous);
    Ok(vec![(endpoint.format.word(&event.name).to_owned(), body)])
}
