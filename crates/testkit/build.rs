//! Lists every statement of the product, so that the test over all of them (`tests/statements.rs`) cannot miss one: the
//! `sql.rs` files of `tieline-core` become modules of that test, with their constants' names found in their text.
//!
//! As text, because a macro that one file lends to another (`pub(crate) use`) cannot be found by its path in a file that is
//! itself included: such macros come first, under the name of their noun.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let sources = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../core/src");
    println!("cargo::rerun-if-changed={}", sources.display());
    let nouns = fs::read_dir(&sources).expect("the folders of core").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<(String, String)> = nouns
        .filter_map(|noun| {
            let text = fs::read_to_string(noun.join("sql.rs")).ok()?;
            Some((noun.file_name()?.to_str()?.to_owned(), text))
        })
        .collect();
    files.sort();
    let (mut lent, mut modules, mut list) = (String::new(), String::new(), String::new());
    let mut renamed = Vec::new();
    for (noun, text) in &files {
        for name in text.lines().filter_map(|line| line.strip_prefix("pub(crate) use ")?.strip_suffix(';')) {
            let start = text.find(&format!("macro_rules! {name} {{")).expect("what is lent is a macro of the file");
            let end = start + text[start..].find("\n}\n").expect("it ends") + "\n}\n".len();
            lent +=
                &text[start..end].replace(&format!("macro_rules! {name} "), &format!("macro_rules! {noun}_{name} "));
            renamed.push((format!("crate::{noun}::sql::{name}!"), format!("{noun}_{name}!")));
        }
    }
    for (noun, text) in &files {
        let kept = text.lines().filter(|line| !line.starts_with("//!") && !line.starts_with("pub(crate) use "));
        let mut kept = kept.collect::<Vec<_>>().join("\n");
        for (path, name) in &renamed {
            kept = kept.replace(path, name);
        }
        write!(modules, "#[allow(dead_code, unused_macros)] mod {noun} {{\n{kept}\n}}\n").expect("fits");
        for line in text.lines() {
            let item = |start: &str| line.strip_prefix(start).and_then(|rest| rest.split(':').next());
            let (name, kind, reference) = match (item("pub const "), item("pub static ")) {
                (Some(name), _) => (name, "One", ""),
                (_, Some(name)) => (name, "Many", "&"),
                _ => continue,
            };
            writeln!(list, "(\"{noun}::{name}\", Statement::{kind}({reference}{noun}::{name})),").expect("fits");
        }
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("statements.rs");
    fs::write(out, format!("{lent}{modules}static ALL: &[(&str, Statement)] = &[\n{list}];\n")).expect("written");
}
