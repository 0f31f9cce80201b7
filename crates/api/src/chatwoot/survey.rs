//! The survey of satisfaction as the customer's page asks for it: whoever knows the conversation's uuid may read and answer it.

use super::Result;
use super::params::{Params, invalid};
use super::refused::Refused;
use crate::http::reply::Json;
use crate::http::request::RequestId;
use crate::hub::Hub;
use crate::limits::{admit, meter};
use axum::extract::{FromRequestParts, State};
use http::request::Parts;
use serde_json::Value;
use tieline_core::conversations::{self, Conversation};
use tieline_core::ctx::{Actor, ActorKind};
use tieline_core::error::Error;
use tieline_core::ids::ConversationId;
use tieline_core::inboxes::{self, Inbox};
use tieline_core::limits::{Limits, Who};
use tieline_core::messages::{self, Message};
use tieline_core::surveys::{self, Answer, Survey};
use tieline_core::tenants;
use tieline_wire::chatwoot::message as shapes;

/// A survey that was found by its conversation, with what it is shown with.
pub(super) struct Asked {
    survey: Survey,
    v: Conversation,
    inbox: Inbox,
    message: Message,
}

impl FromRequestParts<Hub> for Asked {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Asked> {
        let rest = parts.uri.path().strip_prefix("/public/api/v1/csat_survey/").unwrap_or("");
        let id = rest.trim_end_matches('/').trim_end_matches(".json").parse::<uuid::Uuid>();
        let missing = || Refused::from(Error::not_found("survey")).publicly();
        let id = ConversationId::from_uuid(id.map_err(|_| missing())?);
        let found = hub.db.read(move |read| {
            let survey = surveys::of_conversation(read, id)?;
            let v = conversations::get(read, survey.tenant, id)?;
            let inbox = inboxes::get(read, survey.tenant, v.inbox)?;
            let message = messages::get(read, survey.tenant, survey.message)?;
            Ok::<_, Error>((tenants::get(read, survey.tenant)?, Asked { survey, v, inbox, message }))
        });
        let (tenant, asked) = found.await.map_err(|error| Refused::from(error).publicly())?;
        let meter = meter(hub, Who { tenant: tenant.id, principal: asked.inbox.id.0 }).await?;
        let per_minute = tenant.limits().per_minute.saturating_mul(super::public::RATE);
        let limits = Limits { per_minute, burst: 0, per_day: None, per_month: None };
        admit(hub, parts, &tenant, &asked.inbox.id.to_string().into(), &meter, &limits)?;
        if !tenant.plan.has_api {
            return Err(Refused::unauthorized("Account is suspended"));
        }
        Ok(asked)
    }
}

pub async fn show(asked: Asked) -> Json<Value> {
    Json(shapes::survey(&asked.survey, &asked.message, &asked.v, &asked.inbox))
}

/// The answer that a request holds, as the widget and the page write it.
pub(super) fn answer(values: &Params) -> Option<Answer> {
    let response = values.inner("csat_survey_response");
    let rating = response.number("rating")?;
    Some(Answer { rating, feedback: response.text("feedback_message").filter(|text| !text.is_empty()) })
}

/// A refusal in Chatwoot's words.
pub(super) fn refused(error: Error) -> Refused {
    match (error.code, error.fields.first()) {
        ("survey_closed", _) => Refused::unprocessable(&error.detail),
        (_, Some(field)) => {
            let attribute = field.pointer.trim_start_matches('/').to_owned();
            invalid(&field.message, &attribute)
        }
        _ => Refused::from(error).publicly(),
    }
}

pub async fn update(State(hub): State<Hub>, asked: Asked, id: RequestId, params: Params) -> Result<Json<Value>> {
    let values = params.inner("message").inner("submitted_values");
    let given = answer(&values).ok_or_else(|| invalid("Rating can't be blank", "rating"))?;
    let contact = &asked.v.contact;
    let actor = Actor {
        kind: ActorKind::Contact,
        id: Some(contact.id.to_string().into()),
        name: Some(contact.name.as_str().into()),
    };
    let ctx = hub.ctx(asked.survey.tenant, actor, id.as_str());
    let done = hub.db.write(move |tx| {
        let message = surveys::answer(tx, &ctx, asked.v.id, &given)?;
        let survey = surveys::of_conversation(tx, asked.v.id)?;
        Ok::<_, Error>(shapes::survey(&survey, &message, &asked.v, &asked.inbox))
    });
    Ok(Json(done.await.map_err(refused)?))
}
