//! Opaque cursors: where a page ended, as a short text for the next request.
//!
//! Guarantees: a cursor made for one tenant's list is refused for another tenant and for another list (or another order
//! of it); no text, however made, is anything but a cursor or none. It is not a secret and not signed: it
//! holds a position only, and every query it enters names the tenant by itself, so a forged one shows its forger
//! nothing but another page of his own list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// First byte of every cursor; another layout gets another number, and old cursors are refused, not misread.
const VERSION: u8 = 1;
/// Version, check, sort key, id.
const BYTES: usize = 1 + CHECK_BYTES + 8 + 16;
const CHECK_BYTES: usize = 8;
const TEXT_CHARS: usize = (BYTES * 4).div_ceil(3);

/// Place of one row in a list that is ordered by `(key, id)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The row's sort key, e.g. a time in microseconds.
    pub key: i64,
    /// The row's id, which breaks ties.
    pub id: Uuid,
}

impl Cursor {
    /// The cursor as text. `list` names the list and its order, e.g. `conversations:updated`.
    pub fn encode(&self, tenant: i64, list: &str) -> String {
        let mut bytes = [0; BYTES];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.check(tenant, list));
        bytes[9..17].copy_from_slice(&self.key.to_be_bytes());
        bytes[17..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor made by [`Cursor::encode`] with the same tenant and list; `None` for every other text.
    pub fn decode(text: &str, tenant: i64, list: &str) -> Option<Cursor> {
        if text.len() != TEXT_CHARS {
            return None;
        }
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let key = i64::from_be_bytes(bytes[9..17].try_into().ok()?);
        let cursor = Cursor { key, id: Uuid::from_slice(&bytes[17..]).ok()? };
        (bytes[0] == VERSION && bytes[1..9] == cursor.check(tenant, list)).then_some(cursor)
    }

    /// Binds the position to its tenant and list, and notices a damaged copy.
    fn check(&self, tenant: i64, list: &str) -> [u8; CHECK_BYTES] {
        let mut hash = Sha256::new();
        hash.update(tenant.to_be_bytes());
        hash.update(self.key.to_be_bytes());
        hash.update(self.id.as_bytes());
        hash.update(list.as_bytes());
        let mut check = [0; CHECK_BYTES];
        check.copy_from_slice(&hash.finalize()[..CHECK_BYTES]);
        check
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CURSOR: Cursor = Cursor { key: 1_700_000_000_000_000, id: Uuid::from_u128(7) };

    #[test]
    fn a_cursor_is_bound_to_its_tenant_and_list() {
        let text = CURSOR.encode(1, "conversations");
        assert_eq!(Cursor::decode(&text, 1, "conversations"), Some(CURSOR));
        assert_eq!(Cursor::decode(&text, 2, "conversations"), None);
        assert_eq!(Cursor::decode(&text, 1, "contacts"), None);
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = CURSOR.encode(1, "events");
        for at in 0..text.len() {
            for other in ["A", "_", "9", "=", " "] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, other);
                assert_eq!(Cursor::decode(&changed, 1, "events").is_some(), changed == text, "{changed}");
            }
            assert_eq!(Cursor::decode(&text[..at], 1, "events"), None);
        }
    }

    proptest! {
        #[test]
        fn every_position_survives(key in any::<i64>(), id in any::<u128>(), tenant in any::<i64>(), list in ".{0,20}") {
            let cursor = Cursor { key, id: Uuid::from_u128(id) };
            prop_assert_eq!(Cursor::decode(&cursor.encode(tenant, &list), tenant, &list), Some(cursor));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}|[A-Za-z0-9_-]{44}") {
            prop_assert_eq!(Cursor::decode(&text, 1, "events"), None);
        }
    }
}
