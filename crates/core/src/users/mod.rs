//! Users: the people of a tenant. They belong to its live partition and are seen from the test one too.

pub(crate) mod sql;
mod write;

pub use write::{Create, Update, create, dismiss, see, update};

use crate::ids::{TenantId, UserId};
use crate::page::Page;
use crate::{Error, Result};
use tieline_db::{Read, Row, params};

/// The context in which a seal of an access token may be opened.
pub const ACCESS_TOKEN_CONTEXT: &str = "users.access_token";

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything; a tenant that has one never loses the last.
    Owner,
    /// Settings and people.
    Admin,
    /// Conversations.
    Agent,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 3] = [Role::Owner, Role::Admin, Role::Agent];
    /// As stored and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Agent => "agent",
        }
    }
    /// The role of this name.
    pub fn from_text(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// Whether somebody takes work, as they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// They do.
    Online,
    /// Not now.
    Busy,
    /// They are away.
    Offline,
}

impl Availability {
    /// All of them.
    pub const ALL: [Availability; 3] = [Availability::Online, Availability::Busy, Availability::Offline];
    /// As stored and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Availability::Online => "online",
            Availability::Busy => "busy",
            Availability::Offline => "offline",
        }
    }
    /// The availability of this name.
    pub fn from_text(text: &str) -> Option<Availability> {
        Availability::ALL.into_iter().find(|availability| availability.as_str() == text)
    }
}

/// A person, as far as it may be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its number in the installation.
    pub number: i64,
    /// Normalised, unique per tenant.
    pub email: String,
    /// Display name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they may sign in.
    pub is_active: bool,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
    /// Whether they take work.
    pub availability: Availability,
    /// They count as offline while none of their screens is open.
    pub is_auto_offline: bool,
    /// What customers see instead of the name.
    pub display_name: Option<String>,
    /// What their screens put under their messages.
    pub message_signature: Option<String>,
    /// What their screens keep, a JSON object as text.
    pub ui_settings: String,
    /// They showed that they are there, and count as there until then, microseconds UTC.
    pub seen_until: i64,
}

impl User {
    /// The name that customers see.
    pub fn shown_name(&self) -> &str {
        self.display_name.as_deref().unwrap_or(&self.name)
    }
}

fn user(row: &Row) -> tieline_db::Result<User> {
    let stored = || tieline_db::Error::Sql("unknown role or availability in users".into());
    Ok(User {
        id: UserId::from_uuid(row.get(0)?),
        number: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        role: Role::from_text(&row.get::<String>(4)?).ok_or_else(stored)?,
        is_active: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
        availability: Availability::from_text(&row.get::<String>(8)?).ok_or_else(stored)?,
        is_auto_offline: row.get(9)?,
        display_name: row.get(10)?,
        message_signature: row.get(11)?,
        ui_settings: row.get(12)?,
        seen_until: row.get(13)?,
    })
}

/// One user of a live tenant, if there.
pub fn find(read: &mut Read, live: TenantId, id: UserId) -> Result<Option<User>> {
    Ok(read.opt(sql::GET, &params![live.0, id.0], user)?)
}

/// One user of a live tenant.
pub fn get(read: &mut Read, live: TenantId, id: UserId) -> Result<User> {
    find(read, live, id)?.ok_or_else(|| Error::not_found("user"))
}

/// The user of a live tenant with this number.
pub fn by_number(read: &mut Read, live: TenantId, number: i64) -> Result<User> {
    read.opt(sql::BY_NUMBER, &params![live.0, number], user)?.ok_or_else(|| Error::not_found("user"))
}

/// The user of a live tenant with this normalised email, if there.
pub fn by_email(read: &mut Read, live: TenantId, email: &str) -> Result<Option<User>> {
    Ok(read.opt(sql::BY_EMAIL, &params![live.0, email], user)?)
}

/// The hash of a user's password; none where nobody can sign in as them.
pub fn password_hash(read: &mut Read, live: TenantId, id: UserId) -> Result<Option<String>> {
    Ok(read.opt(sql::PASSWORD, &params![live.0, id.0], |row| row.get::<Option<String>>(0))?.flatten())
}

/// Whose token has this SHA-256, with the live tenant and the sealed token.
pub fn by_token(read: &mut Read, hash: &[u8; 32]) -> Result<Option<(TenantId, User, Vec<u8>)>> {
    Ok(read
        .opt(sql::BY_TOKEN, &params![hash.as_slice()], |row| Ok((TenantId(row.get(14)?), user(row)?, row.get(15)?)))?)
}

/// The users of a live tenant, newest first.
pub fn list(read: &mut Read, live: TenantId, page: Page) -> Result<Vec<User>> {
    Ok(read.all(sql::LIST, &params![live.0, page.before.1, page.limit], user)?)
}
