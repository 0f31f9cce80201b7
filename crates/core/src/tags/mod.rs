//! Tags: the tenant's vocabulary for conversations.

pub mod slug;
pub(crate) mod sql;
mod write;

pub use write::{Children, Create, Look, Update, create, delete, look, of_labels, update};

use crate::ids::{TagId, TenantId};
use crate::page::Page;
use crate::{Error, Result};
use tieline_db::{Ask, Read, Row, Tx, params};
use uuid::Uuid;

/// What a tag is for (contract B7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagType {
    /// It says what a conversation is about.
    #[default]
    Topic,
    /// It says something else about it.
    Metadata,
}

impl TagType {
    /// As stored and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            TagType::Topic => "topic",
            TagType::Metadata => "metadata",
        }
    }
}

/// Most levels of a tree of tags.
pub const LEVELS: usize = 10;
/// Most tags that are moved, retyped or deleted together.
pub const BRANCH: usize = 1000;

/// A tag of the tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    /// Its id.
    pub id: TagId,
    /// Its number in the installation.
    pub number: i64,
    /// Lower-case ASCII with hyphens; unique per tenant, never changes.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What sort of tag it is; that of the tag at the top of its tree.
    pub tag_type: TagType,
    /// The tag that it is a kind of.
    pub parent: Option<TagId>,
    /// Its colour, as `#1f93ff`.
    pub color: String,
    /// Whether screens list it beside the queues.
    pub is_in_sidebar: bool,
    /// Microseconds UTC.
    pub created_at: i64,
    /// Microseconds UTC.
    pub updated_at: i64,
}

/// Tags by id and slug.
pub type Known = Vec<(TagId, String)>;

/// Slugs of several lists, to be looked up at once.
pub(crate) struct Slugs<'a> {
    lists: usize,
    asked: Vec<(usize, TenantId, &'a String)>,
    found: Vec<Option<TagId>>,
}

impl<'a> Slugs<'a> {
    /// Of these lists of tenants.
    pub fn of(lists: impl IntoIterator<Item = (TenantId, &'a [String])>) -> Slugs<'a> {
        let mut asked: Vec<(usize, TenantId, &String)> = Vec::new();
        let mut count = 0;
        for (index, (tenant, slugs)) in lists.into_iter().enumerate() {
            let mut slugs: Vec<&String> = slugs.iter().collect();
            slugs.sort();
            slugs.dedup();
            asked.extend(slugs.into_iter().map(|slug| (index, tenant, slug)));
            count = index + 1;
        }
        Slugs { lists: count, found: vec![None; asked.len()], asked }
    }
    /// Looks them up.
    pub fn ask(&mut self) -> Ask<'_> {
        let found = &mut self.found;
        let params = self.asked.iter().flat_map(|(_, tenant, slug)| params![tenant.0, *slug]).collect();
        Ask::select(&sql::BY_SLUG, params, |row| {
            found[row.get::<i64>(0)? as usize] = Some(TagId::from_uuid(row.get(1)?));
            Ok(())
        })
    }
    /// For each list, the tenant's tags among its slugs (sorted, each once) and the slugs that name none.
    pub fn known(self) -> Vec<(Known, Vec<String>)> {
        let mut split: Vec<(Known, Vec<String>)> = vec![Default::default(); self.lists];
        for ((index, _, slug), id) in self.asked.into_iter().zip(self.found) {
            match id {
                Some(id) => split[index].0.push((id, slug.clone())),
                None => split[index].1.push(slug.clone()),
            }
        }
        split
    }
}

/// [`Slugs::known`] of these lists.
pub fn known_many(tx: &mut Tx, lists: &[(TenantId, &[String])]) -> Result<Vec<(Known, Vec<String>)>> {
    let mut slugs = Slugs::of(lists.iter().copied());
    tx.together(vec![slugs.ask()])?;
    Ok(slugs.known())
}

/// Reads a tag from the columns of [`sql`]'s selects.
pub(crate) fn tag(row: &Row) -> tieline_db::Result<Tag> {
    Ok(Tag {
        id: TagId::from_uuid(row.get(0)?),
        number: row.get(1)?,
        slug: row.get(2)?,
        name: row.get(3)?,
        description: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        color: row.get(7)?,
        is_in_sidebar: row.get(8)?,
        tag_type: if row.get::<String>(9)? == "metadata" { TagType::Metadata } else { TagType::Topic },
        parent: row.get::<Option<Uuid>>(10)?.map(TagId::from_uuid),
    })
}

/// One of the tenant's tags.
pub fn get(read: &mut Read, tenant: TenantId, id: TagId) -> Result<Tag> {
    read.opt(sql::GET, &params![tenant.0, id.0], tag)?.ok_or_else(|| Error::not_found("tag"))
}

/// The one with this number.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Tag> {
    read.opt(sql::BY_NUMBER, &params![tenant.0, number], tag)?.ok_or_else(|| Error::not_found("tag"))
}

/// The tenant's tags, newest first.
pub fn list(read: &mut Read, tenant: TenantId, page: Page) -> Result<Vec<Tag>> {
    Ok(read.all(sql::LIST, &params![tenant.0, page.before.1, page.limit], tag)?)
}
