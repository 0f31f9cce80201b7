//! Attachments on `/v1`: uploads, what is known of a file, and how messages name theirs.

use super::{Result, created, replayed, respond};
use crate::addresses;
pub(crate) use crate::addresses::check_addresses;
use crate::caller::Caller;
use crate::http::error::unsupported_media_type;
use crate::http::fields::{Object, Refusal, Value};
use crate::http::query;
use crate::http::reply::Json;
use crate::http::request::{Path, declared_length, linger};
use crate::hub::Hub;
use axum::body::{Body, HttpBody};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use http_body_util::BodyExt;
use hyper::body::Frame;
use sha2::{Digest, Sha256};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tieline_core::attachments::{self, Attach, Attachment, CreateUpload, FILES_LIMIT, NewAttachment, Received, kind};
use tieline_core::error::{Error, Kind};
use tieline_core::idempotency::{self, Answer, Reply};
use tieline_core::ids::{AttachmentId, AttachmentNoun, TenantId};
use tieline_core::keys::scopes::Scope;
use tieline_delivery::files::Writing;
use tieline_wire::native::message::AttachmentView;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The route whose body may be as large as a file: for [`crate::http::layers::Edge::body_limit`].
pub const UPLOAD_ROUTE: &str = "/v1/attachments";
/// What a form may have around its file, bytes.
const FORM_BYTES: u64 = 64 * 1024;
/// Longest silence of a client in the middle of its file.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest time of a whole upload; well below the age at which its parts count as abandoned.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Parts of a form that are looked at.
const FORM_PARTS: usize = 10;

/// Routes of this file.
pub fn router() -> OpenApiRouter<Hub> {
    // The limit that counts is the store's: a file is never held in memory.
    OpenApiRouter::new().routes(routes!(upload)).layer(DefaultBodyLimit::disable()).routes(routes!(get))
}

/// Largest body of an upload, bytes.
pub fn upload_body_limit(hub: &Hub) -> usize {
    usize::try_from(hub.files.max_bytes().saturating_add(FORM_BYTES)).unwrap_or(usize::MAX)
}

/// A form with one file.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct UploadForm {
    #[schema(value_type = String, format = "binary")]
    file: Vec<u8>,
}

fn uploaded(done: &Attachment) -> Answer {
    created(format!("{UPLOAD_ROUTE}/{}", done.id), &AttachmentView::of(done))
}

/// Upload a file
///
/// The body is the file, or a form with one part `file`. Its type is found from its first bytes. Name the `id` in a message
/// within a day, else the file is removed. At most 25 MiB, if the operator says nothing else.
#[utoipa::path(post, path = "/v1/attachments", tag = "Attachments",
    operation_id = "upload_attachment",
    security(("key" = ["attachments:write"])),
    params(("name" = Option<String>, Query, description = "File name; of a form, the part's own counts")),
    request_body(content((String = "application/octet-stream"), (UploadForm = "multipart/form-data"))),
    responses((status = 201, description = "Stored", body = AttachmentView<'static>)))]
async fn upload(
    State(hub): State<Hub>,
    caller: Caller,
    RawQuery(text): RawQuery,
    request: Request,
) -> Result<Response> {
    let allowed = caller.needs(Scope::AttachmentsWrite);
    let name = query::read(text.as_deref(), |query| query.text("name").chars(1..).owned().optional());
    let length = declared_length(request.headers()).unwrap_or(0);
    let request = request.map(Incoming::new);
    let incoming = request.body().clone();
    let (name, sent) = match (allowed.and(name), sent(request).await) {
        (Ok(name), Ok(sent)) => (name, sent),
        (Err(error), _) | (_, Err(error)) => {
            linger(&Default::default(), length, incoming.rest());
            return Err(error.into());
        }
    };
    let tenant = caller.tenant();
    let reserve =
        CreateUpload { name: kind::file_name(name.as_deref().unwrap_or_default()), content_type: sent.declared() };
    let id = {
        let reserve = reserve.clone();
        hub.db.write(move |tx| attachments::reserve(tx, tenant, &reserve)).await?
    };
    let unfinished = Unfinished { hub: &hub, tenant, id, ended: false };
    let (received, digest) = match timeout(UPLOAD_TIMEOUT, receive(&hub, tenant, id, reserve, sent)).await {
        Ok(Ok(received)) => received,
        Ok(Err(error)) => {
            linger(&Default::default(), length, incoming.rest());
            return Err(error);
        }
        Err(_) => return Err(too_slow().into()),
    };
    let (once, links) = (caller.once(&digest, uploaded), hub.files.links().clone());
    let reply = hub.db.write(move |tx| {
        idempotency::once(tx, tenant, once.as_ref(), |tx| {
            let mut stored = attachments::receive(tx, tenant, &received)?;
            links.fill(tenant, [&mut stored], tx.now());
            Ok(stored)
        })
    });
    Ok(match reply.await? {
        Reply::Done(stored) => {
            unfinished.end();
            respond(uploaded(&stored))
        }
        // The file of the first request stays; this one goes.
        Reply::Replayed(answer) => replayed(answer),
    })
}

/// The row of an upload until it has ended well: without that the row and the bytes go, also when the client went away and
/// this request is no more. What a crash leaves is housekeeping's.
struct Unfinished<'h> {
    hub: &'h Hub,
    tenant: TenantId,
    id: AttachmentId,
    ended: bool,
}

impl Unfinished<'_> {
    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (hub, tenant, id) = (self.hub.clone(), self.tenant, self.id);
        tokio::spawn(async move {
            let removed = hub.files.remove(tenant, id).await;
            let discarded = match removed {
                Ok(()) => hub.db.write(move |tx| attachments::discard(tx, tenant, id)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = discarded {
                tracing::warn!(attachment = %id, error = %error, "the unfinished upload {id} stays until it is a day old");
            }
        });
    }
}

/// What the client sends.
enum Sent {
    Raw { declared: String, body: Incoming },
    Form(Multipart),
}

impl Sent {
    fn declared(&self) -> String {
        match self {
            Sent::Raw { declared, .. } => declared.clone(),
            Sent::Form(_) => kind::UNKNOWN.to_owned(),
        }
    }
}

type PolledFrame = std::result::Result<Frame<Bytes>, axum::Error>;

/// The body of a request, whose rest can still be read when its reader has given up.
#[derive(Clone)]
struct Incoming(Arc<Mutex<Body>>);

impl Incoming {
    fn new(body: Body) -> Incoming {
        Incoming(Arc::new(Mutex::new(body)))
    }
    fn rest(&self) -> Body {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = axum::Error;
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PolledFrame>> {
        Pin::new(&mut *self.0.lock().expect("not poisoned")).poll_frame(cx)
    }
}

/// A body that has nothing ready after each frame: the reader of forms takes all that is ready into memory before it gives
/// any of it on.
struct Breathing {
    body: Incoming,
    gave: bool,
}

impl HttpBody for Breathing {
    type Data = Bytes;
    type Error = axum::Error;
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PolledFrame>> {
        if std::mem::take(&mut self.gave) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.gave = polled.is_ready();
        polled
    }
}

async fn sent(request: Request<Incoming>) -> std::result::Result<Sent, Error> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let declared = kind::declared_type(given);
    if declared == "multipart/form-data" {
        let request = request.map(|body| Body::new(Breathing { body, gave: false }));
        let form = Multipart::from_request(request, &()).await;
        return form.map(Sent::Form).map_err(|_| unsupported_media_type("the file itself, or a form with a boundary"));
    }
    Ok(Sent::Raw { declared, body: request.into_body() })
}

/// Streams the file into the store; what it is, and what tells it from another for an `Idempotency-Key`.
async fn receive(
    hub: &Hub,
    tenant: TenantId,
    id: AttachmentId,
    given: CreateUpload,
    sent: Sent,
) -> Result<(Received, [u8; 32])> {
    let mut file = Receiving { writing: hub.files.create(tenant, id).await?, digest: Sha256::new() };
    let CreateUpload { mut name, mut content_type } = given;
    match sent {
        Sent::Raw { body, .. } => file.raw(body).await?,
        Sent::Form(mut form) => {
            let mut found = false;
            for _ in 0..FORM_PARTS {
                let Some(mut part) = within(form.next_field()).await? else { break };
                if part.name() != Some("file") {
                    continue;
                }
                if found {
                    return Err(Error::field("file", "too_many", "Send one file at a time.").into());
                }
                found = true;
                name = part.file_name().map_or(name, kind::file_name);
                content_type = kind::declared_type(part.content_type());
                file.form(&mut part).await?;
            }
            if !found {
                return Err(Error::field("file", "required", "The form has no part named file.").into());
            }
        }
    }
    let Receiving { writing, mut digest } = file;
    let written = writing.finish().await?;
    digest.update(format!("\n{name}\n{content_type}"));
    let content_type = kind::content_type(&written.head, &content_type);
    Ok((Received { id, name, size: written.size as i64, content_type }, digest.finalize().into()))
}

struct Receiving {
    writing: Writing,
    digest: Sha256,
}

impl Receiving {
    async fn write(&mut self, bytes: Bytes) -> std::result::Result<(), Error> {
        self.digest.update(&bytes);
        self.writing.write(bytes).await
    }
    async fn raw(&mut self, mut body: Incoming) -> std::result::Result<(), Error> {
        loop {
            let Some(frame) = timeout(SILENCE, body.frame()).await.map_err(|_| too_slow())? else { return Ok(()) };
            let frame = frame.map_err(|_| incomplete())?;
            if let Ok(bytes) = frame.into_data() {
                self.write(bytes).await?;
            }
        }
    }
    async fn form(&mut self, part: &mut Field<'_>) -> std::result::Result<(), Error> {
        while let Some(bytes) = within(part.chunk()).await? {
            self.write(bytes).await?;
        }
        Ok(())
    }
}

/// The next of a form, if the client is not silent for too long.
async fn within<T>(
    next: impl Future<Output = std::result::Result<T, MultipartError>>,
) -> std::result::Result<T, Error> {
    let next = timeout(SILENCE, next).await.map_err(|_| too_slow())?;
    next.map_err(|_| Error::new(Kind::Invalid, "incomplete_body", "The form is broken, or ended before its last part."))
}

fn too_slow() -> Error {
    Error::new(Kind::Invalid, "request_timeout", "The file took too long to arrive.")
}
fn incomplete() -> Error {
    Error::new(Kind::Invalid, "incomplete_body", "The request body ended before its declared end.")
}

/// Show an attachment
///
/// With a fresh link to its bytes.
#[utoipa::path(get, path = "/v1/attachments/{id}", tag = "Attachments",
    operation_id = "get_attachment",
    security(("key" = ["attachments:read"]), ("key" = ["messages:read"])),
    params(("id" = String, Path, description = "Its id, `att_…`")),
    responses((status = 200, description = "The attachment", body = AttachmentView<'static>)))]
async fn get(State(hub): State<Hub>, caller: Caller, Path((id,)): Path<(AttachmentId,)>) -> Result<Response> {
    caller.needs_any(&[Scope::AttachmentsRead, Scope::MessagesRead])?;
    let tenant = caller.tenant();
    let mut found = hub.db.read(move |read| attachments::get(read, tenant, id)).await?;
    hub.files.links().fill(tenant, [&mut found], hub.db.now());
    Ok(Json(AttachmentView::of(&found)).into_response())
}

/// A file for a message: an upload by its `id`, or a `url` to fetch it from later.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code)] // the document's side of what `files` reads
pub struct AttachmentRequest {
    /// Of an upload that no message has yet.
    id: Option<String>,
    /// A public https address. The message does not wait: the file is fetched later, and `message.updated` tells when.
    #[schema(max_length = 2048)]
    url: Option<String>,
    /// Default: the last part of the address.
    #[schema(min_length = 1, max_length = 255)]
    name: Option<String>,
    /// What it is, where its bytes and the answer of the address do not say.
    #[schema(max_length = 255)]
    content_type: Option<String>,
}

/// Reads `attachments` of an object; `pointer` is that list's place in the body.
pub(crate) fn files(hub: &Hub, object: &Object<'_, '_>, pointer: &'static str) -> Attach {
    let read = object.list("attachments", FILES_LIMIT, |item| file(hub, item)).or_default();
    Attach { files: read.into_iter().flatten().collect(), links: Some(hub.files.links().clone()), pointer }
}

fn file(hub: &Hub, item: Value<'_, '_>) -> Option<NewAttachment> {
    let item = item.object().required();
    let policy = hub.guard.policy();
    let id = item.id::<AttachmentNoun>("id").optional();
    let url = addresses::url(item.string("url"), policy).optional();
    let name = item.string("name").chars(1..=kind::NAME_LIMIT).owned().optional();
    let content_type = item.string("contentType").chars(1..=kind::NAME_LIMIT).owned().optional();
    let given = |name| item.raw(name).optional().is_some();
    match (given("id"), given("url")) {
        (false, false) => item.refuse_all(Refusal::new("required", "needs an id or a url")),
        (true, true) => item.refuse("url", Refusal::new("not_allowed", "does not go with an id")),
        _ => {}
    }
    if let Some(id) = id {
        return Some(NewAttachment::Uploaded(id));
    }
    let url = url?;
    let name = kind::file_name(&name.unwrap_or_else(|| addresses::last_part(&url)));
    Some(NewAttachment::At { url, name, content_type: kind::declared_type(content_type.as_deref()) })
}
