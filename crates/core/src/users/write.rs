//! Making and changing users.

use super::{Availability, Role, User, get, sql};
use crate::audit::{self, By};
use crate::ids::{TenantId, UserId};
use crate::installation::change_configuration;
use crate::{Error, Result};
use serde_json::json;
use tieline_db::{Tx, params};

/// A new user; hashes and seals were made at the edge.
#[derive(Clone, Debug)]
pub struct Create {
    /// Normalised.
    pub email: String,
    /// 1 to 100 characters.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The hash of the password; without one nobody signs in as this user.
    pub password_hash: Option<String>,
    /// SHA-256 of the access token, by which it is found.
    pub access_token_hash: [u8; 32],
    /// The access token, sealed.
    pub access_token_sealed: Vec<u8>,
}

/// Changes of a user; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// New display name.
    pub name: Option<String>,
    /// New role.
    pub role: Option<Role>,
    /// Whether they may sign in.
    pub is_active: Option<bool>,
    /// The hash of a new password.
    pub password_hash: Option<String>,
    /// New normalised email.
    pub email: Option<String>,
    /// Whether they take work.
    pub availability: Option<Availability>,
    /// Whether they count as offline while none of their screens is open.
    pub is_auto_offline: Option<bool>,
    /// What customers see instead of the name; none inside clears.
    pub display_name: Option<Option<String>>,
    /// What goes under their messages; none inside clears.
    pub message_signature: Option<Option<String>>,
    /// What their screens keep, a JSON object as text.
    pub ui_settings: Option<String>,
}

/// Adds a user to a live tenant.
///
/// Errors: `user_exists` (with `userId`).
pub fn create<'a>(tx: &mut Tx, by: impl Into<By<'a>>, cmd: &Create) -> Result<User> {
    let by = by.into();
    let live = by.tenant;
    let (id, number, now) = (UserId::from_uuid(tx.new_id()), tx.take_number()?, tx.now());
    let params = params![
        live.0,
        id.0,
        &cmd.email,
        &cmd.name,
        cmd.role.as_str(),
        &cmd.password_hash,
        cmd.access_token_hash.as_slice(),
        &cmd.access_token_sealed,
        now,
        number
    ];
    if tx.execute(sql::INSERT, &params)? == 0 {
        let error = taken();
        let owner = tx.opt(sql::BY_EMAIL, &params![live.0, &cmd.email], super::user)?;
        return Err(owner.into_iter().fold(error, |error, user| error.with("userId", user.id)));
    }
    audit::note(tx, by, "user.created", id, json!({"name": cmd.name, "role": cmd.role.as_str()}))?;
    change_configuration(tx)?;
    get(tx, live, id)
}

/// Changes a user of a live tenant.
///
/// Errors: `last_owner` when no active owner would be left; `user_exists` (with `userId`) for another's email.
pub fn update<'a>(tx: &mut Tx, by: impl Into<By<'a>>, id: UserId, cmd: &Update) -> Result<User> {
    let by = by.into();
    let live = by.tenant;
    tx.execute(sql::LOCK_TENANT, &params![live.0])?;
    let user = get(tx, live, id)?;
    let name = cmd.name.as_ref().unwrap_or(&user.name);
    let role = cmd.role.unwrap_or(user.role);
    let is_active = cmd.is_active.unwrap_or(user.is_active);
    let leaves = user.role == Role::Owner && user.is_active && !(role == Role::Owner && is_active);
    if leaves && tx.opt(sql::OTHER_OWNERS, &params![live.0, id.0], |row| row.get::<i64>(0))?.is_none() {
        let detail = "This is the last active owner; make somebody else an owner first.";
        return Err(Error::conflict("last_owner", detail));
    }
    let email = cmd.email.as_ref().unwrap_or(&user.email);
    if let Some(owner) = super::by_email(tx, live, email)?.filter(|owner| owner.id != id) {
        return Err(taken().with("userId", owner.id));
    }
    let now = tx.now();
    let params = params![
        live.0,
        id.0,
        name,
        role.as_str(),
        is_active,
        &cmd.password_hash,
        now,
        email,
        cmd.availability.unwrap_or(user.availability).as_str(),
        cmd.is_auto_offline.unwrap_or(user.is_auto_offline),
        cmd.display_name.as_ref().unwrap_or(&user.display_name),
        cmd.message_signature.as_ref().unwrap_or(&user.message_signature),
        cmd.ui_settings.as_ref().unwrap_or(&user.ui_settings)
    ];
    tx.execute(sql::UPDATE, &params)?;
    // How they show themselves is their own affair.
    let members = [
        ("name", *name != user.name),
        ("role", role != user.role),
        ("isActive", is_active != user.is_active),
        ("password", cmd.password_hash.is_some()),
        ("email", *email != user.email),
    ];
    if members.iter().any(|(_, differs)| *differs) {
        let mut changed = audit::changed(&members);
        (changed["role"], changed["isActive"]) = (role.as_str().into(), is_active.into());
        audit::note(tx, by, "user.updated", id, changed)?;
    }
    change_configuration(tx)?;
    get(tx, live, id)
}

/// Ends a user's work: nobody signs in as them, and no team, inbox or conversation is theirs. What they wrote stays. No
/// event per conversation.
///
/// Errors: `not_found`; `last_owner`.
pub fn dismiss<'a>(tx: &mut Tx, by: impl Into<By<'a>>, id: UserId) -> Result<()> {
    let by = by.into();
    let live = by.tenant;
    update(tx, by, id, &Update { is_active: Some(false), ..Update::default() })?;
    for statement in [sql::LEAVE_TEAMS, sql::LEAVE_INBOXES, sql::LEAVE_PARTICIPANTS, sql::LEAVE_CONVERSATIONS] {
        tx.execute(statement, &params![live.0, id.0])?;
    }
    Ok(())
}

/// Notes that the user with this number is there, until then at least, for all nodes to see.
pub fn see(tx: &mut Tx, live: TenantId, number: i64, until: i64) -> Result<()> {
    tx.execute(sql::SEE, &params![live.0, number, until])?;
    Ok(())
}

fn taken() -> Error {
    Error::conflict("user_exists", "There is a user with this email already.")
}
