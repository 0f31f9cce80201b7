//! How to authenticate, and the errors that every operation of `/v1` may answer: added to the document in one place.

use utoipa::ToSchema;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder};

/// What went wrong (RFC 9457). Members such as `conversationId` or `requiredScope` may be added by the code.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct Problem {
    /// Address of the documentation of `code`.
    #[schema(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    /// A sentence: what is wrong and what to do.
    detail: String,
    /// `urn:request:<id>`
    instance: String,
    /// Stable machine word.
    #[schema(example = "validation_error")]
    code: String,
    request_id: String,
    /// Every wrong field, for `validation_error`.
    errors: Option<Vec<ProblemField>>,
    conversation_id: Option<String>,
    attachment_id: Option<String>,
    contact_id: Option<String>,
    tag_id: Option<String>,
    team_id: Option<String>,
    user_id: Option<String>,
    custom_field_id: Option<String>,
    required_scope: Option<String>,
    max_webhooks: Option<String>,
}

/// One wrong field.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct ProblemField {
    /// RFC 6901 pointer into the body; none for query parameters.
    #[schema(example = "/contact/email")]
    pointer: Option<String>,
    /// Its name.
    field: String,
    /// Stable machine word.
    code: String,
    /// A sentence.
    message: String,
}

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

/// Adds how to authenticate, and the errors to every operation that does not describe them itself.
pub fn describe(document: &mut OpenApi) {
    let mut scheme = Http::new(HttpAuthScheme::Bearer);
    scheme.description = Some("An API key, `sa_live_…` or `sa_test_…`.".to_owned());
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("key", SecurityScheme::Http(scheme));
    document.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
    for path in document.paths.paths.values_mut() {
        let operations = [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            for (status, description) in ERRORS {
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
                let response =
                    ResponseBuilder::new().description(description).content("application/problem+json", content);
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_string()).or_insert_with(|| RefOr::T(response.build()));
            }
        }
    }
}
