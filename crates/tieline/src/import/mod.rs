//! `tieline import chatwoot`: takes over an account of a Chatwoot, live, over its application API.
//!
//! It runs in the process that has the database: the server that holds the folder, else the command. It walks people and
//! settings, then contacts, then conversations in the order of their opening, each with its messages; in memory are one page
//! of conversations and a page of messages of each of [`AT_ONCE`]. Every page is one transaction together with the note of
//! what it brought, so whatever ends it, the same command goes on, and a second run brings only what is new there.

mod acting;
mod client;
mod files;
mod read;

use crate::admin::Tell;
use anyhow::{Context, bail};
use client::Client;
use files::Porter;
use futures::{StreamExt, TryStreamExt};
use read::Known;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tieline_api::chatwoot::imports as dialect;
use tieline_api::{Hub, setup};
use tieline_core::attachments::{FILES_LIMIT, NewAttachment};
use tieline_core::ctx::{Actor, Ctx};
use tieline_core::error::Error;
use tieline_core::ids::{ContactId, ConversationId, UserId};
use tieline_core::imports::{self, Noun, Origin, Taken};
use tieline_core::tenants::{self, Mode};
use tieline_core::{contacts, conversations, inboxes, messages, teams};

/// Conversations whose messages are fetched side by side.
const AT_ONCE: usize = 4;
/// Pages of one list, and of one conversation's messages.
const PAGES: usize = 10_000_000;
/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What is asked for.
#[derive(Clone, Serialize, Deserialize)]
pub struct Asked {
    /// Address of the Chatwoot.
    pub url: String,
    /// Access token of an administrator there.
    pub token: String,
    /// Slug of the tenant that takes over.
    pub tenant: String,
    /// Number of the account there; needed when the token's user is in several.
    pub account: Option<i64>,
}

/// Takes everything over; what came, as `--json` prints it.
///
/// Errors: one line. What was taken over until then stays.
pub async fn run(hub: &Hub, asked: Asked, tell: &Tell) -> anyhow::Result<Value> {
    let client = Client::new(&asked.url, &asked.token)?;
    let slug = asked.tenant.clone();
    let tenant = hub.db.read(move |read| tenants::by_slug(read, &slug, Mode::Live)).await.map_err(told)?.id;
    let account = account(&client, asked.account).await?;
    let origin = Origin { tenant, source: format!("{}/accounts/{account}", client.name()) };
    let import = Import {
        ctx: hub.ctx(tenant, Actor::operator("import"), "import"),
        porter: Porter::new(hub, tenant)?,
        hub: hub.clone(),
        base: format!("api/v1/accounts/{account}"),
        tally: Mutex::default(),
        since: Instant::now(),
        client,
        origin,
        tell: tell.clone(),
    };
    import.all().await?;
    Ok(import.report(&asked.tenant))
}

fn told(error: Error) -> anyhow::Error {
    anyhow::anyhow!(crate::admin::line(&error))
}

/// The account to take over: the one that is named, else the only one of the token's user.
async fn account(client: &Client, named: Option<i64>) -> anyhow::Result<i64> {
    let profile = client.get("api/v1/profile").await?;
    let accounts = profile["accounts"].as_array().cloned().unwrap_or_default();
    let list = || {
        let one = |account: &Value| format!("{} ({})", account["id"], account["name"].as_str().unwrap_or_default());
        accounts.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let found = match named {
        Some(named) => accounts.iter().find(|account| read::number(&account["id"]) == Some(named)),
        None if accounts.len() > 1 => {
            bail!("the token's user is in several accounts, name one with --account: {}", list())
        }
        None => accounts.first(),
    };
    let found = match (found, named) {
        (Some(found), _) => found,
        (None, Some(named)) => bail!("the token's user is not in account {named}, but in: {}", list()),
        (None, None) => bail!("the token's user is in no account"),
    };
    if found["role"] != "administrator" {
        bail!("the token's user is no administrator of account {}: an agent sees only a part of it", found["id"]);
    }
    read::number(&found["id"]).context("the account has no number")
}

/// One import.
struct Import {
    hub: Hub,
    ctx: Ctx,
    client: Client,
    porter: Porter,
    origin: Origin,
    /// What paths of the account begin with.
    base: String,
    tally: Mutex<Tally>,
    since: Instant,
    tell: Tell,
}

/// What came so far.
#[derive(Default)]
struct Tally {
    new: BTreeMap<&'static str, u64>,
    there: BTreeMap<&'static str, u64>,
    lost: BTreeMap<&'static str, u64>,
    told: Option<Instant>,
}

const PEOPLE: &str = "users";
const TEAMS: &str = "teams";
const LABELS: &str = "labels";
const ATTRIBUTES: &str = "attributes";
const SNIPPETS: &str = "snippets";
const BOTS: &str = "bots";
const INBOXES: &str = "inboxes";
const WEBHOOKS: &str = "webhooks";
const RULES: &str = "rules";
const CONTACTS: &str = "contacts";
const CONVERSATIONS: &str = "conversations";
const MESSAGES: &str = "messages";
const FILES: &str = "files";

/// A conversation and its messages that are still to come.
struct Open {
    theirs: i64,
    id: ConversationId,
    mark: i64,
    last: Option<i64>,
}

impl Import {
    async fn all(&self) -> anyhow::Result<()> {
        let known = self.settings().await?;
        self.contacts(&known).await?;
        self.conversations(&known).await
    }

    fn count(&self, what: &'static str, taken: Taken, many: u64) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = if taken == Taken::New { &mut tally.new } else { &mut tally.there };
        *counts.entry(what).or_default() += many;
    }

    fn lose(&self, what: &'static str) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        *tally.lost.entry(what).or_default() += 1;
    }

    /// Says how far it is, at most every second.
    fn progress(&self, doing: &str) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        if tally.told.is_some_and(|told| told.elapsed() < TOLD_EVERY) {
            return;
        }
        tally.told = Some(Instant::now());
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        let of = |what| tally.new.get(what).copied().unwrap_or(0);
        let known: u64 = tally.there.values().sum();
        let rate = of(MESSAGES) as f64 / seconds;
        let line = format!(
            "{doing}: {} contacts, {} conversations, {} messages ({rate:.0}/s), {} files; {known} were here; {} requests",
            of(CONTACTS),
            of(CONVERSATIONS),
            of(MESSAGES),
            of(FILES),
            self.client.asked()
        );
        self.tell.line(line);
    }

    fn report(&self, tenant: &str) -> Value {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let set_up = [PEOPLE, TEAMS, LABELS, ATTRIBUTES, SNIPPETS, BOTS, INBOXES, WEBHOOKS, RULES];
        let nouns = [&set_up[..], &[CONTACTS, CONVERSATIONS, MESSAGES, FILES]].concat();
        let counts = |of: &BTreeMap<&'static str, u64>| -> Value {
            nouns.iter().map(|noun| ((*noun).to_owned(), json!(of.get(noun).copied().unwrap_or(0)))).collect()
        };
        json!({
            "source": self.origin.source,
            "tenant": tenant,
            "new": counts(&tally.new),
            "alreadyHere": counts(&tally.there),
            "lost": counts(&tally.lost),
            "requests": self.client.asked(),
            "seconds": self.since.elapsed().as_secs(),
        })
    }

    /// A list of the account, whole: its array, or that under `payload`.
    async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.client.find(&format!("{}/{path}", self.base)).await?;
        let mut answer = answer.with_context(|| format!("the account has no {path}"))?;
        let rows = if answer.is_array() { answer } else { answer["payload"].take() };
        match rows {
            Value::Array(rows) => Ok(rows),
            _ => bail!("the answer to {path} is no list"),
        }
    }

    /// The same of a list that not every version has.
    async fn list_if_any(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.client.find(&format!("{}/{path}", self.base)).await?;
        let rows = answer.map(|mut answer| if answer.is_array() { answer } else { answer["payload"].take() });
        Ok(rows.and_then(|rows| rows.as_array().cloned()).unwrap_or_default())
    }

    async fn settings(&self) -> anyhow::Result<Known> {
        let mut known = Known::default();
        self.progress("people and settings");
        for (theirs, name, email, role) in self.list("agents").await?.iter().filter_map(read::agent) {
            let prepared = setup::prepare(&self.hub, &email, &name, role, None).await;
            let Ok((user, _)) = prepared else {
                self.lose(PEOPLE); // an address that is none
                continue;
            };
            let (ctx, origin) = (self.ctx.clone(), self.origin.clone());
            let made = self.hub.db.write(move |tx| imports::user(tx, &ctx, &origin, theirs, &user)).await;
            let (id, taken) = made.map_err(told)?;
            known.users.insert(theirs, id);
            self.count(PEOPLE, taken, 1);
        }
        for team in self.list("teams").await? {
            let (Some(theirs), Some(name)) = (read::number(&team["id"]), read::text(&team["name"])) else { continue };
            let members = self.list_if_any(&format!("teams/{theirs}/team_members")).await?;
            let members = members.iter().filter_map(|user| known.users.get(&read::number(&user["id"])?).copied());
            let cmd = teams::Create {
                name: name.chars().take(100).collect(),
                description: read::text(&team["description"]),
                members: members.collect(),
                is_default: false,
                mode: if team["allow_auto_assign"] == true { teams::Mode::RoundRobin } else { teams::Mode::Manual },
                capacity: None,
            };
            let (ctx, origin) = (self.ctx.clone(), self.origin.clone());
            let made = self.hub.db.write(move |tx| imports::team(tx, &ctx, &origin, theirs, &cmd)).await;
            let (id, taken) = made.map_err(told)?;
            known.teams.insert(theirs, id);
            self.count(TEAMS, taken, 1);
        }
        for label in self.list("labels").await? {
            let (Some(theirs), Some(title)) = (read::number(&label["id"]), read::text(&label["title"])) else {
                continue;
            };
            known.labels.push(title.clone());
            let (ctx, origin, description) = (self.ctx.clone(), self.origin.clone(), read::text(&label["description"]));
            let made =
                self.hub.db.write(move |tx| imports::label(tx, &ctx, &origin, theirs, &title, description.clone()));
            match made.await {
                Ok(taken) => self.count(LABELS, taken, 1),
                Err(error) if error.fields.iter().any(|field| field.code == "invalid_slug") => self.lose(LABELS),
                Err(error) => return Err(told(error)),
            }
        }
        for (theirs, cmd) in self.list("custom_attribute_definitions").await?.iter().filter_map(read::definition) {
            let (ctx, origin) = (self.ctx.clone(), self.origin.clone());
            let made = self.hub.db.write(move |tx| imports::field(tx, &ctx, &origin, theirs, &cmd));
            match made.await {
                Ok(taken) => self.count(ATTRIBUTES, taken, 1),
                Err(error) if error.code == "custom_field_limit_reached" => self.lose(ATTRIBUTES),
                Err(error) => return Err(told(error)),
            }
        }
        for (theirs, shortcut, text) in self.list_if_any("canned_responses").await?.iter().filter_map(read::snippet) {
            let origin = self.origin.clone();
            let made = self.hub.db.write(move |tx| imports::snippet(tx, &origin, theirs, &shortcut, &text));
            match made.await {
                Ok(taken) => self.count(SNIPPETS, taken, 1),
                // It is too long, or there are too many.
                Err(error) if error.code == "snippet_limit_reached" || !error.fields.is_empty() => self.lose(SNIPPETS),
                Err(error) => return Err(told(error)),
            }
        }
        self.bots(&mut known).await?;
        for inbox in self.list("inboxes").await? {
            self.inbox(&inbox, &mut known).await?;
        }
        self.webhooks(&known).await?;
        self.rules(&known).await?;
        Ok(known)
    }

    async fn inbox(&self, inbox: &Value, known: &mut Known) -> anyhow::Result<()> {
        let Some(theirs) = read::number(&inbox["id"]) else { return Ok(()) };
        let members = self.list_if_any(&format!("inbox_members/{theirs}")).await?;
        let members: Vec<_> =
            members.iter().filter_map(|user| known.users.get(&read::number(&user["id"])?).copied()).collect();
        let key = read::text(&inbox["hmac_token"]).map(|key| dialect::identity_key(&self.hub, &key)).transpose();
        let settings = read::settings(inbox);
        let create = inboxes::Create {
            name: read::text(&inbox["name"]).unwrap_or_else(|| format!("Inbox {theirs}")).chars().take(255).collect(),
            channel: read::channel(inbox),
            identifier: read::text(&inbox["inbox_identifier"]),
            identity_key: key.map_err(told)?,
            is_auto_assigned: settings.is_auto_assigned,
            ..inboxes::Create::default()
        };
        let bot = match known.bots.is_empty() {
            true => None,
            false => {
                let answer = self.client.find(&format!("{}/inboxes/{theirs}/agent_bot", self.base)).await?;
                answer.and_then(|answer| known.bots.get(&read::number(&answer["agent_bot"]["id"])?).copied())
            }
        };
        let cmd = imports::Inbox { create, settings, members, bot };
        let (ctx, origin) = (self.ctx.clone(), self.origin.clone());
        let made = self.hub.db.write(move |tx| imports::inbox(tx, &ctx, &origin, theirs, &cmd));
        match made.await {
            Ok((id, taken)) => {
                known.inboxes.insert(theirs, id);
                self.count(INBOXES, taken, 1);
                Ok(())
            }
            Err(error) if error.code == "not_found" => {
                self.lose(INBOXES); // it was deleted here
                Ok(())
            }
            Err(error) => Err(told(error)),
        }
    }

    /// Contacts that have an address; others come with their conversations.
    async fn contacts(&self, known: &Known) -> anyhow::Result<()> {
        let mut before = Vec::new();
        for page in 1..=PAGES {
            self.progress("contacts");
            let rows = self.list(&format!("contacts?sort=created_at&page={page}")).await?;
            let ids: Vec<Option<i64>> = rows.iter().map(|row| read::number(&row["id"])).collect();
            if rows.is_empty() || ids == before {
                return self.contact_labels(known).await;
            }
            before = ids;
            let commands: Vec<_> = rows.iter().filter_map(|row| read::contact(row, known)).collect();
            let (ctx, origin) = (self.ctx.clone(), self.origin.clone());
            let made = self.hub.db.write(move |tx| contacts::import(tx, &ctx, &origin, &commands)).await;
            for (_, taken) in made.map_err(told)? {
                self.count(CONTACTS, taken, 1);
            }
        }
        Ok(())
    }

    /// Labels of contacts: a list of contacts for each label, because a contact does not say its own.
    async fn contact_labels(&self, known: &Known) -> anyhow::Result<()> {
        for title in &known.labels {
            let name: String = url::form_urlencoded::byte_serialize(title.as_bytes()).collect();
            let mut before = Vec::new();
            for page in 1..=PAGES {
                self.progress("labels of contacts");
                let rows = self.list(&format!("contacts?sort=created_at&labels[]={name}&page={page}")).await?;
                let theirs: Vec<i64> = rows.iter().filter_map(|row| read::number(&row["id"])).collect();
                if theirs.is_empty() || theirs == before {
                    break;
                }
                before.clone_from(&theirs);
                let (ctx, origin, title) = (self.ctx.clone(), self.origin.clone(), title.clone());
                let made =
                    self.hub.db.write(move |tx| contacts::import_label(tx, &ctx, &origin, &title, &theirs)).await;
                match made {
                    Ok(_) => {}
                    Err(error) if error.fields.iter().any(|field| field.code == "invalid_slug") => break,
                    Err(error) => return Err(told(error)),
                }
            }
        }
        let mut after = Some(i64::MIN);
        while let Some(begin) = after {
            let origin = self.origin.clone();
            let done = self.hub.db.write(move |tx| imports::labels_are_here(tx, &origin, begin));
            after = done.await.map_err(told)?;
        }
        Ok(())
    }

    /// Who follows those of these conversations that are new here.
    async fn participants(&self, rows: &[Value], known: &Known) -> anyhow::Result<HashMap<i64, Vec<UserId>>> {
        let theirs: Vec<i64> = rows.iter().filter_map(|row| read::number(&row["id"])).collect();
        let (origin, asked) = (self.origin.clone(), theirs.clone());
        let here = self.hub.db.read(move |read| imports::find(read, &origin, Noun::Conversation, &asked));
        let here = here.await.map_err(told)?;
        let new = theirs.into_iter().filter(|number| !here.contains_key(number));
        let lists = futures::stream::iter(new).map(|number| async move {
            let users = self.list_if_any(&format!("conversations/{number}/participants")).await?;
            let users = users.iter().filter_map(|user| known.users.get(&read::number(&user["id"])?).copied());
            Ok::<_, anyhow::Error>((number, users.collect()))
        });
        lists.buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn conversations(&self, known: &Known) -> anyhow::Result<()> {
        let mut before = Vec::new();
        for page in 1..=PAGES {
            self.progress("conversations");
            let path = format!("conversations?status=all&assignee_type=all&sort_by=created_at_asc&page={page}");
            let answer = self.client.get(&format!("{}/{path}", self.base)).await?;
            let Some(rows) = answer["data"]["payload"].as_array() else { bail!("the list of conversations is none") };
            let ids: Vec<Option<i64>> = rows.iter().map(|row| read::number(&row["id"])).collect();
            if rows.is_empty() || ids == before {
                return Ok(());
            }
            before = ids;
            let open = self.conversation_page(rows, known).await?;
            let with_more = open.into_iter().filter(|open| open.last.is_none_or(|last| last > open.mark));
            futures::stream::iter(with_more)
                .map(Ok::<_, anyhow::Error>)
                .try_for_each_concurrent(AT_ONCE, |open| self.messages(open, known))
                .await?;
        }
        Ok(())
    }

    /// Takes a page of conversations over, with their customers.
    async fn conversation_page(&self, rows: &[Value], known: &Known) -> anyhow::Result<Vec<Open>> {
        let mut followers = self.participants(rows, known).await?;
        let mut commands: Vec<(contacts::Import, conversations::Import, Option<i64>)> = Vec::with_capacity(rows.len());
        for row in rows {
            let conversation = read::conversation(row, known, &self.origin.source);
            match (read::contact(&row["meta"]["sender"], known), conversation) {
                (Some(mut contact), Some(mut conversation)) => {
                    conversation.participants = followers.remove(&conversation.theirs).unwrap_or_default();
                    contact.addresses.extend(conversation.source_id.clone().map(|at| (conversation.inbox, at)));
                    commands.push((contact, conversation, read::last_message(row)));
                }
                _ => self.lose(CONVERSATIONS), // its inbox or its customer is gone
            }
        }
        // So their numbers are met in their order.
        commands.sort_by_key(|(_, conversation, _)| conversation.theirs);
        let (ctx, origin) = (self.ctx.clone(), self.origin.clone());
        let made = self.hub.db.write(move |tx| {
            let theirs: Vec<i64> = commands.iter().map(|(contact, ..)| contact.theirs).collect();
            let there = imports::find(tx, &origin, Noun::Contact, &theirs)?;
            let mut made = Vec::with_capacity(commands.len());
            for (contact, conversation, last) in &commands {
                let customers = contacts::import(tx, &ctx, &origin, std::slice::from_ref(contact))?;
                let (customer, came) =
                    customers.first().copied().unwrap_or((ContactId::from_uuid(uuid::Uuid::nil()), Taken::There));
                let cmd = conversations::Import { contact: customer, ..conversation.clone() };
                let came = (came == Taken::New || !there.contains_key(&contact.theirs)).then_some(came);
                match conversations::import(tx, &ctx, &origin, &cmd) {
                    Ok((id, mark, taken)) => {
                        made.push((Some((Open { theirs: cmd.theirs, id, mark, last: *last }, taken)), came));
                    }
                    Err(error) if error.code == "not_found" => made.push((None, came)),
                    Err(error) => return Err(error),
                }
            }
            Ok(made)
        });
        let mut open = Vec::new();
        for (conversation, customer) in made.await.map_err(told)? {
            customer.into_iter().for_each(|taken| self.count(CONTACTS, taken, 1));
            match conversation {
                Some((one, taken)) => {
                    self.count(CONVERSATIONS, taken, 1);
                    open.push(one);
                }
                None => self.lose(CONVERSATIONS), // deleted here
            }
        }
        Ok(open)
    }

    /// A conversation's messages after those that are here.
    async fn messages(&self, open: Open, known: &Known) -> anyhow::Result<()> {
        let mut mark = open.mark;
        for _ in 0..PAGES {
            let rows = self.list(&format!("conversations/{}/messages?after={mark}", open.theirs)).await?;
            let mut page = Vec::with_capacity(rows.len());
            for row in &rows {
                if let Some(mut message) = read::message(row, known).filter(|message| message.theirs > mark) {
                    message.attachments.files = self.files(row).await?;
                    page.push(message);
                }
            }
            page.sort_by_key(|message| message.theirs);
            let Some(last) = page.last().map(|message| message.theirs) else { return Ok(()) };
            let all = page.len() as u64;
            let (ctx, origin, at) = (self.ctx.clone(), self.origin.clone(), (open.theirs, open.id));
            let made = self.hub.db.write(move |tx| messages::import(tx, &ctx, &origin, at, &page)).await;
            let new = match made {
                Ok(new) => new as u64,
                Err(error) if error.code == "not_found" => return Ok(()), // deleted here
                Err(error) => return Err(told(error)),
            };
            self.count(MESSAGES, Taken::New, new);
            self.count(MESSAGES, Taken::There, all - new);
            self.progress("conversations");
            mark = last;
            if open.last.is_some_and(|last| mark >= last) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A message's files, in our store.
    async fn files(&self, message: &Value) -> anyhow::Result<Vec<NewAttachment>> {
        let mut files = Vec::new();
        for attachment in message["attachments"].as_array().map_or(&[][..], Vec::as_slice).iter().take(FILES_LIMIT) {
            let file = self.porter.bring(&self.client, attachment).await?;
            match file {
                NewAttachment::Lost { .. } => self.lose(FILES),
                _ => self.count(FILES, Taken::New, 1),
            }
            files.push(file);
        }
        Ok(files)
    }
}
