//! What a field may be asked to be, and how it ends.

use super::*;

impl<'o, T> Field<'o, T> {
    /// The value; missing or null is `required`.
    pub fn required(self) -> T
    where
        T: Blank,
    {
        self.required_or_blank(T::blank)
    }
    /// As [`required`](Field::required) for a type without [`Blank`]: `blank` gives any value of it.
    pub fn required_or_blank(self, blank: impl FnOnce() -> T) -> T {
        self.not_null().present().unwrap_or_else(blank)
    }
    /// The value, or none if missing or null.
    pub fn optional(self) -> Option<T> {
        match self.state {
            State::Have(value) => Some(value),
            _ => None,
        }
    }
    /// The value, or this one if missing or null.
    pub fn or(self, default: T) -> T {
        self.optional().unwrap_or(default)
    }
    /// The value, or the type's default if missing or null.
    pub fn or_default(self) -> T
    where
        T: Default,
    {
        self.optional().unwrap_or_default()
    }
    /// Missing, null and a value told apart; for fields that null clears.
    pub fn patch(self) -> Patch<T> {
        match self.state {
            State::Have(value) => Patch::Set(value),
            State::Null => Patch::Clear,
            State::Missing | State::Refused => Patch::Keep,
        }
    }
    /// Refuses null; for patches of fields that cannot be cleared: `.not_null().optional()`.
    pub fn not_null(self) -> Field<'o, T> {
        let state = match self.state {
            State::Null => self.at.refused(Refusal::new("required", "is required and must not be null")),
            other => other,
        };
        Field { state, at: self.at }
    }
    pub(super) fn present(self) -> Option<T> {
        if let State::Missing = self.state {
            self.at.refuse("required", "is required");
        }
        self.optional()
    }
    /// Turns the value into another or refuses it; the hook for timestamps, addresses and every other rule.
    pub fn parse<U, R: Into<Refusal>>(self, parse: impl FnOnce(T) -> Result<U, R>) -> Field<'o, U> {
        let state = match self.state {
            State::Missing => State::Missing,
            State::Null => State::Null,
            State::Refused => State::Refused,
            State::Have(value) => match parse(value) {
                Ok(value) => State::Have(value),
                Err(refusal) => self.at.refused(refusal.into()),
            },
        };
        Field { state, at: self.at }
    }
    /// Refuses the value unless this holds.
    pub fn check(self, holds: impl FnOnce(&T) -> bool, otherwise: impl Into<Refusal>) -> Field<'o, T> {
        self.parse(|value| if holds(&value) { Ok(value) } else { Err(otherwise.into()) })
    }
    /// Turns the value into another.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Field<'o, U> {
        Field { state: self.state.map(f), at: self.at }
    }
}

impl<'a, 'o> Field<'o, Cow<'a, str>> {
    /// Bounds of its length in Unicode characters.
    pub fn chars(self, range: impl RangeBounds<usize>) -> Field<'o, Cow<'a, str>> {
        self.length(range, "characters", |text, cap| {
            // A text of few bytes has no more characters; beyond the cap the exact count does not matter.
            if text.is_ascii() { text.len() } else { text.chars().take(cap).count() }
        })
    }
    /// Bounds of its length in bytes of UTF-8.
    pub fn bytes(self, range: impl RangeBounds<usize>) -> Field<'o, Cow<'a, str>> {
        self.length(range, "bytes", |text, _| text.len())
    }
    pub(super) fn length(
        self,
        range: impl RangeBounds<usize>,
        unit: &str,
        count: impl FnOnce(&str, usize) -> usize,
    ) -> Field<'o, Cow<'a, str>> {
        let (min, max) = bounds(&range);
        self.parse(|text| {
            let length = count(&text, max.saturating_add(1));
            if length > max {
                Err(Refusal::new("too_long", format!("must have at most {max} {unit}")))
            } else if length < min && min == 1 {
                Err(Refusal::new("too_short", "must not be empty"))
            } else if length < min {
                Err(Refusal::new("too_short", format!("must have at least {min} {unit}")))
            } else {
                Ok(text)
            }
        })
    }
    /// Without white space at both ends.
    pub fn trimmed(self) -> Field<'o, Cow<'a, str>> {
        self.map(|text| match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        })
    }
    /// As a `String`.
    pub fn owned(self) -> Field<'o, String> {
        self.map(Cow::into_owned)
    }
    /// One word of this table; the message lists them all.
    pub fn one_of<T: Copy>(self, words: &'o [(&'o str, T)]) -> OneOf<'o, T> {
        let field = self.parse(|text| {
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                Refusal::new("invalid_value", format!("must be one of {}", known.join(", ")))
            })
        });
        OneOf { field, words }
    }
    /// By the type's own `FromStr`; `what` completes `must be …`.
    pub fn parse_as<T: FromStr>(self, what: &'static str) -> Field<'o, T> {
        self.parse(|text| text.parse().map_err(|_| format!("must be {what}")))
    }
    /// An id with its prefix.
    pub fn id<N: Noun>(self) -> Field<'o, Id<N>> {
        self.parse(|text| text.parse().map_err(|_| format!("must be an id such as {}_…", N::PREFIX)))
    }
}

impl<'o> Field<'o, i64> {
    /// Bounds of the number.
    pub fn within(self, range: impl RangeBounds<i64>) -> Field<'o, i64> {
        self.parse(|value| {
            if range.contains(&value) {
                return Ok(value);
            }
            Err(Refusal::new("out_of_range", between(range.start_bound().cloned(), range.end_bound().cloned())))
        })
    }
}

impl<'o> Field<'o, f64> {
    /// Bounds of the number.
    pub fn within(self, range: impl RangeBounds<f64>) -> Field<'o, f64> {
        self.parse(|value| {
            if range.contains(&value) {
                return Ok(value);
            }
            Err(Refusal::new("out_of_range", between(range.start_bound().cloned(), range.end_bound().cloned())))
        })
    }
}

impl<'a, 'o> Field<'o, &'a RawValue> {
    /// At most this many bytes as sent.
    pub fn bytes(self, max: usize) -> Field<'o, &'a RawValue> {
        self.check(
            |raw| raw.get().len() <= max,
            Refusal::new("too_long", format!("must have at most {max} bytes of JSON")),
        )
    }
    /// Must be an object of at most this many members.
    pub fn object(self, max_members: usize) -> Field<'o, &'a RawValue> {
        self.parse(|raw| {
            if !raw.get().starts_with('{') {
                return Err(Refusal::new("invalid_type", format!("must be an object, not {}", kind(raw.get()))));
            }
            // Never fails: the text is JSON whose texts were checked by `raw`.
            let Count(members) = serde_json::from_str(raw.get()).unwrap_or(Count(usize::MAX));
            if members > max_members {
                return Err(Refusal::new("too_many", format!("may have at most {max_members} members")));
            }
            Ok(raw)
        })
    }
    /// As a tree, for rules that look inside.
    pub fn tree(self) -> Field<'o, serde_json::Value> {
        self.parse(|raw| serde_json::from_str(raw.get()).map_err(|_| "must be JSON"))
    }
}

impl<'o, T> Field<'o, Vec<T>> {
    /// At least this many items.
    pub fn at_least(self, min: usize) -> Field<'o, Vec<T>> {
        let few = if min == 1 { "must not be empty".to_owned() } else { format!("must have at least {min} items") };
        self.check(|items| items.len() >= min, Refusal::new("too_short", few))
    }
}

/// Inclusive bounds of a length.
fn bounds(range: &impl RangeBounds<usize>) -> (usize, usize) {
    let min = match range.start_bound() {
        Bound::Included(min) => *min,
        Bound::Excluded(below) => below.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let max = match range.end_bound() {
        Bound::Included(max) => *max,
        Bound::Excluded(above) => above.saturating_sub(1),
        Bound::Unbounded => usize::MAX,
    };
    (min, max)
}

/// `must be between 1 and 100`, or the one bound there is.
fn between<T: Display>(start: Bound<T>, end: Bound<T>) -> String {
    let low = match start {
        Bound::Included(low) => Some(format!("at least {low}")),
        Bound::Excluded(low) => Some(format!("more than {low}")),
        Bound::Unbounded => None,
    };
    let high = match end {
        Bound::Included(high) => Some(format!("at most {high}")),
        Bound::Excluded(high) => Some(format!("less than {high}")),
        Bound::Unbounded => None,
    };
    let both: Vec<_> = low.into_iter().chain(high).collect();
    format!("must be {}", both.join(" and "))
}
