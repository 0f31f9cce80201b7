//! One call that lands contact, conversation and message, and can be sent again: Chatwoot needs three or four for it.

use super::Result;
use super::messages::{content, external_created_at};
use super::params::{self, with_files};
use super::public::{Door, sender};
use super::refused::Refused;
use crate::http::reply::Json;
use crate::http::request::RequestId;
use crate::hub::Hub;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use tieline_core::contact_inboxes::SOURCE_ID_LIMIT;
use tieline_core::conversations::{self, Land};
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::{Author, Content, NewMessage, TEXT};
use tieline_wire::chatwoot::conversation;

/// `{source_id, identifier_hash?, contact?, conversation?, message}`; each object has the members that it has elsewhere.
pub async fn land(State(hub): State<Hub>, door: Door, id: RequestId, request: Request) -> Result<Json<Value>> {
    let params = with_files(request, &hub, door.scene.tenant).await?;
    let source = params.word("source_id").ok_or_else(|| params::invalid("Source can't be blank", "source_id"))?;
    let said = params.inner("message");
    let files = params.attach(&hub);
    if !params.has("message") && files.files.is_empty() {
        return Err(Refused::unprocessable("param is missing or the value is empty: message"));
    }
    let external_id = said.word("source_id");
    if external_id.as_ref().is_some_and(|id| id.chars().count() > SOURCE_ID_LIMIT) {
        return Err(params::invalid("Source is too long (maximum is 255 characters)", "message.source_id"));
    }
    let mut contact = params.inner("contact");
    contact.take_from(&params, "identifier_hash");
    let (from, known) = sender(&hub, &door, &contact, Some(source)).await?;
    let sent_at = external_created_at(&said);
    let mut attributes = said.object("content_attributes").unwrap_or_default();
    if let Some(at) = said.raw("external_created_at").filter(|_| sent_at.is_some()) {
        attributes.insert("external_created_at".into(), at.clone());
    }
    let content_of = |attributes| Content { kind: TEXT.into(), attributes: Value::Object(attributes).to_string() };
    let message = NewMessage {
        direction: Direction::Inbound,
        author: Author { kind: Some(AuthorType::Contact), ..Author::default() },
        text: content(&said)?,
        html: None,
        content: (!attributes.is_empty()).then(|| content_of(attributes)),
        external_id,
        sent_at,
        attachments: files,
    };
    let about = params.inner("conversation");
    let object = |name| Value::Object(about.object(name).unwrap_or_default()).to_string();
    let command =
        Land { from, message, custom_fields: object("custom_attributes"), metadata: object("additional_attributes") };
    let ctx = door.ctx(&hub, &id, known.as_ref());
    let (by, inbox, sent) = (ctx.clone(), door.inbox.id, command.message.external_id.clone());
    let view = hub.db.write(move |tx| {
        let mut done = conversations::land(tx, &ctx, &command)?;
        if done.opened && done.met.contact.is_blocked {
            done.conversation = super::conversations::set_status(tx, &ctx, &done.conversation, "resolved", None)?;
        }
        let v = &done.conversation;
        let mut message = door.scene.view().public_message(tx, v, &done.message)?;
        message["source_id"] = done.message.external_id.as_deref().into();
        if let Some(echo_id) = said.raw("echo_id") {
            message["echo_id"] = echo_id.clone();
        }
        Ok::<_, tieline_core::Error>(json!({
            "contact": door.scene.public_contact(&done.met.contact, &done.met.at),
            "conversation": conversation::public(v, door.inbox.number, door.scene.tenant.0, vec![message.clone()]),
            "message": message,
            "created": {"contact": done.met.created, "conversation": done.opened, "message": !done.existing},
        }))
    });
    let view = view.await?;
    if view["created"]["message"] == false {
        hub.requests().repeated(&by, inbox, sent.as_ref());
    }
    Ok(Json(view))
}
