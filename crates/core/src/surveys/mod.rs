//! Surveys of satisfaction: a message asks the customer, who answers with a rating and some words. A conversation has one, the
//! last that was asked; who knows the conversation's id may answer it.

pub(crate) mod sql;

use crate::ctx::Ctx;
use crate::ids::{ConversationId, MessageId, TenantId};
use crate::messages::{self, Edit, Message};
use crate::{Error, Kind, Result};
use serde_json::{Map, Value, json};
use tieline_db::{Read, Row, Tx, params};

/// The kind of content of a message that asks.
pub const SURVEY: &str = "input_csat";
/// How long an answer may be changed, microseconds: 14 days.
pub const OPEN_FOR_US: i64 = 14 * 24 * 3600 * 1_000_000;
/// Longest words, characters.
pub const FEEDBACK_LIMIT: usize = 20_000;

/// The survey of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    /// Whose.
    pub tenant: TenantId,
    /// About which conversation.
    pub conversation: ConversationId,
    /// The message that asks.
    pub message: MessageId,
    /// 1 to 5, once answered.
    pub rating: Option<i64>,
    /// The customer's words.
    pub feedback: Option<String>,
    /// When it was asked. Microseconds UTC.
    pub asked_at: i64,
    /// When it was answered.
    pub answered_at: Option<i64>,
}

fn survey(row: &Row) -> tieline_db::Result<Survey> {
    Ok(Survey {
        tenant: TenantId(row.get(0)?),
        conversation: ConversationId::from_uuid(row.get(1)?),
        message: MessageId::from_uuid(row.get(2)?),
        rating: row.get(3)?,
        feedback: row.get(4)?,
        asked_at: row.get(5)?,
        answered_at: row.get(6)?,
    })
}

/// The survey of the conversation with this id, whosever it is: the id is the capability.
///
/// Errors: `not_found`.
pub fn of_conversation(read: &mut Read, id: ConversationId) -> Result<Survey> {
    read.opt(sql::BY_CONVERSATION, &params![id.0], survey)?.ok_or_else(|| Error::not_found("survey"))
}

/// Notes that a message asks; what was answered before stays until it is answered again.
pub(crate) fn open(tx: &mut Tx, tenant: TenantId, message: &Message) -> Result<()> {
    let row = params![message.conversation.0, tenant.0, message.id.0, message.created_at];
    tx.execute(sql::OPEN, &row)?;
    Ok(())
}

/// The survey of a message that was taken over, with the answer that stands in its attributes.
pub(crate) fn import(tx: &mut Tx, tenant: TenantId, message: &Message, attributes: &Map<String, Value>) -> Result<()> {
    open(tx, tenant, message)?;
    let said = attributes.get("submitted_values").map_or(&Value::Null, |values| &values["csat_survey_response"]);
    let feedback = said["feedback_message"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let Some(rating) = said["rating"].as_i64() else { return Ok(()) };
    let answer = Answer { rating, feedback };
    if answer.check().is_ok() {
        let row = params![tenant.0, message.conversation.0, answer.rating, &answer.feedback, message.created_at];
        tx.execute(sql::ANSWER, &row)?;
    }
    Ok(())
}

/// What the customer says.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// 1 to 5.
    pub rating: i64,
    /// Some words.
    pub feedback: Option<String>,
}

impl Answer {
    fn check(&self) -> Result<()> {
        if !(1..=5).contains(&self.rating) {
            return Err(Error::field("/rating", "invalid_value", "Rating is not included in the list"));
        }
        let length = self.feedback.as_ref().map_or(0, |text| text.chars().count());
        if length > FEEDBACK_LIMIT {
            let message = format!("Feedback message is too long (maximum is {FEEDBACK_LIMIT} characters)");
            return Err(Error::field("/feedback_message", "too_long", message));
        }
        Ok(())
    }
}

/// Takes an answer, into the survey and into the message that asks; the message after it.
///
/// Errors: `not_found`; `invalid_value` at `/rating`, `too_long` at `/feedback_message`; `survey_closed` after 14 days.
pub fn answer(tx: &mut Tx, ctx: &Ctx, id: ConversationId, cmd: &Answer) -> Result<Message> {
    cmd.check()?;
    crate::conversations::hold(tx, ctx.tenant, id)?;
    let found = of_conversation(tx, id)?;
    if found.tenant != ctx.tenant {
        return Err(Error::not_found("survey"));
    }
    let now = tx.now();
    if now - found.asked_at > OPEN_FOR_US {
        let detail = "You cannot update the CSAT survey after 14 days";
        return Err(Error::new(Kind::Unprocessable, "survey_closed", detail));
    }
    tx.execute(sql::ANSWER, &params![ctx.tenant.0, id.0, cmd.rating, &cmd.feedback, now])?;
    let answer = json!({"csat_survey_response": {"rating": cmd.rating, "feedback_message": cmd.feedback}});
    let set: Map<String, Value> = Map::from_iter([("submitted_values".to_owned(), answer)]);
    messages::edit(tx, ctx, found.message, &Edit::Attributes(set))
}
