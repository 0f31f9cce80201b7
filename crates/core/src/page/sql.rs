//! What statements of lists share.

/// Filters of a list that comes in the order of an index, such as those that are off when their parameter says so.
///
/// For PostgreSQL's planner, which takes each filter for one that keeps next to nothing: with five of them no row seems to be
/// left, and then it is as good to it to read all of a tenant's rows and sort what remains as to walk an index in the order of
/// the list. Of this it knows nothing but that it is seldom null, so it takes it to keep everything, and walks the index.
macro_rules! asked {
    ($($filters:tt)*) => {
        concat!("case when ", $($filters)*, " then 1 end is not null")
    };
}
pub(crate) use asked;
