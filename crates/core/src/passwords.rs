//! Passwords of users: argon2id, and the same work whether or not the user exists.
//!
//! The parameters are OWASP's first choice for a server that also does other work. They travel inside each hash, so
//! raising them leaves older hashes valid. One check costs tens of milliseconds and 19 MiB on purpose: call it on a
//! thread that may block, and limit the rate of sign-ins.

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};

use crate::{Error, FieldError, Result};

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Lanes; one, because a sign-in has one thread.
const LANES: u32 = 1;
/// Length of a salt, in bytes.
pub const SALT_BYTES: usize = 16;
/// Shortest password, in characters (NIST SP 800-63B).
pub const PASSWORD_MIN: usize = 8;
/// Longest password, in bytes: room for any sentence, no room to keep us busy.
pub const PASSWORD_LIMIT: usize = 1024;

/// Whether this may become a password.
///
/// Errors: `too_short` or `too_long` at `pointer`.
pub fn check(password: &str, pointer: &str) -> Result<(), FieldError> {
    let wrong = |code, message: &str| FieldError { pointer: pointer.to_owned(), code, message: message.to_owned() };
    if password.len() > PASSWORD_LIMIT {
        return Err(wrong("too_long", "A password has at most 1024 bytes."));
    }
    if password.chars().count() < PASSWORD_MIN {
        return Err(wrong("too_short", "A password has at least 8 characters."));
    }
    Ok(())
}

/// The text to store, `$argon2id$…`. `salt` must be fresh random bytes.
///
/// Errors: internal, only if the parameters above are wrong.
pub fn hash(password: &str, salt: [u8; SALT_BYTES]) -> Result<String> {
    let hashed: PasswordHash = hasher()?
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| Error::internal(error.to_string()))?;
    Ok(hashed.to_string())
}

/// Whether this is the password of a stored hash. `None` stands for a user who does not exist or has no password: the
/// answer is no, after the same work, so that its time does not tell who has an account.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    // Nothing longer was ever stored, and hashing it would let a stranger choose our work.
    let (password, in_limit) = if password.len() <= PASSWORD_LIMIT { (password, true) } else { ("", false) };
    match stored.and_then(|stored| PasswordHash::new(stored).ok()) {
        Some(stored) => {
            let right = Argon2::default().verify_password(password.as_bytes(), &stored).is_ok();
            right && in_limit
        }
        None => {
            let _same_work = hash(password, [0; SALT_BYTES]);
            false
        }
    }
}

fn hasher() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_opens_its_own_hash_only() {
        let stored = hash("correct horse", [7; SALT_BYTES]).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse", Some(&stored)));
        assert!(!verify("correct horsf", Some(&stored)));
        assert_ne!(stored, hash("correct horse", [8; SALT_BYTES]).unwrap(), "the salt matters");
    }

    #[test]
    fn nobody_and_nonsense_have_no_password() {
        assert!(!verify("", None));
        assert!(!verify("anything", Some("")));
        assert!(!verify("anything", Some("$argon2id$broken")));
        // The empty text stands in for too long ones: it must not open a hash of the empty text.
        let of_empty = hash("", [7; SALT_BYTES]).unwrap();
        assert!(!verify(&"a".repeat(PASSWORD_LIMIT + 1), Some(&of_empty)));
    }

    #[test]
    fn a_new_password_has_a_sensible_length() {
        for (password, answer) in [
            ("", Err("too_short")),
            ("sevenc7", Err("too_short")),
            ("eight ch", Ok(())),
            ("ççççãããã", Ok(())),
            (&*"x".repeat(PASSWORD_LIMIT), Ok(())),
            (&*"x".repeat(PASSWORD_LIMIT + 1), Err("too_long")),
        ] {
            assert_eq!(check(password, "/password").map_err(|error| error.code), answer);
        }
    }
}
