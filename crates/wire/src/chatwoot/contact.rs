//! Contacts: whole, as a sender, as the client API shows them, and as a raw record.

use super::inbox::slim;
use super::{iso, object, seconds};
use serde_json::{Value, json};
use tieline_core::contact_inboxes::ContactInbox;
use tieline_core::contacts::Contact;
use tieline_core::inboxes::Inbox;

/// A contact of the application API.
pub fn contact(c: &Contact) -> Value {
    json!({
        "additional_attributes": object(&c.metadata),
        "availability_status": "offline",
        "email": c.email,
        "id": c.number,
        "name": c.name,
        "phone_number": c.phone,
        "blocked": c.is_blocked,
        "identifier": c.external_id,
        "thumbnail": c.avatar_url.as_deref().unwrap_or(""),
        "custom_attributes": object(&c.custom_fields),
        "last_activity_at": seconds(c.updated_at),
        "created_at": seconds(c.created_at),
    })
}

/// [`contact`] with its addresses in inboxes.
pub fn with_inboxes(c: &Contact, at: &[(ContactInbox, Inbox)]) -> Value {
    let mut view = contact(c);
    view["contact_inboxes"] =
        at.iter().map(|(at, inbox)| json!({"source_id": at.source_id, "inbox": slim(inbox)})).collect();
    view
}

/// A contact as a sender.
pub fn sender(c: &Contact) -> Value {
    json!({
        "additional_attributes": object(&c.metadata),
        "custom_attributes": object(&c.custom_fields),
        "email": c.email,
        "id": c.number,
        "identifier": c.external_id,
        "name": c.name,
        "phone_number": c.phone,
        "thumbnail": c.avatar_url.as_deref().unwrap_or(""),
        "blocked": c.is_blocked,
        "type": "contact",
    })
}

/// What the client API tells of a contact.
pub fn public(c: &Contact, at: &ContactInbox, pubsub_token: &str) -> Value {
    json!({
        "source_id": at.source_id,
        "pubsub_token": pubsub_token,
        "id": c.number,
        "name": c.name,
        "email": c.email,
        "phone_number": c.phone,
    })
}

/// The raw record.
pub fn raw(c: &Contact, account: i64) -> Value {
    json!({
        "id": c.number,
        "name": c.name,
        "email": c.email,
        "phone_number": c.phone,
        "identifier": c.external_id,
        "account_id": account,
        "additional_attributes": object(&c.metadata),
        "custom_attributes": object(&c.custom_fields),
        "blocked": c.is_blocked,
        "contact_type": "lead",
        "country_code": "",
        "location": "",
        "middle_name": "",
        "last_name": "",
        "last_activity_at": iso(c.updated_at),
        "company_id": null,
        "created_at": iso(c.created_at),
        "updated_at": iso(c.updated_at),
    })
}
