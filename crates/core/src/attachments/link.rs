//! Links to a file's bytes: signed, expiring, good for whoever holds them, and worth nothing when changed.
//!
//! `<public address>/files/<id>/<expires>/<tenant>.<signature>/<name>`. The signature covers tenant, id and expiry; the name
//! is for the eye only, what is served says its own. Links of one installation hold on each of its nodes and after a restart,
//! because the key is derived from the installation's.

use super::{Attachment, State};
use crate::ids::{AttachmentId, TenantId};
use crate::secrets::Keyring;
use crate::{Error, Kind, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::fmt::Write;

/// How long a link is good, microseconds, where the operator says nothing else.
pub const DEFAULT_TTL_US: i64 = 3600 * 1_000_000;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// Makes and checks links.
#[derive(Clone)]
pub struct Links {
    mac: Hmac<Sha256>,
    public_url: String,
    ttl_us: i64,
}

/// What a good link stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linked {
    /// Whose file.
    pub tenant: TenantId,
    /// Which.
    pub id: AttachmentId,
    /// How long the link is good yet, seconds.
    pub seconds_left: i64,
}

impl Links {
    /// Links under this installation's key, at its public address without a slash at the end, good for `ttl_us`.
    pub fn new(keyring: &Keyring, public_url: &str, ttl_us: i64) -> Links {
        let key = keyring.subkey("attachment links");
        let mac = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
        Links { mac, public_url: public_url.trim_end_matches('/').to_owned(), ttl_us }
    }

    /// The same, with links that are good for at least `ttl_us`.
    pub fn lasting(&self, ttl_us: i64) -> Links {
        Links { ttl_us: self.ttl_us.max(ttl_us), ..self.clone() }
    }

    fn signed(&self, tenant: TenantId, id: AttachmentId, expires: i64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(format!("{}/{id}/{expires}", tenant.0).as_bytes());
        mac
    }

    /// The link to a file, good from `now` (microseconds UTC) on.
    pub fn url(&self, tenant: TenantId, id: AttachmentId, name: &str, now: i64) -> String {
        let expires = now.saturating_add(self.ttl_us).div_euclid(MICROS_PER_SECOND);
        let signature = URL_SAFE_NO_PAD.encode(self.signed(tenant, id, expires).finalize().into_bytes());
        let mut url = format!("{}/files/{id}/{expires}/{}.{signature}/", self.public_url, tenant.0);
        percent_encode(name, &mut url);
        url
    }

    /// Gives each file that is stored its link.
    pub fn fill<'a>(&self, tenant: TenantId, files: impl IntoIterator<Item = &'a mut Attachment>, now: i64) {
        for file in files {
            file.url = (file.state == State::Stored).then(|| self.url(tenant, file.id, &file.name, now));
        }
    }

    /// What a link's parts stand for, if we made it and it is still good.
    ///
    /// Errors: `not_found` for anything that we did not sign; `link_expired`.
    pub fn check(&self, id: &str, expires: &str, signature: &str, now: i64) -> Result<Linked> {
        let parsed = || {
            let (tenant, signature) = signature.split_once('.')?;
            let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
            Some((number(tenant)?, id.parse().ok()?, number(expires)?, signature))
        };
        let unknown = || Error::not_found("file");
        let (tenant, id, expires, signature) = parsed().ok_or_else(unknown)?;
        let tenant = TenantId(tenant);
        // In constant time, and before the expiry is looked at: it says nothing about links that we did not make.
        self.signed(tenant, id, expires).verify_slice(&signature).map_err(|_| unknown())?;
        let seconds_left = expires - now.div_euclid(MICROS_PER_SECOND);
        if seconds_left <= 0 {
            let detail = "This link has expired; read the message or the attachment again for a new one.";
            return Err(Error::new(Kind::Forbidden, "link_expired", detail));
        }
        Ok(Linked { tenant, id, seconds_left })
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// Decimal digits as we write them, so that one link has one spelling.
fn number(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number >= 0 && number.to_string() == text).then_some(number)
}

/// Appends `text` with everything but RFC 3986's unreserved characters percent-encoded.
pub fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_778_578_200_123_456;

    fn links(key: u8) -> Links {
        Links::new(&Keyring::from_bytes([key; 32]), "https://hub.example/", DEFAULT_TTL_US)
    }
    fn id() -> AttachmentId {
        AttachmentId::from_uuid(uuid::Uuid::from_u128(7))
    }
    fn parts(url: &str) -> Vec<String> {
        url.strip_prefix("https://hub.example/files/").unwrap().split('/').map(str::to_owned).collect()
    }

    #[test]
    fn a_link_is_good_for_an_hour() {
        let links = links(1);
        let url = links.url(TenantId(3), id(), "a b/ü.pdf", NOW);
        let parts = parts(&url);
        assert_eq!(parts[3], "a%20b%2F%C3%BC.pdf");
        let check = |now| links.check(&parts[0], &parts[1], &parts[2], now);
        assert_eq!(check(NOW).unwrap(), Linked { tenant: TenantId(3), id: id(), seconds_left: 3600 });
        assert_eq!(check(NOW + DEFAULT_TTL_US - MICROS_PER_SECOND).unwrap().seconds_left, 1);
        assert_eq!(check(NOW + DEFAULT_TTL_US).unwrap_err().code, "link_expired");
    }

    #[test]
    fn whatever_is_changed_the_link_is_unknown() {
        let links = links(1);
        let parts = parts(&links.url(TenantId(3), id(), "x", NOW));
        let other = AttachmentId::from_uuid(uuid::Uuid::from_u128(8)).to_string();
        let later = (parts[1].parse::<i64>().unwrap() + 1).to_string();
        let (tenant, signature) = parts[2].split_once('.').unwrap();
        let expired = NOW + 2 * DEFAULT_TTL_US;
        for (id, expires, signature) in [
            (&other, &parts[1], parts[2].clone()),
            (&parts[0], &later, parts[2].clone()),
            (&parts[0], &format!("0{}", parts[1]), parts[2].clone()),
            (&parts[0], &parts[1], format!("4.{signature}")),
            (&parts[0], &parts[1], format!("{tenant}.{}", &signature[1..])),
            (&parts[0], &parts[1], format!("{tenant}.")),
            (&parts[0], &parts[1], signature.to_owned()),
            (&parts[0], &"x".to_owned(), parts[2].clone()),
        ] {
            assert_eq!(links.check(id, expires, &signature, NOW).unwrap_err().code, "not_found", "{id} {expires}");
            assert_eq!(links.check(id, expires, &signature, expired).unwrap_err().code, "not_found");
        }
        let foreign = self::links(2).check(&parts[0], &parts[1], &parts[2], NOW);
        assert_eq!(foreign.unwrap_err().code, "not_found", "another installation's");
    }

    proptest! {
        #[test]
        fn strangers_links_are_answered(id in ".{0,40}", expires in "[0-9-]{0,20}", signature in "[0-9]{0,3}\\.?.{0,44}") {
            prop_assert!(links(1).check(&id, &expires, &signature, NOW).is_err());
        }
    }
}
