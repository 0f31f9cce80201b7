//! The checked-in OpenAPI documents are those of the code.

use crate::support::Place;
use std::path::Path;

#[test]
fn the_checked_in_documents_are_current() {
    for name in ["v1", "atteny", "chatwoot"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../openapi/{name}.json"));
        let printed = Place::new().run(&["openapi", name]).ok();
        let kept = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            printed == kept,
            "openapi/{name}.json is stale: cargo run -p tieline -- openapi {name} > openapi/{name}.json"
        );
    }
}
