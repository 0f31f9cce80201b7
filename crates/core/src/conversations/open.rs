//! Opening conversations: the hot verb, written over a slice.

use super::channel::Channel;
use super::status::{Engagement, Moment};
use super::{Conversation, ConversationNumbers, Priority, sql};
use crate::attachments::{self, Attached};
use crate::contacts::{self, Contact, Held, Owners, Upsert, upsert_many};
use crate::ctx::Ctx;
use crate::events::{Batch, Event};
use crate::fields;
use crate::fields::validate::{Definition, Entity};
use crate::idempotency::{self, Once, Replays, Reply};
use crate::ids::{ContactId, ConversationId, TenantId};
use crate::inboxes::{self, Landing};
use crate::messages::direction::Direction;
use crate::messages::{self, Message, NewMessage};
use crate::tags::{self, Slugs};
use crate::{Error, Result, bots};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use tieline_db::{Ask, Keys, Numbers, Param, SetVerb, Tx, params};

/// Who a new conversation is with.
#[derive(Clone, Debug)]
pub enum Customer {
    /// A contact that the caller knows by id.
    Known(ContactId),
    /// Whoever owns one of these handles, or a new contact.
    Found(Upsert),
}

/// Opens a conversation for a contact: as if the contact had just written, or as if we had.
#[derive(Clone)]
pub struct StartOutbound {
    /// Tenant, actor, cause.
    pub ctx: Ctx,
    /// Answer of an earlier request with the same `Idempotency-Key`, if the caller sent one.
    pub once: Option<Once<Started>>,
    /// Unique per tenant, 1 to 255 characters, compared byte by byte.
    pub external_reference: Option<String>,
    /// Who the customer is.
    pub contact: Customer,
    /// What it is about.
    pub subject: Option<String>,
    /// Kind of transport.
    pub channel: Channel,
    /// The first message, if there is one.
    pub message: Option<NewMessage>,
    /// Slugs; unknown ones are reported back.
    pub tags: Vec<String>,
    /// Values by key; unknown keys are reported back.
    pub custom_fields: serde_json::Map<String, serde_json::Value>,
    /// A JSON object as text.
    pub metadata: String,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Started {
    /// The new conversation.
    pub conversation: Conversation,
    /// Its first message.
    pub message: Option<Message>,
    /// Slugs that name no tag of the tenant.
    pub ignored_tags: Vec<String>,
    /// Keys that name no custom field of the tenant.
    pub ignored_fields: Vec<String>,
}

/// The set verb behind [`StartOutbound`].
///
/// Errors: `external_reference_exists` (with `conversationId`) when the tenant already holds the reference,
/// `validation_error` for custom field values of a wrong type or an attachment that is no upload, `attachment_taken`,
/// `idempotency_key_reused`.
pub struct StartOutboundVerb;

impl SetVerb for StartOutboundVerb {
    type Command = StartOutbound;
    type Outcome = Reply<Started>;
    type Error = Error;

    fn keys(cmd: &StartOutbound, keys: &mut Keys) {
        let tenant = cmd.ctx.tenant;
        if let Customer::Found(upsert) = &cmd.contact {
            for (kind, _, key) in upsert.handles() {
                keys.add((tenant, kind, key));
            }
        }
        if let Some(reference) = &cmd.external_reference {
            keys.add((tenant, "reference", reference));
        }
        if let Some(once) = &cmd.once {
            once.keys(tenant, keys);
        }
    }

    fn run(tx: &mut Tx, commands: &[&StartOutbound]) -> tieline_db::Result<Vec<Result<Reply<Started>>>> {
        let mut answers: Vec<Option<Result<Reply<Started>>>> = commands.iter().map(|_| None).collect();
        run(tx, commands, &mut answers).map_err(to_engine)?;
        answers.into_iter().map(|answer| answer.ok_or_else(|| tieline_db::Error::Sql("unanswered".into()))).collect()
    }
}

/// An error inside the set undoes the set: the engine then runs its commands one by one.
pub(super) fn to_engine(error: Error) -> tieline_db::Error {
    match error.source {
        Some(source) => match source.downcast::<tieline_db::Error>() {
            Ok(engine) => *engine,
            Err(other) => tieline_db::Error::Sql(other.to_string()),
        },
        None => tieline_db::Error::Sql(format!("{}: {}", error.code, error.detail)),
    }
}

type Answers = [Option<Result<Reply<Started>>>];

fn run(tx: &mut Tx, commands: &[&StartOutbound], answers: &mut Answers) -> Result<()> {
    let mut known = look_up(tx, commands, answers)?;
    refuse_known_references(&known, answers);
    refuse_unknown_contacts(commands, &known, answers);
    let mut extras = tags_and_fields(commands, &mut known, answers);
    let mut files = files(tx, commands, answers, &mut extras)?;

    // What is left is accepted: from here on nothing is refused.
    let open: Vec<usize> = (0..commands.len()).filter(|index| answers[*index].is_none()).collect();
    let landings = landings(tx, commands, &open, &mut known)?;
    let mut events = Batch::default();
    let (contacts, mut numbers) = contacts(tx, commands, &open, &mut known, &mut events)?;

    let now = tx.now();
    let mut started: Vec<Started> = Vec::with_capacity(open.len());
    let mut tag_rows: Vec<Param> = Vec::new();
    for ((index, contact), extra) in open.iter().zip(contacts).zip(extras.into_iter().flatten()) {
        let cmd = commands[*index];
        let landing = landings[&(cmd.ctx.tenant, cmd.channel)];
        // As in the client API: what the customer says to an inbox with a bot is the bot's first.
        let is_theirs = cmd.message.as_ref().is_some_and(|message| message.direction == Direction::Inbound);
        let is_held = is_theirs && landing.has_bot && bots::works_in(tx, cmd.ctx.tenant, landing.inbox)?;
        let mut conversation = Conversation {
            subject: cmd.subject.clone(),
            external_reference: cmd.external_reference.clone(),
            team: landing.team,
            tags: extra.tags.iter().map(|(_, slug)| slug.clone()).collect(),
            custom_fields: extra.custom_fields,
            metadata: cmd.metadata.clone(),
            event_sequence: 1 + cmd.message.is_some() as i64,
            message_count: cmd.message.is_some() as i64,
            last_message_at: cmd.message.as_ref().map(|_| now),
            last_contact_message_at: cmd
                .message
                .as_ref()
                .filter(|message| message.direction == Direction::Inbound)
                .map(|_| now),
            is_held,
            ..Conversation::opened(
                (ConversationId::from_uuid(tx.new_id()), numbers.take(cmd.ctx.tenant)?),
                (landing.inbox, cmd.channel),
                contact,
                now,
            )
        };
        let message = cmd.message.as_ref().zip(files.remove(index));
        let message = message
            .map(|(first, attached)| {
                Ok::<_, Error>(first.of(tx, &cmd.ctx, &conversation, None, attached, known.numbers.take()?))
            })
            .transpose()?;
        conversation.engagement =
            message.as_ref().and_then(|first| Moment::Said(first.direction, first.author_type).decides());
        if let Some(first) = &message {
            conversation.heard(first);
        }
        tag_rows
            .extend(extra.tags.iter().flat_map(|(tag, _)| params![cmd.ctx.tenant.0, conversation.id.0, tag.0, now]));
        started.push(Started {
            conversation,
            message,
            ignored_tags: extra.ignored_tags,
            ignored_fields: extra.ignored_fields,
        });
    }
    insert(tx, commands, &open, &started)?;
    tx.run_many(&sql::INSERT_TAG, &tag_rows)?;
    for (index, started) in open.iter().zip(&started) {
        let ctx = &commands[*index].ctx;
        let conversation = &started.conversation;
        events.add(tx, ctx, &Event::ConversationCreated { conversation }, Some(1))?;
        if let Some(message) = &started.message {
            let event = match message.direction {
                Direction::Inbound => Event::MessageReceived { message, conversation },
                _ => Event::MessageSent { message, conversation },
            };
            events.add(tx, ctx, &event, Some(2))?;
        }
    }
    events.write(tx)?;
    let outcomes = open.iter().zip(&started);
    idempotency::keep(
        tx,
        outcomes.filter_map(|(index, started)| {
            Some((commands[*index].ctx.tenant, commands[*index].once.as_ref()?, started))
        }),
    )?;
    for (index, started) in open.into_iter().zip(started) {
        answers[index] = Some(Ok(Reply::Done(started)));
    }
    Ok(())
}

/// What there is of what the commands name.
struct Known<'c> {
    references: Vec<(usize, ConversationId)>,
    /// Those that are named by id.
    contacts: HashMap<usize, Contact>,
    owners: Owners<'c>,
    tags: Vec<(tags::Known, Vec<String>)>,
    definitions: HashMap<TenantId, Vec<Definition>>,
    landings: HashMap<(TenantId, Channel), Landing>,
    /// For a message and a new contact each.
    numbers: Numbers,
}

/// Asks for everything at once; answers what was answered before.
fn look_up<'c>(tx: &mut Tx, commands: &[&'c StartOutbound], answers: &mut Answers) -> Result<Known<'c>> {
    let each = || commands.iter().copied().enumerate();
    let now = tx.now();
    let mut replays = Replays::of(each().filter_map(|(index, cmd)| Some((index, cmd.ctx.tenant, cmd.once.as_ref()?))));
    let referring: Vec<_> =
        each().filter_map(|(index, cmd)| Some((index, cmd, cmd.external_reference.as_ref()?))).collect();
    let mut named = Vec::new();
    let mut found = Vec::new();
    for (index, cmd) in each() {
        match &cmd.contact {
            Customer::Known(id) => named.push((index, cmd.ctx.tenant, *id)),
            Customer::Found(upsert) => found.push((index, &cmd.ctx, upsert)),
        }
    }
    let distinct = |mut tenants: Vec<_>| {
        tenants.sort_unstable();
        tenants.dedup();
        tenants
    };
    let with_fields =
        distinct(each().filter(|(_, cmd)| !cmd.custom_fields.is_empty()).map(|(_, cmd)| cmd.ctx.tenant).collect());
    let mut channels: Vec<(TenantId, Channel)> = each().map(|(_, cmd)| (cmd.ctx.tenant, cmd.channel)).collect();
    channels.sort_unstable_by_key(|(tenant, channel)| (*tenant, channel.as_str()));
    channels.dedup();
    let mut slugs = Slugs::of(commands.iter().map(|cmd| (cmd.ctx.tenant, cmd.tags.as_slice())));
    let mut known = Known {
        references: Vec::new(),
        contacts: HashMap::new(),
        owners: Owners::of(found),
        tags: Vec::new(),
        definitions: HashMap::new(),
        landings: HashMap::new(),
        numbers: Numbers::default(),
    };
    let references = referring.iter().flat_map(|(_, cmd, reference)| params![cmd.ctx.tenant.0, *reference]).collect();
    let ids = || named.iter().flat_map(|(_, tenant, id)| params![tenant.0, id.0]).collect();
    let (mut contacts, mut merged) = (Vec::new(), Vec::new());
    tx.together(vec![
        replays.ask(now),
        Ask::select(&sql::BY_REFERENCE, references, |row| {
            let (index, ..) = referring[row.get::<i64>(0)? as usize];
            known.references.push((index, ConversationId::from_uuid(row.get(1)?)));
            Ok(())
        }),
        Ask::select(&sql::CONTACT, ids(), |row| {
            contacts.push((named[row.get::<i64>(0)? as usize].0, contacts::contact(row, 1)?));
            Ok(())
        }),
        // An alias of a merged contact stands for the contact it was merged into.
        Ask::select(&sql::CONTACT_BY_ALIAS, ids(), |row| {
            merged.push((named[row.get::<i64>(0)? as usize].0, contacts::contact(row, 1)?));
            Ok(())
        }),
        slugs.ask(),
        fields::ask(&with_fields, Entity::Conversation, &mut known.definitions),
        inboxes::ask_landings(&channels, &mut known.landings),
        known.owners.ask(),
        Ask::numbers(2 * each().count(), &mut known.numbers),
    ])?;
    known.contacts.extend(contacts.into_iter().chain(merged));
    known.tags = slugs.known();
    replays.answers().for_each(|(index, answer)| answers[index] = Some(answer));
    Ok(known)
}

fn refuse_known_references(known: &Known, answers: &mut Answers) {
    for (index, id) in known.references.iter().filter(|(index, _)| answers[*index].is_none()).collect::<Vec<_>>() {
        let error = Error::conflict(
            "external_reference_exists",
            "This externalReference belongs to a conversation already; read it, or use another reference.",
        );
        answers[*index] = Some(Err(error.with("conversationId", *id)));
    }
}

/// A command that names a contact by id that is none of the tenant's is refused.
fn refuse_unknown_contacts(commands: &[&StartOutbound], known: &Known, answers: &mut Answers) {
    for (index, (cmd, answer)) in commands.iter().zip(answers).enumerate() {
        if answer.is_none() && matches!(cmd.contact, Customer::Known(_)) && !known.contacts.contains_key(&index) {
            *answer = Some(Err(Error::field("/contact/id", "not_found", "There is no such contact.")));
        }
    }
}

/// Tags and custom fields of one accepted command.
struct Extra {
    tags: Vec<(crate::ids::TagId, String)>,
    custom_fields: String,
    ignored_tags: Vec<String>,
    ignored_fields: Vec<String>,
}

/// Takes the tags and checks custom fields; a refused command has none.
fn tags_and_fields(commands: &[&StartOutbound], known: &mut Known, answers: &mut Answers) -> Vec<Option<Extra>> {
    let mut extras = Vec::with_capacity(commands.len());
    for ((cmd, answer), (tags, ignored_tags)) in commands.iter().zip(answers).zip(std::mem::take(&mut known.tags)) {
        let (mut custom_fields, mut ignored_fields) = ("{}".to_owned(), Vec::new());
        if answer.is_none() && !cmd.custom_fields.is_empty() {
            let definitions = known.definitions.get(&cmd.ctx.tenant).map(Vec::as_slice).unwrap_or_default();
            match fields::write(definitions, "{}", cmd.custom_fields.clone(), "/customFields") {
                Ok(written) => (custom_fields, ignored_fields) = written,
                Err(error) => *answer = Some(Err(error)),
            }
        }
        extras.push(answer.is_none().then_some(Extra { tags, custom_fields, ignored_tags, ignored_fields }));
    }
    extras
}

/// Where each conversation lands; the inbox is made where there is none.
fn landings(
    tx: &mut Tx,
    commands: &[&StartOutbound],
    open: &[usize],
    known: &mut Known,
) -> Result<HashMap<(TenantId, Channel), Landing>> {
    let mut landings = std::mem::take(&mut known.landings);
    for index in open {
        let key = (commands[*index].ctx.tenant, commands[*index].channel);
        if let Entry::Vacant(entry) = landings.entry(key) {
            entry.insert(inboxes::for_channel(tx, &commands[*index].ctx, key.1)?);
        }
    }
    Ok(landings)
}

/// Gives the first messages their ids and files, by command; the last step that may refuse.
fn files(
    tx: &mut Tx,
    commands: &[&StartOutbound],
    answers: &mut Answers,
    extras: &mut [Option<Extra>],
) -> Result<HashMap<usize, Attached>> {
    let mut files = HashMap::new();
    for (index, cmd) in commands.iter().enumerate() {
        let Some(message) = cmd.message.as_ref().filter(|_| extras[index].is_some()) else { continue };
        match attachments::attach(tx, cmd.ctx.tenant, &message.attachments)? {
            Ok(attached) => drop(files.insert(index, attached)),
            Err(refusal) => (answers[index], extras[index]) = (Some(Err(refusal)), None),
        }
    }
    Ok(files)
}

/// The contact of each accepted command, in order, held against being merged away; and numbers for their conversations.
fn contacts(
    tx: &mut Tx,
    commands: &[&StartOutbound],
    open: &[usize],
    known: &mut Known,
    events: &mut Batch,
) -> Result<(Vec<Contact>, ConversationNumbers)> {
    let mut numbers = ConversationNumbers::default();
    open.iter().for_each(|index| numbers.add(commands[*index].ctx.tenant));
    known.owners.retain(|index| open.binary_search(&index).is_ok());
    let named = open.iter().filter_map(|index| Some((commands[*index].ctx.tenant, known.contacts.get(index)?.id)));
    let mut held = Held::of(named.chain(known.owners.known()).collect());
    tx.together(vec![held.ask(), numbers.ask()])?;
    held.check(tx)?;
    // After all of them are held: two that fill in what the other only holds would wait for each other.
    known.owners.lock(tx)?;
    if known.owners.known().any(|contact| !held.has(contact)) {
        return Err(tx.lost_race("a change of a contact").into());
    }
    let mut found = upsert_many(tx, &known.owners, events, &mut known.numbers)?.into_iter();
    let contact = |index| known.contacts.remove(index).or_else(|| Some(found.next()?.contact));
    let contacts: Option<Vec<Contact>> = open.iter().map(contact).collect();
    Ok((contacts.ok_or_else(|| Error::internal("a contact is missing"))?, numbers))
}

fn insert(tx: &mut Tx, commands: &[&StartOutbound], open: &[usize], started: &[Started]) -> Result<()> {
    let mut rows: Vec<(i64, &Conversation)> = Vec::with_capacity(started.len());
    let mut texts: Vec<(i64, &Message)> = Vec::with_capacity(started.len());
    for (index, started) in open.iter().zip(started) {
        let tenant = commands[*index].ctx.tenant.0;
        rows.push((tenant, &started.conversation));
        texts.extend(started.message.as_ref().map(|message| (tenant, message)));
    }
    insert_many(tx, &rows)?;
    messages::insert_many(tx, &texts)
}

/// Writes new conversations.
pub(super) fn insert_many(tx: &mut Tx, conversations: &[(i64, &Conversation)]) -> Result<()> {
    let mut rows: Vec<Param> = Vec::with_capacity(conversations.len() * 25);
    for (tenant, v) in conversations {
        rows.extend(params![
            *tenant,
            v.id.0,
            v.number,
            v.inbox.0,
            v.contact.id.0,
            v.channel.as_str(),
            &v.subject,
            v.status.as_str(),
            v.engagement.map(Engagement::as_str),
            &v.external_reference,
            v.team.map(|id| id.0),
            v.agent.map(|id| id.0),
            &v.custom_fields,
            &v.metadata,
            v.previous.map(|id| id.0),
            v.event_sequence,
            v.message_count,
            v.last_message_at,
            v.last_contact_message_at,
            v.created_at,
            &v.source_id,
            v.priority.map(Priority::as_str),
            v.is_held,
            v.waiting_since,
            v.first_reply_at
        ]);
    }
    tx.run_many(&sql::INSERT, &rows)?;
    Ok(())
}
