//! The checked-in OpenAPI documents are those of the code.

use crate::support::Place;
use std::path::Path;

#[test]
fn the_checked_in_document_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/v1.json");
    let printed = Place::new().run(&["openapi", "v1"]).ok();
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(printed == kept, "openapi/v1.json is stale: cargo run -p tieline -- openapi v1 > openapi/v1.json");
}
