//! Delivery status of a message: reports may come twice and in any order, the result is the same.
//!
//! The statuses stand in one line, queued < sent < failed < delivered < read, and a message holds the highest it has heard
//! of. So a late "sent" changes nothing, a failure counts only while nothing proves arrival, and a later proof of arrival
//! overrides a failure.

use std::fmt;

/// Longest failure reason kept, in characters; longer ones are cut.
pub const FAILURE_REASON_LIMIT: usize = 1000;

/// How far a message has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// Stored, not yet accepted by anybody.
    #[default]
    Queued,
    /// Accepted by the integrator or the carrier.
    Sent,
    /// It did not arrive.
    Failed {
        /// Why, in the words of whoever reported it.
        reason: String,
    },
    /// On the customer's device.
    Delivered,
    /// Seen by the customer.
    Read,
}

impl DeliveryStatus {
    /// A failure with its reason, cut to [`FAILURE_REASON_LIMIT`].
    pub fn failed(reason: &str) -> DeliveryStatus {
        let end = reason.char_indices().nth(FAILURE_REASON_LIMIT).map_or(reason.len(), |(at, _)| at);
        DeliveryStatus::Failed { reason: reason[..end].to_owned() }
    }

    /// The stored and spoken word; the reason of a failure is stored beside it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            DeliveryStatus::Queued => "queued",
            DeliveryStatus::Sent => "sent",
            DeliveryStatus::Failed { .. } => "failed",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Read => "read",
        }
    }

    /// Why it failed.
    pub fn reason(&self) -> Option<&str> {
        match self {
            DeliveryStatus::Failed { reason } => Some(reason),
            _ => None,
        }
    }

    /// The status of a word and a reason, which only `failed` uses; `None` for any other word.
    pub fn from_text(text: &str, reason: Option<&str>) -> Option<DeliveryStatus> {
        Some(match text {
            "queued" => DeliveryStatus::Queued,
            "sent" => DeliveryStatus::Sent,
            "failed" => DeliveryStatus::failed(reason.unwrap_or_default()),
            "delivered" => DeliveryStatus::Delivered,
            "read" => DeliveryStatus::Read,
            _ => return None,
        })
    }

    /// Whether a report moves this status; store the report if so, else drop it. The first failure keeps its reason.
    pub fn yields_to(&self, report: &DeliveryStatus) -> bool {
        report.rank() > self.rank()
    }

    const fn rank(&self) -> u8 {
        match self {
            DeliveryStatus::Queued => 0,
            DeliveryStatus::Sent => 1,
            DeliveryStatus::Failed { .. } => 2,
            DeliveryStatus::Delivered => 3,
            DeliveryStatus::Read => 4,
        }
    }
}

impl fmt::Display for DeliveryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> [DeliveryStatus; 5] {
        ["queued", "sent", "failed", "delivered", "read"]
            .map(|word| DeliveryStatus::from_text(word, Some("no route")).unwrap())
    }

    #[test]
    fn every_report_meets_every_status() {
        let table = [
            // status, then whether it yields to queued, sent, failed, delivered, read
            [false, true, true, true, true],
            [false, false, true, true, true],
            [false, false, false, true, true],
            [false, false, false, false, true],
            [false, false, false, false, false],
        ];
        for (status, row) in all().iter().zip(table) {
            for (report, expected) in all().iter().zip(row) {
                assert_eq!(status.yields_to(report), expected, "{status} hears {report}");
            }
        }
    }

    #[test]
    fn words_and_reasons_survive_storage() {
        for status in all() {
            assert_eq!(DeliveryStatus::from_text(status.as_str(), status.reason()), Some(status));
        }
        assert_eq!(DeliveryStatus::from_text("bounced", None), None);
        assert_eq!(DeliveryStatus::failed("no route").reason(), Some("no route"));
        assert_eq!(DeliveryStatus::Sent.reason(), None);
        let cut = DeliveryStatus::failed(&"é".repeat(FAILURE_REASON_LIMIT + 1));
        assert_eq!(cut.reason().map(|r| r.chars().count()), Some(FAILURE_REASON_LIMIT));
    }

    proptest! {
        #[test]
        fn order_of_reports_does_not_matter(
            (one, other) in prop::collection::vec(0..5usize, 0..12).prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        ) {
            let heard = |reports: &[usize]| {
                reports.iter().map(|r| all()[*r].clone()).fold(DeliveryStatus::Queued, |status, report| {
                    if status.yields_to(&report) { report } else { status }
                })
            };
            prop_assert_eq!(heard(&one), heard(&other));
        }
    }
}
