//! Tests of `html.rs`.

use super::*;
use proptest::prelude::*;

fn safe(html: &str) -> String {
    sanitise(html, "/html").unwrap().into_string()
}

/// Names and values of all attributes, read from the form in which safe HTML is written: `name="value"`.
fn attributes(html: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for tag in html.split('<').skip(1).filter(|tag| !tag.starts_with('/')) {
        let mut rest = tag.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        while let Some((name, after)) = rest.strip_prefix(' ').and_then(|rest| rest.split_once("=\"")) {
            let (value, after) = after.split_once('"').expect("a value ends");
            found.push((name.to_owned(), value.to_owned()));
            rest = after;
        }
        assert!(rest.starts_with('>'), "not written as expected: <{tag}");
    }
    found
}

fn is_harmless(html: &str) -> bool {
    let lower = html.to_ascii_lowercase();
    let tags =
        ["<script", "<style", "<iframe", "<form", "<input", "<svg", "<math", "<object", "<embed", "<base", "<meta"];
    !tags.iter().any(|tag| lower.contains(tag))
        && attributes(html).iter().all(|(name, value)| {
            let is_url = ["href", "src", "cite"].contains(&name.as_str());
            let scheme = value.split(':').next().unwrap_or_default().to_ascii_lowercase();
            !name.starts_with("on")
                && !["style", "class", "id", "name", "srcdoc", "action"].contains(&name.as_str())
                && (!is_url || ["http", "https", "mailto", "tel"].contains(&scheme.as_str()))
        })
}

#[test]
fn attacks_come_out_harmless() {
    for attack in [
        "<script>alert(1)</script>",
        "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
        "<scr<script>ipt>alert(1)</scr</script>ipt>",
        "<img src=x onerror=alert(1)>",
        "<img src=\"https://e.example/x\" onload=\"alert(1)\">",
        "<img/onerror=alert(1)/src=x>",
        "<img src=`x` onerror=alert(1)//",
        "<svg onload=alert(1)>",
        "<svg><script>alert(1)</script></svg>",
        "<svg><style><img src=x onerror=alert(1)></style></svg>",
        "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<a href=\" &#106;avascript:alert(1)\">x</a>",
        "<a href=\"java\tscript:alert(1)\">x</a>",
        "<a href=\"JaVaScRiPt&colon;alert(1)\">x</a>",
        "<a href=\"\u{1}javascript:alert(1)\">x</a>",
        "<a href=\"vbscript:msgbox(1)\">x</a>",
        "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
        "<a href=\"//evil.example\">x</a>",
        "<a href=\"/v1/contacts\">x</a>",
        "<img src=\"data:image/svg+xml;base64,PHN2Zz4=\">",
        "<img src=\"data:image/png;base64,AAAA\">",
        "<iframe src=\"https://evil.example\"></iframe>",
        "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
        "<object data=\"x.swf\"></object><embed src=\"x.swf\">",
        "<form action=\"https://evil.example\"><input name=password><button>Sign in</button></form>",
        "<style>@import 'https://evil.example';</style>",
        "<p style=\"background:url(javascript:alert(1))\">x</p>",
        "<p class=\"fixed\" id=\"root\">x</p>",
        "<base href=\"https://evil.example/\"><meta http-equiv=refresh content=\"0;url=https://evil.example\">",
        "<link rel=stylesheet href=\"https://evil.example/x.css\">",
        "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
        "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
        "<textarea></textarea><img src=x onerror=alert(1)></textarea>",
        "<template><img src=x onerror=alert(1)></template>",
        "<details open ontoggle=alert(1)>x</details>",
        "<video><source onerror=alert(1)></video>",
        "<body onload=alert(1)>",
        "<p title='\"><script>alert(1)</script>'>x</p>",
        "<blockquote cite=\"javascript:alert(1)\">x</blockquote>",
        "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
        "<select><style></select><img src=x onerror=alert(1)></style>",
    ] {
        let out = safe(attack);
        assert!(is_harmless(&out), "{attack} gave {out}");
        assert_eq!(safe(&out), out, "{attack}");
    }
}

#[test]
fn the_harmless_stays() {
    let rel = "rel=\"noopener noreferrer nofollow\"";
    for (html, kept) in [
        ("plain", "plain".to_owned()),
        ("a & b < c", "a &amp; b &lt; c".to_owned()),
        ("<p>Hi <b>Ana</b>,<br>ok?</p>", "<p>Hi <b>Ana</b>,<br>ok?</p>".to_owned()),
        (
            "<a href='https://example.com/?a=1&b=2'>x</a>",
            format!("<a href=\"https://example.com/?a=1&amp;b=2\" {rel}>x</a>"),
        ),
        ("<a href=mailto:a@example.com target=_top>x</a>", format!("<a href=\"mailto:a@example.com\" {rel}>x</a>")),
        (
            "<img src=https://e.example/a.png alt=A width=10>",
            "<img src=\"https://e.example/a.png\" alt=\"A\" width=\"10\">".to_owned(),
        ),
        ("<html><head><title>T</title></head><body><p>x</body></html>", "<p>x</p>".to_owned()),
    ] {
        assert_eq!(safe(html), kept);
    }
}

#[test]
fn limits_hold() {
    assert!(sanitise(&"a".repeat(HTML_LIMIT), "").is_ok());
    let error = sanitise(&"a".repeat(HTML_LIMIT + 1), "/html").unwrap_err();
    assert_eq!((error.pointer.as_str(), error.code), ("/html", "too_long"));
    assert!(check_text(&"a".repeat(TEXT_LIMIT), "").is_ok());
    assert_eq!(check_text(&"a".repeat(TEXT_LIMIT + 1), "/text").unwrap_err().code, "too_long");
    // Escaped, and with a relation on every link, the output would be many times the input.
    for swelling in ["<a></a>", "<br>&", "&", "\u{a0}"] {
        let out = safe(&swelling.repeat(HTML_LIMIT / swelling.len()));
        assert!(out.len() <= HTML_LIMIT, "{swelling} gave {} bytes", out.len());
    }
}

#[test]
fn what_would_keep_a_parser_busy_becomes_text() {
    for unit in [
        "<div>hi",
        "<ul><li>hi",
        "<b>hi</i>",
        "<b></b><i>hi",
        "<b><div></b>hi",
        "<table>hi",
        "<dd><li>hi",
        "<b><li></b><b><dd></b>hi",
        "<span><p></span></p>hi",
        "<div><!--</div>-->hi",
        "<div><textarea></div></textarea>hi",
        "<div><table></div></table>hi",
        "<div title='</div>'>hi",
        "<div><script><!--<script></script></div>--></script>hi",
        "<table><svg><td>a<br></table>hi",
        "<div><svg><![CDATA[></svg></div>]]></svg>hi",
        "<svg><style><div>hi",
        "<svg><tr>hi",
        "<math><input>hi",
        "<table><li></td><dd></td>hi",
    ] {
        let html = unit.repeat(20_000);
        assert!(!is_affordable(&html), "{unit}");
    }
    for html in [
        "&hi".repeat(50_000),
        "</x>&hi".repeat(50_000),
        "<td>&hi".repeat(50_000),
        "\u{a0}".repeat(50_000),
        format!("<table>{}", "<br>a".repeat(20_000)),
    ] {
        assert!(!is_affordable(&html), "{}", &html[..20]);
    }
    let attributes: String = (0..=ATTRIBUTES_LIMIT).map(|n| format!(" a{n}")).collect();
    assert!(!is_affordable(&format!("<p{attributes}>")));
    assert_eq!(safe(&format!("<p{attributes}>a &amp; b<p>c<script>x</script>")), "a &amp; b<br><br>c");
}

#[test]
fn ordinary_mail_is_affordable() {
    let row = "<tr><td><p>Name<td><p>Some <b>text</b> and <a href='https://e.example'>a link</a><br></tr>";
    let table = format!("<table>{}</table>", row.repeat(500));
    let nested = format!("{}{table}{}", "<div><table><tr><td>".repeat(15), "</td></tr></table></div>".repeat(15));
    let items = format!("<ul>{}</ul>", "<li><p>one<p>two".repeat(3000));
    let quote = format!("{}x", "<blockquote><div>".repeat(60));
    for html in [nested, items, quote, "<p>one".repeat(10_000), "<dl><dt>a<dd>b</dl>".repeat(5000)] {
        assert!(is_affordable(&html), "{}", &html[..80]);
    }
}

#[test]
fn text_reads_like_the_page() {
    for (html, text) in [
        ("", ""),
        ("a  b\n c", "a b c"),
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("one<br>two<br><br><br>three", "one\ntwo\n\nthree"),
        ("<ul><li>a</li><li>b <b>c</b></li></ul>end", "- a\n- b c\n\nend"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("a &amp; b &lt;c&gt; &quot;&nbsp;d&#33;&#x3F; &unknown; &", "a & b <c> \" d!? &unknown; &"),
        ("x<style>p{}</style><script>y</script><!-- z -->w", "xw"),
        ("<pre>a\n  b</pre>", "a\nb"),
        ("<p title=\"a>b\">c</p>", "c"),
        ("1 < 2 </ x>", "1 < 2"),
        ("<h1>T</h1>\n<p>\n x \n</p>\n", "T\n\nx"),
    ] {
        assert_eq!(to_text(html), text, "{html}");
    }
    assert_eq!(to_text(&"é ".repeat(TEXT_LIMIT)).len(), TEXT_LIMIT - 2, "cut at a character, without the space");
    let html = SafeHtml::from_text("a <b>\r\n\n&c");
    assert_eq!(html.as_str(), "a &lt;b&gt;<br><br>&amp;c");
    assert_eq!(html.to_text(), "a <b>\n\n&c");
}

#[test]
fn debug_output_keeps_the_body() {
    assert_eq!(format!("{:?}", SafeHtml::from_text("abc")), "SafeHtml(3 bytes)");
}

fn soup() -> impl Strategy<Value = String> {
    let names = "a|b|i|p|div|span|ul|li|dd|table|tr|td|pre|button|svg|math|mtext|style|script|select|option|template|form|textarea|noscript|title|h1";
    let piece = prop_oneof![
        4 => format!("<({names})>").as_str().regex(),
        3 => format!("</({names})>").as_str().regex(),
        1 => "<(a href|img src|img onerror|div style|p onclick|q cite)=[\"']?(javascript:x|https://e\\.example/|data:image/png,x|\"|')[\"']?>".regex(),
        1 => "(&lt;|&amp;|&#106;|<!--|-->|<!\\[CDATA\\[|\\]\\]>|\"|'|=| |\u{a0}|\0|\r|x)".regex(),
    ];
    prop::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat())
}

trait Regex {
    fn regex(self) -> BoxedStrategy<String>;
}
impl Regex for &str {
    fn regex(self) -> BoxedStrategy<String> {
        prop::string::string_regex(self).unwrap().boxed()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn soup_comes_out_harmless_and_stable(html in soup()) {
        let out = safe(&html);
        prop_assert!(is_harmless(&out), "{}", out);
        prop_assert!(!out.contains('\0'));
        prop_assert_eq!(safe(&out), out);
    }

    #[test]
    fn any_text_is_answered(html in "(.|\n){0,200}") {
        let out = safe(&html);
        prop_assert!(is_harmless(&out), "{}", out);
        prop_assert_eq!(safe(&out), out.as_str());
        let _ = to_text(&html);
    }

    #[test]
    fn a_text_shown_as_html_reads_the_same(text in "[a-z<>&\"'; ]{0,30}") {
        let shown = SafeHtml::from_text(&text);
        prop_assert_eq!(safe(shown.as_str()), shown.as_str());
        let words: Vec<_> = text.split_whitespace().collect();
        prop_assert_eq!(shown.to_text(), words.join(" "));
    }
}
