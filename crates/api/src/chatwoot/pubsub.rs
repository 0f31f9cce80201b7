//! What users subscribe to `/cable` with: a token that follows from the installation's key, beside which they say who they
//! are. That of contacts says so itself, see [`tieline_core::contact_inboxes::by_pubsub_token`].

use sha2::{Digest, Sha256};
use tieline_core::ids::TenantId;
use tieline_core::keys::token::{self, KeyDigest};
use tieline_core::secrets::Keyring;

/// The token of a user, by their live tenant and number.
pub(super) fn of_user(keyring: &Keyring, live: TenantId, number: i64) -> String {
    token::short(keyring.subkey(&format!("stream of user {}/{number}", live.0)))
}

/// Whether two tokens are the same, in a time that does not tell where they differ.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    let digest = |text: &str| KeyDigest(Sha256::digest(text.as_bytes()).into());
    digest(a) == digest(b)
}
