//! Taking over what another installation holds: people, settings, contacts, conversations and messages, as they were and
//! when they were.
//!
//! Everything is taken over once: [`find`] and [`remember`] keep, beside each row that is made, which one of theirs it was,
//! in the same transaction. So an import that broke off goes on, and one that is run again brings what is new there. What
//! is known already stays as it is here. History is no news: no contact, conversation or message that is taken over becomes
//! an event, so no webhook and no rule reacts to it; lists and totals count it. An inbox is made here and says so. The verbs
//! stand beside their nouns.

mod settings;
mod sql;

pub(crate) use settings::tag;
pub use settings::{Inbox, bot, field, inbox, label, rule, snippet, team, user, webhook};

use crate::ids::TenantId;
use crate::{Error, Result};
use std::collections::HashMap;
use tieline_db::{Param, Read, Tx, params};
use uuid::Uuid;

/// Where things come from, and where they go.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The tenant that takes over.
    pub tenant: TenantId,
    /// The other installation and the account there.
    pub source: String,
}

/// What is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Noun {
    /// A user.
    User,
    /// A team.
    Team,
    /// A tag.
    Label,
    /// A custom field.
    Field,
    /// A snippet.
    Snippet,
    /// A bot.
    Bot,
    /// An account's webhook.
    Webhook,
    /// A rule.
    Rule,
    /// An inbox.
    Inbox,
    /// A contact.
    Contact,
    /// A conversation.
    Conversation,
    /// A message.
    Message,
}

impl Noun {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Noun::User => "user",
            Noun::Team => "team",
            Noun::Label => "label",
            Noun::Field => "field",
            Noun::Snippet => "snippet",
            Noun::Bot => "bot",
            Noun::Webhook => "webhook",
            Noun::Rule => "rule",
            Noun::Inbox => "inbox",
            Noun::Contact => "contact",
            Noun::Conversation => "conversation",
            Noun::Message => "message",
        }
    }
}

/// What one of theirs is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its id here.
    pub id: Uuid,
    /// Of a conversation: the number of its last message there that is here. Of a contact: 1 once its labels are here.
    pub mark: i64,
}

/// What became of one of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is new here.
    New,
    /// It stands for something that was here, or was taken over before.
    There,
}

/// Those of these numbers that were taken over before.
pub fn find(read: &mut Read, origin: &Origin, noun: Noun, theirs: &[i64]) -> Result<HashMap<i64, Item>> {
    let params: Vec<Param> =
        theirs.iter().flat_map(|number| params![origin.tenant.0, &origin.source, noun.as_str(), *number]).collect();
    let mut found = HashMap::with_capacity(theirs.len());
    read.select_many(&sql::FIND, &params, |row| {
        found.insert(theirs[row.get::<i64>(0)? as usize], Item { id: row.get(1)?, mark: row.get(2)? });
        Ok(())
    })?;
    Ok(found)
}

/// Notes what these of theirs are here.
pub(crate) fn remember(tx: &mut Tx, origin: &Origin, noun: Noun, pairs: &[(i64, Uuid)]) -> Result<()> {
    let params: Vec<Param> = pairs
        .iter()
        .flat_map(|(theirs, ours)| params![origin.tenant.0, &origin.source, noun.as_str(), *theirs, *ours])
        .collect();
    if tx.many(&sql::REMEMBER, &params, |_| Ok(()))? < pairs.len() as u64 {
        return Err(tx.lost_race("another import").into());
    }
    Ok(())
}

/// Notes how much of one of theirs is here; see [`Item::mark`].
pub(crate) fn mark(tx: &mut Tx, origin: &Origin, noun: Noun, theirs: i64, mark: i64) -> Result<()> {
    tx.execute(sql::MARK, &params![origin.tenant.0, &origin.source, noun.as_str(), theirs, mark])?;
    Ok(())
}

/// Contacts that one [`labels_are_here`] goes over.
const LABELLED: i64 = 1000;

/// Notes of the contacts after `after`, some of them, that their labels are here; where the next call begins, none at the
/// end.
pub fn labels_are_here(tx: &mut Tx, origin: &Origin, after: i64) -> Result<Option<i64>> {
    let noun = Noun::Contact.as_str();
    let params = params![origin.tenant.0, &origin.source, noun, after, LABELLED];
    let theirs: Vec<i64> = tx.all(sql::AFTER, &params, |row| row.get(0))?;
    let Some(last) = theirs.last().copied() else { return Ok(None) };
    tx.execute(sql::MARK_ALL, &params![origin.tenant.0, &origin.source, noun, after, last])?;
    Ok((theirs.len() as i64 == LABELLED).then_some(last))
}

/// What one of theirs is here: what it was before, or what `make` makes of it.
fn once(
    tx: &mut Tx,
    origin: &Origin,
    noun: Noun,
    theirs: i64,
    make: impl FnOnce(&mut Tx) -> Result<(Uuid, Taken)>,
) -> Result<(Uuid, Taken)> {
    if let Some(item) = find(tx, origin, noun, &[theirs])?.remove(&theirs) {
        return Ok((item.id, Taken::There));
    }
    let (ours, taken) = make(tx)?;
    remember(tx, origin, noun, &[(theirs, ours)])?;
    Ok((ours, taken))
}

/// The id as if it had been made then, so that lists by age are right.
pub(crate) fn made_at(id: Uuid, at: i64) -> Uuid {
    let (high, low) = id.as_u64_pair();
    Uuid::from_u64_pair(((at.max(0) / 1000) as u64) << 16 | high & 0xffff, low)
}

fn gone(what: &'static str) -> Error {
    Error::not_found(what)
}
