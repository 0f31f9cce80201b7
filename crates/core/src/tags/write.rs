//! Making, changing and deleting tags.

use super::{Tag, TagType, get, slug, sql};
use crate::ctx::Ctx;
use crate::ids::TagId;
use crate::{Error, Result};
use std::collections::BTreeMap;
use tieline_db::{Tx, params};

/// A new tag, its slug checked.
#[derive(Clone, Debug, Default)]
pub struct Create {
    /// Made from the name when none.
    pub slug: Option<String>,
    /// 1 to 100 characters.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What sort of tag it is.
    pub tag_type: TagType,
}

/// Changes of a tag; the slug never changes.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// What the request says the slug is; another than the tag's is refused.
    pub slug: Option<String>,
    /// New display name.
    pub name: Option<String>,
    /// New description; none inside clears.
    pub description: Option<Option<String>>,
    /// Another sort.
    pub tag_type: Option<TagType>,
}

/// Adds a tag.
///
/// Errors: `tag_exists` (with `tagId`); `required` at `/slug` when none can be made from the name.
pub fn create(tx: &mut Tx, ctx: &Ctx, cmd: &Create) -> Result<Tag> {
    let made = || {
        let message = "No slug can be made from this name; give one of the letters a to z, digits and hyphens.";
        slug::from_name(&cmd.name).ok_or_else(|| Error::field("/slug", "required", message))
    };
    let slug = cmd.slug.clone().map_or_else(made, Ok)?;
    let Some(id) = insert(tx, ctx, &slug, cmd)? else {
        let detail = format!("There is a tag {slug} already.");
        let error = Error::conflict("tag_exists", detail);
        let owner = of_slug(tx, ctx, &slug)?;
        return Err(owner.into_iter().fold(error, |error, tag| error.with("tagId", tag.id)));
    };
    get(tx, ctx.tenant, id)
}

/// Writes a tag; none where the slug is another's.
fn insert(tx: &mut Tx, ctx: &Ctx, slug: &str, cmd: &Create) -> Result<Option<TagId>> {
    let (id, number, now) = (TagId::from_uuid(tx.new_id()), tx.take_number()?, tx.now());
    let params = params![ctx.tenant.0, id.0, slug, &cmd.name, &cmd.description, now, number, cmd.tag_type.as_str()];
    Ok((tx.execute(sql::INSERT, &params)? > 0).then_some(id))
}

fn of_slug(tx: &mut Tx, ctx: &Ctx, slug: &str) -> Result<Option<Tag>> {
    Ok(tx.opt(sql::BY_ONE_SLUG, &params![ctx.tenant.0, slug], super::tag)?)
}

/// Changes a tag.
pub fn update(tx: &mut Tx, ctx: &Ctx, id: TagId, cmd: &Update) -> Result<Tag> {
    let tag = get(tx, ctx.tenant, id)?;
    if cmd.slug.as_ref().is_some_and(|slug| *slug != tag.slug) {
        return Err(Error::field("/slug", "immutable", "The slug of a tag never changes; make another tag."));
    }
    let name = cmd.name.as_ref().unwrap_or(&tag.name);
    let description = cmd.description.as_ref().unwrap_or(&tag.description);
    let (now, tag_type) = (tx.now(), cmd.tag_type.unwrap_or(tag.tag_type));
    tx.execute(sql::UPDATE, &params![ctx.tenant.0, id.0, name, description, now, tag_type.as_str()])?;
    get(tx, ctx.tenant, id)
}

/// How a dialect without slugs shows a tag; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Another title: the tag is called so from now on, wherever it is set.
    pub title: Option<String>,
    /// What it is for; none inside clears.
    pub description: Option<Option<String>>,
    /// Its colour, at most 32 characters.
    pub color: Option<String>,
    /// Whether screens list it beside the queues.
    pub is_in_sidebar: Option<bool>,
}

/// Changes how a tag looks, and what it is called.
///
/// Errors: `not_found`; `tag_exists` for a title that another tag has; `invalid_slug` at `/title`; `too_long` at `/color`.
pub fn look(tx: &mut Tx, ctx: &Ctx, id: TagId, cmd: &Look) -> Result<Tag> {
    let tag = get(tx, ctx.tenant, id)?;
    let (mut slug, mut name) = (tag.slug.clone(), tag.name.clone());
    if let Some(title) = &cmd.title {
        let made = slug::of_label(title);
        slug = made.ok_or_else(|| Error::field("/title", "invalid_slug", "A label has letters or digits."))?;
        name.clone_from(title);
        let owner = of_slug(tx, ctx, &slug)?;
        if owner.is_some_and(|owner| owner.id != id) {
            return Err(Error::conflict("tag_exists", format!("There is a tag {slug} already.")));
        }
    }
    let color = cmd.color.as_ref().unwrap_or(&tag.color);
    if color.chars().count() > 32 {
        return Err(Error::field("/color", "too_long", "A colour has at most 32 characters."));
    }
    let description = cmd.description.as_ref().unwrap_or(&tag.description);
    let (is_in_sidebar, now) = (cmd.is_in_sidebar.unwrap_or(tag.is_in_sidebar), tx.now());
    let row = params![ctx.tenant.0, id.0, &slug, color, is_in_sidebar, &name, description, now];
    tx.execute(sql::LOOK, &row)?;
    get(tx, ctx.tenant, id)
}

/// Deletes a tag and takes it off every conversation and contact. No event for each of them: the vocabulary changed, nobody touched them.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: TagId) -> Result<()> {
    get(tx, ctx.tenant, id)?;
    for statement in [sql::DELETE_FROM_CONVERSATIONS, sql::DELETE_FROM_CONTACTS, sql::DELETE] {
        tx.execute(statement, &params![ctx.tenant.0, id.0])?;
    }
    Ok(())
}

/// The tags of these labels, each once, sorted by their slugs; one is made for a label that is new to the tenant.
///
/// Errors: `invalid_slug` at `/labels` for a label that no slug can be made from.
pub fn of_labels(tx: &mut Tx, ctx: &Ctx, labels: &[String]) -> Result<Vec<(TagId, String)>> {
    // Sorted, so that two who make the same at once do not wait for each other.
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for label in labels.iter().map(|label| label.trim().to_lowercase()).filter(|label| !label.is_empty()) {
        let slug = slug::of_label(&label)
            .ok_or_else(|| Error::field("/labels", "invalid_slug", "A label has letters or digits."))?;
        wanted.entry(slug).or_insert(label);
    }
    let mut found = Vec::with_capacity(wanted.len());
    for (slug, label) in wanted {
        let made = match of_slug(tx, ctx, &slug)? {
            Some(tag) => Some(tag.id),
            None => insert(tx, ctx, &slug, &Create { name: label, ..Create::default() })?,
        };
        let Some(id) = made else { return Err(tx.lost_race("the same label").into()) };
        found.push((id, slug));
    }
    Ok(found)
}
