//! One file per command.

pub mod backup;
pub mod demo;
pub mod doctor;
pub mod import;
pub mod key;
pub mod listen;
pub mod migrate;
pub mod move_store;
pub mod openapi;
pub mod restore;
pub mod sending;
pub mod serve;
pub mod tenant;
pub mod user;
pub mod verify;

use serde_json::Value;
use std::io::Write;

/// Prints what was asked for. A reader that has gone (`| head`) is no failure of ours.
pub fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Prints the one JSON value, or the lines for people.
fn print_either(json: bool, value: &Value, lines: impl FnOnce(&Value) -> String) -> anyhow::Result<()> {
    if json { print(&value.to_string()) } else { print(&lines(value)) }
}

/// A member as text, without quotes.
fn text(value: &Value, member: &str) -> String {
    match &value[member] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The shell's word of a clap value.
pub(crate) fn word(value: impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
