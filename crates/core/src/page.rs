//! One page of a list: newest first, ids break ties. Either the place of the last row leads on ([`Page`]), or pages have
//! numbers ([`Numbered`]).

pub(crate) mod sql;

use crate::{Error, Result};
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

/// Furthest that a numbered page may lie from the nearer end of its list, rows: so many entries of an index are passed over.
pub const DEPTH_LIMIT: i64 = 100_000;

/// What of a list with a known total is wanted, by the number of the page.
#[derive(Clone, Copy, Debug)]
pub struct Numbered {
    /// From 1.
    pub page: i64,
    /// Rows of a page, from 1.
    pub limit: i64,
}

/// Where the rows of a numbered page lie, counted from the nearer end of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Counted from the oldest row: the rows come in the opposite order.
    pub from_oldest: bool,
    /// Rows to pass over.
    pub skip: i64,
    /// Rows to take, at least one.
    pub take: i64,
}

impl Numbered {
    /// Where its rows lie in a list of `total`, newest first; none past the end.
    ///
    /// Errors: `validation_error` at `page` for one that lies deeper than [`DEPTH_LIMIT`].
    pub fn stretch(self, total: i64) -> Result<Option<Stretch>> {
        let skip = (self.page - 1).saturating_mul(self.limit);
        if skip >= total {
            return Ok(None);
        }
        let take = self.limit.min(total - skip);
        let behind = total - skip - take;
        let stretch = match behind < skip {
            true => Stretch { from_oldest: true, skip: behind, take },
            false => Stretch { from_oldest: false, skip, take },
        };
        if stretch.skip <= DEPTH_LIMIT {
            return Ok(Some(stretch));
        }
        let detail = format!(
            "page reaches {DEPTH_LIMIT} rows from either end of a list; narrow it by a filter, or read it with a cursor on /v1."
        );
        Err(Error::field("page", "out_of_range", detail))
    }
}

/// A numbered page.
#[derive(Clone, Debug)]
pub struct Rows<T> {
    /// Its rows, newest first.
    pub rows: Vec<T>,
    /// Rows on all pages together.
    pub total: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_is_reached_from_the_nearer_end_or_not_at_all() {
        let at = |page, limit, total| Numbered { page, limit }.stretch(total).unwrap();
        assert_eq!(at(1, 20, 0), None);
        assert_eq!(at(2, 20, 20), None);
        assert_eq!(at(i64::MAX, 100, 1_000_000), None);
        assert_eq!(at(1, 20, 1_000_000), Some(Stretch { from_oldest: false, skip: 0, take: 20 }));
        assert_eq!(at(1001, 100, 1_000_000), Some(Stretch { from_oldest: false, skip: 100_000, take: 100 }));
        assert_eq!(at(10_000, 100, 1_000_000), Some(Stretch { from_oldest: true, skip: 0, take: 100 }));
        let error = Numbered { page: 1002, limit: 100 }.stretch(1_000_000).unwrap_err();
        assert_eq!((error.fields[0].pointer.as_str(), error.fields[0].code), ("page", "out_of_range"));
    }

    proptest! {
        /// Every page of every list is the slice that its number says.
        #[test]
        fn a_stretch_is_the_slice(total in 0..300i64, page in 1..40i64, limit in 1..101i64) {
            let list: Vec<i64> = (0..total).collect();
            let mut rows = Vec::new();
            if let Some(Stretch { from_oldest, skip, take }) = (Numbered { page, limit }).stretch(total).unwrap() {
                prop_assert!(take > 0);
                let (skip, take) = (skip as usize, take as usize);
                rows = match from_oldest {
                    false => list.iter().skip(skip).take(take).copied().collect(),
                    true => list.iter().rev().skip(skip).take(take).copied().collect::<Vec<_>>(),
                };
                if from_oldest {
                    rows.reverse();
                }
            }
            let expected: Vec<i64> = list.chunks(limit as usize).nth(page as usize - 1).unwrap_or_default().to_vec();
            prop_assert_eq!(rows, expected);
        }
    }
}
