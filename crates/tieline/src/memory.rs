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

/// Gives back the program's own pages, most of which only the start needed: those of functions that are called again are
/// in the system's cache and mapped again at the first call, for less than a millisecond in all. Once, after the start.
pub fn give_back_program() {
    #[cfg(target_os = "linux")]
    for (start, end) in text() {
        // SAFETY: pages of a file that are mapped to be run and cannot be written: the file still has what is dropped.
        #[expect(unsafe_code, reason = "there is no safe way to say it to the system")]
        unsafe {
            libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED);
        }
    }
}

/// Where the program and its libraries are mapped to be run: from, to.
#[cfg(target_os = "linux")]
fn text() -> Vec<(usize, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mapping = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights, file) = (fields.next()?, fields.next()?, fields.nth(3)?);
        let (start, end) = range.split_once('-')?;
        let is_text = rights == "r-xp" && file.starts_with('/');
        is_text.then_some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    };
    maps.lines().filter_map(mapping).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Of the mappings that are run, KiB in memory.
    fn resident() -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let starts: Vec<String> = text().iter().map(|(start, _)| format!("{start:x}-")).collect();
        let mut is_text = false;
        let mut sum = 0;
        for line in smaps.lines() {
            if line.contains('-') && line.contains(" r") {
                is_text = starts.iter().any(|start| line.starts_with(start));
            } else if is_text && let Some(kib) = line.strip_prefix("Rss:") {
                sum += kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            }
        }
        sum
    }

    #[test]
    fn the_programs_pages_are_given_back_and_come_again() {
        let before = resident();
        give_back_program();
        let after = resident();
        assert!(after < before, "{before} KiB, then {after} KiB");
        give_back();
        assert_eq!(format!("{before}").parse(), Ok(before));
    }
}
