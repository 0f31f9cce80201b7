//! Addresses that a request names, of webhooks and of files: none is stored that we would not call.

use crate::http::error::Failure;
use crate::http::fields::{Field, Refusal};
use crate::http::query;
use crate::hub::Hub;
use std::borrow::Cow;
use tieline_core::attachments::{Attach, NewAttachment};
use tieline_core::error::Error;
use tieline_delivery::egress::EgressPolicy;

/// An address that is allowed by its looks; names are resolved later, by [`check_addresses`] or the like.
pub(crate) fn url<'o>(field: Field<'o, Cow<'_, str>>, policy: &EgressPolicy) -> Field<'o, String> {
    field.parse(|url| match policy.check_url(&url) {
        Ok(_) => Ok(url.into_owned()),
        Err(refusal) => {
            Err(Refusal::new(refusal.code, format!("is refused: {}", refusal.detail.trim_end_matches('.'))))
        }
    })
}

/// The last part of an address' path.
pub(crate) fn last_part(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return String::new() };
    let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    query::decoded(last).unwrap_or_default().into_owned()
}

/// Refuses files at addresses whose names resolve to where we do not go; for a request that is right in itself.
pub(crate) async fn check_addresses(hub: &Hub, attach: &Attach) -> Result<(), Failure> {
    let checks = attach.files.iter().enumerate().filter_map(|(index, file)| match file {
        NewAttachment::At { url, .. } => Some(async move {
            hub.guard.check_at_save(url).await.err().map(|refusal| tieline_core::FieldError {
                pointer: format!("{}/{index}/url", attach.pointer),
                code: refusal.code,
                message: format!("url is refused: {}", refusal.detail),
            })
        }),
        NewAttachment::Uploaded(_) | NewAttachment::Lost { .. } => None,
    });
    let refused: Vec<_> = futures::future::join_all(checks).await.into_iter().flatten().collect();
    if refused.is_empty() { Ok(()) } else { Err(Error::invalid(refused).into()) }
}
