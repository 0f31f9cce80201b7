//! From an endpoint's settings and a delivery to a signed request.

use super::{Request, Settings};
use crate::SECRET_CONTEXT;
use crate::egress::CheckedUrl;
use crate::sign::{self, HeaderPrefix, HeaderStyle, PreparedSecret, Signer};
use bytes::Bytes;
use tieline_core::deliveries::Waiting;
use tieline_core::webhooks::{Endpoint, Format};

/// An endpoint's settings, prepared.
pub(super) struct Prepared {
    pub endpoint: Endpoint,
    target: Result<Target, String>,
}

/// Where to, the signer with the newest secret, and the one with both until the older one expires.
type Target = (CheckedUrl, Signer, Option<(Signer, i64)>);

impl Prepared {
    pub fn new(endpoint: Endpoint, settings: &Settings) -> Prepared {
        let target = (|| {
            let url = settings.policy.check_url(&endpoint.url).map_err(|refusal| refusal.to_string())?;
            let open = |sealed: &[u8]| {
                let text = settings.keyring.open(sealed, SECRET_CONTEXT).ok().and_then(|v| String::from_utf8(v).ok());
                text.map(|text| PreparedSecret::new(&text)).ok_or("The signing secret cannot be opened: rotate it.")
            };
            let prefix = HeaderPrefix::parse(&endpoint.header_prefix).map_err(str::to_owned)?;
            let style = match endpoint.format {
                Format::Native | Format::Atteny => HeaderStyle::Product(prefix),
                Format::Chatwoot => HeaderStyle::Chatwoot,
            };
            let newest = open(&endpoint.secret)?;
            let alone = Signer::new(newest.clone(), Vec::new(), style.clone());
            let both = match &endpoint.previous_secret {
                Some((sealed, until)) => Some((Signer::new(newest, vec![open(sealed)?], style), *until)),
                None => None,
            };
            Ok::<_, String>((url, alone, both))
        })();
        Prepared { endpoint, target }
    }

    /// The request of an attempt made now, or a sentence that says why there is none.
    pub fn request(&self, delivery: Waiting, now: i64) -> Result<Request, String> {
        let (url, alone, both) = self.target.as_ref().map_err(Clone::clone)?;
        let signer = match both {
            Some((signer, until)) if now < *until => signer,
            _ => alone,
        };
        let (webhook_id, delivery_id) = match self.endpoint.format {
            Format::Native | Format::Atteny => (delivery.event.to_string(), delivery.id.to_string()),
            // One event may be told in two words: whoever drops repeats by the id must not drop the second.
            Format::Chatwoot => (format!("{}_{}", delivery.event, delivery.event_type), delivery.id.0.to_string()),
        };
        let attempt = sign::Attempt {
            webhook_id: &webhook_id,
            event: &delivery.event_type,
            delivery_id: &delivery_id,
            at_seconds: now.div_euclid(1_000_000),
            body: delivery.body.as_bytes(),
        };
        let headers = signer.headers(&attempt).map_err(|error| error.to_string())?;
        Ok(Request {
            endpoint: self.endpoint.id,
            delivery: delivery.id,
            url: url.clone(),
            headers,
            body: Bytes::from(delivery.body),
        })
    }
}
