//! Finding messages by what they say: the newest ones, a bounded number of them.

use super::{Message, message, sql};
use crate::ids::TenantId;
use crate::{Result, attachments};
use tieline_db::{Read, params};
use uuid::Uuid;

/// Messages that one search looks at.
pub const SEARCH_SCAN: usize = 20_000;
/// Messages read at once.
const BATCH: i64 = 1000;

/// Up to `limit` messages that `keep` keeps, the last written first, among the [`SEARCH_SCAN`] of the tenant that were written
/// last; and whether all were looked at.
pub fn seek(
    read: &mut Read,
    tenant: TenantId,
    limit: usize,
    mut keep: impl FnMut(&Message) -> bool,
) -> Result<(Vec<Message>, bool)> {
    let (mut found, mut before, mut is_all) = (Vec::new(), Uuid::max(), false);
    for _ in 0..SEARCH_SCAN as i64 / BATCH {
        let batch = read.all(sql::WALK, &params![tenant.0, before, BATCH], |row| message(row, 0))?;
        let is_last = batch.len() < BATCH as usize;
        before = batch.last().map_or(before, |message| message.id.0);
        found.extend(batch.into_iter().filter(|message| keep(message)));
        if is_last || found.len() >= limit {
            is_all = is_last && found.len() <= limit;
            break;
        }
    }
    found.truncate(limit);
    attachments::fill(read, found.iter_mut().map(|message| (tenant, message)))?;
    Ok((found, is_all))
}
