//! Appending messages: the other hot verb, written over a slice.
//!
//! A message finds its conversation by three rules: what was merged answers for its primary (contract D6.2), what the
//! customer writes to an archived conversation opens a new one for the same contact, in which it goes on while that one
//! stands, and a message whose external id is known is not written again (contract D3.9). Within a set commands are carried out in order on one state in memory, so
//! two that meet on one conversation only after these rules see each other's changes.

use super::change::{self, Key};
use super::open::{insert_many, to_engine};
use super::status::{Command, Moment, Outcome, Status};
use super::{Conversation, sql, take_number};
use crate::attachments::{self, Attached};
use crate::ctx::Ctx;
use crate::events::{Batch, Event};
use crate::idempotency::{self, Once, Replays, Reply};
use crate::ids::{ContactId, ConversationId, InboxId, TeamId, TenantId, UserId};
use crate::messages::direction::Direction;
use crate::messages::{self, Message, NewMessage};
use crate::{Error, Result, bots, contacts, surveys};
use std::collections::{HashMap, HashSet};
use tieline_db::{Keys, Numbers, Param, SetVerb, Tx, params};

/// Merges in a row that are followed to the primary; a longer chain is refused.
pub(crate) const MERGE_HOPS_LIMIT: usize = 16;

/// Adds a message to a conversation: the customer's, ours, or a note.
#[derive(Clone)]
pub struct Append {
    /// Tenant, actor, cause.
    pub ctx: Ctx,
    /// Answer of an earlier request with the same `Idempotency-Key`, if the caller sent one.
    pub once: Option<Once<Appended>>,
    /// Where.
    pub conversation: ConversationId,
    /// What.
    pub message: NewMessage,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The message.
    pub message: Message,
    /// The conversation that holds it; another than was asked for after a merge or on an archived one.
    pub conversation: Conversation,
    /// The archived conversation that was written to, when the message went into one that follows it.
    pub previous: Option<ConversationId>,
    /// The message was there already, by its external id.
    pub existing: bool,
}

/// The set verb behind [`Append`].
///
/// Errors: `not_found`; `conversation_archived` for a message of ours or a note; `external_id_exists` (with `messageId`) for an
/// external id that a message the other way has; `validation_error` at `/author/id` for an
/// author who is no user of the tenant, or at an attachment that is no upload; `attachment_taken`; `merge_chain_too_long`; `idempotency_key_reused`.
pub struct AppendVerb;

impl SetVerb for AppendVerb {
    type Command = Append;
    type Outcome = Reply<Appended>;
    type Error = Error;

    fn keys(cmd: &Append, keys: &mut Keys) {
        keys.add((cmd.ctx.tenant, "conversation", cmd.conversation));
        if let Some(once) = &cmd.once {
            once.keys(cmd.ctx.tenant, keys);
        }
    }

    fn run(tx: &mut Tx, commands: &[&Append]) -> tieline_db::Result<Vec<Result<Reply<Appended>>>> {
        let mut set = Set { commands, answers: commands.iter().map(|_| None).collect(), ..Set::default() };
        set.run(tx).map_err(to_engine)?;
        let answers = set.answers.into_iter();
        answers.map(|answer| answer.ok_or_else(|| tieline_db::Error::Sql("unanswered".into()))).collect()
    }
}

/// One run over a slice.
#[derive(Default)]
struct Set<'c> {
    commands: &'c [&'c Append],
    answers: Vec<Option<Result<Reply<Appended>>>>,
    /// Where each command's message goes, once merges are followed.
    targets: Vec<Option<Key>>,
    /// Every conversation in hand, by id, and those that are to be saved.
    states: HashMap<Key, Conversation>,
    changed: Vec<Key>,
    /// Conversations that stand for archived ones, by the archived one.
    successors: HashMap<Key, ConversationId>,
    opened: HashSet<Key>,
    /// Known messages by the place asked for and external id.
    known: HashMap<(Key, String), (Key, Said)>,
    authors: HashMap<usize, String>,
    written: Vec<(Key, Message)>,
    outcomes: Vec<Done>,
    events: Batch,
}

/// What one command came to, before everything is written.
struct Done {
    index: usize,
    asked: Key,
    holder: Key,
    said: Said,
    existing: bool,
}

/// A message of this set, by its place in `written`, or one that was there before.
#[derive(Clone)]
enum Said {
    Here(usize),
    Before(Box<Message>),
}

impl<'c> Set<'c> {
    fn run(&mut self, tx: &mut Tx) -> Result<()> {
        let once = |(index, cmd): (usize, &&'c Append)| Some((index, cmd.ctx.tenant, cmd.once.as_ref()?));
        let mut replays = Replays::of(self.commands.iter().enumerate().filter_map(once));
        let now = tx.now();
        tx.together(vec![replays.ask(now)])?;
        replays.answers().for_each(|(index, answer)| self.answers[index] = Some(answer));
        self.find_conversations(tx)?;
        self.find_authors(tx)?;
        self.find_known(tx)?;
        self.find_successors(tx)?;
        // Only now, while the conversations are held: so numbers grow within each.
        let mut numbers = tx.take_numbers(self.open().count())?;
        for index in 0..self.commands.len() {
            if self.answers[index].is_none()
                && let Err(error) = self.append(tx, index, &mut numbers)?
            {
                self.answers[index] = Some(Err(error));
            }
        }
        self.write(tx)
    }

    fn open(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.commands.len()).filter(|index| self.answers[*index].is_none())
    }

    /// Reads the conversations, and the primaries of merged ones.
    fn find_conversations(&mut self, tx: &mut Tx) -> Result<()> {
        self.targets = vec![None; self.commands.len()];
        for index in self.open().collect::<Vec<_>>() {
            self.targets[index] = Some((self.commands[index].ctx.tenant, self.commands[index].conversation));
        }
        for _ in 0..=MERGE_HOPS_LIMIT {
            let mut asked: Vec<Key> = self.targets.iter().flatten().copied().collect();
            asked.retain(|key| !self.states.contains_key(key));
            asked.sort();
            asked.dedup();
            if asked.is_empty() {
                break;
            }
            self.states.extend(change::lock_standing(tx, &asked)?);
            for index in self.open().collect::<Vec<_>>() {
                let Some(key) = self.targets[index] else { continue };
                match self.states.get(&key).map(|v| v.merged_into) {
                    None => self.refuse(index, Error::not_found("conversation")),
                    Some(Some(primary)) => self.targets[index] = Some((key.0, primary)),
                    Some(None) => {}
                }
            }
        }
        for index in self.open().collect::<Vec<_>>() {
            let found = self.targets[index].and_then(|key| self.states.get(&key));
            if found.is_none_or(|v| v.merged_into.is_some()) {
                self.refuse(index, merge_chain_too_long());
            }
        }
        Ok(())
    }

    fn refuse(&mut self, index: usize, error: Error) {
        self.answers[index] = Some(Err(error));
        self.targets[index] = None;
    }

    /// Looks up the users that are named as authors.
    fn find_authors(&mut self, tx: &mut Tx) -> Result<()> {
        let named = |index: &usize| Some((*index, self.commands[*index].message.author.user?));
        let asked: Vec<(usize, UserId)> = self.open().filter_map(|index| named(&index)).collect();
        let params: Vec<Param> =
            asked.iter().flat_map(|(index, id)| params![self.commands[*index].ctx.tenant.0, id.0]).collect();
        let authors = &mut self.authors;
        tx.select_many(&sql::KNOWS_USER, &params, |row| {
            authors.insert(asked[row.get::<i64>(0)? as usize].0, row.get(1)?);
            Ok(())
        })?;
        for (index, _) in asked {
            if !self.authors.contains_key(&index) {
                self.refuse(index, Error::field("/author/id", "not_found", "There is no such user."));
            }
        }
        Ok(())
    }

    /// Looks up the messages that have these external ids already, in the conversation or in one that followed it.
    fn find_known(&mut self, tx: &mut Tx) -> Result<()> {
        let (mut asked, mut params, mut archived) = (Vec::new(), Vec::<Param>::new(), Vec::<Param>::new());
        let mut archived_asked = Vec::new();
        for index in self.open() {
            let (Some(key), Some(id)) = (self.targets[index], &self.commands[index].message.external_id) else {
                continue;
            };
            params.extend(params![key.0.0, key.1.0, id]);
            asked.push((key, id));
            if self.states[&key].status == Status::Archived {
                archived.extend(params![key.0.0, key.1.0, id]);
                archived_asked.push((key, id));
            }
        }
        let known = &mut self.known;
        tx.select_many(&messages::sql::BY_EXTERNAL_ID, &params, |row| {
            let (key, id) = asked[row.get::<i64>(0)? as usize];
            known.insert((key, id.clone()), (key, Said::Before(Box::new(messages::message(row, 1)?))));
            Ok(())
        })?;
        let mut holders = Vec::new();
        tx.select_many(&messages::sql::BY_EXTERNAL_ID_AFTER, &archived, |row| {
            let (key, id) = archived_asked[row.get::<i64>(0)? as usize];
            let message = messages::message(row, 1)?;
            holders.push((key.0, message.conversation));
            known.insert((key, id.clone()), ((key.0, message.conversation), Said::Before(Box::new(message))));
            Ok(())
        })?;
        let before = known.values_mut().filter_map(|(key, said)| match said {
            Said::Before(message) => Some((key.0, &mut **message)),
            Said::Here(_) => None,
        });
        attachments::fill(tx, before)?;
        holders.retain(|key| !self.states.contains_key(key));
        holders.sort();
        holders.dedup();
        // Only read: nothing more is said there.
        self.states.extend(change::read_many(tx, &holders)?);
        Ok(())
    }

    /// Archived conversations that a customer writes to, each with its contact.
    fn followed(&self, now: i64) -> Result<Vec<(Key, ContactId)>> {
        let mut followed = Vec::new();
        for index in self.open().filter(|index| self.commands[*index].message.direction == Direction::Inbound) {
            let Some((key, v)) = self.targets[index].and_then(|key| Some((key, self.states.get(&key)?))) else {
                continue;
            };
            if change::ask(v, Command::CustomerMessage, now)? == Outcome::NewConversation {
                followed.push((key, v.contact.id));
            }
        }
        followed.sort();
        followed.dedup();
        Ok(followed)
    }

    /// Finds where customers go on who write to archived conversations. Their contacts are held: others may be opened for
    /// them.
    fn find_successors(&mut self, tx: &mut Tx) -> Result<()> {
        let followed = self.followed(tx.now())?;
        if followed.is_empty() {
            return Ok(());
        }
        contacts::hold(tx, followed.iter().map(|((tenant, _), contact)| (*tenant, *contact)).collect())?;
        let params: Vec<Param> = followed.iter().flat_map(|((tenant, id), _)| params![tenant.0, id.0]).collect();
        let mut found: Vec<(Key, Key)> = Vec::new();
        tx.select_many(&sql::SUCCESSOR, &params, |row| {
            let (archived, _) = followed[row.get::<i64>(0)? as usize];
            found.push((archived, (archived.0, ConversationId::from_uuid(row.get(1)?))));
            Ok(())
        })?;
        let mut keys: Vec<Key> = found.iter().map(|(_, key)| *key).collect();
        keys.sort();
        self.states.extend(change::lock_many(tx, &keys)?);
        for (archived, key) in found {
            // Somebody may have closed it before it was locked.
            if self.states.get(&key).is_some_and(|v| v.status != Status::Archived && v.merged_into.is_none()) {
                self.successors.insert(archived, key.1);
            }
        }
        Ok(())
    }

    /// Carries one command out in memory; the inner error is a refusal.
    fn append(&mut self, tx: &mut Tx, index: usize, numbers: &mut Numbers) -> Result<Result<()>> {
        let cmd = self.commands[index];
        let Some(mut key) = self.targets[index] else { return Ok(Err(Error::not_found("conversation"))) };
        let asked = key;
        if let Some(id) = &cmd.message.external_id
            && let Some((holder, said)) = self.known.get(&(asked, id.clone()))
        {
            let known = match said {
                Said::Here(at) => &self.written[*at].1,
                Said::Before(message) => message,
            };
            if known.direction != cmd.message.direction {
                return Ok(Err(external_id_taken(known)));
            }
            self.outcomes.push(Done { index, asked, holder: *holder, said: said.clone(), existing: true });
            return Ok(Ok(()));
        }
        let inbound = cmd.message.direction == Direction::Inbound;
        if !inbound && self.states[&key].status == Status::Archived {
            return Ok(Err(archived()));
        }
        // The last step that may refuse.
        let attached: Attached = match attachments::attach(tx, key.0, &cmd.message.attachments)? {
            Ok(attached) => attached,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let now = tx.now();
        let mut change = None;
        if inbound {
            let mut outcome = change::ask(&self.states[&key], Command::CustomerMessage, now)?;
            if outcome == Outcome::NewConversation {
                key = self.succeed(tx, &cmd.ctx, key)?;
                outcome = change::ask(&self.states[&key], Command::CustomerMessage, now)?;
            }
            if let Outcome::Changed(found) = outcome {
                change = Some(found);
            }
        }
        let Some(v) = self.states.get_mut(&key) else { return Ok(Err(Error::not_found("conversation"))) };
        let before = change.map(|_| v.clone());
        let message = cmd.message.of(tx, &cmd.ctx, v, self.authors.get(&index), attached, numbers.take()?);
        if let Some(change) = change {
            change::apply(tx, key.0, v, change)?;
            // A bot takes up again what was closed.
            if change.reopened() {
                v.is_held = bots::works_in(tx, key.0, v.inbox)?;
            }
        }
        v.updated_at = now;
        v.engagement = Moment::Said(message.direction, message.author_type).decides().or(v.engagement);
        if message.direction != Direction::Note {
            v.last_message_at = Some(now);
        }
        v.message_count += i64::from(message.direction.is_said());
        if message.direction == Direction::Inbound {
            v.last_contact_message_at = Some(now);
        }
        v.heard(&message);
        let event = match message.direction {
            Direction::Inbound => Some(Event::MessageReceived { message: &message, conversation: &*v }),
            Direction::Outbound => Some(Event::MessageSent { message: &message, conversation: &*v }),
            Direction::Note => Some(Event::NoteAdded { message: &message, conversation: &*v }),
            Direction::Activity => None,
        };
        if let Some(event) = event {
            self.events.add(tx, &cmd.ctx, &event, Some(v.event_sequence + 1))?;
            v.event_sequence += 1;
        }
        if let Some(before) = before {
            change::announce(tx, &cmd.ctx, &before, v, &mut self.events)?;
        }
        let said = Said::Here(self.written.len());
        if let Some(id) = &message.external_id {
            self.known.insert((asked, id.clone()), (key, said.clone()));
        }
        self.changed.push(key);
        self.written.push((key, message));
        self.outcomes.push(Done { index, asked, holder: key, said, existing: false });
        Ok(Ok(()))
    }

    /// The conversation in which the customer of an archived one goes on: one that stands, or else a new one.
    fn succeed(&mut self, tx: &mut Tx, ctx: &Ctx, archived: Key) -> Result<Key> {
        if let Some(id) = self.successors.get(&archived) {
            return Ok((archived.0, *id));
        }
        let old = &self.states[&archived];
        let mut v = Conversation {
            team: inbox_team(tx, archived.0, old.inbox)?,
            subject: old.subject.clone(),
            previous: Some(old.id),
            source_id: old.source_id.clone(),
            is_held: bots::works_in(tx, archived.0, old.inbox)?,
            ..Conversation::opened(
                (ConversationId::from_uuid(tx.new_id()), take_number(tx, archived.0)?),
                (old.inbox, old.channel),
                old.contact.clone(),
                tx.now(),
            )
        };
        let key = (archived.0, v.id);
        let sequence = change::next(&mut v);
        self.events.add(tx, ctx, &Event::ConversationCreated { conversation: &v }, sequence)?;
        self.successors.insert(archived, v.id);
        self.opened.insert(key);
        self.states.insert(key, v);
        Ok(key)
    }

    fn write(&mut self, tx: &mut Tx) -> Result<()> {
        let opened: Vec<_> = self.opened.iter().map(|key| (key.0.0, &self.states[key])).collect();
        insert_many(tx, &opened)?;
        self.changed.sort();
        self.changed.dedup();
        let saved = self.changed.iter().filter(|key| !self.opened.contains(*key));
        change::save_many(tx, saved.map(|key| (key.0, &self.states[key])))?;
        let rows: Vec<_> = self.written.iter().map(|(key, message)| (key.0.0, message)).collect();
        messages::insert_many(tx, &rows)?;
        for (key, message) in &self.written {
            if message.content.as_ref().is_some_and(|content| content.kind == surveys::SURVEY) {
                surveys::open(tx, key.0, message)?;
            }
        }
        std::mem::take(&mut self.events).write(tx)?;
        let mut outcomes: Vec<(usize, Appended)> = Vec::with_capacity(self.outcomes.len());
        for done in std::mem::take(&mut self.outcomes) {
            let cmd = self.commands[done.index];
            let conversation =
                self.states.get(&done.holder).cloned().ok_or_else(|| Error::not_found("conversation"))?;
            let previous = (done.asked != done.holder).then_some(done.asked.1);
            let message = match done.said {
                Said::Here(place) => self.written[place].1.clone(),
                Said::Before(mut message) => {
                    if let Some(links) = &cmd.message.attachments.links {
                        links.fill(done.holder.0, &mut message.attachments, tx.now());
                    }
                    *message
                }
            };
            outcomes.push((done.index, Appended { message, conversation, previous, existing: done.existing }));
        }
        let commands = self.commands;
        let kept = outcomes.iter().filter_map(|(index, outcome)| {
            let cmd = commands[*index];
            Some((cmd.ctx.tenant, cmd.once.as_ref()?, outcome))
        });
        idempotency::keep(tx, kept)?;
        for (index, outcome) in outcomes {
            self.answers[index] = Some(Ok(Reply::Done(outcome)));
        }
        Ok(())
    }
}

/// The team of what lands in an inbox.
pub(super) fn inbox_team(tx: &mut Tx, tenant: TenantId, inbox: InboxId) -> Result<Option<TeamId>> {
    let team = tx.opt(sql::LANDING_TEAM, &params![tenant.0, inbox.0], |row| row.get::<Option<_>>(0))?.flatten();
    Ok(team.map(TeamId::from_uuid))
}

/// To answer with a message of the other direction would swallow this one.
fn external_id_taken(known: &Message) -> Error {
    let detail = "A message in the other direction has this externalId in the conversation; give each message its own.";
    Error::conflict("external_id_exists", detail).with("messageId", known.id)
}

/// 409: we write to an archived conversation.
pub(crate) fn archived() -> Error {
    Error::conflict("conversation_archived", "The conversation is archived; open another for the same contact.")
}

/// 409: merges upon merges.
pub(crate) fn merge_chain_too_long() -> Error {
    let detail = "The conversation was merged on too often; go on with the one that holds its messages now.";
    Error::conflict("merge_chain_too_long", detail)
}
