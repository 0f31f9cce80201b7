//! What a rule says: what starts it, and branches of conditions and actions. Stored and spoken in one JSON shape, that of
//! `/v1`, which is read here and nowhere else, with every wrong member at once.

use crate::conversations::Priority;
use crate::error::FieldError;
use crate::ids::{InboxId, TeamId, UserId};
use serde_json::{Map, Value, json};

/// Branches of a rule.
pub const BRANCHES_LIMIT: usize = 10;
/// Conditions of a branch.
pub const CONDITIONS_LIMIT: usize = 50;
/// Values of a condition.
pub const VALUES_LIMIT: usize = 100;
/// Actions of a branch.
pub const ACTIONS_LIMIT: usize = 20;
/// Longest text that a rule sends or notes, characters.
pub const TEXT_LIMIT: usize = 20_000;
/// Longest value, name of a tag, or URL, characters.
pub const WORD_LIMIT: usize = 2_048;
/// Longest snooze that a rule may set, minutes: a year.
const MINUTES_LIMIT: i64 = 366 * 24 * 60;

/// What starts a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A conversation was opened.
    ConversationCreated,
    /// A member or a tag of it changed.
    ConversationUpdated,
    /// It came into the agents' queue: woken, opened again, or given up by a bot.
    ConversationOpened,
    /// It was marked done.
    ConversationResolved,
    /// It came back from done or archived.
    ConversationReopened,
    /// The customer wrote.
    MessageReceived,
    /// One of us wrote to the customer.
    MessageSent,
    /// Either wrote.
    MessageCreated,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Trigger; 8] = [
        Trigger::ConversationCreated,
        Trigger::ConversationUpdated,
        Trigger::ConversationOpened,
        Trigger::ConversationResolved,
        Trigger::ConversationReopened,
        Trigger::MessageReceived,
        Trigger::MessageSent,
        Trigger::MessageCreated,
    ];

    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Trigger::ConversationCreated => "conversation.created",
            Trigger::ConversationUpdated => "conversation.updated",
            Trigger::ConversationOpened => "conversation.opened",
            Trigger::ConversationResolved => "conversation.resolved",
            Trigger::ConversationReopened => "conversation.reopened",
            Trigger::MessageReceived => "message.received",
            Trigger::MessageSent => "message.sent",
            Trigger::MessageCreated => "message.created",
        }
    }

    /// The trigger of a word; none for any other text.
    pub fn from_text(text: &str) -> Option<Trigger> {
        Trigger::ALL.into_iter().find(|trigger| trigger.as_str() == text)
    }

    /// The events of the log that may start it.
    pub const fn events(self) -> &'static [&'static str] {
        match self {
            Trigger::ConversationCreated => &["conversation.created"],
            Trigger::ConversationUpdated => &["conversation.updated", "tag.added", "tag.removed"],
            Trigger::ConversationOpened => &["conversation.updated"],
            Trigger::ConversationResolved => &["conversation.resolved"],
            Trigger::ConversationReopened => &["conversation.reopened"],
            Trigger::MessageReceived => &["message.received"],
            Trigger::MessageSent => &["message.sent"],
            Trigger::MessageCreated => &["message.received", "message.sent"],
        }
    }
}

/// How a field is compared. Several values mean any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the words say it
pub enum Operator {
    Equals,
    NotEquals,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
    IsEmpty,
    IsNotEmpty,
    GreaterThan,
    LessThan,
    /// Longer ago than so many days.
    DaysBefore,
    /// The event changed it, from one of some values to one of others where those are given.
    Changed,
}

const OPERATORS: [(&str, Operator); 12] = [
    ("equals", Operator::Equals),
    ("not_equals", Operator::NotEquals),
    ("contains", Operator::Contains),
    ("not_contains", Operator::NotContains),
    ("starts_with", Operator::StartsWith),
    ("ends_with", Operator::EndsWith),
    ("is_empty", Operator::IsEmpty),
    ("is_not_empty", Operator::IsNotEmpty),
    ("greater_than", Operator::GreaterThan),
    ("less_than", Operator::LessThan),
    ("days_before", Operator::DaysBefore),
    ("changed", Operator::Changed),
];

impl Operator {
    /// The spoken word.
    pub fn as_str(self) -> &'static str {
        OPERATORS.iter().find(|(_, operator)| *operator == self).map_or("", |(word, _)| word)
    }
}

/// Fields that every conversation, message and contact has …
pub const FIELDS: [&str; 14] = [
    "message.body",
    "message.direction",
    "conversation.status",
    "conversation.priority",
    "conversation.subject",
    "conversation.channel",
    "conversation.inboxId",
    "conversation.assignedTeamId",
    "conversation.assignedAgentId",
    "conversation.tags",
    "contact.name",
    "contact.email",
    "contact.phone",
    "contact.externalId",
];
/// … and beginnings of those that some have.
pub const OPEN_FIELDS: [&str; 4] =
    ["conversation.customFields.", "conversation.metadata.", "contact.customFields.", "contact.metadata."];
/// Values of `conversation.status`: where it stands, and of an active one whether a bot holds it (`pending`) or not (`open`).
pub const STATUSES: [&str; 6] = ["active", "open", "pending", "snoozed", "done", "archived"];

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// One of [`FIELDS`], or one that begins as [`OPEN_FIELDS`] say.
    pub field: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what; of [`Operator::Changed`] the values after it.
    pub values: Vec<String>,
    /// Of [`Operator::Changed`] the values before it.
    pub from: Vec<String>,
}

/// Where an action puts a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Active, no bot holds it.
    Open,
    /// Active, a bot holds it.
    Pending,
    /// Out of the list for so many minutes, or until the customer writes.
    Snoozed(Option<i64>),
    /// Done.
    Done,
    /// Archived.
    Archived,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Writes to the customer.
    SendMessage(String),
    /// Sends the customer the file at this address.
    SendAttachment(String),
    /// Notes something for us.
    AddNote(String),
    /// Sets a tag; one that is new to the tenant is made.
    AddTag(String),
    /// Takes a tag off.
    RemoveTag(String),
    /// Puts it into a team's queue, or into none.
    AssignTeam(Option<TeamId>),
    /// Gives it to an agent, or takes it from whoever has it.
    AssignAgent(Option<UserId>),
    /// Puts it somewhere.
    SetStatus(Standing),
    /// Says how urgent it is.
    SetPriority(Option<Priority>),
    /// Marks it done, and what the contact writes from now on opens nothing.
    Mute,
}

/// One of a rule's ways; the first whose conditions are met is taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Branch {
    /// Any of these groups, each met when all of it is. None at all is always met.
    pub conditions: Vec<Vec<Condition>>,
    /// Done in order.
    pub actions: Vec<Action>,
}

/// Reads branches in their JSON shape; `pointer` leads to the list.
///
/// Errors: every wrong member.
pub fn read(list: &Value, pointer: &str) -> Result<Vec<Branch>, Vec<FieldError>> {
    let mut reader = Reader { wrong: Vec::new() };
    let branches = match list {
        Value::Array(list) if (1..=BRANCHES_LIMIT).contains(&list.len()) => list,
        _ => {
            reader.refuse(pointer, "invalid_value", &format!("branches is a list of 1 to {BRANCHES_LIMIT}."));
            return Err(reader.wrong);
        }
    };
    let branches = branches.iter().enumerate();
    let branches: Vec<Branch> = branches.map(|(at, item)| reader.branch(item, &format!("{pointer}/{at}"))).collect();
    if reader.wrong.is_empty() { Ok(branches) } else { Err(reader.wrong) }
}

/// The JSON shape of branches.
pub fn write(branches: &[Branch]) -> Value {
    let condition = |condition: &Condition| {
        let value = match condition.operator {
            Operator::IsEmpty | Operator::IsNotEmpty => Value::Null,
            Operator::Changed => json!({"from": condition.from, "to": condition.values}),
            _ => json!(condition.values),
        };
        json!({"field": condition.field, "operator": condition.operator.as_str(), "value": value})
    };
    let all = |group: &[Condition]| group.iter().map(condition).collect::<Vec<Value>>();
    let branch = |branch: &Branch| {
        let conditions = match branch.conditions.as_slice() {
            [] => json!({"all": []}),
            [one] => json!({"all": all(one)}),
            many => {
                let groups = many.iter().map(|group| match group.as_slice() {
                    [one] => condition(one),
                    group => json!({"all": all(group)}),
                });
                json!({"any": groups.collect::<Vec<Value>>()})
            }
        };
        json!({"conditions": conditions, "actions": branch.actions.iter().map(action).collect::<Vec<Value>>()})
    };
    Value::Array(branches.iter().map(branch).collect())
}

fn action(action: &Action) -> Value {
    match action {
        Action::SendMessage(text) => json!({"type": "send_message", "text": text}),
        Action::SendAttachment(url) => json!({"type": "send_attachment", "url": url}),
        Action::AddNote(text) => json!({"type": "add_note", "text": text}),
        Action::AddTag(tag) => json!({"type": "add_tag", "tag": tag}),
        Action::RemoveTag(tag) => json!({"type": "remove_tag", "tag": tag}),
        Action::AssignTeam(id) => json!({"type": "assign_team", "teamId": id.map(|id| id.to_string())}),
        Action::AssignAgent(id) => json!({"type": "assign_agent", "agentId": id.map(|id| id.to_string())}),
        Action::SetPriority(priority) => {
            json!({"type": "set_priority", "priority": priority.map(Priority::as_str)})
        }
        Action::Mute => json!({"type": "mute"}),
        Action::SetStatus(standing) => match standing {
            Standing::Open => json!({"type": "set_status", "status": "open"}),
            Standing::Pending => json!({"type": "set_status", "status": "pending"}),
            Standing::Snoozed(minutes) => json!({"type": "set_status", "status": "snoozed", "minutes": minutes}),
            Standing::Done => json!({"type": "set_status", "status": "done"}),
            Standing::Archived => json!({"type": "set_status", "status": "archived"}),
        },
    }
}

/// Whether a condition may ask for this field.
pub fn is_field(word: &str) -> bool {
    let key = |begin: &&str| word.strip_prefix(begin).is_some_and(|key| (1..=255).contains(&key.len()));
    FIELDS.contains(&word) || OPEN_FIELDS.iter().any(key)
}

struct Reader {
    wrong: Vec<FieldError>,
}

impl Reader {
    fn refuse(&mut self, pointer: &str, code: &'static str, message: &str) {
        if self.wrong.len() < CONDITIONS_LIMIT {
            self.wrong.push(FieldError { pointer: pointer.to_owned(), code, message: message.to_owned() });
        }
    }

    fn object<'v>(&mut self, item: &'v Value, pointer: &str) -> Option<&'v Map<String, Value>> {
        if item.as_object().is_none() {
            self.refuse(pointer, "invalid_type", "This is an object.");
        }
        item.as_object()
    }

    fn branch(&mut self, item: &Value, pointer: &str) -> Branch {
        let Some(members) = self.object(item, pointer) else { return Branch::default() };
        let conditions = match members.get("conditions") {
            None | Some(Value::Null) => Vec::new(),
            Some(conditions) => self.conditions(conditions, &format!("{pointer}/conditions")),
        };
        if conditions.iter().map(Vec::len).sum::<usize>() > CONDITIONS_LIMIT {
            let message = format!("A branch has at most {CONDITIONS_LIMIT} conditions.");
            self.refuse(&format!("{pointer}/conditions"), "too_many", &message);
        }
        let pointer = format!("{pointer}/actions");
        let actions = match members.get("actions") {
            Some(Value::Array(list)) if (1..=ACTIONS_LIMIT).contains(&list.len()) => {
                let actions = list.iter().enumerate();
                actions.filter_map(|(at, item)| self.action(item, &format!("{pointer}/{at}"))).collect()
            }
            _ => {
                self.refuse(&pointer, "invalid_value", &format!("actions is a list of 1 to {ACTIONS_LIMIT}."));
                Vec::new()
            }
        };
        Branch { conditions, actions }
    }

    fn conditions(&mut self, item: &Value, pointer: &str) -> Vec<Vec<Condition>> {
        let Some(members) = self.object(item, pointer) else { return Vec::new() };
        match (members.get("all").and_then(Value::as_array), members.get("any").and_then(Value::as_array)) {
            (Some(all), None) => match self.group(all, &format!("{pointer}/all")) {
                group if group.is_empty() => Vec::new(),
                group => vec![group],
            },
            (None, Some(any)) => {
                let groups = any.iter().take(CONDITIONS_LIMIT + 1).enumerate().map(|(at, item)| {
                    let pointer = format!("{pointer}/any/{at}");
                    match item.get("all").and_then(Value::as_array) {
                        Some(all) => self.group(all, &format!("{pointer}/all")),
                        None => self.condition(item, &pointer).into_iter().collect(),
                    }
                });
                groups.filter(|group| !group.is_empty()).collect()
            }
            _ => {
                self.refuse(pointer, "invalid_value", "conditions has one list, all or any.");
                Vec::new()
            }
        }
    }

    fn group(&mut self, list: &[Value], pointer: &str) -> Vec<Condition> {
        let items = list.iter().take(CONDITIONS_LIMIT + 1).enumerate();
        items.filter_map(|(at, item)| self.condition(item, &format!("{pointer}/{at}"))).collect()
    }

    fn condition(&mut self, item: &Value, pointer: &str) -> Option<Condition> {
        let members = self.object(item, pointer)?;
        let word = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or("");
        let field = word("field").to_owned();
        if !is_field(&field) {
            let message = format!(
                "A condition's field is one of {}, or begins with {}.",
                FIELDS.join(", "),
                OPEN_FIELDS.join(", ")
            );
            self.refuse(&format!("{pointer}/field"), "invalid_value", &message);
            return None;
        }
        let known = OPERATORS.iter().find(|(name, _)| *name == word("operator"));
        let Some((_, operator)) = known else {
            let names: Vec<&str> = OPERATORS.iter().map(|(name, _)| *name).collect();
            let message = format!("A condition's operator is one of {}.", names.join(", "));
            self.refuse(&format!("{pointer}/operator"), "invalid_value", &message);
            return None;
        };
        let pointer = format!("{pointer}/value");
        let value = members.get("value").unwrap_or(&Value::Null);
        let (values, from) = match operator {
            Operator::IsEmpty | Operator::IsNotEmpty => (Vec::new(), Vec::new()),
            Operator::Changed => (texts(&value["to"]), texts(&value["from"])),
            _ => (texts(value), Vec::new()),
        };
        let needs = !matches!(operator, Operator::IsEmpty | Operator::IsNotEmpty | Operator::Changed);
        if values.len() > VALUES_LIMIT || from.len() > VALUES_LIMIT || (needs && values.is_empty()) {
            let message = format!("A condition's value is a text or number, or a list of 1 to {VALUES_LIMIT} of them.");
            self.refuse(&pointer, "invalid_value", &message);
            return None;
        }
        for value in values.iter().chain(&from) {
            if let Some(message) = misfit(&field, *operator, value) {
                self.refuse(&pointer, "invalid_value", &message);
            }
        }
        Some(Condition { field, operator: *operator, values, from })
    }

    fn text(&mut self, members: &Map<String, Value>, name: &str, limit: usize, pointer: &str) -> Option<String> {
        let text = members.get(name).and_then(Value::as_str).unwrap_or("");
        if text.trim().is_empty() || text.chars().count() > limit || text.contains('\0') {
            self.refuse(&format!("{pointer}/{name}"), "invalid_value", &format!("{name} has 1 to {limit} characters."));
            return None;
        }
        Some(text.to_owned())
    }

    /// An id, or null for none. The outer option is none when it is neither.
    fn id<T: std::str::FromStr>(
        &mut self,
        members: &Map<String, Value>,
        name: &str,
        pointer: &str,
    ) -> Option<Option<T>> {
        let id = match members.get(name) {
            Some(Value::Null) => return Some(None),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        if id.is_none() {
            self.refuse(&format!("{pointer}/{name}"), "invalid_value", &format!("{name} is an id, or null for none."));
        }
        id.map(Some)
    }

    fn action(&mut self, item: &Value, pointer: &str) -> Option<Action> {
        let members = self.object(item, pointer)?;
        Some(match members.get("type").and_then(Value::as_str).unwrap_or("") {
            "send_message" => Action::SendMessage(self.text(members, "text", TEXT_LIMIT, pointer)?),
            "send_attachment" => Action::SendAttachment(self.text(members, "url", WORD_LIMIT, pointer)?),
            "add_note" => Action::AddNote(self.text(members, "text", TEXT_LIMIT, pointer)?),
            "add_tag" => Action::AddTag(self.text(members, "tag", WORD_LIMIT, pointer)?),
            "remove_tag" => Action::RemoveTag(self.text(members, "tag", WORD_LIMIT, pointer)?),
            "assign_team" => Action::AssignTeam(self.id(members, "teamId", pointer)?),
            "assign_agent" => Action::AssignAgent(self.id(members, "agentId", pointer)?),
            "mute" => Action::Mute,
            "set_priority" => match members.get("priority") {
                Some(Value::Null) => Action::SetPriority(None),
                other => match other.and_then(Value::as_str).and_then(Priority::from_text) {
                    Some(priority) => Action::SetPriority(Some(priority)),
                    None => {
                        let message = "priority is low, medium, high or urgent, or null for none.";
                        self.refuse(&format!("{pointer}/priority"), "invalid_value", message);
                        return None;
                    }
                },
            },
            "set_status" => Action::SetStatus(self.standing(members, pointer)?),
            _ => {
                let message = "type is send_message, send_attachment, add_note, add_tag, remove_tag, assign_team, assign_agent, \
                               set_status, set_priority or mute.";
                self.refuse(&format!("{pointer}/type"), "invalid_value", message);
                return None;
            }
        })
    }

    fn standing(&mut self, members: &Map<String, Value>, pointer: &str) -> Option<Standing> {
        let minutes = match members.get("minutes") {
            None | Some(Value::Null) => Some(None),
            Some(minutes) => minutes.as_i64().filter(|minutes| (1..=MINUTES_LIMIT).contains(minutes)).map(Some),
        };
        let Some(minutes) = minutes else {
            let message = format!("minutes is a whole number from 1 to {MINUTES_LIMIT}.");
            self.refuse(&format!("{pointer}/minutes"), "invalid_value", &message);
            return None;
        };
        match members.get("status").and_then(Value::as_str).unwrap_or("") {
            "open" | "active" => Some(Standing::Open),
            "pending" => Some(Standing::Pending),
            "snoozed" => Some(Standing::Snoozed(minutes)),
            "done" => Some(Standing::Done),
            "archived" => Some(Standing::Archived),
            _ => {
                let message = "status is open, pending, snoozed, done or archived.";
                self.refuse(&format!("{pointer}/status"), "invalid_value", message);
                None
            }
        }
    }
}

/// A value, or a list of them, as texts.
fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().take(VALUES_LIMIT + 1).filter_map(text).collect(),
        one => text(one).into_iter().collect(),
    }
}

/// Why a field never has this value: a rule that could never act is refused when it is written.
fn misfit(field: &str, operator: Operator, value: &str) -> Option<String> {
    let whole = matches!(operator, Operator::Equals | Operator::NotEquals | Operator::Changed);
    let fits = match field {
        _ if value.chars().count() > WORD_LIMIT || value.contains('\0') => false,
        _ if operator == Operator::DaysBefore => value.parse::<u32>().is_ok(),
        _ if !whole => true,
        "conversation.status" => STATUSES.contains(&value),
        "conversation.priority" => Priority::from_text(value).is_some(),
        "conversation.inboxId" => value.parse::<InboxId>().is_ok(),
        "conversation.assignedTeamId" => value.parse::<TeamId>().is_ok(),
        "conversation.assignedAgentId" => value.parse::<UserId>().is_ok(),
        "message.direction" => ["inbound", "outbound"].contains(&value),
        _ => true,
    };
    (!fits).then(|| match field {
        "conversation.status" => format!("A status is one of {}.", STATUSES.join(", ")),
        "conversation.priority" => "A priority is low, medium, high or urgent.".to_owned(),
        "message.direction" => "A direction is inbound or outbound.".to_owned(),
        field => format!("This is no value of {field}."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let team = format!("team_{:032x}", 5);
        let list = json!([
            {"conditions": {"all": [
                {"field": "message.body", "operator": "contains", "value": ["refund", "money back"]},
                {"field": "contact.customFields.tier", "operator": "is_not_empty", "value": null},
            ]}, "actions": [
                {"type": "add_tag", "tag": "refund"}, {"type": "add_note", "text": "Look"}, {"type": "send_message", "text": "Hi"},
                {"type": "assign_team", "teamId": team}, {"type": "assign_agent", "agentId": null}, {"type": "mute"},
                {"type": "set_status", "status": "snoozed", "minutes": 30}, {"type": "set_priority", "priority": "high"},
            ]},
            {"conditions": {"any": [
                {"field": "conversation.status", "operator": "changed", "value": {"from": ["open"], "to": ["done"]}},
                {"all": [
                    {"field": "conversation.tags", "operator": "equals", "value": ["vip"]},
                    {"field": "conversation.priority", "operator": "not_equals", "value": ["low"]},
                ]},
            ]}, "actions": [{"type": "set_status", "status": "done"}]},
            {"conditions": {"all": []}, "actions": [{"type": "remove_tag", "tag": "new"}]},
        ]);
        let branches = read(&list, "/branches").expect("right");
        assert_eq!(branches.iter().map(|branch| branch.conditions.len()).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(write(&branches), list);
        assert_eq!(read(&write(&branches), "").expect("right"), branches);
    }

    #[test]
    fn every_wrong_member_is_named() {
        let condition =
            |field: &str, operator: &str, value: Value| json!({"field": field, "operator": operator, "value": value});
        let list = json!([
            {"conditions": {"all": [
                condition("message.colour", "equals", json!("red")),
                condition("message.body", "like", json!("x")),
                condition("message.body", "contains", json!([])),
                condition("conversation.status", "equals", json!("resolved")),
                condition("conversation.assignedTeamId", "equals", json!(["5"])),
            ]}, "actions": [
                {"type": "fly"}, {"type": "add_tag"}, {"type": "assign_team", "teamId": "usr_1"}, {"type": "set_status", "status": "x"},
                {"type": "set_status", "status": "snoozed", "minutes": 0},
            ]},
            {"conditions": {"none": []}, "actions": []},
            7,
        ]);
        let wrong = read(&list, "/branches").expect_err("wrong");
        let pointers: Vec<&str> = wrong.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/branches/0/conditions/all/0/field",
                "/branches/0/conditions/all/1/operator",
                "/branches/0/conditions/all/2/value",
                "/branches/0/conditions/all/3/value",
                "/branches/0/conditions/all/4/value",
                "/branches/0/actions/0/type",
                "/branches/0/actions/1/tag",
                "/branches/0/actions/2/teamId",
                "/branches/0/actions/3/status",
                "/branches/0/actions/4/minutes",
                "/branches/1/conditions",
                "/branches/1/actions",
                "/branches/2",
            ]
        );
        for list in [json!(null), json!([]), json!({}), json!(vec![json!({}); 11])] {
            assert_eq!(read(&list, "/branches").expect_err("wrong")[0].pointer, "/branches");
        }
    }

    #[test]
    fn words_survive_storage() {
        for trigger in Trigger::ALL {
            assert_eq!(Trigger::from_text(trigger.as_str()), Some(trigger));
            let known = |name: &&str| crate::events::NAMES.contains(name);
            assert!(trigger.events().iter().all(known), "{trigger:?} waits for events that happen");
        }
        assert!(is_field("contact.metadata.city") && !is_field("contact.metadata.") && !is_field("contact"));
    }
}
