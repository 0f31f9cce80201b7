//! What is known of a contact beside its name and addresses, from dialects that let anybody note anything.

use super::write::{changes, save};
use super::{Contact, locked};
use crate::ctx::Ctx;
use crate::ids::ContactId;
use crate::{Error, Result};
use serde_json::{Map, Value};
use tieline_db::Tx;

/// What to note; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Annotate {
    /// Values that are set beside those there are; no definition is asked.
    pub custom_fields: Map<String, Value>,
    /// Keys whose values are removed.
    pub without: Vec<String>,
    /// Free-form members that are set beside those there are.
    pub metadata: Map<String, Value>,
    /// Whether what it writes stays done.
    pub is_blocked: Option<bool>,
    /// A picture; none inside clears.
    pub avatar_url: Option<Option<String>>,
}

/// Largest custom fields and metadata of a contact, bytes.
const TEXT_LIMIT: usize = 64 * 1024;

/// Notes it; what is there already changes nothing.
///
/// Errors: `not_found`; `validation_error` for more than 64 KiB.
pub fn annotate(tx: &mut Tx, ctx: &Ctx, id: ContactId, cmd: &Annotate) -> Result<Contact> {
    let before = locked(tx, ctx.tenant, id)?;
    let mut contact = before.clone();
    contact.custom_fields = merged(&before.custom_fields, &cmd.custom_fields, &cmd.without)?;
    contact.metadata = merged(&before.metadata, &cmd.metadata, &[])?;
    contact.is_blocked = cmd.is_blocked.unwrap_or(before.is_blocked);
    if let Some(avatar_url) = &cmd.avatar_url {
        contact.avatar_url.clone_from(avatar_url);
    }
    let changes = changes(&before, &contact)?;
    if !changes.is_empty() {
        save(tx, ctx, &mut contact, &changes)?;
    }
    Ok(contact)
}

/// A JSON object as text with members set and removed.
pub(crate) fn merged(stored: &str, set: &Map<String, Value>, without: &[String]) -> Result<String> {
    if set.is_empty() && without.is_empty() {
        return Ok(stored.to_owned());
    }
    let mut values: Map<String, Value> = serde_json::from_str(stored).map_err(Error::internal)?;
    values.extend(set.clone());
    values.retain(|key, _| !without.contains(key));
    let text = Value::Object(values).to_string();
    if text.len() > TEXT_LIMIT {
        return Err(Error::field("", "too_long", "The attributes have at most 65536 bytes."));
    }
    Ok(text)
}
