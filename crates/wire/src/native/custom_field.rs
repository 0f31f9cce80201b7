//! Definitions of custom fields on `/v1`.

use super::{Instant, Shown};
use serde::Serialize;
use tieline_core::fields::Field;
use tieline_core::ids::FieldId;
use utoipa::ToSchema;

/// A choice of a select field.
#[derive(Serialize, ToSchema)]
#[schema(as = CustomFieldOption)]
pub struct OptionView {
    /// What people read.
    label: String,
    /// What is stored and sent.
    value: String,
}

/// A field of contacts or conversations that the tenant has defined.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustomField)]
pub struct CustomFieldView {
    #[schema(value_type = String, example = "fld_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<FieldId>,
    /// Its name in `customFields`; never changes.
    #[schema(example = "order_number")]
    key: String,
    name: String,
    /// Never changes.
    #[serde(rename = "type")]
    #[schema(pattern = "^(text|textarea|number|date|select|checkbox)$")]
    kind: &'static str,
    #[schema(pattern = "^(contact|conversation)$")]
    entity: &'static str,
    /// The choices of a select, else empty.
    options: Vec<OptionView>,
    created_at: Instant,
    updated_at: Instant,
}

impl From<&Field> for CustomFieldView {
    fn from(field: &Field) -> Self {
        let definition = &field.definition;
        CustomFieldView {
            id: Shown(field.id),
            key: definition.key.clone(),
            name: definition.name.clone(),
            kind: definition.field_type.as_str(),
            entity: field.entity.as_str(),
            options: definition
                .options
                .iter()
                .map(|option| OptionView { label: option.label.clone(), value: option.value.clone() })
                .collect(),
            created_at: Instant(field.created_at),
            updated_at: Instant(field.updated_at),
        }
    }
}
