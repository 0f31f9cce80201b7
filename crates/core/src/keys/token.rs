//! The text of an API key: `sa_live_` + 32 random characters + 6 of checksum, 46 in all.
//!
//! The checksum tells a mistyped or invented key from a real one without a look into the database (contract D2.1); it is no
//! secret and proves nothing. The database holds the SHA-256 of the whole text, by which a key is found, and its first
//! twelve characters, by which people tell their keys apart. A fast hash is right here: the text has more than 190 random
//! bits, nobody guesses it.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Length of every key's text, in characters.
pub const KEY_LENGTH: usize = PREFIX_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH;
/// How much of a key is shown after its creation.
pub const DISPLAY_LENGTH: usize = 12;

const PREFIX_LENGTH: usize = "sa_live_".len();
const SECRET_LENGTH: usize = 32; // 62^32 is about 2^190
const CHECKSUM_LENGTH: usize = 6; // 62^6 holds 32 bits
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a key's text starts with. Both kinds work everywhere; clients of either contract check for their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefix {
    /// `sa`, Atender's.
    #[default]
    Sa,
    /// `sk`, Atteny's.
    Sk,
}

impl Prefix {
    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Prefix::Sa => "sa",
            Prefix::Sk => "sk",
        }
    }

    /// The prefix of a word; `None` for any other text.
    pub fn from_text(text: &str) -> Option<Prefix> {
        [Prefix::Sa, Prefix::Sk].into_iter().find(|prefix| prefix.as_str() == text)
    }
}

/// Which partition of a tenant a key opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The real one.
    #[default]
    Live,
    /// The sandbox, with data of its own.
    Test,
}

impl Mode {
    /// The stored and spoken word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Live => "live",
            Mode::Test => "test",
        }
    }

    /// The mode of a word; `None` for any other text.
    pub fn from_text(text: &str) -> Option<Mode> {
        [Mode::Live, Mode::Test].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// A whole key, shown once. It is not in `Debug` output and has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// The key itself, to show it this one time.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the database keeps to find the key by.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(&self.0)
    }

    /// The first [`DISPLAY_LENGTH`] characters, to show from now on.
    pub fn display_prefix(&self) -> &str {
        &self.0[..DISPLAY_LENGTH]
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({}…)", self.display_prefix())
    }
}

/// SHA-256 of a key's text; compares in constant time.
#[derive(Clone, Copy, Debug)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    fn of(text: &str) -> KeyDigest {
        KeyDigest(Sha256::digest(text.as_bytes()).into())
    }
}
impl PartialEq for KeyDigest {
    fn eq(&self, other: &KeyDigest) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}
impl Eq for KeyDigest {}
impl Hash for KeyDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Makes a key out of 256 random bits. Read as one number they are so many more than 62^32 that no character is likelier
/// than another by more than 2^-60.
pub fn mint(prefix: Prefix, mode: Mode, random: [u8; 32]) -> KeyText {
    let mut text = String::with_capacity(KEY_LENGTH);
    text.push_str(prefix.as_str());
    text.push('_');
    text.push_str(mode.as_str());
    text.push('_');
    let mut number = random;
    for _ in 0..SECRET_LENGTH {
        let mut remainder = 0u32;
        for byte in &mut number {
            let part = remainder * 256 + u32::from(*byte);
            *byte = (part / 62) as u8;
            remainder = part % 62;
        }
        text.push(char::from(BASE62[remainder as usize]));
    }
    let sum = checksum(text.as_bytes());
    text.extend(sum.map(char::from));
    KeyText(text)
}

/// Characters of a [`short`] token.
const SHORT_LENGTH: usize = 24; // 58^24 is about 2^140
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// A token of 24 letters and digits out of 256 random bits, in the form that Chatwoot's clients know.
pub fn short(random: [u8; 32]) -> String {
    let mut number = random;
    let mut digit = || {
        let mut remainder = 0u32;
        for byte in &mut number {
            let part = remainder * 256 + u32::from(*byte);
            *byte = (part / 58) as u8;
            remainder = part % 58;
        }
        char::from(BASE58[remainder as usize])
    };
    (0..SHORT_LENGTH).map(|_| digit()).collect()
}

/// What a well-formed key's text says; whether such a key exists is the database's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Its prefix.
    pub prefix: Prefix,
    /// Its mode.
    pub mode: Mode,
    /// To find it by.
    pub digest: KeyDigest,
}

/// The text is no key: wrong length, prefix, alphabet or checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct Malformed;

/// Reads a key as a client sent it. Allocates nothing, and hashes only what has the right checksum.
pub fn parse(text: &str) -> Result<Parsed, Malformed> {
    let bytes = text.as_bytes();
    if bytes.len() != KEY_LENGTH || !bytes[PREFIX_LENGTH..].iter().all(u8::is_ascii_alphanumeric) {
        return Err(Malformed);
    }
    let (prefix, mode) = match &bytes[..PREFIX_LENGTH] {
        b"sa_live_" => (Prefix::Sa, Mode::Live),
        b"sa_test_" => (Prefix::Sa, Mode::Test),
        b"sk_live_" => (Prefix::Sk, Mode::Live),
        b"sk_test_" => (Prefix::Sk, Mode::Test),
        _ => return Err(Malformed),
    };
    let (body, sum) = bytes.split_at(KEY_LENGTH - CHECKSUM_LENGTH);
    if checksum(body) != sum {
        return Err(Malformed);
    }
    Ok(Parsed { prefix, mode, digest: KeyDigest::of(text) })
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut rest = crc32(body);
    let mut text = [b'0'; CHECKSUM_LENGTH];
    for character in text.iter_mut().rev() {
        *character = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    text
}

/// CRC-32 as in zip and PNG (ISO-HDLC). Forty bytes a request: a table of sixteen entries is fast enough.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut index = 0;
        while index < 16 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 4 {
                value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| {
        let crc = crc ^ u32::from(*byte);
        let crc = (crc >> 4) ^ TABLE[(crc & 15) as usize];
        (crc >> 4) ^ TABLE[(crc & 15) as usize]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_key_has_the_promised_shape() {
        for (prefix, mode, start) in [
            (Prefix::Sa, Mode::Live, "sa_live_"),
            (Prefix::Sa, Mode::Test, "sa_test_"),
            (Prefix::Sk, Mode::Live, "sk_live_"),
            (Prefix::Sk, Mode::Test, "sk_test_"),
        ] {
            let key = mint(prefix, mode, [0xa5; 32]);
            assert!(key.expose().starts_with(start));
            assert_eq!(key.expose().len(), 46);
            assert_eq!(key.display_prefix(), &key.expose()[..12]);
            assert_eq!(parse(key.expose()), Ok(Parsed { prefix, mode, digest: key.digest() }));
            assert_eq!(Prefix::from_text(prefix.as_str()), Some(prefix));
            assert_eq!(Mode::from_text(mode.as_str()), Some(mode));
        }
        assert_eq!((Prefix::from_text("pk"), Mode::from_text("LIVE")), (None, None));
    }

    #[test]
    fn debug_output_keeps_the_secret() {
        let key = mint(Prefix::Sa, Mode::Live, [7; 32]);
        let shown = format!("{key:?}");
        assert!(!shown.contains(&key.expose()[DISPLAY_LENGTH..DISPLAY_LENGTH + 4]), "{shown}");
    }

    #[test]
    fn the_digest_is_sha256_of_the_whole_text() {
        let key = mint(Prefix::Sa, Mode::Live, [7; 32]);
        let expected: [u8; 32] = Sha256::digest(key.expose()).into();
        assert_eq!(key.digest(), KeyDigest(expected));
        assert_ne!(key.digest(), mint(Prefix::Sa, Mode::Test, [7; 32]).digest());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = mint(Prefix::Sa, Mode::Live, [9; 32]);
        let text = key.expose();
        let other_prefix = text.replacen("sa_", "pk_", 1);
        let other_mode = text.replacen("live", "test", 1);
        for bad in ["", "sa_live_", &text[1..], &format!("{text} "), &other_prefix, &other_mode, &"é".repeat(23)] {
            assert_eq!(parse(bad), Err(Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_minted_key_parses_and_no_typo_does(random: [u8; 32], at in 0..KEY_LENGTH, typo in "[0-9A-Za-z_]") {
            let key = mint(Prefix::Sa, Mode::Live, random);
            prop_assert_eq!(parse(key.expose()).map(|p| p.digest), Ok(key.digest()));
            let mut text = key.expose().to_owned();
            text.replace_range(at..=at, &typo);
            prop_assume!(text != key.expose());
            // One wrong character is a burst shorter than 32 bits: a CRC always sees it.
            prop_assert_eq!(parse(&text), Err(Malformed));
        }

        #[test]
        fn other_randomness_is_another_key(a: [u8; 32], b: [u8; 32]) {
            // Not a law for all pairs (256 bits into 190), but a repeat among random ones is a bug.
            prop_assume!(a != b);
            let digest = |random| mint(Prefix::Sa, Mode::Live, random).digest();
            prop_assert_ne!(digest(a), digest(b));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,60}") {
            prop_assert_eq!(parse(&text), Err(Malformed));
        }
    }
}
