//! Opening conversations: Atender's outbound call (contract A5), and our own with more ways to name the contact (D3).

use super::super::attachments::{AttachmentRequest, check_addresses, files};
use super::super::messages::{MessageRequest, message};
use super::super::shared::parse_channel;
use super::super::{Result, created, replayed, respond};
use crate::caller::Caller;
use crate::http::fields::{self, Object, Refusal};
use crate::http::request::JsonBody;
use crate::hub::Hub;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};
use tieline_core::contacts::{Upsert, email, phone};
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::{Customer, StartOutbound, StartOutboundVerb, Started};
use tieline_core::error::{Error, FieldError};
use tieline_core::idempotency::{Answer, Reply};
use tieline_core::keys::scopes::Scope;
use tieline_core::messages::direction::Direction;
use tieline_core::messages::{Author, NewMessage, html};
use tieline_core::metadata;
use tieline_core::time::Micros;
use tieline_wire::native::conversation::ConversationView;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Furthest that `sentAt` may lie ahead of our clock, microseconds.
const SENT_AHEAD_US: i64 = 5 * 60 * 1_000_000;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    OpenApiRouter::new().routes(routes!(create_outbound)).routes(routes!(create))
}

/// A conversation to open.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `outbound` reads
pub struct OutboundRequest {
    /// Your key for it, unique per tenant.
    #[schema(min_length = 1, max_length = 255, example = "order-4711")]
    external_reference: String,
    contact: OutboundContact,
    #[schema(min_length = 1, max_length = 998, example = "Where is my parcel?")]
    subject: String,
    /// Default `email`. Instagram traffic may also say `messenger`.
    #[schema(value_type = Option<String>, example = "email", pattern = "^(email|messenger|sms|phone|voice|whatsapp|webchat|amazon|api|instagram)$")]
    channel: Option<String>,
    outbound_context: Option<OutboundContext>,
    /// Slugs of tags; unknown ones come back as `ignoredTags`.
    #[schema(max_items = 50)]
    tags: Option<Vec<String>>,
    /// Values by key; unknown keys come back as `ignoredCustomFields`.
    #[schema(value_type = Option<Object>)]
    custom_fields: Option<Map<String, Value>>,
}

/// The customer.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct OutboundContact {
    /// The contact is found or made by it.
    #[schema(max_length = 254, format = "email", example = "ana@example.com")]
    email: String,
    /// Default: the part before the `@`.
    #[schema(max_length = 200)]
    name: Option<String>,
    #[schema(max_length = 64, example = "+5511987654321")]
    phone: Option<String>,
}

/// The first message and what came with it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct OutboundContext {
    /// Plain text, at most 64 KiB.
    original_message: Option<String>,
    /// HTML, at most 512 KiB; sanitised. The text is made from it when there is none.
    original_html: Option<String>,
    /// When it was sent, for display.
    #[schema(format = "date-time")]
    sent_at: Option<String>,
    /// `inbound` (the customer wrote it; the default) or `outbound` (you did).
    #[schema(pattern = "^(inbound|outbound)$")]
    direction: Option<String>,
    #[schema(max_items = 20)]
    attachments: Option<Vec<AttachmentRequest>>,
    /// Free-form, at most 16 KiB and 50 keys.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// A new conversation, and what of the request was passed over.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartedView<'a> {
    #[serde(flatten)]
    conversation: ConversationView<'a>,
    /// Slugs that name no tag of the tenant.
    ignored_tags: &'a [String],
    /// Keys that name no custom field of the tenant.
    ignored_custom_fields: &'a [String],
}

fn started(started: &Started) -> Answer {
    let view = StartedView {
        conversation: ConversationView::of(&started.conversation),
        ignored_tags: &started.ignored_tags,
        ignored_custom_fields: &started.ignored_fields,
    };
    created(format!("/v1/conversations/{}", started.conversation.id), &view)
}

/// Open a conversation for a contact
///
/// The contact is found by its email address or made. The message lands in the inbox as if the customer had just written;
/// an agent's answer comes back as a `message.sent` webhook. A repeated `externalReference` is 409 and names the
/// conversation; with an `Idempotency-Key` the first answer is given back instead.
#[utoipa::path(post, path = "/v1/conversations/outbound", tag = "Conversations",
    operation_id = "create_outbound",
    security(("key" = ["conversations:write"])), request_body = OutboundRequest,
    responses((status = 201, description = "Opened", body = StartedView<'static>)))]
async fn create_outbound(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::ConversationsWrite)?;
    let command = outbound(&hub, &caller, &body.0)?;
    start(&hub, &caller, &body.0, command).await
}

async fn start(hub: &Hub, caller: &Caller, body: &[u8], mut command: StartOutbound) -> Result<Response> {
    if let Some(message) = &command.message {
        check_addresses(hub, &message.attachments).await?;
    }
    command.once = caller.once(body, started);
    let ctx = command.ctx.clone();
    let reply = hub.db.submit::<StartOutboundVerb>(command).await;
    Ok(match reply.inspect_err(|error: &Error| hub.requests().reopened(&ctx, error))? {
        Reply::Done(done) => {
            caller.concerns(done.conversation.inbox);
            respond(started(&done))
        }
        Reply::Replayed(answer) => replayed(answer),
    })
}

/// A conversation to open, with or without a first message.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `opened` reads
pub struct OpenRequest {
    /// Your key for it, unique per tenant.
    #[schema(min_length = 1, max_length = 255)]
    external_reference: Option<String>,
    contact: OpenContact,
    #[schema(min_length = 1, max_length = 998)]
    subject: Option<String>,
    /// Default `email`.
    #[schema(pattern = "^(email|messenger|sms|phone|voice|whatsapp|webchat|amazon|api|instagram)$")]
    channel: Option<String>,
    /// `direction` is `inbound` if not given; the author has no `id` here.
    message: Option<MessageRequest>,
    /// Slugs of tags; unknown ones come back as `ignoredTags`.
    #[schema(max_items = 50)]
    tags: Option<Vec<String>>,
    /// Values by key; unknown keys come back as `ignoredCustomFields`.
    #[schema(value_type = Option<Object>)]
    custom_fields: Option<Map<String, Value>>,
    /// Free-form, at most 16 KiB and 50 keys.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// The customer, by `id` or by at least one of the other three; found by the first that somebody has, or made. A phone alone
/// does not decide against another `externalId` or `email`: people share phones.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)]
pub struct OpenContact {
    /// A contact that exists, `con_…`.
    id: Option<String>,
    /// Your own id of the contact.
    #[schema(min_length = 1, max_length = 255)]
    external_id: Option<String>,
    #[schema(max_length = 254, format = "email")]
    email: Option<String>,
    #[schema(max_length = 64)]
    phone: Option<String>,
    #[schema(max_length = 200)]
    name: Option<String>,
}

/// Open a conversation
///
/// As `/v1/conversations/outbound`, for contacts known by id, email, phone or your own id; everything else may be left out.
#[utoipa::path(post, path = "/v1/conversations", tag = "Conversations",
    operation_id = "create_conversation",
    security(("key" = ["conversations:write"])), request_body = OpenRequest,
    responses((status = 201, description = "Opened", body = StartedView<'static>)))]
async fn create(State(hub): State<Hub>, caller: Caller, body: JsonBody) -> Result<Response> {
    caller.needs(Scope::ConversationsWrite)?;
    let command = opened(&hub, &caller, &body.0)?;
    start(&hub, &caller, &body.0, command).await
}

/// A refusal of a core rule, in the words of the reader of fields.
pub(crate) fn refusal(error: FieldError) -> Refusal {
    let sentence = error.message.trim_end_matches('.').to_owned();
    Refusal::new(error.code, format!("is not accepted: {sentence}"))
}

/// The text and the HTML of a message, from the members of these names. The text is made from the HTML when there is none.
pub(crate) fn content(object: &Object<'_, '_>, text: &str, html: &str) -> (Option<String>, Option<String>) {
    let text = object.string(text).bytes(..=html::TEXT_LIMIT).owned().optional();
    let sanitise = |text: std::borrow::Cow<str>| html::sanitise(&text, "").map_err(refusal);
    let markup = object.string(html).bytes(..=html::HTML_LIMIT).parse(sanitise).optional();
    let text = text.or_else(|| markup.as_ref().map(|html| html.to_text()));
    let markup = markup.map(|html| html.into_string()).filter(|html| !html.trim().is_empty());
    // White space alone says nothing; a picture does, which has no text.
    (text.filter(|text| markup.is_some() || !text.trim().is_empty()), markup)
}

/// `sentAt`, microseconds UTC; at most [`SENT_AHEAD_US`] ahead of our clock.
pub(crate) fn sent_at(object: &Object<'_, '_>, now: i64) -> Option<i64> {
    let parse = |text: std::borrow::Cow<str>| {
        let at = Micros::parse(&text, "").map_err(refusal)?.0;
        if at > now + SENT_AHEAD_US {
            return Err(Refusal::new("out_of_range", "lies more than five minutes ahead"));
        }
        Ok(at)
    };
    object.string("sentAt").parse(parse).optional()
}

fn metadata_of(object: &Object<'_, '_>) -> Option<String> {
    let check = |raw: &serde_json::value::RawValue| {
        metadata::check(raw, "").map_err(refusal)?;
        Ok::<_, Refusal>(raw.get().to_owned())
    };
    object.raw("metadata").parse(check).optional()
}

/// Email, phone, own id and name of a contact, as far as given.
fn handles(contact: &Object<'_, '_>) -> Upsert {
    let email =
        |text: std::borrow::Cow<str>| email::normalise(&text, "").map(|text| text.into_owned()).map_err(refusal);
    let phone = |text: std::borrow::Cow<str>| {
        phone::normalise(&text, phone::Country::Unknown, "").map(|text| text.into_owned()).map_err(refusal)
    };
    Upsert {
        name: contact.string("name").chars(..=200).owned().optional(),
        email: contact.string("email").parse(email).optional(),
        phone: contact.string("phone").parse(phone).optional(),
        external_id: None,
    }
}

/// The members that both calls have, beside contact and message.
fn common(caller: &Caller, body: &Object<'_, '_>) -> StartOutbound {
    StartOutbound {
        ctx: caller.ctx(),
        once: None,
        external_reference: body.string("externalReference").chars(1..=255).owned().optional(),
        contact: Customer::Found(Upsert::default()),
        subject: body.string("subject").chars(1..=998).owned().optional(),
        channel: body.string("channel").parse(parse_channel).or(Channel::Email),
        message: None,
        tags: body.list("tags", 50, |tag| tag.string().chars(1..=64).owned().required()).or_default(),
        custom_fields: body
            .raw("customFields")
            .object(fields_limit())
            .tree()
            .optional()
            .map(object)
            .unwrap_or_default(),
        metadata: "{}".into(),
    }
}

/// Records that a member is missing; one that is there and wrong has been reported by its reader.
fn require(object: &Object<'_, '_>, name: &str) {
    if object.raw(name).optional().is_none() {
        object.refuse(name, Refusal::new("required", "is required"));
    }
}

fn outbound(hub: &Hub, caller: &Caller, bytes: &[u8]) -> std::result::Result<StartOutbound, Error> {
    let now = hub.db.now();
    fields::read(bytes, |body| {
        let mut command = common(caller, body);
        require(body, "externalReference");
        require(body, "subject");
        let contact = body.object("contact").required();
        require(&contact, "email");
        command.contact = Customer::Found(handles(&contact));
        let Some(context) = body.object("outboundContext").optional() else { return command };
        let (text, html) = content(&context, "originalMessage", "originalHtml");
        let sent_at = sent_at(&context, now);
        let words = [("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];
        let direction = context.one_of("direction", &words).or(Direction::Inbound);
        command.metadata = metadata_of(&context).unwrap_or_else(|| "{}".into());
        let author = Author::default();
        let attachments = files(hub, &context, "/outboundContext/attachments");
        let text = text.or_else(|| (!attachments.files.is_empty()).then(String::new));
        command.message = text.map(|text| NewMessage {
            direction,
            author,
            text,
            html,
            content: None,
            external_id: None,
            sent_at,
            attachments,
        });
        command
    })
}

fn opened(hub: &Hub, caller: &Caller, bytes: &[u8]) -> std::result::Result<StartOutbound, Error> {
    let now = hub.db.now();
    fields::read(bytes, |body| {
        let mut command = common(caller, body);
        command.metadata = metadata_of(body).unwrap_or_else(|| "{}".into());
        let contact = body.object("contact").required();
        let external_id = contact.string("externalId").chars(1..=255).owned().optional();
        let upsert = Upsert { external_id, ..handles(&contact) };
        let named = ["id", "externalId", "email", "phone"].iter().any(|name| contact.raw(name).optional().is_some());
        if !named {
            contact.refuse_all(Refusal::new("required", "needs an id, externalId, email or phone"));
        }
        command.contact = contact.id("id").optional().map_or(Customer::Found(upsert), Customer::Known);
        let first = body.object("message").optional();
        command.message =
            first.map(|first| message(hub, &first, Some(Direction::Inbound), now, "/message/attachments"));
        if command.message.as_ref().is_some_and(|message| message.author.user.is_some()) {
            body.refuse("message", Refusal::new("not_allowed", "takes no author with an id; add it as a message"));
        }
        command
    })
}

fn fields_limit() -> usize {
    tieline_core::fields::validate::FIELDS_LIMIT
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
