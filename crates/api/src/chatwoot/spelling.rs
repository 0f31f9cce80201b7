//! Conditions and actions of rules as Chatwoot spells them, and what they mean here.
//!
//! A condition joined by "or" ends a group; "and" binds tighter. Numbers of inboxes, teams and agents become ids. The meaning
//! goes through the one reader of rules, so that what it refuses is refused here too, as `{error: {conditions: [..]}}`.

use super::Result;
use super::refused::Refused;
use http::StatusCode;
use serde_json::{Value, json};
use tieline_core::automations::Automation;
use tieline_core::automations::rule::{self, Action, Branch, Condition, Operator, Standing};
use tieline_core::conversations::Priority;
use tieline_core::error::Error;
use tieline_core::fields::{self, validate::Entity};
use tieline_core::ids::TenantId;
use tieline_core::{inboxes, teams, users};
use tieline_db::Read;

/// Largest text of a rule's conditions and actions, bytes.
pub(super) const TEXT_LIMIT: usize = 256 * 1024;

/// Chatwoot's keys and our fields. The first of each field is what it is shown as.
const KEYS: [(&str, &str); 17] = [
    ("content", "message.body"),
    ("message_type", "message.direction"),
    ("status", "conversation.status"),
    ("priority", "conversation.priority"),
    ("inbox_id", "conversation.inboxId"),
    ("team_id", "conversation.assignedTeamId"),
    ("assignee_id", "conversation.assignedAgentId"),
    ("labels", "conversation.tags"),
    ("email", "contact.email"),
    ("phone_number", "contact.phone"),
    ("mail_subject", "conversation.metadata.mail_subject"),
    ("browser_language", "conversation.metadata.browser_language"),
    ("conversation_language", "conversation.metadata.conversation_language"),
    ("referer", "conversation.metadata.referer"),
    ("country_code", "contact.metadata.country_code"),
    ("city", "contact.metadata.city"),
    ("company_name", "contact.metadata.company_name"),
];
const OPERATORS: [(&str, Operator); 11] = [
    ("equal_to", Operator::Equals),
    ("not_equal_to", Operator::NotEquals),
    ("contains", Operator::Contains),
    ("does_not_contain", Operator::NotContains),
    ("starts_with", Operator::StartsWith),
    ("is_present", Operator::IsNotEmpty),
    ("is_not_present", Operator::IsEmpty),
    ("is_greater_than", Operator::GreaterThan),
    ("is_less_than", Operator::LessThan),
    ("days_before", Operator::DaysBefore),
    ("attribute_changed", Operator::Changed),
];
/// Statuses: Chatwoot's word and ours.
const STATUSES: [(&str, &[&str]); 5] = [
    ("open", &["open"]),
    ("resolved", &["done", "archived"]),
    ("pending", &["pending"]),
    ("snoozed", &["snoozed"]),
    ("all", &["active", "snoozed", "done", "archived"]),
];

/// 422 in Chatwoot's shape: what is wrong, under `conditions` or `actions`.
pub(super) fn refused(what: &str, texts: &[String]) -> Refused {
    let body = json!({"error": {what: texts}, "message": texts.join(", ")});
    Refused::Shaped(StatusCode::UNPROCESSABLE_ENTITY, body)
}

/// The addresses that actions name.
pub(super) fn addresses(actions: &Value) -> Vec<String> {
    let list = actions.as_array().map_or(&[][..], Vec::as_slice);
    let named = list.iter().filter(|action| action["action_name"] == "send_attachment");
    named.flat_map(params).filter_map(|param| param.as_str().map(str::to_owned)).collect()
}

/// What conditions and actions mean.
///
/// Errors: 422 with every unknown key, operator, value and action.
pub(super) fn branch(
    read: &mut Read,
    tenant: TenantId,
    live: TenantId,
    conditions: &Value,
    actions: &Value,
) -> Result<Branch> {
    let mut meaning = Meaning { read, tenant, live, wrong: [Vec::new(), Vec::new()] };
    let groups = meaning.conditions(conditions)?;
    let actions = meaning.actions(actions)?;
    for (what, wrong) in ["conditions", "actions"].into_iter().zip(&meaning.wrong) {
        if !wrong.is_empty() {
            return Err(refused(what, wrong));
        }
    }
    let any: Vec<Value> = groups.into_iter().map(|group| json!({"all": group})).collect();
    let item = json!([{"conditions": {"any": any}, "actions": actions}]);
    match rule::read(&item, "") {
        Ok(mut branches) => Ok(branches.pop().unwrap_or_default()),
        Err(wrong) => {
            let what = if wrong[0].pointer.starts_with("/0/conditions") { "conditions" } else { "actions" };
            Err(refused(what, &wrong.into_iter().map(|field| field.message).collect::<Vec<_>>()))
        }
    }
}

/// Parameters of an action, in a list or one alone.
fn params(action: &Value) -> Vec<Value> {
    match &action["action_params"] {
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// What a key's values are numbers of, if they are.
pub(super) fn reference_kind(key: &str) -> Option<&'static str> {
    match key {
        "inbox_id" => Some("inbox"),
        "team_id" => Some("team"),
        "assignee_id" => Some("agent"),
        _ => None,
    }
}

/// A number, as such or as text.
pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

struct Meaning<'r, 'c> {
    read: &'r mut Read<'c>,
    tenant: TenantId,
    live: TenantId,
    /// Of conditions, of actions.
    wrong: [Vec<String>; 2],
}

impl Meaning<'_, '_> {
    fn conditions(&mut self, list: &Value) -> Result<Vec<Vec<Value>>> {
        let list = list.as_array().map_or(&[][..], Vec::as_slice);
        let mut groups: Vec<Vec<Value>> = vec![Vec::new()];
        let (mut unknown, mut ends) = (Vec::new(), 0);
        for item in list {
            let key = item["attribute_key"].as_str().unwrap_or("");
            match self.field(item, key)? {
                Some(field) => {
                    let condition = self.condition(item, key, &field)?;
                    groups.last_mut().expect("never empty").extend(condition);
                }
                None => unknown.push(key.to_owned()),
            }
            match item["query_operator"].as_str().map(str::to_ascii_uppercase).as_deref() {
                Some("AND") => {}
                Some("OR") => groups.push(Vec::new()),
                // The document of Chatwoot's own API, and clients made from it, write the word.
                None | Some("" | "NIL" | "NULL") => ends += 1,
                Some(_) => self.wrong[0].push("Query operator must be either \"AND\" or \"OR\"".to_owned()),
            }
        }
        if !unknown.is_empty() {
            self.wrong[0].push(format!("Automation conditions {} not supported.", unknown.join(",")));
        }
        if ends > 1 {
            self.wrong[0].push("Automation conditions should have query operator.".to_owned());
        }
        groups.retain(|group| !group.is_empty());
        Ok(groups)
    }

    /// The field behind a key: a standard one, or an attribute that is defined.
    fn field(&mut self, item: &Value, key: &str) -> Result<Option<String>> {
        if key == "private_note" {
            return Ok(Some("message.direction".to_owned()));
        }
        if let Some((_, field)) = KEYS.iter().find(|(known, _)| *known == key) {
            return Ok(Some((*field).to_owned()));
        }
        let wanted = match item["custom_attribute_type"].as_str() {
            Some("contact_attribute") => &[(Entity::Contact, "contact")][..],
            Some("conversation_attribute") => &[(Entity::Conversation, "conversation")][..],
            _ => &[(Entity::Conversation, "conversation"), (Entity::Contact, "contact")][..],
        };
        for (entity, begin) in wanted {
            let definitions = fields::definitions(self.read, self.tenant, *entity)?;
            if definitions.iter().any(|definition| definition.key == key) {
                return Ok(Some(format!("{begin}.customFields.{key}")));
            }
        }
        Ok(None)
    }

    fn condition(&mut self, item: &Value, key: &str, field: &str) -> Result<Option<Value>> {
        let known = OPERATORS.iter().find(|(word, _)| item["filter_operator"] == *word);
        let Some((_, operator)) = known else {
            let names: Vec<&str> = OPERATORS.iter().map(|(word, _)| *word).collect();
            self.wrong[0].push(format!("Invalid operator. The allowed operators for {key} are [{}].", names.join(",")));
            return Ok(None);
        };
        let values = &item["values"];
        let value = match operator {
            Operator::Changed => json!({
                "from": self.values(key, &values["from"])?,
                "to": self.values(key, &values["to"])?,
            }),
            _ => Value::Array(self.values(key, values)?),
        };
        Ok(Some(json!({"field": field, "operator": operator.as_str(), "value": value})))
    }

    /// Values in our words.
    fn values(&mut self, key: &str, values: &Value) -> Result<Vec<Value>> {
        let list = match values {
            Value::Array(list) => list.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let mut found = Vec::with_capacity(list.len());
        for value in &list {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let ours: Option<Vec<Value>> = match key {
                "status" => STATUSES
                    .iter()
                    .enumerate()
                    .find(|(code, (word, _))| *word == text || (code.to_string() == text && *code < 4))
                    .map(|(_, (_, ours))| ours.iter().map(|word| json!(word)).collect()),
                "message_type" => match text.as_str() {
                    "incoming" | "0" => Some(vec![json!("inbound")]),
                    "outgoing" | "1" | "template" | "3" => Some(vec![json!("outbound")]),
                    _ => None,
                },
                // Notes start no rule: whatever does is none.
                "private_note" if text == "false" => Some(vec![json!("inbound"), json!("outbound")]),
                "private_note" => None,
                key if reference_kind(key).is_some() => self.reference(key, value)?.map(|id| vec![json!(id)]),
                _ => Some(vec![value.clone()]),
            };
            match ours {
                Some(ours) => found.extend(ours),
                None => self.wrong[0].push(format!("Invalid value. The values provided for {key} are invalid")),
            }
        }
        Ok(found)
    }

    /// The id behind a number; none when there is no such thing.
    fn reference(&mut self, key: &str, value: &Value) -> Result<Option<String>> {
        let Some(number) = number(value) else { return Ok(None) };
        let id = match key {
            "inbox_id" => inboxes::by_number(self.read, self.tenant, number).map(|inbox| inbox.id.to_string()),
            "team_id" => teams::by_number(self.read, self.tenant, number).map(|team| team.id.to_string()),
            _ => users::by_number(self.read, self.live, number).map(|user| user.id.to_string()),
        };
        match id {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.code == "not_found" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn actions(&mut self, list: &Value) -> Result<Vec<Value>> {
        let list = list.as_array().map_or(&[][..], Vec::as_slice);
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for item in list {
            let name = item["action_name"].as_str().unwrap_or("");
            let params = params(item);
            let first = params.first().unwrap_or(&Value::Null);
            match name {
                "send_message" => found.push(json!({"type": "send_message", "text": first})),
                "add_private_note" => found.push(json!({"type": "add_note", "text": first})),
                "send_attachment" => {
                    found.extend(params.iter().map(|url| json!({"type": "send_attachment", "url": url})));
                }
                "add_label" => found.extend(params.iter().map(|tag| json!({"type": "add_tag", "tag": tag}))),
                "remove_label" => found.extend(params.iter().map(|tag| json!({"type": "remove_tag", "tag": tag}))),
                "assign_team" | "assign_agent" => {
                    let id = self.holder(name, first)?;
                    let member = if name == "assign_team" { "teamId" } else { "agentId" };
                    found.push(json!({"type": name, member: id}));
                }
                "remove_assigned_team" => found.push(json!({"type": "assign_team", "teamId": null})),
                "remove_assigned_agent" => found.push(json!({"type": "assign_agent", "agentId": null})),
                "mute_conversation" => found.push(json!({"type": "mute"})),
                "resolve_conversation" => found.push(json!({"type": "set_status", "status": "done"})),
                "open_conversation" => found.push(json!({"type": "set_status", "status": "open"})),
                "pending_conversation" => found.push(json!({"type": "set_status", "status": "pending"})),
                "snooze_conversation" => found.push(json!({"type": "set_status", "status": "snoozed"})),
                "change_status" => {
                    let word = if first == "resolved" { &json!("done") } else { first };
                    found.push(json!({"type": "set_status", "status": word}));
                }
                "change_priority" => {
                    let is_none = first.is_null() || ["nil", "none", ""].contains(&first.as_str().unwrap_or("-"));
                    let priority = if is_none { &Value::Null } else { first };
                    found.push(json!({"type": "set_priority", "priority": priority}));
                }
                "send_email_to_team" | "send_email_transcript" => {
                    self.wrong[1].push(format!("Automation actions {name} not supported: mail is not set up."));
                }
                _ => unknown.push(name.to_owned()),
            }
        }
        if !unknown.is_empty() {
            self.wrong[1].push(format!("Automation actions {} not supported.", unknown.join(",")));
        }
        Ok(found)
    }

    /// Whom an action gives a conversation to: an id, or null for nobody.
    fn holder(&mut self, action: &str, param: &Value) -> Result<Value> {
        if param.is_null() || param == "nil" || number(param) == Some(0) {
            return Ok(Value::Null);
        }
        let key = if action == "assign_team" { "team_id" } else { "assignee_id" };
        match self.reference(key, param)? {
            Some(id) => Ok(json!(id)),
            None => {
                self.wrong[1].push(format!("Automation actions {action} not supported for {param}."));
                Ok(Value::Null)
            }
        }
    }
}

/// A rule's conditions and actions in Chatwoot's spelling: as they were written here, else as its first branch says.
pub(super) fn spelled(
    read: &mut Read,
    tenant: TenantId,
    live: TenantId,
    rule: &Automation,
) -> tieline_core::Result<(Value, Value)> {
    if let Some(text) = &rule.spelling {
        let mut kept: Value = serde_json::from_str(text).map_err(Error::internal)?;
        return Ok((kept["conditions"].take(), kept["actions"].take()));
    }
    let Some(branch) = rule.branches.first() else { return Ok((json!([]), json!([]))) };
    let mut conditions = Vec::new();
    for (at, group) in branch.conditions.iter().enumerate() {
        for (place, condition) in group.iter().enumerate() {
            let joined = match (place + 1 == group.len(), at + 1 == branch.conditions.len()) {
                (false, _) => json!("and"),
                (true, false) => json!("or"),
                (true, true) => Value::Null,
            };
            conditions.push(spelled_condition(read, tenant, live, condition, joined)?);
        }
    }
    let actions = branch.actions.iter().map(|action| spelled_action(read, tenant, live, action));
    Ok((Value::Array(conditions), actions.collect::<tieline_core::Result<Value>>()?))
}

/// The number behind an id; null for what is gone.
fn numbered(read: &mut Read, tenant: TenantId, live: TenantId, field: &str, id: &str) -> tieline_core::Result<Value> {
    let unknown = || Error::not_found("record");
    let number = match field {
        "conversation.inboxId" => {
            id.parse().map_err(|_| unknown()).and_then(|id| inboxes::get(read, tenant, id)).map(|inbox| inbox.number)
        }
        "conversation.assignedTeamId" => {
            id.parse().map_err(|_| unknown()).and_then(|id| teams::get(read, tenant, id)).map(|team| team.number)
        }
        _ => id.parse().map_err(|_| unknown()).and_then(|id| users::get(read, live, id)).map(|user| user.number),
    };
    match number {
        Ok(number) => Ok(json!(number)),
        Err(error) if error.code == "not_found" => Ok(Value::Null),
        Err(error) => Err(error),
    }
}

fn spelled_condition(
    read: &mut Read,
    tenant: TenantId,
    live: TenantId,
    condition: &Condition,
    joined: Value,
) -> tieline_core::Result<Value> {
    let field = condition.field.as_str();
    let custom =
        [("contact.customFields.", "contact_attribute"), ("conversation.customFields.", "conversation_attribute")];
    let custom = custom.iter().find_map(|(begin, kind)| Some((field.strip_prefix(begin)?, *kind)));
    let key = KEYS.iter().find(|(_, known)| *known == field).map(|(key, _)| *key);
    let mut words = |values: &[String]| -> tieline_core::Result<Vec<Value>> {
        let mut found: Vec<Value> = Vec::new();
        for value in values {
            let word = match field {
                "conversation.inboxId" | "conversation.assignedTeamId" | "conversation.assignedAgentId" => {
                    numbered(read, tenant, live, field, value)?
                }
                "conversation.status" => match value.as_str() {
                    "done" | "archived" => json!("resolved"),
                    "active" => json!("open"),
                    word => json!(word),
                },
                "message.direction" => json!(if value == "inbound" { "incoming" } else { "outgoing" }),
                _ => json!(value),
            };
            if !found.contains(&word) {
                found.push(word);
            }
        }
        Ok(found)
    };
    let values = match condition.operator {
        Operator::Changed => json!({"from": words(&condition.from)?, "to": words(&condition.values)?}),
        _ => Value::Array(words(&condition.values)?),
    };
    let operator =
        OPERATORS.iter().find(|(_, operator)| *operator == condition.operator).map_or("ends_with", |(word, _)| *word);
    Ok(json!({
        "attribute_key": key.or(custom.map(|(key, _)| key)).unwrap_or(field),
        "filter_operator": operator,
        "values": values,
        "query_operator": joined,
        "custom_attribute_type": custom.map_or("", |(_, kind)| kind),
    }))
}

fn spelled_action(read: &mut Read, tenant: TenantId, live: TenantId, action: &Action) -> tieline_core::Result<Value> {
    let (name, params) = match action {
        Action::SendMessage(text) => ("send_message", vec![json!(text)]),
        Action::AddNote(text) => ("add_private_note", vec![json!(text)]),
        Action::SendAttachment(url) => ("send_attachment", vec![json!(url)]),
        Action::AddTag(tag) => ("add_label", vec![json!(tag)]),
        Action::RemoveTag(tag) => ("remove_label", vec![json!(tag)]),
        Action::AssignTeam(None) => ("remove_assigned_team", Vec::new()),
        Action::AssignTeam(Some(id)) => {
            ("assign_team", vec![numbered(read, tenant, live, "conversation.assignedTeamId", &id.to_string())?])
        }
        Action::AssignAgent(None) => ("remove_assigned_agent", Vec::new()),
        Action::AssignAgent(Some(id)) => {
            ("assign_agent", vec![numbered(read, tenant, live, "conversation.assignedAgentId", &id.to_string())?])
        }
        Action::SetPriority(priority) => ("change_priority", vec![json!(priority.map_or("nil", Priority::as_str))]),
        Action::Mute => ("mute_conversation", Vec::new()),
        Action::SetStatus(Standing::Open) => ("open_conversation", Vec::new()),
        Action::SetStatus(Standing::Pending) => ("pending_conversation", Vec::new()),
        Action::SetStatus(Standing::Snoozed(_)) => ("snooze_conversation", Vec::new()),
        Action::SetStatus(Standing::Done | Standing::Archived) => ("resolve_conversation", Vec::new()),
    };
    Ok(json!({"action_name": name, "action_params": params}))
}
