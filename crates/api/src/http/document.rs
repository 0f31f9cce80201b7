//! What every operation of a dialect's document has in common: how to authenticate, the errors it may answer, and how a
//! creation is repeated safely.

use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

const ERRORS: [(u16, &str); 13] = [
    (400, "Not valid: every wrong field is named"),
    (401, "No key, or one that does not work"),
    (402, "The quota is used up"),
    (403, "The key may not do this"),
    (404, "Not there, or another tenant's"),
    (408, "The body took too long to arrive"),
    (409, "Against the present state"),
    (413, "The body is too large"),
    (415, "The body is not JSON"),
    (422, "The Idempotency-Key was used for another request"),
    (429, "Too many requests, or a count limit is reached"),
    (500, "Our fault"),
    (503, "Not now: try again after Retry-After"),
];

/// Adds bearer keys, described by `key`, and the errors to every operation that does not describe them itself; their bodies
/// have the schema of this name and this content type.
pub fn describe(document: &mut OpenApi, key: &str, schema: &str, content_type: &str) {
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.description = Some(key.to_owned());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(scheme));
    document.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
    for path in document.paths.paths.values_mut() {
        if let Some(post) = &mut path.post {
            repeatable(post);
        }
        let operations = [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            for (status, description) in ERRORS {
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
                let response = ResponseBuilder::new().description(description).content(content_type, content);
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_string()).or_insert_with(|| RefOr::T(response.build()));
            }
        }
    }
}

/// Every POST takes an `Idempotency-Key` (contract D1.6).
fn repeatable(post: &mut Operation) {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    let about = "Any text of your own, such as a UUID: for 24 hours the same key with the same body gets the first answer \
                 again instead of doing it twice.";
    let header = ParameterBuilder::new().name("Idempotency-Key").parameter_in(ParameterIn::Header);
    post.parameters.get_or_insert_default().push(header.description(Some(about)).schema(Some(text)).build().into());
}
