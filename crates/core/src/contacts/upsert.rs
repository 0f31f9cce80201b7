//! Find or make the contact behind an incoming conversation.
//!
//! The handles of a request are tried in order: external id, email, phone; the first one that somebody owns decides. A phone,
//! which people share, does not make one of two who are known by different ids or addresses. On a match only empty members are filled and unclaimed handles added: nothing is overwritten, and contacts are never merged
//! because a phone belongs to somebody else (contract D3.5).

use super::{Contact, contact, email, handle, phone, sql};
use crate::Result;
use crate::ctx::Ctx;
use crate::events::{Batch, Change, Event};
use crate::ids::{ContactId, TenantId};
use std::borrow::Cow;
use std::collections::HashMap;
use tieline_db::{Ask, Numbers, Param, Tx, params};

/// Who wrote, as far as the caller knows: at least one of the three handles, already normalised.
#[derive(Clone, Debug, Default)]
pub struct Upsert {
    /// Display name; made from a handle when none.
    pub name: Option<String>,
    /// Normalised email address.
    pub email: Option<String>,
    /// Phone: E.164 where it parses.
    pub phone: Option<String>,
    /// The integrator's own id.
    pub external_id: Option<String>,
}

impl Upsert {
    /// The handles with their match keys, in the order in which they are tried.
    pub(crate) fn handles(&self) -> impl Iterator<Item = (&'static str, &str, Cow<'_, str>)> {
        let external = self.external_id.as_deref().map(|v| (handle::EXTERNAL_ID, v, v.into()));
        let email = self.email.as_deref().map(|v| (handle::EMAIL, v, v.into()));
        let phone = self.phone.as_deref().map(|v| (handle::PHONE, v, phone::match_key(v)));
        external.into_iter().chain(email).chain(phone)
    }
    /// Whether these are the handles of the contact that owns the one of this kind, where nobody owns one that is tried before
    /// it. A phone does not make one of two who are known by other ids or addresses.
    pub(super) fn means(&self, kind: &str, owner: &Contact) -> bool {
        let is_open = |given: &Option<String>, known: &Option<String>| given.is_none() || known.is_none();
        let is_nobody_else = || is_open(&self.email, &owner.email) && is_open(&self.external_id, &owner.external_id);
        kind != handle::PHONE || is_nobody_else()
    }
    pub(super) fn display_name(&self) -> String {
        let given = self.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let from_email = || self.email.as_deref().map(email::default_name);
        given.or_else(from_email).or(self.phone.as_deref()).or(self.external_id.as_deref()).unwrap_or("?").to_owned()
    }
}

/// The contact after the upsert.
#[derive(Clone, Debug)]
pub(crate) struct Upserted {
    /// Its state.
    pub contact: Contact,
    /// Whether it is new.
    pub created: bool,
}

/// Whose handles these are: of commands that go by a number each.
pub(crate) struct Owners<'c> {
    commands: Vec<(usize, &'c Ctx, &'c Upsert)>,
    keyed: Vec<Vec<(&'static str, &'c str, Cow<'c, str>)>>,
    owned: HashMap<(usize, &'static str), Contact>,
}

impl<'c> Owners<'c> {
    /// Of the handles of these commands.
    pub fn of(commands: Vec<(usize, &'c Ctx, &'c Upsert)>) -> Owners<'c> {
        let keyed = commands.iter().map(|(.., upsert)| upsert.handles().collect()).collect();
        Owners { commands, keyed, owned: HashMap::new() }
    }
    /// Looks up who owns each.
    pub fn ask(&mut self) -> Ask<'_> {
        let Owners { commands, keyed, owned } = self;
        let (mut params, mut asked) = (Vec::with_capacity(commands.len() * 6), Vec::with_capacity(commands.len() * 2));
        for ((index, ctx, _), handles) in commands.iter().zip(&*keyed) {
            for (kind, _, key) in handles {
                params.extend(params![ctx.tenant.0, *kind, key.as_ref()]);
                asked.push((*index, *kind));
            }
        }
        owned.clear();
        Ask::select(&sql::BY_HANDLE, params, move |row| {
            owned.insert(asked[row.get::<i64>(0)? as usize], contact(row, 1)?);
            Ok(())
        })
    }
    /// Forgets the commands of which this is not true.
    pub fn retain(&mut self, is_kept: impl Fn(usize) -> bool) {
        let kept: Vec<bool> = self.commands.iter().map(|(index, ..)| is_kept(*index)).collect();
        let mut kept = kept.iter().cycle();
        self.commands.retain(|_| *kept.next().expect("as many"));
        self.keyed.retain(|_| *kept.next().expect("as many"));
    }
    /// Whom the handle that decides belongs to, of each command that names somebody known.
    pub fn known(&self) -> impl Iterator<Item = (TenantId, ContactId)> + '_ {
        (0..self.commands.len()).filter_map(|at| Some((self.commands[at].1.tenant, self.owner(at)?.id)))
    }
    fn owner(&self, at: usize) -> Option<&Contact> {
        let (index, _, upsert) = &self.commands[at];
        let owner = |kind: &'static str| self.owned.get(&(*index, kind));
        self.keyed[at].iter().find_map(|(kind, ..)| owner(kind).filter(|owner| upsert.means(kind, owner)))
    }
    fn is_free(&self, at: usize, kind: &'static str) -> bool {
        !self.owned.contains_key(&(self.commands[at].0, kind))
    }
    /// Where transactions run side by side: where something is to be filled in, nobody else changes the contact meanwhile.
    pub fn lock(&mut self, tx: &mut Tx) -> Result<()> {
        if !tx.is_shared() {
            return Ok(());
        }
        let now = tx.now();
        let mut filled: Vec<_> = Vec::new();
        for (at, (_, ctx, upsert)) in self.commands.iter().enumerate() {
            let Some(known) = self.owner(at) else { continue };
            if !fill(known.clone(), upsert, |kind| self.is_free(at, kind), now).1.is_empty() {
                filled.push((ctx.tenant, known.id));
            }
        }
        if !filled.is_empty() {
            filled.sort();
            filled.dedup();
            let rows: Vec<Param> = filled.iter().flat_map(|(tenant, id)| params![tenant.0, id.0]).collect();
            tx.lock(&sql::LOCK, &rows)?;
            tx.together(vec![self.ask()])?;
        }
        Ok(())
    }
}

/// Upserts the contact of each command, in order. The handles of different commands do not meet in one set, so none sees
/// another's row. Events go to `events`; `numbers` holds one for each command, if it turns out to be somebody new.
pub(crate) fn upsert_many(
    tx: &mut Tx,
    owners: &Owners,
    events: &mut Batch,
    numbers: &mut Numbers,
) -> Result<Vec<Upserted>> {
    let now = tx.now();
    let (commands, keyed) = (&owners.commands, &owners.keyed);
    let mut results: Vec<Upserted> = Vec::with_capacity(commands.len());
    let mut inserts: Vec<Param> = Vec::new();
    let mut handles: Vec<Param> = Vec::new();
    let mut fills: Vec<Param> = Vec::new();
    let mut changes: Vec<Vec<Change>> = Vec::with_capacity(commands.len());
    for (at, (.., upsert)) in commands.iter().enumerate() {
        let (contact, created, changed) = match owners.owner(at).cloned() {
            Some(contact) => {
                let (contact, changed) = fill(contact, upsert, |kind| owners.is_free(at, kind), now);
                (contact, false, changed)
            }
            None => {
                let contact = Contact {
                    id: ContactId::from_uuid(tx.new_id()),
                    number: numbers.take()?,
                    name: upsert.display_name(),
                    email: upsert.email.clone(),
                    phone: upsert.phone.clone().filter(|_| owners.is_free(at, handle::PHONE)),
                    external_id: upsert.external_id.clone(),
                    custom_fields: "{}".into(),
                    metadata: "{}".into(),
                    is_blocked: false,
                    avatar_url: None,
                    created_at: now,
                    updated_at: now,
                };
                (contact, true, Vec::new())
            }
        };
        results.push(Upserted { contact, created });
        changes.push(changed);
    }
    for (at, ((_, ctx, _), Upserted { contact, created })) in commands.iter().zip(&results).enumerate() {
        for (kind, value, key) in &keyed[at] {
            if owners.is_free(at, kind) {
                let primary = match *kind {
                    handle::EMAIL => contact.email.as_deref() == Some(*value),
                    handle::PHONE => contact.phone.as_deref() == Some(*value),
                    _ => true,
                };
                handles.extend(params![ctx.tenant.0, *kind, key.as_ref(), *value, contact.id.0, primary, now]);
            }
        }
        let row = params![ctx.tenant.0, contact.id.0];
        let identity = params![&contact.name, &contact.email, &contact.phone, &contact.external_id];
        if *created {
            inserts.extend(row.into_iter().chain([contact.number.into()]).chain(identity));
            inserts.extend(params![&contact.custom_fields, now]);
        } else if !changes[at].is_empty() {
            fills.extend(row.into_iter().chain(identity));
            fills.push(now.into());
        }
    }
    tx.run_many(&sql::INSERT, &inserts)?;
    tx.run_many(&sql::INSERT_HANDLE, &handles)?;
    tx.run_many(&sql::FILL, &fills)?;
    for (((_, ctx, _), Upserted { contact, created }), changes) in commands.iter().zip(&results).zip(&changes) {
        if *created {
            events.add(tx, ctx, &Event::ContactCreated { contact }, None)?;
        } else if !changes.is_empty() {
            events.add(tx, ctx, &Event::ContactUpdated { contact, changes }, None)?;
        }
    }
    Ok(results)
}

/// Fills what is empty; `free` says whether nobody owns the handle of that kind yet.
fn fill(mut contact: Contact, with: &Upsert, free: impl Fn(&'static str) -> bool, now: i64) -> (Contact, Vec<Change>) {
    let mut changes = Vec::new();
    let mut set = |field, kind: &'static str, slot: &mut Option<String>, value: &Option<String>| {
        if slot.is_none() && value.is_some() && free(kind) {
            changes.push(Change::new(field, None::<&str>, value.as_deref()));
            *slot = value.clone();
        }
    };
    set("email", handle::EMAIL, &mut contact.email, &with.email);
    set("phone", handle::PHONE, &mut contact.phone, &with.phone);
    set("externalId", handle::EXTERNAL_ID, &mut contact.external_id, &with.external_id);
    if !changes.is_empty() {
        contact.updated_at = now;
    }
    (contact, changes)
}
