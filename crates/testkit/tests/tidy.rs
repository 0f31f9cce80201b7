//! What the compiler does not refuse but this project does. Each rule says why, in the words a reader of the failure
//! gets; `each_rule_can_fail` proves on small samples that every one of them bites, and on what it does not.
//!
//! Directions between crates are read from the `Cargo.toml` files, everything else from the text of the sources, with
//! comments and string literals told apart, so that a rule for code is not set off by a sentence about it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longest source file of a crate, in lines.
const MAX_LINES: usize = 700;

/// Crates a crate may depend on. Everything points one way: `tieline → {api, delivery} → wire → core → db`.
const BELOW: &[(&str, &[&str])] = &[
    ("db", &[]),
    ("core", &["tieline-db"]),
    ("wire", &["tieline-core"]),
    ("delivery", &["tieline-wire", "tieline-core", "tieline-db"]),
    ("api", &["tieline-delivery", "tieline-wire", "tieline-core", "tieline-db"]),
    ("tieline", &["tieline-api", "tieline-delivery", "tieline-wire", "tieline-core", "tieline-db"]),
];
/// All that `api` may name of `delivery`, which otherwise stands beside it: the check of an address, which must give the same
/// answer when it is saved as when it is called; the making of a webhook's secret; and the store of attachments' bytes, which
/// uploads and fetches share.
const OF_DELIVERY_IN_API: [&str; 6] = [
    "tieline_delivery::SECRET_CONTEXT",
    "tieline_delivery::egress",
    "tieline_delivery::files",
    "tieline_delivery::render",
    "tieline_delivery::sign",
    "tieline_delivery::{SECRET_CONTEXT, sign}",
];

/// Packages that one crate alone may use, outside of tests.
const OWNED_PACKAGES: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["db"], "only db names a SQL driver: the rest runs on either engine"),
    ("tokio-postgres", &["db"], "only db names a SQL driver: the rest runs on either engine"),
    ("axum", &["api"], "only api names the HTTP framework: rules and shapes must not know who called"),
    ("utoipa-axum", &["api"], "only api names the HTTP framework: rules and shapes must not know who called"),
    ("reqwest", &["delivery", "tieline"], "only delivery calls strangers, and importers, which the binary holds"),
    ("config", &["tieline"], "only the binary reads files and the environment: the rest is told"),
    ("clap", &["tieline"], "only the binary reads arguments: the rest is told"),
];

/// Words that code outside of tests may not hold, unless it is in one of these crates.
const OWNED_WORDS: &[(&str, &[&str], &str)] = &[
    ("std::env", &["tieline", "testkit"], "only the binary reads the environment: the rest is told"),
    ("env::var", &["tieline", "testkit"], "only the binary reads the environment: the rest is told"),
    ("rusqlite::", &["db"], "only db names a SQL driver: the rest runs on either engine"),
    ("tokio_postgres::", &["db"], "only db names a SQL driver: the rest runs on either engine"),
    ("axum::", &["api"], "only api names the HTTP framework: rules and shapes must not know who called"),
    ("client::legacy", &["delivery"], "only delivery calls strangers: what leaves passes one guard"),
    ("hyper::client", &["delivery"], "only delivery calls strangers: what leaves passes one guard"),
];
/// Words that neither `core` nor `wire` may hold.
const AMBIENT_WORDS: &[&str] = &["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now", "Uuid::now_v7"];

/// One text file of the repository.
struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.into() }
    }
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
    /// `db` for a file in `crates/db/src`.
    fn crate_of_src(&self) -> Option<&str> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        rest.starts_with("src/").then_some(name)
    }
    /// `db` for `crates/db/Cargo.toml`.
    fn crate_of_manifest(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")
    }
    /// What is compiled into the product: not what follows the first `#[cfg(test)]`, nor a module of tests in a file.
    fn of_product(&self) -> &str {
        if self.path.ends_with("/tests.rs") || self.path.contains("/tests/") {
            return "";
        }
        self.text.split_once("#[cfg(test)]").map_or(&self.text, |(product, _)| product)
    }
}

#[test]
fn the_sources_are_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = Vec::new();
    read(&root, &mut PathBuf::new(), &mut sources);
    assert!(sources.iter().any(|source| source.path == "crates/testkit/tests/tidy.rs"), "reads its own source");
    let refusals: Vec<String> = sources.iter().flat_map(check).collect();
    assert!(refusals.is_empty(), "\n{}\n", refusals.join("\n"));
}

/// Every text file below `root`, but for what is made by a build or fetched.
fn read(root: &Path, below: &mut PathBuf, sources: &mut Vec<Source>) {
    let folder = root.join(&below);
    if folder.join("CACHEDIR.TAG").exists() {
        return;
    }
    for entry in fs::read_dir(&folder).expect("the repository can be read").map(|entry| entry.unwrap()) {
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let kind = entry.file_type().unwrap();
        below.push(&name);
        let made = ["target", "node_modules", "dist", ".git", ".venv"].contains(&name.as_str());
        if kind.is_dir() && !made && *below != Path::new("data") {
            read(root, below, sources);
        } else if kind.is_file() && is_ours(&name) {
            let text = fs::read_to_string(entry.path()).expect("text is UTF-8");
            sources.push(Source { path: below.to_str().unwrap().into(), text });
        }
        below.pop();
    }
}

fn is_ours(name: &str) -> bool {
    let endings = [".rs", ".toml", ".sql", ".md", ".sh", ".py", ".mjs", ".js", ".ts", ".tsx", ".css", ".html", ".yml"];
    name == "Makefile" || endings.iter().any(|ending| name.ends_with(ending))
}

/// Every refusal, as `path:line: what: why`.
fn check(source: &Source) -> Vec<String> {
    let mut refusals = Vec::new();
    whitespace(source, &mut refusals);
    if let Some(name) = source.crate_of_manifest() {
        dependencies(source, name, &mut refusals);
    }
    if source.is_rust() {
        unfinished(source, &mut refusals);
        if let Some(name) = source.crate_of_src() {
            owned_words(source, name, &mut refusals);
            sql(source, name, &mut refusals);
            let lines = source.text.lines().count();
            if lines > MAX_LINES {
                let why = "a file that needs a table of contents is several files";
                refusals.push(format!("{}: {lines} lines, more than {MAX_LINES}: {why}", source.path));
            }
        }
    }
    refusals
}

fn whitespace(source: &Source, refusals: &mut Vec<String>) {
    let notes = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    for (number, line) in (1..).zip(source.text.lines()) {
        let mut refuse = |what: &str| refusals.push(format!("{}:{number}: {what}", source.path));
        if line.ends_with([' ', '\t']) {
            refuse("white space at the end: it shows as a change that is none");
        }
        if line.contains('\t') && source.path != "Makefile" {
            refuse("a tab: it looks different to everyone");
        }
        if notes.iter().any(|note| line.contains(note)) {
            refuse("a note to oneself: do it, or open an issue, where others find it");
        }
    }
}

fn dependencies(source: &Source, name: &str, refusals: &mut Vec<String>) {
    let below = BELOW.iter().find(|(of, _)| *of == name).map(|(_, below)| *below);
    for Dependency { line, package, of_tests } in dependencies_of(&source.text) {
        let mut refuse = |why: &str| refusals.push(format!("{}:{line}: {package}: {why}", source.path));
        if package == "tieline-testkit" && !of_tests {
            refuse("the kit is for tests: a dev-dependency");
        } else if package.starts_with("tieline") && package != "tieline-testkit" {
            // Tests may not either: a test that needs what stands above it belongs there.
            if below.is_some_and(|below| !below.contains(&package.as_str())) {
                refuse(
                    "crates point one way, tieline → {api, delivery} → wire → core → db, so that each can be read alone",
                );
            }
        }
        let owner = OWNED_PACKAGES.iter().find(|(owned, ..)| *owned == package);
        if let Some((_, owners, why)) = owner
            && !of_tests
            && !owners.contains(&name)
        {
            refuse(why);
        }
    }
}

struct Dependency {
    line: usize,
    package: String,
    of_tests: bool,
}

/// What a `Cargo.toml` depends on, in any of its tables (`[dependencies]`, `[target.….dependencies]`, `[dependencies.x]`).
fn dependencies_of(manifest: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut table = String::new();
    for (line, text) in (1..).zip(manifest.lines()) {
        let of_tests = table.contains("dev-dependencies");
        let text = text.split('#').next().unwrap_or_default().trim();
        if let Some(name) = text.strip_prefix('[') {
            table = name.trim_end_matches(']').to_owned();
            if let Some((_, package)) = table.split_once("dependencies.") {
                let of_tests = table.contains("dev-dependencies");
                found.push(Dependency { line, package: package.trim_matches('"').into(), of_tests });
            }
        } else if let Some((key, value)) = text.split_once('=')
            && table.ends_with("dependencies")
        {
            // `short = { package = "long" }` is `long`.
            let renamed = value.split_once("package").and_then(|(_, rest)| rest.split('"').nth(1));
            let key = key.trim().split('.').next().unwrap_or_default().trim_matches('"');
            found.push(Dependency { line, package: renamed.unwrap_or(key).into(), of_tests });
        }
    }
    found
}

fn unfinished(source: &Source, refusals: &mut Vec<String>) {
    let (code, _) = lex(&source.text);
    for (number, line) in (1..).zip(code.lines()) {
        let mut refuse = |what: &str| refusals.push(format!("{}:{number}: {what}", source.path));
        for word in ["todo!(", "unimplemented!("] {
            if line.contains(word) {
                refuse(&format!("{word}): what is not written yet must not compile as if it were"));
            }
        }
        if line.contains("dbg!(") {
            refuse("dbg!(): it prints what may be secret, where nobody looks");
        }
        if line.contains("#[ignore]") {
            refuse("#[ignore] without a reason: say who runs it and when, `#[ignore = \"…\"]`");
        }
    }
}

fn owned_words(source: &Source, name: &str, refusals: &mut Vec<String>) {
    let (code, _) = lex(source.of_product());
    for (number, line) in (1..).zip(code.lines()) {
        let mut refuse = |word: &str, why: &str| refusals.push(format!("{}:{number}: {word}: {why}", source.path));
        for (word, owners, why) in OWNED_WORDS {
            if line.contains(word) && !owners.contains(&name) {
                refuse(word, why);
            }
        }
        for word in AMBIENT_WORDS {
            if line.contains(word) && ["core", "wire"].contains(&name) {
                refuse(word, "time and ids are handed in: a rule that asks for them cannot be tested or run again");
            }
        }
        if name == "api"
            && line.contains("tieline_delivery")
            && !OF_DELIVERY_IN_API.iter().any(|allowed| line.contains(allowed))
        {
            refuse(
                "tieline_delivery",
                "api may ask delivery to check an address, make a secret, render events again and keep attachments' bytes, and nothing else",
            );
        }
    }
}

fn sql(source: &Source, name: &str, refusals: &mut Vec<String>) {
    // The kit administers the servers of tests.
    if ["db", "testkit"].contains(&name) || source.path.ends_with("/sql.rs") || source.path.contains("/migrations/") {
        return;
    }
    for (number, literal) in lex(source.of_product()).1 {
        if is_sql(&literal) {
            let why = "statements stand in sql.rs beside their noun, where tests prepare every one on both engines";
            refusals.push(format!("{}:{number}: SQL: {why}", source.path));
        }
    }
}

/// Whether a string literal reads as a statement, and not as a sentence that happens to hold one of its words.
fn is_sql(literal: &str) -> bool {
    let text = format!(" {} ", literal.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "));
    let then = |first: &str, second: &str| text.split_once(first).is_some_and(|(_, rest)| rest.contains(second));
    let begins = |word: &str| literal.trim_start().starts_with(word);
    then(" select ", " from ")
        || then(" update ", " set ")
        || text.contains(" insert into ")
        || text.contains(" delete from ")
        || begins("select ")
        || begins("SELECT ")
}

/// Splits Rust into its code, with comments and literals blanked and lines kept, and its string literals with their
/// first lines.
fn lex(text: &str) -> (String, Vec<(usize, String)>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut code, mut literals, mut at, mut line) = (String::new(), Vec::new(), 0, 1);
    let find = |from: usize, what: &str| {
        let what: Vec<char> = what.chars().collect();
        (from..chars.len()).find(|at| chars[*at..].starts_with(&what))
    };
    while at < chars.len() {
        let rest = &chars[at..];
        let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        let hashes = rest.iter().skip(1).take_while(|c| **c == '#').count();
        let (end, literal) = if rest.starts_with(&['/', '/']) {
            (find(at, "\n").unwrap_or(chars.len()), None)
        } else if rest.starts_with(&['/', '*']) {
            let (mut depth, mut end) = (1, at + 2);
            while depth > 0 && end < chars.len() {
                let step = match chars[end..] {
                    ['/', '*', ..] => 1,
                    ['*', '/', ..] => -1,
                    _ => 0,
                };
                depth += step;
                end += if step == 0 { 1 } else { 2 };
            }
            (end, None)
        } else if rest[0] == 'r' && rest.get(hashes + 1) == Some(&'"') && (!word_before || chars[at - 1] == 'b') {
            let close = format!("\"{}", "#".repeat(hashes));
            let start = at + hashes + 2;
            let end = find(start, &close).unwrap_or(chars.len());
            ((end + close.len()).min(chars.len()), Some(chars[start..end].iter().collect()))
        } else if rest[0] == '"' {
            let mut end = at + 1;
            while end < chars.len() && chars[end] != '"' {
                end += if chars[end] == '\\' { 2 } else { 1 };
            }
            let end = end.min(chars.len());
            ((end + 1).min(chars.len()), Some(chars[at + 1..end].iter().collect::<String>().replace("\\n", "\n")))
        } else if matches!(rest, ['\'', '\\', ..]) {
            (find(at + 3, "'").map_or(chars.len(), |end| end + 1), None)
        } else if matches!(rest, ['\'', _, '\'', ..]) {
            (at + 3, None)
        } else {
            code.push(rest[0]);
            line += usize::from(rest[0] == '\n');
            at += 1;
            continue;
        };
        if let Some(literal) = literal {
            literals.push((line, literal));
            code.push_str("\"\"");
        }
        let lines = chars[at..end].iter().filter(|c| **c == '\n').count();
        code.extend(std::iter::repeat_n('\n', lines));
        line += lines;
        at = end;
    }
    (code, literals)
}

#[test]
fn each_rule_can_fail() {
    let note = concat!("// TO", "DO: later");
    let long = "//\n".repeat(MAX_LINES + 1);
    let refused = [
        ("README.md", "words ", "white space at the end"),
        ("crates/db/src/lib.rs", "\tfn x() {}", "a tab"),
        ("crates/db/tests/it.rs", note, "a note to oneself"),
        ("crates/core/src/lib.rs", long.as_str(), "701 lines"),
        ("crates/core/src/lib.rs", "fn x() { todo!() }", "todo!()"),
        ("crates/core/tests/it.rs", "fn x() { unimplemented!(\"y\") }", "unimplemented!()"),
        ("bench/src/main.rs", "dbg!(1);", "dbg!()"),
        ("crates/db/tests/it.rs", "#[test]\n#[ignore]\nfn x() {}", ":2: #[ignore]"),
        ("crates/core/src/lib.rs", "use std::env;", "environment"),
        ("crates/delivery/src/lib.rs", "let x = env::var(\"X\");", "environment"),
        ("crates/core/src/lib.rs", "use rusqlite::Connection;", "SQL driver"),
        ("crates/tieline/src/main.rs", "use axum::Router;", "HTTP framework"),
        ("crates/api/src/lib.rs", "use hyper_util::client::legacy::Client;", "strangers"),
        ("crates/api/src/lib.rs", "use tieline_delivery::Loop;", "nothing else"),
        ("crates/core/src/lib.rs", "let now = Timestamp::now();", "handed in"),
        ("crates/wire/src/lib.rs", "let id = Uuid::now_v7();", "handed in"),
        ("crates/core/src/tags/mod.rs", "f(\n\"select id\n  from tags\")", ":2: SQL"),
        ("crates/core/src/tags/mod.rs", "f(r#\"Insert Into tags values ($1)\"#)", "SQL"),
        ("crates/api/src/lib.rs", "f(\"update tags set name = $1\")", "SQL"),
        ("crates/api/src/lib.rs", "let c = '\"'; f(\"delete from tags\")", "SQL"),
        ("crates/api/src/lib.rs", "/* /* */ \" */ f(\"select 1\")", "SQL"),
        (
            "crates/core/Cargo.toml",
            "[dependencies]\ntieline-wire.workspace = true",
            ":2: tieline-wire: crates point one way",
        ),
        ("crates/db/Cargo.toml", "[dev-dependencies]\ntieline-core.workspace = true", "crates point one way"),
        ("crates/delivery/Cargo.toml", "[dependencies.tieline-api]\npath = \"../api\"", "crates point one way"),
        ("crates/delivery/Cargo.toml", "[dependencies]\nx = { package = \"tieline-api\" }", "crates point one way"),
        ("crates/core/Cargo.toml", "[target.'cfg(unix)'.dependencies]\nrusqlite = \"1\"", "SQL driver"),
        ("crates/wire/Cargo.toml", "[dependencies]\naxum = { workspace = true }", "HTTP framework"),
        ("crates/api/Cargo.toml", "[dependencies]\nreqwest.workspace = true", "strangers"),
        ("crates/core/Cargo.toml", "[dependencies]\ntieline-testkit.workspace = true", "the kit is for tests"),
    ];
    for (path, text, reason) in refused {
        let refusals = check(&Source::new(path, text));
        assert!(matches!(&refusals[..], [one] if one.contains(reason)), "{path}: {text:.60}: {refusals:?}");
    }
    let accepted = [
        ("Makefile", "run:\n\tcargo run"),
        ("crates/core/src/lib.rs", "// todo!() and std::env and #[ignore] are words here\nlet x = \"dbg!(\";"),
        ("crates/core/src/lib.rs", "#[ignore = \"long: make soak runs it\"]"),
        ("crates/core/src/lib.rs", "let x = \"Please select a team, or update the contact.\";"),
        ("crates/core/src/lib.rs", "/// Runs `select id from tags`.\nfn x<'a>(y: &'a str) {}"),
        ("crates/core/src/lib.rs", "#[cfg(test)]\nmod tests { const X: &str = \"select id from tags\"; }"),
        ("crates/core/src/tags/sql.rs", "const X: &str = \"select id from tags\";"),
        ("crates/db/src/lib.rs", "const X: &str = \"select id from tags\"; use rusqlite::Row;"),
        ("crates/tieline/src/main.rs", "use std::env;"),
        ("crates/api/src/webhooks.rs", "use tieline_delivery::egress::Guard;"),
        ("crates/delivery/Cargo.toml", "[dependencies]\nhyper-util.workspace = true\ntieline-wire.workspace = true"),
        ("crates/db/Cargo.toml", "[dependencies]\n# tieline-api is above\n[dev-dependencies]\ntieline-testkit = \"1\""),
        ("crates/tieline/Cargo.toml", "[dev-dependencies]\nrusqlite.workspace = true"),
    ];
    for (path, text) in accepted {
        let refusals = check(&Source::new(path, text));
        assert!(refusals.is_empty(), "{refusals:?}");
    }
}

/// The map is of this country: each path that ARCHITECTURE.md and CONTRIBUTING.md name is there.
#[test]
fn paths_of_the_maps_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for map in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root.join(map)).unwrap();
        let named = text.split('`').skip(1).step_by(2).filter(|code| {
            let path = code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b));
            path && code.contains('/') && !code.contains("<") && !code.starts_with('/')
        });
        let mut count = 0;
        for code in named {
            // `core/conversations/open.rs` is short for the file in that crate; `http/layers.rs` for one of the API's.
            let (first, rest) = code.split_once('/').expect("has a slash");
            let places = [code.to_owned(), format!("crates/{first}/src/{rest}"), format!("crates/api/src/{code}")];
            assert!(places.iter().any(|place| root.join(place).exists()), "{map}: {code} is not there");
            count += 1;
        }
        assert!(count > 5, "{map}: the search finds nothing");
    }
}
