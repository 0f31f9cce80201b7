//! Conversations on `/v1` (contract A5, B1, B2, D3).

mod change;
mod open;
mod read;

pub(crate) use open::refusal;
pub(crate) use open::{content, sent_at};

use crate::hub::Hub;
use utoipa_axum::router::OpenApiRouter;

/// Routes of this folder.
pub fn router() -> OpenApiRouter<Hub> {
    open::router().merge(read::router()).merge(change::router())
}
