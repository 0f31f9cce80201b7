//! What dialects without definitions change of a conversation: priority, a bot's hold, attributes of any key, the whole list
//! of labels.

use super::change::{announce, lock, save};
use super::{Conversation, Priority, set_tag};
use crate::ctx::Ctx;
use crate::events::Batch;
use crate::ids::{BotId, ConversationId};
use crate::{Result, bots, tags};
use tieline_db::Tx;

/// Changes; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Amend {
    /// How urgent it is; none inside clears.
    pub priority: Option<Option<Priority>>,
    /// Whether a bot works on it.
    pub is_held: Option<bool>,
    /// The bot that has it from now on, instead of any agent; none inside takes it from a bot.
    pub bot: Option<Option<BotId>>,
    /// All values by key from now on, a JSON object as text.
    pub custom_fields: Option<String>,
    /// Free-form, all of it from now on, a JSON object as text.
    pub metadata: Option<String>,
    /// All labels from now on; a tag is made for one that is new to the tenant.
    pub labels: Option<Vec<String>>,
}

/// Changes what differs.
///
/// Errors: `not_found`, also for a bot; those of [`set_tag`]; `invalid_slug` for a label that no slug can be made from.
pub fn amend(tx: &mut Tx, ctx: &Ctx, id: ConversationId, cmd: &Amend) -> Result<Conversation> {
    let before = lock(tx, ctx.tenant, id)?;
    let mut v = before.clone();
    v.priority = cmd.priority.unwrap_or(v.priority);
    v.is_held = cmd.is_held.unwrap_or(v.is_held);
    if let Some(bot) = cmd.bot {
        if let Some(bot) = bot {
            bots::get(tx, ctx.tenant, bot)?;
            v.agent = None;
        }
        v.bot = bot;
    }
    if let Some(values) = &cmd.custom_fields {
        v.custom_fields.clone_from(values);
    }
    if let Some(metadata) = &cmd.metadata {
        v.metadata.clone_from(metadata);
    }
    let mut events = Batch::default();
    if announce(tx, ctx, &before, &mut v, &mut events)? {
        save(tx, ctx.tenant, &v)?;
        events.write(tx)?;
    }
    if let Some(labels) = &cmd.labels {
        v = relabel(tx, ctx, v, labels)?;
    }
    Ok(v)
}

fn relabel(tx: &mut Tx, ctx: &Ctx, mut v: Conversation, labels: &[String]) -> Result<Conversation> {
    let wanted: Vec<String> = tags::of_labels(tx, ctx, labels)?.into_iter().map(|(_, slug)| slug).collect();
    for gone in v.tags.clone().iter().filter(|slug| !wanted.contains(slug)) {
        v = set_tag(tx, ctx, v.id, gone, false)?;
    }
    for slug in &wanted {
        v = set_tag(tx, ctx, v.id, slug, true)?;
    }
    Ok(v)
}
