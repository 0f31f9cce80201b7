//! What an import of another Chatwoot needs of this dialect: rules in its spelling, webhooks and bots with the secrets that
//! they had there, so that receivers go on to verify what they get.

use super::refused::Refused;
use super::{automations, bots as wire_bots, spelling, webhooks as wire_webhooks};
use crate::endpoints::{header_prefix, new_short_secret, short_prefix};
use crate::hub::Hub;
use serde_json::{Value, json};
use tieline_core::automations::rule::Branch;
use tieline_core::error::Error;
use tieline_core::ids::{InboxId, TenantId};
use tieline_core::webhooks::{CHATWOOT_DEFAULTS, CreateEndpoint, Format};
use tieline_core::{bots, inboxes};
use tieline_db::Read;
use tieline_delivery::SECRET_CONTEXT;

/// Lengths of secrets that are kept, bytes; another one is made in place of any other.
const SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;

/// A secret as it was, else a new one: sealed, and its start for people.
fn secret(hub: &Hub, kept: Option<&str>) -> Result<(Vec<u8>, String), Error> {
    match kept.filter(|text| SECRET_LENGTHS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(text) => Ok((hub.keyring.seal(text.as_bytes(), SECRET_CONTEXT, hub.random()?)?, short_prefix(text))),
        None => new_short_secret(hub).map(|(_, sealed, prefix)| (sealed, prefix)),
    }
}

/// The key of an inbox's identity hashes as it was, sealed.
///
/// Errors: `internal`.
pub fn identity_key(hub: &Hub, kept: &str) -> Result<Vec<u8>, Error> {
    hub.keyring.seal(kept.as_bytes(), inboxes::IDENTITY_CONTEXT, hub.random()?)
}

/// A webhook of another account; words that are none here are left out.
///
/// Errors: `invalid_value` at `/url` for an address that may not be posted to.
pub async fn webhook(
    hub: &Hub,
    name: &str,
    url: &str,
    words: &[&str],
    kept_secret: Option<&str>,
    inbox: Option<InboxId>,
) -> Result<CreateEndpoint, Error> {
    checked(hub, url).await?;
    let mut events: Vec<String> = Vec::new();
    for word in words.iter().filter_map(|word| Format::Chatwoot.event(word)) {
        if !events.iter().any(|known| known == word) {
            events.push(word.to_owned());
        }
    }
    if events.is_empty() {
        events.extend(Format::Chatwoot.events().into_iter().take(CHATWOOT_DEFAULTS).map(str::to_owned));
    }
    let (secret, secret_prefix) = secret(hub, kept_secret)?;
    Ok(CreateEndpoint {
        name: name.chars().take(wire_webhooks::NAME_LIMIT).collect(),
        description: None,
        url: url.to_owned(),
        events,
        format: Format::Chatwoot,
        header_prefix: header_prefix(Format::Chatwoot).to_owned(),
        max_attempts: wire_webhooks::MAX_ATTEMPTS,
        inboxes: inbox.map(|inbox| vec![inbox]),
        secret,
        secret_prefix,
    })
}

/// A bot of another account, with a token of its own here.
///
/// Errors: `invalid_value` at `/url` for an address that may not be posted to.
pub async fn bot(
    hub: &Hub,
    name: &str,
    description: Option<String>,
    url: Option<String>,
    config: String,
    kept_secret: Option<&str>,
) -> Result<bots::Create, Error> {
    if let Some(url) = &url {
        checked(hub, url).await?;
    }
    let (secret, prefix) = secret(hub, kept_secret)?;
    Ok(bots::Create {
        name: name.chars().take(wire_bots::NAME_LIMIT).collect(),
        description,
        hook: url.map(|url| wire_bots::hook(url, secret.clone(), prefix)),
        config,
        token: wire_bots::new_token(hub)?,
        secret,
    })
}

async fn checked(hub: &Hub, url: &str) -> Result<(), Error> {
    let refused = |refusal: tieline_delivery::egress::Refusal| Error::field("/url", "invalid_value", refusal.detail);
    hub.guard.check_at_save(url).await.map(drop).map_err(refused)
}

/// What a rule's conditions and actions mean, and their text; numbers in them are already those of here.
///
/// Errors: `unsupported` at `/rule`, with what there is nothing for here.
pub fn rule(
    read: &mut Read,
    tenant: TenantId,
    live: TenantId,
    conditions: &Value,
    actions: &Value,
) -> Result<(Vec<Branch>, Option<String>), Error> {
    automations::meaning(read, tenant, live, conditions, actions).map_err(|refused| match refused {
        Refused::Core(error) => error,
        Refused::Shaped(_, body) => {
            Error::field("/rule", "unsupported", body["message"].as_str().unwrap_or_default().to_owned())
        }
    })
}

/// Changes the numbers of inboxes, teams and agents in conditions and actions; what `number` does not know becomes null,
/// which [`rule`] refuses.
///
/// Errors: those of `number`, whose word is `inbox`, `team` or `agent`.
pub fn renumber<E>(
    conditions: &Value,
    actions: &Value,
    mut number: impl FnMut(&'static str, i64) -> Result<Option<i64>, E>,
) -> Result<(Value, Value), E> {
    let (mut conditions, mut actions) = (conditions.clone(), actions.clone());
    for condition in conditions.as_array_mut().into_iter().flatten() {
        let Some(kind) = spelling::reference_kind(condition["attribute_key"].as_str().unwrap_or_default()) else {
            continue;
        };
        each(&mut condition["values"], &mut |one| exchange(one, kind, &mut number))?;
    }
    for action in actions.as_array_mut().into_iter().flatten() {
        let kind = match action["action_name"].as_str() {
            Some("assign_team") => "team",
            Some("assign_agent") => "agent",
            _ => continue,
        };
        each(&mut action["action_params"], &mut |one| exchange(one, kind, &mut number))?;
    }
    Ok((conditions, actions))
}

/// Every value of a list, of the lists of an object, or one alone.
fn each<E>(values: &mut Value, change: &mut impl FnMut(&mut Value) -> Result<(), E>) -> Result<(), E> {
    match values {
        Value::Array(list) => list.iter_mut().try_for_each(change),
        Value::Object(members) => members.values_mut().try_for_each(|member| each(member, change)),
        one => change(one),
    }
}

fn exchange<E>(
    one: &mut Value,
    kind: &'static str,
    number: &mut impl FnMut(&'static str, i64) -> Result<Option<i64>, E>,
) -> Result<(), E> {
    let theirs = match one {
        Value::Object(choice) => spelling::number(choice.get("id").unwrap_or(&Value::Null)),
        ref one => spelling::number(one),
    };
    // Nobody stays nobody.
    if let Some(theirs) = theirs.filter(|theirs| *theirs != 0) {
        *one = json!(number(kind, theirs)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_there_become_numbers_of_here() {
        let conditions = json!([
            {"attribute_key": "inbox_id", "values": [7, "8"]}, {"attribute_key": "content", "values": ["7"]},
            {"attribute_key": "team_id", "values": {"from": [7], "to": [9]}}, {"attribute_key": "assignee_id", "values": [{"id": 7}]}]);
        let actions = json!([{"action_name": "assign_agent", "action_params": [7]}, {"action_name": "assign_team", "action_params": [0]},
            {"action_name": "assign_agent", "action_params": ["nil"]}, {"action_name": "add_label", "action_params": ["7"]}]);
        let number =
            |kind: &'static str, theirs: i64| Ok::<_, ()>((theirs != 9).then_some(theirs * 10 + kind.len() as i64));
        let (conditions, actions) = renumber(&conditions, &actions, number).unwrap();
        let values: Vec<&Value> = conditions.as_array().unwrap().iter().map(|one| &one["values"]).collect();
        assert_eq!(json!(values), json!([[75, 85], ["7"], {"from": [74], "to": [null]}, [75]]));
        let params: Vec<&Value> = actions.as_array().unwrap().iter().map(|one| &one["action_params"]).collect();
        assert_eq!(json!(params), json!([[75], [0], ["nil"], ["7"]]));
    }
}
