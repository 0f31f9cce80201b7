//! Answers that are given once: the bytes of a success are kept with its change, and a repeated request under the same
//! `Idempotency-Key` gets them again. The same for every dialect; each renders its own bytes.

use crate::caller::Caller;
use crate::http::error::Failure;
use crate::http::reply::RawJson;
use crate::hub::Hub;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tieline_core::ctx::Ctx;
use tieline_core::error::Error;
use tieline_core::idempotency::{self, Answer, Reply};
use tieline_db::Tx;

/// An answer that was given before.
pub(crate) fn replayed(answer: Answer) -> Response {
    const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = RawJson { status, body: answer.body.into() }.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(location) = answer.location.and_then(|location| HeaderValue::try_from(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// The bytes of a 201, to be kept for a repeated request.
pub(crate) fn created(location: String, view: &impl Serialize) -> Answer {
    Answer { status: 201, location: Some(location), body: serde_json::to_vec(view).unwrap_or_default() }
}

/// An answer given now.
pub(crate) fn respond(answer: Answer) -> Response {
    let mut response = replayed(answer);
    response.headers_mut().remove("idempotent-replayed");
    response
}

/// 200 with this body, to be kept for a repeated request.
pub(crate) fn ok(view: &impl Serialize) -> Answer {
    Answer { status: 200, location: None, body: serde_json::to_vec(view).unwrap_or_default() }
}

/// Runs a single verb under the request's `Idempotency-Key`, if it has one, and answers with what `render` makes of it.
pub(crate) async fn once<O: Send + 'static>(
    hub: &Hub,
    caller: &Caller,
    body: &[u8],
    render: fn(&O) -> Answer,
    verb: impl Fn(&mut Tx, &Ctx) -> Result<O, Error> + Send + 'static,
) -> Result<Response, Failure> {
    let (ctx, once) = (caller.ctx(), caller.once(body, render));
    let run = move |tx: &mut Tx| idempotency::once(tx, ctx.tenant, once.as_ref(), |tx| verb(tx, &ctx));
    Ok(match hub.db.write(run).await? {
        Reply::Done(done) => respond(render(&done)),
        Reply::Replayed(answer) => replayed(answer),
    })
}

/// What a secret looks like in a stored answer.
const SEALED: &str = "sealed:";
/// The context in which a seal of a stored answer may be opened.
const SEALED_CONTEXT: &str = "idempotency_keys.answer";

struct Shown<O> {
    outcome: O,
    sealed: String,
    render: fn(&O, &str) -> Answer,
}

/// [`once`] for an answer that shows a secret: what is kept for a repeated request holds it sealed.
///
/// `render` must write the secret as the member `member`.
pub(crate) async fn once_with_secret<O: Send + 'static>(
    hub: &Hub,
    caller: &Caller,
    body: &[u8],
    (member, secret): (&str, String),
    render: fn(&O, &str) -> Answer,
    verb: impl Fn(&mut Tx, &Ctx) -> Result<O, Error> + Send + 'static,
) -> Result<Response, Failure> {
    let sealed = hub.keyring.seal(secret.as_bytes(), SEALED_CONTEXT, hub.random()?)?;
    let sealed = format!("{SEALED}{}", STANDARD.encode(sealed));
    let kept: fn(&Shown<O>) -> Answer = |shown| (shown.render)(&shown.outcome, &shown.sealed);
    let (ctx, once) = (caller.ctx(), caller.once(body, kept));
    let run = move |tx: &mut Tx| {
        idempotency::once(tx, ctx.tenant, once.as_ref(), |tx| {
            Ok::<_, Error>(Shown { outcome: verb(tx, &ctx)?, sealed: sealed.clone(), render })
        })
    };
    Ok(match hub.db.write(run).await? {
        Reply::Done(done) => respond(render(&done.outcome, &secret)),
        Reply::Replayed(answer) => replayed(unsealed(hub, answer, member)?),
    })
}

/// The answer with its secret in the clear again. Quotes inside a JSON text are escaped, so only the member itself can
/// look like this.
fn unsealed(hub: &Hub, mut answer: Answer, member: &str) -> Result<Answer, Error> {
    let text = String::from_utf8(answer.body).map_err(Error::internal)?;
    let start = format!("\"{member}\":\"{SEALED}");
    if let Some((before, rest)) = text.split_once(&start)
        && let Some((sealed, after)) = rest.split_once('"')
    {
        let sealed = STANDARD.decode(sealed).map_err(Error::internal)?;
        let secret = hub.keyring.open(&sealed, SEALED_CONTEXT)?;
        let secret = String::from_utf8(secret).map_err(Error::internal)?;
        answer.body = format!("{before}\"{member}\":\"{secret}\"{after}").into_bytes();
    } else {
        answer.body = text.into_bytes();
    }
    Ok(answer)
}
