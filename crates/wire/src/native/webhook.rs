//! Webhook endpoints on `/v1` (contract D4.1).

use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::deliveries::{Logged, LoggedAttempt};
use tieline_core::ids::{DeliveryId, EndpointId, EventId, InboxId};
use tieline_core::webhooks::{Endpoint, Missed};
use utoipa::ToSchema;

/// A webhook endpoint. Its secret is shown only when it is made or rotated.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookView<'a> {
    #[schema(value_type = String, example = "wh_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<EndpointId>,
    name: &'a str,
    #[schema(required)]
    description: Option<&'a str>,
    url: &'a str,
    /// Names of events in the words of the format, or `*`.
    events: Vec<&'a str>,
    /// `native`, `atteny` or `chatwoot`.
    format: &'static str,
    header_prefix: &'a str,
    max_attempts: i64,
    /// Only events of these inboxes; null for all.
    #[schema(required, value_type = Option<Vec<String>>)]
    inbox_ids: Option<Vec<Shown<InboxId>>>,
    is_active: bool,
    /// `manual`, `failures` or `gone` while it is off.
    #[schema(required, value_type = Option<String>)]
    disabled_reason: Option<&'static str>,
    #[schema(required)]
    disabled_at: Option<Instant>,
    secret_prefix: &'a str,
    /// Until when the secret before the last rotation still signs too.
    #[schema(required)]
    previous_secret_expires_at: Option<Instant>,
    consecutive_failures: i64,
    /// While true only the oldest waiting delivery is tried, and a probe every minute.
    breaker_open: bool,
    #[schema(required)]
    last_success_at: Option<Instant>,
    #[schema(required)]
    last_failure_at: Option<Instant>,
    created_at: Instant,
    updated_at: Instant,
}

impl<'a> WebhookView<'a> {
    /// The view of `endpoint`.
    pub fn of(endpoint: &'a Endpoint) -> Self {
        WebhookView {
            id: Shown(endpoint.id),
            name: &endpoint.name,
            description: endpoint.description.as_deref(),
            url: &endpoint.url,
            events: endpoint.events.iter().map(|name| endpoint.format.word(name)).collect(),
            format: endpoint.format.as_str(),
            header_prefix: &endpoint.header_prefix,
            max_attempts: endpoint.max_attempts,
            inbox_ids: endpoint.inboxes.as_ref().map(|ids| ids.iter().copied().map(Shown).collect()),
            is_active: endpoint.is_active,
            disabled_reason: endpoint.disabled_reason.map(|reason| reason.as_str()),
            disabled_at: endpoint.disabled_at.map(Instant),
            secret_prefix: &endpoint.secret_prefix,
            previous_secret_expires_at: endpoint.previous_secret.as_ref().map(|(_, until)| Instant(*until)),
            consecutive_failures: endpoint.health.consecutive_failures,
            breaker_open: endpoint.health.next_probe_at.is_some(),
            last_success_at: endpoint.health.last_success_at.map(Instant),
            last_failure_at: endpoint.health.last_failure_at.map(Instant),
            created_at: Instant(endpoint.created_at),
            updated_at: Instant(endpoint.updated_at),
        }
    }
}

/// A webhook endpoint with its secret: the only time it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookWithSecret<'a> {
    /// The endpoint.
    #[serde(flatten)]
    pub webhook: WebhookView<'a>,
    /// `whsec_…`; keep it, it is not shown again.
    pub secret: &'a str,
}

/// What is answered to a new secret: the only time it is shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotatedView<'a> {
    #[schema(value_type = String)]
    id: Shown<EndpointId>,
    /// `whsec_…`; keep it, it is not shown again.
    secret: &'a str,
    /// Until when the secret before signs too.
    previous_secret_expires_at: Instant,
}

impl<'a> RotatedView<'a> {
    /// The view of `endpoint` and the text of its new secret.
    pub fn of(endpoint: &Endpoint, secret: &'a str) -> Self {
        // Without an overlap the secret before ended with the rotation.
        let until = endpoint.previous_secret.as_ref().map_or(endpoint.updated_at, |(_, until)| *until);
        RotatedView { id: Shown(endpoint.id), secret, previous_secret_expires_at: Instant(until) }
    }
}

/// A webhook endpoint after a change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookChanged<'a> {
    /// The endpoint.
    #[serde(flatten)]
    pub webhook: WebhookView<'a>,
    /// When this change switched it on: what happened while it was off. Replay since then to get it.
    #[schema(required)]
    pub missed_events: Option<MissedView>,
}

/// Events that an endpoint would have got while it was off.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MissedView {
    count: i64,
    /// There are more: counting stopped.
    has_more: bool,
    /// When it was switched off; what waited then was cancelled and is older.
    since: Instant,
}

impl MissedView {
    /// The view of `missed`.
    pub fn of(missed: &Missed) -> Self {
        MissedView { count: missed.count, has_more: missed.more, since: Instant(missed.since) }
    }
}

/// An attempt to deliver.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView<'a> {
    /// 1, 2, 3, …
    number: i64,
    at: Instant,
    /// The answer's status; null without one.
    #[schema(required)]
    status_code: Option<i64>,
    duration_ms: i64,
    /// Why there is no answer, or what was wrong with it.
    #[schema(required)]
    error: Option<&'a str>,
    /// Start of the answer's body.
    #[schema(required)]
    response_snippet: Option<&'a str>,
}

impl<'a> AttemptView<'a> {
    fn of(attempt: &'a LoggedAttempt) -> Self {
        AttemptView {
            number: attempt.number,
            at: Instant(attempt.at),
            status_code: attempt.status_code,
            duration_ms: attempt.duration_us / 1000,
            error: attempt.error.as_deref(),
            response_snippet: attempt.response.as_deref(),
        }
    }
}

/// One event on its way to one endpoint.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView<'a> {
    #[schema(value_type = String, example = "dlv_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<DeliveryId>,
    /// The `webhook-id` it is sent under.
    #[schema(value_type = String, example = "evt_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    event_id: Shown<EventId>,
    #[schema(example = "message.sent")]
    event: &'a str,
    #[schema(value_type = String, pattern = "^(pending|succeeded|failed|cancelled)$")]
    status: &'static str,
    /// Retries on its own: later events of its conversation do not wait for it.
    overtaken: bool,
    /// Oldest first.
    attempts: Vec<AttemptView<'a>>,
    /// Null once it has ended.
    #[schema(required)]
    next_attempt_at: Option<Instant>,
    created_at: Instant,
    updated_at: Instant,
}

impl<'a> DeliveryView<'a> {
    /// The view of `delivery`.
    pub fn of(delivery: &'a Logged) -> Self {
        DeliveryView {
            id: Shown(delivery.id),
            event_id: Shown(delivery.event),
            event: &delivery.event_type,
            status: delivery.status.as_str(),
            overtaken: delivery.overtaken,
            attempts: delivery.attempts.iter().map(AttemptView::of).collect(),
            next_attempt_at: delivery.due_at.map(Instant),
            created_at: Instant(delivery.created_at),
            updated_at: Instant(delivery.updated_at),
        }
    }
}

/// A delivery with the bytes that are sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryWithBody<'a> {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryView<'a>,
    /// The body of every attempt, byte by byte as it is signed.
    pub request_body: &'a str,
}
