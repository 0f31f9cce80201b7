//! How to authenticate, and the failures that every operation may answer: added to the document in one place.

use crate::http::document;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;

/// What went wrong. Members such as `contactId` or `requiredScope` may be added by the code.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct FailureView {
    /// Always false.
    #[schema(example = false)]
    success: bool,
    /// Stable machine word.
    #[schema(example = "contact_exists")]
    code: String,
    /// A sentence, in Portuguese or, by `Accept-Language`, in English.
    error: String,
    /// Every wrong field, for `validation_error`.
    errors: Option<Vec<WrongField>>,
    contact_id: Option<String>,
    conversation_id: Option<String>,
    required_scope: Option<String>,
    max_webhooks: Option<i64>,
    request_id: String,
}

/// One wrong field.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct WrongField {
    /// Its name.
    #[schema(example = "phoneNumber")]
    field: String,
    /// Stable machine word.
    code: String,
    /// A sentence.
    message: String,
}

/// Adds how to authenticate, and the failures to every operation that does not describe them itself.
pub fn describe(document: &mut OpenApi) {
    document::describe(document, "An API key, `sk_live_…` or `sk_test_…`.", "FailureView", "application/json");
}
