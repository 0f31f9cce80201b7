//! Faults on purpose, for tests: a plan is asked at fixed points of every group.

use crate::Error;

/// A place where a group can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before the transaction begins: nothing of the group happens.
    Begin,
    /// After the work, before the commit: everything is undone, as by a crash.
    BeforeCommit,
    /// After the commit: the work is durable, but its callers do not learn of it, as by a crash before the answer.
    AfterCommit,
}

/// Decides at each point whether to fail; returns the error to fail with.
pub trait Plan: Send + Sync + 'static {
    /// Asked once per group and point, in order.
    fn at(&self, point: Point) -> Option<Error>;
}
