//! One page of a list: newest first, ids break ties, the place of the last row leads on.

use uuid::Uuid;

/// What of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Sort key and id of the row before the first wanted one.
    pub before: (i64, Uuid),
    /// Most rows; callers ask for one too many to learn whether others follow.
    pub limit: i64,
}

impl Page {
    /// The first `limit` rows.
    pub fn first(limit: i64) -> Page {
        Page { before: (i64::MAX, Uuid::max()), limit }
    }
}
