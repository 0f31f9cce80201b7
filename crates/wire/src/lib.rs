//! The shapes of the dialects: pure functions from state and events to bytes, pinned by golden files.

pub mod atteny;
pub mod chatwoot;
pub mod native;

use tieline_core::events::{Event, Frozen, Stored};
use tieline_core::webhooks::Format;

/// Freezes an event with all of its state. This is what [`tieline_core::ctx::Ctx::render`] is set to, but for tenants that
/// have nobody to show it to.
pub fn freeze(event: &Event) -> Frozen {
    Frozen { data: native::event::data_text(event), state: chatwoot::state::write(event) }
}

/// The body of a stored event in the format of a webhook; `previous_sequence` is the last one that this receiver was given
/// of the conversation. In Chatwoot's format this is only of an event that has no word there, such as a test: what has one
/// is told with what stands around it.
pub fn body(format: Format, event: &Stored, previous_sequence: Option<i64>) -> String {
    match format {
        Format::Native | Format::Chatwoot => native::event::body(event, previous_sequence),
        Format::Atteny => atteny::event::body(event, previous_sequence),
    }
}
