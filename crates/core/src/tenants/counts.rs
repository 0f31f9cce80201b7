//! How many contacts and conversations a tenant has, without counting them: the numbers follow from the events of a
//! transaction and are written with them (docs/adr).

use super::sql;
use crate::Result;
use crate::conversations::status::Status;
use crate::events::Event;
use crate::ids::TenantId;
use std::collections::BTreeMap;
use tieline_db::{Param, Read, Tx, params};

/// Rows over which a tenant's counts are spread where transactions run side by side; a power of two.
const SLOTS: i64 = 16;

/// How many rows a tenant has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Contacts; merged ones are no more.
    pub contacts: i64,
    statuses: [i64; Status::ALL.len()],
}

impl Counts {
    /// Conversations of this status, or all.
    pub fn conversations(&self, status: Option<Status>) -> i64 {
        match status {
            Some(status) => self.statuses[place(status)],
            None => self.statuses.iter().sum(),
        }
    }
}

/// Where a status stands in the row.
fn place(status: Status) -> usize {
    match status {
        Status::Active => 0,
        Status::Snoozed => 1,
        Status::Done => 2,
        Status::Archived => 3,
    }
}

/// How many rows the tenant has now.
pub fn counts(read: &mut Read, tenant: TenantId) -> Result<Counts> {
    let found = read.opt(sql::COUNTS, &params![tenant.0], |row| {
        Ok(Counts { contacts: row.get(0)?, statuses: [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?] })
    })?;
    Ok(found.unwrap_or_default())
}

/// Changes of the counts in one transaction, by tenant.
#[derive(Default)]
pub(crate) struct Counting(BTreeMap<i64, Counts>);

impl Counting {
    /// Counts what an event says.
    pub fn see(&mut self, tenant: TenantId, event: &Event) {
        let mut add = |status: Option<Status>, many: i64| {
            if let Some(status) = status {
                self.0.entry(tenant.0).or_default().statuses[place(status)] += many;
            }
        };
        match event {
            Event::ConversationCreated { conversation } => add(Some(conversation.status), 1),
            Event::ConversationDeleted { conversation } => add(Some(conversation.status), -1),
            Event::ConversationUpdated { changes, .. } => {
                for change in changes.iter().filter(|change| change.field == "status") {
                    let status = |value: &serde_json::Value| value.as_str().and_then(Status::from_text);
                    add(status(&change.from), -1);
                    add(status(&change.to), 1);
                }
            }
            Event::ContactCreated { .. } => self.contacts(tenant, 1),
            _ => {}
        }
    }
    /// Counts contacts that came or, where `many` is negative, went.
    pub fn contacts(&mut self, tenant: TenantId, many: i64) {
        self.0.entry(tenant.0).or_default().contacts += many;
    }
    /// Writes the changes, one row per tenant, always in the same order.
    pub fn write(self, tx: &mut Tx) -> Result<()> {
        let mut rows: Vec<Param> = Vec::new();
        let slot = if tx.is_shared() { tx.lane() as i64 & (SLOTS - 1) } else { 0 };
        for (tenant, by) in self.0.iter().filter(|(_, by)| **by != Counts::default()) {
            rows.extend(params![*tenant, slot, by.contacts]);
            rows.extend(by.statuses.map(Param::from));
        }
        if !rows.is_empty() {
            tx.run_many(&sql::COUNT, &rows)?;
        }
        Ok(())
    }
}

/// Notes that contacts went without an event that says so.
pub(crate) fn contacts_gone(tx: &mut Tx, tenant: TenantId, many: i64) -> Result<()> {
    let mut counting = Counting::default();
    counting.contacts(tenant, -many);
    counting.write(tx)
}
