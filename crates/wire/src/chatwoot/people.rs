//! Agents, teams, labels, the profile, the account, definitions of attributes.

use super::{iso, object, seconds};
use serde_json::{Value, json};
use tieline_core::contacts::Note;
use tieline_core::fields::Field;
use tieline_core::fields::validate::{Entity, FieldType};
use tieline_core::snippets::Snippet;
use tieline_core::tags::Tag;
use tieline_core::teams::Team;
use tieline_core::tenants::Tenant;
use tieline_core::users::{Role, User};

/// Chatwoot knows two roles.
pub fn role(user: &User) -> &'static str {
    match user.role {
        Role::Owner | Role::Admin => "administrator",
        Role::Agent => "agent",
    }
}

/// An agent.
pub fn agent(user: &User, account: i64) -> Value {
    json!({
        "id": user.number,
        "account_id": account,
        "availability_status": user.availability.as_str(),
        "auto_offline": user.is_auto_offline,
        "confirmed": true,
        "email": user.email,
        "provider": "email",
        "available_name": user.shown_name(),
        "custom_attributes": {},
        "name": user.name,
        "role": role(user),
        "thumbnail": "",
        "custom_role_id": null,
    })
}

/// A user as a sender.
pub fn sender(user: &User) -> Value {
    json!({
        "id": user.number,
        "name": user.name,
        "available_name": user.shown_name(),
        "avatar_url": "",
        "type": "user",
        "availability_status": user.availability.as_str(),
        "thumbnail": "",
    })
}

/// A team.
pub fn team(team: &Team, account: i64, is_member: bool) -> Value {
    json!({
        "id": team.number,
        "name": team.name,
        "description": team.description,
        "allow_auto_assign": team.mode.is_automatic(),
        "account_id": account,
        "is_member": is_member,
    })
}

/// A team as a raw record, in answers about assignments.
pub fn raw_team(team: &Team, account: i64) -> Value {
    json!({
        "id": team.number,
        "name": team.name,
        "description": team.description,
        "allow_auto_assign": team.mode.is_automatic(),
        "account_id": account,
        "created_at": iso(team.created_at),
        "updated_at": iso(team.updated_at),
    })
}

/// A label; its title is the tag's slug, because that is what conversations carry.
pub fn label(tag: &Tag) -> Value {
    json!({
        "id": tag.number,
        "title": tag.slug,
        "description": tag.description,
        "color": tag.color,
        "show_on_sidebar": tag.is_in_sidebar,
    })
}

/// The profile of the user whose token asks; `shown` is that user with the availability that others see.
pub fn profile(user: &User, shown: &User, accounts: &[Tenant], token: &str, pubsub_token: &str) -> Value {
    let account = |tenant: &Tenant| {
        json!({
            "id": tenant.id.0,
            "name": tenant.name,
            "status": "active",
            "active_at": null,
            "role": role(user),
            "permissions": [role(user)],
            "availability": user.availability.as_str(),
            "availability_status": shown.availability.as_str(),
            "auto_offline": user.is_auto_offline,
        })
    };
    json!({
        "access_token": token,
        "account_id": accounts.first().map(|tenant| tenant.id.0),
        "available_name": user.shown_name(),
        "avatar_url": "",
        "confirmed": true,
        "display_name": user.display_name,
        "message_signature": user.message_signature,
        "email": user.email,
        "id": user.number,
        "inviter_id": null,
        "name": user.name,
        "provider": "email",
        "pubsub_token": pubsub_token,
        "custom_attributes": {},
        "role": role(user),
        "ui_settings": object(&user.ui_settings),
        "uid": user.email,
        "type": null,
        "accounts": accounts.iter().map(account).collect::<Vec<_>>(),
    })
}

/// The account.
pub fn account(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id.0,
        "name": tenant.name,
        "locale": "en",
        "domain": null,
        "support_email": null,
        "status": "active",
        "features": {},
        "settings": {},
        "custom_attributes": {},
        "cache_keys": {},
        "created_at": iso(tenant.created_at),
        "latest_chatwoot_version": null,
    })
}

/// The definition of an attribute.
pub fn attribute_definition(field: &Field) -> Value {
    let definition = &field.definition;
    json!({
        "id": field.number,
        "attribute_display_name": definition.name,
        "attribute_display_type": field.display.as_deref().unwrap_or(match definition.field_type {
            FieldType::Number => "number",
            FieldType::Date => "date",
            FieldType::Select => "list",
            FieldType::Checkbox => "checkbox",
            FieldType::Text | FieldType::Textarea => "text",
        }),
        "attribute_description": field.description.as_deref().unwrap_or(""),
        "attribute_key": definition.key,
        "regex_pattern": null,
        "regex_cue": null,
        "attribute_values": definition.options.iter().map(|option| option.label.as_str()).collect::<Vec<_>>(),
        "attribute_model": match field.entity {
            Entity::Contact => "contact_attribute",
            Entity::Conversation => "conversation_attribute",
        },
        "default_value": null,
        "created_at": iso(field.created_at),
        "updated_at": iso(field.updated_at),
    })
}

/// A program that wrote a message, as a sender.
pub fn program(name: &str) -> Value {
    json!({"id": 0, "name": name, "avatar_url": "", "type": "agent_bot"})
}

/// A canned response.
pub fn canned_response(snippet: &Snippet, account: i64) -> Value {
    json!({
        "id": snippet.number,
        "account_id": account,
        "short_code": snippet.shortcut,
        "content": snippet.text,
        "created_at": iso(snippet.created_at),
        "updated_at": iso(snippet.updated_at),
    })
}

/// A note on the contact with number `contact`, and who wrote it.
pub fn note(note: &Note, contact: i64, account: i64, user: Option<&User>) -> Value {
    let mut view = json!({
        "id": note.number,
        "content": note.text,
        "account_id": account,
        "contact_id": contact,
        "created_at": seconds(note.created_at),
        "updated_at": seconds(note.updated_at),
    });
    if let Some(user) = user {
        view["user"] = agent(user, account);
    }
    view
}
