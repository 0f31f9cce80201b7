//! Making, changing and deleting the definitions of custom fields.

use super::validate::{Entity, FIELDS_LIMIT, FieldType, SelectOption, check_options};
use super::{Field, get, sql};
use crate::ctx::Ctx;
use crate::ids::FieldId;
use crate::{Error, Result, audit};
use serde_json::json;
use tieline_db::{Tx, params};

/// A new custom field, its key and options checked.
#[derive(Clone, Debug)]
pub struct Create {
    /// What carries it.
    pub entity: Entity,
    /// Its name in requests, unique per tenant and entity.
    pub key: String,
    /// What people read, 1 to 100 characters.
    pub name: String,
    /// What it holds; never changes.
    pub field_type: FieldType,
    /// The choices of a select.
    pub options: Vec<SelectOption>,
}

/// Changes of a custom field; what is none stays. Type, key and entity never change.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// What people read.
    pub name: Option<String>,
    /// All choices from now on; values stored before stay as they are.
    pub options: Option<Vec<SelectOption>>,
    /// What the request says these are; others than the field's are refused.
    pub key: Option<String>,
    /// See `key`.
    pub field_type: Option<FieldType>,
    /// See `key`.
    pub entity: Option<Entity>,
}

/// Adds a custom field.
///
/// Errors: `custom_field_exists` (with `customFieldId`), `custom_field_limit_reached`.
pub fn create(tx: &mut Tx, ctx: &Ctx, cmd: &Create) -> Result<Field> {
    let count: i64 = tx.opt(sql::COUNT, &params![ctx.tenant.0, cmd.entity.as_str()], |row| row.get(0))?.unwrap_or(0);
    let (id, number, now) = (FieldId::from_uuid(tx.new_id()), tx.take_number()?, tx.now());
    let (entity, kind, options) = (cmd.entity.as_str(), cmd.field_type.as_str(), stored(&cmd.options)?);
    let params = params![ctx.tenant.0, id.0, entity, &cmd.key, &cmd.name, kind, &options, now, number];
    if tx.execute(sql::INSERT, &params)? == 0 {
        let detail = format!("There is a custom field {} already.", cmd.key);
        let error = Error::conflict("custom_field_exists", detail);
        let owner = tx.opt(sql::BY_KEY, &params![ctx.tenant.0, entity, &cmd.key], super::field)?;
        return Err(owner.into_iter().fold(error, |error, field| error.with("customFieldId", field.id)));
    }
    if count >= FIELDS_LIMIT as i64 {
        let detail = "A contact or a conversation has at most 100 custom fields; delete one first.";
        return Err(Error::conflict("custom_field_limit_reached", detail));
    }
    audit::note(tx, ctx, "custom_field.created", id, json!({"key": cmd.key, "entity": entity}))?;
    get(tx, ctx.tenant, id)
}

/// Changes a custom field.
///
/// Errors: `immutable` at `/type`, `/key` and `/entity`; those of [`check_options`].
pub fn update(tx: &mut Tx, ctx: &Ctx, id: FieldId, cmd: &Update) -> Result<Field> {
    let field = get(tx, ctx.tenant, id)?;
    let mut wrong = Vec::new();
    for (pointer, changed) in [
        ("/key", cmd.key.as_ref().is_some_and(|key| *key != field.definition.key)),
        ("/type", cmd.field_type.is_some_and(|kind| kind != field.definition.field_type)),
        ("/entity", cmd.entity.is_some_and(|entity| entity != field.entity)),
    ] {
        if changed {
            let message = "This never changes; make another custom field.".to_owned();
            wrong.push(crate::FieldError { pointer: pointer.into(), code: "immutable", message });
        }
    }
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    let name = cmd.name.as_ref().unwrap_or(&field.definition.name);
    let options = cmd.options.as_ref().unwrap_or(&field.definition.options);
    check_options(field.definition.field_type, options, "/options")?;
    let (options, now) = (stored(options)?, tx.now());
    tx.execute(sql::UPDATE, &params![ctx.tenant.0, id.0, name, &options, now])?;
    let changed = [("name", cmd.name.is_some()), ("options", cmd.options.is_some())];
    audit::note(tx, ctx, "custom_field.updated", id, audit::changed(&changed))?;
    get(tx, ctx.tenant, id)
}

/// Notes what a custom field is for and how another dialect calls its kind; what is none stays.
///
/// Errors: `not_found`; `too_long` at `/description` beyond 1000 characters.
pub fn describe(
    tx: &mut Tx,
    ctx: &Ctx,
    id: FieldId,
    description: Option<&str>,
    display: Option<&str>,
) -> Result<Field> {
    if description.is_some_and(|text| text.chars().count() > 1000) {
        return Err(Error::field("/description", "too_long", "A description has at most 1000 characters."));
    }
    tx.execute(sql::DESCRIBE, &params![ctx.tenant.0, id.0, description, display])?;
    get(tx, ctx.tenant, id)
}

/// Deletes a custom field. Values that records hold stay in them, but no request writes them any more.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: FieldId) -> Result<()> {
    let field = get(tx, ctx.tenant, id)?;
    audit::note(tx, ctx, "custom_field.deleted", id, json!({"key": field.definition.key}))?;
    tx.execute(sql::DELETE, &params![ctx.tenant.0, id.0])?;
    Ok(())
}

fn stored(options: &[SelectOption]) -> Result<String> {
    let pairs: Vec<(&str, &str)> = options.iter().map(|o| (o.value.as_str(), o.label.as_str())).collect();
    serde_json::to_string(&pairs).map_err(Error::internal)
}
