//! `tieline openapi`.

use super::print;
use crate::cli::Api;

/// Prints the document, as `openapi/` holds it.
pub fn run(api: Api) -> anyhow::Result<()> {
    let Api::V1 = api;
    print(&tieline_api::document().to_pretty_json()?)
}
