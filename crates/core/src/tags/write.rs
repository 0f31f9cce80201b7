//! Making, changing and deleting tags.
//!
//! Tags form trees. Whoever changes one does it alone in the tenant, so that no two changes make a circle together.

use super::{BRANCH, LEVELS, Tag, TagType, get, slug, sql};
use crate::ctx::Ctx;
use crate::ids::TagId;
use crate::{Error, Result, tenants};
use std::collections::BTreeMap;
use tieline_db::{Param, Tx, params};

/// A new tag, its slug checked.
#[derive(Clone, Debug, Default)]
pub struct Create {
    /// Made from the name when none.
    pub slug: Option<String>,
    /// 1 to 100 characters.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What sort of tag it is; that of its parent when none.
    pub tag_type: Option<TagType>,
    /// The tag that it is a kind of.
    pub parent: Option<TagId>,
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
    /// Another sort, also for all tags below it.
    pub tag_type: Option<TagType>,
    /// Another parent, none inside for the top; what is below moves with it.
    pub parent: Option<Option<TagId>>,
}

/// What becomes of the tags below one that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// There must be none.
    Refuse,
    /// They are deleted with it.
    Delete,
    /// They hang where it hung.
    Lift,
}

/// Adds a tag.
///
/// Errors: `tag_exists` (with `tagId`); `required` at `/slug` when none can be made from the name; `unknown_id` and
/// `too_deep` at `/parentId`; `not_allowed` at `/type` for another than the parent's.
pub fn create(tx: &mut Tx, ctx: &Ctx, cmd: &Create) -> Result<Tag> {
    let mut tag_type = cmd.tag_type;
    if let Some(parent) = cmd.parent {
        tenants::lock(tx, ctx.tenant)?;
        let above = line(tx, ctx, parent)?;
        is_shallow(above.len() + 1)?;
        tag_type = Some(inherited(cmd.tag_type, &above[0])?);
    }
    let made = || {
        let message = "No slug can be made from this name; give one of the letters a to z, digits and hyphens.";
        slug::from_name(&cmd.name).ok_or_else(|| Error::field("/slug", "required", message))
    };
    let slug = cmd.slug.clone().map_or_else(made, Ok)?;
    let Some(id) = insert(tx, ctx, &slug, cmd, tag_type.unwrap_or_default())? else {
        let detail = format!("There is a tag {slug} already.");
        let error = Error::conflict("tag_exists", detail);
        let owner = of_slug(tx, ctx, &slug)?;
        return Err(owner.into_iter().fold(error, |error, tag| error.with("tagId", tag.id)));
    };
    get(tx, ctx.tenant, id)
}

/// Writes a tag; none where the slug is another's.
fn insert(tx: &mut Tx, ctx: &Ctx, slug: &str, cmd: &Create, tag_type: TagType) -> Result<Option<TagId>> {
    let (id, number, now) = (TagId::from_uuid(tx.new_id()), tx.take_number()?, tx.now());
    let (tag_type, parent) = (tag_type.as_str(), cmd.parent.map(|id| id.0));
    let params = params![ctx.tenant.0, id.0, slug, &cmd.name, &cmd.description, now, number, tag_type, parent];
    Ok((tx.execute(sql::INSERT, &params)? > 0).then_some(id))
}

fn of_slug(tx: &mut Tx, ctx: &Ctx, slug: &str) -> Result<Option<Tag>> {
    Ok(tx.opt(sql::BY_ONE_SLUG, &params![ctx.tenant.0, slug], super::tag)?)
}

/// A tag and all above it, up to the top.
///
/// Errors: `unknown_id` at `/parentId`.
fn line(tx: &mut Tx, ctx: &Ctx, id: TagId) -> Result<Vec<Tag>> {
    let mut line: Vec<Tag> = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next.filter(|_| line.len() <= LEVELS) {
        let tag = tx.opt(sql::GET, &params![ctx.tenant.0, id.0], super::tag)?;
        let tag = tag.ok_or_else(|| Error::field("/parentId", "unknown_id", "There is no such tag."))?;
        next = tag.parent;
        line.push(tag);
    }
    Ok(line)
}

/// All below a tag, level by level.
///
/// Errors: `tag_has_children` for more than can be changed at once.
fn below(tx: &mut Tx, ctx: &Ctx, id: TagId) -> Result<Vec<Vec<TagId>>> {
    let mut levels: Vec<Vec<TagId>> = vec![vec![id]];
    while levels.len() <= LEVELS && levels.last().is_some_and(|level| !level.is_empty()) {
        let parents = levels.last().into_iter().flatten();
        let rows: Vec<Param> = parents.flat_map(|parent| params![ctx.tenant.0, parent.0]).collect();
        let mut children = Vec::new();
        tx.select_many(&sql::CHILDREN, &rows, |row| {
            children.push(TagId::from_uuid(row.get(0)?));
            Ok(())
        })?;
        levels.push(children);
        if levels.iter().map(Vec::len).sum::<usize>() > BRANCH {
            let detail = format!("There are {BRANCH} tags or more below this one; go branch by branch.");
            return Err(Error::conflict("tag_has_children", detail));
        }
    }
    levels.retain(|level| !level.is_empty());
    Ok(levels.split_off(1))
}

fn is_shallow(levels: usize) -> Result<()> {
    if levels <= LEVELS {
        return Ok(());
    }
    Err(Error::field("/parentId", "too_deep", format!("A tree of tags has at most {LEVELS} levels.")))
}

/// The type of a tag below `parent`.
fn inherited(given: Option<TagType>, parent: &Tag) -> Result<TagType> {
    match given {
        Some(other) if other != parent.tag_type => {
            let message = format!("A tag below another has its type, {}.", parent.tag_type.as_str());
            Err(Error::field("/type", "not_allowed", message))
        }
        _ => Ok(parent.tag_type),
    }
}

/// Changes a tag.
///
/// Errors: `not_found`; `immutable` at `/slug`; `unknown_id`, `not_allowed` (below itself) and `too_deep` at `/parentId`;
/// `not_allowed` at `/type` for another than the parent's; `tag_has_children` for a branch of more than [`BRANCH`] tags.
pub fn update(tx: &mut Tx, ctx: &Ctx, id: TagId, cmd: &Update) -> Result<Tag> {
    tenants::lock(tx, ctx.tenant)?;
    let tag = get(tx, ctx.tenant, id)?;
    if cmd.slug.as_ref().is_some_and(|slug| *slug != tag.slug) {
        return Err(Error::field("/slug", "immutable", "The slug of a tag never changes; make another tag."));
    }
    let name = cmd.name.as_ref().unwrap_or(&tag.name);
    let description = cmd.description.as_ref().unwrap_or(&tag.description);
    let (now, parent) = (tx.now(), cmd.parent.unwrap_or(tag.parent));
    let mut tag_type = cmd.tag_type.unwrap_or(tag.tag_type);
    if cmd.parent.is_some() || cmd.tag_type.is_some() {
        let below = below(tx, ctx, id)?;
        if let Some(parent) = parent {
            let above = line(tx, ctx, parent)?;
            if above.iter().any(|tag| tag.id == id) {
                return Err(Error::field("/parentId", "not_allowed", "A tag cannot hang below itself."));
            }
            is_shallow(above.len() + 1 + below.len())?;
            tag_type = inherited(cmd.tag_type, &above[0])?;
        }
        if tag_type != tag.tag_type {
            let all = below.iter().flatten();
            let rows: Vec<Param> = all.flat_map(|id| params![ctx.tenant.0, id.0, tag_type.as_str(), now]).collect();
            tx.run_many(&sql::SET_TYPE, &rows)?;
        }
    }
    let parent = parent.map(|id| id.0);
    tx.execute(sql::UPDATE, &params![ctx.tenant.0, id.0, name, description, now, tag_type.as_str(), parent])?;
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

/// Deletes a tag and takes it off every conversation and contact. No event for each of them: the vocabulary changed, nobody
/// touched them.
///
/// Errors: `not_found`; `tag_has_children`, where they are neither deleted nor lifted, or are too many to go at once.
pub fn delete(tx: &mut Tx, ctx: &Ctx, id: TagId, children: Children) -> Result<()> {
    tenants::lock(tx, ctx.tenant)?;
    let tag = get(tx, ctx.tenant, id)?;
    let mut deleted = vec![id];
    if children == Children::Lift {
        let (parent, now) = (tag.parent.map(|id| id.0), tx.now());
        tx.execute(sql::LIFT, &params![ctx.tenant.0, id.0, parent, now])?;
    } else {
        deleted.extend(below(tx, ctx, id)?.into_iter().flatten());
    }
    if children == Children::Refuse && deleted.len() > 1 {
        let detail = "There are tags below this one; delete them first, or all at once with ?cascade=true.";
        return Err(Error::conflict("tag_has_children", detail));
    }
    deleted.sort();
    let rows: Vec<Param> = deleted.iter().flat_map(|id| params![ctx.tenant.0, id.0]).collect();
    for statement in [&sql::DELETE_FROM_CONVERSATIONS, &sql::DELETE_FROM_CONTACTS, &sql::DELETE] {
        tx.run_many(statement, &rows)?;
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
            None => insert(tx, ctx, &slug, &Create { name: label, ..Create::default() }, TagType::Topic)?,
        };
        let Some(id) = made else { return Err(tx.lost_race("the same label").into()) };
        found.push((id, slug));
    }
    Ok(found)
}
