//! The health of an inbox on `/v1`.

use super::webhook::{DeliveryView, WebhookView};
use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::deliveries::Logged;
use tieline_core::ids::InboxId;
use tieline_core::inboxes::{Calls, Outcome};
use tieline_core::webhooks::Endpoint;
use utoipa::ToSchema;

/// What integrators' systems asked of an inbox, and what became of it and of its webhook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InboxHealth)]
pub struct InboxHealthView<'a> {
    #[schema(value_type = String, example = "inb_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    inbox_id: Shown<InboxId>,
    /// Calls that were done; null when there was none.
    #[schema(required)]
    accepted: Option<CallsView<'a>>,
    /// Messages that were sent again with a `source_id` that was known: they made no second message.
    #[schema(required)]
    repeated: Option<CallsView<'a>>,
    /// Calls that were refused, by reason, the last first.
    refused: Vec<CallsView<'a>>,
    /// The endpoint behind the inbox's own webhook; null without one.
    #[schema(required)]
    webhook: Option<WebhookView<'a>>,
    /// Its last deliveries, newest first.
    deliveries: Vec<DeliveryView<'a>>,
    /// Calls of this installation that no inbox can be told from: is the identifier, or the token, the right one?
    installation: UnknownCallsView,
}

/// Calls with one outcome.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InboxCalls)]
pub struct CallsView<'a> {
    /// `accepted`, `repeated`, `wrong_credentials`, `not_found`, `invalid_body`, `rate_limited` or `failed`.
    #[schema(example = "invalid_body")]
    outcome: &'static str,
    count: i64,
    last_at: Instant,
    method: &'a str,
    /// The route's template.
    route: &'a str,
    /// The status answered.
    status: i64,
    /// Why it was refused, in the words of the answer; for a repeat its `source_id`.
    #[schema(required)]
    detail: Option<&'a str>,
    /// As in `X-Request-Id`.
    request_id: &'a str,
}

/// Calls that no inbox can be told from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UnknownInboxCalls)]
pub struct UnknownCallsView {
    /// To an identifier that no API inbox has.
    unknown_identifier: CountView,
    /// With a token that nobody has.
    unknown_token: CountView,
}

/// How many, and when the last was.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InboxCallCount)]
pub struct CountView {
    count: i64,
    #[schema(required)]
    last_at: Option<Instant>,
}

impl CountView {
    fn of(calls: &[Calls], outcome: Outcome) -> CountView {
        let found = calls.iter().find(|calls| calls.outcome == outcome);
        CountView { count: found.map_or(0, |calls| calls.count), last_at: found.map(|calls| Instant(calls.last.at)) }
    }
}

impl<'a> From<&'a Calls> for CallsView<'a> {
    fn from(calls: &'a Calls) -> Self {
        let last = &calls.last;
        CallsView {
            outcome: calls.outcome.as_str(),
            count: calls.count,
            last_at: Instant(last.at),
            method: &last.method,
            route: &last.route,
            status: last.status,
            detail: last.detail.as_deref(),
            request_id: &last.request_id,
        }
    }
}

impl<'a> InboxHealthView<'a> {
    /// The view of an inbox's calls, of those for nobody, and of its webhook.
    pub fn of(
        inbox: InboxId,
        calls: &'a [Calls],
        unknown: &[Calls],
        webhook: Option<&'a (Endpoint, Vec<Logged>)>,
    ) -> Self {
        let one = |outcome| calls.iter().find(|calls| calls.outcome == outcome).map(CallsView::from);
        let is_refusal = |calls: &&Calls| !matches!(calls.outcome, Outcome::Accepted | Outcome::Repeated);
        InboxHealthView {
            inbox_id: Shown(inbox),
            accepted: one(Outcome::Accepted),
            repeated: one(Outcome::Repeated),
            refused: calls.iter().filter(is_refusal).map(CallsView::from).collect(),
            webhook: webhook.map(|(endpoint, _)| WebhookView::of(endpoint)),
            deliveries: webhook.map_or_else(Vec::new, |(_, log)| log.iter().map(DeliveryView::of).collect()),
            installation: UnknownCallsView {
                unknown_identifier: CountView::of(unknown, Outcome::UnknownIdentifier),
                unknown_token: CountView::of(unknown, Outcome::WrongCredentials),
            },
        }
    }
}
