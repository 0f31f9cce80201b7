//! Reads a JSON request body as a table of fields and reports every wrong one at once.
//!
//! Guarantees: [`read`] gives either the whole value or every field error found (up to [`MAX_ERRORS`], the first of each
//! field), each with RFC 6901 pointer, code and sentence; no bytes make it panic or work more than in proportion to their length; no text
//! that comes out holds NUL, which PostgreSQL cannot store. Unknown members are ignored, of a repeated member the last
//! counts (contract D1.2).
//!
//! ```ignore
//! let command = fields::read(&bytes, |body| {
//!     let contact = body.object("contact").required();
//!     StartOutbound {
//!         external_reference: body.string("externalReference").chars(1..=255).required(),
//!         email: contact.string("email").parse(Email::parse).required(),
//!         channel: body.one_of("channel", CHANNELS).or(Channel::Email),
//!         tags: body.list("tags", 50, |tag| tag.string().chars(1..=100).required()).or_default(),
//!         sent_at: contact.string("sentAt").parse(timestamp).optional(),
//!         metadata: body.raw("metadata").bytes(16 * 1024).optional(),
//!         subject: body.string("subject").patch(), // keep, clear or set
//!     }
//! })?;
//! ```
//!
//! `required` must give a value even where it has just recorded an error, so that the fields after it are read too: it
//! gives a [`Blank`], and [`read`] throws the whole struct away. A blank never leaves this module.
//!
//! Speed: one pass of `serde_json` splits an object into names and raw values; a string without escapes is borrowed
//! from the body; nothing is allocated for a pointer unless its field is wrong.

mod json;
mod rules;
#[cfg(test)]
mod tests;

use self::json::{Count, Items, Members, Storable};
use serde::de::{DeserializeSeed, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::{self, Display, Write};
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;
use tieline_core::error::{Error, FieldError, Kind};
use tieline_core::ids::{Id, Noun};

/// Field errors reported for one request; what comes after is not.
pub const MAX_ERRORS: usize = 100;
/// Members of one object that is read by names: lookups go through all of them.
pub const MAX_MEMBERS: usize = 1000;
/// Nesting of free-form JSON.
pub const MAX_DEPTH: usize = 32;
/// Integers beyond this are not exact in a double, which is what many JSON writers have.
const EXACT_IN_A_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// Reads a body that must be one JSON object.
///
/// Errors: `invalid_json` when it is no JSON in UTF-8, with line and column; `validation_error` with every wrong field.
pub fn read<'a, T>(bytes: &'a [u8], table: impl FnOnce(&Object<'a, '_>) -> T) -> Result<T, Error> {
    let sink = Sink::default();
    let raw = parse(bytes)?;
    let body = Value { raw: Some(raw), at: At::root(&sink, true) }.object().required();
    let value = table(&body);
    sink.finish(value)
}

/// The body as one JSON value, its members untouched.
fn parse(bytes: &[u8]) -> Result<&RawValue, Error> {
    let invalid = |detail: String| Error::new(Kind::Invalid, "invalid_json", detail);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        invalid(format!("The request body is not UTF-8: the byte at offset {} is wrong.", error.valid_up_to()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(invalid("The request body is empty; send a JSON object.".into()));
    }
    serde_json::from_str(text).map_err(|error| {
        invalid(format!("The request body is not JSON: wrong at line {}, column {}.", error.line(), error.column()))
    })
}

/// What a hook says of a value it refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable machine word, e.g. `invalid_value`.
    pub code: &'static str,
    /// The rest of a sentence that begins with the field's name: `must be an email address`, without the full stop.
    pub predicate: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a code of its own.
    pub fn new(code: &'static str, predicate: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { code, predicate: predicate.into() }
    }
}

/// `invalid_value` with this predicate.
impl From<&'static str> for Refusal {
    fn from(predicate: &'static str) -> Refusal {
        Refusal::new("invalid_value", predicate)
    }
}

/// `invalid_value` with this predicate.
impl From<String> for Refusal {
    fn from(predicate: String) -> Refusal {
        Refusal::new("invalid_value", predicate)
    }
}

/// Where the errors of one request gather.
#[derive(Default)]
pub(super) struct Sink(RefCell<Vec<FieldError>>);

impl Sink {
    /// The value if nothing was wrong, else everything that was.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Error> {
        let fields = self.0.into_inner();
        if fields.is_empty() {
            return Ok(value);
        }
        let mut error = Error::invalid(fields);
        // A cursor has a code of its own in the contract; beside other errors it is one field of many.
        if let [only] = error.fields.as_slice()
            && only.code == "invalid_cursor"
        {
            error.code = only.code;
        }
        Err(error)
    }
}

/// A place in the request, as a chain up to its root; becomes a pointer only when something is wrong there.
#[derive(Clone, Copy)]
pub(super) struct At<'o> {
    sink: &'o Sink,
    parent: Option<&'o At<'o>>,
    key: Key<'o>,
    /// Below something that is already reported: say nothing more.
    muted: bool,
    /// Pointers (a body) or bare names (a query).
    in_body: bool,
}

#[derive(Clone, Copy)]
enum Key<'o> {
    Root,
    Name(&'o str),
    Index(usize),
}

impl<'o> At<'o> {
    pub(super) fn root(sink: &'o Sink, in_body: bool) -> At<'o> {
        At { sink, parent: None, key: Key::Root, muted: false, in_body }
    }

    pub(super) fn name(&'o self, name: &'o str) -> At<'o> {
        At { parent: Some(self), key: Key::Name(name), ..*self }
    }

    fn index(&'o self, index: usize) -> At<'o> {
        At { parent: Some(self), key: Key::Index(index), ..*self }
    }

    pub(super) fn refuse(&self, code: &'static str, predicate: impl Display) {
        let mut errors = self.sink.0.borrow_mut();
        if !self.muted && errors.len() < MAX_ERRORS {
            let pointer = self.pointer();
            // A reader may look at a member twice, first for its value, then for its being there.
            if errors.iter().any(|known| known.pointer == pointer) {
                return;
            }
            errors.push(FieldError { pointer, code, message: format!("{self} {predicate}.") });
        }
    }

    fn pointer(&self) -> String {
        let mut pointer = self.parent.map(At::pointer).unwrap_or_default();
        match self.key {
            Key::Root => {}
            Key::Name(name) if self.in_body => {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Key::Name(name) => pointer.push_str(name),
            Key::Index(index) => {
                let _ = write!(pointer, "/{index}");
            }
        }
        pointer
    }
}

/// The place as people write it: `contact.email`, `tags[3]`.
impl Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.parent, self.key) {
            (_, Key::Root) => f.write_str("The request body"),
            (Some(At { key: Key::Root, .. }) | None, Key::Name(name)) => f.write_str(name),
            (Some(parent), Key::Name(name)) => write!(f, "{parent}.{name}"),
            (Some(parent), Key::Index(index)) => write!(f, "{parent}[{index}]"),
            (None, Key::Index(index)) => write!(f, "[{index}]"),
        }
    }
}

/// An object of the request, split into its members.
pub struct Object<'a, 'o> {
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
    at: At<'o>,
}

impl<'a> Object<'a, '_> {
    /// A member of any type.
    pub fn get<'s>(&'s self, name: &'s str) -> Value<'a, 's> {
        let found = self.members.iter().rev().find(|(known, _)| known == name);
        Value { raw: found.map(|(_, raw)| *raw), at: self.at.name(name) }
    }
    /// A text; see [`Value::string`].
    pub fn string<'s>(&'s self, name: &'s str) -> Field<'s, Cow<'a, str>> {
        self.get(name).string()
    }
    /// One word of a table; see [`Field::one_of`].
    pub fn one_of<'s, T: Copy>(&'s self, name: &'s str, words: &'s [(&'s str, T)]) -> OneOf<'s, T> {
        self.get(name).string().one_of(words)
    }
    /// An id with its prefix, `conv_…`.
    pub fn id<'s, N: Noun>(&'s self, name: &'s str) -> Field<'s, Id<N>> {
        self.get(name).string().id()
    }
    /// A whole number; see [`Value::integer`].
    pub fn integer<'s>(&'s self, name: &'s str) -> Field<'s, i64> {
        self.get(name).integer()
    }
    /// A finite number.
    pub fn number<'s>(&'s self, name: &'s str) -> Field<'s, f64> {
        self.get(name).number()
    }
    /// `true` or `false`.
    pub fn boolean<'s>(&'s self, name: &'s str) -> Field<'s, bool> {
        self.get(name).boolean()
    }
    /// An object inside; bind it to a variable, then read its members from it.
    pub fn object<'s>(&'s self, name: &'s str) -> ObjectField<'a, 's> {
        self.get(name).object()
    }
    /// An array of at most `max` items; see [`Value::list`].
    pub fn list<'s, T>(&'s self, name: &'s str, max: usize, item: impl FnMut(Value<'a, '_>) -> T) -> Field<'s, Vec<T>> {
        self.get(name).list(max, item)
    }
    /// Free-form JSON as its own bytes; see [`Value::raw`].
    pub fn raw<'s>(&'s self, name: &'s str) -> Field<'s, &'a RawValue> {
        self.get(name).raw()
    }
    /// Every member in the order sent, of repeated ones each; for objects whose keys are the client's own.
    pub fn members<'s>(&'s self) -> impl Iterator<Item = (&'s str, Value<'a, 's>)> {
        let at = &self.at;
        self.members.iter().map(move |(name, raw)| (name.as_ref(), Value { raw: Some(raw), at: at.name(name) }))
    }
    /// Number of members sent.
    pub fn len(&self) -> usize {
        self.members.len()
    }
    /// Whether it is `{}`.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
    /// Records an error of a member that only a look at several shows, e.g. `snoozedUntil` when `status` is `snoozed`.
    pub fn refuse(&self, name: &str, refusal: impl Into<Refusal>) {
        let refusal = refusal.into();
        self.at.name(name).refuse(refusal.code, refusal.predicate);
    }
    /// Records an error of the object as a whole.
    pub fn refuse_all(&self, refusal: impl Into<Refusal>) {
        let refusal = refusal.into();
        self.at.refuse(refusal.code, refusal.predicate);
    }
}

/// A value of the request before it has a type: a member, or an item of a list.
pub struct Value<'a, 'o> {
    raw: Option<&'a RawValue>,
    at: At<'o>,
}

impl<'a, 'o> Value<'a, 'o> {
    fn field<T>(self, expected: &str, read: impl FnOnce(&'a str) -> Result<T, Option<Refusal>>) -> Field<'o, T> {
        let at = self.at;
        let state = match self.raw.map(RawValue::get) {
            None => State::Missing,
            Some("null") => State::Null,
            Some(text) => match read(text) {
                Ok(value) => State::Have(value),
                Err(Some(refusal)) => at.refused(refusal),
                Err(None) => {
                    at.refused(Refusal::new("invalid_type", format!("must be {expected}, not {}", kind(text))))
                }
            },
        };
        Field { state, at }
    }

    /// A text, borrowed from the body unless it has escapes. Refuses NUL and halves of surrogate pairs.
    pub fn string(self) -> Field<'o, Cow<'a, str>> {
        self.field("a string", |text| {
            let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(None)?;
            if !inner.contains('\\') {
                return Ok(Cow::Borrowed(inner)); // the parser has refused bare control characters already
            }
            let owned: String = serde_json::from_str(text).map_err(|_| Some("must be valid Unicode text".into()))?;
            if owned.contains('\0') { Err(Some(NUL.into())) } else { Ok(Cow::Owned(owned)) }
        })
    }

    /// A whole number, also written as `1.0` or `1e3`.
    pub fn integer(self) -> Field<'o, i64> {
        self.field("an integer", |text| {
            if let Ok(integer) = text.parse() {
                return Ok(integer);
            }
            let number = number(text).ok_or(None)?;
            if number.abs() > EXACT_IN_A_DOUBLE {
                return Err(Some(Refusal::new("out_of_range", "is too large")));
            }
            if number.fract() != 0.0 {
                return Err(Some(Refusal::new("invalid_type", "must be an integer, not a fraction")));
            }
            Ok(number as i64)
        })
    }

    /// A finite number.
    pub fn number(self) -> Field<'o, f64> {
        self.field("a number", |text| {
            let number = number(text).ok_or(None)?;
            if number.is_finite() { Ok(number) } else { Err(Some(Refusal::new("out_of_range", "is too large"))) }
        })
    }

    /// `true` or `false`.
    pub fn boolean(self) -> Field<'o, bool> {
        self.field("true or false", |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(None),
        })
    }

    /// An object, split into its members; more than [`MAX_MEMBERS`] are one error.
    pub fn object(self) -> ObjectField<'a, 'o> {
        ObjectField(self.field("an object", |text| {
            if !text.starts_with('{') {
                return Err(None);
            }
            let too_many = || Refusal::new("too_many", format!("may have at most {MAX_MEMBERS} members"));
            let members: Members = serde_json::from_str(text).map_err(|error| {
                // The text is JSON; only a name with half a surrogate pair fails here.
                Some(if error.is_data() { too_many() } else { "must have valid Unicode names".into() })
            })?;
            Ok(members.0)
        }))
    }

    /// An array of at most `max` items, each read by `item`. One item too many is one error, and no item is read.
    pub fn list<T>(self, max: usize, mut item: impl FnMut(Value<'a, '_>) -> T) -> Field<'o, Vec<T>> {
        let Field { state, at } = self.field("an array", |text| {
            if !text.starts_with('[') {
                return Err(None);
            }
            let mut json = serde_json::Deserializer::from_str(text);
            let items = json.deserialize_seq(Items(max));
            items.map_err(|_| Some(Refusal::new("too_many", format!("may have at most {max} items"))))
        });
        let state = state.map(|items| {
            let read = |(index, raw)| item(Value { raw: Some(raw), at: at.index(index) });
            items.into_iter().enumerate().map(read).collect()
        });
        Field { state, at }
    }

    /// Free-form JSON as its own bytes, checked to be storable and readable later: nesting of at most [`MAX_DEPTH`], no
    /// NUL in any text, no number beyond a double. `null` inside is kept; `null` as a whole is null.
    pub fn raw(self) -> Field<'o, &'a RawValue> {
        let raw = self.raw;
        self.field("JSON", |text| {
            let mut json = serde_json::Deserializer::from_str(text);
            let walk = Storable(MAX_DEPTH).deserialize(&mut json);
            walk.map_err(|error| Some(json::storable_refusal(&error)))?;
            raw.ok_or(None)
        })
    }

    /// Reports this value as wrong.
    pub fn refuse(&self, refusal: impl Into<Refusal>) {
        let refusal = refusal.into();
        self.at.refuse(refusal.code, refusal.predicate);
    }
}

/// What is said of a text with NUL in it.
pub(super) const NUL: &str = "must not contain the NUL character";

/// What a JSON text is, by its first byte.
fn kind(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A JSON number as a double (infinite if beyond); `None` for other JSON.
fn number(text: &str) -> Option<f64> {
    // Rust would also take `inf` and `nan`, which are not JSON and do not get here.
    if kind(text) == "a number" { text.parse().ok() } else { None }
}

/// State of a field on its way to a value.
pub(super) enum State<T> {
    Missing,
    Null,
    /// Wrong, and reported.
    Refused,
    Have(T),
}

impl<T> State<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> State<U> {
        match self {
            State::Missing => State::Missing,
            State::Null => State::Null,
            State::Refused => State::Refused,
            State::Have(value) => State::Have(f(value)),
        }
    }
}

impl At<'_> {
    fn refused<T>(&self, refusal: Refusal) -> State<T> {
        self.refuse(refusal.code, refusal.predicate);
        State::Refused
    }
}

/// A typed field on its way to a value: constrain it, then end with [`required`](Field::required),
/// [`optional`](Field::optional), [`or`](Field::or) or [`patch`](Field::patch).
#[must_use = "end with required, optional, or, patch"]
pub struct Field<'o, T> {
    pub(super) state: State<T>,
    pub(super) at: At<'o>,
}

/// What a merge-patch says of a field (RFC 7396): missing, null, or a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Not mentioned.
    #[default]
    Keep,
    /// Null.
    Clear,
    /// A value.
    Set(T),
}

impl<T> Patch<T> {
    /// Maps the value to set.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(value) => Patch::Set(f(value)),
        }
    }
}

/// A value to go on with where an error was recorded; it is thrown away with the struct it goes into.
pub trait Blank {
    /// Any value.
    fn blank() -> Self;
}

macro_rules! blank {
    ($($ty:ty = $value:expr),+ $(,)?) => { $(impl Blank for $ty { fn blank() -> Self { $value } })+ };
}
blank!(String = String::new(), Cow<'_, str> = Cow::Borrowed(""), i64 = 0, u32 = 0, usize = 0, f64 = 0.0, bool = false);
impl<T> Blank for Vec<T> {
    fn blank() -> Self {
        Vec::new()
    }
}
impl<T> Blank for Option<T> {
    fn blank() -> Self {
        None
    }
}
impl<N> Blank for Id<N> {
    fn blank() -> Self {
        Id::from_uuid(uuid::Uuid::nil())
    }
}
impl Blank for &RawValue {
    fn blank() -> Self {
        RawValue::NULL
    }
}

/// A word of a table on its way to a value. Required, it needs no [`Blank`]: the table has values enough.
#[must_use = "end with required, optional, or, patch"]
pub struct OneOf<'o, T> {
    field: Field<'o, T>,
    words: &'o [(&'o str, T)],
}

impl<'o, T: Copy> OneOf<'o, T> {
    /// The value; missing or null is `required`. Panics on an empty table.
    pub fn required(self) -> T {
        let words = self.words;
        self.field.required_or_blank(|| words[0].1)
    }
    /// The value, or none if missing or null.
    pub fn optional(self) -> Option<T> {
        self.field.optional()
    }
    /// The value, or this one if missing or null.
    pub fn or(self, default: T) -> T {
        self.field.or(default)
    }
    /// Missing, null and a value told apart.
    pub fn patch(self) -> Patch<T> {
        self.field.patch()
    }
    /// Refuses null; see [`Field::not_null`].
    pub fn not_null(self) -> OneOf<'o, T> {
        OneOf { field: self.field.not_null(), words: self.words }
    }
    /// Goes on as a plain field.
    pub fn field(self) -> Field<'o, T> {
        self.field
    }
}

/// An object inside another on its way to being read.
#[must_use = "end with required, optional, patch"]
pub struct ObjectField<'a, 'o>(Field<'o, Vec<(Cow<'a, str>, &'a RawValue)>>);

impl<'a, 'o> ObjectField<'a, 'o> {
    /// The object. If it is missing or wrong that is the one error; its members report nothing on top.
    pub fn required(self) -> Object<'a, 'o> {
        let mut at = self.0.at;
        let members = self.0.not_null().present();
        at.muted |= members.is_none();
        Object { members: members.unwrap_or_default(), at }
    }
    /// The object, or none if missing or null.
    pub fn optional(self) -> Option<Object<'a, 'o>> {
        let at = self.0.at;
        self.0.optional().map(|members| Object { members, at })
    }
    /// Missing, null and an object told apart.
    pub fn patch(self) -> Patch<Object<'a, 'o>> {
        let at = self.0.at;
        self.0.patch().map(|members| Object { members, at })
    }
}
