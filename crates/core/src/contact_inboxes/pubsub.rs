//! What a contact subscribes to its conversations with: a token of 24 characters that no row holds.
//!
//! It carries tenant and number of the address, masked, with a code of authenticity of 52 bits. Nobody tries many: each
//! guess is an attempt to authenticate.

use super::ContactInbox;
use crate::ids::TenantId;
use crate::keys::token::KeyDigest;
use crate::secrets::Keyring;
use sha2::{Digest, Sha256};

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Digits of who it is (58^15 is more than 2^87), and of the code (58^9 is more than 2^52).
const PERSON_DIGITS: usize = 15;
const CODE_DIGITS: usize = 9;
/// Bits of a number in the installation, and of a tenant's.
const NUMBER_BITS: u32 = 53;
const TENANT_BITS: u32 = 32;

fn bits(key: &[u8; 32], count: u32) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&key[..16]);
    u128::from_be_bytes(bytes) & ((1 << count) - 1)
}

fn write(mut value: u128, digits: usize) -> String {
    let mut text = vec![b'1'; digits];
    for digit in text.iter_mut().rev() {
        *digit = BASE58[(value % 58) as usize];
        value /= 58;
    }
    text.into_iter().map(char::from).collect()
}

fn read(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0u128, |value, digit| {
        let digit = BASE58.iter().position(|known| known == digit)?;
        value.checked_mul(58)?.checked_add(digit as u128)
    })
}

fn code(keyring: &Keyring, tenant: TenantId, number: i64) -> u128 {
    bits(&keyring.subkey(&format!("stream of contact {}/{number}", tenant.0)), 52)
}

fn mask(keyring: &Keyring, code: u128) -> u128 {
    bits(&keyring.subkey(&format!("mask of a contact's stream {code}")), TENANT_BITS + NUMBER_BITS)
}

/// The token of a contact's address in an inbox.
pub fn pubsub_token(keyring: &Keyring, tenant: TenantId, at: &ContactInbox) -> String {
    of_contact(keyring, tenant, at.number)
}

fn of_contact(keyring: &Keyring, tenant: TenantId, number: i64) -> String {
    let code = code(keyring, tenant, number);
    let person = ((tenant.0 as u128) << NUMBER_BITS) | number as u128;
    write(person ^ mask(keyring, code), PERSON_DIGITS) + &write(code, CODE_DIGITS)
}

/// Whose token this is: tenant and number of the address; none for any other text.
pub fn by_pubsub_token(keyring: &Keyring, text: &str) -> Option<(TenantId, i64)> {
    let bytes = text.as_bytes();
    if bytes.len() != PERSON_DIGITS + CODE_DIGITS {
        return None;
    }
    let given = read(&bytes[PERSON_DIGITS..])?;
    let person = read(&bytes[..PERSON_DIGITS])? ^ mask(keyring, given);
    let tenant = i64::try_from(person >> NUMBER_BITS).ok().filter(|tenant| *tenant < 1 << TENANT_BITS)?;
    let number = (person & ((1 << NUMBER_BITS) - 1)) as i64;
    let digest = |text: &str| KeyDigest(Sha256::digest(text.as_bytes()).into());
    let right = digest(text) == digest(&of_contact(keyring, TenantId(tenant), number));
    right.then_some((TenantId(tenant), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contacts_token_says_whose_it_is_and_no_other_text_does() {
        let (keyring, other) = (Keyring::from_bytes([7; 32]), Keyring::from_bytes([8; 32]));
        for (tenant, number) in [(1, 1), (1, 2), (2, 1), (i64::from(u32::MAX), (1 << 53) - 1)] {
            let token = of_contact(&keyring, TenantId(tenant), number);
            assert_eq!(token.len(), 24);
            assert_eq!(by_pubsub_token(&keyring, &token), Some((TenantId(tenant), number)));
            assert_eq!(by_pubsub_token(&other, &token), None);
            for at in 0..24 {
                let mut changed = token.clone().into_bytes();
                changed[at] = if changed[at] == b'2' { b'3' } else { b'2' };
                assert_eq!(by_pubsub_token(&keyring, std::str::from_utf8(&changed).unwrap()), None);
            }
        }
        for text in ["", "1", "0OIl0OIl0OIl0OIl0OIl0OIl", "zzzzzzzzzzzzzzzzzzzzzzzz", "çççççççççççç"] {
            assert_eq!(by_pubsub_token(&keyring, text), None, "{text}");
        }
    }
}
