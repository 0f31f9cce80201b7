//! The writer's log file, written once per flush.
//!
//! SQLite writes each page of a commit to its log by two calls into the kernel, the page's header and the page. A commit of
//! one conversation is thirty pages, and those sixty calls take longer than the flush that follows them. Here they are
//! gathered, and written by one call when SQLite flushes the log, reads from it or asks how long it is. Nothing is promised
//! earlier or later than without: what a flush made durable before, it makes durable now.
//!
//! How: a file system of SQLite's (a VFS) by the name [`NAME`], which is its ordinary one in everything but log files. Only
//! the connection that writes is opened with it. What it relies on: a commit is flushed before it is shown to other
//! connections, which `synchronous = full` says, so that nobody else reads pages that are still gathered.
#![expect(unsafe_code, reason = "the functions that SQLite calls take its pointers")]

use rusqlite::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

/// What to open the writing connection with, once [`register`] has said that it is there.
pub(super) const NAME: &CStr = c"tieline-log";

/// Bytes gathered at most before they are written, flush or not: thirty pages. The ordinary VFS takes no more in one call.
const GATHERED: usize = 0x1_ffff;

/// The file system all this rests on. SQLite keeps it for the life of the process.
struct Ordinary(*mut ffi::sqlite3_vfs);
// SAFETY: a VFS is called by SQLite from any thread; we only read its fields, which never change.
unsafe impl Send for Ordinary {}
// SAFETY: as above.
unsafe impl Sync for Ordinary {}

static ORDINARY: OnceLock<Option<Ordinary>> = OnceLock::new();

/// A log file as SQLite sees it. The ordinary file's own structure follows it in memory.
#[repr(C)]
struct LogFile {
    base: ffi::sqlite3_file,
    gathered: *mut Gathered,
}

/// What is to be written, and where.
struct Gathered {
    at: i64,
    bytes: Vec<u8>,
}

/// Makes [`NAME`] known to SQLite; false where it could not be, which costs speed and nothing else.
pub(super) fn register() -> bool {
    ORDINARY.get_or_init(try_register).is_some()
}

fn try_register() -> Option<Ordinary> {
    // SAFETY: finds the default VFS, which lives as long as the process; the copy below is leaked, so it does as well.
    // None of its functions but xOpen looks at which VFS it is called through.
    unsafe {
        let ordinary = ffi::sqlite3_vfs_find(std::ptr::null());
        let found = ordinary.as_ref()?;
        found.xOpen?;
        let size = c_int::try_from(size_of::<LogFile>()).ok()?.checked_add(found.szOsFile)?;
        let ours = ffi::sqlite3_vfs {
            szOsFile: size,
            pNext: std::ptr::null_mut(),
            zName: NAME.as_ptr(),
            xOpen: Some(open),
            ..*found
        };
        let registered = ffi::sqlite3_vfs_register(Box::into_raw(Box::new(ours)), 0);
        (registered == ffi::SQLITE_OK).then_some(Ordinary(ordinary))
    }
}

/// The file that follows a log file's structure.
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: SQLite gave us `szOsFile` bytes, ours and the ordinary file's.
    unsafe { file.cast::<LogFile>().add(1).cast() }
}

/// Calls a function of the ordinary file.
macro_rules! forward {
    ($file:expr, $function:ident $(, $argument:expr)*) => {{
        let file = inner($file);
        match (*file).pMethods.as_ref().and_then(|methods| methods.$function) {
            Some(function) => function(file $(, $argument)*),
            None => ffi::SQLITE_IOERR,
        }
    }};
}

/// Writes what is gathered. After a failure it is forgotten, as pages are that could not be written one by one: the commit
/// fails, and the next one begins where this one did.
unsafe fn write_gathered(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite calls us with a file that we opened, from one thread at a time.
    unsafe {
        let gathered = &mut *(*file.cast::<LogFile>()).gathered;
        if gathered.bytes.is_empty() {
            return ffi::SQLITE_OK;
        }
        // At most GATHERED bytes.
        let (bytes, len) = (gathered.bytes.as_ptr().cast::<c_void>(), gathered.bytes.len() as c_int);
        let written = forward!(file, xWrite, bytes, len, gathered.at);
        gathered.bytes.clear();
        written
    }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let Some(Some(Ordinary(ordinary))) = ORDINARY.get() else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: `file` has room for our structure and the ordinary one; the ordinary VFS sees its own.
    unsafe {
        let Some(ordinary_open) = (**ordinary).xOpen else { return ffi::SQLITE_CANTOPEN };
        if flags & ffi::SQLITE_OPEN_WAL == 0 {
            return ordinary_open(*ordinary, name, file, flags, out);
        }
        (*file).pMethods = std::ptr::null();
        let opened = ordinary_open(*ordinary, name, inner(file), flags, out);
        if opened == ffi::SQLITE_OK {
            let gathered = Gathered { at: 0, bytes: Vec::new() };
            (*file.cast::<LogFile>()).gathered = Box::into_raw(Box::new(gathered));
            (*file).pMethods = &METHODS;
        }
        opened
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, len: c_int, at: i64) -> c_int {
    let Ok(length) = usize::try_from(len) else { return ffi::SQLITE_IOERR };
    // SAFETY: `bytes` are `len` bytes of SQLite's; the file is one that we opened.
    unsafe {
        let gathered = (*file.cast::<LogFile>()).gathered;
        let end = (*gathered).at + (*gathered).bytes.len() as i64;
        if at != end || (*gathered).bytes.len() + length > GATHERED {
            let written = write_gathered(file);
            if written != ffi::SQLITE_OK {
                return written;
            }
            (*gathered).at = at;
        }
        if length > GATHERED {
            return forward!(file, xWrite, bytes, len, at);
        }
        (*gathered).bytes.extend_from_slice(std::slice::from_raw_parts(bytes.cast::<u8>(), length));
        ffi::SQLITE_OK
    }
}

/// A function that needs the whole file: writes what is gathered, then does what the ordinary one does.
macro_rules! after_writing {
    ($name:ident, $function:ident $(, $argument:ident: $type:ty)*) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $type)*) -> c_int {
            // SAFETY: SQLite's arguments, for the file that it opened.
            unsafe {
                match write_gathered(file) {
                    ffi::SQLITE_OK => forward!(file, $function $(, $argument)*),
                    failed => failed,
                }
            }
        }
    };
}

/// A function that does what the ordinary one does.
macro_rules! as_ordinary {
    ($name:ident, $function:ident $(, $argument:ident: $type:ty)*) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $type)*) -> c_int {
            // SAFETY: SQLite's arguments, for the file that it opened.
            unsafe { forward!(file, $function $(, $argument)*) }
        }
    };
}

after_writing!(read, xRead, bytes: *mut c_void, len: c_int, at: i64);
after_writing!(truncate, xTruncate, size: i64);
after_writing!(sync, xSync, flags: c_int);
after_writing!(file_size, xFileSize, size: *mut i64);
as_ordinary!(lock, xLock, level: c_int);
as_ordinary!(unlock, xUnlock, level: c_int);
as_ordinary!(is_reserved, xCheckReservedLock, out: *mut c_int);
as_ordinary!(control, xFileControl, operation: c_int, argument: *mut c_void);
as_ordinary!(sector_size, xSectorSize);
as_ordinary!(characteristics, xDeviceCharacteristics);

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the last call for this file; what `open` made is given back once.
    unsafe {
        let written = write_gathered(file);
        drop(Box::from_raw((*file.cast::<LogFile>()).gathered));
        let closed = forward!(file, xClose);
        if written == ffi::SQLITE_OK { closed } else { written }
    }
}

/// Log files need no more: shared memory and mappings are of the database's file.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(is_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, OpenFlags};
    use std::path::Path;

    fn open(path: &Path) -> Connection {
        assert!(register());
        let conn = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), NAME).unwrap();
        conn.execute_batch("pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 0")
            .unwrap();
        conn.execute_batch("create table page (id integer primary key, body blob not null)").unwrap();
        conn
    }

    fn write_pages(conn: &Connection, count: i64) {
        let mut insert = conn.prepare_cached("insert into page (body) values (zeroblob(3000))").unwrap();
        (0..count).for_each(|_| assert_eq!(insert.execute([]).unwrap(), 1));
    }

    fn pages(conn: &Connection) -> i64 {
        conn.query_row("select count(*) from page where length(body) = 3000", [], |row| row.get(0)).unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_commit_of_many_pages_is_few_calls() {
        let calls = || {
            let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
            io.lines().find_map(|line| line.strip_prefix("syscw: ")?.parse::<u64>().ok()).unwrap()
        };
        let folder = tempfile::TempDir::new().unwrap();
        let conn = open(&folder.path().join("test.db"));
        let before = calls();
        conn.execute_batch("begin immediate").unwrap();
        write_pages(&conn, 40);
        conn.execute_batch("commit").unwrap();
        let made = calls() - before;
        assert!(made <= 4, "{made} calls");
    }

    /// A small cache makes SQLite write pages before the commit, and read them again.
    #[test]
    fn what_is_gathered_is_read_back_and_a_rollback_leaves_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("test.db");
        let conn = open(&file);
        let ordinary = Connection::open(&file).unwrap();
        conn.execute_batch("pragma cache_size = 10").unwrap();
        for round in 0..20 {
            conn.execute_batch("begin immediate").unwrap();
            write_pages(&conn, 25);
            assert_eq!(pages(&conn), 25 * (round + 1));
            // Rewrites pages that are in the log already.
            conn.execute("update page set body = zeroblob(3000)", []).unwrap();
            conn.execute_batch("savepoint half").unwrap();
            write_pages(&conn, 70 + round);
            assert_eq!(pages(&ordinary), 25 * round);
            conn.execute_batch(if round % 2 == 0 { "rollback to half; commit" } else { "rollback" }).unwrap();
            if round % 2 == 1 {
                conn.execute_batch("begin immediate").unwrap();
                write_pages(&conn, 25);
                conn.execute_batch("commit").unwrap();
            }
            assert_eq!(pages(&ordinary), 25 * (round + 1));
            if round % 7 == 3 {
                conn.query_row("pragma wal_checkpoint(restart)", [], |_| Ok(())).unwrap();
            }
        }
        let check: String = ordinary.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        // A reader that finds only the log's bytes sees what was committed: nothing is still gathered.
        let copy = folder.path().join("copy.db");
        std::fs::copy(&file, &copy).unwrap();
        std::fs::copy(folder.path().join("test.db-wal"), folder.path().join("copy.db-wal")).unwrap();
        assert_eq!(pages(&Connection::open(&copy).unwrap()), 25 * 20);
    }
}
