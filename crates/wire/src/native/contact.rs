//! Contacts on `/v1`.

use super::{Instant, Shown, raw};
use serde::Serialize;
use serde_json::value::RawValue;
use tieline_core::contacts::{Contact, Detail, Handle, Written, handle};
use tieline_core::ids::ContactId;
use utoipa::ToSchema;

/// The customer of a conversation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactSummary<'a> {
    #[schema(value_type = String, example = "con_019a3b1c5d2e7f008a1b2c3d4e5f6071")]
    id: Shown<ContactId>,
    name: &'a str,
    #[schema(required)]
    email: Option<&'a str>,
    /// E.164 where it parses (`+…`, `00…`, and Brazil's `55…` without either), else as given.
    #[schema(required)]
    phone: Option<&'a str>,
    /// The integrator's own id of the contact.
    #[schema(required)]
    external_id: Option<&'a str>,
}

impl<'a> ContactSummary<'a> {
    /// The summary of `contact`.
    pub fn of(contact: &'a Contact) -> Self {
        ContactSummary {
            id: Shown(contact.id),
            name: &contact.name,
            email: contact.email.as_deref(),
            phone: contact.phone.as_deref(),
            external_id: contact.external_id.as_deref(),
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
    created_at: Instant,
    updated_at: Instant,
}

impl<'a> ContactView<'a> {
    /// The view of `contact`.
    pub fn of(contact: &'a Contact) -> Self {
        ContactView {
            summary: ContactSummary::of(contact),
            custom_fields: raw(&contact.custom_fields),
            created_at: Instant(contact.created_at),
            updated_at: Instant(contact.updated_at),
        }
    }
}

/// An address of a contact.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressView<'a> {
    #[serde(rename = "type")]
    #[schema(pattern = "^(email|phone|externalId)$")]
    kind: &'a str,
    value: &'a str,
    /// One of each type is.
    is_primary: bool,
}

/// A customer with everything it is known by.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactDetailView<'a> {
    #[serde(flatten)]
    contact: ContactView<'a>,
    /// Primary ones first.
    addresses: Vec<AddressView<'a>>,
    /// Contacts that were merged into this one; their ids still answer.
    #[schema(value_type = Vec<String>)]
    merged_from: Vec<Shown<ContactId>>,
}

impl<'a> ContactDetailView<'a> {
    /// The view of `detail`.
    pub fn of(detail: &'a Detail) -> Self {
        let address = |handle: &'a Handle| AddressView {
            kind: if handle.kind == handle::EXTERNAL_ID { "externalId" } else { &handle.kind },
            value: &handle.value,
            is_primary: handle.is_primary,
        };
        ContactDetailView {
            contact: ContactView::of(&detail.contact),
            addresses: detail.handles.iter().map(address).collect(),
            merged_from: detail.merged_from.iter().copied().map(Shown).collect(),
        }
    }
}

/// A contact that was written, and what of the request was passed over.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WrittenContactView<'a> {
    #[serde(flatten)]
    contact: ContactView<'a>,
    /// Keys that name no custom field of contacts.
    ignored_custom_fields: &'a [String],
}

impl<'a> WrittenContactView<'a> {
    /// The view of `written`.
    pub fn of(written: &'a Written) -> Self {
        WrittenContactView {
            contact: ContactView::of(&written.contact),
            ignored_custom_fields: &written.ignored_fields,
        }
    }
}
