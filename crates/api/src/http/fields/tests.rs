use super::*;
use proptest::prelude::*;
use tieline_core::ids::{ConversationId, ConversationNoun};

#[derive(Debug, PartialEq)]
struct Outbound<'a> {
    reference: Cow<'a, str>,
    email: Cow<'a, str>,
    channel: char,
    tags: Vec<Cow<'a, str>>,
    count: Option<i64>,
    urgent: bool,
    subject: Patch<Cow<'a, str>>,
    metadata: Option<&'a str>,
    parent: Option<ConversationId>,
}

fn outbound(bytes: &[u8]) -> Result<Outbound<'_>, Error> {
    read(bytes, |body| {
        let contact = body.object("contact").required();
        Outbound {
            reference: body.string("externalReference").chars(1..=10).required(),
            email: contact
                .string("email")
                .trimmed()
                .check(|email| email.contains('@'), "must be an email address")
                .required(),
            channel: body.one_of("channel", &[("email", 'e'), ("sms", 's')]).or('e'),
            tags: body.list("tags", 3, |tag| tag.string().chars(1..=5).required()).or_default(),
            count: body.integer("count").within(1..=100).optional(),
            urgent: body.boolean("urgent").or(false),
            subject: body.string("subject").patch(),
            metadata: body.raw("metadata").bytes(100).object(2).map(RawValue::get).optional(),
            parent: body.id::<ConversationNoun>("parentId").optional(),
        }
    })
}

/// `pointer code message` of every error.
fn errors(body: &str) -> Vec<String> {
    let error = outbound(body.as_bytes()).expect_err(body);
    assert_eq!((error.kind, error.code), (Kind::Invalid, "validation_error"), "{error}");
    error.fields.iter().map(|f| format!("{} {} {}", f.pointer, f.code, f.message)).collect()
}

#[test]
fn a_whole_body_is_read_and_borrowed() {
    let body =
        br#"{"externalReference":"o-1","contact":{"email":" a@b.c ","x":1},"channel":"sms","tags":["a","\u00e9"],
        "count":1e1,"urgent":true,"subject":null,"metadata":{"a":[1,null]},"parentId":null,"unknown":{}}"#;
    let read = outbound(body).unwrap();
    assert!(matches!(read.reference, Cow::Borrowed(_)));
    let expected = Outbound {
        reference: "o-1".into(),
        email: "a@b.c".into(),
        channel: 's',
        tags: vec!["a".into(), "é".into()],
        count: Some(10),
        urgent: true,
        subject: Patch::Clear,
        metadata: Some(r#"{"a":[1,null]}"#),
        parent: None,
    };
    assert_eq!(read, expected);
}

#[test]
fn every_wrong_field_is_reported_at_once() {
    let body = r#"{"externalReference":"","contact":{"email":7},"channel":"fax","tags":["toolong",null,3],
        "count":101,"urgent":"yes","subject":[],"metadata":{"a":1,"b":2,"c":3},"parentId":"msg_1"}"#;
    assert_eq!(
        errors(body),
        [
            "/externalReference too_short externalReference must not be empty.",
            "/contact/email invalid_type contact.email must be a string, not a number.",
            "/channel invalid_value channel must be one of email, sms.",
            "/tags/0 too_long tags[0] must have at most 5 characters.",
            "/tags/1 required tags[1] is required and must not be null.",
            "/tags/2 invalid_type tags[2] must be a string, not a number.",
            "/count out_of_range count must be at least 1 and at most 100.",
            "/urgent invalid_type urgent must be true or false, not a string.",
            "/subject invalid_type subject must be a string, not an array.",
            "/metadata too_many metadata may have at most 2 members.",
            "/parentId invalid_value parentId must be an id such as conv_….",
        ]
    );
}

#[test]
fn single_mistakes() {
    // Each body is a good one with one member replaced by what stands here.
    let table = [
        (r#""contact":null"#, "/contact required contact is required and must not be null."),
        (r#""contact":[]"#, "/contact invalid_type contact must be an object, not an array."),
        (r#""contact":{}"#, "/contact/email required contact.email is required."),
        (
            r#""externalReference":null"#,
            "/externalReference required externalReference is required and must not be null.",
        ),
        (r#""externalReference":"a\u0000"#, ""),
        (
            r#""externalReference":"a\u0000b""#,
            "/externalReference invalid_value externalReference must not contain the NUL character.",
        ),
        (
            r#""externalReference":"\ud800""#,
            "/externalReference invalid_value externalReference must be valid Unicode text.",
        ),
        (r#""count":1.5"#, "/count invalid_type count must be an integer, not a fraction."),
        (r#""count":9223372036854775808"#, "/count out_of_range count is too large."),
        (r#""count":1e999"#, "/count out_of_range count is too large."),
        (r#""tags":["a","b","c","d"]"#, "/tags too_many tags may have at most 3 items."),
        (r#""metadata":{"a":"\u0000"}"#, "/metadata invalid_value metadata must not contain the NUL character."),
        (r#""metadata":{"a\u0000":1}"#, "/metadata invalid_value metadata must not contain the NUL character."),
        (
            r#""metadata":{"a":1e999}"#,
            "/metadata invalid_value metadata must hold valid Unicode text and numbers that fit a double.",
        ),
        (
            r#""metadata":{"a":"\udfff"}"#,
            "/metadata invalid_value metadata must hold valid Unicode text and numbers that fit a double.",
        ),
        (r#""metadata":[1]"#, "/metadata invalid_type metadata must be an object, not an array."),
    ];
    for (member, expected) in table.iter().filter(|(_, expected)| !expected.is_empty()) {
        let body = format!(r#"{{"externalReference":"o-1","contact":{{"email":"a@b.c"}},{member}}}"#);
        assert_eq!(errors(&body), [*expected]);
    }
    assert_eq!(errors("[1]"), [" invalid_type The request body must be an object, not an array."]);
    assert_eq!(errors("null"), [" required The request body is required and must not be null."]);
}

#[test]
fn what_is_not_json_says_where() {
    for (body, detail) in [
        (&b"{\n  \"a\": x}"[..], "The request body is not JSON: wrong at line 2, column 8."),
        (b"{\"a\":1", "The request body is not JSON: wrong at line 1, column 6."),
        (b"{} {}", "The request body is not JSON: wrong at line 1, column 4."),
        (b" \n", "The request body is empty; send a JSON object."),
        (b"{\"a\":\"\xff\"}", "The request body is not UTF-8: the byte at offset 6 is wrong."),
        (b"{\"a\":\"\x01\"}", "The request body is not JSON: wrong at line 1, column 6."),
    ] {
        let error = outbound(body).expect_err(detail);
        assert_eq!((error.code, error.detail.as_ref()), ("invalid_json", detail));
        assert!(error.fields.is_empty());
    }
}

#[test]
fn of_a_repeated_member_the_last_counts() {
    let body = br#"{"externalReference":"first","contact":{"email":"a@b"},"\u0065xternalReference":"last"}"#;
    assert_eq!(outbound(body).unwrap().reference, "last");
}

#[test]
fn a_patch_tells_missing_null_and_value_apart() {
    let subject = |member: &str| {
        let body = format!(r#"{{"x":0{member}}}"#);
        read(body.as_bytes(), |body| body.string("subject").owned().patch()).unwrap()
    };
    assert_eq!(subject(""), Patch::Keep);
    assert_eq!(subject(r#","subject":null"#), Patch::Clear);
    assert_eq!(subject(r#","subject":"s""#), Patch::Set("s".to_owned()));
    let fixed = |body: &'static str| read(body.as_bytes(), |body| body.integer("n").not_null().optional());
    assert_eq!(fixed("{}").unwrap(), None);
    assert_eq!(fixed(r#"{"n":null}"#).unwrap_err().fields[0].code, "required");
}

#[test]
fn floods_are_one_clear_error_each() {
    let tags = format!(r#"{{"tags":[{}1]}}"#, "\"\\u0000\",".repeat(100_000));
    let found = errors(&tags);
    assert!(found.contains(&"/tags too_many tags may have at most 3 items.".to_owned()), "{found:?}");
    assert_eq!(found.len(), 3, "contact, externalReference, tags: {found:?}");

    let members = format!("{{{}\"z\":1}}", "\"a\":1,".repeat(MAX_MEMBERS));
    assert_eq!(errors(&members), [format!(" too_many The request body may have at most {MAX_MEMBERS} members.")]);

    let many = format!(r#"{{"list":[{}0]}}"#, "0,".repeat(500));
    let error = read(many.as_bytes(), |body| body.list("list", 1000, |item| item.string().required()).required());
    assert_eq!(error.unwrap_err().fields.len(), MAX_ERRORS);

    let deep = format!(r#"{{"metadata":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    let error = read(deep.as_bytes(), |body| body.raw("metadata").map(RawValue::get).optional().is_some());
    assert_eq!(error.unwrap_err().fields[0].code, "too_deep");
    let deep = |levels: usize| format!(r#"{{"m":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let fits = |body: String| read(body.as_bytes(), |body| body.raw("m").required().get().len()).is_ok();
    assert!(fits(deep(MAX_DEPTH)) && !fits(deep(MAX_DEPTH + 1)));
}

#[test]
fn lengths_count_characters_or_bytes() {
    let ok = |text: &str, chars: bool| {
        let body = format!(r#"{{"t":"{text}"}}"#);
        let limited = read(body.as_bytes(), |body| {
            let field = body.string("t");
            if chars { field.chars(2..=3).required().len() } else { field.bytes(2..4).required().len() }
        });
        limited.map_err(|error| error.fields[0].code)
    };
    for (text, by_chars, by_bytes) in [
        ("a", Err("too_short"), Err("too_short")),
        ("é", Err("too_short"), Ok(2)),
        ("éé", Ok(4), Err("too_long")),
        ("abc", Ok(3), Ok(3)),
        ("ééé", Ok(6), Err("too_long")),
        ("éééé", Err("too_long"), Err("too_long")),
    ] {
        assert_eq!((ok(text, true), ok(text, false)), (by_chars, by_bytes), "{text}");
    }
}

#[test]
fn members_of_free_objects_keep_their_pointers() {
    let body = br#"{"customFields":{"a/b":"x","plan":1}}"#;
    let error = read(body, |body| {
        let fields = body.object("customFields").required();
        fields.members().map(|(name, value)| (name.to_owned(), value.integer().required())).collect::<Vec<_>>()
    });
    let error = error.unwrap_err();
    assert_eq!(error.fields[0].pointer, "/customFields/a~1b");
    assert_eq!(error.fields.len(), 1);
}

/// JSON-like noise finds more than pure noise.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just(r#""contact":"#),
        Just(r#""email":"#),
        Just(r#""tags":"#),
        Just(r#""metadata":"#),
        Just(r#""count":"#),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just("null"),
        Just("-1e309"),
        Just(r#""\ud800""#),
        Just(r#""\u0000""#),
        Just("\"é\""),
        Just("1.0"),
        Just("\u{feff}"),
        Just("\\"),
        Just("\""),
    ];
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat().into_bytes()),
    ]
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[\\PC\u{0}]{0,8}".prop_map(Into::into),
    ];
    let name = "contact|email|tags|metadata|count|channel|[\\PC]{0,3}";
    leaf.prop_recursive(3, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::vec((name, inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in noise()) {
        if let Err(error) = outbound(&bytes) {
            prop_assert!(error.code == "invalid_json" || !error.fields.is_empty());
        }
    }

    #[test]
    fn every_json_is_read_or_refused_by_field(value in json()) {
        let bytes = serde_json::to_vec(&value).unwrap();
        let error = outbound(&bytes).expect_err("externalReference is never there");
        prop_assert_eq!(error.code, "validation_error");
        for field in &error.fields {
            // A pointer names a place of the document, or one whose parent is there.
            let parent = field.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            prop_assert!(value.pointer(parent).is_some(), "{}", field.pointer);
        }
    }
}
