//! What the handlers of the smaller nouns share: pages by cursor, creation under an `Idempotency-Key`, patches.

use super::{Result, replayed, respond};
use crate::caller::Caller;
use crate::http::cursor::Cursor;
use crate::http::fields::{Field, Patch, Refusal};
use crate::http::query::{self, Query};
use crate::http::reply::Page;
use crate::hub::Hub;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use tieline_core::ctx::Ctx;
use tieline_core::error::{Error, FieldError};
use tieline_core::fields::validate::FIELDS_LIMIT;
use tieline_core::idempotency::{self, Answer, Reply};
use tieline_core::ids::TenantId;
use tieline_core::page;
use tieline_db::{Read, Tx};
use utoipa::IntoParams;
use uuid::Uuid;

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // the document's side of what `wanted` reads
pub(crate) struct ListParams {
    /// Rows of the page; 20 if not given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// The page that a request asks for, with one row too many, by which [`Page::of`] knows whether others follow.
pub(crate) fn wanted(query: &Query, tenant: TenantId, list: &str) -> page::Page {
    let first = page::Page::first(query.limit() as i64 + 1);
    match query.cursor(tenant.0, list) {
        Some(cursor) => page::Page { before: (cursor.key, cursor.id), ..first },
        None => first,
    }
}

/// A page of a list that is ordered by id, newest first.
pub(crate) async fn list_by_id<R: Send + 'static, V>(
    hub: &Hub,
    tenant: TenantId,
    list: &'static str,
    query: Option<&str>,
    read: fn(&mut Read, TenantId, page::Page) -> std::result::Result<Vec<R>, Error>,
    id: fn(&R) -> Uuid,
    view: fn(&R) -> V,
) -> Result<Page<V>> {
    let page = query::read(query, |query| wanted(query, tenant, list))?;
    let rows = hub.db.read(move |tx| read(tx, tenant, page)).await?;
    let cursor = |row: &R| Cursor { key: 0, id: id(row) }.encode(tenant.0, list);
    Ok(Page::of(rows, page.limit as usize - 1, cursor, |row| view(&row)))
}

/// 200 with this body, to be kept for a repeated request.
pub(crate) fn ok(view: &impl Serialize) -> Answer {
    Answer { status: 200, location: None, body: serde_json::to_vec(view).unwrap_or_default() }
}

/// Runs a verb once under the request's `Idempotency-Key`, if it has one, and answers with what `render` makes of it.
pub(crate) async fn once<O: Send + 'static>(
    hub: &Hub,
    caller: &Caller,
    body: &[u8],
    render: fn(&O) -> Answer,
    verb: impl Fn(&mut Tx, &Ctx) -> std::result::Result<O, Error> + Send + 'static,
) -> Result<Response> {
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
    verb: impl Fn(&mut Tx, &Ctx) -> std::result::Result<O, Error> + Send + 'static,
) -> Result<Response> {
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
fn unsealed(hub: &Hub, mut answer: Answer, member: &str) -> std::result::Result<Answer, Error> {
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

/// A merge-patch member in the words of core: none keeps, none inside clears.
pub(crate) fn nullable<T>(patch: Patch<T>) -> Option<Option<T>> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(None),
        Patch::Set(value) => Some(Some(value)),
    }
}

/// A refusal of a core rule, in the words of the reader of fields.
pub(crate) fn refusal(error: FieldError) -> Refusal {
    let sentence = error.message.trim_end_matches('.').to_owned();
    Refusal::new(error.code, format!("is not accepted: {sentence}"))
}

/// A name of 1 to `most` characters, without white space around it.
pub(crate) fn name<'o>(field: Field<'o, Cow<'_, str>>, most: usize) -> Field<'o, String> {
    field.trimmed().chars(1..=most).owned()
}

/// The values of custom fields as sent; none when missing or null.
pub(crate) fn custom_fields(field: Field<'_, &RawValue>) -> serde_json::Map<String, Value> {
    match field.object(FIELDS_LIMIT).tree().optional() {
        Some(Value::Object(values)) => values,
        _ => Default::default(),
    }
}
