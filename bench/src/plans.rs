//! The plans that PostgreSQL really used, from its log (`auto_explain`): which node types by which indexes, without costs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What makes a database log the plan of every statement; for sessions that begin later.
pub const LOG: &str = "set auto_explain.log_min_duration = 0";
/// Ends that.
pub const LOG_NO_MORE: &str = "reset auto_explain.log_min_duration";

/// Each statement with the shapes of its plans.
pub type Plans = BTreeMap<String, BTreeSet<String>>;

/// Reads them out of a server's log.
pub fn read(log: &str) -> Plans {
    let mut plans = Plans::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.ends_with("plan:") {
            continue;
        }
        let mut statement = String::new();
        let mut shape = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
            let line = line.trim_start_matches('\t');
            if let Some(text) = line.strip_prefix("Query Text: ") {
                text.clone_into(&mut statement);
            } else if let Some((node, _)) = line.split_once("  (cost=") {
                shape.push(node.trim_start_matches([' ', '-', '>']).to_owned());
            }
        }
        // What somebody asks by hand is none of ours; what writes values alone has nothing to find.
        if !shape.is_empty() && statement.contains('$') {
            plans.entry(statement).or_default().insert(shape.join(" < "));
        }
    }
    plans
}

/// Writes them down, a statement and its shapes each.
pub fn save(plans: &Plans, path: &Path) -> std::io::Result<()> {
    let mut text = String::new();
    for (statement, shapes) in plans {
        text.push_str(statement);
        text.push('\n');
        for shape in shapes {
            text.push_str("    ");
            text.push_str(shape);
            text.push('\n');
        }
    }
    std::fs::write(path, text)
}

/// The statements of both whose plans differ.
pub fn changed<'p>(before: &'p Plans, after: &Plans) -> Vec<&'p str> {
    let differs = |statement: &String, shapes: &BTreeSet<String>| after.get(statement).is_some_and(|now| now != shapes);
    before.iter().filter(|(statement, shapes)| differs(statement, shapes)).map(|(text, _)| text.as_str()).collect()
}
