//! What reads bytes of strangers, each as a function of any bytes, with what must hold of whatever comes out. Run by the
//! fuzzer (`make fuzz`) over bytes that it makes up, and by `crates/tieline/tests/corpus.rs` over those that are kept.

use std::borrow::Cow;
use tieline_api::http::cursor::Cursor;
use tieline_api::http::{fields, query};
use tieline_core::contacts::{email, phone};
use tieline_core::ids::ConversationId;
use tieline_core::keys::token;
use tieline_core::messages::html;
use tieline_core::metadata;
use tieline_core::time::Micros;
use tieline_delivery::egress::EgressPolicy;
use tieline_delivery::schedule::{parse_duration, parse_retry_after};
use tieline_delivery::sign::{self, HeaderPrefix, PreparedSecret, Received};

/// Reads some bytes; panics where something does not hold.
pub type Target = fn(&[u8]);

/// All of them, by the name of their corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("fields", fields),
    ("query", query),
    ("egress", egress),
    ("html", html),
    ("key", key),
    ("signature", signature),
    ("handles", handles),
];

/// A request body read as a table: a whole value or errors that each name a place, never NUL.
pub fn fields(bytes: &[u8]) {
    let read = fields::read(bytes, |body| {
        let contact = body.object("contact").optional();
        let email = contact.as_ref().map(|contact| contact.string("email").chars(1..=254).required());
        let tags = body.list("tags", 50, |tag| tag.string().chars(1..=100).required()).optional();
        let metadata = body.raw("metadata").optional();
        if let Some(metadata) = metadata {
            let _ = metadata::check(metadata, "/metadata");
        }
        let _ = (body.integer("count").patch(), body.number("ratio").patch(), body.boolean("on").patch());
        let _ = body.id("conversationId").optional().map(|id: ConversationId| id);
        let channel = body.one_of("channel", &[("email", 1), ("whatsapp", 2)]).or(1);
        let reference = body.string("externalReference").chars(1..=255).required();
        (reference, email, tags, channel)
    });
    match read {
        Ok((reference, email, tags, _)) => {
            let texts: Vec<Cow<str>> = [reference].into_iter().chain(email).chain(tags.into_iter().flatten()).collect();
            assert!(texts.iter().all(|text| !text.contains('\0') && !text.is_empty()), "{texts:?}");
        }
        Err(error) => {
            assert!(["invalid_json", "validation_error"].contains(&error.code), "{error:?}");
            assert!(error.fields.len() <= fields::MAX_ERRORS, "{error:?}");
            assert!(error.fields.iter().all(|one| one.pointer.is_empty() || one.pointer.starts_with('/')), "{error:?}");
        }
    }
}

/// A query string and the cursor in it: a cursor that is read is one that we wrote.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = query::read(Some(text), |query| {
        let limit = query.limit();
        assert!((1..=query::MAX_LIMIT as usize).contains(&limit), "{limit}");
        let _ = (query.text("email").optional(), query.integer("after").optional(), query.boolean("x").optional());
        let _ = query.id("contactId").optional().map(|id: ConversationId| id);
        let _ = query.cursor(1, "conversations:updated");
    });
    if let Some(cursor) = Cursor::decode(text, 1, "list") {
        assert_eq!(cursor.encode(1, "list"), text);
        assert!(Cursor::decode(text, 2, "list").is_none() && Cursor::decode(text, 1, "other").is_none());
    }
    let _ = Micros::parse(text, "/since").map(|at| at.rfc3339().as_str().len());
}

/// A URL: what passes is https to a host without credentials, and passes again as it was written down.
pub fn egress(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let policy = EgressPolicy::default();
    if let Ok(url) = policy.check_url(text) {
        let uri = url.uri();
        assert_eq!(uri.scheme_str(), Some("https"), "{text:?}");
        let host = uri.host().unwrap_or_default();
        assert!(!host.is_empty() && !uri.authority().is_some_and(|authority| authority.as_str().contains('@')));
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            assert!(policy.check_addr(address).is_ok(), "{text:?} goes to {address}");
        }
        let again = policy.check_url(&uri.to_string());
        assert_eq!(again.as_ref().ok(), Some(&url), "{text:?} became {uri}");
    }
    let _ = EgressPolicy::parse(text, true);
    let _ = HeaderPrefix::parse(text);
    let _ = (parse_duration(text), parse_retry_after(text, 1_772_615_700_000_000));
}

/// HTML: what comes out is stable, and holds nothing that runs.
pub fn html(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(safe) = html::sanitise(text, "/html") else { return };
    let lower = safe.as_str().to_ascii_lowercase();
    for tag in
        ["<script", "<style", "<iframe", "<object", "<embed", "<form", "<svg", "<math", "<base", "<meta", "<link"]
    {
        assert!(!lower.contains(tag), "{text:?} became {lower:?}");
    }
    if safe.as_str().len() <= html::HTML_LIMIT {
        assert_eq!(html::sanitise(safe.as_str(), "/html").ok().as_ref(), Some(&safe), "{text:?}");
    }
    assert!(safe.to_text().len() <= html::TEXT_LIMIT && html::to_text(text).len() <= html::TEXT_LIMIT);
}

/// A key: what is read says of itself what its text says.
pub fn key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(parsed) = token::parse(text) {
        assert!(
            text.starts_with(parsed.prefix.as_str()) && parsed.digest == token::parse(text).expect("as before").digest
        );
    }
    if let Ok(random) = <[u8; 32]>::try_from(bytes) {
        let minted = token::mint(token::Prefix::Sa, token::Mode::Test, random);
        assert_eq!(token::parse(minted.expose()).map(|parsed| parsed.digest), Ok(minted.digest()));
    }
}

/// The headers of a delivery, each on a line, then the body: nobody without the secret gets through.
pub fn signature(bytes: &[u8]) {
    const NOW: i64 = 1_772_615_700;
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default();
    let (id, timestamp, signature) = (text(), text(), text());
    let received = Received { id, timestamp, signature, body: parts.next().unwrap_or_default() };
    let secret = PreparedSecret::new(&sign::generate_secret([9; 32]));
    assert!(sign::verify(&[secret], &received, NOW).is_err(), "forged: {received:?}");
}

/// Addresses and phone numbers: normal is normal, and two spellings that are found by one key stay so.
pub fn handles(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(normal) = email::normalise(text, "/email") {
        assert_eq!(email::normalise(&normal, "/email"), Ok(Cow::Borrowed(&*normal)));
        assert!(!email::default_name(&normal).is_empty() && email::domain(&normal).is_some_and(|it| it.contains('.')));
    }
    for country in [phone::Country::Unknown, phone::Country::Brazil] {
        let Ok(normal) = phone::normalise(text, country, "/phone") else { continue };
        assert_eq!(phone::normalise(&normal, country, "/phone"), Ok(Cow::Borrowed(&*normal)), "{text:?}");
        let key = phone::match_key(&normal);
        assert_eq!(phone::match_key(&key), key, "{text:?}");
        assert!(!phone::is_e164(&normal) || phone::is_e164(&key), "{text:?}");
    }
}
