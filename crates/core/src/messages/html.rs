//! Strangers' HTML: made safe once, when it arrives, and stored only so.
//!
//! What comes out runs nothing, sends nothing by itself but image requests, styles nothing and looks like no form. It is also
//! *stable*: sanitising it again changes nothing, so what a browser builds from it is what was checked.
//!
//! Parsing tag soup as browsers do takes quadratic time in its nesting and elsewhere: half a megabyte of `<ul><li>` keeps a
//! core busy for a minute. A cheap scan refuses such input before the parser sees it, and the message shows as its text
//! instead: a customer's message is never lost (contract D3.9).

use std::fmt;
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};

use crate::FieldError;

/// Longest plain text of a message, in bytes (contract D3.7).
pub const TEXT_LIMIT: usize = 64 * 1024;
/// Longest HTML of a message, in bytes, before and after sanitising (contract D3.7).
pub const HTML_LIMIT: usize = 512 * 1024;

/// Most work the parser may be given, in steps of some nanoseconds: the sum over all tags of how deep each stands, and what
/// the two constants below add. A newsletter of 5,000 tags 40 deep has 200,000.
const WORK_LIMIT: usize = 1_000_000;
/// A node that stands in a table but in no cell is moved before the table, past all that were moved so far: so many in a step.
const MOVED_PER_STEP: usize = 16;
/// Each `&` or no-break space of a text makes the writer look through the rest of that text: so many bytes in a step.
const REREAD_PER_STEP: usize = 512;
/// Most attributes of one tag; a parser compares each with all before it.
const ATTRIBUTES_LIMIT: usize = 200;
/// Most places in which the scan cannot know what a parser sees: scripts, styles and the like.
const OPAQUE_LIMIT: usize = 256;
/// Most times the output is sanitised again until it is stable.
const PASSES_LIMIT: usize = 4;

/// HTML that [`sanitise`] made.
#[derive(Clone, PartialEq, Eq)]
pub struct SafeHtml(String);

impl SafeHtml {
    /// HTML that was sanitised before it was stored. The caller vouches for it.
    pub fn from_stored(html: String) -> SafeHtml {
        SafeHtml(html)
    }

    /// The HTML that shows this text, line by line.
    pub fn from_text(text: &str) -> SafeHtml {
        let mut html = String::with_capacity(text.len() + text.len() / 8);
        for (index, line) in text.lines().enumerate() {
            if index > 0 {
                html.push_str("<br>");
            }
            for c in line.chars() {
                match c {
                    '&' => html.push_str("&amp;"),
                    '<' => html.push_str("&lt;"),
                    '>' => html.push_str("&gt;"),
                    '\u{a0}' => html.push_str("&nbsp;"),
                    '\0' | '\r' => {}
                    c => html.push(c),
                }
            }
        }
        SafeHtml(html)
    }

    /// As text, to store and send.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As text, to store and send.
    pub fn into_string(self) -> String {
        self.0
    }

    /// What a reader sees of it; see [`to_text`].
    pub fn to_text(&self) -> String {
        to_text(&self.0)
    }
}

/// Shows its length only: logs hold no bodies.
impl fmt::Debug for SafeHtml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafeHtml({} bytes)", self.0.len())
    }
}

/// Whether a plain text is short enough.
///
/// Errors: `too_long` at `pointer`.
pub fn check_text(text: &str, pointer: &str) -> Result<(), FieldError> {
    if text.len() <= TEXT_LIMIT { Ok(()) } else { Err(too_long(pointer, "The text has at most 65536 bytes.")) }
}

/// Makes HTML safe. Kept: text, structure, images and links with `http`, `https`, `mailto` and `tel`. Dropped: scripts,
/// event handlers, styles, classes and ids, frames, forms, relative addresses (they would point into the dashboard) and
/// `data:` addresses. Input that would cost too much, or does not become stable, comes out as its text.
///
/// Errors: `too_long` at `pointer` for more than [`HTML_LIMIT`].
pub fn sanitise(html: &str, pointer: &str) -> Result<SafeHtml, FieldError> {
    if html.len() > HTML_LIMIT {
        return Err(too_long(pointer, "The HTML has at most 524288 bytes."));
    }
    if !html.bytes().any(|b| matches!(b, b'<' | b'>' | b'&' | b'\r' | b'\0' | 0xc2)) {
        return Ok(SafeHtml(html.to_owned())); // no tag, no entity, no character that is written otherwise
    }
    Ok(stable(html).map_or_else(|| SafeHtml::from_text(&to_text(html)), SafeHtml))
}

/// The text a reader sees, at most [`TEXT_LIMIT`] bytes: blocks and `<br>` on lines of their own, paragraphs apart, list items
/// with a hyphen, entities decoded, white space collapsed except in `<pre>`. Meant for [`SafeHtml`]; of other HTML it makes
/// some text too, but knows only the commonest entities.
pub fn to_text(html: &str) -> String {
    let mut out = Lines::default();
    let mut preformatted = 0usize;
    for piece in Pieces::of(html) {
        match piece {
            Piece::Text(text) => decode(text, |c| out.push(c, preformatted > 0)),
            Piece::Opaque(name, text) if name.eq_ignore_ascii_case("textarea") => decode(text, |c| out.push(c, true)),
            Piece::Opaque(..) => {}
            Piece::Open { name, .. } | Piece::Close(name) => {
                let open = matches!(piece, Piece::Open { .. });
                match text_of(&lowercase(name)) {
                    "br" => out.line_break(),
                    "pre" => {
                        preformatted = if open { preformatted + 1 } else { preformatted.saturating_sub(1) };
                        out.gap(2);
                    }
                    "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "ul" | "ol" | "dl" | "table" => {
                        out.gap(2);
                    }
                    "li" if open => {
                        out.gap(1);
                        out.push('-', false);
                        out.push(' ', false);
                    }
                    "td" | "th" => out.push(' ', false),
                    "address" | "article" | "aside" | "caption" | "center" | "dd" | "details" | "div" | "dt"
                    | "figcaption" | "figure" | "footer" | "header" | "hgroup" | "hr" | "li" | "nav" | "section"
                    | "summary" | "tr" => out.gap(1),
                    _ => {}
                }
            }
        }
        if out.text.len() >= TEXT_LIMIT {
            break;
        }
    }
    out.finish()
}

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::default();
    builder
        .rm_tags(["area", "map"])
        // The library checks no scheme in these.
        .rm_tag_attributes("blockquote", ["cite"])
        .rm_tag_attributes("q", ["cite"])
        .rm_tag_attributes("del", ["cite"])
        .rm_tag_attributes("ins", ["cite"])
        .add_clean_content_tags([
            "title", "iframe", "noembed", "noframes", "noscript", "object", "svg", "math", "template", "select",
        ])
        .url_schemes(["http", "https", "mailto", "tel"].into())
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .strip_comments(true);
    builder
});

/// The safe form that is its own safe form; `None` when there is none within the limits.
fn stable(html: &str) -> Option<String> {
    let clean = |html: &str| {
        let clean = is_affordable(html).then(|| SANITISER.clean(html).to_string())?;
        (clean.len() <= HTML_LIMIT).then_some(clean)
    };
    let mut before = clean(html)?;
    for _ in 1..PASSES_LIMIT {
        let after = clean(&before)?;
        if after == before {
            return Some(after);
        }
        before = after;
    }
    None
}

fn too_long(pointer: &str, message: &str) -> FieldError {
    FieldError { pointer: pointer.to_owned(), code: "too_long", message: message.to_owned() }
}

/// Whether a parser gets through this in a time that its length explains. The scan keeps the names of elements that may be
/// open, rather too many than too few: an end tag counts only where every parser agrees on what it ends.
fn is_affordable(html: &str) -> bool {
    let mut open = OpenElements::default();
    let mut opaque = 0;
    for piece in Pieces::of(html) {
        match piece {
            Piece::Text(text) => open.text(text),
            Piece::Open { attributes, .. } if attributes > ATTRIBUTES_LIMIT => return false,
            Piece::Open { name, .. } => open.start(name),
            Piece::Close(name) => open.end(name),
            // Inside SVG these are elements like any other: what they hold may be tags after all.
            Piece::Opaque(_, text) => {
                opaque += 1;
                open.text(text);
                for (at, _) in text.match_indices('<') {
                    let name = &text[at + 1..];
                    let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
                    if length > 0 {
                        open.start(&name[..length]);
                    }
                    if open.work > WORK_LIMIT {
                        return false;
                    }
                }
            }
        }
        if open.work > WORK_LIMIT || opaque > OPAQUE_LIMIT {
            return false;
        }
    }
    true
}

/// Longest name that means anything here; longer ones are compared by their start.
const NAME_LIMIT: usize = 12;

/// The elements that may be open, and the work of getting here.
#[derive(Default)]
struct OpenElements {
    elements: Vec<Open>,
    /// Where the tables are among them.
    tables: Vec<usize>,
    /// Nodes that were moved out of a table so far.
    moved: usize,
    /// Length of the text since the last start tag, in bytes, and how much of it is written as an entity.
    run: (usize, usize),
    work: usize,
}

/// Elements that a block's end ends too.
const ITEMS: &[&str] = &["p", "li", "dd", "dt"];
/// Elements in which other names mean other things.
const FOREIGN: &[&str] = &["svg", "math"];
/// Elements in which the parts of a table mean something else.
const UNLIKE_TABLES: &[&str] = &["svg", "math", "template", "select"];

/// One of each a table is open at most: they do not nest without another.
fn is_table_part(name: &str) -> bool {
    matches!(name, "caption" | "col" | "colgroup" | "tbody" | "td" | "tfoot" | "th" | "thead" | "tr")
}

struct Open {
    name: [u8; NAME_LIMIT],
    /// Of a table: what comes next stands in a cell.
    in_cell: bool,
}

impl OpenElements {
    fn start(&mut self, name: &str) {
        let buffer = lowercase(name);
        let name = text_of(&buffer);
        self.work += self.elements.len() + 1;
        if is_table_part(name) {
            return self.start_table_part(buffer);
        }
        if name == "table" {
            self.tables.push(self.elements.len());
        } else {
            self.moves();
        }
        if !matches!(name, "body" | "frame" | "frameset" | "head" | "html") {
            self.run = (0, 0);
        }
        match name {
            "br" | "embed" | "hr" | "img" | "meta" => return, // they hold nothing
            "area" | "base" | "input" | "link" | "param" | "source" | "track" | "wbr" if !self.has_open(0, FOREIGN) => {
                return;
            }
            "p" => self.pop_if(&["p"]),
            "li" => {
                self.pop_if(&["p"]);
                self.pop_if(&["li"]);
            }
            "dd" | "dt" => {
                self.pop_if(&["p"]);
                self.pop_if(&["dd", "dt"]);
            }
            _ => {}
        }
        self.elements.push(Open { name: buffer, in_cell: false });
    }

    /// The start of a row or cell ends what its table has open, unless another kind of content stands between.
    fn start_table_part(&mut self, buffer: [u8; NAME_LIMIT]) {
        let inner = self.tables.last().map_or(0, |table| table + 1);
        if self.has_open(inner, UNLIKE_TABLES) {
            self.elements.push(Open { name: buffer, in_cell: false });
        } else if let Some(table) = self.tables.last().copied() {
            let loose = self.elements[inner..].iter().any(|open| !ITEMS.contains(&text_of(&open.name)));
            let ends_all = self.elements[table].in_cell || !loose;
            if ends_all {
                self.elements.truncate(inner);
            }
            self.elements[table].in_cell = ends_all && matches!(text_of(&buffer), "td" | "th");
        }
    }

    /// The end of a row or cell ends what the cell has open.
    fn end_table_part(&mut self) {
        if let Some(table) = self.tables.last().copied()
            && self.elements[table].in_cell
            && !self.has_open(table + 1, UNLIKE_TABLES)
        {
            self.elements.truncate(table + 1);
            self.elements[table].in_cell = false;
        }
    }

    fn end(&mut self, name: &str) {
        let buffer = lowercase(name);
        let name = text_of(&buffer);
        self.work += self.elements.len() + 1;
        if is_table_part(name) {
            return self.end_table_part();
        }
        if name == "table" {
            self.end_table_part();
        } else {
            self.moves(); // `</p>` and `</br>` make elements too
        }
        // The end of a block ends the items and paragraphs in it; the end of anything else need not.
        let ends_items = matches!(
            name,
            "address"
                | "article"
                | "aside"
                | "blockquote"
                | "button"
                | "center"
                | "details"
                | "div"
                | "dl"
                | "fieldset"
                | "figcaption"
                | "figure"
                | "footer"
                | "header"
                | "hgroup"
                | "main"
                | "menu"
                | "nav"
                | "ol"
                | "pre"
                | "section"
                | "summary"
                | "table"
                | "ul"
        );
        let kept = if ends_items {
            self.elements.iter().rposition(|open| !ITEMS.contains(&text_of(&open.name)))
        } else {
            self.elements.len().checked_sub(1)
        };
        match kept {
            Some(at) if self.elements[at].name == buffer => {
                self.elements.truncate(at);
                self.tables.pop_if(|table| *table >= at);
            }
            // Which table it ended is not known.
            _ if name == "table" => self.tables.iter().for_each(|table| self.elements[*table].in_cell = false),
            _ => {}
        }
    }

    /// Text with only end tags between is taken for one: an end tag that ends nothing leaves no trace.
    fn text(&mut self, text: &str) {
        if !text.bytes().all(is_space) {
            self.moves();
        }
        let (length, reread) = self.run;
        self.run = (length + text.len(), reread + text.bytes().filter(|b| matches!(b, b'&' | 0xc2)).count());
        self.work += (self.run.0 * self.run.1 - length * reread) / REREAD_PER_STEP;
    }

    /// A node comes: if it stands in a table but in no cell, a parser moves it.
    fn moves(&mut self) {
        if self.tables.last().is_some_and(|table| !self.elements[*table].in_cell) {
            self.moved += 1;
            self.work += self.moved / MOVED_PER_STEP;
        }
    }

    /// Whether one of these is open, from this place on.
    fn has_open(&self, from: usize, names: &[&str]) -> bool {
        self.elements[from..].iter().any(|open| names.contains(&text_of(&open.name)))
    }

    /// Ends the innermost element if it has one of these names; never a table.
    fn pop_if(&mut self, names: &[&str]) {
        self.elements.pop_if(|top| names.contains(&text_of(&top.name)));
    }
}

/// The text of such a name; one that was cut inside a character has no meaning and is empty.
fn text_of(name: &[u8; NAME_LIMIT]) -> &str {
    let length = name.iter().position(|b| *b == 0).unwrap_or(NAME_LIMIT);
    std::str::from_utf8(&name[..length]).unwrap_or_default()
}

/// The start of a name in lowercase, padded with zeros.
fn lowercase(name: &str) -> [u8; NAME_LIMIT] {
    let mut buffer = [0; NAME_LIMIT];
    let length = name.len().min(NAME_LIMIT);
    buffer[..length].copy_from_slice(&name.as_bytes()[..length]);
    buffer.make_ascii_lowercase();
    buffer
}

/// One piece of HTML as a tokenizer of the standard cuts it; comments and declarations are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Open {
        name: &'a str,
        attributes: usize,
    },
    Close(&'a str),
    /// What stands in an element, named first, whose content is no HTML.
    Opaque(&'a str, &'a str),
}

struct Pieces<'a> {
    rest: &'a str,
    /// The element just opened, if its content is no HTML.
    inside: Option<&'a str>,
}

impl<'a> Pieces<'a> {
    fn of(html: &'a str) -> Pieces<'a> {
        Pieces { rest: html, inside: None }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Drops everything up to and with the next occurrence of `end`, or all.
    fn skip_past(&mut self, end: &str) {
        self.rest = self.rest.split_once(end).map_or("", |(_, rest)| rest);
    }

    fn skip_comment(&mut self) {
        let body = &self.rest["<!--".len()..];
        if let Some(rest) = body.strip_prefix('>').or_else(|| body.strip_prefix("->")) {
            self.rest = rest;
            return;
        }
        let mut from = 0;
        while let Some(at) = body[from..].find("--") {
            let after = &body[from + at + 2..];
            if let Some(rest) = after.strip_prefix('>').or_else(|| after.strip_prefix("!>")) {
                self.rest = rest;
                return;
            }
            from += at + 1;
        }
        self.rest = "";
    }

    /// Reads a tag whose name starts at `start`; nothing when it never ends, which a tokenizer drops.
    fn tag(&mut self, start: usize) -> Option<(&'a str, usize)> {
        let html = self.rest;
        let bytes = html.as_bytes();
        let name_end = start + bytes[start..].iter().position(|b| is_space(*b) || matches!(b, b'/' | b'>'))?;
        let (mut at, mut attributes) = (name_end, 0);
        loop {
            at += bytes[at..].iter().position(|b| !is_space(*b) && *b != b'/')?;
            if bytes[at] == b'>' {
                self.rest = &html[at + 1..];
                return Some((&html[start..name_end], attributes));
            }
            attributes += 1;
            // A name may start with `=`, and holds quotes like any other character.
            at += 1 + bytes[at + 1..].iter().position(|b| is_space(*b) || matches!(b, b'/' | b'>' | b'='))?;
            let value = at + bytes[at..].iter().position(|b| !is_space(*b))?;
            if bytes[value] != b'=' {
                continue;
            }
            at = value + 1;
            at += bytes[at..].iter().position(|b| !is_space(*b))?;
            at += match bytes[at] {
                quote @ (b'"' | b'\'') => 2 + bytes[at + 1..].iter().position(|b| *b == quote)?,
                _ => bytes[at..].iter().position(|b| is_space(*b) || *b == b'>')?,
            };
        }
    }

    fn opaque(&mut self, name: &'a str) -> Piece<'a> {
        let bytes = self.rest.as_bytes();
        let is_end = |at: usize| {
            let Some(found) = bytes.get(at + 2..at + 2 + name.len()) else { return false };
            let after = bytes.get(at + 2 + name.len()).is_some_and(|b| is_space(*b) || matches!(b, b'/' | b'>'));
            after && found.eq_ignore_ascii_case(name.as_bytes())
        };
        let end = self.rest.match_indices("</").map(|(at, _)| at).find(|at| is_end(*at)).unwrap_or(bytes.len());
        Piece::Opaque(name, self.take(end))
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if let Some(name) = self.inside.take() {
            return Some(self.opaque(name));
        }
        // Every turn drops a comment or declaration, so it ends with the text.
        loop {
            let mut bytes = self.rest.bytes();
            match (bytes.next()?, bytes.next()) {
                (b'<', Some(b'a'..=b'z' | b'A'..=b'Z')) => {
                    let (name, attributes) = self.tag(1)?;
                    self.inside = is_opaque(name).then_some(name);
                    return Some(Piece::Open { name, attributes });
                }
                (b'<', Some(b'/')) => match bytes.next() {
                    Some(b'a'..=b'z' | b'A'..=b'Z') => return self.tag(2).map(|(name, _)| Piece::Close(name)),
                    Some(_) => self.skip_past(">"),
                    None => return Some(Piece::Text(self.take(2))),
                },
                (b'<', Some(b'!')) if self.rest.starts_with("<!--") => self.skip_comment(),
                (b'<', Some(b'!')) if self.rest.starts_with("<![CDATA[") => {
                    // Ends here or at `]]>`, depending on where it stands.
                    self.skip_past(">");
                    return Some(Piece::Opaque("", ""));
                }
                (b'<', Some(b'!' | b'?')) => self.skip_past(">"),
                (b'<', _) => return Some(Piece::Text(self.take(1))),
                _ => {
                    let end = self.rest.find('<').unwrap_or(self.rest.len());
                    return Some(Piece::Text(self.take(end)));
                }
            }
        }
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

fn is_opaque(name: &str) -> bool {
    ["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "noscript", "plaintext"]
        .iter()
        .any(|opaque| name.eq_ignore_ascii_case(opaque))
}

/// Gives each character of a text with its commonest entities decoded.
fn decode(text: &str, mut each: impl FnMut(char)) {
    const LONGEST: usize = "&#x10FFFF;".len();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let entity = if c == '&' {
            rest.bytes().take(LONGEST).position(|b| b == b';').and_then(|end| Some((entity(&rest[1..end])?, end + 1)))
        } else {
            None
        };
        let (c, length) = entity.unwrap_or((c, c.len_utf8()));
        each(c);
        rest = &rest[length..];
    }
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let digits = name.strip_prefix('#')?;
            let number = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(number)?
        }
    })
}

/// Text as it grows: white space waits until something follows it.
#[derive(Default)]
struct Lines {
    text: String,
    space: bool,
    breaks: usize,
}

impl Lines {
    /// Most line ends in a row.
    const BREAKS_LIMIT: usize = 2;

    fn push(&mut self, c: char, preformatted: bool) {
        if preformatted && c == '\n' {
            self.line_break();
        } else if c.is_whitespace() && !(preformatted && self.breaks == 0) {
            self.space = true;
        } else if !c.is_control() || c == '\t' {
            if !self.text.is_empty() {
                for _ in 0..self.breaks {
                    self.text.push('\n');
                }
                if self.space && self.breaks == 0 {
                    self.text.push(' ');
                }
            }
            (self.space, self.breaks) = (false, 0);
            self.text.push(c);
        }
    }

    /// At least so many line ends before what follows.
    fn gap(&mut self, breaks: usize) {
        self.breaks = self.breaks.max(breaks);
    }

    /// One more line end.
    fn line_break(&mut self) {
        self.breaks = (self.breaks + 1).min(Lines::BREAKS_LIMIT);
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.text.floor_char_boundary(TEXT_LIMIT));
        self.text.truncate(self.text.trim_end().len());
        self.text
    }
}

#[cfg(test)]
mod tests;
