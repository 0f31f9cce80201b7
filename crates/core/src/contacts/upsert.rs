//! Find or make the contact behind an incoming conversation.
//!
//! The handles of a request are tried in order: external id, email, phone; the first one that somebody owns decides. On a
//! match only empty members are filled and unclaimed handles added: nothing is overwritten, and contacts are never merged
//! because a phone belongs to somebody else (contract D3.5).

use super::{Contact, contact, email, handle, phone, sql};
use crate::Result;
use crate::ctx::Ctx;
use crate::events::{Batch, Change, Event};
use crate::ids::ContactId;
use std::collections::HashMap;
use tieline_db::{Numbers, Param, Tx, params};

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
    pub(crate) fn handles(&self) -> impl Iterator<Item = (&'static str, &str, std::borrow::Cow<'_, str>)> {
        let external = self.external_id.as_deref().map(|v| (handle::EXTERNAL_ID, v, v.into()));
        let email = self.email.as_deref().map(|v| (handle::EMAIL, v, v.into()));
        let phone = self.phone.as_deref().map(|v| (handle::PHONE, v, phone::match_key(v)));
        external.into_iter().chain(email).chain(phone)
    }
    pub(super) fn display_name(&self) -> String {
        let given = self.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let from_email = || self.email.as_deref().map(email::default_name);
        given.or_else(from_email).or(self.phone.as_deref()).or(self.external_id.as_deref()).unwrap_or("?").to_owned()
    }
}

/// The contact after the upsert.
#[derive(Clone, Debug)]
pub struct Upserted {
    /// Its state.
    pub contact: Contact,
    /// Whether it is new.
    pub created: bool,
}

/// Upserts each contact, in order. The handles of different commands do not meet in one set, so none sees another's row.
/// Events go to `events`; `numbers` holds one for each command, if it turns out to be somebody new.
pub fn upsert_many(
    tx: &mut Tx,
    commands: &[(&Ctx, &Upsert)],
    events: &mut Batch,
    numbers: &mut Numbers,
) -> Result<Vec<Upserted>> {
    let now = tx.now();
    let mut params: Vec<Param> = Vec::with_capacity(commands.len() * 6);
    let mut owners: Vec<(usize, &'static str)> = Vec::with_capacity(commands.len() * 2);
    let keyed: Vec<Vec<_>> = commands.iter().map(|(_, upsert)| upsert.handles().collect()).collect();
    for (index, ((ctx, _), handles)) in commands.iter().zip(&keyed).enumerate() {
        for (kind, _, key) in handles {
            params.extend(params![ctx.tenant.0, *kind, key.as_ref()]);
            owners.push((index, kind));
        }
    }
    // Who owns each handle asked for.
    let mut owned = owners_of(tx, &params, &owners)?;
    if tx.is_shared() {
        // Where something is to be filled in, nobody else changes the contact meanwhile.
        let mut filled: Vec<_> = Vec::new();
        for (index, (ctx, upsert)) in commands.iter().enumerate() {
            let Some(known) = keyed[index].iter().find_map(|(kind, ..)| owned.get(&(index, *kind))) else { continue };
            if !fill(known.clone(), upsert, |kind| !owned.contains_key(&(index, kind)), now).1.is_empty() {
                filled.push((ctx.tenant, known.id));
            }
        }
        if !filled.is_empty() {
            filled.sort();
            filled.dedup();
            let rows: Vec<Param> = filled.iter().flat_map(|(tenant, id)| params![tenant.0, id.0]).collect();
            tx.lock(&sql::LOCK, &rows)?;
            owned = owners_of(tx, &params, &owners)?;
        }
    }

    let mut results: Vec<Upserted> = Vec::with_capacity(commands.len());
    let mut inserts: Vec<Param> = Vec::new();
    let mut handles: Vec<Param> = Vec::new();
    let mut fills: Vec<Param> = Vec::new();
    let mut changes: Vec<Vec<Change>> = Vec::with_capacity(commands.len());
    for (index, (_, upsert)) in commands.iter().enumerate() {
        let known = keyed[index].iter().find_map(|(kind, ..)| owned.get(&(index, *kind))).cloned();
        let (contact, created, changed) = match known {
            Some(contact) => {
                let free = |kind| !owned.contains_key(&(index, kind));
                let (contact, changed) = fill(contact, upsert, free, now);
                (contact, false, changed)
            }
            None => {
                let contact = Contact {
                    id: ContactId::from_uuid(tx.new_id()),
                    number: numbers.take()?,
                    name: upsert.display_name(),
                    email: upsert.email.clone(),
                    phone: upsert.phone.clone(),
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
    for (index, ((ctx, _), Upserted { contact, created })) in commands.iter().zip(&results).enumerate() {
        for (kind, value, key) in &keyed[index] {
            if !owned.contains_key(&(index, *kind)) {
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
        } else if !changes[index].is_empty() {
            fills.extend(row.into_iter().chain(identity));
            fills.push(now.into());
        }
    }
    tx.run_many(&sql::INSERT, &inserts)?;
    tx.run_many(&sql::INSERT_HANDLE, &handles)?;
    tx.run_many(&sql::FILL, &fills)?;
    for (((ctx, _), Upserted { contact, created }), changes) in commands.iter().zip(&results).zip(&changes) {
        if *created {
            events.add(tx, ctx, &Event::ContactCreated { contact }, None)?;
        } else if !changes.is_empty() {
            events.add(tx, ctx, &Event::ContactUpdated { contact, changes }, None)?;
        }
    }
    Ok(results)
}

/// The owner of each handle that has one, by the command and the kind.
fn owners_of(
    tx: &mut Tx,
    params: &[Param],
    asked: &[(usize, &'static str)],
) -> Result<HashMap<(usize, &'static str), Contact>> {
    let mut owned = HashMap::new();
    tx.select_many(&sql::BY_HANDLE, params, |row| {
        let ordinal: i64 = row.get(0)?;
        owned.insert(asked[ordinal as usize], contact(row, 1)?);
        Ok(())
    })?;
    Ok(owned)
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
