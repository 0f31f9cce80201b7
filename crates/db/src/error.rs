//! What can go wrong in the engine.

/// Result of the engine's own calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the engine, told apart by what the caller can do about it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A bounded queue is full: retry after a second.
    #[error("the {0} queue is full")]
    Busy(&'static str),
    /// The database cannot take the work now: read-only, disk full, I/O error, gone. Retrying later may help.
    #[error("the database cannot do that now: {0}")]
    Unavailable(String),
    /// The server cannot be reached, lets us not in, or went away. The engine says so in its log, once, and when it is back:
    /// who fails because of it need not.
    #[error("{why}")]
    Away {
        /// One line, with what to change where it does not pass.
        why: String,
        /// Waiting may help; else somebody has to change something.
        passes: bool,
    },
    /// The file is damaged: only a backup helps. Said in the log, once.
    #[error("the database file is damaged: {0}")]
    Damaged(String),
    /// A constraint refused a row. Verbs avoid it by `on conflict`; where it happens it is a defect or a lost race.
    #[error("a constraint refused the row: {0}")]
    Constraint(String),
    /// Serialization failure or deadlock; the engine retries these itself, a bounded number of times.
    #[error("the transaction must run again: {0}")]
    Again(String),
    /// The database was written by a newer version of the program.
    #[error(
        "the database has schema version {found}, this program knows {known}: start the newer version, or restore a backup made before the upgrade"
    )]
    Newer {
        /// Version in the database.
        found: i64,
        /// Newest version of this program.
        known: i64,
    },
    /// The database's address cannot be used: a mistake of the operator, said in one line without the password.
    #[error("the database address cannot be used: {0}")]
    Address(String),
    /// A verb panicked; its changes were undone.
    #[error("a verb panicked: {0}")]
    Panicked(String),
    /// Any other failure of a statement: a defect of ours.
    #[error("{0}")]
    Sql(String),
}

impl Error {
    /// Whether waiting and trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Busy(_) | Error::Unavailable(_) | Error::Away { .. } | Error::Again(_))
    }

    pub(crate) fn away(why: impl Into<String>) -> Error {
        Error::Away { why: why.into(), passes: true }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::ErrorCode as C;
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(C::ConstraintViolation) => Error::Constraint(text),
            Some(C::DatabaseCorrupt | C::NotADatabase) => Error::Damaged(text),
            Some(
                C::ReadOnly
                | C::DiskFull
                | C::SystemIoFailure
                | C::CannotOpen
                | C::DatabaseBusy
                | C::DatabaseLocked
                | C::PermissionDenied
                | C::OutOfMemory,
            ) => Error::Unavailable(text),
            _ => Error::Sql(text),
        }
    }
}
