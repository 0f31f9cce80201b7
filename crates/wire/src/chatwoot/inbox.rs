//! Inboxes: whole, slim inside contacts, and as the client API shows them.

use super::object;
use serde_json::{Map, Value, json};
use tieline_core::conversations::channel::Channel;
use tieline_core::inboxes::Inbox;

/// What administrators see beside the rest.
pub struct Secrets {
    /// Key of the identity hashes.
    pub hmac_token: String,
    /// What signs its webhook; none without one.
    pub secret: Option<String>,
}

/// What a setting is before anybody sets it.
pub type Unset = fn() -> Value;

/// Settings that are kept as they came, with what they are before anybody sets them.
pub const KEPT: [(&str, Unset); 16] = [
    ("greeting_enabled", || Value::Bool(false)),
    ("greeting_message", || Value::Null),
    ("enable_email_collect", || Value::Bool(true)),
    ("csat_survey_enabled", || Value::Bool(false)),
    ("csat_config", || json!({})),
    ("auto_assignment_config", || json!({})),
    ("out_of_office_message", || Value::Null),
    ("working_hours", working_hours),
    ("working_hours_enabled", || Value::Bool(false)),
    ("timezone", || Value::from("UTC")),
    ("allow_messages_after_resolved", || Value::Bool(true)),
    ("sender_name_type", || Value::from("friendly")),
    ("business_name", || Value::Null),
    ("additional_attributes", || json!({})),
    ("avatar_url", || Value::from("")),
    ("portal_id", || Value::Null),
];

fn working_hours() -> Value {
    let day = |day: i64| {
        let closed = day == 0 || day == 6;
        let at = |number: i64| if closed { Value::Null } else { number.into() };
        json!({"day_of_week": day, "closed_all_day": closed, "open_hour": at(9), "open_minutes": at(0),
               "close_hour": at(17), "close_minutes": at(0), "open_all_day": false})
    };
    (0..7).map(day).collect()
}

/// Chatwoot's word for a channel.
pub fn channel_type(channel: Channel) -> &'static str {
    match channel {
        Channel::Api => "Channel::Api",
        Channel::Email => "Channel::Email",
        Channel::Webchat => "Channel::WebWidget",
        Channel::Messenger => "Channel::FacebookPage",
        Channel::Whatsapp => "Channel::Whatsapp",
        Channel::Instagram => "Channel::Instagram",
        Channel::Sms => "Channel::Sms",
        Channel::Phone | Channel::Voice => "Channel::Voice",
        Channel::Amazon => "Channel::Api",
    }
}

fn kept(inbox: &Inbox) -> Map<String, Value> {
    let mut set = object(&inbox.settings);
    KEPT.iter()
        .map(|(name, default)| {
            let value = set.get_mut(*name).map(Value::take);
            ((*name).to_owned(), value.unwrap_or_else(default))
        })
        .collect()
}

/// An inbox of the application API.
pub fn inbox(i: &Inbox, secrets: Option<Secrets>) -> Value {
    let mut view = json!({
        "id": i.number,
        "channel_id": i.number,
        "name": i.name,
        "channel_type": channel_type(i.channel),
        "callback_webhook_url": null,
        "lock_to_single_conversation": i.is_single_conversation,
        "hmac_mandatory": i.is_identity_required,
        "enable_auto_assignment": i.is_auto_assigned,
        "webhook_url": i.webhook.as_ref().map(|(_, url)| url),
        "inbox_identifier": i.identifier,
        "provider": null,
        "phone_number": null,
        "allowed_domains": null,
        "widget_color": null,
        "website_url": null,
        "welcome_title": null,
        "welcome_tagline": null,
        "web_widget_script": null,
        "website_token": null,
        "selected_feature_flags": null,
        "reply_time": null,
        "messaging_service_sid": null,
    });
    if let Value::Object(view) = &mut view {
        view.extend(kept(i));
        if let Some(secrets) = secrets {
            view.insert("hmac_token".into(), secrets.hmac_token.into());
            view.insert("secret".into(), secrets.secret.into());
        }
    }
    view
}

/// An inbox inside a contact.
pub fn slim(i: &Inbox) -> Value {
    json!({
        "id": i.number,
        "avatar_url": kept(i)["avatar_url"],
        "channel_id": i.number,
        "name": i.name,
        "channel_type": channel_type(i.channel),
        "provider": null,
    })
}

/// What the client API tells of an inbox.
pub fn public(i: &Inbox) -> Value {
    let kept = kept(i);
    json!({
        "identifier": i.identifier,
        "identity_validation_enabled": i.is_identity_required,
        "name": i.name,
        "timezone": kept["timezone"],
        "working_hours": kept["working_hours"],
        "working_hours_enabled": kept["working_hours_enabled"],
        "csat_survey_enabled": kept["csat_survey_enabled"],
        "greeting_enabled": kept["greeting_enabled"],
    })
}
