//! What a file is called and what it is: nothing that its sender says is believed where it could do harm.
//!
//! A type that browsers show in place is given only to bytes that prove it ([`content_type`]); everything else is
//! downloaded, and what a browser would run (HTML, SVG, XML, scripts) is never called by its name when served.

/// Longest file name, in characters.
pub const NAME_LIMIT: usize = 255;
/// How many of a file's first bytes [`content_type`] wants to see.
pub const HEAD_BYTES: usize = 64;
/// Longest declared media type, in bytes (RFC 6838: 127 for each half).
const TYPE_LIMIT: usize = 255;
/// What is known of a file about which nothing is known.
pub const UNKNOWN: &str = "application/octet-stream";
/// The name of a file without one.
const NAMELESS: &str = "file";

/// Types that are shown in place, all of them proved by their first bytes.
const INLINE: [&str; 15] = [
    "application/pdf",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "image/avif",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// A file's name without path, control characters and what turns text around; at most [`NAME_LIMIT`] characters, its ending
/// kept; `file` when nothing is left.
pub fn file_name(given: &str) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|c| !c.is_control() && !is_invisible(*c)).collect();
    let clean = clean.trim().trim_matches('.').trim();
    let length = clean.chars().count();
    if length <= NAME_LIMIT {
        return if clean.is_empty() { NAMELESS.to_owned() } else { clean.to_owned() };
    }
    let ending = clean.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| ending.chars().count() <= 16);
    let ending = ending.map(|ending| format!(".{ending}")).unwrap_or_default();
    let stem: String = clean.chars().take(NAME_LIMIT - ending.chars().count()).collect();
    stem + &ending
}

/// Marks of direction and of nothing at all: `invoice\u{202e}fdp.exe` shows as `invoiceexe.pdf`.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// A declared media type in lower case without parameters; [`UNKNOWN`] when it is none.
pub fn declared_type(given: Option<&str>) -> String {
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let token =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
    let valid = essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    if valid && essence.len() <= TYPE_LIMIT { essence } else { UNKNOWN.to_owned() }
}

/// What a file is: what its first bytes prove, else what its sender declared, unless that is a type that only bytes can prove.
pub fn content_type(head: &[u8], declared: &str) -> String {
    match sniff(head) {
        // The container says less than the declaration: a film or its sound alone, an archive or a document in one.
        Some("video/mp4") if declared == "audio/mp4" => declared,
        Some("video/webm") if declared == "audio/webm" => declared,
        Some("application/zip") if declared.starts_with("application/") && !is_active(declared) => match declared {
            UNKNOWN | "application/pdf" => "application/zip",
            _ => declared,
        },
        Some(found) => found,
        None if INLINE.contains(&declared) => UNKNOWN,
        None => declared,
    }
    .to_owned()
}

fn sniff(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, bytes: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(bytes));
    let riff = |kind: &[u8]| at(0, b"RIFF") && at(8, kind);
    let holds = |word: &[u8]| head.windows(word.len()).any(|window| window == word);
    Some(match head {
        _ if at(0, b"\x89PNG\r\n\x1a\n") => "image/png",
        _ if at(0, b"\xff\xd8\xff") => "image/jpeg",
        _ if at(0, b"GIF87a") || at(0, b"GIF89a") => "image/gif",
        _ if riff(b"WEBP") => "image/webp",
        _ if riff(b"WAVE") => "audio/wav",
        _ if at(0, b"%PDF-") => "application/pdf",
        _ if at(0, b"OggS") && at(28, b"\x80theora") => "video/ogg",
        _ if at(0, b"OggS") => "audio/ogg",
        // A layer III frame, with or without a checksum, of MPEG 1, 2 or 2.5.
        _ if at(0, b"ID3") || matches!(head, [0xff, 0xfa | 0xfb | 0xf2 | 0xf3 | 0xe2 | 0xe3, ..]) => "audio/mpeg",
        _ if at(4, b"ftypavif") => "image/avif",
        _ if at(4, b"ftypM4A") || at(4, b"ftypM4B") => "audio/mp4",
        _ if at(4, b"ftypqt") => "video/quicktime",
        _ if at(4, b"ftyphei") || at(4, b"ftypmif1") => "image/heic",
        _ if at(4, b"ftyp") => "video/mp4",
        _ if at(0, b"\x1a\x45\xdf\xa3") && holds(b"webm") => "video/webm",
        _ if at(0, b"PK\x03\x04") => "application/zip",
        _ => return None,
    })
}

/// Types that a browser would run or render with scripts.
fn is_active(content_type: &str) -> bool {
    const WORDS: [&str; 7] = ["html", "svg", "xml", "script", "xsl", "shockwave", "multipart"];
    // Office documents have `openxmlformats` in their names and nothing active in that.
    let document =
        content_type.starts_with("application/vnd.openxmlformats-officedocument.") && !content_type.ends_with("+xml");
    !document && WORDS.iter().any(|word| content_type.contains(word))
}

/// The type to serve a file under.
pub fn served_as(content_type: &str) -> &str {
    if is_active(content_type) { UNKNOWN } else { content_type }
}

/// Whether browsers may show it in place; else it is downloaded.
pub fn is_shown_inline(content_type: &str) -> bool {
    INLINE.contains(&content_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

    #[test]
    fn names() {
        for (given, name) in [
            ("invoice.pdf", "invoice.pdf"),
            ("../../etc/passwd", "passwd"),
            (r"C:\temp\a b.txt", "a b.txt"),
            ("..", "file"),
            ("", "file"),
            ("a/", "file"),
            (" .hidden ", "hidden"),
            ("inv\u{202e}fdp.exe", "invfdp.exe"),
            ("a\r\nb\0.txt", "ab.txt"),
            ("Größe.png", "Größe.png"),
        ] {
            assert_eq!(file_name(given), name, "{given:?}");
        }
        let long = file_name(&format!("{}.jpeg", "é".repeat(400)));
        assert!(long.chars().count() == NAME_LIMIT && long.ends_with("é.jpeg"), "{long}");
        assert_eq!(file_name(&"x".repeat(400)).len(), NAME_LIMIT);
    }

    #[test]
    fn declared_types() {
        for (given, declared) in [
            (Some("Text/Plain; charset=utf-8"), "text/plain"),
            (Some("image/svg+xml"), "image/svg+xml"),
            (Some("text"), UNKNOWN),
            (Some("a/b/c"), UNKNOWN),
            (Some("text/ht ml"), UNKNOWN),
            (Some("text/plain\r\nX: y"), UNKNOWN),
            (None, UNKNOWN),
        ] {
            assert_eq!(declared_type(given), declared, "{given:?}");
        }
    }

    #[test]
    fn bytes_decide() {
        for (head, declared, found) in [
            (&b"\x89PNG\r\n\x1a\n...."[..], "text/html", "image/png"),
            (b"\xff\xd8\xff\xe0", UNKNOWN, "image/jpeg"),
            (b"GIF89a", UNKNOWN, "image/gif"),
            (b"RIFF1234WEBPVP8 ", UNKNOWN, "image/webp"),
            (b"RIFF1234WAVEfmt ", UNKNOWN, "audio/wav"),
            (b"%PDF-1.7", UNKNOWN, "application/pdf"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x13OpusHead", UNKNOWN, "audio/ogg"),
            (b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x2a\x80theora", UNKNOWN, "video/ogg"),
            (b"ID3\x04", UNKNOWN, "audio/mpeg"),
            (b"\xff\xfb\x90", UNKNOWN, "audio/mpeg"),
            (b"\0\0\0\x18ftypisom", UNKNOWN, "video/mp4"),
            (b"\0\0\0\x18ftypisom", "audio/mp4", "audio/mp4"),
            (b"\0\0\0\x18ftypM4A ", UNKNOWN, "audio/mp4"),
            (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "audio/webm", "audio/webm"),
            (b"PK\x03\x04", UNKNOWN, "application/zip"),
            (b"PK\x03\x04", DOCX, DOCX),
            (b"PK\x03\x04", "application/xhtml+xml", "application/zip"),
            (b"PK\x03\x04", "image/png", "application/zip"),
            // What nothing proves is not shown in place, whatever is declared.
            (b"<html><script>", "image/png", UNKNOWN),
            (b"<svg onload=x>", "application/pdf", UNKNOWN),
            (b"<svg onload=x>", "image/svg+xml", "image/svg+xml"),
            (b"Hello", "text/plain", "text/plain"),
            (b"", UNKNOWN, UNKNOWN),
        ] {
            assert_eq!(content_type(head, declared), found, "{head:?} {declared}");
        }
    }

    #[test]
    fn what_runs_is_not_served_by_its_name() {
        for active in [
            "text/html",
            "application/xhtml+xml",
            "image/svg+xml",
            "text/xml",
            "application/xml",
            "application/javascript",
            "text/javascript",
            "application/ecmascript",
            "application/rss+xml",
            "text/xsl",
            "multipart/related",
            "application/x-shockwave-flash",
        ] {
            assert_eq!(served_as(active), UNKNOWN, "{active}");
            assert!(!is_shown_inline(active), "{active}");
        }
        for kept in ["text/plain", "text/csv", "image/png", DOCX, "application/msword", "message/rfc822"] {
            assert_eq!(served_as(kept), kept);
        }
        assert!(INLINE.iter().all(|shown| served_as(shown) == *shown));
    }

    proptest! {
        #[test]
        fn every_name_is_safe(given in "(\\PC|[\\x00-\\x1f./\\\\]){0,300}") {
            let name = file_name(&given);
            prop_assert!((1..=NAME_LIMIT).contains(&name.chars().count()));
            prop_assert!(!name.contains(['/', '\\', '\0', '\n']) && name != "." && name != "..");
            prop_assert_eq!(file_name(&name), name);
        }

        #[test]
        fn nothing_is_shown_in_place_unproved(head in prop::collection::vec(any::<u8>(), 0..80), declared in 0..INLINE.len()) {
            let found = content_type(&head, INLINE[declared]);
            prop_assert!(!is_shown_inline(&found) || sniff(&head).is_some());
        }
    }
}
