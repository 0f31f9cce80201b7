//! The first tenant and its owner: by a one-time link that the first start prints.
//!
//! A link works while the installation has no tenant, until it expires, and once. The token's hash is stored, so who reads
//! the database cannot use it; a later start prints a new one and the older ones end. Of nodes that start together one
//! prints a link.

use super::{sql, take_turn};
use crate::ctx::Ctx;
use crate::tenants::{self, CreateTenant, Plan, Tenant};
use crate::users::{self, User};
use crate::{Error, Kind, Result};
use sha2::{Digest, Sha256};
use tieline_db::{Read, Tx, params};

/// How long a link works, microseconds.
pub const VALID_US: i64 = 24 * 3600 * 1_000_000;
const PURPOSE: &str = "setup";
const TURN: &str = "setup.turn";

/// Whether nobody has set this installation up.
pub fn is_needed(read: &mut Read) -> Result<bool> {
    Ok(read.opt(sql::ANY_TENANT, &[], |_| Ok(()))?.is_none())
}

/// What a link's token is stored as.
fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Makes `token` the one that works; false, and nothing changed, where the installation has a tenant, or a link that is
/// younger than `younger_us`: then another node has just offered one.
pub fn offer(tx: &mut Tx, token: &str, younger_us: i64) -> Result<bool> {
    take_turn(tx, TURN)?;
    let since = tx.now() + VALID_US - younger_us;
    if !is_needed(tx)? || tx.opt(sql::LINK_SINCE, &params![PURPOSE, since], |_| Ok(()))?.is_some() {
        return Ok(false);
    }
    tx.execute(sql::DROP_LINKS, &params![PURPOSE])?;
    let until = tx.now() + VALID_US;
    tx.execute(sql::ADD_LINK, &params![hash(token).as_slice(), PURPOSE, until])?;
    Ok(true)
}

/// Whether this token works now.
///
/// Errors: not found, for an unknown, used or expired one alike.
pub fn check(read: &mut Read, token: &str) -> Result<()> {
    let now = read.now();
    let found = read.opt(sql::VALID_LINK, &params![hash(token).as_slice(), PURPOSE, now], |_| Ok(()))?;
    let gone = "This set-up link is not valid, was used, or has expired; restart the server of an empty installation for a new one.";
    found.ok_or_else(|| Error::new(Kind::NotFound, "not_found", gone))
}

/// Makes the first tenant and its owner, and ends every link.
///
/// Errors: `already_set_up`, and what making a tenant and a user refuse.
pub fn first_owner(tx: &mut Tx, ctx: &Ctx, tenant: &CreateTenant, owner: &users::Create) -> Result<(Tenant, User)> {
    take_turn(tx, TURN)?;
    if !is_needed(tx)? {
        return Err(Error::conflict("already_set_up", "This installation has a tenant already."));
    }
    let tenant = tenants::create(tx, Some(ctx), tenant)?;
    let user = users::create(tx, (tenant.id, ctx), owner)?;
    tx.execute(sql::DROP_LINKS, &params![PURPOSE])?;
    Ok((tenant, user))
}

/// A first tenant with the ordinary plan.
pub fn tenant(slug: &str, name: &str) -> CreateTenant {
    CreateTenant { slug: slug.to_owned(), name: name.to_owned(), plan: Plan::default() }
}
