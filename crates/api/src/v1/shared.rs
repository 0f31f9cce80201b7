//! What the handlers of the smaller nouns share: pages by cursor, creation under an `Idempotency-Key`, patches.

pub(crate) use crate::members::{custom_fields, name, nullable, refusal};
pub(crate) use crate::once::{ok, once, once_with_secret};

use super::Result;
use crate::http::cursor::Cursor;
use crate::http::query::{self, Query};
use crate::http::reply::Page;
use crate::hub::Hub;
use std::borrow::Cow;
use tieline_core::conversations::channel::Channel;
use tieline_core::error::Error;
use tieline_core::ids::TenantId;
use tieline_core::page;
use tieline_db::Read;
use utoipa::IntoParams;
use uuid::Uuid;

/// A channel's word.
pub(crate) fn parse_channel(text: Cow<str>) -> std::result::Result<Channel, String> {
    let known = || format!("must be one of {}", Channel::ALL.map(Channel::as_str).join(", "));
    Channel::from_text(&text).ok_or_else(known)
}

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
