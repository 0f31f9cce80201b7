//! The one error of the product. It knows no status codes: each dialect maps [`Kind`] and `code` to its own shape.

use std::borrow::Cow;

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it is; a dialect turns it into a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is wrong; `fields` names every reason at once.
    Invalid,
    /// No credential, or one that is not known.
    Unauthorized,
    /// Known, but not allowed.
    Forbidden,
    /// Not there, or another tenant's.
    NotFound,
    /// Against the present state.
    Conflict,
    /// Understood, but contradicts an earlier request (a reused idempotency key).
    Unprocessable,
    /// A count limit or a rate is used up.
    Limited,
    /// For a moment: full queue, read-only or full disk, database away. Retry after a second or more.
    Unavailable,
    /// Ours.
    Internal,
}

/// One wrong field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// RFC 6901 pointer into the body, e.g. `/contact/email`; for a query parameter its bare name.
    pub pointer: String,
    /// Stable machine word, e.g. `required`, `too_long`, `invalid_type`.
    pub code: &'static str,
    /// A sentence: what is wrong and what to do.
    pub message: String,
}

/// An extra member of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extra {
    /// A text, such as an id.
    Text(String),
    /// A number.
    Count(i64),
}

impl std::fmt::Display for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Extra::Text(text) => f.write_str(text),
            Extra::Count(count) => count.fmt(f),
        }
    }
}

/// A failure with what its reader needs: a stable code, a sentence, the wrong fields, and ids to go on with.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Error {
    /// Sort of failure.
    pub kind: Kind,
    /// Stable machine word, e.g. `external_reference_exists`.
    pub code: &'static str,
    /// A sentence for the caller; never holds secrets or SQL.
    pub detail: Cow<'static, str>,
    /// Wrong fields, for [`Kind::Invalid`].
    pub fields: Vec<FieldError>,
    /// Extra members of the answer, e.g. `("conversationId", "conv_…")`.
    pub extra: Vec<(&'static str, Extra)>,
    /// The cause; logged once at the edge, never rendered.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind with a stable code and a sentence.
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Error {
        Error { kind, code, detail: detail.into(), fields: Vec::new(), extra: Vec::new(), source: None }
    }
    /// Every wrong field of one request.
    pub fn invalid(fields: Vec<FieldError>) -> Error {
        let detail = match fields.as_slice() {
            [one] => one.message.clone(),
            many => format!("{} fields are not valid.", many.len()),
        };
        Error { fields, ..Error::new(Kind::Invalid, "validation_error", detail) }
    }
    /// One wrong field.
    pub fn field(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Error {
        Error::invalid(vec![FieldError { pointer: pointer.into(), code, message: message.into() }])
    }
    /// Not there, or another tenant's: the answer is the same.
    pub fn not_found(what: &'static str) -> Error {
        Error::new(Kind::NotFound, "not_found", format!("There is no such {what}."))
    }
    /// Against the present state.
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Error {
        Error::new(Kind::Conflict, code, detail)
    }
    /// Ours: logged with its source, shown as a sentence without it.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error {
            source: Some(source.into()),
            ..Error::new(Kind::Internal, "internal_error", "Something went wrong on our side.")
        }
    }
    /// For the log and never for callers: what lies under it, cause by cause; without any, what it says itself.
    pub fn causes(&self) -> String {
        let Some(source) = &self.source else { return self.to_string() };
        let (mut words, mut next) = (source.to_string(), source.source());
        while let Some(cause) = next {
            words.push_str(": ");
            words.push_str(&cause.to_string());
            next = cause.source();
        }
        words
    }
    /// Whether the engine has said this in the log by itself: the database is away, or damaged. Who fails because of it says
    /// no more than a debugging line; see [`complain!`](crate::complain).
    pub fn is_told(&self) -> bool {
        let first = self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static));
        std::iter::successors(first, |error| error.source()).any(|error| {
            use tieline_db::Error as Db;
            matches!(error.downcast_ref(), Some(Db::Away { .. } | Db::Damaged(_)))
        })
    }
    /// Adds a text to the answer.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Error {
        self.extra.push((name, Extra::Text(value.to_string())));
        self
    }
    /// Adds a number to the answer.
    pub fn with_count(mut self, name: &'static str, count: i64) -> Error {
        self.extra.push((name, Extra::Count(count)));
        self
    }
    /// The extra member of this name.
    pub fn extra(&self, name: &str) -> Option<&Extra> {
        self.extra.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl From<tieline_db::Error> for Error {
    fn from(error: tieline_db::Error) -> Error {
        use tieline_db::Error as Db;
        let base = match &error {
            Db::Busy(_) => {
                Error::new(Kind::Unavailable, "unavailable", "Too much work is waiting: try again in a second.")
            }
            Db::Unavailable(_) | Db::Away { .. } | Db::Damaged(_) | Db::Again(_) => Error::new(
                Kind::Unavailable,
                "unavailable",
                "The database cannot take this now: try again in a moment.",
            ),
            _ => Error::new(Kind::Internal, "internal_error", "Something went wrong on our side."),
        };
        Error { source: Some(Box::new(error)), ..base }
    }
}

/// Logs what failed and is tried again, with its causes in words: a warning, unless the engine has told the reason already
/// ([`Error::is_told`](crate::Error::is_told)).
#[macro_export]
macro_rules! complain {
    ($error:expr, $($what:tt)+) => {
        if $error.is_told() {
            tracing::debug!(error = $error.causes(), $($what)+)
        } else {
            tracing::warn!(error = $error.causes(), $($what)+)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_has_told_is_known_however_deep_it_lies() {
        #[derive(Debug, thiserror::Error)]
        #[error("the page cannot be read")]
        struct Page(#[source] tieline_db::Error);
        let away = || tieline_db::Error::Away { why: "no route".into(), passes: true };
        assert!(Error::from(away()).is_told() && Error::internal(Page(away())).is_told());
        assert!(Error::from(tieline_db::Error::Damaged("a page".into())).is_told());
        assert!(!Error::from(tieline_db::Error::Unavailable("disk is full".into())).is_told());
        assert!(!Error::not_found("webhook").is_told());
    }

    #[test]
    fn the_log_gets_causes_in_words() {
        #[derive(Debug, thiserror::Error)]
        #[error("the page cannot be read")]
        struct Page(#[source] tieline_db::Error);
        let full = || tieline_db::Error::Unavailable("database or disk is full".into());
        assert_eq!(Error::from(full()).causes(), "the database cannot do that now: database or disk is full");
        let under = "the page cannot be read: the database cannot do that now: database or disk is full";
        assert_eq!(Error::internal(Page(full())).causes(), under);
        assert_eq!(Error::not_found("webhook").causes(), "not_found: There is no such webhook.");
    }
}
