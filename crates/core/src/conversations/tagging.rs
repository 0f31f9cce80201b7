//! Tags on conversations: set and taken off any number of times with one effect.

use super::append::archived;
use super::change::{lock, next, save};
use super::status::Status;
use super::{Conversation, sql};
use crate::ctx::Ctx;
use crate::events::{Event, emit};
use crate::ids::ConversationId;
use crate::tags::{self, tag};
use crate::{Error, Result};
use tieline_db::{Tx, params};

/// Most tags of one conversation (contract D3.7); only a merge can make it more.
pub const TAGS_LIMIT: usize = 50;

/// Sets a tag on a conversation or takes it off; nothing happens where it is so already.
///
/// Errors: `not_found` for an unknown conversation or slug, `conversation_archived`, `tag_limit_reached`.
pub fn set_tag(tx: &mut Tx, ctx: &Ctx, id: ConversationId, slug: &str, on: bool) -> Result<Conversation> {
    let mut v = lock(tx, ctx.tenant, id)?;
    let tag =
        tx.opt(tags::sql::BY_ONE_SLUG, &params![ctx.tenant.0, slug], tag)?.ok_or_else(|| Error::not_found("tag"))?;
    let place = v.tags.binary_search(&tag.slug);
    if place.is_ok() == on {
        return Ok(v);
    }
    if v.status == Status::Archived {
        return Err(archived());
    }
    match place {
        Err(_) if v.tags.len() >= TAGS_LIMIT => {
            let detail = "The conversation carries 50 tags already; take one off first.";
            return Err(Error::conflict("tag_limit_reached", detail));
        }
        Err(place) => {
            v.tags.insert(place, tag.slug.clone());
            let now = tx.now();
            tx.run_many(&sql::INSERT_TAG, &params![ctx.tenant.0, v.id.0, tag.id.0, now])?;
        }
        Ok(place) => {
            v.tags.remove(place);
            tx.execute(sql::REMOVE_TAG, &params![ctx.tenant.0, v.id.0, tag.id.0])?;
        }
    }
    v.updated_at = tx.now();
    let sequence = next(&mut v);
    save(tx, ctx.tenant, &v)?;
    let event = match on {
        true => Event::TagAdded { conversation: &v, tag: &tag },
        false => Event::TagRemoved { conversation: &v, tag: &tag },
    };
    emit(tx, ctx, &event, sequence)?;
    Ok(v)
}
