//! Webhook endpoints: where events are sent, in which format, and whether they are switched on.

mod create;
mod delete;
mod disable;
mod format;
mod replay;
mod rotate;
pub(crate) mod sql;
mod update;

pub use create::{CreateEndpoint, create, create_at_new_url};
pub(crate) use create::{at_url, insert};
pub use delete::delete;
pub use disable::disable;
pub(crate) use disable::hold;
pub use format::{CHATWOOT_DEFAULTS, CHATWOOT_WORDS, Format};
pub use replay::{Missed, Replay, ReplayPage, Wanted, missed, replay, replay_page};
pub use rotate::{RotateSecret, forget_secrets, rotate};
pub(crate) use update::rest;
pub use update::{UpdateEndpoint, update, update_at_new_url};

use crate::ids::{BotId, EndpointId, InboxId, TenantId};
use crate::{Error, Result};
use tieline_db::{Read, Row, params};

/// Why an endpoint is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReason {
    /// Somebody switched it off.
    Manual,
    /// Too many failed attempts over too long a time.
    Failures,
    /// It answered 410.
    Gone,
}

impl DisabledReason {
    /// As stored and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            DisabledReason::Manual => "manual",
            DisabledReason::Failures => "failures",
            DisabledReason::Gone => "gone",
        }
    }
    /// The reason of this name.
    pub fn from_text(text: &str) -> Option<DisabledReason> {
        [Self::Manual, Self::Failures, Self::Gone].into_iter().find(|reason| reason.as_str() == text)
    }
}

/// A webhook endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Its number in the installation.
    pub number: i64,
    /// Whose it is.
    pub tenant: TenantId,
    /// Display name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where to post.
    pub url: String,
    /// What it subscribes to, or `*`; [`Format::word`] says what the format calls it.
    pub events: Vec<String>,
    /// Shape of the bodies.
    pub format: Format,
    /// What replaces `X-Tieline` in header names.
    pub header_prefix: String,
    /// 1 to 10.
    pub max_attempts: i64,
    /// Only events of these inboxes, a bot's perhaps of no inbox; none for all.
    pub inboxes: Option<Vec<InboxId>>,
    /// Whether it gets events.
    pub is_active: bool,
    /// Why not.
    pub disabled_reason: Option<DisabledReason>,
    /// Events up to this position of the log are not for it.
    pub active_after: i64,
    /// When it was last switched off. Microseconds UTC.
    pub disabled_at: Option<i64>,
    /// The signing secret, sealed.
    pub secret: Vec<u8>,
    /// Start of the secret, for people.
    pub secret_prefix: String,
    /// The secret before the last rotation, sealed, and until when it still signs too.
    pub previous_secret: Option<(Vec<u8>, i64)>,
    /// How it has been doing.
    pub health: HealthRow,
    /// Whether it is the one that an inbox has of its own.
    pub is_inboxes: bool,
    /// The bot whose address it is.
    pub bot: Option<BotId>,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

/// The stored health of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HealthRow {
    /// Failed attempts in a row, over all deliveries.
    pub consecutive_failures: i64,
    /// When the first of them was.
    pub first_failure_at: Option<i64>,
    /// When the next probe is due; some exactly while the breaker is open.
    pub next_probe_at: Option<i64>,
    /// Newest success.
    pub last_success_at: Option<i64>,
    /// Newest failure.
    pub last_failure_at: Option<i64>,
}

impl Endpoint {
    /// Whether an event of this name, inbox and position is for it.
    pub fn wants(&self, name: &str, inbox: Option<InboxId>, position: i64) -> bool {
        self.is_active && position > self.active_after && self.subscribes(name, inbox)
    }
    /// Whether an event of this name and position would be for it, if it was of one of its inboxes.
    pub fn wants_elsewhere(&self, name: &str, position: i64) -> bool {
        self.is_active && position > self.active_after && self.events.iter().any(|event| self.format.hears(event, name))
    }
    /// Whether it subscribes to events of this name and inbox, on or off.
    pub fn subscribes(&self, name: &str, inbox: Option<InboxId>) -> bool {
        self.events.iter().any(|event| self.format.hears(event, name))
            && self.inboxes.as_ref().is_none_or(|inboxes| inbox.is_some_and(|inbox| inboxes.contains(&inbox)))
    }
}

pub(crate) fn endpoint(row: &Row) -> tieline_db::Result<Endpoint> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let stored = |what: &str| tieline_db::Error::Sql(format!("unknown {what} in webhook_endpoints"));
    let inboxes = match row.get::<Option<String>>(9)? {
        Some(text) => Some(
            text.split_whitespace()
                .map(str::parse)
                .collect::<Result<Vec<InboxId>, _>>()
                .map_err(|_| stored("inbox"))?,
        ),
        None => None,
    };
    Ok(Endpoint {
        tenant: TenantId(row.get(0)?),
        id: EndpointId::from_uuid(row.get(1)?),
        name: row.get(2)?,
        description: row.get(3)?,
        url: row.get(4)?,
        events: words(row.get(5)?),
        format: Format::from_text(&row.get::<String>(6)?).ok_or_else(|| stored("format"))?,
        header_prefix: row.get(7)?,
        max_attempts: row.get(8)?,
        inboxes,
        is_active: row.get(10)?,
        disabled_reason: row.get::<Option<String>>(11)?.as_deref().and_then(DisabledReason::from_text),
        active_after: row.get(12)?,
        disabled_at: row.get(13)?,
        secret: row.get(14)?,
        secret_prefix: row.get(15)?,
        previous_secret: row.get::<Option<Vec<u8>>>(16)?.zip(row.get::<Option<i64>>(17)?),
        created_at: row.get(18)?,
        updated_at: row.get(19)?,
        health: HealthRow {
            consecutive_failures: row.get(20)?,
            first_failure_at: row.get(21)?,
            next_probe_at: row.get(22)?,
            last_success_at: row.get(23)?,
            last_failure_at: row.get(24)?,
        },
        number: row.get(25)?,
        is_inboxes: row.get(26)?,
        bot: row.get::<Option<_>>(27)?.map(BotId::from_uuid),
    })
}

/// One endpoint of the tenant.
pub fn get(read: &mut Read, tenant: TenantId, id: EndpointId) -> Result<Endpoint> {
    read.opt(sql::GET, &params![tenant.0, id.0], endpoint)?.ok_or_else(|| Error::not_found("webhook"))
}

/// The endpoint of the tenant with this number.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Endpoint> {
    read.opt(sql::BY_NUMBER, &params![tenant.0, number], endpoint)?.ok_or_else(|| Error::not_found("webhook"))
}

/// Up to `limit` endpoints of the tenant, newest first, after one of them.
pub fn list(read: &mut Read, tenant: TenantId, after: Option<EndpointId>, limit: i64) -> Result<Vec<Endpoint>> {
    let after = after.map_or(uuid::Uuid::max(), |id| id.0);
    Ok(read.all(sql::LIST, &params![tenant.0, after, limit], endpoint)?)
}

/// One endpoint, for the sender, which holds its lease.
pub fn for_sending(read: &mut Read, id: EndpointId) -> Result<Option<Endpoint>> {
    Ok(read.opt(sql::FOR_SENDING, &params![id.0], endpoint)?)
}

/// The names of the events that any active endpoint of the installation asks for, each between spaces; `*` for all; none
/// when there is no active endpoint.
pub fn wanted_events(read: &mut Read) -> Result<Option<String>> {
    let lists = read.all(sql::WANTED_EVENTS, &[], |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)))?;
    let mut names: Vec<&str> = Vec::new();
    for (list, format) in &lists {
        let events = list.split(' ');
        match Format::from_text(format) {
            Some(Format::Chatwoot) => events.for_each(|word| format::sources(word).for_each(|name| names.push(name))),
            _ => names.extend(events),
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(match names.as_slice() {
        [] => None,
        names if names.contains(&"*") => Some("*".to_owned()),
        names => Some(format!(" {} ", names.join(" "))),
    })
}

/// The tenant's active endpoints; at most its `maxWebhooks` and one per inbox and bot.
pub fn active(read: &mut Read, tenant: TenantId) -> Result<Vec<Endpoint>> {
    Ok(read.all(sql::ACTIVE, &params![tenant.0], endpoint)?)
}
