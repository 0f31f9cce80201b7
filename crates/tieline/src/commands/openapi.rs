//! `tieline openapi`.

use super::print;
use crate::cli::Api;

/// Prints the document, as `openapi/` holds it.
pub fn run(api: Api) -> anyhow::Result<()> {
    let wanted = match api {
        Api::V1 => "v1",
        Api::Atteny => "atteny",
        Api::Chatwoot => "chatwoot",
    };
    for (_, document) in tieline_api::documents().into_iter().filter(|(name, _)| *name == wanted) {
        print(&document.to_pretty_json()?)?;
    }
    Ok(())
}
