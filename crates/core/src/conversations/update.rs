//! Changing a conversation's own members: a merge-patch, checked as a whole before anything of it is stored.

use super::append::archived;
use super::change::{announce, apply, ask, lock, save};
use super::status::{Command, Outcome, Status};
use super::{Conversation, sql};
use crate::ctx::Ctx;
use crate::error::FieldError;
use crate::events::Batch;
use crate::fields::{self, validate::Entity};
use crate::ids::{ConversationId, TeamId, UserId};
use crate::metadata;
use crate::time::Micros;
use crate::{Error, Result};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tieline_db::{Tx, params};

/// What to change. The outer option is none for what stays; an inner one is none for what is cleared.
#[derive(Clone, Debug)]
pub struct Update {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Where it shall stand.
    pub status: Option<Status>,
    /// When its snooze ends, microseconds UTC; goes with the status `snoozed`.
    pub snoozed_until: Option<Option<i64>>,
    /// What it is about.
    pub subject: Option<Option<String>>,
    /// The team whose queue it shall be in.
    pub team: Option<Option<TeamId>>,
    /// The agent who shall have it.
    pub agent: Option<Option<UserId>>,
    /// Values by key; null clears one, unknown keys are reported back.
    pub custom_fields: Map<String, Value>,
    /// Merged into what is stored (RFC 7396); an object as text.
    pub metadata: Option<Option<String>>,
}

impl Update {
    /// An update that changes nothing.
    pub fn none(conversation: ConversationId) -> Update {
        Update {
            conversation,
            status: None,
            snoozed_until: None,
            subject: None,
            team: None,
            agent: None,
            custom_fields: Map::new(),
            metadata: None,
        }
    }
}

/// The conversation after an update.
#[derive(Clone, Debug)]
pub struct Updated {
    /// Its state.
    pub conversation: Conversation,
    /// Keys that name no custom field of the tenant.
    pub ignored_fields: Vec<String>,
}

/// Changes what differs; a request that asks for what is there already changes nothing and emits nothing.
///
/// Errors: `not_found`; `validation_error` with every wrong member at once; `invalid_transition` for another status of an
/// archived conversation, `conversation_archived` for anything else of it; `conversation_merged` (with `conversationId`)
/// for opening a merged one again.
pub fn update(tx: &mut Tx, ctx: &Ctx, cmd: &Update) -> Result<Updated> {
    let before = lock(tx, ctx.tenant, cmd.conversation)?;
    let mut v = before.clone();
    let mut wrong: Vec<FieldError> = Vec::new();

    if let Some(subject) = &cmd.subject {
        v.subject.clone_from(subject);
    }
    if let Some(team) = cmd.team {
        v.team = team;
    }
    if let Some(agent) = cmd.agent {
        (v.agent, v.bot) = (agent, None);
    }
    check_holder(tx, ctx, &before, &v, &mut wrong)?;
    let mut ignored_fields = Vec::new();
    if !cmd.custom_fields.is_empty() {
        let definitions = fields::definitions(tx, ctx.tenant, Entity::Conversation)?;
        match fields::write(&definitions, &before.custom_fields, cmd.custom_fields.clone(), "/customFields") {
            Ok((values, ignored)) => (v.custom_fields, ignored_fields) = (values, ignored),
            Err(error) if !error.fields.is_empty() => wrong.extend(error.fields),
            Err(error) => return Err(error),
        }
    }
    match cmd.metadata.as_ref().map(|patch| patched(&before.metadata, patch.as_deref())) {
        Some(Ok(metadata)) => v.metadata = metadata,
        Some(Err(error)) => wrong.push(error),
        None => {}
    }
    let change = match wanted(&before, cmd) {
        Ok(None) => None,
        Ok(Some(command)) => match ask(&before, command, tx.now()) {
            Ok(Outcome::Changed(change)) => Some(change),
            Ok(Outcome::Unchanged | Outcome::NewConversation) => None,
            Err(error) if !error.fields.is_empty() => {
                wrong.extend(error.fields);
                None
            }
            Err(error) => return Err(error),
        },
        Err(error) => {
            wrong.push(error);
            None
        }
    };
    if !wrong.is_empty() {
        return Err(Error::invalid(wrong));
    }
    if before.status == Status::Archived && v != before {
        return Err(archived());
    }
    if let Some(change) = change {
        if let (Some(primary), Status::Active | Status::Snoozed) = (before.merged_into, change.to) {
            let detail = "The conversation was merged; go on with the one that holds its messages.";
            return Err(Error::conflict("conversation_merged", detail).with("conversationId", primary));
        }
        apply(tx, ctx.tenant, &mut v, change)?;
    }
    let mut events = Batch::default();
    if announce(tx, ctx, &before, &mut v, &mut events)? {
        save(tx, ctx.tenant, &v)?;
        events.write(tx)?;
    }
    Ok(Updated { conversation: v, ignored_fields })
}

/// The command that status and end of snooze come to, if any.
fn wanted(before: &Conversation, cmd: &Update) -> Result<Option<Command>, FieldError> {
    let misplaced = || FieldError {
        pointer: "/snoozedUntil".into(),
        code: "not_allowed",
        message: "snoozedUntil goes with the status snoozed.".into(),
    };
    let until = cmd.snoozed_until.flatten();
    match cmd.status {
        Some(Status::Snoozed) => {
            // Asked for again, a snooze keeps its end.
            let until = if cmd.snoozed_until.is_none() { before.snoozed_until } else { until };
            Ok(Some(Command::Snooze { until: until.map(Micros) }))
        }
        Some(_) if until.is_some() => Err(misplaced()),
        Some(Status::Active) => Ok(Some(Command::Activate)),
        Some(Status::Done) => Ok(Some(Command::Finish)),
        Some(Status::Archived) => Ok(Some(Command::Archive)),
        None if before.status == Status::Snoozed && cmd.snoozed_until.is_some() => {
            Ok(Some(Command::Snooze { until: until.map(Micros) }))
        }
        None if until.is_some() => Err(misplaced()),
        None => Ok(None),
    }
}

/// Whether team and agent, where they change, are the tenant's.
fn check_holder(
    tx: &mut Tx,
    ctx: &Ctx,
    before: &Conversation,
    after: &Conversation,
    wrong: &mut Vec<FieldError>,
) -> Result<()> {
    if let Some(team) = after.team.filter(|_| after.team != before.team)
        && tx.opt(sql::KNOWS_TEAM, &params![ctx.tenant.0, team.0], |_| Ok(()))?.is_none()
    {
        let message = "There is no such team.".into();
        wrong.push(FieldError { pointer: "/assignedTeamId".into(), code: "not_found", message });
    }
    if let Some(agent) = after.agent.filter(|_| after.agent != before.agent) {
        let mut known = false;
        tx.select_many(&sql::KNOWS_USER, &params![ctx.tenant.0, agent.0], |_| {
            known = true;
            Ok(())
        })?;
        if !known {
            let message = "There is no such user, or the user is switched off.".into();
            wrong.push(FieldError { pointer: "/assignedAgentId".into(), code: "not_found", message });
        }
    }
    Ok(())
}

/// Metadata after a merge-patch; none clears it all. Numbers and texts stay as they were written.
fn patched(stored: &str, patch: Option<&str>) -> Result<String, FieldError> {
    let empty = "{}".to_owned();
    let Some(patch) = patch else { return Ok(empty) };
    let merged = merge(stored, patch, 0).unwrap_or(empty);
    let same = |a: &str, b: &str| match (serde_json::from_str::<Value>(a), serde_json::from_str::<Value>(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    if same(stored, &merged) {
        return Ok(stored.to_owned()); // another order or spacing is no change
    }
    match RawValue::from_string(merged) {
        Ok(raw) => metadata::check(&raw, "/metadata").map(|()| raw.get().to_owned()),
        Err(_) => Ok(stored.to_owned()),
    }
}

/// RFC 7396 over texts. Both are JSON already, and nested no deeper than metadata may be.
fn merge(target: &str, patch: &str, depth: usize) -> Option<String> {
    if !patch.trim_start().starts_with('{') || depth > metadata::METADATA_DEPTH_LIMIT {
        return Some(patch.to_owned());
    }
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(target).unwrap_or_default();
    let patch: BTreeMap<String, Box<RawValue>> = serde_json::from_str(patch).ok()?;
    for (name, value) in patch {
        if value.get() == "null" {
            members.remove(&name);
        } else {
            let old = members.get(&name).map_or("{}", |old| old.get());
            let merged = merge(old, value.get(), depth + 1)?;
            members.insert(name, RawValue::from_string(merged).ok()?);
        }
    }
    serde_json::to_string(&members).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_merged_as_rfc_7396_says() {
        for (stored, patch, merged) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#"{"n":123456789012345678901}"#, r#"{"m":1.10}"#, r#"{"m":1.10,"n":123456789012345678901}"#),
            (r#"{"b":1, "a":2}"#, r#"{"a":2}"#, r#"{"b":1, "a":2}"#),
        ] {
            assert_eq!(patched(stored, Some(patch)).unwrap(), merged, "{stored} and {patch}");
        }
        assert_eq!(patched(r#"{"a":1}"#, None).unwrap(), "{}");
        let many: Map<String, Value> = (0..51).map(|n| (n.to_string(), Value::Null)).collect();
        assert_eq!(patched("{}", Some(&Value::Object(many).to_string())).unwrap(), "{}", "nulls are no keys");
        let many: Map<String, Value> = (0..30).map(|n| (format!("x{n}"), 1.into())).collect();
        let more: Map<String, Value> = (0..30).map(|n| (format!("y{n}"), 1.into())).collect();
        let error = patched(&Value::Object(many).to_string(), Some(&Value::Object(more).to_string())).unwrap_err();
        assert_eq!((error.pointer.as_str(), error.code), ("/metadata", "too_many"));
    }
}
