//! The shapes of the dialects: pure functions from state and events to bytes, pinned by golden files.

pub mod atteny;
pub mod chatwoot;
pub mod native;

use tieline_core::events::Stored;
use tieline_core::webhooks::Format;

/// The body of a stored event in the format of a webhook; `previous_sequence` is the last one that this receiver was given
/// of the conversation.
pub fn body(format: Format, event: &Stored, previous_sequence: Option<i64>) -> String {
    match format {
        Format::Native => native::event::body(event, previous_sequence),
        Format::Atteny => atteny::event::body(event, previous_sequence),
    }
}
