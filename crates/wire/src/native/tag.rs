//! Tags on `/v1`.

use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::ids::TagId;
use tieline_core::tags::Tag;
use utoipa::ToSchema;

/// A word of the tenant's vocabulary for conversations.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tag)]
pub struct TagView {
    #[schema(value_type = String, example = "tag_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<TagId>,
    /// Unique per tenant; never changes.
    #[schema(example = "late-delivery")]
    slug: String,
    name: String,
    /// `topic`: what a conversation is about. `metadata`: anything else about it. That of the tag at the top of its tree.
    #[schema(value_type = String, pattern = "^(topic|metadata)$", example = "topic")]
    r#type: &'static str,
    #[schema(required)]
    description: Option<String>,
    /// The tag that it is a kind of; null at the top of a tree.
    #[schema(required, value_type = Option<String>, example = "tag_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    parent_id: Option<Shown<TagId>>,
    created_at: Instant,
    updated_at: Instant,
}

impl From<&Tag> for TagView {
    fn from(tag: &Tag) -> Self {
        TagView {
            id: Shown(tag.id),
            slug: tag.slug.clone(),
            name: tag.name.clone(),
            r#type: tag.tag_type.as_str(),
            description: tag.description.clone(),
            parent_id: tag.parent.map(Shown),
            created_at: Instant(tag.created_at),
            updated_at: Instant(tag.updated_at),
        }
    }
}
