//! Memory that is no longer used goes back to the system.
//!
//! The allocator keeps what was freed for a second, in case it is wanted again, and looks at that clock only while
//! somebody allocates. A server that has just started, or whose busy hour is over, allocates next to nothing, and would
//! hold for ever what it once needed.

use std::time::Duration;

/// After the start, when what it took to start is no longer used.
pub const FIRST: Duration = Duration::from_secs(1);
/// How often unused memory is given back afterwards.
pub const EVERY: Duration = Duration::from_secs(30);

/// Gives back what is free. A few milliseconds of the calling thread after a large load, else far less.
pub fn give_back() {
    // SAFETY: takes no memory of ours and may be called by any thread at any time (mimalloc's documentation).
    #[expect(unsafe_code, reason = "the safe wrapper does not offer it")]
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}
