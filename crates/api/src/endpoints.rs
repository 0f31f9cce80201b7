//! Webhook endpoints on their way in, for every dialect: what a request may say of one, and its secret. The dialects differ in
//! their words for events and in what holds where a request is silent; both follow from the endpoint's format.

use crate::addresses;
use crate::caller::Caller;
use crate::http::fields::{self, Field, Object, Refusal};
use crate::hub::Hub;
use crate::members::nullable;
use tieline_core::error::{Error, Kind};
use tieline_core::ids::{EndpointId, InboxId};
use tieline_core::keys::token;
use tieline_core::webhooks::{self, CreateEndpoint, Endpoint, Format, Missed, RotateSecret, UpdateEndpoint};
use tieline_delivery::{SECRET_CONTEXT, sign};

/// Characters of a secret that are shown later.
const SECRET_SHOWN: usize = 12;
/// Longest time for which the secret before a rotation signs too, seconds (contract D4).
const MAX_OVERLAP_SECONDS: i64 = 604_800;
const DEFAULT_OVERLAP_SECONDS: i64 = 86_400;
/// Events that one request names.
const EVENTS_LIMIT: usize = 50;
/// Inboxes that one request names.
const INBOXES_LIMIT: usize = 100;
/// What replaces `X-Tieline` in Atteny's format.
const ATTENY_HEADER_PREFIX: &str = "X-Atteny";

/// Refuses a tenant whose plan has no webhooks.
pub(crate) fn enabled(caller: &Caller) -> Result<(), Error> {
    if caller.principal().tenant.plan.has_webhooks {
        return Ok(());
    }
    Err(Error::new(Kind::Forbidden, "webhooks_disabled", "Webhooks are switched off for this tenant."))
}

/// A new signing secret: its text, what is stored of it, and what is shown of it later.
pub(crate) fn new_secret(hub: &Hub) -> Result<(String, Vec<u8>, String), Error> {
    let text = sign::generate_secret(hub.random()?);
    let sealed = hub.keyring.seal(text.as_bytes(), SECRET_CONTEXT, hub.random()?)?;
    let prefix = text.chars().take(SECRET_SHOWN).collect();
    Ok((text, sealed, prefix))
}

/// The same with a text of 24 characters, as Chatwoot's clients know it.
pub(crate) fn new_short_secret(hub: &Hub) -> Result<(String, Vec<u8>, String), Error> {
    let text = token::short(hub.random()?);
    let sealed = hub.keyring.seal(text.as_bytes(), SECRET_CONTEXT, hub.random()?)?;
    let prefix = short_prefix(&text);
    Ok((text, sealed, prefix))
}

/// What is shown later of such a short one.
pub(crate) fn short_prefix(text: &str) -> String {
    text.chars().take(SECRET_SHOWN / 2).collect()
}

/// What replaces `X-Tieline` where a request does not say.
pub(crate) fn header_prefix(format: Format) -> &'static str {
    match format {
        Format::Native | Format::Chatwoot => sign::DEFAULT_HEADER_PREFIX,
        Format::Atteny => ATTENY_HEADER_PREFIX,
    }
}

/// Attempts where a request does not say (contract C, D4.8).
fn max_attempts(format: Format) -> i64 {
    match format {
        Format::Native | Format::Chatwoot => 10,
        Format::Atteny => 5,
    }
}

/// An endpoint to add and the text of its secret; `default` is its format where the request names none.
pub(crate) async fn create_request(
    hub: &Hub,
    bytes: &[u8],
    default: Format,
) -> Result<(String, CreateEndpoint), Error> {
    let policy = hub.guard.policy();
    let formats = Format::ALL.map(|format| (format.as_str(), format));
    let mut command = fields::read(bytes, |body| {
        let format = body.one_of("format", &formats).or(default);
        let prefix = prefix_field(body).optional();
        CreateEndpoint {
            name: body.string("name").trimmed().chars(1..=100).owned().required(),
            description: body.string("description").chars(..=500).owned().optional(),
            url: addresses::url(body.string("url"), policy).required(),
            events: events_field(body, format).required(),
            format,
            header_prefix: prefix.unwrap_or_else(|| header_prefix(format).to_owned()),
            max_attempts: body.integer("maxAttempts").within(1..=10).or(max_attempts(format)),
            inboxes: inboxes_field(body).optional(),
            secret: Vec::new(),
            secret_prefix: String::new(),
        }
    })?;
    check_name(hub, &command.url).await?;
    let (text, secret, secret_prefix) = new_secret(hub)?;
    (command.secret, command.secret_prefix) = (secret, secret_prefix);
    Ok((text, command))
}

/// A new secret in place of the endpoint's, and its text; the body may be left out.
pub(crate) fn rotate_request(hub: &Hub, id: EndpointId, bytes: &[u8]) -> Result<(String, RotateSecret), Error> {
    let seconds = fields::read(if bytes.is_empty() { b"{}" } else { bytes }, |body| {
        body.integer("expirePreviousInSeconds").within(0..=MAX_OVERLAP_SECONDS).or(DEFAULT_OVERLAP_SECONDS)
    })?;
    let (text, secret, secret_prefix) = new_secret(hub)?;
    Ok((text, RotateSecret { id, secret, secret_prefix, overlap_us: seconds * 1_000_000 }))
}

/// Changes an endpoint as a merge-patch says; when that switched it on, what it has missed.
pub(crate) async fn change(
    hub: &Hub,
    caller: &Caller,
    id: EndpointId,
    bytes: &[u8],
) -> Result<(Endpoint, Option<Missed>), Error> {
    let (ctx, tenant) = (caller.ctx(), caller.tenant());
    let format = hub.db.read(move |read| webhooks::get(read, tenant, id)).await?.format;
    let command = update_request(hub, bytes, format).await?;
    let (endpoint, switched_on) = hub.db.write(move |tx| webhooks::update(tx, &ctx, id, &command)).await?;
    if !switched_on {
        return Ok((endpoint, None));
    }
    let asked = endpoint.clone();
    let missed = hub.db.read(move |read| webhooks::missed(read, &asked)).await?;
    Ok((endpoint, missed))
}

async fn update_request(hub: &Hub, bytes: &[u8], format: Format) -> Result<UpdateEndpoint, Error> {
    let policy = hub.guard.policy();
    let command = fields::read(bytes, |body| UpdateEndpoint {
        name: body.string("name").trimmed().chars(1..=100).owned().not_null().optional(),
        description: nullable(body.string("description").chars(..=500).owned().patch()),
        url: addresses::url(body.string("url"), policy).not_null().optional(),
        events: events_field(body, format).not_null().optional(),
        is_active: body.boolean("isActive").not_null().optional(),
        max_attempts: body.integer("maxAttempts").within(1..=10).not_null().optional(),
        inboxes: nullable(inboxes_field(body).patch()),
        header_prefix: prefix_field(body).not_null().optional(),
    })?;
    if let Some(url) = &command.url {
        check_name(hub, url).await?;
    }
    Ok(command)
}

/// What a subscription holds of what a format calls by this word, or `*`.
pub(crate) fn event_name(format: Format, word: &str) -> Result<String, Refusal> {
    let known = if word == "*" { Some("*") } else { format.event(word) };
    let unknown = || match format {
        Format::Native => Refusal::from("is no event; GET /docs lists them, and * stands for all"),
        Format::Atteny => "is no event; there are message.created and message.sent, and * stands for both".into(),
        Format::Chatwoot => "is no event of Chatwoot's, such as message_created; * stands for all".into(),
    };
    known.map(str::to_owned).ok_or_else(unknown)
}

fn events_field<'o>(body: &'o Object<'_, '_>, format: Format) -> Field<'o, Vec<String>> {
    let name = |word: std::borrow::Cow<str>| event_name(format, &word);
    let events = body.list("events", EVENTS_LIMIT, |event| event.string().parse(name).required());
    events.at_least(1).map(|mut events| {
        if format == Format::Atteny && events.iter().any(|name| name == "*") {
            events = format.events().into_iter().map(str::to_owned).collect();
        }
        events.sort();
        events.dedup();
        events
    })
}

fn inboxes_field<'o>(body: &'o Object<'_, '_>) -> Field<'o, Vec<InboxId>> {
    body.list("inboxIds", INBOXES_LIMIT, |id| id.string().id().required()).at_least(1)
}

fn prefix_field<'o>(body: &'o Object<'_, '_>) -> Field<'o, String> {
    let refusal = |_| "must be X- and then letters, digits and hyphens, at most 40 characters in all";
    body.string("headerPrefix")
        .parse(|text| sign::HeaderPrefix::parse(&text).map(|_| text.into_owned()).map_err(refusal))
}

/// Names are resolved only for a request that is right in itself.
async fn check_name(hub: &Hub, url: &str) -> Result<(), Error> {
    let refused = |refusal: tieline_delivery::egress::Refusal| {
        Error::field("/url", refusal.code, format!("url is refused: {}", refusal.detail))
    };
    hub.guard.check_at_save(url).await.map(drop).map_err(refused)
}
