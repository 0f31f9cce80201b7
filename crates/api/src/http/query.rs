//! Reads a query string as a table of parameters and reports every wrong one at once, as [`super::fields`] does.
//!
//! Guarantees: each error's field is the parameter's name; no string makes it panic; text that comes out is UTF-8
//! without NUL. Unknown parameters are ignored. A parameter that is one value and is given twice is an error: to pick
//! one in silence would filter by what the caller did not mean.

use super::cursor::Cursor;
use super::fields::{At, Field, NUL, OneOf, Refusal, Sink, State};
use std::borrow::Cow;
use std::str::FromStr;
use tieline_core::error::Error;
use tieline_core::ids::{Id, Noun};

/// Parameters read of one query string.
pub const MAX_PARAMETERS: usize = 100;
/// Rows of a page where `limit` is not given (contract D1.3).
pub const DEFAULT_LIMIT: usize = 20;
/// Most rows of a page.
pub const MAX_LIMIT: i64 = 100;

/// Reads the query string of a request; `None` is an empty one.
pub fn read<T>(query: Option<&str>, table: impl FnOnce(&Query<'_, '_>) -> T) -> Result<T, Error> {
    let sink = Sink::default();
    let at = At::root(&sink, false);
    let pairs = query.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    let mut parameters: Vec<_> = pairs.take(MAX_PARAMETERS + 1).map(parameter).collect();
    if parameters.len() > MAX_PARAMETERS {
        parameters.clear();
        let too_many = at.name("query");
        too_many.refuse("too_many", format_args!("may have at most {MAX_PARAMETERS} parameters"));
    }
    let value = table(&Query { parameters, at });
    sink.finish(value)
}

/// One `name=value`. A name that is not UTF-8 matches nothing we know.
fn parameter(pair: &str) -> (Cow<'_, str>, Option<Cow<'_, str>>) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decoded(name).unwrap_or_default(), decoded(value))
}

/// Percent-decoding with `+` as a space; a `%` without two hexadecimal digits stands for itself. `None` if not UTF-8.
pub(crate) fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'+', rest @ ..] => {
                bytes.push(b' ');
                rest
            }
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(hex(*high) * 16 + hex(*low));
                rest
            }
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |value| value as u8)
}

/// The parameters of one request.
pub struct Query<'q, 'o> {
    parameters: Vec<(Cow<'q, str>, Option<Cow<'q, str>>)>,
    at: At<'o>,
}

impl<'q> Query<'q, '_> {
    /// A text; an empty one is a text too.
    pub fn text<'s>(&'s self, name: &'s str) -> Field<'s, Cow<'q, str>> {
        let mut given = self.parameters.iter().filter(|(known, _)| known == name);
        let at = self.at.name(name);
        let field = Field { state: given.next().map_or(State::Missing, |(_, value)| State::Have(value.clone())), at };
        let repeated = given.next().is_some();
        let field = field.check(|_| !repeated, "may be given only once");
        field.parse(readable)
    }

    /// Every value of a repeatable parameter, `tag=a&tag=b`, in the order given; more than `max` are one error.
    pub fn all<'s, T>(
        &'s self,
        name: &'s str,
        max: usize,
        mut item: impl FnMut(Field<'s, Cow<'q, str>>) -> Option<T>,
    ) -> Vec<T> {
        let given = || self.parameters.iter().filter(|(known, _)| known == name);
        let at = self.at.name(name);
        if given().nth(max).is_some() {
            at.refuse("too_many", format_args!("may be given at most {max} times"));
            return Vec::new();
        }
        given().filter_map(|(_, value)| item(Field { state: State::Have(value.clone()), at }.parse(readable))).collect()
    }

    /// One word of a table.
    pub fn one_of<'s, T: Copy>(&'s self, name: &'s str, words: &'s [(&'s str, T)]) -> OneOf<'s, T> {
        self.text(name).one_of(words)
    }

    /// An id with its prefix.
    pub fn id<'s, N: Noun>(&'s self, name: &'s str) -> Field<'s, Id<N>> {
        self.text(name).id()
    }

    /// A whole number.
    pub fn integer<'s>(&'s self, name: &'s str) -> Field<'s, i64> {
        self.text(name)
            .parse(|text| i64::from_str(&text).map_err(|_| Refusal::new("invalid_type", "must be an integer")))
    }

    /// `true` or `false`.
    pub fn boolean<'s>(&'s self, name: &'s str) -> Field<'s, bool> {
        self.text(name).parse(|text| match text.as_ref() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Refusal::new("invalid_type", "must be true or false")),
        })
    }

    /// `limit`: rows of a page, 1 to [`MAX_LIMIT`], [`DEFAULT_LIMIT`] if not given.
    pub fn limit(&self) -> usize {
        self.integer("limit").within(1..=MAX_LIMIT).map(|limit| limit as usize).or(DEFAULT_LIMIT)
    }

    /// `cursor`: where the page before ended; see [`Cursor`] for `list`.
    pub fn cursor(&self, tenant: i64, list: &str) -> Option<Cursor> {
        let refusal = || Refusal::new("invalid_cursor", "is not one of this list; start again without it");
        self.text("cursor").parse(|text| Cursor::decode(&text, tenant, list).ok_or_else(refusal)).optional()
    }
}

/// Refuses what is not UTF-8 or holds NUL.
fn readable(text: Option<Cow<'_, str>>) -> Result<Cow<'_, str>, Refusal> {
    match text {
        None => Err("must be UTF-8".into()),
        Some(text) if text.contains('\0') => Err(NUL.into()),
        Some(text) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tieline_core::ids::{ContactId, ContactNoun};

    type Row = (usize, Option<String>, Option<char>, Option<ContactId>, Vec<String>, Option<bool>);

    fn list(query: &str) -> Result<Row, Error> {
        read(Some(query), |q| {
            q.cursor(1, "contacts");
            (
                q.limit(),
                q.text("search").chars(1..=20).owned().optional(),
                q.one_of("status", &[("active", 'a'), ("done", 'd')]).optional(),
                q.id::<ContactNoun>("contactId").optional(),
                q.all("tag", 2, |tag| tag.chars(1..).owned().optional()),
                q.boolean("archived").optional(),
            )
        })
    }

    #[test]
    fn parameters_are_decoded() {
        let id = "con_01920000000070008000000000000001";
        let row = list(&format!(
            "limit=7&search=a%20b+%C3%A9%&status=done&contactId={id}&tag=x&tag=y&q=%FF&archived=true&&="
        ));
        let expected =
            (7, Some("a b é%".to_owned()), Some('d'), id.parse().ok(), vec!["x".into(), "y".into()], Some(true));
        assert_eq!(row.unwrap(), expected);
        assert_eq!(read(None, |q| q.limit()).unwrap(), DEFAULT_LIMIT);
    }

    #[test]
    fn every_wrong_parameter_is_reported_by_its_name() {
        let error =
            list("limit=0&search=%FF&status=gone&contactId=conv_1&tag=a&tag=b&tag=c&cursor=x&archived=1").unwrap_err();
        assert_eq!(error.code, "validation_error");
        let mut found: Vec<_> =
            error.fields.iter().map(|f| format!("{} {}: {}", f.pointer, f.code, f.message)).collect();
        found.sort();
        assert_eq!(
            found,
            [
                "archived invalid_type: archived must be true or false.",
                "contactId invalid_value: contactId must be an id such as con_….",
                "cursor invalid_cursor: cursor is not one of this list; start again without it.",
                "limit out_of_range: limit must be at least 1 and at most 100.",
                "search invalid_value: search must be UTF-8.",
                "status invalid_value: status must be one of active, done.",
                "tag too_many: tag may be given at most 2 times.",
            ]
        );
    }

    #[test]
    fn single_mistakes() {
        for (query, field, code) in [
            ("limit=101", "limit", "out_of_range"),
            ("limit=x", "limit", "invalid_type"),
            ("limit=", "limit", "invalid_type"),
            ("limit=1&limit=1", "limit", "invalid_value"),
            ("search=", "search", "too_short"),
            ("search=%00", "search", "invalid_value"),
            ("tag=%00", "tag", "invalid_value"),
        ] {
            let error = list(query).unwrap_err();
            assert_eq!((error.fields[0].pointer.as_str(), error.fields[0].code), (field, code), "{query}");
            assert_eq!(error.fields.len(), 1, "{query}");
        }
        assert_eq!(list(&"a=1&".repeat(MAX_PARAMETERS + 1)).unwrap_err().fields[0].code, "too_many");
        assert!(list(&"a=1&".repeat(MAX_PARAMETERS)).is_ok());
    }

    #[test]
    fn a_wrong_cursor_alone_is_a_code_of_its_own() {
        let foreign = Cursor { key: 1, id: uuid::Uuid::nil() }.encode(2, "contacts");
        let error = list(&format!("cursor={foreign}")).unwrap_err();
        assert_eq!((error.code, error.fields.len()), ("invalid_cursor", 1));
        let own = Cursor { key: 1, id: uuid::Uuid::nil() }.encode(1, "contacts");
        assert!(list(&format!("cursor={own}")).is_ok());
    }

    proptest! {
        #[test]
        fn no_query_panics(query in "[a-z%&=+0-9A-F\\PC]{0,80}|((limit|cursor|tag|search)=(%[0-9A-F]{2}|[a-z+&]){0,8}&?){0,6}") {
            let _ = list(&query);
        }

        #[test]
        fn every_text_survives_its_encoding(text in "[^\u{0}]{1,10}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(list(&format!("search={encoded}")).unwrap().1, Some(text));
        }
    }
}
