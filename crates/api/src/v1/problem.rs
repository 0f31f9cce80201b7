//! How to authenticate, and the errors that every operation of `/v1` may answer: added to the document in one place.

use crate::http::document;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;

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
    message_id: Option<String>,
    attachment_id: Option<String>,
    contact_id: Option<String>,
    tag_id: Option<String>,
    team_id: Option<String>,
    user_id: Option<String>,
    custom_field_id: Option<String>,
    required_scope: Option<String>,
    max_webhooks: Option<i64>,
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

/// Adds how to authenticate, and the errors to every operation that does not describe them itself.
pub fn describe(document: &mut OpenApi) {
    document::describe(document, "An API key, `sa_live_…` or `sa_test_…`.", "Problem", "application/problem+json");
}
