//! Contacts as Atteny shows them.

use super::instant;
use crate::native::raw;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use tieline_core::contacts::Contact;
use utoipa::ToSchema;

/// The customer of a conversation.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactSummary<'a> {
    #[serde(borrow)]
    #[schema(value_type = String, example = "con_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Cow<'a, str>,
    #[serde(borrow)]
    #[schema(value_type = String)]
    name: Cow<'a, str>,
    /// E.164 where it parses, else as given.
    #[serde(alias = "phone")]
    #[schema(required, value_type = Option<String>, example = "+5511987654321")]
    phone_number: Option<Cow<'a, str>>,
    #[schema(required, value_type = Option<String>)]
    email: Option<Cow<'a, str>>,
    /// Your own id of the contact.
    #[schema(required, value_type = Option<String>)]
    external_id: Option<Cow<'a, str>>,
}

impl<'a> ContactSummary<'a> {
    /// The summary of `contact`.
    pub fn of(contact: &'a Contact) -> Self {
        let text = |value: &'a Option<String>| value.as_deref().map(Cow::Borrowed);
        ContactSummary {
            id: contact.id.to_string().into(),
            name: contact.name.as_str().into(),
            phone_number: text(&contact.phone),
            email: text(&contact.email),
            external_id: text(&contact.external_id),
        }
    }
}

/// A customer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactView<'a> {
    #[serde(flatten)]
    summary: ContactSummary<'a>,
    /// Values by key.
    #[schema(value_type = Object)]
    custom_fields: &'a RawValue,
    #[schema(value_type = String, format = "date-time")]
    created_at: Cow<'a, str>,
    #[schema(value_type = String, format = "date-time")]
    updated_at: Cow<'a, str>,
}

impl<'a> ContactView<'a> {
    /// The view of `contact`.
    pub fn of(contact: &'a Contact) -> Self {
        ContactView {
            summary: ContactSummary::of(contact),
            custom_fields: raw(&contact.custom_fields),
            created_at: instant(contact.created_at),
            updated_at: instant(contact.updated_at),
        }
    }
}
