//! Finding conversations by looking at each: the last changed ones, a bounded number of them.

use super::list::{Filter, Sort, list};
use super::status::Status;
use super::{Conversation, conversation, sql};
use crate::Result;
use crate::ids::{ConversationId, TenantId};
use tieline_db::{Param, Read, params};
use uuid::Uuid;

/// Conversations that one search looks at.
pub const SEARCH_SCAN: usize = 20_000;
/// Conversations read at once.
const BATCH: i64 = 500;

/// Up to `limit` conversations that `keep` keeps, last changed first, among the [`SEARCH_SCAN`] (of `status`, if one is given)
/// that changed last; and whether all were looked at.
pub fn seek(
    read: &mut Read,
    tenant: TenantId,
    status: Option<Status>,
    limit: usize,
    mut keep: impl FnMut(&Conversation) -> bool,
) -> Result<(Vec<Conversation>, bool)> {
    let filter = Filter { status, ..Filter::default() };
    let (mut found, mut after) = (Vec::new(), None::<(i64, Uuid)>);
    for _ in 0..SEARCH_SCAN as i64 / BATCH {
        let batch = list(read, tenant, &filter, Sort::Updated, after, BATCH)?;
        let is_last = batch.len() < BATCH as usize;
        after = batch.last().map(|v| (v.updated_at, v.id.0)).or(after);
        found.extend(batch.into_iter().filter(|v| keep(v)));
        if is_last || found.len() >= limit {
            let is_all = is_last && found.len() <= limit;
            found.truncate(limit);
            return Ok((found, is_all));
        }
    }
    Ok((found, false))
}

/// Those of these conversations that exist, in no order.
pub fn known(read: &mut Read, tenant: TenantId, ids: &[ConversationId]) -> Result<Vec<Conversation>> {
    let params: Vec<Param> = ids.iter().flat_map(|id| params![tenant.0, id.0]).collect();
    let mut found = Vec::with_capacity(ids.len());
    read.select_many(&sql::GET_MANY, &params, |row| {
        found.push(conversation(row, 1)?);
        Ok(())
    })?;
    Ok(found)
}
