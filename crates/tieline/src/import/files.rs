//! Files of messages, brought into our store. The installation that was named may be asked for them wherever it is; every
//! other address passes the guard of outgoing calls, at each step of a redirect.

use super::client::Client;
use anyhow::Context;
use bytes::Bytes;
use reqwest::Url;
use serde_json::Value;
use std::time::Duration;
use tieline_api::Hub;
use tieline_core::attachments::{self, CreateUpload, NewAttachment, Received, kind};
use tieline_core::ids::TenantId;
use tieline_core::{Error, Kind};
use tieline_delivery::client::{self, Download};

/// Redirects that are followed.
const HOPS: usize = 5;
/// Whole time for a file of somewhere else.
const TIMEOUT: Duration = Duration::from_secs(300);
/// How often one is begun.
const TRIES: usize = 3;

/// Brings files.
pub struct Porter {
    hub: Hub,
    tenant: TenantId,
    elsewhere: client::Client,
}

enum Body {
    Theirs(reqwest::Response),
    Elsewhere(Download),
}

impl Body {
    async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        match self {
            Body::Theirs(response) => response.chunk().await.map_err(|error| error.without_url().to_string()),
            Body::Elsewhere(download) => download.chunk().await.map_err(|failure| failure.detail),
        }
    }
    fn header(&self, name: http::HeaderName) -> Option<String> {
        match self {
            Body::Theirs(response) => response.headers().get(name)?.to_str().ok().map(str::to_owned),
            Body::Elsewhere(download) => download.header(name).map(str::to_owned),
        }
    }
    fn status(&self) -> u16 {
        match self {
            Body::Theirs(response) => response.status().as_u16(),
            Body::Elsewhere(download) => download.status,
        }
    }
}

/// Why a file is not here: it cannot be had, it broke off, or nothing works any more.
enum End {
    Lost(String),
    Again(String),
    Broken(anyhow::Error),
}

impl From<Error> for End {
    fn from(error: Error) -> End {
        match error.kind {
            Kind::Invalid => End::Lost(crate::admin::line(&error)),
            _ => End::Broken(anyhow::anyhow!(crate::admin::line(&error))),
        }
    }
}

impl Porter {
    pub fn new(hub: &Hub, tenant: TenantId) -> anyhow::Result<Porter> {
        let elsewhere = client::Client::new(hub.guard.clone(), &[]).context("cannot set up TLS")?;
        Ok(Porter { hub: hub.clone(), tenant, elsewhere })
    }

    /// The file of an attachment, stored, or why it could not be had.
    ///
    /// Errors: one line, when the store or the database does not work.
    pub async fn bring(&self, from: &Client, attachment: &Value) -> anyhow::Result<NewAttachment> {
        let url = attachment["data_url"].as_str().unwrap_or_default();
        let parsed = Url::parse(url).ok();
        let name = kind::file_name(&parsed.as_ref().map(last_part).unwrap_or_default());
        let content_type = kind::declared_type(attachment["content_type"].as_str());
        let mut why = match attachment["file_type"].as_str() {
            Some(other) if parsed.is_none() => format!("There is no file of this {other}."),
            _ => "There is no address of it.".to_owned(),
        };
        for _ in 0..if parsed.is_some() { TRIES } else { 0 } {
            match self.fetch(from, parsed.clone(), &name, &content_type).await {
                Ok(id) => return Ok(NewAttachment::Uploaded(id)),
                Err(End::Again(reason)) => why = reason,
                Err(End::Lost(reason)) => {
                    why = reason;
                    break;
                }
                Err(End::Broken(error)) => return Err(error),
            }
        }
        Ok(NewAttachment::Lost { name, content_type, error: why })
    }

    async fn fetch(
        &self,
        from: &Client,
        url: Option<Url>,
        name: &str,
        content_type: &str,
    ) -> Result<tieline_core::ids::AttachmentId, End> {
        let mut url = url.ok_or_else(|| End::Lost("There is no address of it.".into()))?;
        for _ in 0..=HOPS {
            let mut body = self.open(from, &url).await?;
            match body.status() {
                200 => return self.store(&mut body, name, content_type).await,
                300..=399 => {
                    let to = body.header(http::header::LOCATION).and_then(|to| url.join(&to).ok());
                    url = to.ok_or_else(|| End::Lost("It was redirected to nowhere.".into()))?;
                }
                status => return Err(End::Lost(format!("Its address answered {status}."))),
            }
        }
        Err(End::Lost(format!("It was redirected more than {HOPS} times.")))
    }

    async fn open(&self, from: &Client, url: &Url) -> Result<Body, End> {
        if from.is_own(url) {
            let response = from.open(url).await.map_err(|error| End::Lost(error.to_string()))?;
            return Ok(Body::Theirs(response));
        }
        let checked = self.hub.guard.policy().check_url(url.as_str());
        let checked = checked.map_err(|refusal| End::Lost(refusal.detail))?;
        let reply = self.elsewhere.get(&checked, TIMEOUT).await;
        Ok(Body::Elsewhere(reply.map_err(|failure| End::Again(failure.detail))?))
    }

    async fn store(&self, body: &mut Body, name: &str, declared: &str) -> Result<tieline_core::ids::AttachmentId, End> {
        let declared = match declared {
            kind::UNKNOWN => kind::declared_type(body.header(http::header::CONTENT_TYPE).as_deref()),
            declared => declared.to_owned(),
        };
        let (tenant, upload) = (self.tenant, CreateUpload { name: name.to_owned(), content_type: declared.clone() });
        let id = self.hub.db.write(move |tx| attachments::reserve(tx, tenant, &upload)).await?;
        let received = async {
            let mut writing = self.hub.files.create(tenant, id).await?;
            while let Some(piece) = body.chunk().await.map_err(End::Again)? {
                writing.write(piece).await?;
            }
            let written = writing.finish().await?;
            let content_type = kind::content_type(&written.head, &declared);
            Ok(Received { id, name: name.to_owned(), size: written.size as i64, content_type })
        };
        let received: Result<Received, End> = received.await;
        match received {
            Ok(received) => {
                self.hub.db.write(move |tx| attachments::receive(tx, tenant, &received)).await?;
                Ok(id)
            }
            Err(end) => {
                self.hub.db.write(move |tx| attachments::discard(tx, tenant, id)).await?;
                Err(end)
            }
        }
    }
}

/// The last part of an address' path, decoded.
fn last_part(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    let pair = format!("x={}", last.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
