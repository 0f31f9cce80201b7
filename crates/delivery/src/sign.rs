//! Signatures of deliveries: everything a receiver needs to know that a body is ours, fresh and unaltered.
//!
//! Two recipes go out with every delivery. `webhook-signature` is Standard Webhooks 1.0.0, so receivers verify with an
//! off-the-shelf library and a replay is refused after five minutes. The second is the recipe that existing receivers of
//! the format already know: Atteny's hash of the body alone (no replay protection) or Chatwoot's of timestamp and body.
//! Everything that depends only on the endpoint (HMAC key states, header names) is prepared once, because signing sits on
//! the hot way of each delivery. Comparison is constant time.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE, InvalidHeaderValue, USER_AGENT},
};
use sha2::Sha256;
use std::fmt;

/// What a secret's text starts with (Standard Webhooks); the rest is base64 of the key.
pub const SECRET_PREFIX: &str = "whsec_";
/// How far a timestamp may be from the receiver's clock, in seconds, in both directions (Standard Webhooks).
pub const TOLERANCE_SECONDS: i64 = 300;
/// Prefix of the product's own three headers unless the endpoint has another.
pub const DEFAULT_HEADER_PREFIX: &str = "X-Tieline";
/// Longest header prefix an endpoint may choose, in characters.
pub const MAX_HEADER_PREFIX: usize = 40;
/// How many signatures of one `webhook-signature` header are compared before the rest is ignored.
pub const MAX_SIGNATURES: usize = 8;

const AGENT: HeaderValue = HeaderValue::from_static("Tieline-Webhooks/1");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const CHATWOOT_SIGNATURE: HeaderName = HeaderName::from_static("x-chatwoot-signature");
const CHATWOOT_TIMESTAMP: HeaderName = HeaderName::from_static("x-chatwoot-timestamp");
const CHATWOOT_DELIVERY: HeaderName = HeaderName::from_static("x-chatwoot-delivery");

type HmacSha256 = Hmac<Sha256>;

/// The text of a new secret, `whsec_…`, from 32 random bytes of the caller.
pub fn generate_secret(random: [u8; 32]) -> String {
    format!("{SECRET_PREFIX}{}", BASE64.encode(random))
}

/// A secret with both of its HMAC key states ready. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct PreparedSecret {
    /// Keyed by the bytes behind `whsec_`: Standard Webhooks.
    decoded: HmacSha256,
    /// Keyed by the UTF-8 bytes of the whole text: the legacy and Chatwoot's recipes.
    whole: HmacSha256,
}

impl PreparedSecret {
    /// Prepares a secret's text. Never fails: a text that is not base64 behind the optional `whsec_` (a secret brought
    /// along from another system) keys Standard Webhooks by its own bytes, which verifiers call the raw format.
    pub fn new(text: &str) -> PreparedSecret {
        let decoded = BASE64.decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text));
        let keyed = |key: &[u8]| HmacSha256::new_from_slice(key).expect("HMAC takes keys of any length");
        PreparedSecret { decoded: keyed(decoded.as_deref().unwrap_or(text.as_bytes())), whole: keyed(text.as_bytes()) }
    }

    /// The MAC of `id.timestamp.body`.
    fn standard(&self, id: &str, timestamp: &str, body: &[u8]) -> HmacSha256 {
        let mut mac = self.decoded.clone();
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for PreparedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedSecret")
    }
}

/// A header prefix (`X-Tieline`, or an endpoint's own such as `X-Atteny`) with its three names ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderPrefix {
    signature: HeaderName,
    event: HeaderName,
    delivery: HeaderName,
}

impl HeaderPrefix {
    /// Takes 1 to 40 ASCII letters, digits and hyphens that start with `X-`, so that no real header can be shadowed; the
    /// error is a sentence for whoever typed it.
    pub fn parse(text: &str) -> Result<HeaderPrefix, &'static str> {
        let named = text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("x-"))
            && text.len() > 2
            && text.len() <= MAX_HEADER_PREFIX
            && !text.ends_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !named {
            return Err("A header prefix is X- and then letters, digits and hyphens, 40 characters at most.");
        }
        let name = |end| HeaderName::try_from(format!("{text}-{end}")).expect("letters, digits and hyphens");
        Ok(HeaderPrefix { signature: name("Signature"), event: name("Event"), delivery: name("Delivery") })
    }
}

impl Default for HeaderPrefix {
    fn default() -> HeaderPrefix {
        HeaderPrefix::parse(DEFAULT_HEADER_PREFIX).expect("a valid prefix")
    }
}

/// Which three headers accompany the `webhook-*` ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderStyle {
    /// Formats native and atteny: `<prefix>-Signature` over the body, `-Event`, `-Delivery`.
    Product(HeaderPrefix),
    /// Format chatwoot: `X-Chatwoot-Signature` over `timestamp.body`, `-Timestamp`, `-Delivery`.
    Chatwoot,
}

/// What one attempt of a delivery says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// `webhook-id`: the event's id, the same for every attempt; receivers drop repeats by it.
    pub webhook_id: &'a str,
    /// The event's name in the words of the format.
    pub event: &'a str,
    /// The delivery's id as the format writes it (`dlv_…`, or a UUID for chatwoot).
    pub delivery_id: &'a str,
    /// When this attempt starts, Unix seconds.
    pub at_seconds: i64,
    /// The stored bytes.
    pub body: &'a [u8],
}

/// An endpoint's side of signing: its active secrets and its header names.
#[derive(Clone, Debug)]
pub struct Signer {
    newest: PreparedSecret,
    previous: Vec<PreparedSecret>,
    style: HeaderStyle,
}

impl Signer {
    /// A signer with the newest secret, those that are still accepted during a rotation (newest first), and a style.
    pub fn new(newest: PreparedSecret, previous: Vec<PreparedSecret>, style: HeaderStyle) -> Signer {
        Signer { newest, previous, style }
    }

    /// Every header of one attempt but `Host` and `Content-Length`, which the client adds.
    ///
    /// Errors: an id or event name that cannot stand in a header.
    pub fn headers(&self, attempt: &Attempt<'_>) -> Result<HeaderMap, InvalidHeaderValue> {
        let seconds = attempt.at_seconds.to_string();
        let timestamp = HeaderValue::from_str(&seconds)?;
        let delivery = HeaderValue::from_str(attempt.delivery_id)?;
        let mut headers = HeaderMap::with_capacity(10);
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(WEBHOOK_ID, HeaderValue::from_str(attempt.webhook_id)?);
        headers.insert(WEBHOOK_SIGNATURE, self.standard_signatures(attempt, &seconds)?);
        let mut mac = self.newest.whole.clone();
        match &self.style {
            HeaderStyle::Product(prefix) => {
                mac.update(attempt.body);
                headers.insert(&prefix.signature, hex_signature(mac)?);
                headers.insert(&prefix.event, HeaderValue::from_str(attempt.event)?);
                headers.insert(&prefix.delivery, delivery);
            }
            HeaderStyle::Chatwoot => {
                for part in [seconds.as_bytes(), b".", attempt.body] {
                    mac.update(part);
                }
                headers.insert(ACCEPT, JSON);
                headers.insert(CHATWOOT_SIGNATURE, hex_signature(mac)?);
                headers.insert(CHATWOOT_TIMESTAMP, timestamp.clone());
                headers.insert(CHATWOOT_DELIVERY, delivery);
            }
        }
        headers.insert(WEBHOOK_TIMESTAMP, timestamp);
        Ok(headers)
    }

    fn standard_signatures(&self, attempt: &Attempt<'_>, seconds: &str) -> Result<HeaderValue, InvalidHeaderValue> {
        const ONE: usize = 3 + 44; // "v1," and base64 of 32 bytes
        let mut text = Vec::with_capacity((1 + self.previous.len()) * (ONE + 1));
        for secret in std::iter::once(&self.newest).chain(&self.previous) {
            if !text.is_empty() {
                text.push(b' ');
            }
            text.extend_from_slice(b"v1,");
            let start = text.len();
            text.resize(start + 44, 0);
            let tag = secret.standard(attempt.webhook_id, seconds, attempt.body).finalize().into_bytes();
            BASE64.encode_slice(tag, &mut text[start..]).expect("32 bytes are 44 characters");
        }
        HeaderValue::from_maybe_shared(Bytes::from(text))
    }
}

fn hex_signature(mac: HmacSha256) -> Result<HeaderValue, InvalidHeaderValue> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"sha256=0000000000000000000000000000000000000000000000000000000000000000";
    for (pair, byte) in text[7..].chunks_exact_mut(2).zip(mac.finalize().into_bytes()) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    HeaderValue::from_bytes(&text)
}

/// The signed part of a received delivery, headers as they came.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`, Unix seconds as text.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signature: &'a str,
    /// The raw body.
    pub body: &'a [u8],
}

/// Why a received delivery is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGenuine {
    /// `webhook-timestamp` is not a number.
    #[error("webhook-timestamp is not a number of seconds")]
    BadTimestamp,
    /// More than [`TOLERANCE_SECONDS`] away from the receiver's clock: a replay, or a wrong clock.
    #[error("webhook-timestamp is more than 300 s away from this clock")]
    OutOfTolerance,
    /// No signature fits any secret.
    #[error("no signature of webhook-signature fits")]
    NoMatch,
}

/// Checks a received delivery as Standard Webhooks says: timestamp within tolerance of `now_seconds` (Unix), and one `v1`
/// signature that fits one of the secrets.
pub fn verify(secrets: &[PreparedSecret], received: &Received<'_>, now_seconds: i64) -> Result<(), NotGenuine> {
    let at: i64 = received.timestamp.parse().map_err(|_| NotGenuine::BadTimestamp)?;
    if now_seconds.abs_diff(at) > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(NotGenuine::OutOfTolerance);
    }
    let fits = received
        .signature
        .split(' ')
        .take(MAX_SIGNATURES)
        .filter_map(|one| BASE64.decode(one.strip_prefix("v1,")?).ok())
        .any(|tag| {
            let mac = |secret: &PreparedSecret| secret.standard(received.id, received.timestamp, received.body);
            secrets.iter().any(|secret| mac(secret).verify_slice(&tag).is_ok())
        });
    if fits { Ok(()) } else { Err(NotGenuine::NoMatch) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_772_615_700;

    fn attempt(body: &[u8]) -> Attempt<'_> {
        Attempt { webhook_id: "evt_1", event: "message.sent", delivery_id: "dlv_1", at_seconds: NOW, body }
    }
    fn received<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Received<'a> {
        let text = |name: &str| headers[name].to_str().unwrap();
        Received {
            id: text("webhook-id"),
            timestamp: text("webhook-timestamp"),
            signature: text("webhook-signature"),
            body,
        }
    }

    // The sample of the Standard Webhooks specification's reference libraries; the hex values below were made with
    // Python's `hmac`.
    const SAMPLE_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_published_sample_has_the_published_signature() {
        let signer = Signer::new(PreparedSecret::new(SAMPLE_SECRET), vec![], HeaderStyle::Product(Default::default()));
        let headers = signer
            .headers(&Attempt {
                webhook_id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
                at_seconds: 1_614_265_330,
                ..attempt(br#"{"test": 2432232314}"#)
            })
            .unwrap();
        assert_eq!(headers["webhook-signature"], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_native_delivery_has_exactly_these_headers() {
        let signer = Signer::new(PreparedSecret::new(SAMPLE_SECRET), vec![], HeaderStyle::Product(Default::default()));
        let headers = signer.headers(&attempt(b"{}")).unwrap();
        let mut seen: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                ("content-type", "application/json"),
                ("user-agent", "Tieline-Webhooks/1"),
                ("webhook-id", "evt_1"),
                ("webhook-signature", "v1,JjoWXdUeLLokR8bytkAvY6Hnhk+JkVX/JLfzb8/DLtM="),
                ("webhook-timestamp", "1772615700"),
                ("x-tieline-delivery", "dlv_1"),
                ("x-tieline-event", "message.sent"),
                ("x-tieline-signature", "sha256=6cbbcdf2c8016ca85b50543b19e8e121ef16137967bdfa3ce660972922bafaeb"),
            ]
        );
    }

    #[test]
    fn a_chatwoot_delivery_has_exactly_these_headers() {
        let signer = Signer::new(PreparedSecret::new("nK3xq8ZtR5vB1mW7cY2dLp9s"), vec![], HeaderStyle::Chatwoot);
        let headers = signer.headers(&attempt(b"{}")).unwrap();
        let mut seen: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                ("accept", "application/json"),
                ("content-type", "application/json"),
                ("user-agent", "Tieline-Webhooks/1"),
                ("webhook-id", "evt_1"),
                ("webhook-signature", "v1,eqWrzB8KBQhS/V/Rgik7L/rJ4q6u/nffe7SBFFWSzrQ="),
                ("webhook-timestamp", "1772615700"),
                ("x-chatwoot-delivery", "dlv_1"),
                ("x-chatwoot-signature", "sha256=ef0b1abc00745dad763bce2ec02ae51d0d7da85052fab9a005caa2c3da6a7b29"),
                ("x-chatwoot-timestamp", "1772615700"),
            ]
        );
    }

    #[test]
    fn a_prefix_renames_the_three_headers() {
        let style = HeaderStyle::Product(HeaderPrefix::parse("X-Atteny").unwrap());
        let headers = Signer::new(PreparedSecret::new(SAMPLE_SECRET), vec![], style).headers(&attempt(b"")).unwrap();
        for name in ["x-atteny-signature", "x-atteny-event", "x-atteny-delivery"] {
            assert!(headers.contains_key(name), "{name}");
        }
        assert!(!headers.contains_key("x-tieline-signature"));
    }

    #[test]
    fn prefixes() {
        for good in ["X-Tieline", "x-a", "X-A-b2", &format!("X-{}", "a".repeat(38))] {
            assert!(HeaderPrefix::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "X-", "X", "webhook", "Content", "X-a b", "X-ä", "X-a\r\n", "X-a:", "X-a-", &"X-".repeat(21)] {
            assert!(HeaderPrefix::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_that_cannot_stand_in_a_header_are_an_error() {
        let signer = Signer::new(PreparedSecret::new(SAMPLE_SECRET), vec![], HeaderStyle::Chatwoot);
        assert!(signer.headers(&Attempt { webhook_id: "a\r\nb: c", ..attempt(b"") }).is_err());
        assert!(signer.headers(&Attempt { delivery_id: "a\nb", ..attempt(b"") }).is_err());
    }

    #[test]
    fn a_new_secret_is_whsec_and_32_bytes() {
        let secret = generate_secret([7; 32]);
        assert_eq!(BASE64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap(), [7; 32]);
        assert!(!format!("{:?}", PreparedSecret::new(&secret)).contains("Bwc"));
    }

    #[test]
    fn tolerance_is_inclusive_and_two_sided() {
        let secret = PreparedSecret::new(SAMPLE_SECRET);
        let headers = Signer::new(secret.clone(), vec![], HeaderStyle::Chatwoot).headers(&attempt(b"x")).unwrap();
        let check = |now| verify(std::slice::from_ref(&secret), &received(&headers, b"x"), now);
        for (now, expected) in [
            (NOW, Ok(())),
            (NOW + 300, Ok(())),
            (NOW - 300, Ok(())),
            (NOW + 301, Err(NotGenuine::OutOfTolerance)),
            (NOW - 301, Err(NotGenuine::OutOfTolerance)),
            (i64::MIN, Err(NotGenuine::OutOfTolerance)),
        ] {
            assert_eq!(check(now), expected, "{now}");
        }
        let text = received(&headers, b"x");
        let odd = verify(std::slice::from_ref(&secret), &Received { timestamp: "soon", ..text }, NOW);
        assert_eq!(odd, Err(NotGenuine::BadTimestamp));
    }

    #[test]
    fn signatures_beyond_the_limit_and_of_other_versions_are_ignored() {
        let secret = PreparedSecret::new(SAMPLE_SECRET);
        let headers = Signer::new(secret.clone(), vec![], HeaderStyle::Chatwoot).headers(&attempt(b"x")).unwrap();
        let good = received(&headers, b"x");
        for (text, expected) in [
            (format!("v1a,AAAA v9 {}", good.signature), Ok(())),
            (good.signature.replace("v1,", "v2,"), Err(NotGenuine::NoMatch)),
            (format!("{}{}", "v1,AAAA ".repeat(MAX_SIGNATURES), good.signature), Err(NotGenuine::NoMatch)),
            (String::new(), Err(NotGenuine::NoMatch)),
            (good.signature[..20].into(), Err(NotGenuine::NoMatch)),
        ] {
            let seen = verify(std::slice::from_ref(&secret), &Received { signature: &text, ..good }, NOW);
            assert_eq!(seen, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_what_is_altered_does_not(
            body in prop::collection::vec(any::<u8>(), 0..600),
            keys in prop::array::uniform3(any::<[u8; 32]>()),
            flip in any::<prop::sample::Index>(),
        ) {
            prop_assume!(keys[2] != keys[0] && keys[2] != keys[1]);
            let [new, old, other] = keys.map(|key| PreparedSecret::new(&generate_secret(key)));
            let signer = Signer::new(new.clone(), vec![old.clone()], HeaderStyle::Product(Default::default()));
            let headers = signer.headers(&attempt(&body)).unwrap();
            let good = received(&headers, &body);
            // A receiver in the middle of a rotation knows one of the two, or both.
            for known in [vec![new.clone()], vec![old.clone()], vec![other.clone(), old.clone()]] {
                prop_assert_eq!(verify(&known, &good, NOW), Ok(()));
            }
            let no = Err(NotGenuine::NoMatch);
            prop_assert_eq!(verify(&[other], &good, NOW), no);
            prop_assert_eq!(verify(&[], &good, NOW), no);
            let known = [new, old];
            prop_assert_eq!(verify(&known, &Received { id: "evt_2", ..good }, NOW), no);
            prop_assert_eq!(verify(&known, &Received { timestamp: "1772615701", ..good }, NOW), no);
            let mut longer = body.clone();
            longer.push(b' ');
            prop_assert_eq!(verify(&known, &Received { body: &longer, ..good }, NOW), no);
            if !body.is_empty() {
                let mut altered = body.clone();
                altered[flip.index(body.len())] ^= 1;
                prop_assert_eq!(verify(&known, &Received { body: &altered, ..good }, NOW), no);
            }
        }
    }
}
