//! What the handlers of the smaller nouns share: pages by cursor, creation under an `Idempotency-Key`, patches.

pub(crate) use crate::once::{ok, once, once_with_secret};

use super::Result;
use crate::http::cursor::Cursor;
use crate::http::fields::{Field, Patch, Refusal};
use crate::http::query::{self, Query};
use crate::http::reply::Page;
use crate::hub::Hub;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use tieline_core::error::{Error, FieldError};
use tieline_core::fields::validate::FIELDS_LIMIT;
use tieline_core::ids::TenantId;
use tieline_core::page;
use tieline_db::Read;
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
