//! How a client without a key proves which of the integrator's customers it is: with a hash that only somebody who knows the
//! inbox's token can make.

use super::Inbox;
use crate::ids::TenantId;
use crate::keys::token;
use crate::secrets::Keyring;
use crate::{Error, Result};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Context under which a key that was taken over is sealed.
pub const IDENTITY_CONTEXT: &str = "identity key of an inbox";

/// The inbox's token, which makes its identity hashes: the one it came with, else one that follows from the installation's
/// key, so that no row holds it.
///
/// Errors: `internal` for one that another installation sealed.
pub fn identity_key(keyring: &Keyring, tenant: TenantId, inbox: &Inbox) -> Result<String> {
    match &inbox.identity_key {
        Some(sealed) => String::from_utf8(keyring.open(sealed, IDENTITY_CONTEXT)?).map_err(Error::internal),
        None => Ok(token::short(keyring.subkey(&format!("identity of inbox {}/{}", tenant.0, inbox.id.0)))),
    }
}

/// `identifier_hash`: HMAC-SHA256 of an identifier under the inbox's token, in lower-case hexadecimal digits.
pub fn hash(token: &str, identifier: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(identifier.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether this is the hash of `identifier`; compares in constant time.
pub fn proves(token: &str, identifier: &str, given: &str) -> bool {
    use subtle::ConstantTimeEq;
    hash(token, identifier).as_bytes().ct_eq(given.to_ascii_lowercase().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_belongs_to_one_identifier_and_one_token() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hash("Jefe", "what do ya want for nothing?"), expected);
        assert!(proves("Jefe", "what do ya want for nothing?", &expected.to_uppercase()));
        assert!(!proves("Jefe", "what do ya want for nothing", expected));
        assert!(!proves("jefe", "what do ya want for nothing?", expected));
        assert!(!proves("Jefe", "what do ya want for nothing?", ""));
    }
}
