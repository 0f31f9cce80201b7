//! Who has looked at a conversation, and when.

use super::{Conversation, change, sql};
use crate::Result;
use crate::ctx::Ctx;
use crate::ids::ConversationId;
use crate::messages::direction::Direction;
use crate::messages::status::DeliveryStatus;
use crate::messages::{self, Order, Report};
use tieline_db::{Tx, params};

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looker {
    /// The customer: what we wrote counts as read.
    Contact,
    /// One of us.
    Agent,
}

/// Newest messages that one look marks as read.
const READ_LIMIT: i64 = 100;

/// Notes a look. The conversation does not count as changed by it.
///
/// Errors: `not_found`.
pub fn see(tx: &mut Tx, ctx: &Ctx, id: ConversationId, who: Looker) -> Result<Conversation> {
    change::lock(tx, ctx.tenant, id)?;
    let now = tx.now();
    let statement = match who {
        Looker::Contact => sql::SEEN_BY_CONTACT,
        Looker::Agent => sql::SEEN_BY_AGENT,
    };
    tx.execute(statement, &params![ctx.tenant.0, id.0, now])?;
    if who == Looker::Contact {
        let newest = messages::list(tx, ctx.tenant, id, Order::NewestFirst, None, READ_LIMIT)?;
        let unread = |message: &&messages::Message| {
            message.direction == Direction::Outbound
                && matches!(
                    message.delivery_status,
                    Some(DeliveryStatus::Queued | DeliveryStatus::Sent | DeliveryStatus::Delivered)
                )
        };
        for message in newest.iter().filter(unread) {
            messages::report(tx, ctx, &Report { message: message.id, status: DeliveryStatus::Read })?;
        }
    }
    change::lock(tx, ctx.tenant, id)
}

/// Takes back the last look of one of us: the customer's newest message counts as unread. The conversation does not count as
/// changed by it.
///
/// Errors: `not_found`.
pub fn unsee(tx: &mut Tx, ctx: &Ctx, id: ConversationId) -> Result<Conversation> {
    let v = change::lock(tx, ctx.tenant, id)?;
    let before_last = v.last_contact_message_at.map(|at| at - 1);
    tx.execute(sql::SEEN_BY_AGENT, &params![ctx.tenant.0, id.0, before_last])?;
    change::lock(tx, ctx.tenant, id)
}
