//! The API's own reference: `/docs`, `/docs/errors` and the OpenAPI documents at `/openapi/<name>.json`.
//!
//! Guarantees: nothing is loaded from elsewhere, and the pages' content security policy lets nothing be; what a problem
//! document's `type` links to exists, because both come from [`ERROR_CODES`].

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// One `code` of a problem document.
#[derive(Clone, Copy, Debug)]
pub struct ErrorCode {
    /// The stable word.
    pub code: &'static str,
    /// Its HTTP status on `/v1`.
    pub status: u16,
    /// `title` of the problem document.
    pub title: &'static str,
    /// What it means and what to do, in Markdown's `code` marks.
    pub meaning: &'static str,
}

macro_rules! codes {
    ($($status:literal $code:literal $title:literal: $meaning:literal;)+) => {
        &[$(ErrorCode { code: $code, status: $status, title: $title, meaning: $meaning }),+]
    };
}

/// Every code that `/v1` answers with, by status.
pub const ERROR_CODES: &[ErrorCode] = codes! {
    400 "validation_error" "Validation error": "Fields of the body or parameters of the query are wrong; `errors` names every one at once. Mend them and send again.";
    400 "invalid_json" "Invalid JSON": "The body is not JSON in UTF-8; `detail` says at which line and column.";
    400 "invalid_cursor" "Invalid cursor": "`cursor` is damaged, or belongs to another list or tenant. Start again without it.";
    400 "incomplete_body" "Incomplete body": "The connection ended before the whole body came. Send again.";
    401 "unauthorized" "Credentials missing": "Send a key as `Authorization: Bearer sa_live_…`.";
    401 "invalid_api_key" "Invalid API key": "The key is unknown, malformed, revoked or disabled. Make another in the settings.";
    401 "invalid_access_token" "Invalid access token": "On Chatwoot's surface: the token in `api_access_token` is no user's. Copy it again from the profile.";
    401 "invalid_token" "Invalid token": "On Chatwoot's surface: `pubsub_token` names no subscription of `/cable`. Read it again from the contact or the profile.";
    402 "quota_exceeded" "Monthly quota exceeded": "The plan's requests of this month are used up; `X-Api-Quota-Reset` says when they begin anew.";
    403 "api_disabled" "API disabled": "The plan of this tenant does not include the API.";
    403 "insufficient_scope" "Scope missing": "The key is valid but lacks `requiredScope`. Make one that has it.";
    403 "not_authorized" "Not authorized": "On Chatwoot's surface, where it is a 401: the user is no member of this inbox.";
    403 "webhooks_disabled" "Webhooks disabled": "The plan of this tenant does not include webhooks.";
    403 "link_expired" "Link expired": "A link to a file is good for an hour, if the operator says nothing else. Read the message or the attachment again for a new one.";
    403 "live_key_needed" "Live key needed": "Users belong to the live tenant; a sandbox key sees them and cannot change them.";
    404 "not_found" "Not found": "There is no such path or object, or it is another tenant's.";
    404 "event_expired" "Event expired": "The feed or stream cannot go on after this event: it is older than 30 days, or not one of this tenant. Start again without `after`.";
    405 "method_not_allowed" "Method not allowed": "The path exists but does not take this method; the header `Allow` lists those it takes.";
    408 "request_timeout" "Request timed out": "The body took too long to arrive. Send again.";
    409 "external_reference_exists" "External reference exists": "A conversation has this `externalReference` already; `conversationId` and `Location` name it. After a lost answer this is your earlier success.";
    409 "contact_exists" "Contact exists": "A contact has this identifier already; `contactId` names it.";
    409 "contact_in_use" "Contact in use": "The contact has conversations and stays. Merge it into another one instead.";
    409 "inbox_in_use" "Inbox in use": "The inbox has conversations and stays.";
    409 "external_id_exists" "External id exists": "A message in the other direction has this `externalId`; `messageId` names it.";
    409 "already_set_up" "Already set up": "This installation has its first owner already.";
    409 "slug_taken" "Slug taken": "Another tenant has this slug.";
    409 "tag_exists" "Tag exists": "A tag has this slug already; `tagId` names it.";
    409 "tag_has_children" "Tag has children": "There are tags below this one. Delete them first, or all at once with `?cascade=true`. A branch of more than 1,000 tags is moved and deleted by its parts.";
    409 "team_exists" "Team exists": "A team has this name already; `teamId` names it.";
    409 "user_exists" "User exists": "A user has this email already; `userId` names it.";
    409 "last_owner" "Last owner": "The tenant would be left without an active owner. Make somebody else an owner first.";
    409 "custom_field_exists" "Custom field exists": "A custom field has this key already; `customFieldId` names it.";
    409 "custom_field_limit_reached" "Custom field limit reached": "A contact or a conversation has at most 100 custom fields. Delete one first.";
    409 "key_inactive" "Key inactive": "A key that is disabled or has ended cannot be rotated. Make a new one.";
    409 "conversation_archived" "Conversation archived": "An archived conversation takes no replies. Open another for the same contact.";
    409 "source_id_taken" "Source id taken": "Another contact has this `source_id` in the inbox already.";
    409 "attachment_taken" "Attachment taken": "Another message has this upload already; `attachmentId` names it. Upload the file again.";
    409 "invalid_transition" "Invalid transition": "The conversation's status does not allow this change.";
    409 "delivery_pending" "Delivery pending": "The delivery has not ended: it is tried again by itself at `nextAttemptAt`.";
    409 "webhook_inactive" "Webhook inactive": "The webhook is switched off. Set `isActive` to true, then replay.";
    409 "conversation_merged" "Conversation merged": "The conversation was merged into another; `conversationId` names the one to go on with.";
    409 "different_contacts" "Different contacts": "Only conversations of one contact can be merged.";
    409 "merge_chain_too_long" "Merged too often": "The conversation was merged on and on; go on with the one that holds its messages now.";
    409 "not_outbound" "Not an outbound message": "Only messages with the direction `outbound` have a delivery status.";
    409 "tag_limit_reached" "Too many tags": "A conversation carries at most 50 tags. Take one off first.";
    409 "note_limit_reached" "Too many notes": "A contact has at most 1000 notes. Delete one first.";
    409 "snippet_exists" "Snippet exists": "A canned response has this short code already. Change that one, or take another code.";
    409 "snippet_limit_reached" "Too many snippets": "The tenant has as many canned responses as it may. Delete one first.";
    413 "payload_too_large" "Body too large": "The body is over this path's limit, 1 MiB where nothing else is said.";
    415 "unsupported_media_type" "Unsupported content type": "Send `Content-Type: application/json`; PATCH takes `application/merge-patch+json` too. Bodies are not compressed.";
    422 "idempotency_key_reused" "Idempotency key reused": "This `Idempotency-Key` came with another body before. Use a new key for a new request.";
    422 "survey_closed" "Survey closed": "The survey of satisfaction was asked too long ago to be answered.";
    429 "rate_limited" "Too many requests": "The key's requests a minute are used up. Wait for `Retry-After` seconds.";
    429 "daily_quota_exceeded" "Daily quota exceeded": "The key's requests of this day are used up; they begin anew at 00:00 UTC.";
    429 "too_many_streams" "Too many streams": "The tenant, or this server, has as many event streams open as it may. Close one, or wait for `Retry-After` seconds.";
    429 "too_many_connections" "Too many connections": "On Chatwoot's surface: the server has as many connections to `/cable` open as it may. Try again after `Retry-After` seconds.";
    429 "webhook_limit_reached" "Webhook limit reached": "The tenant has as many webhook endpoints as its plan allows. Delete one; waiting does not help.";
    429 "automation_limit_reached" "Too many rules": "The tenant has as many automation rules as it may. Delete one; waiting does not help.";
    500 "internal_error" "Internal error": "Something went wrong on our side. Send again later, and quote `requestId` if it stays.";
    503 "log_behind" "Behind for a moment": "The event log is catching up with what was written. Nothing was changed: send again after `Retry-After` seconds.";
    503 "unavailable" "Unavailable for a moment": "The server cannot write just now. Nothing was changed: send again after `Retry-After` seconds.";
};

/// Codes of single fields in `errors[]`, with their meaning.
pub const FIELD_CODES: &[(&str, &str)] = &[
    ("required", "The field is missing, or null where a value is needed."),
    ("invalid_type", "The value has another JSON type than the field, for instance a number where a string belongs."),
    (
        "invalid_value",
        "The type is right, the value is not: an unknown word, no email address, an id of another kind, a NUL character.",
    ),
    ("out_of_range", "The number is too small or too large."),
    ("too_short", "The text is too short or empty, or the list has too few items."),
    ("too_long", "The text has too many characters or bytes."),
    ("too_many", "The list has too many items, the object too many members."),
    ("too_deep", "Free-form JSON is nested too deeply, or a tree of tags has too many levels."),
    ("invalid_email", "The text is no email address."),
    ("invalid_phone", "The text is no phone number that can be kept."),
    ("invalid_slug", "A slug has lowercase letters a to z, digits and hyphens."),
    ("invalid_key", "A key of a custom field starts with a letter and has letters a to z, digits and `_`."),
    ("unknown_option", "The select field has no such option."),
    ("duplicate", "Another item of the list has this value."),
    ("unknown_id", "The id names nothing of this tenant."),
    ("unknown_scope", "The word is no scope."),
    ("immutable", "The field never changes after it was made."),
    ("invalid_cursor", "The cursor belongs to another list or tenant, or is damaged."),
    ("invalid_format", "The text is no timestamp or date of the form that is needed."),
    ("invalid_url", "The text is no whole address such as `https://example.com/hook`."),
    ("url_too_long", "The address has more than 2048 characters."),
    ("url_has_credentials", "The address holds a user name or password."),
    ("scheme_not_allowed", "The address must begin with `https://`, unless the operator allows `http://`."),
    ("address_not_allowed", "The address leads into a private or special network, which only the operator can allow."),
    ("taken", "On Chatwoot's surface: another webhook of the account has this address."),
    ("unsupported", "On Chatwoot's surface: a rule to take over asks for something that there is not here."),
    ("must_be_future", "The instant must lie in the future."),
    ("not_allowed", "The field does not go with the others, or not with the present state."),
    ("not_found", "The field names something that does not exist, or is another tenant's."),
];

/// The entry of a code; `None` for one that is not documented yet.
pub fn error_code(code: &str) -> Option<&'static ErrorCode> {
    ERROR_CODES.iter().find(|known| known.code == code)
}

const CSS: &str = include_str!("docs/page.css");
const WORDS: &str = include_str!("docs/words.js");
const PAGE_JS: &str = include_str!("docs/page.js");

/// Routes of the reference. `documents` are the OpenAPI documents by name, the first shown first, e.g. `("v1", json)`.
pub fn routes(documents: impl IntoIterator<Item = (&'static str, Bytes)>) -> Router {
    let mut names = Vec::new();
    let mut router = Router::new();
    for (name, json) in documents {
        names.push(name);
        router = router.route(&format!("/openapi/{name}.json"), Fixed::json(json).route());
    }
    let script = format!("{WORDS}\n{PAGE_JS}");
    let page = include_str!("docs/page.html").replace("{{documents}}", &names.join(","));
    let page = page.replace("{{css}}", CSS).replace("{{words}}\n{{js}}", &script);
    let router = router.route("/docs", Fixed::html(page, &script).route());
    // Whoever opens the bare address in a browser; not for ever, so that a page of its own may come to stand there.
    let router = router.route("/", get(async || Redirect::temporary("/docs")));
    router.route("/docs/errors", errors_page().route())
}

/// Everything of the table, drawn here: a link from an error works without a script.
fn errors_page() -> Fixed {
    let (mut codes, mut fields) = (String::new(), String::new());
    for ErrorCode { code, status, title, meaning } in ERROR_CODES {
        let meaning = marked(meaning);
        let _ = writeln!(
            codes,
            "<tr id=\"{code}\"><td><a href=\"#{code}\"><code>{code}</code></a></td><td>{status}</td><td><strong>{title}.</strong> {meaning}</td></tr>"
        );
    }
    for (code, meaning) in FIELD_CODES {
        let _ =
            writeln!(fields, "<tr id=\"field-{code}\"><td><code>{code}</code></td><td>{}</td></tr>", marked(meaning));
    }
    let page = include_str!("docs/errors.html").replace("{{codes}}", &codes).replace("{{fields}}", &fields);
    Fixed::html(page.replace("{{css}}", CSS).replace("{{words}}", WORDS), WORDS)
}

/// The form behind a set-up link; it posts to its own address.
pub(crate) fn setup_page() -> Response {
    let script = include_str!("docs/setup.js");
    let page = include_str!("docs/setup.html").replace("{{css}}", CSS).replace("{{js}}", script);
    Fixed::html(page, script).answer(&HeaderMap::new())
}

/// What a set-up link shows when there is nothing left to set up.
pub(crate) fn setup_done_page() -> Response {
    let page = include_str!("docs/setup_done.html").replace("{{css}}", CSS);
    let mut response = Fixed::html(page, "").answer(&HeaderMap::new());
    *response.status_mut() = StatusCode::GONE;
    response
}

/// HTML of one of our sentences, with its `code` marks.
fn marked(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    let parts = escaped.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

/// Bytes that do not change while the process runs.
#[derive(Clone)]
struct Fixed {
    body: Bytes,
    content_type: &'static str,
    etag: HeaderValue,
    policy: Option<HeaderValue>,
}

impl Fixed {
    fn json(body: Bytes) -> Fixed {
        Fixed { etag: etag(&body), body, content_type: "application/json", policy: None }
    }

    /// A page whose only script is `script` and only style the common one.
    fn html(page: String, script: &str) -> Fixed {
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
        let policy = format!(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; script-src 'sha256-{}'; style-src 'sha256-{}'",
            hash(script),
            hash(CSS)
        );
        let policy = Some(HeaderValue::from_str(&policy).expect("base64 and words of ours"));
        Fixed { etag: etag(page.as_bytes()), body: page.into(), content_type: "text/html; charset=utf-8", policy }
    }

    fn route(self) -> axum::routing::MethodRouter {
        get(async move |headers: HeaderMap| self.answer(&headers))
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let unchanged = request.get(header::IF_NONE_MATCH) == Some(&self.etag);
        let mut response =
            if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { self.body.clone().into_response() };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, self.etag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if !unchanged {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if let Some(policy) = &self.policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        }
        response
    }
}

fn etag(body: &[u8]) -> HeaderValue {
    let quoted = format!("\"{}\"", STANDARD.encode(&Sha256::digest(body)[..12]));
    HeaderValue::from_str(&quoted).expect("base64 is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use std::collections::BTreeSet;
    use std::path::Path;
    use tower::ServiceExt;

    async fn fetch(path: &str, etag: Option<&HeaderValue>) -> (StatusCode, HeaderMap, String) {
        let router =
            routes([("v1", Bytes::from_static(br#"{"openapi":"3.1.0"}"#)), ("atteny", Bytes::from_static(b"{}"))]);
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        etag.map(|etag| request.headers_mut().insert(header::IF_NONE_MATCH, etag.clone()));
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_pages_need_nothing_from_elsewhere() {
        for path in ["/docs", "/docs/errors"] {
            let (status, headers, page) = fetch(path, None).await;
            assert_eq!(status, 200);
            assert!(!page.contains("{{"), "{path} has a hole: {}", &page[page.find("{{").unwrap_or(0)..][..40]);
            assert!(
                !page.contains("src=") && !page.contains("@import") && !page.contains("<link"),
                "{path} loads something"
            );
            // The policy holds the hashes of exactly what is inside.
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            for tag in ["script", "style"] {
                let inside =
                    page.split_once(&format!("<{tag}>")).unwrap().1.split_once(&format!("</{tag}>")).unwrap().0;
                assert!(policy.contains(&STANDARD.encode(Sha256::digest(inside))), "{path} {tag}");
            }
        }
        let (_, _, page) = fetch("/docs", None).await;
        assert!(page.contains("data-documents=\"v1,atteny\""));
    }

    #[tokio::test]
    async fn the_bare_address_leads_to_the_reference() {
        for (method, expected, location) in
            [("GET", 307, Some("/docs")), ("HEAD", 307, Some("/docs")), ("POST", 405, None), ("DELETE", 405, None)]
        {
            let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
            let answer = routes([]).oneshot(request).await.unwrap();
            let found = answer.headers().get(header::LOCATION).map(|to| to.to_str().unwrap());
            assert_eq!((answer.status().as_u16(), found), (expected, location), "{method}");
        }
    }

    #[tokio::test]
    async fn an_unchanged_document_is_not_sent_again() {
        let (status, headers, body) = fetch("/openapi/v1.json", None).await;
        assert_eq!((status.as_u16(), body.as_str()), (200, r#"{"openapi":"3.1.0"}"#));
        let (status, _, body) = fetch("/openapi/v1.json", Some(&headers[header::ETAG])).await;
        assert_eq!((status.as_u16(), body.as_str()), (304, ""));
        let (status, _, _) = fetch("/openapi/v1.json", Some(&HeaderValue::from_static("\"x\""))).await;
        assert_eq!(status, 200);
    }

    #[tokio::test]
    async fn every_code_has_its_anchor() {
        let (_, _, page) = fetch("/docs/errors", None).await;
        for ErrorCode { code, .. } in ERROR_CODES {
            assert_eq!(page.matches(&format!("id=\"{code}\"")).count(), 1, "{code}");
        }
    }

    /// Every literal code given to an error in these crates is in the table, so that no `type` links to nothing.
    #[test]
    fn every_code_in_the_sources_is_documented() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut found = BTreeSet::new();
        for name in ["core", "api"] {
            sources(&crates.join(name).join("src"), &mut |text| codes_in(text, &mut found));
        }
        assert!(
            found.contains("payload_too_large") && found.contains("not_found"),
            "the search finds nothing: {found:?}"
        );
        let unknown: Vec<_> = found.iter().filter(|code| error_code(code).is_none()).collect();
        assert!(unknown.is_empty(), "add to ERROR_CODES: {unknown:?}");
    }

    fn sources(folder: &Path, see: &mut impl FnMut(&str)) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, see);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                // Tests may use codes of their own.
                see(text.split("#[cfg(test)]").next().unwrap());
            }
        }
    }

    /// The same for single fields; one that is documented nowhere would be a riddle.
    #[test]
    fn every_field_code_in_the_sources_is_documented_once() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut found = BTreeSet::new();
        for name in ["core", "api", "delivery"] {
            sources(&crates.join(name).join("src"), &mut |text| field_codes_in(text, &mut found));
        }
        assert!(
            found.contains("required") && found.contains("address_not_allowed"),
            "the search finds nothing: {found:?}"
        );
        let known: BTreeSet<&str> = FIELD_CODES.iter().map(|(code, _)| *code).collect();
        let unknown: Vec<_> = found.iter().filter(|code| !known.contains(code.as_str())).collect();
        assert!(unknown.is_empty(), "add to FIELD_CODES: {unknown:?}");
        assert_eq!(known.len(), FIELD_CODES.len(), "a code is there twice");
    }

    /// Codes in `Refusal::new("code"`, `Error::field(_, "code"`, `FieldError {{ …, code: "code"` and `refusal("code"`.
    fn field_codes_in(text: &str, found: &mut BTreeSet<String>) {
        let word = |rest: &str| {
            let word = rest.trim_start().strip_prefix('"')?.split('"').next()?;
            (!word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).then(|| word.to_owned())
        };
        for call in ["Refusal::new(", "refusal(", "code: "] {
            found.extend(text.match_indices(call).filter_map(|(at, _)| word(&text[at + call.len()..])));
        }
        for (at, call) in text.match_indices("Error::field(") {
            found.extend(text[at + call.len()..].split_once(',').and_then(|(_, rest)| word(rest)));
        }
    }

    /// Codes in `Error::new(Kind::X, "code"` and `Error::conflict("code"`.
    fn codes_in(text: &str, found: &mut BTreeSet<String>) {
        for (call, skips_kind) in [("Error::new(", true), ("Error::conflict(", false)] {
            for (at, _) in text.match_indices(call) {
                let mut rest = text[at + call.len()..].trim_start();
                if skips_kind {
                    let Some((kind, after)) = rest.split_once(',') else { continue };
                    if !kind.starts_with("Kind::") {
                        continue;
                    }
                    rest = after.trim_start();
                }
                let Some(code) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) else { continue };
                found.insert(code.to_owned());
            }
        }
    }

    /// Links of the page and functions of generated clients are named by it.
    #[test]
    fn each_operation_has_an_id_of_its_own() {
        for (name, document) in crate::documents() {
            let document = serde_json::to_value(&document).unwrap();
            let items = document["paths"].as_object().unwrap().values().filter_map(|item| item.as_object());
            let mut seen = BTreeSet::new();
            for id in items.flat_map(|item| item.values()).filter_map(|operation| operation["operationId"].as_str()) {
                assert!(seen.insert(id.to_owned()), "{name}: {id} is there twice");
            }
            assert!(seen.len() > 10, "{name}: the search finds nothing");
        }
    }

    #[test]
    fn our_code_marks_become_html() {
        assert_eq!(marked("a <b> `c & d` e"), "a &lt;b> <code>c &amp; d</code> e");
    }
}
