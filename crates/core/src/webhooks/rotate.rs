//! A new signing secret, with an overlap in which the one before signs too.

use super::{Endpoint, get, sql};
use crate::Result;
use crate::audit;
use crate::ctx::Ctx;
use crate::ids::EndpointId;
use crate::installation::change_configuration;
use serde_json::json;
use tieline_db::{Tx, params};

/// A new secret, made and sealed at the edge.
#[derive(Clone, Debug)]
pub struct RotateSecret {
    /// The endpoint.
    pub id: EndpointId,
    /// The new secret, sealed.
    pub secret: Vec<u8>,
    /// Its start, for people.
    pub secret_prefix: String,
    /// How long the present secret signs too, microseconds; 0 for not at all.
    pub overlap_us: i64,
}

/// Puts a new secret in place; the one before signs beside it until the overlap ends, one from a rotation before that
/// stops at once.
///
/// Errors: `not_found`.
pub fn rotate(tx: &mut Tx, ctx: &Ctx, cmd: &RotateSecret) -> Result<Endpoint> {
    let now = tx.now();
    let until = (cmd.overlap_us > 0).then_some(now + cmd.overlap_us);
    let params = params![ctx.tenant.0, cmd.id.0, &cmd.secret, &cmd.secret_prefix, until, now];
    tx.execute(sql::ROTATE, &params)?;
    audit::note(tx, ctx, "webhook.secret_rotated", cmd.id, json!({}))?;
    change_configuration(tx)?;
    get(tx, ctx.tenant, cmd.id)
}

/// Forgets secrets whose overlap is over; the number forgotten.
pub fn forget_secrets(tx: &mut Tx) -> Result<u64> {
    let now = tx.now();
    Ok(tx.execute(sql::FORGET_SECRETS, &params![now])?)
}
