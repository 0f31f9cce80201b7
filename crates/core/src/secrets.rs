//! Secrets at rest: sealed under the installation's key, bound to where they belong.
//!
//! Webhook secrets, access tokens and mail passwords must be used in the clear, so they are encrypted, not hashed:
//! AES-256-GCM, with the caller's label as associated data. A sealed value that is copied to another row does not open,
//! because its label differs. The first byte is the version of this format. The key never leaves the process: a backup of
//! the database without it opens nothing.

use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{Error, Result};

/// Length of the installation's key, in bytes.
pub const KEY_BYTES: usize = 32;
/// Length of a nonce, in bytes. Fresh random ones are safe for 2^32 values under one key.
pub const NONCE_BYTES: usize = 12;

const VERSION: u8 = 1;
const HEADER: usize = 1 + NONCE_BYTES;
/// Longest text [`Keyring::from_text`] looks at, in bytes.
const KEY_TEXT_LIMIT: usize = 256;

/// The key of one installation.
pub struct Keyring {
    cipher: Aes256Gcm,
    check: [u8; 32],
    root: Hmac<Sha256>,
}

impl Keyring {
    /// From 32 random bytes.
    pub fn from_bytes(key: [u8; KEY_BYTES]) -> Keyring {
        // Of another function than the cipher, so that the value in the database says nothing about any sealed one.
        let root = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
        let mut mac = root.clone();
        mac.update(b"tieline check value 1");
        Keyring { cipher: Aes256Gcm::new(&key.into()), check: mac.finalize().into_bytes().into(), root }
    }

    /// A key for one purpose, always the same for the same purpose; it says nothing about any other.
    pub fn subkey(&self, purpose: &str) -> [u8; KEY_BYTES] {
        let mut mac = self.root.clone();
        mac.update(b"tieline subkey 1 ");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// From the text of a key file or of `TIELINE_SECRET_KEY`: base64 of 32 bytes, or 64 hexadecimal digits, with white
    /// space around it.
    ///
    /// Errors: [`NotAKey`], which does not repeat the text.
    pub fn from_text(text: &str) -> Result<Keyring, NotAKey> {
        let text = text.trim();
        if text.len() > KEY_TEXT_LIMIT {
            return Err(NotAKey);
        }
        let bytes = if text.len() == 2 * KEY_BYTES {
            from_hex(text).ok_or(NotAKey)?
        } else {
            STANDARD_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| NotAKey)?
        };
        Ok(Keyring::from_bytes(bytes.try_into().map_err(|_| NotAKey)?))
    }

    /// The text of a key for its file: base64, one line without its end.
    pub fn to_text(key: &[u8; KEY_BYTES]) -> String {
        STANDARD.encode(key)
    }

    /// Seals a secret for one place. `context` names that place, e.g. `webhook_endpoints.secret/<id>`; opening needs the
    /// same. `nonce` must be fresh random bytes, never used before under this key.
    pub fn seal(&self, plaintext: &[u8], context: &str, nonce: [u8; NONCE_BYTES]) -> Result<Vec<u8>> {
        let payload = Payload { msg: plaintext, aad: context.as_bytes() };
        let ciphertext =
            self.cipher.encrypt(&nonce.into(), payload).map_err(|_| Error::internal("a secret is too long to seal"))?;
        let mut sealed = Vec::with_capacity(HEADER + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Opens what [`Keyring::seal`] made for this place.
    ///
    /// Errors: internal for another key, another context, another version or changed bytes; it does not say which.
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Vec<u8>> {
        let unreadable = || Error::internal("a stored secret does not open with this installation's key");
        let (header, ciphertext) = sealed.split_at_checked(HEADER).ok_or_else(unreadable)?;
        if header[0] != VERSION {
            return Err(unreadable());
        }
        let nonce: [u8; NONCE_BYTES] = header[1..].try_into().map_err(|_| unreadable())?;
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        self.cipher.decrypt(&nonce.into(), payload).map_err(|_| unreadable())
    }

    /// What the database keeps to know its key again; says nothing about the key.
    pub fn check_value(&self) -> String {
        STANDARD.encode(self.check)
    }

    /// Whether a database with this check value was written under this key.
    pub fn matches(&self, check_value: &str) -> bool {
        self.check_value().as_bytes().ct_eq(check_value.as_bytes()).into()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(…)")
    }
}

/// The text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret key must be 32 bytes in base64, or 64 hexadecimal digits")]
pub struct NotAKey;

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes().chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use proptest::prelude::*;

    fn keyring() -> Keyring {
        Keyring::from_bytes([3; KEY_BYTES])
    }

    #[test]
    fn a_sealed_value_has_a_version_its_nonce_and_no_plaintext() {
        let sealed = keyring().seal(b"whsec_something", "a", [9; NONCE_BYTES]).unwrap();
        assert_eq!(sealed[0], 1);
        assert_eq!(sealed[1..13], [9; 12]);
        assert_eq!(sealed.len(), 13 + 15 + 16);
        assert!(!sealed.windows(5).any(|window| window == b"whsec"));
    }

    #[test]
    fn the_format_stays_readable() {
        // Made outside this crate. If this fails, stored secrets of existing installations no longer open.
        let stored = STANDARD.decode(VERSION_1_SAMPLE).unwrap();
        assert_eq!(keyring().open(&stored, "sample").unwrap(), b"hello");
        assert_eq!(keyring().check_value(), VERSION_1_CHECK);
    }
    const VERSION_1_SAMPLE: &str = "AQkJCQkJCQkJCQkJCWxtAbfhD9/tiJuBrlS6DVZ4WIP1uQ==";
    const VERSION_1_CHECK: &str = "oHrkVc/JvvwNopm3L/qGNptFciCS3LgOICdp2FFY4Ho=";

    #[test]
    fn another_key_context_version_or_byte_does_not_open() {
        let sealed = keyring().seal(b"secret", "endpoint/1", [9; NONCE_BYTES]).unwrap();
        let opened = |keyring: &Keyring, sealed: &[u8], context| keyring.open(sealed, context).map_err(|e| e.kind);
        assert_eq!(opened(&keyring(), &sealed, "endpoint/1"), Ok(b"secret".to_vec()));
        assert_eq!(opened(&keyring(), &sealed, "endpoint/2"), Err(Kind::Internal));
        assert_eq!(opened(&Keyring::from_bytes([4; KEY_BYTES]), &sealed, "endpoint/1"), Err(Kind::Internal));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(opened(&keyring(), &changed, "endpoint/1"), Err(Kind::Internal), "byte {at}");
            assert_eq!(opened(&keyring(), &sealed[..at], "endpoint/1"), Err(Kind::Internal), "first {at} bytes");
        }
    }

    #[test]
    fn a_wrong_key_is_noticed() {
        assert!(keyring().matches(&keyring().check_value()));
        assert!(!keyring().matches(&Keyring::from_bytes([4; KEY_BYTES]).check_value()));
        assert!(!keyring().matches(""));
    }

    #[test]
    fn keys_are_read_from_text() {
        let text = Keyring::to_text(&[3; KEY_BYTES]);
        for given in [text.clone(), format!("  {text}\n"), text.trim_end_matches('=').to_owned(), "03".repeat(32)] {
            let read = Keyring::from_text(&given).unwrap();
            assert!(read.matches(&keyring().check_value()), "{given}");
        }
        for bad in ["", "password", &"03".repeat(31), &"0g".repeat(32), &"A".repeat(1000)] {
            assert_eq!(Keyring::from_text(bad).err(), Some(NotAKey), "{bad}");
        }
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let keyring = keyring();
        assert_eq!(keyring.subkey("links"), keyring.subkey("links"));
        assert_ne!(keyring.subkey("links"), keyring.subkey("link"));
        assert_ne!(keyring.subkey("links"), Keyring::from_bytes([4; KEY_BYTES]).subkey("links"));
        assert_ne!(STANDARD.encode(keyring.subkey("")), keyring.check_value(), "the check value is no key");
    }

    #[test]
    fn debug_output_keeps_the_key() {
        assert_eq!(format!("{:?}", keyring()), "Keyring(…)");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(key: [u8; 32], nonce: [u8; 12], plaintext: Vec<u8>, context in ".{0,40}") {
            let keyring = Keyring::from_bytes(key);
            let sealed = keyring.seal(&plaintext, &context, nonce).unwrap();
            prop_assert_eq!(keyring.open(&sealed, &context).unwrap(), plaintext);
        }

        #[test]
        fn strangers_bytes_are_answered(bytes: Vec<u8>) {
            prop_assert!(keyring().open(&bytes, "").is_err());
        }
    }
}
