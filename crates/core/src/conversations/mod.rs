//! Conversations: opened through any dialect, one row, one machine of statuses, one sequence of events.

mod amend;
mod append;
mod change;
pub mod channel;
mod delete;
mod hand_off;
mod import;
mod land;
mod list;
mod merge;
mod mute;
mod open;
mod open_in;
mod participants;
mod priority;
mod search;
mod seen;
pub(crate) mod sql;
mod standing;
pub mod status;
mod tagging;
mod typing;
mod update;

pub use amend::{Amend, amend};
pub use append::{Append, AppendVerb, Appended};
pub(crate) use change::{
    announce, hold, hold_many, hold_with_primaries, lock, lock_many, next as next_event, save, save_many, wake,
};
pub use delete::delete;
pub use hand_off::hand_off;
pub use import::{Import, import};
pub use land::{Land, Landed, land};
pub use list::{
    AgentFilter, Filter, Sort, by_number, by_reference, get, holder, list, newest_from, numbered, of_contact, unread,
    unread_then,
};
pub use merge::{Merge, merge};
pub use mute::mute;
pub use open::{Customer, StartOutbound, StartOutboundVerb, Started};
pub use open_in::{OpenIn, open_in};
pub use participants::{PARTICIPANTS_LIMIT, participants, set_participants};
pub use priority::Priority;
pub use search::{SEARCH_SCAN, known, seek};
pub use seen::{Looker, see, unsee};
pub(crate) use standing::offset;
pub use standing::{Counts, Queue, Sight, Standing, counts, page};
pub use tagging::{TAGS_LIMIT, set_tag};
pub use typing::{Typing, typing};
pub use update::{Update, Updated, update};

use crate::contacts::{self, Contact};
use crate::ids::{BotId, ConversationId, InboxId, TeamId, TenantId, UserId};
use crate::messages::Message;
use crate::messages::direction::{AuthorType, Direction};
use crate::{Error, Result};
use channel::Channel;
use status::{Engagement, Status};
use std::collections::{BTreeMap, HashMap};
use tieline_db::{Ask, Row, params};

/// A conversation with its contact and its tags.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// The number people quote (pt-BR *protocolo*); counts per tenant, gaps allowed.
    pub number: i64,
    /// The inbox it came through.
    pub inbox: InboxId,
    /// The customer.
    pub contact: Contact,
    /// Kind of transport.
    pub channel: Channel,
    /// What it is about.
    pub subject: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Who owes whom an answer; none without messages.
    pub engagement: Option<Engagement>,
    /// The integrator's key, unique per tenant, compared byte by byte.
    pub external_reference: Option<String>,
    /// The team whose queue it is in.
    pub team: Option<TeamId>,
    /// The agent who has it.
    pub agent: Option<UserId>,
    /// Slugs, sorted.
    pub tags: Vec<String>,
    /// Custom field values by key, a JSON object as text.
    pub custom_fields: String,
    /// Free-form, a JSON object as text.
    pub metadata: String,
    /// When it wakes up, while snoozed. Microseconds UTC, like all times here.
    pub snoozed_until: Option<i64>,
    /// The conversation that took over its messages.
    pub merged_into: Option<ConversationId>,
    /// How often it came back from done.
    pub reopen_count: i64,
    /// Events so far; the next one is this plus one.
    pub event_sequence: i64,
    /// Messages that the customer sees: inbound and outbound ones.
    pub message_count: i64,
    /// Newest message, by our clock.
    pub last_message_at: Option<i64>,
    /// Newest message of the customer, by our clock.
    pub last_contact_message_at: Option<i64>,
    /// When it was opened.
    pub created_at: i64,
    /// When anything of it last changed.
    pub updated_at: i64,
    /// When it was marked done, if it is.
    pub done_at: Option<i64>,
    /// When it was archived, if it is.
    pub archived_at: Option<i64>,
    /// The archived conversation whose customer wrote again and got this one.
    pub previous: Option<ConversationId>,
    /// The contact's address in its inbox, in inboxes of integrators.
    pub source_id: Option<String>,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// A bot works on it: not yet in the agents' queue.
    pub is_held: bool,
    /// When the customer wrote what nobody has answered.
    pub waiting_since: Option<i64>,
    /// When one of us first answered.
    pub first_reply_at: Option<i64>,
    /// When the customer last looked.
    pub contact_seen_at: Option<i64>,
    /// When one of us last looked.
    pub agent_seen_at: Option<i64>,
    /// The bot that has it, as an agent would.
    pub bot: Option<BotId>,
}

impl Conversation {
    /// A new one with this id and number, in an inbox and by its channel: active, nobody's, without a word.
    pub(crate) fn opened(
        (id, number): (ConversationId, i64),
        (inbox, channel): (InboxId, Channel),
        contact: Contact,
        created_at: i64,
    ) -> Conversation {
        Conversation {
            id,
            number,
            inbox,
            contact,
            channel,
            subject: None,
            status: Status::Active,
            engagement: None,
            external_reference: None,
            team: None,
            agent: None,
            tags: Vec::new(),
            custom_fields: "{}".into(),
            metadata: "{}".into(),
            snoozed_until: None,
            merged_into: None,
            reopen_count: 0,
            event_sequence: 0,
            message_count: 0,
            last_message_at: None,
            last_contact_message_at: None,
            created_at,
            updated_at: created_at,
            done_at: None,
            archived_at: None,
            previous: None,
            source_id: None,
            priority: None,
            is_held: false,
            waiting_since: None,
            first_reply_at: None,
            contact_seen_at: None,
            agent_seen_at: None,
            bot: None,
        }
    }
    /// Counts a message in: who waits for whom, and since when.
    pub(crate) fn heard(&mut self, message: &Message) {
        match (message.direction, message.author_type) {
            (Direction::Inbound, _) => self.waiting_since = self.waiting_since.or(Some(message.created_at)),
            (Direction::Outbound, AuthorType::Agent) => {
                self.waiting_since = None;
                self.first_reply_at = self.first_reply_at.or(Some(message.created_at));
            }
            _ => {}
        }
    }
}

/// Reads a conversation from [`sql::columns`] that start at `at`, followed by its tags and its contact's columns.
pub(crate) fn conversation(row: &Row, at: usize) -> tieline_db::Result<Conversation> {
    let stored = |what: &str| tieline_db::Error::Sql(format!("unknown {what} in conversations"));
    Ok(Conversation {
        id: ConversationId::from_uuid(row.get(at)?),
        number: row.get(at + 1)?,
        inbox: InboxId::from_uuid(row.get(at + 2)?),
        channel: Channel::from_text(&row.get::<String>(at + 3)?).ok_or_else(|| stored("channel"))?,
        subject: row.get(at + 4)?,
        status: Status::from_text(&row.get::<String>(at + 5)?).ok_or_else(|| stored("status"))?,
        engagement: match row.get::<Option<String>>(at + 6)? {
            Some(text) => Some(Engagement::from_text(&text).ok_or_else(|| stored("engagement"))?),
            None => None,
        },
        external_reference: row.get(at + 7)?,
        team: row.get::<Option<_>>(at + 8)?.map(TeamId::from_uuid),
        agent: row.get::<Option<_>>(at + 9)?.map(UserId::from_uuid),
        custom_fields: row.get(at + 10)?,
        metadata: row.get(at + 11)?,
        snoozed_until: row.get(at + 12)?,
        merged_into: row.get::<Option<_>>(at + 13)?.map(ConversationId::from_uuid),
        reopen_count: row.get(at + 14)?,
        event_sequence: row.get(at + 15)?,
        last_message_at: row.get(at + 16)?,
        last_contact_message_at: row.get(at + 17)?,
        created_at: row.get(at + 18)?,
        updated_at: row.get(at + 19)?,
        done_at: row.get(at + 20)?,
        archived_at: row.get(at + 21)?,
        previous: row.get::<Option<_>>(at + 22)?.map(ConversationId::from_uuid),
        message_count: row.get(at + 23)?,
        source_id: row.get(at + 24)?,
        priority: row.get::<Option<String>>(at + 25)?.as_deref().and_then(Priority::from_text),
        is_held: row.get(at + 26)?,
        waiting_since: row.get(at + 27)?,
        first_reply_at: row.get(at + 28)?,
        contact_seen_at: row.get(at + 29)?,
        agent_seen_at: row.get(at + 30)?,
        bot: row.get::<Option<_>>(at + 31)?.map(BotId::from_uuid),
        tags: row
            .get::<Option<String>>(at + 32)?
            .map(|slugs| slugs.split(' ').map(str::to_owned).collect())
            .unwrap_or_default(),
        contact: contacts::contact(row, at + 33)?,
    })
}

/// Conversation numbers to take: how many for each tenant, then the next of each.
///
/// Apart from the transaction: a tenant's conversations would be opened one after another otherwise, each waiting for the
/// commit of the one before.
#[derive(Default)]
pub(crate) struct ConversationNumbers {
    counts: BTreeMap<TenantId, i64>,
    next: HashMap<TenantId, i64>,
}

impl ConversationNumbers {
    /// One more for this tenant.
    pub fn add(&mut self, tenant: TenantId) {
        *self.counts.entry(tenant).or_default() += 1;
    }
    /// Takes them.
    pub fn ask(&mut self) -> Ask<'_> {
        let (counts, next) = (&self.counts, &mut self.next);
        let params = counts.iter().flat_map(|(tenant, count)| params![tenant.0, *count]).collect();
        Ask::apart(&crate::tenants::sql::TAKE_NUMBERS, params, |row| {
            let (tenant, last) = (TenantId(row.get(0)?), row.get::<i64>(1)?);
            next.insert(tenant, last - counts.get(&tenant).copied().unwrap_or(0) + 1);
            Ok(())
        })
    }
    /// The next of those that were taken.
    pub fn take(&mut self, tenant: TenantId) -> Result<i64> {
        let next = self.next.get_mut(&tenant).ok_or_else(|| Error::not_found("tenant"))?;
        *next += 1;
        Ok(*next - 1)
    }
}

/// Takes a conversation number of the tenant.
pub(crate) fn take_number(tx: &mut tieline_db::Tx, tenant: TenantId) -> Result<i64> {
    let mut numbers = ConversationNumbers::default();
    numbers.add(tenant);
    tx.together(vec![numbers.ask()])?;
    numbers.take(tenant)
}
